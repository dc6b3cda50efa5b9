//! Compiles `proto/` into Rust. Everything made here stays in `OUT_DIR`, and no
//! `protoc` has to be installed.

use std::{error::Error, fs, path::PathBuf};

/// The contract with callers; it imports every message that the service reaches.
const SERVICE: &str = "ext/maps/booking/partner/v3/service.proto";

/// The package of those messages; they have a JSON form too.
const PACKAGE: &str = ".ext.maps.booking.partner.v3";

/// The records of the embedded store, which are nobody else's business.
const STORE: &str = "boxoffice/store/v1/record.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");

    let mut protos = protox::Compiler::new(["proto"])?;
    protos.include_imports(true).include_source_info(true);

    protos.open_file(SERVICE)?;
    let published = protos.encode_file_descriptor_set();
    fs::write(out_dir()?.join("booking_service.bin"), &published)?;
    pbjson_build::Builder::new()
        .register_descriptors(&published)?
        .preserve_proto_field_names()
        .ignore_unknown_fields()
        .btree_map(["."])
        .build(&[PACKAGE])?;

    protos.open_file(STORE)?;
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::wire::codec::ContractCodec")
        // Equal messages must have equal bytes, so maps need an order.
        .btree_map(".")
        // Messages that are moved from hand to hand; an order takes 832 bytes before its texts.
        .boxed(format!("{PACKAGE}.CreateOrderRequest.order"))
        .boxed(format!("{PACKAGE}.CreateOrderRequest.payment_processing_parameters"))
        .boxed(format!("{PACKAGE}.CreateOrderResponse.result.order"))
        .compile_fds(protos.file_descriptor_set())?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "Cargo tells a build script where to write through the environment"
)]
fn out_dir() -> Result<PathBuf, std::env::VarError> {
    std::env::var("OUT_DIR").map(PathBuf::from)
}
