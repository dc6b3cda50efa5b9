//! Startup: recovery of the orders on record, before anything is sold.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio_util::task::TaskTracker;

use super::{
    ActiveCatalog, App, Latest, Limits, OrderMetrics, Tokens,
    block::{self, Blocks},
    calendar::{Calendar, Sweeps},
    clock_check, indexed,
    lifecycle::{self, LifecycleSource, LifecycleStartError, Lifecycles},
    payment::PendingPayment,
    prices,
    reconcile::{Reconciler, Reloaded},
    restore::{RestoredHolds, pending_reservation, reserve_pending},
    steps::Agenda,
    tokens::{LockedFor, RequestKey, TokenGuard, TokenLock},
    watch::WatchedOrders,
};
use crate::audit::Audit;
use catalog::Loaded;
use domain::{
    catalog::{Catalog, IdInterner},
    openings::{Openings, Span},
    slot::{Claim, Revision, SlotKey},
    time::{EpochSeconds, Seconds},
};
use inventory::{Inventory, Reservation};
use kernel::clock::{Clock, OncePerSecond};
use payments::PaymentGateway;
use store::{CommitError, PaymentIntent, ReadError, Recovered, Store, Write};

/// Why the use cases cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The store cannot be read as a whole.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The prices of the catalogue, or the ends of expired holds, cannot be recorded.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// There is no lifecycle to decide by.
    #[error(transparent)]
    Lifecycle(LifecycleStartError),
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
    /// Where the lifecycle of orders comes from.
    pub lifecycle: LifecycleSource,
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
    /// Reads the store, and changes nothing in it: the spots of pending payments count as sold, those of holds as held.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(
        loaded: Loaded,
        store: &dyn Store,
        clock: Arc<dyn Clock>,
        horizon: Seconds,
    ) -> Result<Self, ReadError> {
        let Loaded {
            mut catalog,
            openings,
            source_feeds,
            files: _,
            warnings: _,
            unread: _,
        } = loaded;
        let inventory = Inventory::default();
        let now = clock.now_sec();
        let (recovered, _) = recover(store, catalog.ids_mut(), &inventory)?;
        // Holds that have expired count for nobody, and their ends are for a server to record.
        RestoredHolds::restore(recovered.holds, &mut catalog, &inventory, now);
        for intent in recovered.pending {
            // Counted as sold, like in the server: nobody knows yet whether these charges were
            // captured. A reservation that is dropped stays sold.
            let _ = pending_reservation(&intent, &mut catalog, &inventory, now);
        }
        let active = Arc::new(ActiveCatalog {
            revision: Revision::default(),
            since_sec: now,
            catalog: Arc::new(catalog),
            openings: Arc::new(Openings::new(openings)),
            source_feeds: Arc::new(source_feeds),
        });
        Ok(Self {
            active,
            inventory,
            clock,
            horizon,
        })
    }
}

impl App {
    /// Recovers the orders and the holds on record and opens the slots. Pending payments of the last run are reversed in
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
            lifecycle,
        } = parts;
        let Loaded {
            mut catalog,
            openings,
            source_feeds,
            files: _,
            warnings: _,
            unread: _,
        } = loaded;
        let openings = Arc::new(Openings::new(openings));
        let now = clock.now_sec();
        let inventory = Inventory::with_capacity(openings.single_slots());
        let (recovered, sold) = recover(&*store, catalog.ids_mut(), &inventory)?;
        let Recovered {
            orders,
            sold: _,
            updated,
            begun,
            retried,
            lifecycle: revisions,
            draft,
            pending,
            holds,
            blocks,
            prices: known,
            newest_order_sec,
            slots_forgotten_until,
        } = recovered;
        // Boxed: it has definitions in it, and is over long before the rest.
        let in_force = Box::pin(lifecycle::open(&*store, revisions, &lifecycle, now))
            .await
            .map_err(StartupError::Lifecycle)?;
        // Warned before the slots are opened by this clock.
        clock_check::at_start(now, slots_forgotten_until, newest_order_sec);
        let prices = prices::remember(&mut catalog, &known);
        if prices != known {
            // Recorded before anything is sold: a client may hold a price of this catalogue after a
            // crash.
            store.commit(&Write::Prices(prices.clone()).into()).await?;
        }
        let holds = RestoredHolds::restore(holds, &mut catalog, &inventory, now);
        for unit in holds.ends(now) {
            // Before anything is held anew: a hold that is placed then must not end with the expired one.
            store.commit(&unit).await?;
        }
        let calendar = Calendar::open(Arc::clone(&openings), &inventory, now, limits.horizon);
        let pending_payments = reserve_pending(pending, &mut catalog, &inventory, now);
        warn_of_what_was_sold(&catalog, &openings, &inventory, sold, now);
        let revision = Revision::default();
        let (catalog, source_feeds) = (Arc::new(catalog), Arc::new(source_feeds));
        let app = Arc::new(Self {
            active: ArcSwap::from_pointee(ActiveCatalog {
                revision,
                since_sec: now,
                catalog,
                openings,
                source_feeds,
            }),
            inventory,
            calendar: Mutex::new(calendar),
            sweeps: tokio::sync::Mutex::new(Sweeps::begin(
                now,
                slots_forgotten_until,
                newest_order_sec,
            )),
            latest: Arc::new(tokio::sync::Mutex::new(Latest { revision, prices })),
            store,
            payments,
            clock,
            lifecycles: Lifecycles::new(in_force, draft, &lifecycle),
            tokens: Tokens::default(),
            agenda: Agenda::of(&updated, &begun, &retried),
            blocks: Blocks::of(blocks),
            watched: WatchedOrders::default(),
            erasures: tokio::sync::Mutex::default(),
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
            holds = holds.count,
            pending_payments = pending_payments.len(),
            "recovery complete"
        );
        app.warn_of_prepayment();
        // Last: reversals need the whole application, and run while it already sells.
        app.reverse_all_pending(pending_payments);
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

    fn reverse_all_pending(self: &Arc<Self>, pending: Vec<(PaymentIntent, Reservation)>) {
        for (intent, reservation) in pending {
            // Nothing has locked a token yet, and an order has one intent, so this does not happen.
            let request = RequestKey::of(&intent.token);
            let TokenLock::Acquired(token) = self.tokens.try_lock(request, LockedFor::Order) else {
                continue;
            };
            let Some(gateway) = self.payments.clone() else {
                self.keep_pending(&intent, token);
                continue;
            };
            let app = Arc::clone(self);
            let payment = PendingPayment {
                intent,
                reservation,
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
        let order = self.store.order_key(&intent.token).order_id();
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

/// Warns of orders that do not match the catalogue, as a reload does.
fn warn_of_what_was_sold(
    catalog: &Catalog,
    openings: &Openings,
    inventory: &Inventory,
    sold: Vec<Claim>,
    now: EpochSeconds,
) {
    let mut sold: Vec<SlotKey> = sold.into_iter().map(|claim| claim.slot).collect();
    // Sorted for `dedup`: a slot has a claim for each of its ticket types.
    sold.sort_unstable();
    sold.dedup();
    let mut reconciler = Reconciler::new(catalog, now);
    inventory.visit(sold, |key, slot| reconciler.see(key, slot));
    let still_to_come = Span {
        now,
        until: EpochSeconds::MAX,
        repeated_until: EpochSeconds::MAX,
    };
    let slots = usize::from(openings.slots(still_to_come).next().is_some());
    Reloaded {
        slots,
        ..reconciler.finish()
    }
    .warn();
}

/// Sells the spots that are on record as sold and blocks those that are blocked, whatever the clock says. Only those of
/// forgotten slots are left out, because these slots are never opened again.
fn recover(
    store: &dyn Store,
    register: &mut IdInterner,
    inventory: &Inventory,
) -> Result<(Recovered, Vec<Claim>), ReadError> {
    let mut recovered = store.recover()?;
    if let Some(until) = recovered.slots_forgotten_until {
        // Before the sales are restored, so that those of forgotten slots are left out.
        inventory.retire(until);
    }
    let sold = indexed(register, &std::mem::take(&mut recovered.sold));
    inventory.restore(&sold);
    block::restore(&recovered.blocks, register, inventory);
    Ok((recovered, sold))
}
