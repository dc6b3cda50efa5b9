//! Listening, and receiving connections.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::{
    Phase, Reception,
    connection::{self, Door},
};

/// Connections that the system keeps for us until we get to them.
const BACKLOG: i32 = 1024;

/// The pause after a connection could not be received, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Sockets that share one address; the system spreads connections over them.
#[derive(Debug)]
pub(super) struct Listeners {
    address: SocketAddr,
    sockets: Vec<std::net::TcpListener>,
}

impl Listeners {
    /// Binds `count` sockets to one address. Port 0 becomes a free port, the same for all.
    ///
    /// The first socket takes the address for itself and shares it only then: sockets that share
    /// from the beginning would also join those of another process, and each would sell to half of
    /// the callers.
    pub(super) fn bind(address: SocketAddr, count: usize) -> io::Result<Self> {
        let first = listen(address, Sharing::No)?;
        let address = first.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
        first.set_reuse_port(count > 1)?;
        let more = (1..count).map(|_| listen(address, Sharing::Yes));
        let sockets = std::iter::once(Ok(first)).chain(more).map(|socket| socket.map(Into::into));
        Ok(Self { address, sockets: sockets.collect::<io::Result<_>>()? })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = std::net::TcpListener> {
        self.sockets.into_iter()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Yes,
    No,
}

fn listen(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Yes)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Receives connections while the server is serving, then stays for those it has until it is over.
pub(super) async fn receive(listener: std::net::TcpListener, reception: Reception<impl Door>) {
    let mut phase = reception.phase.clone();
    // Whoever waits for the last connection to end waits for the last one to be received, too.
    let receiving = reception.connections.token();
    match TcpListener::from_std(listener) {
        Ok(listener) => {
            tokio::select! {
                () = receive_all(&listener, &reception) => {}
                _ = phase.wait_for(|phase| *phase >= Phase::Draining) => {}
            }
            receive_waiting(&listener, &reception);
        }
        Err(error) => tracing::error!(%error, "a socket cannot be listened on"),
    }
    drop(receiving);
    let _ = phase.wait_for(|phase| *phase == Phase::Over).await;
}

/// A place is taken for a connection that is there: a listener that nobody comes to would keep one
/// from the others.
async fn receive_all(listener: &TcpListener, reception: &Reception<impl Door>) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let Ok(place) = Arc::clone(&reception.places).acquire_owned().await else { return };
                welcome(stream, address, reception, place);
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
fn receive_waiting(listener: &TcpListener, reception: &Reception<impl Door>) {
    while let Some(Ok((stream, address))) = futures_util::FutureExt::now_or_never(listener.accept()) {
        let Ok(place) = Arc::clone(&reception.places).try_acquire_owned() else { return };
        welcome(stream, address, reception, place);
    }
}

fn welcome(
    stream: TcpStream,
    address: SocketAddr,
    reception: &Reception<impl Door>,
    place: tokio::sync::OwnedSemaphorePermit,
) {
    // Without it a small answer may wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let serving = connection::serve(stream, address.ip(), reception.clone());
    reception.connections.spawn(async move {
        serving.await;
        drop(place);
    });
}
