//! Catalogues that are replaced while their slots are sold.

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

impl SlotFixture {
    /// Stages the next revision with these allotments; slots with `None` are absent.
    fn stage_next(&self, active: Revision, allotments: &[Option<u32>]) -> Revision {
        let next = active.next();
        let open = |(&key, allotment): (&SlotKey, &Option<u32>)| Some(opening(key, (*allotment)?));
        let openings: Vec<Opening> = self.keys.iter().zip(allotments).filter_map(open).collect();
        self.inventory
            .stage(active, next, &openings, NOW, EpochSeconds::MAX);
        next
    }

    /// The open spots of a slot in a revision; `None` if the slot is not open.
    fn left_by(&self, revision: Revision, at: usize) -> Result<Option<u32>, Stale> {
        let left = |slots: &[Option<&Slot>]| slots[0].map(|slot| self.left(slot, NOW, None));
        self.inventory.examine(revision, &self.asked(&[at]), left)
    }

    fn reserve_by(
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
fn a_staged_revision_keeps_sales_and_is_invisible_until_asked_for() {
    let fixture = SlotFixture::with(&[5, 5, 5]);
    fixture
        .inventory
        .confirm(fixture.reserve(&[0], 2, CART, NOW).unwrap(), NOW);
    fixture
        .inventory
        .confirm(fixture.reserve(&[2], 1, CART, NOW).unwrap(), NOW);
    let second = fixture.stage_next(FIRST, &[Some(9), None, Some(0)]);
    assert_eq!(
        [0, 1, 2].map(|at| fixture.open_at(at, NOW, None)),
        [3, 5, 4],
        "still the first"
    );
    assert_eq!(
        [0, 1, 2].map(|at| fixture.left_by(second, at)),
        [Ok(Some(7)), Ok(None), Ok(Some(0))]
    );
    let third = fixture.stage_next(second, &[None, Some(1), Some(3)]);
    fixture.inventory.advance_all(second, |_, _| {});
    assert_eq!(
        [0, 1, 2].map(|at| fixture.left_by(third, at)),
        [Ok(None), Ok(Some(1)), Ok(Some(2))]
    );
    let fourth = fixture.stage_next(third, &[Some(2), None, None]);
    assert_eq!(
        fixture.left_by(fourth, 0),
        Ok(Some(0)),
        "earlier sales count when the slot is back"
    );
}

#[test]
fn a_slot_that_opens_while_all_advance_is_kept() {
    let fixture = SlotFixture::with(&[5, 5, 5]);
    let second = fixture.stage_next(FIRST, &[None, None, None]);
    let mut advanced = Vec::new();
    fixture.inventory.advance_all(second, |key, _| {
        advanced.push(key);
        if let [one, other, _] = advanced[..] {
            let opened = [one, other].map(|key| opening(key, 4));
            fixture
                .inventory
                .open(second, opened, NOW, EpochSeconds::MAX)
                .unwrap();
        }
    });
    let left = advanced.iter().map(|key| {
        fixture.left_by(
            second,
            fixture.keys.iter().position(|at| at == key).unwrap(),
        )
    });
    assert_eq!(
        left.collect::<Vec<_>>(),
        [Ok(Some(4)), Ok(Some(4)), Ok(None)]
    );
}

#[test]
fn a_decision_by_an_earlier_revision_is_stale_and_changes_nothing() {
    let fixture = SlotFixture::with(&[5, 5]);
    fixture.hold(&[0], 1, CART, NOW + 600);
    let second = fixture.stage_next(FIRST, &[Some(5), Some(5)]);
    assert_eq!(fixture.left_by(second, 1), Ok(Some(5)));
    assert_eq!(
        fixture.left_by(FIRST, 0),
        Ok(Some(4)),
        "no call has used the second revision on it"
    );
    assert_eq!(fixture.reserve_by(FIRST, &[0, 1], 1).unwrap_err(), Stale);
    let asked = fixture.asked(&[0, 1]);
    let hold = |_: &[Option<&Slot>]| panic!("the slots are stale");
    let time = until(NOW, NOW + 900);
    let held = fixture
        .inventory
        .hold::<()>(FIRST, &asked, CART, NOW, Some(time), hold);
    assert_eq!(held.unwrap_err(), Stale);
    assert_eq!(
        [0, 1].map(|at| fixture.left_by(second, at)),
        [Ok(Some(4)), Ok(Some(5))]
    );
    assert_eq!(fixture.left_by(FIRST, 0), Err(Stale));
    let reserved = fixture
        .reserve_by(second, &[0, 1], 4)
        .unwrap()
        .expect("the cart's own hold is free for it");
    fixture.inventory.release(reserved, NOW);
    assert_eq!(
        fixture.left_by(second, 0),
        Ok(Some(4)),
        "the hold of one survived"
    );
}

#[test]
fn spots_return_to_withdrawn_slots_and_vacant_withdrawn_slots_are_removed() {
    let fixture = SlotFixture::with(&[5, 5]);
    let reserved = fixture.reserve(&[0], 2, CART, NOW).unwrap();
    let second = fixture.stage_next(FIRST, &[None, None]);
    let mut seen = Vec::new();
    fixture
        .inventory
        .advance_all(second, |key, slot| seen.push((key, slot.sold())));
    seen.sort_unstable();
    assert_eq!(seen, [(fixture.keys[0], 2), (fixture.keys[1], 0)]);
    assert_eq!(fixture.inventory.len(), 1, "the slot with a sale");
    fixture.inventory.release(reserved, NOW);
    let third = fixture.stage_next(second, &[Some(5), Some(5)]);
    assert_eq!(
        [0, 1].map(|at| fixture.left_by(third, at)),
        [Ok(Some(5)), Ok(Some(5))]
    );
    fixture.inventory.advance_all(third, |_, _| {});
    let fourth = fixture.stage_next(third, &[None, None]);
    fixture.inventory.advance_all(fourth, |_, _| {});
    assert!(fixture.inventory.is_empty());
}

#[test]
fn an_abandoned_staged_revision_leaves_no_trace() {
    let fixture = SlotFixture::with(&[5]);
    let abandoned = fixture.stage_next(FIRST, &[Some(100)]);
    let key = fixture.keys[0];
    fixture.inventory.stage(
        FIRST,
        abandoned.next(),
        &[opening(key, 3)],
        NOW,
        EpochSeconds::MAX,
    );
    fixture.inventory.stage(
        FIRST,
        abandoned.next(),
        &[opening(key, 4)],
        NOW,
        EpochSeconds::MAX,
    );
    assert_eq!(fixture.left_by(abandoned.next(), 0), Ok(Some(7)));
}

#[test]
fn slots_are_opened_for_the_latest_revision_only() {
    let fixture = SlotFixture::with(&[5]);
    let second = fixture.stage_next(FIRST, &[Some(5)]);
    assert_eq!(fixture.left_by(second, 0), Ok(Some(5)));
    let more = [opening(fixture.keys[0], 2)];
    assert_eq!(
        fixture.inventory.open(FIRST, &more, NOW, EpochSeconds::MAX),
        Err(Stale)
    );
    assert_eq!(
        fixture
            .inventory
            .open(second, &more, NOW, EpochSeconds::MAX),
        Ok(1)
    );
    assert_eq!(fixture.left_by(second, 0), Ok(Some(7)));
}

/// Runs threads that sell single spots while revisions with changing allotments are activated without
/// a pause. Returns how many spots were sold, and whether any sale exceeded the allotment of its revision.
fn sell_during_reloads(fixture: &SlotFixture, last: u32) -> (u32, bool) {
    use std::sync::atomic::AtomicBool;
    let active = AtomicU32::new(FIRST.0);
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
    let sell_one = || {
        let revision = Revision(active.load(Ordering::SeqCst));
        let reserved =
            fixture
                .inventory
                .reserve(revision, &fixture.asked(&[0]), CART, NOW, |seen| {
                    let slot = seen[0].expect("every revision has it");
                    let fits = fixture.left(slot, NOW, None) > 0;
                    if fits && slot.sold() >= u64::from(allotment(revision)) {
                        beyond.store(true, Ordering::SeqCst);
                    }
                    fixture.sell_if(fits, &[0], 1)
                });
        if let Ok(Decision::Sell(((), reservation))) = reserved {
            // One order in three fails.
            if got.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) {
                got.fetch_sub(1, Ordering::SeqCst);
                fixture.inventory.release(reservation, NOW);
            } else {
                fixture.inventory.confirm(reservation, NOW);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    sell_one();
                }
            });
        }
        let mut revision = FIRST;
        for _ in 0..last {
            revision = fixture.stage_next(revision, &[Some(allotment(revision.next()))]);
            active.store(revision.0, Ordering::SeqCst);
            fixture.inventory.advance_all(revision, |_, _| {});
        }
        over.store(true, Ordering::SeqCst);
    });
    (got.into_inner(), beyond.into_inner())
}

#[test]
fn no_revision_sells_more_than_its_allotment() {
    let fixture = SlotFixture::with(&[600]);
    let (got, beyond) = sell_during_reloads(&fixture, 3_000);
    assert!(!beyond);
    assert!(got <= 600, "{got} of 600");
    let left = fixture.left_by(Revision(3_000), 0).unwrap().unwrap();
    assert_eq!(got + left, 600);
}

/// The negative control: the next revision is a new inventory, and sales are copied into it while they
/// happen. If this never loses a sale, the test above shows nothing.
#[test]
fn copying_sales_into_a_new_inventory_loses_some() {
    let loses = || {
        let (old, new) = (SlotFixture::with(&[1_000]), SlotFixture::with(&[1_000]));
        let is_copied = AtomicU32::new(0);
        let got = compete(4_000, || {
            let fixture = if is_copied.load(Ordering::SeqCst) == 1 {
                &new
            } else {
                &old
            };
            thread::yield_now();
            let reserved = fixture.reserve(&[0], 1, CART, NOW);
            if old.open_at(0, NOW, None) < 500 && is_copied.swap(1, Ordering::SeqCst) == 0 {
                let sold = 1_000 - old.open_at(0, NOW, None);
                new.inventory.restore(&new.claims(&[0], sold));
            }
            reserved
                .map(|reserved| fixture.inventory.confirm(reserved, NOW))
                .is_some()
        });
        got + new.open_at(0, NOW, None) > 1_000
    };
    assert!((0..100).any(|_| loses()));
}
