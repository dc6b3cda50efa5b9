//! The rules file: what a partner sells by and no feed can say.

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

/// Reads the rules file into the builder, whose merchants and services are known. The limits of services
/// are also returned with their places in the file, for [`check_combined_tags`].
pub(super) fn read<'t>(
    builder: &mut CatalogBuilder,
    document: &'t Document<'_>,
) -> Vec<(ServiceIx, ServiceLimits<'t>)> {
    let top = document.table(&["merchant", "service"]);
    merchants::read(builder, &top);
    services::read(builder, &top)
}

/// Reports limits that nobody can keep in slots with several tags, now that the availability is known.
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
