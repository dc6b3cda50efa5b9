//! The body of a request about a customer.

use std::{collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::api::{
    booking::{from_proto, requests::Violations},
    error::ApiError,
};
use domain::ids::UserId;
use kernel::diagnostics::quoted;

/// The only member.
const USER_ID: &str = "user_id";

/// Reads the customer that a body names. No error quotes the id.
///
/// # Errors
/// [`ApiError::Malformed`] for what is no JSON object, [`ApiError::Invalid`] with the member and its rule.
pub(super) fn read(body: &[u8]) -> Result<UserId, ApiError> {
    let members: Members = serde_json::from_slice(body)
        .map_err(|_| ApiError::Malformed("expected an object with a `user_id`".to_owned()))?;
    let mut violations = members.violations;
    let Some(user_id) = members.user_id else {
        // Not beside a value of the wrong type, which was given.
        if violations.is_empty() {
            violations.add(USER_ID, "is required");
        }
        return Err(violations.into());
    };
    violations.into_result()?;
    Ok(from_proto::user_id(user_id)?)
}

/// The members of the object, and the rules that they violate.
#[derive(Default)]
struct Members {
    user_id: Option<String>,
    violations: Violations,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        let mut seen = HashSet::new();
        while let Some((name, value)) = object.next_entry::<String, Value>()? {
            if name != USER_ID {
                let rule = "is not a member of this message; it has `user_id` only";
                members.violations.add(quoted(&name), rule);
            } else if !seen.insert(name) {
                members.violations.add(USER_ID, "is given twice");
            } else if let Value::String(text) = value {
                members.user_id = Some(text);
            } else {
                let rule = format!("does not fit: expected a text, found {}", kind(&value));
                members.violations.add(USER_ID, &rule);
            }
        }
        Ok(members)
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_member_and_the_rule() {
        let long = format!(r#"{{"user_id":"{}"}}"#, "x".repeat(1025));
        for (body, expected) in [
            ("{}", "user_id is required"),
            (
                r#"{"user_id":5}"#,
                "user_id does not fit: expected a text, found a number",
            ),
            (r#"{"user_id":"a","user_id":"b"}"#, "user_id is given twice"),
            (
                r#"{"user_id":"a","userid":"b"}"#,
                r#""userid" is not a member"#,
            ),
            (r#"{"user_id":""}"#, "user_id must not be empty"),
            (r#"{"user_id":" "}"#, "user_id must not be blank"),
            (
                r#"{"user_id":"a\u0000"}"#,
                "user_id has the character U+0000",
            ),
            (
                r#"{"user_id":"a\u200b"}"#,
                "user_id has the character U+200B",
            ),
            (&long, "user_id has 1025 bytes; at most 1024 are taken"),
            ("[]", "expected an object"),
            ("{", "expected an object"),
        ] {
            let error = read(body.as_bytes()).unwrap_err().message();
            assert!(error.contains(expected), "{body}: {error}");
        }
        assert_eq!(read(br#"{"user_id":"a b"}"#), Ok("a b".into()));
    }
}
