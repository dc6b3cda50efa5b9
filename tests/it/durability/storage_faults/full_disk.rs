//! A limited file size (`ulimit -f`): the part of a write that still fits is written, as on a full disk.

use std::path::Path;

use tempfile::TempDir;

use super::{Caller, Outcomes, assert_recovers, assert_store_failure_reported, program, stop};
use crate::support::process::{Program, Running, with_timeout};

/// An empty store whose journal has no preallocated space, which the engine allocates in a new one.
async fn empty_store() -> TempDir {
    let dir = TempDir::new().unwrap();
    for _ in 0..2 {
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
    }
    dir
}

/// Starts the program after shell commands that limit the size of files, in blocks of 1024 bytes.
async fn start_limited(commands: &str, dir: &Path) -> (Running, Caller) {
    let server = program(Program::after(commands), dir).start().await;
    let caller = Caller::of(&server).await;
    (server, caller)
}

#[tokio::test]
async fn a_full_disk_loses_no_acknowledged_order() {
    // With each limit, the write that does not fit ends at another offset.
    for blocks in [12, 13, 15] {
        let dir = empty_store().await;
        let limit = format!("trap '' XFSZ; ulimit -f {blocks}");
        let (mut server, caller) = start_limited(&limit, dir.path()).await;
        let outcomes = Outcomes::of(&caller, 0..40).await;
        assert!(!outcomes.acknowledged.is_empty());
        outcomes.assert_store_unavailable();
        assert_store_failure_reported(&mut server, &caller, "File too large").await;
        stop(server).await;
        assert_recovers(dir.path(), &outcomes).await;
    }
}

/// Unless the signal is ignored, it ends the program at once.
#[tokio::test]
async fn a_program_killed_by_the_file_size_limit_loses_no_acknowledged_order() {
    let dir = empty_store().await;
    let (server, caller) = start_limited("ulimit -c 0; ulimit -f 12", dir.path()).await;
    let outcomes = Outcomes::of(&caller, 0..40).await;
    assert!(!outcomes.acknowledged.is_empty() && !outcomes.rejected.is_empty());
    let ended = with_timeout("its end", server.ended()).await;
    assert_eq!(ended.status.code(), None, "ended by a signal");
    assert_recovers(dir.path(), &outcomes).await;
}
