//! Numbers of orders and of what is to be done for them, without a look at each order.

use std::sync::Arc;

use super::{App, OrderError};
use kernel::blocking;

/// Numbers of the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderStats {
    /// Orders on record.
    pub orders: u64,
    /// Steps that are open.
    pub open_steps: usize,
    /// Steps that were given up since the start of the process.
    pub given_up_steps: u64,
    /// Timers that are set.
    pub timers: usize,
    /// Carts that hold spots.
    pub holds: usize,
}

impl App {
    /// The numbers at this moment. They are not all of the same one.
    ///
    /// # Errors
    /// [`OrderError::NoThread`].
    pub async fn order_stats(self: &Arc<Self>) -> Result<OrderStats, OrderError> {
        let (timers, open_steps) = self.timers_and_steps();
        let holds = self.carts_with_holds();
        let given_up_steps = self.metrics.steps_given_up.get();
        let app = Arc::clone(self);
        // The statistics of the store include those of its disk.
        let orders = blocking::run(move || app.store.stats().orders).await?;
        Ok(OrderStats {
            orders,
            open_steps,
            given_up_steps,
            timers,
            holds,
        })
    }
}
