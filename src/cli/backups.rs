//! The commands `backup create` and `backup restore`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::ArgMatches;
use http::Uri;
use tokio::runtime;

use super::{
    Action, SUCCESS,
    commands::{CREATE, DATA, FROM, TO},
    error::CliError,
    progress::ByteBar,
    store_reports::{extent, require_store},
};
use crate::api::backup::{fetch_manifest, fetch_segment};
use store::log::{
    BackupError, BackupManifest, BackupReport, BackupSource, FetchSegment, SegmentExtent,
    Verification, create_backup, restore_backup,
};

/// How often a backup is begun beside erasures.
const TRIES: u32 = 3;

/// `backup create`.
#[derive(Debug, PartialEq)]
pub(super) struct CreateBackup {
    source: StoreSource,
    to: PathBuf,
}

/// Where a store is read.
#[derive(Debug, PartialEq)]
enum StoreSource {
    /// From the running server with this `admin_listen`.
    Server(Uri),
    /// From the files in this data directory.
    Directory(PathBuf),
}

/// `backup restore`.
#[derive(Debug, PartialEq)]
pub(super) struct RestoreBackup {
    from: PathBuf,
    to: PathBuf,
}

/// The action that the arguments ask for.
pub(super) fn action(arguments: &ArgMatches) -> Action {
    let (name, arguments) = arguments.subcommand().expect("the parser requires one");
    let directory = |name| -> PathBuf {
        let given: Option<&PathBuf> = arguments.get_one(name);
        given.cloned().expect("the parser requires it")
    };
    let to = directory(TO);
    if name != CREATE {
        let from = directory(FROM);
        return Action::RestoreBackup(RestoreBackup { from, to });
    }
    let source = match arguments.get_one::<Uri>(FROM) {
        Some(server) => StoreSource::Server(server.clone()),
        None => StoreSource::Directory(directory(DATA)),
    };
    Action::CreateBackup(CreateBackup { source, to })
}

impl CreateBackup {
    /// Makes the backup and prints what it holds. Returns the exit code.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        match self.create() {
            Ok(report) => {
                let (extent, to) = (extent(&report.verification), self.to.display());
                let copied = report.copied;
                writeln!(
                    stdout,
                    "{extent}, verified in {to}; {copied} segments were copied"
                )?;
                Ok(SUCCESS)
            }
            Err(error) => error.print(stdout, stderr),
        }
    }

    fn create(&self) -> Result<BackupReport, CliError> {
        let bar = ByteBar::new();
        match &self.source {
            StoreSource::Directory(dir) => {
                require_store(dir)?;
                let source = BackupSource::open(dir)?;
                let manifest = || source.manifest().map_err(backup_error);
                self.copy(
                    &manifest,
                    &mut |extent| source.read(extent).map_err(Into::into),
                    &bar,
                )
            }
            StoreSource::Server(server) => self.create_from(server, &bar),
        }
    }

    fn copy(
        &self,
        manifest: &dyn Fn() -> Result<BackupManifest, CliError>,
        fetch: &mut FetchSegment<'_>,
        bar: &ByteBar,
    ) -> Result<BackupReport, CliError> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match create_backup(&self.to, &manifest()?, fetch, &mut |progress| {
                bar.show(progress);
            }) {
                // Personal data was erased while segments were copied, and the record of that came after the manifest.
                Err(error) if error.may_be_erasure() && tries > 0 => {}
                created => return created.map_err(backup_error),
            }
        }
    }

    fn create_from(&self, server: &Uri, bar: &ByteBar) -> Result<BackupReport, CliError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::Start)?;
        let manifest = || {
            runtime
                .block_on(fetch_manifest(server))
                .map_err(|error| CliError::BackupServer(server.clone(), Box::new(error)))
        };
        let mut fetch = |extent: &SegmentExtent| {
            let fetched = runtime.block_on(fetch_segment(server, extent));
            fetched.map_err(Into::into)
        };
        self.copy(&manifest, &mut fetch, bar)
    }
}

impl RestoreBackup {
    /// Restores the backup and prints what it holds. Returns the exit code.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        match self.restore() {
            Ok(verified) => {
                writeln!(
                    stdout,
                    "{}, verified in {}",
                    extent(&verified),
                    self.to.display()
                )?;
                Ok(SUCCESS)
            }
            Err(error) => error.print(stdout, stderr),
        }
    }

    fn restore(&self) -> Result<Verification, CliError> {
        require_store(&self.from)?;
        let bar = ByteBar::new();
        let restored = restore_backup(&self.from, &self.to, &mut |progress| bar.show(progress));
        restored.map_err(backup_error)
    }
}

fn backup_error(error: BackupError) -> CliError {
    CliError::Backup(Box::new(error))
}
