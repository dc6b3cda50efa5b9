//! The order as it stands: one value with one version.
//!
//! While the interpreter works on it, states and events are those of one definition, interned. On record they have names,
//! which outlive definitions: [`NamedTree`].

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use super::{Definition, EventSet, InfoValue, Name, StateIx};
use crate::{
    ledger::PaymentLedger,
    money::Money,
    refunds::{RefundAmount, RefundCause},
    shipment::Shipment,
    time::EpochSeconds,
};

/// The kinds of parts that an order has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// The order itself.
    Order,
    /// A line item.
    LineItem,
    /// Items that reach the customer together.
    Fulfillment,
    /// Money that is given back.
    Refund,
}

impl Entity {
    /// All of them, in the order of their indexes.
    pub const ALL: [Self; 4] = [Self::Order, Self::LineItem, Self::Fulfillment, Self::Refund];

    /// Its index in [`Entity::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its name in a definition.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::LineItem => "line_item",
            Self::Fulfillment => "fulfillment",
            Self::Refund => "refund",
        }
    }
}

/// A part of an order, by its kind and its order of creation; the order itself has index 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderPart {
    /// Its kind.
    pub entity: Entity,
    /// The index among those of its kind.
    pub index: u16,
}

impl OrderPart {
    /// The order itself.
    pub const ORDER: Self = Self {
        entity: Entity::Order,
        index: 0,
    };

    /// A line item.
    #[must_use]
    pub fn item(index: u16) -> Self {
        Self {
            entity: Entity::LineItem,
            index,
        }
    }

    /// A fulfillment.
    #[must_use]
    pub fn fulfillment(index: u16) -> Self {
        Self {
            entity: Entity::Fulfillment,
            index,
        }
    }

    /// A refund.
    #[must_use]
    pub fn refund(index: u16) -> Self {
        Self {
            entity: Entity::Refund,
            index,
        }
    }
}

/// Whether the order still has the spots of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spots {
    /// It has them.
    Held,
    /// They were given back, for good.
    Released,
}

/// A line item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeItem<S = StateIx> {
    /// Its state.
    pub state: S,
    /// Its spots.
    pub spots: Spots,
    /// The fulfillment that it is in.
    pub fulfillment: Option<u16>,
}

/// Where a fulfillment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// As the order says.
    Order,
    /// The customer's e-mail address.
    Email,
    /// The customer's postal address.
    Address,
}

/// Items that reach the customer together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fulfillment<S = StateIx> {
    /// Its state.
    pub state: S,
    /// Its items, in the order in which they were linked. Empty once it was removed.
    pub items: SmallVec<[u16; 4]>,
    /// Where it goes.
    pub destination: Destination,
    /// Its delivery, once that has a reference.
    pub shipment: Option<Shipment>,
    /// Whether it was removed as empty. It keeps its index, so that ids stay.
    pub is_removed: bool,
}

/// Money that is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund<S = StateIx> {
    /// Its state.
    pub state: S,
    /// How much, and of which items.
    pub amount: RefundAmount,
    /// Who caused it.
    pub cause: RefundCause,
}

/// A later transition. A part has one timer of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer<S = StateIx> {
    /// Its name.
    pub name: Name,
    /// The part that it moves.
    pub part: OrderPart,
    /// When it fires.
    pub due: EpochSeconds,
    /// The state that it asks for.
    pub to: S,
}

/// A piece of work in the outside world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepKind {
    /// Charge the customer.
    Charge,
    /// End a charge of unknown outcome with nothing taken.
    ReverseCharge,
    /// Take what was authorized.
    Capture,
    /// End an authorization.
    Void,
    /// Give money back.
    Refund,
    /// Book a delivery.
    BookDelivery,
    /// Cancel a delivery.
    CancelDelivery,
    /// Erase the personal data of the order.
    EraseCustomer,
    /// Work that the partner has named.
    Custom(Name),
}

/// A step without an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenStep {
    /// Its number within the order, from 1; part of its idempotency key.
    pub number: u16,
    /// What is to be done.
    pub kind: StepKind,
    /// For which part.
    pub part: OrderPart,
    /// When it is to begin.
    pub due: EpochSeconds,
    /// The amount, if money moves.
    pub amount: Option<Money>,
}

/// A step that has failed and may be done all the same, if a person has it tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUpStep {
    /// The step. Tried again, it keeps its number.
    pub step: OpenStep,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong last.
    pub error: String,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepResult {
    /// It was done.
    Done,
    /// It was not done and will not be.
    Failed,
}

/// How the last step of a kind ended that a part had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedStep {
    /// The kind.
    pub kind: StepKind,
    /// The part.
    pub part: OrderPart,
    /// How it ended.
    pub result: StepResult,
}

/// An order with all its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderTree<S = StateIx, E = EventSet> {
    /// State of the order itself.
    pub state: S,
    /// Line items, in the order of the order.
    pub items: SmallVec<[TreeItem<S>; 4]>,
    /// Fulfillments, in the order of creation.
    pub fulfillments: Vec<Fulfillment<S>>,
    /// Refunds, in the order of creation.
    pub refunds: Vec<Refund<S>>,
    /// What is not to be captured of an authorization, in the form of refunds.
    pub reductions: Vec<RefundAmount>,
    /// What was paid and given back.
    pub ledger: PaymentLedger,
    /// Timers that are set.
    pub timers: Vec<Timer<S>>,
    /// Steps without an outcome.
    pub steps: Vec<OpenStep>,
    /// Steps that were given up, until they are tried again, another of their kind takes their place, or a person leaves
    /// them alone.
    pub given_up: Vec<GivenUpStep>,
    /// The last outcome of each kind of step that each part had.
    pub ended: Vec<EndedStep>,
    /// Steps launched so far.
    pub launches: u16,
    /// Why it was withdrawn or cancelled last.
    pub reason: Option<Name>,
    /// What definition and partner have noted.
    pub information: BTreeMap<Name, InfoValue>,
    /// Levels of alerts above 0.
    pub alerts: BTreeMap<Name, u32>,
    /// The events that it has emitted.
    pub emitted: E,
    /// The number of events that it has emitted.
    pub events: u32,
    /// The number of runs that have changed it.
    pub version: u32,
}

/// An order as it is on record: with the names of its states and events.
pub type NamedTree = OrderTree<Name, BTreeSet<Name>>;

impl<S, E> OrderTree<S, E> {
    /// Whether anything of it happens by itself, or waits for a person to have it tried again: it has a timer, or a step
    /// that is open or was given up.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.timers.is_empty() || !self.steps.is_empty() || !self.given_up.is_empty()
    }
}

impl OrderTree {
    /// An order before its beginning, with its spots taken.
    #[must_use]
    pub fn new(definition: &Definition, items: u16, ledger: PaymentLedger) -> Self {
        let item = TreeItem {
            state: definition.entity(Entity::LineItem).start,
            spots: Spots::Held,
            fulfillment: None,
        };
        let mut all = SmallVec::with_capacity(usize::from(items));
        all.resize(usize::from(items), item);
        Self {
            state: definition.entity(Entity::Order).start,
            items: all,
            fulfillments: Vec::new(),
            refunds: Vec::new(),
            reductions: Vec::new(),
            ledger,
            timers: Vec::new(),
            steps: Vec::new(),
            given_up: Vec::new(),
            ended: Vec::new(),
            launches: 0,
            reason: None,
            information: BTreeMap::new(),
            alerts: BTreeMap::new(),
            emitted: EventSet::default(),
            events: 0,
            version: 0,
        }
    }

    /// Whether another order stands like this one, whatever was paid for either.
    #[must_use]
    pub fn stands_like(&self, other: &Self) -> bool {
        let Self {
            state,
            items,
            fulfillments,
            refunds,
            reductions,
            ledger: _,
            timers,
            steps,
            given_up,
            ended,
            launches,
            reason,
            information,
            alerts,
            emitted,
            events,
            version,
        } = self;
        *state == other.state
            && *items == other.items
            && *fulfillments == other.fulfillments
            && *refunds == other.refunds
            && *reductions == other.reductions
            && *timers == other.timers
            && *steps == other.steps
            && *given_up == other.given_up
            && *ended == other.ended
            && *launches == other.launches
            && *reason == other.reason
            && *information == other.information
            && *alerts == other.alerts
            && *emitted == other.emitted
            && *events == other.events
            && *version == other.version
    }

    /// The state of a part; `None` if there is no such part.
    #[must_use]
    pub fn state_of(&self, part: OrderPart) -> Option<StateIx> {
        let index = usize::from(part.index);
        match part.entity {
            Entity::Order => (index == 0).then_some(self.state),
            Entity::LineItem => Some(self.items.get(index)?.state),
            Entity::Fulfillment => {
                let found = self.fulfillments.get(index)?;
                (!found.is_removed).then_some(found.state)
            }
            Entity::Refund => Some(self.refunds.get(index)?.state),
        }
    }

    /// Sets the state of a part, if there is such a part.
    pub(super) fn set_state(&mut self, part: OrderPart, state: StateIx) {
        let index = usize::from(part.index);
        let place = match part.entity {
            Entity::Order => Some(&mut self.state),
            Entity::LineItem => self.items.get_mut(index).map(|it| &mut it.state),
            Entity::Fulfillment => self.fulfillments.get_mut(index).map(|it| &mut it.state),
            Entity::Refund => self.refunds.get_mut(index).map(|it| &mut it.state),
        };
        if let Some(place) = place {
            *place = state;
        }
    }

    /// The timer of that name on a part.
    #[must_use]
    pub fn timer(&self, part: OrderPart, name: &str) -> Option<&Timer> {
        let mut timers = self.timers.iter();
        timers.find(|it| it.part == part && it.name.as_str() == name)
    }

    /// The open step of a kind on a part.
    #[must_use]
    pub fn open_step(&self, part: OrderPart, kind: &StepKind) -> Option<&OpenStep> {
        let mut steps = self.steps.iter();
        steps.find(|it| it.part == part && it.kind == *kind)
    }

    /// How the last step of a kind ended that a part had.
    #[must_use]
    pub fn last_result(&self, part: OrderPart, kind: &StepKind) -> Option<StepResult> {
        let mut ended = self.ended.iter();
        let last = ended.find(|it| it.part == part && it.kind == *kind)?;
        Some(last.result)
    }
}
