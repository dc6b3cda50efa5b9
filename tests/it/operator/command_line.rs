//! The commands that ask the operator's services of a running server.

use std::path::Path;

use domain::time::EpochSeconds;
use serde_json::Value;

use super::stage::{Ordered, Stage};
use crate::support::{
    NOW, Setup,
    keys::{Keys, replace},
    process::{Ended, Program},
};

async fn ask(stage: &Stage, words: &[&str]) -> Ended {
    let server = format!("--server=http://{}", stage.address);
    Program::new().args(words).args([&*server]).run().await
}

/// The output of a command that succeeds.
async fn said(stage: &Stage, words: &[&str]) -> String {
    let ended = ask(stage, words).await;
    assert_eq!(ended.code(), 0, "{words:?}: {}", ended.text());
    ended.text()
}

#[tokio::test]
async fn orders_are_listed_in_the_time_zone_of_their_merchant() {
    let stage = Stage::start().await;
    let museum = stage.order("a", 0, Ordered::Museum).await;
    let hall = stage.order("b", 60, Ordered::Symphony).await;
    let listed = said(&stage, &["orders", "list", "--customer"]).await;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 3, "{listed}");
    assert!(lines[0].starts_with("Order "), "{listed}");
    for (line, parts) in [
        (
            lines[1],
            [
                &*hall,
                "2026-01-17 04:30 JST",
                "1 Balcony",
                "52.74 USD",
                "Ada Lovelace-b",
            ],
        ),
        (
            lines[2],
            [
                &*museum,
                "2026-01-16 10:00 UTC",
                "2 Adult",
                "50.00 USD",
                "Ada Lovelace-a",
            ],
        ),
    ] {
        for part in parts {
            assert!(line.contains(part), "{part}: {listed}");
        }
    }
    let json = said(&stage, &["orders", "list", "--json", "--merchant=museum"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["name"], format!("orders/{museum}"));
    let csv = said(&stage, &["orders", "list", "--csv", "--date=2026-01-17"]).await;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "order,created,visit,services,tickets,state,due");
    assert!(
        lines[1].starts_with(&format!("{hall},")) && lines.len() == 2,
        "{csv}"
    );
    let one = ask(&stage, &["orders", "list", "--limit=1"]).await;
    assert!(
        one.text()
            .contains("The limit of 1 is reached, and there are more"),
        "{}",
        one.text()
    );
    stage.stop().await;
}

#[tokio::test]
async fn an_order_is_shown_with_its_history() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Haircut).await;
    let shown = said(&stage, &["orders", "show", &id, "--customer"]).await;
    for part in [
        "Merchant   salon",
        "E-mail     Ada-a@example.com",
        "Haircut",
        "CONFIRMED",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let history = said(&stage, &["orders", "history", &id]).await;
    assert!(history.contains("created"), "{history}");
    assert!(
        history.contains("order: processing, items/0: confirmed"),
        "{history}"
    );
    stage.stop().await;
}

#[tokio::test]
async fn each_change_has_a_command() {
    let stage = Stage::start().await;
    let noted = stage.order("a", 0, Ordered::Museum).await;
    let withdrawn = stage.order("b", 1, Ordered::Museum).await;
    for (words, code, expected) in [
        (
            &["orders", "note", &*noted, "called back"][..],
            0,
            "processing",
        ),
        (&["orders", "history", &noted], 0, "called back"),
        (
            &["orders", "no-show", &noted, "--dry-run"],
            0,
            "Nothing has changed",
        ),
        (
            &["orders", "confirm", &noted],
            64,
            "waits for a decision of the merchant",
        ),
        (
            &["orders", "decline", &noted],
            64,
            "decision of the merchant",
        ),
        (&["orders", "amend", &noted], 64, "decision of its customer"),
        (
            &[
                "orders",
                "change-state",
                &noted,
                "fulfilled",
                "--part=items/0",
                "--dry-run",
            ],
            0,
            "fulfilled  CONFIRMED",
        ),
        (
            &["orders", "change-state", &noted, "completed", "--reason=x"],
            64,
            "cannot go from",
        ),
        (
            &[
                "orders",
                "change-state",
                &noted,
                "fulfilled",
                "--part=items/0",
                "--from=held",
            ],
            64,
            "is in state",
        ),
        (
            &["orders", "list", "--state=canceled"],
            64,
            "states are pending, ",
        ),
        (&["steps", "retry", &noted, "1"], 64, "no open step"),
        (
            &["steps", "abandon", &noted, "1", "--reason=x"],
            64,
            "no open step",
        ),
        (
            &["orders", "withdraw", &withdrawn, "--reason=flooded"],
            0,
            "customer_action_required",
        ),
        (
            &["orders", "customer-action", &withdrawn, "cancel"],
            0,
            "Order      ",
        ),
        (&["stats"], 0, "orders cancelled       1"),
    ] {
        let ended = ask(&stage, words).await;
        assert_eq!(ended.code(), code, "{words:?}: {}", ended.text());
        assert!(
            ended.text().contains(expected),
            "{words:?}: {}",
            ended.text()
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn slots_and_guests_are_listed() {
    let stage = Stage::start().await;
    stage.order("a", 0, Ordered::Museum).await;
    let words = [
        "slots",
        "list",
        "--merchant=museum",
        "--date=2026-01-16",
        "--service=museum-entry",
    ];
    let slots = said(&stage, &words).await;
    assert!(
        slots.contains("2026-01-16 10:00 UTC  museum-entry  Museum entry"),
        "{slots}"
    );
    let words = [
        "door-list",
        "--merchant=museum",
        "--service=museum-entry",
        "--start=2026-01-16T11:00:00+01:00",
    ];
    let guests = said(&stage, &words).await;
    assert!(
        guests.contains("Lovelace-a   Ada         2 Adult"),
        "{guests}"
    );
    stage.order("b", 1, Ordered::Museum).await;
    let lines = said(&stage, &[&words[..], &["--json-lines"]].concat()).await;
    let names: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["family_name"].clone())
        .collect();
    assert_eq!(names, ["Lovelace-a", "Lovelace-b"]);
    stage.stop().await;
}

#[tokio::test]
async fn a_login_comes_from_the_environment_or_a_file() {
    let keys = Keys::new();
    let config = keys.operator_config(&[("vera", "role = 'viewer'")]);
    let stage = Stage::start_with(Setup::with_config(config)).await;
    let server = format!("--server=http://{}", stage.address);
    let list = || Program::new().args(["orders", "list"]).args([&*server]);
    let with_variable = |value| list().env("BOXOFFICE_LOGIN", value);
    assert_eq!(with_variable("vera:vera").run().await.code(), 0);
    for (value, expected) in [
        ("vera:wrong", "invalid user name or password"),
        ("vera", "BOXOFFICE_LOGIN: expected `name:password`"),
    ] {
        let ended = with_variable(value).run().await;
        assert_eq!(ended.code(), 64, "{}", ended.text());
        assert!(ended.text().contains(expected), "{}", ended.text());
    }
    let file = keys.path("login");
    replace(&file, "vera:vera\n");
    let by_file = |path: &Path| list().args(["--login-file", path.to_str().unwrap()]);
    assert_eq!(by_file(&file).run().await.code(), 0);
    assert_eq!(by_file(&keys.path("missing")).run().await.code(), 64);
    let ended = list().run().await;
    assert_eq!(ended.code(), 64);
    assert!(
        ended.text().contains("credentials are missing"),
        "{}",
        ended.text()
    );
    stage.stop().await;
}

#[tokio::test]
async fn a_day_is_named_by_a_word_in_the_zone_of_its_merchant() {
    let stage = Stage::start().await;
    let museum = stage.order("a", 0, Ordered::Museum).await;
    // The day after tomorrow in Tokyo.
    let symphony = stage.order("b", 1, Ordered::Symphony).await;
    for (date, has_museum, has_symphony) in [
        ("today", false, false),
        ("tomorrow", true, false),
        ("2026-01-16", true, false),
        ("2026-01-17", false, true),
        ("yesterday", false, false),
    ] {
        let date = format!("--date={date}");
        let ended = ask(&stage, &["orders", "list", &date]).await;
        assert_eq!(ended.code(), 0, "{date}: {}", ended.text());
        let found = [&museum, &symphony].map(|id| ended.text().contains(&**id));
        assert_eq!(found, [has_museum, has_symphony], "{date}");
    }
    // When it is tomorrow in Tokyo and not in UTC.
    stage.server.clock.set(EpochSeconds::new(NOW + 10 * 3_600));
    let ended = ask(&stage, &["orders", "list", "--date=tomorrow"]).await;
    assert!(ended.text().contains(&symphony), "{}", ended.text());
    for (date, merchant, expected) in [
        ("tomorrow", "museum", "2026-01-16 10:00 UTC"),
        ("tomorrow", "concert-hall", "2026-01-17 04:30"),
    ] {
        let words = ["slots", "list", "--merchant", merchant, "--date", date];
        let ended = ask(&stage, &words).await;
        assert!(ended.text().contains(expected), "{date}: {}", ended.text());
    }
    stage.stop().await;
}

#[tokio::test]
async fn errors_have_exit_codes() {
    let stage = Stage::start().await;
    for (words, code, expected) in [
        (
            &["orders", "show", "nobody"][..],
            64,
            "there is no order \"nobody\"",
        ),
        (
            &["orders", "list", "--date=someday"],
            64,
            "expected a date like 2026-12-01, `today`, `tomorrow` or `yesterday`",
        ),
        (
            &["slots", "list", "--merchant=museum", "--date=16.1.2026"],
            64,
            "expected a date like 2026-12-01, `today`, `tomorrow` or `yesterday`",
        ),
        (
            &["slots", "list", "--merchant=museum", "--date=9999-12-31"],
            64,
            "expected a date from 1970-01-01 to 9999-12-29",
        ),
        (
            &["orders", "list", "--start=noon"],
            64,
            "expected a time like 2026-12-01T10:00:00+01:00",
        ),
        (
            &["slots", "list", "--merchant=nobody", "--date=2026-01-16"],
            64,
            "which is no merchant; merchants are concert-hall",
        ),
        (&["slots", "list"], 64, "--merchant <ID>"),
        (
            &["orders", "list", "--json", "--csv"],
            64,
            "cannot be used with",
        ),
        (
            &["--workers=3", "orders", "list"],
            64,
            "cannot be used with 'orders'",
        ),
    ] {
        let ended = ask(&stage, words).await;
        assert_eq!(ended.code(), code, "{words:?}: {}", ended.text());
        assert!(
            ended.text().contains(expected),
            "{words:?}: {}",
            ended.text()
        );
    }
    let address = stage.address;
    stage.stop().await;
    let server = format!("--server=http://{address}");
    let ended = Program::new().args(["orders", "list", &server]).run().await;
    assert_eq!(ended.code(), 69, "{}", ended.text());
    assert!(
        ended.text().contains("the server cannot be reached"),
        "{}",
        ended.text()
    );
    let words = ["orders", "list", "--server=https://127.0.0.1:1"];
    let ended = Program::new().args(words).run().await;
    assert_eq!(ended.code(), 64, "{}", ended.text());
}
