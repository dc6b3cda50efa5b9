//! The log as the simulation drives it: units go to the ledger, without a queue.

use crate::{
    CommitError, EraseError, UnitOfWork,
    log::{encoded_unit::EncodedUnit, ledger::UnitResult, simulated_store::OpenedLog},
};

impl OpenedLog {
    /// Number of changes on record.
    pub(super) fn changes(&self) -> u64 {
        self.ledger.appender.end().next_sequence - 1
    }

    /// The units as they go to disk, as many of the first ones as fit into a frame.
    pub(super) fn encode(&self, units: &[UnitOfWork]) -> Vec<EncodedUnit> {
        let mut room = self.ledger.appender.frame_capacity();
        let mut encoded = Vec::new();
        for unit in units {
            let unit = EncodedUnit::new(unit, &self.reader.keys);
            match room.checked_sub(unit.bytes()) {
                Some(rest) => room = rest,
                None => break,
            }
            encoded.push(unit);
        }
        encoded
    }

    pub(super) fn write(&mut self, units: &[EncodedUnit]) -> Result<Vec<UnitResult>, CommitError> {
        self.ledger.write(units)
    }

    /// Erases the personal data of a user.
    pub(super) fn erase(&mut self, user_id: &str) -> Result<u64, EraseError> {
        let ledger = &mut self.ledger;
        self.eraser
            .erase_person(&user_id.into(), &mut |unit| ledger.write_one(unit))
    }
}
