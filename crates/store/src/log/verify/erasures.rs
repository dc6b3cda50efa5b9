//! Erasures on record, compared with the orders that they speak of.

use std::collections::{BTreeMap, BTreeSet};

use domain::order::OrderId;

use super::{Finding, damage};
use crate::{
    log::{error::DamageFault, position::Position, record_header::PersonalPart},
    order_key::OrderKey,
    record::PersonErased,
};

/// An order with personal data that cannot be read.
#[derive(Debug)]
struct UnreadableOrder {
    position: Position,
    sequence: u64,
    id: OrderId,
}

/// What the log says of erasures, and what became of the orders: 24 bytes for each erased one, since most of an old log may be
/// erased.
#[derive(Debug, Default)]
pub(super) struct Erasures {
    /// The orders of each erasure, by the position of its record.
    begun: BTreeMap<u64, Vec<u64>>,
    completed: BTreeSet<u64>,
    /// Where orders without personal data are, in the order of the log.
    erased: Vec<u64>,
    unreadable: Vec<UnreadableOrder>,
}

/// What is wrong with erasures, and what is not done yet.
#[derive(Debug, Default)]
pub(super) struct ErasureReport {
    pub(super) findings: Vec<Finding>,
    /// The first order that is erased without a record of it. The first is enough: a disk that does this does it to whole
    /// blocks.
    pub(super) unrecorded: Option<Position>,
    /// Orders of erasures that are not complete and have personal data.
    pub(super) unfinished: u64,
    /// All orders that have personal data although its erasure is on record, in the order of the log.
    pub(super) unerased: Vec<Position>,
    /// Those of them that are as they were written, although the erasure is complete.
    pub(super) restored: Vec<Position>,
    /// Segments of which the summary may still be that from before an erasure.
    pub(super) in_progress: BTreeSet<u64>,
}

/// The orders that are to be erased: a position in the upper bits, and whether the erasure is complete in the lowest one.
struct ExpectedOrders(Vec<u64>);

impl ExpectedOrders {
    /// Whether the erasure of this order is complete; `None` if there is none.
    fn get(&self, position: u64) -> Option<bool> {
        let at = self.0.partition_point(|order| order >> 1 < position);
        let order = self.0.get(at).filter(|order| **order >> 1 == position)?;
        Some(order & 1 == 1)
    }
}

impl Erasures {
    /// Adds an erasure that has begun.
    pub(super) fn begin(&mut self, position: Position, erased: PersonErased) {
        self.begun.insert(position.bits(), erased.orders);
    }

    /// An erasure is complete, by the position of the record with which it began.
    pub(super) fn complete(&mut self, erasure: u64) {
        self.completed.insert(erasure);
    }

    /// Adds an order, which counts if its personal part is not as it was written. Orders come in the order of the log.
    pub(super) fn add_order(
        &mut self,
        position: Position,
        sequence: u64,
        key: &OrderKey,
        personal: PersonalPart<'_>,
    ) {
        match personal {
            PersonalPart::Intact(_) => {}
            PersonalPart::Erased => self.erased.push(position.bits()),
            PersonalPart::Unreadable => self.unreadable.push(UnreadableOrder {
                position,
                sequence,
                id: key.order_id(),
            }),
        }
    }

    /// Compares the two. Changes are lost up to `last_loss`, a segment and an offset in it.
    pub(super) fn finish(mut self, last_loss: Option<(u64, u64)>) -> ErasureReport {
        let mut report = ErasureReport::default();
        let expected = self.expected(&mut report);
        let erased = self.erased.iter().copied().filter_map(Position::from_bits);
        report.unrecorded = erased
            // The record of an erasure is behind the order, so that of these may be in what is lost.
            .skip_while(|order| {
                last_loss.is_some_and(|loss| (order.segment(), order.offset()) < loss)
            })
            .find(|order| expected.get(order.bits()).is_none());
        for order in &self.unreadable {
            let completed = expected.get(order.position.bits());
            if completed != Some(false) {
                report.findings.push(order.finding());
            }
        }
        for order in &expected.0 {
            let (bits, is_complete) = (order >> 1, order & 1 == 1);
            let Some(position) = Position::from_bits(bits) else {
                continue;
            };
            if self.erased.binary_search(&bits).is_ok() {
                continue;
            }
            // As it was written, or half overwritten; or it cannot be read at all, which is reported elsewhere.
            report.unerased.push(position);
            report.unfinished += u64::from(!is_complete);
            let is_readable = !self
                .unreadable
                .iter()
                .any(|order| order.position == position);
            if is_complete && is_readable {
                report.restored.push(position);
            }
        }
        report
    }

    /// The orders of all erasures, each once. Two erasures may name the same order.
    fn expected(&mut self, report: &mut ErasureReport) -> ExpectedOrders {
        let mut expected = Vec::new();
        for (erasure, orders) in std::mem::take(&mut self.begun) {
            let is_complete = self.completed.contains(&erasure);
            for order in orders {
                if let (false, Some(position)) = (is_complete, Position::from_bits(order)) {
                    report.in_progress.insert(position.segment());
                }
                expected.push((order << 1) | u64::from(is_complete));
            }
        }
        // Complete ones first, so that they stay.
        expected.sort_unstable_by_key(|order| order ^ 1);
        expected.dedup_by_key(|order| *order >> 1);
        ExpectedOrders(expected)
    }
}

impl UnreadableOrder {
    fn finding(&self) -> Finding {
        let (segment, offset) = (self.position.segment(), self.position.offset());
        let fault = DamageFault::PersonalPart;
        Finding {
            damage: damage(segment, offset, self.sequence, fault),
            lost: Some(self.sequence..=self.sequence),
            orders: vec![self.id.clone()],
        }
    }
}
