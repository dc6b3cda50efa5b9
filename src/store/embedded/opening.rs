//! Opening the engine, and seeing that everything is there that was acknowledged.

use std::{
    fs::{self, OpenOptions, TryLockError},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use fjall::{Database, Keyspace, PersistMode};

use super::{
    AcknowledgedMark, Contents, KeptFiles, Names, Tally, cannot_open, engine, kept::entries, keys,
    said_by_system, tables,
};
use crate::store::StoreError;

/// The layout of keys and records; a store of another one is not touched.
const FORMAT: &[u8] = b"boxoffice 2";

/// What the engine's `version` file begins with, and the version of the engine's files that can be read.
const ENGINE: &[u8] = b"FJL";
const ENGINE_VERSION: u8 = 3;

const NOT_DAMAGED: &str = "It is not damaged: start the version of this program that wrote it";

const RESTORE: &str = "Restore the folder from a backup";

/// A database that has been seen to hold everything that was acknowledged.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) records: Keyspace,
    pub(super) names: Names,
    pub(super) contents: Contents,
}

/// Opens the database in `home`, or begins one there. If that fails, everything is as it was.
pub(super) fn open(home: &Path, mark: &AcknowledgedMark) -> Result<Opened, StoreError> {
    let in_home = |error: io::Error| cannot_open(format_args!("{}: {error}", home.display()));
    let files = KeptFiles::keep(home).map_err(in_home)?;
    let opened = files
        .copy_journals()
        .map_err(in_home)
        .and_then(|()| open_whole(home, mark));
    match opened {
        Ok(opened) => {
            files.discard().map_err(in_home)?;
            mark.catch_up(opened.contents.tally.changes())
                .map_err(cannot_open)?;
            Ok(opened)
        }
        Err(refusal) => {
            files.put_back().map_err(in_home)?;
            Err(refusal)
        }
    }
}

/// Opens the database and looks whether it is whole. The engine panics over some kinds of damage.
fn open_whole(home: &Path, mark: &AcknowledgedMark) -> Result<Opened, StoreError> {
    let open = || {
        refuse_what_is_no_store(home)?;
        refuse_other_engine(home)?;
        tables::refuse_if_damaged(home)?;
        let database = engine::open(home).map_err(refused)?;
        let records = database
            .keyspace("records", engine::tables)
            .map_err(refused)?;
        let is_new = records.first_key_value().is_none();
        if is_new {
            begin(&database, &records)?;
        }
        let names = Names::new(secret(&records)?);
        let contents = Contents::read(&records)?;
        refuse_if_changes_are_missing(mark, contents.tally.changes())?;
        if is_new {
            tracing::warn!(
                directory = %home.display(),
                "there was no store here: a new one is begun, without any order. If there should be one, stop \
                 the server and see whether its volume is mounted; `store_must_exist` forbids this"
            );
        }
        Ok(Opened {
            database,
            records,
            names,
            contents,
        })
    };
    catch_unwind(AssertUnwindSafe(open))
        .unwrap_or_else(|_| Err(damaged("the engine panics over them")))
}

/// The engine would begin a database among whatever is there.
fn refuse_what_is_no_store(home: &Path) -> Result<(), StoreError> {
    let is_empty = entries(home).map_err(cannot_open)?.next().is_none();
    if is_empty
        || ["version", "lock"]
            .iter()
            .all(|file| home.join(file).exists())
    {
        return Ok(());
    }
    Err(cannot_open(format_args!(
        "{} holds what is not a store, or not all of one",
        home.display()
    )))
}

/// Files of another version of the engine are arranged in another way and would look damaged.
fn refuse_other_engine(home: &Path) -> Result<(), StoreError> {
    let header = fs::read(home.join("version")).unwrap_or_default();
    match header.strip_prefix(ENGINE) {
        Some(&[version, ..]) if version != ENGINE_VERSION => Err(cannot_open(format_args!(
            "version {version} of its engine wrote it, and this program reads version {ENGINE_VERSION}. \
             {NOT_DAMAGED}"
        ))),
        _ => Ok(()),
    }
}

/// Fails if a process has the engine's files open. It may have them without the mark, if somebody
/// removed that.
pub(super) fn refuse_if_in_use(home: &Path) -> Result<(), StoreError> {
    let path = home.join("lock");
    let in_path = |error: io::Error| cannot_open(format_args!("{}: {error}", path.display()));
    let lock = match OpenOptions::new().read(true).write(true).open(&path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(());
        }
        lock => lock.map_err(in_path)?,
    };
    match lock.try_lock() {
        // Not left to the closing of the file: a child process that has not yet run its program shares it,
        // and the engine would find its own file locked.
        Ok(()) => lock.unlock().map_err(in_path),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse),
        Err(TryLockError::Error(error)) => Err(in_path(error)),
    }
}

/// A new store gets its secret and its format written first of all.
fn begin(database: &Database, records: &Keyspace) -> Result<(), StoreError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(cannot_open)?;
    let mut tally = Tally::default();
    let mut batch = tally.of_batch(
        database.batch().durability(Some(PersistMode::SyncAll)),
        records,
    );
    batch.insert(keys::FORMAT.to_vec(), FORMAT);
    batch.insert(keys::SECRET.to_vec(), secret);
    batch.commit(0).map_err(refused)
}

fn secret(records: &Keyspace) -> Result<[u8; 32], StoreError> {
    let format = records.get(keys::FORMAT).map_err(refused)?;
    if format.as_deref() != Some(FORMAT) {
        let found = format.map_or("none".into(), |format| {
            format!("{:?}", String::from_utf8_lossy(&format))
        });
        let ours = String::from_utf8_lossy(FORMAT);
        return Err(cannot_open(format_args!(
            "its format is {found}, and this program reads {ours:?}. {NOT_DAMAGED}"
        )));
    }
    let secret = records.get(keys::SECRET).map_err(refused)?;
    secret
        .and_then(|secret| <[u8; 32]>::try_from(&*secret).ok())
        .ok_or_else(|| damaged("the secret has another length"))
}

fn refuse_if_changes_are_missing(
    mark: &AcknowledgedMark,
    on_record: u64,
) -> Result<(), StoreError> {
    let acknowledged = mark.read().map_err(cannot_open)?;
    if acknowledged <= on_record {
        return Ok(());
    }
    Err(cannot_open(format_args!(
        "{acknowledged} changes (orders, payments, prices) were acknowledged and only {on_record} are on \
         record: the end of the journal is damaged. {RESTORE}, or remove its file \"acknowledged\" to go on \
         without them"
    )))
}

/// Why the engine refuses.
pub(super) fn refused(error: fjall::Error) -> StoreError {
    if matches!(error, fjall::Error::Locked) {
        return StoreError::InUse;
    }
    said_by_system(&error).map_or_else(|| damaged(error), cannot_open)
}

/// That the files are not what was written.
pub(super) fn damaged(what: impl std::fmt::Display) -> StoreError {
    cannot_open(format_args!("its files are damaged: {what}. {RESTORE}"))
}
