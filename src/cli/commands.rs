//! The commands and their arguments.

use std::{ops::RangeInclusive, path::PathBuf};

use clap::{Arg, ArgAction, ArgGroup, Command, error::ErrorKind, value_parser};
use clap_complete::Shell;
use http::Uri;

use super::{
    EXIT_CODES,
    check_catalog::{Format, ShownZone},
    days::asked_day,
    operator,
};
use crate::{api::feeds, config};

pub(super) const SERVE: &str = "serve";
pub(super) const CHECK_CATALOG: &str = "check-catalog";
pub(super) const FEEDS: &str = "feeds";
pub(super) const EXPORT: &str = "export";
pub(super) const STORE: &str = "store";
pub(super) const VERIFY: &str = "verify";
pub(super) const INFO: &str = "info";
pub(super) const BACKUP: &str = "backup";
pub(super) const CREATE: &str = "create";
pub(super) const RESTORE: &str = "restore";
pub(super) const CUSTOMERS: &str = "customers";
pub(super) const ERASE: &str = "erase";
pub(super) const USER: &str = "user";
pub(super) const TO: &str = "to";
pub(super) const SETTINGS: &str = "settings";
pub(super) const HASH_PASSWORD: &str = "hash-password";
pub(super) const DIR: &str = "dir";
pub(super) const OUT: &str = "out";
pub(super) const FROM: &str = "from";
pub(super) const DAYS: &str = "days";
pub(super) const GZIP: &str = "gzip";
pub(super) const CHECK_CONFIG: &str = "check-config";
pub(super) const COMPLETIONS: &str = "completions";
pub(super) const MAN: &str = "man";
pub(super) const SHELL: &str = "shell";
pub(super) const COMMAND: &str = "command";
pub(super) const ALL: &str = "all";
pub(super) const SHOW: &str = "show";
pub(super) const ZONE: &str = "zone";
pub(super) const DATA: &str = "data-dir";
pub(super) const STRICT: &str = "strict";
pub(super) const FORMAT: &str = "format";
pub(super) const LIFECYCLE: &str = "lifecycle";
pub(super) const CHECK: &str = "check";
pub(super) const DESCRIBE: &str = "describe";
pub(super) const FILE: &str = "file";
pub(super) const MERMAID: &str = "mermaid";
pub(super) const ENTITY: &str = "entity";
pub(super) const STATE: &str = "state";
pub(super) const ACTION: &str = "action";

/// Fewest days of availability that Google wants.
pub(super) const MIN_DAYS: u32 = 30;

/// The allowed number of days, up to the maximum of `availability_horizon`.
const ALLOWED_DAYS: RangeInclusive<i64> = 30..=3650;

pub(super) fn command() -> Command {
    Command::new("boxoffice")
        .version(crate::VERSION)
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .after_help(
            "`--help` lists all settings, `boxoffice <COMMAND> --help` the arguments of a command.",
        )
        .after_long_help(exit_codes())
        .args(config::args())
        .subcommand(
            Command::new(SERVE)
                .about("Run the server; the default without a command")
                .args(config::args()),
        )
        .subcommand(check_catalog())
        .subcommand(
            Command::new(FEEDS)
                .about("Feeds for Google, with the remaining spots")
                .subcommand_required(true)
                .subcommand(export()),
        )
        .subcommand(lifecycle())
        .subcommand(store())
        .subcommand(backup())
        .subcommand(customers())
        .subcommands(operator::commands())
        .subcommand(check_config())
        .subcommand(Command::new(SETTINGS).about("Print all settings as a Markdown table"))
        .subcommand(Command::new(HASH_PASSWORD).about(
            "Read a password from standard input and print its hash for the credentials file",
        ))
        .subcommands(for_installers())
}

fn check_catalog() -> Command {
    let text =
        |name: &'static str, label: &'static str| Arg::new(name).long(name).value_name(label);
    let path = value_parser!(PathBuf);
    let dir = Arg::new(DIR)
        .value_name("DIR")
        .value_parser(path.clone())
        .required_unless_present(FROM)
        // A server has a catalogue of its own.
        .conflicts_with(FROM);
    let show = "Print the calendar of a day, such as 2026-12-01, `today`, `tomorrow` or `yesterday`: the slots of each \
                service with their prices and remaining spots";
    let zone = "Time zone of that day, such as Europe/Berlin; default UTC";
    let from = "Admin listener of a running server to ask for its calendar, such as http://127.0.0.1:50052";
    let data = "Data directory of a stopped server, to subtract its sales";
    Command::new(CHECK_CATALOG)
        .about("Check a catalogue and report all errors and warnings")
        .arg(dir.help("Directory of the catalogue"))
        .arg(
            Arg::new(STRICT)
                .long(STRICT)
                .action(ArgAction::SetTrue)
                .help("Treat warnings as errors"),
        )
        .arg(format_argument())
        .arg(
            text(SHOW, "DATE")
                .help(show)
                .value_parser(asked_day)
                .allow_hyphen_values(true),
        )
        .arg(
            text(ZONE, "ZONE")
                .help(zone)
                .value_parser(ShownZone::parse)
                .requires(SHOW),
        )
        .arg(
            text(FROM, "URL")
                .help(from)
                .value_parser(parse_server)
                .requires(SHOW)
                .conflicts_with(DATA),
        )
        .arg(
            text(DATA, "DIR")
                .help(data)
                .value_parser(path)
                .requires(SHOW),
        )
}

fn check_config() -> Command {
    Command::new(CHECK_CONFIG)
        .about("Check the settings, print their values and places, and check the files they name")
        .arg(
            Arg::new(ALL)
                .long(ALL)
                .action(ArgAction::SetTrue)
                .help("Include defaults"),
        )
        .args(config::args())
}

/// Commands for those who install the program.
fn for_installers() -> [Command; 2] {
    let page = "Command of the page; default: the program";
    [
        Command::new(COMPLETIONS)
            .about("Print the completion script for a shell")
            .arg(
                Arg::new(SHELL)
                    .value_name("SHELL")
                    .required(true)
                    .value_parser(value_parser!(Shell))
                    .help("The shell"),
            ),
        Command::new(MAN)
            .about("Print a manual page, for `man -l -`")
            .arg(
                Arg::new(COMMAND)
                    .value_name("COMMAND")
                    .num_args(0..)
                    .help(page),
            ),
    ]
}

fn export() -> Command {
    let text =
        |name: &'static str, label: &'static str| Arg::new(name).long(name).value_name(label);
    let out = "Directory to write; an earlier export there is replaced as a whole";
    let from = "Admin listener of a running server, such as http://127.0.0.1:50052; without it, the \
                catalogue and the store of these settings are read, whose server must be stopped";
    let days = format!(
        "Limit to slots that start within this number of days, from {} to {}",
        ALLOWED_DAYS.start(),
        ALLOWED_DAYS.end()
    );
    Command::new(EXPORT)
        .about("Write the merchant, service and availability feeds and the rules file")
        .arg(
            text(OUT, "DIR")
                .required(true)
                .help(out)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            text(FROM, "URL")
                .help(from)
                .value_parser(parse_server)
                // A server has settings of its own.
                .conflicts_with_all(config::names()),
        )
        .arg(
            text(DAYS, "DAYS")
                .help(days)
                .value_parser(value_parser!(u32).range(ALLOWED_DAYS))
                .allow_negative_numbers(true),
        )
        .arg(
            Arg::new(GZIP)
                .long(GZIP)
                .action(ArgAction::SetTrue)
                .help("Compress the feeds with gzip"),
        )
        .args(config::args())
}

fn lifecycle() -> Command {
    let file = || {
        Arg::new(FILE)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
    };
    let only = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("NAME").help(help)
    };
    Command::new(LIFECYCLE)
        .about("Check, describe or publish what orders go through after their sale")
        .subcommand_required(true)
        .subcommand(
            Command::new(CHECK)
                .about("Check a lifecycle definition and report all errors")
                .arg(file().required(true).help("The definition, a TOML file"))
                .arg(format_argument()),
        )
        .subcommand(
            Command::new(DESCRIBE)
                .about("Print states, transitions, conditions and actions of a definition")
                .arg(file().help("The definition; without it the default"))
                .arg(
                    Arg::new(MERMAID)
                        .long(MERMAID)
                        .action(ArgAction::SetTrue)
                        .help("Print a state diagram for Mermaid instead of tables"),
                )
                .arg(only(ENTITY, "Limit to an entity, such as `line_item`"))
                .arg(only(STATE, "Limit to transitions from or to a state"))
                .arg(only(ACTION, "Limit to transitions with an action")),
        )
        .mut_subcommand(DESCRIBE, operator::lifecycle::or_of_server)
        .subcommands(operator::lifecycle::commands())
}

fn format_argument() -> Arg {
    Arg::new(FORMAT)
        .long(FORMAT)
        .value_name("FORMAT")
        .help("Output format: `text` for people, `json` for programs")
        .value_parser(Format::parser())
        .default_value("text")
}

fn store() -> Command {
    let data = || {
        directory(DATA)
            .required(true)
            .help("Data directory of a server, which may be running, or directory of a backup")
    };
    Command::new(STORE)
        .about("Verify a store, or tell what is in it; nothing is changed")
        .subcommand_required(true)
        .subcommand(
            Command::new(VERIFY)
                .about("Read every byte of a store and report all damage")
                .arg(data()),
        )
        .subcommand(
            Command::new(INFO)
                .about("Tell the format, orders, size, times and open work of a store")
                .arg(data())
                .arg(format_argument()),
        )
}

fn backup() -> Command {
    let from =
        "Admin listener of a running server with `admin_backup`, such as http://127.0.0.1:50052";
    let data = "Data directory of a server on this machine, which may be running";
    let to = "Directory to write; an earlier backup of the same store there is brought up to date";
    Command::new(BACKUP)
        .about("Copy a store, and bring it back")
        .subcommand_required(true)
        .subcommand(
            Command::new(CREATE)
                .about("Copy a store up to its last change, also of a running server, and verify the copy")
                .arg(directory(TO).required(true).help(to))
                .arg(
                    Arg::new(FROM)
                        .long(FROM)
                        .value_name("URL")
                        .help(from)
                        .value_parser(parse_server)
                        .required_unless_present(DATA)
                        .conflicts_with(DATA),
                )
                .arg(directory(DATA).help(data)),
        )
        .subcommand(
            Command::new(RESTORE)
                .about("Verify a backup and copy it to a data directory without a store")
                .arg(directory(FROM).required(true).help("Directory of the backup"))
                .arg(
                    directory(TO)
                        .required(true)
                        .help("Data directory, which may not have a store"),
                ),
        )
}

fn customers() -> Command {
    let from =
        "Admin listener of a running server with `admin_customers`, such as http://127.0.0.1:50052";
    let data = "Data directory of a stopped server; to be run as the user of the server";
    let arguments = || {
        [
            Arg::new(USER)
                .long(USER)
                .value_name("ID")
                .required(true)
                .allow_hyphen_values(true)
                .help("User id of the customer as in the orders; `-` reads it from standard input; an erasure takes one on each line"),
            Arg::new(FROM)
                .long(FROM)
                .value_name("URL")
                .help(from)
                .value_parser(parse_server),
            directory(DATA).help(data),
        ]
    };
    // A group, so that the error of a command line without a source names all of them.
    let source = || {
        ArgGroup::new("source")
            .args([operator::SERVER, FROM, DATA])
            .required(true)
    };
    Command::new(CUSTOMERS)
        .about("Export or erase the personal data of a customer")
        .subcommand_required(true)
        .subcommand(
            Command::new(ERASE)
                .about("Erase the customer and the answers of all orders of a customer, for good")
                .args(arguments())
                .args(operator::server_args())
                .group(source()),
        )
        .subcommand(
            Command::new(EXPORT)
                .about("Print everything that is on record of a customer, as JSON")
                .args(arguments())
                .args(operator::server_args())
                .group(source()),
        )
}

fn directory(name: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("DIR")
        .value_parser(value_parser!(PathBuf))
}

fn exit_codes() -> String {
    let lines = EXIT_CODES
        .iter()
        .map(|(code, meaning)| format!("\n  {code:>2}  {meaning}"));
    format!("Exit codes:{}", lines.collect::<String>())
}

/// The `admin_listen` of a running server, as a URL.
fn parse_server(text: &str) -> Result<Uri, String> {
    match text.parse() {
        Ok(server) if feeds::can_ask(&server) => Ok(server),
        Ok(_) | Err(_) => Err("expected an address like http://127.0.0.1:50052".to_owned()),
    }
}

/// That arguments do not go together, in a way that the parser cannot tell.
pub(super) fn conflict(text: String) -> clap::Error {
    command().error(ErrorKind::ArgumentConflict, text)
}

/// That the value of an argument is not one of those that there are.
pub(super) fn invalid_value(text: String) -> clap::Error {
    command().error(ErrorKind::InvalidValue, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of a command and of all commands below it that do something.
    fn leaves(command: &Command, before: &str, found: &mut Vec<String>) {
        let name = format!("{before}{}", command.get_name());
        if !command.has_subcommands() {
            found.push(name);
            return;
        }
        for command in command.get_subcommands() {
            leaves(command, &format!("{name} "), found);
        }
    }

    #[test]
    fn the_documents_have_every_command() {
        let text = include_str!("../../docs/configuration.md");
        let (_, table) = text.split_once("## Command line").unwrap();
        let (table, _) = table.split_once("\n## ").unwrap();
        let mut found = Vec::new();
        leaves(&command(), "", &mut found);
        for name in found {
            assert!(table.contains(&format!("`{name}")), "{name} is missing");
        }
    }
}
