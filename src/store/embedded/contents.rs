//! What stands in a store, read in one pass when it is opened.

use fjall::Keyspace;

use super::{Tally, keys, opening::damaged, opening::refused};
use crate::store::{Recovered, Sold, StoreError, record};

/// All records, as far as they are needed to go on.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) tally: Tally,
    /// The sequence number of the last order, which stands in the keys of the users' lists.
    pub(super) last_sequence: u64,
    pub(super) recovered: Recovered,
}

impl Contents {
    /// Reads every record, and fails if they are not all there, or are not what was written.
    pub(super) fn read(records: &Keyspace) -> Result<Self, StoreError> {
        let (mut contents, mut sold, mut on_record) = (Self::default(), Sold::default(), None);
        for entry in records.iter() {
            let (key, value) = entry.into_inner().map_err(refused)?;
            if &*key == keys::TALLY {
                on_record = Some(value);
            } else {
                contents.tally.enter(&key, &value);
                contents.take(&key, &value, &mut sold).map_err(damaged)?;
            }
        }
        if on_record.is_some_and(|on_record| contents.tally.go_on_from(&on_record)) {
            contents.recovered.sold = sold.into_claims();
            return Ok(contents);
        }
        Err(damaged("records are missing, are not what was written, or are back though they were removed"))
    }

    fn take(&mut self, key: &[u8], value: &[u8], sold: &mut Sold) -> Result<(), StoreError> {
        let Self { tally: _, last_sequence, recovered } = self;
        if key.starts_with(&keys::ORDERS) {
            recovered.orders += 1;
            sold.add(record::decode_claims(value)?);
        } else if key.starts_with(&keys::USERS) {
            *last_sequence = keys::sequence_of(key).unwrap_or_default().max(*last_sequence);
        } else if key.starts_with(&keys::INTENTS) {
            recovered.pending.push(record::decode_intent(value)?);
        } else if key == keys::PRICES {
            recovered.prices = record::decode_prices(value)?;
        }
        Ok(())
    }
}
