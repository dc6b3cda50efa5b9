//! Listing orders.

use std::sync::Arc;

use super::{App, Refusal};
use crate::{
    access::User,
    audit::Event,
    blocking,
    domain::order::Order,
    store::{Provenance, Selection},
};

impl App {
    /// Lists orders that `user` may see, as if there were no others: a customer's newest first, or some
    /// by id in the order asked. Reading may wait for the disk, so it is done where that holds up no
    /// other call.
    ///
    /// # Errors
    /// [`Refusal::ListTooLarge`], [`Refusal::Unreadable`], [`Refusal::NoThread`].
    pub async fn list(
        self: &Arc<Self>,
        selection: Selection,
        user: Option<Arc<User>>,
    ) -> Result<Vec<Order>, Refusal> {
        let app = Arc::clone(self);
        let read = move || {
            let may_see = |order: Provenance<'_>| {
                user.as_ref().is_none_or(|user| user.may_see(order.created_by, order.merchant_id))
            };
            app.store.list(&selection, &may_see, app.limits.max_list_bytes)
        };
        let orders = blocking::run(read).await?.map_err(|error| self.refusal(&error))?;
        if self.audit.is_on() {
            let ids: Vec<_> = orders.iter().map(|order| order.id.clone()).collect();
            self.audit.record(Event::OrdersListed(&ids));
        }
        Ok(orders)
    }
}
