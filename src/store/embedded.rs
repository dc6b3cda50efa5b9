//! The embedded store: orders on the local disk, in one file tree, without a database server.
//!
//! The engine is `fjall`, a log-structured merge tree with a journal. All records stand in one
//! keyspace, told apart by the first byte of their keys:
//!
//! | key | record |
//! |---|---|
//! | `o` name | the order of that name; the name follows from the token and is the order's id |
//! | `u` user, inverted sequence | the name of an order of that user, newest first |
//! | `i` name | a payment intent whose end is not on record |
//! | `p` name, attempt | a payment that ended without an order |
//! | `m` … | the store's secret, its format, the prices last served |
//!
//! So a token is looked up by its order's own key, and an order needs no further index. Spots sold
//! are not stored: they are the sum of the orders' claims, read once when the store is opened, and
//! cannot disagree with them.
//!
//! Writing is the business of one thread, which takes whatever is waiting into one batch, writes
//! it to the journal, syncs it to disk, and only then makes it visible and answers. There is no
//! timer: while one batch is being synced the next one gathers.

use std::{path::Path, sync::Arc, thread};

use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use tokio::sync::watch;

use super::{
    Change, Committed, NamedClaim, PriceBook, Recovered, Replay, Selection, Store, StoreError, StoreFigures,
    StoreState,
    names::{self, NAME_BYTES, Name, Names},
    record,
};
use crate::domain::order::{Order, OrderId};

mod entry;
mod figures;
mod handoff;
mod journals;
mod keys;
mod mark;
mod writer;

use entry::Entry;
use figures::WriterFigures;
use handoff::{Batches, Intake, handoff};
use journals::KeptJournals;
use mark::AcknowledgedMark;
use writer::Writer;

/// The layout of keys and records; a store of another one is not touched.
const FORMAT: &[u8] = b"boxoffice 1";

/// Name of the file with the mark of acknowledged orders.
const MARK: &str = "acknowledged";

/// Keeps orders on the local disk.
pub struct EmbeddedStore {
    records: Keyspace,
    names: Names,
    intake: Intake<Entry>,
    state: watch::Receiver<StoreState>,
    /// The sequence number of the last order when the store was opened.
    last_sequence: u64,
    figures: Arc<WriterFigures>,
    /// Comes after the intake, so that it is waited for when nothing more can be handed in.
    _writer: WriterThread,
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore").field("last_sequence", &self.last_sequence).finish_non_exhaustive()
    }
}

impl EmbeddedStore {
    /// Whether a store has been begun in `dir`.
    #[must_use]
    pub fn is_in(dir: &Path) -> bool {
        dir.join(MARK).exists()
    }

    /// Opens the store in `dir`, or begins one there. At most `batch_max` changes share one write.
    ///
    /// # Errors
    /// [`StoreError::InUse`], and [`StoreError::CannotOpen`] if it is of another format, if it cannot be
    /// read, or if orders that were acknowledged are missing from it.
    pub fn open(dir: &Path, batch_max: usize) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(cannot_open)?;
        let mark = AcknowledgedMark::open(&dir.join(MARK))?;
        let home = dir.join("orders");
        let journals = KeptJournals::keep(&home).map_err(cannot_open)?;
        let opened = match open_whole(&home, &mark) {
            Ok(opened) => opened,
            Err(refusal) => {
                journals.put_back().map_err(cannot_open)?;
                return Err(refusal);
            }
        };
        journals.discard().map_err(cannot_open)?;
        let Opened { database, records, names, last_sequence } = opened;
        let (intake, batches) = handoff(batch_max);
        let (state_sender, state) = watch::channel(StoreState::Open);
        let figures = Arc::new(WriterFigures::new(last_sequence));
        let writer = Writer {
            database,
            records: records.clone(),
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
        Ok(Self { records, names, intake, state, last_sequence, figures, _writer: writer })
    }

    fn order_record(&self, name: &Name) -> Result<Option<fjall::UserValue>, StoreError> {
        self.records.get(keys::order(name)).map_err(unreadable)
    }

    fn names_of_user(&self, user_id: &str) -> impl Iterator<Item = Result<Name, StoreError>> {
        self.records.prefix(keys::user(&self.names.of_user(user_id))).map(|entry| {
            let name = entry.value().map_err(unreadable)?;
            Name::try_from(&*name).map_err(|_| StoreError::Unreadable("a user's list is damaged".to_owned()))
        })
    }

    fn sized_orders<'a>(
        &'a self,
        names: impl Iterator<Item = Result<Name, StoreError>> + 'a,
    ) -> impl Iterator<Item = Result<(usize, Order), StoreError>> + 'a {
        names.filter_map(|name| {
            let found = name.and_then(|name| self.order_record(&name)).transpose()?;
            Some(found.and_then(|bytes| Ok((bytes.len(), record::decode_order(&bytes)?))))
        })
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
        let found = self.order_record(&self.names.of_token(token))?;
        found.map(|bytes| record::decode_replay(&bytes)).transpose()
    }

    fn list(&self, selection: &Selection, limit_bytes: usize) -> Result<Vec<Order>, StoreError> {
        match selection {
            Selection::User(user_id) => gather(self.sized_orders(self.names_of_user(user_id)), limit_bytes),
            Selection::Ids(ids) => {
                let names = names::each_once(ids).into_iter().map(Ok);
                gather(self.sized_orders(names), limit_bytes)
            }
        }
    }

    fn failed_attempts(&self, token: &str) -> Result<u32, StoreError> {
        let ended = self.records.prefix(keys::ended_payments(&self.names.of_token(token)));
        let mut count = 0;
        for entry in ended {
            entry.key().map_err(unreadable)?;
            count += 1;
        }
        Ok(count)
    }

    fn recover(&self, sold: &mut dyn FnMut(&[NamedClaim])) -> Result<Recovered, StoreError> {
        let mut recovered = Recovered { prices: self.prices()?, ..Recovered::default() };
        for entry in self.records.prefix(keys::ORDERS) {
            let (_, claims) = record::decode_claims(&entry.value().map_err(unreadable)?)?;
            sold(&claims);
            recovered.orders += 1;
        }
        for entry in self.records.prefix(keys::INTENTS) {
            recovered.pending.push(record::decode_intent(&entry.value().map_err(unreadable)?)?);
        }
        if recovered.orders != self.last_sequence {
            let (found, written) = (recovered.orders, self.last_sequence);
            return Err(StoreError::Unreadable(format!("{found} of {written} orders can be read")));
        }
        Ok(recovered)
    }

    fn state(&self) -> watch::Receiver<StoreState> {
        self.state.clone()
    }

    fn figures(&self) -> StoreFigures {
        self.figures.read(self.intake.waiting())
    }
}

impl EmbeddedStore {
    fn prices(&self) -> Result<PriceBook, StoreError> {
        let found = self.records.get(keys::PRICES).map_err(unreadable)?;
        found.map_or_else(|| Ok(PriceBook::default()), |bytes| record::decode_prices(&bytes))
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

fn gather(
    orders: impl Iterator<Item = Result<(usize, Order), StoreError>>,
    limit_bytes: usize,
) -> Result<Vec<Order>, StoreError> {
    let mut failed = None;
    let readable = orders.map_while(|order| order.map_err(|error| failed = Some(error)).ok());
    let gathered = super::within_limit(readable, limit_bytes)?;
    failed.map_or(Ok(gathered), Err)
}

/// A database that has been seen to hold everything that was acknowledged.
struct Opened {
    database: Database,
    records: Keyspace,
    names: Names,
    last_sequence: u64,
}

/// Opens the database and looks whether it is whole. The engine panics over some kinds of damage.
fn open_whole(home: &Path, mark: &AcknowledgedMark) -> Result<Opened, StoreError> {
    let open = || {
        let database = Database::builder(home).open().map_err(cannot_open)?;
        let records = database.keyspace("records", KeyspaceCreateOptions::default).map_err(cannot_open)?;
        let names = Names::new(meta(&database, &records)?);
        let last_sequence = last_sequence(&records)?;
        refuse_if_orders_are_missing(mark, last_sequence)?;
        Ok(Opened { database, records, names, last_sequence })
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(open))
        .unwrap_or_else(|_| Err(cannot_open("its journal is damaged")))
}

/// The store's secret. A new store gets its secret and its format written first of all.
fn meta(database: &Database, records: &Keyspace) -> Result<[u8; 32], StoreError> {
    if records.first_key_value().is_none() {
        return begin(database, records);
    }
    let format = records.get(keys::FORMAT).map_err(cannot_open)?;
    if format.as_deref() != Some(FORMAT) {
        return Err(StoreError::CannotOpen("it is not a store of this format".to_owned()));
    }
    let secret = records.get(keys::SECRET).map_err(cannot_open)?;
    secret
        .and_then(|secret| <[u8; 32]>::try_from(&*secret).ok())
        .ok_or_else(|| StoreError::CannotOpen("its secret is damaged".to_owned()))
}

fn begin(database: &Database, records: &Keyspace) -> Result<[u8; 32], StoreError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(cannot_open)?;
    let mut batch = database.batch().durability(Some(fjall::PersistMode::SyncAll));
    batch.insert(records, keys::FORMAT, FORMAT);
    batch.insert(records, keys::SECRET, secret);
    batch.commit().map_err(cannot_open)?;
    Ok(secret)
}

/// The highest sequence number on record; it stands in the keys of the users' lists.
fn last_sequence(records: &Keyspace) -> Result<u64, StoreError> {
    let mut last = 0;
    for entry in records.prefix(keys::USERS) {
        let key = entry.key().map_err(cannot_open)?;
        last = last.max(keys::sequence_of(&key).ok_or_else(|| cannot_open("a user's list is damaged"))?);
    }
    Ok(last)
}

fn refuse_if_orders_are_missing(mark: &AcknowledgedMark, last_sequence: u64) -> Result<(), StoreError> {
    let acknowledged = mark.read().map_err(cannot_open)?;
    if acknowledged <= last_sequence {
        return Ok(());
    }
    Err(StoreError::CannotOpen(format!(
        "{acknowledged} orders were acknowledged and only {last_sequence} are on record: the journal is damaged. \
         Restore the folder from a backup, or remove its file \"acknowledged\" to go on without them"
    )))
}

fn cannot_open(error: impl std::fmt::Display) -> StoreError {
    StoreError::CannotOpen(error.to_string())
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests;
