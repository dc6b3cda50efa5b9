//! Prices and fees of the feeds.

use domain::{
    catalog::{Fee, MerchantIx},
    money::{Currency, Money, TaxRate},
};

use super::{
    builder::stand_in_currency,
    diagnostics::{Cursor, quoted},
    ignored,
    json::{Field, message},
};

message! {
    /// An amount with its currency.
    Price {
        price_micros: i64,
        currency_code: String,
    }
}

message! {
    /// A tax rate, in millionths of a per cent.
    watched TaxRateEntry {
        micro_percent: i64,
    }
}

/// The tax rate of a member, or else `otherwise`. A rate of 0 or without a number means no tax.
pub(super) fn tax_rate(
    rate: Field<TaxRateEntry>,
    otherwise: Option<TaxRate>,
    at: &Cursor<'_>,
) -> Option<TaxRate> {
    let Some(TaxRateEntry {
        micro_percent,
        others,
    }) = rate.optional(at)
    else {
        return otherwise;
    };
    ignored::warn_of_rates(&others, at);
    let rate_at = at.key("micro_percent");
    let rate = micro_percent.optional(&rate_at).unwrap_or_default();
    let most = TaxRate::MAX_MICRO_PERCENT;
    let within = u32::try_from(rate).ok().filter(|rate| *rate <= most);
    if within.is_none() {
        rate_at.error(
            "out_of_range",
            format!("expected 0 to {most} millionths of a per cent, found {rate}"),
        );
    }
    within.and_then(TaxRate::from_micro_percent)
}

/// Reads prices, and checks that a merchant's prices are all in the currency of the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct PriceReader {
    pub(super) currency: Option<Currency>,
    /// The merchant, if known.
    pub(super) merchant: Option<MerchantIx>,
    /// The tax on services without a rate of their own.
    pub(super) tax_rate: Option<TaxRate>,
}

impl PriceReader {
    /// The price of a member, if given.
    pub(super) fn optional(&mut self, price: Field<Price>, at: &Cursor<'_>) -> Option<Money> {
        let Price {
            price_micros,
            currency_code,
        } = price.optional(at)?;
        let micros_at = at.key("price_micros");
        if price_micros.is_absent() {
            // In protobuf JSON an absent number is 0. A free ticket is possible, but more likely the number
            // was forgotten.
            micros_at.warning("amount_missing", "is missing, so that the amount is 0");
        }
        let micros = price_micros.optional(&micros_at).unwrap_or_default();
        if micros < 0 {
            micros_at.error(
                "out_of_range",
                format!("is {micros}; a price is not below zero"),
            );
        }
        let currency = self.currency(currency_code, &at.key("currency_code"))?;
        let amount = Money::from_micros(micros, currency);
        report_unpayable(amount, &micros_at);
        Some(amount)
    }

    /// The price of a required member, or a stand-in.
    pub(super) fn required(&mut self, price: Field<Price>, at: &Cursor<'_>) -> Money {
        if price.is_absent() {
            at.error("missing", "is missing");
        }
        let stand_in = Money::zero(self.currency.unwrap_or_else(stand_in_currency));
        self.optional(price, at).unwrap_or(stand_in)
    }

    /// A fee of that name in whole smallest units, if given.
    pub(super) fn fee(&mut self, name: &str, price: Field<Price>, at: &Cursor<'_>) -> Option<Fee> {
        // Fees are rounded once here, so that the list of fees and their total always agree.
        let amount = self.optional(price, at)?.rounded();
        Some(Fee {
            name: name.to_owned(),
            amount,
        })
    }

    fn currency(&mut self, code: Field<String>, at: &Cursor<'_>) -> Option<Currency> {
        let code = code.required(at)?;
        let Some(currency) = Currency::from_code(&code) else {
            at.error(
                "unknown_currency",
                format!(
                    "{} is not an ISO 4217 code of a currency, like \"USD\"",
                    quoted(&code)
                ),
            );
            return None;
        };
        // The first price sets the currency: no feed states the currency of a merchant.
        let expected = *self.currency.get_or_insert(currency);
        if expected != currency {
            let (code, expected) = (currency.code(), expected.code());
            // One error in the currency of a merchant would otherwise be reported for every price.
            let cause = format!("currency {code} of {:?}", self.merchant);
            at.error_because(
                "mixed_currencies",
                cause,
                format!("is {code}, but other prices of the merchant are in {expected}"),
            );
            return None;
        }
        Some(currency)
    }
}

/// Reports an amount between zero and the smallest unit as an error. A fraction beside whole units is a
/// warning, because totals are rounded.
pub(super) fn report_unpayable(amount: Money, at: &Cursor<'_>) {
    let (code, unit) = (amount.currency().code(), amount.currency().smallest_unit());
    if amount.is_below_smallest_unit() {
        at.error("below_smallest_unit", format!(
            "is {amount}, less than the smallest unit, {unit}; amounts are in millionths, so that 1 {code} is 1000000"
        ));
    } else if amount.rounded() != amount {
        at.warning("fraction_of_unit", format!(
            "has a fraction of the smallest unit, {unit}; totals are rounded to it, halves to the even neighbour"
        ));
    }
}
