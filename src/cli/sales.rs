//! The source of remaining spots: a running server, or the catalogue and the store of a stopped
//! one.

use http::Uri;
use tokio::runtime;

use super::error::CliError;
use crate::{
    api::feeds::{self, ExportLine},
    config::Config,
    server,
};
use catalog::WriteError;

/// The source of remaining spots.
#[derive(Debug, PartialEq)]
pub(super) enum SalesSource {
    /// The running server with this `admin_listen`.
    Server(Uri),
    /// The catalogue and the store of a server that does not run.
    Offline(Box<Config>),
}

impl SalesSource {
    /// Passes the export to `take`, line by line: the slots that start within `days`, or all of
    /// them.
    pub(super) fn read(
        &self,
        days: Option<u32>,
        mut take: impl FnMut(ExportLine<'_>) -> Result<(), WriteError>,
    ) -> Result<(), CliError> {
        match self {
            Self::Offline(config) => {
                let catalog = server::offline_catalog(config)
                    .map_err(|error| CliError::offline(error, config.serving.admin_listen))?;
                feeds::export(&catalog.export(days)?, take)?;
            }
            Self::Server(address) => {
                // Only the request to a running server needs a runtime.
                let runtime = runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(CliError::Start)?;
                runtime
                    .block_on(feeds::fetch(address, days, &mut take))
                    .map_err(|error| CliError::Server(address.clone(), error.into()))?;
            }
        }
        Ok(())
    }
}
