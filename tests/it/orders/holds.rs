//! Spots held for a cart between a look at it and its order.

use std::{path::Path, sync::Arc};

use boxoffice::{
    api::booking::proto::v3::CheckOrderFulfillabilityRequest, kernel::clock::ManualClock,
    store::Write,
};
use tempfile::TempDir;

use crate::support::{
    Item, NOW, Setup, TestServer,
    doubles::{BreakableStore, GatewayDouble, SlowStore},
    edited_catalog, open_store, order_request, paid_with,
    process::until,
    tomorrow_at,
};
use domain::time::{EpochSeconds, Seconds};

/// How long the rafting merchant holds a cart.
const HOLD: i64 = 600;

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

/// Holds items for a cart and gives the second at which the hold ends, 0 where there is none.
async fn hold(server: &TestServer, cart: &str, items: impl IntoIterator<Item = Item>) -> i64 {
    server
        .check_cart(cart, "rafting", items)
        .await
        .unwrap()
        .0
        .cart_expiration_sec
}

/// The spots of the morning trip that are open for somebody without a cart.
async fn open(server: &TestServer) -> i32 {
    server.spots_open("rafting", seats(2)).await
}

async fn open_for(server: &TestServer, cart: &str) -> i32 {
    // More than there are at all: such a look takes no hold and ends none but its own cart's.
    let checked = server
        .check_cart(cart, "rafting", [seats(13)])
        .await
        .unwrap();
    checked.item(0).availability.unwrap().spots_open
}

#[tokio::test]
async fn a_cart_that_can_be_sold_is_held_until_an_absolute_second() {
    let server = TestServer::start().await;
    server.clock.advance(Seconds::new(5));
    assert_eq!(hold(&server, "cart", [seats(5)]).await, NOW + 5 + HOLD);
    assert_eq!(open(&server).await, 7, "for others");
    assert_eq!(open_for(&server, "cart").await, 12, "for itself");
}

#[tokio::test]
async fn nothing_is_held_without_a_cart_for_a_merchant_without_holds_or_where_it_cannot_be_sold() {
    let server = TestServer::start().await;
    let entry = Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000);
    let checked = server
        .check_cart("cart", "museum", [entry.clone()])
        .await
        .unwrap();
    assert_eq!(
        (checked.verdict(), checked.0.cart_expiration_sec),
        ("CAN_FULFILL", 0)
    );
    assert_eq!(server.spots_open("museum", entry).await, 50);
    for (rule, cart, items) in [
        ("no cart", "", vec![seats(5)]),
        ("too few", "cart", vec![seats(1)]),
        ("too many", "cart", vec![seats(13)]),
        ("one of two", "cart", vec![seats(5), seats(1)]),
        ("no item", "cart", vec![]),
    ] {
        assert_eq!(hold(&server, cart, items).await, 0, "{rule}");
        assert_eq!(open(&server).await, 12, "{rule}");
    }
}

#[tokio::test]
async fn nothing_is_held_where_only_the_set_cannot_be_sold() {
    let holding = edited_catalog(&[(
        "rules.toml",
        "id = \"museum\"\n\n#",
        "id = \"museum\"\ncart_hold_sec = 60\n\n#",
    )]);
    let server = Setup {
        catalog: holding.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    let entry = || {
        Item::museum_entry()
            .tickets(&[("adult", 2)])
            .price("USD", 50_000_000)
    };
    let night = Item::of("museum-night", 20, 0, 7200)
        .tickets(&[("adult", 1)])
        .price("USD", 30_000_000);
    let checked = server
        .check_cart("cart", "museum", [entry(), night])
        .await
        .unwrap();
    assert_eq!(
        (checked.verdict(), checked.0.cart_expiration_sec),
        ("UNFULFILLABLE_SERVICE_COMBINATION", 0)
    );
    assert_eq!(server.spots_open("museum", entry()).await, 50);
    let checked = server
        .check_cart("cart", "museum", [entry()])
        .await
        .unwrap();
    assert_eq!(checked.0.cart_expiration_sec, NOW + 60);
}

#[tokio::test]
async fn a_hold_ends_at_its_second() {
    let server = TestServer::start().await;
    hold(&server, "cart", [seats(5)]).await;
    server.clock.set(EpochSeconds::new(NOW + HOLD - 1));
    assert_eq!(open(&server).await, 7);
    server.clock.set(EpochSeconds::new(NOW + HOLD));
    assert_eq!(open(&server).await, 12);
}

#[tokio::test]
async fn a_repeated_look_replaces_the_hold() {
    let server = TestServer::start().await;
    for (rule, items, morning, afternoon) in [
        ("first", vec![seats(5)], 7, 12),
        ("the same", vec![seats(5)], 7, 12),
        ("more", vec![seats(5), seats(6)], 1, 12),
        ("all there is", vec![seats(12)], 0, 12),
        ("fewer", vec![seats(2)], 10, 12),
        ("another slot", vec![in_the_afternoon(seats(5))], 12, 7),
        (
            "two slots",
            vec![seats(3), in_the_afternoon(seats(4))],
            9,
            8,
        ),
        ("nothing that can be sold", vec![seats(1)], 12, 12),
    ] {
        hold(&server, "cart", items).await;
        assert_eq!(open(&server).await, morning, "{rule}");
        assert_eq!(
            server
                .spots_open("rafting", in_the_afternoon(seats(2)))
                .await,
            afternoon,
            "{rule}"
        );
    }
}

#[tokio::test]
async fn a_repeated_look_begins_the_time_anew() {
    let server = TestServer::start().await;
    hold(&server, "cart", [seats(5)]).await;
    server.clock.advance(Seconds::new(HOLD - 1));
    assert_eq!(
        hold(&server, "cart", [seats(5)]).await,
        NOW + HOLD - 1 + HOLD
    );
    server.clock.advance(Seconds::new(HOLD - 1));
    assert_eq!(open(&server).await, 7);
    server.clock.advance(Seconds::new(1));
    assert_eq!(open(&server).await, 12);
}

#[tokio::test]
async fn checks_renew_a_hold_for_an_hour_unless_the_rules_say_otherwise() {
    let other = |max: &str| {
        let hold = "cart_hold_sec = 600";
        edited_catalog(&[("rules.toml", hold, &format!("{hold}\n{max}"))])
    };
    for (rule, max, whole) in [("", "", 3_600), ("said", "cart_hold_max = 1500", 1_500)] {
        let folder = other(max);
        let server = Setup {
            catalog: folder.path().into(),
            ..Setup::default()
        }
        .start()
        .await;
        for at in (0..whole).step_by(500) {
            server.clock.set(EpochSeconds::new(NOW + at));
            let expected = NOW + whole.min(at + HOLD);
            assert_eq!(
                hold(&server, "cart", [seats(5)]).await,
                expected,
                "{rule} at {at}"
            );
        }
        server.clock.set(EpochSeconds::new(NOW + whole));
        assert_eq!(open(&server).await, 12, "{rule}: the last hold is cut");
        let checked = server
            .check_cart("cart", "rafting", [seats(5)])
            .await
            .unwrap();
        assert_eq!(
            (checked.verdict(), checked.0.cart_expiration_sec),
            ("CAN_FULFILL", 0),
            "{rule}"
        );
        assert_eq!(open(&server).await, 12, "{rule}: nothing is held any more");
        server.clock.set(EpochSeconds::new(NOW + whole + HOLD));
        assert_eq!(
            hold(&server, "cart", [seats(5)]).await,
            NOW + whole + 2 * HOLD,
            "{rule}: after a pause"
        );
    }
}

#[tokio::test]
async fn a_cart_wins_no_time_by_a_detour() {
    let server = TestServer::start().await;
    let entry = || {
        Item::museum_entry()
            .tickets(&[("adult", 2)])
            .price("USD", 50_000_000)
    };
    for at in (0..3_600).step_by(300) {
        server.clock.set(EpochSeconds::new(NOW + at));
        assert_ne!(hold(&server, "cart", [seats(5)]).await, 0, "at {at}");
        assert_eq!(
            hold(&server, "cart", [seats(1)]).await,
            0,
            "it cannot be sold"
        );
        server
            .check_cart("cart", "museum", [entry()])
            .await
            .unwrap();
    }
    server.clock.set(EpochSeconds::new(NOW + 3_600));
    assert_eq!(hold(&server, "cart", [in_the_afternoon(seats(2))]).await, 0);
}

#[tokio::test]
async fn a_check_where_carts_are_not_held_releases_what_the_cart_held() {
    let server = TestServer::start().await;
    let entry = || {
        Item::museum_entry()
            .tickets(&[("adult", 2)])
            .price("USD", 50_000_000)
    };
    hold(&server, "cart", [seats(5)]).await;
    hold(&server, "other", [seats(2)]).await;
    let checked = server
        .check_cart("cart", "museum", [entry()])
        .await
        .unwrap();
    assert_eq!(
        (checked.verdict(), checked.0.cart_expiration_sec),
        ("CAN_FULFILL", 0)
    );
    assert_eq!(open(&server).await, 10, "the other cart's is left");
    server
        .check_cart("other", "nobody", [entry()])
        .await
        .unwrap_err();
    assert_eq!(open(&server).await, 10, "a rejected check replaces no hold");
}

#[tokio::test]
async fn a_check_after_holds_were_switched_off_releases_what_the_cart_held() {
    let folder = edited_catalog(&[]);
    let server = Setup {
        catalog: folder.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    hold(&server, "cart", [seats(5)]).await;
    let rules = folder.path().join("rules.toml");
    let off = std::fs::read_to_string(&rules)
        .unwrap()
        .replace("cart_hold_sec = 600", "");
    std::fs::write(&rules, off).unwrap();
    server.server.reload().await.unwrap();
    assert_eq!(open(&server).await, 7, "what was promised holds");
    assert_eq!(hold(&server, "cart", [seats(5)]).await, 0);
    assert_eq!(open(&server).await, 12);
}

#[tokio::test]
async fn carts_hold_beside_each_other_and_never_more_than_there_is() {
    let server = TestServer::start().await;
    for (cart, left) in [("a", 7), ("b", 2)] {
        assert_ne!(hold(&server, cart, [seats(5)]).await, 0);
        assert_eq!(open(&server).await, left);
    }
    assert_eq!(hold(&server, "c", [seats(5)]).await, 0, "two are left");
    assert_ne!(hold(&server, "c", [seats(2)]).await, 0);
    assert_eq!(open(&server).await, 0);
}

#[tokio::test]
async fn an_order_uses_up_the_hold_of_its_cart() {
    let server = TestServer::start().await;
    hold(&server, "token", [seats(12)]).await;
    server
        .create("token", "rafting", [seats(12)])
        .await
        .unwrap()
        .order();
    assert_eq!(open(&server).await, 0);
    server.clock.advance(Seconds::new(HOLD));
    assert_eq!(open(&server).await, 0, "sold, not held");
}

#[tokio::test]
async fn an_order_of_less_than_was_held_gives_the_rest_free() {
    let server = TestServer::start().await;
    hold(&server, "token", [seats(5), in_the_afternoon(seats(5))]).await;
    server
        .create("token", "rafting", [seats(2)])
        .await
        .unwrap()
        .order();
    assert_eq!(open(&server).await, 10);
    assert_eq!(
        server
            .spots_open("rafting", in_the_afternoon(seats(2)))
            .await,
        12
    );
}

#[tokio::test]
async fn an_order_of_more_than_was_held_takes_what_is_open_too() {
    let server = TestServer::start().await;
    hold(&server, "token", [seats(5)]).await;
    hold(&server, "other", [seats(4)]).await;
    assert!(
        !server
            .create("token", "rafting", [seats(9)])
            .await
            .unwrap()
            .is_order(),
        "three are not held"
    );
    server
        .create("token", "rafting", [seats(8)])
        .await
        .unwrap()
        .order();
    assert_eq!(open(&server).await, 0);
}

#[tokio::test]
async fn an_order_cannot_take_what_another_cart_holds() {
    let server = TestServer::start().await;
    hold(&server, "cart", [seats(10)]).await;
    let failure = server
        .create("somebody", "rafting", [seats(3)])
        .await
        .unwrap()
        .failure();
    let verdict = failure.fulfillability.unwrap();
    assert_eq!(
        verdict.item_fulfillability[0].result().as_str_name(),
        "SLOT_UNAVAILABLE"
    );
    assert_eq!(
        verdict.item_fulfillability[0]
            .availability
            .unwrap()
            .spots_open,
        2
    );
    server
        .create("somebody", "rafting", [seats(2)])
        .await
        .unwrap()
        .order();
}

#[tokio::test]
async fn an_order_after_its_hold_expired_is_decided_anew() {
    let server = TestServer::start().await;
    hold(&server, "late", [seats(7)]).await;
    hold(&server, "too late", [seats(5)]).await;
    server.clock.advance(Seconds::new(HOLD));
    server
        .create("quick", "rafting", [seats(5)])
        .await
        .unwrap()
        .order();
    server
        .create("late", "rafting", [seats(7)])
        .await
        .unwrap()
        .order();
    let failure = server
        .create("too late", "rafting", [seats(5)])
        .await
        .unwrap()
        .failure();
    assert_eq!(failure.cause().as_str_name(), "ORDER_UNFULFILLABLE");
}

#[tokio::test]
async fn an_order_that_fails_leaves_the_hold_of_its_cart() {
    let server = TestServer::start().await;
    hold(&server, "token", [seats(5)]).await;
    for items in [
        vec![seats(5).price("USD", 1)],
        vec![seats(5), in_the_afternoon(seats(1))],
    ] {
        server
            .create("token", "rafting", items)
            .await
            .unwrap()
            .failure();
        assert_eq!(open(&server).await, 7);
    }
    server.clock.advance(Seconds::new(HOLD));
    assert_eq!(open(&server).await, 12);
}

async fn with_gateway(gateway: &Arc<GatewayDouble>) -> TestServer {
    Setup::default().with_gateway(gateway).start().await
}

#[tokio::test]
async fn a_payment_that_fails_gives_the_hold_back() {
    let gateway = GatewayDouble::silent();
    let server = with_gateway(&gateway).await;
    hold(&server, "token", [seats(5)]).await;
    server.clock.advance(Seconds::new(60));
    gateway.decline();
    server
        .send(paid_with(
            order_request("token", "rafting", [seats(5)]),
            "card",
        ))
        .await
        .unwrap()
        .failure();
    assert_eq!(open(&server).await, 7, "held again");
    server.clock.set(EpochSeconds::new(NOW + HOLD - 1));
    assert_eq!(open(&server).await, 7);
    server.clock.set(EpochSeconds::new(NOW + HOLD));
    assert_eq!(open(&server).await, 12, "no longer than before");
}

#[tokio::test]
async fn the_spots_of_a_held_cart_count_once_during_its_payment() {
    let gateway = GatewayDouble::silent();
    let server = with_gateway(&gateway).await;
    hold(&server, "token", [seats(5)]).await;
    let mut client = server.client();
    let request = paid_with(order_request("token", "rafting", [seats(5)]), "card");
    let call = tokio::spawn(async move { client.create_order(request).await });
    gateway.asked_times(1).await;
    assert_eq!(open(&server).await, 7);
    server.clock.advance(Seconds::new(HOLD));
    assert_eq!(open(&server).await, 7, "being paid, no longer held");
    gateway.decline();
    call.await.unwrap().unwrap();
    assert_eq!(open(&server).await, 12, "the hold has expired meanwhile");
}

#[tokio::test]
async fn a_cart_whose_order_is_there_or_on_its_way_holds_nothing_more() {
    let gateway = GatewayDouble::silent();
    let server = Setup::default().with_gateway(&gateway).start().await;
    let request = paid_with(order_request("cart", "rafting", [seats(5)]), "card");
    hold(&server, "cart", [seats(5)]).await;
    let mut client = server.client();
    let paying = tokio::spawn(async move { client.create_order(request).await.unwrap() });
    gateway.asked_times(1).await;
    assert_eq!(
        hold(&server, "cart", [seats(5)]).await,
        0,
        "while it is being paid for"
    );
    assert_eq!(open(&server).await, 7);
    gateway.capture();
    paying.await.unwrap();
    assert_eq!(
        hold(&server, "cart", [seats(5)]).await,
        0,
        "once it has been created"
    );
    assert_eq!(open(&server).await, 7);
}

/// A server on a directory, at a time.
async fn on_disk(dir: &Path, clock: &Arc<ManualClock>) -> TestServer {
    let mut store = None;
    // The last user of a store that is being closed may be a connection that is just ending.
    until("the store is open", async || {
        store = open_store(dir).ok();
        store.is_some()
    })
    .await;
    Setup {
        clock: clock.clone(),
        store: Arc::new(store.unwrap()),
        ..Setup::default()
    }
    .start()
    .await
}

#[tokio::test]
async fn a_hold_survives_a_restart_to_its_second() {
    let (dir, clock) = (
        TempDir::new().unwrap(),
        Arc::new(ManualClock::at(EpochSeconds::new(NOW))),
    );
    let server = on_disk(dir.path(), &clock).await;
    hold(&server, "cart", [seats(5)]).await;
    hold(&server, "ordered", [seats(2)]).await;
    hold(&server, "released", [seats(2)]).await;
    hold(&server, "released", [seats(1)]).await;
    clock.advance(Seconds::new(60));
    assert_eq!(hold(&server, "later", [seats(2)]).await, NOW + 60 + HOLD);
    server
        .create("ordered", "rafting", [seats(2)])
        .await
        .unwrap()
        .order();
    assert_eq!(open(&server).await, 3);
    server.stop().await;

    let server = on_disk(dir.path(), &clock).await;
    assert_eq!(open(&server).await, 3);
    for (at, left) in [(HOLD - 1, 3), (HOLD, 8), (HOLD + 59, 8), (HOLD + 60, 10)] {
        clock.set(EpochSeconds::new(NOW + at));
        assert_eq!(open(&server).await, left, "after {at} seconds");
    }
    clock.set(EpochSeconds::new(NOW + 60));
    server
        .create("cart", "rafting", [seats(8)])
        .await
        .unwrap()
        .order();
    assert_eq!(open(&server).await, 0, "its own hold is free for it");
}

#[tokio::test]
async fn the_time_that_a_cart_has_used_survives_a_restart() {
    let (dir, clock) = (
        TempDir::new().unwrap(),
        Arc::new(ManualClock::at(EpochSeconds::new(NOW))),
    );
    for at in (0..3_600).step_by(500) {
        clock.set(EpochSeconds::new(NOW + at));
        let server = on_disk(dir.path(), &clock).await;
        let expected = NOW + 3_600.min(at + HOLD);
        assert_eq!(hold(&server, "cart", [seats(5)]).await, expected, "at {at}");
        server.stop().await;
    }
    clock.set(EpochSeconds::new(NOW + 3_599));
    let server = on_disk(dir.path(), &clock).await;
    assert_eq!(hold(&server, "cart", [seats(5)]).await, NOW + 3_600);
    clock.set(EpochSeconds::new(NOW + 3_600));
    assert_eq!(hold(&server, "cart", [seats(5)]).await, 0);
}

#[tokio::test]
async fn a_hold_that_is_over_by_the_clock_of_a_start_is_released_for_good() {
    for (now, left) in [(NOW + HOLD, 12), (NOW - HOLD, 7), (NOW - HOLD - 1, 12)] {
        let (dir, clock) = (
            TempDir::new().unwrap(),
            Arc::new(ManualClock::at(EpochSeconds::new(NOW))),
        );
        let server = on_disk(dir.path(), &clock).await;
        hold(&server, "cart", [seats(5)]).await;
        server.stop().await;
        for now in [now, NOW + 1] {
            clock.set(EpochSeconds::new(now));
            let server = on_disk(dir.path(), &clock).await;
            assert_eq!(open(&server).await, left, "{now}");
            server.stop().await;
        }
    }
}

fn check_request(
    cart: &str,
    merchant: &str,
    items: impl IntoIterator<Item = Item>,
) -> CheckOrderFulfillabilityRequest {
    CheckOrderFulfillabilityRequest {
        merchant_id: merchant.into(),
        item: items.into_iter().map(|item| item.0).collect(),
        cart_id: cart.into(),
    }
}

#[tokio::test]
async fn a_check_that_holds_is_answered_once_the_hold_is_durable() {
    let store = SlowStore::delaying(|write| matches!(write, Write::HoldPlaced(_)));
    let server = Setup {
        store: store.clone(),
        ..Setup::default()
    }
    .start()
    .await;
    let mut client = server.client();
    let request = check_request("cart", "rafting", [seats(5)]);
    let call = tokio::spawn(async move { client.check_order_fulfillability(request).await });
    store.wait_for_change().await;
    assert_eq!(open(&server).await, 7, "nobody else gets its spots");
    assert!(!call.is_finished());
    store.resume();
    let checked = call.await.unwrap().unwrap().into_inner();
    assert_eq!(checked.cart_expiration_sec, NOW + HOLD);
}

#[tokio::test]
async fn a_check_whose_caller_has_left_holds_as_if_it_had_stayed() {
    let store = SlowStore::delaying(|write| matches!(write, Write::HoldPlaced(_)));
    let server = Setup {
        store: store.clone(),
        ..Setup::default()
    }
    .start()
    .await;
    let mut client = server.client();
    let request = check_request("cart", "rafting", [seats(5)]);
    let call = tokio::spawn(async move { client.check_order_fulfillability(request).await });
    store.wait_for_change().await;
    call.abort();
    // The next check of the cart waits for the one that nobody waits for any more.
    let mut client = server.client();
    let request = check_request("cart", "rafting", [seats(3)]);
    let next = tokio::spawn(async move { client.check_order_fulfillability(request).await });
    store.resume();
    let checked = next.await.unwrap().unwrap().into_inner();
    assert_eq!(checked.cart_expiration_sec, NOW + HOLD);
    assert_eq!(open(&server).await, 9);
}

#[tokio::test]
async fn a_store_that_has_failed_leaves_checks_and_promises_no_hold() {
    let store = Arc::new(BreakableStore::new());
    let server = Setup {
        store: store.clone(),
        ..Setup::default()
    }
    .start()
    .await;
    hold(&server, "earlier", [seats(2)]).await;
    store.break_down();
    for cart in ["earlier", "cart"] {
        let checked = server
            .check_cart(cart, "rafting", [seats(5)])
            .await
            .unwrap();
        assert_eq!(
            (checked.verdict(), checked.0.cart_expiration_sec),
            ("CAN_FULFILL", 0)
        );
        assert_eq!(open(&server).await, 10, "what was promised before stays");
    }
}
