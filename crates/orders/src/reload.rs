//! Reload: the replacement of the active catalogue while orders are created.

use std::sync::Arc;

use super::{
    ActiveCatalog, App, prices,
    reconcile::{Reconciler, Reloaded},
};
use catalog::Loaded;
use domain::{catalog::IdInterner, openings::Openings};
use kernel::{
    blocking::{self, BlockingError},
    diagnostics::Diagnostics,
};
use store::{CommitError, ErrorChain, Write};

/// Why a reload has failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReloadError {
    /// The new catalogue has errors.
    #[error("{0}")]
    Invalid(Diagnostics),
    /// The new prices cannot be recorded.
    #[error("{}", ErrorChain(.0))]
    Store(CommitError),
    /// No thread is available, or the work has panicked.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

impl App {
    /// Activates the catalogue that `load` reads. The present one stays active until then, and if the reload
    /// fails. Sales, orders in flight and holds keep their spots.
    ///
    /// # Errors
    /// [`ReloadError`]; then nothing has changed.
    pub async fn reload(
        self: &Arc<Self>,
        load: impl FnOnce(IdInterner) -> Result<Loaded, Diagnostics> + Send + 'static,
    ) -> Result<Reloaded, ReloadError> {
        // Owned, because the guard moves to the blocking thread, which continues if the caller is cancelled.
        let mut latest = Arc::clone(&self.latest).lock_owned().await;
        // Advanced even if the reload fails: a revision is never used for two catalogues.
        latest.revision = latest.revision.next();
        let revision = latest.revision;
        // The interner continues, so that ids keep their indexes in the ledgers of the inventory.
        let ids = self.catalog().ids().clone();
        let loaded = blocking::run(move || load(ids))
            .await?
            .map_err(ReloadError::Invalid)?;
        let Loaded {
            mut catalog,
            openings,
            source_feeds,
            files: _,
            warnings: _,
            unread: _,
        } = loaded;
        let prices = prices::remember(&mut catalog, &latest.prices);
        // On record before the catalogue is active: a client may have a new price as soon as it is.
        if prices != latest.prices {
            self.commit(&Write::Prices(prices.clone()).into())
                .await
                .map_err(ReloadError::Store)?;
            latest.prices = prices;
        }
        let app = Arc::clone(self);
        let replace = move || {
            // Moved into the work: the lock is held until the catalogue is active, even if the
            // caller is cancelled.
            let _latest = latest;
            let (catalog, openings) = (Arc::new(catalog), Arc::new(Openings::new(openings)));
            let since_sec = app.now();
            app.activate(ActiveCatalog {
                revision,
                since_sec,
                catalog,
                openings,
                source_feeds: Arc::new(source_feeds),
            })
        };
        Ok(blocking::run(replace).await?)
    }

    fn activate(&self, next: ActiveCatalog) -> Reloaded {
        let (revision, catalog) = (next.revision, Arc::clone(&next.catalog));
        let (now, horizon) = (self.now(), self.limits.horizon);
        {
            // Locked until the revision is active: a sweep in between would extend the old openings only, and
            // the slots that it opened would be missing from the new ones.
            let mut calendar = self.calendar();
            let openings = Arc::clone(&next.openings);
            *calendar = calendar.stage(revision, openings, &self.inventory, now, horizon);
            // After the slots are staged: a decision by the new catalogue must find its slots.
            self.active.store(Arc::new(next));
        }
        let mut reconciler = Reconciler::new(&catalog, now);
        self.inventory
            // Outside of the calendar's lock: this visits all slots, and a slot that a call
            // needs earlier advances by that call.
            .advance_all(revision, |key, slot| reconciler.see(key, slot));
        let reloaded = reconciler.finish();
        reloaded.warn();
        reloaded
    }
}
