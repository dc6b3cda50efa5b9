//! Work that runs to completion when its caller is cancelled.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

/// Work that runs within its caller's task. If the caller is dropped, because the client has disconnected or
/// its deadline has passed, the rest runs in a detached task. Nearly all callers stay, so a task for every
/// call would be wasted.
pub(super) struct RunToCompletion<T: Send + 'static> {
    /// The rest of the work; `None` once it has ended.
    rest: Option<BoxFuture<'static, T>>,
}

impl<T: Send + 'static> RunToCompletion<T> {
    pub(super) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            // Boxed, because a future that was polled cannot move into a task unless it is on the
            // heap.
            rest: Some(Box::pin(work)),
        }
    }
}

impl<T: Send + 'static> Future for RunToCompletion<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Taken out of `self` first: work that panics has then ended and is not polled again.
        let Some(mut work) = self.rest.take() else {
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.rest = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for RunToCompletion<T> {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and no work can continue.
        if let (Some(rest), Ok(runtime)) = (self.rest.take(), Handle::try_current()) {
            runtime.spawn(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use futures_util::FutureExt;
    use tokio::sync::oneshot;
    use tokio_util::task::TaskTracker;

    use super::*;

    #[tokio::test]
    async fn a_connected_caller_gets_the_outcome() {
        let (begin, begun) = oneshot::channel();
        let mut work = RunToCompletion::new(begun);
        assert_eq!((&mut work).now_or_never(), None);
        begin.send(7).unwrap();
        assert_eq!((&mut work).await, Ok(7));
        assert_eq!(work.now_or_never(), None, "nothing more comes");
    }

    #[tokio::test]
    async fn if_the_caller_leaves_it_is_done_all_the_same() {
        for is_begun in [false, true] {
            let tasks = TaskTracker::new();
            tasks.close();
            let ((begin, begun), (end, ended)) = (oneshot::channel(), oneshot::channel());
            let mut work = RunToCompletion::new(tasks.track_future(async move {
                let value: u32 = begun.await.unwrap();
                end.send(value).unwrap();
            }));
            if is_begun {
                assert_eq!((&mut work).now_or_never(), None);
            }
            drop(work);
            assert_eq!(tasks.len(), 1);
            begin.send(7).unwrap();
            assert_eq!(ended.await, Ok(7));
            tasks.wait().await;
        }
    }

    #[tokio::test]
    async fn work_that_panics_has_ended() {
        let tasks = TaskTracker::new();
        let mut work = RunToCompletion::new(tasks.track_future(async { panic!("a bug") }));
        let polled = catch_unwind(AssertUnwindSafe(|| (&mut work).now_or_never()));
        assert!(polled.is_err());
        assert_eq!((&mut work).now_or_never(), None::<()>);
        drop(work);
        assert!(tasks.is_empty(), "no task is left");
    }
}
