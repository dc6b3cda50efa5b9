//! Opening for business: what is on record is brought back before anything is sold.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use tokio_util::task::TaskTracker;

use super::{App, Figures, Limits, Sale, Tokens, indexed, payment::Unsettled, prices, tokens::TokenClaim};
use crate::{
    catalog_files::Loaded,
    clock::Clock,
    domain::{
        catalog::Register,
        openings::Openings,
        order::EpochSeconds,
        slot::{Claim, Edition, MAX_DURATION_SEC, Opening},
    },
    inventory::Inventory,
    payments::Payments,
    store::{Change, PaymentIntent, Recovered, Store, StoreError},
};

/// Why the doors cannot be opened.
pub type OpenError = StoreError;

/// What an [`App`] is put together from.
#[derive(Debug)]
pub struct Parts {
    /// What is on sale.
    pub loaded: Loaded,
    /// Where orders are kept.
    pub store: Arc<dyn Store>,
    /// Who takes the money.
    pub payments: Arc<dyn Payments>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Limits.
    pub limits: Limits,
}

/// Availability of the edition on sale, and until when what of it is repeated has been opened.
#[derive(Debug)]
pub(super) struct Calendar {
    edition: Edition,
    openings: Arc<Openings>,
    opened_until: EpochSeconds,
}

/// What a server that does not run has on sale, and what it has sold of it.
#[derive(Debug)]
pub struct Stock {
    pub(super) sale: Arc<Sale>,
    pub(super) inventory: Inventory,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) horizon_sec: i64,
}

impl Stock {
    /// Reads the store, and changes nothing in it: what is being paid for counts as sold.
    ///
    /// # Errors
    /// If the store cannot be read as a whole.
    pub fn open(
        loaded: Loaded,
        store: &dyn Store,
        clock: Arc<dyn Clock>,
        horizon_sec: i64,
    ) -> Result<Self, OpenError> {
        let Loaded { mut catalog, openings, originals, files: _, warnings: _, unread: _ } = loaded;
        let inventory = Inventory::default();
        let register = catalog.register_mut();
        let recovered = recover(store, register, &inventory, clock.now_sec())?;
        for intent in recovered.pending {
            inventory.restore(&indexed(register, &intent.claims));
        }
        let sale = Arc::new(Sale {
            edition: Edition::default(),
            since_sec: clock.now_sec(),
            catalog: Arc::new(catalog),
            openings: Arc::new(Openings::new(openings)),
            originals: Arc::new(originals),
        });
        Ok(Self { sale, inventory, clock, horizon_sec })
    }
}

impl App {
    /// Reads the store and opens the slots. Payments that the last run left open are undone in the
    /// background; until then their spots count as taken and their tokens as at work.
    ///
    /// # Errors
    /// If the store cannot be read as a whole or cannot be written.
    pub async fn open(parts: Parts) -> Result<Arc<Self>, OpenError> {
        let Parts { loaded, store, payments, clock, limits } = parts;
        let Loaded { mut catalog, openings, originals, files: _, warnings: _, unread: _ } = loaded;
        let openings = Arc::new(Openings::new(openings));
        let now = clock.now_sec();
        let inventory = Inventory::with_capacity(openings.single_slots());
        let recovered = recover(&*store, catalog.register_mut(), &inventory, now)?;
        let prices = prices::remember(&mut catalog, &recovered.prices);
        if prices != recovered.prices {
            store.commit(Change::Prices(prices)).await?;
        }
        let calendar = Calendar::open(Arc::clone(&openings), &inventory, now, limits.horizon_sec);
        let pending: Vec<(PaymentIntent, Vec<Claim>)> = recovered
            .pending
            .into_iter()
            .map(|intent| {
                let claims = indexed(catalog.register_mut(), &intent.claims);
                (intent, claims)
            })
            .collect();
        let edition = calendar.edition;
        let (catalog, originals) = (Arc::new(catalog), Arc::new(originals));
        let app = Arc::new(Self {
            sale: ArcSwap::from_pointee(Sale { edition, since_sec: now, catalog, openings, originals }),
            inventory,
            calendar: Mutex::new(calendar),
            last_edition: Arc::new(tokio::sync::Mutex::new(edition)),
            store,
            payments,
            clock,
            tokens: Tokens::default(),
            commands: TaskTracker::new(),
            limits,
            figures: Figures::default(),
        });
        tracing::info!(
            slots = app.inventory.len(),
            orders = recovered.orders,
            open_payments = pending.len(),
            "open for business"
        );
        app.settle_all(pending);
        Ok(app)
    }

    /// Opens the recurring slots that have come within the horizon, and forgets slots that are
    /// over. To be called now and then.
    pub fn turn_the_page(&self) {
        let now = self.now();
        let retired = self.inventory.retire(now.saturating_sub(MAX_DURATION_SEC));
        let until = now.saturating_add(self.limits.horizon_sec);
        let opened = self.calendar().extend(&self.inventory, until);
        tracing::debug!(opened, retired, "the calendar moved on");
    }

    /// What is on sale, and until when what of it is repeated has been opened.
    pub(super) fn opened(&self) -> (Arc<Sale>, EpochSeconds) {
        // With the calendar in hand, nothing else can go on sale.
        let calendar = self.calendar();
        (self.sale.load_full(), calendar.opened_until)
    }

    pub(super) fn calendar(&self) -> MutexGuard<'_, Calendar> {
        self.calendar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle_all(self: &Arc<Self>, pending: Vec<(PaymentIntent, Vec<Claim>)>) {
        for (intent, claims) in pending {
            let TokenClaim::First(token) = self.tokens.claim(&intent.token) else { continue };
            self.inventory.restore(&claims);
            let app = Arc::clone(self);
            self.commands.spawn(async move { app.settle(Unsettled { intent, claims, token }).await });
        }
    }
}

fn recover(
    store: &dyn Store,
    register: &mut Register,
    inventory: &Inventory,
    now: EpochSeconds,
) -> Result<Recovered, StoreError> {
    let mut recovered = store.recover()?;
    // What is over need not be known any more.
    recovered.sold.retain(|claim| claim.start_sec.saturating_add(i64::from(claim.duration_sec)) >= now);
    inventory.restore(&indexed(register, &recovered.sold));
    Ok(recovered)
}

impl Calendar {
    /// Opens single slots however far ahead, and recurring ones within the horizon.
    fn open(openings: Arc<Openings>, inventory: &Inventory, now: EpochSeconds, horizon_sec: i64) -> Self {
        let edition = Edition::default();
        Self::begin(edition, openings, now, horizon_sec, |openings, from, until| {
            // A new inventory is of the first edition.
            let _ = inventory.open(edition, openings, from, until);
        })
    }

    /// Lays the same ready for an edition to come.
    pub(super) fn stage(
        &self,
        next: Edition,
        openings: Arc<Openings>,
        inventory: &Inventory,
        now: EpochSeconds,
        horizon_sec: i64,
    ) -> Self {
        Self::begin(next, openings, now, horizon_sec, |openings, from, until| {
            inventory.stage(self.edition, next, openings, from, until);
        })
    }

    fn begin(
        edition: Edition,
        openings: Arc<Openings>,
        now: EpochSeconds,
        horizon_sec: i64,
        open: impl Fn(&mut dyn Iterator<Item = Cow<'_, Opening>>, EpochSeconds, EpochSeconds),
    ) -> Self {
        let from = now.saturating_sub(MAX_DURATION_SEC);
        let opened_until = now.saturating_add(horizon_sec);
        open(&mut openings.single().map(Cow::Owned), from, EpochSeconds::MAX);
        open(&mut openings.repeated().iter().map(Cow::Borrowed), from, opened_until);
        Self { edition, openings, opened_until }
    }

    fn extend(&mut self, inventory: &Inventory, until: EpochSeconds) -> usize {
        let from = self.opened_until;
        self.opened_until = from.max(until);
        // This is the calendar on sale for as long as it is in hand, so no slot is further.
        inventory.open(self.edition, self.openings.repeated(), from, until).unwrap_or_default()
    }
}
