//! Tolerant reading of JSON: a value of the wrong type becomes a [`Field::Wrong`] in its place and hides no
//! other error. Only a syntax error stops the reading.
//!
//! Names are `snake_case` or `lowerCamelCase`. `null` counts as absent. Whole numbers may be quoted or
//! written like `60.0`. Unknown members are skipped. A message that is also written leaves out absent
//! members, and writes unknown ones as they were read.

use std::{fmt, marker::PhantomData};

use serde::{
    Serialize, Serializer,
    de::{
        Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess,
        Visitor,
    },
};
use serde_json::value::RawValue;

use super::diagnostics::{Cursor, quoted};
use kernel::proto_json::{Scalar, Whole, integer, is_camel_case_of, whole};

/// The value of a member.
#[derive(Debug, Default)]
pub(super) enum Field<T> {
    /// Absent, or `null`.
    #[default]
    Absent,
    /// A value of the expected type.
    Given(T),
    /// A value of another type; the text says what was expected and what was found.
    Wrong(String),
    /// The member is given twice.
    Repeated,
}

impl<T> Field<T> {
    /// Whether the member is absent.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The value, if given; an invalid one is reported.
    pub(super) fn optional(self, at: &Cursor<'_>) -> Option<T> {
        match self {
            Self::Absent => None,
            Self::Given(value) => Some(value),
            Self::Wrong(text) => {
                at.error("wrong_type", text);
                None
            }
            Self::Repeated => {
                at.error("duplicate", "is given twice");
                None
            }
        }
    }

    /// The value; an invalid or missing one is reported.
    pub(super) fn required(self, at: &Cursor<'_>) -> Option<T> {
        if self.is_absent() {
            at.error("missing", "is missing");
        }
        self.optional(at)
    }

    /// Records that the member is given twice: neither value can be preferred.
    pub(super) fn twice(&mut self) {
        *self = Self::Repeated;
    }
}

impl<T> From<Option<T>> for Field<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Given)
    }
}

impl Field<String> {
    /// A text that is not empty.
    pub(super) fn id(self, at: &Cursor<'_>) -> Option<String> {
        let id = self.required(at)?;
        if id.is_empty() {
            at.error("empty", "is empty");
            return None;
        }
        Some(id)
    }
}

impl<T> Field<Vec<T>> {
    /// Whether the list is absent or empty.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Given(list) => list.is_empty(),
            Self::Wrong(_) | Self::Repeated => false,
        }
    }
}

/// The valid elements of a list, each with its index; others are reported.
pub(super) fn elements<T>(list: Field<Vec<Field<T>>>, at: &Cursor<'_>) -> Vec<(usize, T)> {
    let list = list
        .optional(at)
        .unwrap_or_default()
        .into_iter()
        .enumerate();
    list.filter_map(|(index, element)| Some((index, element.required(&at.index(index))?)))
        .collect()
}

/// A value that a field can have.
pub(super) trait FromJson: Sized {
    /// The expected type, as the text after "expected".
    const EXPECTED: &'static str;

    /// Whether it may be a number. Numbers are read from their text, because a conversion could change
    /// them.
    const IS_NUMBER: bool = false;

    /// The value as a text.
    fn from_text(_text: &str) -> Option<Self> {
        None
    }

    /// The value as a whole number, where [`Self::IS_NUMBER`].
    fn from_integer(_integer: i128) -> Option<Self> {
        None
    }

    /// The value as `true` or `false`.
    fn from_boolean(_boolean: bool) -> Option<Self> {
        None
    }

    /// The value as a list.
    fn from_list<'de, A: SeqAccess<'de>>(list: A) -> Result<Option<Self>, A::Error> {
        skip_list(list).map(|()| None)
    }

    /// The value as an object.
    fn from_object<'de, A: MapAccess<'de>>(object: A) -> Result<Option<Self>, A::Error> {
        skip_object(object).map(|()| None)
    }
}

impl FromJson for String {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl FromJson for i64 {
    const EXPECTED: &'static str = <Self as Whole>::EXPECTED;
    const IS_NUMBER: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        whole(text)
    }

    fn from_integer(integer: i128) -> Option<Self> {
        integer.try_into().ok()
    }
}

impl FromJson for u64 {
    const EXPECTED: &'static str = <Self as Whole>::EXPECTED;
    const IS_NUMBER: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        whole(text)
    }

    fn from_integer(integer: i128) -> Option<Self> {
        integer.try_into().ok()
    }
}

impl FromJson for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_boolean(boolean: bool) -> Option<Self> {
        Some(boolean)
    }
}

impl<T: FromJson> FromJson for Vec<Field<T>> {
    const EXPECTED: &'static str = "a list";

    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut elements = Self::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Some(elements))
    }
}

impl<T: Serialize> Serialize for Field<T> {
    /// Only what is given is ever written.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Given(value) => value.serialize(serializer),
            // Never reached: absent members are left out, and a catalogue with invalid ones is discarded.
            Self::Absent | Self::Wrong(_) | Self::Repeated => serializer.serialize_unit(),
        }
    }
}

/// Unknown members, by name.
pub(super) type Others = Vec<(String, Box<RawValue>)>;

/// Declares an object of a feed by its members, each a [`Field`] of the given type. A member whose
/// name is no identifier is written `identifier as "name"`. An object that is also written has
/// `written` in front and keeps its [`Others`]; one that only keeps them has `watched` in front.
macro_rules! message {
    (@read [$($others:ident)?] $(#[$doc:meta])* $message:ident {
        $($field:ident $(as $name:literal)?: $shape:ty),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $message {
            $(pub(crate) $field: $crate::json::Field<$shape>,)*
            $(pub(crate) $others: $crate::json::Others,)?
        }

        impl $crate::json::FromJson for $message {
            const EXPECTED: &'static str = "an object";

            fn from_object<'de, A: serde::de::MapAccess<'de>>(
                mut object: A,
            ) -> Result<Option<Self>, A::Error> {
                const NAMES: &[&str] = &[$(message!(@name $field $($name)?)),*];
                let mut message = Self::default();
                let mut other = String::new();
                let mut given = [false; NAMES.len()];
                loop {
                    let among = $crate::json::KeyAmong(NAMES, &mut other);
                    let Some(found) = object.next_key_seed(among)? else { return Ok(Some(message)) };
                    // `null` leaves no trace in its field, and is a value that was given all the same.
                    let is_second = found.is_some_and(|(at, _)| std::mem::replace(&mut given[at], true));
                    let key = found.map(|(_, name)| name);
                    $(if key == Some(message!(@name $field $($name)?)) {
                        let value = object.next_value()?;
                        if is_second {
                            message.$field.twice();
                        } else {
                            message.$field = value;
                        }
                        continue;
                    })*
                    $(if key.is_none() {
                        message.$others.push((std::mem::take(&mut other), object.next_value()?));
                        continue;
                    })?
                    object.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
    };
    (@name $field:ident $name:literal) => { $name };
    (@name $field:ident) => { stringify!($field) };
    ($(#[$doc:meta])* written $message:ident { $($field:ident: $shape:ty),* $(,)? }) => {
        message! { @read [others] $(#[$doc])* $message { $($field: $shape),* } }

        impl serde::Serialize for $message {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut members = serializer.serialize_map(None)?;
                $(if !self.$field.is_absent() {
                    serde::ser::SerializeMap::serialize_entry(&mut members, stringify!($field), &self.$field)?;
                })*
                for (name, value) in &self.others {
                    serde::ser::SerializeMap::serialize_entry(&mut members, name, value)?;
                }
                serde::ser::SerializeMap::end(members)
            }
        }
    };
    ($(#[$doc:meta])* watched $message:ident { $($members:tt)* }) => {
        message! { @read [others] $(#[$doc])* $message { $($members)* } }
    };
    ($(#[$doc:meta])* $message:ident { $($members:tt)* }) => {
        message! { @read [] $(#[$doc])* $message { $($members)* } }
    };
}
pub(super) use message;

/// Reads the name of a member: its index and name if it is one of these, or else the text as it is.
pub(super) struct KeyAmong<'a>(pub(super) &'a [&'static str], pub(super) &'a mut String);

impl<'de> DeserializeSeed<'de> for KeyAmong<'_> {
    type Value = Option<(usize, &'static str)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeyAmong<'_> {
    type Value = Option<(usize, &'static str)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let Self(names, other) = self;
        // The published names first: they are the common case, and the comparison is cheaper.
        let snake = names.iter().position(|name| *name == key);
        let known = snake.or_else(|| names.iter().position(|name| is_camel_case_of(key, name)));
        if known.is_none() {
            key.clone_into(other);
        }
        Ok(known.map(|at| (at, names[at])))
    }
}

/// A receiver of one value of any type.
pub(super) trait Receive<'de>: Sized {
    /// The result.
    type Output;

    /// Receives a value of an unexpected type, with its description.
    fn unexpected(self, found: &str) -> Self::Output;

    /// Receives `null`.
    fn null(self) -> Self::Output {
        self.unexpected("null")
    }

    /// Receives a text.
    fn text(self, text: &str) -> Self::Output {
        self.unexpected(&quoted(text))
    }

    /// Receives `true` or `false`.
    fn boolean(self, boolean: bool) -> Self::Output {
        self.unexpected(&boolean.to_string())
    }

    /// Receives a list.
    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Output, A::Error> {
        skip_list(list)?;
        Ok(self.unexpected("a list"))
    }

    /// Receives an object.
    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Self::Output, A::Error> {
        skip_object(object)?;
        Ok(self.unexpected("an object"))
    }
}

/// Reads a value of any type for a [`Receive`].
pub(super) struct AnyValue<R>(pub(super) R);

impl<'de, R: Receive<'de>> DeserializeSeed<'de> for AnyValue<R> {
    type Value = R::Output;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: Receive<'de>> Visitor<'de> for AnyValue<R> {
    type Value = R::Output;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(self.0.null())
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.text(text))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Self::Value, E> {
        Ok(self.0.unexpected(&integer.to_string()))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Self::Value, E> {
        Ok(self.0.unexpected(&integer.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(self.0.unexpected(&number.to_string()))
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Self::Value, E> {
        Ok(self.0.boolean(boolean))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        self.0.list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        self.0.object(object)
    }
}

/// Makes a [`Field`] of a value of any type.
struct ToField<T>(PhantomData<T>);

impl<T: FromJson> ToField<T> {
    fn field(value: Option<T>, found: impl FnOnce() -> String) -> Field<T> {
        match value {
            Some(value) => Field::Given(value),
            None => Field::Wrong(format!("expected {}, found {}", T::EXPECTED, found())),
        }
    }
}

impl<'de, T: FromJson> Receive<'de> for ToField<T> {
    type Output = Field<T>;

    fn unexpected(self, found: &str) -> Field<T> {
        Self::field(None, || found.to_owned())
    }

    fn null(self) -> Field<T> {
        Field::Absent
    }

    fn text(self, text: &str) -> Field<T> {
        Self::field(T::from_text(text), || quoted(text))
    }

    fn boolean(self, boolean: bool) -> Field<T> {
        Self::field(T::from_boolean(boolean), || boolean.to_string())
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<Field<T>, A::Error> {
        Ok(Self::field(T::from_list(list)?, || "a list".to_owned()))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Field<T>, A::Error> {
        Ok(Self::field(T::from_object(object)?, || {
            "an object".to_owned()
        }))
    }
}

impl<'de, T: FromJson> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !T::IS_NUMBER {
            return AnyValue(ToField(PhantomData)).deserialize(deserializer);
        }
        // The raw text, because the parser would turn 9007199254740993.0 into a rounded float.
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let scalar = Scalar::of(json.get());
        let value = match &scalar {
            Scalar::Null => return Ok(Self::Absent),
            Scalar::Number(number) => integer(number).and_then(T::from_integer),
            Scalar::Text(text) => {
                // The name first: numbers of enums may come as strings, too.
                T::from_text(text).or_else(|| integer(text).and_then(T::from_integer))
            }
            Scalar::Other(_) => None,
        };
        Ok(ToField::field(value, || scalar.quoted()))
    }
}

/// An object with its text.
#[derive(Debug)]
pub(super) struct Quoted<T> {
    pub(super) read: Field<T>,
    pub(super) text: Box<RawValue>,
}

impl<'de, T: FromJson> Deserialize<'de> for Quoted<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        // Parsed a second time: the first pass only delimits the text, which is kept for exports.
        let read = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        Ok(Self { read, text })
    }
}

fn skip_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    // The rest of the value must be consumed, or the parser would continue in the middle of it.
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<(), A::Error> {
    while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}
