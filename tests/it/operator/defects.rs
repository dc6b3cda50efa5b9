//! Defects of other order systems, each as what holds here. Those of the rules alone are tested beside the lifecycle.
//!
//! | defect | what holds here | tested in |
//! |---|---|---|
//! | an order of which nothing is available stays pending for ever | it waits for its customer | `lifecycle_files`: `an_order_of_which_nothing_is_available_waits_for_its_customer` |
//! | the total of an invoice is added up again for each item | every item counts once | `lifecycle_files`: `the_total_of_several_items_counts_each_once` |
//! | an outage while a state is written ends the order | it is written later | `orders`: `while_nothing_can_be_recorded_steps_are_asked_again_and_done_once` |
//! | a misspelt action ends the order, one at the wrong time is kept | both are errors without a trace | here |
//! | cancelled and failed deliveries complete an order | they do not | `lifecycle_files`: `cancelled_and_failed_fulfillments_complete_nothing` |
//! | a cancellation leaves deliveries, spots and money as they are | all three end with it | `lifecycle_files`: `a_cancellation_ends_fulfillments_gives_spots_back_and_refunds` |
//! | what is tried again is counted twice | it counts once | here |
//! | an outage is taken for a rejection | it is neither a decline nor a failed refund | here |
//! | a delivery goes backwards, with any word as its state | it does not; words are those of the definition | `lifecycle_files`: `a_delivery_never_goes_backwards` |
//! | a misspelt name of a part of the server leaves it without its store | the server does not start | here |
//! | an error is followed by an answer | an answer is one of them | here |
//! | what was not paid is delivered | it is not | `lifecycle_files`: `nothing_is_sent_when_the_payment_was_declined` |
//! | an error of the payment has no result to be written to | it is an answer, and nothing is sold | here |

use boxoffice::{
    api::operator::proto::v1::{CancelOrderResponse, Order, RefundItemsResponse},
    payments::ChargeOutcome,
};
use serde_json::{Value, json};
use tonic::Status;

use super::stage::{Ordered, Stage};
use crate::support::{
    Setup,
    back_office::{BackOffice, refunded},
    doubles::GatewayDouble,
    museum_visit, operator_config,
    process::Program,
    request_id,
    rest_client::{post, send},
};

async fn order(stage: &Stage, id: &str) -> Order {
    BackOffice(stage.address)
        .order(&format!("orders/{id}"))
        .await
}

async fn withdraw(stage: &Stage, id: &str, number: u32) {
    let items = json!({"name": format!("orders/{id}"), "items": [1]});
    let body = json!({"order_items": items, "request_id": request_id(number)});
    let _: Vec<Value> = stage.post_streamed("orders:withdraw", &body).await.unwrap();
}

#[tokio::test]
async fn an_unknown_action_and_one_at_the_wrong_time_are_errors_and_are_not_kept() {
    let stage = Stage::start().await;
    let id = stage.paid_order("a", "approve").await;
    let before = order(&stage, &id).await;
    for (number, decision) in (1..).zip([
        "CUSTOMER_DECISION_AMMEND",
        "CUSTOMER_DECISION_TIMED_OUT",
        "CUSTOMER_DECISION_AMEND",
        "CUSTOMER_DECISION_CANCEL",
    ]) {
        let body = json!({"decision": decision, "request_id": request_id(number)});
        let path = format!("orders/{id}:customerAction");
        let answer: Result<Value, Status> = stage.post(&path, &body).await;
        assert!(answer.is_err(), "{decision}");
        assert_eq!(order(&stage, &id).await, before, "{decision}");
    }
    // Nothing of it is found once the order waits for its customer.
    withdraw(&stage, &id, 9).await;
    let waiting = order(&stage, &id).await;
    assert_eq!(waiting.state, "customer_action_required");
    assert_eq!(refunded(&waiting), 0);
    stage.stop().await;
}

#[tokio::test]
async fn a_refund_that_is_tried_again_counts_once() {
    let stage = Stage::start().await;
    let id = stage.paid_order("a", "refund-fails-3").await;
    let body = json!({"items": [1], "refund": {"full": {}}, "request_id": request_id(1)});
    let asked: RefundItemsResponse = stage
        .post(&format!("orders/{id}:refund"), &body)
        .await
        .unwrap();
    let step = asked.order.unwrap().steps.remove(0).name;
    let office = BackOffice(stage.address);
    let mut number = 1;
    while !order(&stage, &id).await.steps.is_empty() {
        number += 1;
        let body = json!({"request_id": request_id(number)});
        // Over meanwhile, perhaps.
        let _: Result<Value, Status> = stage.post(&format!("{step}:retry"), &body).await;
    }
    office.settle().await;
    let found = order(&stage, &id).await;
    assert!(number > 2, "it was tried again");
    assert_eq!(refunded(&found), 25_000_000);
    assert_eq!(found.refunds.len(), 1);
    stage.stop().await;
}

#[tokio::test]
async fn an_outage_of_the_gateway_is_no_refusal() {
    let stage = Stage::start().await;
    let id = stage.paid_order("a", "refund-fails-3").await;
    let body = json!({"refund": {"full": {}}, "request_id": request_id(1)});
    let _: CancelOrderResponse = stage
        .post(&format!("orders/{id}:cancel"), &body)
        .await
        .unwrap();
    let office = BackOffice(stage.address);
    let tried = async || -> bool {
        let steps: Value = office.read("steps").await;
        steps["steps"][0]["attempts"].as_u64() == Some(1)
    };
    crate::support::process::until("an attempt", tried).await;
    let found = order(&stage, &id).await;
    assert_eq!(found.refunds[0].state, "requested");
    assert_eq!(found.alerts, []);
    stage.stop().await;
    // The same at the sale: no order, and no word of a declined card.
    let gateway = GatewayDouble::silent();
    gateway.answer_charges(ChargeOutcome::Unknown("no answer".into()));
    gateway.answer_reversals(Ok(boxoffice::payments::Reversal::Voided));
    let server = Setup::default().with_gateway(&gateway).start().await;
    let created = server.send(museum_visit("a", "approve")).await.unwrap();
    assert!(!created.is_order());
    let failure = format!("{:?}", created.0);
    assert!(!failure.contains("declined"), "{failure}");
    server.stop().await;
}

#[tokio::test]
async fn a_misspelt_part_of_the_server_is_an_error_at_its_start() {
    for (flag, expected) in [
        ("--store=embeded", "expected `embedded` or `memory`"),
        ("--stor=embedded", "--store"),
    ] {
        let ended = Program::new().args(["serve", flag]).run().await;
        assert_eq!(ended.code(), 64, "{}", ended.text());
        assert!(ended.text().contains(expected), "{}", ended.text());
    }
}

#[tokio::test]
async fn an_error_is_the_whole_answer() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let path = format!("/operator/v1/orders/{id}:cancel");
    for body in ["{", "{}", r#"{"request_id": 7}"#, r#"{"items": [9]}"#] {
        let answer = send(stage.address, post(&path, body)).await;
        assert_ne!(answer.http, 200, "{body}");
        // One JSON text and nothing behind it.
        let json = answer.json();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["error"], "{body}");
        let length = answer.headers["content-length"].to_str().unwrap();
        assert_eq!(length, answer.body.len().to_string(), "{body}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn an_error_of_the_payment_is_an_answer_and_sells_nothing() {
    let config = operator_config();
    let stage = Stage::start_with(Setup::with_config(config)).await;
    for token in ["error", "decline"] {
        let created = stage.server.send(museum_visit(token, token)).await.unwrap();
        assert!(!created.is_order(), "{token}");
    }
    let office = BackOffice(stage.address);
    assert_eq!(office.orders().await, []);
    for slot in office.slots("museum", "2026-01-16").await {
        assert_eq!(slot.sold + slot.held, 0, "{slot:?}");
    }
    stage.stop().await;
}
