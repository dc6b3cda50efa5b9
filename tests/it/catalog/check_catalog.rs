//! `boxoffice check-catalog` as people and scripts run it.

use std::{fs, path::Path};

use boxoffice::kernel::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Item, Setup, config,
    process::{Ended, run},
    sample_catalog,
};

const DAY: i64 = 86_400;
const HOUR: i64 = 3600;

/// A day that is some days ahead by the clock of this machine, at 0:00 UTC.
fn midnight() -> i64 {
    (SystemClock.now_sec().get().div_euclid(DAY) + 3) * DAY
}

/// The date of that day.
fn date() -> String {
    jiff::Timestamp::from_second(midnight())
        .unwrap()
        .strftime("%Y-%m-%d")
        .to_string()
}

/// A catalogue of a harbour with a tour, a lunch with the tour's guide, and a night tour.
struct Harbour(TempDir);

impl Harbour {
    fn new() -> Self {
        let harbour = Self(TempDir::new().unwrap());
        harbour.write(
            "merchants.json",
            &json!({"merchant": [{"merchant_id": "harbour"}]}),
        );
        harbour.write("services.json", &json!({"service": [tour(), lunch()]}));
        harbour.open(&[
            entry("tour", 10, 8),
            entry("tour", 12, 0),
            entry("lunch", 12, 2),
        ]);
        harbour
    }

    fn open(&self, entries: &[Value]) {
        self.write(
            "availability.json",
            &json!({"service_availability": [{"availability": entries}]}),
        );
    }

    fn write(&self, name: &str, content: &Value) {
        fs::write(self.path().join(name), content.to_string()).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs the check of this folder with further words.
    async fn check(&self, words: &[&str]) -> Ended {
        run(&[&["check-catalog", self.path().to_str().unwrap()], words].concat()).await
    }

    /// What the check says to programs.
    async fn json(&self, words: &[&str]) -> (i32, Value) {
        parsed(&self.check(&[&["--format", "json"], words].concat()).await)
    }
}

fn parsed(ended: &Ended) -> (i32, Value) {
    let value = serde_json::from_str(&ended.text())
        .unwrap_or_else(|error| panic!("{error}: {}", ended.text()));
    (ended.code(), value)
}

fn price(dollars: i64) -> Value {
    json!({"price_micros": dollars * 1_000_000, "currency_code": "USD"})
}

fn tour() -> Value {
    json!({
        "merchant_id": "harbour", "service_id": "tour", "localized_service_name": {"value": "Harbour tour"},
        "ticket_type": [
            {"ticket_type_id": "adult", "price": price(30)},
            {"ticket_type_id": "child", "price": price(12)},
        ],
    })
}

fn lunch() -> Value {
    json!({"merchant_id": "harbour", "service_id": "lunch", "name": "Lunch", "price": price(45)})
}

fn entry(service: &str, hour: i64, spots: i64) -> Value {
    json!({
        "merchant_id": "harbour", "service_id": service, "start_sec": midnight() + hour * HOUR,
        "duration_sec": HOUR, "spots_total": 10, "spots_open": spots,
    })
}

/// The codes of the warnings, without doubles.
fn codes(report: &Value) -> Vec<&str> {
    let list = report["warnings"]["list"].as_array().unwrap();
    let mut codes: Vec<&str> = list
        .iter()
        .map(|warning| warning["code"].as_str().unwrap())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

#[tokio::test]
async fn a_right_catalogue_is_summed_up() {
    let ended = Harbour::new().check(&[]).await;
    let day = date();
    let expected = format!(
        "1 merchant, 2 services, 2 ticket types, 3 entries of availability\n\
         3 slots from {day} to {day} (UTC), past ones not counted\n\
         \n\
         merchant  service  slots  first       last        prices\n\
         harbour   tour         2  {day}  {day}  adult 30.00 USD, child 12.00 USD\n\
         harbour   lunch        1  {day}  {day}  45.00 USD"
    );
    assert_eq!((ended.code(), ended.text()), (0, expected));
}

#[tokio::test]
async fn the_sample_catalogue_passes_strictly() {
    let ended = run(&[
        "check-catalog",
        "--strict",
        sample_catalog().to_str().unwrap(),
    ])
    .await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
}

#[tokio::test]
async fn warnings_are_errors_only_if_that_is_asked_for() {
    let harbour = Harbour::new();
    fs::write(harbour.path().join("rule.toml"), "").unwrap();
    fs::write(harbour.path().join("notes.txt"), "").unwrap();
    let ended = harbour.check(&[]).await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    for expected in [
        "warning[unread_file]: rule.toml: is not read; did you mean \"rules.toml\"?",
        "not read: notes.txt, rule.toml",
        "1 warning",
        "3 slots from",
    ] {
        assert!(
            ended.text().contains(expected),
            "{expected:?} is not in {}",
            ended.text()
        );
    }
    let ended = harbour.check(&["--strict"]).await;
    assert_eq!(ended.code(), 65, "{}", ended.text());
    assert!(
        ended
            .text()
            .contains("1 warning, --strict takes warnings for errors"),
        "{}",
        ended.text()
    );
    assert!(!ended.text().contains("slots from"), "{}", ended.text());
}

#[tokio::test]
async fn every_questionable_catalogue_has_its_warning() {
    let past = |mut entry: Value| {
        entry["start_sec"] = json!(midnight() - 30 * DAY);
        entry
    };
    let far = |mut entry: Value| {
        entry["start_sec"] = json!(midnight() + 9 * 365 * DAY);
        entry
    };
    let early = json!({"min_advance_booking": 20 * DAY});
    let with = |mut service: Value, name: &str, value: Value| {
        service[name] = value;
        service
    };
    let pool = |mut entry: Value, tickets: &[&str]| {
        entry["ticket_type_id"] = json!(tickets);
        entry
    };
    let rules = |text: &str| format!("[[service]]\nmerchant = 'harbour'\nid = 'tour'\n{text}");
    let (open, lunch_open) = (entry("tour", 10, 8), entry("lunch", 12, 2));
    for (services, entries, rules, expected) in [
        (vec![tour()], vec![open.clone()], String::new(), &[][..]),
        (vec![tour(), lunch()], vec![open.clone()], String::new(), &["service_without_availability"]),
        (vec![tour()], vec![past(open.clone())], String::new(), &["availability_past"]),
        (vec![tour(), lunch()], vec![past(open.clone()), lunch_open], String::new(), &["availability_past"]),
        (vec![tour()], vec![entry("tour", 10, 0)], String::new(), &["no_spots"]),
        (vec![with(tour(), "rules", early)], vec![open.clone()], String::new(), &["booking_closed"]),
        (vec![tour()], vec![open.clone(), far(open.clone())], String::new(), &["far_ahead"]),
        (vec![tour()], vec![pool(open.clone(), &["adult"])], String::new(), &["ticket_without_spots"]),
        (
            vec![tour()],
            vec![pool(open.clone(), &["child"])],
            rules("[[service.child]]\ntickets = ['child']\nadults = ['adult']"),
            &["ticket_without_spots", "unsellable_ticket"],
        ),
        (
            vec![tour()],
            vec![open.clone()],
            rules(
                "[service.limits]\nmin = 1\nmax = 1\n[[service.child]]\ntickets = ['child']\nadults = ['adult']",
            ),
            &["unsellable_ticket"],
        ),
        (vec![tour()], vec![open.clone()], rules("[service.limits]\nmin = 9"), &["min_above_spots"]),
        (
            vec![tour(), lunch()],
            vec![open.clone()],
            "[[merchant]]\nid = 'harbour'\n[[merchant.require]]\nservice = 'tour'\nany_of = ['lunch']"
                .to_owned(),
            &["service_without_availability", "unsellable_service"],
        ),
        (vec![], vec![], String::new(), &["merchant_without_services", "no_services"]),
    ] {
        let harbour = Harbour::new();
        harbour.write("services.json", &json!({"service": services}));
        harbour.open(&entries);
        if !rules.is_empty() {
            fs::write(harbour.path().join("rules.toml"), &rules).unwrap();
        }
        let (code, report) = harbour.json(&[]).await;
        assert_eq!((code, codes(&report)), (0, expected.to_vec()), "{entries:?} {rules}: {report:#}");
    }
}

#[tokio::test]
async fn a_million_entries_with_one_habit_give_a_few_lines() {
    let harbour = Harbour::new();
    let odd = |at: i64| {
        let mut entry = entry("tour", at, 8);
        let late = entry["start_sec"].as_i64().unwrap() + 1 + at;
        entry["scheduling_rule_overrides"] = json!({"last_bookable_sec": late});
        entry
    };
    harbour.open(&(0..1000).map(odd).collect::<Vec<_>>());
    let (_, report) = harbour.json(&[]).await;
    assert_eq!(report["warnings"]["total"], 1001, "and the lunch has none");
    assert_eq!(report["warnings"]["list"].as_array().unwrap().len(), 51);
    assert_eq!(
        report["warnings"]["unlisted"],
        json!({"late_last_bookable": 950})
    );
    let ended = harbour.check(&[]).await;
    assert!(
        ended
            .text()
            .contains("warning[late_last_bookable]: and 950 more"),
        "{}",
        ended.text()
    );
}

#[tokio::test]
async fn errors_end_with_their_number_and_what_follows_from_them() {
    let harbour = Harbour::new();
    harbour.write(
        "merchants.json",
        &json!({"merchant": [{"merchant_id": "harbor"}]}),
    );
    let ended = harbour.check(&[]).await;
    assert_eq!(ended.code(), 65);
    assert_eq!(
        ended.lines,
        [
            "error[unknown_merchant]: services.json: service[0].merchant_id: merchant \"harbour\" is not in the \
             merchant feed (and 4 more places)",
            "1 error at 5 places",
        ]
    );
    let (code, report) = harbour.json(&[]).await;
    assert_eq!(code, 65);
    assert_eq!(
        (&report["format"], &report["ok"], &report["summary"]),
        (&json!(2), &json!(false), &Value::Null)
    );
    assert_eq!(
        report["errors"],
        json!({
            "total": 1,
            "places": 5,
            "list": [{
                "code": "unknown_merchant", "file": "services.json", "line": null, "column": null,
                "path": "service[0].merchant_id", "more_places": 4,
                "text": "merchant \"harbour\" is not in the merchant feed",
            }],
            "unlisted": {},
        })
    );
}

#[tokio::test]
async fn the_calendar_of_a_day_is_printed_in_its_time_zone() {
    let harbour = Harbour::new();
    let mut children = entry("tour", 11, 3);
    children["ticket_type_id"] = json!(["child"]);
    let mut adults = entry("tour", 11, 4);
    adults["ticket_type_id"] = json!(["adult"]);
    harbour.open(&[
        entry("tour", 10, 8),
        entry("tour", 12, 0),
        children,
        adults,
        entry("tour", 20, 5),
    ]);
    let ended = harbour
        .check(&["--show", &date(), "--zone", "Asia/Kathmandu"])
        .await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    let text = ended.text();
    let (_, calendar) = text
        .split_once("Calendar of ")
        .unwrap_or_else(|| panic!("{text}"));
    let day = date();
    let expected = format!(
        "{day} (Asia/Kathmandu), as the files have it, without sales\n\
         \n\
         harbour/tour  Harbour tour: 3 slots\n\
         \x20 time         left  of  state     prices\n\
         \x20 15:45-16:45     8  10  open      adult 30.00 USD, child 12.00 USD\n\
         \x20 16:45-17:45     7  20  open      adult 30.00 USD (4 left), child 12.00 USD (3 left)\n\
         \x20 17:45-18:45     0  10  sold out  adult 30.00 USD, child 12.00 USD\n\
         \n\
         harbour/lunch  Lunch: no slot"
    );
    assert_eq!(calendar, expected);
    let (code, report) = harbour
        .json(&["--show", &date(), "--zone", "Asia/Kathmandu"])
        .await;
    let calendar = &report["calendar"];
    assert_eq!(
        (code, &calendar["zone"], &calendar["counts_sales"]),
        (0, &json!("Asia/Kathmandu"), &json!(false))
    );
    assert_eq!(
        calendar["services"][0]["slots"][1],
        json!({
            "start": format!("{day}T16:45:00+05:45"), "start_sec": midnight() + 11 * HOUR, "duration_sec": HOUR,
            "status": "open", "spots_left": 7, "spots_total": 20,
            "offers": [
                {"ticket_type_id": "adult", "price": price(30), "spots_left": 4},
                {"ticket_type_id": "child", "price": price(12), "spots_left": 3},
            ],
        })
    );
}

#[tokio::test]
async fn sales_are_subtracted_from_a_store_and_by_a_running_server() {
    let harbour = Harbour::new();
    let data = TempDir::new().unwrap();
    let mut config = config();
    config.serving.admin_listen = Some("127.0.0.1:0".parse().unwrap());
    let setup = Setup {
        config,
        catalog: harbour.path().into(),
        ..Setup::embedded(data.path())
    };
    setup.clock.set(SystemClock.now_sec());
    let server = setup.start().await;
    let mut item = Item::of("tour", 0, 0, HOUR)
        .tickets(&[("adult", 2)])
        .price("USD", 60_000_000);
    item.0.start_sec = midnight() + 10 * HOUR;
    assert!(
        server
            .create("token", "harbour", [item])
            .await
            .unwrap()
            .is_order()
    );
    let day = date();
    let left = |report: &Value| {
        let slot = &report["calendar"]["services"][0]["slots"][0];
        let spots = ["spots_left", "spots_total"].map(|name| slot[name].as_i64().unwrap());
        (spots, report["calendar"]["counts_sales"].clone())
    };
    let address = format!("http://{}", server.server.admin_address().unwrap());
    let asked = run(&[
        "check-catalog",
        "--from",
        &address,
        "--show",
        &day,
        "--format",
        "json",
    ])
    .await;
    let (code, report) = parsed(&asked);
    assert_eq!((code, left(&report)), (0, ([6, 10], json!(true))));
    let data_dir = data.path().to_str().unwrap();
    let in_use = harbour
        .check(&["--data-dir", data_dir, "--show", &day])
        .await;
    assert_eq!(in_use.code(), 74, "{}", in_use.text());
    assert!(
        in_use.text().contains("ask it: --from"),
        "{}",
        in_use.text()
    );
    server.stop().await;
    let (code, report) = harbour
        .json(&["--data-dir", data_dir, "--show", &day])
        .await;
    assert_eq!((code, left(&report)), (0, ([6, 10], json!(true))));
    let (code, report) = harbour.json(&["--show", &day]).await;
    assert_eq!((code, left(&report)), (0, ([8, 10], json!(false))));
    let gone = run(&["check-catalog", "--from", &address, "--show", &day]).await;
    assert_eq!(gone.code(), 69, "{}", gone.text());
}
