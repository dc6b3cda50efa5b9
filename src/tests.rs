//! What the unit tests of several modules share.

pub(crate) mod histories;
pub(crate) mod schedules;
pub(crate) mod seeds;
