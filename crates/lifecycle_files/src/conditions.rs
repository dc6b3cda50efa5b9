//! Reads conditions.

use domain::lifecycle::{Condition, Entity, ItemScope, StepResult};
use domain::time::Seconds;
use kernel::{
    diagnostics::quoted,
    files::toml::{TomlTable, TomlValue},
};

use super::{
    names::FileNames,
    registry::{self, suggestion},
    values::{
        self, CONFIRMATION_MODES, DELIVERY_TYPES, INFO_TYPES, PAYERS, PAYMENT_STATUSES, Words,
    },
};

/// Conditions within conditions, at most.
const MAX_DEPTH: usize = 8;

/// The key of a condition's name.
const COND: &str = "cond";

const ITEM_SCOPES: Words<ItemScope> = &[("own", ItemScope::Own), ("all", ItemScope::All)];

/// Reads the conditions under a key: a list of tables, or one table. None of them is the same as an absent
/// key.
pub(crate) fn read<'t>(
    names: &FileNames<'t>,
    entity: Entity,
    table: &TomlTable<'t>,
    key: &str,
) -> Option<Vec<Condition>> {
    match table.get(key) {
        Some(value) => read_all(names, entity, &value, 0),
        None => Some(Vec::new()),
    }
}

/// A table or a list of tables, all of which have to hold.
fn read_all<'t>(
    names: &FileNames<'t>,
    entity: Entity,
    value: &TomlValue<'t>,
    depth: usize,
) -> Option<Vec<Condition>> {
    if depth > MAX_DEPTH {
        let text = format!("conditions are nested more than {MAX_DEPTH} deep");
        value.at.error("too_deep", text);
        return None;
    }
    if value.is_table() {
        return Some(vec![read_one(names, entity, value, depth)?]);
    }
    let list = value.list()?;
    // All of them first, so that each wrong one is reported.
    let all: Vec<_> = list
        .iter()
        .map(|it| read_one(names, entity, it, depth))
        .collect();
    all.into_iter().collect()
}

/// The name of a condition or action, and its table with no other keys than it may have.
fn read_one<'t>(
    names: &FileNames<'t>,
    entity: Entity,
    value: &TomlValue<'t>,
    depth: usize,
) -> Option<Condition> {
    let members = value.members()?;
    let Some((_, name)) = members.iter().find(|(key, _)| *key == COND) else {
        value.at.error("missing", "`cond` is missing");
        return None;
    };
    let text = name.text()?;
    let Some(entry) = registry::condition(text) else {
        let known = registry::condition_names();
        let hint = suggestion(
            "conditions",
            text,
            known.collect::<Vec<_>>().iter().copied(),
        );
        let text = format!("there is no condition {}; {hint}", quoted(text));
        name.at.error("unknown_condition", text);
        return None;
    };
    let keys: Vec<&str> = [COND].iter().chain(entry.keys).copied().collect();
    let table = value.table(&keys)?;
    report_entity(entry, "condition", text, entity, name);
    let reader = ConditionReader {
        names,
        entity,
        table,
        depth,
    };
    reader.read(entry.name)
}

/// Reports a condition or action that the entity cannot have.
pub(crate) fn report_entity(
    entry: &registry::Entry,
    what: &str,
    name: &str,
    entity: Entity,
    at: &TomlValue<'_>,
) {
    if !entry.on.contains(&entity) {
        let on = entry.on.iter().map(|it| it.name());
        let on = on.collect::<Vec<_>>().join(", ");
        let entity = entity.name();
        let text = format!("{what} {} is one of {on} and not of {entity}", quoted(name));
        at.at.error("wrong_entity", text);
    }
}

struct ConditionReader<'n, 't> {
    names: &'n FileNames<'t>,
    entity: Entity,
    table: TomlTable<'t>,
    depth: usize,
}

impl ConditionReader<'_, '_> {
    fn read(&self, name: &str) -> Option<Condition> {
        match name {
            "order_in_states" => self.states(Entity::Order).map(Condition::OrderIn),
            "all_line_items_in_states" => {
                let (states, scope) = (self.states(Entity::LineItem), self.scope());
                Some(Condition::AllItemsIn(states?, scope?))
            }
            "one_line_item_in_states" => {
                let (states, scope) = (self.states(Entity::LineItem), self.scope());
                Some(Condition::OneItemIn(states?, scope?))
            }
            "all_line_items_in_fulfillments" => match self.table.get("in_states") {
                Some(value) => {
                    let states = self.names.states(Entity::LineItem, &value)?;
                    Some(Condition::ItemsInFulfillments(Some(states)))
                }
                None => Some(Condition::ItemsInFulfillments(None)),
            },
            "all_fulfillments_in_states" => self.all_fulfillments(),
            "one_fulfillment_in_states" => self
                .states(Entity::Fulfillment)
                .map(Condition::OneFulfillmentIn),
            "fulfillments_have_shipment" => Some(Condition::FulfillmentsHaveShipment),
            "all_transactions_state_in" => self
                .words("status", PAYMENT_STATUSES)
                .map(Condition::PaymentIn),
            "delivery_type_is" => self
                .words("types", DELIVERY_TYPES)
                .map(Condition::DeliveryIn),
            "confirmation_mode_is" => self
                .words("modes", CONFIRMATION_MODES)
                .map(Condition::ConfirmationIn),
            "paid_by" => self.words("values", PAYERS).map(Condition::PaidByIn),
            "holds_spots" => Some(Condition::HoldsSpots),
            "in_stock" => Some(Condition::InStock),
            _ => self.read_further(name),
        }
    }

    fn read_further(&self, name: &str) -> Option<Condition> {
        let listed = |key| values::names(&self.table.required(key)?);
        match name {
            "sales_channel_in" => listed("values").map(Condition::ChannelIn),
            "merchant_in" => listed("values").map(Condition::MerchantIn),
            "reason_in" => listed("reasons").map(Condition::ReasonIn),
            "event_sent" => {
                let value = either(&self.table, "name", "notification_name")?;
                self.names.event(&value).map(Condition::EventSent)
            }
            "information_in" => self.information(),
            "step_done" => self.step(StepResult::Done),
            "step_failed" => self.step(StepResult::Failed),
            "started" => Some(Condition::StartsWithin(Seconds::ZERO)),
            "starts_within" => {
                let length = values::duration(&self.table.required("duration")?)?;
                Some(Condition::StartsWithin(length))
            }
            "not" => {
                let of = self.table.required("of")?;
                let all = read_all(self.names, self.entity, &of, self.depth + 1)?;
                Some(Condition::Not(all))
            }
            "any_of" => self.any_of(),
            _ => None,
        }
    }

    fn states(&self, entity: Entity) -> Option<domain::lifecycle::StateSet> {
        self.names.states(entity, &self.table.required("states")?)
    }

    fn scope(&self) -> Option<ItemScope> {
        match self.table.get("scope") {
            Some(value) => values::word(&value, ITEM_SCOPES),
            None => Some(ItemScope::Own),
        }
    }

    fn words<T: Copy>(&self, key: &str, known: Words<T>) -> Option<Vec<T>> {
        values::words(&self.table.required(key)?, known)
    }

    fn all_fulfillments(&self) -> Option<Condition> {
        let states = self.states(Entity::Fulfillment);
        let if_exists = match self.table.get("if_exists") {
            Some(value) => value.boolean(),
            None => Some(false),
        };
        Some(Condition::AllFulfillmentsIn {
            states: states?,
            if_exists: if_exists?,
        })
    }

    fn information(&self) -> Option<Condition> {
        let key = self.table.required("key").and_then(|value| value.text());
        let kind = self.table.required("value_type");
        let kind = kind.and_then(|value| values::word(&value, INFO_TYPES));
        let list = self.table.required("values").and_then(|value| value.list());
        let (kind, list) = (kind?, list?);
        let all: Vec<_> = list.iter().map(|it| values::info_of(it, kind)).collect();
        Some(Condition::InformationIn {
            key: key?.into(),
            values: all.into_iter().collect::<Option<_>>()?,
        })
    }

    fn step(&self, result: StepResult) -> Option<Condition> {
        let value = self.table.required("step")?;
        let kind = self.names.step(self.entity, &value)?;
        Some(Condition::StepEnded(kind, result))
    }

    /// Each element is a condition, or a list of conditions that all have to hold.
    fn any_of(&self) -> Option<Condition> {
        let of = self.table.required("of")?;
        let list = of.list()?;
        let lists: Vec<_> = list
            .iter()
            .map(|it| read_all(self.names, self.entity, it, self.depth + 1))
            .collect();
        Some(Condition::AnyOf(lists.into_iter().collect::<Option<_>>()?))
    }
}

/// The value of a key or of its other name; a missing one is reported.
pub(crate) fn either<'t>(table: &TomlTable<'t>, key: &str, other: &str) -> Option<TomlValue<'t>> {
    table.get(other).or_else(|| table.required(key))
}
