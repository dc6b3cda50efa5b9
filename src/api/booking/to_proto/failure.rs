//! Why no order was created.

use crate::api::booking::proto::v3;
use domain::failure::{CardType, FailureCause, ThreeDs1Parameters};

pub(super) fn order_failure(cause: FailureCause) -> v3::OrderFailure {
    use v3::order_failure::Cause;
    let mut wire = v3::OrderFailure {
        // Replaced below, once the cause has filled its own fields.
        cause: 0,
        fulfillability: None,
        rejected_card_type: 0,
        description: cause.to_string(),
        payment_failure: None,
    };
    let cause = match cause {
        FailureCause::Unfulfillable(verdict) => {
            wire.fulfillability = Some(failed(super::fulfillability::fulfillability(*verdict)));
            Cause::OrderUnfulfillable
        }
        FailureCause::CardTypeRejected(card) => {
            wire.rejected_card_type = card_type(card).into();
            Cause::PaymentErrorCardTypeRejected
        }
        FailureCause::CardDeclined => Cause::PaymentErrorCardDeclined,
        FailureCause::Payment(_) => Cause::PaymentError,
        FailureCause::IncorrectFeeTotal { .. } => Cause::IncorrectFeeTotal,
        FailureCause::Requires3ds1(parameters) => {
            wire.payment_failure = Some(payment_failure(parameters));
            Cause::PaymentRequires3ds1
        }
    };
    wire.cause = cause.into();
    wire
}

/// Sets the status of the items of a failed order: every response to CreateOrder has one.
fn failed(mut verdict: v3::OrderFulfillability) -> v3::OrderFulfillability {
    for item in verdict
        .item_fulfillability
        .iter_mut()
        .filter_map(|verdict| verdict.item.as_mut())
    {
        item.status = v3::BookingStatus::Failed.into();
    }
    verdict
}

fn payment_failure(parameters: ThreeDs1Parameters) -> v3::order_failure::PaymentFailureInformation {
    use v3::order_failure::{PaymentFailureInformation, payment_failure_information as wire};
    let ThreeDs1Parameters {
        acs_url,
        pa_req,
        transaction_id,
        md_merchant_data,
    } = parameters;
    let parameters = wire::ThreeDs1Parameters {
        acs_url,
        pa_req,
        transaction_id,
        md_merchant_data,
    };
    PaymentFailureInformation {
        threeds1_parameters: Some(parameters),
    }
}

fn card_type(card: CardType) -> v3::CreditCardType {
    match card {
        CardType::Visa => v3::CreditCardType::Visa,
        CardType::Mastercard => v3::CreditCardType::Mastercard,
        CardType::AmericanExpress => v3::CreditCardType::AmericanExpress,
        CardType::Discover => v3::CreditCardType::Discover,
        CardType::Jcb => v3::CreditCardType::Jcb,
    }
}
