//! Where it is known what is left of the slots: a server that does not run has a catalogue and a store,
//! and a running one tells.

use http::Uri;
use tokio::runtime;

use super::error::CliError;
use crate::{
    api::feeds::{self, ExportLine},
    catalog_files::WriteError,
    config::Config,
    server,
};

/// Who knows what is left.
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
