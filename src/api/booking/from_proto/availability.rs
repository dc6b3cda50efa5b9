//! The slots of a look-up.

use super::{Validator, Violated};
use crate::api::booking::{proto::v3, requests::MAX_TAG_CHARS, violations::FieldPath};
use domain::availability::{AskedSlot, Resources};
use domain::time::{EpochSeconds, Seconds};
use orders::SlotLookup;

impl Validator<'_> {
    pub(super) fn slot_times(
        &mut self,
        field: FieldPath<'_>,
        slot_times: Vec<v3::SlotTime>,
    ) -> Result<Vec<AskedSlot>, Violated> {
        self.limit_count(field, slot_times.len(), self.limits().max_slots_per_lookup)?;
        let mut slots = Vec::with_capacity(slot_times.len());
        for (at, slot_time) in slot_times.into_iter().enumerate() {
            let slot = asked_slot_time(slot_time);
            self.check_slot(field.index(at), "resource_ids", &slot);
            slots.push(slot);
        }
        Ok(slots)
    }

    pub(super) fn slot_lookup(
        &mut self,
        field: FieldPath<'_>,
        slot: v3::Slot,
        is_merchant: &dyn Fn(&str) -> bool,
    ) -> SlotLookup {
        let lookup = slot_lookup(slot);
        self.check_merchant(
            field.key("merchant_id"),
            lookup.merchant_id.as_str(),
            is_merchant,
        );
        self.check_slot(field, "resources", &lookup.slot);
        lookup
    }

    /// Parts of a slot that no rule is about are still limited in length, because the response repeats them.
    fn check_slot(&mut self, field: FieldPath<'_>, resources: &str, slot: &AskedSlot) {
        self.check_id(field.key("service_id"), slot.service_id.as_str());
        self.check_chars(
            field.key("availability_tag"),
            &slot.availability_tag,
            MAX_TAG_CHARS,
        );
        if let Some(Resources {
            staff_id,
            room_id,
            party_size: _,
        }) = &slot.resources
        {
            let field = field.key(resources);
            self.check_id(field.key("staff_id"), staff_id);
            self.check_id(field.key("room_id"), room_id);
        }
    }
}

fn asked_slot_time(slot_time: v3::SlotTime) -> AskedSlot {
    let v3::SlotTime {
        service_id,
        start_sec,
        duration_sec,
        availability_tag,
        resource_ids,
        confirmation_mode,
    } = slot_time;
    AskedSlot {
        service_id: service_id.into(),
        start_sec: EpochSeconds::new(start_sec),
        duration_sec: Seconds::new(duration_sec),
        availability_tag,
        resources: resource_ids.map(resources),
        confirmation_mode,
    }
}

fn slot_lookup(slot: v3::Slot) -> SlotLookup {
    let v3::Slot {
        merchant_id,
        service_id,
        start_sec,
        duration_sec,
        availability_tag,
        resources: about,
        confirmation_mode,
    } = slot;
    let slot = AskedSlot {
        service_id: service_id.into(),
        start_sec: EpochSeconds::new(start_sec),
        duration_sec: Seconds::new(duration_sec),
        availability_tag,
        resources: about.map(resources),
        confirmation_mode,
    };
    SlotLookup {
        merchant_id: merchant_id.into(),
        slot,
    }
}

fn resources(ids: v3::ResourceIds) -> Resources {
    let v3::ResourceIds {
        staff_id,
        room_id,
        party_size,
    } = ids;
    Resources {
        staff_id,
        room_id,
        party_size,
    }
}
