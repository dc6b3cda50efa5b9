//! Opening files by configured names: regular files only, and without blocking.
//!
//! Opening a named pipe waits for its other end, and reading a device may never end. So the type of a file
//! is checked before it is opened, and the file is opened without blocking. Its type is checked again
//! afterwards, as the file may have been replaced in between.

use std::{
    fs::{self, File, FileType, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

use super::text;

/// The largest file of settings, credentials, certificates or rules that is read, in bytes.
pub const MAX_TEXT_BYTES: u64 = 16 << 20;

/// Opens a regular file, also through a link.
///
/// # Errors
/// If it cannot be opened or is no regular file; never by waiting.
pub fn open(path: &Path) -> io::Result<File> {
    // Before the open, because opening a device can have effects of its own, such as rewinding a tape.
    check(fs::metadata(path)?.file_type(), "read")?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(without_waiting())
        .open(path)?;
    check(file.metadata()?.file_type(), "read")?;
    Ok(file)
}

/// Opens a regular file for appending and reading. A missing file is created, readable by its owner only.
///
/// # Errors
/// If it cannot be opened or is no regular file; never by waiting.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    // What is not there, or a link that leads nowhere, is made.
    if let Ok(metadata) = fs::metadata(path) {
        check(metadata.file_type(), "written")?;
    }
    let mut options = OpenOptions::new();
    options
        .read(true)
        .append(true)
        .create(true)
        // The audit log names callers and orders, so only its owner may read a new file.
        .mode(0o600)
        .custom_flags(without_waiting());
    let file = options.open(path)?;
    check(file.metadata()?.file_type(), "written")?;
    Ok(file)
}

fn without_waiting() -> i32 {
    // NONBLOCK, so that a pipe does not wait for its other end; NOCTTY, so that a terminal does not become
    // ours.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    i32::try_from(flags.bits()).expect("flags of `open` fit into its argument")
}

/// Reads a regular file of [`MAX_TEXT_BYTES`] at most.
///
/// # Errors
/// As [`open`]; also if the file is larger or cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Its size is not asked for beforehand: a file may grow while it is read.
    Bounded::new(open(path)?, MAX_TEXT_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a regular file as UTF-8, without its byte order mark.
///
/// # Errors
/// As [`read`]; also if the file is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    text::of_file(&read(path)?)
}

/// A reader that fails beyond `max_bytes`.
pub struct Bounded<R> {
    source: R,
    left: u64,
    max_bytes: u64,
}

impl<R: Read> Bounded<R> {
    /// A reader of `source` that fails once more than `max_bytes` are read.
    pub fn new(source: R, max_bytes: u64) -> Self {
        Self {
            source,
            left: max_bytes,
            max_bytes,
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        // An error and no end of file: a truncated file could be valid and mean something else.
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(too_large(self.max_bytes)),
        }
        Ok(read)
    }
}

fn too_large(max_bytes: u64) -> io::Error {
    let text = format!("it is larger than {} MiB", max_bytes >> 20);
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}

fn check(kind: FileType, done: &str) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    let text = format!(
        "it is {}, and only regular files are {done}",
        describe(kind)
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

fn describe(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "no file"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::symlink, net::UnixListener};

    use rustix::fs::{CWD, FileType as Node, Mode, mknodat};

    use super::*;

    #[test]
    fn only_regular_files_are_read_without_blocking() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("text"), "words").unwrap();
        symlink(path("text"), path("link")).unwrap();
        mknodat(CWD, path("pipe"), Node::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        symlink(path("pipe"), path("link to the pipe")).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        symlink("/dev/zero", path("device")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        fs::write(path("bytes"), b"\xff").unwrap();
        for name in ["text", "link"] {
            assert_eq!(read_text(&path(name)).unwrap(), "words");
        }
        for (name, expected) in [
            (
                "pipe",
                "it is a named pipe, and only regular files are read",
            ),
            (
                "link to the pipe",
                "it is a named pipe, and only regular files are read",
            ),
            ("socket", "it is a socket, and only regular files are read"),
            ("device", "it is a device, and only regular files are read"),
            (
                "directory",
                "it is a directory, and only regular files are read",
            ),
            ("bytes", "this is not UTF-8"),
            ("missing", "No such file or directory (os error 2)"),
        ] {
            assert_eq!(
                read_text(&path(name)).unwrap_err().to_string(),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn a_file_beyond_the_bound_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        let file = File::create(&path).unwrap();
        file.set_len(MAX_TEXT_BYTES).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, MAX_TEXT_BYTES);
        file.set_len(MAX_TEXT_BYTES + 1).unwrap();
        assert_eq!(
            read(&path).unwrap_err().to_string(),
            "it is larger than 16 MiB"
        );
    }
}
