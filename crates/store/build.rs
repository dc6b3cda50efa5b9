//! Compiles the records of the store, which know nothing of a contract with callers, nor of a
//! transport. What is made stays in `OUT_DIR`, and no `protoc` has to be installed.

use std::error::Error;

/// The root of the published files and the records.
const PROTO: &str = "../../proto";

/// The records of the order log; they import the others.
const RECORDS: [&str; 2] = [
    "boxoffice/store/v3/block.proto",
    "boxoffice/store/v3/lifecycle.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO}/boxoffice/store");
    let mut protos = protox::Compiler::new([PROTO])?;
    protos
        .include_imports(true)
        .include_source_info(true)
        .open_files(RECORDS)?;
    prost_build::Config::new().compile_fds(protos.file_descriptor_set())?;
    Ok(())
}
