//! The engine's files as they were, kept aside while the engine opens them.
//!
//! The engine repairs what it opens: it truncates a journal that it cannot read, and removes `SSTables` that
//! its manifest does not name, also when the manifest is damaged. Until the store is known to have lost
//! nothing acknowledged, its files are kept as they were. If the store is rejected they are rolled back.
//!
//! `SSTables` and manifests are immutable once complete, so a hard link keeps them. Journals are appended to,
//! so the engine gets copies. The copies have another use: after a failed sync the page cache may show what
//! the disk does not have, and a copy that was synced is on the disk.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::JOURNAL;

/// Neither rolled back nor released, as by a crash, it is rolled back by the next start.
#[derive(Debug)]
#[must_use = "it has to be rolled back or released"]
pub(super) struct OpenGuard {
    home: PathBuf,
    kept: PathBuf,
}

impl OpenGuard {
    /// Keeps the files of `home` beside it. Files that an interrupted start has kept are rolled
    /// back first.
    pub(super) fn begin(home: &Path) -> io::Result<Self> {
        let guard = Self {
            home: home.to_owned(),
            kept: home.with_extension("kept"),
        };
        if guard.kept.exists() {
            // Left by a start that crashed before its end. Nothing has been acknowledged since, so
            // nothing is lost.
            guard.restore()?;
        }
        let unfinished = home.with_extension("unfinished");
        // Left by a crash while linking or while discarding; it is incomplete either way.
        remove_dir(&unfinished)?;
        link_all(home, &unfinished)?;
        // `kept` appears in one step and synced: half of the files must never be rolled back.
        fs::rename(&unfinished, &guard.kept)?;
        sync_parent(home)?;
        Ok(guard)
    }

    /// Replaces the journals with synced copies, for the engine to work on.
    pub(super) fn copy_journals(&self) -> io::Result<()> {
        let copy = self.home.with_extension("copy");
        for entry in entries(&self.home)? {
            let path = entry?.path();
            if path.extension().and_then(OsStr::to_str) == Some(JOURNAL) {
                // Under another name first, so that a crash never leaves half a journal under its
                // own name.
                fs::copy(&path, &copy)?;
                // Before the rename: a journal of this name must never be shorter than the one it replaces.
                File::open(&copy)?.sync_all()?;
                fs::rename(&copy, &path)?;
            }
        }
        remove_file(&copy)?;
        ignore_missing(File::open(&self.home).and_then(|dir| dir.sync_all()))
    }

    /// Restores the files.
    pub(super) fn roll_back(self) -> io::Result<()> {
        self.restore()?;
        remove_file(&self.home.with_extension("copy"))
    }

    /// Gives the kept files up. This must be on disk before anything is written to the store: a later
    /// start would roll back what was written.
    pub(super) fn release(self) -> io::Result<()> {
        // Renamed and synced before it is removed file by file: half of it must never be rolled back.
        let discarded = self.home.with_extension("unfinished");
        fs::rename(&self.kept, &discarded)?;
        sync_parent(&self.home)?;
        remove_dir(&discarded)
    }

    fn restore(&self) -> io::Result<()> {
        // A crash between this and the rename is repaired by the next start, because `kept` is
        // still there.
        remove_dir(&self.home)?;
        fs::rename(&self.kept, &self.home)?;
        // Where there was nothing, nothing is left. This fails for a directory with files in it, as it must.
        let _ = fs::remove_dir(&self.home);
        sync_parent(&self.home)
    }
}

/// A hard link to every file, or a synced copy where the file system has no hard links.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in entries(from)? {
        let entry = entry?;
        let (path, other) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            link_all(&path, &other)?;
        // Any error, because file systems report the lack of hard links in different ways; a copy
        // fails for the others.
        } else if fs::hard_link(&path, &other).is_err() {
            fs::copy(&path, &other)?;
            File::open(&other)?.sync_all()?;
        }
    }
    // The directory itself: a synced file is lost if the entry that names it is not on disk.
    File::open(to)?.sync_all()
}

/// The entries of a directory; none if it does not exist.
pub(super) fn entries(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        entries => Ok(Some(entries?).into_iter().flatten()),
    }
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    ignore_missing(fs::remove_dir_all(dir))
}

fn remove_file(file: &Path) -> io::Result<()> {
    ignore_missing(fs::remove_file(file))
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
