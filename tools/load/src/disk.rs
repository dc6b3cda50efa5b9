//! The limit of the disk: one small write with its sync.

use std::{fs::File, io::Write, path::Path, time::Instant};

use crate::Error;

/// Writes per measurement.
const WRITES: usize = 500;

/// About what one order takes in the log.
const BYTES: usize = 512;

/// The median time of one append with its sync, in nanoseconds.
pub(crate) fn sync_nanos(path: &Path) -> Result<u64, Error> {
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
