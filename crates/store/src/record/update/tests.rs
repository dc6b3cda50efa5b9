//! Updates on record.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ledger::{LedgerEntry, LedgerKind, PaidBy, PaymentLedger},
    lifecycle::{
        Destination, EndedStep, Fulfillment, GivenUpStep, InfoValue, Name, NamedTree, OpenStep,
        OrderPart, Refund, SkipReason, Spots, StepKind, StepResult, Timer, TreeItem,
    },
    money::{Money, Percent},
    refunds::{RefundAmount, RefundCause, RefundedItem},
    shipment::{Shipment, ShipmentStatus},
};

use super::*;
use crate::UpdateCause;

const KEY: OrderKey = OrderKey([7; 16]);

fn dollars(cents: i64) -> Money {
    Money::from_micros(cents * 10_000, Currency::from_code("USD").unwrap())
}

fn second(number: i64) -> EpochSeconds {
    EpochSeconds::new(number)
}

/// An order that nothing has happened to.
fn plain_tree() -> NamedTree {
    NamedTree {
        state: "processing".into(),
        items: [TreeItem {
            state: "confirmed".into(),
            spots: Spots::Held,
            fulfillment: None,
        }]
        .into_iter()
        .collect(),
        fulfillments: Vec::new(),
        refunds: Vec::new(),
        reductions: Vec::new(),
        ledger: PaymentLedger::new(PaidBy::Nobody, dollars(0)),
        timers: Vec::new(),
        steps: Vec::new(),
        given_up: Vec::new(),
        ended: Vec::new(),
        launches: 0,
        reason: None,
        information: BTreeMap::new(),
        alerts: BTreeMap::new(),
        emitted: BTreeSet::new(),
        events: 0,
        version: 1,
    }
}

fn plain() -> OrderUpdate {
    OrderUpdate {
        order: KEY.order_id(),
        revision: 1,
        updated_sec: second(0),
        tree: plain_tree(),
        entry: HistoryEntry::new(UpdateCause::Timer, 1),
        released: Vec::new(),
        answer: None,
    }
}

fn refund_amount() -> RefundAmount {
    RefundAmount {
        total: dollars(1250),
        items: vec![RefundedItem {
            item: 1,
            percent: Percent::new(50).unwrap(),
            amount: dollars(1200),
        }],
        order_fees: dollars(50),
    }
}

fn refund_requested() -> LedgerEntry {
    LedgerEntry {
        refund: Some(0),
        ..LedgerEntry::new(LedgerKind::RefundRequested, dollars(1250), second(9))
    }
}

/// Something in every field.
fn full_entry() -> HistoryEntry {
    HistoryEntry {
        cause: UpdateCause::Operator,
        actor: Some("eve".into()),
        lifecycle: 2,
        changes: vec![StateChange {
            part: OrderPart::item(1),
            from: "confirmed".into(),
            to: "cancelled".into(),
        }],
        skipped: vec![SkippedChange {
            part: OrderPart::fulfillment(0),
            to: Some("cancelled".into()),
            reason: SkipReason::Condition,
        }],
        events: vec![EmittedEvent {
            name: "order.replace".into(),
            part: OrderPart::ORDER,
            params: vec![("why".into(), InfoValue::Flag(true))],
        }],
        ledger: vec![refund_requested()],
        released_items: vec![1],
        texts: UpdateTexts {
            note: "called twice".to_owned(),
            reason: "she is ill".to_owned(),
        },
    }
}

/// Something in every field.
fn full() -> OrderUpdate {
    let mut tree = plain_tree();
    tree.items.push(TreeItem {
        state: "cancelled".into(),
        spots: Spots::Released,
        fulfillment: Some(0),
    });
    tree.fulfillments = vec![
        Fulfillment {
            state: "booked".into(),
            items: [1].into_iter().collect(),
            destination: Destination::Email,
            shipment: Some(Shipment {
                reference: "parcel".to_owned(),
                status: ShipmentStatus::Booked,
                updated: second(-5),
            }),
            is_removed: false,
        },
        Fulfillment {
            state: "cancelled".into(),
            items: [].into_iter().collect(),
            destination: Destination::Order,
            shipment: None,
            is_removed: true,
        },
    ];
    tree.refunds = vec![Refund {
        state: "requested".into(),
        amount: refund_amount(),
        cause: RefundCause::Customer,
    }];
    tree.reductions = vec![refund_amount()];
    let captured = LedgerEntry::new(LedgerKind::Captured, dollars(2500), second(8));
    let entries = [captured, refund_requested()];
    tree.ledger = PaymentLedger::with_entries(PaidBy::Partner, dollars(2500), entries).unwrap();
    tree.timers = vec![Timer {
        name: "customer_action".into(),
        part: OrderPart::ORDER,
        due: second(100),
        to: "timed_out".into(),
    }];
    tree.steps = [StepKind::Refund, StepKind::Custom("stamp".into())]
        .into_iter()
        .zip(1..)
        .map(|(kind, number)| OpenStep {
            number,
            kind,
            part: OrderPart::refund(0),
            due: second(10),
            amount: (number == 1).then(|| dollars(1250)),
        })
        .collect();
    tree.given_up = vec![GivenUpStep {
        step: OpenStep {
            number: 3,
            kind: StepKind::Void,
            part: OrderPart::ORDER,
            due: second(9),
            amount: Some(dollars(300)),
        },
        attempts: 4,
        error: "the gateway does not answer".into(),
    }];
    tree.ended = vec![EndedStep {
        kind: StepKind::Charge,
        part: OrderPart::ORDER,
        result: StepResult::Done,
    }];
    tree.launches = 3;
    tree.reason = Some("illness".into());
    tree.information = [
        ("colour".into(), InfoValue::Text("red".into())),
        ("level".into(), InfoValue::Integer(-3)),
        ("vip".into(), InfoValue::Flag(false)),
    ]
    .into();
    tree.alerts = [(Name::from("refund_failed"), 2)].into();
    tree.emitted = [Name::from("order.created")].into();
    tree.events = 1;
    OrderUpdate {
        order: KEY.order_id(),
        revision: 4,
        updated_sec: second(1_800_000_000),
        tree,
        entry: full_entry(),
        released: vec![NamedClaim {
            merchant_id: "museum".into(),
            service_id: "entry".into(),
            start_sec: second(1_800_000_000),
            duration_sec: 3600.into(),
            ticket_id: Some("adult".into()),
            count: 2,
        }],
        answer: Some(RequestAnswer {
            request_id: "0b8e".to_owned(),
            fingerprint: [4; 32],
        }),
    }
}

#[test]
fn an_update_reads_back_as_it_was() {
    for update in [plain(), full()] {
        let (public, personal) = encode(&update, &KEY);
        assert_eq!(decode_update(&public, Some(&personal)), Ok(update));
    }
}

#[test]
fn what_people_have_written_is_in_the_personal_part_only() {
    let update = full();
    let (public, _) = encode(&update, &KEY);
    for text in [&update.entry.texts.note, &update.entry.texts.reason] {
        assert!(
            !public
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        );
    }
    let mut expected = full();
    expected.entry.texts = UpdateTexts::default();
    assert_eq!(decode_update(&public, None), Ok(expected));
}

#[test]
fn a_part_of_a_record_is_none() {
    let (public, personal) = encode(&full(), &KEY);
    for length in 0..public.len() {
        let read = decode_update(&public[..length], Some(&personal));
        // Without the last fields, a message may be one of another update; it is then told apart by its checksum.
        assert_ne!(read, Ok(full()), "{length} bytes");
    }
    let mut longer = public.clone();
    longer.push(0);
    decode_update(&longer, Some(&personal)).unwrap_err();
}

/// Changes the record of the full update.
fn changed(change: impl FnOnce(&mut proto::OrderUpdated)) -> Result<OrderUpdate, RecordError> {
    let (public, _) = encode(&full(), &KEY);
    let mut record = proto::OrderUpdated::decode(&*public).unwrap();
    change(&mut record);
    decode_update(&record.encode_to_vec(), None)
}

fn tree(record: &mut proto::OrderUpdated) -> &mut proto::OrderTree {
    record.tree.as_mut().unwrap()
}

#[test]
fn a_number_that_no_version_writes_is_damage() {
    let cases: [(&str, Result<OrderUpdate, RecordError>); 15] = [
        (
            "paid by nobody known",
            changed(|record| tree(record).paid_by = 99),
        ),
        (
            "paid by the default",
            changed(|record| tree(record).paid_by = 0),
        ),
        (
            "a currency",
            changed(|record| tree(record).currency_code = "XYZ".to_owned()),
        ),
        (
            "a ledger kind",
            changed(|record| tree(record).ledger[0].kind = 0),
        ),
        (
            "an amount below zero",
            changed(|record| tree(record).ledger[0].amount_micros = -1),
        ),
        (
            "a destination",
            changed(|record| tree(record).fulfillment[0].destination = 7),
        ),
        (
            "an item beyond 16 bits",
            changed(|record| tree(record).fulfillment[0].item[0] = 1 << 16),
        ),
        (
            "a percentage",
            changed(|record| tree(record).reduction[0].item[0].percent = 101),
        ),
        (
            "a step without a kind",
            changed(|record| tree(record).step[0].kind = 0),
        ),
        (
            "a known step with a name of its own",
            changed(|record| tree(record).step[0].custom = "x".to_owned()),
        ),
        (
            "a timer of no part",
            changed(|record| tree(record).timer[0].part = None),
        ),
        (
            "information without a value",
            changed(|record| tree(record).information[0].value = None),
        ),
        (
            "a cause",
            changed(|record| record.entry.as_mut().unwrap().cause = 0),
        ),
        (
            "a short fingerprint",
            changed(|record| record.answer.as_mut().unwrap().fingerprint = vec![1]),
        ),
        (
            "a short order key",
            changed(|record| record.order_key = vec![1]),
        ),
    ];
    for (what, read) in cases {
        assert!(read.is_err(), "{what}: {read:?}");
    }
}

#[test]
fn an_update_has_an_order_and_an_entry() {
    let missing = [
        changed(|record| record.tree = None),
        changed(|record| record.entry = None),
        changed(|record| tree(record).refund[0].amount = None),
    ];
    for read in missing {
        assert!(matches!(read, Err(RecordError::Missing(_))), "{read:?}");
    }
}
