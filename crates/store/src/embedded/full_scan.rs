//! Reading all records of a store when it is opened, on all cores.

use std::{
    num::NonZero,
    panic::resume_unwind,
    sync::{Mutex, PoisonError},
    thread,
};

use fjall::{Keyspace, UserValue};

use super::{
    StateChecksum,
    error::{Damage, OpenError},
    keys,
};
use crate::{
    ClaimTotals, PaymentIntent, PriceBook, Recovered,
    record::{self, RecordError},
};
use domain::time::EpochSeconds;

/// The result of reading all records, as far as startup needs it.
#[derive(Debug)]
pub(super) struct FullScan {
    pub(super) checksum: StateChecksum,
    /// The sequence number of the last order, from the keys of the users' lists.
    pub(super) last_sequence: u64,
    pub(super) recovered: Recovered,
}

impl FullScan {
    /// Reads every record, and fails if one is missing or is not what was written.
    pub(super) fn read(records: &Keyspace) -> Result<Self, OpenError> {
        // Unknown cores count as one: the scan is then slower, and correct.
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self::read_by(cores, records)
    }

    /// Reads with this number of threads, or with fewer if the system has no more.
    pub(super) fn read_by(threads: usize, records: &Keyspace) -> Result<Self, OpenError> {
        // Ranges are handed out one at a time: threads on busy cores read fewer of them.
        let ranges = Mutex::new(keys::ranges());
        let read = || -> Result<PartialScan, OpenError> {
            let mut scan = PartialScan::default();
            loop {
                let next = ranges.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(range) = next else {
                    return Ok(scan);
                };
                scan.read(records, range)?;
            }
        };
        thread::scope(|scope| {
            let mut others = Vec::new();
            // One fewer, because this thread reads, too.
            for _ in 1..threads {
                let thread = thread::Builder::new().name("store-reader".to_owned());
                match thread.spawn_scoped(scope, read) {
                    Ok(other) => others.push(other),
                    // No thread left: this one reads what the others do not.
                    Err(_) => break,
                }
            }
            // An error returns here while the others still read; the scope waits for them.
            let mut whole = read()?;
            for other in others {
                whole.merge(other.join().unwrap_or_else(|panic| resume_unwind(panic))?);
            }
            whole.verify()
        })
    }
}

/// The result of reading some of the records.
#[derive(Debug, Default)]
struct PartialScan {
    checksum: StateChecksum,
    /// The checksum on record, if it is among these records.
    on_record: Option<UserValue>,
    last_sequence: u64,
    orders: u64,
    sold: ClaimTotals,
    pending: Vec<PaymentIntent>,
    prices: PriceBook,
    newest_order_sec: Option<EpochSeconds>,
    slots_forgotten_until: Option<EpochSeconds>,
}

impl PartialScan {
    fn read(&mut self, records: &Keyspace, range: keys::KeyRange) -> Result<(), OpenError> {
        for entry in records.range(range) {
            let (key, value) = entry.into_inner().map_err(OpenError::of_engine)?;
            // The one record that is not part of its own sum.
            if &*key == keys::STATE_CHECKSUM {
                self.on_record = Some(value);
            } else {
                self.checksum.add(&key, &value);
                self.add(&key, &value).map_err(Damage::from)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), RecordError> {
        if key.starts_with(&keys::USERS) {
            self.orders += 1;
            // A key of another length is damage that the checksum reports; here it only must not
            // fail first.
            let sequence = keys::sequence_of(key).unwrap_or_default();
            self.last_sequence = self.last_sequence.max(sequence);
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

    /// Adds the records of another scan.
    fn merge(&mut self, other: Self) {
        let Self {
            checksum,
            on_record,
            last_sequence,
            orders,
            sold,
            pending,
            prices,
            newest_order_sec,
            slots_forgotten_until,
        } = other;
        // Ranges do not overlap, so no record is counted twice, and single records come from one scan only.
        self.checksum.merge(checksum);
        if on_record.is_some() {
            self.on_record = on_record;
        }
        self.last_sequence = self.last_sequence.max(last_sequence);
        self.orders += orders;
        self.sold.add(sold.into_claims());
        self.pending.extend(pending);
        // At most one scan has the record of the prices, so one of the two lists is empty.
        self.prices.entries.extend(prices.entries);
        self.newest_order_sec = self.newest_order_sec.max(newest_order_sec);
        self.slots_forgotten_until = self.slots_forgotten_until.max(slots_forgotten_until);
    }

    /// The scan of all records, if they match the checksum that was written with them.
    fn verify(self) -> Result<FullScan, OpenError> {
        let Self {
            mut checksum,
            on_record,
            last_sequence,
            orders,
            sold,
            pending,
            prices,
            newest_order_sec,
            slots_forgotten_until,
        } = self;
        if !on_record.is_some_and(|on_record| checksum.verify_and_resume(&on_record)) {
            return Err(Damage::Checksum.into());
        }
        let recovered = Recovered {
            orders,
            sold: sold.into_claims(),
            pending,
            prices,
            newest_order_sec,
            slots_forgotten_until,
        };
        Ok(FullScan {
            checksum,
            last_sequence,
            recovered,
        })
    }
}
