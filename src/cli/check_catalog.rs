//! `boxoffice check-catalog`: whether a catalogue is right, what it comes to, and the calendar of a
//! day.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::ArgMatches;
use http::Uri;
use serde_json::{Map, Value};

use super::{
    Action, CATALOG, SUCCESS,
    commands::{DATA, DIR, FORMAT, FROM, SHOW, STRICT, ZONE},
};
use crate::{
    api::feeds,
    catalog_files::{self, CatalogSummary, Examined},
    config::{Config, Flags, Mistake, Mistakes, Place, Problem},
    domain::order::EpochSeconds,
    server,
};

mod calendar;
mod report;
mod source;
mod zone;

use calendar::Calendar;
use report::{Findings, Format};
use source::{Source, SourceError};
use zone::Show;

/// The form of what is written with `--format json`; another number is another form.
const FORM: u32 = 1;

/// What to check, and what to tell of it.
#[derive(Debug, PartialEq)]
pub(super) struct CheckCatalog {
    dir: Option<PathBuf>,
    show: Option<(Show, Source)>,
    strict: bool,
    format: Format,
}

/// The action that the words ask for.
pub(super) fn action(flags: Flags, words: &ArgMatches) -> Result<Action, Mistakes> {
    let text = |name: &str| words.get_one::<String>(name).map(String::as_str);
    let path = |name: &str| words.get_one::<PathBuf>(name).cloned();
    let (dir, data) = (path(DIR), path(DATA));
    let mut problems = misplaced(words);
    let server: Option<Uri> = text(FROM)
        .and_then(|server| server.parse().ok())
        .filter(feeds::can_ask);
    if let (Some(found), None) = (text(FROM), &server) {
        problems.push((
            "--from",
            format!("expected an address like http://127.0.0.1:50052, not {found:?}"),
        ));
    }
    let show = text(SHOW)
        .map(|day| Show::read(day, text(ZONE)))
        .transpose();
    let show = show.unwrap_or_else(|wrong| {
        problems.extend(wrong);
        None
    });
    let named = text(FORMAT).unwrap_or("text");
    let format = Format::read(named);
    if format.is_none() {
        problems.push((
            "--format",
            format!("expected `text` or `json`, not {named:?}"),
        ));
    }
    let mistake = |(word, problem): (&str, String)| Mistake {
        place: Place::Word(word.to_owned()),
        problem: Problem::Other(problem),
    };
    flags
        .with_mistakes(problems.into_iter().map(mistake).collect())
        .refuse()?;
    let source = match (server, data) {
        (Some(server), _) => Source::Server(server),
        (None, Some(data)) => Source::Store(data),
        (None, None) => Source::Files,
    };
    Ok(Action::CheckCatalog(Box::new(CheckCatalog {
        dir,
        show: show.map(|show| (show, source)),
        strict: words.get_flag(STRICT),
        format: format.unwrap_or(Format::Text),
    })))
}

/// Words that do not go together, and those that are missing.
fn misplaced(words: &ArgMatches) -> Vec<(&'static str, String)> {
    let has = |name: &str| words.contains_id(name);
    let rules = [
        (
            !has(DIR) && !has(FROM),
            "<DIR>",
            "is needed, unless `--from` names a running server",
        ),
        (
            has(DIR) && has(FROM),
            "--from",
            "goes without a directory: the server has its own",
        ),
        (
            has(DATA) && has(FROM),
            "--data-dir",
            "goes without `--from`: the server has its own",
        ),
        (has(ZONE) && !has(SHOW), "--zone", "goes with `--show` only"),
        (
            has(DATA) && !has(SHOW),
            "--data-dir",
            "goes with `--show` only",
        ),
        (has(FROM) && !has(SHOW), "--from", "goes with `--show` only"),
    ];
    rules
        .into_iter()
        .filter(|rule| rule.0)
        .map(|(_, word, problem)| (word, problem.to_owned()))
        .collect()
}

impl CheckCatalog {
    /// Checks, and says what there is to say; the answer is the exit code.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        let now = server::now_sec();
        let mut json = Map::new();
        json.insert("format".to_owned(), FORM.into());
        let mut checked = None;
        if let Some(dir) = &self.dir {
            let (read, is_good) = self.check(dir, now, &mut json, stdout, stderr)?;
            if !is_good {
                self.finish(json, stdout)?;
                return Ok(CATALOG);
            }
            checked = Some(read);
        }
        if let Some((show, source)) = &self.show {
            match self.calendar(show, source, checked, now) {
                Ok(calendar) if self.format == Format::Text => {
                    write!(stdout, "{}", calendar.text())?
                }
                Ok(calendar) => drop(json.insert("calendar".to_owned(), calendar.json())),
                Err(error) => {
                    writeln!(stderr, "{error}{}", Source::hint(&error))?;
                    return Ok(error.exit_code());
                }
            }
        }
        self.finish(json, stdout)?;
        Ok(SUCCESS)
    }

    /// Reads a folder and tells what was found; the answer has whether it can be used.
    fn check(
        &self,
        dir: &Path,
        now: EpochSeconds,
        json: &mut Map<String, Value>,
        stdout: &mut dyn Write,
        stderr: &mut dyn Write,
    ) -> io::Result<(Examined, bool)> {
        let mut read = catalog_files::examine(dir);
        let mut summary = None;
        if let Ok(loaded) = &read.outcome {
            let horizon_sec = server::limits(&Config::default()).horizon_sec;
            let numbers = CatalogSummary::of(&loaded.catalog, &loaded.openings, now, horizon_sec);
            numbers.warn(&loaded.catalog, now, &mut read.warnings);
            summary = Some(numbers);
        }
        let findings = Findings {
            dir,
            read: &read,
            summary: summary.as_ref(),
            strict: self.strict,
        };
        match self.format {
            Format::Text => findings.print(stdout, stderr)?,
            Format::Json => findings.add_to(json),
        }
        let is_good = !findings.are_bad();
        Ok((read, is_good))
    }

    fn finish(&self, json: Map<String, Value>, stdout: &mut dyn Write) -> io::Result<()> {
        match self.format {
            Format::Text => Ok(()),
            Format::Json => writeln!(stdout, "{:#}", Value::Object(json)),
        }
    }

    /// The calendar of the day that was asked for.
    fn calendar(
        &self,
        show: &Show,
        source: &Source,
        checked: Option<Examined>,
        now: EpochSeconds,
    ) -> Result<Calendar, SourceError> {
        let day = show.day(now)?;
        let examined = source.examine(self.dir.as_deref(), checked, &day)?;
        let loaded = examined.outcome.map_err(SourceError::Mistakes)?;
        Ok(Calendar::of(loaded, day, now, source.knows_sales()))
    }
}
