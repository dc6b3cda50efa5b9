//! The catalogue that server and model share: its fixed part, its changing part, and its files.

use std::{collections::HashMap, fs, path::Path};

use serde_json::{Value, json};

use crate::support::{NOW, tomorrow_at};

/// Service, start and duration.
pub(super) type SlotName = (String, i64, i64);

pub(super) const MERCHANT: &str = "harbour";
pub(super) const HOLD_SEC: i64 = 600;
/// How long all holds of a cart may last together.
pub(super) const HOLD_MAX_SEC: i64 = 900;
/// Fees of single tickets, of an order with a tour, and of every order.
pub(super) const FEES: [(&str, i64); 1] = [("adult", 1_250_000)];
pub(super) const SURCHARGE: i64 = 750_000;
pub(super) const HANDLING: i64 = 500_000;
/// The name of the tax, the merchant's rate in millionths of a per cent, and what services have instead.
pub(super) const TAX_NAME: &str = "VAT";
pub(super) const TAX: i64 = 10_000_000;
pub(super) const OTHER_TAXES: [(&str, i64); 2] = [("chat", 7_250_000), ("night", 0)];
/// A service of which nothing is asked: its only order has operators' work begin whenever the clock was moved.
pub(super) const BEACON: &str = "lamp";
pub(super) const BEACON_PRICE: i64 = 10_000_000;
pub(super) const BEACON_START: i64 = NOW + 20 * 24 * 3600;
/// What has to be paid for when it is booked, and what may not be.
pub(super) const PREPAID: &str = "night";
pub(super) const NEVER_PREPAID: &str = "chat";

const RULES: &str = r#"
[[merchant]]
id = "harbour"
cart_hold_sec = 600
cart_hold_max = 900
tax_name = "VAT"

[[merchant.fee]]
name = "Handling"
price_micros = 500_000

[[merchant.forbid_together]]
services = ["tour", "night"]

[[service]]
merchant = "harbour"
id = "tour"

[service.limits]
max = 6
ticket.vip.max = 2

[[service.slot_limits]]
availability_tag = "late"
min = 2

[[service.slot_limits]]
availability_tag = "small"
max = 5

[[service.slot_limits]]
scope = "slot"
max = 8

[[service.child]]
tickets = ["child"]
adults = ["adult"]
per_adult = 2
scope = "slot"

[[service.forbid_tickets]]
tickets = ["vip", "child"]

[[service.group_deal]]
tickets = ["adult"]
min_count = 4
percent_off = "12.5"

[[service.ticket_fee]]
name = "Levy"
price_micros = 1_250_000
tickets = ["adult"]

[[service.order_fee]]
name = "Surcharge"
price_micros = 750_000

[[service.order_fee]]
name = "Nothing"
price_micros = 0
"#;

/// The ticket types of a service, with an empty one for appointments.
pub(super) fn menu(service: &str) -> &'static [&'static str] {
    match service {
        "tour" => &["adult", "child", "vip"],
        "night" => &["seat"],
        "chat" => &[""],
        _ => &[],
    }
}

/// The seconds between which a slot can be booked, both included.
pub(super) fn booking_window((service, start, duration): &SlotName) -> (i64, i64) {
    match service.as_str() {
        "tour" => (0, start - 3600),
        "chat" => (0, start + duration - 600),
        _ => (NOW + 3600, *start),
    }
}

/// Spots of a slot for tickets of some types, or of all where none is named.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    service: &'static str,
    start: i64,
    duration: i64,
    pub(super) tickets: &'static [&'static str],
    pub(super) tag: &'static str,
    pub(super) spots: i64,
    /// For how many people a spot can be, if that is said, and how many spots are for so many.
    pub(super) parties: Vec<(i64, i64)>,
}

impl Pool {
    pub(super) fn slot(&self) -> SlotName {
        (self.service.into(), self.start, self.duration)
    }

    pub(super) fn serves(&self, ticket: &str) -> bool {
        self.tickets.is_empty() || self.tickets.contains(&ticket)
    }
}

/// The slots that can be asked for; the last two are not there.
pub(super) fn slots() -> [SlotName; 7] {
    [
        ("tour", 10, 3600),
        ("tour", 12, 3600),
        ("tour", 14, 3600),
        ("chat", 11, 1800),
        ("night", 20, 7200),
        ("tour", 15, 3600),
        ("ghost", 10, 3600),
    ]
    .map(|(service, hour, duration)| (service.into(), tomorrow_at(hour, 0), duration))
}

/// Refund terms: seconds before the start, and the percentage that is given back from then on.
pub(super) type ModelTerms = &'static [(i64, i64)];

/// Terms that the tours have, one after another.
const TERMS: [ModelTerms; 3] = [
    &[(97_200, 75), (90_000, 33), (3_600, 10)],
    &[(0, 100)],
    &[(100_000, 50), (7_200, 25)],
];

/// What changes from one catalogue to the next.
#[derive(Debug, Clone)]
pub(super) struct FixtureCatalog {
    /// By ticket type; that of an appointment is under the name of its service.
    pub(super) prices: HashMap<&'static str, i64>,
    pub(super) pools: Vec<Pool>,
    /// Whether the merchant holds carts.
    pub(super) holds: bool,
    /// The refund terms of the tours; other services have none.
    terms: ModelTerms,
    /// Whether the merchant confirms the last tour.
    confirms: bool,
}

impl FixtureCatalog {
    /// The catalogue of a number; 0 is the first, which has everything.
    pub(super) fn of(number: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(number);
        let mut price =
            |id, few: [i64; 3]| (id, few[if number == 0 { 0 } else { chance.usize(..3) }]);
        let prices = HashMap::from([
            price("adult", [10_130_000, 10_130_000, 12_000_000]),
            price("child", [7_125_000, 6_005_000, 7_125_000]),
            price("vip", [40_000_000, 40_000_000, 35_000_000]),
            price("seat", [30_000_000, 31_000_000, 29_000_000]),
            price("chat", [15_005_000, 15_005_000, 14_000_000]),
        ]);
        let mut pools = Vec::new();
        let all: &[&[&str]] = &[
            &[],
            &[],
            &["adult"],
            &["adult", "child"],
            &["child", "vip"],
            &["vip", "adult"],
            &[],
            &[],
        ];
        let slots = slots();
        for ((at, tag), (tickets, few)) in [
            (0, ""),
            (1, "late"),
            (1, "small"),
            (2, ""),
            (2, ""),
            (2, ""),
            (3, ""),
            (4, ""),
        ]
        .into_iter()
        .zip(all.iter().zip([
            [40, 25, 9],
            [24, 30, 0],
            [12, 16, 6],
            [24, 30, 12],
            [13, 30, 12],
            [18, 9, 12],
            [6, 9, 3],
            [20, 26, 0],
        ])) {
            let (service, start, duration) = &slots[at];
            let service = ["tour", "chat", "night"]
                .into_iter()
                .find(|known| known == service)
                .unwrap();
            let spots = few[if number == 0 { 0 } else { chance.usize(..3) }];
            // Some entry has to have the tag that the rules name.
            if number == 0 || tickets.contains(&"adult") || chance.u8(..6) > 0 {
                let parties = if service == "chat" {
                    vec![(1, spots - 2), (3, spots)]
                } else {
                    Vec::new()
                };
                pools.push(Pool {
                    service,
                    start: *start,
                    duration: *duration,
                    tickets,
                    tag,
                    spots,
                    parties,
                });
            }
        }
        let holds = number == 0 || chance.u8(..6) > 0;
        Self {
            prices,
            pools,
            holds,
            terms: TERMS[if number == 0 { 0 } else { chance.usize(..3) }],
            confirms: false,
        }
    }

    /// The same, whose merchant confirms the last tour.
    pub(super) fn confirming(self) -> Self {
        Self {
            confirms: true,
            ..self
        }
    }

    /// Whether bookings of a slot wait for the merchant.
    pub(super) fn is_confirmed_later(&self, slot: &SlotName) -> bool {
        self.confirms && *slot == slots()[2]
    }

    /// The refund terms of a service, if it has any.
    pub(super) fn terms_of(&self, service: &str) -> Option<ModelTerms> {
        (service == "tour").then_some(self.terms)
    }

    fn price(&self, id: &str) -> Value {
        json!({"price_micros": self.prices[id], "currency_code": "USD"})
    }

    pub(super) fn write(&self, dir: &Path) {
        let ticket = |id: &&str| json!({"ticket_type_id": id, "price": self.price(id)});
        let types = |service: &str| menu(service).iter().map(ticket).collect::<Vec<_>>();
        let question =
            json!({"id": "first", "type": "BOOLEAN", "label": "First?", "is_required": true});
        let condition = |&(before, percent): &(i64, i64)| json!({"min_duration_before_start_time_sec": before, "refund_percent": percent});
        let conditions: Vec<Value> = self.terms.iter().map(condition).collect();
        let rules = json!({
            "min_advance_booking": 3600,
            "cancellation_policy": {"refund_condition": conditions},
        });
        let services = json!({"service": [
            {"merchant_id": MERCHANT, "service_id": BEACON,
             "price": {"price_micros": BEACON_PRICE, "currency_code": "USD"}},
            {"merchant_id": MERCHANT, "service_id": "tour", "ticket_type": types("tour"), "rules": rules},
            {"merchant_id": MERCHANT, "service_id": "night", "ticket_type": types("night"),
             "tax_rate": {}, "prepayment_type": "REQUIRED"},
            {"merchant_id": MERCHANT, "service_id": "chat", "price": self.price("chat"),
             "tax_rate": {"micro_percent": 7_250_000}, "prepayment_type": "NOT_SUPPORTED",
             "rules": {"min_booking_buffer_before_end_time": 600}, "intake_form": {"field": [question]}},
        ]});
        let entry = |(pool, party, spots): (&Pool, i64, i64)| {
            let mut entry = json!({
                "merchant_id": MERCHANT, "service_id": pool.service, "start_sec": pool.start,
                "duration_sec": pool.duration, "spots_open": spots, "ticket_type_id": pool.tickets,
                "availability_tag": pool.tag,
            });
            if party > 0 {
                entry["resources"] = json!({"party_size": party});
            }
            if self.is_confirmed_later(&pool.slot()) {
                entry["confirmation_mode"] = "CONFIRMATION_MODE_ASYNCHRONOUS".into();
            }
            if pool.service == "night" {
                entry["scheduling_rule_overrides"] = json!({"first_bookable_sec": NOW + 3600});
            }
            entry
        };
        let entries = self.pools.iter().flat_map(|pool| {
            let one = pool.parties.is_empty().then_some((pool, 0, pool.spots));
            one.into_iter().chain(
                pool.parties
                    .iter()
                    .map(move |&(party, spots)| (pool, party, spots)),
            )
        });
        let mut entries: Vec<Value> = entries.map(entry).collect();
        entries.push(json!({
            "merchant_id": MERCHANT, "service_id": BEACON, "start_sec": BEACON_START,
            "duration_sec": 3600, "spots_open": 1,
        }));
        let write = |file: &str, content: &str| fs::write(dir.join(file), content).unwrap();
        write(
            "merchants.json",
            &json!({"merchant": [{"merchant_id": MERCHANT, "tax_rate": {"micro_percent": TAX}}]})
                .to_string(),
        );
        write("services.json", &services.to_string());
        write(
            "availability.json",
            &json!({"service_availability": [{"availability": entries}]}).to_string(),
        );
        write(
            "rules.toml",
            &if self.holds {
                RULES.into()
            } else {
                RULES.replace("cart_hold", "# cart_hold")
            },
        );
    }
}
