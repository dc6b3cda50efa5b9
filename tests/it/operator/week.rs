//! A week of a box office in small: each step of it adds up in money and spots, and a restart finds it all.

use std::{path::Path, time::Duration};

use boxoffice::api::operator::proto::v1::{
    ListDoorResponse, ListSlotsResponse, Order, SearchOrdersResponse,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::{Stage, request_id};
use crate::support::{Setup, config};

const SLOTS: &str = "/operator/v1/slots?merchant_id=museum&service_id=museum-entry&date=2026-01-16";
const DOOR: &str = "/operator/v1/door?slot.merchant_id=museum&slot.service_id=museum-entry\
                    &slot.start_time=2026-01-16T10:00:00Z";

async fn open(dir: &Path) -> Stage {
    let mut config = config();
    config.serving.operator_listen = Some("127.0.0.1:0".parse().unwrap());
    let setup = Setup {
        config,
        ..Setup::embedded(dir)
    };
    Stage::start_with(setup).await
}

/// Makes a change, and returns the order once its refunds have an outcome.
async fn change(stage: &Stage, path: &str, number: u32, mut body: Value) -> Order {
    body["request_id"] = request_id(number).into();
    let answer: Value = if path.ends_with(":withdraw") {
        stage.post_streamed(path, &body).await.unwrap().remove(0)
    } else {
        stage.post(path, &body).await.unwrap()
    };
    let name = answer["order"]["name"].as_str().unwrap().to_owned();
    let settled = async {
        loop {
            let order = read(stage, &name).await;
            if order.steps.is_empty() {
                return order;
            }
        }
    };
    let limit = Duration::from_secs(30);
    let order = tokio::time::timeout(limit, settled).await.unwrap();
    adds_up(stage).await;
    order
}

async fn read(stage: &Stage, name: &str) -> Order {
    let answer: Value = stage.read(&format!("/operator/v1/{name}")).await.unwrap();
    serde_json::from_value(answer["order"].clone()).unwrap()
}

async fn all(stage: &Stage) -> Vec<Order> {
    let found: SearchOrdersResponse = stage.read("/operator/v1/orders").await.unwrap();
    found.orders
}

/// What was captured is given back or can be; what a slot has sold are the items that hold its spots.
async fn adds_up(stage: &Stage) {
    let orders = all(stage).await;
    let micros = |amount: &Option<boxoffice::api::operator::proto::v1::Amount>| {
        amount.as_ref().map_or(0, |amount| amount.micros)
    };
    for order in &orders {
        let payment = order.payment.as_ref().unwrap();
        let (captured, refunded) = (micros(&payment.captured), micros(&payment.refunded));
        assert_eq!(
            micros(&payment.refundable),
            captured - refunded,
            "{order:?}"
        );
        let given_back = order.refunds.iter().filter(|refund| refund.state == "done");
        let given_back: i64 = given_back.map(|refund| micros(&refund.amount)).sum();
        assert_eq!(refunded, given_back, "{order:?}");
    }
    let slots: ListSlotsResponse = stage.read(SLOTS).await.unwrap();
    for slot in &slots.slots {
        let start = slot.name.as_ref().unwrap().start_time;
        let items = orders.iter().flat_map(|order| &order.items);
        let items = items.filter(|item| item.holds_spots && item.start_time == start);
        let tickets = items.flat_map(|item| &item.tickets);
        let sold: u32 = tickets.map(|tickets| tickets.count).sum();
        assert_eq!(slot.sold, sold, "{start:?}");
        assert_eq!(slot.allotment, sold + slot.left + slot.held, "{start:?}");
    }
}

fn refunded(order: &Order) -> i64 {
    let payment = order.payment.as_ref().unwrap();
    payment.refunded.as_ref().map_or(0, |amount| amount.micros)
}

#[tokio::test]
async fn a_week_adds_up_and_a_restart_finds_it_all() {
    let dir = TempDir::new().unwrap();
    let stage = open(dir.path()).await;
    let mut names = Vec::new();
    for token in ["a", "b", "c", "d"] {
        names.push(format!(
            "orders/{}",
            stage.paid_order(token, "approve").await
        ));
    }
    adds_up(&stage).await;
    let [one, other, absent, lost] = &names[..] else {
        panic!("four orders")
    };
    let full = json!({"full": {}});

    let order = change(
        &stage,
        &format!("{one}:cancel"),
        1,
        json!({"items": [0], "refund": full}),
    )
    .await;
    assert_eq!(
        (refunded(&order), &*order.state),
        (50_000_000, "processing")
    );
    let states: Vec<&str> = order.items.iter().map(|item| &*item.state).collect();
    assert_eq!(states, ["cancelled", "confirmed"]);

    let amount = json!({"amount": {"micros": "12500000", "currency_code": "USD"}});
    let body = json!({"refund": amount, "reason": "cold coffee"});
    let order = change(&stage, &format!("{other}:refund"), 2, body).await;
    assert_eq!(
        (refunded(&order), order.items[0].holds_spots),
        (12_500_000, true)
    );

    let order = change(
        &stage,
        &format!("{absent}:noShow"),
        3,
        json!({"items": [0]}),
    )
    .await;
    assert_eq!(
        (&*order.items[0].booking_status, refunded(&order)),
        ("NO_SHOW", 0)
    );

    let body = json!({"order_items": {"name": lost, "items": [0]}, "reason": "flooded"});
    let order = change(&stage, "orders:withdraw", 4, body).await;
    assert_eq!(&*order.state, "customer_action_required");
    let body = json!({"decision": "CUSTOMER_DECISION_AMEND"});
    let order = change(&stage, &format!("{lost}:customerAction"), 5, body).await;
    assert_eq!(
        (&*order.state, refunded(&order)),
        ("processing", 50_000_000)
    );
    assert_eq!(order.timers, []);

    let order = change(
        &stage,
        &format!("{lost}:cancel"),
        6,
        json!({"refund": full}),
    )
    .await;
    assert_eq!((&*order.state, refunded(&order)), ("cancelled", 75_000_000));
    change(
        &stage,
        &format!("{other}:addNote"),
        7,
        json!({"note": "asked for a quiet corner"}),
    )
    .await;

    let door: ListDoorResponse = stage.read(DOOR).await.unwrap();
    let mut guests: Vec<&str> = door.entries.iter().map(|entry| &*entry.order).collect();
    guests.sort_unstable();
    let mut expected = [other.as_str(), absent.as_str()];
    expected.sort_unstable();
    assert_eq!(guests, expected);

    let mut before = Vec::new();
    for name in &names {
        let history: Value = stage
            .read(&format!("/operator/v1/{name}/history"))
            .await
            .unwrap();
        before.push((read(&stage, name).await, history));
    }
    let slots: ListSlotsResponse = stage.read(SLOTS).await.unwrap();
    stage.stop().await;
    let stage = open(dir.path()).await;
    for (name, (order, history)) in names.iter().zip(before) {
        assert_eq!(read(&stage, name).await, order);
        let found: Value = stage
            .read(&format!("/operator/v1/{name}/history"))
            .await
            .unwrap();
        assert_eq!(found, history);
    }
    assert_eq!(stage.read::<ListSlotsResponse>(SLOTS).await.unwrap(), slots);
    assert_eq!(stage.read::<ListDoorResponse>(DOOR).await.unwrap(), door);
    adds_up(&stage).await;
    // A request from before the restart has its answer, and changes nothing.
    let stands = read(&stage, one).await;
    let again = change(
        &stage,
        &format!("{one}:cancel"),
        1,
        json!({"items": [0], "refund": full}),
    )
    .await;
    assert_eq!(again, stands);
    stage.stop().await;
}
