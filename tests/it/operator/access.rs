//! Who may read what on the operator's listener.

use boxoffice::api::operator::proto::v1::{GetOrderRequest, ListDoorResponse};
use http::Method;
use serde_json::json;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use super::stage::{Ordered, Stage, message, request_id};
use crate::support::{
    Setup,
    keys::{Keys, basic},
    process::Program,
    rest_client::{Answer, post, send, without_body},
};

async fn with_users(keys: &Keys) -> Stage {
    let config = keys.operator_config(&[
        ("vera", "role = 'viewer'"),
        ("agnes", "role = 'agent'"),
        ("adam", "role = 'admin'"),
    ]);
    Stage::start_with(Setup::with_config(config)).await
}

async fn get_as(stage: &Stage, name: &str, path: &str) -> Answer {
    let mut request = without_body(Method::GET, path);
    let password = basic(name, name).parse().unwrap();
    request.headers_mut().insert("authorization", password);
    send(stage.address, request).await
}

#[tokio::test]
async fn a_role_decides_what_is_shown() {
    let keys = Keys::new();
    let stage = with_users(&keys).await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let order = format!("/operator/v1/orders/{id}");
    let customer = format!("{order}?read_mask=customer");
    let ok = (200, String::new());
    let forbidden = (403, "ROLE_OUT_OF_SCOPE".to_owned());
    for (path, viewer, agent) in [
        (&*order, &ok, &ok),
        ("/operator/v1/orders", &ok, &ok),
        (
            "/operator/v1/slots?merchant_id=museum&date=2026-01-16",
            &ok,
            &ok,
        ),
        (&*customer, &forbidden, &ok),
        (
            "/operator/v1/orders?read_mask=name,customer",
            &forbidden,
            &ok,
        ),
        ("/operator/v1/orders?email=x", &forbidden, &ok),
        ("/operator/v1/orders?customer_name=x", &forbidden, &ok),
        ("/operator/v1/orders?user_id=x", &forbidden, &ok),
    ] {
        for (name, expected) in [("vera", viewer), ("agnes", agent), ("adam", agent)] {
            let (http, _, reason) = get_as(&stage, name, path).await.outcome();
            assert_eq!((http, reason), *expected, "{name} {path}");
        }
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_viewer_sees_the_names_of_the_guests_and_not_their_answers() {
    let keys = Keys::new();
    let stage = with_users(&keys).await;
    stage.order("a", 0, Ordered::Haircut).await;
    let path = "/operator/v1/door?slot.merchant_id=salon&slot.service_id=haircut\
                &slot.start_time=2026-01-16T09:00:00Z";
    for (name, answers) in [("vera", 0), ("agnes", 2)] {
        let list: ListDoorResponse = message(&get_as(&stage, name, path).await).unwrap();
        assert_eq!(list.entries[0].family_name, "Lovelace-a", "{name}");
        assert_eq!(list.entries[0].answers.len(), answers, "{name}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_viewer_reads_no_reasons_and_notes() {
    let keys = Keys::new();
    let stage = with_users(&keys).await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let order = format!("/operator/v1/orders/{id}");
    let typed = "Mrs Lovelace is ill";
    let slot = json!({"merchant_id": "museum", "service_id": "museum-entry",
        "start_time": "2026-01-16T10:00:00Z", "duration_sec": 7200});
    for (path, body) in [
        (
            format!("{order}:addNote"),
            json!({"note": typed, "request_id": request_id(1)}),
        ),
        (
            format!("{order}:cancel"),
            json!({"reason": typed, "request_id": request_id(2)}),
        ),
        (
            "/operator/v1/slots:block".to_owned(),
            json!({"slot": slot, "count": 1, "reason": typed, "request_id": request_id(3)}),
        ),
    ] {
        let mut request = post(&path, body.to_string());
        let password = basic("agnes", "agnes").parse().unwrap();
        request.headers_mut().insert("authorization", password);
        let answer = send(stage.address, request).await;
        assert_eq!(answer.http, 200, "{path}: {}", answer.json());
    }
    for path in [
        order.clone(),
        format!("{order}?read_mask=cancellation"),
        format!("{order}/history"),
        "/operator/v1/blocks".to_owned(),
        "/operator/v1/slots?merchant_id=museum&date=2026-01-16".to_owned(),
    ] {
        for (name, is_shown) in [("vera", false), ("agnes", true), ("adam", true)] {
            let answer = get_as(&stage, name, &path).await;
            assert_eq!(answer.http, 200, "{path}");
            let text = answer.json().to_string();
            assert_eq!(text.contains(typed), is_shown, "{name} {path}: {text}");
        }
    }
    for path in ["/operator/v1/orders", "/operator/v1/steps"] {
        let text = get_as(&stage, "vera", path).await.json().to_string();
        assert!(!text.contains(typed), "{path}: {text}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_call_without_a_password_is_rejected_over_both_transports() {
    let keys = Keys::new();
    let stage = with_users(&keys).await;
    for path in ["/operator/v1/orders", "/openapi.json", "/nowhere"] {
        let outcome = stage.get(path).await.outcome();
        assert_eq!(
            (outcome.0, &*outcome.2),
            (401, "CREDENTIALS_MISSING"),
            "{path}"
        );
    }
    let name = "orders/a".to_owned();
    let request = GetOrderRequest {
        name,
        read_mask: None,
    };
    let rejection = stage.orders().get_order(request.clone()).await.unwrap_err();
    assert_eq!(rejection.code(), Code::Unauthenticated);
    let mut request = Request::new(request);
    let password = basic("vera", "vera").parse().unwrap();
    request.metadata_mut().insert("authorization", password);
    let rejection = stage.orders().get_order(request).await.unwrap_err();
    assert_eq!(
        rejection.get_details_error_info().unwrap().reason,
        "ORDER_NOT_FOUND"
    );
    // Users of one listener are strangers at the other.
    let caller = get_as(&stage, "eve", "/operator/v1/orders").await;
    assert_eq!(caller.outcome().0, 401);
    stage.stop().await;
}

#[tokio::test]
async fn callers_have_no_way_to_the_operators_methods() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let callers = stage.server.server.address();
    let answer = send(callers, without_body(Method::GET, "/operator/v1/orders")).await;
    assert_eq!(answer.outcome().0, 404);
    let mut client =
        boxoffice::api::operator::proto::v1::order_service_client::OrderServiceClient::new(
            stage.server.channel.clone(),
        );
    let request = GetOrderRequest {
        name: format!("orders/{id}"),
        read_mask: None,
    };
    let rejection = client.get_order(request).await.unwrap_err();
    assert_eq!(rejection.code(), Code::Unimplemented);
    stage.stop().await;
}

#[tokio::test]
async fn an_address_that_other_machines_reach_needs_credentials() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let ended = Program::new()
            .args(["--operator-listen", address])
            .run()
            .await;
        assert_eq!(ended.code(), 64, "{}", ended.text());
        let text = "can be reached by other machines, so it needs operator_credentials";
        assert!(ended.text().contains(text), "{}", ended.text());
    }
}

#[tokio::test]
async fn the_calls_of_an_operator_end_with_the_server() {
    let stage = Stage::start().await;
    let address = stage.address;
    assert_eq!(stage.get("/operator/v1/orders").await.http, 200);
    stage.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
