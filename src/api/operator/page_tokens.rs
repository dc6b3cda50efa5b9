//! Page tokens: where a list goes on, bound to the request that the list answers.
//!
//! A token is a digest of the request and of a cursor, and that cursor, in letters of a URL. It is opaque to callers, and
//! one that was changed is none. The digest leaves out what may differ from page to page: the token itself, the size of
//! the page and the read mask.

use data_encoding::BASE64URL_NOPAD;
use prost::Message;

/// Bytes of the digest. A token of another request is an error of the caller and no attack, so few are enough.
const DIGEST_BYTES: usize = 8;

/// What is wrong with a page token, as the rest of a sentence that begins with the field.
pub const WRONG_TOKEN: &str =
    "is not from an answer to this request; without it, the list begins anew";

/// The request that page tokens belong to.
#[derive(Debug, Clone, Copy)]
pub struct TokenScope([u8; DIGEST_BYTES]);

impl TokenScope {
    /// The scope of a request to a method, already without what may differ from page to page.
    #[must_use]
    pub fn of(method: &str, request: &impl Message) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(method.as_bytes());
        hasher.update(&request.encode_to_vec());
        let mut digest = [0; DIGEST_BYTES];
        hasher.finalize_xof().fill(&mut digest);
        Self(digest)
    }

    /// The token of a cursor.
    #[must_use]
    pub fn issue(self, cursor: &str) -> String {
        let bytes = [&self.digest_of(cursor.as_bytes()), cursor.as_bytes()].concat();
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// The cursor of a token; `None` if the token is of another request or of none.
    #[must_use]
    pub fn cursor(self, token: &str) -> Option<String> {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let (digest, cursor) = bytes.split_at_checked(DIGEST_BYTES)?;
        let is_ours = digest == self.digest_of(cursor);
        is_ours
            .then(|| String::from_utf8(cursor.to_vec()).ok())
            .flatten()
    }

    /// The digest of a token: of the request, and of the cursor as well.
    fn digest_of(self, cursor: &[u8]) -> [u8; DIGEST_BYTES] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(cursor);
        let mut digest = [0; DIGEST_BYTES];
        hasher.finalize_xof().fill(&mut digest);
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::operator::proto::v1::ListSlotsRequest;

    fn scope(method: &str, merchant_id: &str) -> TokenScope {
        let request = ListSlotsRequest {
            merchant_id: merchant_id.into(),
            ..ListSlotsRequest::default()
        };
        TokenScope::of(method, &request)
    }

    #[test]
    fn a_token_belongs_to_its_request_and_its_method() {
        let token = scope("ListSlots", "museum").issue("17/é");
        let read = |method, merchant| scope(method, merchant).cursor(&token);
        assert_eq!(read("ListSlots", "museum").as_deref(), Some("17/é"));
        assert_eq!(read("ListSlots", "salon"), None);
        assert_eq!(read("ListDoor", "museum"), None);
    }

    #[test]
    fn a_token_with_another_letter_is_none() {
        let scope = scope("ListSlots", "museum");
        let token = scope.issue("1234567890");
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(scope.cursor(&changed), None, "{changed}");
        }
    }

    #[test]
    fn what_no_answer_has_is_no_token() {
        let scope = scope("ListSlots", "museum");
        let invalid_text =
            BASE64URL_NOPAD.encode(&[&scope.digest_of(&[0xff])[..], &[0xff]].concat());
        for token in ["", "x", "AAAA", "not base64!", &invalid_text] {
            assert_eq!(scope.cursor(token), None, "{token}");
        }
        assert_eq!(scope.cursor(&scope.issue("")).as_deref(), Some(""));
    }
}
