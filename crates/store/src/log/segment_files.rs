//! The segments that are open for reading.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    disk::{Disk, DiskFile},
    segment_name::log_name,
};

/// Most segments that are open for reading at a time, one descriptor each.
const OPEN_MAX: usize = 128;

/// Opens segments when they are first read, and keeps them open.
#[derive(Debug)]
pub(crate) struct SegmentFiles {
    disk: Arc<dyn Disk>,
    open: Mutex<HashMap<u64, Arc<dyn DiskFile>>>,
}

impl SegmentFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            open: Mutex::default(),
        }
    }

    /// The segment of this number.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn get(&self, number: u64) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.lock().get(&number) {
            return Ok(Arc::clone(file));
        }
        // Opened without the lock, so that readers of open segments do not wait for the disk.
        let file = self.disk.open(&log_name(number))?;
        self.add(number, &file);
        Ok(file)
    }

    /// Adds a segment that is open already.
    pub(crate) fn add(&self, number: u64, file: &Arc<dyn DiskFile>) {
        let mut open = self.lock();
        if open.len() >= OPEN_MAX {
            // Any of them: old orders are read seldom, and a reader keeps what it has.
            if let Some(&one) = open.keys().find(|&&open| open != number) {
                open.remove(&one);
            }
        }
        open.insert(number, Arc::clone(file));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<dyn DiskFile>>> {
        // A panic elsewhere leaves the map whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
