//! Payments, as far as a request says anything of them.

use super::{Validator, Violated};
use crate::api::booking::{
    proto::v3,
    requests::{MAX_PAYMENT_BYTES, MAX_TAG_CHARS},
    violations::FieldPath,
};
use domain::order::{
    Deposit, NoShowFee, PaymentChallenge, PaymentDetails, PaymentMethod, PaymentOption,
    PaymentProcessor, PrepaymentStatus, PriceTag, PriceType,
};
use domain::time::Seconds;

impl Validator<'_> {
    pub(super) fn payment_details(
        &mut self,
        field: FieldPath<'_>,
        payment: Box<v3::PaymentInformation>,
    ) -> Box<PaymentDetails> {
        self.check_payment(field, &payment);
        Box::new(payment_details(*payment))
    }

    pub(super) fn payment_method(
        &mut self,
        processing: Option<Box<v3::PaymentProcessingParameters>>,
        challenge: Option<PaymentChallenge>,
    ) -> Result<PaymentMethod, Violated> {
        let field = FieldPath::field("payment_processing_parameters");
        let Some(processing) = processing else {
            let rule = "is required where the booking partner processes the payment";
            return Err(self.violate(field, rule));
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
        // The newer field wins where a client fills both.
        let token = if unparsed_payment_method_token.is_empty() {
            payment_method_token
        } else {
            unparsed_payment_method_token
        };
        let field = field.key("unparsed_payment_method_token");
        if token.is_empty() {
            self.require(field);
        }
        self.check_bytes(field, &token, MAX_PAYMENT_BYTES);
        Ok(PaymentMethod { token, challenge })
    }

    fn check_payment(&mut self, field: FieldPath<'_>, payment: &v3::PaymentInformation) {
        use v3::payment_information::PaymentProcessedBy;
        self.check_enum::<v3::PrepaymentStatus>(
            field.key("prepayment_status"),
            payment.prepayment_status,
        );
        self.check_enum::<PaymentProcessedBy>(
            field.key("payment_processed_by"),
            payment.payment_processed_by,
        );
        if let Some(deposit) = &payment.deposit {
            let field = field.key("deposit");
            self.check_enum::<v3::PriceType>(field.key("deposit_type"), deposit.deposit_type);
            self.check_price(field.key("deposit"), deposit.deposit.as_ref());
        }
        if let Some(fee) = &payment.no_show_fee {
            let field = field.key("no_show_fee");
            self.check_enum::<v3::PriceType>(field.key("fee_type"), fee.fee_type);
            self.check_price(field.key("fee"), fee.fee.as_ref());
        }
        for (name, price) in [
            ("price", &payment.price),
            ("tax_amount", &payment.tax_amount),
            ("fees", &payment.fees),
            ("fees_and_taxes", &payment.fees_and_taxes),
        ] {
            self.check_price(field.key(name), price.as_ref());
        }
        self.check_payment_texts(field, payment);
    }

    fn check_payment_texts(&mut self, field: FieldPath<'_>, payment: &v3::PaymentInformation) {
        use v3::payment_information::PaymentId;
        let transaction_id = &payment.payment_transaction_id;
        self.check_id(field.key("payment_transaction_id"), transaction_id);
        match &payment.payment_id {
            Some(PaymentId::PaymentOptionId(id)) => {
                self.check_id(field.key("payment_option_id"), id);
            }
            Some(PaymentId::UserPaymentOptionId(id)) => {
                self.check_id(field.key("user_payment_option_id"), id);
            }
            None => {}
        }
        self.check_bytes(
            field.key("pa_response"),
            &payment.pa_response,
            MAX_PAYMENT_BYTES,
        );
        self.check_bytes(
            field.key("md_merchant_data"),
            &payment.md_merchant_data,
            MAX_PAYMENT_BYTES,
        );
    }

    pub(super) fn check_price(&mut self, field: FieldPath<'_>, price: Option<&v3::Price>) {
        let Some(v3::Price {
            price_micros: _,
            currency_code,
            pricing_option_tag,
        }) = price
        else {
            return;
        };
        self.check_chars(field.key("currency_code"), currency_code, MAX_TAG_CHARS);
        self.check_chars(
            field.key("pricing_option_tag"),
            pricing_option_tag,
            MAX_TAG_CHARS,
        );
    }
}

pub(super) fn challenge(payment: &v3::PaymentInformation) -> Option<PaymentChallenge> {
    // Without a response there was no challenge; the merchant data alone means nothing.
    (!payment.pa_response.is_empty()).then(|| PaymentChallenge {
        response: payment.pa_response.clone(),
        merchant_data: payment.md_merchant_data.clone(),
    })
}

pub(super) fn price_tag(price: v3::Price) -> PriceTag {
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
        // Not recorded: they belong to this one request. The challenge was read before.
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
    // Unknown numbers were reported by `check_payment`, so nothing is lost in silence here.
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
        min_advance_cancellation_sec: Seconds::new(min_advance_cancellation_sec),
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
        // An unknown number was reported before, so this value is never used.
        Ok(v3::PriceType::FixedRateDefault) | Err(_) => PriceType::Fixed,
    }
}
