//! Money of the model after the sale: what was charged, and what goes back of it.

use super::{
    after_sale::{ModelRejection, state::DONE, state::FAILED, state::REQUESTED},
    fixture::ModelTerms,
    reference::ReferenceModel,
    rules::Rule,
    verdict::tickets,
};
use crate::model::fixture::FEES;
use boxoffice::api::booking::proto::v3::LineItem;

/// What an item was charged, in micros, with the refund terms of the sale.
#[derive(Debug, Clone)]
pub(super) struct BilledItem {
    pub(super) price: i64,
    pub(super) tax: i64,
    pub(super) fees: i64,
    terms: Option<ModelTerms>,
    service: String,
}

/// How much of items goes back.
#[derive(Debug, Clone, Copy)]
pub(super) enum ModelShare {
    /// By the terms of the sale.
    Policy,
    Percent(i64),
    /// In micros, of the items; without any, of the order as a whole.
    Amount(i64),
}

/// A refund.
#[derive(Debug, Clone)]
pub(super) struct GivenBack {
    pub(super) state: &'static str,
    pub(super) total: i64,
    /// What is given back or about to be; nothing once it has failed.
    pub(super) outstanding: i64,
    /// Items, with the percentage and the amount of each.
    pub(super) items: Vec<(usize, i64, i64)>,
    order_fees: i64,
}

/// The payment of an order.
#[derive(Debug, Clone)]
pub(super) struct ModelPayment {
    pub(super) captured: i64,
    pub(super) items: Vec<BilledItem>,
    pub(super) order_fees: i64,
    pub(super) refunds: Vec<GivenBack>,
    /// Whether the gateway rejects every refund.
    pub(super) is_closed: bool,
    /// Whether somebody has to look at a refund that has failed.
    pub(super) has_alert: bool,
}

impl ModelPayment {
    /// What is given back or about to be.
    pub(super) fn requested(&self) -> i64 {
        self.refunds.iter().map(|refund| refund.outstanding).sum()
    }

    pub(super) fn available(&self) -> i64 {
        self.captured - self.requested()
    }

    pub(super) fn refunded(&self) -> i64 {
        let done = self.refunds.iter().filter(|refund| refund.state == DONE);
        done.map(|refund| refund.outstanding).sum()
    }

    pub(super) fn is_refunded(&self) -> bool {
        self.captured > 0 && self.refunded() >= self.captured
    }

    /// What the gateway makes of everything that was requested. Gives the number of refunds.
    pub(super) fn settle(&mut self) -> u32 {
        let is_given = !self.is_closed;
        let mut ended = 0;
        for refund in self.refunds.iter_mut().filter(|refund| refund.is_open()) {
            refund.end(is_given);
            self.has_alert |= !is_given;
            ended += 1;
        }
        ended
    }

    /// Asks the gateway again for a refund that has failed, if all of it is left.
    pub(super) fn request_again(&mut self, at: usize) -> Result<(), ModelRejection> {
        let refund = &self.refunds[at];
        let mut items = refund.items.iter();
        let is_left = items.all(|(of, _, amount)| *amount <= self.left_of(*of));
        if refund.total > self.available() || !is_left {
            return Err("REFUND_NOT_POSSIBLE");
        }
        let refund = &mut self.refunds[at];
        (refund.state, refund.outstanding) = (REQUESTED, refund.total);
        // There is one alert for all refunds of an order.
        self.has_alert = false;
        Ok(())
    }

    /// Refunds that have given back something, or are about to.
    fn counted(&self) -> impl Iterator<Item = &GivenBack> {
        self.refunds.iter().filter(|refund| refund.outstanding > 0)
    }

    /// What was given back of an item: percent and amount.
    fn given_of(&self, at: usize) -> (i64, i64) {
        let (mut percent, mut given) = (0, 0);
        for (of, share, amount) in self.counted().flat_map(|refund| &refund.items) {
            if *of == at {
                (percent, given) = (percent + share, given + amount);
            }
        }
        (percent, given)
    }

    /// What is left of an item.
    fn left_of(&self, at: usize) -> i64 {
        let item = &self.items[at];
        (item.price + item.tax + item.fees - self.given_of(at).1).max(0)
    }

    /// An amount over items, in proportion to what is left of them; the fees of the order come last.
    fn spread(&mut self, model: &ReferenceModel, asked: &[(usize, i64)], amount: i64) {
        let lefts = asked.iter().map(|(at, _)| (*at, self.left_of(*at)));
        let lefts: Vec<(usize, i64)> = lefts.collect();
        let mut room: i64 = lefts.iter().map(|(_, left)| left).sum();
        let gone: Vec<(usize, i64, i64)> = lefts.iter().map(|(at, _)| (*at, 0, 0)).collect();
        let fees = if self.takes_the_last(model, &gone) {
            self.order_fees_left()
        } else {
            0
        };
        let total = amount.min(room + fees);
        let mut rest = total.min(room);
        let order_fees = total - rest;
        let mut items = Vec::new();
        for (at, left) in lefts {
            let part = if left == room {
                rest
            } else {
                // In whole cents; micros below are cut first.
                let exact = i128::from(rest) * i128::from(left) / i128::from(room);
                half_to_even(i64::try_from(exact).unwrap()).min(left)
            };
            (rest, room) = (rest - part, room - left);
            items.push((at, 0, part));
        }
        self.request(total, items, order_fees);
    }

    fn order_fees_left(&self) -> i64 {
        let given: i64 = self.counted().map(|refund| refund.order_fees).sum();
        (self.order_fees - given).max(0)
    }

    pub(super) fn give_back_the_rest(&mut self) {
        let rest = self.available();
        self.request(rest, Vec::new(), 0);
    }

    fn request(&mut self, total: i64, items: Vec<(usize, i64, i64)>, order_fees: i64) {
        if total > 0 {
            self.refunds.push(GivenBack {
                state: REQUESTED,
                total,
                outstanding: total,
                items,
                order_fees,
            });
        }
    }

    /// Gives back a share of items, each with the seconds until it starts.
    pub(super) fn give_back(
        &mut self,
        model: &ReferenceModel,
        asked: &[(usize, i64)],
        share: ModelShare,
        is_merchants: bool,
    ) -> Result<(), ModelRejection> {
        let available = self.available();
        if available == 0 {
            return Ok(());
        }
        if let ModelShare::Amount(amount) = share {
            let amount = amount.min(available);
            if asked.is_empty() {
                self.request(amount, Vec::new(), 0);
            } else {
                self.spread(model, asked, amount);
            }
            return Ok(());
        }
        let mut items = Vec::new();
        for &(at, before) in asked {
            let reached = match share {
                // A share of the price: what was given back counts.
                ModelShare::Policy => self.items[at].percent(model, before)?,
                ModelShare::Percent(percent) => (self.given_of(at).0 + percent).min(100),
                ModelShare::Amount(_) => unreachable!(),
            };
            items.push(self.share_of(model, at, reached));
        }
        let is_whole = matches!(share, ModelShare::Percent(100)) && is_merchants;
        let order_fees = if is_whole && self.takes_the_last(model, &items) {
            self.order_fees_left()
        } else {
            0
        };
        let sum = items.iter().map(|(_, _, amount)| amount).sum::<i64>() + order_fees;
        // What is not available is missing of the fees first, then of the last items.
        let mut over = (sum - available).max(0);
        let mut order_fees = order_fees;
        let parts = items.iter_mut().rev().map(|(.., amount)| amount);
        for part in std::iter::once(&mut order_fees).chain(parts) {
            let cut = over.min(*part);
            (*part, over) = (*part - cut, over - cut);
        }
        self.request(sum.min(available), items, order_fees);
        Ok(())
    }

    /// What is missing of an item until so many percent of it are given back.
    fn share_of(&self, model: &ReferenceModel, at: usize, reached: i64) -> (usize, i64, i64) {
        let item = &self.items[at];
        let (before, given) = self.given_of(at);
        let fees = if model.keeps(Rule::FeesGoWithTheirItem) {
            item.fees
        } else {
            0
        };
        let whole = (item.price + item.tax + fees) * reached;
        // A hundredth part, in whole cents.
        let target = model.cents_of(whole, 10_000 * 100);
        (at, (reached - before).max(0), (target - given).max(0))
    }

    /// Whether the fees of the order go with these items.
    fn takes_the_last(&self, model: &ReferenceModel, items: &[(usize, i64, i64)]) -> bool {
        let earlier = self.counted().flat_map(|refund| &refund.items);
        let gone: Vec<usize> = earlier.chain(items).map(|(at, ..)| *at).collect();
        let is_last = (0..self.items.len()).all(|at| gone.contains(&at));
        is_last && model.keeps(Rule::OrderFeesGoWithTheLastItem)
    }
}

/// Micros in whole cents.
fn half_to_even(micros: i64) -> i64 {
    let (cents, rest) = (micros / 10_000, micros % 10_000);
    let is_up = rest > 5_000 || rest == 5_000 && cents % 2 == 1;
    (cents + i64::from(is_up)) * 10_000
}

impl GivenBack {
    /// Whether it waits for the gateway.
    pub(super) fn is_open(&self) -> bool {
        self.state == REQUESTED && self.outstanding > 0
    }

    /// What the gateway makes of it.
    fn end(&mut self, is_given: bool) {
        self.state = if is_given { DONE } else { FAILED };
        if !is_given {
            self.outstanding = 0;
        }
    }
}

impl BilledItem {
    /// The percentage that goes back so many seconds before the start.
    fn percent(&self, model: &ReferenceModel, before: i64) -> Result<i64, ModelRejection> {
        let terms = if model.keeps(Rule::TermsAreThoseOfTheSale) {
            self.terms
        } else {
            model.catalogue.terms_of(&self.service)
        };
        let terms = terms.ok_or("NO_REFUND_TERMS")?;
        let reached = terms.iter().filter(|(least, _)| *least <= before);
        let longest = reached.max_by_key(|(least, _)| *least);
        Ok(longest.map_or(0, |(_, percent)| *percent))
    }
}

impl ReferenceModel {
    /// What a line is charged.
    pub(super) fn billed(&self, line: &LineItem) -> BilledItem {
        let price = self.quote(line, &self.catalogue.prices).0;
        let fees = tickets(line).into_iter().map(|(id, count)| {
            let fee = FEES.into_iter().find(|(known, _)| *known == id);
            fee.map_or(0, |(_, amount)| amount * count)
        });
        BilledItem {
            price,
            tax: self.tax(&line.service_id, price),
            fees: fees.sum(),
            terms: self.catalogue.terms_of(&line.service_id),
            service: line.service_id.clone(),
        }
    }
}
