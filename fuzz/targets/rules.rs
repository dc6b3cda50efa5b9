//! Runs `boxoffice_fuzz::rules`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| boxoffice_fuzz::rules(bytes));
