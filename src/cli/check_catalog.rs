//! `boxoffice check-catalog`: whether a catalogue is right, what it comes to, and the calendar of a
//! day.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::ArgMatches;
use http::Uri;
use serde::Deserialize;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::{
    Action, CATALOG, SUCCESS,
    commands::{DATA, DIR, FORMAT, FROM, SHOW, STRICT, ZONE},
    error::CliError,
    sales::SalesSource,
};
use crate::{api::feeds::ExportLine, config::Config, server};
use catalog::{
    self, CatalogSummary, Examined, FeedFileOptions, FileCompression, FolderWriter, RecordKind,
};
use domain::time::EpochSeconds;
use kernel::diagnostics::Severity;
use orders::days::AskedDay;

mod calendar;
mod report;
mod zone;

use calendar::{CalendarBasis, DayCalendar};
use report::Findings;
use zone::Day;

pub(super) use report::{Format, diagnostics_json};
pub(super) use zone::ShownZone;

/// The version of the JSON of `--format json`: another number is another form.
const JSON_FORM: u32 = 2;

/// What to check, and what to tell of it.
#[derive(Debug, PartialEq)]
pub(super) struct CheckCatalog {
    dir: Option<PathBuf>,
    calendar: Option<ShownCalendar>,
    strict: bool,
    format: Format,
}

/// The calendar to print.
#[derive(Debug, PartialEq)]
struct ShownCalendar {
    day: AskedDay,
    zone: ShownZone,
    /// Where sales are read from; `None` where the files alone count.
    sales: Option<SalesSource>,
}

/// When an element of an availability feed starts.
#[derive(Deserialize)]
struct Start {
    start_sec: i64,
}

/// The action that the arguments ask for.
pub(super) fn action(arguments: &ArgMatches) -> Action {
    let dir: Option<&PathBuf> = arguments.get_one(DIR);
    let calendar = arguments.get_one(SHOW).map(|day| ShownCalendar {
        day: *day,
        zone: arguments.get_one(ZONE).cloned().unwrap_or_default(),
        sales: sales_source(dir, arguments),
    });
    let format: &Format = arguments.get_one(FORMAT).expect("it has a default");
    Action::CheckCatalog(Box::new(CheckCatalog {
        dir: dir.cloned(),
        calendar,
        strict: arguments.get_flag(STRICT),
        format: *format,
    }))
}

fn sales_source(dir: Option<&PathBuf>, arguments: &ArgMatches) -> Option<SalesSource> {
    if let Some(server) = arguments.get_one::<Uri>(FROM) {
        return Some(SalesSource::Server(server.clone()));
    }
    let data_dir: &PathBuf = arguments.get_one(DATA)?;
    let mut config = Config::default();
    dir?.clone_into(&mut config.sales.catalog);
    config.storage.data_dir.clone_from(data_dir);
    // Unknown: another server may use that data directory.
    config.serving.admin_listen = None;
    Some(SalesSource::Offline(Box::new(config)))
}

impl CheckCatalog {
    /// Checks the catalogue and prints the report. Returns the exit code.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        let now = server::now_sec();
        let mut json = Map::new();
        json.insert("format".to_owned(), JSON_FORM.into());
        let mut checked = None;
        if let Some(dir) = &self.dir {
            let findings = self.check(dir, now);
            match self.format {
                Format::Text => findings.print(stdout, stderr)?,
                Format::Json => json.extend(findings.members()),
            }
            if findings.are_bad() {
                self.finish(json, stdout)?;
                return Ok(CATALOG);
            }
            checked = Some(findings.read);
        }
        if let Some(shown) = &self.calendar {
            match shown.read(checked, now) {
                Ok(calendar) if self.format == Format::Text => {
                    write!(stdout, "{}", calendar.text())?;
                }
                Ok(calendar) => drop(json.insert("calendar".to_owned(), calendar.json())),
                Err(error) => return error.print(stdout, stderr),
            }
        }
        self.finish(json, stdout)?;
        Ok(SUCCESS)
    }

    /// Reads a directory, and summarizes the catalogue in it.
    fn check<'d>(&self, dir: &'d Path, now: EpochSeconds) -> Findings<'d> {
        let mut read = catalog::examine(dir);
        let mut summary = None;
        if let Some(loaded) = &read.loaded {
            let horizon = server::limits(&Config::default()).horizon;
            let numbers = CatalogSummary::of(&loaded.catalog, &loaded.openings, now, horizon);
            numbers.warn(&loaded.catalog, now, &mut read.diagnostics);
            summary = Some(numbers);
        }
        Findings {
            dir,
            read,
            summary,
            strict: self.strict,
        }
    }

    fn finish(&self, json: Map<String, Value>, stdout: &mut dyn Write) -> io::Result<()> {
        match self.format {
            Format::Text => Ok(()),
            Format::Json => writeln!(stdout, "{:#}", Value::Object(json)),
        }
    }
}

impl ShownCalendar {
    /// Reads the calendar of the day at `now`. A catalogue that was checked before is reused.
    fn read(&self, checked: Option<Examined>, now: EpochSeconds) -> Result<DayCalendar, CliError> {
        let day = Day::of(self.day, &self.zone, now)?;
        let examined = match (&self.sales, checked) {
            (Some(sales), _) => with_sales(sales, &day)?,
            (None, checked) => checked.expect("without a server the parser requires a directory"),
        };
        match examined.loaded {
            Some(loaded) => {
                let basis = match self.sales {
                    Some(_) => CalendarBasis::Sales,
                    None => CalendarBasis::Files,
                };
                Ok(DayCalendar::of(loaded, day, now, basis))
            }
            None => Err(CliError::Catalog(
                examined.diagnostics.only(Severity::Error),
            )),
        }
    }
}

/// Reads the slots of the day with their remaining spots as a catalogue.
fn with_sales(sales: &SalesSource, day: &Day) -> Result<Examined, CliError> {
    // The export is read by the loader of catalogues, which reads directories.
    let temporary = TempDir::new().map_err(CliError::Temporary)?;
    let folder = temporary.path().join("export");
    let mut writer =
        FolderWriter::begin(&folder, FeedFileOptions::for_google(FileCompression::None))?;
    sales.read(None, |line| match line {
        ExportLine::Record(record)
            if record.kind != RecordKind::Availability || is_of(day, &record.text) =>
        {
            writer.put(&record)
        }
        ExportLine::Begin(_) | ExportLine::Record(_) | ExportLine::End => Ok(()),
    })?;
    writer.finish(day.from.get())?;
    Ok(catalog::examine(&folder))
}

/// Whether an element of an availability feed starts on that day. An unreadable element counts as one, so that
/// reading the folder reports it.
fn is_of(day: &Day, element: &str) -> bool {
    match serde_json::from_str(element) {
        Ok(Start { start_sec }) => (day.from..day.until).contains(&EpochSeconds::new(start_sec)),
        Err(_) => true,
    }
}
