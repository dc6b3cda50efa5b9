//! Box Office: an order server for businesses that sell by the slot.
//!
//! It serves the order methods of Google's Maps Booking v3 contract. `ARCHITECTURE.md` follows one request
//! through these modules; `GLOSSARY.md` has the terms.
//!
//! ```text
//! bytes → net → server::routes → api::booking → api::dispatch → app → domain, inventory, store, payments
//! ```
//!
//! | module | content |
//! |---|---|
//! | [`domain`] | the rules, pure: prices, limits, fees, questions, verdicts |
//! | [`catalog_files`] | the catalogue on disk: feeds and rules, read with diagnostics, written |
//! | [`inventory`] | slots and cart holds in memory |
//! | [`store`] | orders, tokens, payments and prices, durable |
//! | [`payments`] | the payment gateway |
//! | [`app`], [`audit`] | use cases: check, create, list, look up, reload, export; the audit log |
//! | [`api`] | the interface for callers: errors, authentication, dispatch, the contract over gRPC and REST, feeds |
//! | [`net`] | listeners, workers, connections, TLS, byte budgets; knows no orders |
//! | [`server`] | composition: startup, routes, health, reload, metrics, shutdown |
//! | [`config`], [`cli`], [`exit_code`], [`telemetry`] | settings, commands, exit codes, logs and traces |
//! | [`diagnostics`], [`files`] | errors and warnings with codes and locations; TOML, text, changed files |
//! | [`metrics`], [`request`], [`rpc`] | counters and histograms; the request context; methods and transports |
//! | [`blocking`], [`clock`], [`descriptors`], `proto_json` | blocking work, time, file descriptors, JSON values |

/// The version, with commit and date of the build where they are known.
pub const VERSION: &str = env!("STAMPED_VERSION");

pub use ::{catalog as catalog_files, domain, inventory, orders as app, payments, store};
pub use kernel::{
    blocking, clock, descriptors, diagnostics, files, metrics, proto_json, request, rpc,
};
pub use orders::audit;

pub mod api;

pub mod cli;
pub mod config;
pub mod exit_code;
pub mod net;
pub mod server;
pub mod telemetry;
