//! Availability tags that rules name; others have no effect.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{
    catalog::{Catalog, ServiceIx, SlotLimits, TagIx},
    slot::{Opening, SlotKey},
    time::EpochSeconds,
};

use super::diagnostics::{Cursor, Diagnostic, Severity};

/// Most starts of tagged entries that are searched for slots with several tags. Limits of later slots are
/// not checked.
const MAX_STARTS: usize = 1_000_000;

/// Starts and tags of slots with different limits. A start stands for all starts up to the next moment at
/// which other limits apply.
pub(super) type SlotConditions = BTreeSet<(EpochSeconds, Vec<TagIx>)>;

/// The slots with several tags by which the limits of their service differ.
pub(super) fn combinations(
    catalog: &Catalog,
    openings: &[Opening],
) -> BTreeMap<ServiceIx, SlotConditions> {
    let mut tags_of: HashMap<SlotKey, Vec<TagIx>> = HashMap::new();
    let limits_of = |service| &catalog.service(service).rules.slot_limits;
    // With one tag at most, no slot has two, and the search is saved.
    let differ = |limits: &[SlotLimits]| {
        limits
            .iter()
            .filter_map(|it| it.tag)
            .collect::<BTreeSet<_>>()
            .len()
            > 1
    };
    let mut services: HashMap<ServiceIx, bool> = HashMap::new();
    let tagged = openings
        .iter()
        .filter_map(|opening| Some((opening, &opening.terms.as_ref()?.tags)));
    let tagged = tagged.filter(|(opening, tags)| {
        let service = opening.first.service;
        !tags.is_empty()
            && *services
                .entry(service)
                .or_insert_with(|| differ(limits_of(service)))
    });
    let slots = tagged.flat_map(|(opening, tags)| {
        let starts = opening.starts(EpochSeconds::new(1), EpochSeconds::MAX);
        starts.map(move |start_sec| {
            (
                SlotKey {
                    start_sec,
                    ..opening.first
                },
                tags,
            )
        })
    });
    // A recurrence may be endless, so the number of starts is bounded and not the time.
    for (slot, tags) in slots.take(MAX_STARTS) {
        tags_of.entry(slot).or_default().extend(tags);
    }
    let mut found: BTreeMap<ServiceIx, SlotConditions> = BTreeMap::new();
    for (slot, mut tags) in tags_of {
        tags.sort_unstable();
        tags.dedup();
        if tags.len() > 1 {
            let moments = limits_of(slot.service)
                .iter()
                .flat_map(|it| [it.from_sec, it.until_sec])
                .flatten();
            // Slots between two changes of limits have the same bounds: one of them stands for all.
            let since = moments
                .filter(|moment| *moment <= slot.start_sec)
                .max()
                .unwrap_or(EpochSeconds::MIN);
            found.entry(slot.service).or_default().insert((since, tags));
        }
    }
    found
}

/// The tags that rules name, by service.
#[derive(Debug, Default)]
pub(super) struct Tags(HashMap<ServiceIx, Vec<Tag>>);

#[derive(Debug)]
struct Tag {
    name: String,
    /// Whether an entry of the availability feed has the tag.
    is_used: bool,
    /// The warning if no entry has it.
    otherwise: Diagnostic,
}

impl Tags {
    /// The index of a tag that a rule names. Too many tags are reported.
    pub(super) fn of_rules(
        &mut self,
        service: ServiceIx,
        name: &str,
        at: &Cursor<'_>,
    ) -> Option<TagIx> {
        let tags = self.0.entry(service).or_default();
        let known = tags.iter().position(|tag| tag.name == name);
        // The warning is built here, where the place in the rules is known, and used only if no entry has
        // the tag.
        let ix = known.unwrap_or_else(|| {
            let otherwise = at.diagnostic(
                Severity::Warning,
                "tag_without_availability",
                format!("no availability of the service has the tag {name:?}"),
            );
            tags.push(Tag {
                name: name.to_owned(),
                is_used: false,
                otherwise,
            });
            tags.len() - 1
        });
        let ix = u16::try_from(ix).ok().map(TagIx);
        if ix.is_none() {
            at.error(
                "too_many",
                "exceeds the maximum of 65536 tags in the rules of one service",
            );
        }
        ix
    }

    /// The index of the tag of a feed entry, if a rule names it.
    pub(super) fn of_entry(&mut self, service: ServiceIx, name: &str) -> Option<TagIx> {
        let tags = self.0.get_mut(&service)?;
        let ix = tags.iter().position(|tag| tag.name == name)?;
        tags[ix].is_used = true;
        u16::try_from(ix).ok().map(TagIx)
    }

    /// Warnings about tags that no entry has, in the order of services. Such a tag may be misspelt, or the
    /// last slots with it may be over.
    pub(super) fn unused(self) -> Vec<Diagnostic> {
        let mut services: Vec<(ServiceIx, Vec<Tag>)> = self.0.into_iter().collect();
        services.sort_by_key(|&(service, _)| service);
        let tags = services.into_iter().flat_map(|(_, tags)| tags);
        tags.filter(|tag| !tag.is_used)
            .map(|tag| tag.otherwise)
            .collect()
    }
}
