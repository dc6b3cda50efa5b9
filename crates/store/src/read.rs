//! What a store answers.

use std::{future::Future, ops::ControlFlow, pin::Pin, sync::Arc};

use domain::{
    ids::{MerchantId, ServiceId, UserId},
    order::{Order, OrderId},
    slot::SlotDuration,
    time::EpochSeconds,
};

use super::{
    BegunOrder, Fingerprint, HoldRecord, LifecycleChange, LifecycleRevision, ListedOrder,
    NamedClaim, OrderUpdate, PaymentIntent, PlacedOrder, PriceBook, ReadError, SlotBlock,
    StepRetry,
};

/// An answer that is there at once, or needs the disk or a network. A store never blocks the thread that asks.
pub enum Read<T> {
    /// The answer.
    Now(Result<T, ReadError>),
    /// The answer once it has been read. To be awaited in a runtime.
    Later(ReadFuture<T>),
}

/// An answer that has to be read.
pub type ReadFuture<T> = Pin<Box<dyn Future<Output = Result<T, ReadError>> + Send>>;

impl<T> Read<T> {
    /// The answer, at once where it is there.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn get(self) -> Result<T, ReadError> {
        match self {
            Self::Now(answer) => answer,
            Self::Later(answer) => answer.await,
        }
    }
}

/// The order that a token has created.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Digest of the request that created the order.
    pub fingerprint: Fingerprint,
    /// The name of the user who created the order, where that is on record.
    pub created_by: Option<Arc<str>>,
    /// The order of the first response.
    pub order: Box<Order>,
}

/// What decides who may see an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provenance<'o> {
    /// The name of the user who created it, where that is on record.
    pub created_by: Option<&'o str>,
    /// The merchant who sells it.
    pub merchant_id: &'o MerchantId,
}

/// Whether the caller may see an order.
pub type OrderFilter<'a> = &'a (dyn Fn(Provenance<'_>) -> bool + 'a);

/// The orders to list. Newest first is the reverse order of their commits, whatever the clock said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All orders of a user, newest first.
    User(UserId),
    /// The orders that were created in `from..until`, newest first.
    Created {
        /// The first second.
        from: EpochSeconds,
        /// The second after the last.
        until: EpochSeconds,
    },
    /// The orders of these ids, in this sequence, each once; unknown ids are left out.
    Ids(Vec<OrderId>),
    /// The orders with a claim on this slot, newest first.
    Slot(SlotName),
    /// The orders with a claim on a slot that starts in `from..until`, newest first.
    Visit {
        /// The first second.
        from: EpochSeconds,
        /// The second after the last.
        until: EpochSeconds,
    },
}

impl Selection {
    /// Whether an order with this claim is selected for its slots.
    pub(crate) fn selects_claim(&self, claim: &NamedClaim) -> bool {
        match self {
            Self::Slot(slot) => slot.is_of(claim),
            Self::Visit { from, until } => (*from..*until).contains(&claim.start_sec),
            Self::User(_) | Self::Created { .. } | Self::Ids(_) => false,
        }
    }
}

/// A slot by the ids of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotName {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// The service.
    pub service_id: ServiceId,
    /// Start.
    pub start_sec: EpochSeconds,
    /// Length; `None` for every slot with that start.
    pub duration_sec: Option<SlotDuration>,
}

impl SlotName {
    fn is_of(&self, claim: &NamedClaim) -> bool {
        let is_long_enough = self
            .duration_sec
            .is_none_or(|duration| duration == claim.duration_sec);
        is_long_enough
            && self.start_sec == claim.start_sec
            && self.service_id == claim.service_id
            && self.merchant_id == claim.merchant_id
    }
}

/// The place of an order among all orders of a store, by which a list is continued: an order that was committed later
/// has a greater one. It stays the same for as long as the store exists, and means nothing to another store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderPlace(pub u64);

/// Contents of a store when it was opened, as far as a server needs them in memory.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Number of orders on record.
    pub orders: u64,
    /// The spots that the orders take, less those that were given back, added up by slot and ticket type, in no particular sequence.
    pub sold: Vec<NamedClaim>,
    /// The newest updates of the orders that have timers, or steps that are open or were given up, without what people have written, in no particular
    /// sequence.
    pub updated: Vec<OrderUpdate>,
    /// The other orders that have timers or steps, in no particular order.
    pub begun: Vec<BegunOrder>,
    /// The newest attempts without an outcome at the steps that are open, in no particular sequence.
    pub retried: Vec<StepRetry>,
    /// The revisions of the lifecycle, oldest first.
    pub lifecycle: Vec<LifecycleRevision>,
    /// The draft of the next revision of the lifecycle, if there is one.
    pub draft: Option<String>,
    /// Payments without an outcome on record.
    pub pending: Vec<PaymentIntent>,
    /// Holds that are neither consumed nor released, whatever their time, in the order in which they were placed last.
    pub holds: Vec<HoldRecord>,
    /// The blocks in force of slots that are not forgotten, in no particular sequence.
    pub blocks: Vec<SlotBlock>,
    /// The prices last served.
    pub prices: PriceBook,
    /// When the newest order was created, by the clock of that moment.
    pub newest_order_sec: Option<EpochSeconds>,
    /// The latest second up to which slots were forgotten, if any ever were.
    pub slots_forgotten_until: Option<EpochSeconds>,
}

/// Receives orders with everything of their commit one by one, until it wants no more.
pub type PlacedSink<'t> = &'t mut (dyn FnMut(PlacedOrder) -> ControlFlow<()> + 't);

/// Receives the orders of a list one by one, until it wants no more.
pub type OrderSink<'t> = &'t mut (dyn FnMut(ListedOrder) -> ControlFlow<()> + 't);

/// Receives the blocks of a slot one by one, until it wants no more.
pub type BlockSink<'t> = &'t mut (dyn FnMut(SlotBlock) -> ControlFlow<()> + 't);
/// Receives the changes of the lifecycle one by one, until it wants no more.
pub type LifecycleSink<'t> = &'t mut (dyn FnMut(LifecycleChange) -> ControlFlow<()> + 't);

/// Receives the updates of an order one by one, until it wants no more.
pub type UpdateSink<'t> = &'t mut (dyn FnMut(OrderUpdate) -> ControlFlow<()> + 't);
