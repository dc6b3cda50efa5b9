//! What has to be on record: the units that were acknowledged, in a store that forgets nothing and has no disk.

use std::ops::ControlFlow;

use domain::{
    ids::{Token, UserId},
    order::OrderId,
};
use futures_util::FutureExt;

use crate::{
    CommitError, HoldId, HoldState, LifecycleChange, NamedClaim, OrderKey, Read, Store,
    StoredOrder, UnitOfWork, Write, memory::MemoryStore,
};

/// What is on record.
#[derive(Debug, Clone)]
enum Event {
    Unit(Box<UnitOfWork>),
    Erased(UserId),
    ErasureCompleted,
}

/// The units and erasures on record, and what follows from them.
#[derive(Debug, Default)]
pub(super) struct Model {
    store: MemoryStore,
    events: Vec<Event>,
    /// Whether an erasure is on record and not complete.
    is_erasing: bool,
    /// The e-mail addresses of erased orders and the notes of their updates, of which each has one of its own.
    erased: Vec<String>,
    /// Tokens of units, rejected ones among them, so that what must not be there is asked for as well.
    tokens: Vec<Token>,
    changes: u64,
}

impl Model {
    /// Commits a unit if its preconditions hold, and says whether they do.
    pub(super) fn commit(&mut self, unit: &UnitOfWork) -> bool {
        self.remember_tokens(unit);
        let committed = self.store.commit(unit).now_or_never();
        match committed.expect("memory does not wait") {
            Ok(()) => {
                self.events.push(Event::Unit(Box::new(unit.clone())));
                self.changes += changes(unit);
                true
            }
            Err(CommitError::Stale(_)) => false,
            Err(error) => panic!("memory does not fail: {error}"),
        }
    }

    /// How often anybody was erased.
    pub(super) fn erasures(&self) -> usize {
        let is_erasure = |event: &&Event| matches!(event, Event::Erased(_));
        self.events.iter().filter(is_erasure).count()
    }

    /// Takes units back until this many changes are left; whether a unit ends there.
    pub(super) fn take_back(&mut self, left: u64) -> bool {
        let mut kept = Self::default();
        for event in std::mem::take(&mut self.events) {
            if kept.changes >= left {
                break;
            }
            match event {
                Event::Unit(unit) => drop(kept.commit(&unit)),
                Event::Erased(user_id) => drop(kept.begin_erasure(user_id)),
                Event::ErasureCompleted => kept.complete_erasure(),
            }
        }
        kept.tokens = std::mem::take(&mut self.tokens);
        *self = kept;
        self.changes == left
    }

    /// Erases a user and says of how many orders, also if there was none, which is no change.
    pub(super) fn erase(&mut self, user_id: &str) -> u64 {
        let orders = self.begin_erasure(user_id.into());
        if orders > 0 {
            self.complete_erasure();
        }
        orders
    }

    /// How many orders of a user can be erased.
    pub(super) fn orders_of(&self, user_id: &str) -> usize {
        let mut orders = 0;
        let exported = self.store.export_person(&user_id.into(), &mut |_| {
            orders += 1;
            ControlFlow::Continue(())
        });
        exported.expect("memory does not fail");
        orders
    }

    fn begin_erasure(&mut self, user_id: UserId) -> u64 {
        let (mut texts, mut orders) = (Vec::new(), Vec::new());
        let exported = self.store.export_person(&user_id, &mut |placed| {
            texts.push(placed.order.customer.email);
            orders.push(placed.order.id);
            ControlFlow::Continue(())
        });
        exported.expect("memory does not fail");
        for order in &orders {
            let read = self.store.history(order, &mut |update| {
                texts.push(update.entry.texts.note);
                ControlFlow::Continue(())
            });
            read.expect("memory does not fail");
        }
        let erased = self.store.erase_person(&user_id).now_or_never();
        let orders = erased
            .expect("memory does not wait")
            .expect("memory does not fail");
        if orders > 0 {
            self.erased.extend(texts);
            self.events.push(Event::Erased(user_id));
            self.is_erasing = true;
            self.changes += 1;
        }
        orders
    }

    /// The completion of the last erasure is on record.
    pub(super) fn complete_erasure(&mut self) {
        self.events.push(Event::ErasureCompleted);
        self.is_erasing = false;
        self.changes += 1;
    }

    /// Whether an erasure is on record and not complete.
    pub(super) fn is_erasing(&self) -> bool {
        self.is_erasing
    }

    /// E-mail addresses and notes that may not be anywhere any more.
    pub(super) fn erased(&self) -> &[String] {
        &self.erased
    }

    /// The store that answers as the log has to.
    pub(super) fn store(&self) -> &MemoryStore {
        &self.store
    }

    /// Number of changes on record.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// All tokens that any unit had, in the order of their first mention.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// The key of the order of a token.
    pub(super) fn order_key(&self, token: &Token) -> OrderKey {
        self.store.order_key(token)
    }

    /// The revision of a hold if it is active, else 0.
    pub(super) fn active_revision(&self, id: HoldId) -> u32 {
        match self.store.find_hold(id) {
            Read::Now(Ok(Some(stored))) if stored.state == HoldState::Active => {
                stored.hold.revision
            }
            Read::Now(_) | Read::Later(_) => 0,
        }
    }

    /// How often an order was updated; 0 for an unknown one.
    pub(super) fn revision_of(&self, order: &OrderId) -> u32 {
        self.stored(order).map_or(0, |stored| stored.revision())
    }

    /// A step of an order that is open.
    pub(super) fn open_step(&self, order: &OrderId) -> Option<u16> {
        let stored = self.stored(order)?;
        stored.tree()?.steps.first().map(|step| step.number)
    }

    /// The number of the newest revision of the lifecycle; 0 if there is none.
    pub(super) fn lifecycle_revision(&self) -> u32 {
        let mut newest = 0;
        let read = self.store.lifecycle_changes(&mut |change| {
            if let LifecycleChange::Published(revision) = change {
                newest = revision.number;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        read.expect("memory does not fail");
        newest
    }

    /// The claims of an order that no update has given back.
    pub(super) fn unreleased(&self, order: &OrderId) -> Vec<NamedClaim> {
        let Some(stored) = self.stored(order) else {
            return Vec::new();
        };
        let mut claims = stored.placed.claims;
        let read = self.store.history(order, &mut |update| {
            for released in &update.released {
                let at = claims.iter().position(|claim| claim == released);
                claims.swap_remove(at.expect("it was claimed"));
            }
            ControlFlow::Continue(())
        });
        read.expect("memory does not fail");
        claims
    }

    fn stored(&self, order: &OrderId) -> Option<StoredOrder> {
        match self.store.find_order(order) {
            Read::Now(found) => found.expect("memory does not fail"),
            Read::Later(_) => panic!("memory does not wait"),
        }
    }

    /// The number of the last change of the unit that has placed the order of a token; the greatest number if there is
    /// none.
    pub(super) fn unit_of_order(&self, token: &Token) -> u64 {
        let mut last = 0;
        for event in &self.events {
            let Event::Unit(unit) = event else {
                last += 1;
                continue;
            };
            last += changes(unit);
            let is_it = |write: &Write| match write {
                Write::OrderPlaced(placed) => placed.token == *token,
                Write::PaymentIntent(_)
                | Write::PaymentEnded(_)
                | Write::HoldPlaced(_)
                | Write::HoldReleased { .. }
                | Write::Prices(_)
                | Write::SlotsForgotten(_)
                | Write::OrderUpdated(_)
                | Write::Blocked(_)
                | Write::StepRetried(_)
                | Write::Lifecycle(_)
                | Write::LifecycleDraft(_)
                | Write::ErasureAnswered(_) => false,
            };
            if unit.writes.iter().any(is_it) {
                return last;
            }
        }
        u64::MAX
    }

    fn remember_tokens(&mut self, unit: &UnitOfWork) {
        for write in &unit.writes {
            let token = match write {
                Write::OrderPlaced(placed) => &placed.token,
                Write::PaymentIntent(intent) => &intent.token,
                Write::PaymentEnded(attempt) => &attempt.intent.token,
                Write::HoldPlaced(_)
                | Write::HoldReleased { .. }
                | Write::Prices(_)
                | Write::SlotsForgotten(_)
                | Write::OrderUpdated(_)
                | Write::Blocked(_)
                | Write::StepRetried(_)
                | Write::Lifecycle(_)
                | Write::LifecycleDraft(_)
                | Write::ErasureAnswered(_) => continue,
            };
            if !self.tokens.contains(token) {
                self.tokens.push(token.clone());
            }
        }
    }
}

/// Number of changes of a unit: one for each write.
pub(super) fn changes(unit: &UnitOfWork) -> u64 {
    unit.writes.len() as u64
}
