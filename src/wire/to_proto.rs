//! From the application outwards: answers become published messages.
//!
//! A message is written out whole, field by field, so that a new field of the contract cannot be
//! forgotten here.

use super::proto::v3;
use crate::{
    app::{Checked, Created, SlotLookup},
    domain::{
        availability::{AskedSlot, Resources, SeenSlot},
        catalog::{Fee, FeedFees, LocalizedText, TicketType},
        constraints::{Bound, ViolatedConstraint},
        failure::{CardType, FailureCause, OrderFailure, ThreeDs1Parameters},
        fees::{FeeTable, TicketFee},
        fulfillability::{Fulfillability, ItemFulfillability, ItemResult, OrderResult},
        money::Money,
        order::{
            BookedItem, BookingStatus, Customer, Deposit, IntakeAnswer, LineItem, NoShowFee, Order,
            OrderedTickets, PaymentDetails, PaymentOption, PaymentProcessor, PostalAddress,
            PrepaymentStatus, PriceTag, PriceType,
        },
        pricing::PriceChange,
    },
};

/// The answer to a cart.
#[must_use]
pub fn check_response(checked: Checked) -> v3::CheckOrderFulfillabilityResponse {
    let Checked {
        fulfillability: verdict,
        fees: table,
        hold_expires_sec,
    } = checked;
    v3::CheckOrderFulfillabilityResponse {
        fees_and_taxes: Some(price(table.total)),
        fees: Some(fees(table)),
        cart_expiration_sec: hold_expires_sec.unwrap_or(0),
        fulfillability: Some(fulfillability(verdict)),
    }
}

/// The answer to an order to be created.
#[must_use]
pub fn create_response(created: Created) -> v3::CreateOrderResponse {
    use v3::create_order_response::Result as Wire;
    let result = match created {
        Ok(created) => Wire::Order(Box::new(order(*created))),
        Err(failure) => Wire::OrderFailure(order_failure(failure)),
    };
    v3::CreateOrderResponse {
        result: Some(result),
    }
}

/// A list of orders.
#[must_use]
pub fn list_response(orders: Vec<Order>) -> v3::ListOrdersResponse {
    v3::ListOrdersResponse {
        order: orders.into_iter().map(order).collect(),
    }
}

/// What was seen of slots.
#[must_use]
pub fn lookup_response(seen: Vec<SeenSlot>) -> v3::BatchAvailabilityLookupResponse {
    let slot_time_availability = seen.into_iter().map(slot_time_availability).collect();
    v3::BatchAvailabilityLookupResponse {
        slot_time_availability,
    }
}

/// The spots of one slot. Their number is the whole answer: what is deprecated beside it is not
/// answered, and no other slot was asked for.
#[must_use]
pub fn availability_response(asked: SlotLookup, spots_open: u32) -> v3::CheckAvailabilityResponse {
    #[expect(
        deprecated,
        reason = "the message is written out whole, old fields included"
    )]
    v3::CheckAvailabilityResponse {
        slot: Some(slot(asked)),
        count_available: clamped(spots_open),
        last_online_cancellable_sec: 0,
        duration_requirement: 0,
        availability_update: None,
    }
}

fn slot_time_availability(seen: SeenSlot) -> v3::SlotTimeAvailability {
    let available = seen.is_available;
    v3::SlotTimeAvailability {
        slot_time: Some(slot_time(seen.asked)),
        available,
    }
}

fn slot_time(asked: AskedSlot) -> v3::SlotTime {
    let AskedSlot {
        service_id,
        start_sec,
        duration_sec,
        availability_tag,
        resources,
        confirmation_mode,
    } = asked;
    v3::SlotTime {
        service_id: service_id.into(),
        start_sec,
        duration_sec,
        availability_tag,
        resource_ids: resources.map(resource_ids),
        confirmation_mode,
    }
}

fn slot(lookup: SlotLookup) -> v3::Slot {
    let SlotLookup { merchant_id, slot } = lookup;
    let AskedSlot {
        service_id,
        start_sec,
        duration_sec,
        availability_tag,
        resources,
        confirmation_mode,
    } = slot;
    v3::Slot {
        merchant_id: merchant_id.into(),
        service_id: service_id.into(),
        start_sec,
        duration_sec,
        availability_tag,
        resources: resources.map(resource_ids),
        confirmation_mode,
    }
}

fn resource_ids(resources: Resources) -> v3::ResourceIds {
    let Resources {
        staff_id,
        room_id,
        party_size,
    } = resources;
    v3::ResourceIds {
        staff_id,
        room_id,
        party_size,
    }
}

/// An order, in an answer as on record.
#[must_use]
pub fn order(order: Order) -> v3::Order {
    let Order {
        id,
        merchant_id,
        customer: who,
        payment,
        items,
    } = order;
    v3::Order {
        order_id: id.into(),
        user_information: Some(customer(who)),
        payment_information: payment.map(payment_information),
        merchant_id: merchant_id.into(),
        item: items.into_iter().map(booked_item).collect(),
    }
}

fn order_failure(failure: OrderFailure) -> v3::OrderFailure {
    use v3::order_failure::Cause;
    let OrderFailure { cause, description } = failure;
    let mut wire = v3::OrderFailure {
        cause: 0,
        fulfillability: None,
        rejected_card_type: 0,
        description,
        payment_failure: None,
    };
    let cause = match cause {
        FailureCause::Unfulfillable(verdict) => {
            wire.fulfillability = Some(failed(fulfillability(*verdict)));
            Cause::OrderUnfulfillable
        }
        FailureCause::CardTypeRejected(card) => {
            wire.rejected_card_type = card_type(card).into();
            Cause::PaymentErrorCardTypeRejected
        }
        FailureCause::CardDeclined => Cause::PaymentErrorCardDeclined,
        FailureCause::Payment => Cause::PaymentError,
        FailureCause::IncorrectFeeTotal => Cause::IncorrectFeeTotal,
        FailureCause::Requires3ds1(parameters) => {
            wire.payment_failure = Some(payment_failure(parameters));
            Cause::PaymentRequires3ds1
        }
    };
    wire.cause = cause.into();
    wire
}

/// Every answer to an order to be created gives its items a status, also where there is no order.
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

fn fulfillability(verdict: Fulfillability) -> v3::OrderFulfillability {
    use v3::order_fulfillability::OrderFulfillabilityResult as Wire;
    let Fulfillability {
        result,
        reason,
        items,
    } = verdict;
    let result = match result {
        OrderResult::CanFulfill => Wire::CanFulfill,
        OrderResult::UnfulfillableLineItem => Wire::UnfulfillableLineItem,
        OrderResult::UnfulfillableServiceCombination => Wire::UnfulfillableServiceCombination,
        OrderResult::OtherReason => Wire::OrderUnfulfillableOtherReason,
    };
    v3::OrderFulfillability {
        result: result.into(),
        item_fulfillability: items.into_iter().map(item_fulfillability).collect(),
        unfulfillable_reason: reason.unwrap_or_default(),
    }
}

fn item_fulfillability(verdict: ItemFulfillability) -> v3::LineItemFulfillability {
    let ItemFulfillability {
        line,
        result,
        reason,
        spots_open,
        price_change,
        ticket_types,
    } = verdict;
    let mut item = line_item(line);
    item.warning_reason = price_change.map_or(0, |change| warning_reason(change).into());
    let (result, violated) = item_result(result);
    v3::LineItemFulfillability {
        item: Some(item),
        result: result.into(),
        unfulfillable_reason: reason.unwrap_or_default(),
        availability: spots_open.map(|spots| v3::line_item_fulfillability::UpdatedAvailability {
            spots_open: clamped(spots),
        }),
        ticket_type: ticket_types.iter().map(ticket_type).collect(),
        violated_ticket_constraint: violated.into_iter().map(violated_constraint).collect(),
    }
}

fn item_result(
    result: ItemResult,
) -> (
    v3::line_item_fulfillability::ItemFulfillabilityResult,
    Vec<ViolatedConstraint>,
) {
    use v3::line_item_fulfillability::ItemFulfillabilityResult as Wire;
    match result {
        ItemResult::CanFulfill => (Wire::CanFulfill, Vec::new()),
        ItemResult::SlotUnavailable => (Wire::SlotUnavailable, Vec::new()),
        ItemResult::ChildTicketsWithoutAdult => (Wire::ChildTicketsWithoutAdult, Vec::new()),
        ItemResult::UnfulfillableTicketCombination => {
            (Wire::UnfulfillableTicketCombination, Vec::new())
        }
        ItemResult::IncorrectPrice => (Wire::IncorrectPrice, Vec::new()),
        ItemResult::TicketConstraintViolated(violated) => {
            (Wire::TicketConstraintViolated, violated)
        }
        ItemResult::OtherReason => (Wire::ItemUnfulfillableOtherReason, Vec::new()),
    }
}

fn violated_constraint(
    violated: ViolatedConstraint,
) -> v3::line_item_fulfillability::ViolatedTicketConstraint {
    use v3::line_item_fulfillability::{
        ViolatedTicketConstraint, violated_ticket_constraint::Value,
    };
    let ViolatedConstraint { bound, ticket_id } = violated;
    let value = match bound {
        Bound::Min(count) => Value::MinTicketCount(clamped(count)),
        Bound::Max(count) => Value::MaxTicketCount(clamped(count)),
    };
    ViolatedTicketConstraint {
        value: Some(value),
        ticket_id: ticket_id.map(String::from).unwrap_or_default(),
    }
}

fn warning_reason(change: PriceChange) -> v3::line_item::WarningReason {
    match change {
        PriceChange::Increase => v3::line_item::WarningReason::PriceIncrease,
        PriceChange::Decrease => v3::line_item::WarningReason::PriceDecrease,
    }
}

/// Counts on the wire are signed.
fn clamped(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn fees(table: FeeTable) -> v3::Fees {
    let FeeTable {
        per_ticket,
        per_order,
        tax: _,
        ticket_taxes: _,
        total: _,
    } = table;
    v3::Fees {
        per_ticket_fee: per_ticket.into_iter().map(ticket_fee).collect(),
        per_order_fee: per_order.into_iter().map(order_fee).collect(),
    }
}

fn ticket_fee(fee: TicketFee) -> v3::SpecificPerTicketFee {
    let TicketFee {
        service_id,
        ticket_id,
        fee: Fee { name, amount },
    } = fee;
    v3::SpecificPerTicketFee {
        ticket_id: ticket_id.into(),
        service_id: service_id.into(),
        fee_name: name,
        fee_amount: Some(price(amount)),
    }
}

fn order_fee(Fee { name, amount }: Fee) -> v3::SpecificPerOrderFee {
    v3::SpecificPerOrderFee {
        fee_name: name,
        fee_amount: Some(price(amount)),
    }
}

/// A ticket type at its present price. The older plain-text descriptions are not answered beside
/// the localized ones.
fn ticket_type(ticket: &TicketType) -> v3::TicketType {
    let TicketType {
        ix: _,
        id,
        short_description,
        option_description,
        price: unit,
        previous_price: _,
        feed_fees,
        fees: _,
    } = ticket;
    #[expect(
        deprecated,
        reason = "the message is written out whole, old fields included"
    )]
    v3::TicketType {
        ticket_type_id: id.to_string(),
        short_description: String::new(),
        localized_short_description: text(short_description),
        price: Some(price(unit.rounded())),
        per_ticket_fee: per_ticket_fee(*feed_fees),
        option_description: String::new(),
        localized_option_description: text(option_description),
    }
}

fn per_ticket_fee(fees: FeedFees) -> Option<v3::PerTicketFee> {
    let FeedFees {
        service_charge,
        facility_fee,
        taxes,
    } = fees;
    (fees != FeedFees::default()).then(|| v3::PerTicketFee {
        service_charge: service_charge.map(price),
        facility_fee: facility_fee.map(price),
        taxes: taxes.map(price),
    })
}

fn text(text: &LocalizedText) -> Option<v3::Text> {
    let LocalizedText {
        value,
        translations,
    } = text;
    let localized = |(locale, value): &(String, String)| v3::LocalizedString {
        locale: locale.clone(),
        value: value.clone(),
    };
    (!value.is_empty() || !translations.is_empty()).then(|| v3::Text {
        value: value.clone(),
        localized_value: translations.iter().map(localized).collect(),
    })
}

/// An amount that was computed here; all of them have been seen to fit the wire.
fn price(money: Money) -> v3::Price {
    v3::Price {
        price_micros: money.to_micros().unwrap_or(i64::MAX),
        currency_code: money.currency().code().to_owned(),
        pricing_option_tag: String::new(),
    }
}

fn price_tag(tag: PriceTag) -> v3::Price {
    let PriceTag {
        micros,
        currency_code,
        pricing_option_tag,
    } = tag;
    v3::Price {
        price_micros: micros,
        currency_code,
        pricing_option_tag,
    }
}

fn booked_item(item: BookedItem) -> v3::LineItem {
    let BookedItem { line, status } = item;
    v3::LineItem {
        status: booking_status(status).into(),
        ..line_item(line)
    }
}

fn line_item(line: LineItem) -> v3::LineItem {
    let LineItem {
        service_id,
        start_sec,
        duration_sec,
        tickets,
        price,
        answers,
    } = line;
    v3::LineItem {
        service_id: service_id.into(),
        start_sec,
        duration_sec,
        tickets: tickets.into_iter().map(ordered_tickets).collect(),
        price: price.map(price_tag),
        status: 0,
        intake_form_answers: answers.map(intake_form_answers),
        warning_reason: 0,
    }
}

fn ordered_tickets(tickets: OrderedTickets) -> v3::line_item::OrderedTickets {
    let OrderedTickets { ticket_id, count } = tickets;
    v3::line_item::OrderedTickets {
        ticket_id: ticket_id.into(),
        count,
    }
}

fn intake_form_answers(answers: Vec<IntakeAnswer>) -> v3::IntakeFormAnswers {
    let answer = |IntakeAnswer {
                      question_id: id,
                      responses: response,
                  }| v3::IntakeFormFieldAnswer { id, response };
    v3::IntakeFormAnswers {
        answer: answers.into_iter().map(answer).collect(),
    }
}

fn booking_status(status: BookingStatus) -> v3::BookingStatus {
    use v3::BookingStatus as Wire;
    match status {
        BookingStatus::Confirmed => Wire::Confirmed,
        BookingStatus::PendingMerchantConfirmation => Wire::PendingMerchantConfirmation,
        BookingStatus::Canceled => Wire::Canceled,
        BookingStatus::NoShow => Wire::NoShow,
        BookingStatus::NoShowPenalized => Wire::NoShowPenalized,
        BookingStatus::Failed => Wire::Failed,
        BookingStatus::DeclinedByMerchant => Wire::DeclinedByMerchant,
    }
}

fn customer(customer: Customer) -> v3::UserInformation {
    let Customer {
        user_id,
        given_name,
        family_name,
        address,
        telephone,
        email,
        language_code,
    } = customer;
    v3::UserInformation {
        user_id: user_id.into(),
        given_name,
        family_name,
        address: address.map(postal_address),
        telephone,
        email,
        language_code,
    }
}

fn postal_address(address: PostalAddress) -> v3::PostalAddress {
    let PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    } = address;
    v3::PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    }
}

/// Fraud signals and challenge answers belong to a request and are never answered.
fn payment_information(payment: PaymentDetails) -> v3::PaymentInformation {
    let PaymentDetails {
        prepayment: status,
        transaction_id,
        price,
        tax_amount,
        fees,
        fees_and_taxes,
        deposit: terms,
        no_show_fee: no_show,
        processed_by: processor,
        option,
    } = payment;
    v3::PaymentInformation {
        prepayment_status: status.map_or(0, |status| prepayment(status).into()),
        payment_transaction_id: transaction_id,
        price: price.map(price_tag),
        tax_amount: tax_amount.map(price_tag),
        fees: fees.map(price_tag),
        fees_and_taxes: fees_and_taxes.map(price_tag),
        deposit: terms.map(deposit),
        no_show_fee: no_show.map(no_show_fee),
        payment_processed_by: processor.map_or(0, |processor| processed_by(processor).into()),
        fraud_signals: String::new(),
        pa_response: String::new(),
        md_merchant_data: String::new(),
        payment_id: option.map(payment_option),
    }
}

fn prepayment(status: PrepaymentStatus) -> v3::PrepaymentStatus {
    match status {
        PrepaymentStatus::Provided => v3::PrepaymentStatus::PrepaymentProvided,
        PrepaymentStatus::NotProvided => v3::PrepaymentStatus::PrepaymentNotProvided,
        PrepaymentStatus::Refunded => v3::PrepaymentStatus::PrepaymentRefunded,
        PrepaymentStatus::Credited => v3::PrepaymentStatus::PrepaymentCredited,
    }
}

fn processed_by(processor: PaymentProcessor) -> v3::payment_information::PaymentProcessedBy {
    use v3::payment_information::PaymentProcessedBy as Wire;
    match processor {
        PaymentProcessor::Google => Wire::ProcessedByGoogle,
        PaymentProcessor::Partner => Wire::ProcessedByPartner,
    }
}

fn payment_option(option: PaymentOption) -> v3::payment_information::PaymentId {
    use v3::payment_information::PaymentId as Wire;
    match option {
        PaymentOption::Merchant(id) => Wire::PaymentOptionId(id),
        PaymentOption::Customer(id) => Wire::UserPaymentOptionId(id),
    }
}

fn deposit(deposit: Deposit) -> v3::Deposit {
    let Deposit {
        amount,
        min_advance_cancellation_sec,
        kind,
    } = deposit;
    v3::Deposit {
        deposit: amount.map(price_tag),
        min_advance_cancellation_sec,
        deposit_type: price_type(kind).into(),
    }
}

fn no_show_fee(fee: NoShowFee) -> v3::NoShowFee {
    let NoShowFee { amount, kind } = fee;
    v3::NoShowFee {
        fee: amount.map(price_tag),
        fee_type: price_type(kind).into(),
    }
}

fn price_type(kind: PriceType) -> v3::PriceType {
    match kind {
        PriceType::Fixed => v3::PriceType::FixedRateDefault,
        PriceType::PerPerson => v3::PriceType::PerPerson,
    }
}
