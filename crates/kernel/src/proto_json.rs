//! Protobuf JSON, for requests and feeds alike: whole numbers, names of members, and texts and positions of
//! syntax errors.

use crate::diagnostics::{Position, quoted};

/// Most digits of a number that is evaluated. Numbers of the contract have at most 19; 38 digits always fit
/// 128 bits.
const MAX_DIGITS: usize = 38;

/// A type of whole numbers.
pub trait Whole: TryFrom<i128> {
    /// The expected type, as the text after "expected".
    const EXPECTED: &'static str;
}

impl Whole for i32 {
    const EXPECTED: &'static str = "a whole number of 32 bits";
}

impl Whole for u32 {
    const EXPECTED: &'static str = "a whole number of 32 bits, not below zero";
}

impl Whole for i64 {
    const EXPECTED: &'static str = "a whole number of 64 bits";
}

impl Whole for u64 {
    const EXPECTED: &'static str = "a whole number of 64 bits, not below zero";
}

/// The whole number that a JSON number, or a JSON string with one, stands for, exactly as written. `7.2e3`
/// is 7200, `-0` is 0, and 9007199254740993.0 is not rounded.
#[must_use]
pub fn whole<T: Whole>(number: &str) -> Option<T> {
    integer(number)?.try_into().ok()
}

/// Like [`whole`], for numbers of up to 38 digits.
#[must_use]
pub fn integer(number: &str) -> Option<i128> {
    let (is_negative, number) = number
        .strip_prefix('-')
        .map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
        None => (number, 0),
    };
    let (before, after) = match mantissa.split_once('.') {
        Some((before, after)) if is_digits(after) => (before, after),
        // JSON requires a digit after the point.
        Some(_) => return None,
        None => (mantissa, ""),
    };
    // JSON has no leading zeros, and numbers in strings follow the same rule.
    if !is_digits(before) || (before.len() > 1 && before.starts_with('0')) {
        return None;
    }
    let size = scaled(before, after, exponent)?;
    Some(if is_negative { -size } else { size })
}

/// The digits before and after the point, times ten to the exponent; `None` if the result is not whole or
/// too large.
fn scaled(before: &str, after: &str, exponent: i64) -> Option<i128> {
    let digits = [before, after].concat();
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // Zeros at the end are the first to go where the exponent moves digits behind the point.
    let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
    let fraction = i64::try_from(after.len()).ok()?;
    let zeros = usize::try_from(exponent.checked_add(zeros)?.checked_sub(fraction)?).ok()?;
    if significant.len().checked_add(zeros)? > MAX_DIGITS {
        return None;
    }
    // Checked, although the bound on digits excludes an overflow: the input comes from callers.
    let power = 10_i128.checked_pow(u32::try_from(zeros).ok()?)?;
    significant.parse::<i128>().ok()?.checked_mul(power)
}

/// An exponent. An exponent out of range keeps its sign.
fn exponent_of(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !is_digits(digits) {
        return None;
    }
    // Half of the range, so that later additions cannot overflow.
    let size = digits.parse::<i64>().unwrap_or(i64::MAX).min(i64::MAX / 2);
    Some(if is_negative { -size } else { size })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A JSON value, as far as numbers need it.
#[derive(Debug, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// `null`, which protobuf JSON reads as an absent member.
    Null,
    /// A number, as written.
    Number(&'a str),
    /// A string; its text.
    Text(std::borrow::Cow<'a, str>),
    /// Anything else, described.
    Other(&'static str),
}

impl<'a> Scalar<'a> {
    /// Reads the text of one value of sound JSON.
    #[must_use]
    pub fn of(json: &'a str) -> Self {
        match json.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Other("true"),
            Some(b'f') => Self::Other("false"),
            Some(b'[') => Self::Other("a list"),
            Some(b'{') => Self::Other("an object"),
            // Without escapes the text between the quotes is the value, and nothing is copied.
            Some(b'"') if !json.contains('\\') => Self::Text(json.trim_matches('"').into()),
            Some(b'"') => Self::Text(
                serde_json::from_str::<String>(json)
                    .unwrap_or_default()
                    .into(),
            ),
            Some(_) | None => Self::Number(json),
        }
    }

    /// The value as it is quoted.
    #[must_use]
    pub fn quoted(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Number(number) => number.chars().take(MAX_DIGITS).collect(),
            Self::Text(text) => quoted(text),
            Self::Other(what) => (*what).to_owned(),
        }
    }
}

/// Whether `key` is the lowerCamelCase form of the `snake_case` `name`.
#[must_use]
pub fn is_camel_case_of(key: &str, name: &str) -> bool {
    let mut key = key.bytes();
    let mut raise = false;
    for byte in name.bytes() {
        if byte == b'_' {
            raise = true;
            continue;
        }
        let wanted = if raise {
            byte.to_ascii_uppercase()
        } else {
            byte
        };
        raise = false;
        if key.next() != Some(wanted) {
            return false;
        }
    }
    key.next().is_none()
}

/// The position of a syntax error.
#[must_use]
pub fn position(error: &serde_json::Error) -> Position {
    Position {
        line: error.line(),
        // serde_json counts what it has read of the line: 0 where the text ends at its beginning.
        column: error.column().max(1),
    }
}

/// The syntax error of a text that is not JSON, without its position.
#[must_use]
pub fn broken(error: &serde_json::Error) -> String {
    // The position is reported in a field of its own, so it is cut off here.
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(text, _)| text);
    match text.strip_prefix("EOF while parsing ") {
        Some("a value") => "the text ends where a value is expected".to_owned(),
        Some(what) => format!("the text ends within {what}"),
        None if text == "recursion limit exceeded" => {
            "lists and objects are nested too deeply".to_owned()
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_whole_by_its_value_and_not_by_how_it_is_written() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0.0e5", Some(0)),
            ("7", Some(7)),
            ("-7", Some(-7)),
            ("1795946400.0", Some(1_795_946_400)),
            ("7.2e3", Some(7200)),
            ("5e7", Some(50_000_000)),
            ("5E+7", Some(50_000_000)),
            ("1200e-2", Some(12)),
            ("0.00012e5", Some(12)),
            ("0.00012e4", None),
            ("1e18", Some(1_000_000_000_000_000_000)),
            ("9223372036854775807.0", Some(9_223_372_036_854_775_807)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("0.000e999999999999999999999", Some(0)),
            ("0e-999999999999999999999", Some(0)),
            ("1.5", None),
            ("1.5e0", None),
            ("4503599627370496.3", None),
            ("0.99999999999999999999999", None),
            ("1e-1", None),
            ("1e999999999999999999999", None),
            ("1e-999999999999999999999", None),
            ("1e38", None),
            ("", None),
            ("-", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("01", None),
            ("-01", None),
            (".5", None),
            ("5.", None),
            ("1.e3", None),
            ("1e", None),
            ("1e+", None),
            ("1e1.0", None),
            ("0x1", None),
            ("1_000", None),
            ("NaN", None),
            ("Infinity", None),
            ("-Infinity", None),
            ("١", None),
        ] {
            assert_eq!(integer(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_range_of_a_field_is_exact() {
        for (text, is_i64, is_u64) in [
            ("9223372036854775807", true, true),
            ("9223372036854775807.00", true, true),
            ("9223372036854775808", false, true),
            ("9223372036854775808.0", false, true),
            ("-9223372036854775808", true, false),
            ("-9223372036854775809", false, false),
            ("18446744073709551615", false, true),
            ("18446744073709551616", false, false),
            ("1.8446744073709551616e19", false, false),
            ("-0", true, true),
        ] {
            assert_eq!(
                (whole::<i64>(text).is_some(), whole::<u64>(text).is_some()),
                (is_i64, is_u64),
                "{text}"
            );
        }
        assert_eq!(whole("2147483647.0"), Some(i32::MAX));
        assert_eq!(whole::<i32>("2147483648"), None);
        assert_eq!(whole("4.294967295e9"), Some(u32::MAX));
        assert_eq!(whole::<u32>("4294967296"), None);
        assert_eq!(whole::<u32>("-1"), None);
        assert_eq!(whole("-2.147483648e9"), Some(i32::MIN));
    }

    proptest! {
        #[test]
        fn any_way_to_write_a_number_is_that_number(number: i64, zeros in 0_usize..20, shift in 0_usize..25) {
            let zeros_behind = "0".repeat(zeros);
            let forms = [
                format!("{number}.0{zeros_behind}"),
                format!("{number}{}e-{shift}", "0".repeat(shift)),
                format!("{number}e0"),
            ];
            for form in forms {
                prop_assert_eq!(integer(&form), Some(i128::from(number)), "{}", form);
            }
            prop_assert_eq!(integer(&format!("{number}.{zeros_behind}1")), None);
        }
    }

    #[test]
    fn a_scalar_is_recognized_by_its_text() {
        for (json, expected) in [
            ("null", Scalar::Null),
            ("true", Scalar::Other("true")),
            ("[1]", Scalar::Other("a list")),
            ("{}", Scalar::Other("an object")),
            ("-1.5e3", Scalar::Number("-1.5e3")),
            (r#""2.0""#, Scalar::Text("2.0".into())),
            (r#""a\"b\u0041""#, Scalar::Text("a\"bA".into())),
            (r#""""#, Scalar::Text("".into())),
        ] {
            assert_eq!(Scalar::of(json), expected, "{json}");
        }
    }
}
