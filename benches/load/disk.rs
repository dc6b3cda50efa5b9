//! What the disk asks for: the time of one small write that is on it when it returns.

use std::{fs::File, io::Write, path::Path, time::Instant};

use super::Failure;

/// Writes that the median is of.
const WRITES: usize = 500;

/// About what one order takes in the journal.
const BYTES: usize = 512;

/// The median of writes that are appended to a file and synced one by one, in nanoseconds.
pub(super) fn sync_nanos(path: &Path) -> Result<u64, Failure> {
    let mut file = File::create(path)?;
    let mut nanos = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let begun = Instant::now();
        file.write_all(&[7; BYTES])?;
        file.sync_data()?;
        nanos.push(u64::try_from(begun.elapsed().as_nanos())?);
    }
    nanos.sort_unstable();
    Ok(nanos[WRITES / 2])
}
