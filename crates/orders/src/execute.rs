//! The one way to change anything: decide, commit, apply, answer.
//!
//! A command runs under the lock of its request. If it was answered before, it has that answer. Otherwise it decides, and
//! takes in memory what it decides on, so that nobody else can. It commits one unit of work. Only once that is on record
//! does it take effect, and only then is it answered.

use std::{future::Future, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, info_span};

use super::{
    App, OrderError,
    hold::EndHold,
    run_to_completion::RunToCompletion,
    tokens::{LockedFor, RequestKey, TokenGuard, TokenLock, released},
};
use domain::slot::CartKey;
use kernel::request;
use store::{CommitError, ErrorChain, ReleaseReason, UnitOfWork, Write};

/// Pauses between attempts to record money that has moved, while the store is unavailable.
const RECORD_PAUSE_MIN: Duration = Duration::from_millis(100);
const RECORD_PAUSE_MAX: Duration = Duration::from_secs(30);

/// A change of what is sold or held.
///
/// The command passes through its steps by value: what it has taken comes out of a decision and goes into exactly one of
/// [`Command::apply`], [`Command::revert`] and [`Command::fail`].
pub(super) trait Command: Sized + Send {
    /// The answer to its caller.
    type Answer: Send;
    /// What a decision has taken in memory, with the rest of the command.
    type Taken: Send;

    /// Most decisions. Each further one takes somebody else who has changed what it was decided on.
    const MAX_DECISIONS: u32 = 5;

    /// The answer that it has had before.
    fn replay(
        &self,
        app: &App,
    ) -> impl Future<Output = Result<Option<Self::Answer>, OrderError>> + Send;

    /// Decides, and takes what the unit says.
    fn decide(self, app: &App) -> impl Future<Output = Result<Decided<Self>, OrderError>> + Send;

    /// The unit is on record: puts it in force.
    fn apply(app: &App, unit: UnitOfWork, taken: Self::Taken) -> Result<Self::Answer, OrderError>;

    /// Nothing of the unit is on record: gives back what was taken, for another decision.
    fn revert(
        app: &App,
        unit: UnitOfWork,
        taken: Self::Taken,
    ) -> impl Future<Output = Result<Self, OrderError>> + Send;

    /// The unit could not be recorded, and another decision does not help.
    fn fail(
        app: &App,
        unit: UnitOfWork,
        taken: Self::Taken,
        failure: CommitFailure,
    ) -> impl Future<Output = Result<Self::Answer, OrderError>> + Send;
}

/// A decision.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every decision is a change, and a box would cost it an allocation"
)]
pub(super) enum Decided<C: Command> {
    /// The change is to be recorded.
    Change(UnitOfWork, C::Taken),
    /// Nothing changes.
    Answer(C::Answer),
}

/// Why a unit is not recorded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CommitFailure {
    /// Nothing of it is on record.
    Unwritten(OrderError),
    /// Nothing of it is on record, because what it was decided on has changed at every attempt.
    Contended,
    /// What is on record is unknown until a restart has read it.
    Unknown(OrderError),
}

impl CommitFailure {
    pub(super) fn into_error(self) -> OrderError {
        match self {
            Self::Unwritten(error) | Self::Unknown(error) => error,
            Self::Contended => OrderError::StoreUnavailable,
        }
    }
}

impl App {
    /// Locks a request for its order, or an order for a change. Waits for it until `deadline`; `None` if it is locked until
    /// then.
    pub(super) async fn lock_request(
        &self,
        key: RequestKey,
        deadline: Instant,
    ) -> Option<TokenGuard> {
        loop {
            match self.tokens.try_lock(key, LockedFor::Order) {
                TokenLock::Acquired(guard) => return Some(guard),
                // A loop: of several requests that wait for one token, only the first to try again
                // acquires the lock.
                TokenLock::Held(waiting) => timeout_at(deadline, released(waiting)).await.ok()?,
            }
        }
    }

    /// Releases the lock of a request. Before that, the holds of those carts end whose checks were told meanwhile that
    /// they hold nothing.
    pub(super) async fn unlock(&self, mut guard: TokenGuard) {
        while let Err(forgone) = guard.release() {
            guard = forgone.guard;
            // Boxed: otherwise every order's future would be larger by one that nearly none needs.
            Box::pin(self.release_forgone(forgone.carts)).await;
        }
    }

    async fn release_forgone(&self, carts: Vec<CartKey>) {
        for cart in carts {
            let release = EndHold {
                cart,
                reason: ReleaseReason::Released,
            };
            // An error is logged where it occurs; the hold then ends when it expires.
            let _ = self.run(release).await;
        }
    }

    /// Runs work to completion, even if its caller is cancelled. A shutdown waits for it.
    ///
    /// The work moves to the heap here, and not into the future of the caller: it is large, and every further future
    /// around it would be, too.
    pub(super) fn complete<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, OrderError>> + Send + 'static,
    ) -> Result<RunToCompletion<Result<T, OrderError>>, OrderError> {
        if self.commands.len() >= self.limits.max_commands {
            return Err(OrderError::Busy);
        }
        // A detached task loses the task-local context of its request, so the context travels with the work.
        let work = request::propagate_context(work);
        // Tracked, so that a shutdown waits for orders whose clients have disconnected.
        let work = self.commands.track_future(work.in_current_span());
        Ok(RunToCompletion::new(work))
    }

    /// Executes a command under the lock of its request, and releases the lock.
    pub(super) async fn execute<C: Command>(
        &self,
        guard: TokenGuard,
        command: C,
    ) -> Result<C::Answer, OrderError> {
        let answer = self.run(command).await;
        self.unlock(guard).await;
        answer
    }

    /// Executes a command. The caller has the lock of its request.
    pub(super) async fn run<C: Command>(&self, mut command: C) -> Result<C::Answer, OrderError> {
        let mut decisions = 0;
        loop {
            // Looked up under the lock of the request: nobody in this process can be answered between this and the
            // decision.
            if let Some(answer) = command.replay(self).await? {
                return Ok(answer);
            }
            let (unit, taken) = match command.decide(self).await? {
                Decided::Change(unit, taken) => (unit, taken),
                Decided::Answer(answer) => return Ok(answer),
            };
            decisions += 1;
            match self.commit(&unit).await {
                Ok(()) => return C::apply(self, unit, taken),
                // Whatever it was decided on has changed. Nothing is written, so it is decided again.
                Err(CommitError::Stale(_)) if decisions < C::MAX_DECISIONS => {
                    command = C::revert(self, unit, taken).await?;
                }
                Err(error) => {
                    let failure = self.commit_failed(&error);
                    return C::fail(self, unit, taken, failure).await;
                }
            }
        }
    }

    /// Commits a unit. While the store is unavailable, a unit that records what became of money is repeated.
    pub(super) async fn commit(&self, unit: &UnitOfWork) -> Result<(), CommitError> {
        let committed = self.commit_once(unit).await;
        match committed {
            Err(CommitError::Unavailable) if records_money(unit) => {
                Box::pin(self.commit_when_available(unit)).await
            }
            committed => committed,
        }
    }

    async fn commit_once(&self, unit: &UnitOfWork) -> Result<(), CommitError> {
        self.store
            .commit(unit)
            .instrument(info_span!("commit"))
            .await
    }

    async fn commit_when_available(&self, unit: &UnitOfWork) -> Result<(), CommitError> {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(RECORD_PAUSE_MIN)
            .with_max_delay(RECORD_PAUSE_MAX)
            // The money has moved: a caller who is told of an error would pay again.
            .without_max_times()
            .with_jitter();
        (|| self.commit_once(unit))
            .retry(pauses)
            .when(|error| matches!(error, CommitError::Unavailable))
            .notify(|error, pause| {
                tracing::warn!(%error, ?pause, "retrying to record a payment");
            })
            .await
    }

    /// What the failure of a commit means. The cause is logged, at most once a second with the number of errors.
    pub(super) fn commit_failed(&self, error: &CommitError) -> CommitFailure {
        if let Some(times) = self.write_errors.due(self.now()) {
            tracing::error!(error = %ErrorChain(error), times, "a change could not be recorded");
        }
        match error {
            CommitError::Stale(_) => CommitFailure::Contended,
            CommitError::Unavailable => CommitFailure::Unwritten(OrderError::StoreUnavailable),
            CommitError::Unreadable(_) => CommitFailure::Unwritten(OrderError::Unreadable),
            // The limits of requests keep every order far below that size.
            CommitError::TooLarge(_) => CommitFailure::Unwritten(OrderError::Bug),
            CommitError::Write(_)
            | CommitError::WriterPanicked
            | CommitError::WriterStopped
            | CommitError::FilesRemoved
            | CommitError::FilesMoved(_) => CommitFailure::Unknown(OrderError::StoreFailed),
        }
    }
}

/// Whether a unit says what became of a charge.
fn records_money(unit: &UnitOfWork) -> bool {
    unit.writes.iter().any(|write| match write {
        Write::OrderPlaced(placed) => placed.payment.is_some(),
        Write::PaymentEnded(_) => true,
        // Before the charge: where the intent is not recorded, no money moves.
        Write::PaymentIntent(_)
        | Write::HoldPlaced(_)
        | Write::HoldReleased { .. }
        | Write::Prices(_)
        | Write::SlotsForgotten(_)
        // The step is open until its outcome is on record, and has the same outcome again under its key.
        | Write::OrderUpdated(_)
        | Write::Blocked(_)
        | Write::StepRetried(_)
        | Write::Lifecycle(_)
        | Write::LifecycleDraft(_)
        | Write::ErasureAnswered(_) => false,
    })
}

#[cfg(test)]
pub(crate) mod tests;
