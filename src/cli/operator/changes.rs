//! The commands that change an order: `orders cancel` and its like, `steps retry`, `steps abandon`.

use std::io;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};

use super::{
    DURATION, MERCHANT, ORDER, SERVICE, START,
    blocks::slot_of,
    connection::{Connection, RequestFailed},
    given,
    orders::{moment, order, order_name, order_report},
    output::{Report, id},
    text,
};
use crate::{
    api::operator::proto::v1::{
        self, Amount, CustomerDecision, MerchantDecision, Order, RefundTerms,
        refund_terms::{ByPolicy, Full, Nothing, Share},
        withdraw_items_request::{OrderItems, Target},
    },
    cli::{error::CliError, progress::OrderCount, table::Align},
};

const CANCEL: &str = "cancel";
const REFUND: &str = "refund";
pub(super) const WITHDRAW: &str = "withdraw";
const CUSTOMER_ACTION: &str = "customer-action";
const AMEND: &str = "amend";
const CONFIRM: &str = "confirm";
const DECLINE: &str = "decline";
const NO_SHOW: &str = "no-show";
const NOTE: &str = "note";
const CHANGE_STATE: &str = "change-state";
const STATE: &str = "state";
const PART: &str = "part";
const FROM: &str = "from";
const RETRY: &str = "retry";
const ABANDON: &str = "abandon";
const ITEM: &str = "item";
pub(super) const REASON: &str = "reason";
const ETAG: &str = "etag";
const KEEP_OFF_SALE: &str = "keep-off-sale";
pub(super) const REQUEST_ID: &str = "request-id";
pub(super) const DRY_RUN: &str = "dry-run";
const DECISION: &str = "decision";
const STEP: &str = "step";

/// Digits of a millionth.
const MICRO_DIGITS: usize = 6;

/// A change of an order.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    Cancel(v1::CancelOrderRequest),
    Refund(v1::RefundItemsRequest),
    Withdraw(v1::WithdrawItemsRequest),
    CustomerAction(v1::CustomerActionRequest),
    Confirm(v1::ConfirmItemsRequest),
    NoShow(v1::MarkNoShowRequest),
    State(v1::ChangeStateRequest),
    Note(v1::AddNoteRequest),
    Retry(v1::RetryStepRequest),
    Abandon(v1::AbandonStepRequest),
}

/// The commands among those of orders.
pub(super) fn order_commands() -> [Command; 10] {
    [
        with_terms(
            Command::new(CANCEL)
                .about("Cancel an order, or items of it, for the customer")
                .arg(items())
                .arg(refund().help(
                    "How much is given back: policy, full, nothing, or an amount such as 12.50USD; default: policy",
                ))
                .arg(reason()),
        ),
        with_terms(
            Command::new(REFUND)
                .about("Give money back without cancelling")
                .arg(items())
                .arg(
                    refund()
                        .help("How much: policy, full, or an amount such as 12.50USD")
                        .required(true),
                )
                .arg(reason()),
        ),
        withdraw_command(),
        with_terms(
            Command::new(CUSTOMER_ACTION)
                .about("Record what the customer decides after a withdrawal")
                .arg(
                    Arg::new(DECISION)
                        .index(2)
                        .value_name("DECISION")
                        .required(true)
                        .value_parser([AMEND, CANCEL])
                        .help("The rest stands, or everything is cancelled"),
                ),
        ),
        with_terms(Command::new(AMEND).about(
            "Record that the customer keeps the rest after a withdrawal; the same as customer-action amend",
        )),
        with_terms(
            Command::new(CONFIRM)
                .about("Confirm items that wait for the merchant")
                .arg(items().help("Item, from 0; may be given again; default: all that wait"))
                .arg(reason()),
        ),
        with_terms(
            Command::new(DECLINE)
                .about("Decline items that wait for the merchant; what was paid goes back")
                .arg(items().help("Item, from 0; may be given again; default: all that wait"))
                .arg(reason()),
        ),
        with_terms(
            Command::new(NO_SHOW)
                .about("Mark items whose customer did not come")
                .arg(items()),
        ),
        with_terms(
            Command::new(CHANGE_STATE)
                .about("Make any other change of state that the lifecycle allows; for the role admin")
                .arg(
                    Arg::new(STATE)
                        .index(2)
                        .value_name("STATE")
                        .required(true)
                        .help("The state that it shall be in"),
                )
                .arg(text(
                    PART,
                    "PART",
                    "What changes: items/0 is the first item, refunds/1 the first refund; default: the order",
                ))
                .arg(text(FROM, "STATE", "Only if it is in this state"))
                .arg(reason()),
        ),
        with_terms(
            Command::new(NOTE).about("Add a note to the history").arg(
                Arg::new(NOTE)
                    .index(2)
                    .value_name("TEXT")
                    .required(true)
                    // A note may begin with a dash.
                    .allow_hyphen_values(true)
                    .help("The note"),
            ),
        ),
    ]
}

/// The one command of a change that may concern many orders.
fn withdraw_command() -> Command {
    let of_slot = [MERCHANT, SERVICE, START];
    let of_order = [ORDER, ITEM, KEEP_OFF_SALE, ETAG];
    let about =
        "Take away what was sold, of an order or of a slot; the customers then decide on the rest";
    let mut command = Command::new(WITHDRAW)
        .about(about)
        // Both forms: clap would name the order alone where neither is given.
        .override_usage(
            "boxoffice orders withdraw <ORDER> [--item <INDEX>]... [OPTIONS]\n       \
             boxoffice orders withdraw --merchant <ID> --service <ID> --start <TIME> [OPTIONS]",
        )
        .arg(
            order().index(1).required(false),
        )
        .arg(items())
        .arg(
            Arg::new(KEEP_OFF_SALE)
                .long(KEEP_OFF_SALE)
                .action(ArgAction::SetTrue)
                .help("Do not sell the spots again"),
        )
        .arg(etag())
        .arg(text(MERCHANT, "ID", "Merchant of the slot"))
        .arg(text(SERVICE, "ID", "Service of the slot"))
        .arg(
            text(
                START,
                "TIME",
                "Start of the slot, of which nothing more is sold, such as 2026-12-01T10:00:00+01:00",
            )
            .value_parser(moment),
        )
        .arg(
            text(
                DURATION,
                "SECONDS",
                "Length of the slot; needed where several start then",
            )
            .value_parser(value_parser!(u32))
            .requires(START),
        )
        .arg(reason())
        // A group, so that the error names both forms.
        .group(
            ArgGroup::new("target")
                .args([ORDER, MERCHANT, SERVICE, START])
                .multiple(true)
                .required(true),
        );
    for name in of_slot {
        command = command.mut_arg(name, |argument| {
            let others = of_slot.iter().filter(|other| **other != name);
            others.fold(argument.conflicts_with_all(of_order), |argument, other| {
                argument.requires(other)
            })
        });
    }
    with_request(command)
}

/// The commands among those of steps.
pub(super) fn step_commands() -> [Command; 2] {
    [
        with_terms(
            Command::new(RETRY)
                .about("Try a step at once, also one that was given up")
                .arg(step()),
        ),
        with_terms(
            Command::new(ABANDON)
                .about(
                    "Give up a step, and show it no more; its order goes on as the lifecycle says",
                )
                .arg(step())
                .arg(reason().required(true)),
        ),
    ]
}

/// A command with the order, and with what every change has.
fn with_terms(command: Command) -> Command {
    // Before the other argument without a name, which has the second place.
    with_request(command.arg(order().index(1)).arg(etag()))
}

fn etag() -> Arg {
    text(
        ETAG,
        "ETAG",
        "Change the order only if it has this etag, as --json shows it",
    )
}

fn request_id_argument() -> Arg {
    text(
        REQUEST_ID,
        "UUID",
        "The request; the same one again changes nothing more; default: a new one",
    )
}

/// A command with what every request for a change has.
pub(super) fn with_request(command: Command) -> Command {
    command.arg(request_id_argument()).arg(
        Arg::new(DRY_RUN)
            .long(DRY_RUN)
            .action(ArgAction::SetTrue)
            .help("Show what would be changed, and change nothing"),
    )
}

fn items() -> Arg {
    text(
        ITEM,
        "INDEX",
        "Item, from 0; may be given again; default: all",
    )
    .value_parser(value_parser!(u32))
    .action(ArgAction::Append)
}

fn refund() -> Arg {
    Arg::new(REFUND)
        .long(REFUND)
        .value_name("HOW-MUCH")
        // An amount below zero is rejected as that.
        .allow_hyphen_values(true)
        .value_parser(parse_refund)
}

pub(super) fn reason() -> Arg {
    text(REASON, "TEXT", "Why, for the history")
}

fn step() -> Arg {
    Arg::new(STEP)
        .index(2)
        .value_name("STEP")
        .required(true)
        .value_parser(value_parser!(u16))
        .help("Number of the step")
}

/// Reads how much is given back.
fn parse_refund(text: &str) -> Result<Share, String> {
    match text {
        "policy" => Ok(Share::ByPolicy(ByPolicy {})),
        "full" => Ok(Share::Full(Full {})),
        "nothing" => Ok(Share::Nothing(Nothing {})),
        _ => parse_amount(text).map(Share::Amount).ok_or_else(|| {
            "expected policy, full, nothing, or an amount such as 12.50USD".to_owned()
        }),
    }
}

/// Reads an amount, such as `12.50USD`.
fn parse_amount(text: &str) -> Option<Amount> {
    let (number, currency_code) = text.split_at_checked(text.len().checked_sub(3)?)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|letter| letter.is_ascii_digit());
    let is_code = currency_code
        .bytes()
        .all(|letter| letter.is_ascii_uppercase());
    if whole.is_empty()
        || !is_code
        || fraction.len() > MICRO_DIGITS
        || !is_digits(whole)
        || !is_digits(fraction)
    {
        return None;
    }
    // Padded, the digits are those of the number of millionths.
    let micros = format!("{whole}{fraction:0<MICRO_DIGITS$}").parse().ok()?;
    Some(Amount {
        micros,
        currency_code: currency_code.to_owned(),
    })
}

impl Change {
    /// The change of a command.
    pub(super) fn of(command: &str, arguments: &ArgMatches) -> Result<Self, CliError> {
        let name_of_order = order_name(&given(arguments, ORDER));
        let (etag, validate_only) = (given(arguments, ETAG), arguments.get_flag(DRY_RUN));
        let request_id = request_id(&given(arguments, REQUEST_ID))?;
        Ok(match command {
            CANCEL => Self::Cancel(v1::CancelOrderRequest {
                name: name_of_order,
                items: items_of(arguments),
                refund: terms_of(arguments),
                reason: given(arguments, REASON),
                request_id,
                etag,
                validate_only,
            }),
            REFUND => Self::Refund(v1::RefundItemsRequest {
                name: name_of_order,
                items: items_of(arguments),
                refund: terms_of(arguments),
                reason: given(arguments, REASON),
                request_id,
                etag,
                validate_only,
            }),
            WITHDRAW => Self::Withdraw(v1::WithdrawItemsRequest {
                target: Some(Target::OrderItems(OrderItems {
                    name: name_of_order,
                    items: items_of(arguments),
                    etag,
                    keep_off_sale: arguments.get_flag(KEEP_OFF_SALE),
                })),
                reason: given(arguments, REASON),
                request_id,
                validate_only,
            }),
            CUSTOMER_ACTION | AMEND => Self::CustomerAction(v1::CustomerActionRequest {
                name: name_of_order,
                decision: decision_of(command, arguments).into(),
                request_id,
                etag,
                validate_only,
            }),
            CONFIRM | DECLINE => Self::Confirm(v1::ConfirmItemsRequest {
                name: name_of_order,
                items: items_of(arguments),
                decision: if command == CONFIRM {
                    MerchantDecision::Confirm.into()
                } else {
                    MerchantDecision::Decline.into()
                },
                reason: given(arguments, REASON),
                request_id,
                etag,
                validate_only,
            }),
            NO_SHOW => Self::NoShow(v1::MarkNoShowRequest {
                name: name_of_order,
                items: items_of(arguments),
                request_id,
                etag,
                validate_only,
            }),
            CHANGE_STATE => Self::State(v1::ChangeStateRequest {
                name: part_name(&name_of_order, &given(arguments, PART)),
                from_state: given(arguments, FROM),
                to_state: given(arguments, STATE),
                reason: given(arguments, REASON),
                request_id,
                etag,
                validate_only,
            }),
            NOTE => Self::Note(v1::AddNoteRequest {
                name: name_of_order,
                note: given(arguments, NOTE),
                request_id,
                etag,
                validate_only,
            }),
            RETRY => Self::Retry(v1::RetryStepRequest {
                name: step_name(&name_of_order, arguments),
                request_id,
                etag,
                validate_only,
            }),
            // `abandon`; there is no other.
            _ => Self::Abandon(v1::AbandonStepRequest {
                name: step_name(&name_of_order, arguments),
                reason: given(arguments, REASON),
                request_id,
                etag,
                validate_only,
            }),
        })
    }

    /// Makes the change, and shows the order as it stands then.
    pub(super) async fn make(&self, connection: &Connection) -> Result<Report, RequestFailed> {
        let order = self.sent(connection).await?;
        let mut report = order_report(&order.unwrap_or_default());
        if self.is_dry_run() {
            report.note =
                Some("Nothing has changed: this is how the order would stand.".to_owned());
        }
        Ok(report)
    }

    fn is_dry_run(&self) -> bool {
        match self {
            Self::Cancel(request) => request.validate_only,
            Self::Refund(request) => request.validate_only,
            Self::Withdraw(request) => request.validate_only,
            Self::CustomerAction(request) => request.validate_only,
            Self::Confirm(request) => request.validate_only,
            Self::NoShow(request) => request.validate_only,
            Self::State(request) => request.validate_only,
            Self::Note(request) => request.validate_only,
            Self::Retry(request) => request.validate_only,
            Self::Abandon(request) => request.validate_only,
        }
    }

    async fn sent(&self, connection: &Connection) -> Result<Option<Order>, RequestFailed> {
        let mut client = connection.orders();
        Ok(match self {
            Self::Cancel(request) => {
                client
                    .cancel_order(request.clone())
                    .await?
                    .into_inner()
                    .order
            }
            Self::Refund(request) => {
                client
                    .refund_items(request.clone())
                    .await?
                    .into_inner()
                    .order
            }
            Self::Withdraw(request) => {
                let mut answers = client.withdraw_items(request.clone()).await?.into_inner();
                let answer = answers.message().await?;
                answer.and_then(|answer| answer.order)
            }
            Self::CustomerAction(request) => {
                client
                    .customer_action(request.clone())
                    .await?
                    .into_inner()
                    .order
            }
            Self::Confirm(request) => {
                client
                    .confirm_items(request.clone())
                    .await?
                    .into_inner()
                    .order
            }
            Self::NoShow(request) => {
                client
                    .mark_no_show(request.clone())
                    .await?
                    .into_inner()
                    .order
            }
            Self::State(request) => {
                client
                    .change_state(request.clone())
                    .await?
                    .into_inner()
                    .order
            }
            Self::Note(request) => client.add_note(request.clone()).await?.into_inner().order,
            Self::Retry(request) => client.retry_step(request.clone()).await?.into_inner().order,
            Self::Abandon(request) => {
                client
                    .abandon_step(request.clone())
                    .await?
                    .into_inner()
                    .order
            }
        })
    }
}

/// The withdrawal of everything that was sold of a slot.
#[derive(Debug, PartialEq)]
pub(super) struct SlotWithdrawal(v1::WithdrawItemsRequest);

impl SlotWithdrawal {
    pub(super) fn of(arguments: &ArgMatches) -> Result<Self, CliError> {
        Ok(Self(v1::WithdrawItemsRequest {
            target: Some(Target::Slot(slot_of(arguments))),
            reason: given(arguments, REASON),
            request_id: request_id(&given(arguments, REQUEST_ID))?,
            validate_only: arguments.get_flag(DRY_RUN),
        }))
    }

    /// Withdraws the slot, and shows the orders that had spots of it. An error leaves those that are withdrawn as they are.
    pub(super) async fn make(&self, connection: &Connection) -> Result<Report, RequestFailed> {
        let mut client = connection.orders();
        let answers = client.withdraw_items(self.0.clone()).await?;
        let mut answers = answers.into_inner();
        let progress = OrderCount::new();
        let (mut orders, mut failed) = (Vec::new(), None);
        loop {
            match answers.message().await {
                Ok(Some(answer)) => orders.extend(answer.order),
                Ok(None) => break,
                Err(status) => {
                    failed = Some(status.into());
                    break;
                }
            }
            progress.show(orders.len());
        }
        drop(progress);
        let columns = vec![
            ("order", "Order", Align::Left),
            ("state", "State", Align::Left),
            ("items", "Items", Align::Left),
        ];
        let rows = orders.iter().map(withdrawn).collect();
        let mut report = Report::new(columns, rows, &orders);
        let what = if self.0.validate_only {
            "would be withdrawn"
        } else {
            "withdrawn"
        };
        report.note = Some(format!("{} orders {what}.", orders.len()));
        if failed.is_some() {
            report.note = Some(format!(
                "{} orders {what}. The rest follows with --{REQUEST_ID} {}.",
                orders.len(),
                self.0.request_id
            ));
        }
        report.failed = failed;
        Ok(report)
    }
}

/// An order with the states of its items.
fn withdrawn(order: &Order) -> Vec<String> {
    let items = order.items.iter();
    let items: Vec<String> = items
        .map(|item| format!("{} {}", item.index, item.state))
        .collect();
    vec![
        id(&order.name).to_owned(),
        order.state.clone(),
        items.join(", "),
    ]
}

/// The request id of the arguments, or a new one.
pub(super) fn request_id(given: &str) -> Result<String, CliError> {
    if given.is_empty() {
        new_request_id().map_err(CliError::Start)
    } else {
        Ok(given.to_owned())
    }
}

/// A request id that no other request has: a random UUID, version 4.
pub(super) fn new_request_id() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let mut number = u128::from_be_bytes(bytes);
    // The version is 4, and the two bits of the variant are 10.
    number = number & !(0xf << 76) | 4 << 76;
    number = number & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{number:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    Ok(parts.join("-"))
}

fn items_of(arguments: &ArgMatches) -> Vec<u32> {
    let items = arguments.get_many::<u32>(ITEM).into_iter().flatten();
    items.copied().collect()
}

fn terms_of(arguments: &ArgMatches) -> Option<RefundTerms> {
    let share: Option<&Share> = arguments.get_one(REFUND);
    share.map(|share| RefundTerms {
        share: Some(share.clone()),
    })
}

fn decision_of(command: &str, arguments: &ArgMatches) -> CustomerDecision {
    // Asked for only where there is such an argument.
    if command == AMEND || given(arguments, DECISION) == AMEND {
        CustomerDecision::Amend
    } else {
        CustomerDecision::Cancel
    }
}

/// The name of a part of an order; that of the order without one.
fn part_name(order: &str, part: &str) -> String {
    if part.is_empty() {
        order.to_owned()
    } else {
        format!("{order}/{part}")
    }
}

fn step_name(order: &str, arguments: &ArgMatches) -> String {
    let step: Option<&u16> = arguments.get_one(STEP);
    format!("{order}/steps/{}", step.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        let micros = |text: &str| parse_amount(text).map(|amount| amount.micros);
        for (text, expected) in [
            ("12.50USD", Some(12_500_000)),
            ("12USD", Some(12_000_000)),
            ("0.000001USD", Some(1)),
            ("1.0000001USD", None),
            ("-1USD", None),
            (".5USD", None),
            ("12.50", None),
            ("USD", None),
            ("", None),
            ("99999999999999USD", None),
            ("1\u{20ac}", None),
        ] {
            assert_eq!(micros(text), expected, "{text}");
        }
    }

    #[test]
    fn request_ids_are_uuids_of_version_4() {
        let (one, other) = (new_request_id().unwrap(), new_request_id().unwrap());
        assert_ne!(one, other);
        let letters: Vec<char> = one.chars().collect();
        assert_eq!(letters.len(), 36);
        assert_eq!(letters[14], '4');
        assert!("89ab".contains(letters[19]), "{one}");
    }
}
