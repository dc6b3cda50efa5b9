//! One change, one mistake: its file, its place, its words.

use serde_json::{Value, json};

use super::Folder;

/// Changes, each a JSON pointer with what to put there, and the mistakes that follow.
fn check(file: &str, changes: &[(&str, Value)], expected: &[&str]) {
    let folder = Folder::sample();
    for (pointer, value) in changes {
        folder.set(file, pointer, value.clone());
    }
    let expected: Vec<String> = expected.iter().map(|mistake| format!("{file}: {mistake}")).collect();
    assert_eq!(folder.mistakes(), expected, "{changes:?}");
}

#[test]
fn merchants() {
    for (pointer, value, expected) in [
        ("/merchant/0", json!(7), "merchant[0]: expected an object, found 7"),
        ("/merchant/-", json!({"merchant_id": "museum"}), "merchant[5].merchant_id: merchant \"museum\" is there twice"),
    ] {
        check("merchants.json", &[(pointer, value)], &[expected]);
    }
}
