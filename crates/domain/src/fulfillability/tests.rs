use super::*;
use crate::{
    catalog::{
        AnswerKind, BookingWindow, CountBounds, Deal, ForbiddenTickets, LocalizedText, Question,
        QuestionScope, Reduction, RuleScope, ServiceRule, SlotLimits, TagIx, TicketLimits,
        TicketType,
    },
    constraints::{CountLimit, ViolatedConstraint},
    fixtures::{
        ADULT, BALCONY, CHILD, Fixture, HOUR, NOW, SEAT, SENIOR, STALLS, STALLS_ONLY, START, cart,
        cents, dollars, line, price_tag, ticket_type, tickets,
    },
    ids::TicketId,
    order::{IntakeAnswer, PriceTag},
    pricing::PriceChange,
    slot::{Claimed, Confirmation, HoldSpan, Pool, PoolTickets, SlotTerms},
    time::{EpochSeconds, Seconds},
};

/// The published result of an item, which several verdicts may share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ItemResult {
    CanFulfill,
    SlotUnavailable,
    ChildTicketsWithoutAdult,
    UnfulfillableTicketCombination,
    IncorrectPrice,
    TicketConstraintViolated(Vec<ViolatedConstraint>),
    OtherReason,
}

impl ItemResult {
    pub(super) fn of(item: &ItemFulfillability) -> Self {
        match &item.verdict {
            ItemVerdict::CanFulfill(_) => Self::CanFulfill,
            ItemVerdict::SlotUnavailable(_) => Self::SlotUnavailable,
            ItemVerdict::ChildTicketsWithoutAdult(_) => Self::ChildTicketsWithoutAdult,
            ItemVerdict::UnfulfillableTickets(_) => Self::UnfulfillableTicketCombination,
            ItemVerdict::TicketConstraintViolated(violated) => {
                Self::TicketConstraintViolated(violated.clone())
            }
            ItemVerdict::IncorrectPrice(_) | ItemVerdict::PriceMoved(_) => Self::IncorrectPrice,
            ItemVerdict::WrongAnswers(_) | ItemVerdict::NoPrice(_) => Self::OtherReason,
        }
    }
}

/// The published result of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrderResult {
    CanFulfill,
    UnfulfillableLineItem,
    UnfulfillableServiceCombination,
    OtherReason,
}

impl OrderResult {
    pub(super) fn of(assessment: &Assessment) -> Self {
        match assessment.fulfillability.verdict {
            OrderVerdict::CanFulfill => Self::CanFulfill,
            OrderVerdict::UnfulfillableItems => Self::UnfulfillableLineItem,
            OrderVerdict::UnfulfillableServices(_) => Self::UnfulfillableServiceCombination,
            OrderVerdict::Other(_) => Self::OtherReason,
        }
    }
}

pub(super) fn price_change(item: &ItemFulfillability) -> Option<PriceChange> {
    item.verdict.moved_price().map(|moved| moved.change)
}

pub(super) fn ticket_types(item: &ItemFulfillability) -> &[TicketType] {
    item.verdict
        .moved_price()
        .map_or(&[], |moved| &moved.ticket_types)
}

/// What holds of every answer, whatever was asked.
pub(super) fn assert_well_formed(items: &[LineItem], assessment: &Assessment) {
    let result = OrderResult::of(assessment);
    let reason = assessment.fulfillability.reason();
    let verdicts = &assessment.fulfillability.items;
    assert_eq!(verdicts.len(), items.len(), "one verdict for each item");
    assert_eq!(
        reason.is_none(),
        result == OrderResult::CanFulfill,
        "{result:?} {reason:?}"
    );
    for (item, answer) in items.iter().zip(verdicts) {
        let echo = LineItem {
            price: item.price.clone(),
            ..answer.line.clone()
        };
        assert_eq!(&echo, item, "each verdict echoes its item");
        let can = answer.verdict.can_fulfill();
        assert_eq!(answer.verdict.reason().is_none(), can, "{answer:?}");
        if can {
            assert!(answer.spots_open > Some(0), "{answer:?}");
            let asked: i64 = item
                .tickets
                .iter()
                .map(|ticket| i64::from(ticket.count))
                .sum();
            assert!(
                answer.spots_open.map(i64::from) >= Some(asked),
                "{answer:?}"
            );
        }
        if let ItemVerdict::TicketConstraintViolated(violated) = &answer.verdict {
            assert!(!violated.is_empty(), "{answer:?}");
        }
        let micros = |tag: &Option<PriceTag>| tag.as_ref().map(|tag| tag.micros);
        let change = match micros(&answer.line.price).cmp(&micros(&item.price)) {
            std::cmp::Ordering::Less => Some(PriceChange::Decrease),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(PriceChange::Increase),
        };
        let reported = price_change(answer);
        assert!(reported.is_none() || reported == change, "{answer:?}");
    }
}

/// Asserts the verdicts on `items` and gives the whole answer.
fn check(
    assessment: Assessment,
    items: &[LineItem],
    order: OrderResult,
    results: &[ItemResult],
) -> Vec<ItemFulfillability> {
    assert_well_formed(items, &assessment);
    let answered = &assessment.fulfillability;
    let found: Vec<ItemResult> = answered.items.iter().map(ItemResult::of).collect();
    assert_eq!(found, results, "{answered:?}");
    assert_eq!(OrderResult::of(&assessment), order, "{answered:?}");
    assessment.fulfillability.items
}

/// Asserts that the items can be fulfilled as they are, to the letter.
fn check_accepted(fixture: &Fixture, purpose: Purpose, items: &[LineItem]) {
    let all = vec![ItemResult::CanFulfill; items.len()];
    for item in check(
        fixture.assess(purpose, items),
        items,
        OrderResult::CanFulfill,
        &all,
    ) {
        assert_eq!(item.verdict.moved_price(), None);
    }
}

/// Asserts the verdict on one item and gives it.
fn check_one(
    fixture: &Fixture,
    purpose: Purpose,
    item: LineItem,
    result: ItemResult,
) -> ItemFulfillability {
    let can = result == ItemResult::CanFulfill;
    let order = if can {
        OrderResult::CanFulfill
    } else {
        OrderResult::UnfulfillableLineItem
    };
    let items = [item];
    check(fixture.assess(purpose, &items), &items, order, &[result]).remove(0)
}

fn check_unavailable(fixture: &Fixture, item: LineItem, spots_open: Option<u32>, reason: &str) {
    let answer = check_one(fixture, Purpose::Check, item, ItemResult::SlotUnavailable);
    assert_eq!(answer.spots_open, spots_open, "{answer:?}");
    assert!(
        answer.verdict.reason().unwrap().contains(reason),
        "{answer:?}"
    );
}

fn violated(bounds: &[(CountLimit, Option<&str>)]) -> ItemResult {
    let violated = bounds.iter().map(|&(bound, id)| ViolatedConstraint {
        bound,
        ticket_id: id.map(TicketId::from),
    });
    ItemResult::TicketConstraintViolated(violated.collect())
}

fn open(
    fixture: &mut Fixture,
    service_id: &str,
    start_sec: EpochSeconds,
    allotment: u32,
    terms: &SlotTerms,
) {
    fixture.slot(service_id, start_sec).open(
        Pool {
            tickets: PoolTickets::All,
            allotment,
        },
        terms,
    );
}

fn text_question(id: &str) -> Question {
    Question {
        id: id.into(),
        kind: AnswerKind::Text,
        label: LocalizedText::default(),
        required: true,
        only_for: Vec::new(),
        scope: QuestionScope::Line,
    }
}

fn answered(id: &str, item: LineItem) -> LineItem {
    let answer = IntakeAnswer {
        question_id: id.into(),
        responses: vec!["yes".into()],
    };
    LineItem {
        answers: Some(vec![answer]),
        ..item
    }
}

// Results and their precedence.

#[test]
fn every_item_result_has_a_cause_of_its_own() {
    let mut fixture = Fixture::new();
    fixture.service_mut("raft").rules.limits.line.max = Some(4);
    fixture.service_mut("salon").questions = vec![text_question("allergies")];
    let items = [
        line("museum", &[("adult", 2), ("child", 1)], 5_000),
        LineItem {
            start_sec: START + 1,
            ..line("museum", &[("adult", 1)], 2_000)
        },
        line("museum", &[("child", 1)], 1_000),
        line("museum", &[("ghost", 1)], 1_000),
        LineItem {
            price: None,
            ..line("museum", &[("adult", 1)], 0)
        },
        line("raft", &[("seat", 5)], 37_500),
        line("salon", &[], 3_500),
    ];
    let results = [
        ItemResult::CanFulfill,
        ItemResult::SlotUnavailable,
        ItemResult::ChildTicketsWithoutAdult,
        ItemResult::UnfulfillableTicketCombination,
        ItemResult::IncorrectPrice,
        violated(&[(CountLimit::Max(4), None)]),
        ItemResult::OtherReason,
    ];
    let verdicts = check(
        fixture.create(&items),
        &items,
        OrderResult::UnfulfillableLineItem,
        &results,
    );
    assert!(verdicts[6].verdict.reason().unwrap().contains("allergies"));
    let assessment = fixture.create(&items);
    assert_eq!(
        assessment.fulfillability.reason().as_deref(),
        Some(
            "6 of 7 items cannot be fulfilled; item[1]: the service has no slot of that start and duration"
        )
    );
}

#[test]
fn every_order_result_has_a_cause_of_its_own() {
    let mut fixture = Fixture::new();
    let (museum, salon) = (fixture.ix("museum"), fixture.ix("salon"));
    fixture.merchant_mut().combinations = vec![ServiceRule::ForbiddenTogether(vec![museum, salon])];
    let adult = line("museum", &[("adult", 1)], 2_000);
    let cut = line("salon", &[], 3_500);
    let child = line("museum", &[("child", 1)], 1_000);
    let can = ItemResult::CanFulfill;
    for (items, order, results) in [
        (
            &[adult.clone()][..],
            OrderResult::CanFulfill,
            &[can.clone()][..],
        ),
        (
            &[child, cut.clone()],
            OrderResult::UnfulfillableLineItem,
            &[ItemResult::ChildTicketsWithoutAdult, can.clone()],
        ),
        (
            &[adult, cut],
            OrderResult::UnfulfillableServiceCombination,
            &[can.clone(), can],
        ),
        (&[], OrderResult::OtherReason, &[]),
    ] {
        check(fixture.check(items), items, order, results);
        check(fixture.create(items), items, order, results);
    }
}

#[test]
fn an_amount_beyond_the_wire_stops_the_item_or_else_the_order() {
    let mut fixture = Fixture::new();
    fixture.service_mut("museum").tickets[0].price = dollars(i64::MAX);
    fixture.service_mut("salon").price = Some(dollars(i64::MAX));
    fixture.service_mut("raft").tickets[0].price = dollars(9_000_000_000_000_000_000);
    for item in [line("museum", &[("adult", 50)], 0), line("salon", &[], 0)] {
        let answer = check_one(&fixture, Purpose::Check, item, ItemResult::OtherReason);
        assert_eq!(
            answer.verdict.reason().as_deref(),
            Some("the amount is too large")
        );
    }
    let seat = line("raft", &[("seat", 1)], 900_000_000_000_000);
    check_accepted(&fixture, Purpose::Check, std::slice::from_ref(&seat));
    let items = [seat.clone(), seat];
    let can = ItemResult::CanFulfill;
    check(
        fixture.check(&items),
        &items,
        OrderResult::OtherReason,
        &[can.clone(), can],
    );
    assert_eq!(fixture.check(&items).claims, []);
}

#[test]
fn where_several_rules_are_broken_the_first_in_order_speaks() {
    let mut fixture = Fixture::new();
    let museum = fixture.service_mut("museum");
    museum.rules.forbidden = vec![ForbiddenTickets {
        tickets: vec![SENIOR, CHILD],
        scope: RuleScope::Line,
    }];
    museum.rules.children[0].adults = vec![ADULT];
    museum.rules.limits.line.min = Some(5);
    museum.questions = vec![text_question("name")];
    let later = START + HOUR;
    let opens = SlotTerms {
        first_bookable_sec: Some(NOW + 1),
        ..SlotTerms::default()
    };
    open(&mut fixture, "museum", later, 4, &opens);

    // The line breaks every rule; each step fixes the reported one.
    let mut item = LineItem {
        start_sec: START + 1,
        price: None,
        ..line("museum", &[("ghost", 1), ("child", 2), ("senior", 1)], 0)
    };
    let speaks = |fixture: &Fixture, item: &LineItem, result: ItemResult, reason: &str| {
        let answer = check_one(fixture, Purpose::Create, item.clone(), result);
        let given = answer.verdict.reason().unwrap_or_default();
        assert!(given.contains(reason), "{given:?} speaks of {reason:?}");
    };
    speaks(
        &fixture,
        &item,
        ItemResult::UnfulfillableTicketCombination,
        "\"ghost\"",
    );
    item.tickets = tickets(&[("child", 2), ("senior", 1)]);
    speaks(
        &fixture,
        &item,
        ItemResult::UnfulfillableTicketCombination,
        "cannot be combined",
    );
    item.tickets = tickets(&[("child", 2)]);
    speaks(
        &fixture,
        &item,
        ItemResult::ChildTicketsWithoutAdult,
        "adult",
    );
    item.tickets = tickets(&[("child", 2), ("adult", 1)]);
    speaks(
        &fixture,
        &item,
        violated(&[(CountLimit::Min(5), None)]),
        "at least 5 in all",
    );
    item.tickets = tickets(&[("child", 2), ("adult", 3)]);
    speaks(&fixture, &item, ItemResult::SlotUnavailable, "no slot");
    item.start_sec = later;
    speaks(&fixture, &item, ItemResult::SlotUnavailable, "UTC (second");
    fixture.viewer.now = NOW + 1;
    speaks(
        &fixture,
        &item,
        ItemResult::SlotUnavailable,
        "than the 4 that are still open",
    );
    open(&mut fixture, "museum", later, 1, &SlotTerms::default());
    speaks(&fixture, &item, ItemResult::IncorrectPrice, "missing");
    item.price = Some(price_tag(80_000_000, "USD"));
    speaks(&fixture, &item, ItemResult::OtherReason, "\"name\"");
    check_accepted(&fixture, Purpose::Create, &[answered("name", item)]);
}

#[test]
fn tickets_are_judged_even_where_the_slot_is_unknown() {
    let fixture = Fixture::new();
    let child = line("museum", &[("child", 1)], 1_000);
    let nowhere = LineItem {
        duration_sec: Seconds::new(HOUR + 1),
        ..child
    };
    let answer = check_one(
        &fixture,
        Purpose::Check,
        nowhere,
        ItemResult::ChildTicketsWithoutAdult,
    );
    assert_eq!(answer.spots_open, None);
}

#[test]
fn tickets_that_the_slot_does_not_sell_are_no_combination() {
    let mut fixture = Fixture::new();
    let later = START + HOUR;
    fixture.slot("concert", later).open(
        Pool {
            tickets: STALLS_ONLY,
            allotment: 4,
        },
        &SlotTerms::default(),
    );
    let balcony = LineItem {
        start_sec: later,
        ..line("concert", &[("balcony", 1)], 6_000)
    };
    let answer = check_one(
        &fixture,
        Purpose::Check,
        balcony,
        ItemResult::UnfulfillableTicketCombination,
    );
    assert_eq!(
        answer.spots_open,
        Some(4),
        "the spots of what is sold there"
    );
}

// The slot.

#[test]
fn an_unknown_service_or_slot_is_unavailable_with_a_reason() {
    let mut fixture = Fixture::new();
    let adult = line("museum", &[("adult", 1)], 2_000);
    let at = |start_sec, duration_sec| LineItem {
        start_sec,
        duration_sec: Seconds::new(duration_sec),
        ..adult.clone()
    };
    for service_id in ["", "Museum", "onsen"] {
        let stale = LineItem {
            service_id: service_id.into(),
            ..adult.clone()
        };
        check_unavailable(
            &fixture,
            stale,
            None,
            &format!("service {service_id:?} is not one"),
        );
    }
    for (start_sec, duration_sec) in [
        (START, HOUR + 1),
        (START + 1, HOUR),
        (START, -1),
        (EpochSeconds::MIN, i64::MAX),
    ] {
        check_unavailable(&fixture, at(start_sec, duration_sec), None, "no slot");
    }
    fixture
        .slot("museum", START + HOUR)
        .sell(Claimed::Ticket(ADULT), 1);
    check_unavailable(&fixture, at(START + HOUR, HOUR), None, "no slot");
}

#[test]
fn items_that_share_a_pool_must_fit_it_together() {
    let fixture = Fixture::new();
    let three = line("raft", &[("seat", 3)], 22_500);
    let two = line("raft", &[("seat", 2)], 15_000);
    check_accepted(&fixture, Purpose::Check, std::slice::from_ref(&three));
    check_accepted(&fixture, Purpose::Check, &[three.clone(), two]);
    let items = [three.clone(), three];
    let unavailable = ItemResult::SlotUnavailable;
    let verdicts = check(
        fixture.check(&items),
        &items,
        OrderResult::UnfulfillableLineItem,
        &[unavailable.clone(), unavailable],
    );
    assert!(verdicts.iter().all(|item| item.spots_open == Some(5)));
}

#[test]
fn an_item_that_its_tickets_stop_draws_on_no_pool() {
    let mut fixture = Fixture::new();
    fixture.service_mut("raft").rules.limits.line.max = Some(4);
    fixture.service_mut("museum").price = None;
    let two = line("raft", &[("seat", 2)], 15_000);
    let (can, other) = (ItemResult::CanFulfill, OrderResult::UnfulfillableLineItem);
    let crowd = line("raft", &[("seat", i32::MAX)], 0);
    let items = [two.clone(), crowd];
    check(
        fixture.check(&items),
        &items,
        other,
        &[can.clone(), violated(&[(CountLimit::Max(4), None)])],
    );

    let unpriced = LineItem {
        price: None,
        ..line("raft", &[("seat", 4)], 0)
    };
    let items = [two, unpriced];
    let unavailable = ItemResult::SlotUnavailable;
    check(
        fixture.check(&items),
        &items,
        other,
        &[unavailable.clone(), unavailable],
    );
}

#[test]
fn slots_at_other_times_share_nothing() {
    let mut fixture = Fixture::new();
    open(&mut fixture, "raft", START + HOUR, 5, &SlotTerms::default());
    let five = line("raft", &[("seat", 5)], 37_500);
    let later = LineItem {
        start_sec: START + HOUR,
        ..five.clone()
    };
    check_accepted(&fixture, Purpose::Check, &[five, later]);
}

#[test]
fn the_pools_of_single_types_and_of_all_types_bind_together() {
    let fixture = Fixture::new();
    let concert = |stalls: i32, balcony: i32| {
        let asked = [("stalls", stalls), ("balcony", balcony)];
        let asked: Vec<(&str, i32)> = asked.into_iter().filter(|(_, count)| *count > 0).collect();
        line(
            "concert",
            &asked,
            i64::from(stalls) * 12_000 + i64::from(balcony) * 6_000,
        )
    };
    check_accepted(&fixture, Purpose::Check, &[concert(4, 4)]);
    check_accepted(&fixture, Purpose::Check, &[concert(2, 6)]);
    check_accepted(&fixture, Purpose::Check, &[concert(4, 0), concert(0, 4)]);
    check_unavailable(
        &fixture,
        concert(5, 0),
        Some(4),
        "than the 4 that are still open",
    );
    check_unavailable(
        &fixture,
        concert(0, 7),
        Some(6),
        "than the 6 that are still open",
    );
    check_unavailable(
        &fixture,
        concert(3, 6),
        Some(8),
        "than the 8 that are still open",
    );
    check_unavailable(
        &fixture,
        concert(5, 1),
        Some(4),
        "than the 4 that are still open",
    );

    let items = [concert(5, 0), concert(0, 3)];
    let results = [ItemResult::SlotUnavailable, ItemResult::CanFulfill];
    check(
        fixture.check(&items),
        &items,
        OrderResult::UnfulfillableLineItem,
        &results,
    );

    let items = [concert(3, 0), concert(0, 6)];
    let results = [ItemResult::SlotUnavailable, ItemResult::SlotUnavailable];
    let verdicts = check(
        fixture.check(&items),
        &items,
        OrderResult::UnfulfillableLineItem,
        &results,
    );
    let open: Vec<Option<u32>> = verdicts.iter().map(|item| item.spots_open).collect();
    assert_eq!(
        open,
        [Some(4), Some(6)],
        "no more than the tickets could get, whichever pool is short"
    );
}

#[test]
fn what_was_sold_before_is_gone() {
    let mut fixture = Fixture::new();
    fixture.slot("raft", START).sell(Claimed::Ticket(SEAT), 3);
    check_accepted(
        &fixture,
        Purpose::Create,
        &[line("raft", &[("seat", 2)], 15_000)],
    );
    check_unavailable(
        &fixture,
        line("raft", &[("seat", 3)], 22_500),
        Some(2),
        "than the 2 that are still open",
    );
}

#[test]
fn a_hold_is_free_to_its_cart_and_taken_to_others_until_it_expires() {
    let seat = Claimed::Ticket(SEAT);
    let mut fixture = Fixture::new();
    fixture
        .slot("raft", START)
        .hold(cart(1), seat, 4, HoldSpan::new(NOW, NOW + 600));
    let two = line("raft", &[("seat", 2)], 15_000);
    for (now, owner, spots_open) in [
        (NOW, None, 1),
        (NOW, Some(cart(2)), 1),
        (NOW, Some(cart(1)), 5),
        (NOW + 599, None, 1),
        (NOW + 600, None, 5),
    ] {
        fixture.viewer = Viewer { now, cart: owner };
        let result = if spots_open < 2 {
            ItemResult::SlotUnavailable
        } else {
            ItemResult::CanFulfill
        };
        let answer = check_one(&fixture, Purpose::Create, two.clone(), result);
        assert_eq!(answer.spots_open, Some(spots_open), "{:?}", fixture.viewer);
    }
}

#[test]
fn a_line_without_tickets_is_an_appointment_and_takes_one_spot() {
    let mut fixture = Fixture::new();
    let cut = line("salon", &[], 3_500);
    check_accepted(&fixture, Purpose::Create, std::slice::from_ref(&cut));
    let assessment = fixture.create(std::slice::from_ref(&cut));
    let claim = Claim {
        slot: fixture.key("salon", START),
        ticket: Claimed::Appointment,
        count: 1,
    };
    assert_eq!(assessment.claims, [claim]);
    assert_eq!(
        assessment.amount_due,
        cents(3_500 + 100),
        "the service's price and the merchant's fee"
    );

    let items = [cut.clone(), cut.clone()];
    let unavailable = ItemResult::SlotUnavailable;
    check(
        fixture.check(&items),
        &items,
        OrderResult::UnfulfillableLineItem,
        &[unavailable.clone(), unavailable],
    );
    fixture.slot("salon", START).sell(Claimed::Appointment, 1);
    check_unavailable(&fixture, cut, Some(0), "sold out");
}

#[test]
fn a_line_without_tickets_is_nothing_where_only_tickets_are_sold() {
    let mut fixture = Fixture::new();
    let nothing = line("museum", &[], 0);
    let combination = ItemResult::UnfulfillableTicketCombination;
    let answer = check_one(&fixture, Purpose::Check, nothing, combination.clone());
    assert_eq!(answer.spots_open, Some(50));

    fixture.service_mut("concert").price = Some(cents(1_000));
    let visit = line("concert", &[], 1_000);
    check_accepted(&fixture, Purpose::Check, std::slice::from_ref(&visit));
    let later = START + HOUR;
    fixture.slot("concert", later).open(
        Pool {
            tickets: STALLS_ONLY,
            allotment: 4,
        },
        &SlotTerms::default(),
    );
    let answer = check_one(
        &fixture,
        Purpose::Check,
        LineItem {
            start_sec: later,
            ..visit
        },
        combination,
    );
    assert_eq!(answer.spots_open, Some(4));
}

#[test]
fn a_service_with_a_price_of_its_own_sells_its_tickets_at_theirs() {
    let mut fixture = Fixture::new();
    fixture.service_mut("museum").price = Some(cents(500));
    for item in [
        line("museum", &[("adult", 2)], 4_000),
        line("museum", &[], 500),
    ] {
        let answer = check_one(&fixture, Purpose::Check, item, ItemResult::CanFulfill);
        assert_eq!(price_change(&answer), None, "{answer:?}");
    }
}

#[test]
fn spots_open_is_reported_for_every_known_slot() {
    let fixture = Fixture::new();
    for (item, expected) in [
        (line("museum", &[("adult", 2)], 4_000), Some(50)),
        (line("museum", &[("adult", 2)], 1), Some(50)),
        (line("museum", &[("child", 2)], 2_000), Some(50)),
        (line("museum", &[("ghost", 2)], 2_000), Some(50)),
        (line("museum", &[("adult", 51)], 0), Some(50)),
        (line("concert", &[("stalls", 1)], 12_000), Some(4)),
        (line("concert", &[("balcony", 1)], 6_000), Some(6)),
        (
            line("concert", &[("stalls", 1), ("balcony", 1)], 18_000),
            Some(8),
        ),
        (line("concert", &[("ghost", 1)], 0), Some(8)),
        (line("concert", &[], 0), Some(8)),
        (line("salon", &[], 3_500), Some(1)),
        (
            LineItem {
                start_sec: EpochSeconds::new(0),
                ..line("museum", &[("adult", 1)], 2_000)
            },
            None,
        ),
        (line("zoo", &[("adult", 1)], 2_000), None),
    ] {
        for purpose in [Purpose::Check, Purpose::Create] {
            let assessment = fixture.assess(purpose, std::slice::from_ref(&item));
            assert_eq!(
                assessment.fulfillability.items[0].spots_open, expected,
                "{item:?}"
            );
        }
    }
}

#[test]
fn a_slot_is_sold_from_the_first_to_the_last_second_of_its_window() {
    let window = |advance: Option<i64>, buffer: Option<i64>| BookingWindow {
        min_advance: advance.map(Seconds::new),
        min_buffer_before_end: buffer.map(Seconds::new),
    };
    let quarter = HOUR / 4;
    for (window, first_bookable_sec, last_bookable_sec, last) in [
        (window(None, None), None, None, START),
        (window(Some(0), None), None, None, START),
        (window(Some(HOUR), None), None, None, START - HOUR),
        (
            window(None, Some(quarter)),
            None,
            None,
            START + HOUR - quarter,
        ),
        (window(Some(HOUR), Some(0)), None, None, START + HOUR),
        (window(None, Some(2 * HOUR)), None, None, START - HOUR),
        (window(None, None), Some(NOW), None, START),
        (
            window(Some(HOUR), None),
            Some(NOW),
            Some(NOW + 60),
            NOW + 60,
        ),
        (window(Some(HOUR), None), None, Some(START - 1), START - 1),
        (window(Some(HOUR), None), None, Some(START), START - HOUR),
        (window(None, Some(quarter)), None, Some(NOW), NOW),
        (
            window(None, Some(quarter)),
            None,
            Some(START + 1),
            START + HOUR - quarter,
        ),
        (window(Some(i64::MAX), None), None, None, START - i64::MAX),
        (window(Some(i64::MIN), None), None, None, EpochSeconds::MAX),
    ] {
        let mut fixture = Fixture::new();
        fixture.service_mut("museum").booking_window = window;
        *fixture.slot("museum", START) = Slot::default();
        let terms = SlotTerms {
            first_bookable_sec,
            last_bookable_sec,
            ..SlotTerms::default()
        };
        open(&mut fixture, "museum", START, 3, &terms);
        let item = line("museum", &[("adult", 1)], 2_000);
        let first = first_bookable_sec.unwrap_or(EpochSeconds::MIN);
        for (now, open) in [
            (
                first.saturating_sub(Seconds::new(1)),
                first == EpochSeconds::MIN,
            ),
            (first, true),
            (last, true),
            (
                last.saturating_add(Seconds::new(1)),
                last == EpochSeconds::MAX,
            ),
        ] {
            fixture.viewer.now = now;
            let assessment = fixture.check(std::slice::from_ref(&item));
            let answer = &assessment.fulfillability.items[0];
            let label = format!("{window:?} {terms:?} at {now}: {answer:?}");
            assert_eq!(answer.verdict.can_fulfill(), open, "{label}");
            assert_eq!(answer.spots_open, Some(if open { 3 } else { 0 }), "{label}");
        }
    }
}

// Bounds on ticket counts.

#[test]
fn all_violated_bounds_are_reported_in_each_of_their_four_forms() {
    let each = |adult: Option<u32>, child: Option<u32>| {
        let bounds = [(ADULT, adult), (CHILD, child)];
        let bounds = bounds
            .into_iter()
            .filter_map(|(ticket, min)| Some((ticket, Some(min?))));
        bounds
            .map(|(ticket, min)| (ticket, CountBounds { min, max: None }))
            .collect()
    };
    let line_bound = CountBounds {
        min: Some(8),
        max: None,
    };
    let limits = |line, tickets| TicketLimits {
        line,
        tickets,
        ..TicketLimits::default()
    };
    let family = line("museum", &[("adult", 2), ("child", 3)], 7_000);
    for (general, slots_own, expected) in [
        (
            limits(line_bound, vec![]),
            limits(CountBounds::default(), vec![]),
            &[(CountLimit::Min(8), None)][..],
        ),
        (
            limits(CountBounds::default(), each(Some(3), None)),
            limits(CountBounds::default(), vec![]),
            &[(CountLimit::Min(3), Some("adult"))],
        ),
        (
            limits(CountBounds::default(), each(Some(3), Some(4))),
            limits(CountBounds::default(), vec![]),
            &[
                (CountLimit::Min(3), Some("adult")),
                (CountLimit::Min(4), Some("child")),
            ],
        ),
        (
            limits(line_bound, each(Some(1), None)),
            limits(CountBounds::default(), each(Some(3), Some(4))),
            &[
                (CountLimit::Min(8), None),
                (CountLimit::Min(3), Some("adult")),
                (CountLimit::Min(4), Some("child")),
            ],
        ),
    ] {
        let mut fixture = Fixture::new();
        let rules = &mut fixture.service_mut("museum").rules;
        rules.limits = general;
        rules.slot_limits = vec![SlotLimits {
            limits: slots_own,
            ..SlotLimits::default()
        }];
        check_one(&fixture, Purpose::Check, family.clone(), violated(expected));
        check_one(
            &fixture,
            Purpose::Create,
            family.clone(),
            violated(expected),
        );
    }
}

#[test]
fn bounds_for_a_tag_bind_in_slots_that_carry_it() {
    let mut fixture = Fixture::new();
    let limits = TicketLimits {
        line: CountBounds {
            min: None,
            max: Some(2),
        },
        ..TicketLimits::default()
    };
    fixture.service_mut("museum").rules.slot_limits = vec![SlotLimits {
        tag: Some(TagIx(4)),
        limits,
        ..SlotLimits::default()
    }];
    let vernissage = SlotTerms {
        tags: vec![TagIx(4)],
        ..SlotTerms::default()
    };
    open(&mut fixture, "museum", START + HOUR, 9, &vernissage);
    let three = line("museum", &[("adult", 3)], 6_000);
    check_accepted(&fixture, Purpose::Check, std::slice::from_ref(&three));
    let tagged = LineItem {
        start_sec: START + HOUR,
        ..three
    };
    check_one(
        &fixture,
        Purpose::Check,
        tagged,
        violated(&[(CountLimit::Max(2), None)]),
    );
}

// Price.

#[test]
fn a_moved_price_is_corrected_with_a_warning_and_stops_only_an_order() {
    let fixture = Fixture::new();
    for (asked_cents, change) in [
        (4_999, PriceChange::Increase),
        (0, PriceChange::Increase),
        (5_001, PriceChange::Decrease),
        (9_999_999, PriceChange::Decrease),
    ] {
        let item = line("museum", &[("adult", 2), ("child", 1)], asked_cents);
        for (purpose, result) in [
            (Purpose::Check, ItemResult::CanFulfill),
            (Purpose::Create, ItemResult::IncorrectPrice),
        ] {
            let answer = check_one(&fixture, purpose, item.clone(), result);
            assert_eq!(price_change(&answer), Some(change), "{asked_cents} cents");
            assert_eq!(
                answer.line.price,
                Some(price_tag(50_000_000, "USD")),
                "{asked_cents} cents"
            );
            assert_eq!(ticket_types(&answer), [], "no ticket's price has moved");
            check_accepted(&fixture, Purpose::Create, &[answer.line]);
        }
    }
}

#[test]
fn a_price_that_no_correction_makes_the_same_offer_is_incorrect() {
    let fixture = Fixture::new();
    let adult = line("museum", &[("adult", 1)], 2_000);
    for (price, reason) in [
        (None, "missing"),
        (Some(price_tag(-20_000_000, "USD")), "negative"),
        (Some(price_tag(i64::MIN, "USD")), "negative"),
        (Some(price_tag(20_000_000, "EUR")), "another currency"),
        (Some(price_tag(20_000_000, "dollars")), "another currency"),
        (Some(price_tag(20_000_000, "")), "another currency"),
    ] {
        for purpose in [Purpose::Check, Purpose::Create] {
            let item = LineItem {
                price: price.clone(),
                ..adult.clone()
            };
            let answer = check_one(&fixture, purpose, item, ItemResult::IncorrectPrice);
            assert!(
                answer.verdict.reason().unwrap().contains(reason),
                "{answer:?}"
            );
            assert_eq!(price_change(&answer), None, "{answer:?}");
            assert_eq!(ticket_types(&answer), [], "{answer:?}");
        }
    }
}

#[test]
fn line_totals_round_half_to_even() {
    for (unit_micros, total_micros) in [
        (25_000, 20_000),
        (35_000, 40_000),
        (5_000, 0),
        (25_100, 30_000),
    ] {
        let mut fixture = Fixture::new();
        fixture.service_mut("raft").tickets = vec![ticket_type("seat", dollars(unit_micros))];
        let seat = line("raft", &[("seat", 1)], 0);
        let at = |micros| LineItem {
            price: Some(price_tag(micros, "USD")),
            ..seat.clone()
        };
        check_accepted(&fixture, Purpose::Create, &[at(total_micros)]);
        let off_by_one = at(total_micros + 10_000);
        let answer = check_one(&fixture, Purpose::Check, off_by_one, ItemResult::CanFulfill);
        assert_eq!(
            answer.line.price,
            Some(price_tag(total_micros, "USD")),
            "{unit_micros} micros"
        );
        assert_eq!(
            price_change(&answer),
            Some(PriceChange::Decrease),
            "{unit_micros} micros"
        );
    }
}

#[test]
fn a_price_in_yen_has_no_fractions() {
    let fixture = Fixture::in_tokyo();
    let asked = |micros| LineItem {
        price: Some(price_tag(micros, "JPY")),
        ..line("onsen", &[("day", 2)], 0)
    };
    check_accepted(&fixture, Purpose::Create, &[asked(3_000_000_000)]);
    let answer = check_one(
        &fixture,
        Purpose::Check,
        asked(3_000_500_000),
        ItemResult::CanFulfill,
    );
    assert_eq!(answer.line.price, Some(price_tag(3_000_000_000, "JPY")));
    assert_eq!(
        price_change(&answer),
        None,
        "half a yen rounds to the even 3,000"
    );
    check_one(
        &fixture,
        Purpose::Check,
        line("onsen", &[("day", 2)], 3_000),
        ItemResult::IncorrectPrice,
    );
}

#[test]
fn every_distinct_ticket_type_is_reported_if_the_price_of_one_changed() {
    let mut fixture = Fixture::new();
    fixture.service_mut("museum").tickets[0].previous_price = Some(cents(1_800));
    let asked = [("child", 1), ("adult", 1), ("senior", 1), ("adult", 1)];
    let stale = line("museum", &asked, 1_000 + 2 * 1_800 + 1_500);
    let answer = check_one(
        &fixture,
        Purpose::Check,
        stale.clone(),
        ItemResult::CanFulfill,
    );
    assert_eq!(price_change(&answer), Some(PriceChange::Increase));
    let reported: Vec<(&str, Money)> = ticket_types(&answer)
        .iter()
        .map(|ticket| (ticket.id.as_str(), ticket.price))
        .collect();
    assert_eq!(
        reported,
        [
            ("child", cents(1_000)),
            ("adult", cents(2_000)),
            ("senior", cents(1_500))
        ]
    );
    check_accepted(&fixture, Purpose::Check, &[answer.line]);

    let answer = check_one(&fixture, Purpose::Create, stale, ItemResult::IncorrectPrice);
    assert_eq!(ticket_types(&answer).len(), 3);
    let untouched = line("museum", &[("senior", 1)], 1_400);
    let answer = check_one(&fixture, Purpose::Check, untouched, ItemResult::CanFulfill);
    assert_eq!(
        ticket_types(&answer),
        [],
        "the senior's price has not moved"
    );
}

#[test]
fn no_ticket_type_is_reported_if_only_a_deal_lowered_the_total() {
    let mut fixture = Fixture::new();
    let museum = fixture.service_mut("museum");
    museum.tickets[0].previous_price = Some(cents(1_800));
    museum.deals = vec![Deal::Group {
        tickets: vec![ADULT],
        min_count: 10,
        reduction: Reduction::Percent(10.into()),
    }];
    let full_price = line("museum", &[("adult", 10)], 20_000);
    let answer = check_one(&fixture, Purpose::Check, full_price, ItemResult::CanFulfill);
    assert_eq!(price_change(&answer), Some(PriceChange::Decrease));
    assert_eq!(answer.line.price, Some(price_tag(180_000_000, "USD")));
    assert_eq!(ticket_types(&answer), []);
}

#[test]
fn a_corrected_price_keeps_the_callers_tag() {
    let tag = PriceTag {
        pricing_option_tag: "early".into(),
        ..price_tag(1, "USD")
    };
    let item = LineItem {
        price: Some(tag.clone()),
        ..line("museum", &[("adult", 1)], 0)
    };
    let answer = check_one(
        &Fixture::new(),
        Purpose::Check,
        item,
        ItemResult::CanFulfill,
    );
    assert_eq!(
        answer.line.price,
        Some(PriceTag {
            micros: 20_000_000,
            ..tag
        })
    );
}

// Fees and totals.

#[test]
fn fees_and_amount_due_count_the_items_that_can_be_sold() {
    let fixture = Fixture::new();
    let family = line("museum", &[("adult", 2), ("child", 2)], 6_000);
    let assessment = fixture.create(std::slice::from_ref(&family));
    assert_eq!(assessment.fees.total, cents(2 * 150 + 2 * 25 + 200 + 100));
    assert_eq!(assessment.amount_due, cents(6_000 + 650));

    let stopped = line("museum", &[("child", 9)], 9_000);
    let with_stopped = fixture.create(&[stopped.clone(), family]);
    assert_eq!(with_stopped.fees, assessment.fees);
    assert_eq!(with_stopped.amount_due, assessment.amount_due);

    let nothing = fixture.create(&[stopped]);
    assert_eq!(
        (nothing.fees.total, nothing.amount_due),
        (cents(0), cents(0))
    );
    assert_eq!(
        (nothing.fees.per_order, nothing.claims),
        (Vec::new(), Vec::new())
    );
}

#[test]
fn a_corrected_price_is_what_is_due() {
    let fixture = Fixture::new();
    let stale = line("museum", &[("senior", 1)], 1);
    assert_eq!(
        fixture.check(std::slice::from_ref(&stale)).amount_due,
        cents(1_500 + 300)
    );
    assert_eq!(
        fixture.create(&[stale]).amount_due,
        cents(0),
        "a moved price stops an order"
    );
}

#[test]
fn claims_are_what_the_sellable_items_take() {
    let fixture = Fixture::new();
    let items = [
        line(
            "concert",
            &[("balcony", 1), ("stalls", 2), ("balcony", 2)],
            42_000,
        ),
        line("museum", &[("child", 1)], 1_000),
    ];
    let slot = fixture.key("concert", START);
    let claim = |ticket, count| Claim {
        slot,
        ticket: Claimed::Ticket(ticket),
        count,
    };
    let claims = fixture.check(&items).claims;
    assert_eq!(claims, [claim(BALCONY, 3), claim(STALLS, 2)]);
}

// Questions.

#[test]
fn questions_are_for_orders_and_not_for_carts() {
    let mut fixture = Fixture::new();
    fixture.service_mut("raft").questions = vec![text_question("shoe_size")];
    let seat = line("raft", &[("seat", 1)], 7_500);
    check_accepted(&fixture, Purpose::Check, std::slice::from_ref(&seat));
    for unanswered in [
        seat.clone(),
        LineItem {
            answers: Some(Vec::new()),
            ..seat.clone()
        },
    ] {
        let answer = check_one(
            &fixture,
            Purpose::Create,
            unanswered,
            ItemResult::OtherReason,
        );
        assert!(
            answer.verdict.reason().unwrap().contains("\"shoe_size\""),
            "{answer:?}"
        );
    }
    check_one(
        &fixture,
        Purpose::Create,
        answered("hat_size", seat.clone()),
        ItemResult::OtherReason,
    );
    check_accepted(&fixture, Purpose::Create, &[answered("shoe_size", seat)]);
}

// Rules over the services of one order.

fn check_rule(rule: impl Fn(&Fixture) -> ServiceRule, items: &[LineItem], broken: bool) {
    let mut fixture = Fixture::new();
    for start_sec in [START + 600, START + HOUR] {
        open(&mut fixture, "museum", start_sec, 9, &SlotTerms::default());
    }
    fixture.merchant_mut().combinations = vec![rule(&fixture)];
    let result = if broken {
        OrderResult::UnfulfillableServiceCombination
    } else {
        OrderResult::CanFulfill
    };
    let all = vec![ItemResult::CanFulfill; items.len()];
    check(fixture.check(items), items, result, &all);
    let backwards: Vec<LineItem> = items.iter().rev().cloned().collect();
    check(fixture.create(&backwards), &backwards, result, &all);
}

#[test]
fn services_that_do_not_go_together_break_the_order_and_not_its_items() {
    let museum = line("museum", &[("adult", 1)], 2_000);
    let raft = line("raft", &[("seat", 1)], 7_500);
    let salon = line("salon", &[], 3_500);

    let forbidden = |fixture: &Fixture| {
        ServiceRule::ForbiddenTogether(vec![fixture.ix("museum"), fixture.ix("raft")])
    };
    check_rule(forbidden, &[museum.clone(), raft.clone()], true);
    check_rule(
        forbidden,
        &[museum.clone(), museum.clone(), salon.clone()],
        false,
    );

    let escorted = |fixture: &Fixture| ServiceRule::RequiredWith {
        service: fixture.ix("salon"),
        any_of: vec![fixture.ix("museum"), fixture.ix("raft")],
    };
    check_rule(escorted, std::slice::from_ref(&salon), true);
    check_rule(escorted, &[salon.clone(), raft.clone()], false);
    check_rule(escorted, &[museum.clone(), raft.clone()], false);

    let apart =
        |fixture: &Fixture| ServiceRule::NoOverlap(vec![fixture.ix("museum"), fixture.ix("raft")]);
    let at = |start_sec| LineItem {
        start_sec,
        ..museum.clone()
    };
    check_rule(apart, &[museum.clone(), raft.clone()], true);
    check_rule(apart, &[museum.clone(), salon, museum.clone()], false);
    check_rule(apart, &[at(START), at(START + HOUR)], false);
    check_rule(apart, &[at(START), at(START + 600)], true);
    check_rule(apart, &[at(START + HOUR), at(START), at(START + 600)], true);
    check_rule(apart, &[at(START + HOUR), raft], false);
}

#[test]
fn a_rule_over_services_is_silent_while_an_item_is_stopped() {
    let mut fixture = Fixture::new();
    let rule = ServiceRule::ForbiddenTogether(vec![fixture.ix("museum"), fixture.ix("raft")]);
    fixture.merchant_mut().combinations = vec![rule];
    let items = [
        line("museum", &[("child", 1)], 1_000),
        line("raft", &[("seat", 1)], 7_500),
    ];
    let results = [ItemResult::ChildTicketsWithoutAdult, ItemResult::CanFulfill];
    check(
        fixture.check(&items),
        &items,
        OrderResult::UnfulfillableLineItem,
        &results,
    );
}

#[test]
fn each_item_says_who_confirms_it() {
    let mut fixture = Fixture::new();
    let later = START + HOUR;
    let asking = SlotTerms {
        confirmation: Confirmation::ByMerchant,
        ..SlotTerms::default()
    };
    open(&mut fixture, "raft", later, 5, &asking);
    let lines = [
        line("raft", &[("seat", 1)], 7_500),
        LineItem {
            start_sec: later,
            ..line("raft", &[("seat", 1)], 7_500)
        },
    ];
    let judgement = fixture.judge(Purpose::Create, &lines);
    let confirmations: Vec<_> = judgement.confirmations().collect();
    assert_eq!(
        confirmations,
        [Confirmation::AtOnce, Confirmation::ByMerchant]
    );
}
