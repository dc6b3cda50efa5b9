//! Spots that are sold to orders which are not on record yet.

use std::sync::{Arc, Mutex};

use super::{HeldCart, Inventory, LockedSlots, lock};
use domain::{
    slot::{CartKey, Claim, Revision, Slot, SlotKey, Stale},
    time::EpochSeconds,
};

/// A decision about locked slots.
#[derive(Debug)]
pub enum Decision<S, D> {
    /// Spots are sold.
    Sell(S),
    /// Nothing is sold and nothing has changed.
    Decline(D),
}

/// Spots that are sold to an order which is not on record yet. Ends in [`Inventory::confirm`] or in
/// [`Inventory::release`]; if dropped, the spots stay sold, which undersells and never oversells.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    pub(super) claims: Vec<Claim>,
    pub(super) consumed: Option<ConsumedHold>,
}

/// The hold that a reservation has consumed. Its spots are sold; what it holds beyond stays held until the order is on
/// record. One that had expired held nothing any more, and only its end goes on record with the order.
#[derive(Debug)]
pub struct ConsumedHold {
    key: CartKey,
    /// Keeps the cart from being forgotten.
    cart: Arc<Mutex<HeldCart>>,
    revision: u32,
    /// The slots in which something is still held.
    remainder: Vec<SlotKey>,
}

impl Reservation {
    /// The spots.
    #[must_use]
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// The hold that the sale has consumed.
    #[must_use]
    pub fn consumed(&self) -> Option<&ConsumedHold> {
        self.consumed.as_ref()
    }
}

impl ConsumedHold {
    /// The cart.
    #[must_use]
    pub fn cart(&self) -> CartKey {
        self.key
    }

    /// The revision of the hold on record.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// Consumes the hold that a locked cart has on record, for claims that are sold to it; `None` if it has none.
    fn take(
        key: CartKey,
        (cart, held): (&Arc<Mutex<HeldCart>>, &mut HeldCart),
        slots: &mut LockedSlots<'_>,
        claims: &[Claim],
        now: EpochSeconds,
    ) -> Option<Self> {
        // Also one that has expired: left on record, it would come back after a restart under a clock that was set back,
        // beside the spots that were sold to its own order.
        if held.revision == 0 || held.is_consumed {
            return None;
        }
        // Another cart may have got its spots while it had expired, before the clock was set back.
        let is_whole = slots.hold_all(key, &held.claims);
        if !held.holds_at(now) || !is_whole {
            // For good, whatever becomes of the order and of the clock.
            slots.release_holds(key, now);
            held.claims.clear();
        }
        for claim in claims {
            slots.change(claim.slot, |slot| {
                slot.consume_hold(key, claim.ticket, claim.count);
            });
        }
        held.is_consumed = true;
        let mut remainder = Vec::new();
        // Not given back yet: the order may fail, and then the cart holds all of it again.
        slots.visit(|key_of_slot, slot| {
            if slot.has_hold_of(key) {
                remainder.push(key_of_slot);
            }
        });
        Some(Self {
            key,
            cart: Arc::clone(cart),
            revision: held.revision,
            remainder,
        })
    }
}

impl Inventory {
    /// Decides with the slots of `keys` locked, as of `revision`, and sells the claims of the decision in
    /// the same step. A sale consumes the hold of the cart.
    ///
    /// # Errors
    /// [`Stale`] if a slot has advanced beyond `revision`; then nothing has changed.
    pub fn reserve<S, D>(
        &self,
        revision: Revision,
        keys: &[Option<SlotKey>],
        cart: CartKey,
        now: EpochSeconds,
        decide: impl FnOnce(&[Option<&Slot>]) -> Decision<(S, Vec<Claim>), D>,
    ) -> Result<Decision<(S, Reservation), D>, Stale> {
        // Lock order: the cart before the slots.
        let known = self.carts.find(cart);
        let mut held = known.as_ref().map(|cart| (cart, lock(cart)));
        // The slots of the hold are locked as well, because the sale consumes the hold in all of them.
        let held_slots = held.iter().flat_map(|(_, held)| held.slots());
        let found = self.find_slots(keys.iter().flatten().copied().chain(held_slots));
        let mut slots = LockedSlots::lock(&found);
        // Before the decision, so that a stale catalogue is found while nothing has changed.
        slots.advance_to(revision)?;
        let (sold, claims) = match decide(&slots.open_among(keys)) {
            Decision::Sell(sold) => sold,
            Decision::Decline(reason) => return Ok(Decision::Decline(reason)),
        };
        for claim in &claims {
            slots.change(claim.slot, |slot| slot.sell(claim.ticket, claim.count));
        }
        // The sale takes the place of the hold, which the decision counted as open.
        let consumed = held.as_mut().and_then(|(known, held)| {
            ConsumedHold::take(cart, (known, &mut *held), &mut slots, &claims, now)
        });
        if consumed.is_none() {
            slots.release_holds(cart, now);
        }
        Ok(Decision::Sell((sold, Reservation { claims, consumed })))
    }

    /// The reservation of an order that an earlier process has left unfinished: its spots are sold, whether or not they
    /// fit, and it has consumed the hold of its cart.
    pub fn restore_reservation(
        &self,
        claims: Vec<Claim>,
        cart: Option<CartKey>,
        now: EpochSeconds,
    ) -> Reservation {
        self.restore(&claims);
        let mut consumed = None;
        if let Some((key, known)) = cart.and_then(|key| Some((key, self.carts.find(key)?))) {
            // Lock order: the cart before the slots.
            let mut held = lock(&known);
            let found = self.find_slots(held.slots());
            let mut slots = LockedSlots::lock(&found);
            consumed = ConsumedHold::take(key, (&known, &mut held), &mut slots, &claims, now);
        }
        Reservation { claims, consumed }
    }

    /// Ends a reservation whose order is on record: the spots stay sold, and what its cart held beyond is open again.
    pub fn confirm(&self, reservation: Reservation, now: EpochSeconds) {
        let Some(consumed) = reservation.consumed else {
            return;
        };
        let ConsumedHold {
            key,
            cart,
            revision: _,
            remainder,
        } = consumed;
        {
            // Lock order: the cart before the slots.
            let mut held = lock(&cart);
            let found = self.find_slots(remainder);
            LockedSlots::lock(&found).release_holds(key, now);
            held.clear();
        }
        // A cart is forgotten only when the map has the one reference to it.
        drop(cart);
        self.carts.forget(key);
    }

    /// Ends a reservation without an order: its spots are open again, or held by its cart as before, unless the hold has
    /// expired.
    pub fn release(&self, reservation: Reservation, now: EpochSeconds) {
        let Reservation { claims, consumed } = reservation;
        let Some(consumed) = consumed else {
            return self.unsell(&claims);
        };
        {
            // Lock order: the cart before the slots, as in `reserve`.
            let mut held = lock(&consumed.cart);
            let sold_slots = claims.iter().map(|claim| claim.slot);
            let found = self.find_slots(sold_slots.chain(held.slots()));
            // All slots are locked at once, so no other thread sees the spots neither sold nor held.
            let mut slots = LockedSlots::lock(&found);
            for claim in &claims {
                slots.change(claim.slot, |slot| slot.unsell(claim.ticket, claim.count));
            }
            slots.release_holds(consumed.key, now);
            held.is_consumed = false;
            if held.holds_at(now) {
                slots.hold(consumed.key, &held.claims, held.span);
            } else {
                // It would come back if the clock were set back.
                held.claims.clear();
            }
        }
        // A cart is forgotten only when the map has the one reference to it.
        drop(consumed.cart);
        self.carts.forget_if_over(consumed.key, now);
    }
}
