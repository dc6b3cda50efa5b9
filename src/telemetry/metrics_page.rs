//! The page of metrics in the text format of Prometheus, and the table of the documents.

use std::{fmt::Write, time::Duration};

use prometheus::{
    TextEncoder,
    proto::{self, Bucket, LabelPair, MetricFamily, MetricType},
};

use kernel::metrics::{Collect, HistogramSnapshot, Metric, MetricKind, Sample, SampleValue, Unit};

/// The `Content-Type` of the page.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// A page of metrics under construction.
#[derive(Debug, Default)]
pub struct Page {
    families: Vec<MetricFamily>,
}

impl Page {
    /// Adds the present values of all metrics of a collector. A metric without samples is left out.
    pub fn collect<T: Collect>(&mut self, source: &T) {
        for metric in T::METRICS {
            let samples = metric.read(source);
            if !samples.is_empty() {
                self.families.push(family(metric, samples));
            }
        }
    }

    /// The page in the text format.
    ///
    /// # Errors
    /// If a metric has no name.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.families)
    }
}

/// The metrics of a collector as rows of a Markdown table: name, kind, labels, meaning.
#[must_use]
pub fn rows<T: Collect>() -> String {
    let mut rows = String::new();
    for metric in T::METRICS {
        let mut labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        // Sorted, because the order of the declaration has no meaning.
        labels.sort_unstable();
        let (name, kind, help) = (metric.name, metric.kind.name(), metric.help);
        writeln!(
            rows,
            "| `{name}` | {kind} | {} | {help} |",
            labels.join(", ")
        )
        .expect("a string takes all text");
    }
    rows
}

fn family<T>(metric: &Metric<T>, samples: Vec<Sample>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(match metric.kind {
        MetricKind::Counter => MetricType::COUNTER,
        MetricKind::Gauge => MetricType::GAUGE,
        MetricKind::Histogram => MetricType::HISTOGRAM,
    });
    let samples = samples.into_iter().map(|sample| encoded(metric, sample));
    family.set_metric(samples.collect());
    family
}

fn encoded<T>(metric: &Metric<T>, Sample { labels, value }: Sample) -> proto::Metric {
    let mut pairs = Vec::new();
    for (name, value) in metric.labels.iter().zip(labels) {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value);
        pairs.push(pair);
    }
    let mut encoded = proto::Metric::from_label(pairs);
    match (metric.kind, value) {
        (MetricKind::Counter, SampleValue::Number(number)) => {
            let mut counter = proto::Counter::default();
            counter.set_value(shown(metric.unit, number));
            encoded.set_counter(counter);
        }
        (MetricKind::Gauge | MetricKind::Histogram, SampleValue::Number(number)) => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(shown(metric.unit, number));
            encoded.set_gauge(gauge);
        }
        (_, SampleValue::Histogram(snapshot)) => {
            encoded.set_histogram(histogram(metric.unit, &snapshot));
        }
    }
    encoded
}

fn histogram(unit: Unit, snapshot: &HistogramSnapshot) -> proto::Histogram {
    let mut buckets = Vec::new();
    for &(bound, count) in &snapshot.up_to {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(shown(unit, bound));
        bucket.set_cumulative_count(count);
        buckets.push(bucket);
    }
    let mut histogram = proto::Histogram::default();
    histogram.set_sample_count(snapshot.count);
    histogram.set_sample_sum(shown(unit, snapshot.sum));
    histogram.set_bucket(buckets);
    histogram
}

fn shown(unit: Unit, value: u64) -> f64 {
    match unit {
        Unit::One => number(value),
        // Counted in nanoseconds and shown in seconds, which is the base unit of Prometheus.
        Unit::Nanoseconds => Duration::from_nanos(value).as_secs_f64(),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53, and nobody reads the digits beyond"
)]
fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Source;

    fn values() -> HistogramSnapshot {
        HistogramSnapshot {
            up_to: vec![(1_500_000_000, 2)],
            count: 3,
            sum: 4_250_000_000,
        }
    }

    impl Collect for Source {
        const METRICS: &'static [Metric<Self>] = &[
            Metric::<Self>::counter("calls_total", "Calls.", |_, samples| {
                samples.add_with(["a\"b"], 3_u64);
            })
            .by(&["transport"]),
            Metric::<Self>::gauge("nothing", "Nothing.", |_, samples| samples.add(None::<u64>)),
            Metric::<Self>::gauge("open", "Open.", |_, samples| samples.add(7_usize)),
            Metric::<Self>::histogram("seconds", "Times.", |_, samples| samples.add(values()))
                .in_nanoseconds(),
            Metric::<Self>::histogram("size", "Sizes.", |_, samples| samples.add(values())),
        ];
    }

    #[test]
    fn a_page_has_its_metrics_in_order_and_leaves_out_what_has_no_sample() {
        let mut page = Page::default();
        page.collect(&Source);
        let expected = "\
            # HELP calls_total Calls.\n\
            # TYPE calls_total counter\n\
            calls_total{transport=\"a\\\"b\"} 3\n\
            # HELP open Open.\n\
            # TYPE open gauge\n\
            open 7\n\
            # HELP seconds Times.\n\
            # TYPE seconds histogram\n\
            seconds_bucket{le=\"1.5\"} 2\n\
            seconds_bucket{le=\"+Inf\"} 3\n\
            seconds_sum 4.25\n\
            seconds_count 3\n\
            # HELP size Sizes.\n\
            # TYPE size histogram\n\
            size_bucket{le=\"1500000000\"} 2\n\
            size_bucket{le=\"+Inf\"} 3\n\
            size_sum 4250000000\n\
            size_count 3\n";
        assert_eq!(page.text().unwrap(), expected);
    }
}
