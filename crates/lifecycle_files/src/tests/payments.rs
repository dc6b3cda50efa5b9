//! Money after the sale: charges, captures, voids and refunds.

use domain::{
    ledger::{LedgerEntry, LedgerFault, LedgerKind, PaidBy, PaymentStatus},
    lifecycle::{
        ActionError, Effect, Invariant, OrderPart, OrderTree, Refused, RunOutcome, StepKind,
        StepResult, Trigger,
    },
    money::Percent,
    refunds::{RefundCause, RefundError, RefundShare, RefundTerms},
    shipment::DeliveryType,
    time::Seconds,
};

use super::{
    World,
    world::{START, dollars, launched},
};

const ORDER: OrderPart = OrderPart::ORDER;

fn share(percent: u8) -> RefundShare {
    RefundShare::Percent(Percent::new(percent).unwrap())
}

fn give_back(items: &[u16], share: RefundShare) -> Trigger {
    Trigger::GiveBack {
        items: items.to_vec(),
        share,
        cause: RefundCause::Merchant,
    }
}

fn cancelled_by_customer(world: &World, tree: &OrderTree) -> Result<RunOutcome, Refused> {
    world.run(tree, world.to_because(ORDER, "cancelled", "customer"))
}

#[test]
fn the_terms_of_the_sale_say_what_a_customer_gets_back() {
    let mut world = World::usual();
    let tree = world.charged(2);
    let total = |outcome: &RunOutcome| outcome.tree.refunds.first().map(|it| it.amount.total);
    // The second item starts a day after the first; half is given back until a day before the start.
    for (before, expected) in [
        (Seconds::DAY, Some(dollars(10))),
        (Seconds::new(86_399), Some(dollars(5))),
        (Seconds::new(-1), None),
    ] {
        world.now = START.saturating_sub(before);
        let outcome = cancelled_by_customer(&world, &tree).unwrap();
        assert_eq!(total(&outcome), expected, "{before}");
        assert_eq!(world.order_state(&outcome.tree), "cancelled");
    }
    world.terms = RefundTerms::Unstated;
    let error = ActionError::Refund(RefundError::NoPolicy { item: 0 });
    let refused = cancelled_by_customer(&world, &tree);
    assert_eq!(refused, Err(Refused::Action { part: ORDER, error }));
    // By the merchant it is all of it, and an operator may say otherwise.
    let by_merchant = world.go(&tree, ORDER, "cancelled");
    assert_eq!(total(&by_merchant), Some(dollars(20)));
    let mut request = world.to_because(ORDER, "cancelled", "customer");
    if let Trigger::Transition { refund, .. } = &mut request {
        *refund = Some(RefundShare::Amount(dollars(7)));
    }
    assert_eq!(total(&world.run(&tree, request).unwrap()), Some(dollars(7)));
}

#[test]
fn money_of_others_is_theirs_to_give_back() {
    let world = World::usual();
    for paid_by in [PaidBy::Google, PaidBy::Merchant, PaidBy::Nobody] {
        let tree = world.begin(1, paid_by).tree;
        let outcome = world.go(&tree, ORDER, "cancelled");
        assert_eq!(
            (outcome.tree.refunds.len(), launched(&outcome)),
            (0, vec![])
        );
        assert_eq!(world.order_state(&outcome.tree), "cancelled");
    }
}

#[test]
fn a_refund_is_never_above_what_is_left() {
    let world = World::usual();
    let tree = world.charged(2);
    let once = world.run(&tree, give_back(&[0], share(100))).unwrap().tree;
    let twice = world.run(&once, give_back(&[0], share(100))).unwrap().tree;
    assert_eq!(twice.refunds.len(), 1, "an item is given back once");
    let amount = give_back(&[], RefundShare::Amount(dollars(50)));
    let rest = world.run(&once, amount).unwrap().tree;
    assert_eq!(rest.refunds[1].amount.total, dollars(10));
    let none = world.run(&rest, give_back(&[1], share(100))).unwrap();
    assert_eq!((none.tree.refunds.len(), launched(&none)), (2, vec![]));
}

#[test]
fn a_failed_refund_is_an_alert_and_can_be_tried_again() {
    let world = World::usual();
    let refund = OrderPart::refund(0);
    let tree = world
        .run(&world.charged(1), give_back(&[0], share(100)))
        .unwrap()
        .tree;
    assert_eq!(tree.ledger.refundable(), dollars(0));
    let failed = world
        .end_step(&tree, &StepKind::Refund, StepResult::Failed)
        .tree;
    assert_eq!(world.state(&failed, refund), "failed");
    assert_eq!(failed.alerts.get("refund_failed"), Some(&1));
    assert_eq!(failed.ledger.refundable(), dollars(10));
    let again = world.go(&failed, refund, "requested");
    assert_eq!(
        (again.tree.alerts.len(), launched(&again)),
        (0, vec![StepKind::Refund])
    );
    // Having failed once does not make it fail by itself.
    let tried = world
        .run(&again.tree, Trigger::Tried { part: refund })
        .unwrap();
    assert_eq!(world.state(&tried.tree, refund), "requested");
    let done = world.end_step(&again.tree, &StepKind::Refund, StepResult::Done);
    assert_eq!(world.state(&done.tree, refund), "done");
    assert_eq!(done.tree.ledger.balance().refunded, dollars(10));
    assert_eq!(world.events(&done), ["order.return"]);
}

/// An order of 20 with one refund that has failed.
fn with_failed_refund(world: &World, items: &[u16], share: RefundShare) -> OrderTree {
    let tree = world.run(&world.charged(2), give_back(items, share));
    let tree = tree.unwrap().tree;
    world
        .end_step(&tree, &StepKind::Refund, StepResult::Failed)
        .tree
}

#[test]
fn money_of_a_failed_refund_can_be_given_back_again() {
    let world = World::usual();
    let full = share(100);
    let failed = with_failed_refund(&world, &[1], full);
    for (items, expected) in [(vec![1], 10), (vec![0, 1], 20)] {
        let again = world.run(&failed, give_back(&items, full)).unwrap().tree;
        assert_eq!(again.refunds[1].amount.total, dollars(expected));
    }
    let policy = world.run(&failed, give_back(&[1], RefundShare::Policy));
    assert_eq!(policy.unwrap().tree.refunds[1].amount.total, dollars(5));
}

#[test]
fn a_failed_refund_is_requested_anew_as_it_is_or_not_at_all() {
    let world = World::usual();
    let anew =
        |tree: &OrderTree, index| world.run(tree, world.to(OrderPart::refund(index), "requested"));
    let refused = |left| {
        let error = RefundError::AboveLeft {
            left: dollars(left),
        };
        Err(Refused::Action {
            part: OrderPart::refund(0),
            error: error.into(),
        })
    };
    let amount = |amount| RefundShare::Amount(dollars(amount));
    let failed = with_failed_refund(&world, &[1], share(100));
    assert!(anew(&failed, 0).is_ok());
    let full = share(100);
    for (items, share, left) in [
        (vec![1], amount(4), 6),
        (vec![0, 1], full, 0),
        (vec![], amount(15), 5),
    ] {
        let given = world.run(&failed, give_back(&items, share)).unwrap().tree;
        assert_eq!(anew(&given, 0), refused(left), "{items:?}");
    }
    // What fails later is left again.
    let given = world.run(&failed, give_back(&[1], amount(4))).unwrap().tree;
    let failed = world.end_step(&given, &StepKind::Refund, StepResult::Failed);
    assert!(anew(&failed.tree, 0).is_ok());
}

#[test]
fn what_is_only_authorized_is_voided_or_captured_less() {
    let mut world = World::usual();
    world.authorization_ends = Some(world.now.saturating_add(Seconds::days(7)));
    let tree = world.authorized(2);
    assert_eq!(world.order_state(&tree), "processing");
    let capture = &tree.steps[0];
    assert_eq!(
        (&capture.kind, capture.amount),
        (&StepKind::Capture, Some(dollars(20)))
    );
    assert_eq!(capture.due, world.now.saturating_add(Seconds::days(6)));
    let less = world.run(&tree, give_back(&[0], share(100))).unwrap();
    assert_eq!(less.tree.refunds, []);
    assert_eq!(less.tree.steps[0].amount, Some(dollars(10)));
    assert_eq!(less.tree.steps[0].due, capture.due);
    // The same item again gives nothing.
    let again = world.run(&less.tree, give_back(&[0], share(100))).unwrap();
    assert_eq!(again.tree.ledger, less.tree.ledger);
    let captured = world
        .end_step(&less.tree, &StepKind::Capture, StepResult::Done)
        .tree;
    assert!(captured.ledger.is_in(&[PaymentStatus::Captured]));
    let all = world.go(&tree, ORDER, "cancelled");
    assert_eq!(launched(&all), [StepKind::Void]);
    assert!(all.effects.contains(&Effect::CancelStep {
        number: capture.number
    }));
    let voided = world
        .end_step(&all.tree, &StepKind::Void, StepResult::Done)
        .tree;
    assert_eq!(voided.ledger.status(), PaymentStatus::Refunded);
}

#[test]
fn dispatching_captures_at_once() {
    let mut world = World::usual();
    world.delivery = DeliveryType::Post;
    world.authorization_ends = Some(world.now.saturating_add(Seconds::days(7)));
    let tree = world.authorized(1);
    let tree = world
        .end_step(&tree, &StepKind::BookDelivery, StepResult::Done)
        .tree;
    let number = super::world::number_of(&tree, &StepKind::Capture);
    let outcome = world.go(&tree, OrderPart::fulfillment(0), "dispatched");
    let due = world.now;
    assert!(
        outcome.effects.contains(&Effect::Hasten { number, due }),
        "{:?}",
        outcome.effects
    );
    assert_eq!(outcome.tree.launches, tree.launches);
}

#[test]
fn a_charge_is_never_made_twice() {
    let world = World::usual();
    let tree = world.charged(2);
    let tree = world.go(&tree, OrderPart::item(0), "unavailable").tree;
    let amended = world.go(&tree, ORDER, "processing");
    // The definition launches a charge there, for orders that have paid nothing yet.
    assert_eq!(launched(&amended), [StepKind::Refund]);
    assert_eq!(amended.tree.refunds[0].amount.total, dollars(10));
    let google = world.begin_without(2, PaidBy::Google, &[0]).tree;
    assert_eq!(launched(&world.go(&google, ORDER, "processing")), []);
}

#[test]
fn an_amended_order_is_charged_for_what_is_left() {
    let mut world = World::usual();
    world.delivery = DeliveryType::ETicket;
    let tree = world.begin_without(3, PaidBy::Partner, &[1]).tree;
    assert_eq!(
        world.item_states(&tree),
        ["confirmed", "unavailable", "confirmed"]
    );
    let amended = world.go(&tree, ORDER, "processing");
    assert_eq!(amended.tree.ledger.due(), dollars(20));
    assert_eq!(
        amended.tree.fulfillments,
        [],
        "nothing is sent before it is paid"
    );
    let paid = world.end_step(&amended.tree, &StepKind::Charge, StepResult::Done);
    assert_eq!(world.moves(&paid), ["order0 processing>processing"]);
    assert_eq!(paid.tree.fulfillments[0].items.as_slice(), [0, 2]);
    let declined = world.end_step(&amended.tree, &StepKind::Charge, StepResult::Failed);
    assert_eq!(world.order_state(&declined.tree), "failed");
    assert_eq!(super::world::released(&declined), [0, 2]);
}

#[test]
fn entries_that_break_a_promise_change_nothing() {
    let world = World::usual();
    let tree = world.charged(1);
    let paid = |kind, amount| Trigger::Paid(LedgerEntry::new(kind, dollars(amount), world.now));
    for (kind, amount, fault) in [
        (LedgerKind::Captured, 1, LedgerFault::CapturedAboveDue),
        (LedgerKind::Refunded, 11, LedgerFault::RefundedAboveCaptured),
        (
            LedgerKind::RefundRequested,
            11,
            LedgerFault::RefundedAboveCaptured,
        ),
    ] {
        let refused = world.run(&tree, paid(kind, amount));
        assert_eq!(refused, Err(Refused::Invariant(Invariant::Money(fault))));
    }
    let refused = world.run(&tree, paid(LedgerKind::Captured, -1));
    assert!(
        matches!(refused, Err(Refused::Action { .. })),
        "{refused:?}"
    );
}

#[test]
fn an_entry_of_a_step_that_nobody_waits_for_is_kept() {
    let world = World::usual();
    let tree = world.begin(1, PaidBy::Partner).tree;
    let mut answer = domain::lifecycle::StepAnswer::of(StepResult::Done);
    answer.entry = Some(LedgerEntry::new(
        LedgerKind::Captured,
        dollars(10),
        world.now,
    ));
    let late = Trigger::StepEnded { number: 77, answer };
    let outcome = world.run(&tree, late).unwrap();
    assert_eq!(outcome.tree.ledger.balance().captured, dollars(10));
    assert_eq!(world.order_state(&outcome.tree), "pending");
}
