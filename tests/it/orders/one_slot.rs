//! What the pools, tags and rules of one slot allow, over lines and orders.

use std::fs;

use boxoffice::api::booking::proto::v3::{
    Slot, line_item_fulfillability::violated_ticket_constraint::Value as Bound,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Checked, Item, Setup, TestServer, tomorrow_at};

const HOUR: i64 = 3600;

/// A merchant with one service of tickets `a`, `b` and `c` at a dollar each, and one slot of it.
async fn server(entries: &[Value], rules: &str) -> (TempDir, TestServer) {
    let dir = TempDir::new().unwrap();
    let dollar = json!({"price_micros": 1_000_000, "currency_code": "USD"});
    let ticket = |id| json!({"ticket_type_id": id, "price": dollar});
    let tickets = ["a", "b", "c"].map(ticket);
    let service = json!({"merchant_id": "m", "service_id": "s", "ticket_type": tickets});
    let entry = |more: &Value| {
        let mut entry = json!({
            "merchant_id": "m", "service_id": "s", "start_sec": tomorrow_at(10, 0), "duration_sec": HOUR,
        });
        entry
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        entry
    };
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    let rules = format!("[[service]]\nmerchant = 'm'\nid = 's'\n{rules}");
    for (file, text) in [
        (
            "merchants.json",
            json!({"merchant": [{"merchant_id": "m"}]}).to_string(),
        ),
        ("services.json", json!({"service": [service]}).to_string()),
        (
            "availability.json",
            json!({"service_availability": [{"availability": entries}]}).to_string(),
        ),
        ("rules.toml", rules),
    ] {
        fs::write(dir.path().join(file), text).unwrap();
    }
    let server = Setup {
        catalog: dir.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    (dir, server)
}

fn line(tickets: &[(&str, i32)]) -> Item {
    let count: i32 = tickets.iter().map(|(_, count)| count).sum();
    Item::of("s", 10, 0, HOUR)
        .tickets(tickets)
        .price("USD", 1_000_000 * i64::from(count))
}

async fn check<'a>(
    server: &TestServer,
    lines: impl IntoIterator<Item = &'a [(&'a str, i32)]>,
) -> Checked {
    server
        .check("m", lines.into_iter().map(line))
        .await
        .unwrap()
}

/// The verdict on an item, and its open spots.
fn verdict_and_spots(checked: &Checked, at: usize) -> (&'static str, i32) {
    (
        checked.item_verdict(at),
        checked.item(at).availability.unwrap().spots_open,
    )
}

async fn count_available(server: &TestServer) -> i32 {
    let (merchant_id, service_id) = ("m".into(), "s".into());
    let slot = Slot {
        merchant_id,
        service_id,
        start_sec: tomorrow_at(10, 0),
        duration_sec: HOUR,
        ..Slot::default()
    };
    server.count_available(slot).await.unwrap()
}

fn pool(tickets: &[&str], spots: i32) -> Value {
    json!({"ticket_type_id": tickets, "spots_open": spots})
}

#[tokio::test]
async fn spots_open_are_the_most_that_fit_in_whatever_order_tickets_are_named() {
    let (_dir, server) = server(&[pool(&["a", "b"], 5), pool(&["b", "c"], 5)], "").await;
    assert_eq!(
        count_available(&server).await,
        10,
        "five of a and five of c"
    );
    for tickets in [
        [("b", 1), ("a", 4), ("c", 4)],
        [("a", 4), ("b", 1), ("c", 4)],
        [("c", 4), ("a", 4), ("b", 1)],
        [("c", 4), ("b", 1), ("a", 4)],
    ] {
        let checked = check(&server, [&tickets[..]]).await;
        assert_eq!(
            verdict_and_spots(&checked, 0),
            ("CAN_FULFILL", 10),
            "{tickets:?}"
        );
    }
    let lines = [&[("b", 2)][..], &[("a", 3)], &[("c", 3)]];
    let checked = check(&server, lines).await;
    assert_eq!(
        [0, 1, 2].map(|at| verdict_and_spots(&checked, at)),
        [("CAN_FULFILL", 5); 3]
    );
    let checked = check(&server, [lines[0], lines[1], &[("c", 4)]]).await;
    assert_eq!(
        checked.item_verdict(2),
        "SLOT_UNAVAILABLE",
        "b and c are six"
    );
    let order = lines.into_iter().map(line);
    server.create("token", "m", order).await.unwrap().order();
    assert_eq!(count_available(&server).await, 0);
}

#[tokio::test]
async fn three_pools_that_cross_sell_whole_tickets_only() {
    let pools = [
        pool(&["a", "b"], 3),
        pool(&["b", "c"], 3),
        pool(&["a", "c"], 3),
    ];
    let (_dir, server) = server(&pools, "").await;
    assert_eq!(
        count_available(&server).await,
        4,
        "four and a half would fit"
    );
    let checked = check(&server, [&[("a", 2), ("b", 1), ("c", 1)][..]]).await;
    assert_eq!(verdict_and_spots(&checked, 0), ("CAN_FULFILL", 4));
    let checked = check(&server, [&[("c", 3)][..]]).await;
    assert_eq!(verdict_and_spots(&checked, 0), ("CAN_FULFILL", 3));
}

/// The bounds that an item breaks, as fewest or most and the ticket type.
fn broken(checked: &Checked, at: usize) -> Vec<(Bound, &str)> {
    let violated = checked.item(at).violated_ticket_constraint.iter();
    violated
        .map(|violated| (violated.value.unwrap(), violated.ticket_id.as_str()))
        .collect()
}

const TAGS: &str = "
[service.limits]
max = 9
[[service.slot_limits]]
availability_tag = 'x'
min = 3
ticket.a.max = 3
[[service.slot_limits]]
availability_tag = 'y'
max = 6
ticket.a.max = 2
";

#[tokio::test]
async fn the_limits_of_all_tags_of_a_slot_apply_and_every_violation_is_reported() {
    let tagged = |tickets: &[&str], tag: &str| json!({"ticket_type_id": tickets, "spots_open": 20, "availability_tag": tag});
    for entries in [
        [tagged(&["a", "b"], "x"), tagged(&["c"], "y")],
        [tagged(&["c"], "y"), tagged(&["a", "b"], "x")],
    ] {
        let (_dir, server) = server(&entries, TAGS).await;
        for (tickets, expected) in [
            (&[("a", 2), ("c", 2)][..], &[][..]),
            (&[("b", 2)], &[(Bound::MinTicketCount(3), "")][..]),
            (&[("b", 7)], &[(Bound::MaxTicketCount(6), "")]),
            (&[("a", 3)], &[(Bound::MaxTicketCount(2), "a")]),
            (
                &[("c", 5), ("a", 4)],
                &[
                    (Bound::MaxTicketCount(6), ""),
                    (Bound::MaxTicketCount(2), "a"),
                ],
            ),
        ] {
            assert_eq!(
                broken(&check(&server, [tickets]).await, 0),
                expected,
                "{tickets:?}"
            );
        }
    }
}

const SLOT: &str = "
[service.limits]
scope = 'slot'
max = 4
ticket.b.max = 2
[[service.child]]
tickets = ['c']
adults = ['a']
per_adult = 2
scope = 'slot'
";

#[tokio::test]
async fn rules_on_a_slot_take_all_of_its_lines_together() {
    let (_dir, server) = server(&[json!({"spots_open": 40})], SLOT).await;
    let (four, two) = (
        (Bound::MaxTicketCount(4), ""),
        (Bound::MaxTicketCount(2), "b"),
    );
    for (lines, expected) in [
        (&[&[("a", 4)][..]][..], &[&[][..]][..]),
        (&[&[("a", 2)], &[("a", 2)]], &[&[], &[]]),
        (&[&[("a", 3)], &[("a", 3)]], &[&[four][..], &[four]]),
        (
            &[&[("a", 4)], &[("a", 4)], &[("a", 4)]],
            &[&[four], &[four], &[four]],
        ),
        (
            &[&[("a", 1)], &[("b", 2)], &[("b", 1)]],
            &[&[], &[two], &[two]],
        ),
    ] {
        let checked = check(&server, lines.iter().copied()).await;
        let found: Vec<_> = (0..lines.len()).map(|at| broken(&checked, at)).collect();
        assert_eq!(found, expected, "{lines:?}");
    }
    for (lines, expected) in [
        (
            &[&[("c", 2)][..], &[("a", 1)]][..],
            &["CAN_FULFILL", "CAN_FULFILL"][..],
        ),
        (
            &[&[("c", 3)], &[("a", 1)]],
            &["CHILD_TICKETS_WITHOUT_ADULT", "CAN_FULFILL"],
        ),
        (
            &[&[("c", 1)], &[("b", 1)]],
            &["CHILD_TICKETS_WITHOUT_ADULT", "CAN_FULFILL"],
        ),
    ] {
        let checked = check(&server, lines.iter().copied()).await;
        let found: Vec<_> = (0..lines.len())
            .map(|at| checked.item_verdict(at))
            .collect();
        assert_eq!(found, expected, "{lines:?}");
    }
    let split = [line(&[("a", 3)]), line(&[("a", 2)])];
    let failure = server.create("token", "m", split).await.unwrap().failure();
    assert_eq!(failure.cause().as_str_name(), "ORDER_UNFULFILLABLE");
}

#[tokio::test]
async fn rules_on_lines_look_at_each_line_unless_they_say_otherwise() {
    let rules = SLOT.replace("scope = 'slot'", "");
    let (_dir, server) = server(&[json!({"spots_open": 40})], &rules).await;
    let checked = check(&server, [&[("a", 4)][..], &[("a", 4)], &[("a", 4)]]).await;
    assert_eq!(checked.verdict(), "CAN_FULFILL");
    let checked = check(&server, [&[("c", 2)][..], &[("a", 1)]]).await;
    assert_eq!(
        [0, 1].map(|at| checked.item_verdict(at)),
        ["CHILD_TICKETS_WITHOUT_ADULT", "CAN_FULFILL"]
    );
}
