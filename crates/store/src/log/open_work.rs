//! Open work in memory: payments without an outcome, payments that ended without an order, holds.
//!
//! Every effect of a record is merged by the rules of [`WorkEffects`], whether it comes from a batch that is being
//! written, from the summary of a segment, or from one record after another. An end without a beginning on record is
//! kept, because the beginning may be in an earlier segment.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use domain::time::EpochSeconds;

use super::{fact::Fact, position::Position};
use crate::{HOLD_RETENTION, HoldId, HoldState, ReleaseReason, order_key::OrderKey};

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

/// What records do to a payment intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IntentEffect {
    /// It is open, with its record here.
    Opened(Position),
    /// The payment has an outcome.
    Ended,
}

/// What a sequence of records does to open work.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct WorkEffects {
    pub(super) intents: BTreeMap<OrderKey, IntentEffect>,
    /// Payments that ended without an order, with the number of the attempt.
    pub(super) ended_payments: BTreeSet<(OrderKey, u32)>,
    pub(super) holds: BTreeMap<HoldId, HoldEffect>,
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
            }
            Fact::PaymentIntent { key, position } => {
                self.intents.insert(*key, IntentEffect::Opened(*position));
            }
            Fact::PaymentEnded { key, attempt } => {
                self.intents.insert(*key, IntentEffect::Ended);
                self.ended_payments.insert((*key, *attempt));
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
            Fact::Prices { .. } | Fact::SlotsForgotten { .. } => {}
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
pub(super) struct OpenWork(RwLock<WorkState>);

/// A hold on record with its present state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TrackedHold {
    /// The hold as last placed.
    pub(super) placement: HoldPlacement,
    /// How it stands.
    pub(super) state: HoldState,
}

impl OpenWork {
    /// The effects of a durable batch, or of a segment. Batches and segments come in the order of the log.
    pub(super) fn apply(&self, effects: &WorkEffects) {
        let mut state = self.write();
        for (key, effect) in &effects.intents {
            match effect {
                IntentEffect::Opened(position) => state.intents.insert(*key, *position),
                IntentEffect::Ended => state.intents.remove(key),
            };
        }
        state.ended_payments.extend(&effects.ended_payments);
        for (id, effect) in &effects.holds {
            state.change_hold(*id, *effect);
        }
    }

    /// Forgets the holds that ended more than [`HOLD_RETENTION`] before `now`, and until the next call also those whose end
    /// comes on record as late as that.
    pub(super) fn forget_holds(&self, now: EpochSeconds) {
        self.write()
            .forget_holds_before(now.saturating_sub(HOLD_RETENTION));
    }

    /// A hold, unless it was never placed or is forgotten.
    pub(super) fn hold(&self, id: HoldId) -> Option<TrackedHold> {
        let effect = self.read().holds.get(&id).copied()?;
        Some(TrackedHold {
            placement: effect.placed?,
            state: effect.end.map_or(HoldState::Active, HoldEnd::state),
        })
    }

    /// The revision of the hold after the pending effects, if it is active then; otherwise 0.
    pub(super) fn active_revision(&self, id: HoldId, pending: &WorkEffects) -> u32 {
        let durable = self.read().holds.get(&id).copied();
        let pending = pending.holds.get(&id).copied();
        durable
            .unwrap_or_default()
            .then(pending.unwrap_or_default())
            .active_revision()
    }

    /// Where the active holds were placed, in the order of the log.
    pub(super) fn active_holds(&self) -> Vec<Position> {
        let state = self.read();
        let mut positions = Vec::new();
        for hold in state.holds.values() {
            if hold.end.is_none() {
                positions.extend(hold.placed.map(|placement| placement.position));
            }
        }
        positions.sort_unstable();
        positions
    }

    /// Where the intents of payments without an outcome are, in the order of the log.
    pub(super) fn pending_intents(&self) -> Vec<Position> {
        let mut positions: Vec<_> = self.read().intents.values().copied().collect();
        positions.sort_unstable();
        positions
    }

    /// Number of payments of an order that ended without it.
    pub(super) fn ended_payments(&self, key: OrderKey) -> u32 {
        let state = self.read();
        let attempts = state
            .ended_payments
            .range((key, u32::MIN)..=(key, u32::MAX));
        u32::try_from(attempts.count()).unwrap_or(u32::MAX)
    }

    // A panic elsewhere leaves the state whole: nothing that runs under the lock panics halfway.
    fn read(&self) -> RwLockReadGuard<'_, WorkState> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, WorkState> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct WorkState {
    intents: HashMap<OrderKey, Position>,
    ended_payments: BTreeSet<(OrderKey, u32)>,
    /// Each of them was placed.
    holds: HashMap<HoldId, HoldEffect>,
    /// The holds that ended, first those that ended first. A hold that was placed again is in it with its earlier end.
    ended_holds: BinaryHeap<Reverse<(EpochSeconds, HoldId)>>,
    /// Holds that ended before this second are forgotten.
    holds_since: EpochSeconds,
}

impl Default for WorkState {
    fn default() -> Self {
        Self {
            intents: HashMap::new(),
            ended_payments: BTreeSet::new(),
            holds: HashMap::new(),
            ended_holds: BinaryHeap::new(),
            holds_since: EpochSeconds::MIN,
        }
    }
}

impl WorkState {
    fn change_hold(&mut self, id: HoldId, effect: HoldEffect) {
        let earlier = self.holds.get(&id).copied();
        let hold = earlier.unwrap_or_default().then(effect);
        if hold.placed.is_none() {
            // It ended before it was forgotten, or was never placed.
            return;
        }
        match hold.end {
            Some(end) if end.ended_sec < self.holds_since => {
                if earlier.is_some() {
                    self.holds.remove(&id);
                }
                return;
            }
            Some(end) => self.ended_holds.push(Reverse((end.ended_sec, id))),
            None => {}
        }
        self.holds.insert(id, hold);
    }

    fn forget_holds_before(&mut self, second: EpochSeconds) {
        // Set back with the clock: otherwise one wrong time would hide the end of every hold from then on.
        self.holds_since = second;
        while let Some(Reverse((ended_sec, id))) = self.ended_holds.peek().copied() {
            if ended_sec >= self.holds_since {
                break;
            }
            self.ended_holds.pop();
            // Unless it was placed again since it ended.
            let end = self.holds.get(&id).and_then(|hold| hold.end);
            if end.is_some_and(|end| end.ended_sec == ended_sec) {
                self.holds.remove(&id);
            }
        }
    }
}
