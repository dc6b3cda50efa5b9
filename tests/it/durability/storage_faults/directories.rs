//! Directories that cannot be used, are somebody else's, or have lost something.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use boxoffice::{
    domain::{
        money::{Currency, Money},
        time::EpochSeconds,
    },
    store::{
        PriceBook, PriceEntry, Store, Write,
        log::{LogOptions, LogStore},
    },
};
use serde_json::Value;
use tempfile::TempDir;

use super::{Caller, Told, goes_on, has_failed, is_the_reason, program, stop};
use crate::support::process::{Program, run};

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

/// The program without the rights that let root write where it may not.
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

/// Takes from everyone, or gives back to the owner, the right to write here.
fn set_writable(dir: &Path, writable: bool) {
    for (path, bytes) in files(dir).into_iter().chain([(dir.to_owned(), None)]) {
        let mode = if bytes.is_some() { 0o400 } else { 0o500 };
        let mode = if writable { mode | 0o200 } else { mode };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// A store with two orders, and the orders.
async fn store() -> (TempDir, Told) {
    let dir = TempDir::new().unwrap();
    let server = program(Program::new(), dir.path()).start().await;
    let told = Told::of(&Caller::of(&server).await, 0..2).await;
    assert_eq!(server.stop().await.code(), 0);
    (dir, told)
}

/// Fails unless the program refuses in these words and leaves everything as it was.
async fn refuses(program: Program, data_dir: &Path, around: &Path, words: &[&str]) {
    let before = files(around);
    let refused = program.with_store(data_dir).run().await;
    assert_eq!(refused.code(), 74, "{}", refused.text());
    let line = refused
        .log()
        .filter(|line| line["level"] == "ERROR")
        .last()
        .expect("a line in the log");
    let told = line["error"].as_str().unwrap();
    assert!(
        words.iter().all(|word| told.contains(word)),
        "{words:?} in {told}"
    );
    assert!(
        files(around) == before,
        "something has changed in {}",
        around.display()
    );
}

#[tokio::test]
async fn a_directory_that_is_read_only_is_refused() {
    let empty = TempDir::new().unwrap();
    set_writable(empty.path(), false);
    let words = [empty.path().to_str().unwrap(), "Permission denied"];
    refuses(without_privilege(), empty.path(), empty.path(), &words).await;
    refuses(
        without_privilege(),
        &empty.path().join("new"),
        empty.path(),
        &words,
    )
    .await;
    set_writable(empty.path(), true);

    let (dir, told) = store().await;
    set_writable(dir.path(), false);
    let words = [dir.path().to_str().unwrap(), "Permission denied"];
    refuses(without_privilege(), dir.path(), dir.path(), &words).await;
    set_writable(dir.path(), true);
    goes_on(dir.path(), &told).await;
}

#[tokio::test]
async fn a_file_is_no_directory() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "a letter").unwrap();
    for data_dir in [file.clone(), file.join("below")] {
        refuses(
            Program::new(),
            &data_dir,
            dir.path(),
            &[data_dir.to_str().unwrap()],
        )
        .await;
    }
}

#[tokio::test]
async fn what_is_not_a_store_is_not_made_one() {
    let dir = TempDir::new().unwrap();
    let orders = dir.path().join("orders");
    fs::create_dir(&orders).unwrap();
    fs::write(orders.join("1.log"), "a diary").unwrap();
    fs::write(dir.path().join("acknowledged"), "").unwrap();
    refuses(
        Program::new(),
        dir.path(),
        dir.path(),
        &[orders.to_str().unwrap(), "not a store"],
    )
    .await;
}

#[tokio::test]
async fn a_path_that_is_not_there_yet_is_made() {
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
    goes_on(&data_dir, &Told::default()).await;
}

/// Fills some segments of a store with prices of what is not in the catalogue.
async fn seal_segments(dir: &Path) {
    let options = LogOptions {
        segment_bytes: 16 << 10,
        ..LogOptions::new(1)
    };
    let store = LogStore::open_with(dir, &options).unwrap();
    let last = dir.join("orders/000004.idx");
    let entry = PriceEntry {
        merchant_id: "m".repeat(1000).into(),
        service_id: "nothing".into(),
        ticket_id: None,
        current: Money::zero(Currency::from_code("USD").unwrap()),
        previous: None,
    };
    let book = PriceBook {
        entries: vec![entry],
    };
    // Ten of them fill a segment.
    for _ in 0..60 {
        store
            .commit(&Write::Prices(book.clone()).into())
            .await
            .unwrap();
    }
    drop(store);
    assert!(last.exists());
}

#[tokio::test]
async fn a_directory_from_which_any_segment_is_taken_is_refused() {
    let (dir, told) = store().await;
    seal_segments(dir.path()).await;
    let orders = dir.path().join("orders");
    let mut rejections = 0;
    for (path, bytes) in files(&orders) {
        let bytes = bytes.unwrap();
        let is_in_use = path.extension().unwrap() == "log" && bytes.iter().any(|&byte| byte != 0);
        fs::remove_file(&path).unwrap();
        if is_in_use {
            let words = ["the store cannot be opened"];
            refuses(Program::new(), dir.path(), dir.path(), &words).await;
            fs::write(&path, bytes).unwrap();
            rejections += 1;
        }
    }
    assert!(rejections >= 5, "{rejections}");
    // Without summaries and spares it has everything.
    goes_on(dir.path(), &told).await;
    // Removing the mark is the operator's request to go on with the store as it is.
    fs::remove_file(dir.path().join("acknowledged")).unwrap();
    goes_on(dir.path(), &told).await;
}

/// The warnings of a start with this beginning.
async fn warnings_of_start(dir: &Path, beginning: &str) -> usize {
    let ended = program(Program::new(), dir).start().await.stop().await;
    let warnings = ended.log().filter(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN" && message.starts_with(beginning)
    });
    warnings.count()
}

#[tokio::test]
async fn a_mark_that_says_nothing_beside_orders_is_told() {
    let (dir, told) = store().await;
    let mark = dir.path().join("acknowledged");
    let data_dir = dir.path().to_str().unwrap();
    for (content, fault) in [
        (None, "is missing or empty"),
        (Some(""), "is missing or empty"),
        (Some("garbage"), "is cut short"),
    ] {
        match content {
            None => fs::remove_file(&mark).unwrap(),
            Some(content) => fs::write(&mark, content).unwrap(),
        }
        let warning = format!("the file \"acknowledged\" {fault}");
        for command in ["verify", "info"] {
            let ended = run(&["store", command, "--data-dir", data_dir]).await;
            assert_eq!(ended.code(), 0, "{}", ended.text());
            assert!(ended.text().contains(&warning), "{}", ended.text());
        }
        assert_eq!(warnings_of_start(dir.path(), &warning).await, 1, "{fault}");
        // It was written anew.
        let beginning = "the file \"acknowledged\"";
        assert_eq!(warnings_of_start(dir.path(), beginning).await, 0, "{fault}");
    }
    goes_on(dir.path(), &told).await;
}

/// Seals the first segment of a store behind its orders, with changes that nothing asks for.
async fn seal_orders(dir: &Path) {
    let options = LogOptions {
        // More than what is on record, so that the segment ends with changes that no order needs.
        segment_bytes: 64 << 10,
        ..LogOptions::new(1)
    };
    let store = LogStore::open_with(dir, &options).unwrap();
    for second in 0..1_000 {
        let forgotten = Write::SlotsForgotten(EpochSeconds::new(second));
        store.commit(&forgotten.into()).await.unwrap();
    }
    drop(store);
    assert!(dir.join("orders/000001.idx").exists());
}

#[tokio::test]
async fn a_sealed_segment_that_is_cut_short_is_told_at_the_start() {
    let (dir, told) = store().await;
    seal_orders(dir.path()).await;
    let beginning = "a sealed segment is cut short";
    assert_eq!(warnings_of_start(dir.path(), beginning).await, 0);
    let path = dir.path().join("orders/000001.log");
    let bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() as u64;
    let segment = fs::OpenOptions::new().write(true).open(path).unwrap();
    // Its last number may end in zeros. Behind the frame there are only zeros, which nobody misses.
    segment.set_len(end + 16).unwrap();
    assert_eq!(warnings_of_start(dir.path(), beginning).await, 0);
    segment.set_len(end - 50).unwrap();
    assert_eq!(warnings_of_start(dir.path(), beginning).await, 1);
    let info = run(&["store", "info", "--data-dir", dir.path().to_str().unwrap()]).await;
    let cut = format!("000001.log, offset {}: the file is cut short", end - 50);
    assert!(info.text().contains(&cut), "{}", info.text());
    goes_on(dir.path(), &told).await;
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_program_only() {
    let dir = TempDir::new().unwrap();
    let first = program(Program::new(), dir.path()).start().await;
    let caller = Caller::of(&first).await;
    let mut told = Told::of(&caller, 0..1).await;
    let second = Program::new().with_store(dir.path()).run().await;
    assert_eq!(second.code(), 74, "{}", second.text());
    assert!(
        second.text().contains("another process has it open"),
        "{}",
        second.text()
    );
    let more = Told::of(&caller, 1..4).await;
    assert!(more.refused.is_empty(), "{more:?}");
    told.acknowledged.extend(more.acknowledged);
    assert_eq!(first.stop().await.code(), 0);
    goes_on(dir.path(), &told).await;
}

/// Modes of what is in a directory and of itself: of directories, and of files.
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
async fn nobody_else_may_read_a_store_whatever_the_umask_is() {
    for umask in ["umask 022", "umask 000", "umask 077"] {
        let dir = TempDir::new().unwrap();
        let data_dir = dir.path().join("not/there");
        let server = program(Program::after(umask), &data_dir).start().await;
        let told = Told::of(&Caller::of(&server).await, 0..3).await;
        assert_eq!(modes(&data_dir), owner_only(), "{umask}");
        assert_eq!(modes(&dir.path().join("not")), owner_only(), "{umask}");
        assert_eq!(server.stop().await.code(), 0);
        assert_eq!(modes(&data_dir), owner_only(), "{umask}");

        // One of earlier days, in a directory that somebody made for it.
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
        goes_on(&data_dir, &told).await;
    }
}

#[tokio::test]
async fn beginning_a_store_is_said_once_and_can_be_forbidden() {
    let is_begun = |line: &Value| {
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
        refuses(must_exist(), &data_dir, dir.path(), &words).await;
    }
    let begun = program(Program::new(), dir.path())
        .start()
        .await
        .stop()
        .await;
    assert_eq!(begun.log().filter(is_begun).count(), 1, "{}", begun.text());
    for program in [Program::new(), must_exist()] {
        let opened = program.with_store(dir.path()).start().await.stop().await;
        assert_eq!(
            opened.log().filter(is_begun).count(),
            0,
            "{}",
            opened.text()
        );
    }
    // Without its mark it is still a store.
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
async fn a_store_that_is_moved_away_under_a_running_program_takes_no_more_orders() {
    let around = TempDir::new().unwrap();
    let (data_dir, moved) = (around.path().join("data"), around.path().join("moved"));
    let mut server = program(Program::new(), &data_dir).start().await;
    let caller = Caller::of(&server).await;
    let told = Told::of(&caller, 0..2).await;
    fs::rename(&data_dir, &moved).unwrap();
    server.line("the reason", is_the_reason).await;
    Told::of(&caller, 2..4).await.refused_for_the_store();
    has_failed(&mut server, &caller, "no longer in").await;
    stop(server).await;
    goes_on(&moved, &told).await;
}

#[tokio::test]
async fn a_store_that_is_removed_under_a_running_program_acknowledges_nothing_more() {
    let around = TempDir::new().unwrap();
    let data_dir = around.path().join("data");
    let mut server = program(Program::new(), &data_dir).start().await;
    let caller = Caller::of(&server).await;
    assert!(Told::of(&caller, 0..2).await.refused.is_empty());
    fs::remove_dir_all(&data_dir).unwrap();
    // At once, not when somebody looks.
    let told = Told::of(&caller, 2..4).await;
    told.refused_for_the_store();
    assert_eq!(told.acknowledged, []);
    has_failed(&mut server, &caller, "").await;
    stop(server).await;
}

#[tokio::test]
async fn a_program_without_its_mark_still_has_the_store_to_itself() {
    let dir = TempDir::new().unwrap();
    let mut first = program(Program::new(), dir.path()).start().await;
    let caller = Caller::of(&first).await;
    let told = Told::of(&caller, 0..2).await;
    fs::remove_file(dir.path().join("acknowledged")).unwrap();
    let segment = dir.path().join("orders/000001.log");
    let before = fs::read(&segment).unwrap();
    let second = Program::new().with_store(dir.path()).run().await;
    assert_eq!(second.code(), 74, "{}", second.text());
    assert!(
        second.text().contains("another process has it open"),
        "{}",
        second.text()
    );
    // The first one may be filling spares beside it.
    assert!(fs::read(&segment).unwrap() == before);
    first.line("the reason", is_the_reason).await;
    assert!(!dir.path().join("acknowledged").exists());
    stop(first).await;
    goes_on(dir.path(), &told).await;
}

#[tokio::test]
async fn a_store_of_another_version_is_not_called_damaged() {
    let (dir, told) = store().await;
    let segment = dir.path().join("orders/000001.log");
    let ours = fs::read(&segment).unwrap();
    let name = b"boxoffice 3\n";
    let at = ours
        .windows(name.len())
        .position(|bytes| bytes == name)
        .unwrap();
    for other in [2_u8, 4] {
        let mut bytes = ours.clone();
        bytes[at + name.len() - 2] = b'0' + other;
        fs::write(&segment, bytes).unwrap();
        let words = [
            &*format!(r#"its format is "boxoffice {other}""#),
            "not damaged",
        ];
        refuses(Program::new(), dir.path(), dir.path(), &words).await;
    }
    fs::write(&segment, ours).unwrap();
    goes_on(dir.path(), &told).await;
}

/// What the version before this one has left of a store of its own.
#[tokio::test]
async fn a_store_of_the_former_format_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let orders = dir.path().join("orders");
    fs::create_dir_all(orders.join("keyspaces/1")).unwrap();
    for file in ["version", "lock", "0.jnl"] {
        fs::write(orders.join(file), "").unwrap();
    }
    fs::write(dir.path().join("acknowledged"), [0; 16]).unwrap();
    let words = [r#"its format is "boxoffice 2""#, "not damaged"];
    refuses(Program::new(), dir.path(), dir.path(), &words).await;
}
