//! Timers and durable steps: what happens to orders by itself.
//!
//! A step is work in the outside world: it is on record before it begins, and its outcome is one change of its order. An
//! attempt that ends without a clear outcome, or with its process, is repeated under the same key, so that the outside
//! world does it once. A step that cannot be done is given up: its order then goes on as the lifecycle says, with an alert
//! as a rule, and a person may have it tried again under its key, or leave it alone.
//!
//! | module | content |
//! |---|---|
//! | `agenda` | what is due, and when |
//! | `policy` | how often and how long steps are tried |
//! | `handlers` | what steps do |

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use super::{
    App,
    update::{AskedChange, ChangeError},
};
use domain::{
    ledger::{LedgerEntry, LedgerKind},
    lifecycle::{OpenStep, StepAnswer, StepFailure, StepKind, StepResult},
    order::OrderId,
    time::{EpochSeconds, Seconds},
};
use store::{CommitError, OrderKey, Precondition, StepRetry, StoredOrder, UnitOfWork, Write};

mod agenda;
mod handlers;
mod policy;
#[cfg(test)]
mod tests;

pub use agenda::StepAttempts;
pub use handlers::{CustomSteps, StepCall, StepFuture, StepHandler, StepOutcome};
pub use policy::{RetryPolicy, StepSettings};

pub(super) use agenda::Agenda;
use agenda::{DueWork, WorkName, WorkProgress};

/// A step whose handler has panicked so often is given up.
const MAX_PANICS: u32 = 3;

/// Most characters of the reason of an attempt on record.
const MAX_ERROR: usize = 500;

/// The pause after work that could not be recorded.
const RECORD_PAUSE: Seconds = Seconds::new(5);

/// The longest time until the clock is looked at again: it may have been set.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Does what is due of orders.
#[derive(Debug)]
pub struct StepRunner {
    app: Arc<App>,
    settings: StepSettings,
    custom: CustomSteps,
    random: Mutex<fastrand::Rng>,
    permits: Arc<Semaphore>,
}

impl StepRunner {
    /// A runner. Of one server there is one.
    #[must_use]
    pub fn new(
        app: Arc<App>,
        settings: StepSettings,
        custom: CustomSteps,
        random: fastrand::Rng,
    ) -> Self {
        Self {
            app,
            permits: Arc::new(Semaphore::new(settings.max_steps.max(1))),
            settings,
            custom,
            random: Mutex::new(random),
        }
    }

    /// Does what is due, now and from here on. To be dropped when the server shuts down: work that has begun ends with it, is
    /// on record until its outcome is, and is repeated under the same key after the next start.
    pub async fn run(self: &Arc<Self>) {
        // Not among the commands: a gateway that does not answer must not delay a shutdown by minutes, nor take the room of
        // calls.
        let mut jobs = JoinSet::new();
        loop {
            while jobs.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                return;
            };
            let Some(work) = self.app.agenda.begin(self.app.now()) else {
                drop(permit);
                // The clock is asked again and again and no timer is trusted: a clock that was set back must not fire
                // anything early, and one that was set ahead must not be waited for.
                let _ = timeout(LOOK_AGAIN, self.app.agenda.changed()).await;
                continue;
            };
            let runner = Arc::clone(self);
            jobs.spawn(async move {
                runner.work(work).await;
                drop(permit);
            });
        }
    }

    /// Does everything that is due at this moment, one after another.
    pub async fn run_due(&self) {
        while let Some(work) = self.app.agenda.begin(self.app.now()) {
            self.work(work).await;
        }
    }

    async fn work(&self, work: DueWork) {
        let key = work.key;
        let done = match &work.name {
            WorkName::Timer(part, name) => {
                let asked = AskedChange::Timer {
                    part: *part,
                    name: name.clone(),
                };
                self.record(&work, asked).await
            }
            WorkName::Step(number) => self.step(&work, *number).await,
        };
        if let Err(error) = done {
            self.not_recorded(&work, &error);
        }
        self.app.agenda.finish(&key);
    }

    async fn step(&self, work: &DueWork, number: u16) -> Result<(), ChangeError> {
        let stored = self.app.stored_order(&work.order).await?;
        let step = stored.as_ref().and_then(|stored| open_step(stored, number));
        let (Some(stored), Some(step)) = (&stored, step) else {
            // Ended meanwhile.
            self.app.agenda.forget(&work.key, &work.name);
            return Ok(());
        };
        let policy = *self.settings.policy(&step.kind);
        let mut progress = work.progress.clone();
        progress.attempts = progress.attempts.saturating_add(1);
        let call = StepCall::new(&stored.placed, &step, progress.attempts);
        let outcome = self.attempt(&call, &policy, &mut progress).await;
        let now = self.app.now();
        let (result, reason) = match outcome {
            StepOutcome::Done => (StepResult::Done, String::new()),
            StepOutcome::Failed(why) => (StepResult::Failed, why),
            StepOutcome::Retry(why) if progress.panics >= MAX_PANICS => {
                (StepResult::Failed, format!("given up: {why}"))
            }
            StepOutcome::Retry(why) if policy.is_over(step.due, now, progress.attempts) => {
                let attempts = progress.attempts;
                (
                    StepResult::Failed,
                    format!("given up after {attempts} attempts: {why}"),
                )
            }
            StepOutcome::Retry(why) => {
                let tried = self.retry_later(work, progress, &policy, why);
                self.record_attempt(work, (number, stored.revision()), tried)
                    .await;
                return Ok(());
            }
        };
        if result == StepResult::Failed {
            tracing::error!(
                order_id = work.order.as_str(),
                step = call.key,
                reason,
                "a step of an order has failed"
            );
        }
        let mut answer = answer(&step, result, now);
        answer.failure = (result == StepResult::Failed).then(|| StepFailure {
            attempts: progress.attempts,
            error: reason.chars().take(MAX_ERROR).collect(),
        });
        let asked = AskedChange::Step {
            number,
            answer,
            reason,
        };
        self.record(work, asked).await
    }

    /// One attempt, within its time. A panic is contained, and its handler asked again a few times.
    async fn attempt(
        &self,
        call: &StepCall,
        policy: &RetryPolicy,
        progress: &mut WorkProgress,
    ) -> StepOutcome {
        let gateway = self.app.payments.as_deref();
        let work = async {
            // The store is no part of the outside world.
            if call.kind == StepKind::EraseCustomer {
                self.app.erase_customer_of(&call.order).await
            } else {
                handlers::call(gateway, &self.custom, call).await
            }
        };
        // Nothing that the handler shares with others is used by the runner after a panic.
        let caught = AssertUnwindSafe(work).catch_unwind();
        match timeout(policy.attempt_timeout, caught).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                progress.panics = progress.panics.saturating_add(1);
                StepOutcome::Retry("its handler has panicked".to_owned())
            }
            // The request cannot be recalled, so its outcome is unknown.
            Err(_) => StepOutcome::Retry("no answer in time".to_owned()),
        }
    }

    fn retry_later(
        &self,
        work: &DueWork,
        mut progress: WorkProgress,
        policy: &RetryPolicy,
        why: String,
    ) -> WorkProgress {
        let pause = {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            policy.pause(progress.attempts, &mut random)
        };
        tracing::warn!(
            order_id = work.order.as_str(),
            attempt = progress.attempts,
            reason = why,
            pause_sec = pause.get(),
            "a step of an order is tried again later"
        );
        progress.error = why;
        progress.due = self.app.now().saturating_add(pause);
        self.app
            .agenda
            .postpone(&work.key, &work.name, progress.clone());
        progress
    }

    /// Records an attempt, so that the next process goes on from there.
    async fn record_attempt(
        &self,
        work: &DueWork,
        (step, revision): (u16, u32),
        progress: WorkProgress,
    ) {
        let retry = StepRetry {
            order: work.order.clone(),
            step,
            step_due_sec: progress.recorded_due,
            attempts: progress.attempts,
            due_sec: progress.due,
            error: progress.error.chars().take(MAX_ERROR).collect(),
        };
        // The step is open in this revision; in a later one it may have ended.
        let has_step = Precondition::OrderRevision {
            order: work.key,
            revision,
        };
        let unit = UnitOfWork::write(Write::StepRetried(Box::new(retry))).requiring(has_step);
        match self.app.commit(&unit).await {
            // The order has changed meanwhile, and the agenda with it.
            Ok(()) | Err(CommitError::Stale(_)) => {}
            // Best effort: without the record, the next process tries sooner and counts fewer attempts.
            Err(error) => drop(self.app.commit_failed(&error)),
        }
    }

    /// Records what work has led to.
    async fn record(&self, work: &DueWork, asked: AskedChange) -> Result<(), ChangeError> {
        let order = work.order.clone();
        let stored = self.app.change_by_itself(order, work.key, asked).await?;
        // Where nothing had to be recorded, the agenda was behind the record.
        match &stored.update {
            Some(update) => {
                let (order, revision) = (&update.order, update.revision);
                self.app.agenda.note(order, revision, &update.tree);
            }
            None => self.app.agenda.forget(&work.key, &work.name),
        }
        Ok(())
    }

    /// What is not recorded is done again later, under the same key.
    fn not_recorded(&self, work: &DueWork, error: &ChangeError) {
        if *error == ChangeError::UnknownOrder {
            return self.app.agenda.forget(&work.key, &work.name);
        }
        if let Some(times) = self.app.write_errors.due(self.app.now()) {
            tracing::error!(
                %error,
                order_id = work.order.as_str(),
                times,
                "what happened to an order by itself could not be recorded"
            );
        }
        let progress = WorkProgress {
            due: self.app.now().saturating_add(RECORD_PAUSE),
            error: error.to_string(),
            ..work.progress.clone()
        };
        self.app.agenda.postpone(&work.key, &work.name, progress);
    }
}

impl App {
    /// The attempts at a step since it was opened; `None` for one that is not open.
    #[must_use]
    pub fn step_attempts(&self, order: &OrderId, step: u16) -> Option<StepAttempts> {
        self.agenda.attempts(&OrderKey::of_id(order)?, step)
    }

    /// The orders that have steps: those with one that was given up first, by key, and then those with open ones, the one
    /// with the longest due first.
    #[must_use]
    pub fn orders_with_steps(&self) -> Vec<OrderId> {
        self.agenda.orders_with_steps()
    }

    /// The number of orders with steps that were given up.
    #[must_use]
    pub fn orders_with_given_up_steps(&self) -> usize {
        self.agenda.given_up()
    }

    /// The numbers of timers that are set and of steps that are open.
    #[must_use]
    pub fn timers_and_steps(&self) -> (usize, usize) {
        self.agenda.counts()
    }
}

fn open_step(stored: &StoredOrder, number: u16) -> Option<OpenStep> {
    let steps = &stored.tree()?.steps;
    steps.iter().find(|step| step.number == number).cloned()
}

/// The outcome of a step. What it means for the payment is said, too: if the step was abandoned meanwhile, money has moved
/// all the same.
fn answer(step: &OpenStep, result: StepResult, now: EpochSeconds) -> StepAnswer {
    let mut answer = StepAnswer::of(result);
    if let (StepKind::Refund, StepResult::Done, Some(amount)) = (&step.kind, result, step.amount) {
        let mut entry = LedgerEntry::new(LedgerKind::Refunded, amount, now);
        entry.refund = Some(step.part.index);
        answer.entry = Some(entry);
    }
    answer
}
