//! A file that may not be written beyond some length, for which everyone may ask the system: whatever part of a write
//! still fits is written, as on a full disk. Neither can a spare segment be filled.

use std::path::Path;

use tempfile::TempDir;

use super::{Caller, Told, goes_on, has_failed, program, stop};
use crate::support::process::{Program, Running, with_timeout};

/// A store that has been opened before and has taken no order yet.
async fn begun() -> TempDir {
    let dir = TempDir::new().unwrap();
    let begun = Program::new().with_store(dir.path()).start().await;
    assert_eq!(begun.stop().await.code(), 0);
    dir
}

/// How many blocks of 512 bytes a store has written to its segment: what a server writes at its first start.
fn written_blocks(dir: &TempDir) -> usize {
    let log = std::fs::read(dir.path().join("orders/000001.log")).unwrap();
    let last = log.iter().rposition(|byte| *byte != 0).unwrap();
    last / 512 + 1
}

/// Starts the program where no file may be longer than so many blocks of 512 bytes.
async fn start_cramped(shell_words: &str, dir: &Path) -> (Running, Caller) {
    let server = program(Program::after(shell_words), dir).start().await;
    let caller = Caller::of(&server).await;
    (server, caller)
}

#[tokio::test]
async fn a_disk_that_takes_no_more_loses_nothing_that_was_acknowledged() {
    // The write that no longer fits ends after another part of it each time.
    for left in [4, 5, 7] {
        let dir = begun().await;
        let blocks = written_blocks(&dir) + left;
        let limit = format!("trap '' XFSZ; ulimit -f {blocks}");
        let (mut server, caller) = start_cramped(&limit, dir.path()).await;
        let told = Told::of(&caller, 0..40).await;
        assert!(!told.acknowledged.is_empty());
        told.refused_for_the_store();
        has_failed(&mut server, &caller, "File too large").await;
        stop(server).await;
        goes_on(dir.path(), &told).await;
    }
}

/// Where nobody ignores the signal, it ends the program on the spot.
#[tokio::test]
async fn a_program_that_is_ended_for_it_loses_nothing_either() {
    // The first segment is filled before: the first write to it would be the end otherwise.
    let dir = begun().await;
    let limit = format!("ulimit -c 0; ulimit -f {}", written_blocks(&dir) + 4);
    let (server, caller) = start_cramped(&limit, dir.path()).await;
    let told = Told::of(&caller, 0..40).await;
    assert!(!told.acknowledged.is_empty() && !told.refused.is_empty());
    let ended = with_timeout("its end", server.ended()).await;
    assert_eq!(ended.status.code(), None, "ended by a signal");
    goes_on(dir.path(), &told).await;
}
