//! The rules file: what a partner sells by and no feed can say.

mod deals;
mod fees;
mod limits;
mod names;

mod merchants;
mod services;

use super::{draft::Draft, mistakes::Place};
use crate::files::toml;

/// Reads the rules file into the draft, whose merchants and services are known.
pub(super) fn read(draft: &mut Draft, text: &str, file: &Place<'_>) {
    toml::read(text, file, &["merchant", "service"], |top| {
        merchants::read(draft, top);
        services::read(draft, top);
    });
}
