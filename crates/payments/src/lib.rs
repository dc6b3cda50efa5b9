//! Charges and refunds through a payment gateway.
//!
//! A charge has a key that is derived from the order and the attempt, so a gateway can tell a repeated
//! request from a new one. The intent to charge is on record before the request to the gateway, and its
//! outcome before the response to the client.

use std::{future::Future, pin::Pin};

use domain::{
    failure::{CardType, ThreeDs1Parameters},
    money::Money,
    order::{OrderId, PaymentMethod},
};

pub mod simulated;

/// The idempotency key of one attempt to charge for one order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChargeKey(pub String);

impl ChargeKey {
    /// The key of an attempt; attempts count from 1.
    #[must_use]
    pub fn new(order: &OrderId, attempt: u32) -> Self {
        // Derived and not random: after a restart, recovery names the same charge to the gateway and never
        // pays twice.
        Self(format!("{}-{attempt}", order.as_str()))
    }
}

/// A charge to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// The idempotency key.
    pub key: ChargeKey,
    /// The amount.
    pub amount: Money,
    /// The payment method and its token.
    pub method: PaymentMethod,
}

/// The response of a gateway to a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeOutcome {
    /// The charge is captured; the gateway's transaction id.
    Captured(String),
    /// Declined: no money is taken.
    Declined(DeclineReason),
    /// The gateway gave no clear response: money may have been taken.
    Unknown(String),
}

/// Why a charge was declined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeclineReason {
    /// The merchant does not accept this type of card.
    CardTypeRejected(CardType),
    /// The card was declined.
    CardDeclined,
    /// The bank requires a 3-D Secure challenge.
    Requires3ds1(ThreeDs1Parameters),
    /// Any other reason, as text for the client's engineers.
    Other(String),
}

/// The outcome of a reversal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reversal {
    /// No money was taken, and a later charge with this key is declined.
    Voided,
    /// Money was taken and has been refunded.
    Refunded,
}

/// A change of a captured or authorized charge to be requested. Its key tells a repetition from another one.
#[derive(Debug, Clone, PartialEq)]
pub struct ChargeChange {
    /// The idempotency key.
    pub key: String,
    /// The charge.
    pub charge: ChargeKey,
    /// The amount; of a void all that was authorized.
    pub amount: Money,
}

/// The final response of a gateway to a change of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It is done.
    Done,
    /// It was rejected, and nothing has changed; why, for operators.
    Rejected(String),
}

/// The gateway could not be reached, or did not respond.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the payment gateway did not answer: {0}")]
pub struct GatewayError(pub String);

/// The future of a request to a gateway.
pub type GatewayFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A payment gateway. Its methods run within the span of the payment, so a gateway that sends requests over
/// a network can propagate the trace context.
pub trait PaymentGateway: Send + Sync + std::fmt::Debug {
    /// Captures a charge. Repeated requests with one key capture it once.
    fn charge<'a>(&'a self, charge: &'a Charge) -> GatewayFuture<'a, ChargeOutcome>;

    /// Voids or refunds the charge of a key, and prevents a later one. May be repeated after an error.
    fn reverse<'a>(
        &'a self,
        key: &'a ChargeKey,
    ) -> GatewayFuture<'a, Result<Reversal, GatewayError>>;

    /// Gives back a part of a captured charge, or all of it. Repeated requests with one key give it back once. May be
    /// repeated after an error.
    fn refund<'a>(
        &'a self,
        refund: &'a ChargeChange,
    ) -> GatewayFuture<'a, Result<ChangeOutcome, GatewayError>>;

    /// Ends an authorization without taking anything. May be repeated after an error.
    fn void<'a>(
        &'a self,
        void: &'a ChargeChange,
    ) -> GatewayFuture<'a, Result<ChangeOutcome, GatewayError>>;
}
