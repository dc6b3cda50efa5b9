//! The holds of one slot.
//!
//! A change of a hold takes effect in two steps, because it has to be on record in between. The content that it brings is
//! staged beside the present one, and replaces it once the change is on record. Meanwhile the cart takes of every pool
//! what the one or the other takes, whichever is more: one of the two will be true, and nobody knows yet which.

use super::{CartKey, Claimed, HoldSpan, Viewer};
use crate::time::EpochSeconds;

/// Spots that are held for a cart until the end of the span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    cart: CartKey,
    ticket: Claimed,
    count: u32,
    span: HoldSpan,
    content: Content,
}

/// Which content of its cart a hold belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// The present one.
    Placed,
    /// The next one, whose change is not on record yet.
    Staged,
}

/// The holds of a slot, in the order in which they were placed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Holds(Vec<Hold>);

impl Holds {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn place(&mut self, cart: CartKey, ticket: Claimed, count: u32, span: HoldSpan) {
        self.add(cart, ticket, count, span, Content::Placed);
    }

    pub(super) fn stage(&mut self, cart: CartKey, ticket: Claimed, count: u32, span: HoldSpan) {
        self.add(cart, ticket, count, span, Content::Staged);
    }

    fn add(
        &mut self,
        cart: CartKey,
        ticket: Claimed,
        count: u32,
        span: HoldSpan,
        content: Content,
    ) {
        self.0.push(Hold {
            cart,
            ticket,
            count,
            span,
            content,
        });
    }

    /// Puts what is staged for a cart in the place of what it has. Removes every other hold that has expired by `now`.
    pub(super) fn apply_staged(&mut self, cart: CartKey, now: EpochSeconds) {
        self.0.retain(|hold| {
            if hold.cart == cart {
                hold.content == Content::Staged
            } else {
                hold.span.is_on(now)
            }
        });
        for hold in self.0.iter_mut().filter(|hold| hold.cart == cart) {
            hold.content = Content::Placed;
        }
    }

    /// Discards what is staged for a cart.
    pub(super) fn discard_staged(&mut self, cart: CartKey) {
        self.0
            .retain(|hold| hold.cart != cart || hold.content == Content::Placed);
    }

    /// Takes up to `count` spots of a ticket type from what a cart holds.
    pub(super) fn consume(&mut self, cart: CartKey, ticket: Claimed, mut count: u32) {
        // Several lines of one cart may hold the same ticket type.
        for hold in &mut self.0 {
            if hold.cart == cart && hold.ticket == ticket {
                let taken = hold.count.min(count);
                hold.count -= taken;
                count -= taken;
            }
        }
        self.0.retain(|hold| hold.count > 0);
    }

    /// Removes what a cart holds, and every hold that has expired by `now`.
    pub(super) fn release(&mut self, cart: CartKey, now: EpochSeconds) {
        self.0
            .retain(|hold| hold.cart != cart && hold.span.is_on(now));
    }

    pub(super) fn has(&self, cart: CartKey) -> bool {
        self.0.iter().any(|hold| hold.cart == cart)
    }

    /// The spots that count for a viewer, of the present content of all carts.
    pub(super) fn placed(&self, viewer: Viewer) -> impl Iterator<Item = (Claimed, u32)> + '_ {
        self.0
            .iter()
            .filter(move |hold| hold.content == Content::Placed && hold.counts_for(viewer))
            .map(|hold| (hold.ticket, hold.count))
    }

    /// The sum, over all carts with something staged, of what the staged content draws beyond the present one. `drawn`
    /// adds up what counts against a pool.
    pub(super) fn staged_beyond_placed(
        &self,
        viewer: Viewer,
        drawn: impl Fn(&mut dyn Iterator<Item = (Claimed, u32)>) -> u64,
    ) -> u64 {
        let mut beyond = 0;
        let is_staged = |hold: &Hold| hold.content == Content::Staged && hold.counts_for(viewer);
        for (at, hold) in self.0.iter().enumerate() {
            // Once for each cart, at its first staged hold.
            let is_first = !self.0[..at]
                .iter()
                .any(|earlier| earlier.cart == hold.cart && is_staged(earlier));
            if !is_staged(hold) || !is_first {
                continue;
            }
            let of = |content| {
                let mut held = self
                    .0
                    .iter()
                    .filter(|other| other.cart == hold.cart && other.content == content)
                    .filter(|other| other.counts_for(viewer))
                    .map(|other| (other.ticket, other.count));
                drawn(&mut held)
            };
            beyond += of(Content::Staged).saturating_sub(of(Content::Placed));
        }
        beyond
    }
}

impl Hold {
    /// Whether the hold counts for a viewer. By its span and not by its presence: expired holds are removed only when
    /// their slot is next changed.
    fn counts_for(&self, viewer: Viewer) -> bool {
        self.span.is_on(viewer.now) && viewer.cart != Some(self.cart)
    }
}
