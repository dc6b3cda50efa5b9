use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;
use crate::{
    tests::played,
    update::{
        OrderChange, RefundChoice,
        tests::{Office, cancel, note, refunds, states, withdraw},
    },
};
use domain::{
    fixtures::{NOW, cents},
    lifecycle::{Entity, GuardedAction, LaunchTime, LifecycleAction, Name},
};
use proptest::prelude::*;
use store::{HistoryEntry, OrderUpdate, Store, UpdateCause};
use testkit::schedules::every_schedule;

mod schedules;

/// A handler that does what it is told, attempt by attempt, and keeps books.
#[derive(Debug, Default)]
struct Scripted {
    outcomes: Mutex<VecDeque<Script>>,
    calls: Mutex<Vec<(String, u32)>>,
}

#[derive(Debug, Clone)]
enum Script {
    Answers(StepOutcome),
    Panics,
    Hangs,
}

impl Scripted {
    fn with(outcomes: impl IntoIterator<Item = Script>) -> Arc<Self> {
        let outcomes = Mutex::new(outcomes.into_iter().collect());
        Arc::new(Self {
            outcomes,
            ..Self::default()
        })
    }

    fn calls(&self) -> Vec<(String, u32)> {
        self.calls.lock().unwrap().clone()
    }
}

impl StepHandler for Scripted {
    fn call<'a>(&'a self, step: &'a StepCall) -> StepFuture<'a> {
        let call = (step.key.clone(), step.attempt);
        self.calls.lock().unwrap().push(call);
        let next = self.outcomes.lock().unwrap().pop_front();
        Box::pin(async move {
            match next.unwrap_or(Script::Answers(StepOutcome::Done)) {
                Script::Answers(outcome) => outcome,
                Script::Panics => panic!("a handler with a bug"),
                Script::Hangs => std::future::pending().await,
            }
        })
    }
}

const TELL: &str = "tell";

/// A server whose lifecycle has a step of the partner's when an order is cancelled.
fn office_that_tells() -> Office {
    office_that_tells_of(Entity::Order, "cancelled")
}

/// A server whose lifecycle has a step of the partner's when a part enters a state.
fn office_that_tells_of(entity: Entity, state: &str) -> Office {
    let office = Office::new();
    let mut definition = lifecycle_files::default().unwrap();
    let state = definition.entity(entity).state(state).unwrap();
    let index = Entity::ALL.iter().position(|it| *it == entity).unwrap();
    for transition in &mut definition.entities[index].transitions {
        if transition.to == state {
            transition.actions.push(GuardedAction {
                conditions: Vec::new(),
                action: LifecycleAction::Launch {
                    step: StepKind::Custom(Name::from(TELL)),
                    at: LaunchTime::Now,
                },
            });
        }
    }
    office.app.lifecycles.replace(definition);
    office
}

fn handlers(handler: &Arc<Scripted>) -> CustomSteps {
    let handler: Arc<dyn StepHandler> = handler.clone();
    CustomSteps::from([(Name::from(TELL), handler)])
}

fn retry() -> Script {
    Script::Answers(StepOutcome::Retry("busy".to_owned()))
}

/// An order that was paid by this token and is cancelled, with all of its money to be refunded.
async fn cancelled(office: &Office, token: &str) -> OrderId {
    let order = office.order("a", &[2], Some(token));
    office
        .changed(&order, cancel(&[], RefundChoice::Full))
        .await;
    order
}

/// The last entry of the history of an order.
async fn last(office: &Office, order: &OrderId) -> HistoryEntry {
    office.stored(order).await.update.unwrap().entry
}

fn ended(update: &OrderUpdate) -> Vec<StepResult> {
    update.tree.ended.iter().map(|step| step.result).collect()
}

#[tokio::test]
async fn a_refund_that_is_rejected_has_failed_and_needs_a_person() {
    let office = Office::new();
    let order = cancelled(&office, "refund-fails").await;
    office.work().await;
    let stored = office.stored(&order).await;
    assert_eq!(refunds(&stored), [("failed", cents(15_000))]);
    let update = stored.update.unwrap();
    let alerts: Vec<&str> = update.tree.alerts.keys().map(Name::as_str).collect();
    assert_eq!(alerts, ["refund_failed"]);
    assert_eq!(update.entry.cause, UpdateCause::Step);
    assert_eq!(update.entry.texts.reason, "the card is closed");
    // The person tries again: the same refund, under the same key.
    let again = OrderChange::ChangeState {
        part: domain::lifecycle::OrderPart::refund(0),
        from: Some("failed".to_owned()),
        to: "requested".to_owned(),
        reason: String::new(),
    };
    let stored = office.changed(&order, again).await;
    assert_eq!(refunds(&stored), [("requested", cents(15_000))]);
    assert_eq!(office.app.timers_and_steps(), (0, 1));
    // The new step does the work of the one that was given up.
    assert_eq!(stored.update.unwrap().tree.given_up, []);
}

#[tokio::test]
async fn a_refund_that_was_given_up_is_made_when_a_person_has_it_tried_again() {
    let office = Office::new();
    let order = cancelled(&office, "refund-fails-3").await;
    office.work().await;
    office.clock.advance(Seconds::days(7));
    office.work().await;
    let stored = office.stored(&order).await;
    assert_eq!(refunds(&stored), [("failed", cents(15_000))]);
    let given_up = stored.update.unwrap().tree.given_up;
    assert_eq!(given_up.len(), 1);
    assert_eq!((given_up[0].step.number, given_up[0].attempts), (1, 2));
    let error = &given_up[0].error;
    assert!(error.starts_with("given up after 2 attempts"), "{error}");
    let office = office.restarted();
    assert_eq!(office.app.orders_with_steps(), std::slice::from_ref(&order));
    assert_eq!(office.app.timers_and_steps(), (0, 0));
    let stored = office
        .changed(&order, OrderChange::RetryStep { step: 1 })
        .await;
    let tree = stored.update.unwrap().tree;
    assert_eq!((tree.given_up.len(), tree.steps[0].number), (0, 1));
    office.work().await;
    office.clock.advance(Seconds::HOUR);
    office.work().await;
    let stored = office.stored(&order).await;
    assert_eq!(refunds(&stored), [("done", cents(15_000))]);
    assert!(stored.update.unwrap().tree.alerts.is_empty());
    assert_eq!(office.given(&order), [cents(15_000)], "once");
    assert!(office.app.orders_with_steps().is_empty());
}

#[tokio::test]
async fn a_step_that_was_given_up_is_tried_again_under_its_key_or_left_alone() {
    let office = office_that_tells();
    let order = office.order("a", &[2], None);
    office
        .changed(&order, cancel(&[], RefundChoice::Policy))
        .await;
    let failed = || Script::Answers(StepOutcome::Failed("no such customer".to_owned()));
    let handler = Scripted::with([failed(), failed()]);
    let runner = office.runner(handlers(&handler));
    runner.run_due().await;
    office
        .changed(&order, OrderChange::RetryStep { step: 1 })
        .await;
    runner.run_due().await;
    let keys: Vec<String> = handler.calls().into_iter().map(|(key, _)| key).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
    let given_up = office.app.metrics.after_sale.steps_given_up();
    assert_eq!((given_up, office.app.orders_with_given_up_steps()), (2, 1));
    let alone = OrderChange::AbandonStep {
        step: 1,
        reason: "told by telephone".to_owned(),
    };
    let update = office.changed(&order, alone).await.update.unwrap();
    assert_eq!(
        (&*update.tree.given_up, ended(&update)),
        (&[][..], vec![StepResult::Failed])
    );
    assert!(office.app.orders_with_steps().is_empty());
    assert_eq!(office.app.metrics.after_sale.steps_given_up(), given_up);
    assert_eq!(office.app.orders_with_given_up_steps(), 0);
    let unknown = office
        .change(&order, OrderChange::RetryStep { step: 1 })
        .await;
    assert_eq!(unknown, Err(ChangeError::NoStep(1)));
}

#[tokio::test]
async fn a_refund_without_an_answer_is_asked_for_again_and_given_once() {
    let office = Office::new();
    let order = cancelled(&office, "refund-fails-3").await;
    let number = 1;
    for attempts in 1..=3 {
        office.work().await;
        let progress = office.app.step_attempts(&order, number).unwrap();
        assert_eq!(progress.attempts, attempts);
        assert_eq!(progress.last_error, "the simulated gateway is silent");
        office.work().await;
        let same = office.app.step_attempts(&order, number).unwrap();
        assert_eq!(same, progress, "not before its pause is over");
        office.clock.set(progress.due);
    }
    office.work().await;
    assert_eq!(office.app.step_attempts(&order, number), None);
    assert_eq!(office.given(&order), [cents(15_000)]);
    assert_eq!(
        refunds(&office.stored(&order).await),
        [("done", cents(15_000))]
    );
}

#[tokio::test]
async fn attempts_count_on_and_wait_on_over_restarts() {
    let mut office = Office::new();
    let order = cancelled(&office, "refund-fails-3").await;
    for attempts in 1..=3 {
        office.work().await;
        let before = office.app.step_attempts(&order, 1).unwrap();
        assert_eq!(before.attempts, attempts);
        office = office.restarted();
        let after = office.app.step_attempts(&order, 1);
        assert_eq!(after.as_ref(), Some(&before));
        // Not before its pause is over, also in another process.
        office.work().await;
        assert_eq!(office.app.step_attempts(&order, 1).as_ref(), Some(&before));
        office.clock.set(before.due);
    }
    office.work().await;
    assert_eq!(office.given(&order), [cents(15_000)]);
    // Nothing of it comes back with the next process.
    let office = office.restarted();
    assert_eq!(office.app.step_attempts(&order, 1), None);
}

#[tokio::test]
async fn a_step_that_is_due_anew_is_tried_then_and_counts_on() {
    let office = Office::new();
    let order = cancelled(&office, "refund-fails-3").await;
    office.work().await;
    office.clock.advance(Seconds::ONE);
    office
        .changed(&order, OrderChange::RetryStep { step: 1 })
        .await;
    let office = office.restarted();
    let waiting = office.app.step_attempts(&order, 1).unwrap();
    assert_eq!((waiting.attempts, waiting.due), (1, office.app.now()));
    office.work().await;
    assert_eq!(office.app.step_attempts(&order, 1).unwrap().attempts, 2);
}

#[tokio::test]
async fn a_process_that_ends_while_a_step_is_in_doubt_leaves_it_to_the_next() {
    let office = Office::new();
    let order = cancelled(&office, "refund-fails-3").await;
    // The money has gone back, and nobody has heard of it.
    office.work().await;
    assert_eq!(office.given(&order), [cents(15_000)]);
    let office = office.restarted();
    assert_eq!(office.app.orders_with_steps(), std::slice::from_ref(&order));
    for _ in 0..3 {
        office.work().await;
        office.clock.advance(Seconds::HOUR);
    }
    office.work().await;
    assert_eq!(office.given(&order), [cents(15_000)], "once");
    assert_eq!(
        refunds(&office.stored(&order).await),
        [("done", cents(15_000))]
    );
    assert_eq!(office.restarted().app.timers_and_steps(), (0, 0));
}

#[tokio::test]
async fn a_step_that_follows_another_is_begun_by_the_next_process() {
    let office = office_that_tells_of(Entity::Refund, "done");
    let order = cancelled(&office, "approve").await;
    // Only the refund: the process ends before what follows it is begun.
    let refund = due_of(&office, &order).remove(0);
    let handler = Scripted::with([]);
    office.runner(handlers(&handler)).work(refund).await;
    assert_eq!(handler.calls(), []);
    let office = office.restarted();
    office.runner(handlers(&handler)).run_due().await;
    let key = format!("{}:{TELL}:2", order.as_str());
    assert_eq!(handler.calls(), [(key, 1)]);
    assert_eq!(office.given(&order), [cents(15_000)]);
    assert_eq!(office.restarted().app.timers_and_steps(), (0, 0));
}

#[tokio::test]
async fn a_step_of_the_partner_is_done_under_one_key() {
    let office = office_that_tells();
    let order = office.order("a", &[2], None);
    office
        .changed(&order, cancel(&[], RefundChoice::Policy))
        .await;
    let handler = Scripted::with([retry(), Script::Panics, retry()]);
    let runner = office.runner(handlers(&handler));
    for _ in 0..4 {
        runner.run_due().await;
        office.clock.advance(Seconds::HOUR);
    }
    let key = format!("{}:{TELL}:1", order.as_str());
    let expected: Vec<(String, u32)> = (1..=4).map(|attempt| (key.clone(), attempt)).collect();
    assert_eq!(handler.calls(), expected);
    let stored = office.stored(&order).await;
    assert_eq!(ended(&stored.update.unwrap()), [StepResult::Done]);
}

#[tokio::test(start_paused = true)]
async fn a_step_is_given_up_by_its_kind_of_failure() {
    let hopeless = Script::Answers(StepOutcome::Failed("no such customer".to_owned()));
    for (scripts, calls, reason) in [
        (vec![hopeless], 1, "no such customer"),
        (
            vec![Script::Panics; 9],
            3,
            "given up: its handler has panicked",
        ),
        (
            vec![Script::Hangs; 9],
            2,
            "given up after 2 attempts: no answer in time",
        ),
        (vec![retry(); 9], 2, "given up after 2 attempts: busy"),
    ] {
        let office = office_that_tells();
        let order = office.order("a", &[2], None);
        office
            .changed(&order, cancel(&[], RefundChoice::Policy))
            .await;
        let handler = Scripted::with(scripts);
        let runner = office.runner(handlers(&handler));
        for _ in 0..9 {
            runner.run_due().await;
            // A step that panics is given up early; others are when their day is over.
            let is_panicking = reason.contains("panicked");
            let pause = if is_panicking { 100 } else { 24 * 3_600 };
            office.clock.advance(Seconds::new(pause));
        }
        assert_eq!(handler.calls().len(), calls, "{reason}");
        let entry = last(&office, &order).await;
        assert_eq!(
            (entry.cause, &*entry.texts.reason),
            (UpdateCause::Step, reason)
        );
        let stored = office.stored(&order).await;
        assert_eq!(ended(&stored.update.unwrap()), [StepResult::Failed]);
        assert_eq!(office.app.timers_and_steps(), (0, 0));
    }
}

#[tokio::test]
async fn a_step_that_waits_is_retried_at_once_or_abandoned_by_a_person() {
    let office = office_that_tells();
    let order = office.order("a", &[2], None);
    office
        .changed(&order, cancel(&[], RefundChoice::Policy))
        .await;
    let handler = Scripted::with([retry(), retry()]);
    let runner = office.runner(handlers(&handler));
    runner.run_due().await;
    office.clock.advance(Seconds::ZERO);
    runner.run_due().await;
    assert_eq!(handler.calls().len(), 1, "it waits");
    office
        .changed(&order, OrderChange::RetryStep { step: 1 })
        .await;
    runner.run_due().await;
    assert_eq!(handler.calls().len(), 2, "at once");
    let abandon = |step| OrderChange::AbandonStep {
        step,
        reason: "told by telephone".to_owned(),
    };
    let unknown = office.change(&order, abandon(2)).await;
    assert_eq!(unknown, Err(ChangeError::NoStep(2)));
    let stored = office.changed(&order, abandon(1)).await;
    let update = stored.update.unwrap();
    assert_eq!(ended(&update), [StepResult::Failed]);
    assert_eq!(update.entry.texts.reason, "told by telephone");
    office.clock.advance(Seconds::DAY);
    runner.run_due().await;
    assert_eq!(handler.calls().len(), 2, "never again");
}

/// A handler during which a person abandons its step.
#[derive(Debug)]
struct Overtaken {
    office: Mutex<Option<(Arc<Office>, OrderId)>>,
    calls: AtomicU32,
}

impl StepHandler for Overtaken {
    fn call<'a>(&'a self, _: &'a StepCall) -> StepFuture<'a> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let overtaken = self.office.lock().unwrap().take();
            if let Some((office, order)) = overtaken {
                let abandon = OrderChange::AbandonStep {
                    step: 1,
                    reason: "it takes too long".to_owned(),
                };
                office.changed(&order, abandon).await;
            }
            StepOutcome::Done
        })
    }
}

#[tokio::test]
async fn a_person_may_abandon_a_step_that_is_at_work() {
    let office = Arc::new(office_that_tells());
    let order = office.order("a", &[2], None);
    office
        .changed(&order, cancel(&[], RefundChoice::Policy))
        .await;
    let handler = Arc::new(Overtaken {
        office: Mutex::new(Some((office.clone(), order.clone()))),
        calls: AtomicU32::new(0),
    });
    let custom: Arc<dyn StepHandler> = handler.clone();
    let runner = office.runner(CustomSteps::from([(Name::from(TELL), custom)]));
    runner.run_due().await;
    runner.run_due().await;
    assert_eq!(handler.calls.load(Ordering::SeqCst), 1);
    let stored = office.stored(&order).await;
    assert_eq!(ended(&stored.update.unwrap()), [StepResult::Failed]);
    assert_eq!(office.app.timers_and_steps(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn while_nothing_can_be_recorded_steps_are_asked_again_and_done_once() {
    let office = Office::new();
    let order = office.order("a", &[1, 1], Some("approve"));
    office
        .changed(&order, cancel(&[0], RefundChoice::Full))
        .await;
    office.changed(&order, withdraw(&[1])).await;
    office.store.begin_outage(NOW);
    office.work().await;
    assert_eq!(office.given(&order), [cents(7_500)]);
    assert_eq!(
        refunds(&office.stored(&order).await),
        [("requested", cents(7_500))]
    );
    let refused = office.change(&order, note("n")).await;
    assert_eq!(
        refused,
        Err(ChangeError::Order(crate::OrderError::StoreUnavailable))
    );
    office.store.end_outage();
    office.clock.advance(Seconds::HOUR);
    office.work().await;
    assert_eq!(office.given(&order), [cents(7_500)]);
    let stored = office.stored(&order).await;
    assert_eq!(refunds(&stored), [("done", cents(7_500))]);
    assert_eq!(states(&stored).0, "customer_action_required");
}

#[tokio::test(start_paused = true)]
async fn the_runner_does_what_becomes_due_while_it_runs() {
    let office = Office::new();
    let runner = Arc::new(office.runner(CustomSteps::new()));
    let running = tokio::spawn({
        let runner = runner.clone();
        async move { runner.run().await }
    });
    let order = cancelled(&office, "approve").await;
    while office.app.timers_and_steps() != (0, 0) {
        // Paused time goes on by itself whenever nothing else does.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(office.given(&order), [cents(15_000)]);
    running.abort();
}

/// An update of an order that has these steps.
fn with_steps(order: u8, due: &[i64]) -> OrderUpdate {
    let definition = lifecycle_files::default().unwrap();
    let nothing = domain::money::Money::zero(cents(1).currency());
    let ledger = domain::ledger::PaymentLedger::new(domain::ledger::PaidBy::Nobody, nothing);
    let mut tree = domain::lifecycle::OrderTree::new(&definition, 1, ledger);
    for (number, due) in (1..).zip(due) {
        tree.steps.push(OpenStep {
            number,
            kind: StepKind::Void,
            part: domain::lifecycle::OrderPart::ORDER,
            due: EpochSeconds::new(*due),
            amount: None,
        });
    }
    OrderUpdate {
        order: OrderKey([order; 16]).order_id(),
        revision: 1,
        updated_sec: NOW,
        tree: definition.named(tree),
        entry: HistoryEntry::new(UpdateCause::Operator, 1),
        released: Vec::new(),
        answer: None,
    }
}

proptest! {
    #[test]
    fn nothing_is_due_early_or_twice_and_one_thing_of_an_order_at_a_time(
        orders in prop::collection::vec(prop::collection::vec(0_i64..20, 0..4), 1..5),
        clock in prop::collection::vec(-5_i64..30, 1..40),
    ) {
        let agenda = Agenda::default();
        let mut open: Vec<Vec<i64>> = orders.clone();
        for (order, due) in (0_u8..).zip(&orders) {
            let update = with_steps(order, due);
            agenda.note(&update.order, update.revision, &update.tree);
        }
        for now in clock {
            let mut at_work = Vec::new();
            while let Some(work) = agenda.begin(EpochSeconds::new(now)) {
                prop_assert!(work.progress.due.get() <= now, "early");
                prop_assert!(!at_work.contains(&work.key), "two of one order");
                at_work.push(work.key);
            }
            for (order, due) in (0_u8..).zip(&mut open) {
                let key = OrderKey([order; 16]);
                let is_due = due.iter().any(|due| *due <= now);
                prop_assert_eq!(is_due, at_work.contains(&key), "at {}", now);
                if is_due {
                    // The earliest is done: the others are numbered anew, with the same times.
                    due.sort_unstable();
                    due.remove(0);
                    let update = with_steps(order, due);
                    agenda.note(&update.order, update.revision, &update.tree);
                    agenda.finish(&key);
                }
            }
        }
        let left: usize = open.iter().map(Vec::len).sum();
        prop_assert_eq!(agenda.counts(), (0, left));
    }

    #[test]
    fn pauses_double_up_to_the_longest_within_their_jitter(
        attempts in 0_u32..u32::MAX,
        factor in 1_u32..=10,
        first in 1_i64..1_000,
        longest in 1_i64..100_000,
        seed: u64,
    ) {
        let policy = RetryPolicy {
            first_pause: Seconds::new(first),
            factor,
            longest_pause: Seconds::new(longest),
            ..StepSettings::default().refund
        };
        let mut random = fastrand::Rng::with_seed(seed);
        let pause = policy.pause(attempts, &mut random).get();
        let growth = i64::from(factor).saturating_pow(attempts.saturating_sub(1));
        let whole = first.saturating_mul(growth).min(longest);
        prop_assert!(pause >= 1);
        prop_assert!(pause <= (whole * 12 / 10).max(1), "{} of {}", pause, whole);
        prop_assert!(pause >= whole * 8 / 10, "{} of {}", pause, whole);
        prop_assert!(pause <= longest, "{} of at most {}", pause, longest);
    }
}

#[test]
fn a_policy_gives_up_by_time_and_by_attempts() {
    let policy = StepSettings::default().refund;
    let week = Seconds::days(7);
    for (elapsed, attempts, expected) in [
        (Seconds::ZERO, 1, false),
        (Seconds::new(week.get() - 1), 999, false),
        (week, 1, true),
        (Seconds::ZERO, 1_000, true),
        // A clock that was set back.
        (Seconds::new(-1), 1, false),
    ] {
        let found = policy.is_over(NOW, NOW.saturating_add(elapsed), attempts);
        assert_eq!(found, expected, "{elapsed:?} {attempts}");
    }
}

/// What gives spots back before that is on record sells them twice. The real order of events does not.
#[tokio::test]
async fn spots_given_back_before_the_record_are_sold_twice() {
    for is_eager in [true, false] {
        let office = Office::new();
        let order = office.order("a", &[5], None);
        let stored = office.stored(&order).await;
        if is_eager {
            let catalog = office.app.catalog();
            let claims = crate::found(catalog.ids(), &stored.placed.claims);
            office.app.inventory.unsell(&claims);
        }
        // The commit fails, as if the process had ended before it.
        office.store.begin_outage(NOW);
        let cancelled = office
            .change(&order, cancel(&[], RefundChoice::Nothing))
            .await;
        assert!(cancelled.is_err());
        office.store.end_outage();
        let open = office.open();
        if open > 0 {
            office.order("b", &[5], None);
        }
        let recovered = office.store.recover().unwrap();
        let sold: u32 = recovered.sold.iter().map(|claim| claim.count).sum();
        assert_eq!(sold, if is_eager { 10 } else { 5 }, "eager: {is_eager}");
        assert_eq!(office.given(&order), []);
    }
}

/// The timers and steps of an order that are due, as if each was begun before the others were found to be at work.
fn due_of(office: &Office, order: &OrderId) -> Vec<DueWork> {
    let key = OrderKey::of_id(order).unwrap();
    let stored = played(office.stored(order));
    let tree = stored.update.unwrap().tree;
    let timers = tree
        .timers
        .into_iter()
        .map(|it| (WorkName::Timer(it.part, it.name), it.due));
    let steps = tree
        .steps
        .into_iter()
        .map(|it| (WorkName::Step(it.number), it.due));
    let mut due = Vec::new();
    for (name, at) in timers.chain(steps) {
        due.push(DueWork {
            order: order.clone(),
            key,
            name,
            progress: WorkProgress::new(at),
        });
    }
    due
}
