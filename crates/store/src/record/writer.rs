//! Protocol buffers written straight from borrowed values.
//!
//! The generated messages own their texts, so that encoding through them clones every text of an order first. What is
//! written here has the same bytes: a test decodes each record and encodes it again through its generated message.

use prost::encoding::{WireType, encode_key, encode_varint};

/// The most bytes of a varint of 64 bits.
const VARINT_BYTES: usize = 10;

/// Lengths below this take one byte.
const ONE_BYTE_LIMIT: usize = 0x80;

/// Writes the fields of one message, in the order of their numbers.
pub(super) struct MessageWriter {
    bytes: Vec<u8>,
}

impl MessageWriter {
    /// An empty message that is expected to take `bytes` at most.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// The encoded message.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A number; zero is the default and takes no bytes.
    pub(super) fn number(&mut self, field: u32, value: impl Into<u64>) {
        let value = value.into();
        if value != 0 {
            self.present_number(field, value);
        }
    }

    /// A number with a sign; zero is the default and takes no bytes.
    pub(super) fn signed(&mut self, field: u32, value: impl Into<i64>) {
        // Protocol buffers write `int32` and `int64` as the two's complement of 64 bits.
        self.number(field, value.into().cast_unsigned());
    }

    /// A variant of an enum; the variant of number zero takes no bytes.
    pub(super) fn variant(&mut self, field: u32, value: impl Into<i32>) {
        self.signed(field, value.into());
    }

    /// A number of an optional field: zero is not absence.
    pub(super) fn present_number(&mut self, field: u32, value: u64) {
        encode_key(field, WireType::Varint, &mut self.bytes);
        encode_varint(value, &mut self.bytes);
    }

    /// A text; the empty text is the default and takes no bytes.
    pub(super) fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.present(field, text.as_bytes());
        }
    }

    /// A text or bytes of an optional or repeated field: empty is not absent.
    pub(super) fn present(&mut self, field: u32, bytes: &[u8]) {
        encode_key(field, WireType::LengthDelimited, &mut self.bytes);
        encode_varint(length_of(bytes), &mut self.bytes);
        self.bytes.extend_from_slice(bytes);
    }

    /// A message, whose fields `write` writes.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        encode_key(field, WireType::LengthDelimited, &mut self.bytes);
        let length_at = self.bytes.len();
        // The length stands before the content and is known after it. One byte is enough for most messages; a longer
        // one is moved up, which is cheaper than to compute all lengths in a pass of its own.
        self.bytes.push(0);
        write(self);
        self.set_length(length_at);
    }

    /// Replaces the byte at `length_at` with the number of bytes behind it.
    fn set_length(&mut self, length_at: usize) {
        let content = length_at + 1..self.bytes.len();
        let mut varint = [0; VARINT_BYTES];
        let mut unused = &mut varint[..];
        encode_varint(length_of(&self.bytes[content.clone()]), &mut unused);
        let varint_bytes = VARINT_BYTES - unused.len();
        if content.len() >= ONE_BYTE_LIMIT {
            self.bytes.resize(content.end + varint_bytes - 1, 0);
            self.bytes.copy_within(content, length_at + varint_bytes);
        }
        self.bytes[length_at..length_at + varint_bytes].copy_from_slice(&varint[..varint_bytes]);
    }
}

fn length_of(bytes: &[u8]) -> u64 {
    // No machine has memory for more.
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
