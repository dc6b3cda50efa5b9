//! What the unit tests of several modules share.

pub(crate) mod histories;
pub(crate) mod rounds;
pub(crate) mod schedules;
