//! Units of work: what one change of the store needs and what it writes, as a value.
//!
//! A unit is decided first, with no store involved, and committed then, as a whole or not at all. It is never an
//! interactive transaction, so a store can write hundreds of units with one sync.

use std::{fmt, sync::Arc};

use smallvec::{SmallVec, smallvec};

use crate::OrderKey;
use domain::{
    ids::{MerchantId, ServiceId, TicketId, Token},
    lifecycle::NamedTree,
    money::Money,
    order::{LineItem, Order},
    refunds::{Bill, RefundFees},
    slot::SlotDuration,
    time::{EpochSeconds, Seconds},
};

use crate::{ErasureAnswer, LifecycleDraft, LifecycleRevision, OrderUpdate, SlotBlock, StepRetry};

/// A digest of a request; equal requests have equal fingerprints, whatever their encoding.
pub type Fingerprint = [u8; 32];

/// What a unit requires: as much as an order does, without an allocation.
pub type Preconditions = SmallVec<[Precondition; 3]>;

/// What a unit writes. Nearly all units have one record.
pub type Writes = SmallVec<[Write; 1]>;

/// What one commit requires and writes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UnitOfWork {
    /// What must be so at the moment of the commit, because the unit was decided on it.
    pub requires: Preconditions,
    /// What is written, in this order.
    pub writes: Writes,
}

impl UnitOfWork {
    /// A unit of one write.
    #[must_use]
    pub fn write(write: Write) -> Self {
        Self {
            requires: Preconditions::new(),
            writes: smallvec![write],
        }
    }

    /// The unit with one more precondition.
    #[must_use]
    pub fn requiring(mut self, precondition: Precondition) -> Self {
        self.requires.push(precondition);
        self
    }

    /// The unit with one more write.
    #[must_use]
    pub fn and(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }
}

impl From<Write> for UnitOfWork {
    fn from(write: Write) -> Self {
        Self::write(write)
    }
}

/// What must be so when a unit is committed. If it is not, nothing is written and the decision has to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// No order is on record under the token of this key.
    NewRequest(OrderKey),
    /// The hold is on record with this revision and neither released nor consumed; revision 0: it is not on record, or
    /// has ended.
    HoldRevision {
        /// The hold.
        id: HoldId,
        /// The expected revision.
        revision: u32,
    },
    /// The order is on record and was updated this often.
    OrderRevision {
        /// The order.
        order: OrderKey,
        /// The expected revision; 0 for one that was only placed.
        revision: u32,
    },
    /// This is the newest revision of the lifecycle; 0: none is on record.
    LifecycleRevision(u32),
}

/// One record of a unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// An order is created. Its payment's intent, if it had one, ends with it, and so does the hold that it consumes.
    OrderPlaced(Box<PlacedOrder>),
    /// A charge is about to be requested from the gateway.
    PaymentIntent(PaymentIntent),
    /// A payment ended without an order: its intent ends, the attempt stays on record.
    PaymentEnded(PaymentAttempt),
    /// Spots are held, in place of what the hold had before.
    HoldPlaced(Box<HoldRecord>),
    /// A hold ends without an order.
    HoldReleased {
        /// The hold.
        id: HoldId,
        /// When it was released.
        released_sec: EpochSeconds,
        /// Why.
        reason: ReleaseReason,
    },
    /// Prices now served. Each entry replaces the one of the same ids; all others stay.
    Prices(PriceBook),
    /// Slots that ended before this second are forgotten: none of them is opened again.
    SlotsForgotten(EpochSeconds),
    /// An order that is on record changes. The unit requires the revision before.
    OrderUpdated(Box<OrderUpdate>),
    /// Spots of a slot are off sale, in place of what was off sale of it before.
    Blocked(Box<SlotBlock>),
    /// An attempt at a step has ended without an outcome. The unit requires the revision of the order that has the step.
    StepRetried(Box<StepRetry>),
    /// A definition of the lifecycle is published. The unit requires the revision before.
    Lifecycle(Box<LifecycleRevision>),
    /// The draft of the next definition of the lifecycle, in place of the one before.
    LifecycleDraft(Box<LifecycleDraft>),
    /// A person was erased, by a request.
    ErasureAnswered(ErasureAnswer),
}

/// An order with everything that belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedOrder {
    /// The idempotency token it was created under.
    pub token: Token,
    /// Digest of the request that created it.
    pub fingerprint: Fingerprint,
    /// When it was created.
    pub created_sec: EpochSeconds,
    /// The name of the user who created it, where the server knew its users.
    pub created_by: Option<Arc<str>>,
    /// The order of the first response.
    pub order: Box<Order>,
    /// The spots it takes.
    pub claims: Vec<NamedClaim>,
    /// The payment, where this server charged.
    pub payment: Option<PaymentAttempt>,
    /// The hold that the order consumes, if its cart had one.
    pub hold: Option<HoldId>,
    /// What it was billed, where this server charged. Boxed: few orders have one.
    pub bill: Option<Box<PlacedBill>>,
    /// The order as it began, where that does not follow from its sale alone. Boxed: few orders have one.
    pub begun: Option<Box<NamedTree>>,
    /// The revision of the lifecycle that it was placed under, from 1.
    pub lifecycle: u32,
}

/// What an order was billed, with the terms of the sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedBill {
    /// The bill, with the refund terms of each item. Terms without a condition are recorded as none.
    pub bill: Bill,
    /// What happens to fees of items that are given back.
    pub refund_fees: RefundFees,
}

/// Spots by ids instead of indexes, which hold for one catalogue only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedClaim {
    /// Merchant of the slot.
    pub merchant_id: MerchantId,
    /// Service of the slot.
    pub service_id: ServiceId,
    /// Start of the slot.
    pub start_sec: EpochSeconds,
    /// Length of the slot.
    pub duration_sec: SlotDuration,
    /// Ticket type; `None` for an appointment.
    pub ticket_id: Option<TicketId>,
    /// How many spots.
    pub count: u32,
}

/// Identifies a hold. The hold of a cart has the key of the cart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldId(pub [u8; 16]);

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::BASE32_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HoldId({self})")
    }
}

/// Spots that are held for a cart until they are ordered, released, or the hold expires.
#[derive(Debug, Clone, PartialEq)]
pub struct HoldRecord {
    /// The hold.
    pub id: HoldId,
    /// How often it was placed, from 1; each renewal and each replacement counts.
    pub revision: u32,
    /// The name of the user it belongs to, where the server knows its users.
    pub owner: Option<Arc<str>>,
    /// The merchant.
    pub merchant_id: MerchantId,
    /// The lines as checked, each with its price.
    pub lines: Vec<LineItem>,
    /// The spots.
    pub claims: Vec<NamedClaim>,
    /// When this revision was placed.
    pub placed_sec: EpochSeconds,
    /// The second at which it ends.
    pub expires_sec: EpochSeconds,
    /// How long the cart has held spots before this revision, which counts against the cart's limit.
    pub used: Seconds,
}

/// Why a hold was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReason {
    /// Its cart was checked again without a hold, or its owner released it.
    Released,
    /// Its time was over.
    Expired,
}

/// A hold with its present state.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredHold {
    /// The hold as last placed.
    pub hold: HoldRecord,
    /// How it stands.
    pub state: HoldState,
}

/// How a hold on record stands. Expiry depends on the clock, which the store does not know: a hold whose time is over is
/// active until its release is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldState {
    /// Placed, and neither consumed nor released.
    Active,
    /// Its spots became an order.
    Consumed,
    /// It ended without an order.
    Released {
        /// When.
        released_sec: EpochSeconds,
        /// Why.
        reason: ReleaseReason,
    },
}

/// A charge that is about to be requested.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentIntent {
    /// The idempotency token of the order.
    pub token: Token,
    /// Which attempt under that token, from 1.
    pub attempt: u32,
    /// The amount to charge.
    pub amount: Money,
    /// When the attempt began.
    pub started_sec: EpochSeconds,
    /// The spots that must not be sold again before the payment has ended.
    pub claims: Vec<NamedClaim>,
    /// The hold that these spots were taken from, if the cart of the order had one.
    pub hold: Option<HoldId>,
}

/// A charge that was requested, and its outcome. Appended, never edited.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentAttempt {
    /// The intent of the attempt.
    pub intent: PaymentIntent,
    /// The outcome.
    pub outcome: PaymentOutcome,
    /// The gateway's id of the transaction; empty where there was none.
    pub transaction_id: String,
    /// When the outcome was known.
    pub finished_sec: EpochSeconds,
}

/// Outcome of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentOutcome {
    /// The money was taken.
    Captured,
    /// The gateway declined; no money was taken.
    Declined,
    /// The outcome was unknown, and the gateway has cancelled the charge before money was taken.
    Voided,
    /// The outcome was unknown; money had been taken, and the gateway has given it back.
    Refunded,
}

/// The price last served of every ticket type and appointment, and the one before. Entries of ticket types
/// that left the catalogue stay: they may come back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PriceBook {
    /// One entry per ticket type, or per service without tickets.
    pub entries: Vec<PriceEntry>,
}

/// The price of one ticket type, or of an appointment of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceEntry {
    /// Merchant.
    pub merchant_id: MerchantId,
    /// Service.
    pub service_id: ServiceId,
    /// Ticket type; `None` for an appointment.
    pub ticket_id: Option<TicketId>,
    /// The price last served.
    pub current: Money,
    /// The price before that, if there was one.
    pub previous: Option<Money>,
}
