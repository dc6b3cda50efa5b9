//! One connection, from its first byte to its good end.

use std::{future::pending, pin::pin, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{net::TcpStream, sync::watch, time::Instant};
use tonic::service::Routes;
use tower::ServiceExt;

use super::{Phase, routes};
use crate::config::Connections;

/// How connections are served.
pub(super) struct Http {
    protocol: auto::Builder<TokioExecutor>,
    max_age: Option<Duration>,
    grace: Duration,
}

impl Http {
    pub(super) fn new(settings: &Connections) -> Self {
        let mut protocol = auto::Builder::new(TokioExecutor::new()).http2_only();
        protocol
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(settings.max_streams_per_connection)
            .keep_alive_interval(settings.keepalive_interval)
            .keep_alive_timeout(settings.keepalive_timeout);
        Self { protocol, max_age: settings.max_connection_age, grace: settings.max_connection_age_grace }
    }

    /// The age at which a connection ends, give or take a tenth, so that connections which were
    /// made together do not end together.
    fn age_limit(&self) -> Option<Duration> {
        let age = self.max_age?;
        let tenth = u64::try_from(age.as_millis() / 10).unwrap_or(u64::MAX);
        let jitter = Duration::from_millis(fastrand::u64(0..=tenth.saturating_mul(2)));
        Some(age.saturating_sub(Duration::from_millis(tenth)).saturating_add(jitter))
    }
}

/// Serves a connection until its peer closes it, it is too old, or the server goes down.
pub(super) async fn serve(stream: TcpStream, routes: Routes, http: &Http, mut phase: watch::Receiver<Phase>) {
    let service = routes
        .map_request(|request: http::Request<hyper::body::Incoming>| request.map(tonic::body::Body::new))
        .map_response(routes::name_oversize);
    let mut connection =
        pin!(http.protocol.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
    let mut end_of_age = pin!(sleep_or_forever(http.age_limit()));
    let told_to_end = tokio::select! {
        ended = connection.as_mut() => return log_end(ended),
        () = end_of_age.as_mut() => Some(http.grace),
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => None,
    };
    connection.as_mut().graceful_shutdown();
    let mut grace = pin!(sleep_or_forever(told_to_end));
    tokio::select! {
        ended = connection.as_mut() => log_end(ended),
        () = grace.as_mut() => {}
        _ = phase.wait_for(|phase| *phase == Phase::Over) => {}
    }
}

async fn sleep_or_forever(time: Option<Duration>) {
    match time.and_then(|time| Instant::now().checked_add(time)) {
        Some(end) => tokio::time::sleep_until(end).await,
        None => pending().await,
    }
}

fn log_end(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
