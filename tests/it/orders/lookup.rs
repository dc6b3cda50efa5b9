//! Looking at slots without a cart: what is said of them, and that it is what can be sold.

use std::sync::Arc;

use boxoffice::api::booking::proto::v3::{CheckAvailabilityRequest, ResourceIds, Slot, SlotTime};
use domain::time::{EpochSeconds, Seconds};
use serde_json::json;
use tonic::Code;

use crate::support::{
    Item, NOW, Setup, TestServer, config, doubles::GatewayDouble, edited_catalog, faulty_fields,
    order_request, paid_with, reason, tomorrow_at,
};

/// How long the rafting merchant holds a cart.
const HOLD: i64 = 600;

/// A slot, tomorrow.
fn slot(service: &str, hour: i64, minute: i64, duration_sec: i64) -> SlotTime {
    let start_sec = tomorrow_at(hour, minute);
    SlotTime {
        service_id: service.into(),
        start_sec,
        duration_sec,
        ..SlotTime::default()
    }
}

fn raft_trip() -> SlotTime {
    slot("raft-trip", 9, 0, 10_800)
}

fn museum_entry() -> SlotTime {
    slot("museum-entry", 10, 0, 7200)
}

fn for_party(party_size: i32, slot: SlotTime) -> SlotTime {
    SlotTime {
        resource_ids: Some(ResourceIds {
            party_size,
            ..ResourceIds::default()
        }),
        ..slot
    }
}

fn of_merchant(merchant: &str, slot: SlotTime) -> Slot {
    Slot {
        merchant_id: merchant.into(),
        service_id: slot.service_id,
        start_sec: slot.start_sec,
        duration_sec: slot.duration_sec,
        availability_tag: slot.availability_tag,
        resources: slot.resource_ids,
        confirmation_mode: slot.confirmation_mode,
    }
}

fn seats(count: i32) -> Item {
    let micros = i64::from(count) * if count < 6 { 60_000_000 } else { 51_000_000 };
    Item::raft_trip()
        .tickets(&[("seat", count)])
        .price("USD", micros)
}

fn in_the_afternoon(mut item: Item) -> Item {
    item.0.start_sec = tomorrow_at(13, 0);
    item
}

/// The spots of a slot, on which both methods have to agree.
async fn spots(server: &TestServer, merchant: &str, slot: SlotTime) -> i32 {
    let count = server
        .count_available(of_merchant(merchant, slot.clone()))
        .await
        .unwrap();
    let none_too_many = for_party(count, slot.clone());
    let one_too_many = for_party(count.saturating_add(1), slot.clone());
    let seen = server
        .look_up(merchant, [slot.clone(), none_too_many, one_too_many])
        .await
        .unwrap();
    assert_eq!(seen, [count > 0, count > 0, false], "{count} of {slot:?}");
    count
}

#[tokio::test]
async fn a_slot_has_the_spots_that_can_be_sold_for_all_ticket_types_together() {
    let server = TestServer::start().await;
    let none = SlotTime::default();
    for (rule, merchant, slot, expected) in [
        ("open", "museum", museum_entry(), 50),
        (
            "sold out from the first",
            "museum",
            slot("museum-entry", 8, 0, 7200),
            0,
        ),
        (
            "a limit of the hall over those of its parts",
            "concert-hall",
            slot("symphony", 19, 30, 9000),
            150,
        ),
        ("one pool for two types", "rafting", raft_trip(), 12),
        (
            "pools beside each other",
            "rafting",
            slot("raft-trip", 16, 0, 10_800),
            13,
        ),
        (
            "appointments with anybody",
            "salon",
            slot("haircut", 9, 0, 3600),
            2,
        ),
        (
            "no such start",
            "museum",
            slot("museum-entry", 10, 1, 7200),
            0,
        ),
        (
            "no such duration",
            "museum",
            slot("museum-entry", 10, 0, 3600),
            0,
        ),
        (
            "below zero",
            "museum",
            slot("museum-entry", 10, 0, -7200),
            0,
        ),
        (
            "the end of time",
            "museum",
            SlotTime {
                start_sec: i64::MAX,
                ..museum_entry()
            },
            0,
        ),
        (
            "its beginning",
            "museum",
            SlotTime {
                start_sec: i64::MIN,
                ..museum_entry()
            },
            0,
        ),
        (
            "for ever",
            "museum",
            SlotTime {
                duration_sec: i64::MAX,
                ..museum_entry()
            },
            0,
        ),
        (
            "yesterday",
            "museum",
            SlotTime {
                start_sec: tomorrow_at(10 - 48, 0),
                ..museum_entry()
            },
            0,
        ),
        (
            "no such service",
            "museum",
            slot("museum-cinema", 10, 0, 7200),
            0,
        ),
        ("another merchant's service", "museum", raft_trip(), 0),
        ("nothing", "museum", none, 0),
    ] {
        assert_eq!(spots(&server, merchant, slot).await, expected, "{rule}");
    }
}

#[tokio::test]
async fn every_slot_is_answered_in_its_place_as_it_was_asked() {
    let server = TestServer::start().await;
    let resources = ResourceIds {
        staff_id: "ann".into(),
        room_id: "7".into(),
        party_size: 0,
    };
    let known = SlotTime {
        availability_tag: "late".into(),
        resource_ids: Some(resources),
        confirmation_mode: 2,
        ..museum_entry()
    };
    let from_the_future = SlotTime {
        confirmation_mode: 99,
        ..museum_entry()
    };
    let nothing_of_resources = SlotTime {
        resource_ids: Some(ResourceIds::default()),
        ..museum_entry()
    };
    let sold_out = slot("museum-entry", 8, 0, 7200);
    let unknown = SlotTime {
        service_id: "no-such".into(),
        ..known.clone()
    };
    let slots = [
        unknown.clone(),
        known.clone(),
        sold_out.clone(),
        from_the_future,
        nothing_of_resources,
        unknown,
        SlotTime::default(),
        known.clone(),
        known.clone(),
    ];
    let seen = server.look_up("museum", slots).await.unwrap();
    assert_eq!(
        seen,
        [false, true, false, true, true, false, false, true, true]
    );
    assert!(server.look_up("museum", []).await.unwrap().is_empty());
    assert_eq!(
        server
            .count_available(of_merchant("museum", known))
            .await
            .unwrap(),
        50
    );
}

#[tokio::test]
async fn a_party_needs_a_spot_for_each_of_it() {
    let server = TestServer::start().await;
    for (party_size, expected) in [
        (i32::MIN, true),
        (-1, true),
        (0, true),
        (1, true),
        (12, true),
        (13, false),
        (i32::MAX, false),
    ] {
        let slot = for_party(party_size, raft_trip());
        assert_eq!(
            server.look_up("rafting", [slot.clone()]).await.unwrap(),
            [expected],
            "{party_size}"
        );
        let count = server
            .count_available(of_merchant("rafting", slot))
            .await
            .unwrap();
        assert_eq!(count, 12, "the number of spots does not depend on who asks");
    }
}

#[tokio::test]
async fn an_order_that_was_answered_has_taken_its_spots() {
    let server = TestServer::start().await;
    let afternoon = slot("raft-trip", 13, 0, 10_800);
    for (token, items, left, left_later) in [
        ("one", vec![seats(5)], 7, 12),
        (
            "two slots at once",
            vec![seats(5), in_the_afternoon(seats(2))],
            2,
            10,
        ),
        ("the last", vec![seats(2)], 0, 10),
    ] {
        for _ in 0..2 {
            server
                .create(token, "rafting", items.clone())
                .await
                .unwrap()
                .order();
            assert_eq!(
                spots(&server, "rafting", raft_trip()).await,
                left,
                "{token}"
            );
            assert_eq!(
                spots(&server, "rafting", afternoon.clone()).await,
                left_later,
                "{token}"
            );
        }
    }
    server
        .create(
            "too many",
            "rafting",
            [seats(2), in_the_afternoon(seats(2))],
        )
        .await
        .unwrap()
        .failure();
    assert_eq!(spots(&server, "rafting", raft_trip()).await, 0);
    assert_eq!(
        spots(&server, "rafting", afternoon).await,
        10,
        "nothing is taken by an order that failed"
    );
}

#[tokio::test]
async fn orders_of_many_callers_are_each_seen_by_their_own() {
    let server = Arc::new(TestServer::start().await);
    let calls = (0..25).map(|at| {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let two = Item::museum_entry()
                .tickets(&[("adult", 2)])
                .price("USD", 50_000_000);
            server
                .create(&format!("token-{at}"), "museum", [two])
                .await
                .unwrap()
                .order();
            // Once only: another order may come between two answers.
            let request = CheckAvailabilityRequest {
                slot: Some(of_merchant("museum", museum_entry())),
            };
            server
                .client()
                .check_availability(request)
                .await
                .unwrap()
                .into_inner()
                .count_available
        })
    });
    for call in calls.collect::<Vec<_>>() {
        let seen = call.await.unwrap();
        assert!((0..=48).contains(&seen) && seen % 2 == 0, "{seen}");
    }
    assert_eq!(spots(&server, "museum", museum_entry()).await, 0);
}

#[tokio::test]
async fn held_spots_are_not_open_until_the_hold_ends() {
    let server = TestServer::start().await;
    let hold = |count| server.check_cart("cart", "rafting", [seats(count)]);
    assert_eq!(hold(5).await.unwrap().0.cart_expiration_sec, NOW + HOLD);
    assert_eq!(spots(&server, "rafting", raft_trip()).await, 7);
    hold(12).await.unwrap();
    assert_eq!(spots(&server, "rafting", raft_trip()).await, 0);
    server.clock.advance(Seconds::new(HOLD - 1));
    assert_eq!(spots(&server, "rafting", raft_trip()).await, 0);
    server.clock.advance(Seconds::new(1));
    assert_eq!(spots(&server, "rafting", raft_trip()).await, 12);
    hold(4).await.unwrap();
    server
        .create("cart", "rafting", [seats(4)])
        .await
        .unwrap()
        .order();
    assert_eq!(
        spots(&server, "rafting", raft_trip()).await,
        8,
        "held, then sold: taken once"
    );
}

#[tokio::test]
async fn a_look_holds_nothing_and_ends_no_hold() {
    let server = TestServer::start().await;
    for _ in 0..20 {
        assert_eq!(spots(&server, "rafting", raft_trip()).await, 12);
    }
    server
        .check_cart("cart", "rafting", [seats(5)])
        .await
        .unwrap();
    for _ in 0..20 {
        assert_eq!(spots(&server, "rafting", raft_trip()).await, 7);
    }
    server
        .create("cart", "rafting", [seats(12)])
        .await
        .unwrap()
        .order();
}

#[tokio::test]
async fn spots_are_gone_while_they_are_being_paid_for_and_back_if_that_fails() {
    let gateway = GatewayDouble::silent();
    let server = Setup::default().with_gateway(&gateway).start().await;
    let mut client = server.client();
    let request = paid_with(order_request("token", "rafting", [seats(5)]), "card");
    let call = tokio::spawn(async move { client.create_order(request).await });
    gateway.asked_times(1).await;
    assert_eq!(spots(&server, "rafting", raft_trip()).await, 7);
    gateway.decline();
    call.await.unwrap().unwrap();
    assert_eq!(spots(&server, "rafting", raft_trip()).await, 12);
}

#[tokio::test]
async fn a_slot_is_available_within_its_booking_window_only() {
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
    let lecture = || slot("museum-lecture", 10, 30, 3600);
    let colouring = || slot("colouring", 10, 0, 7200);
    for (rule, merchant, slot, now, expected) in [
        (
            "an hour ahead",
            "rafting",
            raft_trip(),
            tomorrow_at(8, 0),
            12,
        ),
        (
            "less than an hour ahead",
            "rafting",
            raft_trip(),
            tomorrow_at(8, 0) + 1,
            0,
        ),
        (
            "begun, with an hour to go",
            "salon",
            colouring(),
            tomorrow_at(11, 0),
            1,
        ),
        (
            "begun, with less to go",
            "salon",
            colouring(),
            tomorrow_at(11, 0) + 1,
            0,
        ),
        (
            "until the start",
            "museum",
            museum_entry(),
            tomorrow_at(10, 0),
            50,
        ),
        (
            "after the start",
            "museum",
            museum_entry(),
            tomorrow_at(10, 0) + 1,
            0,
        ),
        (
            "before the slot's own window",
            "museum",
            lecture(),
            first - 1,
            0,
        ),
        (
            "as the slot's own window opens",
            "museum",
            lecture(),
            first,
            30,
        ),
        (
            "as the slot's own window closes",
            "museum",
            lecture(),
            last,
            30,
        ),
        (
            "after the slot's own window",
            "museum",
            lecture(),
            last + 1,
            0,
        ),
    ] {
        server.clock.set(EpochSeconds::new(now));
        assert_eq!(spots(&server, merchant, slot).await, expected, "{rule}");
    }
}

#[tokio::test]
async fn more_spots_than_the_contract_can_count_are_as_many_as_it_can() {
    let many = r#""spots_total": 2147483647, "spots_open": 2147483647,"#;
    let catalog = edited_catalog(&[(
        "availability.json",
        r#""spots_total": 1, "spots_open": 1,"#,
        many,
    )]);
    let server = Setup {
        catalog: catalog.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    let haircut = slot("haircut", 9, 0, 3600);
    let both = server
        .count_available(of_merchant("salon", haircut.clone()))
        .await
        .unwrap();
    assert_eq!(both, i32::MAX);
    assert_eq!(
        server
            .look_up("salon", [for_party(i32::MAX, haircut)])
            .await
            .unwrap(),
        [true]
    );
}

#[tokio::test]
async fn a_lookup_without_a_known_merchant_or_a_slot_is_rejected_by_field() {
    let server = TestServer::start().await;
    for merchant in ["", "nobody"] {
        for slots in [vec![], vec![museum_entry()]] {
            let rejection = server.look_up(merchant, slots).await.unwrap_err();
            assert_eq!(
                (rejection.code(), &*reason(&rejection)),
                (Code::InvalidArgument, "INVALID_REQUEST")
            );
            assert_eq!(faulty_fields(&rejection), ["merchant_id"]);
        }
        let rejection = server
            .count_available(of_merchant(merchant, museum_entry()))
            .await
            .unwrap_err();
        assert_eq!(
            (rejection.code(), &*reason(&rejection)),
            (Code::InvalidArgument, "INVALID_REQUEST")
        );
        assert_eq!(faulty_fields(&rejection), ["slot.merchant_id"]);
    }
    let rejection = server
        .client()
        .check_availability(CheckAvailabilityRequest { slot: None })
        .await;
    let rejection = rejection.unwrap_err();
    assert_eq!(
        (rejection.code(), &*reason(&rejection)),
        (Code::InvalidArgument, "INVALID_REQUEST")
    );
    assert_eq!(faulty_fields(&rejection), ["slot"]);
}

#[tokio::test]
async fn many_slots_are_looked_up_at_once_and_no_more_than_the_limit() {
    let server = TestServer::start().await;
    let most = config().sales.max_slots_per_lookup;
    let kinds = [
        museum_entry(),
        slot("museum-entry", 8, 0, 7200),
        slot("museum-cinema", 10, 0, 7200),
    ];
    let slots = || kinds.iter().cloned().cycle();
    let seen = server.look_up("museum", slots().take(most)).await.unwrap();
    assert_eq!(seen.len(), most);
    assert!(
        seen.iter()
            .enumerate()
            .all(|(at, available)| *available == (at % kinds.len() == 0))
    );
    for (merchant, fields) in [
        ("museum", &["slot_time"][..]),
        ("nobody", &["merchant_id", "slot_time"]),
    ] {
        let rejection = server
            .look_up(merchant, slots().take(most + 1))
            .await
            .unwrap_err();
        assert_eq!(rejection.code(), Code::InvalidArgument);
        assert_eq!(faulty_fields(&rejection), fields);
    }
}

#[tokio::test]
async fn the_limit_of_slots_is_a_setting() {
    let mut config = config();
    config.sales.max_slots_per_lookup = 2;
    let server = Setup::with_config(config).start().await;
    assert_eq!(
        server
            .look_up("museum", [museum_entry(), museum_entry()])
            .await
            .unwrap(),
        [true, true]
    );
    let rejection = server
        .look_up("museum", [museum_entry(), museum_entry(), museum_entry()])
        .await;
    let rejection = rejection.unwrap_err();
    assert!(
        rejection
            .message()
            .contains("slot_time has 3 elements; at most 2 are taken"),
        "{rejection:?}"
    );
}

#[tokio::test]
async fn parties_that_are_listed_share_their_tables_and_others_find_none() {
    let listed = |size: i32| {
        json!({"merchant_id": "salon", "service_id": "haircut", "start_sec": tomorrow_at(7, 0), "duration_sec": 3600,
               "spots_open": 3, "resources": {"party_size": size}})
    };
    let folder = edited_catalog(&[]);
    let file = folder.path().join("availability.json");
    let mut feed: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let entries = feed["service_availability"][0]["availability"]
        .as_array_mut()
        .unwrap();
    entries.extend([1, 2, 4].map(listed));
    std::fs::write(&file, feed.to_string()).unwrap();
    let server = Setup {
        catalog: folder.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    let asked = |party_size| SlotTime {
        service_id: "haircut".into(),
        start_sec: tomorrow_at(7, 0),
        duration_sec: 3600,
        resource_ids: Some(ResourceIds {
            party_size,
            ..ResourceIds::default()
        }),
        ..SlotTime::default()
    };
    let sizes = [0, 1, 2, 3, 4, 5];
    let available = server.look_up("salon", sizes.map(asked)).await.unwrap();
    assert_eq!(available, [true, true, true, false, true, false]);
    for (party_size, expected) in [(0, 3), (2, 3), (3, 0), (4, 3)] {
        let slot = Slot {
            merchant_id: "salon".into(),
            service_id: "haircut".into(),
            start_sec: tomorrow_at(7, 0),
            duration_sec: 3600,
            resources: Some(ResourceIds {
                party_size,
                ..ResourceIds::default()
            }),
            ..Slot::default()
        };
        assert_eq!(
            server.count_available(slot).await.unwrap(),
            expected,
            "{party_size}"
        );
    }
}
