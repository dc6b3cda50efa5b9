//! Startup: recovery of the orders on record, before anything is sold.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio_util::task::TaskTracker;

use super::{
    ActiveCatalog, App, Latest, Limits, OrderMetrics, Tokens,
    calendar::{Calendar, Sweeps},
    clock_check, indexed,
    payment::PendingPayment,
    prices,
    reconcile::{Reconciler, Reloaded},
    tokens::{TokenGuard, TokenLock},
};
use crate::audit::Audit;
use catalog::{Loaded, SourceFeeds};
use domain::{
    catalog::Catalog,
    openings::{Openings, Span},
    slot::{Claim, Revision, SlotKey},
    time::{EpochSeconds, Seconds},
};
use inventory::Inventory;
use kernel::clock::{Clock, OncePerSecond};
use payments::PaymentGateway;
use store::{Change, CommitError, PaymentIntent, PriceBook, ReadError, Recovered, Store};

/// Why the use cases cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The store cannot be read as a whole.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The prices of the catalogue cannot be recorded.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The parts of an [`App`].
#[derive(Debug)]
pub struct Parts {
    /// The catalogue.
    pub loaded: Loaded,
    /// The store of orders, tokens and payments.
    pub store: Arc<dyn Store>,
    /// The payment gateway; without one, orders that the partner has to charge for are declined.
    pub payments: Option<Arc<dyn PaymentGateway>>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Limits.
    pub limits: Limits,
    /// The audit log.
    pub audit: Arc<Audit>,
}

/// The catalogue and the sales of a server that does not run.
#[derive(Debug)]
pub struct OfflineCatalog {
    pub(super) active: Arc<ActiveCatalog>,
    pub(super) inventory: Inventory,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) horizon: Seconds,
}

impl OfflineCatalog {
    /// Reads the store, and changes nothing in it: the spots of pending payments count as sold.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(
        loaded: Loaded,
        store: &dyn Store,
        clock: Arc<dyn Clock>,
        horizon: Seconds,
    ) -> Result<Self, ReadError> {
        // No capacity: only slots with sales are in this inventory.
        let mut recovery = Recovery::read(loaded, store, |_| 0)?;
        // Counted as sold, like in the server: nobody knows yet whether these charges were
        // captured.
        for (_, claims) in recovery.pending_payments() {
            recovery.inventory.restore(&claims);
        }
        let Recovery {
            catalog,
            openings,
            source_feeds,
            inventory,
            ..
        } = recovery;
        let since_sec = clock.now_sec();
        let active = ActiveCatalog::first(catalog, openings, source_feeds, since_sec);
        Ok(Self {
            active: Arc::new(active),
            inventory,
            clock,
            horizon,
        })
    }
}

/// A catalogue before its activation, with the recovered state of earlier runs.
struct Recovery {
    catalog: Catalog,
    openings: Arc<Openings>,
    source_feeds: SourceFeeds,
    /// The slots of the orders on record; no slot is open yet.
    inventory: Inventory,
    /// The spots of the orders on record.
    sold: Vec<Claim>,
    /// The rest of what is on record.
    recovered: Recovered,
}

/// An active catalogue with its slots.
struct Opened {
    active: ActiveCatalog,
    inventory: Inventory,
    calendar: Calendar,
    sweeps: Sweeps,
    latest: Latest,
    /// The number of orders on record.
    orders: u64,
    /// Pending payments of the last run with their claims, whose spots are not sold yet.
    pending: Vec<(PaymentIntent, Vec<Claim>)>,
}

impl Recovery {
    /// Reads the store, and sells the spots that are on record as sold, whatever the clock says. Only those
    /// of forgotten slots are left out, because these slots are never opened again.
    fn read(
        loaded: Loaded,
        store: &dyn Store,
        capacity: impl FnOnce(&Openings) -> usize,
    ) -> Result<Self, ReadError> {
        let Loaded {
            mut catalog,
            openings,
            source_feeds,
            files: _,
            warnings: _,
            unread: _,
        } = loaded;
        let openings = Arc::new(Openings::new(openings));
        let inventory = Inventory::with_capacity(capacity(&openings));
        let mut recovered = store.recover()?;
        if let Some(until) = recovered.slots_forgotten_until {
            // Before the sales are restored, so that those of forgotten slots are left out.
            inventory.retire(until);
        }
        let sold = indexed(catalog.ids_mut(), &std::mem::take(&mut recovered.sold));
        inventory.restore(&sold);
        Ok(Self {
            catalog,
            openings,
            source_feeds,
            inventory,
            sold,
            recovered,
        })
    }

    /// The payments without an outcome on record, with their claims.
    fn pending_payments(&mut self) -> Vec<(PaymentIntent, Vec<Claim>)> {
        let pending = std::mem::take(&mut self.recovered.pending);
        let ids = self.catalog.ids_mut();
        let mut with_claims = Vec::with_capacity(pending.len());
        for intent in pending {
            let claims = indexed(ids, &intent.claims);
            with_claims.push((intent, claims));
        }
        with_claims
    }

    /// Activates the catalogue.
    async fn open(
        mut self,
        store: &dyn Store,
        now: EpochSeconds,
        horizon: Seconds,
    ) -> Result<Opened, CommitError> {
        let forgotten_until = self.recovered.slots_forgotten_until;
        let newest_order_sec = self.recovered.newest_order_sec;
        // Warned before the slots are opened by this clock.
        clock_check::at_start(now, forgotten_until, newest_order_sec);
        let prices = self.remember_prices(store).await?;
        let openings = Arc::clone(&self.openings);
        let calendar = Calendar::open(openings, &self.inventory, now, horizon);
        // Their ids are interned while the catalogue is still mutable; it is shared and immutable from
        // here on.
        let pending = self.pending_payments();
        self.warn_of_what_was_sold(now);
        let active = ActiveCatalog::first(self.catalog, self.openings, self.source_feeds, now);
        Ok(Opened {
            latest: Latest {
                revision: active.revision,
                prices,
            },
            active,
            inventory: self.inventory,
            calendar,
            sweeps: Sweeps::begin(now, forgotten_until, newest_order_sec),
            orders: self.recovered.orders,
            pending,
        })
    }

    /// Tells the catalogue its previous prices, and records the present ones.
    async fn remember_prices(&mut self, store: &dyn Store) -> Result<PriceBook, CommitError> {
        let known = &self.recovered.prices;
        let prices = prices::remember(&mut self.catalog, known);
        if prices != *known {
            // Recorded before anything is sold: a client may hold a price of this catalogue after a
            // crash.
            store.commit(Change::Prices(prices.clone())).await?;
        }
        Ok(prices)
    }

    /// Warns of orders that do not match the catalogue, as a reload does.
    fn warn_of_what_was_sold(&self, now: EpochSeconds) {
        let mut sold: Vec<SlotKey> = self.sold.iter().map(|claim| claim.slot).collect();
        // Sorted for `dedup`: a slot has a claim for each of its ticket types.
        sold.sort_unstable();
        sold.dedup();
        let mut reconciler = Reconciler::new(&self.catalog, now);
        self.inventory
            .visit(sold, |key, slot| reconciler.see(key, slot));
        let still_to_come = Span {
            now,
            until: EpochSeconds::MAX,
            repeated_until: EpochSeconds::MAX,
        };
        let slots = usize::from(self.openings.slots(still_to_come).next().is_some());
        Reloaded {
            slots,
            ..reconciler.finish()
        }
        .warn();
    }
}

impl ActiveCatalog {
    /// The first catalogue of a process.
    fn first(
        catalog: Catalog,
        openings: Arc<Openings>,
        source_feeds: SourceFeeds,
        since_sec: EpochSeconds,
    ) -> Self {
        Self {
            revision: Revision::default(),
            since_sec,
            catalog: Arc::new(catalog),
            openings,
            source_feeds: Arc::new(source_feeds),
        }
    }
}

impl App {
    /// Recovers the orders on record and opens the slots. Pending payments of the last run are reversed in
    /// the background; until then their spots stay sold and their tokens locked.
    ///
    /// # Errors
    /// [`StartupError`].
    pub async fn open(parts: Parts) -> Result<Arc<Self>, StartupError> {
        let Parts {
            loaded,
            store,
            payments,
            clock,
            limits,
            audit,
        } = parts;
        let now = clock.now_sec();
        let recovery = Recovery::read(loaded, &*store, Openings::single_slots)?;
        let Opened {
            active,
            inventory,
            calendar,
            sweeps,
            latest,
            orders,
            pending,
        } = recovery.open(&*store, now, limits.horizon).await?;
        let app = Arc::new(Self {
            active: ArcSwap::from_pointee(active),
            inventory,
            calendar: Mutex::new(calendar),
            sweeps: tokio::sync::Mutex::new(sweeps),
            latest: Arc::new(tokio::sync::Mutex::new(latest)),
            store,
            payments,
            clock,
            tokens: Tokens::default(),
            stuck: Mutex::default(),
            commands: TaskTracker::new(),
            limits,
            metrics: OrderMetrics::default(),
            audit,
            read_errors: OncePerSecond::default(),
            write_errors: OncePerSecond::default(),
        });
        tracing::info!(
            slots = app.inventory.len(),
            orders,
            pending_payments = pending.len(),
            "recovery complete"
        );
        app.warn_of_prepayment();
        // Last: reversals need the whole application, and run while it already sells.
        app.reverse_all_pending(pending);
        Ok(app)
    }

    /// The active catalogue, and the second up to which its repeated openings are open.
    pub(super) fn opened(&self) -> (Arc<ActiveCatalog>, EpochSeconds) {
        // A reload needs the lock of the calendar to activate another catalogue, so these two go together.
        let calendar = self.calendar();
        (self.active.load_full(), calendar.opened_until)
    }

    pub(super) fn calendar(&self) -> MutexGuard<'_, Calendar> {
        self.calendar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reverse_all_pending(self: &Arc<Self>, pending: Vec<(PaymentIntent, Vec<Claim>)>) {
        for (intent, claims) in pending {
            // Nothing has locked a token yet, and an order has one intent, so this does not happen.
            let TokenLock::Acquired(token) = self.tokens.try_lock(&intent.token) else {
                continue;
            };
            // The store has recovered the spots of orders only.
            self.inventory.restore(&claims);
            let Some(gateway) = self.payments.clone() else {
                self.keep_pending(&intent, token);
                continue;
            };
            let app = Arc::clone(self);
            let payment = PendingPayment {
                intent,
                claims,
                token,
            };
            // A task of its own per payment: a gateway that answers one late must not delay the
            // others.
            self.commands
                .spawn(async move { app.reverse_pending(&*gateway, payment).await });
        }
    }

    /// Keeps a payment pending while payments are off. The charge may have been captured, so the spots stay
    /// sold and the token locked.
    fn keep_pending(&self, intent: &PaymentIntent, token: TokenGuard) {
        let order = self.store.order_id(&intent.token);
        tracing::error!(
            order_id = order.as_str(),
            "a pending payment of the last run cannot be reversed while payments are off; its spots stay sold"
        );
        self.stuck
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(token);
    }
}
