//! Copies of the engine's journals, kept while it opens them.
//!
//! The engine mends a journal as it reads it: it cuts off what it cannot read. Until we have seen
//! that nothing acknowledged went with it, the journals are kept as they were, and put back if the
//! store is not to be opened.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The engine's ending of journal files.
const JOURNAL: &str = "jnl";

#[derive(Debug)]
pub(super) struct KeptJournals {
    home: PathBuf,
    kept: PathBuf,
}

impl KeptJournals {
    /// Copies the journals in `home` to beside it. Copies that are still there from an opening
    /// that did not come to its end are put back first.
    pub(super) fn keep(home: &Path) -> io::Result<Self> {
        let journals = Self { home: home.to_owned(), kept: home.with_extension("journals") };
        if journals.kept.exists() {
            journals.copy_back()?;
            return Ok(journals);
        }
        let unfinished = home.with_extension("journals-unfinished");
        remove_dir(&unfinished)?;
        fs::create_dir(&unfinished)?;
        copy_journals(home, &unfinished)?;
        fs::rename(&unfinished, &journals.kept)?;
        sync_parent(home)?;
        Ok(journals)
    }

    /// Makes the journals what they were.
    pub(super) fn put_back(self) -> io::Result<()> {
        self.copy_back()?;
        self.discard()
    }

    /// Forgets the copies. This must be on disk before anything is written to the store.
    pub(super) fn discard(self) -> io::Result<()> {
        remove_dir(&self.kept)?;
        sync_parent(&self.home)
    }

    fn copy_back(&self) -> io::Result<()> {
        copy_journals(&self.kept, &self.home)
    }
}

fn copy_journals(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if let (Some(name), Some(JOURNAL)) = (path.file_name(), path.extension().and_then(OsStr::to_str)) {
            let copy = to.join(name);
            fs::copy(&path, &copy)?;
            File::open(copy)?.sync_all()?;
        }
    }
    Ok(())
}

pub(super) fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
