//! Records of the embedded store.

use boxoffice::{
    domain::{
        order::{Order, OrderId},
        time::EpochSeconds,
    },
    store::{
        NamedClaim, PaymentAttempt, PaymentIntent, PaymentOutcome, PlacedOrder,
        record::{
            RecordError, decode_claims, decode_intent, decode_order_if, decode_prices,
            decode_replay, encode_attempt, encode_intent, encode_order, encode_prices,
            number_order,
            proto::{OrderRecord, PaymentAttempt as AttemptRecord},
        },
    },
};
use prost::Message;

/// One digit says which record it is; the rest is the record.
pub fn records(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind {
        b'0' => order(bytes),
        b'1' => intent(bytes),
        _ => prices(bytes),
    }
}

/// What was read, unless it could not be; then the error says why.
fn read<T>(record: Result<T, RecordError>) -> Option<T> {
    record
        .inspect_err(|error| assert!(!error.to_string().is_empty()))
        .ok()
}

fn order(bytes: &[u8]) {
    let order = read(decode_order_if(bytes, &|_| true)).flatten();
    let replay = read(decode_replay(bytes));
    let claims = read(decode_claims(bytes)).map(|(_, claims)| claims);
    counted(bytes, claims.as_ref());
    if let Some(replay) = &replay {
        assert_eq!(
            order.as_ref(),
            Some(&*replay.order),
            "an order is what it was answered as"
        );
    }
    let (Some(replay), Some(claims)) = (replay, claims) else {
        return;
    };
    let sequence = OrderRecord::decode(bytes)
        .expect("an order was read")
        .sequence;
    let placed = PlacedOrder {
        token: "token".into(),
        fingerprint: replay.fingerprint,
        created_sec: EpochSeconds::new(7),
        created_by: replay.created_by.clone(),
        order: replay.order.clone(),
        claims: claims.clone(),
        payment: None,
    };
    let written = numbered(&placed, sequence);
    assert_eq!(decode_replay(&written).as_ref(), Ok(&replay));
    assert_eq!(
        decode_order_if(&written, &|_| true),
        Ok(Some(Order::clone(&replay.order)))
    );
    assert_eq!(decode_claims(&written), Ok((placed.created_sec, claims)));
    let again = decode_replay(&written).expect("as above");
    let again = PlacedOrder {
        order: again.order,
        ..placed
    };
    assert_eq!(
        numbered(&again, sequence),
        written,
        "equal orders have equal records"
    );
}

fn numbered(placed: &PlacedOrder, sequence: u64) -> Vec<u8> {
    let mut record = encode_order(placed);
    number_order(&mut record, sequence);
    record
}

/// The start reads of a record only what it counts, and that as it stands there.
fn counted(bytes: &[u8], claims: Option<&Vec<NamedClaim>>) {
    let (Ok(record), Some(claims)) = (OrderRecord::decode(bytes), claims) else {
        return;
    };
    let counts = record
        .claim
        .iter()
        .map(|claim| (&*claim.service_id, claim.count));
    let expected = claims
        .iter()
        .map(|claim| (claim.service_id.as_str(), claim.count));
    assert!(counts.eq(expected));
}

fn intent(bytes: &[u8]) {
    let Some(intent) = read(decode_intent(bytes)) else {
        return;
    };
    let order_id = OrderId::from("order");
    let written = encode_intent(&intent, &order_id);
    assert_eq!(decode_intent(&written).as_ref(), Ok(&intent));
    ended(intent, &order_id, &written);
}

/// A payment that has ended is on record with its intent as it was.
fn ended(intent: PaymentIntent, order_id: &OrderId, written: &[u8]) {
    let outcome = PaymentOutcome::Captured;
    let attempt = PaymentAttempt {
        intent,
        outcome,
        transaction_id: String::new(),
        finished_sec: EpochSeconds::new(7),
    };
    let record = encode_attempt(&attempt, order_id);
    let record = AttemptRecord::decode(&*record).expect("what is encoded can be decoded");
    assert_eq!(record.intent.unwrap_or_default().encode_to_vec(), written);
}

fn prices(bytes: &[u8]) {
    let Some(book) = read(decode_prices(bytes)) else {
        return;
    };
    let written = encode_prices(&book);
    assert_eq!(decode_prices(&written).as_ref(), Ok(&book));
    let again = decode_prices(&written).expect("as above");
    assert_eq!(
        encode_prices(&again),
        written,
        "equal books have equal records"
    );
}
