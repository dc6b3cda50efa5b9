//! The rules that a request violates, each with the path of its field.

use std::fmt::{self, Display};

/// Maximum number of listed violations; the others are counted. An error travels in headers, of which clients accept
/// 8 KiB.
const MAX_LISTED: usize = 20;

/// The path of a field, as a list of borrowed steps. It costs nothing until a violation is
/// reported.
#[derive(Debug, Clone, Copy)]
pub(super) enum FieldPath<'a> {
    /// The request.
    Top,
    /// A field of a message.
    Key(&'a Self, &'a str),
    /// An element of a list.
    Index(&'a Self, usize),
}

impl<'a> FieldPath<'a> {
    /// A field of the request.
    pub(super) fn field(name: &'a str) -> Self {
        Self::Key(&Self::Top, name)
    }

    pub(super) fn key<'b>(&'b self, name: &'b str) -> FieldPath<'b> {
        FieldPath::Key(self, name)
    }

    pub(super) fn index(&self, index: usize) -> FieldPath<'_> {
        FieldPath::Index(self, index)
    }

    /// Whether it is the path of an element of a list.
    pub(super) fn is_element(&self) -> bool {
        matches!(self, Self::Index(..))
    }
}

impl Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Key(Self::Top, name) => f.write_str(name),
            Self::Key(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A rule that a request violates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// `FieldPath` of the field, with indices: `order.item[2].status`.
    pub field: String,
    /// What is wrong, as the rest of a sentence that begins with the field.
    pub rule: String,
}

/// The rules that a request violates: the first of them, and the number of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    listed: Vec<Violation>,
    more: usize,
    /// Number of those listed that are of unreadable values.
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

    /// Number of violations that are not listed.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }

    /// Whether no rule is violated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// `Ok` if no rule is violated.
    ///
    /// # Errors
    /// The list, if it is not empty.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Adds a violation. A value that could not be read gets no second one.
    pub fn add(&mut self, field: impl Display, rule: &str) {
        let is_full = self.listed.len() >= MAX_LISTED;
        // The path is not made for a violation that can only be counted.
        if is_full && self.misfits == 0 {
            self.more += 1;
            return;
        }
        let field = field.to_string();
        // Also of fields within it: a value that was left out looks absent to every later rule.
        let is_misfit = |violation: &Violation| is_within(&field, &violation.field);
        // Before the count: what would not have been listed must not be counted either.
        if self.listed[..self.misfits].iter().any(is_misfit) {
            return;
        }
        // The rest is only counted, so that a hostile request cannot make the response large.
        if is_full {
            self.more += 1;
            return;
        }
        self.listed.push(Violation {
            field,
            rule: rule.to_owned(),
        });
    }

    /// Adds a value that could not be read. These come before all others.
    pub(super) fn misfit(&mut self, field: &FieldPath<'_>, rule: &str) {
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
}

/// Whether a path leads to a field or to something within it.
fn is_within(path: &str, field: &str) -> bool {
    path.strip_prefix(field)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

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
            violations.add(FieldPath::field("item").index(at), "is wrong");
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
    fn violations_that_follow_from_an_unreadable_value_are_not_counted_in_a_full_list() {
        let mut violations = Violations::default();
        violations.misfit(&FieldPath::field("order"), "does not fit");
        for at in 1..MAX_LISTED {
            violations.add(FieldPath::field("item").index(at), "is wrong");
        }
        violations.add("order.name", "is missing");
        assert_eq!(violations.more(), 0);
        violations.add("token", "is missing");
        assert_eq!(violations.more(), 1);
    }

    #[test]
    fn of_a_value_that_could_not_be_read_nothing_else_is_said() {
        let mut violations = Violations::default();
        let order = FieldPath::field("order");
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
}
