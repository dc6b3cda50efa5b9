//! A store that forgets everything when the process ends: for demonstrations and tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    Change, ClaimTotals, CommitFuture, OrderFilter, OrderSink, PlacedOrder, PriceBook, Provenance,
    ReadError, Recovered, Replay, Selection, Store, StoreState, StoreStats,
    order_key::{KeyDeriver, OrderKey},
};
use domain::{
    ids::{Token, UserId},
    order::{Order, OrderId},
    time::EpochSeconds,
};

/// Keeps orders in memory only.
#[derive(Debug)]
pub struct MemoryStore {
    keys: KeyDeriver,
    contents: Mutex<MemoryContents>,
    state: watch::Sender<StoreState>,
}

#[derive(Debug, Default)]
struct MemoryContents {
    orders: HashMap<OrderKey, Arc<PlacedOrder>>,
    by_user: HashMap<UserId, Vec<OrderKey>>,
    failed_attempts: HashMap<Token, u32>,
    prices: PriceBook,
    slots_forgotten_until: Option<EpochSeconds>,
}

impl Default for MemoryStore {
    /// An empty store. Its secret is fixed, so order ids are the same in every process.
    fn default() -> Self {
        let state = watch::Sender::new(StoreState::Open);
        Self {
            keys: KeyDeriver::new([0; 32]),
            contents: Mutex::default(),
            state,
        }
    }
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, MemoryContents> {
        #[cfg(any(test, feature = "schedules"))]
        testkit::schedules::before_lock(&self.contents);
        // A panic elsewhere leaves the maps whole: every change below is one insertion or assignment each.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, change: Change) {
        let mut contents = self.lock();
        match change {
            Change::Order(placed) => {
                let key = self.keys.order_key(&placed.token);
                let user_id = placed.order.customer.user_id.clone();
                contents.by_user.entry(user_id).or_default().push(key);
                contents.orders.insert(key, placed);
            }
            // An intent matters only after a crash, which this store does not survive.
            Change::PaymentIntent(_) => {}
            Change::PaymentEnded(attempt) => {
                let token = attempt.intent.token;
                *contents.failed_attempts.entry(token).or_default() += 1;
            }
            Change::Prices(prices) => contents.prices = prices,
            Change::SlotsForgotten(until) => {
                contents.slots_forgotten_until = contents.slots_forgotten_until.max(Some(until));
            }
        }
    }

    /// The selected orders that pass the filter.
    fn select(&self, selection: &Selection, may_see: OrderFilter<'_>) -> Vec<Arc<PlacedOrder>> {
        let contents = self.lock();
        let keys = match selection {
            Selection::User(user_id) => {
                let mut keys = contents.by_user.get(user_id).cloned().unwrap_or_default();
                // Newest first, as in the embedded store.
                keys.reverse();
                keys
            }
            Selection::Ids(ids) => OrderKey::of_each_id(ids),
        };
        let mut selected = Vec::new();
        for placed in keys.iter().filter_map(|key| contents.orders.get(key)) {
            let provenance = Provenance {
                created_by: placed.created_by.as_deref(),
                merchant_id: &placed.order.merchant_id,
            };
            if may_see(provenance) {
                selected.push(Arc::clone(placed));
            }
        }
        selected
    }
}

impl Store for MemoryStore {
    fn commit(&self, change: Change) -> CommitFuture {
        // Applied before the future is polled: dropping the future must not cancel the change.
        self.apply(change);
        Box::pin(std::future::ready(Ok(())))
    }

    fn order_id(&self, token: &Token) -> OrderId {
        self.keys.order_key(token).order_id()
    }

    fn by_token(&self, token: &Token) -> Result<Option<Replay>, ReadError> {
        let contents = self.lock();
        let placed = contents.orders.get(&self.keys.order_key(token));
        Ok(placed.map(|placed| Replay {
            fingerprint: placed.fingerprint,
            created_by: placed.created_by.clone(),
            order: placed.order.clone(),
        }))
    }

    fn list(
        &self,
        selection: &Selection,
        may_see: OrderFilter<'_>,
        take: OrderSink<'_>,
    ) -> Result<(), ReadError> {
        // The lock is free again before the first order is handed over: the sink may take its time.
        for placed in self.select(selection, may_see) {
            if take(Order::clone(&placed.order)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn failed_attempts(&self, token: &Token) -> Result<u32, ReadError> {
        let contents = self.lock();
        Ok(contents.failed_attempts.get(token).copied().unwrap_or(0))
    }

    fn recover(&self) -> Result<Recovered, ReadError> {
        let contents = self.lock();
        let mut sold = ClaimTotals::default();
        let mut newest_order_sec = None;
        for placed in contents.orders.values() {
            sold.add(placed.claims.iter().cloned());
            newest_order_sec = newest_order_sec.max(Some(placed.created_sec));
        }
        Ok(Recovered {
            orders: u64::try_from(contents.orders.len()).unwrap_or(u64::MAX),
            sold: sold.into_claims(),
            pending: Vec::new(),
            prices: contents.prices.clone(),
            newest_order_sec,
            slots_forgotten_until: contents.slots_forgotten_until,
        })
    }

    fn state(&self) -> watch::Receiver<StoreState> {
        self.state.subscribe()
    }

    fn stats(&self) -> StoreStats {
        let orders = u64::try_from(self.lock().orders.len()).unwrap_or(u64::MAX);
        StoreStats {
            orders,
            ..StoreStats::default()
        }
    }
}
