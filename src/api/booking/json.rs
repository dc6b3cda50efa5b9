//! Messages as JSON, by the names of their fields, and errors in the form of `google.rpc.Status`.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::{Value, json};
use tonic_types::{ErrorDetails, ErrorInfo};

use super::{requests::Decoded, schema::Described};
use crate::api::error::{self, ApiError};
use kernel::{
    diagnostics::Position,
    files::text::{self, NotText},
    proto_json,
};

mod reader;
mod writer;

/// Reads a message. Fields that the contract does not know are ignored; `null` is the same as absent.
/// Values that do not fit their fields are left out of the message and named beside it.
///
/// # Errors
/// [`ApiError::Malformed`] for what is not JSON, with line and column, or not an object.
pub fn decode<M: Described>(bytes: &[u8]) -> Result<Decoded<M>, ApiError> {
    decode_with(bytes, None)
}

fn decode_with<M: Described>(
    bytes: &[u8],
    fixed: Option<(&str, &str)>,
) -> Result<Decoded<M>, ApiError> {
    let text = text::read(bytes).map_err(|why| match why {
        NotText::InvalidUtf8(position) => malformed(&why, position),
        NotText::Utf16 | NotText::Gzip => ApiError::Malformed(why.to_string()),
    })?;
    let read = reader::read(text, M::SCHEMA, fixed)
        .map_err(|error| malformed(&proto_json::broken(&error), proto_json::position(&error)))?;
    if let Some(found) = read.no_object {
        return Err(ApiError::Malformed(format!(
            "expected an object, found {found}"
        )));
    }
    let message = M::decode(&*read.bytes).map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(Decoded {
        message,
        misfits: read.misfits,
    })
}

/// The error of a text that is broken at a position, in words: a request has no file name before it.
fn malformed(what: &dyn fmt::Display, Position { line, column }: Position) -> ApiError {
    ApiError::Malformed(format!("{what} at line {line} column {column}"))
}

/// Reads a message in which every value fits.
///
/// # Errors
/// As [`decode`], and [`ApiError::Invalid`] with all values that do not fit.
pub fn read<M: Described>(bytes: &[u8]) -> Result<M, ApiError> {
    read_with(bytes, None)
}

/// Reads a message in which every value fits. `fixed` is a field of it whose text the URL has, with the text: to give
/// that field here as well is an error.
///
/// # Errors
/// As [`read`].
pub fn read_with<M: Described>(bytes: &[u8], fixed: Option<(&str, &str)>) -> Result<M, ApiError> {
    let Decoded { message, misfits } = decode_with(bytes, fixed)?;
    misfits.into_result()?;
    Ok(message)
}

/// Writes a message. Fields that have their default value are left out, and numbers of enums that the
/// contract has no name for stay numbers.
///
/// # Errors
/// [`ApiError::Internal`], which no message leads to.
pub fn write<M: Described + Serialize>(message: &M) -> Result<Vec<u8>, ApiError> {
    if let Ok(json) = serde_json::to_vec(message) {
        return Ok(json);
    }
    let bug = |error: &dyn std::error::Error| ApiError::Internal(error.to_string());
    let value =
        writer::write(message.encode_to_vec().into(), M::SCHEMA).map_err(|error| bug(&error))?;
    serde_json::to_vec(&value).map_err(|error| bug(&error))
}

/// The body of an error response, in the form of `google.rpc.Status`.
#[must_use]
pub fn error_body(error: &ApiError) -> Value {
    let mapping = error.mapping();
    json!({
        "error": {
            "code": mapping.http,
            "message": error.message(),
            "status": error::code_name(mapping.grpc),
            "details": details(&error.details()),
        }
    })
}

fn details(details: &ErrorDetails) -> Vec<Value> {
    let info = details.error_info().map(error_info);
    let retry = details
        .retry_info()
        .and_then(|retry| retry.retry_delay)
        .map(|delay| {
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

fn error_info(info: &ErrorInfo) -> Value {
    let mut shown =
        json!({ "@type": detail_type("ErrorInfo"), "reason": info.reason, "domain": info.domain });
    if !info.metadata.is_empty() {
        // Sorted: equal errors have equal bytes.
        let metadata: BTreeMap<_, _> = info.metadata.iter().collect();
        shown["metadata"] = json!(metadata);
    }
    shown
}

fn detail_type(name: &str) -> String {
    format!("type.googleapis.com/google.rpc.{name}")
}

#[cfg(test)]
mod tests;
