//! The rules that a request must keep before any business question is asked, and the list of
//! those it broke.

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

/// Limits of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Most line items in one order.
    pub max_items_per_order: usize,
    /// Most slots in one look-up.
    pub max_slots_per_lookup: usize,
    /// Longest token, cart id or user id in bytes.
    pub max_id_bytes: usize,
}

/// A rule that a request breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, with indices: `order.item[2].status`.
    pub field: String,
    /// What is wrong, as the rest of a sentence that begins with the field.
    pub rule: String,
}

/// Every rule that a request breaks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// A single one.
    #[must_use]
    pub fn one(field: &str, rule: &str) -> Self {
        Self(vec![Violation { field: field.to_owned(), rule: rule.to_owned() }])
    }

    /// Those found, in the order of the request's fields.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }

    /// Nothing if no rule is broken.
    ///
    /// # Errors
    /// The list, if it is not empty.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Notes a broken rule.
    pub fn add(&mut self, field: &str, rule: &str) {
        self.0.push(Violation { field: field.to_owned(), rule: rule.to_owned() });
    }

    pub(super) fn require(&mut self, field: &str) {
        self.add(field, "is required");
    }

    pub(super) fn require_text(&mut self, field: &str, text: &str, max_bytes: usize) {
        if text.is_empty() {
            self.require(field);
        }
        self.check_text(field, text, max_bytes);
    }

    pub(super) fn check_text(&mut self, field: &str, text: &str, max_bytes: usize) {
        if text.len() > max_bytes {
            self.add(field, &format!("has {} bytes; at most {max_bytes} are taken", text.len()));
        }
    }

    pub(super) fn check_count(&mut self, field: &str, count: usize, most: usize) {
        if count > most {
            self.add(field, &too_many(count, most));
        }
    }

    pub(super) fn check_name(&mut self, field: &str, name: &str) {
        let chars = name.chars().count();
        if chars > MAX_NAME_CHARS {
            self.add(field, &format!("has {chars} characters; at most {MAX_NAME_CHARS} are allowed"));
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

    pub(super) fn check_enum<E: TryFrom<i32>>(&mut self, field: &str, value: i32) {
        if E::try_from(value).is_err() {
            self.add(field, &format!("has the number {value}, which the contract does not know"));
        }
    }
}

/// What is said of a merchant that is not in the catalogue.
pub const UNKNOWN_MERCHANT: &str = "is not a merchant of this booking partner";

impl std::fmt::Display for Violations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, Violation { field, rule }) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{field} {rule}")?;
        }
        Ok(())
    }
}
