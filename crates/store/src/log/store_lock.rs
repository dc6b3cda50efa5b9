//! The lock of a store: one process has it open at a time.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    sync::Arc,
};

use super::{disk::DiskFile, error::OpenError};

/// The lock on the file of the watermark, held until it is dropped.
#[derive(Debug)]
pub(super) struct StoreLock(File);

impl StoreLock {
    /// Opens and locks the file, or creates it.
    pub(super) fn acquire(path: &Path) -> Result<(Self, Arc<dyn DiskFile>), OpenError> {
        let in_path = OpenError::in_file(path);
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
        let shared = file.try_clone().map_err(in_path)?;
        Ok((Self(file), super::disk::real_file(shared)))
    }
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        // Unlocked by hand, because closing is not enough: a child process between fork and exec shares the
        // open file, and the lock would last until then. An error leaves the lock to the kernel.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_store_even_where_another_process_shares_the_file() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("watermark");
        let (lock, _file) = StoreLock::acquire(&path).unwrap();
        assert!(matches!(StoreLock::acquire(&path), Err(OpenError::InUse)));
        let _shared_as_by_a_child = lock.0.try_clone().unwrap();
        drop(lock);
        StoreLock::acquire(&path).unwrap();
    }
}
