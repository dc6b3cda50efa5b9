//! The locks of a store: one process has it open at a time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{disk::DiskFile, error::OpenError};

/// The locks on the file of the watermark and on the directory of the segments, held until they are dropped. Two,
/// because the watermark may be removed, and made again by another process, while the store is open.
#[derive(Debug, Default)]
pub(super) struct StoreLock {
    locked: Vec<File>,
    /// The watermark, if it was created for a store that may still be rejected.
    created: Option<PathBuf>,
}

impl StoreLock {
    /// Locks the directory of the segments; nothing if it is not there.
    ///
    /// # Errors
    /// [`OpenError::InUse`].
    pub(super) fn add_directory(&mut self, home: &Path) -> Result<(), OpenError> {
        let Ok(directory) = File::open(home) else {
            // Not there, or reported where it is read.
            return Ok(());
        };
        match directory.try_lock() {
            Ok(()) => self.locked.push(directory),
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse),
            // Best effort: some file systems lock no directories.
            Err(TryLockError::Error(_)) => {}
        }
        Ok(())
    }

    /// Opens and locks the file of the watermark, or creates it; it is removed again with the lock, unless
    /// [`Self::keep_watermark`] is called before: a rejected store stays as it was.
    ///
    /// # Errors
    /// [`OpenError::InUse`], and those of the operating system.
    pub(super) fn open_watermark(&mut self, path: &Path) -> Result<Arc<dyn DiskFile>, OpenError> {
        let in_path = OpenError::in_file(path);
        let is_new = !path.exists();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            // Said explicitly, because truncating would lose the number of a store that is in use.
            .truncate(false)
            .open(path)
            .map_err(&in_path)?;
        // Without waiting: a second server has to fail at once and say why.
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse),
            Err(TryLockError::Error(error)) => return Err(in_path(error)),
        }
        if is_new {
            // Only now: a file that another process has locked is that process's.
            self.created = Some(path.to_owned());
        }
        let shared = file.try_clone().map_err(in_path)?;
        self.locked.push(file);
        Ok(super::disk::real_file(shared))
    }

    /// The store is accepted: its watermark stays.
    pub(super) fn keep_watermark(&mut self) {
        self.created = None;
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        if let Some(path) = &self.created {
            // Before it is unlocked, so that no other store has it yet. Best effort: an empty watermark says nothing.
            let _ = fs::remove_file(path);
        }
        for file in &self.locked {
            // Unlocked by hand, because closing is not enough: a child process between fork and exec shares the
            // open file, and the lock would last until then. An error leaves the lock to the kernel.
            let _ = file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_store_even_where_another_process_shares_the_file() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("watermark");
        let acquire = || {
            let mut lock = StoreLock::default();
            lock.add_directory(dir.path())?;
            lock.open_watermark(&path)?;
            lock.keep_watermark();
            Ok(lock)
        };
        let lock: StoreLock = acquire().unwrap();
        let is_in_use =
            |tried: Result<StoreLock, OpenError>| matches!(tried, Err(OpenError::InUse));
        assert!(is_in_use(acquire()));
        std::fs::remove_file(&path).unwrap();
        assert!(is_in_use(acquire()), "by its directory");
        let _shared_as_by_a_child: Vec<File> = lock
            .locked
            .iter()
            .map(|file| file.try_clone().unwrap())
            .collect();
        drop(lock);
        acquire().unwrap();
    }

    #[test]
    fn a_watermark_that_was_created_for_a_rejected_store_is_removed() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("watermark");
        for (is_there, is_kept) in [(false, false), (false, true), (true, false)] {
            if is_there {
                std::fs::write(&path, "").unwrap();
            }
            let mut lock = StoreLock::default();
            lock.open_watermark(&path).unwrap();
            if is_kept {
                lock.keep_watermark();
            }
            drop(lock);
            assert_eq!(path.exists(), is_there || is_kept);
            let _ = std::fs::remove_file(&path);
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_not_locked() {
        let dir = tempfile::TempDir::new().unwrap();
        let mut lock = StoreLock::default();
        lock.add_directory(&dir.path().join("gone")).unwrap();
        assert!(lock.locked.is_empty());
    }
}
