//! Errors of commands, and their exit codes.

use std::io::{self, Write};

use http::Uri;

use crate::{
    api::feeds::FetchError,
    exit_code::{CATALOG, INTERNAL, IO, SUCCESS, UNAVAILABLE, USAGE},
    server::ServeError,
};
use catalog::WriteError;
use kernel::diagnostics::Diagnostics;
use orders::TooFar;
use store::log::OpenError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The command line is wrong, or asks for help or for the version.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// Settings are wrong.
    #[error("{0}\n\nFor more information, try 'boxoffice --help'.")]
    Settings(Diagnostics),
    /// The catalogue is wrong.
    #[error("{0}")]
    Catalog(Diagnostics),
    /// The files or the store of a server cannot be used.
    #[error("{error}{hint}")]
    Offline {
        error: Box<ServeError>,
        /// What to do about it, where that is known.
        hint: String,
    },
    /// The horizon is shorter than the days that were asked for.
    #[error(transparent)]
    TooFar(#[from] TooFar),
    /// A day cannot be computed.
    #[error("--show: {0}")]
    Day(#[from] jiff::Error),
    /// A running server does not answer as it should.
    #[error("{0}: {1}")]
    Server(Uri, Box<FetchError<WriteError>>),
    /// Feeds cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// There is no place for temporary files.
    #[error("cannot make a temporary directory: {0}")]
    Temporary(io::Error),
    /// Threads could not be created.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

impl CliError {
    /// The error of reading the files and the store of a server offline. `address` is its `admin_listen`, which
    /// the hint names if a running server has the store open.
    pub(super) fn offline(error: ServeError, address: Option<std::net::SocketAddr>) -> Self {
        let hint = if matches!(error, ServeError::OpenStore(OpenError::InUse)) {
            let address = address.map(|address| format!(", such as http://{address}"));
            let address = address.unwrap_or_default();
            format!(
                "; if that is a running server, ask it: --from with its `admin_listen`{address}"
            )
        } else {
            String::new()
        };
        Self::Offline {
            error: Box::new(error),
            hint,
        }
    }

    /// The exit code that tells scripts what kind of trouble it is.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            // Help and version arrive as errors of the parser.
            Self::Usage(error) if !error.use_stderr() => SUCCESS,
            Self::Usage(_) | Self::Settings(_) | Self::Day(_) | Self::TooFar(_) => USAGE,
            Self::Catalog(_) => CATALOG,
            Self::Offline { error, .. } => error.exit_code(),
            Self::Server(_, error) if matches!(**error, FetchError::Taker(_)) => IO,
            Self::Server(..) => UNAVAILABLE,
            Self::Write(_) | Self::Temporary(_) => IO,
            Self::Start(_) => INTERNAL,
        }
    }

    /// Prints it: requested help to `stdout`, errors to `stderr`.
    pub(super) fn print(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        match self {
            Self::Usage(error) if !error.use_stderr() => write!(stdout, "{}", error.render()),
            Self::Usage(error) => write!(stderr, "{}", error.render()),
            Self::Settings(_)
            | Self::Catalog(_)
            | Self::Offline { .. }
            | Self::TooFar(_)
            | Self::Day(_)
            | Self::Server(..)
            | Self::Write(_)
            | Self::Temporary(_)
            | Self::Start(_) => writeln!(stderr, "{self}"),
        }?;
        Ok(self.exit_code())
    }
}
