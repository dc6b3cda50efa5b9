//! Updates of orders to records, and back. Updates are few beside orders, so they go through the generated messages.

use std::sync::Arc;

use domain::{lifecycle::NamedTree, money::Currency, order::OrderId, time::EpochSeconds};
use prost::Message;

use super::{
    RecordError,
    decode::{decode_fingerprint, decode_order_key, message, out_of_range, slot_claims},
    proto,
};
use crate::{
    EmittedEvent, HistoryEntry, NamedClaim, OrderKey, OrderUpdate, RequestAnswer, SkippedChange,
    StateChange, UpdateTexts,
};
pub(super) use tree::{each, name, part_from_record, text};
use tree::{
    entries_from_record, entry_to_record, information_from_record, information_to_record,
    part_to_record,
};
pub(super) use variants::Mirrored;

#[cfg(test)]
mod tests;
mod tree;
mod variants;

/// The two parts of the record of an update: without and with what people have written.
pub(super) fn encode(update: &OrderUpdate, key: &OrderKey) -> (Vec<u8>, Vec<u8>) {
    let OrderUpdate {
        order: _,
        revision,
        updated_sec,
        tree,
        entry,
        released,
        answer,
    } = update;
    let public = proto::OrderUpdated {
        order_key: key.0.to_vec(),
        revision: *revision,
        updated_sec: updated_sec.get(),
        tree: Some(tree::to_record(tree)),
        entry: Some(entry_of_history(entry)),
        released: released.iter().map(claim_to_record).collect(),
        answer: answer.as_ref().map(answer_to_record),
    };
    let personal = proto::UpdateTexts {
        note: entry.texts.note.clone(),
        reason: entry.texts.reason.clone(),
    };
    (public.encode_to_vec(), personal.encode_to_vec())
}

/// An update of an order. `personal` is `None` if it was erased; then nothing is left of what people have written.
///
/// # Errors
/// [`RecordError`].
pub fn decode_update(public: &[u8], personal: Option<&[u8]>) -> Result<OrderUpdate, RecordError> {
    let proto::OrderUpdated {
        order_key,
        revision,
        updated_sec,
        tree,
        entry,
        released,
        answer,
    } = message(public)?;
    let texts = match personal {
        Some(personal) => message(personal)?,
        None => proto::UpdateTexts::default(),
    };
    let tree = tree::from_record(tree.ok_or(RecordError::Missing("order"))?)?;
    let entry = entry.ok_or(RecordError::Missing("history entry"))?;
    let entry = history_entry(entry, texts, tree.ledger.due().currency())?;
    Ok(OrderUpdate {
        order: order_id(&order_key)?,
        revision,
        updated_sec: EpochSeconds::new(updated_sec),
        tree,
        entry,
        released: slot_claims(released),
        answer: answer.map(answer_from_record).transpose()?,
    })
}

/// An order as it stands, as a message of its own.
pub(super) fn encode_tree(tree: &NamedTree) -> Vec<u8> {
    tree::to_record(tree).encode_to_vec()
}

/// An order as it stands, from a message of its own.
pub(super) fn decode_tree(bytes: &[u8]) -> Result<NamedTree, RecordError> {
    tree::from_record(message(bytes)?)
}

pub(super) fn order_id(key: &[u8]) -> Result<OrderId, RecordError> {
    Ok(decode_order_key(key)?.order_id())
}

/// A number that fits 16 bits.
pub(super) fn small(field: &'static str, number: u32) -> Result<u16, RecordError> {
    u16::try_from(number).map_err(|_| out_of_range(field, number))
}

/// The variant of a number on record.
pub(super) fn variant<T: Mirrored>(number: i32) -> Result<T, RecordError> {
    T::from_number(number).ok_or_else(|| out_of_range(T::FIELD, number))
}

fn claim_to_record(claim: &NamedClaim) -> proto::SlotClaim {
    let ticket_id = claim.ticket_id.as_ref();
    proto::SlotClaim {
        merchant_id: claim.merchant_id.as_str().to_owned(),
        service_id: claim.service_id.as_str().to_owned(),
        start_sec: claim.start_sec.get(),
        duration_sec: claim.duration_sec.into(),
        ticket_id: ticket_id.map(|id| id.as_str().to_owned()),
        count: claim.count,
    }
}

pub(super) fn answer_to_record(answer: &RequestAnswer) -> proto::RequestAnswer {
    proto::RequestAnswer {
        request_id: answer.request_id.clone(),
        fingerprint: answer.fingerprint.to_vec(),
    }
}

pub(super) fn answer_from_record(
    answer: proto::RequestAnswer,
) -> Result<RequestAnswer, RecordError> {
    Ok(RequestAnswer {
        request_id: answer.request_id,
        fingerprint: decode_fingerprint(&answer.fingerprint)?,
    })
}

fn entry_of_history(entry: &HistoryEntry) -> proto::HistoryEntry {
    let HistoryEntry {
        cause,
        actor,
        lifecycle,
        changes,
        skipped,
        events,
        ledger,
        released_items,
        texts: _,
    } = entry;
    let changes = changes.iter().map(|change| proto::StateChange {
        part: Some(part_to_record(change.part)),
        from: text(&change.from),
        to: text(&change.to),
    });
    let skipped = skipped.iter().map(|skipped| proto::SkippedChange {
        part: Some(part_to_record(skipped.part)),
        to: skipped.to.as_ref().map(text),
        reason: skipped.reason.number(),
    });
    proto::HistoryEntry {
        cause: cause.number(),
        actor: actor.as_deref().map(str::to_owned),
        lifecycle: *lifecycle,
        change: changes.collect(),
        skipped: skipped.collect(),
        event: events.iter().map(event_to_record).collect(),
        ledger: ledger.iter().map(entry_to_record).collect(),
        released_item: released_items.iter().copied().map(u32::from).collect(),
    }
}

fn history_entry(
    entry: proto::HistoryEntry,
    texts: proto::UpdateTexts,
    currency: Currency,
) -> Result<HistoryEntry, RecordError> {
    let changes = each(entry.change, |change| {
        Ok(StateChange {
            part: part_from_record(change.part)?,
            from: name(change.from),
            to: name(change.to),
        })
    });
    let skipped = each(entry.skipped, |skipped| {
        Ok(SkippedChange {
            part: part_from_record(skipped.part)?,
            to: skipped.to.map(name),
            reason: variant(skipped.reason)?,
        })
    });
    Ok(HistoryEntry {
        cause: variant(entry.cause)?,
        actor: entry.actor.map(Arc::from),
        lifecycle: entry.lifecycle,
        changes: changes?,
        skipped: skipped?,
        events: each(entry.event, event_from_record)?,
        ledger: entries_from_record(entry.ledger, currency)?,
        released_items: each(entry.released_item, |item| small("released item", item))?,
        texts: UpdateTexts {
            note: texts.note,
            reason: texts.reason,
        },
    })
}

fn event_to_record(event: &EmittedEvent) -> proto::EmittedEvent {
    let params = event.params.iter().map(|(key, value)| (key, value));
    proto::EmittedEvent {
        name: text(&event.name),
        part: Some(part_to_record(event.part)),
        param: params.map(information_to_record).collect(),
    }
}

fn event_from_record(event: proto::EmittedEvent) -> Result<EmittedEvent, RecordError> {
    Ok(EmittedEvent {
        name: name(event.name),
        part: part_from_record(event.part)?,
        params: each(event.param, information_from_record)?,
    })
}
