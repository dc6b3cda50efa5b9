//! What the model says, in the messages of the contract; and answers without what it cannot know: words
//! for people, ids, and what the gateway makes up.

use boxoffice::api::booking::proto::v3::{
    BookingStatus, CreateOrderRequest, CreditCardType, Fees, LineItem, LineItemFulfillability,
    Order, OrderFailure, OrderFulfillability, PaymentInformation, PrepaymentStatus,
    SpecificPerOrderFee, SpecificPerTicketFee, TicketType,
    line_item_fulfillability::{
        UpdatedAvailability, ViolatedTicketConstraint, violated_ticket_constraint::Value,
    },
    order_failure::{Cause, PaymentFailureInformation},
    order_fulfillability::OrderFulfillabilityResult as Verdict,
    payment_information::PaymentProcessedBy,
};

use super::{
    fixture::{NEVER_PREPAID, PREPAID},
    reference::ReferenceModel,
    rules::Rule,
    verdict::{LineVerdict, ModelVerdict, line_slot},
};
use crate::support::{Created, price};

impl ModelVerdict {
    /// The verdict on these lines.
    pub(super) fn verdict(&self, lines: &[LineItem]) -> OrderFulfillability {
        OrderFulfillability {
            result: self.result.into(),
            item_fulfillability: self
                .lines
                .iter()
                .zip(lines)
                .map(|(line, asked)| line.said_of(asked))
                .collect(),
            ..OrderFulfillability::default()
        }
    }

    pub(super) fn fees(&self) -> Fees {
        let mut fees = Fees::default();
        for fee in &self.fees {
            let (fee_name, fee_amount) = (fee.name.clone(), Some(price("USD", fee.amount)));
            match fee.of.clone() {
                Some((service_id, ticket_id)) => fees.per_ticket_fee.push(SpecificPerTicketFee {
                    ticket_id,
                    service_id,
                    fee_name,
                    fee_amount,
                }),
                None => fees.per_order_fee.push(SpecificPerOrderFee {
                    fee_name,
                    fee_amount,
                }),
            }
        }
        fees
    }
}

impl LineVerdict {
    fn said_of(&self, asked: &LineItem) -> LineItemFulfillability {
        let mut item = LineItem {
            warning_reason: self.warning.into(),
            ..asked.clone()
        };
        if let Some(total) = self.total {
            item.price = Some(price("USD", total));
        }
        let open = |open| UpdatedAvailability {
            spots_open: i32::try_from(open).unwrap(),
        };
        let bound = |&(value, id): &(Value, &str)| ViolatedTicketConstraint {
            value: Some(value),
            ticket_id: id.into(),
        };
        let present = |(id, micros): &(String, i64)| TicketType {
            ticket_type_id: id.clone(),
            price: Some(price("USD", *micros)),
            ..TicketType::default()
        };
        LineItemFulfillability {
            result: self.result.into(),
            item: Some(item),
            availability: self.open.map(open),
            violated_ticket_constraint: self.violated.iter().map(bound).collect(),
            ticket_type: self.prices.iter().map(present).collect(),
            ..LineItemFulfillability::default()
        }
    }
}

/// A verdict without its words; of a ticket type only id and price are the model's.
pub(super) fn plain(mut verdict: OrderFulfillability) -> OrderFulfillability {
    verdict.unfulfillable_reason.clear();
    for item in &mut verdict.item_fulfillability {
        item.unfulfillable_reason.clear();
        for ticket in &mut item.ticket_type {
            (ticket.localized_short_description, ticket.per_ticket_fee) = (None, None);
        }
    }
    verdict
}

/// A failure without its words.
pub(super) fn plain_failure(created: Created) -> Result<OrderFailure, String> {
    if created.is_order() {
        return Err(format!("an order: {created:#?}"));
    }
    let mut failure = created.failure();
    failure.description.clear();
    failure.fulfillability = failure.fulfillability.map(plain);
    if let Some(payment) = &mut failure.payment_failure {
        payment.threeds1_parameters = None;
    }
    Ok(failure)
}

/// Why there is no order.
pub(super) struct NotCreated {
    pub(super) failure: OrderFailure,
    /// In a few words.
    pub(super) why: &'static str,
}

/// What it is where the gateway was asked.
pub(super) const BY_GATEWAY: &str = "the gateway's word";

/// Why there is no order, by the contract and by what the simulated gateway's means of payment say.
pub(super) fn failure(
    model: &ReferenceModel,
    request: &CreateOrderRequest,
    judged: &ModelVerdict,
) -> Option<NotCreated> {
    let because = |cause: Cause| OrderFailure {
        cause: cause.into(),
        ..OrderFailure::default()
    };
    let order = request.order.as_ref().unwrap();
    if judged.result != Verdict::CanFulfill {
        let mut verdict = judged.verdict(&order.item);
        for item in verdict
            .item_fulfillability
            .iter_mut()
            .filter_map(|item| item.item.as_mut())
        {
            item.status = BookingStatus::Failed.into();
        }
        let failure = OrderFailure {
            fulfillability: Some(verdict),
            ..because(Cause::OrderUnfulfillable)
        };
        return Some(NotCreated {
            failure,
            why: "cannot be fulfilled",
        });
    }
    let payment = order.payment_information.clone().unwrap_or_default();
    if payment
        .fees_and_taxes
        .as_ref()
        .map_or(0, |stated| stated.price_micros)
        != judged.fee_total
    {
        return Some(NotCreated {
            failure: because(Cause::IncorrectFeeTotal),
            why: "other fees",
        });
    }
    if let Some(why) = payment_fault(model, order, &payment, judged) {
        return Some(NotCreated {
            failure: because(Cause::PaymentError),
            why,
        });
    }
    let means = request.payment_processing_parameters.as_ref()?;
    let failure = match &*means.unparsed_payment_method_token {
        "decline" => because(Cause::PaymentErrorCardDeclined),
        "reject-jcb" => OrderFailure {
            rejected_card_type: CreditCardType::Jcb.into(),
            ..because(Cause::PaymentErrorCardTypeRejected)
        },
        "3ds1" if payment.pa_response.is_empty() => OrderFailure {
            payment_failure: Some(PaymentFailureInformation::default()),
            ..because(Cause::PaymentRequires3ds1)
        },
        "error" | "hang" => because(Cause::PaymentError),
        _ => return None,
    };
    Some(NotCreated {
        failure,
        why: BY_GATEWAY,
    })
}

/// What is wrong with a payment before any gateway is asked.
fn payment_fault(
    model: &ReferenceModel,
    order: &Order,
    payment: &PaymentInformation,
    judged: &ModelVerdict,
) -> Option<&'static str> {
    let has = |service: &str| order.item.iter().any(|item| item.service_id == service);
    if payment.payment_processed_by() != PaymentProcessedBy::ProcessedByPartner {
        let is_provided = payment.prepayment_status() == PrepaymentStatus::PrepaymentProvided;
        let missing = has(PREPAID) && !is_provided && model.keeps(Rule::PrepaymentIsRequired);
        return missing.then_some("no prepayment");
    }
    let other_tax = payment
        .tax_amount
        .as_ref()
        .is_some_and(|stated| stated.price_micros != judged.tax);
    match () {
        () if !model.charging && model.keeps(Rule::NoChargeWithoutAGateway) => Some("no gateway"),
        () if has(NEVER_PREPAID) && model.keeps(Rule::UnsupportedPrepaymentIsNotCharged) => {
            Some("a charge for what is not prepaid")
        }
        () if other_tax && model.keeps(Rule::StatedTaxAgrees) => Some("another tax"),
        () => None,
    }
}

/// The order that is to be made of what was asked. Its id and the name of its transaction are known
/// from the answer only.
pub(super) fn placed(model: &ReferenceModel, asked: &Order, answered: &Order) -> Order {
    let mut order = Order {
        order_id: answered.order_id.clone(),
        ..asked.clone()
    };
    for item in &mut order.item {
        item.status = if model.catalogue.is_confirmed_later(&line_slot(item)) {
            BookingStatus::PendingMerchantConfirmation.into()
        } else {
            BookingStatus::Confirmed.into()
        };
    }
    if let Some(payment) = &mut order.payment_information {
        payment.pa_response.clear();
    }
    if let Some(payment) = &mut order.payment_information
        && payment.payment_processed_by() == PaymentProcessedBy::ProcessedByPartner
    {
        payment.prepayment_status = PrepaymentStatus::PrepaymentProvided.into();
        let transaction = answered
            .payment_information
            .as_ref()
            .map(|it| it.payment_transaction_id.clone());
        payment.payment_transaction_id = transaction.unwrap_or_default();
    }
    order
}
