//! Stalled responses: their readers take no bytes at present. They are kept in the order in which
//! they stalled, so that the longest stalled ones can be reset when memory or permits are needed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use kernel::metrics::Counter;

/// The time for which a response has to be stalled before it may be reset for others.
const PATIENCE: Duration = Duration::from_secs(1);

/// Responses that are reset at once, so that not every following call has to reset some again.
const RESET_AT_ONCE: usize = 32;

/// All stalled responses.
#[derive(Debug, Default)]
pub struct StalledResponses {
    next: AtomicU64,
    responses: Mutex<BTreeMap<u64, StalledResponse>>,
    resets: Counter,
}

#[derive(Debug)]
struct StalledResponse {
    since: Instant,
    /// Dropped to reset the response: its connection sees the end of the channel.
    _reset: oneshot::Sender<()>,
}

/// The registration of a stalled response, removed on drop.
#[derive(Debug)]
pub struct StalledGuard {
    stalled: Arc<StalledResponses>,
    number: u64,
}

impl StalledResponses {
    /// Registers a response that stalls from now on. The receiver is ready when the response is to
    /// be reset.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> (StalledGuard, oneshot::Receiver<()>) {
        let (reset, receiver) = oneshot::channel();
        // Relaxed: the number only has to be unique. Two that race may be a moment out of order,
        // which is harmless.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.responses().insert(
            number,
            StalledResponse {
                since: Instant::now(),
                _reset: reset,
            },
        );
        (
            StalledGuard {
                stalled: Arc::clone(self),
                number,
            },
            receiver,
        )
    }

    /// Resets the responses that have been stalled longest, at most `RESET_AT_ONCE` of them.
    /// Returns whether there were any.
    pub fn make_room(&self) -> bool {
        let mut responses = self.responses();
        let mut done = 0;
        // Numbers grow with time, so the first entry is the longest stalled and the loop can stop
        // at the first that is too young.
        while let Some(longest) = responses.first_entry() {
            if done == RESET_AT_ONCE || longest.get().since.elapsed() < PATIENCE {
                break;
            }
            longest.remove();
            done += 1;
        }
        done > 0
    }

    /// Number of stalled responses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.responses().len()
    }

    /// Whether no response is stalled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts a response that was reset because its reader took nothing.
    pub fn note_reset(&self) {
        self.resets.inc();
    }

    /// Responses that were reset so far.
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.resets.get()
    }

    fn responses(&self) -> MutexGuard<'_, BTreeMap<u64, StalledResponse>> {
        self.responses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StalledGuard {
    fn drop(&mut self) {
        // Absent if the response was reset for others, which has removed it already.
        self.stalled.responses().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_stalled_are_reset_first_and_none_at_once() {
        let stalled = Arc::new(StalledResponses::default());
        let (_first, mut first_reset) = stalled.enter();
        assert!(!stalled.make_room(), "it has only just begun to wait");
        tokio::time::advance(PATIENCE).await;
        let (_second, mut second_reset) = stalled.enter();
        assert!(stalled.make_room());
        assert!(
            first_reset
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
        );
        assert!(
            second_reset
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
        );
        assert_eq!(stalled.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn some_are_reset_at_a_time_and_places_are_left() {
        let stalled = Arc::new(StalledResponses::default());
        let places: Vec<_> = (0..RESET_AT_ONCE + 5).map(|_| stalled.enter()).collect();
        tokio::time::advance(PATIENCE).await;
        assert!(stalled.make_room());
        assert_eq!(stalled.len(), 5);
        drop(places);
        assert!(stalled.is_empty() && !stalled.make_room());
    }
}
