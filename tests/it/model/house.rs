//! What the contract says a booking partner answers, told in as few words as possible and without a
//! word of the server's: a list of what was sold, a list of what is held, and the rules.

use std::collections::HashMap;

use boxoffice::wire::proto::v3::{
    Fees, LineItem, LineItemFulfillability, Order, OrderFulfillability, SpecificPerOrderFee,
    SpecificPerTicketFee, TicketType,
    line_item::WarningReason,
    line_item_fulfillability::{
        ItemFulfillabilityResult as Result, UpdatedAvailability, ViolatedTicketConstraint,
        violated_ticket_constraint::Value,
    },
    order_fulfillability::OrderFulfillabilityResult as Verdict,
};

use super::town::{self, Catalogue, FEES, HANDLING, HOLD_SEC, Pool, SURCHARGE};
use crate::support::price;

/// A rule that the model may be made to get wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    RoundHalfToEven,
    SumDemand,
    OwnHoldIsFree,
    HoldsEnd,
    BookingCloses,
    FeesOfSellableItemsOnly,
    TicketTypesWhereTheirPriceMoved,
    EveryPoolBinds,
    ChildrenBeforeBounds,
    FailedPaymentKeepsTheHold,
    NewestFirst,
}

impl Rule {
    pub(super) const ALL: [Self; 11] = [
        Self::RoundHalfToEven,
        Self::SumDemand,
        Self::OwnHoldIsFree,
        Self::HoldsEnd,
        Self::BookingCloses,
        Self::FeesOfSellableItemsOnly,
        Self::TicketTypesWhereTheirPriceMoved,
        Self::EveryPoolBinds,
        Self::ChildrenBeforeBounds,
        Self::FailedPaymentKeepsTheHold,
        Self::NewestFirst,
    ];
}

/// Spots of one slot and ticket type; an empty type is an appointment.
#[derive(Debug, Clone)]
pub(super) struct Spots {
    slot: (String, i64, i64),
    ticket: String,
    count: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) until: i64,
    pub(super) spots: Vec<Spots>,
}

pub(super) struct House {
    pub(super) wrong: Option<Rule>,
    pub(super) now: i64,
    pub(super) catalogue: Catalogue,
    /// The last other price of each ticket type that has had one.
    pub(super) former: HashMap<&'static str, i64>,
    pub(super) sold: Vec<Spots>,
    /// By cart, which is the token of the order to come.
    pub(super) holds: HashMap<String, Hold>,
    /// Oldest first, each with its token.
    pub(super) orders: Vec<(String, Order)>,
}

/// The verdict on a cart, and what it would cost and take.
pub(super) struct Judged {
    pub(super) verdict: OrderFulfillability,
    pub(super) fees: Fees,
    pub(super) fee_total: i64,
    pub(super) spots: Vec<Spots>,
}

fn line_slot(line: &LineItem) -> (String, i64, i64) {
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

impl House {
    fn keeps(&self, rule: Rule) -> bool {
        self.wrong != Some(rule)
    }

    pub(super) fn replace(&mut self, catalogue: Catalogue) {
        for (id, new) in &catalogue.prices {
            let old = self.catalogue.prices[id];
            if old != *new {
                self.former.insert(id, old);
            }
        }
        self.catalogue = catalogue;
    }

    pub(super) fn ordered(&self, token: &str) -> Option<&Order> {
        self.orders.iter().find(|(known, _)| known == token).map(|(_, order)| order)
    }

    pub(super) fn orders_of(&self, user_id: &str) -> Vec<Order> {
        let is_of = |order: &&Order| order.user_information.as_ref().unwrap().user_id == user_id;
        let mut orders: Vec<Order> = self.orders.iter().map(|(_, order)| order).filter(is_of).cloned().collect();
        if self.keeps(Rule::NewestFirst) {
            orders.reverse();
        }
        orders
    }

    /// Whole cents, halves to the even one.
    pub(super) fn cents(&self, micros: i64) -> i64 {
        let (cents, rest) = (micros.div_euclid(10_000), micros.rem_euclid(10_000));
        let up = rest > 5_000 || rest == 5_000 && (cents % 2 == 1 || !self.keeps(Rule::RoundHalfToEven));
        (cents + i64::from(up)) * 10_000
    }

    fn pools(&self, slot: &(String, i64, i64)) -> Vec<&Pool> {
        self.catalogue.pools.iter().filter(|pool| pool.slot() == *slot).collect()
    }

    /// What is left of a pool for a cart, whose own hold is free for it.
    fn left(&self, pool: &Pool, cart: &str) -> i64 {
        let slot = pool.slot();
        let pools = self.pools(&slot);
        let draws = |spots: &&Spots| {
            spots.slot == slot
                && (pool.serves(&spots.ticket) || !pools.iter().any(|pool| pool.serves(&spots.ticket)))
        };
        let others = self.holds.iter().filter(|(other, hold)| {
            (*other != cart || !self.keeps(Rule::OwnHoldIsFree))
                && (self.now < hold.until || !self.keeps(Rule::HoldsEnd))
        });
        let taken = self.sold.iter().chain(others.flat_map(|(_, hold)| &hold.spots)).filter(draws);
        (pool.spots - taken.map(|spots| spots.count).sum::<i64>()).max(0)
    }

    /// Spots for tickets of these types, all together. Pools of a slot are for all types or for
    /// different ones.
    fn open(&self, slot: &(String, i64, i64), types: &[&str], cart: &str) -> i64 {
        if !self.is_bookable(slot) {
            return 0;
        }
        let pools = self.pools(slot);
        let left = |pool: &&Pool| self.left(pool, cart);
        let overall = pools.iter().find(|pool| pool.tickets.is_empty()).map(left);
        let own = pools.iter().filter(|pool| types.iter().any(|id| pool.tickets.contains(id)));
        let own: i64 = own.map(left).sum();
        let only_overall = |id: &&str| !pools.iter().any(|pool| pool.tickets.contains(id));
        match overall {
            None => own,
            Some(overall) if types.iter().any(only_overall) => overall,
            Some(overall) if self.keeps(Rule::EveryPoolBinds) => overall.min(own),
            Some(overall) => overall,
        }
    }

    fn is_bookable(&self, slot: &(String, i64, i64)) -> bool {
        let (opens, closes) = town::booking_window(slot);
        opens <= self.now && (self.now <= closes || !self.keeps(Rule::BookingCloses))
    }

    /// Spots of a slot for whatever the service sells.
    pub(super) fn spots_open(&self, slot: &(String, i64, i64), cart: &str) -> i64 {
        self.open(slot, town::menu(&slot.0), cart)
    }

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
            ordered => ordered.iter().all(|it| it.count > 0 && !it.ticket_id.is_empty() && is_sold(&it.ticket_id)),
        }
    }

    /// The first rule on tickets that a line breaks.
    fn ticket_fault(&self, line: &LineItem) -> Option<(Result, Vec<ViolatedTicketConstraint>)> {
        let counts = tickets(line);
        let count = |wanted: &str| counts.iter().find(|(id, _)| *id == wanted).map_or(0, |(_, count)| *count);
        if !self.is_readable(line) || count("vip") > 0 && count("child") > 0 {
            return Some((Result::UnfulfillableTicketCombination, Vec::new()));
        }
        let children = (count("child") > 2 * count("adult")).then(|| (Result::ChildTicketsWithoutAdult, Vec::new()));
        let mut violated = Vec::new();
        let mut bound = |value, id: &str| violated.push(ViolatedTicketConstraint { value: Some(value), ticket_id: id.into() });
        let sum: i64 = counts.iter().map(|(_, count)| count).sum();
        match line.service_id.as_str() {
            "tour" if sum > 6 => bound(Value::MaxTicketCount(6), ""),
            "tour" if sum < 2 && self.pools(&line_slot(line)).iter().any(|pool| pool.tag == "late") => bound(Value::MinTicketCount(2), ""),
            _ => {}
        }
        if count("vip") > 2 {
            bound(Value::MaxTicketCount(2), "vip");
        }
        let bounds = (!violated.is_empty()).then_some((Result::TicketConstraintViolated, violated));
        if self.keeps(Rule::ChildrenBeforeBounds) { children.or(bounds) } else { bounds.or(children) }
    }

    /// Why a slot does not have what is asked of it, with the spots it has.
    fn slot_fault(&self, line: &LineItem, demand: &[Spots], cart: &str) -> Option<Option<i64>> {
        let slot = line_slot(line);
        let pools = self.pools(&slot);
        if pools.is_empty() || !self.is_bookable(&slot) {
            return Some((!pools.is_empty()).then_some(0));
        }
        let own = self.spots_of(line);
        let demand = if self.keeps(Rule::SumDemand) { demand } else { &own };
        let drawn = |pool: &Pool, of: &[Spots]| -> i64 {
            of.iter().filter(|spots| spots.slot == slot && pool.serves(&spots.ticket)).map(|spots| spots.count).sum()
        };
        let short = |pool: &&&Pool| drawn(pool, &own) > 0 && drawn(pool, demand) > self.left(pool, cart);
        pools.iter().filter(short).map(|pool| Some(self.left(pool, cart))).min()
    }

    fn spots_of(&self, line: &LineItem) -> Vec<Spots> {
        let spots = |ticket: &str, count| Spots { slot: line_slot(line), ticket: ticket.into(), count };
        match line.tickets.is_empty() {
            true => vec![spots("", 1)],
            false => tickets(line).into_iter().map(|(id, count)| spots(id, count)).collect(),
        }
    }

    fn judge_line(&self, line: &LineItem, demand: &[Spots], cart: &str, create: bool) -> LineItemFulfillability {
        let mut answer = LineItemFulfillability { item: Some(line.clone()), ..LineItemFulfillability::default() };
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
            if let (Some(open), Some(left)) = (&mut answer.availability, left) {
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
        let Some(asked) = line.price.as_ref().filter(|it| it.price_micros >= 0 && it.currency_code == "USD") else {
            return Result::IncorrectPrice;
        };
        let asked = self.cents(asked.price_micros);
        let answered = line.service_id != "chat" || line.intake_form_answers.is_some();
        if asked == total {
            return if create && !answered { Result::ItemUnfulfillableOtherReason } else { Result::CanFulfill };
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
        let sound = |line: &&LineItem| self.ticket_fault(line).is_none() && !town::menu(&line.service_id).is_empty();
        let demand: Vec<Spots> = lines.iter().filter(sound).flat_map(|line| self.spots_of(line)).collect();
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
        let spots = lines.iter().flat_map(|line| self.spots_of(line)).collect();
        let verdict = OrderFulfillability { result: result.into(), item_fulfillability: items, ..Default::default() };
        Judged { verdict, fees, fee_total, spots }
    }

    /// A look at a cart. Gives the second until which its spots are held, 0 where they are not.
    pub(super) fn hold(&mut self, cart: &str, judged: &Judged) -> i64 {
        self.holds.remove(cart);
        let can = judged.verdict.result() == Verdict::CanFulfill;
        if cart.is_empty() || !can || self.ordered(cart).is_some() {
            return 0;
        }
        let until = self.now + HOLD_SEC;
        self.holds.insert(cart.into(), Hold { until, spots: judged.spots.clone() });
        until
    }

    /// An order's payment has failed: what its cart held is what the order asked for.
    pub(super) fn not_paid(&mut self, token: &str, judged: &Judged) {
        let hold = self.holds.remove(token).filter(|hold| self.now < hold.until && self.keeps(Rule::FailedPaymentKeepsTheHold));
        if let Some(hold) = hold {
            self.holds.insert(token.into(), Hold { spots: judged.spots.clone(), ..hold });
        }
    }

    pub(super) fn sell(&mut self, token: &str, order: Order, judged: Judged) {
        self.holds.remove(token);
        self.sold.extend(judged.spots);
        self.orders.push((token.into(), order));
    }
}

/// The fees of lines: by ticket, by order, and all together.
fn fees(lines: &[&LineItem]) -> (Fees, i64) {
    let (mut fees, mut total) = (Fees::default(), 0);
    for line in lines {
        for (id, count) in tickets(line) {
            let Some((_, fee)) = FEES.iter().find(|(known, _)| *known == id) else { continue };
            total += fee * count;
            let known = fees.per_ticket_fee.iter().any(|fee| fee.ticket_id == id && fee.service_id == line.service_id);
            fees.per_ticket_fee.extend((!known).then(|| SpecificPerTicketFee {
                ticket_id: id.into(),
                service_id: line.service_id.clone(),
                fee_name: "Levy".into(),
                fee_amount: Some(price("USD", *fee)),
            }));
        }
    }
    let once = |name: &str, amount| SpecificPerOrderFee { fee_name: name.into(), fee_amount: Some(price("USD", amount)) };
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
