//! The layering that Cargo cannot check, and other rules of the source code.
//!
//! What one package may name of another is decided by its manifest. Within the root package modules are
//! layers; what each of them names is read by a parser ([`paths`]).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

mod paths;

use paths::NamedPath;

/// Lines that a file may have; tests may have more.
const MAX_LINES: usize = 800;

/// A source file of the program.
struct Source {
    /// From the root of the repository.
    path: String,
    text: String,
    /// Empty for tests.
    paths: Vec<NamedPath>,
}

impl Source {
    fn read(path: String, text: String) -> Self {
        let module = module_of(&path);
        let paths = if is_test(&path) {
            Vec::new()
        } else {
            paths::named_paths(&module, &text)
        };
        Self { path, text, paths }
    }

    /// Whether it belongs to a module, given by its path without an ending.
    fn is_of(&self, module: &str) -> bool {
        let rest = self.path.strip_prefix(module);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// Where it names something of these.
    fn naming(&self, prefixes: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for named in self.paths.iter().map(without_reexports) {
            if prefixes.iter().any(|prefix| named.is_of(prefix)) {
                let (path, line) = (&self.path, named.line);
                found.push(format!("{path}:{line}: {}", named.segments.join("::")));
            }
        }
        found
    }
}

/// The modules from the root of the package to a file.
fn module_of(path: &str) -> Vec<&str> {
    let (_, within) = path.rsplit_once("src/").unwrap_or(("", path));
    let modules = within.trim_end_matches(".rs").split('/');
    modules
        .filter(|name| !["lib", "main", "mod"].contains(name))
        .collect()
}

fn is_test(path: &str) -> bool {
    path.starts_with("crates/testkit/")
        || path.ends_with("/fixtures.rs")
        || path.ends_with("/tests.rs")
        || path.contains("/tests/")
}

/// The library of the root package re-exports packages under these names.
const REEXPORTS: [&str; 8] = [
    "catalog",
    "domain",
    "inventory",
    "kernel",
    "lifecycle_files",
    "orders",
    "payments",
    "store",
];

/// The same path by the package's own name.
fn without_reexports(named: &NamedPath) -> NamedPath {
    match named.segments.as_slice() {
        [first, path @ ..]
            if first == "crate"
                && path
                    .first()
                    .is_some_and(|name| REEXPORTS.contains(&&**name)) =>
        {
            NamedPath {
                line: named.line,
                segments: path.to_vec(),
            }
        }
        _ => named.clone(),
    }
}

static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| read_sources(&["src", "crates"]));

/// Every Rust file in these folders.
fn read_sources(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in folders {
        collect(&root.join(folder), &mut files);
    }
    assert!(files.len() > 10, "these are not all of the sources");
    let source = |file: PathBuf| {
        let path = file
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        Source::read(path, fs::read_to_string(&file).unwrap())
    };
    files.into_iter().map(source).collect()
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

/// The packages of the workspace that each one may use. A new edge is a decision: it belongs here, in
/// the manifest, and in the map of ARCHITECTURE.md.
const PACKAGES: [(&str, &[&str]); 10] = [
    ("types", &[]),
    ("testkit", &[]),
    ("kernel", &["types"]),
    ("domain", &["types"]),
    ("catalog", &["domain", "kernel", "types"]),
    ("lifecycle_files", &["domain", "kernel"]),
    ("inventory", &["domain", "kernel", "testkit", "types"]),
    ("store", &["domain", "kernel", "testkit", "types"]),
    ("payments", &["domain", "kernel", "types"]),
    (
        "orders",
        &[
            "catalog",
            "domain",
            "inventory",
            "kernel",
            "lifecycle_files",
            "payments",
            "store",
            "types",
        ],
    ),
];

#[test]
fn packages_use_the_packages_below_them() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let there = fs::read_dir(&crates)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let there: BTreeSet<String> = there.map(|name| name.into_string().unwrap()).collect();
    let known: BTreeSet<String> = PACKAGES
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(there, known, "packages in crates/");
    for (package, allowed) in PACKAGES {
        let manifest = fs::read_to_string(crates.join(package).join("Cargo.toml")).unwrap();
        for name in dependencies(&manifest) {
            let is_ours = known.contains(name);
            assert!(!is_ours || allowed.contains(&name), "{package} uses {name}");
        }
    }
}

/// The names in the table `dependencies` of a manifest.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let (_, after) = manifest
        .split_once("\n[dependencies]\n")
        .unwrap_or_default();
    let table = after.split("\n[").next().unwrap_or_default();
    table
        .lines()
        .map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default())
}

#[test]
fn dependencies_are_read_from_a_manifest() {
    let manifest = "[package]\nname = \"x\"\n\n[dependencies]\ndomain.workspace = true\n# Why.\n\
        testkit = { workspace = true, optional = true }\n\n[dev-dependencies]\nstore.workspace = true\n";
    let found: Vec<&str> = dependencies(manifest).filter(|name| *name != "#").collect();
    assert_eq!(found, ["domain", "testkit"]);
}

/// Groups of what modules may not name.
const TRANSPORTS: &[&str] = &["tonic", "axum", "http", "hyper", "tower", "prost"];
const SYSTEM: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::time",
    "std::env",
    "SystemTime",
    "Instant",
];
/// Everything behind the use cases, without the rules and with them.
const BEHIND_RULES: &[&str] = &["store", "payments", "inventory", "catalog"];
const INNER: &[&str] = &["domain", "store", "payments", "inventory", "catalog"];
/// What puts the program together.
const COMPOSITION: &[&str] = &["crate::server", "crate::cli"];
const IMPLEMENTATIONS: &[&str] = &["LogStore", "MemoryStore", "SimulatedGateway", "SystemClock"];

/// What the modules may not name.
const RULES: [(&str, &[&[&str]]); 11] = [
    ("crates/domain/src", &[SYSTEM]),
    ("crates/inventory/src", &[SYSTEM]),
    ("src/net", &[INNER, COMPOSITION, &["orders", "crate::api"]]),
    (
        "src/config",
        &[
            INNER,
            COMPOSITION,
            &["crate::api", "tonic", "prost", "tokio"],
        ],
    ),
    ("src/api", &[COMPOSITION]),
    (
        "src/api/auth",
        &[TRANSPORTS, BEHIND_RULES, &["orders", "rustls"]],
    ),
    (
        "src/api/auth",
        &[&["crate::api::booking", "crate::api::dispatch"]],
    ),
    ("src/api/dispatch", &[TRANSPORTS, BEHIND_RULES]),
    (
        "src/api/booking",
        &[&["store::record", "payments", "inventory", "catalog"]],
    ),
    ("src/api/booking/grpc", &[INNER]),
    ("src/api/booking/rest", &[INNER]),
];

#[test]
fn modules_name_nothing_of_other_layers() {
    let mut found = Vec::new();
    for (module, forbidden) in RULES {
        let mut of_module = SOURCES
            .iter()
            .filter(|source| source.is_of(module))
            .peekable();
        assert!(of_module.peek().is_some(), "there is no {module}");
        for source in of_module {
            found.extend(source.naming(&forbidden.concat()));
        }
    }
    nothing(&found, "modules that name something of another layer");
}

#[test]
fn forbidden_names_are_found_in_any_form() {
    for (text, is_found) in [
        ("use crate::{audit, store::{Store, embedded}};", true),
        ("use store as orders_store;", true),
        ("fn f() { crate::orders::App::open(); }", true),
        ("use std::{fmt, time::{self, Duration}};", true),
        ("fn now() -> Moment { clock::Instant::now() }", true),
        ("use crate::storefront; // crate::store", false),
        ("#[cfg(test)] mod tests { use store::Store; }", false),
    ] {
        let source = Source::read("src/net/listener.rs".into(), text.into());
        let found = source.naming(&["store", "orders", "std::time", "Instant"]);
        assert_eq!(!found.is_empty(), is_found, "{text}: {found:?}");
    }
    let source = Source::read("src/net.rs".into(), String::new());
    assert!(source.is_of("src/net") && !source.is_of("src/ne"));
}

/// The files that name something of these.
fn files_naming(prefixes: &[&str]) -> BTreeSet<&'static str> {
    // Compiled for tests only; their randomness is that of a seed.
    let for_tests = [
        "crates/store/src/conformance",
        "crates/store/src/log/disk/simulated",
        "crates/store/src/log/fact/random_log",
        "crates/store/src/log/simulated_store",
    ];
    let naming = SOURCES
        .iter()
        .filter(|source| !for_tests.iter().any(|module| source.is_of(module)))
        .filter(|source| !source.naming(prefixes).is_empty());
    naming.map(|source| source.path.as_str()).collect()
}

#[test]
fn implementations_are_chosen_by_the_server_only() {
    let at_home = [
        "src/server",
        "crates/store/src/log",
        "crates/store/src/memory",
        "crates/payments/src/simulated",
        "crates/kernel/src/clock",
        // A benchmark puts a program together, too.
        "crates/orders/benches",
        "crates/store/benches",
    ];
    let mut found = Vec::new();
    for source in SOURCES.iter() {
        if !at_home.iter().any(|module| source.is_of(module)) {
            found.extend(source.naming(IMPLEMENTATIONS));
        }
    }
    nothing(
        &found,
        "implementations that are named outside of src/server",
    );
}

#[test]
fn decimals_clocks_and_randomness_have_few_places() {
    for (prefix, expected) in [
        (
            "rust_decimal",
            &[
                "crates/catalog/src/rules/deals.rs",
                "crates/domain/src/catalog.rs",
                "crates/domain/src/money.rs",
            ][..],
        ),
        ("SystemTime", &["crates/kernel/src/clock.rs"]),
        (
            "getrandom",
            &[
                "crates/store/src/log/recovery.rs",
                "src/api/auth/passwords.rs",
                // Request ids of the command line.
                "src/cli/operator/changes.rs",
            ],
        ),
        (
            "fastrand",
            &[
                "crates/kernel/src/request.rs",
                // The jitter of retries; seeded by the server, and by tests.
                "crates/orders/src/steps.rs",
                "crates/orders/src/steps/policy.rs",
                "src/net/connection.rs",
                // The seed of that jitter.
                "src/server/background.rs",
            ],
        ),
        (
            "std::env",
            &[
                // A benchmark reads its command line.
                "crates/store/benches/start.rs",
                "src/config.rs",
                "src/main.rs",
            ],
        ),
    ] {
        let expected: BTreeSet<&str> = expected.iter().copied().collect();
        assert_eq!(
            files_naming(&[prefix]),
            expected,
            "files that name {prefix}"
        );
    }
}

#[test]
fn every_file_begins_with_its_purpose() {
    let mut silent = Vec::new();
    for source in &read_sources(&["src", "crates", "tests", "benches", "tools", "fuzz"]) {
        let is_unit_test = source.path.ends_with("/tests.rs")
            || source.path.contains("src/tests/")
            || source.path.contains("/tests/") && source.path.starts_with("crates/");
        let begins_well = ["//! ", "#![doc = "]
            .iter()
            .any(|it| source.text.starts_with(it));
        if !is_unit_test && !begins_well {
            silent.push(source.path.clone());
        }
    }
    nothing(&silent, "files without a first line on their purpose");
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here so that this file does not find itself.
    let notes = ["TODO", "FIXME", "HACK"].map(|note| format!("{note}:"));
    let mut found = Vec::new();
    for source in &read_sources(&["src", "crates", "tests", "benches", "tools", "fuzz"]) {
        for line in source.text.lines() {
            if notes.iter().any(|note| line.contains(note)) {
                found.push(format!("{}: {}", source.path, line.trim()));
            }
        }
    }
    nothing(&found, "notes on what is not done");
}

#[test]
fn files_are_short() {
    let long = |source: &&Source| !is_test(&source.path) && source.text.lines().count() > MAX_LINES;
    let found: Vec<_> = SOURCES
        .iter()
        .filter(long)
        .map(|source| source.path.clone())
        .collect();
    nothing(&found, &format!("files of more than {MAX_LINES} lines"));
}

#[test]
fn generated_code_is_included_and_not_committed() {
    const MARKS: [&str; 4] = [
        "@generated",
        "::prost::Message)]",
        "::prost::Enumeration)]",
        "rustfmt::skip",
    ];
    let is_generated = |source: &&Source| MARKS.iter().any(|mark| source.text.contains(mark));
    let found = SOURCES.iter().filter(is_generated);
    let found: Vec<_> = found.map(|source| source.path.clone()).collect();
    nothing(&found, "generated code among the sources");
    let including = files_naming(&[
        "include!",
        "tonic::include_proto!",
        "tonic::include_file_descriptor_set!",
    ]);
    let expected = [
        "crates/store/src/record/proto.rs",
        "src/api/booking/proto.rs",
        "src/api/operator/proto.rs",
        "src/api/operator/query.rs",
    ];
    assert_eq!(
        including,
        expected.into(),
        "files that include generated code"
    );
}
