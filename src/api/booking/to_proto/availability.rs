//! Slots as they were asked for, and what was seen of them.

use crate::api::booking::proto::v3;
use domain::availability::{AskedSlot, Resources, SeenSlot};
use orders::SlotLookup;

pub(super) fn slot_time_availability(seen: SeenSlot) -> v3::SlotTimeAvailability {
    let available = seen.is_available;
    v3::SlotTimeAvailability {
        slot_time: Some(slot_time(seen.asked)),
        available,
    }
}

fn slot_time(asked: AskedSlot) -> v3::SlotTime {
    let AskedSlot {
        service_id,
        start_sec,
        duration_sec,
        availability_tag,
        resources,
        confirmation_mode,
    } = asked;
    v3::SlotTime {
        service_id: service_id.into(),
        start_sec: start_sec.get(),
        duration_sec: duration_sec.get(),
        availability_tag,
        resource_ids: resources.map(resource_ids),
        confirmation_mode,
    }
}

pub(super) fn slot(lookup: SlotLookup) -> v3::Slot {
    let SlotLookup { merchant_id, slot } = lookup;
    let AskedSlot {
        service_id,
        start_sec,
        duration_sec,
        availability_tag,
        resources,
        confirmation_mode,
    } = slot;
    v3::Slot {
        merchant_id: merchant_id.into(),
        service_id: service_id.into(),
        start_sec: start_sec.get(),
        duration_sec: duration_sec.get(),
        availability_tag,
        resources: resources.map(resource_ids),
        confirmation_mode,
    }
}

fn resource_ids(resources: Resources) -> v3::ResourceIds {
    let Resources {
        staff_id,
        room_id,
        party_size,
    } = resources;
    v3::ResourceIds {
        staff_id,
        room_id,
        party_size,
    }
}
