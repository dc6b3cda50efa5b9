//! Orders after their sale, as `docs/lifecycle.md` has the default lifecycle: states of an order, of its items and of its
//! refunds, what moves them, and whose spots and money that gives back.

use boxoffice::api::booking::proto::v3::{
    BookingStatus, LineItem, Order, PrepaymentStatus, payment_information::PaymentProcessedBy,
};

use super::{
    changes::ModelRun,
    fixture::{HANDLING, SURCHARGE, SlotName},
    reference::{ReferenceModel, Spots},
    refunds::{BilledItem, ModelPayment},
    rules::Rule,
    verdict::{line_slot, spots_of},
};

/// The states by their first names.
pub(super) mod state {
    pub(in super::super) const PROCESSING: &str = "processing";
    pub(in super::super) const WAITING: &str = "customer_action_required";
    pub(in super::super) const TIMED_OUT: &str = "timed_out";
    pub(in super::super) const CONFIRMED: &str = "confirmed";
    pub(in super::super) const FULFILLED: &str = "fulfilled";
    pub(in super::super) const PENDING: &str = "pending_confirmation";
    pub(in super::super) const DECLINED: &str = "declined";
    pub(in super::super) const UNAVAILABLE: &str = "unavailable";
    /// Of orders and of items.
    pub(in super::super) const CANCELLED: &str = "cancelled";
    pub(in super::super) const NO_SHOW: &str = "no_show";
    pub(in super::super) const REQUESTED: &str = "requested";
    pub(in super::super) const DONE: &str = "done";
    pub(in super::super) const FAILED: &str = "failed";
}
use state::{
    CONFIRMED, DECLINED, FAILED, FULFILLED, NO_SHOW, PENDING, PROCESSING, REQUESTED, TIMED_OUT,
    UNAVAILABLE, WAITING,
};

const HOUR: i64 = 3600;
/// How long a merchant has to confirm an item, and how long before its start that has to be done.
const CONFIRM_SEC: i64 = 24 * HOUR;
const CONFIRM_BEFORE_SEC: i64 = HOUR / 4;

/// The reason of a rejection.
pub(super) type ModelRejection = &'static str;

/// States that publications give other names, with their entity. `processing` and `cancelled` every lifecycle has.
pub(super) const RENAMED: [(&str, &str); 7] = [
    ("order", WAITING),
    ("order", TIMED_OUT),
    ("line_item", CONFIRMED),
    ("line_item", FULFILLED),
    ("line_item", PENDING),
    ("line_item", UNAVAILABLE),
    ("line_item", NO_SHOW),
];

/// The names of the states of [`RENAMED`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StateNames {
    pub(super) in_force: [String; RENAMED.len()],
    /// Names that a lifecycle had and no later one has, with their states. No order is in one of them.
    pub(super) dropped: Vec<(String, usize)>,
}

impl StateNames {
    pub(super) fn first() -> Self {
        Self {
            in_force: RENAMED.map(|(_, state)| state.to_owned()),
            dropped: Vec::new(),
        }
    }

    /// The name in force of a state of any entity.
    pub(super) fn in_force<'a>(&'a self, state: &'a str) -> &'a str {
        let at = RENAMED.iter().position(|(_, known)| *known == state);
        at.map_or(state, |at| &self.in_force[at])
    }

    /// The first name of a state by its name in force.
    pub(super) fn first_of(&self, name: &str) -> String {
        match self.in_force.iter().position(|known| known == name) {
            Some(at) => RENAMED[at].1.to_owned(),
            // The first name of one that has another now is none of the lifecycle in force.
            None if RENAMED.iter().any(|(_, state)| *state == name) => format!("{name}, of old"),
            None => name.to_owned(),
        }
    }

    /// The same of a state in an earlier answer, which may have the last name that it had.
    pub(super) fn first_of_any(&self, name: &str) -> String {
        let mut dropped = self.dropped.iter();
        match dropped.find(|(known, _)| known == name) {
            Some((_, at)) if !self.in_force.iter().any(|known| known == name) => {
                RENAMED[*at].1.to_owned()
            }
            _ => self.first_of(name),
        }
    }
}

/// An item of an order.
#[derive(Debug, Clone)]
pub(super) struct SoldItem {
    pub(super) state: &'static str,
    /// Whether it has its spots.
    pub(super) holds: bool,
    pub(super) slot: SlotName,
    pub(super) spots: Vec<Spots>,
    /// Until when its merchant may confirm it.
    pub(super) confirm_by: Option<i64>,
}

/// An order, as it was sold and as it stands.
#[derive(Debug, Clone)]
pub(super) struct ModelOrder {
    pub(super) token: String,
    /// As it was answered first.
    pub(super) first: Order,
    pub(super) state: &'static str,
    pub(super) items: Vec<SoldItem>,
    /// If this server has charged for it.
    pub(super) payment: Option<ModelPayment>,
    /// Whether the last cancellation or withdrawal was the customer's doing.
    pub(super) by_customer: Option<bool>,
    /// Until when its customer may decide.
    pub(super) answer_by: Option<i64>,
    /// Changes since the sale.
    pub(super) updates: u32,
    /// An etag, and the number of changes by then.
    pub(super) etag: Option<(u32, String)>,
}

/// How much is to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelRefund {
    Policy,
    Full,
    Nothing,
    /// In micros.
    Amount(i64),
}

/// What becomes of withdrawn spots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelSpots {
    ForSale,
    OffSale,
}

/// A decision of a customer or a merchant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelDecision {
    /// Amend, or confirm.
    Keep,
    /// Cancel, or decline.
    Drop,
}

/// A part of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelPart {
    Order,
    Item(usize),
    Refund(usize),
}

/// What somebody asks for of an order. No items stand for all that are left.
#[derive(Debug, Clone)]
pub(super) enum ModelChange {
    Cancel(Vec<usize>, ModelRefund),
    Refund(Vec<usize>, ModelRefund),
    Withdraw(Vec<usize>, ModelSpots),
    Customer(ModelDecision),
    NoShow(Vec<usize>),
    Merchant(Vec<usize>, ModelDecision),
    /// From one state, if that is said, to another.
    State(ModelPart, Option<&'static str>, &'static str),
    Note,
}

/// An order as it would stand, and the spots that are for sale again.
pub(super) struct DecidedChange {
    pub(super) order: ModelOrder,
    pub(super) released: Vec<Spots>,
    pub(super) spots: ModelSpots,
}

impl ModelOrder {
    /// The answer to a repetition of the request that led to it.
    pub(super) fn replay(&self, model: &ReferenceModel) -> Order {
        if model.keeps(Rule::ReplaysAreTheFirstAnswer) {
            self.first.clone()
        } else {
            self.present()
        }
    }

    /// The order as lists show it.
    pub(super) fn listed(&self, model: &ReferenceModel) -> Order {
        if model.keeps(Rule::ListsShowThePresent) {
            self.present()
        } else {
            self.first.clone()
        }
    }

    fn present(&self) -> Order {
        let mut order = self.first.clone();
        for (item, sold) in order.item.iter_mut().zip(&self.items) {
            item.status = sold.status().into();
        }
        let is_refunded = self.payment.as_ref().is_some_and(ModelPayment::is_refunded);
        if let Some(payment) = &mut order.payment_information
            && is_refunded
        {
            payment.prepayment_status = PrepaymentStatus::PrepaymentRefunded.into();
        }
        order
    }

    pub(super) fn held(&self) -> Vec<usize> {
        let all = 0..self.items.len();
        all.filter(|at| self.items[*at].holds).collect()
    }

    /// That decision, if it waits for one; a withdrawal of the first of several items; or another attempt at a refund that
    /// has failed.
    pub(super) fn awaited(&self, decision: ModelDecision) -> Option<ModelChange> {
        if self.state == WAITING {
            return Some(ModelChange::Customer(decision));
        }
        if self.items.iter().any(|item| item.state == PENDING) {
            return Some(ModelChange::Merchant(Vec::new(), decision));
        }
        if let [first, _, ..] = self.held()[..]
            && decision == ModelDecision::Drop
        {
            return Some(ModelChange::Withdraw(vec![first], ModelSpots::ForSale));
        }
        let refunds = &self.payment.as_ref()?.refunds;
        let failed = refunds.iter().position(|refund| refund.state == FAILED)?;
        let part = ModelPart::Refund(failed);
        Some(ModelChange::State(part, Some(FAILED), REQUESTED))
    }

    /// What happens by itself: the part, when, and the state that it leads to.
    pub(super) fn timers(&self) -> Vec<(ModelPart, i64, &'static str)> {
        let customer = self.answer_by.map(|due| (ModelPart::Order, due, TIMED_OUT));
        let items = self.items.iter().enumerate();
        let merchant = items.filter_map(|(at, item)| Some((at, item.confirm_by?)));
        let merchant = merchant.map(|(at, due)| (ModelPart::Item(at), due, DECLINED));
        customer.into_iter().chain(merchant).collect()
    }

    /// The states that it, its items and its timers have, with their entity.
    pub(super) fn states(&self) -> Vec<(&'static str, &'static str)> {
        let mut states = vec![("order", self.state)];
        states.extend(self.items.iter().map(|item| ("line_item", item.state)));
        for (part, _, to) in self.timers() {
            let is_order = part == ModelPart::Order;
            states.push((if is_order { "order" } else { "line_item" }, to));
        }
        states
    }
}

impl SoldItem {
    pub(super) fn status(&self) -> BookingStatus {
        match self.state {
            CONFIRMED | FULFILLED => BookingStatus::Confirmed,
            PENDING => BookingStatus::PendingMerchantConfirmation,
            DECLINED => BookingStatus::DeclinedByMerchant,
            NO_SHOW => BookingStatus::NoShow,
            _ => BookingStatus::Canceled,
        }
    }
}

impl ReferenceModel {
    /// An order right after its sale.
    pub(super) fn sold_order(&self, token: &str, first: Order) -> ModelOrder {
        let items: Vec<SoldItem> = first.item.iter().map(|line| self.sold_item(line)).collect();
        let processed_by = first.payment_information.as_ref();
        let is_charged = processed_by
            .is_some_and(|it| it.payment_processed_by() == PaymentProcessedBy::ProcessedByPartner);
        ModelOrder {
            token: token.into(),
            state: PROCESSING,
            items,
            payment: is_charged.then(|| self.payment(token, &first)),
            by_customer: None,
            answer_by: None,
            updates: 0,
            etag: None,
            first,
        }
    }

    fn sold_item(&self, line: &LineItem) -> SoldItem {
        let slot = line_slot(line);
        let is_pending = self.catalogue.is_confirmed_later(&slot);
        let latest = slot.1 - CONFIRM_BEFORE_SEC;
        SoldItem {
            state: if is_pending { PENDING } else { CONFIRMED },
            holds: true,
            spots: spots_of(line),
            confirm_by: is_pending.then(|| (self.now + CONFIRM_SEC).min(latest).max(self.now)),
            slot,
        }
    }

    fn payment(&self, token: &str, order: &Order) -> ModelPayment {
        let items: Vec<BilledItem> = order.item.iter().map(|line| self.billed(line)).collect();
        let has_tour = order.item.iter().any(|line| line.service_id == "tour");
        let order_fees = HANDLING + if has_tour { SURCHARGE } else { 0 };
        ModelPayment {
            captured: items
                .iter()
                .map(|it| it.price + it.tax + it.fees)
                .sum::<i64>()
                + order_fees,
            items,
            order_fees,
            refunds: Vec::new(),
            is_closed: self.closed_cards.contains(token),
            has_alert: false,
        }
    }

    /// The order after a change, if it may be made.
    pub(super) fn decide(
        &self,
        at: usize,
        change: &ModelChange,
    ) -> Result<DecidedChange, ModelRejection> {
        let mut run = ModelRun::of(self, at);
        run.change(change)?;
        run.order.updates += 1;
        let spots = if let ModelChange::Withdraw(_, spots) = change {
            *spots
        } else {
            ModelSpots::ForSale
        };
        Ok(DecidedChange {
            order: run.order,
            released: run.released,
            spots,
        })
    }

    /// Makes a change.
    pub(super) fn commit(&mut self, at: usize, decided: DecidedChange) {
        let DecidedChange {
            order,
            released,
            spots,
        } = decided;
        self.orders[at] = order;
        if spots == ModelSpots::OffSale {
            self.keep_off_sale(&released);
        }
        if self.keeps(Rule::CancelledSpotsAreForSale) {
            let given_back = |spots: Spots| Spots {
                count: -spots.count,
                ..spots
            };
            self.sold.extend(released.into_iter().map(given_back));
        }
    }

    /// Does what is due by now: timers, and refunds at the gateway. Gives the orders that have changed.
    pub(super) fn happen(&mut self) -> Vec<usize> {
        let mut changed = Vec::new();
        for at in 0..self.orders.len() {
            let before = self.orders[at].updates;
            while let Some((part, to)) = self.due(at) {
                let mut run = ModelRun::of(self, at);
                run.fire(part, to);
                run.order.updates += 1;
                let decided = DecidedChange {
                    order: run.order,
                    released: run.released,
                    spots: ModelSpots::ForSale,
                };
                self.commit(at, decided);
            }
            let order = &mut self.orders[at];
            if let Some(payment) = &mut order.payment {
                order.updates += payment.settle();
            }
            if order.updates > before {
                changed.push(at);
            }
        }
        changed
    }

    /// The next timer of an order that is due.
    fn due(&self, at: usize) -> Option<(ModelPart, &'static str)> {
        let timers = self.orders[at].timers().into_iter();
        let due = timers.filter(|(part, due, _)| {
            *due <= self.now && (*part != ModelPart::Order || self.keeps(Rule::CustomersTimeOut))
        });
        let (part, _, to) = due.min_by_key(|(_, due, _)| *due)?;
        Some((part, to))
    }
}
