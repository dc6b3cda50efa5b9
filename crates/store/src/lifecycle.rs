//! The lifecycle of orders as the store keeps it: its revisions, its draft, the states that orders are in, and the attempts
//! at open steps.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    lifecycle::{Entity, Name, NamedTree, StateMap},
    order::OrderId,
    time::EpochSeconds,
};

use crate::RequestAnswer;

/// The hash of the text of a definition.
pub type LifecycleDigest = [u8; 32];

/// A definition of the lifecycle that is or was in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleRevision {
    /// Which one, from 1 without gaps.
    pub number: u32,
    /// The hash of its text.
    pub digest: LifecycleDigest,
    /// Its name.
    pub name: String,
    /// The definition, in TOML.
    pub text: String,
    /// When it was published.
    pub published_sec: EpochSeconds,
    /// The user who published it; `None` where nobody did.
    pub by: Option<Arc<str>>,
    /// The states of the revision before that have another name from here on.
    pub maps: Vec<StateMap>,
    /// The request that asked for it.
    pub answer: Option<RequestAnswer>,
}

impl LifecycleRevision {
    /// The hash of a text.
    #[must_use]
    pub fn digest_of(text: &str) -> LifecycleDigest {
        blake3::hash(text.as_bytes()).into()
    }
}

/// The draft of the next definition of the lifecycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleDraft {
    /// The definition, in TOML; `None` where the draft is discarded or was published.
    pub text: Option<String>,
    /// When it became the draft.
    pub drafted_sec: EpochSeconds,
    /// The user who asked for it; `None` where nobody did.
    pub by: Option<Arc<str>>,
    /// The request that asked for it.
    pub answer: Option<RequestAnswer>,
}

/// A change of the lifecycle itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleChange {
    /// A definition was published.
    Published(LifecycleRevision),
    /// A draft was kept, or discarded.
    Drafted(LifecycleDraft),
}

impl LifecycleChange {
    /// The request that asked for it.
    #[must_use]
    pub fn answer(&self) -> Option<&RequestAnswer> {
        match self {
            Self::Published(revision) => revision.answer.as_ref(),
            Self::Drafted(draft) => draft.answer.as_ref(),
        }
    }

    /// When it was made.
    #[must_use]
    pub fn changed_sec(&self) -> EpochSeconds {
        match self {
            Self::Published(revision) => revision.published_sec,
            Self::Drafted(draft) => draft.drafted_sec,
        }
    }
}

/// An attempt at a step that has ended without an outcome. Only the newest of a step counts, as long as the step is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRetry {
    /// The order.
    pub order: OrderId,
    /// The number of the step within the order.
    pub step: u16,
    /// When the step was due by the order. A step that is due anew since then is tried at that time.
    pub step_due_sec: EpochSeconds,
    /// How many attempts there were since the step was opened.
    pub attempts: u32,
    /// When it is tried again.
    pub due_sec: EpochSeconds,
    /// What went wrong, in words. It is never erased, so it has nothing of the customer.
    pub error: String,
}

/// In how many orders that were updated a part is in a state, or has a timer that leads to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateCount {
    /// The revision of the lifecycle that names the state.
    pub lifecycle: u32,
    /// What kind of part.
    pub entity: Entity,
    /// The state.
    pub state: Name,
    /// The number of orders.
    pub orders: u64,
}

/// What a lifecycle has to have for the orders on record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatesInUse {
    /// The number of orders whose states follow from their sale: they were never updated, and began as most do.
    pub placed: u64,
    /// The states of all other orders, sorted.
    pub counts: Vec<StateCount>,
    /// The states that these orders are in themselves, without those of their parts and timers, sorted.
    pub order_states: Vec<StateCount>,
}

/// The states of an order that a lifecycle has to have, each once and sorted: those of its parts, and those that its timers
/// lead to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateProfile {
    /// The revision of the lifecycle that names them.
    pub(crate) lifecycle: u32,
    /// The state of the order itself, which is one of them.
    pub(crate) order: Name,
    /// The states.
    pub(crate) states: Vec<(Entity, Name)>,
}

impl StateProfile {
    /// Those of an order that was decided by this revision of the lifecycle.
    pub(crate) fn of(lifecycle: u32, tree: &NamedTree) -> Self {
        let mut states = Vec::new();
        for item in &tree.items {
            states.push((Entity::LineItem, item.state.clone()));
        }
        for fulfillment in &tree.fulfillments {
            states.push((Entity::Fulfillment, fulfillment.state.clone()));
        }
        for refund in &tree.refunds {
            states.push((Entity::Refund, refund.state.clone()));
        }
        for timer in &tree.timers {
            states.push((timer.part.entity, timer.to.clone()));
        }
        Self::new(lifecycle, tree.state.clone(), states)
    }

    /// The states of an order in a state, with those of its parts and timers.
    pub(crate) fn new(lifecycle: u32, order: Name, mut states: Vec<(Entity, Name)>) -> Self {
        states.push((Entity::Order, order.clone()));
        states.sort_unstable();
        states.dedup();
        Self {
            lifecycle,
            order,
            states,
        }
    }
}

/// Adds up the states of orders.
#[derive(Debug, Default)]
pub(crate) struct StateSums {
    all: BTreeMap<(u32, Entity, Name), u64>,
    of_orders: BTreeMap<(u32, Entity, Name), u64>,
}

impl StateSums {
    /// Adds so many orders.
    pub(crate) fn add(&mut self, profile: &StateProfile, orders: u64) {
        for (entity, state) in &profile.states {
            let key = (profile.lifecycle, *entity, state.clone());
            *self.all.entry(key).or_default() += orders;
        }
        let own = (profile.lifecycle, Entity::Order, profile.order.clone());
        *self.of_orders.entry(own).or_default() += orders;
    }

    /// The sums, beside so many orders whose states follow from their sale.
    pub(crate) fn in_use(self, placed: u64) -> StatesInUse {
        StatesInUse {
            placed,
            counts: counts(self.all),
            order_states: counts(self.of_orders),
        }
    }
}

fn counts(sums: BTreeMap<(u32, Entity, Name), u64>) -> Vec<StateCount> {
    let mut counts = Vec::with_capacity(sums.len());
    for ((lifecycle, entity, state), orders) in sums {
        counts.push(StateCount {
            lifecycle,
            entity,
            state,
            orders,
        });
    }
    counts
}
