//! Listening sockets and the accept loop.

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
    connection_table::{NoRoom, OpenConnection},
};
use kernel::descriptors;

/// The length of the kernel's queue of completed connections.
const BACKLOG: i32 = 1024;

/// The first pause after a failed accept, mostly for want of file descriptors. It doubles with
/// every failure in a row.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between failed accepts.
const LONGEST_ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The time without a failure after which the next one is logged again.
const FAILURE_IS_OVER: Duration = Duration::from_secs(60);

/// A socket that is bound to an address and does not listen yet.
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
        // The runtime needs a non-blocking socket and does not set the option itself.
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        // Asked from the system, because port 0 was replaced by a free port.
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

/// An accepted connection with its place in the table.
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
        // Detached: the tracker's token, not a handle, tells a shutdown when the connection has
        // ended.
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
            // Named so that both move into the task and live exactly as long as the connection.
            drop((counted, kept));
        });
    }
}

/// Accepts the connections of one listener.
#[derive(Debug)]
pub(crate) struct Acceptor {
    /// The open connections, within their limits.
    pub(crate) table: Arc<ConnectionTable>,
    /// Counts the open connections, so that a shutdown can wait for their end.
    pub(crate) connections: TaskTracker,
    pub(crate) phase: watch::Receiver<Phase>,
}

impl Acceptor {
    /// Accepts connections until the server drains, and hands each of them on.
    pub(crate) async fn run(
        self,
        socket: std::net::TcpListener,
        hand_on: impl Fn(AcceptedConnection),
    ) {
        let mut phase = self.phase.clone();
        // Counted like a connection, so that a shutdown which waits for all connections also waits
        // for the last accept.
        let _receiving = self.connections.token();
        match TcpListener::from_std(socket) {
            Ok(listener) => {
                tokio::select! {
                    // `accept` is cancel safe. A connection that waits for a place in a full table is
                    // closed: nothing was read from it, and its client can try another server.
                    () = self.accept_all(&listener, &hand_on) => {}
                    _ = phase.wait_for(|phase| *phase >= Phase::Draining) => {}
                }
                self.accept_backlog(&listener, &hand_on);
            }
            Err(error) => tracing::error!(%error, "a socket cannot be listened on"),
        }
    }

    /// Accepts connections one by one. The place is taken after the accept, so that none is
    /// reserved for a connection that never comes.
    async fn accept_all(&self, listener: &TcpListener, hand_on: &impl Fn(AcceptedConnection)) {
        let mut failures = Failures::default();
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    // Only the pause starts again; the log stays quiet for its full interval.
                    failures.in_a_row = 0;
                    // Dropping the stream closes the connection: its address is over its share.
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

    /// Logs the first failure in a while and pauses, because the missing resource may come back.
    async fn after_failure(&self, error: &io::Error, failures: &mut Failures) {
        let is_exhausted = descriptors::are_exhausted(error);
        if failures.is_news() && is_exhausted {
            let limit = descriptors::limit();
            tracing::error!(%error, limit, "connections cannot be received: there is no file descriptor left");
        } else if failures.is_news() {
            tracing::warn!(%error, "a connection could not be received");
        }
        if is_exhausted {
            // An idle connection gives its descriptor to the next new one.
            self.table.close_one();
        }
        tokio::time::sleep(failures.next_pause()).await;
    }

    /// Accepts the connections that the kernel has already completed: closing the socket would
    /// reset them.
    fn accept_backlog(&self, listener: &TcpListener, hand_on: &impl Fn(AcceptedConnection)) {
        while let Some(Ok((stream, address))) = listener.accept().now_or_never() {
            // Without waiting: during a drain nothing may delay the close of the socket.
            match self.table.try_place(address.ip()) {
                Ok(open) => self.accept(stream, open, hand_on),
                // Only this one is closed: connections from other addresses may have a place.
                Err(NoRoom::AddressFull) => {}
                Err(NoRoom::Full) => return,
            }
        }
    }

    fn accept(
        &self,
        stream: TcpStream,
        open: OpenConnection,
        hand_on: &impl Fn(AcceptedConnection),
    ) {
        // Best effort: without it a small response may wait for the acknowledgement of the one
        // before.
        let _ = stream.set_nodelay(true);
        // Deregistered from this runtime, because the worker registers the socket with its own.
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
        // At most 2^8, so the shift cannot overflow however long the failures go on.
        let pause = ACCEPT_PAUSE.saturating_mul(1 << self.in_a_row.min(8));
        self.in_a_row += 1;
        self.last = Some(Instant::now());
        pause.min(LONGEST_ACCEPT_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, net::Ipv4Addr};

    use tokio::net::TcpSocket;

    use super::*;
    use crate::net::ConnectionLimits;

    async fn connect(from: u8, to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        let from = Ipv4Addr::new(127, 0, 0, from);
        socket.bind((from, 0).into()).unwrap();
        socket.connect(to).await.unwrap()
    }

    #[tokio::test]
    async fn an_address_over_its_share_does_not_keep_others_in_the_backlog_from_a_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let (_phase, phase) = watch::channel(Phase::Draining);
        let acceptor = Acceptor {
            table: Arc::new(ConnectionTable::new(ConnectionLimits {
                max: 3,
                max_per_address: 1,
            })),
            connections: TaskTracker::new(),
            phase,
        };
        let mut clients = Vec::new();
        for from in [9, 1, 1, 2, 3, 4, 5] {
            clients.push(connect(from, to).await);
        }
        // The runtime knows only after one accept that more of them are there.
        drop(listener.accept().await.unwrap());
        let served = RefCell::new(Vec::new());
        acceptor.accept_backlog(&listener, &|accepted| {
            let call = accepted.open.activity().begin();
            served.borrow_mut().push((accepted, call));
        });
        let from: Vec<_> = served
            .borrow()
            .iter()
            .map(|(accepted, _)| accepted.open.address().to_string())
            .collect();
        // The table is full then, and all of the places are busy.
        assert_eq!(from, ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    }

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
