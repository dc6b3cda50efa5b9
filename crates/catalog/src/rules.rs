//! The rules file: what a partner sells by and no feed can say.

mod deals;
mod fees;
mod limits;
mod names;

mod merchants;
mod services;

use super::{builder::CatalogBuilder, mistakes::Place, tags};
use kernel::files::toml;

/// Reads the rules file into the builder, whose merchants and services are known.
pub(super) fn read(builder: &mut CatalogBuilder, text: &str, file: &Place<'_>) {
    toml::read(text, file, &["merchant", "service"], |top| {
        merchants::read(builder, top);
        services::read(builder, top);
    });
}

/// Reports limits of the rules file that nobody can keep in slots with several tags, now that the
/// availability is known. Where anything else is wrong with the file, that comes first.
pub(super) fn check_tags_together(builder: &mut CatalogBuilder, text: &str, file: &Place<'_>) {
    let slots = tags::together(&builder.catalog, &builder.openings);
    if slots.is_empty() || file.found_so_far() > 0 {
        return;
    }
    toml::read(text, file, &["merchant", "service"], |top| {
        services::check_for(builder, top, &slots)
    });
}
