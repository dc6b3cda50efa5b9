//! Commands on a store that is stale, unavailable or broken at chosen points.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use smallvec::SmallVec;
use tokio::sync::watch;

use super::*;
use crate::{
    Cart, Created,
    tests::{
        SPOTS, WANTED, app_on, cart, create, open_for_others, played, raft_catalog, raft_on,
        try_to_create,
    },
    update::{ChangeError, ChangeMode, ChangeRequest, OrderChange},
};
use domain::{
    fixtures::{Fixture, NOW, cents},
    ids::{Token, UserId},
    order::OrderId,
    time::{EpochSeconds, Seconds},
};
use kernel::{
    clock::ManualClock,
    user::{Scope, User},
};
use store::{
    BlockSink, CommitFuture, EraseFuture, ErasureAnswerSink, HoldState, LifecycleSink, NamedSlot,
    OrderFilter, OrderKey, OrderPlace, OrderSink, PaymentOutcome, PlacedSink, Precondition, Read,
    ReadError, Recovered, Replay, Selection, StatesInUse, Store, StoreHealth, StoreStats,
    StoredHold, StoredOrder, UpdateSink, memory::MemoryStore,
};
use testkit::schedules::{Stage, every_schedule};

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Recorded,
    Stale,
    Unavailable,
    Failed,
    TooLarge,
}

/// A store in memory with a fate for each commit to come; after the last, all are recorded.
#[derive(Debug, Default)]
pub(crate) struct FatedStore {
    inner: MemoryStore,
    fates: Mutex<VecDeque<Fate>>,
    units: Mutex<Vec<UnitOfWork>>,
    is_unchecked: AtomicBool,
}

impl FatedStore {
    fn expects(&self, fates: &[Fate]) {
        *self.fates.lock().unwrap() = fates.iter().copied().collect();
    }

    /// From now on it records whatever it is given, whether or not what it was decided on has changed.
    pub(crate) fn stop_checking(&self) {
        self.is_unchecked.store(true, Ordering::SeqCst);
    }

    /// Whether every fate has been met.
    fn is_done(&self) -> bool {
        self.fates.lock().unwrap().is_empty()
    }

    /// The units of every commit so far, recorded or not.
    fn units(&self) -> Vec<UnitOfWork> {
        std::mem::take(&mut *self.units.lock().unwrap())
    }

    fn hold(&self) -> Option<StoredHold> {
        let cart = RequestKey::of(&"cart".into()).cart_of(None);
        let Read::Now(found) = self.inner.find_hold(store::HoldId(cart.0)) else {
            unreachable!("it is in memory")
        };
        found.unwrap()
    }

    /// How the cart's hold stands on record.
    fn state(&self) -> Option<HoldState> {
        self.hold().map(|stored| stored.state)
    }
}

impl Store for FatedStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        self.units.lock().unwrap().push(unit.clone());
        if self.is_unchecked.load(Ordering::SeqCst) {
            let unchecked = UnitOfWork {
                requires: SmallVec::new(),
                ..unit.clone()
            };
            return self.inner.commit(&unchecked);
        }
        let fate = self.fates.lock().unwrap().pop_front();
        let error = match fate.unwrap_or(Fate::Recorded) {
            Fate::Recorded => return self.inner.commit(unit),
            Fate::Stale => CommitError::Stale(Precondition::NewRequest(OrderKey([0; 16]))),
            Fate::Unavailable => CommitError::Unavailable,
            Fate::Failed => CommitError::WriterStopped,
            Fate::TooLarge => CommitError::TooLarge(1),
        };
        CommitFuture::ready(Err(error))
    }

    fn order_key(&self, token: &Token) -> OrderKey {
        self.inner.order_key(token)
    }

    fn find_request(&self, key: &OrderKey) -> Read<Option<Replay>> {
        self.inner.find_request(key)
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

    fn find_hold(&self, id: store::HoldId) -> Read<Option<StoredHold>> {
        // An answer that has to be waited for, as that of a database.
        let Read::Now(found) = self.inner.find_hold(id) else {
            unreachable!("it is in memory")
        };
        Read::Later(Box::pin(std::future::ready(found)))
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
        self.inner.recover()
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.inner.health()
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }
}

/// A trip, its store and its clock.
struct Harbour {
    app: Arc<App>,
    store: Arc<FatedStore>,
    clock: Arc<ManualClock>,
}

impl Harbour {
    fn new() -> Self {
        let (store, clock) = (Arc::default(), Arc::new(ManualClock::at(NOW)));
        Self::of(store, clock)
    }

    fn of(store: Arc<FatedStore>, clock: Arc<ManualClock>) -> Self {
        let app = raft_on(store.clone(), clock.clone());
        // The prices are on record now.
        store.units();
        Self { app, store, clock }
    }

    /// The server ends and starts again.
    fn restarted(self) -> Self {
        Self::of(self.store, self.clock)
    }

    /// The second at which the hold of a check ends.
    fn check(&self, count: u32) -> Option<EpochSeconds> {
        let checked = played(self.app.check(cart(count), None).get()).unwrap();
        checked.hold_expires_sec
    }

    /// Activates another catalogue.
    fn reload(&self, spots: Option<u32>, change: fn(&mut Fixture)) {
        let loaded = raft_catalog(spots, change);
        let reloaded = runtime().block_on(self.app.reload(move |_| Ok(loaded)));
        reloaded.unwrap();
    }

    fn open(&self) -> u32 {
        open_for_others(&self.app)
    }

    fn sweep(&self) {
        played(self.app.sweep());
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// The names of what units write.
fn writes(units: &[UnitOfWork]) -> Vec<&'static str> {
    let written = units.iter().flat_map(|unit| &unit.writes);
    written
        .map(|write| match write {
            Write::OrderPlaced(_) => "order",
            Write::PaymentIntent(_) => "intent",
            Write::PaymentEnded(_) => "end",
            Write::HoldPlaced(_) => "hold",
            Write::HoldReleased { .. } => "release",
            Write::Prices(_) => "prices",
            Write::SlotsForgotten(_) => "forgotten",
            Write::OrderUpdated(_) => "update",
            Write::Blocked(_) => "block",
            Write::StepRetried(_) => "retry",
            Write::Lifecycle(_) => "lifecycle",
            Write::LifecycleDraft(_) => "draft",
            Write::ErasureAnswered(_) => "erasure answered",
        })
        .collect()
}

#[test]
fn an_order_is_decided_again_where_it_is_stale_and_never_sold_twice() {
    use Fate::{Failed, Recorded, Stale, TooLarge, Unavailable};
    let stale = |times| [vec![Stale; times], vec![Recorded]].concat();
    let unavailable = Err(OrderError::StoreUnavailable);
    for (fates, expected, sold) in [
        (stale(0), Ok(()), WANTED),
        (stale(1), Ok(()), WANTED),
        (stale(4), Ok(()), WANTED),
        (vec![Stale; 5], unavailable.clone(), 0),
        (vec![Unavailable], unavailable.clone(), 0),
        (vec![Stale, Unavailable], unavailable, 0),
        (vec![TooLarge], Err(OrderError::Bug), 0),
        // What is on record is unknown until a restart.
        (vec![Failed], Err(OrderError::StoreFailed), WANTED),
        (vec![Stale, Failed], Err(OrderError::StoreFailed), WANTED),
    ] {
        for is_held in [false, true] {
            let harbour = Harbour::new();
            if is_held {
                harbour.check(WANTED).unwrap();
            }
            harbour.store.expects(&fates);
            let created = try_to_create(&harbour.app, None, 0);
            let case = format!("{fates:?}, held: {is_held}");
            assert_eq!(
                created.map(|created| drop(created.unwrap())),
                expected,
                "{case}"
            );
            assert!(harbour.store.is_done(), "{case}");
            let taken = if is_held { WANTED } else { sold };
            assert_eq!(harbour.open(), SPOTS - taken, "{case}");
            let is_created = expected.is_ok();
            assert_eq!(
                harbour.app.metrics.orders_created.get(),
                u64::from(is_created)
            );
            // The same request later: it has its order, or gets one.
            if expected != Err(OrderError::StoreFailed) {
                create(&harbour.app, None).unwrap();
                assert_eq!(
                    harbour.app.metrics.orders_replayed.get(),
                    u64::from(is_created)
                );
                assert_eq!(harbour.open(), SPOTS - WANTED, "{case}");
            }
        }
    }
}

#[test]
fn a_request_that_others_have_answered_meanwhile_has_their_answer() {
    for (fingerprint, expected) in [(0, Ok(())), (1, Err(OrderError::TokenReused))] {
        let harbour = Harbour::new();
        // Another server on the same store, as a database may have.
        let other = raft_on(harbour.store.clone(), Arc::clone(&harbour.clock));
        let theirs = create(&other, None).unwrap();
        let created = try_to_create(&harbour.app, None, fingerprint);
        if let Ok(created) = &created {
            assert_eq!(created.as_ref().unwrap(), &theirs);
        }
        assert_eq!(created.map(|created| drop(created.unwrap())), expected);
        assert_eq!(harbour.open(), SPOTS, "this one has sold nothing");
    }
}

#[test]
fn the_unit_of_an_order_requires_what_it_was_decided_on() {
    let harbour = Harbour::new();
    let id = store::HoldId(RequestKey::of(&"cart".into()).cart_of(None).0);
    let new_request = Precondition::NewRequest(harbour.store.order_key(&"cart".into()));
    harbour.check(WANTED).unwrap();
    harbour.check(WANTED).unwrap();
    harbour.store.units();
    create(&harbour.app, None).unwrap();
    let units = harbour.store.units();
    let [unit] = &units[..] else {
        panic!("{units:?}")
    };
    let hold = Precondition::HoldRevision { id, revision: 2 };
    let lifecycle = Precondition::LifecycleRevision(1);
    assert_eq!(unit.requires[..], [new_request, lifecycle, hold]);
    let [Write::OrderPlaced(placed)] = &unit.writes[..] else {
        panic!("{unit:?}")
    };
    assert_eq!(placed.hold, Some(id));
    assert_eq!(harbour.store.state(), Some(HoldState::Consumed));
}

/// Orders that are paid by the partner, on a store with these fates: of the intent, of the order or the end, and so on.
#[test]
fn money_that_has_moved_is_recorded_or_given_back() {
    use Fate::{Failed, Recorded, Stale, Unavailable};
    let runtime = runtime();
    for (token, fates, expected, written, taken) in [
        (
            "card",
            &[Recorded, Recorded][..],
            Ok(true),
            &["intent", "order"][..],
            WANTED,
        ),
        // No money has moved: the spots are open again.
        (
            "card",
            &[Unavailable],
            Err(OrderError::StoreUnavailable),
            &["intent"],
            0,
        ),
        (
            "card",
            &[Failed],
            Err(OrderError::StoreFailed),
            &["intent"],
            WANTED,
        ),
        // It has: the order is recorded as soon as that is possible.
        (
            "card",
            &[Recorded, Unavailable, Unavailable, Recorded],
            Ok(true),
            &["intent", "order", "order", "order"],
            WANTED,
        ),
        (
            "decline",
            &[Recorded, Unavailable, Recorded],
            Ok(false),
            &["intent", "end", "end"],
            0,
        ),
        // The decision was stale: the charge is reversed before there is another one.
        (
            "card",
            &[Recorded, Stale, Recorded, Recorded, Recorded],
            Ok(true),
            &["intent", "order", "end", "intent", "order"],
            WANTED,
        ),
        (
            "card",
            &[Recorded, Failed],
            Err(OrderError::StoreFailed),
            &["intent", "order"],
            WANTED,
        ),
    ] {
        let harbour = Harbour::new();
        harbour.store.expects(fates);
        let created = runtime.block_on(create_paid(&harbour.app, token));
        let case = format!("{token} {fates:?}");
        assert_eq!(created.map(|created| created.is_ok()), expected, "{case}");
        assert_eq!(writes(&harbour.store.units()), written, "{case}");
        assert_eq!(harbour.open(), SPOTS - taken, "{case}");
        assert!(harbour.store.is_done(), "{case}");
    }
}

async fn create_paid(app: &Arc<App>, payment_token: &str) -> Result<Created, OrderError> {
    let (guard, creation) = crate::tests::creation(app, Some(payment_token), 0);
    app.create_under(guard, creation).await
}

#[test]
fn a_reversed_charge_is_on_record_with_its_attempt() {
    let harbour = Harbour::new();
    harbour.store.expects(&[Fate::Recorded, Fate::Stale]);
    runtime()
        .block_on(create_paid(&harbour.app, "card"))
        .unwrap()
        .unwrap();
    let mut attempts = Vec::new();
    for unit in harbour.store.units() {
        for write in unit.writes {
            let attempt = match write {
                Write::PaymentEnded(attempt) => attempt,
                Write::OrderPlaced(placed) => {
                    let (details, attempt) = (placed.order.payment.unwrap(), placed.payment);
                    let attempt = attempt.unwrap();
                    assert_eq!(details.transaction_id, attempt.transaction_id);
                    attempt
                }
                Write::PaymentIntent(_)
                | Write::HoldPlaced(_)
                | Write::HoldReleased { .. }
                | Write::Prices(_)
                | Write::SlotsForgotten(_)
                | Write::OrderUpdated(_)
                | Write::Blocked(_)
                | Write::StepRetried(_)
                | Write::Lifecycle(_)
                | Write::LifecycleDraft(_)
                | Write::ErasureAnswered(_) => continue,
            };
            attempts.push((attempt.intent.attempt, attempt.outcome));
        }
    }
    assert_eq!(
        attempts,
        [
            (1, PaymentOutcome::Captured),
            (1, PaymentOutcome::Refunded),
            (2, PaymentOutcome::Captured)
        ]
    );
}

#[test]
fn a_hold_that_cannot_be_recorded_is_not_promised_and_the_earlier_one_stays() {
    use Fate::{Failed, Recorded, Stale, TooLarge, Unavailable};
    let ends = NOW + 600;
    for (fates, expected) in [
        (vec![Recorded], Some(ends)),
        (vec![Stale, Recorded], Some(ends)),
        (vec![Stale, Stale, Stale, Stale, Recorded], Some(ends)),
        (vec![Stale; 5], None),
        (vec![Unavailable], None),
        (vec![TooLarge], None),
        (vec![Failed], None),
    ] {
        for earlier in [0, 3] {
            let harbour = Harbour::new();
            if earlier > 0 {
                harbour.check(earlier).unwrap();
            }
            harbour.store.expects(&fates);
            let case = format!("{fates:?} after {earlier}");
            assert_eq!(harbour.check(WANTED), expected, "{case}");
            assert!(harbour.store.is_done(), "{case}");
            let held = if expected.is_some() { WANTED } else { earlier };
            assert_eq!(harbour.open(), SPOTS - held, "{case}");
            let failed = u64::from(expected.is_none());
            assert_eq!(harbour.app.metrics.holds_failed.get(), failed, "{case}");
            let on_record = harbour
                .store
                .hold()
                .map(|stored| stored.hold.claims[0].count);
            assert_eq!(on_record.unwrap_or(0), held, "{case}");
            assert_eq!(harbour.restarted().open(), SPOTS - held, "{case}");
        }
    }
}

#[test]
fn a_hold_that_ends_is_given_back_only_with_the_record() {
    for (fate, open) in [
        (Fate::Recorded, SPOTS),
        (Fate::Unavailable, SPOTS - 3),
        (Fate::Failed, SPOTS - 3),
    ] {
        let harbour = Harbour::new();
        harbour.check(3).unwrap();
        harbour.store.expects(&[fate]);
        // More than there are: such a cart holds nothing.
        assert_eq!(harbour.check(SPOTS + 1), None);
        assert_eq!(harbour.open(), open, "{fate:?}");
        assert_eq!(harbour.restarted().open(), open, "{fate:?}");
    }
}

#[test]
fn a_check_without_a_hold_writes_nothing() {
    let harbour = Harbour::new();
    let without_cart = crate::Cart {
        cart_id: None,
        ..cart(WANTED)
    };
    played(harbour.app.check(without_cart, None).get()).unwrap();
    assert_eq!(harbour.check(SPOTS + 1), None);
    assert_eq!(writes(&harbour.store.units()), [""; 0]);
    harbour.check(WANTED).unwrap();
    harbour.check(SPOTS + 1);
    harbour.check(SPOTS + 1);
    assert_eq!(writes(&harbour.store.units()), ["hold", "release"]);
}

#[test]
fn holds_survive_a_restart_to_their_second_with_the_time_they_have_used() {
    let mut harbour = Harbour::new();
    // Ten minutes each, an hour in all, checked and restarted every five.
    for at in (0..3_600).step_by(300) {
        harbour.clock.set(NOW + at);
        let ends = NOW + (at + 600).min(3_600);
        assert_eq!(harbour.check(WANTED), Some(ends), "at {at}");
        harbour = harbour.restarted();
        for (now, open) in [(ends - 1, SPOTS - WANTED), (ends, SPOTS)] {
            harbour.clock.set(now);
            assert_eq!(harbour.open(), open, "at {at}, {now}");
        }
        harbour.clock.set(NOW + at);
    }
    harbour.clock.set(NOW + 3_600);
    assert_eq!(harbour.check(WANTED), None, "an hour is used up");
    let stored = harbour.store.hold().unwrap();
    assert_eq!(
        (stored.hold.revision, stored.hold.used),
        (12, Seconds::new(3_300))
    );
    assert_eq!(
        stored.state,
        HoldState::Released {
            released_sec: NOW + 3_600,
            reason: ReleaseReason::Released
        }
    );
}

#[test]
fn the_end_of_a_hold_is_recorded_by_a_sweep_or_at_the_next_start() {
    for is_restarted in [false, true] {
        for (now, is_over) in [
            (NOW + 599, false),
            (NOW + 600, true),
            (NOW - 600, false),
            // The clock was set back by more than the hold is long.
            (NOW - 601, true),
            (NOW + Seconds::DAY.get(), true),
        ] {
            let mut harbour = Harbour::new();
            harbour.check(WANTED).unwrap();
            harbour.clock.set(now);
            if is_restarted {
                harbour = harbour.restarted();
            } else {
                harbour.sweep();
            }
            let expired = HoldState::Released {
                released_sec: now,
                reason: ReleaseReason::Expired,
            };
            let expected = if is_over { expired } else { HoldState::Active };
            let case = format!("{now}, restarted: {is_restarted}");
            assert_eq!(harbour.store.state(), Some(expected), "{case}");
            // It does not come back when the clock is put right.
            harbour.clock.set(NOW + 1);
            let held = if is_over { 0 } else { WANTED };
            assert_eq!(open_for_others(&harbour.app), SPOTS - held, "{case}");
        }
    }
}

#[test]
fn the_hold_of_an_order_whose_payment_is_pending_is_counted_once_after_a_crash() {
    let harbour = Harbour::new();
    harbour.check(WANTED).unwrap();
    // The intent is on record; the process ends before the outcome is.
    harbour.store.expects(&[Fate::Recorded, Fate::Failed]);
    let runtime = runtime();
    runtime
        .block_on(create_paid(&harbour.app, "card"))
        .unwrap_err();
    runtime.block_on(async {
        let harbour = harbour.restarted();
        assert_eq!(harbour.open(), SPOTS - WANTED, "not twice");
        harbour.app.commands().close();
        harbour.app.commands().wait().await;
        assert_eq!(harbour.open(), SPOTS - WANTED, "held again");
        assert_eq!(harbour.store.state(), Some(HoldState::Active));
        create(&harbour.app, None).unwrap();
        assert_eq!(harbour.open(), SPOTS - WANTED);
        assert_eq!(harbour.store.state(), Some(HoldState::Consumed));
    });
}

#[test]
fn an_order_after_the_time_of_its_hold_ends_it_on_record_too() {
    for later in [599, 600] {
        let harbour = Harbour::new();
        harbour.check(3).unwrap();
        harbour.clock.set(NOW + later);
        create(&harbour.app, None).unwrap();
        assert_eq!(harbour.store.state(), Some(HoldState::Consumed), "{later}");
        // Its own spots would count twice if it came back with a clock that is set back.
        harbour.clock.set(NOW + 1);
        assert_eq!(harbour.open(), SPOTS - WANTED, "{later}");
        assert_eq!(harbour.restarted().open(), SPOTS - WANTED, "{later}");
    }
}

#[test]
fn an_order_and_the_expiry_of_its_hold_end_it_once_under_every_schedule() {
    // One second before its end, at its end, and after the sweep.
    for later in [599, 600, 660] {
        let schedules = every_schedule(2, |stage| {
            let harbour = Harbour::new();
            harbour.check(WANTED).unwrap();
            harbour.clock.set(NOW + later);
            let sweeps = || harbour.sweep();
            let orders = || drop(create(&harbour.app, None).unwrap());
            stage.play(vec![Box::new(sweeps), Box::new(orders)]);
            assert_eq!(harbour.open(), SPOTS - WANTED);
            let ended = harbour.store.state().unwrap();
            assert_ne!(ended, HoldState::Active);
            assert_eq!(harbour.app.carts_with_holds(), 0);
            harbour.clock.set(NOW + 1);
            assert_eq!(harbour.restarted().open(), SPOTS - WANTED);
        });
        eprintln!("{later}: {} schedules", schedules.unwrap());
    }
}

#[test]
fn a_renewal_and_the_expiry_of_its_hold_leave_what_was_answered_under_every_schedule() {
    for later in [599, 600] {
        let schedules = every_schedule(2, |stage| {
            let harbour = Harbour::new();
            harbour.check(WANTED).unwrap();
            harbour.clock.set(NOW + later);
            let answered = Mutex::new(None);
            let sweeps = || harbour.sweep();
            let renews = || *answered.lock().unwrap() = harbour.check(WANTED);
            stage.play(vec![Box::new(sweeps), Box::new(renews)]);
            let ends = NOW + later + 600;
            assert_eq!(answered.into_inner().unwrap(), Some(ends));
            assert_eq!(harbour.store.state(), Some(HoldState::Active));
            for (now, open) in [(ends - 1, SPOTS - WANTED), (ends, SPOTS)] {
                harbour.clock.set(now);
                assert_eq!(harbour.open(), open);
            }
        });
        eprintln!("{later}: {} schedules", schedules.unwrap());
    }
}

#[test]
fn a_hold_keeps_spots_and_neither_their_slot_nor_their_ticket_type_nor_their_price() {
    type Change = fn(&mut Fixture);
    let no_tickets: Change = |fixture| fixture.service_mut("raft").tickets.clear();
    let dearer: Change = |fixture| fixture.service_mut("raft").tickets[0].price = cents(8_000);
    for (what, spots, change, is_held) in [
        ("slot", None, (|_| {}) as Change, false),
        ("ticket type", Some(SPOTS), no_tickets, false),
        ("price", Some(SPOTS), dearer, true),
        ("spots", Some(WANTED - 1), |_| {}, false),
    ] {
        for is_checked in [false, true] {
            let harbour = Harbour::new();
            harbour.check(WANTED).unwrap();
            harbour.reload(spots, change);
            let case = format!("{what}, checked: {is_checked}");
            create(&harbour.app, None).unwrap_err();
            assert_eq!(harbour.store.state(), Some(HoldState::Active), "{case}");
            if is_checked {
                // A check holds what there is now, or nothing.
                assert_eq!(harbour.check(WANTED).is_some(), is_held, "{case}");
            }
            harbour.reload(Some(SPOTS), |_| {});
            let held = if is_held || !is_checked { WANTED } else { 0 };
            assert_eq!(harbour.open(), SPOTS - held, "{case}");
            create(&harbour.app, None).unwrap();
            let ended = harbour.store.state().unwrap();
            assert_eq!(ended == HoldState::Consumed, held > 0, "{case}");
            assert_eq!(harbour.restarted().open(), SPOTS - WANTED, "{case}");
        }
    }
}

#[test]
fn a_hold_whose_slot_the_catalogue_of_a_start_does_not_have_is_there_when_it_returns() {
    let harbour = Harbour::new();
    harbour.check(WANTED).unwrap();
    let Harbour { store, clock, .. } = harbour;
    let app = app_on(store.clone(), clock.clone(), raft_catalog(None, |_| {}));
    let harbour = Harbour { app, store, clock };
    create(&harbour.app, None).unwrap_err();
    harbour.reload(Some(SPOTS), |_| {});
    for (later, open) in [(599, SPOTS - WANTED), (600, SPOTS)] {
        harbour.clock.set(NOW + later);
        assert_eq!(harbour.open(), open, "{later}");
    }
    create(&harbour.app, None).unwrap();
    assert_eq!(harbour.store.state(), Some(HoldState::Consumed));
}

#[test]
fn a_pending_payment_leaves_the_hold_of_another_users_cart_of_the_same_id() {
    let harbour = Harbour::new();
    let ada = Arc::new(User::new("ada".into(), Scope::default()));
    let checked = played(harbour.app.check(cart(3), Some(ada)).get()).unwrap();
    assert_eq!(checked.hold_expires_sec, Some(NOW + 600));
    // Nobody's order of this token; the process ends while it is paid for.
    harbour.store.expects(&[Fate::Recorded, Fate::Failed]);
    let runtime = runtime();
    runtime
        .block_on(create_paid(&harbour.app, "card"))
        .unwrap_err();
    runtime.block_on(async {
        let harbour = harbour.restarted();
        assert_eq!(harbour.open(), SPOTS - WANTED - 3);
        harbour.app.commands().close();
        harbour.app.commands().wait().await;
        assert_eq!(harbour.open(), SPOTS - 3);
        harbour.clock.set(NOW + 600);
        assert_eq!(harbour.open(), SPOTS);
    });
}

#[test]
fn a_hold_that_is_over_does_not_take_its_spots_from_the_next_under_a_clock_that_is_set_back() {
    for is_restarted in [false, true] {
        for (later, are_free) in [(599, false), (600, true)] {
            let mut harbour = Harbour::new();
            harbour.check(WANTED).unwrap();
            harbour.clock.set(NOW + later);
            let all = || Cart {
                cart_id: Some("other".into()),
                ..cart(SPOTS)
            };
            let held = played(harbour.app.check(all(), None).get()).unwrap();
            let ends = are_free.then_some(NOW + later + 600);
            let case = format!("after {later}, restarted: {is_restarted}");
            assert_eq!(held.hold_expires_sec, ends, "{case}");
            harbour.clock.set(NOW + 598);
            if is_restarted {
                harbour = harbour.restarted();
            }
            let held = played(harbour.app.check(all(), None).get()).unwrap();
            assert_eq!(held.hold_expires_sec.is_some(), are_free, "{case}");
            // Neither does the one that still lasts lose its own.
            let open = if are_free { 0 } else { SPOTS - WANTED };
            assert_eq!(harbour.open(), open, "{case}");
        }
    }
}

#[test]
fn a_cart_whose_order_may_be_on_record_holds_nothing_until_a_restart() {
    let harbour = Harbour::new();
    harbour.check(WANTED).unwrap();
    harbour.store.expects(&[Fate::Failed]);
    let created = try_to_create(&harbour.app, None, 0);
    assert_eq!(created.map(drop), Err(OrderError::StoreFailed));
    assert_eq!(harbour.check(WANTED), None);
    assert_eq!(harbour.open(), SPOTS - WANTED);
    assert_eq!(harbour.restarted().open(), SPOTS - WANTED, "held again");
}

/// Two checks and an order of one cart, on a store that fails at some commit: whatever was promised is held, in memory and
/// on record alike.
fn checks_and_an_order(stage: &Stage, fates: &[Fate], forgets: bool) {
    let harbour = Harbour::new();
    harbour.store.expects(fates);
    let at = &harbour;
    let told = Mutex::new(Vec::new());
    let check = || {
        let promised = at.check(WANTED).is_some();
        if forgets {
            // The fault of the negative control: the hold is gone from memory, and nobody has recorded that.
            let cart = RequestKey::of(&"cart".into()).cart_of(None);
            if let Some(change) = at.app.inventory.release_hold(cart) {
                at.app.inventory.apply_hold(change, NOW);
            }
        }
        told.lock().unwrap().push(promised);
    };
    let order = || drop(try_to_create(&at.app, None, 0));
    stage.play(vec![Box::new(check), Box::new(check), Box::new(order)]);
    let open = harbour.open();
    assert_eq!(
        harbour.app.carts_with_holds() > 0,
        harbour.store.state() == Some(HoldState::Active)
    );
    assert_eq!(harbour.restarted().open(), open, "as on record");
}

#[test]
fn what_is_held_in_memory_is_what_is_on_record_under_every_schedule() {
    use Fate::{Recorded, Stale, Unavailable};
    for fates in [
        &[][..],
        &[Unavailable],
        &[Recorded, Unavailable],
        &[Recorded, Stale],
        &[Recorded, Recorded, Unavailable],
    ] {
        let schedules = every_schedule(1, |stage| checks_and_an_order(stage, fates, false));
        eprintln!("{fates:?}: {} schedules", schedules.unwrap());
    }
}

/// The negative control.
#[test]
fn a_hold_that_is_forgotten_without_a_record_is_found_out() {
    let caught = every_schedule(1, |stage| checks_and_an_order(stage, &[], true)).unwrap_err();
    eprintln!(
        "found out after {} schedules: {}",
        caught.schedules, caught.why
    );
}

/// A note on the order of the cart, by a request of this number.
fn note(harbour: &Harbour, number: u32) -> Result<Box<StoredOrder>, ChangeError> {
    let request = ChangeRequest {
        order: harbour.store.order_key(&"cart".into()).order_id(),
        request_id: format!("00000000-0000-4000-8000-{number:012}"),
        fingerprint: [0; 32],
        expected_revision: None,
        user: None,
        mode: ChangeMode::Commit,
    };
    let note = OrderChange::AddNote {
        note: "called".to_owned(),
    };
    let far = Instant::now() + Duration::from_secs(60);
    played(harbour.app.change_order(request, note, far))
}

#[test]
fn a_change_of_an_order_is_decided_anew_three_times_at_most() {
    use Fate::{Failed, Recorded, Stale, Unavailable};
    let contended = Err(ChangeError::Contended);
    let unavailable = Err(ChangeError::Order(OrderError::StoreUnavailable));
    let failed = Err(ChangeError::Order(OrderError::StoreFailed));
    for (fates, expected) in [
        (&[Recorded][..], Ok(1)),
        (&[Stale, Recorded], Ok(1)),
        (&[Stale, Stale, Recorded], Ok(1)),
        (&[Stale, Stale, Stale], contended),
        (&[Unavailable], unavailable.clone()),
        (&[Stale, Unavailable], unavailable),
        (&[Failed], failed),
    ] {
        let harbour = Harbour::new();
        assert!(create(&harbour.app, None).is_ok());
        harbour.store.units();
        harbour.store.expects(fates);
        let changed = note(&harbour, 1).map(|stored| stored.revision());
        assert_eq!(changed, expected, "{fates:?}");
        assert!(harbour.store.is_done(), "{fates:?}");
        let units = harbour.store.units();
        assert_eq!(units.len(), fates.len());
        let revision = Precondition::OrderRevision {
            order: harbour.store.order_key(&"cart".into()),
            revision: 0,
        };
        let lifecycle = Precondition::LifecycleRevision(1);
        for unit in units {
            assert_eq!(unit.requires[..], [revision, lifecycle]);
        }
        // The caller asks again, and whatever has happened, there is one note in the end.
        let again = note(&harbour, 1).map(|stored| stored.revision());
        assert_eq!(again, Ok(1), "{fates:?}");
    }
}
