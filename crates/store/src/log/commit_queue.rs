//! The queue between those who commit and the thread that writes: group commit without a timer.
//!
//! The writer takes all pending changes as one batch; the next batch gathers while that one is
//! being synced. A batch never waits for time to pass, only for callers that are about to submit on
//! a busy core. A caller gets its result once its batch is durable. The first write that fails is
//! the last: the state on disk is unknown, so all later commits get its error.

use std::{
    sync::{Arc, mpsc},
    thread,
};

use smallvec::SmallVec;
use tokio::{runtime::Handle, sync::oneshot};

use crate::{CommitError, CommitFuture};
use kernel::metrics::Counter;

pub(super) type CommitResult = Result<(), CommitError>;

/// The results of the changes of a batch, or the error of a failed write.
pub(super) type BatchResult = Result<Vec<CommitResult>, CommitError>;

type Reply = oneshot::Sender<CommitResult>;

/// Callers in one runtime, each with its result.
type Replies = Vec<(Reply, CommitResult)>;

/// The side of the callers.
pub(super) struct CommitQueue<C> {
    sender: mpsc::Sender<PendingCommit<C>>,
    depth: Arc<QueueDepth>,
}

/// The side of the writer.
pub(super) struct BatchReceiver<C> {
    receiver: mpsc::Receiver<PendingCommit<C>>,
    max_changes: usize,
    depth: Arc<QueueDepth>,
}

/// A change that is not written yet, and who waits for it.
struct PendingCommit<C> {
    change: C,
    waiter: Waiter,
}

struct Waiter {
    reply: Reply,
    /// The runtime that the caller waits in; `None` outside of one.
    runtime: Option<Handle>,
}

/// Changes that share one write.
struct Batch<C> {
    changes: Vec<C>,
    waiters: Vec<Waiter>,
}

/// Where the writer is after the batches so far.
pub(super) struct WriterProgress<C> {
    /// The error of the first write that failed.
    failure: Option<CommitError>,
    /// The callers of the last batch, who may submit again.
    completed: u64,
    /// Kept from batch to batch with its memory.
    batch: Batch<C>,
}

impl<C> Default for WriterProgress<C> {
    fn default() -> Self {
        Self {
            failure: None,
            completed: 0,
            batch: Batch::default(),
        }
    }
}

#[derive(Default)]
struct QueueDepth {
    submitted: Counter,
    completed: Counter,
}

/// Both sides of a queue whose batches have at most `max_changes` changes, and at least one.
pub(super) fn commit_queue<C>(max_changes: usize) -> (CommitQueue<C>, BatchReceiver<C>) {
    // Unbounded: the limit of concurrent calls bounds it, and a caller must not block its core
    // here.
    let (sender, receiver) = mpsc::channel();
    let depth = Arc::<QueueDepth>::default();
    let batches = BatchReceiver {
        receiver,
        // A batch of none would never empty the queue.
        max_changes: max_changes.max(1),
        depth: Arc::clone(&depth),
    };
    (CommitQueue { sender, depth }, batches)
}

impl<C> CommitQueue<C> {
    /// Submits a change. The future is ready once the change is durable or has failed; dropping it does not
    /// take the change back.
    pub(super) fn submit(&self, change: C) -> CommitFuture {
        // Remembered by the caller, because the writer thread runs outside of every runtime.
        CommitFuture::submitted(self.send(change, Handle::try_current().ok()))
    }

    /// Submits a change and waits until it is durable or has failed. For threads that may block.
    pub(super) fn submit_and_wait(&self, change: C) -> CommitResult {
        // Outside of the runtime, whose threads may all be busy.
        let result = self.send(change, None).blocking_recv();
        // As in [`CommitFuture::submitted`].
        result.unwrap_or(Err(CommitError::WriterStopped))
    }

    /// Sends a change to the writer. Where its result arrives.
    fn send(&self, change: C, runtime: Option<Handle>) -> oneshot::Receiver<CommitResult> {
        let (reply, result) = oneshot::channel();
        let waiter = Waiter { reply, runtime };
        // Counted before it is sent: the writer must never see more completed than submitted.
        self.depth.submitted.add(1);
        // A change that cannot be sent is dropped with its reply. The receiver reports that, so that a caller has one place
        // to look for errors.
        let _ = self.sender.send(PendingCommit { change, waiter });
        result
    }

    /// How many changes are submitted and not completed.
    pub(super) fn pending(&self) -> u64 {
        self.depth.pending()
    }
}

impl<C> Clone for CommitQueue<C> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            depth: Arc::clone(&self.depth),
        }
    }
}

impl QueueDepth {
    fn pending(&self) -> u64 {
        // `completed` first: what is completed was submitted before. Read the other way round, changes that
        // come and go between the two reads would make it negative.
        let completed = self.completed.get();
        self.submitted.get().saturating_sub(completed)
    }
}

impl<C> Default for Batch<C> {
    fn default() -> Self {
        Self {
            changes: Vec::new(),
            waiters: Vec::new(),
        }
    }
}

impl<C> Batch<C> {
    fn push(&mut self, PendingCommit { change, waiter }: PendingCommit<C>) {
        self.changes.push(change);
        self.waiters.push(waiter);
    }
}

impl<C> BatchReceiver<C> {
    /// Writes one batch after another and answers its callers, until the queue is dropped and empty. `write` has a result
    /// for each change, in their order, or one error for all of them and all later ones.
    pub(super) fn run(&self, mut write: impl FnMut(&[C]) -> BatchResult) {
        let mut progress = WriterProgress::default();
        while self.fill(&mut progress.batch, progress.completed) {
            self.complete(&mut progress, &mut write);
        }
    }

    /// Takes one step of [`Self::run`] if a change is pending, and says whether one was. For a single thread: another one
    /// could be about to submit what this one would wait for.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn run_once(
        &self,
        progress: &mut WriterProgress<C>,
        mut write: impl FnMut(&[C]) -> BatchResult,
    ) -> bool {
        if self.depth.pending() == 0 || !self.fill(&mut progress.batch, progress.completed) {
            return false;
        }
        self.complete(progress, &mut write);
        true
    }

    fn complete(
        &self,
        progress: &mut WriterProgress<C>,
        write: &mut impl FnMut(&[C]) -> BatchResult,
    ) {
        let batch = &mut progress.batch;
        // Never again after a failure: a later sync may report success for pages that were dropped.
        let results = match &progress.failure {
            None => write(&batch.changes),
            Some(error) => Err(CommitError::clone(error)),
        };
        batch.changes.clear();
        progress.completed = u64::try_from(batch.waiters.len()).unwrap_or(u64::MAX);
        // Before the answers: a caller that was answered must not count as pending.
        self.depth.completed.add(progress.completed);
        let waiters = batch.waiters.drain(..);
        match results {
            Ok(results) => notify(waiters.zip(results)),
            Err(error) => {
                let error = progress.failure.insert(error);
                notify(waiters.map(|waiter| (waiter, Err(error.clone()))));
            }
        }
    }

    /// Fills an empty batch with all pending changes, as soon as there is one; `false` once nobody can submit any more.
    /// `completed` callers have just been answered and may submit again.
    fn fill(&self, batch: &mut Batch<C>, completed: u64) -> bool {
        let Some(first) = self.receive() else {
            return false;
        };
        // After the first change is there, so that an idle queue sleeps in `recv` and spins
        // nowhere.
        self.linger(completed);
        batch.push(first);
        while batch.changes.len() < self.max_changes {
            // Counted but not sent yet, or the queue is empty: the batch does not wait for either.
            let Ok(pending) = self.receiver.try_recv() else {
                break;
            };
            batch.push(pending);
        }
        true
    }

    /// Waits for the first change of a batch; `None` once nobody can submit any more.
    fn receive(&self) -> Option<PendingCommit<C>> {
        #[cfg(test)]
        if let Some(received) = testkit::schedules::receive(&self.receiver) {
            return received.ok();
        }
        self.receiver.recv().ok()
    }

    /// Yields the core to callers that are about to submit, until half of all known callers are pending:
    /// those pending now and those just answered. Fewer syncs then serve more callers, and the other half
    /// has work to do during each.
    fn linger(&self, completed: u64) {
        let mut pending = self.depth.pending();
        let target = pending.midpoint(completed);
        while pending < target {
            // Yields instead of sleeping: the shortest sleep is longer than a caller needs to
            // submit.
            thread::yield_now();
            let now = self.depth.pending();
            if now == pending {
                // Either a core is free, and yielding took no time, or the others are not about to submit.
                return;
            }
            pending = now;
        }
    }
}

/// Answers callers. To wake a task from outside of its runtime takes a system call, so each runtime is
/// woken once, by a task that answers all callers in it.
fn notify(answers: impl ExactSizeIterator<Item = (Waiter, CommitResult)>) {
    let callers = answers.len();
    let mut by_runtime: SmallVec<[(Handle, Replies); 4]> = SmallVec::new();
    for (Waiter { reply, runtime }, result) in answers {
        let Some(runtime) = runtime else {
            reply_all([(reply, result)]);
            continue;
        };
        let known = by_runtime
            .iter_mut()
            // Linear: there are as many runtimes as cores, and a map would cost more than it saves.
            .find(|(known, _)| known.id() == runtime.id());
        if let Some((_, replies)) = known {
            replies.push((reply, result));
        } else {
            // With room for all, so that it never grows.
            let mut replies = Replies::with_capacity(callers);
            replies.push((reply, result));
            by_runtime.push((runtime, replies));
        }
    }
    for (runtime, replies) in by_runtime {
        runtime.spawn(async move { reply_all(replies) });
    }
}

fn reply_all(replies: impl IntoIterator<Item = (Reply, CommitResult)>) {
    for (reply, result) in replies {
        // A caller that no longer waits has dropped its receiver; its change stands all the same.
        let _ = reply.send(result);
    }
}

#[cfg(test)]
mod tests;
