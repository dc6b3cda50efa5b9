//! Calls to the system that fail, one by one, by the hand of strace. The program is the real one, and
//! knows nothing of it.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{Caller, Told, goes_on, has_failed, program, stop};
use crate::{
    durability::{WANTS_SPARES_MIB, fill_segment},
    support::process::{Program, Running},
};

/// Orders that are asked for. They make [`COMMITS`] changes, each in a write of its own.
const ORDERS: usize = 5;

const COMMITS: usize = 6;

/// Orders that are acknowledged if the first change fails, or the second, and so on. The third order is
/// paid: its intent is a change, and the order with its payment is the next.
const ACKNOWLEDGED: [usize; COMMITS] = [0, 1, 2, 2, 3, 4];

const SEGMENT: &str = "orders/000001.log";

const MARK: &str = "acknowledged";

/// Calls that are made to fail, or to lie.
#[derive(Debug, Clone, Copy)]
struct Fault {
    /// The file that they are about.
    file: &'static str,
    call: &'static str,
    /// What they do instead.
    instead: &'static str,
    /// Words of the log.
    reason: &'static str,
}

const SYNC_FAILS: Fault = Fault {
    file: SEGMENT,
    call: "fdatasync",
    instead: "error=EIO",
    reason: "Input/output error",
};

const DISK_IS_FULL: Fault = Fault {
    file: SEGMENT,
    call: "pwrite64",
    instead: "error=ENOSPC",
    reason: "No space left on device",
};

const MARK_CANNOT_BE_MOVED: Fault = Fault {
    file: MARK,
    call: "pwrite64",
    instead: "error=ENOSPC",
    reason: "No space left on device",
};

const WRITE_FAILS: Fault = Fault {
    file: SEGMENT,
    call: "pwrite64",
    instead: "error=EIO",
    reason: "Input/output error",
};

const READ_ONLY_FROM_HERE: Fault = Fault {
    file: SEGMENT,
    call: "pwrite64",
    instead: "error=EROFS",
    reason: "Read-only file system",
};

const QUOTA_IS_USED_UP: Fault = Fault {
    file: SEGMENT,
    call: "pwrite64",
    instead: "error=EDQUOT",
    reason: "quota exceeded",
};

const NO_DESCRIPTOR_IS_LEFT: Fault = Fault {
    file: SEGMENT,
    call: "pwrite64",
    instead: "error=EMFILE",
    reason: "Too many open files",
};

const NOTHING_IS_WRITTEN: Fault = Fault {
    file: SEGMENT,
    call: "pwrite64",
    instead: "retval=0",
    reason: "failed to write",
};

/// A disk that says yes to the first hundred bytes of a write and has none of them.
const DISK_LIES: Fault = Fault {
    file: SEGMENT,
    call: "pwrite64",
    instead: "retval=100",
    reason: "",
};

impl Fault {
    /// The program with this fault from its so manieth such call in one of its threads.
    fn at(self, when: usize, dir: &Path, log: &Path) -> Program {
        let Self {
            file,
            call,
            instead,
            reason: _,
        } = self;
        let path = dir.join(file);
        let words = [
            "--daemonize".to_owned(),
            "--follow-forks".to_owned(),
            format!("--output={}", log.display()),
            format!("--trace-path={}", path.display()),
            "--trace=write,pwrite64,fsync,fdatasync,fallocate,ftruncate".to_owned(),
            format!("--inject={call}:{instead}:when={when}"),
        ];
        program(Program::under("strace", &words), dir)
    }
}

/// A store that has been opened before and has taken no order yet.
async fn begun() -> TempDir {
    let dir = TempDir::new().unwrap();
    assert_eq!(
        Program::new()
            .with_store(dir.path())
            .start()
            .await
            .stop()
            .await
            .code(),
        0
    );
    dir
}

/// Asks for all orders while a call fails.
async fn sell(fault: Fault, when: usize, dir: &Path, log: &Path) -> (Running, Caller, Told) {
    let server = fault.at(when, dir, log).start().await;
    let caller = Caller::of(&server).await;
    let told = Told::of(&caller, 0..ORDERS).await;
    (server, caller, told)
}

/// Calls after the one that was made to fail.
fn calls_after_the_fault(log: &Path) -> Vec<String> {
    let log = fs::read_to_string(log).unwrap();
    let after = log
        .lines()
        .skip_while(|line| !line.contains("(INJECTED)"))
        .skip(1);
    after
        .filter(|line| line.contains('('))
        .map(str::to_owned)
        .collect()
}

async fn is_final(fault: Fault, when: usize) {
    let (dir, logs) = (begun().await, TempDir::new().unwrap());
    let log = logs.path().join("strace");
    let (mut server, caller, told) = sell(fault, when, dir.path(), &log).await;
    assert_eq!(
        told.acknowledged.len(),
        ACKNOWLEDGED[when - 1],
        "{fault:?} {when}"
    );
    told.refused_for_the_store();
    has_failed(&mut server, &caller, fault.reason).await;
    assert_eq!(
        told.missed_in(&caller.list().await),
        [""; 0],
        "{fault:?} {when}"
    );
    stop(server).await;
    assert_eq!(
        calls_after_the_fault(&log),
        [""; 0],
        "{fault:?} {when}: nothing is tried again"
    );
    goes_on(dir.path(), &told).await;
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_sync_that_fails_is_the_last() {
    // The first one of a thread is also that of the start, which is refused for it: see below.
    for when in 2..=COMMITS {
        is_final(SYNC_FAILS, when).await;
    }
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_write_to_a_full_disk_is_the_last() {
    for when in 1..=COMMITS {
        is_final(DISK_IS_FULL, when).await;
    }
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_mark_that_cannot_be_moved_is_the_last() {
    for when in 1..=COMMITS {
        is_final(MARK_CANNOT_BE_MOVED, when).await;
    }
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_write_that_fails_for_whatever_reason_is_the_last() {
    for fault in [
        WRITE_FAILS,
        READ_ONLY_FROM_HERE,
        QUOTA_IS_USED_UP,
        NO_DESCRIPTOR_IS_LEFT,
        NOTHING_IS_WRITTEN,
    ] {
        is_final(fault, 3).await;
    }
}

/// The negative control: a disk that lies makes the program acknowledge what is lost.
#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn what_is_acknowledged_and_lost_is_found_out() {
    let (dir, logs) = (begun().await, TempDir::new().unwrap());
    let log = logs.path().join("strace");
    let (server, _, told) = sell(DISK_LIES, COMMITS, dir.path(), &log).await;
    assert_eq!((told.acknowledged.len(), told.refused.len()), (ORDERS, 0));
    assert_eq!(server.stop().await.code(), 0);
    let refused = Program::new().with_store(dir.path()).run().await;
    assert_eq!(refused.code(), 74, "{}", refused.text());
    assert!(
        refused.text().contains("were acknowledged and only"),
        "{}",
        refused.text()
    );

    // Who goes on without it goes on without it.
    fs::remove_file(dir.path().join(MARK)).unwrap();
    let server = program(Program::new(), dir.path()).start().await;
    let missed = told.missed_in(&Caller::of(&server).await.list().await);
    assert_eq!(missed.len(), 1, "{missed:?}");
}

/// With orders behind it, a write that was lost is damage, and nothing behind it is given up.
#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn what_is_lost_before_other_orders_is_never_cut_off() {
    let (dir, logs) = (begun().await, TempDir::new().unwrap());
    let log = logs.path().join("strace");
    let (server, _, told) = sell(DISK_LIES, 3, dir.path(), &log).await;
    assert_eq!((told.acknowledged.len(), told.refused.len()), (ORDERS, 0));
    assert_eq!(server.stop().await.code(), 0);
    for is_marked in [true, false] {
        if !is_marked {
            fs::remove_file(dir.path().join(MARK)).unwrap();
        }
        let before = fs::read(dir.path().join(SEGMENT)).unwrap();
        let refused = Program::new().with_store(dir.path()).run().await;
        assert_eq!(refused.code(), 74, "{}", refused.text());
        assert!(
            refused.text().contains("a frame is not what was written"),
            "{}",
            refused.text()
        );
        assert!(fs::read(dir.path().join(SEGMENT)).unwrap() == before);
    }
}

/// A disk that cannot be read, and one that cannot be synced.
#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_store_that_cannot_be_opened_for_its_disk_is_left_as_it_was() {
    let dir = begun().await;
    let server = program(Program::new(), dir.path()).start().await;
    let told = Told::of(&Caller::of(&server).await, 0..2).await;
    assert_eq!(server.stop().await.code(), 0);
    let before = super::directories::files(dir.path());
    for call in ["pread64", "fdatasync"] {
        let log = TempDir::new().unwrap();
        let words = [
            "--daemonize".to_owned(),
            "--follow-forks".to_owned(),
            format!("--output={}", log.path().join("strace").display()),
            format!("--trace-path={}", dir.path().join(SEGMENT).display()),
            format!("--inject={call}:error=EIO"),
        ];
        let refused = program(Program::under("strace", &words), dir.path())
            .run()
            .await;
        assert_eq!(refused.code(), 74, "{}", refused.text());
        assert!(
            refused.text().contains("Input/output error"),
            "{}",
            refused.text()
        );
        assert!(super::directories::files(dir.path()) == before, "{call}");
    }
    goes_on(dir.path(), &told).await;
}

/// A disk on which no other segment can be prepared takes orders as long as there is room in this one.
#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_spare_that_cannot_be_filled_stops_no_order() {
    for (call, error, reason) in [
        ("openat", "ENOSPC", "No space left on device"),
        ("pwrite64", "EDQUOT", "quota exceeded"),
        ("fdatasync", "EIO", "Input/output error"),
    ] {
        let (dir, log) = (begun().await, TempDir::new().unwrap());
        let orders = dir.path().join("orders");
        fill_segment(dir.path(), WANTS_SPARES_MIB).await;
        // What was prepared meanwhile.
        for number in 2..=4 {
            for name in [format!("{number:06}.log"), format!("{number:06}.new")] {
                let _ = fs::remove_file(orders.join(name));
            }
        }
        let words = [
            "--daemonize".to_owned(),
            "--follow-forks".to_owned(),
            format!("--output={}", log.path().join("strace").display()),
            format!("--trace-path={}", orders.join("000002.new").display()),
            format!("--inject={call}:error={error}"),
        ];
        let traced = Program::under("strace", &words);
        let mut server = program(traced, dir.path()).start().await;
        let warning = server
            .line("a warning", |line| {
                let message = line["message"].as_str().unwrap_or_default();
                message.starts_with("no spare segment can be prepared")
            })
            .await;
        assert!(
            warning["error"].as_str().unwrap().contains(reason),
            "{warning}"
        );
        let told = Told::of(&Caller::of(&server).await, 0..ORDERS).await;
        assert!(told.refused.is_empty(), "{told:?}");
        assert_eq!(server.stop().await.code(), 0);
        goes_on(dir.path(), &told).await;
    }
}

/// A directory that was made a moment ago is on the disk only once the one above it is synced.
#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn the_way_to_a_new_store_is_synced() {
    let (around, logs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (data_dir, log) = (around.path().join("new/data"), logs.path().join("strace"));
    let words = [
        "--daemonize".to_owned(),
        "--follow-forks".to_owned(),
        "--decode-fds=path".to_owned(),
        format!("--output={}", log.display()),
        "--trace=fsync".to_owned(),
    ];
    let server = program(Program::under("strace", &words), &data_dir)
        .start()
        .await;
    assert_eq!(server.stop().await.code(), 0);
    let log = fs::read_to_string(&log).unwrap();
    for dir in [
        around.path().to_owned(),
        around.path().join("new"),
        data_dir,
    ] {
        assert!(
            log.contains(&format!("<{}>)", dir.display())),
            "{} is not synced",
            dir.display()
        );
    }
}
