//! ListOrders.

use std::{ops::ControlFlow, sync::Arc};

use super::{App, OrderError, lifecycle::ActiveLifecycle};
use crate::audit::AuditEvent;
use domain::{
    ledger::PaymentStatus,
    order::{Order, OrderId, PrepaymentStatus},
};
use kernel::{blocking, user::User};
use store::{ListedOrder, Provenance, Selection};

/// Consumes the orders of a list one by one, so that no list is in memory as a whole.
pub trait TakeOrders: Send + 'static {
    /// Takes the next order, or ends the list.
    fn take(&mut self, order: Order) -> ControlFlow<()>;
}

impl App {
    /// Lists the orders that `user` may see, as they stand, and as if there were no others: a customer's newest first, or
    /// some by id in the order asked. Runs on a blocking thread: it may wait for the disk, and a list may be long.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`], [`OrderError::NoThread`].
    pub async fn list<T: TakeOrders>(
        self: &Arc<Self>,
        selection: Selection,
        user: Option<Arc<User>>,
        taker: T,
    ) -> Result<T, OrderError> {
        let mut list = AuditedList {
            taker,
            ids: self.audit.is_on().then(Vec::new),
            last: ControlFlow::Continue(()),
        };
        let app = Arc::clone(self);
        let read = move || {
            let lifecycle = app.lifecycle();
            let may_see = |order: Provenance<'_>| match &user {
                Some(user) => user.may_see(order.created_by, order.merchant_id),
                None => true,
            };
            let listed = app.store.list(&selection, None, &may_see, &mut |listed| {
                list.take(present(&lifecycle, listed))
            });
            listed.map(|()| list)
        };
        let listed = blocking::run(read).await?;
        let AuditedList { taker, ids, last } = listed.map_err(|error| self.read_failed(&error))?;
        // A list that its taker has ended is discarded: the client sees no order of it.
        if let Some(ids) = ids
            && last.is_continue()
        {
            self.audit.record(AuditEvent::OrdersListed(&ids));
        }
        Ok(taker)
    }
}

/// The order as it stands: its items as the lifecycle tells them, and its prepayment as the ledger does.
fn present(lifecycle: &ActiveLifecycle, mut listed: ListedOrder) -> Order {
    lifecycle.present_listed(&mut listed);
    let ListedOrder {
        mut order,
        begun,
        update,
        ..
    } = listed;
    let tree = match (update, begun) {
        (Some(update), _) => update.tree,
        (None, Some(begun)) => *begun,
        (None, None) => return order,
    };
    for (item, state) in order.items.iter_mut().zip(&tree.items) {
        // An item that callers hear nothing of, and one in a state of another definition, is as they know it.
        if let Some(status) = lifecycle.definition().booking_status(state.state.as_str()) {
            item.status = status;
        }
    }
    let is_refunded = tree.ledger.status() == PaymentStatus::Refunded;
    if let Some(payment) = &mut order.payment
        && payment.prepayment == Some(PrepaymentStatus::Provided)
        && is_refunded
    {
        payment.prepayment = Some(PrepaymentStatus::Refunded);
    }
    order
}

/// A list with the ids of its orders.
struct AuditedList<T> {
    taker: T,
    /// For the audit log; `None` where it is off, so that ids of a long list are not kept for nothing.
    ids: Option<Vec<OrderId>>,
    /// The last answer of the taker.
    last: ControlFlow<()>,
}

impl<T: TakeOrders> AuditedList<T> {
    fn take(&mut self, order: Order) -> ControlFlow<()> {
        if let Some(ids) = &mut self.ids {
            ids.push(order.id.clone());
        }
        self.last = self.taker.take(order);
        self.last
    }
}

#[cfg(test)]
mod tests;
