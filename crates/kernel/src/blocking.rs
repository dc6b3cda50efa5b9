//! Work that may wait for the disk or take long, on threads beside those that serve calls.
//!
//! Such a thread may not be there to be had: a limit of processes, or of the container, is reached. The
//! runtime panics then. Here that becomes an error, so that one call is refused and nothing else happens.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    task::{JoinHandle, spawn_blocking},
};
use tokio_util::task::AbortOnDropHandle;

/// How long blocking threads may take to start.
const START_LIMIT: Duration = Duration::from_secs(2);

/// How long a blocking thread may be idle before it ends: as good as for ever, because another may not be
/// there to be had when it is needed.
pub const KEEP_ALIVE: Duration = Duration::from_secs(u32::MAX as u64);

/// Why work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// There is no thread for it, and the system gives none.
    #[error("the system gives this process no further thread")]
    NoThread,
    /// It panicked, which has been logged.
    #[error("an internal error; it has been logged")]
    Panicked,
}

/// Bytes of a message beyond which taking it apart or putting it together is such work.
pub const LONG_BYTES: usize = 64 * 1024;

/// Does work on a blocking thread of the present runtime, and waits for it. Work that nobody waits for any
/// more is not begun.
///
/// # Errors
/// [`BlockingError`].
pub async fn run<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, BlockingError> {
    AbortOnDropHandle::new(start(work)?)
        .await
        .map_err(|_| BlockingError::Panicked)
}

/// Begins work on a blocking thread of the present runtime. It goes on if nobody waits for it.
///
/// # Errors
/// [`BlockingError::NoThread`].
pub fn start<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<JoinHandle<R>, BlockingError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that has a runtime start such work"
    )]
    let spawn = || spawn_blocking(work);
    catch_unwind(AssertUnwindSafe(spawn)).map_err(|_| BlockingError::NoThread)
}

/// Starts `threads` blocking threads of a runtime that keeps them for [`KEEP_ALIVE`], so that later work
/// does not depend on what the system then has to give. If some cannot be started, work will queue for
/// the others.
///
/// # Errors
/// If not even one can be started.
pub fn start_threads(runtime: &Runtime, threads: usize) -> io::Result<()> {
    let _within = runtime.enter();
    let (started, running) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    for _ in 0..threads {
        let (started, held) = (started.clone(), held.clone());
        let wait = move || {
            let _ = started.send(());
            // An error is the release: the sender has been dropped.
            let _ = held.lock().map(|held| held.recv());
        };
        start(wait).map_err(io::Error::other)?;
    }
    // Each holds one thread, so as many as say so are as many threads.
    let count = (0..threads)
        .map_while(|_| running.recv_timeout(START_LIMIT).ok())
        .count();
    drop(release);
    if count < threads {
        tracing::warn!(
            wanted = threads,
            started = count,
            "the system gives fewer threads than are wanted; raise its limit of processes or lower `workers`"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    };

    use futures_util::FutureExt;
    use tokio::runtime;

    use super::*;

    #[test]
    fn work_is_done_or_lost_and_not_begun_for_nobody() {
        let runtime = runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        assert_eq!(runtime.block_on(run(|| 7)), Ok(7));
        assert_eq!(
            runtime.block_on(run(|| panic!("on purpose"))),
            Err::<(), _>(BlockingError::Panicked)
        );
        let (go, gone) = mpsc::channel();
        let begun = Arc::new(AtomicBool::new(false));
        let begin = Arc::clone(&begun);
        runtime.block_on(async {
            let first = run(move || gone.recv());
            tokio::pin!(first);
            assert!(first.as_mut().now_or_never().is_none());
            assert!(
                run(move || begin.store(true, Ordering::SeqCst))
                    .now_or_never()
                    .is_none()
            );
            go.send(()).unwrap();
            first.await.unwrap().unwrap();
            run(|| {}).await.unwrap();
        });
        assert!(!begun.load(Ordering::SeqCst));
    }
}
