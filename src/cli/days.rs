//! Days on the command line.

use orders::days::AskedDay;

/// Reads a date, `today`, `tomorrow` or `yesterday`.
pub(super) fn asked_day(text: &str) -> Result<AskedDay, String> {
    AskedDay::parse(text).map_err(|expected| format!("expected {expected}"))
}

/// The same for a server, which knows the time zone.
pub(super) fn day_of_server(text: &str) -> Result<String, String> {
    asked_day(text).map(|_| text.to_owned())
}
