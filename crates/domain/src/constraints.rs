//! Which tickets may stand in one line: known types, sensible counts, company of adults, bounds.

use super::{
    catalog::{
        ChildRule, CountBounds, ForbiddenTickets, RequiredTicket, RuleScope, Service, TagIx,
        TicketIx,
    },
    ids::TicketId,
    order::{EpochSeconds, OrderedTickets},
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
    pub ticket_id: Option<TicketId>,
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
    let faults =
        listed(
            tickets
                .iter()
                .filter_map(|entry| match read_entry(service, slot, entry) {
                    Ok((ticket, count)) => {
                        add(&mut counts, ticket, count);
                        None
                    }
                    Err(fault) => Some(fault),
                }),
        );
    if faults.is_empty() {
        Ok(counts)
    } else {
        Err(faults)
    }
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
        Ok(_) | Err(_) => Err(format!(
            "ticket type {id} has a count of {}; it must be above zero",
            entry.count
        )),
    }
}

/// Adds tickets of a type.
pub(super) fn add(counts: &mut TicketCounts, ticket: TicketIx, count: u32) {
    match counts.iter_mut().find(|(known, _)| *known == ticket) {
        Some((_, sum)) => *sum = sum.saturating_add(count),
        None => counts.push((ticket, count)),
    }
}

/// The tickets of a line, as rules on tickets see them.
#[derive(Debug, Clone, Copy)]
pub struct Party<'a> {
    /// The line's own.
    pub line: &'a TicketCounts,
    /// Those of all lines of the order that are for the same slot, its own among them.
    pub slot: &'a TicketCounts,
}

impl<'a> Party<'a> {
    /// A line that is the only one of its slot.
    #[must_use]
    pub fn alone(line: &'a TicketCounts) -> Self {
        Self { line, slot: line }
    }

    /// The tickets that a rule of that scope looks at.
    fn within(self, scope: RuleScope) -> &'a TicketCounts {
        match scope {
            RuleScope::Line => self.line,
            RuleScope::Slot => self.slot,
        }
    }
}

fn has(counts: &TicketCounts, ticket: TicketIx) -> bool {
    counts.iter().any(|(known, _)| *known == ticket)
}

fn sum_of(counts: &TicketCounts, tickets: &[TicketIx]) -> u64 {
    let of_these = counts.iter().filter(|(ticket, _)| tickets.contains(ticket));
    of_these.map(|&(_, count)| u64::from(count)).sum()
}

/// Combination rules between ticket types that the line breaks, one sentence each. One on all lines of a
/// slot is told of those that have tickets which it is about.
#[must_use]
pub fn combination_faults(service: &Service, party: Party<'_>) -> Vec<String> {
    let names = |tickets: &[TicketIx]| {
        let quoted = tickets
            .iter()
            .map(|&ticket| format!("{:?}", service.ticket(ticket).id));
        quoted.collect::<Vec<_>>().join(", ")
    };
    let clash = |rule: &&ForbiddenTickets| {
        let counts = party.within(rule.scope);
        rule.tickets.iter().any(|&ticket| has(party.line, ticket))
            && rule
                .tickets
                .iter()
                .filter(|&&ticket| has(counts, ticket))
                .count()
                > 1
    };
    let forbidden = service.rules.forbidden.iter().filter(clash);
    let forbidden =
        forbidden.map(|rule| format!("ticket types {} cannot be combined", names(&rule.tickets)));
    let alone = |rule: &&RequiredTicket| {
        let counts = party.within(rule.scope);
        has(party.line, rule.ticket) && !rule.any_of.iter().any(|&ticket| has(counts, ticket))
    };
    let missing = service.rules.required.iter().filter(alone).map(|rule| {
        format!(
            "ticket type {} needs one of {}",
            names(&[rule.ticket]),
            names(&rule.any_of)
        )
    });
    forbidden.chain(missing).collect()
}

/// The first rule on children that the line breaks, as a sentence. One on all lines of a slot is told of
/// those that have children.
#[must_use]
pub fn child_fault(service: &Service, party: Party<'_>) -> Option<String> {
    service.rules.children.iter().find_map(
        |ChildRule {
             children,
             adults,
             per_adult,
             scope,
         }| {
            if sum_of(party.line, children) == 0 {
                return None;
            }
            let counts = party.within(*scope);
            let (children, adults) = (sum_of(counts, children), sum_of(counts, adults));
            match per_adult {
                _ if adults == 0 => Some(format!(
                    "tickets for children need an adult ticket in the same {}",
                    scope_name(*scope)
                )),
                Some(most) if children > adults.saturating_mul(u64::from(*most)) => Some(format!(
                    "one adult ticket covers at most {most} tickets for children"
                )),
                Some(_) | None => None,
            }
        },
    )
}

fn scope_name(scope: RuleScope) -> &'static str {
    match scope {
        RuleScope::Line => "line",
        RuleScope::Slot => "slot",
    }
}

/// Every bound that the line breaks: first those of all tickets, then those of its ticket types in the
/// order in which they were asked. Of two bounds on the same side of the same count, the stricter.
#[must_use]
pub fn violated_limits(
    service: &Service,
    start_sec: EpochSeconds,
    tags: &[TagIx],
    party: Party<'_>,
) -> Vec<ViolatedConstraint> {
    let counted = std::iter::once(None).chain(party.line.iter().map(|&(ticket, _)| Some(ticket)));
    let broken = counted.flat_map(|ticket| {
        let broken = [RuleScope::Line, RuleScope::Slot].map(|scope| {
            let count = count_of(party.within(scope), ticket);
            broken(service.rules.bounds(start_sec, tags, scope, ticket), count)
        });
        let CountBounds { min, max } = broken[0].and(broken[1]);
        let bounds = min.map(Bound::Min).into_iter().chain(max.map(Bound::Max));
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

/// How many tickets there are, or how many of one type.
fn count_of(counts: &TicketCounts, ticket: Option<TicketIx>) -> u64 {
    let counted = counts
        .iter()
        .filter(|(known, _)| ticket.is_none_or(|ticket| *known == ticket));
    counted.map(|&(_, count)| u64::from(count)).sum()
}

/// Bounds that a line breaks, as a sentence.
#[must_use]
pub fn violations_in_words(violated: &[ViolatedConstraint]) -> String {
    let bounds = violated
        .iter()
        .map(|ViolatedConstraint { bound, ticket_id }| {
            let of_what = ticket_id
                .as_ref()
                .map_or_else(|| "in all".to_owned(), |id| format!("of {id:?}"));
            match bound {
                Bound::Min(count) => format!("at least {count} {of_what}"),
                Bound::Max(count) => format!("at most {count} {of_what}"),
            }
        });
    format!(
        "the merchant sells other numbers of tickets: {}",
        listed(bounds).join(", ")
    )
}

/// Those of the bounds that a count breaks.
fn broken(bounds: CountBounds, count: u64) -> CountBounds {
    CountBounds {
        min: bounds.min.filter(|&min| count < u64::from(min)),
        max: bounds.max.filter(|&max| count > u64::from(max)),
    }
}

#[cfg(test)]
mod tests;
