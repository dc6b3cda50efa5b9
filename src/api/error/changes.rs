//! The rows of changes that are not made: of orders, and of the lifecycle.

use orders::{lifecycle::LifecycleError, update::ChangeError};

use super::{
    ApiError, BLOCK_REPLACED, CONDITION_NOT_MET, INVALID_REQUEST, LIFECYCLE_CONFLICT,
    NO_REFUND_TERMS, NO_TRANSITION, NOT_AWAITED, NOT_IN_STATE, ORDER_CHANGED, ORDER_CONTENDED,
    ORDER_NOT_FOUND, ORDERS_KEPT, REFUND_NOT_POSSIBLE, REQUEST_ID_REUSED, SLOT_NOT_FOUND,
    SPOTS_IN_FLIGHT, STEP_NOT_FOUND, StatusMapping, Violations, order_mapping,
};

/// The row whose reason is [`ChangeError::reason`]. A match, so that a new error without a row does not compile.
pub(super) const fn change_mapping(error: &ChangeError) -> StatusMapping {
    match error {
        ChangeError::Invalid(_) => INVALID_REQUEST,
        ChangeError::UnknownOrder => ORDER_NOT_FOUND,
        ChangeError::UnknownSlot => SLOT_NOT_FOUND,
        ChangeError::BlockReplaced => BLOCK_REPLACED,
        ChangeError::SpotsInFlight => SPOTS_IN_FLIGHT,
        ChangeError::OrdersKept { .. } => ORDERS_KEPT,
        ChangeError::RequestReused => REQUEST_ID_REUSED,
        ChangeError::RevisionChanged { .. } => ORDER_CHANGED,
        ChangeError::Contended => ORDER_CONTENDED,
        ChangeError::NotInState { .. } => NOT_IN_STATE,
        ChangeError::NoTransition { .. } => NO_TRANSITION,
        ChangeError::Condition { .. } => CONDITION_NOT_MET,
        ChangeError::NotAwaited | ChangeError::NothingToConfirm => NOT_AWAITED,
        ChangeError::NoPolicy { .. } => NO_REFUND_TERMS,
        ChangeError::NoBill
        | ChangeError::NothingToRefund
        | ChangeError::PaidToGoogle
        | ChangeError::AmountTooHigh { .. }
        | ChangeError::OtherCurrency(_)
        | ChangeError::OtherAmount { .. } => REFUND_NOT_POSSIBLE,
        ChangeError::NoStep(_) => STEP_NOT_FOUND,
        ChangeError::NoSuchState(_) | ChangeError::Lifecycle(_) => LIFECYCLE_CONFLICT,
        ChangeError::Order(error) => order_mapping(error),
    }
}

/// The field of the request that stands against the change; `None` if the order itself does.
pub(super) const fn changed_field(error: &ChangeError) -> Option<&'static str> {
    match error {
        ChangeError::RequestReused => Some("request_id"),
        ChangeError::UnknownSlot => Some("slot"),
        ChangeError::RevisionChanged { .. } => Some("etag"),
        ChangeError::NotInState { .. } => Some("from_state"),
        ChangeError::NoPolicy { .. }
        | ChangeError::NothingToRefund
        | ChangeError::PaidToGoogle
        | ChangeError::OtherAmount { .. } => Some("refund"),
        ChangeError::AmountTooHigh { .. } | ChangeError::OtherCurrency(_) => Some("refund.amount"),
        ChangeError::NoStep(_) => Some("name"),
        ChangeError::Invalid(_)
        | ChangeError::UnknownOrder
        | ChangeError::BlockReplaced
        | ChangeError::SpotsInFlight
        | ChangeError::OrdersKept { .. }
        | ChangeError::Contended
        | ChangeError::NoTransition { .. }
        | ChangeError::Condition { .. }
        | ChangeError::NotAwaited
        | ChangeError::NothingToConfirm
        | ChangeError::NoSuchState(_)
        | ChangeError::NoBill
        | ChangeError::Lifecycle(_)
        | ChangeError::Order(_) => None,
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        if let ChangeError::Order(error) = error {
            return Self::Order(error);
        }
        let ChangeError::Invalid(fields) = error else {
            return Self::Change(error);
        };
        let mut violations = Violations::default();
        for invalid in fields {
            violations.add(invalid.field, &invalid.rule);
        }
        Self::Invalid(violations)
    }
}

impl From<LifecycleError> for ApiError {
    fn from(error: LifecycleError) -> Self {
        match error {
            LifecycleError::InvalidRequest(invalid) => {
                Violations::one(invalid.field, &invalid.rule).into()
            }
            LifecycleError::InvalidDefinition(errors) => {
                let mut violations = Violations::default();
                for error in errors.list() {
                    violations.add("definition", &error.message());
                }
                violations.into()
            }
            LifecycleError::NoDraft => Self::DraftNotFound,
            LifecycleError::RequestReused => Self::Change(ChangeError::RequestReused),
            LifecycleError::Order(error) => Self::Order(error),
            error @ (LifecycleError::FromFile
            | LifecycleError::Unchanged
            | LifecycleError::Stranded(_)) => Self::NotPublished(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_the_lifecycle_is_named_for_programs() {
        let part = domain::lifecycle::OrderPart::item(1);
        let (from, to) = ("confirmed".to_owned(), "declined".to_owned());
        for (error, expected) in [
            (
                ChangeError::NoTransition {
                    part,
                    from,
                    to: to.clone(),
                    allowed: vec!["cancelled".into(), "no_show".into()],
                },
                &[
                    ("allowed", "cancelled, no_show"),
                    ("from_state", "confirmed"),
                    ("part", "item 1"),
                    ("to_state", "declined"),
                ][..],
            ),
            (
                ChangeError::Condition {
                    part,
                    to,
                    condition: "holds_spots".into(),
                },
                &[
                    ("condition", "holds_spots"),
                    ("part", "item 1"),
                    ("to_state", "declined"),
                ],
            ),
            (ChangeError::NotAwaited, &[("awaited_from", "customer")]),
            (
                ChangeError::NothingToConfirm,
                &[("awaited_from", "merchant")],
            ),
            (ChangeError::Contended, &[]),
        ] {
            let details = ApiError::from(error.clone()).details();
            let metadata = &details.error_info().unwrap().metadata;
            let mut found: Vec<_> = metadata
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            found.sort_unstable();
            assert_eq!(found, expected, "{error}");
        }
        let text = ChangeError::Condition {
            part,
            to: "amended".into(),
            condition: "one_line_item_in_states(confirmed)".into(),
        };
        let expected =
            "item 1 cannot go to \"amended\" now: one_line_item_in_states(confirmed) does not hold";
        assert_eq!(text.to_string(), expected);
    }
}
