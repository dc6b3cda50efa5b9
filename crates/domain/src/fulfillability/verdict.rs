//! The verdicts on an order and on its items.

use crate::{
    catalog::TicketType,
    constraints::ViolatedConstraint,
    faults::{
        AnswerFault, ChildFault, Faults, OrderFault, PriceNow, ServiceFault, SlotFault,
        TicketFault, ViolatedConstraints,
    },
    money::{Money, MoneyError},
    order::LineItem,
    pricing::{PriceChange, PriceFault},
};

/// The verdict on an order and on each of its items.
#[derive(Debug, Clone, PartialEq)]
pub struct Fulfillability {
    /// On the order as a whole.
    pub verdict: OrderVerdict,
    /// On each item, in the order asked.
    pub items: Vec<ItemFulfillability>,
}

/// Whether an order can be fulfilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderVerdict {
    /// Every item can be sold, and so can the set.
    CanFulfill,
    /// At least one item cannot be sold; its own verdict says why.
    UnfulfillableItems,
    /// Each item alone could be sold, but not this set of services.
    UnfulfillableServices(ServiceFault),
    /// The order as a whole is wrong, whatever its items are.
    Other(OrderFault),
}

/// An item as it is answered, with the verdict on it.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemFulfillability {
    /// The item as asked; its price corrected where the true total is known.
    pub line: LineItem,
    /// Spots open for these tickets; `None` where the slot is not known.
    pub spots_open: Option<u32>,
    /// The verdict.
    pub verdict: ItemVerdict,
}

/// Whether an item can be sold, and why not.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemVerdict {
    /// The item can be sold at the price of the response. [`MovedPrice`] is given if that is not the
    /// requested price.
    CanFulfill(Option<MovedPrice>),
    /// No such slot, not open for booking, or not enough spots.
    SlotUnavailable(SlotFault),
    /// Tickets for children without enough adults.
    ChildTicketsWithoutAdult(ChildFault),
    /// Ticket types unknown, not sold in the slot or not together, or a count that is not above
    /// zero.
    UnfulfillableTickets(Faults<TicketFault>),
    /// Bounds on ticket counts are broken: all of them, never none.
    TicketConstraintViolated(Vec<ViolatedConstraint>),
    /// No price, or one that no correction makes the same offer.
    IncorrectPrice(PriceFault),
    /// The order was to be created at a price that has moved since.
    PriceMoved(MovedPrice),
    /// Questions of the service are not answered correctly.
    WrongAnswers(Faults<AnswerFault>),
    /// The price of the item cannot be computed.
    NoPrice(MoneyError),
}

/// The difference between the requested price and the price in force.
#[derive(Debug, Clone, PartialEq)]
pub struct MovedPrice {
    /// How the price in force differs.
    pub change: PriceChange,
    /// The price in force.
    pub total: Money,
    /// Every ticket type of the item at its present price, where one of them has moved.
    pub ticket_types: Vec<TicketType>,
}

impl ItemVerdict {
    /// Whether the item can be sold.
    #[must_use]
    pub fn can_fulfill(&self) -> bool {
        matches!(self, Self::CanFulfill(_))
    }

    /// What has moved, if the answer has another price than the one asked.
    #[must_use]
    pub fn moved_price(&self) -> Option<&MovedPrice> {
        match self {
            Self::CanFulfill(moved) => moved.as_ref(),
            Self::PriceMoved(moved) => Some(moved),
            Self::SlotUnavailable(_)
            | Self::ChildTicketsWithoutAdult(_)
            | Self::UnfulfillableTickets(_)
            | Self::TicketConstraintViolated(_)
            | Self::IncorrectPrice(_)
            | Self::WrongAnswers(_)
            | Self::NoPrice(_) => None,
        }
    }

    /// Why the item cannot be sold, as a sentence; `None` if it can.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::CanFulfill(_) => None,
            Self::SlotUnavailable(fault) => Some(fault.to_string()),
            Self::ChildTicketsWithoutAdult(fault) => Some(fault.to_string()),
            Self::UnfulfillableTickets(faults) => Some(faults.to_string()),
            Self::TicketConstraintViolated(violated) => {
                Some(ViolatedConstraints(violated).to_string())
            }
            Self::IncorrectPrice(fault) => Some(fault.to_string()),
            Self::PriceMoved(moved) => Some(PriceNow(moved.total).to_string()),
            Self::WrongAnswers(faults) => Some(faults.to_string()),
            Self::NoPrice(error) => Some(error.to_string()),
        }
    }
}

impl Fulfillability {
    /// Why the order cannot be fulfilled, as a sentence; `None` if it can.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match &self.verdict {
            OrderVerdict::CanFulfill => None,
            OrderVerdict::UnfulfillableItems => Some(self.unfulfillable_items()),
            OrderVerdict::UnfulfillableServices(fault) => Some(fault.to_string()),
            OrderVerdict::Other(fault) => Some(fault.to_string()),
        }
    }

    /// The number of items that stop the order, with the reason of the first.
    fn unfulfillable_items(&self) -> String {
        let mut first = None;
        let mut count = 0;
        for (at, item) in self.items.iter().enumerate() {
            if !item.verdict.can_fulfill() {
                count += 1;
                first = first.or(Some((at, item)));
            }
        }
        let Some((at, item)) = first else {
            return String::new();
        };
        let reason = item.verdict.reason().unwrap_or_default();
        match (count, self.items.len()) {
            (1, 1) => reason,
            (1, _) => format!("item[{at}] cannot be fulfilled: {reason}"),
            (_, all) => format!("{count} of {all} items cannot be fulfilled; item[{at}]: {reason}"),
        }
    }
}
