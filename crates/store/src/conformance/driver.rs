//! A store under test, and the values that it is tested with.

use std::{ops::ControlFlow, sync::Arc};

use tokio::runtime::{Builder, Runtime};

use super::StoreHome;
use crate::{
    CommitError, ErasureAnswer, HoldId, HoldRecord, LifecycleChange, ListedOrder, NamedClaim,
    NamedSlot, OrderFilter, OrderKey, OrderUpdate, PaymentAttempt, PaymentIntent, PaymentOutcome,
    PlacedOrder, Precondition, Read, ReadError, Recovered, ReleaseReason, Replay, Selection,
    SlotBlock, Store, StoredHold, StoredOrder, UnitOfWork, Write,
};
use domain::{
    money::{Currency, Money},
    order::{
        BookedItem, BookingStatus, Customer, IntakeAnswer, LineItem, Order, OrderId, OrderedTickets,
    },
    time::{EpochSeconds, Seconds},
};

/// When orders are created that say nothing else.
pub(super) const NOW: EpochSeconds = EpochSeconds::new(1_700_000_000);

/// A store that is open, and the runtime in which it is used.
pub(super) struct Driver<'h> {
    home: &'h dyn StoreHome,
    // Before the runtime, so that the store is closed while its tasks can still run.
    store: Option<Arc<dyn Store>>,
    runtime: Runtime,
    /// What the store had when it was opened.
    recovered: Recovered,
}

impl<'h> Driver<'h> {
    pub(super) fn open(home: &'h dyn StoreHome) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let mut driver = Self {
            home,
            runtime,
            store: None,
            recovered: Recovered::default(),
        };
        driver.open_store();
        driver
    }

    fn open_store(&mut self) {
        let store = self.runtime.block_on(async { self.home.open() });
        // As a server does: once, and before the first commit.
        self.recovered = store.recover().unwrap();
        self.store = Some(store);
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        self.store.as_ref().unwrap()
    }

    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Closes the store and opens it again, if it is durable. What it recovers then.
    pub(super) fn reopen(&mut self) -> Option<&Recovered> {
        if !self.home.is_durable() {
            return None;
        }
        // Dropped before the next one is opened: one store has one owner.
        self.store = None;
        self.open_store();
        Some(&self.recovered)
    }

    /// What the store had when it was opened.
    pub(super) fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Commits a unit that nothing speaks against.
    pub(super) fn commit(&self, unit: impl Into<UnitOfWork>) {
        let unit = unit.into();
        if let Err(error) = self.try_commit(&unit) {
            panic!("{unit:?} is not committed: {error:?}");
        }
    }

    pub(super) fn try_commit(&self, unit: &UnitOfWork) -> Result<(), CommitError> {
        self.runtime
            .block_on(async { self.store().commit(unit).await })
    }

    /// Commits a unit that is stale.
    pub(super) fn commit_stale(&self, unit: &UnitOfWork) -> Precondition {
        match self.try_commit(unit) {
            Err(CommitError::Stale(precondition)) => precondition,
            other => panic!("{unit:?} is stale, and its commit returns {other:?}"),
        }
    }

    pub(super) fn read<T>(&self, ask: impl FnOnce(&dyn Store) -> Read<T>) -> T {
        let answer = self
            .runtime
            .block_on(async { ask(&**self.store()).get().await });
        answer.unwrap()
    }

    pub(super) fn request(&self, token: &str) -> Option<Replay> {
        self.read(|store| store.find_request(&self.key(token)))
    }

    pub(super) fn stored(&self, id: &OrderId) -> Option<StoredOrder> {
        self.read(|store| store.find_order(id))
    }

    /// The updates of an order, as they come.
    pub(super) fn history(&self, id: &OrderId) -> Vec<OrderUpdate> {
        let mut updates = Vec::new();
        let take = &mut |update| {
            updates.push(update);
            ControlFlow::Continue(())
        };
        self.store().history(id, take).unwrap();
        updates
    }

    /// The blocks of a slot, as they come.
    pub(super) fn blocks(&self, slot: &NamedSlot) -> Vec<SlotBlock> {
        let mut blocks = Vec::new();
        let take = &mut |block| {
            blocks.push(block);
            ControlFlow::Continue(())
        };
        self.store().block_history(slot, take).unwrap();
        blocks
    }

    /// The changes of the lifecycle, as they come.
    pub(super) fn lifecycle_changes(&self) -> Vec<LifecycleChange> {
        let mut changes = Vec::new();
        let take = &mut |change| {
            changes.push(change);
            ControlFlow::Continue(())
        };
        self.store().lifecycle_changes(take).unwrap();
        changes
    }

    /// The answers to erasures, as they come.
    pub(super) fn erasure_answers(&self) -> Vec<ErasureAnswer> {
        let mut answers = Vec::new();
        let take = &mut |answer| {
            answers.push(answer);
            ControlFlow::Continue(())
        };
        self.store().erasure_answers(take).unwrap();
        answers
    }

    pub(super) fn hold(&self, id: HoldId) -> Option<StoredHold> {
        self.read(|store| store.find_hold(id))
    }

    pub(super) fn failed_attempts(&self, token: &str) -> u32 {
        self.read(|store| store.failed_attempts(&self.key(token)))
    }

    pub(super) fn key(&self, token: &str) -> OrderKey {
        self.store().order_key(&token.into())
    }

    /// Erases a user, and says of how many orders.
    pub(super) fn erase(&self, user_id: &str) -> u64 {
        let erased = self
            .runtime
            .block_on(async { self.store().erase_person(&user_id.into()).await });
        erased.unwrap()
    }

    /// Erases an order, and says whether it had personal data.
    pub(super) fn erase_order(&self, id: &OrderId) -> u64 {
        let erased = self
            .runtime
            .block_on(async { self.store().erase_order(id).await });
        erased.unwrap()
    }

    /// Erases at most so many visits that ended before a second, and says how many.
    pub(super) fn erase_visits(&self, ended_before: EpochSeconds, most: usize) -> u64 {
        let erased = self
            .runtime
            .block_on(async { self.store().erase_visits(ended_before, most).await });
        erased.unwrap()
    }

    pub(super) fn id(&self, token: &str) -> OrderId {
        self.key(token).order_id()
    }

    pub(super) fn ids<const N: usize>(&self, tokens: [&str; N]) -> [OrderId; N] {
        tokens.map(|token| self.id(token))
    }

    /// The ids of the selected orders, as they come.
    pub(super) fn listed(&self, selection: &Selection) -> Vec<OrderId> {
        let orders = all_orders(&**self.store(), selection, &|_| true).unwrap();
        orders.into_iter().map(|order| order.id).collect()
    }

    /// An order of one claim of two spots.
    pub(super) fn placed(&self, token: &str, user_id: &str) -> PlacedOrder {
        PlacedOrder {
            token: token.into(),
            fingerprint: [7; 32],
            created_sec: NOW,
            created_by: None,
            order: Box::new(Order {
                id: self.id(token),
                merchant_id: "museum".into(),
                customer: Customer::of(user_id),
                payment: None,
                items: vec![BookedItem {
                    line: line(),
                    status: BookingStatus::Confirmed,
                }],
            }),
            claims: vec![claim(2)],
            payment: None,
            hold: None,
            bill: None,
            begun: None,
            lifecycle: 1,
        }
    }

    /// Commits an order of this token.
    pub(super) fn order(&self, token: &str, user_id: &str) {
        self.commit(place(self.placed(token, user_id)));
    }
}

/// The selected orders that pass the filter, as they come.
pub(super) fn all_orders(
    store: &dyn Store,
    selection: &Selection,
    may_see: OrderFilter<'_>,
) -> Result<Vec<Order>, ReadError> {
    let listed = listed_orders(store, selection, may_see)?;
    Ok(listed.into_iter().map(|listed| listed.order).collect())
}

/// The selected orders that pass the filter with their places, as they come.
pub(super) fn listed_orders(
    store: &dyn Store,
    selection: &Selection,
    may_see: OrderFilter<'_>,
) -> Result<Vec<ListedOrder>, ReadError> {
    let mut orders = Vec::new();
    store.list(selection, None, may_see, &mut |listed| {
        orders.push(listed);
        ControlFlow::Continue(())
    })?;
    Ok(orders)
}

/// The unit that places an order of a new token.
pub(super) fn place(placed: PlacedOrder) -> UnitOfWork {
    let is_new = new_request(&placed);
    UnitOfWork::write(Write::OrderPlaced(Box::new(placed))).requiring(is_new)
}

/// The unit that updates an order of the revision before.
pub(super) fn update(update: OrderUpdate) -> UnitOfWork {
    let is_current = order_revision(&update.order, update.revision - 1);
    UnitOfWork::write(Write::OrderUpdated(Box::new(update))).requiring(is_current)
}

pub(super) fn order_revision(order: &OrderId, revision: u32) -> Precondition {
    let order = OrderKey::of_id(order).unwrap();
    Precondition::OrderRevision { order, revision }
}

/// No order has the token of this one.
fn new_request(placed: &PlacedOrder) -> Precondition {
    Precondition::NewRequest(OrderKey::of_id(&placed.order.id).unwrap())
}

/// The unit that places a hold in place of the revision before.
pub(super) fn place_hold(hold: HoldRecord) -> UnitOfWork {
    let is_current = revision(hold.id, hold.revision - 1);
    UnitOfWork::write(Write::HoldPlaced(Box::new(hold))).requiring(is_current)
}

pub(super) fn release(id: HoldId, reason: ReleaseReason) -> Write {
    Write::HoldReleased {
        id,
        released_sec: NOW,
        reason,
    }
}

pub(super) fn revision(id: HoldId, revision: u32) -> Precondition {
    Precondition::HoldRevision { id, revision }
}

pub(super) fn hold_id(number: u8) -> HoldId {
    HoldId([number; 16])
}

/// A hold of one claim.
pub(super) fn hold(number: u8, revision: u32) -> HoldRecord {
    HoldRecord {
        id: hold_id(number),
        revision,
        owner: Some("google".into()),
        merchant_id: "museum".into(),
        lines: vec![LineItem {
            answers: None,
            ..line()
        }],
        claims: vec![claim(revision)],
        placed_sec: NOW,
        expires_sec: NOW.saturating_add(Seconds::from(600 * revision)),
        used: Seconds::from(revision),
    }
}

pub(super) fn claim(count: u32) -> NamedClaim {
    NamedClaim {
        merchant_id: "museum".into(),
        service_id: "entry".into(),
        start_sec: EpochSeconds::new(1_800_000_000),
        duration_sec: 3600.into(),
        ticket_id: Some("adult".into()),
        count,
    }
}

fn line() -> LineItem {
    LineItem {
        service_id: "entry".into(),
        start_sec: EpochSeconds::new(1_800_000_000),
        duration_sec: 3600.into(),
        tickets: vec![OrderedTickets {
            ticket_id: "adult".into(),
            count: 2,
        }],
        price: None,
        answers: Some(vec![IntakeAnswer {
            question_id: "name".into(),
            responses: vec!["Ada".into()],
        }]),
    }
}

pub(super) fn dollars(micros: i64) -> Money {
    Money::from_micros(micros, Currency::from_code("USD").unwrap())
}

pub(super) fn intent(token: &str, attempt: u32) -> PaymentIntent {
    PaymentIntent {
        token: token.into(),
        attempt,
        amount: dollars(1),
        started_sec: NOW,
        claims: vec![claim(1)],
        hold: None,
    }
}

pub(super) fn ended(intent: PaymentIntent, outcome: PaymentOutcome) -> PaymentAttempt {
    PaymentAttempt {
        intent,
        outcome,
        transaction_id: "tx".into(),
        finished_sec: NOW,
    }
}
