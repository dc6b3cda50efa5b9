//! Look-ups of slots, without a cart.

use super::{ActiveCatalog, App, OrderError};
use domain::{
    availability::{self, AskedSlot, PartyView, SeenSlot},
    ids::MerchantId,
    slot::{Stale, Viewer},
};

/// Slots that are looked up between two yields to the other calls of the thread.
const SLOTS_PER_YIELD: usize = 256;

/// Slots to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The merchant of all slots.
    pub merchant_id: MerchantId,
    /// The slots.
    pub slots: Vec<AskedSlot>,
}

/// One slot to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotLookup {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// The slot.
    pub slot: AskedSlot,
}

impl App {
    /// Looks up slots, in the order asked.
    ///
    /// Each slot is locked separately, so a long list delays no other call. Two slots may therefore be seen
    /// before and after an order that takes spots of both. An order with a response before this call is
    /// seen in all slots.
    ///
    /// # Errors
    /// [`OrderError::UnknownMerchant`].
    pub async fn look_up(&self, lookup: Lookup) -> Result<Vec<SeenSlot>, OrderError> {
        let Lookup { merchant_id, slots } = lookup;
        self.catalog()
            .merchant_ix(&merchant_id)
            .ok_or(OrderError::UnknownMerchant)?;
        // One time for all slots, so that the answer is consistent with itself.
        let viewer = self.viewer(None);
        let mut seen = Vec::with_capacity(slots.len());
        for (at, asked) in slots.into_iter().enumerate() {
            if (at + 1).is_multiple_of(SLOTS_PER_YIELD) {
                // A worker thread serves many connections, and a long list must not hold up their
                // calls.
                tokio::task::yield_now().await;
            }
            let view = self.view(&merchant_id, &asked, viewer)?;
            seen.push(SeenSlot {
                asked,
                is_available: view.is_enough(),
            });
        }
        Ok(seen)
    }

    /// The spots of a slot that can be sold to the party of the request.
    ///
    /// # Errors
    /// [`OrderError::UnknownMerchant`].
    pub fn check_availability(&self, lookup: &SlotLookup) -> Result<u32, OrderError> {
        let SlotLookup { merchant_id, slot } = lookup;
        self.catalog()
            .merchant_ix(merchant_id)
            .ok_or(OrderError::UnknownMerchant)?;
        let viewer = self.viewer(None);
        Ok(self.view(merchant_id, slot, viewer)?.spots_open)
    }

    fn view(
        &self,
        merchant_id: &MerchantId,
        asked: &AskedSlot,
        viewer: Viewer,
    ) -> Result<PartyView, OrderError> {
        self.by_active_catalog(|active| Ok(self.view_by(active, merchant_id, asked, viewer)?))
    }

    /// The spots of a slot that can be sold; none of an unknown one.
    fn view_by(
        &self,
        active: &ActiveCatalog,
        merchant_id: &MerchantId,
        asked: &AskedSlot,
        viewer: Viewer,
    ) -> Result<PartyView, Stale> {
        let catalog = &active.catalog;
        let key = catalog
            .merchant_ix(merchant_id)
            .and_then(|merchant| asked.key(catalog, merchant));
        let Some(key) = key else {
            return Ok(PartyView::NOTHING);
        };
        let service = catalog.service(key.service);
        let view = self.inventory.examine_one(active.revision, key, |slot| {
            availability::view_for(service, key, slot, asked, viewer)
        })?;
        Ok(view.unwrap_or(PartyView::NOTHING))
    }
}
