//! Directories that cannot be used, belong to another process, or have lost files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    Caller, Outcomes, assert_recovers, assert_store_failure_reported, is_store_failure, program,
    stop,
};
use crate::support::process::Program;

/// Every file in a directory, with its bytes, and every directory.
pub(super) fn files(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.append(&mut files(&path));
            all.insert(path, None);
        } else {
            let bytes = fs::read(&path).unwrap();
            all.insert(path, Some(bytes));
        }
    }
    all
}

/// The program without the capabilities that let root ignore permissions.
fn without_privilege() -> Program {
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        Program::under(
            "setpriv",
            &["--bounding-set=-dac_override,-dac_read_search".to_owned()],
        )
    } else {
        Program::new()
    }
}

/// Removes all write permissions below a directory, or restores those of the owner.
fn set_writable(dir: &Path, writable: bool) {
    for (path, bytes) in files(dir).into_iter().chain([(dir.to_owned(), None)]) {
        let mode = if bytes.is_some() { 0o400 } else { 0o500 };
        let mode = if writable { mode | 0o200 } else { mode };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// A store with two orders, and their outcomes.
async fn store() -> (TempDir, Outcomes) {
    let dir = TempDir::new().unwrap();
    let server = program(Program::new(), dir.path()).start().await;
    let outcomes = Outcomes::of(&Caller::of(&server).await, 0..2).await;
    assert_eq!(server.stop().await.code(), 0);
    (dir, outcomes)
}

/// Fails unless the program exits with an error of these words and leaves `parent` unchanged.
async fn assert_rejected(program: Program, data_dir: &Path, parent: &Path, words: &[&str]) {
    let before = files(parent);
    let ended = program.with_store(data_dir).run().await;
    assert_eq!(ended.code(), 74, "{}", ended.text());
    let line = ended
        .log()
        .filter(|line| line["level"] == "ERROR")
        .last()
        .expect("a line in the log");
    let error = line["error"].as_str().unwrap();
    assert!(
        words.iter().all(|word| error.contains(word)),
        "{words:?} in {error}"
    );
    assert!(
        files(parent) == before,
        "something has changed in {}",
        parent.display()
    );
}

#[tokio::test]
async fn a_read_only_directory_is_rejected() {
    let empty = TempDir::new().unwrap();
    set_writable(empty.path(), false);
    let words = [empty.path().to_str().unwrap(), "Permission denied"];
    assert_rejected(without_privilege(), empty.path(), empty.path(), &words).await;
    assert_rejected(
        without_privilege(),
        &empty.path().join("new"),
        empty.path(),
        &words,
    )
    .await;
    set_writable(empty.path(), true);

    let (dir, outcomes) = store().await;
    set_writable(dir.path(), false);
    let words = [dir.path().to_str().unwrap(), "Permission denied"];
    assert_rejected(without_privilege(), dir.path(), dir.path(), &words).await;
    set_writable(dir.path(), true);
    assert_recovers(dir.path(), &outcomes).await;
}

#[tokio::test]
async fn a_file_is_rejected_as_a_directory() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "a letter").unwrap();
    for data_dir in [file.clone(), file.join("below")] {
        assert_rejected(
            Program::new(),
            &data_dir,
            dir.path(),
            &[data_dir.to_str().unwrap()],
        )
        .await;
    }
}

#[tokio::test]
async fn a_directory_without_a_store_is_not_overwritten() {
    let dir = TempDir::new().unwrap();
    let orders = dir.path().join("orders");
    fs::create_dir(&orders).unwrap();
    fs::write(orders.join("0.jnl"), "a diary").unwrap();
    fs::write(dir.path().join("acknowledged"), "").unwrap();
    assert_rejected(
        Program::new(),
        dir.path(),
        dir.path(),
        &[orders.to_str().unwrap(), "not a store"],
    )
    .await;
}

#[tokio::test]
async fn a_missing_path_is_created() {
    let dir = TempDir::new().unwrap();
    let data_dir = dir.path().join("not/there/yet");
    assert_eq!(
        Program::new()
            .with_store(&data_dir)
            .start()
            .await
            .stop()
            .await
            .code(),
        0
    );
    assert_recovers(&data_dir, &Outcomes::default()).await;
}

#[tokio::test]
async fn a_store_without_any_one_file_is_rejected() {
    let (dir, outcomes) = store().await;
    // The next start removes manifests that are no longer current.
    assert_recovers(dir.path(), &outcomes).await;
    let watermark = dir.path().join("acknowledged");
    let mut rejections = 0;
    for (path, bytes) in files(dir.path()) {
        let Some(bytes) = bytes.filter(|_| path != watermark) else {
            continue;
        };
        fs::remove_file(&path).unwrap();
        assert_rejected(
            Program::new(),
            dir.path(),
            dir.path(),
            &["the store cannot be opened"],
        )
        .await;
        fs::write(&path, bytes).unwrap();
        rejections += 1;
    }
    assert!(rejections >= 7, "{rejections}");
    // Without the watermark, the store opens in its present state.
    fs::remove_file(&watermark).unwrap();
    assert_recovers(dir.path(), &outcomes).await;
}

#[tokio::test]
async fn a_data_directory_has_one_process() {
    let dir = TempDir::new().unwrap();
    let first = program(Program::new(), dir.path()).start().await;
    let caller = Caller::of(&first).await;
    let mut outcomes = Outcomes::of(&caller, 0..1).await;
    let second = Program::new().with_store(dir.path()).run().await;
    assert_eq!(second.code(), 74, "{}", second.text());
    assert!(
        second.text().contains("another process has it open"),
        "{}",
        second.text()
    );
    let more = Outcomes::of(&caller, 1..4).await;
    assert!(more.rejected.is_empty(), "{more:?}");
    outcomes.acknowledged.extend(more.acknowledged);
    assert_eq!(first.stop().await.code(), 0);
    assert_recovers(dir.path(), &outcomes).await;
}

/// The modes of the directories, the outer one included, and of the files.
fn modes(dir: &Path) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let (mut dirs, mut regular) = (BTreeSet::from([mode(dir)]), BTreeSet::new());
    for (path, bytes) in files(dir) {
        if bytes.is_some() {
            &mut regular
        } else {
            &mut dirs
        }
        .insert(mode(&path));
    }
    (dirs, regular)
}

fn owner_only() -> (BTreeSet<u32>, BTreeSet<u32>) {
    (BTreeSet::from([0o700]), BTreeSet::from([0o600]))
}

#[tokio::test]
async fn a_store_is_private_to_its_owner_under_every_umask() {
    for umask in ["umask 022", "umask 000", "umask 077"] {
        let dir = TempDir::new().unwrap();
        let data_dir = dir.path().join("not/there");
        let server = program(Program::after(umask), &data_dir).start().await;
        let outcomes = Outcomes::of(&Caller::of(&server).await, 0..3).await;
        assert_eq!(modes(&data_dir), owner_only(), "{umask}");
        assert_eq!(modes(&dir.path().join("not")), owner_only(), "{umask}");
        assert_eq!(server.stop().await.code(), 0);
        assert_eq!(modes(&data_dir), owner_only(), "{umask}");

        // A store of an earlier version, with wider modes.
        for (path, bytes) in files(&data_dir)
            .into_iter()
            .chain([(data_dir.clone(), None)])
        {
            let mode = if bytes.is_some() { 0o644 } else { 0o755 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let server = program(Program::after(umask), &data_dir).start().await;
        assert_eq!(modes(&data_dir), owner_only(), "{umask}");
        assert_eq!(server.stop().await.code(), 0);
        assert_recovers(&data_dir, &outcomes).await;
    }
}

#[tokio::test]
async fn the_creation_of_a_store_is_logged_once_and_can_be_forbidden() {
    let is_created = |line: &Value| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN" && message.starts_with("no store was found")
    };
    let dir = TempDir::new().unwrap();
    let must_exist = || Program::new().args(["--store-must-exist=true"]);
    for data_dir in [dir.path().to_owned(), dir.path().join("not/there")] {
        let words = [
            data_dir.to_str().unwrap(),
            "there is none",
            "--store-must-exist=false",
        ];
        assert_rejected(must_exist(), &data_dir, dir.path(), &words).await;
    }
    let created = program(Program::new(), dir.path())
        .start()
        .await
        .stop()
        .await;
    assert_eq!(
        created.log().filter(is_created).count(),
        1,
        "{}",
        created.text()
    );
    for program in [Program::new(), must_exist()] {
        let opened = program.with_store(dir.path()).start().await.stop().await;
        assert_eq!(
            opened.log().filter(is_created).count(),
            0,
            "{}",
            opened.text()
        );
    }
    // Without its watermark it is still a store.
    fs::remove_file(dir.path().join("acknowledged")).unwrap();
    assert_eq!(
        must_exist()
            .with_store(dir.path())
            .start()
            .await
            .stop()
            .await
            .code(),
        0
    );
}

#[tokio::test]
async fn a_store_that_is_moved_while_the_program_runs_rejects_orders() {
    let parent = TempDir::new().unwrap();
    let (data_dir, moved) = (parent.path().join("data"), parent.path().join("moved"));
    let mut server = program(Program::new(), &data_dir).start().await;
    let caller = Caller::of(&server).await;
    let outcomes = Outcomes::of(&caller, 0..2).await;
    fs::rename(&data_dir, &moved).unwrap();
    server.line("the reason", is_store_failure).await;
    Outcomes::of(&caller, 2..4).await.assert_store_unavailable();
    assert_store_failure_reported(&mut server, &caller, "no longer in").await;
    stop(server).await;
    assert_recovers(&moved, &outcomes).await;
}

#[tokio::test]
async fn a_store_that_is_removed_while_the_program_runs_acknowledges_nothing() {
    let parent = TempDir::new().unwrap();
    let data_dir = parent.path().join("data");
    let mut server = program(Program::new(), &data_dir).start().await;
    let caller = Caller::of(&server).await;
    assert!(Outcomes::of(&caller, 0..2).await.rejected.is_empty());
    fs::remove_dir_all(&data_dir).unwrap();
    // At once, not at the next check of the directory.
    let outcomes = Outcomes::of(&caller, 2..4).await;
    outcomes.assert_store_unavailable();
    assert_eq!(outcomes.acknowledged, []);
    assert_store_failure_reported(&mut server, &caller, "").await;
    stop(server).await;
}

#[tokio::test]
async fn a_store_without_its_watermark_is_still_locked() {
    let dir = TempDir::new().unwrap();
    let mut first = program(Program::new(), dir.path()).start().await;
    let caller = Caller::of(&first).await;
    let outcomes = Outcomes::of(&caller, 0..2).await;
    fs::remove_file(dir.path().join("acknowledged")).unwrap();
    assert_rejected(
        Program::new(),
        dir.path(),
        &dir.path().join("orders"),
        &["another process has it open"],
    )
    .await;
    first.line("the reason", is_store_failure).await;
    assert!(!dir.path().join("acknowledged").exists());
    stop(first).await;
    assert_recovers(dir.path(), &outcomes).await;
}

#[tokio::test]
async fn a_store_of_another_version_is_not_called_damaged() {
    let (dir, outcomes) = store().await;
    let version = dir.path().join("orders/version");
    let ours = fs::read(&version).unwrap();
    for other in [2, 4] {
        fs::write(&version, [b"FJL".as_slice(), &[other]].concat()).unwrap();
        let words = [&*format!("version {other} of its engine"), "not damaged"];
        assert_rejected(Program::new(), dir.path(), dir.path(), &words).await;
    }
    fs::write(&version, ours).unwrap();
    assert_recovers(dir.path(), &outcomes).await;
}
