//! Composition root: the only place that names concrete stores, gateways and clocks. `startup` has
//! the stages of the startup; this module runs the server and shuts it down.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, thread, time::Duration};

use rustix::fs::Mode;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{
    config::{Config, EffectiveSetting, StoreChoice},
    exit_code,
    net::{Phase, control_runtime},
};
use domain::time::EpochSeconds;
use kernel::{
    clock::{Clock, SystemClock},
    descriptors,
    diagnostics::Diagnostics,
};
use orders::{
    audit::AuditEvent,
    lifecycle::LifecycleStartError,
    {App, OfflineCatalog, Parts, ReloadError, Reloaded, StartupError},
};
use store::{
    ErrorChain,
    log::{LogStore, OpenError},
};

mod admin;
mod admission;
mod background;
mod certificates;
mod deadline_body;
mod health;
mod lifecycle;
mod metrics;
mod observability;
mod operator;
mod parts;
mod process_stats;
mod reload;
mod routes;
mod security;
mod signals;
mod startup;
mod summary;
mod watcher;

pub use parts::{lifecycle_source, limits, stopped_store};

use admin::Admin;
use health::HealthReporter;
use lifecycle::LifecycleReloader;
use operator::OperatorListener;
use reload::Reloader;
use security::Security;
use signals::{SignalAction, Signals};
use startup::Bound;
use watcher::Watcher;

/// Time limit for writing the last lines of the audit log.
const AUDIT_FLUSH: Duration = Duration::from_secs(5);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The catalogue has errors.
    #[error("the catalogue cannot be used:\n{0}")]
    Catalog(Diagnostics),
    /// The lifecycle has errors.
    #[error("the lifecycle cannot be used:\n{0}")]
    Lifecycle(Diagnostics),
    /// Certificates or credentials have errors.
    #[error("a file that the settings name cannot be used:\n{0}")]
    Security(Diagnostics),
    /// A store is required and absent.
    #[error("the store cannot be opened: there is none in {}{hint}", dir.display())]
    NoStore {
        /// Where it was looked for.
        dir: PathBuf,
        /// What to do about it.
        hint: &'static str,
    },
    /// The store cannot be opened.
    #[error("{}", ErrorChain(.0))]
    OpenStore(OpenError),
    /// Recovery of the store's contents failed.
    #[error("{}", ErrorChain(.0))]
    Recovery(StartupError),
    /// The address cannot be listened on.
    #[error("{setting}: cannot listen on {address}: {error}")]
    Bind {
        /// The setting that has it.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The audit log cannot be opened.
    #[error("the audit_log cannot be opened: {0}")]
    Audit(io::Error),
    /// Threads or signal handlers could not be created.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

impl ServeError {
    /// The exit code that tells scripts what kind of trouble it is.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Security(_) => exit_code::USAGE,
            Self::Catalog(_)
            | Self::Lifecycle(_)
            | Self::Recovery(StartupError::Lifecycle(
                LifecycleStartError::Invalid(_) | LifecycleStartError::Stranded(_),
            )) => exit_code::CATALOG,
            Self::Bind { .. } => exit_code::UNAVAILABLE,
            Self::Start(_) => exit_code::INTERNAL,
            Self::NoStore { .. } | Self::OpenStore(_) | Self::Recovery(_) | Self::Audit(_) => {
                exit_code::IO
            }
        }
    }
}

/// Serves until a signal ends it.
///
/// # Errors
/// [`ServeError`] if it cannot start.
pub fn run(config: &Config, effective_settings: &[EffectiveSetting]) -> Result<(), ServeError> {
    // Files are readable by their owner only, whatever code creates them.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    // Before anything else starts, so that a signal during the startup is not lost.
    let mut signals = Signals::listen().map_err(ServeError::Start)?;
    // Before the store is opened, which opens files of its own.
    if let Err(error) = descriptors::raise_limit() {
        tracing::warn!(%error, "the limit of file descriptors could not be raised");
    }
    let control = control_runtime().map_err(ServeError::Start)?;
    control.block_on(async {
        // Before the catalogue is read: a second server on the same address must fail at once.
        let bound = Bound::bind(config)?;
        // A file system that does not answer must not keep the process from ending.
        let (loaded, summary) = tokio::select! {
            loaded = parts::load_catalog(config) => loaded?,
            () = signals.end() => return Ok(()),
        };
        let opened = bound.open(config, loaded).await?;
        let server = opened.wire(config)?.run(config)?;
        // After `run`, because the summary shows the addresses with their real ports.
        summary::log(config, effective_settings, &server, &summary);
        while signals.next().await == SignalAction::Reload {
            server.request_reload();
        }
        // The next signal to stop becomes the force that ends the drain.
        server.stop(signals.end()).await;
        Ok(())
    })
}

/// The security and storage facts that a server with these settings logs at startup, as name and value. Reads the
/// certificates and credentials.
///
/// # Errors
/// [`ServeError::Security`] with every error of certificates and credentials.
pub fn describe_security(config: &Config) -> Result<Vec<(&'static str, String)>, ServeError> {
    let clock = Arc::new(SystemClock);
    let (security, _) = Security::open(config, clock)?;
    Ok(summary::facts(config, &security))
}

/// The time of this machine's clock, in seconds since 1970.
#[must_use]
pub fn now_sec() -> EpochSeconds {
    SystemClock.now_sec()
}

/// The catalogue and the sales of a server with these settings, read while it is not running.
///
/// # Errors
/// [`ServeError`], in particular if the server is running or has never run.
pub fn offline_catalog(config: &Config) -> Result<OfflineCatalog, ServeError> {
    let loaded = catalog::load(&config.sales.catalog).map_err(ServeError::Catalog)?;
    let dir = &config.storage.data_dir;
    if config.storage.store == StoreChoice::Embedded && !LogStore::is_in(dir) {
        return Err(ServeError::NoStore {
            dir: dir.clone(),
            hint: "",
        });
    }
    let store = parts::open_store(config)?;
    let horizon = limits(config).horizon;
    OfflineCatalog::open(loaded, &*store, Arc::new(SystemClock), horizon)
        .map_err(|error| ServeError::Recovery(error.into()))
}

/// A server that is running.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    app: Arc<App>,
    health: HealthReporter,
    catalog: Arc<Watcher<Reloader>>,
    lifecycle: Option<Arc<Watcher<LifecycleReloader>>>,
    security: Arc<Watcher<Security>>,
    phase: watch::Sender<Phase>,
    connections: TaskTracker,
    threads: Vec<thread::JoinHandle<()>>,
    admin: Option<Admin>,
    operator: Option<OperatorListener>,
    background_tasks: JoinSet<()>,
    drain_delay: Duration,
    drain_timeout: Duration,
}

impl Server {
    /// Starts a server with these parts. Listeners are bound first; certificates and credentials are checked
    /// before the orders of the store are read. Background tasks run in the runtime that this is called from.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn start(config: &Config, parts: Parts) -> Result<Self, ServeError> {
        let opened = Bound::bind(config)?.open_with(config, parts).await?;
        opened.wire(config)?.run(config)
    }

    /// Reloads the catalogue and activates it. On errors the present one stays active.
    ///
    /// # Errors
    /// [`ReloadError`]; all diagnostics have been logged.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.catalog.watched().reload().await
    }

    /// Reads certificates and credentials again; a file with errors leaves its previous contents in use.
    ///
    /// # Errors
    /// All diagnostics, which have been logged.
    pub async fn reload_security(&self) -> Result<(), Diagnostics> {
        self.security.watched().reload().await
    }

    /// Reads the file of the setting `lifecycle` again, and says whether there is another definition in force. A file with
    /// errors, or without a state that orders are in, changes nothing, and the errors are logged.
    pub async fn reload_lifecycle(&self) -> bool {
        match &self.lifecycle {
            Some(watcher) => watcher.watched().reload().await,
            None => false,
        }
    }

    /// Opens slots that have come within the horizon and forgets slots that have long been over, as the server
    /// does by itself every hour.
    pub async fn sweep(&self) {
        self.app.sweep().await;
    }

    /// Requests a reload of all files in the background.
    fn request_reload(&self) {
        // First, so that the outcome of the reloads is recorded in the new file.
        self.app.audit().reopen();
        self.catalog.request_reload();
        self.security.request_reload();
        if let Some(lifecycle) = &self.lifecycle {
            lifecycle.request_reload();
        }
    }

    /// The address for callers (`listen`).
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the admin listener (`admin_listen`), if there is one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// The address of the operator's listener (`operator_listen`), if there is one.
    #[must_use]
    pub fn operator_address(&self) -> Option<SocketAddr> {
        self.operator.as_ref().map(OperatorListener::address)
    }

    /// Shuts down in order: reports not ready, waits for load balancers to notice, closes the listener, finishes
    /// calls in flight and flushes the audit log. Draining ends early when `forced` completes.
    pub async fn stop(self, forced: impl Future<Output = ()>) {
        tracing::info!(delay = ?self.drain_delay, limit = ?self.drain_timeout, "shutdown started");
        tokio::select! {
            () = self.drain() => {}
            () = forced => tracing::warn!("shutdown forced by second signal"),
        }
        self.end().await;
    }

    async fn drain(&self) {
        // Load balancers learn it from the next health checks. Until then connections are still
        // accepted.
        self.phase.send_replace(Phase::NotReady);
        // Health watchers get the change; a poll over HTTP reads the phase by itself.
        self.health.withdraw();
        tokio::time::sleep(self.drain_delay).await;
        self.phase.send_replace(Phase::Draining);
        // Ends the streams of health watchers, which would otherwise keep their connections open to
        // the last.
        self.health.end();
        // A tracker completes `wait` only after it was closed.
        self.connections.close();
        self.app.commands().close();
        let finished = async {
            self.connections.wait().await;
            // After the connections: until then a connection may begin another order.
            self.app.commands().wait().await;
        };
        if timeout(self.drain_timeout, finished).await.is_err() {
            let (connections, commands) = (self.connections.len(), self.app.commands().len());
            tracing::warn!(connections, commands, "some calls did not end in time");
        }
    }

    async fn end(self) {
        // Background tasks before worker threads: the acceptor hands connections to workers, which end when it
        // is gone. The admin listener is last, so that probes see how the shutdown proceeds.
        self.phase.send_replace(Phase::Stopped);
        self.background_tasks.join_all().await;
        for thread in self.threads {
            // A panic of a worker has been logged by the panic hook.
            let _ = thread.join();
        }
        // Its connections have ended, or are ended by this.
        drop(self.operator);
        if let Some(admin) = self.admin {
            admin.close().await;
        }
        self.app.audit().record(AuditEvent::ServerStopped);
        // Last, because every step before may record an event.
        self.app.audit().flush(AUDIT_FLUSH);
        tracing::info!("shutdown complete");
    }
}
