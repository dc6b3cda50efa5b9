//! The verdict on a cart, rule by rule, as the contract has them: what is asked must be of known
//! tickets, then children need adults, then bounds, then the slot, then the price.

use std::collections::HashMap;

use boxoffice::wire::proto::v3::{
    Fees, LineItem, LineItemFulfillability, OrderFulfillability, SpecificPerOrderFee, SpecificPerTicketFee,
    TicketType,
    line_item::WarningReason,
    line_item_fulfillability::{
        ItemFulfillabilityResult as Result, UpdatedAvailability, ViolatedTicketConstraint,
        violated_ticket_constraint::Value,
    },
    order_fulfillability::OrderFulfillabilityResult as Verdict,
};

use super::{
    house::{House, Spots},
    rules::Rule,
    town::{self, FEES, HANDLING, Pool, SURCHARGE, SlotName},
};
use crate::support::price;

/// The verdict on a cart, and what it would cost and take.
pub(super) struct Judged {
    pub(super) verdict: OrderFulfillability,
    pub(super) fees: Fees,
    pub(super) fee_total: i64,
    pub(super) spots: Vec<Spots>,
}

fn line_slot(line: &LineItem) -> SlotName {
    (line.service_id.clone(), line.start_sec, line.duration_sec)
}

/// The tickets of a line by type, each once.
fn tickets(line: &LineItem) -> Vec<(&str, i64)> {
    let mut counts: Vec<(&str, i64)> = Vec::new();
    for ordered in &line.tickets {
        match counts.iter_mut().find(|(id, _)| *id == ordered.ticket_id) {
            Some((_, count)) => *count += i64::from(ordered.count),
            None => counts.push((&ordered.ticket_id, ordered.count.into())),
        }
    }
    counts
}

fn narrow(number: i64) -> i32 {
    i32::try_from(number).unwrap()
}

fn spots_of(line: &LineItem) -> Vec<Spots> {
    let spots = |ticket: &str, count| Spots { slot: line_slot(line), ticket: ticket.into(), count };
    if line.tickets.is_empty() {
        return vec![spots("", 1)];
    }
    tickets(line).into_iter().map(|(id, count)| spots(id, count)).collect()
}

impl House {
    /// The right total of a line, and what it would be without deals.
    pub(super) fn quote(&self, line: &LineItem, prices: &HashMap<&'static str, i64>) -> (i64, i64) {
        if line.tickets.is_empty() {
            let total = prices.get("chat").map_or(0, |price| self.cents(*price));
            return (total, total);
        }
        let (mut total, mut plain) = (0, 0);
        for (id, count) in tickets(line) {
            let unit = prices.get(id).copied().unwrap_or(0);
            let deal = if id == "adult" && count >= 4 { unit / 8 } else { 0 };
            total += (unit - deal) * count;
            plain += unit * count;
        }
        (self.cents(total), self.cents(plain))
    }

    /// Whether the tickets of a line are of types that its slot sells, and of each some.
    fn is_readable(&self, line: &LineItem) -> bool {
        let pools = self.pools(&line_slot(line));
        let is_sold = |id: &str| {
            town::menu(&line.service_id).contains(&id)
                && (pools.is_empty() || pools.iter().any(|pool| pool.serves(id)))
        };
        match &line.tickets[..] {
            [] => is_sold(""),
            ordered => {
                ordered.iter().all(|it| it.count > 0 && !it.ticket_id.is_empty() && is_sold(&it.ticket_id))
            }
        }
    }

    /// The first rule on tickets that a line breaks.
    fn ticket_fault(&self, line: &LineItem) -> Option<(Result, Vec<ViolatedTicketConstraint>)> {
        let counts = tickets(line);
        let count = |wanted: &str| counts.iter().find(|(id, _)| *id == wanted).map_or(0, |(_, count)| *count);
        if !self.is_readable(line) || count("vip") > 0 && count("child") > 0 {
            return Some((Result::UnfulfillableTicketCombination, Vec::new()));
        }
        let children =
            (count("child") > 2 * count("adult")).then(|| (Result::ChildTicketsWithoutAdult, Vec::new()));
        let mut violated = Vec::new();
        let mut bound = |value, id: &str| {
            violated.push(ViolatedTicketConstraint { value: Some(value), ticket_id: id.into() });
        };
        let sum: i64 = counts.iter().map(|(_, count)| count).sum();
        match line.service_id.as_str() {
            "tour" if sum > 6 => bound(Value::MaxTicketCount(6), ""),
            "tour" if sum < 2 && self.pools(&line_slot(line)).iter().any(|pool| pool.tag == "late") => {
                bound(Value::MinTicketCount(2), "");
            }
            _ => {}
        }
        if count("vip") > 2 {
            bound(Value::MaxTicketCount(2), "vip");
        }
        let bounds = (!violated.is_empty()).then_some((Result::TicketConstraintViolated, violated));
        if self.keeps(Rule::ChildrenBeforeBounds) { children.or(bounds) } else { bounds.or(children) }
    }

    /// The spots that a slot has where it does not have what is asked of it.
    fn slot_fault(&self, line: &LineItem, demand: &[Spots], cart: &str) -> Option<i64> {
        let slot = line_slot(line);
        let pools = self.pools(&slot);
        if pools.is_empty() || !self.is_bookable(&slot) {
            return Some(0);
        }
        let own = spots_of(line);
        let demand = if self.keeps(Rule::SumDemand) { demand } else { &own };
        let drawn = |pool: &Pool, of: &[Spots]| -> i64 {
            of.iter()
                .filter(|spots| spots.slot == slot && pool.serves(&spots.ticket))
                .map(|spots| spots.count)
                .sum()
        };
        let short = |pool: &&&Pool| drawn(pool, &own) > 0 && drawn(pool, demand) > self.left(pool, cart);
        pools.iter().filter(short).map(|pool| self.left(pool, cart)).min()
    }

    fn judge_line(
        &self,
        line: &LineItem,
        demand: &[Spots],
        cart: &str,
        create: bool,
    ) -> LineItemFulfillability {
        let mut answer =
            LineItemFulfillability { item: Some(line.clone()), ..LineItemFulfillability::default() };
        let slot = line_slot(line);
        let fault = self.ticket_fault(line);
        let types: Vec<&str> = match tickets(line) {
            _ if !self.is_readable(line) => town::menu(&line.service_id).to_vec(),
            counts if counts.is_empty() => vec![""],
            counts => counts.into_iter().map(|(id, _)| id).collect(),
        };
        if !self.pools(&slot).is_empty() {
            let spots_open = narrow(self.open(&slot, &types, cart));
            answer.availability = Some(UpdatedAvailability { spots_open });
        }
        let result = if town::menu(&line.service_id).is_empty() {
            Result::SlotUnavailable
        } else if let Some((result, violated)) = fault {
            answer.violated_ticket_constraint = violated;
            result
        } else if let Some(left) = self.slot_fault(line, demand, cart) {
            if let Some(open) = &mut answer.availability {
                open.spots_open = open.spots_open.min(narrow(left));
            }
            Result::SlotUnavailable
        } else {
            self.judge_price(line, create, &mut answer)
        };
        answer.result = result.into();
        answer
    }

    fn judge_price(&self, line: &LineItem, create: bool, answer: &mut LineItemFulfillability) -> Result {
        let (total, plain) = self.quote(line, &self.catalogue.prices);
        let item = answer.item.as_mut().unwrap();
        item.price = Some(price("USD", total));
        let Some(asked) = line.price.as_ref().filter(|it| it.price_micros >= 0 && it.currency_code == "USD")
        else {
            return Result::IncorrectPrice;
        };
        let asked = self.cents(asked.price_micros);
        let answered = line.service_id != "chat" || line.intake_form_answers.is_some();
        if asked == total {
            return if create && !answered {
                Result::ItemUnfulfillableOtherReason
            } else {
                Result::CanFulfill
            };
        }
        let warning = if total > asked { WarningReason::PriceIncrease } else { WarningReason::PriceDecrease };
        item.warning_reason = warning.into();
        let types = tickets(line);
        let moved = types.iter().any(|(id, _)| self.former.contains_key(id));
        if moved && (asked != plain || !self.keeps(Rule::TicketTypesWhereTheirPriceMoved)) {
            let present = |id: &str| TicketType {
                ticket_type_id: id.into(),
                price: Some(price("USD", self.cents(self.catalogue.prices[id]))),
                ..TicketType::default()
            };
            answer.ticket_type = types.into_iter().map(|(id, _)| present(id)).collect();
        }
        if create { Result::IncorrectPrice } else { Result::CanFulfill }
    }

    /// Looks at a cart, for a check or for an order.
    pub(super) fn judge(&self, lines: &[LineItem], cart: &str, create: bool) -> Judged {
        let sound =
            |line: &&LineItem| self.ticket_fault(line).is_none() && !town::menu(&line.service_id).is_empty();
        let demand: Vec<Spots> = lines.iter().filter(sound).flat_map(spots_of).collect();
        let items: Vec<_> = lines.iter().map(|line| self.judge_line(line, &demand, cart, create)).collect();
        let can = |item: &LineItemFulfillability| item.result() == Result::CanFulfill;
        let has = |service: &str| lines.iter().any(|line| line.service_id == service);
        let result = match () {
            () if items.is_empty() => Verdict::OrderUnfulfillableOtherReason,
            () if !items.iter().all(can) => Verdict::UnfulfillableLineItem,
            () if has("tour") && has("night") => Verdict::UnfulfillableServiceCombination,
            () => Verdict::CanFulfill,
        };
        let sellable = |at: &usize| can(&items[*at]) || !self.keeps(Rule::FeesOfSellableItemsOnly);
        let sold: Vec<&LineItem> = (0..lines.len()).filter(sellable).map(|at| &lines[at]).collect();
        let (fees, fee_total) = fees(&sold);
        let spots = lines.iter().flat_map(spots_of).collect();
        let verdict =
            OrderFulfillability { result: result.into(), item_fulfillability: items, ..Default::default() };
        Judged { verdict, fees, fee_total, spots }
    }
}

/// The fees of lines: by ticket, by order, and all together.
fn fees(lines: &[&LineItem]) -> (Fees, i64) {
    let (mut fees, mut total) = (Fees::default(), 0);
    for line in lines {
        for (id, count) in tickets(line) {
            let Some((_, fee)) = FEES.iter().find(|(known, _)| *known == id) else { continue };
            total += fee * count;
            let known = fees
                .per_ticket_fee
                .iter()
                .any(|fee| fee.ticket_id == id && fee.service_id == line.service_id);
            fees.per_ticket_fee.extend((!known).then(|| SpecificPerTicketFee {
                ticket_id: id.into(),
                service_id: line.service_id.clone(),
                fee_name: "Levy".into(),
                fee_amount: Some(price("USD", *fee)),
            }));
        }
    }
    let once = |name: &str, amount| SpecificPerOrderFee {
        fee_name: name.into(),
        fee_amount: Some(price("USD", amount)),
    };
    if lines.iter().any(|line| line.service_id == "tour") {
        fees.per_order_fee.push(once("Surcharge", SURCHARGE));
        total += SURCHARGE;
    }
    if !lines.is_empty() {
        fees.per_order_fee.push(once("Handling", HANDLING));
        total += HANDLING;
    }
    (fees, total)
}
