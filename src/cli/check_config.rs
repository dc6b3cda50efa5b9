//! `boxoffice check-config`: which settings are in force, and whether the files that they name are right.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    path::Path,
};

use clap::ArgMatches;

use super::{
    Action, CATALOG, SUCCESS, USAGE,
    commands::ALL,
    error::CliError,
    table::{Align, count, table},
};
use crate::{
    config::{Config, EffectiveSetting, Flags, StoreChoice},
    server,
};
use kernel::diagnostics::{Diagnostic, Location};

/// The settings to check.
#[derive(Debug, PartialEq)]
pub(super) struct CheckConfig {
    config: Config,
    settings: Vec<EffectiveSetting>,
    /// Whether defaults are printed as well.
    all: bool,
}

/// The action that the arguments ask for.
pub(super) fn action(
    flags: Flags,
    arguments: &ArgMatches,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Action, CliError> {
    let loaded = Config::with_origins(flags, environment, read_file);
    let (config, settings) = loaded.map_err(CliError::Settings)?;
    Ok(Action::CheckConfig(Box::new(CheckConfig {
        config,
        settings,
        all: arguments.get_flag(ALL),
    })))
}

const COLUMNS: &[(&str, Align)] = &[
    ("setting", Align::Left),
    ("value", Align::Left),
    ("from", Align::Left),
];

impl CheckConfig {
    /// Prints the effective settings, and the errors of the files that they name. Returns the exit
    /// code.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        let mut rows = Vec::new();
        for setting in &self.settings {
            if self.all || setting.location.is_some() {
                rows.push(row(setting));
            }
        }
        if !rows.is_empty() {
            write!(stdout, "{}", table("", COLUMNS, &rows))?;
        }
        let others = self.settings.len() - rows.len();
        if others > 0 {
            writeln!(
                stdout,
                "{} with their defaults (--all shows them)",
                count(others, "other setting")
            )?;
        }
        let mut problems: Vec<String> =
            self.directories().iter().map(ToString::to_string).collect();
        // Also reads certificates and credentials, whose errors would end a start.
        match server::describe_security(&self.config) {
            Ok(facts) => {
                writeln!(stdout)?;
                for (what, how) in facts {
                    writeln!(stdout, "{what}: {how}")?;
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
        let lifecycle = server::lifecycle_source(&self.config).err();
        let lifecycle = lifecycle.map(|error| error.to_string());
        for problem in problems.iter().chain(&lifecycle) {
            writeln!(stderr, "{problem}")?;
        }
        Ok(match (problems.is_empty(), lifecycle) {
            (false, _) => USAGE,
            // The exit code of a start with such a file.
            (true, Some(_)) => CATALOG,
            (true, None) => SUCCESS,
        })
    }

    /// The errors of the directories. Nothing is created or read in them.
    fn directories(&self) -> Vec<Diagnostic> {
        let error = |setting: &str, path: &Path, text: String| {
            let location = Location::file(format!("{setting} {}", path.display()));
            Diagnostic::error("unreadable", location, text)
        };
        let catalog = &self.config.sales.catalog;
        let mut problems = Vec::new();
        if let Err(reason) = fs::read_dir(catalog) {
            problems.push(error(
                "catalog",
                catalog,
                format!("cannot be read: {reason}"),
            ));
        }
        let data = &self.config.storage.data_dir;
        // An absent directory is no error: the server creates it.
        let is_other = fs::metadata(data).is_ok_and(|found| !found.is_dir());
        if self.config.storage.store == StoreChoice::Embedded && is_other {
            problems.push(error("data_dir", data, "is not a directory".to_owned()));
        }
        problems
    }
}

fn row(setting: &EffectiveSetting) -> Vec<String> {
    let EffectiveSetting {
        name,
        value,
        default: _,
        location,
    } = setting;
    let from = location
        .as_ref()
        .map_or_else(|| "default".to_owned(), ToString::to_string);
    vec![(*name).to_owned(), value.clone(), from]
}
