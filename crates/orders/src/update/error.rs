//! Why an order is not changed.

use domain::{
    ledger::LedgerError,
    lifecycle::{ActionError, Definition, Entity, OrderPart, Refused, StateIx, UnknownState},
    money::Money,
    refunds::RefundError,
};

use crate::OrderError;

/// Why an order is not changed, or a slot is not blocked. Nothing has changed then, except where it says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Fields of the request are not as they have to be.
    #[error("the request is invalid: {}", listed(.0))]
    Invalid(Vec<InvalidField>),
    /// There is no such order, or not for this user.
    #[error("there is no such order")]
    UnknownOrder,
    /// There is no such slot, or not for this user.
    #[error("there is no such slot")]
    UnknownSlot,
    /// The block that the request has set is not in force any more.
    #[error(
        "spots of the slot were put on sale again after this request; withdraw it by a new one"
    )]
    BlockReplaced,
    /// Spots of a withdrawn slot are not on record yet. Everything else is withdrawn.
    #[error(
        "orders in flight still take spots of the slot; repeat the request to withdraw them, too"
    )]
    SpotsInFlight,
    /// The lifecycle does not let some orders of a withdrawn slot be withdrawn. All others are.
    #[error(
        "{count} orders of the slot keep their spots, because the lifecycle does not allow it otherwise: {named}"
    )]
    OrdersKept {
        /// How many.
        count: usize,
        /// The first of them.
        named: String,
    },
    /// The request id was used for another request on this order.
    #[error("request_id was used for a different request, and the outcome of that request stands")]
    RequestReused,
    /// The order has changed since the caller has seen it.
    #[error("the order has revision {found}, and {expected} was expected")]
    RevisionChanged {
        /// What the caller expects.
        expected: u32,
        /// What the order has.
        found: u32,
    },
    /// The order has changed at every attempt.
    #[error("the order keeps changing; try again")]
    Contended,
    /// A part is not in the state that the caller expects.
    #[error("{} is in state {state:?}", described(*.part))]
    NotInState {
        /// The part.
        part: OrderPart,
        /// The state that it is in.
        state: String,
    },
    /// The lifecycle does not lead there from here.
    #[error(
        "{} cannot go from {from:?} to {to:?}; possible: {}",
        described(*.part),
        if .allowed.is_empty() { "nothing".to_owned() } else { .allowed.join(", ") }
    )]
    NoTransition {
        /// The part.
        part: OrderPart,
        /// The state that it is in.
        from: String,
        /// The state that was asked for.
        to: String,
        /// The states that could be asked for.
        allowed: Vec<String>,
    },
    /// A condition of the lifecycle does not hold.
    #[error("{} cannot go to {to:?} now: {condition} does not hold", described(*.part))]
    Condition {
        /// The part.
        part: OrderPart,
        /// The state that was asked for.
        to: String,
        /// The first condition that does not hold, as the definition has it.
        condition: String,
    },
    /// The order does not wait for its customer.
    #[error("the order does not wait for a decision of its customer")]
    NotAwaited,
    /// No item waits for the merchant.
    #[error("no item of the order waits for a decision of the merchant")]
    NothingToConfirm,
    /// The lifecycle has no such state.
    #[error("the lifecycle has no state of a line item that is {0}")]
    NoSuchState(&'static str),
    /// The policy was asked for, and the feed had none at the sale.
    #[error("item {item} was sold without refund terms; say how much is to be given back")]
    NoPolicy {
        /// The item.
        item: u16,
    },
    /// The order was charged without a bill on record.
    #[error("the bill of the order is not on record")]
    NoBill,
    /// Nothing can be given back.
    #[error(
        "nothing can be given back: nothing was captured here, or it was given back, or the refund terms give nothing now"
    )]
    NothingToRefund,
    /// Google has taken the money.
    #[error(
        "Google has taken the money of this order, and gives it back; nothing was captured here"
    )]
    PaidToGoogle,
    /// More is asked for than can be given back.
    #[error("{available} can be given back at most")]
    AmountTooHigh {
        /// What can be given back.
        available: Money,
    },
    /// The amount is in another currency than the order.
    #[error("the order was paid in {0}")]
    OtherCurrency(&'static str),
    /// The lifecycle would give back another amount than was asked for.
    #[error("in this state the lifecycle gives back {given}")]
    OtherAmount {
        /// What it would give back.
        given: Money,
    },
    /// There is no such step that is open or was given up.
    #[error("the order has no open step {0}, nor one that was given up")]
    NoStep(u16),
    /// The lifecycle cannot make the change.
    #[error("the lifecycle cannot make the change: {0}")]
    Lifecycle(String),
    /// The change was not carried out.
    #[error(transparent)]
    Order(#[from] OrderError),
}

/// A field that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub rule: String,
}

impl InvalidField {
    pub(crate) fn new(field: &'static str, rule: impl Into<String>) -> Self {
        Self {
            field,
            rule: rule.into(),
        }
    }
}

impl ChangeError {
    /// The reason in responses and in the audit log; every reason has a row in the table of `docs/errors.md`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_REQUEST",
            Self::UnknownOrder => "ORDER_NOT_FOUND",
            Self::UnknownSlot => "SLOT_NOT_FOUND",
            Self::BlockReplaced => "BLOCK_REPLACED",
            Self::SpotsInFlight => "SPOTS_IN_FLIGHT",
            Self::OrdersKept { .. } => "ORDERS_KEPT",
            Self::RequestReused => "REQUEST_ID_REUSED",
            Self::RevisionChanged { .. } => "ORDER_CHANGED",
            Self::Contended => "ORDER_CONTENDED",
            Self::NotInState { .. } => "NOT_IN_STATE",
            Self::NoTransition { .. } => "NO_TRANSITION",
            Self::Condition { .. } => "CONDITION_NOT_MET",
            Self::NotAwaited | Self::NothingToConfirm => "NOT_AWAITED",
            Self::NoPolicy { .. } => "NO_REFUND_TERMS",
            Self::NoBill
            | Self::NothingToRefund
            | Self::PaidToGoogle
            | Self::AmountTooHigh { .. }
            | Self::OtherCurrency(_)
            | Self::OtherAmount { .. } => "REFUND_NOT_POSSIBLE",
            Self::NoStep(_) => "STEP_NOT_FOUND",
            Self::NoSuchState(_) | Self::Lifecycle(_) => "LIFECYCLE_CONFLICT",
            Self::Order(error) => error.reason(),
        }
    }

    /// The rule of the lifecycle that stands against the change, for programs: the part, its state, the state that was
    /// asked for, and what would be possible. Empty for every other error.
    #[must_use]
    pub fn rule(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::NotInState { part, state } => {
                vec![("part", described(*part)), ("state", state.clone())]
            }
            Self::NoTransition {
                part,
                from,
                to,
                allowed,
            } => vec![
                ("part", described(*part)),
                ("from_state", from.clone()),
                ("to_state", to.clone()),
                ("allowed", allowed.join(", ")),
            ],
            Self::Condition {
                part,
                to,
                condition,
            } => vec![
                ("part", described(*part)),
                ("to_state", to.clone()),
                ("condition", condition.clone()),
            ],
            Self::NotAwaited => vec![("awaited_from", "customer".to_owned())],
            Self::NothingToConfirm => vec![("awaited_from", "merchant".to_owned())],
            Self::Invalid(_)
            | Self::UnknownOrder
            | Self::UnknownSlot
            | Self::BlockReplaced
            | Self::SpotsInFlight
            | Self::OrdersKept { .. }
            | Self::RequestReused
            | Self::RevisionChanged { .. }
            | Self::Contended
            | Self::NoSuchState(_)
            | Self::NoPolicy { .. }
            | Self::NoBill
            | Self::NothingToRefund
            | Self::PaidToGoogle
            | Self::AmountTooHigh { .. }
            | Self::OtherCurrency(_)
            | Self::OtherAmount { .. }
            | Self::NoStep(_)
            | Self::Lifecycle(_)
            | Self::Order(_) => Vec::new(),
        }
    }

    /// What a rejection by the interpreter means, in the names of the lifecycle.
    pub(crate) fn refused(refused: &Refused, definition: &Definition) -> Self {
        let name = |part: OrderPart, state: StateIx| {
            let name = definition.state_name(part.entity, state);
            name.map(|name| name.as_str().to_owned())
                .unwrap_or_default()
        };
        match refused {
            Refused::NotInState { part, state } => Self::NotInState {
                part: *part,
                state: name(*part, *state),
            },
            Refused::NoTransition {
                part,
                from,
                to,
                allowed,
            } => Self::NoTransition {
                part: *part,
                from: name(*part, *from),
                to: name(*part, *to),
                allowed: allowed.iter().map(|state| name(*part, state)).collect(),
            },
            Refused::Condition {
                part,
                to,
                condition,
            } => Self::Condition {
                part: *part,
                to: name(*part, *to),
                condition: lifecycle_files::condition(definition, condition),
            },
            Refused::NoPart(part) => Self::Invalid(vec![InvalidField::new(
                "name",
                format!("the order has no {}", described(*part)),
            )]),
            Refused::Action { error, .. } => Self::failed(*error),
            Refused::TooDeep { .. } => Self::Lifecycle("it moves in a circle".to_owned()),
            Refused::Invariant(broken) => Self::Lifecycle(format!("{broken:?}")),
            Refused::Begun => Self::Order(OrderError::Bug),
        }
    }

    fn failed(error: ActionError) -> Self {
        match error {
            ActionError::Refund(RefundError::NoPolicy { item }) => Self::NoPolicy { item },
            ActionError::NoBill => Self::NoBill,
            ActionError::Refund(RefundError::AboveLeft { left }) if left.is_zero() => {
                Self::NothingToRefund
            }
            ActionError::Refund(RefundError::AboveLeft { left }) => {
                Self::AmountTooHigh { available: left }
            }
            ActionError::Refund(RefundError::Money(_))
            | ActionError::Ledger(LedgerError::Money(_))
            | ActionError::Money(_) => {
                Self::Lifecycle("amounts of the order do not add up".to_owned())
            }
            ActionError::SpotsReleased
            | ActionError::NotLinked
            | ActionError::NotBooked
            | ActionError::NoFacts
            | ActionError::TooMany
            | ActionError::Refund(_)
            | ActionError::Ledger(_)
            | ActionError::Shipment(_) => Self::Lifecycle(error.to_string()),
        }
    }
}

impl From<UnknownState> for ChangeError {
    fn from(error: UnknownState) -> Self {
        Self::Lifecycle(error.to_string())
    }
}

fn listed(invalid: &[InvalidField]) -> String {
    let fields = invalid.iter();
    let fields: Vec<String> = fields
        .map(|it| format!("{} {}", it.field, it.rule))
        .collect();
    fields.join("; ")
}

/// A part for people.
fn described(part: OrderPart) -> String {
    match part.entity {
        Entity::Order => "the order".to_owned(),
        Entity::LineItem => format!("item {}", part.index),
        Entity::Fulfillment => format!("fulfillment {}", part.index + 1),
        Entity::Refund => format!("refund {}", part.index + 1),
    }
}
