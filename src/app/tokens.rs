//! Idempotency tokens at work: one call at a time may act under a token, others wait for it.

use std::sync::Arc;

use dashmap::{DashMap, Entry};
use tokio::sync::watch;

type Token = Box<str>;

/// The tokens under which somebody is at work.
///
/// A token's way: it is claimed, then looked up in the store (where it may have been done long
/// ago), then acted under, then let go. Because the look-up comes after the claim, nobody can
/// finish an order between the look-up and the act.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens {
    in_flight: Arc<DashMap<Token, watch::Receiver<()>>>,
}

/// The answer to a claim.
#[derive(Debug)]
pub(super) enum TokenLock {
    /// The token is the claimant's until it drops this.
    First(TokenGuard),
    /// Somebody else has it; the receiver ends when they let go.
    Behind(watch::Receiver<()>),
}

/// The right to act under a token.
#[derive(Debug)]
pub(super) struct TokenGuard {
    tokens: Tokens,
    token: Token,
    /// Dropped last, which wakes those who wait.
    _done: watch::Sender<()>,
}

impl Tokens {
    /// Whether somebody acts under a token at this moment.
    pub(super) fn is_in_flight(&self, token: &str) -> bool {
        self.in_flight.contains_key(token)
    }

    pub(super) fn try_lock(&self, token: &str) -> TokenLock {
        match self.in_flight.entry(token.into()) {
            Entry::Occupied(first) => TokenLock::Held(first.get().clone()),
            Entry::Vacant(free) => {
                let (done, waiting) = watch::channel(());
                free.insert(waiting);
                TokenLock::Acquired(TokenGuard {
                    tokens: self.clone(),
                    token: token.into(),
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
        crate::tests::schedules::point();
    }
}

/// Waits until whoever has the token lets go.
pub(super) async fn released(mut waiting: watch::Receiver<()>) {
    while waiting.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests;
