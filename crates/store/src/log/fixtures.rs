//! Stores of many small segments, for tests.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use domain::{order::OrderId, time::EpochSeconds};
use fastrand::Rng;
use kernel::clock::Clock;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::{
    LogOptions, LogStore, SEGMENTS,
    segment_name::{log_name, summary_name},
};
use crate::{PlacedOrder, Selection, Store, UnitOfWork, Write, conformance::samples};

/// Bytes of a segment.
pub(super) const SEGMENT_BYTES: u64 = 64 << 10;

/// A clock for which everything is yet to come, so that no hold is forgotten.
#[derive(Debug)]
struct EarliestClock;

impl Clock for EarliestClock {
    fn now_sec(&self) -> EpochSeconds {
        EpochSeconds::MIN
    }
}

/// A store that is closed between the calls.
pub(super) struct Fixture {
    dir: TempDir,
    random: Rng,
    runtime: Runtime,
    pub(super) orders: Vec<OrderId>,
}

impl Fixture {
    pub(super) fn with_orders(orders: usize) -> Self {
        let mut fixture = Self {
            dir: scratch(),
            random: Rng::with_seed(7),
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            orders: Vec::new(),
        };
        fixture.place(orders);
        fixture
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn open(&self) -> LogStore {
        open(self.dir())
    }

    /// Opens the store, places orders and closes it again.
    pub(super) fn place(&mut self, orders: usize) {
        let store = self.open();
        self.place_in(&store, orders);
    }

    /// Places orders, of a user each three.
    pub(super) fn place_in(&mut self, store: &LogStore, orders: usize) {
        for _ in 0..orders {
            let mut placed =
                samples::placed(&mut self.random, |token| store.order_key(token).order_id());
            placed.order.customer.user_id =
                format!("user {}", self.orders.len() / 3).as_str().into();
            self.place_one(store, placed);
        }
    }

    /// Opens the store, places orders of a user and closes it again.
    pub(super) fn place_of(&mut self, user_id: &str, orders: usize) {
        let store = self.open();
        for _ in 0..orders {
            let mut placed =
                samples::placed(&mut self.random, |token| store.order_key(token).order_id());
            placed.order.customer.user_id = user_id.into();
            self.place_one(&store, placed);
        }
    }

    /// Places an order.
    pub(super) fn place_one(&mut self, store: &LogStore, mut placed: PlacedOrder) {
        placed.order.id = store.order_key(&placed.token).order_id();
        // Long and of one person only, so that it can be looked for.
        let customer = &mut placed.order.customer;
        customer.email = format!("{}-{}@example.com", customer.user_id, self.orders.len());
        self.orders.push(placed.order.id.clone());
        let unit = UnitOfWork::write(Write::OrderPlaced(Box::new(placed)));
        self.runtime.block_on(store.commit(&unit)).unwrap();
    }

    /// Waits in the runtime of the fixture.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.dir().join(SEGMENTS).join(log_name(number))
    }

    pub(super) fn summary(&self, number: u64) -> PathBuf {
        self.dir().join(SEGMENTS).join(summary_name(number))
    }
}

/// A directory in memory, where the machine has such a place.
pub(super) fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

pub(super) fn open(dir: &Path) -> LogStore {
    let options = LogOptions {
        segment_bytes: SEGMENT_BYTES,
        clock: Arc::new(EarliestClock),
        ..LogOptions::new(64)
    };
    LogStore::open_with(dir, &options).unwrap()
}

/// All orders of a store in `dir`, oldest first.
pub(super) fn orders_in(dir: &Path, ids: &[OrderId]) -> Vec<OrderId> {
    let mut found = Vec::new();
    open(dir)
        .list(
            &Selection::Ids(ids.to_vec()),
            None,
            &|_| true,
            &mut |stored| {
                found.push(stored.order.id);
                std::ops::ControlFlow::Continue(())
            },
        )
        .unwrap();
    found
}

/// Flips a bit of a file.
pub(super) fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    byte[0] ^= 1;
    file.write_all_at(&byte, offset).unwrap();
}

/// The names and bytes of all files below a directory.
pub(super) fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}
