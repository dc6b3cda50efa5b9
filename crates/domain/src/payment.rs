//! The payment details of an order, checked before anything is booked or charged.

use super::{
    catalog::{Prepayment, Service},
    failure::{FailureCause, OrderFailure},
    fees::FeeTable,
    money::Money,
    order::{NewOrder, PrepaymentStatus, PriceTag},
    wording::quoted,
};

/// Whether this server can charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charging {
    /// A payment gateway is configured.
    Possible,
    /// No gateway is configured.
    Off,
}

/// The amounts of a fulfillable order.
#[derive(Debug, Clone, Copy)]
pub struct Costs<'a> {
    /// Fees and taxes.
    pub fees: &'a FeeTable,
    /// The totals of the items with the fees and taxes.
    pub due: Money,
}

/// Why a fulfillable order is rejected for its payment details, if it is. The stated fee total comes first,
/// then the processor of the payment, then the other stated amounts. `services` are the services of its
/// items.
#[must_use]
pub fn failure<'a>(
    order: &NewOrder,
    services: impl Iterator<Item = &'a Service> + Clone,
    costs: Costs<'_>,
    charging: Charging,
) -> Option<OrderFailure> {
    let payment = |description| OrderFailure {
        cause: FailureCause::Payment,
        description,
    };
    wrong_fee_total(order, costs.fees.total)
        .or_else(|| no_way_to_pay(order, services, costs.due, charging).map(payment))
        .or_else(|| other_charge_stated(order, costs).map(payment))
}

fn wrong_fee_total(order: &NewOrder, fees: Money) -> Option<OrderFailure> {
    let nothing = Money::zero(fees.currency());
    let stated = order
        .payment
        .as_ref()
        .and_then(|payment| payment.fees_and_taxes.as_ref());
    // In protobuf JSON an absent amount is zero, so it is right for an order without fees.
    let is_right = stated.map_or(fees == nothing, |tag| states(tag, fees));
    (!is_right).then(|| OrderFailure {
        cause: FailureCause::IncorrectFeeTotal,
        description: format!("payment_information.fees_and_taxes must be {fees}"),
    })
}

/// Whether a price tag has this amount, once it is rounded. A tag without amount and currency is zero.
fn states(tag: &PriceTag, amount: Money) -> bool {
    // The default of the message: a client that has nothing to state may send it empty.
    if tag.micros == 0 && tag.currency_code.is_empty() {
        return amount.is_zero();
    }
    tag.money().is_some_and(|stated| stated.rounded() == amount)
}

/// Why the stated way of payment is not possible.
fn no_way_to_pay<'a>(
    order: &NewOrder,
    mut services: impl Iterator<Item = &'a Service>,
    due: Money,
    charging: Charging,
) -> Option<String> {
    if order.charged_by_us() {
        if charging == Charging::Off {
            return Some(
                "PROCESSED_BY_PARTNER is not possible: this server takes no payments".to_owned(),
            );
        }
        let unpaid = services.find(|service| service.prepayment == Prepayment::NotSupported)?;
        return Some(format!(
            "service {} is not paid for when it is booked, so PROCESSED_BY_PARTNER is not possible",
            quoted(&unpaid.id)
        ));
    }
    // Nothing to pay, so a required prepayment is met.
    if due.is_zero() || is_provided(order) {
        return None;
    }
    let prepaid = services.find(|service| service.prepayment == Prepayment::Required)?;
    Some(format!(
        "service {} has to be paid for when it is booked: payment_information must have \
         payment_processed_by PROCESSED_BY_PARTNER or prepayment_status PREPAYMENT_PROVIDED",
        quoted(&prepaid.id)
    ))
}

/// Whether the caller states that it has taken the money.
fn is_provided(order: &NewOrder) -> bool {
    order
        .payment
        .as_ref()
        .is_some_and(|payment| payment.prepayment == Some(PrepaymentStatus::Provided))
}

/// The stated amount that differs from our charge, if we charge. We charge nothing that the caller did not
/// state. An absent amount is fine, because items and fees have been compared one by one.
fn other_charge_stated(order: &NewOrder, costs: Costs<'_>) -> Option<String> {
    // What the caller charges itself is its own affair.
    let payment = order.payment.as_ref().filter(|_| order.charged_by_us())?;
    if let Some(price) = &payment.price
        && !states_charge(price, costs)
    {
        return Some(price_wanted(costs));
    }
    let FeeTable {
        tax, ticket_taxes, ..
    } = *costs.fees;
    let stated = payment.tax_amount.as_ref()?;
    // Callers differ in whether taxes of tickets are taxes or fees; both readings are accepted.
    let all_taxes = tax.plus(ticket_taxes).unwrap_or(tax);
    (!states(stated, tax) && !states(stated, all_taxes)).then(|| {
        if all_taxes == tax {
            format!("payment_information.tax_amount must be {tax}")
        } else {
            format!(
                "payment_information.tax_amount must be {tax}, or {all_taxes} with the tickets' own taxes"
            )
        }
    })
}

/// Whether it is the amount that we would charge, with or without the fees.
fn states_charge(stated: &PriceTag, costs: Costs<'_>) -> bool {
    // Callers state the price with or without the fees; both readings are accepted.
    let with_fees = |stated: Money| {
        stated
            .plus(costs.fees.total)
            .is_ok_and(|sum| sum == costs.due)
    };
    let stated = stated.money().map(Money::rounded);
    stated.is_some_and(|stated| stated == costs.due || with_fees(stated))
}

fn price_wanted(Costs { fees, due }: Costs<'_>) -> String {
    match due.minus(fees.total) {
        Ok(items) if items != due => {
            format!(
                "payment_information.price must be the items' total, {items}, or {due} with fees"
            )
        }
        Ok(_) | Err(_) => format!("payment_information.price must be the items' total, {due}"),
    }
}

#[cfg(test)]
mod tests;
