//! The builder of a catalogue.
//!
//! An invalid value is reported and replaced by a stand-in, so that reading continues and references to the
//! entry resolve. A builder with errors never becomes a catalogue.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use domain::{
    catalog::{Catalog, IdInterner, Merchant, MerchantIx, Service, ServiceIx, TicketIx},
    ids::{MerchantId, ServiceId},
    money::{Currency, TaxRate},
    refunds::{RefundCondition, RefundFees, RefundTerms},
    slot::Opening,
};

use super::{
    availability::EntrySources, diagnostics::Cursor, pass_through::PassThroughInterner,
    prices::PriceReader, source_feeds::SourceFeeds, tags::Tags,
};

/// The time zone of a merchant if the rules give none.
const DEFAULT_TIME_ZONE: &str = "UTC";

/// The name of a tax if the rules give none.
const DEFAULT_TAX_NAME: &str = "Tax";

#[derive(Debug, Default)]
pub(super) struct CatalogBuilder {
    pub(super) catalog: Catalog,
    pub(super) openings: Vec<Opening>,
    /// The feed entries of the openings, in the same order.
    pub(super) origins: EntrySources,
    /// Whether the merchant and service feeds were read completely. Only then is an id that is not in the
    /// catalogue unknown.
    pub(super) complete: bool,
    /// Ids of services that could not become part of the catalogue, with the reported cause. They are not
    /// reported again.
    rejected: HashMap<(MerchantId, ServiceId), String>,
    /// Merchants whose currency is known from a price.
    priced: HashSet<MerchantIx>,
    /// Merchants that have services with a tax.
    taxed: HashSet<MerchantIx>,
    /// The different refund terms of services.
    refund_conditions: HashSet<Arc<[RefundCondition]>>,
    pub(super) tags: Tags,
    pub(super) source_feeds: SourceFeeds,
    pub(super) pass_through: PassThroughInterner,
}

/// The currency of merchants that sell nothing yet, and of stand-ins.
pub(super) fn stand_in_currency() -> Currency {
    Currency::from_code("USD").expect("the US dollar is a currency")
}

/// The cause of all errors that follow from an unknown merchant.
fn cause_of_merchant(merchant_id: &MerchantId) -> String {
    format!("merchant {merchant_id:?}")
}

/// The cause of all errors that follow from an unknown ticket type.
pub(super) fn cause_of_ticket(service: &Service, ticket_id: &str) -> String {
    format!(
        "ticket {ticket_id:?} of {:?} of {:?}",
        service.id, service.merchant
    )
}

impl CatalogBuilder {
    /// An empty builder of a catalogue that keeps the indexes of `ids`.
    pub(super) fn after(ids: IdInterner) -> Self {
        Self {
            catalog: Catalog::with_ids(ids),
            ..Self::default()
        }
    }

    /// Adds a merchant; a second one of its id is reported.
    pub(super) fn add_merchant(
        &mut self,
        id: MerchantId,
        name: String,
        tax_rate: Option<TaxRate>,
        at: &Cursor<'_>,
    ) {
        if self.catalog.merchant_ix(&id).is_some() {
            return at.error("duplicate", format!("merchant {id:?} is there twice"));
        }
        self.catalog.add_merchant(Merchant {
            id,
            name,
            // Replaced by the currency of the first price: the merchant feed has none.
            currency: stand_in_currency(),
            per_order_fees: Vec::new(),
            combinations: Vec::new(),
            cart_hold: None,
            tax_rate,
            tax_name: DEFAULT_TAX_NAME.to_owned(),
            refund_fees: RefundFees::default(),
            time_zone: DEFAULT_TIME_ZONE.to_owned(),
        });
    }

    /// Adds a service; a second one of its id is reported.
    pub(super) fn add_service(&mut self, mut service: Service, at: &Cursor<'_>) {
        if self
            .catalog
            .service_ix(service.merchant, &service.id)
            .is_some()
        {
            let merchant = &self.catalog.merchant(service.merchant).id;
            return at.error(
                "duplicate",
                format!(
                    "service {:?} of merchant {merchant:?} is there twice",
                    service.id
                ),
            );
        }
        if service.tax_rate.is_some() {
            self.taxed.insert(service.merchant);
        }
        self.share_terms(&mut service.cancellation.refund);
        self.catalog.add_service(service);
    }

    /// Replaces refund terms by the equal ones of an earlier service: mostly all services of a merchant have
    /// the same.
    fn share_terms(&mut self, terms: &mut RefundTerms) {
        let RefundTerms::Stated(conditions) = terms else {
            return;
        };
        if let Some(known) = self.refund_conditions.get(conditions) {
            *conditions = Arc::clone(known);
        } else {
            self.refund_conditions.insert(Arc::clone(conditions));
        }
    }

    /// Whether a merchant has services with a tax.
    pub(super) fn is_taxed(&self, merchant: MerchantIx) -> bool {
        self.taxed.contains(&merchant)
    }

    /// Remembers a service that has no merchant.
    pub(super) fn reject_service(&mut self, merchant_id: MerchantId, service_id: ServiceId) {
        let cause = cause_of_merchant(&merchant_id);
        self.rejected.insert((merchant_id, service_id), cause);
    }

    /// The merchant of that id; an unknown one is reported.
    pub(super) fn merchant(&self, id: &MerchantId, at: &Cursor<'_>) -> Option<MerchantIx> {
        let ix = self.catalog.merchant_ix(id);
        if ix.is_none() && self.complete {
            let text = format!("merchant {id:?} is not in the merchant feed");
            at.error_because("unknown_merchant", cause_of_merchant(id), text);
        }
        ix
    }

    /// The service of that id; an unknown one is reported at the merchant or the service id.
    pub(super) fn service(
        &self,
        merchant_id: &MerchantId,
        service_id: &ServiceId,
        merchant_at: &Cursor<'_>,
        service_at: &Cursor<'_>,
    ) -> Option<ServiceIx> {
        let merchant = self.catalog.merchant_ix(merchant_id);
        let service = merchant.and_then(|merchant| self.catalog.service_ix(merchant, service_id));
        if service.is_some() {
            return service;
        }
        if let Some(cause) = self
            .rejected
            .get(&(merchant_id.clone(), service_id.clone()))
        {
            // The cause has been reported once; each reference to the service is one more place of it.
            service_at.follows_from(cause);
        } else if self.merchant(merchant_id, merchant_at).is_some() {
            self.report_unknown_service(merchant_id, service_id, service_at);
        }
        None
    }

    /// The service of that id of a known merchant; an unknown one is reported.
    pub(super) fn service_of(
        &self,
        merchant: MerchantIx,
        service_id: &ServiceId,
        at: &Cursor<'_>,
    ) -> Option<ServiceIx> {
        let service = self.catalog.service_ix(merchant, service_id);
        if service.is_none() {
            self.report_unknown_service(&self.catalog.merchant(merchant).id, service_id, at);
        }
        service
    }

    fn report_unknown_service(
        &self,
        merchant_id: &MerchantId,
        service_id: &ServiceId,
        at: &Cursor<'_>,
    ) {
        if self.complete {
            let cause = format!("service {service_id:?} of {merchant_id:?}");
            let text = format!(
                "service {service_id:?} of merchant {merchant_id:?} is not in the service feed"
            );
            at.error_because("unknown_service", cause, text);
        }
    }

    /// The currency of a merchant, if a price has shown it.
    pub(super) fn currency_of(&self, merchant: MerchantIx) -> Option<Currency> {
        self.priced
            .contains(&merchant)
            .then(|| self.catalog.merchant(merchant).currency)
    }

    /// A reader of prices of this merchant, or of one that is not known.
    pub(super) fn price_reader(&self, merchant: Option<MerchantIx>) -> PriceReader {
        PriceReader {
            currency: merchant.and_then(|merchant| self.currency_of(merchant)),
            merchant,
            tax_rate: merchant.and_then(|merchant| self.catalog.merchant(merchant).tax_rate),
        }
    }

    /// Sets the currency of a merchant.
    pub(super) fn set_currency(&mut self, merchant: MerchantIx, currency: Currency) {
        self.priced.insert(merchant);
        self.catalog.merchant_mut(merchant).currency = currency;
    }

    /// The index of a sorted set of ticket types among the sets of the service; `None` if there are too
    /// many.
    pub(super) fn ticket_set(&mut self, service: ServiceIx, set: &[TicketIx]) -> Option<u16> {
        let sets = &mut self.catalog.service_mut(service).ticket_sets;
        // Equal sets share one index, because millions of openings name the same few sets.
        let at = sets
            .iter()
            .position(|known| known == set)
            .unwrap_or(sets.len());
        if at == sets.len() {
            sets.push(set.to_vec());
        }
        u16::try_from(at).ok()
    }
}
