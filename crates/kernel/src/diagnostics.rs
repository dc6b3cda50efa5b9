//! Errors and warnings about input that people write: files, environment variables, flags.
//!
//! A [`Diagnostic`] has a [`Severity`], a code, a [`Location`] and a text. Codes are in `snake_case` and
//! keep their meaning over versions, because scripts depend on them; texts may change. Readers report to a
//! [`DiagnosticSink`] and continue, so that one error hides no other.
//!
//! Two rules keep the output short, for errors and warnings alike:
//!
//! - **Folding**: what has the same cause is listed once, with the number of further places. A warning's
//!   cause is its code and text within one file; an error has a cause where its reporter names one.
//! - **Limit**: [`MAX_LISTED`] diagnostics of a code are listed for each file; further ones are counted.

mod location;
mod similar;
mod sink;

use std::{collections::BTreeMap, fmt};

pub use location::{Location, Position, Source};
pub use similar::similar;
pub use sink::{Cursor, DiagnosticSink};

/// Most diagnostics of one code that are listed for each file.
pub const MAX_LISTED: usize = 50;

/// Longest part of a wrong text that is quoted, in characters.
const MAX_QUOTED: usize = 40;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Valid, and perhaps not intended.
    Warning,
    /// Invalid.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The kind of diagnostic, in `snake_case`; stable over versions.
    pub code: &'static str,
    /// The first location.
    pub location: Location,
    /// The value found, and what was expected.
    pub text: String,
    /// The number of further places with the same cause.
    pub more_places: usize,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, location: Location, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            location,
            text: text.into(),
            more_places: 0,
        }
    }

    /// An error for an unknown name at `location`, with the most similar one of the `known` names.
    pub fn unknown(
        code: &'static str,
        location: Location,
        name: &str,
        known: impl Iterator<Item = String>,
    ) -> Self {
        let hint = similar(name, known).map(|known| format!("; did you mean {known}?"));
        Self::error(
            code,
            location,
            format!("unknown{}", hint.unwrap_or_default()),
        )
    }

    /// The cause that follows from the diagnostic itself; an error has none.
    fn own_cause(&self) -> Option<String> {
        let source = self.location.source.to_string();
        match self.severity {
            Severity::Warning => Some(warning_cause(&source, self.code, &self.text)),
            Severity::Error => None,
        }
    }

    /// Location and text, without severity and code.
    #[must_use]
    pub fn message(&self) -> String {
        let Self { location, text, .. } = self;
        match self.more_places {
            0 => format!("{location}: {text}"),
            1 => format!("{location}: {text} (and 1 more place)"),
            more => format!("{location}: {text} (and {more} more places)"),
        }
    }
}

/// `error[out_of_range]: services.json: service[3].price.price_micros: is -1`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, code, .. } = self;
        write!(f, "{severity}[{code}]: {}", self.message())
    }
}

/// All diagnostics, in the order in which they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Numbers of diagnostics that are not listed.
    unlisted: BTreeMap<(Severity, &'static str), usize>,
    /// Numbers of listed diagnostics by file and code.
    listed: BTreeMap<(String, &'static str), usize>,
    /// The first diagnostic of each cause.
    causes: BTreeMap<String, FirstOfCause>,
}

/// The first diagnostic of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstOfCause {
    /// Its index in the list.
    Listed(usize),
    /// It is only counted.
    Unlisted(Severity, &'static str),
}

impl Diagnostics {
    /// A single diagnostic.
    #[must_use]
    pub fn one(diagnostic: Diagnostic) -> Self {
        let mut all = Self::default();
        all.add(diagnostic);
        all
    }

    /// Adds a diagnostic; equal warnings of one file are folded.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        let cause = diagnostic.own_cause();
        self.add_because(diagnostic, cause);
    }

    fn add_because(&mut self, diagnostic: Diagnostic, cause: Option<String>) {
        let Diagnostic { severity, code, .. } = diagnostic;
        let source = diagnostic.location.source.to_string();
        self.record(severity, code, source, cause, || diagnostic);
    }

    /// Adds a warning about a file as a whole.
    pub fn warn_of_file(&mut self, code: &'static str, file: &str, text: impl Into<String>) {
        self.add(Diagnostic {
            severity: Severity::Warning,
            code,
            location: Location::file(file),
            text: text.into(),
            more_places: 0,
        });
    }

    /// Lists a diagnostic, folds it into an earlier one of the same cause, or counts it. `make` runs only
    /// if it is listed, because the computation of a position reads the file from its start.
    fn record(
        &mut self,
        severity: Severity,
        code: &'static str,
        source: String,
        cause: Option<String>,
        make: impl FnOnce() -> Diagnostic,
    ) {
        // Before the count: a folded place must not use up the limit of the file.
        if cause.as_ref().is_some_and(|cause| self.fold(cause, 1)) {
            return;
        }
        let listed = self.listed.entry((source, code)).or_default();
        let first = if *listed >= MAX_LISTED {
            *self.unlisted.entry((severity, code)).or_default() += 1;
            FirstOfCause::Unlisted(severity, code)
        } else {
            *listed += 1;
            self.list.push(make());
            FirstOfCause::Listed(self.list.len() - 1)
        };
        // Recorded also if the first one is not listed, so that further places fold into its count.
        if let Some(cause) = cause {
            self.causes.insert(cause, first);
        }
    }

    /// Counts further places of a cause, and returns whether the cause is known.
    fn fold(&mut self, cause: &str, places: usize) -> bool {
        match self.causes.get(cause) {
            Some(FirstOfCause::Listed(first)) => self.list[*first].more_places += places,
            Some(FirstOfCause::Unlisted(..)) => {}
            None => return false,
        }
        true
    }

    /// Both sets of diagnostics, `other` last, folded and limited as one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (key, more) in other.unlisted {
            *self.unlisted.entry(key).or_default() += more;
        }
        let mut listed_causes = BTreeMap::new();
        for (cause, first) in other.causes {
            match first {
                FirstOfCause::Listed(index) => {
                    listed_causes.insert(index, cause);
                }
                FirstOfCause::Unlisted(severity, code) if self.fold(&cause, 1) => {
                    self.forget_unlisted(severity, code);
                }
                FirstOfCause::Unlisted(..) => {
                    self.causes.insert(cause, first);
                }
            }
        }
        for (index, diagnostic) in other.list.into_iter().enumerate() {
            let cause = listed_causes
                .remove(&index)
                .or_else(|| diagnostic.own_cause());
            let places = 1 + diagnostic.more_places;
            // Here, because a single call to `record` would count one place only.
            if cause.as_ref().is_some_and(|it| self.fold(it, places)) {
                continue;
            }
            self.add_because(diagnostic, cause);
        }
        self
    }

    /// Takes back the count of an unlisted diagnostic that is folded after all.
    fn forget_unlisted(&mut self, severity: Severity, code: &'static str) {
        let key = (severity, code);
        if let Some(more) = self.unlisted.get_mut(&key) {
            *more -= 1;
            if *more == 0 {
                // Otherwise the text would end with "and 0 more".
                self.unlisted.remove(&key);
            }
        }
    }

    /// The diagnostics of a severity.
    #[must_use]
    pub fn only(mut self, severity: Severity) -> Self {
        self.list.retain(|it| it.severity == severity);
        self.unlisted.retain(|(of, _), _| *of == severity);
        self.causes.clear();
        self
    }

    /// The value if there is no error, or else the errors.
    ///
    /// # Errors
    /// All that was found, if any of it is an error.
    pub fn unless_errors<T>(self, value: T) -> Result<T, Self> {
        if self.total(Severity::Error) == 0 {
            Ok(value)
        } else {
            Err(self.only(Severity::Error))
        }
    }

    /// The listed diagnostics.
    #[must_use]
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// The listed diagnostics of a severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter().filter(move |it| it.severity == severity)
    }

    /// Numbers of diagnostics of a severity that are not listed, by code.
    #[must_use]
    pub fn unlisted(&self, severity: Severity) -> BTreeMap<&'static str, usize> {
        let of_severity = self.unlisted.iter().filter(|((of, _), _)| *of == severity);
        of_severity
            .map(|((_, code), more)| (*code, *more))
            .collect()
    }

    /// The number of diagnostics of a severity, folded ones not counted.
    #[must_use]
    pub fn total(&self, severity: Severity) -> usize {
        self.of(severity).count() + self.unlisted(severity).values().sum::<usize>()
    }

    /// The number of places with diagnostics of a severity, folded ones counted.
    #[must_use]
    pub fn places(&self, severity: Severity) -> usize {
        let more: usize = self.of(severity).map(|it| it.more_places).sum();
        self.total(severity) + more
    }

    /// Sorts the list by location.
    pub fn sort(&mut self) {
        self.list
            .sort_by(|one, other| one.location.cmp(&other.location));
        // They point into the list.
        self.causes.clear();
    }
}

/// The cause by which warnings are folded.
fn warning_cause(source: &str, code: &str, text: &str) -> String {
    [source, code, text].join("\n")
}

/// One diagnostic per line, warnings before errors, each severity with the numbers of unlisted ones.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for severity in [Severity::Warning, Severity::Error] {
            for diagnostic in self.of(severity) {
                write!(f, "{separator}{diagnostic}")?;
                separator = "\n";
            }
            for (code, more) in self.unlisted(severity) {
                write!(f, "{separator}{severity}[{code}]: and {more} more")?;
                separator = "\n";
            }
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A text in quotes, cut if it is long.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut start: String = text.chars().take(MAX_QUOTED).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}

#[cfg(test)]
mod tests;
