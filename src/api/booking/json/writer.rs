//! The JSON writer of messages with enum numbers that the contract has no name for: a look-up
//! returns a slot as it was requested, also with a confirmation mode of a later contract.

use prost::{
    DecodeError,
    bytes::{Buf, Bytes},
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use serde_json::{Map, Value};

use crate::api::booking::schema::{FieldKind, FieldSchema, MessageSchema};

/// Writes the bytes of a message as an object, an enum's number without a name as that number.
pub(super) fn write(mut bytes: Bytes, message: &MessageSchema) -> Result<Value, DecodeError> {
    let mut object = Map::new();
    while bytes.has_remaining() {
        let (number, wire_type) = decode_key(&mut bytes)?;
        match message.fields.iter().find(|field| field.number == number) {
            Some(field) => add(&mut object, field, &mut bytes, wire_type)?,
            None => skip_field(wire_type, number, &mut bytes, DecodeContext::default())?,
        }
    }
    Ok(Value::Object(object))
}

fn add(
    object: &mut Map<String, Value>,
    field: &FieldSchema,
    bytes: &mut Bytes,
    wire_type: WireType,
) -> Result<(), DecodeError> {
    if field.is_list && wire_type == WireType::LengthDelimited && is_number(field.kind) {
        // Repeated numbers are packed into one field by default in proto3.
        let mut packed = delimited(bytes)?;
        while packed.has_remaining() {
            push(
                object,
                field,
                scalar(field.kind, decode_varint(&mut packed)?),
            );
        }
        return Ok(());
    }
    let value = match field.kind {
        FieldKind::Text => text(&delimited(bytes)?),
        FieldKind::Message(message) => write(delimited(bytes)?, message)?,
        FieldKind::Texts => return add_entry(object, field, delimited(bytes)?),
        FieldKind::Boolean
        | FieldKind::Int32
        | FieldKind::Int64
        | FieldKind::Uint32
        | FieldKind::Enum(_) => scalar(field.kind, decode_varint(bytes)?),
        // Only requests of operators have them, and no request is written.
        FieldKind::Time | FieldKind::Mask => {
            return skip_field(wire_type, field.number, bytes, DecodeContext::default());
        }
    };
    if field.is_list {
        push(object, field, value);
    } else {
        object.insert(field.name.to_owned(), value);
    }
    Ok(())
}

fn is_number(kind: FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::Boolean
            | FieldKind::Int32
            | FieldKind::Int64
            | FieldKind::Uint32
            | FieldKind::Enum(_)
    )
}

fn push(object: &mut Map<String, Value>, field: &FieldSchema, value: Value) {
    let list = object
        .entry(field.name)
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(list) = list {
        list.push(value);
    }
}

/// Adds an entry of a map of texts, whose key and value are a message of their own.
fn add_entry(
    object: &mut Map<String, Value>,
    field: &FieldSchema,
    mut entry: Bytes,
) -> Result<(), DecodeError> {
    // Absent parts of a map entry have their default, which is the empty text.
    let mut pair = [Value::String(String::new()), Value::String(String::new())];
    while entry.has_remaining() {
        let (number, _) = decode_key(&mut entry)?;
        let read = text(&delimited(&mut entry)?);
        if let Some(place) = pair.get_mut(usize::from(number != 1)) {
            *place = read;
        }
    }
    let [key, value] = pair;
    let entries = object
        .entry(field.name)
        .or_insert_with(|| Value::Object(Map::new()));
    if let (Value::Object(entries), Value::String(key)) = (entries, key) {
        entries.insert(key, value);
    }
    Ok(())
}

fn scalar(kind: FieldKind, value: u64) -> Value {
    let signed = value.cast_signed();
    match kind {
        FieldKind::Boolean => (value != 0).into(),
        // As text, because JavaScript would round numbers beyond 2^53.
        FieldKind::Int64 => signed.to_string().into(),
        FieldKind::Enum(known) => match i32::try_from(signed)
            .ok()
            .and_then(|number| known.name(number))
        {
            Some(name) => name.into(),
            None => signed.into(),
        },
        FieldKind::Int32
        | FieldKind::Uint32
        | FieldKind::Text
        | FieldKind::Message(_)
        | FieldKind::Texts
        | FieldKind::Time
        | FieldKind::Mask => signed.into(),
    }
}

fn text(bytes: &[u8]) -> Value {
    // Lossless here: the encoder only writes valid UTF-8.
    String::from_utf8_lossy(bytes).into()
}

fn delimited(bytes: &mut Bytes) -> Result<Bytes, DecodeError> {
    let length = usize::try_from(decode_varint(bytes)?).unwrap_or(usize::MAX);
    if length > bytes.len() {
        // Cannot happen with bytes that this program has encoded; taking the rest ends the loop.
        return Ok(std::mem::take(bytes));
    }
    Ok(bytes.split_to(length))
}
