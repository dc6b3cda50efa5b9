//! Rules on tickets: which go together, and how many of them.

use super::TicketIx;
use crate::order::EpochSeconds;

/// Which tickets of a line go together, and how many of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TicketRules {
    /// Tickets that need an adult.
    pub children: Vec<ChildRule>,
    /// Bounds for every slot.
    pub limits: TicketLimits,
    /// Bounds for some slots; where one of them speaks, it replaces the general bound. Where several
    /// do, the strictest counts.
    pub slot_limits: Vec<SlotLimits>,
    /// Sets of ticket types of which no two go together.
    pub forbidden: Vec<ForbiddenTickets>,
    /// Ticket types that do not come without certain others.
    pub required: Vec<RequiredTicket>,
}

impl TicketRules {
    /// The bounds in force for the slot of that start and with these tags: of all tickets together, or
    /// of those of one type, in that scope.
    #[must_use]
    pub fn bounds(
        &self,
        start_sec: EpochSeconds,
        tags: &[TagIx],
        scope: RuleScope,
        ticket: Option<TicketIx>,
    ) -> CountBounds {
        let of_slot = self
            .slot_limits
            .iter()
            .filter(|limits| limits.applies_to(start_sec, tags));
        let of_slot = of_slot.map(|slot| slot.limits.bounds(scope, ticket));
        of_slot
            .fold(CountBounds::default(), CountBounds::and)
            .or(self.limits.bounds(scope, ticket))
    }

    /// Whether any rule looks at all lines of a slot together.
    #[must_use]
    pub fn look_at_slots(&self) -> bool {
        let limits = self
            .slot_limits
            .iter()
            .map(|slot| &slot.limits)
            .chain([&self.limits]);
        let scopes = limits.map(|limits| limits.scope);
        let scopes = scopes.chain(self.children.iter().map(|rule| rule.scope));
        let scopes = scopes.chain(self.forbidden.iter().map(|rule| rule.scope));
        let mut scopes = scopes.chain(self.required.iter().map(|rule| rule.scope));
        scopes.any(|scope| scope == RuleScope::Slot)
    }
}

/// Which tickets a rule looks at together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RuleScope {
    /// Those of one line.
    #[default]
    Line,
    /// Those of all lines of an order that are for one slot.
    Slot,
}

/// Ticket types of which no two go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForbiddenTickets {
    /// The ticket types.
    pub tickets: Vec<TicketIx>,
    /// Where they do not.
    pub scope: RuleScope,
}

/// Tickets that are sold only to parties with an adult.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildRule {
    /// The ticket types that need one.
    pub children: Vec<TicketIx>,
    /// The ticket types that count as one.
    pub adults: Vec<TicketIx>,
    /// How many of the former one adult may bring; `None` for any number.
    pub per_adult: Option<u32>,
    /// Where the adults are looked for.
    pub scope: RuleScope,
}

/// A ticket type that needs the company of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredTicket {
    /// The ticket type that does not come alone.
    pub ticket: TicketIx,
    /// At least one ticket of these types must be there.
    pub any_of: Vec<TicketIx>,
    /// Where they are looked for.
    pub scope: RuleScope,
}

/// Inclusive bounds of a ticket count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CountBounds {
    /// Fewest.
    pub min: Option<u32>,
    /// Most.
    pub max: Option<u32>,
}

impl CountBounds {
    /// These, and those where these say nothing.
    fn or(self, others: Self) -> Self {
        Self {
            min: self.min.or(others.min),
            max: self.max.or(others.max),
        }
    }

    /// Both together: of two bounds on one side, the stricter.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let stricter = |a: Option<u32>, b: Option<u32>, pick: fn(u32, u32) -> u32| match (a, b) {
            (Some(a), Some(b)) => Some(pick(a, b)),
            (one, other) => one.or(other),
        };
        Self {
            min: stricter(self.min, other.min, u32::max),
            max: stricter(self.max, other.max, u32::min),
        }
    }
}

/// Bounds of tickets as a whole and of single ticket types.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TicketLimits {
    /// Whose tickets are counted.
    pub scope: RuleScope,
    /// All tickets together.
    pub line: CountBounds,
    /// Single ticket types; they bind where at least one ticket of the type is asked.
    pub tickets: Vec<(TicketIx, CountBounds)>,
}

impl TicketLimits {
    /// Its bounds of all tickets together, or of those of one type, in that scope.
    fn bounds(&self, scope: RuleScope, ticket: Option<TicketIx>) -> CountBounds {
        let of_type = |ticket| {
            self.tickets
                .iter()
                .find(|(known, _)| *known == ticket)
                .map(|(_, bounds)| *bounds)
        };
        match ticket {
            _ if self.scope != scope => CountBounds::default(),
            None => self.line,
            Some(ticket) => of_type(ticket).unwrap_or_default(),
        }
    }
}

/// An availability tag that the rules of a service speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagIx(pub u16);

/// Bounds for some slots of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlotLimits {
    /// Only slots with this availability tag.
    pub tag: Option<TagIx>,
    /// Only slots that start at this second or later.
    pub from_sec: Option<EpochSeconds>,
    /// Only slots that start before this second.
    pub until_sec: Option<EpochSeconds>,
    /// The bounds.
    pub limits: TicketLimits,
}

impl SlotLimits {
    /// Whether a slot of that start and with these tags is one of those slots.
    #[must_use]
    pub fn applies_to(&self, start_sec: EpochSeconds, tags: &[TagIx]) -> bool {
        self.tag.is_none_or(|wanted| tags.contains(&wanted))
            && self.from_sec.is_none_or(|from| start_sec >= from)
            && self.until_sec.is_none_or(|until| start_sec < until)
    }
}
