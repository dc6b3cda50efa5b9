//! A long run at half of the maximum rate, with reloads of the catalogue and restarts: memory,
//! descriptors and latency are sampled every ten seconds and must not grow.

use std::{fmt, fs, time::Duration};

use serde_json::{Value, json};

use crate::{
    Error,
    bench::{Bench, Scenario},
    catalog,
    comparison::median,
    server::{Server, Storage},
    target::Pace,
    workload::{CREATED, CallKind},
};

/// Time from one sample to the next.
const INTERVAL: Duration = Duration::from_secs(10);

/// Spots of each slot, at first; never sold out.
const SPOTS: u64 = 100_000_000;

/// Parameters of a soak.
pub(crate) struct SoakPlan {
    pub(crate) minutes: u64,
    pub(crate) slots: u64,
    /// Samples from one reload, or restart, to the next.
    pub(crate) reload_every: u64,
    pub(crate) drain_every: u64,
}

/// Resources and latency of one interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SoakSample {
    /// Seconds since the start.
    pub(crate) at: u64,
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: u64,
    pub(crate) median_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) slowest_us: u64,
    /// The fewest answers within a second.
    pub(crate) slowest_second: u64,
    /// Orders since the start.
    pub(crate) orders: u64,
}

/// The result of a soak.
#[derive(Debug, Default)]
pub(crate) struct SoakReport {
    per_second: u64,
    pub(crate) samples: Vec<SoakSample>,
    reloads: u64,
    /// How long each drain took, and the start after it, in milliseconds.
    drains: Vec<(u128, u128)>,
}

/// Runs the soak. A rejected call or a failed drain is an error.
pub(crate) fn soak(bench: &mut Bench, plan: &SoakPlan) -> Result<SoakReport, Error> {
    let dir = bench.catalog(plan.slots)?;
    let orders = bench.orders_dir();
    let program = bench.program.clone();
    let start = || Server::program(&program, &[], &dir, Storage::Disk(&orders));
    let mut server = start()?;
    let mixed = Scenario {
        slots: plan.slots,
        ..Scenario::of(CallKind::Mixed)
    };
    let per_second = (bench.measure(&server, mixed)?.rate() / 2).max(1);
    let scenario = Scenario {
        pace: Pace::Open { per_second },
        ..mixed
    };
    let calls = per_second * INTERVAL.as_secs();
    let mut report = SoakReport {
        per_second,
        ..SoakReport::default()
    };
    let mut created = 0;
    for sample in 1..=plan.minutes * 60 / INTERVAL.as_secs() {
        if sample % plan.reload_every == 0 {
            catalog::write(&dir, plan.slots, SPOTS + sample)?;
            server.signal("HUP")?;
            report.reloads += 1;
        }
        if sample % plan.drain_every == 0 {
            let drained = server.drain()?;
            server = start()?;
            report
                .drains
                .push((drained.as_millis(), server.opened_in.as_millis()));
        }
        let run = bench.run_calls(&server, scenario, calls, &format!("sample-{sample}"))?;
        created += run.successes(CREATED);
        let seen = SoakSample {
            at: sample * INTERVAL.as_secs(),
            resident_kib: server.resident_kib()?,
            descriptors: server.descriptors()?,
            median_us: run.quantile(0.5) / 1000,
            p99_us: run.quantile(0.99) / 1000,
            slowest_us: run.slowest() / 1000,
            slowest_second: run.slowest_second(),
            orders: created,
        };
        eprintln!("{seen:?}");
        report.samples.push(seen);
    }
    report.drains.push((server.drain()?.as_millis(), 0));
    fs::remove_dir_all(orders)?;
    Ok(report)
}

impl SoakReport {
    /// The medians of the samples in each quarter of the time.
    fn quarters(&self, of: impl Fn(&SoakSample) -> u64) -> Vec<u64> {
        let samples: Vec<u64> = self.samples.iter().map(of).collect();
        samples
            .chunks(samples.len().div_ceil(4).max(1))
            .map(median)
            .collect()
    }

    fn rows(&self) -> [(&'static str, Vec<u64>); 5] {
        [
            (
                "memory, MiB",
                self.quarters(|sample| sample.resident_kib / 1024),
            ),
            (
                "files and sockets",
                self.quarters(|sample| sample.descriptors),
            ),
            ("median, µs", self.quarters(|sample| sample.median_us)),
            ("p99, µs", self.quarters(|sample| sample.p99_us)),
            (
                "slowest call, µs",
                self.quarters(|sample| sample.slowest_us),
            ),
        ]
    }

    /// The sample with the fewest answers within a second.
    fn slowest_second(&self) -> Option<&SoakSample> {
        self.samples.iter().min_by_key(|it| it.slowest_second)
    }

    pub(crate) fn json(&self) -> Value {
        let sample = |sample: &SoakSample| {
            let SoakSample {
                at,
                resident_kib,
                descriptors,
                median_us,
                p99_us,
                slowest_us,
                slowest_second,
                orders,
            } = sample;
            json!({
                "at_sec": at,
                "resident_kib": resident_kib,
                "descriptors": descriptors,
                "median_us": median_us,
                "p99_us": p99_us,
                "slowest_us": slowest_us,
                "slowest_second": slowest_second,
                "orders": orders,
            })
        };
        json!({
            "calls_per_second": self.per_second,
            "reloads": self.reloads,
            "drains_and_starts_ms": self.drains,
            "samples": self.samples.iter().map(sample).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for SoakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            per_second,
            samples,
            reloads,
            drains,
        } = self;
        writeln!(
            f,
            "{per_second} calls a second, {} samples, {reloads} reloads",
            samples.len()
        )?;
        writeln!(f, "drains, and starts after them, in ms: {drains:?}")?;
        if let Some(SoakSample {
            at, slowest_second, ..
        }) = self.slowest_second()
        {
            writeln!(
                f,
                "slowest second: {slowest_second} answers, within the ten seconds before {at} s"
            )?;
        }
        if let [first, .., last] = &samples[..] {
            writeln!(
                f,
                "memory: from {} to {} KiB while {} orders were created",
                first.resident_kib,
                last.resident_kib,
                last.orders - first.orders
            )?;
        }
        for (what, quarters) in self.rows() {
            writeln!(f, "| {what} | {quarters:?} |")?;
        }
        Ok(())
    }
}
