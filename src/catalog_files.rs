//! The catalogue folder: Google's feed files and a rules file become the [`Catalog`] and its
//! [`Opening`]s.
//!
//! Everything is checked and every mistake is reported at once, with its file and its place in it.
//! A folder of the same form can be written, piece by piece, with [`FolderWriter`].
//! What the files look like is told in `docs/catalog.md`.

mod json;

mod prices;
mod texts;

mod draft;
mod originals;
mod particulars;
mod tags;

mod feed;
mod shards;

mod availability;
mod merchants;
mod services;

mod rules;

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
use feed::Folder;

pub use crate::files::{Mistake, Mistakes, Snapshot};
pub use originals::{Kind, Originals, Piece};
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
    pub remarks: Vec<Mistake>,
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
    let files = Snapshot::of(dir);
    let report = Report::default();
    let draft = read(dir, register, &report);
    let remarks = report.into_warnings()?;
    Ok(loaded(files, draft, remarks))
}

fn loaded(files: Snapshot, draft: Draft, mut remarks: Vec<Mistake>) -> Loaded {
    let Draft { catalog, openings, mut originals, gathered, tags, .. } = draft;
    originals.particulars = gathered.into_list();
    remarks.extend(tags.idle());
    Loaded { files, catalog, openings, originals, remarks }
}

fn read(dir: &Path, register: Register, report: &Report) -> Draft {
    let mut draft = Draft::after(register);
    let Some(folder) = Folder::open(dir, report) else { return draft };
    draft.complete = folder.read(&feed::MERCHANTS, |at, merchant| merchants::add(&mut draft, at, merchant));
    let all_services = folder.read(&feed::SERVICES, |at, service| services::add(&mut draft, at, service));
    draft.complete &= all_services;
    if let Some(text) = folder.text(RULES_FILE) {
        rules::read(&mut draft, &text, &report.file(RULES_FILE));
        draft.originals.rules = Some(text.into());
    }
    folder.read(&feed::AVAILABILITY, |at, entry| availability::add(&mut draft, at, entry));
    draft.openings.shrink_to_fit();
    draft
}

#[cfg(test)]
mod tests;
