//! Work that is seen through, whoever stops waiting for it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

/// Work that its caller does, and that goes on in a task of its own if the caller leaves: nearly all
/// stay, and need no task.
pub(super) struct RunToCompletion<T: Send + 'static> {
    /// What is left to be done; nothing once it has ended.
    rest: Option<BoxFuture<'static, T>>,
}

impl<T: Send + 'static> RunToCompletion<T> {
    pub(super) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            rest: Some(Box::pin(work)),
        }
    }
}

impl<T: Send + 'static> Future for RunToCompletion<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Taken out, so that work that panics has ended, too.
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
    async fn who_stays_gets_what_comes_of_it() {
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
        assert!(tasks.is_empty(), "nothing goes on");
    }
}
