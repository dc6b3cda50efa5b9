//! What follows from a run.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    Condition, EventIx, InfoValue, Invariant, Name, OpenStep, OrderPart, OrderTree, StateIx,
    StateSet, Timer,
};
use crate::{
    ledger::LedgerError, money::MoneyError, refunds::RefundError, shipment::ShipmentError,
    time::EpochSeconds,
};

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOutcome {
    /// The order after it.
    pub tree: OrderTree,
    /// What is to be done, in this order, once the tree is on record.
    pub effects: SmallVec<[Effect; 2]>,
    /// The transitions that ran, in this order.
    pub transitions: SmallVec<[Moved; 4]>,
    /// What was to move and did not.
    pub skipped: Vec<Skipped>,
}

/// A transition that ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The part.
    pub part: OrderPart,
    /// The state that it left.
    pub from: StateIx,
    /// The state that it entered.
    pub to: StateIx,
}

/// Something to be done outside of the tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Begin a step.
    Launch(OpenStep),
    /// Have an open step begin earlier.
    Hasten {
        /// Its number.
        number: u16,
        /// When it is to begin.
        due: EpochSeconds,
    },
    /// Turn a charge without an outcome into its reversal. It is never just dropped, so that money which is
    /// captured late is given back.
    Reverse {
        /// The number of the step.
        number: u16,
    },
    /// Forget a step.
    CancelStep {
        /// Its number.
        number: u16,
    },
    /// Set a timer.
    SetTimer(Timer),
    /// End a timer.
    ClearTimer(OrderPart, Name),
    /// Give back the spots of an item.
    Release {
        /// Its index.
        item: u16,
    },
    /// Tell an event.
    Emit {
        /// Which.
        event: EventIx,
        /// The part that emitted it.
        part: OrderPart,
        /// What goes with it.
        params: Option<Arc<[(Name, InfoValue)]>>,
    },
    /// Show the level of an alert.
    Alert(Name, AlertLevel),
}

/// The level of an alert; 0 is none.
pub type AlertLevel = u32;

/// What was to move and did not, which is no error.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// The part.
    pub part: OrderPart,
    /// The state that was asked for.
    pub to: Option<StateIx>,
    /// Why not.
    pub why: SkipReason,
}

/// Why something did not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// There is no such transition from its state.
    NoTransition,
    /// A condition does not hold.
    Condition,
    /// The timer is not set any more, or set anew for later.
    LateTimer,
    /// The step is not open any more.
    LateStep,
    /// The report is behind what is known.
    LateReport,
}

/// Why a run changed nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Refused {
    /// There is no such part.
    NoPart(OrderPart),
    /// The order has begun already.
    Begun,
    /// The part is not in the state that the caller believed.
    NotInState {
        /// The part.
        part: OrderPart,
        /// The state that it is in.
        state: StateIx,
    },
    /// There is no such manual transition.
    NoTransition {
        /// The part.
        part: OrderPart,
        /// Its state.
        from: StateIx,
        /// The state that was asked for.
        to: StateIx,
        /// The states that could be asked for.
        allowed: StateSet,
    },
    /// A condition of the transition does not hold.
    Condition {
        /// The part.
        part: OrderPart,
        /// The state that was asked for.
        to: StateIx,
        /// The first condition that does not hold.
        condition: Box<Condition>,
    },
    /// An action failed, and everything with it.
    Action {
        /// The part.
        part: OrderPart,
        /// Why.
        error: ActionError,
    },
    /// The definition moves in a circle, or nearly.
    TooDeep {
        /// Transitions that had run.
        transitions: usize,
    },
    /// The outcome would break a promise that holds whatever a definition says.
    Invariant(Invariant),
}

/// Why an action failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// Spots that are to be held were given back.
    #[error("the spots of the item are not held")]
    SpotsReleased,
    /// The item is in no fulfillment.
    #[error("the item is in no fulfillment")]
    NotLinked,
    /// The delivery has no reference yet.
    #[error("the delivery is not booked")]
    NotBooked,
    /// A facts list that does not fit the order.
    #[error("nothing is known of an item of the order")]
    NoFacts,
    /// This server charged, and its bill is missing.
    #[error("the order was sold without a bill")]
    NoBill,
    /// All numbers of steps, fulfillments or refunds are used.
    #[error("the order has too many parts")]
    TooMany,
    /// A refund has no amount.
    #[error(transparent)]
    Refund(#[from] RefundError),
    /// A ledger entry is not possible.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// An amount is not possible.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// A report of a carrier is not acceptable.
    #[error(transparent)]
    Shipment(#[from] ShipmentError),
}
