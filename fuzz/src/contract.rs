//! The fields of the contract, as its published files have them.

use std::{collections::HashMap, sync::LazyLock};

use boxoffice::api::booking::proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet, field_descriptor_proto::Label,
};

const PACKAGE: &str = ".ext.maps.booking.partner.v3";

/// Messages by their full names.
static MESSAGES: LazyLock<HashMap<String, DescriptorProto>> = LazyLock::new(|| {
    let files =
        FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("the published files can be read");
    let mut messages = HashMap::new();
    for file in files.file {
        add(
            &mut messages,
            &format!(".{}", file.package()),
            file.message_type,
        );
    }
    messages
});

fn add(messages: &mut HashMap<String, DescriptorProto>, scope: &str, found: Vec<DescriptorProto>) {
    for message in found {
        let name = format!("{scope}.{}", message.name());
        add(messages, &name, message.nested_type.clone());
        messages.insert(name, message);
    }
}

/// Whether a path like `order.item[2].status` leads from a message to one of its fields, by either
/// name of each, or to a choice of fields.
pub fn has_field(message: &str, path: &str) -> bool {
    let mut at = format!("{PACKAGE}.{message}");
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        let Some(message) = MESSAGES.get(&at) else {
            return false;
        };
        let (name, is_element) = match step.split_once('[') {
            Some((name, index)) => (name, index.strip_suffix(']').is_some_and(is_number)),
            None => (step, false),
        };
        let is_choice = message
            .oneof_decl
            .iter()
            .any(|choice| choice.name() == name);
        let Some(field) = message.field.iter().find(|field| is_named(field, name)) else {
            return is_choice && steps.peek().is_none();
        };
        if step.contains('[') && !(is_element && field.label() == Label::Repeated) {
            return false;
        }
        field.type_name().clone_into(&mut at);
    }
    true
}

fn is_named(field: &FieldDescriptorProto, name: &str) -> bool {
    field.name() == name || field.json_name() == name
}

fn is_number(text: &str) -> bool {
    text.parse::<usize>().is_ok()
}
