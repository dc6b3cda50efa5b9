//! The limits of requests, and a request as it was decoded.

pub use super::violations::{Violation, Violations};

/// The longest name the contract allows, in characters.
pub const MAX_NAME_CHARS: usize = 40;

/// Maximum number of ticket types in one line item.
pub const MAX_TICKETS_PER_ITEM: usize = 100;

/// Maximum number of answers in one line item; some questions are asked for each ticket.
pub const MAX_ANSWERS_PER_ITEM: usize = 1000;

/// Maximum number of responses in one answer.
pub const MAX_RESPONSES_PER_ANSWER: usize = 100;

/// Maximum number of order ids in one request.
pub const MAX_ORDER_IDS: usize = 1000;

/// Maximum number of entries of each kind in the parameters of a payment token.
pub const MAX_TOKENIZATION_ENTRIES: usize = 100;

/// The rule of a field that has too many elements.
#[must_use]
pub fn too_many(count: usize, most: usize) -> String {
    format!("has {count} elements; at most {most} are taken")
}

/// The longest e-mail address, as mail itself has it (RFC 5321), in characters.
pub const MAX_EMAIL_CHARS: usize = 254;

/// The longest telephone number, in characters.
pub const MAX_TELEPHONE_CHARS: usize = 32;

/// The longest token or id of any kind, in bytes.
pub const MAX_ID_BYTES: usize = 1024;

/// The longest field of an address, in characters.
pub const MAX_ADDRESS_CHARS: usize = 256;

/// The longest tag of a language, in characters; RFC 5646 asks for room for 35.
pub const MAX_LANGUAGE_CHARS: usize = 35;

/// The longest response to a question, in characters.
pub const MAX_RESPONSE_CHARS: usize = 4096;

/// The longest tag or currency, in characters.
pub const MAX_TAG_CHARS: usize = 256;

/// Maximum length of a text that is passed through to the payment gateway, such as a payment token,
/// in bytes.
pub const MAX_PAYMENT_BYTES: usize = 64 * 1024;

/// Limits of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Most line items in one order.
    pub max_items_per_order: usize,
    /// Most slots in one look-up.
    pub max_slots_per_lookup: usize,
    /// Longest token or id of any kind in bytes.
    pub max_id_bytes: usize,
}

/// Enum fields that decisions depend on or that are recorded, by message and field. An unknown
/// value violates a rule there; anywhere else it does no harm.
const ENUMS_ACTED_ON: [(&str, &str); 5] = [
    ("PaymentInformation", "prepayment_status"),
    ("PaymentInformation", "payment_processed_by"),
    ("Deposit", "deposit_type"),
    ("NoShowFee", "fee_type"),
    ("LineItem", "status"),
];

/// Whether decisions depend on the enum of this field.
pub(super) fn acts_on(message: &str, field: &str) -> bool {
    ENUMS_ACTED_ON.contains(&(message, field))
}

/// A request as it was decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded<M> {
    /// The message, without what does not fit.
    pub message: M,
    /// Values that do not fit their fields; only JSON can have any.
    pub misfits: Violations,
}

impl<M> From<M> for Decoded<M> {
    fn from(message: M) -> Self {
        Self {
            message,
            misfits: Violations::default(),
        }
    }
}

/// The rule of a merchant that the catalogue does not have.
pub const UNKNOWN_MERCHANT: &str = "is not a merchant of this booking partner";
