//! What the parts of a request may say, each with its path: lengths of texts, values of enums, counts.

use super::super::{
    proto::v3,
    requests::{
        MAX_ADDRESS_CHARS, MAX_ANSWERS_PER_ITEM, MAX_EMAIL_CHARS, MAX_LANGUAGE_CHARS,
        MAX_NAME_CHARS, MAX_PAYMENT_BYTES, MAX_RESPONSE_CHARS, MAX_RESPONSES_PER_ANSWER,
        MAX_TAG_CHARS, MAX_TELEPHONE_CHARS, MAX_TICKETS_PER_ITEM, Path, RequestLimits, Violations,
    },
};
use crate::domain::{
    availability::{AskedSlot, Resources},
    order::{Customer, PostalAddress},
};

/// What of a slot is handed back as it came has a length, all the same.
pub(super) fn check_slot(
    field: Path<'_>,
    resources: &str,
    slot: &AskedSlot,
    limits: &RequestLimits,
    violations: &mut Violations,
) {
    violations.check_id(
        field.key("service_id"),
        slot.service_id.as_str(),
        limits.max_id_bytes,
    );
    violations.check_chars(
        field.key("availability_tag"),
        &slot.availability_tag,
        MAX_TAG_CHARS,
    );
    if let Some(Resources {
        staff_id,
        room_id,
        party_size: _,
    }) = &slot.resources
    {
        let field = field.key(resources);
        violations.check_id(field.key("staff_id"), staff_id, limits.max_id_bytes);
        violations.check_id(field.key("room_id"), room_id, limits.max_id_bytes);
    }
}

pub(super) fn check_customer(
    field: Path<'_>,
    who: &Customer,
    limits: &RequestLimits,
    violations: &mut Violations,
) {
    let Customer {
        user_id,
        given_name,
        family_name,
        address,
        telephone,
        email,
        language_code,
    } = who;
    violations.require_id(field.key("user_id"), user_id.as_str(), limits.max_id_bytes);
    for (name, text, most) in [
        ("given_name", given_name, MAX_NAME_CHARS),
        ("family_name", family_name, MAX_NAME_CHARS),
        ("telephone", telephone, MAX_TELEPHONE_CHARS),
        ("email", email, MAX_EMAIL_CHARS),
        ("language_code", language_code, MAX_LANGUAGE_CHARS),
    ] {
        violations.check_chars(field.key(name), text, most);
    }
    let Some(address) = address else { return };
    let PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    } = address;
    let field = field.key("address");
    for (name, text) in [
        ("country", country),
        ("locality", locality),
        ("region", region),
        ("postal_code", postal_code),
        ("street_address", street_address),
    ] {
        violations.check_chars(field.key(name), text, MAX_ADDRESS_CHARS);
    }
}

pub(super) fn check_payment(
    field: Path<'_>,
    payment: &v3::PaymentInformation,
    limits: &RequestLimits,
    violations: &mut Violations,
) {
    use v3::payment_information::PaymentProcessedBy;
    violations.check_enum::<v3::PrepaymentStatus>(
        field.key("prepayment_status"),
        payment.prepayment_status,
    );
    violations.check_enum::<PaymentProcessedBy>(
        field.key("payment_processed_by"),
        payment.payment_processed_by,
    );
    if let Some(deposit) = &payment.deposit {
        let field = field.key("deposit");
        violations.check_enum::<v3::PriceType>(field.key("deposit_type"), deposit.deposit_type);
        check_price(field.key("deposit"), deposit.deposit.as_ref(), violations);
    }
    if let Some(fee) = &payment.no_show_fee {
        let field = field.key("no_show_fee");
        violations.check_enum::<v3::PriceType>(field.key("fee_type"), fee.fee_type);
        check_price(field.key("fee"), fee.fee.as_ref(), violations);
    }
    for (name, price) in [
        ("price", &payment.price),
        ("tax_amount", &payment.tax_amount),
        ("fees", &payment.fees),
        ("fees_and_taxes", &payment.fees_and_taxes),
    ] {
        check_price(field.key(name), price.as_ref(), violations);
    }
    check_payment_texts(field, payment, limits, violations);
}

fn check_payment_texts(
    field: Path<'_>,
    payment: &v3::PaymentInformation,
    limits: &RequestLimits,
    violations: &mut Violations,
) {
    use v3::payment_information::PaymentId;
    let transaction_id = &payment.payment_transaction_id;
    violations.check_id(
        field.key("payment_transaction_id"),
        transaction_id,
        limits.max_id_bytes,
    );
    match &payment.payment_id {
        Some(PaymentId::PaymentOptionId(id)) => {
            violations.check_id(field.key("payment_option_id"), id, limits.max_id_bytes);
        }
        Some(PaymentId::UserPaymentOptionId(id)) => {
            violations.check_id(field.key("user_payment_option_id"), id, limits.max_id_bytes);
        }
        None => {}
    }
    violations.check_bytes(
        field.key("pa_response"),
        &payment.pa_response,
        MAX_PAYMENT_BYTES,
    );
    violations.check_bytes(
        field.key("md_merchant_data"),
        &payment.md_merchant_data,
        MAX_PAYMENT_BYTES,
    );
}

fn check_price(field: Path<'_>, price: Option<&v3::Price>, violations: &mut Violations) {
    let Some(v3::Price {
        price_micros: _,
        currency_code,
        pricing_option_tag,
    }) = price
    else {
        return;
    };
    violations.check_chars(field.key("currency_code"), currency_code, MAX_TAG_CHARS);
    violations.check_chars(
        field.key("pricing_option_tag"),
        pricing_option_tag,
        MAX_TAG_CHARS,
    );
}

pub(super) fn check_item(
    field: Path<'_>,
    item: &v3::LineItem,
    limits: &RequestLimits,
    violations: &mut Violations,
) {
    violations.check_id(
        field.key("service_id"),
        &item.service_id,
        limits.max_id_bytes,
    );
    let tickets = field.key("tickets");
    violations.check_count(tickets, item.tickets.len(), MAX_TICKETS_PER_ITEM);
    for (at, ticket) in item.tickets.iter().enumerate() {
        violations.check_id(
            tickets.index(at).key("ticket_id"),
            &ticket.ticket_id,
            limits.max_id_bytes,
        );
    }
    check_price(field.key("price"), item.price.as_ref(), violations);
    if item.status != 0 {
        violations.add(field.key("status"), "must not be set in a request");
    }
    if let Some(answers) = &item.intake_form_answers {
        let field = field.key("intake_form_answers");
        check_answers(field.key("answer"), &answers.answer, limits, violations);
    }
}

fn check_answers(
    field: Path<'_>,
    answers: &[v3::IntakeFormFieldAnswer],
    limits: &RequestLimits,
    violations: &mut Violations,
) {
    violations.check_count(field, answers.len(), MAX_ANSWERS_PER_ITEM);
    for (at, v3::IntakeFormFieldAnswer { id, response }) in answers.iter().enumerate() {
        let field = field.index(at);
        violations.check_id(field.key("id"), id, limits.max_id_bytes);
        let field = field.key("response");
        violations.check_count(field, response.len(), MAX_RESPONSES_PER_ANSWER);
        for (at, text) in response.iter().enumerate() {
            violations.check_chars(field.index(at), text, MAX_RESPONSE_CHARS);
        }
    }
}
