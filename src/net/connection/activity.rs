//! The calls that go on on a connection, and how long there have been none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// What goes on on a connection.
#[derive(Debug)]
pub(crate) struct Activity {
    calls: AtomicUsize,
    opened: Instant,
    /// Milliseconds from the opening to the end of the call that ended last.
    last_end: AtomicU64,
    /// Whether bytes of a response wait because the other end takes none at present.
    is_sending: AtomicBool,
}

/// A call that goes on.
#[derive(Debug)]
pub(crate) struct ActiveCall(Arc<Activity>);

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            calls: AtomicUsize::new(0),
            opened: Instant::now(),
            last_end: AtomicU64::new(0),
            is_sending: AtomicBool::new(false),
        }
    }

    /// Begins a call, which goes on until what comes back is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> ActiveCall {
        self.calls.fetch_add(1, Ordering::Relaxed);
        ActiveCall(Arc::clone(self))
    }

    /// Notes that bytes of a response wait to be taken, which may be so after the end of its call.
    pub(crate) fn note_blocked(&self) {
        self.is_sending.store(true, Ordering::Relaxed);
    }

    /// Notes that no bytes of a response wait to be taken.
    pub(crate) fn note_unblocked(&self) {
        self.is_sending.store(false, Ordering::Relaxed);
    }

    /// Since when there has been no call; none while there is one, or something of a response to send.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let is_idle =
            self.calls.load(Ordering::Acquire) == 0 && !self.is_sending.load(Ordering::Relaxed);
        is_idle.then(|| self.opened + Duration::from_millis(self.last_end.load(Ordering::Relaxed)))
    }

    /// Whether there has ever been a call.
    pub(crate) fn was_used(&self) -> bool {
        self.calls.load(Ordering::Acquire) > 0 || self.last_end.load(Ordering::Relaxed) > 0
    }

    /// Waits until there has been no call for that long.
    pub(crate) async fn rests_for(&self, time: Duration) {
        loop {
            let rested = self.rested();
            match time.checked_sub(rested) {
                None | Some(Duration::ZERO) => return,
                Some(rest) => sleep(rest).await,
            }
        }
    }

    /// How long there has been no call.
    fn rested(&self) -> Duration {
        self.idle_since()
            .map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        let Self(activity) = self;
        // Never 0, which stands for no call.
        let end = u64::try_from(activity.opened.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        activity.last_end.fetch_max(end, Ordering::Relaxed);
        activity.calls.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// How long it takes from now until the connection has rested long enough.
    async fn wait(activity: &Activity) -> Duration {
        let begun = Instant::now();
        activity.rests_for(LIMIT).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_rests_from_its_opening_and_from_the_end_of_its_last_call() {
        let activity = Arc::new(Activity::new());
        assert_eq!(wait(&activity).await, LIMIT);
        let (first, second) = (activity.begin(), activity.begin());
        drop(first);
        let ends = async {
            sleep(10 * LIMIT).await;
            drop(second);
        };
        let (rested, ()) = tokio::join!(wait(&activity), ends);
        assert_eq!(rested, 11 * LIMIT);
        assert_eq!(wait(&activity).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_not_idle_while_the_end_of_a_response_waits_to_be_taken() {
        let activity = Arc::new(Activity::new());
        drop(activity.begin());
        assert!(activity.was_used(), "however short the call was");
        activity.note_blocked();
        assert_eq!(activity.idle_since(), None);
        activity.note_unblocked();
        assert!(activity.idle_since().is_some());
    }
}
