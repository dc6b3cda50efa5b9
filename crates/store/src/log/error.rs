//! Why the embedded store cannot be opened, and errors of its engine.

use std::{
    error::Error,
    fmt, io, iter,
    path::{Path, PathBuf},
};

use super::{
    engine_log,
    recovery::{ENGINE_VERSION, FORMAT},
};
use crate::record::RecordError;

/// How the system reports that no descriptor is left, for the process (`EMFILE`) or at all (`ENFILE`).
const NO_DESCRIPTOR: &str = "Too many open files";

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
    /// The files are those of another version of the storage engine.
    #[error(
        "the store cannot be opened: version {0} of its engine wrote it, and this program reads version \
         {ENGINE_VERSION}. {NOT_DAMAGED}"
    )]
    EngineVersion(u8),
    /// Keys and records have another layout; `None` if it is not on record.
    #[error(
        "the store cannot be opened: its format is {}, and this program reads {FORMAT:?}. {NOT_DAMAGED}",
        .0.as_ref().map_or_else(|| "none".to_owned(), |format| format!("{format:?}"))
    )]
    Format(Option<String>),
    /// Fewer changes are on record than were acknowledged.
    #[error(
        "the store cannot be opened: {acknowledged} changes (orders, payments, prices) were acknowledged and \
         only {on_record} are on record: the end of the journal is damaged. {RESTORE}, or remove its file \
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
    /// The operating system reports an error to the storage engine.
    #[error("the store cannot be opened")]
    Engine(#[source] EngineError),
    /// There is no randomness for the secret of a new store.
    #[error("the store cannot be opened: a secret cannot be drawn")]
    Secret(#[source] Box<dyn Error + Send + Sync>),
    /// The operating system gives no thread.
    #[error("the store cannot be opened: a thread cannot be started")]
    Thread(#[source] io::Error),
}

/// The damage of a store's files.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The records do not add up to the checksum that was written with them.
    #[error("records are missing, are not what was written, or are back though they were removed")]
    Checksum,
    /// A manifest or an `SSTable` differs from its checksum.
    #[error("{}", .0.display())]
    EngineFile(PathBuf),
    /// The storage engine panics over them.
    #[error("the storage engine panics over them")]
    Panic,
    /// The secret is not one.
    #[error("the secret has another length")]
    Secret,
    /// A record cannot be decoded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The storage engine cannot read them.
    #[error(transparent)]
    Engine(EngineError),
}

impl OpenError {
    /// Makes an error of the operating system one of this file.
    pub(super) fn in_file(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }

    /// Why the engine does not open or read the database. An error that is not one of the operating system
    /// is damage.
    pub(super) fn of_engine(error: fjall::Error) -> Self {
        if matches!(error, fjall::Error::Locked) {
            return Self::InUse;
        }
        let error = EngineError(error);
        if error.system_error().is_some() {
            Self::Engine(error)
        } else {
            Self::Damaged(Damage::Engine(error))
        }
    }
}

impl From<Damage> for OpenError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

/// An error of the storage engine. It displays its first cause, so it has no source: where the operating
/// system reports an error, that error is what an operator can act on.
pub struct EngineError(pub(super) fjall::Error);

impl EngineError {
    /// The error of the operating system behind it, if there is one.
    fn system_error(&self) -> Option<&io::Error> {
        let first = &self.0 as &(dyn Error + 'static);
        iter::successors(Some(first), |error| (*error).source())
            .filter_map(|error| error.downcast_ref::<io::Error>())
            // Only errors with a code: the engine also wraps its own findings in `io::Error`.
            .find(|error| error.raw_os_error().is_some())
    }
}

impl fmt::Debug for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self.0, fjall::Error::Poisoned) {
            // A write in the foreground learns only that one in the background has failed before.
            let logged = engine_log::last_error();
            let logged = logged.as_deref().map_or(
                "check whether the disk is full or failing".into(),
                with_advice,
            );
            return write!(f, "an earlier write in the background failed: {logged}");
        }
        match self.system_error() {
            Some(error) => f.write_str(&with_advice(&error.to_string())),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Error for EngineError {}

/// Adds what an operator has to know: a lack of descriptors is not a fault of the disk.
fn with_advice(text: &str) -> String {
    // By the text, because the engine's threads report their errors in its log only.
    if text.contains(NO_DESCRIPTOR) {
        format!(
            "{text}: no file descriptor was left (`ulimit -n`, `LimitNOFILE`); the disk is not at fault"
        )
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorChain;

    #[test]
    fn an_error_of_the_system_is_told_from_damage_and_a_lack_of_descriptors_from_a_bad_disk() {
        let os_error = |code| fjall::Error::Io(io::Error::from_raw_os_error(code));
        let open_error = |error| ErrorChain(&OpenError::of_engine(error)).to_string();
        let (too_many_files, input_output) = (24, 5);
        assert_eq!(
            open_error(os_error(input_output)),
            "the store cannot be opened: Input/output error (os error 5)"
        );
        assert!(open_error(os_error(too_many_files)).ends_with("the disk is not at fault"));
        assert!(open_error(fjall::Error::Locked).contains("another process has it open"));
        let damaged = open_error(fjall::Error::InvalidVersion(None));
        assert!(
            damaged.contains("its files are damaged (") && damaged.ends_with(RESTORE),
            "{damaged}"
        );
    }
}
