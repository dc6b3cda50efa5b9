//! Runs `boxoffice_fuzz::lifecycle`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| boxoffice_fuzz::lifecycle(bytes));
