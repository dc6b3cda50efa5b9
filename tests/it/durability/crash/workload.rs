//! The workload: a catalogue whose pools sell out in places, and the requests of simulated users.

use std::{fs, path::Path};

use boxoffice::{
    api::booking::proto::v3::{
        CheckOrderFulfillabilityRequest, CreateOrderRequest, LineItem, PostalAddress,
    },
    kernel::clock::{Clock, SystemClock},
};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::support::{Item, LONG_LETTER, address_of, order_request, paid_with};

pub(super) const MERCHANT: &str = "workload";
const SERVICE: &str = "show";
const HOUR: i64 = 3600;

/// How long a hold lasts: longer than a round.
pub(super) const HOLD_SEC: i64 = 3600;

/// However often a cart is checked, each hold has its whole length.
const RULES: &str =
    "[[merchant]]\nid = \"workload\"\ncart_hold_sec = 3600\ncart_hold_max = 604800\n";

/// Ticket types, and what one costs in micros.
const TICKETS: [(&str, i64); 2] = [("floor", 20_000_000), ("balcony", 30_000_000)];

/// Spots of a pool that everybody wants, and of one that is never sold out.
const FEW: i32 = 60;
const MANY: i32 = 100_000;

/// The pools of a round: the hour of the slot, whom it serves and its spots.
const POOLS: [(i64, &[&str], i32); 7] = [
    (0, &["floor", "balcony"], FEW),
    (1, &["floor", "balcony"], FEW),
    (2, &["floor"], FEW),
    (2, &["balcony"], MANY),
    (3, &["floor", "balcony"], MANY),
    (4, &["floor", "balcony"], MANY),
    (5, &["floor", "balcony"], MANY),
];

/// Slots of a round.
const SLOTS: i64 = 6;

/// Spots of a slot for tickets of some types. No other pool of the slot serves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) start_sec: i64,
    tickets: &'static [&'static str],
    pub(super) allotment: i32,
}

impl Pool {
    /// The spots that lines take from it.
    pub(super) fn drawn<'a>(&self, lines: impl IntoIterator<Item = &'a LineItem>) -> i32 {
        let of_slot = lines
            .into_iter()
            .filter(|line| line.start_sec == self.start_sec);
        let tickets = of_slot.flat_map(|line| &line.tickets);
        tickets
            .filter(|ticket| self.tickets.contains(&ticket.ticket_id.as_str()))
            .map(|it| it.count)
            .sum()
    }

    /// A line of one ticket that this pool serves.
    pub(super) fn single(&self) -> LineItem {
        line(self.start_sec, self.tickets[0], 1)
    }
}

fn line(start_sec: i64, ticket: &str, count: i32) -> LineItem {
    let (_, price) = TICKETS.into_iter().find(|(id, _)| *id == ticket).unwrap();
    let mut item = Item::of(SERVICE, 0, 0, HOUR).tickets(&[(ticket, count)]);
    item.0.start_sec = start_sec;
    item.price("USD", price * i64::from(count)).0
}

/// The workload. Every round has slots of its own.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    first_sec: i64,
    rounds: u64,
    /// Characters of each field of a user's address; without any, users have none.
    weight: usize,
}

impl Workload {
    /// The first slot is the day after tomorrow.
    pub(super) fn of(rounds: u64) -> Self {
        Self {
            first_sec: (SystemClock.now_sec().get() / HOUR + 48) * HOUR,
            rounds,
            weight: 0,
        }
    }

    /// One whose users give addresses with so many characters in each field.
    pub(super) fn with_addresses(self, weight: usize) -> Self {
        Self { weight, ..self }
    }

    /// What is sold in a round.
    pub(super) fn pools(&self, round: u64) -> Vec<Pool> {
        let first_sec = self.first_sec + i64::try_from(round).unwrap() * SLOTS * HOUR;
        let pool = |(hour, tickets, allotment)| Pool {
            start_sec: first_sec + hour * HOUR,
            tickets,
            allotment,
        };
        POOLS.map(pool).into()
    }

    /// Writes its files, with so many spots more than it has in the first pool of all.
    pub(super) fn write(&self, dir: &Path, more: i32) {
        let price = |micros: i64| json!({"price_micros": micros, "currency_code": "USD"});
        let ticket =
            |(id, micros): (&str, i64)| json!({"ticket_type_id": id, "price": price(micros)});
        let service = json!({
            "merchant_id": MERCHANT, "service_id": SERVICE, "ticket_type": TICKETS.map(ticket),
        });
        let entry = |Pool {
                         start_sec,
                         tickets,
                         allotment,
                     }: Pool| {
            json!({
                "merchant_id": MERCHANT, "service_id": SERVICE, "start_sec": start_sec, "duration_sec": HOUR,
                "spots_open": allotment, "ticket_type_id": tickets,
            })
        };
        let mut pools: Vec<Pool> = (0..self.rounds)
            .flat_map(|round| self.pools(round))
            .collect();
        pools[0].allotment += more;
        let entries: Vec<Value> = pools.into_iter().map(entry).collect();
        let write = |file: &str, content: &str| fs::write(dir.join(file), content).unwrap();
        write(
            "merchants.json",
            &json!({"merchant": [{"merchant_id": MERCHANT}]}).to_string(),
        );
        write("services.json", &json!({"service": [service]}).to_string());
        write(
            "availability.json",
            &json!({"service_availability": [{"availability": entries}]}).to_string(),
        );
        write("rules.toml", RULES);
    }
}

/// Payment tokens of one purchase in eight; `slow` delays the gateway.
const PAYMENT_TOKENS: [&str; 5] = ["approve", "approve", "decline", "error", "slow"];

/// Makes requests by chance.
#[derive(Debug)]
pub(super) struct SimulatedUser {
    pub(super) chance: Rng,
    pub(super) user_id: String,
    address: Option<PostalAddress>,
    pools: Vec<Pool>,
    asked: u32,
}

impl SimulatedUser {
    pub(super) fn new(workload: &Workload, round: u64, number: u64, seed: u64) -> Self {
        let chance = Rng::with_seed(seed << 8 | number);
        let address =
            (workload.weight > 0).then(|| address_of(&LONG_LETTER.repeat(workload.weight)));
        Self {
            chance,
            user_id: format!("{round}-{number}"),
            address,
            pools: workload.pools(round),
            asked: 0,
        }
    }

    /// A request under a new token, for which nothing is paid.
    pub(super) fn order(&mut self) -> CreateOrderRequest {
        self.asked += 1;
        let items: Vec<Item> = self.lines().into_iter().map(Item).collect();
        let mut request =
            order_request(&format!("{}-{}", self.user_id, self.asked), MERCHANT, items);
        let user = request
            .order
            .as_mut()
            .unwrap()
            .user_information
            .as_mut()
            .unwrap();
        user.user_id.clone_from(&self.user_id);
        user.address.clone_from(&self.address);
        request
    }

    /// The same, paid for now and then.
    pub(super) fn purchase(&mut self) -> CreateOrderRequest {
        let order = self.order();
        match PAYMENT_TOKENS.get(self.chance.usize(..40)) {
            Some(payment_token) => paid_with(order, payment_token),
            None => order,
        }
    }

    /// One to three lines, each from a pool of its own.
    fn lines(&mut self) -> Vec<LineItem> {
        let mut pools: Vec<&Pool> = self.pools.iter().collect();
        self.chance.shuffle(&mut pools);
        pools.truncate(self.chance.usize(1..=3));
        let of_pool = |pool: &Pool| {
            let ticket = pool.tickets[self.chance.usize(..pool.tickets.len())];
            line(pool.start_sec, ticket, self.chance.i32(1..=4))
        };
        pools.into_iter().map(of_pool).collect()
    }
}

/// The cart that an order would use up.
pub(super) fn cart_of(request: &CreateOrderRequest) -> CheckOrderFulfillabilityRequest {
    let item = request.order.as_ref().unwrap().item.clone();
    let cart_id = request.idempotency_token.clone();
    CheckOrderFulfillabilityRequest {
        merchant_id: MERCHANT.into(),
        item,
        cart_id,
    }
}

/// A cart with the same items as another one, more of each than there are.
pub(super) fn beyond(
    cart: &CheckOrderFulfillabilityRequest,
    cart_id: &str,
) -> CheckOrderFulfillabilityRequest {
    let mut beyond = CheckOrderFulfillabilityRequest {
        cart_id: cart_id.into(),
        ..cart.clone()
    };
    for line in &mut beyond.item {
        line.tickets[0].count = 10 * MANY;
    }
    beyond
}

/// The same cart as nobody's, in which every pool is looked at.
pub(super) fn look_at(pools: &[Pool]) -> CheckOrderFulfillabilityRequest {
    let item = pools.iter().map(Pool::single).collect();
    CheckOrderFulfillabilityRequest {
        merchant_id: MERCHANT.into(),
        item,
        cart_id: String::new(),
    }
}

/// Another request under the same token.
pub(super) fn otherwise(request: &CreateOrderRequest) -> CreateOrderRequest {
    let mut other = request.clone();
    other
        .order
        .as_mut()
        .unwrap()
        .user_information
        .as_mut()
        .unwrap()
        .telephone
        .push('0');
    other
}
