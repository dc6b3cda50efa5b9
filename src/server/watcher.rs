//! Files that change while the server runs: read again when that is asked for, and when they have
//! changed.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Interval, MissedTickBehavior, interval},
};

use crate::{
    blocking,
    diagnostics::{Diagnostic, Diagnostics, Severity},
    files::Snapshot,
    net::Phase,
};

/// What is read from files and can be read again.
pub(super) trait FromFiles: Send + Sync + 'static {
    /// What its files look like now.
    fn look(&self) -> Snapshot;

    /// Reads them again and logs what came of it.
    fn read_again(&self) -> impl Future<Output = ()> + Send;
}

/// Logs why files were rejected, and what comes of that.
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

/// Looks after what is read from files.
#[derive(Debug)]
pub(super) struct Watcher<F> {
    watched: Arc<F>,
    target: Notify,
}

impl<F: FromFiles> Watcher<F> {
    pub(super) fn new(watched: F) -> Self {
        Self {
            watched: Arc::new(watched),
            target: Notify::new(),
        }
    }

    pub(super) fn watched(&self) -> &F {
        &self.watched
    }

    /// Asks for the files to be read again; asking more often before that is done is no more.
    pub(super) fn ask(&self) {
        self.target.notify_one();
    }

    /// Reads them whenever that is asked for or, if they are to be watched, they have changed since
    /// they were `read`.
    pub(super) async fn attend(
        self: Arc<Self>,
        every: Option<Duration>,
        read: Snapshot,
        mut phase: watch::Receiver<Phase>,
    ) {
        let mut looks = every.map(|every| {
            let mut looks = interval(every);
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
                    () = self.target.notified() => {
                        detector.read = self.look().await.unwrap_or_default();
                    }
                    () = tick(&mut looks) => {
                        if !self.look().await.is_some_and(|now| detector.has_settled_change(now)) {
                            continue;
                        }
                    }
                }
                self.watched.read_again().await;
            }
        };
        tokio::select! {
            () = reading => {}
            _ = phase.wait_for(|phase| *phase > Phase::Serving) => {}
        }
    }

    /// Looks at the files where that holds up nothing else, for a file system may take its time. Nothing is
    /// seen where there is no thread to look.
    async fn look(&self) -> Option<Snapshot> {
        let watched = Arc::clone(&self.watched);
        blocking::run(move || watched.look()).await.ok()
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

/// Files that change from time to time.
#[derive(Debug)]
struct ChangeDetector {
    /// What was last read, whether or not it was any good.
    read: Snapshot,
    /// What was last seen.
    seen: Snapshot,
}

impl ChangeDetector {
    /// Whether the files have changed and nobody is changing them: two looks saw the same.
    fn has_settled_change(&mut self, now: Snapshot) -> bool {
        let is_quiet = now == self.seen;
        self.seen = now;
        let calls = is_quiet && self.seen != self.read;
        if calls {
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
            assert_eq!(detector.has_settled_change(seen.clone()), calls, "{seen:?}");
        }
    }
}
