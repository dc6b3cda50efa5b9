//! What an index and a summary need of each record, read without the rest.

use prost::Message;

use super::{
    RecordError, RecordKind,
    decode::{
        decode_hold_id, decode_hold_released, decode_order_key, decode_slots_forgotten, fixed,
        message, slot_claims,
    },
    proto,
};
use crate::{
    HoldId, NamedClaim, ReleaseReason,
    order_key::{OrderKey, UserKey},
};
use domain::{ids::UserId, time::EpochSeconds};

/// What an index and a summary need of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordFacts {
    /// An order is created.
    OrderPlaced(OrderFacts),
    /// A charge is about to be requested for this order.
    PaymentIntent(OrderKey),
    /// A payment ended without an order.
    PaymentEnded {
        /// The order that it was for.
        order: OrderKey,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Spots are held.
    HoldPlaced {
        /// The hold.
        id: HoldId,
        /// Its revision.
        revision: u32,
        /// When this revision was placed.
        placed_sec: EpochSeconds,
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
    /// Prices now served.
    Prices,
    /// Slots that ended before this second are forgotten.
    SlotsForgotten(EpochSeconds),
    /// The personal data of a customer was erased from all earlier orders.
    PersonErased(PersonErased),
}

/// What an index and a summary need of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFacts {
    /// The key of the order.
    pub key: OrderKey,
    /// The user; `None` after erasure.
    pub user_id: Option<UserId>,
    /// When it was created.
    pub created_sec: EpochSeconds,
    /// The spots it takes.
    pub claims: Vec<NamedClaim>,
    /// The hold that it consumes.
    pub hold: Option<HoldId>,
    /// Whether the payment's intent of the order ends with it.
    pub ends_intent: bool,
}

/// The personal data of a customer was erased from all earlier orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonErased {
    /// The key of the user's list of orders.
    pub user: UserKey,
    /// When it was erased.
    pub erased_sec: EpochSeconds,
    /// How many orders had the data.
    pub orders: u64,
}

/// What an index and a summary need of a record. `personal` is `None` if it was erased.
///
/// The rest of the record is skipped: only whole decoding finds all damage. Whether the bytes are those that were
/// written is for the checksums of the log to say.
///
/// # Errors
/// [`RecordError`].
pub fn decode_facts(
    kind: RecordKind,
    public: &[u8],
    personal: Option<&[u8]>,
) -> Result<RecordFacts, RecordError> {
    match kind {
        RecordKind::OrderPlaced => order_facts(public, personal).map(RecordFacts::OrderPlaced),
        RecordKind::PaymentIntent => {
            let intent = proto::IntentFacts::decode(public)?;
            decode_order_key(&intent.order_key).map(RecordFacts::PaymentIntent)
        }
        RecordKind::PaymentEnded => payment_ended_facts(public),
        RecordKind::HoldPlaced => hold_facts(public),
        RecordKind::HoldReleased => {
            let (id, released_sec, reason) = decode_hold_released(public)?;
            Ok(RecordFacts::HoldReleased {
                id,
                released_sec,
                reason,
            })
        }
        RecordKind::Prices => Ok(RecordFacts::Prices),
        RecordKind::SlotsForgotten => {
            decode_slots_forgotten(public).map(RecordFacts::SlotsForgotten)
        }
        RecordKind::PersonErased => decode_person_erased(public).map(RecordFacts::PersonErased),
    }
}

/// The key of an order. The rest is skipped, as by [`decode_facts`].
///
/// # Errors
/// [`RecordError`].
pub fn order_key(public: &[u8]) -> Result<OrderKey, RecordError> {
    let order = proto::OrderCreation::decode(public)?;
    decode_order_key(&order.order_key)
}

/// When an order was created. The rest is skipped, as by [`decode_facts`].
///
/// # Errors
/// [`RecordError`].
pub fn created_sec(public: &[u8]) -> Result<EpochSeconds, RecordError> {
    let order = proto::OrderCreation::decode(public)?;
    Ok(EpochSeconds::new(order.created_sec))
}

/// Whether an order is of this user; never after erasure.
///
/// # Errors
/// [`RecordError`].
pub fn is_of_user(personal: Option<&[u8]>, expected: &UserId) -> Result<bool, RecordError> {
    match personal {
        Some(personal) => Ok(user_id(personal)? == *expected),
        None => Ok(false),
    }
}

/// The record of an erasure.
#[must_use]
pub fn encode_person_erased(erased: &PersonErased) -> Vec<u8> {
    let PersonErased {
        user,
        erased_sec,
        orders,
    } = erased;
    proto::PersonErased {
        user_key: user.0.to_vec(),
        erased_sec: erased_sec.get(),
        orders: *orders,
    }
    .encode_to_vec()
}

/// An erasure.
///
/// # Errors
/// [`RecordError`].
pub fn decode_person_erased(public: &[u8]) -> Result<PersonErased, RecordError> {
    let proto::PersonErased {
        user_key,
        erased_sec,
        orders,
    } = message(public)?;
    Ok(PersonErased {
        user: fixed("user key", &user_key).map(UserKey)?,
        erased_sec: EpochSeconds::new(erased_sec),
        orders,
    })
}

fn order_facts(public: &[u8], personal: Option<&[u8]>) -> Result<OrderFacts, RecordError> {
    let proto::OrderFacts {
        order_key,
        created_sec,
        claim,
        payment,
        hold_id,
    } = proto::OrderFacts::decode(public)?;
    Ok(OrderFacts {
        key: decode_order_key(&order_key)?,
        user_id: personal.map(user_id).transpose()?,
        created_sec: EpochSeconds::new(created_sec),
        claims: slot_claims(claim),
        hold: hold_id.as_deref().map(decode_hold_id).transpose()?,
        ends_intent: payment.is_some(),
    })
}

fn user_id(personal: &[u8]) -> Result<UserId, RecordError> {
    let customer = proto::PersonalFacts::decode(personal)?.customer;
    let customer = customer.ok_or(RecordError::Missing("customer"))?;
    Ok(customer.user_id.into())
}

fn payment_ended_facts(public: &[u8]) -> Result<RecordFacts, RecordError> {
    let ended = proto::PaymentEndedFacts::decode(public)?;
    let attempt = ended
        .attempt
        .ok_or(RecordError::Missing("payment attempt"))?;
    let intent = attempt
        .intent
        .ok_or(RecordError::Missing("payment intent"))?;
    Ok(RecordFacts::PaymentEnded {
        order: decode_order_key(&intent.order_key)?,
        attempt: intent.attempt,
    })
}

fn hold_facts(public: &[u8]) -> Result<RecordFacts, RecordError> {
    let proto::HoldFacts {
        hold_id,
        revision,
        placed_sec,
        expires_sec,
    } = proto::HoldFacts::decode(public)?;
    Ok(RecordFacts::HoldPlaced {
        id: decode_hold_id(&hold_id)?,
        revision,
        placed_sec: EpochSeconds::new(placed_sec),
        expires_sec: EpochSeconds::new(expires_sec),
    })
}
