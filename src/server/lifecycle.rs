//! Reload of the lifecycle from the file of the settings.

use std::{path::PathBuf, sync::Arc};

use super::watcher::{FromFiles, log_rejected};
use kernel::{blocking, files::Snapshot};
use orders::{
    App,
    lifecycle::{LifecycleError, LifecycleFile},
};

/// The end of the log line for a rejected lifecycle.
const REJECTED: &str = "was rejected; the one in force stays so";

/// Puts the definition of a file in force.
#[derive(Debug)]
pub(super) struct LifecycleReloader {
    app: Arc<App>,
    file: PathBuf,
}

impl LifecycleReloader {
    pub(super) fn new(app: &Arc<App>, file: PathBuf) -> Self {
        Self {
            app: Arc::clone(app),
            file,
        }
    }

    /// Reads the file and puts its definition in force, if it is another one. The outcome is logged. Says whether there is
    /// another definition in force.
    pub(super) async fn reload(&self) -> bool {
        let file = self.file.clone();
        let read = match blocking::run(move || LifecycleFile::read(&file)).await {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "the lifecycle could not be read");
                return false;
            }
        };
        let file = match read {
            Ok(file) => file,
            Err(errors) => {
                log_rejected("the lifecycle", REJECTED, &errors);
                return false;
            }
        };
        match self.app.adopt_lifecycle(&file).await {
            Ok(is_new) => is_new,
            Err(error @ LifecycleError::Stranded(_)) => {
                tracing::error!(%error, "the lifecycle {REJECTED}");
                false
            }
            Err(error) => {
                tracing::error!(%error, "the lifecycle could not be published; the one in force stays so");
                false
            }
        }
    }
}

impl FromFiles for LifecycleReloader {
    fn snapshot(&self) -> Snapshot {
        // Read on request only: a lifecycle is published on purpose.
        Snapshot::default()
    }

    async fn reload_files(&self) {
        // The outcome has been logged already.
        let _ = self.reload().await;
    }
}
