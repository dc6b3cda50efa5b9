//! The network layer: it listens, accepts connections within limits, detects their protocol, serves HTTP on
//! them and ends them. It knows nothing of orders: requests go to an `HttpHandler`.
//!
//! ```text
//! listener ─ connection_table ─ workers ─ connection (protocol, activity, sending) ─ HttpHandler
//! ```

pub mod budgets;
mod connection;
mod connection_table;
mod guarded_body;
mod handler;
mod listener;
mod peer;
pub mod request_bodies;
pub mod stalled;
mod tls;
pub(crate) mod workers;

pub use peer::{ClientCertificate, network};

pub(crate) use connection::{ConnectionContext, HttpServer};
pub(crate) use connection_table::{CLOSING, ConnectionLimits, ConnectionTable};
pub(crate) use guarded_body::GuardedBody;
pub(crate) use handler::HttpHandler;
pub(crate) use listener::{Acceptor, Listener};
pub(crate) use tls::{TlsAcceptor, is_untrusted};
pub(crate) use workers::{OwnRuntime, Workers, background_runtime, control_runtime};

/// The stages of a server's life, as its connections see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Connections are accepted.
    Serving,
    /// Connections are accepted, and load balancers are asked not to open any.
    NotReady,
    /// No connection is accepted, and open ones are asked to end.
    Draining,
    /// Everything ends at once.
    Stopped,
}
