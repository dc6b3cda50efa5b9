//! The in-memory availability store: every slot with its sales, holds and block.
//!
//! A map finds a slot, and each slot has a mutex of its own. An operation on several slots locks all of
//! them, decides, sells every spot or none, and unlocks. Other threads see that as one step. No decision
//! sells spots and takes them back, so a failed order never shows another one too few spots.
//!
//! Lock order: a cart before slots, slots by key. No thread waits for a lock while it has a guard of a map.
//!
//! What is sold or held is not on record yet when an operation returns. Its caller records it, and then ends the
//! [`Reservation`] or the [`HoldChange`]; spots that it gives back are given back only then. Between the beginning and
//! that end, the caller begins no other change of the same cart.
//!
//! A reload stops no call. [`Inventory::stage`] prepares the openings of the next revision beside those of
//! the active one. Once the next revision is active, every operation advances the slots that it locks. An
//! operation by the older revision gets [`Stale`] from a slot that has advanced, before anything has
//! changed, and its caller decides again. So every decision sees all of its slots at one revision, and of
//! two decisions about one slot the one by the older revision came first. Sales, holds and blocks stay.
//! [`Inventory::advance_all`] then advances the slots that no operation has locked.

use std::{
    borrow::Borrow,
    convert::Infallible,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use smallvec::SmallVec;

use domain::{
    slot::{CartKey, Claim, HoldSpan, Opening, Pool, Revision, Slot, SlotKey, SlotTerms, Stale},
    time::EpochSeconds,
};

mod blocks;
mod carts;
mod holds;
mod reservation;
mod slots;

pub use blocks::BlockChange;
pub use holds::{HoldChange, NextHold, RestoredHold};
pub use reservation::{ConsumedHold, Decision, Reservation};

use carts::{Carts, HeldCart};
use slots::{SharedSlot, Slots};

/// All slots, and the carts that hold spots of them.
#[derive(Debug)]
pub struct Inventory {
    slots: Slots,
    carts: Carts,
    /// Slots that ended before this second may be forgotten with their sales, so none of them is opened
    /// again, whatever the clock says. It only grows.
    forgotten_until: AtomicI64,
}

impl Default for Inventory {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl Inventory {
    /// An inventory that need not grow until it has `slots` slots.
    #[must_use]
    pub fn with_capacity(slots: usize) -> Self {
        Self {
            slots: Slots::with_capacity(slots),
            carts: Carts::default(),
            forgotten_until: AtomicI64::new(EpochSeconds::MIN.get()),
        }
    }

    /// Slots that ended before this second are never opened again.
    #[must_use]
    pub fn forgotten_until(&self) -> EpochSeconds {
        // SeqCst, like the update in `retire`: the check under the lock of a slot must see a limit that is
        // already in use to remove slots.
        EpochSeconds::new(self.forgotten_until.load(Ordering::SeqCst))
    }

    fn is_forgotten(&self, key: SlotKey) -> bool {
        key.end_sec() < self.forgotten_until()
    }

    /// Opens the slots of `openings` that start in `[from, until)` and are not forgotten, and returns their
    /// number. A range that is opened twice has its spots twice.
    ///
    /// # Errors
    /// [`Stale`] if a slot has advanced beyond `revision`.
    pub fn open(
        &self,
        revision: Revision,
        openings: impl IntoIterator<Item: Borrow<Opening>>,
        from: EpochSeconds,
        until: EpochSeconds,
    ) -> Result<usize, Stale> {
        let mut opened = 0;
        self.for_each_occurrence(openings, from, until, |slot, pool, terms| {
            slot.advance_to(revision)?;
            slot.open(pool, terms);
            opened += 1;
            Ok(())
        })?;
        Ok(opened)
    }

    /// Calls `act` with every slot of `openings` that starts in `[from, until)` and is not forgotten, one
    /// locked slot at a time.
    fn for_each_occurrence<E>(
        &self,
        openings: impl IntoIterator<Item: Borrow<Opening>>,
        from: EpochSeconds,
        until: EpochSeconds,
        mut act: impl FnMut(&mut Slot, Pool, &SlotTerms) -> Result<(), E>,
    ) -> Result<(), E> {
        for opening in openings {
            let opening = opening.borrow();
            for start_sec in opening.starts(from, until) {
                let (key, terms) = opening.occurrence(start_sec);
                // A first check without a lock: `find_or_new` would allocate a slot for nothing.
                if self.is_forgotten(key) {
                    continue;
                }
                let slot = self.slots.find_or_new(key);
                let mut slot = slot.lock();
                // Checked again under the lock: since the first check, `retire` may have removed the slot
                // with its sales, and this would be a new slot with all of its spots.
                if !self.is_forgotten(key) {
                    act(&mut slot, opening.pool, &terms)?;
                }
            }
        }
        Ok(())
    }

    /// Prepares what `next` opens in `[from, until)`, beside what `active` has opened. The revision of a
    /// preparation that did not end must not be used again.
    pub fn stage(
        &self,
        active: Revision,
        next: Revision,
        openings: impl IntoIterator<Item: Borrow<Opening>>,
        from: EpochSeconds,
        until: EpochSeconds,
    ) {
        let Ok(()) =
            self.for_each_occurrence::<Infallible>(openings, from, until, |slot, pool, terms| {
                // Advancing discards what is staged for earlier revisions, so it must come first: a later
                // operation by `active` would discard what is staged here.
                if slot.advance_to(active).is_ok() {
                    slot.stage(next, pool, terms);
                }
                Ok(())
            });
    }

    /// Advances all slots to the active revision, calls `visit` with each of them, and forgets vacant
    /// ones.
    pub fn advance_all(&self, revision: Revision, mut visit: impl FnMut(SlotKey, &Slot)) {
        let mut vacant = Vec::new();
        for known in self.slots.all() {
            let mut slot = known.lock();
            // A slot that has advanced further is the next reload's to visit.
            if slot.advance_to(revision).is_ok() {
                visit(known.key(), &slot);
            }
            // Forgotten later: while this thread has a reference, `forget_if_vacant` takes the slot for one
            // in use.
            if slot.is_vacant() {
                vacant.push(known.key());
            }
        }
        for key in vacant {
            self.slots.forget_if_vacant(key);
        }
    }

    /// Forgets the slots that ended before `before`, with their sales, and returns their number. They are
    /// never opened again. `before` must be on record first, so that no later process opens them either.
    pub fn retire(&self, before: EpochSeconds) -> usize {
        // Before any slot is removed: a thread that creates one of them anew must find it forgotten.
        self.forgotten_until
            .fetch_max(before.get(), Ordering::SeqCst);
        // By the limit and not by `before`, which lies earlier if the clock was set back.
        self.slots.retain(|key| !self.is_forgotten(key))
    }

    /// Calls `visit` with each known slot of `keys`, one locked slot at a time.
    pub fn visit(
        &self,
        keys: impl IntoIterator<Item = SlotKey>,
        mut visit: impl FnMut(SlotKey, &Slot),
    ) {
        for key in keys {
            if let Some(known) = self.slots.find(key) {
                visit(key, &known.lock());
            }
        }
    }

    /// Number of slots known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no slot is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sells spots that are on record as sold, whether or not they fit. A slot that is not open keeps them
    /// in case it opens later; a forgotten one never does.
    pub fn restore(&self, claims: &[Claim]) {
        for claim in claims.iter().filter(|claim| !self.is_forgotten(claim.slot)) {
            self.slots
                .find_or_new(claim.slot)
                .lock()
                // No check of the spots: the sale is a fact, and a catalogue with fewer spots must not make
                // it vanish.
                .sell(claim.ticket, claim.count);
        }
    }

    /// Calls `look` with the open slots of `keys` as of `revision`, all locked at once.
    ///
    /// # Errors
    /// [`Stale`] if one of them has advanced beyond `revision`.
    pub fn examine<R>(
        &self,
        revision: Revision,
        keys: &[Option<SlotKey>],
        look: impl FnOnce(&[Option<&Slot>]) -> R,
    ) -> Result<R, Stale> {
        // All slots are locked at once, so the decision sees them at one moment and at one revision.
        let found = self.find_slots(keys.iter().flatten().copied());
        let mut slots = LockedSlots::lock(&found);
        slots.advance_to(revision)?;
        Ok(look(&slots.open_among(keys)))
    }

    /// Calls `look` with one slot as of `revision`; `None` if it is not open.
    ///
    /// # Errors
    /// [`Stale`] if it has advanced beyond `revision`.
    pub fn examine_one<R>(
        &self,
        revision: Revision,
        key: SlotKey,
        look: impl FnOnce(&Slot) -> R,
    ) -> Result<Option<R>, Stale> {
        let Some(slot) = self.slots.find(key) else {
            return Ok(None);
        };
        let mut slot = slot.lock();
        slot.advance_to(revision)?;
        // A slot may be known for its sales alone; for callers it then does not exist.
        Ok(slot.is_open().then(|| look(&slot)))
    }

    /// `slot` with the sales, holds and block of the known slot of that key, whatever revision that slot shows.
    #[must_use]
    pub fn with_taken(&self, key: SlotKey, slot: Slot) -> Slot {
        match self.slots.find(key) {
            Some(known) => slot.with_taken_of(&known.lock()),
            None => slot,
        }
    }

    /// Opens sold spots again, all in one step.
    pub fn unsell(&self, claims: &[Claim]) {
        let found = self.find_slots(claims.iter().map(|claim| claim.slot));
        let mut slots = LockedSlots::lock(&found);
        for claim in claims {
            slots.change(claim.slot, |slot| slot.unsell(claim.ticket, claim.count));
        }
    }

    /// The known slots of these keys, each once and in key order, as [`LockedSlots::lock`] needs them.
    fn find_slots(&self, keys: impl IntoIterator<Item = SlotKey>) -> Few<SharedSlot> {
        let mut wanted = Few::from_iter(keys);
        // In key order, the one lock order of slots. Without duplicates: a thread that locks a mutex twice
        // waits for itself.
        wanted.sort_unstable();
        wanted.dedup();
        wanted
            .into_iter()
            .filter_map(|key| self.slots.find(key))
            .collect()
    }
}

/// As many as an operation has in nearly all cases, without an allocation.
type Few<T> = SmallVec<[T; 4]>;

/// The locked slots of one operation, in key order.
struct LockedSlots<'a> {
    guards: Few<(SlotKey, MutexGuard<'a, Slot>)>,
}

impl<'a> LockedSlots<'a> {
    /// Locks slots one after another. They must be in key order: two operations that lock the same slots
    /// in different orders would wait for each other for ever.
    fn lock(found: &'a [SharedSlot]) -> Self {
        debug_assert!(
            found.is_sorted_by_key(SharedSlot::key),
            "locks are taken in key order"
        );
        Self {
            guards: found.iter().map(|slot| (slot.key(), slot.lock())).collect(),
        }
    }

    /// Advances all slots, up to the first that has advanced further.
    fn advance_to(&mut self, revision: Revision) -> Result<(), Stale> {
        // After an error, some slots have advanced and others have not. That is harmless: the revision is
        // the active one, or was, and every later operation advances them further.
        for (_, slot) in &mut self.guards {
            slot.advance_to(revision)?;
        }
        Ok(())
    }

    /// The open slots of `keys`, in that order.
    fn open_among(&self, keys: &[Option<SlotKey>]) -> Few<Option<&Slot>> {
        let find = |key: &Option<SlotKey>| {
            let at = self.position((*key)?)?;
            Some(&*self.guards[at].1).filter(|slot| slot.is_open())
        };
        keys.iter().map(find).collect()
    }

    fn change(&mut self, key: SlotKey, change: impl FnOnce(&mut Slot)) {
        if let Some(at) = self.position(key) {
            change(&mut self.guards[at].1);
        }
    }

    fn visit(&self, mut visit: impl FnMut(SlotKey, &Slot)) {
        for (key, slot) in &self.guards {
            visit(*key, slot);
        }
    }

    fn change_all(&mut self, mut change: impl FnMut(&mut Slot)) {
        for (_, slot) in &mut self.guards {
            change(slot);
        }
    }

    fn release_holds(&mut self, cart: CartKey, now: EpochSeconds) {
        self.change_all(|slot| slot.release_holds(cart, now));
    }

    fn hold(&mut self, cart: CartKey, claims: &[Claim], span: HoldSpan) {
        for claim in claims {
            self.change(claim.slot, |slot| {
                slot.hold(cart, claim.ticket, claim.count, span);
            });
        }
    }

    /// Whether all of these slots hold something for a cart; forgotten ones need not.
    fn hold_all(&self, cart: CartKey, claims: &[Claim]) -> bool {
        claims.iter().all(|claim| {
            let known = self.position(claim.slot);
            known.is_none_or(|at| self.guards[at].1.has_hold_of(cart))
        })
    }

    fn position(&self, key: SlotKey) -> Option<usize> {
        self.guards
            // Guards are in key order, so no map is needed; an order has few slots.
            .binary_search_by_key(&key, |&(known, _)| known)
            .ok()
    }
}

/// Locks a mutex, poisoned or not: only a decision can panic under a lock, and it has changed nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    #[cfg(any(test, feature = "schedules"))]
    // Tests choose here which thread runs next.
    testkit::schedules::before_lock(mutex);
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
