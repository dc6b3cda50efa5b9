//! The assessment of items, as a check and an order share it.

use super::{ActiveCatalog, App, OrderError};
use domain::{
    catalog::MerchantIx,
    fulfillability::{self, Inquiry, Judgement, Purpose, SlotKeys},
    ids::MerchantId,
    order::LineItem,
    slot::{Slot, Viewer},
};

/// Items of a merchant, to be assessed by one revision of the catalogue.
pub(super) struct Asked<'a> {
    pub(super) active: &'a ActiveCatalog,
    pub(super) merchant: MerchantIx,
    /// The slot of each item; `None` where the service is unknown.
    pub(super) keys: SlotKeys,
    pub(super) viewer: Viewer,
    items: &'a [LineItem],
    purpose: Purpose,
}

impl<'a> Asked<'a> {
    /// # Errors
    /// [`OrderError::UnknownMerchant`].
    pub(super) fn new(
        active: &'a ActiveCatalog,
        merchant_id: &MerchantId,
        items: &'a [LineItem],
        viewer: Viewer,
        purpose: Purpose,
    ) -> Result<Self, OrderError> {
        let merchant = active
            .catalog
            .merchant_ix(merchant_id)
            .ok_or(OrderError::UnknownMerchant)?;
        let keys = fulfillability::slot_keys(&active.catalog, merchant, items);
        Ok(Self {
            active,
            merchant,
            keys,
            viewer,
            items,
            purpose,
        })
    }

    fn judge(&self, slots: &[Option<&Slot>]) -> Judgement {
        fulfillability::judge(&Inquiry {
            catalog: &self.active.catalog,
            merchant: self.merchant,
            items: self.items,
            slots,
            viewer: self.viewer,
            purpose: self.purpose,
        })
    }
}

impl App {
    /// Judges the items with the open slots of [`Asked::keys`]. A slot that the catalogue has and that is
    /// not open any more counts as sold out, not as unknown.
    pub(super) fn judge(&self, asked: &Asked<'_>, open: &[Option<&Slot>]) -> Judgement {
        // Nearly always so: nothing is allocated.
        if open.iter().all(Option::is_some) {
            return asked.judge(open);
        }
        let past = self.past_slots(asked, open);
        let mut slots = Vec::with_capacity(open.len());
        for (open, past) in open.iter().zip(&past) {
            slots.push(open.or(past.as_ref()));
        }
        asked.judge(&slots)
    }

    /// For each slot that is not open: the slot as the catalogue has it, with nothing left.
    fn past_slots(&self, asked: &Asked<'_>, open: &[Option<&Slot>]) -> Vec<Option<Slot>> {
        let active = asked.active;
        let horizon = active.since_sec.saturating_add(self.limits.horizon);
        // Forgotten slots may lie beyond the horizon of a clock that was set back.
        let repeated_until = horizon.max(self.inventory.forgotten_until());
        let mut past = Vec::with_capacity(open.len());
        for (key, open) in asked.keys.iter().zip(open) {
            past.push(match (key, open) {
                (Some(key), None) => active.openings.nothing_left(*key, repeated_until),
                _ => None,
            });
        }
        past
    }
}
