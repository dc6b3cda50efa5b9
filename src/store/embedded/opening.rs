//! Opening the engine, and seeing that everything is there that was acknowledged.

use std::{
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
    let opened = files.copy_journals().map_err(in_home).and_then(|()| open_whole(home, mark));
    match opened {
        Ok(opened) => {
            files.discard().map_err(in_home)?;
            mark.catch_up(opened.contents.tally.changes()).map_err(cannot_open)?;
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
        tables::refuse_if_damaged(home)?;
        let database = engine::open(home).map_err(refused)?;
        let records = database.keyspace("records", engine::tables).map_err(refused)?;
        if records.first_key_value().is_none() {
            begin(&database, &records)?;
        }
        let names = Names::new(secret(&records)?);
        let contents = Contents::read(&records)?;
        refuse_if_changes_are_missing(mark, contents.tally.changes())?;
        Ok(Opened { database, records, names, contents })
    };
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| Err(damaged("the engine panics over them")))
}

/// The engine would begin a database among whatever is there.
fn refuse_what_is_no_store(home: &Path) -> Result<(), StoreError> {
    let is_empty = entries(home).map_err(cannot_open)?.next().is_none();
    if is_empty || ["version", "lock"].iter().all(|file| home.join(file).exists()) {
        return Ok(());
    }
    Err(cannot_open(format_args!("{} holds what is not a store, or not all of one", home.display())))
}

/// A new store gets its secret and its format written first of all.
fn begin(database: &Database, records: &Keyspace) -> Result<(), StoreError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(cannot_open)?;
    let mut tally = Tally::default();
    let mut batch = tally.of_batch(database.batch().durability(Some(PersistMode::SyncAll)), records);
    batch.insert(keys::FORMAT.to_vec(), FORMAT);
    batch.insert(keys::SECRET.to_vec(), secret);
    batch.commit(0).map_err(refused)
}

fn secret(records: &Keyspace) -> Result<[u8; 32], StoreError> {
    let format = records.get(keys::FORMAT).map_err(refused)?;
    if format.as_deref() != Some(FORMAT) {
        return Err(cannot_open("it is not a store of this format"));
    }
    let secret = records.get(keys::SECRET).map_err(refused)?;
    secret
        .and_then(|secret| <[u8; 32]>::try_from(&*secret).ok())
        .ok_or_else(|| damaged("the secret has another length"))
}

fn refuse_if_changes_are_missing(mark: &AcknowledgedMark, on_record: u64) -> Result<(), StoreError> {
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
    said_by_system(&error).map_or_else(|| damaged(error), cannot_open)
}

/// That the files are not what was written.
pub(super) fn damaged(what: impl std::fmt::Display) -> StoreError {
    cannot_open(format_args!("its files are damaged: {what}. {RESTORE}"))
}
