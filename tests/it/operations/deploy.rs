//! What `deploy/` says agrees with the server that it deploys.

use std::{fs, path::Path, time::Duration};

use boxoffice::{api::booking::proto::v3::booking_service_server::SERVICE_NAME, config::Config};

use crate::support::process::Program;

fn deployed(file: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy")
            .join(file),
    )
    .unwrap()
}

/// The number that follows these words in a file, each after the one before.
fn number(file: &str, words: &[&str]) -> u64 {
    let text = deployed(file);
    let after = |text, word: &&str| {
        let found = str::split_once(text, word);
        found
            .unwrap_or_else(|| panic!("{file} does not say {words:?}"))
            .1
    };
    let rest = words.iter().fold(&text[..], after);
    let digits = rest.trim_start().chars().take_while(char::is_ascii_digit);
    digits.collect::<String>().parse().unwrap()
}

fn seconds(file: &str, words: &[&str]) -> Duration {
    Duration::from_secs(number(file, words))
}

#[test]
fn service_managers_allow_the_whole_shutdown() {
    let shutdown = Config::default().shutdown;
    let drain = shutdown.drain_delay + shutdown.drain_timeout;
    let by_systemd = seconds("boxoffice.service", &["\nTimeoutStopSec="]);
    assert!(by_systemd > drain, "{by_systemd:?} {drain:?}");
    let pre_stop = seconds("kubernetes.yaml", &["preStop:", "sleep:", "seconds:"]);
    let by_kubernetes = seconds("kubernetes.yaml", &["terminationGracePeriodSeconds:"]);
    assert!(
        by_kubernetes > pre_stop + drain,
        "{by_kubernetes:?} {pre_stop:?} {drain:?}"
    );
}

#[test]
fn load_balancers_wait_for_the_answer_that_the_server_gives_when_its_time_is_up() {
    let call_timeout = Config::default().calls.call_timeout;
    for (file, words) in [
        ("envoy.yaml", &["HealthCheck)/?", "timeout:"][..]),
        ("envoy.yaml", &["prefix: / }", "timeout:"]),
        ("haproxy.cfg", &["timeout server "]),
    ] {
        let waits = seconds(file, words);
        assert!(waits > call_timeout, "{file} {words:?} {waits:?}");
    }
}

#[test]
fn there_are_files_to_open_for_every_connection() {
    let files = usize::try_from(number("boxoffice.service", &["\nLimitNOFILE="])).unwrap();
    assert!(files > Config::default().connections.max_connections);
}

#[test]
fn probes_ask_for_the_service_by_its_name() {
    for (file, key) in [
        ("envoy.yaml", "service_name:"),
        ("kubernetes.yaml", "service:"),
    ] {
        let probe = format!("{key} {SERVICE_NAME}\n");
        assert!(
            deployed(file).contains(&probe),
            "{file} does not say {probe:?}"
        );
    }
}

/// The pieces of the manifests, each with its kind, without comments and spaces at the ends.
fn manifests() -> Vec<(String, Vec<String>)> {
    let text = deployed("kubernetes.yaml");
    let lines = |piece: &str| {
        let lines = piece
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        lines
            .map(|line| line.trim_end().to_owned())
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
    };
    let pieces = text.split("\n---\n").map(lines);
    let kind = |lines: &[String]| {
        lines
            .iter()
            .find_map(|line| line.strip_prefix("kind: "))
            .unwrap()
            .to_owned()
    };
    pieces.map(|lines| (kind(&lines), lines)).collect()
}

/// The lines of the one manifest of a kind.
fn manifest(kind: &str) -> Vec<String> {
    let mut found = manifests()
        .into_iter()
        .filter(|(its_kind, _)| its_kind == kind);
    let (_, lines) = found.next().unwrap_or_else(|| panic!("there is no {kind}"));
    assert!(found.next().is_none(), "there are several of {kind}");
    lines
}

/// The lines below the first one that says this, as far as they are indented further.
fn below<'l>(lines: &'l [String], says: &str) -> &'l [String] {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let at = lines.iter().position(|line| line.trim_start() == says);
    let at = at.unwrap_or_else(|| panic!("no line says {says:?}: {lines:#?}"));
    let rest = &lines[at + 1..];
    let end = rest
        .iter()
        .position(|line| indent(line) <= indent(&lines[at]))
        .unwrap_or(rest.len());
    &rest[..end]
}

/// What follows a key.
fn value<'l>(lines: &'l [String], key: &str) -> &'l str {
    let found = lines
        .iter()
        .find_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix(key));
    let found = found.unwrap_or_else(|| panic!("{key} is missing: {lines:#?}"));
    found.trim().trim_matches('"')
}

#[test]
fn only_prometheus_is_annotated_and_allowed_to_reach_the_metrics() {
    let set = manifest("StatefulSet");
    let annotations = below(below(&set, "template:"), "annotations:");
    assert_eq!(value(annotations, "prometheus.io/scrape:"), "true");
    assert_eq!(value(annotations, "prometheus.io/path:"), "/metrics");
    let port = value(annotations, "prometheus.io/port:");
    // The annotated port is the port of the server and of the network policy.
    let env = below(&set, "- name: BOXOFFICE_ADMIN_LISTEN");
    assert_eq!(value(env, "value:").rsplit_once(':').unwrap().1, port);
    assert_eq!(value(below(&set, "- name: admin"), "containerPort:"), port);

    let policy = manifest("NetworkPolicy");
    let rules = below(&policy, "ingress:");
    let starts = (0..rules.len()).filter(|at| rules[*at].starts_with("    - "));
    let starts: Vec<_> = starts.chain([rules.len()]).collect();
    let rules: Vec<&[String]> = starts
        .windows(2)
        .map(|ends| &rules[ends[0]..ends[1]])
        .collect();
    let opening = |port: &str| {
        let says = format!("- port: {port}");
        rules
            .iter()
            .filter(|rule| rule.iter().any(|line| line.trim_start() == says))
            .collect::<Vec<_>>()
    };
    let (for_callers, for_operators) = (opening("grpc"), opening("admin"));
    assert_eq!(
        (for_callers.len(), for_operators.len(), rules.len()),
        (1, 1, 2),
        "{rules:#?}"
    );
    assert!(
        !for_callers[0].iter().any(|line| line.contains("from:")),
        "callers come from anywhere"
    );
    let from = below(for_operators[0], "- from:");
    let namespace = below(from, "- namespaceSelector:");
    assert_eq!(
        value(namespace, "kubernetes.io/metadata.name:"),
        "monitoring"
    );
    // Both in one element: that namespace *and* that pod, not either of them.
    let pods = from
        .iter()
        .position(|line| line.trim_start() == "podSelector:")
        .unwrap();
    assert_eq!(
        value(&from[pods..], "app.kubernetes.io/name:"),
        "prometheus"
    );
}

#[tokio::test]
async fn a_server_starts_with_the_settings_that_are_shipped() {
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/boxoffice.toml");
    let server = Program::new()
        .args([Path::new("--config"), &settings])
        .start()
        .await;
    assert_eq!(server.stop().await.code(), 0);
}
