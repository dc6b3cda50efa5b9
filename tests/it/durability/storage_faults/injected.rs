//! System calls of the real program that fail, one by one, injected by strace.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{Caller, Outcomes, assert_recovers, assert_store_failure_reported, program, stop};
use crate::support::process::{Program, Running};

/// Orders that are created. They make [`COMMITS`] changes, each in a write of its own.
const ORDERS: usize = 5;

const COMMITS: usize = 6;

/// Orders that are acknowledged if the first change fails, or the second, and so on. The third order is
/// paid: its intent is a change, and the order with its payment is the next.
const ACKNOWLEDGED: [usize; COMMITS] = [0, 1, 2, 2, 3, 4];

const JOURNAL: &str = "orders/0.jnl";

const WATERMARK: &str = "acknowledged";

/// An injected fault.
#[derive(Debug, Clone, Copy)]
struct Fault {
    /// The file of the calls.
    file: &'static str,
    call: &'static str,
    /// The injected result.
    instead: &'static str,
    /// A part of the logged error.
    reason: &'static str,
}

const SYNC_FAILS: Fault = Fault {
    file: JOURNAL,
    call: "fdatasync",
    instead: "error=EIO",
    reason: "Input/output error",
};

const DISK_IS_FULL: Fault = Fault {
    file: JOURNAL,
    call: "write",
    instead: "error=ENOSPC",
    reason: "No space left on device",
};

const WATERMARK_WRITE_FAILS: Fault = Fault {
    file: WATERMARK,
    call: "pwrite64",
    instead: "error=ENOSPC",
    reason: "No space left on device",
};

const WRITE_FAILS: Fault = Fault {
    file: JOURNAL,
    call: "write",
    instead: "error=EIO",
    reason: "Input/output error",
};

const FILE_SYSTEM_IS_READ_ONLY: Fault = Fault {
    file: JOURNAL,
    call: "write",
    instead: "error=EROFS",
    reason: "Read-only file system",
};

const QUOTA_EXCEEDED: Fault = Fault {
    file: JOURNAL,
    call: "write",
    instead: "error=EDQUOT",
    reason: "quota exceeded",
};

const DESCRIPTORS_EXHAUSTED: Fault = Fault {
    file: JOURNAL,
    call: "write",
    instead: "error=EMFILE",
    reason: "the disk is not at fault",
};

const NOTHING_IS_WRITTEN: Fault = Fault {
    file: JOURNAL,
    call: "write",
    instead: "retval=0",
    reason: "failed to write",
};

/// A disk that acknowledges the first hundred bytes of a write and stores none.
const DISK_LIES: Fault = Fault {
    file: JOURNAL,
    call: "write",
    instead: "retval=100",
    reason: "",
};

impl Fault {
    /// The program with this fault in the call with number `when` of a thread.
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
            "--trace=write,pwrite64,fsync,fdatasync".to_owned(),
            format!("--inject={call}:{instead}:when={when}"),
        ];
        program(Program::under("strace", &words), dir)
    }
}

/// A store that was opened once and has no order.
async fn empty_store() -> TempDir {
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

/// Creates all orders while a call fails.
async fn create_orders(
    fault: Fault,
    when: usize,
    dir: &Path,
    log: &Path,
) -> (Running, Caller, Outcomes) {
    let server = fault.at(when, dir, log).start().await;
    let caller = Caller::of(&server).await;
    let outcomes = Outcomes::of(&caller, 0..ORDERS).await;
    (server, caller, outcomes)
}

/// The system calls after the injected fault.
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

/// Fails unless the fault makes the store reject all later orders, without another write.
async fn assert_final(fault: Fault, when: usize) {
    let (dir, logs) = (empty_store().await, TempDir::new().unwrap());
    let log = logs.path().join("strace");
    let (mut server, caller, outcomes) = create_orders(fault, when, dir.path(), &log).await;
    assert_eq!(
        outcomes.acknowledged.len(),
        ACKNOWLEDGED[when - 1],
        "{fault:?} {when}"
    );
    outcomes.assert_store_unavailable();
    assert_store_failure_reported(&mut server, &caller, fault.reason).await;
    assert_eq!(
        outcomes.contradictions(&caller.list().await),
        [""; 0],
        "{fault:?} {when}"
    );
    stop(server).await;
    assert_eq!(
        calls_after_the_fault(&log),
        [""; 0],
        "{fault:?} {when}: no retry"
    );
    assert_recovers(dir.path(), &outcomes).await;
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_failed_sync_is_final() {
    for when in 1..=COMMITS {
        assert_final(SYNC_FAILS, when).await;
    }
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_write_to_a_full_disk_is_final() {
    for when in 1..=COMMITS {
        assert_final(DISK_IS_FULL, when).await;
    }
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_failed_write_of_the_watermark_is_final() {
    for when in 1..=COMMITS {
        assert_final(WATERMARK_WRITE_FAILS, when).await;
    }
}

#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_failed_write_is_final_for_every_reason() {
    for fault in [
        WRITE_FAILS,
        FILE_SYSTEM_IS_READ_ONLY,
        QUOTA_EXCEEDED,
        DESCRIPTORS_EXHAUSTED,
        NOTHING_IS_WRITTEN,
    ] {
        assert_final(fault, 3).await;
    }
}

/// The negative control: on a lying disk the program acknowledges orders that are lost.
#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn lost_acknowledged_orders_are_detected() {
    let (dir, logs) = (empty_store().await, TempDir::new().unwrap());
    let (server, _, outcomes) =
        create_orders(DISK_LIES, 3, dir.path(), &logs.path().join("strace")).await;
    assert_eq!(
        (outcomes.acknowledged.len(), outcomes.rejected.len()),
        (ORDERS, 0)
    );
    assert_eq!(server.stop().await.code(), 0);
    let ended = Program::new().with_store(dir.path()).run().await;
    assert_eq!(ended.code(), 74, "{}", ended.text());
    assert!(
        ended
            .text()
            .contains("were acknowledged and only 3 are on record"),
        "{}",
        ended.text()
    );

    // Without the watermark the store opens without the lost orders.
    fs::remove_file(dir.path().join(WATERMARK)).unwrap();
    let server = program(Program::new(), dir.path()).start().await;
    let missing = outcomes.contradictions(&Caller::of(&server).await.list().await);
    assert_eq!(missing.len(), ORDERS - 2, "{missing:?}");
}

/// The copy of the journal does not fit on the disk, or cannot be synced.
#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn a_store_that_cannot_be_copied_at_its_start_is_left_unchanged() {
    const COPY: &str = "orders.copy";
    let dir = empty_store().await;
    let server = program(Program::new(), dir.path()).start().await;
    let outcomes = Outcomes::of(&Caller::of(&server).await, 0..2).await;
    assert_eq!(server.stop().await.code(), 0);
    let before = super::directories::files(dir.path());
    for (calls, error, reason) in [
        (
            "write,copy_file_range,sendfile,ftruncate",
            "ENOSPC",
            "No space left on device",
        ),
        ("fsync", "EIO", "Input/output error"),
    ] {
        let log = TempDir::new().unwrap();
        let words = [
            "--daemonize".to_owned(),
            "--follow-forks".to_owned(),
            format!("--output={}", log.path().join("strace").display()),
            format!("--trace-path={}", dir.path().join(COPY).display()),
            format!("--inject={calls}:error={error}"),
        ];
        let ended = program(Program::under("strace", &words), dir.path())
            .run()
            .await;
        assert_eq!(ended.code(), 74, "{}", ended.text());
        assert!(ended.text().contains(reason), "{}", ended.text());
        assert_eq!(super::directories::files(dir.path()), before);
    }
    assert_recovers(dir.path(), &outcomes).await;
}

/// A new directory is durable only once its parent is synced.
#[tokio::test]
#[ignore = "needs strace, which scripts/test brings"]
async fn new_directories_and_their_parents_are_synced() {
    let (parent, logs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (data_dir, log) = (parent.path().join("new/data"), logs.path().join("strace"));
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
        parent.path().to_owned(),
        parent.path().join("new"),
        data_dir,
    ] {
        assert!(
            log.contains(&format!("<{}>)", dir.display())),
            "{} is not synced",
            dir.display()
        );
    }
}
