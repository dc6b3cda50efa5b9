//! `slots block`, `slots unblock`, `slots blocks`.

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{
    DURATION, MERCHANT, SERVICE, START,
    changes::{DRY_RUN, REASON, REQUEST_ID, reason, request_id, with_request},
    connection::{Connection, RequestFailed},
    given,
    orders::time,
    output::{Report, local},
    slots::{of_slot, slot_report},
    text,
};
use crate::{
    api::operator::proto::v1::{
        Block, ListBlocksRequest, SetBlockRequest, SlotName,
        set_block_request::{All, Spots},
    },
    cli::{error::CliError, table::Align},
};

pub(super) const BLOCK: &str = "block";
pub(super) const UNBLOCK: &str = "unblock";
pub(super) const BLOCKS: &str = "blocks";
const COUNT: &str = "count";

/// Elements of one answer.
const PAGE: i32 = 1_000;

pub(super) fn commands() -> [Command; 3] {
    [
        with_request(
            of_slot(
                Command::new(BLOCK)
                    .about("Take spots of a slot off sale, in place of what is off sale of it"),
            )
            .arg(count())
            .arg(reason().help("Why, for the box office; without personal data")),
        ),
        with_request(
            of_slot(Command::new(UNBLOCK).about("Put the blocked spots of a slot on sale again"))
                .arg(reason().help("Why, for the box office; without personal data")),
        ),
        Command::new(BLOCKS)
            .about("List slots with spots that are off sale")
            .arg(text(MERCHANT, "ID", "Merchant; default: all")),
    ]
}

fn count() -> Arg {
    text(
        COUNT,
        "SPOTS",
        "How many spots; default: all that are not sold, also those that are given back later",
    )
    .value_parser(value_parser!(u32).range(1..))
}

/// The slot of the arguments.
pub(super) fn slot_of(arguments: &ArgMatches) -> SlotName {
    let duration: Option<&u32> = arguments.get_one(DURATION);
    SlotName {
        merchant_id: given(arguments, MERCHANT),
        service_id: given(arguments, SERVICE),
        start_time: time(arguments, START),
        duration_sec: duration.copied().unwrap_or(0).into(),
    }
}

/// A block that is to be set.
#[derive(Debug, PartialEq)]
pub(super) struct BlockChange(SetBlockRequest);

impl BlockChange {
    /// The block of `block` and `unblock`.
    pub(super) fn of(command: &str, arguments: &ArgMatches) -> Result<Self, CliError> {
        let spots = if command == UNBLOCK {
            Spots::Count(0)
        } else {
            let count: Option<&u32> = arguments.get_one(COUNT);
            count.map_or(Spots::All(All {}), |count| Spots::Count(*count))
        };
        Ok(Self(SetBlockRequest {
            slot: Some(slot_of(arguments)),
            spots: Some(spots),
            reason: given(arguments, REASON),
            request_id: request_id(&given(arguments, REQUEST_ID))?,
            validate_only: arguments.get_flag(DRY_RUN),
        }))
    }

    /// Sets the block, and shows the slot as it stands then.
    pub(super) async fn make(&self, connection: &Connection) -> Result<Report, RequestFailed> {
        let mut client = connection.slots();
        let answer = client.set_block(self.0.clone()).await?.into_inner();
        let slots: Vec<_> = answer.slot.into_iter().collect();
        let mut report = slot_report(&slots, &answer.time_zone);
        if self.0.validate_only {
            report.note = Some("Nothing has changed: this is how the slot would stand.".to_owned());
        }
        Ok(report)
    }
}

/// The blocks of a merchant or of all.
#[derive(Debug, PartialEq)]
pub(super) struct BlockList(ListBlocksRequest);

impl BlockList {
    pub(super) fn of(arguments: &ArgMatches) -> Self {
        Self(ListBlocksRequest {
            merchant_id: given(arguments, MERCHANT),
            page_size: PAGE,
            page_token: String::new(),
        })
    }

    pub(super) async fn read(&self, connection: &Connection) -> Result<Report, RequestFailed> {
        let mut client = connection.slots();
        let mut request = self.0.clone();
        let mut blocks = Vec::new();
        loop {
            let page = client.list_blocks(request.clone()).await?.into_inner();
            blocks.extend(page.blocks);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        let columns = vec![
            ("start", "Start", Align::Left),
            ("merchant", "Merchant", Align::Left),
            ("service", "Service", Align::Left),
            ("minutes", "Minutes", Align::Right),
            ("spots", "Spots", Align::Right),
            ("reason", "Reason", Align::Left),
            ("actor", "Actor", Align::Left),
            ("time", "Since", Align::Left),
        ];
        let rows = blocks.iter().map(row).collect();
        Ok(Report::new(columns, rows, &blocks))
    }
}

/// Times are those of the merchant.
fn row(block: &Block) -> Vec<String> {
    let slot = block.slot.clone().unwrap_or_default();
    vec![
        local(slot.start_time.as_ref(), &block.time_zone),
        slot.merchant_id,
        slot.service_id,
        (slot.duration_sec / 60).to_string(),
        block
            .count
            .map_or_else(|| "all".to_owned(), |count| count.to_string()),
        block.reason.clone(),
        block.actor.clone(),
        local(block.time.as_ref(), &block.time_zone),
    ]
}
