//! Outcomes and latency of the calls of a run.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::{
    target::{Pace, Target},
    workload::{Outcome, Workload},
};

/// Interval of samples of the progress.
pub(crate) const SAMPLE: Duration = Duration::from_millis(250);
const SAMPLES_PER_SECOND: usize = 4;

/// The reported quantiles.
const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
];

/// Records the calls of one caller.
#[derive(Debug)]
pub(crate) struct Recorder {
    answers: BTreeMap<Outcome, u64>,
    nanos: Histogram<u64>,
}

impl Default for Recorder {
    fn default() -> Self {
        let mut nanos = Histogram::new(3).expect("three digits are allowed");
        nanos.auto(true);
        Self {
            answers: BTreeMap::new(),
            nanos,
        }
    }
}

impl Recorder {
    pub(crate) fn note(&mut self, answer: Outcome, took: Duration) {
        *self.answers.entry(answer).or_default() += 1;
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos
            .record(nanos)
            .expect("the histogram grows as it must");
    }

    fn add(&mut self, other: Self) {
        for (answer, count) in other.answers {
            *self.answers.entry(answer).or_default() += count;
        }
        self.nanos
            .add(other.nanos)
            .expect("the histogram grows as it must");
    }
}

/// Calls answered up to a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) done: u64,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Run {
    target: Target,
    workload: Workload,
    elapsed: Duration,
    recorder: Recorder,
    samples: Vec<Sample>,
}

impl Run {
    pub(crate) fn new(
        target: Target,
        workload: Workload,
        elapsed: Duration,
        recorders: Vec<Recorder>,
        samples: Vec<Sample>,
    ) -> Self {
        let mut recorder = Recorder::default();
        for other in recorders {
            recorder.add(other);
        }
        Self {
            target,
            workload,
            elapsed,
            recorder,
            samples,
        }
    }

    /// Calls that were not successful.
    pub(crate) fn rejected(&self) -> u64 {
        let rejected = self
            .recorder
            .answers
            .iter()
            .filter(|(answer, _)| matches!(answer, Outcome::Rejected(_)));
        rejected.map(|(_, count)| count).sum()
    }

    /// Answers a second.
    pub(crate) fn rate(&self) -> u64 {
        per_second(self.recorder.nanos.len(), self.elapsed)
    }

    /// Latency at a quantile, in nanoseconds.
    pub(crate) fn quantile(&self, part: f64) -> u64 {
        self.recorder.nanos.value_at_quantile(part)
    }

    /// The slowest call, in nanoseconds.
    pub(crate) fn slowest(&self) -> u64 {
        self.recorder.nanos.max()
    }

    /// Calls that had this answer.
    pub(crate) fn successes(&self, text: &'static str) -> u64 {
        let answers = &self.recorder.answers;
        answers.get(&Outcome::Success(text)).copied().unwrap_or(0)
    }

    /// The fewest answers within a second, after the run has begun and before it ends; 0 for a run that is shorter.
    pub(crate) fn slowest_second(&self) -> u64 {
        let seconds = self.samples.windows(SAMPLES_PER_SECOND + 1);
        let answers = seconds.map(|window| match window {
            [from, .., to] => to.done - from.done,
            _ => 0,
        });
        answers.min().unwrap_or(0)
    }

    /// Answers per second from one sample to the next: the moment in milliseconds, and the rate.
    pub(crate) fn rates(&self) -> impl Iterator<Item = (u64, u64)> {
        self.samples.windows(2).map(|pair| {
            let [from, to] = pair else { return (0, 0) };
            let rate = per_second(to.done - from.done, to.at.saturating_sub(from.at));
            (u64::try_from(to.at.as_millis()).unwrap_or(u64::MAX), rate)
        })
    }

    /// The scenario in one line.
    pub(crate) fn title(&self) -> String {
        let Target {
            connections, pace, ..
        } = &self.target;
        let pace = match pace {
            Pace::Closed { in_flight } => {
                format!("{connections} connections of {in_flight} callers each")
            }
            Pace::Open { per_second } => {
                format!("{per_second} calls a second on {connections} connections")
            }
        };
        let Workload {
            call,
            slots,
            hot_percent,
            ..
        } = &self.workload;
        let hot = if *hot_percent > 0 {
            format!(", {hot_percent} % for one of them")
        } else {
            String::new()
        };
        format!("{}, {pace}, {slots} slots{hot}", call.name())
    }

    pub(crate) fn json(&self) -> Value {
        let answers: BTreeMap<&str, u64> = self
            .recorder
            .answers
            .iter()
            .map(|(answer, count)| (text(answer), *count))
            .collect();
        let nanos: BTreeMap<&str, u64> = QUANTILES
            .iter()
            .map(|&(name, quantile)| (name, self.quantile(quantile)))
            .collect();
        json!({
            "what": self.title(),
            "calls": self.recorder.nanos.len(),
            "rejected": self.rejected(),
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            "calls_per_second": self.rate(),
            "answers": answers,
            "latency_ns": nanos,
            "max_ns": self.slowest(),
        })
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title())?;
        let (calls, elapsed) = (self.recorder.nanos.len(), self.elapsed);
        writeln!(
            f,
            "  {calls} calls in {elapsed:.2?}: {} a second",
            self.rate()
        )?;
        for (answer, count) in &self.recorder.answers {
            writeln!(
                f,
                "  {count:>10} {}{}",
                if matches!(answer, Outcome::Rejected(_)) {
                    "REJECTED: "
                } else {
                    ""
                },
                text(answer)
            )?;
        }
        for (name, quantile) in QUANTILES {
            writeln!(
                f,
                "  {name:>10} {:.1?}",
                Duration::from_nanos(self.quantile(quantile))
            )?;
        }
        writeln!(
            f,
            "  {:>10} {:.1?}",
            "slowest",
            Duration::from_nanos(self.slowest())
        )
    }
}

fn text(answer: &Outcome) -> &str {
    match answer {
        Outcome::Success(text) => text,
        Outcome::Rejected(text) => text,
    }
}

fn per_second(count: u64, elapsed: Duration) -> u64 {
    let rate = u128::from(count) * 1_000_000_000 / elapsed.as_nanos().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}
