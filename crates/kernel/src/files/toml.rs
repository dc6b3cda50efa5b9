//! TOML with positions, read so that one wrong value hides no other.
//!
//! Built on the spans of the `toml` crate. The crate keeps the digits of a number as written, so prices are
//! exact, and reports several syntax errors of one file.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use crate::diagnostics::{Cursor, quoted};

/// A TOML file. The one reader of settings, credentials and rules.
pub struct Document<'t> {
    text: &'t str,
    file: Cursor<'t>,
    top: Spanned<DeTable<'t>>,
}

impl<'t> Document<'t> {
    /// Reads a text. If it is not TOML, every syntax error is reported and nothing is returned.
    #[must_use]
    pub fn parse(text: &'t str, file: Cursor<'t>) -> Option<Self> {
        let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
        let (top, mut errors) = DeTable::parse_recoverable(text);
        // In the order of the text, because people fix a file from top to bottom.
        errors.sort_by_key(start);
        for error in &errors {
            let text_of_error = format!("{}; this is not TOML", error.message());
            file.byte(text, start(error))
                .error("not_toml", text_of_error);
        }
        errors.is_empty().then_some(Self { text, file, top })
    }

    /// The top table. Keys other than `keys` are reported.
    #[must_use]
    pub fn table<'a>(&'a self, keys: &[&str]) -> TomlTable<'a> {
        TomlTable::new(
            self.text,
            self.file.byte(self.text, 0),
            self.top.get_ref(),
            keys,
        )
    }

    /// All entries of the top table: the key, its location and its value.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Cursor<'_>, TomlValue<'_>)> {
        self.top.get_ref().iter().map(|(key, value)| {
            let at = self.file.byte(self.text, key.span().start);
            (
                &**key.get_ref(),
                at,
                TomlValue::new(self.text, &self.file, value),
            )
        })
    }
}

/// A value with its location.
#[derive(Clone, Copy)]
pub struct TomlValue<'t> {
    source: &'t str,
    /// The location of the value.
    pub at: Cursor<'t>,
    value: &'t DeValue<'t>,
    is_secret: bool,
}

impl<'t> TomlValue<'t> {
    fn new(source: &'t str, file: &Cursor<'t>, value: &'t Spanned<DeValue<'t>>) -> Self {
        let at = file.byte(source, value.span().start);
        Self {
            source,
            at,
            value: value.get_ref(),
            is_secret: false,
        }
    }

    /// This value, marked so that no diagnostic quotes it.
    #[must_use]
    pub fn secret(self) -> Self {
        Self {
            is_secret: true,
            ..self
        }
    }

    /// The text of a value that is neither an array nor a table.
    ///
    /// # Errors
    /// Which of the two it is.
    pub fn scalar(&self) -> Result<String, &'static str> {
        match self.value {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) => Ok(decimal(number)),
            DeValue::Float(number) => Ok(number.to_string()),
            DeValue::Boolean(truth) => Ok(truth.to_string()),
            DeValue::Datetime(time) => Ok(time.to_string()),
            DeValue::Array(_) => Err("an array"),
            DeValue::Table(_) => Err("a table"),
        }
    }

    /// Whether the value is a text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.value.is_str()
    }

    /// Whether the value is a table.
    #[must_use]
    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    fn expected(&self, what: impl Display) {
        self.unfit("wrong_type", what);
    }

    fn unfit(&self, code: &'static str, what: impl Display) {
        let found = if self.is_secret {
            kind(self.value)
        } else {
            describe(self.value)
        };
        self.at
            .error(code, format!("expected {what}, found {found}"));
    }

    /// The value as a text that is not empty.
    #[must_use]
    pub fn text(&self) -> Option<&'t str> {
        let text = self.value.as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            self.expected("a text that is not empty");
        }
        text
    }

    /// The value as a whole number in that range.
    pub fn integer<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        // The same message for a number beyond 64 bits and for one out of the range: both are out of range.
        let integer = integer_of(self.value).and_then(|integer| T::try_from(integer).ok());
        let within = integer.filter(|integer| range.contains(integer));
        if within.is_none() {
            let code = if self.value.is_integer() {
                "out_of_range"
            } else {
                "wrong_type"
            };
            let (least, most) = (range.start(), range.end());
            self.unfit(code, format_args!("a whole number from {least} to {most}"));
        }
        within
    }

    /// The value as true or false.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        let boolean = self.value.as_bool();
        if boolean.is_none() {
            self.expected("true or false");
        }
        boolean
    }

    /// The value as an exact number, which may be in quotes.
    #[must_use]
    pub fn decimal<T: FromStr>(&self) -> Option<T> {
        let decimal = match self.value {
            DeValue::String(text) => text.parse().ok(),
            // A float has the digits of the file here, so that it is read exactly.
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(_) => {
                integer_of(self.value).and_then(|integer| integer.to_string().parse().ok())
            }
            DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                None
            }
        };
        if decimal.is_none() {
            self.expected("a decimal number, like \"12.5\"");
        }
        decimal
    }

    /// The elements of the value as a list.
    #[must_use]
    pub fn list(&self) -> Option<Vec<Self>> {
        let list = self.value.as_array();
        if list.is_none() {
            self.expected("a list");
        }
        Some(list?.iter().map(|value| self.inner(value)).collect())
    }

    /// The value as a table whose keys are free.
    #[must_use]
    pub fn members(&self) -> Option<Vec<(&'t str, Self)>> {
        let table = self.any_table()?;
        Some(
            table
                .iter()
                .map(|(key, value)| (&**key.get_ref(), self.inner(value)))
                .collect(),
        )
    }

    /// The value as a table with no other keys than these.
    #[must_use]
    pub fn table(&self, keys: &[&str]) -> Option<TomlTable<'t>> {
        Some(TomlTable::new(
            self.source,
            self.at,
            self.any_table()?,
            keys,
        ))
    }

    fn any_table(&self) -> Option<&'t DeTable<'t>> {
        let table = self.value.as_table();
        if table.is_none() {
            self.expected("a table");
        }
        table
    }

    fn inner(&self, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self {
            // A secret list has secret elements.
            is_secret: self.is_secret,
            ..Self::new(self.source, &self.at, value)
        }
    }
}

/// A table of a file, its keys checked.
#[derive(Clone, Copy)]
pub struct TomlTable<'t> {
    source: &'t str,
    /// The location of the table.
    pub at: Cursor<'t>,
    entries: &'t DeTable<'t>,
}

impl<'t> TomlTable<'t> {
    /// A table whose keys are among `keys`; others are reported.
    #[must_use]
    pub fn new(source: &'t str, at: Cursor<'t>, entries: &'t DeTable<'t>, keys: &[&str]) -> Self {
        for key in entries
            .keys()
            .filter(|key| !keys.contains(&&**key.get_ref()))
        {
            let text = format!(
                "unknown key {}; expected one of {}",
                quoted(key.get_ref()),
                keys.join(", ")
            );
            at.byte(source, key.span().start).error("unknown_key", text);
        }
        Self {
            source,
            at,
            entries,
        }
    }

    /// The value of a key, if it is there.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<TomlValue<'t>> {
        self.entries
            .get(key)
            .map(|value| TomlValue::new(self.source, &self.at, value))
    }

    /// The value of a key; a missing one is reported.
    #[must_use]
    pub fn required(&self, key: &str) -> Option<TomlValue<'t>> {
        let entry = self.get(key);
        if entry.is_none() {
            self.at.error("missing", format!("`{key}` is missing"));
        }
        entry
    }

    /// The tables under a key that is written `[[…]]`, each with no other keys than these.
    #[must_use]
    pub fn tables(&self, key: &str, keys: &[&str]) -> Vec<TomlTable<'t>> {
        let Some(entry) = self.get(key) else {
            return Vec::new();
        };
        // `[name]` for `[[name]]` is a frequent slip, so it has a message of its own.
        if entry.value.is_table() {
            entry.expected("a list of tables, each headed in double brackets");
            return Vec::new();
        }
        let list = entry.list().unwrap_or_default();
        list.into_iter()
            .filter_map(|element| element.table(keys))
            .collect()
    }
}

/// A whole number in decimal digits, however it is written.
fn decimal(number: &DeInteger<'_>) -> String {
    match i128::from_str_radix(number.as_str(), number.radix()) {
        Ok(value) => value.to_string(),
        Err(_) => number.to_string(),
    }
}

fn integer_of(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    // TOML also has hexadecimal, octal and binary numbers.
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn describe(value: &DeValue<'_>) -> String {
    if let Some(text) = value.as_str() {
        return quoted(text);
    }
    if let Some(integer) = value.as_integer() {
        return integer.to_string();
    }
    if let Some(float) = value.as_float() {
        return float.to_string();
    }
    kind(value)
}

fn kind(value: &DeValue<'_>) -> String {
    format!("a value of type {}", value.type_str())
}
