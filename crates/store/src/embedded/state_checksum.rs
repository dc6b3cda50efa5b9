//! A checksum over all records: how many changes have been made and the sum of the digests of all records,
//! written with every batch.
//!
//! When the store is opened, every record is read and the sum is compared. So no record is damaged, none is
//! missing, and none has come back that was removed or replaced, wherever the damage is. The engine's own
//! checksums leave gaps, such as the sequence number of a batch in its journal.

use std::collections::HashMap;

use fjall::{Keyspace, OwnedWriteBatch, UserValue};
use xxhash_rust::xxh3;

use super::keys;

/// The checksum of a store.
#[derive(Debug, Default, PartialEq)]
pub(super) struct StateChecksum {
    changes: u64,
    /// The sum of the digests of all records. A sum has no order, so several threads can read parts of it.
    sum: u64,
    /// The digests of those records that may yet be removed or replaced.
    removable: HashMap<Vec<u8>, u64>,
}

impl StateChecksum {
    /// Adds a record that is written.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        let digest = digest(key, value);
        // Sums and differences wrap: they are taken modulo 2^64, like the checksum itself.
        if !keys::is_permanent(key) {
            // Only few records can be replaced, so the map stays small. Orders are permanent and
            // take no memory here.
            let replaced = self.removable.insert(key.to_vec(), digest);
            self.sum = self.sum.wrapping_sub(replaced.unwrap_or_default());
        }
        self.sum = self.sum.wrapping_add(digest);
    }

    /// Adds the records of another checksum. No record may be in both.
    pub(super) fn merge(&mut self, other: Self) {
        // 0 on both sides during a scan: the number is read from its record at the end.
        self.changes += other.changes;
        self.sum = self.sum.wrapping_add(other.sum);
        // Key ranges of the scans do not overlap, so no digest is overwritten.
        self.removable.extend(other.removable);
    }

    /// Subtracts a record that is removed.
    fn remove(&mut self, key: &[u8]) {
        let removed = self.removable.remove(key);
        self.sum = self.sum.wrapping_sub(removed.unwrap_or_default());
    }

    /// A batch for these records that keeps the checksum up to date.
    pub(super) fn batch<'a>(
        &'a mut self,
        batch: OwnedWriteBatch,
        records: &'a Keyspace,
    ) -> ChecksummedBatch<'a> {
        ChecksummedBatch {
            checksum: self,
            batch,
            records,
        }
    }

    /// Compares the sum with the one on record and goes on from the number of changes that stands there.
    /// `false` if the records differ from the written ones.
    pub(super) fn verify_and_resume(&mut self, on_record: &[u8]) -> bool {
        // Exactly two numbers: any other length is damage.
        let ([changes, sum], []) = on_record.as_chunks() else {
            return false;
        };
        self.changes = u64::from_be_bytes(*changes);
        self.sum == u64::from_be_bytes(*sum)
    }

    /// How many changes have been made.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The checksum as it stands on disk.
    pub(super) fn to_record(&self) -> Vec<u8> {
        [self.changes.to_be_bytes(), self.sum.to_be_bytes()].concat()
    }
}

/// A batch that ends with the checksum of all records after it.
pub(super) struct ChecksummedBatch<'a> {
    checksum: &'a mut StateChecksum,
    batch: OwnedWriteBatch,
    records: &'a Keyspace,
}

impl ChecksummedBatch<'_> {
    pub(super) fn insert(&mut self, key: Vec<u8>, value: impl AsRef<[u8]> + Into<UserValue>) {
        self.checksum.add(&key, value.as_ref());
        self.batch.insert(self.records, key, value);
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.checksum.remove(&key);
        self.batch.remove(self.records, key);
    }

    /// Commits the batch, which counts as `changes` changes. After an error the checksum is ahead
    /// of the disk, so nothing more may be written.
    pub(super) fn commit(mut self, changes: usize) -> fjall::Result<()> {
        self.checksum.changes += u64::try_from(changes).unwrap_or(u64::MAX);
        self.batch.insert(
            self.records,
            keys::STATE_CHECKSUM,
            self.checksum.to_record(),
        );
        self.batch.commit()
    }
}

fn digest(key: &[u8], value: &[u8]) -> u64 {
    // The key seeds the value, so that two records whose values are exchanged change the sum.
    xxh3::xxh3_64_with_seed(value, xxh3::xxh3_64(key))
}
