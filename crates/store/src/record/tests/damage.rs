//! What no version of this program writes is damage.

use super::*;

#[test]
fn an_enum_value_that_no_version_writes_is_damage() {
    type Record = proto::OrderPlaced;
    fn details(record: &mut Record) -> &mut proto::PaymentDetails {
        record.payment_details.as_mut().unwrap()
    }
    type SetField = fn(&mut Record, i32);
    let cases: [(&str, SetField, std::ops::Range<i32>); 6] = [
        (
            "booking status",
            |order, value| order.item[0].status = value,
            1..8,
        ),
        (
            "prepayment",
            |order, value| details(order).prepayment = value,
            0..5,
        ),
        (
            "payment processor",
            |order, value| details(order).processed_by = value,
            0..3,
        ),
        (
            "price type",
            |order, value| details(order).deposit.get_or_insert_default().price_type = value,
            1..3,
        ),
        (
            "price type",
            |order, value| {
                details(order)
                    .no_show_fee
                    .get_or_insert_default()
                    .price_type = value;
            },
            1..3,
        ),
        (
            "payment outcome",
            |order, value| order.payment.as_mut().unwrap().outcome = value,
            1..5,
        ),
    ];
    let mut random = fastrand::Rng::with_seed(1);
    let paid = PlacedOrder {
        payment: Some(samples::attempt(&mut random, "token".into())),
        ..placed(None)
    };
    let EncodedRecord {
        public, personal, ..
    } = encode_placed(paid);
    for (field, set, known) in cases {
        for value in -1..10 {
            let mut record = Record::decode(&*public).unwrap();
            set(&mut record, value);
            let public = record.encode_to_vec();
            let expected = (!known.contains(&value)).then(|| RecordError::OutOfRange {
                field,
                value: value.into(),
            });
            let replay = decode_replay(&public, Some(&personal)).err();
            let listed = decode_order_if(&public, Some(&personal), &|_| true).err();
            assert_eq!(replay, expected, "{field} {value}");
            assert_eq!(listed, expected, "{field} {value}");
        }
    }
}

#[test]
fn a_release_without_a_known_reason_is_damage() {
    for reason in -1..5 {
        let record = proto::HoldReleased {
            hold_id: vec![1; 16],
            released_sec: 7,
            reason,
        };
        let is_known = (1..3).contains(&reason);
        let released = decode_hold_released(&record.encode_to_vec());
        assert_eq!(released.is_ok(), is_known, "{reason}");
    }
}

/// Decodes the whole record, whatever it is.
fn decode(kind: RecordKind, public: Vec<u8>, personal: Vec<u8>) -> Result<(), RecordError> {
    let record = EncodedRecord {
        kind,
        public,
        personal,
        keys: RecordKeys::Prices,
    };
    decode_write(&record).map(drop)
}

#[test]
fn bytes_that_a_message_does_not_declare_are_damage() {
    // A field of the number 15, and the field of number 1 again, as a message or bytes of length 0.
    let extra_fields: [&[u8]; 2] = [&[15 << 3, 1], &[1 << 3 | 2, 0]];
    for seed in seeds(200) {
        let (_, record) = sample(seed);
        let EncodedRecord {
            kind,
            public,
            personal,
            ..
        } = record;
        assert_eq!(decode(kind, public.clone(), personal.clone()), Ok(()));
        for extra in extra_fields {
            let longer = [&*public, extra].concat();
            // A repeated field may have one more entry, and a number is not a message.
            let is_declared = kind == RecordKind::Prices && extra[0] == 1 << 3 | 2;
            let decoded = decode(kind, longer, personal.clone());
            assert!(decoded.is_err() || is_declared, "seed {seed}, {kind:?}");
            if kind == RecordKind::OrderPlaced {
                let longer = [&*personal, extra].concat();
                let decoded = decode(kind, public.clone(), longer);
                assert_eq!(decoded, Err(RecordError::NotCanonical), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_record_says_what_is_wrong_with_it() {
    type Damage = fn(&mut proto::OrderPlaced, &mut proto::PersonalPart);
    let EncodedRecord {
        public, personal, ..
    } = encode_placed(placed(None));
    let order = proto::OrderPlaced::decode(&*public).unwrap();
    let person = proto::PersonalPart::decode(&*personal).unwrap();
    let length = |field, bytes| RecordError::Length { field, bytes };
    let cases: [(Damage, RecordError); 7] = [
        (
            |order, _| order.fingerprint.truncate(31),
            length("fingerprint", 31),
        ),
        (|order, _| order.order_key.push(1), length("order key", 17)),
        (
            |order, _| order.hold_id = Some(Vec::new()),
            length("hold id", 0),
        ),
        (
            |order, _| order.item[0].line = None,
            RecordError::Missing("line item"),
        ),
        (
            |_, person| person.customer = None,
            RecordError::Missing("customer"),
        ),
        (
            |_, person| person.answers[0].item = 1,
            RecordError::OutOfRange {
                field: "item with answers",
                value: 1,
            },
        ),
        (
            |_, person| person.answers.push(person.answers[0].clone()),
            RecordError::OutOfRange {
                field: "item with answers",
                value: 0,
            },
        ),
    ];
    for (damage, expected) in cases {
        let (mut order, mut person) = (order.clone(), person.clone());
        damage(&mut order, &mut person);
        let decoded = decode_replay(&order.encode_to_vec(), Some(&person.encode_to_vec()));
        assert_eq!(decoded, Err(expected));
    }
    assert!(matches!(
        decode_prices(b"\x0a"),
        Err(RecordError::Malformed(_))
    ));
}

#[test]
fn no_bytes_make_decoding_panic() {
    for seed in seeds(2_000) {
        let (_, record) = sample(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let EncodedRecord {
            mut public,
            mut personal,
            ..
        } = record;
        for part in [&mut public, &mut personal] {
            part.truncate(random.usize(..=part.len()));
            if !part.is_empty() {
                let at = random.usize(..part.len());
                part[at] ^= 1 << random.u8(..8);
            }
        }
        let kinds = RecordKind::ALL.into_iter();
        let are_of_the_store = [RecordKind::PersonErased, RecordKind::ErasureCompleted];
        for kind in kinds.filter(|kind| !are_of_the_store.contains(kind)) {
            // Errors are expected, and a message that happens to be whole is, too.
            let facts = decode_facts(kind, &public, Some(&personal)).map(drop);
            for result in [facts, decode(kind, public.clone(), personal.clone())] {
                assert!(result.is_ok() || !result.unwrap_err().to_string().is_empty());
            }
        }
        let _ = decode_person_erased(&public);
        let _ = decode_erasure_completed(&public);
    }
}
