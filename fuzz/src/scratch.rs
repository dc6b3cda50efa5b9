//! Files to be read: a folder of this thread, in memory where there is a file system for that.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

thread_local! {
    static FOLDER: TempDir = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("there is a place for files");
}

/// A path in the folder.
pub fn path(name: &str) -> PathBuf {
    FOLDER.with(|folder| folder.path().join(name))
}

/// Puts a file there.
pub fn write(name: &str, contents: &[u8]) -> PathBuf {
    let path = path(name);
    fs::write(&path, contents).expect("files can be written");
    path
}

/// Makes a folder there, unless it is there.
pub fn folder(name: &str) -> PathBuf {
    let path = path(name);
    fs::create_dir_all(&path).expect("folders can be made");
    path
}

/// Takes a file or folder away, if it is there.
pub fn remove(path: &Path) {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            panic!("{}: {error}", path.display())
        }
        _ => {}
    }
}
