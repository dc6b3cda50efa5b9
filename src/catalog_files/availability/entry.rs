//! The shape of an element of the availability feed.

use serde::Serialize;

use crate::catalog_files::json::{Field, Shape, message};

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
        ticket_type_id: Vec<Field<String>>,
        recurrence: RecurrenceEntry,
        schedule_exception: Vec<Field<ScheduleException>>,
        scheduling_rule_overrides: Overrides,
        confirmation_mode: ConfirmationMode,
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

/// Whether a booking stands at once, by its name. An order always does, so that the mode changes
/// nothing.
#[derive(Debug, Serialize)]
pub(in crate::catalog_files) struct ConfirmationMode(&'static str);

/// The modes in the order of their numbers.
const CONFIRMATION_MODES: [&str; 3] =
    ["CONFIRMATION_MODE_UNSPECIFIED", "CONFIRMATION_MODE_SYNCHRONOUS", "CONFIRMATION_MODE_ASYNCHRONOUS"];

impl ConfirmationMode {
    /// Whether the merchant is to be asked first.
    pub(super) fn is_asynchronous(&self) -> bool {
        self.0 == CONFIRMATION_MODES[2]
    }
}

impl Shape for ConfirmationMode {
    const EXPECTED: &'static str = "CONFIRMATION_MODE_SYNCHRONOUS or CONFIRMATION_MODE_ASYNCHRONOUS";

    fn from_text(text: &str) -> Option<Self> {
        CONFIRMATION_MODES.into_iter().find(|name| *name == text).map(Self)
    }

    fn from_integer(integer: i128) -> Option<Self> {
        CONFIRMATION_MODES.get(usize::try_from(integer).ok()?).copied().map(Self)
    }
}
