//! Ended holds against a list of all of them, and in bytes.

use domain::time::Seconds;
use fastrand::Rng;

use super::*;
use crate::{
    ReleaseReason,
    log::{fact::random_log::NOW, position::ALIGNMENT},
};

const KINDS: [HoldEndKind; 3] = [
    HoldEndKind::Consumed,
    HoldEndKind::Released(ReleaseReason::Released),
    HoldEndKind::Released(ReleaseReason::Expired),
];

fn second(later: i64) -> EpochSeconds {
    NOW.saturating_add(Seconds::new(later))
}

fn position(number: u64) -> Position {
    let (segment, record) = (1 + number / 100_000, number % 100_000);
    Position::new(segment, 4096 + record * ALIGNMENT).unwrap()
}

/// Ids of which some begin alike.
fn id(random: &mut Rng) -> HoldId {
    let mut id = [0; 16];
    id[7] = random.u8(..40);
    id[15] = random.u8(..3);
    HoldId(id)
}

fn id_of(number: u64) -> HoldId {
    HoldId(u128::from(number).rotate_left(64).to_be_bytes())
}

fn end(random: &mut Rng) -> HoldEnd {
    HoldEnd {
        // The clock goes back and forth.
        ended_sec: second(random.i64(-50..50)),
        kind: random.choice(KINDS).unwrap(),
    }
}

fn found(holds: &EndedHolds, id: HoldId) -> Vec<(Position, HoldEnd)> {
    let candidates = holds.candidates(id).into_iter();
    let mut found: Vec<_> = candidates.map(|hold| hold.parts().unwrap()).collect();
    found.retain(|(_, end)| !holds.is_forgotten(*end));
    found
}

#[test]
fn the_ends_of_a_hold_are_found_newest_first_unless_they_are_forgotten() {
    for seed in testkit::seeds::seeds(5) {
        let mut random = Rng::with_seed(seed);
        let (mut holds, mut all) = (EndedHolds::default(), Vec::new());
        for number in 0..CHUNK as u64 * 3 + random.u64(..CHUNK as u64) {
            let (id, end) = (id(&mut random), end(&mut random));
            holds.add(id, position(number), end);
            all.push((id, position(number), end));
        }
        for later in [-100, -50, 0, 49] {
            let since = second(later);
            holds.forget_before(since);
            let asked = id(&mut random);
            let mut expected = Vec::new();
            for (id, position, end) in all.iter().rev() {
                if prefix(*id) == prefix(asked) && end.ended_sec >= since {
                    expected.push((*position, *end));
                }
            }
            assert_eq!(found(&holds, asked), expected, "seed {seed}, since {later}");
        }
        holds.forget_before(second(50));
        assert!(found(&holds, id(&mut random)).is_empty());
        assert!(holds.chunks.is_empty(), "their memory is given back");
    }
}

#[test]
fn a_chunk_of_a_clock_ahead_of_time_keeps_no_other_and_goes_when_its_time_has_come() {
    let mut holds = EndedHolds::default();
    let mut random = Rng::with_seed(1);
    for ahead in [86_400, 0, 0] {
        for number in 0..CHUNK as u64 {
            let ended_sec = second(ahead);
            let kind = KINDS[0];
            holds.add(
                id(&mut random),
                position(number),
                HoldEnd { ended_sec, kind },
            );
        }
    }
    for (later, left) in [(0, 3), (1, 1), (86_400, 1), (86_401, 0)] {
        holds.forget_before(second(later));
        assert_eq!(holds.chunks.len(), left, "{later}");
    }
}

#[test]
fn an_ended_hold_takes_24_bytes_and_all_together_take_no_more_than_their_limit() {
    assert_eq!(size_of::<EndedHold>(), 24);
    let mut random = Rng::with_seed(1);
    let mut holds = EndedHolds::default();
    let mut number = 0;
    for (until, counted) in [
        (1 << 18, 1 << 18),
        (ENDED_HOLDS_MAX + (1 << 18), ENDED_HOLDS_MAX),
    ] {
        let mut last = id_of(0);
        while number < until {
            // In ascending order, so that a chunk is sorted at once.
            last = id_of(number as u64);
            holds.add(last, position(number as u64), end(&mut random));
            number += 1;
        }
        let bytes = holds.allocated_bytes();
        assert!(bytes < 25 * counted, "{bytes} bytes of {counted} holds");
        assert_eq!(found(&holds, last).len(), 1);
    }
    assert!(
        found(&holds, id_of(0)).is_empty(),
        "the oldest is forgotten"
    );
}
