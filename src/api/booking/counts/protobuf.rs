//! Counting over the bytes of a message in protocol buffers.

use prost::encoding::{WireType, decode_key, decode_varint};

use super::{
    ElementCount,
    fields::{CountedField, ElementKind, ElementLimit, FieldContent, RepeatedFields},
};
use crate::api::booking::violations::FieldPath;

/// Counts the elements of a message as far as it can be read.
pub(super) fn count(
    fields: &RepeatedFields,
    bytes: &[u8],
    path: &FieldPath<'_>,
    total: &mut ElementCount<'_>,
) {
    let mut counts = FieldCounts::default();
    let mut walk = Walk {
        path,
        counts: &mut counts,
        total,
    };
    walk.part(fields, bytes, [None, None]);
    for (route, count) in counts.counted() {
        route.with_path(path, &mut |path| {
            total.check_limit(path, route.limit, count);
        });
    }
}

/// A walk over one message with its single messages.
struct Walk<'w, 'l> {
    path: &'w FieldPath<'w>,
    counts: &'w mut FieldCounts,
    total: &'w mut ElementCount<'l>,
}

impl Walk<'_, '_> {
    /// Walks over a part of the message. `through` names the single messages on the way to it.
    fn part(
        &mut self,
        fields: &RepeatedFields,
        mut bytes: &[u8],
        through: [Option<&'static str>; 2],
    ) {
        while let Some((tag, value)) = next_field(&mut bytes) {
            let Some(field) = fields.0.iter().find(|field| field.tag == tag) else {
                continue;
            };
            match &field.of {
                FieldContent::One(within) => {
                    let [first, _] = through;
                    let through = [first.or(Some(field.name)), first.and(Some(field.name))];
                    self.part(within, value.unwrap_or_default(), through);
                }
                FieldContent::Many(limit, kind) => {
                    let route = FieldRoute {
                        through,
                        field,
                        limit: *limit,
                    };
                    self.elements(route, *kind, value);
                }
            }
        }
    }

    /// Counts elements of a repeated field: one, or several numbers that are packed together.
    fn elements(&mut self, route: FieldRoute, kind: ElementKind, value: Option<&[u8]>) {
        let more = match kind {
            // The last byte of each number has its high bit clear.
            ElementKind::Packed => value.map_or(1, |packed| {
                packed.iter().filter(|byte| **byte < 0x80).count()
            }),
            ElementKind::Plain | ElementKind::Shaped(_) | ElementKind::Map => 1,
        };
        let at = self.counts.add(route, more);
        self.total.elements += more;
        // Elements beyond the limit are only counted: what is in them changes no answer.
        if let ElementKind::Shaped(within) = kind
            && at < route.limit.of(self.total.limits)
        {
            route.with_path(self.path, &mut |path| {
                let path = FieldPath::Index(path, at);
                count(within, value.unwrap_or_default(), &path, self.total);
            });
        }
    }
}

/// The counts of the repeated fields of one message, those of its single messages included: on the
/// wire a single message may come in parts, which are merged.
#[derive(Default)]
struct FieldCounts([Option<(FieldRoute, usize)>; 4]);

/// The way from a message to a repeated field in it.
#[derive(Clone, Copy)]
struct FieldRoute {
    /// Names of single messages on the way.
    through: [Option<&'static str>; 2],
    field: &'static CountedField,
    limit: ElementLimit,
}

impl FieldRoute {
    fn with_path(&self, up: &FieldPath<'_>, see: &mut dyn FnMut(&FieldPath<'_>)) {
        match self.through {
            [Some(first), second] => {
                let path = FieldPath::Key(up, first);
                Self {
                    through: [second, None],
                    ..*self
                }
                .with_path(&path, see);
            }
            [None, _] => see(&FieldPath::Key(up, self.field.name)),
        }
    }
}

impl FieldCounts {
    /// Counts more elements of a field, and gives how many there were before.
    fn add(&mut self, route: FieldRoute, more: usize) -> usize {
        let is_it = |entry: &&mut Option<(FieldRoute, usize)>| {
            entry
                .as_ref()
                .is_none_or(|(counted, _)| std::ptr::eq(counted.field, route.field))
        };
        // There is one for each repeated field that a scope of the contract has.
        let Some(entry) = self.0.iter_mut().find(is_it) else {
            return 0;
        };
        let (_, count) = entry.get_or_insert((route, 0));
        let before = *count;
        // Cannot overflow: there are never more elements than bytes.
        *count += more;
        before
    }

    fn counted(&self) -> impl Iterator<Item = (&FieldRoute, usize)> {
        self.0
            .iter()
            .flatten()
            .map(|(route, count)| (route, *count))
    }
}

/// The next field: its number, and its bytes where it has a length.
fn next_field<'b>(bytes: &mut &'b [u8]) -> Option<(u32, Option<&'b [u8]>)> {
    if bytes.is_empty() {
        return None;
    }
    let (tag, wire_type) = decode_key(bytes).ok()?;
    let (skipped, has_length) = match wire_type {
        WireType::Varint => {
            decode_varint(bytes).ok()?;
            (0, false)
        }
        WireType::SixtyFourBit => (8, false),
        WireType::ThirtyTwoBit => (4, false),
        WireType::LengthDelimited => (usize::try_from(decode_varint(bytes).ok()?).ok()?, true),
        // The contract has no groups, and the decoder skips them.
        WireType::StartGroup | WireType::EndGroup => (0, false),
    };
    // Checked: a length beyond the end stops the count, and the decoder reports it.
    let (value, rest) = bytes.split_at_checked(skipped)?;
    *bytes = rest;
    Some((tag, has_length.then_some(value)))
}
