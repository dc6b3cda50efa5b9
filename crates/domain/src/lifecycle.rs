//! The lifecycle of an order after its sale: states, transitions, conditions and actions by a definition
//! that a partner can write, and the interpreter that runs it.
//!
//! Pure: no clock, no randomness, no I/O. The same definition, tree, triggers and facts give the same
//! outcome, and an error changes nothing. The outside world is never touched in a run: what is to be done
//! there is an [`Effect`] of its outcome.
//!
//! | module | content |
//! |---|---|
//! | [`Definition`] | states, transitions, conditions, actions; interned |
//! | [`OrderTree`] | the order as it stands: items, fulfillments, refunds, ledger, timers, steps |
//! | [`Trigger`], [`Facts`] | what happened, and what else is known |
//! | [`RunOutcome`], [`Effect`], [`Refused`] | what follows |
//!
//! Four entities in two workflows by default: order, line items and fulfillments in one, refunds in the
//! other. An action that moves another entity of its own workflow runs that transition at once, before the
//! remaining actions; one that moves an entity of another workflow runs after all of them.

mod definition;
mod name;
mod naming;
mod tree;
mod vocabulary;

mod facts;
mod outcome;
mod trigger;

mod actions;
mod conditions;
mod invariants;
mod payments;
mod run;
mod targets;

pub use definition::{
    Definition, EntityDef, EventIx, EventSet, GuardedAction, MAX_STATES, StateDef, StateIx,
    StateSet, TransitionDef, TransitionMode, Verbs,
};
pub use facts::{Facts, ItemFacts};
pub use invariants::Invariant;
pub use name::Name;
pub use naming::{StateMap, UnknownState};
pub use outcome::{
    ActionError, AlertLevel, Effect, Moved, Refused, RunOutcome, SkipReason, Skipped,
};
pub use run::{MAX_DEPTH, MAX_TRANSITIONS, run, run_all};
pub use tree::{
    Destination, EndedStep, Entity, Fulfillment, GivenUpStep, NamedTree, OpenStep, OrderPart,
    OrderTree, Refund, Spots, StepKind, StepResult, Timer, TreeItem,
};
pub use trigger::{StepAnswer, StepFailure, Trigger};
pub use vocabulary::{
    AlertChange, Condition, InfoValue, ItemScope, LaunchTime, LifecycleAction, LinkBy, PaymentMove,
    PercentRule, RefundScope, TimerDue, TimerRule, UpdateRule, UpdateScope,
};
