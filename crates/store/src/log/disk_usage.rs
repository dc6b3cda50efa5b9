//! Disk space of a store.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use crate::DiskUsage;

/// The unit of `st_blocks`, whatever the block size of the file system.
const BLOCK_BYTES: u64 = 512;

/// Disk space of the store in `dir`; `None` where the system does not report it.
pub(super) fn read(dir: &Path) -> Option<DiskUsage> {
    let system = rustix::fs::statvfs(dir).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
    // `f_bavail`, not `f_bfree`: blocks reserved for the superuser cannot be written by the server.
    Some(DiskUsage {
        used: used(dir).ok()?,
        free: bytes(system.f_bavail),
        size: bytes(system.f_blocks),
    })
}

/// Bytes allocated to the files below a directory.
fn used(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let below = match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => used(&entry.path()),
            // Allocated blocks and not the length: a sparse file occupies less than its length.
            Ok(metadata) => Ok(metadata.blocks().saturating_mul(BLOCK_BYTES)),
            Err(error) => Err(error),
        };
        match below {
            Ok(below) => bytes += below,
            // Spares get their names at any time; this one has just got another.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_files_take_is_counted_in_all_folders() {
        let dir = TempDir::new().unwrap();
        let written = |bytes: usize| {
            fs::create_dir_all(dir.path().join("orders")).unwrap();
            fs::write(dir.path().join("orders/000001.log"), vec![7; bytes]).unwrap();
            read(dir.path()).unwrap()
        };
        let (few, many) = (written(1 << 16), written(1 << 20));
        assert!(
            few.used >= 1 << 16 && many.used >= 1 << 20 && many.used < 4 << 20,
            "{few:?} {many:?}"
        );
        assert!(many.free <= many.size && many.size > many.used, "{many:?}");
        assert_eq!(read(&dir.path().join("gone")), None);
    }
}
