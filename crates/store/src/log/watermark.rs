//! The number of acknowledged changes, in a file beside the engine's files.
//!
//! The engine truncates a journal whose end it cannot read. That is right for a write that was torn by a
//! crash, and wrong for damage to what was acknowledged. The watermark tells the two apart: it is advanced
//! after every synced batch and before the answers, so the changes on record are never fewer than it says.
//!
//! The file is not synced. It survives the end of the process; after a power failure it may lag behind,
//! which makes it lenient and never wrong. The number is written twice and the smaller one counts, so that
//! damage makes it lenient, too.
//!
//! The file is locked while the store is open, which keeps a second process out.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::error::OpenError;

/// The number, big-endian, twice.
type Twice = [[u8; 8]; 2];

#[derive(Debug)]
pub(super) struct CommitWatermark {
    path: PathBuf,
    file: File,
}

impl CommitWatermark {
    /// Opens and locks the file, or creates it.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            // Said explicitly, because truncating would lose the number of a store that is in use.
            .truncate(false)
            .open(path)
            .map_err(OpenError::in_file(path))?;
        // Without waiting: a second server has to fail at once and say why.
        match file.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                file,
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
            Err(TryLockError::Error(error)) => Err(OpenError::in_file(path)(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many changes were acknowledged; 0 for a new store.
    pub(super) fn read(&self) -> io::Result<u64> {
        let mut twice = Twice::default();
        match self.file.read_exact_at(twice.as_flattened_mut(), 0) {
            Ok(()) => {
                let [first, second] = twice.map(u64::from_be_bytes);
                // The smaller one: a number that is too large would reject an intact store.
                Ok(first.min(second))
            }
            // Empty, or torn when it was written for the first time.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Raises the watermark to the changes on record: from now on they are listed.
    pub(super) fn catch_up(&self, on_record: u64) -> io::Result<()> {
        // Never lowered here: a smaller number on record is an error, which is reported before.
        if self.read()? < on_record {
            self.advance_to(on_record)
        } else {
            Ok(())
        }
    }

    /// Whether the file still has a name. A file without one was removed, most likely together with the
    /// orders.
    pub(super) fn is_linked(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() > 0)
    }

    pub(super) fn advance_to(&self, changes: u64) -> io::Result<()> {
        // One call to the system per batch, without a sync: see above why it may lag behind.
        let twice: Twice = [changes.to_be_bytes(); 2];
        self.file.write_all_at(twice.as_flattened(), 0)
    }
}

impl Drop for CommitWatermark {
    fn drop(&mut self) {
        // Unlocked by hand, because closing is not enough: a child process between fork and exec shares the
        // open file, and the lock would last until then. An error leaves the lock to the kernel.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_watermark_even_where_another_process_shares_the_file() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("watermark");
        let watermark = CommitWatermark::open(&path).unwrap();
        assert!(matches!(
            CommitWatermark::open(&path),
            Err(OpenError::InUse)
        ));
        let _shared_as_by_a_child = watermark.file.try_clone().unwrap();
        drop(watermark);
        CommitWatermark::open(&path).unwrap();
    }

    #[test]
    fn the_smaller_of_the_two_numbers_counts_and_a_file_cut_short_says_nothing() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("watermark");
        let watermark = CommitWatermark::open(&path).unwrap();
        assert_eq!(watermark.read().unwrap(), 0);
        watermark.advance_to(7).unwrap();
        assert_eq!(watermark.read().unwrap(), 7);
        for at in [0, 8] {
            watermark.file.write_all_at(&[0xff], at).unwrap();
            assert_eq!(watermark.read().unwrap(), 7);
            watermark.advance_to(7).unwrap();
        }
        watermark.file.set_len(15).unwrap();
        assert_eq!(watermark.read().unwrap(), 0);
    }

    #[test]
    fn catching_up_never_goes_back() {
        let dir = tempfile::TempDir::new().unwrap();
        let watermark = CommitWatermark::open(&dir.path().join("watermark")).unwrap();
        for (on_record, expected) in [(5, 5), (3, 5), (6, 6)] {
            watermark.catch_up(on_record).unwrap();
            assert_eq!(watermark.read().unwrap(), expected);
        }
    }
}
