//! Payments and amounts as an order records them.

use crate::api::booking::proto::v3;
use domain::order::{
    Deposit, NoShowFee, PaymentDetails, PaymentOption, PaymentProcessor, PrepaymentStatus,
    PriceTag, PriceType,
};

/// Fraud signals and challenge responses belong to a request and are never returned.
pub(super) fn payment_information(payment: PaymentDetails) -> v3::PaymentInformation {
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
        min_advance_cancellation_sec: min_advance_cancellation_sec.get(),
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

pub(super) fn price_tag(tag: PriceTag) -> v3::Price {
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
