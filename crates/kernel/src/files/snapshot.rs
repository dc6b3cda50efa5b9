//! Snapshots of the metadata of files, to detect changes.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Metadata that changes when files are written or replaced. Equal snapshots mean unchanged files. Times
/// alone are too coarse on some file systems.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot(Vec<File>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct File {
    path: PathBuf,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Snapshot {
    /// A snapshot of a folder. Unreadable files count as absent.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self::of_files(
            fs::read_dir(dir)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path()),
        )
    }

    /// A snapshot of files. Unreadable files count as absent.
    #[must_use]
    pub fn of_files(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let file = |path: PathBuf| {
            // Of a link it is the file behind it that counts.
            let seen = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
            Some(File {
                path,
                inode: seen.ino(),
                bytes: seen.size(),
                modified: (seen.mtime(), seen.mtime_nsec()),
            })
        };
        let mut files: Vec<File> = paths.into_iter().filter_map(file).collect();
        // The system lists files in any order, which must not look like a change.
        files.sort_unstable();
        Self(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_change_a_file_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut before = Snapshot::of(dir.path());
        let mut changes = |change: &dyn Fn(), expected: bool, what: &str| {
            change();
            let after = Snapshot::of(dir.path());
            assert_eq!(after != before, expected, "{what}");
            before = after;
        };
        changes(&|| fs::write(path("a"), "1").unwrap(), true, "a new file");
        changes(&|| (), false, "nothing");
        changes(
            &|| fs::write(path("a"), "12").unwrap(),
            true,
            "a longer one",
        );
        changes(&|| fs::write(path("b"), "34").unwrap(), true, "another");
        changes(
            &|| fs::rename(path("b"), path("a")).unwrap(),
            true,
            "one in place of another",
        );
        changes(&|| fs::create_dir(path("c")).unwrap(), false, "a folder");
        changes(
            &|| fs::remove_file(path("a")).unwrap(),
            true,
            "one file less",
        );
        assert_eq!(Snapshot::of(&path("missing")), Snapshot::default());
    }
}
