//! Orders by their ids, which are keys in letters.

use domain::order::OrderId;

use super::reader::LogReader;
use crate::{OrderKey, ReadError, StoredOrder, UpdateSink};

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
}
