//! The availability feed: the openings of services, their spots and their recurrence.

use domain::{
    catalog::{ServiceIx, TicketIx},
    ids::{MerchantId, ServiceId},
    slot::{
        MAX_DURATION, Opening, PassThroughIx, Pool, PoolTickets, Recurrence, SlotDuration, SlotKey,
        SlotTerms,
    },
    time::{EpochSeconds, Seconds},
};

use super::{
    builder::{CatalogBuilder, cause_of_ticket},
    diagnostics::Cursor,
    ignored,
    json::{Field, Others, elements},
    pass_through::PassThrough,
};

mod collisions;
mod duplicates;
mod entry;
mod warnings;
pub(super) mod write;

use duplicates::{Resource, Validity};
use entry::{
    AvailabilityEntry, ConfirmationMode, Overrides, RecurrenceEntry, ResourcesEntry,
    ScheduleException, TimeRange,
};

pub(super) use duplicates::EntrySources;

/// The last second of the year 9999. Later values are more likely milliseconds.
const LAST_SECOND: EpochSeconds = EpochSeconds::new(253_402_300_799);

/// Adds an element of the feed to the builder.
pub(super) fn add(builder: &mut CatalogBuilder, at: &Cursor<'_>, entry: Field<AvailabilityEntry>) {
    let errors_before = at.errors_so_far();
    let Some(mut entry) = entry.required(at) else {
        return;
    };
    let merchant_id = std::mem::take(&mut entry.merchant_id);
    let service_id = std::mem::take(&mut entry.service_id);
    // Everything else is read first, so that all errors of an entry without a service are reported.
    let entry = EntryOfService::read(entry, at);
    let Some(service) = read_service(builder, merchant_id, service_id, at) else {
        return;
    };
    let (opening, resource, party_size) = entry.into_opening(builder, service, at);
    // Of single entries only; collisions need all entries and come last.
    warnings::warn(builder.catalog.service(service), &opening, at);
    builder.openings.push(opening);
    // Stand-ins of an invalid entry would collide with others and report errors that are not there.
    let validity = if at.errors_so_far() == errors_before {
        Validity::Valid
    } else {
        Validity::Invalid
    };
    builder.origins.add(at, resource, party_size, validity);
}

/// The contents of an entry, apart from its service. Invalid values are replaced by stand-ins.
struct EntryOfService {
    start_sec: EpochSeconds,
    duration_sec: SlotDuration,
    spots_total: i64,
    allotment: u32,
    recurrence: Option<Recurrence>,
    terms: SlotTerms,
    /// The time until which a booking can be cancelled online.
    cancellable: Option<EpochSeconds>,
    resources: Option<ResourcesEntry>,
    resource: Resource,
    party_size: u32,
    tag: Option<String>,
    confirmation_mode: Option<ConfirmationMode>,
    ticket_ids: Vec<(usize, String)>,
    others: Others,
}

impl EntryOfService {
    fn read(entry: AvailabilityEntry, at: &Cursor<'_>) -> Self {
        let AvailabilityEntry {
            merchant_id: _,
            service_id: _,
            start_sec,
            duration_sec,
            spots_total,
            spots_open,
            availability_tag,
            resources,
            ticket_type_id,
            recurrence,
            schedule_exception,
            scheduling_rule_overrides: overrides,
            confirmation_mode,
            others,
        } = entry;
        let start_sec = moment(start_sec, &at.key("start_sec"));
        let duration_sec = duration(duration_sec, &at.key("duration_sec"));
        let (spots_total, allotment) = spots(spots_total, spots_open, &recurrence, at);
        let recurrence = read_recurrence(recurrence, schedule_exception, start_sec, at);
        let (mut terms, cancellable) = read_terms(overrides, &at.key("scheduling_rule_overrides"));
        let (resources, resource, party_size) = read_resources(resources, &at.key("resources"));
        let tag = availability_tag.optional(&at.key("availability_tag"));
        let confirmation_mode = read_confirmation(confirmation_mode, &at.key("confirmation_mode"));
        if let Some(mode) = &confirmation_mode {
            terms.confirmation = mode.confirmation();
        }
        ignored::warn(&others, at);
        Self {
            start_sec: start_sec.unwrap_or_default(),
            duration_sec,
            spots_total,
            allotment,
            recurrence,
            terms,
            cancellable,
            resources,
            resource,
            party_size,
            tag,
            confirmation_mode,
            ticket_ids: elements(ticket_type_id, &at.key("ticket_type_id")),
            others,
        }
    }

    /// The opening, its resource and its party size.
    fn into_opening(
        mut self,
        builder: &mut CatalogBuilder,
        service: ServiceIx,
        at: &Cursor<'_>,
    ) -> (Opening, Resource, u32) {
        let tag = self.tag.as_deref();
        let tag = tag.and_then(|tag| builder.tags.of_entry(service, tag));
        self.terms.tags.extend(tag);
        let tickets = read_tickets(
            builder,
            service,
            &self.ticket_ids,
            &at.key("ticket_type_id"),
        );
        let resource = std::mem::take(&mut self.resource);
        let opening = Opening {
            first: SlotKey {
                service,
                duration_sec: self.duration_sec,
                start_sec: self.start_sec,
            },
            pool: Pool {
                tickets,
                allotment: self.allotment,
            },
            terms: std::mem::take(&mut self.terms).boxed(),
            recurrence: self.recurrence.take().map(Box::new),
            pass_through: PassThroughIx::default(),
        };
        let party_size = self.party_size;
        let pass_through = builder.pass_through.index(self.into_pass_through());
        (
            Opening {
                pass_through,
                ..opening
            },
            resource,
            party_size,
        )
    }

    /// The members that an export writes as they were read.
    fn into_pass_through(self) -> PassThrough {
        PassThrough {
            members: write::members(&AvailabilityEntry {
                spots_total: Field::Given(self.spots_total),
                availability_tag: self.tag.into(),
                resources: self.resources.into(),
                confirmation_mode: self.confirmation_mode.into(),
                others: self.others,
                ..AvailabilityEntry::default()
            }),
            cancellable_before: self.cancellable.map(|last| self.start_sec.since(last)),
        }
    }
}

/// The confirmation mode.
fn read_confirmation(mode: Field<ConfirmationMode>, at: &Cursor<'_>) -> Option<ConfirmationMode> {
    let mode = mode.optional(at)?;
    if mode.is_unknown() {
        let text = "is a mode that this server does not know: an order is confirmed at once";
        at.warning("unknown_confirmation_mode", text);
    }
    Some(mode)
}

fn read_service(
    builder: &CatalogBuilder,
    merchant_id: Field<String>,
    service_id: Field<String>,
    at: &Cursor<'_>,
) -> Option<ServiceIx> {
    let (merchant_at, service_at) = (at.key("merchant_id"), at.key("service_id"));
    let merchant_id = merchant_id.id(&merchant_at).map(MerchantId::from);
    let service_id = service_id.id(&service_at).map(ServiceId::from);
    builder.service(&merchant_id?, &service_id?, &merchant_at, &service_at)
}

/// A required point in time.
fn moment(field: Field<i64>, at: &Cursor<'_>) -> Option<EpochSeconds> {
    let second = field.required(at)?;
    if (1..=LAST_SECOND.get()).contains(&second) {
        return Some(EpochSeconds::new(second));
    }
    at.error(
        "out_of_range",
        format!("expected seconds since 1970 up to the year 9999, found {second}"),
    );
    None
}

/// An optional point in time; in the feeds 0 means none.
fn optional_moment(field: Field<i64>, at: &Cursor<'_>) -> Option<EpochSeconds> {
    // In protobuf JSON 0 is the default, so it reads like an absent member.
    let given = !field.is_absent() && !matches!(field, Field::Given(0));
    given.then(|| moment(field, at)).flatten()
}

fn duration(field: Field<i64>, at: &Cursor<'_>) -> SlotDuration {
    let Some(length) = field.required(at).map(Seconds::new) else {
        return SlotDuration::default();
    };
    if !(Seconds::ONE..=MAX_DURATION).contains(&length) {
        at.error(
            "out_of_range",
            format!("expected 1 to {MAX_DURATION} seconds, found {length}"),
        );
    }
    SlotDuration::new(length).unwrap_or_default()
}

/// The resources of an entry: as an export writes them, as entries are compared, and the party size; 0 for
/// any size.
fn read_resources(
    resources: Field<ResourcesEntry>,
    at: &Cursor<'_>,
) -> (Option<ResourcesEntry>, Resource, u32) {
    let Some(resources) = resources.optional(at) else {
        return (None, Resource::default(), 0);
    };
    let ResourcesEntry {
        staff_id,
        staff_name,
        room_id,
        room_name,
        party_size,
        others,
    } = resources;
    let text = |field: Field<String>, name| field.optional(&at.key(name));
    let (staff_id, staff_name) = (text(staff_id, "staff_id"), text(staff_name, "staff_name"));
    let (room_id, room_name) = (text(room_id, "room_id"), text(room_name, "room_name"));
    let name = |id: &Option<String>, name: &Option<String>| {
        // A feed may name people without ids; the name then tells them apart.
        id.clone()
            .filter(|id| !id.is_empty())
            .or_else(|| name.clone())
            .unwrap_or_default()
    };
    let resource = Resource {
        staff: name(&staff_id, &staff_name),
        room: name(&room_id, &room_name),
    };
    let party_size = party_size.optional(&at.key("party_size"));
    let people = party_size.filter(|size| (0..=i64::from(i32::MAX)).contains(size));
    if let Some(size) = party_size.filter(|_| people.is_none()) {
        at.key("party_size").error(
            "out_of_range",
            format!("expected 0 to {}, found {size}", i32::MAX),
        );
    }
    let written = ResourcesEntry {
        staff_id: staff_id.into(),
        staff_name: staff_name.into(),
        room_id: room_id.into(),
        room_name: room_name.into(),
        party_size: party_size.into(),
        others,
    };
    (
        Some(written),
        resource,
        people
            .and_then(|size| u32::try_from(size).ok())
            .unwrap_or_default(),
    )
}

/// `spots_total` and the allotment, which is `spots_open` and at most the total. A feed may leave out an
/// open 0. If the entry recurs it may leave out both, and then has one spot.
fn spots(
    total: Field<i64>,
    open: Field<i64>,
    recurrence: &Field<RecurrenceEntry>,
    at: &Cursor<'_>,
) -> (i64, u32) {
    let open_at = at.key("spots_open");
    if open.is_absent() && total.is_absent() {
        // The feeds' rule for recurring entries: one spot if no number is given.
        if !recurrence.is_absent() {
            return (1, 1);
        }
        open_at.error("missing", "is missing");
    }
    if open.is_absent() && matches!(total, Field::Given(1..)) {
        // Valid, because an absent number is 0, but a feed that states the total means to sell.
        open_at.warning(
            "only_spots_total",
            "is not given beside `spots_total`, so that nothing can be sold",
        );
    }
    let total = total.optional(&at.key("spots_total"));
    let open = open.optional(&open_at).unwrap_or_default();
    let most = i64::from(i32::MAX);
    if !(0..=most).contains(&open) {
        open_at.error(
            "out_of_range",
            format!("expected 0 to {most}, found {open}"),
        );
    } else if let Some(total) = total.filter(|total| *total < open) {
        open_at.error(
            "contradiction",
            format!("is {open}, more than the {total} of `spots_total`"),
        );
    }
    (
        total.unwrap_or(open),
        u32::try_from(open).unwrap_or_default(),
    )
}

fn read_recurrence(
    recurrence: Field<RecurrenceEntry>,
    exceptions: Field<Vec<Field<ScheduleException>>>,
    start_sec: Option<EpochSeconds>,
    at: &Cursor<'_>,
) -> Option<Recurrence> {
    let (recurrence_at, exceptions_at) = (at.key("recurrence"), at.key("schedule_exception"));
    if recurrence.is_absent() && !exceptions.is_empty() {
        // A single entry with an exception would contradict itself.
        exceptions_at.error(
            "contradiction",
            "is given without `recurrence`; leave the entry out instead",
        );
    }
    let except = elements(exceptions, &exceptions_at)
        .into_iter()
        .filter_map(|(index, exception)| read_exception(exception, &exceptions_at.index(index)))
        .collect();
    let RecurrenceEntry {
        repeat_until_sec,
        repeat_every_sec,
        others: _,
    } = recurrence.optional(&recurrence_at)?;
    let (until_at, every_at) = (
        recurrence_at.key("repeat_until_sec"),
        recurrence_at.key("repeat_every_sec"),
    );
    let until_sec = moment(repeat_until_sec, &until_at);
    if let (Some(start), Some(until)) = (start_sec, until_sec)
        && until < start
    {
        until_at.error(
            "contradiction",
            format!("is {until}, before `start_sec`, which is {start}"),
        );
    }
    let every = repeat_every_sec.required(&every_at).map(Seconds::new)?;
    if every <= Seconds::ZERO {
        every_at.error(
            "out_of_range",
            format!("expected a number of seconds above zero, found {every}"),
        );
    }
    Some(Recurrence {
        every,
        until_sec: until_sec?,
        except,
    })
}

fn read_exception(
    exception: ScheduleException,
    at: &Cursor<'_>,
) -> Option<(EpochSeconds, EpochSeconds)> {
    let at = at.key("time_range");
    let TimeRange {
        begin_sec,
        end_sec,
        others: _,
    } = exception.time_range.required(&at)?;
    let begin = moment(begin_sec, &at.key("begin_sec"));
    let end = moment(end_sec, &at.key("end_sec"));
    let (begin, end) = (begin?, end?);
    if begin >= end {
        at.error(
            "contradiction",
            format!("begins at {begin} and ends at {end}; expected it to end later"),
        );
    }
    Some((begin, end))
}

/// The terms, and the time until which a booking can be cancelled online.
fn read_terms(overrides: Field<Overrides>, at: &Cursor<'_>) -> (SlotTerms, Option<EpochSeconds>) {
    let overrides = overrides.optional(at).unwrap_or_default();
    let Overrides {
        first_bookable_sec,
        last_bookable_sec,
        last_online_cancellable_sec,
        others: _,
    } = overrides;
    let first = optional_moment(first_bookable_sec, &at.key("first_bookable_sec"));
    let last = optional_moment(last_bookable_sec, &at.key("last_bookable_sec"));
    if let (Some(first), Some(last)) = (first, last)
        && first > last
    {
        at.error(
            "contradiction",
            format!("first_bookable_sec is {first}, after last_bookable_sec, which is {last}"),
        );
    }
    let cancellable = optional_moment(
        last_online_cancellable_sec,
        &at.key("last_online_cancellable_sec"),
    );
    (
        SlotTerms {
            first_bookable_sec: first,
            last_bookable_sec: last,
            ..SlotTerms::default()
        },
        cancellable,
    )
}

/// The ticket types that draw on the spots: all types if none is named.
fn read_tickets(
    builder: &mut CatalogBuilder,
    service: ServiceIx,
    ids: &[(usize, String)],
    at: &Cursor<'_>,
) -> PoolTickets {
    let mut set: Vec<TicketIx> = Vec::with_capacity(ids.len());
    for (index, id) in ids {
        let of = builder.catalog.service(service);
        match of.ticket_ix(id.as_str()) {
            Some(ticket) if set.contains(&ticket) => {
                at.index(*index).error("duplicate", "is named twice");
            }
            Some(ticket) => set.push(ticket),
            None => {
                let text = format!("ticket type {id:?} is not one of the service");
                at.index(*index).error_because(
                    "unknown_ticket_type",
                    cause_of_ticket(of, id),
                    text,
                );
            }
        }
    }
    if set.is_empty() {
        return PoolTickets::All;
    }
    set.sort_unstable();
    // Sorted, so that equal sets share one index whatever order the feed names them in.
    builder.ticket_set(service, &set).map_or_else(
        || {
            at.error(
                "too_many",
                "is a set of ticket types beyond the 65536 that one service can have",
            );
            PoolTickets::All
        },
        PoolTickets::Set,
    )
}
