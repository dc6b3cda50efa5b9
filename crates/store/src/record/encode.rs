//! Values to records, without a copy of their texts.
//!
//! Every struct is destructured without `..`: a new field that is not encoded fails to compile. The numbers of the
//! fields are those of `record.proto`.

use super::{micros, proto, writer::MessageWriter};
use crate::{
    HoldId, HoldRecord, NamedClaim, PaymentAttempt, PaymentIntent, PaymentOutcome, PlacedOrder,
    PriceBook, PriceEntry, ReleaseReason, order_key::OrderKey,
};
use domain::{
    money::Money,
    order::{
        BookedItem, BookingStatus, Customer, Deposit, IntakeAnswer, LineItem, NoShowFee, Order,
        OrderedTickets, PaymentDetails, PaymentOption, PaymentProcessor, PostalAddress,
        PrepaymentStatus, PriceTag, PriceType,
    },
    time::EpochSeconds,
};

mod bill;

/// The revision of the lifecycle that takes no bytes: most orders of most stores have it.
pub(super) const FIRST_LIFECYCLE: u32 = 1;

/// Room for the fields of an order that it has once, and for a short record.
const BASE_BYTES: usize = 256;

/// Room for an item with some ticket types, or for a claim.
const ENTRY_BYTES: usize = 128;

/// The part of an order without personal data.
pub(super) fn order(placed: &PlacedOrder, key: &OrderKey) -> Vec<u8> {
    let PlacedOrder {
        token,
        fingerprint,
        created_sec,
        created_by,
        order,
        claims,
        payment,
        hold,
        bill,
        begun,
        lifecycle,
    } = placed;
    let Order {
        // The key says it, in fewer bytes.
        id: _,
        merchant_id,
        // In the personal part.
        customer: _,
        payment: payment_details,
        items,
    } = &**order;
    let mut out = record_for(items.len() + claims.len());
    out.present(1, &key.0);
    out.text(2, token.as_str());
    out.present(3, fingerprint);
    out.signed(4, created_sec.get());
    if let Some(created_by) = created_by {
        out.present(5, created_by.as_bytes());
    }
    out.text(6, merchant_id.as_str());
    for item in items {
        out.message(7, |out| put_item(out, item));
    }
    if let Some(details) = payment_details {
        out.message(8, |out| put_details(out, details));
    }
    put_claims(&mut out, 9, claims);
    if let Some(attempt) = payment {
        out.message(10, |out| put_attempt(out, attempt, key));
    }
    if let Some(HoldId(hold)) = hold {
        out.present(11, hold);
    }
    if *lifecycle != FIRST_LIFECYCLE {
        out.number(12, *lifecycle);
    }
    if let Some(bill) = bill {
        out.message(13, |out| bill::put(out, bill));
    }
    if let Some(begun) = begun {
        out.present(15, &super::update::encode_tree(begun));
    }
    out.into_bytes()
}

/// The personal part of an order. It is never empty and never all zeros, so that it differs from an erased one.
pub(super) fn personal(order: &Order) -> Vec<u8> {
    let mut out = record_for(0);
    out.message(1, |out| put_customer(out, &order.customer));
    for (index, item) in (0_u32..).zip(&order.items) {
        if let Some(answers) = &item.line.answers {
            out.message(2, |out| put_answers(out, index, answers));
        }
    }
    out.into_bytes()
}

pub(super) fn intent(intent: &PaymentIntent, key: &OrderKey) -> Vec<u8> {
    let mut out = record_for(intent.claims.len());
    put_intent(&mut out, intent, key);
    out.into_bytes()
}

pub(super) fn payment_ended(attempt: &PaymentAttempt, key: &OrderKey) -> Vec<u8> {
    let mut out = record_for(attempt.intent.claims.len());
    out.message(1, |out| put_attempt(out, attempt, key));
    out.into_bytes()
}

pub(super) fn hold(hold: &HoldRecord) -> Vec<u8> {
    let HoldRecord {
        id,
        revision,
        owner,
        merchant_id,
        lines,
        claims,
        placed_sec,
        expires_sec,
        used,
    } = hold;
    let mut out = record_for(lines.len() + claims.len());
    out.present(1, &id.0);
    out.number(2, *revision);
    if let Some(owner) = owner {
        out.present(3, owner.as_bytes());
    }
    out.text(4, merchant_id.as_str());
    for line in lines {
        out.message(5, |out| put_line(out, line));
    }
    put_claims(&mut out, 6, claims);
    out.signed(7, placed_sec.get());
    out.signed(8, expires_sec.get());
    out.signed(9, used.get());
    out.into_bytes()
}

pub(super) fn hold_released(
    id: HoldId,
    released_sec: EpochSeconds,
    reason: ReleaseReason,
) -> Vec<u8> {
    let reason = match reason {
        ReleaseReason::Released => proto::ReleaseReason::Released,
        ReleaseReason::Expired => proto::ReleaseReason::Expired,
    };
    let mut out = record_for(0);
    out.present(1, &id.0);
    out.signed(2, released_sec.get());
    out.variant(3, reason);
    out.into_bytes()
}

pub(super) fn prices(book: &PriceBook) -> Vec<u8> {
    let PriceBook { entries } = book;
    let mut out = record_for(entries.len());
    for entry in entries {
        out.message(1, |out| put_price_entry(out, entry));
    }
    out.into_bytes()
}

pub(super) fn slots_forgotten(until_sec: EpochSeconds) -> Vec<u8> {
    let mut out = record_for(0);
    out.signed(1, until_sec.get());
    out.into_bytes()
}

/// An empty record with room for so many items and claims, so that the usual record is allocated once.
fn record_for(entries: usize) -> MessageWriter {
    MessageWriter::with_capacity(BASE_BYTES + entries * ENTRY_BYTES)
}

fn put_item(out: &mut MessageWriter, BookedItem { line, status }: &BookedItem) {
    use proto::BookingStatus as Record;
    // Domain and record have separate enums, so that a renamed variant in the domain never changes a number on disk.
    let status = match status {
        BookingStatus::Confirmed => Record::Confirmed,
        BookingStatus::PendingMerchantConfirmation => Record::PendingMerchantConfirmation,
        BookingStatus::Canceled => Record::Canceled,
        BookingStatus::NoShow => Record::NoShow,
        BookingStatus::NoShowPenalized => Record::NoShowPenalized,
        BookingStatus::Failed => Record::Failed,
        BookingStatus::DeclinedByMerchant => Record::DeclinedByMerchant,
    };
    out.message(1, |out| put_line(out, line));
    out.variant(2, status);
}

fn put_line(out: &mut MessageWriter, line: &LineItem) {
    let LineItem {
        service_id,
        start_sec,
        duration_sec,
        tickets,
        price,
        // Answers may be personal data: those of an order are in its personal part, a hold keeps none.
        answers: _,
    } = line;
    out.text(1, service_id.as_str());
    out.signed(2, start_sec.get());
    out.signed(3, duration_sec.get());
    for OrderedTickets { ticket_id, count } in tickets {
        out.message(4, |out| {
            out.text(1, ticket_id.as_str());
            out.signed(2, *count);
        });
    }
    put_price(out, 5, price.as_ref());
}

fn put_price(out: &mut MessageWriter, field: u32, price: Option<&PriceTag>) {
    let Some(PriceTag {
        micros,
        currency_code,
        pricing_option_tag,
    }) = price
    else {
        return;
    };
    out.message(field, |out| {
        // Millionths, as stated: minor units cannot represent every amount of a request.
        out.signed(1, *micros);
        out.text(2, currency_code);
        out.text(3, pricing_option_tag);
    });
}

fn put_details(out: &mut MessageWriter, details: &PaymentDetails) {
    let PaymentDetails {
        prepayment,
        transaction_id,
        price,
        tax_amount,
        fees,
        fees_and_taxes,
        deposit,
        no_show_fee,
        processed_by,
        option,
    } = details;
    out.variant(1, prepayment_number(*prepayment));
    out.text(2, transaction_id);
    put_price(out, 3, price.as_ref());
    put_price(out, 4, tax_amount.as_ref());
    put_price(out, 5, fees.as_ref());
    put_price(out, 6, fees_and_taxes.as_ref());
    if let Some(deposit) = deposit {
        out.message(7, |out| put_deposit(out, deposit));
    }
    if let Some(fee) = no_show_fee {
        out.message(8, |out| put_no_show_fee(out, fee));
    }
    out.variant(9, processor_number(*processed_by));
    match option {
        None => {}
        Some(PaymentOption::Merchant(id)) => out.present(10, id.as_bytes()),
        Some(PaymentOption::Customer(id)) => out.present(11, id.as_bytes()),
    }
}

fn prepayment_number(prepayment: Option<PrepaymentStatus>) -> proto::Prepayment {
    match prepayment {
        None => proto::Prepayment::Unspecified,
        Some(PrepaymentStatus::Provided) => proto::Prepayment::Provided,
        Some(PrepaymentStatus::NotProvided) => proto::Prepayment::NotProvided,
        Some(PrepaymentStatus::Refunded) => proto::Prepayment::Refunded,
        Some(PrepaymentStatus::Credited) => proto::Prepayment::Credited,
    }
}

fn processor_number(processor: Option<PaymentProcessor>) -> proto::PaymentProcessor {
    match processor {
        None => proto::PaymentProcessor::Unspecified,
        Some(PaymentProcessor::Google) => proto::PaymentProcessor::Google,
        Some(PaymentProcessor::Partner) => proto::PaymentProcessor::Partner,
    }
}

fn price_type_number(kind: PriceType) -> proto::PriceType {
    match kind {
        PriceType::Fixed => proto::PriceType::Fixed,
        PriceType::PerPerson => proto::PriceType::PerPerson,
    }
}

fn put_deposit(out: &mut MessageWriter, deposit: &Deposit) {
    let Deposit {
        amount,
        min_advance_cancellation_sec,
        kind,
    } = deposit;
    put_price(out, 1, amount.as_ref());
    out.signed(2, min_advance_cancellation_sec.get());
    out.variant(3, price_type_number(*kind));
}

fn put_no_show_fee(out: &mut MessageWriter, NoShowFee { amount, kind }: &NoShowFee) {
    put_price(out, 1, amount.as_ref());
    out.variant(2, price_type_number(*kind));
}

fn put_customer(out: &mut MessageWriter, customer: &Customer) {
    let Customer {
        user_id,
        given_name,
        family_name,
        address,
        telephone,
        email,
        language_code,
    } = customer;
    out.text(1, user_id.as_str());
    out.text(2, given_name);
    out.text(3, family_name);
    if let Some(address) = address {
        out.message(4, |out| put_address(out, address));
    }
    out.text(5, telephone);
    out.text(6, email);
    out.text(7, language_code);
}

fn put_address(out: &mut MessageWriter, address: &PostalAddress) {
    let PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    } = address;
    out.text(1, country);
    out.text(2, locality);
    out.text(3, region);
    out.text(4, postal_code);
    out.text(5, street_address);
}

fn put_answers(out: &mut MessageWriter, item: u32, answers: &[IntakeAnswer]) {
    out.number(1, item);
    for IntakeAnswer {
        question_id,
        responses,
    } in answers
    {
        out.message(2, |out| {
            out.text(1, question_id);
            for response in responses {
                out.present(2, response.as_bytes());
            }
        });
    }
}

fn put_claims(out: &mut MessageWriter, field: u32, claims: &[NamedClaim]) {
    for claim in claims {
        out.message(field, |out| put_claim(out, claim));
    }
}

fn put_claim(out: &mut MessageWriter, claim: &NamedClaim) {
    let NamedClaim {
        merchant_id,
        service_id,
        start_sec,
        duration_sec,
        ticket_id,
        count,
    } = claim;
    out.text(1, merchant_id.as_str());
    out.text(2, service_id.as_str());
    out.signed(3, start_sec.get());
    out.number(4, u32::from(*duration_sec));
    if let Some(ticket_id) = ticket_id {
        out.present(5, ticket_id.as_str().as_bytes());
    }
    out.number(6, *count);
}

fn put_intent(out: &mut MessageWriter, intent: &PaymentIntent, key: &OrderKey) {
    let PaymentIntent {
        token,
        attempt,
        amount,
        started_sec,
        claims,
        hold,
    } = intent;
    out.present(1, &key.0);
    out.text(2, token.as_str());
    out.number(3, *attempt);
    put_money(out, 4, *amount);
    out.signed(6, started_sec.get());
    put_claims(out, 7, claims);
    if let Some(HoldId(hold)) = hold {
        out.present(8, hold);
    }
}

/// An amount and its currency, in the field of this number and the next.
fn put_money(out: &mut MessageWriter, field: u32, amount: Money) {
    out.signed(field, micros(amount));
    out.text(field + 1, amount.currency().code());
}

fn put_attempt(out: &mut MessageWriter, attempt: &PaymentAttempt, key: &OrderKey) {
    let PaymentAttempt {
        intent,
        outcome,
        transaction_id,
        finished_sec,
    } = attempt;
    let outcome = match outcome {
        PaymentOutcome::Captured => proto::PaymentOutcome::Captured,
        PaymentOutcome::Declined => proto::PaymentOutcome::Declined,
        PaymentOutcome::Voided => proto::PaymentOutcome::Voided,
        PaymentOutcome::Refunded => proto::PaymentOutcome::Refunded,
    };
    out.message(1, |out| put_intent(out, intent, key));
    out.variant(2, outcome);
    out.text(3, transaction_id);
    out.signed(4, finished_sec.get());
}

fn put_price_entry(out: &mut MessageWriter, entry: &PriceEntry) {
    let PriceEntry {
        merchant_id,
        service_id,
        ticket_id,
        current,
        previous,
    } = entry;
    out.text(1, merchant_id.as_str());
    out.text(2, service_id.as_str());
    if let Some(ticket_id) = ticket_id {
        out.present(3, ticket_id.as_str().as_bytes());
    }
    put_money(out, 4, *current);
    if let Some(previous) = previous {
        out.present_number(6, micros(*previous).cast_unsigned());
    }
}
