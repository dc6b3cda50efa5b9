//! A store that forgets everything when the process ends: for demonstrations and tests.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    BegunOrder, BlockSink, ClaimTotals, CommitError, CommitFuture, EraseError, EraseFuture,
    ErasureAnswer, ErasureAnswerSink, HoldId, HoldRecord, HoldState, LifecycleChange,
    LifecycleRevision, LifecycleSink, ListedOrder, NamedSlot, OrderFilter, OrderPlace, OrderSink,
    OrderUpdate, PaymentIntent, PlacedOrder, PlacedSink, Precondition, Provenance, Read, ReadError,
    Recovered, Replay, Selection, SlotBlock, StateProfile, StateSums, StatesInUse, StepRetry,
    Store, StoreHealth, StoreStats, StoredHold, StoredOrder, UnitOfWork, UpdateSink, UpdateTexts,
    Write,
    latest_prices::LatestPrices,
    order_key::{KeyDeriver, OrderKey},
    record::erased_customer,
};
use domain::{
    ids::{Token, UserId},
    lifecycle::NamedTree,
    order::{Order, OrderId},
    time::EpochSeconds,
};

/// Keeps orders in memory only.
#[derive(Debug)]
pub struct MemoryStore {
    keys: KeyDeriver,
    contents: Mutex<MemoryContents>,
    health: watch::Sender<StoreHealth>,
}

/// An order that was selected.
struct SelectedOrder {
    /// Its place among all orders.
    at: usize,
    placed: Arc<PlacedOrder>,
    /// Its newest update, if it has one.
    newest: Option<Arc<OrderUpdate>>,
}

#[derive(Debug, Default)]
struct MemoryContents {
    /// In the order of their commits.
    orders: Vec<Arc<PlacedOrder>>,
    by_key: HashMap<OrderKey, usize>,
    by_user: HashMap<UserId, Vec<usize>>,
    /// The updates of each updated order, oldest first.
    updates: HashMap<OrderKey, Vec<Arc<OrderUpdate>>>,
    /// The blocks of each slot that is not forgotten, oldest first.
    blocks: HashMap<NamedSlot, Vec<SlotBlock>>,
    /// The newest attempt without an outcome at each step that was tried.
    retried: HashMap<(OrderKey, u16), StepRetry>,
    /// In the order of their commits.
    lifecycle: Vec<LifecycleChange>,
    /// In the order of their commits.
    erasure_answers: Vec<ErasureAnswer>,
    holds: HashMap<HoldId, StoredHold>,
    /// Which placement of all was the last one of each hold.
    placements: HashMap<HoldId, usize>,
    placed: usize,
    pending: HashMap<Token, PaymentIntent>,
    /// The last one of each order.
    failed_attempts: HashMap<OrderKey, u32>,
    prices: LatestPrices,
    slots_forgotten_until: Option<EpochSeconds>,
}

impl Default for MemoryStore {
    /// An empty store. Its secret is fixed, so order ids are the same in every process.
    fn default() -> Self {
        Self {
            keys: KeyDeriver::new([0; 32]),
            contents: Mutex::default(),
            health: watch::Sender::new(StoreHealth::Ready),
        }
    }
}

impl MemoryStore {
    /// Commits fail from now on, until [`MemoryStore::end_outage`].
    #[cfg(any(test, feature = "conformance"))]
    pub fn begin_outage(&self, since: EpochSeconds) {
        self.health.send_replace(StoreHealth::Unavailable { since });
    }

    /// Commits succeed again.
    #[cfg(any(test, feature = "conformance"))]
    pub fn end_outage(&self) {
        self.health.send_replace(StoreHealth::Ready);
    }

    fn lock(&self) -> MutexGuard<'_, MemoryContents> {
        #[cfg(any(test, feature = "schedules"))]
        testkit::schedules::before_lock(&self.contents);
        // Nothing that is done under the lock panics, so a panic elsewhere leaves the contents whole.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the unit, if all that it requires is so.
    fn apply(&self, unit: &UnitOfWork) -> Result<(), CommitError> {
        if !self.health.borrow().is_ready() {
            return Err(CommitError::Unavailable);
        }
        // One lock for checks and writes, so that no other unit comes between them and none is seen in part.
        let mut contents = self.lock();
        for precondition in &unit.requires {
            if !contents.meets(precondition) {
                return Err(CommitError::Stale(*precondition));
            }
        }
        for write in &unit.writes {
            contents.write(write, &self.keys);
        }
        Ok(())
    }

    /// Erases orders, and says of how many.
    fn erase_with(&self, erase: impl FnOnce(&mut MemoryContents) -> u64) -> EraseFuture {
        let erased = || {
            if !self.health.borrow().is_ready() {
                return Err(EraseError::Commit(CommitError::Unavailable));
            }
            Ok(erase(&mut self.lock()))
        };
        Box::pin(std::future::ready(erased()))
    }

    /// The selected orders that pass the filter.
    fn select(&self, selection: &Selection, may_see: OrderFilter<'_>) -> Vec<SelectedOrder> {
        let contents = self.lock();
        let mut selected = Vec::new();
        for at in contents.select(selection) {
            let placed = &contents.orders[at];
            let provenance = Provenance {
                created_by: placed.created_by.as_deref(),
                merchant_id: &placed.order.merchant_id,
            };
            if !may_see(provenance) {
                continue;
            }
            let key = OrderKey::of_id(&placed.order.id);
            selected.push(SelectedOrder {
                at,
                placed: Arc::clone(placed),
                newest: key.and_then(|key| contents.newest_update(&key).cloned()),
            });
        }
        selected
    }
}

impl MemoryContents {
    fn meets(&self, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::NewRequest(key) => !self.by_key.contains_key(key),
            Precondition::HoldRevision { id, revision } => {
                let active = self
                    .holds
                    .get(id)
                    .filter(|stored| stored.state == HoldState::Active);
                active.map_or(0, |stored| stored.hold.revision) == *revision
            }
            Precondition::OrderRevision { order, revision } => {
                self.revision_of(order) == Some(*revision)
            }
            Precondition::LifecycleRevision(number) => {
                let newest = self.revisions().last();
                newest.map_or(0, |revision| revision.number) == *number
            }
        }
    }

    fn write(&mut self, write: &Write, keys: &KeyDeriver) {
        match write {
            Write::OrderPlaced(placed) => self.place(placed, keys),
            Write::PaymentIntent(intent) => {
                self.pending.insert(intent.token.clone(), intent.clone());
            }
            Write::PaymentEnded(attempt) => {
                let token = &attempt.intent.token;
                self.pending.remove(token);
                self.failed_attempts
                    .insert(keys.order_key(token), attempt.intent.attempt);
            }
            Write::HoldPlaced(hold) => self.hold(hold),
            Write::HoldReleased {
                id,
                released_sec,
                reason,
            } => self.end_hold(
                *id,
                HoldState::Released {
                    released_sec: *released_sec,
                    reason: *reason,
                },
            ),
            Write::Prices(book) => self.prices.merge(book),
            Write::SlotsForgotten(until) => {
                self.slots_forgotten_until = self.slots_forgotten_until.max(Some(*until));
                let until = self.slots_forgotten_until;
                self.blocks.retain(|slot, _| is_known(slot, until));
            }
            Write::Blocked(block) => {
                if is_known(&block.slot, self.slots_forgotten_until) {
                    let blocks = self.blocks.entry(block.slot.clone()).or_default();
                    blocks.push(SlotBlock::clone(block));
                }
            }
            Write::OrderUpdated(update) => {
                if let Some(key) = OrderKey::of_id(&update.order) {
                    let updates = self.updates.entry(key).or_default();
                    updates.push(Arc::new(OrderUpdate::clone(update)));
                }
            }
            Write::StepRetried(retry) => {
                if let Some(key) = OrderKey::of_id(&retry.order) {
                    self.retried
                        .insert((key, retry.step), StepRetry::clone(retry));
                }
            }
            Write::Lifecycle(revision) => {
                let revision = LifecycleRevision::clone(revision);
                self.lifecycle.push(LifecycleChange::Published(revision));
            }
            Write::LifecycleDraft(draft) => {
                let drafted = LifecycleChange::Drafted((**draft).clone());
                self.lifecycle.push(drafted);
            }
            Write::ErasureAnswered(answer) => self.erasure_answers.push(answer.clone()),
        }
    }

    /// The revisions of the lifecycle, oldest first.
    fn revisions(&self) -> impl DoubleEndedIterator<Item = &LifecycleRevision> {
        self.lifecycle.iter().filter_map(|change| match change {
            LifecycleChange::Published(revision) => Some(revision),
            LifecycleChange::Drafted(_) => None,
        })
    }

    /// The draft of the lifecycle.
    fn draft(&self) -> Option<String> {
        let mut drafts = self.lifecycle.iter().filter_map(|change| match change {
            LifecycleChange::Drafted(draft) => Some(draft),
            LifecycleChange::Published(_) => None,
        });
        drafts.next_back()?.text.clone()
    }

    /// The newest attempts at the steps that are open.
    fn open_retries(&self) -> Vec<StepRetry> {
        let mut open = Vec::new();
        for ((key, step), retry) in &self.retried {
            let steps = self.tree(key).map(|tree| &tree.steps);
            if steps.into_iter().flatten().any(|open| open.number == *step) {
                open.push(retry.clone());
            }
        }
        open
    }

    /// How often an order was updated; `None` for one that is not on record.
    fn revision_of(&self, key: &OrderKey) -> Option<u32> {
        match self.newest_update(key) {
            Some(newest) => Some(newest.revision),
            None => self.by_key.contains_key(key).then_some(0),
        }
    }

    /// The order as it stands; `None` if that follows from its sale.
    fn tree(&self, key: &OrderKey) -> Option<&NamedTree> {
        if let Some(newest) = self.newest_update(key) {
            return Some(&newest.tree);
        }
        self.orders[*self.by_key.get(key)?].begun.as_deref()
    }

    fn newest_update(&self, key: &OrderKey) -> Option<&Arc<OrderUpdate>> {
        self.updates.get(key)?.last()
    }

    fn place(&mut self, placed: &PlacedOrder, keys: &KeyDeriver) {
        let at = self.orders.len();
        self.by_key.insert(keys.order_key(&placed.token), at);
        let user_id = placed.order.customer.user_id.clone();
        self.by_user.entry(user_id).or_default().push(at);
        if placed.payment.is_some() {
            self.pending.remove(&placed.token);
        }
        if let Some(hold) = placed.hold {
            self.end_hold(hold, HoldState::Consumed);
        }
        self.orders.push(Arc::new(placed.clone()));
    }

    fn hold(&mut self, hold: &HoldRecord) {
        let mut hold = hold.clone();
        for line in &mut hold.lines {
            // As on disk: a hold has no personal data.
            line.answers = None;
        }
        self.placed += 1;
        self.placements.insert(hold.id, self.placed);
        let state = HoldState::Active;
        self.holds.insert(hold.id, StoredHold { hold, state });
    }

    fn end_hold(&mut self, id: HoldId, state: HoldState) {
        let active = self
            .holds
            .get_mut(&id)
            .filter(|stored| stored.state == HoldState::Active);
        // A hold ends once.
        if let Some(stored) = active {
            stored.state = state;
        }
    }

    /// Erases the personal data of these orders, and returns how many had any.
    fn erase(&mut self, orders: impl IntoIterator<Item = usize>) -> u64 {
        let mut erased = 0;
        for at in orders {
            // Lists that are being read keep what they have.
            let placed = Arc::make_mut(&mut self.orders[at]);
            placed.order.customer = erased_customer();
            for item in &mut placed.order.items {
                item.line.answers = None;
            }
            let key = OrderKey::of_id(&placed.order.id);
            let updates = key.and_then(|key| self.updates.get_mut(&key));
            for update in updates.into_iter().flatten() {
                Arc::make_mut(update).entry.texts = UpdateTexts::default();
            }
            erased += 1;
        }
        erased
    }

    /// Erases the personal data of an order. Returns 1, or 0 if it was erased before or is unknown.
    fn erase_order(&mut self, id: &OrderId) -> u64 {
        let at = OrderKey::of_id(id).and_then(|key| self.by_key.get(&key).copied());
        let Some(at) = at else {
            return 0;
        };
        let mut is_listed = false;
        let user_id = &self.orders[at].order.customer.user_id;
        if let Some(orders) = self.by_user.get_mut(user_id) {
            // An erased order is in no list.
            is_listed = orders.contains(&at);
            orders.retain(|known| *known != at);
        }
        // What people have written since is erased all the same.
        self.erase([at]);
        u64::from(is_listed)
    }

    /// Takes at most so many orders whose visit ended before a second out of the lists of their users.
    fn take_ended(&mut self, before: EpochSeconds, most: usize) -> Vec<usize> {
        let mut ended = Vec::new();
        for orders in self.by_user.values_mut() {
            orders.retain(|at| {
                let is_taken = ended.len() < most && visit_end_sec(&self.orders[*at]) < before;
                if is_taken {
                    ended.push(*at);
                }
                !is_taken
            });
        }
        ended
    }

    /// The places of the selected orders among all.
    fn select(&self, selection: &Selection) -> Vec<usize> {
        match selection {
            Selection::User(user_id) => {
                let of_user = self.by_user.get(user_id).into_iter().flatten();
                of_user.rev().copied().collect()
            }
            Selection::Created { from, until } => {
                self.newest_first(|placed| (*from..*until).contains(&placed.created_sec))
            }
            Selection::Slot(_) | Selection::Visit { .. } => self.newest_first(|placed| {
                let mut claims = placed.claims.iter();
                claims.any(|claim| selection.selects_claim(claim))
            }),
            Selection::Ids(ids) => {
                let keys = OrderKey::of_each_id(ids);
                let known = keys.iter().filter_map(|key| self.by_key.get(key));
                known.copied().collect()
            }
        }
    }

    fn newest_first(&self, wanted: impl Fn(&PlacedOrder) -> bool) -> Vec<usize> {
        let newest_first = self.orders.iter().enumerate().rev();
        newest_first
            .filter(|(_, placed)| wanted(placed))
            .map(|(at, _)| at)
            .collect()
    }

    fn recover(&self) -> Recovered {
        let mut sold = ClaimTotals::default();
        let mut released = ClaimTotals::default();
        for placed in &self.orders {
            sold.add(&placed.claims);
        }
        for update in self.updates.values().flatten() {
            released.add(&update.released);
        }
        let newest = self.updates.values().filter_map(|updates| updates.last());
        let updated = newest.filter(|update| update.tree.has_work());
        let active = self
            .holds
            .values()
            .filter(|stored| stored.state == HoldState::Active);
        let mut holds: Vec<HoldRecord> = active.map(|stored| stored.hold.clone()).collect();
        holds.sort_by_key(|hold| self.placements.get(&hold.id));
        let newest = self.blocks.values().filter_map(|blocks| blocks.last());
        let in_force = newest.filter(|block| block.spots.is_any());
        Recovered {
            orders: self.count(),
            sold: sold.less(&released).into_claims(),
            updated: updated.map(|update| without_texts(update)).collect(),
            begun: self.begun(),
            retried: self.open_retries(),
            lifecycle: self.revisions().cloned().collect(),
            draft: self.draft(),
            pending: self.pending.values().cloned().collect(),
            holds,
            blocks: in_force.cloned().collect(),
            prices: self.prices.to_book(),
            newest_order_sec: self.orders.iter().map(|placed| placed.created_sec).max(),
            slots_forgotten_until: self.slots_forgotten_until,
        }
    }

    /// The orders that began with timers or steps, and were not updated since.
    fn begun(&self) -> Vec<BegunOrder> {
        let mut begun = Vec::new();
        for placed in &self.orders {
            let order = &placed.order.id;
            let key = OrderKey::of_id(order);
            let is_updated = key.is_some_and(|key| self.newest_update(&key).is_some());
            let tree = placed.begun.as_ref().filter(|tree| tree.has_work());
            if let (Some(tree), false) = (tree, is_updated) {
                begun.push(BegunOrder {
                    order: order.clone(),
                    tree: NamedTree::clone(tree),
                });
            }
        }
        begun
    }

    fn count(&self) -> u64 {
        u64::try_from(self.orders.len()).unwrap_or(u64::MAX)
    }
}

/// Whether a slot is not forgotten.
fn is_known(slot: &NamedSlot, forgotten_until: Option<EpochSeconds>) -> bool {
    Some(slot.end_sec()) >= forgotten_until
}

/// An update without what people have written.
fn without_texts(update: &OrderUpdate) -> OrderUpdate {
    let mut update = update.clone();
    update.entry.texts = UpdateTexts::default();
    update
}

/// The end of the last slot of an order; of one that takes no spots, when it was created.
fn visit_end_sec(placed: &PlacedOrder) -> EpochSeconds {
    let claims = placed.claims.iter();
    let ends = claims.map(|claim| claim.start_sec.saturating_add(claim.duration_sec.into()));
    ends.max().unwrap_or(placed.created_sec)
}

impl Store for MemoryStore {
    fn commit(&self, unit: &UnitOfWork) -> CommitFuture {
        // Applied before the future is polled: dropping the future must not cancel the unit.
        CommitFuture::ready(self.apply(unit))
    }

    fn order_key(&self, token: &Token) -> OrderKey {
        self.keys.order_key(token)
    }

    fn find_request(&self, key: &OrderKey) -> Read<Option<Replay>> {
        let contents = self.lock();
        let at = contents.by_key.get(key);
        let placed = at.map(|at| &contents.orders[*at]);
        Read::Now(Ok(placed.map(|placed| Replay {
            fingerprint: placed.fingerprint,
            created_by: placed.created_by.clone(),
            order: placed.order.clone(),
        })))
    }

    fn find_order(&self, id: &OrderId) -> Read<Option<StoredOrder>> {
        let contents = self.lock();
        let stored = OrderKey::of_id(id).and_then(|key| {
            let at = *contents.by_key.get(&key)?;
            let newest = contents.newest_update(&key);
            Some(StoredOrder {
                placed: PlacedOrder::clone(&contents.orders[at]),
                update: newest.map(|update| OrderUpdate::clone(update)),
            })
        });
        Read::Now(Ok(stored))
    }

    fn history(&self, id: &OrderId, take: UpdateSink<'_>) -> Result<(), ReadError> {
        let key = OrderKey::of_id(id);
        // As in `list`.
        let updates = key.and_then(|key| self.lock().updates.get(&key).cloned());
        for update in updates.into_iter().flatten().rev() {
            if take(OrderUpdate::clone(&update)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn block_history(&self, slot: &NamedSlot, take: BlockSink<'_>) -> Result<(), ReadError> {
        // As in `list`.
        let blocks = self.lock().blocks.get(slot).cloned();
        for block in blocks.into_iter().flatten().rev() {
            if take(block).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn lifecycle_changes(&self, take: LifecycleSink<'_>) -> Result<(), ReadError> {
        // As in `list`.
        let changes = self.lock().lifecycle.clone();
        for change in changes.into_iter().rev() {
            if take(change).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn erasure_answers(&self, take: ErasureAnswerSink<'_>) -> Result<(), ReadError> {
        let answers = self.lock().erasure_answers.clone();
        for answer in answers.into_iter().rev() {
            if take(answer).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn placed_by_revision(&self) -> Result<BTreeMap<u32, u64>, ReadError> {
        let contents = self.lock();
        let mut placed = BTreeMap::new();
        for (key, at) in &contents.by_key {
            let order = &contents.orders[*at];
            if contents.newest_update(key).is_none() && order.begun.is_none() {
                *placed.entry(order.lifecycle).or_default() += 1;
            }
        }
        Ok(placed)
    }

    fn states_in_use(&self) -> StatesInUse {
        let contents = self.lock();
        let mut sums = StateSums::default();
        let mut placed: u64 = 0;
        for (key, at) in &contents.by_key {
            let order = &contents.orders[*at];
            if let Some(newest) = contents.newest_update(key) {
                sums.add(&StateProfile::of(newest.entry.lifecycle, &newest.tree), 1);
            } else if let Some(begun) = &order.begun {
                sums.add(&StateProfile::of(order.lifecycle, begun), 1);
            } else {
                placed += 1;
            }
        }
        sums.in_use(placed)
    }

    fn find_hold(&self, id: HoldId) -> Read<Option<StoredHold>> {
        Read::Now(Ok(self.lock().holds.get(&id).cloned()))
    }

    fn list(
        &self,
        selection: &Selection,
        before: Option<OrderPlace>,
        may_see: OrderFilter<'_>,
        take: OrderSink<'_>,
    ) -> Result<(), ReadError> {
        // The lock is free again before the first order is handed over: the sink may take its time.
        for selected in self.select(selection, may_see) {
            // Saturating only where a pointer has more than 64 bits.
            let place = OrderPlace(u64::try_from(selected.at).unwrap_or(u64::MAX));
            if before.is_some_and(|before| place >= before) {
                continue;
            }
            let listed = ListedOrder {
                order: Order::clone(&selected.placed.order),
                begun: selected.placed.begun.clone(),
                update: selected.newest.map(|newest| OrderUpdate::clone(&newest)),
                created_sec: selected.placed.created_sec,
                lifecycle: selected.placed.lifecycle,
                place,
            };
            if take(listed).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn failed_attempts(&self, key: &OrderKey) -> Read<u32> {
        let attempts = self.lock().failed_attempts.get(key).copied();
        Read::Now(Ok(attempts.unwrap_or(0)))
    }

    fn erase_person(&self, user_id: &UserId) -> EraseFuture {
        self.erase_with(|contents| {
            let orders = contents.by_user.remove(user_id).unwrap_or_default();
            contents.erase(orders)
        })
    }

    fn erase_visits(&self, ended_before: EpochSeconds, most: usize) -> EraseFuture {
        self.erase_with(|contents| {
            let orders = contents.take_ended(ended_before, most);
            contents.erase(orders)
        })
    }

    fn erase_order(&self, id: &OrderId) -> EraseFuture {
        self.erase_with(|contents| contents.erase_order(id))
    }

    fn export_person(&self, user_id: &UserId, take: PlacedSink<'_>) -> Result<(), ReadError> {
        // As in `list`.
        for selected in self.select(&Selection::User(user_id.clone()), &|_| true) {
            if take(PlacedOrder::clone(&selected.placed)).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// What is in the store at this moment, as often as it is called: tests play a restart with it.
    fn recover(&self) -> Result<Recovered, ReadError> {
        Ok(self.lock().recover())
    }

    fn health(&self) -> watch::Receiver<StoreHealth> {
        self.health.subscribe()
    }

    fn stats(&self) -> StoreStats {
        StoreStats {
            orders: self.lock().count(),
            ..StoreStats::default()
        }
    }
}
