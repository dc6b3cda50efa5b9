//! Looking at slots, without a cart.

use super::{App, Refusal};
use crate::domain::{
    availability::{self, AskedSlot, SeenSlot},
    catalog::{Catalog, MerchantIx},
    slot::Viewer,
};

/// How many slots are looked at before other calls of the thread get their turn.
const SLOTS_PER_TURN: usize = 256;

/// Slots to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The merchant of all of them.
    pub merchant_id: String,
    /// The slots.
    pub slots: Vec<AskedSlot>,
}

/// One slot to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotLookup {
    /// The merchant.
    pub merchant_id: String,
    /// The slot.
    pub slot: AskedSlot,
}

impl App {
    /// Looks at slots and gives what it saw, in the order asked.
    ///
    /// Each slot is locked for itself, so that a long list holds up nobody. What is seen of two
    /// slots may therefore lie before and after an order that takes spots of both; an order that
    /// was answered before the call is seen in all of them.
    ///
    /// # Errors
    /// [`Refusal::UnknownMerchant`].
    pub async fn look_up(&self, lookup: Lookup) -> Result<Vec<SeenSlot>, Refusal> {
        let Lookup { merchant_id, slots } = lookup;
        let catalog = self.catalog();
        let merchant = catalog.merchant_ix(&merchant_id).ok_or(Refusal::UnknownMerchant)?;
        let viewer = self.viewer(None);
        let mut seen = Vec::with_capacity(slots.len());
        for (at, asked) in slots.into_iter().enumerate() {
            if (at + 1).is_multiple_of(SLOTS_PER_TURN) {
                tokio::task::yield_now().await;
            }
            let spots_open = self.spots_open(&catalog, merchant, &asked, viewer);
            seen.push(SeenSlot { asked, spots_open });
        }
        Ok(seen)
    }

    /// Looks at one slot and gives the spots that can be sold.
    ///
    /// # Errors
    /// [`Refusal::UnknownMerchant`].
    pub fn look_at(&self, lookup: &SlotLookup) -> Result<u32, Refusal> {
        let catalog = self.catalog();
        let merchant = catalog.merchant_ix(&lookup.merchant_id).ok_or(Refusal::UnknownMerchant)?;
        Ok(self.spots_open(&catalog, merchant, &lookup.slot, self.viewer(None)))
    }

    /// Spots that can be sold; none of a slot that is not known.
    fn spots_open(&self, catalog: &Catalog, merchant: MerchantIx, asked: &AskedSlot, viewer: Viewer) -> u32 {
        let Some(key) = asked.key(catalog, merchant) else { return 0 };
        let service = catalog.service(key.service);
        let look = |slot: &_| availability::spots_open(service, key, slot, viewer);
        self.inventory.look_at(key, look).unwrap_or(0)
    }
}
