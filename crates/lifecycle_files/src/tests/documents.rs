//! The document says what is there.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{action_names, condition_names, read};

fn document() -> String {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    fs::read_to_string(root.join("docs/lifecycle.md")).unwrap()
}

/// The first cells of the table that follows a heading, without backticks.
fn first_cells(document: &str, heading: &str) -> BTreeSet<String> {
    let (_, after) = document.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = after.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.filter_map(|row| row.split('`').nth(1))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_condition_and_action_has_its_row() {
    let document = document();
    let names = |all: &mut dyn Iterator<Item = &'static str>| all.map(str::to_owned).collect();
    let conditions: BTreeSet<String> = names(&mut condition_names());
    assert_eq!(first_cells(&document, "Conditions"), conditions);
    let actions: BTreeSet<String> = names(&mut action_names());
    assert_eq!(first_cells(&document, "Actions"), actions);
}

/// The code blocks of a language.
fn blocks<'d>(document: &'d str, language: &str) -> Vec<&'d str> {
    let fence = format!("```{language}\n");
    let parts = document.split(fence.as_str()).skip(1);
    parts
        .map(|part| part.split("\n```").next().unwrap())
        .collect()
}

#[test]
fn the_examples_are_parts_of_a_definition_that_passes() {
    let document = document();
    let blocks = blocks(&document, "toml");
    assert!(blocks.len() >= 3, "these are not all of the examples");
    // Each replaces or adds to the default: what it has under one header takes the place of that there.
    for block in blocks {
        let text = if block.starts_with("schema") {
            block.to_owned()
        } else {
            format!("{}\n{block}\n", crate::DEFAULT)
        };
        if let Err(errors) = read(&text, "example.toml") {
            panic!("{block}\n{errors}");
        }
    }
}

#[test]
fn the_message_that_is_shown_is_the_one_that_comes() {
    let document = document();
    let shown = blocks(&document, "console").concat();
    let file = crate::DEFAULT.replacen("to = \"confirmed\"\n", "to = \"confirmd\"\n", 1);
    let errors = read(&file, "lifecycle.toml").unwrap_err().to_string();
    assert!(shown.contains(&errors), "{errors}");
}
