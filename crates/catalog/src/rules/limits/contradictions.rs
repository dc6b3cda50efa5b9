//! Limits that no line can keep.
//!
//! The bounds in force depend on the start and the tags of a slot. They are checked for slots without tags
//! and with each single tag, at every moment at which other bounds begin to apply. Slots with several tags
//! are checked once the availability is known.

use std::{collections::BTreeSet, fmt};

use super::{LimitBound, Side, Stated};
use crate::tags::SlotConditions;
use domain::{
    catalog::{RuleScope, Service, TagIx, TicketIx},
    time::EpochSeconds,
};

/// Most sets of ticket types that are tried to find a sellable one. Beyond it, limits are assumed to be
/// consistent.
const MAX_TRIES: usize = 10_000;

/// Most bounds that are named in one report.
const MAX_NAMED: usize = 5;

/// Reports the contradictions for slots without tags and with each single one.
pub(super) fn report(service: &Service, general: Option<&Stated<'_>>, slots: &[Stated<'_>]) {
    report_for(service, general, slots, &conditions(slots));
}

/// Reports every contradiction for slots of these starts and tags once, at one of its bounds.
pub(super) fn report_for(
    service: &Service,
    general: Option<&Stated<'_>>,
    slots: &[Stated<'_>],
    conditions: &SlotConditions,
) {
    let mut reported = BTreeSet::new();
    for (start_sec, tags) in conditions {
        let in_force = BoundsInForce {
            service,
            bounds: bounds_in_force(general, slots, *start_sec, tags),
        };
        for (bound, text) in in_force.contradictions() {
            // Many conditions show the same contradiction; one report each.
            if reported.insert((bound.at.to_string(), text.clone())) {
                bound.at.error("contradiction", text);
            }
        }
    }
}

/// Starts and tags that cover all combinations of limits.
fn conditions(slots: &[Stated<'_>]) -> SlotConditions {
    let tags: BTreeSet<Option<TagIx>> = slots
        .iter()
        .map(|slot| slot.limits.tag)
        .chain([None])
        .collect();
    let mut conditions = SlotConditions::new();
    for tag in tags {
        let of_tag = slots
            .iter()
            .map(|slot| &slot.limits)
            .filter(|limits| limits.tag.is_none_or(|it| Some(it) == tag));
        let moments = of_tag
            .flat_map(|limits| [limits.from_sec, limits.until_sec])
            .flatten();
        // Limits change only at these moments, so one start stands for all up to the next one.
        for start_sec in moments.chain([EpochSeconds::MIN]) {
            conditions.insert((start_sec, Vec::from_iter(tag)));
        }
    }
    conditions
}

/// The bounds in force for a slot: the strictest of the slot limits, or else the general bound.
fn bounds_in_force<'a, 't>(
    general: Option<&'a Stated<'t>>,
    slots: &'a [Stated<'t>],
    start_sec: EpochSeconds,
    tags: &[TagIx],
) -> Vec<&'a LimitBound<'t>> {
    let mut in_force: Vec<&LimitBound<'_>> = Vec::new();
    let of_slot = slots
        .iter()
        .filter(|slot| slot.limits.applies_to(start_sec, tags));
    for bound in of_slot.flat_map(|slot| &slot.bounds) {
        match in_force
            .iter_mut()
            .find(|known| known.counts_the_same_as(bound))
        {
            Some(known) if bound.is_stricter_than(known) => *known = bound,
            Some(_) => {}
            None => in_force.push(bound),
        }
    }
    for bound in general.into_iter().flat_map(|general| &general.bounds) {
        if !in_force.iter().any(|known| known.counts_the_same_as(bound)) {
            in_force.push(bound);
        }
    }
    in_force
}

impl LimitBound<'_> {
    fn counts_the_same_as(&self, other: &Self) -> bool {
        (self.side, self.scope, self.ticket) == (other.side, other.scope, other.ticket)
    }

    fn is_stricter_than(&self, other: &Self) -> bool {
        match self.side {
            Side::Min => self.count > other.count,
            Side::Max => self.count < other.count,
        }
    }
}

/// Bounds that apply together.
struct BoundsInForce<'a, 't> {
    service: &'a Service,
    bounds: Vec<&'a LimitBound<'t>>,
}

impl<'a, 't> BoundsInForce<'a, 't> {
    fn contradictions(&self) -> Vec<(&'a LimitBound<'t>, String)> {
        let mins = self.bounds.iter().filter(|bound| bound.side == Side::Min);
        let found: Vec<_> = mins.clone().flat_map(|min| self.against_one(min)).collect();
        // A direct contradiction explains the case best, so the search for indirect ones is skipped then.
        if found.is_empty() {
            mins.filter_map(|min| self.against_all(min)).collect()
        } else {
            found
        }
    }

    /// The maxima that a minimum exceeds.
    fn against_one(
        &self,
        min: &'a LimitBound<'t>,
    ) -> impl Iterator<Item = (&'a LimitBound<'t>, String)> {
        let exceeded = self
            .bounds
            .iter()
            .filter(|max| max.side == Side::Max && binds(max, min));
        exceeded.filter(|max| min.count > max.count).map(|max| {
            let whom = if min.ticket.is_some() {
                "no line with such a ticket"
            } else {
                "no line"
            };
            let (max_name, min_name) = (self.name(max), self.name(min));
            (
                *max,
                format!(
                    "{max_name} contradicts {min_name} at {}: {whom} can keep both",
                    min.at
                ),
            )
        })
    }

    /// The contradiction between a minimum of all tickets together and the maxima of the sellable types.
    fn against_all(&self, min: &'a LimitBound<'t>) -> Option<(&'a LimitBound<'t>, String)> {
        if min.ticket.is_some() || self.service.tickets.is_empty() || self.can_be_reached(min) {
            return None;
        }
        let maxima = self
            .bounds
            .iter()
            .filter(|max| max.side == Side::Max && max.scope_binds(min));
        let named: Vec<String> = maxima
            .take(MAX_NAMED)
            .map(|max| format!("{} at {}", self.name(max), max.at))
            .collect();
        let text = format!(
            "{} contradicts {}: no line can keep all of them",
            self.name(min),
            named.join(", ")
        );
        Some((min, text))
    }

    fn can_be_reached(&self, min: &LimitBound<'_>) -> bool {
        let strictest = |side, ticket| {
            let bounds = self.bounds.iter();
            let bounds = bounds.filter(move |bound| bound.side == side && bound.ticket == ticket);
            let bounds = bounds.filter(move |bound| match side {
                Side::Min => bound.scope == min.scope,
                Side::Max => bound.scope_binds(min),
            });
            bounds.map(|bound| u64::from(bound.count))
        };
        let most = strictest(Side::Max, None).min().unwrap_or(u64::MAX);
        let range = |ticket: TicketIx| {
            // At least one, because a bound of a type applies only if it is in the line.
            let fewest = strictest(Side::Min, Some(ticket)).max().unwrap_or(0).max(1);
            (
                fewest,
                strictest(Side::Max, Some(ticket))
                    .min()
                    .unwrap_or(u64::from(u32::MAX)),
            )
        };
        let ranges = self
            .service
            .tickets
            .iter()
            .map(|ticket| (ticket.ix, range(ticket.ix)));
        let mut ranges: Vec<_> = ranges
            .filter(|(_, (fewest, most))| fewest <= most)
            .collect();
        // With the most of one type, as a rule, the first try will do.
        ranges.sort_by_key(|(_, (_, most))| std::cmp::Reverse(*most));
        let mut search = TicketSearch {
            ranges,
            wanted: (min.count.into(), most),
            tries: MAX_TRIES,
        };
        min.count == 0 || search.finds(0, (0, 0))
    }

    fn name(&self, bound: &LimitBound<'_>) -> impl fmt::Display {
        let side = match bound.side {
            Side::Min => "min",
            Side::Max => "max",
        };
        match bound.ticket {
            None => format!("`{side}` of {}", bound.count),
            Some(ticket) => format!(
                "`ticket.{}.{side}` of {}",
                self.service.ticket(ticket).id,
                bound.count
            ),
        }
    }
}

/// Whether a maximum covers what a minimum counts: the same tickets or more.
fn binds(max: &LimitBound<'_>, min: &LimitBound<'_>) -> bool {
    max.scope_binds(min) && (max.ticket.is_none() || max.ticket == min.ticket)
}

impl LimitBound<'_> {
    /// Whether this scope contains the scope of a minimum: all lines of a slot may have more tickets than
    /// one of them.
    fn scope_binds(&self, min: &LimitBound<'_>) -> bool {
        min.scope == RuleScope::Line || self.scope == RuleScope::Slot
    }
}

/// A search for ticket types whose possible counts meet the wanted bounds.
struct TicketSearch {
    /// Fewest and most tickets of each type, if it is in the line.
    ranges: Vec<(TicketIx, (u64, u64))>,
    wanted: (u64, u64),
    tries: usize,
}

impl TicketSearch {
    /// Whether types from index `at` on, with `fewest` to `most` tickets chosen so far, reach the wanted
    /// bounds.
    fn finds(&mut self, at: usize, (fewest, most): (u64, u64)) -> bool {
        // Out of tries: an error must be certain, so doubt means sellable.
        if self.tries == 0 {
            return true;
        }
        self.tries -= 1;
        // Cuts the search: what is left cannot bring the sum into the bounds.
        let rest: u64 = self.ranges[at..].iter().map(|(_, (_, most))| most).sum();
        if fewest > self.wanted.1 || most + rest < self.wanted.0 {
            return false;
        }
        if fewest > 0 && most >= self.wanted.0 {
            return true;
        }
        let Some((_, (more, up_to))) = self.ranges.get(at).copied() else {
            return false;
        };
        self.finds(at + 1, (fewest + more, most + up_to)) || self.finds(at + 1, (fewest, most))
    }
}
