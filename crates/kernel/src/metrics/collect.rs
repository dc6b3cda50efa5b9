//! Metrics as they are declared: name, meaning, labels, unit and value of each in one place, beside the struct that
//! they are read from.

use super::{Counter, HistogramSnapshot};

/// The kind of a metric, as monitoring systems define it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A value that only grows.
    Counter,
    /// A value that rises and falls.
    Gauge,
    /// A distribution of values.
    Histogram,
}

impl MetricKind {
    /// Its name in the text format and in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The unit in which values are kept; times are shown in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Counts, bytes and seconds since 1970, shown as they are.
    One,
    /// Nanoseconds.
    Nanoseconds,
}

/// The declaration of a metric of a `T`.
#[derive(Debug)]
pub struct Metric<T> {
    /// Its name.
    pub name: &'static str,
    /// The meaning, for the metrics page and the documents.
    pub help: &'static str,
    /// The kind.
    pub kind: MetricKind,
    /// The unit of its values.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    read: fn(&T, &mut Samples),
}

impl<T> Metric<T> {
    const fn new(
        kind: MetricKind,
        name: &'static str,
        help: &'static str,
        read: fn(&T, &mut Samples),
    ) -> Self {
        Self {
            name,
            help,
            kind,
            unit: Unit::One,
            labels: &[],
            read,
        }
    }

    /// A value that only grows.
    #[must_use]
    pub const fn counter(
        name: &'static str,
        help: &'static str,
        read: fn(&T, &mut Samples),
    ) -> Self {
        Self::new(MetricKind::Counter, name, help, read)
    }

    /// A value that rises and falls.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, read: fn(&T, &mut Samples)) -> Self {
        Self::new(MetricKind::Gauge, name, help, read)
    }

    /// A distribution of values.
    #[must_use]
    pub const fn histogram(
        name: &'static str,
        help: &'static str,
        read: fn(&T, &mut Samples),
    ) -> Self {
        Self::new(MetricKind::Histogram, name, help, read)
    }

    /// This metric with these labels.
    #[must_use]
    pub const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    /// This metric with values in nanoseconds.
    #[must_use]
    pub const fn in_nanoseconds(self) -> Self {
        Self {
            unit: Unit::Nanoseconds,
            ..self
        }
    }

    /// The samples at this moment.
    #[must_use]
    pub fn read(&self, source: &T) -> Vec<Sample> {
        let mut samples = Samples(Vec::new());
        (self.read)(source, &mut samples);
        // A page with wrong labels is still served: a test finds the error before a release does.
        debug_assert!(
            samples
                .0
                .iter()
                .all(|sample| sample.labels.len() == self.labels.len()),
            "{} has other labels than it declares",
            self.name
        );
        samples.0
    }
}

/// A source of metrics.
pub trait Collect: Sized + 'static {
    /// All metrics, in the order of the page.
    const METRICS: &'static [Metric<Self>];
}

/// One value of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The values of the labels, in the order of their declaration.
    pub labels: Vec<String>,
    /// The value.
    pub value: SampleValue,
}

/// A number or a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SampleValue {
    /// The value of a counter or a gauge.
    Number(u64),
    /// The counts of a histogram.
    Histogram(HistogramSnapshot),
}

/// The samples of a metric while they are read.
#[derive(Debug)]
pub struct Samples(Vec<Sample>);

impl Samples {
    /// Adds the value of a metric without labels. A value that is not known is left out.
    pub fn add(&mut self, value: impl Reading) {
        self.add_with([], value);
    }

    /// Adds a value by the values of its labels.
    pub fn add_with<const N: usize>(&mut self, labels: [&str; N], value: impl Reading) {
        // Absent and not 0: a monitoring system would take a 0 for a measured value.
        if let Some(value) = value.read() {
            let labels = labels.map(str::to_owned).into();
            self.0.push(Sample { labels, value });
        }
    }
}

/// A value that a sample can have.
pub trait Reading {
    /// The value now, if it is known.
    fn read(self) -> Option<SampleValue>;
}

impl Reading for u64 {
    fn read(self) -> Option<SampleValue> {
        Some(SampleValue::Number(self))
    }
}

impl Reading for usize {
    fn read(self) -> Option<SampleValue> {
        u64::try_from(self).unwrap_or(u64::MAX).read()
    }
}

impl Reading for bool {
    fn read(self) -> Option<SampleValue> {
        u64::from(self).read()
    }
}

impl Reading for &Counter {
    fn read(self) -> Option<SampleValue> {
        self.get().read()
    }
}

impl Reading for HistogramSnapshot {
    fn read(self) -> Option<SampleValue> {
        Some(SampleValue::Histogram(self))
    }
}

impl<R: Reading> Reading for Option<R> {
    fn read(self) -> Option<SampleValue> {
        self.and_then(R::read)
    }
}
