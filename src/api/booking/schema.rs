//! The messages of the contract by the names and numbers of their fields, made from the published files
//! when the program is compiled.

/// A message.
#[derive(Debug)]
pub struct MessageSchema {
    /// Its name, without its package.
    pub(super) name: &'static str,
    /// Its fields; 64 at most.
    pub(super) fields: &'static [FieldSchema],
    /// Names of sets of fields of which only one may be there.
    pub(super) choices: &'static [&'static str],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct FieldSchema {
    /// Its name in the published file.
    pub(super) name: &'static str,
    /// The same as `lowerCamelCase`.
    pub(super) json_name: &'static str,
    pub(super) number: u32,
    pub(super) kind: FieldKind,
    /// Whether there may be any number of values.
    pub(super) is_list: bool,
    /// The set of choices that it belongs to.
    pub(super) choice: Option<usize>,
}

/// What a field has.
#[derive(Debug, Clone, Copy)]
pub(super) enum FieldKind {
    Text,
    Boolean,
    Int32,
    Int64,
    Enum(&'static EnumSchema),
    Message(&'static MessageSchema),
    /// Texts by texts.
    Texts,
}

/// The values of an enum by name and number.
#[derive(Debug)]
pub(super) struct EnumSchema {
    pub(super) values: &'static [(&'static str, i32)],
}

impl EnumSchema {
    pub(super) fn number(&self, name: &str) -> Option<i32> {
        self.values
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| *number)
    }

    pub(super) fn name(&self, number: i32) -> Option<&'static str> {
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
