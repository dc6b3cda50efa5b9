use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex},
};

use futures_util::{FutureExt, future::join_all};

use super::*;
use testkit::schedules::{Stage, every_schedule, point, wait_for};

/// The changes of callers who wait. The second of them has submitted another before, and hung up.
const CALLERS: [u32; 2] = [1, 2];
const HUNG_UP: u32 = 3;

/// What goes wrong with the second write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Fails,
    Panics,
}

/// A disk that is written in two steps.
#[derive(Default)]
struct Disk {
    writes: u32,
    written: Vec<u32>,
    synced: Vec<u32>,
    failed: bool,
}

impl Disk {
    fn write(disk: &Mutex<Self>, changes: &[u32], fault: Fault) -> CommitResult {
        point();
        assert!(!lock(disk).failed, "written after a failure");
        lock(disk).written.extend(changes);
        point();
        let mut disk = lock(disk);
        disk.writes += 1;
        if disk.writes == 2 && fault != Fault::None {
            disk.failed = true;
            drop(disk);
            if fault == Fault::Panics {
                resume_unwind(Box::new("the log panics"));
            }
            return Err(CommitError::write(std::io::Error::other("no room")));
        }
        let Disk {
            written, synced, ..
        } = &mut *disk;
        synced.clone_from(written);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A way to run the queue, which may be wrong.
type Run = fn(&BatchReceiver<u32>, &mut dyn FnMut(&[u32]) -> CommitResult);

fn scene(stage: &Stage, fault: Fault, run: Run) {
    let disk = Mutex::new(Disk::default());
    let answers = Mutex::new(Vec::new());
    let (queue, batches) = commit_queue(2);
    let queue = Arc::new(queue);
    let (disk, answers) = (&disk, &answers);
    let mut actors: Vec<Box<dyn FnOnce() + Send + '_>> = vec![Box::new(move || {
        let ran =
            AssertUnwindSafe(|| run(&batches, &mut |changes| Disk::write(disk, changes, fault)));
        let panicked = catch_unwind(ran).is_err();
        assert!(
            !panicked || lock(disk).failed && fault == Fault::Panics,
            "written after a failure"
        );
    })];
    for change in CALLERS {
        let queue = Arc::clone(&queue);
        actors.push(Box::new(move || {
            if change == CALLERS[1] {
                drop(queue.submit(HUNG_UP));
                point();
            }
            let answer = wait_for(queue.submit(change));
            let synced = lock(disk).synced.contains(&change);
            assert!(
                answer.is_err() || synced,
                "acknowledged before it was synced"
            );
            lock(answers).push((change, answer.is_ok()));
        }));
    }
    drop(queue);
    stage.play(actors);
    let (disk, answers) = (lock(disk), lock(answers));
    assert_eq!(answers.len(), CALLERS.len());
    assert!(
        answers
            .iter()
            .all(|&(change, done)| done == disk.synced.contains(&change)),
        "{answers:?}"
    );
    let whole = disk.synced.len() == CALLERS.len() + 1;
    assert!(
        whole || disk.failed,
        "lost without a failure: {:?}",
        disk.synced
    );
}

#[test]
fn what_is_acknowledged_is_synced_and_everyone_is_answered_under_every_schedule() {
    for fault in [Fault::None, Fault::Fails, Fault::Panics] {
        let schedules = every_schedule(2, |stage| {
            scene(stage, fault, |batches, write| {
                batches.run(|changes| write(changes).map(|()| vec![Ok(()); changes.len()]));
            });
        });
        eprintln!("{fault:?}: {} schedules", schedules.unwrap());
    }
}

/// The next batch, as soon as there is one.
fn next(batches: &BatchReceiver<u32>) -> Option<Batch<u32>> {
    let mut batch = Batch::default();
    batches.fill(&mut batch, 0).then_some(batch)
}

/// Answers all of them alike.
fn notify_all(
    waiters: impl IntoIterator<Item = Waiter, IntoIter: ExactSizeIterator>,
    result: &CommitResult,
) {
    notify(waiters.into_iter().map(|waiter| (waiter, result.clone())));
}

/// Answers a batch before it is written.
fn hastily(batches: &BatchReceiver<u32>, write: &mut dyn FnMut(&[u32]) -> CommitResult) {
    while let Some(Batch { changes, waiters }) = next(batches) {
        notify_all(waiters, &Ok(()));
        let _ = write(&changes);
    }
}

/// Tries again with the next batch after a failure.
fn doggedly(batches: &BatchReceiver<u32>, write: &mut dyn FnMut(&[u32]) -> CommitResult) {
    while let Some(Batch { changes, waiters }) = next(batches) {
        let result = write(&changes);
        notify_all(waiters, &result);
    }
}

/// Answers the first of each batch only.
fn forgetfully(batches: &BatchReceiver<u32>, write: &mut dyn FnMut(&[u32]) -> CommitResult) {
    while let Some(Batch { changes, waiters }) = next(batches) {
        let result = write(&changes);
        let mut waiters = waiters.into_iter();
        notify_all(waiters.by_ref().take(1), &result);
        std::mem::forget(waiters);
    }
}

/// Ends when nothing is pending.
fn lazily(batches: &BatchReceiver<u32>, write: &mut dyn FnMut(&[u32]) -> CommitResult) {
    let Some(Batch { changes, waiters }) = next(batches) else {
        return;
    };
    let result = write(&changes);
    notify_all(waiters, &result);
    point();
    let mut rest = Batch::default();
    batches
        .receiver
        .try_iter()
        .for_each(|pending| rest.push(pending));
    let Batch { changes, waiters } = rest;
    let result = write(&changes);
    notify_all(waiters, &result);
}

/// The negative control.
#[test]
fn a_queue_that_is_run_in_another_way_is_found_out() {
    let wrong: [(Run, Fault, &str); 4] = [
        (hastily, Fault::None, "acknowledged before it was synced"),
        (doggedly, Fault::Fails, "written after a failure"),
        (forgetfully, Fault::None, "no thread is ready"),
        (lazily, Fault::None, "lost without a failure"),
    ];
    for (run, fault, expected) in wrong {
        let caught = every_schedule(2, |stage| scene(stage, fault, run)).unwrap_err();
        assert!(caught.why.contains(expected), "{expected}: {}", caught.why);
        eprintln!("{expected}: found out after {} schedules", caught.schedules);
    }
}

/// Callers in two runtimes and one in none, who all wait for the same batch.
#[test]
fn everyone_is_answered_and_each_runtime_is_woken_once() {
    let (queue, batches) = commit_queue(5);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    let runtimes = [runtime(), runtime()];
    let waiting = runtimes.each_ref().map(|runtime| {
        let _inside = runtime.enter();
        [queue.submit(1), queue.submit(2)]
    });
    let outside = queue.submit(3);
    drop(queue);
    batches.run(|changes| {
        assert_eq!(changes, [1, 2, 1, 2, 3]);
        Ok(vec![Ok(()); 5])
    });
    outside.now_or_never().unwrap().unwrap();
    for (runtime, waiting) in runtimes.iter().zip(waiting) {
        assert_eq!(runtime.metrics().num_alive_tasks(), 1);
        for answer in runtime.block_on(join_all(waiting)) {
            answer.unwrap();
        }
    }
}

#[test]
fn a_change_that_is_stale_is_told_so_and_those_beside_it_are_written() {
    let (queue, batches) = commit_queue(3);
    let waiting = [1, 2, 3].map(|change| queue.submit(change));
    drop(queue);
    let stale = || CommitError::Stale(crate::Precondition::NewRequest(crate::OrderKey([1; 16])));
    batches.run(|_| Ok(vec![Ok(()), Err(stale()), Ok(())]));
    let results = waiting.map(|result| result.now_or_never().unwrap());
    assert!(matches!(
        results,
        [Ok(()), Err(CommitError::Stale(_)), Ok(())]
    ));
}
