//! The lifecycle itself, the states in use, and attempts at steps.

use std::{collections::BTreeMap, ops::ControlFlow};

use fastrand::Rng;

use super::{
    StoreHome,
    driver::{Driver, order_revision, place, update},
    samples,
};
use crate::{
    LifecycleChange, LifecycleDraft, LifecycleRevision, OrderUpdate, Precondition, StateCount,
    StatesInUse, StepRetry, UnitOfWork, Write,
};
use domain::{
    lifecycle::{Entity, OpenStep, OrderPart, StepKind, Timer},
    time::EpochSeconds,
};

/// A revision that differs from all others.
fn revision(number: u32) -> LifecycleRevision {
    samples::revision(&mut Rng::with_seed(number.into()), number)
}

/// A draft of this text, or none.
fn draft(text: Option<&str>) -> LifecycleDraft {
    LifecycleDraft {
        text: text.map(str::to_owned),
        ..samples::draft(&mut Rng::with_seed(7))
    }
}

/// The unit that publishes a revision in place of the one before.
pub(super) fn publish(revision: LifecycleRevision) -> UnitOfWork {
    let before = Precondition::LifecycleRevision(revision.number - 1);
    UnitOfWork::write(Write::Lifecycle(Box::new(revision))).requiring(before)
}

fn keep(draft: LifecycleDraft) -> Write {
    Write::LifecycleDraft(Box::new(draft))
}

pub(super) fn changes_of_the_lifecycle_are_kept(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    assert_eq!(driver.lifecycle_changes(), []);
    driver.commit(publish(revision(1)));
    driver.commit(keep(draft(Some("one"))));
    driver.commit(keep(draft(Some(""))));
    // Published and discarded in one unit.
    driver.commit(publish(revision(2)).and(keep(draft(None))));
    driver.commit(keep(draft(Some("another"))));
    let expected = [
        LifecycleChange::Drafted(draft(Some("another"))),
        LifecycleChange::Drafted(draft(None)),
        LifecycleChange::Published(revision(2)),
        LifecycleChange::Drafted(draft(Some(""))),
        LifecycleChange::Drafted(draft(Some("one"))),
        LifecycleChange::Published(revision(1)),
    ];
    let assert_kept = |driver: &Driver<'_>| {
        assert_eq!(driver.lifecycle_changes(), expected);
        let mut taken = 0;
        let take = &mut |_| {
            taken += 1;
            assert!(taken <= 2, "a change after the last that is wanted");
            match taken {
                2 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        };
        driver.store().lifecycle_changes(take).unwrap();
        assert_eq!(taken, 2);
    };
    assert_kept(&driver);
    if let Some(recovered) = driver.reopen() {
        assert_eq!(recovered.lifecycle, [revision(1), revision(2)]);
        assert_eq!(recovered.draft.as_deref(), Some("another"));
        assert_kept(&driver);
        driver.commit(keep(draft(None)));
        assert_eq!(driver.reopen().unwrap().draft, None);
    }
}

pub(super) fn a_stale_publication_writes_nothing(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let stale = |driver: &Driver<'_>, seen: u32| {
        let required = Precondition::LifecycleRevision(seen);
        let unit = publish(revision(seen + 1)).and(keep(draft(None)));
        assert_eq!(driver.commit_stale(&unit), required);
    };
    stale(&driver, 1);
    driver.commit(publish(revision(1)));
    driver.commit(publish(revision(2)));
    for seen in [0, 1, 3] {
        stale(&driver, seen);
    }
    driver.order("one", "ada");
    // An update that was decided by an earlier revision.
    let decided = |driver: &Driver<'_>| {
        let update = samples::update(&mut Rng::with_seed(1), driver.id("one"), 1);
        super::driver::update(update).requiring(Precondition::LifecycleRevision(1))
    };
    driver.commit_stale(&decided(&driver));
    assert_eq!(driver.history(&driver.id("one")), []);
    assert_eq!(driver.lifecycle_changes().len(), 2);
    if driver.reopen().is_some() {
        assert_eq!(driver.lifecycle_changes().len(), 2);
        stale(&driver, 1);
        driver.commit_stale(&decided(&driver));
        driver.commit(publish(revision(3)));
    }
}

pub(super) fn publications_at_once_are_written_in_turn(home: &dyn StoreHome) {
    let driver = Driver::open(home);
    // Submitted together: the second is decided on what the first makes of the lifecycle, durable or not.
    let results = |numbers: [u32; 2]| {
        let futures = numbers.map(|number| {
            let _within = driver.runtime().enter();
            driver.store().commit(&publish(revision(number)))
        });
        futures.map(|future| driver.runtime().block_on(future).is_ok())
    };
    assert_eq!(results([1, 2]), [true, true]);
    assert_eq!(results([3, 3]), [true, false]);
    assert_eq!(results([5, 4]), [false, true]);
    assert_eq!(driver.lifecycle_changes().len(), 4);
}

/// The update of an order to this revision, decided by that revision of the lifecycle, in this state and no other.
fn in_state(
    driver: &Driver<'_>,
    token: &str,
    (number, by): (u32, u32),
    state: &str,
) -> OrderUpdate {
    let mut update = samples::update(&mut Rng::with_seed(1), driver.id(token), number);
    update.entry.lifecycle = by;
    update.tree.state = state.into();
    update.tree.items.clear();
    update.tree.timers.clear();
    update.tree.steps.clear();
    update.tree.given_up.clear();
    update
}

fn count(lifecycle: u32, entity: Entity, state: &str, orders: u64) -> StateCount {
    StateCount {
        lifecycle,
        entity,
        state: state.into(),
        orders,
    }
}

pub(super) fn states_in_use_are_those_of_the_newest_updates(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    for token in ["placed", "one", "other", "third"] {
        driver.order(token, "ada");
    }
    assert_eq!(driver.store().states_in_use().placed, 4);
    assert_eq!(driver.store().states_in_use().counts, []);
    driver.commit(update(in_state(&driver, "one", (1, 1), "cancelled")));
    driver.commit(update(in_state(&driver, "one", (2, 1), "done")));
    driver.commit(update(in_state(&driver, "other", (1, 1), "done")));
    let mut third = in_state(&driver, "third", (1, 2), "done");
    // A timer is as good as a state: it leads there some time.
    third.tree.timers.push(Timer {
        name: "clock".into(),
        part: OrderPart::item(0),
        due: EpochSeconds::new(1),
        to: "lost".into(),
    });
    // The order itself is not there yet.
    third.tree.timers.push(Timer {
        name: "clock".into(),
        part: OrderPart::ORDER,
        due: EpochSeconds::new(1),
        to: "late".into(),
    });
    driver.commit(update(third));
    let expected = [
        count(1, Entity::Order, "done", 2),
        count(2, Entity::Order, "done", 1),
        count(2, Entity::Order, "late", 1),
        count(2, Entity::LineItem, "lost", 1),
    ];
    let order_states = [
        count(1, Entity::Order, "done", 2),
        count(2, Entity::Order, "done", 1),
    ];
    let expected = StatesInUse {
        placed: 1,
        counts: expected.to_vec(),
        order_states: order_states.to_vec(),
    };
    assert_eq!(driver.store().states_in_use(), expected);
    if driver.reopen().is_some() {
        assert_eq!(driver.store().states_in_use(), expected);
        driver.commit(update(in_state(&driver, "third", (2, 2), "gone")));
        let expected = [
            count(1, Entity::Order, "done", 2),
            count(2, Entity::Order, "gone", 1),
        ];
        assert_eq!(driver.store().states_in_use().counts, expected);
    }
}

pub(super) fn placed_orders_are_counted_by_their_revision(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let mut placed = 0;
    for number in 1..4 {
        let unit = UnitOfWork::write(Write::Lifecycle(Box::new(revision(number))));
        driver.commit(unit.requiring(Precondition::LifecycleRevision(number - 1)));
        for _ in 0..number {
            placed += 1;
            let mut order = driver.placed(&format!("order {placed}"), "ada");
            order.lifecycle = number;
            driver.commit(place(order));
        }
    }
    // One of the second revision, which the third has changed.
    driver.commit(update(in_state(&driver, "order 2", (1, 3), "done")));
    let expected = BTreeMap::from([(1, 1), (2, 1), (3, 3)]);
    assert_eq!(driver.store().placed_by_revision().unwrap(), expected);
    if driver.reopen().is_some() {
        assert_eq!(driver.store().placed_by_revision().unwrap(), expected);
    }
}

pub(super) fn an_order_that_began_otherwise_is_in_use_by_its_own_states(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    driver.order("placed", "ada");
    for (token, lifecycle, due_in) in [
        ("one", 1, None),
        ("two", 2, Some("lost")),
        ("three", 2, None),
    ] {
        let mut placed = driver.placed(token, "ada");
        placed.lifecycle = lifecycle;
        let mut begun = in_state(&driver, token, (1, 1), "asked").tree;
        begun.timers.extend(due_in.map(|to| Timer {
            name: "clock".into(),
            part: OrderPart::item(0),
            due: EpochSeconds::new(1),
            to: to.into(),
        }));
        placed.begun = Some(Box::new(begun));
        driver.commit(place(placed));
    }
    driver.commit(update(in_state(&driver, "three", (1, 3), "done")));
    let expected = [
        count(1, Entity::Order, "asked", 1),
        count(2, Entity::Order, "asked", 1),
        count(2, Entity::LineItem, "lost", 1),
        count(3, Entity::Order, "done", 1),
    ];
    let order_states = [
        count(1, Entity::Order, "asked", 1),
        count(2, Entity::Order, "asked", 1),
        count(3, Entity::Order, "done", 1),
    ];
    let expected = StatesInUse {
        placed: 1,
        counts: expected.to_vec(),
        order_states: order_states.to_vec(),
    };
    assert_eq!(driver.store().states_in_use(), expected);
    if driver.reopen().is_some() {
        assert_eq!(driver.store().states_in_use(), expected);
        driver.commit(update(in_state(&driver, "two", (1, 3), "done")));
        let expected = [
            count(1, Entity::Order, "asked", 1),
            count(3, Entity::Order, "done", 2),
        ];
        assert_eq!(driver.store().states_in_use().counts, expected);
    }
}

pub(super) fn answers_to_erasures_are_kept(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    assert_eq!(driver.erasure_answers(), []);
    let mut random = Rng::with_seed(7);
    let mut answers = Vec::new();
    for _ in 0..3 {
        let answer = samples::erasure_answer(&mut random);
        driver.commit(UnitOfWork::write(Write::ErasureAnswered(answer.clone())));
        answers.insert(0, answer);
        assert_eq!(driver.erasure_answers(), answers);
    }
    if driver.reopen().is_some() {
        assert_eq!(driver.erasure_answers(), answers);
    }
}

/// An attempt at a step.
fn attempt(driver: &Driver<'_>, token: &str, step: u16, attempts: u32) -> StepRetry {
    StepRetry {
        attempts,
        ..samples::step_retry(&mut Rng::with_seed(1), driver.id(token), step)
    }
}

fn step(number: u16) -> OpenStep {
    OpenStep {
        number,
        kind: StepKind::Capture,
        part: OrderPart::ORDER,
        due: EpochSeconds::new(1),
        amount: None,
    }
}

pub(super) fn attempts_at_open_steps_are_recovered(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let with_steps = |driver: &Driver<'_>, token: &str, number: u32, steps: &[u16]| {
        let mut changed = in_state(driver, token, (number, 1), "processing");
        changed.tree.steps.extend(steps.iter().copied().map(step));
        driver.commit(update(changed));
    };
    let tried = |driver: &Driver<'_>, retry: StepRetry, revision: u32| {
        let required = order_revision(&retry.order, revision);
        driver.commit(UnitOfWork::write(Write::StepRetried(Box::new(retry))).requiring(required));
    };
    // One that began with a step has attempts without an update.
    let mut begun = driver.placed("begun", "ada");
    let mut tree = in_state(&driver, "begun", (1, 1), "processing").tree;
    tree.steps.push(step(1));
    begun.begun = Some(Box::new(tree));
    driver.commit(place(begun));
    tried(&driver, attempt(&driver, "begun", 1, 3), 0);
    for token in ["one", "two", "ended", "again"] {
        driver.order(token, "ada");
        with_steps(&driver, token, 1, &[1, 2]);
        tried(&driver, attempt(&driver, token, 1, 1), 1);
        tried(&driver, attempt(&driver, token, 2, 4), 1);
        tried(&driver, attempt(&driver, token, 1, 2), 1);
    }
    // One of its steps has ended, all of them, all of them and another one is open.
    with_steps(&driver, "two", 2, &[2]);
    with_steps(&driver, "ended", 2, &[]);
    with_steps(&driver, "again", 2, &[]);
    with_steps(&driver, "again", 3, &[3]);
    let expected = [
        attempt(&driver, "begun", 1, 3),
        attempt(&driver, "one", 1, 2),
        attempt(&driver, "one", 2, 4),
        attempt(&driver, "two", 2, 4),
    ];
    let stale = UnitOfWork::write(Write::StepRetried(Box::new(attempt(
        &driver, "ended", 1, 9,
    ))))
    .requiring(order_revision(&driver.id("ended"), 1));
    driver.commit_stale(&stale);
    if let Some(recovered) = driver.reopen() {
        let by_order = |retry: &StepRetry| (retry.order.clone(), retry.step);
        let mut found = recovered.retried.clone();
        found.sort_by_key(by_order);
        let mut expected = expected.to_vec();
        expected.sort_by_key(by_order);
        assert_eq!(found, expected);
    }
}
