//! Answers whose readers take nothing of them at present. Each has its place here with the moment since
//! when, so that those who have waited longest can be reset where others need their room.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use crate::metrics::Counter;

/// How long a reader has to have taken nothing before its answer may be reset for the sake of others.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers that are reset at once, so that it is not done again for every call that comes.
const RESET_AT_ONCE: usize = 32;

/// All answers that wait for their readers.
#[derive(Debug, Default)]
pub struct StalledResponses {
    next: AtomicU64,
    answers: Mutex<BTreeMap<u64, StalledResponse>>,
    resets: Counter,
}

#[derive(Debug)]
struct StalledResponse {
    since: Instant,
    /// Dropped to have the answer reset.
    _reset: oneshot::Sender<()>,
}

/// A place among them, until it is dropped.
#[derive(Debug)]
pub struct StalledGuard {
    stalled: Arc<StalledResponses>,
    number: u64,
}

impl StalledResponses {
    /// A place for an answer that waits from now on, and what is ready when it is to be reset.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> (StalledGuard, oneshot::Receiver<()>) {
        let (reset, told) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.answers().insert(
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
            told,
        )
    }

    /// Resets those that have waited longest, some of them at most; whether there were any.
    pub fn make_room(&self) -> bool {
        let mut answers = self.answers();
        let mut done = 0;
        while let Some(longest) = answers.first_entry() {
            if done == RESET_AT_ONCE || longest.get().since.elapsed() < PATIENCE {
                break;
            }
            longest.remove();
            done += 1;
        }
        done > 0
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.answers().len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes that an answer was reset because its reader took nothing of it.
    pub fn note_reset(&self) {
        self.resets.inc();
    }

    /// Answers that were reset so far.
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.resets.get()
    }

    fn answers(&self) -> MutexGuard<'_, BTreeMap<u64, StalledResponse>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StalledGuard {
    fn drop(&mut self) {
        self.stalled.answers().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_have_waited_longest_are_reset_first_and_nobody_at_once() {
        let stalled = Arc::new(StalledResponses::default());
        let (_first, mut first_told) = stalled.enter();
        assert!(!stalled.make_room(), "it has only just begun to wait");
        tokio::time::advance(PATIENCE).await;
        let (_second, mut second_told) = stalled.enter();
        assert!(stalled.make_room());
        assert!(
            first_told
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
        );
        assert!(
            second_told
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
