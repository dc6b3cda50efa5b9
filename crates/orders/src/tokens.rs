//! Locks of idempotency tokens: one request at a time acts under a token, others wait for it.

use std::sync::Arc;

use dashmap::{DashMap, Entry};
use tokio::sync::watch;

use domain::ids::Token;

/// The idempotency tokens that are locked, in this process.
///
/// A request locks its token, looks it up in the store, creates the order and releases the lock. The
/// look-up follows the lock, so no other request can record an order between the look-up and the creation.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens {
    in_flight: Arc<DashMap<Token, watch::Receiver<()>>>,
}

/// The outcome of an attempt to lock a token.
#[derive(Debug)]
pub(super) enum TokenLock {
    /// The caller has the lock until it drops the guard.
    Acquired(TokenGuard),
    /// Another request has the lock; [`released`] waits for the end of it.
    Held(watch::Receiver<()>),
}

/// The lock of a token, released on drop.
#[derive(Debug)]
pub(super) struct TokenGuard {
    tokens: Tokens,
    token: Token,
    /// Closes when the guard is dropped, which wakes the waiting requests. Fields are dropped after
    /// `Drop::drop` has removed the token, so a request that wakes finds the token free.
    _done: watch::Sender<()>,
}

impl Tokens {
    /// Whether a request acts under a token at this moment.
    pub(super) fn is_in_flight(&self, token: &Token) -> bool {
        self.in_flight.contains_key(token)
    }

    pub(super) fn try_lock(&self, token: &Token) -> TokenLock {
        // One lookup under the shard's lock: of two requests at once, exactly one finds the entry
        // vacant.
        match self.in_flight.entry(token.clone()) {
            Entry::Occupied(holder) => TokenLock::Held(holder.get().clone()),
            Entry::Vacant(free) => {
                let (done, waiting) = watch::channel(());
                free.insert(waiting);
                TokenLock::Acquired(TokenGuard {
                    tokens: self.clone(),
                    token: token.clone(),
                    _done: done,
                })
            }
        }
    }
}

impl Drop for TokenGuard {
    fn drop(&mut self) {
        self.tokens.in_flight.remove(&self.token);
        #[cfg(test)]
        testkit::schedules::point();
    }
}

/// Waits until the holder of a token releases it.
pub(super) async fn released(mut waiting: watch::Receiver<()>) {
    // Nothing is ever sent: the only event is the end of the sender.
    while waiting.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests;
