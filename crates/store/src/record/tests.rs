use prost::Message;

use super::*;
use crate::{
    HoldRecord, NamedClaim, PaymentAttempt, Provenance, ReleaseReason, conformance::samples,
};
use domain::{
    ids::Token,
    order::{BookedItem, BookingStatus, Customer, LineItem, Order, OrderId, OrderedTickets},
    slot::BlockedSpots,
    time::EpochSeconds,
};
use testkit::seeds::seeds;

fn keys() -> KeyDeriver {
    KeyDeriver::new([7; 32])
}

/// A write by chance, and its record.
fn sample(seed: u64) -> (Write, EncodedRecord) {
    let write = any_write(&mut fastrand::Rng::with_seed(seed));
    let record = encode(&write, &keys());
    (write, record)
}

fn any_write(random: &mut fastrand::Rng) -> Write {
    let token = samples::token(random);
    match random.u8(..13) {
        12 => Write::ErasureAnswered(samples::erasure_answer(random)),
        11 => Write::Blocked(Box::new(samples::block(random))),
        8 => Write::StepRetried(Box::new({
            let step = random.u16(..);
            samples::step_retry(random, order_id(&token), step)
        })),
        9 => Write::Lifecycle(Box::new({
            let number = random.u32(1..);
            samples::revision(random, number)
        })),
        10 => Write::LifecycleDraft(Box::new(samples::draft(random))),
        7 => Write::OrderUpdated(Box::new({
            let revision = random.u32(..);
            samples::update(random, order_id(&token), revision)
        })),
        0 => Write::PaymentIntent(samples::intent(random, token)),
        1 => Write::PaymentEnded(samples::attempt(random, token)),
        2 => Write::HoldPlaced(Box::new(samples::hold(random))),
        3 => Write::HoldReleased {
            id: HoldId(samples::bytes(random)),
            released_sec: samples::second(random),
            reason: samples::one_of(random, &[ReleaseReason::Released, ReleaseReason::Expired]),
        },
        4 => Write::Prices(samples::prices(random)),
        5 => Write::SlotsForgotten(samples::second(random)),
        _ => Write::OrderPlaced(Box::new(samples::placed(random, order_id))),
    }
}

fn order_id(token: &Token) -> OrderId {
    keys().order_key(token).order_id()
}

/// An order as most are: one item, one claim.
fn placed(created_by: Option<&str>) -> PlacedOrder {
    let line = LineItem {
        service_id: "entry".into(),
        start_sec: EpochSeconds::new(1_800_000_000),
        duration_sec: 3600.into(),
        tickets: vec![OrderedTickets {
            ticket_id: "adult".into(),
            count: 2,
        }],
        price: None,
        answers: Some(Vec::new()),
    };
    let claim = NamedClaim {
        merchant_id: "museum".into(),
        service_id: "entry".into(),
        start_sec: EpochSeconds::new(1_800_000_000),
        duration_sec: 3600.into(),
        ticket_id: Some("adult".into()),
        count: 2,
    };
    let token = "7f6d3c1e-7b1a-4f0e-9a57-0d9e0e4b7c11".into();
    PlacedOrder {
        fingerprint: [7; 32],
        created_sec: EpochSeconds::new(1_700_000_000),
        created_by: created_by.map(Into::into),
        order: Box::new(Order {
            id: order_id(&token),
            merchant_id: "museum".into(),
            customer: Customer::of("ada"),
            payment: Some(Box::default()),
            items: vec![BookedItem {
                line,
                status: BookingStatus::Confirmed,
            }],
        }),
        claims: vec![claim],
        payment: None,
        hold: None,
        bill: None,
        begun: None,
        lifecycle: 1,
        token,
    }
}

fn encode_placed(placed: PlacedOrder) -> EncodedRecord {
    encode(&Write::OrderPlaced(Box::new(placed)), &keys())
}

/// The write of a record.
fn decode_write(record: &EncodedRecord) -> Result<Write, RecordError> {
    let (public, personal) = (&*record.public, &*record.personal);
    Ok(match record.kind {
        RecordKind::OrderPlaced => {
            Write::OrderPlaced(Box::new(decode_placed(public, Some(personal))?))
        }
        RecordKind::PaymentIntent => Write::PaymentIntent(decode_intent(public)?),
        RecordKind::PaymentEnded => Write::PaymentEnded(decode_attempt(public)?),
        RecordKind::HoldPlaced => Write::HoldPlaced(Box::new(decode_hold(public)?)),
        RecordKind::HoldReleased => {
            let (id, released_sec, reason) = decode_hold_released(public)?;
            Write::HoldReleased {
                id,
                released_sec,
                reason,
            }
        }
        RecordKind::Prices => Write::Prices(decode_prices(public)?),
        RecordKind::SlotsForgotten => Write::SlotsForgotten(decode_slots_forgotten(public)?),
        RecordKind::Blocked => Write::Blocked(Box::new(decode_block(public)?)),
        RecordKind::OrderUpdated => {
            Write::OrderUpdated(Box::new(decode_update(public, Some(personal))?))
        }
        RecordKind::StepRetried => Write::StepRetried(Box::new(decode_step_retried(public)?)),
        RecordKind::Lifecycle => Write::Lifecycle(Box::new(decode_published(public)?)),
        RecordKind::LifecycleDraft => Write::LifecycleDraft(Box::new(decode_draft(public)?)),
        RecordKind::ErasureAnswered => Write::ErasureAnswered(decode_erasure_answer(public)?),
        RecordKind::PersonErased | RecordKind::ErasureCompleted => {
            panic!("it is no write of a unit")
        }
    })
}

/// The bytes as message `M`, encoded again.
fn again<M: Message + Default>(bytes: &[u8]) -> Vec<u8> {
    M::decode(bytes).unwrap().encode_to_vec()
}

fn without_answers(hold: &HoldRecord) -> HoldRecord {
    let mut hold = hold.clone();
    for line in &mut hold.lines {
        line.answers = None;
    }
    hold
}

#[test]
fn a_write_reads_back_as_it_was() {
    for seed in seeds(2_000) {
        let (write, record) = sample(seed);
        let expected = if let Write::HoldPlaced(hold) = &write {
            Write::HoldPlaced(Box::new(without_answers(hold)))
        } else {
            write
        };
        assert_eq!(decode_write(&record), Ok(expected), "seed {seed}");
    }
}

/// What is written without the generated messages is what they would write: the proto file describes the disk.
#[test]
fn records_are_the_messages_of_the_proto_file() {
    for seed in seeds(2_000) {
        let (_, record) = sample(seed);
        let public = &*record.public;
        let expected = match record.kind {
            RecordKind::OrderPlaced => again::<proto::OrderPlaced>(public),
            RecordKind::PaymentIntent => again::<proto::PaymentIntent>(public),
            RecordKind::PaymentEnded => again::<proto::PaymentEnded>(public),
            RecordKind::HoldPlaced => again::<proto::HoldPlaced>(public),
            RecordKind::HoldReleased => again::<proto::HoldReleased>(public),
            RecordKind::Prices => again::<proto::Prices>(public),
            RecordKind::SlotsForgotten => again::<proto::SlotsForgotten>(public),
            RecordKind::OrderUpdated => again::<proto::OrderUpdated>(public),
            RecordKind::Blocked => again::<proto::SlotBlocked>(public),
            RecordKind::StepRetried => again::<proto::StepRetried>(public),
            RecordKind::Lifecycle => again::<proto::LifecyclePublished>(public),
            RecordKind::LifecycleDraft => again::<proto::LifecycleDrafted>(public),
            RecordKind::ErasureAnswered => again::<proto::ErasureAnswered>(public),
            RecordKind::PersonErased | RecordKind::ErasureCompleted => {
                panic!("it is no write of a unit")
            }
        };
        assert_eq!(public, expected, "seed {seed}, {:?}", record.kind);
        let personal = if record.kind == RecordKind::OrderUpdated {
            again::<proto::UpdateTexts>(&record.personal)
        } else {
            again::<proto::PersonalPart>(&record.personal)
        };
        assert_eq!(record.personal, personal, "seed {seed}");
    }
}

/// What an index needs of a write, and what it reads of its record.
fn expected_facts(write: &Write) -> (RecordKeys, RecordFacts) {
    match write {
        Write::OrderPlaced(placed) => expected_order(placed),
        Write::PaymentIntent(intent) => {
            let key = keys().order_key(&intent.token);
            (RecordKeys::Intent(key), RecordFacts::PaymentIntent(key))
        }
        Write::PaymentEnded(PaymentAttempt { intent, .. }) => {
            let (order, attempt) = (keys().order_key(&intent.token), intent.attempt);
            let facts = RecordFacts::PaymentEnded { order, attempt };
            (RecordKeys::PaymentEnded(order), facts)
        }
        Write::HoldPlaced(hold) => {
            let HoldRecord {
                id,
                revision,
                placed_sec,
                expires_sec,
                ..
            } = **hold;
            let indexed = RecordKeys::Hold {
                id,
                revision,
                expires_sec,
            };
            let facts = RecordFacts::HoldPlaced {
                id,
                revision,
                placed_sec,
                expires_sec,
            };
            (indexed, facts)
        }
        &Write::HoldReleased {
            id,
            released_sec,
            reason,
        } => {
            let indexed = RecordKeys::HoldReleased {
                id,
                released_sec,
                reason,
            };
            let facts = RecordFacts::HoldReleased {
                id,
                released_sec,
                reason,
            };
            (indexed, facts)
        }
        Write::Prices(_) => (RecordKeys::Prices, RecordFacts::Prices),
        Write::OrderUpdated(update) => expected_update(update),
        Write::Blocked(block) => (
            RecordKeys::Block(BlockFacts {
                key: keys().block_key(&block.slot),
                end_sec: block.slot.end_sec(),
                is_on: block.spots != BlockedSpots::Count(0),
            }),
            RecordFacts::Blocked(block.clone()),
        ),
        Write::StepRetried(retry) => {
            let (order, step) = (OrderKey::of_id(&retry.order).unwrap(), retry.step);
            (
                RecordKeys::StepRetried { order, step },
                RecordFacts::StepRetried { order, step },
            )
        }
        Write::Lifecycle(revision) => (
            RecordKeys::Lifecycle(revision.number),
            RecordFacts::Lifecycle(revision.number),
        ),
        Write::LifecycleDraft(_) => (RecordKeys::LifecycleDraft, RecordFacts::LifecycleDraft),
        Write::ErasureAnswered(_) => (RecordKeys::ErasureAnswered, RecordFacts::ErasureAnswered),
        Write::SlotsForgotten(until) => (
            RecordKeys::SlotsForgotten(*until),
            RecordFacts::SlotsForgotten(*until),
        ),
    }
}

fn expected_update(update: &OrderUpdate) -> (RecordKeys, RecordFacts) {
    let order = OrderKey::of_id(&update.order).unwrap();
    let (revision, has_work) = (update.revision, update.tree.has_work());
    let states = Arc::new(StateProfile::of(update.entry.lifecycle, &update.tree));
    let indexed = RecordKeys::Update {
        order,
        revision,
        has_work,
        states: Arc::clone(&states),
    };
    let facts = RecordFacts::OrderUpdated(UpdateFacts {
        key: order,
        revision,
        has_work,
        states,
        released: update.released.clone(),
    });
    (indexed, facts)
}

fn expected_order(placed: &PlacedOrder) -> (RecordKeys, RecordFacts) {
    let order = keys().order_key(&placed.token);
    let user_id = &placed.order.customer.user_id;
    let (created_sec, hold) = (placed.created_sec, placed.hold);
    let ends_intent = placed.payment.is_some();
    let begun = placed.begun.as_ref().map(|begun| BegunFacts {
        has_work: begun.has_work(),
        states: Arc::new(StateProfile::of(placed.lifecycle, begun)),
    });
    let indexed = RecordKeys::Order {
        order,
        user: keys().user_key(user_id),
        created_sec,
        hold,
        ends_intent,
        begun: begun.clone(),
        slots: keys().slot_keys(&placed.claims),
    };
    let facts = RecordFacts::OrderPlaced(OrderFacts {
        key: order,
        user_id: Some(user_id.clone()),
        created_sec,
        claims: placed.claims.clone(),
        hold,
        ends_intent,
        begun,
    });
    (indexed, facts)
}

#[test]
fn the_facts_of_a_record_are_those_of_the_whole() {
    for seed in seeds(2_000) {
        let (write, record) = sample(seed);
        let facts = decode_facts(record.kind, &record.public, Some(&record.personal)).unwrap();
        let expected = expected_facts(&write);
        assert_eq!((record.keys, facts), expected, "seed {seed}");
        if let Write::OrderPlaced(placed) = write {
            assert_eq!(created_sec(&record.public), Ok(placed.created_sec));
            assert_eq!(
                order_key(&record.public),
                Ok(keys().order_key(&placed.token))
            );
            let user_id = &placed.order.customer.user_id;
            let personal = Some(&*record.personal);
            assert_eq!(is_of_user(personal, user_id), Ok(true));
            let another = format!("{user_id}+").as_str().into();
            assert_eq!(is_of_user(personal, &another), Ok(false));
            assert_eq!(is_of_user(None, user_id), Ok(false));
        }
    }
}

#[test]
fn an_erased_order_is_the_order_without_its_person() {
    for seed in seeds(500) {
        let mut random = fastrand::Rng::with_seed(seed);
        let placed = samples::placed(&mut random, order_id);
        let record = encode_placed(placed.clone());
        assert!(record.personal.iter().any(|byte| *byte != 0));
        let mut expected = placed;
        expected.order.customer = Customer::of("");
        for item in &mut expected.order.items {
            item.line.answers = None;
        }
        assert_eq!(decode_placed(&record.public, None).as_ref(), Ok(&expected));
        assert_eq!(
            decode_replay(&record.public, None).unwrap().order,
            expected.order
        );
        let RecordFacts::OrderPlaced(facts) =
            decode_facts(record.kind, &record.public, None).unwrap()
        else {
            panic!("it is an order")
        };
        assert_eq!(facts.user_id, None);
        assert_eq!(facts.claims, expected.claims);
    }
}

#[test]
fn personal_data_is_in_the_personal_part_only() {
    let mut placed = placed(None);
    let secret = "Lovelace";
    placed.order.customer = Customer {
        user_id: secret.into(),
        given_name: secret.into(),
        family_name: secret.into(),
        address: Some(domain::order::PostalAddress {
            country: secret.into(),
            locality: secret.into(),
            region: secret.into(),
            postal_code: secret.into(),
            street_address: secret.into(),
        }),
        telephone: secret.into(),
        email: secret.into(),
        language_code: secret.into(),
    };
    let answers = vec![domain::order::IntakeAnswer {
        question_id: "name".into(),
        responses: vec![secret.into()],
    }];
    placed.order.items[0].line.answers = Some(answers);
    let line = placed.order.items[0].line.clone();
    let record = encode_placed(placed);
    let hold = HoldRecord {
        lines: vec![line],
        ..samples::hold(&mut fastrand::Rng::with_seed(1))
    };
    let hold = encode(&Write::HoldPlaced(Box::new(hold)), &keys());
    let times = |bytes: &[u8]| {
        let windows = bytes.windows(secret.len());
        windows
            .filter(|window| *window == secret.as_bytes())
            .count()
    };
    assert_eq!(times(&record.personal), 12);
    assert_eq!(times(&record.public), 0);
    assert_eq!((times(&hold.public), hold.personal.len()), (0, 0));
}

#[test]
fn the_usual_order_is_encoded_in_two_allocations() {
    let record = encode_placed(PlacedOrder {
        hold: Some(HoldId([1; 16])),
        ..placed(Some("google"))
    });
    // A vector that had to grow would have doubled.
    assert_eq!(record.public.capacity(), 256 + 2 * 128);
    assert_eq!(record.personal.capacity(), 256);
}

#[test]
fn an_order_of_an_id_that_no_store_gives_out_is_found_under_its_token() {
    let mut stranger = placed(None);
    stranger.order.id = "order".into();
    let record = encode_placed(stranger);
    let expected = placed(None).order.id;
    let replay = decode_replay(&record.public, Some(&record.personal)).unwrap();
    assert_eq!(replay.order.id, expected);
}

#[test]
fn who_created_an_order_stands_in_its_record_and_decides_who_sees_it() {
    for created_by in [None, Some("google"), Some("")] {
        let record = encode_placed(placed(created_by));
        let (public, personal) = (&*record.public, Some(&*record.personal));
        let replay = decode_replay(public, personal).unwrap();
        assert_eq!(replay.created_by.as_deref(), created_by);
        let expected = Provenance {
            created_by,
            merchant_id: &"museum".into(),
        };
        let seen = decode_order_if(public, personal, &|provenance| {
            assert_eq!(provenance, expected);
            created_by.is_some()
        });
        let order = created_by.is_some().then_some(replay.order);
        assert_eq!(seen.map(|seen| seen.map(|placed| placed.order)), Ok(order));
    }
}

#[test]
fn kinds_keep_their_numbers() {
    let known = (1..=15).zip(RecordKind::ALL);
    for (number, kind) in known {
        assert_eq!(kind.number(), number);
        assert_eq!(RecordKind::try_from(number), Ok(kind));
    }
    for number in [0, 16, 255] {
        let unknown = RecordError::UnknownKind(number);
        assert_eq!(RecordKind::try_from(number), Err(unknown));
    }
}

#[test]
fn an_erasure_reads_back_as_it_was() {
    let customer = ErasureScope::Customer(keys().user_key(&"ada".into()));
    let visits = ErasureScope::VisitsEndedBefore(EpochSeconds::new(0));
    let order = ErasureScope::Order(keys().order_key(&"token".into()));
    for scope in [customer, order, visits] {
        let erased = PersonErased {
            scope,
            erased_sec: EpochSeconds::new(-7),
            orders: vec![9, 10, u64::MAX],
        };
        let record = encode_person_erased(&erased);
        assert_eq!(decode_person_erased(&record), Ok(erased));
        assert_eq!(
            decode_facts(RecordKind::PersonErased, &record, None),
            Ok(RecordFacts::PersonErased)
        );
    }
    let record = encode_erasure_completed(77);
    assert_eq!(decode_erasure_completed(&record), Ok(77));
    assert_eq!(
        decode_facts(RecordKind::ErasureCompleted, &record, None),
        Ok(RecordFacts::ErasureCompleted(77))
    );
}

#[test]
fn what_no_erasure_says_is_damage() {
    use proto::PersonErased as Message;
    let whole = Message {
        user_key: Some(vec![1; 16]),
        erased_sec: 5,
        order_position: vec![3, 4],
        ended_before_sec: None,
        order_key: None,
    };
    assert!(decode_person_erased(&whole.encode_to_vec()).is_ok());
    let changes: [fn(&mut Message); 8] = [
        |message| message.user_key = None,
        |message| message.user_key = Some(vec![1; 15]),
        |message| message.ended_before_sec = Some(1),
        |message| message.order_key = Some(vec![1; 16]),
        |message| (message.user_key, message.order_key) = (None, Some(vec![1; 15])),
        |message| message.order_position = Vec::new(),
        |message| message.order_position = vec![4, 3],
        |message| message.order_position = vec![3, 3],
    ];
    for change in changes {
        let mut message = whole.clone();
        change(&mut message);
        let decoded = decode_person_erased(&message.encode_to_vec());
        assert!(decoded.is_err(), "{message:?}: {decoded:?}");
    }
    assert!(decode_erasure_completed(&[]).is_err());
}

#[test]
fn a_visit_ends_with_its_last_slot() {
    for seed in seeds(500) {
        let (write, record) = sample(seed);
        let Write::OrderPlaced(placed) = write else {
            continue;
        };
        let ends = placed
            .claims
            .iter()
            .map(|claim| claim.start_sec.saturating_add(claim.duration_sec.into()));
        let expected = ends.max().unwrap_or(placed.created_sec);
        assert_eq!(visit_end_sec(&record.public), Ok(expected), "seed {seed}");
    }
}

mod damage;
