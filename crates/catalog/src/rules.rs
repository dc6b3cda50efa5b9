//! The rules file: the rules of a partner that no feed can express.

mod deals;
mod fees;
mod limits;
mod names;

mod merchants;
mod services;

use super::{builder::CatalogBuilder, tags};
use domain::catalog::ServiceIx;
use kernel::files::toml::{self, Document};
use limits::ServiceLimits;

/// Reads the rules file into the builder, whose merchants and services are known. Returns the limits of
/// services with their locations, for [`check_combined_tags`].
pub(super) fn read<'t>(
    builder: &mut CatalogBuilder,
    document: &'t Document<'_>,
) -> Vec<(ServiceIx, ServiceLimits<'t>)> {
    let top = document.table(&["merchant", "service"]);
    merchants::read(builder, &top);
    services::read(builder, &top)
}

/// Reports limits that no line can keep in slots with several tags, once the availability is known.
pub(super) fn check_combined_tags(
    builder: &CatalogBuilder,
    limits: &[(ServiceIx, ServiceLimits<'_>)],
) {
    let slots = tags::combinations(&builder.catalog, &builder.openings);
    for (ix, limits) in limits {
        if let Some(conditions) = slots.get(ix) {
            limits.report_contradictions_in(builder.catalog.service(*ix), conditions);
        }
    }
}
