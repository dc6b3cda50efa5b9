//! The records of erasures. The store writes them itself: they are no writes of a unit.

use prost::Message;

use super::{
    RecordError,
    decode::{decode_order_key, fixed, message},
    proto,
    update::{answer_from_record, answer_to_record},
};
use crate::{
    ErasureAnswer,
    order_key::{OrderKey, UserKey},
};
use domain::time::EpochSeconds;

/// The personal data of these orders is erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonErased {
    /// Whose data.
    pub scope: ErasureScope,
    /// When the erasure began.
    pub erased_sec: EpochSeconds,
    /// Where the records of the orders are, in bits and ascending; at least one.
    pub orders: Vec<u64>,
}

/// Whose personal data is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErasureScope {
    /// That of a customer, by the key of the user's list of orders.
    Customer(UserKey),
    /// That of an order.
    Order(OrderKey),
    /// That of visits which ended before this second.
    VisitsEndedBefore(EpochSeconds),
}

/// The record of an erasure that begins.
#[must_use]
pub fn encode_person_erased(erased: &PersonErased) -> Vec<u8> {
    let PersonErased {
        scope,
        erased_sec,
        orders,
    } = erased;
    let mut record = proto::PersonErased {
        erased_sec: erased_sec.get(),
        order_position: orders.clone(),
        ..proto::PersonErased::default()
    };
    match scope {
        ErasureScope::Customer(user) => record.user_key = Some(user.0.to_vec()),
        ErasureScope::Order(order) => record.order_key = Some(order.0.to_vec()),
        ErasureScope::VisitsEndedBefore(second) => record.ended_before_sec = Some(second.get()),
    }
    record.encode_to_vec()
}

/// An erasure that begins.
///
/// # Errors
/// [`RecordError`].
pub fn decode_person_erased(public: &[u8]) -> Result<PersonErased, RecordError> {
    let proto::PersonErased {
        user_key,
        erased_sec,
        order_position,
        ended_before_sec,
        order_key,
    } = message(public)?;
    let scope = match (user_key, order_key, ended_before_sec) {
        (Some(key), None, None) => ErasureScope::Customer(fixed("user key", &key).map(UserKey)?),
        (None, Some(key), None) => ErasureScope::Order(decode_order_key(&key)?),
        (None, None, Some(second)) => ErasureScope::VisitsEndedBefore(EpochSeconds::new(second)),
        (None, None, None) => return Err(RecordError::Missing("user key")),
        _ => return Err(RecordError::NotCanonical),
    };
    if order_position.is_empty() {
        return Err(RecordError::Missing("order position"));
    }
    if !order_position.is_sorted_by(|one, next| one < next) {
        return Err(RecordError::NotCanonical);
    }
    Ok(PersonErased {
        scope,
        erased_sec: EpochSeconds::new(erased_sec),
        orders: order_position,
    })
}

/// The record of an erasure that is complete, by the position of the record with which it began, in bits.
#[must_use]
pub fn encode_erasure_completed(erasure: u64) -> Vec<u8> {
    proto::ErasureCompleted {
        erasure_position: erasure,
    }
    .encode_to_vec()
}

/// The position of the record with which the erasure began that is complete, in bits.
///
/// # Errors
/// [`RecordError`].
pub fn decode_erasure_completed(public: &[u8]) -> Result<u64, RecordError> {
    let proto::ErasureCompleted { erasure_position } = message(public)?;
    if erasure_position == 0 {
        return Err(RecordError::Missing("erasure position"));
    }
    Ok(erasure_position)
}

/// The record of a request that has erased a person.
pub(super) fn encode_erasure_answer(answer: &ErasureAnswer) -> Vec<u8> {
    let ErasureAnswer {
        orders,
        answered_sec,
        answer,
    } = answer;
    proto::ErasureAnswered {
        orders: *orders,
        answered_sec: answered_sec.get(),
        answer: Some(answer_to_record(answer)),
    }
    .encode_to_vec()
}

/// A request that has erased a person.
///
/// # Errors
/// [`RecordError`].
pub fn decode_erasure_answer(public: &[u8]) -> Result<ErasureAnswer, RecordError> {
    let proto::ErasureAnswered {
        orders,
        answered_sec,
        answer,
    } = message(public)?;
    Ok(ErasureAnswer {
        orders,
        answered_sec: EpochSeconds::new(answered_sec),
        answer: answer_from_record(answer.ok_or(RecordError::Missing("request"))?)?,
    })
}
