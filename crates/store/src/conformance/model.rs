//! What a store is to answer, computed in the simplest way.

use std::collections::{BTreeMap, BTreeSet};

use super::driver::Driver;
use crate::{
    BegunOrder, ErasureAnswer, HoldId, HoldRecord, HoldState, LifecycleChange, LifecycleRevision,
    NamedClaim, NamedSlot, OrderUpdate, PaymentIntent, PlacedOrder, Precondition, PriceBook,
    PriceEntry, Recovered, Replay, Selection, SlotBlock, StateCount, StatesInUse, StepRetry,
    StoredHold, StoredOrder, UnitOfWork, UpdateTexts, Write,
};
use domain::{
    ids::{MerchantId, ServiceId, TicketId, Token, UserId},
    lifecycle::{Entity, Name, NamedTree},
    order::{Customer, Order, OrderId},
    time::EpochSeconds,
};

type PriceKey = (MerchantId, ServiceId, Option<TicketId>);

/// Contents of a store.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// In the order of their commits.
    orders: Vec<PlacedOrder>,
    /// In the order of their commits.
    updates: Vec<OrderUpdate>,
    /// In the order of their commits.
    blocks: Vec<SlotBlock>,
    /// The newest attempt at each step.
    retried: BTreeMap<(OrderId, u16), StepRetry>,
    /// In the order of their commits.
    lifecycle: Vec<LifecycleChange>,
    /// In the order of their commits.
    erasure_answers: Vec<ErasureAnswer>,
    holds: BTreeMap<HoldId, StoredHold>,
    pending: BTreeMap<Token, PaymentIntent>,
    /// The last payments that ended without an order.
    failed: BTreeMap<Token, u32>,
    prices: BTreeMap<PriceKey, PriceEntry>,
    forgotten: Option<EpochSeconds>,
}

/// [`Recovered`] with everything in one order.
#[derive(Debug, PartialEq)]
pub(super) struct SortedContents {
    orders: u64,
    sold: Vec<(String, u32)>,
    updated: Vec<OrderUpdate>,
    begun: Vec<BegunOrder>,
    retried: Vec<StepRetry>,
    lifecycle: Vec<LifecycleRevision>,
    draft: Option<String>,
    pending: Vec<PaymentIntent>,
    holds: Vec<HoldRecord>,
    blocks: Vec<SlotBlock>,
    prices: Vec<PriceEntry>,
    newest_order_sec: Option<EpochSeconds>,
    slots_forgotten_until: Option<EpochSeconds>,
}

/// What was recovered, in one order.
pub(super) fn sorted(recovered: &Recovered) -> SortedContents {
    let Recovered {
        orders,
        sold,
        updated,
        begun,
        retried,
        lifecycle,
        draft,
        pending,
        holds,
        blocks,
        prices: PriceBook { entries: prices },
        newest_order_sec,
        slots_forgotten_until,
    } = recovered;
    let mut contents = SortedContents {
        orders: *orders,
        sold: sold
            .iter()
            .map(|claim| (slot_of(claim), claim.count))
            .collect(),
        updated: updated.clone(),
        begun: begun.clone(),
        retried: retried.clone(),
        lifecycle: lifecycle.clone(),
        draft: draft.clone(),
        pending: pending.clone(),
        holds: holds.clone(),
        blocks: blocks.clone(),
        prices: prices.clone(),
        newest_order_sec: *newest_order_sec,
        slots_forgotten_until: *slots_forgotten_until,
    };
    contents.sold.sort();
    contents
        .updated
        .sort_by(|left, right| left.order.cmp(&right.order));
    contents
        .begun
        .sort_by(|left, right| left.order.cmp(&right.order));
    contents
        .retried
        .sort_by_key(|retry| (retry.order.clone(), retry.step));
    contents
        .pending
        .sort_by(|left, right| left.token.cmp(&right.token));
    contents.holds.sort_by_key(|hold| hold.id);
    contents
        .blocks
        .sort_by(|left, right| left.slot.cmp(&right.slot));
    contents.prices.sort_by_key(price_key);
    contents
}

/// Slot and ticket type of a claim.
fn slot_of(claim: &NamedClaim) -> String {
    let slot = NamedClaim {
        count: 0,
        ..claim.clone()
    };
    format!("{slot:?}")
}

fn price_key(entry: &PriceEntry) -> PriceKey {
    let ids = (&entry.merchant_id, &entry.service_id);
    (ids.0.clone(), ids.1.clone(), entry.ticket_id.clone())
}

/// Whether an order has a claim on a slot that is selected.
fn has_claim(placed: &PlacedOrder, selection: &Selection) -> bool {
    placed.claims.iter().any(|claim| match selection {
        Selection::Slot(slot) => {
            let duration_sec = slot.duration_sec.unwrap_or(claim.duration_sec);
            (
                &slot.merchant_id,
                &slot.service_id,
                slot.start_sec,
                duration_sec,
            ) == (
                &claim.merchant_id,
                &claim.service_id,
                claim.start_sec,
                claim.duration_sec,
            )
        }
        Selection::Visit { from, until } => *from <= claim.start_sec && claim.start_sec < *until,
        Selection::User(_) | Selection::Created { .. } | Selection::Ids(_) => false,
    })
}

impl Model {
    /// Whether what a unit requires is so.
    pub(super) fn meets(&self, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::NewRequest(key) => {
                let id = key.order_id();
                self.orders.iter().all(|placed| placed.order.id != id)
            }
            Precondition::HoldRevision { id, revision } => self.revision(*id) == *revision,
            Precondition::OrderRevision { order, revision } => {
                self.revision_of(&order.order_id()) == Some(*revision)
            }
            Precondition::LifecycleRevision(number) => self.lifecycle_revision() == *number,
        }
    }

    /// Writes a unit whose preconditions hold.
    pub(super) fn apply(&mut self, unit: &UnitOfWork) {
        for write in &unit.writes {
            self.write(write.clone());
        }
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::OrderPlaced(placed) => {
                if let Some(attempt) = &placed.payment {
                    self.pending.remove(&attempt.intent.token);
                }
                if let Some(id) = placed.hold {
                    self.end_hold(id, HoldState::Consumed);
                }
                self.orders.push(*placed);
            }
            Write::PaymentIntent(intent) => {
                self.pending.insert(intent.token.clone(), intent);
            }
            Write::PaymentEnded(attempt) => {
                self.pending.remove(&attempt.intent.token);
                self.failed
                    .insert(attempt.intent.token, attempt.intent.attempt);
            }
            Write::HoldPlaced(mut hold) => {
                hold.lines.iter_mut().for_each(|line| line.answers = None);
                let (hold, state) = (*hold, HoldState::Active);
                self.holds.insert(hold.id, StoredHold { hold, state });
            }
            Write::HoldReleased {
                id,
                released_sec,
                reason,
            } => {
                let state = HoldState::Released {
                    released_sec,
                    reason,
                };
                self.end_hold(id, state);
            }
            Write::Prices(book) => {
                let entries = book.entries.into_iter();
                self.prices
                    .extend(entries.map(|entry| (price_key(&entry), entry)));
            }
            Write::SlotsForgotten(until) => self.forgotten = self.forgotten.max(Some(until)),
            Write::OrderUpdated(update) => self.updates.push(*update),
            Write::Blocked(block) => self.blocks.push(*block),
            Write::StepRetried(retry) => {
                self.retried
                    .insert((retry.order.clone(), retry.step), *retry);
            }
            Write::Lifecycle(revision) => {
                self.lifecycle.push(LifecycleChange::Published(*revision));
            }
            Write::LifecycleDraft(draft) => self.lifecycle.push(LifecycleChange::Drafted(*draft)),
            Write::ErasureAnswered(answer) => self.erasure_answers.push(answer),
        }
    }

    /// The revisions of the lifecycle, oldest first.
    fn revisions(&self) -> Vec<LifecycleRevision> {
        let mut revisions = Vec::new();
        for change in &self.lifecycle {
            if let LifecycleChange::Published(revision) = change {
                revisions.push(revision.clone());
            }
        }
        revisions
    }

    /// The number of the newest revision of the lifecycle; 0 if there is none.
    pub(super) fn lifecycle_revision(&self) -> u32 {
        self.revisions()
            .last()
            .map_or(0, |revision| revision.number)
    }

    fn draft(&self) -> Option<String> {
        let mut newest_first = self.lifecycle.iter().rev();
        newest_first.find_map(|change| match change {
            LifecycleChange::Drafted(draft) => Some(draft.text.clone()),
            LifecycleChange::Published(_) => None,
        })?
    }

    /// The newest attempts at the steps that are open.
    fn open_retries(&self) -> Vec<StepRetry> {
        let mut open = Vec::new();
        for ((order, step), retry) in &self.retried {
            let (steps, _) = self.steps_of(order);
            if steps.contains(step) {
                open.push(retry.clone());
            }
        }
        open
    }

    /// The steps of an order that are open, and how often it was updated.
    pub(super) fn steps_of(&self, order: &OrderId) -> (Vec<u16>, u32) {
        let newest = self.updates_of(order).next();
        let mut placed = self.orders.iter().filter(|it| it.order.id == *order);
        let begun = placed.next().and_then(|placed| placed.begun.as_deref());
        let tree = newest.map(|newest| &newest.tree).or(begun);
        let steps = tree.into_iter().flat_map(|tree| &tree.steps);
        let revision = newest.map_or(0, |newest| newest.revision);
        (steps.map(|step| step.number).collect(), revision)
    }

    fn states_in_use(&self) -> StatesInUse {
        let mut unchanged = 0;
        let mut counts: BTreeMap<(u32, Entity, Name), BTreeSet<&OrderId>> = BTreeMap::new();
        let mut order_states: BTreeMap<(u32, Name), u64> = BTreeMap::new();
        for placed in &self.orders {
            let newest = self.updates_of(&placed.order.id).next();
            let newest = newest.map(|newest| (newest.entry.lifecycle, &newest.tree));
            let begun = placed.begun.as_deref().map(|tree| (placed.lifecycle, tree));
            let Some((decided_by, tree)) = newest.or(begun) else {
                unchanged += 1;
                continue;
            };
            let own = (decided_by, tree.state.clone());
            *order_states.entry(own).or_default() += 1;
            let mut states = vec![(Entity::Order, &tree.state)];
            states.extend(tree.items.iter().map(|it| (Entity::LineItem, &it.state)));
            let timers = tree.timers.iter();
            states.extend(timers.map(|timer| (timer.part.entity, &timer.to)));
            for (entity, state) in states {
                let key = (decided_by, entity, state.clone());
                counts.entry(key).or_default().insert(&placed.order.id);
            }
        }
        let counts = counts.into_iter();
        let counts = counts.map(|((lifecycle, entity, state), orders)| StateCount {
            lifecycle,
            entity,
            state,
            orders: orders.len() as u64,
        });
        let order_states = order_states.into_iter();
        let order_states = order_states.map(|((lifecycle, state), orders)| StateCount {
            lifecycle,
            entity: Entity::Order,
            state,
            orders,
        });
        StatesInUse {
            placed: unchanged,
            counts: counts.collect(),
            order_states: order_states.collect(),
        }
    }

    fn end_hold(&mut self, id: HoldId, state: HoldState) {
        self.holds.get_mut(&id).unwrap().state = state;
    }

    /// The updates of an order, newest first.
    fn updates_of(&self, order: &OrderId) -> impl Iterator<Item = &OrderUpdate> {
        let newest_first = self.updates.iter().rev();
        newest_first.filter(move |update| update.order == *order)
    }

    /// The blocks of a slot, newest first; none of one that is forgotten.
    fn blocks_of(&self, slot: &NamedSlot) -> Vec<SlotBlock> {
        let is_forgotten = self.forgotten.is_some_and(|until| slot.end_sec() < until);
        let newest_first = self.blocks.iter().rev();
        newest_first
            .filter(|block| block.slot == *slot && !is_forgotten)
            .cloned()
            .collect()
    }

    /// The blocks in force, by their slots.
    fn blocks_in_force(&self) -> Vec<SlotBlock> {
        let slots: BTreeSet<_> = self.blocks.iter().map(|block| &block.slot).collect();
        let mut in_force = Vec::new();
        for slot in slots {
            let newest = self.blocks_of(slot).into_iter().next();
            in_force.extend(newest.filter(|newest| newest.spots.is_any()));
        }
        in_force
    }

    /// Fails unless every slot that was ever blocked has its blocks.
    fn assert_blocks(&self, driver: &Driver<'_>) {
        let slots: BTreeSet<_> = self.blocks.iter().map(|block| &block.slot).collect();
        for slot in slots {
            assert_eq!(driver.blocks(slot), self.blocks_of(slot), "{slot:?}");
        }
    }

    /// How often an order was updated; `None` for an unknown one.
    pub(super) fn revision_of(&self, order: &OrderId) -> Option<u32> {
        let is_known = self.orders.iter().any(|placed| placed.order.id == *order);
        let newest = self.updates_of(order).next();
        is_known.then(|| newest.map_or(0, |update| update.revision))
    }

    /// The claims of an order that no update has given back.
    pub(super) fn unreleased(&self, order: &OrderId) -> Vec<NamedClaim> {
        let placed = self.orders.iter().find(|placed| placed.order.id == *order);
        let mut claims = placed.map_or_else(Vec::new, |placed| placed.claims.clone());
        for released in self.updates_of(order).flat_map(|update| &update.released) {
            let at = claims.iter().position(|claim| claim == released);
            claims.swap_remove(at.unwrap());
        }
        claims
    }

    fn order_of(&self, token: &Token) -> Option<&PlacedOrder> {
        self.orders.iter().find(|placed| placed.token == *token)
    }

    /// The revision of a hold that has not ended; otherwise 0.
    pub(super) fn revision(&self, id: HoldId) -> u32 {
        let stored = self
            .holds
            .get(&id)
            .filter(|stored| stored.state == HoldState::Active);
        stored.map_or(0, |stored| stored.hold.revision)
    }

    /// Erases a user, and says of how many orders.
    pub(super) fn erase(&mut self, user_id: &UserId) -> u64 {
        let mut erased = 0;
        for placed in &mut self.orders {
            if placed.order.customer.user_id != *user_id {
                continue;
            }
            placed.order.customer = Customer::of("");
            for item in &mut placed.order.items {
                item.line.answers = None;
            }
            for update in &mut self.updates {
                if update.order == placed.order.id {
                    update.entry.texts = UpdateTexts::default();
                }
            }
            erased += 1;
        }
        erased
    }

    /// The intent of this token's payment, if that has not ended.
    pub(super) fn pending(&self, token: &Token) -> Option<&PaymentIntent> {
        self.pending.get(token)
    }

    fn count(&self) -> u64 {
        self.orders.len().try_into().unwrap()
    }

    /// What the store recovers when it is opened.
    pub(super) fn recovered(&self) -> SortedContents {
        let mut sold = BTreeMap::<_, u32>::new();
        for claim in self.orders.iter().flat_map(|placed| &placed.claims) {
            let total = sold.entry(slot_of(claim)).or_default();
            *total = total.saturating_add(claim.count);
        }
        for claim in self.updates.iter().flat_map(|update| &update.released) {
            let total = sold.get_mut(&slot_of(claim)).unwrap();
            *total = total.saturating_sub(claim.count);
        }
        sold.retain(|_, count| *count > 0);
        let active = self
            .holds
            .values()
            .filter(|stored| stored.state == HoldState::Active);
        SortedContents {
            orders: self.count(),
            sold: sold.into_iter().collect(),
            updated: self.updated(),
            begun: self.begun(),
            retried: self.open_retries(),
            lifecycle: self.revisions(),
            draft: self.draft(),
            pending: self.pending.values().cloned().collect(),
            holds: active.map(|stored| stored.hold.clone()).collect(),
            blocks: self.blocks_in_force(),
            prices: self.prices.values().cloned().collect(),
            newest_order_sec: self.orders.iter().map(|placed| placed.created_sec).max(),
            slots_forgotten_until: self.forgotten,
        }
    }

    /// The newest updates of the orders that have timers or steps, by the id of the order.
    fn updated(&self) -> Vec<OrderUpdate> {
        let mut updated = Vec::new();
        for placed in &self.orders {
            let newest = self.updates_of(&placed.order.id).next();
            updated.extend(newest.filter(|newest| newest.tree.has_work()).cloned());
        }
        for update in &mut updated {
            update.entry.texts = UpdateTexts::default();
        }
        updated.sort_by(|left, right| left.order.cmp(&right.order));
        updated
    }

    /// The orders that began with timers or steps, and were not updated since, by id.
    fn begun(&self) -> Vec<BegunOrder> {
        let mut begun = Vec::new();
        for placed in &self.orders {
            let order = placed.order.id.clone();
            let is_updated = self.updates_of(&order).next().is_some();
            if let Some(tree) = &placed.begun
                && tree.has_work()
                && !is_updated
            {
                let tree = NamedTree::clone(tree);
                begun.push(BegunOrder { order, tree });
            }
        }
        begun.sort_by(|left, right| left.order.cmp(&right.order));
        begun
    }

    /// Fails unless the store answers all questions about these ids as the model does.
    pub(super) fn assert_answers(
        &self,
        driver: &Driver<'_>,
        tokens: &[Token],
        users: &[UserId],
        holds: &[HoldId],
    ) {
        for token in tokens {
            let replay = self.order_of(token).map(|placed| Replay {
                fingerprint: placed.fingerprint,
                created_by: placed.created_by.clone(),
                order: placed.order.clone(),
            });
            assert_eq!(driver.request(token.as_str()), replay, "{token}");
            let failed = self.failed.get(token).copied().unwrap_or(0);
            assert_eq!(driver.failed_attempts(token.as_str()), failed, "{token}");
            self.assert_updates(driver, token);
        }
        for id in holds {
            assert_eq!(driver.hold(*id).as_ref(), self.holds.get(id), "{id}");
        }
        for user in users {
            self.assert_lists(driver, &Selection::User(user.clone()));
        }
        self.assert_blocks(driver);
        assert_eq!(driver.store().stats().orders, self.count());
        let mut changes = self.lifecycle.clone();
        changes.reverse();
        assert_eq!(driver.lifecycle_changes(), changes);
        let mut answers = self.erasure_answers.clone();
        answers.reverse();
        assert_eq!(driver.erasure_answers(), answers);
        let in_use = self.states_in_use();
        let placed = driver.store().placed_by_revision().unwrap();
        assert_eq!(placed.into_values().sum::<u64>(), in_use.placed);
        assert_eq!(driver.store().states_in_use(), in_use);
    }

    /// Fails unless an order stands as in the model, and has the same history.
    fn assert_updates(&self, driver: &Driver<'_>, token: &Token) {
        let id = driver.id(token.as_str());
        let history: Vec<_> = self.updates_of(&id).cloned().collect();
        let stored = self.order_of(token).map(|placed| StoredOrder {
            placed: placed.clone(),
            update: history.first().cloned(),
        });
        assert_eq!(driver.stored(&id), stored, "{token}");
        assert_eq!(driver.history(&id), history, "{token}");
    }

    /// Fails unless the store lists what the model lists.
    pub(super) fn assert_lists(&self, driver: &Driver<'_>, selection: &Selection) {
        let may_see = |order: crate::Provenance<'_>| order.created_by != Some("hidden");
        let found = super::driver::listed_orders(&**driver.store(), selection, &may_see).unwrap();
        let mut listed: Vec<(&Order, Option<&OrderUpdate>)> = Vec::new();
        for order in &found {
            listed.push((&order.order, order.update.as_ref()));
        }
        let mut expected: Vec<(&Order, Option<&OrderUpdate>)> = Vec::new();
        for placed in self.selected(selection) {
            if placed.created_by.as_deref() != Some("hidden") {
                let newest = self.updates_of(&placed.order.id).next();
                expected.push((&placed.order, newest));
            }
        }
        assert_eq!(listed, expected, "{selection:?}");
    }

    fn selected(&self, selection: &Selection) -> Vec<&PlacedOrder> {
        let newest_first = self.orders.iter().rev();
        match selection {
            Selection::User(user) => newest_first
                .filter(|placed| placed.order.customer.user_id == *user)
                .collect(),
            Selection::Created { from, until } => newest_first
                .filter(|placed| (*from..*until).contains(&placed.created_sec))
                .collect(),
            Selection::Slot(_) | Selection::Visit { .. } => newest_first
                .filter(|placed| has_claim(placed, selection))
                .collect(),
            Selection::Ids(ids) => {
                let mut seen: Vec<&OrderId> = Vec::new();
                let mut selected = Vec::new();
                for id in ids {
                    let placed = self.orders.iter().find(|placed| placed.order.id == *id);
                    if !seen.contains(&id) {
                        selected.extend(placed);
                        seen.push(id);
                    }
                }
                selected
            }
        }
    }
}
