//! Changes of an order after its sale: decided by the lifecycle, on record before the answer.
//!
//! One change of an order at a time. Operators, timers and outcomes of steps all come by here. A change is decided on the
//! order as it stands, and committed only if the order still stands so; otherwise it is decided anew. Spots that it gives
//! back are for sale once it is on record.
//!
//! | module | content |
//! |---|---|
//! | `audited` | requests in the audit log |
//! | `change` | what can be asked for, checked as far as that needs no order |
//! | `present` | an order as it stands, with the facts of a decision |
//! | `plan` | from what is asked for to triggers of the lifecycle |
//! | `refund_note` | what an answer says of money that is not given back |
//! | `record` | from the outcome to the update on record |
//! | `next_states` | what could be asked for |

use std::{ops::ControlFlow, sync::Arc};

use smallvec::smallvec;
use tokio::time::Instant;

use super::{
    App, AttemptError, MerchantScope, OrderError,
    block::{BlockOccasion, KeptOffSale},
    execute::{Command, CommitFailure, Decided},
    found,
    lifecycle::{ActiveLifecycle, LifecycleGuard},
    tokens::{LockedFor, RequestKey, TokenGuard, TokenLock, released},
};
use domain::{
    ids::MerchantId,
    lifecycle::{Name, OrderPart, RunOutcome, StepAnswer, StepResult, Trigger},
    order::{LineItem, OrderId},
    slot::{Claimed, SlotKey},
    time::{EpochSeconds, Seconds},
};
use kernel::blocking;
use store::{
    OrderKey, OrderUpdate, PlacedOrder, Precondition, RequestAnswer, StoredOrder, UnitOfWork,
    UpdateCause, UpdateTexts, Write,
};

mod audited;
mod change;
mod error;
mod next_states;
mod plan;
mod present;
mod record;
mod refund_note;
#[cfg(test)]
pub(crate) mod tests;

pub use change::{
    ChangeMode, ChangeRequest, CustomerDecision, MAX_NOTE, MAX_REASON, MerchantDecision,
    OrderChange, RefundChoice, WithdrawnSpots, is_uuid,
};
pub(crate) use change::{wrong_reason_text, wrong_request_id};
pub use error::{ChangeError, InvalidField};
pub use next_states::{NextState, OrderAction, RefundInput};

use crate::{audit::AuditedOutcome, metrics::UpdateCounts};
use audited::{AuditedRequest, record_outcome};
use plan::cause_of;
use present::PresentOrder;
pub(crate) use present::{held_spots, items_of};
use record::Occasion;

/// A change of an order: by a request, a timer or the outcome of a step.
pub(super) struct UpdateOrder {
    order: OrderId,
    key: OrderKey,
    asked: AskedChange,
}

/// What is asked for.
pub(super) enum AskedChange {
    /// By a request.
    Request(Box<(ChangeRequest, OrderChange)>),
    /// By a timer that is due.
    Timer {
        /// Its part.
        part: OrderPart,
        /// Its name.
        name: Name,
    },
    /// By a step that has an outcome.
    Step {
        /// Its number.
        number: u16,
        /// The outcome.
        answer: StepAnswer,
        /// What went wrong, in words; empty if nothing did.
        reason: String,
    },
}

/// A change that is not on record yet.
pub(super) struct DecidedUpdate {
    command: UpdateOrder,
    placed: PlacedOrder,
    /// What is blocked together with it.
    kept: KeptOffSale,
    /// What it adds to the metrics.
    counts: UpdateCounts,
    /// Until the change is on record, and in the agenda: the lifecycle that has decided stays in force.
    lifecycle: LifecycleGuard,
}

/// An order as it stands after a change, or why it is not changed.
pub type ChangedOrder = Result<Box<StoredOrder>, ChangeError>;

impl App {
    /// Changes an order after its sale, and returns it as it stands then. A repetition of the request returns the order as
    /// it stood after it, and changes nothing.
    ///
    /// A caller who disconnects cancels nothing. A change of an order that is being changed waits for it until `deadline`.
    ///
    /// # Errors
    /// [`ChangeError`]: then nothing has changed, except where it is [`OrderError::StoreFailed`].
    pub async fn change_order(
        self: &Arc<Self>,
        request: ChangeRequest,
        change: OrderChange,
        deadline: Instant,
    ) -> ChangedOrder {
        let audited = AuditedRequest::of(self, &request);
        let changed = self
            .change_audited((request, change), deadline, audited.clone())
            .await;
        match changed {
            Ok(changed) => changed,
            // The work was not begun, so it has recorded nothing.
            Err(error) => {
                let rejected = Err(error);
                if let Some(audited) = audited {
                    audited.record(self, &rejected);
                }
                rejected
            }
        }
    }

    /// The outcome of a change; an error if it was not begun.
    async fn change_audited(
        self: &Arc<Self>,
        (request, change): (ChangeRequest, OrderChange),
        deadline: Instant,
        audited: Option<AuditedRequest>,
    ) -> Result<ChangedOrder, ChangeError> {
        change::validate(&request, &change)?;
        let key = OrderKey::of_id(&request.order).ok_or(ChangeError::UnknownOrder)?;
        let locked = self.lock_request(RequestKey::of_order(&key), deadline);
        let guard = locked.await.ok_or(OrderError::ChangeInProgress)?;
        let command = UpdateOrder {
            order: request.order.clone(),
            key,
            asked: AskedChange::Request(Box::new((request, change))),
        };
        let app = Arc::clone(self);
        let work = async move {
            let changed = app.execute(guard, command).await;
            let changed = changed.unwrap_or_else(|error| Err(error.into()));
            // Inside of the work that runs to completion, so that what disconnected clients have asked for is recorded, too.
            if let Some(audited) = audited {
                audited.record(&app, &changed);
            }
            Ok(changed)
        };
        Ok(self.complete(work)?.await?)
    }

    /// Has a timer or the outcome of a step change its order.
    pub(super) async fn change_by_itself(
        &self,
        order: OrderId,
        key: OrderKey,
        asked: AskedChange,
    ) -> ChangedOrder {
        let guard = self.lock_order(&key).await;
        let command = UpdateOrder { order, key, asked };
        self.execute(guard, command).await?
    }

    /// Locks an order for a change, however long that takes.
    async fn lock_order(&self, key: &OrderKey) -> TokenGuard {
        loop {
            match self
                .tokens
                .try_lock(RequestKey::of_order(key), LockedFor::Order)
            {
                TokenLock::Acquired(guard) => return guard,
                // A loop: of several changes that wait for one order, only the first to try again acquires the lock.
                TokenLock::Held(waiting) => released(waiting).await,
            }
        }
    }

    /// An order as it was placed and as it stands, if it is in the scope.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`].
    pub async fn order_for(
        &self,
        id: &OrderId,
        scope: &MerchantScope,
    ) -> Result<Option<StoredOrder>, OrderError> {
        let stored = self.stored_order(id).await?;
        Ok(stored.filter(|stored| scope.has(&stored.placed.order.merchant_id)))
    }

    /// An order as it was placed and as it stands, of whichever merchant.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`].
    pub(crate) async fn stored_order(
        &self,
        id: &OrderId,
    ) -> Result<Option<StoredOrder>, OrderError> {
        let stored = self.store.find_order(id).get().await;
        let mut stored = stored.map_err(|error| self.read_failed(&error))?;
        if let Some(stored) = &mut stored {
            self.lifecycle().present_stored(stored);
        }
        Ok(stored)
    }

    /// The order as it stood after a request that was answered before; `None` if it was not.
    pub(super) async fn answered_change(
        &self,
        request: &ChangeRequest,
    ) -> Result<Option<ChangedOrder>, OrderError> {
        match self.stored_order(&request.order).await? {
            Some(stored) => self.answer_to(&stored, request).await,
            None => Ok(None),
        }
    }

    /// The answer that a request has had before, if it has had one.
    async fn answer_to(
        &self,
        stored: &StoredOrder,
        request: &ChangeRequest,
    ) -> Result<Option<ChangedOrder>, OrderError> {
        let Some(newest) = &stored.update else {
            return Ok(None);
        };
        let mut answered = is_answer(newest, request).then(|| newest.clone());
        if answered.is_none() && newest.revision > 1 {
            answered = self.answered_in_history(request).await?;
        }
        let Some(mut update) = answered else {
            return Ok(None);
        };
        self.lifecycle().present(&mut update);
        let fingerprint = update.answer.as_ref().map(|answer| answer.fingerprint);
        if fingerprint != Some(request.fingerprint) {
            return Ok(Some(Err(ChangeError::RequestReused)));
        }
        Ok(Some(Ok(Box::new(StoredOrder {
            placed: stored.placed.clone(),
            update: Some(update),
        }))))
    }

    /// The update that a request has led to, read on a blocking thread: a history may be long.
    async fn answered_in_history(
        &self,
        request: &ChangeRequest,
    ) -> Result<Option<OrderUpdate>, OrderError> {
        let store = Arc::clone(&self.store);
        let request = request.clone();
        let read = move || {
            let mut found = None;
            let walked = store.history(&request.order, &mut |update| {
                if is_answer(&update, &request) {
                    found = Some(update);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            walked.map(|()| found)
        };
        // A thread besides those of a schedule would not be under its control.
        #[cfg(test)]
        if testkit::schedules::is_played() {
            return read().map_err(|error| self.read_failed(&error));
        }
        let found = blocking::run(read).await?;
        found.map_err(|error| self.read_failed(&error))
    }

    /// The spots that are open for a line, by the catalogue in force; 0 if it does not sell the line.
    fn spots_open(&self, merchant_id: &MerchantId, line: &LineItem) -> u32 {
        let viewer = self.viewer(None);
        let open = self.by_active_catalog(|active| {
            let catalog = &active.catalog;
            let merchant = catalog.merchant_ix(merchant_id);
            let service = merchant.and_then(|ix| catalog.service_ix(ix, &line.service_id));
            let key = service.and_then(|ix| SlotKey::new(ix, line.start_sec, line.duration_sec));
            let Some(key) = key else {
                return Ok(0);
            };
            let ids = line.tickets.iter().map(|ticket| &ticket.ticket_id);
            let known = ids.filter_map(|id| catalog.ids().find_ticket(key.service, id));
            let mut tickets: Vec<Claimed> = known.map(Claimed::Ticket).collect();
            if tickets.is_empty() {
                tickets.push(Claimed::Appointment);
            }
            let service = catalog.service(key.service);
            let open = self.inventory.examine_one(active.revision, key, |slot| {
                slot.spots_open(service, &tickets, viewer)
            })?;
            Ok::<u32, AttemptError>(open.unwrap_or(0))
        });
        open.unwrap_or(0)
    }
}

fn is_answer(update: &OrderUpdate, request: &ChangeRequest) -> bool {
    let answer = update.answer.as_ref();
    answer.is_some_and(|answer| answer.has_id(&request.request_id))
}

impl Command for UpdateOrder {
    type Answer = ChangedOrder;
    type Taken = DecidedUpdate;

    /// Each further decision takes another change of the same order by another process.
    const MAX_DECISIONS: u32 = 3;

    async fn replay(&self, _: &App) -> Result<Option<ChangedOrder>, OrderError> {
        // Found by the decision, which reads the order anyway. Both are under the lock of the order.
        Ok(None)
    }

    async fn decide(self, app: &App) -> Result<Decided<Self>, OrderError> {
        // Before the order is read: its states then have the names of the lifecycle that decides.
        let (lifecycle, guard) = app.lifecycles.hold().await;
        let Some(stored) = app.stored_order(&self.order).await? else {
            return Ok(Decided::Answer(Err(ChangeError::UnknownOrder)));
        };
        if let Some(answer) = self.answered(app, &stored).await? {
            return Ok(Decided::Answer(answer));
        }
        let update = match self.decide_on(app, &lifecycle, &stored) {
            Ok(Some(update)) => update,
            Ok(None) => return Ok(Decided::Answer(Ok(Box::new(stored)))),
            Err(ChangeError::Order(error)) => return Err(error),
            Err(error) => return Ok(Decided::Answer(Err(error))),
        };
        let revision = stored.revision();
        if self.is_validated_only() {
            return Ok(Decided::Answer(Ok(Box::new(StoredOrder {
                update: Some(update),
                ..stored
            }))));
        }
        let kept = self.keep_off_sale(app, &update).await?;
        let counts = self.counts(&stored, &update);
        let mut unit = UnitOfWork {
            requires: smallvec![
                Precondition::OrderRevision {
                    order: self.key,
                    revision,
                },
                // Another server on the same store may have published since.
                Precondition::LifecycleRevision(lifecycle.number()),
            ],
            writes: smallvec![Write::OrderUpdated(Box::new(update))],
        };
        for block in &kept.blocks {
            unit = unit.and(Write::Blocked(Box::new(block.clone())));
        }
        let taken = DecidedUpdate {
            command: self,
            placed: stored.placed,
            kept,
            counts,
            lifecycle: guard,
        };
        Ok(Decided::Change(unit, taken))
    }

    fn apply(
        app: &App,
        unit: UnitOfWork,
        taken: DecidedUpdate,
    ) -> Result<ChangedOrder, OrderError> {
        let update = *updated_in(unit)?;
        if let AskedChange::Request(asked) = &taken.command.asked {
            let revision = Some(update.revision);
            record_outcome(app, &asked.0, AuditedOutcome::Changed { revision });
        }
        // Before the spots are given back: none of them is for sale in between.
        app.apply_blocks(taken.kept);
        // Only now: spots that are sold again before their return is on record would be sold twice after a crash.
        let claims = found(app.catalog().ids(), &update.released);
        app.inventory.unsell(&claims);
        app.agenda
            .note(&update.order, update.revision, &update.tree);
        app.watched.note(&taken.command.key);
        app.metrics.after_sale.count(&update, taken.counts);
        drop(taken.lifecycle);
        tracing::debug!(
            order_id = update.order.as_str(),
            revision = update.revision,
            "order updated"
        );
        Ok(Ok(Box::new(StoredOrder {
            placed: taken.placed,
            update: Some(update),
        })))
    }

    async fn revert(app: &App, _: UnitOfWork, taken: DecidedUpdate) -> Result<Self, OrderError> {
        // Nothing but blocks is taken in memory.
        app.revert_blocks(taken.kept);
        Ok(taken.command)
    }

    async fn fail(
        app: &App,
        _: UnitOfWork,
        taken: DecidedUpdate,
        failure: CommitFailure,
    ) -> Result<ChangedOrder, OrderError> {
        // Where nobody knows whether it is on record, its blocks stay in force, as its spots stay sold.
        if !matches!(failure, CommitFailure::Unknown(_)) {
            app.revert_blocks(taken.kept);
        }
        match failure {
            CommitFailure::Contended => Ok(Err(ChangeError::Contended)),
            failure @ (CommitFailure::Unwritten(_) | CommitFailure::Unknown(_)) => {
                Err(failure.into_error())
            }
        }
    }
}

impl UpdateOrder {
    /// The answer of a request that needs no decision: it was answered before, or it may not ask.
    async fn answered(
        &self,
        app: &App,
        stored: &StoredOrder,
    ) -> Result<Option<ChangedOrder>, OrderError> {
        let AskedChange::Request(asked) = &self.asked else {
            return Ok(None);
        };
        let request = &asked.0;
        let scope = MerchantScope::of(request.user.as_ref());
        if !scope.has(&stored.placed.order.merchant_id) {
            return Ok(Some(Err(ChangeError::UnknownOrder)));
        }
        // Before the revision is looked at: a repetition expects the revision that its first time has changed.
        if let Some(answer) = app.answer_to(stored, request).await? {
            if let Ok(stored) = &answer {
                let revision = Some(stored.revision());
                record_outcome(app, request, AuditedOutcome::Repeated { revision });
            }
            return Ok(Some(answer));
        }
        let found = stored.revision();
        match request.expected_revision {
            Some(expected) if expected != found => {
                Ok(Some(Err(ChangeError::RevisionChanged { expected, found })))
            }
            _ => Ok(None),
        }
    }

    /// The update of an order; `None` where nothing changes.
    fn decide_on(
        &self,
        app: &App,
        lifecycle: &ActiveLifecycle,
        stored: &StoredOrder,
    ) -> Result<Option<OrderUpdate>, ChangeError> {
        let present = PresentOrder::new(app, lifecycle, stored)?;
        let outcome = match &self.asked {
            AskedChange::Request(asked) => {
                let change = &asked.1;
                let mut outcome = present.after(present.plan(change)?)?;
                present.check_refund(change, &outcome)?;
                if let OrderChange::RetryStep { step } = change {
                    hasten(&mut outcome, *step, present.now);
                }
                outcome
            }
            AskedChange::Timer { part, name } => present.after(vec![Trigger::Fired {
                part: *part,
                name: name.clone(),
            }])?,
            AskedChange::Step { number, answer, .. } => {
                present.after(vec![Trigger::StepEnded {
                    number: *number,
                    answer: answer.clone(),
                }])?
            }
        };
        // A timer or a step that comes late leaves nothing to record. A request is on record, so that it is known again.
        let is_request = matches!(self.asked, AskedChange::Request(_));
        if !is_request && outcome.tree == present.tree {
            return Ok(None);
        }
        let occasion = self.occasion();
        Ok(Some(present.update(stored.revision(), outcome, occasion)))
    }

    /// Begins to block the spots that are given back, where they are not to be sold again.
    async fn keep_off_sale(
        &self,
        app: &App,
        update: &OrderUpdate,
    ) -> Result<KeptOffSale, OrderError> {
        let AskedChange::Request(asked) = &self.asked else {
            return Ok(KeptOffSale::default());
        };
        let OrderChange::Withdraw {
            spots: WithdrawnSpots::OffSale,
            ..
        } = asked.1
        else {
            return Ok(KeptOffSale::default());
        };
        let occasion = BlockOccasion {
            actor: asked.0.user.as_ref().map(|user| user.name()),
            request_id: &asked.0.request_id,
            now: update.updated_sec,
        };
        app.keep_off_sale(&update.released, occasion).await
    }

    /// What the update adds to the metrics.
    fn counts(&self, stored: &StoredOrder, update: &OrderUpdate) -> UpdateCounts {
        let ended = match &self.asked {
            AskedChange::Request(asked) => {
                if let OrderChange::AbandonStep { step, .. } = asked.1 {
                    Some((step, StepResult::Failed))
                } else {
                    None
                }
            }
            AskedChange::Step { number, answer, .. } => Some((*number, answer.result)),
            AskedChange::Timer { .. } => None,
        };
        UpdateCounts::of(stored.tree(), update, ended)
    }

    fn is_validated_only(&self) -> bool {
        match &self.asked {
            AskedChange::Request(asked) => asked.0.mode == ChangeMode::ValidateOnly,
            AskedChange::Timer { .. } | AskedChange::Step { .. } => false,
        }
    }

    fn occasion(&self) -> Occasion {
        match &self.asked {
            AskedChange::Request(asked) => {
                let (request, change) = &**asked;
                let note = if let OrderChange::AddNote { note } = change {
                    note.clone()
                } else {
                    String::new()
                };
                Occasion {
                    cause: cause_of(change),
                    actor: request.user.as_ref().map(|user| Arc::clone(user.name())),
                    texts: UpdateTexts {
                        note,
                        reason: change.reason().to_owned(),
                    },
                    answer: Some(RequestAnswer {
                        request_id: request.request_id.clone(),
                        fingerprint: request.fingerprint,
                    }),
                }
            }
            AskedChange::Timer { .. } => Occasion {
                cause: UpdateCause::Timer,
                actor: None,
                texts: UpdateTexts::default(),
                answer: None,
            },
            AskedChange::Step { reason, .. } => Occasion {
                cause: UpdateCause::Step,
                actor: None,
                texts: UpdateTexts {
                    note: String::new(),
                    reason: reason.clone(),
                },
                answer: None,
            },
        }
    }
}

/// Has a step begin now, and its time for attempts with it.
fn hasten(outcome: &mut RunOutcome, number: u16, now: EpochSeconds) {
    for step in &mut outcome.tree.steps {
        if step.number == number {
            // To the agenda, only another due time is a new beginning, and the step may have begun in this second.
            step.due = if step.due == now {
                now.saturating_sub(Seconds::ONE)
            } else {
                now
            };
        }
    }
}

/// The update of the unit that makes it.
fn updated_in(unit: UnitOfWork) -> Result<Box<OrderUpdate>, OrderError> {
    for write in unit.writes {
        if let Write::OrderUpdated(update) = write {
            return Ok(update);
        }
    }
    Err(OrderError::Bug)
}
