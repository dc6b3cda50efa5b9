//! Runs `boxoffice_fuzz::records`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| boxoffice_fuzz::records(bytes));
