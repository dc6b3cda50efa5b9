//! Availability entries in the form in which exports write them: one slot each, never recurring.

use super::entry::{AvailabilityEntry, Overrides};
use crate::{json::Field, pass_through::PassThrough};
use domain::{
    catalog::{Catalog, ServiceIx},
    slot::{Opening, PoolTickets, SlotKey, SlotTerms},
    time::{EpochSeconds, Seconds},
};

/// The members of an entry as a JSON object.
pub(super) fn members(entry: &AvailabilityEntry) -> Box<str> {
    serde_json::to_string(entry)
        .expect("members of an element can be written")
        .into()
}

/// The entry of one occurrence, with the spots that can still be sold.
pub(crate) fn write(
    catalog: &Catalog,
    pass_through: &PassThrough,
    opening: &Opening,
    start_sec: EpochSeconds,
    spots_open: u32,
) -> String {
    let (
        SlotKey {
            service,
            duration_sec,
            start_sec,
        },
        terms,
    ) = opening.occurrence(start_sec);
    let sold = catalog.service(service);
    let cancellable = pass_through
        .cancellable_before
        .map(|before| start_sec.saturating_sub(before));
    let slot = members(&AvailabilityEntry {
        merchant_id: Field::Given(catalog.merchant(sold.merchant).id.clone().into()),
        service_id: Field::Given(sold.id.clone().into()),
        start_sec: Field::Given(start_sec.get()),
        duration_sec: Field::Given(Seconds::from(duration_sec).get()),
        spots_open: Field::Given(spots_open.into()),
        ticket_type_id: ticket_type_ids(catalog, service, opening.pool.tickets).into(),
        scheduling_rule_overrides: overrides(&terms, cancellable).into(),
        ..AvailabilityEntry::default()
    });
    // Joined as text: the remaining members are written as they were read, without parsing them again.
    join(&slot, &pass_through.members)
}

/// One object with the members of two non-empty ones.
fn join(one: &str, other: &str) -> String {
    let one = one.strip_suffix('}').unwrap_or(one);
    let other = other.strip_prefix('{').unwrap_or(other);
    [one, other].join(",")
}

fn ticket_type_ids(
    catalog: &Catalog,
    service: ServiceIx,
    tickets: PoolTickets,
) -> Option<Vec<Field<String>>> {
    let PoolTickets::Set(set) = tickets else {
        return None;
    };
    let service = catalog.service(service);
    let tickets = service.ticket_sets[usize::from(set)].iter();
    Some(
        tickets
            .map(|ticket| Field::Given(service.ticket(*ticket).id.clone().into()))
            .collect(),
    )
}

fn overrides(terms: &SlotTerms, cancellable: Option<EpochSeconds>) -> Option<Overrides> {
    let SlotTerms {
        first_bookable_sec,
        last_bookable_sec,
        tags: _,
        parties: _,
        confirmation: _,
    } = *terms;
    // Absent and not empty: an entry that had no overrides gets none.
    first_bookable_sec.or(last_bookable_sec).or(cancellable)?;
    Some(Overrides {
        first_bookable_sec: first_bookable_sec.map(EpochSeconds::get).into(),
        last_bookable_sec: last_bookable_sec.map(EpochSeconds::get).into(),
        last_online_cancellable_sec: cancellable.map(EpochSeconds::get).into(),
        ..Overrides::default()
    })
}
