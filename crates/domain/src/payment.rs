//! The payment details of an order, checked before anything is booked or charged.

use super::{
    catalog::{Prepayment, Service},
    failure::{FailureCause, PaymentFault},
    fees::FeeTable,
    money::Money,
    order::{NewOrder, PrepaymentStatus, PriceTag},
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
) -> Option<FailureCause> {
    if !is_right_fee_total(order, costs.fees.total) {
        let expected = costs.fees.total;
        return Some(FailureCause::IncorrectFeeTotal { expected });
    }
    no_way_to_pay(order, services, costs.due, charging)
        .or_else(|| other_charge_stated(order, costs))
        .map(FailureCause::Payment)
}

fn is_right_fee_total(order: &NewOrder, fees: Money) -> bool {
    let nothing = Money::zero(fees.currency());
    let stated = order
        .payment
        .as_ref()
        .and_then(|payment| payment.fees_and_taxes.as_ref());
    // In protobuf JSON an absent amount is zero, so it is right for an order without fees.
    stated.map_or(fees == nothing, |tag| states(tag, fees))
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
) -> Option<PaymentFault> {
    if order.charged_by_us() {
        if charging == Charging::Off {
            return Some(PaymentFault::NoGateway);
        }
        let unpaid = services.find(|service| service.prepayment == Prepayment::NotSupported)?;
        return Some(PaymentFault::NotPaidWhenBooked(unpaid.id.clone()));
    }
    // Nothing to pay, so a required prepayment is met.
    if due.is_zero() || is_provided(order) {
        return None;
    }
    let prepaid = services.find(|service| service.prepayment == Prepayment::Required)?;
    Some(PaymentFault::NotPrepaid(prepaid.id.clone()))
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
fn other_charge_stated(order: &NewOrder, costs: Costs<'_>) -> Option<PaymentFault> {
    // What the caller charges itself is its own affair.
    let payment = order.payment.as_ref().filter(|_| order.charged_by_us())?;
    if let Some(price) = &payment.price
        && !states_charge(price, costs)
    {
        return Some(wrong_price(costs));
    }
    let FeeTable {
        tax, ticket_taxes, ..
    } = *costs.fees;
    let stated = payment.tax_amount.as_ref()?;
    // Callers differ in whether taxes of tickets are taxes or fees; both readings are accepted.
    let all_taxes = tax.plus(ticket_taxes).unwrap_or(tax);
    if states(stated, tax) || states(stated, all_taxes) {
        return None;
    }
    Some(PaymentFault::WrongTax {
        tax,
        with_ticket_taxes: (all_taxes != tax).then_some(all_taxes),
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

fn wrong_price(Costs { fees, due }: Costs<'_>) -> PaymentFault {
    // None on overflow, too: the amount due is a right answer in any case.
    let items = due.minus(fees.total).ok().filter(|items| *items != due);
    PaymentFault::WrongPrice { due, items }
}

#[cfg(test)]
mod tests;
