//! Automatic transitions do not chase each other for ever.

use domain::lifecycle::{Entity, LifecycleAction, StateSet, TransitionMode};

use super::draft::{EntityDraft, TransitionDraft};

/// Reports an automatic transition that can lead back to its own start although nothing but automatic
/// transitions runs: its entity is tried again by what it does, and comes round its states.
pub(crate) fn check(drafts: &[EntityDraft<'_>; 4]) {
    let tries = entities_tried(drafts);
    for draft in drafts {
        if !tries[draft.entity.index()][draft.entity.index()] {
            continue;
        }
        let round = draft.transitions.iter().filter(|it| is_automatic(it));
        if let Some(transition) = round.into_iter().find(|it| comes_round(draft, it)) {
            let text = format!(
                "automatic transitions of {} lead from {:?} back to it, and update {} without a state: \
                 they would run for ever; name a state in one of the updates",
                draft.entity.name(),
                draft.name(transition.to),
                draft.entity.name(),
            );
            transition.at.error("endless", text);
        }
    }
}

fn is_automatic(transition: &TransitionDraft<'_>) -> bool {
    transition.mode == TransitionMode::Automatic
}

/// Whether automatic transitions lead from the target of one back to one of its own states.
fn comes_round(draft: &EntityDraft<'_>, transition: &TransitionDraft<'_>) -> bool {
    let reached = draft.reached(StateSet::default().with(transition.to), is_automatic);
    transition.from.iter().any(|from| reached.contains(from))
}

/// Which entities have which tried, directly or through others, by what their automatic transitions do.
fn entities_tried(drafts: &[EntityDraft<'_>; 4]) -> [[bool; 4]; 4] {
    let mut tries = [[false; 4]; 4];
    for draft in drafts {
        for transition in draft.transitions.iter().filter(|it| is_automatic(it)) {
            for action in &transition.actions {
                if let LifecycleAction::Update(update) = action.guarded.action
                    && update.to.is_none()
                {
                    tries[draft.entity.index()][update.entity.index()] = true;
                }
            }
        }
    }
    // Warshall's closure.
    for through in Entity::ALL.map(Entity::index) {
        for from in Entity::ALL.map(Entity::index) {
            for to in Entity::ALL.map(Entity::index) {
                tries[from][to] |= tries[from][through] && tries[through][to];
            }
        }
    }
    tries
}
