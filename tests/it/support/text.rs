//! Answers in one line of text, to stand in tables.

use boxoffice::api::booking::proto::v3::{
    LineItem, LineItemFulfillability, OrderFailure, OrderFulfillability, Price, TicketType,
    line_item::WarningReason,
    line_item_fulfillability::{ViolatedTicketConstraint, violated_ticket_constraint::Value},
};

/// The verdict on each item, with " | " between: the result, then the spots open, the price where
/// it is corrected, the warning, the bounds that are broken, the ticket types with their prices.
pub(crate) fn describe(asked: &[LineItem], verdict: &OrderFulfillability) -> String {
    let items = asked.iter().zip(&verdict.item_fulfillability);
    items
        .map(|(asked, item)| describe_item(asked, item))
        .collect::<Vec<_>>()
        .join(" | ")
}

/// The cause of a failure, then, if it has one, the verdict on the order and on each item.
pub(crate) fn describe_failure(asked: &[LineItem], failure: &OrderFailure) -> String {
    let cause = failure.cause().as_str_name();
    match &failure.fulfillability {
        None => cause.to_owned(),
        Some(verdict) => {
            format!(
                "{cause}: {}: {}",
                verdict.result().as_str_name(),
                describe(asked, verdict)
            )
        }
    }
}

/// A price as its currency and its micro-units.
pub(crate) fn amount(price: &Price) -> String {
    format!("{}{}", price.currency_code, price.price_micros)
}

fn describe_item(asked: &LineItem, item: &LineItemFulfillability) -> String {
    let answered = item.item.as_ref().unwrap();
    let mut words = vec![item.result().as_str_name().to_owned()];
    words.extend(
        item.availability
            .map(|availability| availability.spots_open.to_string()),
    );
    words.extend(
        answered
            .price
            .as_ref()
            .filter(|_| answered.price != asked.price)
            .map(amount),
    );
    if answered.warning_reason() != WarningReason::UnspecifiedWarningReason {
        words.push(answered.warning_reason().as_str_name().to_owned());
    }
    words.extend(item.violated_ticket_constraint.iter().map(bound));
    words.extend(item.ticket_type.iter().map(unit_price));
    words.join(" ")
}

fn bound(violated: &ViolatedTicketConstraint) -> String {
    let value = match violated.value.unwrap() {
        Value::MinTicketCount(min) => format!("min={min}"),
        Value::MaxTicketCount(max) => format!("max={max}"),
    };
    if violated.ticket_id.is_empty() {
        value
    } else {
        format!("{}-{value}", violated.ticket_id)
    }
}

fn unit_price(ticket: &TicketType) -> String {
    format!(
        "{}={}",
        ticket.ticket_type_id,
        amount(ticket.price.as_ref().unwrap())
    )
}
