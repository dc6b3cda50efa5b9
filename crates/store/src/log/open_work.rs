//! Open work in memory: payments without an outcome, active holds, erasures that are not complete, blocks of slots, and where
//! the newest update of each updated order is. Of what has ended
//! there is only where it is in the log: an entry for each payment that ended without an order, and for each hold that ended
//! of late.
//!
//! Every effect of a record is merged by the rules of [`WorkEffects`], whether it comes from a batch that is being
//! written, from the summary of a segment, or from one record after another. An end without a beginning on record is
//! kept, because the beginning may be in an earlier segment.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use domain::time::EpochSeconds;

use super::{ended_holds::EndedHolds, fact::Fact, index::PrefixTable, position::Position};
use crate::{
    HOLD_RETENTION, HoldId, HoldState, ReleaseReason,
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

/// The newest update of an order, or its sale if it began with timers or steps.
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
    /// The newest update of each order, or its sale if it began with timers or steps.
    pub(super) updates: BTreeMap<OrderKey, UpdateEntry>,
    /// The newest block of each slot.
    pub(super) blocks: BTreeMap<BlockKey, BlockEntry>,
    /// The latest second up to which slots are forgotten, and their blocks with them.
    pub(super) slots_forgotten_until: Option<EpochSeconds>,
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
                if order.has_work {
                    let begun = UpdateEntry {
                        position: order.position,
                        revision: 0,
                        has_work: true,
                    };
                    self.updates.insert(order.key, begun);
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
                self.updates.insert(update.key, update.newest);
            }
            Fact::Blocked { key, newest } => {
                self.blocks.insert(*key, *newest);
            }
            Fact::SlotsForgotten { until } => {
                self.slots_forgotten_until = self.slots_forgotten_until.max(Some(*until));
            }
            Fact::Prices { .. } => {}
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
        for (key, newest) in &effects.updates {
            state.update(*key, *newest);
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
        let newest = self.read().updates.get(key).copied();
        newest.filter(UpdateEntry::is_update)
    }

    /// The newest update of an order after the pending effects.
    pub(super) fn pending_update(
        &self,
        key: &OrderKey,
        pending: &WorkEffects,
    ) -> Option<UpdateEntry> {
        let pending = pending.updates.get(key).copied();
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

    /// The newest updates of the orders that have timers or steps, or their sales if they have no updates, in the order of
    /// the log.
    pub(super) fn orders_with_work(&self) -> Vec<UpdateEntry> {
        let state = self.read();
        let newest = state
            .with_work
            .iter()
            .filter_map(|key| state.updates.get(key));
        let mut entries: Vec<_> = newest.copied().collect();
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
    /// The newest update of each order that was updated, and the sale of each other one that began with timers or steps.
    updates: HashMap<OrderKey, UpdateEntry>,
    /// The orders that have timers or steps.
    with_work: HashSet<OrderKey>,
    /// The newest block of each slot that is not forgotten.
    blocks: HashMap<BlockKey, BlockEntry>,
    slots_forgotten_until: Option<EpochSeconds>,
}

impl WorkState {
    fn update(&mut self, key: OrderKey, newest: UpdateEntry) {
        self.updates.insert(key, newest);
        if newest.has_work {
            self.with_work.insert(key);
        } else {
            self.with_work.remove(&key);
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
