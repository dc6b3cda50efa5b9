//! Lifecycle definitions on disk: read and checked with diagnostics, and described for people.
//!
//! A definition is a TOML file of schema `lifecycle/1`. [`read`] reports every error of a file at once, with
//! its position, and gives a [`Definition`] only if there is none. What it gives runs: states that are named
//! exist and can be reached, timers lead somewhere, and automatic transitions do not chase each other.

use std::path::Path;

use domain::lifecycle::{Definition, StateMap};
use kernel::{
    diagnostics::{Diagnostic, DiagnosticSink, Diagnostics, Location},
    files::{regular, toml::Document},
};

mod names;
mod registry;
mod values;

mod actions;
mod conditions;
mod reader;

mod draft;

mod checks;
mod loops;
mod timers;

mod describe;
mod mermaid;
mod text;
mod words;

pub use describe::{DescribeFilter, Described, DescribedRow, FilterError, describe};
pub use mermaid::mermaid;
pub use registry::{ActionType, action_names, condition_names, type_of_action};
pub use text::text;
pub use words::{condition, explain};

/// The lifecycle of a server that names no other.
pub const DEFAULT: &str = include_str!("default.toml");

/// The name of [`DEFAULT`] in diagnostics.
pub const DEFAULT_NAME: &str = "default.toml";

/// Longest file, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// The default lifecycle.
///
/// # Errors
/// None: a test reads it. The signature spares its callers a panic.
pub fn default() -> Result<Definition, Diagnostics> {
    read(DEFAULT, DEFAULT_NAME)
}

/// A definition with what it says of the one before.
#[derive(Debug, Clone, PartialEq)]
pub struct DefinitionFile {
    /// The definition.
    pub definition: Definition,
    /// The states of the definition before that have another name in this one.
    pub maps: Vec<StateMap>,
}

/// Reads a file.
///
/// # Errors
/// Every error that it has, or that it cannot be read.
pub fn read_file(path: &Path) -> Result<Definition, Diagnostics> {
    let (_, file) = read_file_with_text(path)?;
    Ok(file.definition)
}

/// Reads a file, and returns its text, too.
///
/// # Errors
/// Those of [`read_file`].
pub fn read_file_with_text(path: &Path) -> Result<(String, DefinitionFile), Diagnostics> {
    let name = path.display().to_string();
    match regular::read_text(path) {
        Ok(text) => {
            let file = read_with_maps(&text, &name)?;
            Ok((text, file))
        }
        Err(error) => Err(Diagnostics::one(Diagnostic::error(
            "unreadable",
            Location::file(name),
            format!("cannot be read: {error}"),
        ))),
    }
}

/// Reads a text; `file` is its name in diagnostics.
///
/// # Errors
/// Every error that it has.
pub fn read(text: &str, file: &str) -> Result<Definition, Diagnostics> {
    let file = read_with_maps(text, file)?;
    Ok(file.definition)
}

/// Reads a text with what it says of the definition before; `file` is its name in diagnostics.
///
/// # Errors
/// Every error that it has.
pub fn read_with_maps(text: &str, file: &str) -> Result<DefinitionFile, Diagnostics> {
    let sink = DiagnosticSink::default();
    let start = sink.file(file);
    if text.len() > MAX_BYTES {
        let text = format!("has {} bytes; expected {MAX_BYTES} at most", text.len());
        start.error("too_long", text);
        return Err(sink.into_diagnostics());
    }
    let definition = match Document::parse(text, start) {
        Some(document) => reader::read(&document),
        None => None,
    };
    match sink.unless_errors(definition)? {
        Some(definition) => Ok(definition),
        None => Err(Diagnostics::one(Diagnostic::error(
            "incomplete",
            Location::file(file),
            "is no whole definition",
        ))),
    }
}

#[cfg(test)]
mod tests;
