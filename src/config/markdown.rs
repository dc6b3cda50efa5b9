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
    use std::collections::BTreeSet;

    use super::*;

    fn text(path: &str) -> String {
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn every_code_of_an_error_is_documented() {
        let sources: String = [
            "src/config.rs",
            "src/config/layers.rs",
            "src/api/auth/credentials.rs",
            "src/server/security.rs",
            "src/server/certificates.rs",
            "crates/kernel/src/files/toml.rs",
        ]
        .map(text)
        .concat();
        let mut codes = BTreeSet::from(["unknown_setting", "out_of_range"]);
        for before in ["error(", "unfit("] {
            for rest in sources.split(before).skip(1) {
                let code = rest.trim_start().strip_prefix('"');
                codes.extend(code.and_then(|rest| rest.split('"').next()));
            }
        }
        assert!(codes.contains("bad_certificate") && codes.contains("not_toml"));
        let docs = text("docs/configuration.md");
        let table = docs.split("| error |").nth(1).unwrap();
        let first_cells = table.split("\n\n").next().unwrap().lines();
        let documented: BTreeSet<&str> = first_cells
            .filter_map(|row| row.split('|').nth(1))
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        assert_eq!(documented, codes, "docs/configuration.md, sources");
    }

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
