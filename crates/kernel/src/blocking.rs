//! Work that waits for the disk or takes long, on threads of its own beside the workers.
//!
//! The system may give no further thread: a limit of processes, or of the container, is reached. The
//! runtime then panics. Here the panic becomes an error, so that one call is rejected and nothing else
//! happens.

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

/// Most time for the start of blocking threads.
const START_LIMIT: Duration = Duration::from_secs(2);

/// The idle time after which a blocking thread ends: practically never, because the system may not give
/// another one later.
pub const KEEP_ALIVE: Duration = Duration::from_secs(u32::MAX as u64);

/// Why work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// No thread is free, and the system gives none.
    #[error("the system gives this process no further thread")]
    NoThread,
    /// The work panicked, which has been logged.
    #[error("an internal error; it has been logged")]
    Panicked,
}

/// Messages above this size, in bytes, are parsed and serialized on a blocking thread: below it, the change
/// of threads costs more than the work.
pub const LONG_BYTES: usize = 64 * 1024;

/// Runs work on a blocking thread of the current runtime and waits for it. Work whose caller is dropped
/// before it begins is not done.
///
/// # Errors
/// [`BlockingError`].
pub async fn run<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, BlockingError> {
    // Aborted on drop, so that work of callers that have disconnected does not queue before the work of
    // others.
    AbortOnDropHandle::new(start(work)?)
        .await
        .map_err(|_| BlockingError::Panicked)
}

/// Starts work on a blocking thread of the current runtime. It continues if its handle is dropped.
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
    // The panic is the only sign of a missing thread. Unwind-safe: the closure is dropped and never used
    // again.
    catch_unwind(AssertUnwindSafe(spawn)).map_err(|_| BlockingError::NoThread)
}

/// Starts `threads` blocking threads of a runtime that keeps them for [`KEEP_ALIVE`], so that later work
/// does not depend on the system. If some cannot be started, work queues for the others.
///
/// # Errors
/// If not even one can be started.
pub fn start_threads(runtime: &Runtime, threads: usize) -> io::Result<()> {
    // `spawn_blocking` takes the runtime from the thread, and startup runs outside of any runtime.
    let _within = runtime.enter();
    let (started, running) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    // All threads wait on one receiver: while each is blocked, the runtime has to start another for the
    // next task.
    let held = std::sync::Arc::new(std::sync::Mutex::new(held));
    for _ in 0..threads {
        let (started, held) = (started.clone(), held.clone());
        let wait = move || {
            // Fails only after the time limit, when the receiver is gone; the thread exists all the same.
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
    // Dropping the sender releases every waiting thread at once; they stay alive and idle.
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
    fn work_of_a_dropped_caller_is_not_started() {
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
