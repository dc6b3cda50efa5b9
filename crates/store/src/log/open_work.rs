//! Open work in memory: payments without an outcome, active holds, erasures that are not complete, blocks of slots, and where
//! the newest update of each updated order is; the newest attempts at open steps, the revisions of the lifecycle. Of what has
//! ended there is only where it is in the log: an entry for each payment that ended without an order, and for each hold that
//! ended of late.
//!
//! Every effect of a record is merged by the rules of [`WorkEffects`], whether it comes from a batch that is being
//! written, from the summary of a segment, or from one record after another. An end without a beginning on record is
//! kept, because the beginning may be in an earlier segment.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use domain::time::EpochSeconds;

use super::{
    ended_holds::EndedHolds,
    fact::Fact,
    index::PrefixTable,
    position::Position,
    state_profiles::{ProfileIx, StateProfiles},
};
use crate::{
    HOLD_RETENTION, HoldId, HoldState, ReleaseReason, StateProfile, StatesInUse,
    order_key::{BlockKey, OrderKey},
};

#[cfg(test)]
mod tests;

/// A revision of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HoldPlacement {
    /// Where the record of this revision is.
    pub(super) position: Position,
    /// Which revision, from 1.
    pub(super) revision: u32,
    /// The second at which it ends.
    pub(super) expires_sec: EpochSeconds,
}

/// The end of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HoldEnd {
    /// When.
    pub(super) ended_sec: EpochSeconds,
    /// How.
    pub(super) kind: HoldEndKind,
}

/// How a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HoldEndKind {
    /// It became an order.
    Consumed,
    /// It was released.
    Released(ReleaseReason),
}

impl HoldEndKind {
    /// Its number in memory and on disk, from 1 to 3.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Consumed => 1,
            Self::Released(ReleaseReason::Released) => 2,
            Self::Released(ReleaseReason::Expired) => 3,
        }
    }

    /// The kind of this number.
    pub(super) fn of_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Consumed),
            2 => Some(Self::Released(ReleaseReason::Released)),
            3 => Some(Self::Released(ReleaseReason::Expired)),
            _ => None,
        }
    }
}

impl HoldEnd {
    fn state(self) -> HoldState {
        match self.kind {
            HoldEndKind::Consumed => HoldState::Consumed,
            HoldEndKind::Released(reason) => HoldState::Released {
                released_sec: self.ended_sec,
                reason,
            },
        }
    }
}

/// What records do to a hold: it is placed, or ends, or both, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct HoldEffect {
    pub(super) placed: Option<HoldPlacement>,
    pub(super) end: Option<HoldEnd>,
}

impl HoldEffect {
    /// Both effects, one after the other. A placement replaces everything before it. Of several ends the first one
    /// counts, so a hold that ended and was forgotten is never different from one that ended and was not.
    fn then(self, later: Self) -> Self {
        if later.placed.is_some() {
            return later;
        }
        Self {
            placed: self.placed,
            end: self.end.or(later.end),
        }
    }

    /// The revision of a hold that is active; otherwise 0.
    fn active_revision(&self) -> u32 {
        match self.end {
            None => self.placed.map_or(0, |placement| placement.revision),
            Some(_) => 0,
        }
    }
}

/// The newest update of an order, or its sale if how it began is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UpdateEntry {
    /// Where its record is.
    pub(super) position: Position,
    /// The revision of the order; 0 for its sale.
    pub(super) revision: u32,
    /// Whether the order has timers or steps.
    pub(super) has_work: bool,
}

/// The newest block of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockEntry {
    /// Where its record is.
    pub(super) position: Position,
    /// The second after the slot.
    pub(super) end_sec: EpochSeconds,
    /// Whether any spots are blocked.
    pub(super) is_on: bool,
}

impl BlockEntry {
    /// Whether the slot is not forgotten, and its block with it.
    pub(super) fn is_known(&self, forgotten_until: Option<EpochSeconds>) -> bool {
        Some(self.end_sec) >= forgotten_until
    }
}

impl UpdateEntry {
    fn is_update(&self) -> bool {
        self.revision > 0
    }
}

/// What an update does to its order, or its sale if how it began is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UpdateEffect {
    /// The newest update from now on.
    pub(super) newest: UpdateEntry,
    /// The states that the order is in.
    pub(super) states: Arc<StateProfile>,
}

/// Where the changes of the lifecycle are, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LifecycleEntries {
    /// The revisions with their numbers.
    pub(super) revisions: Vec<(u32, Position)>,
    /// The drafts, discarded ones among them.
    pub(super) drafts: Vec<Position>,
}

impl LifecycleEntries {
    fn extend(&mut self, later: &Self) {
        self.revisions.extend(&later.revisions);
        self.drafts.extend(&later.drafts);
    }

    /// The number of the newest revision; 0 if there is none.
    fn newest(&self) -> u32 {
        self.revisions.last().map_or(0, |(number, _)| *number)
    }

    /// Where all of them are, newest first.
    pub(super) fn newest_first(&self) -> Vec<Position> {
        let mut positions = self.drafts.clone();
        positions.extend(self.revisions.iter().map(|(_, position)| *position));
        positions.sort_unstable();
        positions.reverse();
        positions
    }
}

/// What records do to a payment intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IntentEffect {
    /// It is open, with its record here.
    Opened(Position),
    /// The payment has an outcome.
    Ended,
}

/// What records do to an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErasureEffect {
    /// It begins.
    Begun,
    /// It is complete.
    Completed,
}

/// What a sequence of records does to open work.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct WorkEffects {
    pub(super) intents: BTreeMap<OrderKey, IntentEffect>,
    /// Where the last payment of an order is that ended without it.
    pub(super) ended_payments: BTreeMap<OrderKey, Position>,
    pub(super) holds: BTreeMap<HoldId, HoldEffect>,
    /// By the position of the record with which an erasure began.
    pub(super) erasures: BTreeMap<Position, ErasureEffect>,
    /// The newest update of each order, or its sale if how it began is on record.
    pub(super) updates: BTreeMap<OrderKey, UpdateEffect>,
    /// The newest block of each slot.
    pub(super) blocks: BTreeMap<BlockKey, BlockEntry>,
    /// The latest second up to which slots are forgotten, and their blocks with them.
    pub(super) slots_forgotten_until: Option<EpochSeconds>,
    /// The newest attempt at each step since the last update without work of its order.
    pub(super) retried: BTreeMap<(OrderKey, u16), Position>,
    pub(super) lifecycle: LifecycleEntries,
    /// Where the answers to erasures are, in the order of the log.
    pub(super) erasure_answers: Vec<Position>,
}

impl WorkEffects {
    /// Adds what the next record does.
    pub(super) fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::OrderPlaced(order) => {
                if order.ends_intent {
                    self.intents.insert(order.key, IntentEffect::Ended);
                }
                if let Some(hold) = order.consumes {
                    self.end_hold(hold, order.created_sec, HoldEndKind::Consumed);
                }
                if let Some(begun) = &order.begun {
                    let newest = UpdateEntry {
                        position: order.position,
                        revision: 0,
                        has_work: begun.has_work,
                    };
                    let states = Arc::clone(&begun.states);
                    let effect = UpdateEffect { newest, states };
                    self.updates.insert(order.key, effect);
                }
            }
            Fact::PaymentIntent { key, position } => {
                self.intents.insert(*key, IntentEffect::Opened(*position));
            }
            Fact::PaymentEnded { key, position } => {
                self.intents.insert(*key, IntentEffect::Ended);
                self.ended_payments.insert(*key, *position);
            }
            Fact::HoldPlaced { id, placement } => {
                let placed = Some(*placement);
                self.change_hold(*id, HoldEffect { placed, end: None });
            }
            Fact::HoldReleased {
                id,
                released_sec,
                reason,
            } => self.end_hold(*id, *released_sec, HoldEndKind::Released(*reason)),
            Fact::ErasureBegun { position } => {
                self.erasures.insert(*position, ErasureEffect::Begun);
            }
            Fact::ErasureCompleted { erasure } => {
                self.erasures.insert(*erasure, ErasureEffect::Completed);
            }
            Fact::OrderUpdated(update) => {
                if !update.newest.has_work {
                    let steps = (update.key, 0)..=(update.key, u16::MAX);
                    self.retried.retain(|step, _| !steps.contains(step));
                }
                let effect = UpdateEffect {
                    newest: update.newest,
                    states: Arc::clone(&update.states),
                };
                self.updates.insert(update.key, effect);
            }
            Fact::Blocked { key, newest } => {
                self.blocks.insert(*key, *newest);
            }
            Fact::SlotsForgotten { until } => {
                self.slots_forgotten_until = self.slots_forgotten_until.max(Some(*until));
            }
            Fact::Prices { .. } => {}
            Fact::StepRetried {
                key,
                step,
                position,
            } => {
                self.retried.insert((*key, *step), *position);
            }
            Fact::LifecyclePublished { number, position } => {
                self.lifecycle.revisions.push((*number, *position));
            }
            Fact::LifecycleDrafted { position } => self.lifecycle.drafts.push(*position),
            Fact::ErasureAnswered { position } => self.erasure_answers.push(*position),
        }
    }

    fn end_hold(&mut self, id: HoldId, ended_sec: EpochSeconds, kind: HoldEndKind) {
        let end = Some(HoldEnd { ended_sec, kind });
        self.change_hold(id, HoldEffect { placed: None, end });
    }

    fn change_hold(&mut self, id: HoldId, effect: HoldEffect) {
        let hold = self.holds.entry(id).or_default();
        *hold = hold.then(effect);
    }
}

/// Open work of everything that is durable.
#[derive(Debug, Default)]
pub(super) struct OpenWork {
    state: RwLock<WorkState>,
    /// Where payments are that ended without an order, by the orders that they were for.
    ended_payments: PrefixTable,
}

/// Where a hold is on record, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TrackedHold {
    /// Where it was placed last.
    pub(super) position: Position,
    /// How it stands; `None` if it ended too long ago to be found.
    pub(super) state: Option<HoldState>,
}

impl OpenWork {
    /// The effects of a durable batch, or of a segment. Batches and segments come in the order of the log.
    pub(super) fn apply(&self, effects: &WorkEffects) {
        // Before the intents end: where a payment is not pending any more, it is found among those that ended.
        for (key, position) in &effects.ended_payments {
            self.ended_payments.insert(key.into(), *position);
        }
        let mut state = self.write();
        for (key, effect) in &effects.intents {
            match effect {
                IntentEffect::Opened(position) => state.intents.insert(*key, *position),
                IntentEffect::Ended => state.intents.remove(key),
            };
        }
        for (id, effect) in &effects.holds {
            state.change_hold(*id, *effect);
        }
        for (position, effect) in &effects.erasures {
            match effect {
                ErasureEffect::Begun => state.erasures.insert(*position),
                ErasureEffect::Completed => state.erasures.remove(position),
            };
        }
        for (key, effect) in &effects.updates {
            state.update(*key, effect);
        }
        state.blocks.extend(&effects.blocks);
        let is_later = effects.slots_forgotten_until > state.slots_forgotten_until;
        if is_later {
            state.slots_forgotten_until = effects.slots_forgotten_until;
        }
        // By the record and not by the clock: a block that a wrong clock has ended would not come back.
        if is_later || !effects.blocks.is_empty() {
            let until = state.slots_forgotten_until;
            state.blocks.retain(|_, newest| newest.is_known(until));
        }
        // After the updates, which end the attempts before them.
        for ((key, step), position) in &effects.retried {
            let steps = state.retried.entry(*key).or_default();
            steps.insert(*step, *position);
        }
        state.lifecycle.extend(&effects.lifecycle);
        state.erasure_answers.extend(&effects.erasure_answers);
    }

    /// Forgets the holds that ended more than [`HOLD_RETENTION`] before `now`, and until the next call also those whose end
    /// comes on record as late as that.
    pub(super) fn forget_holds(&self, now: EpochSeconds) {
        self.write()
            .ended_holds
            .forget_before(now.saturating_sub(HOLD_RETENTION));
    }

    /// Where a hold may be: it is the first of these that has its id.
    pub(super) fn find_hold(&self, id: HoldId) -> Vec<TrackedHold> {
        let state = self.read();
        if let Some(placement) = state.active_holds.get(&id) {
            return vec![TrackedHold {
                position: placement.position,
                state: Some(HoldState::Active),
            }];
        }
        let mut found = Vec::new();
        for ended in state.ended_holds.candidates(id) {
            if let Some((position, end)) = ended.parts() {
                let is_forgotten = state.ended_holds.is_forgotten(end);
                let state = (!is_forgotten).then(|| end.state());
                found.push(TrackedHold { position, state });
            }
        }
        found
    }

    /// The revision of the hold after the pending effects, if it is active then; otherwise 0.
    pub(super) fn active_revision(&self, id: HoldId, pending: &WorkEffects) -> u32 {
        let durable = HoldEffect {
            placed: self.read().active_holds.get(&id).copied(),
            end: None,
        };
        let pending = pending.holds.get(&id).copied();
        durable.then(pending.unwrap_or_default()).active_revision()
    }

    /// Where the active holds were placed, in the order of the log.
    pub(super) fn active_holds(&self) -> Vec<Position> {
        let state = self.read();
        let placements = state.active_holds.values();
        let mut positions: Vec<_> = placements.map(|placement| placement.position).collect();
        positions.sort_unstable();
        positions
    }

    /// Where the intents of payments without an outcome are, in the order of the log.
    pub(super) fn pending_intents(&self) -> Vec<Position> {
        let mut positions: Vec<_> = self.read().intents.values().copied().collect();
        positions.sort_unstable();
        positions
    }

    /// Where the records of the erasures are that are not complete, in the order of the log.
    pub(super) fn open_erasures(&self) -> Vec<Position> {
        self.read().erasures.iter().copied().collect()
    }

    /// The newest update of an order; `None` for one that was only placed.
    pub(super) fn newest_update(&self, key: &OrderKey) -> Option<UpdateEntry> {
        let state = self.read();
        let newest = state.updates.get(key).map(|tracked| tracked.newest);
        newest.filter(UpdateEntry::is_update)
    }

    /// The newest update of an order after the pending effects.
    pub(super) fn pending_update(
        &self,
        key: &OrderKey,
        pending: &WorkEffects,
    ) -> Option<UpdateEntry> {
        let pending = pending.updates.get(key).map(|effect| effect.newest);
        pending
            .filter(UpdateEntry::is_update)
            .or_else(|| self.newest_update(key))
    }

    /// Where the newest block of a slot is.
    pub(super) fn newest_block(&self, key: &BlockKey) -> Option<Position> {
        self.pending_block(key, &WorkEffects::default())
    }

    /// Where the newest block of a slot is after the pending effects.
    pub(super) fn pending_block(&self, key: &BlockKey, pending: &WorkEffects) -> Option<Position> {
        let state = self.read();
        let newest = pending.blocks.get(key).or_else(|| state.blocks.get(key))?;
        let until = state
            .slots_forgotten_until
            .max(pending.slots_forgotten_until);
        newest.is_known(until).then_some(newest.position)
    }

    /// Where the blocks in force are, in the order of the log.
    pub(super) fn blocks_in_force(&self) -> Vec<Position> {
        let state = self.read();
        let in_force = state.blocks.values().filter(|newest| newest.is_on);
        let mut positions: Vec<_> = in_force.map(|newest| newest.position).collect();
        positions.sort_unstable();
        positions
    }

    /// The number of the newest revision of the lifecycle after the pending effects; 0 if there is none.
    pub(super) fn lifecycle_revision(&self, pending: &WorkEffects) -> u32 {
        match pending.lifecycle.newest() {
            0 => self.read().lifecycle.newest(),
            pending => pending,
        }
    }

    /// Where the changes of the lifecycle are.
    pub(super) fn lifecycle(&self) -> LifecycleEntries {
        self.read().lifecycle.clone()
    }

    /// Where the answers to erasures are, in the order of the log.
    pub(super) fn erasure_answers(&self) -> Vec<Position> {
        self.read().erasure_answers.clone()
    }

    /// The orders with states on record.
    pub(super) fn orders_with_states(&self) -> Vec<OrderKey> {
        self.read().updates.keys().copied().collect()
    }

    /// The states of so many orders.
    pub(super) fn states_in_use(&self, orders: u64) -> StatesInUse {
        let state = self.read();
        let tracked = u64::try_from(state.updates.len()).unwrap_or(u64::MAX);
        state.profiles.sums().in_use(orders.saturating_sub(tracked))
    }

    /// Where the newest attempts at steps are of the orders that have timers or steps. Some of these steps may have ended
    /// since.
    pub(super) fn retried(&self) -> Vec<Position> {
        let state = self.read();
        let steps = state.retried.values().flat_map(BTreeMap::values);
        let mut positions: Vec<_> = steps.copied().collect();
        positions.sort_unstable();
        positions
    }

    /// The newest updates of the orders that have timers or steps, or their sales if they have no updates, in the order of
    /// the log.
    pub(super) fn orders_with_work(&self) -> Vec<UpdateEntry> {
        let state = self.read();
        let newest = state
            .with_work
            .iter()
            .filter_map(|key| state.updates.get(key));
        let mut entries: Vec<_> = newest.map(|tracked| tracked.newest).collect();
        entries.sort_unstable_by_key(|entry| entry.position);
        entries
    }

    /// Where payments are that ended without the order of this key, or of one that begins like it, newest first.
    pub(super) fn ended_payments(&self, key: &OrderKey) -> Vec<Position> {
        self.ended_payments.positions(key.into())
    }

    // A panic elsewhere leaves the state whole: nothing that runs under the lock panics halfway.
    fn read(&self) -> RwLockReadGuard<'_, WorkState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, WorkState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct WorkState {
    intents: HashMap<OrderKey, Position>,
    active_holds: HashMap<HoldId, HoldPlacement>,
    ended_holds: EndedHolds,
    /// Erasures that are not complete.
    erasures: BTreeSet<Position>,
    /// The newest update of each order that was updated, and the sale of each other one of which it is on record how it
    /// began.
    updates: HashMap<OrderKey, TrackedUpdate>,
    /// The states of these orders.
    profiles: StateProfiles,
    /// The orders that have timers or steps.
    with_work: HashSet<OrderKey>,
    /// The newest block of each slot that is not forgotten.
    blocks: HashMap<BlockKey, BlockEntry>,
    slots_forgotten_until: Option<EpochSeconds>,
    /// The newest attempt at each step of these orders.
    retried: HashMap<OrderKey, BTreeMap<u16, Position>>,
    lifecycle: LifecycleEntries,
    erasure_answers: Vec<Position>,
}

/// The newest update of an order, and the states that it has.
#[derive(Debug, Clone, Copy)]
struct TrackedUpdate {
    newest: UpdateEntry,
    states: ProfileIx,
}

impl WorkState {
    fn update(&mut self, key: OrderKey, effect: &UpdateEffect) {
        let newest = effect.newest;
        let states = self.profiles.add(&effect.states);
        let before = self.updates.insert(key, TrackedUpdate { newest, states });
        if let Some(before) = before {
            self.profiles.remove(before.states);
        }
        if newest.has_work {
            self.with_work.insert(key);
        } else {
            self.with_work.remove(&key);
            self.retried.remove(&key);
        }
    }

    fn change_hold(&mut self, id: HoldId, effect: HoldEffect) {
        match (effect.placed, effect.end) {
            (Some(placement), None) => {
                self.active_holds.insert(id, placement);
            }
            (placed, Some(end)) => {
                let active = self.active_holds.remove(&id);
                // Neither: it had ended before, and the first end counts; or it was never placed.
                if let Some(placement) = placed.or(active) {
                    self.ended_holds.add(id, placement.position, end);
                }
            }
            (None, None) => {}
        }
    }
}
