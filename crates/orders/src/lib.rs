//! The use cases: look at a cart, create an order, list orders, look at slots.
//!
//! A use case takes values and gives values. It knows the catalogue, the inventory, the store and
//! the payment gateway, and nothing of doors or wire formats.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use crate::audit::Audit;
use catalog::SourceFeeds;
use domain::{
    catalog::{Catalog, IdInterner},
    failure::OrderFailure,
    ids::Token,
    openings::Openings,
    order::{EpochSeconds, Order},
    slot::{CartKey, Claim, Claimed, Revision, Slot, SlotKey, Stale, Viewer},
};
use inventory::Inventory;
use kernel::{
    blocking::BlockingError,
    clock::{Clock, OncePerSecond},
    user::User,
};
use payments::PaymentGateway;
use store::{Change, CommitError, ErrorChain, NamedClaim, PriceBook, ReadError, Store};

pub mod audit;
mod calendar;
mod check;
mod clock_check;
mod create;
mod export;
mod list;
mod lookup;
pub mod metrics;
mod payment;
mod prices;
mod reconcile;
mod reload;
mod run_to_completion;
mod startup;
mod tokens;

pub use check::{Cart, Checked};
pub use create::CreateOrder;
pub use export::{Export, TooFar};
pub use list::TakeOrders;
pub use lookup::{Lookup, SlotLookup};
pub use reconcile::Reloaded;
pub use reload::ReloadError;
pub use startup::{OfflineCatalog, Parts, StartupError};

use metrics::OrderMetrics;
use tokens::{TokenGuard, Tokens};

/// What came of an order to be created: the order, or why there is none.
pub type Created = Result<Box<Order>, OrderFailure>;

/// Why a use case has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The merchant is not in the catalogue.
    #[error("merchant_id is not a merchant of this booking partner")]
    UnknownMerchant,
    /// The token has created an order from another request.
    #[error(
        "idempotency_token was used for a different request, and the order of that request stands"
    )]
    TokenReused,
    /// Another call with this token is still at work.
    #[error("another request with this idempotency_token is in progress")]
    InProgress,
    /// The limit of concurrent calls is reached.
    #[error("too many concurrent calls")]
    Busy,
    /// There is no thread to do it.
    #[error("the server has no thread available")]
    NoThread,
    /// Nothing can be written.
    #[error("orders cannot be recorded at present")]
    StoreFailed,
    /// Something on record cannot be read.
    #[error("internal error; details are in the server log")]
    Unreadable,
    /// A bug.
    #[error("internal error; details are in the server log")]
    Bug,
}

impl OrderError {
    /// What it is called in the audit log.
    fn name(&self) -> &'static str {
        match self {
            Self::UnknownMerchant => "UNKNOWN_MERCHANT",
            Self::TokenReused => "TOKEN_REUSED",
            Self::InProgress => "ORDER_IN_PROGRESS",
            Self::Busy => "CONCURRENCY_LIMIT",
            Self::NoThread => "THREADS_EXHAUSTED",
            Self::StoreFailed => "STORE_UNAVAILABLE",
            Self::Unreadable | Self::Bug => "INTERNAL",
        }
    }
}

impl From<BlockingError> for OrderError {
    fn from(error: BlockingError) -> Self {
        match error {
            BlockingError::NoThread => Self::NoThread,
            BlockingError::Panicked => Self::Bug,
        }
    }
}

/// Limits of the use cases.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a payment gateway may take to answer a charge.
    pub payment_timeout: Duration,
    /// Most orders being created at once, counting those whose callers have given up.
    pub max_commands: usize,
    /// How far ahead recurring availability is open, in seconds.
    pub horizon_sec: i64,
}

/// Everything the use cases work with.
#[derive(Debug)]
pub struct App {
    active: ArcSwap<ActiveCatalog>,
    inventory: Inventory,
    calendar: Mutex<calendar::Calendar>,
    /// Locked by a sweep from beginning to end, so that sweeps run one after another.
    sweeps: tokio::sync::Mutex<calendar::Sweeps>,
    /// Locked by a reload from beginning to end, so that reloads run one after another.
    latest: Arc<tokio::sync::Mutex<Latest>>,
    store: Arc<dyn Store>,
    /// Who takes money, if anybody does.
    payments: Option<Arc<dyn PaymentGateway>>,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
    /// The tokens of payments that cannot be settled: they stay locked until a gateway is there again.
    stuck: Mutex<Vec<TokenGuard>>,
    /// Commands that are at work, with or without somebody who waits for them.
    commands: TaskTracker,
    limits: Limits,
    metrics: OrderMetrics,
    audit: Arc<Audit>,
    /// A store that fails does so for every call.
    read_errors: OncePerSecond,
    write_errors: OncePerSecond,
}

/// The catalogue that is on sale, with its revision. A reload replaces it as a whole; every decision reads one of them.
#[derive(Debug)]
struct ActiveCatalog {
    revision: Revision,
    since_sec: EpochSeconds,
    catalog: Arc<Catalog>,
    openings: Arc<Openings>,
    source_feeds: Arc<SourceFeeds>,
}

/// State that a reload builds on.
#[derive(Debug)]
struct Latest {
    /// The revision of the latest reload, successful or not.
    revision: Revision,
    /// The prices on record.
    prices: PriceBook,
}

/// Why a decision has not been made.
#[derive(Debug)]
enum Undecided {
    /// Something else is on sale by now.
    Stale,
    /// There is nothing to decide.
    Refused(OrderError),
}

impl From<Stale> for Undecided {
    fn from(Stale: Stale) -> Self {
        Self::Stale
    }
}

impl From<OrderError> for Undecided {
    fn from(refusal: OrderError) -> Self {
        Self::Refused(refusal)
    }
}

impl App {
    /// The active catalogue.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.active.load().catalog)
    }

    /// Decides by what is on sale; anew where that has been replaced before anything was decided.
    fn decide<R>(
        &self,
        decide: impl Fn(&ActiveCatalog) -> Result<R, Undecided>,
    ) -> Result<R, OrderError> {
        loop {
            match decide(&self.active.load()) {
                Ok(decided) => return Ok(decided),
                Err(Undecided::Refused(refusal)) => return Err(refusal),
                Err(Undecided::Stale) => {}
            }
        }
    }

    /// Acts with the slots of `keys` as the catalogue has them: one that it names and that is not open any
    /// more is known, and has nothing left.
    fn with_past<R>(
        &self,
        active: &ActiveCatalog,
        keys: &[Option<SlotKey>],
        open: &[Option<&Slot>],
        act: impl FnOnce(&[Option<&Slot>]) -> R,
    ) -> R {
        if open.iter().all(Option::is_some) {
            return act(open);
        }
        let horizon = active.since_sec.saturating_add(self.limits.horizon_sec);
        // Forgotten slots may lie beyond the horizon of a clock that was set back.
        let repeated_until = horizon.max(self.inventory.forgotten_until());
        let mut past: Vec<Option<Slot>> = Vec::with_capacity(keys.len());
        for (key, open) in keys.iter().zip(open) {
            let missing = key.filter(|_| open.is_none());
            past.push(missing.and_then(|key| active.openings.nothing_left(key, repeated_until)));
        }
        let all: Vec<_> = open
            .iter()
            .zip(&past)
            .map(|(open, past)| open.or(past.as_ref()))
            .collect();
        act(&all)
    }

    /// Commands that are at work, to be waited for before the process ends.
    #[must_use]
    pub fn commands(&self) -> &TaskTracker {
        &self.commands
    }

    /// The store, to be watched.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// What has come of the work so far.
    #[must_use]
    pub fn metrics(&self) -> &OrderMetrics {
        &self.metrics
    }

    /// Where it is recorded who does what.
    #[must_use]
    pub fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// The revision of the active catalogue, 0 at the start of the process, and when it was activated.
    #[must_use]
    pub fn active_revision(&self) -> (Revision, EpochSeconds) {
        let active = self.active.load();
        (active.revision, active.since_sec)
    }

    /// Slots that are on sale, or of which something is sold or held.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.inventory.len()
    }

    /// Carts that hold spots.
    #[must_use]
    pub fn carts_with_holds(&self) -> usize {
        self.inventory.holding(self.now())
    }

    /// What a caller is told of a record that cannot be read. The cause goes to the log, once a second with
    /// the number of times.
    fn read_failed(&self, error: &ReadError) -> OrderError {
        if let Some(times) = self.read_errors.due(self.now()) {
            tracing::error!(error = %ErrorChain(error), times, "the store could not be read");
        }
        OrderError::Unreadable
    }

    /// What a caller is told of a change that is not durable. The cause goes to the log, once a second with
    /// the number of times.
    fn commit_failed(&self, error: &CommitError) -> OrderError {
        if let Some(times) = self.write_errors.due(self.now()) {
            tracing::error!(error = %ErrorChain(error), times, "an order could not be recorded");
        }
        OrderError::StoreFailed
    }

    async fn commit(&self, change: Change) -> Result<(), CommitError> {
        self.store
            .commit(change)
            .instrument(info_span!("commit"))
            .await
    }

    fn now(&self) -> EpochSeconds {
        self.clock.now_sec()
    }

    fn viewer(&self, cart: Option<CartKey>) -> Viewer {
        Viewer {
            now: self.now(),
            cart,
        }
    }
}

/// The key of the cart that a caller calls by this id. A cart's id is the token of its later order, and
/// each user has carts of its own: two may call theirs alike, and neither sees or moves the other's.
fn cart_key(cart_id: &Token, user: Option<&User>) -> CartKey {
    let mut hasher = blake3::Hasher::new();
    if let Some(user) = user {
        // Ends in what no name has, so that it cannot run into the id.
        hasher.update(user.name().as_bytes()).update(b"\0");
    }
    let mut key = [0; 16];
    hasher
        .update(cart_id.as_str().as_bytes())
        .finalize_xof()
        .fill(&mut key);
    CartKey(key)
}

/// Claims by the ids of the catalogue, for the record.
fn named(catalog: &Catalog, claims: &[Claim]) -> Vec<NamedClaim> {
    let name = |claim: &Claim| {
        let service = catalog.service(claim.slot.service);
        NamedClaim {
            merchant_id: catalog.merchant(service.merchant).id.clone(),
            service_id: service.id.clone(),
            start_sec: claim.slot.start_sec,
            duration_sec: claim.slot.duration_sec,
            ticket_id: match claim.ticket {
                Claimed::Appointment => None,
                Claimed::Ticket(ticket) => Some(service.ticket(ticket).id.clone()),
            },
            count: claim.count,
        }
    };
    claims.iter().map(name).collect()
}

/// Recorded claims by their indexes. What is not sold at present may be again, so it is counted too.
fn indexed(register: &mut IdInterner, claims: &[NamedClaim]) -> Vec<Claim> {
    let claim = |named: &NamedClaim| {
        let service = register.service(&named.merchant_id, &named.service_id);
        let ticket = match &named.ticket_id {
            None => Claimed::Appointment,
            Some(id) => Claimed::Ticket(register.ticket(service, id)?),
        };
        let slot = SlotKey {
            service,
            duration_sec: named.duration_sec,
            start_sec: named.start_sec,
        };
        Some(Claim {
            slot,
            ticket,
            count: named.count,
        })
    };
    claims.iter().filter_map(claim).collect()
}

#[cfg(test)]
mod tests;
