//! A payment gateway and a store that wait for a test, and a store that breaks.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use boxoffice::{
    payments::{
        ChangeOutcome, Charge, ChargeChange, ChargeKey, ChargeOutcome, DeclineReason, GatewayError,
        GatewayFuture, PaymentGateway, Reversal,
    },
    store::{
        CommitError, CommitFuture, HoldId, OrderFilter, OrderKey, OrderSink, Read, ReadError,
        Recovered, Replay, Selection, Store, StoreHealth, StoreStats, StoredHold, UnitOfWork,
        Write, memory::MemoryStore,
    },
};
use tokio::sync::watch;

use crate::support::process::with_timeout;

/// Something that a gateway was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Charge { key: String, micros: i64 },
    Reverse { key: String },
}

impl Asked {
    pub(crate) fn charge(key: impl Into<String>, micros: i64) -> Self {
        Self::Charge {
            key: key.into(),
            micros,
        }
    }

    pub(crate) fn reverse(key: impl Into<String>) -> Self {
        Self::Reverse { key: key.into() }
    }
}

/// A gateway whose answers a test sets; until then its calls wait. It records the calls.
#[derive(Debug)]
pub(crate) struct GatewayDouble {
    asked: watch::Sender<Vec<Asked>>,
    charges: watch::Sender<Option<ChargeOutcome>>,
    reversals: watch::Sender<Option<Result<Reversal, GatewayError>>>,
}

impl GatewayDouble {
    /// A gateway that does not answer yet.
    pub(crate) fn silent() -> Arc<Self> {
        Arc::new(Self {
            asked: watch::Sender::default(),
            charges: watch::Sender::default(),
            reversals: watch::Sender::default(),
        })
    }

    /// Captures every charge, those that wait and those to come.
    pub(crate) fn capture(&self) {
        self.answer_charges(ChargeOutcome::Captured("transaction".into()));
    }

    /// Declines every charge, those that wait and those to come.
    pub(crate) fn decline(&self) {
        self.answer_charges(ChargeOutcome::Declined(DeclineReason::CardDeclined));
    }

    pub(crate) fn answer_charges(&self, answer: ChargeOutcome) {
        self.charges.send_replace(Some(answer));
    }

    pub(crate) fn answer_reversals(&self, answer: Result<Reversal, GatewayError>) {
        self.reversals.send_replace(Some(answer));
    }

    /// Answers no further charge.
    pub(crate) fn fall_silent(&self) {
        self.charges.send_replace(None);
    }

    /// Everything it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    /// Waits until it has been asked so many times.
    pub(crate) async fn asked_times(&self, times: usize) {
        let mut asked = self.asked.subscribe();
        with_timeout(
            "the gateway is asked",
            asked.wait_for(|asked| asked.len() >= times),
        )
        .await
        .unwrap();
    }

    fn note(&self, asked: Asked) {
        self.asked.send_modify(|all| all.push(asked));
    }
}

/// The answer that the test sets, once it is set.
async fn answer_of<T: Clone>(mut answers: watch::Receiver<Option<T>>) -> T {
    answers
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap()
}

impl PaymentGateway for GatewayDouble {
    fn charge<'a>(&'a self, charge: &'a Charge) -> GatewayFuture<'a, ChargeOutcome> {
        self.note(Asked::charge(
            &charge.key.0,
            charge.amount.to_micros().unwrap(),
        ));
        Box::pin(answer_of(self.charges.subscribe()))
    }

    fn reverse<'a>(
        &'a self,
        key: &'a ChargeKey,
    ) -> GatewayFuture<'a, Result<Reversal, GatewayError>> {
        self.note(Asked::reverse(&key.0));
        Box::pin(answer_of(self.reversals.subscribe()))
    }

    fn refund<'a>(
        &'a self,
        _: &'a ChargeChange,
    ) -> GatewayFuture<'a, Result<ChangeOutcome, GatewayError>> {
        Box::pin(std::future::ready(Err(GatewayError("it is silent".into()))))
    }

    fn void<'a>(
        &'a self,
        _: &'a ChargeChange,
    ) -> GatewayFuture<'a, Result<ChangeOutcome, GatewayError>> {
        Box::pin(std::future::ready(Err(GatewayError("it is silent".into()))))
    }
}

/// The read methods of a store that wraps another one, by the name of its field.
macro_rules! reads_of {
    ($store:ident) => {
        crate::support::doubles::reads_of!($store but recover);

        fn recover(&self) -> Result<Recovered, ReadError> {
            self.$store.recover()
        }
    };
    ($store:ident but recover) => {
        fn order_key(&self, token: &boxoffice::domain::ids::Token) -> OrderKey {
            self.$store.order_key(token)
        }

        fn find_request(&self, key: &OrderKey) -> Read<Option<Replay>> {
            self.$store.find_request(key)
        }

        fn find_order(
            &self,
            id: &boxoffice::domain::order::OrderId,
        ) -> Read<Option<boxoffice::store::StoredOrder>> {
            self.$store.find_order(id)
        }

        fn history(
            &self,
            id: &boxoffice::domain::order::OrderId,
            take: boxoffice::store::UpdateSink<'_>,
        ) -> Result<(), ReadError> {
            self.$store.history(id, take)
        }

        fn block_history(
            &self,
            slot: &boxoffice::store::NamedSlot,
            take: boxoffice::store::BlockSink<'_>,
        ) -> Result<(), ReadError> {
            self.$store.block_history(slot, take)
        }

        fn lifecycle_changes(
            &self,
            take: boxoffice::store::LifecycleSink<'_>,
        ) -> Result<(), ReadError> {
            self.$store.lifecycle_changes(take)
        }

        fn erasure_answers(
            &self,
            take: boxoffice::store::ErasureAnswerSink<'_>,
        ) -> Result<(), ReadError> {
            self.$store.erasure_answers(take)
        }

        fn placed_by_revision(&self) -> Result<std::collections::BTreeMap<u32, u64>, ReadError> {
            self.$store.placed_by_revision()
        }

        fn states_in_use(&self) -> boxoffice::store::StatesInUse {
            self.$store.states_in_use()
        }

        fn find_hold(&self, id: HoldId) -> Read<Option<StoredHold>> {
            self.$store.find_hold(id)
        }

        fn list(
            &self,
            selection: &Selection,
            before: Option<boxoffice::store::OrderPlace>,
            may_see: OrderFilter<'_>,
            take: OrderSink<'_>,
        ) -> Result<(), ReadError> {
            self.$store.list(selection, before, may_see, take)
        }

        fn failed_attempts(&self, key: &OrderKey) -> Read<u32> {
            self.$store.failed_attempts(key)
        }

        fn erase_person(
            &self,
            user_id: &boxoffice::domain::ids::UserId,
        ) -> boxoffice::store::EraseFuture {
            self.$store.erase_person(user_id)
        }

        fn erase_visits(
            &self,
            ended_before: boxoffice::domain::time::EpochSeconds,
            most: usize,
        ) -> boxoffice::store::EraseFuture {
            self.$store.erase_visits(ended_before, most)
        }

        fn erase_order(
            &self,
            id: &boxoffice::domain::order::OrderId,
        ) -> boxoffice::store::EraseFuture {
            self.$store.erase_order(id)
        }

        fn export_person(
            &self,
            user_id: &boxoffice::domain::ids::UserId,
            take: boxoffice::store::PlacedSink<'_>,
        ) -> Result<(), ReadError> {
            self.$store.export_person(user_id, take)
        }

        fn stats(&self) -> StoreStats {
            self.$store.stats()
        }
    };
}
pub(crate) use reads_of;

/// A store in memory that delays some writes.
#[derive(Debug)]
pub(crate) struct SlowStore {
    inner: Arc<MemoryStore>,
    is_slow: fn(&Write) -> bool,
    waiting: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl SlowStore {
    /// A store that delays units with a write of this kind until it is resumed.
    pub(crate) fn delaying(is_slow: fn(&Write) -> bool) -> Arc<Self> {
        let (waiting, open) = (watch::Sender::default(), watch::Sender::default());
        Arc::new(Self {
            inner: Arc::default(),
            is_slow,
            waiting,
            open,
        })
    }

    /// Waits until a change is delayed.
    pub(crate) async fn wait_for_change(&self) {
        let mut waiting = self.waiting.subscribe();
        with_timeout("a delayed change", waiting.wait_for(|waiting| *waiting > 0))
            .await
            .unwrap();
    }

    /// Delays no further changes.
    pub(crate) fn resume(&self) {
        self.open.send_replace(true);
    }
}

impl Store for SlowStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        if !unit.writes.iter().any(self.is_slow) {
            return self.inner.commit(unit);
        }
        self.waiting.send_modify(|waiting| *waiting += 1);
        let (mut open, inner) = (self.open.subscribe(), Arc::clone(&self.inner));
        let unit = unit.clone();
        CommitFuture::boxed(async move {
            open.wait_for(|open| *open).await.unwrap();
            inner.commit(&unit).await
        })
    }

    reads_of!(inner);

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.inner.health()
    }
}

/// A store whose writes fail once a test breaks it.
#[derive(Debug)]
pub(crate) struct BreakableStore {
    orders: MemoryStore,
    broken: AtomicBool,
    health: watch::Sender<StoreHealth>,
}

impl BreakableStore {
    pub(crate) fn new() -> Self {
        let health = watch::Sender::new(StoreHealth::Ready);
        Self {
            orders: MemoryStore::default(),
            broken: AtomicBool::new(false),
            health,
        }
    }

    pub(crate) fn break_down(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }
}

impl Store for BreakableStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        if !self.broken.load(Ordering::SeqCst) {
            return self.orders.commit(unit);
        }
        self.health
            .send_replace(StoreHealth::Failed(CommitError::WriterStopped));
        CommitFuture::ready(Err(CommitError::WriterStopped))
    }

    reads_of!(orders);

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.subscribe()
    }
}
