//! Negative controls: stores that are wrong on purpose are found out.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

use super::{HAZARDS, Hazard, STEPS, run};
use domain::{
    ids::{Token, UserId},
    order::OrderId,
    time::{EpochSeconds, Seconds},
};
use store::{
    BlockSink, CommitFuture, EraseFuture, ErasureAnswerSink, HoldId, LifecycleSink, NamedSlot,
    OrderFilter, OrderKey, OrderPlace, OrderSink, PlacedSink, Read, ReadError, Recovered, Replay,
    Selection, StatesInUse, Store, StoreHealth, StoreStats, StoredHold, StoredOrder, UnitOfWork,
    UpdateSink, Write, log::simulated_store::SimulatedStore,
};

/// Seeds that are tried for each fault.
const SEEDS: u64 = 60;

/// What a store does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreFault {
    None,
    /// A change is acknowledged before it is written.
    AcknowledgedEarly,
    /// An order is acknowledged and not written.
    OrderNotWritten,
    /// A hold is acknowledged and not written.
    HoldNotWritten,
    /// A change of an order is acknowledged and not written.
    UpdateNotWritten,
    /// The end of a hold is acknowledged and not written.
    HoldEndNotWritten,
    /// An order does not end the hold of its cart on record.
    HoldNotConsumed,
    /// A start has no holds.
    HoldsForgotten,
    /// After a start, holds last longer by so many seconds.
    HoldsLonger(i64),
    /// A start misses the spots of one order.
    SaleForgotten,
    /// No token is known.
    TokensForgotten,
    /// A token's order is answered to other requests, too.
    FingerprintIgnored,
    /// A token's order is answered for another customer.
    AnswerAltered,
}

const FAULTS: [StoreFault; 13] = [
    StoreFault::AcknowledgedEarly,
    StoreFault::OrderNotWritten,
    StoreFault::HoldNotWritten,
    StoreFault::UpdateNotWritten,
    StoreFault::HoldEndNotWritten,
    StoreFault::HoldNotConsumed,
    StoreFault::HoldsForgotten,
    StoreFault::HoldsLonger(1),
    StoreFault::HoldsLonger(-1),
    StoreFault::SaleForgotten,
    StoreFault::TokensForgotten,
    StoreFault::FingerprintIgnored,
    StoreFault::AnswerAltered,
];

/// A store with a fault.
#[derive(Debug)]
pub(super) struct FaultyStore {
    inner: Arc<SimulatedStore>,
    fault: StoreFault,
}

impl FaultyStore {
    pub(super) fn new(inner: Arc<SimulatedStore>, fault: StoreFault) -> Self {
        Self { inner, fault }
    }

    /// The unit without what this store does not write.
    fn written(&self, unit: &UnitOfWork) -> UnitOfWork {
        let mut unit = unit.clone();
        unit.writes.retain(|write| match (self.fault, write) {
            (StoreFault::OrderNotWritten, Write::OrderPlaced(_))
            | (StoreFault::HoldNotWritten, Write::HoldPlaced(_))
            | (StoreFault::UpdateNotWritten, Write::OrderUpdated(_))
            | (StoreFault::HoldEndNotWritten, Write::HoldReleased { .. }) => false,
            (_, _) => true,
        });
        if self.fault == StoreFault::HoldNotConsumed {
            for write in &mut unit.writes {
                if let Write::OrderPlaced(placed) = write {
                    placed.hold = None;
                }
            }
        }
        unit
    }
}

impl Store for FaultyStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        let unit = self.written(unit);
        if unit.writes.is_empty() {
            return CommitFuture::ready(Ok(()));
        }
        let committed = self.inner.commit(&unit);
        if self.fault == StoreFault::AcknowledgedEarly {
            return CommitFuture::ready(Ok(()));
        }
        committed
    }

    fn order_key(&self, token: &Token) -> OrderKey {
        self.inner.order_key(token)
    }

    fn find_request(&self, key: &OrderKey) -> Read<Option<Replay>> {
        let (found, fault) = (self.inner.find_request(key), self.fault);
        Read::Later(Box::pin(async move {
            let mut replay = found.get().await?;
            match (fault, &mut replay) {
                (StoreFault::TokensForgotten, _) => return Ok(None),
                (StoreFault::FingerprintIgnored, Some(replay)) => replay.fingerprint = [0; 32],
                (StoreFault::AnswerAltered, Some(replay)) => {
                    replay.order.customer.user_id = "grace".into();
                }
                (_, _) => {}
            }
            Ok(replay)
        }))
    }

    fn find_order(&self, id: &OrderId) -> Read<Option<StoredOrder>> {
        self.inner.find_order(id)
    }

    fn history(&self, id: &OrderId, take: UpdateSink<'_>) -> Result<(), ReadError> {
        self.inner.history(id, take)
    }

    fn block_history(&self, slot: &NamedSlot, take: BlockSink<'_>) -> Result<(), ReadError> {
        self.inner.block_history(slot, take)
    }

    fn lifecycle_changes(&self, take: LifecycleSink<'_>) -> Result<(), ReadError> {
        self.inner.lifecycle_changes(take)
    }

    fn erasure_answers(&self, take: ErasureAnswerSink<'_>) -> Result<(), ReadError> {
        self.inner.erasure_answers(take)
    }

    fn placed_by_revision(&self) -> Result<BTreeMap<u32, u64>, ReadError> {
        self.inner.placed_by_revision()
    }

    fn states_in_use(&self) -> StatesInUse {
        self.inner.states_in_use()
    }

    fn find_hold(&self, id: HoldId) -> Read<Option<StoredHold>> {
        self.inner.find_hold(id)
    }

    fn list(
        &self,
        selection: &Selection,
        before: Option<OrderPlace>,
        may_see: OrderFilter<'_>,
        take: OrderSink<'_>,
    ) -> Result<(), ReadError> {
        self.inner.list(selection, before, may_see, take)
    }

    fn failed_attempts(&self, key: &OrderKey) -> Read<u32> {
        self.inner.failed_attempts(key)
    }

    fn erase_person(&self, user_id: &UserId) -> EraseFuture {
        self.inner.erase_person(user_id)
    }

    fn erase_order(&self, id: &OrderId) -> EraseFuture {
        self.inner.erase_order(id)
    }

    fn erase_visits(&self, ended_before: EpochSeconds, most: usize) -> EraseFuture {
        self.inner.erase_visits(ended_before, most)
    }

    fn export_person(&self, user_id: &UserId, take: PlacedSink<'_>) -> Result<(), ReadError> {
        self.inner.export_person(user_id, take)
    }

    fn recover(&self) -> Result<Recovered, ReadError> {
        let mut recovered = self.inner.recover()?;
        let longer = Seconds::new(match self.fault {
            StoreFault::HoldsLonger(seconds) => seconds,
            StoreFault::HoldsForgotten => {
                recovered.holds.clear();
                0
            }
            StoreFault::SaleForgotten => {
                recovered.sold.pop();
                0
            }
            StoreFault::None
            | StoreFault::AcknowledgedEarly
            | StoreFault::OrderNotWritten
            | StoreFault::HoldNotWritten
            | StoreFault::UpdateNotWritten
            | StoreFault::HoldEndNotWritten
            | StoreFault::HoldNotConsumed
            | StoreFault::TokensForgotten
            | StoreFault::FingerprintIgnored
            | StoreFault::AnswerAltered => 0,
        });
        for hold in &mut recovered.holds {
            hold.expires_sec = hold.expires_sec.saturating_add(longer);
        }
        Ok(recovered)
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.inner.health()
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }
}

#[test]
fn every_wrong_store_is_found_out() {
    let mut missed = Vec::new();
    for fault in FAULTS {
        match runs_until_found(fault) {
            Some((runs, finding)) => eprintln!("{fault:?}: found in {runs} runs: {finding}"),
            None => missed.push(fault),
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

/// How many runs it takes to find a fault, and as what.
fn runs_until_found(fault: StoreFault) -> Option<(u64, String)> {
    // Damage excuses losses, so it does not show what is wrong.
    let hazards = HAZARDS.into_iter().filter(|it| *it != Hazard::Damage);
    let mut runs = 0;
    for seed in 0..SEEDS {
        for hazard in hazards.clone() {
            runs += 1;
            if let Err(finding) = run(seed, hazard, fault, STEPS) {
                return Some((runs, finding));
            }
        }
    }
    None
}
