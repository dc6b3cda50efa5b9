//! Counting what is in a message before it is taken apart: an empty element takes two bytes on the wire
//! and some hundreds in memory.
//!
//! What is counted are the elements of repeated fields, by a walk over the bytes that keeps nothing. The
//! limits are those of [`super::requests`], which are looked at again field by field when a message has
//! been taken apart. So only a message that may hold very many elements is walked over here, and it is
//! rejected only if it does.

use std::fmt;

use prost::encoding::{WireType, decode_key, decode_varint};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    error::ApiError,
    proto::v3,
    requests::{
        MAX_ANSWERS_PER_ITEM, MAX_ORDER_IDS, MAX_RESPONSES_PER_ANSWER, MAX_TICKETS_PER_ITEM,
        MAX_TOKENIZATION_ENTRIES, RequestLimits, Violations, too_many,
    },
};

/// Elements that a message may have in any case.
const FEW_ELEMENTS: usize = 20_000;

/// The least that an element takes on the wire.
const ELEMENT_BYTES: usize = 2;

/// What may stand before JSON and means nothing.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Broken limits that are told of one message.
const MAX_TOLD: usize = 20;

/// A request whose elements can be counted.
pub trait Counted {
    /// The repeated fields in it.
    #[doc(hidden)]
    const SHAPE: &'static RepeatedFields;
}

/// The repeated fields of a kind of message.
#[derive(Debug)]
pub struct RepeatedFields(&'static [CountedField]);

#[derive(Debug)]
struct CountedField {
    tag: u32,
    name: &'static str,
    /// Its other name in JSON, if that differs.
    json_name: &'static str,
    of: FieldContent,
}

#[derive(Debug)]
enum FieldContent {
    /// One message.
    One(&'static RepeatedFields),
    /// As many as the limit says.
    Many(ElementLimit, ElementKind),
}

#[derive(Debug, Clone, Copy)]
enum ElementKind {
    /// Texts or messages without repeated fields.
    Plain,
    /// Messages.
    Shaped(&'static RepeatedFields),
    /// Numbers, which stand together on the wire.
    Packed,
    /// Entries, which are members in JSON.
    Map,
}

#[derive(Debug, Clone, Copy)]
enum ElementLimit {
    Items,
    Slots,
    Fixed(usize),
}

impl ElementLimit {
    fn of(self, limits: &RequestLimits) -> usize {
        match self {
            Self::Items => limits.max_items_per_order,
            Self::Slots => limits.max_slots_per_lookup,
            Self::Fixed(most) => most,
        }
    }
}

const fn one(
    tag: u32,
    name: &'static str,
    json_name: &'static str,
    shape: &'static RepeatedFields,
) -> CountedField {
    CountedField {
        tag,
        name,
        json_name,
        of: FieldContent::One(shape),
    }
}

const fn many(
    tag: u32,
    name: &'static str,
    json_name: &'static str,
    most: ElementLimit,
    elements: ElementKind,
) -> CountedField {
    CountedField {
        tag,
        name,
        json_name,
        of: FieldContent::Many(most, elements),
    }
}

const ANSWER: RepeatedFields = RepeatedFields(&[many(
    2,
    "response",
    "response",
    ElementLimit::Fixed(MAX_RESPONSES_PER_ANSWER),
    ElementKind::Plain,
)]);
const ANSWERS: RepeatedFields = RepeatedFields(&[many(
    1,
    "answer",
    "answer",
    ElementLimit::Fixed(MAX_ANSWERS_PER_ITEM),
    ElementKind::Shaped(&ANSWER),
)]);
const ITEM: RepeatedFields = RepeatedFields(&[
    many(
        4,
        "tickets",
        "tickets",
        ElementLimit::Fixed(MAX_TICKETS_PER_ITEM),
        ElementKind::Plain,
    ),
    one(7, "intake_form_answers", "intakeFormAnswers", &ANSWERS),
]);
const ORDER: RepeatedFields = RepeatedFields(&[many(
    5,
    "item",
    "item",
    ElementLimit::Items,
    ElementKind::Shaped(&ITEM),
)]);
const TOKENIZATION: RepeatedFields = RepeatedFields(&[
    many(
        1,
        "tokenization_parameter",
        "tokenizationParameter",
        ElementLimit::Fixed(MAX_TOKENIZATION_ENTRIES),
        ElementKind::Map,
    ),
    many(
        5,
        "card_network_parameters",
        "cardNetworkParameters",
        ElementLimit::Fixed(MAX_TOKENIZATION_ENTRIES),
        ElementKind::Plain,
    ),
    many(
        6,
        "allowed_auth_methods",
        "allowedAuthMethods",
        ElementLimit::Fixed(MAX_TOKENIZATION_ENTRIES),
        ElementKind::Packed,
    ),
]);
const PROCESSING: RepeatedFields = RepeatedFields(&[one(
    6,
    "tokenization_config",
    "tokenizationConfig",
    &TOKENIZATION,
)]);
const ORDER_IDS: RepeatedFields = RepeatedFields(&[many(
    1,
    "order_id",
    "orderId",
    ElementLimit::Fixed(MAX_ORDER_IDS),
    ElementKind::Plain,
)]);

impl Counted for v3::CheckOrderFulfillabilityRequest {
    const SHAPE: &'static RepeatedFields = &RepeatedFields(&[many(
        2,
        "item",
        "item",
        ElementLimit::Items,
        ElementKind::Shaped(&ITEM),
    )]);
}

impl Counted for v3::CreateOrderRequest {
    const SHAPE: &'static RepeatedFields = &RepeatedFields(&[
        one(1, "order", "order", &ORDER),
        one(
            2,
            "payment_processing_parameters",
            "paymentProcessingParameters",
            &PROCESSING,
        ),
    ]);
}

impl Counted for v3::ListOrdersRequest {
    const SHAPE: &'static RepeatedFields =
        &RepeatedFields(&[one(2, "order_ids", "orderIds", &ORDER_IDS)]);
}

impl Counted for v3::BatchAvailabilityLookupRequest {
    const SHAPE: &'static RepeatedFields = &RepeatedFields(&[many(
        3,
        "slot_time",
        "slotTime",
        ElementLimit::Slots,
        ElementKind::Plain,
    )]);
}

impl Counted for v3::CheckAvailabilityRequest {
    const SHAPE: &'static RepeatedFields = &RepeatedFields(&[]);
}

/// Counts the elements of a message in protocol buffers. What cannot be read counts as far as it can.
///
/// # Errors
/// The fields with more elements than their limits, of a message that has very many in all.
pub fn check_protobuf<M: Counted>(bytes: &[u8], limits: &RequestLimits) -> Result<(), Violations> {
    if bytes.len() <= FEW_ELEMENTS * ELEMENT_BYTES {
        return Ok(());
    }
    let mut tally = ElementCount::new(limits);
    let mut scope = FieldCounts::default();
    walk(M::SHAPE, bytes, &mut scope, &FieldPath::ROOT, &mut tally);
    tally.close(&scope, &FieldPath::ROOT);
    tally.into_result()
}

/// The same in JSON.
///
/// # Errors
/// See [`check_protobuf`]; also that a message which may hold very many elements is no JSON.
pub fn check_json<M: Counted>(bytes: &[u8], limits: &RequestLimits) -> Result<(), ApiError> {
    // Where there are few commas there are few elements.
    if bytes.len() <= FEW_ELEMENTS || bytes.split(|byte| *byte == b',').count() <= FEW_ELEMENTS {
        return Ok(());
    }
    let mut tally = ElementCount::new(limits);
    let seed = JsonMessage {
        shape: M::SHAPE,
        path: &FieldPath::ROOT,
        tally: &mut tally,
    };
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    seed.deserialize(&mut serde_json::Deserializer::from_slice(text))
        .map_err(|error| ApiError::Malformed(error.to_string()))?;
    Ok(tally.into_result()?)
}

/// Where in a message something is.
struct FieldPath<'p> {
    up: Option<&'p FieldPath<'p>>,
    name: &'static str,
    at: Option<usize>,
}

impl FieldPath<'_> {
    const ROOT: Self = FieldPath {
        up: None,
        name: "",
        at: None,
    };
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(up) = self.up else { return Ok(()) };
        up.fmt(f)?;
        let dot = if up.up.is_some() { "." } else { "" };
        write!(f, "{dot}{}", self.name)?;
        self.at.map_or(Ok(()), |at| write!(f, "[{at}]"))
    }
}

/// What has been counted of a whole message, and what was too much.
struct ElementCount<'l> {
    limits: &'l RequestLimits,
    elements: usize,
    violations: Violations,
    told: usize,
}

impl<'l> ElementCount<'l> {
    fn new(limits: &'l RequestLimits) -> Self {
        Self {
            limits,
            elements: 0,
            violations: Violations::default(),
            told: 0,
        }
    }

    /// Looks at what one field has come to.
    fn check_limit(&mut self, path: &FieldPath<'_>, most: ElementLimit, count: usize) {
        let most = most.of(self.limits);
        if count > most && self.told < MAX_TOLD {
            self.told += 1;
            self.violations.add(path, &too_many(count, most));
        }
    }

    /// Looks at what the fields of one message have come to.
    fn close(&mut self, scope: &FieldCounts, up: &FieldPath<'_>) {
        for (trail, count) in scope.counted() {
            trail.with_path(up, &mut |path| self.check_limit(path, trail.most, count));
        }
    }

    fn into_result(self) -> Result<(), Violations> {
        if self.elements > FEW_ELEMENTS {
            self.violations.into_result()
        } else {
            Ok(())
        }
    }
}

/// What has been counted of the repeated fields of one message, of those in its single messages, too: on
/// the wire a single message may come in parts, which are put together.
#[derive(Default)]
struct FieldCounts([Option<(FieldRoute, usize)>; 4]);

/// The way from a message to a repeated field in it.
#[derive(Clone, Copy)]
struct FieldRoute {
    /// Names of single messages on the way.
    through: [Option<&'static str>; 2],
    member: &'static CountedField,
    most: ElementLimit,
}

impl FieldRoute {
    fn with_path(&self, up: &FieldPath<'_>, see: &mut dyn FnMut(&FieldPath<'_>)) {
        match self.through {
            [Some(first), second] => {
                let path = FieldPath {
                    up: Some(up),
                    name: first,
                    at: None,
                };
                Self {
                    through: [second, None],
                    ..*self
                }
                .with_path(&path, see);
            }
            [None, _] => see(&FieldPath {
                up: Some(up),
                name: self.member.name,
                at: None,
            }),
        }
    }
}

impl FieldCounts {
    /// Counts more elements of a field, and gives how many there were before.
    fn count(&mut self, trail: FieldRoute, more: usize) -> usize {
        let is_it = |entry: &&mut Option<(FieldRoute, usize)>| {
            entry
                .as_ref()
                .is_none_or(|(counted, _)| std::ptr::eq(counted.member, trail.member))
        };
        // There is one for each repeated field that a scope of the contract has.
        let Some(entry) = self.0.iter_mut().find(is_it) else {
            return 0;
        };
        let (_, count) = entry.get_or_insert((trail, 0));
        let before = *count;
        *count += more;
        before
    }

    fn counted(&self) -> impl Iterator<Item = (&FieldRoute, usize)> {
        self.0
            .iter()
            .flatten()
            .map(|(trail, count)| (trail, *count))
    }
}

/// Walks over a message on the wire, as far as it can be read.
fn walk(
    shape: &RepeatedFields,
    bytes: &[u8],
    scope: &mut FieldCounts,
    path: &FieldPath<'_>,
    tally: &mut ElementCount<'_>,
) {
    walk_part(shape, bytes, scope, [None, None], path, tally);
}

fn walk_part(
    shape: &RepeatedFields,
    mut bytes: &[u8],
    scope: &mut FieldCounts,
    through: [Option<&'static str>; 2],
    path: &FieldPath<'_>,
    tally: &mut ElementCount<'_>,
) {
    while let Some((tag, value)) = next_field(&mut bytes) {
        let Some(member) = shape.0.iter().find(|member| member.tag == tag) else {
            continue;
        };
        match &member.of {
            FieldContent::One(shape) => {
                let through = [
                    through[0].or(Some(member.name)),
                    through[0].and(Some(member.name)),
                ];
                walk_part(
                    shape,
                    value.unwrap_or_default(),
                    scope,
                    through,
                    path,
                    tally,
                );
            }
            FieldContent::Many(most, elements) => {
                let more = match elements {
                    // The last byte of each number has its high bit clear.
                    ElementKind::Packed => value.map_or(1, |packed| {
                        packed.iter().filter(|byte| **byte < 0x80).count()
                    }),
                    ElementKind::Plain | ElementKind::Shaped(_) | ElementKind::Map => 1,
                };
                let at = scope.count(
                    FieldRoute {
                        through,
                        member,
                        most: *most,
                    },
                    more,
                );
                tally.elements += more;
                // What is beyond the limit is only counted.
                if let ElementKind::Shaped(shape) = elements
                    && at < most.of(tally.limits)
                {
                    let mut inner = FieldCounts::default();
                    let trail = FieldRoute {
                        through,
                        member,
                        most: *most,
                    };
                    trail.with_path(path, &mut |path| {
                        let path = FieldPath {
                            up: path.up,
                            name: path.name,
                            at: Some(at),
                        };
                        walk(shape, value.unwrap_or_default(), &mut inner, &path, tally);
                        tally.close(&inner, &path);
                    });
                }
            }
        }
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
        // The contract has none, and whoever decodes the message skips them.
        WireType::StartGroup | WireType::EndGroup => (0, false),
    };
    let (value, rest) = bytes.split_at_checked(skipped)?;
    *bytes = rest;
    Some((tag, has_length.then_some(value)))
}

/// A message in JSON.
struct JsonMessage<'w, 'l> {
    shape: &'static RepeatedFields,
    path: &'w FieldPath<'w>,
    tally: &'w mut ElementCount<'l>,
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

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(member) = fields.next_key_seed(FieldName(self.shape))? {
            let Some(member) = member else {
                fields.next_value::<IgnoredAny>()?;
                continue;
            };
            let path = FieldPath {
                up: Some(self.path),
                name: member.name,
                at: None,
            };
            match &member.of {
                FieldContent::One(shape) => {
                    fields.next_value_seed(JsonMessage {
                        shape,
                        path: &path,
                        tally: self.tally,
                    })?;
                }
                FieldContent::Many(most, elements) => fields.next_value_seed(JsonElements {
                    most: *most,
                    elements: *elements,
                    path: &path,
                    tally: self.tally,
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
    most: ElementLimit,
    elements: ElementKind,
    path: &'w FieldPath<'w>,
    tally: &'w mut ElementCount<'l>,
}

impl<'de> DeserializeSeed<'de> for JsonElements<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl JsonElements<'_, '_> {
    fn close(self, count: usize) {
        self.tally.elements += count;
        self.tally.check_limit(self.path, self.most, count);
    }
}

impl<'de> Visitor<'de> for JsonElements<'_, '_> {
    type Value = ();

    nothing_to_count!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut count = 0;
        loop {
            let is_one = match self.elements {
                ElementKind::Shaped(shape) if count < self.most.of(self.tally.limits) => {
                    let path = FieldPath {
                        up: self.path.up,
                        name: self.path.name,
                        at: Some(count),
                    };
                    elements
                        .next_element_seed(JsonMessage {
                            shape,
                            path: &path,
                            tally: self.tally,
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
        // What is no map in the contract is for the reader to say.
        if matches!(self.elements, ElementKind::Map) {
            self.close(count);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
