//! Timers lead somewhere from wherever they may fire, and what is cleared was set.

use std::collections::BTreeSet;

use domain::lifecycle::{LifecycleAction, Name, StateIx, StateSet, TimerRule};

use super::draft::{EntityDraft, clears};

/// Checks the timers of an entity.
pub(crate) fn check(draft: &EntityDraft<'_>) {
    let mut set: BTreeSet<&Name> = BTreeSet::new();
    for (state, actions) in draft.lists() {
        for action in actions {
            if let LifecycleAction::SetTimer(rule) = &action.guarded.action {
                set.insert(&rule.name);
                if let Some(stuck) = first_stuck(draft, state, rule) {
                    let text = format!(
                        "timer {:?} may fire in state {:?}, from which no manual transition leads to {:?}; \
                         clear it on the way there",
                        rule.name,
                        draft.name(stuck),
                        draft.name(rule.to)
                    );
                    action.at.error("timer_stuck", text);
                }
            }
        }
    }
    for (_, actions) in draft.lists() {
        for action in actions {
            if let LifecycleAction::ClearTimer(name) = &action.guarded.action
                && !set.contains(name)
            {
                let entity = draft.entity.name();
                let text = format!("{entity} sets no timer {name:?} anywhere");
                action.at.error("unknown_timer", text);
            }
        }
    }
}

/// The first state in which a timer may be set and has no way to go. Its own target needs none.
fn first_stuck(draft: &EntityDraft<'_>, begin: StateIx, rule: &TimerRule) -> Option<StateIx> {
    let alive = draft.reached(StateSet::default().with(begin), |transition| {
        transition.to != rule.to && !clears(&transition.actions, &rule.name)
    });
    alive
        .iter()
        .find(|state| *state != rule.to && !draft.has_manual(*state, rule.to))
}
