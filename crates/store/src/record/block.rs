//! Blocks of slots to records, and back. They are few, so they go through the generated messages.

use std::sync::Arc;

use domain::{slot::BlockedSpots, time::EpochSeconds};
use prost::Message;

use super::{
    RecordError,
    decode::message,
    proto,
    update::{answer_from_record, answer_to_record},
};
use crate::{NamedSlot, SlotBlock};

/// The record of a block.
pub(super) fn encode(block: &SlotBlock) -> Vec<u8> {
    let SlotBlock {
        slot:
            NamedSlot {
                start_sec,
                merchant_id,
                service_id,
                duration_sec,
            },
        spots,
        reason,
        actor,
        blocked_sec,
        answer,
    } = block;
    let record = proto::SlotBlocked {
        merchant_id: merchant_id.as_str().to_owned(),
        service_id: service_id.as_str().to_owned(),
        start_sec: start_sec.get(),
        duration_sec: (*duration_sec).into(),
        count: match spots {
            BlockedSpots::All => None,
            BlockedSpots::Count(count) => Some(*count),
        },
        reason: reason.clone(),
        actor: actor.as_deref().map(str::to_owned),
        blocked_sec: blocked_sec.get(),
        answer: answer.as_ref().map(answer_to_record),
    };
    record.encode_to_vec()
}

/// A block of a slot.
///
/// # Errors
/// [`RecordError`].
pub fn decode_block(public: &[u8]) -> Result<SlotBlock, RecordError> {
    let proto::SlotBlocked {
        merchant_id,
        service_id,
        start_sec,
        duration_sec,
        count,
        reason,
        actor,
        blocked_sec,
        answer,
    } = message(public)?;
    Ok(SlotBlock {
        slot: NamedSlot {
            start_sec: EpochSeconds::new(start_sec),
            merchant_id: merchant_id.into(),
            service_id: service_id.into(),
            duration_sec: duration_sec.into(),
        },
        spots: count.map_or(BlockedSpots::All, BlockedSpots::Count),
        reason,
        actor: actor.map(Arc::from),
        blocked_sec: EpochSeconds::new(blocked_sec),
        answer: answer.map(answer_from_record).transpose()?,
    })
}
