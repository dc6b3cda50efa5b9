//! A disk that is full: orders are rejected while it is, and nothing else is lost or over.

use fastrand::Rng;

use super::*;
use crate::log::{
    disk::simulated::{DiskFault, FaultPlan, FaultTrigger, SimulatedDisk},
    simulated_store::SimulatedStore,
};

/// A store, and the tokens that it has acknowledged.
struct Shop {
    disk: SimulatedDisk,
    store: SimulatedStore,
    random: Rng,
    acknowledged: Vec<String>,
    tokens: usize,
}

impl Shop {
    fn open(disk: SimulatedDisk, seed: u64) -> Self {
        Self {
            store: opened(&disk),
            disk,
            random: Rng::with_seed(seed),
            acknowledged: Vec::new(),
            tokens: 0,
        }
    }

    /// Starts the store again on a disk with these faults.
    fn reopen(&mut self, disk: SimulatedDisk, plan: FaultPlan) {
        self.disk = disk;
        self.disk.set_plan(plan);
        self.store = opened(&self.disk);
    }

    async fn order(&mut self) -> Result<(), CommitError> {
        let token = format!("token-{}", self.tokens);
        self.tokens += 1;
        let write = Write::OrderPlaced(Box::new(placed(&self.store, &token, "ada")));
        let answer = self.store.commit(&write.into());
        while self.store.write_batch() {}
        answer.await?;
        self.acknowledged.push(token);
        Ok(())
    }

    /// Orders until one is rejected, with steps of what is done in the background at times.
    async fn order_until_rejected(&mut self) -> CommitError {
        loop {
            // What fails in the background is tried again.
            if self.random.u8(..4) == 0 {
                let _ = self.store.work_in_background(&mut self.random);
            }
            if let Err(error) = self.order().await {
                return error;
            }
        }
    }

    /// Every rejection is one for the moment.
    async fn assert_unavailable(&mut self) {
        for _ in 0..5 {
            let rejected = self.order_until_rejected().await;
            assert!(matches!(rejected, CommitError::Unavailable), "{rejected}");
            assert!(is_unavailable(&self.store));
        }
    }

    /// Goes on once there is room, with all that was acknowledged, also after a power failure.
    async fn assert_goes_on(&mut self) {
        self.disk.set_plan(FaultPlan::default());
        for _ in 0..300 {
            self.order().await.unwrap();
        }
        assert!(self.store.health().borrow().is_ready());
        let crashed = self.disk.crash();
        self.reopen(crashed, FaultPlan::default());
        self.assert_complete().await;
    }

    async fn assert_complete(&self) {
        for token in &self.acknowledged {
            let key = self.store.order_key(&token.as_str().into());
            let found = self.store.find_request(&key).get().await.unwrap();
            assert!(found.is_some(), "{token}");
        }
        assert_eq!(self.store.stats().orders, self.acknowledged.len() as u64);
    }

    /// Writes to a segment that was begun without room of its own, as by an earlier build.
    async fn write_unreserved(&mut self) {
        let never = FaultTrigger::OneIn(1);
        self.disk
            .set_plan(FaultPlan::default().with(DiskFault::NoReservation, never));
        while self.disk.occurred(DiskFault::NoReservation) == 0 {
            self.order().await.unwrap();
        }
        for _ in 0..40 {
            self.order().await.unwrap();
        }
        assert!(self.disk.content("000002.log").unwrap().len() < 60_000);
    }

    /// The disk as it is, full.
    fn restart_full(&mut self) {
        let disk = self.disk.restart();
        let plan = FaultPlan::default().capacity(disk.used());
        self.reopen(disk, plan);
    }
}

fn opened(disk: &SimulatedDisk) -> SimulatedStore {
    let clock: Arc<dyn Clock> = Arc::new(EarliestClock);
    SimulatedStore::open(disk, &clock).unwrap()
}

fn is_unavailable(store: &SimulatedStore) -> bool {
    matches!(*store.health().borrow(), StoreHealth::Unavailable { .. })
}

#[tokio::test]
async fn it_is_never_final_wherever_it_is_noticed() {
    for seed in testkit::seeds::seeds(40) {
        let mut shop = Shop::open(SimulatedDisk::new(seed), seed);
        let free = shop.random.u64(..300_000);
        let capacity = shop.disk.used() + free;
        shop.disk.set_plan(FaultPlan::default().capacity(capacity));
        shop.assert_unavailable().await;
        // Neither is it after a start, which finds the disk as full.
        let (disk, capacity) = if shop.random.bool() {
            (shop.disk.restart(), capacity)
        } else {
            let crashed = shop.disk.crash();
            let used = crashed.used();
            (crashed, used)
        };
        shop.reopen(disk, FaultPlan::default().capacity(capacity));
        shop.assert_complete().await;
        shop.assert_unavailable().await;
        shop.assert_goes_on().await;
    }
}

#[tokio::test]
async fn without_reservations_it_is_final_within_a_segment() {
    let mut shop = Shop::open(SimulatedDisk::new(1), 1);
    shop.write_unreserved().await;
    let plan = FaultPlan::default()
        .with(DiskFault::NoReservation, FaultTrigger::OneIn(1))
        .capacity(shop.disk.used() + 2000);
    shop.disk.set_plan(plan);
    let failed = shop.order_until_rejected().await;
    assert!(!matches!(failed, CommitError::Unavailable), "{failed}");
    let disk = shop.disk.restart();
    shop.reopen(disk, FaultPlan::default());
    shop.assert_goes_on().await;
}

#[tokio::test]
async fn a_store_without_room_in_its_segment_is_unavailable_from_its_start() {
    let mut shop = Shop::open(SimulatedDisk::new(1), 1);
    shop.write_unreserved().await;
    shop.restart_full();
    assert!(is_unavailable(&shop.store));
    shop.assert_unavailable().await;
    shop.assert_goes_on().await;
}

#[tokio::test]
async fn a_store_takes_the_room_of_its_segment_when_it_starts() {
    let mut shop = Shop::open(SimulatedDisk::new(1), 1);
    shop.write_unreserved().await;
    let disk = shop.disk.restart();
    let written = disk.content("000002.log").unwrap().len() as u64;
    let rest = disk.used() - written + SEGMENT_BYTES;
    shop.reopen(disk, FaultPlan::default().capacity(rest));
    assert!(shop.store.health().borrow().is_ready());
    for _ in 0..20 {
        shop.order().await.unwrap();
    }
    shop.assert_unavailable().await;
    shop.assert_goes_on().await;
}

#[tokio::test]
async fn a_spare_is_used_where_the_segment_has_no_room() {
    let mut shop = Shop::open(SimulatedDisk::new(1), 1);
    shop.write_unreserved().await;
    while shop.disk.content("000003.log").is_none() {
        shop.store.work_in_background(&mut shop.random).unwrap();
    }
    shop.restart_full();
    assert!(is_unavailable(&shop.store), "no spare was looked at yet");
    for _ in 0..200 {
        // A second one cannot be filled.
        let _ = shop.store.work_in_background(&mut shop.random);
    }
    shop.order().await.unwrap();
    assert!(shop.store.health().borrow().is_ready());
    let begun = shop.disk.content("000003.log").unwrap();
    assert!(begun.iter().any(|byte| *byte != 0));
    shop.assert_unavailable().await;
    shop.assert_goes_on().await;
}
