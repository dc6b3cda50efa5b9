//! The generated messages, clients and servers: those of the order contract, and of the operator's services.

#![expect(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::enum_variant_names,
    clippy::pedantic,
    reason = "generated code"
)]

tonic::include_proto!("ext.maps.booking.partner.v3");

pub(crate) mod operator {
    tonic::include_proto!("boxoffice.operator.v1");
}
