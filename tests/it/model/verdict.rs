//! The verdict on a cart, rule by rule, as the contract has them: what is asked must be of known
//! tickets, then children need adults, then bounds, then the slot, then the price.

use std::collections::HashMap;

use boxoffice::api::booking::proto::v3::{
    LineItem,
    line_item::WarningReason,
    line_item_fulfillability::{
        ItemFulfillabilityResult as Result, violated_ticket_constraint::Value,
    },
    order_fulfillability::OrderFulfillabilityResult as Verdict,
};

use super::{
    fixture::{self, FEES, HANDLING, Pool, SURCHARGE, SlotName},
    reference::{ReferenceModel, Spots},
    rules::Rule,
};

/// What is to be said of a cart, and what it would cost and take.
pub(super) struct ModelVerdict {
    pub(super) result: Verdict,
    pub(super) lines: Vec<LineVerdict>,
    pub(super) fees: Vec<Fee>,
    pub(super) fee_total: i64,
    /// What of it is tax.
    pub(super) tax: i64,
    pub(super) spots: Vec<Spots>,
}

#[derive(Default)]
pub(super) struct LineVerdict {
    pub(super) result: Result,
    /// Spots of its slot, if there is such a slot.
    pub(super) open: Option<i64>,
    /// Bounds that it breaks, each with its ticket type, empty for the whole line.
    pub(super) violated: Vec<(Value, &'static str)>,
    /// The right price, once it comes to that.
    pub(super) total: Option<i64>,
    pub(super) warning: WarningReason,
    /// The present price of each of its ticket types, if the answer has it.
    pub(super) prices: Vec<(String, i64)>,
}

#[derive(PartialEq)]
pub(super) struct Fee {
    pub(super) name: String,
    pub(super) amount: i64,
    /// Service and ticket type; none for a fee of the whole order.
    pub(super) of: Option<(String, String)>,
}

pub(super) fn line_slot(line: &LineItem) -> SlotName {
    (line.service_id.clone(), line.start_sec, line.duration_sec)
}

/// The tickets of a line by type, each once; an appointment is one of an empty type.
pub(super) fn tickets(line: &LineItem) -> Vec<(&str, i64)> {
    let mut counts: Vec<(&str, i64)> = Vec::new();
    for ordered in &line.tickets {
        match counts.iter_mut().find(|(id, _)| *id == ordered.ticket_id) {
            Some((_, count)) => *count += i64::from(ordered.count),
            None => counts.push((&ordered.ticket_id, ordered.count.into())),
        }
    }
    if counts.is_empty() {
        vec![("", 1)]
    } else {
        counts
    }
}

pub(super) fn spots_of(line: &LineItem) -> Vec<Spots> {
    let spots = |(ticket, count): (&str, i64)| Spots {
        slot: line_slot(line),
        ticket: ticket.into(),
        count,
    };
    tickets(line).into_iter().map(spots).collect()
}

impl ReferenceModel {
    /// The right total of a line, and what it would be without deals.
    pub(super) fn quote(&self, line: &LineItem, prices: &HashMap<&'static str, i64>) -> (i64, i64) {
        let (mut total, mut plain) = (0, 0);
        for (id, count) in tickets(line) {
            let unit = prices
                .get(if id.is_empty() { "chat" } else { id })
                .copied()
                .unwrap_or(0);
            let deal = if id == "adult" && count >= 4 {
                unit / 8
            } else {
                0
            };
            total += (unit - deal) * count;
            plain += unit * count;
        }
        (self.cents(total), self.cents(plain))
    }

    /// Whether the tickets of a line are of types that its slot sells, and of each some.
    fn is_readable(&self, line: &LineItem) -> bool {
        let pools = self.pools(&line_slot(line));
        let is_sold = |id: &str| {
            fixture::menu(&line.service_id).contains(&id)
                && (pools.is_empty() || pools.iter().any(|pool| pool.serves(id)))
        };
        match &line.tickets[..] {
            [] => is_sold(""),
            all => all
                .iter()
                .all(|it| it.count > 0 && !it.ticket_id.is_empty() && is_sold(&it.ticket_id)),
        }
    }

    /// How many tickets of a type all lines of a line's slot have whose tickets make sense.
    fn in_slot(&self, line: &LineItem, all: &[LineItem], id: &str) -> i64 {
        let lines = all.iter().filter(|other| {
            let is_counted = line_slot(other) == line_slot(line) && self.is_readable(other);
            is_counted && (self.keeps(Rule::AllLinesOfASlot) || *other == line)
        });
        let ordered = lines
            .flat_map(|line| &line.tickets)
            .filter(|ordered| ordered.ticket_id == id);
        ordered.map(|ordered| i64::from(ordered.count)).sum()
    }

    /// The first rule on tickets that a line breaks, and the bounds if it is that of bounds.
    fn ticket_fault(
        &self,
        line: &LineItem,
        all: &[LineItem],
    ) -> Option<(Result, Vec<(Value, &'static str)>)> {
        let counts = tickets(line);
        let count = |wanted: &str| {
            counts
                .iter()
                .find(|(id, _)| *id == wanted)
                .map_or(0, |(_, count)| *count)
        };
        if !self.is_readable(line) || count("vip") > 0 && count("child") > 0 {
            return Some((Result::UnfulfillableTicketCombination, Vec::new()));
        }
        let in_slot = |id| self.in_slot(line, all, id);
        let alone = count("child") > 0 && in_slot("child") > 2 * in_slot("adult");
        let children = alone.then(|| (Result::ChildTicketsWithoutAdult, Vec::new()));
        let sum: i64 = counts.iter().map(|(_, count)| count).sum();
        let is_tour = line.service_id == "tour";
        let of_slot: i64 = ["adult", "child", "vip"].into_iter().map(in_slot).sum();
        let tags: Vec<&str> = self
            .pools(&line_slot(line))
            .iter()
            .map(|pool| pool.tag)
            .collect();
        let tags = if self.keeps(Rule::AllTagsOfASlot) {
            &tags[..]
        } else {
            &tags[..tags.len().min(1)]
        };
        let most = if tags.contains(&"small") { 5 } else { 6 };
        let bounds = [
            (
                is_tour && tags.contains(&"late") && sum < 2,
                Value::MinTicketCount(2),
                "",
            ),
            (
                is_tour && sum > most.into(),
                Value::MaxTicketCount(most),
                "",
            ),
            (
                is_tour && sum <= most.into() && of_slot > 8,
                Value::MaxTicketCount(8),
                "",
            ),
            (count("vip") > 2, Value::MaxTicketCount(2), "vip"),
        ];
        let violated = bounds
            .into_iter()
            .filter_map(|(is, bound, id)| is.then_some((bound, id)));
        let violated: Vec<_> = violated.collect();
        let bounds = (!violated.is_empty()).then_some((Result::TicketConstraintViolated, violated));
        if self.keeps(Rule::ChildrenBeforeBounds) {
            children.or(bounds)
        } else {
            bounds.or(children)
        }
    }

    /// The spots that a slot has where it does not have what is asked of it.
    fn slot_fault(&self, line: &LineItem, demand: &[Spots], cart: &str) -> Option<i64> {
        let slot = line_slot(line);
        let pools = self.pools(&slot);
        if pools.is_empty() || !self.is_bookable(&slot) {
            return Some(0);
        }
        let own = spots_of(line);
        let demand = if self.keeps(Rule::SumDemand) {
            demand
        } else {
            &own
        };
        let drawn = |pool: &Pool, of: &[Spots]| -> i64 {
            let draws = of
                .iter()
                .filter(|spots| spots.slot == slot && pool.serves(&spots.ticket));
            draws.map(|spots| spots.count).sum()
        };
        let short =
            |pool: &&&Pool| drawn(pool, &own) > 0 && drawn(pool, demand) > self.left(pool, cart);
        pools
            .iter()
            .filter(short)
            .map(|pool| self.left(pool, cart))
            .min()
    }

    fn judge_line(
        &self,
        line: &LineItem,
        all: &[LineItem],
        demand: &[Spots],
        cart: &str,
        create: bool,
    ) -> LineVerdict {
        let (slot, menu) = (line_slot(line), fixture::menu(&line.service_id));
        let asked: Vec<&str> = tickets(line).into_iter().map(|(id, _)| id).collect();
        let types = if self.is_readable(line) { &asked } else { menu };
        let open = (!self.pools(&slot).is_empty()).then(|| self.open(&slot, types, cart));
        let judged = LineVerdict {
            result: Result::SlotUnavailable,
            open,
            ..LineVerdict::default()
        };
        if menu.is_empty() {
            judged
        } else if let Some((result, violated)) = self.ticket_fault(line, all) {
            LineVerdict {
                result,
                violated,
                ..judged
            }
        } else if let Some(left) = self.slot_fault(line, demand, cart) {
            LineVerdict {
                open: open.map(|open| open.min(left)),
                ..judged
            }
        } else {
            self.judge_price(line, create, judged)
        }
    }

    fn judge_price(&self, line: &LineItem, create: bool, mut judged: LineVerdict) -> LineVerdict {
        let (total, plain) = self.quote(line, &self.catalogue.prices);
        let asked = line
            .price
            .as_ref()
            .filter(|it| it.price_micros >= 0 && it.currency_code == "USD");
        let asked = asked.map(|price| self.cents(price.price_micros));
        let answered = line.service_id != "chat" || line.intake_form_answers.is_some();
        judged.total = Some(total);
        judged.result = match asked {
            None => Result::IncorrectPrice,
            Some(asked) if create && asked != total => Result::IncorrectPrice,
            Some(_) if create && !answered => Result::ItemUnfulfillableOtherReason,
            Some(_) => Result::CanFulfill,
        };
        let Some(asked) = asked.filter(|asked| *asked != total) else {
            return judged;
        };
        judged.warning = if total > asked {
            WarningReason::PriceIncrease
        } else {
            WarningReason::PriceDecrease
        };
        let types = tickets(line);
        let moved = types.iter().any(|(id, _)| self.former.contains_key(id));
        if moved && (asked != plain || !self.keeps(Rule::TicketTypesWhereTheirPriceMoved)) {
            let present =
                |(id, _): (&str, i64)| (id.to_owned(), self.cents(self.catalogue.prices[id]));
            judged.prices = types.into_iter().map(present).collect();
        }
        judged
    }

    /// Looks at a cart, for a check or for an order.
    pub(super) fn judge(&self, lines: &[LineItem], cart: &str, create: bool) -> ModelVerdict {
        let sound = |line: &&LineItem| self.ticket_fault(line, lines).is_none();
        let demand: Vec<Spots> = lines.iter().filter(sound).flat_map(spots_of).collect();
        let judged: Vec<_> = lines
            .iter()
            .map(|line| self.judge_line(line, lines, &demand, cart, create))
            .collect();
        let can = |line: &LineVerdict| line.result == Result::CanFulfill;
        let has = |service: &str| lines.iter().any(|line| line.service_id == service);
        let result = match () {
            () if judged.is_empty() => Verdict::OrderUnfulfillableOtherReason,
            () if !judged.iter().all(can) => Verdict::UnfulfillableLineItem,
            () if has("tour") && has("night") => Verdict::UnfulfillableServiceCombination,
            () => Verdict::CanFulfill,
        };
        let sellable = |at: &usize| can(&judged[*at]) || !self.keeps(Rule::FeesOfSellableItemsOnly);
        let sold: Vec<usize> = (0..lines.len()).filter(sellable).collect();
        let totals = sold
            .iter()
            .map(|&at| (&*lines[at].service_id, judged[at].total.unwrap_or(0)));
        let taxes = self.taxes(&totals.collect::<Vec<_>>());
        let sold: Vec<&LineItem> = sold.into_iter().map(|at| &lines[at]).collect();
        let (mut fees, mut fee_total) = self.fees(&sold);
        let tax = taxes.iter().map(|fee| fee.amount).sum();
        fee_total += tax;
        fees.extend(taxes);
        let spots = lines.iter().flat_map(spots_of).collect();
        ModelVerdict {
            result,
            lines: judged,
            fees,
            fee_total,
            tax,
            spots,
        }
    }

    /// The fees of lines, each once, and what they come to.
    fn fees(&self, lines: &[&LineItem]) -> (Vec<Fee>, i64) {
        let (mut fees, mut total) = (Vec::new(), 0);
        for line in lines {
            for (id, count) in tickets(line) {
                let Some((_, amount)) = FEES.into_iter().find(|(known, _)| *known == id) else {
                    continue;
                };
                total += amount * count;
                let fee = Fee {
                    name: "Levy".into(),
                    amount,
                    of: Some((line.service_id.clone(), id.into())),
                };
                if !fees.contains(&fee) {
                    fees.push(fee);
                }
            }
        }
        let has_tour = lines.iter().any(|line| line.service_id == "tour");
        let is_reported = has_tour && !self.keeps(Rule::FeesOfNothingAreLeftOut);
        let of_order = [
            (has_tour, "Surcharge", SURCHARGE),
            (is_reported, "Nothing", 0),
            (!lines.is_empty(), "Handling", HANDLING),
        ];
        for (_, name, amount) in of_order.into_iter().filter(|(is_due, ..)| *is_due) {
            total += amount;
            fees.push(Fee {
                name: name.into(),
                amount,
                of: None,
            });
        }
        (fees, total)
    }

    fn tax_rate(&self, service: &str) -> i64 {
        let mut own = fixture::OTHER_TAXES.into_iter();
        let own = own.find(|(known, _)| *known == service);
        let own = own.filter(|_| self.keeps(Rule::TaxOfTheServiceFirst));
        own.map_or(fixture::TAX, |(_, rate)| rate)
    }

    /// The tax of a line of a service with that total.
    pub(super) fn tax(&self, service: &str, total: i64) -> i64 {
        // A cent is 10,000 micro-units, and the whole 100,000,000 millionths of a per cent.
        self.cents_of(total * self.tax_rate(service), CENT_BY_RATE)
    }

    /// The taxes of lines, by rate in the order of the lines; each line is a service and its total.
    fn taxes(&self, lines: &[(&str, i64)]) -> Vec<Fee> {
        let mut taxes: Vec<(i64, i64)> = Vec::new();
        let mut add = |rate, tax| match taxes.iter_mut().find(|(known, _)| *known == rate) {
            Some((_, sum)) => *sum += tax,
            None => taxes.push((rate, tax)),
        };
        let by_line = self.keeps(Rule::TaxIsRoundedByLine);
        for &(service, total) in lines {
            let rate = self.tax_rate(service);
            let tax = if by_line {
                self.tax(service, total)
            } else {
                total * rate
            };
            add(rate, tax);
        }
        if !by_line {
            for (_, tax) in &mut taxes {
                *tax = self.cents_of(*tax, CENT_BY_RATE);
            }
        }
        taxes.retain(|(_, tax)| *tax > 0);
        let several = taxes.len() > 1;
        let name = |rate| match rate {
            _ if !several => fixture::TAX_NAME.to_owned(),
            10_000_000 => format!("{} 10%", fixture::TAX_NAME),
            _ => format!("{} 7.25%", fixture::TAX_NAME),
        };
        taxes
            .iter()
            .map(|&(rate, amount)| Fee {
                name: name(rate),
                amount,
                of: None,
            })
            .collect()
    }
}

/// A cent in micro-units times millionths of a per cent.
const CENT_BY_RATE: i64 = 10_000 * 100_000_000;
