//! The slots of a day with what is sold, held, blocked and left, for those who run the box office.

use std::{ops::Range, sync::Arc};

use super::{ActiveCatalog, App, MerchantScope, OrderError};
use domain::{
    availability,
    catalog::{Service, ServiceIx},
    ids::{MerchantId, ServiceId},
    openings::{Span, untouched},
    slot::{BlockedSpots, SlotDuration, SlotKey, Stale},
    time::{EpochSeconds, Seconds},
};
use kernel::blocking;
use store::NamedSlot;

/// Which slots are wanted.
#[derive(Debug, Clone)]
pub struct SlotSearch {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// The service; `None` for all.
    pub service_id: Option<ServiceId>,
    /// The starts.
    pub starts: Range<EpochSeconds>,
}

/// A block that a slot does not have, to see what it would leave.
#[derive(Debug, Clone)]
pub(crate) struct AssumedBlock {
    pub(crate) spots: BlockedSpots,
    pub(crate) reason: String,
}

/// A slot with its spots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotReport {
    /// The service.
    pub service_id: ServiceId,
    /// Its name.
    pub service_name: String,
    /// Start.
    pub start_sec: EpochSeconds,
    /// Length.
    pub duration_sec: SlotDuration,
    /// Spots of the catalogue: the most tickets that fit when nothing is sold and held.
    pub allotment: u32,
    /// Spots that orders take.
    pub sold: u64,
    /// Spots that carts hold and payments in flight take.
    pub held: u64,
    /// Spots that are not sold and blocked.
    pub blocked: u32,
    /// Why they are, in words; empty if no reason was given.
    pub block_reason: String,
    /// Spots that can be sold at this moment; none outside of the booking window.
    pub left: u32,
}

impl App {
    /// The slots of the active catalogue that are open or not forgotten yet, by start, service and length. Each slot is
    /// locked separately.
    ///
    /// # Errors
    /// [`OrderError::UnknownMerchant`], also for one outside of the scope; [`OrderError::NoThread`].
    pub async fn slots_of(
        self: &Arc<Self>,
        search: SlotSearch,
        scope: &MerchantScope,
    ) -> Result<Vec<SlotReport>, OrderError> {
        if !scope.has(&search.merchant_id) {
            return Err(OrderError::UnknownMerchant);
        }
        self.slots_with(search, None).await
    }

    async fn slots_with(
        self: &Arc<Self>,
        search: SlotSearch,
        assumed: Option<AssumedBlock>,
    ) -> Result<Vec<SlotReport>, OrderError> {
        let app = Arc::clone(self);
        // All openings of the catalogue are gone through, which takes long where there are millions.
        let read = move || {
            app.by_active_catalog(|active| {
                let wanted = wanted_services(active, &search)?;
                Ok(app.report(active, &search, &wanted, assumed.as_ref())?)
            })
        };
        blocking::run(read).await?
    }

    /// A slot of the active catalogue, of whichever merchant; `None` if it is not open.
    ///
    /// # Errors
    /// Those of [`Self::slots_of`].
    pub async fn slot(
        self: &Arc<Self>,
        slot: &NamedSlot,
    ) -> Result<Option<SlotReport>, OrderError> {
        self.slot_with(slot, None).await
    }

    /// A slot as it stands, or as it would with another block than it has. All slots that start with it are then seen so,
    /// and only it is returned.
    pub(crate) async fn slot_with(
        self: &Arc<Self>,
        slot: &NamedSlot,
        assumed: Option<AssumedBlock>,
    ) -> Result<Option<SlotReport>, OrderError> {
        if self.catalog().merchant_ix(&slot.merchant_id).is_none() {
            return Ok(None);
        }
        let search = SlotSearch {
            merchant_id: slot.merchant_id.clone(),
            service_id: Some(slot.service_id.clone()),
            starts: slot.start_sec..slot.start_sec.saturating_add(Seconds::ONE),
        };
        let mut reports = self.slots_with(search, assumed).await?.into_iter();
        Ok(reports.find(|report| report.duration_sec == slot.duration_sec))
    }

    fn report(
        &self,
        active: &ActiveCatalog,
        search: &SlotSearch,
        wanted: &[ServiceIx],
        assumed: Option<&AssumedBlock>,
    ) -> Result<Vec<SlotReport>, Stale> {
        let (_, repeated_until) = self.opened();
        let span = Span {
            now: search.starts.start,
            until: search.starts.end,
            repeated_until,
        };
        let mut reports = Vec::new();
        for (key, openings) in active.openings.slots(span) {
            // A span also has the slots that are under way when it begins.
            let is_wanted = wanted.contains(&key.service) && search.starts.contains(&key.start_sec);
            if !is_wanted {
                continue;
            }
            let service = active.catalog.service(key.service);
            let (all, viewer) = (service.all_claims(), self.viewer(None));
            let allotment = untouched(&openings).spots_open(service, &all, viewer);
            let report = self.inventory.examine_one(active.revision, key, |slot| {
                let copy = assumed.map(|assumed| {
                    let mut copy = untouched(&openings).with_taken_of(slot);
                    copy.block(assumed.spots);
                    copy
                });
                let slot = copy.as_ref().unwrap_or(slot);
                let left = availability::spots_open(service, key, slot, viewer);
                (slot.sold(), slot.held(viewer), slot.blocked(), left)
            })?;
            // A slot that is not open any more was forgotten with its sales.
            let Some((sold, held, blocked, left)) = report else {
                continue;
            };
            reports.push(SlotReport {
                service_id: service.id.clone(),
                service_name: service.name.value.clone(),
                start_sec: key.start_sec,
                duration_sec: key.duration_sec,
                allotment,
                sold,
                held,
                blocked: blocked.among(allotment, sold),
                block_reason: if !blocked.is_any() {
                    String::new()
                } else if let Some(assumed) = assumed {
                    assumed.reason.clone()
                } else {
                    self.block_reason(&search.merchant_id, service, key)
                },
                left,
            });
        }
        reports.sort_by(|one, other| sort_key(one).cmp(&sort_key(other)));
        Ok(reports)
    }
}

impl App {
    fn block_reason(&self, merchant_id: &MerchantId, service: &Service, key: SlotKey) -> String {
        let block = self.blocks.find(&NamedSlot {
            start_sec: key.start_sec,
            merchant_id: merchant_id.clone(),
            service_id: service.id.clone(),
            duration_sec: key.duration_sec,
        });
        block.map(|block| block.reason).unwrap_or_default()
    }
}

fn sort_key(report: &SlotReport) -> (EpochSeconds, &ServiceId, SlotDuration) {
    (report.start_sec, &report.service_id, report.duration_sec)
}

/// The services of the merchant, or the one that is asked for.
fn wanted_services(
    active: &ActiveCatalog,
    search: &SlotSearch,
) -> Result<Vec<ServiceIx>, OrderError> {
    let catalog = &active.catalog;
    let merchant = catalog
        .merchant_ix(&search.merchant_id)
        .ok_or(OrderError::UnknownMerchant)?;
    if let Some(service_id) = &search.service_id {
        // An unknown service has no slots.
        return Ok(catalog
            .service_ix(merchant, service_id)
            .into_iter()
            .collect());
    }
    let services = catalog.services();
    let of_merchant = services.filter(|(_, service)| service.merchant == merchant);
    Ok(of_merchant.map(|(ix, _)| ix).collect())
}
