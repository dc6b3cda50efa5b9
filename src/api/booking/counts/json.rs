//! Counting over the text of a message in JSON.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    ElementCount,
    fields::{CountedField, ElementKind, ElementLimit, FieldContent, RepeatedFields},
};
use crate::api::booking::violations::FieldPath;

/// Counts the elements of a message.
///
/// # Errors
/// That the text is not JSON.
pub(super) fn count(
    fields: &'static RepeatedFields,
    text: &[u8],
    total: &mut ElementCount<'_>,
) -> Result<(), serde_json::Error> {
    let message = JsonMessage {
        fields,
        path: &FieldPath::Top,
        total,
    };
    message.deserialize(&mut serde_json::Deserializer::from_slice(text))
}

/// A message in JSON.
struct JsonMessage<'w, 'l> {
    fields: &'static RepeatedFields,
    path: &'w FieldPath<'w>,
    total: &'w mut ElementCount<'l>,
}

impl<'de> DeserializeSeed<'de> for JsonMessage<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// What may stand anywhere and holds no elements.
macro_rules! nothing_to_count {
    ($($visit:ident: $Type:ty),+) => {
        $(
            fn $visit<E>(self, _: $Type) -> Result<(), E> {
                Ok(())
            }
        )+

        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("anything")
        }
    };
}

impl<'de> Visitor<'de> for JsonMessage<'_, '_> {
    type Value = ();

    nothing_to_count!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(member) = members.next_key_seed(FieldName(self.fields))? {
            let Some(member) = member else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let path = FieldPath::Key(self.path, member.name);
            match &member.of {
                FieldContent::One(fields) => {
                    members.next_value_seed(JsonMessage {
                        fields,
                        path: &path,
                        total: self.total,
                    })?;
                }
                FieldContent::Many(limit, elements) => members.next_value_seed(JsonElements {
                    limit: *limit,
                    elements: *elements,
                    path: &path,
                    total: self.total,
                })?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// The name of a field.
struct FieldName(&'static RepeatedFields);

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Option<&'static CountedField>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Option<&'static CountedField>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self
            .0
            .0
            .iter()
            .find(|member| member.name == name || member.json_name == name))
    }
}

/// A repeated field in JSON.
struct JsonElements<'w, 'l> {
    limit: ElementLimit,
    elements: ElementKind,
    path: &'w FieldPath<'w>,
    total: &'w mut ElementCount<'l>,
}

impl<'de> DeserializeSeed<'de> for JsonElements<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl JsonElements<'_, '_> {
    fn close(self, count: usize) {
        self.total.elements += count;
        self.total.check_limit(self.path, self.limit, count);
    }
}

impl<'de> Visitor<'de> for JsonElements<'_, '_> {
    type Value = ();

    nothing_to_count!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut count = 0;
        loop {
            let is_one = match self.elements {
                // Beyond the limit elements are only counted: their contents change no response.
                ElementKind::Shaped(fields) if count < self.limit.of(self.total.limits) => {
                    let path = FieldPath::Index(self.path, count);
                    elements
                        .next_element_seed(JsonMessage {
                            fields,
                            path: &path,
                            total: self.total,
                        })?
                        .is_some()
                }
                ElementKind::Shaped(_)
                | ElementKind::Plain
                | ElementKind::Packed
                | ElementKind::Map => elements.next_element::<IgnoredAny>()?.is_some(),
            };
            if !is_one {
                break;
            }
            count += 1;
        }
        self.close(count);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut count = 0;
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            count += 1;
        }
        // An object in the place of a list is an error that the reader reports.
        if matches!(self.elements, ElementKind::Map) {
            self.close(count);
        }
        Ok(())
    }
}
