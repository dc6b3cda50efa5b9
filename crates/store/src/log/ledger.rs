//! The log together with its index and its open work: one synchronous state machine, which the writer thread drives, and in
//! tests a simulation.

use std::{io, sync::Arc};

use kernel::clock::Clock;

use super::{
    appender::{Appender, NewFrame},
    encoded_unit::{EncodedUnit, new_record},
    fact::Fact,
    index::PendingEntries,
    open_work::WorkEffects,
    planted::{PlantedFault, is_planted},
    position::Position,
    reader::LogReader,
    watermark::CommitWatermark,
};
use crate::{CommitError, Precondition, ReadError, order_key::OrderKey, record::RecordKeys};

/// Most bytes of a frame that has more than one unit. Larger writes delay the units of the next batch.
const FRAME_BYTES: usize = 4 << 20;

/// What became of a unit.
pub(super) type UnitResult = Result<(), NotWritten>;

/// Why a unit was not written, although the log has not failed.
#[derive(Debug, Clone)]
pub(super) enum NotWritten {
    /// A precondition does not hold.
    Stale(Precondition),
    /// Whether its preconditions hold cannot be read.
    Unreadable(Arc<ReadError>),
    /// The segment in use is full, and another one cannot be begun at present.
    NoSegment(Arc<io::Error>),
}

impl From<NotWritten> for CommitError {
    fn from(reason: NotWritten) -> Self {
        match reason {
            NotWritten::Stale(precondition) => Self::Stale(precondition),
            NotWritten::Unreadable(error) => Self::Unreadable(error),
            NotWritten::NoSegment(_) => Self::Unavailable,
        }
    }
}

/// The log and everything in memory that follows it.
pub(super) struct Ledger {
    pub(super) appender: Appender,
    pub(super) reader: Arc<LogReader>,
    pub(super) watermark: CommitWatermark,
    pub(super) clock: Arc<dyn Clock>,
    /// Told the number of each segment that is full.
    pub(super) on_sealed: Box<dyn FnMut(u64) + Send>,
    /// Empty between frames, and kept for its memory.
    pub(super) pending: PendingFrame,
}

/// What a frame changes once it is durable.
#[derive(Default)]
pub(super) struct PendingFrame {
    entries: PendingEntries,
    effects: WorkEffects,
}

impl Ledger {
    /// Writes units of which the preconditions hold, one after the other, and says of each whether it was written.
    ///
    /// # Errors
    /// If the log fails. Nothing may be written to it after that.
    pub(super) fn write(&mut self, units: &[EncodedUnit]) -> Result<Vec<UnitResult>, CommitError> {
        let mut results = Vec::with_capacity(units.len());
        let mut rest = units;
        while !rest.is_empty() {
            let (frame, later) = rest.split_at(units_of_a_frame(rest));
            self.write_frame(frame, &mut results)?;
            rest = later;
        }
        Ok(results)
    }

    /// Writes one unit.
    ///
    /// # Errors
    /// Those of [`Self::write`], and why it was not written.
    pub(super) fn write_one(&mut self, unit: EncodedUnit) -> Result<(), CommitError> {
        for result in self.write(&[unit])? {
            result?;
        }
        Ok(())
    }

    /// The order of the steps matters: the watermark may never say more than is synced, nothing is visible before it is
    /// durable, and a caller may not be answered before the watermark says so.
    fn write_frame(
        &mut self,
        units: &[EncodedUnit],
        results: &mut Vec<UnitResult>,
    ) -> Result<(), CommitError> {
        let now = self.clock.now_sec();
        let bytes = units.iter().map(EncodedUnit::bytes).sum();
        let (mut frame, sealed) = match self.appender.begin(bytes, now) {
            Ok(begun) => begun,
            // Not the end of the log: what is on disk is known, and there may be room or a descriptor soon.
            Err(error) => {
                let rejected = Err(NotWritten::NoSegment(Arc::new(error)));
                results.resize(results.len() + units.len(), rejected);
                return Ok(());
            }
        };
        // After an error it is not put back: nothing is written any more.
        let mut pending = std::mem::take(&mut self.pending);
        for unit in units {
            let result = self.require(unit, &pending);
            if result.is_ok() {
                self.add(unit, &mut frame, &mut pending)
                    .map_err(CommitError::write)?;
            }
            results.push(result);
        }
        if !frame.is_empty() {
            self.plant_early(&mut pending)?;
            self.appender
                .append(frame, now)
                .map_err(CommitError::write)?;
            self.acknowledge()?;
            let next_sequence = self.appender.end().next_sequence;
            self.reader
                .publish(&pending.entries, &pending.effects, next_sequence);
            self.reader.work.forget_holds(now);
        }
        pending.entries.clear();
        pending.effects = WorkEffects::default();
        self.pending = pending;
        if let Some(segment) = sealed {
            (self.on_sealed)(segment);
        }
        Ok(())
    }

    /// Does too early what [`Self::write_frame`] does after the sync, where a test has planted that.
    fn plant_early(&self, pending: &mut PendingFrame) -> Result<(), CommitError> {
        let next_sequence = self.appender.end().next_sequence;
        if is_planted(PlantedFault::WatermarkEarly) {
            self.watermark
                .advance_to(next_sequence)
                .map_err(CommitError::write)?;
        }
        if is_planted(PlantedFault::PublishedEarly) {
            self.reader
                .publish(&pending.entries, &pending.effects, next_sequence);
            pending.entries.clear();
        }
        Ok(())
    }

    fn add(
        &self,
        unit: &EncodedUnit,
        frame: &mut NewFrame,
        pending: &mut PendingFrame,
    ) -> io::Result<()> {
        for record in &unit.records {
            let position = frame.next_position()?;
            let link = self.link(&record.keys, position, pending);
            // After the link, which leads to what was there before.
            pending
                .effects
                .add(&Fact::written(record.keys.clone(), position));
            let link = link.filter(|_| !is_planted(PlantedFault::LinkMissing));
            frame.push(position, new_record(record), link);
        }
        Ok(())
    }

    /// Where the record before is in the list of a user, in the history of an order, or among the blocks of a slot. Notes an order that is new.
    fn link(
        &self,
        keys: &RecordKeys,
        position: Position,
        pending: &mut PendingFrame,
    ) -> Option<Position> {
        match keys {
            RecordKeys::Order {
                order,
                user,
                created_sec,
                slots,
                ..
            } => {
                let index = &self.reader.index;
                let entries = &mut pending.entries;
                entries.add_slots(slots, position);
                entries.add(index, *order, user, position, *created_sec)
            }
            RecordKeys::Update { order, .. } => {
                let work = &self.reader.work;
                let before = work.pending_update(order, &pending.effects);
                before.map(|before| before.position)
            }
            RecordKeys::Block(block) => {
                self.reader.work.pending_block(&block.key, &pending.effects)
            }
            RecordKeys::Intent(_)
            | RecordKeys::PaymentEnded(_)
            | RecordKeys::Hold { .. }
            | RecordKeys::HoldReleased { .. }
            | RecordKeys::Prices
            | RecordKeys::SlotsForgotten(_)
            | RecordKeys::StepRetried { .. }
            | RecordKeys::Lifecycle(_)
            | RecordKeys::LifecycleDraft
            | RecordKeys::ErasureAnswered
            | RecordKeys::PersonErased
            | RecordKeys::ErasureCompleted(_) => None,
        }
    }

    /// Records in the watermark what is durable now.
    fn acknowledge(&self) -> Result<(), CommitError> {
        let changes = self.appender.end().next_sequence - 1;
        if !is_planted(PlantedFault::WatermarkNotAdvanced) {
            self.watermark
                .advance_to(changes)
                .map_err(CommitError::write)?;
        }
        // Two system calls more per batch: what was written to removed files must not be acknowledged.
        let is_linked = self.watermark.is_linked().map_err(CommitError::write)?
            && self
                .appender
                .file()
                .is_linked()
                .map_err(CommitError::write)?;
        if is_linked {
            Ok(())
        } else {
            Err(CommitError::FilesRemoved)
        }
    }

    /// Fails if a precondition of a unit does not hold after the units before it.
    fn require(&self, unit: &EncodedUnit, pending: &PendingFrame) -> UnitResult {
        if is_planted(PlantedFault::PreconditionIgnored) {
            return Ok(());
        }
        for precondition in &unit.requires {
            let holds = match precondition {
                // A damaged record concerns the requests under its token. The end of the log, to which the others are
                // written, is as sound as before.
                Precondition::NewRequest(key) => !self
                    .is_on_record(key, pending)
                    .map_err(|error| NotWritten::Unreadable(Arc::new(error)))?,
                Precondition::HoldRevision { id, revision } => {
                    self.reader.work.active_revision(*id, &pending.effects) == *revision
                }
                Precondition::OrderRevision { order, revision } => {
                    let found = self
                        .revision_of(order, pending)
                        .map_err(|error| NotWritten::Unreadable(Arc::new(error)))?;
                    found == Some(*revision)
                }
                Precondition::LifecycleRevision(number) => {
                    let nothing = WorkEffects::default();
                    let pending = if is_planted(PlantedFault::PendingLifecycleIgnored) {
                        &nothing
                    } else {
                        &pending.effects
                    };
                    self.reader.work.lifecycle_revision(pending) == *number
                }
            };
            if !holds {
                return Err(NotWritten::Stale(*precondition));
            }
        }
        Ok(())
    }

    /// How often an order was updated; `None` for one that is not on record.
    fn revision_of(
        &self,
        key: &OrderKey,
        pending: &PendingFrame,
    ) -> Result<Option<u32>, ReadError> {
        let work = &self.reader.work;
        let newest = if is_planted(PlantedFault::PendingUpdatesIgnored) {
            work.newest_update(key)
        } else {
            work.pending_update(key, &pending.effects)
        };
        if let Some(newest) = newest {
            return Ok(Some(newest.revision));
        }
        Ok(self.is_on_record(key, pending)?.then_some(0))
    }

    fn is_on_record(&self, key: &OrderKey, pending: &PendingFrame) -> Result<bool, ReadError> {
        let is_pending = pending.entries.contains(key) && !is_planted(PlantedFault::BatchIgnored);
        Ok(is_pending || self.reader.find_order(key)?.is_some())
    }
}

/// How many of the units share the next frame: one at least.
fn units_of_a_frame(units: &[EncodedUnit]) -> usize {
    let mut bytes = 0;
    let fitting = units.iter().take_while(|unit| {
        bytes += unit.bytes();
        bytes <= FRAME_BYTES
    });
    fitting.count().max(1)
}
