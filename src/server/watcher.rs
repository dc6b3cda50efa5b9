//! Files that are reloaded while the server runs: on request, and when they have changed.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Interval, MissedTickBehavior, interval},
};

use crate::net::Phase;
use kernel::{
    blocking,
    diagnostics::{Diagnostic, Diagnostics, Severity},
    files::Snapshot,
};

/// A part that is read from files and can be reloaded.
pub(super) trait FromFiles: Send + Sync + 'static {
    /// A snapshot of its files.
    fn snapshot(&self) -> Snapshot;

    /// Reloads the files and logs the outcome.
    fn reload_files(&self) -> impl Future<Output = ()> + Send;
}

/// Logs the errors of rejected files, and what stays in use.
pub(super) fn log_rejected(what: &str, outcome: &str, errors: &Diagnostics) {
    for Diagnostic {
        severity: _,
        code,
        location,
        text,
        more_places,
    } in errors.of(Severity::Error)
    {
        tracing::error!(code, %location, text, more_places, "an error in {what}");
    }
    let unlisted: usize = errors.unlisted(Severity::Error).values().sum();
    let total = errors.total(Severity::Error);
    tracing::error!(errors = total, unlisted, "{what} {outcome}");
}

/// Reloads a part when it is asked to or its files change.
#[derive(Debug)]
pub(super) struct Watcher<F> {
    watched: Arc<F>,
    requested: Notify,
}

impl<F: FromFiles> Watcher<F> {
    pub(super) fn new(watched: F) -> Self {
        Self {
            watched: Arc::new(watched),
            requested: Notify::new(),
        }
    }

    pub(super) fn watched(&self) -> &F {
        &self.watched
    }

    /// Requests a reload. Several requests before it begins are one.
    pub(super) fn request_reload(&self) {
        // Keeps one permit, so a request during a reload leads to exactly one more reload.
        self.requested.notify_one();
    }

    /// Reloads on request and, with an interval, when the files have changed since the snapshot
    /// `read`.
    pub(super) async fn run(
        self: Arc<Self>,
        every: Option<Duration>,
        read: Snapshot,
        mut phase: watch::Receiver<Phase>,
    ) {
        let mut looks = every.map(|every| {
            let mut looks = interval(every);
            // A slow reload must not be followed by a burst of missed checks.
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            looks
        });
        let mut detector = ChangeDetector {
            read: read.clone(),
            seen: read,
        };
        let reading = async {
            loop {
                tokio::select! {
                    () = self.requested.notified() => {
                        // Before the reload, so that a change while it reads is noticed by the next
                        // check.
                        detector.read = self.snapshot().await.unwrap_or_default();
                    }
                    () = tick(&mut looks) => {
                        if !self.snapshot().await.is_some_and(|now| detector.has_complete_change(now)) {
                            continue;
                        }
                    }
                }
                // One at a time: the loop checks again only after the reload has ended.
                self.watched.reload_files().await;
            }
        };
        tokio::select! {
            () = reading => {}
            // A reload during a shutdown would be of no use, and may be cancelled at any point: it
            // replaces things in one step.
            _ = phase.wait_for(|phase| *phase > Phase::Serving) => {}
        }
    }

    /// Takes a snapshot on a blocking thread, because a file system may be slow. `None` if there is
    /// no thread.
    async fn snapshot(&self) -> Option<Snapshot> {
        let watched = Arc::clone(&self.watched);
        blocking::run(move || watched.snapshot()).await.ok()
    }
}

async fn tick(looks: &mut Option<Interval>) {
    match looks {
        Some(looks) => {
            looks.tick().await;
        }
        None => pending().await,
    }
}

/// Detects changes of files.
#[derive(Debug)]
struct ChangeDetector {
    /// The snapshot of the last reload, successful or not.
    read: Snapshot,
    /// The latest snapshot.
    seen: Snapshot,
}

impl ChangeDetector {
    /// Whether the files have changed and the change is complete: two snapshots in a row are equal.
    fn has_complete_change(&mut self, now: Snapshot) -> bool {
        let is_quiet = now == self.seen;
        self.seen = now;
        let calls = is_quiet && self.seen != self.read;
        if calls {
            // Also for files that turn out to be invalid: they are reported once and not at every
            // check.
            self.read.clone_from(&self.seen);
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_read_once_when_they_have_changed_and_are_at_rest() {
        let dir = tempfile::tempdir().unwrap();
        let write = |text: &str| {
            fs::write(dir.path().join("a"), text).unwrap();
            Snapshot::of(dir.path())
        };
        let (first, second, third) = (write("1"), write("22"), write("333"));
        let mut detector = ChangeDetector {
            read: first.clone(),
            seen: first.clone(),
        };
        for (seen, calls) in [
            (&first, false),
            (&second, false),
            (&third, false),
            (&third, true),
            (&third, false),
            (&second, false),
            (&third, false),
            (&third, false),
            (&first, false),
            (&first, true),
        ] {
            assert_eq!(
                detector.has_complete_change(seen.clone()),
                calls,
                "{seen:?}"
            );
        }
    }
}
