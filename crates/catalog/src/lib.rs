//! The catalogue folder: Google's feed files and a rules file become the [`Catalog`] and its
//! [`Opening`]s.
//!
//! Everything is checked and every mistake is reported at once, with its file and its place in it.
//! A folder of the same form can be written, piece by piece, with [`FolderWriter`].
//! What the files look like is told in `docs/catalog.md`.

mod json;

mod ignored;
mod prices;
mod texts;

mod builder;
mod pass_through;
mod source_feeds;
mod tags;

mod feed;
mod folder;
mod shards;

mod availability;
mod merchants;
mod services;

mod rules;

mod summary;
mod writer;

use std::path::Path;

use domain::{
    catalog::{Catalog, IdInterner},
    slot::Opening,
};
use kernel::files::mistakes::{self, Report};

use builder::CatalogBuilder;
use folder::Folder;

pub use kernel::files::{Mistake, Mistakes, Snapshot, Warning, Warnings};
pub use source_feeds::{FeedRecord, RecordKind, SourceFeeds};
pub use summary::{CatalogSummary, ServiceSummary};
pub use writer::{FeedFileOptions, FolderWriter, WriteError, Written};

/// Name of the rules file in the catalogue folder.
const RULES_FILE: &str = "rules.toml";

/// What a catalogue folder says.
#[derive(Debug)]
pub struct Loaded {
    /// The files as they were when reading began.
    pub files: Snapshot,
    /// What is on sale, and by which rules.
    pub catalog: Catalog,
    /// When, and how many spots there are.
    pub openings: Vec<Opening>,
    /// What else the files say.
    pub source_feeds: SourceFeeds,
    /// What is no mistake, and perhaps not meant.
    pub warnings: Warnings,
    /// What is in the folder and was not read; names of directories end in a slash.
    pub unread: Vec<String>,
}

/// What became of reading a catalogue folder, also of one with mistakes.
#[derive(Debug)]
pub struct Examined {
    /// What it says, without the warnings.
    pub outcome: Result<Loaded, Mistakes>,
    /// What is no mistake, and perhaps not meant.
    pub warnings: Warnings,
    /// What is in the folder and was not read; names of directories end in a slash.
    pub unread: Vec<String>,
}

/// Reads a catalogue folder.
///
/// # Errors
/// Everything that is wrong with its files.
pub fn load(dir: &Path) -> Result<Loaded, Mistakes> {
    load_after(dir, IdInterner::default())
}

/// Reads a catalogue folder that is to take the place of another, whose register this is.
///
/// # Errors
/// Everything that is wrong with its files.
pub fn load_after(dir: &Path, register: IdInterner) -> Result<Loaded, Mistakes> {
    let Examined {
        outcome,
        warnings,
        unread,
    } = examine_after(dir, register);
    outcome.map(|loaded| Loaded {
        warnings,
        unread,
        ..loaded
    })
}

/// Reads a catalogue folder to tell all there is to say of it.
#[must_use]
pub fn examine(dir: &Path) -> Examined {
    examine_after(dir, IdInterner::default())
}

fn examine_after(dir: &Path, register: IdInterner) -> Examined {
    let files = Snapshot::of(dir);
    let report = Report::default();
    let mut builder = CatalogBuilder::after(register);
    let folder = Folder::open(dir, &report);
    if let Some(folder) = &folder {
        read(folder, &mut builder, &report);
    }
    let unread = folder.map(|folder| folder.unread()).unwrap_or_default();
    let (mistakes, mut warnings) = report.into_parts();
    let loaded = loaded(files, builder, &mut warnings);
    Examined {
        outcome: mistakes.map_or(Ok(loaded), Err),
        warnings,
        unread,
    }
}

fn loaded(files: Snapshot, builder: CatalogBuilder, warnings: &mut Warnings) -> Loaded {
    let CatalogBuilder {
        catalog,
        openings,
        mut source_feeds,
        pass_through,
        tags,
        ..
    } = builder;
    source_feeds.pass_through = pass_through.into_list();
    for Mistake {
        file,
        at,
        text,
        follow_ups: _,
    } in tags.idle()
    {
        warnings.add("tag_without_availability", &file, text, || at);
    }
    Loaded {
        files,
        catalog,
        openings,
        source_feeds,
        warnings: Warnings::default(),
        unread: Vec::new(),
    }
}

fn read(folder: &Folder<'_>, builder: &mut CatalogBuilder, report: &Report) {
    builder.complete = folder.read(&feed::MERCHANTS, |at, merchant| {
        merchants::add(builder, at, merchant)
    });
    let all_services = folder.read(&feed::SERVICES, |at, service| {
        services::add(builder, at, service)
    });
    builder.complete &= all_services;
    let rules = folder.text(RULES_FILE);
    if let Some(text) = &rules {
        rules::read(builder, text, &report.file(RULES_FILE));
    }
    folder.read(&feed::AVAILABILITY, |at, entry| {
        availability::add(builder, at, entry)
    });
    std::mem::take(&mut builder.origins).settle(&mut builder.openings, report);
    builder.openings.shrink_to_fit();
    if let Some(text) = rules {
        rules::check_tags_together(builder, &text, &report.file(RULES_FILE));
        builder.source_feeds.rules = Some(text.into());
    }
}

#[cfg(test)]
mod tests;
