//! Prices by what they are for, of which the latest count.

use domain::ids::{MerchantId, ServiceId, TicketId};
use indexmap::IndexMap;

use super::{PriceBook, PriceEntry};

/// The latest price of each ticket type and appointment.
#[derive(Debug, Default)]
pub(super) struct LatestPrices(IndexMap<PriceIds, PriceEntry>);

type PriceIds = (MerchantId, ServiceId, Option<TicketId>);

impl LatestPrices {
    /// Replaces the prices of the same ids, and adds the others.
    pub(super) fn merge(&mut self, book: &PriceBook) {
        for entry in &book.entries {
            let ids = (
                entry.merchant_id.clone(),
                entry.service_id.clone(),
                entry.ticket_id.clone(),
            );
            self.0.insert(ids, entry.clone());
        }
    }

    /// All of them, in the order of their first mention.
    pub(super) fn to_book(&self) -> PriceBook {
        PriceBook {
            entries: self.0.values().cloned().collect(),
        }
    }
}
