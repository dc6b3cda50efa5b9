//! Limits on the elements of a message before it is decoded: an empty element takes two bytes on
//! the wire and some hundreds in memory.
//!
//! The elements of repeated fields are counted in a walk over the bytes that keeps nothing. The
//! limits are those of [`super::requests`], which are checked again field by field after decoding.
//! Only a message that may hold very many elements is therefore counted here, and it is rejected
//! only if it does.

use super::{
    requests::{RequestLimits, Violations, too_many},
    violations::FieldPath,
};
use crate::api::error::ApiError;

mod fields;
mod json;
mod protobuf;

use fields::ElementLimit;
pub use fields::{Counted, RepeatedFields};

/// Number of elements that every message may have.
const FEW_ELEMENTS: usize = 20_000;

/// The smallest element on the wire, in bytes.
const ELEMENT_BYTES: usize = 2;

/// The byte order mark, which may precede JSON and has no meaning.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Maximum number of violations that are reported of one message.
const MAX_REPORTED: usize = 20;

/// Counts the elements of a message in protocol buffers, as far as it can be read.
///
/// # Errors
/// The fields with more elements than their limits, of a message that has very many in all.
pub fn check_protobuf<M: Counted>(bytes: &[u8], limits: &RequestLimits) -> Result<(), Violations> {
    if bytes.len() <= FEW_ELEMENTS * ELEMENT_BYTES {
        return Ok(());
    }
    let mut count = ElementCount::new(limits);
    protobuf::count(M::FIELDS, bytes, &FieldPath::Top, &mut count);
    count.into_result()
}

/// The same in JSON.
///
/// # Errors
/// See [`check_protobuf`]; also that a message which may hold very many elements is no JSON.
pub fn check_json<M: Counted>(bytes: &[u8], limits: &RequestLimits) -> Result<(), ApiError> {
    // Few commas mean few elements, and counting them is much cheaper than parsing.
    if bytes.len() <= FEW_ELEMENTS || bytes.split(|byte| *byte == b',').count() <= FEW_ELEMENTS {
        return Ok(());
    }
    let mut count = ElementCount::new(limits);
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    json::count(M::FIELDS, text, &mut count)
        .map_err(|error| ApiError::Malformed(error.to_string()))?;
    Ok(count.into_result()?)
}

/// The counts of a whole message, and the violations found.
struct ElementCount<'l> {
    limits: &'l RequestLimits,
    elements: usize,
    violations: Violations,
    reported: usize,
}

impl<'l> ElementCount<'l> {
    fn new(limits: &'l RequestLimits) -> Self {
        Self {
            limits,
            elements: 0,
            violations: Violations::default(),
            reported: 0,
        }
    }

    /// Reports a field with more elements than its limit.
    fn check_limit(&mut self, path: &FieldPath<'_>, limit: ElementLimit, count: usize) {
        let limit = limit.of(self.limits);
        if count > limit && self.reported < MAX_REPORTED {
            self.reported += 1;
            self.violations.add(path, &too_many(count, limit));
        }
    }

    fn into_result(self) -> Result<(), Violations> {
        if self.elements > FEW_ELEMENTS {
            self.violations.into_result()
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
