//! Files that people write for this server: read as text or TOML, and polled for changes.

pub mod regular;
pub mod snapshot;
pub mod text;
pub mod toml;

pub use snapshot::Snapshot;
