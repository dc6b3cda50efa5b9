//! Box Office: the order server of a booking partner.
//!
//! It answers the order methods of Google's Maps Booking v3 contract: can this cart be sold now,
//! create this order exactly once, list these orders, what is left of these slots. A call goes one
//! way through the modules below and back:
//!
//! ```text
//! bytes → booking::{grpc, rest} → dispatch → booking::from_proto → app → domain (pure) → store → app → booking::to_proto → bytes
//! ```
//!
//! | module | what is in it |
//! |---|---|
//! | [`domain`] | the rules of the trade, pure: prices, bounds, fees, questions, verdicts |
//! | [`diagnostics`] | errors and warnings with codes and locations, for settings, files and the catalogue |
//! | [`files`] | files that people write: TOML, text, changes |
//! | [`catalog_files`] | the catalogue on disk: feeds and rules file, read as a whole, with diagnostics |
//! | [`inventory`] | the slots on sale and what is taken from them, in memory |
//! | [`store`] | orders, tokens and payments, durable |
//! | [`payments`] | taking money through a gateway |
//! | [`app`] | the use cases: check, create, list, look up |
//! | `proto_json` | JSON as protobuf writes it, for requests and feeds: numbers, names of members |
//! | [`audit`] | who did what, for those who have to account for it |
//! | [`api`] | the interface for callers: errors, authentication, dispatch, the Booking v3 contract over gRPC and REST, feeds |
//! | [`net`] | the network layer: listeners, connections, TLS, byte budgets; knows no orders |
//! | [`server`] | puts it together, brings it up and takes it down |
//! | [`metrics`], [`request`] | counters and histograms, incremented where things happen; the context of a request |
//! | [`rpc`] | the methods of the contract and the transports they are called over |
//! | [`blocking`], [`descriptors`] | work on threads beside those that serve calls; file descriptors |
//! | [`config`], [`cli`], [`telemetry`], [`clock`] | settings, commands, logs and metrics and traces, time |

/// The version with the commit that it was built from and the date of that, as far as they are known.
pub const VERSION: &str = env!("STAMPED_VERSION");

pub use ::{catalog as catalog_files, domain, inventory, orders as app, payments, store};
pub use kernel::{
    blocking, clock, descriptors, diagnostics, files, metrics, proto_json, request, rpc,
};
pub use orders::audit;

pub mod api;

pub mod cli;
pub mod config;
pub mod net;
pub mod server;
pub mod telemetry;
