//! The in-memory availability store: every slot on sale and what is taken from it.
//!
//! A map finds a slot, a mutex of the slot's own guards its counts. Whoever needs several
//! slots locks them in the order of their keys, decides with all of them in hand, takes or leaves
//! everything, and unlocks: for every observer that is one step. Nothing is ever taken and put
//! back within a decision, so a failing order never makes another one see less than there is.
//!
//! No map guard is held while a slot is locked, and nothing here waits for anything but a lock.
//!
//! When another catalogue takes over, nothing stands still. Its openings are laid ready in the slots
//! first ([`Inventory::stage`]). From the moment it is on sale, whoever locks slots by it turns them
//! to it, and whoever still goes by the one before and finds a slot that has turned is told to
//! decide anew, before it has changed anything. So a decision sees all its slots by one catalogue,
//! and of two decisions about one slot the one by the older catalogue came first. What is taken
//! stays where it is. [`Inventory::advance_all`] then turns the slots that nobody has asked for.

use std::{
    borrow::Borrow,
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use domain::{
    catalog::CartHold,
    order::EpochSeconds,
    slot::{CartKey, Claim, HoldSpan, Opening, Pool, Revision, Slot, SlotKey, SlotTerms, Stale},
};

mod carts;
mod slots;

use carts::{Cart, Carts};
use slots::{SharedSlot, Slots};

/// All slots, and the carts that hold spots of them.
#[derive(Debug)]
pub struct Inventory {
    slots: Slots,
    carts: Carts,
    /// Slots that ended before this second may be forgotten with all that was sold of them, so none of
    /// them is opened again, whatever the clock says. It only grows.
    forgotten_until: AtomicI64,
}

impl Default for Inventory {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

/// Spots taken for an order that is not on record yet. It must end in [`Inventory::confirm`] or in
/// [`Inventory::release`]; forgotten, it leaves the spots taken, which sells too little and never
/// too much.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    claims: Vec<Claim>,
    consumed: Option<ConsumedHold>,
}

/// A hold that a reservation has used up, to be given back with the spots unless the cart has been
/// looked at or let go meanwhile. As long as this is there, the cart is not forgotten.
#[derive(Debug)]
struct ConsumedHold {
    key: CartKey,
    cart: Arc<Mutex<Cart>>,
    changes: u64,
}

impl Reservation {
    /// What is taken.
    #[must_use]
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }
}

impl Inventory {
    /// An inventory with room for `slots` slots.
    #[must_use]
    pub fn with_capacity(slots: usize) -> Self {
        Self {
            slots: Slots::with_capacity(slots),
            carts: Carts::default(),
            forgotten_until: AtomicI64::new(EpochSeconds::MIN),
        }
    }

    /// Slots that ended before this second are not opened any more.
    #[must_use]
    pub fn forgotten_until(&self) -> EpochSeconds {
        self.forgotten_until.load(Ordering::SeqCst)
    }

    fn is_forgotten(&self, key: SlotKey) -> bool {
        key.end_sec() < self.forgotten_until()
    }

    /// Opens all slots of `openings` that start in `[from, until)` and are not forgotten, and gives
    /// their number. Opening the same range twice would count its spots twice.
    ///
    /// # Errors
    /// [`Stale`] if `revision` is no longer the latest.
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

    /// Has `act` change every slot of `openings` that starts in `[from, until)` and is not forgotten.
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
                if self.is_forgotten(key) {
                    continue;
                }
                let slot = self.slots.find_or_new(key);
                let mut slot = slot.lock();
                // Asked again with the slot in hand: `retire` may have removed it, and what was sold of
                // it, since the first look, so that this would be a new one.
                if !self.is_forgotten(key) {
                    act(&mut slot, opening.pool, &terms)?;
                }
            }
        }
        Ok(())
    }

    /// Lays ready what `next` opens in `[from, until)`, beside `on_sale`. A revision whose laying
    /// ready was broken off must not be used again.
    pub fn stage(
        &self,
        on_sale: Revision,
        next: Revision,
        openings: impl IntoIterator<Item: Borrow<Opening>>,
        from: EpochSeconds,
        until: EpochSeconds,
    ) {
        let staged = self.for_each_occurrence(openings, from, until, |slot, pool, terms| {
            // What was laid ready for it must not be lost.
            if slot.advance_to(on_sale).is_ok() {
                slot.stage(next, pool, terms);
            }
            Ok::<(), Infallible>(())
        });
        staged.unwrap_or_else(|never| match never {});
    }

    /// Turns all slots to the revision that is on sale, shows each to `see`, and forgets those that
    /// it has no use for.
    pub fn advance_all(&self, revision: Revision, mut see: impl FnMut(SlotKey, &Slot)) {
        let mut vacant = Vec::new();
        for known in self.slots.all() {
            let mut slot = known.lock();
            if slot.advance_to(revision).is_ok() {
                see(known.key(), &slot);
            }
            if slot.is_vacant() {
                vacant.push(known.key());
            }
        }
        for key in vacant {
            self.slots.forget_if_vacant(key);
        }
    }

    /// Forgets slots that ended before `before`, with all that was sold of them, and gives their
    /// number. None of them is opened again. That has to be on record before: another process must not
    /// open them either.
    pub fn retire(&self, before: EpochSeconds) -> usize {
        // Before any slot is removed, so that whoever makes a new one of its key finds it forgotten.
        self.forgotten_until.fetch_max(before, Ordering::SeqCst);
        self.slots.retain(|key| !self.is_forgotten(key))
    }

    /// Shows the slots of `keys` that are known to `see`.
    pub fn visit(
        &self,
        keys: impl IntoIterator<Item = SlotKey>,
        mut see: impl FnMut(SlotKey, &Slot),
    ) {
        for key in keys {
            if let Some(known) = self.slots.find(key) {
                see(key, &known.lock());
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

    /// Number of carts that hold spots.
    #[must_use]
    pub fn holding(&self, now: EpochSeconds) -> usize {
        self.carts.holding(now)
    }

    /// Counts spots as sold, whether or not they fit: what is on record is true. Slots that are
    /// not open are kept on record in case they open later; forgotten ones never do.
    pub fn restore(&self, claims: &[Claim]) {
        for claim in claims.iter().filter(|claim| !self.is_forgotten(claim.slot)) {
            self.slots
                .find_or_new(claim.slot)
                .lock()
                .sell(claim.ticket, claim.count);
        }
    }

    /// Looks at the slots of `keys` as `revision` has them, all at one moment.
    ///
    /// # Errors
    /// [`Stale`] if one of them has turned to a later revision.
    pub fn examine<R>(
        &self,
        revision: Revision,
        keys: &[Option<SlotKey>],
        look: impl FnOnce(&[Option<&Slot>]) -> R,
    ) -> Result<R, Stale> {
        self.with_slots(keys, &[], |slots| {
            slots.advance_to(revision)?;
            Ok(look(&slots.seen(keys)))
        })
    }

    /// Looks at one slot that is open as `revision` has it; `None` where there is none of that key.
    ///
    /// # Errors
    /// [`Stale`] if it has turned to a later revision.
    pub fn look_at<R>(
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
        Ok(slot.is_open().then(|| look(&slot)))
    }

    /// `slot` with what is taken of the one of that key here, whichever revision that shows.
    #[must_use]
    pub fn with_taken(&self, key: SlotKey, slot: Slot) -> Slot {
        match self.slots.find(key) {
            Some(known) => slot.with_taken_of(&known.lock()),
            None => slot,
        }
    }

    /// Decides with the slots of `keys` in hand as `revision` has them and takes what `decide`
    /// claims, in one step. The cart's hold is used up where something is taken.
    ///
    /// # Errors
    /// [`Stale`] if one of them has turned to a later revision; then nothing has changed.
    pub fn reserve<R>(
        &self,
        revision: Revision,
        keys: &[Option<SlotKey>],
        cart: CartKey,
        now: EpochSeconds,
        decide: impl FnOnce(&[Option<&Slot>]) -> (R, Vec<Claim>),
    ) -> Result<(R, Reservation), Stale> {
        self.with_cart_and_slots(cart, keys, |held, slots| {
            slots.advance_to(revision)?;
            let (answer, claims) = decide(&slots.seen(keys));
            if claims.is_empty() {
                return Ok((
                    answer,
                    Reservation {
                        claims,
                        consumed: None,
                    },
                ));
            }
            slots.release_holds(cart, now);
            for claim in &claims {
                slots.change(claim.slot, |slot| slot.sell(claim.ticket, claim.count));
            }
            let consumed = held
                .filter(|(_, held)| held.holds_at(now))
                .map(|(known, held)| {
                    held.slots.clear();
                    ConsumedHold {
                        key: cart,
                        cart: Arc::clone(known),
                        changes: held.changes,
                    }
                });
            Ok((answer, Reservation { claims, consumed }))
        })
    }

    /// Decides with the slots of `keys` in hand as `revision` has them and keeps what `decide` claims
    /// for the cart, as long as `time` allows. Whatever the cart held before is released. The second
    /// until which the spots are kept is given; `None` where none are.
    ///
    /// # Errors
    /// [`Stale`] if one of them has turned to a later revision; then nothing has changed.
    pub fn hold<R>(
        &self,
        revision: Revision,
        keys: &[Option<SlotKey>],
        cart: CartKey,
        now: EpochSeconds,
        time: CartHold,
        decide: impl FnOnce(&[Option<&Slot>]) -> (R, Vec<Claim>),
    ) -> Result<(R, Option<EpochSeconds>), Stale> {
        let held = self.carts.find_or_new(cart, now);
        let mut held = lock(&held);
        let held_slots = held.slots.clone();
        self.with_slots(keys, &held_slots, |slots| {
            slots.advance_to(revision)?;
            let (answer, claims) = decide(&slots.seen(keys));
            slots.release_holds(cart, now);
            let expires_sec = if claims.is_empty() {
                None
            } else {
                held.grant(now, time)
            };
            let Some(expires_sec) = expires_sec else {
                held.release(now);
                return Ok((answer, None));
            };
            let span = HoldSpan::new(now, expires_sec);
            for claim in &claims {
                slots.change(claim.slot, |slot| {
                    slot.hold(cart, claim.ticket, claim.count, span)
                });
            }
            held.replace(claims.iter().map(|claim| claim.slot).collect(), span);
            Ok((answer, Some(expires_sec)))
        })
    }

    /// Releases whatever a cart holds.
    pub fn release_hold(&self, cart: CartKey, now: EpochSeconds) {
        let Some(held) = self.carts.find(cart) else {
            return;
        };
        {
            let mut held = lock(&held);
            let held_slots = held.release(now);
            self.with_slots(&[], &held_slots, |slots| slots.release_holds(cart, now));
        }
        // Nobody may be at it when it is to be forgotten.
        drop(held);
        self.carts.forget_if_over(cart, now);
    }

    /// Lets go of whatever is held by carts whose time is over, so that no clock brings it back.
    pub fn release_expired(&self, now: EpochSeconds) {
        for cart in self.carts.keys() {
            if let Some(held) = self.carts.find(cart) {
                let mut held = lock(&held);
                // Where an order is being created it has used the hold up, and decides what becomes of it.
                if !held.slots.is_empty() && !held.span.is_on(now) {
                    let held_slots = held.release(now);
                    self.with_slots(&[], &held_slots, |slots| slots.release_holds(cart, now));
                }
            }
            self.carts.forget_if_over(cart, now);
        }
    }

    /// Ends a reservation whose order is on record: the spots stay taken.
    pub fn confirm(&self, reservation: Reservation) {
        if let Some(ConsumedHold {
            key,
            cart,
            changes: _,
        }) = reservation.consumed
        {
            drop(cart);
            self.carts.forget(key);
        }
    }

    /// Ends a reservation without an order: its spots are free again, or back in the hold of its
    /// cart where that has not expired and nothing has been said of the cart meanwhile.
    pub fn release(&self, reservation: Reservation, now: EpochSeconds) {
        let Reservation { claims, consumed } = reservation;
        let keys: Vec<Option<SlotKey>> = claims.iter().map(|claim| Some(claim.slot)).collect();
        {
            let cart = consumed
                .as_ref()
                .map(|consumed| (consumed, lock(&consumed.cart)));
            let mut cart = cart.filter(|(consumed, cart)| {
                cart.changes == consumed.changes && cart.span.is_on(now)
            });
            let hold = cart
                .as_ref()
                .map(|(consumed, cart)| (consumed.key, cart.span));
            self.with_slots(&keys, &[], |slots| {
                for claim in &claims {
                    slots.change(claim.slot, |slot| {
                        slot.unsell(claim.ticket, claim.count);
                        if let Some((cart, span)) = hold {
                            slot.hold(cart, claim.ticket, claim.count, span);
                        }
                    });
                }
                if let Some((_, cart)) = cart.as_mut() {
                    cart.slots.extend(claims.iter().map(|claim| claim.slot));
                }
            });
        }
        if let Some(ConsumedHold {
            key,
            cart,
            changes: _,
        }) = consumed
        {
            drop(cart);
            self.carts.forget_if_over(key, now);
        }
    }

    /// Counts spots as free again that [`Inventory::restore`] had counted as sold.
    pub fn unsell(&self, claims: Vec<Claim>, now: EpochSeconds) {
        self.release(
            Reservation {
                claims,
                consumed: None,
            },
            now,
        );
    }

    /// Acts with a cart in hand, if there is one of that key, and with its slots and those of `keys`.
    fn with_cart_and_slots<R>(
        &self,
        cart: CartKey,
        keys: &[Option<SlotKey>],
        act: impl FnOnce(Option<(&Arc<Mutex<Cart>>, &mut Cart)>, &mut LockedSlots<'_>) -> R,
    ) -> R {
        loop {
            let held = self.carts.find(cart);
            let mut held = held.as_ref().map(|cart| (cart, lock(cart)));
            let held_slots = held
                .as_ref()
                .map(|(_, cart)| cart.slots.clone())
                .unwrap_or_default();
            let found = self.find_slots(keys, &held_slots);
            let mut slots = LockedSlots::lock(&found);
            // A cart that was not there a moment ago may hold spots of these very slots by now.
            if held.is_some() || self.carts.find(cart).is_none() {
                return act(
                    held.as_mut().map(|(known, cart)| (*known, &mut **cart)),
                    &mut slots,
                );
            }
        }
    }

    fn with_slots<R>(
        &self,
        keys: &[Option<SlotKey>],
        more: &[SlotKey],
        act: impl FnOnce(&mut LockedSlots<'_>) -> R,
    ) -> R {
        act(&mut LockedSlots::lock(&self.find_slots(keys, more)))
    }

    /// The slots of these keys that are known, in key order.
    fn find_slots(&self, keys: &[Option<SlotKey>], more: &[SlotKey]) -> Vec<SharedSlot> {
        let mut wanted: Vec<SlotKey> = keys.iter().flatten().chain(more).copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
            .into_iter()
            .filter_map(|key| self.slots.find(key))
            .collect()
    }
}

/// Slots that one decision has in hand, in key order.
struct LockedSlots<'a> {
    guards: Vec<(SlotKey, MutexGuard<'a, Slot>)>,
}

impl<'a> LockedSlots<'a> {
    /// Locks slots, which are in key order.
    fn lock(found: &'a [SharedSlot]) -> Self {
        Self {
            guards: found.iter().map(|slot| (slot.key(), slot.lock())).collect(),
        }
    }

    /// Turns all of them, or none if one has turned further.
    fn advance_to(&mut self, revision: Revision) -> Result<(), Stale> {
        // One that has turned further may come after one that has not turned at all. That one may
        // as well turn: this revision is on sale, or was.
        self.guards
            .iter_mut()
            .try_for_each(|(_, slot)| slot.advance_to(revision))
    }

    /// The open slots of `keys`, in that order.
    fn seen(&self, keys: &[Option<SlotKey>]) -> Vec<Option<&Slot>> {
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

    fn release_holds(&mut self, cart: CartKey, now: EpochSeconds) {
        for (_, slot) in &mut self.guards {
            slot.release_holds(cart, now);
        }
    }

    fn position(&self, key: SlotKey) -> Option<usize> {
        self.guards
            .binary_search_by_key(&key, |&(known, _)| known)
            .ok()
    }
}

/// Locks, poisoned or not: a panic can only come from a decision, which changes nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    #[cfg(any(test, feature = "schedules"))]
    testkit::schedules::before_lock(mutex);
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
