//! Listing orders.

use std::sync::Arc;

use super::{App, Refusal};
use crate::{domain::order::Order, store::Selection};

impl App {
    /// Lists orders: a user's newest first, or some by id in the order asked. Reading may wait for
    /// the disk, so it is done where that holds up no other call.
    ///
    /// # Errors
    /// [`Refusal::ListTooLarge`], [`Refusal::Unreadable`].
    pub async fn list(self: &Arc<Self>, selection: Selection) -> Result<Vec<Order>, Refusal> {
        let app = Arc::clone(self);
        let read = move || app.store.list(&selection, app.limits.max_list_bytes);
        let orders = tokio::task::spawn_blocking(read).await.map_err(|_| Refusal::Bug)?;
        Ok(orders?)
    }
}
