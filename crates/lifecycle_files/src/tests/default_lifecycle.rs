//! What the default lifecycle does with an order, from its sale to its end.

use domain::{
    ledger::PaidBy,
    lifecycle::{Effect, OrderPart, Refused, SkipReason, Spots, StepKind, StepResult, Trigger},
    order::BookingStatus,
    shipment::{DeliveryType, ShipmentReport, ShipmentStatus},
    slot::Confirmation,
    time::Seconds,
};

use super::{
    World,
    world::{NOW, START, dollars, launched, released},
};

const ORDER: OrderPart = OrderPart::ORDER;
const FULFILLMENT: OrderPart = OrderPart {
    entity: domain::lifecycle::Entity::Fulfillment,
    index: 0,
};

#[test]
fn a_plain_order_is_processing_and_confirmed_with_nothing_to_do() {
    let world = World::usual();
    for paid_by in [PaidBy::Google, PaidBy::Merchant, PaidBy::Nobody] {
        let begun = world.begin(2, paid_by);
        assert_eq!(world.order_state(&begun.tree), "processing");
        assert_eq!(world.item_states(&begun.tree), ["confirmed", "confirmed"]);
        assert_eq!(world.events(&begun), ["order.created"]);
        assert_eq!(begun.effects.len(), 1, "{:?}", begun.effects);
        let tree = &begun.tree;
        assert!(tree.steps.is_empty() && tree.timers.is_empty() && tree.fulfillments.is_empty());
        assert_eq!((tree.version, tree.events), (1, 1));
        let again = world.run(
            tree,
            Trigger::Begin {
                unavailable: vec![],
            },
        );
        assert_eq!(again, Err(Refused::Begun));
    }
}

#[test]
fn a_charged_order_is_placed_once_it_is_paid() {
    let world = World::usual();
    let begun = world.begin(2, PaidBy::Partner);
    assert_eq!(launched(&begun), [StepKind::Charge]);
    let paid = world.end_step(&begun.tree, &StepKind::Charge, StepResult::Done);
    assert_eq!(world.order_state(&paid.tree), "processing");
    assert_eq!(world.events(&paid), ["order.created"]);
    // What is placed is the same tree as that of any plain order, but for the payment.
    assert_eq!(paid.tree.items, world.begin(2, PaidBy::Google).tree.items);
}

#[test]
fn nothing_due_is_nothing_to_charge() {
    let world = World::usual();
    let mut tree = world.sold(0, PaidBy::Partner);
    tree.version = 0;
    let begun = world
        .run(
            &tree,
            Trigger::Begin {
                unavailable: vec![],
            },
        )
        .unwrap();
    assert_eq!(
        (world.order_state(&begun.tree), launched(&begun)),
        ("processing".to_owned(), vec![])
    );
}

#[test]
fn callers_hear_of_items_in_googles_words() {
    let world = World::usual();
    let items = &world.def.entity(domain::lifecycle::Entity::LineItem).states;
    let heard: Vec<_> = items
        .iter()
        .map(|it| (it.name.as_str(), it.booking_status))
        .collect();
    assert_eq!(
        heard,
        [
            ("held", None),
            ("confirmed", Some(BookingStatus::Confirmed)),
            ("fulfilled", Some(BookingStatus::Confirmed)),
            (
                "pending_confirmation",
                Some(BookingStatus::PendingMerchantConfirmation)
            ),
            ("declined", Some(BookingStatus::DeclinedByMerchant)),
            ("unavailable", Some(BookingStatus::Canceled)),
            ("cancelled", Some(BookingStatus::Canceled)),
            ("no_show", Some(BookingStatus::NoShow)),
        ]
    );
}

#[test]
fn two_items_by_post_reach_their_customer() {
    let mut world = World::usual();
    world.delivery = DeliveryType::Post;
    let tree = world.charged(2);
    assert_eq!(tree.fulfillments[0].items.as_slice(), [0, 1]);
    let tree = world
        .end_step(&tree, &StepKind::BookDelivery, StepResult::Done)
        .tree;
    assert_eq!(world.state(&tree, FULFILLMENT), "booked");
    let shipped = |status| Trigger::Shipped {
        fulfillment: 0,
        report: ShipmentReport {
            reference: Some("R2".to_owned()),
            status,
            updated: NOW,
        },
    };
    let skipping = world.run(&tree, shipped(ShipmentStatus::Delivered));
    assert!(
        matches!(skipping, Err(Refused::Action { .. })),
        "{skipping:?}"
    );
    let tree = world
        .run(&tree, shipped(ShipmentStatus::Dispatched))
        .unwrap()
        .tree;
    let outcome = world
        .run(&tree, shipped(ShipmentStatus::Delivered))
        .unwrap();
    assert_eq!(world.order_state(&outcome.tree), "completed");
    assert_eq!(world.item_states(&outcome.tree), ["fulfilled", "fulfilled"]);
    let cancel = world.run(&outcome.tree, world.to(ORDER, "cancelled"));
    assert!(cancel.is_err());
}

#[test]
fn e_tickets_are_delivered_without_a_way() {
    let mut world = World::usual();
    world.delivery = DeliveryType::ETicket;
    let tree = world.begin(1, PaidBy::Google).tree;
    let tree = world
        .end_step(&tree, &StepKind::BookDelivery, StepResult::Done)
        .tree;
    let done = world.go(&tree, FULFILLMENT, "delivered");
    assert_eq!(world.order_state(&done.tree), "completed");
    let shipment = done.tree.fulfillments[0].shipment.as_ref().unwrap();
    assert_eq!(shipment.status, ShipmentStatus::Delivered);
    world.delivery = DeliveryType::Post;
    assert!(
        world
            .run(&tree, world.to(FULFILLMENT, "delivered"))
            .is_err()
    );
}

#[test]
fn an_item_that_is_withdrawn_asks_the_customer() {
    let world = World::usual();
    let tree = world.charged(2);
    let lost = world.go(&tree, OrderPart::item(0), "unavailable");
    assert_eq!(
        world.moves(&lost),
        [
            "line_item0 confirmed>unavailable",
            "order0 processing>customer_action_required"
        ]
    );
    assert_eq!(
        (released(&lost), world.events(&lost)),
        (vec![0], vec!["order.action_required".to_owned()])
    );
    let amended = world.go(&lost.tree, ORDER, "processing");
    assert_eq!(world.item_states(&amended.tree), ["cancelled", "confirmed"]);
    assert_eq!(amended.tree.refunds[0].amount.total, dollars(10));
    assert_eq!((released(&amended), amended.tree.timers.len()), (vec![], 0));
    assert_eq!(
        world.events(&amended),
        ["order.replace", "order.return.submitted"]
    );
    let cancelled = world.go(&lost.tree, ORDER, "cancelled");
    assert_eq!(cancelled.tree.refunds[0].amount.total, dollars(20));
    assert_eq!(released(&cancelled), [1]);
}

#[test]
fn the_customer_has_a_day_or_until_two_hours_before_the_start() {
    let mut world = World::usual();
    for (before_start, expected) in [
        (Seconds::days(5), START.saturating_sub(Seconds::days(4))),
        (
            Seconds::new(14_400),
            START.saturating_sub(Seconds::new(7_200)),
        ),
        (
            Seconds::new(3_600),
            // A quarter of an hour at least.
            START.saturating_sub(Seconds::new(2_700)),
        ),
        // The first is under way: it bounds nothing.
        (
            Seconds::new(-60),
            START.saturating_add(Seconds::new(86_460)),
        ),
    ] {
        world.now = START.saturating_sub(before_start);
        let tree = world.begin(2, PaidBy::Google).tree;
        // The second item is lost, so that it is the start of the first that counts.
        let tree = world.go(&tree, OrderPart::item(1), "unavailable").tree;
        let due = tree.timer(ORDER, "customer_action").unwrap().due;
        assert_eq!(due, expected, "{before_start}");
    }
}

#[test]
fn who_does_not_answer_gets_everything_back() {
    let mut world = World::usual();
    let tree = world.charged(2);
    let tree = world.go(&tree, OrderPart::item(0), "unavailable").tree;
    world.now = NOW.saturating_add(Seconds::DAY);
    let fired = Trigger::Fired {
        part: ORDER,
        name: "customer_action".into(),
    };
    let outcome = world.run(&tree, fired.clone()).unwrap();
    assert_eq!(world.order_state(&outcome.tree), "timed_out");
    assert_eq!(world.item_states(&outcome.tree), ["cancelled", "cancelled"]);
    assert_eq!(outcome.tree.refunds[0].amount.total, dollars(20));
    assert_eq!(released(&outcome), [1]);
    let again = world.run(&outcome.tree, fired).unwrap();
    assert_eq!(
        (&again.tree, again.skipped[0].why),
        (&outcome.tree, SkipReason::LateTimer)
    );
}

#[test]
fn items_that_are_withdrawn_at_once_do_not_bound_the_time_for_an_answer() {
    let mut world = World::usual();
    world.now = START.saturating_sub(Seconds::new(3_600));
    let tree = world.begin(3, PaidBy::Google).tree;
    let withdrawals = [1, 0].map(|item| world.to(OrderPart::item(item), "unavailable"));
    let outcome = world.run_all(&tree, withdrawals.to_vec()).unwrap();
    let due = outcome.tree.timer(ORDER, "customer_action").unwrap().due;
    assert_eq!(due, world.now.saturating_add(Seconds::DAY));
}

#[test]
fn what_was_had_keeps_its_state_and_its_money_when_nobody_answers() {
    for had in ["confirmed", "fulfilled", "no_show"] {
        let mut world = World::usual();
        // The first item is under way, and the second is to come.
        world.now = START.saturating_add(Seconds::new(2));
        let mut tree = world.charged(2);
        if had != "confirmed" {
            tree = world.go(&tree, OrderPart::item(0), had).tree;
        }
        tree = world.go(&tree, OrderPart::item(1), "unavailable").tree;
        world.now = tree.timer(ORDER, "customer_action").unwrap().due;
        let fired = Trigger::Fired {
            part: ORDER,
            name: "customer_action".into(),
        };
        let outcome = world.run(&tree, fired).unwrap();
        assert_eq!(world.order_state(&outcome.tree), "timed_out");
        assert_eq!(world.item_states(&outcome.tree), [had, "cancelled"]);
        assert!(released(&outcome).is_empty(), "{had}");
        let refunds = outcome.tree.refunds.iter();
        let refunds: Vec<_> = refunds
            .map(|it| (it.amount.total, it.amount.items[0].item))
            .collect();
        assert_eq!(refunds, [(dollars(10), 1)], "{had}");
    }
}

#[test]
fn what_a_customer_has_cancelled_by_policy_is_not_paid_in_full_with_what_was_withdrawn() {
    let world = World::usual();
    let tree = world.charged(3);
    let tree = world
        .run(
            &tree,
            world.to_because(OrderPart::item(2), "cancelled", "customer"),
        )
        .unwrap()
        .tree;
    let tree = world.go(&tree, OrderPart::item(0), "unavailable").tree;
    let amended = world.go(&tree, ORDER, "processing").tree;
    assert_eq!(amended.refunds.len(), 1);
    assert_eq!(amended.refunds[0].amount.total, dollars(10));
}

#[test]
fn a_performance_may_be_withdrawn_after_its_tickets_were_delivered() {
    let mut world = World::usual();
    world.delivery = DeliveryType::ETicket;
    let tree = world.charged(2);
    let tree = world
        .end_step(&tree, &StepKind::BookDelivery, StepResult::Done)
        .tree;
    let tree = world.go(&tree, FULFILLMENT, "delivered").tree;
    let both = vec![
        world.to(OrderPart::item(0), "unavailable"),
        world.to(OrderPart::item(1), "unavailable"),
    ];
    let lost = world.run_all(&tree, both).unwrap();
    assert_eq!(world.order_state(&lost.tree), "customer_action_required");
    let cancelled = world.go(&lost.tree, ORDER, "cancelled");
    assert_eq!(cancelled.tree.refunds[0].amount.total, dollars(20));
    assert!(
        cancelled
            .tree
            .items
            .iter()
            .all(|it| it.spots == Spots::Released)
    );
}

#[test]
fn a_failed_delivery_can_be_tried_again_while_another_goes_on() {
    let mut world = World::usual();
    world.delivery = DeliveryType::Post;
    let mut tree = world.charged(2);
    // A second fulfillment, as an amendment makes one.
    let second = tree.fulfillments[0].clone();
    tree.fulfillments.push(second);
    let failed = world
        .end_step(&tree, &StepKind::BookDelivery, StepResult::Failed)
        .tree;
    assert_eq!(world.order_state(&failed), "processing");
    let again = world.go(&failed, FULFILLMENT, "pending");
    assert_eq!(
        (again.tree.alerts.len(), launched(&again)),
        (0, vec![StepKind::BookDelivery])
    );
    let tried = world
        .run(&again.tree, Trigger::Tried { part: FULFILLMENT })
        .unwrap();
    assert_eq!(world.state(&tried.tree, FULFILLMENT), "pending");
}

#[test]
fn a_cancelled_order_has_its_delivery_cancelled() {
    let mut world = World::usual();
    world.delivery = DeliveryType::Post;
    let tree = world.begin(1, PaidBy::Google).tree;
    let tree = world
        .end_step(&tree, &StepKind::BookDelivery, StepResult::Done)
        .tree;
    let outcome = world.go(&tree, ORDER, "cancelled");
    assert_eq!(launched(&outcome), [StepKind::CancelDelivery]);
    assert!(
        outcome
            .effects
            .iter()
            .any(|it| matches!(it, Effect::Release { item: 0 }))
    );
}

#[test]
fn a_customer_who_did_not_come_is_told_of() {
    let world = World::usual();
    let tree = world.begin(1, PaidBy::Google).tree;
    let outcome = world.go(&tree, OrderPart::item(0), "no_show");
    assert_eq!(
        (world.events(&outcome), released(&outcome)),
        (vec!["order.no_show".to_owned()], vec![])
    );
}

/// A world in which the merchant confirms every second item.
fn every_second() -> World {
    let mut world = World::usual();
    world.confirmation = [Confirmation::AtOnce, Confirmation::ByMerchant];
    world
}

#[test]
fn items_wait_for_their_merchant_one_by_one() {
    let world = every_second();
    let tree = world.charged(4);
    let waits = "pending_confirmation";
    assert_eq!(
        world.item_states(&tree),
        ["confirmed", waits, "confirmed", waits]
    );
    assert_eq!(world.order_state(&tree), "processing");
    let confirmed = world.go(&tree, OrderPart::item(1), "confirmed");
    assert_eq!(
        world.moves(&confirmed),
        ["line_item1 pending_confirmation>confirmed"]
    );
    assert_eq!(confirmed.tree.timers.len(), 1);
    let declined = world.go(&confirmed.tree, OrderPart::item(3), "declined");
    assert_eq!(
        world.moves(&declined),
        ["line_item3 pending_confirmation>declined"]
    );
    assert_eq!(released(&declined), [3]);
    assert_eq!(launched(&declined), [StepKind::Refund]);
    assert_eq!(declined.tree.refunds[0].amount.total, dollars(10));
    assert!(declined.tree.timers.is_empty());
}

#[test]
fn a_delivery_begins_when_no_item_waits_any_more() {
    for decision in ["confirmed", "declined"] {
        let mut world = every_second();
        world.delivery = DeliveryType::ETicket;
        let tree = world.charged(2);
        assert!(tree.fulfillments.is_empty());
        let outcome = world.go(&tree, OrderPart::item(1), decision);
        let items: &[u16] = if decision == "confirmed" {
            &[0, 1]
        } else {
            &[0]
        };
        assert_eq!(outcome.tree.fulfillments[0].items.as_slice(), items);
        assert!(launched(&outcome).contains(&StepKind::BookDelivery));
    }
}

#[test]
fn what_is_declined_is_the_merchants_doing_whatever_was_cancelled_before() {
    let mut world = every_second();
    // Of a cancellation nothing would go back any more.
    world.now = START;
    let tree = world.charged(2);
    let customer = world.to_because(OrderPart::item(0), "cancelled", "customer");
    let tree = world.run(&tree, customer).unwrap().tree;
    let fired = Trigger::Fired {
        part: OrderPart::item(1),
        name: "confirmation".into(),
    };
    world.now = START.saturating_add(Seconds::DAY);
    let outcome = world.run(&tree, fired).unwrap();
    assert_eq!(world.order_state(&outcome.tree), "cancelled");
    let refund = &outcome.tree.refunds[0];
    assert_eq!(refund.cause, domain::refunds::RefundCause::Merchant);
    assert_eq!(refund.amount.total, dollars(10));
}
