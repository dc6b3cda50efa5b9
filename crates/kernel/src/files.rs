//! Files that people write for this server: read as text or TOML, and looked at for changes.

pub mod regular;
pub mod snapshot;
pub mod text;
pub mod toml;

pub use snapshot::Snapshot;
