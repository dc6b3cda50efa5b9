//! Replacing what is on sale while it is being sold.

use std::sync::Arc;

use super::{App, Sale, prices};
use crate::{
    catalog_files::{Loaded, Mistakes},
    domain::{
        catalog::{Catalog, Register},
        openings::Openings,
        slot::{Slot, SlotKey},
    },
    store::{Change, StoreError},
};

/// As many slots are named in a report; further ones are counted.
const MAX_NAMED: usize = 5;

/// What another catalogue has brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Services on sale.
    pub services: usize,
    /// Slots on sale that are not over.
    pub slots: usize,
    /// Slots that are no longer on sale though something was sold of them.
    pub withdrawn: usize,
    /// Slots of which more is sold than they now have.
    pub oversold: usize,
    /// The first of those.
    pub oversold_slots: Vec<String>,
}

/// Why the catalogue on sale has not been replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// The other one has mistakes.
    #[error("{0}")]
    Mistakes(Mistakes),
    /// Its prices cannot be recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A bug.
    #[error("an internal error; it has been logged")]
    Bug,
}

impl App {
    /// Puts on sale what `load` reads. Until that is complete the present catalogue stays on sale,
    /// and for good if it fails. Sales, orders in the making and carts keep what they have.
    ///
    /// # Errors
    /// [`ReloadError`]; then nothing has changed.
    pub async fn reload(
        self: &Arc<Self>,
        load: impl FnOnce(Register) -> Result<Loaded, Mistakes> + Send + 'static,
    ) -> Result<Reloaded, ReloadError> {
        // Goes along with the work, which goes on when nobody waits for it any more.
        let mut last = Arc::clone(&self.last_edition).lock_owned().await;
        *last = last.next();
        let edition = *last;
        let present = self.catalog();
        let register = present.register().clone();
        let loaded = tokio::task::spawn_blocking(move || load(register)).await;
        let loaded = loaded.map_err(|_| ReloadError::Bug)?.map_err(ReloadError::Mistakes)?;
        let Loaded { mut catalog, openings, originals, files: _, warnings: _, unread: _ } = loaded;
        let known = prices::in_force(&present);
        let prices = prices::remember(&mut catalog, &known);
        if prices != known {
            self.commit(Change::Prices(prices)).await?;
        }
        let app = Arc::clone(self);
        let replace = move || {
            let _last = last;
            let (catalog, openings) = (Arc::new(catalog), Arc::new(Openings::new(openings)));
            let since_sec = app.now();
            app.replace(Sale { edition, since_sec, catalog, openings, originals: Arc::new(originals) })
        };
        tokio::task::spawn_blocking(replace).await.map_err(|_| ReloadError::Bug)
    }

    fn replace(&self, next: Sale) -> Reloaded {
        let (edition, catalog) = (next.edition, Arc::clone(&next.catalog));
        let (now, horizon_sec) = (self.now(), self.limits.horizon_sec);
        {
            // In hand until the edition is on sale, so that nothing else is opened meanwhile.
            let mut calendar = self.calendar();
            let openings = Arc::clone(&next.openings);
            *calendar = calendar.stage(edition, openings, &self.inventory, now, horizon_sec);
            self.sale.store(Arc::new(next));
        }
        let mut reloaded = Reloaded { services: catalog.services().count(), ..Reloaded::default() };
        let mut oversold = Vec::new();
        self.inventory.turn(edition, |key, slot| {
            if key.end_sec() >= now {
                reloaded.count(slot);
                if is_oversold(&catalog, key, slot) {
                    oversold.push(key);
                }
            }
        });
        oversold.sort_unstable();
        reloaded.oversold = oversold.len();
        reloaded.oversold_slots = oversold.iter().take(MAX_NAMED).map(|key| named(&catalog, key)).collect();
        reloaded
    }
}

impl Reloaded {
    fn count(&mut self, slot: &Slot) {
        if slot.is_open() {
            self.slots += 1;
        } else if slot.sold() > 0 {
            self.withdrawn += 1;
        }
    }
}

fn is_oversold(catalog: &Catalog, key: SlotKey, slot: &Slot) -> bool {
    catalog.find_service(key.service).is_some_and(|service| slot.is_oversold(service))
}

fn named(catalog: &Catalog, key: &SlotKey) -> String {
    let service = catalog.service(key.service);
    let merchant = &catalog.merchant(service.merchant).id;
    format!("{merchant}/{} from {} for {} s", service.id, key.start_sec, key.duration_sec)
}
