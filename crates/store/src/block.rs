//! Spots of a slot that are off sale without an order, as the store keeps them.

use std::sync::Arc;

use domain::{
    ids::{MerchantId, ServiceId},
    slot::{BlockedSpots, SlotDuration},
    time::EpochSeconds,
};

use crate::RequestAnswer;

/// A slot by ids instead of indexes, which hold for one catalogue only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamedSlot {
    /// Start. First, so that slots are ordered by it.
    pub start_sec: EpochSeconds,
    /// Merchant of the slot.
    pub merchant_id: MerchantId,
    /// Service of the slot.
    pub service_id: ServiceId,
    /// Length of the slot.
    pub duration_sec: SlotDuration,
}

impl NamedSlot {
    /// The second after the slot.
    #[must_use]
    pub fn end_sec(&self) -> EpochSeconds {
        self.start_sec.saturating_add(self.duration_sec.into())
    }
}

/// What is off sale of a slot from now on, in place of what was before. Of several blocks of a slot the last one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotBlock {
    /// The slot.
    pub slot: NamedSlot,
    /// The spots; none ends the block.
    pub spots: BlockedSpots,
    /// Why, in words; empty if no reason was given. It has no personal data.
    pub reason: String,
    /// The user who asked for it, where the server knows its users.
    pub actor: Option<Arc<str>>,
    /// When.
    pub blocked_sec: EpochSeconds,
    /// The request that asked for it.
    pub answer: Option<RequestAnswer>,
}
