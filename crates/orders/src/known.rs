//! The merchants, services and slots that lists may name. An unknown one would find nothing, which is taken for an answer:
//! at the door it reads as if nobody came.

use std::{collections::BTreeSet, sync::Arc};

use super::{App, MerchantScope, OrderError, update::InvalidField};
use domain::{
    catalog::Catalog,
    ids::{MerchantId, ServiceId},
    openings::Span,
    time::{EpochSeconds, Seconds},
};
use kernel::{blocking, diagnostics::quoted};
use store::SlotName;

/// Most known names in an error.
const MAX_NAMED: usize = 20;

/// How far from the start that is asked for other starts are named.
const NEAR: Seconds = Seconds::DAY;

/// Which names are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownNames {
    /// Those of the catalogue.
    OfCatalog,
    /// Those as well that have left the catalogue and may have orders: since the start, or before it with visits to come.
    OfOrders,
}

/// The merchant and the service that a list is asked for, each behind its field in the request.
#[derive(Debug, Clone, Copy)]
pub struct AskedNames<'n> {
    /// The merchant.
    pub merchant: (&'static str, Option<&'n MerchantId>),
    /// The service.
    pub service: (&'static str, Option<&'n ServiceId>),
}

impl App {
    /// What is wrong with the names of a list. A merchant outside of the scope is as unknown as any other.
    #[must_use]
    pub fn unknown_names(
        &self,
        asked: AskedNames<'_>,
        known: KnownNames,
        scope: &MerchantScope,
    ) -> Vec<InvalidField> {
        let catalog = self.catalog();
        let names = Names {
            catalog: &catalog,
            known,
            scope,
        };
        let mut invalid = Vec::new();
        let (field, merchant) = asked.merchant;
        if let Some(id) = merchant
            && !names.has_merchant(id)
        {
            let merchants = listed(&Vec::from_iter(names.merchants()));
            let rule = format!(
                "has {}, which is no merchant; merchants are {merchants}",
                quoted(id.as_str())
            );
            // The services of no merchant are none.
            return vec![InvalidField::new(field, rule)];
        }
        let (field, service) = asked.service;
        if let Some(id) = service
            && !names.has_service(merchant, id)
        {
            let services = names.services(merchant);
            let services: Vec<&str> = services.into_iter().map(ServiceId::as_str).collect();
            let rule = format!(
                "has {}, which is no service; services are {}",
                quoted(id.as_str()),
                listed(&services)
            );
            invalid.push(InvalidField::new(field, rule));
        }
        invalid
    }

    /// What is wrong with the name of a slot of which there are no orders; `None` if there is such a slot. One that is over
    /// and has no orders is not known any more.
    ///
    /// # Errors
    /// [`OrderError::NoThread`].
    pub async fn unknown_slot(
        self: &Arc<Self>,
        slot: &SlotName,
    ) -> Result<Option<InvalidField>, OrderError> {
        let (app, name) = (Arc::clone(self), slot.clone());
        // All openings of the catalogue are gone through, which takes long where there are millions.
        let read = move || (app.durations_of(&name), app.starts_near(&name));
        let (durations, starts) = blocking::run(read).await?;
        if durations.is_empty() {
            let starts: Vec<String> = starts.into_iter().map(written).collect();
            let rule = format!(
                "is the start of no slot; slots start at {}",
                listed(&starts)
            );
            return Ok(Some(InvalidField::new("slot.start_time", rule)));
        }
        let is_known = slot
            .duration_sec
            .is_none_or(|duration| durations.contains(&duration));
        if is_known {
            return Ok(None);
        }
        let lengths: Vec<String> = durations
            .into_iter()
            .map(|it| u32::from(it).to_string())
            .collect();
        let rule = format!(
            "is the length of no slot then; lengths are {}",
            listed(&lengths)
        );
        Ok(Some(InvalidField::new("slot.duration_sec", rule)))
    }

    /// The starts of the slots of the service that are nearest, in order.
    fn starts_near(&self, name: &SlotName) -> Vec<EpochSeconds> {
        let (active, repeated_until) = self.opened();
        let catalog = &active.catalog;
        let merchant = catalog.merchant_ix(&name.merchant_id);
        let service = merchant.and_then(|ix| catalog.service_ix(ix, &name.service_id));
        let span = Span {
            now: name.start_sec.saturating_sub(NEAR),
            until: name.start_sec.saturating_add(NEAR),
            repeated_until,
        };
        let mut starts = BTreeSet::new();
        for (key, _) in active.openings.slots(span) {
            if Some(key.service) == service {
                starts.insert(key.start_sec);
            }
        }
        let mut starts = Vec::from_iter(starts);
        starts.sort_by_key(|start| start.since(name.start_sec).get().abs());
        starts.truncate(MAX_NAMED);
        starts.sort_unstable();
        starts
    }
}

/// The names of a catalogue in a scope.
struct Names<'n> {
    catalog: &'n Catalog,
    known: KnownNames,
    scope: &'n MerchantScope,
}

impl<'n> Names<'n> {
    fn has_merchant(&self, id: &MerchantId) -> bool {
        self.scope.has(id)
            && (self.catalog.merchant_ix(id).is_some() || self.merchants().contains(&id.as_str()))
    }

    fn has_service(&self, merchant: Option<&MerchantId>, id: &ServiceId) -> bool {
        let ix = merchant.and_then(|merchant| self.catalog.merchant_ix(merchant));
        ix.is_some_and(|ix| self.catalog.service_ix(ix, id).is_some())
            || self.services(merchant).contains(id)
    }

    fn merchants(&self) -> BTreeSet<&'n str> {
        let catalog = self.catalog;
        let mut merchants = BTreeSet::new();
        for merchant in catalog.merchants() {
            merchants.insert(&merchant.id);
        }
        if self.known == KnownNames::OfOrders {
            for (_, merchant_id, _) in catalog.ids().services() {
                merchants.insert(merchant_id);
            }
        }
        merchants.retain(|id| self.scope.has(id));
        merchants.into_iter().map(MerchantId::as_str).collect()
    }

    /// The services of a merchant, or of all.
    fn services(&self, of: Option<&MerchantId>) -> BTreeSet<&'n ServiceId> {
        let catalog = self.catalog;
        let is_wanted =
            |id: &MerchantId| self.scope.has(id) && of.is_none_or(|merchant| merchant == id);
        let mut services = BTreeSet::new();
        for (_, service) in catalog.services() {
            if is_wanted(&catalog.merchant(service.merchant).id) {
                services.insert(&service.id);
            }
        }
        if self.known == KnownNames::OfOrders {
            for (_, merchant_id, service_id) in catalog.ids().services() {
                if is_wanted(merchant_id) {
                    services.insert(service_id);
                }
            }
        }
        services
    }
}

/// Names with commas between, as many as an error has room for.
fn listed<T: AsRef<str>>(names: &[T]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<&str> = names.iter().take(MAX_NAMED).map(AsRef::as_ref).collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A moment as requests have it.
fn written(start: EpochSeconds) -> String {
    let time = jiff::Timestamp::from_second(start.get());
    time.map_or_else(|_| start.get().to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests;
