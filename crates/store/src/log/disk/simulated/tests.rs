use super::*;

const NAME: &str = "file";

fn seeds() -> impl Iterator<Item = u64> {
    testkit::seeds::seeds(200)
}

/// A disk with a file of so many sectors, synced, each filled with 1.
fn filled(seed: u64, sectors: usize) -> (SimulatedDisk, Arc<dyn DiskFile>) {
    let disk = SimulatedDisk::new(seed);
    let file = disk.create(NAME).unwrap();
    disk.sync().unwrap();
    file.write_all_at(&vec![1; sectors * SECTOR], 0).unwrap();
    file.sync_data().unwrap();
    (disk, file)
}

/// The byte that each sector is filled with.
fn fills(disk: &SimulatedDisk) -> Vec<u8> {
    let content = disk.content(NAME).unwrap();
    content
        .chunks(SECTOR)
        .map(|sector| {
            assert!(
                sector.iter().all(|byte| *byte == sector[0]),
                "a torn sector"
            );
            sector[0]
        })
        .collect()
}

#[test]
fn a_crash_leaves_what_was_synced_and_of_every_other_sector_one_of_its_versions() {
    for seed in seeds() {
        let sectors = 40;
        let (disk, file) = filled(seed, sectors);
        // What every sector has been since the last sync.
        let mut versions = vec![vec![1]; sectors];
        let mut random = fastrand::Rng::with_seed(seed);
        for value in 2..20 {
            let first = random.usize(0..sectors);
            let count = random.usize(1..=sectors - first);
            let bytes = vec![value; count * SECTOR];
            file.write_all_at(&bytes, (first * SECTOR) as u64).unwrap();
            for sector in &mut versions[first..first + count] {
                sector.push(value);
            }
            if random.u8(0..6) == 0 {
                file.sync_data().unwrap();
                for sector in &mut versions {
                    sector.drain(..sector.len() - 1);
                }
            }
        }
        let left = fills(&disk.crash());
        assert_eq!(left.len(), sectors);
        for (sector, (left, versions)) in left.iter().zip(&versions).enumerate() {
            assert!(
                versions.contains(left),
                "seed {seed}, sector {sector}: {left} of {versions:?}"
            );
        }
    }
}

#[test]
fn what_was_not_synced_is_lost_kept_or_torn_and_later_writes_may_outlive_earlier_ones() {
    let (mut kept, mut lost, mut by_sector, mut by_block, mut reordered) = (0, 0, 0, 0, 0);
    for seed in seeds() {
        let (disk, file) = filled(seed, 16);
        file.write_all_at(&[2; 8 * SECTOR], 0).unwrap();
        file.write_all_at(&[3; 8 * SECTOR], 8 * SECTOR as u64)
            .unwrap();
        let left = fills(&disk.crash());
        let is_whole = |half: &[u8]| half.iter().all(|fill| *fill == half[0]);
        match (left[0], left[8]) {
            _ if !is_whole(&left[..8]) || !is_whole(&left[8..]) => by_sector += 1,
            (1, 1) => lost += 1,
            (2, 3) => kept += 1,
            (1, 3) => reordered += 1,
            _ => by_block += 1,
        }
    }
    let counts = [kept, lost, by_sector, by_block, reordered];
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

#[test]
fn a_length_that_was_not_synced_is_an_old_or_a_new_one_and_what_is_missing_is_zero() {
    let mut lengths = BTreeSet::new();
    let mut has_hole = false;
    for seed in seeds() {
        let (disk, file) = filled(seed, 1);
        for sector in 1..4 {
            let bytes = [2; SECTOR];
            file.write_all_at(&bytes, sector * SECTOR as u64).unwrap();
        }
        let left = fills(&disk.crash());
        assert_eq!(left[0], 1);
        assert!(
            left[1..].iter().all(|fill| [0, 2].contains(fill)),
            "{left:?}"
        );
        has_hole |= left.ends_with(&[0, 2]);
        lengths.insert(left.len());
    }
    assert_eq!(lengths, BTreeSet::from([1, 2, 3, 4]));
    assert!(has_hole);
}

#[test]
fn a_file_that_is_emptied_and_written_anew_never_mixes_old_and_new() {
    let mut seen = BTreeSet::new();
    for seed in seeds() {
        let (disk, _) = filled(seed, 4);
        let file = disk.create(NAME).unwrap();
        file.write_all_at(&[2; 2 * SECTOR], 0).unwrap();
        let left = fills(&disk.crash());
        assert!(
            left == [1; 4] || left.iter().all(|fill| [0, 2].contains(fill)),
            "{left:?}"
        );
        seen.insert(left);
    }
    for outcome in [&[1, 1, 1, 1][..], &[], &[2, 2], &[0, 2]] {
        assert!(seen.contains(outcome), "{outcome:?} of {seen:?}");
    }
}

#[test]
fn names_survive_a_crash_once_they_are_synced_and_may_be_lost_before() {
    let mut seen = BTreeSet::new();
    for seed in seeds() {
        let (disk, _) = filled(seed, 1);
        let made = disk.create("made").unwrap();
        made.sync_data().unwrap();
        disk.rename(NAME, "renamed").unwrap();
        let crashed = disk.crash();
        let names: Vec<_> = crashed.list().unwrap();
        let has = |name: &str| names.iter().any(|other| other == name);
        assert!(
            has(NAME) != has("renamed"),
            "a rename is not torn: {names:?}"
        );
        seen.insert((has("made"), has("renamed")));
        crashed.create("second").unwrap();
        crashed.sync().unwrap();
        let names = crashed.list().unwrap();
        assert_eq!(crashed.crash().list().unwrap(), names);
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn a_removed_file_may_come_back_whole() {
    let mut came_back = 0;
    for seed in seeds() {
        let (disk, file) = filled(seed, 2);
        disk.remove(NAME).unwrap();
        drop(file);
        let crashed = disk.crash();
        if crashed.content(NAME).is_some() {
            came_back += 1;
            assert_eq!(fills(&crashed), [1, 1]);
        }
    }
    assert!(came_back > 5 && came_back < 195, "{came_back}");
}

#[test]
fn a_restart_loses_nothing_and_open_files_are_dead_after_it_as_after_a_crash() {
    for seed in seeds().take(20) {
        let (disk, file) = filled(seed, 2);
        file.write_all_at(&[2; SECTOR], 0).unwrap();
        disk.create("made").unwrap();
        let restarted = disk.restart();
        assert_eq!(fills(&restarted), [2, 1]);
        assert_eq!(restarted.list().unwrap(), [NAME, "made"]);
        assert!(disk.has_stopped() && !restarted.has_stopped());
        for dead in [file.sync_data(), disk.sync(), file.write_all_at(&[3], 0)] {
            assert!(dead.unwrap_err().to_string().contains("has stopped"));
        }
        assert_eq!(fills(&restarted), [2, 1]);
        assert!(disk.open(NAME).is_err());
    }
}

#[test]
fn a_disk_stops_at_any_call_and_that_call_may_have_its_effect() {
    let mut effects = BTreeSet::new();
    for seed in seeds() {
        let (disk, file) = filled(seed, 1);
        disk.set_plan(FaultPlan::default().stop_at(disk.calls() + 2));
        file.len().unwrap();
        file.write_all_at(&[2; SECTOR], 0).unwrap_err();
        file.len().unwrap_err();
        assert!(disk.has_stopped());
        effects.insert(fills(&disk.restart()));
    }
    assert_eq!(effects, BTreeSet::from([vec![1], vec![2]]));
}

#[test]
fn after_a_failed_sync_a_later_one_makes_nothing_durable() {
    let mut left = BTreeSet::new();
    for seed in seeds() {
        let (disk, file) = filled(seed, 2);
        file.write_all_at(&[2; 2 * SECTOR], 0).unwrap();
        let trigger = FaultTrigger::At(vec![disk.calls() + 1]);
        disk.set_plan(FaultPlan::default().with(DiskFault::FailedSync, trigger));
        let error = file.sync_data().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()));
        file.sync_data().unwrap();
        assert_eq!(fills(&disk), [2, 2], "the page cache has it");
        disk.sync().unwrap();
        left.insert(fills(&disk.crash()));
    }
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn a_failed_sync_of_names_makes_some_durable() {
    let mut left = BTreeSet::new();
    for seed in seeds() {
        let disk = SimulatedDisk::new(seed);
        let trigger = FaultTrigger::At(vec![2]);
        disk.set_plan(FaultPlan::default().with(DiskFault::FailedSync, trigger));
        disk.create(NAME).unwrap();
        disk.sync().unwrap_err();
        disk.sync().unwrap();
        left.insert(disk.crash().list().unwrap().len());
    }
    assert_eq!(left, BTreeSet::from([0, 1]));
}

#[test]
fn an_ignored_sync_reports_success_and_a_real_one_makes_up_for_it() {
    let mut left = BTreeSet::new();
    for seed in seeds() {
        for later in [false, true] {
            let (disk, file) = filled(seed, 1);
            let trigger = FaultTrigger::At(vec![disk.calls() + 2]);
            disk.set_plan(FaultPlan::default().with(DiskFault::IgnoredSync, trigger));
            file.write_all_at(&[2; SECTOR], 0).unwrap();
            file.sync_data().unwrap();
            assert_eq!(disk.occurred(DiskFault::IgnoredSync), 1);
            if later {
                file.sync_data().unwrap();
            }
            left.insert((later, fills(&disk.crash())));
        }
    }
    let expected = [(false, vec![1]), (false, vec![2]), (true, vec![2])];
    assert_eq!(left, BTreeSet::from(expected));
}

#[test]
fn a_misdirected_write_is_seen_on_the_medium_only_where_it_landed() {
    let (mut elsewhere, mut in_another) = (0, 0);
    for seed in seeds() {
        let (disk, file) = filled(seed, 8);
        let other = disk.create("other").unwrap();
        other.write_all_at(&[1; 8 * SECTOR], 0).unwrap();
        other.sync_data().unwrap();
        let trigger = FaultTrigger::At(vec![disk.calls() + 1]);
        disk.set_plan(FaultPlan::default().with(DiskFault::MisdirectedWrite, trigger));
        file.write_all_at(&[2; SECTOR], 3 * SECTOR as u64).unwrap();
        file.sync_data().unwrap();
        assert_eq!(fills(&disk), [1, 1, 1, 2, 1, 1, 1, 1]);
        disk.drop_caches();
        let (here, other) = (fills(&disk), disk.content("other").unwrap());
        assert_eq!(here[3], 1, "where it belongs, nothing has changed");
        let landed = here.contains(&2);
        elsewhere += usize::from(landed);
        if other != [1; 8 * SECTOR] {
            in_another += 1;
            // At the same sector, or where a write has begun before.
            let mut expected = [1; 8 * SECTOR];
            let at = if other[0] == 2 { 0 } else { 3 * SECTOR };
            expected[at..at + SECTOR].fill(2);
            assert!(other == expected);
        }
        assert_ne!(landed, other != [1; 8 * SECTOR]);
    }
    assert!(elsewhere > 5 && in_another > 5, "{elsewhere} {in_another}");
}

#[test]
fn rot_flips_one_bit_of_what_is_read_for_good() {
    for seed in seeds() {
        let (disk, file) = filled(seed, 4);
        let trigger = FaultTrigger::At(vec![disk.calls() + 1]);
        disk.set_plan(FaultPlan::default().with(DiskFault::BitRot, trigger));
        let mut read = [0; SECTOR];
        file.read_exact_at(&mut read, SECTOR as u64).unwrap();
        let flipped: u32 = read.iter().map(|byte| (byte ^ 1).count_ones()).sum();
        assert_eq!(flipped, 1);
        let content = disk.crash().content(NAME).unwrap();
        assert_eq!(content[SECTOR..2 * SECTOR], read);
    }
}

#[test]
fn a_full_disk_takes_what_fits_and_overwriting_needs_no_room() {
    let (disk, file) = filled(1, 2);
    disk.set_plan(FaultPlan::default().capacity(3 * SECTOR as u64));
    file.write_all_at(&[2; 2 * SECTOR], 0).unwrap();
    let error = file.write_all_at(&[3; 2 * SECTOR], 2 * SECTOR as u64);
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(fills(&disk), [2, 2, 3]);
    assert_eq!(disk.occurred(DiskFault::FullDisk), 1);
    disk.remove(NAME).unwrap();
    let other = disk.create("other").unwrap();
    other.write_all_at(&[1], 0).unwrap_err();
    drop(file);
    other.write_all_at(&[1], 0).unwrap();
}

#[test]
fn a_failed_write_has_written_some_of_its_bytes() {
    let mut written = BTreeSet::new();
    for seed in seeds() {
        let disk = SimulatedDisk::new(seed);
        let file = disk.create(NAME).unwrap();
        disk.set_plan(FaultPlan::default().with(DiskFault::FailedWrite, FaultTrigger::OneIn(1)));
        file.write_all_at(&[2; 3], 0).unwrap_err();
        written.insert(disk.content(NAME).unwrap());
    }
    let expected = [vec![], vec![2], vec![2, 2], vec![2, 2, 2]];
    assert_eq!(written, BTreeSet::from(expected));
}

/// Makes calls by chance, with all faults, crashes and restarts; answers what every call answered.
fn random_run(seed: u64, plan: &FaultPlan) -> (Vec<String>, SimulatedDisk) {
    let mut disk = SimulatedDisk::new(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut answers = Vec::new();
    for _ in 0..100 {
        disk.set_plan(plan.clone());
        let name = ["a", "b"][random.usize(0..2)];
        let file = disk.open(name).or_else(|_| disk.create(name));
        let (offset, bytes) = (
            random.u64(0..9000),
            vec![random.u8(..); random.usize(..9000)],
        );
        match (random.u8(0..20), file) {
            (0, _) => disk = disk.crash(),
            (1, _) => disk = disk.restart(),
            (2, _) => answers.push(format!("{:?}", disk.rename("a", "b"))),
            (3, _) => answers.push(format!("{:?}", disk.remove(name))),
            (4 | 5, _) => answers.push(format!("{:?}", disk.sync())),
            (_, Err(error)) => answers.push(error.to_string()),
            (6..10, Ok(file)) => answers.push(format!("{:?}", file.sync_data())),
            (10..13, Ok(file)) => {
                let mut bytes = bytes;
                let read = file.read_exact_at(&mut bytes, offset);
                answers.push(format!("{read:?} {bytes:?}"));
            }
            (_, Ok(file)) => answers.push(format!("{:?}", file.write_all_at(&bytes, offset))),
        }
    }
    (answers, disk)
}

const CHANCES: [DiskFault; 7] = [
    DiskFault::FailedRead,
    DiskFault::FailedWrite,
    DiskFault::FailedSync,
    DiskFault::IgnoredSync,
    DiskFault::BitRot,
    DiskFault::MisdirectedWrite,
    DiskFault::SlowCall,
];

#[test]
fn the_same_seed_has_the_same_result() {
    let one_in_ten = |plan: FaultPlan, fault| plan.with(fault, FaultTrigger::OneIn(10));
    let plan = CHANCES
        .into_iter()
        .fold(FaultPlan::default().capacity(15_000), one_in_ten);
    let mut last = None;
    for seed in seeds().take(20) {
        let [(answers, disk), (again, disk_again)] =
            [random_run(seed, &plan), random_run(seed, &plan)];
        assert_eq!(answers, again);
        for name in ["a", "b"] {
            assert_eq!(disk.content(name), disk_again.content(name));
        }
        assert_eq!(disk.elapsed(), disk_again.elapsed());
        assert_ne!(
            last.replace(answers),
            Some(again),
            "another seed, another result"
        );
    }
}

#[test]
fn each_fault_occurs_alone_and_none_without_a_plan() {
    for seed in seeds().take(5) {
        for fault in CHANCES {
            let plan = FaultPlan::default().with(fault, FaultTrigger::OneIn(5));
            let (_, disk) = random_run(seed, &plan);
            for other in CHANCES {
                assert_eq!(
                    disk.occurred(other) > 0,
                    other == fault,
                    "{other:?} with {fault:?}"
                );
            }
        }
        let (_, full) = random_run(seed, &FaultPlan::default().capacity(10_000));
        assert!(full.occurred(DiskFault::FullDisk) > 0);
        let (_, sound) = random_run(seed, &FaultPlan::default());
        assert!(CHANCES.into_iter().all(|fault| sound.occurred(fault) == 0));
        assert!(sound.occurred(DiskFault::FullDisk) == 0 && sound.elapsed() < SLOW_CALL);
    }
}
