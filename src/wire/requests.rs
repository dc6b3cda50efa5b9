//! The rules that a request must keep before any business question is asked, and the list of
//! those it broke.

use std::fmt::{self, Display};

/// The longest name the contract allows, in characters.
pub const MAX_NAME_CHARS: usize = 40;

/// The most kinds of tickets in one line item.
pub const MAX_TICKETS_PER_ITEM: usize = 100;

/// The most answers to questions in one line item, of which some are asked for each ticket.
pub const MAX_ANSWERS_PER_ITEM: usize = 1000;

/// The most responses in one answer.
pub const MAX_RESPONSES_PER_ANSWER: usize = 100;

/// The most orders that can be asked for by their ids at once.
pub const MAX_ORDER_IDS: usize = 1000;

/// The most entries of each kind in what is said about a payment's token.
pub const MAX_TOKENIZATION_ENTRIES: usize = 100;

/// What is said of a field that has more elements than are taken.
#[must_use]
pub fn too_many(count: usize, most: usize) -> String {
    format!("has {count} elements; at most {most} are taken")
}

/// The longest e-mail address, as mail itself has it (RFC 5321), in characters.
pub const MAX_EMAIL_CHARS: usize = 254;

/// The longest telephone number, in characters.
pub const MAX_TELEPHONE_CHARS: usize = 32;

/// The longest field of an address, in characters.
pub const MAX_ADDRESS_CHARS: usize = 256;

/// The longest tag of a language, in characters; RFC 5646 asks for room for 35.
pub const MAX_LANGUAGE_CHARS: usize = 35;

/// The longest response to a question, in characters.
pub const MAX_RESPONSE_CHARS: usize = 4096;

/// The longest tag or currency, in characters.
pub const MAX_TAG_CHARS: usize = 256;

/// The longest text that a payment hands through, such as a payment token, in bytes.
pub const MAX_PAYMENT_BYTES: usize = 64 * 1024;

/// As many broken rules are listed; the others are counted. A refusal travels in headers, which callers
/// take up to 8 KiB of.
const MAX_LISTED: usize = 20;

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

/// Fields with an enum that something is decided by, or that go on record: message and field. There, a
/// value that the contract does not know breaks a rule; anywhere else it does no harm.
const ENUMS_ACTED_ON: [(&str, &str); 5] = [
    ("PaymentInformation", "prepayment_status"),
    ("PaymentInformation", "payment_processed_by"),
    ("Deposit", "deposit_type"),
    ("NoShowFee", "fee_type"),
    ("LineItem", "status"),
];

/// Whether anything is decided by the enum of this field.
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

/// The path of a field, step by step. It costs nothing until a rule is broken there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'a> {
    /// The request.
    Top,
    /// A field of a message.
    Key(&'a Self, &'a str),
    /// An element of a list.
    Index(&'a Self, usize),
}

impl<'a> Path<'a> {
    /// A field of the request.
    pub(super) fn field(name: &'a str) -> Self {
        Self::Key(&Self::Top, name)
    }

    pub(super) fn key<'b>(&'b self, name: &'b str) -> Path<'b> {
        Path::Key(self, name)
    }

    pub(super) fn index(&self, index: usize) -> Path<'_> {
        Path::Index(self, index)
    }

    /// Whether it is the path of an element of a list.
    pub(super) fn is_element(&self) -> bool {
        matches!(self, Self::Index(..))
    }
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Key(Self::Top, name) => f.write_str(name),
            Self::Key(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A rule that a request breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, with indices: `order.item[2].status`.
    pub field: String,
    /// What is wrong, as the rest of a sentence that begins with the field.
    pub rule: String,
}

/// Every rule that a request breaks: the first of them, and how many more there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    listed: Vec<Violation>,
    more: usize,
    /// As many of those listed are of values that could not be read.
    misfits: usize,
}

impl Violations {
    /// A single one.
    #[must_use]
    pub fn one(field: &str, rule: &str) -> Self {
        let mut violations = Self::default();
        violations.add(field, rule);
        violations
    }

    /// Those listed, in the order of the request's fields.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.listed.iter()
    }

    /// How many more there are than those listed.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }

    /// Whether no rule is broken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Nothing if no rule is broken.
    ///
    /// # Errors
    /// The list, if it is not empty.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Notes a broken rule. Of a value that could not be read nothing else is said.
    pub fn add(&mut self, field: impl Display, rule: &str) {
        if self.listed.len() >= MAX_LISTED {
            self.more += 1;
            return;
        }
        let field = field.to_string();
        let is_misfit = |violation: &Violation| is_within(&field, &violation.field);
        if !self.listed[..self.misfits].iter().any(is_misfit) {
            self.listed.push(Violation {
                field,
                rule: rule.to_owned(),
            });
        }
    }

    /// Notes a value that could not be read. These come before all others.
    pub(super) fn misfit(&mut self, field: &Path<'_>, rule: &str) {
        if self.listed.len() >= MAX_LISTED {
            self.more += 1;
            return;
        }
        self.listed.push(Violation {
            field: field.to_string(),
            rule: rule.to_owned(),
        });
        self.misfits = self.listed.len();
    }

    pub(super) fn require(&mut self, field: impl Display) {
        self.add(field, "is required");
    }

    /// A token or an id that has to be there.
    pub(super) fn require_id(&mut self, field: Path<'_>, id: &str, max_bytes: usize) {
        if id.is_empty() {
            self.require(field);
        } else {
            self.check_given_id(field, id, max_bytes);
        }
    }

    /// A token or an id that the request itself gives a meaning to, if it is there.
    pub(super) fn check_given_id(&mut self, field: Path<'_>, id: &str, max_bytes: usize) {
        if !id.is_empty() && id.trim().is_empty() {
            self.add(field, "must not be blank");
        } else {
            self.check_id(field, id, max_bytes);
        }
    }

    /// An id that has to name something known, which is seen elsewhere.
    pub(super) fn check_id(&mut self, field: Path<'_>, id: &str, max_bytes: usize) {
        if id.len() > max_bytes {
            self.check_bytes(field, id, max_bytes);
        } else if let Some(letter) = id.chars().find(|&letter| !is_printable(letter)) {
            let rule = format!(
                "has the character U+{:04X}, which cannot be printed",
                u32::from(letter)
            );
            self.add(field, &rule);
        }
    }

    pub(super) fn check_bytes(&mut self, field: Path<'_>, text: &str, max_bytes: usize) {
        if text.len() > max_bytes {
            self.add(
                field,
                &format!("has {} bytes; at most {max_bytes} are taken", text.len()),
            );
        }
    }

    pub(super) fn check_count(&mut self, field: impl Display, count: usize, most: usize) {
        if count > most {
            self.add(field, &too_many(count, most));
        }
    }

    pub(super) fn check_chars(&mut self, field: Path<'_>, text: &str, max_chars: usize) {
        // No text has more characters than bytes.
        if text.len() <= max_chars {
            return;
        }
        let chars = text.chars().count();
        if chars > max_chars {
            self.add(
                field,
                &format!("has {chars} characters; at most {max_chars} are allowed"),
            );
        }
    }

    pub(super) fn check_merchant(
        &mut self,
        field: &str,
        merchant_id: &str,
        is_merchant: &dyn Fn(&str) -> bool,
    ) {
        if merchant_id.is_empty() {
            self.require(field);
        } else if !is_merchant(merchant_id) {
            self.add(field, UNKNOWN_MERCHANT);
        }
    }

    pub(super) fn check_enum<E: TryFrom<i32>>(&mut self, field: Path<'_>, value: i32) {
        if E::try_from(value).is_err() {
            self.add(
                field,
                &format!("has the number {value}, which the contract does not know"),
            );
        }
    }
}

/// Whether a path leads to a field or to something within it.
fn is_within(path: &str, field: &str) -> bool {
    path.strip_prefix(field)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Whether a character of an id can be seen or is an ordinary space: no control character, none that
/// ends a line, none without a width, none that changes the direction of writing.
fn is_printable(letter: char) -> bool {
    let is_invisible = matches!(
        letter,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !letter.is_control() && !is_invisible
}

/// What is said of a merchant that is not in the catalogue.
pub const UNKNOWN_MERCHANT: &str = "is not a merchant of this booking partner";

impl Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Violation { field, rule }) in self.listed.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{field} {rule}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_broken_rules_the_first_are_listed_and_the_others_counted() {
        let mut violations = Violations::default();
        for at in 0..MAX_LISTED + 5 {
            violations.add(Path::field("item").index(at), "is wrong");
        }
        assert_eq!(
            (violations.iter().count(), violations.more()),
            (MAX_LISTED, 5)
        );
        assert!(
            violations
                .to_string()
                .ends_with("item[19] is wrong; and 5 more"),
            "{violations}"
        );
    }

    #[test]
    fn of_a_value_that_could_not_be_read_nothing_else_is_said() {
        let mut violations = Violations::default();
        let order = Path::field("order");
        violations.misfit(&order.key("item").index(1), "does not fit");
        for (path, is_said) in [
            ("order.item[1]", false),
            ("order.item[1].status", false),
            ("order.item[10]", true),
            ("order.item", true),
            ("order.items", true),
        ] {
            let mut violations = violations.clone();
            violations.add(path, "is wrong");
            assert_eq!(
                violations.iter().count(),
                1 + usize::from(is_said),
                "{path}"
            );
        }
    }

    #[test]
    fn ids_are_printable_not_blank_and_of_bounded_length() {
        for (id, is_taken) in [
            ("a", true),
            ("a b", true),
            ("ünï/日本", true),
            (" ", false),
            ("\u{3000}", false),
            ("a\n", false),
            ("a\0", false),
            ("\u{7f}", false),
            ("a\u{200b}", false),
            ("\u{202e}a", false),
            ("\u{feff}a", false),
            ("a\u{2028}", false),
            (&"x".repeat(12), true),
            (&"x".repeat(13), false),
        ] {
            let mut violations = Violations::default();
            violations.require_id(Path::field("id"), id, 12);
            assert_eq!(violations.is_empty(), is_taken, "{id:?}: {violations}");
        }
    }
}
