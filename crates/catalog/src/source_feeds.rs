//! What the files of a catalogue say beyond what the catalogue keeps, so that they can be written
//! again: files on disk may have been replaced, or refused, since they were read.

use std::borrow::Cow;

use super::{availability::write, pass_through::PassThrough};
use domain::{catalog::Catalog, order::EpochSeconds, slot::Opening};

/// The files of a catalogue, as far as the catalogue itself does not keep what they say.
#[derive(Debug, Default)]
pub struct SourceFeeds {
    /// Elements of the merchant feed, as they were written, each on one line.
    pub(super) merchants: Vec<Box<str>>,
    /// Elements of the service feed, the same.
    pub(super) services: Vec<Box<str>>,
    /// What openings have besides their slots and spots; openings that have the same share it.
    pub(super) pass_through: Vec<PassThrough>,
    /// The rules file.
    pub(super) rules: Option<Box<str>>,
}

/// A kind of piece that a catalogue folder is made of.
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

/// A piece of a catalogue folder: an object of JSON on one line, or the text of the rules file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRecord<'a> {
    /// What it is.
    pub kind: RecordKind,
    /// Its text.
    pub text: Cow<'a, str>,
}

impl SourceFeeds {
    /// All pieces but the availability.
    pub fn pieces(&self) -> impl Iterator<Item = FeedRecord<'_>> {
        let merchants = pieces(RecordKind::Merchant, &self.merchants);
        let services = pieces(RecordKind::Service, &self.services);
        merchants
            .chain(services)
            .chain(pieces(RecordKind::Rules, self.rules.as_slice()))
    }

    /// The spots in all of an opening of this catalogue, as its feed has them.
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

    /// What an opening of this catalogue brings to a slot of which so many spots can be sold.
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

/// JSON without the white space between its parts, so without line breaks.
pub(super) fn on_one_line(json: &str) -> Box<str> {
    let (mut quoted, mut escaped) = (false, false);
    let means_something = |letter: &char| {
        let keeps = quoted || !letter.is_ascii_whitespace();
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
