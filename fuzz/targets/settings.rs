//! Runs `boxoffice_fuzz::settings`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| boxoffice_fuzz::settings(bytes));
