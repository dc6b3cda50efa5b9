//! Payments and holds by tables of records, and effects that merge to the same whatever batches they come in.

use super::*;
use crate::log::{
    fact::{
        OrderFact,
        random_log::{NOW, hold_ids, last_ends, order_keys, random_log, user_keys},
    },
    position::ALIGNMENT,
};
use crate::order_key::SlotKeys;

const HOLD: HoldId = HoldId([7; 16]);

fn position(record: u64) -> Position {
    Position::new(1, 4096 + record * ALIGNMENT).unwrap()
}

fn placement(revision: u32) -> HoldPlacement {
    HoldPlacement {
        position: position(u64::from(revision)),
        revision,
        expires_sec: NOW,
    }
}

fn placed(revision: u32) -> Fact {
    Fact::HoldPlaced {
        id: HOLD,
        placement: placement(revision),
    }
}

fn released(seconds_ago: i64) -> Fact {
    Fact::HoldReleased {
        id: HOLD,
        released_sec: EpochSeconds::new(NOW.get() - seconds_ago),
        reason: ReleaseReason::Expired,
    }
}

fn ordered(key: OrderKey, consumes: Option<HoldId>, ends_intent: bool) -> Fact {
    Fact::OrderPlaced(OrderFact {
        key,
        user: Some(user_keys()[0]),
        position: position(50),
        created_sec: NOW,
        slots: SlotKeys::new(),
        claims: Vec::new(),
        consumes,
        ends_intent,
        begun: None,
    })
}

fn consumed() -> Fact {
    ordered(order_keys()[0], Some(HOLD), false)
}

fn effects(facts: &[Fact]) -> WorkEffects {
    let mut effects = WorkEffects::default();
    for fact in facts {
        effects.add(fact);
    }
    effects
}

fn open_work(facts: &[Fact]) -> OpenWork {
    let open_work = OpenWork::default();
    open_work.apply(&effects(facts));
    open_work
}

/// A hold as it was placed last. Only effects one by one know its earlier ends.
fn last(open_work: &OpenWork, id: HoldId) -> Option<TrackedHold> {
    let last = open_work.find_hold(id).into_iter().next();
    last.filter(|hold| hold.state.is_some())
}

fn state(open_work: &OpenWork) -> Option<HoldState> {
    last(open_work, HOLD)?.state
}

#[test]
fn a_hold_is_as_last_placed_until_its_first_end() {
    let expired = HoldState::Released {
        released_sec: EpochSeconds::new(NOW.get() - 5),
        reason: ReleaseReason::Expired,
    };
    for (facts, expected) in [
        (vec![], None),
        (vec![consumed()], None),
        (vec![placed(1)], Some((1, HoldState::Active))),
        (vec![placed(1), placed(2)], Some((2, HoldState::Active))),
        (vec![placed(1), consumed()], Some((1, HoldState::Consumed))),
        (vec![placed(2), released(5)], Some((2, expired.clone()))),
        (
            vec![placed(2), released(5), consumed(), released(3)],
            Some((2, expired)),
        ),
        (
            vec![placed(2), released(5), placed(1)],
            Some((1, HoldState::Active)),
        ),
        (vec![released(5), placed(1)], Some((1, HoldState::Active))),
    ] {
        let open_work = open_work(&facts);
        let hold = open_work.find_hold(HOLD);
        let active = match &expected {
            Some((revision, HoldState::Active)) => *revision,
            Some(_) | None => 0,
        };
        let nothing = WorkEffects::default();
        assert_eq!(
            open_work.active_revision(HOLD, &nothing),
            active,
            "{facts:?}"
        );
        let placed_at: Vec<_> = (active > 0)
            .then(|| position(active.into()))
            .into_iter()
            .collect();
        assert_eq!(open_work.active_holds(), placed_at, "{facts:?}");
        let expected = expected.map(|(revision, state)| TrackedHold {
            position: position(revision.into()),
            state: Some(state),
        });
        assert_eq!(hold, Vec::from_iter(expected), "{facts:?}");
    }
}

#[test]
fn a_precondition_sees_the_batch_that_is_not_durable_yet() {
    let durable = open_work(&[placed(1)]);
    for (pending, expected) in [
        (vec![], 1),
        (vec![placed(2)], 2),
        (vec![consumed()], 0),
        (vec![placed(2), released(0)], 0),
        (vec![released(0), placed(1), placed(2)], 2),
    ] {
        let revision = durable.active_revision(HOLD, &effects(&pending));
        assert_eq!(revision, expected, "{pending:?}");
    }
    let nothing = WorkEffects::default();
    assert_eq!(durable.active_revision(HOLD, &nothing), 1);
    assert_eq!(OpenWork::default().active_revision(HOLD, &nothing), 0);
}

#[test]
fn an_ended_hold_that_was_placed_and_has_ended_again_is_found_as_the_last_one() {
    let open_work = OpenWork::default();
    for revision in [1, 2, 3] {
        open_work.apply(&effects(&[placed(revision)]));
        open_work.apply(&effects(&[released(revision.into())]));
        open_work.apply(&effects(&[consumed()]));
        let found = open_work.find_hold(HOLD);
        // The others behind it are candidates with the same beginning.
        assert_eq!(found.len(), usize::try_from(revision).unwrap());
        assert_eq!(found[0].position, position(revision.into()));
        let expired = HoldState::Released {
            released_sec: EpochSeconds::new(NOW.get() - i64::from(revision)),
            reason: ReleaseReason::Expired,
        };
        assert_eq!(found[0].state, Some(expired));
    }
}

#[test]
fn an_intent_is_pending_until_its_order_or_its_end_and_the_last_end_is_found() {
    let (key, other) = (order_keys()[0], order_keys()[1]);
    let intent = |record| Fact::PaymentIntent {
        key,
        position: position(record),
    };
    let ended = |record| Fact::PaymentEnded {
        key,
        position: position(record),
    };
    for (facts, pending, last) in [
        (vec![], vec![], None),
        (vec![intent(1)], vec![position(1)], None),
        (vec![intent(1), intent(2)], vec![position(2)], None),
        (vec![intent(1), ordered(key, None, true)], vec![], None),
        (
            vec![intent(1), ordered(other, None, true)],
            vec![position(1)],
            None,
        ),
        (vec![intent(1), ended(2)], vec![], Some(position(2))),
        (
            vec![intent(1), ended(2), intent(3)],
            vec![position(3)],
            Some(position(2)),
        ),
        (
            vec![intent(1), ended(2), intent(3), ended(4)],
            vec![],
            Some(position(4)),
        ),
    ] {
        let open_work = open_work(&facts);
        assert_eq!(open_work.pending_intents(), pending, "{facts:?}");
        assert_eq!(
            open_work.ended_payments(&key).first().copied(),
            last,
            "{facts:?}"
        );
        assert!(open_work.ended_payments(&other).is_empty());
    }
}

#[test]
fn a_hold_is_forgotten_when_its_end_is_longer_ago_than_the_retention() {
    let retention = HOLD_RETENTION.get();
    for (facts, is_kept) in [
        (vec![placed(1)], true),
        (vec![placed(1), released(retention)], true),
        (vec![placed(1), released(retention + 1)], false),
        (vec![placed(1), released(retention + 1), placed(2)], true),
        (
            vec![placed(1), released(retention + 1), placed(2), consumed()],
            true,
        ),
    ] {
        let (before, after) = (OpenWork::default(), OpenWork::default());
        after.forget_holds(NOW);
        for open_work in [&before, &after] {
            for fact in &facts {
                open_work.apply(&effects(std::slice::from_ref(fact)));
            }
        }
        before.forget_holds(NOW);
        for open_work in [before, after] {
            assert_eq!(state(&open_work).is_some(), is_kept, "{facts:?}");
        }
    }
}

#[test]
fn a_clock_that_was_set_back_hides_no_end() {
    let open_work = open_work(&[placed(1), released(0)]);
    let later = NOW.saturating_add(HOLD_RETENTION);
    for (now, is_found) in [
        (EpochSeconds::MIN, true),
        (later, true),
        (EpochSeconds::new(later.get() + 1), false),
    ] {
        open_work.forget_holds(now);
        assert_eq!(state(&open_work).is_some(), is_found, "{now}");
    }
    open_work.forget_holds(NOW);
    open_work.apply(&effects(&[placed(2), released(0)]));
    assert_eq!(last(&open_work, HOLD).unwrap().position, position(2));
}

#[test]
fn effects_are_the_same_in_batches_of_any_size() {
    for seed in testkit::seeds::seeds(300) {
        let facts: Vec<Fact> = random_log(seed).into_iter().flatten().collect();
        let mut random = fastrand::Rng::with_seed(seed);
        let (singly, batched) = (OpenWork::default(), OpenWork::default());
        for open_work in [&singly, &batched] {
            open_work.forget_holds(NOW);
        }
        for fact in &facts {
            singly.apply(&effects(std::slice::from_ref(fact)));
        }
        let mut rest = &facts[..];
        while !rest.is_empty() {
            let (batch, behind) = rest.split_at(random.usize(1..=rest.len()));
            batched.apply(&effects(batch));
            rest = behind;
        }
        assert_eq!(
            singly.pending_intents(),
            batched.pending_intents(),
            "seed {seed}"
        );
        assert_eq!(singly.active_holds(), batched.active_holds(), "seed {seed}");
        for id in hold_ids() {
            assert_eq!(last(&singly, id), last(&batched, id), "seed {seed}");
        }
        for (key, position) in last_ends(&facts) {
            for open_work in [&singly, &batched] {
                assert!(open_work.ended_payments(&key).contains(&position));
            }
        }
    }
}
