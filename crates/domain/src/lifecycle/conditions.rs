//! Whether a condition holds.

use super::{
    Condition, Entity, InfoValue, ItemFacts, ItemScope, Name, OrderPart, StateSet, run::Run,
};
use crate::time::{EpochSeconds, Seconds};

/// What stands before the id of a question in the name of an information.
const INTAKE: &str = "intake.";

impl Run<'_> {
    /// Whether a condition holds for a part.
    pub(super) fn holds(&self, part: OrderPart, condition: &Condition) -> bool {
        let tree = &self.tree;
        match condition {
            Condition::OrderIn(states) => states.contains(tree.state),
            Condition::AllItemsIn(states, scope) => {
                let mut items = self.items_in(part, *scope).into_iter();
                items.all(|item| self.is_in(item, *states))
            }
            Condition::OneItemIn(states, scope) => {
                let mut items = self.items_in(part, *scope).into_iter();
                items.any(|item| self.is_in(item, *states))
            }
            Condition::ItemsInFulfillments(states) => tree
                .items
                .iter()
                .filter(|item| states.is_none_or(|states| states.contains(item.state)))
                .all(|item| item.fulfillment.is_some()),
            Condition::AllFulfillmentsIn { states, if_exists } => {
                let all = tree.all_fulfillments();
                if all.is_empty() {
                    return *if_exists;
                }
                all.into_iter().all(|it| self.is_in(it, *states))
            }
            Condition::OneFulfillmentIn(states) => {
                let mut all = tree.all_fulfillments().into_iter();
                all.any(|it| self.is_in(it, *states))
            }
            Condition::FulfillmentsHaveShipment => self.have_shipment(part),
            Condition::PaymentIn(statuses) => tree.ledger.is_in(statuses),
            Condition::PaidByIn(values) => values.contains(&tree.ledger.paid_by()),
            Condition::HoldsSpots => tree.is_held(part),
            Condition::EventSent(event) => tree.emitted.contains(*event),
            Condition::ReasonIn(reasons) => {
                tree.reason.as_ref().is_some_and(|it| reasons.contains(it))
            }
            // One that was launched again has no outcome yet.
            Condition::StepEnded(kind, result) => {
                let is_open = tree.open_step(part, kind).is_some();
                !is_open && tree.last_result(part, kind) == Some(*result)
            }
            Condition::InformationIn { key, values } => self.information_is(part, key, values),
            Condition::Not(all) => !all.iter().all(|it| self.holds(part, it)),
            Condition::AnyOf(lists) => lists
                .iter()
                .any(|all| all.iter().all(|it| self.holds(part, it))),
            Condition::DeliveryIn(types) => types.contains(&self.facts.delivery),
            Condition::ChannelIn(channels) => {
                let mut channels = channels.iter();
                channels.any(|it| it.as_str() == self.facts.channel)
            }
            Condition::MerchantIn(merchants) => {
                let mut merchants = merchants.iter();
                merchants.any(|it| *self.facts.merchant == it.as_str())
            }
            Condition::InStock => {
                let item = self.facts.items.get(usize::from(part.index));
                item.is_some_and(|item| item.spots_open >= item.spots)
            }
            Condition::ConfirmationIn(modes) => {
                let item = self.facts.items.get(usize::from(part.index));
                item.is_some_and(|item| modes.contains(&item.confirmation))
            }
            Condition::StartsWithin(length) => {
                let start = self.earliest_start(part);
                start.is_some_and(|start| start.since(self.facts.now) <= *length)
            }
        }
    }

    fn is_in(&self, part: OrderPart, states: StateSet) -> bool {
        let state = self.tree.state_of(part);
        state.is_some_and(|state| states.contains(state))
    }

    fn items_in(&self, part: OrderPart, scope: ItemScope) -> super::targets::Parts {
        match scope {
            ItemScope::Own => self.tree.items_of(part),
            ItemScope::All => self.tree.all_items(),
        }
    }

    fn have_shipment(&self, part: OrderPart) -> bool {
        let fulfillments = self.tree.fulfillments_of(part);
        let has_one = |it: &OrderPart| {
            let found = self.tree.fulfillments.get(usize::from(it.index));
            found.is_some_and(|found| found.shipment.is_some())
        };
        // Without any there is no delivery to go on with.
        !fulfillments.is_empty() && fulfillments.iter().all(has_one)
    }

    /// Typed equality; what is missing equals nothing.
    fn information_is(&self, part: OrderPart, key: &Name, values: &[InfoValue]) -> bool {
        let Some(question) = key.as_str().strip_prefix(INTAKE) else {
            let known = self.tree.information.get(key);
            return known.is_some_and(|known| values.contains(known));
        };
        for item in self.tree.items_of(part) {
            let Some(facts) = self.facts.items.get(usize::from(item.index)) else {
                continue;
            };
            let answers = facts.answers.iter();
            for answer in answers.filter(|it| it.question_id == question) {
                let mut given = answer.responses.iter();
                if given.any(|text| values.iter().any(|value| is_value(text, value))) {
                    return true;
                }
            }
        }
        false
    }

    /// The earliest start of what is left of a part's items, and of all where nothing is left.
    pub(super) fn earliest_start(&self, part: OrderPart) -> Option<EpochSeconds> {
        self.facts_of(part).iter().map(|item| item.start).min()
    }

    /// The earliest start of those of a part's items that stand and are still to come.
    pub(super) fn earliest_start_to_come(&self, part: OrderPart) -> Option<EpochSeconds> {
        let mut earliest: Option<EpochSeconds> = None;
        for item in self.items_near(part) {
            let stands = self.tree.is_held(item) && !self.withdrawn.contains(&item.index);
            if stands && let Some(start) = self.start_to_come(item) {
                earliest = Some(earliest.map_or(start, |known| known.min(start)));
            }
        }
        earliest
    }

    /// The start of an item, if that is still to come.
    pub(super) fn start_to_come(&self, item: OrderPart) -> Option<EpochSeconds> {
        let facts = self.facts.items.get(usize::from(item.index))?;
        (facts.start > self.facts.now).then_some(facts.start)
    }

    /// The latest end of what is left of a part's items, and of all where nothing is left.
    pub(super) fn latest_end(&self, part: OrderPart) -> Option<EpochSeconds> {
        self.facts_of(part).iter().map(|item| item.end).max()
    }

    /// The items whose times are those of a part: its own, and all for a refund.
    fn items_near(&self, part: OrderPart) -> super::targets::Parts {
        match part.entity {
            Entity::Order | Entity::LineItem | Entity::Fulfillment => self.tree.items_of(part),
            Entity::Refund => self.tree.all_items(),
        }
    }

    fn facts_of(&self, part: OrderPart) -> Vec<&ItemFacts<'_>> {
        let own = self.items_near(part);
        let is_any_left = own.iter().any(|item| self.tree.is_held(*item));
        own.into_iter()
            .filter(|item| !is_any_left || self.tree.is_held(*item))
            .filter_map(|item| self.facts.items.get(usize::from(item.index)))
            .collect()
    }

    /// The moment that long from now, within the bounds of time.
    pub(super) fn after(&self, length: Seconds) -> EpochSeconds {
        self.facts.now.saturating_add(length)
    }
}

/// Whether a text of a customer is that value. Fractions are cut.
fn is_value(text: &str, value: &InfoValue) -> bool {
    match value {
        InfoValue::Text(name) => text == name.as_str(),
        InfoValue::Flag(flag) => text.parse() == Ok(*flag),
        InfoValue::Integer(number) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let is_fraction = fraction.bytes().all(|digit| digit.is_ascii_digit());
            is_fraction && whole.parse() == Ok(*number)
        }
    }
}
