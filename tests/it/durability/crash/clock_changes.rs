//! Crashes while the clock is wrong, jumps, and is corrected: no acknowledged order is missing, and no spot
//! is sold twice or lost.
//!
//! The server is this test binary in a process of its own, with a planned clock. Each round opens it with a
//! clock that is far off and kills it; opens it with another wrong clock, corrects that while the server
//! runs, and verifies; and then runs users until it kills the server.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use boxoffice::{
    catalog,
    config::{Config, Flags},
    kernel::clock::{Clock, SystemClock},
    orders::{Parts, audit::Audit},
    payments::simulated::SimulatedGateway,
    server::{self, Server},
    store::{
        CommitFuture, HoldId, OrderFilter, OrderKey, OrderSink, Read, ReadError, Recovered, Replay,
        Selection, Store, StoreHealth, StoreStats, StoredHold, UnitOfWork, log::LogStore,
    },
    telemetry,
};
use domain::time::{EpochSeconds, Seconds};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    Anomaly, Deployment, History, Started, assert_none, hold_carts, open, run_until_killed,
    verify_last,
};
use crate::support::{self, doubles::reads_of, process::Program, seeds::seeds};

/// Rounds in every run of the tests, and where there is time.
const USUAL_ROUNDS: u64 = 3;
const MANY_ROUNDS: u64 = 40;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Offsets of a clock that is corrected later. With up to a week, no slot of the future is forgotten.
const OFF: [i64; 9] = [
    0,
    HOUR,
    3 * HOUR,
    DAY,
    3 * DAY,
    7 * DAY,
    -3 * HOUR,
    -3 * DAY,
    -30 * DAY,
];

/// Offsets of a clock in a server that runs briefly and is killed.
const FAR_OFF: [i64; 5] = [3 * HOUR, 3 * DAY, 30 * DAY, 20_000 * DAY, -10_000 * DAY];

/// The plan of such a server, passed in a variable.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Plan {
    catalog: PathBuf,
    store: PathBuf,
    /// The offset of its clock at startup.
    off: i64,
    /// Whether it sweeps with that clock.
    sweeps: bool,
    /// Whether the clock is corrected before the server is ready.
    is_corrected: bool,
    /// Whether its store forgets sales that have ended by the clock of the start.
    forgets: bool,
}

const PLAN: &str = "BOXOFFICE_TEST_PLAN";

/// The log message of the reload that ends the plan.
const READY: &str = "catalogue reloaded";

impl Plan {
    fn of(deployment: &Deployment, off: i64) -> Self {
        Self {
            catalog: deployment.catalog.path().into(),
            store: deployment.store.path().into(),
            off,
            sweeps: true,
            is_corrected: true,
            forgets: false,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it is no setting of the server")]
    fn from_variable() -> Option<Self> {
        let text = std::env::var(PLAN).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    async fn open(&self) -> Started {
        let plan = serde_json::to_string(self).unwrap();
        let name = "durability::crash::clock_changes::a_server_with_a_planned_clock";
        let mut started = open(Program::this_test(name, PLAN, &plan)).await;
        started
            .server
            .line("a reload", |line| line["message"] == READY)
            .await;
        started
    }
}

/// The clock of this machine, off by so many seconds.
#[derive(Debug)]
struct OffClock(AtomicI64);

impl Clock for OffClock {
    fn now_sec(&self) -> EpochSeconds {
        SystemClock.now_sec() + self.0.load(Ordering::SeqCst)
    }
}

/// A store that forgets, at startup, sales that have ended by the clock.
#[derive(Debug)]
struct ForgetfulStore {
    inner: LogStore,
    now: EpochSeconds,
}

impl Store for ForgetfulStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        self.inner.commit(unit)
    }

    reads_of!(inner but recover);

    fn recover(&self) -> Result<Recovered, ReadError> {
        let mut recovered = self.inner.recover()?;
        recovered
            .sold
            .retain(|claim| claim.start_sec + Seconds::from(claim.duration_sec) >= self.now);
        Ok(recovered)
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.inner.health()
    }
}

#[tokio::test]
#[ignore = "it is the server of the tests beside it"]
async fn a_server_with_a_planned_clock() {
    let Some(plan) = Plan::from_variable() else {
        return;
    };
    let json = [("BOXOFFICE_LOG_FORMAT".into(), "json".into())];
    let logging =
        Config::from_layers(Flags::default(), json, |_| unreachable!("no file is named")).unwrap();
    let mut config = support::config();
    config.logging = logging.logging;
    telemetry::init(&config).unwrap();
    let clock = Arc::new(OffClock(AtomicI64::new(plan.off)));
    let inner = support::open_store(&plan.store).unwrap();
    let store: Arc<dyn Store> = if plan.forgets {
        Arc::new(ForgetfulStore {
            inner,
            now: clock.now_sec(),
        })
    } else {
        Arc::new(inner)
    };
    let parts = Parts {
        loaded: catalog::load(&plan.catalog).unwrap(),
        store,
        payments: Some(Arc::new(SimulatedGateway::default())),
        clock: clock.clone(),
        limits: server::limits(&config),
        audit: Audit::open(&config.logging.audit_log, clock.clone()).unwrap(),
    };
    config.sales.catalog = plan.catalog;
    let server = Server::start(&config, parts).await.unwrap();
    if plan.sweeps {
        server.sweep().await;
    }
    if plan.is_corrected {
        clock.0.store(0, Ordering::SeqCst);
        server.sweep().await;
    }
    server.reload().await.unwrap();
    std::future::pending::<()>().await;
}

/// Starts a server with a clock that is far off, and kills it.
async fn crash_far_off(deployment: &Deployment, chance: &mut Rng) {
    let off = FAR_OFF[chance.usize(..FAR_OFF.len())];
    // Sweeps with such a clock forget slots of the future, which `durability/clock.rs` tests.
    let plan = Plan {
        sweeps: off.abs() < 7 * DAY,
        is_corrected: false,
        ..Plan::of(deployment, off)
    };
    plan.open().await.server.kill().await;
}

/// A clock that jumps may end any hold.
fn doubt_holds(histories: &mut [History]) {
    for held in histories.iter_mut().flat_map(|history| &mut history.holds) {
        held.is_promised = false;
    }
}

/// A round for each seed, each with two crashes.
async fn run_rounds(seeds: std::ops::Range<u64>) {
    let mut deployment = Deployment::of(seeds.end - seeds.start);
    let mut histories: Vec<History> = Vec::new();
    for (round, seed) in (0..).zip(seeds.clone()) {
        let mut chance = Rng::with_seed(seed);
        crash_far_off(&deployment, &mut chance).await;
        let off = OFF[chance.usize(..OFF.len())];
        let started = Plan::of(&deployment, off).open().await;
        eprintln!(
            "seed {seed}: {} orders, the clock was off by {off} s",
            started.orders
        );
        doubt_holds(&mut histories);
        let mut anomalies = verify_last(&started, &deployment.workload, &mut histories).await;
        let (history, found) = hold_carts(&started.server, &deployment.workload, round, seed).await;
        anomalies.extend(found);
        assert_none(&anomalies, &mut deployment, &seeds, seed);
        histories.push(history);
        let history =
            run_until_killed(started.server, &deployment.workload, round, &mut chance).await;
        histories.last_mut().unwrap().extend(history);
    }
    let started = Plan::of(&deployment, 3 * DAY).open().await;
    doubt_holds(&mut histories);
    let anomalies = verify_last(&started, &deployment.workload, &mut histories).await;
    assert_none(&anomalies, &mut deployment, &seeds, seeds.end);
    let orders: usize = histories
        .iter()
        .map(|history| history.orders().count())
        .sum();
    eprintln!("{orders} orders in {} rounds", histories.len());
    started.server.kill().await;
}

#[tokio::test]
async fn crashes_with_a_clock_that_jumps_lose_nothing_and_sell_nothing_twice() {
    run_rounds(seeds(USUAL_ROUNDS)).await;
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn many_crashes_with_a_clock_that_jumps_lose_nothing_and_sell_nothing_twice() {
    run_rounds(seeds(MANY_ROUNDS)).await;
}

/// The negative control: a store that forgets sales by the clock of the start is detected once the clock is
/// right.
#[tokio::test]
async fn a_store_that_forgets_by_the_clock_is_detected() {
    let deployment = Deployment::of(1);
    let right = Plan::of(&deployment, 0);
    let server = right.open().await.server;
    let history = run_until_killed(server, &deployment.workload, 0, &mut Rng::with_seed(0)).await;
    assert!(history.orders().count() > 1, "there are sales to forget");
    let found = async |plan: Plan| {
        let started = plan.open().await;
        let mut histories = [history.clone()];
        doubt_holds(&mut histories);
        let anomalies = verify_last(&started, &deployment.workload, &mut histories).await;
        started.server.kill().await;
        anomalies
    };
    assert_eq!(found(Plan::of(&deployment, 3 * DAY)).await, []);
    let anomalies = found(Plan {
        forgets: true,
        ..Plan::of(&deployment, 3 * DAY)
    })
    .await;
    let oversold = |anomaly: &Anomaly| matches!(anomaly, Anomaly::Spots { sold, open, allotment, .. } if sold + open > *allotment);
    assert!(anomalies.iter().any(oversold), "{anomalies:?}");
}
