//! Random triggers over generated definitions, all of which pass the checks.

use std::collections::BTreeSet;

use domain::{
    ledger::{LedgerEntry, LedgerKind, PaidBy, PaymentStatus},
    lifecycle::{
        Effect, Entity, MAX_TRANSITIONS, OpenStep, OrderPart, OrderTree, Refused, RunOutcome,
        Spots, StateIx, StepAnswer, StepFailure, StepKind, StepResult, Trigger,
    },
    money::Percent,
    refunds::{RefundCause, RefundShare},
    shipment::{DeliveryType, ShipmentReport, ShipmentStatus},
    time::Seconds,
};
use proptest::{collection::vec, prelude::*};

use super::{World, read, world::dollars};

/// Numbers from which a definition or a trigger is made up, one after another.
struct Choices<'a> {
    numbers: &'a [u16],
    next: usize,
}

impl Choices<'_> {
    fn below(&mut self, bound: usize) -> usize {
        let number = self.numbers[self.next % self.numbers.len()];
        // Not the same again where the numbers are used up.
        let number = usize::from(number).wrapping_add(self.next / self.numbers.len() * 7);
        self.next += 1;
        number % bound.max(1)
    }

    fn of<'c>(&mut self, all: &[&'c str]) -> &'c str {
        all[self.below(all.len())]
    }

    fn is(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

/// Whether transitions may lead back to earlier states.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Forward,
    Any,
}

const ORDER_STATES: &[&str] = &[
    "pending",
    "processing",
    "timed_out",
    "cancelled",
    "failed",
    "o1",
    "o2",
];
const ITEM_STATES: &[&str] = &["held", "confirmed", "i1", "unavailable", "i2"];
const FULFILLMENT_STATES: &[&str] = &["waiting", "f1", "dispatched", "delivered", "f2"];
const REFUND_STATES: &[&str] = &["requested", "r1", "done"];

fn states(entity: Entity) -> &'static [&'static str] {
    match entity {
        Entity::Order => ORDER_STATES,
        Entity::LineItem => ITEM_STATES,
        Entity::Fulfillment => FULFILLMENT_STATES,
        Entity::Refund => REFUND_STATES,
    }
}

/// The conditions that a generated definition may have, without names of states.
const CONDITIONS: &[&str] = &[
    r#"cond = "all_transactions_state_in", status = ["captured", "authorized", "not_required"]"#,
    r#"cond = "all_transactions_state_in", status = ["declined", "refunded", "in_doubt"]"#,
    r#"cond = "delivery_type_is", types = ["none", "e_ticket"]"#,
    r#"cond = "paid_by", values = ["partner"]"#,
    r#"cond = "sales_channel_in", values = ["google"]"#,
    r#"cond = "event_sent", name = "own""#,
    r#"cond = "reason_in", reasons = ["customer"]"#,
    r#"cond = "fulfillments_have_shipment""#,
    r#"cond = "all_line_items_in_fulfillments""#,
    r#"cond = "information_in", key = "k", value_type = "int", values = [1]"#,
];

fn condition(choices: &mut Choices<'_>, entity: Entity, depth: usize) -> String {
    let item = choices.of(ITEM_STATES);
    let fulfillment = choices.of(FULFILLMENT_STATES);
    match choices.below(if depth > 2 { 4 } else { 6 }) {
        0 => format!("{{ cond = \"one_line_item_in_states\", states = [{item:?}] }}"),
        1 => {
            format!("{{ cond = \"all_line_items_in_states\", states = [{item:?}, \"confirmed\"] }}")
        }
        2 => format!(
            "{{ cond = \"all_fulfillments_in_states\", states = [{fulfillment:?}], if_exists = {} }}",
            choices.is(2)
        ),
        3 => {
            let plain = choices.of(CONDITIONS);
            // Refunds cannot have it.
            if entity == Entity::Refund && plain.contains("have_shipment") {
                return format!("{{ {} }}", CONDITIONS[0]);
            }
            format!("{{ {plain} }}")
        }
        4 => format!(
            "{{ cond = \"not\", of = {} }}",
            condition(choices, entity, depth + 1)
        ),
        _ => {
            let (one, other) = (
                condition(choices, entity, depth + 1),
                condition(choices, entity, depth + 1),
            );
            format!("{{ cond = \"any_of\", of = [{one}, [{other}]] }}")
        }
    }
}

fn update(choices: &mut Choices<'_>) -> String {
    let entity = Entity::ALL[choices.below(4)];
    let name = match entity {
        Entity::Order => "update_order_state",
        Entity::LineItem => "update_line_items_state",
        Entity::Fulfillment => "update_fulfillments_state",
        Entity::Refund => "update_refunds_state",
    };
    let state = if choices.is(3) {
        String::new()
    } else {
        format!(", state = {:?}", choices.of(states(entity)))
    };
    let scope = choices.of(&[
        "",
        r#", scope = "all""#,
        r#", scope = "fulfillment""#,
        r#", scope = "same_service""#,
    ]);
    format!("action = {name:?}{state}{scope}")
}

fn action(choices: &mut Choices<'_>, entity: Entity) -> String {
    const FOR_ALL: &[&str] = &[
        r#"action = "send_notification", name = "own""#,
        r#"action = "send_notification", name = "own", enable = false"#,
        r#"action = "send_alert", name = "a", incr = 1"#,
        r#"action = "set_information", key = "k", value = 1"#,
        r#"action = "remove_reason""#,
        r#"action = "launch", step = "work", at = "5m""#,
        r#"action = "assign_destination", to = "email""#,
    ];
    const OF_ORDER: &[&str] = &[
        r#"action = "launch", step = "charge""#,
        r#"action = "launch", step = "capture", at = "before_authorization_ends""#,
        r#"action = "launch", step = "void""#,
        r#"action = "cancel_payment_operations""#,
        r#"action = "create_payment_execution", type = "refund", percent = 50"#,
        r#"action = "create_payment_execution", type = "refund", scope = "cancelled_items", percent = 100"#,
        r#"action = "create_payment_execution", type = "capture""#,
        r#"action = "link_to_fulfillment", by = "service""#,
        r#"action = "erase_personal_data""#,
    ];
    const OF_ITEM: &[&str] = &[
        r#"action = "update_reserved_stock", creation = false"#,
        r#"action = "update_reserved_stock", creation = true"#,
        r#"action = "link_to_fulfillment", by = "line_item""#,
        r#"action = "remove_from_fulfillment", remove_if_empty = true"#,
        r#"action = "create_payment_execution", type = "refund", scope = "own", percent = 30"#,
    ];
    const OF_FULFILLMENT: &[&str] = &[
        r#"action = "launch", step = "book_delivery""#,
        r#"action = "launch", step = "cancel_delivery""#,
        r#"action = "delete_shipment""#,
        r#"action = "delete_shipment", database_only = true"#,
        r#"action = "create_payment_execution", type = "refund", scope = "own", percent = 100"#,
    ];
    const OF_REFUND: &[&str] = &[r#"action = "launch", step = "refund""#];
    let own = match entity {
        Entity::Order => OF_ORDER,
        Entity::LineItem => OF_ITEM,
        Entity::Fulfillment => OF_FULFILLMENT,
        Entity::Refund => OF_REFUND,
    };
    let words = match choices.below(4) {
        0 => update(choices),
        1 => choices.of(FOR_ALL).to_owned(),
        _ => choices.of(own).to_owned(),
    };
    if choices.is(4) {
        format!("{{ {words}, if = [{}] }}", condition(choices, entity, 0))
    } else {
        format!("{{ {words} }}")
    }
}

fn actions(choices: &mut Choices<'_>, entity: Entity, most: usize) -> String {
    let count = choices.below(most + 1);
    let all: Vec<String> = (0..count).map(|_| action(choices, entity)).collect();
    all.join(", ")
}

/// A transition between random states, as a table. `known` are the manual ones that there are.
fn transition(
    choices: &mut Choices<'_>,
    entity: Entity,
    shape: Shape,
    known: &mut BTreeSet<(&str, &str, &str)>,
) -> Option<String> {
    let states = states(entity);
    // The last state is a terminal one.
    let (from, to) = (choices.below(states.len() - 1), choices.below(states.len()));
    if shape == Shape::Forward && from >= to {
        return None;
    }
    let (from, to) = (states[from], states[to]);
    let (kind, gate) = if choices.is(3) || !known.insert((entity.name(), from, to)) {
        ("automatic", condition(choices, entity, 0))
    } else if choices.is(3) {
        ("manual", condition(choices, entity, 0))
    } else {
        ("manual", String::new())
    };
    let actions = actions(choices, entity, 3);
    Some(format!(
        "[[entity.{}.transition]]\nfrom = [{from:?}]\nto = {to:?}\nkind = {kind:?}\nif = [{gate}]\ndo = [{actions}]\n",
        entity.name()
    ))
}

/// The transitions that every definition needs; their states are in the order of the lists.
const FRAME: &[(&str, &str, &str)] = &[
    ("order", "processing", "timed_out"),
    ("order", "processing", "cancelled"),
    ("order", "timed_out", "cancelled"),
    ("order", "processing", "failed"),
    ("order", "failed", "o1"),
    ("order", "o1", "o2"),
    ("line_item", "held", "confirmed"),
    ("line_item", "confirmed", "i1"),
    ("line_item", "i1", "unavailable"),
    ("line_item", "unavailable", "i2"),
    ("fulfillment", "waiting", "f1"),
    ("fulfillment", "f1", "dispatched"),
    ("fulfillment", "dispatched", "delivered"),
    ("fulfillment", "delivered", "f2"),
    ("refund", "requested", "r1"),
    ("refund", "r1", "done"),
];

/// The text of a definition.
fn definition(numbers: &[u16], shape: Shape) -> String {
    let mut choices = Choices { numbers, next: 0 };
    let choices = &mut choices;
    let mut text = String::from(
        "schema = \"lifecycle/1\"\nsteps = [\"work\"]\n[verb]\namend = \"timed_out\"\n",
    );
    for entity in Entity::ALL {
        let (name, states) = (entity.name(), states(entity));
        let block = format!(
            "[entity.{name}]\nstart = {:?}\nstates = {states:?}\n",
            states[0]
        );
        text.push_str(&block);
        let begin = match entity {
            Entity::Order => r#"{ action = "launch", step = "charge" }"#.to_owned(),
            Entity::Refund => r#"{ action = "launch", step = "refund" }"#.to_owned(),
            // What an item does when it begins would leave it unconfirmed.
            Entity::LineItem => String::new(),
            Entity::Fulfillment => actions(choices, entity, 1),
        };
        let block = format!("on_start = [{begin}]\n");
        text.push_str(&block);
        if entity == Entity::LineItem {
            text.push_str("[entity.line_item.booking_status]\nheld = \"BOOKING_STATUS_UNSPECIFIED\"\nconfirmed = \"CONFIRMED\"\ni1 = \"CONFIRMED\"\nunavailable = \"CANCELED\"\ni2 = \"CANCELED\"\n");
        }
    }
    text.push_str(concat!(
        "[[entity.order.transition]]\nfrom = [\"pending\"]\nto = \"processing\"\nkind = \"automatic\"\n",
        "if = [{ cond = \"all_transactions_state_in\", status = [\"authorized\", \"captured\", \"not_required\"] }]\n",
        "do = [{ action = \"update_line_items_state\", state = \"confirmed\" }, ",
        "{ action = \"link_to_fulfillment\", by = \"service\", if = [{ cond = \"not\", of = { cond = \"delivery_type_is\", types = [\"none\"] } }] }]\n",
    ));
    for (name, from, to) in FRAME {
        let entity = Entity::ALL
            .into_iter()
            .find(|it| it.name() == *name)
            .unwrap();
        // Nothing when an item is confirmed, so that plain orders are placed.
        let actions = if *to == "confirmed" {
            String::new()
        } else {
            actions(choices, entity, 3)
        };
        let block = format!(
            "[[entity.{name}.transition]]\nfrom = [{from:?}]\nto = {to:?}\nkind = \"manual\"\ndo = [{actions}]\n"
        );
        text.push_str(&block);
    }
    let mut known: BTreeSet<_> = FRAME.iter().copied().collect();
    if choices.is(2) {
        known.insert(("order", "processing", "o1"));
        text.push_str("[[entity.order.transition]]\nfrom = [\"processing\"]\nto = \"o1\"\nkind = \"manual\"\ndo = [{ action = \"set_expiration_date\", name = \"t\", expire_in = \"1h\", to = \"o2\" }]\n");
    }
    for _ in 0..choices.below(8) {
        let entity = Entity::ALL[choices.below(4)];
        if let Some(more) = transition(choices, entity, shape, &mut known) {
            text.push_str(&more);
        }
    }
    text
}

/// A world with a generated definition; `None` if the checks do not pass it.
fn generated(numbers: &[u16], shape: Shape) -> Option<World> {
    let text = definition(numbers, shape);
    let mut world = World::new(read(&text, "generated.toml").ok()?);
    let mut choices = Choices { numbers, next: 3 };
    world.delivery = [
        DeliveryType::None,
        DeliveryType::Post,
        DeliveryType::ETicket,
    ][choices.below(3)];
    Some(world)
}

fn part(tree: &OrderTree, choices: &mut Choices<'_>) -> OrderPart {
    let index = |choices: &mut Choices<'_>, length: usize| {
        u16::try_from(choices.below(length + 1)).unwrap()
    };
    match choices.below(5) {
        0 | 1 => OrderPart::ORDER,
        2 => OrderPart::item(index(choices, tree.items.len())),
        3 => OrderPart::fulfillment(index(choices, tree.fulfillments.len())),
        _ => OrderPart::refund(index(choices, tree.refunds.len())),
    }
}

fn trigger(world: &World, tree: &OrderTree, choices: &mut Choices<'_>) -> Trigger {
    let part = part(tree, choices);
    let amount = dollars(i64::try_from(choices.below(25)).unwrap());
    match choices.below(13) {
        0..=4 => {
            let states = world.def.entity(part.entity).states.len();
            Trigger::Transition {
                part,
                from: None,
                to: StateIx::new(choices.below(states)).unwrap(),
                reason: choices.is(3).then(|| "customer".into()),
                refund: choices.is(5).then_some(RefundShare::Amount(amount)),
            }
        }
        5 => Trigger::Tried { part },
        6 => Trigger::Fired {
            part,
            name: "t".into(),
        },
        7 | 8 => {
            let open = tree.steps.get(choices.below(tree.steps.len()));
            let mut answer = StepAnswer::of(if choices.is(4) {
                StepResult::Failed
            } else {
                StepResult::Done
            });
            answer.reference = choices.is(2).then(|| "R".to_owned());
            answer.failure = choices.is(2).then(|| StepFailure {
                attempts: 2,
                error: "busy".to_owned(),
            });
            if choices.is(6) {
                answer.entry = Some(LedgerEntry::new(LedgerKind::Authorized, amount, world.now));
            }
            Trigger::StepEnded {
                number: open.map_or(99, |step| step.number),
                answer,
            }
        }
        9 => {
            let kinds = [
                LedgerKind::Authorized,
                LedgerKind::Captured,
                LedgerKind::Refunded,
                LedgerKind::InDoubt,
                LedgerKind::Voided,
                LedgerKind::Declined,
            ];
            let kind = kinds[choices.below(kinds.len())];
            Trigger::Paid(LedgerEntry::new(kind, amount, world.now))
        }
        10 => Trigger::Shipped {
            fulfillment: part.index,
            report: ShipmentReport {
                reference: None,
                status: [
                    ShipmentStatus::Booked,
                    ShipmentStatus::Dispatched,
                    ShipmentStatus::Delivered,
                ][choices.below(3)],
                updated: world.now,
            },
        },
        11 => {
            let given_up = tree.given_up.get(choices.below(tree.given_up.len()));
            let number = given_up.map_or(99, |it| it.step.number);
            if choices.is(3) {
                Trigger::LeftAlone { number }
            } else {
                Trigger::Retried { number }
            }
        }
        _ => Trigger::GiveBack {
            items: vec![part.index],
            share: RefundShare::Percent(
                Percent::new(u8::try_from(choices.below(101)).unwrap()).unwrap(),
            ),
            cause: RefundCause::Customer,
        },
    }
}

/// What holds after every run. Written apart from the interpreter's own checks.
fn check(before: &OrderTree, outcome: &RunOutcome) {
    let after = &outcome.tree;
    let (old, new) = (before.ledger.entries(), after.ledger.entries());
    assert!(new.starts_with(old), "the ledger only grows");
    let sum = |kind| {
        let of_kind = new.iter().filter(|it| it.kind == kind);
        of_kind.fold(0, |sum, it| sum + it.amount.to_micros().unwrap())
    };
    let captured = sum(LedgerKind::Captured);
    assert!(
        sum(LedgerKind::Refunded) <= captured,
        "refunded is at most captured"
    );
    assert!(
        captured <= after.ledger.due().to_micros().unwrap(),
        "captured is at most due"
    );
    for (index, (old, new)) in before.items.iter().zip(&after.items).enumerate() {
        let released = outcome
            .effects
            .iter()
            .filter(|it| matches!(it, Effect::Release { item } if usize::from(*item) == index));
        let is_now = old.spots == Spots::Held && new.spots == Spots::Released;
        assert_eq!(
            released.count(),
            usize::from(is_now),
            "spots are given back once"
        );
        assert!(old.spots == Spots::Held || new.spots == Spots::Released);
        if let Some(fulfillment) = new.fulfillment {
            let index = u16::try_from(index).unwrap();
            assert!(
                after.fulfillments[usize::from(fulfillment)]
                    .items
                    .contains(&index)
            );
        }
    }
    for (old, new) in before.fulfillments.iter().zip(&after.fulfillments) {
        if let (Some(old), Some(new)) = (&old.shipment, &new.shipment) {
            assert!(new.status >= old.status, "a delivery never goes backwards");
        }
    }
    assert!(
        !goes_out(before, outcome) || is_paid(before) || is_paid(after),
        "nothing is booked or dispatched unpaid"
    );
    assert!(outcome.transitions.len() <= MAX_TRANSITIONS);
    let given_up = after.given_up.iter().map(|it| &it.step);
    let standing = after.steps.iter().chain(given_up);
    let mut numbers: Vec<u16> = standing.clone().map(|step| step.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(
        numbers.len(),
        standing.count(),
        "numbers of steps are unique"
    );
    for given_up in &after.given_up {
        let OpenStep { part, kind, .. } = &given_up.step;
        assert_eq!(after.open_step(*part, kind), None, "one does the work");
    }
    assert!(numbers.iter().all(|number| *number <= after.launches));
    let timers = |it: &OrderTree| {
        it.timers
            .iter()
            .map(|timer| (timer.part, timer.name.clone()))
            .collect::<BTreeSet<_>>()
            .len()
    };
    assert_eq!(
        timers(after),
        after.timers.len(),
        "a part has one timer of a name"
    );
}

/// Whether an outcome books a delivery, or says that one is on its way.
fn goes_out(before: &OrderTree, outcome: &RunOutcome) -> bool {
    let books =
        |it: &Effect| matches!(it, Effect::Launch(step) if step.kind == StepKind::BookDelivery);
    let status = |tree: &OrderTree, index: usize| {
        let fulfillment = tree.fulfillments.get(index);
        let shipment = fulfillment.and_then(|it| it.shipment.as_ref());
        shipment.map(|it| it.status)
    };
    let dispatched = Some(ShipmentStatus::Dispatched);
    let mut indexes = 0..outcome.tree.fulfillments.len();
    outcome.effects.iter().any(books)
        || indexes.any(|index| {
            status(before, index) < dispatched && status(&outcome.tree, index) >= dispatched
        })
}

fn is_paid(tree: &OrderTree) -> bool {
    matches!(
        tree.ledger.status(),
        PaymentStatus::Authorized | PaymentStatus::Captured | PaymentStatus::NotRequired
    )
}

/// Runs random triggers on one order. Returns the number of steps that changed it.
fn play(world: &mut World, numbers: &[u16], steps: usize, shape: Shape) -> usize {
    let mut choices = Choices { numbers, next: 0 };
    let items = u16::try_from(1 + choices.below(3)).unwrap();
    let paid_by = [
        PaidBy::Partner,
        PaidBy::Partner,
        PaidBy::Google,
        PaidBy::Nobody,
    ][choices.below(4)];
    let lost: Vec<u16> = if choices.is(3) { vec![0] } else { vec![] };
    let mut tree = world.sold(items, paid_by);
    for item in &lost {
        // The spots of a lost item were never taken.
        tree.items[usize::from(*item)].spots = Spots::Released;
    }
    let mut next = Trigger::Begin { unavailable: lost };
    let mut changed = 0;
    for _ in 0..=steps {
        let first = world.run(&tree, next.clone());
        assert_eq!(world.run(&tree, next.clone()), first, "the same again");
        match first {
            Ok(outcome) => {
                check(&tree, &outcome);
                changed += usize::from(outcome.tree.version > tree.version);
                tree = outcome.tree;
            }
            Err(Refused::TooDeep { .. }) => {
                assert!(shape == Shape::Any, "{next:?} is too deep without a circle");
            }
            Err(_) => {}
        }
        if choices.is(8) {
            world.now = world.now.saturating_add(Seconds::HOUR);
        }
        next = trigger(world, &tree, &mut choices);
    }
    changed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn random_triggers_keep_all_promises(
        numbers in vec(any::<u16>(), 60..200),
        moves in vec(any::<u16>(), 40..160),
        forward in any::<bool>(),
    ) {
        let shape = if forward { Shape::Forward } else { Shape::Any };
        if let Some(mut world) = generated(&numbers, shape) {
            play(&mut world, &moves, 40, shape);
        }
    }
}

/// Numbers that follow from a seed.
fn numbers(seed: &mut u64, count: usize) -> Vec<u16> {
    let mut all = Vec::new();
    for _ in 0..count {
        // A linear congruence is random enough to choose by.
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        all.push(u16::try_from(*seed >> 48).unwrap());
    }
    all
}

#[test]
fn most_generated_definitions_pass_the_checks_and_orders_move_in_them() {
    let mut seed = 7;
    let (mut passed, mut changed) = (0, 0);
    for round in 0..100 {
        let shape = if round % 2 == 0 {
            Shape::Forward
        } else {
            Shape::Any
        };
        if let Some(mut world) = generated(&numbers(&mut seed, 150), shape) {
            passed += 1;
            changed += play(&mut world, &numbers(&mut seed, 120), 30, shape);
        }
    }
    assert!(passed >= 85, "{passed} of 100");
    assert!(
        changed >= passed * 5,
        "{changed} changes in {passed} orders"
    );
}

/// Orders of one definition, and steps of each.
const ORDERS: usize = 20;
const STEPS: usize = 100;

/// Seeds in the usual run; 500 of them are a million steps: `BOXOFFICE_TEST_ROUNDS=500`.
const USUAL_SEEDS: u64 = 4;

#[test]
fn random_steps_of_many_orders_keep_all_promises() {
    let (mut steps, mut changed) = (0, 0);
    for seed in testkit::seeds::seeds(USUAL_SEEDS) {
        let shape = if seed % 2 == 0 {
            Shape::Forward
        } else {
            Shape::Any
        };
        let mut state = seed;
        // Another one where the checks do not pass it.
        let mut world = loop {
            if let Some(world) = generated(&numbers(&mut state, 180), shape) {
                break world;
            }
        };
        for _ in 0..ORDERS {
            changed += play(&mut world, &numbers(&mut state, 300), STEPS, shape);
            steps += STEPS;
        }
    }
    eprintln!("{steps} steps, {changed} of them changed an order");
    assert!(changed > 0);
}
