//! The sources keep the order that the documents promise.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Lines that a file may have; tests may have more.
const MAX_LINES: usize = 800;

/// A file of the sources, by its path from the root of the repository.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Whether it is part of a module, given by its path without an ending.
    fn is_of(&self, module: &str) -> bool {
        let rest = self.path.strip_prefix(module);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.starts_with("crates/testkit/")
            || self.path.ends_with("/fixtures.rs")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
    }

    /// Its lines without comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = |line| str::split_once(line, "//").map_or(line, |(code, _)| code);
        (1..).zip(self.text.lines().map(code))
    }

    /// Where it uses one of these words, each a name or a path of names.
    fn uses(&self, words: &[&str]) -> Vec<String> {
        let uses = |line: &str| words.iter().any(|word| has_word(line, word));
        let found = self.code().filter(|(_, line)| uses(line));
        found
            .map(|(number, line)| format!("{}:{number}: {}", self.path, line.trim()))
            .collect()
    }
}

/// Whether a word stands in a line, and not only as a part of another.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part)
    })
}

/// Every Rust file in these folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in folders {
        collect(&root.join(folder), &mut files);
    }
    let source = |file: PathBuf| Source {
        path: file
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned(),
        text: fs::read_to_string(&file).unwrap(),
    };
    let sources: Vec<Source> = files.into_iter().map(source).collect();
    assert!(sources.len() > 10, "these are not all of the sources");
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// Fails if anything was found.
fn nothing(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// What modules may not name, by groups.
const DOORS: &[&str] = &["tonic", "axum", "http", "hyper", "tower", "prost", "Status"];
const MACHINE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::time",
    "std::env",
    "SystemTime",
    "Instant",
];
const RANDOM: &[&str] = &["rand", "fastrand", "getrandom"];
const RUNTIME: &[&str] = &[
    "tokio",
    "futures_util",
    "async",
    "await",
    "tracing",
    "dashmap",
    "serde",
    "serde_json",
];
const OUTER: &[&str] = &[
    "crate::api::booking",
    "crate::api::dispatch",
    "crate::api::booking::grpc",
    "crate::api::booking::rest",
    "crate::server",
    "crate::cli",
    "crate::config",
];
const USE_CASES: &[&str] = &["crate::app"];
const MONITORING: &[&str] = &["prometheus", "opentelemetry", "crate::telemetry"];
const STORES: &[&str] = &[
    "EmbeddedStore",
    "MemoryStore",
    "SimulatedGateway",
    "SystemClock",
    "ManualClock",
];
/// What stands behind the use cases.
const INNER: &[&str] = &[
    "crate::store",
    "crate::domain",
    "crate::payments",
    "crate::inventory",
];

#[test]
fn no_module_names_what_is_not_its_business() {
    let rules: &[(&str, &[&[&str]])] = &[
        (
            "crates/domain/src",
            &[DOORS, MACHINE, RANDOM, RUNTIME, MONITORING],
        ),
        (
            "src/api/auth",
            &[
                DOORS,
                OUTER,
                USE_CASES,
                &["crate::store", "crate::domain", "rustls"],
            ],
        ),
        (
            "crates/inventory/src",
            &[
                DOORS,
                MACHINE,
                RANDOM,
                OUTER,
                MONITORING,
                USE_CASES,
                &["crate::store", "async", "await"],
            ],
        ),
        (
            "src/net",
            &[
                STORES,
                INNER,
                USE_CASES,
                &[
                    "crate::api",
                    "crate::catalog_files",
                    "crate::cli",
                    "crate::server",
                ],
            ],
        ),
        (
            "crates/kernel/src/clock",
            &[DOORS, OUTER, USE_CASES, &["tokio"]],
        ),
        (
            "src/config",
            &[
                USE_CASES,
                &[
                    "tonic",
                    "prost",
                    "tokio",
                    "crate::store",
                    "crate::server",
                    "crate::domain",
                ],
            ],
        ),
        ("src/api/booking/grpc", &[STORES, INNER, &["prost"]]),
        ("src/api/booking/rest", &[STORES, INNER, &["prost"]]),
        (
            "src/api/feeds",
            &[STORES, INNER, &["std::fs", "crate::server", "crate::cli"]],
        ),
        ("src/api/dispatch", &[STORES, DOORS, INNER]),
        (
            "src/api/booking",
            &[
                STORES,
                &[
                    "tokio",
                    "crate::payments",
                    "crate::inventory",
                    "crate::server",
                    "crate::api::booking::grpc",
                    "crate::api::booking::rest",
                ],
            ],
        ),
    ];
    let sources = sources(&["src", "crates"]);
    for &(module, words) in rules {
        let of_module: Vec<_> = sources
            .iter()
            .filter(|source| source.is_of(module) && !source.is_test())
            .collect();
        assert!(!of_module.is_empty(), "there is no {module}");
        let found: Vec<_> = of_module
            .iter()
            .flat_map(|source| source.uses(&words.concat()))
            .collect();
        nothing(&found, &format!("{module} names what is not its business"));
    }
}

#[test]
fn one_file_puts_concrete_things_together() {
    const CONCRETE: &[&str] = &[
        "EmbeddedStore",
        "MemoryStore",
        "SimulatedGateway",
        "SystemClock",
    ];
    let at_home = [
        "src/server",
        "crates/store/src/embedded",
        "crates/store/src/memory",
        "crates/payments/src/simulated",
        "crates/kernel/src/clock",
    ];
    let elsewhere =
        |source: &&Source| !source.is_test() && !at_home.iter().any(|module| source.is_of(module));
    let found: Vec<_> = sources(&["src", "crates"])
        .iter()
        .filter(elsewhere)
        .flat_map(|source| source.uses(CONCRETE))
        .collect();
    nothing(
        &found,
        "concrete stores, gateways and clocks are named in src/server.rs only",
    );
}

#[test]
fn decimals_stay_with_money_and_where_percentages_are() {
    let sources = sources(&["src", "crates"]);
    let named = sources
        .iter()
        .filter(|source| !source.is_test() && !source.uses(&["rust_decimal"]).is_empty());
    let named: BTreeSet<&str> = named.map(|source| source.path.as_str()).collect();
    let expected = [
        "crates/catalog/src/rules/deals.rs",
        "crates/domain/src/catalog.rs",
        "crates/domain/src/money.rs",
    ];
    assert_eq!(named, expected.into(), "files that name rust_decimal");
}

#[test]
fn time_and_chance_come_from_one_place_each() {
    for (words, expected) in [
        (&["SystemTime"][..], &["crates/kernel/src/clock.rs"][..]),
        (
            &["getrandom"],
            &[
                "src/api/auth/passwords.rs",
                "crates/store/src/embedded/recovery.rs",
            ],
        ),
        (
            &["fastrand"],
            &["crates/kernel/src/request.rs", "src/net/connection.rs"],
        ),
        (&["std::env"], &["src/config.rs", "src/main.rs"]),
    ] {
        let sources = sources(&["src", "crates"]);
        let named = sources
            .iter()
            .filter(|source| !source.is_test() && !source.uses(words).is_empty());
        let named: BTreeSet<&str> = named.map(|source| source.path.as_str()).collect();
        assert_eq!(
            named,
            expected.iter().copied().collect(),
            "files that name {words:?}"
        );
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let sources = sources(&["src", "crates", "tests"]);
    let is_unit_test =
        |source: &Source| source.path.ends_with("/tests.rs") || source.path.contains("/tests/");
    let silent = sources.iter().filter(|source| !is_unit_test(source));
    let silent = silent
        .filter(|source| !source.text.starts_with("//! ") && !source.text.starts_with("#![doc = "));
    let silent: Vec<_> = silent.map(|source| source.path.clone()).collect();
    nothing(&silent, "a file begins with what it is for");
}

#[test]
fn nothing_is_left_for_later() {
    const LATER: &[&str] = &["todo!", "unimplemented!", "dbg!"];
    // Put together here so that this file does not find itself.
    let notes = ["TODO", "FIXME", "HACK"].map(|note| format!("{note}:"));
    let mut found = Vec::new();
    for source in sources(&["src", "crates", "tests", "benches", "tools"]) {
        if !source.path.ends_with("tidy.rs") {
            found.extend(source.uses(LATER));
        }
        let noted = source
            .text
            .lines()
            .filter(|line| notes.iter().any(|note| line.contains(note)));
        found.extend(noted.map(|line| format!("{}: {}", source.path, line.trim())));
    }
    nothing(&found, "what is not done is not in the sources");
}

#[test]
fn files_can_be_read_at_one_sitting() {
    let long = |source: &&Source| !source.is_test() && source.text.lines().count() > MAX_LINES;
    let found: Vec<_> = sources(&["src", "crates"])
        .iter()
        .filter(long)
        .map(|source| source.path.clone())
        .collect();
    nothing(&found, &format!("a file has {MAX_LINES} lines at most"));
}

#[test]
fn generated_code_stays_out_of_the_sources() {
    const GENERATED: &[&str] = &[
        "@generated",
        "::prost::Message)]",
        "::prost::Enumeration)]",
        "rustfmt::skip",
    ];
    let generated = |source: &&Source| GENERATED.iter().any(|mark| source.text.contains(mark));
    let found: Vec<_> = sources(&["src", "crates"])
        .iter()
        .filter(generated)
        .map(|source| source.path.clone())
        .collect();
    nothing(
        &found,
        "generated code is made by the build and kept out of src",
    );
    let includes = |source: &&Source| {
        !source
            .uses(&["include!", "include_proto!", "include_file_descriptor_set!"])
            .is_empty()
    };
    let found: Vec<String> = sources(&["src", "crates"])
        .iter()
        .filter(includes)
        .map(|source| source.path.clone())
        .collect();
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(
        found,
        [
            "crates/store/src/record/proto.rs",
            "src/api/booking/proto.rs"
        ]
        .into(),
        "generated code comes in at one place for the contract and one for the records"
    );
}

#[test]
fn words_are_found_whole_and_outside_of_comments() {
    let source = Source {
        path: "src/a.rs".into(),
        text: "use std::fs; // tonic\nlet fs_status = BookingStatus;".into(),
    };
    for (word, expected) in [
        ("std::fs", 1),
        ("fs", 1),
        ("tonic", 0),
        ("Status", 0),
        ("fs_status", 1),
        ("std", 1),
        ("st", 0),
    ] {
        assert_eq!(source.uses(&[word]).len(), expected, "{word}");
    }
    assert!(source.is_of("src/a") && !source.is_of("src/ab") && !source.is_of("src/a.r"));
}
