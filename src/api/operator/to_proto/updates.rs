//! What has become of an order after its sale.

use super::{AttemptsShown, TypedTexts, View, order_name, time_zone, timestamp, v1};
use domain::{
    ledger::{LedgerEntry, LedgerKind, PaymentStatus},
    lifecycle::{Entity, GivenUpStep, NamedTree, OpenStep, OrderPart, SkipReason, StepKind},
    money::Money,
    order::{Order, OrderId},
    refunds::RefundCause,
    shipment::ShipmentStatus,
};
use orders::{
    steps::StepAttempts,
    update::{NextState, OrderAction, RefundInput},
};
use store::{OrderUpdate, SkippedChange, UpdateCause};

impl View<'_> {
    /// The parts of an order that are there only after an update.
    pub(super) fn parts(&self, order: &Order, tree: &NamedTree) -> v1::Order {
        let id = &order.id;
        v1::Order {
            fulfillments: fulfillments(id, tree),
            refunds: refunds(id, tree),
            timers: timers(id, tree),
            steps: self.steps(order, tree),
            alerts: alerts(tree),
            reason: tree
                .reason
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
            ..v1::Order::default()
        }
    }

    /// The steps of an order that were given up, and those that have no outcome yet.
    pub(in super::super) fn steps(&self, order: &Order, tree: &NamedTree) -> Vec<v1::Step> {
        let id = &order.id;
        let zone = time_zone(self.catalog, &order.merchant_id);
        let mut steps = Vec::with_capacity(tree.given_up.len() + tree.steps.len());
        for GivenUpStep {
            step,
            attempts,
            error,
        } in &tree.given_up
        {
            steps.push(v1::Step {
                state: "given_up".to_owned(),
                attempts: *attempts,
                last_error: error.clone(),
                ..step_named(id, step, &zone)
            });
        }
        for step in &tree.steps {
            let tried = match self.attempts {
                AttemptsShown::Yes => self.app.step_attempts(id, step.number),
                AttemptsShown::No => None,
            };
            let StepAttempts {
                attempts,
                last_error,
                due,
            } = tried.unwrap_or(StepAttempts {
                due: step.due,
                ..StepAttempts::default()
            });
            steps.push(v1::Step {
                state: "open".to_owned(),
                attempts,
                due_time: Some(timestamp(due)),
                last_error,
                ..step_named(id, step, &zone)
            });
        }
        steps
    }
}

/// What is the same of a step however it stands.
fn step_named(id: &OrderId, step: &OpenStep, zone: &str) -> v1::Step {
    v1::Step {
        name: format!("{}/steps/{}", order_name(id), step.number),
        kind: step_kind(&step.kind).to_owned(),
        target: part_name(id, step.part),
        time_zone: zone.to_owned(),
        ..v1::Step::default()
    }
}

/// The payment as the ledger has it; one without entries is as at the sale.
pub(super) fn payment(at_sale: v1::Payment, tree: &NamedTree) -> v1::Payment {
    let ledger = &tree.ledger;
    if ledger.entries().is_empty() {
        return at_sale;
    }
    let balance = ledger.balance();
    let mut entries: Vec<_> = ledger.entries().iter().map(ledger_entry).collect();
    // The id of the charge stands with the order and not in the ledger.
    if let Some(charge) = at_sale.entries.first()
        && let Some(entry) = entries.iter_mut().find(|it| it.kind == charge.kind)
    {
        entry.transaction_id.clone_from(&charge.transaction_id);
    }
    v1::Payment {
        state: payment_status(ledger.status()).to_owned(),
        captured: amount(balance.captured),
        refunded: amount(balance.refunded),
        refundable: amount(ledger.refundable()),
        entries,
        ..at_sale
    }
}

fn payment_status(status: PaymentStatus) -> &'static str {
    match status {
        PaymentStatus::NotRequired => "",
        PaymentStatus::Pending => "pending",
        PaymentStatus::Authorized => "authorized",
        PaymentStatus::Captured => "captured",
        PaymentStatus::Declined => "declined",
        PaymentStatus::Refunded => "refunded",
        PaymentStatus::InDoubt => "in_doubt",
    }
}

fn fulfillments(id: &OrderId, tree: &NamedTree) -> Vec<v1::Fulfillment> {
    let mut fulfillments = Vec::new();
    for (index, fulfillment) in (0..).zip(&tree.fulfillments) {
        // A removed one keeps its index only.
        if fulfillment.is_removed {
            continue;
        }
        let shipment = fulfillment.shipment.as_ref();
        fulfillments.push(v1::Fulfillment {
            name: part_name(id, OrderPart::fulfillment(index)),
            state: fulfillment.state.to_string(),
            items: fulfillment
                .items
                .iter()
                .map(|item| (*item).into())
                .collect(),
            shipment_reference: shipment
                .map_or_else(String::new, |shipment| shipment.reference.clone()),
            shipment_status: shipment
                .map_or("", |shipment| shipment_status(shipment.status))
                .to_owned(),
            ..v1::Fulfillment::default()
        });
    }
    fulfillments
}

fn refunds(id: &OrderId, tree: &NamedTree) -> Vec<v1::Refund> {
    let mut refunds = Vec::with_capacity(tree.refunds.len());
    for (index, refund) in (0..).zip(&tree.refunds) {
        // Of others nothing was left.
        let items = refund.amount.items.iter();
        let items = items.filter(|item| !item.amount.is_zero());
        let cause = match refund.cause {
            RefundCause::Merchant => "caused_by_merchant",
            RefundCause::Customer => "cancelled_by_customer",
            RefundCause::Goodwill => "goodwill",
        };
        refunds.push(v1::Refund {
            name: part_name(id, OrderPart::refund(index)),
            state: refund.state.to_string(),
            amount: amount(refund.amount.total),
            items: items.map(|item| item.item.into()).collect(),
            cause: cause.to_owned(),
        });
    }
    refunds
}

fn timers(id: &OrderId, tree: &NamedTree) -> Vec<v1::Timer> {
    let mut timers = Vec::with_capacity(tree.timers.len());
    for timer in &tree.timers {
        timers.push(v1::Timer {
            timer_id: timer.name.to_string(),
            target: part_name(id, timer.part),
            due_time: Some(timestamp(timer.due)),
            to_state: timer.to.to_string(),
        });
    }
    timers
}

/// A change of state that could be asked for.
pub(super) fn next_state(id: &OrderId, next: &NextState) -> v1::NextState {
    let action = match next.action {
        OrderAction::Cancel => "cancel",
        OrderAction::Amend => "amend",
        OrderAction::Withdraw => "withdraw",
        OrderAction::Confirm => "confirm",
        OrderAction::Decline => "decline",
        OrderAction::MarkNoShow => "no_show",
        OrderAction::ChangeState => "change_state",
    };
    let why_not = next.why_not.as_ref();
    v1::NextState {
        target: part_name(id, next.part),
        to_state: next.to.clone(),
        action: action.to_owned(),
        why_not: why_not.map_or_else(String::new, ToString::to_string),
        inputs: inputs(next),
    }
}

/// What goes with the request for a change of state, beside its terms.
fn inputs(next: &NextState) -> Vec<v1::NextInput> {
    const SHARES: [&str; 4] = ["by_policy", "full", "nothing", "amount"];
    let mut inputs = Vec::new();
    // Without terms of the sale there is no policy to go by.
    let (shares, is_required) = match next.refund {
        RefundInput::None => (&SHARES[..0], false),
        RefundInput::Optional => (&SHARES[..], false),
        RefundInput::Required => (&SHARES[1..], true),
    };
    if !shares.is_empty() {
        inputs.push(input("refund", "RefundTerms", shares, is_required));
    }
    match next.action {
        OrderAction::Withdraw => {
            inputs.push(input("keep_off_sale", "bool", &[], false));
            inputs.push(input("reason", "string", &[], false));
        }
        OrderAction::Cancel
        | OrderAction::Confirm
        | OrderAction::Decline
        | OrderAction::ChangeState => inputs.push(input("reason", "string", &[], false)),
        OrderAction::Amend | OrderAction::MarkNoShow => {}
    }
    inputs
}

fn input(name: &str, kind: &str, allowed: &[&str], is_required: bool) -> v1::NextInput {
    v1::NextInput {
        name: name.to_owned(),
        r#type: kind.to_owned(),
        allowed: allowed.iter().map(|&value| value.to_owned()).collect(),
        required: is_required,
    }
}

fn alerts(tree: &NamedTree) -> Vec<v1::Alert> {
    let mut alerts = Vec::with_capacity(tree.alerts.len());
    for (name, level) in &tree.alerts {
        alerts.push(v1::Alert {
            alert_id: name.to_string(),
            level: *level,
        });
    }
    alerts
}

/// An update in the history of its order.
pub(in super::super) fn entry(update: OrderUpdate, texts: TypedTexts) -> v1::HistoryEntry {
    let OrderUpdate {
        order,
        revision,
        updated_sec,
        entry,
        answer,
        tree: _,
        released: _,
    } = update;
    let cause = cause(entry.cause);
    let mut transitions = Vec::with_capacity(entry.changes.len());
    for change in &entry.changes {
        transitions.push(v1::Transition {
            target: part_name(&order, change.part),
            from_state: change.from.to_string(),
            to_state: change.to.to_string(),
        });
    }
    let skipped = entry.skipped.iter();
    let events = entry.events.iter();
    let released = entry.released_items.iter();
    v1::HistoryEntry {
        revision,
        time: Some(timestamp(updated_sec)),
        cause: cause.to_owned(),
        actor: entry.actor.as_deref().unwrap_or_default().to_owned(),
        request_id: answer.map_or_else(String::new, |answer| answer.request_id),
        lifecycle_revision: entry.lifecycle,
        transitions,
        skipped: skipped
            .map(|skipped| skipped_text(&order, skipped))
            .collect(),
        events: events.map(|event| event.name.to_string()).collect(),
        ledger: entry.ledger.iter().map(ledger_entry).collect(),
        released_items: released.map(|item| (*item).into()).collect(),
        reason: texts.show(entry.texts.reason),
        note: texts.show(entry.texts.note),
    }
}

fn cause(cause: UpdateCause) -> &'static str {
    match cause {
        UpdateCause::Operator => "operator",
        UpdateCause::Customer => "customer",
        UpdateCause::Merchant => "withdrawal",
        UpdateCause::Timer => "timer",
        UpdateCause::Step => "step",
    }
}

/// An update that took back items of its order.
pub(in super::super) fn cancellation(update: OrderUpdate, texts: TypedTexts) -> v1::Cancellation {
    let entry = update.entry;
    let items = entry.released_items.iter();
    v1::Cancellation {
        time: Some(timestamp(update.updated_sec)),
        cause: cause(entry.cause).to_owned(),
        actor: entry.actor.as_deref().unwrap_or_default().to_owned(),
        reason: texts.show(entry.texts.reason),
        items: items.map(|item| (*item).into()).collect(),
    }
}

fn skipped_text(order: &OrderId, skipped: &SkippedChange) -> String {
    let reason = match skipped.reason {
        SkipReason::NoTransition => "no transition",
        SkipReason::Condition => "a condition does not hold",
        SkipReason::LateTimer => "the timer is not set any more",
        SkipReason::LateStep => "the step is not open any more",
        SkipReason::LateReport => "the report is behind what is known",
    };
    let target = part_name(order, skipped.part);
    match &skipped.to {
        Some(to) => format!("{target} to {to}: {reason}"),
        None => format!("{target}: {reason}"),
    }
}

fn ledger_entry(entry: &LedgerEntry) -> v1::LedgerEntry {
    let kind = match entry.kind {
        LedgerKind::Authorized => "authorized",
        LedgerKind::Captured => "captured",
        LedgerKind::Declined => "declined",
        LedgerKind::Voided => "voided",
        LedgerKind::Reduced => "reduced",
        LedgerKind::RefundRequested => "refund_requested",
        LedgerKind::Refunded => "refunded",
        LedgerKind::RefundFailed => "refund_failed",
        LedgerKind::InDoubt => "in_doubt",
        LedgerKind::Settled => "settled",
    };
    v1::LedgerEntry {
        kind: kind.to_owned(),
        amount: amount(entry.amount),
        transaction_id: String::new(),
        time: Some(timestamp(entry.at)),
    }
}

/// The name of a part. Fulfillments and refunds count from 1, items from 0 as in requests.
fn part_name(order: &OrderId, part: OrderPart) -> String {
    let (name, index) = (order_name(order), u32::from(part.index));
    match part.entity {
        Entity::Order => name,
        Entity::LineItem => format!("{name}/items/{index}"),
        Entity::Fulfillment => format!("{name}/fulfillments/{}", index + 1),
        Entity::Refund => format!("{name}/refunds/{}", index + 1),
    }
}

fn step_kind(kind: &StepKind) -> &str {
    match kind {
        StepKind::Charge => "charge",
        StepKind::ReverseCharge => "reverse_charge",
        StepKind::Capture => "capture",
        StepKind::Void => "void",
        StepKind::Refund => "refund",
        StepKind::BookDelivery => "book_delivery",
        StepKind::CancelDelivery => "cancel_delivery",
        StepKind::EraseCustomer => "erase_personal_data",
        StepKind::Custom(name) => name.as_str(),
    }
}

fn shipment_status(status: ShipmentStatus) -> &'static str {
    match status {
        ShipmentStatus::Pending => "pending",
        ShipmentStatus::Booked => "booked",
        ShipmentStatus::Dispatched => "dispatched",
        ShipmentStatus::Delivered => "delivered",
    }
}

/// An amount; `None` for one beyond what micros can say.
fn amount(money: Money) -> Option<v1::Amount> {
    Some(v1::Amount {
        micros: money.to_micros().ok()?,
        currency_code: money.currency().code().to_owned(),
    })
}
