//! Rules that every request keeps, whichever way it comes: what breaks them is named, all of it at once,
//! and the answers of both transports agree.

use boxoffice::api::booking::proto::v3::{
    CheckAvailabilityRequest, CheckAvailabilityResponse, CreateOrderRequest, Deposit, LineItem,
    NoShowFee, Order, PaymentProcessingParameters, PostalAddress, Price, ResourceIds, Slot,
    SlotTime, TokenizationConfig, UserInformation, list_orders_request::Ids,
    payment_information::PaymentId, tokenization_config::CardNetworkParameters,
};
use http::StatusCode;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    Item, TestServer, faulty_fields, order_request, paid_with, payment_information, price, reason,
    rest_client::{Answer, post, send},
};

fn order(token: &str) -> CreateOrderRequest {
    let item = Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000);
    order_request(token, "museum", [item])
}

fn user(request: &mut CreateOrderRequest) -> &mut UserInformation {
    placed(request).user_information.as_mut().unwrap()
}

fn address(request: &mut CreateOrderRequest) -> &mut PostalAddress {
    user(request).address.get_or_insert_default()
}

fn item(request: &mut CreateOrderRequest) -> &mut LineItem {
    &mut placed(request).item[0]
}

fn placed(request: &mut CreateOrderRequest) -> &mut Order {
    request.order.as_mut().unwrap()
}

fn long(chars: usize) -> String {
    "é".repeat(chars)
}

/// What is done to a good order, and the field that is then named; none if it stays good.
type Edit = (fn(&mut CreateOrderRequest), Option<&'static str>);

/// Limits of texts, from both sides.
const TEXTS: [Edit; 26] = [
    (|it| user(it).email = long(254), None),
    (
        |it| user(it).email = long(255),
        Some("order.user_information.email"),
    ),
    (|it| user(it).telephone = long(32), None),
    (
        |it| user(it).telephone = long(33),
        Some("order.user_information.telephone"),
    ),
    (|it| user(it).given_name = long(40), None),
    (
        |it| user(it).given_name = long(41),
        Some("order.user_information.given_name"),
    ),
    (
        |it| user(it).family_name = long(41),
        Some("order.user_information.family_name"),
    ),
    (|it| user(it).language_code = long(35), None),
    (
        |it| user(it).language_code = long(36),
        Some("order.user_information.language_code"),
    ),
    (
        |it| address(it).country = long(257),
        Some("order.user_information.address.country"),
    ),
    (
        |it| address(it).locality = long(257),
        Some("order.user_information.address.locality"),
    ),
    (
        |it| address(it).region = long(257),
        Some("order.user_information.address.region"),
    ),
    (
        |it| address(it).postal_code = long(257),
        Some("order.user_information.address.postal_code"),
    ),
    (|it| address(it).street_address = long(256), None),
    (
        |it| address(it).street_address = long(257),
        Some("order.user_information.address.street_address"),
    ),
    (
        |it| user(it).user_id = "u".repeat(1025),
        Some("order.user_information.user_id"),
    ),
    (
        |it| user(it).user_id = " ".into(),
        Some("order.user_information.user_id"),
    ),
    (
        |it| user(it).user_id = "a\0b".into(),
        Some("order.user_information.user_id"),
    ),
    (
        |it| it.idempotency_token = "t".repeat(1025),
        Some("idempotency_token"),
    ),
    (
        |it| it.idempotency_token = "\t \n".into(),
        Some("idempotency_token"),
    ),
    (
        |it| it.idempotency_token = "token\u{200b}".into(),
        Some("idempotency_token"),
    ),
    (
        |it| item(it).service_id = "s".repeat(1025),
        Some("order.item[0].service_id"),
    ),
    (
        |it| item(it).tickets[0].ticket_id = "a\r".into(),
        Some("order.item[0].tickets[0].ticket_id"),
    ),
    (
        |it| item(it).price.as_mut().unwrap().pricing_option_tag = long(257),
        Some("order.item[0].price.pricing_option_tag"),
    ),
    (
        |it| item(it).price.as_mut().unwrap().currency_code = long(257),
        Some("order.item[0].price.currency_code"),
    ),
    (
        |it| {
            let answered = Item(item(it).clone()).answers(&[("ok", &["a", &long(4097)])]);
            *item(it) = answered.0;
        },
        Some("order.item[0].intake_form_answers.answer[0].response[1]"),
    ),
];

/// The same for payments.
const PAYMENTS: [Edit; 12] = [
    (
        |it| payment_information(it).payment_transaction_id = "x".repeat(1024),
        None,
    ),
    (
        |it| payment_information(it).payment_transaction_id = "x".repeat(1025),
        Some("order.payment_information.payment_transaction_id"),
    ),
    (
        |it| payment_information(it).payment_id = Some(PaymentId::PaymentOptionId("x\n".into())),
        Some("order.payment_information.payment_option_id"),
    ),
    (
        |it| {
            payment_information(it).payment_id =
                Some(PaymentId::UserPaymentOptionId("x".repeat(1025)));
        },
        Some("order.payment_information.user_payment_option_id"),
    ),
    (
        |it| payment_information(it).pa_response = "x".repeat(64 * 1024 + 1),
        Some("order.payment_information.pa_response"),
    ),
    (
        |it| payment_information(it).md_merchant_data = "x".repeat(64 * 1024 + 1),
        Some("order.payment_information.md_merchant_data"),
    ),
    (
        |it| {
            payment_information(it).tax_amount = Some(Price {
                currency_code: long(257),
                ..price("", 0)
            });
        },
        Some("order.payment_information.tax_amount.currency_code"),
    ),
    (
        |it| {
            payment_information(it).deposit = Some(Deposit {
                deposit_type: 9,
                ..Deposit::default()
            });
        },
        Some("order.payment_information.deposit.deposit_type"),
    ),
    (
        |it| {
            payment_information(it).no_show_fee = Some(NoShowFee {
                fee_type: -1,
                fee: None,
            });
        },
        Some("order.payment_information.no_show_fee.fee_type"),
    ),
    (
        |it| payment_information(it).prepayment_status = 99,
        Some("order.payment_information.prepayment_status"),
    ),
    (
        |it| payment_information(it).payment_processed_by = i32::MAX,
        Some("order.payment_information.payment_processed_by"),
    ),
    (
        |it| *it = paid_with(it.clone(), &"x".repeat(64 * 1024 + 1)),
        Some("payment_processing_parameters.unparsed_payment_method_token"),
    ),
];

#[tokio::test]
async fn texts_of_an_order_are_bounded_and_the_field_is_named() {
    let server = TestServer::start().await;
    for (number, (edit, field)) in TEXTS.into_iter().chain(PAYMENTS).enumerate() {
        let mut request = order(&format!("token-{number}"));
        edit(&mut request);
        match (server.send(request).await, field) {
            (Ok(created), None) => assert!(created.is_order(), "{number}: {created:?}"),
            (Err(rejection), Some(field)) => {
                assert_eq!(reason(&rejection), "INVALID_REQUEST", "{number}");
                assert_eq!(
                    faulty_fields(&rejection),
                    [field],
                    "{number}: {rejection:?}"
                );
            }
            (answer, field) => panic!("{number}: {answer:?}, and {field:?}"),
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn ids_of_other_requests_are_bounded_too() {
    let server = TestServer::start().await;
    let bad = ["x".repeat(1025), "a\n".to_owned()];
    for id in bad.iter().chain([&" ".to_owned()]) {
        let rejected = server
            .check_cart(id, "museum", [Item::museum_entry()])
            .await
            .unwrap_err();
        assert_eq!(faulty_fields(&rejected), ["cart_id"]);
        let rejected = server.list_user(id).await.unwrap_err();
        assert_eq!(faulty_fields(&rejected), ["user_id"]);
        let rejected = server.list_ids(["good", id]).await.unwrap_err();
        assert_eq!(faulty_fields(&rejected), ["order_ids.order_id[1]"]);
    }
    for id in bad {
        let resources = || {
            Some(ResourceIds {
                staff_id: id.clone(),
                room_id: id.clone(),
                party_size: 1,
            })
        };
        let slot = SlotTime {
            service_id: id.clone(),
            resource_ids: resources(),
            ..SlotTime::default()
        };
        let rejected = server
            .look_up("museum", [SlotTime::default(), slot])
            .await
            .unwrap_err();
        let at = |name: &str| format!("slot_time[1].{name}");
        let fields = [
            at("service_id"),
            at("resource_ids.staff_id"),
            at("resource_ids.room_id"),
        ];
        assert_eq!(faulty_fields(&rejected), fields);
        let slot = Slot {
            merchant_id: "museum".into(),
            service_id: id.clone(),
            availability_tag: long(257),
            resources: resources(),
            ..Slot::default()
        };
        let rejected = server.count_available(slot).await.unwrap_err();
        let fields = [
            "slot.service_id",
            "slot.availability_tag",
            "slot.resources.staff_id",
            "slot.resources.room_id",
        ];
        assert_eq!(faulty_fields(&rejected), fields);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_first_of_very_many_violations_are_listed_and_the_others_counted() {
    let server = TestServer::start().await;
    let items = (0..60).map(|_| {
        let Item(mut item) = Item::museum_entry();
        item.status = 1;
        Item(item)
    });
    let rejected = server.check("museum", items).await.unwrap_err();
    assert_eq!(faulty_fields(&rejected).len(), 20);
    assert!(
        rejected.message().ends_with("; and 40 more"),
        "{rejected:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn unknown_values_of_unused_enums_are_accepted() {
    let server = TestServer::start().await;
    let mut request = paid_with(order("numbers"), "approve");
    #[expect(deprecated, reason = "callers may still send it")]
    let processing = PaymentProcessingParameters {
        unparsed_payment_method_token: "approve".into(),
        processor: 99,
        tokenization_config: Some(TokenizationConfig {
            billing_information_format: 7,
            allowed_auth_methods: vec![9, 1],
            card_network_parameters: vec![CardNetworkParameters {
                card_network: 42,
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    };
    request.payment_processing_parameters = Some(Box::new(processing));
    assert!(server.send(request).await.unwrap().is_order());

    let mut message: Value = serde_json::to_value(order("names")).unwrap();
    message["order"]["item"][0]["warning_reason"] = json!("PRICE_ODD");
    message["payment_processing_parameters"] = json!({ "processor": "PROCESSOR_NEW", "tokenization_config": {
        "allowed_auth_methods": ["IRIS_SCAN", 9, "PAN_ONLY"],
        "card_network_parameters": [{ "card_network": "MIR" }],
    } });
    assert_eq!(
        ask(&server, "CreateOrder", &message.to_string()).await.http,
        StatusCode::OK
    );
    message["idempotency_token"] = json!("another");
    message["order"]["payment_information"] = json!({ "prepayment_status": "LATER", "payment_processed_by": 99, "deposit": { "deposit_type": "X" } });
    let rejected = ask(&server, "CreateOrder", &message.to_string())
        .await
        .rejection();
    let at = |name: &str| format!("order.payment_information.{name}");
    assert_eq!(
        faulty_fields(&rejected),
        [
            at("deposit.deposit_type"),
            at("prepayment_status"),
            at("payment_processed_by")
        ]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_mode_of_a_later_edition_comes_back_as_it_was_sent() {
    let server = TestServer::start().await;
    let Item(item) = Item::museum_entry();
    let slot = Slot {
        merchant_id: "museum".into(),
        service_id: item.service_id,
        start_sec: item.start_sec,
        duration_sec: item.duration_sec,
        confirmation_mode: 99,
        ..Slot::default()
    };
    assert!(server.count_available(slot.clone()).await.unwrap() > 0);
    let request = CheckAvailabilityRequest { slot: Some(slot) };
    let by_rest: CheckAvailabilityResponse =
        crate::support::rest_client::call(server.server.address(), "CheckAvailability", &request)
            .await
            .unwrap();
    assert_eq!(by_rest.slot, request.slot);
    server.stop().await;
}

async fn ask(server: &TestServer, method: &str, json: &str) -> Answer {
    send(
        server.server.address(),
        post(&format!("/v3/{method}"), json.to_owned()),
    )
    .await
}

#[tokio::test]
async fn wrong_types_and_violations_are_reported_together() {
    let server = TestServer::start().await;
    let message = json!({
        "order": {
            "order_id": "mine",
            "merchant_id": "museum",
            "item": [{ "service_id": "museum-entry", "start_sec": "ten", "tickets": [{ "ticket_id": "adult", "count": 1.5 }] }],
            "user_information": { "user_id": ["u"], "email": long(255), "given_name": 7 },
        },
        "idempotency_token": " ",
    });
    let rejected = ask(&server, "CreateOrder", &message.to_string())
        .await
        .rejection();
    assert_eq!(
        (rejected.code(), &*reason(&rejected)),
        (Code::InvalidArgument, "INVALID_REQUEST")
    );
    let fields = [
        "order.item[0].start_sec",
        "order.item[0].tickets[0].count",
        "order.user_information.given_name",
        "order.user_information.user_id",
        "idempotency_token",
        "order.order_id",
        "order.user_information.email",
    ];
    assert_eq!(faulty_fields(&rejected), fields, "{}", rejected.message());
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_never_taken_for_an_earlier_one() {
    let server = TestServer::start().await;
    let request = order("token");
    assert!(server.send(request.clone()).await.unwrap().is_order());
    let mut message = serde_json::to_value(&request).unwrap();
    message["order"]["item"][0]["warning_reason"] = json!([]);
    let rejected = ask(&server, "CreateOrder", &message.to_string())
        .await
        .rejection();
    assert_eq!(faulty_fields(&rejected), ["order.item[0].warning_reason"]);
    server.stop().await;
}

#[tokio::test]
async fn a_member_twice_creates_no_order() {
    let server = TestServer::start().await;
    let good = serde_json::to_string(&order("token")).unwrap();
    for (old, new, field) in [
        (
            r#""count":2"#,
            r#""count":3,"count":2"#,
            "order.item[0].tickets[0].count",
        ),
        (
            r#""service_id""#,
            r#""serviceId":"x","service_id""#,
            "order.item[0].service_id",
        ),
        (r#""item":["#, r#""item":[],"item":["#, "order.item"),
        (
            r#""idempotency_token""#,
            r#""idempotency_token":null,"idempotencyToken""#,
            "idempotency_token",
        ),
    ] {
        assert!(good.contains(old), "{old}");
        let rejected = ask(&server, "CreateOrder", &good.replacen(old, new, 1))
            .await
            .rejection();
        assert!(
            faulty_fields(&rejected).contains(&field.to_owned()),
            "{new}: {rejected:?}"
        );
    }
    assert_eq!(server.list_user("user-1").await.unwrap(), []);
    let marked = format!("\u{feff}{good}");
    assert_eq!(
        ask(&server, "CreateOrder", &marked).await.http,
        StatusCode::OK,
        "a mark says nothing"
    );
    server.stop().await;
}

#[tokio::test]
async fn whole_numbers_in_any_form_are_the_same_request() {
    let server = TestServer::start().await;
    let request = order("token");
    let created = server.send(request.clone()).await.unwrap().order();
    let mut message = serde_json::to_string(&request).unwrap();
    let start = item(&mut order("token")).start_sec;
    for (old, new) in [
        (
            format!(r#""start_sec":"{start}""#),
            format!(r#""start_sec":{start}.0"#),
        ),
        (
            r#""duration_sec":"7200""#.to_owned(),
            r#""duration_sec":7.2e3"#.to_owned(),
        ),
        (
            r#""price_micros":"50000000""#.to_owned(),
            r#""price_micros":"5e7""#.to_owned(),
        ),
        (r#""count":2"#.to_owned(), r#""count":"2.0""#.to_owned()),
    ] {
        assert!(message.contains(&old), "{old}: {message}");
        message = message.replace(&old, &new);
    }
    let answered = ask(&server, "CreateOrder", &message).await.json();
    assert_eq!(
        answered["order"]["order_id"], created.order_id,
        "it is the same order: {answered}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_list_is_of_a_user_or_of_orders() {
    let server = TestServer::start().await;
    let both = r#"{"user_id": "user-1", "order_ids": {"order_id": ["a"]}}"#;
    let rejected = ask(&server, "ListOrders", both).await.rejection();
    assert_eq!(
        (&*reason(&rejected), faulty_fields(&rejected)),
        ("INVALID_REQUEST", vec!["ids".to_owned()])
    );
    assert!(
        rejected
            .message()
            .contains("user_id and as order_ids; only one"),
        "{rejected:?}"
    );
    assert_eq!(
        server
            .list_request(&boxoffice::api::booking::proto::v3::ListOrdersRequest {
                ids: Some(Ids::UserId("user-1".into())),
            })
            .await
            .unwrap(),
        []
    );
    server.stop().await;
}
