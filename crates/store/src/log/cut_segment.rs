//! Sealed segments that have lost their end. A start does not read what has a summary; the length of the file is one call.

use std::{fmt, io};

use super::{disk::Disk, segment_name::log_name, summary::Summary};

/// A sealed segment whose file is shorter than what was written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutSegment {
    /// Its number.
    pub segment: u64,
    /// The length of its file: what was written behind it is lost.
    pub length: u64,
    /// Bytes that are lost.
    pub lost_bytes: u64,
    /// Orders that begin behind the end of the file. One more may have lost its own end.
    pub lost_orders: u64,
    /// The number of its last change, up to which changes are lost.
    pub last_sequence: u64,
}

impl CutSegment {
    /// Compares the length of a segment's file with its summary.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn find(disk: &dyn Disk, summary: &Summary) -> io::Result<Option<Self>> {
        let segment = summary.bounds.segment;
        let length = disk.open(&log_name(segment))?.len()?;
        if length >= summary.end {
            return Ok(None);
        }
        let entries = &summary.effects.entries;
        let intact = entries.partition_point(|entry| entry.position.offset() < length);
        Ok(Some(Self {
            segment,
            length,
            lost_bytes: summary.end - length,
            lost_orders: (entries.len() - intact) as u64,
            last_sequence: summary.bounds.last_sequence,
        }))
    }
}

impl fmt::Display for CutSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            segment,
            length,
            lost_bytes,
            lost_orders,
            last_sequence,
        } = self;
        write!(
            f,
            "{}, offset {length}: the file is cut short; {lost_bytes} bytes up to change {last_sequence} are lost, with at \
             least {lost_orders} orders",
            log_name(*segment)
        )
    }
}
