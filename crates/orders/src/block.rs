//! Blocks: spots of slots that operators take off sale.
//!
//! One block of a slot is set at a time. What it takes is off sale before it is on record, and what it gives back is for sale
//! only after that. So a caller who has the answer can rely on the block, and one without an answer has lost nothing.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::{
    ActiveCatalog, App, AttemptError, MerchantScope, OrderError,
    execute::{Command, CommitFailure, Decided},
    tokens::{LockedFor, RequestKey, TokenGuard, TokenLock, released},
    update::{ChangeError, InvalidField, wrong_reason_text, wrong_request_id},
};
use crate::{
    audit::{AuditEvent, AuditedBlock, AuditedChange, AuditedOutcome},
    slots::{AssumedBlock, SlotReport},
};
use domain::{
    catalog::IdInterner,
    ids::MerchantId,
    openings::Span,
    slot::{BlockedSpots, SlotDuration, SlotKey},
    time::{EpochSeconds, Seconds},
};
use inventory::{BlockChange, Inventory};
use kernel::{blocking, user::User};
use store::{
    Fingerprint, NamedClaim, NamedSlot, RequestAnswer, SlotBlock, SlotName, UnitOfWork, Write,
};

/// What is to be off sale of a slot, in place of what is.
#[derive(Debug, Clone)]
pub struct BlockRequest {
    /// The slot.
    pub slot: SlotName,
    /// The spots; none ends the block.
    pub spots: BlockedSpots,
    /// Why, in words. It needs no personal data.
    pub reason: String,
    /// A UUID. The same request again changes nothing more.
    pub request_id: String,
    /// Digest of caller, method and request, which tells a repetition from another request under the same id.
    pub fingerprint: Fingerprint,
    /// The user, where the server knows its users. One who does not act for the merchant finds no slot.
    pub user: Option<Arc<User>>,
}

/// The blocks in force, by the slots' start.
#[derive(Debug, Default)]
pub(super) struct Blocks(Mutex<BTreeMap<NamedSlot, SlotBlock>>);

impl Blocks {
    /// The blocks that are on record.
    pub(super) fn of(blocks: Vec<SlotBlock>) -> Self {
        let known = Self::default();
        for block in blocks {
            known.note(block);
        }
        known
    }

    /// A block is on record.
    pub(super) fn note(&self, block: SlotBlock) {
        let mut known = self.lock();
        if block.spots.is_any() {
            known.insert(block.slot.clone(), block);
        } else {
            known.remove(&block.slot);
        }
    }

    /// Slots that ended before this second are forgotten.
    pub(super) fn forget(&self, until: EpochSeconds) {
        self.lock().retain(|slot, _| slot.end_sec() >= until);
    }

    /// The block of a slot.
    pub(super) fn find(&self, slot: &NamedSlot) -> Option<SlotBlock> {
        self.lock().get(slot).cloned()
    }

    fn all(&self) -> Vec<SlotBlock> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NamedSlot, SlotBlock>> {
        // Nothing that runs under the lock panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts the blocks on record in force, before anything is sold.
pub(super) fn restore(blocks: &[SlotBlock], ids: &mut IdInterner, inventory: &Inventory) {
    for block in blocks {
        let slot = &block.slot;
        // Interned: a later catalogue may have the service again.
        let service = ids.service(&slot.merchant_id, &slot.service_id);
        let key = SlotKey {
            service,
            duration_sec: slot.duration_sec,
            start_sec: slot.start_sec,
        };
        inventory.restore_block(key, block.spots);
    }
}

/// The key of a slot; `None` if its service was never known.
pub(super) fn key_of(ids: &IdInterner, slot: &NamedSlot) -> Option<SlotKey> {
    Some(SlotKey {
        service: ids.find_service(&slot.merchant_id, &slot.service_id)?,
        duration_sec: slot.duration_sec,
        start_sec: slot.start_sec,
    })
}

impl App {
    /// Takes spots of a slot off sale, or puts them back, and returns the slot by its name. A repetition of the request
    /// changes nothing.
    ///
    /// # Errors
    /// [`ChangeError`]: then nothing has changed, except where it is [`OrderError::StoreFailed`].
    pub async fn set_block(
        self: &Arc<Self>,
        request: BlockRequest,
        deadline: Instant,
    ) -> Result<NamedSlot, ChangeError> {
        let asked = AskedBlock::of(&request);
        let found = self.slot_to_block(&request).await;
        let slot = found.inspect_err(|error| asked.record(self, None, error.outcome()))?;
        let set = self.set_block_of(slot.clone(), request, deadline, asked.clone());
        match set.await {
            Ok(set) => set.map(|()| slot),
            // The work was not begun, so it has recorded nothing.
            Err(error) => {
                asked.record(self, Some(&slot), error.outcome());
                Err(error)
            }
        }
    }

    /// Records that a request to block spots was rejected, by the reason in the table of errors, before it was one to
    /// [`App::set_block`].
    pub fn reject_block(&self, request_id: &str, reason: &'static str) {
        self.audit.record(AuditEvent::SlotBlocked {
            block: None,
            change: AuditedChange::of(request_id, AuditedOutcome::Rejected(reason)),
        });
    }

    /// A slot as it would stand with a block; without a report if it has left the catalogue. Nothing changes.
    ///
    /// # Errors
    /// [`ChangeError`], as for the block itself.
    pub async fn slot_if_blocked(
        self: &Arc<Self>,
        request: &BlockRequest,
    ) -> Result<(NamedSlot, Option<SlotReport>), ChangeError> {
        let slot = self.slot_to_block(request).await?;
        let assumed = AssumedBlock {
            spots: request.spots,
            reason: request.reason.clone(),
        };
        let report = self.slot_with(&slot, Some(assumed)).await?;
        // A block of a slot that has left the catalogue can still be ended.
        if report.is_none() && self.blocks.find(&slot).is_none() {
            return Err(ChangeError::UnknownSlot);
        }
        Ok((slot, report))
    }

    /// The slot of a request, as far as the request is valid.
    async fn slot_to_block(
        self: &Arc<Self>,
        request: &BlockRequest,
    ) -> Result<NamedSlot, ChangeError> {
        let mut invalid = Vec::new();
        invalid.extend(wrong_request_id(&request.request_id));
        invalid.extend(wrong_reason_text(&request.reason));
        if !invalid.is_empty() {
            return Err(ChangeError::Invalid(invalid));
        }
        let scope = MerchantScope::of(request.user.as_ref());
        self.find_slot(&request.slot, &scope).await
    }

    /// The outcome of a block; an error if it was not begun.
    async fn set_block_of(
        self: &Arc<Self>,
        slot: NamedSlot,
        request: BlockRequest,
        deadline: Instant,
        asked: AskedBlock,
    ) -> Result<Result<(), ChangeError>, ChangeError> {
        let locked = self.lock_request(RequestKey::of_slot(&slot), deadline);
        let guard = locked.await.ok_or(OrderError::ChangeInProgress)?;
        let command = SetBlock {
            slot: slot.clone(),
            request,
        };
        let app = Arc::clone(self);
        let work = async move {
            let set = app.execute(guard, command).await;
            let set = set.unwrap_or_else(|error| Err(error.into()));
            // Inside of the work that runs to completion, so that what disconnected clients have asked for is recorded, too.
            if let Err(error) = &set {
                // A name that is no slot may be anything.
                let is_known = *error != ChangeError::UnknownSlot;
                asked.record(&app, is_known.then_some(&slot), error.outcome());
            }
            Ok(set)
        };
        Ok(self.complete(work)?.await?)
    }

    /// The blocks in force of a merchant, or of all in the scope, by the slots' start.
    #[must_use]
    pub fn blocks(
        &self,
        merchant_id: Option<&MerchantId>,
        scope: &MerchantScope,
    ) -> Vec<SlotBlock> {
        let mut blocks = self.blocks.all();
        blocks.retain(|block| {
            let of_merchant = &block.slot.merchant_id;
            merchant_id.is_none_or(|id| of_merchant == id) && scope.has(of_merchant)
        });
        blocks
    }

    /// The only slot of this name in the scope that is in the catalogue or has a block.
    pub(super) async fn find_slot(
        self: &Arc<Self>,
        name: &SlotName,
        scope: &MerchantScope,
    ) -> Result<NamedSlot, ChangeError> {
        if !scope.has(&name.merchant_id) {
            return Err(ChangeError::UnknownSlot);
        }
        if let Some(duration_sec) = name.duration_sec {
            return Ok(named_slot(name, duration_sec));
        }
        let (app, wanted) = (Arc::clone(self), name.clone());
        // All openings of the catalogue are gone through, which takes long where there are millions.
        let durations = blocking::run(move || app.durations_of(&wanted))
            .await
            .map_err(OrderError::from)?;
        match durations[..] {
            [] => Err(ChangeError::UnknownSlot),
            [duration_sec] => Ok(named_slot(name, duration_sec)),
            [..] => {
                let rule = "is required: several slots start then";
                let invalid = InvalidField::new("slot.duration_sec", rule);
                Err(ChangeError::Invalid(vec![invalid]))
            }
        }
    }

    /// The lengths of the slots of a service that start then.
    pub(super) fn durations_of(&self, name: &SlotName) -> Vec<SlotDuration> {
        let mut durations = Vec::new();
        for block in self.blocks(Some(&name.merchant_id), &MerchantScope::ALL) {
            if block.slot == named_slot(name, block.slot.duration_sec) {
                durations.push(block.slot.duration_sec);
            }
        }
        let (active, repeated_until) = self.opened();
        let catalog = &active.catalog;
        let merchant = catalog.merchant_ix(&name.merchant_id);
        let service = merchant.and_then(|ix| catalog.service_ix(ix, &name.service_id));
        let span = Span {
            now: name.start_sec,
            until: name.start_sec.saturating_add(Seconds::ONE),
            repeated_until,
        };
        for (key, _) in active.openings.slots(span) {
            if Some(key.service) == service && key.start_sec == name.start_sec {
                durations.push(key.duration_sec);
            }
        }
        durations.sort_unstable();
        durations.dedup();
        durations
    }

    /// Begins a block by the catalogue in force. `None` if the slot is not open and has no block.
    fn stage_block(
        &self,
        slot: &NamedSlot,
        spots: BlockedSpots,
    ) -> Result<Option<BlockChange>, OrderError> {
        self.by_active_catalog(|active: &ActiveCatalog| {
            let Some(key) = key_of(active.catalog.ids(), slot) else {
                return Ok(None);
            };
            let staged = self.inventory.stage_block(active.revision, key, spots)?;
            Ok::<_, AttemptError>(staged)
        })
    }

    /// The block that a request has led to, read on a blocking thread.
    pub(super) async fn answered_block(
        &self,
        slot: &NamedSlot,
        request_id: &str,
    ) -> Result<Option<SlotBlock>, OrderError> {
        let store = Arc::clone(&self.store);
        let (slot, request_id) = (slot.clone(), request_id.to_owned());
        let read = move || {
            let mut found = None;
            let walked = store.block_history(&slot, &mut |block| {
                let answer = block.answer.as_ref();
                if answer.is_some_and(|answer| answer.has_id(&request_id)) {
                    found = Some(block);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            walked.map(|()| found)
        };
        let found = blocking::run(read).await?;
        found.map_err(|error| self.read_failed(&error))
    }

    /// Locks a slot for a block, however long that takes.
    async fn lock_slot(&self, slot: &NamedSlot) -> TokenGuard {
        loop {
            let key = RequestKey::of_slot(slot);
            match self.tokens.try_lock(key, LockedFor::Order) {
                TokenLock::Acquired(guard) => return guard,
                // A loop: of several that wait for one slot, only the first to try again acquires the lock.
                TokenLock::Held(waiting) => released(waiting).await,
            }
        }
    }

    /// Begins to block as many spots more as these claims take, so that they are not sold again when they are given back.
    pub(super) async fn keep_off_sale(
        &self,
        released: &[NamedClaim],
        occasion: BlockOccasion<'_>,
    ) -> Result<KeptOffSale, OrderError> {
        let mut by_slot = BTreeMap::<NamedSlot, u32>::new();
        for claim in released {
            let count = by_slot.entry(slot_of(claim)).or_default();
            *count = count.saturating_add(claim.count);
        }
        let mut kept = KeptOffSale {
            request_id: occasion.request_id.to_owned(),
            ..KeptOffSale::default()
        };
        // In the order of the slots, the one lock order of slots. The caller has the lock of its order, and a holder of
        // the lock of a slot waits for nothing.
        for (slot, count) in by_slot {
            kept.guards.push(self.lock_slot(&slot).await);
            let before = self.blocks.find(&slot);
            let spots = before
                .as_ref()
                .map_or(BlockedSpots::NONE, |before| before.spots)
                .plus(count);
            // A slot that has left the catalogue sells nothing.
            if let Some(change) = self.stage_block(&slot, spots)? {
                kept.changes.push(change);
                kept.blocks.push(SlotBlock {
                    slot,
                    spots,
                    // That of the withdrawal may be about the customer.
                    reason: before.map(|before| before.reason).unwrap_or_default(),
                    actor: occasion.actor.cloned(),
                    blocked_sec: occasion.now,
                    answer: None,
                });
            }
        }
        Ok(kept)
    }

    /// Blocks that are on record are in force.
    pub(super) fn apply_blocks(&self, kept: KeptOffSale) {
        for change in kept.changes {
            self.inventory.apply_block(change);
        }
        let outcome = AuditedOutcome::Changed { revision: None };
        for block in kept.blocks {
            let asked = AskedBlock {
                spots: block.spots,
                request_id: kept.request_id.clone(),
            };
            asked.record(self, Some(&block.slot), outcome);
            self.blocks.note(block);
        }
    }

    /// Blocks that are not on record are not in force.
    pub(super) fn revert_blocks(&self, kept: KeptOffSale) {
        for change in kept.changes {
            self.inventory.revert_block(change);
        }
    }
}

/// A block that is asked for, as the audit log has it.
#[derive(Debug, Clone)]
struct AskedBlock {
    spots: BlockedSpots,
    request_id: String,
}

impl AskedBlock {
    fn of(request: &BlockRequest) -> Self {
        Self {
            spots: request.spots,
            request_id: request.request_id.clone(),
        }
    }

    /// Records what became of it.
    fn record(&self, app: &App, slot: Option<&NamedSlot>, outcome: AuditedOutcome) {
        let spots = self.spots;
        app.audit.record(AuditEvent::SlotBlocked {
            block: slot.map(|slot| AuditedBlock { slot, spots }),
            change: AuditedChange::of(&self.request_id, outcome),
        });
    }
}

/// Who keeps spots off sale, and when.
pub(super) struct BlockOccasion<'o> {
    pub(super) actor: Option<&'o Arc<str>>,
    pub(super) request_id: &'o str,
    pub(super) now: EpochSeconds,
}

/// Blocks that are to be on record together with what gives the spots back. Their slots are locked.
#[derive(Default)]
pub(super) struct KeptOffSale {
    pub(super) blocks: Vec<SlotBlock>,
    /// The request that keeps them off sale.
    request_id: String,
    changes: Vec<BlockChange>,
    guards: Vec<TokenGuard>,
}

/// The slot of a claim.
fn slot_of(claim: &NamedClaim) -> NamedSlot {
    NamedSlot {
        start_sec: claim.start_sec,
        merchant_id: claim.merchant_id.clone(),
        service_id: claim.service_id.clone(),
        duration_sec: claim.duration_sec,
    }
}

fn named_slot(name: &SlotName, duration_sec: SlotDuration) -> NamedSlot {
    NamedSlot {
        start_sec: name.start_sec,
        merchant_id: name.merchant_id.clone(),
        service_id: name.service_id.clone(),
        duration_sec,
    }
}

/// A block of a slot by a request.
struct SetBlock {
    slot: NamedSlot,
    request: BlockRequest,
}

impl Command for SetBlock {
    type Answer = Result<(), ChangeError>;
    type Taken = (Self, BlockChange);

    async fn replay(&self, app: &App) -> Result<Option<Self::Answer>, OrderError> {
        let answered = app.answered_block(&self.slot, &self.request.request_id);
        let Some(block) = answered.await? else {
            return Ok(None);
        };
        let fingerprint = block.answer.map(|answer| answer.fingerprint);
        if fingerprint != Some(self.request.fingerprint) {
            return Ok(Some(Err(ChangeError::RequestReused)));
        }
        let outcome = AuditedOutcome::Repeated { revision: None };
        AskedBlock::of(&self.request).record(app, Some(&self.slot), outcome);
        Ok(Some(Ok(())))
    }

    async fn decide(self, app: &App) -> Result<Decided<Self>, OrderError> {
        let Some(change) = app.stage_block(&self.slot, self.request.spots)? else {
            return Ok(Decided::Answer(Err(ChangeError::UnknownSlot)));
        };
        let request = &self.request;
        let block = SlotBlock {
            slot: self.slot.clone(),
            spots: request.spots,
            reason: request.reason.clone(),
            actor: request.user.as_ref().map(|user| Arc::clone(user.name())),
            blocked_sec: app.now(),
            answer: Some(RequestAnswer {
                request_id: request.request_id.clone(),
                fingerprint: request.fingerprint,
            }),
        };
        let unit = UnitOfWork::write(Write::Blocked(Box::new(block)));
        Ok(Decided::Change(unit, (self, change)))
    }

    fn apply(
        app: &App,
        unit: UnitOfWork,
        (command, change): Self::Taken,
    ) -> Result<Self::Answer, OrderError> {
        app.inventory.apply_block(change);
        for write in unit.writes {
            if let Write::Blocked(block) = write {
                tracing::debug!(
                    merchant_id = block.slot.merchant_id.as_str(),
                    service_id = block.slot.service_id.as_str(),
                    start_sec = block.slot.start_sec.get(),
                    "slot blocked"
                );
                let outcome = AuditedOutcome::Changed { revision: None };
                AskedBlock::of(&command.request).record(app, Some(&block.slot), outcome);
                app.blocks.note(*block);
            }
        }
        Ok(Ok(()))
    }

    async fn revert(
        app: &App,
        _: UnitOfWork,
        (command, change): Self::Taken,
    ) -> Result<Self, OrderError> {
        app.inventory.revert_block(change);
        Ok(command)
    }

    async fn fail(
        app: &App,
        _: UnitOfWork,
        (_, change): Self::Taken,
        failure: CommitFailure,
    ) -> Result<Self::Answer, OrderError> {
        // Where nobody knows whether it is on record, both blocks stay in force until a restart has read it.
        if !matches!(failure, CommitFailure::Unknown(_)) {
            app.inventory.revert_block(change);
        }
        Err(failure.into_error())
    }
}

#[cfg(test)]
pub(crate) mod tests;
