//! From those who commit to the one who writes: group commit with natural batching.
//!
//! Whatever is waiting goes into one batch; while that is being written, the next one gathers. No
//! batch waits for time to pass, only for others who are about to hand in and have a busy core. Who
//! hands a change in is answered once its batch has been written. The first write that fails is the
//! last: it is the answer for everyone from then on, because nobody knows what is on disk.

use std::{
    mem,
    sync::{Arc, mpsc},
    thread,
};

use tokio::{runtime::Handle, sync::oneshot};

use crate::{metrics::Counter, store::StoreError};

/// What came of a batch.
type Outcome = Result<(), StoreError>;

/// Where a caller is told what came of its change.
type Done = oneshot::Sender<Outcome>;

/// Who waits for a change to be written.
struct Caller {
    done: Done,
    /// The runtime that it waits in.
    home: Option<Handle>,
}

/// A change that waits to be written, and who waits for it.
struct Waiting<C> {
    change: C,
    caller: Caller,
}

/// Where changes are handed in.
pub(super) struct Intake<C> {
    sender: mpsc::Sender<Waiting<C>>,
    traffic: Arc<Traffic>,
}

/// How many changes have come and gone.
#[derive(Default)]
struct Traffic {
    handed_in: Counter,
    answered: Counter,
}

/// Where they come out.
pub(super) struct Batches<C> {
    waiting: mpsc::Receiver<Waiting<C>>,
    most: usize,
    traffic: Arc<Traffic>,
}

/// A way from one to the other, for at most so many changes in one batch.
pub(super) fn handoff<C>(most: usize) -> (Intake<C>, Batches<C>) {
    let ((sender, waiting), traffic) = (mpsc::channel(), Arc::<Traffic>::default());
    let batches = Batches {
        waiting,
        most: most.max(1),
        traffic: Arc::clone(&traffic),
    };
    (Intake { sender, traffic }, batches)
}

impl<C> Intake<C> {
    /// Hands a change in and gives what comes of it. It is on its way even if nobody waits for that.
    pub(super) fn hand_in(&self, change: C) -> impl Future<Output = Outcome> + use<C> {
        let (done, written) = oneshot::channel();
        let caller = Caller {
            done,
            home: Handle::try_current().ok(),
        };
        self.traffic.handed_in.inc();
        let sent = self.sender.send(Waiting { change, caller }).is_ok();
        async move {
            let stopped = || StoreError::Failed("the writer has stopped".to_owned());
            if !sent {
                return Err(stopped());
            }
            written.await.map_err(|_| stopped())?
        }
    }

    /// How many changes wait to be written or are being written.
    pub(super) fn waiting(&self) -> u64 {
        self.traffic.waiting()
    }
}

impl Traffic {
    fn waiting(&self) -> u64 {
        // In this order, because what is answered has been handed in before.
        let answered = self.answered.get();
        self.handed_in.get().saturating_sub(answered)
    }

    /// Lets those go first who are about to hand in, where the cores are busy with them, until half of
    /// all are waiting: fewer writes are then for more of them, and the other half is at work during
    /// each. Where a core is free, this takes no time.
    fn gather(&self, answered: u64) {
        let mut waiting = self.waiting();
        let half = waiting.midpoint(answered);
        while waiting < half {
            thread::yield_now();
            let before = mem::replace(&mut waiting, self.waiting());
            if waiting == before {
                return;
            }
        }
    }
}

impl<C> Batches<C> {
    /// Writes one batch after another and answers those who wait for it, until nobody can hand in
    /// any more.
    pub(super) fn serve(&self, mut write: impl FnMut(Vec<C>) -> Outcome) {
        let (mut outcome, mut answered) = (Ok(()), 0);
        while let Some((changes, callers)) = self.next(answered) {
            outcome = outcome.and_then(|()| write(changes));
            answered = u64::try_from(callers.len()).unwrap_or(u64::MAX);
            self.traffic.answered.add(answered);
            tell(callers, &outcome);
        }
    }

    /// Whatever is waiting, as soon as anything is. So many have just been answered, and may be back.
    fn next(&self, answered: u64) -> Option<(Vec<C>, Vec<Caller>)> {
        let first = self.first()?;
        self.traffic.gather(answered);
        let waiting = std::iter::once(first)
            .chain(self.waiting.try_iter())
            .take(self.most);
        let room = usize::try_from(self.traffic.waiting())
            .unwrap_or(self.most)
            .min(self.most);
        let mut batch = (Vec::with_capacity(room), Vec::with_capacity(room));
        batch.extend(waiting.map(|Waiting { change, caller }| (change, caller)));
        Some(batch)
    }

    fn first(&self) -> Option<Waiting<C>> {
        #[cfg(test)]
        if let Some(first) = crate::tests::schedules::receive(&self.waiting) {
            return first.ok();
        }
        self.waiting.recv().ok()
    }
}

/// Tells everyone. To wake somebody in a runtime from outside takes a system call, so every runtime is
/// woken once and tells those who wait in it.
fn tell(callers: Vec<Caller>, outcome: &Outcome) {
    let mut homes: Vec<(Handle, Vec<Done>)> = Vec::new();
    for Caller { done, home } in callers {
        let Some(home) = home else {
            tell_all([done], outcome);
            continue;
        };
        match homes.iter_mut().find(|(known, _)| known.id() == home.id()) {
            Some((_, waiting)) => waiting.push(done),
            None => homes.push((home, vec![done])),
        }
    }
    for (home, waiting) in homes {
        let outcome = outcome.clone();
        home.spawn(async move { tell_all(waiting, &outcome) });
    }
}

/// Who has stopped waiting is told nothing; the change stands all the same.
fn tell_all(waiting: impl IntoIterator<Item = Done>, outcome: &Outcome) {
    for done in waiting {
        let _ = done.send(outcome.clone());
    }
}

#[cfg(test)]
mod tests;
