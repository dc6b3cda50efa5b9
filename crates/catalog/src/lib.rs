//! The catalogue folder: Google's feed files and a rules file become the [`Catalog`] and its [`Opening`]s.
//!
//! Everything is checked, and all errors are reported at once with their locations. [`FolderWriter`] writes
//! a folder of the same form, record by record. The files are described in `docs/catalog.md`.

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
use kernel::{
    diagnostics::{self, DiagnosticSink, Severity},
    files::toml::Document,
};

use builder::CatalogBuilder;
use folder::CatalogFolder;

pub use kernel::{diagnostics::Diagnostics, files::Snapshot};
pub use source_feeds::{FeedRecord, RecordKind, SourceFeeds};
pub use summary::{CatalogSummary, ServiceSummary};
pub use writer::{FeedFileOptions, FileCompression, FolderWriter, WriteError, Written};

/// Name of the rules file in the catalogue folder.
const RULES_FILE: &str = "rules.toml";

/// A valid catalogue folder.
#[derive(Debug)]
pub struct Loaded {
    /// The files as they were when reading began.
    pub files: Snapshot,
    /// The merchants, services and rules.
    pub catalog: Catalog,
    /// The openings of all services.
    pub openings: Vec<Opening>,
    /// The other contents of the files, for exports.
    pub source_feeds: SourceFeeds,
    /// Valid contents that are probably not intended.
    pub warnings: Diagnostics,
    /// Files in the folder that were not read; names of directories end in a slash.
    pub unread: Vec<String>,
}

/// The result of an examination of a catalogue folder, also of an invalid one.
#[derive(Debug)]
pub struct Examined {
    /// The catalogue without its warnings; `None` if there are errors.
    pub loaded: Option<Loaded>,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
    /// Files in the folder that were not read; names of directories end in a slash.
    pub unread: Vec<String>,
}

/// Reads a catalogue folder.
///
/// # Errors
/// All errors in the files of the folder.
pub fn load(dir: &Path) -> Result<Loaded, Diagnostics> {
    load_after(dir, IdInterner::default())
}

/// Reads a catalogue folder that replaces another, with the interner of its predecessor.
///
/// # Errors
/// All errors in the files of the folder.
pub fn load_after(dir: &Path, ids: IdInterner) -> Result<Loaded, Diagnostics> {
    let Examined {
        loaded,
        diagnostics,
        unread,
    } = examine_after(dir, ids);
    match loaded {
        Some(loaded) => Ok(Loaded {
            warnings: diagnostics,
            unread,
            ..loaded
        }),
        None => Err(diagnostics.only(Severity::Error)),
    }
}

/// Reads a catalogue folder for its diagnostics.
#[must_use]
pub fn examine(dir: &Path) -> Examined {
    examine_after(dir, IdInterner::default())
}

fn examine_after(dir: &Path, ids: IdInterner) -> Examined {
    // Before anything is read: a file that changes meanwhile differs from the snapshot at the next poll.
    let files = Snapshot::of(dir);
    let sink = DiagnosticSink::default();
    let mut builder = CatalogBuilder::after(ids);
    let folder = CatalogFolder::open(dir, &sink);
    if let Some(folder) = &folder {
        read(folder, &mut builder, &sink);
    }
    // After all reading, which marks the files that it uses.
    let unread = folder.map(|folder| folder.unread()).unwrap_or_default();
    let mut diagnostics = sink.into_diagnostics();
    // One error discards the catalogue: half a catalogue would withdraw what the other half sells.
    let is_sound = diagnostics.total(Severity::Error) == 0;
    let loaded = is_sound.then(|| loaded(files, builder, &mut diagnostics));
    Examined {
        loaded,
        diagnostics,
        unread,
    }
}

fn loaded(files: Snapshot, builder: CatalogBuilder, diagnostics: &mut Diagnostics) -> Loaded {
    let CatalogBuilder {
        catalog,
        openings,
        mut source_feeds,
        pass_through,
        tags,
        ..
    } = builder;
    source_feeds.pass_through = pass_through.into_list();
    // Only now, when all entries are read, is a tag without availability certain.
    for warning in tags.unused() {
        diagnostics.add(warning);
    }
    Loaded {
        files,
        catalog,
        openings,
        source_feeds,
        warnings: Diagnostics::default(),
        unread: Vec::new(),
    }
}

fn read(folder: &CatalogFolder<'_>, builder: &mut CatalogBuilder, sink: &DiagnosticSink) {
    // Merchants before services before availability: each refers to the one before it by id.
    builder.complete = folder.read(&feed::MERCHANTS, |at, merchant| {
        merchants::add(builder, at, merchant);
    });
    let all_services = folder.read(&feed::SERVICES, |at, service| {
        services::add(builder, at, service);
    });
    builder.complete &= all_services;
    // After the services, whose ids and currencies the rules need, and before the availability, which needs
    // the tags of the rules.
    let rules = folder.text(RULES_FILE);
    let rules_at = sink.file(RULES_FILE);
    let document = rules
        .as_deref()
        .and_then(|text| Document::parse(text, rules_at));
    let limits = document
        .as_ref()
        .map(|document| rules::read(builder, document));
    folder.read(&feed::AVAILABILITY, |at, entry| {
        availability::add(builder, at, entry);
    });
    std::mem::take(&mut builder.origins).resolve(&mut builder.openings, sink);
    // A growing list may have reserved twice its size, and a reload holds two catalogues at once.
    builder.openings.shrink_to_fit();
    // Which tags meet in a slot is known only now. Where the rules have other errors, those come first.
    if let Some(limits) = limits
        && rules_at.errors_so_far() == 0
    {
        rules::check_combined_tags(builder, &limits);
    }
    builder.source_feeds.rules = rules.as_deref().map(Box::from);
}

#[cfg(test)]
mod tests;
