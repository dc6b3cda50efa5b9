//! Orders as they stand with their updates: by key, and by id, which is the key in letters.

use domain::order::OrderId;

use super::reader::{LogReader, parts};
use crate::{OrderKey, ReadError, StoredOrder, UpdateSink, record};

impl LogReader {
    /// The order of this id as it was placed and as it stands; `None` also for a text that is no id.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn order_of(&self, id: &OrderId) -> Result<Option<StoredOrder>, ReadError> {
        match OrderKey::of_id(id) {
            Some(key) => self.stored_order(&key),
            None => Ok(None),
        }
    }

    /// Hands over the updates of the order of this id, newest first, until `take` breaks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn history(&self, id: &OrderId, take: UpdateSink<'_>) -> Result<(), ReadError> {
        match OrderKey::of_id(id) {
            Some(key) => self.each_update(&key, take),
            None => Ok(()),
        }
    }

    /// The order of this key as it was placed and as it stands.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn stored_order(&self, key: &OrderKey) -> Result<Option<StoredOrder>, ReadError> {
        // Before the placed order is read: an order that is updated meanwhile is there as it stood, or as it stands.
        let newest = self.work.newest_update(key);
        let Some(record) = self.find_order(key)? else {
            return Ok(None);
        };
        let (public, personal) = parts(&record)?;
        Ok(Some(StoredOrder {
            placed: record::decode_placed(public, personal)?,
            update: self.update_of(newest)?,
        }))
    }

    /// Hands over the updates of an order, newest first, until `take` breaks.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) fn each_update(
        &self,
        key: &OrderKey,
        take: UpdateSink<'_>,
    ) -> Result<(), ReadError> {
        self.each_update_record(key, &mut |_, record| {
            let (public, personal) = parts(record)?;
            Ok(take(record::decode_update(public, personal)?))
        })
    }
}
