//! What the actions of a transition do.

use super::{
    ActionError, AlertChange, Effect, Entity, EventIx, Fulfillment, GivenUpStep, LaunchTime,
    LifecycleAction, LinkBy, Name, OpenStep, OrderPart, Refused, Spots, StateIx, StateSet,
    StepKind, Timer, TimerDue, TimerRule, payments::StepMoney, run::Run,
};
use crate::{
    lifecycle::Destination,
    time::{EpochSeconds, Seconds},
};

impl<'d> Run<'d> {
    /// Runs an action for a part.
    pub(super) fn act(
        &mut self,
        part: OrderPart,
        action: &'d LifecycleAction,
    ) -> Result<(), Refused> {
        self.is_touched = true;
        match action {
            LifecycleAction::Update(update) => self.update(part, update),
            LifecycleAction::KeepSpots if self.tree.is_held(part) => Ok(()),
            LifecycleAction::KeepSpots => Err(Self::failed(part, ActionError::SpotsReleased)),
            LifecycleAction::ReleaseSpots => {
                self.release(part);
                Ok(())
            }
            LifecycleAction::Pay(direction) => self.pay(part, *direction),
            LifecycleAction::CancelPayments => self.cancel_payments(part),
            LifecycleAction::Link { by, reuse } => self.link(part, *by, *reuse),
            LifecycleAction::Unlink { remove_if_empty } => {
                let result = self.unlink(part, *remove_if_empty);
                result.map_err(|error| Self::failed(part, error))
            }
            LifecycleAction::Launch { step, at } => self.launch(part, step, *at),
            LifecycleAction::DeleteShipment { database_only } => {
                self.delete_shipment(part, *database_only)
            }
            LifecycleAction::SetTimer(rule) => {
                self.set_timer(part, rule);
                Ok(())
            }
            LifecycleAction::ClearTimer(name) => {
                self.clear_timer(part, name);
                Ok(())
            }
            LifecycleAction::Emit { event, params } => {
                self.tree.emitted.insert(*event);
                self.effects.push(Effect::Emit {
                    event: *event,
                    part,
                    params: params.clone(),
                });
                Ok(())
            }
            LifecycleAction::DropEvent(event) => {
                self.drop_event(part, *event);
                Ok(())
            }
            LifecycleAction::Alert(name, change) => {
                self.alert(name, *change);
                Ok(())
            }
            LifecycleAction::SetInformation(key, value) => {
                self.tree.information.insert(key.clone(), value.clone());
                Ok(())
            }
            LifecycleAction::RemoveReason => {
                self.tree.reason = None;
                Ok(())
            }
            LifecycleAction::AssignDestination(destination) => {
                self.assign(part, *destination);
                Ok(())
            }
            // A step, so that it is done once the order is on record, and again after a crash.
            LifecycleAction::ErasePersonalData => {
                self.launch(part, &StepKind::EraseCustomer, LaunchTime::Now)
            }
        }
    }

    /// Gives the spots of an item back, once.
    fn release(&mut self, part: OrderPart) {
        if let Some(item) = self.tree.items.get_mut(usize::from(part.index))
            && item.spots == Spots::Held
        {
            item.spots = Spots::Released;
            self.effects.push(Effect::Release { item: part.index });
        }
    }

    /// Puts items that are left and in no fulfillment into one; new fulfillments begin with all their items.
    fn link(&mut self, part: OrderPart, by: LinkBy, reuse: StateSet) -> Result<(), Refused> {
        let first_new = self.tree.fulfillments.len();
        for item in self.tree.items_of(part) {
            let found = self.tree.items.get(usize::from(item.index));
            let is_free = found.is_some_and(|it| it.fulfillment.is_none());
            if is_free && self.tree.is_held(item) {
                let result = self.link_item(item, by, reuse, first_new);
                result.map_err(|error| Self::failed(part, error))?;
            }
        }
        for index in first_new..self.tree.fulfillments.len() {
            let new = OrderPart::fulfillment(index_of(index).map_err(|it| Self::failed(part, it))?);
            self.enter(new)?;
        }
        Ok(())
    }

    fn link_item(
        &mut self,
        item: OrderPart,
        by: LinkBy,
        reuse: StateSet,
        first_new: usize,
    ) -> Result<(), ActionError> {
        let fits = |(index, it): (usize, &Fulfillment)| {
            // One that this action has made takes more, whatever its state.
            let is_open = !it.is_removed && (index >= first_new || reuse.contains(it.state));
            let is_same = match by {
                LinkBy::Order => true,
                LinkBy::LineItem => false,
                LinkBy::Service => it.items.first().is_some_and(|first| {
                    self.service(OrderPart::item(*first)) == self.service(item)
                }),
            };
            is_open && is_same
        };
        let found = self.tree.fulfillments.iter().enumerate().position(fits);
        let index = found.unwrap_or(self.tree.fulfillments.len());
        let number = index_of(index)?;
        if found.is_none() {
            self.tree.fulfillments.push(Fulfillment {
                state: self.def.entity(Entity::Fulfillment).start,
                items: smallvec::SmallVec::new(),
                destination: Destination::Order,
                shipment: None,
                is_removed: false,
            });
        }
        self.tree.fulfillments[index].items.push(item.index);
        if let Some(item) = self.tree.items.get_mut(usize::from(item.index)) {
            item.fulfillment = Some(number);
        }
        Ok(())
    }

    fn unlink(&mut self, part: OrderPart, remove_if_empty: bool) -> Result<(), ActionError> {
        let item = self.tree.items.get_mut(usize::from(part.index));
        let linked = item.and_then(|item| item.fulfillment.take());
        let linked = linked.ok_or(ActionError::NotLinked)?;
        let Some(fulfillment) = self.tree.fulfillments.get_mut(usize::from(linked)) else {
            return Ok(());
        };
        fulfillment.items.retain(|item| *item != part.index);
        if remove_if_empty && fulfillment.items.is_empty() {
            fulfillment.is_removed = true;
            let removed = OrderPart::fulfillment(linked);
            // Its delivery would otherwise be booked for nothing.
            self.cancel_steps(removed, &StepKind::BookDelivery);
            let timers = self.tree.timers.iter().filter(|it| it.part == removed);
            for name in timers.map(|it| it.name.clone()).collect::<Vec<_>>() {
                self.clear_timer(removed, &name);
            }
        }
        Ok(())
    }

    /// Opens a step, or has the open one of its kind begin earlier.
    pub(super) fn launch(
        &mut self,
        part: OrderPart,
        kind: &StepKind,
        at: LaunchTime,
    ) -> Result<(), Refused> {
        if *kind == StepKind::BookDelivery {
            self.demand_payment(part)?;
        }
        let due = self.launch_time(at);
        let mut steps = self.tree.steps.iter_mut();
        if let Some(open) = steps.find(|it| it.part == part && it.kind == *kind) {
            if due < open.due {
                open.due = due;
                let number = open.number;
                self.effects.push(Effect::Hasten { number, due });
            }
            return Ok(());
        }
        let result = self.open(part, kind, due);
        result.map_err(|error| Self::failed(part, error))
    }

    /// Opens a step; one that has no money to move is not opened.
    pub(super) fn open(
        &mut self,
        part: OrderPart,
        kind: &StepKind,
        due: EpochSeconds,
    ) -> Result<(), ActionError> {
        let amount = match self.step_money(part, kind)? {
            StepMoney::NotItsWork => None,
            StepMoney::Amount(amount) => Some(amount),
            StepMoney::NothingLeft => return Ok(()),
        };
        let number = self
            .tree
            .launches
            .checked_add(1)
            .ok_or(ActionError::TooMany)?;
        self.tree.launches = number;
        // The new one does its work.
        self.forget_given_up(part, kind);
        self.begin_step(OpenStep {
            number,
            kind: kind.clone(),
            part,
            due,
            amount,
        });
        Ok(())
    }

    /// Opens a step once more, under its number, which is part of its key: perhaps it was done after all.
    pub(super) fn reopen(&mut self, step: &OpenStep) -> Result<(), Refused> {
        let (part, kind) = (step.part, &step.kind);
        if *kind == StepKind::BookDelivery {
            self.demand_payment(part)?;
        }
        let money = self.step_money(part, kind);
        let amount = match money.map_err(|error| Self::failed(part, error))? {
            StepMoney::NotItsWork => None,
            StepMoney::Amount(amount) => Some(amount),
            StepMoney::NothingLeft => return Ok(()),
        };
        self.begin_step(OpenStep {
            due: self.facts.now,
            amount,
            ..step.clone()
        });
        Ok(())
    }

    /// Forgets the step of a kind that a part has given up.
    pub(super) fn forget_given_up(&mut self, part: OrderPart, kind: &StepKind) {
        let is_it = |it: &GivenUpStep| it.step.part == part && it.step.kind == *kind;
        self.tree.given_up.retain(|it| !is_it(it));
    }

    fn begin_step(&mut self, step: OpenStep) {
        self.tree.steps.push(step.clone());
        self.effects.push(Effect::Launch(step));
    }

    fn launch_time(&self, at: LaunchTime) -> EpochSeconds {
        let now = self.facts.now;
        match at {
            LaunchTime::Now => now,
            LaunchTime::After(length) => self.after(length),
            LaunchTime::BeforeAuthorizationEnds => {
                let ends = self.facts.authorization_ends;
                ends.map_or(now, |ends| ends.saturating_sub(Seconds::DAY))
                    .max(now)
            }
        }
    }

    /// Forgets the open steps of a kind that a part has, and one that was given up: nobody may have it tried again.
    pub(super) fn cancel_steps(&mut self, part: OrderPart, kind: &StepKind) {
        self.forget_given_up(part, kind);
        while let Some(at) = self
            .tree
            .steps
            .iter()
            .position(|it| it.part == part && it.kind == *kind)
        {
            let number = self.tree.steps.remove(at).number;
            self.effects.push(Effect::CancelStep { number });
        }
    }

    fn delete_shipment(&mut self, part: OrderPart, database_only: bool) -> Result<(), Refused> {
        self.cancel_steps(part, &StepKind::BookDelivery);
        let found = self.tree.fulfillments.get_mut(usize::from(part.index));
        let Some(found) = found.filter(|found| found.shipment.is_some()) else {
            return Ok(());
        };
        if database_only {
            found.shipment = None;
            return Ok(());
        }
        // The reference stays until the carrier has confirmed, because the step needs it.
        self.launch(part, &StepKind::CancelDelivery, LaunchTime::Now)
    }

    fn set_timer(&mut self, part: OrderPart, rule: &TimerRule) {
        let now = self.facts.now;
        let due = match rule.due {
            TimerDue::In(length) => self.after(length),
            TimerDue::BeforeStart(length) => {
                let start = self.earliest_start(part);
                start.map_or(now, |start| start.saturating_sub(length))
            }
            TimerDue::AfterEnd(length) => {
                let end = self.latest_end(part);
                end.map_or(now, |end| end.saturating_add(length))
            }
        };
        let start = self.earliest_start_to_come(part);
        let latest = rule
            .not_after_start_minus
            .and_then(|length| Some(start?.saturating_sub(length)));
        let due = latest.map_or(due, |latest| due.min(latest));
        // What should have fired in the past fires at once, unless somebody is to have time for an answer.
        let earliest = rule.at_least.map_or(now, |length| self.after(length));
        let timer = Timer {
            name: rule.name.clone(),
            part,
            due: due.max(earliest),
            to: rule.to,
        };
        self.tree
            .timers
            .retain(|it| it.part != part || it.name != rule.name);
        self.tree.timers.push(timer.clone());
        self.effects.push(Effect::SetTimer(timer));
    }

    fn clear_timer(&mut self, part: OrderPart, name: &Name) {
        let before = self.tree.timers.len();
        self.tree
            .timers
            .retain(|it| it.part != part || it.name != *name);
        if self.tree.timers.len() < before {
            self.effects.push(Effect::ClearTimer(part, name.clone()));
        }
    }

    /// Drops an event that the part has emitted in this run; what is on record stays.
    fn drop_event(&mut self, part: OrderPart, event: EventIx) {
        let is_it = |effect: &Effect, of: Option<OrderPart>| {
            matches!(effect, Effect::Emit { event: it, part: by, .. }
                if *it == event && of.is_none_or(|of| of == *by))
        };
        self.effects.retain(|effect| !is_it(effect, Some(part)));
        let is_left = self.effects.iter().any(|effect| is_it(effect, None));
        if !is_left && !self.emitted_before.contains(event) {
            self.tree.emitted.remove(event);
        }
    }

    fn alert(&mut self, name: &Name, change: AlertChange) {
        let before = self.tree.alerts.get(name).copied().unwrap_or(0);
        let level = match change {
            AlertChange::Set(level) => level,
            AlertChange::Raise(by) => before.saturating_add(by),
            AlertChange::Clear => 0,
        };
        if level == before {
            return;
        }
        if level == 0 {
            self.tree.alerts.remove(name);
        } else {
            self.tree.alerts.insert(name.clone(), level);
        }
        self.effects.push(Effect::Alert(name.clone(), level));
    }

    fn assign(&mut self, part: OrderPart, destination: Destination) {
        for fulfillment in self.tree.fulfillments_of(part) {
            let found = self
                .tree
                .fulfillments
                .get_mut(usize::from(fulfillment.index));
            if let Some(found) = found {
                found.destination = destination;
            }
        }
    }

    /// The state in which a refund begins.
    pub(super) fn refund_start(&self) -> StateIx {
        self.def.entity(Entity::Refund).start
    }
}

/// The index of a part as it is numbered.
pub(super) fn index_of(index: usize) -> Result<u16, ActionError> {
    u16::try_from(index).map_err(|_| ActionError::TooMany)
}
