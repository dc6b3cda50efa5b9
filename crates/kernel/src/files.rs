//! Files that people write for this server: read whole, every mistake with its place, and looked at
//! for changes.

pub mod mistakes;
pub mod regular;
pub mod similar;
pub mod snapshot;
pub mod text;
pub mod toml;
pub mod warnings;

pub use mistakes::{Mistake, Mistakes};
pub use snapshot::Snapshot;
pub use warnings::{Warning, Warnings};
