//! TOML with the line of everything, read so that one wrong value hides no other.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistakes::{Place, quoted};

type Value<'t> = Spanned<DeValue<'t>>;

/// Reads a file, whose top has no other keys than these. Nothing of a text that is no TOML is
/// handed on.
pub fn read(text: &str, file: &Place<'_>, keys: &[&str], hand_on: impl FnOnce(&Table<'_>)) {
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let (document, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(start);
    for error in &errors {
        file.offset(text, start(error))
            .mistake(format!("{}; this is not TOML", error.message()));
    }
    if errors.is_empty() {
        hand_on(&Table::new(
            text,
            file.offset(text, 0),
            document.get_ref(),
            keys,
        ));
    }
}

/// A value of a file and where it stands.
#[derive(Clone, Copy)]
pub struct Entry<'t> {
    source: &'t str,
    pub at: Place<'t>,
    value: &'t DeValue<'t>,
    is_secret: bool,
}

impl<'t> Entry<'t> {
    fn new(source: &'t str, file: &Place<'t>, value: &'t Value<'t>) -> Self {
        let at = file.offset(source, value.span().start);
        Self {
            source,
            at,
            value: value.get_ref(),
            is_secret: false,
        }
    }

    /// The same, which no mistake quotes.
    pub fn secret(self) -> Self {
        Self {
            is_secret: true,
            ..self
        }
    }

    fn expected(&self, what: impl Display) {
        let found = if self.is_secret {
            kind(self.value)
        } else {
            describe(self.value)
        };
        self.at.mistake(format!("expected {what}, found {found}"));
    }

    /// The value as a text that is not empty.
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
        let integer = integer_of(self.value).and_then(|integer| T::try_from(integer).ok());
        let within = integer.filter(|integer| range.contains(integer));
        if within.is_none() {
            self.expected(format_args!(
                "a whole number from {} to {}",
                range.start(),
                range.end()
            ));
        }
        within
    }

    /// The value as true or false.
    pub fn boolean(&self) -> Option<bool> {
        let boolean = self.value.as_bool();
        if boolean.is_none() {
            self.expected("true or false");
        }
        boolean
    }

    /// The value as an exact number, which may be in quotes.
    pub fn decimal<T: FromStr>(&self) -> Option<T> {
        let digits = self.value.as_str().map(str::to_owned);
        let digits =
            digits.or_else(|| self.value.as_float().map(|float| float.as_str().to_owned()));
        let digits = digits.or_else(|| integer_of(self.value).map(|integer| integer.to_string()));
        let decimal = digits.and_then(|digits| digits.parse().ok());
        if decimal.is_none() {
            self.expected("a decimal number, like \"12.5\"");
        }
        decimal
    }

    /// The elements of the value as a list.
    pub fn list(&self) -> Option<Vec<Self>> {
        let list = self.value.as_array();
        if list.is_none() {
            self.expected("a list");
        }
        Some(list?.iter().map(|value| self.inner(value)).collect())
    }

    /// The value as a table whose keys are free.
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
    pub fn table(&self, keys: &[&str]) -> Option<Table<'t>> {
        Some(Table::new(self.source, self.at, self.any_table()?, keys))
    }

    fn any_table(&self) -> Option<&'t DeTable<'t>> {
        let table = self.value.as_table();
        if table.is_none() {
            self.expected("a table");
        }
        table
    }

    fn inner(&self, value: &'t Value<'t>) -> Self {
        Self {
            is_secret: self.is_secret,
            ..Self::new(self.source, &self.at, value)
        }
    }
}

/// A table of a file, its keys checked.
#[derive(Clone, Copy)]
pub struct Table<'t> {
    source: &'t str,
    pub at: Place<'t>,
    entries: &'t DeTable<'t>,
}

impl<'t> Table<'t> {
    /// A table whose keys are among `keys`; others are reported.
    pub fn new(source: &'t str, at: Place<'t>, entries: &'t DeTable<'t>, keys: &[&str]) -> Self {
        for key in entries
            .keys()
            .filter(|key| !keys.contains(&&**key.get_ref()))
        {
            let text = format!(
                "unknown key {}; expected one of {}",
                quoted(key.get_ref()),
                keys.join(", ")
            );
            at.offset(source, key.span().start).mistake(text);
        }
        Self {
            source,
            at,
            entries,
        }
    }

    /// What stands under a key, if anything does.
    pub fn get(&self, key: &str) -> Option<Entry<'t>> {
        self.entries
            .get(key)
            .map(|value| Entry::new(self.source, &self.at, value))
    }

    /// What stands under a key; that nothing does is reported.
    pub fn required(&self, key: &str) -> Option<Entry<'t>> {
        let entry = self.get(key);
        if entry.is_none() {
            self.at.mistake(format!("`{key}` is missing"));
        }
        entry
    }

    /// The tables under a key that is written `[[…]]`, each with no other keys than these.
    pub fn tables(&self, key: &str, keys: &[&str]) -> Vec<Table<'t>> {
        let Some(entry) = self.get(key) else {
            return Vec::new();
        };
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

fn integer_of(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
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
