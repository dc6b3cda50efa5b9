//! Reads actions.

use domain::{
    lifecycle::{
        AlertChange, Destination, Entity, GuardedAction, LaunchTime, LifecycleAction, LinkBy,
        PaymentMove, PercentRule, RefundScope, StateSet, TimerDue, TimerRule, UpdateRule,
        UpdateScope,
    },
    money::Percent,
};
use kernel::{
    diagnostics::{Cursor, quoted},
    files::toml::{TomlTable, TomlValue},
};

use super::{
    conditions::{self, either},
    names::FileNames,
    registry::{self, suggestion},
    values::{self, Words},
};

/// The key of an action's name.
const ACTION: &str = "action";

/// The key of an action's conditions.
const IF: &str = "if";

const UPDATE_SCOPES: Words<UpdateScope> = &[
    ("own", UpdateScope::Own),
    ("all", UpdateScope::All),
    ("fulfillment", UpdateScope::Fulfillment),
    ("fulfilment", UpdateScope::Fulfillment),
    ("same_service", UpdateScope::SameService),
    ("to_come", UpdateScope::ToCome),
];

const REFUND_SCOPES: Words<RefundScope> = &[
    ("all", RefundScope::All),
    ("own", RefundScope::Own),
    ("cancelled_items", RefundScope::CancelledItems),
    ("moved_items", RefundScope::MovedItems),
];

const LINKS: Words<LinkBy> = &[
    ("order", LinkBy::Order),
    ("service", LinkBy::Service),
    ("line_item", LinkBy::LineItem),
];

const DESTINATIONS: Words<Destination> = &[
    ("order_destination", Destination::Order),
    ("email", Destination::Email),
    ("address", Destination::Address),
];

/// An action with its place in the file.
pub(crate) struct DraftAction<'t> {
    pub(crate) at: Cursor<'t>,
    pub(crate) guarded: GuardedAction,
}

/// Reads the actions under a key.
pub(crate) fn read<'t>(
    names: &FileNames<'t>,
    entity: Entity,
    table: &TomlTable<'t>,
    key: &str,
) -> Option<Vec<DraftAction<'t>>> {
    let Some(value) = table.get(key) else {
        return Some(Vec::new());
    };
    let list = value.list()?;
    // All of them first, so that each wrong one is reported.
    let all: Vec<_> = list.iter().map(|it| read_one(names, entity, it)).collect();
    all.into_iter().collect()
}

fn read_one<'t>(
    names: &FileNames<'t>,
    entity: Entity,
    value: &TomlValue<'t>,
) -> Option<DraftAction<'t>> {
    let members = value.members()?;
    let Some((_, name)) = members.iter().find(|(key, _)| *key == ACTION) else {
        value.at.error("missing", "`action` is missing");
        return None;
    };
    let text = name.text()?;
    let Some(entry) = registry::action(text) else {
        let known = registry::action_names();
        let hint = suggestion("actions", text, known.collect::<Vec<_>>().iter().copied());
        let text = format!("there is no action {}; {hint}", quoted(text));
        name.at.error("unknown_action", text);
        return None;
    };
    let keys: Vec<&str> = [ACTION, IF].iter().chain(entry.keys).copied().collect();
    let table = value.table(&keys)?;
    conditions::report_entity(entry, "action", text, entity, name);
    let gates = conditions::read(names, entity, &table, IF);
    let reader = ActionReader {
        names,
        entity,
        table,
        alias: text,
    };
    let action = reader.read(entry.name);
    Some(DraftAction {
        at: value.at,
        guarded: GuardedAction {
            conditions: gates?,
            action: action?,
        },
    })
}

struct ActionReader<'n, 't> {
    names: &'n FileNames<'t>,
    entity: Entity,
    table: TomlTable<'t>,
    /// The name as it stands in the file.
    alias: &'t str,
}

impl ActionReader<'_, '_> {
    fn read(&self, name: &str) -> Option<LifecycleAction> {
        match name {
            "update_order_state" => self.update(Entity::Order),
            "update_line_items_state" => self.update(Entity::LineItem),
            "update_fulfillments_state" => self.update(Entity::Fulfillment),
            "update_refunds_state" => self.update(Entity::Refund),
            "update_reserved_stock" => self.stock(),
            "create_payment_execution" => self.payment(),
            "cancel_payment_operations" => Some(LifecycleAction::CancelPayments),
            "link_to_fulfillment" => self.link(),
            "remove_from_fulfillment" => Some(LifecycleAction::Unlink {
                remove_if_empty: self.flag("remove_if_empty")?,
            }),
            "launch" => self.launch(),
            "delete_shipment" => Some(LifecycleAction::DeleteShipment {
                database_only: self.flag("database_only")?,
            }),
            "set_expiration_date" => self.timer(),
            "clear_expiration_date" => {
                let name = self.required("name")?.text()?;
                Some(LifecycleAction::ClearTimer(name.into()))
            }
            "send_change_state_notification" => self.delayed_change(),
            "send_notification" => self.notification(),
            "send_alert" => self.alert(),
            "set_information" => {
                let key = self.required("key").and_then(|value| value.text());
                let value = self
                    .required("value")
                    .and_then(|value| values::info(&value));
                Some(LifecycleAction::SetInformation(key?.into(), value?))
            }
            "remove_reason" => Some(LifecycleAction::RemoveReason),
            "assign_destination" => {
                let to = values::word(&self.required("to")?, DESTINATIONS)?;
                Some(LifecycleAction::AssignDestination(to))
            }
            "erase_personal_data" => Some(LifecycleAction::ErasePersonalData),
            _ => None,
        }
    }

    fn required(&self, key: &str) -> Option<TomlValue<'_>> {
        self.table.required(key)
    }

    /// Whether a switch is on; off where it is absent.
    fn flag(&self, key: &str) -> Option<bool> {
        match self.table.get(key) {
            Some(value) => value.boolean(),
            None => Some(false),
        }
    }

    /// Whether the action is not one that takes back another.
    fn is_enabled(&self) -> Option<bool> {
        match self.table.get("enable") {
            Some(value) => value.boolean(),
            None => Some(true),
        }
    }

    fn update(&self, entity: Entity) -> Option<LifecycleAction> {
        let state = |key| match self.table.get(key) {
            Some(value) => self.names.state(entity, &value).map(Some),
            None => Some(None),
        };
        // OneStock's `change_lines_with_same_item_state` has the target under `to`.
        let (to, other_to) = (state("state"), state("to"));
        let from = match self.table.get("from") {
            Some(value) => self.names.states(entity, &value).map(Some),
            None => Some(None),
        };
        let scope = match self.table.get("scope") {
            Some(value) => values::word(&value, UPDATE_SCOPES),
            None => Some(self.usual_scope()),
        };
        Some(LifecycleAction::Update(UpdateRule {
            entity,
            to: to?.or(other_to?),
            from: from?,
            scope: scope?,
        }))
    }

    /// The scope that the name itself means.
    fn usual_scope(&self) -> UpdateScope {
        match self.alias {
            "change_all_line_item_groups_in_same_parcel_state" => UpdateScope::Fulfillment,
            "change_lines_with_same_item_state" => UpdateScope::SameService,
            _ => UpdateScope::Own,
        }
    }

    fn stock(&self) -> Option<LifecycleAction> {
        // OneStock has a name of its own for giving back.
        let is_taken = match self.table.get("creation") {
            None if self.alias == "unconsume_capacity" => Some(false),
            _ => self.required("creation")?.boolean(),
        };
        Some(if is_taken? {
            LifecycleAction::KeepSpots
        } else {
            LifecycleAction::ReleaseSpots
        })
    }

    fn payment(&self) -> Option<LifecycleAction> {
        const MOVES: Words<bool> = &[("capture", false), ("refund", true)];
        let is_refund = self.required("type");
        let is_refund = is_refund.and_then(|value| values::word(&value, MOVES));
        let scope = match self.table.get("scope") {
            Some(value) => values::word(&value, REFUND_SCOPES),
            None => Some(RefundScope::All),
        };
        let percent = match self.table.get("percent") {
            Some(value) => percent(&value),
            None => Some(PercentRule::Fixed(Percent::FULL)),
        };
        let (is_refund, scope, percent) = (is_refund?, scope?, percent?);
        if !is_refund {
            for key in ["scope", "percent"] {
                if let Some(value) = self.table.get(key) {
                    let text = format!("`{key}` is one of refunds and not of captures");
                    value.at.error("contradiction", text);
                }
            }
            return Some(LifecycleAction::Pay(PaymentMove::Capture));
        }
        Some(LifecycleAction::Pay(PaymentMove::Refund { scope, percent }))
    }

    fn link(&self) -> Option<LifecycleAction> {
        let by = match self.table.get("by") {
            Some(value) => values::word(&value, LINKS),
            None => Some(LinkBy::Order),
        };
        let reuse = self.table.get("reuse_states");
        let reuse = match reuse.or_else(|| self.table.get("modifiable_parcel_states")) {
            Some(value) => self.names.states(Entity::Fulfillment, &value),
            None => Some(StateSet::default()),
        };
        Some(LifecycleAction::Link {
            by: by?,
            reuse: reuse?,
        })
    }

    fn launch(&self) -> Option<LifecycleAction> {
        let step = self.table.required("step");
        let step = step.and_then(|value| self.names.step(self.entity, &value));
        let at = match self.table.get("at") {
            Some(value) => launch_time(&value),
            None => Some(LaunchTime::Now),
        };
        Some(LifecycleAction::Launch {
            step: step?,
            at: at?,
        })
    }

    fn timer(&self) -> Option<LifecycleAction> {
        let name = self.required("name").and_then(|value| value.text());
        let to = self.table.required("to");
        let to = to.and_then(|value| self.names.state(self.entity, &value));
        let due = self.due();
        let length = |key| match self.table.get(key) {
            Some(value) => values::duration(&value).map(Some),
            None => Some(None),
        };
        let (limit, at_least) = (length("not_after_start_minus"), length("at_least"));
        Some(LifecycleAction::SetTimer(TimerRule {
            name: name?.into(),
            due: due?,
            not_after_start_minus: limit?,
            at_least: at_least?,
            to: to?,
        }))
    }

    fn due(&self) -> Option<TimerDue> {
        let keys = ["expire_in", "before_start", "after_end"];
        let given: Vec<_> = keys
            .iter()
            .filter_map(|key| Some((*key, self.table.get(key)?)))
            .collect();
        let [(key, value)] = given.as_slice() else {
            let text = format!("expected one of {}", keys.join(", "));
            self.table.at.error("contradiction", text);
            return None;
        };
        let length = values::duration(value)?;
        Some(match *key {
            "expire_in" => TimerDue::In(length),
            "before_start" => TimerDue::BeforeStart(length),
            _ => TimerDue::AfterEnd(length),
        })
    }

    /// A timer whose name is that of its target.
    fn delayed_change(&self) -> Option<LifecycleAction> {
        let to = self.table.required("to")?;
        let (state, name) = (self.names.state(self.entity, &to), to.text());
        if !self.is_enabled()? {
            return Some(LifecycleAction::ClearTimer(name?.into()));
        }
        let length = values::duration(&self.required("in")?);
        Some(LifecycleAction::SetTimer(TimerRule {
            name: name?.into(),
            due: TimerDue::In(length?),
            not_after_start_minus: None,
            at_least: None,
            to: state?,
        }))
    }

    fn notification(&self) -> Option<LifecycleAction> {
        let name = either(&self.table, "name", "notification_name");
        let event = name.and_then(|value| self.names.event(&value));
        let params = match self.table.get("params") {
            Some(value) => value.members(),
            None => Some(Vec::new()),
        };
        let params: Vec<_> = params?
            .into_iter()
            .map(|(key, value)| Some((key.into(), values::info(&value)?)))
            .collect();
        let params: Vec<_> = params.into_iter().collect::<Option<_>>()?;
        let event = event?;
        if !self.is_enabled()? {
            return Some(LifecycleAction::DropEvent(event));
        }
        let params = (!params.is_empty()).then(|| params.into());
        Some(LifecycleAction::Emit { event, params })
    }

    fn alert(&self) -> Option<LifecycleAction> {
        let name = self.required("name").and_then(|value| value.text());
        let level = |key| match self.table.get(key) {
            Some(value) => value.integer(0..=u32::MAX).map(Some),
            None => Some(None),
        };
        let (set, raise) = (level("set")?, level("incr")?);
        let change = match (self.is_enabled()?, set, raise) {
            (false, ..) => AlertChange::Clear,
            (true, Some(level), None) => AlertChange::Set(level),
            (true, None, Some(by)) => AlertChange::Raise(by),
            (true, None, None) => AlertChange::Set(1),
            (true, Some(_), Some(_)) => {
                let text = "expected either `set` or `incr`";
                self.table.at.error("contradiction", text);
                return None;
            }
        };
        Some(LifecycleAction::Alert(name?.into(), change))
    }
}

/// A whole number of per cent, or `policy`.
fn percent(value: &TomlValue<'_>) -> Option<PercentRule> {
    if value.is_text() {
        const POLICY: Words<PercentRule> = &[("policy", PercentRule::Policy)];
        return values::word(value, POLICY);
    }
    let percent = value.integer(0..=Percent::FULL.get())?;
    Percent::new(percent).map(PercentRule::Fixed)
}

fn launch_time(value: &TomlValue<'_>) -> Option<LaunchTime> {
    match value.text()? {
        "now" => Some(LaunchTime::Now),
        "before_authorization_ends" => Some(LaunchTime::BeforeAuthorizationEnds),
        _ => values::duration(value).map(LaunchTime::After),
    }
}
