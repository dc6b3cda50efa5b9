//! The messages of both contracts by the names and numbers of their fields, made from the published files
//! when the program is compiled.

/// A message.
#[derive(Debug)]
pub struct MessageSchema {
    /// Its name, without its package.
    pub(in crate::api) name: &'static str,
    /// Its fields; 64 at most.
    pub(in crate::api) fields: &'static [FieldSchema],
    /// Whether members that it does not have are skipped, and unknown names of enums that decide nothing. Otherwise
    /// both are errors.
    pub(in crate::api) is_open: bool,
    /// Names of sets of fields of which only one may be there.
    pub(in crate::api) choices: &'static [&'static str],
}

/// A field of a message.
#[derive(Debug)]
pub(in crate::api) struct FieldSchema {
    /// Its name in the published file.
    pub(in crate::api) name: &'static str,
    /// The same as `lowerCamelCase`.
    pub(in crate::api) json_name: &'static str,
    pub(in crate::api) number: u32,
    pub(in crate::api) kind: FieldKind,
    /// Whether there may be any number of values.
    pub(in crate::api) is_list: bool,
    /// The set of choices that it belongs to.
    pub(in crate::api) choice: Option<usize>,
}

/// What a field has.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) enum FieldKind {
    Text,
    Boolean,
    Int32,
    Int64,
    Uint32,
    Enum(&'static EnumSchema),
    Message(&'static MessageSchema),
    /// Texts by texts.
    Texts,
    /// `google.protobuf.Timestamp`, as RFC 3339 writes it.
    Time,
    /// `google.protobuf.FieldMask`, as the names of fields with commas between.
    Mask,
}

/// The values of an enum by name and number.
#[derive(Debug)]
pub(in crate::api) struct EnumSchema {
    pub(in crate::api) values: &'static [(&'static str, i32)],
}

impl EnumSchema {
    pub(in crate::api) fn number(&self, name: &str) -> Option<i32> {
        self.values
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| *number)
    }

    pub(in crate::api) fn name(&self, number: i32) -> Option<&'static str> {
        self.values
            .iter()
            .find(|(_, known)| *known == number)
            .map(|(name, _)| *name)
    }
}

/// A message of the contract with its schema.
pub trait Described: prost::Message + Default + std::fmt::Debug {
    /// Its fields.
    const SCHEMA: &'static MessageSchema;
}
