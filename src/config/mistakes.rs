//! What can be wrong with settings, and where.

use std::{fmt, path::PathBuf};

use crate::files::similar::similar;

/// Everything that is wrong, by place.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Passes if there are none.
    pub(super) fn refuse(mistakes: Vec<Mistake>) -> Result<(), Self> {
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(mistakes.into())
        }
    }
}

impl From<Vec<Mistake>> for Mistakes {
    fn from(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by(|a, b| a.place.cmp(&b.place));
        Self(mistakes)
    }
}

/// One mistake a line.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Mistake {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub problem: Problem,
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Place {
    /// A word on the command line.
    #[error("{0}")]
    Word(String),
    /// An environment variable.
    #[error("{0}")]
    Variable(String),
    /// A line of the file.
    #[error("{}:{line}", .file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// A key in the file.
    #[error("{}:{line}: {key}", .file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
}

/// What is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The value is not one of the setting.
    #[error("expected {expected}, not {found}")]
    Value {
        /// What the setting takes.
        expected: String,
        /// What was given.
        found: String,
    },
    /// Nothing goes by that name.
    #[error("unknown{}", .0.as_ref().map(|known| format!("; did you mean {known}?")).unwrap_or_default())]
    Unknown(Option<String>),
    /// The setting was given before.
    #[error("given more than once")]
    Repeated,
    /// It does not go with the command.
    #[error("does not go with this command")]
    NotHere,
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl Problem {
    /// That `name` is not among the `known` ones, one of which may have been meant.
    #[must_use]
    pub fn unknown(name: &str, known: impl Iterator<Item = String>) -> Self {
        Self::Unknown(similar(name, known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_misses_are_suggested() {
        for (name, suggested) in [
            ("max_inflight", Some("max_in_flight")),
            ("drain_dealy", Some("drain_delay")),
            ("colour", None),
            ("log", None),
            ("l", None),
        ] {
            let known = ["max_in_flight", "drain_delay", "log"].map(str::to_owned);
            let problem = Problem::unknown(name, known.into_iter());
            assert_eq!(
                problem,
                Problem::Unknown(suggested.map(str::to_owned)),
                "{name}"
            );
        }
    }
}
