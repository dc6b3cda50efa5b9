//! A summary comes back from its bytes whole, and from other bytes not at all.

use fastrand::Rng;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::*;
use crate::log::fact::random_log::random_log;

const SEED: u64 = 0x5eed;

fn summary_of(segment: u64, facts: &[Fact]) -> Summary {
    let mut builder = SummaryBuilder::default();
    for fact in facts {
        builder.add(fact);
    }
    let bounds = SegmentBounds {
        segment,
        first_sequence: segment * 1_000,
        last_sequence: segment * 1_000 + 999,
        chain_hash: [segment.to_le_bytes()[0]; CHAIN_HASH_BYTES],
    };
    builder.finish(bounds, segment * 5_000).summary
}

/// Summaries of the segments of a random log.
fn summaries(seed: u64) -> Vec<Summary> {
    let log = random_log(seed);
    (1..)
        .zip(&log)
        .map(|(segment, facts)| summary_of(segment, facts))
        .collect()
}

/// A summary with more than one row in each of its lists, and with neighbours of equal length among its ids.
fn full_summary() -> Summary {
    let is_full = |summary: &Summary| {
        let SegmentEffects {
            entries,
            work,
            sums,
            ..
        } = &summary.effects;
        let holds: Vec<_> = work.holds.values().collect();
        let ids: Vec<_> = sums.claims.ids().map(str::len).collect();
        entries.len() > 1
            && work.intents.len() > 1
            && work.ended_payments.len() > 1
            && holds.iter().any(|hold| hold.placed.is_some())
            && holds.iter().any(|hold| hold.end.is_some())
            && work.erasures.len() > 1
            && work.blocks.len() > 1
            && sums.prices.len() > 1
            && sums.slots_forgotten_until.is_some()
            && sums.claims.totals().len() > 1
            && ids.windows(2).any(|lengths| lengths == [5, 5])
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
            assert_eq!(decoded.end, summary.end);
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

/// What is decoded of a content with the right checksum behind it. If it is anything, it is exactly what the bytes say.
fn decode_content(content: &[u8], segment: u64) -> Option<Summary> {
    let checksum = xxh3_128_with_seed(content, SEED);
    let bytes = [content, checksum.to_le_bytes().as_slice()].concat();
    let decoded = Summary::decode(&bytes, SEED, segment)?;
    assert_eq!(decoded.encode(SEED), bytes);
    let entries = &decoded.effects.entries;
    assert!(entries.is_sorted_by(|one, next| one.position < next.position));
    Some(decoded)
}

fn content_of(summary: &Summary) -> Vec<u8> {
    let mut content = summary.encode(SEED);
    content.truncate(content.len() - size_of::<u128>());
    content
}

#[test]
fn changed_bytes_are_decoded_strictly_also_with_a_right_checksum() {
    let summary = full_summary();
    let mut accepted = 0;
    for seed in testkit::seeds::seeds(3_000) {
        let mut random = Rng::with_seed(seed);
        let mut content = content_of(&summary);
        for _ in 0..random.u32(1..3) {
            let at = random.usize(0..content.len());
            let byte = random.u8(..);
            content[at] = random.choice([0, 1, 2, 3, 0xff, byte]).unwrap();
        }
        accepted += usize::from(decode_content(&content, summary.bounds.segment).is_some());
    }
    // Numbers may have any value; otherwise nothing was tried.
    assert!(accepted > 0);
}

/// Rows that are exchanged, and rows that are there twice.
#[test]
fn lists_are_sorted_and_without_repetition_also_with_a_right_checksum() {
    let summary = full_summary();
    let (segment, content) = (summary.bounds.segment, content_of(&summary));
    // The lengths of orders, of keys with a number, of totals, of blocks, of offsets, of erasures and of ids with five
    // letters.
    for length in [12, 20, 28, 29, 4, 9] {
        for at in 0..content.len() - 2 * length {
            let (mut swapped, mut repeated) = (content.clone(), content.clone());
            let (first, second) = swapped[at..at + 2 * length].split_at_mut(length);
            first.swap_with_slice(second);
            repeated.copy_within(at..at + length, at + length);
            for changed in [swapped, repeated] {
                decode_content(&changed, segment);
            }
        }
    }
}
