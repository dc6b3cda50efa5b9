//! From the outcome of a run to the update that goes on record.

use std::sync::Arc;

use domain::lifecycle::{Definition, Effect, Entity, Name, OrderPart, OrderTree, RunOutcome};
use store::{
    EmittedEvent, HistoryEntry, OrderUpdate, RequestAnswer, SkippedChange, StateChange,
    UpdateCause, UpdateTexts,
};

use super::present::PresentOrder;

/// Why an order changes, for the record.
pub(super) struct Occasion {
    pub(super) cause: UpdateCause,
    pub(super) actor: Option<Arc<str>>,
    pub(super) texts: UpdateTexts,
    pub(super) answer: Option<RequestAnswer>,
}

impl PresentOrder<'_> {
    /// The update after `revision` others.
    pub(super) fn update(
        &self,
        revision: u32,
        outcome: RunOutcome,
        occasion: Occasion,
    ) -> OrderUpdate {
        let definition = self.lifecycle.definition();
        let released_items = released_items(&outcome);
        let mut released = Vec::new();
        for item in &released_items {
            let claims = self.claims.get(usize::from(*item));
            released.extend(claims.into_iter().flatten().cloned());
        }
        let entries = outcome.tree.ledger.entries().iter();
        let ledger = entries.skip(self.tree.ledger.entries().len());
        let entry = HistoryEntry {
            cause: occasion.cause,
            actor: occasion.actor,
            lifecycle: self.lifecycle.number(),
            changes: changes(definition, &self.tree, &outcome),
            skipped: skipped(definition, &outcome),
            events: events(definition, &outcome),
            ledger: ledger.copied().collect(),
            released_items,
            texts: occasion.texts,
        };
        OrderUpdate {
            order: self.placed.order.id.clone(),
            // Saturates after four billion updates of one order, which the store then rejects as stale.
            revision: revision.saturating_add(1),
            updated_sec: self.now,
            tree: definition.named(outcome.tree),
            entry,
            released,
            answer: occasion.answer,
        }
    }
}

fn released_items(outcome: &RunOutcome) -> Vec<u16> {
    let mut items = Vec::new();
    for effect in &outcome.effects {
        if let Effect::Release { item } = effect {
            items.push(*item);
        }
    }
    items
}

/// The states that parts have left and entered. A part that is new comes from none, before its first transition.
fn changes(definition: &Definition, before: &OrderTree, outcome: &RunOutcome) -> Vec<StateChange> {
    let mut new = new_parts(before, &outcome.tree);
    let mut changes = Vec::with_capacity(new.len() + outcome.transitions.len());
    let begins = |part: OrderPart| StateChange {
        part,
        from: Name::from(""),
        to: definition.name_of(part.entity, definition.entity(part.entity).start),
    };
    for moved in &outcome.transitions {
        if let Some(at) = new.iter().position(|part| *part == moved.part) {
            changes.push(begins(new.remove(at)));
        }
        changes.push(StateChange {
            part: moved.part,
            from: definition.name_of(moved.part.entity, moved.from),
            to: definition.name_of(moved.part.entity, moved.to),
        });
    }
    changes.extend(new.into_iter().map(begins));
    changes
}

/// The parts that an order did not have before.
fn new_parts(before: &OrderTree, after: &OrderTree) -> Vec<OrderPart> {
    let mut parts = Vec::new();
    for (entity, known, count) in [
        (
            Entity::Fulfillment,
            before.fulfillments.len(),
            after.fulfillments.len(),
        ),
        (Entity::Refund, before.refunds.len(), after.refunds.len()),
    ] {
        // As many as can be numbered: there are no others.
        for index in (0..u16::MAX).take(count).skip(known) {
            parts.push(OrderPart { entity, index });
        }
    }
    parts
}

fn skipped(definition: &Definition, outcome: &RunOutcome) -> Vec<SkippedChange> {
    let skipped = outcome.skipped.iter();
    skipped
        .map(|skipped| SkippedChange {
            part: skipped.part,
            to: skipped
                .to
                .map(|to| definition.name_of(skipped.part.entity, to)),
            reason: skipped.why,
        })
        .collect()
}

fn events(definition: &Definition, outcome: &RunOutcome) -> Vec<EmittedEvent> {
    let mut events = Vec::new();
    for effect in &outcome.effects {
        let Effect::Emit {
            event,
            part,
            params,
        } = effect
        else {
            continue;
        };
        // An event of another definition is a bug of the interpreter, and has no name to be told by.
        if let Some(name) = definition.events.get(event.index()) {
            events.push(EmittedEvent {
                name: name.clone(),
                part: *part,
                params: params.as_deref().unwrap_or_default().to_vec(),
            });
        }
    }
    events
}
