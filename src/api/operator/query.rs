//! Messages from the parameters of a query and from JSON. Every value that does not fit its field is named.

use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::api::{booking::requests::Violations, error::ApiError};
use kernel::files::text;

/// A field of a request as a parameter of a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    /// Its name, behind the names of the messages around it and dots.
    path: &'static str,
    kind: ParameterKind,
}

/// What a parameter may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParameterKind {
    Text,
    /// Any number of texts, each a parameter of its own.
    TextList,
    Number,
    Flag,
    /// A moment as RFC 3339 writes it.
    Time,
    /// Fields with commas between.
    Mask,
}

mod generated {
    use super::{Parameter, ParameterKind};

    include!(concat!(env!("OUT_DIR"), "/operator_parameters.rs"));
}

/// The parameters of a request; none of one that is not published.
fn parameters(message: &str) -> &'static [Parameter] {
    let found = generated::PARAMETERS
        .iter()
        .find(|(name, _)| *name == message);
    found.map_or(&[], |(_, parameters)| parameters)
}

/// Whether a service has a method.
pub(super) fn is_method(service: &str, method: &str) -> bool {
    generated::METHODS.contains(&(service, method))
}

/// The fields of an order.
#[cfg(test)]
pub(super) fn fields_of_order() -> Vec<&'static str> {
    generated::ORDER_FIELDS.to_vec()
}

/// The JSON of a message from the query of a URL. `fixed` are the fields that the path of the URL has.
///
/// # Errors
/// [`ApiError::Invalid`] with every parameter that is unknown, repeated, or has a value that does not fit.
pub(super) fn from_query(
    message: &str,
    query: &str,
    fixed: &[(&str, String)],
) -> Result<Value, ApiError> {
    let mut fields = Map::new();
    for (name, value) in fixed {
        fields.insert((*name).to_owned(), Value::String(value.clone()));
    }
    let mut violations = Violations::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
            violations.add("query", "has a percent-encoding that is not UTF-8");
            continue;
        };
        add(&mut fields, message, &name, &value, &mut violations);
    }
    violations.into_result()?;
    Ok(Value::Object(fields))
}

fn add(
    fields: &mut Map<String, Value>,
    message: &str,
    name: &str,
    value: &str,
    violations: &mut Violations,
) {
    let known = parameters(message);
    let Some(parameter) = known.iter().find(|known| is_named(known.path, name)) else {
        let names: Vec<&str> = known.iter().map(|known| known.path).collect();
        let rule = format!("is not a parameter; expected one of {}", names.join(", "));
        violations.add(name, &rule);
        return;
    };
    let value = match parameter.kind.read(value) {
        Ok(value) => value,
        Err(rule) => {
            violations.add(parameter.path, rule);
            return;
        }
    };
    let mut within = fields;
    let mut steps = parameter.path.split('.').peekable();
    while let Some(step) = steps.next() {
        let is_last = steps.peek().is_none();
        if !is_last {
            let inner = within
                .entry(step)
                .or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(inner) = inner else { return };
            within = inner;
            continue;
        }
        match within.get_mut(step) {
            Some(Value::Array(list)) if parameter.kind == ParameterKind::TextList => {
                list.push(value.clone());
            }
            Some(_) => violations.add(parameter.path, "is given twice"),
            None if parameter.kind == ParameterKind::TextList => {
                within.insert(step.to_owned(), json!([value]));
                return;
            }
            None => {
                within.insert(step.to_owned(), value);
                return;
            }
        }
    }
}

/// Whether a parameter is meant by a name, which may be in lowerCamelCase.
fn is_named(path: &str, name: &str) -> bool {
    let mut letters = name.chars().flat_map(|letter| {
        let underscore = letter.is_ascii_uppercase().then_some('_');
        underscore.into_iter().chain([letter.to_ascii_lowercase()])
    });
    path == name
        || path.chars().all(|letter| letters.next() == Some(letter)) && letters.next().is_none()
}

/// A part of a query; `None` if it is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

impl ParameterKind {
    /// The JSON of a value, or the rule that it violates.
    fn read(self, value: &str) -> Result<Value, &'static str> {
        match self {
            Self::Text | Self::TextList | Self::Time => Ok(Value::String(value.to_owned())),
            Self::Mask => Ok(mask(value)),
            Self::Number => match value.parse::<i64>() {
                Ok(number) => Ok(number.into()),
                Err(_) => Err("must be a whole number"),
            },
            Self::Flag => match value {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err("must be `true` or `false`"),
            },
        }
    }
}

/// A mask as the messages have it: their library knows it as a message only and not as text.
fn mask(text: &str) -> Value {
    let paths: Vec<&str> = text.split(',').filter(|path| !path.is_empty()).collect();
    json!({ "paths": paths })
}

/// The JSON of a message from a body. `fixed` are the fields that the path of the URL has.
///
/// # Errors
/// [`ApiError::Malformed`] for what is not JSON, or not an object; [`ApiError::Invalid`] for a fixed field.
pub(super) fn from_body(bytes: &[u8], fixed: &[(&str, String)]) -> Result<Value, ApiError> {
    let malformed = |why: String| ApiError::Malformed(why);
    let text = text::read(bytes).map_err(|why| malformed(why.to_string()))?;
    let value: Value = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    let Value::Object(mut fields) = value else {
        return Err(malformed("expected an object".to_owned()));
    };
    for name in ["read_mask", "readMask"] {
        if let Some(Value::String(paths)) = fields.get(name) {
            let paths = mask(paths);
            fields.insert(name.to_owned(), paths);
        }
    }
    let mut violations = Violations::default();
    for (name, value) in fixed {
        let value = Value::String(value.clone());
        if fields.insert((*name).to_owned(), value).is_some() {
            violations.add(name, "is given by the URL");
        }
    }
    violations.into_result()?;
    Ok(Value::Object(fields))
}

/// The message of a JSON object.
///
/// # Errors
/// [`ApiError::Invalid`] with every member that does not fit.
pub(super) fn read<M: DeserializeOwned>(value: Value) -> Result<M, ApiError> {
    let error = match M::deserialize(&value) {
        Ok(message) => return Ok(message),
        Err(error) => error,
    };
    // The library says what is wrong and not where: each member is read by itself.
    let mut violations = Violations::default();
    if let Value::Object(fields) = value {
        for (name, member) in fields {
            let alone = Value::Object(Map::from_iter([(name.clone(), member)]));
            if let Err(error) = M::deserialize(&alone) {
                violations.add(&name, &format!("does not fit: {error}"));
            }
        }
    }
    if violations.is_empty() {
        violations.add("request", &error.to_string());
    }
    Err(violations.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::operator::proto::v1::{ListDoorRequest, SearchOrdersRequest};

    fn search(query: &str) -> Result<SearchOrdersRequest, String> {
        from_query("SearchOrdersRequest", query, &[])
            .and_then(read)
            .map_err(|error| error.message())
    }

    #[test]
    fn a_query_has_the_fields_of_its_request() {
        let request = search(
            "merchant_id=museum&serviceId=a%20b+c&states=processing&states=cancelled&page_size=7\
             &needs_attention=true&createdFrom=2026-12-01T10:00:00%2B01:00&read_mask=name,customer&",
        )
        .unwrap();
        assert_eq!(
            (
                &*request.merchant_id,
                &*request.service_id,
                request.page_size
            ),
            ("museum", "a b c", 7)
        );
        assert_eq!(request.states, ["processing", "cancelled"]);
        assert!(request.needs_attention);
        assert_eq!(request.created_from.unwrap().seconds, 1_796_115_600);
        assert_eq!(request.read_mask.unwrap().paths, ["name", "customer"]);
    }

    #[test]
    fn fields_of_inner_messages_stand_behind_dots() {
        let query =
            "slot.merchant_id=museum&slot.startTime=2026-12-01T10:00:00Z&slot.duration_sec=3600";
        let value = from_query("ListDoorRequest", query, &[]).unwrap();
        let slot = read::<ListDoorRequest>(value).unwrap().slot.unwrap();
        assert_eq!((&*slot.merchant_id, slot.duration_sec), ("museum", 3600));
        assert_eq!(slot.start_time.unwrap().seconds, 1_796_119_200);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (query, expected) in [
            (
                "page_size=many",
                "invalid request: page_size must be a whole number",
            ),
            (
                "page_size=1&page_size=2",
                "invalid request: page_size is given twice",
            ),
            (
                "needs_attention=yes",
                "invalid request: needs_attention must be `true` or `false`",
            ),
            (
                "merchant=x",
                "invalid request: merchant is not a parameter; expected one of visit_date,",
            ),
            (
                "user_id=%ff",
                "invalid request: query has a percent-encoding that is not UTF-8",
            ),
            (
                "created_from=today",
                "invalid request: created_from does not fit:",
            ),
            (
                "page_size=x&needs_attention=x",
                "invalid request: page_size must be a whole number; needs_attention must be",
            ),
        ] {
            let found = search(query).unwrap_err();
            assert!(found.starts_with(expected), "{query}: {found}");
        }
    }

    #[test]
    fn a_body_is_an_object_whose_members_fit() {
        let read_body = |text: &str| {
            from_body(text.as_bytes(), &[])
                .and_then(read::<SearchOrdersRequest>)
                .map_err(|error| error.message())
        };
        let request = read_body(r#"{"readMask": "name", "pageSize": 3}"#).unwrap();
        assert_eq!(request.read_mask.unwrap().paths, ["name"]);
        for (text, expected) in [
            ("[]", "the message cannot be decoded: expected an object"),
            ("{", "the message cannot be decoded: EOF while parsing"),
            (
                r#"{"page_size": "x"}"#,
                "invalid request: page_size does not fit:",
            ),
            (
                r#"{"page": 1}"#,
                "invalid request: page does not fit: unknown field",
            ),
        ] {
            let found = read_body(text).unwrap_err();
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }
}
