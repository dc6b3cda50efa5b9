//! What stands in a store, read in one pass by all processors when it is opened.

use std::{
    iter,
    num::NonZero,
    panic::resume_unwind,
    sync::{Mutex, PoisonError},
    thread,
};

use fjall::{Keyspace, UserValue};

use super::{Tally, keys, opening::damaged, opening::refused};
use crate::domain::order::EpochSeconds;
use crate::store::{
    PaymentIntent, PriceBook, Recovered, Sold, StoreError,
    record::{self, RecordError},
};

/// All records, as far as they are needed to go on.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) tally: Tally,
    /// The sequence number of the last order, which stands in the keys of the users' lists.
    pub(super) last_sequence: u64,
    pub(super) recovered: Recovered,
}

impl Contents {
    /// Reads every record, and fails if they are not all there, or are not what was written.
    pub(super) fn read(records: &Keyspace) -> Result<Self, StoreError> {
        Self::read_by(
            thread::available_parallelism().map_or(1, NonZero::get),
            records,
        )
    }

    /// The same by so many threads, or by fewer where the system has no more to give.
    pub(super) fn read_by(threads: usize, records: &Keyspace) -> Result<Self, StoreError> {
        let pieces = Mutex::new(keys::pieces());
        let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
        let read = || Part::read(records, iter::from_fn(next));
        let whole = thread::scope(|scope| {
            let reader = || thread::Builder::new().name("store-reader".to_owned());
            let others: Vec<_> = (1..threads)
                .map_while(|_| reader().spawn_scoped(scope, read).ok())
                .collect();
            others.into_iter().try_fold(read()?, |whole, other| {
                Ok(whole.with(other.join().unwrap_or_else(|panic| resume_unwind(panic))?))
            })
        });
        whole?.into_contents()
    }
}

/// What some of the records come to.
#[derive(Debug, Default)]
struct Part {
    tally: Tally,
    /// The tally that was written with the records, if it is among them.
    on_record: Option<UserValue>,
    last_sequence: u64,
    orders: u64,
    sold: Sold,
    pending: Vec<PaymentIntent>,
    prices: PriceBook,
    newest_order_sec: Option<EpochSeconds>,
    slots_forgotten_until: Option<EpochSeconds>,
}

impl Part {
    fn read(
        records: &Keyspace,
        pieces: impl Iterator<Item = keys::Piece>,
    ) -> Result<Self, StoreError> {
        let mut part = Self::default();
        for entry in pieces.flat_map(|piece| records.range(piece)) {
            let (key, value) = entry.into_inner().map_err(refused)?;
            if &*key == keys::TALLY {
                part.on_record = Some(value);
            } else {
                part.tally.enter(&key, &value);
                part.take(&key, &value).map_err(damaged)?;
            }
        }
        Ok(part)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        if key.starts_with(&keys::USERS) {
            self.orders += 1;
            self.last_sequence = keys::sequence_of(key)
                .unwrap_or_default()
                .max(self.last_sequence);
            let (created_sec, claims) = record::decode_claims(value)?;
            self.newest_order_sec = self.newest_order_sec.max(Some(created_sec));
            self.sold.add(claims);
        } else if key.starts_with(&keys::INTENTS) {
            self.pending.push(record::decode_intent(value)?);
        } else if key == keys::PRICES {
            self.prices = record::decode_prices(value)?;
        } else if key == keys::SLOTS_FORGOTTEN {
            self.slots_forgotten_until = Some(record::decode_slots_forgotten(value)?);
        }
        Ok(())
    }

    /// What these records and others come to together.
    fn with(mut self, other: Self) -> Self {
        let Self {
            tally,
            on_record,
            last_sequence,
            orders,
            sold,
            pending,
            prices,
            newest_order_sec,
            slots_forgotten_until,
        } = other;
        self.tally.add(tally);
        self.on_record = self.on_record.or(on_record);
        self.last_sequence = self.last_sequence.max(last_sequence);
        self.orders += orders;
        self.sold.add(sold.into_claims());
        self.pending.extend(pending);
        self.prices.entries.extend(prices.entries);
        self.newest_order_sec = self.newest_order_sec.max(newest_order_sec);
        self.slots_forgotten_until = self.slots_forgotten_until.max(slots_forgotten_until);
        self
    }

    /// All records, if they are those of the tally that was written with them.
    fn into_contents(self) -> Result<Contents, StoreError> {
        let Self {
            mut tally,
            on_record,
            last_sequence,
            orders,
            sold,
            pending,
            prices,
            newest_order_sec,
            slots_forgotten_until,
        } = self;
        if !on_record.is_some_and(|on_record| tally.go_on_from(&on_record)) {
            return Err(damaged(
                "records are missing, are not what was written, or are back though they were removed",
            ));
        }
        let sold = sold.into_claims();
        let recovered = Recovered {
            orders,
            sold,
            pending,
            prices,
            newest_order_sec,
            slots_forgotten_until,
        };
        Ok(Contents {
            tally,
            last_sequence,
            recovered,
        })
    }
}
