//! The parts of an order: items, customer, payment details.

use super::{RecordError, out_of_range, proto};
use domain::{
    order::{
        BookedItem, BookingStatus, Customer, Deposit, IntakeAnswer, LineItem, NoShowFee,
        OrderedTickets, PaymentDetails, PaymentOption, PaymentProcessor, PostalAddress,
        PrepaymentStatus, PriceTag, PriceType,
    },
    time::{EpochSeconds, Seconds},
};

/// The customer of an order whose personal part was erased.
pub(crate) fn erased_customer() -> Customer {
    Customer::of("")
}

/// An item without its answers, which are in the personal part.
pub(super) fn item(item: proto::BookedItem) -> Result<BookedItem, RecordError> {
    use proto::BookingStatus as Record;
    let proto::BookedItem {
        line: ordered,
        status,
    } = item;
    let status = match Record::try_from(status) {
        Ok(Record::Confirmed) => BookingStatus::Confirmed,
        Ok(Record::PendingMerchantConfirmation) => BookingStatus::PendingMerchantConfirmation,
        Ok(Record::Canceled) => BookingStatus::Canceled,
        Ok(Record::NoShow) => BookingStatus::NoShow,
        Ok(Record::NoShowPenalized) => BookingStatus::NoShowPenalized,
        Ok(Record::Failed) => BookingStatus::Failed,
        Ok(Record::DeclinedByMerchant) => BookingStatus::DeclinedByMerchant,
        // Every version writes a status, so even the default of protocol buffers is damage here.
        Ok(Record::Unspecified) | Err(_) => return Err(out_of_range("booking status", status)),
    };
    let line = line(ordered.ok_or(RecordError::Missing("line item"))?);
    Ok(BookedItem { line, status })
}

/// A line without answers.
pub(super) fn line(line: proto::LineItem) -> LineItem {
    let proto::LineItem {
        service_id,
        start_sec,
        duration_sec,
        tickets,
        price: stated,
    } = line;
    LineItem {
        service_id: service_id.into(),
        start_sec: EpochSeconds::new(start_sec),
        duration_sec: Seconds::new(duration_sec),
        tickets: tickets.into_iter().map(ordered_tickets).collect(),
        price: stated.map(price),
        answers: None,
    }
}

fn ordered_tickets(tickets: proto::OrderedTickets) -> OrderedTickets {
    let proto::OrderedTickets { ticket_id, count } = tickets;
    OrderedTickets {
        ticket_id: ticket_id.into(),
        count,
    }
}

fn price(price: proto::Price) -> PriceTag {
    let proto::Price {
        micros,
        currency_code,
        pricing_option_tag,
    } = price;
    PriceTag {
        micros,
        currency_code,
        pricing_option_tag,
    }
}

/// The answers of one item.
pub(super) fn answers(form: proto::ItemAnswers) -> Vec<IntakeAnswer> {
    // The length is that of a decoded list and no number from the disk, so that damage cannot demand memory.
    let mut answers = Vec::with_capacity(form.answer.len());
    for proto::IntakeAnswer {
        question_id,
        response,
    } in form.answer
    {
        answers.push(IntakeAnswer {
            question_id,
            responses: response,
        });
    }
    answers
}

pub(super) fn customer(customer: proto::Customer) -> Customer {
    let proto::Customer {
        user_id,
        given_name,
        family_name,
        address: stated,
        telephone,
        email,
        language_code,
    } = customer;
    Customer {
        user_id: user_id.into(),
        given_name,
        family_name,
        address: stated.map(address),
        telephone,
        email,
        language_code,
    }
}

fn address(address: proto::PostalAddress) -> PostalAddress {
    let proto::PostalAddress {
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

pub(super) fn details(details: proto::PaymentDetails) -> Result<PaymentDetails, RecordError> {
    let proto::PaymentDetails {
        prepayment: paid,
        transaction_id,
        price: stated,
        tax_amount,
        fees,
        fees_and_taxes,
        deposit: advance,
        no_show_fee: penalty,
        processed_by,
        payment_option,
    } = details;
    Ok(PaymentDetails {
        prepayment: prepayment(paid)?,
        transaction_id,
        price: stated.map(price),
        tax_amount: tax_amount.map(price),
        fees: fees.map(price),
        fees_and_taxes: fees_and_taxes.map(price),
        deposit: advance.map(deposit).transpose()?,
        no_show_fee: penalty.map(no_show_fee).transpose()?,
        processed_by: processor(processed_by)?,
        option: payment_option.map(option),
    })
}

fn prepayment(prepayment: i32) -> Result<Option<PrepaymentStatus>, RecordError> {
    match proto::Prepayment::try_from(prepayment) {
        // Unlike the status of an item, a prepayment need not be stated, so zero is a value here.
        Ok(proto::Prepayment::Unspecified) => Ok(None),
        Ok(proto::Prepayment::Provided) => Ok(Some(PrepaymentStatus::Provided)),
        Ok(proto::Prepayment::NotProvided) => Ok(Some(PrepaymentStatus::NotProvided)),
        Ok(proto::Prepayment::Refunded) => Ok(Some(PrepaymentStatus::Refunded)),
        Ok(proto::Prepayment::Credited) => Ok(Some(PrepaymentStatus::Credited)),
        Err(_) => Err(out_of_range("prepayment", prepayment)),
    }
}

fn processor(processor: i32) -> Result<Option<PaymentProcessor>, RecordError> {
    match proto::PaymentProcessor::try_from(processor) {
        // A client need not name the processor.
        Ok(proto::PaymentProcessor::Unspecified) => Ok(None),
        Ok(proto::PaymentProcessor::Google) => Ok(Some(PaymentProcessor::Google)),
        Ok(proto::PaymentProcessor::Partner) => Ok(Some(PaymentProcessor::Partner)),
        Err(_) => Err(out_of_range("payment processor", processor)),
    }
}

fn option(option: proto::payment_details::PaymentOption) -> PaymentOption {
    use proto::payment_details::PaymentOption as Record;
    match option {
        Record::MerchantOptionId(id) => PaymentOption::Merchant(id),
        Record::CustomerOptionId(id) => PaymentOption::Customer(id),
    }
}

fn deposit(deposit: proto::Deposit) -> Result<Deposit, RecordError> {
    let proto::Deposit {
        amount,
        min_advance_cancellation_sec,
        price_type,
    } = deposit;
    Ok(Deposit {
        amount: amount.map(price),
        min_advance_cancellation_sec: Seconds::new(min_advance_cancellation_sec),
        kind: multiplier(price_type)?,
    })
}

fn no_show_fee(fee: proto::NoShowFee) -> Result<NoShowFee, RecordError> {
    let proto::NoShowFee { amount, price_type } = fee;
    Ok(NoShowFee {
        amount: amount.map(price),
        kind: multiplier(price_type)?,
    })
}

fn multiplier(price_type: i32) -> Result<PriceType, RecordError> {
    match proto::PriceType::try_from(price_type) {
        Ok(proto::PriceType::Fixed) => Ok(PriceType::Fixed),
        Ok(proto::PriceType::PerPerson) => Ok(PriceType::PerPerson),
        // A fee read as another type would be charged wrongly.
        Ok(proto::PriceType::Unspecified) | Err(_) => Err(out_of_range("price type", price_type)),
    }
}
