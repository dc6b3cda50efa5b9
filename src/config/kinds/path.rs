//! Paths of files, directories and URLs.

use std::path::PathBuf;

use super::ValueKind;

pub use orders::audit::AuditLog;

/// `off`, `stderr` or a file.
pub(in crate::config) struct AuditDestination;

impl ValueKind for AuditDestination {
    type Value = AuditLog;

    fn label(&self) -> &'static str {
        "FILE"
    }

    fn takes(&self) -> String {
        "`off`, `stderr` or a file".to_owned()
    }

    fn read(&self, text: &str) -> Option<AuditLog> {
        match text {
            "off" => Some(AuditLog::Off),
            "stderr" => Some(AuditLog::Stderr),
            path => FilePath.read(path).map(AuditLog::File),
        }
    }
}

/// The path of a file, which need not exist.
pub(in crate::config) struct FilePath;

impl ValueKind for FilePath {
    type Value = PathBuf;

    fn label(&self) -> &'static str {
        "FILE"
    }

    fn takes(&self) -> String {
        "a file".to_owned()
    }

    fn read(&self, text: &str) -> Option<PathBuf> {
        DirectoryPath.read(text)
    }
}

/// The path of a directory, which need not exist.
pub(in crate::config) struct DirectoryPath;

impl ValueKind for DirectoryPath {
    type Value = PathBuf;

    fn label(&self) -> &'static str {
        "DIR"
    }

    fn takes(&self) -> String {
        "a directory".to_owned()
    }

    fn read(&self, text: &str) -> Option<PathBuf> {
        (!text.is_empty()).then(|| PathBuf::from(text))
    }
}

/// The path that others are under, without a slash at its end; the root is nothing.
pub(in crate::config) struct BasePath;

impl ValueKind for BasePath {
    type Value = String;

    fn label(&self) -> &'static str {
        "PATH"
    }

    fn takes(&self) -> String {
        "a path such as `/booking/partner`".to_owned()
    }

    fn read(&self, text: &str) -> Option<String> {
        // Without its last slash, because the methods are joined with one.
        let path = text.strip_suffix('/').unwrap_or(text);
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~".contains(letter);
        let named = |segment: &str| !segment.is_empty() && segment.chars().all(plain);
        let sound = path.is_empty()
            || path
                .strip_prefix('/')
                .is_some_and(|it| it.split('/').all(named));
        sound.then(|| path.to_owned())
    }
}
