//! Orders to and from their records.
//!
//! Every value is decoded strictly: an enum value that no version of this program writes is damage and never
//! becomes a default.

use super::{RecordError, out_of_range, proto};
use domain::{
    order::{
        BookedItem, BookingStatus, Customer, Deposit, IntakeAnswer, LineItem, NoShowFee, Order,
        OrderId, OrderedTickets, PaymentDetails, PaymentOption, PaymentProcessor, PostalAddress,
        PrepaymentStatus, PriceTag, PriceType,
    },
    time::{EpochSeconds, Seconds},
};

pub(super) fn encode(order: &Order) -> proto::Order {
    // Every struct in this file is destructured without `..`: a new field that is not encoded fails
    // to compile.
    let Order {
        id,
        merchant_id,
        customer,
        payment,
        items,
    } = order;
    proto::Order {
        order_id: id.as_str().to_owned(),
        customer: Some(encode_customer(customer)),
        payment: payment.as_ref().map(encode_payment),
        merchant_id: merchant_id.as_str().to_owned(),
        item: items.iter().map(encode_item).collect(),
    }
}

pub(super) fn decode(order: proto::Order) -> Result<Order, RecordError> {
    let proto::Order {
        order_id,
        customer,
        payment,
        merchant_id,
        item,
    } = order;
    Ok(Order {
        id: OrderId::from(order_id),
        merchant_id: merchant_id.into(),
        // A message field may be absent on the wire, but every version has written this one, so
        // absence is damage.
        customer: decode_customer(customer.ok_or(RecordError::Missing("customer"))?),
        payment: payment.map(decode_payment).transpose()?,
        items: item
            .into_iter()
            .map(decode_item)
            // The first damaged item fails the order: an order with a part of its items would be
            // wrong in silence.
            .collect::<Result<_, _>>()?,
    })
}

fn encode_item(item: &BookedItem) -> proto::LineItem {
    let BookedItem { line, status } = item;
    let LineItem {
        service_id,
        start_sec,
        duration_sec,
        tickets,
        price,
        answers,
    } = line;
    proto::LineItem {
        service_id: service_id.as_str().to_owned(),
        start_sec: start_sec.get(),
        duration_sec: duration_sec.get(),
        tickets: tickets.iter().map(encode_tickets).collect(),
        price: price.as_ref().map(encode_price),
        status: encode_status(*status).into(),
        intake_form: answers.as_deref().map(encode_answers),
    }
}

fn decode_item(item: proto::LineItem) -> Result<BookedItem, RecordError> {
    let proto::LineItem {
        service_id,
        start_sec,
        duration_sec,
        tickets,
        price,
        status,
        intake_form,
    } = item;
    let line = LineItem {
        service_id: service_id.into(),
        start_sec: EpochSeconds::new(start_sec),
        duration_sec: Seconds::new(duration_sec),
        tickets: tickets.into_iter().map(decode_tickets).collect(),
        price: price.map(decode_price),
        // `None` and an empty form differ: only the second was sent by the client, and a replay
        // returns what was sent.
        answers: intake_form.map(decode_answers),
    };
    let status = decode_status(status)?;
    Ok(BookedItem { line, status })
}

fn encode_tickets(OrderedTickets { ticket_id, count }: &OrderedTickets) -> proto::OrderedTickets {
    proto::OrderedTickets {
        ticket_id: ticket_id.as_str().to_owned(),
        count: *count,
    }
}

fn decode_tickets(
    proto::OrderedTickets { ticket_id, count }: proto::OrderedTickets,
) -> OrderedTickets {
    OrderedTickets {
        ticket_id: ticket_id.into(),
        count,
    }
}

fn encode_status(status: BookingStatus) -> proto::BookingStatus {
    use proto::BookingStatus as Record;
    // Domain and record have separate enums, so that renaming a variant in the domain never changes
    // a number on disk.
    match status {
        BookingStatus::Confirmed => Record::Confirmed,
        BookingStatus::PendingMerchantConfirmation => Record::PendingMerchantConfirmation,
        BookingStatus::Canceled => Record::Canceled,
        BookingStatus::NoShow => Record::NoShow,
        BookingStatus::NoShowPenalized => Record::NoShowPenalized,
        BookingStatus::Failed => Record::Failed,
        BookingStatus::DeclinedByMerchant => Record::DeclinedByMerchant,
    }
}

fn decode_status(status: i32) -> Result<BookingStatus, RecordError> {
    use proto::BookingStatus as Record;
    match Record::try_from(status) {
        Ok(Record::Confirmed) => Ok(BookingStatus::Confirmed),
        Ok(Record::PendingMerchantConfirmation) => Ok(BookingStatus::PendingMerchantConfirmation),
        Ok(Record::Canceled) => Ok(BookingStatus::Canceled),
        Ok(Record::NoShow) => Ok(BookingStatus::NoShow),
        Ok(Record::NoShowPenalized) => Ok(BookingStatus::NoShowPenalized),
        Ok(Record::Failed) => Ok(BookingStatus::Failed),
        Ok(Record::DeclinedByMerchant) => Ok(BookingStatus::DeclinedByMerchant),
        // Every version writes a status, so even the default of protocol buffers is damage here.
        Ok(Record::Unspecified) | Err(_) => Err(out_of_range("booking status", status)),
    }
}

fn encode_answers(answers: &[IntakeAnswer]) -> proto::IntakeForm {
    let mut form = proto::IntakeForm::default();
    for IntakeAnswer {
        question_id,
        responses,
    } in answers
    {
        form.answer.push(proto::IntakeAnswer {
            question_id: question_id.clone(),
            response: responses.clone(),
        });
    }
    form
}

fn decode_answers(proto::IntakeForm { answer }: proto::IntakeForm) -> Vec<IntakeAnswer> {
    // The length is that of a decoded list, not a number from disk, so damage cannot demand memory.
    let mut answers = Vec::with_capacity(answer.len());
    for proto::IntakeAnswer {
        question_id,
        response,
    } in answer
    {
        answers.push(IntakeAnswer {
            question_id,
            responses: response,
        });
    }
    answers
}

fn encode_price(price: &PriceTag) -> proto::Price {
    let PriceTag {
        micros,
        currency_code,
        pricing_option_tag,
    } = price;
    proto::Price {
        // Micro-units, as the contract has them: minor units cannot represent every amount of a
        // request.
        micros: *micros,
        currency_code: currency_code.clone(),
        pricing_option_tag: pricing_option_tag.clone(),
    }
}

fn decode_price(price: proto::Price) -> PriceTag {
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

fn encode_customer(customer: &Customer) -> proto::Customer {
    let Customer {
        user_id,
        given_name,
        family_name,
        address,
        telephone,
        email,
        language_code,
    } = customer;
    proto::Customer {
        user_id: user_id.as_str().to_owned(),
        given_name: given_name.clone(),
        family_name: family_name.clone(),
        address: address.as_ref().map(encode_address),
        telephone: telephone.clone(),
        email: email.clone(),
        language_code: language_code.clone(),
    }
}

fn decode_customer(customer: proto::Customer) -> Customer {
    let proto::Customer {
        user_id,
        given_name,
        family_name,
        address,
        telephone,
        email,
        language_code,
    } = customer;
    Customer {
        user_id: user_id.into(),
        given_name,
        family_name,
        address: address.map(decode_address),
        telephone,
        email,
        language_code,
    }
}

fn encode_address(address: &PostalAddress) -> proto::PostalAddress {
    let PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    } = address;
    proto::PostalAddress {
        country: country.clone(),
        locality: locality.clone(),
        region: region.clone(),
        postal_code: postal_code.clone(),
        street_address: street_address.clone(),
    }
}

fn decode_address(address: proto::PostalAddress) -> PostalAddress {
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

fn encode_payment(payment: &PaymentDetails) -> proto::PaymentDetails {
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
    } = payment;
    proto::PaymentDetails {
        // `None` becomes the zero value, which takes no bytes on disk.
        prepayment: encode_prepayment(*prepayment).into(),
        transaction_id: transaction_id.clone(),
        price: price.as_ref().map(encode_price),
        tax_amount: tax_amount.as_ref().map(encode_price),
        processed_by: encode_processor(*processed_by).into(),
        deposit: deposit.as_ref().map(encode_deposit),
        no_show_fee: no_show_fee.as_ref().map(encode_no_show_fee),
        fees_and_taxes: fees_and_taxes.as_ref().map(encode_price),
        fees: fees.as_ref().map(encode_price),
        payment_option: option.as_ref().map(encode_option),
    }
}

fn decode_payment(payment: proto::PaymentDetails) -> Result<PaymentDetails, RecordError> {
    let proto::PaymentDetails {
        prepayment,
        transaction_id,
        price,
        tax_amount,
        processed_by,
        deposit,
        no_show_fee,
        fees_and_taxes,
        fees,
        payment_option,
    } = payment;
    Ok(PaymentDetails {
        prepayment: decode_prepayment(prepayment)?,
        transaction_id,
        price: price.map(decode_price),
        tax_amount: tax_amount.map(decode_price),
        fees: fees.map(decode_price),
        fees_and_taxes: fees_and_taxes.map(decode_price),
        deposit: deposit.map(decode_deposit).transpose()?,
        no_show_fee: no_show_fee.map(decode_no_show_fee).transpose()?,
        processed_by: decode_processor(processed_by)?,
        option: payment_option.map(decode_option),
    })
}

fn encode_prepayment(prepayment: Option<PrepaymentStatus>) -> proto::Prepayment {
    match prepayment {
        None => proto::Prepayment::Unspecified,
        Some(PrepaymentStatus::Provided) => proto::Prepayment::Provided,
        Some(PrepaymentStatus::NotProvided) => proto::Prepayment::NotProvided,
        Some(PrepaymentStatus::Refunded) => proto::Prepayment::Refunded,
        Some(PrepaymentStatus::Credited) => proto::Prepayment::Credited,
    }
}

fn decode_prepayment(prepayment: i32) -> Result<Option<PrepaymentStatus>, RecordError> {
    match proto::Prepayment::try_from(prepayment) {
        // Unlike the status of an item, the prepayment may be absent in a request, so zero is a
        // value here.
        Ok(proto::Prepayment::Unspecified) => Ok(None),
        Ok(proto::Prepayment::Provided) => Ok(Some(PrepaymentStatus::Provided)),
        Ok(proto::Prepayment::NotProvided) => Ok(Some(PrepaymentStatus::NotProvided)),
        Ok(proto::Prepayment::Refunded) => Ok(Some(PrepaymentStatus::Refunded)),
        Ok(proto::Prepayment::Credited) => Ok(Some(PrepaymentStatus::Credited)),
        Err(_) => Err(out_of_range("prepayment", prepayment)),
    }
}

fn encode_processor(processor: Option<PaymentProcessor>) -> proto::PaymentProcessor {
    match processor {
        None => proto::PaymentProcessor::Unspecified,
        Some(PaymentProcessor::Google) => proto::PaymentProcessor::Google,
        Some(PaymentProcessor::Partner) => proto::PaymentProcessor::Partner,
    }
}

fn decode_processor(processor: i32) -> Result<Option<PaymentProcessor>, RecordError> {
    match proto::PaymentProcessor::try_from(processor) {
        // A client need not name the processor, so zero is absence and not damage.
        Ok(proto::PaymentProcessor::Unspecified) => Ok(None),
        Ok(proto::PaymentProcessor::Google) => Ok(Some(PaymentProcessor::Google)),
        Ok(proto::PaymentProcessor::Partner) => Ok(Some(PaymentProcessor::Partner)),
        Err(_) => Err(out_of_range("payment processor", processor)),
    }
}

fn encode_option(option: &PaymentOption) -> proto::payment_details::PaymentOption {
    use proto::payment_details::PaymentOption as Record;
    match option {
        PaymentOption::Merchant(id) => Record::MerchantOptionId(id.clone()),
        PaymentOption::Customer(id) => Record::CustomerOptionId(id.clone()),
    }
}

fn decode_option(option: proto::payment_details::PaymentOption) -> PaymentOption {
    use proto::payment_details::PaymentOption as Record;
    match option {
        Record::MerchantOptionId(id) => PaymentOption::Merchant(id),
        Record::CustomerOptionId(id) => PaymentOption::Customer(id),
    }
}

fn encode_deposit(deposit: &Deposit) -> proto::Deposit {
    let Deposit {
        amount,
        min_advance_cancellation_sec,
        kind,
    } = deposit;
    proto::Deposit {
        amount: amount.as_ref().map(encode_price),
        min_advance_cancellation_sec: min_advance_cancellation_sec.get(),
        price_type: encode_price_type(*kind).into(),
    }
}

fn decode_deposit(deposit: proto::Deposit) -> Result<Deposit, RecordError> {
    let proto::Deposit {
        amount,
        min_advance_cancellation_sec,
        price_type,
    } = deposit;
    Ok(Deposit {
        amount: amount.map(decode_price),
        min_advance_cancellation_sec: Seconds::new(min_advance_cancellation_sec),
        kind: decode_price_type(price_type)?,
    })
}

fn encode_no_show_fee(NoShowFee { amount, kind }: &NoShowFee) -> proto::NoShowFee {
    proto::NoShowFee {
        amount: amount.as_ref().map(encode_price),
        price_type: encode_price_type(*kind).into(),
    }
}

fn decode_no_show_fee(
    proto::NoShowFee { amount, price_type }: proto::NoShowFee,
) -> Result<NoShowFee, RecordError> {
    Ok(NoShowFee {
        amount: amount.map(decode_price),
        kind: decode_price_type(price_type)?,
    })
}

fn encode_price_type(kind: PriceType) -> proto::PriceType {
    match kind {
        // The contract has a fixed price as its default, so it is the zero value.
        PriceType::Fixed => proto::PriceType::Unspecified,
        PriceType::PerPerson => proto::PriceType::PerPerson,
    }
}

fn decode_price_type(kind: i32) -> Result<PriceType, RecordError> {
    match proto::PriceType::try_from(kind) {
        Ok(proto::PriceType::Unspecified) => Ok(PriceType::Fixed),
        Ok(proto::PriceType::PerPerson) => Ok(PriceType::PerPerson),
        // A number without a name is damage: a fee read as another type would be charged wrongly.
        Err(_) => Err(out_of_range("price type", kind)),
    }
}
