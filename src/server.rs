//! Putting it all together: the only place that names concrete stores, gateways and clocks; and
//! the order in which a server comes up and goes down.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, thread, time::Duration};

use rustix::fs::Mode;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{
    api::{
        booking::{grpc::GrpcService, requests::RequestLimits, rest::RestHandler},
        dispatch::{CallLimits, Dispatcher},
        feeds::FeedsHandler,
        request_bodies::{BodyLimits, RequestBodies},
        responses::Responses,
    },
    app::{App, Limits, OfflineCatalog, Parts, ReloadError, Reloaded, StartupError},
    audit::{Audit, AuditEvent},
    blocking,
    budgets::Budget,
    catalog_files::{self, CatalogSummary, Loaded},
    clock::{Clock, SystemClock},
    config::{AuditLog, Config, EffectiveSetting, PaymentsChoice, Shutdown, StoreChoice},
    descriptors,
    diagnostics::Diagnostics,
    payments::{PaymentGateway, simulated::SimulatedGateway},
    stalled::StalledResponses,
    store::{
        ErrorChain, Store,
        embedded::{EmbeddedStore, OpenError},
        memory::MemoryStore,
    },
};

mod admin;
mod admission;
mod background;
mod connection;
mod connection_table;
mod health;
mod listener;
mod metrics;
mod observability;
mod process;
mod reload;
mod routes;
mod security;
mod signals;
mod summary;
mod tls;
mod watcher;
mod workers;

use admin::{Admin, AdminService};
use admission::AllowedHosts;
use connection::{ConnectionContext, HttpServer};
use connection_table::{ConnectionLimits, ConnectionTable};
use health::{HealthReporter, Readiness};
use listener::{Acceptor, Listener};
use metrics::Metrics;
use observability::{CallMetrics, ObservabilityLayer};
use reload::Reloader;
use routes::{Admission, Router};
use security::Security;
use signals::{SignalAction, Signals};
use watcher::Watcher;
use workers::Workers;

/// How long the last lines of the audit log may take to be written.
const AUDIT_FLUSH: Duration = Duration::from_secs(5);

/// Longest token, cart id or user id that is taken.
const MAX_ID_BYTES: usize = 1024;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The catalogue has errors.
    #[error("the catalogue cannot be used:\n{0}")]
    Catalog(Diagnostics),
    /// Certificates or credentials have errors.
    #[error("a file that the settings name cannot be used:\n{0}")]
    Security(Diagnostics),
    /// There is no store where there has to be one.
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
    /// What is in the store cannot be taken up.
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
    /// The machine gives no threads or no signals.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

impl ServeError {
    /// The exit code that tells scripts what kind of trouble it is.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Security(_) => 64,
            Self::Catalog(_) => 65,
            Self::Bind { .. } => 69,
            Self::Start(_) => 70,
            Self::NoStore { .. } | Self::OpenStore(_) | Self::Recovery(_) | Self::Audit(_) => 74,
        }
    }
}

/// How far the server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It takes connections.
    Serving,
    /// It takes connections, and asks not to be given any.
    NotReady,
    /// It takes no more connections and asks those it has to end.
    Draining,
    /// It is over, whatever is still going on.
    Stopped,
}

/// Serves until a signal ends it.
///
/// # Errors
/// [`ServeError`] if it cannot begin to.
pub fn run(config: &Config, effective_settings: &[EffectiveSetting]) -> Result<(), ServeError> {
    // All files that it makes are its own, also those that the engine makes in the background.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let mut signals = Signals::listen().map_err(ServeError::Start)?;
    if let Err(error) = descriptors::raise_limit() {
        tracing::warn!(%error, "the limit of file descriptors could not be raised");
    }
    let control = workers::control_runtime().map_err(ServeError::Start)?;
    control.block_on(async {
        // A file system that does not answer must not keep the process from ending.
        let (loaded, summary) = tokio::select! {
            loaded = load_catalog(config) => loaded?,
            () = signals.end() => return Ok(()),
        };
        let server = Server::start(config, assemble(config, loaded)?).await?;
        summary::log(config, effective_settings, &server, &summary);
        while signals.next().await == SignalAction::Reload {
            server.ask_to_reload();
        }
        server.stop(signals.end()).await;
        Ok(())
    })
}

/// Reads the catalogue on a thread of its own, and tells what it comes to.
async fn load_catalog(config: &Config) -> Result<(Loaded, CatalogSummary), ServeError> {
    let (dir, horizon_sec) = (config.sales.catalog.clone(), limits(config).horizon_sec);
    let load = move || {
        let loaded = catalog_files::load(&dir)?;
        Ok(reload::summarized(
            loaded,
            SystemClock.now_sec(),
            horizon_sec,
        ))
    };
    let loaded = blocking::run(load).await;
    let loaded = loaded.map_err(|error| ServeError::Start(io::Error::other(error)))?;
    loaded.map_err(ServeError::Catalog)
}

/// What the settings ask for.
fn assemble(config: &Config, loaded: Loaded) -> Result<Parts, ServeError> {
    let clock = Arc::new(SystemClock);
    // Before the store, which an attempt without an audit log has no business to open.
    let audit = Audit::open(&config.logging.audit_log, clock.clone()).map_err(ServeError::Audit)?;
    let (store, payments, limits) = (open_store(config)?, gateway(config), limits(config));
    Ok(Parts {
        loaded,
        store,
        payments,
        clock,
        limits,
        audit,
    })
}

/// Who may call a server of these settings, what is read on the way, and so on: each what and how.
///
/// # Errors
/// Everything that is wrong with certificates and credentials.
pub fn describe_security(config: &Config) -> Result<Vec<(&'static str, String)>, ServeError> {
    let clock = Arc::new(SystemClock);
    // Nobody calls while settings are checked, so there is nothing to note.
    let audit = Audit::open(&AuditLog::Off, clock.clone()).map_err(ServeError::Audit)?;
    let (security, _) = Security::open(config, clock, &audit)?;
    Ok(summary::facts(config, &security))
}

/// The time by which a server of this machine goes, in seconds since 1970.
#[must_use]
pub fn now_sec() -> i64 {
    SystemClock.now_sec()
}

/// The catalogue and the sales of a server of these settings that does not run.
///
/// # Errors
/// [`ServeError`]; in particular where it runs, or never has.
pub fn offline_catalog(config: &Config) -> Result<OfflineCatalog, ServeError> {
    let loaded = catalog_files::load(&config.sales.catalog).map_err(ServeError::Catalog)?;
    let dir = &config.storage.data_dir;
    if config.storage.store == StoreChoice::Embedded && !EmbeddedStore::is_in(dir) {
        return Err(ServeError::NoStore {
            dir: dir.clone(),
            hint: "",
        });
    }
    let store = open_store(config)?;
    let horizon_sec = limits(config).horizon_sec;
    OfflineCatalog::open(loaded, &*store, Arc::new(SystemClock), horizon_sec)
        .map_err(|error| ServeError::Recovery(error.into()))
}

fn gateway(config: &Config) -> Option<Arc<dyn PaymentGateway>> {
    match config.sales.payments {
        PaymentsChoice::Off => None,
        PaymentsChoice::Simulated => {
            tracing::warn!(
                "PAYMENTS ARE SIMULATED: NO MONEY IS TAKEN, AND ORDERS ARE CONFIRMED AS PAID; for trying out only"
            );
            Some(Arc::new(SimulatedGateway::default()))
        }
    }
}

fn open_store(config: &Config) -> Result<Arc<dyn Store>, ServeError> {
    match config.storage.store {
        StoreChoice::Embedded => {
            let dir = &config.storage.data_dir;
            if config.storage.store_must_exist && !EmbeddedStore::is_in(dir) {
                return Err(ServeError::NoStore {
                    dir: dir.clone(),
                    hint: "; to begin one there, start once with --store-must-exist=false",
                });
            }
            let store = EmbeddedStore::open(dir, config.storage.commit_batch_max)
                .map_err(ServeError::OpenStore)?;
            Ok(Arc::new(store))
        }
        StoreChoice::Memory => {
            tracing::warn!("orders are kept in memory only and are GONE when this process ends");
            Ok(Arc::new(MemoryStore::default()))
        }
    }
}

/// The limits of the use cases that the settings ask for.
#[must_use]
pub fn limits(config: &Config) -> Limits {
    Limits {
        payment_timeout: config.sales.payment_timeout,
        max_commands: config.calls.max_in_flight,
        horizon_sec: i64::try_from(config.sales.availability_horizon.as_secs()).unwrap_or(i64::MAX),
    }
}

/// A server that is running.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    app: Arc<App>,
    health: HealthReporter,
    catalog: Arc<Watcher<Reloader>>,
    security: Arc<Watcher<Security>>,
    phase: watch::Sender<Phase>,
    connections: TaskTracker,
    threads: Vec<thread::JoinHandle<()>>,
    admin: Option<Admin>,
    /// What goes on beside the calls.
    background_tasks: JoinSet<()>,
    drain_delay: Duration,
    drain_timeout: Duration,
}

impl Server {
    /// Opens the application, then the router. What belongs to no connection goes on in the
    /// runtime that this is called from.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn start(config: &Config, parts: Parts) -> Result<Self, ServeError> {
        let catalog_files = parts.loaded.files.clone();
        let clock = Arc::clone(&parts.clock);
        let started_sec = clock.now_sec();
        let (security, security_files) =
            Security::open(config, Arc::clone(&parts.clock), &parts.audit)?;
        let app = App::open(parts).await.map_err(ServeError::Recovery)?;
        let security = Arc::new(Watcher::new(security.selling_for(Arc::clone(&app))));
        let listener = bind("listen", config.serving.listen)?;
        let admin_listener = config
            .serving
            .admin_listen
            .map(|address| bind("admin_listen", address))
            .transpose()?;
        let address = listener.address();
        let (phase, watching) = watch::channel(Phase::Serving);
        let readiness = Readiness::new(watching.clone(), app.store().state());
        let health = HealthReporter::new();
        health.announce(&readiness);
        let traffic = Traffic::new(config);
        let http = Arc::new(HttpServer::new(config, Arc::clone(&traffic.stalled)));
        let connections = TaskTracker::new();
        let table = Arc::new(ConnectionTable::new(connection_limits(config)));
        let reloader = Reloader::new(&app, security.watched().access(), config, clock);
        let catalog = Arc::new(Watcher::new(reloader));
        let metrics = Arc::new(Metrics {
            traffic: traffic.clone(),
            app: Arc::clone(&app),
            catalog: Arc::clone(&catalog),
            security: Arc::clone(&security),
            connections: Arc::clone(&table),
            started_sec,
        });
        let feeds = FeedsHandler::new(Arc::clone(&app));
        let hosts = AllowedHosts::new(config.serving.allowed_hosts.as_deref());
        let admin_service = AdminService::new(
            readiness.clone(),
            Arc::clone(&table),
            &health,
            metrics,
            feeds,
            hosts.clone(),
        );
        let router = router(
            config,
            &app,
            security.watched(),
            (&health, readiness),
            hosts,
            &traffic,
        )?;
        let context = ConnectionContext {
            handler: Arc::new(ObservabilityLayer::new(
                router,
                &config.serving.rest_base_path,
                traffic.calls,
            )),
            http: Arc::clone(&http),
            tls: security.watched().tls().cloned(),
            phase: watching.clone(),
        };
        let (workers, threads) = Workers::start(config, &context).map_err(ServeError::Start)?;
        let acceptor = Acceptor {
            table,
            connections: connections.clone(),
            phase: watching.clone(),
        };
        let admin_http = Arc::new(HttpServer::for_admin(config, traffic.stalled));
        let admin = admin_listener.map(|listener| Admin::open(listener, admin_service, admin_http));
        let watched = ((&security, security_files), (&catalog, catalog_files));
        let mut background_tasks = background::spawn(config, &app, &health, watched, &watching);
        background_tasks.spawn(acceptor.run(listener, move |accepted| workers.assign(accepted)));
        let admin_address = admin
            .as_ref()
            .map(|admin| tracing::field::display(admin.address()));
        tracing::info!(%address, admin_address, workers = workers::threads(config), "listening");
        app.audit().record(AuditEvent::ServerStarted);
        let Shutdown {
            drain_delay,
            drain_timeout,
        } = config.shutdown;
        Ok(Self {
            address,
            app,
            health,
            catalog,
            security,
            phase,
            connections,
            threads,
            admin,
            background_tasks,
            drain_delay,
            drain_timeout,
        })
    }

    /// Reads the catalogue again and puts it on sale, or says why the present one stays.
    ///
    /// # Errors
    /// [`ReloadError`]; everything that is wrong has been logged.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.catalog.watched().reload().await
    }

    /// Reads certificates and credentials again; of those that have errors, the ones before stay.
    ///
    /// # Errors
    /// Everything that is wrong with them, which has been logged.
    pub async fn reload_security(&self) -> Result<(), Diagnostics> {
        self.security.watched().reload().await
    }

    /// Opens slots that have come within reach and forgets those that have long been over, as the server
    /// does by itself every hour.
    pub async fn sweep(&self) {
        self.app.sweep().await;
    }

    /// Asks for the same to be done beside the calls.
    fn ask_to_reload(&self) {
        // First, so that what comes of reading is in the new file.
        self.app.audit().reopen();
        self.catalog.ask();
        self.security.ask();
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for those who run it, if it does.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// Goes down in good order: says that it goes, waits for load balancers to notice, takes no
    /// more connections, finishes what is in flight, writes what is to be written. Whatever is not
    /// done when `cut_short` is ready is left.
    pub async fn stop(self, cut_short: impl Future<Output = ()>) {
        tracing::info!(delay = ?self.drain_delay, limit = ?self.drain_timeout, "shutdown started");
        tokio::select! {
            () = self.drain() => {}
            () = cut_short => tracing::warn!("shutdown forced by second signal"),
        }
        self.end().await;
    }

    async fn drain(&self) {
        self.phase.send_replace(Phase::NotReady);
        self.health.withdraw();
        tokio::time::sleep(self.drain_delay).await;
        self.phase.send_replace(Phase::Draining);
        self.health.end();
        self.connections.close();
        self.app.commands().close();
        let finished = async {
            self.connections.wait().await;
            self.app.commands().wait().await;
        };
        if timeout(self.drain_timeout, finished).await.is_err() {
            let (connections, commands) = (self.connections.len(), self.app.commands().len());
            tracing::warn!(connections, commands, "some calls did not end in time");
        }
    }

    async fn end(self) {
        self.phase.send_replace(Phase::Stopped);
        self.background_tasks.join_all().await;
        for thread in self.threads {
            let _ = thread.join();
        }
        if let Some(admin) = self.admin {
            admin.close().await;
        }
        self.app.audit().record(AuditEvent::ServerStopped);
        self.app.audit().flush(AUDIT_FLUSH);
        tracing::info!("shutdown complete");
    }
}

/// What is on its way between callers and server.
#[derive(Debug, Clone)]
struct Traffic {
    calls: Arc<CallMetrics>,
    bodies: Arc<RequestBodies>,
    responses: Arc<Responses>,
    stalled: Arc<StalledResponses>,
}

impl Traffic {
    fn new(config: &Config) -> Self {
        let settings = &config.calls;
        let stalled = Arc::new(StalledResponses::default());
        let budget = Arc::new(Budget::new(settings.max_response_bytes_in_flight));
        let limits = BodyLimits {
            max_bytes_in_flight: settings.max_request_bytes_in_flight,
            max_incomplete: settings.max_in_flight,
            timeout: settings.call_timeout,
        };
        Self {
            calls: Arc::default(),
            bodies: Arc::new(RequestBodies::new(limits)),
            responses: Arc::new(Responses::new(
                budget,
                settings.max_response_bytes,
                Arc::clone(&stalled),
            )),
            stalled,
        }
    }
}

fn router(
    config: &Config,
    app: &Arc<App>,
    security: &Security,
    (health, readiness): (&HealthReporter, Readiness),
    hosts: AllowedHosts,
    traffic: &Traffic,
) -> Result<Router, ServeError> {
    let bodies = || Arc::clone(&traffic.bodies);
    let calls = Dispatcher::new(
        Arc::clone(app),
        Arc::clone(&traffic.responses),
        call_limits(config),
    );
    let max_request_bytes = config.calls.max_request_bytes;
    let booking = GrpcService::new(calls.clone(), bodies(), max_request_bytes);
    let is_ready = move || readiness.is_ready();
    Ok(Router {
        booking,
        others: routes::others(health.service())
            .map_err(|error| ServeError::Start(io::Error::other(error)))?,
        rest: RestHandler::new(
            calls,
            bodies(),
            &config.serving.rest_base_path,
            max_request_bytes,
            is_ready,
        ),
        bodies: bodies(),
        admission: Admission {
            access: Arc::clone(security.access()),
            hosts,
            audit: Arc::clone(app.audit()),
            max_headers: config.connections.max_headers,
            // A call's own time begins when its message is there, which may take as long again.
            max_call: config.calls.call_timeout.saturating_mul(2),
        },
    })
}

/// The limits of connections that the settings ask for, as far as there are file descriptors for them.
fn connection_limits(config: &Config) -> ConnectionLimits {
    let wanted = config.connections.max_connections;
    let files = descriptors::limit();
    // Each listener may have some that are closing beyond those that are open.
    let others = admin::MAX_CONNECTIONS + 2 * connection_table::CLOSING;
    let max = descriptors::for_connections(files, wanted, workers::threads(config) + 3, others);
    if max < wanted {
        tracing::warn!(
            max_connections = wanted,
            connections = max,
            file_descriptors = files,
            "FEWER CONNECTIONS THAN max_connections: this process may open too few files (`ulimit -n`, \
             `LimitNOFILE`) for more, as the store and the catalogue need some; raise that limit or lower \
             max_connections"
        );
    }
    let half = max.div_ceil(2);
    let max_per_address = config
        .connections
        .max_connections_per_address
        .map_or(half, |most| most.min(max));
    ConnectionLimits {
        max,
        max_per_address,
    }
}

fn bind(setting: &'static str, address: SocketAddr) -> Result<Listener, ServeError> {
    Listener::bind(address).map_err(|error| ServeError::Bind {
        setting,
        address,
        error,
    })
}

fn call_limits(config: &Config) -> CallLimits {
    CallLimits {
        max_in_flight: config.calls.max_in_flight,
        call_timeout: config.calls.call_timeout,
        request: RequestLimits {
            max_items_per_order: config.sales.max_items_per_order,
            max_slots_per_lookup: config.sales.max_slots_per_lookup,
            max_id_bytes: MAX_ID_BYTES,
        },
    }
}
