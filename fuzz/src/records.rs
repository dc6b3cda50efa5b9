//! Records of the order log.

use boxoffice::store::{
    KeyDeriver, PlacedOrder, Write,
    record::{
        EncodedRecord, RecordError, RecordFacts, RecordKind, decode_attempt, decode_block,
        decode_draft, decode_erasure_answer, decode_erasure_completed, decode_facts, decode_hold,
        decode_hold_released, decode_intent, decode_order_if, decode_person_erased, decode_placed,
        decode_prices, decode_published, decode_replay, decode_slots_forgotten,
        decode_step_retried, decode_update, encode, encode_erasure_completed, encode_person_erased,
    },
};

/// One digit is the kind of the record; the rest is the record. Of an order, two bytes say how long the public part is.
pub fn records(bytes: &[u8]) {
    let Some((digit, bytes)) = bytes.split_first() else {
        return;
    };
    let Ok(kind) = RecordKind::try_from(digit.wrapping_sub(b'0')) else {
        return;
    };
    match kind {
        RecordKind::OrderPlaced => order(bytes),
        RecordKind::PaymentIntent
        | RecordKind::PaymentEnded
        | RecordKind::HoldPlaced
        | RecordKind::HoldReleased
        | RecordKind::Prices
        | RecordKind::SlotsForgotten
        | RecordKind::Blocked
        | RecordKind::StepRetried
        | RecordKind::Lifecycle
        | RecordKind::LifecycleDraft
        | RecordKind::ErasureAnswered => other(kind, bytes),
        RecordKind::OrderUpdated => updated(bytes),
        RecordKind::PersonErased => person_erased(bytes),
        RecordKind::ErasureCompleted => erasure_completed(bytes),
    }
}

/// What was read, unless it could not be; then the error says why.
fn read<T>(record: Result<T, RecordError>) -> Option<T> {
    record
        .inspect_err(|error| assert!(!error.to_string().is_empty()))
        .ok()
}

fn keys() -> KeyDeriver {
    KeyDeriver::new([7; 32])
}

fn order(bytes: &[u8]) {
    let Some((length, bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let length = usize::from(u16::from_le_bytes(*length));
    let Some((public, personal)) = bytes.split_at_checked(length) else {
        return;
    };
    read(decode_placed(public, None));
    let facts = read(decode_facts(
        RecordKind::OrderPlaced,
        public,
        Some(personal),
    ));
    let Some(placed) = read(decode_placed(public, Some(personal))) else {
        return;
    };
    let replay = read(decode_replay(public, Some(personal))).expect("the whole was read");
    assert_eq!(replay.order, placed.order);
    assert_eq!(replay.fingerprint, placed.fingerprint);
    let seen = read(decode_order_if(public, Some(personal), &|_| true)).flatten();
    assert_eq!(seen.as_ref(), Some(&placed));
    counted(&placed, facts);
    written_again(&Write::OrderPlaced(Box::new(placed)), |record| {
        let placed = decode_placed(&record.public, Some(&record.personal))?;
        Ok(Write::OrderPlaced(Box::new(placed)))
    });
}

/// The start reads of a record only what it counts, and that as it stands there.
fn counted(placed: &PlacedOrder, facts: Option<RecordFacts>) {
    let Some(RecordFacts::OrderPlaced(facts)) = facts else {
        panic!("the whole was read and the facts were not");
    };
    assert_eq!(facts.key.order_id(), placed.order.id);
    assert_eq!(facts.user_id.as_ref(), Some(&placed.order.customer.user_id));
    assert_eq!(facts.created_sec, placed.created_sec);
    assert_eq!(facts.claims, placed.claims);
    assert_eq!(facts.hold, placed.hold);
    assert_eq!(facts.ends_intent, placed.payment.is_some());
}

fn other(kind: RecordKind, bytes: &[u8]) {
    let facts = read(decode_facts(kind, bytes, None));
    if let Some(write) = read(decode_other(kind, bytes)) {
        assert!(facts.is_some(), "the whole was read and the facts were not");
        written_again(&write, |record| decode_other(record.kind, &record.public));
    }
}

fn decode_other(kind: RecordKind, bytes: &[u8]) -> Result<Write, RecordError> {
    Ok(match kind {
        RecordKind::PaymentIntent => Write::PaymentIntent(decode_intent(bytes)?),
        RecordKind::PaymentEnded => Write::PaymentEnded(decode_attempt(bytes)?),
        RecordKind::HoldPlaced => Write::HoldPlaced(Box::new(decode_hold(bytes)?)),
        RecordKind::HoldReleased => {
            let (id, released_sec, reason) = decode_hold_released(bytes)?;
            Write::HoldReleased {
                id,
                released_sec,
                reason,
            }
        }
        RecordKind::Prices => Write::Prices(decode_prices(bytes)?),
        RecordKind::SlotsForgotten => Write::SlotsForgotten(decode_slots_forgotten(bytes)?),
        RecordKind::Blocked => Write::Blocked(Box::new(decode_block(bytes)?)),
        RecordKind::StepRetried => Write::StepRetried(Box::new(decode_step_retried(bytes)?)),
        RecordKind::Lifecycle => Write::Lifecycle(Box::new(decode_published(bytes)?)),
        RecordKind::LifecycleDraft => Write::LifecycleDraft(Box::new(decode_draft(bytes)?)),
        RecordKind::ErasureAnswered => Write::ErasureAnswered(decode_erasure_answer(bytes)?),
        RecordKind::OrderPlaced
        | RecordKind::OrderUpdated
        | RecordKind::PersonErased
        | RecordKind::ErasureCompleted => unreachable!("{kind:?}"),
    })
}

/// What was read is written as it would be at first, and equal values have equal records.
fn written_again(write: &Write, decode: fn(&EncodedRecord) -> Result<Write, RecordError>) {
    let record = encode(write, &keys());
    let again = decode(&record).expect("what is encoded can be decoded");
    assert_eq!(&again, write);
    assert_eq!(encode(&again, &keys()), record);
}

/// An update without what people have written.
fn updated(bytes: &[u8]) {
    let facts = read(decode_facts(RecordKind::OrderUpdated, bytes, None));
    if let Some(update) = read(decode_update(bytes, None)) {
        assert!(facts.is_some(), "the whole was read and the facts were not");
        written_again(&Write::OrderUpdated(Box::new(update)), |record| {
            let update = decode_update(&record.public, Some(&record.personal))?;
            Ok(Write::OrderUpdated(Box::new(update)))
        });
    }
}

fn person_erased(bytes: &[u8]) {
    if let Some(erased) = read(decode_person_erased(bytes)) {
        let written = encode_person_erased(&erased);
        assert_eq!(decode_person_erased(&written), Ok(erased));
    }
}

fn erasure_completed(bytes: &[u8]) {
    if let Some(erasure) = read(decode_erasure_completed(bytes)) {
        let written = encode_erasure_completed(erasure);
        assert_eq!(decode_erasure_completed(&written), Ok(erasure));
    }
}
