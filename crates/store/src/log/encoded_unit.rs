//! Units encoded for the disk. The caller that commits encodes them, so that the writer has little to do.

use super::frame::NewRecord;
use crate::{
    HoldId, Precondition, UnitOfWork,
    order_key::{KeyDeriver, OrderKey},
    record::{self, EncodedRecord},
};

/// A unit as it goes to disk.
#[derive(Debug)]
pub(super) struct EncodedUnit {
    /// What has to hold, by the keys of the index, and as it was asked.
    pub(super) requires: Vec<(EncodedPrecondition, Precondition)>,
    /// The records.
    pub(super) records: Vec<EncodedRecord>,
}

/// A precondition by the keys of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EncodedPrecondition {
    /// No order has this key.
    NewRequest(OrderKey),
    /// The active revision of the hold is this one.
    HoldRevision {
        /// The hold.
        id: HoldId,
        /// Its revision, 0 for none.
        revision: u32,
    },
}

impl EncodedUnit {
    pub(super) fn new(unit: &UnitOfWork, keys: &KeyDeriver) -> Self {
        let UnitOfWork { requires, writes } = unit;
        Self {
            requires: requires
                .iter()
                .map(|precondition| (encode(precondition, keys), precondition.clone()))
                .collect(),
            records: writes
                .iter()
                .map(|write| record::encode(write, keys))
                .collect(),
        }
    }

    /// A unit of one record that requires nothing.
    pub(super) fn of_record(record: EncodedRecord) -> Self {
        Self {
            requires: Vec::new(),
            records: vec![record],
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

fn encode(precondition: &Precondition, keys: &KeyDeriver) -> EncodedPrecondition {
    match precondition {
        Precondition::NewRequest(token) => EncodedPrecondition::NewRequest(keys.order_key(token)),
        Precondition::HoldRevision { id, revision } => EncodedPrecondition::HoldRevision {
            id: *id,
            revision: *revision,
        },
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
