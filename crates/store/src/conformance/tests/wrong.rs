//! Stores that are wrong in one way each.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each fault changes one thing and leaves the rest alone"
)]

use std::{
    any::Any,
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use futures_util::FutureExt;
use tokio::sync::watch;

use super::memory::Outage;
use crate::{
    BegunOrder, BlockSink, ClaimTotals, CommitError, CommitFuture, EraseError, EraseFuture,
    ErasureAnswerSink, HoldId, HoldState, LifecycleSink, ListedOrder, NamedSlot, OrderFilter,
    OrderKey, OrderPlace, OrderSink, OrderUpdate, PlacedOrder, PlacedSink, Precondition,
    Preconditions, PriceBook, Provenance, Read, ReadError, Recovered, Replay, Selection, SlotBlock,
    SlotName, StateProfile, StateSums, StatesInUse, Store, StoreHealth, StoreStats, StoredHold,
    StoredOrder, UnitOfWork, UpdateSink, UpdateTexts, Write, conformance::StoreHome,
    memory::MemoryStore,
};
use domain::{
    ids::{Token, UserId},
    order::{BookingStatus, Customer, Order, OrderId},
    time::EpochSeconds,
};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    PreconditionsIgnored,
    StaleUnitsWritten,
    StaleUnitsPoison,
    LastWriteLost,
    WrittenWhenPolled,
    SeenLate,
    SeenInPart,
    LateUnitsLost,
    FingerprintLost,
    OldestFirst,
    SortedByClock,
    UntilIncluded,
    VisitsReversed,
    VisitUntilIncluded,
    DurationIgnored,
    PlacesReversed,
    IdsRepeated,
    IdsSorted,
    FilterIgnored,
    BreakIgnored,
    PlaceIgnored,
    IntentStays,
    AttemptsForgotten,
    AttemptsLostAtRestart,
    HoldNotConsumed,
    EndedHoldForgotten,
    FirstEndStays,
    AnswersKept,
    FirstRevisionStays,
    ReleasesLostAtRestart,
    EndedHoldsRecovered,
    HoldsRecoveredById,
    ClaimsNotAddedUp,
    PricesReplaced,
    ForgottenGoesBack,
    LastUnitLostAtRestart,
    WritesDuringOutage,
    OutageUnnoticed,
    OrdersMiscounted,
    ErasedStillListed,
    ErasedAnswersKept,
    ErasedTokenForgotten,
    ErasuresLostAtRestart,
    ErasuresRepeatedAtRestart,
    ErasedCountedAgain,
    ExportOldestFirst,
    ExportWithoutPayments,
    ExportEndless,
    VisitsOfTheirStart,
    VisitsUnlimited,
    UpdatesNotFound,
    UpdatesNotListed,
    UpdatesReplay,
    HistoryOldestFirst,
    HistoryOfNewest,
    HistoryEndless,
    UpdatesLostAtRestart,
    ReleasedStaySold,
    UpdatesWithoutWorkRecovered,
    WorkForgotten,
    PendingUpdatesUnseen,
    UpdatesPreconditionsIgnored,
    ErasedTextsKept,
    BlocksLostAtRestart,
    FirstBlockCounts,
    EndedBlocksRecovered,
    BlocksOldestFirst,
    BlocksEndless,
    ForgottenBlocksRecovered,
    BegunNotListed,
    BegunForgotten,
    BegunStaysRecovered,
    OrderErasedWithItsUser,
    LifecycleLostAtRestart,
    LifecycleOldestFirst,
    LifecycleEndless,
    LifecyclePreconditionsIgnored,
    DraftsKept,
    StatesOfAllUpdates,
    StatesOfBeginningsIgnored,
    StatesOfTimersCounted,
    PlacedUnderNewestRevision,
    ErasureAnswersForgotten,
    AttemptsAtStepsForgotten,
    AttemptsAtEndedStepsRecovered,
}

/// Keeps the units of a wrong store, from which it is built again when it is opened again.
pub(super) struct WrongHome {
    fault: Fault,
    units: Arc<Mutex<Vec<UnitOfWork>>>,
    erasures: Arc<Mutex<Vec<Erasure>>>,
    open: Mutex<Arc<MemoryStore>>,
}

/// An erasure, and the number of units before it.
#[derive(Debug, Clone)]
struct Erasure {
    units: usize,
    scope: Scope,
}

#[derive(Debug, Clone)]
enum Scope {
    Person(UserId),
    Visits(EpochSeconds, usize),
    Order(OrderId),
}

impl Scope {
    fn erase(&self, contents: &MemoryStore) -> Result<u64, EraseError> {
        let erasing = match self {
            Self::Person(user_id) => contents.erase_person(user_id),
            Self::Visits(ended_before, most) => contents.erase_visits(*ended_before, *most),
            Self::Order(id) => contents.erase_order(id),
        };
        erasing.now_or_never().unwrap()
    }
}

impl WrongHome {
    pub(super) fn with(fault: Fault) -> Self {
        Self {
            fault,
            units: Arc::default(),
            erasures: Arc::default(),
            open: Mutex::default(),
        }
    }

    /// The contents that are there after a restart.
    fn replayed(&self) -> MemoryStore {
        let contents = MemoryStore::default();
        let mut units = self.units.lock().unwrap();
        if self.fault == Fault::LastUnitLostAtRestart {
            units.pop();
        }
        let mut erasures = self.erasures.lock().unwrap();
        if self.fault == Fault::ErasuresLostAtRestart {
            erasures.clear();
        }
        for number in 0..=units.len() {
            let repeats = self.fault == Fault::ErasuresRepeatedAtRestart && number == units.len();
            let is_due = |erasure: &&Erasure| erasure.units == number || repeats;
            for erasure in erasures.iter().filter(is_due) {
                erasure.scope.erase(&contents).unwrap();
            }
            let Some(unit) = units.get(number) else {
                break;
            };
            // What was committed is read again, not decided again.
            let mut unit = without_preconditions(unit);
            if self.fault == Fault::ReleasesLostAtRestart {
                unit.writes
                    .retain(|write| !matches!(write, Write::HoldReleased { .. }));
            }
            if self.fault == Fault::AttemptsLostAtRestart {
                let ended = |write: &Write| matches!(write, Write::PaymentEnded(_));
                unit.writes.retain(|write| !ended(write));
            }
            if self.fault == Fault::UpdatesLostAtRestart {
                let updates = |write: &Write| matches!(write, Write::OrderUpdated(_));
                unit.writes.retain(|write| !updates(write));
            }
            if self.fault == Fault::LifecycleLostAtRestart {
                unit.writes
                    .retain(|write| !matches!(write, Write::Lifecycle(_)));
                unit.requires
                    .retain(|required| !matches!(required, Precondition::LifecycleRevision(_)));
            }
            write(&contents, &unit).unwrap();
        }
        contents
    }
}

impl StoreHome for WrongHome {
    fn open(&self) -> Arc<dyn Store> {
        let contents = Arc::new(self.replayed());
        *self.open.lock().unwrap() = Arc::clone(&contents);
        Arc::new(WrongStore {
            fault: self.fault,
            contents,
            units: Arc::clone(&self.units),
            erasures: Arc::clone(&self.erasures),
            late: Mutex::default(),
            undurable: Arc::default(),
            reads: AtomicU64::default(),
            always_ready: watch::Sender::new(StoreHealth::Ready),
        })
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn interrupt(&self) -> Option<Box<dyn Any>> {
        Some(Box::new(Outage::of(Arc::clone(&self.open.lock().unwrap()))))
    }
}

#[derive(Debug)]
struct WrongStore {
    fault: Fault,
    contents: Arc<MemoryStore>,
    units: Arc<Mutex<Vec<UnitOfWork>>>,
    erasures: Arc<Mutex<Vec<Erasure>>>,
    /// A unit that was acknowledged and not written, or the first of many that is.
    late: Mutex<Option<UnitOfWork>>,
    /// Whether an update was written and its future is not ready.
    undurable: Arc<AtomicBool>,
    reads: AtomicU64,
    always_ready: watch::Sender<StoreHealth>,
}

/// Writes to a store in memory, whose futures are ready at once.
fn write(contents: &MemoryStore, unit: &UnitOfWork) -> Result<(), CommitError> {
    contents.commit(unit).now_or_never().unwrap()
}

fn without_preconditions(unit: &UnitOfWork) -> UnitOfWork {
    UnitOfWork {
        requires: Preconditions::new(),
        ..unit.clone()
    }
}

impl WrongStore {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn write(&self, unit: &UnitOfWork) -> Result<(), CommitError> {
        // Locked over the write, so that the units are kept in the order in which they are written.
        let mut units = self.units.lock().unwrap();
        write(&self.contents, unit)?;
        units.push(unit.clone());
        Ok(())
    }

    /// The unit as the fault changes it.
    fn changed(&self, unit: &UnitOfWork) -> UnitOfWork {
        let mut unit = unit.clone();
        match self.fault {
            Fault::PreconditionsIgnored => unit.requires.clear(),
            Fault::UpdatesPreconditionsIgnored => {
                unit.requires
                    .retain(|required| !matches!(required, Precondition::OrderRevision { .. }));
            }
            Fault::LifecyclePreconditionsIgnored => {
                unit.requires
                    .retain(|required| !matches!(required, Precondition::LifecycleRevision(_)));
            }
            Fault::DraftsKept => {
                let discards = |write: &Write| matches!(write, Write::LifecycleDraft(draft) if draft.text.is_none());
                unit.writes.retain(|write| !discards(write));
            }
            Fault::LastWriteLost if unit.writes.len() > 1 => drop(unit.writes.pop()),
            Fault::FirstRevisionStays => {
                let renews =
                    |write: &Write| matches!(write, Write::HoldPlaced(hold) if hold.revision > 1);
                unit.writes.retain(|write| !renews(write));
            }
            _ => {}
        }
        for write in &mut unit.writes {
            if let Write::OrderPlaced(placed) = write {
                self.change_order(placed);
            }
        }
        unit
    }

    fn change_order(&self, placed: &mut PlacedOrder) {
        match self.fault {
            Fault::FingerprintLost => placed.fingerprint = [0; 32],
            Fault::HoldNotConsumed => placed.hold = None,
            Fault::IntentStays => placed.payment = None,
            _ => {}
        }
    }

    /// Writes a unit by halves: the first write, then, once somebody has looked, the others.
    fn write_in_parts(&self, unit: &UnitOfWork) -> Result<(), CommitError> {
        let mut rest = unit.clone();
        rest.requires.clear();
        let first = UnitOfWork {
            requires: unit.requires.clone(),
            writes: rest.writes.drain(..1).collect(),
        };
        self.write(&first)?;
        let reads = self.reads.load(Ordering::SeqCst);
        for _ in 0..20_000 {
            if self.reads.load(Ordering::SeqCst) > reads + 300 {
                break;
            }
            thread::yield_now();
        }
        self.write(&rest)
    }

    /// Acknowledges a unit and writes it when the next one comes.
    fn write_late(&self, unit: &UnitOfWork) -> Result<(), CommitError> {
        let before = self.late.lock().unwrap().replace(unit.clone());
        match before {
            Some(before) => self.write(&without_preconditions(&before)),
            None => Ok(()),
        }
    }

    fn write_wrongly(&self, unit: &UnitOfWork) -> Result<(), CommitError> {
        let unit = &self.changed(unit);
        match self.fault {
            Fault::StaleUnitsWritten => self.write(unit).inspect_err(|_| {
                self.write(&without_preconditions(unit)).unwrap();
            }),
            Fault::StaleUnitsPoison => {
                let mut poison = self.late.lock().unwrap();
                if poison.is_some() {
                    return Err(CommitError::WriterStopped);
                }
                self.write(unit)
                    .inspect_err(|_| *poison = Some(unit.clone()))
            }
            Fault::SeenInPart if unit.writes.len() > 1 => self.write_in_parts(unit),
            Fault::SeenLate => self.write_late(unit),
            Fault::LateUnitsLost => {
                // Of two that come at the same moment the second is lost.
                let Ok(mut last) = self.late.try_lock() else {
                    return Ok(());
                };
                *last = Some(unit.clone());
                thread::yield_now();
                self.write(unit)
            }
            Fault::WritesDuringOutage => self.write(unit).inspect_err(|error| {
                if matches!(error, CommitError::Unavailable) {
                    self.contents.end_outage();
                    self.write(unit).unwrap();
                    self.contents.begin_outage(EpochSeconds::new(1));
                }
            }),
            _ => self.write(unit),
        }
    }

    /// Decides an update on what is durable, as if the one before were not there until its future is ready.
    fn write_by_durable_state(&self, unit: &UnitOfWork) -> CommitFuture {
        if self.undurable.swap(true, Ordering::SeqCst) {
            let required = unit.requires[0];
            return CommitFuture::ready(Err(CommitError::Stale(required)));
        }
        let (written, undurable) = (self.write(unit), Arc::clone(&self.undurable));
        CommitFuture::boxed(async move {
            undurable.store(false, Ordering::SeqCst);
            written
        })
    }

    /// The texts of before the erasure, where they are to be gone.
    fn with_texts(&self, update: &mut OrderUpdate) {
        if !self.has(Fault::ErasedTextsKept) {
            return;
        }
        for write in self.writes() {
            if let Write::OrderUpdated(before) = write
                && (&before.order, before.revision) == (&update.order, update.revision)
            {
                update.entry.texts = before.entry.texts;
            }
        }
    }

    fn erase(&self, scope: Scope) -> Result<u64, EraseError> {
        let units = self.units.lock().unwrap();
        let erased = scope.erase(&self.contents)?;
        let units = units.len();
        self.erasures.lock().unwrap().push(Erasure { units, scope });
        Ok(erased)
    }

    fn erase_wrongly(&self, user_id: &UserId) -> Result<u64, EraseError> {
        let scope = Scope::Person(user_id.clone());
        match self.fault {
            Fault::ErasedStillListed => {
                let selection = Selection::User(user_id.clone());
                let there = self.orders(&selection, &|_| true).len();
                Ok(u64::try_from(there).unwrap())
            }
            Fault::ErasedCountedAgain => {
                let before = self.erasures.lock().unwrap().len();
                Ok(self.erase(scope)? + u64::from(before > 0))
            }
            _ => self.erase(scope),
        }
    }

    /// Answers of before the erasure, where they are to be gone.
    fn with_answers(&self, order: &mut Order) {
        if !self.has(Fault::ErasedAnswersKept) {
            return;
        }
        let mut placed = self.placed().into_iter();
        if let Some(placed) = placed.find(|placed| placed.order.id == order.id) {
            for (item, before) in order.items.iter_mut().zip(placed.order.items) {
                item.line.answers = before.line.answers;
            }
        }
    }

    /// The orders that were placed, oldest first.
    fn placed(&self) -> Vec<PlacedOrder> {
        let mut placed = Vec::new();
        for write in self.writes() {
            if let Write::OrderPlaced(order) = write {
                placed.push(*order);
            }
        }
        placed
    }

    fn writes(&self) -> Vec<Write> {
        let units = self.units.lock().unwrap();
        units.iter().flat_map(|unit| unit.writes.clone()).collect()
    }

    /// One block of each slot, wrongly chosen.
    fn wrong_blocks(&self, forgotten: Option<EpochSeconds>) -> Vec<SlotBlock> {
        let mut chosen = BTreeMap::new();
        for write in self.writes() {
            let Write::Blocked(block) = write else {
                continue;
            };
            if self.has(Fault::FirstBlockCounts) {
                chosen.entry(block.slot.clone()).or_insert(*block);
            } else {
                chosen.insert(block.slot.clone(), *block);
            }
        }
        let mut blocks: Vec<_> = chosen.into_values().collect();
        if !self.has(Fault::ForgottenBlocksRecovered) {
            blocks.retain(|block| Some(block.slot.end_sec()) >= forgotten);
        }
        if !self.has(Fault::EndedBlocksRecovered) {
            blocks.retain(|block| block.spots.is_any());
        }
        blocks
    }

    /// How a hold has ended that has ended more than once: the first time.
    fn first_end(&self, id: HoldId) -> HoldState {
        let mut ends = self.writes().into_iter().filter_map(|write| match write {
            Write::OrderPlaced(placed) => (placed.hold == Some(id)).then_some(HoldState::Consumed),
            Write::HoldReleased {
                id: released,
                released_sec,
                reason,
            } => (released == id).then_some(HoldState::Released {
                released_sec,
                reason,
            }),
            _ => None,
        });
        ends.next().unwrap()
    }

    /// The selected orders as they are listed wrongly.
    fn selected(&self, selection: &Selection, may_see: OrderFilter<'_>) -> Vec<ListedOrder> {
        let changed = match (self.fault, selection.clone()) {
            (Fault::UntilIncluded, Selection::Created { from, until }) => Selection::Created {
                from,
                until: until.saturating_add(1.into()),
            },
            (Fault::IdsSorted, Selection::Ids(mut ids)) => {
                ids.sort();
                Selection::Ids(ids)
            }
            (Fault::IdsRepeated, Selection::Ids(ids)) => {
                let one_by_one = ids.into_iter().map(|id| Selection::Ids(vec![id]));
                return one_by_one
                    .flat_map(|one| self.orders(&one, may_see))
                    .collect();
            }
            (Fault::DurationIgnored, Selection::Slot(slot)) => Selection::Slot(SlotName {
                duration_sec: None,
                ..slot
            }),
            (Fault::VisitUntilIncluded, Selection::Visit { from, until }) => Selection::Visit {
                from,
                until: until.saturating_add(1.into()),
            },
            (_, selection) => selection,
        };
        let mut orders = self.orders(&changed, may_see);
        match (self.fault, selection) {
            (Fault::OldestFirst, Selection::User(_) | Selection::Created { .. })
            | (Fault::VisitsReversed, Selection::Visit { .. }) => {
                orders.reverse();
            }
            (Fault::PlacesReversed, _) => {
                for stored in &mut orders {
                    stored.place = OrderPlace(u64::MAX - stored.place.0);
                }
            }
            (Fault::SortedByClock, Selection::Created { .. }) => {
                let placed = self.placed();
                let second = |stored: &ListedOrder| {
                    let id = &stored.order.id;
                    let placed = placed.iter().find(|placed| placed.order.id == *id);
                    std::cmp::Reverse(placed.unwrap().created_sec)
                };
                orders.sort_by_key(second);
            }
            _ => {}
        }
        orders
    }

    fn orders(&self, selection: &Selection, may_see: OrderFilter<'_>) -> Vec<ListedOrder> {
        let sees_all = self.has(Fault::FilterIgnored);
        let may_see = |order: Provenance<'_>| sees_all || may_see(order);
        let mut orders =
            super::super::driver::listed_orders(&*self.contents, selection, &may_see).unwrap();
        for listed in &mut orders {
            self.with_answers(&mut listed.order);
            if self.has(Fault::UpdatesNotListed) {
                listed.update = None;
            }
            if self.has(Fault::BegunNotListed) {
                listed.begun = None;
            }
        }
        orders
    }
}

impl Store for WrongStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        if self.has(Fault::WrittenWhenPolled) {
            let (contents, unit) = (Arc::clone(&self.contents), unit.clone());
            return CommitFuture::boxed(async move { write(&contents, &unit) });
        }
        let is_update = unit
            .writes
            .iter()
            .any(|write| matches!(write, Write::OrderUpdated(_)));
        if is_update && self.has(Fault::PendingUpdatesUnseen) {
            return self.write_by_durable_state(unit);
        }
        CommitFuture::ready(self.write_wrongly(unit))
    }

    fn order_key(&self, token: &Token) -> OrderKey {
        self.contents.order_key(token)
    }

    fn find_request(&self, key: &OrderKey) -> Read<Option<Replay>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let found = self.contents.find_request(key);
        if self.has(Fault::UpdatesReplay)
            && let Read::Now(Ok(Some(mut replay))) = found
        {
            // The order as it stands, in place of the first answer.
            if let Read::Now(Ok(Some(stored))) = self.contents.find_order(&replay.order.id)
                && stored.update.is_some()
            {
                replay.order.items[0].status = BookingStatus::Canceled;
            }
            return Read::Now(Ok(Some(replay)));
        }
        if let (Fault::ErasedTokenForgotten, Read::Now(Ok(Some(replay)))) = (self.fault, &found)
            && replay.order.customer == Customer::of("")
        {
            return Read::Now(Ok(None));
        }
        found
    }

    fn find_order(&self, id: &OrderId) -> Read<Option<StoredOrder>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let Read::Now(Ok(mut found)) = self.contents.find_order(id) else {
            panic!("memory answers at once");
        };
        if self.has(Fault::UpdatesNotFound)
            && let Some(stored) = &mut found
        {
            stored.update = None;
        }
        Read::Now(Ok(found))
    }

    fn history(&self, id: &OrderId, take: UpdateSink<'_>) -> Result<(), ReadError> {
        let mut updates = Vec::new();
        self.contents.history(id, &mut |update| {
            updates.push(update);
            ControlFlow::Continue(())
        })?;
        match self.fault {
            Fault::HistoryOldestFirst => updates.reverse(),
            Fault::HistoryOfNewest => updates.truncate(1),
            _ => {}
        }
        for mut update in updates {
            self.with_texts(&mut update);
            if take(update).is_break() && !self.has(Fault::HistoryEndless) {
                break;
            }
        }
        Ok(())
    }

    fn block_history(&self, slot: &NamedSlot, take: BlockSink<'_>) -> Result<(), ReadError> {
        let mut blocks = Vec::new();
        self.contents.block_history(slot, &mut |block| {
            blocks.push(block);
            ControlFlow::Continue(())
        })?;
        if self.has(Fault::BlocksOldestFirst) {
            blocks.reverse();
        }
        for block in blocks {
            if take(block).is_break() && !self.has(Fault::BlocksEndless) {
                break;
            }
        }
        Ok(())
    }

    fn lifecycle_changes(&self, take: LifecycleSink<'_>) -> Result<(), ReadError> {
        let mut changes = Vec::new();
        self.contents.lifecycle_changes(&mut |change| {
            changes.push(change);
            ControlFlow::Continue(())
        })?;
        if self.has(Fault::LifecycleOldestFirst) {
            changes.reverse();
        }
        for change in changes {
            if take(change).is_break() && !self.has(Fault::LifecycleEndless) {
                break;
            }
        }
        Ok(())
    }

    fn erasure_answers(&self, take: ErasureAnswerSink<'_>) -> Result<(), ReadError> {
        if self.has(Fault::ErasureAnswersForgotten) {
            return Ok(());
        }
        self.contents.erasure_answers(take)
    }

    fn placed_by_revision(&self) -> Result<BTreeMap<u32, u64>, ReadError> {
        let placed = self.contents.placed_by_revision()?;
        if !self.has(Fault::PlacedUnderNewestRevision) {
            return Ok(placed);
        }
        let newest = placed.keys().next_back().copied().unwrap_or_default();
        Ok(BTreeMap::from([(newest, placed.into_values().sum())]))
    }

    fn states_in_use(&self) -> StatesInUse {
        if self.has(Fault::StatesOfTimersCounted) {
            let mut in_use = self.contents.states_in_use();
            in_use.order_states = in_use.counts.clone();
            in_use
                .order_states
                .retain(|count| count.entity == domain::lifecycle::Entity::Order);
            return in_use;
        }
        let are_all = self.has(Fault::StatesOfAllUpdates);
        if !are_all && !self.has(Fault::StatesOfBeginningsIgnored) {
            return self.contents.states_in_use();
        }
        let mut profiles = BTreeMap::new();
        for (at, write) in self.writes().into_iter().enumerate() {
            if let Write::OrderUpdated(update) = write {
                let states = StateProfile::of(update.entry.lifecycle, &update.tree);
                profiles.insert((update.order, if are_all { at } else { 0 }), states);
            }
        }
        let mut sums = StateSums::default();
        for states in profiles.values() {
            sums.add(states, 1);
        }
        sums.in_use(self.contents.states_in_use().placed)
    }

    fn find_hold(&self, id: HoldId) -> Read<Option<StoredHold>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let Read::Now(Ok(mut found)) = self.contents.find_hold(id) else {
            panic!("memory answers at once");
        };
        if self.has(Fault::EndedHoldForgotten) {
            found.take_if(|stored| stored.state != HoldState::Active);
        }
        if self.has(Fault::FirstEndStays)
            && let Some(stored) = &mut found
            && stored.state != HoldState::Active
        {
            stored.state = self.first_end(id);
        }
        if self.has(Fault::AnswersKept) {
            let lines = found.iter_mut().flat_map(|stored| &mut stored.hold.lines);
            lines.for_each(|line| line.answers = Some(Vec::new()));
        }
        Read::Now(Ok(found))
    }

    fn list(
        &self,
        selection: &Selection,
        before: Option<OrderPlace>,
        may_see: OrderFilter<'_>,
        take: OrderSink<'_>,
    ) -> Result<(), ReadError> {
        for stored in self.selected(selection, may_see) {
            let is_before = before.is_none_or(|before| stored.place < before);
            if !is_before && !self.has(Fault::PlaceIgnored) {
                continue;
            }
            if take(stored) == ControlFlow::Break(()) && !self.has(Fault::BreakIgnored) {
                break;
            }
        }
        Ok(())
    }

    fn failed_attempts(&self, key: &OrderKey) -> Read<u32> {
        if self.has(Fault::AttemptsForgotten) {
            return Read::Now(Ok(0));
        }
        self.contents.failed_attempts(key)
    }

    fn erase_person(&self, user_id: &UserId) -> EraseFuture {
        Box::pin(std::future::ready(self.erase_wrongly(user_id)))
    }

    fn erase_visits(&self, ended_before: EpochSeconds, most: usize) -> EraseFuture {
        let scope = match self.fault {
            // A slot of an hour that has begun.
            Fault::VisitsOfTheirStart => {
                Scope::Visits(ended_before.saturating_add(3_600.into()), most)
            }
            Fault::VisitsUnlimited => Scope::Visits(ended_before, usize::MAX),
            _ => Scope::Visits(ended_before, most),
        };
        Box::pin(std::future::ready(self.erase(scope)))
    }

    fn erase_order(&self, id: &OrderId) -> EraseFuture {
        let scope = match (self.fault, self.contents.find_order(id)) {
            (Fault::OrderErasedWithItsUser, Read::Now(Ok(Some(stored)))) => {
                Scope::Person(stored.placed.order.customer.user_id)
            }
            _ => Scope::Order(id.clone()),
        };
        Box::pin(std::future::ready(self.erase(scope)))
    }

    fn export_person(&self, user_id: &UserId, take: PlacedSink<'_>) -> Result<(), ReadError> {
        let mut orders = Vec::new();
        self.contents.export_person(user_id, &mut |placed| {
            orders.push(placed);
            ControlFlow::Continue(())
        })?;
        if self.has(Fault::ExportOldestFirst) {
            orders.reverse();
        }
        for mut placed in orders {
            if self.has(Fault::ExportWithoutPayments) {
                placed.payment = None;
            }
            if take(placed).is_break() && !self.has(Fault::ExportEndless) {
                break;
            }
        }
        Ok(())
    }

    fn recover(&self) -> Result<Recovered, ReadError> {
        let mut recovered = self.contents.recover()?;
        match self.fault {
            Fault::ClaimsNotAddedUp => {
                let placed = self.placed().into_iter();
                recovered.sold = placed.flat_map(|placed| placed.claims).collect();
            }
            Fault::EndedHoldsRecovered => {
                recovered.holds.clear();
                for write in self.writes() {
                    if let Write::HoldPlaced(hold) = write {
                        recovered.holds.push(*hold);
                    }
                }
            }
            Fault::ReleasedStaySold => {
                let placed = self.placed().into_iter();
                let mut sold = ClaimTotals::default();
                sold.add(placed.flat_map(|placed| placed.claims));
                recovered.sold = sold.into_claims();
            }
            Fault::UpdatesWithoutWorkRecovered => {
                recovered.updated.clear();
                for placed in self.placed() {
                    let found = self.contents.find_order(&placed.order.id);
                    let Read::Now(Ok(Some(stored))) = found else {
                        continue;
                    };
                    recovered.updated.extend(stored.update.map(|mut update| {
                        update.entry.texts = UpdateTexts::default();
                        update
                    }));
                }
            }
            Fault::WorkForgotten => recovered.updated.clear(),
            Fault::BegunForgotten => recovered.begun.clear(),
            Fault::BegunStaysRecovered => {
                recovered.begun.clear();
                for placed in self.placed() {
                    let order = placed.order.id;
                    recovered
                        .begun
                        .extend(placed.begun.map(|tree| BegunOrder { order, tree: *tree }));
                }
            }
            Fault::BlocksLostAtRestart => recovered.blocks.clear(),
            Fault::FirstBlockCounts
            | Fault::EndedBlocksRecovered
            | Fault::ForgottenBlocksRecovered => {
                recovered.blocks = self.wrong_blocks(recovered.slots_forgotten_until);
            }
            Fault::AttemptsAtStepsForgotten => recovered.retried.clear(),
            Fault::AttemptsAtEndedStepsRecovered => {
                recovered.retried.clear();
                for write in self.writes() {
                    if let Write::StepRetried(retry) = write {
                        recovered.retried.push(*retry);
                    }
                }
            }
            Fault::HoldsRecoveredById => recovered.holds.sort_by_key(|hold| hold.id),
            Fault::PricesReplaced => {
                let mut books = self.writes().into_iter().rev();
                recovered.prices = books
                    .find_map(|write| match write {
                        Write::Prices(book) => Some(book),
                        _ => None,
                    })
                    .unwrap_or_else(PriceBook::default);
            }
            Fault::ForgottenGoesBack => {
                let mut seconds = self.writes().into_iter().rev();
                recovered.slots_forgotten_until = seconds.find_map(|write| match write {
                    Write::SlotsForgotten(until) => Some(until),
                    _ => None,
                });
            }
            _ => {}
        }
        Ok(recovered)
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        if self.has(Fault::OutageUnnoticed) {
            return self.always_ready.subscribe();
        }
        self.contents.health()
    }

    fn stats(&self) -> StoreStats {
        let mut stats = self.contents.stats();
        if self.has(Fault::OrdersMiscounted) {
            stats.orders = self.units.lock().unwrap().len().try_into().unwrap();
        }
        stats
    }
}
