//! A definition as it was read, with its places in the file.

use domain::lifecycle::{
    Condition, Entity, EntityDef, LifecycleAction, Name, StateDef, StateIx, StateSet,
    TransitionDef, TransitionMode,
};
use kernel::diagnostics::Cursor;

use super::actions::DraftAction;

/// An entity.
pub(crate) struct EntityDraft<'t> {
    pub(crate) entity: Entity,
    /// Its table.
    pub(crate) at: Cursor<'t>,
    /// Its list of states.
    pub(crate) states_at: Cursor<'t>,
    pub(crate) start: StateIx,
    pub(crate) on_start: Vec<DraftAction<'t>>,
    pub(crate) states: Vec<StateDef>,
    pub(crate) transitions: Vec<TransitionDraft<'t>>,
}

/// A transition.
pub(crate) struct TransitionDraft<'t> {
    pub(crate) at: Cursor<'t>,
    pub(crate) from: StateSet,
    pub(crate) to: StateIx,
    pub(crate) mode: TransitionMode,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) actions: Vec<DraftAction<'t>>,
}

impl<'t> EntityDraft<'t> {
    /// The name of a state.
    pub(crate) fn name(&self, state: StateIx) -> &str {
        let state = self.states.get(state.index());
        state.map_or("", |state| state.name.as_str())
    }

    /// All states.
    pub(crate) fn all(&self) -> StateSet {
        (0..self.states.len()).filter_map(StateIx::new).collect()
    }

    /// Whether there is a manual transition between two states.
    pub(crate) fn has_manual(&self, from: StateIx, to: StateIx) -> bool {
        let mut all = self.transitions.iter();
        all.any(|it| it.mode == TransitionMode::Manual && it.from.contains(from) && it.to == to)
    }

    /// The states that can be reached from some by transitions that a filter passes.
    pub(crate) fn reached(
        &self,
        begin: StateSet,
        passes: impl Fn(&TransitionDraft<'t>) -> bool,
    ) -> StateSet {
        let mut reached = begin;
        loop {
            let before = reached;
            for transition in self.transitions.iter().filter(|it| passes(it)) {
                if transition.from.iter().any(|from| reached.contains(from)) {
                    reached = reached.with(transition.to);
                }
            }
            if reached == before {
                return reached;
            }
        }
    }

    /// Every list of actions with the state in which it runs.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (StateIx, &[DraftAction<'t>])> {
        let of_start = (self.start, self.on_start.as_slice());
        let of_transitions = self.transitions.iter();
        let of_transitions = of_transitions.map(|it| (it.to, it.actions.as_slice()));
        std::iter::once(of_start).chain(of_transitions)
    }

    /// The definition without places.
    pub(crate) fn finish(self) -> EntityDef {
        let transitions = self.transitions.into_iter();
        EntityDef {
            start: self.start,
            on_start: guarded(self.on_start),
            states: self.states,
            transitions: transitions.map(TransitionDraft::finish).collect(),
        }
    }
}

impl TransitionDraft<'_> {
    fn finish(self) -> TransitionDef {
        TransitionDef {
            from: self.from,
            to: self.to,
            mode: self.mode,
            conditions: self.conditions,
            actions: guarded(self.actions),
        }
    }
}

fn guarded(actions: Vec<DraftAction<'_>>) -> Vec<domain::lifecycle::GuardedAction> {
    actions.into_iter().map(|it| it.guarded).collect()
}

/// Whether actions certainly end the timer of a name.
pub(crate) fn clears(actions: &[DraftAction<'_>], name: &Name) -> bool {
    actions.iter().any(|it| {
        let is_certain = it.guarded.conditions.is_empty();
        is_certain && it.guarded.action == LifecycleAction::ClearTimer(name.clone())
    })
}
