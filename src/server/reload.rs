//! Reading the catalogue again: when it is asked for, and when its files have changed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Interval, MissedTickBehavior, interval},
};

use super::Phase;
use crate::{
    app::{App, ReloadError, Reloaded},
    catalog_files::{self, Mistake, Mistakes, Snapshot},
};

/// Reads the catalogue of an application again.
#[derive(Debug)]
pub(super) struct Reloader {
    app: Arc<App>,
    dir: PathBuf,
    asked: Notify,
}

impl Reloader {
    pub(super) fn new(app: Arc<App>, dir: PathBuf) -> Self {
        Self { app, dir, asked: Notify::new() }
    }

    /// Asks for the catalogue to be read again; asking more often before that is done is no more.
    pub(super) fn ask(&self) {
        self.asked.notify_one();
    }

    /// Reads it again and logs what came of it.
    pub(super) async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let dir = self.dir.clone();
        let load = move |register| {
            catalog_files::load_after(&dir, register).inspect(|loaded| log_remarks(&loaded.remarks))
        };
        let outcome = self.app.reload(load).await;
        match &outcome {
            Ok(reloaded) => log_reloaded(reloaded),
            Err(ReloadError::Mistakes(mistakes)) => log_mistakes(mistakes),
            Err(error @ (ReloadError::Store(_) | ReloadError::Bug)) => {
                tracing::error!(%error, "the catalogue was not replaced");
            }
        }
        outcome
    }

    /// Reads it whenever that is asked for or, if it is to be watched, its files, of which `files`
    /// have been read, have changed.
    pub(super) async fn attend(
        self: Arc<Self>,
        every: Option<Duration>,
        files: Snapshot,
        mut phase: watch::Receiver<Phase>,
    ) {
        let mut looks = every.map(|every| {
            let mut looks = interval(every);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            looks
        });
        let mut watch = Watch { read: files.clone(), seen: files };
        let reading = async {
            loop {
                tokio::select! {
                    () = self.asked.notified() => watch.read = self.look().await,
                    () = tick(&mut looks) => if !watch.calls_for_reading(self.look().await) { continue },
                }
                // Logged where it is known.
                let _ = self.reload().await;
            }
        };
        tokio::select! {
            () = reading => {}
            _ = phase.wait_for(|phase| *phase > Phase::Serving) => {}
        }
    }

    /// Looks at the files where that holds up nothing else, for a file system may take its time.
    async fn look(&self) -> Snapshot {
        let dir = self.dir.clone();
        tokio::task::spawn_blocking(move || Snapshot::of(&dir)).await.unwrap_or_default()
    }
}

async fn tick(looks: &mut Option<Interval>) {
    match looks {
        Some(looks) => {
            looks.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// Files that change from time to time.
#[derive(Debug)]
struct Watch {
    /// What was last read, whether or not it was any good.
    read: Snapshot,
    /// What was last seen.
    seen: Snapshot,
}

impl Watch {
    /// Whether the files have changed and nobody is changing them: two looks saw the same.
    fn calls_for_reading(&mut self, now: Snapshot) -> bool {
        let is_quiet = now == self.seen;
        self.seen = now;
        let calls = is_quiet && self.seen != self.read;
        if calls {
            self.read.clone_from(&self.seen);
        }
        calls
    }
}

/// Logs what may not be meant.
pub(super) fn log_remarks(remarks: &[Mistake]) {
    for Mistake { file, at, text } in remarks {
        tracing::warn!(file, at, text, "a remark on the catalogue");
    }
}

fn log_reloaded(reloaded: &Reloaded) {
    let Reloaded { services, slots, withdrawn, oversold, oversold_slots } = reloaded;
    if *oversold > 0 {
        let examples = oversold_slots.join("; ");
        tracing::warn!(
            slots = oversold,
            examples,
            "more is sold of some slots than the catalogue now gives them"
        );
    }
    tracing::info!(services, slots, withdrawn_with_sales = withdrawn, "another catalogue is on sale");
}

fn log_mistakes(mistakes: &Mistakes) {
    let Mistakes { list, unlisted } = mistakes;
    for Mistake { file, at, text } in list {
        tracing::error!(file, at, text, "a mistake in the catalogue");
    }
    let mistakes = list.len() + unlisted;
    tracing::error!(mistakes, unlisted, "the catalogue was refused; the one before stays on sale");
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
        let mut watch = Watch { read: first.clone(), seen: first.clone() };
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
            assert_eq!(watch.calls_for_reading(seen.clone()), calls, "{seen:?}");
        }
    }
}
