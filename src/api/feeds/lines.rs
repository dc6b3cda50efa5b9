//! The lines of an export: the kind of the line, a space, and JSON.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use catalog::{FeedRecord, RecordKind};
use orders::Export;

/// The header of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExportHeader {
    /// The time at which the export began, in seconds since 1970.
    pub generation_timestamp: i64,
    /// Number of elements of the availability feed.
    pub availability: u64,
    /// For how many days repeated availability is open.
    pub days: i64,
}

impl ExportHeader {
    pub(super) fn of(export: &Export<'_>) -> Self {
        let availability = u64::try_from(export.availability()).unwrap_or(u64::MAX);
        Self {
            generation_timestamp: export.begun_sec().get(),
            availability,
            days: export.days(),
        }
    }
}

/// A line of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportLine<'a> {
    /// The first line.
    Begin(ExportHeader),
    /// Any line between.
    Record(FeedRecord<'a>),
    /// The last line, without which an export is incomplete.
    End,
}

/// A line that no server of this version writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the export has an unknown form; do this program and the server have the same version?")]
pub struct MalformedLine;

const BEGIN: &str = "begin";
const END: &str = "end";

/// The word for each kind of record.
const KINDS: [(RecordKind, &str); 4] = [
    (RecordKind::Merchant, "merchant"),
    (RecordKind::Service, "service"),
    (RecordKind::Availability, "availability"),
    (RecordKind::Rules, "rules"),
];

impl ExportLine<'_> {
    /// Writes the line with its line break.
    pub(super) fn write_to(&self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Begin(beginning) => {
                writeln!(out, "{BEGIN} {}", serde_json::to_string(beginning)?)
            }
            Self::Record(FeedRecord {
                kind: RecordKind::Rules,
                text,
            }) => {
                writeln!(
                    out,
                    "{} {}",
                    word(RecordKind::Rules),
                    serde_json::to_string(text)?
                )
            }
            Self::Record(FeedRecord { kind, text }) => writeln!(out, "{} {text}", word(*kind)),
            Self::End => writeln!(out, "{END} {{}}"),
        }
    }
}

impl<'a> ExportLine<'a> {
    /// Reads a line without its line break.
    pub(super) fn read(line: &'a [u8]) -> Result<Self, MalformedLine> {
        let line = str::from_utf8(line).map_err(|_| MalformedLine)?;
        let (word, text) = line.split_once(' ').ok_or(MalformedLine)?;
        let kind = KINDS
            .iter()
            .find(|(_, known)| *known == word)
            .map(|&(kind, _)| kind);
        match (word, kind) {
            (BEGIN, _) => Ok(Self::Begin(
                serde_json::from_str(text).map_err(|_| MalformedLine)?,
            )),
            (END, _) => Ok(Self::End),
            (_, Some(kind @ RecordKind::Rules)) => {
                let text: String = serde_json::from_str(text).map_err(|_| MalformedLine)?;
                Ok(Self::Record(FeedRecord {
                    kind,
                    text: text.into(),
                }))
            }
            (_, Some(kind)) => Ok(Self::Record(FeedRecord {
                kind,
                text: text.into(),
            })),
            (_, None) => Err(MalformedLine),
        }
    }
}

fn word(kind: RecordKind) -> &'static str {
    KINDS
        .iter()
        .find(|(known, _)| *known == kind)
        .map_or("", |&(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_lines_can_be_read() {
        let piece = |kind, text: &'static str| {
            ExportLine::Record(FeedRecord {
                kind,
                text: text.into(),
            })
        };
        for line in [
            ExportLine::Begin(ExportHeader {
                generation_timestamp: -7,
                availability: u64::MAX,
                days: 3,
            }),
            piece(RecordKind::Merchant, r#"{"merchant_id":"a b"}"#),
            piece(RecordKind::Service, r#"{"service_id":"é\n"}"#),
            piece(RecordKind::Availability, "{}"),
            piece(RecordKind::Rules, "[[merchant]]\nid = \"a\"\n\n"),
            piece(RecordKind::Rules, ""),
            ExportLine::End,
        ] {
            let mut bytes = Vec::new();
            line.write_to(&mut bytes).unwrap();
            let written = bytes.strip_suffix(b"\n").unwrap();
            assert!(!written.contains(&b'\n'), "{line:?} takes one line");
            assert_eq!(ExportLine::read(written), Ok(line));
        }
    }

    #[test]
    fn other_lines_are_rejected() {
        for line in [
            &b""[..],
            b"merchant",
            b"begin 7",
            b"rules x",
            b"order {}",
            b"\xff {}",
        ] {
            assert_eq!(ExportLine::read(line), Err(MalformedLine), "{line:?}");
        }
    }
}
