//! The headers of all segments, and what they say of the log as a whole: one rule for the start, for `store verify` and
//! `store info`, and for backups.

use std::{collections::BTreeMap, convert::Infallible, io};

use super::{
    disk::Disk,
    error::{Damage, DamageFault, OpenError},
    frame::FRAME_HEADER_BYTES,
    planted::{PlantedFault, is_planted},
    recovery::{header_of, read_file, read_if_there},
    scan::scan,
    segment::{HeaderFound, SEGMENT_HEADER_BYTES, SegmentHeader},
    segment_name::{LogFile, log_name, parse, summary_name},
    summary::Summary,
};

/// The headers of all segments.
#[derive(Debug)]
pub(super) struct HeaderSurvey {
    pub(super) found: BTreeMap<u64, HeaderFound>,
    /// The first that can be read: it says which store this is.
    pub(super) first: Option<SegmentHeader>,
    /// The last that is in use.
    pub(super) last: Option<SegmentHeader>,
}

/// What stands behind the last segment of which the header can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Successor {
    /// None, or one that is not in use.
    Unused,
    /// The segment of this number, of which the header was torn while it was written. No change is in it.
    Torn(u64),
    /// One that was in use, and that is gone or has no header.
    Damaged(Damage),
}

impl HeaderSurvey {
    /// Reads them in the order of their numbers.
    ///
    /// # Errors
    /// [`OpenError`], in particular for another format.
    pub(super) fn read(disk: &dyn Disk) -> Result<Self, OpenError> {
        let mut survey = Self {
            found: BTreeMap::new(),
            first: None,
            last: None,
        };
        let mut numbers = Vec::new();
        for name in disk.list().map_err(OpenError::Disk)? {
            if let Some(LogFile::Segment(number)) = parse(&name) {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        for number in numbers {
            // A spare may have lost its name since it was listed.
            let Some(found) = header_if_there(disk, number)? else {
                continue;
            };
            match &found {
                HeaderFound::Header(header) => {
                    survey.first.get_or_insert(*header);
                    survey.last = Some(*header);
                }
                HeaderFound::Format(format) => return Err(OpenError::Format(format.clone())),
                HeaderFound::Blank | HeaderFound::Damaged => {}
            }
            survey.found.insert(number, found);
        }
        Ok(survey)
    }

    /// The headers of all segments in use, from number 1 on, and what stands behind them.
    ///
    /// # Errors
    /// [`Damage`] unless they are there without gaps, belong to one store and end where the log was written to. Other
    /// errors are those of reading.
    pub(super) fn require_sound(
        &self,
        disk: &dyn Disk,
    ) -> Result<(Vec<SegmentHeader>, Successor), OpenError> {
        let mut used = Vec::new();
        for number in 1..=self.last.map_or(0, |last| last.number) {
            let fault = match self.found.get(&number) {
                Some(HeaderFound::Header(header)) if self.is_of_store(header) => {
                    used.push(*header);
                    continue;
                }
                Some(HeaderFound::Header(_)) => DamageFault::OtherStore,
                Some(_) => DamageFault::Header,
                None => DamageFault::Missing,
            };
            return Err(self.damage(disk, number, fault)?.into());
        }
        let successor = self.successor(disk)?;
        if let Successor::Damaged(damage) = successor {
            return Err(damage.into());
        }
        if let Some(number) = self.damaged_spares().next() {
            return Err(self.damage(disk, number, DamageFault::Header)?.into());
        }
        Ok((used, successor))
    }

    /// What stands behind the last segment of which the header can be read. The watermark may not say that changes are
    /// missing: it lags behind after a power failure, and it may be gone.
    ///
    /// # Errors
    /// Those of reading.
    pub(super) fn successor(&self, disk: &dyn Disk) -> Result<Successor, OpenError> {
        let number = self.last.map_or(0, |last| last.number) + 1;
        let (is_damaged, has_frames) = match self.found.get(&number) {
            // Only this one can have been written to, and no further than its header, which is synced before a frame is
            // written. With anything behind it, this was the header of a segment in use.
            Some(HeaderFound::Damaged) => (true, !is_blank_behind_header(disk, number)?),
            // A header that is lost, because the disk has written it elsewhere.
            Some(HeaderFound::Blank) => (false, has_frames(disk, number)?),
            Some(HeaderFound::Header(_) | HeaderFound::Format(_)) | None => (false, false),
        };
        let fault = if has_frames && !is_planted(PlantedFault::HeaderDamageIgnored) {
            DamageFault::Header
        } else if self.is_last_sealed(disk)? {
            DamageFault::Missing
        } else if is_damaged {
            return Ok(Successor::Torn(number));
        } else {
            return Ok(Successor::Unused);
        };
        // A running server may have begun the segment since the survey.
        if let Some(HeaderFound::Header(_)) = header_if_there(disk, number)? {
            return Ok(Successor::Unused);
        }
        Ok(Successor::Damaged(self.damage(disk, number, fault)?))
    }

    /// Whether the last segment was sealed: then there was another one behind it.
    fn is_last_sealed(&self, disk: &dyn Disk) -> Result<bool, OpenError> {
        let Some(last) = self.last else {
            return Ok(false);
        };
        let Some(bytes) = read_if_there(disk, &summary_name(last.number))? else {
            return Ok(false);
        };
        // A segment is summarized only once its successor is durable, with its name.
        let summary = Summary::decode(&bytes, last.identity.seed().get(), last.number);
        Ok(summary.is_some_and(|summary| summary.bounds.first_sequence == last.first_sequence))
    }

    /// Segments further behind the last one that are not blank. Nothing was ever written to them.
    pub(super) fn damaged_spares(&self) -> impl Iterator<Item = u64> {
        let last = self.last.map_or(0, |last| last.number);
        let spares = self.found.range(last + 2..);
        spares
            .filter(|(_, found)| **found == HeaderFound::Damaged)
            .map(|(number, _)| *number)
    }

    fn is_of_store(&self, header: &SegmentHeader) -> bool {
        self.first
            .is_some_and(|first| first.identity == header.identity)
    }

    /// Damage of a whole segment, which begins with the change after the last one of the segment before.
    fn damage(
        &self,
        disk: &dyn Disk,
        segment: u64,
        fault: DamageFault,
    ) -> Result<Damage, OpenError> {
        let mut before = self.found.range(..segment).rev();
        let sequence = match before.find_map(|(_, found)| header_in(found)) {
            None => 1,
            Some(header) => {
                let bytes = read_file(disk, &log_name(header.number)).map_err(OpenError::Disk)?;
                let seed = header.identity.seed();
                let Ok((end, _)) = scan::<Infallible>(&bytes, seed, header, u64::MAX, |_| Ok(()));
                end.next_sequence
            }
        };
        Ok(Damage {
            segment,
            offset: 0,
            sequence,
            fault,
        })
    }

    /// The header of this segment, if it is as it was written.
    pub(super) fn header(&self, number: u64) -> Option<&SegmentHeader> {
        self.found.get(&number).and_then(header_in)
    }

    /// Bytes of the segments in use.
    pub(super) fn bytes(&self, disk: &dyn Disk) -> Result<u64, OpenError> {
        let last = self.last.map_or(0, |last| last.number);
        let mut bytes = 0;
        for number in self.found.range(..=last).map(|(number, _)| *number) {
            let file = disk.open(&log_name(number)).map_err(OpenError::Disk)?;
            bytes += file.len().map_err(OpenError::Disk)?;
        }
        Ok(bytes)
    }

    /// Fails if a log without a readable header had changes: without the secret in it nothing can be verified.
    pub(super) fn require_empty(&self, acknowledged: u64) -> Result<(), OpenError> {
        if acknowledged == 0 {
            return Ok(());
        }
        let mut found = self.found.iter();
        if let Some((number, _)) = found.find(|(_, found)| **found == HeaderFound::Damaged) {
            return Err(OpenError::Damaged(Damage {
                segment: *number,
                offset: 0,
                sequence: 1,
                fault: DamageFault::Header,
            }));
        }
        Err(OpenError::ChangesMissing {
            acknowledged,
            on_record: 0,
        })
    }
}

fn header_in(found: &HeaderFound) -> Option<&SegmentHeader> {
    match found {
        HeaderFound::Header(header) => Some(header),
        HeaderFound::Blank | HeaderFound::Format(_) | HeaderFound::Damaged => None,
    }
}

/// What stands at the beginning of a segment, if there is one of this number.
fn header_if_there(disk: &dyn Disk, number: u64) -> Result<Option<HeaderFound>, OpenError> {
    match header_of(disk, number) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::Disk(error)),
    }
}

/// Whether something stands where the first frame of a segment begins.
fn has_frames(disk: &dyn Disk, number: u64) -> Result<bool, OpenError> {
    let mut first = [0; FRAME_HEADER_BYTES];
    let read = disk
        .open(&log_name(number))
        .and_then(|file| file.read_exact_at(&mut first, SEGMENT_HEADER_BYTES as u64));
    match read {
        Ok(()) => Ok(first.iter().any(|&byte| byte != 0)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(OpenError::Disk(error)),
    }
}

/// Whether nothing stands behind the header of a segment.
fn is_blank_behind_header(disk: &dyn Disk, number: u64) -> Result<bool, OpenError> {
    let bytes = read_if_there(disk, &log_name(number))?.unwrap_or_default();
    let behind = bytes.get(SEGMENT_HEADER_BYTES..).unwrap_or_default();
    Ok(behind.iter().all(|&byte| byte == 0))
}
