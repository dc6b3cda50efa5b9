//! The files of a store for commands that do not open it: nothing is repaired or written, and a server may run meanwhile.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    LogStore, SEGMENTS, WATERMARK, directory,
    disk::{DirectoryDisk, Disk, real_file},
    error::OpenError,
    watermark::{CommitWatermark, WatermarkFault},
};

/// Whether `dir` has a store, or the remains of one.
#[must_use]
pub fn has_store(dir: &Path) -> bool {
    LogStore::is_in(dir)
}

/// The files of a store.
#[derive(Debug, Clone)]
pub(super) struct StoreFiles {
    watermark: PathBuf,
    /// The segments, for reading only.
    pub(super) disk: Arc<dyn Disk>,
}

impl StoreFiles {
    /// The files in `dir`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
        let home = dir.join(SEGMENTS);
        directory::require_log_or_nothing(&home)?;
        let disk = DirectoryDisk::open_read_only(&home).map_err(OpenError::in_file(&home))?;
        Ok(Self {
            watermark: dir.join(WATERMARK),
            disk: Arc::new(disk),
        })
    }

    /// Number of changes that were acknowledged; 0 if that is not known. While a server runs, all of these and no others
    /// are certain to be in the segments as this process reads them.
    ///
    /// # Errors
    /// [`OpenError::File`].
    pub(super) fn acknowledged(&self) -> Result<u64, OpenError> {
        let read = match File::open(&self.watermark) {
            Ok(file) => CommitWatermark::new(real_file(file)).read(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        };
        read.map_err(OpenError::in_file(&self.watermark))
    }

    /// What is wrong with the file of the watermark.
    ///
    /// # Errors
    /// [`OpenError::File`].
    pub(super) fn watermark_fault(&self) -> Result<Option<WatermarkFault>, OpenError> {
        let in_file = OpenError::in_file(&self.watermark);
        let fault = match File::open(&self.watermark) {
            Ok(file) => CommitWatermark::new(real_file(file)).fault(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Some(WatermarkFault::Missing))
            }
            Err(error) => Err(error),
        };
        let fault = fault.map_err(in_file)?;
        // A server has repaired it when it started, and writes to it meanwhile.
        Ok(if self.is_in_use()? { None } else { fault })
    }

    /// Whether a process has the store open.
    ///
    /// # Errors
    /// [`OpenError::File`].
    pub(super) fn is_in_use(&self) -> Result<bool, OpenError> {
        let in_file = OpenError::in_file(&self.watermark);
        let file = match File::open(&self.watermark) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(in_file(error)),
        };
        // Shared, so that two commands do not take each other for a server. It is given back at once: a server that starts
        // in this very moment is the only one that it could hold up.
        match file.try_lock_shared() {
            Ok(()) => file.unlock().map(|()| false).map_err(in_file),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(in_file(error)),
        }
    }

    /// Bytes that the files of the store take.
    ///
    /// # Errors
    /// [`OpenError::File`].
    pub(super) fn bytes(&self) -> Result<u64, OpenError> {
        let watermark = match fs::metadata(&self.watermark) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(OpenError::in_file(&self.watermark)(error)),
        };
        let mut bytes = watermark;
        for name in self.disk.list().map_err(OpenError::Disk)? {
            match self.disk.open(&name).and_then(|file| file.len()) {
                Ok(length) => bytes += length,
                // Spares change their names while a server runs.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(OpenError::Disk(error)),
            }
        }
        Ok(bytes)
    }
}
