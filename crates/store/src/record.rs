//! Records on disk: protocol buffers, so that later versions read the records of earlier ones.
//!
//! Encoding cannot fail. Decoding is strict: a record that no version of this program writes is damage.

use std::sync::Arc;

use prost::{DecodeError, Message};

use super::{
    Fingerprint, NamedClaim, OrderFilter, PaymentAttempt, PaymentIntent, PaymentOutcome,
    PlacedOrder, PriceBook, PriceEntry, Provenance, Replay,
};
use domain::{
    ids::TicketId,
    money::{Currency, Money},
    order::{Order, OrderId},
    slot::SlotDuration,
    time::{EpochSeconds, Seconds},
};

pub mod proto;

mod order;

/// Why bytes are not a record that some version of this program has written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes are not the protocol buffer.
    #[error("a record is not a message of its kind")]
    Malformed(#[from] DecodeError),
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
    /// A fingerprint has another length.
    #[error("a record has a fingerprint of {0} bytes")]
    FingerprintLength(usize),
    /// The currency of an amount is unknown.
    #[error("a record has an amount in {0:?}, which is not a currency")]
    UnknownCurrency(String),
}

/// Length of an encoded sequence number at most: its tag and a varint of 64 bits.
const SEQUENCE_BYTES: usize = 11;

/// The record of an order without its sequence number, which only the writer knows.
#[must_use]
pub fn encode_order(placed: &PlacedOrder) -> Vec<u8> {
    let PlacedOrder {
        token,
        fingerprint,
        created_sec,
        created_by,
        order,
        claims,
        payment,
    } = placed;
    let record = proto::OrderRecord {
        token: token.as_str().to_owned(),
        fingerprint: fingerprint.to_vec(),
        sequence: 0,
        created_sec: created_sec.get(),
        created_by: created_by.as_deref().unwrap_or_default().to_owned(),
        order: Some(order::encode(order)),
        claim: claims.iter().map(encode_claim).collect(),
        payment: payment
            .as_ref()
            .map(|attempt| attempt_record(attempt, &order.id)),
    };
    // Room for the sequence number, so that the writer thread appends it without an allocation.
    let mut bytes = Vec::with_capacity(record.encoded_len() + SEQUENCE_BYTES);
    // `encode_raw` cannot fail: the vector grows where it has to.
    record.encode_raw(&mut bytes);
    bytes
}

/// Appends the sequence number to the record of an order.
pub fn number_order(record: &mut Vec<u8>, sequence: u64) {
    // Fields of a protocol buffer may come in any order, and fields that are not set take no bytes. So the
    // writer need not encode the order again.
    let number = proto::OrderRecord {
        sequence,
        ..Default::default()
    };
    number.encode_raw(record);
}

/// The order that a token has created.
///
/// # Errors
/// [`RecordError`].
pub fn decode_replay(bytes: &[u8]) -> Result<Replay, RecordError> {
    let proto::OrderRecord {
        fingerprint,
        created_by,
        order,
        payment,
        ..
    } = decode(bytes)?;
    // Checked although the payment is not returned: a damaged field makes the others doubtful.
    check_attempt(payment.as_ref())?;
    let fingerprint = Fingerprint::try_from(fingerprint)
        .map_err(|bytes| RecordError::FingerprintLength(bytes.len()))?;
    Ok(Replay {
        fingerprint,
        created_by: creator(&created_by).map(Arc::from),
        order: Box::new(decode_order(order)?),
    })
}

/// The order in a record, if it passes the filter.
///
/// # Errors
/// [`RecordError`].
pub fn decode_order_if(
    bytes: &[u8],
    may_see: OrderFilter<'_>,
) -> Result<Option<Order>, RecordError> {
    let proto::OrderRecord {
        created_by,
        order,
        payment,
        ..
    } = decode(bytes)?;
    check_attempt(payment.as_ref())?;
    let order = decode_order(order)?;
    let provenance = Provenance {
        created_by: creator(&created_by),
        merchant_id: &order.merchant_id,
    };
    Ok(may_see(provenance).then_some(order))
}

/// When an order was created, and the spots that it takes.
///
/// # Errors
/// [`RecordError`].
pub fn decode_claims(bytes: &[u8]) -> Result<(EpochSeconds, Vec<NamedClaim>), RecordError> {
    // A message with two fields of the whole record: the startup reads all orders and skips the
    // rest of each.
    let proto::OrderClaims { created_sec, claim } = decode(bytes)?;
    Ok((EpochSeconds::new(created_sec), decode_slot_claims(claim)?))
}

/// The record of a charge that is about to be requested.
#[must_use]
pub fn encode_intent(intent: &PaymentIntent, order: &OrderId) -> Vec<u8> {
    intent_record(intent, order).encode_to_vec()
}

/// A charge that is about to be requested.
///
/// # Errors
/// [`RecordError`].
pub fn decode_intent(bytes: &[u8]) -> Result<PaymentIntent, RecordError> {
    let proto::PaymentIntent {
        token,
        order_id: _,
        attempt,
        amount_micros,
        currency_code,
        started_sec,
        claim,
    } = decode(bytes)?;
    Ok(PaymentIntent {
        token: token.into(),
        attempt,
        amount: money(amount_micros, &currency_code)?,
        started_sec: EpochSeconds::new(started_sec),
        claims: decode_slot_claims(claim)?,
    })
}

/// The record of a payment that has ended.
#[must_use]
pub fn encode_attempt(attempt: &PaymentAttempt, order: &OrderId) -> Vec<u8> {
    attempt_record(attempt, order).encode_to_vec()
}

/// The record of the prices last served.
#[must_use]
pub fn encode_prices(book: &PriceBook) -> Vec<u8> {
    proto::PriceBook {
        entry: book.entries.iter().map(encode_price).collect(),
    }
    .encode_to_vec()
}

/// The prices last served.
///
/// # Errors
/// [`RecordError`].
pub fn decode_prices(bytes: &[u8]) -> Result<PriceBook, RecordError> {
    let proto::PriceBook { entry } = decode(bytes)?;
    // The length is that of a decoded list, so a damaged record cannot demand memory.
    let mut entries = Vec::with_capacity(entry.len());
    for entry in entry {
        entries.push(decode_price(entry)?);
    }
    Ok(PriceBook { entries })
}

/// The record of the second up to which slots are forgotten.
#[must_use]
pub fn encode_slots_forgotten(until_sec: EpochSeconds) -> Vec<u8> {
    proto::SlotsForgotten {
        until_sec: until_sec.get(),
    }
    .encode_to_vec()
}

/// The second up to which slots are forgotten.
///
/// # Errors
/// [`RecordError`].
pub fn decode_slots_forgotten(bytes: &[u8]) -> Result<EpochSeconds, RecordError> {
    Ok(EpochSeconds::new(
        decode::<proto::SlotsForgotten>(bytes)?.until_sec,
    ))
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, RecordError> {
    Ok(M::decode(bytes)?)
}

/// The name of the user who created an order. On record, an unknown user is the empty name.
fn creator(created_by: &str) -> Option<&str> {
    (!created_by.is_empty()).then_some(created_by)
}

fn decode_order(order: Option<proto::Order>) -> Result<Order, RecordError> {
    order::decode(order.ok_or(RecordError::Missing("order"))?)
}

/// Fails if the payment of an order has an unknown outcome. Reading an order does not need the outcome, but
/// a record that is damaged in one field is not trusted in the others.
fn check_attempt(attempt: Option<&proto::PaymentAttempt>) -> Result<(), RecordError> {
    use proto::PaymentOutcome as Outcome;
    let Some(attempt) = attempt else {
        return Ok(());
    };
    match Outcome::try_from(attempt.outcome) {
        Ok(Outcome::Captured | Outcome::Declined | Outcome::Voided | Outcome::Refunded) => Ok(()),
        Ok(Outcome::Unspecified) | Err(_) => Err(out_of_range("payment outcome", attempt.outcome)),
    }
}

fn out_of_range(field: &'static str, value: impl Into<i64>) -> RecordError {
    RecordError::OutOfRange {
        field,
        value: value.into(),
    }
}

fn money(micros: i64, currency_code: &str) -> Result<Money, RecordError> {
    let currency = Currency::from_code(currency_code)
        .ok_or_else(|| RecordError::UnknownCurrency(currency_code.to_owned()))?;
    Ok(Money::from_micros(micros, currency))
}

/// Micro-units of an amount. Every amount was checked to fit when it was computed, so the limit is never
/// reached.
fn micros(money: Money) -> i64 {
    money.to_micros().unwrap_or(i64::MAX)
}

/// On record, an appointment is the empty ticket type: the catalogue has no ticket type of that id.
fn encode_ticket(ticket_id: Option<&TicketId>) -> String {
    ticket_id
        .map(|id| id.as_str().to_owned())
        .unwrap_or_default()
}

fn decode_ticket(ticket_id: String) -> Option<TicketId> {
    (!ticket_id.is_empty()).then(|| ticket_id.into())
}

fn encode_claim(claim: &NamedClaim) -> proto::SlotClaim {
    let NamedClaim {
        merchant_id,
        service_id,
        start_sec,
        duration_sec,
        ticket_id,
        count,
    } = claim;
    proto::SlotClaim {
        merchant_id: merchant_id.as_str().to_owned(),
        service_id: service_id.as_str().to_owned(),
        start_sec: start_sec.get(),
        duration_sec: Seconds::from(*duration_sec).get(),
        ticket_id: encode_ticket(ticket_id.as_ref()),
        count: *count,
    }
}

fn decode_claim(claim: proto::SlotClaim) -> Result<NamedClaim, RecordError> {
    let proto::SlotClaim {
        merchant_id,
        service_id,
        start_sec,
        duration_sec,
        ticket_id,
        count,
    } = claim;
    // Wider on disk than in memory, so a length that does not fit is damage.
    let duration_sec = SlotDuration::new(Seconds::new(duration_sec))
        .ok_or_else(|| out_of_range("slot length", duration_sec))?;
    Ok(NamedClaim {
        merchant_id: merchant_id.into(),
        service_id: service_id.into(),
        start_sec: EpochSeconds::new(start_sec),
        duration_sec,
        ticket_id: decode_ticket(ticket_id),
        count,
    })
}

fn decode_slot_claims(claims: Vec<proto::SlotClaim>) -> Result<Vec<NamedClaim>, RecordError> {
    claims.into_iter().map(decode_claim).collect()
}

fn intent_record(intent: &PaymentIntent, order: &OrderId) -> proto::PaymentIntent {
    let PaymentIntent {
        token,
        attempt,
        amount,
        started_sec,
        claims,
    } = intent;
    proto::PaymentIntent {
        token: token.as_str().to_owned(),
        order_id: order.as_str().to_owned(),
        attempt: *attempt,
        amount_micros: micros(*amount),
        currency_code: amount.currency().code().to_owned(),
        started_sec: started_sec.get(),
        claim: claims.iter().map(encode_claim).collect(),
    }
}

fn attempt_record(attempt: &PaymentAttempt, order: &OrderId) -> proto::PaymentAttempt {
    let PaymentAttempt {
        intent,
        outcome,
        transaction_id,
        finished_sec,
    } = attempt;
    let outcome = match outcome {
        PaymentOutcome::Captured => proto::PaymentOutcome::Captured,
        PaymentOutcome::Declined => proto::PaymentOutcome::Declined,
        PaymentOutcome::Voided => proto::PaymentOutcome::Voided,
        PaymentOutcome::Refunded => proto::PaymentOutcome::Refunded,
    };
    proto::PaymentAttempt {
        intent: Some(intent_record(intent, order)),
        outcome: outcome.into(),
        transaction_id: transaction_id.clone(),
        finished_sec: finished_sec.get(),
    }
}

fn encode_price(entry: &PriceEntry) -> proto::PriceEntry {
    let PriceEntry {
        merchant_id,
        service_id,
        ticket_id,
        current,
        previous,
    } = entry;
    proto::PriceEntry {
        merchant_id: merchant_id.as_str().to_owned(),
        service_id: service_id.as_str().to_owned(),
        ticket_id: encode_ticket(ticket_id.as_ref()),
        current_micros: micros(*current),
        currency_code: current.currency().code().to_owned(),
        previous_micros: previous.map(micros),
    }
}

fn decode_price(entry: proto::PriceEntry) -> Result<PriceEntry, RecordError> {
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
        ticket_id: decode_ticket(ticket_id),
        current,
        previous,
    })
}

#[cfg(test)]
mod tests;
