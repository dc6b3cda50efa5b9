//! Numbers of orders and of what is to be done for them, without a look at each order.

use std::{collections::BTreeMap, sync::Arc};

use super::{App, OrderError, lifecycle::ActiveLifecycle};
use domain::lifecycle::{Entity, Name};
use kernel::blocking;
use store::StatesInUse;

/// Numbers of the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderStats {
    /// Orders on record.
    pub orders: u64,
    /// Orders by the state that they are in.
    pub by_state: BTreeMap<Name, u64>,
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
        let given_up_steps = self.metrics.after_sale.steps_given_up();
        let app = Arc::clone(self);
        // The statistics of the store include those of its disk.
        let read = move || {
            let by_state = orders_by_state(&app.store.states_in_use(), &app.lifecycle());
            (app.store.stats().orders, by_state)
        };
        let (orders, by_state) = blocking::run(read).await?;
        Ok(OrderStats {
            orders,
            by_state,
            open_steps,
            given_up_steps,
            timers,
            holds,
        })
    }
}

/// The number of orders in each state, by its name in force.
fn orders_by_state(in_use: &StatesInUse, lifecycle: &ActiveLifecycle) -> BTreeMap<Name, u64> {
    let mut by_state = BTreeMap::new();
    for count in &in_use.order_states {
        let state = lifecycle.name(count.lifecycle, Entity::Order, count.state.clone());
        *by_state.entry(state).or_default() += count.orders;
    }
    if in_use.placed > 0 {
        // As for an order of the newest revision.
        let placed = &lifecycle.placed_under(lifecycle.number()).order;
        *by_state.entry(placed.clone()).or_default() += in_use.placed;
    }
    by_state
}
