//! The generated messages, client and server of the order contract.

#![expect(
    unreachable_pub,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::default_trait_access,
    clippy::doc_markdown,
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    clippy::too_many_lines,
    clippy::uninlined_format_args,
    reason = "generated code"
)]

tonic::include_proto!("ext.maps.booking.partner.v3");
