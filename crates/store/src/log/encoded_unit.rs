//! Units encoded for the disk. The caller that commits encodes them, so that the writer has little to do.

use smallvec::{SmallVec, smallvec};

use super::frame::NewRecord;
use crate::{
    Preconditions, UnitOfWork,
    order_key::KeyDeriver,
    record::{self, EncodedRecord},
};

/// A unit as it goes to disk.
#[derive(Debug)]
pub(super) struct EncodedUnit {
    /// What has to hold.
    pub(super) requires: Preconditions,
    /// The records.
    pub(super) records: SmallVec<[EncodedRecord; 1]>,
}

impl EncodedUnit {
    pub(super) fn new(unit: &UnitOfWork, keys: &KeyDeriver) -> Self {
        let UnitOfWork { requires, writes } = unit;
        Self {
            requires: requires.clone(),
            records: writes
                .iter()
                .map(|write| record::encode(write, keys))
                .collect(),
        }
    }

    /// A unit of one record that requires nothing.
    pub(super) fn of_record(record: EncodedRecord) -> Self {
        Self {
            requires: Preconditions::new(),
            records: smallvec![record],
        }
    }

    /// The bytes that its records take in a frame.
    pub(super) fn bytes(&self) -> usize {
        self.records
            .iter()
            .map(|record| new_record(record).bytes())
            .sum()
    }
}

/// A record as a frame takes it.
pub(super) fn new_record(record: &EncodedRecord) -> NewRecord<'_> {
    NewRecord {
        kind: record.kind.number(),
        public: &record.public,
        personal: &record.personal,
    }
}
