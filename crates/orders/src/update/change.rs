//! What can be asked for of an order after its sale.

use std::{collections::HashSet, sync::Arc};

use domain::{lifecycle::OrderPart, money::Money, order::OrderId};
use kernel::{rpc::OperatorRpc, user::User};
use store::Fingerprint;

use super::error::{ChangeError, InvalidField};

/// Longest reason, in characters.
pub const MAX_REASON: usize = 500;

/// Longest note, in characters.
pub const MAX_NOTE: usize = 2_000;

/// Length of a UUID in letters.
const UUID_LENGTH: usize = 36;

/// Where the hyphens of a UUID are.
const UUID_HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// Who asks for a change of which order.
#[derive(Debug, Clone)]
pub struct ChangeRequest {
    /// The order.
    pub order: OrderId,
    /// A UUID. The same request again has the same answer and changes nothing more.
    pub request_id: String,
    /// Digest of caller, method and request, which tells a repetition from another request under the same id.
    pub fingerprint: Fingerprint,
    /// The revision that the order has to have; `None` for any.
    pub expected_revision: Option<u32>,
    /// The user, where the server knows its users. One who does not act for the merchant finds no order.
    pub user: Option<Arc<User>>,
    /// Whether it is asked for in earnest.
    pub mode: ChangeMode,
}

/// Whether a change is asked for in earnest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChangeMode {
    /// It is made.
    #[default]
    Commit,
    /// It is decided as if it were, and nothing changes.
    ValidateOnly,
}

/// A change of an order. Items are named by index; an empty list stands for all that are left.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderChange {
    /// The customer does not want items any more: their spots are for sale again, and money goes back.
    Cancel {
        /// The items.
        items: Vec<u32>,
        /// How much is given back.
        refund: RefundChoice,
        /// Why, in words.
        reason: String,
    },
    /// Money goes back, and nothing is cancelled.
    Refund {
        /// The items that it is for.
        items: Vec<u32>,
        /// How much.
        refund: RefundChoice,
        /// Why, in words.
        reason: String,
    },
    /// The merchant cannot keep items: their spots are given back, and the customer is asked.
    Withdraw {
        /// The items.
        items: Vec<u32>,
        /// What becomes of their spots.
        spots: WithdrawnSpots,
        /// Why, in words.
        reason: String,
    },
    /// What the customer decides after a withdrawal.
    CustomerAction(CustomerDecision),
    /// Nobody came.
    MarkNoShow {
        /// The items.
        items: Vec<u32>,
    },
    /// The merchant decides on items that wait for it.
    Confirm {
        /// The items; an empty list stands for all that wait.
        items: Vec<u32>,
        /// The decision.
        decision: MerchantDecision,
        /// Why, in words.
        reason: String,
    },
    /// Any other change that the lifecycle allows.
    ChangeState {
        /// The part that changes.
        part: OrderPart,
        /// The state that it has to be in; `None` for any.
        from: Option<String>,
        /// The state that it shall be in.
        to: String,
        /// Why, in words.
        reason: String,
    },
    /// A note in the history.
    AddNote {
        /// The note.
        note: String,
    },
    /// A step without an outcome, or one that was given up, is tried at once, under the key that it has.
    RetryStep {
        /// Its number.
        step: u16,
    },
    /// A step without an outcome is given up; one that was given up is left alone.
    AbandonStep {
        /// Its number.
        step: u16,
        /// Why, in words.
        reason: String,
    },
}

/// How much is given back, which decides who pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundChoice {
    /// What the refund terms of the sale say.
    Policy,
    /// Everything, as for a withdrawal: the merchant pays.
    Full,
    /// Nothing: the customer pays.
    Nothing,
    /// That amount.
    Amount(Money),
}

/// What becomes of spots that are withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithdrawnSpots {
    /// They are for sale again, as far as their slots are not blocked.
    ForSale,
    /// Their slots are blocked for as many spots more.
    OffSale,
}

/// What a customer decides after a withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerDecision {
    /// The rest of the order stands.
    Amend,
    /// The whole order is cancelled.
    Cancel,
}

/// What a merchant decides on items that wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MerchantDecision {
    /// They are booked.
    Confirm,
    /// They are not, and money goes back.
    Decline,
}

impl OrderChange {
    /// The method that asks for it.
    #[must_use]
    pub fn rpc(&self) -> OperatorRpc {
        match self {
            Self::Cancel { .. } => OperatorRpc::CancelOrder,
            Self::Refund { .. } => OperatorRpc::RefundItems,
            Self::Withdraw { .. } => OperatorRpc::WithdrawItems,
            Self::CustomerAction(_) => OperatorRpc::CustomerAction,
            Self::MarkNoShow { .. } => OperatorRpc::MarkNoShow,
            Self::Confirm { .. } => OperatorRpc::ConfirmItems,
            Self::ChangeState { .. } => OperatorRpc::ChangeState,
            Self::AddNote { .. } => OperatorRpc::AddNote,
            Self::RetryStep { .. } => OperatorRpc::RetryStep,
            Self::AbandonStep { .. } => OperatorRpc::AbandonStep,
        }
    }

    /// The items that it names, if it names items.
    pub(super) fn items(&self) -> &[u32] {
        match self {
            Self::Cancel { items, .. }
            | Self::Refund { items, .. }
            | Self::Withdraw { items, .. }
            | Self::MarkNoShow { items }
            | Self::Confirm { items, .. } => items,
            Self::CustomerAction(_)
            | Self::ChangeState { .. }
            | Self::AddNote { .. }
            | Self::RetryStep { .. }
            | Self::AbandonStep { .. } => &[],
        }
    }

    /// The reason in words, and an empty text where there is none.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Cancel { reason, .. }
            | Self::Refund { reason, .. }
            | Self::Withdraw { reason, .. }
            | Self::Confirm { reason, .. }
            | Self::ChangeState { reason, .. }
            | Self::AbandonStep { reason, .. } => reason,
            Self::CustomerAction(_)
            | Self::MarkNoShow { .. }
            | Self::AddNote { .. }
            | Self::RetryStep { .. } => "",
        }
    }

    /// The refund that it asks for, if it asks for one.
    pub(super) fn refund(&self) -> Option<RefundChoice> {
        match self {
            Self::Cancel { refund, .. } | Self::Refund { refund, .. } => Some(*refund),
            Self::Withdraw { .. }
            | Self::CustomerAction(_)
            | Self::MarkNoShow { .. }
            | Self::Confirm { .. }
            | Self::ChangeState { .. }
            | Self::AddNote { .. }
            | Self::RetryStep { .. }
            | Self::AbandonStep { .. } => None,
        }
    }
}

/// Checks what can be checked without the order.
///
/// # Errors
/// [`ChangeError::Invalid`] with every field that is not as it has to be.
pub(super) fn validate(request: &ChangeRequest, change: &OrderChange) -> Result<(), ChangeError> {
    let mut invalid = Vec::new();
    invalid.extend(wrong_request_id(&request.request_id));
    let mut seen = HashSet::new();
    for item in change.items() {
        if !seen.insert(item) {
            let rule = format!("names item {item} twice");
            invalid.push(InvalidField::new("items", rule));
        }
    }
    invalid.extend(wrong_reason(change));
    invalid.extend(wrong_note(change));
    invalid.extend(wrong_refund(change));
    if let OrderChange::ChangeState { to, .. } = change
        && to.is_empty()
    {
        invalid.push(InvalidField::new("to_state", "is required"));
    }
    if invalid.is_empty() {
        Ok(())
    } else {
        Err(ChangeError::Invalid(invalid))
    }
}

/// What is wrong with a request id, if it is no UUID.
pub(crate) fn wrong_request_id(request_id: &str) -> Option<InvalidField> {
    (!is_uuid(request_id)).then(|| InvalidField::new("request_id", "has to be a UUID"))
}

/// What is wrong with a reason, if it is too long.
pub(crate) fn wrong_reason_text(reason: &str) -> Option<InvalidField> {
    let is_long = reason.chars().count() > MAX_REASON;
    is_long.then(|| InvalidField::new("reason", format!("has more than {MAX_REASON} characters")))
}

fn wrong_reason(change: &OrderChange) -> Option<InvalidField> {
    let reason = change.reason();
    if let Some(invalid) = wrong_reason_text(reason) {
        return Some(invalid);
    }
    let is_required = matches!(change, OrderChange::AbandonStep { .. });
    let is_missing = is_required && reason.trim().is_empty();
    is_missing.then(|| InvalidField::new("reason", "is required"))
}

fn wrong_note(change: &OrderChange) -> Option<InvalidField> {
    let OrderChange::AddNote { note } = change else {
        return None;
    };
    if note.trim().is_empty() {
        return Some(InvalidField::new("note", "is required"));
    }
    let is_long = note.chars().count() > MAX_NOTE;
    is_long.then(|| InvalidField::new("note", format!("has more than {MAX_NOTE} characters")))
}

fn wrong_refund(change: &OrderChange) -> Option<InvalidField> {
    let is_refund = matches!(change, OrderChange::Refund { .. });
    match change.refund()? {
        RefundChoice::Amount(amount) if amount.is_negative() || amount.is_zero() => {
            Some(InvalidField::new("refund.amount", "has to be above zero"))
        }
        RefundChoice::Amount(amount) if amount.rounded() != amount => {
            let rule = "has more digits than its currency";
            Some(InvalidField::new("refund.amount", rule))
        }
        RefundChoice::Nothing if is_refund => {
            let rule = "has to be the policy, everything or an amount";
            Some(InvalidField::new("refund", rule))
        }
        RefundChoice::Policy
        | RefundChoice::Full
        | RefundChoice::Nothing
        | RefundChoice::Amount(_) => None,
    }
}

/// Whether a text is a UUID, in hexadecimal digits with hyphens.
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    let is_right = |(at, byte): (usize, u8)| {
        if UUID_HYPHENS.contains(&at) {
            byte == b'-'
        } else {
            byte.is_ascii_hexdigit()
        }
    };
    text.len() == UUID_LENGTH && text.bytes().enumerate().all(is_right)
}
