use std::{
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Wake, Waker},
};

use futures_util::FutureExt;

use super::{
    create::Creation,
    execute::CommitFailure,
    tokens::{LockedFor, RequestKey, TokenLock},
    *,
};
use crate::{audit::Audit, audit::AuditLog};
use catalog::{Loaded, Snapshot};
use domain::{
    availability::AskedSlot,
    catalog::CartHold,
    fixtures::{Fixture, HOUR, NOW, START, line},
    order::{Customer, NewOrder, PaymentDetails, PaymentMethod, PaymentProcessor},
    slot::{Opening, PassThroughIx, Pool, PoolTickets},
};
use kernel::{clock::ManualClock, diagnostics::Diagnostics};
use payments::simulated::SimulatedGateway;
use store::{CommitError, ReadError, memory::MemoryStore};
use testkit::schedules::{every_schedule, point_until};

mod simulation;

pub(super) const SPOTS: u32 = 5;
pub(super) const WANTED: u32 = 2;

/// How long a hold lasts.
pub(super) const HOLD: Seconds = Seconds::new(600);

/// A trip with a few spots, whose merchant holds carts.
fn raft() -> Arc<App> {
    raft_by(Arc::new(ManualClock::at(NOW)))
}

fn raft_by(clock: Arc<ManualClock>) -> Arc<App> {
    raft_on(Arc::new(MemoryStore::default()), clock)
}

/// The catalogue of the trip with so many spots, if it takes place, and with a change.
pub(super) fn raft_catalog(spots: Option<u32>, change: fn(&mut Fixture)) -> Loaded {
    let mut fixture = Fixture::new();
    fixture.merchant_mut().cart_hold = Some(CartHold {
        each: HOLD,
        whole: Seconds::HOUR,
    });
    fixture.merchant_mut().per_order_fees.clear();
    change(&mut fixture);
    let opening = |allotment| Opening {
        first: fixture.key("raft", START),
        pool: Pool {
            tickets: PoolTickets::All,
            allotment,
        },
        terms: None,
        recurrence: None,
        pass_through: PassThroughIx::default(),
    };
    Loaded {
        files: Snapshot::default(),
        openings: spots.map(opening).into_iter().collect(),
        catalog: fixture.catalog,
        source_feeds: SourceFeeds::default(),
        warnings: Diagnostics::default(),
        unread: Vec::new(),
    }
}

/// The same on a store that may have something on record.
pub(super) fn raft_on(store: Arc<dyn Store>, clock: Arc<ManualClock>) -> Arc<App> {
    app_on(store, clock, raft_catalog(Some(SPOTS), |_| {}))
}

/// A server on a store, with this catalogue.
pub(super) fn app_on(store: Arc<dyn Store>, clock: Arc<ManualClock>, loaded: Loaded) -> Arc<App> {
    App::open(parts_on(store, clock, loaded))
        .now_or_never()
        .expect("nothing is waited for")
        .unwrap()
}

/// The parts of a server on a store, with this catalogue.
pub(super) fn parts_on(store: Arc<dyn Store>, clock: Arc<ManualClock>, loaded: Loaded) -> Parts {
    Parts {
        loaded,
        store,
        payments: Some(Arc::new(SimulatedGateway::default())),
        lifecycle: lifecycle::LifecycleSource::Published,
        audit: Audit::open(&AuditLog::Off, clock.clone()).unwrap(),
        clock,
        limits: Limits {
            payment_timeout: Duration::from_secs(1),
            max_commands: 8,
            horizon: Seconds::new(HOUR),
        },
    }
}

pub(super) fn cart(count: u32) -> Cart {
    Cart {
        merchant_id: "town".into(),
        items: vec![line(
            "raft",
            &[("seat", count.cast_signed())],
            7_500 * i64::from(count),
        )],
        cart_id: Some("cart".into()),
    }
}

/// Whether a check of the cart answers with a hold.
fn check_holds(app: &Arc<App>) -> bool {
    let checked = played(app.check(cart(WANTED), None).get()).unwrap();
    checked.hold_expires_sec.is_some()
}

/// Waits for a future in a schedule, and for nothing outside of one. Between two polls the thread waits until it is woken.
pub(super) fn played<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        point_until(|| woken.0.swap(false, Ordering::SeqCst));
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Creates the cart's order, to be paid for with this token where there is one.
pub(super) fn create(app: &App, payment_token: Option<&str>) -> Created {
    try_to_create(app, payment_token, 0).unwrap()
}

/// The same by a request with this fingerprint.
pub(super) fn try_to_create(
    app: &App,
    payment_token: Option<&str>,
    fingerprint: u8,
) -> Result<Created, OrderError> {
    let (guard, creation) = creation(app, payment_token, fingerprint);
    played(app.create_under(guard, creation))
}

/// The creation of the cart's order, under its lock.
pub(super) fn creation(
    app: &App,
    payment_token: Option<&str>,
    fingerprint: u8,
) -> (TokenGuard, Creation) {
    let processed_by = payment_token.map(|_| PaymentProcessor::Partner);
    let order = NewOrder {
        merchant_id: "town".into(),
        customer: Customer::of("ada"),
        items: cart(WANTED).items,
        payment: Some(Box::new(PaymentDetails {
            processed_by,
            ..PaymentDetails::default()
        })),
        method: payment_token.map(|token| PaymentMethod {
            token: token.into(),
            challenge: None,
        }),
    };
    let command = CreateOrder {
        token: "cart".into(),
        fingerprint: [fingerprint; 32],
        order,
    };
    let guard = played(async {
        loop {
            match app
                .tokens
                .try_lock(RequestKey::of(&command.token), LockedFor::Order)
            {
                TokenLock::Acquired(guard) => return guard,
                TokenLock::Held(waiting) => tokens::released(waiting).await,
            }
        }
    });
    (guard, Creation::new(app, Box::new(command), None))
}

pub(super) fn open_for_others(app: &App) -> u32 {
    open_at(app, START)
}

/// The spots of the trip at this time that are open to others.
pub(super) fn open_at(app: &App, start_sec: EpochSeconds) -> u32 {
    let (service_id, duration_sec) = ("raft".into(), Seconds::HOUR);
    let slot = AskedSlot {
        service_id,
        start_sec,
        duration_sec,
        availability_tag: String::new(),
        resources: None,
        confirmation_mode: 0,
    };
    app.check_availability(&SlotLookup {
        merchant_id: "town".into(),
        slot,
    })
    .unwrap()
}

#[test]
fn errors_of_the_store_are_logged_once_a_second_with_their_number() {
    let clock = Arc::new(ManualClock::at(NOW));
    let app = raft_by(clock.clone());
    let log = Arc::new(Mutex::new(Vec::new()));
    tracing::subscriber::with_default(Log(Arc::clone(&log)), || {
        for (seconds, calls) in [(0, 1), (0, 1000), (1, 1), (0, 5), (3, 2)] {
            clock.advance(Seconds::new(seconds));
            for _ in 0..calls {
                let failure = app.commit_failed(&CommitError::WriterStopped);
                assert_eq!(failure, CommitFailure::Unknown(OrderError::StoreFailed));
            }
        }
        // Another kind of error has its own limit.
        assert_eq!(
            app.read_failed(&ReadError::MissingFromList),
            OrderError::Unreadable
        );
    });
    let failed = |times: u64| format!("ERROR a change could not be recorded {times}");
    let expected = [
        failed(1),
        failed(1001),
        failed(6),
        "ERROR the store could not be read 1".to_owned(),
    ];
    assert_eq!(*log.lock().unwrap(), expected);
}

/// Keeps the level, the message and the number of times of every event.
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = format!(
            "{} {} {}",
            event.metadata().level(),
            fields.message,
            fields.times
        );
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[derive(Default)]
struct Fields {
    message: String,
    times: u64,
}

impl tracing::field::Visit for Fields {
    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        if field.name() == "times" {
            self.times = value;
        }
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

#[test]
fn a_check_beside_its_order_takes_the_spots_once_under_every_schedule() {
    let schedules = every_schedule(3, |stage| {
        let app = raft();
        let checks = || {
            check_holds(&app);
        };
        let orders = || assert!(create(&app, None).is_ok());
        stage.play(vec![Box::new(checks), Box::new(orders)]);
        assert_eq!(open_for_others(&app), SPOTS - WANTED);
    });
    eprintln!("{} schedules", schedules.unwrap());
}

#[test]
fn a_cart_whose_order_fails_has_the_hold_that_was_answered_under_every_schedule() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let schedules = every_schedule(3, |stage| {
        let (app, answered) = (raft(), Mutex::new(false));
        let checks = || *answered.lock().unwrap() = check_holds(&app);
        let orders = || {
            let _timers = runtime.enter();
            assert!(create(&app, Some("decline")).is_err());
        };
        stage.play(vec![Box::new(checks), Box::new(orders)]);
        let held = if answered.into_inner().unwrap() {
            WANTED
        } else {
            0
        };
        assert_eq!(open_for_others(&app), SPOTS - held);
    });
    eprintln!("{} schedules", schedules.unwrap());
}
