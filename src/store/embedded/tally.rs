//! The tally: how many changes have been made and what all records come to, written in every batch.
//!
//! What is read at the start has to come to the same. So no record is damaged, none is missing, and
//! none is back that was removed or replaced, wherever the damage was. The engine alone cannot say
//! that: its checksums do not cover everything, such as when in its journal a batch came.

use std::collections::HashMap;

use fjall::{Keyspace, OwnedWriteBatch, UserValue};
use xxhash_rust::xxh3;

use super::keys;

/// The tally of a store.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tally {
    changes: u64,
    /// The sum of the digests of all records, in which the order of adding makes no difference.
    sum: u64,
    /// The digests of those records that may yet be removed or replaced.
    passing: HashMap<Vec<u8>, u64>,
}

impl Tally {
    /// Enters a record that is written.
    pub(super) fn enter(&mut self, key: &[u8], value: &[u8]) {
        let digest = digest(key, value);
        if !keys::is_lasting(key) {
            let replaced = self.passing.insert(key.to_vec(), digest);
            self.sum = self.sum.wrapping_sub(replaced.unwrap_or_default());
        }
        self.sum = self.sum.wrapping_add(digest);
    }

    /// Enters all that is in the tally of other records.
    pub(super) fn add(&mut self, others: Self) {
        self.changes += others.changes;
        self.sum = self.sum.wrapping_add(others.sum);
        self.passing.extend(others.passing);
    }

    /// Strikes out a record that is removed.
    fn strike(&mut self, key: &[u8]) {
        let removed = self.passing.remove(key);
        self.sum = self.sum.wrapping_sub(removed.unwrap_or_default());
    }

    /// A batch for these records, of which the tally is kept.
    pub(super) fn of_batch<'a>(
        &'a mut self,
        batch: OwnedWriteBatch,
        records: &'a Keyspace,
    ) -> TalliedBatch<'a> {
        TalliedBatch {
            tally: self,
            batch,
            records,
        }
    }

    /// Takes up the count of a tally on record, if all records come to what it says.
    pub(super) fn go_on_from(&mut self, record: &[u8]) -> bool {
        let ([changes, sum], []) = record.as_chunks() else {
            return false;
        };
        self.changes = u64::from_be_bytes(*changes);
        self.sum == u64::from_be_bytes(*sum)
    }

    /// How many changes have been made.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The record of the tally itself.
    pub(super) fn record(&self) -> Vec<u8> {
        [self.changes.to_be_bytes(), self.sum.to_be_bytes()].concat()
    }
}

/// A batch of which the tally is kept, and in which it is written.
pub(super) struct TalliedBatch<'a> {
    tally: &'a mut Tally,
    batch: OwnedWriteBatch,
    records: &'a Keyspace,
}

impl TalliedBatch<'_> {
    pub(super) fn insert(&mut self, key: Vec<u8>, value: impl AsRef<[u8]> + Into<UserValue>) {
        self.tally.enter(&key, value.as_ref());
        self.batch.insert(self.records, key, value);
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.tally.strike(&key);
        self.batch.remove(self.records, key);
    }

    /// Commits it as so many changes.
    pub(super) fn commit(mut self, changes: usize) -> fjall::Result<()> {
        self.tally.changes += u64::try_from(changes).unwrap_or(u64::MAX);
        self.batch
            .insert(self.records, keys::TALLY, self.tally.record());
        self.batch.commit()
    }
}

fn digest(key: &[u8], value: &[u8]) -> u64 {
    xxh3::xxh3_64_with_seed(value, xxh3::xxh3_64(key))
}
