//! Shared foundations: time, metrics, the request context, diagnostics, files.

pub mod blocking;
pub mod clock;
pub mod descriptors;
pub mod diagnostics;
pub mod files;
pub mod log_queue;
pub mod metrics;
pub mod proto_json;
pub mod request;
pub mod rpc;
pub mod user;
