//! Why a well-formed request creates no order.

use std::fmt;

use super::{fulfillability::Fulfillability, ids::ServiceId, money::Money, wording::quoted};

/// The causes of failure, each with the data that the contract or its text requires. As text, a sentence for
/// the caller's engineers.
#[derive(Debug, Clone, PartialEq)]
pub enum FailureCause {
    /// The order cannot be fulfilled as asked.
    Unfulfillable(Box<Fulfillability>),
    /// The merchant does not accept this type of card.
    CardTypeRejected(CardType),
    /// The card was declined.
    CardDeclined,
    /// Another error of the payment.
    Payment(PaymentFault),
    /// The stated fee total is wrong.
    IncorrectFeeTotal {
        /// The right one.
        expected: Money,
    },
    /// The bank requires a challenge of the customer.
    Requires3ds1(ThreeDs1Parameters),
}

/// Errors of the payment for which the contract has no cause of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentFault {
    /// This server is to charge, and has no payment gateway.
    NoGateway,
    /// This server is to charge for a service that is not paid for when it is booked.
    NotPaidWhenBooked(ServiceId),
    /// Nobody has charged or is to charge for a service that has to be prepaid.
    NotPrepaid(ServiceId),
    /// The stated price is not the amount that this server would charge.
    WrongPrice {
        /// The amount due, with fees and taxes.
        due: Money,
        /// The total of the items where it is another amount; it is accepted, too.
        items: Option<Money>,
    },
    /// The stated tax is wrong.
    WrongTax {
        /// The tax by rate.
        tax: Money,
        /// The tax with the tickets' own taxes where that is another amount; it is accepted, too.
        with_ticket_taxes: Option<Money>,
    },
    /// The gateway has declined the charge, for a reason in its own words.
    Declined(String),
    /// The gateway gave no clear answer, and the charge is reversed.
    Reversed,
}

impl FailureCause {
    /// Its published name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unfulfillable(_) => "ORDER_UNFULFILLABLE",
            Self::CardTypeRejected(_) => "PAYMENT_ERROR_CARD_TYPE_REJECTED",
            Self::CardDeclined => "PAYMENT_ERROR_CARD_DECLINED",
            Self::Payment(_) => "PAYMENT_ERROR",
            Self::IncorrectFeeTotal { .. } => "INCORRECT_FEE_TOTAL",
            Self::Requires3ds1(_) => "PAYMENT_REQUIRES_3DS1",
        }
    }
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfulfillable(verdict) => f.write_str(&verdict.reason().unwrap_or_default()),
            Self::CardTypeRejected(_) => f.write_str("this kind of card is not taken"),
            Self::CardDeclined => f.write_str("the card was declined"),
            Self::Payment(fault) => fmt::Display::fmt(fault, f),
            Self::IncorrectFeeTotal { expected } => {
                write!(f, "payment_information.fees_and_taxes must be {expected}")
            }
            Self::Requires3ds1(_) => f.write_str("the customer must pass the bank's challenge"),
        }
    }
}

impl fmt::Display for PaymentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGateway => {
                f.write_str("PROCESSED_BY_PARTNER is not possible: this server takes no payments")
            }
            Self::NotPaidWhenBooked(service) => write!(
                f,
                "service {} is not paid for when it is booked, so PROCESSED_BY_PARTNER is not possible",
                quoted(service)
            ),
            Self::NotPrepaid(service) => write!(
                f,
                "service {} has to be paid for when it is booked: payment_information must have \
                 payment_processed_by PROCESSED_BY_PARTNER or prepayment_status PREPAYMENT_PROVIDED",
                quoted(service)
            ),
            Self::WrongPrice { due, items: None } => {
                write!(
                    f,
                    "payment_information.price must be the items' total, {due}"
                )
            }
            Self::WrongPrice {
                due,
                items: Some(items),
            } => write!(
                f,
                "payment_information.price must be the items' total, {items}, or {due} with fees"
            ),
            Self::WrongTax {
                tax,
                with_ticket_taxes: None,
            } => {
                write!(f, "payment_information.tax_amount must be {tax}")
            }
            Self::WrongTax {
                tax,
                with_ticket_taxes: Some(all),
            } => write!(
                f,
                "payment_information.tax_amount must be {tax}, or {all} with the tickets' own taxes"
            ),
            Self::Declined(reason) => f.write_str(reason),
            Self::Reversed => f.write_str(
                "the payment gateway gave no clear answer; the charge has been reversed",
            ),
        }
    }
}

/// Card brands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardType {
    /// Visa.
    Visa,
    /// Mastercard.
    Mastercard,
    /// American Express.
    AmericanExpress,
    /// Discover.
    Discover,
    /// JCB.
    Jcb,
}

/// The parameters of a 3-D Secure 1 challenge in a browser.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThreeDs1Parameters {
    /// Address of the bank's access control server.
    pub acs_url: String,
    /// The payer authentication request.
    pub pa_req: String,
    /// Transaction id of the challenge.
    pub transaction_id: String,
    /// Opaque merchant data, returned with the result of the challenge.
    pub md_merchant_data: String,
}
