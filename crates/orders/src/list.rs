//! Listing orders.

use std::{ops::ControlFlow, sync::Arc};

use super::{App, OrderError};
use crate::audit::AuditEvent;
use domain::order::Order;
use kernel::{blocking, user::User};
use store::{Provenance, Selection};

/// Takes the orders of a list one after another, so that none of them is kept for longer than it takes.
pub trait TakeOrders: Send + 'static {
    /// Takes the next one, or wants no more.
    fn take(&mut self, order: Order) -> ControlFlow<()>;
}

impl App {
    /// Lists orders that `user` may see, as if there were no others: a customer's newest first, or some
    /// by id in the order asked. Reading may wait for the disk, and orders may be many, so both are done
    /// where that holds up no other call.
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
                if app.audit.is_on() {
                    ids.push(order.id.clone());
                }
                let taken = taker.take(order);
                is_whole = taken.is_continue();
                taken
            });
            (taker, listed.map(|()| is_whole.then_some(ids)))
        };
        let (taker, listed) = blocking::run(read).await?;
        // Of a list that is given up nobody sees anything.
        if let Some(ids) = listed.map_err(|error| self.read_failed(&error))?
            && self.audit.is_on()
        {
            self.audit.record(AuditEvent::OrdersListed(&ids));
        }
        Ok(taker)
    }
}
