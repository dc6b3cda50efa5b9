//! Whether the rules allow any line with a ticket type.

use domain::{
    catalog::{Service, TicketIx},
    constraints::{Party, child_fault, combination_faults},
};

/// Most ticket types that are combined; nothing is reported for services with more.
const MAX_COMBINED: usize = 24;

/// Most further ticket types that are tried in a line: rules that need more company are rare, and
/// combinations grow fast.
const MAX_COMPANY: usize = 2;

/// Whether some line with this ticket type breaks no rule. `has_spots` tells which types have spots. Also
/// true if that cannot be decided.
pub(super) fn is_sellable(
    service: &Service,
    ticket: TicketIx,
    all: &[TicketIx],
    has_spots: impl Fn(TicketIx) -> bool,
) -> bool {
    let company: Vec<TicketIx> = all
        .iter()
        .copied()
        .filter(|ix| *ix != ticket && has_spots(*ix))
        .collect();
    // Rules on all lines of a slot may be kept by several lines, which are not tried here.
    company.len() > MAX_COMBINED
        || service.rules.look_at_slots()
        || finds_company(service, &mut vec![(ticket, 1)], &company)
}

fn finds_company(service: &Service, line: &mut Vec<(TicketIx, u32)>, company: &[TicketIx]) -> bool {
    if is_allowed(service, line) {
        return true;
    }
    if line.len() > MAX_COMPANY {
        return false;
    }
    company.iter().enumerate().any(|(at, ticket)| {
        line.push((*ticket, 1));
        let found = finds_company(service, line, &company[at + 1..]);
        line.pop();
        found
    })
}

/// Whether no rule forbids these types in one line, whatever their counts.
fn is_allowed(service: &Service, line: &[(TicketIx, u32)]) -> bool {
    combination_faults(service, Party::alone(line)).is_empty()
        && child_fault(service, Party::alone(line)).is_none()
        && fits(service, line)
}

/// Whether some counts of these types keep the limits of the service. Limits of slots may differ, so with
/// them the result is true.
fn fits(service: &Service, line: &[(TicketIx, u32)]) -> bool {
    let rules = &service.rules;
    if !rules.slot_limits.is_empty() {
        return true;
    }
    let bounds = |ticket: TicketIx| {
        rules
            .limits
            .tickets
            .iter()
            .find(|(known, _)| *known == ticket)
    };
    let mut fewest = 0_u64;
    let mut most = Some(0_u64);
    for (ticket, _) in line {
        let bounds = bounds(*ticket)
            .map(|(_, bounds)| *bounds)
            .unwrap_or_default();
        // At least one: a type with a count of zero would not be in the line.
        fewest += u64::from(bounds.min.unwrap_or(1).max(1));
        most = most
            .zip(bounds.max)
            .map(|(most, max)| most + u64::from(max));
        if bounds.max == Some(0) {
            return false;
        }
    }
    let line = rules.limits.line;
    line.max.is_none_or(|max| fewest <= u64::from(max))
        && line
            .min
            .is_none_or(|min| most.is_none_or(|most| most >= u64::from(min)))
}
