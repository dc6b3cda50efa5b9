//! Listening, and receiving connections.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::FutureExt;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{
    Phase,
    connection::{self, Door, Reception},
};

/// Connections that the system keeps for us until we get to them.
const BACKLOG: i32 = 1024;

/// The pause after a connection could not be received, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A socket that listens.
#[derive(Debug)]
pub(super) struct Listener {
    address: SocketAddr,
    socket: std::net::TcpListener,
}

impl Listener {
    /// Binds a socket to an address. Port 0 becomes a free port.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = std::net::TcpListener::from(socket);
        Ok(Self { address: socket.local_addr()?, socket })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A connection that has been received and is to be served.
#[derive(Debug)]
pub(super) struct Arrival {
    stream: std::net::TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    counted: TaskTrackerToken,
}

impl Arrival {
    /// Serves the connection in the runtime that this is called from, and drops `kept` at its end.
    pub(super) fn serve(self, reception: Reception<impl Door>, kept: impl Send + 'static) {
        tokio::spawn(async move {
            let Self { stream, address, place, counted } = self;
            match TcpStream::from_std(stream) {
                Ok(stream) => connection::serve(stream, address.ip(), reception).await,
                Err(error) => tracing::warn!(%error, "a connection could not be served"),
            }
            drop((place, counted, kept));
        });
    }
}

/// Where connections come in.
#[derive(Debug)]
pub(super) struct Entry {
    /// One for each connection that may be open.
    pub(super) places: Arc<Semaphore>,
    /// Those that are.
    pub(super) connections: TaskTracker,
    pub(super) phase: watch::Receiver<Phase>,
}

impl Entry {
    /// Receives connections while the server is serving, and hands each of them on.
    pub(super) async fn receive(self, listener: Listener, hand_on: impl Fn(Arrival)) {
        let mut phase = self.phase.clone();
        // Whoever waits for the last connection to end waits for the last one to be received, too.
        let _receiving = self.connections.token();
        match TcpListener::from_std(listener.socket) {
            Ok(listener) => {
                tokio::select! {
                    () = self.receive_all(&listener, &hand_on) => {}
                    _ = phase.wait_for(|phase| *phase >= Phase::Draining) => {}
                }
                self.receive_waiting(&listener, &hand_on);
            }
            Err(error) => tracing::error!(%error, "a socket cannot be listened on"),
        }
    }

    /// A connection takes a place when it is there, so none is kept for one that never comes.
    async fn receive_all(&self, listener: &TcpListener, hand_on: &impl Fn(Arrival)) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
                    self.welcome(stream, address, place, hand_on);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be received");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Receives the connections that the system had already made for us: closing the socket would
    /// break them.
    fn receive_waiting(&self, listener: &TcpListener, hand_on: &impl Fn(Arrival)) {
        while let Some(Ok((stream, address))) = listener.accept().now_or_never() {
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
            self.welcome(stream, address, place, hand_on);
        }
    }

    fn welcome(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
        hand_on: &impl Fn(Arrival),
    ) {
        // Without it a small answer may wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        match stream.into_std() {
            Ok(stream) => hand_on(Arrival { stream, address, place, counted: self.connections.token() }),
            Err(error) => tracing::warn!(%error, "a connection could not be handed on"),
        }
    }
}
