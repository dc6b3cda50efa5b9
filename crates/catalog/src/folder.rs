//! A catalogue folder: its files, and which of them are read.

use std::{cell::RefCell, collections::HashSet, fs, path::Path};

use kernel::{
    diagnostics::similar,
    files::{regular, text},
};

use super::{
    RULES_FILE,
    diagnostics::DiagnosticSink,
    feed::{AVAILABILITY, Feed, MERCHANTS, SERVICES},
    writer::MANIFEST,
};

/// The ending of descriptors, which accompany feeds and are not needed here.
const DESCRIPTOR: &str = ".filesetdesc.json";

/// The code of warnings about files that are not read.
const UNREAD_FILE: &str = "unread_file";

/// A catalogue folder.
pub(super) struct CatalogFolder<'a> {
    pub(super) dir: &'a Path,
    pub(super) sink: &'a DiagnosticSink,
    /// The names of its entries, sorted.
    names: Vec<String>,
    read: RefCell<HashSet<String>>,
}

impl<'a> CatalogFolder<'a> {
    /// Lists the folder; `None` and a report if that fails.
    pub(super) fn open(dir: &'a Path, sink: &'a DiagnosticSink) -> Option<Self> {
        let listed = fs::read_dir(dir).and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        });
        match listed {
            Ok(names) => {
                let mut names: Vec<String> = names;
                // The system lists in any order; sorted, diagnostics and shards come in the same order at
                // every start.
                names.sort();
                Some(Self {
                    dir,
                    sink,
                    names,
                    read: RefCell::default(),
                })
            }
            Err(error) => {
                text::report_unreadable(&sink.file(&dir.to_string_lossy()), &error);
                None
            }
        }
    }

    /// The text of a file, if the folder has it.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        if !self.names.iter().any(|known| known == name) {
            return None;
        }
        self.read.borrow_mut().insert(name.to_owned());
        match regular::read_text(&self.dir.join(name)) {
            Ok(text) => Some(text),
            Err(error) => {
                text::report_unreadable(&self.sink.file(name), &error);
                None
            }
        }
    }

    /// The files of a feed, which count as read from now on. A feed without files is reported.
    pub(super) fn files_of(&self, feed: &Feed) -> Vec<&String> {
        let names: Vec<&String> = self.names.iter().filter(|name| feed.has(name)).collect();
        self.read
            .borrow_mut()
            .extend(names.iter().map(|name| (*name).clone()));
        if names.is_empty() {
            let name = format!("{}.json", feed.stem);
            // A misspelt file is the likely reason for a missing one, so the error names it.
            let near = self
                .names
                .iter()
                .find(|near| meant(near).is_some_and(|meant| feed.has(&meant)));
            let near =
                near.map(|near| format!("; there is {near:?}, which is not read by that name"));
            self.sink.file(&name).error(
                "missing_file",
                format!("is missing{}", near.unwrap_or_default()),
            );
        }
        names
    }

    /// The entries of the folder that were neither read nor expected; directories end in a slash. A name
    /// that resembles a file of the catalogue gets a warning.
    pub(super) fn unread(&self) -> Vec<String> {
        let read = self.read.borrow();
        let unread = self
            .names
            .iter()
            .filter(|name| !read.contains(*name) && !is_passed_over(name));
        unread.filter_map(|name| self.unread_name(name)).collect()
    }

    fn unread_name(&self, name: &str) -> Option<String> {
        // Through links: the file behind a link counts.
        let is_dir = fs::metadata(self.dir.join(name)).is_ok_and(|seen| seen.is_dir());
        if is_dir {
            // Hidden directories, such as `.git` and the link targets of Kubernetes, are expected.
            return (!name.starts_with('.')).then(|| format!("{name}/"));
        }
        let looks_like = |ending| name.to_lowercase().ends_with(ending);
        let at = self.sink.file(name);
        if let Some(meant) = meant(name) {
            at.warning(UNREAD_FILE, format!("is not read; did you mean {meant:?}?"));
        } else if [".json", ".gz", ".toml"].into_iter().any(looks_like) {
            at.warning(
                UNREAD_FILE,
                "is not read; its name is that of no feed and not \"rules.toml\"",
            );
        }
        Some(name.to_owned())
    }
}

/// Whether a file is expected and not read: a descriptor of a feed, or the manifest of an export.
fn is_passed_over(name: &str) -> bool {
    is_descriptor(name) || name == MANIFEST
}

/// Whether a file is a descriptor, which upload tools read.
pub(super) fn is_descriptor(name: &str) -> bool {
    name.strip_suffix(".gz")
        .unwrap_or(name)
        .ends_with(DESCRIPTOR)
}

/// The correct name of a file whose name is nearly one of the catalogue.
fn meant(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    if lower == RULES_FILE || feed_of(&lower).is_some() {
        // Only the case differs: names are compared exactly, as on the file systems of servers.
        return (lower != name).then_some(lower);
    }
    misnamed_shard(&lower).or_else(|| similar_whole_name(&lower))
}

fn feed_of(name: &str) -> Option<&'static Feed> {
    [&MERCHANTS, &SERVICES, &AVAILABILITY]
        .into_iter()
        .find(|feed| feed.has(name))
}

/// The correct name of a numbered file with a misspelt stem or without its separator. A number or the
/// ending must follow the stem: `merchant-logo.json` is no file of the merchant feed.
fn misnamed_shard(lower: &str) -> Option<String> {
    let (stem, rest) = lower.split_at(lower.find(|letter: char| !letter.is_alphabetic())?);
    let number = rest.trim_start_matches(['-', '_']);
    if !number.starts_with(|first: char| first == '.' || first.is_ascii_digit()) {
        return None;
    }
    let stems = [&MERCHANTS, &SERVICES, &AVAILABILITY].map(|feed| feed.stem.to_owned());
    let stem = if stems.iter().any(|known| known == stem) {
        stem.to_owned()
    } else {
        similar(stem, stems.into_iter())?
    };
    let separator = if rest.starts_with(|first: char| first.is_ascii_digit()) {
        "-"
    } else {
        ""
    };
    let shard = format!("{stem}{separator}{rest}");
    feed_of(&shard).map(|_| shard)
}

/// The correct name of a file without a number. A copy (`services.json.bak`) or an archive
/// (`services.json.zip`) is not meant to be read.
fn similar_whole_name(lower: &str) -> Option<String> {
    let feeds = [&MERCHANTS, &SERVICES, &AVAILABILITY];
    let names = feeds
        .iter()
        .flat_map(|feed| ["json", "json.gz"].map(|end| format!("{}.{end}", feed.stem)));
    let names: Vec<String> = names.chain([RULES_FILE.to_owned()]).collect();
    if names.iter().any(|name| lower.starts_with(name.as_str())) {
        return None;
    }
    similar(lower, names.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_close_to_one_of_the_catalogue_is_recognized() {
        for (name, expected) in [
            ("rule.toml", Some("rules.toml")),
            ("Rules.toml", Some("rules.toml")),
            ("rules.tml", Some("rules.toml")),
            ("Availability.json", Some("availability.json")),
            ("AVAILABILITY-1.JSON.GZ", Some("availability-1.json.gz")),
            ("availability12.json", Some("availability-12.json")),
            ("availabilty_7.json.gz", Some("availability_7.json.gz")),
            ("availabilities.json", Some("availability.json")),
            ("merchant.json", Some("merchants.json")),
            ("service.json.gz", Some("services.json.gz")),
            ("services.jsn", Some("services.json")),
            (
                "merchant-00001-of-00002.json",
                Some("merchants-00001-of-00002.json"),
            ),
            ("services.json.zip", None),
            ("services.json.bak", None),
            ("rules.toml~", None),
            ("availability.json.gz.part", None),
            ("service_availability.json", None),
            ("merchant-logo.json", None),
            ("merchants.json", None),
            ("rules.toml", None),
            ("README.md", None),
            ("inventory.json", None),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(meant(name).as_deref(), expected, "{name}");
        }
    }
}
