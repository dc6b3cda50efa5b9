//! Fees with names chosen by the partner.

use crate::{builder::CatalogBuilder, prices::report_unpayable};
use domain::{
    catalog::{Fee, Merchant, MerchantIx},
    money::{Currency, Money},
};

use super::toml::TomlTable;

/// Keys of a fee.
pub(super) const KEYS: &[&str] = &["name", "price_micros"];

/// A fee in whole smallest units.
pub(super) fn read(table: &TomlTable<'_>, currency: Currency) -> Option<Fee> {
    let name = table.required("name").and_then(|entry| entry.text());
    let amount = price(table, currency);
    Some(Fee {
        name: name?.to_owned(),
        // Fees are rounded once here, so that the list of fees and their total always agree.
        amount: amount?.rounded(),
    })
}

/// The required price of a table.
pub(super) fn price(table: &TomlTable<'_>, currency: Currency) -> Option<Money> {
    let entry = table.required("price_micros")?;
    let amount = Money::from_micros(entry.integer(0..=i64::MAX)?, currency);
    report_unpayable(amount, &entry.at);
    Some(amount)
}

/// The tax of a merchant in the form of a fee, so that no other fee takes its name.
pub(super) fn tax(builder: &CatalogBuilder, merchant: MerchantIx) -> Option<Fee> {
    let Merchant {
        tax_name, currency, ..
    } = builder.catalog.merchant(merchant);
    builder.is_taxed(merchant).then(|| Fee {
        name: tax_name.clone(),
        // Only the name is compared.
        amount: Money::zero(*currency),
    })
}

/// The fee, unless a fee of its name exists, which is reported.
pub(super) fn unless_charged<'f>(
    fee: Fee,
    charged: impl IntoIterator<Item = &'f Fee>,
    table: &TomlTable<'_>,
) -> Option<Fee> {
    if !charged.into_iter().any(|known| known.name == fee.name) {
        return Some(fee);
    }
    table.at.error(
        "duplicate",
        format!("a fee {:?} is charged already", fee.name),
    );
    None
}
