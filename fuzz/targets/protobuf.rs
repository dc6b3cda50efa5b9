//! Runs `boxoffice_fuzz::protobuf`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| boxoffice_fuzz::protobuf(bytes));
