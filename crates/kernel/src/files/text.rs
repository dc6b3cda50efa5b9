//! Text of files and requests: UTF-8, with or without a byte order mark.

use std::{
    fmt,
    io::{self, Read},
};

use crate::diagnostics::{Cursor, Position};

/// The byte order mark of UTF-8, which some programs write first. It is skipped.
pub const MARK: &str = "\u{feff}";

/// The number of first bytes that identify other formats.
const MAGIC_BYTES: usize = 4;

/// Why bytes are not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotText {
    /// UTF-16 or UTF-32.
    Utf16,
    /// Compressed with gzip.
    Gzip,
    /// Invalid UTF-8 from this position on.
    InvalidUtf8(Position),
}

impl fmt::Display for NotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf16 => f.write_str("this is UTF-16 or UTF-32; it has to be UTF-8"),
            Self::Gzip => f.write_str(
                "this is compressed with gzip; only feeds whose names end in `.gz` may be",
            ),
            // Without the position, which callers report as they report others.
            Self::InvalidUtf8(_) => f.write_str("this is not UTF-8"),
        }
    }
}

impl std::error::Error for NotText {}

/// The text of these bytes, without a mark.
///
/// # Errors
/// [`NotText`]: compressed, in another encoding, or where they stop being UTF-8.
pub fn read(bytes: &[u8]) -> Result<&str, NotText> {
    other_format(bytes).map_or(Ok(()), Err)?;
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(unmarked(text));
    }
    let valid = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let position = Position::of_byte(valid, valid.len());
    Err(NotText::InvalidUtf8(position))
}

/// Reports at a file that it cannot be read, and where it stops being UTF-8 if that is the reason.
pub fn report_unreadable(file: &Cursor<'_>, error: &io::Error) {
    let not_text = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<NotText>());
    let at = match not_text {
        Some(NotText::InvalidUtf8(position)) => file.position(*position),
        Some(NotText::Utf16 | NotText::Gzip) | None => *file,
    };
    at.error("unreadable", format!("cannot be read: {error}"));
}

/// The text of a file of these bytes, without a mark.
///
/// # Errors
/// [`NotText`] as an error of kind `InvalidData`.
pub fn of_file(bytes: &[u8]) -> io::Result<String> {
    let text = read(bytes).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
    Ok(text.to_owned())
}

/// A text without the mark that it may begin with.
fn unmarked(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// The content of a source after its byte order mark, if it has one.
///
/// # Errors
/// Those of the source; [`NotText`] as an error of kind `InvalidData`, as far as the first bytes tell.
pub fn skip_mark<R: Read>(mut source: R) -> io::Result<impl Read> {
    let mut begun = Vec::with_capacity(MAGIC_BYTES);
    source
        .by_ref()
        .take(MAGIC_BYTES as u64)
        // Read to the end and not once, because one `read` may return a single byte.
        .read_to_end(&mut begun)?;
    if let Some(why) = other_format(&begun) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let marked = if begun.starts_with(MARK.as_bytes()) {
        MARK.len()
    } else {
        0
    };
    begun.drain(..marked);
    // The rest of the first bytes is put in front again, as the source cannot be rewound.
    Ok(io::Cursor::new(begun).chain(source))
}

/// The known format that begins with these bytes, if it is not UTF-8 text. Neither JSON nor TOML has a zero
/// in its first two bytes, and both begin with a character of ASCII.
fn other_format(bytes: &[u8]) -> Option<NotText> {
    match bytes {
        [0x1f, 0x8b, ..] => Some(NotText::Gzip),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => Some(NotText::Utf16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    fn invalid_at(line: usize, column: usize) -> Result<&'static str, NotText> {
        Err(NotText::InvalidUtf8(Position { line, column }))
    }

    #[test]
    fn text_is_read_without_its_mark_and_other_formats_are_named() {
        for (bytes, expected) in [
            (Vec::new(), Ok("")),
            (b"{}".to_vec(), Ok("{}")),
            ("\u{feff}{}".into(), Ok("{}")),
            ("\u{feff}".into(), Ok("")),
            ("\u{feff}\u{feff}{}".into(), Ok("\u{feff}{}")),
            ("{\u{feff}}".into(), Ok("{\u{feff}}")),
            (utf16("{}", u16::to_le_bytes), Err(NotText::Utf16)),
            (utf16("{}", u16::to_be_bytes), Err(NotText::Utf16)),
            (utf16("\u{feff}{}", u16::to_le_bytes), Err(NotText::Utf16)),
            (utf16("\u{feff}{}", u16::to_be_bytes), Err(NotText::Utf16)),
            (vec![0, 0, 0, b'{'], Err(NotText::Utf16)),
            (vec![0x1f, 0x8b, 8, 0], Err(NotText::Gzip)),
            (b"a\n\xc3\xbc\xff".to_vec(), invalid_at(2, 2)),
            (b"\xef\xbb".to_vec(), invalid_at(1, 1)),
        ] {
            assert_eq!(read(&bytes), expected, "{bytes:?}");
            let mut rest = Vec::new();
            match skip_mark(&bytes[..]) {
                Ok(mut source) => {
                    source.read_to_end(&mut rest).unwrap();
                    assert!(
                        expected.map_or(true, |text| text.as_bytes() == rest),
                        "{bytes:?}"
                    );
                }
                Err(error) => assert_eq!(error.to_string(), expected.unwrap_err().to_string()),
            }
        }
    }
}
