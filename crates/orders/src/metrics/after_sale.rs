//! Metrics of what happens to orders after their sale.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use domain::lifecycle::{
    AlertChange, Definition, Entity, LifecycleAction, Name, NamedTree, StepKind, StepResult,
};
use kernel::metrics::Samples;
use store::OrderUpdate;

/// The kinds of steps, as labels. All steps of the partner's own are one: no label takes its values from callers.
const STEP_KINDS: [&str; 9] = [
    "charge",
    "reverse_charge",
    "capture",
    "void",
    "refund",
    "book_delivery",
    "cancel_delivery",
    "erase_personal_data",
    "custom",
];

const DONE: &str = "done";
const FAILED: &str = "failed";

/// Counts of updates of orders. Behind a lock: an update takes a write to disk, beside which it is nothing.
#[derive(Debug, Default)]
pub struct AfterSaleMetrics(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// How often parts have entered a state.
    entered: BTreeMap<(Entity, Name), u64>,
    /// How often alerts were raised.
    raised: BTreeMap<Name, u64>,
    /// How many steps have ended, by kind and result.
    ended: BTreeMap<(&'static str, &'static str), u64>,
}

/// What an update adds to the metrics, beside its transitions.
#[derive(Debug, Default)]
pub(crate) struct UpdateCounts {
    raised: Vec<Name>,
    ended: Option<(&'static str, &'static str)>,
}

impl UpdateCounts {
    /// The counts of an update of an order that stood like `before`, or as it was placed, and of the step that has ended
    /// by it.
    pub(crate) fn of(
        before: Option<&NamedTree>,
        update: &OrderUpdate,
        ended: Option<(u16, StepResult)>,
    ) -> Self {
        let level = |name| {
            before
                .and_then(|tree| tree.alerts.get(name))
                .copied()
                .unwrap_or(0)
        };
        let raised = update.tree.alerts.iter();
        let raised = raised.filter(|(name, now)| **now > level(*name));
        let ended = ended.and_then(|(number, result)| {
            let mut open = before?.steps.iter();
            let step = open.find(|step| step.number == number)?;
            Some((step_label(&step.kind), result_label(result)))
        });
        Self {
            raised: raised.map(|(name, _)| name.clone()).collect(),
            ended,
        }
    }
}

impl AfterSaleMetrics {
    /// Counts an update that is on record.
    pub(crate) fn count(&self, update: &OrderUpdate, counts: UpdateCounts) {
        let mut all = self.lock();
        for change in &update.entry.changes {
            let entered = (change.part.entity, change.to.clone());
            *all.entered.entry(entered).or_default() += 1;
        }
        for name in counts.raised {
            *all.raised.entry(name).or_default() += 1;
        }
        if let Some(ended) = counts.ended {
            *all.ended.entry(ended).or_default() += 1;
        }
    }

    /// Steps that were given up.
    pub(crate) fn steps_given_up(&self) -> u64 {
        let all = self.lock();
        let failed = all
            .ended
            .iter()
            .filter(|((_, result), _)| *result == FAILED);
        failed.map(|(_, count)| count).sum()
    }

    /// The states entered, those of the definition in force also if no part has entered them.
    pub(super) fn add_transitions(&self, definition: &Definition, samples: &mut Samples) {
        let all = self.lock();
        for entity in Entity::ALL {
            for state in &definition.entity(entity).states {
                let entered = all.entered.get(&(entity, state.name.clone()));
                let labels = [entity.name(), state.name.as_str()];
                samples.add_with(labels, entered.copied().unwrap_or(0));
            }
        }
    }

    /// The alerts raised, those of the definition in force also if none was.
    pub(super) fn add_alerts(&self, definition: &Definition, samples: &mut Samples) {
        let all = self.lock();
        for name in alerts_of(definition) {
            let raised = all.raised.get(name).copied().unwrap_or(0);
            samples.add_with([name.as_str()], raised);
        }
    }

    /// The steps ended, by kind and result.
    pub(super) fn add_steps(&self, samples: &mut Samples) {
        let all = self.lock();
        for kind in STEP_KINDS {
            for result in [DONE, FAILED] {
                let ended = all.ended.get(&(kind, result)).copied().unwrap_or(0);
                samples.add_with([kind, result], ended);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counts only: one that a panic has left behind is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of the alerts that a definition may raise.
fn alerts_of(definition: &Definition) -> BTreeSet<&Name> {
    let mut names = BTreeSet::new();
    for action in definition.actions() {
        if let LifecycleAction::Alert(name, AlertChange::Set(_) | AlertChange::Raise(_)) = action {
            names.insert(name);
        }
    }
    names
}

fn step_label(kind: &StepKind) -> &'static str {
    match kind {
        StepKind::Charge => "charge",
        StepKind::ReverseCharge => "reverse_charge",
        StepKind::Capture => "capture",
        StepKind::Void => "void",
        StepKind::Refund => "refund",
        StepKind::BookDelivery => "book_delivery",
        StepKind::CancelDelivery => "cancel_delivery",
        StepKind::EraseCustomer => "erase_personal_data",
        StepKind::Custom(_) => "custom",
    }
}

fn result_label(result: StepResult) -> &'static str {
    match result {
        StepResult::Done => DONE,
        StepResult::Failed => FAILED,
    }
}
