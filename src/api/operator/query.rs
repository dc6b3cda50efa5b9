//! Requests over REST: the parameters of a query become JSON, and JSON is read as on the port of callers. Every value
//! that does not fit its field is named.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::{
    api::{
        booking::{json, requests::Violations, schema::Described},
        error::ApiError,
    },
    net::request_bodies::ReceivedMessage,
};

/// A request in JSON.
#[derive(Debug)]
pub struct JsonRequest {
    source: JsonSource,
    /// The field whose text the URL has, with the text.
    fixed: Option<(&'static str, String)>,
}

#[derive(Debug)]
enum JsonSource {
    Body(ReceivedMessage),
    Query(String),
}

impl JsonRequest {
    /// The request of a body.
    pub(super) fn of_body(body: ReceivedMessage, fixed: Option<(&'static str, String)>) -> Self {
        Self {
            source: JsonSource::Body(body),
            fixed,
        }
    }

    /// The request of the parameters of a URL.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] with every parameter that is unknown, repeated, or has a value that does not fit.
    pub(super) fn of_query(
        message: &str,
        query: &str,
        fixed: Option<(&'static str, String)>,
    ) -> Result<Self, ApiError> {
        let fields = from_query(message, query)?;
        Ok(Self {
            source: JsonSource::Query(Value::Object(fields).to_string()),
            fixed,
        })
    }

    /// The message.
    ///
    /// # Errors
    /// [`ApiError::Malformed`] for what is not JSON, or not an object; [`ApiError::Invalid`] with every member that does
    /// not fit.
    pub(super) fn read<M: Described>(&self) -> Result<M, ApiError> {
        let text = match &self.source {
            JsonSource::Body(body) => &**body.bytes(),
            JsonSource::Query(text) => text.as_bytes(),
        };
        let fixed = self.fixed.as_ref();
        json::read_with(text, fixed.map(|(field, value)| (*field, value.as_str())))
    }
}

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

/// The members of a message from the query of a URL.
///
/// # Errors
/// [`ApiError::Invalid`] with every parameter that is unknown, repeated, or has a value that does not fit.
fn from_query(message: &str, query: &str) -> Result<Map<String, Value>, ApiError> {
    let mut fields = Map::new();
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
    Ok(fields)
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
                within.insert(step.to_owned(), Value::Array(vec![value]));
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
            Self::Text | Self::TextList | Self::Time | Self::Mask => {
                Ok(Value::String(value.to_owned()))
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::operator::proto::v1::{
        CancelOrderRequest, ConfirmItemsRequest, ListDoorRequest, SearchOrdersRequest,
    };

    fn asked<M: Described>(message: &str, query: &str) -> Result<M, String> {
        JsonRequest::of_query(message, query, None)
            .and_then(|request| request.read())
            .map_err(|error| error.message())
    }

    fn search(query: &str) -> Result<SearchOrdersRequest, String> {
        asked("SearchOrdersRequest", query)
    }

    fn body<M: Described>(text: &str) -> Result<M, String> {
        let fixed = Some(("name", "orders/A"));
        json::read_with(text.as_bytes(), fixed).map_err(|error| error.message())
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
        let request: ListDoorRequest = asked("ListDoorRequest", query).unwrap();
        let slot = request.slot.unwrap();
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
                "invalid request: created_from does not fit: expected a time such as",
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
        let request: SearchOrdersRequest =
            json::read(br#"{"readMask": "name,createTime", "pageSize": 3.0, "states": null}"#)
                .unwrap();
        assert_eq!(request.read_mask.unwrap().paths, ["name", "create_time"]);
        assert_eq!(request.page_size, 3);
        for (text, expected) in [
            (
                "[]",
                "the message cannot be decoded: expected an object, found a list",
            ),
            (
                "{",
                "the message cannot be decoded: the text ends within an object at line 1 column 1",
            ),
            (
                r#"{"page": 1}"#,
                "invalid request: page is not a field; expected one of name, items, refund, reason,",
            ),
            (
                r#"{"refund": {"full": {"x": 1}}}"#,
                "invalid request: refund.full.x is not a field: there is none here",
            ),
        ] {
            let found = body::<CancelOrderRequest>(text).unwrap_err();
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }

    #[test]
    fn a_member_given_twice_is_an_error() {
        for (text, field) in [
            (
                r#"{"validate_only": true, "validate_only": false}"#,
                "validate_only",
            ),
            (
                r#"{"validateOnly": true, "validate_only": true}"#,
                "validate_only",
            ),
            (r#"{"items": [0], "items": [1]}"#, "items"),
            (r#"{"request_id": "a", "requestId": "a"}"#, "request_id"),
            (
                r#"{"refund": {"amount": {"micros": 1, "micros": "2"}}}"#,
                "refund.amount.micros",
            ),
            (r#"{"refund": {"full": {}, "full": {}}}"#, "refund.full"),
        ] {
            let expected = format!("invalid request: {field} is given twice");
            assert_eq!(body::<CancelOrderRequest>(text), Err(expected), "{text}");
        }
        let twice = body::<CancelOrderRequest>(r#"{"refund": {"full": {}, "nothing": {}}}"#);
        let found = twice.unwrap_err();
        assert!(found.contains("only one of them may be"), "{found}");
        let named = body::<CancelOrderRequest>(r#"{"name": "orders/B"}"#);
        let expected = "invalid request: name is given by the URL";
        assert_eq!(named, Err(expected.to_owned()));
    }

    #[test]
    fn a_value_that_does_not_fit_is_told_in_words() {
        for (text, expected) in [
            (
                r#"{"items": [-1]}"#,
                "items[0] does not fit: expected a whole number of 32 bits, not below zero, found -1",
            ),
            (
                r#"{"items": [4294967296]}"#,
                "items[0] does not fit: expected a whole number of 32 bits, not below zero, found 4294967296",
            ),
            (
                r#"{"items": [0.5]}"#,
                "items[0] does not fit: expected a whole number of 32 bits, not below zero, found 0.5",
            ),
            (
                r#"{"refund": "full"}"#,
                "refund does not fit: expected an object, found \"full\"",
            ),
            (
                r#"{"refund": {"amount": {"micros": 99999999999999999999}}}"#,
                "refund.amount.micros does not fit: expected a whole number of 64 bits, found 99999999999999999999",
            ),
            (
                r#"{"validate_only": "yes"}"#,
                "validate_only does not fit: expected true or false, found \"yes\"",
            ),
        ] {
            let expected = format!("invalid request: {expected}");
            assert_eq!(body::<CancelOrderRequest>(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn whole_numbers_may_be_written_in_any_way_and_null_is_absent() {
        let request: CancelOrderRequest = body(
            r#"{"items": [1e0, 2.0], "refund": {"amount": {"micros": "7.2e3", "currency_code": null}},
                "reason": null, "validate_only": null}"#,
        )
        .unwrap();
        let absent: CancelOrderRequest =
            body(r#"{"items": [1, 2], "refund": {"amount": {"micros": 7200}}}"#).unwrap();
        assert_eq!(request, absent);
        assert_eq!(request.name, "orders/A");
        let none: CancelOrderRequest = body(r#"{"items": null, "refund": null}"#).unwrap();
        assert_eq!((none.items, none.refund), (Vec::new(), None));
    }

    #[test]
    fn a_number_without_a_name_is_left_to_the_method_and_an_unknown_name_is_an_error() {
        let request: ConfirmItemsRequest = body(r#"{"decision": 77}"#).unwrap();
        assert_eq!(request.decision, 77);
        let found = body::<ConfirmItemsRequest>(r#"{"decision": "MAYBE"}"#).unwrap_err();
        assert!(
            found.starts_with("invalid request: decision has the name"),
            "{found}"
        );
    }

    #[test]
    fn moments_have_fractions_also_before_1970() {
        for (text, expected) in [
            ("2026-12-01T10:00:00.25Z", (1_796_119_200, 250_000_000)),
            ("1969-12-31T23:59:59.75Z", (-1, 750_000_000)),
        ] {
            let request = search(&format!("created_from={text}")).unwrap();
            let time = request.created_from.unwrap();
            assert_eq!((time.seconds, time.nanos), expected, "{text}");
        }
    }
}
