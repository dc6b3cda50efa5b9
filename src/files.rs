//! Files that people write for this server: read whole, every mistake with its place, and looked at
//! for changes.

pub(crate) mod mistakes;
pub(crate) mod regular;
pub(crate) mod similar;
pub(crate) mod snapshot;
pub(crate) mod text;
pub(crate) mod toml;
pub(crate) mod warnings;

pub use mistakes::{Mistake, Mistakes};
pub use snapshot::Snapshot;
pub use warnings::{Warning, Warnings};
