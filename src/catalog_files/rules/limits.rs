//! Fewest and most tickets.

use crate::{
    catalog_files::mistakes::Place,
    domain::catalog::{CountBounds, SlotLimits, TagIx, TicketIx, TicketLimits, TicketRules},
};

use super::{names::TicketNames, toml::Table};

/// Keys of the limits for all slots.
pub(super) const KEYS: &[&str] = &["min", "max", "ticket"];

/// Keys of the limits for some slots.
pub(super) const SLOT_KEYS: &[&str] = &["availability_tag", "from_sec", "until_sec", "min", "max", "ticket"];

/// Bounds of a line and of single ticket types, wherever they are written.
pub(super) fn read(table: &Table<'_>, names: TicketNames<'_>) -> TicketLimits {
    let tickets = table.get("ticket").and_then(|entry| entry.members()).unwrap_or_default();
    let tickets: Vec<(TicketIx, CountBounds)> = tickets
        .into_iter()
        .filter_map(|(id, entry)| {
            let ticket = names.ticket(id, &entry.at);
            let bounds = bounds(&entry.table(&["min", "max"])?);
            Some((ticket?, bounds))
        })
        .collect();
    TicketLimits { line: bounds(table), tickets }
}

fn bounds(table: &Table<'_>) -> CountBounds {
    let count = |key| table.get(key).and_then(|entry| entry.integer(0..=i32::MAX));
    let count = |key| count(key).map(i32::unsigned_abs);
    CountBounds { min: count("min"), max: count("max") }
}

/// Bounds for some slots. The tag's index is asked of `tag`.
pub(super) fn read_for_slots(
    table: &Table<'_>,
    names: TicketNames<'_>,
    tag: &mut impl FnMut(&str, &Place<'_>) -> Option<TagIx>,
) -> SlotLimits {
    let second = |key| table.get(key).and_then(|entry| entry.integer(0..=i64::MAX));
    let (from_sec, until_sec) = (second("from_sec"), second("until_sec"));
    if let (Some(from), Some(until)) = (from_sec, until_sec)
        && from >= until
    {
        table.at.mistake(format!("from_sec is {from} and until_sec {until}; expected it to end later"));
    }
    let limits = read(table, names);
    if ["min", "max", "ticket"].iter().all(|key| table.get(key).is_none()) {
        table.at.mistake("sets no limit; expected `min`, `max` or a table `ticket`");
    }
    let tag = table.get("availability_tag").and_then(|entry| tag(entry.text()?, &entry.at));
    SlotLimits { tag, from_sec, until_sec, limits }
}

/// Why no line can keep these limits, one sentence each.
pub(super) fn contradictions(limits: &TicketLimits, names: TicketNames<'_>) -> Vec<String> {
    let mut found: Vec<String> = crossed(limits.line, "a line").into_iter().collect();
    for &(ticket, bounds) in &limits.tickets {
        let Some(service) = names.service else { continue };
        let whose = format!("ticket type {:?}", service.ticket(ticket).id);
        found.extend(crossed(bounds, &whose));
        if let (Some(min), Some(max)) = (bounds.min, limits.line.max)
            && min > max
        {
            found.push(format!("{whose} has a min of {min}, but the whole line a max of {max}"));
        }
    }
    found
}

fn crossed(CountBounds { min, max }: CountBounds, whose: &str) -> Option<String> {
    let (min, max) = (min?, max?);
    (min > max).then(|| format!("{whose} has a min of {min} and a max of {max}"))
}

/// The limits of some slots together with the general ones, as they are in force there.
pub(super) fn in_force(general: &TicketLimits, slots: &SlotLimits) -> TicketLimits {
    let everywhere = SlotLimits { limits: slots.limits.clone(), ..SlotLimits::default() };
    let rules =
        TicketRules { limits: general.clone(), slot_limits: vec![everywhere], ..TicketRules::default() };
    rules.limits_for(0, None)
}
