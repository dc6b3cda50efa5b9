//! Box Office: an order server for businesses that sell by the slot.
//!
//! It serves the order methods of Google's Maps Booking v3 contract. `ARCHITECTURE.md` follows one request
//! through these modules; `GLOSSARY.md` has the terms.
//!
//! ```text
//! bytes → net → server::routes → api::booking → api::dispatch → orders → domain, inventory, store, payments
//! ```
//!
//! | module | content |
//! |---|---|
//! | [`domain`] | the rules, pure: prices, limits, fees, questions, verdicts |
//! | [`catalog`] | the catalogue on disk: feeds and rules, read with diagnostics, written |
//! | [`lifecycle_files`] | lifecycle definitions on disk, read with diagnostics, described |
//! | [`inventory`] | slots and cart holds in memory |
//! | [`store`] | orders, tokens, payments and prices, durable |
//! | [`payments`] | the payment gateway |
//! | [`orders`] | use cases: check, create, list, look up, reload, export; the audit log |
//! | [`api`] | the interface for callers: errors, authentication, dispatch, the contract over gRPC and REST, feeds |
//! | [`net`] | listeners, workers, connections, TLS, byte budgets; knows no orders |
//! | [`server`] | composition: startup, routes, health, reload, metrics, shutdown |
//! | [`config`], [`cli`], [`exit_code`], [`telemetry`] | settings, commands, exit codes, logs and traces |
//! | [`kernel`] | time, metrics, the request context, diagnostics, files, blocking work |

/// The version, with commit and date of the build where they are known.
pub const VERSION: &str = env!("STAMPED_VERSION");

pub use ::{catalog, domain, inventory, kernel, lifecycle_files, orders, payments, store};

pub mod api;

pub mod cli;
pub mod config;
pub mod exit_code;
pub mod net;
pub mod server;
pub mod telemetry;
