//! Allocations of a call in a whole server, from the bytes of the request to those of the answer.
//!
//! A binary of its own: the counting allocator counts for the whole process. The client therefore sends bytes that were
//! made before, and allocates nothing while it is counted.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it fails")]

mod connection;
mod workload;

use std::{alloc::System, sync::Arc};

use boxoffice::{
    catalog,
    config::{AuditLog, Config},
    kernel::clock::SystemClock,
    orders::{Parts, audit::Audit},
    server::{self, Server},
    store::{Store, log::LogStore},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tempfile::TempDir;

use connection::{Connection, Round};
use workload::Method;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls that are sent at once. They share batches of the store.
const CALLS: usize = 64;

/// Rounds of which the best one counts: a background thread may allocate during any of them.
const ROUNDS: usize = 8;

/// Most allocations of a check. A server that only echoes the request takes 45, over the transport of the gRPC library.
const CHECK: usize = 30;

/// Most allocations of an order that is durable before its answer. The echo takes 50.
const CREATE: usize = 50;

#[test]
fn a_call_allocates_no_more_than_it_should() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (catalog, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    workload::write_catalog(catalog.path());
    let store = Arc::new(LogStore::open(data.path(), 1024).unwrap());
    let server = runtime.block_on(start(catalog, Arc::clone(&store)));
    let mut connection = Connection::open(server.address());
    for (method, most) in [(Method::Check, CHECK), (Method::Create, CREATE)] {
        let found = fewest_allocations(&mut connection, method);
        eprintln!("{method:?}: {found} allocations a call");
        assert!(
            found <= most,
            "{method:?}: {found} allocations, and {most} should do"
        );
    }
    let created = u64::try_from(CALLS * ROUNDS).unwrap();
    assert_eq!(store.stats().orders, created, "every order is on record");
    drop(connection);
    runtime.block_on(server.stop(std::future::ready(())));
}

async fn start(catalog: TempDir, store: Arc<LogStore>) -> Server {
    let mut config = Config::default();
    config.serving.listen = "127.0.0.1:0".parse().unwrap();
    config.serving.admin_listen = None;
    config.serving.workers = Some(1);
    config.sales.catalog_watch = None;
    config.sales.catalog = catalog.path().to_owned();
    let clock = Arc::new(SystemClock);
    let parts = Parts {
        loaded: catalog::load(catalog.path()).unwrap(),
        store,
        payments: None,
        lifecycle: boxoffice::orders::lifecycle::LifecycleSource::Published,
        audit: Audit::open(&AuditLog::Off, clock.clone()).unwrap(),
        clock,
        limits: server::limits(&config),
    };
    Server::start(&config, parts).await.unwrap()
}

/// The allocations of a call, rounded up, in the round with the fewest.
fn fewest_allocations(connection: &mut Connection, method: Method) -> usize {
    let mut fewest = usize::MAX;
    for round in 0..ROUNDS {
        let round = Round::of(connection, method, round * CALLS..(round + 1) * CALLS);
        let before = allocations();
        connection.exchange(&round);
        let more = allocations() - before;
        method.assert_answered(connection.last_message());
        fewest = fewest.min(more.div_ceil(CALLS));
    }
    fewest
}

fn allocations() -> usize {
    let counted = ALLOCATOR.stats();
    counted.allocations + counted.reallocations
}
