//! Every condition, where it holds and where it does not.

use domain::{
    ledger::PaidBy,
    lifecycle::{Entity, OrderPart, OrderTree, StepKind, StepResult, Trigger},
    order::IntakeAnswer,
    shipment::DeliveryType,
    slot::Confirmation,
    time::Seconds,
};

use super::{Sketch, World, read, world::START};

const ORDER: OrderPart = OrderPart::ORDER;

fn item(index: u16) -> OrderPart {
    OrderPart::item(index)
}

/// A world in which an automatic transition of an entity has this condition, and leads to state `seen`.
fn asking(entity: Entity, condition: &str) -> World {
    let from = match entity {
        Entity::Order => "processing",
        Entity::LineItem => "confirmed",
        Entity::Fulfillment => "waiting",
        Entity::Refund => "requested",
    };
    let name = entity.name();
    let more = format!(
        "[[entity.{name}.transition]]\nfrom = [{from:?}]\nto = \"seen\"\nkind = \"automatic\"\nif = [{condition}]\n"
    );
    let sketch = Sketch {
        order_states: if entity == Entity::Order {
            r#""seen""#
        } else {
            ""
        },
        item_states: if entity == Entity::LineItem {
            r#""seen""#
        } else {
            ""
        },
        fulfillment_states: if entity == Entity::Fulfillment {
            r#""seen""#
        } else {
            ""
        },
        refund_states: if entity == Entity::Refund {
            r#""seen""#
        } else {
            ""
        },
        processing: r#"{ action = "link_to_fulfillment", by = "service", if = [{ cond = "not", of = { cond = "delivery_type_is", types = ["none"] } }] }"#,
        fulfillment_start: r#"{ action = "launch", step = "book_delivery" }"#,
        ..Sketch::default()
    };
    let text = format!("{}\n{more}", sketch.text());
    // Tried before the way to `done`.
    World::new(read(&text, "f").unwrap_or_else(|errors| panic!("{errors}\n{text}")))
}

/// Whether the condition of a part's automatic transition holds.
fn holds(world: &World, tree: &OrderTree, part: OrderPart) -> bool {
    let outcome = world.run(tree, Trigger::Tried { part }).unwrap();
    world.state(&outcome.tree, part) == "seen"
}

#[track_caller]
fn check(
    entity: Entity,
    part: OrderPart,
    condition: &str,
    prepare: impl Fn(&mut World) -> OrderTree,
) -> bool {
    let mut world = asking(entity, condition);
    let tree = prepare(&mut world);
    let found = holds(&world, &tree, part);
    // Its negation is the other way round, always.
    let mut opposite = asking(entity, &format!("{{ cond = \"not\", of = {condition} }}"));
    let tree = prepare(&mut opposite);
    assert_eq!(holds(&opposite, &tree, part), !found, "not {condition}");
    found
}

/// An order of three items, of which the second was withdrawn.
fn withdrawn(world: &mut World) -> OrderTree {
    let tree = world.begin(3, PaidBy::Google).tree;
    world.go(&tree, item(1), "unavailable").tree
}

/// An order with two fulfillments, one for each service: items 0 and 1, and item 2.
fn delivered(world: &mut World) -> OrderTree {
    world.delivery = DeliveryType::Post;
    world.begin(3, PaidBy::Google).tree
}

#[test]
fn states_of_items() {
    for (entity, part, condition, expected) in [
        (
            Entity::Order,
            ORDER,
            r#"{ cond = "all_line_items_in_states", states = ["confirmed"] }"#,
            false,
        ),
        (
            Entity::Order,
            ORDER,
            r#"{ cond = "all_line_items_in_states", states = ["confirmed", "unavailable"] }"#,
            true,
        ),
        (
            Entity::Order,
            ORDER,
            r#"{ cond = "one_line_item_in_states", states = ["unavailable"] }"#,
            true,
        ),
        (
            Entity::Order,
            ORDER,
            r#"{ cond = "one_line_item_in_states", states = "held" }"#,
            false,
        ),
        (
            Entity::LineItem,
            item(0),
            r#"{ cond = "all_line_items_in_states", states = ["confirmed"] }"#,
            true,
        ),
        (
            Entity::LineItem,
            item(0),
            r#"{ cond = "all_line_items_in_states", states = ["confirmed"], scope = "all" }"#,
            false,
        ),
        (
            Entity::LineItem,
            item(0),
            r#"{ cond = "one_line_item_in_states", states = ["unavailable"] }"#,
            false,
        ),
        (
            Entity::LineItem,
            item(0),
            r#"{ cond = "one_line_item_in_states", states = ["unavailable"], scope = "all" }"#,
            true,
        ),
        (
            Entity::LineItem,
            item(0),
            r#"{ cond = "order_in_states", states = ["processing"] }"#,
            true,
        ),
        (
            Entity::LineItem,
            item(0),
            r#"{ cond = "order_in_states", states = ["pending", "failed"] }"#,
            false,
        ),
        (
            Entity::LineItem,
            item(0),
            r#"{ cond = "holds_spots" }"#,
            true,
        ),
    ] {
        assert_eq!(
            check(entity, part, condition, withdrawn),
            expected,
            "{condition} of {part:?}"
        );
    }
}

#[test]
fn fulfillments() {
    let first = OrderPart::fulfillment(0);
    let second = OrderPart::fulfillment(1);
    // One of two fulfillments is booked and dispatched.
    let moved = |world: &mut World| {
        let tree = delivered(world);
        let tree = world
            .end_step(&tree, &StepKind::BookDelivery, StepResult::Done)
            .tree;
        world.go(&tree, first, "dispatched").tree
    };
    for (entity, part, condition, expected) in [
        (
            Entity::Order,
            ORDER,
            r#"{ cond = "all_fulfillments_in_states", states = ["dispatched"] }"#,
            false,
        ),
        (
            Entity::Order,
            ORDER,
            r#"{ cond = "all_fulfillments_in_states", states = ["dispatched", "waiting"] }"#,
            true,
        ),
        (
            Entity::Order,
            ORDER,
            r#"{ cond = "one_fulfillment_in_states", states = ["dispatched"] }"#,
            true,
        ),
        (
            Entity::Order,
            ORDER,
            r#"{ cond = "one_fulfillment_in_states", states = ["delivered"] }"#,
            false,
        ),
        (
            Entity::Order,
            ORDER,
            r#"{ cond = "fulfillments_have_shipment" }"#,
            false,
        ),
        (
            Entity::LineItem,
            item(1),
            r#"{ cond = "fulfillments_have_shipment" }"#,
            true,
        ),
        (
            Entity::LineItem,
            item(2),
            r#"{ cond = "fulfillments_have_shipment" }"#,
            false,
        ),
        (
            Entity::Order,
            ORDER,
            r#"{ cond = "all_line_items_in_fulfillments" }"#,
            true,
        ),
    ] {
        assert_eq!(
            check(entity, part, condition, moved),
            expected,
            "{condition} of {part:?}"
        );
    }
    // A fulfillment moves by itself once its step ends, so none has ended here.
    for (entity, part, condition, expected) in [
        (
            Entity::Fulfillment,
            second,
            r#"{ cond = "fulfillments_have_shipment" }"#,
            false,
        ),
        (
            Entity::Fulfillment,
            second,
            r#"{ cond = "all_line_items_in_states", states = ["confirmed"] }"#,
            true,
        ),
        (
            Entity::Fulfillment,
            second,
            r#"{ cond = "step_done", step = "book_delivery" }"#,
            false,
        ),
    ] {
        assert_eq!(
            check(entity, part, condition, delivered),
            expected,
            "{condition} of {part:?}"
        );
    }
}

#[test]
fn an_order_without_fulfillments() {
    for (condition, expected) in [
        (
            r#"{ cond = "all_fulfillments_in_states", states = ["dispatched"] }"#,
            false,
        ),
        (
            r#"{ cond = "all_fulfillments_in_states", states = ["dispatched"], if_exists = true }"#,
            true,
        ),
        (
            r#"{ cond = "one_fulfillment_in_states", states = ["waiting"] }"#,
            false,
        ),
        (r#"{ cond = "fulfillments_have_shipment" }"#, false),
        (r#"{ cond = "all_line_items_in_fulfillments" }"#, false),
        (
            r#"{ cond = "all_line_items_in_fulfillments", in_states = ["held"] }"#,
            true,
        ),
        (
            r#"{ cond = "all_line_items_in_fulfillments", in_states = ["confirmed"] }"#,
            false,
        ),
    ] {
        let none = |world: &mut World| world.begin(2, PaidBy::Google).tree;
        assert_eq!(
            check(Entity::Order, ORDER, condition, none),
            expected,
            "{condition} of none"
        );
    }
}

#[test]
fn outcomes_of_steps() {
    let first = OrderPart::fulfillment(0);
    for (result, done, failed) in [
        (StepResult::Done, true, false),
        (StepResult::Failed, false, true),
    ] {
        for (condition, expected) in [
            (r#"{ cond = "step_done", step = "book_delivery" }"#, done),
            (
                r#"{ cond = "step_failed", step = "book_delivery" }"#,
                failed,
            ),
        ] {
            let ended = |world: &mut World| {
                let tree = delivered(world);
                world.end_step(&tree, &StepKind::BookDelivery, result).tree
            };
            assert_eq!(
                check(Entity::Fulfillment, first, condition, ended),
                expected,
                "{condition}"
            );
        }
    }
}

#[test]
fn payment() {
    let paid = |paid_by| move |world: &mut World| world.begin(1, paid_by).tree;
    let captured = |world: &mut World| world.charged(1);
    let authorized = |world: &mut World| world.authorized(1);
    let refunded = |world: &mut World| {
        let tree = world.charged(1);
        let back = Trigger::GiveBack {
            items: vec![0],
            share: domain::refunds::RefundShare::Percent(domain::money::Percent::FULL),
            cause: domain::refunds::RefundCause::Merchant,
        };
        let mut tree = world.run(&tree, back).unwrap().tree;
        let mut entry = tree.ledger.entries().last().copied().unwrap();
        entry.kind = domain::ledger::LedgerKind::Refunded;
        tree.ledger.append(entry).unwrap();
        tree
    };
    let status =
        |status: &str| format!("{{ cond = \"all_transactions_state_in\", status = [{status:?}] }}");
    let order = |condition: &str, prepare: &dyn Fn(&mut World) -> OrderTree| {
        check(Entity::Order, ORDER, condition, prepare)
    };
    assert!(order(&status("not_required"), &paid(PaidBy::Google)));
    assert!(!order(&status("captured"), &paid(PaidBy::Google)));
    assert!(order(&status("captured"), &captured));
    assert!(!order(&status("authorized"), &captured));
    assert!(order(&status("authorized"), &authorized));
    assert!(order(&status("refunded"), &refunded));
    assert!(!order(&status("captured"), &refunded));
    let by = |who: &str| format!("{{ cond = \"paid_by\", values = [{who:?}] }}");
    for (who, paid_by) in [
        ("google", PaidBy::Google),
        ("merchant", PaidBy::Merchant),
        ("nobody", PaidBy::Nobody),
    ] {
        assert!(order(&by(who), &paid(paid_by)), "{who}");
        assert!(!order(&by("partner"), &paid(paid_by)), "{who}");
    }
    assert!(order(&by("partner"), &captured));
}

#[test]
fn a_payment_of_another_amount_is_none() {
    let world = asking(
        Entity::Order,
        r#"{ cond = "all_transactions_state_in", status = ["captured"] }"#,
    );
    let mut tree = world.sold(1, PaidBy::Partner);
    let entry = domain::ledger::LedgerEntry::new(
        domain::ledger::LedgerKind::Captured,
        super::world::dollars(9),
        world.now,
    );
    tree.ledger.append(entry).unwrap();
    tree.state = world.ix(Entity::Order, "processing");
    assert!(!holds(&world, &tree, ORDER));
}

#[test]
fn facts_of_the_sale() {
    let first = |condition: &str, prepare: &dyn Fn(&mut World)| {
        check(Entity::LineItem, item(0), condition, |world| {
            prepare(world);
            world.begin(1, PaidBy::Google).tree
        })
    };
    let nothing: &dyn Fn(&mut World) = &|_| {};
    for (condition, prepare, expected) in [
        (
            r#"{ cond = "sales_channel_in", values = ["oms", "google"] }"#,
            nothing,
            true,
        ),
        (
            r#"{ cond = "sales_channel_in", values = ["oms"] }"#,
            nothing,
            false,
        ),
        (
            r#"{ cond = "merchant_in", values = ["museum"] }"#,
            nothing,
            true,
        ),
        (
            r#"{ cond = "merchant_in", values = ["Museum"] }"#,
            nothing,
            false,
        ),
        (r#"{ cond = "in_stock" }"#, nothing, true),
        (
            r#"{ cond = "in_stock" }"#,
            &|world: &mut World| world.spots_open = 2,
            true,
        ),
        (
            r#"{ cond = "in_stock" }"#,
            &|world: &mut World| world.spots_open = 1,
            false,
        ),
        (
            r#"{ cond = "delivery_type_is", types = ["none"] }"#,
            nothing,
            true,
        ),
        (
            r#"{ cond = "delivery_type_is", types = ["e_ticket", "post"] }"#,
            nothing,
            false,
        ),
        (
            r#"{ cond = "delivery_type_is", types = ["e_ticket", "post"] }"#,
            &|world: &mut World| world.delivery = DeliveryType::ETicket,
            true,
        ),
        (
            r#"{ cond = "confirmation_mode_is", modes = ["synchronous"] }"#,
            nothing,
            true,
        ),
        (
            r#"{ cond = "confirmation_mode_is", modes = ["asynchronous"] }"#,
            nothing,
            false,
        ),
        (
            r#"{ cond = "confirmation_mode_is", modes = ["asynchronous"] }"#,
            &|world: &mut World| world.confirmation = [Confirmation::ByMerchant; 2],
            true,
        ),
        (
            r#"{ cond = "confirmation_mode_is", modes = ["asynchronous", "synchronous"] }"#,
            &|world: &mut World| world.confirmation = [Confirmation::ByMerchant; 2],
            true,
        ),
        (r#"{ cond = "started" }"#, nothing, false),
        (
            r#"{ cond = "started" }"#,
            &|world: &mut World| world.now = START,
            true,
        ),
        (
            r#"{ cond = "starts_within", duration = "2h" }"#,
            &|world: &mut World| world.now = START.saturating_sub(Seconds::new(7_200)),
            true,
        ),
        (
            r#"{ cond = "starts_within", duration = "2h" }"#,
            &|world: &mut World| world.now = START.saturating_sub(Seconds::new(7_201)),
            false,
        ),
        (
            r#"{ cond = "starts_within", duration = "2h" }"#,
            &|world: &mut World| world.now = START.saturating_add(Seconds::DAY),
            true,
        ),
    ] as [(&str, &dyn Fn(&mut World), bool); 19]
    {
        assert_eq!(first(condition, prepare), expected, "{condition}");
    }
}

#[test]
fn information_is_typed_and_what_is_missing_equals_nothing() {
    let answers = |world: &mut World| {
        world.answers = vec![
            IntakeAnswer {
                question_id: "diet".to_owned(),
                responses: vec!["vegan".to_owned(), "none".to_owned()],
            },
            IntakeAnswer {
                question_id: "age".to_owned(),
                responses: vec!["42.9".to_owned()],
            },
            IntakeAnswer {
                question_id: "member".to_owned(),
                responses: vec!["true".to_owned()],
            },
        ];
        world.begin(1, PaidBy::Google).tree
    };
    for (condition, expected) in [
        (
            r#"{ cond = "information_in", key = "intake.diet", value_type = "string", values = ["vegan"] }"#,
            true,
        ),
        (
            r#"{ cond = "information_in", key = "intake.diet", value_type = "string", values = ["meat", "none"] }"#,
            true,
        ),
        (
            r#"{ cond = "information_in", key = "intake.diet", value_type = "string", values = ["meat"] }"#,
            false,
        ),
        (
            r#"{ cond = "information_in", key = "intake.age", value_type = "int", values = [42] }"#,
            true,
        ),
        (
            r#"{ cond = "information_in", key = "intake.age", value_type = "int", values = [43] }"#,
            false,
        ),
        (
            r#"{ cond = "information_in", key = "intake.member", value_type = "bool", values = [true] }"#,
            true,
        ),
        (
            r#"{ cond = "information_in", key = "intake.member", value_type = "bool", values = [false] }"#,
            false,
        ),
        (
            r#"{ cond = "information_in", key = "intake.other", value_type = "bool", values = [true, false] }"#,
            false,
        ),
        (
            r#"{ cond = "information_in", key = "seat", value_type = "string", values = ["A1"] }"#,
            false,
        ),
    ] {
        assert_eq!(
            check(Entity::Order, ORDER, condition, answers),
            expected,
            "{condition}"
        );
    }
    let noted = |world: &mut World| {
        let mut tree = world.begin(1, PaidBy::Google).tree;
        let value = domain::lifecycle::InfoValue::Integer(7);
        tree.information.insert("row".into(), value);
        tree
    };
    for (condition, expected) in [
        (
            r#"{ cond = "information_in", key = "row", value_type = "int", values = [7] }"#,
            true,
        ),
        (
            r#"{ cond = "information_in", key = "row", value_type = "string", values = ["7"] }"#,
            false,
        ),
    ] {
        assert_eq!(
            check(Entity::Order, ORDER, condition, noted),
            expected,
            "{condition}"
        );
    }
}

#[test]
fn reasons_events_and_composition() {
    let reasoned = |world: &mut World| {
        let mut tree = world.begin(1, PaidBy::Google).tree;
        tree.reason = Some("storm".into());
        let order = world.def.event("order.created").unwrap();
        tree.emitted.insert(order);
        tree
    };
    for (condition, expected) in [
        (
            r#"{ cond = "reason_in", reasons = ["storm", "strike"] }"#,
            true,
        ),
        (r#"{ cond = "reason_in", reasons = ["strike"] }"#, false),
        (r#"{ cond = "event_sent", name = "order.created" }"#, true),
        (
            r#"{ cond = "notification_has_to_be_sent", notification_name = "order.deleted" }"#,
            false,
        ),
        (
            r#"{ cond = "any_of", of = [{ cond = "started" }, { cond = "reason_in", reasons = ["storm"] }] }"#,
            true,
        ),
        (
            r#"{ cond = "any_of", of = [{ cond = "started" }, { cond = "reason_in", reasons = ["strike"] }] }"#,
            false,
        ),
        (
            r#"{ cond = "any_of", of = [[{ cond = "started" }, { cond = "reason_in", reasons = ["storm"] }]] }"#,
            false,
        ),
        (
            r#"{ cond = "not", of = [{ cond = "started" }, { cond = "reason_in", reasons = ["storm"] }] }"#,
            true,
        ),
        (r#"{ cond = "any_of", of = [] }"#, false),
    ] {
        assert_eq!(
            check(Entity::Order, ORDER, condition, reasoned),
            expected,
            "{condition}"
        );
    }
}
