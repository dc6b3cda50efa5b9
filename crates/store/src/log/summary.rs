//! The summary of a sealed segment: what its records add up to. A server that starts folds summaries and reads only the
//! records of the last segment.
//!
//! A summary is a pure function of the records of its segment. One that is missing or does not verify is made again from
//! the segment.

use domain::time::EpochSeconds;

use super::{
    fact::Fact,
    index::OrderEntry,
    open_work::WorkEffects,
    planted::{PlantedFault, is_planted},
    position::Position,
    segment_times::SegmentTimes,
    slot_index::{SlotEntry, SlotIndex},
};
use crate::claim_totals::ClaimTotals;

mod codec;
#[cfg(test)]
mod tests;

/// Bytes of a hash of the chain of frames.
pub(super) const CHAIN_HASH_BYTES: usize = 16;

/// What a segment is, besides its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentBounds {
    /// Its number.
    pub(super) segment: u64,
    /// Sequence number of its first change.
    pub(super) first_sequence: u64,
    /// Sequence number of its last change.
    pub(super) last_sequence: u64,
    /// Hash of its last frame.
    pub(super) chain_hash: [u8; CHAIN_HASH_BYTES],
}

/// What the records of a segment add up to.
#[derive(Debug, Clone)]
pub(super) struct Summary {
    /// What segment it is of.
    pub(super) bounds: SegmentBounds,
    /// Offset behind its last frame.
    pub(super) end: u64,
    /// Index entries and effects.
    pub(super) effects: SegmentEffects,
}

/// What records of a segment do, without the bounds of the segment.
#[derive(Debug, Clone, Default)]
pub(super) struct SegmentEffects {
    /// Its orders, by position.
    pub(super) entries: Vec<OrderEntry>,
    /// When its orders were created.
    pub(super) times: SegmentTimes,
    /// What it opens and ends.
    pub(super) work: WorkEffects,
    /// Sums of its records.
    pub(super) sums: RecordSums,
}

/// Sums of records that need no index.
#[derive(Debug, Clone, Default)]
pub(super) struct RecordSums {
    /// The spots that orders take.
    pub(super) claims: ClaimTotals,
    /// The spots that updates give back.
    pub(super) released: ClaimTotals,
    /// Where prices are, in the order of the log.
    pub(super) prices: Vec<Position>,
    /// The latest second up to which slots were forgotten.
    pub(super) slots_forgotten_until: Option<EpochSeconds>,
}

impl RecordSums {
    /// Adds the next record.
    pub(super) fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::OrderPlaced(order) => self.claims.add(&order.claims),
            Fact::OrderUpdated(update) => self.released.add(&update.released),
            Fact::Prices { position } => self.prices.push(*position),
            Fact::SlotsForgotten { until } => self.raise_forgotten(Some(*until)),
            Fact::PaymentIntent { .. }
            | Fact::PaymentEnded { .. }
            | Fact::HoldPlaced { .. }
            | Fact::HoldReleased { .. }
            | Fact::Blocked { .. }
            | Fact::StepRetried { .. }
            | Fact::LifecyclePublished { .. }
            | Fact::LifecycleDrafted { .. }
            | Fact::ErasureAnswered { .. }
            | Fact::ErasureBegun { .. }
            | Fact::ErasureCompleted { .. } => {}
        }
    }

    /// Adds the sums of the segment after it.
    pub(super) fn merge(&mut self, later: &Self) {
        self.claims.merge(&later.claims);
        self.released.merge(&later.released);
        self.prices.extend(&later.prices);
        self.raise_forgotten(later.slots_forgotten_until);
    }

    fn raise_forgotten(&mut self, until: Option<EpochSeconds>) {
        self.slots_forgotten_until = self.slots_forgotten_until.max(until);
    }
}

impl SegmentEffects {
    /// Adds the next record.
    pub(super) fn add(&mut self, fact: &Fact) {
        if let Fact::OrderPlaced(order) = fact {
            self.entries.push(order.into());
            self.times.add(order.position.segment(), order.created_sec);
        }
        let is_update = matches!(fact, Fact::OrderUpdated(_));
        let is_block = matches!(fact, Fact::Blocked { .. });
        let is_lifecycle = matches!(
            fact,
            Fact::LifecyclePublished { .. } | Fact::LifecycleDrafted { .. }
        );
        let is_lost = (is_update && is_planted(PlantedFault::UpdatesNotSummarized))
            || (is_block && is_planted(PlantedFault::BlocksNotSummarized))
            || (is_lifecycle && is_planted(PlantedFault::LifecycleNotSummarized));
        if !is_lost {
            self.work.add(fact);
        }
        self.sums.add(fact);
    }
}

/// What is written beside a sealed segment.
#[derive(Debug)]
pub(super) struct Summarized {
    /// Its summary.
    pub(super) summary: Summary,
    /// Its orders by slot.
    pub(super) slots: SlotIndex,
}

/// Makes the summary of a segment, and the index of its slots, from its records, which are added in their order.
#[derive(Debug, Default)]
pub(super) struct SummaryBuilder {
    effects: SegmentEffects,
    slots: Vec<SlotEntry>,
}

impl SummaryBuilder {
    /// Adds the next record.
    pub(super) fn add(&mut self, fact: &Fact) {
        self.effects.add(fact);
        if let Fact::OrderPlaced(order) = fact {
            self.slots.extend(order.slot_entries());
        }
    }

    /// The summary and the index, when all records up to the offset `end` were added.
    pub(super) fn finish(self, bounds: SegmentBounds, end: u64) -> Summarized {
        Summarized {
            summary: Summary {
                bounds,
                end,
                effects: self.effects,
            },
            slots: SlotIndex::new(bounds, self.slots),
        }
    }
}
