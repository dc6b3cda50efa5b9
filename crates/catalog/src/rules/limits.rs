//! Fewest and most tickets.

use crate::{mistakes::Place, tags::SlotConditions};
use domain::catalog::{CountBounds, RuleScope, SlotLimits, TagIx, TicketIx, TicketLimits};

use super::{
    names::{self, TicketNames},
    toml::Table,
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

/// Limits, and where in the file each of their bounds stands.
struct Stated<'t> {
    limits: SlotLimits,
    bounds: Vec<Bound<'t>>,
}

/// A bound and where it stands.
struct Bound<'t> {
    at: Place<'t>,
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

/// The limits of a service: for all slots, and for some. A tag's index is asked of `tag`. Limits that
/// nobody can keep are reported.
pub(super) fn read(
    service: &Table<'_>,
    names: TicketNames<'_>,
    tag: &mut impl FnMut(&str, &Place<'_>) -> Option<TagIx>,
) -> (TicketLimits, Vec<SlotLimits>) {
    let (general, slots) = stated(service, names, tag);
    if let Some(service) = names.service {
        contradictions::report(service, general.as_ref(), &slots);
    }
    let general = general
        .map(|stated| stated.limits.limits)
        .unwrap_or_default();
    (
        general,
        slots.into_iter().map(|stated| stated.limits).collect(),
    )
}

/// Reports limits that nobody can keep in slots of these starts and tags, where nothing else is wrong with
/// the limits.
pub(super) fn check_for(
    service: &Table<'_>,
    names: TicketNames<'_>,
    tag: &mut impl FnMut(&str, &Place<'_>) -> Option<TagIx>,
    conditions: &SlotConditions,
) {
    let (general, slots) = stated(service, names, tag);
    if let Some(service) = names.service {
        contradictions::report_for(service, general.as_ref(), &slots, conditions);
    }
}

fn stated<'t>(
    service: &Table<'t>,
    names: TicketNames<'_>,
    tag: &mut impl FnMut(&str, &Place<'_>) -> Option<TagIx>,
) -> (Option<Stated<'t>>, Vec<Stated<'t>>) {
    let general = service.get("limits").and_then(|entry| entry.table(KEYS));
    let general = general.map(|table| read_bounds(&table, names, &SlotLimits::default()));
    let slots = service.tables("slot_limits", SLOT_KEYS);
    (
        general,
        slots
            .iter()
            .map(|table| read_for_slots(table, names, tag))
            .collect(),
    )
}

fn read_for_slots<'t>(
    table: &Table<'t>,
    names: TicketNames<'_>,
    tag: &mut impl FnMut(&str, &Place<'_>) -> Option<TagIx>,
) -> Stated<'t> {
    let second = |key| table.get(key).and_then(|entry| entry.integer(0..=i64::MAX));
    let (from_sec, until_sec) = (second("from_sec"), second("until_sec"));
    if let (Some(from), Some(until)) = (from_sec, until_sec)
        && from >= until
    {
        table.at.mistake(format!(
            "from_sec is {from} and until_sec {until}; expected it to end later"
        ));
    }
    if ["min", "max", "ticket"]
        .iter()
        .all(|key| table.get(key).is_none())
    {
        table
            .at
            .mistake("sets no limit; expected `min`, `max` or a table `ticket`");
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

/// Bounds of all tickets together and of single ticket types, wherever they are written.
fn read_bounds<'t>(table: &Table<'t>, names: TicketNames<'_>, of: &SlotLimits) -> Stated<'t> {
    let scope = names::scope(table);
    let mut bounds = Vec::new();
    let line = read_pair(table, scope, None, &mut bounds);
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
        if let Some(ticket) = ticket {
            tickets.push((ticket, read_pair(&table, scope, Some(ticket), &mut bounds)));
        } else {
            read_pair(&table, scope, None, &mut Vec::new());
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

fn read_pair<'t>(
    table: &Table<'t>,
    scope: RuleScope,
    ticket: Option<TicketIx>,
    bounds: &mut Vec<Bound<'t>>,
) -> CountBounds {
    let mut count = |key, side| {
        let entry = table.get(key)?;
        let count = entry.integer(0..=i32::MAX)?.unsigned_abs();
        bounds.push(Bound {
            at: entry.at,
            side,
            scope,
            ticket,
            count,
        });
        Some(count)
    };
    CountBounds {
        min: count("min", Side::Min),
        max: count("max", Side::Max),
    }
}
