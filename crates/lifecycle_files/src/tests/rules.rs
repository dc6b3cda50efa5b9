//! The fourteen rules of the interpreter, each by its number.

use domain::{
    ledger::PaidBy,
    lifecycle::{
        ActionError, Condition, Effect, Entity, MAX_DEPTH, OrderPart, Refused, SkipReason,
        StepKind, StepResult, Trigger,
    },
    time::Seconds,
};

use super::{
    Sketch, World,
    world::{NOW, START, launched, released},
};
use crate::{ActionType, action_names, type_of_action};

const ORDER: OrderPart = OrderPart::ORDER;

fn item(index: u16) -> OrderPart {
    OrderPart::item(index)
}

#[test]
fn r1_conditions_then_state_then_actions() {
    let world = Sketch {
        order_states: r#""a", "b""#,
        more: r#"
[[entity.order.transition]]
from = ["processing"]
to = "a"
kind = "manual"
if = [{ cond = "reason_in", reasons = ["right"] }]
do = [
  { action = "send_notification", name = "old", if = [{ cond = "not", of = { cond = "event_sent", name = "in_a" } }] },
  { action = "send_notification", name = "in_a" },
]
[[entity.order.transition]]
from = ["a"]
to = "b"
kind = "manual"
"#,
        ..Sketch::default()
    }
    .world();
    let tree = world.begin(1, PaidBy::Google).tree;
    let refused = world.run(&tree, world.to(ORDER, "a"));
    assert!(
        matches!(refused, Err(Refused::Condition { .. })),
        "{refused:?}"
    );
    let outcome = world
        .run(&tree, world.to_because(ORDER, "a", "right"))
        .unwrap();
    assert_eq!(world.moves(&outcome), ["order0 processing>a"]);
    assert_eq!(world.events(&outcome), ["old", "in_a"]);
}

#[test]
fn r2_actions_run_in_their_order_and_one_that_fails_undoes_everything() {
    let world = Sketch {
        item_states: r#""a", "b""#,
        more: r#"
[[entity.line_item.transition]]
from = ["confirmed"]
to = "a"
kind = "manual"
do = [
  { action = "send_notification", name = "one" },
  { action = "update_reserved_stock", creation = false },
  { action = "send_notification", name = "two" },
]
[[entity.line_item.transition]]
from = ["confirmed"]
to = "b"
kind = "manual"
do = [
  { action = "update_reserved_stock", creation = false },
  { action = "update_reserved_stock", creation = true },
]
"#,
        ..Sketch::default()
    }
    .world();
    let tree = world.begin(1, PaidBy::Google).tree;
    let outcome = world.go(&tree, item(0), "a");
    assert!(
        matches!(
            outcome.effects.as_slice(),
            [
                Effect::Emit { .. },
                Effect::Release { item: 0 },
                Effect::Emit { .. }
            ]
        ),
        "{:?}",
        outcome.effects
    );
    let failed = world.run(&tree, world.to(item(0), "b"));
    let error = ActionError::SpotsReleased;
    assert_eq!(
        failed,
        Err(Refused::Action {
            part: item(0),
            error
        })
    );
}

#[test]
fn r2_of_several_triggers_all_run_or_none() {
    let world = World::usual();
    let tree = world.begin(2, PaidBy::Google).tree;
    let both = vec![
        world.to(item(0), "unavailable"),
        world.to(item(1), "unavailable"),
    ];
    let outcome = world.run_all(&tree, both).unwrap();
    assert_eq!(
        world.item_states(&outcome.tree),
        ["unavailable", "unavailable"]
    );
    assert_eq!(released(&outcome), [0, 1]);
    assert_eq!(outcome.tree.version, tree.version + 1);
    let second_fails = vec![
        world.to(item(0), "unavailable"),
        world.to(item(0), "confirmed"),
    ];
    assert!(world.run_all(&tree, second_fails).is_err());
}

#[test]
fn r3_conditions_of_actions_see_the_new_state() {
    let world = Sketch {
        item_states: r#""a""#,
        more: r#"
[[entity.line_item.transition]]
from = ["confirmed"]
to = "a"
kind = "manual"
if = [{ cond = "all_line_items_in_states", states = ["confirmed"] }]
do = [
  { action = "send_notification", name = "new", if = [{ cond = "all_line_items_in_states", states = ["a"] }] },
  { action = "send_notification", name = "old", if = [{ cond = "all_line_items_in_states", states = ["confirmed"] }] },
]
"#,
        ..Sketch::default()
    }
    .world();
    let tree = world.begin(1, PaidBy::Google).tree;
    let outcome = world.go(&tree, item(0), "a");
    assert_eq!(world.events(&outcome), ["new"]);
}

/// Three automatic transitions, of which a reason opens two.
const SEVERAL: Sketch = Sketch {
    order_states: r#""a", "b", "c""#,
    item_states: "",
    fulfillment_states: "",
    refund_states: "",
    processing: "",
    confirmed: "",
    fulfillment_start: "",
    refund_start: "",
    top: "",
    more: r#"
[[entity.order.transition]]
from = ["processing"]
to = "a"
kind = "automatic"
if = [{ cond = "sales_channel_in", values = ["a"] }]
[[entity.order.transition]]
from = ["processing"]
to = "b"
kind = "automatic"
if = [{ cond = "sales_channel_in", values = ["a", "b"] }]
[[entity.order.transition]]
from = ["a", "b"]
to = "c"
kind = "automatic"
if = [{ cond = "sales_channel_in", values = ["a", "b"] }]
"#,
};

#[test]
fn r4_the_first_automatic_transition_that_fits_runs_and_none_is_no_error() {
    let mut world = SEVERAL.world();
    let tree = world.begin(1, PaidBy::Google).tree;
    for (channel, moves) in [
        ("a", vec!["order0 processing>a"]),
        ("b", vec!["order0 processing>b"]),
        ("c", vec![]),
    ] {
        world.channel = channel;
        let outcome = world.run(&tree, Trigger::Tried { part: ORDER }).unwrap();
        assert_eq!(world.moves(&outcome), moves, "{channel}");
        assert_eq!(outcome.skipped, []);
    }
}

#[test]
fn r4_nothing_further_is_tried_in_the_new_state() {
    let mut world = SEVERAL.world();
    world.channel = "a";
    let tree = world.begin(1, PaidBy::Google).tree;
    assert_eq!(world.order_state(&tree), "processing");
    let tree = world
        .run(&tree, Trigger::Tried { part: ORDER })
        .unwrap()
        .tree;
    assert_eq!(world.order_state(&tree), "a");
    let tree = world
        .run(&tree, Trigger::Tried { part: ORDER })
        .unwrap()
        .tree;
    assert_eq!(world.order_state(&tree), "c");
}

#[test]
fn r5_a_manual_transition_says_why_it_does_not_run() {
    let world = World::usual();
    let tree = world.begin(1, PaidBy::Google).tree;
    let state = |name| world.ix(Entity::Order, name);
    let mut wrong_from = world.to(ORDER, "cancelled");
    if let Trigger::Transition { from, .. } = &mut wrong_from {
        *from = Some(state("completed"));
    }
    let expected = Refused::NotInState {
        part: ORDER,
        state: state("processing"),
    };
    assert_eq!(world.run(&tree, wrong_from), Err(expected));
    let Err(Refused::NoTransition {
        from, to, allowed, ..
    }) = world.run(&tree, world.to(ORDER, "timed_out"))
    else {
        panic!("there is no such transition");
    };
    assert_eq!((from, to), (state("processing"), state("timed_out")));
    let allowed: Vec<_> = allowed.iter().collect();
    assert_eq!(
        allowed,
        [state("customer_action_required"), state("cancelled")]
    );
    let Err(Refused::Condition { condition, .. }) =
        world.run(&tree, world.to(ORDER, "customer_action_required"))
    else {
        panic!("no item is unavailable");
    };
    assert!(matches!(*condition, Condition::OneItemIn(..)));
    let nowhere = world.run(&tree, world.to(item(1), "no_show"));
    assert_eq!(nowhere, Err(Refused::NoPart(item(1))));
}

#[test]
fn r5_errors_are_explained_in_the_words_of_the_definition() {
    let world = World::usual();
    let tree = world.begin(1, PaidBy::Google).tree;
    for (trigger, expected) in [
        (
            world.to(ORDER, "timed_out"),
            "order cannot go from \"processing\" to \"timed_out\"; possible are: customer_action_required, cancelled",
        ),
        (
            world.to(ORDER, "customer_action_required"),
            "order cannot go to \"customer_action_required\": one_line_item_in_states(unavailable) does not hold",
        ),
        (world.to(item(3), "no_show"), "there is no line_item 4"),
        (
            Trigger::Begin {
                unavailable: vec![],
            },
            "the order has begun already",
        ),
        (
            Trigger::Shipped {
                fulfillment: 0,
                report: domain::shipment::ShipmentReport {
                    reference: None,
                    status: domain::shipment::ShipmentStatus::Booked,
                    updated: NOW,
                },
            },
            "there is no fulfillment 1",
        ),
    ] {
        let refused = world.run(&tree, trigger).unwrap_err();
        assert_eq!(crate::explain(&world.def, &refused), expected);
    }
}

#[test]
fn r5_an_automatic_transition_is_not_to_be_had_by_name() {
    let world = World::usual();
    let tree = world.begin(1, PaidBy::Partner).tree;
    let refused = world.run(&tree, world.to(ORDER, "processing"));
    assert!(
        matches!(refused, Err(Refused::NoTransition { .. })),
        "{refused:?}"
    );
}

#[test]
fn r6_a_cascade_runs_at_once_and_the_remaining_actions_after_it() {
    let world = Sketch {
        order_states: r#""a""#,
        item_states: r#""x""#,
        more: r#"
[[entity.order.transition]]
from = ["processing"]
to = "a"
kind = "manual"
do = [
  { action = "send_notification", name = "before" },
  { action = "update_line_items_state", state = "x" },
  { action = "send_notification", name = "after" },
]
[[entity.line_item.transition]]
from = ["confirmed"]
to = "x"
kind = "manual"
do = [{ action = "send_notification", name = "item" }]
"#,
        ..Sketch::default()
    }
    .world();
    let tree = world.begin(3, PaidBy::Google).tree;
    let tree = world.go(&tree, item(1), "unavailable").tree;
    let outcome = world.go(&tree, ORDER, "a");
    assert_eq!(
        world.moves(&outcome),
        [
            "order0 processing>a",
            "line_item0 confirmed>x",
            "line_item2 confirmed>x"
        ]
    );
    assert_eq!(world.events(&outcome), ["before", "item", "item", "after"]);
    let skipped: Vec<_> = outcome.skipped.iter().map(|it| (it.part, it.why)).collect();
    assert_eq!(skipped, [(item(1), SkipReason::NoTransition)]);
}

#[test]
fn r6_depth_is_bounded() {
    let world = Sketch {
        order_states: r#""a", "b""#,
        more: r#"
[[entity.order.transition]]
from = ["processing", "b"]
to = "a"
kind = "manual"
do = [{ action = "update_order_state", state = "b" }]
[[entity.order.transition]]
from = ["a"]
to = "b"
kind = "manual"
do = [{ action = "update_order_state", state = "a" }]
"#,
        ..Sketch::default()
    }
    .world();
    let tree = world.begin(1, PaidBy::Google).tree;
    let transitions = usize::try_from(MAX_DEPTH).unwrap();
    let refused = world.run(&tree, world.to(ORDER, "a"));
    assert_eq!(refused, Err(Refused::TooDeep { transitions }));
}

/// A refund whose creation and end are told, beside what the order does.
const TWO_WORKFLOWS: Sketch = Sketch {
    order_states: r#""a""#,
    item_states: "",
    fulfillment_states: "",
    refund_states: r#""stopped""#,
    processing: "",
    confirmed: "",
    fulfillment_start: "",
    refund_start: r#"{ action = "launch", step = "refund" }, { action = "send_notification", name = "refund" }"#,
    top: "",
    more: r#"
[[entity.order.transition]]
from = ["processing"]
to = "a"
kind = "manual"
do = [
  { action = "create_payment_execution", type = "refund", percent = 50 },
  { action = "update_refunds_state", state = "stopped" },
  { action = "send_notification", name = "order" },
]
[[entity.refund.transition]]
from = ["requested"]
to = "stopped"
kind = "manual"
do = [
  { action = "update_order_state", state = "failed" },
  { action = "send_notification", name = "stopped" },
]
[[entity.order.transition]]
from = ["a"]
to = "failed"
kind = "manual"
do = [{ action = "send_notification", name = "failed" }]
"#,
};

#[test]
fn r7_another_workflow_runs_after_all_actions_of_this_one() {
    let world = TWO_WORKFLOWS.world();
    let outcome = world.go(&world.charged(1), ORDER, "a");
    assert_eq!(
        world.moves(&outcome),
        [
            "order0 processing>a",
            "refund0 requested>stopped",
            "order0 a>failed"
        ]
    );
    assert_eq!(
        world.events(&outcome),
        ["order", "refund", "stopped", "failed"]
    );
}

#[test]
fn r7_within_one_workflow_it_runs_at_once() {
    let text = Sketch {
        top: "[workflow]\nall = [\"order\", \"line_item\", \"fulfillment\", \"refund\"]",
        ..TWO_WORKFLOWS
    };
    let world = text.world();
    let outcome = world.go(&world.charged(1), ORDER, "a");
    assert_eq!(
        world.events(&outcome),
        ["refund", "failed", "stopped", "order"]
    );
}

#[test]
fn r8_only_the_start_state_has_actions_of_its_own() {
    let world = World::usual();
    let begun = world.begin(1, PaidBy::Partner);
    assert_eq!(launched(&begun), [StepKind::Charge]);
    assert_eq!(world.order_state(&begun.tree), "pending");
    // Coming back to a start state runs the actions of the transition, and not those of the state.
    let mut world = World::usual();
    world.delivery = domain::shipment::DeliveryType::Post;
    let tree = world.begin(1, PaidBy::Google).tree;
    let failed = world.end_step(&tree, &StepKind::BookDelivery, StepResult::Failed);
    let fulfillment = OrderPart::fulfillment(0);
    assert_eq!(world.state(&failed.tree, fulfillment), "failed");
}

#[test]
fn r9_an_entity_is_in_one_workflow_and_a_transition_has_one_mode() {
    for (top, text) in [
        (
            "[workflow]\na = [\"order\", \"line_item\", \"fulfillment\"]",
            "refund is in no workflow",
        ),
        (
            "[workflow]\na = [\"order\", \"line_item\", \"fulfillment\"]\nb = [\"refund\", \"order\"]",
            "order is in two workflows, one of them b",
        ),
    ] {
        let sketch = Sketch {
            top,
            ..Sketch::default()
        };
        let errors = crate::read(&sketch.text(), "f").unwrap_err().to_string();
        assert!(errors.contains(text), "{errors}");
    }
}

#[test]
fn r12_a_timer_moves_its_part_when_it_is_due_and_is_cleared_before() {
    let mut world = World::usual();
    let tree = world.begin(2, PaidBy::Google).tree;
    let tree = world.go(&tree, item(0), "unavailable").tree;
    assert_eq!(world.order_state(&tree), "customer_action_required");
    let timer = tree.timer(ORDER, "customer_action").unwrap();
    assert_eq!(timer.due, NOW.saturating_add(Seconds::DAY));
    let fire = || Trigger::Fired {
        part: ORDER,
        name: "customer_action".into(),
    };
    let early = world.run(&tree, fire()).unwrap();
    assert_eq!(
        (early.tree.clone(), early.skipped[0].why),
        (tree.clone(), SkipReason::LateTimer)
    );
    let amended = world.go(&tree, ORDER, "processing");
    assert_eq!(amended.tree.timers, []);
    assert!(
        amended
            .effects
            .contains(&Effect::ClearTimer(ORDER, "customer_action".into()))
    );
    world.now = NOW.saturating_add(Seconds::DAY);
    let late = world.run(&amended.tree, fire()).unwrap();
    assert_eq!((&late.tree, late.skipped.len()), (&amended.tree, 1));
    let fired = world.run(&tree, fire()).unwrap();
    assert_eq!(world.order_state(&fired.tree), "timed_out");
    assert_eq!(fired.tree.timers, []);
}

#[test]
fn r12_a_timer_checks_conditions_again() {
    let sketch = Sketch {
        more: r#"
[[entity.order.transition]]
from = ["timed_out", "failed"]
to = "cancelled"
kind = "manual"
if = [{ cond = "sales_channel_in", values = ["other"] }]
"#,
        processing: r#"{ action = "set_expiration_date", name = "t", before_start = "0s", to = "cancelled" }"#,
        ..Sketch::default()
    };
    let mut world = sketch.world();
    let tree = world.begin(1, PaidBy::Google).tree;
    let tree = world.go(&tree, ORDER, "timed_out").tree;
    world.now = START;
    let fired = Trigger::Fired {
        part: ORDER,
        name: "t".into(),
    };
    let outcome = world.run(&tree, fired).unwrap();
    assert_eq!(world.order_state(&outcome.tree), "timed_out");
    assert_eq!(outcome.skipped[0].why, SkipReason::Condition);
    assert_eq!(outcome.tree.timers, [], "it has fired");
}

#[test]
fn r13_every_action_has_its_type() {
    for (name, expected) in [
        ("update_order_state", ActionType::Transition),
        ("set_information", ActionType::Enrichment),
        ("update_reserved_stock", ActionType::Consumption),
        ("unconsume_capacity", ActionType::Consumption),
        ("delete_shipment", ActionType::Deletion),
        ("link_to_parcel", ActionType::Creation),
        ("cancel_payment_operations", ActionType::Update),
        ("orchestrate", ActionType::Launch),
    ] {
        assert_eq!(type_of_action(name), Some(expected), "{name}");
    }
    assert!(action_names().all(|name| type_of_action(name).is_some()));
    assert_eq!(type_of_action("create_container"), None);
}

#[test]
fn r14_conditions_gate_transitions_and_single_actions() {
    let mut world = World::usual();
    for (delivery, fulfillments) in [
        (domain::shipment::DeliveryType::None, 0),
        (domain::shipment::DeliveryType::Post, 1),
    ] {
        world.delivery = delivery;
        let begun = world.begin(2, PaidBy::Google);
        assert_eq!(world.order_state(&begun.tree), "processing");
        assert_eq!(begun.tree.fulfillments.len(), fulfillments, "{delivery:?}");
    }
}
