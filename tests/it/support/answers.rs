//! Answers to calls, and what two transports must agree on.

use boxoffice::api::booking::proto::v3::{
    CheckOrderFulfillabilityResponse, CreateOrderResponse, LineItemFulfillability, Order,
    OrderFailure, create_order_response,
};
use tonic::Status;
use tonic_types::StatusExt;

/// Fails unless both transports have given the same answer.
pub(crate) fn agree<M: PartialEq + std::fmt::Debug>(
    one: &Result<M, Status>,
    other: &Result<M, Status>,
) {
    let facts = |rejection: &Status| {
        (
            rejection.code(),
            rejection.message().to_owned(),
            format!("{:?}", rejection.get_error_details()),
        )
    };
    match (one, other) {
        (Ok(one), Ok(other)) => assert_eq!(one, other),
        (Err(one), Err(other)) => assert_eq!(facts(one), facts(other)),
        (one, other) => panic!("{one:?} and {other:?}"),
    }
}

/// The answer to a cart.
#[derive(Debug, Clone)]
pub(crate) struct Checked(pub(crate) CheckOrderFulfillabilityResponse);

impl Checked {
    /// The order's result, by its published name.
    pub(crate) fn verdict(&self) -> &'static str {
        self.0
            .fulfillability
            .as_ref()
            .unwrap()
            .result()
            .as_str_name()
    }

    pub(crate) fn item(&self, at: usize) -> &LineItemFulfillability {
        &self.0.fulfillability.as_ref().unwrap().item_fulfillability[at]
    }

    /// An item's result, by its published name.
    pub(crate) fn item_verdict(&self, at: usize) -> &'static str {
        self.item(at).result().as_str_name()
    }
}

/// The answer to an order to be created.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Created(pub(crate) CreateOrderResponse);

impl Created {
    /// Whether it is an order.
    pub(crate) fn is_order(&self) -> bool {
        matches!(self.0.result, Some(create_order_response::Result::Order(_)))
    }

    /// The order; a failure fails the test.
    pub(crate) fn order(self) -> Order {
        match self.0.result {
            Some(create_order_response::Result::Order(order)) => *order,
            other => panic!("not an order: {other:?}"),
        }
    }

    /// The failure; an order fails the test.
    pub(crate) fn failure(self) -> OrderFailure {
        match self.0.result {
            Some(create_order_response::Result::OrderFailure(failure)) => failure,
            other => panic!("not a failure: {other:?}"),
        }
    }
}

/// The fields that a rejection finds fault with, in its order.
pub(crate) fn faulty_fields(rejection: &Status) -> Vec<String> {
    let violations = rejection
        .get_details_bad_request()
        .map(|details| details.field_violations);
    violations
        .into_iter()
        .flatten()
        .map(|violation| violation.field)
        .collect()
}

/// The machine-readable reason of a rejection.
pub(crate) fn reason(rejection: &Status) -> String {
    rejection
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}
