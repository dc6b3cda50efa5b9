//! The rules of sale as pure functions: no clock, no randomness, no I/O, no wire format.

pub use types::{ids, time};
pub mod money;

pub mod catalog;
pub mod order;
pub mod slot;

pub mod openings;

pub mod availability;

pub mod wording;

pub mod constraints;
pub mod intake;
pub mod pricing;

pub mod faults;

pub mod fees;
pub mod fulfillability;

pub mod failure;
pub mod payment;

pub mod ledger;
pub mod lifecycle;
pub mod refunds;
pub mod shipment;

#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
