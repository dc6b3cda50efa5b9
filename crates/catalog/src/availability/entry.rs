//! The shape of an element of the availability feed.

use serde::Serialize;

use crate::json::{Field, FromJson, message};

message! {
    /// An element of the availability feed.
    written AvailabilityEntry {
        merchant_id: String,
        service_id: String,
        start_sec: i64,
        duration_sec: i64,
        spots_total: i64,
        spots_open: i64,
        availability_tag: String,
        resources: ResourcesEntry,
        ticket_type_id: Vec<Field<String>>,
        recurrence: RecurrenceEntry,
        schedule_exception: Vec<Field<ScheduleException>>,
        scheduling_rule_overrides: Overrides,
        confirmation_mode: ConfirmationMode,
    }
}

message! {
    /// Whom and what an entry is of.
    written ResourcesEntry {
        staff_id: String,
        staff_name: String,
        room_id: String,
        room_name: String,
        party_size: i64,
    }
}

message! {
    /// How an entry repeats.
    written RecurrenceEntry {
        repeat_until_sec: i64,
        repeat_every_sec: i64,
    }
}

message! {
    /// When a repeated entry pauses.
    written ScheduleException {
        time_range: TimeRange,
    }
}

message! {
    /// A half-open range of time.
    written TimeRange {
        begin_sec: i64,
        end_sec: i64,
    }
}

message! {
    /// Terms of an entry that differ from its service's.
    written Overrides {
        first_bookable_sec: i64,
        last_bookable_sec: i64,
        last_online_cancellable_sec: i64,
    }
}

/// Whether a booking stands at once. An order always does, so that the mode changes nothing.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum ConfirmationMode {
    /// One of those that there are.
    Known(&'static str),
    /// One of a later edition of the feeds, as it was written.
    Name(String),
    /// The same by its number.
    Number(i64),
}

/// The modes in the order of their numbers.
const CONFIRMATION_MODES: [&str; 3] = [
    "CONFIRMATION_MODE_UNSPECIFIED",
    "CONFIRMATION_MODE_SYNCHRONOUS",
    "CONFIRMATION_MODE_ASYNCHRONOUS",
];

impl ConfirmationMode {
    /// Whether the merchant is to be asked first.
    pub(super) fn is_asynchronous(&self) -> bool {
        matches!(self, Self::Known(name) if *name == CONFIRMATION_MODES[2])
    }

    /// Whether it is one that this server does not know.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Name(_) | Self::Number(_))
    }
}

impl FromJson for ConfirmationMode {
    const EXPECTED: &'static str =
        "CONFIRMATION_MODE_SYNCHRONOUS or CONFIRMATION_MODE_ASYNCHRONOUS";
    const IS_NUMBER: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        let known = CONFIRMATION_MODES.into_iter().find(|name| *name == text);
        Some(known.map_or_else(|| Self::Name(text.to_owned()), Self::Known))
    }

    fn from_integer(integer: i128) -> Option<Self> {
        let known = usize::try_from(integer)
            .ok()
            .and_then(|at| CONFIRMATION_MODES.get(at));
        known
            .map(|name| Self::Known(name))
            .or_else(|| Some(Self::Number(i64::try_from(integer).ok()?)))
    }
}
