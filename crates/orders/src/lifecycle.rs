//! The lifecycle in force: its revisions, and its states that operations lead to.
//!
//! Orders follow the revision in force. The states of an order on record have the names of the revision that decided its
//! last update; the maps of the revisions since then are applied when it is read, so that publishing rewrites nothing.
//!
//! | module | content |
//! |---|---|
//! | `drafts` | drafts and publication, on request |
//! | `placed` | the states of an order that was only placed |
//! | `stranded` | the states that orders are in and a definition lacks |
//! | `startup` | the revision that a server starts with |

use std::sync::Arc;

use super::begin::UsualBeginnings;
use domain::{
    lifecycle::{Definition, Entity, Name, NamedTree, StateIx, StateMap},
    order::BookingStatus,
};
use store::{LifecycleRevision, ListedOrder, OrderUpdate, StoredOrder};

mod drafts;
mod placed;
mod startup;
mod stranded;
#[cfg(test)]
mod tests;

pub use drafts::{DRAFT_NAME, DraftChecked, LifecycleError, LifecycleRequest};
pub(super) use drafts::{LifecycleGuard, Lifecycles};
pub use placed::PlacedStates;
pub(super) use startup::open;
pub use startup::{LifecycleFile, LifecycleSource, LifecycleStartError};
pub use stranded::StrandedState;

/// A revision of the lifecycle.
#[derive(Debug)]
pub(super) struct KnownRevision {
    pub(super) record: LifecycleRevision,
    /// `None` if this version of the program finds errors in it.
    pub(super) definition: Option<Arc<Definition>>,
    /// How most orders began by it.
    usual: UsualBeginnings,
}

impl KnownRevision {
    /// A revision on record.
    pub(super) fn read(record: LifecycleRevision) -> Self {
        let name = format!("revision {}", record.number);
        let definition = lifecycle_files::read(&record.text, &name).ok();
        Self {
            record,
            definition: definition.map(Arc::new),
            usual: UsualBeginnings::default(),
        }
    }
}

/// The lifecycle in force with all revisions before it. A decision on an order uses one of these from beginning to
/// end.
#[derive(Debug)]
pub struct ActiveLifecycle {
    /// All revisions, oldest first; the last one is in force.
    revisions: Vec<Arc<KnownRevision>>,
    definition: Arc<Definition>,
    /// How most orders begin by it.
    usual: UsualBeginnings,
    number: u32,
    /// The newest revision that gives states other names; 0 if none does.
    newest_map: u32,
    /// By the revision that orders were placed under, the states of those that were only placed, by their names in force.
    placed: Vec<PlacedStates>,
}

impl ActiveLifecycle {
    /// The lifecycle whose last revision is in force, with this definition.
    pub(super) fn new(revisions: Vec<Arc<KnownRevision>>, definition: Arc<Definition>) -> Self {
        let mut lifecycle = Self {
            number: revisions.last().map_or(0, |last| last.record.number),
            newest_map: 0,
            placed: Vec::new(),
            revisions,
            definition,
            usual: UsualBeginnings::default(),
        };
        for revision in &lifecycle.revisions {
            if !revision.record.maps.is_empty() {
                lifecycle.newest_map = revision.record.number;
            }
        }
        let in_force = placed::states(&lifecycle.definition);
        let mut placed = Vec::with_capacity(lifecycle.revisions.len());
        for revision in &lifecycle.revisions {
            let states = revision.definition.as_deref().map(placed::states);
            let states = states.map(|states| PlacedStates {
                order: lifecycle.name(revision.record.number, Entity::Order, states.order),
                item: lifecycle.name(revision.record.number, Entity::LineItem, states.item),
            });
            let states = states.filter(|states| lifecycle.has(states));
            placed.push(states.unwrap_or_else(|| in_force.clone()));
        }
        lifecycle.placed = placed;
        lifecycle
    }

    /// The lifecycle after one more revision.
    pub(super) fn followed_by(
        &self,
        record: LifecycleRevision,
        definition: Arc<Definition>,
    ) -> Self {
        let mut revisions = self.revisions.clone();
        revisions.push(Arc::new(KnownRevision {
            record,
            definition: Some(Arc::clone(&definition)),
            usual: UsualBeginnings::default(),
        }));
        Self::new(revisions, definition)
    }

    /// The number of the revision in force.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The definition in force.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// All revisions, newest first; the first one is in force.
    pub fn revisions(&self) -> impl Iterator<Item = &LifecycleRevision> {
        self.revisions.iter().rev().map(|known| &known.record)
    }

    /// What callers hear of a line item in a state. A state that only an earlier revision has, as the answer to a repeated
    /// request may have it, means what it meant there.
    #[must_use]
    pub fn booking_status(&self, state: &str) -> Option<BookingStatus> {
        if let Some(status) = self.definition.booking_status(state) {
            return Some(status);
        }
        for known in self.revisions.iter().rev() {
            let definition = known.definition.as_deref();
            if let Some(status) = definition.and_then(|it| it.booking_status(state)) {
                return Some(status);
            }
        }
        None
    }

    /// How most orders begin by the definition in force.
    pub(super) fn usual(&self) -> &UsualBeginnings {
        &self.usual
    }

    /// The definition of a revision before the one in force, with how most orders began by it. `None` if there is no such,
    /// or this version of the program finds errors in it.
    pub(super) fn before(&self, revision: u32) -> Option<(&Definition, &UsualBeginnings)> {
        if revision == self.number {
            return None;
        }
        let known = self.known(revision)?;
        Some((known.definition.as_deref()?, &known.usual))
    }

    fn known(&self, revision: u32) -> Option<&KnownRevision> {
        let mut known = self.revisions.iter();
        let known = known.find(|known| known.record.number == revision)?;
        Some(known)
    }

    /// The name in force of a state that had this name in a revision.
    pub(super) fn name(&self, revision: u32, entity: Entity, state: Name) -> Name {
        if revision >= self.newest_map {
            return state;
        }
        let mut state = state;
        for known in &self.revisions {
            if known.record.number > revision {
                state = StateMap::apply(&known.record.maps, entity, state);
            }
        }
        state
    }

    /// An order that was decided by a revision, with the names in force.
    pub(super) fn renamed(&self, revision: u32, tree: NamedTree) -> NamedTree {
        if revision >= self.newest_map {
            return tree;
        }
        tree.renamed(|entity, state| self.name(revision, entity, state))
    }

    /// Gives the states of an order the names in force. Its entry then names the revision that has these names, so that
    /// they are never given again.
    pub(super) fn present(&self, update: &mut OrderUpdate) {
        let decided_by = update.entry.lifecycle;
        if decided_by < self.newest_map {
            update.tree = self.renamed(decided_by, update.tree.clone());
            update.entry.lifecycle = self.number;
        }
    }

    /// Gives the states of an order the names in force, where they are on record.
    pub(super) fn present_stored(&self, stored: &mut StoredOrder) {
        let StoredOrder { placed, update } = stored;
        match update {
            Some(update) => self.present(update),
            None => self.present_begun(&mut placed.lifecycle, placed.begun.as_deref_mut()),
        }
    }

    /// The same for an order of a list.
    pub(super) fn present_listed(&self, listed: &mut ListedOrder) {
        match &mut listed.update {
            Some(update) => self.present(update),
            None => self.present_begun(&mut listed.lifecycle, listed.begun.as_deref_mut()),
        }
    }

    /// Gives the states of an order as it began the names in force. It then names the revision that has these names, as an
    /// update does.
    fn present_begun(&self, placed_under: &mut u32, begun: Option<&mut NamedTree>) {
        if let Some(begun) = begun
            && *placed_under < self.newest_map
        {
            *begun = self.renamed(*placed_under, begun.clone());
            *placed_under = self.number;
        }
    }

    /// The states of an order of a list that was only placed, and of its items.
    #[must_use]
    pub fn placed(&self, listed: &ListedOrder) -> &PlacedStates {
        self.placed_under(listed.lifecycle)
    }

    /// The states of an order of a list and of its items right after the sale, by their names then. How it began is not on
    /// record.
    #[must_use]
    pub fn at_sale(&self, listed: &ListedOrder) -> PlacedStates {
        let known = self.known(listed.lifecycle);
        let definition = known.and_then(|known| known.definition.as_deref());
        definition.map_or_else(|| self.placed(listed).clone(), placed::states)
    }

    /// The states of an order that was placed under this revision and never updated.
    pub(super) fn placed_under(&self, revision: u32) -> &PlacedStates {
        // Saturating: the first revision has the number 1.
        let index = usize::try_from(revision.saturating_sub(1)).unwrap_or(usize::MAX);
        let last = self.placed.len() - 1;
        &self.placed[index.min(last)]
    }

    /// The states of all orders that were only placed, whichever revision they were placed under.
    pub(super) fn all_placed(&self) -> &[PlacedStates] {
        &self.placed
    }

    fn has(&self, states: &PlacedStates) -> bool {
        let entity = |entity, name: &Name| self.definition.entity(entity).state(name.as_str());
        entity(Entity::Order, &states.order).is_some()
            && entity(Entity::LineItem, &states.item).is_some()
    }

    /// The first state of a line item of which callers hear that status, other than that of a withdrawal.
    pub(super) fn item_state(&self, status: BookingStatus) -> Option<StateIx> {
        let states = &self.definition.entity(Entity::LineItem).states;
        for (index, state) in states.iter().enumerate() {
            let index = StateIx::new(index)?;
            if state.booking_status == Some(status) && index != self.definition.verbs.withdraw {
                return Some(index);
            }
        }
        None
    }

    /// Of what callers hear of a line item in a state.
    pub(super) fn status_of(&self, state: StateIx) -> Option<BookingStatus> {
        let states = &self.definition.entity(Entity::LineItem).states;
        states.get(state.index())?.booking_status
    }

    /// Whether an order in that state waits for its customer: then it may time out.
    pub(super) fn awaits_customer(&self, state: StateIx) -> bool {
        let time_out = self.definition.verbs.time_out;
        let transition = self.definition.manual(Entity::Order, state, time_out);
        transition.is_some()
    }
}
