//! Records on disk: one protocol buffer for each write of a unit, so that later versions read the records of earlier
//! ones.
//!
//! An order has two parts: what is public within the store, and the personal data of its customer, which is overwritten
//! in place when the person is erased. All other records have one. Encoding cannot fail. Decoding is strict: a record that
//! no version of this program writes is damage.
//!
//! | module | content |
//! |---|---|
//! | `encode` | values to records, straight from the borrowed values |
//! | `decode` | records to values |
//! | `update` | updates of orders, both ways |
//! | `block` | blocks of slots, both ways |
//! | `lifecycle` | the lifecycle and attempts at steps, both ways |
//! | `erasures` | the records of erasures, which are no writes of a unit |
//! | `facts` | what index and summaries need of a record, without the rest |
//! | [`proto`] | the generated messages |

use std::sync::Arc;

use prost::DecodeError;

use super::{
    HoldId, OrderUpdate, PlacedOrder, ReleaseReason, SlotBlock, StateProfile, Write,
    order_key::{BlockKey, KeyDeriver, OrderKey, SlotKeys, UserKey},
};
use domain::{money::Money, time::EpochSeconds};

mod block;
mod decode;
mod encode;
mod erasures;
mod facts;
mod lifecycle;
pub mod proto;
mod update;
mod writer;

pub use block::decode_block;
pub(crate) use decode::erased_customer;
pub use decode::{
    check_record, decode_attempt, decode_begun, decode_hold, decode_hold_released, decode_intent,
    decode_order_if, decode_placed, decode_prices, decode_replay, decode_slots_forgotten,
};
pub use erasures::{
    ErasureScope, PersonErased, decode_erasure_answer, decode_erasure_completed,
    decode_person_erased, encode_erasure_completed, encode_person_erased,
};
pub use facts::{
    BegunFacts, OrderFacts, RecordFacts, UpdateFacts, created_sec, decode_facts, has_claim,
    is_of_user, order_key, visit_end_sec,
};
pub use lifecycle::{decode_draft, decode_published, decode_step_retried};
pub use update::decode_update;

/// Why bytes are not a record that some version of this program has written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// There is no such kind of record.
    #[error("a record has the kind {0}, which no version of this program writes")]
    UnknownKind(u8),
    /// The bytes are not the protocol buffer.
    #[error("a record is not a message of its kind")]
    Malformed(#[from] DecodeError),
    /// The message is there, and bytes that are no part of it.
    #[error("a record has bytes that are no part of its message")]
    NotCanonical,
    /// A field that every record of the kind has is absent.
    #[error("a record has no {0}")]
    Missing(&'static str),
    /// A field has a value that no version of this program writes.
    #[error("a record has the {field} {value}, which no version of this program writes")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        value: i64,
    },
    /// A field of a fixed length has another one.
    #[error("a record has a {field} of {bytes} bytes")]
    Length {
        /// The field.
        field: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// The currency of an amount is unknown.
    #[error("a record has an amount in {0:?}, which is not a currency")]
    UnknownCurrency(String),
}

/// The kind of a record. The numbers are on disk and keep their meaning; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// [`Write::OrderPlaced`]. Its personal part has customer and answers.
    OrderPlaced = 1,
    /// [`Write::PaymentIntent`].
    PaymentIntent = 2,
    /// [`Write::PaymentEnded`].
    PaymentEnded = 3,
    /// [`Write::HoldPlaced`].
    HoldPlaced = 4,
    /// [`Write::HoldReleased`].
    HoldReleased = 5,
    /// [`Write::Prices`].
    Prices = 6,
    /// [`Write::SlotsForgotten`].
    SlotsForgotten = 7,
    /// The personal data of some orders is erased: [`PersonErased`].
    PersonErased = 8,
    /// All of that data is overwritten.
    ErasureCompleted = 9,
    /// [`Write::OrderUpdated`]. Its personal part is what people have written.
    OrderUpdated = 10,
    /// [`Write::Blocked`].
    Blocked = 11,
    /// [`Write::StepRetried`].
    StepRetried = 12,
    /// [`Write::Lifecycle`].
    Lifecycle = 13,
    /// [`Write::LifecycleDraft`].
    LifecycleDraft = 14,
    /// [`Write::ErasureAnswered`].
    ErasureAnswered = 15,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::OrderPlaced,
        Self::PaymentIntent,
        Self::PaymentEnded,
        Self::HoldPlaced,
        Self::HoldReleased,
        Self::Prices,
        Self::SlotsForgotten,
        Self::PersonErased,
        Self::ErasureCompleted,
        Self::OrderUpdated,
        Self::Blocked,
        Self::StepRetried,
        Self::Lifecycle,
        Self::LifecycleDraft,
        Self::ErasureAnswered,
    ];

    /// Whether records of this kind have a personal part.
    #[must_use]
    pub const fn has_personal_part(self) -> bool {
        matches!(self, Self::OrderPlaced | Self::OrderUpdated)
    }

    /// The number on disk.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl TryFrom<u8> for RecordKind {
    type Error = RecordError;

    fn try_from(number: u8) -> Result<Self, RecordError> {
        let mut kinds = Self::ALL.into_iter();
        kinds
            .find(|kind| kind.number() == number)
            .ok_or(RecordError::UnknownKind(number))
    }
}

/// A write as it goes to disk, with the keys that the index needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRecord {
    /// Its kind.
    pub kind: RecordKind,
    /// The part without personal data.
    pub public: Vec<u8>,
    /// Personal data; empty except for orders.
    pub personal: Vec<u8>,
    /// The keys.
    pub keys: RecordKeys,
}

/// What the index and the open work need of a record that is written. It is what [`decode_facts`] reads of the record
/// later, without the claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKeys {
    /// An order.
    Order {
        /// Its key.
        order: OrderKey,
        /// The user's list that it belongs to.
        user: UserKey,
        /// When it was created.
        created_sec: EpochSeconds,
        /// The hold that it consumes.
        hold: Option<HoldId>,
        /// Whether its payment's intent ends with it.
        ends_intent: bool,
        /// How it began; `None` if that follows from its sale.
        begun: Option<BegunFacts>,
        /// The slots that it is for.
        slots: SlotKeys,
    },
    /// The payment of this order begins.
    Intent(OrderKey),
    /// A payment of this order ended without it.
    PaymentEnded(OrderKey),
    /// A hold has this revision now.
    Hold {
        /// The hold.
        id: HoldId,
        /// Its revision.
        revision: u32,
        /// The second at which it ends.
        expires_sec: EpochSeconds,
    },
    /// A hold ends without an order.
    HoldReleased {
        /// The hold.
        id: HoldId,
        /// When it was released.
        released_sec: EpochSeconds,
        /// Why.
        reason: ReleaseReason,
    },
    /// Prices are served.
    Prices,
    /// Slots that ended before this second are forgotten.
    SlotsForgotten(EpochSeconds),
    /// An erasure begins.
    PersonErased,
    /// The erasure that began with the record at this position, in bits, is complete.
    ErasureCompleted(u64),
    /// An order has this revision now.
    Update {
        /// The order.
        order: OrderKey,
        /// Its revision.
        revision: u32,
        /// Whether it has timers or steps.
        has_work: bool,
        /// The states that it is in.
        states: Arc<StateProfile>,
    },
    /// A slot has this block now.
    Block(BlockFacts),
    /// A step of an order was tried.
    StepRetried {
        /// The order.
        order: OrderKey,
        /// The number of the step.
        step: u16,
    },
    /// The lifecycle has this revision now.
    Lifecycle(u32),
    /// The lifecycle has another draft, or none.
    LifecycleDraft,
    /// A request that has erased a person was answered.
    ErasureAnswered,
}

/// What an index and a summary need of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockFacts {
    /// The key of the slot.
    pub key: BlockKey,
    /// The second after the slot.
    pub end_sec: EpochSeconds,
    /// Whether any spots are blocked; otherwise the block ends.
    pub is_on: bool,
}

impl BlockFacts {
    /// Those of a block.
    #[must_use]
    pub fn of(block: &SlotBlock, keys: &KeyDeriver) -> Self {
        Self {
            key: keys.block_key(&block.slot),
            end_sec: block.slot.end_sec(),
            is_on: block.spots.is_any(),
        }
    }
}

/// A write as it goes to disk.
#[must_use]
pub fn encode(write: &Write, keys: &KeyDeriver) -> EncodedRecord {
    let (kind, public, record_keys) = match write {
        Write::OrderPlaced(placed) => return encode_order(placed, keys),
        Write::OrderUpdated(update) => return encode_update(update),
        Write::StepRetried(retry) => {
            // As in `encode_update`.
            let order = OrderKey::of_id(&retry.order).unwrap_or_default();
            let public = lifecycle::step_retried(retry, &order);
            let step = retry.step;
            let record_keys = RecordKeys::StepRetried { order, step };
            (RecordKind::StepRetried, public, record_keys)
        }
        Write::Lifecycle(revision) => {
            let record_keys = RecordKeys::Lifecycle(revision.number);
            let public = lifecycle::published(revision);
            (RecordKind::Lifecycle, public, record_keys)
        }
        Write::LifecycleDraft(draft) => {
            let public = lifecycle::drafted(draft);
            let record_keys = RecordKeys::LifecycleDraft;
            (RecordKind::LifecycleDraft, public, record_keys)
        }
        Write::ErasureAnswered(answer) => {
            let public = erasures::encode_erasure_answer(answer);
            let record_keys = RecordKeys::ErasureAnswered;
            (RecordKind::ErasureAnswered, public, record_keys)
        }
        Write::PaymentIntent(intent) => {
            let key = keys.order_key(&intent.token);
            let public = encode::intent(intent, &key);
            (RecordKind::PaymentIntent, public, RecordKeys::Intent(key))
        }
        Write::PaymentEnded(ended) => {
            let key = keys.order_key(&ended.intent.token);
            let public = encode::payment_ended(ended, &key);
            let record_keys = RecordKeys::PaymentEnded(key);
            (RecordKind::PaymentEnded, public, record_keys)
        }
        Write::HoldPlaced(hold) => {
            let record_keys = RecordKeys::Hold {
                id: hold.id,
                revision: hold.revision,
                expires_sec: hold.expires_sec,
            };
            (RecordKind::HoldPlaced, encode::hold(hold), record_keys)
        }
        &Write::HoldReleased {
            id,
            released_sec,
            reason,
        } => {
            let public = encode::hold_released(id, released_sec, reason);
            let record_keys = RecordKeys::HoldReleased {
                id,
                released_sec,
                reason,
            };
            (RecordKind::HoldReleased, public, record_keys)
        }
        Write::Prices(book) => (RecordKind::Prices, encode::prices(book), RecordKeys::Prices),
        Write::Blocked(block) => {
            let record_keys = RecordKeys::Block(BlockFacts::of(block, keys));
            (RecordKind::Blocked, block::encode(block), record_keys)
        }
        Write::SlotsForgotten(until_sec) => {
            let public = encode::slots_forgotten(*until_sec);
            let record_keys = RecordKeys::SlotsForgotten(*until_sec);
            (RecordKind::SlotsForgotten, public, record_keys)
        }
    };
    EncodedRecord {
        kind,
        public,
        personal: Vec::new(),
        keys: record_keys,
    }
}

fn encode_order(placed: &PlacedOrder, keys: &KeyDeriver) -> EncodedRecord {
    // The id is the key in letters, so the token need not be hashed again. An id that no store gives out is the caller's
    // error; the order is then found under its token all the same.
    let key = OrderKey::of_id(&placed.order.id).unwrap_or_else(|| keys.order_key(&placed.token));
    EncodedRecord {
        kind: RecordKind::OrderPlaced,
        public: encode::order(placed, &key),
        personal: encode::personal(&placed.order),
        keys: RecordKeys::Order {
            order: key,
            user: keys.user_key(&placed.order.customer.user_id),
            created_sec: placed.created_sec,
            hold: placed.hold,
            ends_intent: placed.payment.is_some(),
            begun: BegunFacts::of(placed),
            slots: keys.slot_keys(&placed.claims),
        },
    }
}

fn encode_update(change: &OrderUpdate) -> EncodedRecord {
    // The caller has the id from the store. One that no store gives out belongs to no order, and its unit is stale.
    let key = OrderKey::of_id(&change.order).unwrap_or_default();
    let (public, personal) = update::encode(change, &key);
    EncodedRecord {
        kind: RecordKind::OrderUpdated,
        public,
        personal,
        keys: RecordKeys::Update {
            order: key,
            revision: change.revision,
            has_work: change.tree.has_work(),
            states: Arc::new(StateProfile::of(change.entry.lifecycle, &change.tree)),
        },
    }
}

/// Micro-units of an amount. Every amount was checked to fit when it was computed, so the limit is never reached.
fn micros(money: Money) -> i64 {
    money.to_micros().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
