//! Holds of carts, each changed in two steps: begun in memory, and ended once the change is on record or has failed.

use std::sync::{Arc, Mutex};

use super::{HeldCart, Inventory, LockedSlots, carts::Renewals, lock};
use domain::{
    catalog::CartHold,
    slot::{CartKey, Claim, HoldSpan, Revision, Slot, SlotKey, Stale},
    time::{EpochSeconds, Seconds},
};

/// A change of a cart's hold that is not on record yet. Ends in [`Inventory::apply_hold`] or in
/// [`Inventory::revert_hold`]. Until then the cart takes of every pool what the earlier or the next hold takes,
/// whichever is more.
#[derive(Debug)]
#[must_use]
pub struct HoldChange {
    key: CartKey,
    /// Keeps the cart from being forgotten.
    cart: Arc<Mutex<HeldCart>>,
    revision: u32,
    next: Option<NextHold>,
}

/// A hold that takes the place of what its cart holds.
#[derive(Debug, Clone)]
pub struct NextHold {
    /// The spots.
    pub claims: Vec<Claim>,
    /// When it is placed.
    pub placed_sec: EpochSeconds,
    /// The second at which it ends.
    pub expires_sec: EpochSeconds,
    /// Its revision on record.
    pub revision: u32,
    pub(super) renewals: Renewals,
}

/// A hold on record, to be put in force at startup.
#[derive(Debug, Clone)]
pub struct RestoredHold {
    /// The cart.
    pub cart: CartKey,
    /// The revision on record.
    pub revision: u32,
    /// The spots.
    pub claims: Vec<Claim>,
    /// When it was placed.
    pub placed_sec: EpochSeconds,
    /// The second at which it ends.
    pub expires_sec: EpochSeconds,
    /// How long the cart had held spots before it was placed.
    pub used: Seconds,
    /// How long the cart has to hold nothing before its time for holds starts again.
    pub pause: Seconds,
}

impl HoldChange {
    /// The cart.
    #[must_use]
    pub fn cart(&self) -> CartKey {
        self.key
    }

    /// The revision of the earlier hold on record; 0 where there is none.
    #[must_use]
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// The hold that takes its place; `None` if the cart holds nothing afterwards.
    #[must_use]
    pub fn next(&self) -> Option<&NextHold> {
        self.next.as_ref()
    }
}

impl NextHold {
    /// How long the cart has held spots before.
    #[must_use]
    pub fn used(&self) -> Seconds {
        self.renewals.used
    }

    pub(super) fn span(&self) -> HoldSpan {
        HoldSpan::new(self.placed_sec, self.expires_sec)
    }
}

impl RestoredHold {
    /// The time during which the hold lasts.
    #[must_use]
    pub fn span(&self) -> HoldSpan {
        HoldSpan::new(self.placed_sec, self.expires_sec)
    }
}

impl Inventory {
    /// Number of carts that hold spots.
    #[must_use]
    pub fn holding(&self, now: EpochSeconds) -> usize {
        self.carts.holding(now)
    }

    /// Whether a cart holds spots or has done so lately.
    #[must_use]
    pub fn knows_cart(&self, cart: CartKey) -> bool {
        self.carts.contains(cart)
    }

    /// Decides with the slots of `keys` locked, as of `revision`, and begins to hold the claims of the decision for
    /// the cart, in place of its earlier hold. The change is `None` if the cart held nothing and holds nothing
    /// afterwards: because nothing is claimed, its merchant gives it no time, or its time for holds is used up. It is also
    /// `None` if an order has consumed the hold, and nobody knows whether it is on record.
    ///
    /// # Errors
    /// [`Stale`] if a slot has advanced beyond `revision`; then nothing has changed.
    pub fn hold<R>(
        &self,
        revision: Revision,
        keys: &[Option<SlotKey>],
        cart: CartKey,
        now: EpochSeconds,
        time: Option<CartHold>,
        decide: impl FnOnce(&[Option<&Slot>]) -> (R, Vec<Claim>),
    ) -> Result<(R, Option<HoldChange>), Stale> {
        let known = self.carts.find_or_new(cart, now);
        let (answer, next, recorded) = {
            // Lock order: the cart before the slots.
            let mut held = lock(&known);
            let found = self.find_slots(keys.iter().flatten().copied().chain(held.slots()));
            let mut slots = LockedSlots::lock(&found);
            slots.advance_to(revision)?;
            let (answer, claims) = decide(&slots.open_among(keys));
            if held.is_consumed {
                // No order is in flight beside a change of its cart, so this one has met a store that failed: until a
                // restart its spots stay sold, and nothing is held.
                return Ok((answer, None));
            }
            let next = held.next(claims, now, time);
            if let Some(next) = &next {
                slots.stage(cart, next);
            }
            (answer, next, held.revision)
        };
        if next.is_none() && recorded == 0 {
            // A cart is forgotten only when the map has the one reference to it.
            drop(known);
            self.carts.forget_if_over(cart, now);
            return Ok((answer, None));
        }
        let change = HoldChange {
            key: cart,
            cart: known,
            revision: recorded,
            next,
        };
        Ok((answer, Some(change)))
    }

    /// Begins to release the hold of a cart; `None` if none is on record.
    pub fn release_hold(&self, cart: CartKey) -> Option<HoldChange> {
        self.end_hold(cart, |_| true)
    }

    /// Begins to release the hold of a cart if it has expired.
    pub fn expire_hold(&self, cart: CartKey, now: EpochSeconds) -> Option<HoldChange> {
        self.end_hold(cart, |held| held.has_expired(now))
    }

    fn end_hold(&self, key: CartKey, ends: impl FnOnce(&HeldCart) -> bool) -> Option<HoldChange> {
        let cart = self.carts.find(key)?;
        let held = lock(&cart);
        // One that is consumed ends with its order, or is in force again.
        let revision = (!held.is_consumed && ends(&held)).then_some(held.revision);
        drop(held);
        Some(HoldChange {
            key,
            cart,
            revision: revision.filter(|&revision| revision > 0)?,
            next: None,
        })
    }

    /// The carts whose holds have expired and are still on record. Forgets the carts that are over.
    pub fn expired(&self, now: EpochSeconds) -> Vec<CartKey> {
        let mut expired = Vec::new();
        // Keys are copied first, so that no guard of the map is held while a cart is locked.
        for cart in self.carts.keys() {
            if let Some(known) = self.carts.find(cart)
                && lock(&known).has_expired(now)
            {
                expired.push(cart);
            }
            self.carts.forget_if_over(cart, now);
        }
        // The map has another order in each process; a run under a seed has to be the same in every one.
        expired.sort_unstable_by_key(|cart| cart.0);
        expired
    }

    /// Ends a change that is on record: what its cart held before and does not hold now is open again.
    pub fn apply_hold(&self, change: HoldChange, now: EpochSeconds) {
        let HoldChange {
            key, cart, next, ..
        } = change;
        {
            // Lock order: the cart before the slots.
            let mut held = lock(&cart);
            let found = self.find_slots(held.slots().chain(slots_of(next.as_ref())));
            let mut slots = LockedSlots::lock(&found);
            if let Some(next) = next {
                slots.change_all(|slot| slot.apply_staged_holds(key, now));
                held.replace(next);
            } else {
                slots.release_holds(key, now);
                held.release(now);
            }
        }
        // A cart is forgotten only when the map has the one reference to it.
        drop(cart);
        self.carts.forget_if_over(key, now);
    }

    /// Ends a change that is not on record: the cart holds what it held before.
    pub fn revert_hold(&self, change: HoldChange, now: EpochSeconds) {
        let HoldChange {
            key, cart, next, ..
        } = change;
        let found = self.find_slots(slots_of(next.as_ref()));
        LockedSlots::lock(&found).change_all(|slot| slot.discard_staged_holds(key));
        // A cart is forgotten only when the map has the one reference to it.
        drop(cart);
        self.carts.forget_if_over(key, now);
    }

    /// Holds spots that are on record as held, whether or not they fit. A slot that is not open keeps them in case it
    /// opens later; a forgotten one never does.
    pub fn restore_hold(&self, hold: RestoredHold) {
        let known = self.carts.find_or_new(hold.cart, hold.placed_sec);
        // Lock order: the cart before the slots.
        let mut held = lock(&known);
        for claim in &hold.claims {
            if !self.is_forgotten(claim.slot) {
                let slot = self.slots.find_or_new(claim.slot);
                slot.lock()
                    .hold(hold.cart, claim.ticket, claim.count, hold.span());
            }
        }
        held.restore(hold);
    }
}

impl LockedSlots<'_> {
    fn stage(&mut self, cart: CartKey, next: &NextHold) {
        for claim in &next.claims {
            self.change(claim.slot, |slot| {
                slot.stage_hold(cart, claim.ticket, claim.count, next.span());
            });
        }
    }
}

fn slots_of(next: Option<&NextHold>) -> impl Iterator<Item = SlotKey> + '_ {
    next.into_iter()
        .flat_map(|next| &next.claims)
        .map(|claim| claim.slot)
}
