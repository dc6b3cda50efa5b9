//! Detection of responses whose readers take no bytes, and their reset.
//!
//! Neither HTTP/1.1 nor HTTP/2 polls a response body while the peer takes no bytes, so the body
//! cannot see that it stalls. The task that polls the connection or the stream can: the progress of
//! its last poll is kept beside it.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::sleep;

use super::activity::ActiveCall;
use crate::net::stalled::StalledResponses;

/// The time for which a peer may take no bytes, and the table of stalled responses.
#[derive(Debug, Clone)]
pub(super) struct SendTimeout {
    pub(super) limit: Duration,
    pub(super) stalled: Arc<StalledResponses>,
}

/// The progress of a task's response.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Incremented by every frame and every write that is taken.
    steps: u64,
    answer: Sending,
    /// Whether the connection takes no more bytes at present.
    is_blocked: bool,
}

/// The side that a response waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Sending {
    /// No response is in progress.
    #[default]
    Nothing,
    /// The peer has to take bytes.
    ForReader,
    /// The server has nothing to send yet.
    ForServer,
}

thread_local! {
    /// The progress of the task that is being polled; `None` if no detector watches it.
    // A thread-local, because the HTTP library lets nothing pass between the body it polls and the
    // task that polls it. A poll never leaves its thread, so no other task can see the value.
    static CURRENT: Cell<Option<Progress>> = const { Cell::new(None) };
}

fn note(change: impl FnOnce(&mut Progress)) {
    CURRENT.with(|current| {
        // Without a detector there is nothing to record, such as while a body is dropped outside of
        // a poll.
        if let Some(mut progress) = current.get() {
            change(&mut progress);
            current.set(Some(progress));
        }
    });
}

fn now(sending: Sending) {
    note(|progress| {
        progress.steps += 1;
        progress.answer = sending;
    });
}

/// Records the result of a write to the connection.
pub(super) fn note_write(written: &Poll<io::Result<usize>>) {
    note(|progress| {
        // A pending write means that the send buffer of the socket is full: the peer takes no
        // bytes.
        progress.is_blocked = written.is_pending();
        progress.steps += u64::from(written.is_ready());
    });
}

/// Detects that the peer of a connection or a stream takes no bytes.
pub(super) struct StallDetector {
    send_timeout: SendTimeout,
    progress: Progress,
    stall: Option<StallTimer>,
}

/// A stall that began at a step; it ends after the limit of `send_timeout`.
struct StallTimer {
    at_step: u64,
    end: BoxFuture<'static, ()>,
}

/// The peer took nothing in time, so the connection or the stream is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reset;

impl StallDetector {
    pub(super) fn new(send_timeout: SendTimeout) -> Self {
        Self {
            send_timeout,
            progress: Progress::default(),
            stall: None,
        }
    }

    /// Polls the connection or stream, and its stall timer.
    pub(super) fn poll<W: Future>(
        &mut self,
        work: Pin<&mut W>,
        context: &mut Context<'_>,
    ) -> Poll<Result<W::Output, Reset>> {
        // Polls nest: a stream may be polled within its connection. The outer progress is put back
        // after the inner poll.
        let outer = CURRENT.replace(Some(self.progress));
        let polled = work.poll(context);
        self.progress = CURRENT.replace(outer).unwrap_or_default();
        match polled {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            // The work is polled first: whatever the peer has taken meanwhile ends the stall before
            // its timer is looked at.
            Poll::Pending if self.waits_for_reader() => self.poll_stall(context).map(Err),
            Poll::Pending => {
                self.stall = None;
                Poll::Pending
            }
        }
    }

    /// Whether the peer takes no bytes at present.
    pub(super) fn is_blocked(&self) -> bool {
        self.progress.is_blocked
    }

    fn waits_for_reader(&self) -> bool {
        self.progress.answer == Sending::ForReader || self.progress.is_blocked
    }

    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<Reset> {
        let at_step = self.progress.steps;
        // A step since the timer was set means that the peer took something, so the time starts
        // again.
        let stall = self.stall.take().filter(|stall| stall.at_step == at_step);
        let stall = self.stall.insert(stall.unwrap_or_else(|| StallTimer {
            at_step,
            end: self.send_timeout.clone().end(),
        }));
        // Polled in the poll that created it: an unpolled timer would never wake this task.
        stall.end.as_mut().poll(context).map(|()| {
            self.send_timeout.stalled.note_reset();
            Reset
        })
    }
}

impl SendTimeout {
    /// Waits for the limit, or until other responses need the memory.
    fn end(self) -> BoxFuture<'static, ()> {
        // Entered before the future is polled, so that the stall counts from the moment it was
        // detected.
        let (guard, mut reset) = self.stalled.enter();
        Box::pin(async move {
            let _guard = guard;
            tokio::select! {
                // Neither branch is preferred: both end in the same reset.
                () = sleep(self.limit) => {}
                _ = &mut reset => {}
            }
        })
    }
}

/// Spawns the streams of HTTP/2 connections and resets those whose readers take nothing.
#[derive(Debug, Clone)]
pub(super) struct StreamExecutor(pub(super) SendTimeout);

impl<S: Future<Output = ()> + Send + 'static> hyper::rt::Executor<S> for StreamExecutor {
    fn execute(&self, stream: S) {
        let send_timeout = self.0.clone();
        // Detached: a stream fails by itself once its connection is gone, so no handle is needed.
        tokio::spawn(async move {
            let (mut stream, mut watch) = (pin!(stream), StallDetector::new(send_timeout));
            // A stream that is dropped before its end is reset.
            if poll_fn(|context| watch.poll(stream.as_mut(), context)).await == Err(Reset) {
                tracing::debug!("a response was reset because its client took no bytes");
            }
        });
    }
}

/// A response body that reports its progress to the detector. Its call is in flight until the body
/// is dropped.
#[derive(Debug)]
pub(super) struct TrackedBody<B> {
    body: B,
    _call: ActiveCall,
    /// Whether anything has been taken of it, and whether its end has.
    has_begun: bool,
    has_ended: bool,
}

impl<B> TrackedBody<B> {
    pub(super) fn new(body: B, call: ActiveCall) -> Self {
        // A new body waits for its peer: until the library polls it, only the peer's window can
        // hold it back.
        now(Sending::ForReader);
        Self {
            body,
            _call: call,
            has_begun: false,
            has_ended: false,
        }
    }
}

impl<B> Drop for TrackedBody<B> {
    fn drop(&mut self) {
        now(Sending::Nothing);
    }
}

impl<B: Body + Unpin> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(_))) => {
                self.has_begun = true;
                now(Sending::ForReader);
            }
            Poll::Ready(Some(Err(_)) | None) => {
                self.has_ended = true;
                now(Sending::Nothing);
            }
            // The server is slow here, so the peer must not be reset for it.
            Poll::Pending => now(Sending::ForServer),
        }
        polled
    }

    /// After the first frame, true only once the end was polled: the last frame may still wait for
    /// the peer, and the call keeps its resources until that frame is sent.
    fn is_end_stream(&self) -> bool {
        self.has_ended || (!self.has_begun && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, task::Waker};

    use http_body_util::{BodyExt, Full};
    use hyper::body::Bytes;
    use tokio::time::Instant;

    use super::{super::activity::Activity, *};

    const LIMIT: Duration = Duration::from_secs(30);

    fn watch() -> (StallDetector, Arc<StalledResponses>) {
        let stalled = Arc::new(StalledResponses::default());
        (
            StallDetector::new(SendTimeout {
                limit: LIMIT,
                stalled: Arc::clone(&stalled),
            }),
            stalled,
        )
    }

    fn answer(text: &'static str) -> TrackedBody<Full<Bytes>> {
        TrackedBody::new(
            Full::from(text),
            Arc::new(Activity::new(Arc::default())).begin(),
        )
    }

    /// What becomes of work under a watch, and how long that takes.
    async fn watched<T>(work: impl Future<Output = T>) -> (Result<T, Reset>, Duration) {
        let (mut watch, stalled) = watch();
        let (begun, mut work) = (Instant::now(), pin!(work));
        let done = poll_fn(|context| watch.poll(work.as_mut(), context)).await;
        drop(watch);
        assert!(stalled.is_empty(), "a place is kept");
        (done, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_never_asked_for_anything_is_reset() {
        let (done, time) = watched(async {
            let _answer = answer("never read");
            pending::<()>().await;
        })
        .await;
        assert_eq!((done, time), (Err(Reset), LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn every_part_that_is_taken_gives_it_as_much_time_again() {
        let (done, time) = watched(async {
            let mut answer = answer("read late");
            sleep(LIMIT / 2).await;
            answer.frame().await.unwrap().unwrap();
            pending::<()>().await;
        })
        .await;
        assert_eq!((done, time), (Err(Reset), LIMIT + LIMIT / 2));
    }

    #[tokio::test(start_paused = true)]
    async fn work_without_an_answer_and_after_its_end_may_take_any_time() {
        let (done, _) = watched(async {
            sleep(100 * LIMIT).await;
            drop(answer("ended by its reader"));
            sleep(100 * LIMIT).await;
            answer("ended well").collect().await.unwrap();
            sleep(100 * LIMIT).await;
            "done"
        })
        .await;
        assert_eq!(done, Ok("done"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_has_nothing_to_say_yet_may_take_any_time() {
        let (done, _) = watched(async {
            let silent = http_body_util::StreamBody::new(futures_util::stream::pending::<
                Result<Frame<Bytes>, std::convert::Infallible>,
            >());
            let mut answer =
                TrackedBody::new(silent, Arc::new(Activity::new(Arc::default())).begin());
            tokio::select! {
                _ = answer.frame() => {}
                () = sleep(100 * LIMIT) => {}
            }
        })
        .await;
        assert_eq!(done, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_takes_no_bytes_is_closed() {
        let (done, time) = watched(async {
            note_write(&Poll::Pending);
            sleep(LIMIT / 2).await;
            note_write(&Poll::Ready(Ok(1)));
            note_write(&Poll::Pending);
            pending::<()>().await;
        })
        .await;
        assert_eq!((done, time), (Err(Reset), LIMIT + LIMIT / 2));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_reset_sooner_where_others_need_the_room() {
        let (mut watch, stalled) = watch();
        let mut work = pin!(async {
            let _answer = answer("never read");
            pending::<()>().await;
        });
        let mut context = Context::from_waker(Waker::noop());
        assert!(watch.poll(work.as_mut(), &mut context).is_pending());
        assert_eq!(stalled.len(), 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(stalled.make_room());
        assert_eq!(
            watch.poll(work.as_mut(), &mut context),
            Poll::Ready(Err(Reset))
        );
        assert_eq!(stalled.resets(), 1);
    }

    #[tokio::test]
    async fn a_body_is_at_its_end_when_its_last_part_has_been_asked_after() {
        let mut body = answer("all there is");
        assert!(!body.is_end_stream());
        body.frame().await.unwrap().unwrap();
        assert!(!body.is_end_stream());
        assert!(body.frame().await.is_none());
        assert!(body.is_end_stream());
        assert!(
            answer("").is_end_stream(),
            "where there is nothing there is nothing to wait for"
        );
    }
}
