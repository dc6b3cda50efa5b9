//! Limits on ticket counts.

use crate::{diagnostics::Cursor, tags::SlotConditions};
use domain::{
    catalog::{CountBounds, RuleScope, Service, SlotLimits, TagIx, TicketIx, TicketLimits},
    time::EpochSeconds,
};

use super::{
    names::{self, TicketNames},
    toml::TomlTable,
};

mod contradictions;

/// Keys of the limits for all slots.
const KEYS: &[&str] = &["scope", "min", "max", "ticket"];

/// Keys of the limits for some slots.
const SLOT_KEYS: &[&str] = &[
    "availability_tag",
    "from_sec",
    "until_sec",
    "scope",
    "min",
    "max",
    "ticket",
];

/// Limits, with the location of each bound.
struct Stated<'t> {
    limits: SlotLimits,
    bounds: Vec<LimitBound<'t>>,
}

/// A bound with its location.
struct LimitBound<'t> {
    at: Cursor<'t>,
    side: Side,
    scope: RuleScope,
    /// The ticket type that is counted; `None` for all tickets together.
    ticket: Option<TicketIx>,
    count: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Min,
    Max,
}

/// The limits of a service, with their places in the file.
pub(crate) struct ServiceLimits<'t> {
    /// For all slots.
    general: Option<Stated<'t>>,
    /// For some slots.
    slots: Vec<Stated<'t>>,
}

impl<'t> ServiceLimits<'t> {
    /// Reads the limits of a `[[service]]` table. `tag` gives the index of a tag. Limits that no line can
    /// keep are reported.
    pub(super) fn read(
        service: &TomlTable<'t>,
        names: TicketNames<'_>,
        tag: &mut impl FnMut(&str, &Cursor<'_>) -> Option<TagIx>,
    ) -> Self {
        let general = service
            .get("limits")
            .and_then(|entry| entry.table(KEYS))
            .map(|table| read_bounds(&table, names, &SlotLimits::default()));
        let slots = service.tables("slot_limits", SLOT_KEYS);
        let limits = Self {
            general,
            slots: slots
                .iter()
                .map(|table| read_for_slots(table, names, tag))
                .collect(),
        };
        // The rules of an unknown service have its error already; contradictions would only add to it.
        if let Some(service) = names.service {
            contradictions::report(service, limits.general.as_ref(), &limits.slots);
        }
        limits
    }

    /// Reports limits that no line can keep in slots of these starts and tags.
    pub(crate) fn report_contradictions_in(&self, service: &Service, conditions: &SlotConditions) {
        contradictions::report_for(service, self.general.as_ref(), &self.slots, conditions);
    }

    /// The limits for all slots, in the form of the catalogue.
    pub(super) fn general(&self) -> TicketLimits {
        self.general
            .as_ref()
            .map(|stated| stated.limits.limits.clone())
            .unwrap_or_default()
    }

    /// The limits for some slots, in the form of the catalogue.
    pub(super) fn of_slots(&self) -> Vec<SlotLimits> {
        self.slots.iter().map(|slot| slot.limits.clone()).collect()
    }
}

fn read_for_slots<'t>(
    table: &TomlTable<'t>,
    names: TicketNames<'_>,
    tag: &mut impl FnMut(&str, &Cursor<'_>) -> Option<TagIx>,
) -> Stated<'t> {
    let second = |key| {
        let entry = table.get(key)?;
        entry.integer(0..=i64::MAX).map(EpochSeconds::new)
    };
    let (from_sec, until_sec) = (second("from_sec"), second("until_sec"));
    if let (Some(from), Some(until)) = (from_sec, until_sec)
        && from >= until
    {
        table.at.error(
            "contradiction",
            format!("from_sec is {from} and until_sec {until}; expected it to end later"),
        );
    }
    // Limits without a bound have no effect, so something was forgotten or misspelt.
    if ["min", "max", "ticket"]
        .iter()
        .all(|key| table.get(key).is_none())
    {
        table.at.error(
            "empty",
            "sets no limit; expected `min`, `max` or a table `ticket`",
        );
    }
    let tag = table
        .get("availability_tag")
        .and_then(|entry| tag(entry.text()?, &entry.at));
    read_bounds(
        table,
        names,
        &SlotLimits {
            tag,
            from_sec,
            until_sec,
            ..SlotLimits::default()
        },
    )
}

/// The bounds of a table: of all tickets together and of single ticket types.
fn read_bounds<'t>(table: &TomlTable<'t>, names: TicketNames<'_>, of: &SlotLimits) -> Stated<'t> {
    let scope = names::scope(table);
    let (line, mut bounds) = read_pair(table, scope, None);
    let mut tickets: Vec<(TicketIx, CountBounds)> = Vec::new();
    for (id, entry) in table
        .get("ticket")
        .and_then(|entry| entry.members())
        .unwrap_or_default()
    {
        let ticket = names.ticket(id, &entry.at);
        let Some(table) = entry.table(&["min", "max"]) else {
            continue;
        };
        // Read even if the ticket type is unknown, so that errors in its bounds are reported.
        let (pair, found) = read_pair(&table, scope, ticket);
        if let Some(ticket) = ticket {
            tickets.push((ticket, pair));
            bounds.extend(found);
        }
    }
    let limits = TicketLimits {
        scope,
        line,
        tickets,
    };
    let SlotLimits {
        tag,
        from_sec,
        until_sec,
        limits: _,
    } = *of;
    Stated {
        limits: SlotLimits {
            tag,
            from_sec,
            until_sec,
            limits,
        },
        bounds,
    }
}

/// `min` and `max` of a table, with their locations.
fn read_pair<'t>(
    table: &TomlTable<'t>,
    scope: RuleScope,
    ticket: Option<TicketIx>,
) -> (CountBounds, Vec<LimitBound<'t>>) {
    let mut bounds = Vec::new();
    let mut count = |key, side| {
        let entry = table.get(key)?;
        // At most 31 bits, because counts of the contract are `int32`.
        let count = entry.integer(0..=i32::MAX)?.unsigned_abs();
        bounds.push(LimitBound {
            at: entry.at,
            side,
            scope,
            ticket,
            count,
        });
        Some(count)
    };
    let pair = CountBounds {
        min: count("min", Side::Min),
        max: count("max", Side::Max),
    };
    (pair, bounds)
}
