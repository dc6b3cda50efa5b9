//! Ids and times, used by all other crates.

pub mod ids;
pub mod time;
