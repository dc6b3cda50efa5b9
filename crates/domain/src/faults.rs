//! Faults of items and orders. A decision returns a fault with its data. The sentence for the caller is
//! written here and nowhere else.

use std::fmt::{self, Display};

use super::{
    availability::WindowFault,
    catalog::RuleScope,
    constraints::{CountLimit, ViolatedConstraint},
    ids::{ServiceId, TicketId},
    money::{Money, MoneyError},
    pricing::PriceFault,
    wording::quoted,
};

/// Most faults of one item that are listed; further ones are counted.
pub(super) const MAX_FAULTS: usize = 10;

/// Several faults of one kind: the first ones and the number of the others. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults<F> {
    listed: Vec<F>,
    more: usize,
}

impl<F> Faults<F> {
    /// These faults, listed up to the limit; `None` if there are none.
    pub fn of(faults: impl IntoIterator<Item = F>) -> Option<Self> {
        let mut faults = faults.into_iter();
        let listed: Vec<F> = faults.by_ref().take(MAX_FAULTS).collect();
        if listed.is_empty() {
            return None;
        }
        // The rest is counted and not kept: an answer must not grow with the size of its request.
        let more = faults.count();
        Some(Self { listed, more })
    }

    #[cfg(test)]
    pub(crate) fn listed(&self) -> &[F] {
        &self.listed
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.listed.len() + self.more
    }
}

impl<F> From<F> for Faults<F> {
    fn from(fault: F) -> Self {
        Self {
            listed: vec![fault],
            more: 0,
        }
    }
}

impl<F: Display> Faults<F> {
    fn write(&self, f: &mut fmt::Formatter<'_>, separator: &str) -> fmt::Result {
        for (at, fault) in self.listed.iter().enumerate() {
            let separator = if at == 0 { "" } else { separator };
            write!(f, "{separator}{fault}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "{separator}and {more} more"),
        }
    }
}

impl<F: Display> Display for Faults<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "; ")
    }
}

/// Why a slot cannot be booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotFault {
    /// The merchant has no service of this id.
    UnknownService(ServiceId),
    /// The service has no slot of that start and duration.
    UnknownSlot,
    /// Now is outside of the slot's booking window.
    OutsideWindow(WindowFault),
    /// The items ask for more spots of a pool than it has left.
    TooFewSpots {
        /// Spots left in the tightest pool.
        left: u32,
    },
}

impl Display for SlotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownService(id) => {
                // Quoted and cut: the id is the caller's and may be of any length.
                write!(f, "service {} is not one of this merchant's", quoted(id))
            }
            Self::UnknownSlot => f.write_str("the service has no slot of that start and duration"),
            Self::OutsideWindow(fault) => fault.fmt(f),
            // A sentence of its own, because "more than the 0 that are open" reads like an error.
            Self::TooFewSpots { left: 0 } => f.write_str("the slot is sold out"),
            Self::TooFewSpots { left: 1 } => f.write_str(
                "the order asks for more spots of this slot than the 1 that is still open",
            ),
            Self::TooFewSpots { left } => write!(
                f,
                "the order asks for more spots of this slot than the {left} that are still open"
            ),
        }
    }
}

/// Why the tickets of an item are not sold, alone or together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TicketFault {
    /// The service has no ticket type of this id.
    UnknownType {
        /// The requested id.
        ticket: TicketId,
        /// The item's service.
        service: ServiceId,
    },
    /// No pool of the slot sells tickets of this type.
    NotSoldInSlot(TicketId),
    /// The count is not above zero.
    BadCount {
        /// The ticket type.
        ticket: TicketId,
        /// The count.
        count: i32,
    },
    /// The item names no ticket type, and the service or the slot sells no appointments.
    SoldByTicketOnly,
    /// Two or more of these are there.
    ForbiddenTogether(Vec<TicketId>),
    /// A ticket type without any of the types that it requires.
    NeedsOneOf {
        /// The ticket type.
        ticket: TicketId,
        /// The types of which one is required.
        any_of: Vec<TicketId>,
    },
}

impl Display for TicketFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType { ticket, service } => write!(
                f,
                "ticket type {} is not one of service {service:?}",
                quoted(ticket)
            ),
            Self::NotSoldInSlot(ticket) => {
                write!(f, "ticket type {} is not sold in this slot", quoted(ticket))
            }
            Self::BadCount { ticket, count } => write!(
                f,
                "ticket type {} has a count of {count}; it must be above zero",
                quoted(ticket)
            ),
            Self::SoldByTicketOnly => {
                f.write_str("this is sold by ticket: name at least one ticket type and a count")
            }
            Self::ForbiddenTogether(tickets) => {
                write!(f, "ticket types {} cannot be combined", List(tickets))
            }
            Self::NeedsOneOf { ticket, any_of } => {
                write!(f, "ticket type {ticket:?} needs one of {}", List(any_of))
            }
        }
    }
}

/// Why tickets for children are not sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildFault {
    /// No adult is among the tickets that the rule covers.
    NoAdult(RuleScope),
    /// More children than the adults may bring.
    TooManyChildren {
        /// Most children per adult.
        per_adult: u32,
    },
}

impl Display for ChildFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAdult(RuleScope::Line) => {
                f.write_str("tickets for children need an adult ticket in the same line")
            }
            Self::NoAdult(RuleScope::Slot) => {
                f.write_str("tickets for children need an adult ticket in the same slot")
            }
            Self::TooManyChildren { per_adult } => write!(
                f,
                "one adult ticket covers at most {per_adult} tickets for children"
            ),
        }
    }
}

impl Display for ViolatedConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bound {
            CountLimit::Min(count) => write!(f, "at least {count} ")?,
            CountLimit::Max(count) => write!(f, "at most {count} ")?,
        }
        match &self.ticket_id {
            Some(id) => write!(f, "of {id:?}"),
            None => f.write_str("in all"),
        }
    }
}

/// Bounds on ticket counts that an item breaks, as one sentence.
pub(super) struct ViolatedConstraints<'a>(pub(super) &'a [ViolatedConstraint]);

impl Display for ViolatedConstraints<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the merchant sells other numbers of tickets: ")?;
        match Faults::of(self.0) {
            // Listed up to the same limit as other faults; a service may have hundreds of bounds.
            Some(faults) => faults.write(f, ", "),
            None => Ok(()),
        }
    }
}

impl Display for PriceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "price is missing",
            Self::Negative => "price is negative",
            Self::OtherCurrency => "price is in another currency than the service",
        })
    }
}

/// The price in force of an item whose moved price stops the order.
pub(super) struct PriceNow(pub(super) Money);

impl Display for PriceNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the price is {} now", self.0)
    }
}

/// Faults in the answers to the questions of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerFault {
    /// The service does not ask this question.
    NotAsked(String),
    /// A required question has too few answers.
    TooFew {
        /// The question.
        question: String,
        /// Answers required.
        asked: u64,
        /// Answers given.
        answered: u64,
    },
    /// A question has more answers than it is asked times.
    TooMany {
        /// The question.
        question: String,
        /// Most answers accepted.
        asked: u64,
        /// Answers that are there.
        answered: u64,
    },
    /// An answer is not one text.
    NotOneText(String),
    /// An answer is neither "true" nor "false".
    NotBoolean(String),
    /// An answer is not one of the offered choices.
    NotOneChoice(String),
    /// An answer has a choice that is not offered.
    NotOffered(String),
}

impl Display for AnswerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked(id) => {
                write!(f, "question {} is not asked by this service", quoted(id))
            }
            Self::TooFew {
                question,
                asked: 1,
                answered: _,
            } => write!(f, "question {question:?} must be answered"),
            Self::TooFew {
                question,
                asked,
                answered,
            } => write!(
                f,
                "question {question:?} must be answered {asked} times, not {answered}"
            ),
            Self::TooMany {
                question,
                asked,
                answered,
            } => write!(
                f,
                "question {question:?} has {answered} answers; at most {asked} are taken"
            ),
            Self::NotOneText(id) => write!(f, "question {id:?} takes one answer"),
            Self::NotBoolean(id) => {
                write!(f, "question {id:?} is answered \"true\" or \"false\"")
            }
            Self::NotOneChoice(id) => {
                write!(f, "question {id:?} takes one of the offered choices")
            }
            Self::NotOffered(id) => write!(f, "question {id:?} takes offered choices only"),
        }
    }
}

/// Why the services of an order are not sold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceFault {
    /// Two or more of these are there.
    ForbiddenTogether(Vec<ServiceId>),
    /// A service without any of the services that it requires.
    NeedsOneOf {
        /// The service.
        service: ServiceId,
        /// The services of which one is required.
        any_of: Vec<ServiceId>,
    },
    /// Slots of these services overlap in time.
    Overlap(Vec<ServiceId>),
}

impl Display for ServiceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForbiddenTogether(services) => {
                write!(f, "services {} cannot be ordered together", List(services))
            }
            Self::NeedsOneOf { service, any_of } => {
                write!(f, "service {service:?} needs one of {}", List(any_of))
            }
            Self::Overlap(services) => {
                write!(f, "services {} may not overlap in time", List(services))
            }
        }
    }
}

/// Ids in quotation marks, with commas between them.
struct List<'a, I>(&'a [I]);

impl<I: fmt::Debug> Display for List<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, id) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{id:?}")?;
        }
        Ok(())
    }
}

/// Faults of an order as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderFault {
    /// The order has no items.
    NoItems,
    /// The amount due cannot be computed.
    Amount(MoneyError),
}

impl Display for OrderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoItems => f.write_str("the order has no items"),
            Self::Amount(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_faults_the_rest_is_counted() {
        let text = |count: usize| Faults::of(0..count).map(|faults| faults.to_string());
        assert_eq!(text(0), None);
        assert_eq!(text(1).as_deref(), Some("0"));
        assert_eq!(
            text(MAX_FAULTS).as_deref(),
            Some("0; 1; 2; 3; 4; 5; 6; 7; 8; 9")
        );
        assert_eq!(
            text(MAX_FAULTS + 5).as_deref(),
            Some("0; 1; 2; 3; 4; 5; 6; 7; 8; 9; and 5 more")
        );
    }
}
