//! Conditions and actions as they would stand in a file, for people.

use domain::{
    ledger::LedgerFault,
    lifecycle::{
        AlertChange, Condition, Definition, Destination, Entity, EventIx, GuardedAction, InfoValue,
        Invariant, ItemScope, LaunchTime, LifecycleAction, LinkBy, Name, OrderPart, PaymentMove,
        PercentRule, RefundScope, Refused, StateIx, StateSet, StepResult, TimerDue, TimerRule,
        UpdateRule, UpdateScope,
    },
};

use super::{
    names::step_name,
    values::{
        CONFIRMATION_MODES, DELIVERY_TYPES, PAYERS, PAYMENT_STATUSES, duration_text, word_of,
    },
};

/// The words of a definition.
#[derive(Clone, Copy)]
pub(crate) struct Describer<'d>(pub(crate) &'d Definition);

impl Describer<'_> {
    pub(crate) fn state(self, entity: Entity, state: StateIx) -> String {
        let name = self.0.state_name(entity, state);
        name.map_or_else(|| state.index().to_string(), Name::to_string)
    }

    pub(crate) fn states(self, entity: Entity, states: StateSet) -> String {
        let names: Vec<String> = states.iter().map(|it| self.state(entity, it)).collect();
        names.join(", ")
    }

    fn event(self, event: EventIx) -> String {
        let name = self.0.events.get(event.index());
        name.map_or_else(String::new, Name::to_string)
    }

    /// Conditions that all have to hold.
    pub(crate) fn all(self, conditions: &[Condition]) -> String {
        let words: Vec<String> = conditions.iter().map(|it| self.condition(it)).collect();
        words.join(" and ")
    }

    fn condition(self, condition: &Condition) -> String {
        let items = |states| self.states(Entity::LineItem, states);
        let fulfillments = |states| self.states(Entity::Fulfillment, states);
        match condition {
            Condition::OrderIn(states) => {
                format!("order_in_states({})", self.states(Entity::Order, *states))
            }
            Condition::AllItemsIn(states, scope) => {
                format!(
                    "all_line_items_in_states({}{})",
                    items(*states),
                    of_items(*scope)
                )
            }
            Condition::OneItemIn(states, scope) => {
                format!(
                    "one_line_item_in_states({}{})",
                    items(*states),
                    of_items(*scope)
                )
            }
            Condition::ItemsInFulfillments(states) => {
                let states = states.map(items).unwrap_or_default();
                format!("all_line_items_in_fulfillments({states})")
            }
            Condition::AllFulfillmentsIn { states, if_exists } => {
                let none = if *if_exists { "; or none" } else { "" };
                format!(
                    "all_fulfillments_in_states({}{none})",
                    fulfillments(*states)
                )
            }
            Condition::OneFulfillmentIn(states) => {
                format!("one_fulfillment_in_states({})", fulfillments(*states))
            }
            Condition::FulfillmentsHaveShipment => "fulfillments_have_shipment".to_owned(),
            Condition::HoldsSpots => "holds_spots".to_owned(),
            Condition::InStock => "in_stock".to_owned(),
            Condition::EventSent(event) => format!("event_sent({})", self.event(*event)),
            Condition::Not(all) => format!("not ({})", self.all(all)),
            Condition::AnyOf(lists) => {
                let lists: Vec<String> = lists.iter().map(|all| self.all(all)).collect();
                format!("({})", lists.join(" or "))
            }
            Condition::PaymentIn(_)
            | Condition::DeliveryIn(_)
            | Condition::ConfirmationIn(_)
            | Condition::PaidByIn(_)
            | Condition::ChannelIn(_)
            | Condition::MerchantIn(_)
            | Condition::InformationIn { .. }
            | Condition::ReasonIn(_)
            | Condition::StepEnded(..)
            | Condition::StartsWithin(_) => plain_condition(condition),
        }
    }

    /// An action with its conditions.
    pub(crate) fn guarded(self, entity: Entity, guarded: &GuardedAction) -> String {
        let action = self.action(entity, &guarded.action);
        if guarded.conditions.is_empty() {
            action
        } else {
            format!("{action} if {}", self.all(&guarded.conditions))
        }
    }

    fn action(self, entity: Entity, action: &LifecycleAction) -> String {
        let name = action_name(action);
        let arguments = match action {
            LifecycleAction::Update(update) => self.update(update),
            LifecycleAction::KeepSpots => "take".to_owned(),
            LifecycleAction::ReleaseSpots => "give back".to_owned(),
            LifecycleAction::Pay(direction) => payment(*direction),
            LifecycleAction::Link { by, reuse } => {
                let reuse = self.states(Entity::Fulfillment, *reuse);
                let reuse = if reuse.is_empty() {
                    reuse
                } else {
                    format!("; or one in {reuse}")
                };
                format!("by {}{reuse}", link_word(*by))
            }
            LifecycleAction::Unlink { remove_if_empty } => {
                flag(*remove_if_empty, "remove if empty")
            }
            LifecycleAction::Launch { step, at } => {
                format!("{}{}", step_name(step), launch_word(*at))
            }
            LifecycleAction::DeleteShipment { database_only } => {
                flag(*database_only, "database only")
            }
            LifecycleAction::SetTimer(rule) => self.timer(entity, rule),
            LifecycleAction::ClearTimer(name)
            | LifecycleAction::Alert(name, AlertChange::Set(1)) => name.to_string(),
            LifecycleAction::Emit { event, .. } => self.event(*event),
            LifecycleAction::DropEvent(event) => format!("{}; drop", self.event(*event)),
            LifecycleAction::Alert(name, change) => format!("{name}; {}", alert_word(*change)),
            LifecycleAction::SetInformation(key, value) => format!("{key} = {}", info(value)),
            LifecycleAction::AssignDestination(to) => match to {
                Destination::Order => "order_destination".to_owned(),
                Destination::Email => "email".to_owned(),
                Destination::Address => "address".to_owned(),
            },
            LifecycleAction::CancelPayments
            | LifecycleAction::RemoveReason
            | LifecycleAction::ErasePersonalData => String::new(),
        };
        if arguments.is_empty() {
            name.to_owned()
        } else {
            format!("{name}({arguments})")
        }
    }

    fn update(self, update: &UpdateRule) -> String {
        let to = match update.to {
            Some(to) => self.state(update.entity, to),
            None => "automatic".to_owned(),
        };
        let from = match update.from {
            Some(from) => format!("; from {}", self.states(update.entity, from)),
            None => String::new(),
        };
        let scope = match update.scope {
            UpdateScope::Own => "",
            UpdateScope::All => "; all of the order",
            UpdateScope::Fulfillment => "; of the same fulfillment",
            UpdateScope::SameService => "; of the same service",
            UpdateScope::ToCome => "; of the order and to come",
        };
        format!("{to}{from}{scope}")
    }

    fn timer(self, entity: Entity, rule: &TimerRule) -> String {
        let due = match rule.due {
            TimerDue::In(length) => format!("in {}", duration_text(length)),
            TimerDue::BeforeStart(length) => format!("{} before the start", duration_text(length)),
            TimerDue::AfterEnd(length) => format!("{} after the end", duration_text(length)),
        };
        let limit = match rule.not_after_start_minus {
            Some(length) => format!("; {} before the start at the latest", duration_text(length)),
            None => String::new(),
        };
        let least = match rule.at_least {
            Some(length) => format!("; in {} at the earliest", duration_text(length)),
            None => String::new(),
        };
        let to = self.state(entity, rule.to);
        format!("{}: {due} to {to}{limit}{least}", rule.name)
    }
}

/// Why a run changed nothing, in the words of its definition.
#[must_use]
pub fn explain(definition: &Definition, refused: &Refused) -> String {
    let words = Describer(definition);
    let state = |part: &OrderPart, state| words.state(part.entity, state);
    match refused {
        Refused::NoPart(part) => format!("there is no {}", part_name(*part)),
        Refused::Begun => "the order has begun already".to_owned(),
        Refused::NotInState { part, state: is } => {
            format!("{} is in state {:?}", part_name(*part), state(part, *is))
        }
        Refused::NoTransition {
            part,
            from,
            to,
            allowed,
        } => format!(
            "{} cannot go from {:?} to {:?}; possible are: {}",
            part_name(*part),
            state(part, *from),
            state(part, *to),
            words.states(part.entity, *allowed)
        ),
        Refused::Condition {
            part,
            to,
            condition,
        } => format!(
            "{} cannot go to {:?}: {} does not hold",
            part_name(*part),
            state(part, *to),
            words.condition(condition)
        ),
        Refused::Action { part, error } => format!("{}: {error}", part_name(*part)),
        Refused::TooDeep { transitions } => {
            format!("after {transitions} transitions there is no end in sight")
        }
        Refused::Invariant(broken) => invariant(*broken),
    }
}

/// A condition as definitions have it, such as `one_line_item_in_states(confirmed)`.
#[must_use]
pub fn condition(definition: &Definition, condition: &Condition) -> String {
    Describer(definition).condition(condition)
}

/// A part, numbered from 1 as in its id.
fn part_name(part: OrderPart) -> String {
    match part.entity {
        Entity::Order => "order".to_owned(),
        Entity::LineItem | Entity::Fulfillment | Entity::Refund => {
            format!("{} {}", part.entity.name(), u32::from(part.index) + 1)
        }
    }
}

fn invariant(broken: Invariant) -> String {
    let number = |index: u16| u32::from(index) + 1;
    match broken {
        Invariant::Money(LedgerFault::CapturedAboveDue) => {
            "more would be captured than is due".to_owned()
        }
        Invariant::Money(LedgerFault::RefundedAboveCaptured) => {
            "more would be given back than was captured".to_owned()
        }
        Invariant::LedgerShrank => "the ledger would lose entries".to_owned(),
        Invariant::Unpaid { fulfillment } => {
            format!("fulfillment {} would leave unpaid", number(fulfillment))
        }
        Invariant::ShipmentBackwards { fulfillment } => {
            format!(
                "the delivery of fulfillment {} would go backwards",
                number(fulfillment)
            )
        }
        Invariant::SpotsTwice { item } => {
            format!(
                "the spots of line_item {} would be given back twice",
                number(item)
            )
        }
    }
}

/// The name of an action in a file.
pub(crate) fn action_name(action: &LifecycleAction) -> &'static str {
    match action {
        LifecycleAction::Update(update) => match update.entity {
            Entity::Order => "update_order_state",
            Entity::LineItem => "update_line_items_state",
            Entity::Fulfillment => "update_fulfillments_state",
            Entity::Refund => "update_refunds_state",
        },
        LifecycleAction::KeepSpots | LifecycleAction::ReleaseSpots => "update_reserved_stock",
        LifecycleAction::Pay(_) => "create_payment_execution",
        LifecycleAction::CancelPayments => "cancel_payment_operations",
        LifecycleAction::Link { .. } => "link_to_fulfillment",
        LifecycleAction::Unlink { .. } => "remove_from_fulfillment",
        LifecycleAction::Launch { .. } => "launch",
        LifecycleAction::DeleteShipment { .. } => "delete_shipment",
        LifecycleAction::SetTimer(_) => "set_expiration_date",
        LifecycleAction::ClearTimer(_) => "clear_expiration_date",
        LifecycleAction::Emit { .. } | LifecycleAction::DropEvent(_) => "send_notification",
        LifecycleAction::Alert(..) => "send_alert",
        LifecycleAction::SetInformation(..) => "set_information",
        LifecycleAction::RemoveReason => "remove_reason",
        LifecycleAction::AssignDestination(_) => "assign_destination",
        LifecycleAction::ErasePersonalData => "erase_personal_data",
    }
}

/// A condition that names no state and no event.
fn plain_condition(condition: &Condition) -> String {
    let named = |words: Vec<&str>| words.join(", ");
    match condition {
        Condition::PaymentIn(all) => {
            let words = all.iter().map(|it| word_of(PAYMENT_STATUSES, it));
            format!("all_transactions_state_in({})", named(words.collect()))
        }
        Condition::DeliveryIn(all) => {
            let words = all.iter().map(|it| word_of(DELIVERY_TYPES, it));
            format!("delivery_type_is({})", named(words.collect()))
        }
        Condition::ConfirmationIn(all) => {
            let words = all.iter().map(|it| word_of(CONFIRMATION_MODES, it));
            format!("confirmation_mode_is({})", named(words.collect()))
        }
        Condition::PaidByIn(all) => {
            let words = all.iter().map(|it| word_of(PAYERS, it));
            format!("paid_by({})", named(words.collect()))
        }
        Condition::ChannelIn(names) => format!("sales_channel_in({})", joined(names)),
        Condition::MerchantIn(names) => format!("merchant_in({})", joined(names)),
        Condition::ReasonIn(names) => format!("reason_in({})", joined(names)),
        Condition::InformationIn { key, values } => {
            let values: Vec<String> = values.iter().map(info).collect();
            format!("information_in({key}: {})", values.join(", "))
        }
        Condition::StepEnded(kind, StepResult::Done) => format!("step_done({})", step_name(kind)),
        Condition::StepEnded(kind, StepResult::Failed) => {
            format!("step_failed({})", step_name(kind))
        }
        Condition::StartsWithin(length) if length.get() == 0 => "started".to_owned(),
        Condition::StartsWithin(length) => format!("starts_within({})", duration_text(*length)),
        Condition::OrderIn(_)
        | Condition::AllItemsIn(..)
        | Condition::OneItemIn(..)
        | Condition::ItemsInFulfillments(_)
        | Condition::AllFulfillmentsIn { .. }
        | Condition::OneFulfillmentIn(_)
        | Condition::FulfillmentsHaveShipment
        | Condition::HoldsSpots
        | Condition::InStock
        | Condition::EventSent(_)
        | Condition::Not(_)
        | Condition::AnyOf(_) => String::new(),
    }
}

fn joined(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}

fn of_items(scope: ItemScope) -> &'static str {
    match scope {
        ItemScope::Own => "",
        ItemScope::All => "; all of the order",
    }
}

fn flag(is_set: bool, word: &str) -> String {
    if is_set {
        word.to_owned()
    } else {
        String::new()
    }
}

fn payment(direction: PaymentMove) -> String {
    let PaymentMove::Refund { scope, percent } = direction else {
        return "capture".to_owned();
    };
    let scope = match scope {
        RefundScope::All => "all",
        RefundScope::Own => "own",
        RefundScope::CancelledItems => "cancelled_items",
        RefundScope::MovedItems => "moved_items",
    };
    match percent {
        PercentRule::Policy => format!("refund {scope} by policy"),
        PercentRule::Fixed(percent) => format!("refund {scope} at {}%", percent.get()),
    }
}

fn link_word(by: LinkBy) -> &'static str {
    match by {
        LinkBy::Order => "order",
        LinkBy::Service => "service",
        LinkBy::LineItem => "line_item",
    }
}

fn launch_word(at: LaunchTime) -> String {
    match at {
        LaunchTime::Now => String::new(),
        LaunchTime::BeforeAuthorizationEnds => " before the authorization ends".to_owned(),
        LaunchTime::After(length) => format!(" in {}", duration_text(length)),
    }
}

fn alert_word(change: AlertChange) -> String {
    match change {
        AlertChange::Set(level) => format!("level {level}"),
        AlertChange::Raise(by) => format!("up by {by}"),
        AlertChange::Clear => "end".to_owned(),
    }
}

fn info(value: &InfoValue) -> String {
    match value {
        InfoValue::Text(text) => format!("{text:?}"),
        InfoValue::Integer(number) => number.to_string(),
        InfoValue::Flag(flag) => flag.to_string(),
    }
}
