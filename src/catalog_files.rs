//! The catalogue folder: Google's feed files and a rules file become the [`Catalog`] and its
//! [`Opening`]s.
//!
//! Everything is checked and every mistake is reported at once, with its file and its place in it.
//! A folder of the same form can be written, piece by piece, with [`FolderWriter`].
//! What the files look like is told in `docs/catalog.md`.

mod json;

mod prices;
mod texts;
mod unheeded;

mod draft;
mod originals;
mod particulars;
mod tags;

mod feed;
mod folder;
mod shards;

mod availability;
mod merchants;
mod services;

mod rules;

mod survey;
mod writer;

use std::path::Path;

use crate::{
    domain::{
        catalog::{Catalog, Register},
        slot::Opening,
    },
    files::mistakes::{self, Report},
};

use draft::Draft;
use folder::Folder;

pub use crate::files::{Mistake, Mistakes, Snapshot, Warning, Warnings};
pub use originals::{Kind, Originals, Piece};
pub use survey::{ServiceSurvey, Survey};
pub use writer::{FileShape, FolderWriter, WriteError, Written};

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
    pub originals: Originals,
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
    load_after(dir, Register::default())
}

/// Reads a catalogue folder that is to take the place of another, whose register this is.
///
/// # Errors
/// Everything that is wrong with its files.
pub fn load_after(dir: &Path, register: Register) -> Result<Loaded, Mistakes> {
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
    examine_after(dir, Register::default())
}

fn examine_after(dir: &Path, register: Register) -> Examined {
    let files = Snapshot::of(dir);
    let report = Report::default();
    let mut draft = Draft::after(register);
    let folder = Folder::open(dir, &report);
    if let Some(folder) = &folder {
        read(folder, &mut draft, &report);
    }
    let unread = folder.map(|folder| folder.unread()).unwrap_or_default();
    let (mistakes, mut warnings) = report.into_parts();
    let loaded = loaded(files, draft, &mut warnings);
    Examined {
        outcome: mistakes.map_or(Ok(loaded), Err),
        warnings,
        unread,
    }
}

fn loaded(files: Snapshot, draft: Draft, warnings: &mut Warnings) -> Loaded {
    let Draft {
        catalog,
        openings,
        mut originals,
        gathered,
        tags,
        ..
    } = draft;
    originals.particulars = gathered.into_list();
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
        originals,
        warnings: Warnings::default(),
        unread: Vec::new(),
    }
}

fn read(folder: &Folder<'_>, draft: &mut Draft, report: &Report) {
    draft.complete = folder.read(&feed::MERCHANTS, |at, merchant| {
        merchants::add(draft, at, merchant)
    });
    let all_services = folder.read(&feed::SERVICES, |at, service| {
        services::add(draft, at, service)
    });
    draft.complete &= all_services;
    let rules = folder.text(RULES_FILE);
    if let Some(text) = &rules {
        rules::read(draft, text, &report.file(RULES_FILE));
    }
    folder.read(&feed::AVAILABILITY, |at, entry| {
        availability::add(draft, at, entry)
    });
    std::mem::take(&mut draft.origins).settle(&mut draft.openings, report);
    draft.openings.shrink_to_fit();
    if let Some(text) = rules {
        rules::check_tags_together(draft, &text, &report.file(RULES_FILE));
        draft.originals.rules = Some(text.into());
    }
}

#[cfg(test)]
mod tests;
