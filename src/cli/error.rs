//! Errors of commands, and their exit codes.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use http::{StatusCode, Uri};

use super::operator::RequestFailed;
use crate::{
    api::{
        backup::BackupFetchError,
        booking::requests::Violations,
        customers::{CustomersFetchError, ExportError},
        feeds::FetchError,
    },
    exit_code::{CATALOG, INTERNAL, IO, SUCCESS, UNAVAILABLE, USAGE},
    server::ServeError,
};
use catalog::WriteError;
use kernel::diagnostics::Diagnostics;
use orders::TooFar;
use store::{
    EraseError, ErrorChain,
    log::{BackupError, OpenError},
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The command line is wrong, or asks for help or for the version.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// Settings are wrong.
    #[error("{0}\n\nFor more information, try 'boxoffice --help'.")]
    Settings(Diagnostics),
    /// The catalogue or a lifecycle is wrong.
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
    /// A store cannot be read.
    #[error("{}", ErrorChain(.0))]
    Store(#[from] OpenError),
    /// There is no store.
    #[error("there is no store in {}", .0.display())]
    NoStore(PathBuf),
    /// A running server does not hand out its store.
    #[error("{0}: {error}{hint}", error = ErrorChain(.1), hint = backup_hint(.1))]
    BackupServer(Uri, Box<BackupFetchError>),
    /// A running server does not export or erase a customer.
    #[error("{0}: {error}{hint}", error = ErrorChain(.1), hint = customers_hint(.1))]
    CustomersServer(Uri, Box<CustomersFetchError>),
    /// A customer cannot be erased.
    #[error("{}", ErrorChain(.0))]
    Erase(#[from] EraseError),
    /// A customer cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// No order can have this user id.
    #[error("{place}: {violations}")]
    User {
        /// Where it is given.
        place: String,
        violations: Violations,
    },
    /// Several user ids where one is taken.
    #[error("standard input has {0} user ids; an export takes one")]
    ManyUsers(usize),
    /// Orders are damaged, so they are not in an export.
    #[error("the export is not complete: orders cannot be read: {}", .0.join("; "))]
    ExportPartly(Vec<String>),
    /// Standard input cannot be read.
    #[error("standard input cannot be read: {0}")]
    Input(io::Error),
    /// A running server has the store open.
    #[error("{}; if that is a running server, ask it: --from with its `admin_listen`", ErrorChain(.0))]
    StoreInUse(OpenError),
    /// There is no backup, or it cannot be restored.
    #[error("{}{findings}", ErrorChain(.0), findings = findings(.0))]
    Backup(Box<BackupError>),
    /// Feeds cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// There is no place for temporary files.
    #[error("cannot make a temporary directory: {0}")]
    Temporary(io::Error),
    /// The operator's services of a running server do not answer as they should.
    #[error("{0}: {1}")]
    Operator(Uri, Box<RequestFailed>),
    /// A file cannot be read.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Read(PathBuf, io::Error),
    /// A text is not a user name with a password.
    #[error("{0}: expected `name:password`")]
    Login(String),
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

    /// The error of opening the store of a server that should be stopped.
    pub(super) fn opened(error: OpenError) -> Self {
        if matches!(error, OpenError::InUse) {
            Self::StoreInUse(error)
        } else {
            Self::Store(error)
        }
    }

    /// The exit code that tells scripts what kind of trouble it is.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            // Help and version arrive as errors of the parser.
            Self::Usage(error) if !error.use_stderr() => SUCCESS,
            Self::Usage(_)
            | Self::Settings(_)
            | Self::Day(_)
            | Self::TooFar(_)
            | Self::User { .. }
            | Self::ManyUsers(_)
            | Self::Read(..)
            | Self::Login(_) => USAGE,
            Self::Operator(_, error) if error.is_of_request() => USAGE,
            Self::Catalog(_) => CATALOG,
            Self::Offline { error, .. } => error.exit_code(),
            Self::Server(_, error) if matches!(**error, FetchError::Taker(_)) => IO,
            Self::Server(..)
            | Self::BackupServer(..)
            | Self::CustomersServer(..)
            | Self::Operator(..) => UNAVAILABLE,
            Self::Backup(error) if is_of_server(error) => UNAVAILABLE,
            Self::Write(_)
            | Self::Temporary(_)
            | Self::Store(_)
            | Self::NoStore(_)
            | Self::StoreInUse(_)
            | Self::Erase(_)
            | Self::Export(_)
            | Self::ExportPartly(_)
            | Self::Input(_)
            | Self::Backup(_) => IO,
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
            | Self::Store(_)
            | Self::NoStore(_)
            | Self::BackupServer(..)
            | Self::Backup(_)
            | Self::CustomersServer(..)
            | Self::Erase(_)
            | Self::Export(_)
            | Self::User { .. }
            | Self::ManyUsers(_)
            | Self::ExportPartly(_)
            | Self::Input(_)
            | Self::StoreInUse(_)
            | Self::Write(_)
            | Self::Temporary(_)
            | Self::Operator(..)
            | Self::Read(..)
            | Self::Login(_)
            | Self::Start(_) => writeln!(stderr, "{self}"),
        }?;
        Ok(self.exit_code())
    }
}

/// What to do about a server that does not hand out customers.
fn customers_hint(error: &CustomersFetchError) -> &'static str {
    match error {
        CustomersFetchError::Fetch(FetchError::Rejected { status, .. })
            if *status == StatusCode::NOT_FOUND =>
        {
            "; a server exports and erases customers only with `admin_customers = true`"
        }
        CustomersFetchError::Fetch(_) | CustomersFetchError::Malformed => "",
    }
}

/// What to do about a server that knows no backups.
fn backup_hint(error: &BackupFetchError) -> &'static str {
    match error {
        BackupFetchError::Fetch(FetchError::Rejected { status, .. })
            if *status == StatusCode::NOT_FOUND =>
        {
            "; a server hands out its embedded store only with `admin_backup = true`"
        }
        BackupFetchError::Fetch(_) | BackupFetchError::Malformed(_) => "",
    }
}

/// Whether a running server did not hand out a segment, rather than the disk of this machine.
fn is_of_server(error: &BackupError) -> bool {
    if let BackupError::Fetch { source, .. } = error {
        !source.is::<io::Error>()
    } else {
        false
    }
}

/// All damage of an error, each on a line.
fn findings(error: &BackupError) -> String {
    let mut lines = String::new();
    if let BackupError::Damaged(_, findings) = error {
        for finding in findings {
            lines.push('\n');
            lines.push_str(&finding.to_string());
        }
    }
    lines
}
