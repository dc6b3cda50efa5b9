//! Opening for business: what is on record is brought back before anything is sold.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::task::TaskTracker;

use super::{App, Limits, Tokens, known, payment::Unsettled, prices, tokens::TokenClaim};
use crate::{
    clock::Clock,
    domain::{
        catalog::Catalog,
        order::EpochSeconds,
        slot::{Claim, MAX_DURATION_SEC, Opening},
    },
    inventory::Inventory,
    payments::Payments,
    store::{Change, NamedClaim, PaymentIntent, Recovered, Store, StoreError},
};

/// Why the doors cannot be opened.
pub type OpenError = StoreError;

/// What an [`App`] is put together from.
#[derive(Debug)]
pub struct Parts {
    /// What is on sale.
    pub catalog: Catalog,
    /// When, and how many.
    pub openings: Vec<Opening>,
    /// Where orders are kept.
    pub store: Arc<dyn Store>,
    /// Who takes the money.
    pub payments: Arc<dyn Payments>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Limits.
    pub limits: Limits,
}

/// Recurring availability, and until when it has been opened.
#[derive(Debug)]
pub(super) struct Calendar {
    recurring: Vec<Opening>,
    opened_until: Mutex<EpochSeconds>,
}

impl App {
    /// Reads the store and opens the slots. Payments that the last run left open are undone in the
    /// background; until then their spots count as taken and their tokens as at work.
    ///
    /// # Errors
    /// If the store cannot be read as a whole or cannot be written.
    pub async fn open(parts: Parts) -> Result<Arc<Self>, OpenError> {
        let Parts { mut catalog, openings, store, payments, clock, limits } = parts;
        let now = clock.now_sec();
        let inventory = Inventory::with_capacity(openings.len());
        let recovered = recover(&*store, &catalog, &inventory, now)?;
        let prices = prices::remember(&mut catalog, &recovered.prices);
        if prices != recovered.prices {
            store.commit(Change::Prices(prices)).await?;
        }
        let calendar = Calendar::open(openings, &inventory, now, limits.horizon_sec);
        let app = Arc::new(Self {
            catalog: Arc::new(catalog),
            inventory,
            calendar,
            store,
            payments,
            clock,
            tokens: Tokens::default(),
            commands: TaskTracker::new(),
            limits,
        });
        tracing::info!(
            slots = app.inventory.len(),
            orders = recovered.orders,
            open_payments = recovered.pending.len(),
            "open for business"
        );
        app.settle_all(recovered.pending);
        Ok(app)
    }

    /// Opens the recurring slots that have come within the horizon, and forgets slots that are
    /// over. To be called now and then.
    pub fn turn_the_page(&self) {
        let now = self.now();
        let retired = self.inventory.retire(now.saturating_sub(MAX_DURATION_SEC));
        let opened = self.calendar.extend(&self.inventory, now.saturating_add(self.limits.horizon_sec));
        tracing::debug!(opened, retired, "the calendar moved on");
    }

    fn settle_all(self: &Arc<Self>, pending: Vec<PaymentIntent>) {
        for intent in pending {
            let TokenClaim::First(token) = self.tokens.claim(&intent.token) else { continue };
            let claims = known(&self.catalog(), &intent.claims);
            self.inventory.restore(&claims);
            let app = Arc::clone(self);
            self.commands.spawn(async move { app.settle(Unsettled { intent, token }).await });
        }
    }
}

fn recover(
    store: &dyn Store,
    catalog: &Catalog,
    inventory: &Inventory,
    now: EpochSeconds,
) -> Result<Recovered, StoreError> {
    let mut sold = |claims: &[NamedClaim]| {
        let ahead: Vec<Claim> =
            known(catalog, claims).into_iter().filter(|claim| claim.slot.end_sec() >= now).collect();
        inventory.restore(&ahead);
    };
    store.recover(&mut sold)
}

impl Calendar {
    /// Opens single slots however far ahead, and recurring ones within the horizon.
    fn open(openings: Vec<Opening>, inventory: &Inventory, now: EpochSeconds, horizon_sec: i64) -> Self {
        let from = now.saturating_sub(MAX_DURATION_SEC);
        let until = now.saturating_add(horizon_sec);
        let (recurring, single): (Vec<_>, Vec<_>) =
            openings.into_iter().partition(|opening| opening.recurrence.is_some());
        inventory.open(&single, from, EpochSeconds::MAX);
        inventory.open(&recurring, from, until);
        Self { recurring, opened_until: Mutex::new(until) }
    }

    fn extend(&self, inventory: &Inventory, until: EpochSeconds) -> usize {
        let mut opened_until = self.opened_until.lock().unwrap_or_else(PoisonError::into_inner);
        let from = *opened_until;
        *opened_until = from.max(until);
        inventory.open(&self.recurring, from, until)
    }
}
