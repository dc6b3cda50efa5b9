//! Bad messages made from good ones: the published schema says what is in a message, and for every
//! field of every message in it there are ways to spoil it.

use std::collections::{HashMap, HashSet};

use boxoffice::api::booking::proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

/// Longer than any message may be.
const FAR_TOO_LONG: usize = 10 << 20;

/// The published messages by their full names, with a dot in front.
pub(crate) struct Schema(HashMap<String, DescriptorProto>);

impl Schema {
    pub(crate) fn published() -> Self {
        let mut all = HashMap::new();
        for file in FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file {
            let package = format!(".{}", file.package());
            for message in file.message_type {
                note(&mut all, &package, message);
            }
        }
        Self(all)
    }

    fn fields(&self, message: &str) -> &[FieldDescriptorProto] {
        &self.0[message].field
    }

    fn field(&self, message: &str, number: u32) -> &FieldDescriptorProto {
        let is_it = |field: &&FieldDescriptorProto| numbered(field) == number;
        self.fields(message)
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{message} has no field {number}"))
    }

    /// What decoding calls a field of this message: by the choice or the map that it belongs to.
    fn called<'a>(
        &'a self,
        message: &str,
        field: &'a FieldDescriptorProto,
        place: &'a str,
    ) -> &'a str {
        let descriptor = &self.0[message];
        if descriptor
            .options
            .as_ref()
            .is_some_and(prost_types::MessageOptions::map_entry)
        {
            let map = place.rsplit('.').next().unwrap_or_default();
            return map.split('[').next().unwrap_or_default();
        }
        let choice = field
            .oneof_index
            .and_then(|at| descriptor.oneof_decl.get(usize::try_from(at).ok()?));
        choice.map_or(field.name(), |choice| choice.name())
    }

    /// Whether a path such as `order.item[2].status` leads to a field, or to a choice of fields.
    pub(crate) fn leads_somewhere(&self, message: &str, path: &str) -> bool {
        let (step, rest) = path.split_once('.').unwrap_or((path, ""));
        let (name, index) = step.split_once('[').unwrap_or((step, ""));
        if self.0[message]
            .oneof_decl
            .iter()
            .any(|choice| choice.name() == name)
        {
            return rest.is_empty() && index.is_empty();
        }
        let Some(field) = self
            .fields(message)
            .iter()
            .find(|field| field.name() == name)
        else {
            return false;
        };
        let indexed = index
            .strip_suffix(']')
            .is_some_and(|index| index.parse::<usize>().is_ok());
        let well_indexed = index.is_empty() || indexed && field.label() == Label::Repeated;
        well_indexed && (rest.is_empty() || self.leads_somewhere(field.type_name(), rest))
    }
}

fn note(all: &mut HashMap<String, DescriptorProto>, scope: &str, message: DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    for nested in &message.nested_type {
        note(all, &name, nested.clone());
    }
    all.insert(name, message);
}

fn numbered(field: &FieldDescriptorProto) -> u32 {
    field.number().try_into().unwrap()
}

/// A message, taken apart as far as messages go.
#[derive(Clone)]
pub(crate) struct Node {
    message: String,
    parts: Vec<Part>,
}

#[derive(Clone)]
struct Part {
    number: u32,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Message(Node),
    /// A field with its tag, whatever it is.
    Bytes(Vec<u8>),
}

impl Node {
    /// Takes apart a good message.
    pub(crate) fn read(schema: &Schema, message: &str, bytes: &[u8]) -> Self {
        let mut parts = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let begin = rest;
            let tag = read_varint(&mut rest);
            let number = u32::try_from(tag >> 3).unwrap();
            let field = schema.field(message, number);
            let content = match tag & 7 {
                0 => {
                    read_varint(&mut rest);
                    Content::Bytes(begin[..begin.len() - rest.len()].to_vec())
                }
                2 => {
                    let length = usize::try_from(read_varint(&mut rest)).unwrap();
                    let (inner, after) = rest.split_at(length);
                    rest = after;
                    if field.r#type() == Type::Message {
                        Content::Message(Self::read(schema, field.type_name(), inner))
                    } else {
                        Content::Bytes(begin[..begin.len() - rest.len()].to_vec())
                    }
                }
                other => panic!("no message of ours has wire type {other}"),
            };
            parts.push(Part { number, content });
        }
        Self {
            message: message.to_owned(),
            parts,
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in &self.parts {
            match &part.content {
                Content::Bytes(field) => bytes.extend_from_slice(field),
                Content::Message(node) => bytes.extend(delimited(part.number, &node.bytes())),
            }
        }
        bytes
    }

    fn inner(&mut self, path: &[usize]) -> &mut Self {
        path.iter()
            .fold(self, |node, at| match &mut node.parts[*at].content {
                Content::Message(inner) => inner,
                Content::Bytes(_) => panic!("the path leads into a scalar"),
            })
    }

    /// Every way to spoil this message.
    pub(crate) fn mutations(&self, schema: &Schema) -> Vec<Mutation> {
        let mut all = Mutations::default();
        self.collect(schema, &mut Vec::new(), "", &mut all);
        all.found
    }

    fn collect(&self, schema: &Schema, path: &mut Vec<usize>, place: &str, all: &mut Mutations) {
        let first = all.messages.insert(self.message.clone());
        for field in schema.fields(&self.message) {
            let number = numbered(field);
            let called = schema.called(&self.message, field, place);
            let place = format!("{place}.{}", field.name());
            let present = self.parts.iter().any(|part| part.number == number);
            let mut changes = meanings(field, present);
            if first {
                changes.extend(encodings(field));
            }
            all.found.extend(changes.into_iter().map(|(kind, change)| {
                let (path, field) = (path.clone(), called.to_owned());
                Mutation {
                    what: format!("{place}: {kind}"),
                    field,
                    path,
                    number,
                    change,
                }
            }));
        }
        for (at, part) in self.parts.iter().enumerate() {
            if let Content::Message(inner) = &part.content {
                let name = schema.field(&self.message, part.number).name();
                path.push(at);
                inner.collect(schema, path, &format!("{place}.{name}[{at}]"), all);
                path.pop();
            }
        }
    }
}

#[derive(Default)]
struct Mutations {
    found: Vec<Mutation>,
    /// Messages whose encoding is corrupted already: how they are decoded does not depend on the place.
    messages: HashSet<String>,
}

/// One way to spoil a message.
pub(crate) struct Mutation {
    /// Where and how.
    pub(crate) what: String,
    /// What decoding calls the field.
    pub(crate) field: String,
    path: Vec<usize>,
    number: u32,
    change: Change,
}

#[derive(Clone)]
enum Change {
    /// The field is left out.
    Missing,
    /// The field is there once more.
    Twice,
    /// The field is this, tag and all.
    Is(Vec<u8>),
    /// The field is a text of these bytes, which are no text.
    NoText(&'static [u8]),
    /// The field is a text of this many bytes.
    Long(usize),
}

impl Mutation {
    /// Whether it puts bytes that are no text where text should be.
    pub(crate) fn is_no_text(&self) -> bool {
        matches!(&self.change, Change::NoText(_))
    }

    /// The message, corrupted.
    pub(crate) fn apply(&self, mut message: Node) -> Vec<u8> {
        let parts = &mut message.inner(&self.path).parts;
        let found = parts.iter().position(|part| part.number == self.number);
        let mut put = |bytes: Vec<u8>| {
            let part = Part {
                number: self.number,
                content: Content::Bytes(bytes),
            };
            match found {
                Some(at) => parts[at] = part,
                None => parts.push(part),
            }
        };
        match &self.change {
            Change::Missing => parts.retain(|part| part.number != self.number),
            Change::Twice => parts.extend(found.map(|at| parts[at].clone())),
            Change::Is(bytes) => put(bytes.clone()),
            Change::NoText(bytes) => put(delimited(self.number, bytes)),
            Change::Long(length) => put(delimited(self.number, &vec![b'x'; *length])),
        }
        message.bytes()
    }
}

/// Other values of a field, as good or bad as they may be.
fn meanings(field: &FieldDescriptorProto, present: bool) -> Vec<(String, Change)> {
    let (number, kind) = (numbered(field), field.r#type());
    let mut changes = Vec::new();
    if present {
        changes.extend([
            ("missing".to_owned(), Change::Missing),
            ("twice".to_owned(), Change::Twice),
        ]);
    }
    if kind == Type::String {
        changes.extend(texts(number).map(corrupted));
        changes.extend([41, 1025].map(long));
    } else if kind == Type::Message {
        changes.extend(messages(number).map(corrupted));
    } else {
        let is_number = matches!(kind, Type::Int32 | Type::Int64 | Type::Enum | Type::Bool);
        assert!(is_number, "no field of ours is a {kind:?}");
        changes.extend(numbers(number).map(corrupted));
    }
    changes
}

/// Bytes that are no value of a field at all.
fn encodings(field: &FieldDescriptorProto) -> Vec<(String, Change)> {
    let (number, kind) = (numbered(field), field.r#type());
    let mut changes: Vec<_> = wrong_wire_types(field).map(corrupted).collect();
    if kind == Type::String {
        let no_text = |bytes: &'static [u8]| {
            (
                format!("no text {}", bytes.escape_ascii()),
                Change::NoText(bytes),
            )
        };
        changes.extend(NO_TEXTS.map(no_text));
        changes.extend(broken_lengths(number).map(corrupted));
        changes.push(long(FAR_TOO_LONG));
    } else if kind == Type::Message {
        changes.extend(no_messages(number).map(corrupted));
        changes.extend(broken_lengths(number).map(corrupted));
    } else {
        changes.extend(endless_numbers(number).map(corrupted));
    }
    changes
}

fn corrupted((kind, bytes): (String, Vec<u8>)) -> (String, Change) {
    (kind, Change::Is(bytes))
}

fn long(length: usize) -> (String, Change) {
    (format!("{length} bytes"), Change::Long(length))
}

fn wrong_wire_types(field: &FieldDescriptorProto) -> impl Iterator<Item = (String, Vec<u8>)> {
    let number = numbered(field);
    let right = if matches!(field.r#type(), Type::String | Type::Message) {
        2
    } else {
        0
    };
    (0..8)
        .filter(move |wire_type| *wire_type != right)
        .map(move |wire_type| {
            let mut bytes = tag(number, wire_type);
            bytes.extend([1; 8]);
            (format!("wire type {wire_type}"), bytes)
        })
}

fn texts(number: u32) -> impl Iterator<Item = (String, Vec<u8>)> {
    let texts = [
        "",
        " ",
        "\0",
        "no-such-id",
        "-1",
        "\r\n\r\n",
        "%00%n%s",
        "../../etc/passwd",
        "' OR 1=1 --",
        "\u{202e}\u{1f3ad}\u{10ffff}",
    ];
    let described = |text: &str| format!("the text {}", text.escape_default());
    let texts = texts
        .into_iter()
        .map(move |text| (described(text), delimited(number, text.as_bytes())));
    let names = [(
        "41 characters of two bytes".to_owned(),
        delimited(number, "ü".repeat(41).as_bytes()),
    )];
    texts.chain(names)
}

/// No lead byte, a sequence cut short, one longer than it need be, half a surrogate pair, beyond the
/// last character, and after good text.
const NO_TEXTS: [&[u8]; 6] = [
    b"\xff",
    b"\xc3",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"good\xff",
];

fn messages(number: u32) -> impl Iterator<Item = (String, Vec<u8>)> {
    let contents = [
        ("empty", Vec::new()),
        ("an unknown field", delimited(1 << 20, b"unknown")),
    ];
    contents
        .into_iter()
        .map(move |(kind, bytes)| (kind.to_owned(), delimited(number, &bytes)))
}

fn no_messages(number: u32) -> impl Iterator<Item = (String, Vec<u8>)> {
    let contents: [(&str, Vec<u8>); 4] = [
        ("text", b"this is no message".to_vec()),
        ("zeros", vec![0; 16]),
        ("ones", vec![0xff; 16]),
        ("groups in groups", tag(1 << 20, 3).repeat(1000)),
    ];
    contents
        .into_iter()
        .map(move |(kind, bytes)| (kind.to_owned(), delimited(number, &bytes)))
}

fn broken_lengths(number: u32) -> impl Iterator<Item = (String, Vec<u8>)> {
    [1 << 10, u64::from(u32::MAX), u64::MAX]
        .into_iter()
        .map(move |length| {
            let mut bytes = tag(number, 2);
            bytes.extend(varint(length));
            (format!("the length {length}"), bytes)
        })
}

fn numbers(number: u32) -> impl Iterator<Item = (String, Vec<u8>)> {
    let values = [
        0,
        1,
        -1,
        99,
        i64::from(i32::MAX),
        i64::from(i32::MIN),
        1 << 32,
        (1 << 53) + 1,
        i64::MAX,
        i64::MAX - 1,
        i64::MIN,
        i64::MIN + 1,
    ];
    values
        .into_iter()
        .map(move |value| (format!("the number {value}"), value_of(number, value)))
}

fn endless_numbers(number: u32) -> impl Iterator<Item = (String, Vec<u8>)> {
    [10, 11, 64].into_iter().map(move |length| {
        let mut bytes = tag(number, 0);
        bytes.resize(bytes.len() + length, 0xff);
        (format!("a number of {length} bytes and no end"), bytes)
    })
}

fn value_of(number: u32, value: i64) -> Vec<u8> {
    let mut bytes = tag(number, 0);
    bytes.extend(varint(value.cast_unsigned()));
    bytes
}

/// A field that has its length in front.
pub(crate) fn delimited(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = tag(number, 2);
    bytes.extend(varint(content.len().try_into().unwrap()));
    bytes.extend_from_slice(content);
    bytes
}

fn tag(number: u32, wire_type: u32) -> Vec<u8> {
    varint(u64::from(number << 3 | wire_type))
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap();
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn read_varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return value;
        }
    }
    panic!("a number without an end")
}
