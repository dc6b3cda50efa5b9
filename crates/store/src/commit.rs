//! The result of a commit.

use std::{
    future::Ready,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use super::CommitError;

type CommitResult = Result<(), CommitError>;

/// The result of a commit, once it is there. Dropping it cancels nothing.
///
/// A type of its own, because every order waits for one: the usual ones take no memory for it.
#[must_use = "a change is durable once this is ready"]
pub struct CommitFuture(Awaited);

enum Awaited {
    Ready(Ready<CommitResult>),
    Submitted(oneshot::Receiver<CommitResult>),
    Boxed(Pin<Box<dyn Future<Output = CommitResult> + Send>>),
}

impl CommitFuture {
    /// A result that is there.
    pub fn ready(result: CommitResult) -> Self {
        Self(Awaited::Ready(std::future::ready(result)))
    }

    /// The result that a writer sends. Without one it is [`CommitError::WriterStopped`].
    pub fn submitted(result: oneshot::Receiver<CommitResult>) -> Self {
        Self(Awaited::Submitted(result))
    }

    /// The result of a future.
    pub fn boxed(future: impl Future<Output = CommitResult> + Send + 'static) -> Self {
        Self(Awaited::Boxed(Box::pin(future)))
    }
}

impl Future for CommitFuture {
    type Output = CommitResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<CommitResult> {
        match &mut self.0 {
            Awaited::Ready(result) => Pin::new(result).poll(context),
            Awaited::Submitted(result) => Pin::new(result).poll(context).map(|sent| {
                // A dropped sender means that nobody can tell any more whether the change was written.
                sent.unwrap_or(Err(CommitError::WriterStopped))
            }),
            Awaited::Boxed(future) => future.as_mut().poll(context),
        }
    }
}
