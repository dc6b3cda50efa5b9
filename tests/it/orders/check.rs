//! Looking at a cart: one verdict an item, with all that belongs to it, and nothing left behind.

use boxoffice::api::booking::proto::v3::{CheckOrderFulfillabilityRequest, LineItem};
use domain::time::EpochSeconds;
use tempfile::TempDir;
use tonic::Code;

use crate::support::{
    Checked, Item, NOW, Setup, TestServer, edited_catalog, faulty_fields, reason,
    text::{amount, describe},
    tomorrow_at,
};

/// A rule, what is asked under it, and what is answered to the items.
type Row = (&'static str, Vec<Item>, &'static str);

async fn check(server: &TestServer, merchant: &str, rows: impl IntoIterator<Item = Row>) {
    for (rule, items, expected) in rows {
        let asked: Vec<LineItem> = items.iter().map(|item| item.0.clone()).collect();
        let checked = server.check(merchant, items).await.unwrap();
        let verdict = checked.0.fulfillability.as_ref().unwrap();
        assert_eq!(describe(&asked, verdict), expected, "{rule}");
    }
}

fn museum_at(hour: i64) -> Item {
    Item::of("museum-entry", hour, 0, 7200)
}

fn adults(count: i32) -> Item {
    Item::museum_entry()
        .tickets(&[("adult", count)])
        .price("USD", i64::from(count) * 25_000_000)
}

fn seats(count: i32) -> Item {
    Item::raft_trip()
        .tickets(&[("seat", count)])
        .price("USD", i64::from(count) * 60_000_000)
}

fn tour() -> Item {
    Item::of("museum-tour", 11, 0, 3600)
        .tickets(&[("adult", 1)])
        .price("USD", 15_000_000)
}

fn lecture() -> Item {
    Item::of("museum-lecture", 10, 30, 3600)
        .tickets(&[("adult", 1)])
        .price("USD", 8_000_000)
}

fn night() -> Item {
    Item::of("museum-night", 20, 0, 7200)
        .tickets(&[("adult", 1)])
        .price("USD", 30_000_000)
}

#[tokio::test]
async fn each_item_result_comes_with_what_belongs_to_it() {
    let server = TestServer::start().await;
    let rows = [
        ("can be sold", vec![adults(2)], "CAN_FULFILL 50"),
        (
            "sold out",
            vec![
                museum_at(8)
                    .tickets(&[("adult", 1)])
                    .price("USD", 25_000_000),
            ],
            "SLOT_UNAVAILABLE 0",
        ),
        (
            "a child alone",
            vec![
                Item::museum_entry()
                    .tickets(&[("child", 1)])
                    .price("USD", 10_000_000),
            ],
            "CHILD_TICKETS_WITHOUT_ADULT 50",
        ),
        (
            "an unknown ticket type",
            vec![
                Item::museum_entry()
                    .tickets(&[("dog", 1)])
                    .price("USD", 1_000_000),
            ],
            "UNFULFILLABLE_TICKET_COMBINATION 50",
        ),
        (
            "another currency",
            vec![adults(1).price("EUR", 25_000_000)],
            "INCORRECT_PRICE 50 USD25000000",
        ),
        (
            "eleven",
            vec![adults(11)],
            "TICKET_CONSTRAINT_VIOLATED 50 max=10",
        ),
    ];
    check(&server, "museum", rows).await;
}

#[tokio::test]
async fn an_amount_beyond_measure_is_another_reason() {
    let dear = edited_catalog(&[("services.json", r#""25000000""#, r#""9000000000000000000""#)]);
    let server = Setup {
        catalog: dear.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    let one = Item::museum_entry()
        .tickets(&[("adult", 1)])
        .price("USD", 9_000_000_000_000_000_000);
    check(
        &server,
        "museum",
        [(
            "two are more than fits",
            vec![adults(2)],
            "ITEM_UNFULFILLABLE_OTHER_REASON 50",
        )],
    )
    .await;
    let checked = server.check("museum", [one.clone(), one]).await.unwrap();
    assert_eq!(checked.verdict(), "ORDER_UNFULFILLABLE_OTHER_REASON");
    assert_eq!(
        [checked.item_verdict(0), checked.item_verdict(1)],
        ["CAN_FULFILL"; 2]
    );
}

#[tokio::test]
async fn each_order_result_has_its_reason() {
    let server = TestServer::start().await;
    let late_lecture = Item(LineItem {
        start_sec: lecture().0.start_sec + 86_400,
        ..lecture().0
    });
    for (rule, items, expected) in [
        (
            "all items can be sold",
            vec![adults(1), tour()],
            "CAN_FULFILL",
        ),
        (
            "one item cannot",
            vec![adults(1), adults(11)],
            "UNFULFILLABLE_LINE_ITEM",
        ),
        (
            "an item and the set",
            vec![adults(11), tour(), lecture()],
            "UNFULFILLABLE_LINE_ITEM",
        ),
        (
            "services that exclude each other",
            vec![adults(1), night()],
            "UNFULFILLABLE_SERVICE_COMBINATION",
        ),
        (
            "a service that needs another",
            vec![tour()],
            "UNFULFILLABLE_SERVICE_COMBINATION",
        ),
        (
            "services at one time",
            vec![adults(1), tour(), lecture()],
            "UNFULFILLABLE_SERVICE_COMBINATION",
        ),
        (
            "services at two times",
            vec![adults(1), tour(), late_lecture],
            "CAN_FULFILL",
        ),
        ("no item", vec![], "ORDER_UNFULFILLABLE_OTHER_REASON"),
    ] {
        assert_eq!(
            server.check("museum", items).await.unwrap().verdict(),
            expected,
            "{rule}"
        );
    }
}

#[tokio::test]
async fn every_item_is_echoed_in_its_place() {
    let server = TestServer::start().await;
    let tagged = |mut item: Item, tag: &str| {
        item.0.price.as_mut().unwrap().pricing_option_tag = tag.into();
        item
    };
    let answered = adults(1).answers(&[("anything", &["one", "two"])]);
    let unknown = Item::of("no-such-service", 1, 2, 3).tickets(&[("x", -1), ("x", 7)]);
    let items = [
        tagged(adults(2), "spring"),
        unknown.clone(),
        answered,
        adults(11),
        unknown,
        adults(2),
    ];
    let checked = server.check("museum", items.clone()).await.unwrap();
    let echoed: Vec<LineItem> = (0..6)
        .map(|at| checked.item(at).item.clone().unwrap())
        .collect();
    assert_eq!(echoed, items.map(|item| item.0));
}

#[tokio::test]
async fn tickets_must_be_known_sold_in_the_slot_counted_and_allowed_together() {
    let server = TestServer::start().await;
    let bad = "UNFULFILLABLE_TICKET_COMBINATION";
    let charter = || Item::of("raft-trip", 16, 0, 10800);
    let rows: [(&str, &str, Item, &str); 11] = [
        ("museum", "zero", adults(0), bad),
        ("museum", "negative", adults(-1), bad),
        (
            "museum",
            "least",
            Item::museum_entry().tickets(&[("adult", i32::MIN)]),
            bad,
        ),
        (
            "museum",
            "one good, one not",
            Item::museum_entry().tickets(&[("adult", 1), ("child", 0)]),
            bad,
        ),
        (
            "museum",
            "sold by ticket only",
            Item::museum_entry().price("USD", 25_000_000),
            bad,
        ),
        (
            "salon",
            "sold without tickets",
            Item::haircut().tickets(&[("adult", 1)]),
            bad,
        ),
        (
            "rafting",
            "not in this slot",
            Item::raft_trip().tickets(&[("private-raft", 2)]),
            bad,
        ),
        (
            "rafting",
            "not together",
            charter().tickets(&[("private-raft", 1), ("seat", 1)]),
            bad,
        ),
        (
            "rafting",
            "alone",
            charter()
                .tickets(&[("private-raft", 1)])
                .price("USD", 500_000_000),
            "CAN_FULFILL",
        ),
        (
            "concert-hall",
            "without its company",
            Item::symphony().tickets(&[("companion", 1)]),
            bad,
        ),
        (
            "concert-hall",
            "in company",
            Item::symphony()
                .tickets(&[("companion", 1), ("wheelchair", 1)])
                .price("USD", 45_000_000),
            "CAN_FULFILL",
        ),
    ];
    for (merchant, rule, item, expected) in rows {
        assert_eq!(
            server
                .check(merchant, [item])
                .await
                .unwrap()
                .item_verdict(0),
            expected,
            "{rule}"
        );
    }
}

#[tokio::test]
async fn entries_of_one_ticket_type_are_added_up() {
    let server = TestServer::start().await;
    let twice = Item::museum_entry()
        .tickets(&[("adult", 6), ("adult", 5)])
        .price("USD", 275_000_000);
    check(
        &server,
        "museum",
        [(
            "eleven in all",
            vec![twice],
            "TICKET_CONSTRAINT_VIOLATED 50 max=10",
        )],
    )
    .await;
    let twice = Item::museum_entry()
        .tickets(&[("adult", 1), ("adult", 1)])
        .price("USD", 50_000_000);
    check(
        &server,
        "museum",
        [("two in all", vec![twice], "CAN_FULFILL 50")],
    )
    .await;
}

#[tokio::test]
async fn children_need_enough_adults() {
    let server = TestServer::start().await;
    let family = |tickets: &[(&str, i32)], micros| {
        vec![Item::museum_entry().tickets(tickets).price("USD", micros)]
    };
    let rows = [
        (
            "five to one adult",
            family(&[("adult", 1), ("child", 5)], 75_000_000),
            "CAN_FULFILL 50",
        ),
        (
            "six to one adult",
            family(&[("adult", 1), ("child", 6)], 85_000_000),
            "CHILD_TICKETS_WITHOUT_ADULT 50",
        ),
        (
            "a senior is an adult",
            family(&[("senior", 1), ("child", 1)], 28_000_000),
            "CAN_FULFILL 50",
        ),
        (
            "an adult in another line does not count",
            [family(&[("child", 1)], 10_000_000), vec![adults(1)]].concat(),
            "CHILD_TICKETS_WITHOUT_ADULT 50 | CAN_FULFILL 50",
        ),
    ];
    check(&server, "museum", rows).await;
}

#[tokio::test]
async fn every_bound_that_is_broken_is_listed() {
    let rule = "max = 10\nticket.senior.min = 2";
    let bounded = edited_catalog(&[("rules.toml", "max = 10", rule)]);
    let server = Setup {
        catalog: bounded.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    let late = |tickets: &[(&str, i32)]| vec![museum_at(17).tickets(tickets)];
    let here = |tickets: &[(&str, i32)]| vec![Item::museum_entry().tickets(tickets)];
    let rows = [
        (
            "most in a line",
            here(&[("adult", 11)]),
            "TICKET_CONSTRAINT_VIOLATED 50 max=10",
        ),
        (
            "fewest in a line",
            late(&[("adult", 1)]),
            "TICKET_CONSTRAINT_VIOLATED 20 min=2",
        ),
        (
            "most of a type",
            late(&[("adult", 5)]),
            "TICKET_CONSTRAINT_VIOLATED 20 adult-max=4",
        ),
        (
            "fewest of a type",
            here(&[("senior", 1)]),
            "TICKET_CONSTRAINT_VIOLATED 50 senior-min=2",
        ),
        (
            "line and types at once",
            late(&[("adult", 10), ("senior", 1)]),
            "TICKET_CONSTRAINT_VIOLATED 20 max=10 adult-max=4 senior-min=2",
        ),
        (
            "fewest of a line and of a type",
            late(&[("senior", 1)]),
            "TICKET_CONSTRAINT_VIOLATED 20 min=2 senior-min=2",
        ),
        ("just inside", vec![adults(10)], "CAN_FULFILL 50"),
    ];
    check(&server, "museum", rows).await;
}

#[tokio::test]
async fn of_several_broken_rules_the_first_in_the_documented_order_speaks() {
    let server = TestServer::start().await;
    let sold_out = |tickets: &[(&str, i32)]| vec![museum_at(8).tickets(tickets).price("EUR", 1)];
    let rows = [
        (
            "ticket types before children",
            sold_out(&[("child", 20), ("dog", 1)]),
            "UNFULFILLABLE_TICKET_COMBINATION 0",
        ),
        (
            "children before bounds",
            sold_out(&[("child", 20)]),
            "CHILD_TICKETS_WITHOUT_ADULT 0",
        ),
        (
            "bounds before the slot",
            sold_out(&[("adult", 20)]),
            "TICKET_CONSTRAINT_VIOLATED 0 max=10",
        ),
        (
            "the slot before the price",
            sold_out(&[("adult", 10)]),
            "SLOT_UNAVAILABLE 0",
        ),
        (
            "the price",
            vec![adults(10).price("EUR", 1)],
            "INCORRECT_PRICE 50 USD250000000",
        ),
        (
            "an unknown slot speaks after tickets too",
            vec![museum_at(9).tickets(&[("child", 20)])],
            "CHILD_TICKETS_WITHOUT_ADULT",
        ),
    ];
    check(&server, "museum", rows).await;
}

#[tokio::test]
async fn a_service_or_a_slot_that_is_not_known_is_unavailable() {
    let server = TestServer::start().await;
    let moved = |service: &str, start_sec, duration_sec| {
        let service_id = service.to_owned();
        vec![Item(LineItem {
            service_id,
            start_sec,
            duration_sec,
            ..adults(1).0
        })]
    };
    let (entry, ten) = ("museum-entry", tomorrow_at(10, 0));
    let rows = [
        (
            "no such service",
            moved("museum-shop", ten, 7200),
            "SLOT_UNAVAILABLE",
        ),
        ("no service", moved("", ten, 7200), "SLOT_UNAVAILABLE"),
        (
            "another merchant's",
            moved("raft-trip", tomorrow_at(9, 0), 10800),
            "SLOT_UNAVAILABLE",
        ),
        (
            "no such start",
            moved(entry, ten + 1, 7200),
            "SLOT_UNAVAILABLE",
        ),
        (
            "no such duration",
            moved(entry, ten, 7199),
            "SLOT_UNAVAILABLE",
        ),
        (
            "a duration below zero",
            moved(entry, ten, -7200),
            "SLOT_UNAVAILABLE",
        ),
        (
            "a duration beyond all",
            moved(entry, ten, i64::MAX),
            "SLOT_UNAVAILABLE",
        ),
        (
            "a start beyond all",
            moved(entry, i64::MAX, 7200),
            "SLOT_UNAVAILABLE",
        ),
        (
            "a start before all",
            moved(entry, i64::MIN, 7200),
            "SLOT_UNAVAILABLE",
        ),
        ("the same slot", moved(entry, ten, 7200), "CAN_FULFILL 50"),
    ];
    check(&server, "museum", rows).await;
}

#[tokio::test]
async fn items_that_draw_on_one_pool_must_fit_it_together() {
    let server = TestServer::start().await;
    let youths = |count: i32| {
        let micros = i64::from(count) * 40_000_000 + 120_000_000;
        Item::raft_trip()
            .tickets(&[("youth", count), ("seat", 2)])
            .price("USD", micros)
    };
    let afternoon = Item(LineItem {
        start_sec: tomorrow_at(13, 0),
        ..seats(5).0
    });
    let rows = [
        (
            "five and five",
            vec![seats(5), seats(5)],
            "CAN_FULFILL 12 | CAN_FULFILL 12",
        ),
        (
            "five, five and three",
            vec![seats(5), seats(5), seats(3)],
            "SLOT_UNAVAILABLE 12 | SLOT_UNAVAILABLE 12 | SLOT_UNAVAILABLE 12",
        ),
        (
            "of two types",
            vec![seats(5), youths(6)],
            "SLOT_UNAVAILABLE 12 | SLOT_UNAVAILABLE 12",
        ),
        (
            "in two slots",
            vec![seats(5), afternoon, seats(5)],
            "CAN_FULFILL 12 | CAN_FULFILL 12 | CAN_FULFILL 12",
        ),
        ("one alone", vec![seats(13)], "SLOT_UNAVAILABLE 12"),
        (
            "an item that its tickets stop draws on nothing",
            vec![seats(5), seats(5), seats(1)],
            "CAN_FULFILL 12 | CAN_FULFILL 12 | TICKET_CONSTRAINT_VIOLATED 12 min=2",
        ),
    ];
    check(&server, "rafting", rows).await;
}

#[tokio::test]
async fn a_pool_for_some_types_and_a_pool_for_all_bind_together() {
    let server = TestServer::start().await;
    let places = |id: &str, count: i32, unit: i64| {
        Item::symphony()
            .tickets(&[(id, count)])
            .price("USD", i64::from(count) * unit * 1_000_000)
    };
    let (stalls, balcony) = (
        |count| places("stalls", count, 80),
        |count| places("balcony", count, 45),
    );
    let wheelchair = |count| places("wheelchair", count, 45);
    let rows = [
        ("all stalls", vec![stalls(100)], "CAN_FULFILL 100"),
        ("more stalls", vec![stalls(101)], "SLOT_UNAVAILABLE 100"),
        ("the whole balcony", vec![balcony(60)], "CAN_FULFILL 60"),
        (
            "the hall",
            vec![stalls(100), balcony(50)],
            "CAN_FULFILL 100 | CAN_FULFILL 60",
        ),
        (
            "more than the hall",
            vec![stalls(91), balcony(60)],
            "SLOT_UNAVAILABLE 100 | SLOT_UNAVAILABLE 60",
        ),
        (
            "few wheelchair places",
            vec![wheelchair(5)],
            "SLOT_UNAVAILABLE 4",
        ),
    ];
    check(&server, "concert-hall", rows).await;
}

#[tokio::test]
async fn spots_open_follow_what_is_sold() {
    let server = TestServer::start().await;
    server
        .create("t", "rafting", [seats(5)])
        .await
        .unwrap()
        .order();
    let rows = [
        ("of the slot", vec![seats(2)], "CAN_FULFILL 7"),
        (
            "not of the next one",
            vec![Item(LineItem {
                start_sec: tomorrow_at(13, 0),
                ..seats(2).0
            })],
            "CAN_FULFILL 12",
        ),
        (
            "also if tickets are rejected",
            vec![seats(1)],
            "TICKET_CONSTRAINT_VIOLATED 7 min=2",
        ),
        (
            "also where they make no sense",
            vec![seats(0)],
            "UNFULFILLABLE_TICKET_COMBINATION 7",
        ),
        (
            "also where it is too many",
            vec![Item(LineItem {
                price: None,
                ..seats(8).0
            })],
            "SLOT_UNAVAILABLE 7",
        ),
    ];
    check(&server, "rafting", rows).await;
    server
        .create("u", "rafting", [seats(2), seats(5)])
        .await
        .unwrap()
        .order();
    check(
        &server,
        "rafting",
        [("none", vec![seats(2)], "SLOT_UNAVAILABLE 0")],
    )
    .await;
}

#[tokio::test]
async fn a_line_without_tickets_is_an_appointment_for_one_at_the_services_price() {
    let server = TestServer::start().await;
    let rows = [
        ("one", vec![Item::haircut()], "CAN_FULFILL 2"),
        (
            "as many as there are hands",
            vec![Item::haircut(), Item::haircut()],
            "CAN_FULFILL 2 | CAN_FULFILL 2",
        ),
        (
            "one more",
            vec![Item::haircut(), Item::haircut(), Item::haircut()],
            "SLOT_UNAVAILABLE 2 | SLOT_UNAVAILABLE 2 | SLOT_UNAVAILABLE 2",
        ),
        (
            "at another price",
            vec![Item::haircut().price("USD", 39_000_000)],
            "CAN_FULFILL 2 USD40000000 PRICE_INCREASE",
        ),
    ];
    check(&server, "salon", rows).await;
    server
        .create("t", "salon", [Item::haircut()])
        .await
        .unwrap()
        .order();
    check(
        &server,
        "salon",
        [("one is taken", vec![Item::haircut()], "CAN_FULFILL 1")],
    )
    .await;
}

#[tokio::test]
async fn a_slot_can_be_booked_within_its_window_only() {
    let (first, last) = (tomorrow_at(6, 0), tomorrow_at(7, 0));
    let single = r#""service_id": "museum-lecture", "start_sec": 1704105000,"#;
    let window = format!(
        r#"{single} "scheduling_rule_overrides": {{"first_bookable_sec": {}, "last_bookable_sec": {}}},"#,
        1_704_105_000 - (tomorrow_at(10, 30) - first),
        1_704_105_000 - (tomorrow_at(10, 30) - last),
    );
    let catalog = edited_catalog(&[("availability.json", single, &window)]);
    let server = Setup {
        catalog: catalog.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    let colouring = || Item::of("colouring", 10, 0, 7200).price("USD", 95_500_000);
    for (rule, merchant, item, now, expected) in [
        (
            "an hour ahead",
            "rafting",
            seats(2),
            tomorrow_at(8, 0),
            "CAN_FULFILL 12",
        ),
        (
            "less than an hour ahead",
            "rafting",
            seats(2),
            tomorrow_at(8, 0) + 1,
            "SLOT_UNAVAILABLE 0",
        ),
        (
            "begun, with an hour to go",
            "salon",
            colouring(),
            tomorrow_at(11, 0),
            "CAN_FULFILL 1",
        ),
        (
            "begun, with less to go",
            "salon",
            colouring(),
            tomorrow_at(11, 0) + 1,
            "SLOT_UNAVAILABLE 0",
        ),
        (
            "until the start",
            "museum",
            adults(1),
            tomorrow_at(10, 0),
            "CAN_FULFILL 50",
        ),
        (
            "after the start",
            "museum",
            adults(1),
            tomorrow_at(10, 0) + 1,
            "SLOT_UNAVAILABLE 0",
        ),
        (
            "before the slot's own window",
            "museum",
            lecture(),
            first - 1,
            "SLOT_UNAVAILABLE 0",
        ),
        (
            "as the slot's own window opens",
            "museum",
            lecture(),
            first,
            "CAN_FULFILL 30",
        ),
        (
            "as the slot's own window closes",
            "museum",
            lecture(),
            last,
            "CAN_FULFILL 30",
        ),
        (
            "after the slot's own window",
            "museum",
            lecture(),
            last + 1,
            "SLOT_UNAVAILABLE 0",
        ),
    ] {
        server.clock.set(EpochSeconds::new(now));
        check(&server, merchant, [(rule, vec![item], expected)]).await;
    }
}

#[tokio::test]
async fn a_price_that_differs_is_corrected_and_warned_of() {
    let server = TestServer::start().await;
    let asking = |micros| vec![adults(2).price("USD", micros)];
    let rows = [
        ("right", asking(50_000_000), "CAN_FULFILL 50"),
        (
            "too low",
            asking(49_990_000),
            "CAN_FULFILL 50 USD50000000 PRICE_INCREASE",
        ),
        (
            "too high",
            asking(50_010_000),
            "CAN_FULFILL 50 USD50000000 PRICE_DECREASE",
        ),
        (
            "nothing",
            asking(0),
            "CAN_FULFILL 50 USD50000000 PRICE_INCREASE",
        ),
        (
            "half a cent over, to the even cent",
            asking(50_005_000),
            "CAN_FULFILL 50 USD50000000",
        ),
        (
            "half a cent under, to the even cent",
            asking(49_995_000),
            "CAN_FULFILL 50 USD50000000",
        ),
        (
            "more than half a cent over",
            asking(50_005_001),
            "CAN_FULFILL 50 USD50000000 PRICE_DECREASE",
        ),
        (
            "half a cent over an odd cent",
            asking(50_015_000),
            "CAN_FULFILL 50 USD50000000 PRICE_DECREASE",
        ),
    ];
    check(&server, "museum", rows).await;
}

#[tokio::test]
async fn a_price_that_no_correction_makes_the_same_offer_is_incorrect() {
    let server = TestServer::start().await;
    let incorrect = "INCORRECT_PRICE 50 USD50000000";
    let rows = [
        (
            "another currency",
            vec![adults(2).price("EUR", 50_000_000)],
            incorrect,
        ),
        (
            "no currency",
            vec![adults(2).price("", 50_000_000)],
            incorrect,
        ),
        (
            "no such currency",
            vec![adults(2).price("US$", 50_000_000)],
            incorrect,
        ),
        (
            "small letters",
            vec![adults(2).price("usd", 50_000_000)],
            incorrect,
        ),
        (
            "below zero",
            vec![adults(2).price("USD", -50_000_000)],
            incorrect,
        ),
        (
            "least of all",
            vec![adults(2).price("USD", i64::MIN)],
            incorrect,
        ),
        (
            "missing",
            vec![Item(LineItem {
                price: None,
                ..adults(2).0
            })],
            incorrect,
        ),
    ];
    check(&server, "museum", rows).await;
}

#[tokio::test]
async fn deals_lower_the_total_of_a_line() {
    let server = TestServer::start().await;
    let line = |seats, youths, dollars: i64| {
        let tickets = [("seat", seats), ("youth", youths)];
        let sold: Vec<_> = tickets
            .into_iter()
            .filter(|&(_, count)| count > 0)
            .collect();
        vec![
            Item::raft_trip()
                .tickets(&sold)
                .price("USD", dollars * 1_000_000),
        ]
    };
    let rows = [
        ("five pay in full", line(5, 0, 300), "CAN_FULFILL 12"),
        ("six are a group", line(6, 0, 306), "CAN_FULFILL 12"),
        ("a family", line(2, 2, 180), "CAN_FULFILL 12"),
        ("two families", line(4, 4, 360), "CAN_FULFILL 12"),
        ("a family and a group", line(8, 2, 486), "CAN_FULFILL 12"),
        (
            "what remains of a family is no group",
            line(7, 2, 480),
            "CAN_FULFILL 12",
        ),
        (
            "without the deal it is dearer",
            line(6, 0, 360),
            "CAN_FULFILL 12 USD306000000 PRICE_DECREASE",
        ),
    ];
    check(&server, "rafting", rows).await;
}

#[tokio::test]
async fn a_currency_without_fractions_is_rounded_half_to_even_once_a_line() {
    let server = TestServer::start().await;
    let line = |adults, yen_micros| {
        vec![
            Item::bath()
                .tickets(&[("adult", adults)])
                .price("JPY", yen_micros),
        ]
    };
    let rows = [
        ("5250", line(4, 5_250_000_000), "CAN_FULFILL 30"),
        (
            "6562.5 down to the even yen",
            line(5, 6_562_000_000),
            "CAN_FULFILL 30",
        ),
        (
            "9187.5 up to the even yen",
            line(7, 9_188_000_000),
            "CAN_FULFILL 30",
        ),
        (
            "a caller's half yen goes the same way",
            line(5, 6_562_500_000),
            "CAN_FULFILL 30 JPY6562000000",
        ),
        (
            "up is too much",
            line(5, 6_563_000_000),
            "CAN_FULFILL 30 JPY6562000000 PRICE_DECREASE",
        ),
        (
            "down is too little",
            line(7, 9_187_000_000),
            "CAN_FULFILL 30 JPY9188000000 PRICE_INCREASE",
        ),
    ];
    check(&server, "onsen", rows).await;
}

#[tokio::test]
async fn fractions_of_the_smallest_unit_are_rounded_half_to_even() {
    let cents = edited_catalog(&[
        ("services.json", r#""25000000""#, r#""25000""#),
        ("services.json", r#""18000000""#, r#""15000""#),
        ("services.json", r#""15000000""#, r#""25100""#),
        (
            "services.json",
            r#""1500000000", "currency_code": "JPY""#,
            r#""1000500", "currency_code": "KWD""#,
        ),
        (
            "services.json",
            r#""700000000", "currency_code": "JPY""#,
            r#""1000400", "currency_code": "KWD""#,
        ),
    ]);
    let server = Setup {
        catalog: cents.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    let entry = |tickets: &[(&str, i32)], micros| {
        Item::museum_entry().tickets(tickets).price("USD", micros)
    };
    let bath = |adults, micros| {
        Item::bath()
            .tickets(&[("adult", adults)])
            .price("KWD", micros)
    };
    for (rule, merchant, item) in [
        ("2.5 cents", "museum", entry(&[("adult", 1)], 20_000)),
        (
            "5.5 cents",
            "museum",
            entry(&[("adult", 1), ("senior", 2)], 60_000),
        ),
        ("1.5 cents", "museum", entry(&[("senior", 1)], 20_000)),
        ("4.5 cents", "museum", entry(&[("senior", 3)], 40_000)),
        ("2.51 cents", "museum", tour().price("USD", 30_000)),
        (
            "5 cents in two halves",
            "museum",
            entry(&[("adult", 2)], 50_000),
        ),
        ("1000.5 fils", "onsen", bath(1, 1_000_000)),
        ("3001.5 fils", "onsen", bath(3, 3_002_000)),
    ] {
        let checked = server.check(merchant, [item.clone()]).await.unwrap();
        assert_eq!(
            (checked.item_verdict(0), checked.item(0).item.as_ref()),
            ("CAN_FULFILL", Some(&item.0)),
            "{rule}"
        );
    }
}

/// A server on a store that remembers other prices: an adult was 25 and is 27, a child was 10 and
/// is 9, a seat was 60 and is 66.
async fn after_prices_moved(store: &TempDir, catalog: &TempDir) -> TestServer {
    Setup::embedded(store.path()).start().await.stop().await;
    Setup {
        catalog: catalog.path().into(),
        ..Setup::embedded(store.path())
    }
    .start()
    .await
}

fn moved_prices() -> TempDir {
    edited_catalog(&[
        ("services.json", r#""25000000""#, r#""27000000""#),
        ("services.json", r#""10000000""#, r#""9000000""#),
        ("services.json", r#""60000000""#, r#""66000000""#),
    ])
}

fn visit(tickets: &[(&str, i32)], dollars: i64) -> Vec<Item> {
    vec![
        Item::museum_entry()
            .tickets(tickets)
            .price("USD", dollars * 1_000_000),
    ]
}

#[tokio::test]
async fn where_a_tickets_price_moved_every_type_of_the_line_is_answered() {
    let (store, catalog) = (TempDir::new().unwrap(), moved_prices());
    let server = after_prices_moved(&store, &catalog).await;
    let rows = || {
        [
            (
                "up",
                visit(&[("adult", 2)], 50),
                "CAN_FULFILL 50 USD54000000 PRICE_INCREASE adult=USD27000000",
            ),
            (
                "down, with a type that did not move",
                visit(&[("senior", 1), ("child", 1)], 28),
                "CAN_FULFILL 50 USD27000000 PRICE_DECREASE senior=USD18000000 child=USD9000000",
            ),
            (
                "each type once",
                visit(&[("adult", 1), ("child", 1), ("adult", 1)], 60),
                "CAN_FULFILL 50 USD63000000 PRICE_INCREASE adult=USD27000000 child=USD9000000",
            ),
            (
                "the present price",
                visit(&[("adult", 2)], 54),
                "CAN_FULFILL 50",
            ),
            (
                "up and down to the same",
                visit(&[("adult", 1), ("child", 2)], 45),
                "CAN_FULFILL 50",
            ),
            (
                "no type of the line moved",
                visit(&[("senior", 1)], 17),
                "CAN_FULFILL 50 USD18000000 PRICE_INCREASE",
            ),
        ]
    };
    check(&server, "museum", rows()).await;
    server.stop().await;
    let server = Setup {
        catalog: catalog.path().into(),
        ..Setup::embedded(store.path())
    }
    .start()
    .await;
    check(&server, "museum", rows()).await;
}

#[tokio::test]
async fn where_only_a_deal_lowered_the_total_no_ticket_type_is_answered() {
    let (store, catalog) = (TempDir::new().unwrap(), moved_prices());
    let server = after_prices_moved(&store, &catalog).await;
    let group = |micros| vec![seats(6).price("USD", micros)];
    let rows = [
        (
            "unit prices of now",
            group(396_000_000),
            "CAN_FULFILL 12 USD336600000 PRICE_DECREASE",
        ),
        (
            "unit prices of before",
            group(360_000_000),
            "CAN_FULFILL 12 USD336600000 PRICE_DECREASE seat=USD66000000",
        ),
        (
            "the deal of before",
            group(306_000_000),
            "CAN_FULFILL 12 USD336600000 PRICE_INCREASE seat=USD66000000",
        ),
    ];
    check(&server, "rafting", rows).await;
}

#[tokio::test]
async fn where_no_price_ever_moved_no_ticket_type_is_answered() {
    let server = TestServer::start().await;
    let row = (
        "wrong",
        visit(&[("adult", 2)], 49),
        "CAN_FULFILL 50 USD50000000 PRICE_INCREASE",
    );
    check(&server, "museum", [row]).await;
}

/// The fees of a cart: its total, then every fee.
fn fees(checked: &Checked) -> String {
    let fees = checked.0.fees.as_ref().unwrap();
    let total = checked.0.fees_and_taxes.as_ref().map(amount);
    let tickets = fees.per_ticket_fee.iter().map(|fee| {
        format!(
            "{} {}={}",
            fee.ticket_id,
            fee.fee_name,
            amount(fee.fee_amount.as_ref().unwrap())
        )
    });
    let orders = fees.per_order_fee.iter().map(|fee| {
        format!(
            "{}={}",
            fee.fee_name,
            amount(fee.fee_amount.as_ref().unwrap())
        )
    });
    total
        .into_iter()
        .chain(tickets)
        .chain(orders)
        .collect::<Vec<_>>()
        .join("; ")
}

#[tokio::test]
async fn fees_are_answered_one_by_one_and_in_one_sum() {
    let server = TestServer::start().await;
    let concert =
        |tickets: &[(&str, i32)]| Item::symphony().tickets(tickets).price("USD", 80_000_000);
    let stalls = "stalls Service charge=USD3500000; stalls Facility fee=USD1250000; \
                  stalls Restoration levy=USD1000000";
    let balcony = "balcony Service charge=USD3500000; balcony Facility fee=USD1250000";
    let order = "Processing fee=USD2000000; Order handling=USD990000";
    for (rule, merchant, items, expected) in [
        (
            "of tickets and of the order",
            "concert-hall",
            vec![concert(&[("stalls", 2), ("balcony", 1)])],
            format!("USD19240000; {stalls}; {balcony}; {order}"),
        ),
        (
            "of the order once, however many lines",
            "concert-hall",
            vec![concert(&[("balcony", 1)]), concert(&[("balcony", 2)])],
            format!("USD17240000; {balcony}; {order}"),
        ),
        (
            "a ticket without fees",
            "concert-hall",
            vec![concert(&[("wheelchair", 1)])],
            format!("USD2990000; {order}"),
        ),
        (
            "what cannot be sold costs nothing",
            "concert-hall",
            vec![concert(&[("balcony", 1)]), concert(&[("stalls", 101)])],
            format!("USD7740000; {balcony}; {order}"),
        ),
        (
            "nothing can be sold",
            "concert-hall",
            vec![concert(&[("stalls", 101)])],
            "USD0".to_owned(),
        ),
        (
            "a merchant without fees",
            "museum",
            vec![adults(1)],
            "USD0".to_owned(),
        ),
        (
            "in the merchant's currency",
            "onsen",
            vec![],
            "JPY0".to_owned(),
        ),
    ] {
        assert_eq!(
            fees(&server.check(merchant, items).await.unwrap()),
            expected,
            "{rule}"
        );
    }
}

#[tokio::test]
async fn an_unknown_or_empty_merchant_is_an_invalid_argument() {
    let server = TestServer::start().await;
    for merchant in ["", "no-such-merchant", "MUSEUM"] {
        let rejection = server.check(merchant, [adults(1)]).await.unwrap_err();
        assert_eq!(rejection.code(), Code::InvalidArgument, "{merchant:?}");
        assert_eq!(faulty_fields(&rejection), ["merchant_id"], "{merchant:?}");
        assert_eq!(reason(&rejection), "INVALID_REQUEST", "{merchant:?}");
    }
}

#[tokio::test]
async fn all_violations_of_a_request_are_reported_at_once() {
    let server = TestServer::start().await;
    let mut with_status = adults(1);
    with_status.0.status = 1;
    let request = CheckOrderFulfillabilityRequest {
        merchant_id: "nobody".into(),
        item: vec![adults(1).0, with_status.0],
        cart_id: "x".repeat(1025),
    };
    let rejection = server.check_request(&request).await.unwrap_err();
    assert_eq!(rejection.code(), Code::InvalidArgument);
    assert_eq!(
        faulty_fields(&rejection),
        ["merchant_id", "cart_id", "item[1].status"]
    );
}

#[tokio::test]
async fn a_cart_with_too_many_items_is_rejected() {
    let server = TestServer::start().await;
    let rejection = server
        .check("museum", vec![adults(1); 101])
        .await
        .unwrap_err();
    assert_eq!(
        (rejection.code(), faulty_fields(&rejection)),
        (Code::InvalidArgument, vec!["item".to_owned()])
    );
    assert_eq!(
        server
            .check("museum", vec![adults(1); 50])
            .await
            .unwrap()
            .verdict(),
        "CAN_FULFILL"
    );
}

#[tokio::test]
async fn a_look_leaves_nothing_behind() {
    let server = TestServer::start().await;
    let first = server.check("rafting", [seats(12)]).await.unwrap();
    for _ in 0..50 {
        assert_eq!(
            server.check("rafting", [seats(12)]).await.unwrap().0,
            first.0
        );
    }
    assert_eq!(first.verdict(), "CAN_FULFILL");
    assert_eq!(server.list_user("user-1").await.unwrap(), []);
    server.clock.set(EpochSeconds::new(NOW + 1));
    server
        .create("t", "rafting", [seats(12).price("USD", 612_000_000)])
        .await
        .unwrap()
        .order();
}
