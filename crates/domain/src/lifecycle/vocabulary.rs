//! The conditions and actions that a definition may use.

use std::sync::Arc;

use super::{
    EventIx, Name, StateIx, StateSet,
    tree::{Destination, Entity, StepKind},
};
use crate::{
    ledger::{PaidBy, PaymentStatus},
    money::Percent,
    shipment::DeliveryType,
    slot::Confirmation,
    time::Seconds,
};

/// A value of an order's information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InfoValue {
    /// A text.
    Text(Name),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Flag(bool),
}

/// Which line items a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemScope {
    /// Those of the part: all of an order, its own of a fulfillment or refund, an item itself.
    Own,
    /// All of the order.
    All,
}

/// Which parts an update moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateScope {
    /// Those that belong to the part.
    Own,
    /// All of the order.
    All,
    /// Those of the same fulfillment.
    Fulfillment,
    /// Line items of the same service.
    SameService,
    /// Line items of the order whose slot has not begun.
    ToCome,
}

/// A condition. Of a list all have to hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The order's state is among these.
    OrderIn(StateSet),
    /// Each line item in scope is in one of these states; true where there is none.
    AllItemsIn(StateSet, ItemScope),
    /// At least one line item in scope is.
    OneItemIn(StateSet, ItemScope),
    /// Each line item of the order in one of these states is in a fulfillment; `None` for any state.
    ItemsInFulfillments(Option<StateSet>),
    /// Each fulfillment of the order is in one of these states.
    AllFulfillmentsIn {
        /// The states.
        states: StateSet,
        /// The answer where there is none.
        if_exists: bool,
    },
    /// At least one fulfillment of the order is.
    OneFulfillmentIn(StateSet),
    /// There are fulfillments in scope, and each has a delivery reference.
    FulfillmentsHaveShipment,
    /// The payment is in one of these, with its amount.
    PaymentIn(Vec<PaymentStatus>),
    /// The way of delivery is among these.
    DeliveryIn(Vec<DeliveryType>),
    /// The order is paid by one of these.
    PaidByIn(Vec<PaidBy>),
    /// The item's spots are held.
    HoldsSpots,
    /// As many spots are open as the item takes.
    InStock,
    /// Who confirms the item is among these.
    ConfirmationIn(Vec<Confirmation>),
    /// The sales channel is among these.
    ChannelIn(Vec<Name>),
    /// The merchant is among these.
    MerchantIn(Vec<Name>),
    /// The order has emitted the event.
    EventSent(EventIx),
    /// The information, or the answer `intake.<question>`, is one of these values.
    InformationIn {
        /// Its name.
        key: Name,
        /// Values, all of one type.
        values: Vec<InfoValue>,
    },
    /// The last reason is among these.
    ReasonIn(Vec<Name>),
    /// The part's last step of that kind ended so.
    StepEnded(StepKind, super::StepResult),
    /// The earliest start in scope is at most that far ahead.
    StartsWithin(Seconds),
    /// Not all of these hold.
    Not(Vec<Condition>),
    /// One of these lists holds.
    AnyOf(Vec<Vec<Condition>>),
}

/// A move of parts to another state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateRule {
    /// The entity.
    pub entity: Entity,
    /// The target; `None` has automatic transitions tried.
    pub to: Option<StateIx>,
    /// Only parts in one of these states.
    pub from: Option<StateSet>,
    /// Which parts.
    pub scope: UpdateScope,
}

/// The direction of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentMove {
    /// Take what is authorized.
    Capture,
    /// Give back.
    Refund {
        /// Of which items.
        scope: RefundScope,
        /// How much.
        percent: PercentRule,
    },
}

/// Which items are given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundScope {
    /// All of the order.
    All,
    /// Those of the part.
    Own,
    /// Those whose spots were given back.
    CancelledItems,
    /// Those of them that the trigger has moved so far.
    MovedItems,
}

/// How much of an item is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PercentRule {
    /// What the terms of the sale say.
    Policy,
    /// That part.
    Fixed(Percent),
}

/// By what items are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkBy {
    /// All of the order.
    Order,
    /// Those of a service.
    Service,
    /// Each on its own.
    LineItem,
}

/// When a step is to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchTime {
    /// At once.
    Now,
    /// A day before the authorization of the payment ends.
    BeforeAuthorizationEnds,
    /// After that time.
    After(Seconds),
}

/// When a timer fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerDue {
    /// That long from now.
    In(Seconds),
    /// That long before the earliest start in scope.
    BeforeStart(Seconds),
    /// That long after the latest end in scope.
    AfterEnd(Seconds),
}

/// A timer to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerRule {
    /// Its name.
    pub name: Name,
    /// When it fires.
    pub due: TimerDue,
    /// At the latest that long before the earliest start in scope of what still stands and is still to come.
    pub not_after_start_minus: Option<Seconds>,
    /// At the earliest that long from now, whatever else it says.
    pub at_least: Option<Seconds>,
    /// The state that it asks for.
    pub to: StateIx,
}

/// What happens to the level of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertChange {
    /// It becomes that.
    Set(u32),
    /// It rises by that.
    Raise(u32),
    /// The alert ends.
    Clear,
}

/// An action.
#[derive(Debug, Clone, PartialEq)]
pub enum LifecycleAction {
    /// Moves parts to another state.
    Update(UpdateRule),
    /// Demands that the item's spots are held.
    KeepSpots,
    /// Gives the item's spots back; a second time nothing.
    ReleaseSpots,
    /// Takes or gives back money.
    Pay(PaymentMove),
    /// Ends all payment: authorized money is voided, captured money given back, a charge in doubt reversed.
    CancelPayments,
    /// Puts items without a fulfillment into one.
    Link {
        /// By what.
        by: LinkBy,
        /// States of fulfillments that take further items; otherwise a new one is made.
        reuse: StateSet,
    },
    /// Takes the item out of its fulfillment.
    Unlink {
        /// Whether a fulfillment without items is removed.
        remove_if_empty: bool,
    },
    /// Opens a step, or has an open one begin earlier.
    Launch {
        /// What.
        step: StepKind,
        /// When.
        at: LaunchTime,
    },
    /// Ends the delivery of the fulfillment.
    DeleteShipment {
        /// Whether the carrier is not to be asked.
        database_only: bool,
    },
    /// Sets a timer, replacing one of its name.
    SetTimer(TimerRule),
    /// Ends a timer.
    ClearTimer(Name),
    /// Emits an event.
    Emit {
        /// Which.
        event: EventIx,
        /// What goes with it.
        params: Option<Arc<[(Name, InfoValue)]>>,
    },
    /// Drops an event of this run.
    DropEvent(EventIx),
    /// Changes the level of an alert.
    Alert(Name, AlertChange),
    /// Notes an information.
    SetInformation(Name, InfoValue),
    /// Forgets the reason.
    RemoveReason,
    /// Decides where fulfillments go.
    AssignDestination(Destination),
    /// Has the personal data of the order erased.
    ErasePersonalData,
}
