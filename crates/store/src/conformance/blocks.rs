//! Blocks of slots: the last one of a slot counts, and those before it are still found.

use std::ops::ControlFlow;

use super::{StoreHome, driver::Driver};
use crate::{NamedSlot, RequestAnswer, SlotBlock, UnitOfWork, Write};
use domain::{slot::BlockedSpots, time::EpochSeconds};

/// A slot of an hour.
pub(super) fn slot(start_sec: i64) -> NamedSlot {
    NamedSlot {
        start_sec: EpochSeconds::new(start_sec),
        merchant_id: "museum".into(),
        service_id: "entry".into(),
        duration_sec: 3_600.into(),
    }
}

fn block(slot: NamedSlot, number: u32, spots: BlockedSpots) -> SlotBlock {
    SlotBlock {
        slot,
        spots,
        reason: format!("reason {number}"),
        actor: number.is_multiple_of(2).then(|| "ada".into()),
        blocked_sec: EpochSeconds::new(i64::from(number)),
        answer: (number > 0).then(|| RequestAnswer {
            request_id: number.to_string(),
            fingerprint: [7; 32],
        }),
    }
}

fn write(block: &SlotBlock) -> Write {
    Write::Blocked(Box::new(block.clone()))
}

fn recovered(driver: &mut Driver<'_>) -> Option<Vec<SlotBlock>> {
    let mut blocks = driver.reopen()?.blocks.clone();
    blocks.sort_by(|one, other| one.slot.cmp(&other.slot));
    Some(blocks)
}

pub(super) fn the_last_block_of_a_slot_is_recovered(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    // Slots that differ in one thing only.
    let one = slot(1_000_000);
    let longer = NamedSlot {
        duration_sec: 7_200.into(),
        ..one.clone()
    };
    let of_another = NamedSlot {
        service_id: "tour".into(),
        ..one.clone()
    };
    let mut expected = Vec::new();
    for (slot, spots) in [
        (one.clone(), vec![BlockedSpots::All, BlockedSpots::Count(2)]),
        (longer, vec![BlockedSpots::Count(3), BlockedSpots::All]),
        (of_another, vec![BlockedSpots::All, BlockedSpots::NONE]),
        (
            slot(2_000_000),
            vec![BlockedSpots::NONE, BlockedSpots::Count(9)],
        ),
        (slot(3_000_000), vec![BlockedSpots::Count(1)]),
    ] {
        let mut last = None;
        for (number, spots) in (0..).zip(spots) {
            let next = block(slot.clone(), number, spots);
            driver.commit(write(&next));
            last = Some(next);
        }
        expected.extend(last.filter(|last| last.spots.is_any()));
    }
    expected.sort_by(|one, other| one.slot.cmp(&other.slot));
    let Some(found) = recovered(&mut driver) else {
        return;
    };
    assert_eq!(found, expected);
    // Two of one unit, and one that ends what was recovered.
    let last = block(slot(4_000_000), 1, BlockedSpots::All);
    let ended = block(one.clone(), 5, BlockedSpots::NONE);
    let unit = UnitOfWork::write(write(&block(slot(4_000_000), 0, BlockedSpots::Count(1))))
        .and(write(&last))
        .and(write(&ended));
    driver.commit(unit);
    expected.retain(|block| block.slot != one);
    expected.push(last);
    assert_eq!(recovered(&mut driver), Some(expected));
}

pub(super) fn a_history_of_blocks_is_whole_and_newest_first(home: &dyn StoreHome) {
    const BLOCKS: u32 = 9;
    let mut driver = Driver::open(home);
    let (one, other) = (slot(1_000_000), slot(2_000_000));
    for number in 0..BLOCKS {
        // Both in one unit: a block is led to that is not durable yet.
        let both = [&one, &other].map(|slot| {
            let spots = BlockedSpots::Count(number % 3);
            block(slot.clone(), number, spots)
        });
        driver.commit(UnitOfWork::write(write(&both[0])).and(write(&both[1])));
    }
    let assert_whole = |driver: &Driver<'_>| {
        for slot in [&one, &other] {
            let newest_first = (0..BLOCKS).rev();
            let expected: Vec<_> = newest_first
                .map(|number| block(slot.clone(), number, BlockedSpots::Count(number % 3)))
                .collect();
            assert_eq!(driver.blocks(slot), expected);
        }
        assert_eq!(driver.blocks(&slot(3_000_000)), []);
        let mut taken = 0;
        let take = &mut |_| {
            taken += 1;
            assert!(taken <= 2, "a block after the last that is wanted");
            match taken {
                2 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        };
        driver.store().block_history(&one, take).unwrap();
        assert_eq!(taken, 2);
    };
    assert_whole(&driver);
    if driver.reopen().is_some() {
        assert_whole(&driver);
    }
}

pub(super) fn blocks_of_forgotten_slots_are_forgotten(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let (past, last, future) = (slot(1_000), slot(2_000), slot(3_000));
    for slot in [&past, &last, &future] {
        driver.commit(write(&block(slot.clone(), 1, BlockedSpots::All)));
    }
    // The end of the second one is the first second that is not forgotten.
    driver.commit(Write::SlotsForgotten(last.end_sec()));
    driver.commit(Write::SlotsForgotten(EpochSeconds::new(0)));
    // Too late.
    driver.commit(write(&block(past.clone(), 2, BlockedSpots::Count(1))));
    let assert_known = |driver: &Driver<'_>| {
        assert_eq!(driver.blocks(&past), []);
        assert_eq!(driver.blocks(&last).len(), 1);
        assert_eq!(driver.blocks(&future).len(), 1);
    };
    assert_known(&driver);
    let expected = [&last, &future].map(|slot| block(slot.clone(), 1, BlockedSpots::All));
    if let Some(found) = recovered(&mut driver) {
        assert_eq!(found, expected);
        assert_known(&driver);
    }
}
