//! The Booking v3 contract over gRPC and REST: its messages, the conversions from and to them, and the rules of
//! requests, which both transports share.

pub mod proto;

pub mod counts;
pub mod from_proto;
pub mod requests;
pub mod to_proto;
mod violations;

pub mod schema;

pub mod decode;
pub mod json;

pub mod grpc;
pub mod rest;

/// A digest of a message, the same for every encoding of it: fields are in the order of their
/// numbers, maps in the order of their keys, and unknown fields are dropped.
#[must_use]
pub fn fingerprint(message: &impl prost::Message) -> store::Fingerprint {
    blake3::hash(&message.encode_to_vec()).into()
}
