//! One connection: TLS, protocol detection, HTTP and the orderly end.

mod activity;
mod protocol;
mod sending;

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Context,
    time::Duration,
};

use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, Version, header::CONNECTION};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep},
};
use tonic::body::Body;

use super::{
    ClientCertificate, HttpHandler, Phase, TlsAcceptor, connection_table::OpenConnection,
    is_untrusted, stalled::StalledResponses,
};
use crate::config;
use protocol::Protocol;
use sending::{Reset, SendTimeout, StallDetector, StreamExecutor, TrackedBody};

pub(crate) use activity::{Activity, ConnectionWaiters};

/// Time for the first request of a new connection once the server drains, and for calls that cross
/// with the eviction of a used one.
const LAST_WORD: Duration = Duration::from_millis(200);

/// The smallest read buffer that the HTTP/1.1 library accepts, in bytes.
const MIN_BUFFER_BYTES: usize = 8192;

/// Bytes of one response that HTTP/2 buffers beyond the peer's window.
const MAX_SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Everything that serving a connection needs, shared by all connections.
pub(crate) struct ConnectionContext<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) http: Arc<HttpServer>,
    pub(crate) tls: Option<Arc<TlsAcceptor>>,
    pub(crate) phase: watch::Receiver<Phase>,
}

impl<H> Clone for ConnectionContext<H> {
    fn clone(&self) -> Self {
        let Self {
            handler,
            http,
            tls,
            phase,
        } = self;
        Self {
            handler: Arc::clone(handler),
            http: Arc::clone(http),
            tls: tls.clone(),
            phase: phase.clone(),
        }
    }
}

/// How connections are served.
pub(crate) struct HttpServer {
    http1: http1::Builder,
    http2: http2::Builder<StreamExecutor>,
    send_timeout: SendTimeout,
    idle_timeout: Duration,
    max_silence: Duration,
    max_age: Option<Duration>,
    grace: Duration,
}

impl HttpServer {
    /// Serves connections by these settings. A connection may be silent for `max_silence` before its first
    /// request and, over HTTP/1.1, between requests; a client that reads nothing of a response is reset
    /// after `send_limit`.
    pub(crate) fn new(
        settings: &config::Connections,
        max_silence: Duration,
        send_limit: Duration,
        stalled: Arc<StalledResponses>,
    ) -> Self {
        let send_timeout = SendTimeout {
            limit: send_limit,
            stalled,
        };
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .max_headers(settings.max_headers)
            .max_header_size(settings.max_header_bytes)
            // The limits above apply to a complete head; only this bounds an incomplete one.
            .max_buf_size(settings.max_header_bytes.max(MIN_BUFFER_BYTES))
            // The timer of a head also runs between requests, so it bounds the silence of a
            // connection.
            .header_read_timeout(max_silence);
        let mut http2 = http2::Builder::new(StreamExecutor(send_timeout.clone()));
        http2
            .timer(TokioTimer::new())
            // Saturates: a limit beyond 4 GiB is the same as none here.
            .max_header_list_size(u32::try_from(settings.max_header_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(settings.max_streams_per_connection)
            // Bounded, so that a client that opens many streams and reads nothing cannot fill the
            // memory.
            .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
            .keep_alive_interval(settings.keepalive_interval)
            .keep_alive_timeout(settings.keepalive_timeout);
        Self {
            http1,
            http2,
            send_timeout,
            idle_timeout: settings.idle_timeout,
            max_silence,
            max_age: settings.max_connection_age,
            grace: settings.max_connection_age_grace,
        }
    }

    /// The longest silence of a connection by the settings: a keepalive interval and the time to
    /// answer its ping.
    pub(crate) fn max_silence(settings: &config::Connections) -> Duration {
        settings
            .keepalive_interval
            .saturating_add(settings.keepalive_timeout)
    }

    /// The age at which a connection ends: the setting plus or minus a tenth, so that connections
    /// which were opened together do not end together.
    fn age_limit(&self) -> Option<Duration> {
        let age = self.max_age?;
        // Saturates instead of failing: an age that large never comes.
        let tenth = u64::try_from(age.as_millis() / 10).unwrap_or(u64::MAX);
        let jitter = Duration::from_millis(fastrand::u64(0..=tenth.saturating_mul(2)));
        Some(
            age.saturating_sub(Duration::from_millis(tenth))
                .saturating_add(jitter),
        )
    }
}

/// Serves a connection until the peer closes it, it is idle or too old, it is evicted, or the
/// server shuts down.
pub(crate) async fn serve<H: HttpHandler>(
    stream: TcpStream,
    open: OpenConnection,
    context: ConnectionContext<H>,
) {
    if let Some(tls) = context.tls.clone() {
        // Boxed: otherwise every connection without TLS would reserve the memory of a handshake.
        Box::pin(serve_tls(stream, open, context, tls)).await;
    } else {
        serve_stream(stream, ClientCertificate::None, open, context).await;
    }
}

async fn serve_tls<H: HttpHandler>(
    stream: TcpStream,
    open: OpenConnection,
    context: ConnectionContext<H>,
    tls: Arc<TlsAcceptor>,
) {
    let handshake = tls.accept(stream);
    match in_time(
        tls.handshake_timeout(),
        &open,
        context.phase.clone(),
        handshake,
    )
    .await
    {
        Some(Ok((stream, certificate))) => serve_stream(stream, certificate, open, context).await,
        Some(Err(error)) => {
            if is_untrusted(&error) {
                context.handler.certificate_rejected(open.address());
            }
            tracing::debug!(%error, "TLS handshake failed");
        }
        None => tracing::debug!("TLS handshake timed out"),
    }
}

async fn serve_stream<S, H: HttpHandler>(
    stream: S,
    certificate: ClientCertificate,
    open: OpenConnection,
    context: ConnectionContext<H>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let ConnectionContext {
        handler,
        http,
        tls: _,
        phase,
    } = context;
    // A connection that has sent nothing is dropped at once. The HTTP library, once started, would
    // wait for its first byte without a limit.
    let detected = in_time(
        http.max_silence,
        &open,
        phase.clone(),
        protocol::detect(stream),
    )
    .await;
    let Some(Ok((protocol, stream))) = detected else {
        return;
    };
    let connection = Arc::new(handler.connected(open.address(), certificate));
    let (calls, shutdown) = (Arc::clone(open.activity()), phase.clone());
    let service = service_fn(move |request| {
        // Before the handler runs: from here on the connection counts as busy and is not evicted.
        let call = calls.begin();
        // Boxed, because the HTTP library moves the future several times.
        let answer = Box::pin(answer(
            Arc::clone(&handler),
            request,
            Arc::clone(&connection),
            shutdown.clone(),
        ));
        answer.map(|answer| Ok::<_, Infallible>(answer.map(|body| TrackedBody::new(body, call))))
    });
    let stream = TokioIo::new(stream);
    match protocol {
        Protocol::Http1 => {
            drive(
                http.http1.serve_connection(stream, service),
                &open,
                &http,
                phase,
            )
            .await;
        }
        Protocol::Http2 => {
            drive(
                http.http2.serve_connection(stream, service),
                &open,
                &http,
                phase,
            )
            .await;
        }
    }
}

async fn drive<C>(
    connection: C,
    open: &OpenConnection,
    http: &HttpServer,
    mut phase: watch::Receiver<Phase>,
) where
    C: GracefulConnection<Error: std::error::Error>,
{
    let activity = open.activity();
    let mut connection = pin!(connection);
    let mut watch = StallDetector::new(http.send_timeout.clone());
    let mut poll_watched = |connection: Pin<&mut C>, context: &mut Context<'_>| {
        let polled = watch.poll(connection, context);
        // Recorded after every poll: the buffered end of a response may wait for the peer after its
        // call has ended.
        if watch.is_blocked() {
            activity.note_blocked();
        } else {
            activity.note_unblocked();
        }
        polled
    };
    let mut end_of_age = pin!(sleep_or_forever(http.age_limit()));
    // The connection is polled first. Otherwise one that must end before its first request is read
    // would not read that request.
    let (grace, is_evicted) = tokio::select! {
        biased;
        ended = poll_fn(|context| poll_watched(connection.as_mut(), context)) => return log_end(ended),
        // An aged or idle connection gets a grace of its own; the drain of the server has its own
        // limit instead.
        () = end_of_age.as_mut() => (Some(http.grace), false),
        () = activity.rests_for(http.idle_timeout) => (Some(http.grace), false),
        () = open.evicted() => (Some(http.grace), true),
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => (None, false),
    };
    connection.as_mut().graceful_shutdown();
    // After the graceful shutdown was requested, so that the whole grace is left for the last
    // calls.
    let mut grace = pin!(sleep_or_forever(grace));
    let place_is_needed = async {
        // A connection that already ends for its age or idleness can still be evicted, because its
        // peer may take long to close it.
        if !is_evicted {
            open.evicted().await;
        }
        last_calls(activity).await;
    };
    tokio::select! {
        ended = poll_fn(|context| poll_watched(connection.as_mut(), context)) => log_end(ended),
        () = grace.as_mut() => {}
        () = place_is_needed => {}
        _ = phase.wait_for(|phase| *phase == Phase::Stopped) => {}
    }
}

/// Waits until an evicted connection can be closed. A connection that never had a call is closed at
/// once. On a used one, a call may cross with the eviction; such calls are finished.
async fn last_calls(activity: &Activity) {
    if activity.was_used() {
        // A request may be on its way: the peer learns of the end one trip later.
        sleep(LAST_WORD).await;
        activity.rests_for(LAST_WORD).await;
    }
}

/// Handles a request. During a shutdown, an HTTP/1.1 response ends its connection: a later end
/// might cross with the next request, which would be lost. HTTP/2 names the last request that it
/// has read.
async fn answer<H: HttpHandler>(
    handler: Arc<H>,
    request: Request<Incoming>,
    connection: Arc<H::Connection>,
    phase: watch::Receiver<Phase>,
) -> Response<Body> {
    let is_http1 = request.version() < Version::HTTP_2;
    let mut answer = handler.handle(request, connection).await;
    if is_http1 && *phase.borrow() > Phase::Serving {
        answer
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// The output of `work` if it ends within `time`, or within a moment once the server drains; `None`
/// also if the connection is evicted.
async fn in_time<T>(
    time: Duration,
    open: &OpenConnection,
    mut phase: watch::Receiver<Phase>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let last_moment = async {
        // An error means that the server is gone; the work then ends in the same way.
        let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
        sleep(LAST_WORD).await;
    };
    tokio::select! {
        done = work => Some(done),
        () = sleep(time) => None,
        () = open.evicted() => None,
        () = last_moment => None,
    }
}

async fn sleep_or_forever(time: Option<Duration>) {
    // A time beyond the range of the clock never comes, which is the same as no limit.
    match time.and_then(|time| Instant::now().checked_add(time)) {
        Some(end) => tokio::time::sleep_until(end).await,
        None => pending().await,
    }
}

fn log_end(ended: Result<Result<(), impl std::error::Error>, Reset>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection broke"),
        Err(Reset) => tracing::debug!("a connection was closed because its reader took nothing"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_to_go_finishes_calls_that_begin_before_it_is_gone() {
        let activity = Arc::new(Activity::new(Arc::default()));
        advance(Duration::from_secs(60)).await;
        let begun = Instant::now();
        last_calls(&activity).await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "nothing to finish");

        drop(activity.begin());
        advance(Duration::from_secs(60)).await;
        let begun = Instant::now();
        let calls = async {
            sleep(LAST_WORD / 2).await;
            let _call = activity.begin();
            sleep(Duration::from_secs(10)).await;
        };
        tokio::join!(last_calls(&activity), calls);
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(10) + LAST_WORD / 2, "{took:?}");
    }
}
