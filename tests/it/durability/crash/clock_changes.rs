//! Crashes while the clock is wrong, jumps, and is corrected: no acknowledged order is missing, no spot is sold twice or
//! lost, and a hold lasts until its second and not beyond.
//!
//! The server is this test binary in a process of its own, with a planned clock, which stands still until the test sets
//! it. Each round sets it forwards or backwards by some minutes. It may open the server with a clock that is far off, and
//! kill it; it opens the server with another wrong clock, corrects that while the server runs, and verifies. Then it holds
//! carts, kills the server, sets the clock again, and counts what is held in the seconds about the end of each hold. At
//! last it runs users, sets the clock while they order, and kills the server in the middle of it.

use std::{
    fs,
    path::{Path, PathBuf},
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
use domain::{
    slot::HoldSpan,
    time::{EpochSeconds, Seconds},
};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::watch;

use super::{
    Anomaly, Deployment, History, Started, assert_none,
    client::Client,
    history::HoldPromise,
    hold_carts, open, run_until_killed, run_with_an_event, verify_last,
    workload::{HOLD_SEC, Pool},
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

/// How far the clock is set from the time of the first round, at most. Less than half of a hold: one that no wrong clock
/// has ended lasts until the next round.
const JUMP: i64 = HOLD_SEC / 2 - 60;

/// Offsets of a clock in a server that runs briefly and is killed.
const FAR_OFF: [i64; 5] = [3 * HOUR, 3 * DAY, 30 * DAY, 20_000 * DAY, -10_000 * DAY];

/// The plan of such a server, passed in a variable.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Plan {
    catalog: PathBuf,
    store: PathBuf,
    /// The file with the time.
    clock: PathBuf,
    /// The offset of its clock at startup.
    off: i64,
    /// Whether it sweeps with that clock.
    sweeps: bool,
    /// Whether the clock is corrected before the server is ready.
    is_corrected: bool,
    fault: StartFault,
}

/// What its store gets wrong at startup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum StartFault {
    None,
    /// Sales that have ended by the clock are forgotten.
    SalesForgotten,
    /// Holds last longer by so many seconds.
    HoldsLonger(i64),
}

const PLAN: &str = "BOXOFFICE_TEST_PLAN";

/// The log message of the reload that ends the plan.
const READY: &str = "catalogue reloaded";

impl Plan {
    fn of(deployment: &Deployment, time: &PlannedTime, off: i64) -> Self {
        Self {
            catalog: deployment.catalog.path().into(),
            store: deployment.store.path().into(),
            clock: time.file(),
            off,
            sweeps: true,
            is_corrected: true,
            fault: StartFault::None,
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

/// The time that the test plans, in a file that every server of a deployment reads.
struct PlannedTime {
    dir: TempDir,
    first: EpochSeconds,
}

impl PlannedTime {
    /// It begins with the present time, and stands still.
    fn new() -> Self {
        let time = Self {
            dir: TempDir::new().unwrap(),
            first: SystemClock.now_sec(),
        };
        time.set(time.first);
        time
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("now")
    }

    fn now(&self) -> EpochSeconds {
        read_time(&self.file())
    }

    fn set(&self, now: EpochSeconds) {
        // Renamed, so that no server reads half of it.
        let next = self.dir.path().join("next");
        fs::write(&next, now.get().to_string()).unwrap();
        fs::rename(next, self.file()).unwrap();
    }

    /// Sets it forwards or backwards.
    fn jump(&self, chance: &mut Rng) {
        self.set(self.first + chance.i64(-JUMP..=JUMP));
    }
}

fn read_time(file: &Path) -> EpochSeconds {
    let text = fs::read_to_string(file).unwrap();
    EpochSeconds::new(text.parse().unwrap())
}

/// The planned time, off by so many seconds.
#[derive(Debug)]
struct OffClock {
    file: PathBuf,
    off: AtomicI64,
}

impl Clock for OffClock {
    fn now_sec(&self) -> EpochSeconds {
        read_time(&self.file) + self.off.load(Ordering::SeqCst)
    }
}

/// A store that gets something wrong at startup.
#[derive(Debug)]
struct WrongStart {
    inner: LogStore,
    now: EpochSeconds,
    fault: StartFault,
}

impl Store for WrongStart {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        self.inner.commit(unit)
    }

    reads_of!(inner but recover);

    fn recover(&self) -> Result<Recovered, ReadError> {
        let mut recovered = self.inner.recover()?;
        match self.fault {
            StartFault::None => {}
            StartFault::SalesForgotten => recovered
                .sold
                .retain(|claim| claim.start_sec + Seconds::from(claim.duration_sec) >= self.now),
            StartFault::HoldsLonger(seconds) => {
                for hold in &mut recovered.holds {
                    hold.expires_sec = hold.expires_sec + seconds;
                }
            }
        }
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
    let clock = Arc::new(OffClock {
        file: plan.clock,
        off: AtomicI64::new(plan.off),
    });
    let store = WrongStart {
        inner: support::open_store(&plan.store).unwrap(),
        now: clock.now_sec(),
        fault: plan.fault,
    };
    let parts = Parts {
        loaded: catalog::load(&plan.catalog).unwrap(),
        store: Arc::new(store),
        payments: Some(Arc::new(SimulatedGateway::default())),
        clock: clock.clone(),
        lifecycle: boxoffice::orders::lifecycle::LifecycleSource::Published,
        limits: server::limits(&config),
        audit: Audit::open(&config.logging.audit_log, clock.clone()).unwrap(),
    };
    config.sales.catalog = plan.catalog;
    let server = Server::start(&config, parts).await.unwrap();
    if plan.sweeps {
        server.sweep().await;
    }
    if plan.is_corrected {
        clock.off.store(0, Ordering::SeqCst);
        server.sweep().await;
    }
    server.reload().await.unwrap();
    std::future::pending::<()>().await;
}

/// Starts a server with a clock that is far off, and kills it. Gives the second that it saw.
async fn crash_far_off(
    deployment: &Deployment,
    time: &PlannedTime,
    chance: &mut Rng,
) -> EpochSeconds {
    let off = FAR_OFF[chance.usize(..FAR_OFF.len())];
    // Sweeps with such a clock forget slots of the future, which `durability/clock.rs` tests.
    let plan = Plan {
        sweeps: off.abs() < 7 * DAY,
        is_corrected: false,
        ..Plan::of(deployment, time, off)
    };
    plan.open().await.server.kill().await;
    time.now() + off
}

/// Whether a hold lasts that ends at a second. Each has its whole length.
fn lasts(expires_sec: i64, now: EpochSeconds) -> bool {
    let expires = EpochSeconds::new(expires_sec);
    HoldSpan::new(expires - HOLD_SEC, expires).is_on(now)
}

/// What has become of holds in starts and sweeps that saw these seconds.
fn foresee(history: &mut History, seen: &[EpochSeconds]) {
    for held in &mut history.holds {
        let ends = seen.iter().any(|now| !lasts(held.expires_sec, *now));
        if held.promise == HoldPromise::Lasts && ends {
            held.promise = HoldPromise::IsOver;
        }
    }
}

/// Counts the spots of carts that are held, with nothing else in flight: now, and about the end of each hold.
async fn count_to_the_second(
    started: &Started,
    time: &PlannedTime,
    pools: &[Pool],
    history: &mut History,
) -> Vec<Anomaly> {
    let client = Client::at(&started.server).await;
    let (now, standing) = (time.now(), history.standing_holds());
    let mut seconds = vec![now];
    for held in &standing {
        let expires = EpochSeconds::new(held.expires_sec);
        seconds.extend([expires - 1, expires]);
    }
    seconds.dedup();
    let mut anomalies = Vec::new();
    for second in seconds {
        time.set(second);
        let on = standing
            .iter()
            .filter(|held| held.promise == HoldPromise::Lasts && lasts(held.expires_sec, second));
        let lines: Vec<_> = on.flat_map(|held| held.cart.item.clone()).collect();
        anomalies.extend(history.count(pools, &lines, &client.spots_open(pools).await));
    }
    time.set(now);
    for held in &mut history.holds {
        // A sweep may have come in the second of their end.
        held.promise = HoldPromise::Unknown;
    }
    anomalies
}

/// A round for each seed, each with two crashes at least.
async fn run_rounds(seeds: std::ops::Range<u64>) {
    let mut deployment = Deployment::of(seeds.end - seeds.start);
    let (time, mut counts) = (PlannedTime::new(), [0; 3]);
    let mut histories: Vec<History> = Vec::new();
    for (round, seed) in (0..).zip(seeds.clone()) {
        let mut chance = Rng::with_seed(seed);
        time.jump(&mut chance);
        let mut seen = Vec::new();
        if chance.bool() {
            seen.push(crash_far_off(&deployment, &time, &mut chance).await);
        }
        // Half of the starts have the right time, so that holds outlast some.
        let off = OFF[chance.usize(..2 * OFF.len()).saturating_sub(OFF.len())];
        seen.extend([time.now() + off, time.now()]);
        let started = Plan::of(&deployment, &time, off).open().await;
        eprintln!(
            "seed {seed}: {} orders, the clock was off by {off} s",
            started.orders
        );
        if let Some(last) = histories.last_mut() {
            foresee(last, &seen);
            count_promises(last, &mut counts);
        }
        let mut anomalies = verify_last(&started, &deployment.workload, &mut histories).await;
        let (mut history, found) =
            hold_carts(&started.server, &deployment.workload, round, seed).await;
        anomalies.extend(found);
        started.server.kill().await;
        time.jump(&mut chance);
        let started = Plan::of(&deployment, &time, 0).open().await;
        let pools = deployment.workload.pools(round);
        anomalies.extend(count_to_the_second(&started, &time, &pools, &mut history).await);
        assert_none(&anomalies, &mut deployment, &seeds, seed);
        let mut jump = chance.fork();
        let ran = run_with_an_event(
            started.server,
            &deployment.workload,
            round,
            &mut chance,
            || time.jump(&mut jump),
        );
        history.extend(ran.await);
        histories.push(history);
    }
    let started = Plan::of(&deployment, &time, 3 * DAY).open().await;
    if let Some(last) = histories.last_mut() {
        foresee(last, &[time.now() + 3 * DAY]);
    }
    let anomalies = verify_last(&started, &deployment.workload, &mut histories).await;
    assert_none(&anomalies, &mut deployment, &seeds, seeds.end);
    let orders: usize = histories
        .iter()
        .map(|history| history.orders().count())
        .sum();
    let [lasting, over, unknown] = counts;
    eprintln!(
        "{orders} orders in {} rounds; of the holds at a kill, {lasting} lasted, {over} were over, {unknown} unknown",
        histories.len()
    );
    started.server.kill().await;
}

/// Counts holds by what is known of them.
fn count_promises(history: &History, counts: &mut [usize; 3]) {
    for held in history.standing_holds() {
        let at = match held.promise {
            HoldPromise::Lasts => 0,
            HoldPromise::IsOver => 1,
            HoldPromise::Unknown => 2,
        };
        counts[at] += 1;
    }
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
    let (deployment, time) = (Deployment::of(1), PlannedTime::new());
    let right = Plan::of(&deployment, &time, 0);
    let server = right.open().await.server;
    let history = run_until_killed(server, &deployment.workload, 0, &mut Rng::with_seed(0)).await;
    assert!(history.orders().count() > 1, "there are sales to forget");
    let found = async |plan: Plan| {
        let started = plan.open().await;
        let mut histories = [history.clone()];
        foresee(&mut histories[0], &[time.now() + plan.off]);
        let anomalies = verify_last(&started, &deployment.workload, &mut histories).await;
        started.server.kill().await;
        anomalies
    };
    let wrong = Plan::of(&deployment, &time, 3 * DAY);
    assert_eq!(found(wrong.clone()).await, []);
    let anomalies = found(Plan {
        fault: StartFault::SalesForgotten,
        ..wrong
    })
    .await;
    let oversold = |anomaly: &Anomaly| matches!(anomaly, Anomaly::Spots { sold, open, allotment, .. } if sold + open > *allotment);
    assert!(anomalies.iter().any(oversold), "{anomalies:?}");
}

/// The negative control: a second more or less is detected.
#[tokio::test]
async fn a_hold_that_ends_a_second_early_or_late_after_a_kill_is_detected() {
    for (seconds, is_detected) in [(0, false), (1, true), (-1, true)] {
        let (deployment, time) = (Deployment::of(1), PlannedTime::new());
        let right = Plan::of(&deployment, &time, 0);
        let server = right.open().await.server;
        let (mut history, found) = hold_carts(&server, &deployment.workload, 0, 0).await;
        assert_eq!(found, []);
        server.kill().await;
        let plan = Plan {
            fault: StartFault::HoldsLonger(seconds),
            ..right
        };
        let started = plan.open().await;
        let pools = deployment.workload.pools(0);
        let anomalies = count_to_the_second(&started, &time, &pools, &mut history).await;
        assert_eq!(
            !anomalies.is_empty(),
            is_detected,
            "{seconds}: {anomalies:?}"
        );
        started.server.kill().await;
    }
}
