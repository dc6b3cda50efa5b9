//! Looking at slots, without a cart.

use super::{ActiveCatalog, App, OrderError};
use domain::{
    availability::{self, AskedSlot, PartyView, SeenSlot},
    ids::MerchantId,
    slot::{Stale, Viewer},
};

/// How many slots are looked at before other calls of the thread get their turn.
const SLOTS_PER_TURN: usize = 256;

/// Slots to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The merchant of all of them.
    pub merchant_id: MerchantId,
    /// The slots.
    pub slots: Vec<AskedSlot>,
}

/// One slot to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotLookup {
    /// The merchant.
    pub merchant_id: MerchantId,
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
    /// [`OrderError::UnknownMerchant`].
    pub async fn look_up(&self, lookup: Lookup) -> Result<Vec<SeenSlot>, OrderError> {
        let Lookup { merchant_id, slots } = lookup;
        self.catalog()
            .merchant_ix(&merchant_id)
            .ok_or(OrderError::UnknownMerchant)?;
        let viewer = self.viewer(None);
        let mut seen = Vec::with_capacity(slots.len());
        for (at, asked) in slots.into_iter().enumerate() {
            if (at + 1).is_multiple_of(SLOTS_PER_TURN) {
                tokio::task::yield_now().await;
            }
            let view =
                self.decide(|active| Ok(self.view(active, &merchant_id, &asked, viewer)?))?;
            seen.push(SeenSlot {
                asked,
                is_available: view.is_enough(),
            });
        }
        Ok(seen)
    }

    /// Looks at one slot and gives the spots that can be sold to the party that it is asked for.
    ///
    /// # Errors
    /// [`OrderError::UnknownMerchant`].
    pub fn look_at(&self, lookup: &SlotLookup) -> Result<u32, OrderError> {
        let SlotLookup { merchant_id, slot } = lookup;
        self.catalog()
            .merchant_ix(merchant_id)
            .ok_or(OrderError::UnknownMerchant)?;
        let viewer = self.viewer(None);
        let view = self.decide(|active| Ok(self.view(active, merchant_id, slot, viewer)?))?;
        Ok(view.spots_open)
    }

    /// What of a slot can be sold; nothing of one that is not known.
    fn view(
        &self,
        active: &ActiveCatalog,
        merchant_id: &MerchantId,
        asked: &AskedSlot,
        viewer: Viewer,
    ) -> Result<PartyView, Stale> {
        let ActiveCatalog {
            revision, catalog, ..
        } = active;
        let key = catalog
            .merchant_ix(merchant_id)
            .and_then(|merchant| asked.key(catalog, merchant));
        let Some(key) = key else {
            return Ok(PartyView::NOTHING);
        };
        let service = catalog.service(key.service);
        let look = |slot: &_| availability::view_for(service, key, slot, asked, viewer);
        Ok(self
            .inventory
            .look_at(*revision, key, look)?
            .unwrap_or(PartyView::NOTHING))
    }
}
