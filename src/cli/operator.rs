//! The commands that ask a running server at its `operator_listen`: orders and their changes, steps, slots, who comes.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use http::Uri;
use tokio::runtime;

use super::{Action, SUCCESS, commands::LIFECYCLE, error::CliError};
use crate::config::LOGIN_VARIABLE;
use connection::{Connection, Login};
use output::{OutputFormat, Report, ReportSeries};

mod blocks;
mod changes;
mod connection;
mod customers;
pub(super) mod lifecycle;
mod orders;
mod output;
mod slots;
mod stats;
mod steps;
mod watch;

pub(super) use connection::RequestFailed;

pub(super) const ORDERS: &str = "orders";
pub(super) const SLOTS: &str = "slots";
pub(super) const STEPS: &str = "steps";
pub(super) const GUESTS: &str = "door-list";
pub(super) const STATS: &str = "stats";

const LIST: &str = "list";
const SHOW: &str = "show";
const HISTORY: &str = "history";
const WATCH: &str = "watch";
pub(super) const SERVER: &str = "server";
const CA: &str = "ca";
const LOGIN_FILE: &str = "login-file";
const JSON: &str = "json";
const JSON_LINES: &str = "json-lines";
const CSV: &str = "csv";
const ORDER: &str = "order";
const CUSTOMER: &str = "customer";
const LIMIT: &str = "limit";
const MERCHANT: &str = "merchant";
const SERVICE: &str = "service";
const DATE: &str = "date";
const START: &str = "start";
const DURATION: &str = "duration";

/// Where the server is that is asked if no other is named: the default of `operator_listen`.
const DEFAULT_SERVER: &str = "http://127.0.0.1:50053";

/// Elements of a list if the command line does not say.
const DEFAULT_LIMIT: &str = "100";

/// A request to a server, and how its answer is shown.
#[derive(Debug, PartialEq)]
pub(super) struct OperatorCommand {
    server: OperatorServer,
    format: OutputFormat,
    asked: Asked,
}

/// A running server, by its `operator_listen`, and what it has to know of who asks.
#[derive(Debug, PartialEq)]
pub(super) struct OperatorServer {
    address: Uri,
    authority: Option<PathBuf>,
    login: Option<Login>,
}

/// What is asked, by the number of its answers.
#[derive(Debug, PartialEq)]
enum Asked {
    /// One.
    Once(Query),
    /// One after each change of an order.
    Watch(watch::OrderWatch),
}

/// What is asked once.
#[derive(Debug, PartialEq)]
enum Query {
    Orders(Box<orders::OrderList>),
    Order(orders::OneOrder),
    History(String),
    Slots(slots::SlotList),
    Guests(slots::GuestList),
    Steps(steps::StepList),
    Change(changes::Change),
    Stats,
    WithdrawSlot(changes::SlotWithdrawal),
    Block(blocks::BlockChange),
    Blocks(blocks::BlockList),
    Lifecycle(lifecycle::LifecycleQuery),
}

/// The commands with their arguments.
pub(super) fn commands() -> [Command; 5] {
    let of_server = "from a running server";
    [
        Command::new(ORDERS)
            .about("Orders of a running server, and their changes")
            .subcommand_required(true)
            .subcommand(with_connection(orders::list_command()))
            .subcommand(with_connection(orders::show_command()))
            .subcommand(with_connection(orders::history_command()))
            .subcommand(with_connection(watch::command()))
            .subcommands(changes::order_commands().map(with_connection)),
        Command::new(STEPS)
            .about("Work of a running server in the outside world")
            .subcommand_required(true)
            .subcommand(with_connection(steps::list_command()))
            .subcommands(changes::step_commands().map(with_connection)),
        Command::new(SLOTS)
            .about("Slots of a running server, and what is off sale of them")
            .subcommand_required(true)
            .subcommand(with_connection(slots::list_command()))
            .subcommands(blocks::commands().map(with_connection)),
        with_connection(slots::guests_command(of_server)),
        with_connection(stats::command(of_server)),
    ]
}

/// A command with the arguments of every request.
fn with_connection(command: Command) -> Command {
    command
        .args(server_args())
        .mut_arg(SERVER, |server| server.default_value(DEFAULT_SERVER))
        .arg(
            Arg::new(JSON)
                .long(JSON)
                .action(ArgAction::SetTrue)
                .conflicts_with_all([JSON_LINES, CSV])
                .help("Print JSON"),
        )
        .arg(
            Arg::new(JSON_LINES)
                .long(JSON_LINES)
                .action(ArgAction::SetTrue)
                .conflicts_with(CSV)
                .help("Print each element of a list as a line of JSON"),
        )
        .arg(
            Arg::new(CSV)
                .long(CSV)
                .action(ArgAction::SetTrue)
                .help("Print comma-separated values"),
        )
}

/// The arguments that name a server and its user.
pub(super) fn server_args() -> [Arg; 3] {
    [
        Arg::new(SERVER)
            .long(SERVER)
            .value_name("URL")
            .help("Operator's address of the server (`operator_listen`)")
            .value_parser(connection::parse_server),
        Arg::new(CA)
            .long(CA)
            .value_name("FILE")
            .help("PEM file with the authority of the server's certificate; required with https")
            .value_parser(value_parser!(PathBuf)),
        Arg::new(LOGIN_FILE)
            .long(LOGIN_FILE)
            .value_name("FILE")
            .help(format!(
                "File with user name and password, as `name:password`; default: the variable {LOGIN_VARIABLE}"
            ))
            .value_parser(value_parser!(PathBuf)),
    ]
}

/// A named argument with a text.
fn text(name: &'static str, label: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(label).help(help)
}

fn limit() -> Arg {
    text(LIMIT, "COUNT", "Most lines")
        .value_parser(value_parser!(u32).range(1..=1_000_000))
        .default_value(DEFAULT_LIMIT)
}

/// Most lines.
fn most(arguments: &ArgMatches) -> usize {
    let limit: Option<&u32> = arguments.get_one(LIMIT);
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(*limit).unwrap_or(usize::MAX)
    })
}

/// The text of an argument; empty if it is not given.
fn given(arguments: &ArgMatches, name: &str) -> String {
    let text: Option<&String> = arguments.get_one(name);
    text.cloned().unwrap_or_default()
}

/// What the arguments ask, and those of its own command.
fn asked<'a>(name: &str, arguments: &'a ArgMatches) -> Result<(Asked, &'a ArgMatches), CliError> {
    let Some((command, arguments)) = arguments.subcommand() else {
        let query = if name == STATS {
            Query::Stats
        } else {
            Query::Guests(slots::GuestList::of(arguments))
        };
        return Ok((Asked::Once(query), arguments));
    };
    if name == LIFECYCLE {
        let (query, arguments) = lifecycle::LifecycleQuery::of(command, arguments)?;
        return Ok((Asked::Once(Query::Lifecycle(query)), arguments));
    }
    let query = match (name, command) {
        (ORDERS, WATCH) => {
            let watch = watch::OrderWatch::of(arguments);
            return Ok((Asked::Watch(watch), arguments));
        }
        (ORDERS, LIST) => Query::Orders(Box::new(orders::OrderList::of(arguments))),
        (ORDERS, SHOW) => Query::Order(orders::OneOrder::of(arguments)),
        (ORDERS, HISTORY) => Query::History(given(arguments, ORDER)),
        (SLOTS, LIST) => Query::Slots(slots::SlotList::of(arguments)),
        (SLOTS, blocks::BLOCKS) => Query::Blocks(blocks::BlockList::of(arguments)),
        (SLOTS, command) => Query::Block(blocks::BlockChange::of(command, arguments)?),
        (ORDERS, changes::WITHDRAW) if arguments.contains_id(START) => {
            Query::WithdrawSlot(changes::SlotWithdrawal::of(arguments)?)
        }
        (_, LIST) => Query::Steps(steps::StepList::of(arguments)),
        (_, command) => Query::Change(changes::Change::of(command, arguments)?),
    };
    Ok((Asked::Once(query), arguments))
}

/// The action that the arguments ask for.
pub(super) fn action(
    name: &str,
    arguments: &ArgMatches,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Action, CliError> {
    let (asked, arguments) = asked(name, arguments)?;
    let address: &Uri = arguments.get_one(SERVER).expect("it has a default");
    Ok(Action::AskOperator(Box::new(OperatorCommand {
        server: OperatorServer::of(address, arguments, environment, read_file)?,
        format: OutputFormat::of(arguments),
        asked,
    })))
}

impl OperatorServer {
    /// The server at an address, with what the arguments say of it.
    pub(super) fn of(
        address: &Uri,
        arguments: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        read_file: impl FnOnce(&Path) -> io::Result<String>,
    ) -> Result<Self, CliError> {
        let file: Option<&PathBuf> = arguments.get_one(LOGIN_FILE);
        let login = match file {
            Some(path) => {
                let text = read_file(path).map_err(|error| CliError::Read(path.clone(), error))?;
                let login = Login::parse(&text);
                Some(login.ok_or_else(|| CliError::Login(path.display().to_string()))?)
            }
            None => Login::from_environment(environment)?,
        };
        Ok(Self {
            address: address.clone(),
            authority: arguments.get_one(CA).cloned(),
            login,
        })
    }

    /// Connects to it and asks.
    fn ask<T>(
        &self,
        ask: impl AsyncFnOnce(&Connection) -> Result<T, RequestFailed>,
    ) -> Result<T, CliError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::Start)?;
        let authority = match &self.authority {
            Some(path) => {
                Some(std::fs::read(path).map_err(|error| CliError::Read(path.clone(), error))?)
            }
            None => None,
        };
        let failed = |error| CliError::Operator(self.address.clone(), Box::new(error));
        runtime.block_on(async {
            let connection = Connection::open(&self.address, authority, self.login.clone()).await;
            let connection = connection.map_err(failed)?;
            ask(&connection).await.map_err(failed)
        })
    }
}

impl OperatorCommand {
    /// Asks and prints the answer. Returns the exit code.
    pub(super) fn run(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
        let server = &self.server;
        let answered = match &self.asked {
            Asked::Once(query) => {
                let report = server.ask(async |connection| query.answer(connection).await);
                match report {
                    Ok(report) => return self.print(report, stdout, stderr),
                    Err(error) => Err(error),
                }
            }
            Asked::Watch(watch) => {
                let mut shown = ReportSeries::new(self.format, &mut *stdout);
                server.ask(async |connection| watch.show(connection, &mut shown).await)
            }
        };
        match answered {
            Ok(printed) => printed.map(|()| SUCCESS),
            Err(error) => error.print(stdout, stderr),
        }
    }

    fn print(
        &self,
        report: Report,
        stdout: &mut dyn Write,
        stderr: &mut dyn Write,
    ) -> io::Result<u8> {
        report.print(self.format, stdout)?;
        if let Some(note) = &report.note {
            writeln!(stderr, "{note}")?;
        }
        match report.failed {
            Some(error) => {
                let server = self.server.address.clone();
                CliError::Operator(server, Box::new(error)).print(stdout, stderr)
            }
            None => Ok(SUCCESS),
        }
    }
}

impl Query {
    async fn answer(&self, connection: &Connection) -> Result<Report, RequestFailed> {
        match self {
            Self::Orders(list) => list.read(connection).await,
            Self::Order(order) => order.read(connection).await,
            Self::History(id) => orders::history(connection, id).await,
            Self::Slots(list) => list.read(connection).await,
            Self::Guests(list) => list.read(connection).await,
            Self::Steps(list) => list.read(connection).await,
            Self::Change(change) => change.make(connection).await,
            Self::Stats => stats::read(connection).await,
            Self::WithdrawSlot(withdrawal) => withdrawal.make(connection).await,
            Self::Block(change) => change.make(connection).await,
            Self::Blocks(list) => list.read(connection).await,
            Self::Lifecycle(query) => query.answer(connection).await,
        }
    }
}
