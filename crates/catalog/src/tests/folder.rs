//! Which files are read, and how they hang together.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use domain::{
    catalog::Service,
    slot::{Opening, PoolTickets},
};

use super::{FEEDS, Folder, Loaded};
use crate::{diagnostics::Diagnostic, load_after};

fn zipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// All that was loaded, but for what depends on the order of ticket types or of the availability.
fn digest(loaded: &Loaded) -> Vec<String> {
    let catalog = &loaded.catalog;
    let merchants = catalog
        .merchants()
        .iter()
        .map(|merchant| format!("{merchant:?}"));
    let services = catalog.services().map(|(_, service)| {
        let mut tickets = service.tickets.clone();
        tickets.sort_by_key(|ticket| ticket.ix);
        format!(
            "{:?}",
            Service {
                ticket_sets: Vec::new(),
                tickets,
                ..service.clone()
            }
        )
    });
    let openings = loaded.openings.iter().map(
        |Opening {
             first,
             pool,
             terms,
             recurrence,
             pass_through: _,
         }| {
            let tickets = match pool.tickets {
                PoolTickets::All => None,
                PoolTickets::Set(set) => {
                    Some(&catalog.service(first.service).ticket_sets[usize::from(set)])
                }
            };
            format!(
                "{first:?} {tickets:?} {} {terms:?} {recurrence:?}",
                pool.allotment
            )
        },
    );
    let mut digest: Vec<String> = merchants.chain(services).chain(openings).collect();
    digest.sort();
    digest
}

impl Folder {
    /// Deals the availability out to three zipped files.
    fn split(&self) {
        let mut feed = self.json("availability.json");
        self.remove("availability.json");
        let entries = feed
            .pointer_mut("/service_availability/0/availability")
            .unwrap()
            .take();
        for shard in 0..3 {
            let entries: Vec<&Value> = entries
                .as_array()
                .unwrap()
                .iter()
                .skip(shard)
                .step_by(3)
                .collect();
            feed["metadata"]["shard_number"] = json!(shard);
            feed["metadata"]["total_shards"] = json!("3");
            feed["service_availability"] = json!([{"availability": []}, {"availability": entries}]);
            self.write(&shard_name(shard), zipped(&feed.to_string()));
        }
    }
}

fn shard_name(shard: usize) -> String {
    format!("availability-{shard:05}-of-00003.json.gz")
}

#[test]
fn a_feed_may_be_zipped_and_in_shards() {
    let folder = Folder::sample();
    let whole = digest(&folder.loaded());
    folder.split();
    for file in ["merchants.json", "services.json"] {
        folder.write(&format!("{file}.gz"), zipped(&folder.text(file)));
        folder.remove(file);
    }
    assert_eq!(digest(&folder.loaded()), whole);
}

#[test]
fn names_of_feed_files() {
    for (name, is_read) in [
        ("availability_0.json", true),
        ("availability.2024.json", true),
        ("availability-x.json", true),
        ("availability2.json", false),
        ("my-availability.json", false),
        ("availability.json.bak", false),
        ("Availability.json", false),
    ] {
        let folder = Folder::sample();
        let text = folder.text("availability.json");
        folder.remove("availability.json");
        folder.write(name, text);
        let found = folder.load().map_err(|errors| errors.to_string());
        assert_eq!(found.is_ok(), is_read, "{name}: {:?}", found.err());
    }
}

#[test]
fn unread_files_are_listed() {
    let folder = Folder::sample();
    for (name, _) in UNREAD {
        folder.write(name, "{}");
    }
    for passed_over in ["availability_1.filesetdesc.json", "export.json"] {
        folder.write(passed_over, "{}");
    }
    for directory in ["feeds", ".git", "..2026_11_28"] {
        std::fs::create_dir(folder.path(directory)).unwrap();
    }
    let loaded = folder.loaded();
    let mut expected: Vec<&str> = UNREAD
        .iter()
        .map(|(name, _)| *name)
        .chain(["feeds/"])
        .collect();
    expected.sort_unstable();
    assert_eq!(loaded.unread, expected);
    let warnings = loaded.warnings.list().iter().map(Diagnostic::message);
    let warnings: Vec<String> = warnings.collect();
    let mut expected: Vec<String> = UNREAD
        .iter()
        .filter(|(_, reason)| !reason.is_empty())
        .map(|(name, reason)| format!("{name}: is not read; {reason}"))
        .collect();
    expected.sort();
    assert_eq!(warnings, expected);
    assert!(
        loaded
            .warnings
            .list()
            .iter()
            .all(|warning| warning.code == "unread_file")
    );
}

/// Files that are not read, and what is said of them beside their names.
const UNREAD: &[(&str, &str)] = &[
    ("rule.toml", "did you mean \"rules.toml\"?"),
    ("Availability.json", "did you mean \"availability.json\"?"),
    (
        "availability12.json",
        "did you mean \"availability-12.json\"?",
    ),
    ("merchant.json", "did you mean \"merchants.json\"?"),
    (
        "inventory.json",
        "its name is that of no feed and not \"rules.toml\"",
    ),
    ("README.md", ""),
    (".hidden", ""),
];

#[test]
fn a_file_with_nearly_the_right_name_is_named_with_the_missing_one() {
    let folder = Folder::sample();
    std::fs::rename(folder.path("merchants.json"), folder.path("merchant.json")).unwrap();
    let expected =
        "merchants.json: is missing; there is \"merchant.json\", which is not read by that name";
    assert_eq!(folder.errors(), [expected]);
}

#[test]
fn files_that_are_not_regular_never_block_the_reader() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    for name in [
        "merchants.json",
        "availability.json",
        "availability-2.json.gz",
        "rules.toml",
    ] {
        let folder = Folder::sample();
        let _ = std::fs::remove_file(folder.path(name));
        mknodat(
            CWD,
            folder.path(name),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let expected =
            format!("{name}: cannot be read: it is a named pipe, and only regular files are read");
        let errors = folder.errors();
        assert!(errors.contains(&expected), "{errors:#?}");
    }
    let folder = Folder::sample();
    mknodat(
        CWD,
        folder.path("pipe"),
        FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    assert_eq!(folder.loaded().unread, ["pipe"]);
}

#[test]
fn shards_that_do_not_belong_together() {
    let metadata = |name: &str, value: Value| {
        let folder = Folder::sample();
        folder.split();
        let mut feed = folder.json_of_zipped(&shard_name(1));
        feed["metadata"][name] = value;
        folder.write(&shard_name(1), zipped(&feed.to_string()));
        folder.errors()
    };
    for (name, value, expected) in [
        (
            "nonce",
            json!("5"),
            "nonce: is 5, but 20240101 in availability-00000-of-00003.json.gz",
        ),
        (
            "generation_timestamp",
            json!(7),
            "generation_timestamp: is 7, but 1704067200 in availability-00000-of-00003.json.gz",
        ),
        (
            "total_shards",
            json!(4),
            "total_shards: is 4, but 3 in availability-00000-of-00003.json.gz",
        ),
        (
            "total_shards",
            json!(-1),
            "total_shards: expected 1 to 1000, found -1",
        ),
        (
            "shard_number",
            json!(3),
            "shard_number: expected 0 to 2, found 3",
        ),
        (
            "nonce",
            json!(-1),
            "nonce: expected a whole number of 64 bits, not below zero, found -1",
        ),
        (
            "processing_instruction",
            json!("PROCESS_AS_INCREMENTAL"),
            "processing_instruction: expected \"PROCESS_AS_COMPLETE\", found \"PROCESS_AS_INCREMENTAL\"",
        ),
    ] {
        let expected = format!("{}: metadata.{expected}", shard_name(1));
        assert_eq!(metadata(name, value), [expected]);
    }
    let first = format!("{}: metadata.", shard_name(0));
    let second = format!("{}: metadata.", shard_name(1));
    assert_eq!(
        metadata("shard_number", json!(0)),
        [
            format!("{second}shard_number: is 0, as in {}", shard_name(0)),
            format!("{first}total_shards: is 3, but there is no file with shard_number 1"),
        ]
    );
}

impl Folder {
    fn json_of_zipped(&self, file: &str) -> Value {
        let bytes = std::fs::read(self.path(file)).unwrap();
        serde_json::from_reader(flate2::read::GzDecoder::new(&bytes[..])).unwrap()
    }
}

#[test]
fn a_missing_shard_is_reported_and_what_it_may_have_held_is_not() {
    let folder = Folder::sample();
    folder.set("services.json", "/metadata/total_shards", json!(2));
    folder.set("services.json", "/service", json!([]));
    let expected =
        "services.json: metadata.total_shards: is 2, but there is no file with shard_number 1";
    assert_eq!(folder.errors(), [expected]);
}

#[test]
fn files_of_one_feed_need_metadata_and_a_single_file_does_not() {
    let folder = Folder::sample();
    for file in FEEDS {
        folder.set(file, "/metadata", Value::Null);
    }
    folder.loaded();
    folder.write("merchants-2.json", json!({"merchant": []}).to_string());
    let expected = "is missing; files of one feed are distinguished by their shard_number";
    let expected =
        ["merchants-2.json", "merchants.json"].map(|file| format!("{file}: metadata: {expected}"));
    assert_eq!(folder.errors(), expected);
}

#[test]
fn a_file_that_cannot_be_read_is_not_missed_for_its_metadata() {
    let folder = Folder::sample();
    std::os::unix::fs::symlink(folder.path("nowhere"), folder.path("services-2.json")).unwrap();
    folder.write("merchants-2.json", "{");
    let errors = folder.errors();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(
        errors[0].starts_with("merchants-2.json:1:1: "),
        "{errors:#?}"
    );
    assert!(
        errors[1].starts_with("services-2.json: cannot be read: "),
        "{errors:#?}"
    );
}

#[test]
fn missing_files() {
    let folder = Folder::sample();
    for file in FEEDS {
        folder.remove(file);
    }
    let expected = [
        "merchants.json: is missing",
        "services.json: is missing",
        "availability.json: is missing",
    ];
    assert_eq!(folder.errors(), expected);
    let nowhere = super::load(&folder.path("nowhere")).unwrap_err();
    assert_eq!(nowhere.list().len(), 1);
    assert!(
        nowhere.to_string().contains("nowhere: cannot be read: "),
        "{nowhere}"
    );
}

#[test]
fn without_rules_everything_is_sold_as_the_feeds_say() {
    let folder = Folder::sample();
    folder.remove("rules.toml");
    let loaded = folder.loaded();
    assert!(
        loaded
            .catalog
            .services()
            .all(|(_, service)| service.deals.is_empty())
    );
    assert!(
        loaded
            .openings
            .iter()
            .all(|opening| opening.terms.is_none())
    );
}

#[test]
fn broken_files_are_reported_with_their_line_and_hide_no_others() {
    let folder = Folder::sample();
    folder.replace(
        "merchants.json",
        "\"name\": \"Concert Hall\",",
        "\"name\": \"Concert Hall\"",
    );
    folder.replace(
        "rules.toml",
        "cart_hold_sec = 600",
        "cart_hold_sec = \nhold = }",
    );
    folder.set(
        "services.json",
        "/service/0/ticket_type/0/price/price_micros",
        json!(-1),
    );
    let errors = folder.errors();
    let places = [
        "merchants.json:47:7: ",
        "services.json: service[0].ticket_type[0].price.price_micros: ",
        "rules.toml:47:17: ",
        "rules.toml:48:8: ",
    ];
    assert_eq!(errors.len(), places.len(), "{errors:#?}");
    for (error, place) in errors.iter().zip(places) {
        assert!(error.starts_with(place), "{place}: {error}");
    }
    assert!(
        errors[0].ends_with("; this is not JSON, and the rest of the file was not read"),
        "{}",
        errors[0]
    );
    assert!(errors[2].ends_with("; this is not TOML"), "{}", errors[2]);
}

/// Lines and columns count from 1, also where the text ends before the first character.
#[test]
fn an_empty_feed_file_is_reported_at_its_beginning() {
    for (text, (line, column)) in [("", (1, 1)), ("\n", (2, 1)), ("{", (1, 1))] {
        let folder = Folder::sample();
        folder.write("merchants.json", text);
        let errors = folder.errors();
        assert!(
            errors[0].starts_with(&format!("merchants.json:{line}:{column}: ")),
            "{text:?}: {errors:?}"
        );
    }
}

#[test]
fn nothing_follows_the_feed_in_its_file() {
    let folder = Folder::sample();
    folder.write("merchants.json", folder.text("merchants.json") + "{}");
    let errors = folder.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("trailing characters"), "{}", errors[0]);
}

#[test]
fn a_file_cut_short_is_reported() {
    let folder = Folder::sample();
    let bytes = zipped(&folder.text("availability.json"));
    folder.remove("availability.json");
    folder.write("availability.json.gz", &bytes[..bytes.len() - 20]);
    let errors = folder.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].starts_with("availability.json.gz: "),
        "{}",
        errors[0]
    );
}

#[test]
fn the_list_of_a_feed_must_be_there() {
    for (file, value, expected) in [
        (
            "merchants.json",
            json!([]),
            "expected an object with the list \"merchant\", found a list",
        ),
        (
            "services.json",
            json!({"services": []}),
            "service: is missing; where there is nothing, write an empty list",
        ),
        (
            "services.json",
            json!({"service": {}}),
            "service: expected a list, found an object",
        ),
        (
            "availability.json",
            json!({"service_availability": [{}, 5]}),
            "service_availability[0].availability: is missing; where there is nothing, write an empty list",
        ),
    ] {
        let folder = Folder::sample();
        folder.write(file, value.to_string());
        let errors = folder.errors();
        assert!(
            errors.contains(&format!("{file}: {expected}")),
            "{errors:#?}"
        );
    }
}

#[test]
fn members_may_be_in_camel_case_and_unknown_ones_are_ignored() {
    let folder = Folder::sample();
    let plain = digest(&folder.loaded());
    for file in FEEDS {
        let json = in_camel_case(folder.json(file));
        folder.write(file, json.to_string());
    }
    assert!(folder.text("services.json").contains("\"ticketTypeId\""));
    assert_eq!(digest(&folder.loaded()), plain);
}

fn in_camel_case(json: Value) -> Value {
    match json {
        Value::Array(list) => list.into_iter().map(in_camel_case).collect(),
        Value::Object(members) => {
            let member = |(key, value): (String, Value)| {
                let mut words = key.split('_');
                let first = words.next().unwrap_or_default().to_owned();
                let key = words.fold(first, |key, word| {
                    key + &word[..1].to_uppercase() + &word[1..]
                });
                (key, in_camel_case(value))
            };
            let unknown = ("somethingNew".to_owned(), json!([{"deep": 1}]));
            members.into_iter().map(member).chain([unknown]).collect()
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

#[test]
fn a_member_given_twice_is_an_error_of_that_member() {
    let folder = Folder::sample();
    let price = r#"{ "price_micros": "95500000", "currency_code": "USD" }"#;
    let twice = r#"{ "price_micros": "95500000", "currency_code": "USD", "priceMicros": 1 }"#;
    folder.replace("services.json", price, twice);
    assert_eq!(
        folder.errors(),
        ["services.json: service[7].price.price_micros: is given twice"]
    );
}

#[test]
fn a_catalogue_in_place_of_another_keeps_its_indexes() {
    let folder = Folder::sample();
    let before = folder.loaded();
    let mut feed = folder.json("services.json");
    let services = feed["service"].as_array_mut().unwrap();
    services.reverse();
    for service in services {
        if let Some(tickets) = service["ticket_type"].as_array_mut() {
            tickets.reverse();
        }
    }
    folder.write("services.json", feed.to_string());
    let ids = before.catalog.ids().clone();
    let after = load_after(folder.0.path(), ids).unwrap();
    for (after, before) in digest(&after).iter().zip(&digest(&before)) {
        assert_eq!(after, before);
    }
    assert_ne!(
        digest(&folder.loaded()),
        digest(&before),
        "without the earlier ids they would be others"
    );
}
