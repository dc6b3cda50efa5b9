//! Amounts of money: currency-safe, checked, rounded half to even in one place.
//!
//! On the wire an amount is an `int64` count of micro-units (one millionth of the currency's
//! main unit) beside an ISO 4217 code. Inside, it is a [`Money`]: a decimal that cannot be mixed
//! with another currency and that never touches floating point.

use std::fmt;

use rust_decimal::{Decimal, RoundingStrategy};

/// Decimal places of a micro-unit.
const MICRO_DIGITS: u32 = 6;

/// A currency of ISO 4217 with a smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency {
    iso: iso_currency::Currency,
    minor_digits: u32,
}

impl Currency {
    /// Looks up an upper-case ISO 4217 code. `None` for an unknown code, and for one without a smallest
    /// unit (gold, test codes), in which nothing is sold.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        let iso = iso_currency::Currency::from_code(code)?;
        let minor_digits = u32::from(iso.exponent()?);
        // The wire carries six decimal places; a smaller unit could not be written exactly.
        (minor_digits <= MICRO_DIGITS).then_some(Self { iso, minor_digits })
    }

    /// The three-letter code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.iso.code()
    }

    /// Decimal places of the smallest unit: 2 for USD, 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn minor_digits(self) -> u32 {
        self.minor_digits
    }

    /// The smallest amount that can be paid: a cent, a yen, a fils.
    #[must_use]
    pub fn smallest_unit(self) -> Money {
        Money {
            amount: Decimal::new(1, self.minor_digits),
            currency: self,
        }
    }
}

/// A tax rate, above zero and at most 100 per cent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaxRate {
    micro_percent: u32,
}

impl TaxRate {
    /// 100 per cent, in millionths of a per cent.
    pub const MAX_MICRO_PERCENT: u32 = 100_000_000;

    /// A rate in millionths of a per cent: 7,253,000 is 7.253 %. `None` for 0 and for more than 100 per
    /// cent.
    #[must_use]
    pub fn from_micro_percent(micro_percent: u32) -> Option<Self> {
        (1..=Self::MAX_MICRO_PERCENT)
            .contains(&micro_percent)
            .then_some(Self { micro_percent })
    }
}

impl fmt::Display for TaxRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}%",
            Decimal::new(self.micro_percent.into(), MICRO_DIGITS).normalize()
        )
    }
}

/// A whole number of per cent from 0 to 100: the part of a price that is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const FULL: Self = Self(100);

    /// `None` above 100.
    #[must_use]
    pub fn new(percent: u8) -> Option<Self> {
        (percent <= Self::FULL.0).then_some(Self(percent))
    }

    /// The number, from 0 to 100.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// The sum of two parts, at most all of it.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        // Cannot overflow: two hundred fit a byte.
        Self((self.0 + other.0).min(Self::FULL.0))
    }
}

/// Why an amount could not be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Two amounts of different currencies met.
    #[error("amounts of two currencies cannot be combined")]
    CurrencyMismatch,
    /// The result does not fit the wire's 64-bit micro-units.
    #[error("the amount is too large")]
    Overflow,
}

/// An exact amount in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

impl Money {
    /// Zero in `currency`.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self {
            amount: Decimal::ZERO,
            currency,
        }
    }

    /// An amount of micro-units, exactly as given.
    #[must_use]
    pub fn from_micros(micros: i64, currency: Currency) -> Self {
        Self {
            amount: Decimal::new(micros, MICRO_DIGITS),
            currency,
        }
    }

    /// The amount in micro-units; fractions of a micro-unit are rounded half to even.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] if it does not fit 64 bits.
    pub fn to_micros(self) -> Result<i64, MoneyError> {
        if let Some(digits) = MICRO_DIGITS.checked_sub(self.amount.scale()) {
            // Nearly always so: no fraction of a micro-unit, so nothing to round. 96 bits and 20 more cannot overflow.
            let micros = self.amount.mantissa() * 10_i128.pow(digits);
            return i64::try_from(micros).map_err(|_| MoneyError::Overflow);
        }
        let whole = Decimal::from(10_i64.pow(MICRO_DIGITS));
        self.amount
            .checked_mul(whole)
            // Half to even, as everywhere: rounding half up would favour one side over many orders.
            .map(|micros| micros.round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven))
            .and_then(|micros| i64::try_from(micros).ok())
            .ok_or(MoneyError::Overflow)
    }

    /// The currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Whether the amount is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.amount.is_zero()
    }

    /// Whether the amount is above zero and below the smallest unit. Such an amount is a mistake, most
    /// often 14 written for 14,000,000 micro-units.
    #[must_use]
    pub fn is_below_smallest_unit(self) -> bool {
        self.amount > Decimal::ZERO && self.amount < self.currency.smallest_unit().amount
    }

    /// Rounds to the currency's smallest unit, half to even: 2.5 cents are 2, 3.5 cents are 4.
    #[must_use]
    pub fn rounded(self) -> Self {
        // By the currency and not to two digits: a yen has no cents, a dinar has a thousand fils.
        let digits = self.currency.minor_digits;
        let amount = self
            .amount
            .round_dp_with_strategy(digits, RoundingStrategy::MidpointNearestEven);
        Self { amount, ..self }
    }

    /// The sum of two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`] or [`MoneyError::Overflow`].
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        // An error and not a panic: amounts of the caller come in any currency.
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch);
        }
        let amount = self
            .amount
            .checked_add(other.amount)
            .ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// The difference of two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`] or [`MoneyError::Overflow`].
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.plus(Self {
            // Cannot overflow: the decimal stores its sign apart from its digits.
            amount: -other.amount,
            ..other
        })
    }

    /// The product of the amount and `count`, unrounded.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn times(self, count: u32) -> Result<Self, MoneyError> {
        let amount = self
            .amount
            .checked_mul(Decimal::from(count))
            .ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// The amount less `percent` per cent of it, unrounded.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn less_percent(self, percent: Decimal) -> Result<Self, MoneyError> {
        let kept = Decimal::ONE_HUNDRED
            .checked_sub(percent)
            .ok_or(MoneyError::Overflow)?;
        let amount = self
            .amount
            .checked_mul(kept)
            // Multiplied first, so that the quotient is exact while the product fits.
            .and_then(|amount| amount.checked_div(Decimal::ONE_HUNDRED))
            .ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// That part of the amount, unrounded.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn share(self, percent: Percent) -> Result<Self, MoneyError> {
        let kept = Decimal::from(Percent::FULL.0 - percent.0);
        self.less_percent(kept)
    }

    /// Whether the amount is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.amount < Decimal::ZERO
    }

    /// The tax on this amount, rounded to the smallest unit, half to even.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn tax(self, rate: TaxRate) -> Result<Self, MoneyError> {
        // Two digits more than a micro-unit, because a rate is millionths of a hundredth. The product
        // of any amount on the wire is exact: at most 19 digits by 9 of the 28 that there are.
        let share = Decimal::new(rate.micro_percent.into(), MICRO_DIGITS + 2);
        let amount = self.amount.checked_mul(share).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self }.rounded())
    }

    /// Compares two amounts; `None` if their currencies differ.
    #[must_use]
    pub fn compare(self, other: Self) -> Option<std::cmp::Ordering> {
        // Without an exchange rate there is no order between currencies.
        (self.currency == other.currency).then(|| self.amount.cmp(&other.amount))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Normalized, so that equal amounts print alike: 14 USD and not 14.000000 USD.
        write!(f, "{} {}", self.amount.normalize(), self.currency.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::from_code(code).unwrap()
    }

    fn rounded_micros(micros: i64, code: &str) -> i64 {
        Money::from_micros(micros, currency(code))
            .rounded()
            .to_micros()
            .unwrap()
    }

    #[test]
    fn fractions_of_the_smallest_unit_round_half_to_even() {
        for (micros, code, expected) in [
            (25_000, "USD", 20_000),
            (35_000, "USD", 40_000),
            (5_000, "USD", 0),
            (25_100, "USD", 30_000),
            (-25_000, "USD", -20_000),
            (500_000, "JPY", 0),
            (1_500_000, "JPY", 2_000_000),
            (2_500_000, "JPY", 2_000_000),
            (1_500, "KWD", 2_000),
            (2_500, "KWD", 2_000),
            (2_501, "KWD", 3_000),
        ] {
            assert_eq!(
                rounded_micros(micros, code),
                expected,
                "{micros} micros of {code}"
            );
        }
    }

    #[test]
    fn smallest_units_follow_iso_4217() {
        for (code, digits) in [("USD", 2), ("EUR", 2), ("JPY", 0), ("KWD", 3)] {
            assert_eq!(currency(code).minor_digits(), digits, "{code}");
        }
    }

    #[test]
    fn an_amount_between_nothing_and_the_smallest_unit_cannot_be_paid() {
        for (code, least) in [
            ("USD", 10_000),
            ("EUR", 10_000),
            ("JPY", 1_000_000),
            ("KWD", 1_000),
        ] {
            let is_below =
                |micros| Money::from_micros(micros, currency(code)).is_below_smallest_unit();
            assert_eq!(
                currency(code).smallest_unit().to_micros(),
                Ok(least),
                "{code}"
            );
            for (micros, expected) in [
                (-1, false),
                (0, false),
                (1, true),
                (least / 2, true),
                (least - 1, true),
                (least, false),
            ] {
                assert_eq!(is_below(micros), expected, "{micros} micros of {code}");
            }
        }
    }

    #[test]
    fn unknown_and_unpayable_codes_are_no_currency() {
        for code in ["", "usd", "US", "XXX", "XAU", "ZZZ"] {
            assert_eq!(Currency::from_code(code), None, "{code:?}");
        }
    }

    #[test]
    fn currencies_do_not_mix() {
        let dollars = Money::from_micros(1, currency("USD"));
        let euros = Money::from_micros(1, currency("EUR"));
        assert_eq!(dollars.plus(euros), Err(MoneyError::CurrencyMismatch));
        assert_eq!(dollars.compare(euros), None);
    }

    #[test]
    fn an_amount_is_written_with_its_currency_and_no_idle_zeros() {
        for (micros, code, expected) in [
            (12_500_000, "USD", "12.5 USD"),
            (-70_000_000, "JPY", "-70 JPY"),
            (0, "KWD", "0 KWD"),
        ] {
            assert_eq!(
                Money::from_micros(micros, currency(code)).to_string(),
                expected
            );
        }
    }

    #[test]
    fn too_large_is_an_error_and_not_a_panic() {
        let most = Money::from_micros(i64::MAX, currency("USD"));
        assert_eq!(most.to_micros(), Ok(i64::MAX));
        let twice = most.times(2).unwrap();
        assert_eq!(twice.to_micros(), Err(MoneyError::Overflow));
        let mut sum = most.times(u32::MAX).unwrap();
        while let Ok(more) = sum.times(u32::MAX) {
            sum = more;
        }
        assert_eq!(sum.times(u32::MAX), Err(MoneyError::Overflow));
    }

    #[test]
    fn a_percentage_comes_off_before_rounding() {
        let price = Money::from_micros(12_990_000, currency("USD"));
        let reduced = price.less_percent(Decimal::from(15)).unwrap();
        assert_eq!(reduced.to_micros(), Ok(11_041_500));
        assert_eq!(reduced.rounded().to_micros(), Ok(11_040_000));
    }

    #[test]
    fn a_tax_is_rounded_half_to_even_to_the_smallest_unit() {
        for (micros, code, micro_percent, expected) in [
            (50_000_000, "USD", 8_875_000, 4_440_000),
            (10_000_000, "USD", 10_000_000, 1_000_000),
            (250_000, "USD", 10_000_000, 20_000),
            (350_000, "USD", 10_000_000, 40_000),
            (250_000, "USD", 10_000_001, 30_000),
            (10_000, "USD", 1, 0),
            (10_000, "USD", 100_000_000, 10_000),
            (105_000_000, "JPY", 10_000_000, 10_000_000),
            (115_000_000, "JPY", 10_000_000, 12_000_000),
            (1_234_000, "KWD", 5_000_000, 62_000),
            (1_250_000, "KWD", 5_000_000, 62_000),
            (1_270_000, "KWD", 5_000_000, 64_000),
            (0, "USD", 10_000_000, 0),
        ] {
            let rate = TaxRate::from_micro_percent(micro_percent).unwrap();
            let tax = Money::from_micros(micros, currency(code))
                .tax(rate)
                .unwrap();
            assert_eq!(
                tax.to_micros(),
                Ok(expected),
                "{rate} of {micros} micros of {code}"
            );
        }
    }

    #[test]
    fn a_tax_rate_is_above_nothing_and_at_most_all_and_is_written_as_a_percentage() {
        for (micro_percent, written) in [
            (0, None),
            (1, Some("0.000001%")),
            (10_000_000, Some("10%")),
            (8_875_000, Some("8.875%")),
            (100_000_000, Some("100%")),
            (100_000_001, None),
            (u32::MAX, None),
        ] {
            let rate = TaxRate::from_micro_percent(micro_percent).map(|rate| rate.to_string());
            assert_eq!(rate.as_deref(), written, "{micro_percent}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_tax_is_the_exact_share_rounded_once(
            micros in 0..=i64::MAX,
            micro_percent in 1..=TaxRate::MAX_MICRO_PERCENT,
        ) {
            let amount = Money::from_micros(micros, currency("USD"));
            let tax = amount.tax(TaxRate::from_micro_percent(micro_percent).unwrap()).unwrap();
            // The same in whole numbers: a cent is 10^4 micro-units, a whole 10^8 millionths of a per cent.
            let exact = i128::from(micros) * i128::from(micro_percent);
            let (cents, rest) = (exact / 1_000_000_000_000, exact % 1_000_000_000_000);
            let up = rest > 500_000_000_000 || rest == 500_000_000_000 && cents % 2 == 1;
            proptest::prop_assert_eq!(tax.to_micros().map(i128::from), Ok((cents + i128::from(up)) * 10_000));
        }

        #[test]
        fn rounding_twice_changes_nothing(micros in proptest::num::i64::ANY) {
            let once = Money::from_micros(micros, currency("USD")).rounded();
            proptest::prop_assert_eq!(once.rounded(), once);
        }

        #[test]
        fn micros_survive_the_round_trip(micros in proptest::num::i64::ANY) {
            let money = Money::from_micros(micros, currency("KWD"));
            proptest::prop_assert_eq!(money.to_micros(), Ok(micros));
        }
    }
}
