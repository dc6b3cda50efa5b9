//! `boxoffice check-config`: which settings are in force, and whether the files that they name are right.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    path::Path,
};

use clap::ArgMatches;

use super::{
    Action, SUCCESS, USAGE,
    commands::ALL,
    table::{Align, count, table},
};
use crate::{
    config::{Config, Flags, InForce, Mistakes, StoreChoice},
    server,
};

/// The settings to check.
#[derive(Debug, PartialEq)]
pub(super) struct CheckConfig {
    config: Config,
    in_force: Vec<InForce>,
    /// Whether those are told, too, that have their defaults.
    all: bool,
}

/// The action that the words ask for.
pub(super) fn action(
    flags: Flags,
    words: &ArgMatches,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Action, Mistakes> {
    let (config, in_force) = Config::in_force(flags, environment, read_file)?;
    let all = words.get_flag(ALL);
    Ok(Action::CheckConfig(Box::new(CheckConfig {
        config,
        in_force,
        all,
    })))
}

const COLUMNS: &[(&str, Align)] = &[
    ("setting", Align::Left),
    ("value", Align::Left),
    ("from", Align::Left),
];

impl CheckConfig {
    /// Prints what is in force, and what is wrong with what it names; the answer is the exit code.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        let told: Vec<&InForce> = self
            .in_force
            .iter()
            .filter(|it| self.all || it.place.is_some())
            .collect();
        if !told.is_empty() {
            let rows: Vec<Vec<String>> = told.iter().map(|it| row(it)).collect();
            write!(stdout, "{}", table("", COLUMNS, &rows))?;
        }
        let others = self.in_force.len() - told.len();
        if others > 0 {
            writeln!(
                stdout,
                "{} with their defaults (--all shows them)",
                count(others, "other setting")
            )?;
        }
        let mut problems = self.directories();
        match server::describe_security(&self.config) {
            Ok(facts) => {
                writeln!(stdout)?;
                for (what, how) in facts {
                    writeln!(stdout, "{what}: {how}")?;
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
        for problem in &problems {
            writeln!(stderr, "{problem}")?;
        }
        Ok(if problems.is_empty() { SUCCESS } else { USAGE })
    }

    /// What is wrong with the directories, which nothing is made or read in here.
    fn directories(&self) -> Vec<String> {
        let catalog = &self.config.sales.catalog;
        let mut problems = Vec::new();
        if let Err(error) = fs::read_dir(catalog) {
            problems.push(format!(
                "catalog {}: cannot be read: {error}",
                catalog.display()
            ));
        }
        let data = &self.config.storage.data_dir;
        // Where there is nothing yet, a server makes it.
        let is_other = fs::metadata(data).is_ok_and(|found| !found.is_dir());
        if self.config.storage.store == StoreChoice::Embedded && is_other {
            problems.push(format!("data_dir {}: is not a directory", data.display()));
        }
        problems
    }
}

fn row(
    InForce {
        name,
        value,
        default: _,
        place,
    }: &InForce,
) -> Vec<String> {
    let from = place
        .as_ref()
        .map_or_else(|| "default".to_owned(), ToString::to_string);
    vec![(*name).to_owned(), value.clone(), from]
}
