//! `orders list`, `orders show`, `orders history`.

use std::fmt::Write;

use clap::{Arg, ArgAction, ArgMatches, Command};
use jiff::Timestamp;

use super::{
    CUSTOMER, DATE, HISTORY, LIMIT, LIST, MERCHANT, ORDER, SERVICE, SHOW, START,
    connection::{Connection, RequestFailed},
    given, limit,
    output::{Column, Report, id, local, price, tickets},
    text,
};
use crate::{
    api::operator::proto::v1::{
        Cancellation, Customer, GetOrderRequest, Item, ListHistoryRequest, Order,
        SearchOrdersRequest, Transition,
    },
    cli::{days::day_of_server, progress::OrderCount, table::Align},
};

const STATE: &str = "state";
const USER: &str = "user";
const NAME: &str = "name";
const EMAIL: &str = "email";
const ID_PREFIX: &str = "id-prefix";
const CREATED_FROM: &str = "created-from";
const CREATED_UNTIL: &str = "created-until";
const ATTENTION: &str = "attention";

/// Orders of one answer.
const PAGE: usize = 500;

/// What is read of an order for a list.
const LISTED: [&str; 8] = [
    "name",
    "state",
    "merchant_id",
    "items",
    "payment",
    "create_time",
    "alerts",
    "time_zone",
];

pub(super) fn list_command() -> Command {
    Command::new(LIST)
        .about("List orders that meet all conditions, newest first")
        .arg(
            text(
                DATE,
                "DATE",
                "Day of the visit in the merchant's time zone: a date, today, tomorrow or yesterday",
            )
            .value_parser(day_of_server),
        )
        .arg(text(MERCHANT, "ID", "Merchant"))
        .arg(text(SERVICE, "ID", "Service of an item"))
        .arg(
            text(
                START,
                "TIME",
                "Start of an item, such as 2026-12-01T10:00:00+01:00",
            )
            .value_parser(moment),
        )
        .arg(
            text(STATE, "STATE", "State of the order; may be given again")
                .action(ArgAction::Append),
        )
        .arg(text(USER, "ID", "Google's id of the customer"))
        .arg(text(NAME, "TEXT", "Part of the customer's name"))
        .arg(text(EMAIL, "ADDRESS", "The customer's e-mail address"))
        .arg(text(ID_PREFIX, "TEXT", "Beginning of the order id"))
        .arg(text(CREATED_FROM, "TIME", "Created at this time or later").value_parser(moment))
        .arg(text(CREATED_UNTIL, "TIME", "Created before this time").value_parser(moment))
        .arg(
            Arg::new(ATTENTION)
                .long(ATTENTION)
                .action(ArgAction::SetTrue)
                .help("Only orders that need a person"),
        )
        .arg(with_customer())
        .arg(limit())
}

pub(super) fn show_command() -> Command {
    Command::new(SHOW)
        .about("Show an order")
        .arg(order())
        .arg(with_customer())
}

pub(super) fn history_command() -> Command {
    Command::new(HISTORY)
        .about("Show what happened to an order, newest first")
        .arg(order())
}

pub(super) fn order() -> Arg {
    Arg::new(ORDER)
        .value_name("ORDER")
        .required(true)
        .help("Id of the order")
}

pub(super) fn with_customer() -> Arg {
    Arg::new(CUSTOMER)
        .long(CUSTOMER)
        .action(ArgAction::SetTrue)
        .help("Include the customer and the answers to questions; for the roles agent and admin")
}

/// Reads a moment as RFC 3339 writes it.
pub(super) fn moment(text: &str) -> Result<i64, String> {
    let moment: Result<Timestamp, _> = text.parse();
    moment
        .map(Timestamp::as_second)
        .map_err(|_| "expected a time like 2026-12-01T10:00:00+01:00".to_owned())
}

/// The moment of an argument.
pub(super) fn time(arguments: &ArgMatches, name: &str) -> Option<pbjson_types::Timestamp> {
    let seconds: Option<&i64> = arguments.get_one(name);
    seconds.map(|&seconds| pbjson_types::Timestamp { seconds, nanos: 0 })
}

/// A mask of these fields, and of the customer if that is asked for.
fn mask(paths: &[&str], customer: Option<&str>) -> pbjson_types::FieldMask {
    let paths = paths.iter().copied().chain(customer);
    pbjson_types::FieldMask {
        paths: paths.map(str::to_owned).collect(),
    }
}

/// What is read of an order that is shown by itself.
pub(super) fn order_mask(has_customer: bool) -> pbjson_types::FieldMask {
    let mut paths = LISTED.to_vec();
    paths.extend([
        "channel",
        "over",
        "etag",
        "update_time",
        "reason",
        "cancellation",
        "refunds",
        "next_states",
        "timers",
        "steps",
    ]);
    mask(&paths, has_customer.then_some(CUSTOMER))
}

/// A search, and how much of what it finds is shown.
#[derive(Debug, PartialEq)]
pub(super) struct OrderList {
    request: SearchOrdersRequest,
    has_customer: bool,
    limit: usize,
}

impl OrderList {
    pub(super) fn of(arguments: &ArgMatches) -> Self {
        let states = arguments.get_many::<String>(STATE).into_iter().flatten();
        let has_customer = arguments.get_flag(CUSTOMER);
        let limit: Option<&u32> = arguments.get_one(LIMIT);
        Self {
            request: SearchOrdersRequest {
                visit_date: given(arguments, DATE),
                merchant_id: given(arguments, MERCHANT),
                service_id: given(arguments, SERVICE),
                slot_start_time: time(arguments, START),
                states: states.cloned().collect(),
                user_id: given(arguments, USER),
                customer_name: given(arguments, NAME),
                email: given(arguments, EMAIL),
                order_id_prefix: given(arguments, ID_PREFIX),
                created_from: time(arguments, CREATED_FROM),
                created_until: time(arguments, CREATED_UNTIL),
                needs_attention: arguments.get_flag(ATTENTION),
                read_mask: Some(mask(&LISTED, has_customer.then_some(CUSTOMER))),
                ..SearchOrdersRequest::default()
            },
            has_customer,
            limit: limit.map_or(PAGE, |&limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        }
    }

    pub(super) async fn read(&self, connection: &Connection) -> Result<Report, RequestFailed> {
        let mut client = connection.orders();
        let mut orders = Vec::new();
        let mut request = self.request.clone();
        let limit = self.limit;
        let progress = OrderCount::new();
        // Until enough is read: an answer may have fewer orders than asked for and still not be the last.
        loop {
            let left = limit - orders.len();
            request.page_size = i32::try_from(left.min(PAGE)).unwrap_or(i32::MAX);
            let page = client.search_orders(request.clone()).await?.into_inner();
            orders.extend(page.orders);
            // Also where a page has none: a long search shows that it goes on.
            progress.show(orders.len());
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() || orders.len() >= limit {
                break;
            }
        }
        drop(progress);
        let mut columns: Vec<Column> = vec![
            ("order", "Order", Align::Left),
            ("created", "Created", Align::Left),
            ("visit", "Visit", Align::Left),
            ("services", "Services", Align::Left),
            ("tickets", "Tickets", Align::Left),
            ("state", "State", Align::Left),
            ("due", "Due", Align::Right),
        ];
        if self.has_customer {
            columns.push(("customer", "Customer", Align::Left));
        }
        let rows = orders.iter().map(|order| self.row(order)).collect();
        let mut report = Report::new(columns, rows, &orders);
        if !request.page_token.is_empty() {
            report.note = Some(format!(
                "The limit of {limit} is reached, and there are more: see --{LIMIT}."
            ));
        }
        Ok(report)
    }

    fn row(&self, order: &Order) -> Vec<String> {
        let zone = &order.time_zone;
        let first = order
            .items
            .iter()
            .filter_map(|item| item.start_time.as_ref());
        let first = first.min_by_key(|time| time.seconds);
        let each = |show: fn(&Item) -> String| -> String {
            order.items.iter().map(show).collect::<Vec<_>>().join(" + ")
        };
        let due = order
            .payment
            .as_ref()
            .and_then(|payment| payment.due.as_ref());
        let mut row = vec![
            id(&order.name).to_owned(),
            local(order.create_time.as_ref(), zone),
            local(first, zone),
            each(service),
            each(|item| tickets(&item.tickets)),
            order.state.clone(),
            price(due),
        ];
        if self.has_customer {
            row.push(order.customer.as_ref().map(full_name).unwrap_or_default());
        }
        row
    }
}

/// The name of the service of an item; its id once it has left the catalogue.
fn service(item: &Item) -> String {
    if item.service_name.is_empty() {
        item.service_id.clone()
    } else {
        item.service_name.clone()
    }
}

fn full_name(customer: &Customer) -> String {
    format!("{} {}", customer.given_name, customer.family_name)
}

/// One order.
#[derive(Debug, PartialEq)]
pub(super) struct OneOrder {
    id: String,
    has_customer: bool,
}

impl OneOrder {
    pub(super) fn of(arguments: &ArgMatches) -> Self {
        Self {
            id: given(arguments, ORDER),
            has_customer: arguments.get_flag(CUSTOMER),
        }
    }

    pub(super) async fn read(&self, connection: &Connection) -> Result<Report, RequestFailed> {
        let request = GetOrderRequest {
            name: order_name(&self.id),
            read_mask: Some(order_mask(self.has_customer)),
        };
        let answer = connection.orders().get_order(request).await?.into_inner();
        let order = answer.order.unwrap_or_default();
        Ok(order_report(&order))
    }
}

/// An order with its items.
pub(super) fn order_report(order: &Order) -> Report {
    let columns = vec![
        ("item", "Item", Align::Right),
        ("service", "Service", Align::Left),
        ("start", "Start", Align::Left),
        ("tickets", "Tickets", Align::Left),
        ("price", "Price", Align::Right),
        ("state", "State", Align::Left),
        ("booking_status", "Booking", Align::Left),
    ];
    let row = |item: &Item| {
        vec![
            item.index.to_string(),
            service(item),
            local(item.start_time.as_ref(), &order.time_zone),
            tickets(&item.tickets),
            price(item.price.as_ref()),
            item.state.clone(),
            item.booking_status.clone(),
        ]
    };
    let rows = order.items.iter().map(row).collect();
    let mut report = Report::new(columns, rows, order);
    report.title = title(order);
    report
}

/// What is said of an order above its items.
fn title(order: &Order) -> String {
    let mut facts = vec![
        ("Order", id(&order.name).to_owned()),
        ("Merchant", order.merchant_id.clone()),
        ("State", order.state.clone()),
        (
            "Created",
            local(order.create_time.as_ref(), &order.time_zone),
        ),
    ];
    if let Some(payment) = &order.payment {
        facts.push(("Due", price(payment.due.as_ref())));
        facts.push(("Paid by", payment.paid_by.clone()));
    }
    if let Some(payment) = &order.payment {
        facts.push(("Captured", price(payment.captured.as_ref())));
        facts.push(("Refunded", price(payment.refunded.as_ref())));
    }
    for refund in &order.refunds {
        let amount = price(refund.amount.as_ref());
        facts.push(("Refund", format!("{amount} {}", refund.state)));
    }
    if let Some(customer) = &order.customer {
        facts.push(("Customer", full_name(customer)));
        facts.push(("E-mail", customer.email.clone()));
        facts.push(("Telephone", customer.telephone.clone()));
    }
    facts.push(("Refund", order.refund_note.clone()));
    facts.push(("Reason", order.reason.clone()));
    if let Some(cancellation) = &order.cancellation {
        facts.push(("Cancelled", cancelled(cancellation, &order.time_zone)));
    }
    for alert in &order.alerts {
        facts.push(("Alert", alert.alert_id.clone()));
    }
    for timer in &order.timers {
        let due = local(timer.due_time.as_ref(), &order.time_zone);
        facts.push(("Timer", format!("{due}: {}", timer.to_state)));
    }
    for step in &order.steps {
        let number = step.name.rsplit('/').next().unwrap_or_default();
        facts.push(("Step", format!("{number}: {}, {}", step.kind, step.state)));
    }
    facts.push(("Next", next_actions(order).join(", ")));
    let mut text = String::new();
    for (name, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        writeln!(text, "{name:<10} {fact}").expect("a string takes all text");
    }
    text.push('\n');
    text
}

/// When, by whom and why items were taken back.
fn cancelled(cancellation: &Cancellation, zone: &str) -> String {
    let Cancellation {
        time,
        cause,
        actor,
        reason,
        items: _,
    } = cancellation;
    let by = if actor.is_empty() { "" } else { " by " };
    let why = if reason.is_empty() { "" } else { ": " };
    let when = local(time.as_ref(), zone);
    format!("{when}, {cause}{by}{actor}{why}{reason}")
}

/// The operations that can be asked for now, apart from changes of single states.
fn next_actions(order: &Order) -> Vec<String> {
    let mut actions = Vec::new();
    for next in &order.next_states {
        let is_open = next.why_not.is_empty() && next.action != "change_state";
        // By the names of their commands.
        let action = next.action.replace('_', "-");
        if is_open && !actions.contains(&action) {
            actions.push(action);
        }
    }
    actions
}

/// The time zone of the merchant of an order.
async fn zone_of(connection: &Connection, name: &str) -> Result<String, RequestFailed> {
    let request = GetOrderRequest {
        name: name.to_owned(),
        read_mask: Some(mask(&["time_zone"], None)),
    };
    let answer = connection.orders().get_order(request).await?.into_inner();
    Ok(answer.order.unwrap_or_default().time_zone)
}

/// The history of an order.
pub(super) async fn history(
    connection: &Connection,
    order_id: &str,
) -> Result<Report, RequestFailed> {
    let mut client = connection.orders();
    let mut entries = Vec::new();
    let mut request = ListHistoryRequest {
        parent: order_name(order_id),
        ..ListHistoryRequest::default()
    };
    loop {
        let page = client.list_history(request.clone()).await?.into_inner();
        entries.extend(page.entries);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let zone = zone_of(connection, &request.parent).await?;
    let columns = vec![
        ("revision", "Revision", Align::Right),
        ("time", "Time", Align::Left),
        ("cause", "Cause", Align::Left),
        ("actor", "Actor", Align::Left),
        ("transitions", "Transitions", Align::Left),
        ("money", "Money", Align::Left),
        ("remarks", "Remarks", Align::Left),
    ];
    let mut rows = Vec::new();
    for entry in &entries {
        let transitions = entry.transitions.iter();
        let transitions: Vec<String> = transitions
            .map(|transition| shown_transition(transition, &request.parent))
            .collect();
        let moved = entry.ledger.iter();
        let moved: Vec<String> = moved
            .map(|moved| format!("{} {}", moved.kind, price(moved.amount.as_ref())))
            .collect();
        let mut remarks = vec![entry.reason.clone(), entry.note.clone()];
        for skipped in &entry.skipped {
            remarks.push(format!("skipped: {}", of_order(skipped, &request.parent)));
        }
        remarks.retain(|it| !it.is_empty());
        rows.push(vec![
            entry.revision.to_string(),
            local(entry.time.as_ref(), &zone),
            entry.cause.clone(),
            entry.actor.clone(),
            transitions.join(", "),
            moved.join(", "),
            remarks.join("; "),
        ]);
    }
    Ok(Report::new(columns, rows, &entries))
}

fn shown_transition(transition: &Transition, order: &str) -> String {
    let Transition {
        target,
        from_state,
        to_state,
    } = transition;
    let part = of_order(target, order);
    if from_state.is_empty() {
        format!("{part}: {to_state}")
    } else {
        format!("{part}: {from_state} > {to_state}")
    }
}

/// The name of a part within its order; `order` for that itself. What follows the name stays.
fn of_order(text: &str, order: &str) -> String {
    match text.strip_prefix(order) {
        Some(rest) => match rest.strip_prefix('/') {
            Some(part) => part.to_owned(),
            None => format!("order{rest}"),
        },
        None => text.to_owned(),
    }
}

/// The name of an order, by its id or by the name that answers in JSON have.
pub(super) fn order_name(id: &str) -> String {
    format!("orders/{}", self::id(id))
}
