//! Defects of other order systems, each as what it must not be here.

use domain::{
    ledger::{LedgerEntry, LedgerKind, PaidBy, PaymentStatus},
    lifecycle::{
        Effect, Invariant, OrderPart, Refused, SkipReason, StepAnswer, StepKind, StepResult,
        Trigger,
    },
    shipment::{DeliveryType, ShipmentReport, ShipmentStatus},
};

use super::{
    Sketch, World,
    world::{dollars, launched, number_of, released},
};

const ORDER: OrderPart = OrderPart::ORDER;
const FULFILLMENT: OrderPart = OrderPart {
    entity: domain::lifecycle::Entity::Fulfillment,
    index: 0,
};

fn posted() -> World {
    let mut world = World::usual();
    world.delivery = DeliveryType::Post;
    world
}

fn report(status: ShipmentStatus) -> Trigger {
    Trigger::Shipped {
        fulfillment: 0,
        report: ShipmentReport {
            reference: None,
            status,
            updated: super::world::NOW,
        },
    }
}

#[test]
fn an_order_of_which_nothing_is_available_waits_for_its_customer() {
    let world = World::usual();
    let begun = world.begin_without(2, PaidBy::Partner, &[0, 1]);
    assert_eq!(world.order_state(&begun.tree), "customer_action_required");
    assert_eq!((launched(&begun), released(&begun)), (vec![], vec![]));
    let amend = world.run(&begun.tree, world.to(ORDER, "processing"));
    assert!(matches!(amend, Err(Refused::Condition { .. })), "{amend:?}");
    let cancelled = world.go(&begun.tree, ORDER, "cancelled");
    assert_eq!(
        world.item_states(&cancelled.tree),
        ["cancelled", "cancelled"]
    );
    assert_eq!(
        (launched(&cancelled), released(&cancelled)),
        (vec![], vec![])
    );
}

#[test]
fn the_total_of_several_items_counts_each_once() {
    let world = World::usual();
    let begun = world.begin(3, PaidBy::Partner);
    assert_eq!(begun.tree.steps[0].amount, Some(dollars(30)));
}

#[test]
fn an_action_at_the_wrong_time_is_an_error_and_leaves_no_trace() {
    let world = World::usual();
    let tree = world.begin(2, PaidBy::Google).tree;
    for state in ["timed_out", "customer_action_required", "processing"] {
        assert!(
            world
                .run(&tree, world.to_because(ORDER, state, "typo"))
                .is_err(),
            "{state}"
        );
    }
    // Later, the order waits; nothing that was asked for before is remembered.
    let outcome = world.go(&tree, OrderPart::item(0), "unavailable");
    assert_eq!(world.order_state(&outcome.tree), "customer_action_required");
    assert_eq!(outcome.tree.reason, None);
}

#[test]
fn cancelled_and_failed_fulfillments_complete_nothing() {
    let world = Sketch {
        order_states: r#""completed""#,
        fulfillment_states: r#""failed", "cancelled""#,
        processing: r#"{ action = "link_to_fulfillment", by = "line_item" }"#,
        more: r#"
[[entity.fulfillment.transition]]
from = ["waiting"]
to = "failed"
kind = "manual"
do = [{ action = "update_order_state" }]
[[entity.fulfillment.transition]]
from = ["waiting"]
to = "cancelled"
kind = "manual"
do = [{ action = "update_order_state" }]
[[entity.order.transition]]
from = ["processing"]
to = "completed"
kind = "automatic"
if = [{ cond = "all_fulfillments_in_states", states = ["delivered", "cancelled"] }]
"#,
        ..Sketch::default()
    }
    .world();
    let tree = world.begin(2, PaidBy::Google).tree;
    let tree = world.go(&tree, FULFILLMENT, "failed").tree;
    let tree = world.go(&tree, OrderPart::fulfillment(1), "cancelled").tree;
    assert_eq!(world.order_state(&tree), "processing");
}

#[test]
fn a_cancellation_ends_fulfillments_gives_spots_back_and_refunds() {
    let world = posted();
    let outcome = world.go(&world.charged(2), ORDER, "cancelled");
    assert_eq!(world.state(&outcome.tree, FULFILLMENT), "cancelled");
    assert_eq!(released(&outcome), [0, 1]);
    assert_eq!(outcome.tree.refunds[0].amount.total, dollars(20));
    assert_eq!(launched(&outcome), [StepKind::Refund]);
    let paid = world.end_step(&outcome.tree, &StepKind::Refund, StepResult::Done);
    assert_eq!(paid.tree.ledger.status(), PaymentStatus::Refunded);
    assert_eq!(world.state(&paid.tree, OrderPart::refund(0)), "done");
}

#[test]
fn a_step_that_is_answered_twice_counts_once() {
    let world = World::usual();
    let begun = world.begin(1, PaidBy::Partner).tree;
    let number = number_of(&begun, &StepKind::Charge);
    let answer = StepAnswer::of(StepResult::Done);
    let ended = Trigger::StepEnded { number, answer };
    let once = world.run(&begun, ended.clone()).unwrap().tree;
    let twice = world.run(&once, ended).unwrap();
    assert_eq!(twice.tree, once);
    assert_eq!(twice.skipped[0].why, SkipReason::LateStep);
    assert_eq!(once.ledger.balance().captured, dollars(10));
}

#[test]
fn a_delivery_never_goes_backwards() {
    let world = posted();
    let tree = world.charged(1);
    let tree = world
        .end_step(&tree, &StepKind::BookDelivery, StepResult::Done)
        .tree;
    let tree = world
        .run(&tree, report(ShipmentStatus::Dispatched))
        .unwrap()
        .tree;
    assert_eq!(world.state(&tree, FULFILLMENT), "dispatched");
    for (status, why) in [
        (ShipmentStatus::Booked, Some(SkipReason::LateReport)),
        (ShipmentStatus::Dispatched, None),
    ] {
        let outcome = world.run(&tree, report(status)).unwrap();
        assert_eq!(outcome.tree, tree);
        assert_eq!(outcome.skipped.first().map(|it| it.why), why);
    }
    let delivered = world.run(&tree, report(ShipmentStatus::Delivered)).unwrap();
    assert_eq!(world.order_state(&delivered.tree), "completed");
    assert_eq!(
        world.events(&delivered),
        ["order.updateshipment", "order.completed"]
    );
}

#[test]
fn nothing_is_sent_when_the_payment_was_declined() {
    let world = posted();
    let begun = world.begin(1, PaidBy::Partner).tree;
    let failed = world.end_step(&begun, &StepKind::Charge, StepResult::Failed);
    assert_eq!(world.order_state(&failed.tree), "failed");
    assert_eq!(
        (failed.tree.fulfillments.len(), released(&failed)),
        (0, vec![0])
    );
    assert_eq!(world.events(&failed), ["order.deleted"]);
}

#[test]
fn a_definition_that_sends_unpaid_goods_is_stopped() {
    let world = Sketch {
        order_states: r#""a""#,
        more: r#"
[[entity.order.transition]]
from = ["pending"]
to = "a"
kind = "manual"
do = [{ action = "link_to_fulfillment" }]
"#,
        fulfillment_start: r#"{ action = "launch", step = "book_delivery" }"#,
        ..Sketch::default()
    }
    .world();
    let begun = world.begin(1, PaidBy::Partner).tree;
    let refused = world.run(&begun, world.to(ORDER, "a"));
    let unpaid = Invariant::Unpaid { fulfillment: 0 };
    assert_eq!(refused, Err(Refused::Invariant(unpaid)));
    let paid = world.go(&world.begin(1, PaidBy::Google).tree, ORDER, "failed");
    assert_eq!(world.order_state(&paid.tree), "failed");
}

#[test]
fn a_definition_that_dispatches_unpaid_goods_is_stopped() {
    let world = Sketch {
        order_states: r#""a""#,
        more: r#"
[[entity.order.transition]]
from = ["pending"]
to = "a"
kind = "manual"
do = [{ action = "link_to_fulfillment" }]
"#,
        ..Sketch::default()
    }
    .world();
    let tree = world
        .go(&world.begin(1, PaidBy::Partner).tree, ORDER, "a")
        .tree;
    let refused = world.run(&tree, world.to(FULFILLMENT, "dispatched"));
    let unpaid = Invariant::Unpaid { fulfillment: 0 };
    assert_eq!(refused, Err(Refused::Invariant(unpaid)));
}

#[test]
fn a_fulfillment_that_cannot_be_booked_fails_and_says_so() {
    let world = posted();
    let tree = world.charged(1);
    let failed = world.end_step(&tree, &StepKind::BookDelivery, StepResult::Failed);
    assert_eq!(world.state(&failed.tree, FULFILLMENT), "failed");
    assert_eq!(failed.tree.alerts.get("delivery_failed"), Some(&1));
    // Nothing of the order can be delivered: it fails, and its money goes back.
    assert_eq!(world.order_state(&failed.tree), "failed");
    assert_eq!(failed.tree.refunds[0].amount.total, dollars(10));
}

#[test]
fn a_charge_in_flight_is_reversed_and_what_it_took_goes_back() {
    let world = World::usual();
    let begun = world.begin_without(2, PaidBy::Partner, &[1]).tree;
    let amended = world.go(&begun, ORDER, "processing").tree;
    assert_eq!(amended.steps[0].amount, Some(dollars(10)));
    let cancelled = world.go(&amended, ORDER, "cancelled");
    let number = number_of(&cancelled.tree, &StepKind::ReverseCharge);
    assert!(cancelled.effects.contains(&Effect::Reverse { number }));
    let mut answer = StepAnswer::of(StepResult::Done);
    answer.entry = Some(LedgerEntry::new(
        LedgerKind::Captured,
        dollars(10),
        world.now,
    ));
    let late = world
        .run(&cancelled.tree, Trigger::StepEnded { number, answer })
        .unwrap();
    assert_eq!(late.tree.refunds[0].amount.total, dollars(10));
    assert_eq!(launched(&late), [StepKind::Refund]);
    let quiet = world.end_step(&cancelled.tree, &StepKind::ReverseCharge, StepResult::Done);
    assert_eq!(quiet.tree.refunds, []);
}
