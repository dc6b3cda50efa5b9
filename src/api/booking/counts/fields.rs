//! The repeated fields of requests, and how many elements each may have.

use crate::api::booking::{
    proto::v3,
    requests::{
        MAX_ANSWERS_PER_ITEM, MAX_ORDER_IDS, MAX_RESPONSES_PER_ANSWER, MAX_TICKETS_PER_ITEM,
        MAX_TOKENIZATION_ENTRIES, RequestLimits,
    },
};

/// A request whose elements can be counted.
pub trait Counted {
    /// The repeated fields in it.
    #[doc(hidden)]
    const FIELDS: &'static RepeatedFields;
}

/// The repeated fields of a kind of message.
#[derive(Debug)]
pub struct RepeatedFields(pub(super) &'static [CountedField]);

#[derive(Debug)]
pub(super) struct CountedField {
    pub(super) tag: u32,
    pub(super) name: &'static str,
    /// Its other name in JSON, if that differs.
    pub(super) json_name: &'static str,
    pub(super) of: FieldContent,
}

#[derive(Debug)]
pub(super) enum FieldContent {
    /// One message.
    One(&'static RepeatedFields),
    /// As many as the limit says.
    Many(ElementLimit, ElementKind),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum ElementKind {
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
pub(super) enum ElementLimit {
    Items,
    Slots,
    Fixed(usize),
}

impl ElementLimit {
    pub(super) fn of(self, limits: &RequestLimits) -> usize {
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
    const FIELDS: &'static RepeatedFields = &RepeatedFields(&[many(
        2,
        "item",
        "item",
        ElementLimit::Items,
        ElementKind::Shaped(&ITEM),
    )]);
}

impl Counted for v3::CreateOrderRequest {
    const FIELDS: &'static RepeatedFields = &RepeatedFields(&[
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
    const FIELDS: &'static RepeatedFields =
        &RepeatedFields(&[one(2, "order_ids", "orderIds", &ORDER_IDS)]);
}

impl Counted for v3::BatchAvailabilityLookupRequest {
    const FIELDS: &'static RepeatedFields = &RepeatedFields(&[many(
        3,
        "slot_time",
        "slotTime",
        ElementLimit::Slots,
        ElementKind::Plain,
    )]);
}

impl Counted for v3::CheckAvailabilityRequest {
    const FIELDS: &'static RepeatedFields = &RepeatedFields(&[]);
}
