//! What the process says about itself: logs, metrics, traces.

use std::time::Duration;

use tracing_subscriber::{Layer, Registry, filter::ParseError, layer::SubscriberExt};

use crate::config::Config;

pub(crate) mod log_queue;
mod logs;
pub mod metrics;
pub mod traces;

use traces::Traces;

/// Why logs or traces could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one; a loaded configuration has a sound one.
    #[error("the log filter is not valid")]
    Filter(#[from] ParseError),
    /// This process logs already.
    #[error("logging was set up before")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// There can be no traces.
    #[error("traces cannot be sent: {0}")]
    Traces(#[from] traces::TracesError),
}

/// A layer over the registry of spans.
type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// What goes on until the process ends.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<Traces>,
}

/// Logs all events of this process to standard error, and every panic as one of them; sends traces, if
/// that is asked for.
///
/// # Errors
///
/// When it is called a second time, or with a filter that was not checked.
pub fn init(config: &Config) -> Result<Telemetry, TelemetryError> {
    let traces = Traces::start(&config.tracing)?;
    let mut layers: Vec<AnyLayer> = vec![logs::to_standard_error(&config.logging)?];
    layers.extend(traces.as_ref().map(Traces::layer));
    tracing::subscriber::set_global_default(Registry::default().with(layers))?;
    logs::log_panics();
    Ok(Telemetry { traces })
}

impl Telemetry {
    /// Sends what has not been sent, for as long as `limit` at most.
    pub fn finish(self, limit: Duration) {
        if let Some(traces) = self.traces {
            traces.finish(limit);
        }
    }
}
