//! ListOrders.

use std::{ops::ControlFlow, sync::Arc};

use super::{App, OrderError};
use crate::audit::AuditEvent;
use domain::order::Order;
use kernel::{blocking, user::User};
use store::{Provenance, Selection};

/// Consumes the orders of a list one by one, so that no list is in memory as a whole.
pub trait TakeOrders: Send + 'static {
    /// Takes the next order, or ends the list.
    fn take(&mut self, order: Order) -> ControlFlow<()>;
}

impl App {
    /// Lists the orders that `user` may see, as if there were no others: a customer's newest first, or some
    /// by id in the order asked. Runs on a blocking thread: it may wait for the disk, and a list may be long.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`], [`OrderError::NoThread`].
    pub async fn list<T: TakeOrders>(
        self: &Arc<Self>,
        selection: Selection,
        user: Option<Arc<User>>,
        mut taker: T,
    ) -> Result<T, OrderError> {
        let app = Arc::clone(self);
        let read = move || {
            let may_see = |order: Provenance<'_>| {
                user.as_ref()
                    .is_none_or(|user| user.may_see(order.created_by, order.merchant_id))
            };
            let (mut ids, mut is_whole) = (Vec::new(), true);
            let listed = app.store.list(&selection, &may_see, &mut |order| {
                // Collected for the audit log only: ids of a long list are not kept for nothing.
                if app.audit.is_on() {
                    ids.push(order.id.clone());
                }
                let taken = taker.take(order);
                // The last answer of the taker decides: `Break` means that it has discarded the
                // list.
                is_whole = taken.is_continue();
                taken
            });
            (taker, listed.map(|()| is_whole.then_some(ids)))
        };
        let (taker, listed) = blocking::run(read).await?;
        // A list that its taker has ended is discarded: the client sees no order of it.
        if let Some(ids) = listed.map_err(|error| self.read_failed(&error))?
            && self.audit.is_on()
        {
            self.audit.record(AuditEvent::OrdersListed(&ids));
        }
        Ok(taker)
    }
}
