//! Each test copies the sample catalogue, changes something, and loads it.

mod cancellation;
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
use crate::diagnostics::{Diagnostic, Severity};

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

    /// File and line of a piece of the rules that is there exactly once, like `rules.toml:28`.
    fn rules_line(&self, piece: &str) -> String {
        let text = self.text("rules.toml");
        assert_eq!(text.matches(piece).count(), 1, "{piece:?}");
        let before = text.split(piece).next().unwrap_or_default();
        format!("rules.toml:{}", before.matches('\n').count() + 1)
    }

    fn load(&self) -> Result<Loaded, Diagnostics> {
        load(self.0.path())
    }

    fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn warnings(&self) -> Vec<String> {
        let warnings = self.loaded().warnings;
        warnings.list().iter().map(Diagnostic::message).collect()
    }

    fn errors(&self) -> Vec<String> {
        let errors = self.load().expect_err("the catalogue has errors");
        errors
            .of(Severity::Error)
            .map(Diagnostic::message)
            .collect()
    }
}

/// A message about a line of the rules without its column, for tests of which the line is enough.
fn without_column(message: &str) -> String {
    match message.splitn(4, ':').collect::<Vec<_>>()[..] {
        ["rules.toml", line, _, text] => format!("rules.toml:{line}:{text}"),
        _ => message.to_owned(),
    }
}

pub(super) fn sample_dir() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("examples/catalog")
}
