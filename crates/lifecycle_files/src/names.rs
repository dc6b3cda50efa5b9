//! Names that a file declares, and their users.

use std::cell::RefCell;

use domain::lifecycle::{Entity, EventIx, MAX_STATES, Name, StateIx, StateSet, StepKind};
use kernel::{
    diagnostics::{Cursor, quoted},
    files::toml::TomlValue,
};

use super::{registry::suggestion, values};

/// Events that every store knows; others are a definition's own.
const OWN_TO_ALL: &[&str] = &[
    "order.created",
    "order.cancelled",
    "order.deleted",
    "order.return",
    "order.return.submitted",
    "order.shipped",
    "order.updateshipment",
    "order.exchange",
    "order.replace",
    "order.action_required",
    "order.completed",
    "order.no_show",
];

/// Most events that a file may name of its own.
const MAX_OWN_EVENTS: usize = 40;

/// Steps that need no declaration.
const STEPS: &[(&str, StepKind, Entity)] = &[
    ("charge", StepKind::Charge, Entity::Order),
    ("capture", StepKind::Capture, Entity::Order),
    ("void", StepKind::Void, Entity::Order),
    ("refund", StepKind::Refund, Entity::Refund),
    ("book_delivery", StepKind::BookDelivery, Entity::Fulfillment),
    (
        "cancel_delivery",
        StepKind::CancelDelivery,
        Entity::Fulfillment,
    ),
];

/// The names of a file.
pub(crate) struct FileNames<'t> {
    /// The states of each entity; none where they could not be read.
    states: [Vec<&'t str>; 4],
    /// Steps that the file declares.
    steps: Vec<&'t str>,
    events: RefCell<Vec<Name>>,
}

impl<'t> FileNames<'t> {
    pub(crate) fn new(states: [Vec<&'t str>; 4], steps: Vec<&'t str>) -> Self {
        let events = OWN_TO_ALL.iter().map(|name| Name::from(*name)).collect();
        Self {
            states,
            steps,
            events: RefCell::new(events),
        }
    }

    /// All events, by index.
    pub(crate) fn into_events(self) -> Vec<Name> {
        self.events.into_inner()
    }

    /// The state of that name; an unknown one is reported.
    pub(crate) fn state(&self, entity: Entity, value: &TomlValue<'t>) -> Option<StateIx> {
        let name = value.text()?;
        let found = self.known(entity, name);
        if found.is_none() {
            self.report_state(entity, name, &value.at);
        }
        found
    }

    /// The state of that name, if there is one.
    pub(crate) fn known(&self, entity: Entity, name: &str) -> Option<StateIx> {
        let states = &self.states[entity.index()];
        let index = states.iter().position(|it| *it == name)?;
        StateIx::new(index)
    }

    /// Reports an unknown state.
    pub(crate) fn report_state(&self, entity: Entity, name: &str, at: &Cursor<'_>) {
        let states = &self.states[entity.index()];
        if states.is_empty() {
            // Their absence is reported already.
            return;
        }
        let text = format!(
            "{} has no state {}; {}",
            entity.name(),
            quoted(name),
            suggestion("states", name, states.iter().copied())
        );
        at.error("unknown_state", text);
    }

    /// The states of a text or a list of texts.
    pub(crate) fn states(&self, entity: Entity, value: &TomlValue<'t>) -> Option<StateSet> {
        let texts = values::texts(value)?;
        // All of them first, so that each unknown one is reported.
        let states: Vec<_> = texts.iter().map(|it| self.state(entity, it)).collect();
        states.into_iter().collect()
    }

    /// The event of that name, which is new if it is named for the first time.
    pub(crate) fn event(&self, value: &TomlValue<'t>) -> Option<EventIx> {
        let name = value.text()?;
        let mut events = self.events.borrow_mut();
        if let Some(index) = events.iter().position(|it| it.as_str() == name) {
            return EventIx::new(index);
        }
        let own = events.len() - OWN_TO_ALL.len();
        if own >= MAX_OWN_EVENTS {
            value.at.error_because(
                "too_many_events",
                "too_many_events",
                format!(
                    "is event {} of this file; expected {MAX_OWN_EVENTS} at most",
                    own + 1
                ),
            );
            return None;
        }
        events.push(name.into());
        EventIx::new(own + OWN_TO_ALL.len())
    }

    /// The step of that name, which the entity has to be able to have.
    pub(crate) fn step(&self, entity: Entity, value: &TomlValue<'t>) -> Option<StepKind> {
        let name = value.text()?;
        if let Some((_, kind, of)) = STEPS.iter().find(|(known, ..)| *known == name) {
            if *of != entity {
                let (of, entity) = (of.name(), entity.name());
                let text = format!("step {} is one of {of} and not of {entity}", quoted(name));
                value.at.error("wrong_entity", text);
                return None;
            }
            return Some(kind.clone());
        }
        if self.steps.contains(&name) {
            return Some(StepKind::Custom(name.into()));
        }
        let known = STEPS.iter().map(|(name, ..)| *name);
        let known = known.chain(self.steps.iter().copied());
        let text = format!(
            "there is no step {}; {}; others are declared by `steps` at the top of the file",
            quoted(name),
            suggestion("steps", name, known)
        );
        value.at.error("unknown_step", text);
        None
    }
}

/// The name of a step in a file.
pub(crate) fn step_name(kind: &StepKind) -> String {
    match kind {
        StepKind::Custom(name) => name.to_string(),
        // Steps that no file can launch by name.
        StepKind::ReverseCharge => "reverse_charge".to_owned(),
        StepKind::EraseCustomer => "erase_personal_data".to_owned(),
        StepKind::Charge
        | StepKind::Capture
        | StepKind::Void
        | StepKind::Refund
        | StepKind::BookDelivery
        | StepKind::CancelDelivery => {
            let found = STEPS.iter().find(|(_, it, _)| it == kind);
            found.map_or_else(String::new, |(name, ..)| (*name).to_owned())
        }
    }
}

/// The entity of that name, or of its British or OneStock name.
pub(crate) fn entity(name: &str) -> Option<Entity> {
    match name {
        "order" => Some(Entity::Order),
        "line_item" | "line_item_group" => Some(Entity::LineItem),
        "fulfillment" | "fulfilment" | "parcel" => Some(Entity::Fulfillment),
        "refund" | "return_parcel" => Some(Entity::Refund),
        _ => None,
    }
}

/// Reports an unknown entity.
pub(crate) fn report_entity(name: &str, at: &Cursor<'_>) {
    let known = Entity::ALL.iter().map(|entity| entity.name());
    let text = format!(
        "there is no entity {}; {}",
        quoted(name),
        suggestion("entities", name, known)
    );
    at.error("unknown_entity", text);
}

/// The names of a list of states: at most [`MAX_STATES`], each once.
pub(crate) fn declared<'t>(value: &TomlValue<'t>) -> Vec<&'t str> {
    let mut states: Vec<&str> = Vec::new();
    for text in values::texts(value).unwrap_or_default() {
        match text.text() {
            Some(name) if states.contains(&name) => {
                let text_of_error = format!("state {} is named twice", quoted(name));
                text.at.error("duplicate", text_of_error);
            }
            Some(name) => states.push(name),
            None => {}
        }
    }
    if states.len() > MAX_STATES {
        let text = format!("has {} states; expected {MAX_STATES} at most", states.len());
        value.at.error("too_many_states", text);
        states.truncate(MAX_STATES);
    }
    states
}
