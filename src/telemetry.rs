//! Telemetry: logs, the metrics page, traces.

use std::{io, sync::OnceLock, time::Duration};

use tracing_subscriber::{Layer, Registry, filter::ParseError, layer::SubscriberExt};

use crate::config::Config;

mod logs;
pub mod metrics_page;
pub mod traces;

use kernel::log_queue::{self, LogQueue};
use traces::Traces;

/// Time limit for writing the last lines of the log.
const LOG_FLUSH: Duration = Duration::from_secs(1);

/// The queue of this process's log, once there is one.
static LOG: OnceLock<LogQueue> = OnceLock::new();

/// Why logs or traces could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter is invalid. Cannot happen with a loaded configuration.
    #[error("the log filter is not valid")]
    Filter(#[from] ParseError),
    /// Logging was set up before.
    #[error("logging was set up before")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// The thread that writes the log cannot be started.
    #[error("the log cannot be written: {0}")]
    Log(#[from] io::Error),
    /// The trace exporter could not be started.
    #[error("traces cannot be sent: {0}")]
    Traces(#[from] traces::TracesError),
}

/// A layer over the registry of spans.
type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Logging and tracing, flushed by [`finish`](Telemetry::finish).
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<Traces>,
}

/// Logs all events and panics of this process to standard error, and exports traces if that is
/// configured. A call never waits for standard error: a thread writes the lines, and lines that it
/// cannot keep up with are dropped and counted.
///
/// # Errors
///
/// When it is called a second time, or with a filter that was not checked.
pub fn init(config: &Config) -> Result<Telemetry, TelemetryError> {
    // Traces first: if they cannot start, nothing global has been changed yet.
    let traces = Traces::start(&config.tracing)?;
    let queue = LogQueue::start("log", log_queue::standard_error()?)?;
    let mut layers: Vec<AnyLayer> = vec![logs::to_standard_error(&config.logging, queue.clone())?];
    layers.extend(traces.as_ref().map(Traces::layer));
    tracing::subscriber::set_global_default(Registry::default().with(layers))?;
    // After the subscriber is set: a panic before has no log, and the default hook prints it.
    logs::log_panics(LOG.get_or_init(|| queue).clone());
    Ok(Telemetry { traces })
}

/// Log lines that were dropped, because they came faster than they were written.
#[must_use]
pub fn dropped_log_lines() -> u64 {
    LOG.get().map_or(0, LogQueue::dropped)
}

/// Waits until the log of this process has been written, but for no longer than `limit`.
pub fn flush_log(limit: Duration) {
    if let Some(queue) = LOG.get() {
        queue.flush(limit);
    }
}

impl Telemetry {
    /// Exports the remaining traces within `limit`, and then writes the last lines of the log
    /// within a second.
    pub fn finish(self, limit: Duration) {
        if let Some(traces) = self.traces {
            // Before the log is flushed, because this may log a warning itself.
            traces.finish(limit);
        }
        flush_log(LOG_FLUSH);
    }
}
