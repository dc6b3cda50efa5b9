//! The catalogue of the unit tests, and their time: every test happens at [`NOW`], and the slots
//! of every service start at [`START`] and last an hour.

#![expect(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default,
    clippy::unwrap_used,
    reason = "for tests only"
)]

use std::collections::HashMap;

use super::{
    catalog::{
        BookingWindow, CancellationTerms, Catalog, ChildRule, Fee, FeedFees, LocalizedText,
        Merchant, MerchantIx, Prepayment, RuleScope, Service, ServiceIx, TicketIx, TicketRules,
        TicketType,
    },
    fulfillability::{Assessment, Inquiry, Judgement, Purpose, judge, slot_keys},
    money::{Currency, Money, TaxRate},
    order::{LineItem, OrderedTickets, PriceTag},
    refunds::RefundFees,
    slot::{CartKey, Pool, PoolTickets, Slot, SlotKey, SlotTerms, Viewer},
    time::{EpochSeconds, Seconds},
};

pub const NOW: EpochSeconds = EpochSeconds::new(1_800_000_000);
pub const HOUR: i64 = 3_600;
pub const START: EpochSeconds = NOW.saturating_add(Seconds::new(7 * 24 * HOUR));

/// Ticket types of the museum.
pub const ADULT: TicketIx = TicketIx(0);
pub const SENIOR: TicketIx = TicketIx(1);
pub const CHILD: TicketIx = TicketIx(2);

/// The ticket type of the raft.
pub const SEAT: TicketIx = TicketIx(0);

/// Ticket types of the concert, and the ticket sets that its pools are limited to.
pub const STALLS: TicketIx = TicketIx(0);
pub const BALCONY: TicketIx = TicketIx(1);
pub const STALLS_ONLY: PoolTickets = PoolTickets::Set(0);
pub const BALCONY_ONLY: PoolTickets = PoolTickets::Set(1);

pub fn currency(code: &str) -> Currency {
    Currency::from_code(code).unwrap()
}

pub fn dollars(micros: i64) -> Money {
    Money::from_micros(micros, currency("USD"))
}

pub fn cents(cents: i64) -> Money {
    dollars(cents * 10_000)
}

pub fn yen(yen: i64) -> Money {
    Money::from_micros(yen * 1_000_000, currency("JPY"))
}

pub fn tax_rate(micro_percent: u32) -> Option<TaxRate> {
    TaxRate::from_micro_percent(micro_percent)
}

pub fn price_tag(micros: i64, currency_code: &str) -> PriceTag {
    PriceTag {
        micros,
        currency_code: currency_code.into(),
        pricing_option_tag: String::new(),
    }
}

pub fn tickets(tickets: &[(&str, i32)]) -> Vec<OrderedTickets> {
    tickets
        .iter()
        .map(|&(id, count)| OrderedTickets {
            ticket_id: id.into(),
            count,
        })
        .collect()
}

/// A line for the slot at [`START`], at a total in cents.
pub fn line(service_id: &str, asked: &[(&str, i32)], total_cents: i64) -> LineItem {
    LineItem {
        service_id: service_id.into(),
        start_sec: START,
        duration_sec: Seconds::HOUR,
        tickets: tickets(asked),
        price: Some(price_tag(total_cents * 10_000, "USD")),
        answers: None,
    }
}

pub fn fee(name: &str, amount: Money) -> Fee {
    Fee {
        name: name.into(),
        amount,
    }
}

pub fn ticket_type(id: &str, price: Money) -> TicketType {
    TicketType {
        ix: TicketIx(0),
        id: id.into(),
        short_description: LocalizedText::default(),
        option_description: LocalizedText::default(),
        price,
        previous_price: None,
        feed_fees: FeedFees::default(),
        fees: Vec::new(),
    }
}

fn merchant(id: &str, currency_code: &str) -> Merchant {
    Merchant {
        id: id.into(),
        name: id.into(),
        currency: currency(currency_code),
        per_order_fees: Vec::new(),
        combinations: Vec::new(),
        cart_hold: None,
        tax_rate: None,
        tax_name: "Tax".into(),
        refund_fees: RefundFees::default(),
        time_zone: "UTC".into(),
    }
}

fn service(merchant: MerchantIx, id: &str, mut tickets: Vec<TicketType>) -> Service {
    for (at, ticket) in (0..).zip(&mut tickets) {
        ticket.ix = TicketIx(at);
    }
    Service {
        merchant,
        id: id.into(),
        name: LocalizedText::default(),
        price: None,
        tax_rate: None,
        prepayment: Prepayment::default(),
        tickets,
        per_order_fees: Vec::new(),
        booking_window: BookingWindow::default(),
        cancellation: CancellationTerms::default(),
        questions: Vec::new(),
        rules: TicketRules::default(),
        deals: Vec::new(),
        ticket_sets: Vec::new(),
    }
}

/// Adults at $20, seniors at $15 and children, who need one of them, at $10.
fn museum(merchant: MerchantIx) -> Service {
    let types = [("adult", 2_000), ("senior", 1_500), ("child", 1_000)];
    let mut museum = service(
        merchant,
        "museum",
        types
            .map(|(id, price)| ticket_type(id, cents(price)))
            .into(),
    );
    museum.tickets[0].fees = vec![fee("booking", cents(100)), fee("tax", cents(50))];
    museum.tickets[2].fees = vec![fee("booking", cents(25))];
    museum.per_order_fees = vec![fee("delivery", cents(200))];
    museum.rules.children = vec![ChildRule {
        children: vec![CHILD],
        adults: vec![ADULT, SENIOR],
        per_adult: None,
        scope: RuleScope::Line,
    }];
    museum
}

/// Seats at $75, sold until an hour before the start.
fn raft(merchant: MerchantIx) -> Service {
    let mut raft = service(merchant, "raft", vec![ticket_type("seat", cents(7_500))]);
    raft.booking_window.min_advance = Some(Seconds::HOUR);
    raft
}

/// Stalls at $120 and balcony at $60, each with spots of its own.
fn concert(merchant: MerchantIx) -> Service {
    let types = vec![
        ticket_type("stalls", cents(12_000)),
        ticket_type("balcony", cents(6_000)),
    ];
    let mut concert = service(merchant, "concert", types);
    concert.ticket_sets = vec![vec![STALLS], vec![BALCONY]];
    concert
}

/// Appointments at $35, sold until a quarter of an hour before the end.
fn salon(merchant: MerchantIx) -> Service {
    let mut salon = service(merchant, "salon", Vec::new());
    salon.price = Some(cents(3_500));
    salon.booking_window.min_buffer_before_end = Some(Seconds::new(HOUR / 4));
    salon
}

/// Days at 1,500 yen and evenings at 750 yen.
fn onsen(merchant: MerchantIx) -> Service {
    service(
        merchant,
        "onsen",
        vec![
            ticket_type("day", yen(1_500)),
            ticket_type("evening", yen(750)),
        ],
    )
}

/// A catalogue with its slots, seen by one viewer.
#[derive(Debug)]
pub struct Fixture {
    pub catalog: Catalog,
    pub merchant: MerchantIx,
    pub slots: HashMap<SlotKey, Slot>,
    pub viewer: Viewer,
}

impl Fixture {
    /// The merchant `town`: museum (50 spots), raft (5), concert (4 in the stalls, 6 on the
    /// balcony, 8 in all) and salon (1); and the merchant `tokyo`: onsen (10).
    pub fn new() -> Self {
        let mut catalog = Catalog::default();
        let town = catalog.add_merchant(merchant("town", "USD"));
        catalog.merchant_mut(town).per_order_fees = vec![fee("handling", cents(100))];
        let tokyo = catalog.add_merchant(merchant("tokyo", "JPY"));
        for service in [
            museum(town),
            raft(town),
            concert(town),
            salon(town),
            onsen(tokyo),
        ] {
            catalog.add_service(service);
        }
        let viewer = Viewer {
            now: NOW,
            cart: None,
        };
        let mut fixture = Self {
            catalog,
            merchant: town,
            slots: HashMap::new(),
            viewer,
        };
        for (service, tickets, spots) in [
            ("museum", PoolTickets::All, 50),
            ("raft", PoolTickets::All, 5),
            ("concert", STALLS_ONLY, 4),
            ("concert", BALCONY_ONLY, 6),
            ("concert", PoolTickets::All, 8),
            ("salon", PoolTickets::All, 1),
        ] {
            fixture.slot(service, START).open(
                Pool {
                    tickets,
                    allotment: spots,
                },
                &SlotTerms::default(),
            );
        }
        fixture.merchant = tokyo;
        let onsen = Pool {
            tickets: PoolTickets::All,
            allotment: 10,
        };
        fixture
            .slot("onsen", START)
            .open(onsen, &SlotTerms::default());
        Self {
            merchant: town,
            ..fixture
        }
    }

    /// The same fixture, asked as the merchant `tokyo`.
    pub fn in_tokyo() -> Self {
        let fixture = Self::new();
        let tokyo = fixture.catalog.merchant_ix("tokyo").unwrap();
        Self {
            merchant: tokyo,
            ..fixture
        }
    }

    pub fn ix(&self, service_id: &str) -> ServiceIx {
        self.catalog.service_ix(self.merchant, service_id).unwrap()
    }

    pub fn service(&self, service_id: &str) -> &Service {
        self.catalog.service(self.ix(service_id))
    }

    pub fn service_mut(&mut self, service_id: &str) -> &mut Service {
        self.catalog.service_mut(self.ix(service_id))
    }

    pub fn merchant_mut(&mut self) -> &mut Merchant {
        self.catalog.merchant_mut(self.merchant)
    }

    pub fn key(&self, service_id: &str, start_sec: EpochSeconds) -> SlotKey {
        SlotKey::new(self.ix(service_id), start_sec, Seconds::HOUR).unwrap()
    }

    /// The slot of a service at a time; a new one without spots where there was none.
    pub fn slot(&mut self, service_id: &str, start_sec: EpochSeconds) -> &mut Slot {
        let key = self.key(service_id, start_sec);
        self.slots.entry(key).or_default()
    }

    pub fn judge(&self, purpose: Purpose, items: &[LineItem]) -> Judgement {
        let keys = slot_keys(&self.catalog, self.merchant, items);
        let slots: Vec<Option<&Slot>> = keys.into_iter().map(|key| self.slots.get(&key?)).collect();
        let (catalog, merchant, viewer) = (&self.catalog, self.merchant, self.viewer);
        judge(&Inquiry {
            catalog,
            merchant,
            items,
            slots: &slots,
            viewer,
            purpose,
        })
    }

    pub fn assess(&self, purpose: Purpose, items: &[LineItem]) -> Assessment {
        self.judge(purpose, items).answer(items.to_vec())
    }

    pub fn check(&self, items: &[LineItem]) -> Assessment {
        self.assess(Purpose::Check, items)
    }

    pub fn create(&self, items: &[LineItem]) -> Assessment {
        self.assess(Purpose::Create, items)
    }
}

pub fn cart(name: u8) -> CartKey {
    CartKey([name; 16])
}
