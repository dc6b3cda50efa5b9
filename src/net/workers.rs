//! The threads that serve connections, and the assignment of connections to them.

use std::{
    io,
    num::NonZero,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use tokio::{runtime, sync::mpsc};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{ConnectionContext, HttpHandler, Phase, listener::AcceptedConnection};
use crate::config::{RuntimeChoice, Serving};
use kernel::blocking::{self, BlockingError};

/// Blocking threads per worker, for lists of orders and password verification. They start with the
/// server and are kept, because a thread may not be available later. The bound keeps slow lists
/// from piling up threads.
const THREADS_BESIDE: usize = 4;

/// By how much background threads are nicer than others. Not the maximum: they take the locks of slots, if only for a
/// moment, and whoever waits for one must not wait for long.
const BACKGROUND_NICENESS: i32 = 5;

/// Blocking threads of the control thread, for reading files and exporting feeds.
const THREADS_OF_CONTROL: usize = 8;

/// The workers. A connection stays with one worker, so each new one goes to the worker with the
/// fewest.
#[derive(Debug)]
pub(crate) struct Workers(Vec<Worker>);

/// A thread with a runtime of its own, or several that share one.
#[derive(Debug)]
struct Worker {
    // Unbounded, because the table of connections bounds what is in it, and the acceptor must not
    // wait.
    accepted: mpsc::UnboundedSender<Assigned>,
    connections: TaskTracker,
}

/// The receiving side of a worker.
type Assignments = mpsc::UnboundedReceiver<Assigned>;

/// A connection, and the token that counts it for its worker.
type Assigned = (AcceptedConnection, TaskTrackerToken);

impl Workers {
    /// Starts the workers, which run until the server stops.
    pub(crate) fn start(
        settings: &Serving,
        context: &ConnectionContext<impl HttpHandler>,
    ) -> io::Result<(Self, Vec<thread::JoinHandle<()>>)> {
        let (mut workers, mut threads) = (Vec::new(), Vec::new());
        for number in 0..runtimes(settings) {
            let (worker, assignments) = Worker::new();
            // Built here rather than in the thread, so that a failure is reported at startup.
            let (runtime, context) = (runtime(settings)?, context.clone());
            let thread = thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || runtime.block_on(serve(assignments, context)))?;
            workers.push(worker);
            threads.push(thread);
        }
        Ok((Self(workers), threads))
    }

    /// Assigns a connection to the worker with the fewest.
    pub(crate) fn assign(&self, accepted: AcceptedConnection) {
        if let Some(worker) = self.idlest() {
            // Fails only if the worker's thread has died. The connection is then dropped, which
            // closes it.
            let _ = worker.accepted.send((accepted, worker.connections.token()));
        }
    }

    fn idlest(&self) -> Option<&Worker> {
        self.0.iter().min_by_key(|worker| worker.connections.len())
    }
}

impl Worker {
    fn new() -> (Self, Assignments) {
        let (accepted, assignments) = mpsc::unbounded_channel();
        (
            Self {
                accepted,
                connections: TaskTracker::new(),
            },
            assignments,
        )
    }
}

async fn serve(mut assignments: Assignments, context: ConnectionContext<impl HttpHandler>) {
    let mut phase = context.phase.clone();
    // Ends when the acceptor is dropped, so no assigned connection is left in the channel.
    while let Some((accepted, counted)) = assignments.recv().await {
        accepted.serve(context.clone(), counted);
    }
    // The connections are tasks of this runtime, which ends with this future. An error means that
    // the server is gone.
    let _ = phase.wait_for(|phase| *phase == Phase::Stopped).await;
}

/// Threads that serve connections.
pub(crate) fn threads(settings: &Serving) -> usize {
    // Respects CPU affinity and cgroup quotas, which the number of processors does not.
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    settings.workers.unwrap_or_else(cores)
}

fn runtimes(settings: &Serving) -> usize {
    match settings.runtime {
        RuntimeChoice::PerCore => threads(settings),
        RuntimeChoice::Shared => 1,
    }
}

fn runtime(settings: &Serving) -> io::Result<OwnRuntime> {
    let mut builder = match settings.runtime {
        RuntimeChoice::PerCore => runtime::Builder::new_current_thread(),
        RuntimeChoice::Shared => runtime::Builder::new_multi_thread(),
    };
    let threads = threads(settings);
    builder.worker_threads(threads);
    // A shared runtime gets the blocking threads of all workers; otherwise the quotient is 1.
    with_threads(builder, THREADS_BESIDE * (threads / runtimes(settings)))
}

/// The runtime of the control thread, for work that belongs to no connection.
///
/// # Errors
/// If the system gives no threads for it.
pub(crate) fn control_runtime() -> io::Result<OwnRuntime> {
    with_threads(runtime::Builder::new_current_thread(), THREADS_OF_CONTROL)
}

/// The runtime of work for which no caller waits, on `threads` threads of lower priority.
///
/// # Errors
/// If the system gives no threads for it.
pub(crate) fn background_runtime(threads: usize) -> io::Result<OwnRuntime> {
    let mut builder = runtime::Builder::new_multi_thread();
    builder
        .worker_threads(threads)
        .thread_name("background")
        .on_thread_start(lower_priority);
    with_threads(builder, THREADS_BESIDE)
}

/// Lowers the priority of this thread.
fn lower_priority() {
    // Best effort: the work is the same at any priority. On Linux the call concerns this thread only.
    if let Err(error) = rustix::process::nice(BACKGROUND_NICENESS) {
        tracing::warn!(%error, "a background thread keeps the priority of the others");
    }
}

/// Builds a runtime and starts all the blocking threads that it will ever have.
fn with_threads(mut builder: runtime::Builder, blocking_threads: usize) -> io::Result<OwnRuntime> {
    builder
        .max_blocking_threads(blocking_threads)
        .thread_keep_alive(blocking::KEEP_ALIVE)
        .enable_all();
    // The builder panics if the system gives no thread for a worker.
    let runtime = catch_unwind(AssertUnwindSafe(|| builder.build()));
    let runtime = runtime.unwrap_or_else(|_| Err(io::Error::other(BlockingError::NoThread)))?;
    let runtime = OwnRuntime(Some(runtime));
    blocking::start_threads(&runtime, blocking_threads)?;
    Ok(runtime)
}

/// A runtime that does not wait for blocking work on drop. It may therefore be dropped within
/// another runtime, such as when a later step of the startup fails.
#[derive(Debug)]
pub(crate) struct OwnRuntime(Option<runtime::Runtime>);

impl Deref for OwnRuntime {
    type Target = runtime::Runtime;

    fn deref(&self) -> &runtime::Runtime {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Which worker is next, by where it stands.
    fn next(workers: &Workers) -> usize {
        let idlest = workers.idlest().unwrap();
        workers
            .0
            .iter()
            .position(|worker| std::ptr::eq(worker, idlest))
            .unwrap()
    }

    #[test]
    fn a_connection_goes_to_the_worker_that_has_the_fewest() {
        let workers = Workers((0..3).map(|_| Worker::new().0).collect());
        let mut open = std::collections::VecDeque::new();
        for expected in [0, 1, 2, 0, 1, 2] {
            assert_eq!(next(&workers), expected);
            open.push_back(workers.0[expected].connections.token());
        }
        // The second connection ends, and its worker is the next.
        drop(open.remove(1));
        assert_eq!(next(&workers), 1);
        assert!(Workers(Vec::new()).idlest().is_none());
    }

    #[test]
    fn blocking_work_has_a_bounded_number_of_threads() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        let work = || {
            let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
            (0..100).for_each(|_| thread::yield_now());
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            running
        };
        for (choice, most) in [
            (RuntimeChoice::PerCore, THREADS_BESIDE),
            (RuntimeChoice::Shared, 3 * THREADS_BESIDE),
        ] {
            let mut config = crate::config::Config::default();
            config.serving.runtime = choice;
            config.serving.workers = Some(3);
            let runtime = runtime(&config.serving).unwrap();
            let all: Vec<_> = (0..200).map(|_| runtime.spawn_blocking(work)).collect();
            let seen = all
                .into_iter()
                .map(|one| runtime.block_on(one).unwrap())
                .max();
            assert!(seen <= Some(most), "{seen:?} threads at a time");
        }
    }
}
