//! A mark beside the store that says how many orders have been acknowledged.
//!
//! The engine drops the end of a journal that it cannot read, which is right for a write that was
//! cut short and wrong for damage to what was acknowledged. The mark tells the two apart: it is
//! moved after every synced batch and before the answers, so the orders on record can never be
//! fewer than it says. It is not synced itself: it survives the end of the process, and after the
//! machine's own end it may lag behind, which makes it lenient and never wrong.
//!
//! Whoever has the mark open has it locked, and with it the store.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::cannot_open;
use crate::store::StoreError;

#[derive(Debug)]
pub(super) struct AcknowledgedMark {
    file: File,
}

impl AcknowledgedMark {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(cannot_open)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse),
            Err(TryLockError::Error(error)) => Err(cannot_open(error)),
        }
    }

    /// The sequence number of the last order acknowledged; 0 for a new store.
    pub(super) fn read(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        match self.file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(u64::from_be_bytes(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
        }
    }

    pub(super) fn move_to(&self, sequence: u64) -> io::Result<()> {
        self.file.write_all_at(&sequence.to_be_bytes(), 0)
    }
}
