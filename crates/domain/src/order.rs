//! Orders: line items, tickets, answers, the customer and the payment details.
//!
//! The published messages without their wire format. A [`LineItem`] is kept as requested, right or wrong,
//! because every response echoes it.

pub use super::ids::OrderId;
use super::{
    ids::{MerchantId, ServiceId, TicketId, UserId},
    money::Currency,
    time::{EpochSeconds, Seconds},
};

/// One service in one time slot, as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineItem {
    /// The merchant's id of the service.
    pub service_id: ServiceId,
    /// Start of the slot.
    pub start_sec: EpochSeconds,
    /// Length of the slot.
    pub duration_sec: Seconds,
    /// Tickets by type; empty for an appointment, which takes one spot.
    pub tickets: Vec<OrderedTickets>,
    /// The line's total without tax, as the caller believes it to be.
    pub price: Option<PriceTag>,
    /// Answers to the service's questions; `None` where the caller sent no answer form.
    pub answers: Option<Vec<IntakeAnswer>>,
}

/// A number of tickets of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderedTickets {
    /// Ticket type, unique within the service.
    pub ticket_id: TicketId,
    /// The number of tickets; valid only above zero.
    pub count: i32,
}

/// A price as it stood on the wire: not yet known to be sensible.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PriceTag {
    /// Millionths of the currency's main unit.
    pub micros: i64,
    /// ISO 4217 code as sent.
    pub currency_code: String,
    /// Opaque tag of the caller's, echoed.
    pub pricing_option_tag: String,
}

impl PriceTag {
    /// Whether the amount is in this currency.
    #[must_use]
    pub fn is_in(&self, currency: Currency) -> bool {
        self.currency_code == currency.code()
    }

    /// The amount, if the currency exists.
    #[must_use]
    pub fn money(&self) -> Option<super::money::Money> {
        let currency = Currency::from_code(&self.currency_code)?;
        Some(super::money::Money::from_micros(self.micros, currency))
    }
}

/// The answer to one intake question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeAnswer {
    /// The question.
    pub question_id: String,
    /// One text, or several where the question is a set of check boxes.
    pub responses: Vec<String>,
}

/// The state of a booked item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookingStatus {
    /// Booked; the customer can come.
    Confirmed,
    /// Waits for the merchant's decision.
    PendingMerchantConfirmation,
    /// Cancelled by the customer or for them.
    Canceled,
    /// The customer did not come.
    NoShow,
    /// The customer did not come and was charged for it.
    NoShowPenalized,
    /// Could not be completed.
    Failed,
    /// The merchant declined.
    DeclinedByMerchant,
}

/// A line item that has been sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedItem {
    /// The item as ordered, at the price it was sold for.
    pub line: LineItem,
    /// The state of the booking.
    pub status: BookingStatus,
}

/// An order on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The id, given by this server.
    pub id: OrderId,
    /// The merchant all items belong to.
    pub merchant_id: MerchantId,
    /// The customer.
    pub customer: Customer,
    /// Payment details, if the caller sent any. Boxed: they are most of an order, and few orders have them.
    pub payment: Option<Box<PaymentDetails>>,
    /// The booked items, in the requested order.
    pub items: Vec<BookedItem>,
}

/// The customer of an order. Personal data: never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Customer {
    /// The caller's id of the person.
    pub user_id: UserId,
    /// Given name, at most 40 characters.
    pub given_name: String,
    /// Family name, at most 40 characters.
    pub family_name: String,
    /// Postal address.
    pub address: Option<PostalAddress>,
    /// Telephone number.
    pub telephone: String,
    /// E-mail address.
    pub email: String,
    /// BCP 47 language tag.
    pub language_code: String,
}

impl Customer {
    /// A customer of whom only the id is known.
    #[must_use]
    pub fn of(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
            given_name: String::new(),
            family_name: String::new(),
            address: None,
            telephone: String::new(),
            email: String::new(),
            language_code: String::new(),
        }
    }
}

impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Customer(personal data withheld)")
    }
}

/// A postal address.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PostalAddress {
    /// Country name or code.
    pub country: String,
    /// City.
    pub locality: String,
    /// State or province.
    pub region: String,
    /// Postal code.
    pub postal_code: String,
    /// Street and number.
    pub street_address: String,
}

/// The payment details of an order, stated by the caller and completed by us.
///
/// Fraud signals and the answers to a 3-D Secure challenge serve one attempt only. They are in
/// [`PaymentChallenge`] and the request, and are neither stored nor returned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PaymentDetails {
    /// Whether money has been taken.
    pub prepayment: Option<PrepaymentStatus>,
    /// The id of the transaction, given by the processor of the payment.
    pub transaction_id: String,
    /// Price, as the caller states it.
    pub price: Option<PriceTag>,
    /// Tax, as the caller states it.
    pub tax_amount: Option<PriceTag>,
    /// Fees without taxes, as the caller states them.
    pub fees: Option<PriceTag>,
    /// All fees and taxes of the order; absent counts as zero.
    pub fees_and_taxes: Option<PriceTag>,
    /// Deposit terms.
    pub deposit: Option<Deposit>,
    /// No-show terms.
    pub no_show_fee: Option<NoShowFee>,
    /// Who takes the money.
    pub processed_by: Option<PaymentProcessor>,
    /// A payment option instead of money.
    pub option: Option<PaymentOption>,
}

/// A reference to a payment option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentOption {
    /// An option of the merchant that the customer buys.
    Merchant(String),
    /// An option that the customer owns already.
    Customer(String),
}

/// Who takes the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentProcessor {
    /// The caller has taken it or will.
    Google,
    /// We charge.
    Partner,
}

/// Whether money has been taken for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrepaymentStatus {
    /// Taken.
    Provided,
    /// Not taken.
    NotProvided,
    /// Refunded.
    Refunded,
    /// Refunded as credit.
    Credited,
}

/// The count that a stated amount is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PriceType {
    /// Once.
    #[default]
    Fixed,
    /// Once a person.
    PerPerson,
}

/// Terms of a deposit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deposit {
    /// The amount.
    pub amount: Option<PriceTag>,
    /// The time before the start until which a cancellation is refunded.
    pub min_advance_cancellation_sec: Seconds,
    /// Once or for each person.
    pub kind: PriceType,
}

/// Terms of a no-show fee.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoShowFee {
    /// The amount.
    pub amount: Option<PriceTag>,
    /// Once or for each person.
    pub kind: PriceType,
}

/// The customer's answer to a 3-D Secure challenge, sent with a new attempt.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PaymentChallenge {
    /// The bank's answer (`pa_response`).
    pub response: String,
    /// Merchant data given out with the challenge.
    pub merchant_data: String,
}

/// A means of payment. Secret: never logged, never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentMethod {
    /// The token that the gateway understands.
    pub token: String,
    /// Answer to an earlier challenge, if there was one.
    pub challenge: Option<PaymentChallenge>,
}

impl std::fmt::Debug for PaymentMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PaymentMethod(withheld)")
    }
}

/// An order that is well-formed and asks to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// The merchant; known to the catalogue when the request was read.
    pub merchant_id: MerchantId,
    /// Who orders.
    pub customer: Customer,
    /// At least one.
    pub items: Vec<LineItem>,
    /// Payment details as sent.
    pub payment: Option<Box<PaymentDetails>>,
    /// Present where we are to charge.
    pub method: Option<PaymentMethod>,
}

impl NewOrder {
    /// Whether we are the one to charge.
    #[must_use]
    pub fn charged_by_us(&self) -> bool {
        self.payment
            .as_ref()
            .is_some_and(|payment| payment.processed_by == Some(PaymentProcessor::Partner))
    }
}

#[cfg(test)]
mod tests;
