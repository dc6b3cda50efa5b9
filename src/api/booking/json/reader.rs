//! Transcoding of JSON into the bytes of its protobuf message. A value that does not fit its field
//! is reported with its path and left out; only malformed JSON ends the reading.
//!
//! Names may be `snake_case` or `lowerCamelCase`, `null` counts as absent, and a number may have any
//! form whose value is whole. Every enum keeps a number without a name. An open message skips
//! unknown members, and leaves out an unknown name of an enum unless decisions depend on the field;
//! both are errors in any other message.

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use crate::api::booking::{
    requests::acts_on,
    schema::{EnumSchema, FieldKind, FieldSchema, MessageSchema},
    violations::{FieldPath, Violations},
};
use kernel::{
    diagnostics::quoted,
    proto_json::{Scalar, Whole, integer, whole},
};

/// The wire types of protocol buffers that are written here.
// Only these two: the contract has neither floating-point numbers nor fixed-size integers.
const VARINT: u8 = 0;
const DELIMITED: u8 = 2;

/// Bytes reserved for the length of a message: a varint of 35 bits, enough for any request.
const LENGTH_BYTES: usize = 5;

/// Nanoseconds of a second.
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Characters of an unknown name in its error.
const MAX_NAME_CHARS: usize = 40;

/// A time, as the text after "expected".
const TIME: &str = "a time such as \"2026-12-01T10:00:00Z\"";

/// A field mask, as the text after "expected".
const MASK: &str = "names of fields with commas between";

/// The result of reading a text.
#[derive(Debug, Default)]
pub(super) struct WireBuffer {
    /// The message.
    pub(super) bytes: Vec<u8>,
    /// Values that do not fit their fields.
    pub(super) misfits: Violations,
    /// The value that stands in the place of the object, if it is none.
    pub(super) no_object: Option<String>,
}

/// Reads a JSON text as a message. `fixed` is a text that the message has already, with its field.
pub(super) fn read(
    text: &str,
    message: &'static MessageSchema,
    fixed: Option<(&str, &str)>,
) -> Result<WireBuffer, serde_json::Error> {
    let mut read = WireBuffer::default();
    let fixed = fixed.and_then(|(name, value)| {
        let at = message.fields.iter().position(|field| field.name == name)?;
        read.text(message.fields[at].number, value);
        Some(at)
    });
    let mut json = serde_json::Deserializer::from_str(text);
    let top = ObjectReader {
        read: &mut read,
        message,
        path: &FieldPath::Top,
        fixed,
    };
    if let Err(found) = top.deserialize(&mut json)? {
        read.no_object = Some(found);
    }
    // Anything after the object is an error, such as a second message.
    json.end()?;
    Ok(read)
}

impl WireBuffer {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            // `to_le_bytes` takes the lowest byte without a cast that could truncate in silence.
            self.bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.bytes.push(value.to_le_bytes()[0]);
    }

    fn tag(&mut self, number: u32, wire_type: u8) {
        // Cannot overflow: field numbers have at most 29 bits.
        self.varint(u64::from(number << 3) | u64::from(wire_type));
    }

    fn number(&mut self, number: u32, value: i64) {
        self.tag(number, VARINT);
        // Two's complement: negative numbers take ten bytes, as the format demands for int32 and
        // int64.
        self.varint(value.cast_unsigned());
    }

    fn text(&mut self, number: u32, text: &str) {
        self.tag(number, DELIMITED);
        // Lossless: no supported platform has pointers of more than 64 bits.
        self.varint(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Writes a nested message. Its length is known only after its fields, so a fixed number of
    /// bytes is reserved for it.
    fn message<T>(&mut self, number: u32, fields: impl FnOnce(&mut Self) -> T) -> T {
        self.tag(number, DELIMITED);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; LENGTH_BYTES]);
        let done = fields(self);
        // Never negative: `fields` only appends, or truncates to a length that it has seen itself.
        let length = self.bytes.len() - at - LENGTH_BYTES;
        for (place, byte) in self.bytes[at..at + LENGTH_BYTES].iter_mut().enumerate() {
            // A padded varint: every byte but the last has the continuation bit. Decoders accept
            // that form.
            let more = if place + 1 < LENGTH_BYTES { 0x80 } else { 0 };
            *byte = (length >> (7 * place)).to_le_bytes()[0] & 0x7f | more;
        }
        done
    }

    fn misfit(&mut self, path: &FieldPath<'_>, rule: &str) {
        // Collected and not returned, so that a client learns all of its errors from one response.
        self.misfits.misfit(path, rule);
    }
}

/// Reads an object; the error describes the value that stands in its place.
struct ObjectReader<'r, 'p> {
    read: &'r mut WireBuffer,
    message: &'static MessageSchema,
    path: &'p FieldPath<'p>,
    /// The index of a field that the message has already.
    fixed: Option<usize>,
}

impl<'de> DeserializeSeed<'de> for ObjectReader<'_, '_> {
    type Value = Result<(), String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(Expecting("an object", self))
    }
}

/// A reader that accepts one form of JSON value and describes every other one.
trait AcceptsJson<'de>: Sized {
    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Result<(), String>, A::Error> {
        // Read to its end, because the members after it are still to be read.
        skip_object(object).map(|()| Err("an object".to_owned()))
    }

    fn list<A: SeqAccess<'de>>(self, list: A) -> Result<Result<(), String>, A::Error> {
        skip_list(list).map(|()| Err("a list".to_owned()))
    }

    fn text(self, text: &str) -> Result<(), String> {
        Err(quoted(text))
    }

    fn boolean(self, boolean: bool) -> Result<(), String> {
        Err(boolean.to_string())
    }
}

/// A visitor for a value of any form, with a description of the expected one.
struct Expecting<T>(&'static str, T);

impl<'de, T: AcceptsJson<'de>> Visitor<'de> for Expecting<T> {
    type Value = Result<(), String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Err("null".to_owned()))
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Self::Value, E> {
        Ok(self.1.boolean(boolean))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Err(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Err(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Err(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.1.text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        self.1.list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        self.1.object(object)
    }
}

impl<'de> AcceptsJson<'de> for ObjectReader<'_, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Result<(), String>, A::Error> {
        let Self {
            read,
            message,
            path,
            fixed,
        } = self;
        let mut members = MembersSeen {
            message,
            given: 0,
            chosen: 0,
        };
        while let Some(known) = object.next_key_seed(MemberName(message))? {
            let at = match known {
                Ok(at) => at,
                Err(name) => {
                    // Skipped in an open message, so that clients of a later contract are still
                    // served.
                    if !message.is_open {
                        read.misfit(&FieldPath::Key(path, &name), &message.unknown_member());
                    }
                    object.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let field = &message.fields[at];
            let within = FieldPath::Key(path, field.name);
            if fixed == Some(at) {
                read.misfit(&within, "is given by the URL");
                object.next_value::<IgnoredAny>()?;
                continue;
            }
            // Rejected, because which of two values counts differs from one JSON library to the
            // next.
            if !members.note(at) {
                read.misfit(&within, "is given twice");
                object.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = FieldReader {
                read: &mut *read,
                message,
                field,
                path: &within,
            };
            // `null` counts as absent, so it chooses nothing.
            let is_there = object.next_value_seed(value)?;
            if !is_there {
                continue;
            }
            if let Some(choice) = members.second_choice(field) {
                read.misfit(&FieldPath::Key(path, choice), &members.one_of(field));
            }
        }
        Ok(Ok(()))
    }
}

/// The members that an object has had so far, as bit sets.
struct MembersSeen {
    message: &'static MessageSchema,
    given: u64,
    chosen: u64,
}

impl MembersSeen {
    /// Records a member by its index. Returns whether it is the first of that name.
    fn note(&mut self, at: usize) -> bool {
        // The bit exists: the build fails for a message of more than 64 fields (`MAX_FIELDS`).
        let bit = 1 << at;
        let is_first = self.given & bit == 0;
        self.given |= bit;
        is_first
    }

    /// The choice (`oneof`) of the field, if another member of it was given before.
    fn second_choice(&mut self, field: &FieldSchema) -> Option<&'static str> {
        let choice = field.choice?;
        let bit = 1 << choice;
        let is_second = self.chosen & bit != 0;
        self.chosen |= bit;
        is_second.then_some(self.message.choices[choice])
    }

    fn one_of(&self, field: &FieldSchema) -> String {
        let fields = self
            .message
            .fields
            .iter()
            .filter(|other| other.choice == field.choice);
        let names: Vec<_> = fields.map(|other| other.name).collect();
        format!(
            "is given as {}; only one of them may be",
            names.join(" and as ")
        )
    }
}

impl MessageSchema {
    /// The rule of a member that the message does not have.
    fn unknown_member(&self) -> String {
        let names: Vec<_> = self.fields.iter().map(|field| field.name).collect();
        match names[..] {
            [] => "is not a field: there is none here".to_owned(),
            [..] => format!("is not a field; expected one of {}", names.join(", ")),
        }
    }
}

/// Reads the name of a member as the index of its field. The error is the beginning of an unknown
/// name; empty where nobody wants it.
struct MemberName(&'static MessageSchema);

impl<'de> DeserializeSeed<'de> for MemberName {
    type Value = Result<usize, String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for MemberName {
    type Value = Result<usize, String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let mut fields = self.0.fields.iter();
        // Linear: a message has few fields, and no map would have to be built for it.
        let at = fields.position(|field| field.name == name || field.json_name == name);
        Ok(match at {
            Some(at) => Ok(at),
            None if self.0.is_open => Err(String::new()),
            None => Err(name.chars().take(MAX_NAME_CHARS).collect()),
        })
    }
}

/// Reads the value of a field. Returns whether there is one.
struct FieldReader<'r, 'p> {
    read: &'r mut WireBuffer,
    /// The message that the field belongs to.
    message: &'static MessageSchema,
    field: &'static FieldSchema,
    path: &'p FieldPath<'p>,
}

impl<'de> DeserializeSeed<'de> for FieldReader<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        if self.field.is_list {
            let Self {
                read,
                message,
                field,
                path,
            } = self;
            let elements = ListReader {
                read: &mut *read,
                message,
                field,
                path,
            };
            let taken = deserializer.deserialize_any(Expecting("a list", elements))?;
            return Ok(read.noted(path, "a list", taken));
        }
        self.one(deserializer)
    }
}

impl FieldReader<'_, '_> {
    /// Reads the one value of a field, or one of its elements.
    fn one<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let Self {
            read,
            message,
            field,
            path,
        } = self;
        let number = field.number;
        match field.kind {
            FieldKind::Int32 => {
                scalar(deserializer, |value| read.whole::<i32>(number, path, value))
            }
            FieldKind::Int64 => {
                scalar(deserializer, |value| read.whole::<i64>(number, path, value))
            }
            FieldKind::Uint32 => {
                scalar(deserializer, |value| read.whole::<u32>(number, path, value))
            }
            FieldKind::Enum(known) => scalar(deserializer, |value| {
                let is_acted_on = !message.is_open || acts_on(message.name, field.name);
                read.name(number, path, value, known, is_acted_on)
            }),
            FieldKind::Time => {
                let taken = TimeReader {
                    read: &mut *read,
                    number,
                };
                let taken = deserializer.deserialize_any(Expecting(TIME, taken))?;
                Ok(read.noted(path, TIME, taken))
            }
            FieldKind::Mask => {
                let taken = MaskReader {
                    read: &mut *read,
                    number,
                };
                let taken = deserializer.deserialize_any(Expecting(MASK, taken))?;
                Ok(read.noted(path, MASK, taken))
            }
            FieldKind::Text => {
                let taken = deserializer.deserialize_any(Expecting(
                    "a text",
                    TextReader {
                        read: &mut *read,
                        number,
                    },
                ))?;
                // Only elements: a single field that is left out has its default anyway.
                if taken.is_err() && path.is_element() {
                    // An empty text in its place, so that the elements after it keep their indexes.
                    read.text(number, "");
                }
                Ok(read.noted(path, "a text", taken))
            }
            FieldKind::Boolean => {
                let taken = BooleanReader {
                    read: &mut *read,
                    number,
                };
                let taken = deserializer.deserialize_any(Expecting("true or false", taken))?;
                Ok(read.noted(path, "true or false", taken))
            }
            FieldKind::Message(message) => {
                // Before the tag, so that a discarded message leaves no trace.
                let start = read.bytes.len();
                let taken = read.message(number, |read| {
                    ObjectReader {
                        read,
                        message,
                        path,
                        fixed: None,
                    }
                    .deserialize(deserializer)
                })?;
                // A value that is no object leaves an empty message, which is removed. An element
                // keeps it, so that those after it keep their indexes.
                if taken.is_err() && !path.is_element() {
                    read.bytes.truncate(start);
                }
                Ok(read.noted(path, "an object", taken))
            }
            FieldKind::Texts => {
                let taken = TextMapReader {
                    read: &mut *read,
                    number,
                    path,
                };
                let taken = deserializer.deserialize_any(Expecting("an object", taken))?;
                Ok(read.noted(path, "an object", taken))
            }
        }
    }
}

/// Reads a scalar by its text: as a floating-point number, a whole number of 64 bits would lose
/// digits.
fn scalar<'de, D: Deserializer<'de>>(
    deserializer: D,
    take: impl FnOnce(&Scalar<'_>) -> bool,
) -> Result<bool, D::Error> {
    // Borrowed from the text: a number costs no allocation.
    let json = <&RawValue>::deserialize(deserializer)?;
    Ok(take(&Scalar::of(json.get())))
}

impl WireBuffer {
    /// Reports a value of another form than expected. `null` counts as absent, except in a list.
    fn noted(&mut self, path: &FieldPath<'_>, expected: &str, taken: Result<(), String>) -> bool {
        match taken {
            Ok(()) => true,
            Err(found) if found == "null" && !path.is_element() => false,
            Err(found) => {
                self.misfit(
                    path,
                    &format!("does not fit: expected {expected}, found {found}"),
                );
                true
            }
        }
    }

    fn whole<T: Whole + Into<i64>>(
        &mut self,
        number: u32,
        path: &FieldPath<'_>,
        value: &Scalar<'_>,
    ) -> bool {
        let read = match value {
            Scalar::Number(text) => whole::<T>(text),
            // The JSON mapping writes 64-bit numbers as texts, because JavaScript would round them.
            Scalar::Text(text) => whole::<T>(text),
            Scalar::Null | Scalar::Other(_) => None,
        };
        let taken = read
            .map(|read| self.number(number, read.into()))
            .ok_or_else(|| value.quoted());
        self.noted(path, T::EXPECTED, taken)
    }

    /// Reads an enum by name or number. An unknown name is left out unless decisions depend on the
    /// field.
    fn name(
        &mut self,
        number: u32,
        path: &FieldPath<'_>,
        value: &Scalar<'_>,
        known: &EnumSchema,
        is_acted_on: bool,
    ) -> bool {
        let numbered = |text: &str| integer(text).map(i32::try_from);
        let read = match value {
            Scalar::Number(text) => numbered(text),
            // The name first: a name never looks like a number.
            Scalar::Text(text) => known.number(text).map(Ok).or_else(|| numbered(text)),
            Scalar::Null | Scalar::Other(_) => None,
        };
        match (read, value) {
            (Some(Ok(read)), _) => self.number(number, read.into()),
            // A later contract may have the name, and nothing here depends on it.
            (None, Scalar::Text(_)) if !is_acted_on => {}
            (None, Scalar::Text(text)) => {
                let rule = format!(
                    "has the name {}, which the contract does not know",
                    quoted(text)
                );
                self.misfit(path, &rule);
            }
            (None | Some(Err(_)), _) => {
                return self.noted(path, "a name or a number of 32 bits", Err(value.quoted()));
            }
        }
        true
    }
}

/// Reads the elements of a list.
struct ListReader<'r, 'p> {
    read: &'r mut WireBuffer,
    message: &'static MessageSchema,
    field: &'static FieldSchema,
    path: &'p FieldPath<'p>,
}

impl<'de> AcceptsJson<'de> for ListReader<'_, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Result<(), String>, A::Error> {
        let Self {
            read,
            message,
            field,
            path,
        } = self;
        // Ends with the list; the index is for the paths of errors.
        for index in 0.. {
            let path = FieldPath::Index(path, index);
            let value = ElementReader(FieldReader {
                read: &mut *read,
                message,
                field,
                path: &path,
            });
            if list.next_element_seed(value)?.is_none() {
                break;
            }
        }
        Ok(Ok(()))
    }
}

struct ElementReader<'r, 'p>(FieldReader<'r, 'p>);

impl<'de> DeserializeSeed<'de> for ElementReader<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        self.0.one(deserializer)
    }
}

struct TextReader<'r> {
    read: &'r mut WireBuffer,
    number: u32,
}

impl AcceptsJson<'_> for TextReader<'_> {
    fn text(self, text: &str) -> Result<(), String> {
        self.read.text(self.number, text);
        Ok(())
    }
}

struct BooleanReader<'r> {
    read: &'r mut WireBuffer,
    number: u32,
}

impl AcceptsJson<'_> for BooleanReader<'_> {
    fn boolean(self, boolean: bool) -> Result<(), String> {
        self.read.number(self.number, boolean.into());
        Ok(())
    }
}

/// Reads a moment as its seconds and nanoseconds.
struct TimeReader<'r> {
    read: &'r mut WireBuffer,
    number: u32,
}

impl AcceptsJson<'_> for TimeReader<'_> {
    fn text(self, text: &str) -> Result<(), String> {
        let Self { read, number } = self;
        let time: jiff::Timestamp = text.parse().map_err(|_| quoted(text))?;
        let nanos = time.subsec_nanosecond();
        // The nanoseconds of a message are never below zero, also before 1970.
        let borrowed = i64::from(nanos < 0);
        read.message(number, |read| {
            read.number(1, time.as_second() - borrowed);
            read.number(2, i64::from(nanos) + borrowed * NANOS_PER_SECOND);
        });
        Ok(())
    }
}

/// Reads names of fields, which may be in `lowerCamelCase`.
struct MaskReader<'r> {
    read: &'r mut WireBuffer,
    number: u32,
}

impl AcceptsJson<'_> for MaskReader<'_> {
    fn text(self, text: &str) -> Result<(), String> {
        let Self { read, number } = self;
        read.message(number, |read| {
            for name in text.split(',').filter(|name| !name.is_empty()) {
                read.text(1, &snake_case(name));
            }
        });
        Ok(())
    }
}

/// A name in `snake_case` as it is; one in `lowerCamelCase` as the field that it stands for.
fn snake_case(name: &str) -> String {
    let mut field = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            field.push('_');
        }
        field.push(letter.to_ascii_lowercase());
    }
    field
}

/// Reads a map of texts.
struct TextMapReader<'r, 'p> {
    read: &'r mut WireBuffer,
    number: u32,
    path: &'p FieldPath<'p>,
}

impl<'de> AcceptsJson<'de> for TextMapReader<'_, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Result<(), String>, A::Error> {
        let Self { read, number, path } = self;
        // For duplicates only: the wire format would silently keep the last of two entries.
        let mut keys = std::collections::BTreeSet::new();
        while let Some(key) = object.next_key::<String>()? {
            let is_text = read.message(number, |read| {
                // A map is a list of messages on the wire, with the key as field 1 and the value as
                // field 2.
                read.text(1, &key);
                object.next_value_seed(MapValueReader { read, number: 2 })
            })?;
            if let Err(found) = is_text {
                let rule = format!(
                    "does not fit: expected a text as {}, found {found}",
                    quoted(&key)
                );
                read.misfit(path, &rule);
            }
            if keys.contains(&key) {
                read.misfit(path, &format!("has {} twice", quoted(&key)));
            }
            keys.insert(key);
        }
        Ok(Ok(()))
    }
}

struct MapValueReader<'r> {
    read: &'r mut WireBuffer,
    number: u32,
}

impl<'de> DeserializeSeed<'de> for MapValueReader<'_> {
    type Value = Result<(), String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let Self { read, number } = self;
        deserializer.deserialize_any(Expecting("a text", TextReader { read, number }))
    }
}

fn skip_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<(), A::Error> {
    while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}
