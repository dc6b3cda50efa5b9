//! The `serve` command.

use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use super::{INTERNAL, SUCCESS};
use crate::{
    config::{Config, EffectiveSetting},
    server, telemetry,
};

/// Time limit for exporting the last traces, once the server is down.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

pub(super) fn serve(config: &Config, settings: &[EffectiveSetting], stderr: &mut dyn Write) -> u8 {
    let telemetry = match telemetry::init(config) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            // Best effort: without a log, there is no other place to report this.
            let _ = writeln!(stderr, "{error}");
            return INTERNAL;
        }
    };
    let code = run_server(config, settings);
    telemetry.finish(config.shutdown.drain_timeout.min(FLUSH_LIMIT));
    code
}

fn run_server(config: &Config, settings: &[EffectiveSetting]) -> u8 {
    // A panic must not skip the flush of traces and log. Nothing of the server is used after it.
    match catch_unwind(AssertUnwindSafe(|| server::run(config, settings))) {
        Ok(Ok(())) => SUCCESS,
        Ok(Err(error)) => {
            tracing::error!(%error, "the server failed");
            error.exit_code()
        }
        // The panic itself has been logged.
        Err(_) => INTERNAL,
    }
}
