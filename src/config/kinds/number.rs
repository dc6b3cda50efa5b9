//! Numbers.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use super::ValueKind;

/// A whole number within bounds.
pub(in crate::config) struct WholeNumber<T>(pub(in crate::config) RangeInclusive<T>);

impl<T: FromStr + PartialOrd + Display> ValueKind for WholeNumber<T> {
    type Value = T;

    fn label(&self) -> &'static str {
        "COUNT"
    }

    fn takes(&self) -> String {
        format!("a number from {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, text: &str) -> Option<T> {
        text.parse().ok().filter(|value| self.0.contains(value))
    }
}

/// A part of a whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingRatio(pub(super) f64);

/// Sound, because a parsed ratio is never NaN.
impl Eq for SamplingRatio {}

impl SamplingRatio {
    /// The same as a number.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0
    }
}

/// A part of a whole.
pub(in crate::config) struct Fraction;

impl ValueKind for Fraction {
    type Value = SamplingRatio;

    fn label(&self) -> &'static str {
        "RATIO"
    }

    fn takes(&self) -> String {
        "a number from 0 to 1, such as `0.01`".to_owned()
    }

    fn read(&self, text: &str) -> Option<SamplingRatio> {
        // Rules out `NaN`, `inf` and exponents, which the parser of the language accepts.
        let is_decimal = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let share = text
            .parse()
            .ok()
            .filter(|share| is_decimal && (0.0..=1.0).contains(share));
        share.map(SamplingRatio)
    }
}
