//! What every disk does, and that the simulated one does what the real one does.

use tempfile::TempDir;

use super::*;

/// Runs a test with an empty directory of either disk.
fn on_each_disk(test: impl Fn(&dyn Disk)) {
    let dir = TempDir::new().unwrap();
    test(&DirectoryDisk::open(dir.path()).unwrap());
    test(&SimulatedDisk::new(1));
}

fn names(disk: &dyn Disk) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.sort_unstable();
    names
}

fn content(file: &dyn DiskFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn a_file_has_the_name_it_was_given_last() {
    on_each_disk(|disk| {
        for missing in [
            disk.open("a").map(drop),
            disk.rename("a", "b"),
            disk.remove("a"),
        ] {
            assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        let (a, b) = (disk.create("a").unwrap(), disk.create("b").unwrap());
        a.write_all_at(b"of a", 0).unwrap();
        disk.rename("a", "b").unwrap();
        disk.sync().unwrap();
        assert_eq!(names(disk), ["b"]);
        assert_eq!(content(&*disk.open("b").unwrap()), b"of a");
        assert!(a.is_linked().unwrap() && !b.is_linked().unwrap());
        disk.remove("b").unwrap();
        assert!(names(disk).is_empty() && !a.is_linked().unwrap());
        assert_eq!(content(&*a), b"of a", "an open file outlives its name");
    });
}

#[test]
fn a_file_has_the_bytes_that_were_written_last_and_zeros_between() {
    on_each_disk(|disk| {
        let file = disk.create("a").unwrap();
        file.write_all_at(b"behind", 6).unwrap();
        file.write_all_at(b"before", 2).unwrap();
        file.sync_data().unwrap();
        assert_eq!(content(&*file), b"\0\0beforehind");
        let beyond = file.read_exact_at(&mut [0; 2], 11).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
        disk.create("a").unwrap().write_all_at(b"new", 0).unwrap();
        assert_eq!(content(&*file), b"new", "one of that name is emptied");
    });
}

#[test]
fn a_file_with_room_has_zeros_behind_its_content_and_never_gets_shorter() {
    on_each_disk(|disk| {
        let file = disk.create("a").unwrap();
        file.write_all_at(b"content", 0).unwrap();
        for (reserved, length) in [(5, 7), (9, 9), (4, 9)] {
            file.reserve(reserved).unwrap();
            assert_eq!(file.len().unwrap(), length);
        }
        assert_eq!(content(&*file), b"content\0\0");
    });
}

/// One call by chance, and what it answers.
fn random_call(disk: &dyn Disk, random: &mut fastrand::Rng) -> String {
    let (name, other) = (random.choice(["a", "b", "c"]), random.choice(["b", "d"]));
    let (name, other) = (name.unwrap(), other.unwrap());
    let (offset, length) = (random.u64(0..3000), random.usize(0..3000));
    let file = disk.open(name);
    match (random.u8(0..12), file) {
        (0, _) => format!("{:?}", names(disk)),
        (1 | 2, _) => format!("{:?}", disk.create(name).map(drop)),
        (3, _) => format!(
            "{:?}",
            disk.rename(name, other).map_err(|error| error.kind())
        ),
        (4, _) => format!("{:?}", disk.remove(name).map_err(|error| error.kind())),
        (5, _) => format!("{:?}", disk.sync()),
        (_, Err(missing)) => format!("{:?}", missing.kind()),
        (6, Ok(file)) => format!("{:?} {:?}", file.sync_data(), file.is_linked()),
        (7 | 8, Ok(file)) => {
            let mut bytes = vec![0; length];
            let read = file.read_exact_at(&mut bytes, offset);
            format!("{:?}", read.map(|()| bytes).map_err(|error| error.kind()))
        }
        (_, Ok(file)) => {
            let bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            let written = file.write_all_at(&bytes, offset);
            format!("{written:?} {:?}", file.len())
        }
    }
}

#[test]
fn without_faults_the_simulated_disk_answers_like_the_real_one() {
    for seed in testkit::seeds::seeds(20) {
        let dir = TempDir::new().unwrap();
        let real = DirectoryDisk::open(dir.path()).unwrap();
        let mut simulated = SimulatedDisk::new(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        for call in 0..200 {
            if random.u8(0..20) == 0 {
                simulated = simulated.restart();
            }
            let expected = random_call(&real, &mut random.clone());
            let answer = random_call(&simulated, &mut random);
            assert_eq!(answer, expected, "seed {seed}, call {call}");
        }
    }
}
