//! The `feeds export` command.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::ArgMatches;
use http::Uri;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Action, SUCCESS,
    commands::{self, DAYS, FROM, GZIP, MIN_DAYS, OUT},
    error::CliError,
    sales::SalesSource,
    with_flags_of,
};
use crate::{
    api::feeds::{ExportHeader, ExportLine},
    config::{Config, Flags},
};
use catalog::{FeedFileOptions, FileCompression, FolderWriter, RecordKind, WriteError, Written};

/// What to write, and where.
#[derive(Debug, PartialEq)]
pub(super) struct ExportFeeds {
    out: PathBuf,
    compression: FileCompression,
    days: Option<u32>,
    source: SalesSource,
}

/// The action that the arguments ask for.
pub(super) fn action(
    flags: Flags,
    arguments: &ArgMatches,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Action, CliError> {
    let flags = with_flags_of(flags, arguments)?;
    let flag = flags.given().next();
    let source = match (arguments.get_one::<Uri>(FROM), flag) {
        (Some(server), None) => SalesSource::Server(server.clone()),
        (Some(_), Some(flag)) => {
            let text = format!("the argument '{flag}' cannot be used with '--from <URL>'");
            return Err(commands::conflict(text).into());
        }
        (None, _) => {
            let loaded = Config::from_layers(flags, environment, read_file);
            SalesSource::Offline(Box::new(loaded.map_err(CliError::Settings)?))
        }
    };
    let out: &PathBuf = arguments.get_one(OUT).expect("the parser requires it");
    Ok(Action::ExportFeeds(Box::new(ExportFeeds {
        out: out.clone(),
        compression: if arguments.get_flag(GZIP) {
            FileCompression::Gzip
        } else {
            FileCompression::None
        },
        days: arguments.get_one(DAYS).copied(),
        source,
    })))
}

impl ExportFeeds {
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        match self.write() {
            Ok((beginning, written)) => {
                if beginning.days < i64::from(MIN_DAYS) {
                    let days = beginning.days;
                    writeln!(
                        stderr,
                        "Repeated availability is open for {days} days (`availability_horizon`); Google wants {MIN_DAYS}."
                    )?;
                }
                self.report(&written, stdout)?;
                Ok(SUCCESS)
            }
            Err(error) => error.print(stdout, stderr),
        }
    }

    fn write(&self) -> Result<(ExportHeader, Written), CliError> {
        let mut folder =
            ExportFolder::begin(&self.out, FeedFileOptions::for_google(self.compression))?;
        // An error drops the writer, which leaves an earlier export as it was.
        self.source.read(self.days, |line| folder.take(&line))?;
        folder.finish()
    }

    fn report(&self, written: &Written, stdout: &mut dyn Write) -> io::Result<()> {
        let Written {
            merchants,
            services,
            availability,
            files,
            generation_timestamp: _,
        } = written;
        let (files, out) = (files.len(), self.out.display());
        writeln!(
            stdout,
            "{merchants} merchants, {services} services, {availability} openings in {files} feed files in {out}"
        )
    }
}

/// The directory that an export is written to.
struct ExportFolder {
    writer: FolderWriter,
    beginning: ExportHeader,
    progress: ProgressBar,
}

impl ExportFolder {
    fn begin(out: &Path, shape: FeedFileOptions) -> Result<Self, WriteError> {
        let writer = FolderWriter::begin(out, shape)?;
        // Where standard error is no terminal, nothing is drawn.
        let progress = ProgressBar::new(0);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} openings, {eta} left")
        {
            progress.set_style(style);
        }
        Ok(Self {
            writer,
            beginning: ExportHeader::default(),
            progress,
        })
    }

    fn take(&mut self, line: &ExportLine<'_>) -> Result<(), WriteError> {
        match line {
            ExportLine::Begin(beginning) => {
                self.beginning = *beginning;
                self.progress.set_length(beginning.availability);
                Ok(())
            }
            ExportLine::Record(piece) => {
                self.progress
                    .inc(u64::from(piece.kind == RecordKind::Availability));
                self.writer.put(piece)
            }
            ExportLine::End => Ok(()),
        }
    }

    fn finish(self) -> Result<(ExportHeader, Written), CliError> {
        let Self {
            writer,
            beginning,
            progress,
        } = self;
        let written = writer.finish(beginning.generation_timestamp)?;
        progress.finish_and_clear();
        Ok((beginning, written))
    }
}
