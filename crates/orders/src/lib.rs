//! The use cases: check a cart, create an order, list and search orders, look up slots.
//!
//! A use case takes and returns plain values. It knows the catalogue, the inventory, the store and the
//! payment gateway, and no transport or wire format.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio_util::task::TaskTracker;

use crate::audit::Audit;
use catalog::SourceFeeds;
use domain::{
    catalog::{Catalog, IdInterner, ServiceIx, TicketIx},
    failure::FailureCause,
    ids::TicketId,
    openings::Openings,
    order::Order,
    slot::{CartKey, Claim, Claimed, Revision, SlotKey, Stale, Viewer},
    time::{EpochSeconds, Seconds},
};
use inventory::Inventory;
use kernel::{
    blocking::BlockingError,
    clock::{Clock, OncePerSecond},
};
use payments::PaymentGateway;
use store::{ErrorChain, NamedClaim, PriceBook, ReadError, Store};

mod assess;
pub mod audit;
mod begin;
pub mod block;
mod calendar;
mod check;
mod clock_check;
mod create;
pub mod customers;
pub mod days;
mod execute;
mod export;
mod hold;
pub mod known;
pub mod lifecycle;
mod list;
mod lookup;
mod merchant_scope;
pub mod metrics;
mod payment;
mod prices;
mod reconcile;
mod reload;
mod restore;
mod retention;
mod run_to_completion;
pub mod search;
pub mod slots;
mod startup;
pub mod stats;
pub mod steps;
mod tokens;
pub mod update;
mod watch;
pub mod withdraw;

pub use check::{Cart, CheckAnswer, Checked};
pub use create::CreateOrder;
pub use export::{Export, TooFar};
pub use list::TakeOrders;
pub use lookup::{Lookup, SlotLookup};
pub use merchant_scope::MerchantScope;
pub use reconcile::Reloaded;
pub use reload::ReloadError;
pub use startup::{OfflineCatalog, Parts, StartupError};
pub use watch::OrderWatch;

use block::Blocks;
use lifecycle::Lifecycles;
use metrics::OrderMetrics;
use steps::Agenda;
use tokens::{TokenGuard, Tokens};
use watch::WatchedOrders;

/// The channel of orders that come by the booking contract.
const CHANNEL: &str = "google";

/// The outcome of CreateOrder: the order, or the cause of its failure.
pub type Created = Result<Box<Order>, FailureCause>;

/// Why a use case has no outcome.
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
    /// Another request with this token is in flight.
    #[error("another creation of an order with this idempotency_token is in progress")]
    InProgress,
    /// Another change of this order or slot is in flight.
    #[error("another change of this order or slot is in progress")]
    ChangeInProgress,
    /// The limit of concurrent calls is reached.
    #[error("too many concurrent calls")]
    Busy,
    /// No thread could be started for the work.
    #[error("the server has no thread available")]
    NoThread,
    /// The store has failed, and accepts no writes until a restart.
    #[error("orders cannot be recorded at present")]
    StoreFailed,
    /// The store accepts no writes at present. Nothing has changed.
    #[error("orders cannot be recorded at present")]
    StoreUnavailable,
    /// A record cannot be read.
    #[error("internal error; details are in the server log")]
    Unreadable,
    /// A bug.
    #[error("internal error; details are in the server log")]
    Bug,
}

impl OrderError {
    /// The reason in responses and in the audit log; every reason has a row in the table of `docs/errors.md`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            // As in the validation of requests, whose catalogue may have been an earlier one.
            Self::UnknownMerchant => "INVALID_REQUEST",
            Self::TokenReused => "TOKEN_REUSED",
            Self::InProgress | Self::ChangeInProgress => "ORDER_IN_PROGRESS",
            Self::Busy => "CONCURRENCY_LIMIT",
            Self::NoThread => "THREADS_EXHAUSTED",
            Self::StoreFailed | Self::StoreUnavailable => "STORE_UNAVAILABLE",
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
    /// Timeout of a charge at the payment gateway.
    pub payment_timeout: Duration,
    /// Maximum number of orders in flight, those of disconnected clients included.
    pub max_commands: usize,
    /// How far ahead repeated availability is open.
    pub horizon: Seconds,
}

/// The use cases, with the state and the adapters that they share.
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
    /// `None` where payments are off.
    payments: Option<Arc<dyn PaymentGateway>>,
    clock: Arc<dyn Clock>,
    /// Decides what becomes of an order after its sale.
    lifecycles: Lifecycles,
    tokens: Tokens,
    /// The timers and steps of orders.
    agenda: Agenda,
    /// The blocks of slots that are in force.
    blocks: Blocks,
    watched: WatchedOrders,
    /// Locked by an erasure from beginning to end.
    erasures: tokio::sync::Mutex<()>,
    /// The tokens of pending payments that cannot be reversed while payments are off: locked for as long as
    /// the process runs.
    stuck: Mutex<Vec<TokenGuard>>,
    /// The orders and the reversals in flight, those of disconnected clients included.
    commands: TaskTracker,
    limits: Limits,
    metrics: OrderMetrics,
    audit: Arc<Audit>,
    read_errors: OncePerSecond,
    write_errors: OncePerSecond,
}

/// The active catalogue with its revision. A reload replaces all of it at once, and every decision
/// reads one of them from beginning to end.
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

/// Why an attempt to decide by the active catalogue has failed.
#[derive(Debug)]
enum AttemptError {
    /// A slot has advanced beyond the revision of the attempt.
    Stale,
    /// The request has an error that another attempt cannot change.
    Failed(OrderError),
}

impl From<Stale> for AttemptError {
    fn from(Stale: Stale) -> Self {
        Self::Stale
    }
}

impl From<OrderError> for AttemptError {
    fn from(error: OrderError) -> Self {
        Self::Failed(error)
    }
}

impl App {
    /// The active catalogue.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.active.load().catalog)
    }

    /// Calls `attempt` with the active catalogue until no reload comes between.
    fn by_active_catalog<R>(
        &self,
        attempt: impl Fn(&ActiveCatalog) -> Result<R, AttemptError>,
    ) -> Result<R, OrderError> {
        loop {
            // Loaded again in each round: a revision is never mixed with another within one
            // attempt.
            match attempt(&self.active.load()) {
                Ok(decided) => return Ok(decided),
                Err(AttemptError::Failed(error)) => return Err(error),
                // A reload has activated a later revision since the load, and a slot has advanced to it. The
                // attempt has changed nothing. The next one loads that revision; each repetition takes
                // another reload, so the loop ends.
                Err(AttemptError::Stale) => {}
            }
        }
    }

    /// The orders and the reversals in flight. A shutdown waits for them.
    #[must_use]
    pub fn commands(&self) -> &TaskTracker {
        &self.commands
    }

    /// The store, for its health and its metrics.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The metrics of the use cases.
    #[must_use]
    pub fn metrics(&self) -> &OrderMetrics {
        &self.metrics
    }

    /// The audit log.
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

    /// The number of slots of the active catalogue, and of others with sold or held spots.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.inventory.len()
    }

    /// The number of carts that hold spots.
    #[must_use]
    pub fn carts_with_holds(&self) -> usize {
        self.inventory.holding(self.now())
    }

    /// The error of a record that cannot be read. The cause is logged, at most once a second with
    /// the number of errors.
    fn read_failed(&self, error: &ReadError) -> OrderError {
        if let Some(times) = self.read_errors.due(self.now()) {
            tracing::error!(error = %ErrorChain(error), times, "the store could not be read");
        }
        OrderError::Unreadable
    }

    /// The time of the clock.
    #[must_use]
    pub fn now(&self) -> EpochSeconds {
        self.clock.now_sec()
    }

    fn viewer(&self, cart: Option<CartKey>) -> Viewer {
        Viewer {
            now: self.now(),
            cart,
        }
    }
}

/// Claims by the ids of the catalogue, for the record.
fn named(catalog: &Catalog, claims: &[Claim]) -> Vec<NamedClaim> {
    let name = |claim: &Claim| {
        // Cannot miss: claims were decided by this same catalogue.
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

/// Recorded claims by their indexes. Ids that the catalogue lacks are interned, because a later
/// catalogue may have them again.
fn indexed(ids: &mut IdInterner, claims: &[NamedClaim]) -> Vec<Claim> {
    let claim = |named: &NamedClaim| {
        let service = ids.service(&named.merchant_id, &named.service_id);
        claim_of(named, service, |ticket| ids.ticket(service, ticket))
    };
    claims.iter().filter_map(claim).collect()
}

/// Recorded claims by their indexes, without those of which nothing was ever sold since the start: ids of all that is sold
/// are interned.
fn found(ids: &IdInterner, claims: &[NamedClaim]) -> Vec<Claim> {
    let claim = |named: &NamedClaim| {
        let service = ids.find_service(&named.merchant_id, &named.service_id)?;
        claim_of(named, service, |ticket| ids.find_ticket(service, ticket))
    };
    claims.iter().filter_map(claim).collect()
}

/// A recorded claim on a service. `ticket` gives the index of a ticket type, if it has one.
fn claim_of(
    named: &NamedClaim,
    service: ServiceIx,
    ticket: impl FnOnce(&TicketId) -> Option<TicketIx>,
) -> Option<Claim> {
    let claimed = match &named.ticket_id {
        None => Claimed::Appointment,
        Some(id) => Claimed::Ticket(ticket(id)?),
    };
    let slot = SlotKey {
        service,
        duration_sec: named.duration_sec,
        start_sec: named.start_sec,
    };
    Some(Claim {
        slot,
        ticket: claimed,
        count: named.count,
    })
}

#[cfg(test)]
mod tests;
