//! Whatever is done to the sample catalogue, loading it ends with a catalogue or with errors.

use domain::time::Seconds;
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use super::{FEEDS, Folder};

/// What is put in the place of some value.
fn replacement() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        any::<i64>().prop_map(|number| Some(json!(number))),
        (-2_i64..3).prop_map(|number| Some(json!(number))),
        any::<f64>().prop_map(|number| Some(json!(number))),
        ".{0,8}".prop_map(|text| Some(json!(text))),
        prop_oneof!["adult", "museum", "USD", "JPY", "late", "1704067200"]
            .prop_map(|text| Some(json!(text))),
        prop_oneof![
            Just(json!(null)),
            Just(json!(true)),
            Just(json!([])),
            Just(json!({})),
            Just(json!([[{}]]))
        ]
        .prop_map(Some),
    ]
}

/// Replaces or, with nothing to put there, deletes the value that `at` picks.
fn mutate(json: &mut Value, at: Index, other: Option<Value>) {
    let mut pointers = Vec::new();
    list_pointers(json, String::new(), &mut pointers);
    let pointer = at.get(&pointers);
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        return;
    };
    match (json.pointer_mut(parent), other) {
        (_, Some(other)) => *json.pointer_mut(pointer).unwrap() = other,
        (Some(Value::Array(list)), None) => drop(list.remove(key.parse().unwrap())),
        (Some(Value::Object(members)), None) => drop(members.remove(key)),
        (parent, None) => panic!("{pointer} has the parent {parent:?}"),
    }
}

fn list_pointers(json: &Value, pointer: String, pointers: &mut Vec<String>) {
    for (at, value) in json.as_array().into_iter().flatten().enumerate() {
        list_pointers(value, format!("{pointer}/{at}"), pointers);
    }
    for (key, value) in json.as_object().into_iter().flatten() {
        list_pointers(value, format!("{pointer}/{key}"), pointers);
    }
    pointers.push(pointer);
}

/// Loads a folder that may be anything, and tells whether it is a catalogue.
fn loads(folder: &Folder) -> bool {
    match folder.load() {
        Ok(loaded) => {
            for opening in &loaded.openings {
                let service = loaded.catalog.service(opening.first.service);
                assert!(
                    Seconds::from(opening.first.duration_sec) > Seconds::ZERO,
                    "{}: {opening:?}",
                    service.id
                );
                assert!(
                    opening
                        .recurrence
                        .as_ref()
                        .is_none_or(|every| every.every > Seconds::ZERO),
                    "{opening:?}"
                );
            }
            true
        }
        Err(errors) => {
            assert!(
                errors
                    .list()
                    .iter()
                    .all(|error| folder.path(&error.location.source.to_string()).exists()),
                "{errors}"
            );
            false
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn of_feeds(file in 0..3_usize, changes in prop::collection::vec((any::<Index>(), replacement()), 1..4)) {
        let folder = Folder::sample();
        let mut json = folder.json(FEEDS[file]);
        for (at, other) in changes {
            mutate(&mut json, at, other);
        }
        folder.write(FEEDS[file], json.to_string());
        loads(&folder);
    }

    #[test]
    fn of_bytes(file in 0..4_usize, at in any::<Index>(), length in 0..30_usize, other in ".{0,5}") {
        let folder = Folder::sample();
        let file = [FEEDS[0], FEEDS[1], FEEDS[2], "rules.toml"][file];
        let mut bytes = folder.text(file).into_bytes();
        let start = at.index(bytes.len());
        let end = bytes.len().min(start + length);
        bytes.splice(start..end, other.into_bytes());
        folder.write(file, bytes);
        loads(&folder);
    }

    #[test]
    fn of_values_in_rules(at in any::<Index>(), other in r#"-?[0-9]{1,20}|"(adult|late|)"|\[\]|\{\}|1\.5"#) {
        let folder = Folder::sample();
        let text = folder.text("rules.toml");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let assignments: Vec<usize> =
            (0..lines.len()).filter(|&line| lines[line].contains(" = ")).collect();
        let line = &mut lines[*at.get(&assignments)];
        let key = line.split(" = ").next().unwrap_or_default().to_owned();
        *line = format!("{key} = {other}");
        folder.write("rules.toml", lines.join("\n"));
        loads(&folder);
    }
}

#[test]
fn the_sample_itself_loads() {
    assert!(loads(&Folder::sample()));
}
