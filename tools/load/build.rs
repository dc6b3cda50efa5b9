//! Compiles the contracts of `proto/` into clients and servers.

use std::error::Error;

const PROTO: &str = "../../proto";
const SERVICES: [&str; 4] = [
    "ext/maps/booking/partner/v3/service.proto",
    "boxoffice/operator/v1/lifecycle.proto",
    "boxoffice/operator/v1/orders.proto",
    "boxoffice/operator/v1/slots.proto",
];
const PACKAGE: &str = ".ext.maps.booking.partner.v3";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}");
    let mut protos = protox::Compiler::new([PROTO])?;
    protos.include_imports(true).open_files(SERVICES)?;
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::codec::BufferedCodec")
        // As large as in Box Office, so that the echo moves as many bytes.
        .boxed(format!("{PACKAGE}.CreateOrderRequest.order"))
        .boxed(format!("{PACKAGE}.CreateOrderResponse.result.order"))
        .compile_fds(protos.file_descriptor_set())?;
    Ok(())
}
