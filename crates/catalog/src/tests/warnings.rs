//! What is allowed and perhaps not meant, in entries of a small catalogue.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use super::Folder;
use crate::CatalogSummary;
use domain::time::{EpochSeconds, Seconds};
use kernel::diagnostics::Diagnostics;

/// The first start of everything here: 12:00 on 1 June 2026 UTC.
const START: i64 = 1_780_315_200;

const HOUR: i64 = 3600;

/// A folder of one service with tickets for adults, and these further members of service and entry.
fn folder(service: &Value, entry: &Value) -> Folder {
    let folder = Folder(tempfile::tempdir().unwrap());
    let mut sold = json!({
        "merchant_id": "m", "service_id": "s",
        "ticket_type": [{
            "ticket_type_id": "adult", "price": {"price_micros": 10_000_000, "currency_code": "USD"},
        }],
    });
    let mut open = json!({
        "merchant_id": "m", "service_id": "s", "start_sec": START, "duration_sec": HOUR, "spots_open": 5,
    });
    for (whole, further) in [(&mut sold, service), (&mut open, entry)] {
        whole
            .as_object_mut()
            .unwrap()
            .extend(further.as_object().unwrap().clone());
    }
    folder.write(
        "merchants.json",
        json!({"merchant": [{"merchant_id": "m"}]}).to_string(),
    );
    folder.write("services.json", json!({"service": [sold]}).to_string());
    let feed = json!({"service_availability": [{"availability": [open]}]});
    folder.write("availability.json", feed.to_string());
    folder
}

/// The warnings of a folder, each with its kind.
fn warnings(folder: &Folder) -> Vec<String> {
    let warnings = folder.loaded().warnings;
    let warnings = warnings.list().iter();
    warnings
        .map(|warning| format!("{}: {}", warning.code, warning.message()))
        .collect()
}

fn codes(warnings: &Diagnostics) -> Vec<&'static str> {
    warnings.list().iter().map(|warning| warning.code).collect()
}

/// What is said of an entry.
fn of_entry(kind: &str, at: &str, text: &str) -> String {
    format!("{kind}: availability.json: service_availability[0].availability[0].{at}: {text}")
}

fn repeated(every_sec: i64, except: &[(i64, i64)]) -> Value {
    let range =
        |&(begin, end): &(i64, i64)| json!({"time_range": {"begin_sec": begin, "end_sec": end}});
    json!({
        "recurrence": {"repeat_every_sec": every_sec, "repeat_until_sec": START + 10 * HOUR},
        "schedule_exception": except.iter().map(range).collect::<Vec<_>>(),
    })
}

#[test]
fn usual_values_give_no_warning() {
    for (service, entry) in [
        (json!({}), json!({})),
        (
            json!({"rules": {"min_advance_booking": 600}}),
            repeated(HOUR, &[]),
        ),
        (json!({}), repeated(HOUR, &[(START, START + 1)])),
        (
            json!({}),
            json!({"scheduling_rule_overrides": {"last_bookable_sec": START}}),
        ),
        (
            json!({"rules": {"min_booking_buffer_before_end_time": 600}}),
            json!({"scheduling_rule_overrides": {"first_bookable_sec": START + 3000}}),
        ),
    ] {
        assert_eq!(
            warnings(&folder(&service, &entry)),
            [""; 0],
            "{service} {entry}"
        );
    }
}

#[test]
fn recurrences_that_overlap_themselves() {
    let expected = "is 3599, below the duration of 3600 s: the slots overlap in time";
    let expected = of_entry(
        "overlapping_recurrence",
        "recurrence.repeat_every_sec",
        expected,
    );
    assert_eq!(
        warnings(&folder(&json!({}), &repeated(3599, &[]))),
        [expected]
    );
}

#[test]
fn exceptions_that_leave_nothing_out() {
    let (first, last) = (START, START + 10 * HOUR);
    for (every, (begin, end), is_idle) in [
        (2 * HOUR, (first + HOUR, first + 2 * HOUR), true),
        (2 * HOUR, (first + HOUR, first + 2 * HOUR + 1), false),
        (2 * HOUR, (first + HOUR - 1, first + 2 * HOUR), false),
        (2 * HOUR, (first - HOUR, first), true),
        (2 * HOUR, (first - HOUR, first + 1), false),
        (2 * HOUR, (last + HOUR, last + 9 * HOUR), true),
        (2 * HOUR, (last + HOUR - 1, last + 9 * HOUR), false),
    ] {
        let text = format!("from {begin} to {end} there is no slot that this could leave out");
        let expected = is_idle.then(|| of_entry("idle_exception", "schedule_exception[0]", &text));
        let warnings = warnings(&folder(&json!({}), &repeated(every, &[(begin, end)])));
        assert_eq!(warnings, Vec::from_iter(expected), "{begin} to {end}");
    }
}

#[test]
fn exceptions_that_leave_every_slot_out() {
    let (first, last) = (START, START + 10 * HOUR);
    for (except, leaves_none) in [
        (&[(first, last + 1)][..], true),
        (&[(first, last)], false),
        (&[(first + HOUR, last + 1)], false),
        (
            &[(first + 5 * HOUR, last + HOUR), (first, first + 5 * HOUR)],
            true,
        ),
        (
            &[(first, first + 5 * HOUR), (first + 6 * HOUR, last + HOUR)],
            false,
        ),
        (&[(first, last + 1), (first + HOUR, first + 2 * HOUR)], true),
    ] {
        let expected = of_entry(
            "no_slot_left",
            "schedule_exception",
            "leaves out every slot of the entry",
        );
        let warnings = warnings(&folder(&json!({}), &repeated(HOUR, except)));
        assert_eq!(
            warnings,
            Vec::from_iter(leaves_none.then_some(expected)),
            "{except:?}"
        );
    }
    // A slot each second for a century is not gone through.
    let mut entry = repeated(1, &[(1, 4_000_000_000)]);
    entry["recurrence"]["repeat_until_sec"] = json!(3_999_999_999_i64);
    let warnings = folder(&json!({}), &entry).loaded().warnings;
    let kinds = codes(&warnings);
    assert_eq!(kinds, ["overlapping_recurrence", "no_slot_left"]);
}

#[test]
fn times_of_booking_that_do_nothing_or_too_much() {
    let overrides = |first: i64, last: i64| json!({"scheduling_rule_overrides": {"first_bookable_sec": first, "last_bookable_sec": last}});
    let late = format!(
        "is {}, after the start at {START}, and is not heeded",
        START + 1
    );
    let late = of_entry(
        "late_last_bookable",
        "scheduling_rule_overrides.last_bookable_sec",
        &late,
    );
    assert_eq!(
        warnings(&folder(&json!({}), &overrides(0, START + 1))),
        [late]
    );
    let closes = START - 600;
    let never = format!(
        "is {}, but booking closes at {closes}: the slot can never be booked",
        closes + 1
    );
    let never = of_entry(
        "never_bookable",
        "scheduling_rule_overrides.first_bookable_sec",
        &never,
    );
    let service = json!({"rules": {"min_advance_booking": 600}});
    assert_eq!(
        warnings(&folder(&service, &overrides(closes + 1, 0))),
        [never]
    );
    assert_eq!(warnings(&folder(&service, &overrides(closes, 0))), [""; 0]);
}

#[test]
fn both_rules_of_when_booking_closes() {
    let service =
        json!({"rules": {"min_advance_booking": 600, "min_booking_buffer_before_end_time": 60}});
    let expected = "both_advance_rules: services.json: service[0].rules: has both `min_advance_booking` and \
                    `min_booking_buffer_before_end_time`; only the latter counts";
    assert_eq!(warnings(&folder(&service, &json!({}))), [expected]);
}

/// The kinds of warnings about a catalogue as a whole.
fn summarized(folder: &Folder) -> Vec<&'static str> {
    let loaded = folder.loaded();
    let mut warnings = loaded.warnings;
    let summary = CatalogSummary::of(
        &loaded.catalog,
        &loaded.openings,
        EpochSeconds::new(START),
        Seconds::new(400 * 24 * HOUR),
    );
    summary.warn(&loaded.catalog, EpochSeconds::new(START), &mut warnings);
    codes(&warnings)
}

#[test]
fn an_empty_catalogue_is_a_warning() {
    let folder = folder(&json!({}), &json!({}));
    for (file, feed) in [
        ("availability.json", json!({"service_availability": []})),
        ("services.json", json!({"service": []})),
    ] {
        folder.write(file, feed.to_string());
    }
    assert_eq!(
        summarized(&folder),
        ["merchant_without_services", "no_services"]
    );
    folder.write("merchants.json", json!({"merchant": []}).to_string());
    assert_eq!(summarized(&folder), ["no_services"]);
}

#[test]
fn a_service_whose_slots_may_be_beyond_those_that_are_counted_is_not_said_to_have_none() {
    let late = json!({
        "start_sec": START + 500 * 24 * HOUR,
        "recurrence": {"repeat_every_sec": HOUR, "repeat_until_sec": START + 501 * 24 * HOUR},
    });
    let loaded = folder(&json!({}), &late).loaded();
    let mut summary = CatalogSummary::of(
        &loaded.catalog,
        &loaded.openings,
        EpochSeconds::new(START),
        Seconds::new(400 * 24 * HOUR),
    );
    for (has_more_slots, expected) in [(false, &["no_slot_in_horizon"][..]), (true, &[])] {
        summary.has_more_slots = has_more_slots;
        let mut warnings = Diagnostics::default();
        summary.warn(&loaded.catalog, EpochSeconds::new(START), &mut warnings);
        assert_eq!(codes(&warnings), expected, "{has_more_slots}");
    }
}

/// The codes that these sources name, by what stands before them.
fn codes_in<'s>(sources: &'s str, before: &[&str]) -> BTreeSet<&'s str> {
    let mut codes = BTreeSet::new();
    for rest in before
        .iter()
        .flat_map(|before| sources.split(before).skip(1))
    {
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("warnings,").unwrap_or(rest).trim_start();
        codes.extend(
            rest.strip_prefix('"')
                .and_then(|rest| rest.split('"').next()),
        );
    }
    codes
}

fn sources(folder: &Path) -> String {
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| !path.ends_with("tests") && !path.ends_with("tests.rs"));
    let text = |path: std::path::PathBuf| {
        if path.is_dir() {
            sources(&path)
        } else {
            fs::read_to_string(path).unwrap()
        }
    };
    paths.map(text).collect()
}

/// The codes in the first column of the table in docs/catalog.md that begins with this cell.
fn documented<'d>(docs: &'d str, heading: &str) -> BTreeSet<&'d str> {
    let table = docs
        .split(heading)
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .unwrap_or_else(|| panic!("{heading} is in docs/catalog.md"));
    let first_cells = table.lines().filter_map(|row| row.split('|').nth(1));
    first_cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn every_code_is_documented_and_no_other() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let text = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let sources =
        sources(&root.join("crates/catalog/src")) + &text("crates/kernel/src/files/toml.rs");
    let docs = text("docs/catalog.md");
    let warnings = codes_in(
        &sources,
        &[
            ".warning(",
            "warn_of_file(",
            "Severity::Warning,",
            "of_availability(",
            "member(",
            "UNREAD_FILE: &str =",
        ],
    );
    for code in [
        "unread_file",
        "deposit",
        "far_ahead",
        "tag_without_availability",
    ] {
        assert!(warnings.contains(code), "{code} is in the sources");
    }
    assert_eq!(
        documented(&docs, "| warning |"),
        warnings,
        "docs/catalog.md, sources"
    );
    let mut errors = codes_in(&sources, &[".error(", ".error_because(", ".unfit("]);
    // Chosen in a branch of its own.
    errors.insert("out_of_range");
    for code in [
        "unknown_merchant",
        "not_toml",
        "wrong_type",
        "duplicate_slot",
    ] {
        assert!(errors.contains(code), "{code} is in the sources");
    }
    assert_eq!(
        documented(&docs, "| error |"),
        errors,
        "docs/catalog.md, sources"
    );
}
