//! Catalogues that follow one another while slots of theirs are sold.

use super::*;

pub(super) fn opening(first: SlotKey, allotment: u32) -> Opening {
    let pool = Pool {
        tickets: PoolTickets::All,
        allotment,
    };
    Opening {
        first,
        pool,
        terms: None,
        recurrence: None,
        pass_through: PassThroughIx::default(),
    }
}

impl River {
    /// Puts another revision on sale, in which the slots have these allotments; `None`: are gone.
    fn replace(&self, on_sale: Revision, allotments: &[Option<u32>]) -> Revision {
        let next = on_sale.next();
        let open = |(&key, allotment): (&SlotKey, &Option<u32>)| Some(opening(key, (*allotment)?));
        let openings: Vec<Opening> = self.keys.iter().zip(allotments).filter_map(open).collect();
        self.inventory
            .stage(on_sale, next, &openings, NOW, EpochSeconds::MAX);
        next
    }

    /// What is left of a slot by a revision; `None` where it is not open.
    fn left_by(&self, revision: Revision, at: usize) -> Result<Option<u32>, Stale> {
        let left = |slots: &[Option<&Slot>]| slots[0].map(|slot| self.left(slot, NOW, None));
        self.inventory.examine(revision, &self.asked(&[at]), left)
    }

    fn take_by(
        &self,
        revision: Revision,
        slots: &[usize],
        count: u32,
    ) -> Result<Option<Reservation>, Stale> {
        let decision = self
            .inventory
            .reserve(revision, &self.asked(slots), CART, NOW, |seen| {
                let has_room = |slot: &Slot| self.left(slot, NOW, None) >= count;
                let fits = seen.iter().all(|slot| slot.is_some_and(has_room));
                self.sell_if(fits, slots, count)
            })?;
        Ok(reservation(decision))
    }
}

#[test]
fn the_next_revision_keeps_what_is_taken_and_nothing_of_it_shows_before() {
    let river = River::with(&[5, 5, 5]);
    river
        .inventory
        .confirm(river.reserve(&[0], 2, CART, NOW).unwrap(), NOW);
    river
        .inventory
        .confirm(river.reserve(&[2], 1, CART, NOW).unwrap(), NOW);
    let second = river.replace(FIRST, &[Some(9), None, Some(0)]);
    assert_eq!(
        [0, 1, 2].map(|at| river.open_at(at, NOW, None)),
        [3, 5, 4],
        "still the first"
    );
    assert_eq!(
        [0, 1, 2].map(|at| river.left_by(second, at)),
        [Ok(Some(7)), Ok(None), Ok(Some(0))]
    );
    let third = river.replace(second, &[None, Some(1), Some(3)]);
    river.inventory.advance_all(second, |_, _| {});
    assert_eq!(
        [0, 1, 2].map(|at| river.left_by(third, at)),
        [Ok(None), Ok(Some(1)), Ok(Some(2))]
    );
    let fourth = river.replace(third, &[Some(2), None, None]);
    assert_eq!(
        river.left_by(fourth, 0),
        Ok(Some(0)),
        "what was sold of it counts when it comes back"
    );
}

#[test]
fn a_slot_that_opens_while_all_are_turned_is_not_forgotten() {
    let river = River::with(&[5, 5, 5]);
    let second = river.replace(FIRST, &[None, None, None]);
    let mut turned = Vec::new();
    river.inventory.advance_all(second, |key, _| {
        turned.push(key);
        if let [one, other, _] = turned[..] {
            let opened = [one, other].map(|key| opening(key, 4));
            river
                .inventory
                .open(second, opened, NOW, EpochSeconds::MAX)
                .unwrap();
        }
    });
    let left = turned
        .iter()
        .map(|key| river.left_by(second, river.keys.iter().position(|at| at == key).unwrap()));
    assert_eq!(
        left.collect::<Vec<_>>(),
        [Ok(Some(4)), Ok(Some(4)), Ok(None)]
    );
}

#[test]
fn who_goes_by_an_earlier_revision_decides_anew_and_has_changed_nothing() {
    let river = River::with(&[5, 5]);
    river.hold(&[0], 1, CART, NOW + 600);
    let second = river.replace(FIRST, &[Some(5), Some(5)]);
    assert_eq!(river.left_by(second, 1), Ok(Some(5)));
    assert_eq!(
        river.left_by(FIRST, 0),
        Ok(Some(4)),
        "nobody has asked for it by the second"
    );
    assert_eq!(river.take_by(FIRST, &[0, 1], 1).unwrap_err(), Stale);
    let asked = river.asked(&[0, 1]);
    let hold = |_: &[Option<&Slot>]| panic!("it must not come to that");
    let time = until(NOW, NOW + 900);
    let held = river
        .inventory
        .hold::<()>(FIRST, &asked, CART, NOW, Some(time), hold);
    assert_eq!(held.unwrap_err(), Stale);
    assert_eq!(
        [0, 1].map(|at| river.left_by(second, at)),
        [Ok(Some(4)), Ok(Some(5))]
    );
    assert_eq!(river.left_by(FIRST, 0), Err(Stale));
    let taken = river
        .take_by(second, &[0, 1], 4)
        .unwrap()
        .expect("the cart's own hold is free for it");
    river.inventory.release(taken, NOW);
    assert_eq!(
        river.left_by(second, 0),
        Ok(Some(4)),
        "the hold of one survived"
    );
}

#[test]
fn spots_go_back_to_slots_that_are_gone_and_slots_that_say_nothing_are_forgotten() {
    let river = River::with(&[5, 5]);
    let taken = river.reserve(&[0], 2, CART, NOW).unwrap();
    let second = river.replace(FIRST, &[None, None]);
    let mut seen = Vec::new();
    river
        .inventory
        .advance_all(second, |key, slot| seen.push((key, slot.sold())));
    seen.sort_unstable();
    assert_eq!(seen, [(river.keys[0], 2), (river.keys[1], 0)]);
    assert_eq!(river.inventory.len(), 1, "the one that is taken of");
    river.inventory.release(taken, NOW);
    let third = river.replace(second, &[Some(5), Some(5)]);
    assert_eq!(
        [0, 1].map(|at| river.left_by(third, at)),
        [Ok(Some(5)), Ok(Some(5))]
    );
    river.inventory.advance_all(third, |_, _| {});
    let fourth = river.replace(third, &[None, None]);
    river.inventory.advance_all(fourth, |_, _| {});
    assert!(river.inventory.is_empty());
}

#[test]
fn what_was_laid_ready_and_given_up_leaves_no_trace() {
    let river = River::with(&[5]);
    let given_up = river.replace(FIRST, &[Some(100)]);
    let key = river.keys[0];
    river.inventory.stage(
        FIRST,
        given_up.next(),
        &[opening(key, 3)],
        NOW,
        EpochSeconds::MAX,
    );
    river.inventory.stage(
        FIRST,
        given_up.next(),
        &[opening(key, 4)],
        NOW,
        EpochSeconds::MAX,
    );
    assert_eq!(river.left_by(given_up.next(), 0), Ok(Some(7)));
}

#[test]
fn the_calendar_opens_for_the_latest_revision_only() {
    let river = River::with(&[5]);
    let second = river.replace(FIRST, &[Some(5)]);
    assert_eq!(river.left_by(second, 0), Ok(Some(5)));
    let more = [opening(river.keys[0], 2)];
    assert_eq!(
        river.inventory.open(FIRST, &more, NOW, EpochSeconds::MAX),
        Err(Stale)
    );
    assert_eq!(
        river.inventory.open(second, &more, NOW, EpochSeconds::MAX),
        Ok(1)
    );
    assert_eq!(river.left_by(second, 0), Ok(Some(7)));
}

/// Lets threads take single spots while revisions follow one another without a pause, each with
/// other allotments, and gives how many they got and whether anyone got one that the revision he
/// went by did not have.
fn fight_through_revisions(river: &River, last: u32) -> (u32, bool) {
    use std::sync::atomic::AtomicBool;
    let on_sale = AtomicU32::new(FIRST.0);
    let (got, beyond, over) = (
        AtomicU32::new(0),
        AtomicBool::new(false),
        AtomicBool::new(false),
    );
    let allotment = |revision: Revision| {
        if revision.0.is_multiple_of(2) {
            600
        } else {
            300
        }
    };
    let take_one = || {
        let revision = Revision(on_sale.load(Ordering::SeqCst));
        let taken = river
            .inventory
            .reserve(revision, &river.asked(&[0]), CART, NOW, |seen| {
                let slot = seen[0].expect("every revision has it");
                let fits = river.left(slot, NOW, None) > 0;
                if fits && slot.sold() >= u64::from(allotment(revision)) {
                    beyond.store(true, Ordering::SeqCst);
                }
                river.sell_if(fits, &[0], 1)
            });
        if let Ok(Decision::Sell(((), reservation))) = taken {
            // One in three comes to nothing.
            if got.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) {
                got.fetch_sub(1, Ordering::SeqCst);
                river.inventory.release(reservation, NOW);
            } else {
                river.inventory.confirm(reservation, NOW);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    take_one();
                }
            });
        }
        let mut revision = FIRST;
        for _ in 0..last {
            revision = river.replace(revision, &[Some(allotment(revision.next()))]);
            on_sale.store(revision.0, Ordering::SeqCst);
            river.inventory.advance_all(revision, |_, _| {});
        }
        over.store(true, Ordering::SeqCst);
    });
    (got.into_inner(), beyond.into_inner())
}

#[test]
fn no_revision_sells_more_than_it_has_however_fast_they_follow_one_another() {
    let river = River::with(&[600]);
    let (got, beyond) = fight_through_revisions(&river, 3_000);
    assert!(!beyond);
    assert!(got <= 600, "{got} of 600");
    let left = river.left_by(Revision(3_000), 0).unwrap().unwrap();
    assert_eq!(got + left, 600);
}

/// The negative control: the next revision is a new inventory, into which what was taken is carried
/// over while it is being taken. If this never loses a active, the test above shows nothing.
#[test]
fn the_same_loses_sales_where_what_is_taken_is_carried_over() {
    let loses = || {
        let (old, new) = (River::with(&[1_000]), River::with(&[1_000]));
        let carried = AtomicU32::new(0);
        let got = fight(4_000, || {
            let river = if carried.load(Ordering::SeqCst) == 1 {
                &new
            } else {
                &old
            };
            thread::yield_now();
            let taken = river.reserve(&[0], 1, CART, NOW);
            if old.open_at(0, NOW, None) < 500 && carried.swap(1, Ordering::SeqCst) == 0 {
                let sold = 1_000 - old.open_at(0, NOW, None);
                new.inventory.restore(&new.claims(&[0], sold));
            }
            taken
                .map(|taken| river.inventory.confirm(taken, NOW))
                .is_some()
        });
        got + new.open_at(0, NOW, None) > 1_000
    };
    assert!((0..100).any(|_| loses()));
}
