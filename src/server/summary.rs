//! The summary of a server for its operator, in a few log lines.

use std::io::{self, IsTerminal};

use jiff::Timestamp;

use super::{Server, security::Security};
use crate::config::{Config, EffectiveSetting, StoreChoice};
use catalog::CatalogSummary;
use domain::time::EpochSeconds;

/// Facts about access, store and payments, as pairs of name and value.
pub(super) fn facts(config: &Config, security: &Security) -> Vec<(&'static str, String)> {
    let settings = &config.security;
    let off = || "off".to_owned();
    let passwords = security
        .users()
        .map_or_else(off, |users| format!("{users} users"));
    let operator_passwords = security
        .operator_users()
        .map_or_else(off, |users| format!("{users} users"));
    let store = match config.storage.store {
        StoreChoice::Embedded => format!("embedded, in {}", config.storage.data_dir.display()),
        StoreChoice::Memory => "memory, gone with the process".to_owned(),
    };
    vec![
        (
            "tls",
            if settings.tls_certificate.is_some() {
                "on".to_owned()
            } else {
                off()
            },
        ),
        ("passwords", passwords),
        ("operator_passwords", operator_passwords),
        (
            "client_certificates",
            if settings.client_ca.is_some() {
                "on".to_owned()
            } else {
                off()
            },
        ),
        (
            "payments",
            format!("{:?}", config.sales.payments).to_lowercase(),
        ),
        ("store", store),
    ]
}

/// Logs the summary of the started server.
pub(super) fn log(
    config: &Config,
    effective_settings: &[EffectiveSetting],
    server: &Server,
    summary: &CatalogSummary,
) {
    let security = facts(config, server.security.watched());
    let fact = |name: &str| {
        security
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, how)| how.as_str())
    };
    let differing = effective_settings.iter().filter(|it| it.differs());
    let settings: Vec<String> = differing
        .map(|it| format!("{}={}", it.name, it.value))
        .collect();
    let starts = || summary.services.iter().filter_map(|it| it.starts);
    tracing::info!(
        version = crate::VERSION,
        tls = fact("tls"),
        passwords = fact("passwords"),
        client_certificates = fact("client_certificates"),
        payments = fact("payments"),
        store = fact("store"),
        settings = settings.join(" "),
        "started"
    );
    tracing::info!(
        directory = %config.sales.catalog.display(),
        services = summary.services.len(),
        slots = summary.slots,
        first_day = starts().map(|(first, _)| first).min().and_then(day),
        last_day = starts().map(|(_, last)| last).max().and_then(day),
        "catalogue activated"
    );
    if let Some(admin) = server
        .admin_address()
        // A hint for a person at a terminal; in the logs of a service it would be noise.
        .filter(|_| io::stderr().is_terminal())
    {
        tracing::info!(
            "calendar of today: boxoffice check-catalog --from http://{admin} --show today"
        );
    }
}

/// The day of a moment in UTC.
fn day(second: EpochSeconds) -> Option<String> {
    let moment = Timestamp::from_second(second.get()).ok()?;
    Some(moment.strftime("%Y-%m-%d").to_string())
}
