//! How long a start takes with millions of orders, and how much memory they take.
//!
//! Run in a release build: `cargo test --release -p boxoffice-store -- --ignored --nocapture figures`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it measures, and shows what it measured"
)]

use std::{
    fs,
    time::{Duration, Instant},
};

use domain::time::Seconds;
use fastrand::Rng;

use super::*;
use crate::{
    HoldId,
    log::{
        fact::OrderFact,
        index::{OrderEntry, PREFIX_BYTES, PendingEntries},
        open_work::HoldPlacement,
        position::{ALIGNMENT, Position},
    },
    order_key::{KEY_BYTES, OrderKey, SlotKeys, UserKey},
};

const ORDERS_PER_SEGMENT: u64 = 75_000;

/// What comes with each order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sale {
    /// Nothing.
    Plain,
    /// A hold that it consumes, and a payment.
    HeldAndPaid,
}

fn position(segment: u64, record: u64) -> Position {
    Position::new(segment, 4096 + record * ALIGNMENT).unwrap()
}

/// The summary of a full segment: orders of users who come about twice, each for two ticket types of 20,000 slots in all,
/// of which a segment has a tenth.
fn segment_bytes(segment: u64, users: u128, sale: Sale) -> Vec<u8> {
    let mut random = Rng::with_seed(segment);
    let mut facts = Vec::new();
    for order in 0..ORDERS_PER_SEGMENT {
        let position = position(segment, order);
        let key = OrderKey(random.u128(..).to_le_bytes());
        let id = HoldId(key.0);
        let created_sec = EpochSeconds::new(NOW.get() - 100 * 86_400);
        if sale == Sale::HeldAndPaid {
            let placement = HoldPlacement {
                position,
                revision: 1,
                expires_sec: created_sec.saturating_add(Seconds::new(600)),
            };
            facts.push(Fact::HoldPlaced { id, placement });
            facts.push(Fact::PaymentIntent { key, position });
        }
        let slot = segment * 150 + random.u64(0..2_000);
        facts.push(Fact::OrderPlaced(OrderFact {
            key,
            user: Some(user(random.u128(0..users))),
            position,
            created_sec,
            slots: SlotKeys::new(),
            claims: ["adult", "child"].map(|ticket| claim(slot, ticket)).into(),
            consumes: (sale == Sale::HeldAndPaid).then_some(id),
            ends_intent: sale == Sale::HeldAndPaid,
            begun: None,
        }));
    }
    summary_bytes(segment, &facts)
}

/// Keys that are spread as hashes are.
fn user(number: u128) -> UserKey {
    UserKey(
        Rng::with_seed(u64::try_from(number).unwrap())
            .u128(..)
            .to_le_bytes(),
    )
}

fn claim(slot: u64, ticket: &str) -> NamedClaim {
    NamedClaim {
        merchant_id: format!("merchant-{}", slot % 10).into(),
        service_id: format!("service-{}", slot % 50).into(),
        start_sec: EpochSeconds::new(i64::try_from(slot).unwrap() * 900),
        duration_sec: 900.into(),
        ticket_id: Some(ticket.into()),
        count: 2,
    }
}

#[test]
#[ignore = "it measures, in a release build"]
fn figures_of_a_start() {
    for (segments, sale) in [
        (14, Sale::Plain),
        (133, Sale::Plain),
        (133, Sale::HeldAndPaid),
    ] {
        let orders = segments * ORDERS_PER_SEGMENT;
        let summaries: Vec<_> = (1..=segments)
            .map(|segment| segment_bytes(segment, u128::from(orders) / 2, sale))
            .collect();
        let bytes: usize = summaries.iter().map(Vec::len).sum();
        for _ in 0..3 {
            let (began, cpu_before) = (Instant::now(), cpu_time());
            let folded = fold_all(&summaries);
            let (elapsed, cpu) = (began.elapsed(), cpu_time().saturating_sub(cpu_before));
            assert_eq!(folded.index.orders(), orders);
            println!(
                "{orders} orders, {sale:?}: {} MB of summaries folded in {elapsed:?}, {cpu:?} of processors; {} MB of index",
                bytes / 1_000_000,
                folded.index.allocated_bytes() / 1_000_000
            );
        }
    }
}

/// Time of all processors together. On a busy machine it says more than the time that passed.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    // User and system time, in hundredths of a second.
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    Duration::from_millis(
        10 * ticks
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum::<u64>(),
    )
}

fn fold_all(summaries: &[Vec<u8>]) -> Folded {
    let mut fold = Fold::new(NOW);
    let segments = 1..=u64::try_from(summaries.len()).unwrap();
    fold.add_summaries(2, segments, |segment| {
        let bytes = &summaries[usize::try_from(segment).unwrap() - 1];
        Summary::decode(bytes, SEED, segment).ok_or(())
    })
    .unwrap();
    fold.finish()
}

/// Batches of 64 orders of new users, up to 8 million orders.
#[test]
#[ignore = "it measures, in a release build"]
fn figures_of_publishing() {
    const BATCH: u64 = 64;
    let index = Index::default();
    let mut random = Rng::with_seed(1);
    let mut times = Vec::new();
    for batch in 0..8_000_000 / BATCH {
        let mut pending = PendingEntries::default();
        let keys: Vec<_> = (0..BATCH)
            .map(|_| (random.u128(..).to_le_bytes(), random.u128(..).to_le_bytes()))
            .collect();
        let began = Instant::now();
        for (record, (key, user)) in (0..).zip(&keys) {
            let position = position(batch / 1_000 + 1, batch % 1_000 * BATCH + record);
            pending.add(&index, OrderKey(*key), &UserKey(*user), position, NOW);
        }
        index.publish(&pending);
        times.push(began.elapsed());
    }
    times.sort();
    let part = |thousandths| times[times.len() * thousandths / 1_000];
    println!(
        "a batch of {BATCH}: median {:?}, 99 % {:?}, 99.9 % {:?}, slowest {:?}",
        part(500),
        part(990),
        part(999),
        times.last()
    );
}

/// What a growing shard costs the writer: the fastest of several, because others are interrupted.
#[test]
#[ignore = "it measures, in a release build"]
fn figures_of_growth() {
    for entries in [7_u32 << 12, 7 << 14] {
        let mut fastest = Duration::MAX;
        for _ in 0..20 {
            let index = Index::default();
            let insert = |number: u32| {
                // All in one shard, spread and distinct.
                let tag = number.wrapping_mul(0x9e_3779) & 0xff_ffff;
                let mut key = [0; KEY_BYTES];
                key[..PREFIX_BYTES].copy_from_slice(&tag.to_be_bytes());
                let position = position(1, number.into());
                index.insert(&OrderEntry::new(&OrderKey(key), None, position));
            };
            (0..entries).for_each(insert);
            let began = Instant::now();
            insert(entries);
            fastest = fastest.min(began.elapsed());
        }
        println!("a shard of {entries} orders grows in {fastest:?}");
    }
}

#[test]
#[ignore = "it measures, in a release build"]
fn figures_of_look_ups() {
    const ORDERS: u64 = 10_000_000;
    let mut random = Rng::with_seed(1);
    let index = Index::default();
    for order in 0..ORDERS {
        let (key, user) = (random.u128(..).to_le_bytes(), random.u128(..).to_le_bytes());
        let position = position(1 + order / ORDERS_PER_SEGMENT, order % ORDERS_PER_SEGMENT);
        index.insert(&OrderEntry::new(
            &OrderKey(key),
            Some(&UserKey(user)),
            position,
        ));
    }
    for (kind, seed) in [("known", 1), ("unknown", 2)] {
        let mut random = Rng::with_seed(seed);
        let mut found = 0;
        let began = Instant::now();
        for _ in 0..1_000_000 {
            let (key, _user) = (random.u128(..).to_le_bytes(), random.u128(..));
            found += index.candidates(&OrderKey(key)).len();
        }
        println!(
            "{kind} key: {:?}, {found} candidates",
            began.elapsed() / 1_000_000
        );
    }
}
