//! Locations of diagnostics.

use std::fmt;

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The command line: a flag or an argument.
    Argument(String),
    /// An environment variable.
    Variable(String),
    /// A file, by its name within its folder or by its path; in front of the path may stand the setting
    /// that names it.
    File(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(name) | Self::Variable(name) | Self::File(name) => f.write_str(name),
        }
    }
}

/// A character of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1; a character counts as one.
    pub column: usize,
}

impl Position {
    /// The position of a byte of a text.
    #[must_use]
    pub fn of_byte(text: &str, offset: usize) -> Self {
        // Bytes, because an offset of the parser may lie within a character, where a text cannot be cut.
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        // Of a character of several bytes only the first is counted.
        let characters = before[line_start..]
            .iter()
            .filter(|&&byte| byte & 0xc0 != 0x80);
        Self {
            line: before.split(|&byte| byte == b'\n').count(),
            column: 1 + characters.count(),
        }
    }
}

/// A location: `rules.toml:3:5`, `services.json: service[3].price`, `--listen`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file, variable or argument.
    pub source: Source,
    /// The position in a file, if known.
    pub position: Option<Position>,
    /// The path of members and indexes, like `service[3].price`; empty for the whole file.
    pub path: String,
}

impl Location {
    /// A file as a whole.
    pub fn file(name: impl Into<String>) -> Self {
        Self::whole(Source::File(name.into()))
    }

    /// A flag or an argument of the command line.
    pub fn argument(name: impl Into<String>) -> Self {
        Self::whole(Source::Argument(name.into()))
    }

    /// An environment variable.
    pub fn variable(name: impl Into<String>) -> Self {
        Self::whole(Source::Variable(name.into()))
    }

    fn whole(source: Source) -> Self {
        Self {
            source,
            position: None,
            path: String::new(),
        }
    }
}

/// The form that editors and terminals open: `file:line:column`.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        Ok(())
    }
}
