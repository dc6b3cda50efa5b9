//! The disk as the log sees it: a directory of files, so that the same code runs on a simulated one.

mod real;
#[cfg(any(test, feature = "simulation"))]
pub mod simulated;
#[cfg(test)]
mod tests;

use std::{fmt, io, sync::Arc};

pub use self::real::DirectoryDisk;
pub(super) use self::real::real_file;
#[cfg(test)]
use self::simulated::SimulatedDisk;

/// A directory of the log.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Names of the files, in no order. A missing directory is an error of the kind `NotFound`.
    ///
    /// # Errors
    /// Those of the operating system.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file that exists, for reading and writing.
    ///
    /// # Errors
    /// Those of the operating system.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates an empty file for reading and writing, for its owner only. One of that name is emptied.
    ///
    /// # Errors
    /// Those of the operating system.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, in place of a file that has it. Durable after [`Disk::sync`].
    ///
    /// # Errors
    /// Those of the operating system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Durable after [`Disk::sync`].
    ///
    /// # Errors
    /// Those of the operating system.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names of the files durable.
    ///
    /// # Errors
    /// Those of the operating system.
    fn sync(&self) -> io::Result<()>;

    /// How many threads are to read its files where there are many of them.
    fn readers(&self) -> usize {
        2
    }
}

/// A file of the log. Reads and writes may come from several threads at once.
#[expect(
    clippy::len_without_is_empty,
    reason = "no caller asks whether a file is empty"
)]
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// Those of the operating system.
    fn len(&self) -> io::Result<u64>;

    /// Reads `buffer.len()` bytes.
    ///
    /// # Errors
    /// Those of the operating system; `UnexpectedEof` beyond the end of the file.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// Those of the operating system. Some of the bytes may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Has room for all of its first `bytes` bytes, so that to write them never finds the disk full. A file that is shorter
    /// gets this length, with zeros. Nothing happens where the file system cannot do that.
    ///
    /// # Errors
    /// Those of the operating system. A part of the room may have been taken, and the file may be longer.
    fn reserve(&self, bytes: u64) -> io::Result<()>;

    /// Makes the content durable, and the length.
    ///
    /// # Errors
    /// Those of the operating system. It is then unknown what is durable, also after a later sync that succeeds.
    fn sync_data(&self) -> io::Result<()>;

    /// Whether the file still has a name. A file without one is lost when it is closed.
    ///
    /// # Errors
    /// Those of the operating system.
    fn is_linked(&self) -> io::Result<bool>;
}
