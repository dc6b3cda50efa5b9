//! The calls in flight on a connection, and the time since the last one ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified},
    time::{Instant, sleep},
};

/// New connections that wait until an open one ends or becomes idle.
#[derive(Debug, Default)]
pub(crate) struct ConnectionWaiters {
    waiting: AtomicUsize,
    changed: Notify,
}

/// A new connection that waits, until this is dropped.
#[derive(Debug)]
pub(crate) struct WaiterGuard<'a>(&'a ConnectionWaiters);

/// The activity of a connection.
#[derive(Debug)]
pub(crate) struct Activity {
    /// Notified when the connection becomes idle.
    waiters: Arc<ConnectionWaiters>,
    calls: AtomicUsize,
    opened: Instant,
    /// Milliseconds from the opening of the connection to the end of its latest call; 0 before the
    /// first.
    last_end: AtomicU64,
    /// Whether bytes of a response wait because the peer takes none.
    is_sending: AtomicBool,
}

/// A call in flight, until this is dropped.
#[derive(Debug)]
pub(crate) struct ActiveCall(Arc<Activity>);

impl ConnectionWaiters {
    /// Counts a new connection that waits.
    pub(crate) fn wait(&self) -> WaiterGuard<'_> {
        // SeqCst, like the end of a call and the reads on both sides: either the waiter sees the
        // connection idle, or the end of the call sees the waiter.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        WaiterGuard(self)
    }

    /// Whether any new connection waits.
    pub(crate) fn are_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Wakes all that wait. Without any it is a single load, because every call ends with it.
    pub(crate) fn notify(&self) {
        if self.are_waiting() {
            // All, and without a stored permit: a permit would only cause a look at the table in vain
            // later.
            self.changed.notify_waiters();
        }
    }
}

impl WaiterGuard<'_> {
    /// Waits for the next notification after the call of this function.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }
}

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Activity {
    pub(crate) fn new(waiters: Arc<ConnectionWaiters>) -> Self {
        Self {
            waiters,
            calls: AtomicUsize::new(0),
            opened: Instant::now(),
            // Milliseconds in an atomic instead of an `Instant` under a lock: calls must not take a
            // lock here.
            last_end: AtomicU64::new(0),
            is_sending: AtomicBool::new(false),
        }
    }

    /// Begins a call, which is in flight until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> ActiveCall {
        // Relaxed: nothing is published by the beginning of a call.
        self.calls.fetch_add(1, Ordering::Relaxed);
        ActiveCall(Arc::clone(self))
    }

    /// Records that bytes of a response wait for the peer. That may outlast the call.
    pub(crate) fn note_blocked(&self) {
        self.is_sending.store(true, Ordering::Relaxed);
    }

    /// Notes that no bytes of a response wait to be taken.
    pub(crate) fn note_unblocked(&self) {
        // Read first, because this runs at every turn of the connection, and only the connection
        // itself writes the flag.
        if self.is_sending.load(Ordering::Relaxed) {
            // SeqCst for the reason given in `ConnectionWaiters::wait`.
            self.is_sending.store(false, Ordering::SeqCst);
            self.waiters.notify();
        }
    }

    /// The start of the idle time; `None` while a call is in flight or bytes of a response wait.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let is_idle =
            // SeqCst for the reason given in `ConnectionWaiters::wait`. As an acquire it also pairs with the
            // drop of a call: a count of 0 implies that its `last_end` is visible.
            self.calls.load(Ordering::SeqCst) == 0 && !self.is_sending.load(Ordering::SeqCst);
        is_idle.then(|| self.opened + Duration::from_millis(self.last_end.load(Ordering::Relaxed)))
    }

    /// Whether there has ever been a call.
    pub(crate) fn was_used(&self) -> bool {
        // The count is read before `last_end`. In the other order a call that ends in between would
        // be missed.
        self.calls.load(Ordering::Acquire) > 0 || self.last_end.load(Ordering::Relaxed) > 0
    }

    /// Waits until the connection has been idle for this time without a break.
    pub(crate) async fn rests_for(&self, time: Duration) {
        // A call may come and go during the sleep, so the idle time is measured again after it.
        loop {
            let rested = self.rested();
            match time.checked_sub(rested) {
                None | Some(Duration::ZERO) => return,
                Some(rest) => sleep(rest).await,
            }
        }
    }

    /// The idle time so far.
    fn rested(&self) -> Duration {
        self.idle_since()
            .map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        let Self(activity) = self;
        // At least 1, because 0 stands for "no call yet".
        let end = u64::try_from(activity.opened.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        // A maximum, because calls of one connection may end on several threads in any order.
        activity.last_end.fetch_max(end, Ordering::Relaxed);
        // After the end time and as a release: once the count is 0, the end time of the call is there.
        // SeqCst for the reason given in `ConnectionWaiters::wait`.
        if activity.calls.fetch_sub(1, Ordering::SeqCst) == 1 {
            activity.waiters.notify();
        }
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
        let activity = Arc::new(Activity::new(Arc::default()));
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
        let activity = Arc::new(Activity::new(Arc::default()));
        drop(activity.begin());
        assert!(activity.was_used(), "however short the call was");
        activity.note_blocked();
        assert_eq!(activity.idle_since(), None);
        activity.note_unblocked();
        assert!(activity.idle_since().is_some());
    }
}
