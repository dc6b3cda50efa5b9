//! Settings and starts as those who run the program see them.

use std::{fs, net::TcpListener};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::{Program, run};

#[tokio::test]
async fn a_check_of_the_settings_tells_what_is_in_force_and_from_where() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("boxoffice.toml");
    fs::write(&file, "workers = 3\nmax_in_flight = 7\n").unwrap();
    let file = file.to_str().unwrap();
    let ended = run(&["check-config", "--config", file, "--max-in-flight", "9"]).await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    let text = ended.text();
    let row = |name: &str| {
        let row = text
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name));
        row.unwrap_or_else(|| panic!("{name} is not in {text}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(row("workers"), "workers 2 BOXOFFICE_WORKERS");
    assert_eq!(row("max_in_flight"), "max_in_flight 9 --max-in-flight");
    assert_eq!(row("passwords:"), "passwords: off");
    assert!(
        text.contains("other settings with their defaults (--all shows them)"),
        "{text}"
    );
    let all = run(&["check-config", "--all"]).await;
    assert!(
        all.text().contains("call_timeout") && all.text().contains("default"),
        "{}",
        all.text()
    );
}

#[tokio::test]
async fn a_check_of_the_settings_tells_all_that_is_wrong() {
    let dir = TempDir::new().unwrap();
    let settings = dir.path().join("boxoffice.toml");
    fs::write(&settings, "max_in_flight = 'many'\nlisten = 'here'\n").unwrap();
    let settings = settings.to_str().unwrap();
    let ended = run(&["check-config", "--config", settings]).await;
    assert_eq!(ended.code(), 64);
    for (position, setting) in [("1:1", "max_in_flight"), ("2:1", "listen")] {
        let expected = format!("error[wrong_value]: {settings}:{position}: {setting}: expected ");
        assert!(
            ended.text().contains(&expected),
            "{expected} is not in {}",
            ended.text()
        );
    }
    let credentials = dir.path().join("users.toml");
    fs::write(&credentials, "users.ada.passwords = ['secret']").unwrap();
    let credentials = credentials.to_str().unwrap();
    let nowhere = dir.path().join("nowhere");
    let words = [
        "check-config",
        "--credentials",
        credentials,
        "--catalog",
        nowhere.to_str().unwrap(),
        "--store=embedded",
        "--data-dir",
        credentials,
    ];
    let ended = run(&words).await;
    assert_eq!(ended.code(), 64);
    for expected in [
        "expected a hash as `boxoffice hash-password` prints it",
        "nowhere: cannot be read",
        "is not a directory",
    ] {
        assert!(
            ended.text().contains(expected),
            "{expected} is not in {}",
            ended.text()
        );
    }
    assert!(!ended.text().contains("secret"), "{}", ended.text());
}

#[tokio::test]
async fn a_start_says_what_has_started() {
    let mut program = Program::new().args(["--max-in-flight=77"]).start().await;
    let started = program
        .line("the summary", |line| line["message"] == "started")
        .await;
    let catalog = program
        .line("the catalogue", |line| {
            line["message"] == "catalogue activated"
        })
        .await;
    for (line, name, expected) in [
        (&started, "tls", "off"),
        (&started, "passwords", "off"),
        (&started, "store", "memory, gone with the process"),
        (&started, "version", boxoffice::VERSION),
    ] {
        assert_eq!(line[name], expected, "{line}");
    }
    let settings = started["settings"].as_str().unwrap();
    assert!(
        settings
            .split(' ')
            .any(|setting| setting == "max_in_flight=77"),
        "{settings}"
    );
    assert!(!settings.contains("call_timeout"), "{settings}");
    assert!(catalog["slots"].as_u64().unwrap() > 100, "{catalog}");
    assert!(
        catalog["first_day"].as_str() < catalog["last_day"].as_str(),
        "{catalog}"
    );
    program.stop().await;
}

#[tokio::test]
async fn an_address_in_use_is_an_error_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, setting) in [("--listen", "listen"), ("--admin-listen", "admin_listen")] {
        let ended = run(&[flag, &address]).await;
        assert_eq!(ended.code(), 69, "{}", ended.text());
        let expected = format!("{setting}: cannot listen on {address}: ");
        let is_it = |line: &Value| {
            line["error"]
                .as_str()
                .is_some_and(|error| error.starts_with(&expected))
        };
        assert!(ended.log().any(|line| is_it(&line)), "{}", ended.text());
    }
}

#[tokio::test]
async fn the_version_says_what_was_built() {
    let ended = run(&["--version"]).await;
    let expected = concat!("boxoffice ", env!("CARGO_PKG_VERSION"));
    assert!(ended.text().starts_with(expected), "{}", ended.text());
    assert_eq!(ended.text(), format!("boxoffice {}", boxoffice::VERSION));
}
