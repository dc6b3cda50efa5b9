//! The disk of the machine.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use super::{Disk, DiskFile};

/// Mode of a file that only its owner may use: orders contain names and addresses of people.
const OWNER_ONLY: u32 = 0o600;

/// A directory of the file system.
#[derive(Debug)]
pub struct DirectoryDisk {
    path: PathBuf,
    /// Kept open, so that a sync needs no descriptor at a moment when there may be none left.
    directory: File,
    access: FileAccess,
}

/// What files are opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileAccess {
    ReadOnly,
    ReadWrite,
}

impl DirectoryDisk {
    /// A directory that exists.
    ///
    /// # Errors
    /// Those of the operating system; `NotADirectory` where the path leads to something else.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::with_access(path, FileAccess::ReadWrite)
    }

    /// A directory that exists, of which the files are opened for reading only: a backup may be on a medium that
    /// cannot be written.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_read_only(path: &Path) -> io::Result<Self> {
        Self::with_access(path, FileAccess::ReadOnly)
    }

    fn with_access(path: &Path, access: FileAccess) -> io::Result<Self> {
        let directory = File::open(path)?;
        if !directory.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            path: path.to_owned(),
            directory,
            access,
        })
    }

    fn open_with(&self, options: &mut OpenOptions, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = options
            .read(true)
            .write(self.access == FileAccess::ReadWrite)
            .mode(OWNER_ONLY)
            .open(self.path.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }
}

impl Disk for DirectoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is not text is none that the log gives.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.open_with(&mut OpenOptions::new(), name)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.open_with(OpenOptions::new().create(true).truncate(true), name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.directory.sync_all()
    }
}

/// A file that is open already.
pub(in crate::log) fn real_file(file: File) -> Arc<dyn DiskFile> {
    Arc::new(RealFile(file))
}

/// An open file of the file system.
#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        match fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            // The second of a sandbox or an old kernel, which do not have the call.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            result => Ok(result?),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn is_linked(&self) -> io::Result<bool> {
        Ok(self.0.metadata()?.nlink() > 0)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_missing_directory_is_not_found_and_a_file_is_none() {
        let dir = TempDir::new().unwrap();
        let opened = |name: &str| DirectoryDisk::open(&dir.path().join(name)).unwrap_err();
        assert_eq!(opened("missing").kind(), io::ErrorKind::NotFound);
        fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(opened("file").kind(), io::ErrorKind::NotADirectory);
        let removed = DirectoryDisk::open(dir.path()).unwrap();
        drop(dir);
        assert_eq!(removed.list().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_for_its_owner_only() {
        let dir = TempDir::new().unwrap();
        let disk = DirectoryDisk::open(dir.path()).unwrap();
        disk.create("a").unwrap();
        let mode = fs::metadata(dir.path().join("a")).unwrap().mode();
        assert_eq!(mode & 0o777, OWNER_ONLY);
    }
}
