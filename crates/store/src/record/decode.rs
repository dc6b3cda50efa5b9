//! Records to values, strictly: an enum value that no version of this program writes is damage and never becomes a
//! default, and so are bytes that a message does not declare.

use std::sync::Arc;

use prost::Message;

use super::{
    RecordError, RecordKind, decode_draft, decode_erasure_completed, decode_person_erased,
    decode_published, decode_step_retried, encode::FIRST_LIFECYCLE, proto, update::decode_tree,
};
use crate::{
    BegunOrder, Fingerprint, HoldId, HoldRecord, NamedClaim, OrderFilter, PaymentAttempt,
    PaymentIntent, PaymentOutcome, PlacedOrder, PriceBook, PriceEntry, Provenance, ReleaseReason,
    Replay,
    order_key::{KEY_BYTES, OrderKey},
};
use domain::{
    money::{Currency, Money},
    order::Order,
    time::{EpochSeconds, Seconds},
};

mod bill;
mod order;

pub(crate) use order::erased_customer;

/// The order that a token has created. `personal` is `None` if it was erased; the order then has an empty customer and
/// no answers.
///
/// # Errors
/// [`RecordError`].
pub fn decode_replay(public: &[u8], personal: Option<&[u8]>) -> Result<Replay, RecordError> {
    let PlacedOrder {
        fingerprint,
        created_by,
        order,
        ..
    } = decode_placed(public, personal)?;
    Ok(Replay {
        fingerprint,
        created_by,
        order,
    })
}

/// The order of a record with everything of its commit, if it passes the filter. `personal` as in [`decode_replay`].
///
/// # Errors
/// [`RecordError`]. The personal part of an order that does not pass is not looked at.
pub fn decode_order_if(
    public: &[u8],
    personal: Option<&[u8]>,
    may_see: OrderFilter<'_>,
) -> Result<Option<PlacedOrder>, RecordError> {
    let mut placed = public_part(public)?;
    let provenance = Provenance {
        created_by: placed.created_by.as_deref(),
        merchant_id: &placed.order.merchant_id,
    };
    if !may_see(provenance) {
        return Ok(None);
    }
    add_personal_part(&mut placed.order, personal)?;
    Ok(Some(placed))
}

/// An order with everything of its commit. `personal` as in [`decode_replay`].
///
/// # Errors
/// [`RecordError`].
pub fn decode_placed(public: &[u8], personal: Option<&[u8]>) -> Result<PlacedOrder, RecordError> {
    let mut placed = public_part(public)?;
    add_personal_part(&mut placed.order, personal)?;
    Ok(placed)
}

/// An order that began with timers or steps, without the rest of its record.
///
/// # Errors
/// [`RecordError`].
pub fn decode_begun(public: &[u8]) -> Result<BegunOrder, RecordError> {
    let PlacedOrder { order, begun, .. } = public_part(public)?;
    let tree = begun.ok_or(RecordError::Missing("order as it began"))?;
    Ok(BegunOrder {
        order: order.id,
        tree: *tree,
    })
}

/// A charge that is about to be requested.
///
/// # Errors
/// [`RecordError`].
pub fn decode_intent(public: &[u8]) -> Result<PaymentIntent, RecordError> {
    intent(message(public)?)
}

/// A payment that ended without an order.
///
/// # Errors
/// [`RecordError`].
pub fn decode_attempt(public: &[u8]) -> Result<PaymentAttempt, RecordError> {
    let proto::PaymentEnded { attempt: ended } = message(public)?;
    attempt(ended.ok_or(RecordError::Missing("payment attempt"))?)
}

/// A hold. Its lines have no answers, whatever they had when it was placed.
///
/// # Errors
/// [`RecordError`].
pub fn decode_hold(public: &[u8]) -> Result<HoldRecord, RecordError> {
    let proto::HoldPlaced {
        hold_id,
        revision,
        owner,
        merchant_id,
        line,
        claim,
        placed_sec,
        expires_sec,
        used_sec,
    } = message(public)?;
    Ok(HoldRecord {
        id: decode_hold_id(&hold_id)?,
        revision,
        owner: owner.map(Arc::from),
        merchant_id: merchant_id.into(),
        lines: line.into_iter().map(order::line).collect(),
        claims: slot_claims(claim),
        placed_sec: EpochSeconds::new(placed_sec),
        expires_sec: EpochSeconds::new(expires_sec),
        used: Seconds::new(used_sec),
    })
}

/// The hold that ended without an order, when, and why.
///
/// # Errors
/// [`RecordError`].
pub fn decode_hold_released(
    public: &[u8],
) -> Result<(HoldId, EpochSeconds, ReleaseReason), RecordError> {
    let proto::HoldReleased {
        hold_id,
        released_sec,
        reason,
    } = message(public)?;
    let reason = match proto::ReleaseReason::try_from(reason) {
        Ok(proto::ReleaseReason::Released) => ReleaseReason::Released,
        Ok(proto::ReleaseReason::Expired) => ReleaseReason::Expired,
        Ok(proto::ReleaseReason::Unspecified) | Err(_) => {
            return Err(out_of_range("release reason", reason));
        }
    };
    Ok((
        decode_hold_id(&hold_id)?,
        EpochSeconds::new(released_sec),
        reason,
    ))
}

/// Prices that were served.
///
/// # Errors
/// [`RecordError`].
pub fn decode_prices(public: &[u8]) -> Result<PriceBook, RecordError> {
    let proto::Prices { entry } = message(public)?;
    let entries = entry
        .into_iter()
        .map(price_entry)
        .collect::<Result<_, _>>()?;
    Ok(PriceBook { entries })
}

/// The second up to which slots are forgotten.
///
/// # Errors
/// [`RecordError`].
pub fn decode_slots_forgotten(public: &[u8]) -> Result<EpochSeconds, RecordError> {
    let proto::SlotsForgotten { until_sec } = message(public)?;
    Ok(EpochSeconds::new(until_sec))
}

/// Decodes all of a record, to find out whether some version of this program has written it. `personal` is `None` if it
/// was erased.
///
/// # Errors
/// [`RecordError`].
pub fn check_record(
    kind: RecordKind,
    public: &[u8],
    personal: Option<&[u8]>,
) -> Result<(), RecordError> {
    if !kind.has_personal_part() && personal.is_some_and(|personal| !personal.is_empty()) {
        return Err(RecordError::NotCanonical);
    }
    match kind {
        RecordKind::OrderPlaced => decode_placed(public, personal).map(drop),
        RecordKind::PaymentIntent => decode_intent(public).map(drop),
        RecordKind::PaymentEnded => decode_attempt(public).map(drop),
        RecordKind::HoldPlaced => decode_hold(public).map(drop),
        RecordKind::HoldReleased => decode_hold_released(public).map(drop),
        RecordKind::Prices => decode_prices(public).map(drop),
        RecordKind::SlotsForgotten => decode_slots_forgotten(public).map(drop),
        RecordKind::PersonErased => decode_person_erased(public).map(drop),
        RecordKind::ErasureCompleted => decode_erasure_completed(public).map(drop),
        RecordKind::OrderUpdated => super::decode_update(public, personal).map(drop),
        RecordKind::Blocked => super::decode_block(public).map(drop),
        RecordKind::StepRetried => decode_step_retried(public).map(drop),
        RecordKind::Lifecycle => decode_published(public).map(drop),
        RecordKind::LifecycleDraft => decode_draft(public).map(drop),
        RecordKind::ErasureAnswered => super::decode_erasure_answer(public).map(drop),
    }
}

/// The bytes as a message that has no other fields.
pub(super) fn message<M: Message + Default>(bytes: &[u8]) -> Result<M, RecordError> {
    let message = M::decode(bytes)?;
    // Encoding is canonical. Undeclared fields, a field given twice and a default written out all make the bytes longer
    // than the message takes; the length says so without encoding it again.
    if message.encoded_len() != bytes.len() {
        return Err(RecordError::NotCanonical);
    }
    Ok(message)
}

/// The order as far as it is public: its customer is empty and its items have no answers.
fn public_part(public: &[u8]) -> Result<PlacedOrder, RecordError> {
    let proto::OrderPlaced {
        order_key,
        token,
        fingerprint,
        created_sec,
        created_by,
        merchant_id,
        item,
        payment_details,
        claim,
        payment,
        hold_id,
        lifecycle,
        bill: billed,
        begun,
    } = message(public)?;
    let items = item
        .into_iter()
        .map(order::item)
        .collect::<Result<_, _>>()?;
    let order = Order {
        id: decode_order_key(&order_key)?.order_id(),
        merchant_id: merchant_id.into(),
        customer: order::erased_customer(),
        payment: payment_details
            .map(order::details)
            .transpose()?
            .map(Box::new),
        items,
    };
    Ok(PlacedOrder {
        token: token.into(),
        fingerprint: decode_fingerprint(&fingerprint)?,
        created_sec: EpochSeconds::new(created_sec),
        created_by: created_by.map(Arc::from),
        order: Box::new(order),
        claims: slot_claims(claim),
        payment: payment.map(attempt).transpose()?,
        hold: hold_id.as_deref().map(decode_hold_id).transpose()?,
        bill: billed.map(bill::bill).transpose()?.map(Box::new),
        begun: begun.as_deref().map(decode_tree).transpose()?.map(Box::new),
        lifecycle: match lifecycle {
            0 => FIRST_LIFECYCLE,
            // Left out by every version.
            FIRST_LIFECYCLE => return Err(out_of_range("revision of the lifecycle", lifecycle)),
            later => later,
        },
    })
}

/// Completes an order with its personal data, unless it was erased.
fn add_personal_part(order: &mut Order, personal: Option<&[u8]>) -> Result<(), RecordError> {
    let Some(personal) = personal else {
        return Ok(());
    };
    let proto::PersonalPart { customer, answers } = message(personal)?;
    order.customer = order::customer(customer.ok_or(RecordError::Missing("customer"))?);
    for entry in answers {
        let index = entry.item;
        let item = usize::try_from(index)
            .ok()
            .and_then(|at| order.items.get_mut(at));
        let Some(item) = item.filter(|item| item.line.answers.is_none()) else {
            // There is no such item, or it has answers already.
            return Err(out_of_range("item with answers", index));
        };
        // An empty form differs from none: only the first was sent, and a replay returns what was sent.
        item.line.answers = Some(order::answers(entry));
    }
    Ok(())
}

pub(super) fn out_of_range(field: &'static str, value: impl Into<i64>) -> RecordError {
    RecordError::OutOfRange {
        field,
        value: value.into(),
    }
}

pub(super) fn decode_order_key(bytes: &[u8]) -> Result<OrderKey, RecordError> {
    fixed::<KEY_BYTES>("order key", bytes).map(OrderKey)
}

pub(super) fn decode_hold_id(bytes: &[u8]) -> Result<HoldId, RecordError> {
    fixed("hold id", bytes).map(HoldId)
}

pub(super) fn decode_fingerprint(bytes: &[u8]) -> Result<Fingerprint, RecordError> {
    fixed("fingerprint", bytes)
}

/// Bytes of which there is a fixed number.
pub(super) fn fixed<const N: usize>(
    field: &'static str,
    bytes: &[u8],
) -> Result<[u8; N], RecordError> {
    let length = RecordError::Length {
        field,
        bytes: bytes.len(),
    };
    bytes.try_into().map_err(|_| length)
}

fn money(micros: i64, currency_code: &str) -> Result<Money, RecordError> {
    let currency = Currency::from_code(currency_code)
        .ok_or_else(|| RecordError::UnknownCurrency(currency_code.to_owned()))?;
    Ok(Money::from_micros(micros, currency))
}

pub(super) fn slot_claims(claims: Vec<proto::SlotClaim>) -> Vec<NamedClaim> {
    claims.into_iter().map(slot_claim).collect()
}

fn slot_claim(claim: proto::SlotClaim) -> NamedClaim {
    let proto::SlotClaim {
        merchant_id,
        service_id,
        start_sec,
        duration_sec,
        ticket_id,
        count,
    } = claim;
    NamedClaim {
        merchant_id: merchant_id.into(),
        service_id: service_id.into(),
        start_sec: EpochSeconds::new(start_sec),
        duration_sec: duration_sec.into(),
        ticket_id: ticket_id.map(Into::into),
        count,
    }
}

fn intent(intent: proto::PaymentIntent) -> Result<PaymentIntent, RecordError> {
    let proto::PaymentIntent {
        order_key,
        token,
        attempt,
        amount_micros,
        currency_code,
        started_sec,
        claim,
        hold_id,
    } = intent;
    // Not part of the value, but a record that is damaged in one field is not trusted in the others.
    decode_order_key(&order_key)?;
    Ok(PaymentIntent {
        token: token.into(),
        attempt,
        amount: money(amount_micros, &currency_code)?,
        started_sec: EpochSeconds::new(started_sec),
        claims: slot_claims(claim),
        hold: hold_id.as_deref().map(decode_hold_id).transpose()?,
    })
}

fn attempt(attempt: proto::PaymentAttempt) -> Result<PaymentAttempt, RecordError> {
    use proto::PaymentOutcome as Record;
    let proto::PaymentAttempt {
        intent: requested,
        outcome,
        transaction_id,
        finished_sec,
    } = attempt;
    let outcome = match Record::try_from(outcome) {
        Ok(Record::Captured) => PaymentOutcome::Captured,
        Ok(Record::Declined) => PaymentOutcome::Declined,
        Ok(Record::Voided) => PaymentOutcome::Voided,
        Ok(Record::Refunded) => PaymentOutcome::Refunded,
        Ok(Record::Unspecified) | Err(_) => return Err(out_of_range("payment outcome", outcome)),
    };
    Ok(PaymentAttempt {
        intent: intent(requested.ok_or(RecordError::Missing("payment intent"))?)?,
        outcome,
        transaction_id,
        finished_sec: EpochSeconds::new(finished_sec),
    })
}

fn price_entry(entry: proto::PriceEntry) -> Result<PriceEntry, RecordError> {
    let proto::PriceEntry {
        merchant_id,
        service_id,
        ticket_id,
        current_micros,
        currency_code,
        previous_micros,
    } = entry;
    let current = money(current_micros, &currency_code)?;
    let previous = previous_micros.map(|micros| Money::from_micros(micros, current.currency()));
    Ok(PriceEntry {
        merchant_id: merchant_id.into(),
        service_id: service_id.into(),
        ticket_id: ticket_id.map(Into::into),
        current,
        previous,
    })
}
