//! The embedded store: orders on the local disk, in one file tree, without a database server.
//!
//! The engine is `fjall`, a log-structured merge tree with a journal. All records stand in one
//! keyspace, told apart by the first byte of their keys:
//!
//! | key | record |
//! |---|---|
//! | `u` user, inverted sequence | an order of that user, newest first |
//! | `o` name | the key of the order of that name; the name follows from the token and is the order's id |
//! | `i` name | a payment intent whose end is not on record |
//! | `p` name, attempt | a payment that ended without an order |
//! | `m` … | the store's secret, its format, the prices last served, up to when slots are forgotten, the tally |
//!
//! So a user's list stands together and is read from one end to the other, however many other orders
//! there are. A token or an id takes two looks, a new token one. Spots sold are not stored: they are the
//! sum of the orders' claims, read once when the store is opened, and cannot disagree with them. The tally
//! says how many changes have been made and what all records come to, so that damage is found when the
//! store is opened.
//!
//! Writing is the business of one thread, which takes whatever is waiting into one batch, writes
//! it to the journal, syncs it to disk, and only then makes it visible and answers. There is no
//! timer: while one batch is being synced the next one gathers.

use std::{
    error::Error,
    io, iter,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use fjall::{Keyspace, UserValue};
use tokio::sync::watch;

use super::{
    Change, Committed, MaySee, Recovered, Replay, Selection, Store, StoreError, StoreFigures,
    StoreState, TakeOrder,
    names::{self, NAME_BYTES, Name, Names},
    record,
};
use crate::domain::order::OrderId;

mod contents;
mod disk;
mod engine;
mod engine_log;
mod entry;
mod figures;
mod handoff;
mod kept;
mod keys;
mod mark;
#[cfg(target_os = "linux")]
mod merges;
mod opening;
mod place;
mod tables;
mod tally;
mod writer;

use contents::Contents;
use entry::Entry;
use figures::WriterFigures;
use handoff::{Batches, Intake, handoff};
use kept::KeptFiles;
use mark::AcknowledgedMark;
use opening::Opened;
use place::{LinkWatch, Links};
use tally::Tally;
use writer::Writer;

/// How the system says that there is no descriptor left, for the process (`EMFILE`) or at all (`ENFILE`).
const NO_DESCRIPTOR: &str = "Too many open files";

/// Name of the file with the mark of acknowledged changes.
const MARK: &str = "acknowledged";

/// Name of the directory of the engine.
const HOME: &str = "orders";

/// The engine's ending of journal files.
const JOURNAL: &str = "jnl";

/// Keeps orders on the local disk.
pub struct EmbeddedStore {
    records: Keyspace,
    names: Names,
    intake: Intake<Entry>,
    state: watch::Receiver<StoreState>,
    /// What was read when the store was opened, until it is asked for.
    recovered: Mutex<Option<Recovered>>,
    figures: Arc<WriterFigures>,
    dir: PathBuf,
    _links: LinkWatch,
    /// Comes after the intake, so that it is waited for when nothing more can be handed in.
    _writer: WriterThread,
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore").finish_non_exhaustive()
    }
}

impl EmbeddedStore {
    /// Whether a store has been begun in `dir`.
    #[must_use]
    pub fn is_in(dir: &Path) -> bool {
        let home = dir.join(HOME);
        dir.join(MARK).exists()
            || [home.with_extension("kept"), home]
                .iter()
                .any(|dir| place::is_filled(dir))
    }

    /// Opens the store in `dir`, or begins one there. At most `batch_max` changes share one write.
    ///
    /// # Errors
    /// [`StoreError::InUse`], and [`StoreError::CannotOpen`] if it is of another format, if it cannot be
    /// read, or if anything that was acknowledged is missing from it or damaged. Its files are then as
    /// they were.
    pub fn open(dir: &Path, batch_max: usize) -> Result<Self, StoreError> {
        let home = dir.join(HOME);
        let in_dir = |error: io::Error| cannot_open(format_args!("{}: {error}", dir.display()));
        place::make(dir).map_err(in_dir)?;
        // Before anything is made or moved: the mark may be gone while its process goes on.
        opening::refuse_if_in_use(&home)?;
        if !Self::is_in(dir) {
            place::sync_way_to(dir);
        }
        let mark = AcknowledgedMark::open(&dir.join(MARK))?;
        let Opened {
            database,
            records,
            names,
            contents,
        } = opening::open(&home, &mark)?;
        place::keep_from_others(dir, &home).map_err(in_dir)?;
        let links = Links::of(dir, &home).map_err(in_dir)?;
        let Contents {
            tally,
            last_sequence,
            recovered,
        } = contents;
        let (intake, batches) = handoff(batch_max);
        let (state_sender, state) = watch::channel(StoreState::Open);
        let links = LinkWatch::start(links, lost(dir.to_owned(), state_sender.clone()))
            .map_err(cannot_open)?;
        let figures = Arc::new(WriterFigures::new(last_sequence));
        let writer = Writer {
            database,
            records: records.clone(),
            tally,
            last_sequence,
            mark,
            state: state_sender,
            figures: Arc::clone(&figures),
        };
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&batches))
            .map_err(cannot_open)?;
        let writer = WriterThread(Some(writer));
        let recovered = Mutex::new(Some(recovered));
        let dir = dir.to_owned();
        Ok(Self {
            records,
            names,
            intake,
            state,
            recovered,
            figures,
            dir,
            _links: links,
            _writer: writer,
        })
    }

    fn records_of_user(
        &self,
        user_id: &str,
    ) -> impl Iterator<Item = Result<UserValue, StoreError>> {
        let list = self
            .records
            .prefix(keys::user(&self.names.of_user(user_id)));
        list.map(|entry| entry.value().map_err(unreadable))
    }

    fn record_of(&self, name: &Name) -> Result<Option<UserValue>, StoreError> {
        let Some(place) = self.records.get(keys::order(name)).map_err(unreadable)? else {
            return Ok(None);
        };
        let record = self.records.get(place).map_err(unreadable)?;
        record
            .map(Some)
            .ok_or_else(|| unreadable("an order is missing from its user's list"))
    }
}

impl Store for EmbeddedStore {
    fn commit(&self, change: Change) -> Committed {
        Box::pin(self.intake.hand_in(Entry::new(&change, &self.names)))
    }

    fn order_id(&self, token: &str) -> OrderId {
        names::order_id(&self.names.of_token(token))
    }

    fn by_token(&self, token: &str) -> Result<Option<Replay>, StoreError> {
        let found = self.record_of(&self.names.of_token(token))?;
        found
            .map(|bytes| record::decode_replay(&bytes).map_err(unreadable))
            .transpose()
    }

    fn list(
        &self,
        selection: &Selection,
        may_see: MaySee<'_>,
        take: TakeOrder<'_>,
    ) -> Result<(), StoreError> {
        match selection {
            Selection::User(user_id) => hand_over(self.records_of_user(user_id), may_see, take),
            Selection::Ids(ids) => {
                let names = names::each_once(ids).into_iter();
                hand_over(
                    names.filter_map(|name| self.record_of(&name).transpose()),
                    may_see,
                    take,
                )
            }
        }
    }

    fn failed_attempts(&self, token: &str) -> Result<u32, StoreError> {
        let ended = self
            .records
            .prefix(keys::ended_payments(&self.names.of_token(token)));
        let mut count = 0;
        for entry in ended {
            entry.key().map_err(unreadable)?;
            count += 1;
        }
        Ok(count)
    }

    fn recover(&self) -> Result<Recovered, StoreError> {
        let given =
            || StoreError::Unreadable("what was read at the start has been given away".to_owned());
        self.recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .ok_or_else(given)
    }

    fn state(&self) -> watch::Receiver<StoreState> {
        self.state.clone()
    }

    fn figures(&self) -> StoreFigures {
        StoreFigures {
            disk: disk::read(&self.dir),
            ..self.figures.read(self.intake.waiting())
        }
    }
}

/// What becomes of a store whose files are not where they were: a later start would begin another one.
fn lost(dir: PathBuf, state: watch::Sender<StoreState>) -> impl FnOnce() {
    move || {
        let error = StoreError::Failed(format!("its files are no longer in {}", dir.display()));
        let was_open = state.send_if_modified(|state| {
            let is_open = *state == StoreState::Open;
            if is_open {
                *state = StoreState::Failed(error.to_string());
            }
            is_open
        });
        if was_open {
            tracing::error!(%error, "the store was moved or removed; no further order is taken until a restart");
        }
    }
}

/// Is waited for when it is dropped, until everything that was handed in is written.
struct WriterThread(Option<thread::JoinHandle<()>>);

impl Drop for WriterThread {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take() {
            let _ = writer.join();
        }
    }
}

/// Hands over those orders in these records that may be seen, until no more are wanted.
fn hand_over(
    records: impl Iterator<Item = Result<UserValue, StoreError>>,
    may_see: MaySee<'_>,
    take: TakeOrder<'_>,
) -> Result<(), StoreError> {
    for record in records {
        let order = record::decode_order_if(&record?, may_see).map_err(unreadable)?;
        if order.is_some_and(|order| take(order).is_break()) {
            break;
        }
    }
    Ok(())
}

fn cannot_open(error: impl std::fmt::Display) -> StoreError {
    StoreError::CannotOpen(error.to_string())
}

/// What the system said, where that is behind what the engine says.
fn said_by_system(error: &fjall::Error) -> Option<String> {
    let causes = iter::successors(Some(error as &(dyn Error + 'static)), |error| {
        (*error).source()
    });
    let mut said = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    said.find(|error| error.raw_os_error().is_some())
        .map(|error| with_advice(&error.to_string()))
}

/// What somebody has to know who reads this: a lack of descriptors is not a fault of the disk.
fn with_advice(said: &str) -> String {
    if said.contains(NO_DESCRIPTOR) {
        format!(
            "{said}: no file descriptor was left (`ulimit -n`, `LimitNOFILE`); the disk is not at fault"
        )
    } else {
        said.to_owned()
    }
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests;
