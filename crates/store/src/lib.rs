//! What outlives the process: orders, tokens, payment intents, prices last served.
//!
//! Everything is written through [`Store::commit`], one [`Change`] at a time, and a change is
//! durable as a whole or not at all. An order, its entry in its user's list, its token and its
//! payment are one change: none of them is ever there without the others.

use std::{collections::HashMap, future::Future, ops::ControlFlow, pin::Pin, sync::Arc};

use tokio::sync::watch;

use domain::{
    ids::{MerchantId, ServiceId, TicketId, Token, UserId},
    money::Money,
    order::{Order, OrderId},
    slot::SlotDuration,
    time::EpochSeconds,
};
use kernel::metrics::HistogramSnapshot;

mod error;
mod order_key;
pub mod record;

pub mod embedded;
pub mod memory;

pub use error::{CommitError, ErrorChain, ReadError};

/// A digest of a request; equal requests have equal fingerprints, whatever their encoding.
pub type Fingerprint = [u8; 32];

/// What one commit writes.
#[derive(Debug, Clone)]
pub enum Change {
    /// An order is created. Its payment's intent, if it had one, ends with it.
    Order(Arc<PlacedOrder>),
    /// A charge is about to be requested from the gateway.
    PaymentIntent(PaymentIntent),
    /// A payment ended without an order: its intent ends, the attempt stays on record.
    PaymentEnded(PaymentAttempt),
    /// The prices now served.
    Prices(PriceBook),
    /// Slots that ended before this second are forgotten: none of them is opened again.
    SlotsForgotten(EpochSeconds),
}

/// An order with everything that belongs to it.
#[derive(Debug, Clone)]
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

/// The orders to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All orders of a user, newest first.
    User(UserId),
    /// The orders of these ids, in this sequence, each once; unknown ids are left out.
    Ids(Vec<OrderId>),
}

/// Contents of a store when it was opened, as far as a server needs them in memory.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Number of orders on record.
    pub orders: u64,
    /// The spots that the orders take, added up by slot and ticket type, in no particular sequence.
    pub sold: Vec<NamedClaim>,
    /// Payments without an outcome on record.
    pub pending: Vec<PaymentIntent>,
    /// The prices last served.
    pub prices: PriceBook,
    /// When the newest order was created, by the clock of that moment.
    pub newest_order_sec: Option<EpochSeconds>,
    /// The latest second up to which slots were forgotten, if any ever were.
    pub slots_forgotten_until: Option<EpochSeconds>,
}

/// Whether changes can be committed.
#[derive(Debug, Clone)]
pub enum StoreState {
    /// They can.
    Open,
    /// A write failed. What is on disk is unknown, so nothing more is acknowledged until a restart has read
    /// it.
    Failed(CommitError),
}

impl StoreState {
    /// Whether changes can be committed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }
}

/// Statistics of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Orders on record.
    pub orders: u64,
    /// Changes that are submitted and not durable yet.
    pub waiting: u64,
    /// Statistics of writing, where the store writes to a disk.
    pub writes: Option<WriteStats>,
    /// Disk space, where the system reports it.
    pub disk: Option<DiskUsage>,
}

/// Disk space of a store, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsage {
    /// Allocated to the files of the store.
    pub used: u64,
    /// What may still be written.
    pub free: u64,
    /// Size of the file system.
    pub size: u64,
}

/// Statistics of writing to disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteStats {
    /// Changes per batch.
    pub batch_sizes: HistogramSnapshot,
    /// Nanoseconds to write and sync one batch.
    pub times: HistogramSnapshot,
}

/// Receives the orders of a list one by one, until it wants no more.
pub type OrderSink<'t> = &'t mut (dyn FnMut(Order) -> ControlFlow<()> + 't);

/// The result of a commit.
pub type CommitFuture = Pin<Box<dyn Future<Output = Result<(), CommitError>> + Send>>;

/// Durable storage of orders.
///
/// After a crash a token is either known with its whole order, or unknown. Of an unknown one
/// nothing is sold; at most it has a payment intent, which [`Store::recover`] returns. A commit
/// that returned `Ok` is there. One without a result is there as a whole or not at all.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Writes a change. When the future is ready the change is durable and visible to the lookups below.
    /// Dropping the future does not cancel the change.
    fn commit(&self, change: Change) -> CommitFuture;

    /// The id that the order of this token has, or will have.
    fn order_id(&self, token: &Token) -> OrderId;

    /// The order of a token, if there is one.
    ///
    /// # Errors
    /// [`ReadError`].
    fn by_token(&self, token: &Token) -> Result<Option<Replay>, ReadError>;

    /// Hands over the selected orders one by one, each as soon as it has been read, until `take` breaks.
    /// Orders that `may_see` rejects are left out as if they did not exist.
    ///
    /// # Errors
    /// [`ReadError`].
    fn list(
        &self,
        selection: &Selection,
        may_see: OrderFilter<'_>,
        take: OrderSink<'_>,
    ) -> Result<(), ReadError>;

    /// Number of payments that ended without an order under this token.
    ///
    /// # Errors
    /// [`ReadError`].
    fn failed_attempts(&self, token: &Token) -> Result<u32, ReadError>;

    /// Contents of the store when it was opened. To be called once, before the first commit.
    ///
    /// # Errors
    /// [`ReadError`]: then nothing may be sold.
    fn recover(&self) -> Result<Recovered, ReadError>;

    /// Whether changes can be committed, now and whenever that changes.
    fn state(&self) -> watch::Receiver<StoreState>;

    /// Statistics at this moment.
    fn stats(&self) -> StoreStats;
}

/// Claims added up by slot and ticket type, of which there are far fewer than orders.
#[derive(Debug, Default)]
struct ClaimTotals(HashMap<NamedClaim, u32>);

impl ClaimTotals {
    fn add(&mut self, claims: impl IntoIterator<Item = NamedClaim>) {
        for claim in claims {
            let count = claim.count;
            // The count is zeroed, because claims of the same slot and ticket type must share one
            // key.
            let total = self.0.entry(NamedClaim { count: 0, ..claim }).or_default();
            // At the limit it is more than any slot has; nothing more is sold of it either way.
            *total = total.saturating_add(count);
        }
    }

    fn into_claims(self) -> Vec<NamedClaim> {
        self.0
            .into_iter()
            .map(|(claim, count)| NamedClaim { count, ..claim })
            .collect()
    }
}
