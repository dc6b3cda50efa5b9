//! An order as it stands, in the terms of the lifecycle in force.

use domain::{
    lifecycle::{ItemFacts, OrderTree, RunOutcome, Spots, Trigger, run_all},
    order::LineItem,
    time::EpochSeconds,
};
use store::{ListedOrder, NamedClaim, NamedSlot, PlacedOrder, StoredOrder};

use super::error::ChangeError;
use crate::{
    App, OrderError,
    begin::{confirmations, facts},
    lifecycle::ActiveLifecycle,
};

/// An order with everything that a decision on it needs.
pub(super) struct PresentOrder<'a> {
    pub(super) lifecycle: &'a ActiveLifecycle,
    pub(super) placed: &'a PlacedOrder,
    pub(super) tree: OrderTree,
    /// The spots of each item.
    pub(super) claims: Vec<Vec<NamedClaim>>,
    pub(super) now: EpochSeconds,
    items: Vec<ItemFacts<'a>>,
}

impl<'a> PresentOrder<'a> {
    /// The order on record, at this moment.
    pub(super) fn new(
        app: &App,
        lifecycle: &'a ActiveLifecycle,
        stored: &'a StoredOrder,
    ) -> Result<Self, ChangeError> {
        let placed = &stored.placed;
        let claims = claims_by_item(placed);
        let mut items = Vec::with_capacity(claims.len());
        let booked = placed.order.items.iter().zip(confirmations(placed));
        for ((booked, confirmation), claims) in booked.zip(&claims) {
            let line = &booked.line;
            items.push(ItemFacts {
                service: &line.service_id,
                start: line.start_sec,
                end: line.start_sec.saturating_add(line.duration_sec),
                spots: claims.iter().map(|claim| claim.count).sum(),
                spots_open: app.spots_open(&placed.order.merchant_id, line),
                confirmation,
                answers: line.answers.as_deref().unwrap_or_default(),
            });
        }
        let tree = match (&stored.update, placed.begun.as_deref()) {
            (Some(update), _) => {
                let tree = lifecycle.renamed(update.entry.lifecycle, update.tree.clone());
                lifecycle.definition().interned(tree)?
            }
            (None, Some(begun)) => {
                let tree = lifecycle.renamed(placed.lifecycle, begun.clone());
                lifecycle.definition().interned(tree)?
            }
            (None, None) => lifecycle.as_placed(placed)?,
        };
        if tree.items.len() != items.len() {
            return Err(OrderError::Unreadable.into());
        }
        Ok(Self {
            lifecycle,
            placed,
            tree,
            claims,
            now: app.now(),
            items,
        })
    }

    /// What becomes of the order by these triggers.
    pub(super) fn after(&self, triggers: Vec<Trigger>) -> Result<RunOutcome, ChangeError> {
        let definition = self.lifecycle.definition();
        let facts = facts(self.placed, &self.items, self.now);
        run_all(definition, self.tree.clone(), triggers, &facts)
            .map_err(|refused| ChangeError::refused(&refused, definition))
    }
}

/// The items of an order that hold spots of a slot, by index.
pub(crate) fn items_of(listed: &ListedOrder, slot: &NamedSlot) -> Vec<u32> {
    let mut items = Vec::new();
    for (index, booked) in (0_u32..).zip(&listed.order.items) {
        let state = listed
            .tree()
            .and_then(|tree| tree.items.get(index as usize));
        let is_held = state.is_none_or(|item| item.spots == Spots::Held);
        if is_held && is_in(&booked.line, slot) {
            items.push(index);
        }
    }
    items
}

/// The spots of a slot that an order takes and has not given back.
pub(crate) fn held_spots(stored: &StoredOrder, slot: &NamedSlot) -> u64 {
    let placed = &stored.placed;
    let tree = stored.tree();
    let mut spots = 0;
    for (index, claims) in claims_by_item(placed).iter().enumerate() {
        let state = tree.and_then(|tree| tree.items.get(index));
        if state.is_some_and(|item| item.spots != Spots::Held) {
            continue;
        }
        let of_slot = claims.iter().filter(|claim| {
            (claim.start_sec, claim.duration_sec) == (slot.start_sec, slot.duration_sec)
                && claim.service_id == slot.service_id
        });
        spots += of_slot.map(|claim| u64::from(claim.count)).sum::<u64>();
    }
    spots
}

fn is_in(line: &LineItem, slot: &NamedSlot) -> bool {
    line.service_id == slot.service_id
        && line.start_sec == slot.start_sec
        && line.duration_sec == domain::time::Seconds::from(slot.duration_sec)
}

/// The recorded spots of each item. Claims are recorded item by item, so the first that fits and is not another item's
/// yet is the one.
fn claims_by_item(placed: &PlacedOrder) -> Vec<Vec<NamedClaim>> {
    let mut left: Vec<Option<&NamedClaim>> = placed.claims.iter().map(Some).collect();
    let items = placed.order.items.iter();
    items
        .map(|item| take_claims(&mut left, &item.line))
        .collect()
}

fn take_claims(left: &mut [Option<&NamedClaim>], line: &LineItem) -> Vec<NamedClaim> {
    let mut tickets: Vec<Option<&domain::ids::TicketId>> = Vec::new();
    for ticket in &line.tickets {
        if !tickets.contains(&Some(&ticket.ticket_id)) {
            tickets.push(Some(&ticket.ticket_id));
        }
    }
    if tickets.is_empty() {
        // An appointment.
        tickets.push(None);
    }
    let mut taken = Vec::with_capacity(tickets.len());
    for ticket in tickets {
        let found = left.iter_mut().find(|claim| {
            claim.is_some_and(|claim| is_for(claim, line) && claim.ticket_id.as_ref() == ticket)
        });
        if let Some(claim) = found.and_then(Option::take) {
            taken.push(claim.clone());
        }
    }
    taken
}

fn is_for(claim: &NamedClaim, line: &LineItem) -> bool {
    claim.service_id == line.service_id
        && claim.start_sec == line.start_sec
        && domain::time::Seconds::from(claim.duration_sec) == line.duration_sec
}
