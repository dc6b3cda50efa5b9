//! A crash at each call of one erasure, and at each call of the start that finishes it.

use std::sync::Arc;

use kernel::clock::{Clock, ManualClock};

use super::{
    Finding, OpenedLog, contains,
    model::Model,
    units::{NOW, USERS, random_unit},
};
use crate::log::{
    disk::simulated::{FaultPlan, SimulatedDisk},
    planted::{PlantedFault, plant},
    segment_name::log_name,
};

/// Units before the erasure, at least, so that its orders are in several segments.
const UNITS: usize = 60;

/// How the process ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It is killed.
    Killed,
    /// The power fails.
    PowerFailed,
}

struct Scene {
    disk: SimulatedDisk,
    clock: Arc<dyn Clock>,
    model: Model,
}

impl Scene {
    /// A log of some segments, always the same one for a seed.
    fn of(seed: u64) -> (Self, OpenedLog) {
        let mut scene = Self {
            disk: SimulatedDisk::new(seed),
            clock: Arc::new(ManualClock::at(NOW)),
            model: Model::default(),
        };
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut log, _) = OpenedLog::open(&scene.disk, &scene.clock).unwrap();
        let mut units = 0;
        while units < UNITS || scene.model.orders_of(USERS[0]) < 2 {
            units += 1;
            let unit = random_unit(&mut random, &scene.model);
            scene.model.commit(&unit);
            log.write(&log.encode(&[unit])).unwrap();
            log.background.step(&mut random).unwrap();
        }
        (scene, log)
    }

    fn end(&mut self, end: End) {
        self.disk = match end {
            End::Killed => self.disk.restart(),
            End::PowerFailed => self.disk.crash(),
        };
    }

    /// Opens the log, with a crash at this call at first.
    fn open(&mut self, crash_at: u64, end: End) -> Result<OpenedLog, Finding> {
        let plan = FaultPlan::default().stop_at(self.disk.calls() + crash_at);
        self.disk.set_plan(plan);
        let opened = OpenedLog::open(&self.disk, &self.clock);
        if let (Ok((log, _)), false) = (opened, self.disk.has_stopped()) {
            self.disk.set_plan(FaultPlan::default());
            return Ok(log);
        }
        self.end(end);
        let opened = OpenedLog::open(&self.disk, &self.clock);
        opened
            .map(|(log, _)| log)
            .map_err(|error| format!("does not open: {error:?}"))
    }

    /// Whether any segment has something of the erased orders.
    fn has_erased(&self) -> bool {
        (1..)
            .map_while(|number| self.disk.content(&log_name(number)))
            .any(|content| {
                let mut erased = self.model.erased().iter();
                erased.any(|text| contains(&content, text.as_bytes()))
            })
    }
}

/// Crashes at a call of the erasure, and then at a call of the start. Returns whether the erasure was over before. The data
/// is gone then, or the erasure was never recorded.
fn crash(seed: u64, at: u64, again_at: u64, end: End) -> Result<bool, Finding> {
    let (mut scene, mut log) = Scene::of(seed);
    let before = scene.model.changes();
    assert!(scene.model.erase(USERS[0]) > 1);
    scene
        .disk
        .set_plan(FaultPlan::default().stop_at(scene.disk.calls() + at));
    let erased = log.erase(USERS[0]);
    let is_over = !scene.disk.has_stopped();
    assert!(erased.is_ok() || !is_over, "{erased:?}");
    drop(log);
    scene.end(end);
    let log = scene.open(again_at, end)?;
    let there = log.changes() - before;
    match (there, scene.has_erased()) {
        (0, true) if erased.is_err() => Ok(is_over),
        (2, false) => Ok(is_over),
        (changes, has_erased) => Err(format!(
            "{erased:?}, then {changes} changes more, and the data is there: {has_erased}"
        )),
    }
}

/// Crashes at every call, until the erasure is over before. Returns the number of calls.
fn crash_everywhere(seed: u64) -> Result<u64, Finding> {
    for at in 1.. {
        let mut is_over = true;
        for end in [End::Killed, End::PowerFailed] {
            // Early in the start, while it finishes the erasure, and not at all.
            for again_at in [at % 17 + 1, at % 17 + 20, at % 17 + 40, 10_000] {
                let crashed = crash(seed, at, again_at, end);
                is_over &= crashed.map_err(|finding| {
                    format!("seed {seed}, call {at}, then {again_at}, {end:?}: {finding}")
                })?;
            }
        }
        if is_over {
            return Ok(at);
        }
    }
    unreachable!("an erasure is over at some time")
}

#[test]
fn an_erasure_is_whole_or_was_never_begun_wherever_a_crash_comes() {
    for seed in testkit::seeds::seeds(1) {
        let calls = crash_everywhere(seed).unwrap();
        // Recorded, overwritten and synced in more than one segment, summarized, completed.
        assert!(calls > 20, "{calls}");
    }
}

#[test]
fn erasures_that_are_wrong_are_found_out() {
    for fault in [
        PlantedFault::ErasureNotRecorded,
        PlantedFault::ErasureNotSynced,
        PlantedFault::ErasureNotFinished,
    ] {
        let _planted = plant(fault);
        let found = (0..20).any(|seed| crash_everywhere(seed).is_err());
        assert!(found, "{fault:?}");
    }
}
