//! Background tasks, which run beside the calls for as long as the server does.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};

use super::{
    health::{self, HealthReporter, Readiness},
    lifecycle::LifecycleReloader,
    parts,
    reload::Reloader,
    security::{Access, Security},
    watcher::{FromFiles, Watcher},
};
use crate::{config::Config, net::Phase};
use domain::time::Seconds;
use kernel::files::Snapshot;
use orders::{
    App,
    steps::{CustomSteps, StepRunner, StepSettings},
};
use store::ErrorChain;

/// How often a sweep is considered. It runs once an hour, and soon after the clock was set.
const SWEEP_LOOK: Duration = Duration::from_secs(60);

/// How often some old visits are erased, while there are any.
const ERASURE_LOOK: Duration = Duration::from_secs(5);

/// How many times the next look is left out when there was none: ten minutes.
const ERASURE_IDLE: u32 = 120;

/// How often the rate state of idle callers is dropped.
const CALLERS_SWEEP: Duration = Duration::from_secs(10);

/// A reloadable part, and the snapshot of its files from before they were read.
pub(super) type Watched<T> = (Arc<Watcher<T>>, Snapshot);

/// The parts that are reloaded: access, the catalogue, and the lifecycle where it comes from a file.
pub(super) type WatchedParts<'w> = (
    &'w Watched<Security>,
    &'w Watched<Reloader>,
    Option<&'w Arc<Watcher<LifecycleReloader>>>,
);

/// Starts the background tasks: health follows the store, the horizon moves on, steps and timers of orders run, state of idle
/// callers is dropped, and changed files are reloaded.
pub(super) fn spawn(
    config: &Config,
    (app, health): (&Arc<App>, &HealthReporter),
    (security, catalog, lifecycle): WatchedParts<'_>,
    phase: &watch::Receiver<Phase>,
) -> JoinSet<()> {
    let watched = security.0.watched();
    let access = Arc::clone(watched.access());
    let operators = Arc::clone(watched.operator_access());
    let mut tasks = JoinSet::new();
    tasks.spawn(health::follow(
        health.clone(),
        Readiness::new(phase.clone(), app.store().health()),
    ));
    tasks.spawn(sweep_slots(Arc::clone(app), phase.clone()));
    let settings = parts::step_settings(config);
    tasks.spawn(run_steps(Arc::clone(app), settings, phase.clone()));
    if let Some(retention) = config.storage.customer_retention {
        tasks.spawn(erase_old_visits(
            Arc::clone(app),
            retention.into(),
            phase.clone(),
        ));
    }
    tasks.spawn(forget_callers([access, operators], phase.clone()));
    tasks.spawn(run_watcher(security, config.security.security_watch, phase));
    tasks.spawn(run_watcher(catalog, config.sales.catalog_watch, phase));
    if let Some(lifecycle) = lifecycle {
        let watched = (Arc::clone(lifecycle), Snapshot::default());
        tasks.spawn(run_watcher(&watched, None, phase));
    }
    tasks
}

fn run_watcher<F: FromFiles>(
    (watcher, read): &Watched<F>,
    every: Option<Duration>,
    phase: &watch::Receiver<Phase>,
) -> impl Future<Output = ()> + use<F> {
    Arc::clone(watcher).run(every, read.clone(), phase.clone())
}

async fn forget_callers(access: [Arc<Access>; 2], phase: watch::Receiver<Phase>) {
    every(CALLERS_SWEEP, phase, || {
        for access in &access {
            access.remove_idle();
        }
        ready(())
    })
    .await;
}

async fn sweep_slots(app: Arc<App>, phase: watch::Receiver<Phase>) {
    every(SWEEP_LOOK, phase, || app.sweep_if_due()).await;
}

/// Does what happens to orders by itself, until the server drains.
async fn run_steps(app: Arc<App>, settings: StepSettings, mut phase: watch::Receiver<Phase>) {
    let custom = CustomSteps::new();
    let runner = Arc::new(StepRunner::new(app, settings, custom, fastrand::Rng::new()));
    tokio::select! {
        () = runner.run() => {}
        _ = phase.wait_for(|phase| matches!(phase, Phase::Draining | Phase::Stopped)) => {}
    }
}

/// Erases the personal data of old visits, a few orders at a time, so that new orders hardly notice.
async fn erase_old_visits(app: Arc<App>, retention: Seconds, phase: watch::Receiver<Phase>) {
    let idle = AtomicU32::new(0);
    every(ERASURE_LOOK, phase, || async {
        // Relaxed: only this task counts.
        if idle.load(Ordering::Relaxed) > 0 {
            idle.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        match app.erase_old_visits(retention).await {
            Ok(0) => idle.store(ERASURE_IDLE, Ordering::Relaxed),
            Ok(orders) => tracing::info!(orders, "the personal data of old visits was erased"),
            Err(error) => {
                idle.store(ERASURE_IDLE, Ordering::Relaxed);
                tracing::error!(
                    error = %ErrorChain(&error),
                    "the personal data of old visits was not erased, or not all of it"
                );
            }
        }
    })
    .await;
}

/// Runs `act` at an interval, first after one interval, until the server stops.
async fn every<F: Future<Output = ()>>(
    time: Duration,
    mut phase: watch::Receiver<Phase>,
    act: impl Fn() -> F,
) {
    let mut times = tokio::time::interval(time);
    // The first tick of an interval is immediate; at startup there is nothing to do yet.
    times.tick().await;
    loop {
        tokio::select! {
            _ = times.tick() => {}
            _ = phase.wait_for(|phase| *phase == Phase::Stopped) => return,
        }
        // Outside of the `select`, so that a stop never cancels an action halfway.
        act().await;
    }
}
