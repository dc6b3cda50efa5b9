//! The conditions and actions that a file may name, their parameters, and the entities that may have them.

use domain::lifecycle::Entity;
use kernel::diagnostics::similar;

/// What kind of thing an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionType {
    /// Moves an entity.
    Transition,
    /// Notes something.
    Enrichment,
    /// Takes or gives back spots.
    Consumption,
    /// Ends something.
    Deletion,
    /// Makes something.
    Creation,
    /// Changes something.
    Update,
    /// Has the outside world do or know something.
    Launch,
}

/// A name with what belongs to it.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// Other names that mean the same.
    aliases: &'static [&'static str],
    /// Parameters, without the name itself.
    pub(crate) keys: &'static [&'static str],
    /// Entities that may have it.
    pub(crate) on: &'static [Entity],
}

const ALL: &[Entity] = &Entity::ALL;
const ORDER: &[Entity] = &[Entity::Order];
const ITEM: &[Entity] = &[Entity::LineItem];
const FULFILLMENT: &[Entity] = &[Entity::Fulfillment];
const PARTS: &[Entity] = &[Entity::LineItem, Entity::Fulfillment, Entity::Refund];
const SOLD: &[Entity] = &[Entity::Order, Entity::LineItem, Entity::Fulfillment];
const TIMED: &[Entity] = &[Entity::Order, Entity::LineItem];

const fn entry(
    name: &'static str,
    aliases: &'static [&'static str],
    keys: &'static [&'static str],
    on: &'static [Entity],
) -> Entry {
    Entry {
        name,
        aliases,
        keys,
        on,
    }
}

/// The conditions.
const CONDITIONS: &[Entry] = &[
    entry("order_in_states", &[], &["states"], PARTS),
    entry(
        "all_line_items_in_states",
        &["all_line_item_groups_in_states"],
        &["states", "scope"],
        ALL,
    ),
    entry(
        "one_line_item_in_states",
        &["one_line_item_group_in_states"],
        &["states", "scope"],
        ALL,
    ),
    entry(
        "all_line_items_in_fulfillments",
        &[
            "all_line_items_in_fulfilments",
            "all_line_item_groups_in_parcels",
        ],
        &["in_states"],
        ALL,
    ),
    entry(
        "all_fulfillments_in_states",
        &["all_fulfilments_in_states", "all_parcels_in_states"],
        &["states", "if_exists"],
        ALL,
    ),
    entry(
        "one_fulfillment_in_states",
        &["one_fulfilment_in_states", "one_parcel_in_states"],
        &["states"],
        ALL,
    ),
    entry(
        "fulfillments_have_shipment",
        &["fulfilments_have_shipment", "parcels_have_shipment"],
        &[],
        SOLD,
    ),
    entry("all_transactions_state_in", &[], &["status"], ALL),
    entry("delivery_type_is", &[], &["types"], ALL),
    entry("confirmation_mode_is", &[], &["modes"], ITEM),
    entry("paid_by", &["order_type_is"], &["values"], ALL),
    entry("holds_spots", &["has_global_reservation"], &[], ITEM),
    entry("in_stock", &[], &[], ITEM),
    entry("sales_channel_in", &[], &["values"], ALL),
    entry(
        "merchant_in",
        &["endpoint_classification_is"],
        &["values"],
        ALL,
    ),
    entry(
        "event_sent",
        &["notification_has_to_be_sent"],
        &["name", "notification_name"],
        ALL,
    ),
    entry("information_in", &[], &["key", "value_type", "values"], ALL),
    entry("reason_in", &[], &["reasons"], ALL),
    entry("step_done", &[], &["step"], ALL),
    entry("step_failed", &[], &["step"], ALL),
    entry("starts_within", &[], &["duration"], TIMED),
    entry("started", &[], &[], TIMED),
    entry("not", &[], &["of"], ALL),
    entry("any_of", &[], &["of"], ALL),
];

/// Parameters of the actions that move an entity.
const UPDATE: &[&str] = &["state", "from", "scope"];

/// The actions.
const ACTIONS: &[(ActionType, Entry)] = &[
    (
        ActionType::Transition,
        entry("update_order_state", &[], UPDATE, ALL),
    ),
    (
        ActionType::Transition,
        entry(
            "update_line_items_state",
            &[
                "update_line_item_groups_state",
                "change_all_line_item_groups_in_same_parcel_state",
                "change_lines_with_same_item_state",
            ],
            &["state", "from", "to", "scope"],
            ALL,
        ),
    ),
    (
        ActionType::Transition,
        entry(
            "update_fulfillments_state",
            &["update_fulfilments_state", "update_parcels_state"],
            UPDATE,
            ALL,
        ),
    ),
    (
        ActionType::Transition,
        entry(
            "update_refunds_state",
            &["update_return_line_item_groups_state"],
            UPDATE,
            ALL,
        ),
    ),
    (
        ActionType::Consumption,
        entry(
            "update_reserved_stock",
            &["unconsume_capacity"],
            &["creation"],
            ITEM,
        ),
    ),
    (
        ActionType::Creation,
        entry(
            "create_payment_execution",
            &[],
            &["type", "scope", "percent"],
            SOLD,
        ),
    ),
    (
        ActionType::Update,
        entry("cancel_payment_operations", &[], &[], ORDER),
    ),
    (
        ActionType::Creation,
        entry(
            "link_to_fulfillment",
            &["link_to_fulfilment", "link_to_parcel"],
            &["by", "reuse_states", "modifiable_parcel_states"],
            TIMED,
        ),
    ),
    (
        ActionType::Deletion,
        entry(
            "remove_from_fulfillment",
            &["remove_from_fulfilment", "remove_from_parcel"],
            &["remove_if_empty"],
            ITEM,
        ),
    ),
    (
        ActionType::Launch,
        entry("launch", &["orchestrate"], &["step", "at"], ALL),
    ),
    (
        ActionType::Deletion,
        entry("delete_shipment", &[], &["database_only"], FULFILLMENT),
    ),
    (
        ActionType::Creation,
        entry(
            "set_expiration_date",
            &[],
            &[
                "name",
                "expire_in",
                "before_start",
                "after_end",
                "not_after_start_minus",
                "at_least",
                "to",
            ],
            ALL,
        ),
    ),
    (
        ActionType::Deletion,
        entry("clear_expiration_date", &[], &["name"], ALL),
    ),
    (
        ActionType::Creation,
        entry(
            "send_change_state_notification",
            &[],
            &["enable", "to", "in"],
            ALL,
        ),
    ),
    (
        ActionType::Launch,
        entry(
            "send_notification",
            &[],
            &["name", "notification_name", "params", "enable"],
            ALL,
        ),
    ),
    (
        ActionType::Creation,
        entry("send_alert", &[], &["name", "set", "incr", "enable"], ALL),
    ),
    (
        ActionType::Enrichment,
        entry("set_information", &[], &["key", "value"], ALL),
    ),
    (
        ActionType::Enrichment,
        entry("remove_reason", &[], &[], ALL),
    ),
    (
        ActionType::Enrichment,
        entry("assign_destination", &[], &["to"], ALL),
    ),
    (
        ActionType::Deletion,
        entry("erase_personal_data", &["self_destruct"], &[], ORDER),
    ),
];

impl Entry {
    fn is_named(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}

/// The names of all conditions.
pub fn condition_names() -> impl Iterator<Item = &'static str> {
    CONDITIONS.iter().map(|entry| entry.name)
}

/// The names of all actions.
pub fn action_names() -> impl Iterator<Item = &'static str> {
    ACTIONS.iter().map(|(_, entry)| entry.name)
}

/// What kind of thing an action does, by its name or alias.
#[must_use]
pub fn type_of_action(name: &str) -> Option<ActionType> {
    let found = ACTIONS.iter().find(|(_, entry)| entry.is_named(name))?;
    Some(found.0)
}

/// The condition of that name or alias.
pub(crate) fn condition(name: &str) -> Option<&'static Entry> {
    CONDITIONS.iter().find(|entry| entry.is_named(name))
}

/// The action of that name or alias.
pub(crate) fn action(name: &str) -> Option<&'static Entry> {
    let mut entries = ACTIONS.iter().map(|(_, entry)| entry);
    entries.find(|entry| entry.is_named(name))
}

/// What to say of an unknown name: the nearest known one, if there is one, and all of them.
pub(crate) fn suggestion<'n>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'n str> + Clone,
) -> String {
    let near = similar(name, known.clone().map(str::to_owned));
    let near = near.map(|near| format!("did you mean {near}? "));
    let all = known.collect::<Vec<_>>().join(", ");
    format!("{}{what} are {all}", near.unwrap_or_default())
}
