//! Comparison of the sales with a catalogue that becomes active.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::{
    catalog::{Catalog, ServiceIx},
    slot::{Slot, SlotKey},
    time::{EpochSeconds, Seconds},
    wording::moment,
};

/// Maximum number of slots or merchants that a warning names; the others are counted.
const MAX_NAMED: usize = 5;

/// The outcome of a catalogue that has become active, at startup or by a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Services of the active catalogue.
    pub services: usize,
    /// Slots of the active catalogue that have not ended.
    pub slots: usize,
    /// Slots with sales that the catalogue no longer has.
    pub withdrawn: usize,
    /// The first of those.
    pub withdrawn_slots: Vec<String>,
    /// Services of those slots that the catalogue does not have at all.
    pub withdrawn_services: usize,
    /// Merchants of those slots that the catalogue does not have.
    pub unknown_merchants: usize,
    /// The first of those.
    pub unknown_merchant_ids: Vec<String>,
    /// Slots with more sales than spots.
    pub oversold: usize,
    /// The first of those.
    pub oversold_slots: Vec<String>,
}

/// Collects what a warning needs, from one slot after another. Slots that are over do not count.
pub(super) struct Reconciler<'a> {
    catalog: &'a Catalog,
    now: EpochSeconds,
    slots: usize,
    withdrawn: Vec<SlotKey>,
    oversold: Vec<SlotKey>,
}

impl<'a> Reconciler<'a> {
    pub(super) fn new(catalog: &'a Catalog, now: EpochSeconds) -> Self {
        Self {
            catalog,
            now,
            slots: 0,
            withdrawn: Vec::new(),
            oversold: Vec::new(),
        }
    }

    pub(super) fn see(&mut self, key: SlotKey, slot: &Slot) {
        // Sales of the past cannot be mended, so a warning about them would only be noise.
        if key.end_sec() < self.now {
            return;
        }
        if slot.is_open() {
            self.slots += 1;
        } else if slot.sold() > 0 {
            self.withdrawn.push(key);
        }
        if self
            .catalog
            .find_service(key.service)
            .is_some_and(|service| slot.is_oversold(service))
        {
            self.oversold.push(key);
        }
    }

    pub(super) fn finish(mut self) -> Reloaded {
        // Sorted, because the inventory visits slots in no order and warnings must be the same
        // every time.
        self.oversold.sort_unstable();
        self.withdrawn.sort_unstable();
        let names = self.names();
        let withdrawn: HashSet<ServiceIx> = self.withdrawn.iter().map(|key| key.service).collect();
        let is_gone = |service: &&ServiceIx| self.catalog.find_service(**service).is_none();
        let merchants: BTreeSet<&str> = withdrawn
            .iter()
            .filter_map(|ix| Some(names.get(ix)?.0))
            .collect();
        let unknown: Vec<&str> = merchants
            .into_iter()
            .filter(|id| self.catalog.merchant_ix(*id).is_none())
            .collect();
        Reloaded {
            services: self.catalog.services().count(),
            slots: self.slots,
            withdrawn: self.withdrawn.len(),
            withdrawn_slots: first_of(&self.withdrawn, &names),
            withdrawn_services: withdrawn.iter().filter(is_gone).count(),
            unknown_merchants: unknown.len(),
            unknown_merchant_ids: unknown
                .iter()
                .take(MAX_NAMED)
                .map(ToString::to_string)
                .collect(),
            oversold: self.oversold.len(),
            oversold_slots: first_of(&self.oversold, &names),
        }
    }

    /// The merchant and service ids of all reported slots, also of slots that the catalogue does not have.
    fn names(&self) -> HashMap<ServiceIx, (&'a str, &'a str)> {
        let reported: HashSet<ServiceIx> = self
            .withdrawn
            .iter()
            .chain(&self.oversold)
            .map(|key| key.service)
            .collect();
        let services = self.catalog.ids().services();
        let named = services.filter(|(ix, ..)| reported.contains(ix));
        named
            .map(|(ix, merchant_id, service_id)| (ix, (merchant_id.as_str(), service_id.as_str())))
            .collect()
    }
}

fn first_of(keys: &[SlotKey], names: &HashMap<ServiceIx, (&str, &str)>) -> Vec<String> {
    let named = |key: &SlotKey| {
        let (merchant_id, service_id) = names.get(&key.service).copied().unwrap_or_default();
        format!(
            "{merchant_id}/{service_id} at {} for {} s",
            moment(key.start_sec),
            Seconds::from(key.duration_sec)
        )
    };
    keys.iter().take(MAX_NAMED).map(named).collect()
}

impl Reloaded {
    /// Logs warnings of what the operator will hardly have intended.
    pub(super) fn warn(&self) {
        if self.services == 0 {
            tracing::warn!("the catalogue has no service: nothing can be sold");
        } else if self.slots == 0 {
            tracing::warn!("the catalogue has no slot that is not over: nothing can be sold");
        }
        if self.unknown_merchants > 0 {
            let (merchants, examples) =
                (self.unknown_merchants, self.unknown_merchant_ids.join("; "));
            tracing::warn!(
                merchants,
                examples,
                "there are orders of merchants that the catalogue does not have"
            );
        }
        if self.withdrawn > 0 {
            let (slots, services) = (self.withdrawn, self.withdrawn_services);
            let examples = self.withdrawn_slots.join("; ");
            tracing::warn!(
                slots,
                services,
                examples,
                "there are orders of slots, and perhaps of services, that the catalogue does not have any more"
            );
        }
        if self.oversold > 0 {
            let (slots, examples) = (self.oversold, self.oversold_slots.join("; "));
            tracing::warn!(
                slots,
                examples,
                "more is sold of some slots than the catalogue now gives them"
            );
        }
    }
}
