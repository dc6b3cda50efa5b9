//! Changes of the model's orders, transition by transition.

use boxoffice::api::booking::proto::v3::payment_information::PaymentProcessedBy;

use super::{
    after_sale::{
        ModelChange, ModelDecision, ModelOrder, ModelPart, ModelRefund, ModelRejection,
        state::{
            CANCELLED, CONFIRMED, DECLINED, FAILED, FULFILLED, NO_SHOW, PENDING, PROCESSING,
            REQUESTED, TIMED_OUT, UNAVAILABLE, WAITING,
        },
    },
    reference::{ReferenceModel, Spots},
    refunds::{ModelPayment, ModelShare},
    rules::Rule,
};

const HOUR: i64 = 3600;

/// How long a customer has to answer, and how long before the start the answer has to be there.
const ANSWER_SEC: i64 = 24 * HOUR;
const ANSWER_BEFORE_SEC: i64 = 2 * HOUR;
/// How long a customer has at least.
const ANSWER_LEAST_SEC: i64 = HOUR / 4;

/// A change in the making.
pub(super) struct ModelRun<'m> {
    model: &'m ReferenceModel,
    pub(super) order: ModelOrder,
    pub(super) released: Vec<Spots>,
    /// What the order gives back as a whole, in place of what the lifecycle says.
    share: Option<ModelShare>,
    /// The items that it withdraws.
    withdrawn: Vec<usize>,
}

impl<'m> ModelRun<'m> {
    pub(super) fn of(model: &'m ReferenceModel, at: usize) -> Self {
        Self {
            model,
            order: model.orders[at].clone(),
            released: Vec::new(),
            share: None,
            withdrawn: Vec::new(),
        }
    }

    pub(super) fn change(&mut self, change: &ModelChange) -> Result<(), ModelRejection> {
        match change {
            ModelChange::Cancel(items, refund) => {
                self.known(items)?;
                self.check_payee(*refund)?;
                self.check_amount(*refund)?;
                let before = self.given();
                self.cancel(items, *refund)?;
                self.check_given(*refund, before)
            }
            ModelChange::Refund(items, refund) => {
                self.known(items)?;
                self.check_amount(*refund)?;
                let all: Vec<usize> = (0..self.order.items.len()).collect();
                let is_amount = matches!(refund, ModelRefund::Amount(_));
                // An amount may be of the order as a whole.
                let items = if items.is_empty() && !is_amount {
                    &all
                } else {
                    items
                };
                let before = self.given();
                self.give_back(items, share_of(*refund), *refund == ModelRefund::Full)?;
                if self.given() == before {
                    return Err("REFUND_NOT_POSSIBLE");
                }
                self.check_given(*refund, before)
            }
            ModelChange::Withdraw(items, _) => {
                let items = self.asked(items)?;
                self.withdraw(items)
            }
            ModelChange::Customer(_) if self.order.state != WAITING => Err("NOT_AWAITED"),
            ModelChange::Customer(ModelDecision::Keep) => self.move_order(PROCESSING),
            ModelChange::Customer(ModelDecision::Drop) => self.move_order(CANCELLED),
            ModelChange::NoShow(items) => {
                for at in self.asked(items)? {
                    self.move_item(at, NO_SHOW)?;
                }
                Ok(())
            }
            ModelChange::Merchant(items, decision) => self.confirm(items, *decision),
            ModelChange::State(part, from, to) => self.change_state(*part, *from, to),
            ModelChange::Note => Ok(()),
        }
    }

    fn known(&self, items: &[usize]) -> Result<(), ModelRejection> {
        let are_known = items.iter().all(|at| *at < self.order.items.len());
        are_known.then_some(()).ok_or("INVALID_REQUEST")
    }

    fn asked(&self, items: &[usize]) -> Result<Vec<usize>, ModelRejection> {
        self.known(items)?;
        let asked = if items.is_empty() {
            self.order.held()
        } else {
            items.to_vec()
        };
        (!asked.is_empty())
            .then_some(asked)
            .ok_or("INVALID_REQUEST")
    }

    fn cancel(&mut self, items: &[usize], refund: ModelRefund) -> Result<(), ModelRejection> {
        let mut sorted = items.to_vec();
        sorted.sort_unstable();
        let by_customer = Some(refund != ModelRefund::Full);
        if items.is_empty() || sorted == self.order.held() {
            self.order.by_customer = by_customer;
            self.share = Some(share_of(refund));
            return self.move_order(CANCELLED);
        }
        for at in items {
            self.order.by_customer = by_customer;
            self.move_item(*at, CANCELLED)?;
        }
        if refund == ModelRefund::Nothing {
            return Ok(());
        }
        self.give_back(items, share_of(refund), refund == ModelRefund::Full)
    }

    /// What waits for the merchant is declined, and everything else taken back.
    fn withdraw(&mut self, items: Vec<usize>) -> Result<(), ModelRejection> {
        let is_pending = |at: &usize| self.order.items[*at].state == PENDING;
        let (pending, sold): (Vec<usize>, Vec<usize>) = items.into_iter().partition(is_pending);
        self.decline(&pending)?;
        self.withdrawn.clone_from(&sold);
        for at in sold {
            self.order.by_customer = Some(false);
            self.move_item(at, UNAVAILABLE)?;
        }
        Ok(())
    }

    fn decline(&mut self, items: &[usize]) -> Result<(), ModelRejection> {
        if items.is_empty() {
            return Ok(());
        }
        for at in items {
            self.order.by_customer = Some(false);
            self.move_item(*at, DECLINED)?;
        }
        self.give_back(items, ModelShare::Percent(100), true)
    }

    fn confirm(&mut self, items: &[usize], decision: ModelDecision) -> Result<(), ModelRejection> {
        self.known(items)?;
        let is_pending = |at: &usize| self.order.items[*at].state == PENDING;
        let mut items = items.to_vec();
        if items.is_empty() {
            items = (0..self.order.items.len()).filter(is_pending).collect();
        }
        if items.is_empty() || !items.iter().all(is_pending) {
            return Err("NOT_AWAITED");
        }
        if decision == ModelDecision::Keep {
            return items
                .into_iter()
                .try_for_each(|at| self.move_item(at, CONFIRMED));
        }
        self.decline(&items)
    }

    fn change_state(
        &mut self,
        part: ModelPart,
        from: Option<&'static str>,
        to: &'static str,
    ) -> Result<(), ModelRejection> {
        let refunds = self.order.payment.as_ref().map(|it| &it.refunds);
        let state = match part {
            ModelPart::Order => Some(self.order.state),
            ModelPart::Item(at) => self.order.items.get(at).map(|item| item.state),
            ModelPart::Refund(at) => refunds.and_then(|it| it.get(at)).map(|it| it.state),
        };
        let state = state.ok_or("INVALID_REQUEST")?;
        if from.is_some_and(|from| from != state) {
            return Err("NOT_IN_STATE");
        }
        match part {
            ModelPart::Order => self.move_order(to),
            ModelPart::Item(at) => self.move_item(at, to),
            ModelPart::Refund(at) if state == FAILED && to == REQUESTED => {
                self.order.payment.as_mut().unwrap().request_again(at)
            }
            ModelPart::Refund(_) => Err("NO_TRANSITION"),
        }
    }

    pub(super) fn fire(&mut self, part: ModelPart, to: &'static str) {
        // Cleared with the state that it was set for.
        let moved = match part {
            ModelPart::Order => self.move_order(to),
            ModelPart::Item(at) => self.move_item(at, to),
            ModelPart::Refund(_) => unreachable!("refunds have no timers"),
        };
        moved.unwrap();
    }

    fn move_item(&mut self, at: usize, to: &'static str) -> Result<(), ModelRejection> {
        let from = self.order.items[at].state;
        let is_possible = match to {
            CONFIRMED | DECLINED => from == PENDING,
            UNAVAILABLE => matches!(from, PENDING | CONFIRMED | FULFILLED),
            CANCELLED => matches!(from, PENDING | CONFIRMED | FULFILLED | UNAVAILABLE),
            FULFILLED => from == CONFIRMED,
            NO_SHOW => matches!(from, CONFIRMED | FULFILLED),
            _ => false,
        };
        if !is_possible {
            return Err("NO_TRANSITION");
        }
        self.order.items[at].state = to;
        self.order.items[at].confirm_by = None;
        match to {
            CONFIRMED => self.close_declined(),
            DECLINED => {
                self.forget_customer();
                self.release(at);
                self.give_back(&[at], ModelShare::Percent(100), self.is_merchants())?;
                self.close_declined();
            }
            CANCELLED => self.release(at),
            UNAVAILABLE => {
                self.release(at);
                self.ask_customer();
            }
            NO_SHOW if !self.model.keeps(Rule::NoShowsKeepTheirSpots) => self.release(at),
            _ => {}
        }
        Ok(())
    }

    fn move_order(&mut self, to: &'static str) -> Result<(), ModelRejection> {
        let has = |states: &[&str]| self.order.items.iter().any(|it| states.contains(&it.state));
        match (self.order.state, to) {
            (PROCESSING, CANCELLED) => {
                self.order.state = CANCELLED;
                let usual = match self.order.by_customer {
                    Some(true) => ModelShare::Policy,
                    _ => ModelShare::Percent(100),
                };
                let share = self.share.unwrap_or(usual);
                let all: Vec<usize> = (0..self.order.items.len()).collect();
                self.give_back(&all, share, self.is_merchants())?;
                self.cancel_items();
            }
            (WAITING, TIMED_OUT) => {
                self.order.state = to;
                self.order.answer_by = None;
                self.time_out()?;
            }
            (WAITING, CANCELLED) => {
                self.order.state = to;
                self.order.answer_by = None;
                self.cancel_items();
                if let Some(payment) = &mut self.order.payment {
                    payment.give_back_the_rest();
                }
            }
            (WAITING, PROCESSING) if has(&[CONFIRMED, FULFILLED, PENDING]) => {
                self.order.state = PROCESSING;
                self.order.answer_by = None;
                self.amend()?;
            }
            (PROCESSING, WAITING) if has(&[UNAVAILABLE]) => self.ask_customer(),
            (WAITING, PROCESSING) | (PROCESSING, WAITING) => return Err("CONDITION_NOT_MET"),
            _ => return Err("NO_TRANSITION"),
        }
        Ok(())
    }

    /// What was withdrawn goes, with what stands and is to come.
    fn time_out(&mut self) -> Result<(), ModelRejection> {
        let now = self.model.now;
        let is_lost = |at: &usize| {
            let item = &self.order.items[*at];
            let is_to_come = matches!(item.state, CONFIRMED | PENDING) && item.slot.1 > now;
            item.state == UNAVAILABLE || is_to_come
        };
        let lost: Vec<usize> = (0..self.order.items.len()).filter(is_lost).collect();
        for at in &lost {
            self.move_item(*at, CANCELLED)?;
        }
        self.forget_customer();
        self.give_back(&lost, ModelShare::Percent(100), true)
    }

    /// What was withdrawn is the merchant's doing, whatever the customer has cancelled meanwhile.
    fn forget_customer(&mut self) {
        if self.order.by_customer == Some(true) {
            self.order.by_customer = None;
        }
    }

    fn amend(&mut self) -> Result<(), ModelRejection> {
        let mut lost = Vec::new();
        for (at, item) in self.order.items.iter_mut().enumerate() {
            if item.state == UNAVAILABLE {
                item.state = CANCELLED;
                lost.push(at);
            }
        }
        self.forget_customer();
        if self.model.keeps(Rule::AmendedItemsArePaidBack) {
            self.give_back(&lost, ModelShare::Percent(100), self.is_merchants())?;
        }
        self.close_declined();
        Ok(())
    }

    fn cancel_items(&mut self) {
        for at in 0..self.order.items.len() {
            // One that nobody came for stays so.
            let _ = self.move_item(at, CANCELLED);
        }
    }

    /// An order ends of which nothing is left but what the merchant has declined.
    fn close_declined(&mut self) {
        let mut states = self.order.items.iter().map(|item| item.state);
        let has_declined = states.clone().any(|state| state == DECLINED);
        let is_over = states.all(|state| matches!(state, DECLINED | CANCELLED));
        if self.order.state == PROCESSING && has_declined && is_over {
            self.order.state = CANCELLED;
        }
    }

    fn ask_customer(&mut self) {
        if self.order.state == PROCESSING {
            self.order.state = WAITING;
            let now = self.model.now;
            let held = self.order.held().into_iter();
            let standing = held.filter(|at| !self.withdrawn.contains(at));
            let starts = standing.map(|at| self.order.items[at].slot.1);
            let first = starts.filter(|start| *start > now).min();
            let latest = first.map_or(i64::MAX, |first| first - ANSWER_BEFORE_SEC);
            let due = (now + ANSWER_SEC).min(latest);
            self.order.answer_by = Some(due.max(now + ANSWER_LEAST_SEC));
        }
    }

    fn release(&mut self, at: usize) {
        let item = &mut self.order.items[at];
        if item.holds {
            item.holds = false;
            self.released.extend(item.spots.clone());
        }
    }

    fn is_merchants(&self) -> bool {
        self.order.by_customer != Some(true)
    }

    fn give_back(
        &mut self,
        items: &[usize],
        share: ModelShare,
        is_merchants: bool,
    ) -> Result<(), ModelRejection> {
        let now = self.model.now;
        let asked = items
            .iter()
            .map(|at| (*at, self.order.items[*at].slot.1 - now));
        let asked: Vec<(usize, i64)> = asked.collect();
        let Some(payment) = &mut self.order.payment else {
            return Ok(());
        };
        payment.give_back(self.model, &asked, share, is_merchants)
    }

    /// What is given back or about to be.
    fn given(&self) -> i64 {
        self.order
            .payment
            .as_ref()
            .map_or(0, ModelPayment::requested)
    }

    /// What Google has taken is not given back here.
    fn check_payee(&self, refund: ModelRefund) -> Result<(), ModelRejection> {
        let payment = self.order.first.payment_information.as_ref();
        let is_googles = payment
            .is_some_and(|it| it.payment_processed_by() == PaymentProcessedBy::ProcessedByGoogle);
        (!is_googles || refund != ModelRefund::Full)
            .then_some(())
            .ok_or("REFUND_NOT_POSSIBLE")
    }

    fn check_amount(&self, refund: ModelRefund) -> Result<(), ModelRejection> {
        let ModelRefund::Amount(amount) = refund else {
            return Ok(());
        };
        let available = self
            .order
            .payment
            .as_ref()
            .map_or(0, ModelPayment::available);
        (amount <= available && available > 0)
            .then_some(())
            .ok_or("REFUND_NOT_POSSIBLE")
    }

    fn check_given(&self, refund: ModelRefund, before: i64) -> Result<(), ModelRejection> {
        let given = self.given() - before;
        let is_right = match refund {
            ModelRefund::Amount(amount) => given == amount,
            ModelRefund::Nothing => given == 0,
            ModelRefund::Policy | ModelRefund::Full => true,
        };
        is_right.then_some(()).ok_or("REFUND_NOT_POSSIBLE")
    }
}

fn share_of(refund: ModelRefund) -> ModelShare {
    match refund {
        ModelRefund::Policy => ModelShare::Policy,
        ModelRefund::Full => ModelShare::Percent(100),
        ModelRefund::Nothing => ModelShare::Amount(0),
        ModelRefund::Amount(amount) => ModelShare::Amount(amount),
    }
}
