//! Files that operators write: settings and credentials.

use std::path::Path;

use boxoffice::{
    api::auth::{Credentials, UserKind},
    config::{Config, Flags},
    kernel::diagnostics::{Diagnostics, Source},
};

use crate::{catalog::judge_position, scratch};

/// What is longer takes its time, because every unknown name is compared with all known ones.
const MAX_BYTES: usize = 512;

/// The text is read as a file of settings, as variables of the environment, a line each, and as a
/// file of credentials.
pub fn settings(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if text.len() > MAX_BYTES {
        return;
    }
    file(text);
    environment(text);
    credentials(text);
}

fn file(text: &str) {
    let named = [("BOXOFFICE_CONFIG".into(), "/f".into())];
    let read = |path: &Path| {
        assert_eq!(path, Path::new("/f"));
        Ok(text.to_owned())
    };
    match Config::from_layers(Flags::default(), named, read) {
        Ok(config) => judge(&config),
        Err(errors) => judge_errors(&errors, text),
    }
}

fn environment(text: &str) {
    let variables = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| {
            let name = format!("BOXOFFICE_{}", name.trim().to_uppercase());
            (name.into(), value.trim().into())
        });
    let missing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    match Config::from_layers(Flags::default(), variables, missing) {
        Ok(config) => judge(&config),
        Err(errors) => {
            let variables = errors.list().iter().map(|error| &error.location.source);
            for source in variables {
                assert!(matches!(source, Source::Variable(_)), "{errors}");
            }
        }
    }
}

/// Contradictory settings are rejected.
fn judge(config: &Config) {
    assert!(config.sales.payment_timeout < config.calls.call_timeout);
    assert_eq!(
        config.security.tls_certificate.is_some(),
        config.security.tls_key.is_some()
    );
}

fn credentials(text: &str) {
    let path = scratch::write("credentials.toml", text.as_bytes());
    for kind in [UserKind::Caller, UserKind::Operator] {
        match Credentials::read(&path, kind) {
            Ok(credentials) => assert!(credentials.users() > 0),
            Err(errors) => judge_errors(&errors, text),
        }
    }
}

fn judge_errors(errors: &Diagnostics, text: &str) {
    assert!(!errors.list().is_empty());
    for error in errors.list() {
        judge_position(error, text);
    }
}
