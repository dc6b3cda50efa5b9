//! Why a well-formed request creates no order.

use super::fulfillability::Fulfillability;

/// The failure of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderFailure {
    /// The cause, with the data that the contract requires for it.
    pub cause: FailureCause,
    /// A sentence for the caller's engineers.
    pub description: String,
}

/// The causes of failure.
#[derive(Debug, Clone, PartialEq)]
pub enum FailureCause {
    /// The order cannot be fulfilled as asked.
    Unfulfillable(Box<Fulfillability>),
    /// The merchant does not accept this type of card.
    CardTypeRejected(CardType),
    /// The card was declined.
    CardDeclined,
    /// Another error of the payment.
    Payment,
    /// The stated fee total is wrong.
    IncorrectFeeTotal,
    /// The bank requires a challenge of the customer.
    Requires3ds1(ThreeDs1Parameters),
}

impl FailureCause {
    /// Its published name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unfulfillable(_) => "ORDER_UNFULFILLABLE",
            Self::CardTypeRejected(_) => "PAYMENT_ERROR_CARD_TYPE_REJECTED",
            Self::CardDeclined => "PAYMENT_ERROR_CARD_DECLINED",
            Self::Payment => "PAYMENT_ERROR",
            Self::IncorrectFeeTotal => "INCORRECT_FEE_TOTAL",
            Self::Requires3ds1(_) => "PAYMENT_REQUIRES_3DS1",
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
