use std::fs;

use super::*;
use crate::Store as _;
use crate::log::fixtures::{self, Fixture, contents, flip, orders_in, scratch};

fn backup(from: &Path, to: &Path) -> Result<BackupReport, BackupError> {
    let source = BackupSource::open(from)?;
    let manifest = source.manifest()?;
    create_backup(
        to,
        &manifest,
        &mut |extent| source.read(extent).map_err(Into::into),
        &mut |progress| assert!(progress.done <= progress.all),
    )
}

fn restore(from: &Path, to: &Path) -> Result<Verification, BackupError> {
    restore_with(from, to, fixtures::SEGMENT_BYTES, &mut |progress| {
        assert!(progress.done <= progress.all);
    })
}

#[test]
fn a_restored_backup_has_the_orders_and_goes_on_from_there() {
    let fixture = Fixture::with_orders(200);
    let (copy, restored) = (scratch(), scratch());
    let report = backup(fixture.dir(), copy.path()).unwrap();
    assert_eq!(report.verification.orders, 200);
    restore(copy.path(), restored.path()).unwrap();
    assert_eq!(orders_in(restored.path(), &fixture.orders), fixture.orders);
    // A backup is a store itself.
    assert_eq!(orders_in(copy.path(), &fixture.orders), fixture.orders);
    let error = restore(copy.path(), restored.path()).unwrap_err();
    assert!(matches!(error, BackupError::StoreThere(_)), "{error}");
}

/// All files of a directory with their content.
fn files_in(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_in(&path));
        } else {
            let content = fs::read(&path).unwrap();
            files.push((path, content));
        }
    }
    files.sort();
    files
}

#[test]
fn a_data_directory_is_never_overwritten_by_a_backup() {
    let mut fixture = Fixture::with_orders(100);
    let (older, link) = (scratch(), scratch());
    backup(fixture.dir(), older.path()).unwrap();
    let store = fixture.open();
    fixture.place_in(&store, 60);
    let dir = fixture.dir();
    let linked = link.path().join("link");
    std::os::unix::fs::symlink(dir, &linked).unwrap();
    // A store that is in use prepares segments meanwhile.
    drop(store);
    let before = files_in(dir);
    // The store itself, under another name, and from an older copy: source and target were exchanged.
    for (from, to) in [(dir, dir), (dir, &*linked), (older.path(), dir)] {
        let error = backup(from, to).unwrap_err();
        assert!(matches!(error, BackupError::DataDirectory(_)), "{error}");
    }
    for inside in [dir.join(SEGMENTS), dir.join("new"), linked.join(SEGMENTS)] {
        let error = backup(dir, &inside).unwrap_err();
        assert!(matches!(error, BackupError::InsideStore { .. }), "{error}");
    }
    assert!(files_in(dir) == before);
    assert_eq!(orders_in(dir, &fixture.orders), fixture.orders);
}

#[test]
fn a_backup_with_more_changes_than_the_store_is_left_alone() {
    let mut fixture = Fixture::with_orders(100);
    let (older, newer, restored) = (scratch(), scratch(), scratch());
    backup(fixture.dir(), older.path()).unwrap();
    let store = fixture.open();
    fixture.place_in(&store, 60);
    backup(fixture.dir(), newer.path()).unwrap();
    restore(older.path(), restored.path()).unwrap();
    let before = files_in(newer.path());
    let error = backup(restored.path(), newer.path()).unwrap_err();
    let (there, here) = (160, 100);
    assert!(
        matches!(&error, BackupError::NewerBackup { there: t, here: h, .. } if (*t, *h) == (there, here)),
        "{error}"
    );
    assert!(files_in(newer.path()) == before);
}

#[test]
fn a_backup_that_a_server_was_started_on_is_a_data_directory() {
    let fixture = Fixture::with_orders(100);
    let copy = scratch();
    backup(fixture.dir(), copy.path()).unwrap();
    backup(fixture.dir(), copy.path()).unwrap();
    assert_eq!(orders_in(copy.path(), &fixture.orders), fixture.orders);
    let error = backup(fixture.dir(), copy.path()).unwrap_err();
    assert!(matches!(error, BackupError::DataDirectory(_)), "{error}");
}

#[test]
fn a_store_is_backed_up_while_it_is_written_and_each_time_only_what_is_new() {
    let mut fixture = Fixture::with_orders(100);
    let copy = scratch();
    let store = fixture.open();
    for _ in 0..4 {
        fixture.place_in(&store, 60);
        let report = backup(fixture.dir(), copy.path()).unwrap();
        let changes = fixture.orders.len() as u64;
        assert_eq!(report.verification.changes, changes);
        let again = backup(fixture.dir(), copy.path()).unwrap();
        assert_eq!((again.copied, again.verification), (0, report.verification));
    }
    drop(store);
    let restored = scratch();
    restore(copy.path(), restored.path()).unwrap();
    assert_eq!(orders_in(restored.path(), &fixture.orders), fixture.orders);
}

#[test]
fn a_damaged_copy_of_a_segment_is_copied_again_and_a_damaged_source_is_refused() {
    let fixture = Fixture::with_orders(200);
    let copy = scratch();
    backup(fixture.dir(), copy.path()).unwrap();
    let there = copy.path().join(SEGMENTS).join(log_name(2));
    flip(&there, 5000);
    let restored = scratch();
    let error = restore(copy.path(), restored.path()).unwrap_err();
    assert!(matches!(error, BackupError::Damaged(_, findings) if findings.len() == 1));
    assert!(!LogStore::is_in(restored.path()));
    assert_eq!(backup(fixture.dir(), copy.path()).unwrap().copied, 1);

    fs::remove_file(&there).unwrap();
    flip(&fixture.segment(2), 5000);
    let error = backup(fixture.dir(), copy.path()).unwrap_err();
    assert!(matches!(error, BackupError::Unverified(2)), "{error}");
}

#[test]
fn the_backup_of_another_store_is_left_alone() {
    let (one, other) = (Fixture::with_orders(100), Fixture::with_orders(100));
    let copy = scratch();
    backup(one.dir(), copy.path()).unwrap();
    let before = contents(copy.path());
    let error = backup(other.dir(), copy.path()).unwrap_err();
    assert!(matches!(error, BackupError::OtherStore(_)), "{error}");
    assert_eq!(contents(copy.path()), before);
}

#[test]
fn a_restoration_that_was_interrupted_never_looks_like_a_store_and_is_begun_again() {
    let fixture = Fixture::with_orders(100);
    let (copy, restored) = (scratch(), scratch());
    backup(fixture.dir(), copy.path()).unwrap();
    // Both states between the first and the last step.
    fs::create_dir(restored.path().join(RESTORING)).unwrap();
    for has_number in [false, true] {
        if has_number {
            write_watermark(restored.path(), 100).unwrap();
            let error = LogStore::open(restored.path(), 1).unwrap_err();
            assert!(matches!(error, OpenError::ChangesMissing { .. }), "{error}");
        }
        let there = restored.path().join(SEGMENTS);
        restore(copy.path(), restored.path()).unwrap();
        assert!(!restored.path().join(RESTORING).exists());
        fs::rename(there, restored.path().join(RESTORING)).unwrap();
        fs::remove_file(restored.path().join(WATERMARK)).unwrap();
    }
}

#[test]
fn where_nothing_was_written_there_is_no_backup() {
    let empty = scratch();
    fs::create_dir(empty.path().join(SEGMENTS)).unwrap();
    let error = backup(empty.path(), scratch().path()).unwrap_err();
    assert!(matches!(error, BackupError::Empty(_)), "{error}");
}

/// The text that only the orders of a user have.
fn has_text(dir: &Path, text: &str) -> bool {
    let files = contents(dir);
    files.iter().any(|(_, content)| {
        content
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    })
}

#[test]
fn a_backup_beside_an_erasure_is_made_with_a_later_manifest_and_has_nothing_of_the_person() {
    let mut fixture = Fixture::with_orders(60);
    let copy = scratch();
    backup(fixture.dir(), copy.path()).unwrap();
    fixture.place_of("user to erase", 3);
    let store = fixture.open();
    let source = BackupSource::open(fixture.dir()).unwrap();
    let create = |manifest: &BackupManifest| {
        let fetch = &mut |extent: &SegmentExtent| source.read(extent).map_err(Into::into);
        create_backup(copy.path(), manifest, fetch, &mut |_| {})
    };
    let before = source.manifest().unwrap();
    create(&before).unwrap();
    assert!(has_text(copy.path(), "user to erase"));
    let erased = fixture.run(async { store.erase_person(&"user to erase".into()).await });
    assert_eq!(erased.unwrap(), 3);
    // Its segments are copied again as they are now, and its record is not in them.
    fs::remove_file(
        copy.path()
            .join(SEGMENTS)
            .join(log_name(before.segments.len() as u64)),
    )
    .unwrap();
    let error = create(&before).unwrap_err();
    assert!(error.may_be_erasure(), "{error}");
    let report = create(&source.manifest().unwrap()).unwrap();
    assert_eq!(report.verification.unfinished, 0);
    assert!(!has_text(copy.path(), "user to erase"));
    // Other damage is none of an erasure.
    flip(&copy.path().join(SEGMENTS).join(log_name(1)), 4096 + 64);
    let error = verify_copy(copy.path(), &mut |_| {}).unwrap_err();
    assert!(!error.may_be_erasure(), "{error}");
}

#[test]
fn segments_of_an_earlier_backup_are_erased_when_it_is_brought_up_to_date() {
    let mut fixture = Fixture::with_orders(1);
    fixture.place_of("user to erase", 3);
    fixture.place(200);
    let (copy, restored) = (scratch(), scratch());
    backup(fixture.dir(), copy.path()).unwrap();
    let store = fixture.open();
    let erased = fixture.run(async { store.erase_person(&"user to erase".into()).await });
    assert_eq!(erased.unwrap(), 3);
    drop(store);
    let report = backup(fixture.dir(), copy.path()).unwrap();
    assert_eq!(report.copied, 1, "only the segment in use");
    assert!(!has_text(copy.path(), "user to erase"));
    restore(copy.path(), restored.path()).unwrap();
    assert!(!has_text(restored.path(), "user to erase"));
    assert_eq!(orders_in(restored.path(), &fixture.orders), fixture.orders);
}
