//! What makes an order move.

use super::{Name, OrderPart, StateIx, StepResult};
use crate::{
    ledger::LedgerEntry,
    refunds::{RefundCause, RefundShare},
    shipment::ShipmentReport,
};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// The order was sold; its spots are taken. These items could not be.
    Begin {
        /// Indexes of items.
        unavailable: Vec<u16>,
    },
    /// Somebody asks for a state.
    Transition {
        /// Of which part.
        part: OrderPart,
        /// The state that the caller believes it is in.
        from: Option<StateIx>,
        /// The state.
        to: StateIx,
        /// Why, if that is to be noted.
        reason: Option<Name>,
        /// What is to be given back, instead of what the definition says.
        refund: Option<RefundShare>,
    },
    /// A service has a part tried for automatic transitions.
    Tried {
        /// The part.
        part: OrderPart,
    },
    /// A timer is due.
    Fired {
        /// Its part.
        part: OrderPart,
        /// Its name.
        name: Name,
    },
    /// A step has an outcome.
    StepEnded {
        /// Its number.
        number: u16,
        /// The outcome.
        answer: StepAnswer,
    },
    /// A person has a step tried again that was given up.
    Retried {
        /// Its number.
        number: u16,
    },
    /// A person leaves a step alone that was given up.
    LeftAlone {
        /// Its number.
        number: u16,
    },
    /// The gateway told something of the payment.
    Paid(LedgerEntry),
    /// A carrier told something of a delivery.
    Shipped {
        /// The fulfillment.
        fulfillment: u16,
        /// What it told.
        report: ShipmentReport,
    },
    /// An operator gives money back without cancelling anything.
    GiveBack {
        /// Of which items.
        items: Vec<u16>,
        /// How much.
        share: RefundShare,
        /// Who caused it.
        cause: RefundCause,
    },
}

/// The outcome of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepAnswer {
    /// How it ended.
    pub result: StepResult,
    /// What it means for the payment; `None` takes the amount of the step and its usual entry.
    pub entry: Option<LedgerEntry>,
    /// The carrier's reference, of a booked delivery.
    pub reference: Option<String>,
    /// How it was given up, if a person may have it tried again.
    pub failure: Option<StepFailure>,
}

/// How a step was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFailure {
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong last. It stays on record for good, so it has nothing of the customer.
    pub error: String,
}

impl StepAnswer {
    /// An outcome without more.
    #[must_use]
    pub fn of(result: StepResult) -> Self {
        Self {
            result,
            entry: None,
            reference: None,
            failure: None,
        }
    }
}
