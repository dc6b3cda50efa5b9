//! What outlives the process: orders, tokens, holds, payment intents, prices last served.
//!
//! Everything is written through [`Store::commit`], one [`UnitOfWork`] at a time, and a unit is durable as a whole or
//! not at all. An order, its entry in its user's list, its token, its payment and the end of its hold are one unit: none
//! of them is ever there without the others.
//!
//! | module | content |
//! |---|---|
//! | `unit` | what is written: units of work, with their preconditions |
//! | `commit` | the result of a commit |
//! | `update` | what becomes of an order after its sale |
//! | `block` | spots that are off sale without an order |
//! | `lifecycle` | the revisions of the lifecycle, its draft, the states in use, attempts at steps |
//! | `read` | what is answered, and what a server needs when it starts |
//! | `stats` | health and statistics |
//! | [`record`] | the records on disk: encoded, decoded strictly |
//! | [`log`] | the embedded store: an append-only log on the local disk |
//! | [`memory`] | a store that forgets, for demonstrations and tests |
//! | `conformance` | the tests that every store has to pass |

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin};

use tokio::sync::watch;

use domain::{
    ids::{Token, UserId},
    order::OrderId,
    time::{EpochSeconds, Seconds},
};

mod block;
mod claim_totals;
mod commit;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod erasure_answer;
mod error;
mod latest_prices;
mod lifecycle;
pub mod log;
pub mod memory;
mod order_key;
mod read;
pub mod record;
mod stats;
mod unit;
mod update;

use claim_totals::ClaimTotals;
use lifecycle::StateSums;

pub use block::{NamedSlot, SlotBlock};
pub use commit::CommitFuture;
pub use erasure_answer::{ErasureAnswer, ErasureAnswerSink};
pub use error::{CommitError, EraseError, ErrorChain, ReadError};
pub use lifecycle::{
    LifecycleChange, LifecycleDigest, LifecycleDraft, LifecycleRevision, StateCount, StateProfile,
    StatesInUse, StepRetry,
};
pub use order_key::{BlockKey, KeyDeriver, OrderKey, UserKey};
pub use read::{
    BlockSink, LifecycleSink, OrderFilter, OrderPlace, OrderSink, PlacedSink, Provenance, Read,
    ReadFuture, Recovered, Replay, Selection, SlotName, UpdateSink,
};
pub use stats::{DiskUsage, ScrubStats, StoreHealth, StoreStats, WriteStats};
pub use unit::{
    Fingerprint, HoldId, HoldRecord, HoldState, NamedClaim, PaymentAttempt, PaymentIntent,
    PaymentOutcome, PlacedBill, PlacedOrder, Precondition, Preconditions, PriceBook, PriceEntry,
    ReleaseReason, StoredHold, UnitOfWork, Write, Writes,
};
pub use update::{
    BegunOrder, EmittedEvent, HistoryEntry, ListedOrder, OrderUpdate, RequestAnswer, SkippedChange,
    StateChange, StoredOrder, UpdateCause, UpdateTexts,
};

/// The result of an erasure: of how many orders the personal data was erased.
pub type EraseFuture = Pin<Box<dyn Future<Output = Result<u64, EraseError>> + Send>>;

/// Durable storage of orders.
///
/// After a crash a token is either known with its whole order, or unknown. Of an unknown one
/// nothing is sold; at most it has a payment intent, which [`Store::recover`] returns. A commit
/// that returned `Ok` is there. One without a result is there as a whole or not at all.
pub trait Store: Send + Sync + fmt::Debug {
    /// Writes a unit. When the future is ready the unit is durable and visible to the lookups below. The unit is
    /// submitted by the call itself: dropping the future does not cancel it.
    ///
    /// [`CommitError::Stale`] if a precondition does not hold at that moment: then nothing is written.
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture;

    /// The key of the order that this token has led to, or will. In letters it is the order's id.
    fn order_key(&self, token: &Token) -> OrderKey;

    /// The order of this key, if there is one.
    fn find_request(&self, key: &OrderKey) -> Read<Option<Replay>>;

    /// An order as it was placed and as it stands, if it is on record.
    fn find_order(&self, id: &OrderId) -> Read<Option<StoredOrder>>;

    /// Hands over the updates of an order one by one, newest first, until `take` breaks; none if the order is unknown. It
    /// may block: to be called where blocking is allowed.
    ///
    /// # Errors
    /// [`ReadError`].
    fn history(&self, id: &OrderId, take: UpdateSink<'_>) -> Result<(), ReadError>;

    /// Hands over the blocks that a slot had one by one, newest first, until `take` breaks; none if the slot is forgotten.
    /// It may block: to be called where blocking is allowed.
    ///
    /// # Errors
    /// [`ReadError`].
    fn block_history(&self, slot: &NamedSlot, take: BlockSink<'_>) -> Result<(), ReadError>;
    /// Hands over the changes of the lifecycle itself one by one, newest first, until `take` breaks. It may block: to be
    /// called where blocking is allowed.
    ///
    /// # Errors
    /// [`ReadError`].
    fn lifecycle_changes(&self, take: LifecycleSink<'_>) -> Result<(), ReadError>;

    /// Hands over the answers to requests that have erased a person one by one, newest first, until `take` breaks. It may
    /// block: to be called where blocking is allowed.
    ///
    /// # Errors
    /// [`ReadError`].
    fn erasure_answers(&self, take: ErasureAnswerSink<'_>) -> Result<(), ReadError>;

    /// The states of all orders, as far as they are on record. It takes a time that does not depend on the number of orders.
    fn states_in_use(&self) -> StatesInUse;

    /// The number of orders whose states follow from their sale ([`StatesInUse::placed`]), by the revision of the lifecycle
    /// that they were placed under. It looks at each order, so it is for those who cannot do without. It may block.
    ///
    /// # Errors
    /// [`ReadError`].
    fn placed_by_revision(&self) -> Result<BTreeMap<u32, u64>, ReadError>;

    /// A hold, if it is on record, as it was placed last. One that ended is found for [`HOLD_RETENTION`], as long as
    /// [`ENDED_HOLDS_MAX`] others have not ended since.
    fn find_hold(&self, id: HoldId) -> Read<Option<StoredHold>>;

    /// Hands over the selected orders one by one, each as soon as it has been read, until `take` breaks. With `before`, only
    /// those before that place in the sequence of commits: the rest of a list that was broken off.
    /// Orders that `may_see` rejects are left out as if they did not exist. It may block: to be called where blocking is
    /// allowed.
    ///
    /// # Errors
    /// [`ReadError`].
    fn list(
        &self,
        selection: &Selection,
        before: Option<OrderPlace>,
        may_see: OrderFilter<'_>,
        take: OrderSink<'_>,
    ) -> Result<(), ReadError>;

    /// The number of the last payment of this order that ended without it; 0 if none did. Payments of an order are
    /// numbered from 1 on, so it is also how many have failed.
    fn failed_attempts(&self, key: &OrderKey) -> Read<u32>;

    /// Erases the customer and the answers of all orders of a user that are there when it is called. One that is placed
    /// meanwhile may keep them. Of an erased order everything else stays: it is found by its token, which is still
    /// recognized, and by its id and its time, but under no user. Erased again, it does not count. To be called in a
    /// runtime; dropping the future does not cancel the erasure.
    ///
    /// [`EraseError::Partly`] if some orders are damaged: all others are erased then. [`EraseError::Overwrite`] if the orders are erased for all readers and their bytes are not overwritten yet.
    fn erase_person(&self, user_id: &UserId) -> EraseFuture;

    /// Erases the same of orders whose last slot ended before a second, of `most` orders at most. If none was erased, there
    /// may be others: the next call goes on.
    fn erase_visits(&self, ended_before: EpochSeconds, most: usize) -> EraseFuture;

    /// Erases the same of one order. Returns 1, or 0 if it was erased before or is unknown.
    fn erase_order(&self, id: &OrderId) -> EraseFuture;

    /// Hands over everything that is on record of a user's orders, newest first, until `take` breaks. It may block.
    ///
    /// # Errors
    /// [`ReadError`]. With [`ReadError::DamagedOrders`] all others were handed over.
    fn export_person(&self, user_id: &UserId, take: PlacedSink<'_>) -> Result<(), ReadError>;

    /// Contents of the store when it was opened. To be called once, before the first commit. It may block.
    ///
    /// # Errors
    /// [`ReadError`]: then nothing may be sold.
    fn recover(&self) -> Result<Recovered, ReadError>;

    /// Whether units can be committed, now and whenever that changes.
    fn health(&self) -> watch::Receiver<StoreHealth>;

    /// Statistics at this moment.
    fn stats(&self) -> StoreStats;
}

/// How long a hold stays readable after its end.
pub const HOLD_RETENTION: Seconds = Seconds::days(30);

/// How many ended holds stay readable at least, 140,000 for each of these days. More than that, and the oldest are
/// forgotten: a caller who places holds in a loop must not fill the memory with what has ended.
pub const ENDED_HOLDS_MAX: usize = 1 << 22;
