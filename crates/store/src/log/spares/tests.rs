use std::collections::BTreeSet;

use tempfile::TempDir;
use testkit::seeds::seeds;

use super::*;
use crate::log::disk::{
    DirectoryDisk,
    simulated::{DiskFault, FaultPlan, FaultTrigger, SimulatedDisk},
};
use crate::log::planted::plant;

const SEGMENT_BYTES: u64 = 64 << 10;

fn spares_of(disk: &SimulatedDisk) -> Arc<Spares> {
    let spares = Spares::new(Arc::new(disk.clone()), 0);
    spares.want();
    spares
}

fn filler(spares: &Arc<Spares>) -> SpareFiller {
    SpareFiller::new(Arc::clone(spares), SEGMENT_BYTES).unwrap()
}

/// Takes steps until there is nothing to do; how many that were.
fn fill(filler: &mut SpareFiller) -> usize {
    let mut steps = 0;
    while filler.step().unwrap() == FillerStatus::Busy {
        steps += 1;
        assert!(steps < 1000, "it ends");
    }
    steps
}

fn is_filled(file: &dyn DiskFile) -> bool {
    let mut content = vec![1; usize::try_from(SEGMENT_BYTES).unwrap()];
    file.len().unwrap() == SEGMENT_BYTES
        && file.read_exact_at(&mut content, 0).is_ok()
        && content.iter().all(|byte| *byte == 0)
}

fn names(disk: &SimulatedDisk) -> Vec<String> {
    disk.list().unwrap()
}

#[test]
fn two_spares_are_kept_ready_and_survive_a_crash() {
    for seed in seeds(50) {
        let disk = SimulatedDisk::new(seed);
        let spares = spares_of(&disk);
        let mut filler = filler(&spares);
        fill(&mut filler);
        assert_eq!(names(&disk), ["000001.log", "000002.log"]);
        for number in 1..=seed % 5 {
            assert!(is_filled(
                &*spares.take_or_create(number, SEGMENT_BYTES).unwrap()
            ));
            assert_eq!(spares.ready(), READY - 1);
            fill(&mut filler);
        }
        let crashed = disk.crash();
        for number in seed % 5 + 1..=seed % 5 + 2 {
            let file = crashed.open(&log_name(number)).unwrap();
            assert!(is_filled(&*file), "seed {seed}, {number}");
        }
    }
}

#[test]
fn a_step_writes_and_syncs_one_piece() {
    let disk = SimulatedDisk::new(1);
    let spares = spares_of(&disk);
    let mut filler = filler(&spares);
    let mut longest = 0;
    let mut length = 0;
    loop {
        let calls = disk.calls();
        let status = filler.step().unwrap();
        longest = longest.max(disk.calls() - calls);
        let now: usize = names(&disk)
            .iter()
            .map(|name| disk.content(name).unwrap().len())
            .sum();
        assert!(now - length <= 4096, "{length} {now}");
        length = now;
        if status == FillerStatus::Done {
            break;
        }
    }
    assert_eq!(longest, 2, "a write and its sync, or a sync and a rename");
}

#[test]
fn in_production_a_piece_has_256_kib() {
    let of = |segment_bytes| {
        let spares = spares_of(&SimulatedDisk::new(1));
        let filler = SpareFiller::new(spares, segment_bytes);
        filler.unwrap().fill_bytes
    };
    assert_eq!(of(crate::log::position::SEGMENT_BYTES), 256 << 10);
    assert_eq!(
        [of(1 << 40), of(SEGMENT_BYTES), of(1000)],
        [256 << 10, 4096, 1000]
    );
}

/// Lets the log take segments between the steps and compares them in the end.
fn take_after(steps: usize, prepare: impl Fn(&SimulatedDisk)) -> usize {
    let disk = SimulatedDisk::new(1);
    prepare(&disk);
    let spares = spares_of(&disk);
    let mut filler = filler(&spares);
    for _ in 0..steps {
        filler.step().unwrap();
    }
    let mut taken = 0;
    for number in 1..=3 {
        taken += usize::from(spares.ready_numbers().contains(&number));
        let segment = spares.take_or_create(number, SEGMENT_BYTES).unwrap();
        assert!(is_filled(&*segment), "it has its room, as a spare or not");
        segment.write_all_at(b"orders", 0).unwrap();
        filler.step().unwrap();
    }
    fill(&mut filler);
    for number in 1..=3 {
        let content = disk.content(&log_name(number)).unwrap();
        assert!(
            content.starts_with(b"orders"),
            "{number} after {steps} steps"
        );
    }
    for number in 4..=5 {
        assert!(
            is_filled(&*spares.take(number).unwrap()),
            "{number} after {steps} steps"
        );
    }
    assert!(!names(&disk).concat().contains("new"));
    taken
}

#[test]
fn a_segment_that_the_log_has_begun_is_never_touched_whenever_it_was() {
    let mut filled = BTreeSet::new();
    for steps in 0..60 {
        filled.insert(take_after(steps, |_| {}));
        take_after(steps, |disk| {
            // What an earlier process may have left: a spare, one that was written to, one that is not whole.
            for (name, content) in [
                (log_name(1), vec![0; 65536]),
                (log_name(2), vec![7; 65536]),
                (log_name(3), vec![0; 5000]),
                (new_name(4), vec![0; 9000]),
                (new_name(9), vec![7; 65536]),
                (log_name(5), vec![0; 65537]),
            ] {
                disk.create(&name)
                    .unwrap()
                    .write_all_at(&content, 0)
                    .unwrap();
            }
        });
    }
    assert_eq!(
        filled,
        BTreeSet::from([0, 1, 2]),
        "before one was ready, and after"
    );
}

#[test]
fn what_a_process_has_left_is_used_again_wherever_it_ended() {
    for seed in seeds(300) {
        let disk = SimulatedDisk::new(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        disk.set_plan(FaultPlan::default().stop_at(random.u64(1..100)));
        let spares = spares_of(&disk);
        let mut first = SpareFiller::new(spares, SEGMENT_BYTES).ok();
        while let Some(filler) = &mut first
            && filler
                .step()
                .is_ok_and(|status| status == FillerStatus::Busy)
        {}
        let left = if random.bool() {
            disk.crash()
        } else {
            disk.restart()
        };
        let spares = spares_of(&left);
        fill(&mut filler(&spares));
        for number in 1..=2 {
            assert!(is_filled(&*spares.take(number).unwrap()), "seed {seed}");
        }
        assert_eq!(names(&left), ["000001.log", "000002.log"]);
        // What is ready survives now, whatever of it was synced by the process before.
        let left = left.crash();
        for number in 1..=2 {
            assert!(
                is_filled(&*left.open(&log_name(number)).unwrap()),
                "seed {seed}"
            );
        }
    }
}

#[test]
fn what_is_ready_is_sound_whatever_fails() {
    let often = FaultTrigger::OneIn(20);
    let faults = [
        DiskFault::FailedRead,
        DiskFault::FailedWrite,
        DiskFault::FailedSync,
    ];
    let with_often = |plan: FaultPlan, fault| plan.with(fault, often.clone());
    let plan = faults.into_iter().fold(FaultPlan::default(), with_often);
    let mut failed = 0;
    for seed in seeds(100) {
        let disk = SimulatedDisk::new(seed);
        let spares = spares_of(&disk);
        let mut filler = filler(&spares);
        disk.set_plan(plan.clone());
        for number in 1..=5 {
            for _ in 0..30 {
                failed += usize::from(filler.step().is_err());
            }
            if spares.take(number).is_some() {
                let content = disk.content(&log_name(number)).unwrap();
                assert_eq!(content, vec![0; content.len()], "seed {seed}");
                assert_eq!(content.len() as u64, SEGMENT_BYTES, "seed {seed}");
            }
        }
        disk.set_plan(FaultPlan::default());
        fill(&mut filler);
        assert!(spares.ready() >= READY);
        let left = disk.crash();
        for number in 6..=7 {
            let file = left.open(&log_name(number)).unwrap();
            assert!(is_filled(&*file), "seed {seed}");
        }
    }
    assert!(failed > 100, "{failed}");
}

#[test]
fn a_spare_with_remains_is_made_blank_which_a_planted_fault_leaves_out() {
    let is_blank = || {
        let disk = SimulatedDisk::new(1);
        let file = disk.create(&log_name(1)).unwrap();
        file.write_all_at(&vec![7; 65536], 0).unwrap();
        let spares = spares_of(&disk);
        fill(&mut filler(&spares));
        is_filled(&*spares.take(1).unwrap())
    };
    assert!(is_blank());
    let _planted = plant(PlantedFault::SpareNotZeroed);
    assert!(!is_blank());
}

#[test]
fn a_full_disk_is_an_error_that_gives_the_space_back_and_passes() {
    let disk = SimulatedDisk::new(1);
    let spares = spares_of(&disk);
    let mut filler = filler(&spares);
    disk.set_plan(FaultPlan::default().capacity(SEGMENT_BYTES * 3 / 2));
    let error = loop {
        if let Err(error) = filler.step() {
            break error;
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(names(&disk), ["000001.log"]);
    assert!(spares.take(1).is_some() && spares.take(2).is_none());
    disk.set_plan(FaultPlan::default());
    fill(&mut filler);
    assert!(spares.take(3).is_some() && spares.take(4).is_some());
}

#[test]
fn a_segment_without_a_spare_has_its_room_or_is_not_begun() {
    for free in [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES] {
        let disk = SimulatedDisk::new(1);
        let spares = Spares::new(Arc::new(disk.clone()), 0);
        disk.set_plan(FaultPlan::default().capacity(free));
        let begun = spares.take_or_create(1, SEGMENT_BYTES);
        if free == SEGMENT_BYTES {
            let zeros = vec![7; usize::try_from(SEGMENT_BYTES).unwrap()];
            begun.unwrap().write_all_at(&zeros, 0).unwrap();
            continue;
        }
        assert_eq!(begun.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(names(&disk), [""; 0], "its room is given back");
        disk.set_plan(FaultPlan::default());
        assert!(is_filled(
            &*spares.take_or_create(1, SEGMENT_BYTES).unwrap()
        ));
    }
}

#[test]
fn a_spare_of_an_earlier_process_that_is_a_hole_gets_its_room() {
    use std::os::unix::fs::MetadataExt;
    let dir = TempDir::new().unwrap();
    let disk = DirectoryDisk::open(dir.path()).unwrap();
    let path = dir.path().join(log_name(1));
    let hole = std::fs::File::create(&path).unwrap();
    hole.set_len(SEGMENT_BYTES).unwrap();
    assert_eq!(hole.metadata().unwrap().blocks(), 0);
    let spares = Spares::new(Arc::new(disk), 0);
    spares.want();
    fill(&mut filler(&spares));
    assert!(spares.ready_numbers().contains(&1));
    assert!(hole.metadata().unwrap().blocks() * 512 >= SEGMENT_BYTES);
}

/// Otherwise the spares would have the room for which the log waits.
#[test]
fn a_spare_that_was_filled_since_an_attempt_has_failed_is_taken_for_the_next() {
    for seed in seeds(50) {
        let disk = SimulatedDisk::new(seed);
        let spares = spares_of(&disk);
        let mut filler = filler(&spares);
        disk.set_plan(FaultPlan::default().capacity(0));
        let begun = spares.take_or_create(1, SEGMENT_BYTES);
        assert_eq!(begun.unwrap_err().kind(), io::ErrorKind::StorageFull);
        // Room for two, and the filler is faster.
        disk.set_plan(FaultPlan::default().capacity(2 * SEGMENT_BYTES));
        fill(&mut filler);
        assert_eq!(spares.ready_numbers(), [2, 3]);
        for number in 1..=2 {
            let segment = spares.take_or_create(number, SEGMENT_BYTES).unwrap();
            assert!(is_filled(&*segment));
            segment.write_all_at(b"orders", 0).unwrap();
            segment.sync_data().unwrap();
        }
        assert_eq!(names(&disk), ["000001.log", "000002.log"]);
        let left = disk.crash();
        for number in 1..=2 {
            let content = left.content(&log_name(number)).unwrap();
            assert!(content.starts_with(b"orders"), "seed {seed}, {number}");
        }
        let begun = spares_of(&left).take_or_create(3, SEGMENT_BYTES);
        assert!(is_filled(&*begun.unwrap()));
    }
}

#[test]
fn the_thread_fills_reports_an_error_once_and_ends() {
    let dir = TempDir::new().unwrap();
    let disk = Arc::new(DirectoryDisk::open(dir.path()).unwrap());
    let spares = Spares::new(disk, 0);
    spares.want();
    let thread =
        SpareThread::start_reporting(filler(&spares), || {}, |error| panic!("{error}")).unwrap();
    for number in 1..5 {
        let spare = loop {
            // Not `take`: that would make the number the log's.
            if spares.state().ready.contains_key(&number) {
                break spares.take(number).unwrap();
            }
            std::thread::yield_now();
        };
        assert!(is_filled(&*spare));
    }
    drop(thread);

    let full = SimulatedDisk::new(1);
    full.set_plan(FaultPlan::default().capacity(1));
    let (sender, reports) = std::sync::mpsc::channel();
    let thread = SpareThread::start_reporting(
        filler(&spares_of(&full)),
        || {},
        move |error| {
            sender.send(error.kind()).unwrap();
        },
    );
    assert_eq!(reports.recv().unwrap(), io::ErrorKind::StorageFull);
    drop(thread);
    assert!(reports.recv().is_err(), "once");
}

#[test]
fn no_spare_is_filled_before_it_is_wanted() {
    let disk = SimulatedDisk::new(1);
    let spares = Spares::new(Arc::new(disk.clone()), 1);
    let mut filler = SpareFiller::new(Arc::clone(&spares), SEGMENT_BYTES).unwrap();
    assert_eq!(filler.step().unwrap(), FillerStatus::Done);
    assert_eq!(disk.list().unwrap(), [""; 0]);
    spares.want();
    while filler.step().unwrap() == FillerStatus::Busy {}
    assert_eq!(spares.ready(), READY);
}
