//! Duplicate entries of the availability feed.
//!
//! Entries alike in service, duration, ticket types and resources must not share a slot: the same spots
//! would be sold twice. If they differ in party size, they describe the same spots.

use std::{cmp::Ordering, collections::HashSet};

use indexmap::IndexSet;

use super::collisions::{self, Starts, TooMany};
use crate::diagnostics::{Cursor, DiagnosticSink};
use domain::{
    catalog::ServiceIx,
    slot::{Opening, PartySpots, Pool, ResourceIx, SlotTerms},
    time::EpochSeconds,
};

/// The resources and locations of the entries of a feed.
#[derive(Debug, Default)]
pub(crate) struct EntrySources {
    files: Vec<String>,
    /// The resources of entries; the first one is the empty resource.
    resources: IndexSet<Resource>,
    /// One for each opening, in the same order.
    list: Vec<EntrySource>,
}

/// The resource of an entry: its staff member and room, by id, or by name if there is no id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Resource {
    pub(super) staff: String,
    pub(super) room: String,
}

#[derive(Debug, Clone, Copy)]
struct EntrySource {
    file: u32,
    list: u32,
    element: u32,
    resource: ResourceIx,
    /// 0 for any.
    party_size: u32,
    validity: Validity,
}

/// Whether an entry has errors of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    /// It has none.
    Valid,
    /// It has some, so it is compared with no other entry.
    Invalid,
}

impl EntrySources {
    /// Adds the entry at a location.
    pub(super) fn add(
        &mut self,
        at: &Cursor<'_>,
        resource: Resource,
        party_size: u32,
        validity: Validity,
    ) {
        // Entries of one file come together, so the last name is enough, and millions of entries share it.
        if self.files.last().is_none_or(|file| file != at.file_name()) {
            self.files.push(at.file_name().to_owned());
        }
        let mut indexes = at
            .indexes()
            .map(|index| u32::try_from(index).unwrap_or(u32::MAX));
        let element = indexes.next().unwrap_or_default();
        let list = indexes.next().unwrap_or_default();
        // First of all, so that index 0 is the empty resource, which `ResourceIx::default` names.
        self.resources.insert_full(Resource::default());
        let (resource, _) = self.resources.insert_full(resource);
        let index = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.list.push(EntrySource {
            file: index(self.files.len() - 1),
            list,
            element,
            resource: ResourceIx(index(resource)),
            party_size,
            validity,
        });
    }

    fn with_place<R>(
        &self,
        sink: &DiagnosticSink,
        at: usize,
        act: impl FnOnce(&Cursor<'_>) -> R,
    ) -> R {
        let origin = self.list[at];
        let file = sink.file(&self.files[origin.file as usize]);
        let lists = file.key("service_availability");
        let list = lists.index(origin.list as usize);
        act(&list.key("availability").index(origin.element as usize))
    }

    /// Sets the parties of openings whose service has party sizes, and reports entries that bring the same
    /// spots twice.
    pub(crate) fn resolve(&self, openings: &mut [Opening], sink: &DiagnosticSink) {
        self.set_parties(openings);
        // Indexes are sorted and not openings: the order of the feed matters later.
        let mut order: Vec<usize> = (0..openings.len())
            .filter(|&at| self.list[at].validity == Validity::Valid)
            .collect();
        let compare = |one: &usize, other: &usize| self.compare(openings, *one, *other);
        order.sort_by(|one, other| {
            compare(one, other).then_with(|| start(openings, *one).cmp(&start(openings, *other)))
        });
        for alike in order.chunk_by(|one, other| compare(one, other).is_eq()) {
            self.report_collisions(openings, alike, sink);
        }
    }

    fn set_parties(&self, openings: &mut [Opening]) {
        let sized = openings
            .iter()
            .zip(&self.list)
            .filter(|(_, origin)| origin.party_size > 0);
        // One entry with a size makes sizes meaningful for the whole service; elsewhere no opening needs a
        // party.
        let services: HashSet<ServiceIx> =
            sized.map(|(opening, _)| opening.first.service).collect();
        for (opening, origin) in openings.iter_mut().zip(&self.list) {
            if services.contains(&opening.first.service) {
                let Pool {
                    tickets,
                    allotment: spots,
                } = opening.pool;
                let EntrySource {
                    resource,
                    party_size,
                    ..
                } = *origin;
                let terms = opening
                    .terms
                    .take()
                    .map_or_else(SlotTerms::default, |terms| *terms);
                let parties = vec![PartySpots {
                    tickets,
                    resource,
                    party_size,
                    spots,
                }];
                opening.terms = SlotTerms { parties, ..terms }.boxed();
            }
        }
    }

    /// Entries are alike if only starts, terms, tags and parties differ.
    fn compare(&self, openings: &[Opening], one: usize, other: usize) -> Ordering {
        let [one, other] = [one, other].map(|at| {
            let Opening { first, pool, .. } = &openings[at];
            (
                first.service,
                first.duration_sec,
                pool.tickets,
                self.list[at].resource,
            )
        });
        one.cmp(&other)
    }

    fn report_collisions(&self, openings: &[Opening], alike: &[usize], sink: &DiagnosticSink) {
        let starts: Vec<EpochSeconds> = alike.iter().map(|&at| start(openings, at)).collect();
        let are_single = alike.iter().all(|&at| openings[at].recurrence.is_none());
        // They are in the order of their starts: single ones that meet stand side by side.
        if are_single && starts.windows(2).all(|pair| pair[0] != pair[1]) {
            return;
        }
        let mut entries: Vec<Starts<'_>> = alike
            .iter()
            .map(|&at| Starts::of(at, &openings[at]))
            .collect();
        // One report for each entry: many others may collide with it.
        let (mut reported, mut warned) = (HashSet::new(), HashSet::new());
        let outcome = collisions::each(&mut entries, &mut |one, other, start_sec| {
            // The later entry is reported, because the earlier one alone would be fine.
            let (before, after) = (one.at.min(other.at), one.at.max(other.at));
            if self.list[before].party_size != self.list[after].party_size {
                if warned.insert(after) {
                    self.with_place(sink, after, warn_of_parties);
                }
            } else if reported.insert(after) {
                let other = self.with_place(sink, before, |at| at.to_string());
                self.with_place(sink, after, |at| report_twin(at, &other, start_sec));
            }
        });
        if outcome == Err(TooMany) {
            self.with_place(sink, alike[0], |at| {
                at.error("too_many", 
                    "is one of too many entries that overlap in time and are alike in service, duration, ticket \
                     types and resources; they cannot all be compared",
                );
            });
        }
    }
}

fn start(openings: &[Opening], at: usize) -> EpochSeconds {
    openings[at].first.start_sec
}

fn warn_of_parties(at: &Cursor<'_>) {
    at.warning(
        "party_sizes_share_spots",
        "describes the same spots as another entry that differs in `resources.party_size` only; the largest \
         number of spots counts",
    );
}

fn report_twin(at: &Cursor<'_>, other: &str, start_sec: EpochSeconds) {
    at.error("duplicate_slot", format!(
        "brings the slot of start {start_sec} again, as {other} does: both are alike in service, duration, \
         ticket types and `resources`; put the spots into one entry, or tell them apart by `staff_id` or `room_id`"
    ));
}
