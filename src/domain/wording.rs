//! Reasons in words. They quote what the caller sent, but neither at any length nor any number of
//! times: an answer must not grow out of proportion to its request.

/// The most characters of a caller's text that a reason repeats.
const MAX_QUOTED_CHARS: usize = 80;

/// The most faults of one item that are put into words.
pub(super) const MAX_FAULTS: usize = 10;

/// A caller's text in quotation marks, escaped, and cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_text_is_quoted_escaped_and_cut() {
        assert_eq!(quoted("adult"), "\"adult\"");
        assert_eq!(quoted("a\n\"b\""), r#""a\n\"b\"""#);
        let longest = "ü".repeat(MAX_QUOTED_CHARS);
        assert_eq!(quoted(&longest), format!("\"{longest}\""));
        assert_eq!(quoted(&format!("{longest}ü")), format!("\"{longest}\"..."));
    }
}
