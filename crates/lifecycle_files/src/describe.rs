//! A definition as a table: what leads where, when, and what is done then.

use domain::lifecycle::{Definition, Entity, EntityDef, GuardedAction, StateIx, TransitionMode};

use super::{
    names,
    registry::{self, suggestion},
    words::{Describer, action_name},
};

/// What to show of a definition; all of it by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DescribeFilter {
    /// Only this entity, by its name or alias.
    pub entity: Option<String>,
    /// Only transitions from or to the state of this name.
    pub state: Option<String>,
    /// Only transitions with this action, by its name or alias.
    pub action: Option<String>,
}

/// Why a filter has no meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    field: &'static str,
    text: String,
}

impl FilterError {
    /// The field of the filter: `entity`, `state` or `action`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    fn new(field: &'static str, text: String) -> Self {
        Self { field, text }
    }
}

impl std::fmt::Display for FilterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for FilterError {}

/// An entity with its states and what leads from one to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The name of the entity.
    pub entity: &'static str,
    /// Its states with what they are to callers.
    pub states: Vec<(String, String)>,
    /// The beginning, then the transitions in the order of the file.
    pub rows: Vec<DescribedRow>,
}

/// A transition, or the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedRow {
    /// The states that it leaves; empty for the beginning.
    pub from: String,
    /// The state that it enters.
    pub to: String,
    /// `automatic`, `manual`, or `start`.
    pub kind: &'static str,
    /// Its conditions.
    pub conditions: String,
    /// Its actions, in their order.
    pub actions: Vec<String>,
}

/// Describes a definition.
///
/// # Errors
/// [`FilterError`] if the filter names something that the definition has not.
pub fn describe(
    definition: &Definition,
    filter: &DescribeFilter,
) -> Result<Vec<Described>, FilterError> {
    let entity = chosen_entity(filter)?;
    let action = chosen_action(filter)?;
    check_state(definition, filter)?;
    let mut all = Vec::new();
    for of in Entity::ALL {
        if entity.is_none_or(|entity| entity == of) {
            let described = describe_entity(definition, of, filter.state.as_deref(), action);
            let is_filtered = filter.state.is_some() || filter.action.is_some();
            if !is_filtered || !described.rows.is_empty() {
                all.push(described);
            }
        }
    }
    Ok(all)
}

fn chosen_entity(filter: &DescribeFilter) -> Result<Option<Entity>, FilterError> {
    let Some(name) = &filter.entity else {
        return Ok(None);
    };
    let entity = names::entity(name);
    if entity.is_none() {
        let known = Entity::ALL.map(Entity::name);
        let hint = suggestion("entities", name, known.into_iter());
        let text = format!("there is no entity {name:?}; {hint}");
        return Err(FilterError::new("entity", text));
    }
    Ok(entity)
}

fn chosen_action(filter: &DescribeFilter) -> Result<Option<&'static str>, FilterError> {
    let Some(name) = &filter.action else {
        return Ok(None);
    };
    let action = registry::action(name);
    if action.is_none() {
        let known: Vec<&str> = registry::action_names().collect();
        let hint = suggestion("actions", name, known.iter().copied());
        let text = format!("there is no action {name:?}; {hint}");
        return Err(FilterError::new("action", text));
    }
    Ok(action.map(|entry| entry.name))
}

fn check_state(definition: &Definition, filter: &DescribeFilter) -> Result<(), FilterError> {
    let Some(name) = &filter.state else {
        return Ok(());
    };
    if definition
        .entities
        .iter()
        .any(|it| it.state(name).is_some())
    {
        return Ok(());
    }
    let all = definition.entities.iter().flat_map(|it| &it.states);
    let mut known: Vec<&str> = all.map(|state| state.name.as_str()).collect();
    known.sort_unstable();
    known.dedup();
    let hint = suggestion("states", name, known.iter().copied());
    let text = format!("there is no state {name:?}; {hint}");
    Err(FilterError::new("state", text))
}

fn describe_entity(
    definition: &Definition,
    entity: Entity,
    state: Option<&str>,
    action: Option<&str>,
) -> Described {
    let def = definition.entity(entity);
    let words = Describer(definition);
    let wanted = state.map(|name| def.state(name));
    let is_wanted = |from: &dyn Fn(StateIx) -> bool, to: StateIx, actions: &[GuardedAction]| {
        let of_state = wanted.is_none_or(|it| it.is_some_and(|it| it == to || from(it)));
        let of_action = action.is_none_or(|name| {
            let mut actions = actions.iter();
            actions.any(|it| action_name(&it.action) == name)
        });
        of_state && of_action
    };
    let mut rows = Vec::new();
    if is_wanted(&|_| false, def.start, &def.on_start) {
        rows.push(DescribedRow {
            from: String::new(),
            to: words.state(entity, def.start),
            kind: "start",
            conditions: String::new(),
            actions: actions(words, entity, &def.on_start),
        });
    }
    for it in &def.transitions {
        if is_wanted(&|state| it.from.contains(state), it.to, &it.actions) {
            rows.push(DescribedRow {
                from: words.states(entity, it.from),
                to: words.state(entity, it.to),
                kind: match it.mode {
                    TransitionMode::Automatic => "automatic",
                    TransitionMode::Manual => "manual",
                },
                conditions: words.all(&it.conditions),
                actions: actions(words, entity, &it.actions),
            });
        }
    }
    Described {
        entity: entity.name(),
        states: states(def),
        rows,
    }
}

fn actions(words: Describer<'_>, entity: Entity, all: &[GuardedAction]) -> Vec<String> {
    all.iter().map(|it| words.guarded(entity, it)).collect()
}

/// The states with their booking status and, where it differs from the name, their `oms` status.
fn states(def: &EntityDef) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for state in &def.states {
        let mut meanings = Vec::new();
        if let Some(status) = state.booking_status {
            let word = super::values::word_of(super::values::BOOKING_STATUSES, &Some(status));
            meanings.push(word.to_owned());
        }
        if state.oms_status != state.name {
            meanings.push(format!("oms {}", state.oms_status));
        }
        all.push((state.name.to_string(), meanings.join(", ")));
    }
    all
}
