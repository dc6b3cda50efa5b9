//! Listening, and receiving connections.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::FutureExt;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::Instant,
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{
    ConnectionContext, ConnectionTable, HttpHandler, Phase, connection,
    connection_table::OpenConnection,
};
use crate::descriptors;

/// Connections that the system keeps for us until we get to them.
const BACKLOG: i32 = 1024;

/// The pause after a connection could not be received, mostly for want of file descriptors. It doubles with
/// every failure in a row.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The longest such pause.
const LONGEST_ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The time without a failure after which the next one is told again.
const FAILURE_IS_OVER: Duration = Duration::from_secs(60);

/// A socket with an address that does not listen yet.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    socket: Socket,
}

impl Listener {
    /// Binds a socket to an address. Port 0 becomes a free port.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // A restart must not wait until connections of the process before have left TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let bound = socket.local_addr()?;
        let address = bound.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { address, socket })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens: from here on the system completes connections.
    ///
    /// # Errors
    /// In particular if another process has bound the same address in the meantime and listens there.
    pub(crate) fn listen(self) -> io::Result<std::net::TcpListener> {
        self.socket.listen(BACKLOG)?;
        Ok(self.socket.into())
    }
}

/// A connection that has been received and is to be served.
#[derive(Debug)]
pub(crate) struct AcceptedConnection {
    stream: std::net::TcpStream,
    open: OpenConnection,
    counted: TaskTrackerToken,
}

impl AcceptedConnection {
    /// Serves the connection in the runtime that this is called from, and drops `kept` at its end.
    pub(crate) fn serve(
        self,
        context: ConnectionContext<impl HttpHandler>,
        kept: impl Send + 'static,
    ) {
        tokio::spawn(async move {
            let Self {
                stream,
                open,
                counted,
            } = self;
            match TcpStream::from_std(stream) {
                Ok(stream) => connection::serve(stream, open, context).await,
                Err(error) => tracing::warn!(%error, "a connection could not be served"),
            }
            drop((counted, kept));
        });
    }
}

/// Where connections come in.
#[derive(Debug)]
pub(crate) struct Acceptor {
    /// Those that are open, within their limits.
    pub(crate) table: Arc<ConnectionTable>,
    /// The same, to wait for their end.
    pub(crate) connections: TaskTracker,
    pub(crate) phase: watch::Receiver<Phase>,
}

impl Acceptor {
    /// Receives connections while the server is serving, and hands each of them on.
    pub(crate) async fn run(
        self,
        socket: std::net::TcpListener,
        hand_on: impl Fn(AcceptedConnection),
    ) {
        let mut phase = self.phase.clone();
        // Whoever waits for the last connection to end waits for the last one to be received, too.
        let _receiving = self.connections.token();
        match TcpListener::from_std(socket) {
            Ok(listener) => {
                tokio::select! {
                    () = self.accept_all(&listener, &hand_on) => {}
                    _ = phase.wait_for(|phase| *phase >= Phase::Draining) => {}
                }
                self.accept_backlog(&listener, &hand_on);
            }
            Err(error) => tracing::error!(%error, "a socket cannot be listened on"),
        }
    }

    /// A connection takes a place when it is there, so none is kept for one that never comes.
    async fn accept_all(&self, listener: &TcpListener, hand_on: &impl Fn(AcceptedConnection)) {
        let mut failures = Failures::default();
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    failures.in_a_row = 0;
                    // Dropped, it is closed: its address has too many.
                    let Some(open) = self.table.place(address.ip()).await else {
                        continue;
                    };
                    self.accept(stream, open, hand_on);
                }
                Err(error) => {
                    self.after_failure(&error, &mut failures).await;
                }
            }
        }
    }

    /// Logs the first failure for a while, and waits: what is missing may come back.
    async fn after_failure(&self, error: &io::Error, failures: &mut Failures) {
        let is_exhausted = descriptors::are_exhausted(error);
        if failures.is_news() && is_exhausted {
            let limit = descriptors::limit();
            tracing::error!(%error, limit, "connections cannot be received: there is no file descriptor left");
        } else if failures.is_news() {
            tracing::warn!(%error, "a connection could not be received");
        }
        if is_exhausted {
            self.table.close_one();
        }
        tokio::time::sleep(failures.next_pause()).await;
    }

    /// Receives the connections that the system had already made for us: closing the socket would
    /// break them.
    fn accept_backlog(&self, listener: &TcpListener, hand_on: &impl Fn(AcceptedConnection)) {
        while let Some(Ok((stream, address))) = listener.accept().now_or_never() {
            let Ok(open) = self.table.try_place(address.ip()) else {
                return;
            };
            self.accept(stream, open, hand_on);
        }
    }

    fn accept(
        &self,
        stream: TcpStream,
        open: OpenConnection,
        hand_on: &impl Fn(AcceptedConnection),
    ) {
        // Without it a small answer may wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        match stream.into_std() {
            Ok(stream) => hand_on(AcceptedConnection {
                stream,
                open,
                counted: self.connections.token(),
            }),
            Err(error) => tracing::warn!(%error, "a connection could not be handed on"),
        }
    }
}

/// Failures to receive connections.
#[derive(Debug, Default)]
struct Failures {
    in_a_row: u32,
    last: Option<Instant>,
}

impl Failures {
    /// Whether there has been none for a while.
    fn is_news(&self) -> bool {
        self.last
            .is_none_or(|last| last.elapsed() > FAILURE_IS_OVER)
    }

    /// Counts one, and gives the pause after it.
    fn next_pause(&mut self) -> Duration {
        let pause = ACCEPT_PAUSE.saturating_mul(1 << self.in_a_row.min(8));
        self.in_a_row += 1;
        self.last = Some(Instant::now());
        pause.min(LONGEST_ACCEPT_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_are_news_once_and_their_pauses_grow_to_a_bound() {
        let mut failures = Failures::default();
        assert!(failures.is_news());
        let pauses: Vec<_> = (0..20).map(|_| failures.next_pause().as_millis()).collect();
        assert_eq!(pauses[..6], [50, 100, 200, 400, 800, 1000]);
        assert_eq!(pauses[19], 1000);
        failures.in_a_row = 0;
        assert_eq!(failures.next_pause(), ACCEPT_PAUSE);
        assert!(!failures.is_news());
        tokio::time::advance(FAILURE_IS_OVER + Duration::from_millis(1)).await;
        assert!(failures.is_news());
    }
}
