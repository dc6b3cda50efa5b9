//! `slots list` and `door-list`.

use clap::{ArgMatches, Command, value_parser};

use super::{
    DATE, DURATION, GUESTS, LIST, MERCHANT, SERVICE, START,
    blocks::slot_of,
    connection::{Connection, RequestFailed},
    given,
    orders::moment,
    output::{Report, id, local, tickets},
    text,
};
use crate::{
    api::operator::proto::v1::{Answer, ListDoorRequest, ListSlotsRequest, Slot},
    cli::{days::day_of_server, table::Align},
};

/// Elements of one answer.
const PAGE: i32 = 1_000;

pub(super) fn list_command() -> Command {
    Command::new(LIST)
        .about("List the slots of a day with what is sold, held, blocked and left")
        .arg(text(MERCHANT, "ID", "Merchant").required(true))
        .arg(
            text(
                DATE,
                "DATE",
                "Day in the merchant's time zone: a date, today, tomorrow or yesterday",
            )
            .value_parser(day_of_server)
            .required(true),
        )
        .arg(text(SERVICE, "ID", "Service; default: all"))
}

pub(super) fn guests_command(of_server: &str) -> Command {
    of_slot(Command::new(GUESTS).about(format!("Who comes to a slot, by name, {of_server}")))
}

/// A command with the arguments that name a slot.
pub(super) fn of_slot(command: Command) -> Command {
    command
        .arg(text(MERCHANT, "ID", "Merchant").required(true))
        .arg(text(SERVICE, "ID", "Service").required(true))
        .arg(
            text(
                START,
                "TIME",
                "Start of the slot, such as 2026-12-01T10:00:00+01:00",
            )
            .value_parser(moment)
            .required(true),
        )
        .arg(
            text(
                DURATION,
                "SECONDS",
                "Length of the slot; needed where several start then",
            )
            .value_parser(value_parser!(u32)),
        )
}

/// The slots of a day.
#[derive(Debug, PartialEq)]
pub(super) struct SlotList(ListSlotsRequest);

impl SlotList {
    pub(super) fn of(arguments: &ArgMatches) -> Self {
        Self(ListSlotsRequest {
            merchant_id: given(arguments, MERCHANT),
            date: given(arguments, DATE),
            service_id: given(arguments, SERVICE),
            page_size: PAGE,
            page_token: String::new(),
        })
    }

    pub(super) async fn read(&self, connection: &Connection) -> Result<Report, RequestFailed> {
        let mut client = connection.slots();
        let mut request = self.0.clone();
        let mut slots = Vec::new();
        loop {
            let page = client.list_slots(request.clone()).await?.into_inner();
            slots.extend(page.slots);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return Ok(slot_report(&slots, &page.time_zone));
            }
        }
    }
}

/// Slots with their spots, in a time zone.
pub(super) fn slot_report(slots: &[Slot], zone: &str) -> Report {
    let mut rows = Vec::with_capacity(slots.len());
    for slot in slots {
        let name = slot.name.clone().unwrap_or_default();
        rows.push(vec![
            local(name.start_time.as_ref(), zone),
            name.service_id,
            slot.service_name.clone(),
            (name.duration_sec / 60).to_string(),
            slot.allotment.to_string(),
            slot.sold.to_string(),
            slot.held.to_string(),
            slot.blocked.to_string(),
            slot.left.to_string(),
            slot.block_reason.clone(),
        ]);
    }
    let columns = vec![
        ("start", "Start", Align::Left),
        ("service", "Id", Align::Left),
        ("service_name", "Service", Align::Left),
        ("minutes", "Minutes", Align::Right),
        ("allotment", "Allotment", Align::Right),
        ("sold", "Sold", Align::Right),
        ("held", "Held", Align::Right),
        ("blocked", "Blocked", Align::Right),
        ("left", "Left", Align::Right),
        ("block_reason", "Why blocked", Align::Left),
    ];
    Report::new(columns, rows, &slots)
}

/// Who comes to a slot.
#[derive(Debug, PartialEq)]
pub(super) struct GuestList(ListDoorRequest);

impl GuestList {
    pub(super) fn of(arguments: &ArgMatches) -> Self {
        Self(ListDoorRequest {
            slot: Some(slot_of(arguments)),
            page_size: PAGE,
            page_token: String::new(),
        })
    }

    pub(super) async fn read(&self, connection: &Connection) -> Result<Report, RequestFailed> {
        let mut client = connection.slots();
        let mut request = self.0.clone();
        let mut entries = Vec::new();
        loop {
            let page = client.list_door(request.clone()).await?.into_inner();
            entries.extend(page.entries);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        let columns = vec![
            ("family_name", "Family name", Align::Left),
            ("given_name", "Given name", Align::Left),
            ("tickets", "Tickets", Align::Left),
            ("state", "State", Align::Left),
            ("order", "Order", Align::Left),
            ("item", "Item", Align::Right),
            ("answers", "Answers", Align::Left),
        ];
        let mut rows = Vec::new();
        for entry in &entries {
            let answers: Vec<String> = entry.answers.iter().map(answer).collect();
            rows.push(vec![
                entry.family_name.clone(),
                entry.given_name.clone(),
                tickets(&entry.tickets),
                entry.state.clone(),
                id(&entry.order).to_owned(),
                entry.item.to_string(),
                answers.join("; "),
            ]);
        }
        Ok(Report::new(columns, rows, &entries))
    }
}

fn answer(answer: &Answer) -> String {
    let question = if answer.question.is_empty() {
        &answer.question_id
    } else {
        &answer.question
    };
    format!("{question}: {}", answer.responses.join(", "))
}
