//! The index of the log: where the order of a request is, and where the newest order of a user is.
//!
//! It is in memory and holds prefixes of keys instead of keys, so that an order takes 48 bytes at most. What it answers
//! is a candidate until its record has been read: another order may have the same prefix. The list of a user leads through
//! the records: each has a link, the position of the order before it. A list has the orders of all users with the same
//! prefix; readers skip those of other users.
//!
//! One thread publishes, after the sync, so that no reader sees an order that is not durable. Entries are never removed.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use domain::time::EpochSeconds;
use hashbrown::HashTable;

use super::{
    position::{POSITION_BITS, Position},
    segment_times::SegmentTimes,
    slot_index::{RecentSlots, SlotEntry},
};
use crate::order_key::{KEY_BYTES, OrderKey, SlotKey, UserKey};

#[cfg(test)]
mod tests;

/// Bytes of a [`KeyPrefix`].
pub(super) const PREFIX_BYTES: usize = 4;

/// The first bytes of a key. Keys are hashes under the store's secret, so prefixes are spread evenly, and nobody can
/// choose keys with equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct KeyPrefix(pub(super) [u8; PREFIX_BYTES]);

impl KeyPrefix {
    fn of(key: [u8; KEY_BYTES]) -> Self {
        let [first, second, third, fourth, ..] = key;
        Self([first, second, third, fourth])
    }

    /// The shard of the key: the first byte.
    fn shard(self) -> usize {
        usize::from(self.0[0])
    }

    /// What tells the keys of a shard apart: 24 bits.
    fn tag(self) -> u64 {
        let [_, first, second, third] = self.0;
        u64::from(u32::from_be_bytes([0, first, second, third]))
    }
}

impl From<&OrderKey> for KeyPrefix {
    fn from(key: &OrderKey) -> Self {
        Self::of(key.0)
    }
}

impl From<&UserKey> for KeyPrefix {
    fn from(key: &UserKey) -> Self {
        Self::of(key.0)
    }
}

/// What the index has of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OrderEntry {
    /// Prefix of the order's key.
    pub(super) order: KeyPrefix,
    /// Prefix of its user's key; `None` if the user is erased.
    pub(super) user: Option<KeyPrefix>,
    /// Where its record is.
    pub(super) position: Position,
}

impl OrderEntry {
    pub(super) fn new(order: &OrderKey, user: Option<&UserKey>, position: Position) -> Self {
        Self {
            order: order.into(),
            user: user.map(KeyPrefix::from),
            position,
        }
    }
}

/// Where orders are, by request, by user and by time of creation.
#[derive(Debug, Default)]
pub(super) struct Index {
    requests: PrefixTable,
    users: PrefixTable,
    times: RwLock<SegmentTimes>,
    /// The slots of the orders of segments without an index on disk.
    pub(super) recent_slots: RecentSlots,
}

impl Index {
    /// Positions of the orders whose keys begin like this one, newest first: none or one as a rule. The caller reads the
    /// records to find out whether one of them is the order.
    pub(super) fn candidates(&self, key: &OrderKey) -> Vec<Position> {
        self.requests.positions(key.into())
    }

    /// The newest order of the users whose keys begin like this one: the beginning of their list.
    pub(super) fn newest(&self, user: &UserKey) -> Option<Position> {
        self.users.position(user.into())
    }

    /// Numbers of the segments that may have orders created in `from..until`, newest first.
    pub(super) fn segments_between(&self, from: EpochSeconds, until: EpochSeconds) -> Vec<u64> {
        self.read_times().between(from, until)
    }

    /// Hands over where all orders are, in no particular sequence.
    pub(super) fn each_order(&self, take: &mut dyn FnMut(Position)) {
        for shard in self.requests.shards.iter() {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            for position in shard.iter().filter_map(|entry| entry.position()) {
                take(position);
            }
        }
    }

    /// Number of orders.
    pub(super) fn orders(&self) -> u64 {
        self.read_times().orders()
    }

    /// The latest creation of an order, by the clock of that moment.
    pub(super) fn latest_created_sec(&self) -> Option<EpochSeconds> {
        self.read_times().latest_sec()
    }

    /// Makes the orders of a durable batch visible.
    pub(super) fn publish(&self, pending: &PendingEntries) {
        for entry in &pending.entries {
            self.insert(entry);
        }
        // Before the times, by which lists find segments: one in use that is not in memory is read as a whole.
        self.recent_slots.add(pending.slots.iter().copied());
        self.add_times(&pending.times);
    }

    /// Inserts an order. Several threads may insert, and in any order: the greatest position of a user counts.
    pub(super) fn insert(&self, entry: &OrderEntry) {
        self.requests.insert(entry.order, entry.position);
        if let Some(user) = entry.user {
            let newest = TableEntry::new(user, entry.position);
            raise(&mut self.users.write(user), newest);
        }
    }

    /// Inserts many orders at once and empties their lists.
    pub(super) fn insert_lists(&self, lists: &mut EntryLists) {
        for (shard, list) in self.requests.shards.iter().zip(&mut lists.requests) {
            let mut table = write(shard);
            table.reserve(list.len(), |entry| entry.hash());
            for entry in list.drain(..) {
                insert(&mut table, entry);
            }
        }
        for (shard, list) in self.users.shards.iter().zip(&mut lists.users) {
            let mut table = write(shard);
            for entry in list.drain(..) {
                raise(&mut table, entry);
            }
        }
        lists.orders = 0;
    }

    /// Adds the times of orders.
    pub(super) fn add_times(&self, times: &SegmentTimes) {
        self.times
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .merge(times);
    }

    /// Bytes that the tables of orders and users have allocated.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> usize {
        self.requests.allocated_bytes() + self.users.allocated_bytes()
    }

    fn read_times(&self) -> RwLockReadGuard<'_, SegmentTimes> {
        // A panic elsewhere leaves the times whole: every change is an insertion or an assignment.
        self.times.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The orders of a batch that is not durable yet. Only its writer sees them.
#[derive(Debug, Default)]
pub(super) struct PendingEntries {
    entries: Vec<OrderEntry>,
    keys: HashSet<OrderKey, KeyHash>,
    newest: HashMap<KeyPrefix, Position, KeyHash>,
    times: SegmentTimes,
    slots: Vec<SlotEntry>,
}

impl PendingEntries {
    /// Removes all orders, and keeps the memory for those of the next batch.
    pub(super) fn clear(&mut self) {
        let Self {
            entries,
            keys,
            newest,
            times,
            slots,
        } = self;
        entries.clear();
        keys.clear();
        newest.clear();
        *times = SegmentTimes::default();
        slots.clear();
    }

    /// Whether the batch has this order.
    pub(super) fn contains(&self, key: &OrderKey) -> bool {
        self.keys.contains(key)
    }

    /// Adds the slots of an order.
    pub(super) fn add_slots(&mut self, slots: &[SlotKey], position: Position) {
        self.slots.extend(SlotEntry::of_order(position, slots));
    }

    /// Adds an order. Returns its link: the position of the order before it in the list of its user.
    pub(super) fn add(
        &mut self,
        index: &Index,
        key: OrderKey,
        user: &UserKey,
        position: Position,
        created_sec: EpochSeconds,
    ) -> Option<Position> {
        self.entries
            .push(OrderEntry::new(&key, Some(user), position));
        self.keys.insert(key);
        self.times.add(position.segment(), created_sec);
        let earlier = self.newest.insert(user.into(), position);
        earlier.or_else(|| index.newest(user))
    }
}

type KeyHash = BuildHasherDefault<KeyHasher>;

/// Hashes a key by its first bytes, because keys are hashes: of secret and text, so that nobody can choose them.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, key: &[u8]) {
        let mut first = [0; 8];
        for (byte, key_byte) in first.iter_mut().zip(key) {
            *byte = *key_byte;
        }
        // The map compares by the upper bits, which a prefix does not fill.
        self.0 = u64::from_le_bytes(first).wrapping_mul(SPREAD);
    }

    fn write_usize(&mut self, _length: usize) {
        // All keys of a map have the same length.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// An odd number with bits all over, as multiplicative hashing takes it: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Many orders by the shards that they belong to. Shard by shard, insertions meet a table that is in the cache of the
/// processor, which takes a fraction of the time.
#[derive(Debug)]
pub(super) struct EntryLists {
    requests: Vec<Vec<TableEntry>>,
    users: Vec<Vec<TableEntry>>,
    orders: usize,
}

impl Default for EntryLists {
    fn default() -> Self {
        Self {
            requests: vec![Vec::new(); SHARDS],
            users: vec![Vec::new(); SHARDS],
            orders: 0,
        }
    }
}

impl EntryLists {
    /// Adds an order.
    pub(super) fn add(&mut self, entry: &OrderEntry) {
        let request = TableEntry::new(entry.order, entry.position);
        self.requests[entry.order.shard()].push(request);
        if let Some(user) = entry.user {
            self.users[user.shard()].push(TableEntry::new(user, entry.position));
        }
        self.orders += 1;
    }

    /// Number of orders.
    pub(super) fn len(&self) -> usize {
        self.orders
    }
}

/// Number of shards: one for each first byte of a key. A shard that grows moves all of its entries while readers and the
/// writer wait; with 10 million orders that is 40,000 entries.
const SHARDS: usize = 1 << u8::BITS;

type Table = HashTable<TableEntry>;

type Shard = RwLock<Table>;

/// Positions by prefixes of keys.
#[derive(Debug)]
pub(super) struct PrefixTable {
    shards: Box<[Shard; SHARDS]>,
}

impl Default for PrefixTable {
    fn default() -> Self {
        Self {
            shards: Box::new(std::array::from_fn(|_| Shard::default())),
        }
    }
}

impl PrefixTable {
    /// Adds a position beside those of the same prefix.
    pub(super) fn insert(&self, prefix: KeyPrefix, position: Position) {
        insert(&mut self.write(prefix), TableEntry::new(prefix, position));
    }

    /// The positions of a prefix, the greatest first.
    pub(super) fn positions(&self, prefix: KeyPrefix) -> Vec<Position> {
        let shard = self.read(prefix);
        let mut positions = Vec::new();
        for entry in shard.iter_hash(hash(prefix.tag())) {
            if entry.tag() == prefix.tag() {
                positions.extend(entry.position());
            }
        }
        positions.sort_unstable();
        positions.reverse();
        positions
    }

    /// The position of a prefix that has one at most.
    fn position(&self, prefix: KeyPrefix) -> Option<Position> {
        let tag = prefix.tag();
        self.read(prefix)
            .find(hash(tag), |entry| entry.tag() == tag)?
            .position()
    }

    #[cfg(test)]
    fn allocated_bytes(&self) -> usize {
        let tables: usize = self
            .shards
            .iter()
            .map(|shard| read(shard).allocation_size())
            .sum();
        tables + size_of_val(&*self.shards)
    }

    fn read(&self, prefix: KeyPrefix) -> RwLockReadGuard<'_, Table> {
        read(&self.shards[prefix.shard()])
    }

    fn write(&self, prefix: KeyPrefix) -> RwLockWriteGuard<'_, Table> {
        write(&self.shards[prefix.shard()])
    }
}

// A panic elsewhere leaves a table whole: nothing that runs under its lock panics halfway.
fn read(shard: &Shard) -> RwLockReadGuard<'_, Table> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &Shard) -> RwLockWriteGuard<'_, Table> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

/// Adds an entry beside those with the same tag.
fn insert(table: &mut Table, entry: TableEntry) {
    table.insert_unique(entry.hash(), entry, |entry| entry.hash());
}

/// Makes this the only entry of its tag, unless there is one with a later position.
fn raise(table: &mut Table, entry: TableEntry) {
    match table.find_mut(entry.hash(), |other| other.tag() == entry.tag()) {
        // Entries with the same tag compare by their positions.
        Some(other) => *other = (*other).max(entry),
        None => insert(table, entry),
    }
}

/// The tag of a prefix in the upper 24 bits, a position in the lower 40.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct TableEntry(u64);

impl TableEntry {
    fn new(prefix: KeyPrefix, position: Position) -> Self {
        Self((prefix.tag() << POSITION_BITS) | position.bits())
    }

    fn tag(self) -> u64 {
        self.0 >> POSITION_BITS
    }

    fn position(self) -> Option<Position> {
        Position::from_bits(self.0 & ((1 << POSITION_BITS) - 1))
    }

    fn hash(self) -> u64 {
        hash(self.tag())
    }
}

/// The hash of a tag. A tag is evenly spread as it is; it is there twice, because the table takes the lower bits for the
/// place of an entry and the upper 7 to compare entries.
fn hash(tag: u64) -> u64 {
    (tag << POSITION_BITS) | tag
}
