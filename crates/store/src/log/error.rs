//! Why the log cannot be opened, and what is wrong with its files.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use super::{
    segment::FORMAT,
    segment_name::{log_name, slots_name, summary_name},
};
use crate::{EraseError, ReadError, record::RecordError};

const NOT_DAMAGED: &str = "It is not damaged: start the version of this program that wrote it";

const RESTORE: &str = "Restore the folder from a backup";

/// Why a store cannot be opened. Its files are as they were.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store cannot be opened: another process has it open")]
    InUse,
    /// A file or directory cannot be used.
    #[error("the store cannot be opened: {}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system reports.
        source: io::Error,
    },
    /// The directory holds other files.
    #[error("the store cannot be opened: {} holds what is not a store, or not all of one", .0.display())]
    NotAStore(PathBuf),
    /// Files and records have another layout.
    #[error(
        "the store cannot be opened: its format is {0:?}, and this program reads {FORMAT:?}. {NOT_DAMAGED}"
    )]
    Format(String),
    /// Fewer changes are on record than were acknowledged.
    #[error(
        "the store cannot be opened: {acknowledged} changes (orders, holds, payments, prices) were acknowledged and \
         only {on_record} are on record: the end of the log is damaged. {RESTORE}, or remove its file \
         \"acknowledged\" to go on without them"
    )]
    ChangesMissing {
        /// The changes that were acknowledged.
        acknowledged: u64,
        /// The changes on record.
        on_record: u64,
    },
    /// The files are not what was written.
    #[error("the store cannot be opened: its files are damaged ({0}). {RESTORE}")]
    Damaged(Damage),
    /// There is no randomness for the secret of a new store.
    #[error("the store cannot be opened: a secret cannot be drawn")]
    Secret(#[source] Box<dyn Error + Send + Sync>),
    /// The operating system gives no thread.
    #[error("the store cannot be opened: a thread cannot be started")]
    Thread(#[source] io::Error),
    /// An erasure that a crash has interrupted cannot be finished.
    #[error("the store cannot be opened: personal data that is being erased cannot be overwritten")]
    Erasure(#[source] EraseError),
    /// What has been found cannot be read again.
    #[error("the store cannot be opened")]
    Read(#[source] ReadError),
    /// The files of the log cannot be read or written.
    #[error("the store cannot be opened")]
    Disk(#[source] io::Error),
}

impl OpenError {
    /// Makes an error of the operating system one of this file.
    pub(super) fn in_file(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }
}

impl From<Damage> for OpenError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

/// Damage of a segment: where it is, what it is, and which changes cannot be read for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The number of the segment.
    pub segment: u64,
    /// The first byte that is not what was written, as far as that is known.
    pub offset: u64,
    /// The first change that is damaged, by its sequence number. Everything before it is intact.
    pub sequence: u64,
    /// What is wrong.
    pub fault: DamageFault,
}

/// What is wrong with a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DamageFault {
    /// The file is not there.
    Missing,
    /// It is shorter than what was written.
    CutShort,
    /// Its header is not what was written.
    Header,
    /// It belongs to another store.
    OtherStore,
    /// A frame does not verify, and a valid one stands behind it.
    Frame {
        /// The offset of the valid frame.
        valid_at: u64,
    },
    /// A frame does not continue the one before it: one in between is missing, or this one belongs elsewhere.
    Chain,
    /// Only a part of what was written to it is there, and a later segment is in use.
    End,
    /// A record cannot be decoded.
    Record(RecordError),
    /// The personal part of a record is neither what was written nor erased.
    PersonalPart,
    /// A part of a record was erased, and no erasure is on record.
    ErasedUnrecorded,
    /// A part of a record is there, and its erasure is on record as complete.
    NotErased,
    /// A record is linked to something else than the one before it: of an order, an earlier one of the same user; of an
    /// update, the update before.
    Link,
    /// An update gives back more spots than its order has taken.
    Released,
    /// A record builds on another that is not on record: an attempt at a step on an update of the order, a revision of the
    /// lifecycle on the one before.
    Unfounded,
    /// The summary of the segment is not what its records add up to.
    Summary,
    /// The index of the slots of the segment is not that of its records.
    SlotIndex,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            segment,
            offset,
            sequence,
            fault,
        } = self;
        write!(
            f,
            "{}, offset {offset}, change {sequence}: ",
            log_name(*segment)
        )?;
        match fault {
            DamageFault::Missing => f.write_str("the file is missing"),
            DamageFault::CutShort => f.write_str("the file is cut short"),
            DamageFault::Header => f.write_str("the header of the segment is not what was written"),
            DamageFault::OtherStore => f.write_str("the segment belongs to another store"),
            DamageFault::Frame { valid_at } => write!(
                f,
                "a frame is not what was written; the next intact one is at offset {valid_at}"
            ),
            DamageFault::Chain => f.write_str("a frame does not continue the one before it"),
            DamageFault::End => f.write_str("the end of the segment is not what was written"),
            DamageFault::Record(error) => write!(f, "{error}"),
            DamageFault::PersonalPart => {
                f.write_str("the personal data of an order is not what was written")
            }
            DamageFault::NotErased => f.write_str(
                "personal data is there, although its erasure is on record: the segment is an older copy",
            ),
            DamageFault::ErasedUnrecorded => {
                f.write_str("personal data is erased, and no erasure is on record")
            }
            DamageFault::Link => {
                f.write_str("a record is not linked to the one before it of the same user or order")
            }
            DamageFault::Released => {
                f.write_str("an order gives back more spots than it has taken")
            }
            DamageFault::Unfounded => f.write_str("a record builds on one that is not on record"),
            DamageFault::Summary => write!(
                f,
                "{} is not what the records add up to; without this file the next start makes it again",
                summary_name(*segment)
            ),
            DamageFault::SlotIndex => write!(
                f,
                "{} is not the index of the records; without this file the next start makes it again",
                slots_name(*segment)
            ),
        }
    }
}

impl Error for Damage {}
