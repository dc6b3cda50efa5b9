//! Blocks of slots, and withdrawals of slots with all of their orders.

use boxoffice::{
    api::operator::proto::v1::{
        Block, ListBlocksRequest, ListBlocksResponse, ListSlotsRequest, Order, SetBlockRequest,
        SetBlockResponse, Slot, SlotName, WithdrawItemsRequest, WithdrawItemsResponse,
        set_block_request::{All, Spots},
        withdraw_items_request::{OrderItems, Target},
    },
    store::Write,
};
use serde_json::{Value, json};
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use super::stage::{Ordered, Stage, request_id};
use crate::support::{
    Item, Setup, agree,
    doubles::SlowStore,
    keys::{Keys, basic},
    operator_config, order_request,
    process::Program,
    rest_client::{post, send},
    tomorrow_at,
};

/// Spots of the museum tomorrow at ten.
const SPOTS: u32 = 50;

fn ten() -> SlotName {
    SlotName {
        merchant_id: "museum".into(),
        service_id: "museum-entry".into(),
        start_time: Some(pbjson_types::Timestamp {
            seconds: tomorrow_at(10, 0),
            nanos: 0,
        }),
        duration_sec: 0,
    }
}

fn ten_as_json() -> Value {
    json!({
        "merchant_id": "museum",
        "service_id": "museum-entry",
        "start_time": "2026-01-16T10:00:00Z",
    })
}

fn block(number: u32, spots: Spots) -> SetBlockRequest {
    SetBlockRequest {
        slot: Some(ten()),
        spots: Some(spots),
        reason: "school class".into(),
        request_id: request_id(number),
        validate_only: false,
    }
}

fn withdrawal(number: u32) -> WithdrawItemsRequest {
    WithdrawItemsRequest {
        target: Some(Target::Slot(ten())),
        reason: "flooded".into(),
        request_id: request_id(number),
        validate_only: false,
    }
}

/// The slot after a block.
async fn blocked(stage: &Stage, request: SetBlockRequest) -> Slot {
    let answer = stage.slots().set_block(request).await.unwrap();
    answer.into_inner().slot.unwrap()
}

/// The slot as it is listed.
async fn slot(stage: &Stage) -> Slot {
    let request = ListSlotsRequest {
        merchant_id: "museum".into(),
        date: "2026-01-16".into(),
        service_id: "museum-entry".into(),
        ..ListSlotsRequest::default()
    };
    let listed = stage.slots().list_slots(request).await.unwrap();
    let starts_then = |slot: &Slot| {
        let name = slot.name.as_ref().unwrap();
        name.start_time == ten().start_time
    };
    let mut slots = listed.into_inner().slots.into_iter();
    slots.find(starts_then).unwrap()
}

/// Sold, blocked and left.
fn spots(slot: &Slot) -> [u32; 3] {
    assert_eq!((slot.allotment, slot.held), (SPOTS, 0));
    [slot.sold, slot.blocked, slot.left]
}

/// The orders of a withdrawal, and how it ends.
async fn withdrawn(
    stage: &Stage,
    request: WithdrawItemsRequest,
) -> (Vec<Order>, Result<(), Status>) {
    let mut orders = Vec::new();
    let mut answers = match stage.orders().withdraw_items(request).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return (orders, Err(status)),
    };
    loop {
        match answers.message().await {
            Ok(Some(answer)) => orders.extend(answer.order),
            Ok(None) => return (orders, Ok(())),
            Err(status) => return (orders, Err(status)),
        }
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test]
async fn a_block_takes_spots_off_sale_for_callers_and_is_listed() {
    let stage = Stage::start().await;
    stage.order("a", 0, Ordered::Museum).await;
    let by_grpc = stage.slots().set_block(block(1, Spots::Count(8))).await;
    let by_grpc = by_grpc.map(Response::into_inner);
    let body = json!({
        "slot": ten_as_json(),
        "count": 8,
        "reason": "school class",
        "request_id": request_id(1),
    });
    let by_rest: Result<SetBlockResponse, Status> = stage.post("slots:block", &body).await;
    agree(&by_grpc, &by_rest);
    let answer = by_grpc.unwrap();
    assert_eq!(answer.time_zone, "UTC");
    let shown = answer.slot.unwrap();
    assert_eq!(spots(&shown), [2, 8, 40]);
    assert_eq!(shown.block_reason, "school class");
    assert_eq!(slot(&stage).await, shown);
    let entry = || Item::museum_entry().tickets(&[("adult", 1)]);
    assert_eq!(stage.server.spots_open("museum", entry()).await, 40);
    // All that are not sold, also those that are given back later.
    let shown = blocked(&stage, block(2, Spots::All(All {}))).await;
    assert_eq!(spots(&shown), [2, 48, 0]);
    assert_eq!(stage.server.spots_open("museum", entry()).await, 0);
    let mut client = stage.slots();
    let by_grpc = client.list_blocks(ListBlocksRequest::default()).await;
    let by_grpc = by_grpc.map(Response::into_inner);
    let by_rest: Result<ListBlocksResponse, Status> = stage.read("/operator/v1/blocks").await;
    agree(&by_grpc, &by_rest);
    let expected = Block {
        slot: shown.name.clone(),
        count: None,
        reason: "school class".into(),
        actor: String::new(),
        time: Some(pbjson_types::Timestamp {
            seconds: crate::support::NOW,
            nanos: 0,
        }),
        time_zone: "UTC".into(),
    };
    assert_eq!(by_grpc.unwrap().blocks, [expected]);
    let shown = blocked(&stage, block(3, Spots::Count(0))).await;
    assert_eq!((spots(&shown), &*shown.block_reason), ([2, 0, 48], ""));
    let none: ListBlocksResponse = stage.read("/operator/v1/blocks").await.unwrap();
    assert_eq!(none.blocks, []);
    stage.stop().await;
}

#[tokio::test]
async fn pages_of_blocks_have_every_block_once_and_only_those_of_the_merchant() {
    let stage = Stage::start().await;
    for (number, hour) in [(1, 14), (2, 10), (3, 17)] {
        let mut request = block(number, Spots::Count(number));
        let slot = request.slot.as_mut().unwrap();
        slot.start_time.as_mut().unwrap().seconds = tomorrow_at(hour, 0);
        stage.slots().set_block(request).await.unwrap();
    }
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let path =
            format!("/operator/v1/blocks?merchant_id=museum&page_size=2&page_token={page_token}");
        let page: ListBlocksResponse = stage.read(&path).await.unwrap();
        assert!(page.blocks.len() <= 2);
        found.extend(page.blocks.into_iter().map(|block| block.count));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, [Some(2), Some(1), Some(3)]);
    let others: ListBlocksResponse = stage
        .read("/operator/v1/blocks?merchant_id=salon")
        .await
        .unwrap();
    assert_eq!(others.blocks, []);
    stage.stop().await;
}

#[tokio::test]
async fn a_block_that_is_not_as_it_has_to_be_is_rejected_and_blocks_nothing() {
    let stage = Stage::start().await;
    let right = || json!({"slot": ten_as_json(), "count": 1, "request_id": request_id(1)});
    let without = |name: &str| {
        let mut body = right();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let with = |name: &str, value: Value| {
        let mut body = right();
        body[name] = value;
        body
    };
    let mut nowhere = ten_as_json();
    nowhere["start_time"] = "2026-01-16T10:01:00Z".into();
    for (body, expected, fields) in [
        (without("count"), "INVALID_REQUEST", &["spots"][..]),
        (
            without("slot"),
            "INVALID_REQUEST",
            &["slot.merchant_id", "slot.service_id", "slot.start_time"],
        ),
        (without("request_id"), "INVALID_REQUEST", &["request_id"]),
        (
            with("reason", "x".repeat(501).into()),
            "INVALID_REQUEST",
            &["reason"],
        ),
        (with("slot", nowhere), "SLOT_NOT_FOUND", &["slot"]),
    ] {
        let answer: Result<SetBlockResponse, Status> = stage.post("slots:block", &body).await;
        let rejection = answer.unwrap_err();
        let named = rejection
            .get_details_bad_request()
            .unwrap()
            .field_violations;
        let named: Vec<&str> = named.iter().map(|it| &*it.field).collect();
        assert_eq!(
            (&*reason(&rejection), &*named),
            (expected, fields),
            "{body}"
        );
    }
    assert_eq!(spots(&slot(&stage).await), [0, 0, SPOTS]);
    // The id stands for one request, whatever came after it.
    blocked(&stage, block(1, Spots::Count(1))).await;
    blocked(&stage, block(2, Spots::Count(2))).await;
    let repeated = blocked(&stage, block(1, Spots::Count(1))).await;
    assert_eq!(spots(&repeated), [0, 2, SPOTS - 2]);
    let other = stage.slots().set_block(block(1, Spots::Count(3))).await;
    assert_eq!(reason(&other.unwrap_err()), "REQUEST_ID_REUSED");
    stage.stop().await;
}

#[tokio::test]
async fn a_role_decides_who_blocks_and_the_block_has_its_actor() {
    let keys = Keys::new();
    let config = keys.operator_config(&[("vera", "role = 'viewer'"), ("agnes", "role = 'agent'")]);
    let stage = Stage::start_with(Setup::with_config(config)).await;
    for (name, expected) in [("vera", Code::PermissionDenied), ("agnes", Code::Ok)] {
        let mut request = tonic::Request::new(block(1, Spots::Count(1)));
        let password = basic(name, name).parse().unwrap();
        request.metadata_mut().insert("authorization", password);
        let answer = stage.slots().set_block(request).await;
        let code = answer.err().map_or(Code::Ok, |status| status.code());
        assert_eq!(code, expected, "{name}");
    }
    let mut request = tonic::Request::new(ListBlocksRequest::default());
    let password = basic("vera", "vera").parse().unwrap();
    request.metadata_mut().insert("authorization", password);
    let blocks = stage.slots().list_blocks(request).await.unwrap();
    assert_eq!(blocks.into_inner().blocks[0].actor, "agnes");
    stage.stop().await;
}

#[tokio::test]
async fn a_block_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::on_disk(dir.path()).await;
    stage.order("a", 0, Ordered::Museum).await;
    blocked(&stage, block(1, Spots::Count(8))).await;
    stage.stop().await;
    let stage = Stage::on_disk(dir.path()).await;
    let shown = slot(&stage).await;
    assert_eq!(
        (spots(&shown), &*shown.block_reason),
        ([2, 8, 40], "school class")
    );
    // Its request is still known.
    let again = blocked(&stage, block(1, Spots::Count(8))).await;
    assert_eq!(again, shown);
    stage.stop().await;
}

#[tokio::test]
async fn a_slot_is_withdrawn_with_all_of_its_orders() {
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::on_disk(dir.path()).await;
    let mut ids = Vec::new();
    for (number, token) in (0..).zip(["a", "b", "c"]) {
        let id = stage.order(token, number, Ordered::Museum).await;
        ids.push(format!("orders/{id}"));
    }
    stage.order("d", 9, Ordered::Haircut).await;
    let dry_run = WithdrawItemsRequest {
        validate_only: true,
        ..withdrawal(1)
    };
    let (shown, ended) = withdrawn(&stage, dry_run).await;
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(
        spots(&slot(&stage).await),
        [6, 0, 44],
        "nothing has changed"
    );
    let (orders, ended) = withdrawn(&stage, withdrawal(1)).await;
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(orders, shown);
    let found: Vec<&str> = orders.iter().map(|order| &*order.name).collect();
    assert_eq!(found, ids);
    for order in &orders {
        assert_eq!(order.state, "customer_action_required");
        assert_eq!(order.items[0].state, "unavailable");
    }
    let shown = slot(&stage).await;
    assert_eq!(
        (spots(&shown), &*shown.block_reason),
        ([0, 50, 0], "flooded")
    );
    let entry = Item::museum_entry().tickets(&[("adult", 1)]);
    assert_eq!(stage.server.spots_open("museum", entry).await, 0);
    stage.stop().await;
    // The same again has the same orders, over either transport.
    let stage = Stage::on_disk(dir.path()).await;
    let (again, ended) = withdrawn(&stage, withdrawal(1)).await;
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(again, orders);
    let body = json!({
        "slot": ten_as_json(),
        "reason": "flooded",
        "request_id": request_id(1),
    });
    let path = "/operator/v1/orders:withdraw";
    let answer = send(stage.address, post(path, body.to_string())).await;
    assert_eq!(answer.http, 200);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let lines = std::str::from_utf8(&answer.body).unwrap().lines();
    let lines: Vec<_> = lines
        .map(|line| serde_json::from_str::<WithdrawItemsResponse>(line).unwrap())
        .filter_map(|answer| answer.order)
        .collect();
    assert_eq!(lines, orders);
    stage.stop().await;
}

#[tokio::test]
async fn an_order_in_flight_is_caught_by_a_withdrawal() {
    let store = SlowStore::delaying(|write| matches!(write, Write::OrderPlaced(_)));
    let setup = Setup {
        store: store.clone(),
        ..Setup::with_config(operator_config())
    };
    let stage = Stage::start_with(setup).await;
    let entry = Item::museum_entry().tickets(&[("adult", 2)]);
    let request = order_request("a", "museum", [entry.price("USD", 50_000_000)]);
    let mut client = stage.server.client();
    let created = tokio::spawn(async move { client.create_order(request).await });
    store.wait_for_change().await;
    let answers = stage.orders().withdraw_items(withdrawal(1)).await.unwrap();
    let mut answers = answers.into_inner();
    assert_eq!(
        spots(&slot(&stage).await),
        [2, 48, 0],
        "nothing more is sold, and the order has its spots"
    );
    store.resume();
    let answer = answers.message().await.unwrap().unwrap();
    let order = answer.order.unwrap();
    assert_eq!(order.state, "customer_action_required");
    assert_eq!(answers.message().await.unwrap(), None);
    // Its caller was told that it has the order, which then was withdrawn.
    created.await.unwrap().unwrap();
    assert_eq!(spots(&slot(&stage).await), [0, 50, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn orders_that_keep_their_spots_end_a_withdrawal_with_their_names() {
    let stage = Stage::start().await;
    let kept = stage.order("a", 0, Ordered::Museum).await;
    let other = stage.order("b", 1, Ordered::Museum).await;
    let body = json!({"request_id": request_id(1)});
    let path = format!("orders/{kept}:noShow");
    stage.post::<Value>(&path, &body).await.unwrap();
    let (orders, ended) = withdrawn(&stage, withdrawal(2)).await;
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].name, format!("orders/{other}"));
    let status = ended.unwrap_err();
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::FailedPrecondition, "ORDERS_KEPT")
    );
    assert!(status.message().contains(&kept), "{}", status.message());
    // Over REST the error is the last line.
    let body = json!({"slot": ten_as_json(), "reason": "flooded", "request_id": request_id(2)});
    let path = "/operator/v1/orders:withdraw";
    let answer = send(stage.address, post(path, body.to_string())).await;
    let text = std::str::from_utf8(&answer.body).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["order"]["name"], format!("orders/{other}"));
    assert_eq!(lines[1]["error"]["status"], "FAILED_PRECONDITION");
    assert_eq!(lines.len(), 2);
    stage.stop().await;
}

#[tokio::test]
async fn withdrawn_items_can_be_kept_off_sale() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let request = WithdrawItemsRequest {
        target: Some(Target::OrderItems(OrderItems {
            name: format!("orders/{id}"),
            keep_off_sale: true,
            ..OrderItems::default()
        })),
        ..withdrawal(1)
    };
    for _ in 0..2 {
        let (orders, ended) = withdrawn(&stage, request.clone()).await;
        assert!(ended.is_ok(), "{ended:?}");
        assert_eq!(orders[0].items[0].state, "unavailable");
        assert_eq!(spots(&slot(&stage).await), [0, 2, 48]);
    }
    stage.stop().await;
}

#[tokio::test]
async fn callers_who_buy_while_a_block_is_set_never_get_more_than_it_leaves() {
    const BLOCKED: u32 = 20;
    let stage = Stage::start().await;
    let mut buying = Vec::new();
    for number in 0..30 {
        let entry = Item::museum_entry().tickets(&[("adult", 2)]);
        let item = entry.price("USD", 50_000_000);
        let request = order_request(&format!("t{number}"), "museum", [item]);
        let mut client = stage.server.client();
        buying.push(tokio::spawn(async move {
            client.create_order(request).await.unwrap();
        }));
    }
    let at_block = blocked(&stage, block(1, Spots::Count(BLOCKED))).await;
    for bought in buying {
        bought.await.unwrap();
    }
    let sold = slot(&stage).await.sold;
    let limit = at_block.sold.max(SPOTS - BLOCKED);
    assert!(sold <= limit, "{sold} sold, and {limit} at most");
    assert!(sold >= SPOTS - BLOCKED, "{sold}: what is left is sold");
    assert_eq!(at_block.blocked, BLOCKED.min(SPOTS - at_block.sold));
    // Once the block has ended, the rest is for sale.
    blocked(&stage, block(2, Spots::Count(0))).await;
    let rest = SPOTS - sold;
    let entry = Item::museum_entry().tickets(&[("adult", 1)]);
    let open = stage.server.spots_open("museum", entry).await;
    assert_eq!(open, rest.cast_signed());
    stage.stop().await;
}

async fn said(stage: &Stage, words: &[&str]) -> (i32, String) {
    let server = format!("--server=http://{}", stage.address);
    let ended = Program::new().args(words).args([&*server]).run().await;
    (ended.code(), ended.text())
}

#[tokio::test]
async fn slots_are_blocked_and_withdrawn_from_the_command_line() {
    let stage = Stage::start().await;
    let order = stage.order("a", 0, Ordered::Museum).await;
    let of_slot = [
        "--merchant=museum",
        "--service=museum-entry",
        "--start=2026-01-16T10:00:00Z",
    ];
    let ask = async |words: &[&str]| said(&stage, words).await;
    let on_slot = async |words: &[&str]| said(&stage, &[words, &of_slot].concat()).await;
    let (code, text) = on_slot(&["slots", "block", "--count=8", "--reason=dry", "--dry-run"]).await;
    let fields: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
    let shown = &fields[fields.len() - 6..];
    assert_eq!(
        (code, shown),
        (0, &["50", "2", "0", "8", "40", "dry"][..]),
        "{text}"
    );
    assert!(text.contains("Nothing has changed"), "{text}");
    assert_eq!(spots(&slot(&stage).await), [2, 0, 48]);
    let (code, text) = on_slot(&["slots", "block", "--count=8", "--reason=school"]).await;
    assert_eq!(code, 0, "{text}");
    let line = text.lines().nth(1).unwrap();
    assert!(line.starts_with("2026-01-16 10:00 UTC"), "{text}");
    let fields: Vec<&str> = line.split_whitespace().rev().take(6).collect();
    assert_eq!(fields, ["school", "40", "8", "0", "2", "50"], "{text}");
    let (code, text) = ask(&["slots", "blocks"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("museum-entry") && text.contains("school"),
        "{text}"
    );
    let (code, text) = on_slot(&["slots", "unblock"]).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(spots(&slot(&stage).await), [2, 0, 48]);
    let (code, text) = on_slot(&["orders", "withdraw", "--dry-run"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("1 orders would be withdrawn."), "{text}");
    let (code, text) = on_slot(&["orders", "withdraw", "--reason=flooded"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(&order), "{text}");
    assert!(text.contains("customer_action_required"), "{text}");
    assert_eq!(spots(&slot(&stage).await), [0, 50, 0]);
    // An order or a slot, and not both.
    let (code, _) = on_slot(&["orders", "withdraw", &order]).await;
    assert_eq!(code, 64);
    let (code, _) = ask(&["orders", "withdraw", "--merchant=museum"]).await;
    assert_eq!(code, 64);
    let (code, _) = ask(&["orders", "withdraw"]).await;
    assert_eq!(code, 64);
    stage.stop().await;
}

#[tokio::test]
async fn a_dry_run_of_a_block_shows_the_slot_and_leaves_its_request_id_free() {
    let stage = Stage::start().await;
    stage.order("a", 0, Ordered::Museum).await;
    for (wanted, expected) in [
        (Spots::Count(8), [2, 8, 40]),
        (Spots::All(All {}), [2, 48, 0]),
        (Spots::Count(0), [2, 0, 48]),
    ] {
        let dry = SetBlockRequest {
            validate_only: true,
            ..block(1, wanted)
        };
        let shown = stage.slots().set_block(dry).await.unwrap().into_inner();
        assert_eq!(spots(&shown.slot.unwrap()), expected);
        assert_eq!(spots(&slot(&stage).await), [2, 0, 48]);
    }
    let unknown = SetBlockRequest {
        validate_only: true,
        slot: Some(SlotName {
            duration_sec: 60,
            ..ten()
        }),
        ..block(1, Spots::Count(1))
    };
    let rejected = stage.slots().set_block(unknown).await.unwrap_err();
    assert_eq!(rejected.code(), tonic::Code::NotFound);
    let set = stage.slots().set_block(block(1, Spots::Count(8))).await;
    assert_eq!(spots(&set.unwrap().into_inner().slot.unwrap()), [2, 8, 40]);
    stage.stop().await;
}

#[tokio::test]
async fn a_withdrawal_that_ends_early_says_how_it_goes_on() {
    let stage = Stage::start().await;
    let kept = stage.order("a", 0, Ordered::Museum).await;
    let body = json!({"request_id": request_id(1)});
    let path = format!("orders/{kept}:noShow");
    stage.post::<Value>(&path, &body).await.unwrap();
    let words = [
        "orders",
        "withdraw",
        "--merchant=museum",
        "--service=museum-entry",
        "--start=2026-01-16T10:00:00Z",
        "--request-id=00000000-0000-4000-8000-000000000007",
    ];
    let (code, text) = said(&stage, &words).await;
    assert_eq!(code, 64, "{text}");
    assert!(text.contains(&kept), "{text}");
    assert!(
        text.contains("--request-id 00000000-0000-4000-8000-000000000007"),
        "{text}"
    );
    stage.stop().await;
}
