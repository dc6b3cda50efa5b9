//! Reading the catalogue again.

use std::{path::PathBuf, sync::Arc};

use super::watcher::FromFiles;
use crate::{
    app::{App, ReloadError, Reloaded},
    catalog_files::{self, Mistake, Mistakes, Snapshot},
};

/// Reads the catalogue of an application again.
#[derive(Debug)]
pub(super) struct Reloader {
    app: Arc<App>,
    dir: PathBuf,
}

impl Reloader {
    pub(super) fn new(app: Arc<App>, dir: PathBuf) -> Self {
        Self { app, dir }
    }

    /// Reads it again and logs what came of it.
    pub(super) async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let dir = self.dir.clone();
        let outcome = self.app.reload(move |register| catalog_files::load_after(&dir, register)).await;
        match &outcome {
            Ok(reloaded) => log_reloaded(reloaded),
            Err(ReloadError::Mistakes(mistakes)) => log_mistakes(mistakes),
            Err(error @ (ReloadError::Store(_) | ReloadError::Bug)) => {
                tracing::error!(%error, "the catalogue was not replaced");
            }
        }
        outcome
    }
}

impl FromFiles for Reloader {
    fn look(&self) -> Snapshot {
        Snapshot::of(&self.dir)
    }

    async fn read_again(&self) {
        // Logged where it is known.
        let _ = self.reload().await;
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
