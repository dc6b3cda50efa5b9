//! What the unit tests of several packages share.

#![expect(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::unwrap_used,
    reason = "for tests only"
)]

pub mod histories;
pub mod schedules;
pub mod seeds;
