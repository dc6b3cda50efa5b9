//! A payment gateway and a store that wait for a test, and a store that breaks.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use boxoffice::{
    domain::order::OrderId,
    payments::{
        Charge, ChargeKey, ChargeOutcome, DeclineReason, GatewayError, GatewayFuture,
        PaymentGateway, Reversal,
    },
    store::{
        Change, CommitError, CommitFuture, OrderFilter, OrderSink, ReadError, Recovered, Replay,
        Selection, Store, StoreState, StoreStats, memory::MemoryStore,
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
        fn order_id(&self, token: &boxoffice::domain::ids::Token) -> OrderId {
            self.$store.order_id(token)
        }

        fn by_token(&self, token: &boxoffice::domain::ids::Token) -> Result<Option<Replay>, ReadError> {
            self.$store.by_token(token)
        }

        fn list(
            &self,
            selection: &Selection,
            may_see: OrderFilter<'_>,
            take: OrderSink<'_>,
        ) -> Result<(), ReadError> {
            self.$store.list(selection, may_see, take)
        }

        fn failed_attempts(&self, token: &boxoffice::domain::ids::Token) -> Result<u32, ReadError> {
            self.$store.failed_attempts(token)
        }

        fn stats(&self) -> StoreStats {
            self.$store.stats()
        }
    };
}
pub(crate) use reads_of;

/// A store in memory that delays some changes.
#[derive(Debug)]
pub(crate) struct SlowStore {
    inner: Arc<MemoryStore>,
    is_slow: fn(&Change) -> bool,
    waiting: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl SlowStore {
    /// A store that delays changes of this kind until it is resumed.
    pub(crate) fn delaying(is_slow: fn(&Change) -> bool) -> Arc<Self> {
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
    fn commit(&self, change: Change) -> CommitFuture {
        if !(self.is_slow)(&change) {
            return self.inner.commit(change);
        }
        self.waiting.send_modify(|waiting| *waiting += 1);
        let (mut open, inner) = (self.open.subscribe(), Arc::clone(&self.inner));
        Box::pin(async move {
            open.wait_for(|open| *open).await.unwrap();
            inner.commit(change).await
        })
    }

    reads_of!(inner);

    fn state(&self) -> watch::Receiver<StoreState> {
        self.inner.state()
    }
}

/// A store whose writes fail once a test breaks it.
#[derive(Debug)]
pub(crate) struct BreakableStore {
    orders: MemoryStore,
    broken: AtomicBool,
    state: watch::Sender<StoreState>,
}

impl BreakableStore {
    pub(crate) fn new() -> Self {
        let state = watch::Sender::new(StoreState::Open);
        Self {
            orders: MemoryStore::default(),
            broken: AtomicBool::new(false),
            state,
        }
    }

    pub(crate) fn break_down(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }
}

impl Store for BreakableStore {
    fn commit(&self, change: Change) -> CommitFuture {
        if !self.broken.load(Ordering::SeqCst) {
            return self.orders.commit(change);
        }
        self.state
            .send_replace(StoreState::Failed(CommitError::WriterStopped));
        Box::pin(std::future::ready(Err(CommitError::WriterStopped)))
    }

    reads_of!(orders);

    fn state(&self) -> watch::Receiver<StoreState> {
        self.state.subscribe()
    }
}
