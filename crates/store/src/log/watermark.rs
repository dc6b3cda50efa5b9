//! The number of acknowledged changes, in a file beside the segments.
//!
//! A frame at the end of the log that does not verify was torn by a crash, or is damaged. The watermark tells the two
//! apart: it is advanced after every synced batch and before the answers, so the changes on record are never fewer than
//! it says.
//!
//! The file is not synced, except when it gets its length. It survives the end of the process; after a power failure it may lag behind,
//! which makes it lenient and never wrong. The number is written twice and the smaller one counts, so that
//! damage makes it lenient, too.

use std::{fmt, io, sync::Arc};

use super::disk::DiskFile;

/// The number, big-endian, twice.
type Twice = [[u8; 8]; 2];

/// Why the file of the watermark does not say how many changes were acknowledged. Beside a log with changes, nothing tells
/// then whether some at its end are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatermarkFault {
    /// There is no file, or nothing is in it.
    Missing,
    /// It is shorter than what is written to it.
    CutShort,
    /// Its two numbers are not the same; the smaller one counts.
    Garbled,
}

impl fmt::Display for WatermarkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self {
            Self::Missing => "is missing or empty",
            Self::CutShort => "is cut short",
            Self::Garbled => "has two different numbers",
        };
        write!(
            f,
            "the file \"acknowledged\" {fault}: changes that are lost at the end of the log would not be noticed"
        )
    }
}

#[derive(Debug)]
pub(super) struct CommitWatermark(Arc<dyn DiskFile>);

impl CommitWatermark {
    pub(super) fn new(file: Arc<dyn DiskFile>) -> Self {
        Self(file)
    }

    /// How many changes were acknowledged; 0 for a new store.
    pub(super) fn read(&self) -> io::Result<u64> {
        // The smaller one: a number that is too large would reject an intact store.
        Ok(self
            .numbers()?
            .map_or(0, |[first, second]| first.min(second)))
    }

    /// What is wrong with the file. A process that writes to it meanwhile may look like damage.
    pub(super) fn fault(&self) -> io::Result<Option<WatermarkFault>> {
        if self.0.len()? == 0 {
            return Ok(Some(WatermarkFault::Missing));
        }
        Ok(match self.numbers()? {
            None => Some(WatermarkFault::CutShort),
            Some([first, second]) if first != second => Some(WatermarkFault::Garbled),
            Some(_) => None,
        })
    }

    /// The two numbers, if both are there.
    fn numbers(&self) -> io::Result<Option<[u64; 2]>> {
        let mut twice = Twice::default();
        match self.0.read_exact_at(twice.as_flattened_mut(), 0) {
            Ok(()) => Ok(Some(twice.map(u64::from_be_bytes))),
            // Empty, or torn when it was written for the first time.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Raises the watermark to the changes on record: from now on they are listed.
    pub(super) fn catch_up(&self, on_record: u64) -> io::Result<()> {
        let (acknowledged, fault) = (self.read()?, self.fault()?);
        if acknowledged < on_record || fault.is_some() {
            // Never lowered here: a smaller number on record is an error, which is reported before.
            self.advance_to(on_record.max(acknowledged))?;
        }
        if matches!(
            fault,
            Some(WatermarkFault::Missing | WatermarkFault::CutShort)
        ) {
            // It takes its room now and for good: a disk that is full later must not keep it from being written.
            self.0.sync_data()?;
        }
        Ok(())
    }

    /// Whether the file still has a name. A file without one was removed, most likely together with the
    /// orders.
    pub(super) fn is_linked(&self) -> io::Result<bool> {
        self.0.is_linked()
    }

    pub(super) fn advance_to(&self, changes: u64) -> io::Result<()> {
        // One call to the system per batch, without a sync: see above why it may lag behind.
        let twice: Twice = [changes.to_be_bytes(); 2];
        self.0.write_all_at(twice.as_flattened(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::disk::Disk, *};
    use crate::log::disk::DirectoryDisk;

    /// A watermark and its file.
    fn watermark(dir: &std::path::Path) -> (CommitWatermark, Arc<dyn DiskFile>) {
        let disk = DirectoryDisk::open(dir).unwrap();
        let file = disk.create("watermark").unwrap();
        (CommitWatermark::new(Arc::clone(&file)), file)
    }

    #[test]
    fn the_smaller_of_the_two_numbers_counts_and_a_file_cut_short_says_nothing() {
        let dir = tempfile::TempDir::new().unwrap();
        let (watermark, file) = watermark(dir.path());
        assert_eq!(watermark.read().unwrap(), 0);
        watermark.advance_to(7).unwrap();
        assert_eq!(watermark.read().unwrap(), 7);
        for at in [0, 8] {
            file.write_all_at(&[0xff], at).unwrap();
            assert_eq!(watermark.read().unwrap(), 7);
            watermark.advance_to(7).unwrap();
        }
        let path = dir.path().join("watermark");
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(15).unwrap();
        assert_eq!(watermark.read().unwrap(), 0);
    }

    #[test]
    fn a_file_without_the_number_twice_is_named() {
        let dir = tempfile::TempDir::new().unwrap();
        let (watermark, file) = watermark(dir.path());
        for (content, fault) in [
            (&b""[..], Some(WatermarkFault::Missing)),
            (&b"garbage"[..], Some(WatermarkFault::CutShort)),
            (&b"garbage garbage!"[..], Some(WatermarkFault::Garbled)),
            (&b"garbage garbage "[..], None),
            (&[0; 16][..], None),
        ] {
            file.write_all_at(content, 0).unwrap();
            assert_eq!(watermark.fault().unwrap(), fault, "{content:?}");
        }
    }

    #[test]
    fn the_file_has_its_room_from_the_start() {
        use crate::log::disk::simulated::{FaultPlan, SimulatedDisk};
        let disk = SimulatedDisk::new(1);
        let watermark = CommitWatermark::new(disk.create("watermark").unwrap());
        watermark.catch_up(0).unwrap();
        disk.set_plan(FaultPlan::default().capacity(0));
        watermark.advance_to(7).unwrap();
        assert_eq!(watermark.read().unwrap(), 7);
    }

    #[test]
    fn catching_up_never_goes_back() {
        let dir = tempfile::TempDir::new().unwrap();
        let (watermark, _) = watermark(dir.path());
        for (on_record, expected) in [(5, 5), (3, 5), (6, 6)] {
            watermark.catch_up(on_record).unwrap();
            assert_eq!(watermark.read().unwrap(), expected);
        }
    }
}
