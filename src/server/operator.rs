//! The operator's listener: the operator's services on an address of their own, served by a runtime of their own with
//! lower priority, so that callers do not wait for them.

use std::{io, net::SocketAddr, net::TcpListener, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ServeError,
    admission::AllowedHosts,
    health::HealthReporter,
    observability::{CallMetrics, ObservabilityLayer},
    parts,
    routes::{self, Admission, OperatorInterface, Router},
    security::Access,
};
use crate::{
    api::{
        calls::Calls,
        operator::{
            dispatch::{CallLimits, OperatorDispatcher},
            grpc::OperatorGrpc,
            proto::FILE_DESCRIPTOR_SET,
            rest::OperatorRest,
        },
        responses::Responses,
    },
    config::Config,
    net::{
        Acceptor, ConnectionContext, ConnectionLimits, ConnectionTable, HttpServer, OwnRuntime,
        Phase, TlsAcceptor, background_runtime,
        budgets::Budget,
        request_bodies::{BodyLimits, RequestBodies},
        stalled::StalledResponses,
    },
};
use orders::App;

/// Maximum number of connections. Operators and their tools are few.
pub(super) const MAX_CONNECTIONS: usize = 128;

/// Calls served at once. Each may read much of the store, so more would only make all of them slower.
const MAX_IN_FLIGHT: usize = 32;

/// Orders watched at once, by whomever. They take little beside their connections, and none of the permits above.
const MAX_WATCHES: usize = 64;

/// The longest time that an order is watched in one call.
const MAX_WATCH: Duration = Duration::from_secs(3600);

/// What the operator's services share with the other listener.
pub(super) struct Shared<'s> {
    pub(super) app: &'s Arc<App>,
    pub(super) access: &'s Arc<Access>,
    pub(super) health: &'s HealthReporter,
    pub(super) hosts: AllowedHosts,
    pub(super) metrics: &'s Arc<CallMetrics>,
}

/// The operator's services, which nobody can reach yet.
#[derive(Debug)]
pub(super) struct OperatorService {
    router: ObservabilityLayer<Router<OperatorInterface>>,
    stalled: Arc<StalledResponses>,
    draining: CancellationToken,
}

impl OperatorService {
    /// The services within budgets of their own, so that a long list keeps no caller from being served.
    pub(super) fn new(config: &Config, shared: Shared<'_>) -> Result<Self, ServeError> {
        let settings = &config.calls;
        let stalled = Arc::new(StalledResponses::default());
        let bodies = Arc::new(RequestBodies::new(BodyLimits {
            max_bytes_in_flight: settings.max_request_bytes_in_flight,
            max_incomplete: MAX_IN_FLIGHT,
            timeout: settings.call_timeout,
        }));
        let responses = Arc::new(Responses::new(
            Arc::new(Budget::new(settings.max_response_bytes_in_flight)),
            settings.max_response_bytes,
            Arc::clone(&stalled),
        ));
        let draining = CancellationToken::new();
        let limits = CallLimits {
            calls: Calls::new(MAX_IN_FLIGHT, settings.call_timeout, Arc::clone(&responses)),
            watches: Calls::new(MAX_WATCHES, MAX_WATCH, responses),
            draining: draining.clone(),
        };
        let dispatcher = OperatorDispatcher::new(Arc::clone(shared.app), limits);
        let max_request_bytes = settings.max_request_bytes;
        let router = Router {
            interface: OperatorInterface {
                grpc: OperatorGrpc::new(dispatcher.clone(), Arc::clone(&bodies), max_request_bytes),
                rest: OperatorRest::new(dispatcher, Arc::clone(&bodies), max_request_bytes),
            },
            others: routes::others(shared.health.service(), FILE_DESCRIPTOR_SET)
                .map_err(|error| ServeError::Start(io::Error::other(error)))?,
            bodies,
            admission: Admission {
                access: Arc::clone(shared.access),
                hosts: shared.hosts,
                audit: Arc::clone(shared.app.audit()),
                max_headers: config.connections.max_headers,
                max_call: parts::max_call(config),
            },
        };
        Ok(Self {
            router: ObservabilityLayer::new(router, Arc::clone(shared.metrics)),
            stalled,
            draining,
        })
    }
}

/// The runtime of the operator's services.
#[derive(Debug)]
pub(super) struct OperatorListener {
    address: SocketAddr,
    /// Its threads end when this is dropped.
    _runtime: OwnRuntime,
}

impl OperatorListener {
    /// Accepts connections in a runtime of its own, until `phase` says that the server drains. `connections` counts them.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub(super) fn open(
        config: &Config,
        (address, socket): (SocketAddr, TcpListener),
        service: OperatorService,
        tls: Option<Arc<TlsAcceptor>>,
        (phase, connections): (watch::Receiver<Phase>, &TaskTracker),
    ) -> io::Result<Self> {
        let settings = &config.connections;
        let http = HttpServer::new(
            settings,
            HttpServer::max_silence(settings),
            config.calls.call_timeout,
            service.stalled,
        );
        let context = ConnectionContext {
            handler: Arc::new(service.router),
            http: Arc::new(http),
            tls,
            phase: phase.clone(),
        };
        let limits = ConnectionLimits {
            max: MAX_CONNECTIONS,
            // No share per address: all operators may come from one proxy.
            max_per_address: MAX_CONNECTIONS,
        };
        let acceptor = Acceptor {
            table: Arc::new(ConnectionTable::new(limits)),
            connections: connections.clone(),
            phase,
        };
        let runtime = background_runtime(config.serving.background_threads)?;
        let (mut ending, draining) = (acceptor.phase.clone(), service.draining);
        runtime.spawn(async move {
            // An error means that the server is gone, and its watches with it.
            let _ = ending.wait_for(|phase| *phase >= Phase::Draining).await;
            draining.cancel();
        });
        runtime.spawn(acceptor.run(socket, move |accepted| accepted.serve(context.clone(), ())));
        Ok(Self {
            address,
            _runtime: runtime,
        })
    }

    /// The address that it listens on.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}
