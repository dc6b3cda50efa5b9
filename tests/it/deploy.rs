//! What `deploy/` says agrees with the server that it deploys.

use std::{fs, path::Path, time::Duration};

use boxoffice::{config::Config, wire::proto::v3::booking_service_server::SERVICE_NAME};

use crate::process::Program;

fn deployed(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)).unwrap()
}

/// The number that follows these words in a file, each after the one before.
fn number(file: &str, words: &[&str]) -> u64 {
    let text = deployed(file);
    let after = |text, word: &&str| {
        let found = str::split_once(text, word);
        found.unwrap_or_else(|| panic!("{file} does not say {words:?}")).1
    };
    let rest = words.iter().fold(&text[..], after);
    let digits = rest.trim_start().chars().take_while(char::is_ascii_digit);
    digits.collect::<String>().parse().unwrap()
}

fn seconds(file: &str, words: &[&str]) -> Duration {
    Duration::from_secs(number(file, words))
}

#[test]
fn whoever_stops_the_server_gives_it_the_time_to_end_well() {
    let shutdown = Config::default().shutdown;
    let drain = shutdown.drain_delay + shutdown.drain_timeout;
    let by_systemd = seconds("boxoffice.service", &["\nTimeoutStopSec="]);
    assert!(by_systemd > drain, "{by_systemd:?} {drain:?}");
    let pre_stop = seconds("kubernetes.yaml", &["preStop:", "sleep:", "seconds:"]);
    let by_kubernetes = seconds("kubernetes.yaml", &["terminationGracePeriodSeconds:"]);
    assert!(by_kubernetes > pre_stop + drain, "{by_kubernetes:?} {pre_stop:?} {drain:?}");
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
    for (file, key) in [("envoy.yaml", "service_name:"), ("kubernetes.yaml", "service:")] {
        let probe = format!("{key} {SERVICE_NAME}\n");
        assert!(deployed(file).contains(&probe), "{file} does not say {probe:?}");
    }
}

#[tokio::test]
async fn a_server_starts_with_the_settings_that_are_shipped() {
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/boxoffice.toml");
    let server = Program::new().args([Path::new("--config"), &settings]).start().await;
    assert_eq!(server.stop().await.code(), 0);
}
