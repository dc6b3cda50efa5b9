//! The page of metrics: every name on it and where its numbers come from. All of them are read when the
//! page is asked for, and no label has values that callers could choose.

use std::sync::Arc;

use super::{
    parts::CallTraffic,
    process::ProcessStats,
    reload::{ReloadMetrics, Reloader},
    security::Security,
    watcher::Watcher,
};
use crate::{
    app::{
        App,
        metrics::{CheckMetrics, FailureMetrics, OrderMetrics, PaymentMetrics},
    },
    domain::order::EpochSeconds,
    metrics::Counter,
    net::{ConnectionLimits, ConnectionStats, ConnectionTable},
    store::{DiskUsage, StoreState, StoreStats, WriteStats},
    telemetry::{
        self,
        metrics::{Labels, Page, Unit},
    },
};

/// Where the numbers come from.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) traffic: CallTraffic,
    pub(super) app: Arc<App>,
    pub(super) catalog: Arc<Watcher<Reloader>>,
    pub(super) security: Arc<Watcher<Security>>,
    pub(super) connections: Arc<ConnectionTable>,
    pub(super) started_sec: EpochSeconds,
}

impl Metrics {
    /// The page as text.
    ///
    /// # Errors
    /// If it cannot be written as text.
    pub(super) fn text(&self) -> Result<String, prometheus::Error> {
        let mut page = Page::default();
        add_calls(&mut page, &self.traffic);
        add_traffic(&mut page, &self.traffic);
        self.add_connections(&mut page);
        add_sales(&mut page, self.app.metrics());
        self.add_merchants(&mut page);
        self.add_stock(&mut page);
        add_store(
            &mut page,
            &self.app.store().stats(),
            &self.app.store().state().borrow(),
        );
        self.add_catalog(&mut page);
        self.add_security(&mut page);
        self.add_audit(&mut page);
        self.add_process(&mut page);
        page.text()
    }

    fn add_connections(&self, page: &mut Page) {
        let ConnectionLimits { max, .. } = self.connections.limits();
        one_gauge(
            page,
            "boxoffice_connections_open",
            "Connections open on the address of callers.",
            whole(self.connections.open()),
        );
        one_gauge(
            page,
            "boxoffice_connections_max",
            "Connections that may be open there; fewer than `max_connections` where file descriptors are few.",
            whole(max),
        );
        one_gauge(
            page,
            "boxoffice_connections_full",
            "1 while newcomers wait, because all connections are taken and none is idle.",
            u64::from(self.connections.is_full()),
        );
        let ConnectionStats {
            closed_for_others,
            closed_for_address,
            turned_away,
        } = self.connections.stats();
        by(
            page,
            "boxoffice_connections_evicted_total",
            "Connections closed for newcomers, or newcomers turned away, by the limit that was reached.",
            "limit",
            &[
                ("all", closed_for_others),
                ("address", closed_for_address),
                ("address_busy", turned_away),
            ],
        );
    }

    fn add_stock(&self, page: &mut Page) {
        one_gauge(
            page,
            "boxoffice_slots",
            "Slots that are on sale, or of which something is sold or held.",
            whole(self.app.slots()),
        );
        one_gauge(
            page,
            "boxoffice_carts_holding",
            "Carts that hold spots.",
            whole(self.app.carts_with_holds()),
        );
        one_gauge(
            page,
            "boxoffice_orders_in_progress",
            "Orders being created and payments being settled, whether or not anybody waits for them.",
            whole(self.app.commands().len()),
        );
    }

    fn add_catalog(&self, page: &mut Page) {
        let (revision, since_sec) = self.app.active_revision();
        one_gauge(
            page,
            "boxoffice_catalog_revision",
            "Number of the catalogue on sale, from 0 at the start of the process.",
            u64::from(revision.0),
        );
        one_gauge(
            page,
            "boxoffice_catalog_on_sale_since_timestamp_seconds",
            "When the catalogue on sale was put there.",
            seconds(since_sec),
        );
        let reloads = self.catalog.watched().metrics();
        let ReloadMetrics {
            replaced,
            refused,
            failed,
            ..
        } = reloads;
        page.counter(
            "boxoffice_catalog_reloads_total",
            "Reloads of the catalogue: activated, rejected because of errors, or failed otherwise.",
            [
                (&[("outcome", "replaced")][..], replaced.get()),
                (&[("outcome", "refused")], refused.get()),
                (&[("outcome", "failed")], failed.get()),
            ],
        );
        one_gauge(
            page,
            "boxoffice_catalog_last_reload_successful",
            "1 if the catalogue as last read is on sale, 0 if it was refused or failed.",
            u64::from(reloads.last_was_good()),
        );
    }

    fn add_security(&self, page: &mut Page) {
        let rejected = self.security.watched().rejected();
        by(
            page,
            "boxoffice_reloads_rejected_total",
            "Times that files were read again and rejected for errors in them, so that those before stay in use.",
            "kind",
            &[
                ("catalog", &self.catalog.watched().metrics().refused),
                ("certificates", &rejected.certificates),
                ("credentials", &rejected.credentials),
            ],
        );
        let expiries = self
            .security
            .watched()
            .certificates()
            .map(|certificates| certificates.expiries())
            .unwrap_or_default();
        let positions: Vec<_> = expiries
            .iter()
            .map(|expiry| expiry.position.to_string())
            .collect();
        let labels: Vec<_> = expiries
            .iter()
            .zip(&positions)
            .map(|(expiry, position)| {
                [("setting", expiry.setting), ("position", position.as_str())]
            })
            .collect();
        page.gauge(
            "boxoffice_certificate_expiry_timestamp_seconds",
            "When a certificate in use ends, by the setting that names its file and its position there.",
            labels.iter().zip(&*expiries).map(|(labels, expiry)| (&labels[..], expiry.not_after_sec)),
        );
    }

    /// Merchants who have left the catalogue are left out, so that its size bounds the labels.
    fn add_merchants(&self, page: &mut Page) {
        let catalog = self.app.catalog();
        let mut sales = self.app.metrics().merchants.read();
        sales.retain(|merchant_id, _| catalog.merchant_ix(merchant_id).is_some());
        let labels: Vec<_> = sales
            .keys()
            .map(|merchant_id| [("merchant_id", merchant_id.as_str())])
            .collect();
        let counts = |count: fn(&(u64, u64)) -> u64| {
            labels
                .iter()
                .map(|labels| &labels[..] as Labels<'_>)
                .zip(sales.values().map(count))
        };
        page.counter(
            "boxoffice_merchant_orders_created_total",
            "Orders created, by merchant of the catalogue, of those who have sold anything since the start.",
            counts(|(orders, _)| *orders),
        );
        page.counter(
            "boxoffice_merchant_spots_sold_total",
            "Spots of those orders.",
            counts(|(_, spots)| *spots),
        );
    }

    fn add_audit(&self, page: &mut Page) {
        page.counter(
            "boxoffice_audit_lines_lost_total",
            "Lines of the audit log's file that could not be written, or came faster than they were.",
            [(&[][..], self.app.audit().lost())],
        );
    }

    fn add_process(&self, page: &mut Page) {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        page.counter(
            "boxoffice_log_lines_dropped_total",
            "Log lines that were dropped, because they came faster than they were read.",
            [(&[][..], telemetry::dropped_log_lines())],
        );
        page.gauge(
            "boxoffice_build_info",
            "The version that runs.",
            [(&version[..], 1)],
        );
        one_gauge(
            page,
            "process_start_time_seconds",
            "When the server was started.",
            seconds(self.started_sec),
        );
        let ProcessStats {
            resident_bytes,
            cpu_nanos,
            open_files,
            max_open_files,
        } = ProcessStats::read();
        let known = |value: Option<u64>| value.map(|value| (&[][..], value));
        page.gauge(
            "process_resident_memory_bytes",
            "Memory in use.",
            known(resident_bytes),
        );
        page.seconds_counter(
            "process_cpu_seconds_total",
            "Processor time used.",
            known(cpu_nanos),
        );
        page.gauge(
            "process_open_fds",
            "Files and sockets open.",
            known(open_files),
        );
        page.gauge(
            "process_max_fds",
            "Files and sockets that may be open.",
            known(max_open_files),
        );
    }
}

fn add_traffic(page: &mut Page, traffic: &CallTraffic) {
    let CallTraffic {
        calls: _,
        bodies,
        responses,
        stalled,
    } = traffic;
    one_gauge(
        page,
        "boxoffice_request_bytes_in_flight",
        "Bytes of requests that are incomplete, or long and not answered yet.",
        whole(bodies.bytes()),
    );
    one_gauge(
        page,
        "boxoffice_requests_incomplete",
        "Requests that have not come whole.",
        whole(bodies.incomplete()),
    );
    one_gauge(
        page,
        "boxoffice_response_bytes_in_flight",
        "Bytes of long responses that are being made or sent.",
        whole(responses.bytes()),
    );
    one_gauge(
        page,
        "boxoffice_responses_stalled",
        "Responses and connections whose callers take nothing at present.",
        whole(stalled.len()),
    );
    page.counter(
        "boxoffice_responses_reset_total",
        "Responses and connections that were reset because their callers took nothing.",
        [(&[][..], stalled.resets())],
    );
}

fn add_calls(page: &mut Page, traffic: &CallTraffic) {
    let calls = &traffic.calls;
    let lines: Vec<_> = calls.lines().map(|line| (line, line.labels())).collect();
    page.counter(
        "grpc_server_started_total",
        "Calls begun, over gRPC and over REST.",
        lines
            .iter()
            .map(|(line, labels)| (&labels[..], line.begun())),
    );
    let ended: Vec<_> = lines
        .iter()
        .flat_map(|(line, labels)| {
            line.ended()
                .map(|(code, count)| (with(*labels, ("grpc_code", code)), count))
        })
        .collect();
    page.counter(
        "grpc_server_handled_total",
        "Calls ended, by status; Canceled are those whose callers went away.",
        ended.iter().map(|(labels, count)| (&labels[..], *count)),
    );
    page.histogram(
        "grpc_server_handling_seconds",
        "Time from the head of a request to its answer.",
        Unit::Nanoseconds,
        lines
            .iter()
            .map(|(line, labels)| (&labels[..], line.times())),
    );
    one_gauge(
        page,
        "boxoffice_calls_in_flight",
        "Calls begun and not ended, and responses whose callers take nothing at present.",
        calls.in_flight() + whole(traffic.stalled.len()),
    );
    let rejections = calls.rejections();
    let rejections: Vec<_> = rejections
        .iter()
        .map(|((transport, reason), count)| {
            (
                [("transport", transport.name()), ("reason", reason.as_str())],
                *count,
            )
        })
        .collect();
    page.counter(
        "boxoffice_rejected_total",
        "Calls rejected, by reason.",
        rejections
            .iter()
            .map(|(labels, count)| (&labels[..], *count)),
    );
}

fn add_sales(page: &mut Page, metrics: &OrderMetrics) {
    let OrderMetrics {
        checks,
        orders_created,
        orders_replayed,
        orders_failed,
        spots_sold,
        merchants: _,
        payments,
    } = metrics;
    let CheckMetrics {
        can_fulfill,
        line_item,
        service_combination,
        other,
    } = checks;
    by(
        page,
        "boxoffice_checks_total",
        "Carts looked at, by verdict.",
        "result",
        &[
            ("CAN_FULFILL", can_fulfill),
            ("UNFULFILLABLE_LINE_ITEM", line_item),
            ("UNFULFILLABLE_SERVICE_COMBINATION", service_combination),
            ("ORDER_UNFULFILLABLE_OTHER_REASON", other),
        ],
    );
    one_counter(
        page,
        "boxoffice_orders_created_total",
        "Orders created and on record.",
        orders_created,
    );
    one_counter(
        page,
        "boxoffice_orders_replayed_total",
        "Requests answered with the order that their token had led to before.",
        orders_replayed,
    );
    let FailureMetrics {
        unfulfillable,
        card_type_rejected,
        card_declined,
        payment,
        incorrect_fee_total,
        requires_3ds1,
    } = orders_failed;
    by(
        page,
        "boxoffice_orders_failed_total",
        "Orders not created, by the cause in the answer.",
        "cause",
        &[
            ("ORDER_UNFULFILLABLE", unfulfillable),
            ("PAYMENT_ERROR_CARD_TYPE_REJECTED", card_type_rejected),
            ("PAYMENT_ERROR_CARD_DECLINED", card_declined),
            ("PAYMENT_ERROR", payment),
            ("INCORRECT_FEE_TOTAL", incorrect_fee_total),
            ("PAYMENT_REQUIRES_3DS1", requires_3ds1),
        ],
    );
    one_counter(
        page,
        "boxoffice_spots_sold_total",
        "Spots of the orders created.",
        spots_sold,
    );
    let PaymentMetrics {
        captured,
        declined,
        voided,
        refunded,
    } = payments;
    by(
        page,
        "boxoffice_payments_total",
        "Payments asked of the gateway, by how they ended.",
        "outcome",
        &[
            ("captured", captured),
            ("declined", declined),
            ("voided", voided),
            ("refunded", refunded),
        ],
    );
}

fn add_store(page: &mut Page, figures: &StoreStats, state: &StoreState) {
    let StoreStats {
        orders,
        waiting,
        writes,
        disk,
    } = figures;
    one_gauge(
        page,
        "boxoffice_store_open",
        "1 while orders can be recorded, 0 once a write has failed.",
        u64::from(state.is_open()),
    );
    one_gauge(page, "boxoffice_store_orders", "Orders on record.", *orders);
    one_gauge(
        page,
        "boxoffice_store_changes_waiting",
        "Changes that wait to be written or are being written.",
        *waiting,
    );
    let disk_bytes =
        |part: fn(&DiskUsage) -> u64| disk.iter().map(move |disk| (&[][..], part(disk)));
    page.gauge(
        "boxoffice_store_disk_used_bytes",
        "Bytes that the files of the store take.",
        disk_bytes(|disk| disk.used),
    );
    page.gauge(
        "boxoffice_store_disk_free_bytes",
        "Bytes that may still be written to the file system of the store.",
        disk_bytes(|disk| disk.free),
    );
    page.gauge(
        "boxoffice_store_disk_size_bytes",
        "Bytes that the file system of the store has in all.",
        disk_bytes(|disk| disk.size),
    );
    let Some(WriteStats { batch_sizes, times }) = writes else {
        return;
    };
    page.histogram(
        "boxoffice_store_batch_changes",
        "Changes that shared one write.",
        Unit::One,
        [(&[][..], batch_sizes.clone())],
    );
    page.histogram(
        "boxoffice_store_commit_seconds",
        "Time to write a batch and sync it to disk.",
        Unit::Nanoseconds,
        [(&[][..], times.clone())],
    );
}

fn one_gauge(page: &mut Page, name: &str, help: &str, value: u64) {
    page.gauge(name, help, [(&[][..], value)]);
}

fn one_counter(page: &mut Page, name: &str, help: &str, count: &Counter) {
    page.counter(name, help, [(&[][..], count.get())]);
}

/// A counter with one label.
fn by(page: &mut Page, name: &str, help: &str, label: &str, counts: &[(&str, &Counter)]) {
    let samples: Vec<_> = counts
        .iter()
        .map(|(value, count)| ([(label, *value)], count.get()))
        .collect();
    page.counter(
        name,
        help,
        samples
            .iter()
            .map(|(labels, count)| (&labels[..] as Labels<'_>, *count)),
    );
}

fn with<'a>(labels: [(&'a str, &'a str); 4], more: (&'a str, &'a str)) -> [(&'a str, &'a str); 5] {
    let [transport, kind, service, method] = labels;
    [transport, kind, service, method, more]
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Moments before the epoch are not told.
fn seconds(moment: EpochSeconds) -> u64 {
    u64::try_from(moment).unwrap_or(0)
}
