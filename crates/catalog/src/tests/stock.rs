//! Entries of the same slots, spots, resources and parties; questions of new types.

use serde_json::{Value, json};

use super::{Folder, Loaded};
use domain::{
    catalog::{AnswerKind, Service},
    slot::{Confirmation, Pool, Slot, Viewer},
    time::EpochSeconds,
};

const START: i64 = 1_800_000_000;
const DAY: i64 = 86_400;

/// An entry of the museum, of five spots unless `more` says otherwise.
fn entry(more: &Value) -> Value {
    let mut entry = json!({
        "merchant_id": "museum", "service_id": "museum-entry", "start_sec": START, "duration_sec": 3600,
    });
    if more.get("recurrence").is_none() || more.get("spots_total").is_some() {
        entry["spots_open"] = json!(5);
    }
    for (name, value) in more.as_object().unwrap() {
        entry[name] = value.clone();
    }
    entry
}

fn every(step: i64, times: i64) -> Value {
    json!({"repeat_every_sec": step, "repeat_until_sec": START + step * times})
}

/// The sample with this availability.
fn folder(entries: &[Value]) -> Folder {
    let folder = Folder::sample();
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    let feed = json!({"service_availability": [{"availability": []}, {"availability": entries}]});
    folder.write("availability.json", feed.to_string());
    folder
}

fn kinds(loaded: &Loaded) -> Vec<&'static str> {
    let kinds = loaded.warnings.list().iter().map(|warning| warning.code);
    kinds
        .filter(|kind| *kind != "tag_without_availability")
        .collect()
}

fn museum(loaded: &Loaded) -> &Service {
    let merchant = loaded.catalog.merchant_ix("museum").unwrap();
    loaded
        .catalog
        .service(loaded.catalog.service_ix(merchant, "museum-entry").unwrap())
}

/// The pools of the slot at a start, with their spots.
fn spots(loaded: &Loaded, start_sec: i64) -> Vec<u32> {
    let mut slot = Slot::default();
    for opening in &loaded.openings {
        if opening
            .starts(
                EpochSeconds::new(start_sec),
                EpochSeconds::new(start_sec + 1),
            )
            .next()
            .is_some()
        {
            slot.open(
                opening.pool,
                &opening.occurrence(EpochSeconds::new(start_sec)).1,
            );
        }
    }
    slot.left(
        museum(loaded),
        Viewer {
            now: EpochSeconds::new(0),
            cart: None,
        },
    )
    .map(|(Pool { .. }, left)| left)
    .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn entries_alike_are_an_error_that_names_both() {
    let staff = |id: &str| json!({"resources": {"staff_id": id}});
    let named = |id: &str, name: &str| json!({"resources": {"staff_id": id, "staff_name": name}});
    let daily = |except: i64| {
        json!({"spots_open": 1, "recurrence": every(DAY, 30), "schedule_exception": [
            {"time_range": {"begin_sec": START + except * DAY, "end_sec": START + except * DAY + 1}},
        ]})
    };
    for (one, other, agree) in [
        (json!({}), json!({}), true),
        (json!({}), json!({"spots_open": 7}), true),
        (json!({}), json!({"availability_tag": "late"}), true),
        (
            json!({}),
            json!({"scheduling_rule_overrides": {"last_bookable_sec": START - 60}}),
            true,
        ),
        (json!({}), json!({"resources": {}}), true),
        (
            json!({}),
            json!({"resources": {"party_size": 0, "staff_id": ""}}),
            true,
        ),
        (
            json!({"ticket_type_id": ["adult", "child"]}),
            json!({"ticket_type_id": ["child", "adult"]}),
            true,
        ),
        (
            json!({"ticket_type_id": ["adult"]}),
            json!({"ticket_type_id": ["child"]}),
            false,
        ),
        (json!({}), json!({"ticket_type_id": ["adult"]}), false),
        (json!({}), json!({"start_sec": START + 1}), false),
        (json!({}), json!({"duration_sec": 3601}), false),
        (json!({}), json!({"service_id": "museum-tour"}), false),
        (staff("ann"), staff("ann"), true),
        (staff("ann"), staff("bob"), false),
        (staff("ann"), json!({}), false),
        (
            staff("ann"),
            json!({"resources": {"room_id": "ann"}}),
            false,
        ),
        (named("1", "Ann"), named("1", "Anna"), true),
        (named("", "Ann"), named("", "Bob"), false),
        (named("", "Ann"), named("", "Ann"), true),
        (
            json!({"resources": {"room_name": "red"}}),
            json!({"resources": {"room_name": "blue"}}),
            false,
        ),
        (
            json!({"resources": {"party_size": 4}}),
            json!({"resources": {"party_size": 4}}),
            true,
        ),
        // Repeated ones meet single ones and each other.
        (json!({"start_sec": START + 3 * DAY}), daily(2), true),
        (json!({"start_sec": START + 3 * DAY}), daily(3), false),
        (json!({"start_sec": START + 31 * DAY}), daily(2), false),
        (json!({"start_sec": START + 3 * DAY + 60}), daily(2), false),
        (daily(2), json!({"recurrence": every(7 * DAY, 4)}), true),
        (
            daily(2),
            json!({"recurrence": every(7 * DAY, 4), "start_sec": START + 60}),
            false,
        ),
        (
            daily(2),
            json!({"recurrence": every(7 * DAY, 4), "resources": {"room_id": "r"}}),
            false,
        ),
        (
            json!({"recurrence": every(3 * DAY, 9)}),
            json!({"recurrence": every(2 * DAY, 9), "start_sec": START + DAY}),
            true,
        ),
        (
            json!({"recurrence": every(4 * DAY, 9)}),
            json!({"recurrence": every(2 * DAY, 9), "start_sec": START + DAY}),
            false,
        ),
    ] {
        for pair in [[&one, &other], [&other, &one]] {
            let folder = folder(&pair.map(Value::clone));
            if !agree {
                folder.loaded();
                continue;
            }
            let found = folder.errors();
            let place = "availability.json: service_availability[1].availability";
            assert_eq!(found.len(), 1, "{pair:?}: {found:?}");
            assert!(
                found[0].starts_with(&format!("{place}[1]: brings the slot of start ")),
                "{found:?}"
            );
            assert!(
                found[0].contains(&format!("as {place}[0] does")),
                "{found:?}"
            );
        }
    }
}

#[test]
fn entries_alike_are_found_over_all_files_of_a_feed_and_among_many() {
    let folder = Folder::sample();
    folder.remove("availability.json");
    for shard in 0..2 {
        let starts = (0..2_000).map(|at| START + 3_600 * (1 - 2 * shard) * (at + shard));
        let entries: Vec<Value> = starts
            .map(|start| entry(&json!({"start_sec": start})))
            .collect();
        let metadata = json!({"shard_number": shard, "total_shards": 2, "nonce": 1, "generation_timestamp": 1});
        let feed =
            json!({"metadata": metadata, "service_availability": [{"availability": entries}]});
        folder.write(&format!("availability-{shard}.json"), feed.to_string());
    }
    folder.loaded();
    folder.set(
        "availability-1.json",
        "/service_availability/0/availability/7/start_sec",
        json!(START + 3_600 * 99),
    );
    let twin = "availability-1.json: service_availability[0].availability[7]: brings the slot";
    let found = folder.errors();
    assert!(found.len() == 1 && found[0].starts_with(twin), "{found:?}");
    assert!(
        found[0].contains("as availability-0.json: service_availability[0].availability[99] does"),
        "{found:?}"
    );
}

#[test]
fn an_error_of_an_entry_is_reported_once() {
    let wrong = json!({"start_sec": 0});
    let found = folder(&[wrong.clone(), wrong]).errors();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().all(|text| text.contains("start_sec")),
        "{found:?}"
    );
}

#[test]
fn resources_add_up_and_parties_share_their_spots() {
    let of = |staff: &str, party: i64, spots: i64| json!({"spots_open": spots, "resources": {"staff_id": staff, "party_size": party}});
    for (entries, expected, warns) in [
        (vec![of("ann", 0, 1), of("bob", 0, 1)], vec![2], false),
        (
            (1..=10).map(|size| of("", size, 10)).collect(),
            vec![10],
            true,
        ),
        (
            vec![of("", 2, 4), of("", 4, 9), of("", 6, 1)],
            vec![9],
            true,
        ),
        (vec![of("", 0, 4), of("", 4, 9)], vec![9], true),
        (
            vec![of("red", 2, 4), of("red", 4, 3), of("blue", 2, 5)],
            vec![9],
            true,
        ),
    ] {
        let loaded = folder(&entries).loaded();
        assert_eq!(spots(&loaded, START), expected, "{entries:?}");
        let kinds = kinds(&loaded);
        assert_eq!(
            kinds,
            if warns {
                vec!["party_sizes_share_spots"]
            } else {
                vec![]
            },
            "{entries:?}"
        );
    }
    let weekly =
        json!({"spots_open": 3, "recurrence": every(7 * DAY, 4), "resources": {"party_size": 2}});
    let daily =
        json!({"spots_open": 2, "recurrence": every(DAY, 30), "resources": {"party_size": 4}});
    let loaded = folder(&[weekly, daily]).loaded();
    assert_eq!(
        [0, 1, 7].map(|day| spots(&loaded, START + day * DAY)),
        [vec![3], vec![2], vec![3]]
    );
    let found = folder(&[json!({"resources": {"party_size": -1}})]).errors();
    let place = "availability.json: service_availability[1].availability[0].resources.party_size";
    assert_eq!(
        found,
        [format!("{place}: expected 0 to 2147483647, found -1")]
    );
}

#[test]
fn spots_that_are_not_given() {
    let daily = every(DAY, 3);
    for (more, expected, warns) in [
        (json!({"recurrence": daily}), 1, false),
        (json!({"recurrence": daily, "spots_open": 4}), 4, false),
        (
            json!({"recurrence": daily, "spots_open": null, "spots_total": 7}),
            0,
            true,
        ),
        (json!({"spots_open": null, "spots_total": 7}), 0, true),
        (json!({"spots_open": null, "spots_total": 0}), 0, false),
        (json!({"spots_open": 0, "spots_total": 7}), 0, false),
    ] {
        let loaded = folder(std::slice::from_ref(&more)).loaded();
        assert_eq!(spots(&loaded, START), [expected], "{more}");
        assert_eq!(
            kinds(&loaded) == ["only_spots_total"],
            warns,
            "{more}: {:?}",
            kinds(&loaded)
        );
    }
    let found = folder(&[json!({"spots_open": null})]).errors();
    assert_eq!(
        found,
        ["availability.json: service_availability[1].availability[0].spots_open: is missing"]
    );
}

/// The kind of answer that a question of the salon takes, whether it is required, and the warnings.
fn question(members: &Value) -> (AnswerKind, bool, Vec<&'static str>) {
    let folder = Folder::sample();
    let mut question = json!({"id": "q", "label": "Where?", "is_required": true});
    for (name, value) in members.as_object().unwrap() {
        question[name] = value.clone();
    }
    folder.set(
        "services.json",
        "/service/0/intake_form",
        json!({"field": [question]}),
    );
    let loaded = folder.loaded();
    let question = &museum(&loaded).questions[0];
    (question.kind.clone(), question.required, kinds(&loaded))
}

fn choices(texts: &[&str]) -> AnswerKind {
    let text = |text: &&str| domain::catalog::LocalizedText {
        value: (*text).into(),
        ..Default::default()
    };
    AnswerKind::OneOf(texts.iter().map(text).collect())
}

#[test]
fn questions_for_locations_and_of_types_unheard_of() {
    for (members, kind, required, warnings) in [
        (
            json!({"type": "LOCATION_SEARCH", "value": ["pier", "station"]}),
            choices(&["pier", "station"]),
            true,
            &[][..],
        ),
        (
            json!({"type": 7, "value": ["pier"], "additional_option": [{"value": "later"}]}),
            choices(&["pier", "later"]),
            true,
            &[],
        ),
        (
            json!({"type": "LOCATION_SEARCH", "value": ["pier"], "allow_custom_answer": true}),
            AnswerKind::Text,
            true,
            &[],
        ),
        (
            json!({"type": "LOCATION_SEARCH"}),
            AnswerKind::Text,
            true,
            &["no_locations"],
        ),
        (
            json!({"type": "DATE"}),
            AnswerKind::AnyText,
            false,
            &["unknown_question_type"],
        ),
        (
            json!({"type": 8, "choice_text": ["a"]}),
            AnswerKind::AnyText,
            false,
            &["unknown_question_type"],
        ),
        (
            json!({"type": "BOOLEAN", "value": ["pier"]}),
            AnswerKind::Boolean,
            true,
            &["idle_location_members"],
        ),
    ] {
        assert_eq!(
            question(&members),
            (kind, required, warnings.to_vec()),
            "{members}"
        );
    }
}

#[test]
fn a_merchant_is_asked_where_the_feed_says_so() {
    for (mode, expected) in [
        (json!(null), Confirmation::AtOnce),
        (json!("CONFIRMATION_MODE_UNSPECIFIED"), Confirmation::AtOnce),
        (json!("CONFIRMATION_MODE_SYNCHRONOUS"), Confirmation::AtOnce),
        (json!(1), Confirmation::AtOnce),
        (
            json!("CONFIRMATION_MODE_ASYNCHRONOUS"),
            Confirmation::ByMerchant,
        ),
        (json!(2), Confirmation::ByMerchant),
        // Nobody is asked who may not know of it.
        (json!("CONFIRMATION_MODE_LATER"), Confirmation::AtOnce),
        (json!(3), Confirmation::AtOnce),
    ] {
        let loaded = folder(&[json!({"confirmation_mode": mode})]).loaded();
        let terms = loaded.openings[0].terms.as_deref();
        let confirmation = terms.map_or(Confirmation::AtOnce, |terms| terms.confirmation);
        assert_eq!(confirmation, expected, "{mode}");
    }
}

#[test]
fn values_of_enums_that_are_unheard_of_are_warnings() {
    for (mode, expected) in [
        (
            json!("CONFIRMATION_MODE_LATER"),
            "unknown_confirmation_mode",
        ),
        (json!(3), "unknown_confirmation_mode"),
    ] {
        let loaded = folder(&[json!({"confirmation_mode": mode})]).loaded();
        assert_eq!(kinds(&loaded), [expected], "{mode}");
    }
    for (instruction, warns) in [
        (json!("PROCESS_AS_SOMETHING"), true),
        (json!(3), true),
        (json!(1), false),
    ] {
        let folder = folder(&[]);
        folder.set(
            "availability.json",
            "/metadata",
            json!({"processing_instruction": instruction}),
        );
        let kinds = kinds(&folder.loaded());
        assert_eq!(
            kinds.contains(&"unknown_processing_instruction"),
            warns,
            "{instruction}: {kinds:?}"
        );
    }
}
