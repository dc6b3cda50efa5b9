//! The index against a model that has whole keys, with keys that collide, out of order, and in bytes.

use std::{collections::BTreeMap, thread};

use fastrand::Rng;

use super::*;
use crate::log::{
    fact::random_log::{NOW, order_keys, user_keys},
    position::ALIGNMENT,
};

fn position(segment: u64, record: u64) -> Position {
    Position::new(segment, 4096 + record * ALIGNMENT).unwrap()
}

/// Keys that are spread as hashes are.
fn spread_key(random: &mut Rng) -> [u8; KEY_BYTES] {
    random.u128(..).to_le_bytes()
}

/// Positions by whole keys, oldest first.
#[derive(Default)]
struct Model {
    orders: BTreeMap<[u8; KEY_BYTES], Vec<Position>>,
    users: BTreeMap<[u8; KEY_BYTES], Vec<Position>>,
}

impl Model {
    /// The positions of all keys that begin like this one, newest first.
    fn positions(
        keys: &BTreeMap<[u8; KEY_BYTES], Vec<Position>>,
        like: [u8; KEY_BYTES],
    ) -> Vec<Position> {
        let mut positions = Vec::new();
        for (key, of_key) in keys {
            if key[..PREFIX_BYTES] == like[..PREFIX_BYTES] {
                positions.extend(of_key);
            }
        }
        positions.sort();
        positions.reverse();
        positions
    }

    fn assert_is(&self, index: &Index, seed: u64) {
        for key in order_keys() {
            let expected = Self::positions(&self.orders, key.0);
            assert_eq!(index.candidates(&key), expected, "seed {seed} {key:?}");
        }
        for user in user_keys() {
            let newest = Self::positions(&self.users, user.0).first().copied();
            assert_eq!(index.newest(&user), newest, "seed {seed} {user:?}");
        }
    }
}

#[test]
fn an_index_finds_what_a_model_finds_and_a_batch_is_invisible_until_it_is_published() {
    for seed in testkit::seeds::seeds(100) {
        let mut random = Rng::with_seed(seed);
        let (index, mut durable) = (Index::default(), Model::default());
        let mut record = 0;
        for _ in 0..6 {
            let mut written = Model {
                orders: durable.orders.clone(),
                users: durable.users.clone(),
            };
            let mut pending = PendingEntries::default();
            for _ in 0..random.u32(0..8) {
                record += 1;
                let position = position(1, record);
                let key = random.choice(order_keys()).unwrap();
                let user = random.choice(user_keys()).unwrap();
                let link = pending.add(&index, key, &user, position, NOW);
                let earlier = Model::positions(&written.users, user.0).first().copied();
                assert_eq!(link, earlier, "seed {seed}");
                assert!(pending.contains(&key));
                written.orders.entry(key.0).or_default().push(position);
                written.users.entry(user.0).or_default().push(position);
            }
            durable.assert_is(&index, seed);
            index.publish(&pending);
            durable = written;
            durable.assert_is(&index, seed);
            assert_eq!(index.orders(), record);
        }
    }
}

#[test]
fn a_batch_has_the_orders_that_were_added_and_no_other_with_the_same_prefix() {
    // The fifth key has the prefix of the first.
    let keys = order_keys();
    let (key, other, alike) = (keys[0], keys[1], keys[4]);
    assert_eq!(KeyPrefix::from(&key), KeyPrefix::from(&alike));
    let mut pending = PendingEntries::default();
    pending.add(&Index::default(), key, &user_keys()[0], position(1, 0), NOW);
    assert!(pending.contains(&key));
    assert!(!pending.contains(&other) && !pending.contains(&alike));
}

#[test]
fn an_unknown_key_has_no_candidate() {
    let mut random = Rng::with_seed(1);
    let index = Index::default();
    for record in 0..10_000 {
        let (key, user) = (spread_key(&mut random), spread_key(&mut random));
        let position = position(1, record);
        index.insert(&OrderEntry::new(
            &OrderKey(key),
            Some(&UserKey(user)),
            position,
        ));
    }
    let mut candidates = 0;
    for _ in 0..10_000 {
        candidates += index.candidates(&OrderKey(spread_key(&mut random))).len();
    }
    // 0.02 are expected: pairs of 10,000 and 10,000 keys, 32 bits each.
    assert!(candidates < 3, "{candidates} of unknown keys");
}

#[test]
fn the_greatest_position_of_a_user_counts_when_threads_insert_segments_in_any_order() {
    let index = Index::default();
    let user = user_keys()[0];
    let mut entries = Vec::new();
    for segment in 1..=64 {
        for record in 0..50 {
            let key = OrderKey(u128::from(segment * 50 + record).to_le_bytes());
            entries.push(OrderEntry::new(
                &key,
                Some(&user),
                position(segment, record),
            ));
        }
    }
    Rng::with_seed(1).shuffle(&mut entries);
    let (singly, listed) = entries.split_at(entries.len() / 2);
    thread::scope(|scope| {
        scope.spawn(|| singly.iter().for_each(|entry| index.insert(entry)));
        scope.spawn(|| {
            for some in listed.chunks(100) {
                let mut lists = EntryLists::default();
                for entry in some {
                    lists.add(entry);
                }
                assert_eq!(lists.len(), some.len());
                index.insert_lists(&mut lists);
                assert_eq!(lists.len(), 0);
            }
        });
    });
    assert_eq!(index.newest(&user), Some(position(64, 49)));
    for entry in &entries {
        assert!(
            index
                .requests
                .positions(entry.order)
                .contains(&entry.position)
        );
    }
}

/// A key with a tag of its own, in the first shard.
fn key_of_first_shard(number: u32) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    // An odd factor spreads the numbers and keeps them distinct in 24 bits.
    let tag = number.wrapping_mul(0x9e_3779) & 0xff_ffff;
    key[..PREFIX_BYTES].copy_from_slice(&tag.to_be_bytes());
    key
}

/// Each order by a user of its own, which takes most, and all in one shard, so that the tables are met just after they
/// have grown, when they are emptiest.
#[test]
fn an_order_takes_48_bytes_at_most_also_just_after_growing() {
    let index = Index::default();
    let (mut orders, mut worst) = (0_u32, 0);
    for growth in 11..15 {
        let full = 7 << growth;
        while orders <= full {
            let key = key_of_first_shard(orders);
            let position = position(1, orders.into());
            index.insert(&OrderEntry::new(
                &OrderKey(key),
                Some(&UserKey(key)),
                position,
            ));
            orders += 1;
        }
        let bytes = index.allocated_bytes() / usize::try_from(orders).unwrap();
        worst = worst.max(bytes);
    }
    assert!(worst <= 48, "{worst} bytes an order");
    // 9 bytes for an entry, 7 of 16 in use, two tables. Otherwise the moment was missed.
    assert!(worst >= 2 * 9 * 16 / 7, "{worst} bytes an order");
}
