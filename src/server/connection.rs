//! One connection, from its first byte to its good end.

use std::{convert::Infallible, future::pending, pin::pin, time::Duration};

use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, Version, header::CONNECTION};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{net::TcpStream, sync::watch, time::Instant};
use tonic::body::Body;

use super::Phase;
use crate::config::Config;

/// The time that a new connection has for its first word once the server goes down.
const LAST_WORD: Duration = Duration::from_millis(200);

/// What answers the requests of a connection.
pub(super) trait Door: Clone + Send + Sync + 'static {
    /// Answers one of them, whatever it is.
    fn answer(self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

/// How connections are served.
pub(super) struct Http {
    protocol: auto::Builder<TokioExecutor>,
    max_silence: Duration,
    max_age: Option<Duration>,
    grace: Duration,
}

impl Http {
    pub(super) fn new(config: &Config) -> Self {
        let settings = &config.connections;
        let max_silence = settings.keepalive_interval.saturating_add(settings.keepalive_timeout);
        let mut protocol = auto::Builder::new(TokioExecutor::new());
        // The time for a request's head runs while there is no request, too.
        protocol.http1().timer(TokioTimer::new()).header_read_timeout(max_silence);
        protocol
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(settings.max_streams_per_connection)
            .keep_alive_interval(settings.keepalive_interval)
            .keep_alive_timeout(settings.keepalive_timeout);
        Self {
            protocol,
            max_silence,
            max_age: settings.max_connection_age,
            grace: settings.max_connection_age_grace,
        }
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
pub(super) async fn serve(
    stream: TcpStream,
    door: impl Door,
    http: &Http,
    mut phase: watch::Receiver<Phase>,
) {
    if !speaks(&stream, http.max_silence, phase.clone()).await {
        return;
    }
    let leaving = phase.clone();
    let service =
        service_fn(move |request| answer(door.clone(), request, leaving.clone()).map(Ok::<_, Infallible>));
    let mut connection = pin!(http.protocol.serve_connection(TokioIo::new(stream), service));
    let mut end_of_age = pin!(sleep_or_forever(http.age_limit()));
    // The connection goes first: one that is told to end before it has read which protocol is
    // spoken does not read its first request either.
    let told_to_end = tokio::select! {
        biased;
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

/// Answers a request. Over HTTP/1.1, an answer from a server that goes ends the connection: were it
/// ended later, that might cross with the next request, which would be lost. HTTP/2 knows better.
async fn answer(
    door: impl Door,
    request: Request<Incoming>,
    phase: watch::Receiver<Phase>,
) -> Response<Body> {
    let is_http1 = request.version() < Version::HTTP_2;
    let mut answer = door.answer(request).await;
    if is_http1 && *phase.borrow() > Phase::Serving {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Whether the peer says anything at all. Where it does not there is nothing to finish, and the
/// protocol, once begun, would wait for the first byte for ever.
async fn speaks(stream: &TcpStream, max_silence: Duration, mut phase: watch::Receiver<Phase>) -> bool {
    let last_moment = async {
        let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
        tokio::time::sleep(LAST_WORD).await;
    };
    let mut first = [0];
    tokio::select! {
        heard = stream.peek(&mut first) => matches!(heard, Ok(1..)),
        () = tokio::time::sleep(max_silence) => false,
        () = last_moment => false,
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
