//! The admin listener: plain HTTP/1.1 and HTTP/2 on an address of its own, for probes, monitoring and
//! tools that run beside the server. It is served by the control thread, so it answers while the workers
//! are busy, and it is the last to close.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract,
    response::IntoResponse,
    routing::{MethodRouter, get, post},
};
use http::{Request, Response, StatusCode, Uri, header::CONTENT_TYPE};
use hyper::body::Incoming;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::task::TaskTracker;
use tonic::{Status, body::Body, service::Routes};
use tower::ServiceExt;

use super::{
    admission::{self, AllowedHosts},
    health::{HealthReporter, Readiness},
    metrics::Metrics,
    routes,
};
use crate::{
    api::{
        backup::{self, BackupHandler},
        booking::rest,
        customers::{self, CustomersHandler},
        error::{ADMIN_URLS, ApiError},
        feeds::{self, FeedsHandler},
    },
    config::Config,
    net::{
        Acceptor, ClientCertificate, ConnectionContext, ConnectionLimits, ConnectionTable,
        HttpHandler, HttpServer, Phase, request_bodies::RequestBodies, stalled::StalledResponses,
    },
    telemetry,
};
use kernel::{blocking, rpc::Transport};

/// Rejects browsers, which have no use for the admin listener.
const NO_GRPC_WEB: ApiError =
    ApiError::UnsupportedMediaType("gRPC-Web is for callers, at the address for callers");

/// The longest silence of a connection before its first request and between requests.
const MAX_SILENCE: Duration = Duration::from_secs(5);

/// Maximum number of connections. Probes and scrapers are few; beyond this number, idle connections
/// are evicted.
pub(super) const MAX_CONNECTIONS: usize = 128;

/// The services of the admin listener.
#[derive(Debug, Clone)]
pub(super) struct AdminService {
    routes: axum::Router,
    /// The gRPC health service.
    grpc: Routes,
    bodies: Arc<RequestBodies>,
    hosts: AllowedHosts,
}

impl AdminService {
    pub(super) fn new(
        readiness: Readiness,
        table: Arc<ConnectionTable>,
        health: &HealthReporter,
        metrics: Arc<Metrics>,
        (feeds, backups, customers): (FeedsHandler, BackupHandler, CustomersHandler),
        hosts: AllowedHosts,
    ) -> Self {
        let bodies = Arc::clone(&metrics.traffic.bodies);
        let (alive, ready) = (readiness.clone(), readiness);
        let (manifests, segments) = (backups.clone(), backups);
        let (erasures, exports) = (customers.clone(), customers);
        let routes = axum::Router::new()
            .route("/", get(async || format!("{ADMIN_URLS}\n")))
            .route("/livez", get(async move || liveness(&alive)))
            .route("/readyz", get(async move || readiness_text(&ready, &table)))
            .route(
                "/metrics",
                get(async move || show(Arc::clone(&metrics)).await),
            )
            .route(feeds::PATH, get(async move |uri: Uri| feeds.answer(&uri)))
            .route(
                backup::PATH,
                get(async move || manifests.answer_manifest().await),
            )
            .route(
                &format!("{}/{{segment}}", backup::PATH),
                get(async move |uri: Uri| segments.answer_segment(&uri)),
            )
            .route(
                customers::ERASE,
                post_only(post(async move |request: extract::Request| {
                    erasures.answer_erase(request).await
                })),
            )
            .route(
                customers::EXPORT,
                post_only(post(async move |request: extract::Request| {
                    exports.answer_export(request).await
                })),
            )
            .fallback(async || rest::error_response(&ApiError::AdminNotFound))
            .method_not_allowed_fallback(async || {
                rest::error_response(&ApiError::MethodNotAllowed {
                    allowed: "GET, HEAD",
                })
            });
        Self {
            routes,
            grpc: Routes::new(health.service()).prepare(),
            bodies,
            hosts,
        }
    }
}

impl HttpHandler for AdminService {
    type Connection = ();

    fn connected(&self, _address: IpAddr, _certificate: ClientCertificate) {}

    fn certificate_rejected(&self, _address: IpAddr) {}

    async fn handle(&self, request: Request<Incoming>, _connection: Arc<()>) -> Response<Body> {
        let transport = admission::transport_of(&request);
        if let Err(error) = admission::check(&request, transport, &self.hosts) {
            return admission::reject(request.method(), transport, error);
        }
        match transport {
            Transport::Grpc => {
                let answered = routes::answer_other(&self.grpc, &self.bodies, request).await;
                answered.unwrap_or_else(|error| Status::from(error).into_http())
            }
            Transport::GrpcWeb => admission::reject(request.method(), transport, NO_GRPC_WEB),
            Transport::Rest => {
                // Only the URLs of customers read a body, a short one and not for long.
                let Ok(answer) = self
                    .routes
                    .clone()
                    .oneshot(with_single_slashes(request))
                    .await;
                answer.map(Body::new)
            }
        }
    }
}

/// Rejects other methods than POST by its own name.
fn post_only(route: MethodRouter) -> MethodRouter {
    route.fallback(async || rest::error_response(&ApiError::MethodNotAllowed { allowed: "POST" }))
}

/// Removes empty segments from the path: joining an address and a path may leave two slashes.
fn with_single_slashes(mut request: Request<Incoming>) -> Request<Incoming> {
    let path = request.uri().path();
    if !path.contains("//") && (path == "/" || !path.ends_with('/')) {
        return request;
    }
    let steps: Vec<&str> = rest::steps(path).collect();
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    if let Ok(uri) = format!("/{}{query}", steps.join("/")).parse() {
        *request.uri_mut() = uri;
    }
    request
}

/// Probes read the status; the text is for people.
fn liveness(readiness: &Readiness) -> impl IntoResponse + use<> {
    if readiness.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not live: the store has failed\n",
        )
    }
}

/// The text and status of `/readyz`. A server with only busy connections is not ready. One that
/// evicts idle connections for new ones is ready, and says so.
fn readiness_text(readiness: &Readiness, table: &ConnectionTable) -> (StatusCode, &'static str) {
    if !readiness.is_alive() {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the store has failed\n",
        )
    } else if !readiness.can_record() {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the store is unavailable\n",
        )
    } else if !readiness.is_ready() {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: draining\n")
    } else if table.is_full() {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: all connections are in use and none is idle\n",
        )
    } else if table.open() >= table.limits().max {
        (
            StatusCode::OK,
            "ok, but all connections are in use: idle ones are closed for new ones\n",
        )
    } else {
        (StatusCode::OK, "ok\n")
    }
}

/// The page of metrics, made on a blocking thread: it reads the disk usage of the store, and probes
/// share this thread.
async fn show(metrics: Arc<Metrics>) -> impl IntoResponse {
    // Errors become text here, because they have to cross the thread.
    let text = blocking::run(move || metrics.text().map_err(|error| error.to_string())).await;
    match text.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(page) => (
            [(CONTENT_TYPE, telemetry::metrics_page::CONTENT_TYPE)],
            page,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(error, "the metrics could not be written");
            rest::error_response(&ApiError::Internal(error)).into_response()
        }
    }
}

/// The bound admin listener.
#[derive(Debug)]
pub(super) struct Admin {
    address: SocketAddr,
    phase: watch::Sender<Phase>,
    connections: TaskTracker,
    receiving: JoinSet<()>,
}

impl Admin {
    /// Accepts connections in the current runtime.
    pub(super) fn open(
        (address, socket): (SocketAddr, TcpListener),
        handler: AdminService,
        http: Arc<HttpServer>,
    ) -> Self {
        // A phase of its own, because this listener closes after that of the callers.
        let (phase, watching) = watch::channel(Phase::Serving);
        let connections = TaskTracker::new();
        let context = ConnectionContext {
            handler: Arc::new(handler),
            http,
            tls: None,
            phase: watching.clone(),
        };
        let limits = ConnectionLimits {
            max: MAX_CONNECTIONS,
            // No share per address: probes and scrapers may all come from one proxy.
            max_per_address: MAX_CONNECTIONS,
        };
        let table = Arc::new(ConnectionTable::new(limits));
        let acceptor = Acceptor {
            table,
            connections: connections.clone(),
            phase: watching,
        };
        let mut receiving = JoinSet::new();
        receiving.spawn(acceptor.run(socket, move |accepted| accepted.serve(context.clone(), ())));
        Self {
            address,
            phase,
            connections,
            receiving,
        }
    }

    /// The address that it listens on.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener and ends all connections at once: no call here changes anything.
    pub(super) async fn close(self) {
        self.phase.send_replace(Phase::Stopped);
        // A tracker completes `wait` only after it was closed.
        self.connections.close();
        self.connections.wait().await;
        self.receiving.join_all().await;
    }
}

/// HTTP settings of the admin listener: those of callers, with a shorter silence.
pub(super) fn http_server(config: &Config, stalled: Arc<StalledResponses>) -> HttpServer {
    let max_silence = MAX_SILENCE.min(HttpServer::max_silence(&config.connections));
    HttpServer::new(
        &config.connections,
        max_silence,
        config.calls.call_timeout,
        stalled,
    )
}
