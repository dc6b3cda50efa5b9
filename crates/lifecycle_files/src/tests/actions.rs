//! Every action that the rules and the payments do not show.

use domain::{
    ledger::PaidBy,
    lifecycle::{
        ActionError, Destination, Effect, InfoValue, OrderPart, Refused, StepKind, Trigger,
    },
    shipment::DeliveryType,
    time::Seconds,
};

use super::{
    Sketch, World,
    world::{NOW, START, launched, released},
};

const ORDER: OrderPart = OrderPart::ORDER;

fn item(index: u16) -> OrderPart {
    OrderPart::item(index)
}

/// A world in which an order can go from `processing` to `a`, and an item from `confirmed` to `x`, each with
/// these actions.
fn doing(order: &str, item: &str) -> World {
    let sketch = Sketch {
        order_states: r#""a""#,
        item_states: r#""x""#,
        processing: r#"{ action = "link_to_fulfillment", by = "line_item", if = [{ cond = "delivery_type_is", types = ["post"] }] }"#,
        fulfillment_start: r#"{ action = "launch", step = "book_delivery" }"#,
        top: r#"steps = ["print"]"#,
        ..Sketch::default()
    };
    let more = format!(
        r#"
[[entity.order.transition]]
from = ["processing"]
to = "a"
kind = "manual"
do = [{order}]
[[entity.order.transition]]
from = ["a"]
to = "failed"
kind = "manual"
do = [{{ action = "clear_expiration_date", name = "failed" }}, {{ action = "send_change_state_notification", to = "failed", in = "1h" }}]
[[entity.line_item.transition]]
from = ["confirmed"]
to = "x"
kind = "manual"
do = [{item}]
"#
    );
    let text = format!("{}{more}", sketch.text());
    World::new(super::read(&text, "f").unwrap_or_else(|errors| panic!("{errors}\n{text}")))
}

#[test]
fn spots_are_given_back_once() {
    let world = doing(
        "",
        r#"{ action = "update_reserved_stock", creation = false }, { action = "unconsume_capacity" }"#,
    );
    let tree = world.begin(1, PaidBy::Google).tree;
    assert_eq!(released(&world.go(&tree, item(0), "x")), [0]);
}

#[test]
fn items_are_linked_by_order_service_and_line_item() {
    for (by, expected) in [
        ("order", vec![vec![0, 1, 2, 3]]),
        ("service", vec![vec![0, 1], vec![2, 3]]),
        ("line_item", vec![vec![0], vec![1], vec![2], vec![3]]),
    ] {
        let world = doing(
            &format!("{{ action = \"link_to_fulfillment\", by = {by:?} }}"),
            "",
        );
        let tree = world.begin(4, PaidBy::Google).tree;
        let outcome = world.go(&tree, ORDER, "a");
        let linked = outcome.tree.fulfillments.iter().map(|it| it.items.to_vec());
        assert_eq!(linked.collect::<Vec<_>>(), expected, "{by}");
        assert_eq!(
            launched(&outcome),
            vec![StepKind::BookDelivery; expected.len()]
        );
        for (index, it) in (0..).zip(&outcome.tree.items) {
            let fulfillment = usize::from(it.fulfillment.unwrap());
            assert!(
                outcome.tree.fulfillments[fulfillment]
                    .items
                    .contains(&index)
            );
        }
    }
}

#[test]
fn fulfillments_that_take_more_are_reused_and_lost_items_are_not_linked() {
    let again = |reuse: &str| {
        doing(
            r#"{ action = "link_to_fulfillment", by = "order" }"#,
            &format!(
                "{{ action = \"remove_from_fulfillment\" }}, {{ action = \"link_to_fulfillment\", by = \"order\"{reuse} }}"
            ),
        )
    };
    for (reuse, fulfillments) in [
        ("", 2),
        (r#", reuse_states = ["waiting"]"#, 1),
        (r#", modifiable_parcel_states = ["dispatched"]"#, 2),
    ] {
        let world = again(reuse);
        let tree = world.begin(3, PaidBy::Google).tree;
        let tree = world.go(&tree, item(2), "unavailable").tree;
        let tree = world.go(&tree, ORDER, "a").tree;
        assert_eq!(tree.fulfillments[0].items.as_slice(), [0, 1]);
        assert_eq!(tree.items[2].fulfillment, None);
        let tree = world.go(&tree, item(0), "x").tree;
        assert_eq!(tree.fulfillments.len(), fulfillments, "{reuse}");
    }
}

#[test]
fn an_empty_fulfillment_is_removed_and_keeps_its_number() {
    let mut world = doing(
        "",
        r#"{ action = "remove_from_fulfillment", remove_if_empty = true }"#,
    );
    let tree = world.begin(1, PaidBy::Google).tree;
    let refused = world.run(&tree, world.to(item(0), "x"));
    let error = ActionError::NotLinked;
    assert_eq!(
        refused,
        Err(Refused::Action {
            part: item(0),
            error
        })
    );
    world.delivery = DeliveryType::Post;
    let tree = world.begin(2, PaidBy::Google).tree;
    let outcome = world.go(&tree, item(0), "x");
    let first = OrderPart::fulfillment(0);
    assert_eq!(outcome.tree.state_of(first), None);
    assert_eq!(outcome.tree.fulfillments.len(), 2);
    assert_eq!(
        outcome.effects.as_slice(),
        [Effect::CancelStep { number: 1 }]
    );
    let gone = world.run(&outcome.tree, Trigger::Tried { part: first });
    assert_eq!(gone, Err(Refused::NoPart(first)));
}

#[test]
fn a_step_of_a_kind_is_open_once_and_begins_when_it_is_needed_first() {
    let world = doing(
        r#"{ action = "launch", step = "print", at = "2h" }, { action = "launch", step = "print", at = "1h" }, { action = "orchestrate", step = "print", at = "3h" }"#,
        "",
    );
    let tree = world.begin(1, PaidBy::Google).tree;
    let outcome = world.go(&tree, ORDER, "a");
    let due = NOW.saturating_add(Seconds::HOUR);
    assert_eq!(outcome.tree.steps.len(), 1);
    assert_eq!(outcome.tree.steps[0].due, due);
    assert_eq!(outcome.effects[1..], [Effect::Hasten { number: 1, due }]);
}

#[test]
fn timers_are_due_relative_to_now_start_and_end() {
    let hour = Seconds::HOUR;
    for (rule, due) in [
        (r#"expire_in = "1h""#, NOW.saturating_add(hour)),
        (r#"before_start = "1h""#, START.saturating_sub(hour)),
        (
            r#"after_end = "1h""#,
            START
                .saturating_add(Seconds::DAY)
                .saturating_add(hour)
                .saturating_add(hour),
        ),
        (
            r#"expire_in = "99d", not_after_start_minus = "1h""#,
            START.saturating_sub(hour),
        ),
        (r#"before_start = "99d""#, NOW),
    ] {
        let world = doing(
            &format!(
                "{{ action = \"set_expiration_date\", name = \"failed\", {rule}, to = \"failed\" }}"
            ),
            "",
        );
        let tree = world.begin(2, PaidBy::Google).tree;
        let outcome = world.go(&tree, ORDER, "a");
        assert_eq!(
            outcome.tree.timer(ORDER, "failed").unwrap().due,
            due,
            "{rule}"
        );
        // Set again under its name, it is replaced.
        let outcome = world.go(&outcome.tree, ORDER, "failed");
        assert_eq!(outcome.tree.timers.len(), 1);
        assert_eq!(outcome.tree.timers[0].due, NOW.saturating_add(hour));
        assert!(matches!(
            outcome.effects.as_slice(),
            [Effect::ClearTimer(..), Effect::SetTimer(_)]
        ));
    }
}

#[test]
fn lost_items_do_not_count_for_times() {
    let world = doing(
        r#"{ action = "set_expiration_date", name = "failed", before_start = "0s", to = "failed" }"#,
        "",
    );
    let tree = world.begin(2, PaidBy::Google).tree;
    let tree = world.go(&tree, item(0), "unavailable").tree;
    let outcome = world.go(&tree, ORDER, "a");
    assert_eq!(
        outcome.tree.timers[0].due,
        START.saturating_add(Seconds::DAY)
    );
}

#[test]
fn an_event_that_is_dropped_in_its_run_was_never_sent() {
    let world = doing(
        r#"{ action = "send_notification", name = "one" }, { action = "send_notification", name = "two", params = { seat = "A1", row = 7, aisle = true } }, { action = "send_notification", name = "one", enable = false }, { action = "send_notification", name = "order.created", enable = false }"#,
        "",
    );
    let mut tree = world.begin(1, PaidBy::Google).tree;
    tree.emitted
        .insert(world.def.event("order.created").unwrap());
    let outcome = world.go(&tree, ORDER, "a");
    assert_eq!(world.events(&outcome), ["two"]);
    let was_sent = |name| {
        outcome
            .tree
            .emitted
            .contains(world.def.event(name).unwrap())
    };
    assert!(!was_sent("one") && was_sent("two") && was_sent("order.created"));
    assert_eq!(outcome.tree.events, tree.events + 1);
    let [
        Effect::Emit {
            params: Some(params),
            ..
        },
    ] = outcome.effects.as_slice()
    else {
        panic!("{:?}", outcome.effects);
    };
    let expected = [
        ("aisle".into(), InfoValue::Flag(true)),
        ("row".into(), InfoValue::Integer(7)),
        ("seat".into(), InfoValue::Text("A1".into())),
    ];
    assert_eq!(**params, expected);
}

#[test]
fn alerts_have_levels() {
    for (actions, level, effects) in [
        (r#"{ action = "send_alert", name = "a" }"#, Some(1), 1),
        (
            r#"{ action = "send_alert", name = "a", set = 3 }"#,
            Some(3),
            1,
        ),
        (
            r#"{ action = "send_alert", name = "a", incr = 2 }, { action = "send_alert", name = "a", incr = 2 }"#,
            Some(4),
            2,
        ),
        (
            r#"{ action = "send_alert", name = "a" }, { action = "send_alert", name = "a" }"#,
            Some(1),
            1,
        ),
        (
            r#"{ action = "send_alert", name = "a" }, { action = "send_alert", name = "a", enable = false }"#,
            None,
            2,
        ),
    ] {
        let world = doing(actions, "");
        let tree = world.begin(1, PaidBy::Google).tree;
        let outcome = world.go(&tree, ORDER, "a");
        assert_eq!(outcome.tree.alerts.get("a").copied(), level, "{actions}");
        assert_eq!(outcome.effects.len(), effects, "{actions}");
    }
}

#[test]
fn information_reason_destination_and_personal_data() {
    let mut world = doing(
        r#"{ action = "set_information", key = "seat", value = "A1" }, { action = "remove_reason" }, { action = "assign_destination", to = "email" }, { action = "self_destruct" }"#,
        "",
    );
    world.delivery = DeliveryType::Post;
    let tree = world.begin(2, PaidBy::Google).tree;
    let outcome = world
        .run(&tree, world.to_because(ORDER, "a", "storm"))
        .unwrap();
    let seat = outcome.tree.information.get("seat");
    assert_eq!(seat, Some(&InfoValue::Text("A1".into())));
    assert_eq!(outcome.tree.reason, None);
    let destinations = outcome.tree.fulfillments.iter().map(|it| it.destination);
    assert_eq!(
        destinations.collect::<Vec<_>>(),
        [Destination::Email, Destination::Email]
    );
    assert_eq!(launched(&outcome), [StepKind::EraseCustomer]);
}

#[test]
fn updates_reach_the_parts_in_their_scope() {
    for (update, expected) in [
        (
            r#"{ action = "update_line_items_state", state = "unavailable" }"#,
            vec![],
        ),
        (
            r#"{ action = "update_line_items_state", state = "unavailable", scope = "all" }"#,
            vec![1, 2, 3],
        ),
        (
            r#"{ action = "update_line_items_state", state = "unavailable", scope = "same_service" }"#,
            vec![1],
        ),
        (
            r#"{ action = "change_lines_with_same_item_state", from = "confirmed", to = "unavailable" }"#,
            vec![1],
        ),
        (
            r#"{ action = "update_line_items_state", state = "unavailable", from = ["held"], scope = "all" }"#,
            vec![],
        ),
        (
            r#"{ action = "update_line_items_state", state = "unavailable", scope = "fulfilment" }"#,
            vec![],
        ),
        (
            r#"{ action = "change_all_line_item_groups_in_same_parcel_state", state = "unavailable" }"#,
            vec![],
        ),
    ] {
        let world = doing("", update);
        let tree = world.begin(4, PaidBy::Google).tree;
        let outcome = world.go(&tree, item(0), "x");
        assert_eq!(released(&outcome), expected, "{update}");
    }
}

#[test]
fn a_shipment_is_cancelled_with_the_carrier_or_only_here() {
    for (database_only, kept, launches) in [
        ("", true, vec![StepKind::CancelDelivery]),
        (", database_only = true", false, vec![]),
    ] {
        let sketch = Sketch {
            fulfillment_states: r#""gone""#,
            processing: r#"{ action = "link_to_fulfillment" }"#,
            fulfillment_start: r#"{ action = "launch", step = "book_delivery" }"#,
            ..Sketch::default()
        };
        let text = format!(
            "{}\n[[entity.fulfillment.transition]]\nfrom = [\"waiting\"]\nto = \"gone\"\nkind = \"manual\"\ndo = [{{ action = \"delete_shipment\"{database_only} }}]\n",
            sketch.text()
        );
        let world = World::new(super::read(&text, "f").unwrap());
        let tree = world.begin(1, PaidBy::Google).tree;
        let first = OrderPart::fulfillment(0);
        let unbooked = world.go(&tree, first, "gone");
        assert_eq!(
            unbooked.effects.as_slice(),
            [Effect::CancelStep { number: 1 }]
        );
        let done = domain::lifecycle::StepResult::Done;
        let booked = world.end_step(&tree, &StepKind::BookDelivery, done).tree;
        let outcome = world.go(&booked, first, "gone");
        assert_eq!(launched(&outcome), launches);
        assert_eq!(outcome.tree.fulfillments[0].shipment.is_some(), kept);
        if kept {
            let ended = world.end_step(&outcome.tree, &StepKind::CancelDelivery, done);
            assert_eq!(ended.tree.fulfillments[0].shipment, None);
        }
    }
}
