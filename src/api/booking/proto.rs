//! The generated messages, client and server.
//!
//! Generated code names other packages relative to its own, so the modules are
//! nested as the packages are. Use them as [`v3`].

pub use ext::maps::booking::partner::v3;

/// The published files, with their comments, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("booking_service");

/// The schemas of the contract's messages, which belong to their types.
mod schemas {
    use super::v3;
    use crate::api::booking::schema::{
        Described, EnumSchema, FieldKind, FieldSchema, MessageSchema,
    };

    include!(concat!(env!("OUT_DIR"), "/schema.rs"));
}

mod ext {
    pub(crate) mod maps {
        pub(crate) mod booking {
            pub(crate) mod partner {
                /// The contract with callers: messages, client and server.
                #[expect(
                    clippy::allow_attributes,
                    clippy::allow_attributes_without_reason,
                    clippy::cloned_instead_of_copied,
                    clippy::default_trait_access,
                    clippy::doc_markdown,
                    clippy::missing_errors_doc,
                    clippy::must_use_candidate,
                    clippy::too_many_lines,
                    clippy::uninlined_format_args,
                    reason = "generated code"
                )]
                pub mod v3 {
                    tonic::include_proto!("ext.maps.booking.partner.v3");
                    // Their JSON form.
                    include!(concat!(
                        env!("OUT_DIR"),
                        "/ext.maps.booking.partner.v3.serde.rs"
                    ));
                }
            }
        }
    }
}
