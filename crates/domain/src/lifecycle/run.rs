//! The interpreter: triggers, transitions and their order.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::{
    ActionError, Condition, Definition, Effect, EndedStep, Entity, EventSet, Facts, GivenUpStep,
    GuardedAction, Moved, Name, OpenStep, OrderPart, OrderTree, Refused, RunOutcome, SkipReason,
    Skipped, Spots, StateIx, StepAnswer, StepResult, TransitionDef, TransitionMode, Trigger,
    UpdateRule,
    invariants::{Before, Invariant},
    targets::Parts,
};
use crate::{
    refunds::RefundShare,
    shipment::{ShipmentProgress, ShipmentReport, ShipmentStatus},
};

/// Transitions within transitions, at most.
pub const MAX_DEPTH: u32 = 32;

/// Transitions of one trigger, at most.
pub const MAX_TRANSITIONS: usize = 1_024;

/// Runs one trigger on an order.
///
/// # Errors
/// [`Refused`] if the trigger does not fit, an action fails, or the outcome would break an invariant.
pub fn run(
    definition: &Definition,
    tree: OrderTree,
    trigger: Trigger,
    facts: &Facts<'_>,
) -> Result<RunOutcome, Refused> {
    run_all(definition, tree, [trigger], facts)
}

/// Runs several triggers one after another on an order: all of them or none.
///
/// # Errors
/// That of the first trigger that is refused.
pub fn run_all(
    definition: &Definition,
    tree: OrderTree,
    triggers: impl IntoIterator<Item = Trigger>,
    facts: &Facts<'_>,
) -> Result<RunOutcome, Refused> {
    if facts.items.len() != tree.items.len() {
        return Err(Refused::Action {
            part: OrderPart::ORDER,
            error: ActionError::NoFacts,
        });
    }
    let triggers: SmallVec<[Trigger; 1]> = triggers.into_iter().collect();
    let mut run = Run::new(definition, tree, facts);
    run.withdrawn = withdrawn_by(&triggers, definition);
    for trigger in triggers {
        run.apply(trigger)?;
    }
    run.finish()
}

/// The items that triggers withdraw.
fn withdrawn_by(triggers: &[Trigger], definition: &Definition) -> SmallVec<[u16; 4]> {
    let mut items = SmallVec::new();
    for trigger in triggers {
        if let Trigger::Transition { part, to, .. } = trigger
            && part.entity == Entity::LineItem
            && *to == definition.verbs.withdraw
        {
            items.push(part.index);
        }
    }
    items
}

/// A run in progress.
pub(super) struct Run<'d> {
    pub(super) def: &'d Definition,
    pub(super) facts: &'d Facts<'d>,
    pub(super) tree: OrderTree,
    pub(super) effects: SmallVec<[Effect; 2]>,
    transitions: SmallVec<[Moved; 4]>,
    pub(super) skipped: Vec<Skipped>,
    /// What touches another workflow, until this one is done.
    pub(super) later: VecDeque<Later<'d>>,
    pub(super) before: Before,
    pub(super) emitted_before: EventSet,
    /// What this trigger has given back, instead of what the definition says.
    pub(super) refund: Option<RefundShare>,
    /// Items that its triggers withdraw, those to come among them: they do not stand.
    pub(super) withdrawn: SmallVec<[u16; 4]>,
    depth: u32,
    /// The transitions of earlier triggers.
    earlier_transitions: usize,
    /// Whether anything of the tree has changed.
    pub(super) is_touched: bool,
}

/// Something that waits until a workflow is done.
pub(super) enum Later<'d> {
    /// Move parts.
    Update(OrderPart, &'d UpdateRule),
    /// Run the actions of a new part's start state.
    Enter(OrderPart),
}

impl<'d> Run<'d> {
    fn new(def: &'d Definition, tree: OrderTree, facts: &'d Facts<'d>) -> Self {
        Self {
            def,
            facts,
            effects: SmallVec::new(),
            transitions: SmallVec::new(),
            skipped: Vec::new(),
            later: VecDeque::new(),
            before: Before::of(&tree),
            emitted_before: tree.emitted,
            refund: None,
            withdrawn: SmallVec::new(),
            depth: 0,
            earlier_transitions: 0,
            is_touched: false,
            tree,
        }
    }

    fn apply(&mut self, trigger: Trigger) -> Result<(), Refused> {
        self.earlier_transitions = self.transitions.len();
        self.refund = None;
        match trigger {
            Trigger::Begin { unavailable } => self.begin(&unavailable)?,
            Trigger::Transition {
                part,
                from,
                to,
                reason,
                refund,
            } => {
                self.refund = refund;
                self.asked(part, from, to, reason)?;
            }
            Trigger::Tried { part } => {
                self.state_of(part)?;
                self.try_automatic(part)?;
            }
            Trigger::Fired { part, name } => self.fired(part, &name)?,
            Trigger::StepEnded { number, answer } => self.step_ended(number, answer)?,
            Trigger::Retried { number } => self.retried(number)?,
            Trigger::LeftAlone { number } => {
                self.take_given_up(number);
            }
            Trigger::Paid(entry) => {
                self.append(OrderPart::ORDER, entry)?;
                self.try_automatic(OrderPart::ORDER)?;
            }
            Trigger::Shipped {
                fulfillment,
                report,
            } => self.shipped(OrderPart::fulfillment(fulfillment), &report)?,
            Trigger::GiveBack {
                items,
                share,
                cause,
            } => self.give_back(OrderPart::ORDER, &items, share, cause)?,
        }
        self.drain()
    }

    /// Everything that waits, in the order in which it came up.
    fn drain(&mut self) -> Result<(), Refused> {
        while let Some(next) = self.later.pop_front() {
            match next {
                Later::Update(part, update) => self.cascade(part, update)?,
                Later::Enter(part) => self.enter(part)?,
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<RunOutcome, Refused> {
        let emitted = self.effects.iter();
        let emitted = emitted.filter(|effect| matches!(effect, Effect::Emit { .. }));
        let emitted = u32::try_from(emitted.count()).unwrap_or(u32::MAX);
        self.tree.events = self.tree.events.saturating_add(emitted);
        if self.is_touched {
            self.tree.version = self.tree.version.saturating_add(1);
        }
        self.before.check(&self.tree, &self.effects)?;
        Ok(RunOutcome {
            tree: self.tree,
            effects: self.effects,
            transitions: self.transitions,
            skipped: self.skipped,
        })
    }

    fn begin(&mut self, unavailable: &[u16]) -> Result<(), Refused> {
        if self.tree.version != 0 || self.is_touched {
            return Err(Refused::Begun);
        }
        self.is_touched = true;
        for &index in unavailable {
            let item = self.tree.items.get_mut(usize::from(index));
            let item = item.ok_or(Refused::NoPart(OrderPart::item(index)))?;
            item.state = self.def.verbs.withdraw;
            item.spots = Spots::Released;
        }
        // What was never taken is not given back.
        self.before = Before::of(&self.tree);
        for part in self.tree.all_items() {
            if !unavailable.contains(&part.index) {
                self.enter(part)?;
            }
        }
        self.enter(OrderPart::ORDER)?;
        self.try_automatic(OrderPart::ORDER)
    }

    fn asked(
        &mut self,
        part: OrderPart,
        from: Option<StateIx>,
        to: StateIx,
        reason: Option<Name>,
    ) -> Result<(), Refused> {
        let state = self.state_of(part)?;
        if from.is_some_and(|from| from != state) {
            return Err(Refused::NotInState { part, state });
        }
        if reason.is_some() {
            // Before the conditions, which may depend on it.
            self.tree.reason = reason;
        }
        let transition = self.manual(part, state, to)?;
        self.switch(part, transition)
    }

    fn fired(&mut self, part: OrderPart, name: &Name) -> Result<(), Refused> {
        let mut timers = self.tree.timers.iter();
        let found = timers.position(|it| it.part == part && it.name == *name);
        let due = found.filter(|at| self.tree.timers[*at].due <= self.facts.now);
        let Some(at) = due else {
            self.skip(part, None, SkipReason::LateTimer);
            return Ok(());
        };
        let to = self.tree.timers.remove(at).to;
        self.is_touched = true;
        let Some(state) = self.tree.state_of(part) else {
            self.skip(part, Some(to), SkipReason::NoTransition);
            return Ok(());
        };
        self.move_if_possible(part, state, to)
    }

    fn step_ended(&mut self, number: u16, answer: StepAnswer) -> Result<(), Refused> {
        let mut steps = self.tree.steps.iter();
        let Some(at) = steps.position(|step| step.number == number) else {
            self.skip(OrderPart::ORDER, None, SkipReason::LateStep);
            // A fact about money, also if the step was abandoned.
            return match answer.entry {
                Some(entry) => self.append(OrderPart::ORDER, entry),
                None => Ok(()),
            };
        };
        let step = self.tree.steps.remove(at);
        self.is_touched = true;
        let ended = &mut self.tree.ended;
        ended.retain(|it| it.part != step.part || it.kind != step.kind);
        ended.push(EndedStep {
            kind: step.kind.clone(),
            part: step.part,
            result: answer.result,
        });
        let is_replaced = self.tree.open_step(step.part, &step.kind).is_some();
        if let (StepResult::Failed, Some(failure)) = (answer.result, &answer.failure)
            && !is_replaced
        {
            // Before the order moves: where that launches another of its kind, this one is not needed any more.
            self.tree.given_up.push(GivenUpStep {
                step: step.clone(),
                attempts: failure.attempts,
                error: failure.error.clone(),
            });
        }
        self.settle(&step, answer)?;
        self.try_automatic(step.part)
    }

    /// Opens a step that was given up, under the number that it has.
    fn retried(&mut self, number: u16) -> Result<(), Refused> {
        if let Some(step) = self.take_given_up(number) {
            return self.reopen(&step);
        }
        self.skip(OrderPart::ORDER, None, SkipReason::LateStep);
        Ok(())
    }

    /// Removes a step from those that were given up.
    fn take_given_up(&mut self, number: u16) -> Option<OpenStep> {
        let mut given_up = self.tree.given_up.iter();
        let at = given_up.position(|it| it.step.number == number)?;
        self.is_touched = true;
        Some(self.tree.given_up.remove(at).step)
    }

    fn shipped(&mut self, part: OrderPart, report: &ShipmentReport) -> Result<(), Refused> {
        let state = self.state_of(part)?;
        let delivery = self.facts.delivery;
        let found = self.tree.fulfillments.get_mut(usize::from(part.index));
        let shipment = found.and_then(|found| found.shipment.as_mut());
        let result = match shipment {
            Some(shipment) => shipment.report(report, delivery).map_err(ActionError::from),
            None => Err(ActionError::NotBooked),
        };
        match result {
            Ok(ShipmentProgress::Known) => return Ok(()),
            Ok(ShipmentProgress::Behind) => {
                self.skip(part, None, SkipReason::LateReport);
                return Ok(());
            }
            Ok(ShipmentProgress::Advanced) => {}
            Err(error) => return Err(Refused::Action { part, error }),
        }
        self.is_touched = true;
        self.demand_payment(part)?;
        let to = match report.status {
            ShipmentStatus::Dispatched => self.def.verbs.dispatch,
            ShipmentStatus::Delivered => self.def.verbs.deliver,
            ShipmentStatus::Pending | ShipmentStatus::Booked => return self.try_automatic(part),
        };
        if state == to {
            return Ok(());
        }
        let transition = self.manual(part, state, to)?;
        self.switch(part, transition)
    }

    /// Runs the actions of the start state of a part that is new.
    pub(super) fn enter(&mut self, part: OrderPart) -> Result<(), Refused> {
        let def = self.def;
        self.perform(part, &def.entity(part.entity).on_start)
    }

    /// The state of a part.
    pub(super) fn state_of(&self, part: OrderPart) -> Result<StateIx, Refused> {
        self.tree.state_of(part).ok_or(Refused::NoPart(part))
    }

    /// The manual transition to a state, if its conditions hold.
    fn manual(
        &self,
        part: OrderPart,
        from: StateIx,
        to: StateIx,
    ) -> Result<&'d TransitionDef, Refused> {
        let Some(transition) = self.def.manual(part.entity, from, to) else {
            return Err(Refused::NoTransition {
                part,
                from,
                to,
                allowed: self.def.targets(part, from),
            });
        };
        match self.first_false(part, &transition.conditions) {
            None => Ok(transition),
            Some(condition) => Err(Refused::Condition {
                part,
                to,
                condition: Box::new(condition.clone()),
            }),
        }
    }

    /// Moves a part if it can; otherwise that is noted.
    fn move_if_possible(
        &mut self,
        part: OrderPart,
        from: StateIx,
        to: StateIx,
    ) -> Result<(), Refused> {
        let Some(transition) = self.def.manual(part.entity, from, to) else {
            self.skip(part, Some(to), SkipReason::NoTransition);
            return Ok(());
        };
        if self.first_false(part, &transition.conditions).is_some() {
            self.skip(part, Some(to), SkipReason::Condition);
            return Ok(());
        }
        self.switch(part, transition)
    }

    /// Runs the first automatic transition whose conditions hold. Nothing further is tried in the new state
    /// unless an action asks, because definitions would else loop by accident.
    pub(super) fn try_automatic(&mut self, part: OrderPart) -> Result<(), Refused> {
        let Some(state) = self.tree.state_of(part) else {
            return Ok(());
        };
        let def = self.def;
        for transition in def.leaving(part.entity, state) {
            if transition.mode == TransitionMode::Automatic
                && self.first_false(part, &transition.conditions).is_none()
            {
                return self.switch(part, transition);
            }
        }
        Ok(())
    }

    fn switch(&mut self, part: OrderPart, transition: &'d TransitionDef) -> Result<(), Refused> {
        let transitions = self.transitions.len() - self.earlier_transitions;
        if self.depth >= MAX_DEPTH || transitions >= MAX_TRANSITIONS {
            return Err(Refused::TooDeep { transitions });
        }
        let from = self.state_of(part)?;
        self.depth += 1;
        self.tree.set_state(part, transition.to);
        self.is_touched = true;
        self.transitions.push(Moved {
            part,
            from,
            to: transition.to,
        });
        if part.entity == Entity::Fulfillment {
            self.follow_shipment(part, transition.to)?;
        }
        self.perform(part, &transition.actions)?;
        self.depth -= 1;
        Ok(())
    }

    /// A fulfillment that is dispatched or delivered by name is so for its delivery, too.
    fn follow_shipment(&mut self, part: OrderPart, to: StateIx) -> Result<(), Refused> {
        let status = if to == self.def.verbs.deliver {
            ShipmentStatus::Delivered
        } else if to == self.def.verbs.dispatch {
            ShipmentStatus::Dispatched
        } else {
            return Ok(());
        };
        self.demand_payment(part)?;
        let found = self.tree.fulfillments.get_mut(usize::from(part.index));
        if let Some(shipment) = found.and_then(|found| found.shipment.as_mut()) {
            shipment.raise(status, self.facts.now);
        }
        Ok(())
    }

    /// Nothing leaves unpaid, whatever the definition says.
    pub(super) fn demand_payment(&self, part: OrderPart) -> Result<(), Refused> {
        if self.tree.ledger.is_covered() {
            return Ok(());
        }
        Err(Refused::Invariant(Invariant::Unpaid {
            fulfillment: part.index,
        }))
    }

    fn perform(&mut self, part: OrderPart, actions: &'d [GuardedAction]) -> Result<(), Refused> {
        for guarded in actions {
            // Just before each action: it sees the new state and what earlier actions have done.
            if self.first_false(part, &guarded.conditions).is_none() {
                self.act(part, &guarded.action)?;
            }
        }
        Ok(())
    }

    /// Moves the parts that an update names: at once within a workflow, later beyond it.
    pub(super) fn update(
        &mut self,
        part: OrderPart,
        update: &'d UpdateRule,
    ) -> Result<(), Refused> {
        if self.def.share_workflow(part.entity, update.entity) {
            return self.cascade(part, update);
        }
        self.later.push_back(Later::Update(part, update));
        Ok(())
    }

    fn cascade(&mut self, part: OrderPart, update: &UpdateRule) -> Result<(), Refused> {
        for target in self.targets(part, update) {
            // Read now: an earlier target's actions may have moved or removed it.
            let Some(state) = self.tree.state_of(target) else {
                continue;
            };
            if update.from.is_some_and(|from| !from.contains(state)) {
                continue;
            }
            match update.to {
                None => self.try_automatic(target)?,
                Some(to) if to == state => {}
                Some(to) => self.move_if_possible(target, state, to)?,
            }
        }
        Ok(())
    }

    fn first_false<'c>(
        &self,
        part: OrderPart,
        conditions: &'c [Condition],
    ) -> Option<&'c Condition> {
        let mut conditions = conditions.iter();
        conditions.find(|condition| !self.holds(part, condition))
    }

    /// The items that this trigger has moved so far, each once, in the order of the order.
    pub(super) fn moved_items(&self) -> Parts {
        let mut items = Parts::new();
        for moved in self.transitions.iter().skip(self.earlier_transitions) {
            if moved.part.entity == Entity::LineItem && !items.contains(&moved.part) {
                items.push(moved.part);
            }
        }
        items.sort_unstable();
        items
    }

    pub(super) fn skip(&mut self, part: OrderPart, to: Option<StateIx>, why: SkipReason) {
        self.skipped.push(Skipped { part, to, why });
    }

    /// The run's error for an action of a part.
    pub(super) fn failed(part: OrderPart, error: impl Into<ActionError>) -> Refused {
        Refused::Action {
            part,
            error: error.into(),
        }
    }
}
