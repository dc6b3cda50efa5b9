//! What becomes of an order after its sale, as the store keeps it.

use std::sync::Arc;

use domain::{
    ledger::LedgerEntry,
    lifecycle::{InfoValue, Name, NamedTree, OrderPart, SkipReason},
    order::{Order, OrderId},
    time::EpochSeconds,
};

use crate::{Fingerprint, NamedClaim, OrderPlace, PlacedOrder};

/// An order as it was placed and as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredOrder {
    /// The order as it was placed.
    pub placed: PlacedOrder,
    /// Its newest update; `None` for an order that was only placed.
    pub update: Option<OrderUpdate>,
}

impl StoredOrder {
    /// How it stands; `None` for an order that was only placed, and began as most do.
    #[must_use]
    pub fn tree(&self) -> Option<&NamedTree> {
        match &self.update {
            Some(update) => Some(&update.tree),
            None => self.placed.begun.as_deref(),
        }
    }

    /// How often it was updated.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.update.as_ref().map_or(0, |update| update.revision)
    }
}

/// An order that began with timers or steps, and was not updated since.
#[derive(Debug, Clone, PartialEq)]
pub struct BegunOrder {
    /// The order.
    pub order: OrderId,
    /// How it stands.
    pub tree: NamedTree,
}

/// An order of a list: as it was placed, and as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedOrder {
    /// The order of the first response.
    pub order: Order,
    /// As it began, where that does not follow from its sale alone.
    pub begun: Option<Box<NamedTree>>,
    /// Its newest update; `None` for an order that was only placed.
    pub update: Option<OrderUpdate>,
    /// When it was created.
    pub created_sec: EpochSeconds,
    /// The revision of the lifecycle that it was placed under.
    pub lifecycle: u32,
    /// Its place among all orders.
    pub place: OrderPlace,
}

impl ListedOrder {
    /// How it stands; `None` for an order that was only placed, and began as most do.
    #[must_use]
    pub fn tree(&self) -> Option<&NamedTree> {
        match &self.update {
            Some(update) => Some(&update.tree),
            None => self.begun.as_deref(),
        }
    }

    /// How often it was updated.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.update.as_ref().map_or(0, |update| update.revision)
    }
}

/// A change of an order after it was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderUpdate {
    /// The order.
    pub order: OrderId,
    /// Which change, from 1. An order that was only placed has revision 0.
    pub revision: u32,
    /// When.
    pub updated_sec: EpochSeconds,
    /// The order as it stands after it.
    pub tree: NamedTree,
    /// What has happened.
    pub entry: HistoryEntry,
    /// The spots that are given back. They are for sale once the update is on record.
    pub released: Vec<NamedClaim>,
    /// The request that asked for it.
    pub answer: Option<RequestAnswer>,
}

/// What a change of an order was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// What caused it.
    pub cause: UpdateCause,
    /// The user who asked for it, where somebody did.
    pub actor: Option<Arc<str>>,
    /// The revision of the lifecycle that decided.
    pub lifecycle: u32,
    /// The states that changed, in their sequence.
    pub changes: Vec<StateChange>,
    /// What was asked for and not possible.
    pub skipped: Vec<SkippedChange>,
    /// Events, in their sequence.
    pub events: Vec<EmittedEvent>,
    /// Entries in the payment ledger.
    pub ledger: Vec<LedgerEntry>,
    /// The items whose spots were given back, by index.
    pub released_items: Vec<u16>,
    /// What people have written. Erased with the person.
    pub texts: UpdateTexts,
}

impl HistoryEntry {
    /// An entry of a change in which nothing has happened yet, decided by this revision of the lifecycle.
    #[must_use]
    pub fn new(cause: UpdateCause, lifecycle: u32) -> Self {
        Self {
            cause,
            actor: None,
            lifecycle,
            changes: Vec::new(),
            skipped: Vec::new(),
            events: Vec::new(),
            ledger: Vec::new(),
            released_items: Vec::new(),
            texts: UpdateTexts::default(),
        }
    }
}

/// What people have written about a change of an order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateTexts {
    /// A note; empty if there is none.
    pub note: String,
    /// The reason, in words; empty if none was given.
    pub reason: String,
}

/// What causes a change of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateCause {
    /// An operator.
    Operator,
    /// The customer.
    Customer,
    /// The merchant, by a withdrawal or an answer.
    Merchant,
    /// A timer.
    Timer,
    /// The outcome of a step.
    Step,
}

/// A change of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The part.
    pub part: OrderPart,
    /// The state before.
    pub from: Name,
    /// The state after.
    pub to: Name,
}

/// A change that was asked for and not possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedChange {
    /// The part.
    pub part: OrderPart,
    /// The state, if one was asked for.
    pub to: Option<Name>,
    /// Why it was not possible.
    pub reason: SkipReason,
}

/// An event that was emitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmittedEvent {
    /// Its name.
    pub name: Name,
    /// The part that emitted it.
    pub part: OrderPart,
    /// What goes with it.
    pub params: Vec<(Name, InfoValue)>,
}

/// A request that was answered, so that it is never carried out twice on one order. It is found in the history of the
/// order, and its answer is the order as it stood after that update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestAnswer {
    /// The request id.
    pub request_id: String,
    /// Digest of caller, method and request, which tells a repetition from another request under the same id.
    pub fingerprint: Fingerprint,
}

impl RequestAnswer {
    /// Whether a request of this id was answered. UUIDs are equal in either letter case (RFC 9562), and early records
    /// have them as stated.
    #[must_use]
    pub fn has_id(&self, request_id: &str) -> bool {
        self.request_id.eq_ignore_ascii_case(request_id)
    }
}
