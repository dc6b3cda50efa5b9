//! Invariants of every response. All responses in the tests are checked here.

use std::collections::{HashMap, HashSet};

use boxoffice::api::booking::proto::v3::{
    BatchAvailabilityLookupRequest, BatchAvailabilityLookupResponse, BookingStatus,
    CheckAvailabilityRequest, CheckAvailabilityResponse, CheckOrderFulfillabilityRequest,
    CheckOrderFulfillabilityResponse, CreateOrderRequest, CreateOrderResponse, LineItem,
    LineItemFulfillability, Order, OrderFailure, OrderFulfillability, PaymentInformation, Price,
    SlotTime, create_order_response, line_item::WarningReason,
    line_item_fulfillability::ItemFulfillabilityResult as ItemResult, order_failure::Cause,
    order_fulfillability::OrderFulfillabilityResult as OrderResult,
    payment_information::PaymentProcessedBy,
};

/// Invariants of a check.
pub(crate) fn hold_for_check(
    request: &CheckOrderFulfillabilityRequest,
    answer: &CheckOrderFulfillabilityResponse,
) {
    let verdict = answer.fulfillability.as_ref().unwrap();
    hold_for_verdict(&request.item, verdict, BookingStatus::Unspecified);
    fees_agree(verdict, answer);
    if request.cart_id.is_empty() || verdict.result() != OrderResult::CanFulfill {
        assert_eq!(answer.cart_expiration_sec, 0, "nothing is held: {answer:?}");
    }
}

/// Invariants of `CreateOrder`.
pub(crate) fn hold_for_create(request: &CreateOrderRequest, answer: &CreateOrderResponse) {
    let asked = request.order.as_ref().unwrap();
    match answer.result.as_ref().unwrap() {
        create_order_response::Result::Order(order) => hold_for_order(asked, order),
        create_order_response::Result::OrderFailure(failure) => hold_for_failure(asked, failure),
    }
}

/// Invariants of `BatchAvailabilityLookup`: one entry for each slot of the request, in its order.
pub(crate) fn hold_for_lookup(
    request: &BatchAvailabilityLookupRequest,
    answer: &BatchAvailabilityLookupResponse,
) {
    let seen = answer.slot_time_availability.iter();
    let echoed: Vec<SlotTime> = seen.map(|seen| seen.slot_time.clone().unwrap()).collect();
    assert_eq!(echoed, request.slot_time);
}

/// Invariants of `CheckAvailability`: the response has the slot of the request and a number of spots.
pub(crate) fn hold_for_availability(
    request: &CheckAvailabilityRequest,
    answer: &CheckAvailabilityResponse,
) {
    let expected = CheckAvailabilityResponse {
        slot: request.slot.clone(),
        count_available: answer.count_available,
        ..CheckAvailabilityResponse::default()
    };
    assert_eq!(*answer, expected);
    assert!(answer.count_available >= 0, "{answer:?}");
}

fn hold_for_order(asked: &Order, order: &Order) {
    assert!(!order.order_id.is_empty());
    assert_eq!(order.merchant_id, asked.merchant_id);
    assert_eq!(order.user_information, asked.user_information);
    assert_eq!(order.item.len(), asked.item.len());
    for (asked, booked) in asked.item.iter().zip(&order.item) {
        let is_booked = matches!(
            booked.status(),
            BookingStatus::Confirmed | BookingStatus::PendingMerchantConfirmation
        );
        assert!(is_booked, "{booked:?}");
        assert_eq!(
            LineItem {
                status: 0,
                ..booked.clone()
            },
            *asked,
            "sold as it was asked"
        );
    }
    assert_eq!(
        order.payment_information.is_some(),
        asked.payment_information.is_some()
    );
    if let (Some(asked), Some(answered)) = (&asked.payment_information, &order.payment_information)
    {
        hold_for_payment(asked, answered);
    }
}

fn hold_for_payment(asked: &PaymentInformation, answered: &PaymentInformation) {
    assert_eq!(
        (
            &*answered.fraud_signals,
            &*answered.pa_response,
            &*answered.md_merchant_data
        ),
        ("", "", "")
    );
    let mut expected = PaymentInformation {
        fraud_signals: String::new(),
        pa_response: String::new(),
        md_merchant_data: String::new(),
        ..asked.clone()
    };
    if asked.payment_processed_by() == PaymentProcessedBy::ProcessedByPartner {
        assert!(!answered.payment_transaction_id.is_empty());
        expected.prepayment_status = answered.prepayment_status;
        expected
            .payment_transaction_id
            .clone_from(&answered.payment_transaction_id);
    }
    assert_eq!(*answered, expected);
}

fn hold_for_failure(asked: &Order, failure: &OrderFailure) {
    let cause = failure.cause();
    assert_ne!(cause, Cause::Unspecified, "{failure:?}");
    assert!(!failure.description.is_empty(), "{failure:?}");
    assert_eq!(
        failure.fulfillability.is_some(),
        cause == Cause::OrderUnfulfillable,
        "{failure:?}"
    );
    assert_eq!(
        failure.rejected_card_type != 0,
        cause == Cause::PaymentErrorCardTypeRejected,
        "{failure:?}"
    );
    assert_eq!(
        failure.payment_failure.is_some(),
        cause == Cause::PaymentRequires3ds1,
        "{failure:?}"
    );
    if let Some(verdict) = &failure.fulfillability {
        assert_ne!(verdict.result(), OrderResult::CanFulfill, "{failure:?}");
        hold_for_verdict(&asked.item, verdict, BookingStatus::Failed);
    }
}

/// The laws of a verdict on items that come back with this status.
fn hold_for_verdict(asked: &[LineItem], verdict: &OrderFulfillability, status: BookingStatus) {
    let items = &verdict.item_fulfillability;
    assert_eq!(items.len(), asked.len(), "one verdict an item: {verdict:?}");
    let all_can = items
        .iter()
        .all(|item| item.result() == ItemResult::CanFulfill);
    match verdict.result() {
        OrderResult::Unspecified => panic!("no verdict: {verdict:?}"),
        OrderResult::UnfulfillableLineItem => assert!(!all_can, "{verdict:?}"),
        OrderResult::CanFulfill | OrderResult::UnfulfillableServiceCombination => {
            assert!(all_can && !items.is_empty(), "{verdict:?}");
        }
        OrderResult::OrderUnfulfillableOtherReason => {}
    }
    let can = verdict.result() == OrderResult::CanFulfill;
    assert_eq!(verdict.unfulfillable_reason.is_empty(), can, "{verdict:?}");
    for (asked, item) in asked.iter().zip(items) {
        hold_for_item(
            &LineItem {
                status: status.into(),
                ..asked.clone()
            },
            item,
        );
    }
}

fn hold_for_item(asked: &LineItem, item: &LineItemFulfillability) {
    let result = item.result();
    assert_ne!(result, ItemResult::Unspecified, "{item:?}");
    assert_eq!(
        item.unfulfillable_reason.is_empty(),
        result == ItemResult::CanFulfill,
        "{item:?}"
    );
    let violated = &item.violated_ticket_constraint;
    assert_eq!(
        !violated.is_empty(),
        result == ItemResult::TicketConstraintViolated,
        "{item:?}"
    );
    assert!(
        violated.iter().all(|violated| violated.value.is_some()),
        "{item:?}"
    );
    if matches!(result, ItemResult::CanFulfill | ItemResult::IncorrectPrice) {
        assert!(item.availability.is_some(), "the slot is known: {item:?}");
    }
    echo_agrees(asked, item);
    ticket_types_agree(asked, item);
}

/// The item comes back as it was asked, but for a price that is corrected and warned of.
fn echo_agrees(asked: &LineItem, item: &LineItemFulfillability) {
    let answered = item.item.as_ref().unwrap();
    let without_price = |item: &LineItem| LineItem {
        price: None,
        warning_reason: 0,
        ..item.clone()
    };
    assert_eq!(without_price(answered), without_price(asked));
    let tag = |item: &LineItem| {
        item.price
            .as_ref()
            .map(|price| price.pricing_option_tag.clone())
    };
    assert!(
        asked.price.is_none() || tag(answered) == tag(asked),
        "{item:?}"
    );
    let micros = |item: &LineItem| item.price.as_ref().unwrap().price_micros;
    match answered.warning_reason() {
        WarningReason::UnspecifiedWarningReason => return,
        WarningReason::PriceIncrease => assert!(micros(answered) > micros(asked), "{item:?}"),
        WarningReason::PriceDecrease => assert!(micros(answered) < micros(asked), "{item:?}"),
    }
    assert!(
        matches!(
            item.result(),
            ItemResult::CanFulfill | ItemResult::IncorrectPrice
        ),
        "{item:?}"
    );
}

/// Ticket types are answered where a price has moved: each of the item's types once, with a price.
fn ticket_types_agree(asked: &LineItem, item: &LineItemFulfillability) {
    if item.ticket_type.is_empty() {
        return;
    }
    assert_ne!(item.item.as_ref().unwrap().warning_reason, 0, "{item:?}");
    let wanted: HashSet<&str> = asked
        .tickets
        .iter()
        .map(|tickets| &*tickets.ticket_id)
        .collect();
    let answered: HashSet<&str> = item
        .ticket_type
        .iter()
        .map(|ticket| &*ticket.ticket_type_id)
        .collect();
    assert_eq!(answered, wanted);
    assert_eq!(item.ticket_type.len(), wanted.len(), "each once: {item:?}");
    assert!(
        item.ticket_type.iter().all(|ticket| ticket.price.is_some()),
        "{item:?}"
    );
}

/// The itemised fees of what can be sold add up to the total.
fn fees_agree(verdict: &OrderFulfillability, answer: &CheckOrderFulfillabilityResponse) {
    let mut counts: HashMap<(&str, &str), i64> = HashMap::new();
    for item in &verdict.item_fulfillability {
        let (can, item) = (
            item.result() == ItemResult::CanFulfill,
            item.item.as_ref().unwrap(),
        );
        for tickets in item.tickets.iter().filter(|_| can) {
            let count = counts
                .entry((&item.service_id, &tickets.ticket_id))
                .or_default();
            *count += i64::from(tickets.count);
        }
    }
    let fees = answer.fees.as_ref().unwrap();
    let per_ticket = fees.per_ticket_fee.iter().map(|fee| {
        assert!(!fee.fee_name.is_empty(), "{fee:?}");
        micros(fee.fee_amount.as_ref()) * counts[&(&*fee.service_id, &*fee.ticket_id)]
    });
    let per_order = fees
        .per_order_fee
        .iter()
        .map(|fee| micros(fee.fee_amount.as_ref()));
    assert_eq!(
        per_ticket.chain(per_order).sum::<i64>(),
        micros(answer.fees_and_taxes.as_ref()),
        "{answer:?}"
    );
}

fn micros(price: Option<&Price>) -> i64 {
    let price = price.unwrap();
    assert!(!price.currency_code.is_empty(), "{price:?}");
    price.price_micros
}
