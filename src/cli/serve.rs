//! Serving calls.

use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{INTERNAL, SUCCESS};
use crate::{config::Config, server, telemetry};

pub(super) fn serve(config: &Config, stderr: &mut dyn Write) -> u8 {
    if let Err(error) = telemetry::init(&config.logging) {
        // There is no other place to say this.
        let _ = writeln!(stderr, "{error}");
        return INTERNAL;
    }
    match catch_unwind(AssertUnwindSafe(|| server::run(config))) {
        Ok(Ok(())) => SUCCESS,
        Ok(Err(error)) => {
            tracing::error!(%error, "the server cannot go on");
            error.exit_code()
        }
        // The panic itself has been logged.
        Err(_) => INTERNAL,
    }
}
