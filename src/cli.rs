//! The command line: its arguments and its commands.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::ArgMatches;

use crate::{
    config::{self, Config, EffectiveSetting, Flags},
    exit_code::{CATALOG, FORCED, INTERNAL, IO, SUCCESS, UNAVAILABLE, USAGE},
};
use kernel::files::regular;

mod error;
mod table;

mod commands;
mod sales;

mod backups;
mod check_catalog;
mod check_config;
mod completions;
mod customers;
mod days;
mod export_feeds;
mod lifecycle;
mod manual;
mod operator;
mod password;
mod progress;
mod serve;
mod store_reports;

use backups::{CreateBackup, RestoreBackup};
use check_catalog::CheckCatalog;
use check_config::CheckConfig;
use commands::{
    BACKUP, CHECK_CATALOG, CHECK_CONFIG, COMPLETIONS, CUSTOMERS, FEEDS, HASH_PASSWORD, LIFECYCLE,
    MAN, SETTINGS, STORE, command,
};
use customers::CustomerCommand;
use error::CliError;
use export_feeds::ExportFeeds;
use lifecycle::{CheckLifecycle, DescribeLifecycle};
use operator::{GUESTS, ORDERS, OperatorCommand, SLOTS, STATS, STEPS};
use serve::serve;
use store_reports::{StoreInformation, StoreVerification};

const EXIT_CODES: [(u8, &str); 7] = [
    (SUCCESS, "all is well"),
    (
        USAGE,
        "the command line, a setting or a file that one names is wrong",
    ),
    (CATALOG, "the catalogue or a lifecycle is wrong"),
    (
        UNAVAILABLE,
        "the address cannot be bound, or the server asked does not answer as it should",
    ),
    (INTERNAL, "the program is wrong"),
    (
        IO,
        "the store cannot be read or is damaged, or output cannot be written",
    ),
    (
        FORCED,
        "a second signal ended the server by force before it had stopped",
    ),
];

/// What the arguments ask for.
#[derive(Debug, PartialEq)]
enum Action {
    Serve(Box<Config>, Vec<EffectiveSetting>),
    CheckConfig(Box<CheckConfig>),
    /// A text that is long to make: completions for a shell, or a page of the manual.
    Write(Vec<u8>),
    CheckCatalog(Box<CheckCatalog>),
    ExportFeeds(Box<ExportFeeds>),
    CheckLifecycle(CheckLifecycle),
    DescribeLifecycle(DescribeLifecycle),
    VerifyStore(StoreVerification),
    ShowStore(StoreInformation),
    CreateBackup(CreateBackup),
    RestoreBackup(RestoreBackup),
    Customer(CustomerCommand),
    AskOperator(Box<OperatorCommand>),
    Settings,
    HashPassword,
}

/// Does what the arguments ask for; the first of them is the program's name.
///
/// Results go to `stdout`, errors to `stderr`. A server logs to the standard error of the process, so
/// neither may be locked by the caller.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> ExitCode {
    let code = match parse(args, environment, regular::read_text) {
        Ok(Action::Serve(config, settings)) => Ok(serve(&config, &settings, stderr)),
        Ok(Action::CheckConfig(command)) => command.run(stdout, stderr),
        Ok(Action::Write(bytes)) => stdout.write_all(&bytes).map(|()| SUCCESS),
        Ok(Action::CheckCatalog(command)) => command.run(stdout, stderr),
        Ok(Action::ExportFeeds(command)) => command.run(stdout, stderr),
        Ok(Action::CheckLifecycle(command)) => command.run(stdout, stderr),
        Ok(Action::DescribeLifecycle(command)) => command.run(stdout, stderr),
        Ok(Action::VerifyStore(command)) => command.run(stdout, stderr),
        Ok(Action::ShowStore(command)) => command.run(stdout, stderr),
        Ok(Action::CreateBackup(command)) => command.run(stdout, stderr),
        Ok(Action::RestoreBackup(command)) => command.run(stdout, stderr),
        Ok(Action::Customer(command)) => command.run(stdout, stderr),
        Ok(Action::AskOperator(command)) => command.run(stdout, stderr),
        Ok(Action::Settings) => write!(stdout, "{}", config::table()).map(|()| SUCCESS),
        Ok(Action::HashPassword) => password::run(stdout, stderr),
        Err(error) => error.print(stdout, stderr),
    };
    ExitCode::from(code.unwrap_or(IO))
}

fn parse(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Action, CliError> {
    let matches = command().try_get_matches_from(args)?;
    let flags = Flags::of(&matches);
    let Some((name, arguments)) = matches.subcommand() else {
        return serve_action(flags, environment, read_file);
    };
    match name {
        FEEDS => {
            let (_, export) = arguments.subcommand().expect("the parser requires one");
            export_feeds::action(flags, export, environment, read_file)
        }
        CHECK_CONFIG => {
            let flags = with_flags_of(flags, arguments)?;
            check_config::action(flags, arguments, environment, read_file)
        }
        ORDERS | SLOTS | GUESTS | STEPS | STATS => {
            reject_flags(&flags, name)?;
            operator::action(name, arguments, environment, read_file)
        }
        CUSTOMERS => {
            reject_flags(&flags, name)?;
            customers::action(arguments, environment, read_file)
        }
        LIFECYCLE if operator::lifecycle::asks_server(arguments) => {
            reject_flags(&flags, name)?;
            operator::action(name, arguments, environment, read_file)
        }
        CHECK_CATALOG | LIFECYCLE | STORE | BACKUP | COMPLETIONS | MAN | SETTINGS
        | HASH_PASSWORD => {
            reject_flags(&flags, name)?;
            action_without_settings(name, arguments)
        }
        // `serve`; the parser knows no other.
        _ => serve_action(with_flags_of(flags, arguments)?, environment, read_file),
    }
}

fn action_without_settings(name: &str, arguments: &ArgMatches) -> Result<Action, CliError> {
    match name {
        CHECK_CATALOG => Ok(check_catalog::action(arguments)),
        LIFECYCLE => Ok(lifecycle::action(arguments)),
        STORE => Ok(store_reports::action(arguments)),
        BACKUP => Ok(backups::action(arguments)),
        COMPLETIONS => Ok(completions::action(arguments)),
        MAN => manual::action(arguments),
        SETTINGS => Ok(Action::Settings),
        _ => Ok(Action::HashPassword),
    }
}

fn serve_action(
    flags: Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Action, CliError> {
    let loaded = Config::with_origins(flags, environment, read_file);
    let (config, settings) = loaded.map_err(CliError::Settings)?;
    Ok(Action::Serve(Box::new(config), settings))
}

/// Flags may stand before the name of a command and behind it.
fn with_flags_of(flags: Flags, arguments: &ArgMatches) -> Result<Flags, clap::Error> {
    flags.and(Flags::of(arguments)).map_err(|twice| {
        commands::conflict(format!(
            "the argument '{twice}' cannot be used multiple times"
        ))
    })
}

/// Rejects settings in front of a command that takes none.
fn reject_flags(flags: &Flags, command: &str) -> Result<(), clap::Error> {
    match flags.given().next() {
        Some(flag) => Err(commands::conflict(format!(
            "the argument '{flag}' cannot be used with '{command}'"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn arguments(text: &str) -> Vec<OsString> {
        ["boxoffice"]
            .into_iter()
            .chain(text.split_whitespace())
            .map(OsString::from)
            .collect()
    }

    fn action(text: &str) -> Result<Action, CliError> {
        parse(arguments(text), [], |_| Err(io::ErrorKind::NotFound.into()))
    }

    fn config(text: &str) -> Config {
        let Ok(Action::Serve(config, _)) = action(text) else {
            panic!("{text:?} should serve")
        };
        *config
    }

    #[test]
    fn the_arguments_of_every_command_go_together() {
        command().debug_assert();
    }

    fn ran(text: &str) -> (ExitCode, String, String) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let code = run(arguments(text), [], &mut stdout, &mut stderr);
        (
            code,
            String::from_utf8(stdout).unwrap(),
            String::from_utf8(stderr).unwrap(),
        )
    }

    #[test]
    fn arguments_of_all_commands_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn serving_needs_no_command() {
        assert_eq!(config(""), Config::default());
        assert_eq!(config("serve"), Config::default());
        let moved = config("--listen [::1]:7 --drain-delay=9s");
        assert_eq!(moved.serving.listen.port(), 7);
        assert_eq!(moved.shutdown.drain_delay.as_secs(), 9);
        assert_eq!(config("serve --listen [::1]:7 --drain-delay=9s"), moved);
        assert_eq!(config("--listen [::1]:7 serve --drain-delay=9s"), moved);
    }

    #[test]
    fn errors_of_a_command_line_are_those_of_clap() {
        for (text, expected) in [
            ("--bogus", "unexpected argument '--bogus' found"),
            ("--bogus serve", "unexpected argument '--bogus' found"),
            (
                "--max-inflight 3",
                "a similar argument exists: '--max-in-flight'",
            ),
            ("-xyz", "unexpected argument '-x' found"),
            ("srve", "a similar subcommand exists: 'serve'"),
            ("serve again", "unexpected argument 'again' found"),
            ("--listen", "a value is required for '--listen <ADDRESS>'"),
            (
                "--listen=",
                "invalid value '' for '--listen <ADDRESS>': expected an IP address and port",
            ),
            (
                "--listen here",
                "invalid value 'here' for '--listen <ADDRESS>': expected an IP address and port",
            ),
            (
                "--store disk",
                "invalid value 'disk' for '--store <WORD>': expected `embedded` or `memory`",
            ),
            (
                "--workers -1",
                "invalid value '-1' for '--workers <COUNT>': expected a number from 0 to 1024",
            ),
            (
                "check-config --workers many",
                "invalid value 'many' for '--workers <COUNT>'",
            ),
            (
                "--workers 3 --workers 3",
                "the argument '--workers <COUNT>' cannot be used multiple times",
            ),
            (
                "--workers 3 serve --workers 3",
                "the argument '--workers' cannot be used multiple times",
            ),
            (
                "--config a serve --config b",
                "the argument '--config' cannot be used multiple times",
            ),
            (
                "--workers 3 settings",
                "the argument '--workers' cannot be used with 'settings'",
            ),
            ("settings --bogus", "unexpected argument '--bogus' found"),
            ("settings serve", "unexpected argument 'serve' found"),
            ("hash-password secret", "unexpected argument 'secret' found"),
            (
                "hash-passwords",
                "a similar subcommand exists: 'hash-password'",
            ),
            ("serve --gzip", "unexpected argument '--gzip' found"),
            ("completions", "<SHELL>"),
            (
                "completions cmd",
                "[possible values: bash, elvish, fish, powershell, zsh]",
            ),
            ("man srve", "unrecognized subcommand 'srve'"),
            ("man --workers 3", "unexpected argument '--workers' found"),
        ] {
            check_rejected(text, expected);
        }
    }

    #[test]
    fn errors_of_the_arguments_of_check_catalog_are_those_of_clap() {
        for (text, expected) in [
            ("check-catalog", "<DIR>"),
            ("check-catalog here --zone UTC", "--show <DATE>"),
            ("check-catalog here --data-dir there", "--show <DATE>"),
            ("check-catalog --from http://there", "--show <DATE>"),
            (
                "check-catalog here --show today --from http://there",
                "the argument '[DIR]' cannot be used with '--from <URL>'",
            ),
            (
                "check-catalog --show today --from http://there --data-dir here",
                "cannot be used with",
            ),
            (
                "check-catalog --show today --from there",
                "invalid value 'there' for '--from <URL>': expected an address like http://127.0.0.1:50052",
            ),
            (
                "check-catalog here --format yaml",
                "[possible values: text, json]",
            ),
            (
                "check-catalog here --show never",
                "expected a date like 2026-12-01, `today`, `tomorrow` or `yesterday`",
            ),
            (
                "check-catalog here --show 9999-12-31",
                "invalid value '9999-12-31' for '--show <DATE>': expected a date from 1970-01-01 to 9999-12-29",
            ),
            (
                "check-catalog here --show today --zone Europe/Belrin",
                "expected a time zone like Europe/Berlin; did you mean Europe/Berlin?",
            ),
            (
                "check-catalog here there",
                "unexpected argument 'there' found",
            ),
            (
                "check-catalog here --listen x",
                "unexpected argument '--listen' found",
            ),
        ] {
            check_rejected(text, expected);
        }
    }

    #[track_caller]
    fn check_rejected(text: &str, expected: &str) {
        let (code, stdout, stderr) = ran(text);
        assert_eq!(
            (code, stdout.as_str()),
            (ExitCode::from(USAGE), ""),
            "{text}"
        );
        assert!(stderr.starts_with("error: "), "{text}: {stderr}");
        assert!(stderr.contains(expected), "{text}: {stderr}");
    }

    #[test]
    fn errors_of_the_arguments_of_an_export_are_those_of_clap() {
        for (text, expected) in [
            ("feeds exprt", "a similar subcommand exists: 'export'"),
            ("feeds export", "--out <DIR>"),
            (
                "feeds export --out",
                "a value is required for '--out <DIR>'",
            ),
            (
                "feeds export --out here --days 29",
                "invalid value '29' for '--days <DAYS>': 29 is not in 30..=3650",
            ),
            (
                "feeds export --out here --days=x",
                "invalid value 'x' for '--days <DAYS>'",
            ),
            (
                "feeds export --out here --from http://there --catalog here",
                "cannot be used with",
            ),
            (
                "--data-dir here feeds export --out there --from http://there",
                "the argument '--data-dir' cannot be used with '--from <URL>'",
            ),
        ] {
            check_rejected(text, expected);
        }
    }

    #[test]
    fn errors_in_a_command_for_stores_are_reported_by_the_parser() {
        for (text, expected) in [
            ("store", "requires a subcommand"),
            ("store verfy", "a similar subcommand exists: 'verify'"),
            ("store verify", "--data-dir <DIR>"),
            (
                "--data-dir here store verify --data-dir there",
                "the argument '--data-dir' cannot be used with 'store'",
            ),
            (
                "store info --data-dir here --format yaml",
                "[possible values: text, json]",
            ),
            ("backup create --to here", "--from <URL>"),
            (
                "backup create --to here --from there",
                "invalid value 'there' for '--from <URL>'",
            ),
            (
                "backup create --to here --from http://there --data-dir here",
                "cannot be used with",
            ),
            ("backup restore --from here", "--to <DIR>"),
        ] {
            check_rejected(text, expected);
        }
    }

    #[test]
    fn errors_in_a_command_for_lifecycles_are_reported_by_the_parser() {
        for (text, expected) in [
            ("lifecycle", "requires a subcommand"),
            ("lifecycle chekc", "a similar subcommand exists: 'check'"),
            ("lifecycle check", "<FILE>"),
            (
                "lifecycle check here --format yaml",
                "[possible values: text, json]",
            ),
            (
                "lifecycle describe --entity parcle",
                "there is no entity \"parcle\"; entities are order, line_item, fulfillment, refund",
            ),
            (
                "lifecycle describe --action send_alrt",
                "did you mean send_alert?",
            ),
            (
                "lifecycle describe --state procesing",
                "did you mean processing?",
            ),
            (
                "--workers 3 lifecycle describe",
                "the argument '--workers' cannot be used with 'lifecycle'",
            ),
        ] {
            check_rejected(text, expected);
        }
    }

    #[test]
    fn a_lifecycle_is_checked_for_people_and_for_programs() {
        let folder = tempfile::tempdir().unwrap();
        let (right, wrong) = (
            folder.path().join("right.toml"),
            folder.path().join("wrong.toml"),
        );
        std::fs::write(&right, lifecycle_files::DEFAULT).unwrap();
        let broken = lifecycle_files::DEFAULT.replace("delete_shipment", "delete_shipmet");
        std::fs::write(&wrong, broken).unwrap();
        let missing = folder.path().join("missing.toml");
        for (file, code, stdout, stderr) in [
            (
                &right,
                SUCCESS,
                "lifecycle \"default\"; order: 7 states, 12 transitions; line_item: 8 states",
                "",
            ),
            (&wrong, CATALOG, "", "did you mean delete_shipment?"),
            (&missing, CATALOG, "", "error[unreadable]: "),
        ] {
            let (exit, out, err) = ran(&format!("lifecycle check {}", file.display()));
            assert_eq!(exit, ExitCode::from(code), "{out}{err}");
            assert!(
                out.starts_with(stdout) && err.contains(stderr),
                "{out}{err}"
            );
            assert_eq!(err.is_empty(), code == SUCCESS);
            assert_eq!(err.ends_with("\n1 error\n"), code != SUCCESS, "{err}");
            let (exit, out, err) =
                ran(&format!("lifecycle check {} --format json", file.display()));
            assert_eq!((exit, err.as_str()), (ExitCode::from(code), ""));
            let json: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(json["format"], 1);
            assert_eq!(json["ok"], code == SUCCESS, "{out}");
            assert_eq!(json["errors"]["total"], u64::from(code != SUCCESS), "{out}");
        }
    }

    #[test]
    fn a_lifecycle_is_described_in_tables_and_as_a_diagram() {
        let (code, tables, _) = ran("lifecycle describe");
        assert_eq!(code, ExitCode::SUCCESS);
        for text in [
            "order\n\n  state",
            "customer_action_required",
            "line_item\n",
            "CANCELED",
        ] {
            assert!(tables.contains(text), "{text} is not in {tables}");
        }
        let (code, some, _) = ran("lifecycle describe --entity refund --action send_alert");
        assert_eq!(code, ExitCode::SUCCESS);
        assert!(
            some.len() < tables.len() && some.starts_with("refund\n"),
            "{some}"
        );
        let (code, diagram, _) = ran("lifecycle describe --mermaid");
        assert_eq!(code, ExitCode::SUCCESS);
        assert!(diagram.starts_with("stateDiagram-v2\n"), "{diagram}");
        let (code, out, err) = ran("lifecycle describe /missing/lifecycle.toml");
        assert_eq!((code, out.as_str()), (ExitCode::from(CATALOG), ""));
        assert!(
            err.starts_with("error[unreadable]: /missing/lifecycle.toml"),
            "{err}"
        );
    }

    #[test]
    fn all_wrong_settings_are_reported_at_once() {
        let given = [("BOXOFFICE_WORKERS", "many"), ("BOXOFFICE_LISTEN", "here")];
        let given = given.map(|(name, value)| (name.into(), value.into()));
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let code = run(arguments("check-config"), given, &mut stdout, &mut stderr);
        assert_eq!((code, stdout), (ExitCode::from(USAGE), Vec::new()));
        let expected = "error[wrong_value]: BOXOFFICE_LISTEN: expected an IP address and port, not \"here\"\n\
                        error[wrong_value]: BOXOFFICE_WORKERS: expected a number from 0 to 1024, not \"many\"\n\
                        \nFor more information, try 'boxoffice --help'.\n";
        assert_eq!(String::from_utf8(stderr).unwrap(), expected);
    }

    #[test]
    fn help_and_version_are_shown_wherever_they_are_asked_for() {
        for text in [
            "--help",
            "-h",
            "help",
            "serve --help",
            "check-catalog --help",
            "feeds --help",
            "feeds export --help",
        ] {
            let (code, stdout, stderr) = ran(text);
            assert_eq!((code, stderr.as_str()), (ExitCode::SUCCESS, ""), "{text}");
            assert!(stdout.contains("Usage: boxoffice"), "{stdout}");
        }
        let (_, version, _) = ran("--version");
        assert_eq!(version, format!("boxoffice {}\n", crate::VERSION));
    }

    #[test]
    fn the_short_help_fits_a_screen_and_the_long_one_is_in_groups() {
        let (_, short, _) = ran("-h");
        assert!(short.lines().count() <= 50, "{short}");
        assert!(
            short.contains("--listen <ADDRESS>") && !short.contains("--max-headers"),
            "{short}"
        );
        assert!(
            short.lines().all(|line| line.chars().count() <= 132),
            "{short}"
        );
        let (_, long, _) = ran("--help");
        for group in ["Listening and threads:", "Shutdown:", "Logging:"] {
            assert!(
                long.contains(&format!("\n{group}\n")),
                "{group} is not in {long}"
            );
        }
    }

    #[test]
    fn shells_and_manuals_know_all_commands() {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let (code, script, _) = ran(&format!("completions {shell}"));
            assert_eq!(code, ExitCode::SUCCESS, "{shell}");
            for word in ["check-catalog", "max-in-flight", "hash-password"] {
                assert!(script.contains(word), "{word} is not in that of {shell}");
            }
        }
        let (_, page, _) = ran("man");
        assert!(
            page.contains(".TH boxoffice 1") && page.contains("EXIT CODES")
                || page.contains("Exit codes"),
            "{page}"
        );
        let (_, page, _) = ran("man feeds export");
        assert!(
            page.contains(".TH boxoffice-feeds-export 1") && page.contains("gzip"),
            "{page}"
        );
    }

    #[test]
    fn the_help_tells_every_setting_and_every_exit_code() {
        for text in ["--help", "serve --help", "feeds export --help"] {
            let (_, help, _) = ran(text);
            for arg in config::args() {
                let flag = format!("--{} <", arg.get_long().unwrap());
                assert!(help.contains(&flag), "{text} has {flag}");
                let variable = flag[2..]
                    .trim_end_matches(" <")
                    .replace('-', "_")
                    .to_uppercase();
                assert!(
                    help.contains(&format!("[BOXOFFICE_{variable}]")),
                    "{text} has {variable}"
                );
            }
        }
        let (_, help, _) = ran("--help");
        for (code, meaning) in EXIT_CODES {
            assert!(help.contains(&format!("{code:>2}  {meaning}")), "{code}");
        }
    }

    #[test]
    fn commands_answer_with_their_exit_codes() {
        let empty = tempfile::tempdir().unwrap();
        let missing = empty.path().join("missing").display().to_string();
        for (text, code) in [
            ("settings", SUCCESS),
            ("--listen nowhere", USAGE),
            ("--config /missing/boxoffice.toml", USAGE),
            (&format!("check-catalog {missing}"), CATALOG),
        ] {
            let (exit, stdout, stderr) = ran(text);
            assert_eq!(exit, ExitCode::from(code), "{text}");
            assert_eq!(stdout.is_empty(), code != SUCCESS, "{text}: {stdout}");
            assert_eq!(stderr.is_empty(), code == SUCCESS, "{text}: {stderr}");
        }
    }

    #[test]
    fn output_that_cannot_be_written_is_an_error() {
        let mut full: &mut [u8] = &mut [0; 3];
        let code = run(arguments("settings"), [], &mut full, &mut Vec::new());
        assert_eq!(code, ExitCode::from(IO));
    }

    #[test]
    fn arguments_that_are_not_text_are_errors() {
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(vec![b'x', 0xff]);
        let given = arguments("--data-dir").into_iter().chain([odd]);
        let error = parse(given, [], |_| Ok(String::new())).unwrap_err();
        assert_eq!(error.exit_code(), USAGE);
        assert!(error.to_string().contains("invalid UTF-8"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn all_command_lines_get_an_answer(given in vec(select(ARGUMENTS), 0..8)) {
            let given = given.iter().map(OsString::from);
            let _ = parse(given, [], |_| Ok(String::new()));
        }
    }

    const ARGUMENTS: &[&str] = &[
        "",
        "-",
        "--",
        "---",
        "-h=",
        "-xV",
        "--bogus",
        "--bogus=",
        "--bogus x",
        "--listen",
        "--listen=",
        "--list",
        "--log",
        "--workers",
        "-1",
        "3",
        "=",
        "serve",
        "settings",
        "check-catalog",
        "hash-password",
        "feeds",
        "export",
        "--out=x",
        "--days=30",
        "--gzip",
        "help",
        "--version=2",
        "é",
    ];
}
