//! Export of traces over OTLP.
//!
//! A call is a span, with spans for the decision, the payment and the commit inside. Without an
//! endpoint they cost nothing. A caller that sends a `traceparent` (W3C Trace Context) has the call
//! in its own trace, and decides whether it is sampled.
//!
//! A thread exports the spans from a bounded queue. If the collector is slow or away, spans are
//! dropped, and no call waits.

use std::{io, time::Duration};

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use tokio::runtime;
use tracing::{Metadata, Span, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::FilterFn};

use super::AnyLayer;
use crate::config::Tracing;

/// The service name in traces.
const NAME: &str = env!("CARGO_PKG_NAME");

/// The packages whose spans are traced: the program and its libraries.
const TRACED: [&str; 10] = [
    "boxoffice",
    "boxoffice_catalog",
    "boxoffice_domain",
    "boxoffice_inventory",
    "boxoffice_kernel",
    "boxoffice_lifecycle_files",
    "boxoffice_orders",
    "boxoffice_payments",
    "boxoffice_store",
    "boxoffice_types",
];

/// Time limit of one export.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The system provides no thread.
    #[error(transparent)]
    Start(#[from] io::Error),
    /// The endpoint is invalid, which a loaded configuration rules out.
    #[error(transparent)]
    Endpoint(#[from] ExporterBuildError),
}

/// The exporter of traces.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
    /// Serves the connection to the collector, apart from the calls.
    runtime: runtime::Runtime,
}

impl Traces {
    /// Starts the export, if an endpoint is configured.
    pub(super) fn start(tracing: &Tracing) -> Result<Option<Self>, TracesError> {
        let Some(endpoint) = &tracing.trace_endpoint else {
            return Ok(None);
        };
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("traces")
            .enable_all()
            .build()?;
        let exporter = {
            // The exporter opens its connection lazily, in the runtime that it was built in.
            let _within = runtime.enter();
            SpanExporter::builder()
                .with_tonic()
                .with_endpoint(endpoint)
                .with_timeout(EXPORT_TIMEOUT)
                .build()?
        };
        let share = Sampler::TraceIdRatioBased(tracing.trace_sampling.as_f64());
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            // The caller's decision counts, so that a trace is never recorded in parts.
            .with_sampler(Sampler::ParentBased(Box::new(share)))
            .with_resource(
                Resource::builder_empty()
                    .with_service_name(NAME)
                    .with_attribute(version)
                    .build(),
            )
            .build();
        Ok(Some(Self { provider, runtime }))
    }

    /// The layer that records spans of this program.
    pub(super) fn layer(&self) -> AnyLayer {
        let ours = FilterFn::new(is_ours).with_max_level_hint(LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(NAME))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
            .boxed()
    }

    /// Exports the remaining spans within `limit`.
    pub(super) fn finish(self, limit: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(limit) {
            tracing::warn!(%error, "some traces were not sent");
        }
        // Without waiting: the exporter may still be connecting to a collector that is away.
        self.runtime.shutdown_background();
    }
}

/// Whether metadata is of a span of this program. The exporter has spans of its own, and tracing
/// those would create ever more of them.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let package = metadata.target().split("::").next();
    metadata.is_span() && package.is_some_and(|package| TRACED.contains(&package))
}

/// Sets the parent of a span from the headers of its request, and returns the id of its trace if it
/// is sampled.
#[must_use]
pub fn join(span: &Span, headers: &HeaderMap) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let parent =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    // Best effort: fails where no layer records spans.
    let _ = span.set_parent(parent);
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_sampled().then(|| context.trace_id().to_string())
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::*;

    const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn the_spans_of_a_call_join_the_trace_of_its_caller() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(NAME));
        let current_trace_id = || {
            let context = Span::current().context();
            context.span().span_context().trace_id().to_string()
        };
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            for (flags, expected) in [("01", Some(TRACE_ID)), ("00", None)] {
                let parent = format!("00-{TRACE_ID}-00f067aa0ba902b7-{flags}");
                let headers = HeaderMap::from_iter([(
                    http::HeaderName::from_static("traceparent"),
                    parent.parse().unwrap(),
                )]);
                let call = tracing::info_span!("call");
                assert_eq!(join(&call, &headers).as_deref(), expected, "{flags}");
                let _call = call.entered();
                let _step = tracing::info_span!("pay").entered();
                assert_eq!(current_trace_id(), TRACE_ID, "{flags}");
            }
        });
    }

    #[test]
    fn spans_of_others_are_not_traced() {
        tracing::subscriber::with_default(Registry::default(), || {
            for (span, expected) in [
                (tracing::info_span!("ours"), true),
                (
                    tracing::info_span!(target: "boxoffice_orders::create", "ours"),
                    true,
                ),
                (
                    tracing::info_span!(target: "boxoffice_other", "like ours"),
                    false,
                ),
                (
                    tracing::info_span!(target: "hyper::client", "theirs"),
                    false,
                ),
            ] {
                assert_eq!(span.metadata().map(is_ours), Some(expected), "{span:?}");
            }
        });
    }

    #[test]
    fn every_library_of_the_workspace_is_traced() {
        let crates = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/crates")).unwrap();
        for name in crates.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
            let target = format!("boxoffice_{name}");
            // The test kit has no spans.
            assert!(name == "testkit" || TRACED.contains(&&*target), "{target}");
        }
    }
}
