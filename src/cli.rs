//! The command line: what its words ask for, and the exit code that answers.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use crate::{
    config::{self, Config, Flags, InForce, Mistakes},
    files::regular,
};

mod table;
mod words;

mod commands;

mod check_catalog;
mod check_config;
mod completions;
mod export_feeds;
mod manual;
mod password;
mod serve;

use check_catalog::CheckCatalog;
use check_config::CheckConfig;
use commands::{CHECK_CATALOG, CHECK_CONFIG, COMPLETIONS, FEEDS, HASH_PASSWORD, MAN, SETTINGS};
use export_feeds::ExportFeeds;
use serve::serve;
use words::read_words;

/// All is well.
pub const SUCCESS: u8 = 0;
/// The command line, a setting or a file that one names is wrong.
pub const USAGE: u8 = 64;
/// The catalogue is wrong.
pub const CATALOG: u8 = 65;
/// The address cannot be bound, or the server there does not answer as it should.
pub const UNAVAILABLE: u8 = 69;
/// The program is wrong.
pub const INTERNAL: u8 = 70;
/// The store cannot be read, or output cannot be written.
pub const IO: u8 = 74;

/// A second signal has ended the server before it was done.
pub const FORCED: u8 = 75;

const EXIT_CODES: [(u8, &str); 7] = [
    (SUCCESS, "all is well"),
    (
        USAGE,
        "the command line, a setting or a file that one names is wrong",
    ),
    (CATALOG, "the catalogue is wrong"),
    (
        UNAVAILABLE,
        "the address cannot be bound, or the server asked does not answer as it should",
    ),
    (INTERNAL, "the program is wrong"),
    (IO, "the store cannot be read, or output cannot be written"),
    (
        FORCED,
        "a second signal ended the server by force before it had stopped",
    ),
];

/// What the words ask for.
#[derive(Debug, PartialEq)]
enum Action {
    Serve(Box<Config>, Vec<InForce>),
    CheckConfig(Box<CheckConfig>),
    /// A text that is long to make: completions for a shell, or a page of the manual.
    Write(Vec<u8>),
    CheckCatalog(Box<CheckCatalog>),
    ExportFeeds(Box<ExportFeeds>),
    Settings,
    HashPassword,
    /// A text that was asked for, such as the help.
    Show(String),
    /// Nothing that can be done.
    Refuse(Mistakes),
}

/// Does what the words in `args` ask for; the first of them is the program's name.
///
/// What is asked for goes to `stdout` and what is wrong to `stderr`. A server logs to the standard
/// error of the process, so neither may be locked by the caller.
pub fn run(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> ExitCode {
    let code = match parse(args, environment, regular::read_text) {
        Action::Serve(config, in_force) => Ok(serve(&config, &in_force, stderr)),
        Action::CheckConfig(asked) => asked.run(stdout, stderr),
        Action::Write(bytes) => stdout.write_all(&bytes).map(|()| SUCCESS),
        Action::CheckCatalog(asked) => asked.run(stdout, stderr),
        Action::ExportFeeds(asked) => asked.run(stdout, stderr),
        Action::Settings => write!(stdout, "{}", config::table()).map(|()| SUCCESS),
        Action::HashPassword => password::run(stdout, stderr),
        Action::Show(text) => write!(stdout, "{text}").map(|()| SUCCESS),
        Action::Refuse(mistakes) => {
            writeln!(stderr, "{mistakes}\nSee `boxoffice --help`.").map(|()| USAGE)
        }
    };
    ExitCode::from(code.unwrap_or(IO))
}

fn parse(
    args: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Action {
    let (matches, mistakes) = match read_words(args.into_iter().collect()) {
        Ok(read) => read,
        Err(action) => return action,
    };
    let flags = Flags::of(&matches).with_mistakes(mistakes);
    let action = match matches.subcommand() {
        Some((CHECK_CATALOG, command)) => check_catalog::action(flags, command),
        Some((FEEDS, feeds)) => {
            let (_, export) = feeds.subcommand().expect("the parser requires one");
            export_feeds::action(flags.and(Flags::of(export)), export, environment, read_file)
        }
        Some((CHECK_CONFIG, command)) => {
            let flags = flags.and(Flags::of(command));
            check_config::action(flags, command, environment, read_file)
        }
        Some((COMPLETIONS, command)) => completions::action(flags, command),
        Some((MAN, command)) => manual::action(flags, command),
        Some((SETTINGS, _)) => flags.refuse().map(|()| Action::Settings),
        Some((HASH_PASSWORD, _)) => flags.refuse().map(|()| Action::HashPassword),
        Some((_, serve)) => serve_action(flags.and(Flags::of(serve)), environment, read_file),
        None => serve_action(flags, environment, read_file),
    };
    action.unwrap_or_else(Action::Refuse)
}

fn serve_action(
    flags: Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Action, Mistakes> {
    let (config, in_force) = Config::in_force(flags, environment, read_file)?;
    Ok(Action::Serve(Box::new(config), in_force))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        ["boxoffice"]
            .into_iter()
            .chain(text.split_whitespace())
            .map(OsString::from)
            .collect()
    }

    fn action(text: &str) -> Action {
        parse(words(text), [], |_| Err(io::ErrorKind::NotFound.into()))
    }

    fn config(text: &str) -> Config {
        let Action::Serve(config, _) = action(text) else {
            panic!("{text:?} should serve")
        };
        *config
    }

    fn ran(text: &str) -> (ExitCode, String, String) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let code = run(words(text), [], &mut stdout, &mut stderr);
        (
            code,
            String::from_utf8(stdout).unwrap(),
            String::from_utf8(stderr).unwrap(),
        )
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
    fn everything_wrong_with_the_words_is_told_at_once() {
        for (text, expected) in [
            ("--bogus", "--bogus: unknown"),
            ("--bogus serve", "--bogus: unknown"),
            (
                "--max-inflight 3",
                "--max-inflight: unknown; did you mean --max-in-flight?",
            ),
            (
                "--max-inflight=3",
                "--max-inflight: unknown; did you mean --max-in-flight?",
            ),
            ("--max x --max-connections 7", "--max: unknown"),
            ("-xyz", "-x: unknown"),
            ("srve", "srve: unknown; did you mean serve?"),
            ("serve again", "again: unknown"),
            ("--listen", "--listen: expected <ADDRESS>, not nothing"),
            (
                "--listen=",
                "--listen: expected an IP address and port, not \"\"",
            ),
            (
                "--listen --workers 3",
                "--listen: expected <ADDRESS>, not nothing",
            ),
            (
                "--workers 3 --workers 3 --workers 3",
                "--workers: given more than once",
            ),
            (
                "--workers 3 serve --workers 3",
                "--workers: given more than once",
            ),
            (
                "--config a --config b",
                "--config: cannot read \"b\": entity not found\n--config: given more than once",
            ),
            (
                "--workers -1",
                "--workers: expected a number from 0 to 1024, not \"-1\"",
            ),
            (
                "--bogus --store disk --bogus=2 --log --listen here --nobody home",
                "--bogus: unknown\n\
                 --bogus: unknown\n\
                 --listen: expected an IP address and port, not \"here\"\n\
                 --log: expected <FILTER>, not nothing\n\
                 --nobody: unknown\n\
                 --store: expected `embedded` or `memory`, not \"disk\"",
            ),
            (
                "--workers 3 settings --bogus",
                "--bogus: unknown\n--workers: does not go with this command",
            ),
            (
                "check-catalog",
                "<DIR>: is needed, unless `--from` names a running server",
            ),
            (
                "check-catalog here --zone UTC",
                "--zone: goes with `--show` only",
            ),
            (
                "check-catalog here --show never --zone nowhere --from there --format yaml",
                "\
                --format: expected `text` or `json`, not \"yaml\"\n\
                --from: goes without a directory: the server has its own\n\
                --from: expected an address like http://127.0.0.1:50052, not \"there\"\n\
                --show: expected a date like 2026-12-01, `today` or `tomorrow`, not \"never\"\n\
                --zone: expected a time zone like Europe/Berlin, not \"nowhere\"",
            ),
            (
                "check-catalog --show today --from http://there --data-dir here",
                "--data-dir: goes without `--from`: the server has its own",
            ),
            ("check-catalog here there", "there: unknown"),
            (
                "check-catalog here --listen x",
                "--listen: does not go with this command",
            ),
            ("settings serve", "serve: unknown"),
            ("hash-password secret", "secret: unknown"),
            (
                "hash-passwords",
                "hash-passwords: unknown; did you mean hash-password?",
            ),
            ("serve --gzip", "--gzip: does not go with this command"),
            (
                "completions",
                "<SHELL>: one or more required arguments were not provided",
            ),
            (
                "completions cmd",
                "<SHELL>: expected `bash` or `elvish` or `fish` or `powershell` or `zsh`, not \"cmd\"",
            ),
            ("man srve", "srve: unknown; did you mean serve?"),
            (
                "man --workers 3",
                "--workers: does not go with this command",
            ),
            (
                "check-config --workers many",
                "--workers: expected a number from 0 to 1024, not \"many\"",
            ),
        ] {
            check_refused(text, expected);
        }
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let Action::Refuse(mistakes) = action(text) else {
            panic!("{text:?} should be refused")
        };
        assert_eq!(mistakes.to_string(), expected, "{text:?}");
    }

    #[test]
    fn everything_wrong_with_an_export_is_told_at_once() {
        for (text, expected) in [
            ("feeds", "feeds: one of its commands has to follow"),
            (
                "feeds exprt",
                "exprt: unknown; did you mean export?\nfeeds: one of its commands has to follow",
            ),
            (
                "feeds export",
                "--out: one or more required arguments were not provided",
            ),
            ("feeds export --out", "--out: expected <DIR>, not nothing"),
            (
                "feeds export --out here --from=there --days 29 --workers many",
                "\
                --days: expected a number from 30 to 3650, not \"29\"\n\
                --from: expected an address like http://127.0.0.1:50052, not \"there\"\n\
                --workers: does not go with this command",
            ),
            (
                "feeds export --out here --days=x --workers many",
                "\
                --days: expected a number from 30 to 3650, not \"x\"\n\
                --workers: expected a number from 0 to 1024, not \"many\"",
            ),
            (
                "--data-dir here feeds export --out there --from http://there --catalog here",
                "\
                --catalog: does not go with this command\n--data-dir: does not go with this command",
            ),
        ] {
            check_refused(text, expected);
        }
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
            "--workers many --help",
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
        assert!(short.lines().count() < 50, "{short}");
        assert!(
            short.contains("--listen <ADDRESS>") && !short.contains("--max-headers"),
            "{short}"
        );
        assert!(
            short.lines().all(|line| line.chars().count() <= 132),
            "{short}"
        );
        let (_, long, _) = ran("--help");
        for group in [
            "Where and how the server listens:",
            "How the server stops:",
            "What is logged:",
        ] {
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
        let code = run(words("settings"), [], &mut full, &mut Vec::new());
        assert_eq!(code, ExitCode::from(IO));
    }

    #[test]
    fn words_that_are_no_text_are_refused() {
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(vec![b'x', 0xff]);
        let given = words("--data-dir").into_iter().chain([odd]);
        let Action::Refuse(mistakes) = parse(given, [], |_| Ok(String::new())) else {
            panic!()
        };
        assert_eq!(
            mistakes.to_string(),
            "--data-dir: expected UTF-8, not \"x\u{fffd}\""
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn all_words_get_an_answer(words in vec(select(WORDS), 0..8)) {
            let given = words.iter().map(OsString::from);
            parse(given, [], |_| Ok(String::new()));
        }
    }

    const WORDS: &[&str] = &[
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
