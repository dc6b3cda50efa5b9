//! Each test copies the sample catalogue, changes something, and loads it.

mod errors;
mod facts;
mod folder;
mod money;
mod mutations;
mod stock;
mod texts;
mod warnings;

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Diagnostics, Loaded, load};
use crate::diagnostics::{Diagnostic, Position, Severity};

const FEEDS: [&str; 3] = ["merchants.json", "services.json", "availability.json"];

/// A folder of its own with the sample catalogue.
struct Folder(tempfile::TempDir);

impl Folder {
    fn sample() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for file in FEEDS.iter().chain(&["rules.toml"]) {
            std::fs::copy(sample_dir().join(file), folder.path(file)).unwrap();
        }
        folder
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    fn write(&self, file: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path(file), contents).unwrap();
    }

    fn remove(&self, file: &str) {
        std::fs::remove_file(self.path(file)).unwrap();
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&self.text(file)).unwrap()
    }

    /// Puts a value where the JSON pointer leads; its last part may be new.
    fn set(&self, file: &str, pointer: &str, value: Value) {
        let mut json = self.json(file);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match json.pointer_mut(parent).unwrap() {
            Value::Array(list) if key == "-" => list.push(value),
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
            Value::Object(members) => drop(members.insert(key.to_owned(), value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                panic!("{parent} is no parent")
            }
        }
        self.write(file, json.to_string());
    }

    /// Replaces a piece of a file that is there exactly once.
    fn replace(&self, file: &str, piece: &str, other: &str) {
        let text = self.text(file);
        assert_eq!(text.matches(piece).count(), 1, "{piece:?} in {file}");
        self.write(file, text.replace(piece, other));
    }

    fn load(&self) -> Result<Loaded, Diagnostics> {
        load(self.0.path())
    }

    fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn errors(&self) -> Vec<String> {
        let errors = self.load().expect_err("the catalogue has errors");
        errors.of(Severity::Error).map(told).collect()
    }
}

/// File, place and text; of a position in a rules file the line alone.
fn told(diagnostic: &Diagnostic) -> String {
    let Diagnostic { location, text, .. } = diagnostic;
    let (file, path) = (&location.source, &location.path);
    let more = match diagnostic.more_places {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    match location.position {
        Some(Position { line, column }) if path.is_empty() && file.to_string().contains("json") => {
            format!("{file}: line {line} column {column}: {text}{more}")
        }
        Some(Position { line, .. }) => format!("{file}: line {line}: {text}{more}"),
        None if path.is_empty() => format!("{file}: {text}{more}"),
        None => format!("{file}: {path}: {text}{more}"),
    }
}

pub(super) fn sample_dir() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("examples/catalog")
}
