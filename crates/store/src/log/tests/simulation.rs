//! The log under a seed: random units, background work and crashes at any call, on a disk that loses, fails or damages
//! what is written, beside a model that says what has to be on record.
//!
//! Everything runs in one thread, so that a seed always has the same result. A seed that finds something says so, with
//! the number of steps in which it does.

mod answers;
mod erasures;
mod faults;
mod model;
mod units;
mod world;

use std::{
    cmp::Ordering,
    ops::{ControlFlow, Range},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use fastrand::Rng;
use kernel::clock::{Clock, ManualClock};

use self::{
    answers::{Finding, Tolerance, compare_all, compare_recovered},
    model::Model,
    units::{NOW, USERS, random_unit},
};
use super::super::{
    disk::{
        Disk,
        simulated::{DiskFault, FaultPlan, FaultTrigger, SimulatedDisk},
    },
    ledger::NotWritten,
    segment::SEGMENT_HEADER_BYTES,
    segment_name::{LogFile, log_name, parse, summary_name},
    simulated_store::{OpenedLog, Opening, WATERMARK},
};
use crate::{EraseError, UnitOfWork, Write};

/// Steps of a run.
const STEPS: usize = 120;

/// What may go wrong in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hazard {
    /// The process is killed or the power fails, at any call. Nothing that was acknowledged may be lost.
    Crashes,
    /// Writes, syncs and reads fail as well, and the disk is full. Nothing that was acknowledged may be lost.
    Failures,
    /// The same, three times as often: a segment is begun rarely, and what fails there has to be followed by a crash.
    FrequentFailures,
    /// What is on disk is damaged as well. It may be refused, and never be accepted as something else.
    Damage,
    /// The power fails after every few calls. Nothing that was acknowledged may be lost.
    PowerLosses,
}

impl Hazard {
    /// One in how many writes, and syncs, fails.
    fn failing_calls(self) -> Option<u32> {
        match self {
            Self::Failures => Some(100),
            Self::FrequentFailures => Some(30),
            Self::Crashes | Self::Damage | Self::PowerLosses => None,
        }
    }
}

/// Those that find most faults.
const HAZARDS: [Hazard; 3] = [Hazard::Crashes, Hazard::Failures, Hazard::Damage];

/// What runs have done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    steps: u64,
    units: u64,
    rejected: u64,
    /// Batches of which a part was rejected because no other segment could be begun.
    without_segment: u64,
    /// Power failures.
    crashes: u64,
    openings: u64,
    /// Openings that a crash or an error has ended.
    interrupted: u64,
    /// Writes that a crash or an error has ended.
    failed_writes: u64,
    /// Of those, how many were on record in the end.
    recovered_writes: u64,
    /// Openings that were refused because of damage.
    refused: u64,
    /// Reads that have found damage.
    errors: u64,
    /// Orders that were erased.
    erased: u64,
    /// Erasures that an opening has finished.
    finished_erasures: u64,
}

struct Simulation {
    random: Rng,
    hazard: Hazard,
    disk: SimulatedDisk,
    clock: Arc<ManualClock>,
    /// With the units of the last write, if it has no result yet.
    model: Model,
    /// The least number of changes that have to be on record.
    acknowledged: u64,
    /// The number of changes before the last write that was acknowledged.
    before_last: u64,
    /// Places on disk that were damaged.
    damaged: u64,
    misdirected: u64,
    /// Whether writes are misdirected in this run, if damage is its hazard. Without, spares can be looked at.
    misdirects: bool,
    /// Whether an erasure has said that it left something out, because damage hides whose it is.
    is_partly_erased: bool,
    counts: Counts,
}

/// Runs a seed for so many steps.
fn run(seed: u64, hazard: Hazard, steps: usize) -> Result<Counts, Finding> {
    let simulation = Simulation::new(seed, hazard);
    // Whatever panics in the log is a finding like any other.
    catch_unwind(AssertUnwindSafe(|| simulation.run(steps)))
        .unwrap_or_else(|_| Err("panicked; see above".to_owned()))
}

fn run_all(seeds: Range<u64>, hazard: Hazard) -> Counts {
    let mut total = Counts::default();
    for seed in seeds {
        match run(seed, hazard, STEPS) {
            Ok(counts) => total.add(&counts),
            Err(finding) => {
                let (steps, finding) = testkit::seeds::shrink(STEPS, finding, |steps| {
                    run(seed, hazard, steps).map(drop)
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
        self.steps += other.steps;
        self.units += other.units;
        self.rejected += other.rejected;
        self.without_segment += other.without_segment;
        self.crashes += other.crashes;
        self.openings += other.openings;
        self.interrupted += other.interrupted;
        self.failed_writes += other.failed_writes;
        self.recovered_writes += other.recovered_writes;
        self.refused += other.refused;
        self.errors += other.errors;
        self.erased += other.erased;
        self.finished_erasures += other.finished_erasures;
    }
}

impl Simulation {
    fn new(seed: u64, hazard: Hazard) -> Self {
        let mut random = Rng::with_seed(seed);
        Self {
            misdirects: random.bool(),
            is_partly_erased: false,
            random,
            hazard,
            disk: SimulatedDisk::new(seed),
            clock: Arc::new(ManualClock::at(NOW)),
            model: Model::default(),
            acknowledged: 0,
            before_last: 0,
            damaged: 0,
            misdirected: 0,
            counts: Counts::default(),
        }
    }

    fn run(mut self, steps: usize) -> Result<Counts, Finding> {
        let mut left = steps;
        loop {
            let Some(log) = self.open()? else {
                self.counts.refused += 1;
                return Ok(self.counts);
            };
            if left == 0 {
                return Ok(self.counts);
            }
            self.live(log, &mut left)?;
            self.die()?;
        }
    }

    /// Opens the log, as often as it is interrupted; `None` if it is refused because of damage.
    fn open(&mut self) -> Result<Option<OpenedLog>, Finding> {
        loop {
            self.endanger_opening();
            let clock: Arc<dyn Clock> = self.clock.clone();
            let failed = self.failures();
            let opened = OpenedLog::open(&self.disk, &clock);
            self.disk.set_plan(FaultPlan::default());
            self.counts.openings += 1;
            match opened {
                Ok((log, opening)) => {
                    let erasures = self.model.erasures();
                    self.check_opening(&log, &opening)?;
                    // It goes on only with damage.
                    let has_lost = self.is_damaged() && erasures > self.model.erasures();
                    let is_whole = !self.model.is_erasing() && !has_lost;
                    return Ok(is_whole.then_some(log));
                }
                Err(_) if self.disk.has_stopped() || self.failures() > failed => {
                    self.counts.interrupted += 1;
                    self.die()?;
                }
                Err(_) if self.is_damaged() => return Ok(None),
                Err(error) => return Err(format!("does not open: {error:?}")),
            }
        }
    }

    fn endanger_opening(&mut self) {
        let call = self.disk.calls() + self.random.u64(1..60);
        let at = FaultTrigger::At(vec![call]);
        let plan = FaultPlan::default();
        let plan = match self.random.u8(..6) {
            0 => plan.stop_at(call),
            1 if self.hazard.failing_calls().is_some() => {
                let faults = [
                    DiskFault::FailedRead,
                    DiskFault::FailedWrite,
                    DiskFault::FailedSync,
                ];
                plan.with(faults[self.random.usize(..faults.len())], at)
            }
            _ => plan,
        };
        self.disk.set_plan(plan);
    }

    fn failures(&self) -> u64 {
        self.broken() + self.disk.occurred(DiskFault::FullDisk)
    }

    /// Failures after which it is not known what is on disk.
    fn broken(&self) -> u64 {
        let faults = [
            DiskFault::FailedRead,
            DiskFault::FailedWrite,
            DiskFault::FailedSync,
        ];
        faults.map(|fault| self.disk.occurred(fault)).iter().sum()
    }

    fn check_opening(&mut self, log: &OpenedLog, opening: &Opening) -> Result<(), Finding> {
        let (least, most) = (self.acknowledged, self.model.changes());
        let changes = opening.changes;
        if changes < least {
            return Err(format!("{changes} changes, and {least} were acknowledged"));
        }
        if changes > most {
            return Err(format!("{changes} changes, and {most} were written"));
        }
        self.counts.recovered_writes += u64::from(changes > least);
        let erasures = self.model.erasures();
        if !self.model.take_back(changes) {
            return Err(format!("{changes} changes, which is a part of a unit"));
        }
        self.before_last = match changes.cmp(&least) {
            Ordering::Greater => least,
            Ordering::Equal | Ordering::Less => self.before_last.min(changes),
        };
        self.acknowledged = changes;
        self.check_finished(opening)?;
        if opening.finished == changes {
            self.check_blank(opening)?;
        }
        compare_recovered(&opening.recovered, &self.model)?;
        self.check_erased()?;
        if self.is_damaged() && erasures > self.model.erasures() {
            // The end of the log is lost with the record of an erasure, and what it has overwritten is not: that is erased
            // all the same. `verify` tells.
            return Ok(());
        }
        self.compare(log)
    }

    /// Erasures that were interrupted are finished before anything is served.
    fn check_finished(&mut self, opening: &Opening) -> Result<(), Finding> {
        if self.model.is_erasing() && opening.finished == opening.changes + 1 {
            self.model.complete_erasure();
            self.before_last = self.acknowledged;
            self.acknowledged = opening.finished;
            self.counts.finished_erasures += 1;
        }
        let is_right = opening.finished == self.model.changes()
            && (!self.model.is_erasing() || self.is_damaged());
        if is_right {
            Ok(())
        } else {
            Err("an interrupted erasure is not finished".to_owned())
        }
    }

    /// Of what was erased, no byte is left in a segment.
    fn check_erased(&self) -> Result<(), Finding> {
        if self.is_damaged() || self.disk.has_stopped() || self.model.is_erasing() {
            return Ok(());
        }
        for number in 1.. {
            let Some(content) = self.disk.content(&log_name(number)) else {
                break;
            };
            for erased in self.model.erased() {
                if contains(&content, erased.as_bytes()) {
                    return Err(format!("{erased} is erased, and in segment {number}"));
                }
            }
        }
        Ok(())
    }

    /// Behind the last write there are zeros, so that nothing can be taken for a part of the next.
    fn check_blank(&self, opening: &Opening) -> Result<(), Finding> {
        let name = log_name(opening.end.segment);
        let content = self.disk.content(&name).unwrap_or_default();
        let end = usize::try_from(opening.end.offset).unwrap_or(usize::MAX);
        let rest = content.get(end..).unwrap_or_default();
        match rest.iter().position(|byte| *byte != 0) {
            None => Ok(()),
            Some(at) => Err(format!("{name} is not blank at {}, behind {end}", end + at)),
        }
    }

    /// Compares all answers with the model, while nothing fails.
    fn compare(&mut self, log: &OpenedLog) -> Result<(), Finding> {
        if self.is_partly_erased {
            // The model has erased everything, and what was left out is still readable.
            return Ok(());
        }
        let tolerance = if self.is_damaged() {
            Tolerance::Errors
        } else {
            Tolerance::None
        };
        let errors = compare_all(&log.reader, &self.model, tolerance)?;
        self.counts.errors += errors as u64;
        Ok(())
    }

    /// Steps until there are no more, or until the process ends.
    fn live(&mut self, mut log: OpenedLog, left: &mut usize) -> Result<(), Finding> {
        let plan = self.plan();
        while *left > 0 && self.random.u8(..50) > 0 {
            *left -= 1;
            self.counts.steps += 1;
            self.disk.set_plan(plan.clone());
            let ended = match self.random.u8(..30) {
                0..14 => self.write(&mut log)?,
                14..16 => self.erase(&mut log)?,
                16..29 => {
                    // What is done in the background may fail, and the next step tries again.
                    let _ = log.background.step(&mut self.random);
                    self.check_spares(&log)?;
                    ControlFlow::Continue(())
                }
                _ => {
                    self.disk.set_plan(FaultPlan::default());
                    if self.hazard == Hazard::Damage {
                        // What is read is then what is on the medium, as after days.
                        self.disk.drop_caches();
                    }
                    if !self.disk.has_stopped() {
                        self.compare(&log)?;
                    }
                    ControlFlow::Continue(())
                }
            };
            self.note_misdirected();
            if ended.is_break() || self.disk.has_stopped() {
                break;
            }
        }
        Ok(())
    }

    fn check_spares(&self, log: &OpenedLog) -> Result<(), Finding> {
        for number in log.spares.ready_numbers() {
            let content = self.disk.content(&log_name(number)).unwrap_or_default();
            let is_blank = content.iter().all(|byte| *byte == 0);
            // A spare that was looked at can be damaged only by a write that was meant for another file.
            if !is_blank && self.misdirected == 0 && !self.disk.has_stopped() {
                return Err(format!("spare {number} is ready and not blank"));
            }
        }
        Ok(())
    }

    /// What fails while the log is open.
    fn plan(&mut self) -> FaultPlan {
        let mut plan = FaultPlan::default();
        let calls = match self.hazard {
            Hazard::PowerLosses => 1..40,
            Hazard::Crashes | Hazard::Failures | Hazard::FrequentFailures | Hazard::Damage => {
                1..300
            }
        };
        if self.random.u8(..4) > 0 {
            plan = plan.stop_at(self.disk.calls() + self.random.u64(calls));
        }
        if let Some(calls) = self.hazard.failing_calls() {
            if self.random.u8(..3) == 0 {
                plan = plan.capacity(self.disk.used() + self.random.u64(..200_000));
            }
            plan = plan
                .with(DiskFault::FailedWrite, FaultTrigger::OneIn(calls))
                .with(DiskFault::FailedSync, FaultTrigger::OneIn(calls));
        }
        if self.hazard == Hazard::Damage && self.misdirects {
            plan = plan.with(DiskFault::MisdirectedWrite, FaultTrigger::OneIn(50));
        }
        plan
    }

    /// Writes a batch of units that were decided on the same state.
    fn write(&mut self, log: &mut OpenedLog) -> Result<ControlFlow<()>, Finding> {
        let mut units = Vec::new();
        for _ in 0..self.random.u8(1..5) {
            // Now and then the same one again, as from two callers at once.
            let unit = match units.last() {
                Some(unit) if self.random.u8(..8) == 0 => UnitOfWork::clone(unit),
                Some(_) | None => random_unit(&mut self.random, &self.model),
            };
            units.push(unit);
        }
        let encoded = log.encode(&units);
        units.truncate(encoded.len());
        let (failed, broken) = (self.failures(), self.broken());
        match log.write(&encoded) {
            Ok(results) => {
                let mut written = Vec::new();
                for (unit, result) in units.iter().zip(results) {
                    match &result {
                        Err(NotWritten::NoSegment(_)) => {
                            self.go_on_without_segment(log, self.failures() > failed)?;
                            break;
                        }
                        Err(NotWritten::Unreadable(error)) => {
                            if !self.is_damaged() && !self.disk.has_stopped() {
                                return Err(format!("{unit:?}: {error:?}"));
                            }
                            self.counts.errors += u64::from(self.is_damaged());
                            continue;
                        }
                        Ok(()) | Err(NotWritten::Stale(_)) => {}
                    }
                    let (is_written, expected) = (result.is_ok(), self.model.commit(unit));
                    if is_written != expected {
                        return Err(format!("{unit:?}: {is_written} in place of {expected}"));
                    }
                    written.push(is_written);
                }
                if self.acknowledged < self.model.changes() {
                    self.before_last = self.acknowledged;
                    self.acknowledged = self.model.changes();
                }
                self.counts.units += written.iter().filter(|written| **written).count() as u64;
                self.counts.rejected += written.iter().filter(|written| !**written).count() as u64;
                self.check_watermark()?;
                Ok(ControlFlow::Continue(()))
            }
            Err(error) => {
                // All of them may be on record.
                for unit in &units {
                    self.model.commit(unit);
                }
                // A full disk is none: it is noticed before anything is written.
                let has_cause = self.disk.has_stopped() || self.broken() > broken;
                if !has_cause && !self.is_damaged() {
                    return Err(format!("a write fails: {error:?}"));
                }
                self.counts.failed_writes += 1;
                self.check_hidden(log, &units)?;
                Ok(ControlFlow::Break(()))
            }
        }
    }

    /// The log is full and has no other segment: the units from there on are not written, and later ones may be.
    fn go_on_without_segment(&mut self, log: &OpenedLog, has_cause: bool) -> Result<(), Finding> {
        if !has_cause && !self.disk.has_stopped() {
            return Err("no other segment is begun, and nothing has failed".to_owned());
        }
        self.counts.without_segment += 1;
        let (on_record, expected) = (log.changes(), self.model.changes());
        if on_record == expected {
            Ok(())
        } else {
            Err(format!("{on_record} changes in place of {expected}"))
        }
    }

    /// Erases a user, who may have no orders.
    fn erase(&mut self, log: &mut OpenedLog) -> Result<ControlFlow<()>, Finding> {
        let user = USERS[self.random.usize(..USERS.len())];
        let expected = self.model.erase(user);
        let failed = self.failures();
        if self.hazard == Hazard::Damage {
            // Written elsewhere, it leaves intact what was to be erased: only a verification finds that.
            self.disk.set_plan(FaultPlan::default());
        }
        match log.erase(user) {
            Ok(erased) if erased == expected => {
                self.counts.erased += erased;
                if self.acknowledged < self.model.changes() {
                    // The completion is a write of its own.
                    self.before_last = self.model.changes() - 1;
                    self.acknowledged = self.model.changes();
                }
                self.check_watermark()?;
                self.check_erased()?;
                Ok(ControlFlow::Continue(()))
            }
            Ok(erased) => Err(format!("{user}: {erased} erased in place of {expected}")),
            Err(error) => {
                let has_cause = self.disk.has_stopped() || self.failures() > failed;
                if !has_cause && !self.is_damaged() {
                    return Err(format!("an erasure fails: {error:?}"));
                }
                self.counts.failed_writes += 1;
                self.is_partly_erased |= matches!(error, EraseError::Partly { .. });
                Ok(ControlFlow::Break(()))
            }
        }
    }

    /// The watermark says what was acknowledged, as soon as it was.
    fn check_watermark(&self) -> Result<(), Finding> {
        let says = self.watermark();
        // A write that was meant for another file may have landed in it.
        let is_hit = self.disk.occurred(DiskFault::MisdirectedWrite) > 0;
        if says == self.acknowledged || self.disk.has_stopped() || is_hit {
            return Ok(());
        }
        Err(format!(
            "the watermark says {says}, and {} were acknowledged",
            self.acknowledged
        ))
    }

    /// What the file of the watermark says.
    fn watermark(&self) -> u64 {
        let content = self.disk.content(WATERMARK).unwrap_or_default();
        let number = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let twice = content.split_at_checked(8);
        let smaller = twice.and_then(|(one, other)| number(one).min(number(other)));
        smaller.unwrap_or(0)
    }

    /// Orders of a write that has failed are not visible.
    fn check_hidden(&self, log: &OpenedLog, units: &[UnitOfWork]) -> Result<(), Finding> {
        for write in units.iter().flat_map(|unit| &unit.writes) {
            let Write::OrderPlaced(placed) = write else {
                continue;
            };
            let key = log.reader.keys.order_key(&placed.token);
            let is_visible = !log.reader.index.candidates(&key).is_empty();
            // Unless it has been on record before, and the unit was rejected.
            if is_visible && !self.was_acknowledged(placed) {
                return Err(format!(
                    "an order is visible before it is durable: {:?}",
                    placed.token
                ));
            }
        }
        Ok(())
    }

    fn was_acknowledged(&self, placed: &crate::PlacedOrder) -> bool {
        self.model.unit_of_order(&placed.token) <= self.acknowledged
    }

    /// Ends the process, and the power as well, at times. What is on disk may be damaged meanwhile.
    fn die(&mut self) -> Result<(), Finding> {
        self.note_misdirected();
        self.disk = if self.hazard == Hazard::PowerLosses || self.random.bool() {
            self.counts.crashes += 1;
            self.disk.crash()
        } else {
            self.disk.restart()
        };
        self.clock
            .set(NOW.saturating_add(domain::time::Seconds::new(self.random.i64(-50..50))));
        if self.random.bool() {
            self.damage().map_err(|error| error.to_string())?;
        }
        self.excuse_losses();
        Ok(())
    }

    /// What damage may cost. A last write that does not verify may be taken for one that was torn, if the watermark,
    /// which is not synced, does not say more. With damage in one place, nothing else may be lost.
    fn excuse_losses(&mut self) {
        if !self.is_damaged() {
            return;
        }
        let mut least = self.acknowledged.min(self.watermark());
        if self.damaged == 1 {
            least = least.max(self.before_last);
        }
        self.acknowledged = least;
    }

    fn is_damaged(&self) -> bool {
        self.damaged > 0
    }

    /// A misdirected write is missing in one place and damages another.
    fn note_misdirected(&mut self) {
        let misdirected = self.disk.occurred(DiskFault::MisdirectedWrite);
        self.damaged += 2 * (misdirected - self.misdirected);
        self.misdirected = misdirected;
    }

    /// Damages a summary or an index of slots, which has to be made again; or a segment, if that is a hazard of this run.
    fn damage(&mut self) -> std::io::Result<()> {
        let mut files: Vec<_> = self
            .disk
            .list()?
            .iter()
            .filter_map(|name| parse(name))
            .collect();
        if self.hazard != Hazard::Damage {
            files.retain(|file| is_derived(*file));
        }
        if files.is_empty() {
            return Ok(());
        }
        files.sort_unstable_by_key(|file| file.number());
        let at = match self.random.u8(..4) {
            // The newest, such as a spare.
            0 => files.len() - 1,
            _ => self.random.usize(..files.len()),
        };
        let file = files[at];
        let is_derived = is_derived(file);
        let name = file.name();
        let kind = self.random.u8(..6);
        if !is_derived {
            // A file that is gone has damage in more than one place.
            self.damaged += if kind < 2 { 2 } else { 1 };
            if self.random.bool() {
                self.remove_summary(file.number())?;
            }
        }
        match kind {
            0 => self.disk.remove(&name),
            1 => self.disk.create(&name).map(drop),
            2 if is_derived && files.contains(&next_of(file)) => {
                // As if from a backup: intact, and of another segment.
                self.disk.rename(&next_of(file).name(), &name)
            }
            _ => {
                self.flip(&name);
                Ok(())
            }
        }
    }

    /// Removes the summary of a segment, if there is one, so that the segment is read at the next start.
    fn remove_summary(&self, number: u64) -> std::io::Result<()> {
        let name = summary_name(number);
        if self.disk.content(&name).is_some() {
            self.disk.remove(&name)?;
        }
        Ok(())
    }

    /// Flips a bit of a file; often in its header or at its end, which are small.
    fn flip(&mut self, name: &str) {
        let content = self.disk.content(name).unwrap_or_default();
        let end = content.iter().rposition(|byte| *byte != 0);
        let offsets = match (self.random.u8(..5), end) {
            (0, _) => 0..content.len().min(SEGMENT_HEADER_BYTES),
            (1 | 2, Some(end)) => end.saturating_sub(100)..end + 1,
            _ => 0..content.len(),
        };
        if !offsets.is_empty() {
            let mask = 1 << self.random.u8(..8);
            self.disk.flip(name, self.random.usize(offsets), mask);
        }
    }
}

/// Whether a file is made of the records of its segment.
fn is_derived(file: LogFile) -> bool {
    matches!(file, LogFile::Summary(_) | LogFile::Slots(_))
}

/// The same file of the next segment.
fn next_of(file: LogFile) -> LogFile {
    let next = file.number() + 1;
    match file {
        LogFile::Segment(_) => LogFile::Segment(next),
        LogFile::Unfinished(_) => LogFile::Unfinished(next),
        LogFile::Summary(_) => LogFile::Summary(next),
        LogFile::Slots(_) => LogFile::Slots(next),
    }
}

fn contains(content: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(content, text).is_some()
}

fn seeds(usually: u64) -> Range<u64> {
    testkit::seeds::seeds(usually)
}

#[test]
fn nothing_acknowledged_is_lost_by_crashes() {
    let counts = run_all(seeds(25), Hazard::Crashes);
    assert!(
        counts.interrupted > 0 && counts.failed_writes > 0,
        "{counts:?}"
    );
    assert!(counts.recovered_writes > 0, "{counts:?}");
    assert!(counts.recovered_writes < counts.failed_writes, "{counts:?}");
    assert!(counts.rejected > 0, "{counts:?}");
    assert!(
        counts.erased > 0 && counts.finished_erasures > 0,
        "{counts:?}"
    );
    assert_eq!((counts.refused, counts.errors), (0, 0), "{counts:?}");
}

#[test]
fn nothing_acknowledged_is_lost_by_power_failures_in_close_succession() {
    let counts = run_all(seeds(25), Hazard::PowerLosses);
    assert!(counts.crashes > counts.steps / 20, "{counts:?}");
    assert!(
        counts.interrupted > 0 && counts.recovered_writes > 0,
        "{counts:?}"
    );
    assert_eq!((counts.refused, counts.errors), (0, 0), "{counts:?}");
}

#[test]
fn nothing_acknowledged_is_lost_by_writes_and_syncs_that_fail() {
    let counts = run_all(seeds(25), Hazard::Failures);
    assert!(
        counts.interrupted > 0 && counts.failed_writes > 0 && counts.without_segment > 0,
        "{counts:?}"
    );
    assert_eq!((counts.refused, counts.errors), (0, 0), "{counts:?}");
}

#[test]
fn nothing_acknowledged_is_lost_by_failures_that_are_frequent() {
    let counts = run_all(seeds(15), Hazard::FrequentFailures);
    assert!(
        counts.failed_writes > 0 && counts.without_segment > 0,
        "{counts:?}"
    );
    assert_eq!((counts.refused, counts.errors), (0, 0), "{counts:?}");
}

#[test]
fn damage_is_refused_or_reported_and_never_accepted() {
    let counts = run_all(seeds(60), Hazard::Damage);
    assert!(counts.refused > 0 && counts.errors > 0, "{counts:?}");
}

#[test]
fn the_same_seed_has_the_same_result() {
    for hazard in HAZARDS {
        for seed in 0..3 {
            let counts = run(seed, hazard, STEPS);
            assert_eq!(run(seed, hazard, STEPS), counts, "{seed} {hazard:?}");
        }
    }
}
