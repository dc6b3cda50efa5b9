//! The reference model of a booking partner, as simple as possible and without code of the server: a
//! list of sales, a list of holds, and the spots that they leave.

use std::collections::{HashMap, HashSet};

use boxoffice::api::booking::proto::v3::{
    Order, order_fulfillability::OrderFulfillabilityResult as Verdict,
};

use super::{
    after_sale::{ModelOrder, StateNames},
    blocks::Blocked,
    fixture::{self, FixtureCatalog, HOLD_MAX_SEC, HOLD_SEC, Pool, SlotName},
    rules::Rule,
    time::Forgotten,
    verdict::ModelVerdict,
};

/// Spots of one slot and ticket type; an empty type is an appointment.
#[derive(Debug, Clone)]
pub(super) struct Spots {
    pub(super) slot: SlotName,
    pub(super) ticket: String,
    pub(super) count: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) since: i64,
    pub(super) until: i64,
    pub(super) spots: Vec<Spots>,
}

/// How long a cart has had holds, one after the other, up to which moment that is counted, and until when
/// a further one is of their number. A clock that is set back gives no time back.
#[derive(Debug, Clone, Copy)]
pub(super) struct HoldTime {
    used: i64,
    counted: i64,
    pub(super) until: i64,
    /// Seconds without a hold after which the time for holds starts again.
    pub(super) pause: i64,
}

pub(super) struct ReferenceModel {
    pub(super) wrong: Option<Rule>,
    /// Whether there is a gateway.
    pub(super) charging: bool,
    pub(super) now: i64,
    pub(super) catalogue: FixtureCatalog,
    /// The last other price of each ticket type that has had one.
    pub(super) former: HashMap<&'static str, i64>,
    pub(super) sold: Vec<Spots>,
    /// By cart, which is the token of the order to come.
    pub(super) holds: HashMap<String, Hold>,
    pub(super) holdings: HashMap<String, HoldTime>,
    /// Oldest first.
    pub(super) orders: Vec<ModelOrder>,
    pub(super) blocks: HashMap<SlotName, Blocked>,
    /// The tokens of orders that were charged to a card that takes nothing back.
    pub(super) closed_cards: HashSet<String>,
    /// Whether there is an order besides, of which nothing is asked.
    pub(super) has_beacon: bool,
    /// The names of states by the lifecycle in force.
    pub(super) names: StateNames,
    /// The latest moment at which one of them was created.
    pub(super) newest: Option<i64>,
    pub(super) forgotten: Forgotten,
}

impl ReferenceModel {
    pub(super) fn keeps(&self, rule: Rule) -> bool {
        self.wrong != Some(rule)
    }

    pub(super) fn replace(&mut self, catalogue: FixtureCatalog) {
        let moved = self
            .catalogue
            .prices
            .iter()
            .filter(|(id, old)| catalogue.prices[*id] != **old);
        self.former.extend(moved);
        self.catalogue = catalogue;
    }

    pub(super) fn ordered(&self, token: &str) -> Option<Order> {
        let order = self.orders.iter().find(|order| order.token == token)?;
        Some(order.replay(self))
    }

    pub(super) fn orders_of(&self, user_id: &str) -> Vec<Order> {
        let is_of = |order: &&ModelOrder| {
            let user = order.first.user_information.as_ref();
            user.unwrap().user_id == user_id
        };
        let orders = self.orders.iter().filter(is_of);
        let orders = orders.map(|order| order.listed(self));
        if self.keeps(Rule::NewestFirst) {
            orders.rev().collect()
        } else {
            orders.collect()
        }
    }

    /// Whole cents, halves to the even one.
    pub(super) fn cents(&self, micros: i64) -> i64 {
        self.cents_of(micros, 10_000)
    }

    /// The same of an amount of which so much is a cent.
    pub(super) fn cents_of(&self, amount: i64, cent: i64) -> i64 {
        let (cents, rest) = (amount.div_euclid(cent), amount.rem_euclid(cent));
        let half = rest * 2 == cent && (cents % 2 == 1 || !self.keeps(Rule::RoundHalfToEven));
        (cents + i64::from(half || rest * 2 > cent)) * 10_000
    }

    pub(super) fn pools(&self, slot: &SlotName) -> Vec<&Pool> {
        self.catalogue
            .pools
            .iter()
            .filter(|pool| pool.slot() == *slot)
            .collect()
    }

    fn is_on(&self, hold: &Hold) -> bool {
        hold.is_on(self.now)
            || self.now < hold.until && !self.keeps(Rule::HoldsEndWhenTheClockIsSetBack)
    }

    /// What is left of a pool for a cart, whose own hold is free for it.
    pub(super) fn left(&self, pool: &Pool, cart: &str) -> i64 {
        let slot = pool.slot();
        if self.is_forgotten(&slot) {
            return 0;
        }
        let pools = self.pools(&slot);
        let draws = |spots: &&Spots| {
            spots.slot == slot
                && (pool.serves(&spots.ticket)
                    || !pools.iter().any(|pool| pool.serves(&spots.ticket)))
        };
        let others = self.holds.iter().filter(|(other, hold)| {
            (*other != cart || !self.keeps(Rule::OwnHoldIsFree))
                && (self.is_on(hold) || !self.keeps(Rule::HoldsEnd))
        });
        let taken = self
            .sold
            .iter()
            .chain(others.flat_map(|(_, hold)| &hold.spots))
            .filter(draws);
        let spots = match &pool.parties[..] {
            parties if !parties.is_empty() && !self.keeps(Rule::PartiesShareASpot) => {
                parties.iter().map(|(_, spots)| spots).sum()
            }
            _ => pool.spots,
        };
        let left = spots - taken.map(|spots| spots.count).sum::<i64>();
        (left - self.blocked(&slot, left)).max(0)
    }

    /// Spots for tickets of these types, all together.
    pub(super) fn open(&self, slot: &SlotName, types: &[&str], cart: &str) -> i64 {
        if !self.is_bookable(slot) {
            return 0;
        }
        let mut left: Vec<(&Pool, i64)> = self
            .pools(slot)
            .into_iter()
            .map(|pool| (pool, self.left(pool, cart)))
            .collect();
        if !self.keeps(Rule::EveryPoolBinds) && left.iter().any(|(pool, _)| pool.tickets.is_empty())
        {
            left.retain(|(pool, _)| pool.tickets.is_empty());
        }
        self.most(&left, types)
    }

    /// The most tickets of these types that fit into pools, by trying every number of each type.
    fn most(&self, left: &[(&Pool, i64)], types: &[&str]) -> i64 {
        let Some((first, others)) = types.split_first() else {
            return 0;
        };
        let serving = left.iter().filter(|(pool, _)| pool.serves(first));
        let fits = serving.map(|(_, left)| *left).min().unwrap_or(0);
        let least = if others.is_empty() || !self.keeps(Rule::MostOfPoolsThatCross) {
            fits
        } else {
            0
        };
        let with = |count: i64| {
            let rest = left
                .iter()
                .map(|&(pool, left)| (pool, left - if pool.serves(first) { count } else { 0 }));
            count + self.most(&rest.collect::<Vec<_>>(), others)
        };
        (least..=fits).map(with).max().unwrap_or(0)
    }

    /// Whether a party of that size finds a place, 0 being one of no size.
    pub(super) fn has_place(&self, slot: &SlotName, party: i64) -> bool {
        let open = self.spots_open(slot, "");
        let listed = self.pools(slot).into_iter().flat_map(|pool| &pool.parties);
        let listed: Vec<&(i64, i64)> = listed
            .filter(|_| self.keeps(Rule::PartiesAreListed))
            .collect();
        if party <= 0 || listed.is_empty() {
            return open >= party.max(1);
        }
        listed
            .into_iter()
            .any(|(size, spots)| *size == party && open.min(*spots) > 0)
    }

    pub(super) fn is_bookable(&self, slot: &SlotName) -> bool {
        let (opens, closes) = fixture::booking_window(slot);
        opens <= self.now && (self.now <= closes || !self.keeps(Rule::BookingCloses))
    }

    /// Spots of a slot for whatever the service sells.
    pub(super) fn spots_open(&self, slot: &SlotName, cart: &str) -> i64 {
        self.open(slot, fixture::menu(&slot.0), cart)
    }

    /// A look at a cart. Gives the second until which its spots are held, 0 where they are not.
    pub(super) fn hold(&mut self, cart: &str, judged: &ModelVerdict) -> i64 {
        if !self.catalogue.holds && !self.keeps(Rule::HoldsOffMeansReleased) {
            return 0;
        }
        self.holds.remove(cart);
        self.holdings.retain(|_, holding| self.now < holding.until);
        let fits = self.catalogue.holds && judged.result == Verdict::CanFulfill;
        if !fits || cart.is_empty() || self.ordered(cart).is_some() {
            if let Some(holding) = self.holdings.get_mut(cart) {
                holding.until = holding.until.min(self.now + holding.pause);
            }
            return 0;
        }
        let known = self.holdings.get(cart).copied();
        let HoldTime {
            used,
            counted,
            until,
            pause,
        } = known.unwrap_or(HoldTime {
            used: 0,
            counted: self.now,
            until: 0,
            pause: HOLD_SEC,
        });
        let used = used + (self.now - counted).max(0);
        let most = if self.keeps(Rule::HoldsAreRenewedForSoLong) {
            HOLD_MAX_SEC - used
        } else {
            i64::MAX
        };
        let (since, counted) = (self.now, self.now);
        if most <= 0 {
            self.holdings.insert(
                cart.into(),
                HoldTime {
                    used,
                    counted,
                    until: until.min(self.now + pause),
                    pause,
                },
            );
            return 0;
        }
        let until = since + most.min(HOLD_SEC);
        self.holdings.insert(
            cart.into(),
            HoldTime {
                used,
                counted,
                until: until + HOLD_SEC,
                pause: HOLD_SEC,
            },
        );
        self.holds.insert(
            cart.into(),
            Hold {
                since,
                until,
                spots: judged.spots.clone(),
            },
        );
        until
    }

    /// An order's payment has failed: its cart holds what it held.
    pub(super) fn payment_error(&mut self, token: &str) {
        if !self.keeps(Rule::FailedPaymentKeepsTheHold) {
            self.holds.remove(token);
        }
        let now = self.now;
        self.holds
            .retain(|cart, hold| cart != token || hold.is_on(now));
    }

    pub(super) fn sell(&mut self, token: &str, order: Order, judged: ModelVerdict) {
        self.holds.remove(token);
        self.sold.extend(judged.spots);
        self.newest = self.newest.max(Some(self.now));
        let sold = self.sold_order(token, order);
        self.orders.push(sold);
    }
}
