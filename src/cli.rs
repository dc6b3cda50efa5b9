//! The command line: what its words ask for, and the exit code that answers.

mod password;

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{
    Arg, ArgMatches, Command,
    error::{ContextKind, ErrorKind},
    value_parser,
};

use crate::{
    catalog_files,
    config::{self, Config, Flags, Mistake, Mistakes, Place, Problem},
    server, telemetry,
};

/// All is well.
pub const SUCCESS: u8 = 0;
/// The command line, a setting or a file that one names is wrong.
pub const USAGE: u8 = 64;
/// The catalogue is wrong.
pub const CATALOG: u8 = 65;
/// The address cannot be bound.
pub const UNAVAILABLE: u8 = 69;
/// The program is wrong.
pub const INTERNAL: u8 = 70;
/// The store cannot be read, or output cannot be written.
pub const IO: u8 = 74;

const EXIT_CODES: [(u8, &str); 6] = [
    (SUCCESS, "all is well"),
    (USAGE, "the command line, a setting or a file that one names is wrong"),
    (CATALOG, "the catalogue is wrong"),
    (UNAVAILABLE, "the address cannot be bound"),
    (INTERNAL, "the program is wrong"),
    (IO, "the store cannot be read, or output cannot be written"),
];

const SERVE: &str = "serve";
const CHECK_CATALOG: &str = "check-catalog";
const SETTINGS: &str = "settings";
const HASH_PASSWORD: &str = "hash-password";
const DIR: &str = "dir";

/// What the words ask for.
#[derive(Debug, PartialEq)]
enum Action {
    Serve(Box<Config>),
    CheckCatalog(PathBuf),
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
    let code = match parse(args, environment, |path| std::fs::read_to_string(path)) {
        Action::Serve(config) => Ok(serve(&config, stderr)),
        Action::CheckCatalog(dir) => check_catalog(&dir, stdout, stderr),
        Action::Settings => write!(stdout, "{}", config::table()).map(|()| SUCCESS),
        Action::HashPassword => password::run(stdout, stderr),
        Action::Show(text) => write!(stdout, "{text}").map(|()| SUCCESS),
        Action::Refuse(mistakes) => writeln!(stderr, "{mistakes}\nSee `boxoffice --help`.").map(|()| USAGE),
    };
    ExitCode::from(code.unwrap_or(IO))
}

fn serve(config: &Config, stderr: &mut dyn Write) -> u8 {
    if let Err(error) = telemetry::init(&config.logging) {
        // There is no other place to say this.
        let _ = writeln!(stderr, "{error}");
        return INTERNAL;
    }
    match catch_unwind(AssertUnwindSafe(|| server::run(config))) {
        Ok(Ok(())) => SUCCESS,
        Ok(Err(error)) => {
            tracing::error!(%error, "the server cannot go on");
            error.exit_code()
        }
        // The panic itself has been logged.
        Err(_) => INTERNAL,
    }
}

fn check_catalog(dir: &Path, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
    match catalog_files::load(dir) {
        Ok(loaded) => {
            let (merchants, services) = (loaded.catalog.merchants().len(), loaded.catalog.services().count());
            let openings = loaded.openings.len();
            writeln!(stdout, "{merchants} merchants, {services} services, {openings} openings")?;
            Ok(SUCCESS)
        }
        Err(mistakes) => {
            writeln!(stderr, "{mistakes}")?;
            Ok(CATALOG)
        }
    }
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
        Some((CHECK_CATALOG, command)) => flags.refuse().map(|()| check_catalog_action(command)),
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
    let config = Config::from_layers(flags, environment, read_file)?;
    Ok(Action::Serve(Box::new(config)))
}

fn check_catalog_action(command: &ArgMatches) -> Action {
    let dir = command.get_one::<PathBuf>(DIR).expect("the parser requires it");
    Action::CheckCatalog(dir.clone())
}

/// Reads the words. The parser stops at the first one that it cannot place, so that word is noted
/// and taken out, and the others are read again.
fn read_words(mut words: Vec<OsString>) -> Result<(ArgMatches, Vec<Mistake>), Action> {
    let mut mistakes = Vec::new();
    loop {
        let error = match command().try_get_matches_from(&words) {
            Ok(matches) => return Ok((matches, mistakes)),
            Err(error) if !error.use_stderr() => return Err(Action::Show(error.render().to_string())),
            Err(error) => error,
        };
        let misread = Misread::from(&error);
        let found = misread.find(&words);
        mistakes.push(misread.into_mistake());
        let Some(found) = found else { return Err(Action::Refuse(mistakes.into())) };
        words.drain(found);
    }
}

/// A word that the parser could not place, as it is spelt without a value attached.
enum Misread {
    Unknown { word: String },
    WithoutValue { word: String, expected: String },
    Other { word: String, problem: String },
}

impl From<&clap::Error> for Misread {
    fn from(error: &clap::Error) -> Self {
        let named = error.get(ContextKind::InvalidArg).or_else(|| error.get(ContextKind::InvalidSubcommand));
        let named = named.map(ToString::to_string).unwrap_or_default();
        let (word, label) = named.split_once(' ').unwrap_or((&named, ""));
        let kind = error.kind();
        if matches!(kind, ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand) {
            Self::Unknown { word: named }
        } else if kind == ErrorKind::InvalidValue {
            Self::WithoutValue { word: word.to_owned(), expected: label.to_owned() }
        } else {
            Self::Other { word: word.to_owned(), problem: kind.to_string() }
        }
    }
}

impl Misread {
    /// Where among the words it is, along with its value if that would make no sense without it.
    fn find(&self, words: &[OsString]) -> Option<Range<usize>> {
        let has_value = |at: usize| {
            words
                .get(at + 1)
                .is_some_and(|next| !next.as_encoded_bytes().starts_with(b"-") && !is_command(next))
        };
        let mut places = 1..words.len();
        match self {
            Self::Unknown { word } => places.find_map(|at| {
                let rest = words[at].to_str()?.strip_prefix(word.as_str())?;
                let short = word.len() == 2 && word.starts_with('-');
                let with_next = rest.is_empty() && word.starts_with('-') && has_value(at);
                (rest.is_empty() || rest.starts_with('=') || short)
                    .then(|| at..at + 1 + usize::from(with_next))
            }),
            Self::WithoutValue { word, .. } => {
                places.find(|at| words[*at] == **word && !has_value(*at)).map(|at| at..at + 1)
            }
            Self::Other { .. } => None,
        }
    }

    fn into_mistake(self) -> Mistake {
        let (word, problem) = match self {
            Self::Unknown { word } => {
                let serves = word.starts_with("--") && words_known().any(|known| known == word);
                let problem = if serves { Problem::NotHere } else { Problem::unknown(&word, words_known()) };
                (word, problem)
            }
            Self::WithoutValue { word, expected } => {
                (word, Problem::Value { expected, found: "nothing".to_owned() })
            }
            Self::Other { word, problem } => (word, Problem::Other(problem)),
        };
        Mistake { place: Place::Word(word), problem }
    }
}

fn command() -> Command {
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
        .subcommand(
            Command::new(HASH_PASSWORD)
                .about("Read a password from standard input and print its hash for the credentials file"),
        )
}

fn exit_codes() -> String {
    let lines = EXIT_CODES.iter().map(|(code, meaning)| format!("\n  {code:>2}  {meaning}"));
    format!("Exit codes:{}", lines.collect::<String>())
}

fn is_command(word: &OsStr) -> bool {
    [SERVE, CHECK_CATALOG, SETTINGS, HASH_PASSWORD].iter().any(|command| word == *command)
}

fn words_known() -> impl Iterator<Item = String> {
    let flags = config::args().filter_map(|arg| arg.get_long().map(|flag| format!("--{flag}")));
    let words = ["--help", "--version", SERVE, CHECK_CATALOG, SETTINGS, HASH_PASSWORD];
    flags.chain(words.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        ["boxoffice"].into_iter().chain(text.split_whitespace()).map(OsString::from).collect()
    }

    fn action(text: &str) -> Action {
        parse(words(text), [], |_| Err(io::ErrorKind::NotFound.into()))
    }

    fn config(text: &str) -> Config {
        let Action::Serve(config) = action(text) else { panic!("{text:?} should serve") };
        *config
    }

    fn ran(text: &str) -> (ExitCode, String, String) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let code = run(words(text), [], &mut stdout, &mut stderr);
        (code, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
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
            ("--frob", "--frob: unknown"),
            ("--frob serve", "--frob: unknown"),
            ("--max-inflight 3", "--max-inflight: unknown; did you mean --max-in-flight?"),
            ("--max-inflight=3", "--max-inflight: unknown; did you mean --max-in-flight?"),
            ("--max x --max-connections 7", "--max: unknown"),
            ("-xyz", "-x: unknown"),
            ("srve", "srve: unknown; did you mean serve?"),
            ("serve again", "again: unknown"),
            ("--listen", "--listen: expected <ADDRESS>, not nothing"),
            ("--listen=", "--listen: expected an IP address and port, not \"\""),
            ("--listen --workers 3", "--listen: expected <ADDRESS>, not nothing"),
            ("--workers 3 --workers 3 --workers 3", "--workers: given more than once"),
            ("--workers 3 serve --workers 3", "--workers: given more than once"),
            (
                "--config a --config b",
                "--config: cannot read \"b\": entity not found\n--config: given more than once",
            ),
            ("--workers -1", "--workers: expected a number from 0 to 1024, not \"-1\""),
            (
                "--frob --store disk --frob=2 --log --listen here --nobody home",
                "--frob: unknown\n\
                 --frob: unknown\n\
                 --listen: expected an IP address and port, not \"here\"\n\
                 --log: expected <FILTER>, not nothing\n\
                 --nobody: unknown\n\
                 --store: expected `embedded` or `memory`, not \"disk\"",
            ),
            ("--workers 3 settings --frob", "--frob: unknown\n--workers: goes with `serve` only"),
            ("check-catalog", "<DIR>: one or more required arguments were not provided"),
            ("check-catalog here there", "there: unknown"),
            ("check-catalog here --listen x", "--listen: goes with `serve` only"),
            ("settings serve", "serve: unknown"),
            ("hash-password secret", "secret: unknown"),
            ("hash-passwords", "hash-passwords: unknown; did you mean hash-password?"),
        ] {
            let Action::Refuse(mistakes) = action(text) else { panic!("{text:?} should be refused") };
            assert_eq!(mistakes.to_string(), expected, "{text:?}");
        }
    }

    #[test]
    fn help_and_version_are_shown_wherever_they_are_asked_for() {
        for text in ["--help", "-h", "help", "serve --help", "check-catalog --help", "--workers many --help"]
        {
            let (code, stdout, stderr) = ran(text);
            assert_eq!((code, stderr.as_str()), (ExitCode::SUCCESS, ""), "{text}");
            assert!(stdout.contains("Usage: boxoffice"), "{stdout}");
        }
        let (_, version, _) = ran("--version");
        assert_eq!(version, concat!("boxoffice ", env!("CARGO_PKG_VERSION"), "\n"));
    }

    #[test]
    fn the_help_tells_every_setting_and_every_exit_code() {
        for text in ["--help", "serve --help"] {
            let (_, help, _) = ran(text);
            for arg in config::args() {
                let flag = format!("--{} <", arg.get_long().unwrap());
                assert!(help.contains(&flag), "{text} has {flag}");
                let variable = flag[2..].trim_end_matches(" <").replace('-', "_").to_uppercase();
                assert!(help.contains(&format!("[BOXOFFICE_{variable}]")), "{text} has {variable}");
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
        let Action::Refuse(mistakes) = parse(given, [], |_| Ok(String::new())) else { panic!() };
        assert_eq!(mistakes.to_string(), "--data-dir: expected UTF-8, not \"x\u{fffd}\"");
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
        "--frob",
        "--frob=",
        "--frob x",
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
        "help",
        "--version=2",
        "é",
    ];
}
