//! A page of metrics in the text format of Prometheus. Everything on it is read when it is asked for.

use prometheus::{
    TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::metrics::HistogramSnapshot;

/// What the page is called in a `Content-Type`.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Names of labels with their values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page in the making.
#[derive(Debug, Default)]
pub struct Page {
    families: Vec<MetricFamily>,
}

/// What the values of a histogram are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The things themselves.
    One,
    /// Nanoseconds, to be told in seconds.
    Nanoseconds,
}

impl Unit {
    fn told(self, value: u64) -> f64 {
        match self {
            Self::One => number(value),
            Self::Nanoseconds => std::time::Duration::from_nanos(value).as_secs_f64(),
        }
    }
}

impl Page {
    /// A number that only grows.
    pub fn counter<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) {
        self.counter_in(Unit::One, name, help, samples);
    }

    /// A time that only grows, in nanoseconds.
    pub fn seconds_counter<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) {
        self.counter_in(Unit::Nanoseconds, name, help, samples);
    }

    fn counter_in<'a>(
        &mut self,
        unit: Unit,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) {
        let metric = |(labels, value)| {
            let mut counter = Counter::default();
            counter.set_value(unit.told(value));
            let mut metric = labelled(labels);
            metric.set_counter(counter);
            metric
        };
        self.add(
            name,
            help,
            MetricType::COUNTER,
            samples.into_iter().map(metric),
        );
    }

    /// A number that rises and falls.
    pub fn gauge<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'a>, u64)>,
    ) {
        let metric = |(labels, value)| {
            let mut gauge = Gauge::default();
            gauge.set_value(number(value));
            let mut metric = labelled(labels);
            metric.set_gauge(gauge);
            metric
        };
        self.add(
            name,
            help,
            MetricType::GAUGE,
            samples.into_iter().map(metric),
        );
    }

    /// A distribution of values.
    pub fn histogram<'a>(
        &mut self,
        name: &str,
        help: &str,
        unit: Unit,
        samples: impl IntoIterator<Item = (Labels<'a>, HistogramSnapshot)>,
    ) {
        let metric = |(labels, values): (Labels<'a>, HistogramSnapshot)| {
            let mut histogram = Histogram::default();
            histogram.set_sample_count(values.count);
            histogram.set_sample_sum(unit.told(values.sum));
            let bucket = |(bound, count)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(unit.told(bound));
                bucket.set_cumulative_count(count);
                bucket
            };
            histogram.set_bucket(values.up_to.into_iter().map(bucket).collect());
            let mut metric = labelled(labels);
            metric.set_histogram(histogram);
            metric
        };
        self.add(
            name,
            help,
            MetricType::HISTOGRAM,
            samples.into_iter().map(metric),
        );
    }

    /// The page as text. What has no sample is not on it.
    ///
    /// # Errors
    /// If a metric has no name.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.families)
    }

    fn add(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        metrics: impl Iterator<Item = Metric>,
    ) {
        let metrics: Vec<Metric> = metrics.collect();
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.families.push(family);
    }
}

fn labelled(labels: Labels<'_>) -> Metric {
    let label = |&(name, value): &(&str, &str)| {
        let mut label = LabelPair::default();
        label.set_name(name.to_owned());
        label.set_value(value.to_owned());
        label
    };
    Metric::from_label(labels.iter().map(label).collect())
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

    #[test]
    fn a_page_has_its_families_in_order_and_leaves_out_what_has_no_sample() {
        let mut page = Page::default();
        page.counter("calls_total", "Calls.", [(&[("transport", "a\"b")][..], 3)]);
        page.gauge("nothing", "Nothing.", []);
        page.gauge("open", "Open.", [(&[][..], 7)]);
        let values = HistogramSnapshot {
            up_to: vec![(1_500_000_000, 2)],
            count: 3,
            sum: 4_250_000_000,
        };
        page.histogram(
            "seconds",
            "Times.",
            Unit::Nanoseconds,
            [(&[][..], values.clone())],
        );
        page.histogram("size", "Sizes.", Unit::One, [(&[][..], values)]);
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
