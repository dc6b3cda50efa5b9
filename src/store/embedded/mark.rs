//! A mark beside the store that says how many changes have been acknowledged.
//!
//! The engine drops the end of a journal that it cannot read, which is right for a write that was
//! cut short and wrong for damage to what was acknowledged. The mark tells the two apart: it is
//! moved after every synced batch and before the answers, so the changes on record can never be
//! fewer than it says. It is not synced itself: it survives the end of the process, and after the
//! machine's own end it may lag behind, which makes it lenient and never wrong. The number stands
//! there twice and the smaller one counts, so that damage makes it no more than lenient either.
//!
//! Whoever has the mark open has it locked, and with it the store.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use super::cannot_open;
use crate::store::StoreError;

/// A number and the same number again.
type Twice = [[u8; 8]; 2];

#[derive(Debug)]
pub(super) struct AcknowledgedMark {
    file: File,
}

impl AcknowledgedMark {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file =
            file.map_err(|error| cannot_open(format_args!("{}: {error}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse),
            Err(TryLockError::Error(error)) => Err(cannot_open(error)),
        }
    }

    /// How many changes were acknowledged; 0 for a new store.
    pub(super) fn read(&self) -> io::Result<u64> {
        let mut twice = Twice::default();
        match self.file.read_exact_at(twice.as_flattened_mut(), 0) {
            Ok(()) => Ok(twice
                .map(u64::from_be_bytes)
                .into_iter()
                .min()
                .unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Takes what is on record for acknowledged, because from now on it is listed.
    pub(super) fn catch_up(&self, on_record: u64) -> io::Result<()> {
        if self.read()? < on_record {
            self.move_to(on_record)
        } else {
            Ok(())
        }
    }

    /// Whether it still has a name anywhere. Where it has none, neither have the orders, most likely.
    pub(super) fn is_linked(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() > 0)
    }

    pub(super) fn move_to(&self, changes: u64) -> io::Result<()> {
        self.file
            .write_all_at([changes.to_be_bytes(); 2].as_flattened(), 0)
    }
}

impl Drop for AcknowledgedMark {
    fn drop(&mut self) {
        // Closing the file would not do: a child process that has begun and has not yet run its program
        // shares the open file, and the lock would last until then.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_mark_even_where_another_process_shares_the_file() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("mark");
        let mark = AcknowledgedMark::open(&path).unwrap();
        assert!(matches!(
            AcknowledgedMark::open(&path),
            Err(StoreError::InUse)
        ));
        let _shared_as_by_a_child = mark.file.try_clone().unwrap();
        drop(mark);
        AcknowledgedMark::open(&path).unwrap();
    }
}
