//! Summaries fold to what the records fold to, one by one.

use std::{
    collections::HashMap,
    sync::{Barrier, mpsc},
};

use super::*;
use crate::{
    HOLD_RETENTION, HoldId, NamedClaim, ReleaseReason,
    log::{
        fact::random_log::{
            NOW, block_keys, hold_ids, last_ends, order_keys, random_log, user_keys,
        },
        open_work::{HoldPlacement, TrackedHold},
        position::Position,
        summary::{CHAIN_HASH_BYTES, SegmentBounds, SummaryBuilder},
    },
};

mod figures;

const SEED: u64 = 0x5eed;

fn summary_bytes(segment: u64, facts: &[Fact]) -> Vec<u8> {
    let mut builder = SummaryBuilder::default();
    for fact in facts {
        builder.add(fact);
    }
    let bounds = SegmentBounds {
        segment,
        first_sequence: 1,
        last_sequence: 1,
        chain_hash: [0; CHAIN_HASH_BYTES],
    };
    builder.finish(bounds, 0).summary.encode(SEED)
}

/// The log folded record by record.
fn fold_records(log: &[Vec<Fact>]) -> Folded {
    let mut fold = Fold::new(NOW);
    for fact in log.iter().flatten() {
        fold.add(fact);
    }
    fold.finish()
}

/// The log folded by summaries of its first segments, then record by record.
fn fold_summaries(log: &[Vec<Fact>], sealed: usize) -> Folded {
    let (sealed, tail) = log.split_at(sealed);
    let summaries: Vec<_> = (1..)
        .zip(sealed)
        .map(|(segment, facts)| summary_bytes(segment, facts))
        .collect();
    let mut fold = Fold::new(NOW);
    let segments = 1..=u64::try_from(summaries.len()).unwrap();
    fold.add_summaries(2, segments, |segment| {
        let bytes = &summaries[usize::try_from(segment).unwrap() - 1];
        Summary::decode(bytes, SEED, segment).ok_or(segment)
    })
    .unwrap();
    for fact in tail.iter().flatten() {
        fold.add(fact);
    }
    fold.finish()
}

fn counts(folded: &Folded) -> HashMap<NamedClaim, u32> {
    let mut counts = HashMap::new();
    for claim in folded.sums.claims.clone().into_claims() {
        let count = claim.count;
        let earlier = counts.insert(NamedClaim { count: 0, ..claim }, count);
        assert_eq!(earlier, None, "one total a slot and ticket type");
    }
    counts
}

fn last(folded: &Folded, id: HoldId) -> Option<TrackedHold> {
    let last = folded.open_work.find_hold(id).into_iter().next();
    last.filter(|hold| hold.state.is_some())
}

fn assert_equal(one: &Folded, other: &Folded, context: &str) {
    for key in order_keys() {
        let (found, expected) = (one.index.candidates(&key), other.index.candidates(&key));
        assert_eq!(found, expected, "{context}");
    }
    for user in user_keys() {
        assert_eq!(
            one.index.newest(&user),
            other.index.newest(&user),
            "{context}"
        );
    }
    for id in hold_ids() {
        // As it was placed last: of earlier ends only records know that are folded one by one.
        assert_eq!(last(one, id), last(other, id), "{context}");
    }
    for key in block_keys() {
        assert_eq!(
            one.open_work.newest_block(&key),
            other.open_work.newest_block(&key),
            "{context}"
        );
    }
    let rest = |folded: &Folded| {
        (
            folded.index.orders(),
            folded.index.latest_created_sec(),
            folded
                .index
                .segments_between(EpochSeconds::MIN, EpochSeconds::MAX),
            folded.open_work.pending_intents(),
            folded.open_work.active_holds(),
            folded.open_work.blocks_in_force(),
            counts(folded),
            folded.sums.prices.clone(),
            folded.sums.slots_forgotten_until,
        )
    };
    assert_eq!(rest(one), rest(other), "{context}");
}

#[test]
fn summaries_fold_to_what_their_records_fold_to_wherever_the_log_is_cut() {
    for seed in testkit::seeds::seeds(60) {
        let log = random_log(seed);
        let expected = fold_records(&log);
        for sealed in 0..=log.len() {
            let folded = fold_summaries(&log, sealed);
            assert_equal(&folded, &expected, &format!("seed {seed}, {sealed} sealed"));
            for (key, position) in last_ends(log.iter().flatten()) {
                let ended = folded.open_work.ended_payments(&key);
                assert!(ended.contains(&position), "seed {seed}, {sealed} sealed");
            }
        }
    }
}

fn prices(segment: u64) -> Fact {
    let position = Position::new(segment, 4096).unwrap();
    Fact::Prices { position }
}

#[test]
fn segments_are_folded_in_their_order_whichever_is_loaded_first() {
    let (third_began, wait_for_third) = mpsc::channel();
    let wait_for_third = Mutex::new(wait_for_third);
    let mut fold = Fold::new(NOW);
    fold.add_summaries(2, 1..=5, |segment| {
        // One thread has the first segment until the other has folded the second.
        match segment {
            1 => wait_for_third.lock().unwrap().recv().unwrap(),
            3 => third_began.send(()).unwrap(),
            _ => {}
        }
        Summary::decode(&summary_bytes(segment, &[prices(segment)]), SEED, segment).ok_or(())
    })
    .unwrap();
    let positions = fold.finish().sums.prices;
    let segments: Vec<u64> = positions
        .iter()
        .map(|position| position.segment())
        .collect();
    assert_eq!(segments, [1, 2, 3, 4, 5]);
}

#[test]
fn holds_that_ended_long_ago_are_left_out() {
    let id = hold_ids()[0];
    let placement = HoldPlacement {
        position: Position::new(1, 4096).unwrap(),
        revision: 1,
        expires_sec: NOW,
    };
    let retention = HOLD_RETENTION.get();
    for (seconds_ago, is_kept) in [(retention, true), (retention + 1, false)] {
        let released = Fact::HoldReleased {
            id,
            released_sec: EpochSeconds::new(NOW.get() - seconds_ago),
            reason: ReleaseReason::Released,
        };
        let log = [vec![Fact::HoldPlaced { id, placement }, released]];
        for folded in [fold_records(&log), fold_summaries(&log, 1)] {
            assert_eq!(last(&folded, id).is_some(), is_kept, "{seconds_ago}");
        }
    }
}

#[test]
fn a_segment_that_cannot_be_loaded_ends_the_fold_with_its_error() {
    for damaged in [1, 2, 30, 60] {
        let mut fold = Fold::new(NOW);
        let result = fold.add_summaries(2, 1..=60, |segment| {
            if segment == damaged {
                return Err(segment);
            }
            Summary::decode(&summary_bytes(segment, &[]), SEED, segment).ok_or(0)
        });
        assert_eq!(result, Err(damaged));
    }
}

#[test]
fn an_error_of_either_thread_is_returned() {
    let here = thread::current().id();
    for fails_here in [false, true] {
        // Each thread loads one of the two segments, so both have begun.
        let both = Barrier::new(2);
        let result = Fold::new(NOW).add_summaries(2, 1..=2, |segment| {
            both.wait();
            if (thread::current().id() == here) == fails_here {
                return Err("unreadable");
            }
            Summary::decode(&summary_bytes(segment, &[]), SEED, segment).ok_or("damaged")
        });
        assert_eq!(result, Err("unreadable"));
    }
}
