//! The rules file: what a partner sells by and no feed can say.

mod toml;

mod deals;
mod fees;
mod limits;
mod names;

mod merchants;
mod services;

use ::toml::de::DeTable;

use self::toml::Table;
use super::{draft::Draft, mistakes::Place};

/// Reads the rules file into the draft, whose merchants and services are known.
pub(super) fn read(draft: &mut Draft, text: &str, file: &Place<'_>) {
    let (document, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(start);
    for error in &errors {
        let offset = start(error);
        file.offset(text, offset).mistake(format!("{}; this is not TOML", error.message()));
    }
    if errors.is_empty() {
        let top = Table::new(text, file.offset(text, 0), document.get_ref(), &["merchant", "service"]);
        merchants::read(draft, &top);
        services::read(draft, &top);
    }
}

fn start(error: &::toml::de::Error) -> usize {
    error.span().map_or(0, |span| span.start)
}
