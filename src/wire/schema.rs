//! The messages of the contract by the names and numbers of their fields, made from the published files
//! when the program is compiled.

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Its name, without its package.
    pub(super) name: &'static str,
    /// Its fields; 64 at most.
    pub(super) fields: &'static [Field],
    /// Names of sets of fields of which only one may be there.
    pub(super) choices: &'static [&'static str],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name in the published file.
    pub(super) name: &'static str,
    /// The same as `lowerCamelCase`.
    pub(super) json_name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    /// Whether there may be any number of values.
    pub(super) is_list: bool,
    /// The set of choices that it belongs to.
    pub(super) choice: Option<usize>,
}

/// What a field has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Boolean,
    Int32,
    Int64,
    Enum(&'static Enum),
    Message(&'static Message),
    /// Texts by texts.
    Texts,
}

/// The values of an enum by name and number.
#[derive(Debug)]
pub(super) struct Enum {
    pub(super) values: &'static [(&'static str, i32)],
}

impl Enum {
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
    const SCHEMA: &'static Message;
}
