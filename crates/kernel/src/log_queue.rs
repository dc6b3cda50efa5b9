//! The log queue: a bounded buffer and a writer thread, so that no thread that logs waits for the reader of
//! the log.
//!
//! A slow reader loses lines. They are counted, and the log reports their number as soon as the queue has
//! room.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    mem,
    os::fd::AsFd,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Most bytes of waiting lines. As many again may be in the process of being written.
const CAPACITY_BYTES: usize = 1 << 20;

/// The pause before another write to a full descriptor that some process has made non-blocking.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// A queue of log lines and the thread that writes them. Clones are the same queue.
#[derive(Debug, Clone)]
pub struct LogQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    capacity: usize,
    state: Mutex<State>,
    /// Notified when a line has come into an empty queue.
    filled: Condvar,
    /// Notified when everything has been written.
    drained: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    is_writing: bool,
    /// Dropped lines that the log has not reported yet.
    unreported: u64,
}

impl LogQueue {
    /// Starts a thread that writes the lines of the queue to `sink`.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(name: &str, sink: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_capacity(CAPACITY_BYTES, name, sink)
    }

    fn with_capacity(
        capacity: usize,
        name: &str,
        sink: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Self(Arc::new(Shared {
            capacity,
            state: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
            dropped: AtomicU64::new(0),
        }));
        let writing = queue.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || writing.write_to(sink))?;
        Ok(queue)
    }

    /// Lines lost because the queue was full or the sink failed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all lines have been written, but for no longer than `limit`.
    pub fn flush(&self, limit: Duration) {
        let waits = |state: &mut State| state.is_writing || !state.lines.is_empty();
        // Whether it was in time makes no difference: the process ends either way.
        drop(
            self.0
                .drained
                .wait_timeout_while(self.state(), limit, waits),
        );
    }

    /// Queues a line, or drops it if the queue is full. Never waits for the sink.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.state();
        // The new line is dropped: to remove an old one would take a search and a move under the lock.
        if state.lines.len() + line.len() > self.0.capacity {
            state.unreported += 1;
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        // Released first, so that the writer does not wake up only to wait for this lock.
        drop(state);
        // One notification per batch: the writer sleeps only while the queue is empty.
        if was_empty {
            self.0.filled.notify_one();
        }
    }

    fn write_to(&self, mut sink: impl Write) {
        let mut batch = Vec::new();
        loop {
            let unreported = self.next_batch(&mut batch);
            if let Err(unwritten) = write_all(&mut sink, &batch) {
                // The report of a failed write would fail like the write. The count remains.
                self.0
                    .dropped
                    .fetch_add(lines_in(unwritten), Ordering::Relaxed);
            }
            batch.clear();
            if unreported > 0 {
                // The event passes through this queue like any other, and no lock is held here. The
                // thread's name tells the queue of the audit log from the other one.
                let (current, lines) = (thread::current(), unreported);
                let queue = current.name();
                tracing::warn!(
                    lines,
                    queue,
                    "log lines were dropped: the log is not read fast enough"
                );
            }
        }
    }

    /// Waits for lines and swaps them into the empty `batch`. Returns the number of lines dropped since the
    /// last call.
    fn next_batch(&self, batch: &mut Vec<u8>) -> u64 {
        let mut state = self.state();
        // Set under the lock: `flush` must not see an empty queue while a batch is still being written.
        state.is_writing = false;
        if state.lines.is_empty() {
            self.0.drained.notify_all();
        }
        // A loop, because a condition variable may wake up without a cause.
        while state.lines.is_empty() {
            state = self
                .0
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        // Swapped, so that both buffers keep their memory and the lock is held for three words only.
        mem::swap(&mut state.lines, batch);
        state.is_writing = true;
        mem::take(&mut state.unreported)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes all bytes. The error has the part that was not written.
fn write_all<'b>(sink: &mut impl Write, mut bytes: &'b [u8]) -> Result<(), &'b [u8]> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            // A sink that takes nothing would otherwise keep this loop busy for ever.
            Ok(0) => return Err(bytes),
            Ok(written) => bytes = &bytes[written..],
            // A signal interrupted the write; nothing was lost.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another process that shares the terminal or pipe may have made it non-blocking. Only this
            // thread waits.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_PAUSE),
            Err(_) => return Err(bytes),
        }
    }
    Ok(())
}

fn lines_in(bytes: &[u8]) -> u64 {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').count();
    u64::try_from(lines).unwrap_or(u64::MAX)
}

/// One call writes one line, as the formatting layer does.
impl Write for &LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'q> MakeWriter<'q> for LogQueue {
    type Writer = &'q Self;

    fn make_writer(&'q self) -> Self::Writer {
        self
    }
}

/// Standard error by a descriptor of its own: the handle of the standard library has a lock, which a
/// blocked write would keep from all others.
///
/// # Errors
/// If there is no descriptor left.
pub fn standard_error() -> io::Result<File> {
    Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Long enough for anything that happens at all.
    const FAR_TOO_LONG: Duration = Duration::from_secs(60);

    /// A sink that shows every write to the test and waits for its outcome from there.
    struct Held {
        begun: mpsc::Sender<String>,
        outcomes: mpsc::Receiver<io::Result<()>>,
    }

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.begun
                .send(String::from_utf8(bytes.to_vec()).unwrap())
                .unwrap();
            self.outcomes.recv().unwrap_or(Ok(())).map(|()| bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn held(
        capacity: usize,
    ) -> (
        LogQueue,
        mpsc::Receiver<String>,
        mpsc::Sender<io::Result<()>>,
    ) {
        let (begun, writes) = mpsc::channel();
        let (tell, outcomes) = mpsc::channel();
        (
            LogQueue::with_capacity(capacity, "test-log", Held { begun, outcomes }).unwrap(),
            writes,
            tell,
        )
    }

    #[test]
    fn lines_are_written_in_order_and_those_that_wait_together() {
        let (queue, writes, tell) = held(100);
        queue.push(b"one\n");
        assert_eq!(writes.recv().unwrap(), "one\n");
        queue.push(b"two\n");
        queue.push(b"three\n");
        tell.send(Ok(())).unwrap();
        assert_eq!(writes.recv().unwrap(), "two\nthree\n");
        tell.send(Ok(())).unwrap();
        queue.flush(FAR_TOO_LONG);
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn a_blocked_sink_drops_lines_and_blocks_no_writer() {
        let (queue, writes, tell) = held(10);
        queue.push(b"first\n");
        assert_eq!(writes.recv().unwrap(), "first\n");
        for line in ["aaaa\n", "bbbb\n", "cccc\n", "d\n"] {
            queue.push(line.as_bytes());
        }
        assert_eq!(queue.dropped(), 2, "ten bytes wait, and no more");
        queue.flush(Duration::from_millis(1));
        tell.send(Ok(())).unwrap();
        assert_eq!(writes.recv().unwrap(), "aaaa\nbbbb\n");
    }

    #[test]
    fn a_sink_that_fails_for_good_loses_its_lines_and_one_that_is_busy_does_not() {
        let (queue, writes, tell) = held(100);
        queue.push(b"x\ny\n");
        writes.recv().unwrap();
        tell.send(Err(ErrorKind::BrokenPipe.into())).unwrap();
        queue.flush(FAR_TOO_LONG);
        assert_eq!(queue.dropped(), 2);
        queue.push(b"z\n");
        for outcome in [
            Err(ErrorKind::Interrupted.into()),
            Err(ErrorKind::WouldBlock.into()),
            Ok(()),
        ] {
            assert_eq!(writes.recv().unwrap(), "z\n");
            tell.send(outcome).unwrap();
        }
        queue.flush(FAR_TOO_LONG);
        assert_eq!(queue.dropped(), 2);
    }

    #[test]
    fn dropped_lines_are_reported_once_there_is_room() {
        let (queue, writes, tell) = held(30);
        queue.push(b"first\n");
        assert_eq!(writes.recv().unwrap(), "first\n");
        for _ in 0..5 {
            queue.push(b"a line of 20 letters\n");
        }
        assert_eq!(queue.state().unreported, 4);
        tell.send(Ok(())).unwrap();
        assert_eq!(writes.recv().unwrap(), "a line of 20 letters\n");
        assert_eq!(
            queue.state().unreported,
            0,
            "the writing thread has it in hand"
        );
    }
}
