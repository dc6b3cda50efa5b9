//! What is due of orders, and when: timers and steps by time.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use domain::{
    lifecycle::{Name, NamedTree, OrderPart},
    order::OrderId,
    time::EpochSeconds,
};
use store::{BegunOrder, OrderKey, OrderUpdate, StepRetry};

/// The timers and open steps of all orders. Filled from the record, and by every update that is on record.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    state: Mutex<AgendaState>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct AgendaState {
    /// All that is due some time, the earliest first.
    by_due: DueTimes,
    orders: HashMap<OrderKey, OrderAgenda>,
    /// The orders with steps that were given up.
    given_up: BTreeSet<OrderKey>,
    /// The orders of which something is at work. They are passed over, because changes of one order come one after
    /// another anyway.
    at_work: HashSet<OrderKey>,
}

/// When which work is due.
type DueEntry = (EpochSeconds, OrderKey, WorkName);

/// Work by its due time, with the number of timers among it: counting them would take a look at each.
#[derive(Debug, Default)]
struct DueTimes {
    entries: BTreeSet<DueEntry>,
    timers: usize,
}

impl DueTimes {
    fn insert(&mut self, entry: DueEntry) {
        let is_timer = matches!(entry.2, WorkName::Timer(..));
        if self.entries.insert(entry) && is_timer {
            self.timers += 1;
        }
    }

    fn remove(&mut self, entry: &DueEntry) {
        if self.entries.remove(entry) && matches!(entry.2, WorkName::Timer(..)) {
            self.timers -= 1;
        }
    }
}

#[derive(Debug)]
struct OrderAgenda {
    order: OrderId,
    /// How often the order was updated when this was noted.
    revision: u32,
    /// When each piece of work is due, and what became of it so far.
    work: HashMap<WorkName, WorkProgress>,
}

/// A piece of work of an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum WorkName {
    /// A timer.
    Timer(OrderPart, Name),
    /// A step.
    Step(u16),
}

/// How often a piece of work was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WorkProgress {
    /// When it is due by the record.
    pub(super) recorded_due: EpochSeconds,
    /// When it is tried next.
    pub(super) due: EpochSeconds,
    /// Attempts so far.
    pub(super) attempts: u32,
    /// Attempts that panicked.
    pub(super) panics: u32,
    /// What went wrong last; empty if nothing did.
    pub(super) error: String,
}

/// A piece of work that is due. Nothing else of its order is, until [`Agenda::finish`].
#[derive(Debug)]
pub(super) struct DueWork {
    pub(super) order: OrderId,
    pub(super) key: OrderKey,
    pub(super) name: WorkName,
    pub(super) progress: WorkProgress,
}

/// The attempts at an open step since it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepAttempts {
    /// How many.
    pub attempts: u32,
    /// What went wrong last; empty if nothing did.
    pub last_error: String,
    /// When it is tried next.
    pub due: EpochSeconds,
}

impl Agenda {
    /// What is due of these orders, with the attempts so far.
    pub(crate) fn of(updates: &[OrderUpdate], begun: &[BegunOrder], retried: &[StepRetry]) -> Self {
        let agenda = Self::default();
        for update in updates {
            agenda.note(&update.order, update.revision, &update.tree);
        }
        for BegunOrder { order, tree } in begun {
            agenda.note(order, 0, tree);
        }
        let mut state = agenda.lock();
        for retry in retried {
            state.resume(retry);
        }
        drop(state);
        agenda
    }

    /// An order as it stands is on record: what is due of it is what that says.
    pub(crate) fn note(&self, order: &OrderId, revision: u32, tree: &NamedTree) {
        let Some(key) = OrderKey::of_id(order) else {
            return;
        };
        self.lock().note(key, (order, revision), tree);
        // One is enough: there is one runner, and it looks at everything.
        self.woken.notify_one();
    }

    /// The next work that is due; its order is at work from here on.
    pub(super) fn begin(&self, now: EpochSeconds) -> Option<DueWork> {
        self.lock().begin(now)
    }

    /// Work is done or postponed, and whatever else is due of its order may begin.
    pub(super) fn finish(&self, key: &OrderKey) {
        self.lock().at_work.remove(key);
        self.woken.notify_one();
    }

    /// Has work that is not done be tried again, if it still is to be done.
    pub(super) fn postpone(&self, key: &OrderKey, name: &WorkName, progress: WorkProgress) {
        self.lock().postpone(key, name, progress);
    }

    /// Work that the order on record does not have any more, or not yet.
    pub(super) fn forget(&self, key: &OrderKey, name: &WorkName) {
        self.lock().forget(key, name);
    }

    /// Waits until something has changed here.
    pub(super) async fn changed(&self) {
        self.woken.notified().await;
    }

    /// The attempts at an open step.
    pub(super) fn attempts(&self, key: &OrderKey, step: u16) -> Option<StepAttempts> {
        let state = self.lock();
        let progress = state.orders.get(key)?.work.get(&WorkName::Step(step))?;
        Some(StepAttempts {
            attempts: progress.attempts,
            last_error: progress.error.clone(),
            due: progress.due,
        })
    }

    /// The numbers of timers and steps.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        let DueTimes { entries, timers } = &state.by_due;
        (*timers, entries.len() - timers)
    }

    /// The number of orders with steps that were given up.
    pub(super) fn given_up(&self) -> usize {
        self.lock().given_up.len()
    }

    /// The orders with steps that were given up, and then those with open ones, the longest due first.
    pub(super) fn orders_with_steps(&self) -> Vec<OrderId> {
        let state = self.lock();
        let mut seen: HashSet<OrderKey> = state.given_up.iter().copied().collect();
        let mut keys: Vec<OrderKey> = state.given_up.iter().copied().collect();
        for (_, key, name) in &state.by_due.entries {
            if matches!(name, WorkName::Step(_)) && seen.insert(*key) {
                keys.push(*key);
            }
        }
        let agendas = keys.iter().filter_map(|key| state.orders.get(key));
        agendas.map(|agenda| agenda.order.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, AgendaState> {
        // Nothing that is done under the lock panics, so a panic elsewhere leaves the contents whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AgendaState {
    fn note(&mut self, key: OrderKey, (order, revision): (&OrderId, u32), tree: &NamedTree) {
        // An order can be updated as soon as it is on record, before its creation is noted here.
        let known = self.orders.get(&key);
        if known.is_some_and(|known| known.revision > revision) {
            return;
        }
        let before = self.orders.remove(&key);
        let mut before = before.map(|agenda| agenda.work).unwrap_or_default();
        for (name, progress) in &before {
            self.by_due.remove(&(progress.due, key, name.clone()));
        }
        let timers = tree.timers.iter();
        let timers = timers.map(|it| (WorkName::Timer(it.part, it.name.clone()), it.due));
        let steps = tree
            .steps
            .iter()
            .map(|it| (WorkName::Step(it.number), it.due));
        let mut work = HashMap::new();
        for (name, due) in timers.chain(steps) {
            let known = before.remove(&name);
            let progress = match known {
                Some(known) if known.recorded_due == due => known,
                // A step that is retried begins anew, but for the number of its attempts.
                Some(known) => WorkProgress {
                    attempts: known.attempts,
                    ..WorkProgress::new(due)
                },
                None => WorkProgress::new(due),
            };
            self.by_due.insert((progress.due, key, name.clone()));
            work.insert(name, progress);
        }
        if tree.given_up.is_empty() {
            self.given_up.remove(&key);
        } else {
            self.given_up.insert(key);
        }
        if !work.is_empty() || !tree.given_up.is_empty() {
            let order = order.clone();
            let agenda = OrderAgenda {
                order,
                revision,
                work,
            };
            self.orders.insert(key, agenda);
        }
    }

    /// Goes on with an open step where the last process has left it.
    fn resume(&mut self, retry: &StepRetry) {
        let Some(key) = OrderKey::of_id(&retry.order) else {
            return;
        };
        let name = WorkName::Step(retry.step);
        let Some(agenda) = self.orders.get_mut(&key) else {
            return;
        };
        let Some(progress) = agenda.work.get_mut(&name) else {
            return;
        };
        progress.attempts = retry.attempts;
        progress.error.clone_from(&retry.error);
        if progress.recorded_due == retry.step_due_sec {
            self.by_due.remove(&(progress.due, key, name.clone()));
            progress.due = retry.due_sec;
            self.by_due.insert((progress.due, key, name));
        }
    }

    fn begin(&mut self, now: EpochSeconds) -> Option<DueWork> {
        let mut found = None;
        for (due, key, name) in &self.by_due.entries {
            if *due > now {
                break;
            }
            if !self.at_work.contains(key) {
                found = Some((*key, name.clone()));
                break;
            }
        }
        let (key, name) = found?;
        let agenda = self.orders.get(&key)?;
        let progress = agenda.work.get(&name)?.clone();
        self.at_work.insert(key);
        Some(DueWork {
            order: agenda.order.clone(),
            key,
            name,
            progress,
        })
    }

    fn postpone(&mut self, key: &OrderKey, name: &WorkName, progress: WorkProgress) {
        let agenda = self.orders.get_mut(key);
        let Some(known) = agenda.and_then(|agenda| agenda.work.get_mut(name)) else {
            // Done or given up meanwhile.
            return;
        };
        if known.recorded_due != progress.recorded_due {
            // Retried meanwhile: that counts.
            return;
        }
        self.by_due.remove(&(known.due, *key, name.clone()));
        self.by_due.insert((progress.due, *key, name.clone()));
        *known = progress;
    }

    fn forget(&mut self, key: &OrderKey, name: &WorkName) {
        let Some(agenda) = self.orders.get_mut(key) else {
            return;
        };
        if let Some(progress) = agenda.work.remove(name) {
            self.by_due.remove(&(progress.due, *key, name.clone()));
        }
        if agenda.work.is_empty() && !self.given_up.contains(key) {
            self.orders.remove(key);
        }
    }
}

impl WorkProgress {
    pub(super) fn new(due: EpochSeconds) -> Self {
        Self {
            recorded_due: due,
            due,
            attempts: 0,
            panics: 0,
            error: String::new(),
        }
    }
}
