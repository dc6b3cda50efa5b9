//! Orders, holds and cancellations under a seed: calls of several clients, the log on a simulated disk, crashes at any call of the disk, a
//! clock that jumps, beside a model of what the clients were told.
//!
//! Everything runs in one thread: calls are polled, batches written and background work done in an order that follows from
//! the seed. A seed that finds something says so, with the number of steps in which it does.

mod calls;
mod faults;
mod model;
mod process;

use std::{
    ops::{ControlFlow, Range},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use fastrand::Rng;

use self::{
    calls::Request,
    faults::StoreFault,
    model::{Model, Observed},
    process::Process,
};
use domain::{
    fixtures::{NOW, START},
    time::{EpochSeconds, Seconds},
};
use kernel::clock::ManualClock;
use store::log::disk::simulated::{DiskFault, FaultPlan, FaultTrigger, SimulatedDisk};

/// Steps of a run.
const STEPS: usize = 400;

/// Most calls in flight.
const IN_FLIGHT: usize = 5;

/// The slots that are sold, and the spots of each.
pub(super) const SLOTS: [EpochSeconds; 2] = [START, START.saturating_add(Seconds::HOUR)];
pub(super) const ALLOTMENT: u32 = 9;

/// What is wrong, in words.
pub(super) type Finding = String;

/// What may go wrong in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hazard {
    /// The process is killed or the power fails, at any call of the disk.
    Crashes,
    /// Writes and syncs fail as well, and the disk is full or slow.
    Failures,
    /// Bits rot and writes are misdirected as well. Then the store may be refused and calls may fail. Nothing wrong may be
    /// answered.
    Damage,
}

const HAZARDS: [Hazard; 3] = [Hazard::Crashes, Hazard::Failures, Hazard::Damage];

/// What runs have done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    crashes: u64,
    /// Starts that a crash or an error has ended.
    interrupted: u64,
    /// Starts that were refused because of damage.
    refused: u64,
    /// Clients that hung up.
    disconnected: u64,
    pub(super) orders: u64,
    pub(super) declined: u64,
    pub(super) replayed: u64,
    /// Rejected, because the token belongs to another request.
    pub(super) reused: u64,
    /// Orders that were cancelled, and repetitions of that.
    pub(super) cancelled: u64,
    pub(super) holds: u64,
    /// Calls that failed because of the store.
    pub(super) failed: u64,
    /// Holds that were kept over a restart, and those that it ended.
    pub(super) holds_kept: u64,
    pub(super) holds_ended: u64,
    /// Orders without an answer that were on record after a crash.
    pub(super) recovered: u64,
}

struct Simulation {
    random: Rng,
    hazard: Hazard,
    fault: StoreFault,
    disk: SimulatedDisk,
    clock: Arc<ManualClock>,
    model: Model,
    counts: Counts,
    /// Failures of the disk before the present process.
    failed_before: u64,
}

/// Runs a seed for so many steps.
fn run(seed: u64, hazard: Hazard, fault: StoreFault, steps: usize) -> Result<Counts, Finding> {
    let simulation = Simulation::new(seed, hazard, fault);
    // Whatever panics is a finding like any other.
    catch_unwind(AssertUnwindSafe(|| simulation.run(steps)))
        .unwrap_or_else(|_| Err("panicked; see above".to_owned()))
}

fn run_all(seeds: Range<u64>, hazard: Hazard) -> Counts {
    let mut total = Counts::default();
    for seed in seeds {
        match run(seed, hazard, StoreFault::None, STEPS) {
            Ok(counts) => total.add(&counts),
            Err(finding) => {
                let (steps, finding) = testkit::seeds::shrink(STEPS, finding, |steps| {
                    run(seed, hazard, StoreFault::None, steps).map(drop)
                });
                panic!("seed {seed}, {hazard:?}, {steps} steps: {finding}");
            }
        }
    }
    eprintln!("{hazard:?}: {total:?}");
    total
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.interrupted += other.interrupted;
        self.refused += other.refused;
        self.disconnected += other.disconnected;
        self.orders += other.orders;
        self.declined += other.declined;
        self.replayed += other.replayed;
        self.reused += other.reused;
        self.cancelled += other.cancelled;
        self.holds += other.holds;
        self.failed += other.failed;
        self.holds_kept += other.holds_kept;
        self.holds_ended += other.holds_ended;
        self.recovered += other.recovered;
    }
}

impl Simulation {
    fn new(seed: u64, hazard: Hazard, fault: StoreFault) -> Self {
        Self {
            random: Rng::with_seed(seed),
            hazard,
            fault,
            disk: SimulatedDisk::new(seed),
            clock: Arc::new(ManualClock::at(NOW)),
            model: Model::new(NOW),
            counts: Counts::default(),
            failed_before: 0,
        }
    }

    fn run(mut self, steps: usize) -> Result<Counts, Finding> {
        let mut left = steps;
        loop {
            let Some(mut process) = self.start()? else {
                self.counts.refused += 1;
                return Ok(self.counts);
            };
            if left == 0 {
                return Ok(self.counts);
            }
            let lived = self.live(&mut process, &mut left)?;
            process.end();
            if lived.is_break() {
                self.counts.refused += 1;
                return Ok(self.counts);
            }
            self.die();
        }
    }

    /// Starts a process, as often as that is interrupted; `None` if the store is refused because of damage.
    fn start(&mut self) -> Result<Option<Process>, Finding> {
        loop {
            self.endanger_start();
            let failed = self.failures();
            let started = Process::start(&self.disk, &self.clock, self.fault);
            self.disk.set_plan(FaultPlan::default());
            match started {
                // Killed in work of which the start needs no result, such as the room of a spare.
                Ok(_) if self.disk.has_stopped() => {
                    self.counts.interrupted += 1;
                    self.die();
                }
                Ok(process) => {
                    self.model.lose_calls();
                    self.failed_before = self.failures();
                    return match self.audit(&process, Moment::Start)? {
                        ControlFlow::Continue(()) => Ok(Some(process)),
                        ControlFlow::Break(()) => Ok(None),
                    };
                }
                Err(_) if self.disk.has_stopped() || self.failures() > failed => {
                    self.counts.interrupted += 1;
                    self.die();
                }
                Err(_) if self.is_damaged() => return Ok(None),
                Err(error) => return Err(format!("does not start: {error}")),
            }
        }
    }

    fn endanger_start(&mut self) {
        let call = self.disk.calls() + self.random.u64(1..60);
        let plan = FaultPlan::default();
        let plan = match self.random.u8(..6) {
            0 => plan.stop_at(call),
            1 if self.hazard == Hazard::Failures => {
                let faults = [DiskFault::FailedWrite, DiskFault::FailedSync];
                let fault = faults[self.random.usize(..faults.len())];
                plan.with(fault, FaultTrigger::At(vec![call]))
            }
            _ => plan,
        };
        self.disk.set_plan(plan);
    }

    fn failures(&self) -> u64 {
        let faults = [
            DiskFault::FailedWrite,
            DiskFault::FailedSync,
            DiskFault::FullDisk,
        ];
        faults.map(|fault| self.disk.occurred(fault)).iter().sum()
    }

    fn is_damaged(&self) -> bool {
        let faults = [DiskFault::BitRot, DiskFault::MisdirectedWrite];
        faults.iter().any(|fault| self.disk.occurred(*fault) > 0)
    }

    /// What fails while a process runs.
    fn plan(&mut self) -> FaultPlan {
        let mut plan = FaultPlan::default().with(DiskFault::SlowCall, FaultTrigger::OneIn(50));
        if self.random.u8(..4) > 0 {
            plan = plan.stop_at(self.disk.calls() + self.random.u64(1..400));
        }
        match self.hazard {
            Hazard::Crashes => plan,
            Hazard::Failures => {
                if self.random.u8(..4) == 0 {
                    plan = plan.capacity(self.random.u64(64 << 10..1 << 20));
                }
                plan.with(DiskFault::FailedWrite, FaultTrigger::OneIn(300))
                    .with(DiskFault::FailedSync, FaultTrigger::OneIn(300))
            }
            Hazard::Damage => plan
                .with(DiskFault::MisdirectedWrite, FaultTrigger::OneIn(100))
                .with(DiskFault::BitRot, FaultTrigger::OneIn(300)),
        }
    }

    /// Steps until there are no more, or until the process ends. Breaks where damage hides what is on record.
    fn live(
        &mut self,
        process: &mut Process,
        left: &mut usize,
    ) -> Result<ControlFlow<()>, Finding> {
        let plan = self.plan();
        while *left > 0 && self.random.u8(..100) > 0 && !self.disk.has_stopped() {
            *left -= 1;
            self.disk.set_plan(plan.clone());
            self.step(process)?;
            let is_quiet = *left == 0 || self.random.u8(..25) == 0;
            if is_quiet && self.quiesce(process)? {
                self.disk.set_plan(FaultPlan::default());
                if self.audit(process, Moment::Quiet)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            // A store that has failed rejects everything until it is restarted.
            if !process.is_healthy() && self.random.u8(..8) == 0 {
                break;
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn step(&mut self, process: &mut Process) -> Result<(), Finding> {
        match self.random.u8(..40) {
            0..10 if process.in_flight() < IN_FLIGHT => self.call(process),
            0..22 => self.poll(process)?,
            22..32 => process.write_batch(),
            32..36 => {
                // What is done in the background may fail, and is tried again.
                let _ = process.store().work_in_background(&mut self.random);
            }
            36 => self.disconnect(process),
            37 => self.set_clock(),
            38 => process.call(Request::sweep(), &self.model),
            _ if self.hazard == Hazard::Damage => self.disk.drop_caches(),
            _ => process.run_tasks(),
        }
        Ok(())
    }

    fn call(&mut self, process: &mut Process) {
        let request = Request::draw(&mut self.random);
        self.model.begin(&request);
        process.call(request, &self.model);
    }

    fn poll(&mut self, process: &mut Process) -> Result<(), Finding> {
        let Some((call, answer)) = process.poll(&mut self.random) else {
            return Ok(());
        };
        let observed = Observed {
            // A store that had no room for another segment may have come back since.
            may_fail: !process.is_healthy()
                || self.disk.has_stopped()
                || self.is_damaged()
                || self.failures() > self.failed_before,
            is_damaged: self.is_damaged(),
        };
        self.model.answer(&call, answer, observed, &mut self.counts)
    }

    fn disconnect(&mut self, process: &mut Process) {
        if let Some(request) = process.disconnect(&mut self.random) {
            self.counts.disconnected += 1;
            self.model.disconnect(&request);
        }
    }

    /// A clock that is set, near the present time or days away. It never reaches the slots.
    fn set_clock(&mut self) {
        let seconds = match self.random.u8(..6) {
            0 => self.random.i64(-2 * 86_400..2 * 86_400),
            1 => self.random.i64(-1_000..1_000),
            _ => self.random.i64(-5..300),
        };
        let latest = NOW.saturating_add(Seconds::days(3));
        let earliest = NOW.saturating_sub(Seconds::days(3));
        let now = self.model.now().saturating_add(Seconds::new(seconds));
        self.model.set_clock(now.clamp(earliest, latest));
        self.clock.set(self.model.now());
    }

    /// Lets all calls end, and says whether the store is whole then.
    fn quiesce(&mut self, process: &mut Process) -> Result<bool, Finding> {
        for _ in 0..1_000 {
            if self.disk.has_stopped() || process.is_quiet() {
                return Ok(!self.disk.has_stopped() && process.is_healthy());
            }
            self.poll(process)?;
            process.write_batch();
            process.run_tasks();
        }
        Err("a call does not end".to_owned())
    }

    /// Compares what is on record with what the clients were told, and what is for sale with what is on record. Breaks
    /// where damage hides what is on record.
    fn audit(&mut self, process: &Process, moment: Moment) -> Result<ControlFlow<()>, Finding> {
        let record = match process.read_record() {
            Ok(record) => record,
            Err(_) if self.is_damaged() => return Ok(ControlFlow::Break(())),
            Err(error) => return Err(format!("cannot be read: {error:?}")),
        };
        let is_damaged = self.is_damaged();
        self.model
            .adopt(record, moment, is_damaged, &mut self.counts)?;
        self.compare_spots(process)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Compares the open spots with the model: now, and in the seconds in which holds end.
    fn compare_spots(&self, process: &Process) -> Result<(), Finding> {
        for second in self.model.seconds_of_change() {
            // The clock only shows that second: nothing else happens in it.
            self.clock.set(second);
            for slot in 0..SLOTS.len() {
                let (open, expected) = (process.open(slot), self.model.open_at(slot, second));
                if !expected.contains(&open) {
                    return Err(format!(
                        "slot {slot} at {second}: {open} open spots in place of {expected:?}"
                    ));
                }
            }
        }
        self.clock.set(self.model.now());
        Ok(())
    }

    /// Ends the process, and the power as well, at times. Time passes meanwhile.
    fn die(&mut self) {
        self.disk = if self.random.u8(..3) > 0 {
            self.counts.crashes += 1;
            self.disk.crash()
        } else {
            self.disk.restart()
        };
        if self.random.bool() {
            self.set_clock();
        }
    }
}

/// When what is on record is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// A process has just started.
    Start,
    /// No call is in flight.
    Quiet,
}

fn seeds() -> Range<u64> {
    testkit::seeds::seeds(40)
}

#[test]
fn what_clients_were_told_outlasts_crashes() {
    let counts = run_all(seeds(), Hazard::Crashes);
    assert_busy(&counts);
    assert_eq!(counts.refused, 0, "{counts:?}");
}

#[test]
fn what_clients_were_told_outlasts_writes_and_syncs_that_fail() {
    let counts = run_all(seeds(), Hazard::Failures);
    assert_busy(&counts);
    assert!(counts.failed > 0, "{counts:?}");
    assert_eq!(counts.refused, 0, "{counts:?}");
}

#[test]
fn nothing_wrong_is_answered_from_a_damaged_disk() {
    let counts = run_all(seeds(), Hazard::Damage);
    assert!(counts.refused > 0 && counts.orders > 0, "{counts:?}");
}

/// Everything that a run can meet was met.
fn assert_busy(counts: &Counts) {
    let Counts {
        crashes,
        interrupted,
        refused: _,
        disconnected,
        orders,
        declined,
        replayed,
        reused,
        cancelled,
        holds,
        failed: _,
        holds_kept,
        holds_ended,
        recovered,
    } = *counts;
    let each = [
        crashes,
        interrupted,
        disconnected,
        orders,
        declined,
        replayed,
        reused,
        cancelled,
        holds,
        holds_kept,
        holds_ended,
        recovered,
    ];
    assert!(each.iter().all(|count| *count > 0), "{counts:?}");
}

#[test]
fn the_same_seed_has_the_same_result() {
    for hazard in HAZARDS {
        for seed in 0..3 {
            let counts = run(seed, hazard, StoreFault::None, STEPS);
            assert_eq!(
                run(seed, hazard, StoreFault::None, STEPS),
                counts,
                "{seed} {hazard:?}"
            );
        }
    }
}
