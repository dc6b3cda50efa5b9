//! The sample catalogue, its edited copies, and copies of other folders.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// The catalogue that comes with the sources.
pub(crate) fn sample_catalog() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/catalog")
}

/// The sample catalogue with some texts replaced: (file, old, new). Every place of the old one is.
pub(crate) fn edited_catalog(edits: &[(&str, &str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for file in fs::read_dir(sample_catalog()).unwrap() {
        let file = file.unwrap();
        let mut text = fs::read_to_string(file.path()).unwrap();
        for (_, old, new) in edits.iter().filter(|(name, ..)| file.file_name() == **name) {
            assert!(text.contains(old), "{old:?}");
            text = text.replace(old, new);
        }
        fs::write(dir.path().join(file.file_name()), text).unwrap();
    }
    dir
}

/// Copies a folder with everything in it.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            match fs::copy(entry.path(), target) {
                // A spare of a store that is open has just got another name.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                copied => {
                    copied.unwrap();
                }
            }
        }
    }
}
