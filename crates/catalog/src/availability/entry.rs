//! The shape of an element of the availability feed.

use domain::slot::Confirmation;
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
    /// The staff member, the room and the party size of an entry.
    written ResourcesEntry {
        staff_id: String,
        staff_name: String,
        room_id: String,
        room_name: String,
        party_size: i64,
    }
}

message! {
    /// The recurrence of an entry.
    written RecurrenceEntry {
        repeat_until_sec: i64,
        repeat_every_sec: i64,
    }
}

message! {
    /// A pause of a recurring entry.
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

/// The confirmation mode: whether an order is confirmed at once or by its merchant.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum ConfirmationMode {
    /// A mode of the contract.
    Known(&'static str),
    /// A mode of a later version of the feeds, as written.
    Name(String),
    /// A mode of a later version, by its number.
    Number(i64),
}

/// The modes in the order of their numbers.
const CONFIRMATION_MODES: [&str; 3] = [
    "CONFIRMATION_MODE_UNSPECIFIED",
    "CONFIRMATION_MODE_SYNCHRONOUS",
    "CONFIRMATION_MODE_ASYNCHRONOUS",
];

impl ConfirmationMode {
    /// Who confirms a booking. An unknown mode asks nobody: a merchant who does not expect to be asked would let every
    /// order time out.
    pub(super) fn confirmation(&self) -> Confirmation {
        match self {
            Self::Known(name) if *name == CONFIRMATION_MODES[2] => Confirmation::ByMerchant,
            Self::Known(_) | Self::Name(_) | Self::Number(_) => Confirmation::AtOnce,
        }
    }

    /// Whether this server does not know the mode.
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
        // An unknown mode is kept, so that an export writes it as it was read.
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
