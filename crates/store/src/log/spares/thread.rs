//! The thread that fills spares.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{FillerStatus, SpareFiller, Spares};
use crate::ErrorChain;

/// Between two steps, so that they take turns with the syncs of the log. The thread has no lower priority: one that
/// runs in idle time only may hold the lock while it waits for a core, and the log would wait with it.
const PAUSE: Duration = Duration::from_millis(2);

/// Between an error and the next try. Long, because on a full disk every try takes room from the log for a while.
const RETRY: Duration = Duration::from_secs(60);

/// Fills spares in a thread of its own until it is dropped.
#[derive(Debug)]
pub(in crate::log) struct SpareThread {
    spares: Arc<Spares>,
    thread: Option<JoinHandle<()>>,
}

impl SpareThread {
    /// Starts the thread, which keeps spares of `segment_bytes` ready. `on_ready` is called each time that
    /// some are, before the thread rests.
    ///
    /// # Errors
    /// Where the directory cannot be listed, or there is no thread left.
    pub(in crate::log) fn start(
        spares: Arc<Spares>,
        segment_bytes: u64,
        on_ready: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let filler = SpareFiller::new(spares, segment_bytes)?;
        Self::start_reporting(filler, on_ready, |error| {
            tracing::warn!(
                error = %ErrorChain(error),
                "no spare segment can be prepared; orders are written without, more slowly, while it is tried again"
            );
        })
    }

    /// Starts the thread. `report` is called with the first error, and again with the first after a success; the
    /// thread goes on trying.
    ///
    /// # Errors
    /// Where there is no thread left.
    pub(super) fn start_reporting(
        filler: SpareFiller,
        on_ready: impl Fn() + Send + 'static,
        report: impl Fn(&io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        let spares = Arc::clone(&filler.spares);
        let thread = thread::Builder::new()
            .name("store-spares".to_owned())
            .spawn(move || fill(filler, on_ready, report))?;
        Ok(Self {
            spares,
            thread: Some(thread),
        })
    }
}

impl Drop for SpareThread {
    fn drop(&mut self) {
        self.spares.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been logged; there is nothing left to do about it.
            let _ = thread.join();
        }
    }
}

fn fill(mut filler: SpareFiller, on_ready: impl Fn(), report: impl Fn(&io::Error)) {
    let spares = Arc::clone(&filler.spares);
    let mut has_failed = false;
    while !spares.is_stopping() {
        match filler.step() {
            Ok(FillerStatus::Busy) => spares.pause(PAUSE),
            Ok(FillerStatus::Done) => {
                has_failed = false;
                if spares.ready() > 0 {
                    on_ready();
                }
                spares.wait_until_wanted();
            }
            Err(error) => {
                if !has_failed {
                    report(&error);
                }
                has_failed = true;
                // There may be room for one, which is all that the log needs.
                if spares.ready() > 0 {
                    on_ready();
                }
                spares.pause(RETRY);
            }
        }
    }
}

impl Spares {
    fn stop(&self) {
        self.state().is_stopping = true;
        self.changed.notify_all();
    }

    fn is_stopping(&self) -> bool {
        self.state().is_stopping
    }

    /// Waits, but not for a stop.
    fn pause(&self, pause: Duration) {
        let state = self.state();
        // In a loop of its own, because every spare that is taken wakes the thread, too.
        let waited = self
            .changed
            .wait_timeout_while(state, pause, |state| !state.is_stopping);
        // Poisoned: the next use of the state deals with it.
        drop(waited);
    }

    /// Waits until there is a reason for a step.
    fn wait_until_wanted(&self) {
        let state = self.state();
        let is_idle = |state: &mut super::SparesState| {
            !state.is_stopping && (!state.is_wanted || state.ready.len() >= super::READY)
        };
        drop(self.changed.wait_while(state, is_idle));
    }
}
