//! Listening, and receiving connections.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::{Phase, Reception, connection};

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
    pub(super) fn bind(address: SocketAddr, count: usize) -> io::Result<Self> {
        let shared = count > 1;
        let first = bind(address, shared)?;
        let address = first.local_addr()?;
        let more = (1..count).map(|_| bind(address, shared));
        let sockets = std::iter::once(Ok(first)).chain(more).collect::<io::Result<_>>()?;
        Ok(Self { address, sockets })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = std::net::TcpListener> {
        self.sockets.into_iter()
    }
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Receives connections while the server is serving, then stays for those it has until it is over.
pub(super) async fn receive(listener: std::net::TcpListener, reception: Reception) {
    let mut phase = reception.phase.clone();
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
    let _ = phase.wait_for(|phase| *phase == Phase::Over).await;
}

async fn receive_all(listener: &TcpListener, reception: &Reception) {
    loop {
        let Ok(place) = Arc::clone(&reception.places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => welcome(stream, reception, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be received");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Receives the connections that the system had already made for us: closing the socket would
/// break them.
fn receive_waiting(listener: &TcpListener, reception: &Reception) {
    while let Some(Ok((stream, _))) = futures_util::FutureExt::now_or_never(listener.accept()) {
        let Ok(place) = Arc::clone(&reception.places).try_acquire_owned() else { return };
        welcome(stream, reception, place);
    }
}

fn welcome(stream: TcpStream, reception: &Reception, place: tokio::sync::OwnedSemaphorePermit) {
    // Without it a small answer may wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let (routes, http, phase) =
        (reception.routes.clone(), Arc::clone(&reception.http), reception.phase.clone());
    reception.connections.spawn(async move {
        connection::serve(stream, routes, &http, phase).await;
        drop(place);
    });
}
