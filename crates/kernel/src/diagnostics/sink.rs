//! The sink of readers, and cursors that know where a reader stands.

use std::{cell::RefCell, collections::HashMap, fmt};

use super::{Diagnostic, Diagnostics, Location, Position, Severity, Source, warning_cause};

/// The sink to which readers report diagnostics.
#[derive(Debug, Default)]
pub struct DiagnosticSink {
    found: RefCell<Diagnostics>,
    errors_in: RefCell<HashMap<String, usize>>,
}

impl DiagnosticSink {
    /// The start of a file.
    pub fn file<'a>(&'a self, file: &'a str) -> Cursor<'a> {
        Cursor {
            sink: self,
            file,
            step: Step::Top,
        }
    }

    /// Adds a finished diagnostic.
    pub fn add(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().add(diagnostic);
    }

    /// All that was reported.
    pub fn into_diagnostics(self) -> Diagnostics {
        self.found.into_inner()
    }

    /// The value if no error was reported, or else the errors.
    ///
    /// # Errors
    /// All that was found, if any of it is an error.
    pub fn unless_errors<T>(self, value: T) -> Result<T, Diagnostics> {
        self.into_diagnostics().unless_errors(value)
    }
}

/// A place in a file that is being read. Moving it allocates nothing; a [`Location`] is made when something
/// is reported.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    sink: &'a DiagnosticSink,
    file: &'a str,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Top,
    Key(&'a Cursor<'a>, &'a str),
    Index(&'a Cursor<'a>, usize),
    At(Position),
    Byte(&'a str, usize),
}

impl<'a> Cursor<'a> {
    /// A member of the object at this cursor.
    #[must_use]
    pub fn key<'b>(&'b self, name: &'b str) -> Cursor<'b> {
        Cursor {
            step: Step::Key(self, name),
            ..*self
        }
    }

    /// An element of the list at this cursor.
    #[must_use]
    pub fn index(&self, index: usize) -> Cursor<'_> {
        Cursor {
            step: Step::Index(self, index),
            ..*self
        }
    }

    /// A position of the same file.
    #[must_use]
    pub fn position(&self, position: Position) -> Self {
        Self {
            step: Step::At(position),
            ..*self
        }
    }

    /// The byte `offset` of the same file, whose `text` this is.
    #[must_use]
    pub fn byte<'b>(&self, text: &'b str, offset: usize) -> Cursor<'b>
    where
        'a: 'b,
    {
        Cursor {
            step: Step::Byte(text, offset),
            ..*self
        }
    }

    /// The name of the file.
    #[must_use]
    pub fn file_name(&self) -> &'a str {
        self.file
    }

    /// The list indexes on the path, from here to the top of the file.
    pub fn indexes(&self) -> impl Iterator<Item = usize> {
        let mut next = Some(*self);
        std::iter::from_fn(move || {
            while let Some(cursor) = next {
                match cursor.step {
                    Step::Index(parent, index) => {
                        next = Some(*parent);
                        return Some(index);
                    }
                    Step::Key(parent, _) => next = Some(*parent),
                    Step::Top | Step::At(_) | Step::Byte(..) => next = None,
                }
            }
            None
        })
    }

    /// The number of errors in the file so far, without errors that follow from others.
    #[must_use]
    pub fn errors_so_far(&self) -> usize {
        let errors_in = self.sink.errors_in.borrow();
        errors_in.get(self.file).copied().unwrap_or_default()
    }

    /// Reports an error here.
    pub fn error(&self, code: &'static str, text: impl Into<String>) {
        self.report(Severity::Error, code, text, None);
    }

    /// Reports an error here. If an error of the same `cause` has been reported, this is a further place of
    /// it.
    pub fn error_because(
        &self,
        code: &'static str,
        cause: impl Into<String>,
        text: impl Into<String>,
    ) {
        self.report(Severity::Error, code, text, Some(cause.into()));
    }

    /// Counts a place that is invalid only because of an error already reported under `cause`.
    pub fn follows_from(&self, cause: &str) {
        self.sink.found.borrow_mut().fold(cause, 1);
    }

    /// Reports a warning here. The text says what it means for the partner, in the same words at every
    /// place of a file, so that equal warnings fold.
    pub fn warning(&self, code: &'static str, text: impl Into<String>) {
        let text = text.into();
        let cause = warning_cause(self.file, code, &text);
        self.report(Severity::Warning, code, text, Some(cause));
    }

    /// A diagnostic of this place, to be added later.
    pub fn diagnostic(
        &self,
        severity: Severity,
        code: &'static str,
        text: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity,
            code,
            location: self.location(),
            text: text.into(),
            more_places: 0,
        }
    }

    fn report(
        &self,
        severity: Severity,
        code: &'static str,
        text: impl Into<String>,
        cause: Option<String>,
    ) {
        // Borrowed for the whole report: `make` reads the position and touches the sink no more.
        let mut found = self.sink.found.borrow_mut();
        let is_new = cause
            .as_ref()
            .is_none_or(|cause| !found.causes.contains_key(cause));
        // Errors of a known cause follow from another one, which has been counted.
        if severity == Severity::Error && is_new {
            let mut errors_in = self.sink.errors_in.borrow_mut();
            *errors_in.entry(self.file.to_owned()).or_default() += 1;
        }
        let make = || self.diagnostic(severity, code, text);
        found.record(severity, code, self.file.to_owned(), cause, make);
    }

    /// The location, independent of the text of the file.
    #[must_use]
    pub fn location(&self) -> Location {
        let (position, path) = match self.step {
            Step::Top => (None, String::new()),
            Step::At(position) => (Some(position), String::new()),
            Step::Byte(text, offset) => (Some(Position::of_byte(text, offset)), String::new()),
            Step::Key(..) | Step::Index(..) => (None, self.path()),
        };
        Location {
            source: Source::File(self.file.to_owned()),
            position,
            path,
        }
    }

    /// The path of members and indexes, like `service[3].price`.
    fn path(&self) -> String {
        match self.step {
            Step::Top | Step::At(_) | Step::Byte(..) => String::new(),
            Step::Index(parent, index) => format!("{}[{index}]", parent.path()),
            Step::Key(parent, name) => match parent.path() {
                path if path.is_empty() => name.to_owned(),
                path => format!("{path}.{name}"),
            },
        }
    }
}

/// Its [`Location`], for texts that refer to another place.
impl fmt::Display for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location().fmt(f)
    }
}
