//! The metrics page. Metrics are declared beside the structs that they are read from. This module has the order of
//! the page, and declares the metrics of calls, store, reloads and process. Labels never take values from callers.

use std::sync::Arc;

use super::{
    parts::CallTraffic, process_stats::ProcessStats, reload::Reloader, security::Security,
    watcher::Watcher,
};
use crate::{
    net::ConnectionTable,
    telemetry::{self, metrics_page::Page},
};
use domain::time::EpochSeconds;
use kernel::metrics::{Collect, Metric, Samples};
use orders::App;
use store::{DiskUsage, Store, StoreStats};

/// The sources of the page.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) traffic: CallTraffic,
    pub(super) app: Arc<App>,
    pub(super) reloads: ReloadSources,
    pub(super) connections: Arc<ConnectionTable>,
    pub(super) started_sec: EpochSeconds,
}

impl Metrics {
    /// The page as text. It reads the disk usage of the store, which may block.
    ///
    /// # Errors
    /// If it cannot be written as text.
    pub(super) fn text(&self) -> Result<String, prometheus::Error> {
        let app = &*self.app;
        let mut page = Page::default();
        page.collect(&self.traffic);
        page.collect(&*self.connections);
        page.collect(app.metrics());
        page.collect(app);
        page.collect(&StoreSource::read(app.store()));
        page.collect(&self.reloads);
        page.collect(&ProcessSource {
            audit_lines_lost: app.audit().lost(),
            log_lines_dropped: telemetry::dropped_log_lines(),
            started_sec: self.started_sec,
            stats: ProcessStats::read(),
        });
        page.text()
    }
}

/// All metrics as a Markdown table, in the order of the page.
#[cfg(test)]
fn table() -> String {
    [
        "| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n".to_owned(),
        telemetry::metrics_page::rows::<CallTraffic>(),
        telemetry::metrics_page::rows::<ConnectionTable>(),
        telemetry::metrics_page::rows::<orders::metrics::OrderMetrics>(),
        telemetry::metrics_page::rows::<App>(),
        telemetry::metrics_page::rows::<StoreSource>(),
        telemetry::metrics_page::rows::<ReloadSources>(),
        telemetry::metrics_page::rows::<ProcessSource>(),
    ]
    .concat()
}

/// The labels of calls.
const CALL: &[&str] = &["transport", "grpc_type", "grpc_service", "grpc_method"];

impl Collect for CallTraffic {
    const METRICS: &'static [Metric<Self>] = &[
        Metric::<Self>::counter(
            "grpc_server_started_total",
            "Calls begun, over gRPC and over REST.",
            |traffic, samples| {
                for line in traffic.calls.lines() {
                    samples.add_with(line.labels(), line.begun());
                }
            },
        )
        .by(CALL),
        Metric::<Self>::counter(
            "grpc_server_handled_total",
            "Calls ended, by status; Canceled if the client disconnected.",
            |traffic, samples| {
                for line in traffic.calls.lines() {
                    let [transport, kind, service, method] = line.labels();
                    for (code, count) in line.ended() {
                        samples.add_with([transport, kind, service, method, code], count);
                    }
                }
            },
        )
        .by(&[
            "transport",
            "grpc_type",
            "grpc_service",
            "grpc_method",
            "grpc_code",
        ]),
        Metric::<Self>::histogram(
            "grpc_server_handling_seconds",
            "Time from the head of a request to its answer.",
            |traffic, samples| {
                for line in traffic.calls.lines() {
                    samples.add_with(line.labels(), line.times());
                }
            },
        )
        .by(CALL)
        .in_nanoseconds(),
        Metric::<Self>::gauge(
            "boxoffice_calls_in_flight",
            "Calls in flight, stalled responses included.",
            |traffic, samples| {
                let stalled = u64::try_from(traffic.stalled.len()).unwrap_or(u64::MAX);
                samples.add(traffic.calls.in_flight().saturating_add(stalled));
            },
        ),
        Metric::<Self>::counter(
            "boxoffice_rejected_total",
            "Calls rejected, by reason.",
            |traffic, samples| {
                for ((transport, reason), count) in traffic.calls.rejections() {
                    samples.add_with([transport.name(), &reason], count);
                }
            },
        )
        .by(&["transport", "reason"]),
        Metric::<Self>::gauge(
            "boxoffice_request_bytes_in_flight",
            "Bytes of requests that are incomplete, or long and not answered yet.",
            |traffic, samples| samples.add(traffic.bodies.bytes()),
        ),
        Metric::<Self>::gauge(
            "boxoffice_requests_incomplete",
            "Requests that are not complete yet.",
            |traffic, samples| samples.add(traffic.bodies.incomplete()),
        ),
        Metric::<Self>::gauge(
            "boxoffice_response_bytes_in_flight",
            "Bytes of long responses that are being encoded or sent.",
            |traffic, samples| samples.add(traffic.responses.bytes()),
        ),
        Metric::<Self>::gauge(
            "boxoffice_responses_stalled",
            "Stalled responses and connections: their clients take no bytes.",
            |traffic, samples| samples.add(traffic.stalled.len()),
        ),
        Metric::<Self>::counter(
            "boxoffice_responses_reset_total",
            "Responses and connections that were reset because their clients took no bytes.",
            |traffic, samples| samples.add(traffic.stalled.resets()),
        ),
    ];
}

/// A store at one moment.
#[derive(Debug)]
struct StoreSource {
    is_ready: bool,
    stats: StoreStats,
}

impl StoreSource {
    fn read(store: &dyn Store) -> Self {
        Self {
            is_ready: store.health().borrow().is_ready(),
            stats: store.stats(),
        }
    }

    fn add_disk(&self, samples: &mut Samples, bytes: fn(&DiskUsage) -> u64) {
        samples.add(self.stats.disk.as_ref().map(bytes));
    }
}

impl Collect for StoreSource {
    const METRICS: &'static [Metric<Self>] = &[
        Metric::<Self>::gauge(
            "boxoffice_store_open",
            "1 while orders can be recorded, 0 while the store is unavailable or once a write has failed.",
            |store, samples| samples.add(store.is_ready),
        ),
        Metric::<Self>::gauge(
            "boxoffice_store_orders",
            "Orders on record.",
            |store, samples| samples.add(store.stats.orders),
        ),
        Metric::<Self>::gauge(
            "boxoffice_store_changes_waiting",
            "Changes that wait to be written or are being written.",
            |store, samples| samples.add(store.stats.waiting),
        ),
        Metric::<Self>::gauge(
            "boxoffice_store_disk_used_bytes",
            "Bytes that the files of the store take.",
            |store, samples| store.add_disk(samples, |disk| disk.used),
        ),
        Metric::<Self>::gauge(
            "boxoffice_store_disk_free_bytes",
            "Bytes that may still be written to the file system of the store.",
            |store, samples| store.add_disk(samples, |disk| disk.free),
        ),
        Metric::<Self>::gauge(
            "boxoffice_store_disk_size_bytes",
            "Bytes that the file system of the store has in all.",
            |store, samples| store.add_disk(samples, |disk| disk.size),
        ),
        Metric::<Self>::counter(
            "boxoffice_store_erased_orders_total",
            "Orders of which the personal data was erased since the start.",
            |store, samples| samples.add(store.stats.erased),
        ),
        Metric::<Self>::counter(
            "boxoffice_store_scrubbed_bytes_total",
            "Bytes of the log that were read again in the background to find damage.",
            |store, samples| {
                let scrub = store.stats.scrub.as_ref();
                samples.add(scrub.map(|scrub| scrub.bytes));
            },
        ),
        Metric::<Self>::counter(
            "boxoffice_store_damaged_segments_total",
            "Segments of the log that were found damaged in the background since the start.",
            |store, samples| {
                let scrub = store.stats.scrub.as_ref();
                samples.add(scrub.map(|scrub| scrub.damage));
            },
        ),
        Metric::<Self>::histogram(
            "boxoffice_store_batch_changes",
            "Changes that shared one write.",
            |store, samples| {
                let writes = store.stats.writes.as_ref();
                samples.add(writes.map(|writes| writes.batch_sizes.clone()));
            },
        ),
        Metric::<Self>::histogram(
            "boxoffice_store_commit_seconds",
            "Time to write a batch and sync it to disk.",
            |store, samples| {
                let writes = store.stats.writes.as_ref();
                samples.add(writes.map(|writes| writes.times.clone()));
            },
        )
        .in_nanoseconds(),
    ];
}

/// Everything that is read again from files.
#[derive(Debug)]
pub(super) struct ReloadSources {
    pub(super) catalog: Arc<Watcher<Reloader>>,
    pub(super) security: Arc<Watcher<Security>>,
}

impl Collect for ReloadSources {
    const METRICS: &'static [Metric<Self>] = &[
        Metric::<Self>::counter(
            "boxoffice_catalog_reloads_total",
            "Reloads of the catalogue: activated, rejected because of errors, or failed otherwise.",
            |reloads, samples| {
                let metrics = reloads.catalog.watched().metrics();
                samples.add_with(["activated"], &metrics.activated);
                samples.add_with(["rejected"], &metrics.rejected);
                samples.add_with(["failed"], &metrics.failed);
            },
        )
        .by(&["outcome"]),
        Metric::<Self>::gauge(
            "boxoffice_catalog_last_reload_successful",
            "1 if the latest reload of the catalogue was activated, 0 if it was rejected or failed.",
            |reloads, samples| samples.add(reloads.catalog.watched().metrics().last_succeeded()),
        ),
        Metric::<Self>::counter(
            "boxoffice_reloads_rejected_total",
            "Reloads of files that were rejected for errors; the previous files stay in use.",
            |reloads, samples| {
                let rejected = reloads.security.watched().rejected();
                samples.add_with(["catalog"], &reloads.catalog.watched().metrics().rejected);
                samples.add_with(["certificates"], &rejected.certificates);
                samples.add_with(["credentials"], &rejected.credentials);
            },
        )
        .by(&["kind"]),
        Metric::<Self>::gauge(
            "boxoffice_certificate_expiry_timestamp_seconds",
            "When a certificate in use expires, by the setting that names its file and its position there.",
            |reloads, samples| {
                let Some(certificates) = reloads.security.watched().certificates() else {
                    return;
                };
                for expiry in certificates.expiries().iter() {
                    let position = expiry.position.to_string();
                    samples.add_with([expiry.setting, &position], expiry.not_after_sec);
                }
            },
        )
        .by(&["setting", "position"]),
    ];
}

/// This process at one moment.
#[derive(Debug)]
struct ProcessSource {
    audit_lines_lost: u64,
    log_lines_dropped: u64,
    started_sec: EpochSeconds,
    stats: ProcessStats,
}

impl Collect for ProcessSource {
    const METRICS: &'static [Metric<Self>] = &[
        Metric::<Self>::counter(
            "boxoffice_audit_lines_lost_total",
            "Lines of the audit log that could not be written, or did not fit into its queue.",
            |process, samples| samples.add(process.audit_lines_lost),
        ),
        Metric::<Self>::counter(
            "boxoffice_log_lines_dropped_total",
            "Log lines that were dropped, because their reader was too slow.",
            |process, samples| samples.add(process.log_lines_dropped),
        ),
        Metric::<Self>::gauge(
            "boxoffice_build_info",
            "The version that runs.",
            |_, samples| samples.add_with([env!("CARGO_PKG_VERSION")], 1_u64),
        )
        .by(&["version"]),
        Metric::<Self>::gauge(
            "process_start_time_seconds",
            "When the server was started.",
            |process, samples| samples.add(u64::try_from(process.started_sec.get()).unwrap_or(0)),
        ),
        Metric::<Self>::gauge(
            "process_resident_memory_bytes",
            "Memory in use.",
            |process, samples| samples.add(process.stats.resident_bytes),
        ),
        Metric::<Self>::counter(
            "process_cpu_seconds_total",
            "Processor time used.",
            |process, samples| samples.add(process.stats.cpu_nanos),
        )
        .in_nanoseconds(),
        Metric::<Self>::gauge(
            "process_open_fds",
            "Files and sockets open.",
            |process, samples| samples.add(process.stats.open_files),
        ),
        Metric::<Self>::gauge(
            "process_max_fds",
            "Files and sockets that may be open.",
            |process, samples| samples.add(process.stats.max_open_files),
        ),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_documents_is_this_one() {
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let document = std::fs::read_to_string(document).unwrap();
        let between = document
            .split_once("<!-- metrics -->\n")
            .and_then(|(_, rest)| rest.split_once("<!-- /metrics -->"))
            .map_or("", |(table, _)| table);
        let expected = table();
        assert!(
            between == expected,
            "between `<!-- metrics -->` and `<!-- /metrics -->`, docs/metrics.md should have:\n\n{expected}"
        );
    }
}
