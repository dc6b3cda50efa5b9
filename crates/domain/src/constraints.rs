//! Rules on the tickets of a line: known types, valid counts, adults, bounds.

use std::ops::Deref;

use smallvec::SmallVec;

use super::{
    catalog::{CountBounds, ForbiddenTickets, RequiredTicket, RuleScope, Service, TagIx, TicketIx},
    faults::{ChildFault, Faults, TicketFault},
    ids::TicketId,
    order::OrderedTickets,
    slot::{Claimed, Slot},
    time::EpochSeconds,
};

/// The tickets of a line by type, each type once and every count above zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TicketCounts(SmallVec<[(TicketIx, u32); 4]>);

impl TicketCounts {
    /// Adds tickets of a type.
    pub(super) fn add(&mut self, ticket: TicketIx, count: u32) {
        match self.0.iter_mut().find(|(known, _)| *known == ticket) {
            // Saturating: counts are the caller's. A count at the limit fits no slot, so nothing is sold by
            // mistake.
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => self.0.push((ticket, count)),
        }
    }
}

impl Deref for TicketCounts {
    type Target = [(TicketIx, u32)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A bound that a line violates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViolatedConstraint {
    /// The bound.
    pub bound: CountLimit,
    /// The ticket type it is for; `None` for the whole line.
    pub ticket_id: Option<TicketId>,
}

/// The side of a violated bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountLimit {
    /// Fewer tickets than this.
    Min(u32),
    /// More tickets than this.
    Max(u32),
}

/// Reads the tickets of a line. Entries of one type are added up.
///
/// # Errors
/// Every entry that is of an unknown type, not above zero, or not sold in the slot (where the slot is
/// known).
pub fn read_tickets(
    service: &Service,
    slot: Option<&Slot>,
    tickets: &[OrderedTickets],
) -> Result<TicketCounts, Faults<TicketFault>> {
    let mut counts = TicketCounts::default();
    let mut faults = Vec::new();
    for entry in tickets {
        // Every entry is read, so that the caller learns of all faults at once.
        match read_entry(service, slot, entry) {
            Ok((ticket, count)) => counts.add(ticket, count),
            Err(fault) => faults.push(fault),
        }
    }
    match Faults::of(faults) {
        None => Ok(counts),
        Some(faults) => Err(faults),
    }
}

fn read_entry(
    service: &Service,
    slot: Option<&Slot>,
    entry: &OrderedTickets,
) -> Result<(TicketIx, u32), TicketFault> {
    let OrderedTickets { ticket_id, count } = entry;
    let Some(ticket) = service.ticket_ix(ticket_id) else {
        return Err(TicketFault::UnknownType {
            ticket: ticket_id.clone(),
            service: service.id.clone(),
        });
    };
    // An unknown slot is a fault of its own; here it must not make every ticket type wrong.
    if slot.is_some_and(|slot| !slot.sells(service, Claimed::Ticket(ticket))) {
        return Err(TicketFault::NotSoldInSlot(ticket_id.clone()));
    }
    match u32::try_from(*count) {
        Ok(count) if count > 0 => Ok((ticket, count)),
        Ok(_) | Err(_) => Err(TicketFault::BadCount {
            ticket: ticket_id.clone(),
            count: *count,
        }),
    }
}

/// The tickets that rules see: of the line, and of all lines of its slot.
#[derive(Debug, Clone, Copy)]
pub struct Party<'a> {
    /// The line's own.
    pub line: &'a [(TicketIx, u32)],
    /// Those of all lines of the order that are for the same slot, its own among them.
    pub slot: &'a [(TicketIx, u32)],
}

impl<'a> Party<'a> {
    /// A line that is the only one of its slot.
    #[must_use]
    pub fn alone(line: &'a [(TicketIx, u32)]) -> Self {
        Self { line, slot: line }
    }

    /// The tickets that a rule of that scope covers.
    fn within(self, scope: RuleScope) -> &'a [(TicketIx, u32)] {
        match scope {
            RuleScope::Line => self.line,
            RuleScope::Slot => self.slot,
        }
    }
}

fn has(counts: &[(TicketIx, u32)], ticket: TicketIx) -> bool {
    counts.iter().any(|(known, _)| *known == ticket)
}

fn sum_of(counts: &[(TicketIx, u32)], tickets: &[TicketIx]) -> u64 {
    let of_these = counts.iter().filter(|(ticket, _)| tickets.contains(ticket));
    // In 64 bits: two counts of 32 bits may overflow 32.
    of_these.map(|&(_, count)| u64::from(count)).sum()
}

/// Combination rules that the line breaks. A rule on all lines of a slot is reported for the lines with
/// tickets that it names.
#[must_use]
pub fn combination_faults(service: &Service, party: Party<'_>) -> Vec<TicketFault> {
    let mut faults = Vec::new();
    for ForbiddenTickets { tickets, scope } in &service.rules.forbidden {
        let counts = party.within(*scope);
        // A line without these tickets is not at fault, even if other lines of the slot are.
        let is_about_line = tickets.iter().any(|&ticket| has(party.line, ticket));
        let there = tickets
            .iter()
            .filter(|&&ticket| has(counts, ticket))
            .count();
        if is_about_line && there > 1 {
            faults.push(TicketFault::ForbiddenTogether(ids(service, tickets)));
        }
    }
    for RequiredTicket {
        ticket,
        any_of,
        scope,
    } in &service.rules.required
    {
        let counts = party.within(*scope);
        if has(party.line, *ticket) && !any_of.iter().any(|&other| has(counts, other)) {
            faults.push(TicketFault::NeedsOneOf {
                ticket: service.ticket(*ticket).id.clone(),
                any_of: ids(service, any_of),
            });
        }
    }
    faults
}

fn ids(service: &Service, tickets: &[TicketIx]) -> Vec<TicketId> {
    tickets
        .iter()
        .map(|&ticket| service.ticket(ticket).id.clone())
        .collect()
}

/// The first rule on children that the line breaks. A rule on all lines of a slot is reported for the lines
/// with children.
#[must_use]
pub fn child_fault(service: &Service, party: Party<'_>) -> Option<ChildFault> {
    for rule in &service.rules.children {
        if sum_of(party.line, &rule.children) == 0 {
            continue;
        }
        let counts = party.within(rule.scope);
        let children = sum_of(counts, &rule.children);
        let adults = sum_of(counts, &rule.adults);
        // Before the ratio, which a rule may leave out: children never come alone.
        if adults == 0 {
            return Some(ChildFault::NoAdult(rule.scope));
        }
        let Some(per_adult) = rule.per_adult else {
            continue;
        };
        // Both factors may be as large as an order likes: a product beyond measure bounds nothing.
        if children > adults.saturating_mul(u64::from(per_adult)) {
            return Some(ChildFault::TooManyChildren { per_adult });
        }
    }
    None
}

/// Every bound that the line violates: first those of all tickets, then those of its ticket types in the
/// requested order. Of two bounds on one side of one count, the stricter.
#[must_use]
pub fn violated_limits(
    service: &Service,
    start_sec: EpochSeconds,
    tags: &[TagIx],
    party: Party<'_>,
) -> Vec<ViolatedConstraint> {
    let counted = std::iter::once(None).chain(party.line.iter().map(|&(ticket, _)| Some(ticket)));
    let broken = counted.flat_map(|ticket| {
        // Both scopes may bound the same count; the caller reads one bound per side.
        let broken = [RuleScope::Line, RuleScope::Slot].map(|scope| {
            let count = count_of(party.within(scope), ticket);
            broken(service.rules.bounds(start_sec, tags, scope, ticket), count)
        });
        let CountBounds { min, max } = broken[0].and(broken[1]);
        let bounds = min
            .map(CountLimit::Min)
            .into_iter()
            .chain(max.map(CountLimit::Max));
        bounds.map(move |bound| (bound, ticket))
    });
    let id = |ticket: TicketIx| service.ticket(ticket).id.clone();
    broken
        .map(|(bound, ticket)| ViolatedConstraint {
            bound,
            ticket_id: ticket.map(id),
        })
        .collect()
}

/// The number of tickets, of all types or of one.
fn count_of(counts: &[(TicketIx, u32)], ticket: Option<TicketIx>) -> u64 {
    let counted = counts
        .iter()
        .filter(|(known, _)| ticket.is_none_or(|ticket| *known == ticket));
    counted.map(|&(_, count)| u64::from(count)).sum()
}

/// The sides of the bounds that a count violates.
fn broken(bounds: CountBounds, count: u64) -> CountBounds {
    CountBounds {
        min: bounds.min.filter(|&min| count < u64::from(min)),
        max: bounds.max.filter(|&max| count > u64::from(max)),
    }
}

#[cfg(test)]
mod tests;
