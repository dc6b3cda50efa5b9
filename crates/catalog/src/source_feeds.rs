//! The contents of feed files that the catalogue itself does not keep, for exports: files on disk may have
//! been replaced, or rejected, since they were read.

use std::borrow::Cow;

use super::{availability::write, pass_through::PassThrough};
use domain::{catalog::Catalog, slot::Opening, time::EpochSeconds};

/// The feeds as they were read.
#[derive(Debug, Default)]
pub struct SourceFeeds {
    /// Elements of the merchant feed as text, each on one line.
    pub(super) merchants: Vec<Box<str>>,
    /// Elements of the service feed as text, each on one line.
    pub(super) services: Vec<Box<str>>,
    /// Members of openings besides slots and spots. Openings share equal ones.
    pub(super) pass_through: Vec<PassThrough>,
    /// The rules file.
    pub(super) rules: Option<Box<str>>,
}

/// The kinds of records of a catalogue folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// An element of the merchant feed.
    Merchant,
    /// An element of the service feed.
    Service,
    /// An element of the availability feed.
    Availability,
    /// The rules file.
    Rules,
}

/// A record of a catalogue folder: a JSON object on one line, or the text of the rules file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRecord<'a> {
    /// The kind.
    pub kind: RecordKind,
    /// The text.
    pub text: Cow<'a, str>,
}

impl SourceFeeds {
    /// All records except the availability.
    pub fn pieces(&self) -> impl Iterator<Item = FeedRecord<'_>> {
        let merchants = pieces(RecordKind::Merchant, &self.merchants);
        let services = pieces(RecordKind::Service, &self.services);
        merchants
            .chain(services)
            .chain(pieces(RecordKind::Rules, self.rules.as_slice()))
    }

    /// The `spots_total` of an opening, as its feed states it.
    #[must_use]
    pub fn spots_total(&self, opening: &Opening) -> Option<u32> {
        #[derive(serde::Deserialize)]
        struct Members {
            spots_total: u32,
        }
        let pass_through = self.pass_through.get(opening.pass_through.0 as usize)?;
        let members: Members = serde_json::from_str(&pass_through.members).ok()?;
        Some(members.spots_total)
    }

    /// The availability record of an occurrence with `spots_open` spots left.
    #[must_use]
    pub fn availability(
        &self,
        catalog: &Catalog,
        opening: &Opening,
        start_sec: EpochSeconds,
        spots_open: u32,
    ) -> FeedRecord<'static> {
        let pass_through = &self.pass_through[opening.pass_through.0 as usize];
        let text = write::write(catalog, pass_through, opening, start_sec, spots_open);
        FeedRecord {
            kind: RecordKind::Availability,
            text: text.into(),
        }
    }
}

fn pieces(kind: RecordKind, texts: &[Box<str>]) -> impl Iterator<Item = FeedRecord<'_>> {
    texts.iter().map(move |text| FeedRecord {
        kind,
        text: text.as_ref().into(),
    })
}

/// JSON without white space between tokens, and so without line breaks.
pub(super) fn on_one_line(json: &str) -> Box<str> {
    let (mut quoted, mut escaped) = (false, false);
    let means_something = |letter: &char| {
        let keeps = quoted || !letter.is_ascii_whitespace();
        // By characters and not by a parser: numbers and unknown members keep exactly the form that they
        // had.
        quoted ^= *letter == '"' && !escaped;
        escaped = quoted && *letter == '\\' && !escaped;
        keeps
    };
    json.chars()
        .filter(means_something)
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_stays_only_where_it_means_something() {
        for (json, expected) in [
            (
                "{ \"a b\" :\t[1 , \"\"] ,\r\n \"c\": null }",
                r#"{"a b":[1,""],"c":null}"#,
            ),
            (r#"[ " \" , \\" , " { : " ]"#, r#"[" \" , \\"," { : "]"#),
            (r#" "é \n ü" "#, r#""é \n ü""#),
        ] {
            assert_eq!(&*on_one_line(json), expected, "{json}");
        }
    }
}
