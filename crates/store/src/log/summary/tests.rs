//! A summary comes back from its bytes whole, and from other bytes not at all.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::*;
use crate::log::fact::random_log::random_log;

const SEED: u64 = 0x5eed;

fn summary_of(segment: u64, facts: &[Fact]) -> Summary {
    let mut builder = SummaryBuilder::default();
    for fact in facts {
        builder.add(fact);
    }
    builder.finish(SegmentBounds {
        segment,
        first_sequence: segment * 1_000,
        last_sequence: segment * 1_000 + 999,
        chain_hash: [segment.to_le_bytes()[0]; CHAIN_HASH_BYTES],
    })
}

/// Summaries of the segments of a random log.
fn summaries(seed: u64) -> Vec<Summary> {
    let log = random_log(seed);
    (1..)
        .zip(&log)
        .map(|(segment, facts)| summary_of(segment, facts))
        .collect()
}

/// A summary with something in each of its lists.
fn full_summary() -> Summary {
    let is_full = |summary: &Summary| {
        let SegmentEffects {
            entries,
            work,
            sums,
            ..
        } = &summary.effects;
        let holds: Vec<_> = work.holds.values().collect();
        !entries.is_empty()
            && !work.intents.is_empty()
            && !work.ended_payments.is_empty()
            && holds.iter().any(|hold| hold.placed.is_some())
            && holds.iter().any(|hold| hold.end.is_some())
            && !sums.prices.is_empty()
            && sums.slots_forgotten_until.is_some()
            && sums.claims.totals().len() > 0
    };
    (0..1_000).flat_map(summaries).find(is_full).unwrap()
}

#[test]
fn a_summary_comes_back_from_its_bytes() {
    for seed in testkit::seeds::seeds(200) {
        for summary in summaries(seed) {
            let bytes = summary.encode(SEED);
            let decoded = Summary::decode(&bytes, SEED, summary.bounds.segment).unwrap();
            assert_eq!(decoded.bounds, summary.bounds);
            let (found, written) = (&decoded.effects, &summary.effects);
            assert_eq!(found.entries, written.entries, "seed {seed}");
            assert_eq!(found.times, written.times, "seed {seed}");
            assert_eq!(found.work, written.work, "seed {seed}");
            assert_eq!(found.sums.prices, written.sums.prices, "seed {seed}");
            assert_eq!(
                found.sums.slots_forgotten_until,
                written.sums.slots_forgotten_until
            );
            assert!(found.sums.claims.ids().eq(written.sums.claims.ids()));
            assert!(found.sums.claims.totals().eq(written.sums.claims.totals()));
        }
    }
}

#[test]
fn a_summary_is_a_function_of_the_records() {
    for seed in testkit::seeds::seeds(20) {
        for (one, other) in summaries(seed).iter().zip(summaries(seed)) {
            assert_eq!(one.encode(SEED), other.encode(SEED));
        }
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let summary = full_summary();
    let segment = summary.bounds.segment;
    let mut bytes = summary.encode(SEED);
    for at in 0..bytes.len() {
        assert!(
            Summary::decode(&bytes[..at], SEED, segment).is_none(),
            "cut at {at}"
        );
        for bit in 0..u8::BITS {
            bytes[at] ^= 1 << bit;
            let decoded = Summary::decode(&bytes, SEED, segment);
            assert!(decoded.is_none(), "bit {bit} of byte {at}");
            bytes[at] ^= 1 << bit;
        }
    }
    assert!(Summary::decode(&bytes, SEED, segment).is_some());
    bytes.push(0);
    assert!(Summary::decode(&bytes, SEED, segment).is_none());
}

#[test]
fn the_summary_of_another_store_or_segment_is_none() {
    let summary = full_summary();
    let segment = summary.bounds.segment;
    let bytes = summary.encode(SEED);
    assert!(Summary::decode(&bytes, SEED + 1, segment).is_none());
    assert!(Summary::decode(&bytes, SEED, segment + 1).is_none());
}

/// Changes bytes and puts the right checksum behind them, so that the checks behind the checksum are reached: what is
/// decoded after all is exactly what the bytes say.
#[test]
fn bytes_with_a_right_checksum_are_decoded_strictly() {
    let summary = full_summary();
    let segment = summary.bounds.segment;
    let bytes = summary.encode(SEED);
    let content = &bytes[..bytes.len() - size_of::<u128>()];
    let mut accepted = 0;
    for seed in testkit::seeds::seeds(5_000) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut changed = content.to_vec();
        for _ in 0..random.u32(1..3) {
            let at = random.usize(0..changed.len());
            let byte = random.u8(..);
            changed[at] = random.choice([0, 1, 2, 3, 0xff, byte]).unwrap();
        }
        let checksum = xxh3_128_with_seed(&changed, SEED);
        changed.extend(checksum.to_le_bytes());
        if let Some(decoded) = Summary::decode(&changed, SEED, segment) {
            accepted += 1;
            assert_eq!(decoded.encode(SEED), changed, "seed {seed}");
        }
    }
    // Numbers may have any value; otherwise nothing was tried.
    assert!(accepted > 0);
}
