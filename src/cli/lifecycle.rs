//! The commands `lifecycle check` and `lifecycle describe`.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::ArgMatches;
use serde_json::json;

use super::{
    Action, CATALOG, SUCCESS,
    check_catalog::{Format, diagnostics_json},
    commands::{ACTION, CHECK, ENTITY, FILE, FORMAT, MERMAID, STATE, invalid_value},
    error::CliError,
    table::count,
};
use domain::lifecycle::{Definition, Entity};
use kernel::diagnostics::{Diagnostics, Severity};
use lifecycle_files::DescribeFilter;

/// The version of the JSON of `--format json`: another number is another form.
const JSON_FORM: u32 = 1;

/// `lifecycle check`.
#[derive(Debug, PartialEq)]
pub(super) struct CheckLifecycle {
    file: PathBuf,
    format: Format,
}

/// `lifecycle describe`.
#[derive(Debug, PartialEq)]
pub(super) struct DescribeLifecycle {
    /// `None` for the default.
    file: Option<PathBuf>,
    filter: DescribeFilter,
    output: Output,
}

/// What a description looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Tables,
    Mermaid,
}

/// The action that the arguments ask for.
pub(super) fn action(arguments: &ArgMatches) -> Action {
    let (name, arguments) = arguments.subcommand().expect("the parser requires one");
    let file: Option<&PathBuf> = arguments.get_one(FILE);
    if name == CHECK {
        let format: &Format = arguments.get_one(FORMAT).expect("it has a default");
        return Action::CheckLifecycle(CheckLifecycle {
            file: file.expect("the parser requires it").clone(),
            format: *format,
        });
    }
    let text = |name| arguments.get_one::<String>(name).cloned();
    Action::DescribeLifecycle(DescribeLifecycle {
        file: file.cloned(),
        filter: DescribeFilter {
            entity: text(ENTITY),
            state: text(STATE),
            action: text(ACTION),
        },
        output: if arguments.get_flag(MERMAID) {
            Output::Mermaid
        } else {
            Output::Tables
        },
    })
}

impl CheckLifecycle {
    /// Checks the file and prints what was found. Returns the exit code.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        let found = lifecycle_files::read_file(&self.file);
        match (self.format, &found) {
            (Format::Text, Ok(definition)) => {
                writeln!(stdout, "{}", summary(definition))?;
            }
            (Format::Text, Err(errors)) => {
                writeln!(stderr, "{errors}")?;
                let total = errors.total(Severity::Error);
                writeln!(stderr, "{}", count(total, "error"))?;
            }
            (Format::Json, found) => {
                let json = report_json(&self.file, found.as_ref());
                writeln!(stdout, "{json:#}")?;
            }
        }
        Ok(if found.is_ok() { SUCCESS } else { CATALOG })
    }
}

/// The numbers of a definition, in a line.
fn summary(definition: &Definition) -> String {
    let mut parts = Vec::new();
    for entity in Entity::ALL {
        let def = definition.entity(entity);
        parts.push(format!(
            "{}: {}, {}",
            entity.name(),
            count(def.states.len(), "state"),
            count(def.transitions.len(), "transition")
        ));
    }
    format!("lifecycle {:?}; {}", definition.name, parts.join("; "))
}

/// The same for programs, in the form that docs/lifecycle.md describes.
fn report_json(file: &Path, found: Result<&Definition, &Diagnostics>) -> serde_json::Value {
    let nothing = Diagnostics::default();
    let errors = found.err().unwrap_or(&nothing);
    let entities = found.ok().map(|definition| {
        let entity = |entity: Entity| {
            let def = definition.entity(entity);
            json!({
                "entity": entity.name(),
                "states": def.states.len(),
                "transitions": def.transitions.len(),
            })
        };
        Entity::ALL.map(entity)
    });
    json!({
        "format": JSON_FORM,
        "file": file.display().to_string(),
        "ok": found.is_ok(),
        "errors": diagnostics_json(errors, Severity::Error),
        "name": found.ok().map(|definition| definition.name.as_str()),
        "entities": entities,
    })
}

impl DescribeLifecycle {
    /// Prints the description. Returns the exit code.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        match self.describe() {
            Ok(text) => write!(stdout, "{text}").map(|()| SUCCESS),
            Err(error) => error.print(stdout, stderr),
        }
    }

    fn describe(&self) -> Result<String, CliError> {
        let definition = match &self.file {
            Some(file) => lifecycle_files::read_file(file),
            None => lifecycle_files::default(),
        };
        let definition = definition.map_err(CliError::Catalog)?;
        let described = lifecycle_files::describe(&definition, &self.filter);
        let described = described.map_err(|error| invalid_value(error.to_string()))?;
        Ok(match self.output {
            Output::Mermaid => lifecycle_files::mermaid(&described),
            Output::Tables => lifecycle_files::text(&described),
        })
    }
}
