//! Errors of a store that is open, by operation.

use std::{error::Error, fmt, path::PathBuf, sync::Arc};

use super::{Precondition, record::RecordError};

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk, or what else keeps the store, reports an error.
    #[error("the store cannot be read")]
    Disk(#[source] Box<dyn Error + Send + Sync>),
    /// A record is damaged.
    #[error("the store cannot be read")]
    Record(#[from] RecordError),
    /// A record is not what was written.
    #[error("the store cannot be read: a record is damaged ({0})")]
    Damaged(String),
    /// Orders of a customer are damaged, at these places; all others were read.
    #[error("orders cannot be read: {}", .0.join("; "))]
    DamagedOrders(Vec<String>),
    /// The system gives no thread to read with.
    #[error("the store cannot be read: no thread is free")]
    NoThread,
    /// Reading panicked, which has been logged.
    #[error("the store cannot be read: an internal error; it has been logged")]
    Panicked,
    /// A key leads to an order that is not there.
    #[error("the store cannot be read: an order is missing from its user's list")]
    MissingFromList,
    /// [`super::Store::recover`] was called before.
    #[error("the store cannot be read: what was read at the start has been given away")]
    AlreadyRecovered,
}

/// Why a unit is not durable. The error of the first failed write answers all later commits: what is on
/// disk is unknown until a restart has read it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// A precondition does not hold, so nothing was written. The decision has to be made again.
    #[error("what the change was decided on has changed")]
    Stale(Precondition),
    /// The store cannot write at present, and nothing was written. It comes back by itself.
    #[error("the store is unavailable")]
    Unavailable,
    /// Whether a precondition holds cannot be read, so nothing was written. Other units are.
    #[error("what the change was decided on cannot be read")]
    Unreadable(#[source] Arc<ReadError>),
    /// The unit is larger than a segment of the log can hold.
    #[error("a change of {0} bytes is too large for the store")]
    TooLarge(usize),
    /// The write failed.
    #[error("the store has failed: a change cannot be written")]
    Write(#[source] Arc<dyn Error + Send + Sync>),
    /// The writer panicked.
    #[error("the store has failed: the writer panicked")]
    WriterPanicked,
    /// The writer has ended.
    #[error("the store has failed: the writer has stopped")]
    WriterStopped,
    /// The files of the store were removed.
    #[error("the store has failed: its files were removed")]
    FilesRemoved,
    /// The files of the store are no longer in its directory.
    #[error("the store has failed: its files are no longer in {}", .0.display())]
    FilesMoved(PathBuf),
}

impl CommitError {
    /// A write failed.
    pub fn write(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Write(Arc::new(source))
    }
}

/// Why personal data is not erased, or not yet.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// An order cannot be read. Nothing of it is erased.
    #[error("the personal data cannot be found")]
    Read(#[from] ReadError),
    /// The data of `erased` orders is erased, and orders at the places of `damage` cannot be read. Nothing of them is erased.
    #[error(
        "not everything is erased: the personal data of {erased} orders was erased, and orders cannot be read: {}",
        .damage.join("; ")
    )]
    Partly {
        /// Number of orders.
        erased: u64,
        /// Where the damage is, and what it is.
        damage: Vec<String>,
    },
    /// That the data is erased, or was overwritten, cannot be recorded.
    #[error("the erasure cannot be recorded")]
    Commit(#[from] CommitError),
    /// The erasure is on record, so the data is not shown any more; its bytes cannot be overwritten. The next erasure or
    /// the next start tries again.
    #[error("the erasure is recorded, and the data cannot be overwritten yet")]
    Overwrite(#[source] Box<dyn Error + Send + Sync>),
    /// The system gives no thread to erase with.
    #[error("no thread is free")]
    NoThread,
    /// Erasing panicked, which has been logged.
    #[error("an internal error; it has been logged")]
    Panicked,
}

/// Displays an error with all of its sources, from the outermost to the first cause.
#[derive(Debug, Clone, Copy)]
pub struct ErrorChain<'e>(pub &'e (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_chain_shows_every_cause_once() {
        let full = CommitError::write(io::Error::other("no room"));
        let nowhere = CommitError::FilesMoved("/data".into());
        let record = ReadError::from(RecordError::Missing("order"));
        for (error, expected) in [
            (
                &full as &(dyn Error + 'static),
                "the store has failed: a change cannot be written: no room",
            ),
            (
                &nowhere,
                "the store has failed: its files are no longer in /data",
            ),
            (&record, "the store cannot be read: a record has no order"),
        ] {
            assert_eq!(ErrorChain(error).to_string(), expected);
        }
    }
}
