//! The validation of a request's fields, which collects every violation.

use std::fmt::Display;

use crate::api::booking::{
    requests::{RequestLimits, UNKNOWN_MERCHANT, too_many},
    violations::{FieldPath, Violations},
};

/// Checks the fields of one request and collects every rule that they violate, so that a caller learns all of
/// them from one response.
pub(super) struct Validator<'l> {
    limits: &'l RequestLimits,
    violations: Violations,
}

/// Proof that a violation has been noted, in the place of a value that cannot be made.
#[derive(Debug)]
pub(super) struct Violated;

impl<'l> Validator<'l> {
    /// A validator that starts with the values that could not be read.
    pub(super) fn new(misfits: Violations, limits: &'l RequestLimits) -> Self {
        Self {
            limits,
            violations: misfits,
        }
    }

    pub(super) fn limits(&self) -> &'l RequestLimits {
        self.limits
    }

    pub(super) fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// The value, if every field of the request keeps the rules.
    ///
    /// # Errors
    /// Every violation.
    pub(super) fn finish<T>(self, value: Result<T, Violated>) -> Result<T, Violations> {
        match value {
            Ok(value) if self.violations.is_empty() => Ok(value),
            Ok(_) | Err(Violated) => Err(self.violations),
        }
    }

    pub(super) fn violate(&mut self, field: impl Display, rule: &str) -> Violated {
        self.violations.add(field, rule);
        Violated
    }

    pub(super) fn require(&mut self, field: impl Display) -> Violated {
        self.violate(field, "is required")
    }

    /// A required token or id.
    pub(super) fn require_id(&mut self, field: FieldPath<'_>, id: &str) {
        if id.is_empty() {
            self.require(field);
        } else {
            self.check_given_id(field, id);
        }
    }

    /// An optional token or id whose meaning the request itself defines, so that it must not be blank.
    pub(super) fn check_given_id(&mut self, field: FieldPath<'_>, id: &str) {
        if let Some(rule) = given_id_rule(id, self.limits.max_id_bytes) {
            self.violate(field, &rule);
        }
    }

    /// The form of an id; whether it names something known is decided elsewhere.
    pub(super) fn check_id(&mut self, field: FieldPath<'_>, id: &str) {
        if let Some(rule) = id_rule(id, self.limits.max_id_bytes) {
            self.violate(field, &rule);
        }
    }

    pub(super) fn check_bytes(&mut self, field: FieldPath<'_>, text: &str, max_bytes: usize) {
        if text.len() > max_bytes {
            self.violate(field, &too_long(text, max_bytes));
        }
    }

    pub(super) fn check_count(&mut self, field: impl Display, count: usize, most: usize) {
        if count > most {
            self.violate(field, &too_many(count, most));
        }
    }

    /// Checks a count where the elements are not used if there are too many.
    pub(super) fn limit_count(
        &mut self,
        field: impl Display,
        count: usize,
        most: usize,
    ) -> Result<(), Violated> {
        if count > most {
            return Err(self.violate(field, &too_many(count, most)));
        }
        Ok(())
    }

    pub(super) fn check_chars(&mut self, field: FieldPath<'_>, text: &str, max_chars: usize) {
        // No text has more characters than bytes, so most texts need not be counted.
        if text.len() <= max_chars {
            return;
        }
        let chars = text.chars().count();
        if chars > max_chars {
            self.violate(
                field,
                &format!("has {chars} characters; at most {max_chars} are allowed"),
            );
        }
    }

    pub(super) fn check_merchant(
        &mut self,
        field: impl Display,
        merchant_id: &str,
        is_merchant: &dyn Fn(&str) -> bool,
    ) {
        if merchant_id.is_empty() {
            self.require(field);
        } else if !is_merchant(merchant_id) {
            self.violate(field, UNKNOWN_MERCHANT);
        }
    }

    pub(super) fn check_enum<E: TryFrom<i32>>(&mut self, field: FieldPath<'_>, value: i32) {
        if E::try_from(value).is_err() {
            let rule = format!("has the number {value}, which the contract does not know");
            self.violate(field, &rule);
        }
    }
}

/// The rule that an id violates whose meaning the request itself defines, so that it must not be blank.
pub(super) fn given_id_rule(id: &str, max_bytes: usize) -> Option<String> {
    if !id.is_empty() && id.trim().is_empty() {
        return Some("must not be blank".to_owned());
    }
    id_rule(id, max_bytes)
}

/// The rule that the form of an id violates.
fn id_rule(id: &str, max_bytes: usize) -> Option<String> {
    // The length first, so that a huge id is not searched character by character.
    if id.len() > max_bytes {
        return Some(too_long(id, max_bytes));
    }
    let letter = id.chars().find(|&letter| !is_printable(letter))?;
    let code_point = u32::from(letter);
    Some(format!(
        "has the character U+{code_point:04X}, which cannot be printed"
    ))
}

fn too_long(text: &str, max_bytes: usize) -> String {
    let bytes = text.len();
    format!("has {bytes} bytes; at most {max_bytes} are taken")
}

/// Whether a character of an id can be seen or is an ordinary space: no control character, none that
/// ends a line, none without a width, none that changes the direction of writing.
fn is_printable(letter: char) -> bool {
    // Such characters make two ids look alike in a log or on a screen.
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RequestLimits = RequestLimits {
        max_items_per_order: 1,
        max_slots_per_lookup: 1,
        max_id_bytes: 12,
    };

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
            let mut validator = Validator::new(Violations::default(), &LIMITS);
            validator.require_id(FieldPath::field("id"), id);
            assert_eq!(
                validator.is_clean(),
                is_taken,
                "{id:?}: {}",
                validator.violations
            );
        }
    }
}
