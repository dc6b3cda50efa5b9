//! The tests that every store has to pass.

#![expect(clippy::unwrap_used, reason = "for tests only: a check that fails panics")]

#[cfg(test)]
pub(crate) mod samples;
