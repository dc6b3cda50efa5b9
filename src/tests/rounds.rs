//! How often a test tries, and with which seeds.

/// So many rounds, or as many as the environment variable `BOXOFFICE_TEST_ROUNDS` says.
#[expect(clippy::disallowed_methods, reason = "it is no setting of the server")]
pub(crate) fn rounds(usually: u64) -> u64 {
    match std::env::var("BOXOFFICE_TEST_ROUNDS") {
        Ok(text) => text.parse().expect("BOXOFFICE_TEST_ROUNDS is a number"),
        Err(_) => usually,
    }
}
