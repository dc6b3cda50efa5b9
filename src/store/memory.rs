//! A store that forgets everything when the process ends: for demonstrations and tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    Change, Committed, MaySee, PlacedOrder, PriceBook, Provenance, Recovered, Replay, Selection,
    Sold, Store, StoreError, StoreFigures, StoreState, TakeOrder,
    names::{self, Name, Names},
};
use crate::domain::order::{EpochSeconds, Order, OrderId};

/// Keeps orders in memory only.
#[derive(Debug)]
pub struct MemoryStore {
    names: Names,
    shelves: Mutex<Shelves>,
    state: watch::Sender<StoreState>,
}

#[derive(Debug, Default)]
struct Shelves {
    orders: HashMap<Name, Arc<PlacedOrder>>,
    by_user: HashMap<String, Vec<Name>>,
    failed_attempts: HashMap<String, u32>,
    prices: PriceBook,
    slots_forgotten_until: Option<EpochSeconds>,
}

impl Default for MemoryStore {
    /// An empty store; its order ids are its own only for as long as it lives.
    fn default() -> Self {
        let state = watch::Sender::new(StoreState::Open);
        Self {
            names: Names::new([0; 32]),
            shelves: Mutex::default(),
            state,
        }
    }
}

impl MemoryStore {
    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        #[cfg(test)]
        crate::tests::schedules::before_lock(&self.shelves);
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, change: Change) {
        let mut shelves = self.shelves();
        match change {
            Change::Order(placed) => {
                let name = self.names.of_token(&placed.token);
                shelves
                    .by_user
                    .entry(placed.order.customer.user_id.clone())
                    .or_default()
                    .push(name);
                shelves.orders.insert(name, placed);
            }
            Change::PaymentIntent(_) => {}
            Change::PaymentEnded(attempt) => {
                *shelves
                    .failed_attempts
                    .entry(attempt.intent.token)
                    .or_default() += 1;
            }
            Change::Prices(prices) => shelves.prices = prices,
            Change::SlotsForgotten(until) => {
                shelves.slots_forgotten_until = shelves.slots_forgotten_until.max(Some(until));
            }
        }
    }
}

impl Store for MemoryStore {
    fn commit(&self, change: Change) -> Committed {
        self.apply(change);
        Box::pin(std::future::ready(Ok(())))
    }

    fn order_id(&self, token: &str) -> OrderId {
        names::order_id(&self.names.of_token(token))
    }

    fn by_token(&self, token: &str) -> Result<Option<Replay>, StoreError> {
        let shelves = self.shelves();
        let placed = shelves.orders.get(&self.names.of_token(token));
        Ok(placed.map(|placed| Replay {
            fingerprint: placed.fingerprint,
            created_by: placed.created_by.clone(),
            order: placed.order.clone(),
        }))
    }

    fn list(
        &self,
        selection: &Selection,
        may_see: MaySee<'_>,
        take: TakeOrder<'_>,
    ) -> Result<(), StoreError> {
        let may_see = |placed: &&Arc<PlacedOrder>| {
            let merchant_id = &placed.order.merchant_id;
            may_see(Provenance {
                created_by: placed.created_by.as_deref(),
                merchant_id,
            })
        };
        let found: Vec<Arc<PlacedOrder>> = {
            let shelves = self.shelves();
            let names: Vec<Name> = match selection {
                Selection::User(user_id) => shelves
                    .by_user
                    .get(user_id)
                    .into_iter()
                    .flatten()
                    .rev()
                    .copied()
                    .collect(),
                Selection::Ids(ids) => names::each_once(ids),
            };
            names
                .iter()
                .filter_map(|name| shelves.orders.get(name))
                .filter(may_see)
                .cloned()
                .collect()
        };
        // Without the lock: what takes them may take its time.
        let _ = found
            .iter()
            .try_for_each(|placed| take(Order::clone(&placed.order)));
        Ok(())
    }

    fn failed_attempts(&self, token: &str) -> Result<u32, StoreError> {
        Ok(self
            .shelves()
            .failed_attempts
            .get(token)
            .copied()
            .unwrap_or(0))
    }

    fn recover(&self) -> Result<Recovered, StoreError> {
        let shelves = self.shelves();
        let orders = u64::try_from(shelves.orders.len()).unwrap_or(u64::MAX);
        let mut sold = Sold::default();
        sold.add(
            shelves
                .orders
                .values()
                .flat_map(|placed| placed.claims.iter().cloned()),
        );
        Ok(Recovered {
            orders,
            sold: sold.into_claims(),
            pending: Vec::new(),
            prices: shelves.prices.clone(),
            newest_order_sec: shelves
                .orders
                .values()
                .map(|placed| placed.created_sec)
                .max(),
            slots_forgotten_until: shelves.slots_forgotten_until,
        })
    }

    fn state(&self) -> watch::Receiver<StoreState> {
        self.state.subscribe()
    }

    fn figures(&self) -> StoreFigures {
        let orders = u64::try_from(self.shelves().orders.len()).unwrap_or(u64::MAX);
        StoreFigures {
            orders,
            ..StoreFigures::default()
        }
    }
}
