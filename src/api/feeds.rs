//! Export of feeds: the active catalogue with the spots left, in the form of its source.
//!
//! A running server streams its export on the admin listener as lines of text, one record each, and the client
//! writes the files. Without a running server the same records are written directly. The server therefore needs no
//! directory, and the files belong to the user who starts the export.

mod lines;

mod client;
mod handler;

pub use client::{FetchError, can_ask, fetch};
pub(in crate::api) use client::{fetch_bytes, post_bytes};
pub(crate) use handler::FeedsHandler;
pub use lines::{ExportHeader, ExportLine, MalformedLine};

use orders::Export;

/// The path of the export on the admin listener.
pub const PATH: &str = "/feeds";

/// The query parameter for the number of days.
const DAYS: &str = "days";

/// Passes an export to `put`, line by line.
///
/// # Errors
/// The first error of `put`, which ends the export.
pub fn export<E>(
    export: &Export<'_>,
    mut put: impl FnMut(ExportLine<'_>) -> Result<(), E>,
) -> Result<(), E> {
    put(ExportLine::Begin(ExportHeader::of(export)))?;
    export.write(|piece| put(ExportLine::Record(piece)))?;
    put(ExportLine::End)
}
