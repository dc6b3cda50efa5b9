//! The limit of the disk: one small write with its sync.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::Error;

/// Writes per measurement.
const WRITES: u64 = 500;

/// About what one order takes in the log.
const BYTES: usize = 512;

/// Bytes that are filled at once: the syncs after larger writes take longer.
const FILL_BYTES: usize = 256 << 10;

/// The median time of one write with its sync, in nanoseconds: into a file that is filled with zeros, and after a pause
/// before each write.
///
/// The reference has to meet what the order of a single caller meets, or the ratio says nothing about the server. The log
/// writes into segments that were filled before, so that its syncs allocate nothing; a sync in a file that grows waits for
/// the journal of the file system, and would flatter the server. And between two orders of one caller, the disk and the
/// core rest for as long as an echo takes; syncs one after another are faster than any order can be.
pub(crate) fn sync_nanos(path: &Path, pause: Duration) -> Result<u64, Error> {
    let file = filled(path)?;
    let mut nanos = Vec::new();
    for write in 0..WRITES {
        thread::sleep(pause);
        let begun = Instant::now();
        file.write_all_at(&[7; BYTES], write * BYTES as u64)?;
        file.sync_data()?;
        nanos.push(u64::try_from(begun.elapsed().as_nanos())?);
    }
    nanos.sort_unstable();
    Ok(nanos[nanos.len() / 2])
}

/// A file of zeros, filled as the log fills its segments.
fn filled(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).open(path)?;
    let zeros = vec![0; FILL_BYTES];
    let mut at = 0;
    while at < WRITES * BYTES as u64 {
        file.write_all_at(&zeros, at)?;
        file.sync_data()?;
        at += zeros.len() as u64;
    }
    Ok(file)
}
