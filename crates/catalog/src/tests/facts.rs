//! What becomes of the feeds and rules that are right.

use serde_json::{Value, json};

use domain::{
    catalog::{
        AnswerKind, CartHold, CountBounds, Deal, Fee, QuestionScope, Reduction, RuleScope, Service,
        ServiceRule, TagIx, TicketIx,
    },
    money::{Currency, Money},
    slot::{Opening, PoolTickets, SlotTerms},
    time::{EpochSeconds, Seconds},
};

use super::{Folder, Loaded};

fn service<'a>(loaded: &'a Loaded, merchant: &str, service: &str) -> &'a Service {
    let catalog = &loaded.catalog;
    let merchant = catalog.merchant_ix(merchant).unwrap();
    catalog.service(catalog.service_ix(merchant, service).unwrap())
}

fn openings<'a>(loaded: &'a Loaded, id: &str) -> Vec<&'a Opening> {
    loaded
        .openings
        .iter()
        .filter(|opening| loaded.catalog.service(opening.first.service).id == id)
        .collect()
}

fn terms(opening: &Opening) -> SlotTerms {
    opening.occurrence(opening.first.start_sec).1
}

fn money(micros: i64, code: &str) -> Money {
    Money::from_micros(micros, Currency::from_code(code).unwrap())
}

fn fees(fees: &[Fee]) -> Vec<(&str, String)> {
    fees.iter()
        .map(|fee| (fee.name.as_str(), fee.amount.to_string()))
        .collect()
}

#[test]
fn the_sample_has_merchants_with_their_currencies_and_services() {
    let loaded = Folder::sample().loaded();
    let merchants: Vec<_> = loaded
        .catalog
        .merchants()
        .iter()
        .map(|merchant| {
            (
                merchant.id.as_str(),
                merchant.currency.code(),
                merchant.cart_hold,
            )
        })
        .collect();
    let expected = [
        ("museum", "USD", None),
        (
            "rafting",
            "USD",
            Some(CartHold {
                each: Seconds::new(600),
                whole: Seconds::HOUR,
            }),
        ),
        ("concert-hall", "USD", None),
        ("salon", "USD", None),
        ("onsen", "JPY", None),
        ("harbour", "USD", None),
    ];
    assert_eq!(merchants, expected);
    for (_, service) in loaded.catalog.services() {
        assert!(!service.name.translations.is_empty(), "{}", service.id);
    }
}

#[test]
fn prices_and_fees() {
    let loaded = Folder::sample().loaded();
    let symphony = service(&loaded, "concert-hall", "symphony");
    let prices: Vec<_> = symphony
        .tickets
        .iter()
        .map(|ticket| (ticket.id.as_str(), ticket.price.to_string()))
        .collect();
    let expected = [
        ("stalls", "80 USD"),
        ("balcony", "45 USD"),
        ("wheelchair", "45 USD"),
        ("companion", "0 USD"),
    ];
    assert_eq!(prices, expected.map(|(id, price)| (id, price.to_owned())));
    let stalls = [
        ("Service charge", "3.5 USD"),
        ("Facility fee", "1.25 USD"),
        ("Restoration levy", "1 USD"),
    ];
    assert_eq!(
        fees(&symphony.tickets[0].fees),
        stalls.map(|(name, fee)| (name, fee.to_owned()))
    );
    assert_eq!(
        symphony.tickets[0].feed_fees.facility_fee,
        Some(money(1_250_000, "USD"))
    );
    assert_eq!(fees(&symphony.tickets[1].fees).len(), 2);
    assert_eq!(fees(&symphony.tickets[2].fees), []);
    assert_eq!(
        fees(&symphony.per_order_fees),
        [("Processing fee", "2 USD".to_owned())]
    );
    let hall = &loaded.catalog.merchants()[2];
    assert_eq!(
        fees(&hall.per_order_fees),
        [("Order handling", "0.99 USD".to_owned())]
    );
    assert_eq!(
        service(&loaded, "salon", "haircut").price,
        Some(money(40_000_000, "USD"))
    );
}

#[test]
fn fees_are_rounded_to_the_smallest_unit_and_may_be_for_all_tickets() {
    let folder = Folder::sample();
    folder.set(
        "services.json",
        "/service/8/ticket_type/0/per_ticket_fee",
        json!({"taxes": {"price_micros": 2_500_000, "currency_code": "JPY"}}),
    );
    folder.replace(
        "rules.toml",
        "id = \"bath\"",
        "id = \"bath\"\nticket_fee = [{ name = \"Towel\", price_micros = 3_500_000 }]",
    );
    let loaded = folder.loaded();
    let bath = service(&loaded, "onsen", "bath");
    let taxes_and_towel = [("Taxes", "2 JPY".to_owned()), ("Towel", "4 JPY".to_owned())];
    assert_eq!(fees(&bath.tickets[0].fees), taxes_and_towel);
    assert_eq!(fees(&bath.tickets[1].fees), taxes_and_towel[1..]);
}

#[test]
fn rules_of_tickets() {
    let loaded = Folder::sample().loaded();
    let entry = service(&loaded, "museum", "museum-entry");
    let (adult, child, senior) = (TicketIx(0), TicketIx(1), TicketIx(2));
    let rule = &entry.rules.children[0];
    assert_eq!(
        (&rule.children, &rule.adults, rule.per_adult),
        (&vec![child], &vec![adult, senior], Some(5))
    );
    assert_eq!(
        entry.rules.limits.line,
        CountBounds {
            min: None,
            max: Some(10)
        }
    );
    let late = &entry.rules.slot_limits[0];
    assert_eq!((late.tag, late.limits.line.min), (Some(TagIx(0)), Some(2)));
    assert_eq!(
        late.limits.tickets,
        [(
            adult,
            CountBounds {
                min: None,
                max: Some(4)
            }
        )]
    );
    let trip = service(&loaded, "rafting", "raft-trip");
    let forbidden: Vec<_> = trip
        .rules
        .forbidden
        .iter()
        .map(|rule| (&rule.tickets[..], rule.scope))
        .collect();
    let line = RuleScope::Line;
    assert_eq!(
        forbidden,
        [
            (&[TicketIx(2), TicketIx(0)][..], line),
            (&[TicketIx(2), TicketIx(1)][..], line)
        ]
    );
    assert_eq!(trip.rules.children[0].per_adult, None);
    let companion = &service(&loaded, "concert-hall", "symphony").rules.required[0];
    assert_eq!(
        (companion.ticket, &companion.any_of),
        (TicketIx(3), &vec![TicketIx(2)])
    );
}

#[test]
fn rules_of_services() {
    let loaded = Folder::sample().loaded();
    let museum = loaded.catalog.merchant_ix("museum").unwrap();
    let ix = |id| loaded.catalog.service_ix(museum, id).unwrap();
    let (entry, night, tour) = (ix("museum-entry"), ix("museum-night"), ix("museum-tour"));
    assert_eq!(
        loaded.catalog.merchant(museum).combinations,
        [
            ServiceRule::ForbiddenTogether(vec![entry, night]),
            ServiceRule::RequiredWith {
                service: tour,
                any_of: vec![entry]
            },
            ServiceRule::NoOverlap(vec![tour, ix("museum-lecture")]),
        ]
    );
}

#[test]
fn deals() {
    let loaded = Folder::sample().loaded();
    let (seat, youth) = (TicketIx(0), TicketIx(1));
    assert_eq!(
        service(&loaded, "rafting", "raft-trip").deals,
        [
            Deal::Bundle {
                contents: vec![(seat, 2), (youth, 2)],
                price: money(180_000_000, "USD")
            },
            Deal::Group {
                tickets: vec![seat],
                min_count: 6,
                reduction: Reduction::Percent(15.into())
            },
        ]
    );
    let percent = Reduction::Percent("12.5".parse().unwrap());
    let adults = Deal::Group {
        tickets: vec![TicketIx(0)],
        min_count: 4,
        reduction: percent,
    };
    assert_eq!(service(&loaded, "onsen", "bath").deals, [adults]);
}

#[test]
fn questions() {
    let loaded = Folder::sample().loaded();
    let haircut = service(&loaded, "salon", "haircut");
    let asked: Vec<_> = haircut
        .questions
        .iter()
        .map(|question| (question.id.as_str(), question.required))
        .collect();
    assert_eq!(
        asked,
        [
            ("hair_length", true),
            ("first_visit", true),
            ("wishes", false),
            ("extras", false)
        ]
    );
    let kinds: Vec<_> = haircut
        .questions
        .iter()
        .map(|question| &question.kind)
        .collect();
    assert!(
        matches!(kinds[0], AnswerKind::OneOf(choices) if choices[2].value == "long"),
        "{:?}",
        kinds[0]
    );
    assert!(
        matches!(kinds[1..3], [AnswerKind::Boolean, AnswerKind::Text]),
        "{kinds:?}"
    );
    assert!(
        matches!(kinds[3], AnswerKind::AnyOf(choices) if choices.len() == 2),
        "{:?}",
        kinds[3]
    );
    let name = &service(&loaded, "concert-hall", "symphony").questions[0];
    assert_eq!(
        (name.scope, &name.only_for),
        (QuestionScope::EachTicket, &vec![TicketIx(2)])
    );
}

#[test]
fn booking_windows_and_terms_of_single_slots() {
    let folder = Folder::sample();
    folder.set(
        "availability.json",
        "/service_availability/0/availability/1/scheduling_rule_overrides",
        json!({"first_bookable_sec": "1704000000", "last_bookable_sec": 0}),
    );
    folder.set(
        "services.json",
        "/service/4/rules/min_booking_buffer_before_end_time",
        json!("0"),
    );
    let loaded = folder.loaded();
    let trip = service(&loaded, "rafting", "raft-trip").booking_window;
    assert_eq!(
        (trip.min_advance, trip.min_buffer_before_end),
        (Some(Seconds::HOUR), None)
    );
    let colouring = service(&loaded, "salon", "colouring").booking_window;
    assert_eq!(
        (colouring.min_advance, colouring.min_buffer_before_end),
        (None, Some(Seconds::HOUR))
    );
    let terms = terms(&loaded.openings[1]);
    assert_eq!(
        (terms.first_bookable_sec, terms.last_bookable_sec),
        (Some(EpochSeconds::new(1_704_000_000)), None)
    );
}

#[test]
fn pools_of_one_set_of_tickets_are_one_pool_in_whatever_order_it_is_named() {
    let folder = Folder::sample();
    for (entry, tickets) in [
        (14, json!(["companion", "wheelchair"])),
        (11, json!(["stalls"])),
        (33, json!(["child", "adult"])),
    ] {
        let pointer = format!("/service_availability/0/availability/{entry}/ticket_type_id");
        folder.set("availability.json", &pointer, tickets);
    }
    let staff = json!({"staff_id": "usher"});
    folder.set(
        "availability.json",
        "/service_availability/0/availability/11/resources",
        staff,
    );
    let loaded = folder.loaded();
    let pools: Vec<_> = openings(&loaded, "symphony")
        .iter()
        .map(|opening| (opening.pool.tickets, opening.pool.allotment))
        .collect();
    let expected = [
        (PoolTickets::Set(0), 150),
        (PoolTickets::Set(0), 100),
        (PoolTickets::Set(1), 60),
        (PoolTickets::Set(2), 4),
    ];
    assert_eq!(pools, expected);
    let sets = &service(&loaded, "concert-hall", "symphony").ticket_sets;
    assert_eq!(sets[2], [TicketIx(2), TicketIx(3)]);
    let bath: Vec<_> = openings(&loaded, "bath")
        .iter()
        .map(|opening| opening.pool.tickets)
        .collect();
    assert_eq!(
        bath,
        [PoolTickets::All, PoolTickets::Set(0)],
        "naming all types is a set like any other"
    );
}

#[test]
fn only_tags_that_rules_speak_of_are_kept() {
    let folder = Folder::sample();
    folder.set(
        "availability.json",
        "/service_availability/0/availability/1/availability_tag",
        json!("early"),
    );
    let loaded = folder.loaded();
    let tags: Vec<_> = openings(&loaded, "museum-entry")
        .iter()
        .map(|opening| terms(opening).tags)
        .collect();
    assert_eq!(tags, [vec![], vec![], vec![], vec![TagIx(0)]]);
}

#[test]
fn recurrences_run_to_the_last_start_and_pause_for_exceptions() {
    const DAY: i64 = 86_400;
    const CHRISTMAS_2030: i64 = 1_924_387_200;
    const LAST_DAY: i64 = 2_524_521_600;
    let loaded = Folder::sample().loaded();
    let starts = |id: &str, day: i64| -> Vec<i64> {
        let openings = openings(&loaded, id);
        let starts = openings.iter().flat_map(|opening| {
            opening.starts(EpochSeconds::new(day), EpochSeconds::new(day + DAY))
        });
        starts.map(|start| (start.get() - day) / 60).collect()
    };
    let chairs: Vec<i64> = (9..=16).chain(9..=16).map(|hour| hour * 60).collect();
    assert_eq!(starts("haircut", CHRISTMAS_2030 - DAY), chairs);
    assert!(starts("haircut", CHRISTMAS_2030).is_empty());
    assert_eq!(starts("haircut", CHRISTMAS_2030 + DAY), chairs);
    assert_eq!(starts("museum-entry", LAST_DAY), [480, 600, 840, 1020]);
    assert!(starts("museum-entry", LAST_DAY + DAY).is_empty());
    let all: Vec<u32> = openings(&loaded, "museum-entry")
        .iter()
        .map(|opening| opening.pool.allotment)
        .collect();
    assert_eq!(all, [0, 50, 50, 20]);
}

#[test]
fn an_open_zero_may_be_left_out_and_other_members_too() {
    let folder = Folder::sample();
    folder.set(
        "availability.json",
        "/service_availability/0/availability/1/spots_open",
        Value::Null,
    );
    folder.set(
        "availability.json",
        "/service_availability/0/availability/2/spots_total",
        Value::Null,
    );
    folder.set(
        "availability.json",
        "/service_availability/0/availability/3/recurrence",
        Value::Null,
    );
    let loaded = folder.loaded();
    let spots: Vec<u32> = loaded
        .openings
        .iter()
        .take(4)
        .map(|opening| opening.pool.allotment)
        .collect();
    assert_eq!(spots, [0, 0, 50, 20]);
    assert_eq!(loaded.openings[3].recurrence, None);
}

#[test]
fn older_and_shorter_forms_of_texts() {
    let folder = Folder::sample();
    for (pointer, value) in [
        ("/service/0/localized_service_name", json!({"value": ""})),
        ("/service/0/service_name", json!("Entry")),
        (
            "/service/1/localized_service_name",
            json!({"localized_value": [{"locale": "de", "value": "Tour"}]}),
        ),
        ("/service/2/localized_service_name", Value::Null),
        (
            "/service/1/ticket_type/0/localized_short_description",
            Value::Null,
        ),
        (
            "/service/1/ticket_type/0/short_description",
            json!("Grown-up"),
        ),
        (
            "/service/1/ticket_type/0/option_description",
            json!("Front"),
        ),
        (
            "/service/6/intake_form/field/2/localized_label",
            Value::Null,
        ),
        ("/service/6/intake_form/field/2/label", json!("Wishes?")),
        (
            "/service/6/intake_form/field/0/choice_text",
            json!(["one", "two"]),
        ),
        ("/service/6/intake_form/field/0/type", json!(5)),
    ] {
        folder.set("services.json", pointer, value);
    }
    let loaded = folder.loaded();
    let names: Vec<_> = loaded
        .catalog
        .services()
        .map(|(_, service)| service.name.value.as_str())
        .collect();
    assert_eq!(names[..3], ["Entry", "Tour", "museum-night"]);
    let ticket = &service(&loaded, "museum", "museum-tour").tickets[0];
    assert_eq!(
        (
            ticket.short_description.value.as_str(),
            ticket.option_description.value.as_str()
        ),
        ("Grown-up", "Front")
    );
    let questions = &service(&loaded, "salon", "haircut").questions;
    assert_eq!(questions[2].label.value, "Wishes?");
    assert!(matches!(&questions[0].kind, AnswerKind::OneOf(choices) if choices[1].value == "two"));
}

#[test]
fn whole_numbers_in_other_clothes() {
    for (price, expected) in [
        (json!("10000"), 10_000),
        (json!(20_000.0), 20_000),
        (json!(3e9), 3_000_000_000),
        (json!(-0.0), 0),
    ] {
        let folder = Folder::sample();
        folder.set("services.json", "/service/7/price/price_micros", price);
        assert_eq!(
            service(&folder.loaded(), "salon", "colouring").price,
            Some(money(expected, "USD"))
        );
    }
}

#[test]
fn a_merchant_without_services_and_a_service_without_availability() {
    let folder = Folder::sample();
    folder.set(
        "merchants.json",
        "/merchant/-",
        json!({"merchant_id": "new"}),
    );
    let service = json!({
        "merchant_id": "salon", "service_id": "new", "price": {"price_micros": "0", "currency_code": "USD"},
    });
    folder.set("services.json", "/service/-", service);
    let loaded = folder.loaded();
    assert_eq!(loaded.catalog.merchants()[6].name, "new");
    assert!(openings(&loaded, "new").is_empty());
}

#[test]
fn values_at_their_bounds_are_valid() {
    let entry = |member: &str| format!("/service_availability/0/availability/1/{member}");
    for (pointer, value) in [
        (entry("duration_sec"), json!(1)),
        (entry("duration_sec"), json!(86_400)),
        (entry("start_sec"), json!(1)),
        (entry("spots_total"), json!(50)),
        (entry("recurrence/repeat_until_sec"), json!(1_704_103_200)),
        (
            entry("recurrence/repeat_until_sec"),
            json!(253_402_300_799_i64),
        ),
        (entry("recurrence/repeat_every_sec"), json!(1)),
        (
            entry("schedule_exception"),
            json!([{"time_range": {"begin_sec": 1, "end_sec": 2}}]),
        ),
        (
            entry("scheduling_rule_overrides"),
            json!({"first_bookable_sec": 1_700_000_000, "last_bookable_sec": 1_700_000_000}),
        ),
        (entry("ticket_type_id"), json!(["adult", "child", "senior"])),
    ] {
        let folder = Folder::sample();
        // So that it meets no other entry.
        folder.set(
            "availability.json",
            &entry("resources"),
            json!({"staff_id": "another"}),
        );
        folder.set("availability.json", &pointer, value);
        folder.loaded();
    }
    for (piece, other) in [
        ("cart_hold_sec = 600", "cart_hold_sec = 86_400"),
        (
            "cart_hold_sec = 600",
            "fee = [{ name = 'Processing fee', price_micros = 10_000 }]",
        ),
        ("max = 10", "min = 10\nmax = 10\nticket.adult.min = 4"),
        ("percent_off = \"15\"", "percent_off = 100"),
        ("percent_off = \"15\"", "percent_off = 0.01"),
        ("percent_off = \"15\"", "price_micros = 59_999_999"),
        ("180_000_000", "200_000_000"),
        ("min_count = 6", "min_count = 1"),
        ("per_adult = 5", "per_adult = 1"),
        (
            "availability_tag = \"late\"",
            "from_sec = 20\nuntil_sec = 21",
        ),
        ("min = 2\nticket.adult.max = 4", "max = 0"),
        (
            "service = \"museum-tour\"\nany_of = [\"museum-entry\"]",
            "service = 'museum-tour'\nany_of = ['museum-entry', 'museum-night']\n\
             [[merchant.forbid_together]]\nservices = ['museum-tour', 'museum-night']",
        ),
    ] {
        let folder = Folder::sample();
        folder.replace("rules.toml", piece, other);
        folder.loaded();
    }
}

#[test]
fn a_tag_that_no_availability_has_is_remarked() {
    let folder = Folder::sample();
    assert_eq!(folder.loaded().warnings.list(), []);
    folder.replace(
        "rules.toml",
        r#"availability_tag = "late""#,
        "availability_tag = 'early'",
    );
    let warnings = folder.warnings();
    let line = folder.rules_line("'early'");
    let expected = format!("{line}:20: no availability of the service has the tag \"early\"");
    assert_eq!(warnings, [expected]);
}
