//! Runs `boxoffice_fuzz::catalog`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| boxoffice_fuzz::catalog(bytes));
