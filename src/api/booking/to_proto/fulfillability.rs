//! Verdicts on carts, with prices, fees and ticket types.

use crate::api::booking::proto::v3;
use domain::{
    catalog::{Fee, FeedFees, LocalizedText, TicketType},
    constraints::{CountLimit, ViolatedConstraint},
    fees::{FeeTable, TicketFee},
    fulfillability::{Fulfillability, ItemFulfillability, ItemVerdict, MovedPrice, OrderVerdict},
    money::Money,
    pricing::PriceChange,
};

pub(super) fn fulfillability(answer: Fulfillability) -> v3::OrderFulfillability {
    use v3::order_fulfillability::OrderFulfillabilityResult as Wire;
    // Before the verdict is taken apart, because the reason is made from it.
    let reason = answer.reason();
    let Fulfillability { verdict, items } = answer;
    let result = match verdict {
        OrderVerdict::CanFulfill => Wire::CanFulfill,
        OrderVerdict::UnfulfillableItems => Wire::UnfulfillableLineItem,
        OrderVerdict::UnfulfillableServices(_) => Wire::UnfulfillableServiceCombination,
        OrderVerdict::Other(_) => Wire::OrderUnfulfillableOtherReason,
    };
    v3::OrderFulfillability {
        result: result.into(),
        item_fulfillability: items.into_iter().map(item_fulfillability).collect(),
        unfulfillable_reason: reason.unwrap_or_default(),
    }
}

fn item_fulfillability(answer: ItemFulfillability) -> v3::LineItemFulfillability {
    let ItemFulfillability {
        line,
        spots_open,
        verdict,
    } = answer;
    let mut item = super::order::line_item(line);
    let mut ticket_types = Vec::new();
    if let Some(MovedPrice {
        change,
        total: _,
        ticket_types: moved,
    }) = verdict.moved_price()
    {
        item.warning_reason = warning_reason(*change).into();
        ticket_types = moved.iter().map(ticket_type).collect();
    }
    let reason = verdict.reason();
    let (result, violated) = item_result(verdict);
    v3::LineItemFulfillability {
        item: Some(item),
        result: result.into(),
        unfulfillable_reason: reason.unwrap_or_default(),
        availability: spots_open.map(|spots| v3::line_item_fulfillability::UpdatedAvailability {
            spots_open: super::clamped(spots),
        }),
        ticket_type: ticket_types,
        violated_ticket_constraint: violated.into_iter().map(violated_constraint).collect(),
    }
}

fn item_result(
    verdict: ItemVerdict,
) -> (
    v3::line_item_fulfillability::ItemFulfillabilityResult,
    Vec<ViolatedConstraint>,
) {
    use v3::line_item_fulfillability::ItemFulfillabilityResult as Wire;
    let result = match verdict {
        ItemVerdict::TicketConstraintViolated(violated) => {
            return (Wire::TicketConstraintViolated, violated);
        }
        ItemVerdict::CanFulfill(_) => Wire::CanFulfill,
        ItemVerdict::SlotUnavailable(_) => Wire::SlotUnavailable,
        ItemVerdict::ChildTicketsWithoutAdult(_) => Wire::ChildTicketsWithoutAdult,
        ItemVerdict::UnfulfillableTickets(_) => Wire::UnfulfillableTicketCombination,
        ItemVerdict::IncorrectPrice(_) | ItemVerdict::PriceMoved(_) => Wire::IncorrectPrice,
        ItemVerdict::WrongAnswers(_) | ItemVerdict::NoPrice(_) => {
            Wire::ItemUnfulfillableOtherReason
        }
    };
    (result, Vec::new())
}

fn violated_constraint(
    violated: ViolatedConstraint,
) -> v3::line_item_fulfillability::ViolatedTicketConstraint {
    use v3::line_item_fulfillability::{
        ViolatedTicketConstraint, violated_ticket_constraint::Value,
    };
    let ViolatedConstraint { bound, ticket_id } = violated;
    let value = match bound {
        CountLimit::Min(count) => Value::MinTicketCount(super::clamped(count)),
        CountLimit::Max(count) => Value::MaxTicketCount(super::clamped(count)),
    };
    ViolatedTicketConstraint {
        value: Some(value),
        ticket_id: ticket_id.map(String::from).unwrap_or_default(),
    }
}

fn warning_reason(change: PriceChange) -> v3::line_item::WarningReason {
    match change {
        PriceChange::Increase => v3::line_item::WarningReason::PriceIncrease,
        PriceChange::Decrease => v3::line_item::WarningReason::PriceDecrease,
    }
}

pub(super) fn fees(table: FeeTable) -> v3::Fees {
    let FeeTable {
        per_ticket,
        per_order,
        tax: _,
        ticket_taxes: _,
        total: _,
    } = table;
    v3::Fees {
        per_ticket_fee: per_ticket.into_iter().map(ticket_fee).collect(),
        per_order_fee: per_order.into_iter().map(order_fee).collect(),
    }
}

fn ticket_fee(fee: TicketFee) -> v3::SpecificPerTicketFee {
    let TicketFee {
        service_id,
        ticket_id,
        fee: Fee { name, amount },
    } = fee;
    v3::SpecificPerTicketFee {
        ticket_id: ticket_id.into(),
        service_id: service_id.into(),
        fee_name: name,
        fee_amount: Some(price(amount)),
    }
}

fn order_fee(Fee { name, amount }: Fee) -> v3::SpecificPerOrderFee {
    v3::SpecificPerOrderFee {
        fee_name: name,
        fee_amount: Some(price(amount)),
    }
}

/// A ticket type at its present price. The deprecated plain-text descriptions stay empty beside the
/// localized ones.
fn ticket_type(ticket: &TicketType) -> v3::TicketType {
    let TicketType {
        ix: _,
        id,
        short_description,
        option_description,
        price: unit,
        previous_price: _,
        feed_fees,
        fees: _,
    } = ticket;
    #[expect(
        deprecated,
        reason = "the message is written out whole, old fields included"
    )]
    v3::TicketType {
        ticket_type_id: id.to_string(),
        short_description: String::new(),
        localized_short_description: text(short_description),
        // Rounded, because the price of a ticket may have fractions of the smallest unit.
        price: Some(price(unit.rounded())),
        per_ticket_fee: per_ticket_fee(*feed_fees),
        option_description: String::new(),
        localized_option_description: text(option_description),
    }
}

fn per_ticket_fee(fees: FeedFees) -> Option<v3::PerTicketFee> {
    let FeedFees {
        service_charge,
        facility_fee,
        taxes,
    } = fees;
    (fees != FeedFees::default()).then(|| v3::PerTicketFee {
        service_charge: service_charge.map(price),
        facility_fee: facility_fee.map(price),
        taxes: taxes.map(price),
    })
}

fn text(text: &LocalizedText) -> Option<v3::Text> {
    let LocalizedText {
        value,
        translations,
    } = text;
    let localized = |(locale, value): &(String, String)| v3::LocalizedString {
        locale: locale.clone(),
        value: value.clone(),
    };
    (!value.is_empty() || !translations.is_empty()).then(|| v3::Text {
        value: value.clone(),
        localized_value: translations.iter().map(localized).collect(),
    })
}

/// An amount that was computed here; all of them have been seen to fit the wire.
pub(super) fn price(money: Money) -> v3::Price {
    v3::Price {
        price_micros: money.to_micros().unwrap_or(i64::MAX),
        currency_code: money.currency().code().to_owned(),
        pricing_option_tag: String::new(),
    }
}
