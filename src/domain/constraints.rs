//! Which tickets may stand in one line: known types, sensible counts, company of adults, bounds.

use super::{
    catalog::{ChildRule, CountBounds, Service, TicketIx, TicketLimits},
    order::OrderedTickets,
    slot::{Claimed, Slot},
    wording::{listed, quoted},
};

/// The tickets of a line by type, each type once and every count above zero.
pub type TicketCounts = Vec<(TicketIx, u32)>;

/// A bound that a line breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViolatedConstraint {
    /// The bound.
    pub bound: Bound,
    /// The ticket type it is for; `None` for the whole line.
    pub ticket_id: Option<String>,
}

/// The side of a bound that was crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Fewer tickets than this.
    Min(u32),
    /// More tickets than this.
    Max(u32),
}

/// Reads the tickets of a line. Entries of one type are added up.
///
/// # Errors
/// A sentence for every entry that is of an unknown type, not above zero, or not sold in the slot
/// (where the slot is known); of very many faults, the first and the number of the others.
pub fn read_tickets(
    service: &Service,
    slot: Option<&Slot>,
    tickets: &[OrderedTickets],
) -> Result<TicketCounts, Vec<String>> {
    let mut counts = TicketCounts::new();
    let faults = listed(tickets.iter().filter_map(|entry| match read_entry(service, slot, entry) {
        Ok((ticket, count)) => {
            add(&mut counts, ticket, count);
            None
        }
        Err(fault) => Some(fault),
    }));
    if faults.is_empty() { Ok(counts) } else { Err(faults) }
}

fn read_entry(
    service: &Service,
    slot: Option<&Slot>,
    entry: &OrderedTickets,
) -> Result<(TicketIx, u32), String> {
    let id = quoted(&entry.ticket_id);
    let ticket = service
        .ticket_ix(&entry.ticket_id)
        .ok_or_else(|| format!("ticket type {id} is not one of service {:?}", service.id))?;
    if slot.is_some_and(|slot| !slot.sells(service, Claimed::Ticket(ticket))) {
        return Err(format!("ticket type {id} is not sold in this slot"));
    }
    match u32::try_from(entry.count) {
        Ok(count) if count > 0 => Ok((ticket, count)),
        Ok(_) | Err(_) => {
            Err(format!("ticket type {id} has a count of {}; it must be above zero", entry.count))
        }
    }
}

fn add(counts: &mut TicketCounts, ticket: TicketIx, count: u32) {
    match counts.iter_mut().find(|(known, _)| *known == ticket) {
        Some((_, sum)) => *sum = sum.saturating_add(count),
        None => counts.push((ticket, count)),
    }
}

/// Combination rules between ticket types that the line breaks, one sentence each.
#[must_use]
pub fn combination_faults(service: &Service, counts: &TicketCounts) -> Vec<String> {
    let has = |ticket: &TicketIx| counts.iter().any(|(known, _)| known == ticket);
    let names = |tickets: &[TicketIx]| {
        let quoted = tickets.iter().map(|&ticket| format!("{:?}", service.ticket(ticket).id));
        quoted.collect::<Vec<_>>().join(", ")
    };
    let forbidden = service
        .rules
        .forbidden
        .iter()
        .filter(|set| set.iter().filter(|ticket| has(ticket)).count() > 1)
        .map(|set| format!("ticket types {} cannot be combined", names(set)));
    let missing =
        service.rules.required.iter().filter(|rule| has(&rule.ticket) && !rule.any_of.iter().any(has)).map(
            |rule| format!("ticket type {} needs one of {}", names(&[rule.ticket]), names(&rule.any_of)),
        );
    forbidden.chain(missing).collect()
}

/// The first rule on children that the line breaks, as a sentence.
#[must_use]
pub fn child_fault(service: &Service, counts: &TicketCounts) -> Option<String> {
    let sum = |tickets: &[TicketIx]| -> u64 {
        let of_these = counts.iter().filter(|(ticket, _)| tickets.contains(ticket));
        of_these.map(|&(_, count)| u64::from(count)).sum()
    };
    service.rules.children.iter().find_map(|ChildRule { children, adults, per_adult }| {
        let (children, adults) = (sum(children), sum(adults));
        if children == 0 {
            return None;
        }
        match per_adult {
            _ if adults == 0 => Some("tickets for children need an adult ticket in the same line".to_owned()),
            Some(most) if children > adults.saturating_mul(u64::from(*most)) => {
                Some(format!("one adult ticket covers at most {most} tickets for children"))
            }
            Some(_) | None => None,
        }
    })
}

/// Every bound that the line breaks: first the line's own, then those of its ticket types in the
/// order in which they were asked.
#[must_use]
pub fn violated_limits(
    service: &Service,
    limits: &TicketLimits,
    counts: &TicketCounts,
) -> Vec<ViolatedConstraint> {
    let total: u64 = counts.iter().map(|&(_, count)| u64::from(count)).sum();
    let line =
        broken(limits.line, total).into_iter().map(|bound| ViolatedConstraint { bound, ticket_id: None });
    let tickets = counts.iter().flat_map(|&(ticket, count)| {
        let bounds = limits.tickets.iter().find(|(known, _)| *known == ticket);
        let bounds = bounds.map(|&(_, bounds)| bounds).unwrap_or_default();
        broken(bounds, u64::from(count)).into_iter().map(move |bound| ViolatedConstraint {
            bound,
            ticket_id: Some(service.ticket(ticket).id.clone()),
        })
    });
    line.chain(tickets).collect()
}

/// Bounds that a line breaks, as a sentence.
#[must_use]
pub fn violations_in_words(violated: &[ViolatedConstraint]) -> String {
    let bounds = violated.iter().map(|ViolatedConstraint { bound, ticket_id }| {
        let of_what = ticket_id.as_ref().map_or_else(|| "in all".to_owned(), |id| format!("of {id:?}"));
        match bound {
            Bound::Min(count) => format!("at least {count} {of_what}"),
            Bound::Max(count) => format!("at most {count} {of_what}"),
        }
    });
    format!("the merchant sells other numbers of tickets: {}", listed(bounds).join(", "))
}

fn broken(bounds: CountBounds, count: u64) -> Option<Bound> {
    let too_few = bounds.min.filter(|&min| count < u64::from(min)).map(Bound::Min);
    let too_many = bounds.max.filter(|&max| count > u64::from(max)).map(Bound::Max);
    too_few.or(too_many)
}

#[cfg(test)]
mod tests;
