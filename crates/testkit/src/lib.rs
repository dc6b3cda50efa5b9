//! What the unit tests of several packages share.

pub mod histories;
pub mod schedules;
pub mod seeds;
