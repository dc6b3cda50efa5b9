//! Reload of the catalogue.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    security::{self, Access},
    watcher::{FromFiles, log_rejected},
};
use crate::config::Config;
use catalog::{self, CatalogSummary, Loaded, Snapshot};
use domain::time::{EpochSeconds, Seconds};
use kernel::{
    clock::Clock,
    diagnostics::{Diagnostic, Severity},
    metrics::Counter,
};
use orders::{
    audit::AuditEvent,
    {App, ReloadError, Reloaded},
};

/// The end of the log line for a rejected catalogue.
const REJECTED: &str = "was rejected; the previous one stays active";

/// Reloads the catalogue of an application.
#[derive(Debug)]
pub(super) struct Reloader {
    app: Arc<App>,
    /// The users, whose scopes are compared with the catalogue.
    access: [Arc<Access>; 2],
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    /// How far ahead repeated availability is open.
    horizon: Seconds,
    metrics: ReloadMetrics,
}

/// The outcomes of reloads.
#[derive(Debug, Default)]
pub(super) struct ReloadMetrics {
    pub(super) activated: Counter,
    pub(super) rejected: Counter,
    pub(super) failed: Counter,
    last_failed: AtomicBool,
}

impl ReloadMetrics {
    /// Whether the latest reload was activated.
    pub(super) fn last_succeeded(&self) -> bool {
        !self.last_failed.load(Ordering::Relaxed)
    }

    fn count(&self, outcome: &Result<Reloaded, ReloadError>) {
        match outcome {
            Ok(_) => &self.activated,
            Err(ReloadError::Invalid(_)) => &self.rejected,
            Err(ReloadError::Store(_) | ReloadError::Blocking(_)) => &self.failed,
        }
        .inc();
        // Relaxed: a metric reads it, and nothing else depends on it.
        self.last_failed.store(outcome.is_err(), Ordering::Relaxed);
    }
}

impl Reloader {
    pub(super) fn new(
        app: &Arc<App>,
        access: [&Arc<Access>; 2],
        config: &Config,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            app: Arc::clone(app),
            access: access.map(Arc::clone),
            dir: config.sales.catalog.clone(),
            clock,
            horizon: super::limits(config).horizon,
            metrics: ReloadMetrics::default(),
        }
    }

    /// The outcomes so far.
    pub(super) fn metrics(&self) -> &ReloadMetrics {
        &self.metrics
    }

    /// Reloads the catalogue and logs the outcome.
    pub(super) async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let (dir, clock, horizon) = (self.dir.clone(), Arc::clone(&self.clock), self.horizon);
        let load = move |ids| {
            let loaded = catalog::load_after(&dir, ids);
            loaded.map(|loaded| summarized(loaded, clock.now_sec(), horizon).0)
        };
        // Loading runs inside, under the lock of reloads, so that two reloads cannot overtake each
        // other.
        let outcome = self.app.reload(load).await;
        self.metrics.count(&outcome);
        self.app.audit().record(match &outcome {
            Ok(_) => AuditEvent::CatalogReloaded {
                revision: self.app.active_revision().0.0,
            },
            Err(_) => AuditEvent::CatalogRejected,
        });
        match &outcome {
            Ok(reloaded) => {
                log_reloaded(reloaded);
                self.app.warn_of_prepayment();
                for access in &self.access {
                    security::warn_of_unknown_merchants(access, &self.app);
                }
            }
            Err(ReloadError::Invalid(errors)) => log_rejected("the catalogue", REJECTED, errors),
            Err(error @ (ReloadError::Store(_) | ReloadError::Blocking(_))) => {
                tracing::error!(%error, "the reload of the catalogue failed");
            }
        }
        outcome
    }
}

impl FromFiles for Reloader {
    fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.dir)
    }

    async fn reload_files(&self) {
        // The error has been logged already.
        let _ = self.reload().await;
    }
}

/// The catalogue with its summary. Warnings are logged.
pub(super) fn summarized(
    mut loaded: Loaded,
    now: EpochSeconds,
    horizon: Seconds,
) -> (Loaded, CatalogSummary) {
    let summary = CatalogSummary::of(&loaded.catalog, &loaded.openings, now, horizon);
    summary.warn(&loaded.catalog, now, &mut loaded.warnings);
    log_warnings(&loaded);
    (loaded, summary)
}

/// Logs warnings, and which files were not read.
fn log_warnings(loaded: &Loaded) {
    for warning in loaded.warnings.list() {
        let Diagnostic {
            code,
            location,
            text,
            more_places,
            severity: _,
        } = warning;
        tracing::warn!(
            code,
            %location,
            text,
            more_places,
            "a warning about the catalogue"
        );
    }
    for (code, more) in loaded.warnings.unlisted(Severity::Warning) {
        tracing::warn!(code, more, "more warnings about the catalogue");
    }
    if !loaded.unread.is_empty() {
        tracing::info!(
            files = loaded.unread.join(", "),
            "files of the catalogue folder that are not read"
        );
    }
}

fn log_reloaded(
    Reloaded {
        services,
        slots,
        withdrawn,
        ..
    }: &Reloaded,
) {
    tracing::info!(
        services,
        slots,
        withdrawn_with_sales = withdrawn,
        "catalogue reloaded"
    );
}
