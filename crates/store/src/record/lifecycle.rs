//! The lifecycle and attempts at steps to records, and back. They are few, so they go through the generated messages.

use std::sync::Arc;

use domain::{lifecycle::StateMap, time::EpochSeconds};
use prost::Message;

use super::{
    RecordError,
    decode::{fixed, message, out_of_range},
    proto,
    update::{
        Mirrored, answer_from_record, answer_to_record, each, name, order_id, small, text, variant,
    },
};
use crate::{LifecycleDraft, LifecycleRevision, OrderKey, StepRetry};

/// The record of a definition that is published.
pub(super) fn published(revision: &LifecycleRevision) -> Vec<u8> {
    let LifecycleRevision {
        number,
        digest,
        name,
        text,
        published_sec,
        by,
        maps,
        answer,
    } = revision;
    proto::LifecyclePublished {
        number: *number,
        digest: digest.to_vec(),
        name: name.clone(),
        text: text.clone(),
        published_sec: published_sec.get(),
        published_by: by.as_deref().map(str::to_owned),
        map: maps.iter().map(map_to_record).collect(),
        answer: answer.as_ref().map(answer_to_record),
    }
    .encode_to_vec()
}

/// A definition that was published.
///
/// # Errors
/// [`RecordError`].
pub fn decode_published(public: &[u8]) -> Result<LifecycleRevision, RecordError> {
    let proto::LifecyclePublished {
        number,
        digest,
        name,
        text,
        published_sec,
        published_by,
        map,
        answer,
    } = message(public)?;
    if number == 0 {
        return Err(out_of_range("revision of the lifecycle", number));
    }
    Ok(LifecycleRevision {
        number,
        digest: fixed("digest of a lifecycle", &digest)?,
        name,
        text,
        published_sec: EpochSeconds::new(published_sec),
        by: published_by.map(Arc::from),
        maps: each(map, map_from_record)?,
        answer: answer.map(answer_from_record).transpose()?,
    })
}

fn map_to_record(map: &StateMap) -> proto::StateMap {
    let StateMap { entity, from, to } = map;
    proto::StateMap {
        entity: entity.number(),
        from: text(from),
        to: text(to),
    }
}

fn map_from_record(map: proto::StateMap) -> Result<StateMap, RecordError> {
    Ok(StateMap {
        entity: variant(map.entity)?,
        from: name(map.from),
        to: name(map.to),
    })
}

/// The record of a draft.
pub(super) fn drafted(draft: &LifecycleDraft) -> Vec<u8> {
    let LifecycleDraft {
        text,
        drafted_sec,
        by,
        answer,
    } = draft;
    proto::LifecycleDrafted {
        text: text.clone(),
        drafted_sec: drafted_sec.get(),
        drafted_by: by.as_deref().map(str::to_owned),
        answer: answer.as_ref().map(answer_to_record),
    }
    .encode_to_vec()
}

/// A draft that was kept or discarded.
///
/// # Errors
/// [`RecordError`].
pub fn decode_draft(public: &[u8]) -> Result<LifecycleDraft, RecordError> {
    let proto::LifecycleDrafted {
        text,
        drafted_sec,
        drafted_by,
        answer,
    } = message(public)?;
    Ok(LifecycleDraft {
        text,
        drafted_sec: EpochSeconds::new(drafted_sec),
        by: drafted_by.map(Arc::from),
        answer: answer.map(answer_from_record).transpose()?,
    })
}

/// The record of an attempt at a step.
pub(super) fn step_retried(retry: &StepRetry, key: &OrderKey) -> Vec<u8> {
    let StepRetry {
        // The key says it, in fewer bytes.
        order: _,
        step,
        step_due_sec,
        attempts,
        due_sec,
        error,
    } = retry;
    proto::StepRetried {
        order_key: key.0.to_vec(),
        step: u32::from(*step),
        step_due_sec: step_due_sec.get(),
        attempts: *attempts,
        due_sec: due_sec.get(),
        error: error.clone(),
    }
    .encode_to_vec()
}

/// An attempt at a step that has ended without an outcome.
///
/// # Errors
/// [`RecordError`].
pub fn decode_step_retried(public: &[u8]) -> Result<StepRetry, RecordError> {
    let proto::StepRetried {
        order_key,
        step,
        step_due_sec,
        attempts,
        due_sec,
        error,
    } = message(public)?;
    Ok(StepRetry {
        order: order_id(&order_key)?,
        step: small("step", step)?,
        step_due_sec: EpochSeconds::new(step_due_sec),
        attempts,
        due_sec: EpochSeconds::new(due_sec),
        error,
    })
}
