//! Writing feeds.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::ArgMatches;
use http::Uri;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime;

use super::{
    Action, INTERNAL, IO, SUCCESS, UNAVAILABLE, USAGE,
    commands::{DAYS, DAYS_TAKEN, FROM, GZIP, MIN_DAYS, OUT, days_taken},
};
use crate::{
    api::feeds::{self, ExportHeader, ExportLine, FetchError},
    app::TooFar,
    catalog_files::{FeedFileOptions, FolderWriter, RecordKind, WriteError, Written},
    config::{Config, Flags, Mistake, Mistakes, Place, Problem},
    server::{self, ServeError},
    store::embedded::OpenError,
};

/// What to write, and where.
#[derive(Debug, PartialEq)]
pub(super) struct ExportFeeds {
    out: PathBuf,
    gzip: bool,
    days: Option<u32>,
    source: Source,
}

/// Who knows what is left.
#[derive(Debug, PartialEq)]
enum Source {
    /// The server whose operator's address this is.
    Server(Uri),
    /// The catalogue and the store of a server that does not run.
    AtRest(Box<Config>),
}

/// The action that the words ask for.
pub(super) fn action(
    flags: Flags,
    words: &ArgMatches,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Action, Mistakes> {
    let mut mistakes = Vec::new();
    let mut understood = |name, expected: &str, is_right: &dyn Fn(&str) -> bool| {
        let text = words
            .get_one::<OsString>(name)?
            .to_string_lossy()
            .into_owned();
        if !is_right(&text) {
            let (place, found) = (Place::Word(format!("--{name}")), format!("{text:?}"));
            mistakes.push(Mistake {
                place,
                problem: Problem::Value {
                    expected: expected.to_owned(),
                    found,
                },
            });
        }
        Some(text)
    };
    let server = understood(FROM, "an address like http://127.0.0.1:50052", &|text| {
        text.parse().is_ok_and(|uri: Uri| feeds::can_ask(&uri))
    });
    let days = understood(DAYS, &days_taken(), &|text| {
        text.parse().is_ok_and(|days| DAYS_TAKEN.contains(&days))
    });
    let flags = flags.with_mistakes(mistakes);
    let source = match server {
        Some(server) => flags
            .refuse()
            .map(|()| Source::Server(server.parse().unwrap_or_default()))?,
        None => Source::AtRest(Box::new(Config::from_layers(
            flags,
            environment,
            read_file,
        )?)),
    };
    Ok(Action::ExportFeeds(Box::new(ExportFeeds {
        out: words
            .get_one::<PathBuf>(OUT)
            .expect("the parser requires it")
            .clone(),
        gzip: words.get_flag(GZIP),
        days: days.and_then(|days| days.parse().ok()),
        source,
    })))
}

/// Why no feeds were written.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    AtRest(#[from] ServeError),
    #[error(transparent)]
    TooFar(#[from] TooFar),
    #[error("{0}: {1}")]
    Server(Uri, Box<FetchError<WriteError>>),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot start: {0}")]
    Start(io::Error),
}

impl ExportError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::AtRest(error) => error.exit_code(),
            Self::TooFar(_) => USAGE,
            Self::Server(_, error) if matches!(**error, FetchError::Taker(_)) => IO,
            Self::Server(..) => UNAVAILABLE,
            Self::Write(_) => IO,
            Self::Start(_) => INTERNAL,
        }
    }
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
            Err(error) => {
                writeln!(stderr, "{error}{}", self.hint(&error))?;
                Ok(error.exit_code())
            }
        }
    }

    fn write(&self) -> Result<(ExportHeader, Written), ExportError> {
        let mut folder = Folder::begin(&self.out, FeedFileOptions::for_google(self.gzip))?;
        match &self.source {
            Source::AtRest(config) => {
                let offline = server::offline_catalog(config)?;
                feeds::export(&offline.export(self.days)?, |line| folder.take(&line))?;
            }
            Source::Server(address) => {
                let runtime = runtime::Builder::new_current_thread().enable_all().build();
                let fetching = feeds::fetch(address, self.days, |line| folder.take(&line));
                let fetched = runtime.map_err(ExportError::Start)?.block_on(fetching);
                fetched.map_err(|error| ExportError::Server(address.clone(), error.into()))?;
            }
        }
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

    /// What to do about an error, where that is known.
    fn hint(&self, error: &ExportError) -> String {
        match (error, &self.source) {
            (
                ExportError::AtRest(ServeError::OpenStore(OpenError::InUse)),
                Source::AtRest(config),
            ) => {
                let address = config
                    .serving
                    .admin_listen
                    .map(|address| format!(", such as http://{address}"));
                let address = address.unwrap_or_default();
                format!(
                    "; if that is a running server, ask it: --from with its `admin_listen`{address}"
                )
            }
            _ => String::new(),
        }
    }
}

/// The folder that an export becomes.
struct Folder {
    writer: FolderWriter,
    beginning: ExportHeader,
    progress: ProgressBar,
}

impl Folder {
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

    fn finish(self) -> Result<(ExportHeader, Written), ExportError> {
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
