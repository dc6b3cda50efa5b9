//! An index of slots finds what is in it, and other bytes are no index.

use super::*;

const SEED: u64 = 0x5eed;

fn bounds() -> SegmentBounds {
    SegmentBounds {
        segment: 7,
        first_sequence: 100,
        last_sequence: 900,
        chain_hash: [3; 16],
    }
}

fn entry(start_sec: i64, service: u32, offset: u64) -> SlotEntry {
    SlotEntry {
        slot: SlotKey {
            start_sec: EpochSeconds::new(start_sec),
            service: ServiceTag(service),
        },
        position: Position::new(7, offset).unwrap(),
    }
}

/// Some slots, out of order, one of them before 1970, and an order that is at two of them.
fn entries() -> Vec<SlotEntry> {
    vec![
        entry(1_000, 1, 800),
        entry(1_000, 2, 160),
        entry(-5, 1, 320),
        entry(1_000, 1, 240),
        entry(2_000, 1, 240),
        entry(2_000, 2, 400),
    ]
}

fn range(from: i64, until: i64, service: Option<u32>) -> SlotRange {
    SlotRange {
        from: EpochSeconds::new(from),
        until: EpochSeconds::new(until),
        service: service.map(ServiceTag),
    }
}

fn offsets(found: Option<Vec<Position>>) -> Option<Vec<u64>> {
    found.map(|found| found.into_iter().map(Position::offset).collect())
}

#[test]
fn a_range_finds_each_of_its_orders_once_and_oldest_first_on_disk_and_in_memory() {
    let bytes = SlotIndex::new(bounds(), entries()).encode(SEED);
    let recent = RecentSlots::default();
    recent.add(entries().into_iter());
    for (range, expected) in [
        (range(1_000, 1_001, None), vec![160, 240, 800]),
        (range(1_000, 1_001, Some(1)), vec![240, 800]),
        (range(1_000, 2_001, Some(1)), vec![240, 800]),
        (
            range(i64::MIN, i64::MAX, None),
            vec![160, 240, 320, 400, 800],
        ),
        (range(-5, 0, None), vec![320]),
        (range(1_001, 2_000, None), vec![]),
        (range(2_000, 2_001, Some(3)), vec![]),
        (range(2_001, i64::MAX, None), vec![]),
        (range(2_000, 1_000, None), vec![]),
    ] {
        let on_disk = SlotIndex::search(&bytes, SEED, &bounds(), &range);
        assert_eq!(offsets(on_disk).as_ref(), Some(&expected), "{range:?}");
        let in_memory = recent.search(7, &range);
        assert_eq!(offsets(in_memory), Some(expected), "{range:?}");
    }
    let all = range(i64::MIN, i64::MAX, None);
    assert_eq!(recent.search(6, &all), None);
    recent.forget(7);
    assert_eq!(recent.search(7, &all), None);
}

#[test]
fn a_segment_without_orders_has_an_empty_index() {
    let bytes = SlotIndex::new(bounds(), Vec::new()).encode(SEED);
    let all = range(i64::MIN, i64::MAX, None);
    assert_eq!(
        SlotIndex::search(&bytes, SEED, &bounds(), &all),
        Some(Vec::new())
    );
}

#[test]
fn the_sequence_of_the_orders_makes_no_difference() {
    let mut reversed = entries();
    reversed.reverse();
    assert_eq!(
        SlotIndex::new(bounds(), reversed).encode(SEED),
        SlotIndex::new(bounds(), entries()).encode(SEED),
    );
}

#[test]
fn other_bytes_another_state_and_another_seed_are_no_index() {
    let bytes = SlotIndex::new(bounds(), entries()).encode(SEED);
    let all = range(i64::MIN, i64::MAX, None);
    let found = |bytes: &[u8], seed, bounds| SlotIndex::search(bytes, seed, &bounds, &all);
    for length in 0..bytes.len() {
        assert_eq!(found(&bytes[..length], SEED, bounds()), None, "{length}");
    }
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert_eq!(found(&flipped, SEED, bounds()), None, "{at}");
    }
    assert_eq!(found(&[&bytes[..], &[0]].concat(), SEED, bounds()), None);
    assert_eq!(found(&bytes, SEED + 1, bounds()), None);
    for other in [
        SegmentBounds {
            segment: 8,
            ..bounds()
        },
        SegmentBounds {
            last_sequence: 899,
            ..bounds()
        },
        SegmentBounds {
            chain_hash: [4; 16],
            ..bounds()
        },
    ] {
        assert_eq!(found(&bytes, SEED, other), None, "{other:?}");
    }
    assert!(found(&bytes, SEED, bounds()).is_some());
}
