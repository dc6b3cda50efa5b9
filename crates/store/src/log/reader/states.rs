//! The lifecycle on record, the states of orders, and the answers to erasures.

use std::collections::BTreeMap;

use super::{LogReader, Position, RecordKind, parts, record};
use crate::{ErasureAnswerSink, LifecycleChange, LifecycleSink, ReadError, StatesInUse};

impl LogReader {
    /// The states of all orders.
    pub(crate) fn states_in_use(&self) -> StatesInUse {
        self.work.states_in_use(self.index.orders())
    }

    /// The number of orders whose states follow from their sale, by the revision of the lifecycle before them in the log:
    /// that is the one that they were placed under, because nothing is published while an order is being placed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn placed_by_revision(&self) -> Result<BTreeMap<u32, u64>, ReadError> {
        let revisions = self.work.lifecycle().revisions;
        let revision_at = |position: Position| {
            let before = revisions.partition_point(|(_, published)| *published < position);
            before
                .checked_sub(1)
                .and_then(|newest| revisions.get(newest))
                .map_or(0, |(number, _)| *number)
        };
        let mut placed = BTreeMap::new();
        self.index
            .each_order(&mut |position| *placed.entry(revision_at(position)).or_default() += 1);
        for key in self.work.orders_with_states() {
            // Where several keys begin alike, only the records tell.
            let position = match self.index.candidates(&key)[..] {
                [position] => Some(position),
                [..] => self.find_order(&key)?.map(|record| record.position),
            };
            let orders = position.and_then(|position| placed.get_mut(&revision_at(position)));
            if let Some(orders) = orders {
                // Saturating: it may have been placed and changed since the index was read.
                *orders = u64::saturating_sub(*orders, 1);
            }
        }
        placed.retain(|_, orders| *orders > 0);
        Ok(placed)
    }

    /// Hands over the answers to erasures, newest first, until `take` breaks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn each_erasure_answer(&self, take: ErasureAnswerSink<'_>) -> Result<(), ReadError> {
        for position in self.work.erasure_answers().into_iter().rev() {
            let record = self.read(position)?;
            if take(record::decode_erasure_answer(parts(&record)?.0)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Hands over the changes of the lifecycle, newest first, until `take` breaks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn each_lifecycle_change(&self, take: LifecycleSink<'_>) -> Result<(), ReadError> {
        for position in self.work.lifecycle().newest_first() {
            let record = self.read(position)?;
            let (public, _) = parts(&record)?;
            let change = if record.header.kind == RecordKind::Lifecycle.number() {
                LifecycleChange::Published(record::decode_published(public)?)
            } else {
                LifecycleChange::Drafted(record::decode_draft(public)?)
            };
            if take(change).is_break() {
                break;
            }
        }
        Ok(())
    }
}
