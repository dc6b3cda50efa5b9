//! What must hold for every order in every state of the slots.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    tests::{ItemResult, OrderResult, assert_well_formed},
    *,
};
use crate::{
    catalog::{CountBounds, Deal, Reduction, RuleScope, ServiceRule},
    fixtures::{
        ADULT, BALCONY_ONLY, CHILD, Fixture, HOUR, NOW, SENIOR, STALLS_ONLY, START, cart, cents,
        dollars, fee, tax_rate,
    },
    ids::{ServiceId, TicketId},
    order::{OrderedTickets, PriceTag},
    slot::{Claimed, HoldSpan, Pool, PoolTickets, SlotTerms},
    time::{EpochSeconds, Seconds},
};

/// The services and ticket types of the fixture that a test may order.
const MENU: [(&str, &[&str]); 4] = [
    ("museum", &["adult", "senior", "child"]),
    ("raft", &["seat"]),
    ("concert", &["stalls", "balcony"]),
    ("salon", &[]),
];

const STARTS: [EpochSeconds; 2] = [START, START.saturating_add(Seconds::HOUR)];

/// One pool as a plain list: which tickets draw on it (`None` for all) and how many spots it has.
#[derive(Debug, Clone)]
struct PlainPool {
    service: &'static str,
    start_sec: EpochSeconds,
    members: Option<&'static str>,
    spots: u32,
}

/// Spots that are gone before the order comes.
#[derive(Debug, Clone)]
struct Gone {
    start_sec: EpochSeconds,
    service: &'static str,
    ticket: Option<&'static str>,
    count: u32,
    held_by: Option<u8>,
}

/// A state of the fixture.
#[derive(Debug, Clone)]
struct FixtureState {
    pools: Vec<PlainPool>,
    gone: Vec<Gone>,
    deals: Vec<Deal>,
    raft_bounds: CountBounds,
    /// What rules of raft and museum look at.
    scope: RuleScope,
    services_clash: bool,
    /// The rates of museum, raft and salon, in millionths of a per cent.
    taxes: [u32; 3],
    cart: Option<u8>,
}

impl FixtureState {
    fn fixture(&self) -> Fixture {
        let mut fixture = Fixture::new();
        fixture.slots.clear();
        fixture.viewer.cart = self.cart.map(cart);
        fixture.service_mut("museum").deals.clone_from(&self.deals);
        fixture.service_mut("museum").tickets[0].previous_price = Some(cents(1_900));
        let limits = &mut fixture.service_mut("raft").rules.limits;
        (limits.line, limits.scope) = (self.raft_bounds, self.scope);
        fixture.service_mut("museum").rules.children[0].scope = self.scope;
        for (service, rate) in ["museum", "raft", "salon"].into_iter().zip(self.taxes) {
            fixture.service_mut(service).tax_rate = tax_rate(rate);
        }
        if self.services_clash {
            let (museum, raft) = (fixture.ix("museum"), fixture.ix("raft"));
            let apart = ServiceRule::NoOverlap(vec![museum, fixture.ix("concert")]);
            fixture.merchant_mut().combinations =
                vec![ServiceRule::ForbiddenTogether(vec![museum, raft]), apart];
        }
        for pool in &self.pools {
            let tickets = match pool.members {
                None => PoolTickets::All,
                Some("stalls") => STALLS_ONLY,
                Some(_) => BALCONY_ONLY,
            };
            let opened = Pool {
                tickets,
                allotment: pool.spots,
            };
            fixture
                .slot(pool.service, pool.start_sec)
                .open(opened, &SlotTerms::default());
        }
        for gone in &self.gone {
            let claimed = match gone.ticket {
                None => Claimed::Appointment,
                Some(id) => Claimed::Ticket(fixture.service(gone.service).ticket_ix(id).unwrap()),
            };
            let slot = fixture.slot(gone.service, gone.start_sec);
            match gone.held_by {
                None => slot.sell(claimed, gone.count),
                Some(owner) => slot.hold(
                    cart(owner),
                    claimed,
                    gone.count,
                    HoldSpan::new(NOW, NOW + 1),
                ),
            }
        }
        fixture
    }

    /// Spots of a pool that are gone for everyone but the owner of the cart.
    fn gone_from(&self, pool: &PlainPool) -> u64 {
        let counts = self.gone.iter().filter(|gone| {
            (gone.service, gone.start_sec) == (pool.service, pool.start_sec)
                && (gone.held_by.is_none() || gone.held_by != self.cart)
                && (pool.members.is_none() || gone.ticket == pool.members)
        });
        counts.map(|gone| u64::from(gone.count)).sum()
    }

    /// Spots of a pool that these lines ask for.
    fn asked_from(pool: &PlainPool, lines: &[&LineItem]) -> u64 {
        let here = lines.iter().filter(|line| {
            (line.service_id.as_str(), line.start_sec, line.duration_sec)
                == (pool.service, pool.start_sec, Seconds::HOUR)
        });
        here.map(|line| match &line.tickets[..] {
            [] => 1,
            tickets => tickets
                .iter()
                .filter(|ticket| pool.members.is_none_or(|id| ticket.ticket_id == id))
                .map(|ticket| u64::try_from(ticket.count).unwrap())
                .sum(),
        })
        .sum()
    }
}

fn any_pools() -> impl Strategy<Value = Vec<PlainPool>> {
    let at = |start_sec| {
        let tiers = [
            ("concert", Some("stalls")),
            ("concert", Some("balcony")),
            ("concert", None),
        ];
        let whole = [("museum", None), ("raft", None), ("salon", None)];
        let places: Vec<_> = tiers.into_iter().chain(whole).collect();
        places
            .into_iter()
            .map(|(service, members)| {
                let spots = prop_oneof![1 => 0..4_u32, 4 => 4..30_u32];
                prop::option::weighted(0.95, spots).prop_map(move |spots| {
                    spots.map(|spots| PlainPool {
                        service,
                        start_sec,
                        members,
                        spots,
                    })
                })
            })
            .collect::<Vec<_>>()
    };
    let all: Vec<_> = STARTS.into_iter().flat_map(at).collect();
    all.prop_map(|pools| pools.into_iter().flatten().collect())
}

fn any_gone() -> impl Strategy<Value = Gone> {
    let place = prop::sample::select(MENU.to_vec()).prop_flat_map(|(service, ids)| {
        let ids: Vec<Option<&str>> = if ids.is_empty() {
            vec![None]
        } else {
            ids.iter().copied().map(Some).collect()
        };
        (Just(service), prop::sample::select(ids))
    });
    let start_sec = prop::sample::select(STARTS.to_vec());
    (place, start_sec, 1..4_u32, prop::option::of(1..3_u8)).prop_map(
        |((service, ticket), start_sec, count, held_by)| Gone {
            start_sec,
            service,
            ticket,
            count,
            held_by,
        },
    )
}

fn any_deal() -> impl Strategy<Value = Deal> {
    prop_oneof![
        (1..6_u32, 0..=100_i64).prop_map(|(min_count, percent)| Deal::Group {
            tickets: vec![ADULT, SENIOR],
            min_count,
            reduction: Reduction::Percent(percent.into()),
        }),
        (1..6_u32, 0..2_500_i64).prop_map(|(min_count, price)| Deal::Group {
            tickets: vec![ADULT, CHILD],
            min_count,
            reduction: Reduction::UnitPrice(cents(price)),
        }),
        (1..3_u32, 1..3_u32, 0..6_000_i64).prop_map(|(adults, children, price)| Deal::Bundle {
            contents: vec![(ADULT, adults), (CHILD, children)],
            price: cents(price),
        }),
    ]
}

fn any_scope() -> impl Strategy<Value = RuleScope> {
    prop_oneof![Just(RuleScope::Line), Just(RuleScope::Slot)]
}

fn any_state() -> impl Strategy<Value = FixtureState> {
    let bounds = (prop::option::of(1..3_u32), prop::option::of(2..6_u32));
    (
        any_pools(),
        prop::collection::vec(any_gone(), 0..6),
        prop::collection::vec(any_deal(), 0..3),
        (
            bounds.prop_map(|(min, max)| CountBounds { min, max }),
            any_scope(),
        ),
        prop::bool::weighted(0.2),
        [any_tax(), any_tax(), any_tax()],
        prop::option::of(1..3_u8),
    )
        .prop_map(
            |(pools, gone, deals, (raft_bounds, scope), services_clash, taxes, cart)| {
                FixtureState {
                    pools,
                    gone,
                    deals,
                    raft_bounds,
                    scope,
                    services_clash,
                    taxes,
                    cart,
                }
            },
        )
}

fn any_tax() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0),
        Just(10_000_000),
        Just(8_875_000),
        0..=100_000_000_u32
    ]
}

fn any_tickets(ids: &'static [&'static str]) -> impl Strategy<Value = Vec<OrderedTickets>> {
    let id = prop_oneof![
        40 => prop::sample::select(if ids.is_empty() { vec!["ghost"] } else { ids.to_vec() }),
        1 => Just("ghost"),
    ];
    let count = prop_oneof![40 => 1..4_i32, 1 => -1..1_i32];
    let entry = (id, count).prop_map(|(id, count)| OrderedTickets {
        ticket_id: id.into(),
        count,
    });
    prop::collection::vec(entry, usize::from(!ids.is_empty())..=ids.len())
}

fn any_price_tag() -> impl Strategy<Value = Option<PriceTag>> {
    let micros = prop_oneof![
        4 => (0..15_000_i64).prop_map(|cents| cents * 10_000),
        1 => -1_000_000..100_000_000_i64,
    ];
    let code = prop_oneof![20 => Just("USD"), 1 => Just("EUR"), 1 => Just("")];
    let tag = (micros, code).prop_map(|(micros, code)| PriceTag {
        micros,
        currency_code: code.into(),
        pricing_option_tag: String::new(),
    });
    prop::option::weighted(0.95, tag)
}

/// A line that a caller might well send, and now and then one that it might not.
fn any_line() -> impl Strategy<Value = LineItem> {
    let place = prop::sample::select(MENU.to_vec())
        .prop_flat_map(|(service, ids)| (Just(service), any_tickets(ids)));
    let start_sec = prop_oneof![30 => Just(START), 30 => Just(START + HOUR), 1 => Just(START + 1)];
    let lasts = prop_oneof![60 => Just(Seconds::HOUR), 1 => Just(Seconds::new(-1))];
    (place, start_sec, lasts, any_price_tag()).prop_map(
        |((service, tickets), start_sec, duration_sec, price)| LineItem {
            service_id: service.into(),
            start_sec,
            duration_sec,
            tickets,
            price,
            answers: None,
        },
    )
}

/// A state and an order; the caller may or may not know the prices.
fn any_case() -> impl Strategy<Value = (FixtureState, Vec<LineItem>)> {
    let lines = prop_oneof![1 => Just(Vec::new()), 20 => prop::collection::vec(any_line(), 1..6)];
    (any_state(), lines, any::<bool>()).prop_map(|(state, lines, knows_prices)| {
        let lines = if knows_prices {
            corrected(&state.fixture().check(&lines))
        } else {
            lines
        };
        (state, lines)
    })
}

/// A line from the far ends of every type.
fn extreme_line() -> impl Strategy<Value = LineItem> {
    let service = prop_oneof![Just("museum"), Just("raft"), Just("salon"), Just("")];
    let id = prop_oneof![Just("adult"), Just("child"), Just("seat"), Just("")];
    let count = prop_oneof![
        Just(i32::MIN),
        Just(i32::MAX),
        Just(0),
        Just(1),
        any::<i32>()
    ];
    let entry = (id, count).prop_map(|(id, count)| OrderedTickets {
        ticket_id: id.into(),
        count,
    });
    let far = || {
        prop_oneof![
            Just(i64::MIN),
            Just(i64::MAX),
            Just(0),
            Just(-1),
            any::<i64>()
        ]
    };
    let start_sec = prop_oneof![3 => Just(START), 1 => far().prop_map(EpochSeconds::new)];
    let duration_sec = prop_oneof![3 => Just(Seconds::HOUR), 1 => far().prop_map(Seconds::new)];
    let code = prop_oneof![3 => "USD", 1 => "\\PC{0,4}"];
    let price = prop::option::of((far(), code).prop_map(|(micros, currency_code)| PriceTag {
        micros,
        currency_code,
        pricing_option_tag: String::new(),
    }));
    (
        service,
        prop::collection::vec(entry, 0..4),
        start_sec,
        duration_sec,
        price,
    )
        .prop_map(
            |(service, tickets, start_sec, duration_sec, price)| LineItem {
                service_id: service.into(),
                start_sec,
                duration_sec,
                tickets,
                price,
                answers: None,
            },
        )
}

fn sellable_lines(assessment: &Assessment) -> Vec<&LineItem> {
    let items = assessment.fulfillability.items.iter();
    items
        .filter(|item| item.verdict.can_fulfill())
        .map(|item| &item.line)
        .collect()
}

/// The fee total of these lines, from the breakdown alone.
fn recomputed_fees(assessment: &Assessment) -> i64 {
    let counts = |service_id: &ServiceId, ticket_id: &TicketId| -> i64 {
        let lines = sellable_lines(assessment)
            .into_iter()
            .filter(|line| line.service_id == *service_id);
        let entries = lines
            .flat_map(|line| &line.tickets)
            .filter(|entry| entry.ticket_id == *ticket_id);
        entries.map(|entry| i64::from(entry.count)).sum()
    };
    let per_ticket = assessment.fees.per_ticket.iter().map(|entry| {
        entry.fee.amount.to_micros().unwrap() * counts(&entry.service_id, &entry.ticket_id)
    });
    let per_order = assessment
        .fees
        .per_order
        .iter()
        .map(|fee| fee.amount.to_micros().unwrap());
    per_ticket.chain(per_order).sum()
}

/// The items with the prices of an answer.
fn corrected(assessment: &Assessment) -> Vec<LineItem> {
    assessment
        .fulfillability
        .items
        .iter()
        .map(|item| item.line.clone())
        .collect()
}

fn any_purpose() -> impl Strategy<Value = Purpose> {
    prop_oneof![Just(Purpose::Check), Just(Purpose::Create)]
}

proptest! {
    #[test]
    fn the_same_question_has_the_same_well_formed_answer(
        (state, lines) in any_case(),
        purpose in any_purpose(),
    ) {
        let assessment = state.fixture().assess(purpose, &lines);
        assert_well_formed(&lines, &assessment);
        prop_assert_eq!(assessment, state.fixture().assess(purpose, &lines));
    }

    #[test]
    fn what_can_be_fulfilled_fits_every_pool_together((state, lines) in any_case()) {
        let assessment = state.fixture().check(&lines);
        let lines = sellable_lines(&assessment);
        for pool in &state.pools {
            let asked = FixtureState::asked_from(pool, &lines);
            prop_assert!(
                asked == 0 || asked + state.gone_from(pool) <= u64::from(pool.spots),
                "{} of {:?}", asked, pool
            );
        }
    }

    #[test]
    fn rules_on_slots_hold_for_all_lines_that_can_be_fulfilled((state, lines) in any_case()) {
        let assessment = state.fixture().check(&lines);
        let sellable = sellable_lines(&assessment);
        for start_sec in STARTS {
            let count = |service: &str, id: Option<&str>| -> i64 {
                let of_slot = sellable.iter().filter(|line| line.service_id == service && line.start_sec == start_sec);
                let tickets = of_slot.flat_map(|line| &line.tickets);
                let counted = tickets.filter(|ticket| id.is_none_or(|id| ticket.ticket_id == id));
                counted.map(|ticket| i64::from(ticket.count)).sum()
            };
            let seats = count("raft", None);
            if state.scope == RuleScope::Slot && seats > 0 {
                // Lines that cannot be fulfilled were counted, too: fewer may be left than there must be.
                let all = sellable.len() == lines.len();
                prop_assert!(state.raft_bounds.max.is_none_or(|max| seats <= i64::from(max)), "{seats} seats");
                prop_assert!(!all || state.raft_bounds.min.is_none_or(|min| seats >= i64::from(min)), "{seats} seats");
            }
            let (children, grown) = (count("museum", Some("child")), count("museum", None) - count("museum", Some("child")));
            prop_assert!(children == 0 || grown > 0 || sellable.len() < lines.len());
        }
    }

    #[test]
    fn taking_the_claims_never_sells_more_than_a_pool_has((state, lines) in any_case()) {
        let (before, mut after) = (state.fixture(), state.fixture());
        let claims = before.check(&lines).claims;
        for claim in &claims {
            after.slots.get_mut(&claim.slot).unwrap().sell(claim.ticket, claim.count);
        }
        for (key, slot) in &before.slots {
            let service = before.catalog.service(key.service);
            let left = slot.left(service, before.viewer);
            for ((pool, was), (_, is)) in left.zip(after.slots[key].left(service, after.viewer)) {
                let drawn = claims.iter().filter(|claim| claim.slot == *key && pool.serves(service, claim.ticket));
                let drawn: u32 = drawn.map(|claim| claim.count).sum();
                prop_assert_eq!(was.checked_sub(drawn), Some(is), "{:?}", pool);
            }
        }
    }

    #[test]
    fn an_order_with_the_prices_of_the_answer_is_accepted_without_a_warning(
        (state, lines) in any_case(),
        purpose in any_purpose(),
    ) {
        let fixture = state.fixture();
        let first = fixture.check(&lines);
        let second = fixture.assess(purpose, &corrected(&first));
        prop_assert_eq!(second.amount_due, fixture.check(&corrected(&first)).amount_due);
        for (before, after) in first.fulfillability.items.iter().zip(&second.fulfillability.items) {
            let before_result = ItemResult::of(before);
            let priced = matches!(before_result, ItemResult::CanFulfill | ItemResult::IncorrectPrice);
            let expected = if priced { ItemResult::CanFulfill } else { before_result };
            prop_assert_eq!(ItemResult::of(after), expected);
            prop_assert_eq!((after.verdict.moved_price(), &after.line), (None, &before.line));
        }
        if OrderResult::of(&first) == OrderResult::CanFulfill {
            prop_assert_eq!(OrderResult::of(&second), OrderResult::CanFulfill);
            prop_assert_eq!(second.claims, first.claims);
        }
    }

    #[test]
    fn the_order_of_items_changes_no_verdict(
        ((state, lines), shuffled) in any_case().prop_flat_map(|(state, lines)| {
            let places: Vec<usize> = (0..lines.len()).collect();
            (Just((state, lines)), Just(places).prop_shuffle())
        }),
        purpose in any_purpose(),
    ) {
        let fixture = state.fixture();
        let one = fixture.assess(purpose, &lines);
        let other_lines: Vec<LineItem> = shuffled.iter().map(|&at| lines[at].clone()).collect();
        let other = fixture.assess(purpose, &other_lines);
        prop_assert_eq!(OrderResult::of(&one), OrderResult::of(&other));
        prop_assert_eq!((one.fees.total, one.amount_due), (other.fees.total, other.amount_due));
        for (verdict, &at) in other.fulfillability.items.iter().zip(&shuffled) {
            prop_assert_eq!(verdict, &one.fulfillability.items[at]);
        }
    }

    #[test]
    fn fees_and_their_total_agree((state, lines) in any_case(), purpose in any_purpose()) {
        let assessment = state.fixture().assess(purpose, &lines);
        prop_assert_eq!(assessment.fees.total.to_micros(), Ok(recomputed_fees(&assessment)));
        let prices = sellable_lines(&assessment).into_iter().map(|line| line.price.as_ref().unwrap().micros);
        let due = prices.sum::<i64>() + recomputed_fees(&assessment);
        prop_assert_eq!(assessment.amount_due.to_micros(), Ok(due));
    }

    #[test]
    fn a_bill_adds_up_to_the_amount_due(
        (state, lines) in any_case(),
        (fees, taxes) in (0..1_000_i64, 0..1_000_i64),
    ) {
        let mut fixture = state.fixture();
        let adult = &mut fixture.service_mut("museum").tickets[0];
        adult.fees = vec![fee("booking", cents(fees)), fee("Taxes", cents(taxes))];
        adult.feed_fees.taxes = Some(cents(taxes));
        fixture.service_mut("raft").per_order_fees = vec![fee("transfer", cents(fees))];
        // What can be sold of the cart, at the prices of the answer.
        let lines: Vec<LineItem> =
            sellable_lines(&fixture.check(&lines)).into_iter().cloned().collect();
        let judgement = fixture.judge(Purpose::Create, &lines);
        let bill = judgement.bill(&fixture.catalog, fixture.merchant, &lines);
        if judgement.verdict != OrderVerdict::CanFulfill {
            prop_assert_eq!(bill, Err(BillError::NotSold));
            return Ok(());
        }
        let bill = bill.unwrap();
        prop_assert_eq!(bill.total(), Ok(judgement.amount_due));
        let mut taxes = dollars(0);
        for (item, line) in bill.items.iter().zip(&lines) {
            prop_assert_eq!(item.price, line.price.as_ref().unwrap().money().unwrap());
            for part in [item.price, item.taxes, item.fees, bill.order_fees] {
                prop_assert!(!part.is_negative() && part == part.rounded(), "{:?}", part);
            }
            taxes = taxes.plus(item.taxes).unwrap();
        }
        prop_assert_eq!(bill.items.len(), lines.len());
        prop_assert_eq!(Ok(taxes), judgement.fees.tax.plus(judgement.fees.ticket_taxes));
    }

    #[test]
    fn taxes_are_each_lines_share_rounded_and_one_fee_for_each_rate(
        (state, lines) in any_case(),
        purpose in any_purpose(),
    ) {
        let assessment = state.fixture().assess(purpose, &lines);
        let mut expected = BTreeMap::<u32, i64>::new();
        for line in sellable_lines(&assessment) {
            let rate = ["museum", "raft", "salon"].iter().position(|service| line.service_id == *service);
            let rate = rate.map_or(0, |at| state.taxes[at]);
            // A cent times the whole, in micro-units times millionths of a per cent.
            let exact = i128::from(line.price.as_ref().unwrap().micros) * i128::from(rate);
            let (cents, rest) = (exact / 1_000_000_000_000, exact % 1_000_000_000_000);
            let up = rest > 500_000_000_000 || rest == 500_000_000_000 && cents % 2 == 1;
            *expected.entry(rate).or_default() += i64::try_from(cents + i128::from(up)).unwrap() * 10_000;
        }
        expected.retain(|_, tax| *tax > 0);
        let fees = assessment.fees.per_order.iter().filter(|fee| fee.name.starts_with("Tax"));
        let mut reported: Vec<i64> = fees.map(|fee| fee.amount.to_micros().unwrap()).collect();
        let mut expected: Vec<i64> = expected.into_values().collect();
        reported.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(assessment.fees.tax.to_micros(), Ok(expected.iter().sum::<i64>()));
        prop_assert_eq!(reported, expected);
    }

    #[test]
    fn no_input_is_too_strange_to_be_answered(
        mut lines in prop::collection::vec(extreme_line(), 0..6),
        purpose in any_purpose(),
        now in prop_oneof![Just(EpochSeconds::MIN), Just(EpochSeconds::MAX), Just(NOW)],
        terms in [prop::option::of(any::<i64>()), prop::option::of(any::<i64>())],
        price in any::<i64>(),
    ) {
        let mut fixture = Fixture::new();
        fixture.viewer.now = now;
        fixture.service_mut("salon").price = Some(dollars(price));
        let [first_bookable_sec, last_bookable_sec] = terms.map(|sec| sec.map(EpochSeconds::new));
        let terms = SlotTerms { first_bookable_sec, last_bookable_sec, ..SlotTerms::default() };
        let plenty = Pool { tickets: PoolTickets::All, allotment: u32::MAX };
        fixture.slot("museum", START).open(plenty, &terms);
        for line in &lines {
            if let Some(key) = slot_keys(&fixture.catalog, fixture.merchant, std::slice::from_ref(line))[0] {
                fixture.slots.entry(key).or_default().open(plenty, &SlotTerms::default());
            }
        }
        assert_well_formed(&lines, &fixture.assess(purpose, &lines));
        lines.reverse();
        assert_well_formed(&lines, &fixture.assess(purpose, &lines));
    }
}
