//! Rules on tickets: combinations and counts.

use super::TicketIx;
use crate::time::EpochSeconds;

/// The rules on the tickets of a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TicketRules {
    /// Tickets that need an adult.
    pub children: Vec<ChildRule>,
    /// Bounds for every slot.
    pub limits: TicketLimits,
    /// Bounds for some slots; they replace the general bound. If several apply, the strictest counts.
    pub slot_limits: Vec<SlotLimits>,
    /// Sets of ticket types of which no two go together.
    pub forbidden: Vec<ForbiddenTickets>,
    /// Ticket types that are not sold without certain others.
    pub required: Vec<RequiredTicket>,
}

impl TicketRules {
    /// The bounds in force in a slot of that start and these tags, in that scope: for all tickets together,
    /// or for one type.
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
            // Several limits of slots may apply at once; none of them may be broken.
            .fold(CountBounds::default(), CountBounds::and)
            // Each side on its own: a slot limit with a maximum keeps the general minimum.
            .or(self.limits.bounds(scope, ticket))
    }

    /// Whether any rule covers all lines of a slot together.
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

/// The tickets that a rule covers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RuleScope {
    /// The tickets of one line.
    #[default]
    Line,
    /// The tickets of all lines of an order for one slot.
    Slot,
}

/// Ticket types of which no two go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForbiddenTickets {
    /// The ticket types.
    pub tickets: Vec<TicketIx>,
    /// The scope in which they are forbidden together.
    pub scope: RuleScope,
}

/// Tickets that are sold only to parties with an adult.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildRule {
    /// The ticket types that need an adult.
    pub children: Vec<TicketIx>,
    /// The ticket types that count as an adult.
    pub adults: Vec<TicketIx>,
    /// Children per adult; `None` for any number.
    pub per_adult: Option<u32>,
    /// The scope in which an adult must be found.
    pub scope: RuleScope,
}

/// A ticket type that needs the company of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredTicket {
    /// The ticket type that is not sold alone.
    pub ticket: TicketIx,
    /// At least one ticket of these types must be there.
    pub any_of: Vec<TicketIx>,
    /// The scope in which one of them must be found.
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
    /// These bounds, completed by `others` where a side is missing.
    fn or(self, others: Self) -> Self {
        Self {
            min: self.min.or(others.min),
            max: self.max.or(others.max),
        }
    }

    /// Both bounds together: the stricter one of each side.
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
    /// The scope in which tickets are counted.
    pub scope: RuleScope,
    /// All tickets together.
    pub line: CountBounds,
    /// Single ticket types. A bound applies if at least one ticket of the type is requested.
    pub tickets: Vec<(TicketIx, CountBounds)>,
}

impl TicketLimits {
    /// The bounds in that scope, for all tickets together or for one type.
    fn bounds(&self, scope: RuleScope, ticket: Option<TicketIx>) -> CountBounds {
        let of_type = |ticket| {
            self.tickets
                .iter()
                .find(|(known, _)| *known == ticket)
                .map(|(_, bounds)| *bounds)
        };
        match ticket {
            // Limits of the other scope count other tickets, so they say nothing here.
            _ if self.scope != scope => CountBounds::default(),
            None => self.line,
            Some(ticket) => of_type(ticket).unwrap_or_default(),
        }
    }
}

/// An availability tag that the rules of a service name.
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
            // Half-open, so that adjacent periods never both apply.
            && self.until_sec.is_none_or(|until| start_sec < until)
    }
}
