//! Numbers of orders and of what is to be done for them, without a look at each order.

use std::{collections::BTreeMap, sync::Arc};

use super::{App, OrderError, lifecycle::ActiveLifecycle};
use domain::lifecycle::{Entity, Name};
use kernel::blocking;
use store::{ReadError, StatesInUse, Store};

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
    /// [`OrderError::NoThread`], [`OrderError::Unreadable`].
    pub async fn order_stats(self: &Arc<Self>) -> Result<OrderStats, OrderError> {
        let (timers, open_steps) = self.timers_and_steps();
        let holds = self.carts_with_holds();
        let given_up_steps = self.metrics.after_sale.steps_given_up();
        let app = Arc::clone(self);
        // The statistics of the store include those of its disk.
        let read = move || {
            let by_state = orders_by_state(&*app.store, &app.lifecycle());
            by_state.map(|by_state| (app.store.stats().orders, by_state))
        };
        let read = blocking::run(read).await?;
        let (orders, by_state) = read.map_err(|error| self.read_failed(&error))?;
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
fn orders_by_state(
    store: &dyn Store,
    lifecycle: &ActiveLifecycle,
) -> Result<BTreeMap<Name, u64>, ReadError> {
    let StatesInUse {
        placed,
        order_states,
        counts: _,
    } = store.states_in_use();
    let mut by_state = BTreeMap::new();
    for count in order_states {
        let state = lifecycle.name(count.lifecycle, Entity::Order, count.state);
        *by_state.entry(state).or_default() += count.orders;
    }
    let mut states = lifecycle.all_placed().iter();
    let in_force = &lifecycle.placed_under(lifecycle.number()).order;
    if states.all(|states| states.order == *in_force) {
        if placed > 0 {
            *by_state.entry(in_force.clone()).or_default() += placed;
        }
        return Ok(by_state);
    }
    // Rare: a definition in which orders begin in another state, which the one before has, too.
    for (revision, orders) in store.placed_by_revision()? {
        let state = &lifecycle.placed_under(revision).order;
        *by_state.entry(state.clone()).or_default() += orders;
    }
    Ok(by_state)
}
