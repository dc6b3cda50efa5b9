//! The log tells what happened and nothing of whom it happened to.

use boxoffice::api::booking::proto::v3::{
    CheckOrderFulfillabilityRequest, CreateOrderRequest, IntakeFormAnswers, IntakeFormFieldAnswer,
    LineItem, ListOrdersRequest, PostalAddress, UserInformation,
    list_orders_request::{Ids, OrderIds},
};
use prost::Message;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tonic::Code;

use crate::support::{
    Item,
    byte_client::{ByteClient, framed, whole},
    order_request, paid_with, payment_information, price,
    process::{Program, in_days},
};

/// What every personal text of these tests contains.
const MARK: &str = "Zaphod";

/// A text that must not be in the log.
fn personal(what: &str) -> String {
    format!("{MARK}-{what}")
}

fn visit(day: i64) -> Item {
    in_days(Item::museum_entry(), day)
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000)
}

/// An order that says everything about its customer, under a token and a user id that do, too.
fn order(number: i64, payment_token: &str) -> CreateOrderRequest {
    let mut request = order_request(&personal(&format!("token-{number}")), "museum", [visit(1)]);
    request.order.as_mut().unwrap().user_information = Some(UserInformation {
        user_id: personal("user"),
        given_name: personal("given"),
        family_name: personal("family"),
        address: Some(PostalAddress {
            country: personal("country"),
            locality: personal("locality"),
            region: personal("region"),
            postal_code: personal("code"),
            street_address: personal("street"),
        }),
        telephone: personal("telephone"),
        email: personal("email@example.com"),
        language_code: personal("language"),
    });
    let mut request = paid_with(request, payment_token);
    let payment = payment_information(&mut request);
    payment.pa_response = personal("response");
    payment.md_merchant_data = personal("data");
    payment.fraud_signals = personal("signals");
    payment.payment_transaction_id = personal("transaction");
    request
}

/// Orders that come to every kind of end.
fn orders() -> Vec<CreateOrderRequest> {
    let tokens = ["decline", "reject-visa", "3ds1", "error", "hang", "slow"];
    let mut orders: Vec<_> = (0..)
        .zip(tokens)
        .map(|(number, token)| order(number, token))
        .collect();
    orders.push(order(10, &personal("payment")));
    orders.push(order(10, &personal("payment")));
    orders.push(order(10, &personal("another-payment")));
    let mut last = |change: fn(&mut CreateOrderRequest)| {
        let mut request = order(
            20 + i64::try_from(orders.len()).unwrap(),
            &personal("payment"),
        );
        change(&mut request);
        orders.push(request);
    };
    last(|request| item(request).service_id = personal("service"));
    last(|request| item(request).tickets[0].ticket_id = personal("ticket"));
    last(|request| item(request).price = Some(price(&personal("currency"), 1)));
    last(|request| item(request).intake_form_answers = Some(answers()));
    last(|request| request.order.as_mut().unwrap().merchant_id = personal("merchant"));
    last(|request| request.order.as_mut().unwrap().order_id = personal("order"));
    last(|request| customer(request).given_name = personal(&"given".repeat(20)));
    last(|request| customer(request).user_id = personal(&"user".repeat(1000)));
    last(|request| request.payment_processing_parameters = None);
    last(|request| request.payment_processing_parameters = Some(Box::default()));
    last(|request| request.idempotency_token.clear());
    orders
}

fn item(request: &mut CreateOrderRequest) -> &mut LineItem {
    &mut request.order.as_mut().unwrap().item[0]
}

fn customer(request: &mut CreateOrderRequest) -> &mut UserInformation {
    request
        .order
        .as_mut()
        .unwrap()
        .user_information
        .as_mut()
        .unwrap()
}

fn answers() -> IntakeFormAnswers {
    let answer = IntakeFormFieldAnswer {
        id: personal("question"),
        response: vec![personal("answer")],
    };
    IntakeFormAnswers {
        answer: vec![answer],
    }
}

/// Everything that is sent, message by message.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let mut item = visit(1).0;
    item.intake_form_answers = Some(answers());
    let check = CheckOrderFulfillabilityRequest {
        merchant_id: "museum".into(),
        item: vec![item],
        cart_id: personal("cart"),
    };
    let unknown = CheckOrderFulfillabilityRequest {
        merchant_id: personal("merchant"),
        ..check.clone()
    };
    let by_user = ListOrdersRequest {
        ids: Some(Ids::UserId(personal("user"))),
    };
    let by_id = ListOrdersRequest {
        ids: Some(Ids::OrderIds(OrderIds {
            order_id: vec![personal("order")],
        })),
    };
    let mut all = vec![
        ("CheckOrderFulfillability", check.encode_to_vec()),
        ("CheckOrderFulfillability", unknown.encode_to_vec()),
        ("ListOrders", by_user.encode_to_vec()),
        ("ListOrders", by_id.encode_to_vec()),
    ];
    all.extend(
        orders()
            .iter()
            .map(|order| ("CreateOrder", order.encode_to_vec())),
    );
    let sound = order(99, &personal("payment")).encode_to_vec();
    all.extend(
        (1..sound.len())
            .step_by(7)
            .map(|length| ("CreateOrder", sound[..length].to_vec())),
    );
    let corrupted = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] = 0xff;
        ("CreateOrder", bytes)
    };
    all.extend((0..sound.len()).step_by(3).map(corrupted));
    all
}

/// Sends what is no message of the service at all.
async fn send_oddities(client: &ByteClient, address: std::net::SocketAddr) {
    let frame = framed(&order(100, &personal("payment")).encode_to_vec());
    for request in [
        client
            .request(&personal("Method"))
            .body(whole(frame.clone())),
        client
            .request("CreateOrder")
            .header("grpc-timeout", personal("timeout"))
            .body(whole(frame.clone())),
        client
            .request("CreateOrder")
            .header("grpc-encoding", personal("encoding"))
            .body(whole(frame.clone())),
        client
            .request("CreateOrder")
            .header("authorization", personal("password"))
            .body(whole(frame.slice(..50))),
        client.request("CreateOrder").body(whole(frame.slice(5..))),
    ] {
        assert_ne!(
            client.send(request.unwrap()).await.unwrap().code(),
            Code::Ok
        );
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("GET /{} HTTP/1.1\r\n\r\n", personal("path")).as_bytes())
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_about_a_customer_is_in_the_log() {
    let dir = TempDir::new().unwrap();
    // Everything that any part of the program would say is looked at, and not only what is its own.
    let (data, audit) = (dir.path().join("data"), dir.path().join("audit"));
    let program = || {
        let audit = ["--audit-log", audit.to_str().unwrap()];
        Program::new()
            .with_store(&data)
            .args(["--log=trace", "--payment-timeout=100ms"])
            .args(audit)
    };
    let server = program().start().await;
    let client = ByteClient::connect(server.address()).await;
    let mut codes = Vec::new();
    for (method, message) in messages() {
        codes.push(client.call(method, &message).await.code());
    }
    send_oddities(&client, server.address()).await;
    assert!(
        [Code::Ok, Code::InvalidArgument]
            .iter()
            .all(|code| codes.contains(code))
    );
    let first = server.stop().await;
    // What is read when the program starts is no more for the log than what it is sent.
    let second = program().start().await.stop().await;

    for ended in [first, second] {
        assert_eq!(ended.code(), 0);
        assert!(!ended.lines.is_empty());
        for line in &ended.lines {
            let object = serde_json::from_str::<Value>(line);
            assert!(
                object.is_ok_and(|object| object.is_object()),
                "not an object of JSON: {line}"
            );
            assert!(!line.contains(MARK), "{line}");
        }
    }
    // Nor in the audit log, which has lines of all this.
    let audit = std::fs::read_to_string(audit).unwrap();
    for event in [
        "order_created",
        "order_replayed",
        "order_failed",
        "orders_listed",
    ] {
        assert!(audit.contains(event), "{event}: {audit}");
    }
    assert!(!audit.contains(MARK), "{audit}");
}

#[tokio::test]
async fn a_call_leaves_a_line_with_its_method_and_its_reason() {
    let server = Program::new().args(["--log=boxoffice=trace"]).start().await;
    let client = ByteClient::connect(server.address()).await;
    let sound = order(1, "approve");
    let unsound = CreateOrderRequest::default();
    for request in [&sound, &unsound] {
        client.call("CreateOrder", &request.encode_to_vec()).await;
    }
    let ended = server.stop().await;
    let lines = |message: &str| {
        ended
            .log()
            .filter(|line| line["message"] == message)
            .collect::<Vec<_>>()
    };
    let (answered, rejected, created) = (
        lines("call answered"),
        lines("call rejected"),
        lines("order created"),
    );
    assert_eq!(
        (answered.len(), rejected.len(), created.len()),
        (1, 1, 1),
        "{}",
        ended.text()
    );
    assert_eq!(answered[0]["method"], "CreateOrder");
    assert_eq!(rejected[0]["method"], "CreateOrder");
    assert_eq!(rejected[0]["reason"], "INVALID_REQUEST");
    assert_eq!(created[0]["merchant_id"], "museum");
    assert!(!created[0]["order_id"].as_str().unwrap().is_empty());
}
