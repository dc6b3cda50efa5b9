//! What the callers of the booking contract hear of orders that have changed: the present in lists, and the first answer to
//! a repeated CreateOrder.

use std::collections::BTreeSet;

use boxoffice::api::booking::proto::v3::{
    BookingStatus, CreateOrderRequest, CreateOrderResponse, LineItem, ListOrdersRequest,
    PrepaymentStatus,
    list_orders_request::{Ids, OrderIds},
};
use domain::{lifecycle::Entity, time::EpochSeconds};
use prost::Message;
use serde_json::{Value, json};

use super::stage::{Stage, request_id};
use crate::support::{
    Item, NOW, Setup,
    byte_client::ByteClient,
    operator_config, order_request, paid_with, payment_information, price,
    process::until,
    rest_client::{post, send},
};

const DAY: i64 = 86_400;

/// A server at which every booking waits for its merchant.
async fn asking() -> Stage {
    let config = operator_config();
    let mode = (
        "CONFIRMATION_MODE_SYNCHRONOUS",
        "CONFIRMATION_MODE_ASYNCHRONOUS",
    );
    let edit = ("availability.json", mode.0, mode.1);
    Stage::start_edited(Setup::with_config(config), &[edit]).await
}

/// Two adults at ten for 50 dollars and one at two in the afternoon for 25, charged by the server.
fn two_items(token: &str) -> CreateOrderRequest {
    let morning = Item::museum_entry().tickets(&[("adult", 2)]);
    let afternoon = Item::of("museum-entry", 14, 0, 7200).tickets(&[("adult", 1)]);
    let items = [
        morning.price("USD", 50_000_000),
        afternoon.price("USD", 25_000_000),
    ];
    let mut request = paid_with(order_request(token, "museum", items), "approve");
    payment_information(&mut request).price = Some(price("USD", 75_000_000));
    request
}

/// The answers to a CreateOrder over both transports, byte by byte.
async fn answers(stage: &Stage, request: &CreateOrderRequest) -> (Vec<u8>, Vec<u8>) {
    let address = stage.server.server.address();
    let client = ByteClient::connect(address).await;
    let by_grpc = client.call("CreateOrder", &request.encode_to_vec()).await;
    let body = boxoffice::api::booking::json::write(request).unwrap();
    let by_rest = send(address, post("/v3/CreateOrder", body)).await;
    assert_eq!(by_rest.http, 200);
    (by_grpc.bytes().to_vec(), by_rest.body.to_vec())
}

/// What happens to an order.
enum Happening {
    /// An operator asks for it.
    Asked(&'static str, Value),
    /// So many seconds go by.
    Passed(i64),
}

use BookingStatus::{
    Canceled, Confirmed, DeclinedByMerchant as Declined, NoShow,
    PendingMerchantConfirmation as Pending,
};
use Happening::{Asked, Passed};
use PrepaymentStatus::{PrepaymentProvided as Provided, PrepaymentRefunded as Refunded};

/// What happens one after another, with what callers hear then.
type Story = Vec<(Happening, [BookingStatus; 2], PrepaymentStatus)>;

fn confirmed_stories() -> Vec<Story> {
    let full = || json!({"full": {}});
    vec![
        vec![
            (
                Asked(":noShow", json!({"items": [0]})),
                [NoShow, Confirmed],
                Provided,
            ),
            (
                Asked("/items/1:changeState", json!({"to_state": "fulfilled"})),
                [NoShow, Confirmed],
                Provided,
            ),
            (
                Asked(":refund", json!({"refund": full()})),
                [NoShow, Confirmed],
                Refunded,
            ),
        ],
        vec![
            (
                Asked(":addNote", json!({"note": "called"})),
                [Confirmed, Confirmed],
                Provided,
            ),
            (
                Asked(":cancel", json!({"items": [1], "refund": full()})),
                [Confirmed, Canceled],
                Provided,
            ),
            (
                Asked(":cancel", json!({"refund": full()})),
                [Canceled, Canceled],
                Refunded,
            ),
        ],
        vec![
            (
                Asked("/items/0:changeState", json!({"to_state": "unavailable"})),
                [Canceled, Confirmed],
                Provided,
            ),
            (
                Asked(
                    ":customerAction",
                    json!({"decision": "CUSTOMER_DECISION_AMEND"}),
                ),
                [Canceled, Confirmed],
                Provided,
            ),
        ],
        vec![
            (
                Asked("/items/1:changeState", json!({"to_state": "unavailable"})),
                [Confirmed, Canceled],
                Provided,
            ),
            (Passed(DAY), [Canceled, Canceled], Refunded),
        ],
    ]
}

fn pending_stories() -> Vec<Story> {
    let confirm = || json!({"items": [0], "decision": "MERCHANT_DECISION_CONFIRM"});
    let decline = || json!({"decision": "MERCHANT_DECISION_DECLINE"});
    vec![
        vec![
            (Asked(":confirm", confirm()), [Confirmed, Pending], Provided),
            (
                Asked(":confirm", decline()),
                [Confirmed, Declined],
                Provided,
            ),
        ],
        vec![(Asked(":confirm", decline()), [Declined, Declined], Refunded)],
        vec![
            (Passed(DAY - 1), [Pending, Pending], Provided),
            (Passed(1), [Declined, Declined], Refunded),
        ],
        vec![(
            Asked(":cancel", json!({"refund": {"full": {}}})),
            [Canceled, Canceled],
            Refunded,
        )],
    ]
}

/// The statuses and the prepayment of an order, as both transports tell them.
async fn listed(stage: &Stage, id: &str) -> (Vec<BookingStatus>, PrepaymentStatus) {
    let orders = stage.server.list_ids([id]).await.unwrap();
    let statuses = orders[0].item.iter().map(LineItem::status).collect();
    let payment = orders[0].payment_information.as_ref().unwrap();
    (statuses, payment.prepayment_status())
}

/// The same by one transport.
async fn listed_once(stage: &Stage, id: &str) -> (Vec<BookingStatus>, PrepaymentStatus) {
    let ids = Ids::OrderIds(OrderIds {
        order_id: vec![id.to_owned()],
    });
    let request = ListOrdersRequest { ids: Some(ids) };
    let answer = stage.server.client().list_orders(request).await.unwrap();
    let order = answer.into_inner().order.remove(0);
    let statuses = order.item.iter().map(LineItem::status).collect();
    (
        statuses,
        order.payment_information.unwrap().prepayment_status(),
    )
}

/// Plays a story, and returns the statuses that were heard.
async fn play(
    stage: &Stage,
    token: &str,
    begins: BookingStatus,
    story: Story,
) -> Vec<BookingStatus> {
    stage.server.clock.set(EpochSeconds::new(NOW));
    let request = two_items(token);
    let first = answers(stage, &request).await;
    let response = CreateOrderResponse::decode(&*first.0).unwrap();
    let id = crate::support::Created(response).order().order_id;
    let mut heard = vec![begins];
    assert_eq!(listed(stage, &id).await, (vec![begins; 2], Provided));
    let mut passed = 0;
    for (number, (happening, statuses, prepayment)) in (0..).zip(story) {
        let what = match happening {
            Asked(method, mut body) => {
                body["request_id"] = request_id(number).into();
                let path = format!("orders/{id}{method}");
                let _: Value = stage.post(&path, &body).await.unwrap();
                format!("{method} {body}")
            }
            Passed(seconds) => {
                passed += seconds;
                stage.server.clock.set(EpochSeconds::new(NOW + passed));
                format!("{seconds} s later")
            }
        };
        let expected = (statuses.to_vec(), prepayment);
        // Refunds and timers take a moment, which may lie between two reads.
        until(&what, async || listed_once(stage, &id).await == expected).await;
        assert_eq!(listed(stage, &id).await, expected, "{what}");
        assert_eq!(answers(stage, &request).await, first, "{what}");
        heard.extend(statuses);
    }
    heard
}

#[tokio::test]
async fn every_status_of_the_lifecycle_reaches_the_callers() {
    let mut heard = BTreeSet::new();
    let (usual, asking) = (Stage::start().await, asking().await);
    for (stage, begins, stories) in [
        (&usual, Confirmed, confirmed_stories()),
        (&asking, Pending, pending_stories()),
    ] {
        for (number, story) in stories.into_iter().enumerate() {
            let token = format!("token-{number}");
            let statuses = play(stage, &token, begins, story).await;
            heard.extend(statuses.into_iter().map(|status| status.as_str_name()));
        }
    }
    let lifecycle = boxoffice::lifecycle_files::default().unwrap();
    let items = lifecycle.entity(Entity::LineItem).states.iter();
    let told = items.filter(|state| state.booking_status.is_some());
    let names = BTreeSet::from([
        "CONFIRMED",
        "PENDING_MERCHANT_CONFIRMATION",
        "CANCELED",
        "NO_SHOW",
        "DECLINED_BY_MERCHANT",
    ]);
    assert_eq!(heard, names);
    let statuses: BTreeSet<_> = told
        .map(|state| format!("{:?}", state.booking_status))
        .collect();
    assert_eq!(statuses.len(), names.len(), "{statuses:?}");
    usual.stop().await;
    asking.stop().await;
}

#[tokio::test]
async fn an_operator_finds_and_confirms_what_waits() {
    let stage = asking().await;
    let request = two_items("a");
    let (answer, _) = answers(&stage, &request).await;
    let response = CreateOrderResponse::decode(&*answer).unwrap();
    let id = crate::support::Created(response).order().order_id;
    let found: Value = stage
        .read("/operator/v1/orders?needs_attention=true")
        .await
        .unwrap();
    let order = &found["orders"][0];
    assert_eq!(order["name"], format!("orders/{id}"));
    assert_eq!(order["items"][0]["state"], "pending_confirmation");
    assert_eq!(
        order["items"][0]["booking_status"],
        "PENDING_MERCHANT_CONFIRMATION"
    );
    assert_eq!(order["timers"].as_array().unwrap().len(), 2);
    let shown: Value = stage
        .read(&format!("/operator/v1/orders/{id}"))
        .await
        .unwrap();
    let next = shown["order"]["next_states"].as_array().unwrap();
    let target = json!(format!("orders/{id}/items/0"));
    let next: Vec<(&Value, &Value)> = next
        .iter()
        .filter(|next| next["target"] == target && next.get("why_not").is_none())
        .map(|next| (&next["to_state"], &next["action"]))
        .collect();
    let expected = [
        (json!("confirmed"), json!("confirm")),
        (json!("unavailable"), json!("withdraw")),
        (json!("cancelled"), json!("cancel")),
        (json!("declined"), json!("decline")),
    ];
    let mut missing = expected.to_vec();
    missing.retain(|(to, action)| !next.contains(&(to, action)));
    assert_eq!(missing, [], "{next:?}");
    let history: Value = stage
        .read(&format!("/operator/v1/orders/{id}/history"))
        .await
        .unwrap();
    let created = &history["entries"][0];
    assert_eq!(
        created["transitions"][1]["to_state"],
        "pending_confirmation"
    );
    let body = json!({"decision": "MERCHANT_DECISION_CONFIRM", "request_id": request_id(1)});
    let confirmed: Value = stage
        .post(&format!("orders/{id}:confirm"), &body)
        .await
        .unwrap();
    assert_eq!(confirmed["order"]["items"][1]["state"], "confirmed");
    let left: Value = stage
        .read("/operator/v1/orders?needs_attention=true")
        .await
        .unwrap();
    assert_eq!(left, json!({}));
    stage.stop().await;
}
