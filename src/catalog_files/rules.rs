//! The rules file: what a partner sells by and no feed can say.

mod deals;
mod fees;
mod limits;
mod names;

mod merchants;
mod services;

use super::{draft::Draft, mistakes::Place, tags};
use crate::files::toml;

/// Reads the rules file into the draft, whose merchants and services are known.
pub(super) fn read(draft: &mut Draft, text: &str, file: &Place<'_>) {
    toml::read(text, file, &["merchant", "service"], |top| {
        merchants::read(draft, top);
        services::read(draft, top);
    });
}

/// Reports limits of the rules file that nobody can keep in slots with several tags, now that the
/// availability is known. Where anything else is wrong with the file, that comes first.
pub(super) fn check_tags_together(draft: &mut Draft, text: &str, file: &Place<'_>) {
    let slots = tags::together(&draft.catalog, &draft.openings);
    if slots.is_empty() || file.found_so_far() > 0 {
        return;
    }
    toml::read(text, file, &["merchant", "service"], |top| {
        services::check_for(draft, top, &slots)
    });
}
