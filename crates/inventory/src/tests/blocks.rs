//! Blocks of slots: begun before the record, in force after it, and never forgotten with a catalogue.

use super::{revisions::opening, *};
use domain::slot::BlockedSpots;

fn stage(fixture: &SlotFixture, at: usize, spots: BlockedSpots) -> BlockChange {
    let staged = fixture
        .inventory
        .stage_block(FIRST, fixture.keys[at], spots);
    staged.unwrap().unwrap()
}

#[test]
fn a_block_takes_spots_before_it_is_on_record_and_gives_them_back_after() {
    let fixture = SlotFixture::with(&[5, 5]);
    let open = || fixture.open_at(0, NOW, None);
    let change = stage(&fixture, 0, BlockedSpots::Count(3));
    assert_eq!(open(), 2);
    assert!(fixture.reserve(&[0], 3, CART, NOW).is_none());
    fixture.inventory.revert_block(change);
    assert_eq!(open(), 5);
    let change = stage(&fixture, 0, BlockedSpots::Count(3));
    fixture.inventory.apply_block(change);
    assert_eq!(open(), 2);
    let change = stage(&fixture, 0, BlockedSpots::NONE);
    assert_eq!(open(), 2, "its end is not on record");
    fixture.inventory.apply_block(change);
    assert_eq!(open(), 5);
    assert_eq!(fixture.open_at(1, NOW, None), 5, "another slot");
}

#[test]
fn all_spots_stay_blocked_that_are_given_back() {
    let fixture = SlotFixture::with(&[5]);
    let reservation = fixture.reserve(&[0], 2, CART, NOW).unwrap();
    let change = stage(&fixture, 0, BlockedSpots::All);
    fixture.inventory.apply_block(change);
    fixture.inventory.release(reservation, NOW);
    assert_eq!(fixture.open_at(0, NOW, None), 0);
    assert_eq!(
        fixture.inventory.blocked(fixture.keys[0]),
        BlockedSpots::All
    );
}

#[test]
fn only_a_slot_that_is_open_or_blocked_can_be_blocked() {
    let fixture = SlotFixture::with(&[5]);
    let (key, next) = (fixture.keys[0], FIRST.next());
    let unknown = SlotKey {
        start_sec: START + 100 * HOUR,
        ..key
    };
    let stage = |revision, key, spots| {
        let staged = fixture.inventory.stage_block(revision, key, spots);
        staged.map(|change| change.is_some())
    };
    assert_eq!(stage(FIRST, unknown, BlockedSpots::All), Ok(false));
    let change = self::stage(&fixture, 0, BlockedSpots::All);
    fixture.inventory.apply_block(change);
    // The next catalogue does not have the slot. Its block can still be ended, and with it the slot is gone.
    fixture.inventory.advance_all(next, |_, _| {});
    assert_eq!(stage(FIRST, key, BlockedSpots::NONE), Err(Stale));
    let ended = fixture
        .inventory
        .stage_block(next, key, BlockedSpots::NONE)
        .unwrap()
        .unwrap();
    fixture.inventory.apply_block(ended);
    assert!(fixture.inventory.is_empty());
    assert_eq!(stage(next, key, BlockedSpots::All), Ok(false));
}

#[test]
fn a_restored_block_counts_in_a_slot_that_opens_later_and_not_in_one_that_is_forgotten() {
    let fixture = SlotFixture::with(&[5, 5]);
    let later = SlotKey {
        start_sec: START + 100 * HOUR,
        ..fixture.keys[0]
    };
    fixture.inventory.retire(fixture.keys[1].end_sec());
    fixture
        .inventory
        .restore_block(later, BlockedSpots::Count(2));
    fixture
        .inventory
        .restore_block(fixture.keys[0], BlockedSpots::All);
    assert_eq!(fixture.inventory.len(), 2, "the one that is over is gone");
    fixture
        .inventory
        .open(FIRST, &[opening(later, 3)], NOW, EpochSeconds::MAX)
        .unwrap();
    let left = fixture
        .inventory
        .examine_one(FIRST, later, |slot| fixture.left(slot, NOW, None));
    assert_eq!(left, Ok(Some(1)));
}

#[test]
fn a_block_survives_the_catalogue_under_which_it_was_set() {
    let fixture = SlotFixture::with(&[5]);
    let (key, next) = (fixture.keys[0], FIRST.next());
    let change = stage(&fixture, 0, BlockedSpots::Count(2));
    fixture.inventory.apply_block(change);
    fixture
        .inventory
        .stage(FIRST, next, [opening(key, 9)], NOW, EpochSeconds::MAX);
    fixture.inventory.advance_all(next, |_, _| {});
    let left = |revision| {
        fixture
            .inventory
            .examine_one(revision, key, |slot| fixture.left(slot, NOW, None))
    };
    assert_eq!(left(next), Ok(Some(7)));
    // One that is not on record yet survives it, too.
    let change = fixture
        .inventory
        .stage_block(next, key, BlockedSpots::All)
        .unwrap()
        .unwrap();
    let third = next.next();
    fixture
        .inventory
        .stage(next, third, [opening(key, 4)], NOW, EpochSeconds::MAX);
    fixture.inventory.advance_all(third, |_, _| {});
    assert_eq!(left(third), Ok(Some(0)));
    fixture.inventory.revert_block(change);
    assert_eq!(left(third), Ok(Some(2)));
}

/// Spots are sold one by one while half of them are blocked. Returns how many were sold after the block.
fn sold_beside_a_block(block: impl Fn(&SlotFixture) + Sync) -> (u32, u32) {
    const SPOTS: u32 = 2_000;
    let fixture = SlotFixture::with(&[SPOTS]);
    let (sold, sold_before) = (AtomicU32::new(0), AtomicU32::new(0));
    let start = Barrier::new(3);
    thread::scope(|scope| {
        for number in 0..2_u8 {
            let (fixture, sold, start) = (&fixture, &sold, &start);
            scope.spawn(move || {
                start.wait();
                while let Some(reservation) = fixture.reserve(&[0], 1, CartKey([number; 16]), NOW) {
                    fixture.inventory.confirm(reservation, NOW);
                    sold.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        start.wait();
        while sold.load(Ordering::SeqCst) < SPOTS / 10 {
            thread::yield_now();
        }
        block(&fixture);
        let seen = fixture
            .inventory
            .examine_one(FIRST, fixture.keys[0], Slot::sold);
        let seen = seen.unwrap().unwrap_or_default();
        sold_before.store(seen.try_into().unwrap(), Ordering::SeqCst);
    });
    let limit = sold_before.into_inner().max(SPOTS / 2);
    (sold.into_inner(), limit)
}

#[test]
fn no_sale_beside_a_block_goes_beyond_what_it_leaves() {
    for _ in 0..20 {
        let (sold, limit) = sold_beside_a_block(|fixture| {
            let change = stage(fixture, 0, BlockedSpots::Count(1_000));
            fixture.inventory.apply_block(change);
        });
        assert!(sold <= limit, "{sold} sold, and {limit} were left at most");
    }
}

/// The negative control: a block that is told of and not in force is found out.
#[test]
fn a_block_that_comes_too_late_is_found_out() {
    let mut rounds = 0..200;
    // A sale may be through before the block is told of.
    let is_found = rounds.any(|_| {
        let (sold, limit) = sold_beside_a_block(|_| {});
        sold > limit
    });
    assert!(is_found);
}
