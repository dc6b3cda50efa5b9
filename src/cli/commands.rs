//! The commands and the words they take.

use std::{ffi::OsStr, path::PathBuf};

use clap::{Arg, Command, value_parser};

use super::EXIT_CODES;
use crate::config;

pub(super) const SERVE: &str = "serve";
pub(super) const CHECK_CATALOG: &str = "check-catalog";
pub(super) const SETTINGS: &str = "settings";
pub(super) const DIR: &str = "dir";

pub(super) fn command() -> Command {
    let dir = Arg::new(DIR).value_name("DIR").required(true).value_parser(value_parser!(PathBuf));
    Command::new("boxoffice")
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .after_help(exit_codes())
        .args(config::args())
        .subcommand(Command::new(SERVE).about("Serve calls; also without any command").args(config::args()))
        .subcommand(
            Command::new(CHECK_CATALOG)
                .about("Read the catalogue files in a directory and report all that is wrong")
                .arg(dir.help("Directory of the catalogue files")),
        )
        .subcommand(Command::new(SETTINGS).about("Print all settings as a Markdown table"))
}

fn exit_codes() -> String {
    let lines = EXIT_CODES.iter().map(|(code, meaning)| format!("\n  {code:>2}  {meaning}"));
    format!("Exit codes:{}", lines.collect::<String>())
}

pub(super) fn is_command(word: &OsStr) -> bool {
    [SERVE, CHECK_CATALOG, SETTINGS].iter().any(|command| word == *command)
}

pub(super) fn words_known() -> impl Iterator<Item = String> {
    let flags = config::args().filter_map(|arg| arg.get_long().map(|flag| format!("--{flag}")));
    flags.chain(["--help", "--version", SERVE, CHECK_CATALOG, SETTINGS].map(str::to_owned))
}
