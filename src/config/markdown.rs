//! The settings as documentation.

use std::fmt::Write;

use super::settings::SETTINGS;

/// All settings as a Markdown table.
#[must_use]
pub fn table() -> String {
    let mut table = String::from("| Setting | Default | Takes | Meaning |\n|---|---|---|---|\n");
    for setting in SETTINGS {
        let (name, default) = (setting.name, setting.default);
        let (takes, doc) = ((setting.takes)(), setting.doc);
        writeln!(table, "| `{name}` | `{default}` | {takes} | {doc} |")
            .expect("a string takes all text");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_documents_is_this_one() {
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        let document = std::fs::read_to_string(document).unwrap();
        let between = document
            .split_once("<!-- settings -->\n")
            .and_then(|(_, rest)| rest.split_once("<!-- /settings -->"))
            .map_or("", |(table, _)| table);
        let expected = table();
        assert!(
            between.trim() == expected.trim(),
            "between `<!-- settings -->` and `<!-- /settings -->`, docs/configuration.md should have:\n\n{expected}"
        );
    }
}
