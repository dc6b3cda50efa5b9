//! Recovery: the engine is opened, and everything acknowledged is verified to be there.

use std::{
    fs::{self, OpenOptions, TryLockError},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use fjall::{Database, Keyspace, PersistMode};

use super::{
    CommitWatermark, FullScan, KeyDeriver, OpenGuard, StateChecksum, engine, engine_files,
    error::{Damage, OpenError},
    keys,
    open_guard::entries,
};

/// The layout of keys and records; a store of another one is not touched.
pub(super) const FORMAT: &str = "boxoffice 2";

/// How the engine's `version` file begins, and the version of its files that this program reads.
const ENGINE: &[u8] = b"FJL";
pub(super) const ENGINE_VERSION: u8 = 3;

/// A database that holds everything that was acknowledged.
pub(super) struct RecoveredDatabase {
    pub(super) database: Database,
    pub(super) records: Keyspace,
    pub(super) keys: KeyDeriver,
    pub(super) scan: FullScan,
}

/// Opens the database in `home`, or creates one. If that fails, everything is as it was.
pub(super) fn open(
    home: &Path,
    watermark: &CommitWatermark,
) -> Result<RecoveredDatabase, OpenError> {
    let in_home = OpenError::in_file(home);
    let guard = OpenGuard::begin(home).map_err(&in_home)?;
    let opened = guard
        .copy_journals()
        .map_err(&in_home)
        // The journals are copied inside of the guard, so that a failure to copy is rolled back as
        // well.
        .and_then(|()| open_and_verify(home, watermark));
    match opened {
        Ok(opened) => {
            // Released before anything is written: a crash after the first write would roll it back.
            guard.release().map_err(in_home)?;
            let on_record = opened.scan.checksum.changes();
            watermark
                .catch_up(on_record)
                .map_err(OpenError::in_file(watermark.path()))?;
            Ok(opened)
        }
        Err(error) => {
            // An error here counts more than the first one: the files are then not as they were.
            guard.roll_back().map_err(in_home)?;
            Err(error)
        }
    }
}

/// Opens the database and verifies it. The engine panics over some kinds of damage.
fn open_and_verify(
    home: &Path,
    watermark: &CommitWatermark,
) -> Result<RecoveredDatabase, OpenError> {
    // Unwind safe: after a panic nothing of the engine is used, and its files are rolled back.
    catch_unwind(AssertUnwindSafe(|| {
        // All before the engine runs: it would create a database among other files, misread those of another
        // version, or act on a damaged manifest.
        require_store_or_nothing(home)?;
        require_engine_version(home)?;
        engine_files::verify(home)?;
        let opened = open_database(home)?;
        require_acknowledged(watermark, opened.scan.checksum.changes())?;
        Ok(opened)
    }))
    .unwrap_or(Err(Damage::Panic.into()))
}

fn open_database(home: &Path) -> Result<RecoveredDatabase, OpenError> {
    let database = engine::open(home).map_err(OpenError::of_engine)?;
    let records = database
        .keyspace("records", engine::keyspace_options)
        .map_err(OpenError::of_engine)?;
    // By its records and not its files: a crash before the first batch leaves an engine without
    // records.
    let is_new = records.first_key_value().is_none();
    if is_new {
        create(&database, &records)?;
    }
    // Before the scan: records of another format are not damaged, and must not be reported as if.
    let keys = KeyDeriver::new(secret(&records)?);
    let scan = FullScan::read(&records)?;
    if is_new {
        tracing::warn!(
            directory = %home.display(),
            "no store was found: an empty one was created. If there should be one, stop the server and check \
             that its volume is mounted; `store_must_exist` prevents this"
        );
    }
    Ok(RecoveredDatabase {
        database,
        records,
        keys,
        scan,
    })
}

/// Fails if `home` holds files that are not a store: the engine would create a database among them.
fn require_store_or_nothing(home: &Path) -> Result<(), OpenError> {
    let is_empty = entries(home)
        .map_err(OpenError::in_file(home))?
        .next()
        .is_none();
    // Every database of the engine has both files.
    let is_store = ["version", "lock"]
        .iter()
        .all(|file| home.join(file).exists());
    if is_empty || is_store {
        return Ok(());
    }
    Err(OpenError::NotAStore(home.to_owned()))
}

/// Fails on files of another version of the engine. They have another layout and would look damaged.
fn require_engine_version(home: &Path) -> Result<(), OpenError> {
    // A version file that cannot be read is left to the engine, which reports more about it.
    let header = fs::read(home.join("version")).unwrap_or_default();
    match header.strip_prefix(ENGINE) {
        Some(&[version, ..]) if version != ENGINE_VERSION => Err(OpenError::EngineVersion(version)),
        _ => Ok(()),
    }
}

/// Fails if a process has the engine's files open. The watermark does not tell if somebody removed it.
pub(super) fn require_unused(home: &Path) -> Result<(), OpenError> {
    let path = home.join("lock");
    let in_path = OpenError::in_file(&path);
    let lock = match OpenOptions::new().read(true).write(true).open(&path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(());
        }
        lock => lock.map_err(&in_path)?,
    };
    match lock.try_lock() {
        // Unlocked by hand, because closing is not enough: a child process between fork and exec shares the
        // file, and the engine would find it locked.
        Ok(()) => lock.unlock().map_err(in_path),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
        Err(TryLockError::Error(error)) => Err(in_path(error)),
    }
}

/// Writes the first batch of a new store: its format and its secret.
fn create(database: &Database, records: &Keyspace) -> Result<(), OpenError> {
    let mut secret = [0; 32];
    // From the operating system: a secret that can be guessed would disclose the order id of a
    // token.
    getrandom::fill(&mut secret).map_err(|error| OpenError::Secret(Box::new(error)))?;
    // No change by a caller, so it counts as none: the watermark of a new store is zero.
    let mut checksum = StateChecksum::default();
    let mut batch = checksum.batch(
        database.batch().durability(Some(PersistMode::SyncAll)),
        records,
    );
    // Format and secret in one batch: a store with only one of them could never be opened.
    batch.insert(keys::FORMAT.to_vec(), FORMAT);
    batch.insert(keys::SECRET.to_vec(), secret);
    batch.commit(0).map_err(OpenError::of_engine)
}

fn secret(records: &Keyspace) -> Result<[u8; 32], OpenError> {
    let format = records.get(keys::FORMAT).map_err(OpenError::of_engine)?;
    if format.as_deref() != Some(FORMAT.as_bytes()) {
        let found = format.map(|format| String::from_utf8_lossy(&format).into_owned());
        return Err(OpenError::Format(found));
    }
    let secret = records.get(keys::SECRET).map_err(OpenError::of_engine)?;
    secret
        .and_then(|secret| <[u8; 32]>::try_from(&*secret).ok())
        .ok_or_else(|| Damage::Secret.into())
}

/// Fails if fewer changes are on record than were acknowledged.
fn require_acknowledged(watermark: &CommitWatermark, on_record: u64) -> Result<(), OpenError> {
    let acknowledged = watermark
        .read()
        .map_err(OpenError::in_file(watermark.path()))?;
    // More may be on record: the watermark is written after the sync and is not synced itself.
    if acknowledged <= on_record {
        return Ok(());
    }
    Err(OpenError::ChangesMissing {
        acknowledged,
        on_record,
    })
}
