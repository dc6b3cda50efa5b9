//! Reading the words of a command line, and everything wrong with them at once.

use std::{ffi::OsString, ops::Range};

use clap::{
    ArgMatches,
    error::{ContextKind, ErrorKind},
};

use super::{
    Action,
    commands::{command, is_command, words_known},
};
use crate::config::{Mistake, Place, Problem};

/// Reads the words. The parser stops at the first one that it cannot place, so that word is noted
/// and taken out, and the others are read again.
pub(super) fn read_words(mut words: Vec<OsString>) -> Result<(ArgMatches, Vec<Mistake>), Action> {
    let mut mistakes = Vec::new();
    loop {
        let error = match command().try_get_matches_from(&words) {
            Ok(matches) => return Ok((matches, mistakes)),
            Err(error) if !error.use_stderr() => {
                return Err(Action::Show(error.render().to_string()));
            }
            Err(error) => error,
        };
        let misread = Misread::from(&error);
        let found = misread.find(&words);
        let mistake = misread.into_mistake();
        // What was taken out is missing where it is needed.
        let is_known = mistakes
            .iter()
            .any(|known: &Mistake| known.place == mistake.place);
        if found.is_some() || !is_known {
            mistakes.push(mistake);
        }
        let Some(found) = found else {
            return Err(Action::Refuse(mistakes.into()));
        };
        words.drain(found);
    }
}

/// A word that the parser could not place, as it is spelt without a value attached.
enum Misread {
    Unknown { word: String },
    WithoutValue { word: String, expected: String },
    Other { word: String, problem: String },
}

impl From<&clap::Error> for Misread {
    fn from(error: &clap::Error) -> Self {
        let named = error
            .get(ContextKind::InvalidArg)
            .or_else(|| error.get(ContextKind::InvalidSubcommand));
        let named = named.map(ToString::to_string).unwrap_or_default();
        let (word, label) = named.split_once(' ').unwrap_or((&named, ""));
        let kind = error.kind();
        if matches!(
            kind,
            ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand
        ) {
            Self::Unknown { word: named }
        } else if kind == ErrorKind::InvalidValue {
            Self::WithoutValue {
                word: word.to_owned(),
                expected: label.to_owned(),
            }
        } else if kind == ErrorKind::MissingSubcommand {
            // It is named with the commands before it.
            let word = named.rsplit(' ').next().unwrap_or_default().to_owned();
            Self::Other {
                word,
                problem: "one of its commands has to follow".to_owned(),
            }
        } else {
            Self::Other {
                word: word.to_owned(),
                problem: kind.to_string(),
            }
        }
    }
}

impl Misread {
    /// Where among the words it is, along with its value if that would make no sense without it.
    fn find(&self, words: &[OsString]) -> Option<Range<usize>> {
        let has_value = |at: usize| {
            words
                .get(at + 1)
                .is_some_and(|next| !next.as_encoded_bytes().starts_with(b"-") && !is_command(next))
        };
        let mut places = 1..words.len();
        match self {
            Self::Unknown { word } => places.find_map(|at| {
                let rest = words[at].to_str()?.strip_prefix(word.as_str())?;
                let short = word.len() == 2 && word.starts_with('-');
                let with_next = rest.is_empty() && word.starts_with('-') && has_value(at);
                (rest.is_empty() || rest.starts_with('=') || short)
                    .then(|| at..at + 1 + usize::from(with_next))
            }),
            Self::WithoutValue { word, .. } => places
                .find(|at| words[*at] == **word && !has_value(*at))
                .map(|at| at..at + 1),
            Self::Other { .. } => None,
        }
    }

    fn into_mistake(self) -> Mistake {
        let (word, problem) = match self {
            Self::Unknown { word } => {
                let serves = word.starts_with("--") && words_known().any(|known| known == word);
                let problem = if serves {
                    Problem::NotHere
                } else {
                    Problem::unknown(&word, words_known())
                };
                (word, problem)
            }
            Self::WithoutValue { word, expected } => (
                word,
                Problem::Value {
                    expected,
                    found: "nothing".to_owned(),
                },
            ),
            Self::Other { word, problem } => (word, Problem::Other(problem)),
        };
        Mistake {
            place: Place::Word(word),
            problem,
        }
    }
}
