//! Locks of requests: one request at a time acts under an idempotency token, others wait for it.

use std::sync::Arc;

use dashmap::{DashMap, Entry};
use tokio::sync::watch;

use domain::{ids::Token, slot::CartKey};
use kernel::user::User;
use store::{NamedSlot, OrderKey};

/// A request's idempotency token, by its digest. The digest is computed once for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RequestKey([u8; 16]);

impl RequestKey {
    pub(super) fn of(token: &Token) -> Self {
        Self(digest(token.as_str()))
    }

    /// The key of an order that is changed after its sale.
    pub(super) fn of_order(order: &OrderKey) -> Self {
        // Masked, because it shares the table with digests of tokens; a collision would only make one wait.
        Self(masked(order.0, Some("order")))
    }

    /// The key of a slot that is blocked.
    pub(super) fn of_slot(slot: &NamedSlot) -> Self {
        let text = format!(
            "{}/{}@{}+{}",
            slot.merchant_id,
            slot.service_id,
            slot.start_sec,
            u32::from(slot.duration_sec)
        );
        // As for an order.
        Self(masked(digest(&text), Some("slot")))
    }

    /// The key of a user's cart. A cart's id is the token of its later order. Users have carts of their own: with the
    /// same id, neither sees or changes the other's.
    pub(super) fn cart(self, user: Option<&User>) -> CartKey {
        self.cart_of(user.map(|user| &**user.name()))
    }

    /// The key of the cart of the user of this name.
    pub(super) fn cart_of(self, owner: Option<&str>) -> CartKey {
        CartKey(masked(self.0, owner))
    }

    /// The request under which the order of a cart is created.
    pub(super) fn of_cart(cart: CartKey, owner: Option<&str>) -> Self {
        Self(masked(cart.0, owner))
    }
}

fn digest(text: &str) -> [u8; 16] {
    let hash = blake3::hash(text.as_bytes());
    std::array::from_fn(|at| hash.as_bytes()[at])
}

/// XOR, because it can be undone: who knows only a hold on record, such as the sweep of expired holds, finds the request
/// whose lock it needs.
fn masked(key: [u8; 16], owner: Option<&str>) -> [u8; 16] {
    let Some(owner) = owner else {
        return key;
    };
    let mask = digest(owner);
    std::array::from_fn(|at| key[at] ^ mask[at])
}

/// The requests that are locked, in this process.
///
/// A request locks its token, looks it up in the store, changes what it changes, and releases the lock. The
/// look-up follows the lock, so no other request can record an order between the look-up and the change.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens {
    in_flight: Arc<DashMap<RequestKey, InFlight>>,
}

/// What a locked request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockedFor {
    /// Its order is being created or changed, or a payment of it is being reversed.
    Order,
    /// The hold of its cart is being changed.
    Hold,
}

/// A locked request.
#[derive(Debug)]
struct InFlight {
    locked_for: LockedFor,
    /// Made by the first request that waits; nearly none does. Closes with the entry, which wakes the waiting requests.
    done: Option<watch::Sender<()>>,
    /// The carts whose checks were answered meanwhile without a hold. What they hold has to be released at the end.
    forgone: Vec<CartKey>,
}

/// The outcome of an attempt to lock a request.
#[derive(Debug)]
pub(super) enum TokenLock {
    /// The caller has the lock until it drops the guard.
    Acquired(TokenGuard),
    /// Another request has the lock; [`released`] waits for the end of it.
    Held(watch::Receiver<()>),
}

/// The lock of a request, released on drop.
#[derive(Debug)]
pub(super) struct TokenGuard {
    /// `None` once the lock is released.
    tokens: Option<Tokens>,
    key: RequestKey,
}

/// A lock that is not released yet, because checks were told meanwhile that their carts hold nothing.
#[derive(Debug)]
pub(super) struct Forgone {
    pub(super) guard: TokenGuard,
    pub(super) carts: Vec<CartKey>,
}

impl Tokens {
    pub(super) fn try_lock(&self, key: RequestKey, locked_for: LockedFor) -> TokenLock {
        // One lookup under the shard's lock: of two requests at once, exactly one finds the entry
        // vacant.
        match self.in_flight.entry(key) {
            Entry::Occupied(mut holder) => TokenLock::Held(holder.get_mut().wait()),
            Entry::Vacant(free) => {
                free.insert(InFlight {
                    locked_for,
                    done: None,
                    forgone: Vec::new(),
                });
                TokenLock::Acquired(TokenGuard {
                    tokens: Some(self.clone()),
                    key,
                })
            }
        }
    }

    /// If the order of a cart is in flight, notes the cart as one whose check is told that it holds nothing. Otherwise
    /// there is no such order, or it has just ended.
    pub(super) fn forgo(&self, key: RequestKey, cart: CartKey) -> bool {
        let Some(mut holder) = self.in_flight.get_mut(&key) else {
            return false;
        };
        let is_order = holder.locked_for == LockedFor::Order;
        if is_order && !holder.forgone.contains(&cart) {
            holder.forgone.push(cart);
        }
        is_order
    }
}

impl InFlight {
    fn wait(&mut self) -> watch::Receiver<()> {
        self.done
            .get_or_insert_with(|| watch::Sender::new(()))
            .subscribe()
    }
}

impl TokenGuard {
    /// Releases the lock.
    ///
    /// # Errors
    /// [`Forgone`], with the lock, if holds have to be released first.
    pub(super) fn release(mut self) -> Result<(), Forgone> {
        let Some(tokens) = self.tokens.take() else {
            return Ok(());
        };
        let mut carts = Vec::new();
        // In one step under the shard's lock: a check that finds the lock is either in this list or in the next one, and
        // one that comes after the last list finds no lock.
        tokens.in_flight.remove_if_mut(&self.key, |_, in_flight| {
            carts = std::mem::take(&mut in_flight.forgone);
            carts.is_empty()
        });
        if carts.is_empty() {
            #[cfg(test)]
            testkit::schedules::point();
            return Ok(());
        }
        self.tokens = Some(tokens);
        Err(Forgone { guard: self, carts })
    }
}

impl Drop for TokenGuard {
    fn drop(&mut self) {
        // Removed before it is dropped, so a request that wakes finds the token free.
        if let Some(tokens) = self.tokens.take() {
            tokens.in_flight.remove(&self.key);
            #[cfg(test)]
            testkit::schedules::point();
        }
    }
}

/// Waits until the holder of a token releases it.
pub(super) async fn released(mut waiting: watch::Receiver<()>) {
    // Nothing is ever sent: the only event is the end of the sender.
    while waiting.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests;
