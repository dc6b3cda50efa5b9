//! Time and allocations of the use cases without a disk: `cargo bench -p boxoffice-orders`.

#![expect(
    clippy::unwrap_used,
    reason = "where a measurement cannot go on, it ends"
)]
#![expect(clippy::expect_used, reason = "the same")]

use std::{
    collections::BTreeMap,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use boxoffice_orders::{
    App, Cart, CreateOrder, Limits, Parts,
    audit::{Audit, AuditLog},
};
use catalog::{Loaded, Snapshot, SourceFeeds};
use divan::{AllocProfiler, Bencher};
use domain::{
    catalog::CartHold,
    fixtures::{Fixture, HOUR, NOW, START, line},
    ids::{Token, UserId},
    order::{Customer, NewOrder, OrderId},
    slot::{Opening, PassThroughIx, Pool, PoolTickets},
    time::{EpochSeconds, Seconds},
};
use futures_util::FutureExt;
use kernel::{clock::ManualClock, diagnostics::Diagnostics};
use store::{
    BlockSink, CommitFuture, EraseFuture, ErasureAnswerSink, HoldId, LifecycleSink, NamedSlot,
    OrderFilter, OrderKey, OrderPlace, OrderSink, PlacedSink, Read, ReadError, Recovered, Replay,
    Selection, StatesInUse, Store, StoreHealth, StoreStats, StoredHold, StoredOrder, UnitOfWork,
    UpdateSink, memory::MemoryStore,
};
use tokio::{sync::watch, time::Instant};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A store that records nothing.
#[derive(Debug, Default)]
struct NoStore(MemoryStore);

impl Store for NoStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        black_box(unit);
        CommitFuture::ready(Ok(()))
    }

    fn order_key(&self, token: &Token) -> OrderKey {
        self.0.order_key(token)
    }

    fn find_request(&self, key: &OrderKey) -> Read<Option<Replay>> {
        self.0.find_request(key)
    }

    fn find_order(&self, id: &OrderId) -> Read<Option<StoredOrder>> {
        self.0.find_order(id)
    }

    fn history(&self, id: &OrderId, take: UpdateSink<'_>) -> Result<(), ReadError> {
        self.0.history(id, take)
    }

    fn block_history(&self, slot: &NamedSlot, take: BlockSink<'_>) -> Result<(), ReadError> {
        self.0.block_history(slot, take)
    }

    fn lifecycle_changes(&self, take: LifecycleSink<'_>) -> Result<(), ReadError> {
        self.0.lifecycle_changes(take)
    }

    fn erasure_answers(&self, take: ErasureAnswerSink<'_>) -> Result<(), ReadError> {
        self.0.erasure_answers(take)
    }

    fn placed_by_revision(&self) -> Result<BTreeMap<u32, u64>, ReadError> {
        self.0.placed_by_revision()
    }

    fn states_in_use(&self) -> StatesInUse {
        self.0.states_in_use()
    }

    fn find_hold(&self, id: HoldId) -> Read<Option<StoredHold>> {
        self.0.find_hold(id)
    }

    fn list(
        &self,
        selection: &Selection,
        before: Option<OrderPlace>,
        may_see: OrderFilter<'_>,
        take: OrderSink<'_>,
    ) -> Result<(), ReadError> {
        self.0.list(selection, before, may_see, take)
    }

    fn failed_attempts(&self, key: &OrderKey) -> Read<u32> {
        self.0.failed_attempts(key)
    }

    fn erase_person(&self, user_id: &UserId) -> EraseFuture {
        self.0.erase_person(user_id)
    }

    fn erase_order(&self, id: &OrderId) -> EraseFuture {
        self.0.erase_order(id)
    }

    fn erase_visits(&self, ended_before: EpochSeconds, most: usize) -> EraseFuture {
        self.0.erase_visits(ended_before, most)
    }

    fn export_person(&self, user_id: &UserId, take: PlacedSink<'_>) -> Result<(), ReadError> {
        self.0.export_person(user_id, take)
    }

    fn recover(&self) -> Result<Recovered, ReadError> {
        self.0.recover()
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.0.health()
    }

    fn stats(&self) -> StoreStats {
        self.0.stats()
    }
}

/// A trip with as many spots as anybody wants, whose merchant holds carts for so long.
fn river(cart_hold: Option<CartHold>) -> Arc<App> {
    let mut fixture = Fixture::new();
    fixture.merchant_mut().cart_hold = cart_hold;
    fixture.merchant_mut().per_order_fees.clear();
    let opening = Opening {
        first: fixture.key("raft", START),
        pool: Pool {
            tickets: PoolTickets::All,
            allotment: u32::MAX,
        },
        terms: None,
        recurrence: None,
        pass_through: PassThroughIx::default(),
    };
    let clock = Arc::new(ManualClock::at(NOW));
    let parts = Parts {
        loaded: Loaded {
            files: Snapshot::default(),
            catalog: fixture.catalog,
            openings: vec![opening],
            source_feeds: SourceFeeds::default(),
            warnings: Diagnostics::default(),
            unread: Vec::new(),
        },
        store: Arc::new(NoStore::default()),
        payments: None,
        lifecycle: boxoffice_orders::lifecycle::LifecycleSource::Published,
        audit: Audit::open(&AuditLog::Off, clock.clone()).unwrap(),
        clock,
        limits: Limits {
            payment_timeout: Duration::from_secs(1),
            max_commands: 8,
            horizon: Seconds::new(HOUR),
        },
    };
    let opened = App::open(parts).now_or_never();
    opened.expect("nothing is waited for").unwrap()
}

fn seats(cart_id: Option<Token>) -> Cart {
    Cart {
        merchant_id: "town".into(),
        items: vec![line("raft", &[("seat", 2)], 15_000)],
        cart_id,
    }
}

#[divan::bench]
fn create(bencher: Bencher<'_, '_>) {
    let (app, number, deadline) = (river(None), AtomicU64::new(0), Instant::now());
    let command = || {
        let Cart {
            merchant_id, items, ..
        } = seats(None);
        Box::new(CreateOrder {
            token: number.fetch_add(1, Ordering::Relaxed).to_string().into(),
            fingerprint: [0; 32],
            order: NewOrder {
                merchant_id,
                customer: Customer::of("ada"),
                items,
                payment: None,
                method: None,
            },
        })
    };
    bencher.with_inputs(command).bench_values(|command| {
        let created = app.create(command, None, deadline).now_or_never();
        created.expect("nothing is waited for").unwrap().unwrap()
    });
}

#[divan::bench]
fn check(bencher: Bencher<'_, '_>) {
    let app = river(None);
    let checks = |cart| app.check(cart, None).get().now_or_never().unwrap().unwrap();
    bencher.with_inputs(|| seats(None)).bench_values(checks);
}

#[divan::bench]
fn check_with_a_hold(bencher: Bencher<'_, '_>) {
    let app = river(Some(CartHold {
        each: Seconds::new(600),
        whole: Seconds::new(3_600),
    }));
    // One cart: a slot with more and more holds would be measured otherwise.
    let cart = || seats(Some("cart".into()));
    let checks = |cart| app.check(cart, None).get().now_or_never().unwrap().unwrap();
    bencher.with_inputs(cart).bench_values(checks);
}
