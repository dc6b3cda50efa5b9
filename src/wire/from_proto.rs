//! From the wire inwards: published messages become the values that the application works with.
//!
//! Every message is taken apart completely, so that a field that is added to the contract does not
//! go unnoticed here. Whatever a request breaks is reported at once.

use super::{
    proto::v3,
    requests::{Decoded, MAX_ORDER_IDS, MAX_PAYMENT_BYTES, Path, RequestLimits, Violations},
};
use crate::{
    app::{Cart, CreateOrder, Lookup, SlotLookup},
    domain::{
        availability::{AskedSlot, Resources},
        ids::Token,
        order::{
            Customer, Deposit, IntakeAnswer, LineItem, NewOrder, NoShowFee, OrderId,
            OrderedTickets, PaymentChallenge, PaymentDetails, PaymentMethod, PaymentOption,
            PaymentProcessor, PostalAddress, PrepaymentStatus, PriceTag, PriceType,
        },
    },
    store::{Fingerprint, Selection},
};

mod checks;

use checks::{check_customer, check_item, check_payment, check_slot};

/// A request to check a cart.
///
/// # Errors
/// Every rule of requests that it breaks.
pub fn check_request(
    request: Decoded<v3::CheckOrderFulfillabilityRequest>,
    limits: &RequestLimits,
    is_merchant: &dyn Fn(&str) -> bool,
) -> Result<Cart, Violations> {
    let Decoded {
        message,
        misfits: mut violations,
    } = request;
    let v3::CheckOrderFulfillabilityRequest {
        merchant_id,
        item,
        cart_id,
    } = message;
    violations.check_merchant("merchant_id", &merchant_id, is_merchant);
    violations.check_given_id(Path::field("cart_id"), &cart_id, limits.max_id_bytes);
    let items = line_items(Path::field("item"), item, limits, &mut violations);
    violations.into_result()?;
    Ok(Cart {
        merchant_id: merchant_id.into(),
        items,
        cart_id: (!cart_id.is_empty()).then(|| cart_id.into()),
    })
}

/// A request to create an order that breaks rules of requests.
#[derive(Debug)]
pub struct RejectedOrder {
    /// Its token and its digest: it may have been answered when the rules or the catalogue were
    /// others, and then that answer stands. None where a value could not be read: what is left of the
    /// request might be another one.
    pub answered: Option<(Token, Fingerprint)>,
    /// The rules.
    pub violations: Violations,
}

/// A request to create an order.
///
/// # Errors
/// Every rule of requests that it breaks.
pub fn create_request(
    request: Decoded<v3::CreateOrderRequest>,
    limits: &RequestLimits,
    is_merchant: &dyn Fn(&str) -> bool,
) -> Result<Box<CreateOrder>, RejectedOrder> {
    let Decoded {
        message,
        misfits: mut violations,
    } = request;
    let (fingerprint, is_whole) = (super::fingerprint(&message), violations.is_empty());
    let v3::CreateOrderRequest {
        order,
        payment_processing_parameters,
        idempotency_token: token,
    } = message;
    violations.require_id(
        Path::field("idempotency_token"),
        &token,
        limits.max_id_bytes,
    );
    if order.is_none() {
        violations.require("order");
    }
    let order = order.and_then(|order| {
        new_order(
            *order,
            payment_processing_parameters,
            limits,
            is_merchant,
            &mut violations,
        )
    });
    match (order, violations.into_result()) {
        (Some(order), Ok(())) => Ok(Box::new(CreateOrder {
            token: token.into(),
            fingerprint,
            order,
        })),
        (_, broken) => {
            let violations = broken
                .err()
                .unwrap_or_else(|| Violations::one("order", "is required"));
            Err(RejectedOrder {
                answered: is_whole.then(|| (token.into(), fingerprint)),
                violations,
            })
        }
    }
}

/// A request to list orders.
///
/// # Errors
/// Every rule of requests that it breaks.
pub fn list_request(
    request: Decoded<v3::ListOrdersRequest>,
    limits: &RequestLimits,
) -> Result<Selection, Violations> {
    use v3::list_orders_request::{Ids, OrderIds};
    let Decoded {
        message: v3::ListOrdersRequest { ids },
        misfits: mut violations,
    } = request;
    if !violations.is_empty() {
        // What could not be read may be the very choice that is missing.
        return Err(violations);
    }
    match ids {
        Some(Ids::UserId(user_id)) if !user_id.is_empty() => {
            violations.check_given_id(Path::field("user_id"), &user_id, limits.max_id_bytes);
            violations
                .into_result()
                .map(|()| Selection::User(user_id.into()))
        }
        Some(Ids::OrderIds(OrderIds { order_id })) if !order_id.is_empty() => {
            violations.check_count("order_ids.order_id", order_id.len(), MAX_ORDER_IDS);
            if !violations.is_empty() {
                return Err(violations);
            }
            let field = Path::field("order_ids");
            let field = field.key("order_id");
            for (at, id) in order_id.iter().enumerate() {
                violations.check_given_id(field.index(at), id, limits.max_id_bytes);
            }
            violations
                .into_result()
                .map(|()| Selection::Ids(order_id.into_iter().map(OrderId::from).collect()))
        }
        Some(Ids::UserId(_)) => Err(Violations::one("user_id", "must not be empty")),
        Some(Ids::OrderIds(_)) => Err(Violations::one(
            "order_ids.order_id",
            "must name at least one order",
        )),
        None => Err(Violations::one("ids", "needs user_id or order_ids")),
    }
}

/// A request to look up slots.
///
/// # Errors
/// Every rule of requests that it breaks.
pub fn lookup_request(
    request: Decoded<v3::BatchAvailabilityLookupRequest>,
    limits: &RequestLimits,
    is_merchant: &dyn Fn(&str) -> bool,
) -> Result<Lookup, Violations> {
    let Decoded {
        message,
        misfits: mut violations,
    } = request;
    let v3::BatchAvailabilityLookupRequest {
        merchant_id,
        slot_time,
    } = message;
    violations.check_merchant("merchant_id", &merchant_id, is_merchant);
    let most = limits.max_slots_per_lookup;
    violations.check_count("slot_time", slot_time.len(), most);
    if slot_time.len() > most {
        return Err(violations);
    }
    let slots: Vec<AskedSlot> = slot_time.into_iter().map(asked_slot_time).collect();
    let field = Path::field("slot_time");
    for (at, slot) in slots.iter().enumerate() {
        check_slot(
            field.index(at),
            "resource_ids",
            slot,
            limits,
            &mut violations,
        );
    }
    violations.into_result().map(|()| Lookup {
        merchant_id: merchant_id.into(),
        slots,
    })
}

/// A request to look up one slot.
///
/// # Errors
/// Every rule of requests that it breaks.
pub fn availability_request(
    request: Decoded<v3::CheckAvailabilityRequest>,
    limits: &RequestLimits,
    is_merchant: &dyn Fn(&str) -> bool,
) -> Result<SlotLookup, Violations> {
    let Decoded {
        message: v3::CheckAvailabilityRequest { slot },
        misfits: mut violations,
    } = request;
    let Some(lookup) = slot.map(slot_lookup) else {
        violations.require("slot");
        return Err(violations);
    };
    violations.check_merchant("slot.merchant_id", lookup.merchant_id.as_str(), is_merchant);
    check_slot(
        Path::field("slot"),
        "resources",
        &lookup.slot,
        limits,
        &mut violations,
    );
    violations.into_result().map(|()| lookup)
}

fn asked_slot_time(slot_time: v3::SlotTime) -> AskedSlot {
    let v3::SlotTime {
        service_id,
        start_sec,
        duration_sec,
        availability_tag,
        resource_ids,
        confirmation_mode,
    } = slot_time;
    AskedSlot {
        service_id: service_id.into(),
        start_sec,
        duration_sec,
        availability_tag,
        resources: resource_ids.map(resources),
        confirmation_mode,
    }
}

fn slot_lookup(slot: v3::Slot) -> SlotLookup {
    let v3::Slot {
        merchant_id,
        service_id,
        start_sec,
        duration_sec,
        availability_tag,
        resources: about,
        confirmation_mode,
    } = slot;
    let slot = AskedSlot {
        service_id: service_id.into(),
        start_sec,
        duration_sec,
        availability_tag,
        resources: about.map(resources),
        confirmation_mode,
    };
    SlotLookup {
        merchant_id: merchant_id.into(),
        slot,
    }
}

fn resources(ids: v3::ResourceIds) -> Resources {
    let v3::ResourceIds {
        staff_id,
        room_id,
        party_size,
    } = ids;
    Resources {
        staff_id,
        room_id,
        party_size,
    }
}

fn new_order(
    order: v3::Order,
    processing: Option<Box<v3::PaymentProcessingParameters>>,
    limits: &RequestLimits,
    is_merchant: &dyn Fn(&str) -> bool,
    violations: &mut Violations,
) -> Option<NewOrder> {
    let v3::Order {
        order_id,
        user_information,
        payment_information,
        merchant_id,
        item,
    } = order;
    let field = Path::field("order");
    if !order_id.is_empty() {
        violations.add(
            "order.order_id",
            "must not be set: the booking partner names the order",
        );
    }
    violations.check_merchant("order.merchant_id", &merchant_id, is_merchant);
    if item.is_empty() {
        violations.add("order.item", "needs at least one item");
    }
    let items = line_items(field.key("item"), item, limits, violations);
    let customer = known_customer(user_information, limits, violations);
    let challenge = payment_information.as_ref().and_then(challenge);
    let payment = payment_information.map(|payment| {
        check_payment(
            field.key("payment_information"),
            &payment,
            limits,
            violations,
        );
        payment_details(payment)
    });
    let charged = payment
        .as_ref()
        .is_some_and(|it| it.processed_by == Some(PaymentProcessor::Partner));
    let method = charged
        .then(|| payment_method(processing, challenge, violations))
        .flatten();
    Some(NewOrder {
        merchant_id: merchant_id.into(),
        customer: customer?,
        items,
        payment,
        method,
    })
}

fn known_customer(
    user: Option<v3::UserInformation>,
    limits: &RequestLimits,
    violations: &mut Violations,
) -> Option<Customer> {
    let Some(user) = user else {
        violations.require("order.user_information");
        return None;
    };
    let customer = customer(user);
    let field = Path::field("order");
    check_customer(field.key("user_information"), &customer, limits, violations);
    Some(customer)
}

fn payment_method(
    processing: Option<Box<v3::PaymentProcessingParameters>>,
    challenge: Option<PaymentChallenge>,
    violations: &mut Violations,
) -> Option<PaymentMethod> {
    let field = Path::field("payment_processing_parameters");
    let Some(processing) = processing else {
        violations.add(
            field,
            "is required where the booking partner processes the payment",
        );
        return None;
    };
    #[expect(
        deprecated,
        reason = "older callers still send the token in its first place"
    )]
    let v3::PaymentProcessingParameters {
        unparsed_payment_method_token,
        payment_method_token,
        processor: _,
        version: _,
        payment_processor: _,
        tokenization_config: _,
    } = *processing;
    let token = if unparsed_payment_method_token.is_empty() {
        payment_method_token
    } else {
        unparsed_payment_method_token
    };
    let field = field.key("unparsed_payment_method_token");
    if token.is_empty() {
        violations.require(field);
    }
    violations.check_bytes(field, &token, MAX_PAYMENT_BYTES);
    Some(PaymentMethod { token, challenge })
}

fn challenge(payment: &v3::PaymentInformation) -> Option<PaymentChallenge> {
    (!payment.pa_response.is_empty()).then(|| PaymentChallenge {
        response: payment.pa_response.clone(),
        merchant_data: payment.md_merchant_data.clone(),
    })
}

fn line_items(
    field: Path<'_>,
    items: Vec<v3::LineItem>,
    limits: &RequestLimits,
    violations: &mut Violations,
) -> Vec<LineItem> {
    violations.check_count(field, items.len(), limits.max_items_per_order);
    if items.len() > limits.max_items_per_order {
        return Vec::new();
    }
    for (at, item) in items.iter().enumerate() {
        check_item(field.index(at), item, limits, violations);
    }
    items.into_iter().map(line_item).collect()
}

/// A line item. Its status and its warning belong to responses and are not read.
fn line_item(item: v3::LineItem) -> LineItem {
    let v3::LineItem {
        service_id,
        start_sec,
        duration_sec,
        tickets,
        price,
        status: _,
        intake_form_answers,
        warning_reason: _,
    } = item;
    LineItem {
        service_id: service_id.into(),
        start_sec,
        duration_sec,
        tickets: tickets.into_iter().map(ordered_tickets).collect(),
        price: price.map(price_tag),
        answers: intake_form_answers.map(intake_answers),
    }
}

fn ordered_tickets(tickets: v3::line_item::OrderedTickets) -> OrderedTickets {
    let v3::line_item::OrderedTickets { ticket_id, count } = tickets;
    OrderedTickets {
        ticket_id: ticket_id.into(),
        count,
    }
}

fn intake_answers(answers: v3::IntakeFormAnswers) -> Vec<IntakeAnswer> {
    let v3::IntakeFormAnswers { answer } = answers;
    answer
        .into_iter()
        .map(|v3::IntakeFormFieldAnswer { id, response }| IntakeAnswer {
            question_id: id,
            responses: response,
        })
        .collect()
}

fn price_tag(price: v3::Price) -> PriceTag {
    let v3::Price {
        price_micros,
        currency_code,
        pricing_option_tag,
    } = price;
    PriceTag {
        micros: price_micros,
        currency_code,
        pricing_option_tag,
    }
}

fn customer(user: v3::UserInformation) -> Customer {
    let v3::UserInformation {
        user_id,
        given_name,
        family_name,
        address,
        telephone,
        email,
        language_code,
    } = user;
    let address = address.map(postal_address);
    Customer {
        user_id: user_id.into(),
        given_name,
        family_name,
        address,
        telephone,
        email,
        language_code,
    }
}

fn postal_address(address: v3::PostalAddress) -> PostalAddress {
    let v3::PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    } = address;
    PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    }
}

fn payment_details(payment: v3::PaymentInformation) -> PaymentDetails {
    let v3::PaymentInformation {
        prepayment_status,
        payment_transaction_id,
        price,
        tax_amount,
        fees,
        fees_and_taxes,
        deposit: terms,
        no_show_fee: no_show,
        payment_processed_by,
        fraud_signals: _,
        pa_response: _,
        md_merchant_data: _,
        payment_id,
    } = payment;
    PaymentDetails {
        prepayment: prepayment(prepayment_status),
        transaction_id: payment_transaction_id,
        price: price.map(price_tag),
        tax_amount: tax_amount.map(price_tag),
        fees: fees.map(price_tag),
        fees_and_taxes: fees_and_taxes.map(price_tag),
        deposit: terms.map(deposit),
        no_show_fee: no_show.map(no_show_fee),
        processed_by: processed_by(payment_processed_by),
        option: payment_id.map(payment_option),
    }
}

fn prepayment(status: i32) -> Option<PrepaymentStatus> {
    use v3::PrepaymentStatus as Wire;
    match Wire::try_from(status).ok()? {
        Wire::Unspecified => None,
        Wire::PrepaymentProvided => Some(PrepaymentStatus::Provided),
        Wire::PrepaymentNotProvided => Some(PrepaymentStatus::NotProvided),
        Wire::PrepaymentRefunded => Some(PrepaymentStatus::Refunded),
        Wire::PrepaymentCredited => Some(PrepaymentStatus::Credited),
    }
}

fn processed_by(processor: i32) -> Option<PaymentProcessor> {
    use v3::payment_information::PaymentProcessedBy as Wire;
    match Wire::try_from(processor).ok()? {
        Wire::Unspecified => None,
        Wire::ProcessedByGoogle => Some(PaymentProcessor::Google),
        Wire::ProcessedByPartner => Some(PaymentProcessor::Partner),
    }
}

fn payment_option(option: v3::payment_information::PaymentId) -> PaymentOption {
    use v3::payment_information::PaymentId as Wire;
    match option {
        Wire::PaymentOptionId(id) => PaymentOption::Merchant(id),
        Wire::UserPaymentOptionId(id) => PaymentOption::Customer(id),
    }
}

fn deposit(terms: v3::Deposit) -> Deposit {
    let v3::Deposit {
        deposit,
        min_advance_cancellation_sec,
        deposit_type,
    } = terms;
    Deposit {
        amount: deposit.map(price_tag),
        min_advance_cancellation_sec,
        kind: price_type(deposit_type),
    }
}

fn no_show_fee(terms: v3::NoShowFee) -> NoShowFee {
    let v3::NoShowFee { fee, fee_type } = terms;
    NoShowFee {
        amount: fee.map(price_tag),
        kind: price_type(fee_type),
    }
}

fn price_type(kind: i32) -> PriceType {
    match v3::PriceType::try_from(kind) {
        Ok(v3::PriceType::PerPerson) => PriceType::PerPerson,
        Ok(v3::PriceType::FixedRateDefault) | Err(_) => PriceType::Fixed,
    }
}
