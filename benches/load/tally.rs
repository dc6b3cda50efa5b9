//! What came of the calls, and how long they took.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{
    target::{Pace, Target},
    workload::{Answer, Workload},
};

/// The quantiles that are told.
const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
];

/// What came of the calls of one caller.
#[derive(Debug)]
pub(super) struct Tally {
    answers: BTreeMap<Answer, u64>,
    nanos: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let mut nanos = Histogram::new(3).expect("three digits are allowed");
        nanos.auto(true);
        Self {
            answers: BTreeMap::new(),
            nanos,
        }
    }
}

impl Tally {
    pub(super) fn note(&mut self, answer: Answer, took: Duration) {
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

/// How many calls had been answered at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) at: Duration,
    pub(super) done: u64,
}

/// What was measured.
#[derive(Debug)]
pub(super) struct Run {
    target: Target,
    workload: Workload,
    elapsed: Duration,
    tally: Tally,
    samples: Vec<Sample>,
}

impl Run {
    pub(super) fn new(
        target: Target,
        workload: Workload,
        elapsed: Duration,
        tallies: Vec<Tally>,
        samples: Vec<Sample>,
    ) -> Self {
        let mut tally = Tally::default();
        for other in tallies {
            tally.add(other);
        }
        Self {
            target,
            workload,
            elapsed,
            tally,
            samples,
        }
    }

    /// Answers that were no success.
    pub(super) fn bad(&self) -> u64 {
        let bad = self
            .tally
            .answers
            .iter()
            .filter(|(answer, _)| matches!(answer, Answer::Bad(_)));
        bad.map(|(_, count)| count).sum()
    }

    /// Answers a second.
    pub(super) fn rate(&self) -> u64 {
        per_second(self.tally.nanos.len(), self.elapsed)
    }

    /// The time within which that part of the calls was answered, in nanoseconds.
    pub(super) fn quantile(&self, part: f64) -> u64 {
        self.tally.nanos.value_at_quantile(part)
    }

    /// Answers a second from one sample to the next: the moment in milliseconds, and the rate.
    pub(super) fn rates(&self) -> impl Iterator<Item = (u64, u64)> {
        self.samples.windows(2).map(|pair| {
            let [from, to] = pair else { return (0, 0) };
            let rate = per_second(to.done - from.done, to.at.saturating_sub(from.at));
            (u64::try_from(to.at.as_millis()).unwrap_or(u64::MAX), rate)
        })
    }

    /// What was asked, in a few words.
    pub(super) fn title(&self) -> String {
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

    pub(super) fn json(&self) -> Value {
        let answers: BTreeMap<&str, u64> = self
            .tally
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
            "calls": self.tally.nanos.len(),
            "bad": self.bad(),
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            "calls_per_second": self.rate(),
            "answers": answers,
            "latency_ns": nanos,
            "max_ns": self.tally.nanos.max(),
        })
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title())?;
        let (calls, elapsed) = (self.tally.nanos.len(), self.elapsed);
        writeln!(
            f,
            "  {calls} calls in {elapsed:.2?}: {} a second",
            self.rate()
        )?;
        for (answer, count) in &self.tally.answers {
            writeln!(
                f,
                "  {count:>10} {}{}",
                if matches!(answer, Answer::Bad(_)) {
                    "NOT GOOD: "
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
            Duration::from_nanos(self.tally.nanos.max())
        )
    }
}

fn text(answer: &Answer) -> &str {
    match answer {
        Answer::Good(text) => text,
        Answer::Bad(text) => text,
    }
}

fn per_second(count: u64, elapsed: Duration) -> u64 {
    let rate = u128::from(count) * 1_000_000_000 / elapsed.as_nanos().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}
