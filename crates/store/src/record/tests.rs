use super::*;
use domain::order::{BookedItem, BookingStatus, Customer, LineItem, PaymentDetails};

fn order() -> Order {
    let item = BookedItem {
        line: LineItem {
            service_id: "entry".into(),
            start_sec: EpochSeconds::new(1_800_000_000),
            duration_sec: 3600.into(),
            tickets: Vec::new(),
            price: None,
            answers: None,
        },
        status: BookingStatus::Confirmed,
    };
    Order {
        id: OrderId::from("order"),
        merchant_id: "museum".into(),
        customer: Customer::of("ada"),
        payment: Some(PaymentDetails::default()),
        items: vec![item],
    }
}

fn placed(created_by: Option<&str>) -> PlacedOrder {
    PlacedOrder {
        token: "token".into(),
        fingerprint: [7; 32],
        created_sec: EpochSeconds::new(1_700_000_000),
        created_by: created_by.map(Arc::from),
        order: Box::new(order()),
        claims: Vec::new(),
        payment: None,
    }
}

/// Both messages describe the same bytes.
#[test]
fn claims_are_read_without_the_rest_of_an_order() {
    let claim = NamedClaim {
        merchant_id: "museum".into(),
        service_id: "entry".into(),
        start_sec: EpochSeconds::new(1_800_000_000),
        duration_sec: 3600.into(),
        ticket_id: Some("adult".into()),
        count: 2,
    };
    let without_ticket = NamedClaim {
        ticket_id: None,
        ..claim.clone()
    };
    let placed = PlacedOrder {
        claims: vec![claim, without_ticket],
        ..placed(Some("google"))
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
    for created_by in [None, Some("google")] {
        let bytes = encode_order(&placed(created_by));
        assert_eq!(
            decode_replay(&bytes).unwrap().created_by.as_deref(),
            created_by
        );
        let expected = Provenance {
            created_by,
            merchant_id: &"museum".into(),
        };
        let seen = decode_order_if(&bytes, &|provenance| {
            assert_eq!(provenance, expected);
            created_by.is_some()
        });
        assert_eq!(seen.unwrap().is_some(), created_by.is_some());
    }
}

#[test]
fn a_value_that_no_version_writes_is_damage() {
    type Record = proto::OrderRecord;
    fn payment(record: &mut Record) -> &mut proto::PaymentDetails {
        record.order.as_mut().unwrap().payment.as_mut().unwrap()
    }
    fn set_status(record: &mut Record, value: i32) {
        record.order.as_mut().unwrap().item[0].status = value;
    }
    fn set_prepayment(record: &mut Record, value: i32) {
        payment(record).prepayment = value;
    }
    fn set_processor(record: &mut Record, value: i32) {
        payment(record).processed_by = value;
    }
    fn set_deposit_type(record: &mut Record, value: i32) {
        payment(record).deposit.get_or_insert_default().price_type = value;
    }
    fn set_fee_type(record: &mut Record, value: i32) {
        payment(record)
            .no_show_fee
            .get_or_insert_default()
            .price_type = value;
    }
    fn set_outcome(record: &mut Record, value: i32) {
        record.payment.get_or_insert_default().outcome = value;
    }
    type SetField = fn(&mut Record, i32);
    let cases: [(&str, SetField, std::ops::Range<i32>); 6] = [
        ("booking status", set_status, 1..8),
        ("prepayment", set_prepayment, 0..5),
        ("payment processor", set_processor, 0..3),
        ("price type", set_deposit_type, 0..2),
        ("price type", set_fee_type, 0..2),
        ("payment outcome", set_outcome, 1..5),
    ];
    for (field, set, known) in cases {
        for value in -1..10 {
            let mut record = Record::decode(&*encode_order(&placed(None))).unwrap();
            set(&mut record, value);
            let bytes = record.encode_to_vec();
            let expected = RecordError::OutOfRange {
                field,
                value: value.into(),
            };
            let (replay, listed) = (
                decode_replay(&bytes).err(),
                decode_order_if(&bytes, &|_| true).err(),
            );
            let expected = Some(expected).filter(|_| !known.contains(&value));
            assert_eq!(replay, expected, "{field} {value}");
            assert_eq!(listed, expected, "{field} {value}");
        }
    }
}

#[test]
fn a_record_says_what_is_wrong_with_it() {
    let whole = proto::OrderRecord::decode(&*encode_order(&placed(None))).unwrap();
    let without_order = proto::OrderRecord {
        order: None,
        ..whole.clone()
    };
    let short_fingerprint = proto::OrderRecord {
        fingerprint: vec![7; 31],
        ..whole
    };
    for (record, expected) in [
        (without_order, RecordError::Missing("order")),
        (short_fingerprint, RecordError::FingerprintLength(31)),
    ] {
        assert_eq!(decode_replay(&record.encode_to_vec()), Err(expected));
    }
    assert!(matches!(
        decode_prices(b"\x0a"),
        Err(RecordError::Malformed(_))
    ));
}
