//! Tables for people, their columns aligned.

use std::fmt::Write;

use domain::money::Money;

/// How the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A table with a line of headings, every line behind `indent`.
pub(super) fn table(indent: &str, columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let headings: Vec<String> = columns
        .iter()
        .map(|(heading, _)| (*heading).to_owned())
        .collect();
    let mut widths = vec![0; columns.len()];
    for row in [&headings].into_iter().chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            // Characters and not bytes: ids and names need not be ASCII.
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in [&headings].into_iter().chain(rows) {
        let mut line = indent.to_owned();
        for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(columns) {
            match align {
                Align::Left => write!(line, "{cell:<width$}  "),
                Align::Right => write!(line, "{cell:>width$}  "),
            }
            .expect("a string takes all text");
        }
        // The padding of the last column would only be noise in a pipe.
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A number with commas between its thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things, of which one is `thing`.
pub(super) fn count(number: usize, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    let (thing, ending) = match thing.strip_suffix('y') {
        Some(stem) if number != 1 => (stem, "ies"),
        _ => (thing, ending),
    };
    format!(
        "{} {thing}{ending}",
        grouped(u64::try_from(number).unwrap_or(u64::MAX))
    )
}

/// An amount with all digits of its currency's smallest unit, and more only where it has more.
pub(super) fn price(price: Money) -> String {
    let Ok(micros) = price.to_micros() else {
        return price.to_string();
    };
    // The sign stands apart: the whole part of an amount between -1 and 0 is 0, which has none.
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    let (whole, rest) = (micros / MICROS, micros % MICROS);
    // Six digits with leading zeros, which are significant after the point.
    let digits = format!("{rest:06}");
    let least = usize::try_from(price.currency().minor_digits())
        .unwrap_or(0)
        .min(digits.len());
    let needed = digits.trim_end_matches('0').len().max(least);
    let point = if needed == 0 { "" } else { "." };
    format!(
        "{sign}{whole}{point}{} {}",
        &digits[..needed],
        price.currency().code()
    )
}

/// Millionths in a whole.
const MICROS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use domain::money::Currency;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["Öl".to_owned(), "1,000".to_owned()],
            vec!["a".to_owned(), "7".to_owned()],
        ];
        let text = table("  ", &[("name", Align::Left), ("n", Align::Right)], &rows);
        assert_eq!(text, "  name      n\n  Öl    1,000\n  a         7\n");
    }

    #[test]
    fn prices_have_the_digits_of_their_currency() {
        for (micros, code, expected) in [
            (30_000_000, "USD", "30.00 USD"),
            (12_345_000, "USD", "12.345 USD"),
            (500_000, "USD", "0.50 USD"),
            (0, "USD", "0.00 USD"),
            (-500_000, "USD", "-0.50 USD"),
            (-1_250_000, "USD", "-1.25 USD"),
            (1_500_000_000, "JPY", "1500 JPY"),
            (1_250_000, "KWD", "1.250 KWD"),
        ] {
            let amount = Money::from_micros(micros, Currency::from_code(code).unwrap());
            assert_eq!(price(amount), expected);
        }
    }

    #[test]
    fn numbers_are_easy_to_read() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), expected);
        }
        for (number, expected) in [(0, "0 entries"), (1, "1 entry"), (2000, "2,000 entries")] {
            assert_eq!(count(number, "entry"), expected);
        }
        assert_eq!(
            (count(1, "slot"), count(2, "slot")),
            ("1 slot".to_owned(), "2 slots".to_owned())
        );
    }
}
