//! Half of what a server can take, for long, while its catalogue is replaced again and again and it is
//! drained and started anew: what must not grow, looked at every ten seconds.

use std::{fmt, fs, time::Duration};

use serde_json::{Value, json};

use super::{
    Failure, catalog,
    lab::{Asked, Lab},
    results::median,
    server::{Keeping, Server},
    target::Pace,
    workload::Call,
};

/// How long it runs from one look to the next.
const LOOK: Duration = Duration::from_secs(10);

/// Spots of each slot, at first; never sold out.
const SPOTS: u64 = 100_000_000;

/// What is to be done.
pub(super) struct Plan {
    pub(super) minutes: u64,
    pub(super) slots: u64,
    /// Looks from one reload, or drain, to the next.
    pub(super) reload_every: u64,
    pub(super) drain_every: u64,
}

/// What was seen at a look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Seconds since the start.
    pub(super) at: u64,
    pub(super) resident_kib: u64,
    pub(super) descriptors: u64,
    pub(super) median_us: u64,
    pub(super) p99_us: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Course {
    per_second: u64,
    pub(super) looks: Vec<Look>,
    reloads: u64,
    /// How long each drain took, and the start after it, in milliseconds.
    drains: Vec<(u128, u128)>,
}

/// Runs it. An answer that is not good ends it, and so does a drain that does not end well.
pub(super) fn soak(lab: &mut Lab, plan: &Plan) -> Result<Course, Failure> {
    let dir = lab.catalog(plan.slots)?;
    let orders = lab.orders_dir();
    let start = || Server::box_office(&dir, Keeping::In(&orders));
    let mut server = start()?;
    let mixed = Asked {
        slots: plan.slots,
        ..Asked::of(Call::Mixed)
    };
    let per_second = (lab.measure(&server, mixed)?.rate() / 2).max(1);
    let asked = Asked {
        pace: Pace::Open { per_second },
        ..mixed
    };
    let calls = per_second * LOOK.as_secs();
    let mut course = Course {
        per_second,
        ..Course::default()
    };
    for look in 1..=plan.minutes * 60 / LOOK.as_secs() {
        if look % plan.reload_every == 0 {
            catalog::write(&dir, plan.slots, SPOTS + look)?;
            server.signal("HUP")?;
            course.reloads += 1;
        }
        if look % plan.drain_every == 0 {
            let drained = server.drain()?;
            server = start()?;
            course
                .drains
                .push((drained.as_millis(), server.opened_in.as_millis()));
        }
        let run = lab.ask(&server, asked, calls, &format!("look-{look}"))?;
        let seen = Look {
            at: look * LOOK.as_secs(),
            resident_kib: server.resident_kib()?,
            descriptors: server.descriptors()?,
            median_us: run.quantile(0.5) / 1000,
            p99_us: run.quantile(0.99) / 1000,
        };
        eprintln!("{seen:?}");
        course.looks.push(seen);
    }
    course.drains.push((server.drain()?.as_millis(), 0));
    fs::remove_dir_all(orders)?;
    Ok(course)
}

impl Course {
    /// The medians of the looks in each quarter of the time.
    fn quarters(&self, of: impl Fn(&Look) -> u64) -> Vec<u64> {
        let looks: Vec<u64> = self.looks.iter().map(of).collect();
        looks
            .chunks(looks.len().div_ceil(4).max(1))
            .map(median)
            .collect()
    }

    fn rows(&self) -> [(&'static str, Vec<u64>); 4] {
        [
            (
                "memory, MiB",
                self.quarters(|look| look.resident_kib / 1024),
            ),
            ("files and sockets", self.quarters(|look| look.descriptors)),
            ("median, µs", self.quarters(|look| look.median_us)),
            ("p99, µs", self.quarters(|look| look.p99_us)),
        ]
    }

    pub(super) fn json(&self) -> Value {
        let look = |look: &Look| {
            let Look {
                at,
                resident_kib,
                descriptors,
                median_us,
                p99_us,
            } = look;
            json!({
                "at_sec": at,
                "resident_kib": resident_kib,
                "descriptors": descriptors,
                "median_us": median_us,
                "p99_us": p99_us,
            })
        };
        json!({
            "calls_per_second": self.per_second,
            "reloads": self.reloads,
            "drains_and_starts_ms": self.drains,
            "looks": self.looks.iter().map(look).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            per_second,
            looks,
            reloads,
            drains,
        } = self;
        writeln!(
            f,
            "{per_second} calls a second, {} looks, {reloads} reloads",
            looks.len()
        )?;
        writeln!(f, "drains, and starts after them, in ms: {drains:?}")?;
        for (what, quarters) in self.rows() {
            writeln!(f, "| {what} | {quarters:?} |")?;
        }
        Ok(())
    }
}
