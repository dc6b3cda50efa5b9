//! Runs `boxoffice_fuzz::json`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| boxoffice_fuzz::json(bytes));
