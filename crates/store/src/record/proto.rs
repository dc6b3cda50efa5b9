//! The generated messages of `proto/boxoffice/store/v3/record.proto`.

#![expect(
    clippy::doc_markdown,
    clippy::must_use_candidate,
    reason = "generated code"
)]

include!(concat!(env!("OUT_DIR"), "/boxoffice.store.v3.rs"));
