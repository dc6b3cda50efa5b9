//! The stages of a server's startup. Each stage is a struct that holds what exists by then, with
//! one method that leads to the next: bind the addresses, open files and store, wire the services,
//! run.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{
    ServeError, Server,
    admin::{self, Admin, AdminService},
    admission::AllowedHosts,
    background::{self, Watched},
    health::{HealthReporter, Readiness},
    lifecycle::LifecycleReloader,
    metrics::{Metrics, ReloadSources},
    observability::ObservabilityLayer,
    operator::{OperatorListener, OperatorService, Shared},
    parts::{self, CallTraffic},
    reload::Reloader,
    routes::{self, Admission, BookingInterface, Router},
    security::Security,
    watcher::Watcher,
};
use crate::{
    api::{
        backup::BackupHandler,
        booking::{grpc::GrpcService, proto::FILE_DESCRIPTOR_SET, rest::RestHandler},
        customers::CustomersHandler,
        dispatch::Dispatcher,
        feeds::FeedsHandler,
    },
    config::{Config, Shutdown, StoreChoice},
    net::{
        Acceptor, ConnectionContext, ConnectionTable, HttpServer, Listener, Phase, Workers, workers,
    },
};
use catalog::Loaded;
use kernel::{
    clock::{Clock, SystemClock},
    files::Snapshot,
};
use orders::{
    audit::{Audit, AuditEvent},
    {App, Parts},
};

/// Stage 1: the addresses are bound. Nobody can connect yet: a client that did would wait until the
/// store is open.
#[derive(Debug)]
pub(super) struct Bound {
    listener: Listener,
    admin: Option<Listener>,
    operator: Option<Listener>,
}

impl Bound {
    pub(super) fn bind(config: &Config) -> Result<Self, ServeError> {
        let settings = &config.serving;
        let admin = match settings.admin_listen {
            // Bound before anything is opened, so that a taken address is reported within
            // milliseconds and not after the recovery.
            Some(address) => Some(bind("admin_listen", address)?),
            None => None,
        };
        let operator = match settings.operator_listen {
            Some(address) => Some(bind("operator_listen", address)?),
            None => None,
        };
        Ok(Self {
            listener: bind("listen", settings.listen)?,
            admin,
            operator,
        })
    }

    /// Opens the files that the settings name. The store is last: a startup that fails for its
    /// audit log, certificates or credentials must not create or lock a store.
    pub(super) async fn open(self, config: &Config, loaded: Loaded) -> Result<Opened, ServeError> {
        let clock = Arc::new(SystemClock);
        let audit =
            Audit::open(&config.logging.audit_log, clock.clone()).map_err(ServeError::Audit)?;
        // Before the store: certificates and credentials are cheap to check, and their errors are
        // common.
        let security = Security::open(config, clock.clone())?;
        // Before the store, too: its errors are as common.
        let lifecycle = parts::lifecycle_source(config)?;
        let parts = Parts {
            loaded,
            store: parts::open_store(config)?,
            payments: parts::gateway(config),
            clock,
            limits: parts::limits(config),
            audit,
            lifecycle,
        };
        self.open_app(security, parts).await
    }

    /// Opens the application with parts that are open already.
    pub(super) async fn open_with(
        self,
        config: &Config,
        parts: Parts,
    ) -> Result<Opened, ServeError> {
        let security = Security::open(config, Arc::clone(&parts.clock))?;
        self.open_app(security, parts).await
    }

    async fn open_app(
        self,
        (security, security_files): (Security, Snapshot),
        parts: Parts,
    ) -> Result<Opened, ServeError> {
        // The snapshot of before the catalogue was read: a change while it was read is then
        // noticed.
        let (clock, catalog_files) = (Arc::clone(&parts.clock), parts.loaded.files.clone());
        let app = App::open(parts).await.map_err(ServeError::Recovery)?;
        Ok(Opened {
            bound: self,
            security: security.selling_for(Arc::clone(&app)),
            security_files,
            app,
            catalog_files,
            clock,
        })
    }
}

/// Stage 2: the audit log, certificates, credentials, the catalogue and the store are open, and the orders of
/// the store are in the inventory.
#[derive(Debug)]
pub(super) struct Opened {
    bound: Bound,
    security: Security,
    /// The files of certificates and credentials as they were before they were read.
    security_files: Snapshot,
    app: Arc<App>,
    catalog_files: Snapshot,
    clock: Arc<dyn Clock>,
}

impl Opened {
    /// Builds the services and the router. No thread is started and no task is spawned.
    pub(super) fn wire(self, config: &Config) -> Result<Wired, ServeError> {
        let Self {
            bound,
            security,
            security_files,
            app,
            catalog_files,
            clock,
        } = self;
        // Watchers are shared by the background task, which reads files, and by signals, which ask
        // for that.
        let security = Arc::new(Watcher::new(security));
        let started_sec = clock.now_sec();
        let access = security.watched().access();
        let scoped = [access, security.watched().operator_access()];
        let catalog = Arc::new(Watcher::new(Reloader::new(&app, scoped, config, clock)));
        let lifecycle = config.sales.lifecycle.as_ref().map(|file| {
            let reloader = LifecycleReloader::new(&app, file.clone());
            Arc::new(Watcher::new(reloader))
        });
        let phase = watch::Sender::new(Phase::Serving);
        let readiness = Readiness::new(phase.subscribe(), app.store().health());
        let health = HealthReporter::new();
        // Before anything listens: the first health check must find the right status.
        health.announce(&readiness);
        let traffic = CallTraffic::new(config);
        let table = Arc::new(ConnectionTable::new(parts::connection_limits(config)));
        let hosts = AllowedHosts::new(config.serving.allowed_hosts.as_deref());
        let metrics = Metrics {
            traffic: traffic.clone(),
            app: Arc::clone(&app),
            reloads: ReloadSources {
                catalog: Arc::clone(&catalog),
                security: Arc::clone(&security),
            },
            connections: Arc::clone(&table),
            started_sec,
        };
        let admin = AdminService::new(
            readiness.clone(),
            Arc::clone(&table),
            &health,
            Arc::new(metrics),
            (
                FeedsHandler::new(Arc::clone(&app)),
                BackupHandler::new(backup_dir(config)),
                CustomersHandler::new(config.storage.admin_customers.then(|| Arc::clone(&app))),
            ),
            hosts.clone(),
        );
        let admission = Admission {
            access: Arc::clone(access),
            hosts: hosts.clone(),
            audit: Arc::clone(app.audit()),
            max_headers: config.connections.max_headers,
            max_call: parts::max_call(config),
        };
        let operator = OperatorService::new(
            config,
            Shared {
                app: &app,
                access: security.watched().operator_access(),
                health: &health,
                hosts,
                metrics: &traffic.calls,
            },
        )?;
        let router = router(config, &app, admission, (&health, readiness), &traffic)?;
        Ok(Wired {
            bound,
            handler: ObservabilityLayer::new(router, Arc::clone(&traffic.calls)),
            admin,
            operator,
            app,
            health,
            security: (security, security_files),
            catalog: (catalog, catalog_files),
            lifecycle,
            table,
            traffic,
            phase,
        })
    }
}

fn router(
    config: &Config,
    app: &Arc<App>,
    admission: Admission,
    (health, readiness): (&HealthReporter, Readiness),
    traffic: &CallTraffic,
) -> Result<Router<BookingInterface>, ServeError> {
    let bodies = || Arc::clone(&traffic.bodies);
    let calls = Dispatcher::new(
        Arc::clone(app),
        Arc::clone(&traffic.responses),
        parts::call_limits(config),
    );
    let max_request_bytes = config.calls.max_request_bytes;
    Ok(Router {
        interface: BookingInterface {
            grpc: GrpcService::new(calls.clone(), bodies(), max_request_bytes),
            rest: RestHandler::new(
                calls,
                bodies(),
                &config.serving.rest_base_path,
                max_request_bytes,
                move || readiness.is_ready(),
            ),
        },
        others: routes::others(health.service(), FILE_DESCRIPTOR_SET)
            .map_err(|error| ServeError::Start(io::Error::other(error)))?,
        bodies: bodies(),
        admission,
    })
}

/// Stage 3: all request handlers exist, and no request can arrive.
#[derive(Debug)]
pub(super) struct Wired {
    bound: Bound,
    handler: ObservabilityLayer<Router<BookingInterface>>,
    admin: AdminService,
    operator: OperatorService,
    app: Arc<App>,
    health: HealthReporter,
    security: Watched<Security>,
    catalog: Watched<Reloader>,
    lifecycle: Option<Arc<Watcher<LifecycleReloader>>>,
    table: Arc<ConnectionTable>,
    traffic: CallTraffic,
    phase: watch::Sender<Phase>,
}

impl Wired {
    /// Starts threads and tasks, and listens. Background tasks run in the runtime that this is called from.
    pub(super) fn run(self, config: &Config) -> Result<Server, ServeError> {
        let Bound {
            listener,
            admin,
            operator,
        } = self.bound;
        let address = listener.address();
        let certificates = self.security.0.watched().certificates();
        let tls = certificates.map(|certificates| Arc::clone(certificates.acceptor()));
        let context = ConnectionContext {
            handler: Arc::new(self.handler),
            http: Arc::new(http_server(config, &self.traffic)),
            tls: tls.clone(),
            phase: self.phase.subscribe(),
        };
        let (workers, threads) =
            // Before the background tasks: if the system gives no threads, nothing has to be
            // stopped again.
            Workers::start(&config.serving, &context).map_err(ServeError::Start)?;
        let watching = self.phase.subscribe();
        let mut background_tasks = background::spawn(
            config,
            (&self.app, &self.health),
            (&self.security, &self.catalog, self.lifecycle.as_ref()),
            &watching,
        );
        let connections = TaskTracker::new();
        let acceptor = Acceptor {
            table: self.table,
            connections: connections.clone(),
            phase: watching,
        };
        // Last, once workers exist: from here on the kernel completes connections, and each of them
        // must be served.
        let socket = listen("listen", listener)?;
        let admin = match admin {
            Some(listener) => {
                let address = listener.address();
                let socket = (address, listen("admin_listen", listener)?);
                let http = Arc::new(admin::http_server(config, self.traffic.stalled));
                Some(Admin::open(socket, self.admin, http))
            }
            None => None,
        };
        let operator = match operator {
            Some(listener) => {
                let address = listener.address();
                let socket = (address, listen("operator_listen", listener)?);
                let ending = (self.phase.subscribe(), &connections);
                let opened = OperatorListener::open(config, socket, self.operator, tls, ending);
                Some(opened.map_err(ServeError::Start)?)
            }
            None => None,
        };
        // The acceptor owns the workers' senders, so the workers end when this task has ended.
        background_tasks.spawn(acceptor.run(socket, move |accepted| workers.assign(accepted)));
        let admin_address = admin.as_ref().map(Admin::address);
        let operator_address = operator.as_ref().map(OperatorListener::address);
        tracing::info!(
            %address,
            admin_address = admin_address.map(tracing::field::display),
            operator_address = operator_address.map(tracing::field::display),
            workers = workers::threads(&config.serving),
            "listening"
        );
        // After both sockets listen, so that a failed startup leaves no such line.
        self.app.audit().record(AuditEvent::ServerStarted);
        let Shutdown {
            drain_delay,
            drain_timeout,
        } = config.shutdown;
        Ok(Server {
            address,
            app: self.app,
            health: self.health,
            catalog: self.catalog.0,
            lifecycle: self.lifecycle,
            security: self.security.0,
            phase: self.phase,
            connections,
            threads,
            admin,
            operator,
            background_tasks,
            drain_delay,
            drain_timeout,
        })
    }
}

/// The directory that backups are read from, if they may be.
fn backup_dir(config: &Config) -> Option<PathBuf> {
    let storage = &config.storage;
    let has_files = storage.store == StoreChoice::Embedded;
    (storage.admin_backup && has_files).then(|| storage.data_dir.clone())
}

fn http_server(config: &Config, traffic: &CallTraffic) -> HttpServer {
    let (settings, stalled) = (&config.connections, Arc::clone(&traffic.stalled));
    HttpServer::new(
        settings,
        HttpServer::max_silence(settings),
        config.calls.call_timeout,
        stalled,
    )
}

fn bind(setting: &'static str, address: SocketAddr) -> Result<Listener, ServeError> {
    Listener::bind(address).map_err(|error| ServeError::Bind {
        setting,
        address,
        error,
    })
}

fn listen(setting: &'static str, listener: Listener) -> Result<std::net::TcpListener, ServeError> {
    let address = listener.address();
    listener.listen().map_err(|error| ServeError::Bind {
        setting,
        address,
        error,
    })
}
