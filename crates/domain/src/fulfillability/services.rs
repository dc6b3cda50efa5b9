//! Rules on the services of one order.

use crate::{
    catalog::{Catalog, ServiceIx, ServiceRule},
    faults::ServiceFault,
    ids::ServiceId,
    slot::SlotKey,
};

impl ServiceRule {
    /// Why a set of slots breaks this rule, if it does.
    pub(super) fn fault(&self, catalog: &Catalog, keys: &[SlotKey]) -> Option<ServiceFault> {
        let has = |service: &ServiceIx| keys.iter().any(|key| key.service == *service);
        match self {
            Self::ForbiddenTogether(set) => {
                // Two items of one service count once: the rule is about different services.
                let there = set.iter().filter(|service| has(service)).count();
                (there > 1).then(|| ServiceFault::ForbiddenTogether(ids(catalog, set)))
            }
            Self::RequiredWith { service, any_of } => {
                // An order without the service breaks no rule.
                let is_alone = has(service) && !any_of.iter().any(has);
                is_alone.then(|| ServiceFault::NeedsOneOf {
                    service: catalog.service(*service).id.clone(),
                    any_of: ids(catalog, any_of),
                })
            }
            Self::NoOverlap(set) => {
                let bound = keys.iter().filter(|key| set.contains(&key.service));
                any_overlap(bound.copied().collect())
                    .then(|| ServiceFault::Overlap(ids(catalog, set)))
            }
        }
    }
}

fn ids(catalog: &Catalog, services: &[ServiceIx]) -> Vec<ServiceId> {
    services
        .iter()
        .map(|&ix| catalog.service(ix).id.clone())
        .collect()
}

/// Whether any two different slots have a moment in common.
fn any_overlap(mut slots: Vec<SlotKey>) -> bool {
    slots.sort_unstable_by_key(|slot| (slot.start_sec, slot.end_sec(), slot.service));
    // The same slot twice is two lines for one visit and no overlap.
    slots.dedup();
    slots
        // Sorted by start: if any two slots overlap, two neighbours do, so pairs need no search.
        .windows(2)
        .any(|pair| pair[1].start_sec < pair[0].end_sec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{EpochSeconds, Seconds};

    #[test]
    fn overlaps_are_found_between_any_two_slots() {
        let slot = |service, start_sec, duration_sec| {
            let start_sec = EpochSeconds::new(start_sec);
            SlotKey::new(ServiceIx(service), start_sec, Seconds::new(duration_sec)).unwrap()
        };
        for (slots, overlap) in [
            (&[][..], false),
            (&[slot(0, 0, 10)], false),
            (&[slot(0, 0, 10), slot(0, 0, 10)], false),
            (&[slot(0, 0, 10), slot(1, 0, 10)], true),
            (&[slot(0, 0, 10), slot(0, 0, 5)], true),
            (&[slot(0, 0, 10), slot(1, 10, 10), slot(0, 20, 1)], false),
            (&[slot(0, 0, 99), slot(1, 200, 10), slot(0, 98, 1)], true),
            (&[slot(0, 0, 99), slot(0, 10, 1), slot(0, 0, 99)], true),
            (&[slot(0, 5, 0), slot(1, 5, 10)], false),
            (&[slot(0, 6, 0), slot(1, 5, 10)], true),
            (&[slot(0, i64::MIN, 10), slot(1, i64::MAX, 10)], false),
        ] {
            assert_eq!(any_overlap(slots.to_vec()), overlap, "{slots:?}");
        }
    }
}
