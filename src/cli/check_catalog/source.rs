//! Where it is known what is left of the slots of a day: in the files nothing is sold yet, the store
//! of a server that does not run knows, and so does a running server.

use std::{
    io,
    path::{Path, PathBuf},
};

use http::Uri;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::runtime;

use super::{
    super::{CATALOG, INTERNAL, IO, UNAVAILABLE, USAGE},
    zone::Day,
};
use crate::{
    api::feeds::{self, ExportLine, FetchError},
    app::TooFar,
    catalog_files::{
        self, Examined, FeedFileOptions, FolderWriter, Mistakes, RecordKind, WriteError,
    },
    config::Config,
    domain::order::EpochSeconds,
    server::{self, ServeError},
    store::embedded::OpenError,
};

/// Where it is known what is left.
#[derive(Debug, PartialEq)]
pub(super) enum Source {
    /// In the files: all of it.
    Files,
    /// In this data directory of a server that does not run.
    Store(PathBuf),
    /// At the running server whose operator's address this is.
    Server(Uri),
}

/// Why there is no calendar.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("--show: {0}")]
    Day(String),
    #[error("{0}")]
    Mistakes(Mistakes),
    #[error(transparent)]
    Store(#[from] ServeError),
    #[error(transparent)]
    TooFar(#[from] TooFar),
    #[error("{0}: {1}")]
    Server(Uri, Box<FetchError<WriteError>>),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot make a temporary directory: {0}")]
    Temporary(io::Error),
    #[error("cannot start: {0}")]
    Start(io::Error),
}

impl SourceError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Day(_) | Self::TooFar(_) => USAGE,
            Self::Mistakes(_) => CATALOG,
            Self::Store(error) => error.exit_code(),
            Self::Server(_, error) if matches!(**error, FetchError::Taker(_)) => IO,
            Self::Server(..) => UNAVAILABLE,
            Self::Write(_) | Self::Temporary(_) => IO,
            Self::Start(_) => INTERNAL,
        }
    }
}

/// When an element of an availability feed starts.
#[derive(Deserialize)]
struct Start {
    start_sec: EpochSeconds,
}

impl Source {
    /// Whether what is sold is known there.
    pub(super) fn knows_sales(&self) -> bool {
        match self {
            Self::Files => false,
            Self::Store(_) | Self::Server(_) => true,
        }
    }

    /// What to do about an error, where that is known.
    pub(super) fn hint(error: &SourceError) -> &'static str {
        if matches!(
            error,
            SourceError::Store(ServeError::OpenStore(OpenError::InUse))
        ) {
            "; if that is a running server, ask it: --from with its `admin_listen`, without a directory"
        } else {
            ""
        }
    }

    /// A catalogue that has the slots of the day with what is left of them. What has been read of the
    /// files may be handed on.
    pub(super) fn examine(
        &self,
        dir: Option<&Path>,
        read: Option<Examined>,
        day: &Day,
    ) -> Result<Examined, SourceError> {
        if let (Self::Files, Some(read)) = (self, read) {
            return Ok(read);
        }
        let temporary = TempDir::new().map_err(SourceError::Temporary)?;
        let folder = temporary.path().join("export");
        let mut writer = FolderWriter::begin(&folder, FeedFileOptions::for_google(false))?;
        let mut take = |line: ExportLine<'_>| match line {
            ExportLine::Record(piece)
                if piece.kind != RecordKind::Availability || is_of(day, &piece.text) =>
            {
                writer.put(&piece)
            }
            ExportLine::Begin(_) | ExportLine::Record(_) | ExportLine::End => Ok(()),
        };
        match self {
            Self::Files => {}
            Self::Store(data_dir) => {
                let mut config = Config::default();
                dir.unwrap_or(Path::new(""))
                    .clone_into(&mut config.sales.catalog);
                config.storage.data_dir.clone_from(data_dir);
                feeds::export(&server::offline_catalog(&config)?.export(None)?, take)?;
            }
            Self::Server(address) => {
                let runtime = runtime::Builder::new_current_thread().enable_all().build();
                let fetched = runtime
                    .map_err(SourceError::Start)?
                    .block_on(feeds::fetch(address, None, &mut take));
                fetched.map_err(|error| SourceError::Server(address.clone(), error.into()))?;
            }
        }
        writer.finish(day.from)?;
        Ok(catalog_files::examine(&folder))
    }
}

/// Whether an element of an availability feed starts on that day. One that cannot be read is left to
/// whoever can say why.
fn is_of(day: &Day, element: &str) -> bool {
    serde_json::from_str(element).map_or(true, |Start { start_sec }| {
        (day.from..day.until).contains(&start_sec)
    })
}
