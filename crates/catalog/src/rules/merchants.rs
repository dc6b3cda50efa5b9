//! Rules of a merchant: fees, hold times of carts, combinations of services.

use std::collections::HashSet;

use jiff::tz::{self, TimeZone};

use crate::builder::{CatalogBuilder, stand_in_currency};
use domain::{
    catalog::{CartHold, Fee, MerchantIx, ServiceIx, ServiceRule},
    refunds::RefundFees,
    time::Seconds,
};
use kernel::diagnostics::similar;

use super::{
    fees, names,
    toml::{TomlTable, TomlValue},
};

/// Longest hold of a cart.
const MAX_CART_HOLD: Seconds = Seconds::DAY;

/// Default for the time during which checks renew a hold: an hour, or one whole hold if that is longer.
const CART_HOLD_MAX: Seconds = Seconds::HOUR;

/// The longest time that rules may set for it.
const MAX_CART_HOLD_MAX: Seconds = Seconds::days(7);

/// What can happen to the fees of items that are given back.
const REFUND_FEES: [(&str, RefundFees); 3] = [
    ("with_price", RefundFees::WithPrice),
    ("never", RefundFees::Never),
    ("always", RefundFees::Always),
];

const KEYS: &[&str] = &[
    "id",
    "cart_hold_sec",
    "cart_hold_max",
    "tax_name",
    "refund_fees",
    "time_zone",
    "fee",
    "forbid_together",
    "require",
    "no_overlap",
];

/// Reads all `[[merchant]]` tables.
pub(super) fn read(builder: &mut CatalogBuilder, top: &TomlTable<'_>) {
    let mut seen = HashSet::new();
    for table in top.tables("merchant", KEYS) {
        let merchant = table.required("id").and_then(|entry| {
            let merchant = builder.merchant(&entry.text()?.into(), &entry.at)?;
            if !seen.insert(merchant) {
                entry.at.error(
                    "duplicate",
                    "has another [[merchant]] table already; write all its rules in one",
                );
            }
            Some(merchant)
        });
        read_one(builder, merchant, &table);
    }
}

fn read_one(builder: &mut CatalogBuilder, merchant: Option<MerchantIx>, table: &TomlTable<'_>) {
    // Everything is read before anything is stored: also the rules of an unknown merchant are checked.
    let hold = read_hold(table);
    let refund_fees = names::choice(table, "refund_fees", &REFUND_FEES);
    // Before the fees, which must not take this name.
    read_tax_name(builder, merchant, table);
    let time_zone = read_time_zone(table);
    let fees = read_fees(builder, merchant, table);
    let combinations = read_combinations(builder, merchant, table);
    if let Some(merchant) = merchant {
        let merchant = builder.catalog.merchant_mut(merchant);
        merchant.cart_hold = hold;
        merchant.refund_fees = refund_fees;
        merchant.per_order_fees = fees;
        merchant.combinations = combinations;
        if let Some(time_zone) = time_zone {
            merchant.time_zone = time_zone;
        }
    }
}

/// Reads the name of the time zone, which the database of time zones must have.
fn read_time_zone(table: &TomlTable<'_>) -> Option<String> {
    let entry = table.get("time_zone")?;
    let name = entry.text()?;
    if TimeZone::get(name).is_ok() {
        return Some(name.to_owned());
    }
    let known = tz::db().available().map(|name| name.as_str().to_owned());
    let hint = similar(name, known).map(|meant| format!("; did you mean {meant}?"));
    let hint = hint.unwrap_or_default();
    let text = format!("expected a time zone like Europe/Berlin, found {name:?}{hint}");
    entry.at.error("wrong_value", text);
    None
}

fn read_hold(table: &TomlTable<'_>) -> Option<CartHold> {
    let whole_entry = table.get("cart_hold_max");
    let whole = whole_entry
        .as_ref()
        .and_then(|entry| seconds(entry, MAX_CART_HOLD_MAX));
    let Some(each_entry) = table.get("cart_hold_sec") else {
        if let Some(entry) = &whole_entry {
            entry.at.error(
                "contradiction",
                "is given without `cart_hold_sec`, without which carts hold nothing",
            );
        }
        return None;
    };
    let each = seconds(&each_entry, MAX_CART_HOLD)?;
    if let (Some(entry), Some(whole)) = (&whole_entry, whole)
        && whole < each
    {
        let text = format!("is {whole}, less than one hold of `cart_hold_sec`, which is {each}");
        entry.at.error("contradiction", text);
    }
    Some(CartHold {
        each,
        // A bound must exist: without one, a cart could block its spots for ever.
        whole: whole.unwrap_or(CART_HOLD_MAX.max(each)),
    })
}

/// A length of time of one second up to `longest`.
fn seconds(entry: &TomlValue<'_>, longest: Seconds) -> Option<Seconds> {
    entry.integer(1..=longest.get()).map(Seconds::new)
}

/// Reads the name of the tax, which must differ from the names of fees.
fn read_tax_name(
    builder: &mut CatalogBuilder,
    merchant: Option<MerchantIx>,
    table: &TomlTable<'_>,
) {
    let Some(entry) = table.get("tax_name") else {
        return;
    };
    let (Some(name), Some(merchant)) = (entry.text(), merchant) else {
        return;
    };
    if fees_of_services(builder, merchant)
        .iter()
        .any(|fee| fee.name == name)
    {
        entry
            .at
            .error("duplicate", format!("a fee {name:?} is charged already"));
    }
    if !builder.is_taxed(merchant) {
        entry.at.warning(
            "idle_tax_name",
            "names a tax, but no service of the merchant has a `tax_rate`",
        );
    }
    name.clone_into(&mut builder.catalog.merchant_mut(merchant).tax_name);
}

fn fees_of_services(builder: &CatalogBuilder, merchant: MerchantIx) -> Vec<Fee> {
    let services = builder
        .catalog
        .services()
        .filter(|(_, service)| service.merchant == merchant);
    services
        .flat_map(|(_, service)| service.per_order_fees.clone())
        .collect()
}

fn read_fees(
    builder: &CatalogBuilder,
    merchant: Option<MerchantIx>,
    table: &TomlTable<'_>,
) -> Vec<Fee> {
    let currency = merchant.map_or_else(stand_in_currency, |ix| {
        builder.catalog.merchant(ix).currency
    });
    let mut of_services = merchant
        .map(|merchant| fees_of_services(builder, merchant))
        .unwrap_or_default();
    of_services.extend(merchant.and_then(|merchant| fees::tax(builder, merchant)));
    let mut all: Vec<Fee> = Vec::new();
    for table in table.tables("fee", fees::KEYS) {
        if let Some(fee) = fees::read(&table, currency) {
            let charged = all.iter().chain(&of_services);
            let fee = fees::unless_charged(fee, charged, &table);
            all.extend(fee);
        }
    }
    all
}

fn read_combinations(
    builder: &CatalogBuilder,
    merchant: Option<MerchantIx>,
    table: &TomlTable<'_>,
) -> Vec<ServiceRule> {
    let service =
        |id: &str, entry: &TomlValue<'_>| builder.service_of(merchant?, &id.into(), &entry.at);
    let services = |table: &TomlTable<'_>, key: &str, at_least| -> Vec<ServiceIx> {
        let ids = names::ids(table, key, at_least).unwrap_or_default();
        ids.into_iter()
            .filter_map(|(id, entry)| service(id, &entry))
            .collect()
    };
    let forbidden: Vec<Vec<ServiceIx>> = table
        .tables("forbid_together", &["services"])
        .iter()
        .map(|rule| services(rule, "services", 2))
        .collect();
    let required = table
        .tables("require", &["service", "any_of"])
        .into_iter()
        .filter_map(|rule| {
            let needy = rule
                .required("service")
                .and_then(|entry| service(entry.text()?, &entry));
            let any_of = services(&rule, "any_of", 1);
            names::report_shared(&[needy?], &any_of, &rule.at);
            names::report_hopeless(&needy?, &any_of, &forbidden, &rule.at);
            Some(ServiceRule::RequiredWith {
                service: needy?,
                any_of,
            })
        });
    let required: Vec<ServiceRule> = required.collect();
    let apart = table.tables("no_overlap", &["services"]);
    let apart = apart
        .iter()
        .map(|rule| ServiceRule::NoOverlap(services(rule, "services", 1)));
    forbidden
        .iter()
        .cloned()
        .map(ServiceRule::ForbiddenTogether)
        .chain(required)
        .chain(apart)
        .collect()
}
