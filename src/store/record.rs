//! Records as they stand on disk: protocol buffers, so that old records can be read by later
//! versions.

use std::sync::Arc;

use prost::Message;

use super::{
    Fingerprint, MaySee, NamedClaim, PaymentAttempt, PaymentIntent, PaymentOutcome, PlacedOrder,
    PriceBook, PriceEntry, Provenance, Replay, StoreError,
};
use crate::{
    domain::money::{Currency, Money},
    domain::order::{EpochSeconds, Order, OrderId},
    wire::{from_proto, proto::store as wire, to_proto},
};

/// Bytes that the number of an order takes at most.
const NUMBER_BYTES: usize = 11;

/// The record of an order that has no number yet.
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
    let record = wire::OrderRecord {
        token: token.clone(),
        fingerprint: fingerprint.to_vec(),
        sequence: 0,
        created_sec: *created_sec,
        created_by: created_by.as_deref().unwrap_or_default().to_owned(),
        order: Some(to_proto::order(Order::clone(order))),
        claim: claims.iter().map(encode_claim).collect(),
        payment: payment
            .as_ref()
            .map(|attempt| attempt_record(attempt, &order.id)),
    };
    let mut bytes = Vec::with_capacity(record.encoded_len() + NUMBER_BYTES);
    record.encode_raw(&mut bytes);
    bytes
}

/// Makes the record that of the `sequence`-th order of its store: fields of a message may come in any
/// order, and those that are not set take no room.
pub fn number_order(record: &mut Vec<u8>, sequence: u64) {
    wire::OrderRecord {
        sequence,
        ..Default::default()
    }
    .encode_raw(record);
}

/// What a token has led to.
///
/// # Errors
/// [`StoreError::Unreadable`].
pub fn decode_replay(bytes: &[u8]) -> Result<Replay, StoreError> {
    let record = decode::<wire::OrderRecord>(bytes)?;
    let fingerprint: Fingerprint = record
        .fingerprint
        .try_into()
        .map_err(|_| unreadable("an order's fingerprint has the wrong length"))?;
    let created_by = creator(&record.created_by).map(Arc::from);
    Ok(Replay {
        fingerprint,
        created_by,
        order: Box::new(known_order(record.order)?),
    })
}

/// The order in a record, unless it may not be seen.
///
/// # Errors
/// [`StoreError::Unreadable`].
pub fn decode_order_if(bytes: &[u8], may_see: MaySee<'_>) -> Result<Option<Order>, StoreError> {
    let wire::OrderRecord {
        created_by, order, ..
    } = decode(bytes)?;
    let order = known_order(order)?;
    let provenance = Provenance {
        created_by: creator(&created_by),
        merchant_id: &order.merchant_id,
    };
    Ok(may_see(provenance).then_some(order))
}

/// When an order was created, and the spots that it takes.
///
/// # Errors
/// [`StoreError::Unreadable`].
pub fn decode_claims(bytes: &[u8]) -> Result<(EpochSeconds, Vec<NamedClaim>), StoreError> {
    let wire::OrderClaims { created_sec, claim } = decode(bytes)?;
    Ok((
        created_sec,
        claim
            .into_iter()
            .map(decode_claim)
            .collect::<Result<_, _>>()?,
    ))
}

/// The record of a payment that is about to be asked for.
#[must_use]
pub fn encode_intent(intent: &PaymentIntent, order: &OrderId) -> Vec<u8> {
    intent_record(intent, order).encode_to_vec()
}

/// A payment that is about to be asked for.
///
/// # Errors
/// [`StoreError::Unreadable`].
pub fn decode_intent(bytes: &[u8]) -> Result<PaymentIntent, StoreError> {
    let wire::PaymentIntent {
        token,
        order_id: _,
        attempt,
        amount_micros,
        currency_code,
        started_sec,
        claim,
    } = decode(bytes)?;
    let claims = claim
        .into_iter()
        .map(decode_claim)
        .collect::<Result<_, _>>()?;
    Ok(PaymentIntent {
        token,
        attempt,
        amount: money(amount_micros, &currency_code)?,
        started_sec,
        claims,
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
    wire::PriceBook {
        entry: book.entries.iter().map(encode_price).collect(),
    }
    .encode_to_vec()
}

/// The prices last served.
///
/// # Errors
/// [`StoreError::Unreadable`].
pub fn decode_prices(bytes: &[u8]) -> Result<PriceBook, StoreError> {
    let book = decode::<wire::PriceBook>(bytes)?;
    let entries = book
        .entry
        .into_iter()
        .map(decode_price)
        .collect::<Result<_, _>>()?;
    Ok(PriceBook { entries })
}

/// The record of the second up to which slots are forgotten.
#[must_use]
pub fn encode_slots_forgotten(until_sec: EpochSeconds) -> Vec<u8> {
    wire::SlotsForgotten { until_sec }.encode_to_vec()
}

/// The second up to which slots are forgotten.
///
/// # Errors
/// [`StoreError::Unreadable`].
pub fn decode_slots_forgotten(bytes: &[u8]) -> Result<EpochSeconds, StoreError> {
    Ok(decode::<wire::SlotsForgotten>(bytes)?.until_sec)
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, StoreError> {
    M::decode(bytes).map_err(|error| unreadable(&error.to_string()))
}

fn unreadable(what: &str) -> StoreError {
    StoreError::Unreadable(what.to_owned())
}

/// Nobody has an empty name.
fn creator(created_by: &str) -> Option<&str> {
    Some(created_by).filter(|name| !name.is_empty())
}

fn known_order(order: Option<crate::wire::proto::v3::Order>) -> Result<Order, StoreError> {
    order
        .map(from_proto::order)
        .ok_or_else(|| unreadable("a record holds no order"))
}

fn money(micros: i64, currency_code: &str) -> Result<Money, StoreError> {
    let currency = Currency::from_code(currency_code)
        .ok_or_else(|| unreadable(&format!("{currency_code:?} is not a currency")))?;
    Ok(Money::from_micros(micros, currency))
}

/// Amounts on record have been seen to fit when they were computed.
fn micros(money: Money) -> i64 {
    money.to_micros().unwrap_or(i64::MAX)
}

fn encode_claim(claim: &NamedClaim) -> wire::SlotClaim {
    let NamedClaim {
        merchant_id,
        service_id,
        start_sec,
        duration_sec,
        ticket_id,
        count,
    } = claim;
    wire::SlotClaim {
        merchant_id: merchant_id.clone(),
        service_id: service_id.clone(),
        start_sec: *start_sec,
        duration_sec: i64::from(*duration_sec),
        ticket_id: ticket_id.clone().unwrap_or_default(),
        count: *count,
    }
}

fn decode_claim(claim: wire::SlotClaim) -> Result<NamedClaim, StoreError> {
    let wire::SlotClaim {
        merchant_id,
        service_id,
        start_sec,
        duration_sec,
        ticket_id,
        count,
    } = claim;
    let duration_sec =
        u32::try_from(duration_sec).map_err(|_| unreadable("a slot has no such length"))?;
    let ticket_id = Some(ticket_id).filter(|id| !id.is_empty());
    Ok(NamedClaim {
        merchant_id,
        service_id,
        start_sec,
        duration_sec,
        ticket_id,
        count,
    })
}

fn intent_record(intent: &PaymentIntent, order: &OrderId) -> wire::PaymentIntent {
    let PaymentIntent {
        token,
        attempt,
        amount,
        started_sec,
        claims,
    } = intent;
    wire::PaymentIntent {
        token: token.clone(),
        order_id: order.0.clone(),
        attempt: *attempt,
        amount_micros: micros(*amount),
        currency_code: amount.currency().code().to_owned(),
        started_sec: *started_sec,
        claim: claims.iter().map(encode_claim).collect(),
    }
}

fn attempt_record(attempt: &PaymentAttempt, order: &OrderId) -> wire::PaymentAttempt {
    let PaymentAttempt {
        intent,
        outcome,
        transaction_id,
        finished_sec,
    } = attempt;
    let outcome = match outcome {
        PaymentOutcome::Captured => wire::PaymentOutcome::Captured,
        PaymentOutcome::Declined => wire::PaymentOutcome::Declined,
        PaymentOutcome::Voided => wire::PaymentOutcome::Voided,
        PaymentOutcome::Refunded => wire::PaymentOutcome::Refunded,
    };
    wire::PaymentAttempt {
        intent: Some(intent_record(intent, order)),
        outcome: outcome.into(),
        transaction_id: transaction_id.clone(),
        finished_sec: *finished_sec,
    }
}

fn encode_price(entry: &PriceEntry) -> wire::PriceEntry {
    let PriceEntry {
        merchant_id,
        service_id,
        ticket_id,
        current,
        previous,
    } = entry;
    wire::PriceEntry {
        merchant_id: merchant_id.clone(),
        service_id: service_id.clone(),
        ticket_id: ticket_id.clone(),
        current_micros: micros(*current),
        currency_code: current.currency().code().to_owned(),
        previous_micros: previous.map(micros),
    }
}

fn decode_price(entry: wire::PriceEntry) -> Result<PriceEntry, StoreError> {
    let wire::PriceEntry {
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
        merchant_id,
        service_id,
        ticket_id,
        current,
        previous,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::proto::v3;

    /// Both messages describe the same bytes.
    #[test]
    fn claims_are_read_without_the_rest_of_an_order() {
        let claim = NamedClaim {
            merchant_id: "museum".into(),
            service_id: "entry".into(),
            start_sec: 1_800_000_000,
            duration_sec: 3600,
            ticket_id: Some("adult".into()),
            count: 2,
        };
        let placed = PlacedOrder {
            token: "token".into(),
            fingerprint: [7; 32],
            created_sec: 1_700_000_000,
            created_by: Some("google".into()),
            order: Box::new(known_order(Some(v3::Order::default())).unwrap()),
            claims: vec![
                claim.clone(),
                NamedClaim {
                    ticket_id: None,
                    ..claim
                },
            ],
            payment: None,
        };
        let mut bytes = encode_order(&placed);
        number_order(&mut bytes, u64::MAX);
        assert_eq!(
            decode_claims(&bytes),
            Ok((placed.created_sec, placed.claims))
        );
        assert_eq!(decode_order_if(&bytes, &|_| true), Ok(Some(*placed.order)));
    }

    #[test]
    fn who_created_an_order_stands_in_its_record_and_decides_who_sees_it() {
        let order = Order {
            merchant_id: "museum".into(),
            ..known_order(Some(v3::Order::default())).unwrap()
        };
        for created_by in [None, Some("google")] {
            let placed = PlacedOrder {
                token: "token".into(),
                fingerprint: [7; 32],
                created_sec: 1_700_000_000,
                created_by: created_by.map(Arc::from),
                order: Box::new(order.clone()),
                claims: Vec::new(),
                payment: None,
            };
            let bytes = encode_order(&placed);
            assert_eq!(
                decode_replay(&bytes).unwrap().created_by.as_deref(),
                created_by
            );
            let expected = Provenance {
                created_by,
                merchant_id: "museum",
            };
            let seen = decode_order_if(&bytes, &|provenance| {
                assert_eq!(provenance, expected);
                created_by.is_some()
            });
            assert_eq!(seen.unwrap().is_some(), created_by.is_some());
        }
    }
}
