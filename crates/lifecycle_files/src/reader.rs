//! Reads a file as a whole: entities first, because any of them may name states of any other.

use domain::{
    lifecycle::{Definition, Entity, Name, StateDef, StateIx, StateMap, TransitionMode, Verbs},
    order::BookingStatus,
};
use kernel::{
    diagnostics::{Cursor, quoted},
    files::toml::{Document, TomlTable, TomlValue},
};

use super::{
    DefinitionFile, actions, checks, conditions,
    draft::{EntityDraft, TransitionDraft},
    names::{self, FileNames},
    registry::suggestion,
    values::{self, BOOKING_STATUSES, Words},
};

/// The only schema.
const SCHEMA: &str = "lifecycle/1";

const TOP: &[&str] = &[
    "schema", "name", "steps", "workflow", "entity", "verb", "map",
];

const ENTITY: &[&str] = &["start", "on_start", "states", "oms_status", "transition"];

/// The keys of line items, of which callers hear more.
const LINE_ITEM: &[&str] = &[
    "start",
    "on_start",
    "states",
    "booking_status",
    "oms_status",
    "transition",
];

const TRANSITION: &[&str] = &["from", "to", "kind", "if", "do"];

const KINDS: Words<TransitionMode> = &[
    ("automatic", TransitionMode::Automatic),
    ("manual", TransitionMode::Manual),
];

/// The verbs with the entity that they move and the state that they lead to where the file says nothing.
const VERBS: [(&str, Entity, &str); 6] = [
    ("withdraw", Entity::LineItem, "unavailable"),
    ("cancel", Entity::Order, "cancelled"),
    ("amend", Entity::Order, "processing"),
    ("time_out", Entity::Order, "timed_out"),
    ("dispatch", Entity::Fulfillment, "dispatched"),
    ("deliver", Entity::Fulfillment, "delivered"),
];

/// Reads a definition. `None` if an error was reported.
pub(crate) fn read(document: &Document<'_>) -> Option<DefinitionFile> {
    let top = document.table(TOP);
    read_schema(&top);
    let name = top.get("name").map(|value| value.text());
    let workflows = top.get("workflow").map(|value| read_workflows(&value));
    let tables = entity_tables(&top);
    let states = tables.map(|table| table.map_or_else(Vec::new, |table| states_of(&table)));
    let steps = top.get("steps").map(|value| names::declared(&value));
    let names = FileNames::new(states, steps.unwrap_or_default());
    let before = top.at.errors_so_far();
    let mut drafts = Vec::new();
    for (entity, table) in Entity::ALL.into_iter().zip(&tables) {
        drafts.extend(table.and_then(|table| read_entity(&names, entity, &table)));
    }
    // What a part of a file lacks would only be reported again as unreachable.
    if before == top.at.errors_so_far() {
        drafts.iter().for_each(checks::check_entity);
    }
    let verbs = read_verbs(&top, &names, &drafts);
    let maps = top.get("map").map(|value| read_maps(&value, &names));
    let Ok(drafts) = <[EntityDraft<'_>; 4]>::try_from(drafts) else {
        return None;
    };
    checks::check_together(&drafts);
    let at_items = drafts[Entity::LineItem.index()].at;
    let definition = Definition {
        name: name.flatten().unwrap_or("lifecycle").into(),
        entities: drafts.map(EntityDraft::finish),
        workflows: workflows.unwrap_or(Some(DEFAULT_WORKFLOWS))?,
        events: names.into_events(),
        verbs: verbs?,
    };
    if top.at.errors_so_far() == 0 {
        checks::check_placed(&definition, &at_items);
    }
    Some(DefinitionFile {
        definition,
        maps: maps.unwrap_or_default(),
    })
}

/// The states of the definition before that have another name in this one, by entity.
fn read_maps<'t>(value: &TomlValue<'t>, names: &FileNames<'t>) -> Vec<StateMap> {
    let mut maps = Vec::new();
    for (name, table) in value.members().unwrap_or_default() {
        let Some(entity) = names::entity(name) else {
            names::report_entity(name, &table.at);
            continue;
        };
        for (from, to) in table.members().unwrap_or_default() {
            if names.known(entity, from).is_some() {
                let text = format!(
                    "{} has the state {from:?}; only a state that it lacks can have another name",
                    entity.name()
                );
                to.at.error("still_there", text);
            }
            let known = names.state(entity, &to).is_some();
            if let Some(to) = to.text().filter(|_| known) {
                maps.push(StateMap {
                    entity,
                    from: from.into(),
                    to: to.into(),
                });
            }
        }
    }
    maps
}

fn read_schema(top: &TomlTable<'_>) {
    if let Some(value) = top.required("schema")
        && let Some(text) = value.text()
        && text != SCHEMA
    {
        let text = format!("expected {SCHEMA:?}, found {}", quoted(text));
        value.at.error("wrong_schema", text);
    }
}

/// Order, line items and fulfillments together, refunds apart.
const DEFAULT_WORKFLOWS: [u8; 4] = [0, 0, 0, 1];

/// The number of the workflow of each entity, each of which is in one.
fn read_workflows(value: &TomlValue<'_>) -> Option<[u8; 4]> {
    let mut workflows: [Option<u8>; 4] = [None; 4];
    for (number, (name, list)) in (0..).zip(value.members()?) {
        for text in values::texts(&list).unwrap_or_default() {
            let Some(entity) = text.text().and_then(names::entity) else {
                names::report_entity(text.text().unwrap_or_default(), &text.at);
                continue;
            };
            let place = &mut workflows[entity.index()];
            if place.is_some() {
                let entity = entity.name();
                let text_of_error = format!("{entity} is in two workflows, one of them {name}");
                text.at.error("duplicate", text_of_error);
            }
            *place = Some(number);
        }
    }
    for (entity, number) in Entity::ALL.iter().zip(&workflows) {
        if number.is_none() {
            let text = format!("{} is in no workflow", entity.name());
            value.at.error("missing", text);
        }
    }
    let [order, item, fulfillment, refund] = workflows;
    Some([order?, item?, fulfillment?, refund?])
}

/// The tables of the four entities.
fn entity_tables<'t>(top: &TomlTable<'t>) -> [Option<TomlTable<'t>>; 4] {
    let mut tables = [None; 4];
    let Some(all) = top.required("entity") else {
        return tables;
    };
    for (name, value) in all.members().unwrap_or_default() {
        let Some(entity) = names::entity(name) else {
            names::report_entity(name, &value.at);
            continue;
        };
        let keys = match entity {
            Entity::LineItem => LINE_ITEM,
            Entity::Order | Entity::Fulfillment | Entity::Refund => ENTITY,
        };
        let place = &mut tables[entity.index()];
        if place.is_some() {
            let text = format!("{} is there under another name, too", entity.name());
            value.at.error("duplicate", text);
        }
        *place = value.table(keys);
    }
    for (entity, table) in Entity::ALL.iter().zip(&tables) {
        if table.is_none() {
            let text = format!("`[entity.{}]` is missing", entity.name());
            all.at.error("missing", text);
        }
    }
    tables
}

fn states_of<'t>(table: &TomlTable<'t>) -> Vec<&'t str> {
    let states = table.required("states");
    states.map_or_else(Vec::new, |value| names::declared(&value))
}

fn read_entity<'t>(
    names: &FileNames<'t>,
    entity: Entity,
    table: &TomlTable<'t>,
) -> Option<EntityDraft<'t>> {
    let start = table.required("start");
    let start = start.and_then(|value| names.state(entity, &value));
    let on_start = actions::read(names, entity, table, "on_start");
    let states = read_states(names, entity, table);
    let transitions = table.tables("transition", TRANSITION);
    // All of them first, so that each wrong one is reported.
    let transitions: Vec<_> = transitions
        .iter()
        .map(|it| read_transition(names, entity, it))
        .collect();
    Some(EntityDraft {
        entity,
        at: table.at,
        states_at: table.get("states")?.at,
        start: start?,
        on_start: on_start?,
        states: states?,
        transitions: transitions.into_iter().collect::<Option<_>>()?,
    })
}

fn read_states<'t>(
    names: &FileNames<'t>,
    entity: Entity,
    table: &TomlTable<'t>,
) -> Option<Vec<StateDef>> {
    let value = table.get("states")?;
    let listed = values::texts(&value)?;
    let mut states: Vec<StateDef> = listed
        .iter()
        .filter_map(TomlValue::text)
        .map(|name| StateDef {
            name: name.into(),
            booking_status: None,
            oms_status: name.into(),
        })
        .collect();
    for (state, value) in state_keys(names, entity, table, "oms_status") {
        let name: Option<Name> = value.text().map(Name::from);
        if let (Some(place), Some(name)) = (states.get_mut(state.index()), name) {
            place.oms_status = name;
        }
    }
    if entity == Entity::LineItem {
        read_booking_statuses(names, table, &mut states);
    }
    Some(states)
}

/// The members of a table whose keys are states.
fn state_keys<'t>(
    names: &FileNames<'t>,
    entity: Entity,
    table: &TomlTable<'t>,
    key: &str,
) -> Vec<(StateIx, TomlValue<'t>)> {
    let members = table.get(key).and_then(|value| value.members());
    let mut states = Vec::new();
    for (name, value) in members.unwrap_or_default() {
        let state = names.known(entity, name);
        if state.is_none() {
            names.report_state(entity, name, &value.at);
        }
        states.extend(state.map(|state| (state, value)));
    }
    states
}

/// What callers hear of each state, which has to be said.
fn read_booking_statuses<'t>(
    names: &FileNames<'t>,
    table: &TomlTable<'t>,
    states: &mut [StateDef],
) {
    let stated = state_keys(names, Entity::LineItem, table, "booking_status");
    for (index, state) in states.iter_mut().enumerate() {
        let found = stated.iter().find(|(of, _)| of.index() == index);
        let Some((_, value)) = found else {
            let at = table
                .get("booking_status")
                .map_or(table.at, |value| value.at);
            let text = format!("`booking_status` says nothing of state {:?}", state.name);
            at.error("no_booking_status", text);
            continue;
        };
        let status: Option<Option<BookingStatus>> = values::word(value, BOOKING_STATUSES);
        state.booking_status = status.flatten();
    }
}

fn read_transition<'t>(
    names: &FileNames<'t>,
    entity: Entity,
    table: &TomlTable<'t>,
) -> Option<TransitionDraft<'t>> {
    let from = table.required("from");
    let from = from.and_then(|value| names.states(entity, &value));
    let to = table.required("to");
    let to = to.and_then(|value| names.state(entity, &value));
    let mode = table.required("kind");
    let mode = mode.and_then(|value| values::word(&value, KINDS));
    let conditions = conditions::read(names, entity, table, "if");
    let actions = actions::read(names, entity, table, "do");
    Some(TransitionDraft {
        at: table.at,
        from: from?,
        to: to?,
        mode: mode?,
        conditions: conditions?,
        actions: actions?,
    })
}

/// The states that verbs lead to; each needs a manual transition.
fn read_verbs<'t>(
    top: &TomlTable<'t>,
    names: &FileNames<'t>,
    drafts: &[EntityDraft<'t>],
) -> Option<Verbs> {
    let keys = VERBS.map(|(verb, ..)| verb);
    let table = match top.get("verb") {
        Some(value) => Some(value.table(&keys)?),
        None => None,
    };
    let states = VERBS.map(|verb| read_verb(table.as_ref(), names, drafts, verb));
    let [withdraw, cancel, amend, time_out, dispatch, deliver] = states;
    Some(Verbs {
        withdraw: withdraw?,
        cancel: cancel?,
        amend: amend?,
        time_out: time_out?,
        dispatch: dispatch?,
        deliver: deliver?,
    })
}

fn read_verb<'t>(
    table: Option<&TomlTable<'t>>,
    names: &FileNames<'t>,
    drafts: &[EntityDraft<'t>],
    (verb, entity, default): (&str, Entity, &str),
) -> Option<StateIx> {
    let draft = drafts.iter().find(|draft| draft.entity == entity)?;
    let named = table.and_then(|table| table.get(verb));
    let at: Cursor<'_> = named.map_or(draft.at, |value| value.at);
    let state = match named {
        Some(value) => names.state(entity, &value)?,
        None => usual_state(names, draft, verb, default)?,
    };
    let is_reached = draft
        .transitions
        .iter()
        .any(|it| it.to == state && it.mode == TransitionMode::Manual);
    if !is_reached {
        let text = format!(
            "`{verb}` leads to state {:?} of {}, which no manual transition enters",
            draft.name(state),
            entity.name()
        );
        at.error("no_transition", text);
    }
    Some(state)
}

/// The state that a verb leads to where the file says nothing; its absence is reported.
fn usual_state(
    names: &FileNames<'_>,
    draft: &EntityDraft<'_>,
    verb: &str,
    name: &str,
) -> Option<StateIx> {
    let state = names.known(draft.entity, name);
    if state.is_none() {
        let known = draft.states.iter().map(|it| it.name.as_str());
        let text = format!(
            "{} has no state {name:?}, which `{verb}` leads to; name another one in `[verb]`; {}",
            draft.entity.name(),
            suggestion("states", name, known)
        );
        draft.at.error("unknown_state", text);
    }
    state
}
