//! The order as it stands, on record.

use domain::{
    ledger::{LedgerEntry, PaymentLedger},
    lifecycle::{
        EndedStep, Fulfillment, GivenUpStep, InfoValue, Name, NamedTree, OpenStep, OrderPart,
        Refund, Spots, StepKind, Timer, TreeItem,
    },
    money::{Currency, Money, Percent},
    refunds::{RefundAmount, RefundedItem},
    shipment::Shipment,
    time::EpochSeconds,
};

use super::{small, variant, variants::Mirrored};
use crate::record::{RecordError, decode::out_of_range, micros, proto};

pub(super) fn to_record(tree: &NamedTree) -> proto::OrderTree {
    let ledger = &tree.ledger;
    proto::OrderTree {
        state: text(&tree.state),
        item: tree.items.iter().map(item_to_record).collect(),
        fulfillment: tree
            .fulfillments
            .iter()
            .map(fulfillment_to_record)
            .collect(),
        refund: tree.refunds.iter().map(refund_to_record).collect(),
        reduction: tree.reductions.iter().map(amount_to_record).collect(),
        paid_by: ledger.paid_by().number(),
        currency_code: ledger.due().currency().code().to_owned(),
        due_micros: micros(ledger.due()),
        ledger: ledger.entries().iter().map(entry_to_record).collect(),
        timer: tree.timers.iter().map(timer_to_record).collect(),
        step: tree.steps.iter().map(step_to_record).collect(),
        ended: tree.ended.iter().map(ended_to_record).collect(),
        launches: tree.launches.into(),
        reason: tree.reason.as_ref().map(text),
        information: tree.information.iter().map(information_to_record).collect(),
        alert: tree.alerts.iter().map(alert_to_record).collect(),
        emitted: tree.emitted.iter().map(text).collect(),
        events: tree.events,
        version: tree.version,
        given_up: tree.given_up.iter().map(given_up_to_record).collect(),
    }
}

pub(super) fn from_record(record: proto::OrderTree) -> Result<NamedTree, RecordError> {
    let proto::OrderTree {
        state,
        item,
        fulfillment,
        refund,
        reduction,
        paid_by,
        currency_code,
        due_micros,
        ledger,
        timer,
        step,
        ended,
        launches,
        reason,
        information,
        alert,
        emitted,
        events,
        version,
        given_up,
    } = record;
    let currency = Currency::from_code(&currency_code)
        .ok_or_else(|| RecordError::UnknownCurrency(currency_code.clone()))?;
    let due = Money::from_micros(due_micros, currency);
    let entries = entries_from_record(ledger, currency)?;
    let ledger = PaymentLedger::with_entries(variant(paid_by)?, due, entries)
        .map_err(|_| out_of_range("ledger entry", due_micros))?;
    Ok(NamedTree {
        state: name(state),
        items: each(item, item_from_record)?.into(),
        fulfillments: each(fulfillment, fulfillment_from_record)?,
        refunds: each(refund, |refund| refund_from_record(refund, currency))?,
        reductions: each(reduction, |amount| amount_from_record(amount, currency))?,
        ledger,
        timers: each(timer, timer_from_record)?,
        steps: each(step, |step| step_from_record(step, currency))?,
        given_up: each(given_up, |step| given_up_from_record(step, currency))?,
        ended: each(ended, ended_from_record)?,
        launches: small("number of steps", launches)?,
        reason: reason.map(name),
        information: each(information, information_from_record)?
            .into_iter()
            .collect(),
        alerts: alert.into_iter().map(alert_from_record).collect(),
        emitted: emitted.into_iter().map(name).collect(),
        events,
        version,
    })
}

/// Each of the messages as a value.
pub(in crate::record) fn each<M, T>(
    messages: Vec<M>,
    from_record: impl Fn(M) -> Result<T, RecordError>,
) -> Result<Vec<T>, RecordError> {
    messages.into_iter().map(from_record).collect()
}

pub(in crate::record) fn text(name: &Name) -> String {
    name.as_str().to_owned()
}

pub(in crate::record) fn name(text: String) -> Name {
    Name::from(text)
}

pub(super) fn part_to_record(part: OrderPart) -> proto::OrderPart {
    proto::OrderPart {
        kind: part.entity.number(),
        index: part.index.into(),
    }
}

pub(in crate::record) fn part_from_record(
    part: Option<proto::OrderPart>,
) -> Result<OrderPart, RecordError> {
    let proto::OrderPart { kind, index } = part.ok_or(RecordError::Missing("part of an order"))?;
    Ok(OrderPart {
        entity: variant(kind)?,
        index: small("index of a part", index)?,
    })
}

fn item_to_record(item: &TreeItem<Name>) -> proto::TreeItem {
    proto::TreeItem {
        state: text(&item.state),
        is_released: item.spots == Spots::Released,
        fulfillment: item.fulfillment.map(u32::from),
    }
}

fn item_from_record(item: proto::TreeItem) -> Result<TreeItem<Name>, RecordError> {
    let fulfillment = item.fulfillment.map(|index| small("fulfillment", index));
    Ok(TreeItem {
        state: name(item.state),
        spots: if item.is_released {
            Spots::Released
        } else {
            Spots::Held
        },
        fulfillment: fulfillment.transpose()?,
    })
}

fn fulfillment_to_record(fulfillment: &Fulfillment<Name>) -> proto::Fulfillment {
    let shipment = fulfillment.shipment.as_ref();
    proto::Fulfillment {
        state: text(&fulfillment.state),
        item: fulfillment.items.iter().copied().map(u32::from).collect(),
        destination: fulfillment.destination.number(),
        shipment: shipment.map(|shipment| proto::Shipment {
            reference: shipment.reference.clone(),
            status: shipment.status.number(),
            updated_sec: shipment.updated.get(),
        }),
        is_removed: fulfillment.is_removed,
    }
}

fn fulfillment_from_record(
    fulfillment: proto::Fulfillment,
) -> Result<Fulfillment<Name>, RecordError> {
    let items = each(fulfillment.item, |index| small("item", index))?;
    Ok(Fulfillment {
        state: name(fulfillment.state),
        items: items.into(),
        destination: variant(fulfillment.destination)?,
        shipment: fulfillment.shipment.map(shipment_from_record).transpose()?,
        is_removed: fulfillment.is_removed,
    })
}

fn shipment_from_record(shipment: proto::Shipment) -> Result<Shipment, RecordError> {
    Ok(Shipment {
        reference: shipment.reference,
        status: variant(shipment.status)?,
        updated: EpochSeconds::new(shipment.updated_sec),
    })
}

fn refund_to_record(refund: &Refund<Name>) -> proto::Refund {
    proto::Refund {
        state: text(&refund.state),
        amount: Some(amount_to_record(&refund.amount)),
        cause: refund.cause.number(),
    }
}

fn refund_from_record(
    refund: proto::Refund,
    currency: Currency,
) -> Result<Refund<Name>, RecordError> {
    let amount = refund
        .amount
        .ok_or(RecordError::Missing("amount of a refund"))?;
    Ok(Refund {
        state: name(refund.state),
        amount: amount_from_record(amount, currency)?,
        cause: variant(refund.cause)?,
    })
}

fn amount_to_record(amount: &RefundAmount) -> proto::RefundAmount {
    let items = amount.items.iter().map(|refunded| proto::RefundedItem {
        item: refunded.item.into(),
        percent: refunded.percent.get().into(),
        amount_micros: micros(refunded.amount),
    });
    proto::RefundAmount {
        total_micros: micros(amount.total),
        item: items.collect(),
        order_fees_micros: micros(amount.order_fees),
    }
}

fn amount_from_record(
    amount: proto::RefundAmount,
    currency: Currency,
) -> Result<RefundAmount, RecordError> {
    Ok(RefundAmount {
        total: Money::from_micros(amount.total_micros, currency),
        items: each(amount.item, |item| refunded_from_record(&item, currency))?,
        order_fees: Money::from_micros(amount.order_fees_micros, currency),
    })
}

fn refunded_from_record(
    item: &proto::RefundedItem,
    currency: Currency,
) -> Result<RefundedItem, RecordError> {
    let percent = u8::try_from(item.percent).ok().and_then(Percent::new);
    Ok(RefundedItem {
        item: small("refunded item", item.item)?,
        percent: percent.ok_or_else(|| out_of_range("percent", item.percent))?,
        amount: Money::from_micros(item.amount_micros, currency),
    })
}

pub(super) fn entry_to_record(entry: &LedgerEntry) -> proto::LedgerEntry {
    proto::LedgerEntry {
        kind: entry.kind.number(),
        amount_micros: micros(entry.amount),
        at_sec: entry.at.get(),
        refund: entry.refund.map(u32::from),
    }
}

pub(super) fn entries_from_record(
    entries: Vec<proto::LedgerEntry>,
    currency: Currency,
) -> Result<Vec<LedgerEntry>, RecordError> {
    each(entries, |entry| {
        let refund = entry.refund.map(|index| small("refund", index));
        Ok(LedgerEntry {
            kind: variant(entry.kind)?,
            amount: Money::from_micros(entry.amount_micros, currency),
            at: EpochSeconds::new(entry.at_sec),
            refund: refund.transpose()?,
        })
    })
}

fn timer_to_record(timer: &Timer<Name>) -> proto::Timer {
    proto::Timer {
        name: text(&timer.name),
        part: Some(part_to_record(timer.part)),
        due_sec: timer.due.get(),
        to: text(&timer.to),
    }
}

fn timer_from_record(timer: proto::Timer) -> Result<Timer<Name>, RecordError> {
    Ok(Timer {
        name: name(timer.name),
        part: part_from_record(timer.part)?,
        due: EpochSeconds::new(timer.due_sec),
        to: name(timer.to),
    })
}

/// The kind on record, with the name of custom work.
fn kind_to_record(kind: &StepKind) -> (i32, String) {
    use proto::StepKind as Record;
    let (kind, custom) = match kind {
        StepKind::Charge => (Record::Charge, String::new()),
        StepKind::ReverseCharge => (Record::ReverseCharge, String::new()),
        StepKind::Capture => (Record::Capture, String::new()),
        StepKind::Void => (Record::Void, String::new()),
        StepKind::Refund => (Record::Refund, String::new()),
        StepKind::BookDelivery => (Record::BookDelivery, String::new()),
        StepKind::CancelDelivery => (Record::CancelDelivery, String::new()),
        StepKind::EraseCustomer => (Record::EraseCustomer, String::new()),
        StepKind::Custom(name) => (Record::Custom, text(name)),
    };
    (kind.into(), custom)
}

fn kind_from_record(kind: i32, custom: String) -> Result<StepKind, RecordError> {
    use proto::StepKind as Record;
    let known = match Record::try_from(kind) {
        Ok(Record::Charge) => StepKind::Charge,
        Ok(Record::ReverseCharge) => StepKind::ReverseCharge,
        Ok(Record::Capture) => StepKind::Capture,
        Ok(Record::Void) => StepKind::Void,
        Ok(Record::Refund) => StepKind::Refund,
        Ok(Record::BookDelivery) => StepKind::BookDelivery,
        Ok(Record::CancelDelivery) => StepKind::CancelDelivery,
        Ok(Record::EraseCustomer) => StepKind::EraseCustomer,
        Ok(Record::Custom) => return Ok(StepKind::Custom(name(custom))),
        Ok(Record::Unspecified) | Err(_) => return Err(out_of_range("kind of step", kind)),
    };
    if custom.is_empty() {
        Ok(known)
    } else {
        Err(RecordError::NotCanonical)
    }
}

fn step_to_record(step: &OpenStep) -> proto::OpenStep {
    let (kind, custom) = kind_to_record(&step.kind);
    proto::OpenStep {
        number: step.number.into(),
        kind,
        custom,
        part: Some(part_to_record(step.part)),
        due_sec: step.due.get(),
        amount_micros: step.amount.map(micros),
    }
}

fn step_from_record(step: proto::OpenStep, currency: Currency) -> Result<OpenStep, RecordError> {
    let amount = step.amount_micros;
    Ok(OpenStep {
        number: small("number of a step", step.number)?,
        kind: kind_from_record(step.kind, step.custom)?,
        part: part_from_record(step.part)?,
        due: EpochSeconds::new(step.due_sec),
        amount: amount.map(|micros| Money::from_micros(micros, currency)),
    })
}

fn given_up_to_record(given_up: &GivenUpStep) -> proto::GivenUpStep {
    proto::GivenUpStep {
        step: Some(step_to_record(&given_up.step)),
        attempts: given_up.attempts,
        error: given_up.error.clone(),
    }
}

fn given_up_from_record(
    given_up: proto::GivenUpStep,
    currency: Currency,
) -> Result<GivenUpStep, RecordError> {
    let step = given_up.step.ok_or(RecordError::Missing("given-up step"))?;
    Ok(GivenUpStep {
        step: step_from_record(step, currency)?,
        attempts: given_up.attempts,
        error: given_up.error,
    })
}

fn ended_to_record(ended: &EndedStep) -> proto::EndedStep {
    let (kind, custom) = kind_to_record(&ended.kind);
    proto::EndedStep {
        kind,
        custom,
        part: Some(part_to_record(ended.part)),
        result: ended.result.number(),
    }
}

fn ended_from_record(ended: proto::EndedStep) -> Result<EndedStep, RecordError> {
    Ok(EndedStep {
        kind: kind_from_record(ended.kind, ended.custom)?,
        part: part_from_record(ended.part)?,
        result: variant(ended.result)?,
    })
}

pub(super) fn information_to_record((key, value): (&Name, &InfoValue)) -> proto::Information {
    use proto::information::Value;
    let value = match value {
        InfoValue::Text(name) => Value::Text(text(name)),
        InfoValue::Integer(number) => Value::Integer(*number),
        InfoValue::Flag(flag) => Value::Flag(*flag),
    };
    proto::Information {
        key: text(key),
        value: Some(value),
    }
}

pub(super) fn information_from_record(
    noted: proto::Information,
) -> Result<(Name, InfoValue), RecordError> {
    use proto::information::Value;
    let value = match noted.value.ok_or(RecordError::Missing("value"))? {
        Value::Text(text) => InfoValue::Text(name(text)),
        Value::Integer(number) => InfoValue::Integer(number),
        Value::Flag(flag) => InfoValue::Flag(flag),
    };
    Ok((name(noted.key), value))
}

fn alert_to_record((alert, level): (&Name, &u32)) -> proto::Alert {
    proto::Alert {
        name: text(alert),
        level: *level,
    }
}

fn alert_from_record(alert: proto::Alert) -> (Name, u32) {
    (name(alert.name), alert.level)
}
