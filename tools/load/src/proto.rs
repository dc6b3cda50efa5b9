//! The generated messages, client and server of the order contract.

#![expect(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::enum_variant_names,
    clippy::pedantic,
    reason = "generated code"
)]

tonic::include_proto!("ext.maps.booking.partner.v3");
