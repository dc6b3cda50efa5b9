//! Taking money through a gateway.
//!
//! A charge is named by a key that follows from the order and the attempt, so that a gateway can
//! tell a repeated question from a new one. The intent to charge is on record before the gateway
//! is asked, and the outcome before anybody is told.

use std::{future::Future, pin::Pin};

use crate::domain::{
    failure::{CardType, ThreeDs1Parameters},
    money::Money,
    order::{OrderId, PaymentMethod},
};

pub mod simulated;

/// The name of one attempt to charge for one order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChargeKey(pub String);

impl ChargeKey {
    /// The key of an attempt; attempts count from 1.
    #[must_use]
    pub fn new(order: &OrderId, attempt: u32) -> Self {
        Self(format!("{}-{attempt}", order.0))
    }
}

/// Money to be taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// Its name.
    pub key: ChargeKey,
    /// How much.
    pub amount: Money,
    /// From what.
    pub method: PaymentMethod,
}

/// A gateway's answer to a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeAnswer {
    /// The money is taken, under this transaction id.
    Captured(String),
    /// Nothing is taken, for sure.
    Refused(ChargeRefusal),
    /// The gateway does not know or could not be understood: money may have been taken.
    Unknown(String),
}

/// Why nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChargeRefusal {
    /// The merchant does not take this kind of card.
    CardTypeRejected(CardType),
    /// The card was declined.
    CardDeclined,
    /// The bank wants to see the customer first.
    Requires3ds1(ThreeDs1Parameters),
    /// Anything else, in words for the caller's engineers.
    Other(String),
}

/// What undoing a charge came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone {
    /// Nothing had been taken, and nothing will be under this key.
    Voided,
    /// Money had been taken and has been given back.
    Refunded,
}

/// The gateway could not be asked, or did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the payment gateway did not answer: {0}")]
pub struct GatewayError(pub String);

/// A future that a gateway gives.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A payment gateway. It is asked within the span of the payment, so one that is asked over a network can
/// pass on the trace with [`crate::telemetry::traces::traceparent`].
pub trait Payments: Send + Sync + std::fmt::Debug {
    /// Takes money. Asked twice under one key, it takes it once.
    fn charge<'a>(&'a self, charge: &'a Charge) -> Answer<'a, ChargeAnswer>;

    /// Makes sure that nothing is taken under a key, now or later, and gives back what was. May be
    /// asked again after an error.
    fn undo<'a>(&'a self, key: &'a ChargeKey) -> Answer<'a, Result<Undone, GatewayError>>;
}
