//! Telemetry: logs, the metrics page, traces.

use std::{io, sync::OnceLock, time::Duration};

use tracing_subscriber::{Layer, Registry, filter::ParseError, layer::SubscriberExt};

use crate::config::Config;

mod logs;
pub mod metrics_page;
pub mod traces;

use kernel::log_queue::{self, LogQueue};
use traces::Traces;

/// How long the last lines of the log may take to be written.
const LOG_FLUSH: Duration = Duration::from_secs(1);

/// The queue of this process's log, once there is one.
static LOG: OnceLock<LogQueue> = OnceLock::new();

/// Why logs or traces could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter is invalid. Cannot happen with a loaded configuration.
    #[error("the log filter is not valid")]
    Filter(#[from] ParseError),
    /// This process logs already.
    #[error("logging was set up before")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// The log cannot be written beside the calls.
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

/// Logs all events of this process to standard error, and every panic as one of them; sends traces, if
/// they are configured. Logging never blocks: a thread writes to standard error, and lines it cannot
/// write are dropped and counted.
///
/// # Errors
///
/// When it is called a second time, or with a filter that was not checked.
pub fn init(config: &Config) -> Result<Telemetry, TelemetryError> {
    let traces = Traces::start(&config.tracing)?;
    let queue = LogQueue::start("log", log_queue::standard_error()?)?;
    let mut layers: Vec<AnyLayer> = vec![logs::to_standard_error(&config.logging, queue.clone())?];
    layers.extend(traces.as_ref().map(Traces::layer));
    tracing::subscriber::set_global_default(Registry::default().with(layers))?;
    logs::log_panics(LOG.get_or_init(|| queue).clone());
    Ok(Telemetry { traces })
}

/// Lines that the log of this process has lost, because they came faster than they were read.
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
    /// Sends the traces that have not been sent, for as long as `limit` at most, and then writes the last
    /// lines of the log, for a second at most.
    pub fn finish(self, limit: Duration) {
        if let Some(traces) = self.traces {
            traces.finish(limit);
        }
        flush_log(LOG_FLUSH);
    }
}
