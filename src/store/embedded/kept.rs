//! The engine's files as they were, kept while it opens them.
//!
//! The engine mends what it opens: it cuts off the end of a journal that it cannot read, and removes
//! tables that its lists do not name, whether they were never finished or the list is damaged. Until
//! we have seen that nothing acknowledged went with it, everything is kept as it was, and put back if
//! the store is not to be opened.
//!
//! Tables and lists are never written to once they are whole, so a second name for each keeps them.
//! Journals are written to, so the engine is given copies. That has another use: after a failed sync
//! the system may show what the disk does not have, and a copy that is synced is on the disk.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::JOURNAL;

#[derive(Debug)]
pub(super) struct KeptFiles {
    home: PathBuf,
    kept: PathBuf,
}

impl KeptFiles {
    /// Keeps what is in `home` beside it. What is still kept from an opening that did not come to its
    /// end is put back first.
    pub(super) fn keep(home: &Path) -> io::Result<Self> {
        let files = Self {
            home: home.to_owned(),
            kept: home.with_extension("kept"),
        };
        if files.kept.exists() {
            files.bring_back()?;
        }
        let unfinished = home.with_extension("unfinished");
        remove_dir(&unfinished)?;
        link_all(home, &unfinished)?;
        fs::rename(&unfinished, &files.kept)?;
        sync_parent(home)?;
        Ok(files)
    }

    /// Gives the engine copies of the journals.
    pub(super) fn copy_journals(&self) -> io::Result<()> {
        let copy = self.home.with_extension("copy");
        for entry in entries(&self.home)? {
            let path = entry?.path();
            if path.extension().and_then(OsStr::to_str) == Some(JOURNAL) {
                fs::copy(&path, &copy)?;
                File::open(&copy)?.sync_all()?;
                fs::rename(&copy, &path)?;
            }
        }
        remove_file(&copy)?;
        sync_if_there(&self.home)
    }

    /// Makes everything what it was.
    pub(super) fn put_back(self) -> io::Result<()> {
        self.bring_back()?;
        remove_file(&self.home.with_extension("copy"))
    }

    /// Forgets what was kept. This must be on disk before anything is written to the store.
    pub(super) fn discard(self) -> io::Result<()> {
        // In one step, because half of it must not be put back.
        let discarded = self.home.with_extension("unfinished");
        fs::rename(&self.kept, &discarded)?;
        sync_parent(&self.home)?;
        remove_dir(&discarded)
    }

    fn bring_back(&self) -> io::Result<()> {
        remove_dir(&self.home)?;
        fs::rename(&self.kept, &self.home)?;
        // Where there was nothing, nothing is left.
        let _ = fs::remove_dir(&self.home);
        sync_parent(&self.home)
    }
}

/// A second name for every file, or a copy where there can be none.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in entries(from)? {
        let entry = entry?;
        let (path, other) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_all(&path, &other)?;
        } else if fs::hard_link(&path, &other).is_err() {
            fs::copy(&path, &other)?;
            File::open(&other)?.sync_all()?;
        }
    }
    File::open(to)?.sync_all()
}

/// What is in a directory; nothing, where there is none.
pub(super) fn entries(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        entries => Ok(Some(entries?).into_iter().flatten()),
    }
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    unless_missing(fs::remove_dir_all(dir))
}

fn remove_file(file: &Path) -> io::Result<()> {
    unless_missing(fs::remove_file(file))
}

fn sync_if_there(dir: &Path) -> io::Result<()> {
    unless_missing(File::open(dir).and_then(|dir| dir.sync_all()))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn unless_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
