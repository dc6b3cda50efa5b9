//! What a record means for the index, for open work and for sums.

use domain::time::EpochSeconds;

use super::{open_work::HoldPlacement, position::Position};
use crate::{
    HoldId, NamedClaim, ReleaseReason,
    order_key::{OrderKey, UserKey},
};

#[cfg(test)]
pub(super) mod random_log;

/// The meaning of one record, without what only a reader of the record needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    /// An order was created.
    OrderPlaced(OrderFact),
    /// A charge is about to be requested.
    PaymentIntent {
        /// The order that it is for.
        key: OrderKey,
        /// Where the record of the intent is.
        position: Position,
    },
    /// A payment ended without an order, and its intent with it.
    PaymentEnded {
        /// The order that it was for.
        key: OrderKey,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// Spots are held.
    HoldPlaced {
        /// The hold.
        id: HoldId,
        /// How it was placed.
        placement: HoldPlacement,
    },
    /// A hold ended without an order.
    HoldReleased {
        /// The hold.
        id: HoldId,
        /// When it was released.
        released_sec: EpochSeconds,
        /// Why.
        reason: ReleaseReason,
    },
    /// Prices were served.
    Prices {
        /// Where the record of the prices is.
        position: Position,
    },
    /// Slots that ended before this second are forgotten.
    SlotsForgotten {
        /// The second.
        until: EpochSeconds,
    },
}

/// An order, as far as it is more than its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrderFact {
    /// The order.
    pub(super) key: OrderKey,
    /// The user whose list it is in.
    pub(super) user: UserKey,
    /// Where its record is.
    pub(super) position: Position,
    /// When it was created.
    pub(super) created_sec: EpochSeconds,
    /// The spots it takes.
    pub(super) claims: Vec<NamedClaim>,
    /// The hold that it consumes.
    pub(super) consumes: Option<HoldId>,
    /// Whether it has a payment, so that an intent ends with it.
    pub(super) ends_intent: bool,
}
