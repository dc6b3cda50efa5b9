//! Messages as JSON, by the names of their fields, and refusals in the form of `google.rpc.Status`.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::ErrorDetails;

use super::{codes::Problem, requests::Violations};

/// The longest text of an error; it may quote the caller's own.
const MAX_TEXT_CHARS: usize = 200;

/// Reads a message. Fields that the contract does not know are ignored; `null` is the same as
/// absent. Of several values that do not fit their fields the first is reported.
///
/// # Errors
/// [`Problem::Malformed`] for what is not JSON, with line and column; [`Problem::Invalid`] for a
/// value that does not fit its field, with the path of the field.
pub fn read<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, Problem> {
    let mut value: Value =
        serde_json::from_slice(bytes).map_err(|error| Problem::Malformed(error.to_string()))?;
    drop_nulls(&mut value);
    serde_path_to_error::deserialize(value).map_err(|error| misfit(&error))
}

/// Writes a message. Fields that have their default value are left out.
///
/// # Errors
/// [`Problem::Bug`] if it has an enum number that the contract does not know.
pub fn write(message: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(message).map_err(|error| Problem::Bug(error.to_string()))
}

/// The refusal that belongs to a problem.
#[must_use]
pub fn refusal(problem: &Problem) -> Value {
    let row = problem.row();
    json!({
        "error": {
            "code": row.http,
            "message": problem.message(),
            "status": code_name(row.grpc),
            "details": details(&problem.details()),
        }
    })
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(MAX_TEXT_CHARS).map_or(text, |(end, _)| &text[..end])
}

fn misfit(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let path = error.path().to_string();
    let text = error.inner().to_string();
    // What is said of numbers speaks of how they are read.
    let text = if text.contains("untagged") { "no number of this field's range" } else { cut(&text) };
    if path == "." {
        return Problem::Malformed(text.to_owned());
    }
    Violations::one(cut(&path), &format!("does not fit: {text}")).into()
}

fn details(details: &ErrorDetails) -> Vec<Value> {
    let info = details.error_info().map(
        |info| json!({ "@type": detail_type("ErrorInfo"), "reason": info.reason, "domain": info.domain }),
    );
    let retry = details.retry_info().and_then(|retry| retry.retry_delay).map(|delay| {
        let delay = format!("{}.{:03}s", delay.as_secs(), delay.subsec_millis());
        json!({ "@type": detail_type("RetryInfo"), "retryDelay": delay })
    });
    let request = details.bad_request().map(|request| {
        let violation = |found: &tonic_types::FieldViolation| {
            json!({ "field": found.field, "description": found.description })
        };
        let violations: Vec<Value> = request.field_violations.iter().map(violation).collect();
        json!({ "@type": detail_type("BadRequest"), "fieldViolations": violations })
    });
    info.into_iter().chain(retry).chain(request).collect()
}

fn detail_type(name: &str) -> String {
    format!("type.googleapis.com/google.rpc.{name}")
}

/// The published name of a status.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::proto::v3::{
        CheckOrderFulfillabilityRequest, CreateOrderRequest, LineItem, Price, line_item::WarningReason,
    };

    fn item(json: &str) -> Result<LineItem, String> {
        read(json.as_bytes()).map_err(|problem: Problem| problem.message())
    }

    #[test]
    fn a_number_of_64_bits_is_text_in_answers_and_either_in_requests() {
        let price = Price { price_micros: i64::MAX, ..Price::default() };
        assert_eq!(write(&price).unwrap(), br#"{"price_micros":"9223372036854775807"}"#);
        for form in ["9223372036854775807", r#""9223372036854775807""#] {
            assert_eq!(read::<Price>(format!(r#"{{"price_micros": {form}}}"#).as_bytes()).unwrap(), price);
        }
    }

    #[test]
    fn an_enum_is_a_name_in_answers_and_a_name_or_a_number_in_requests() {
        let warned = LineItem { warning_reason: WarningReason::PriceIncrease.into(), ..LineItem::default() };
        assert_eq!(write(&warned).unwrap(), br#"{"warning_reason":"PRICE_INCREASE"}"#);
        for form in [r#""PRICE_INCREASE""#, "1"] {
            assert_eq!(item(&format!(r#"{{"warning_reason": {form}}}"#)).unwrap(), warned);
        }
    }

    #[test]
    fn what_is_default_is_not_written() {
        assert_eq!(write(&LineItem::default()).unwrap(), b"{}");
        let empty = LineItem { price: Some(Price::default()), ..LineItem::default() };
        assert_eq!(write(&empty).unwrap(), br#"{"price":{}}"#, "a message that is there is");
    }

    #[test]
    fn fields_go_by_either_name_and_null_is_no_value() {
        let expected = LineItem { service_id: "s".into(), start_sec: 7, ..LineItem::default() };
        for json in [
            r#"{"service_id": "s", "start_sec": "7"}"#,
            r#"{"serviceId": "s", "startSec": 7}"#,
            r#"{"service_id": "s", "start_sec": 7, "tickets": null, "price": null, "duration_sec": null}"#,
            r#"{"service_id": "s", "start_sec": 7, "status": null, "stranger": [{"x": null}, true]}"#,
        ] {
            assert_eq!(item(json), Ok(expected.clone()), "{json}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_by_the_path_of_its_field() {
        for (json, path) in [
            (r#"{"order": {"item": [{}, {"start_sec": "soon"}]}}"#, "order.item[1].start_sec"),
            (r#"{"order": {"item": [{"start_sec": 9223372036854775808}]}}"#, "order.item[0].start_sec"),
            (r#"{"order": {"item": [{"start_sec": 1.5}]}}"#, "order.item[0].start_sec"),
            (r#"{"order": {"item": [{"status": "SOLD"}]}}"#, "order.item[0].status"),
            (r#"{"order": {"item": [{"status": 99}]}}"#, "order.item[0].status"),
            (
                r#"{"order": {"item": [{"tickets": [{"count": 2147483648}]}]}}"#,
                "order.item[0].tickets[0].count",
            ),
            (r#"{"order": {"item": {}}}"#, "order.item"),
            (r#"{"order": "museum"}"#, "order"),
            (r#"{"idempotency_token": 7}"#, "idempotency_token"),
        ] {
            let problem = read::<CreateOrderRequest>(json.as_bytes()).unwrap_err();
            let Problem::Invalid(violations) = &problem else { panic!("{json}: {problem:?}") };
            let fields: Vec<_> = violations.iter().map(|found| &*found.field).collect();
            assert_eq!(fields, [path], "{json}");
            assert!(!problem.message().contains("untagged"), "{json}: {problem:?}");
        }
    }

    #[test]
    fn a_callers_text_is_not_sent_back_at_any_length() {
        let json = format!(r#"{{"item": "{}"}}"#, "é".repeat(100_000));
        let problem = read::<CheckOrderFulfillabilityRequest>(json.as_bytes()).unwrap_err();
        assert!(problem.message().len() < 1000, "{problem:?}");
    }

    #[test]
    fn what_is_no_json_is_named_by_line_and_column() {
        for (json, place) in [
            ("", "line 1 column 0"),
            ("{", "line 1 column 1"),
            ("{\n\"item\": [}", "line 2 column 10"),
            ("{} {}", "line 1 column 4"),
            ("{\"cart_id\": \"\u{7}\"}", "line 1 column 14"),
        ] {
            let problem = read::<CheckOrderFulfillabilityRequest>(json.as_bytes()).unwrap_err();
            let Problem::Malformed(text) = &problem else { panic!("{json:?}: {problem:?}") };
            assert!(text.contains(place), "{json:?}: {text}");
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(
            read::<CheckOrderFulfillabilityRequest>(format!(r#"{{"stranger": {deep}"#).as_bytes()),
            Err(Problem::Malformed(_))
        ));
    }
}
