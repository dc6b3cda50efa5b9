//! Creating an order: all items or none, at the stated price and fees only, once a token.

use boxoffice::api::booking::proto::v3::{
    CreateOrderRequest, Deposit, LineItem, NoShowFee, Order, PaymentProcessingParameters,
    PostalAddress, TokenizationConfig, UserInformation,
    payment_information::{PaymentId, PaymentProcessedBy},
};
use bytes::Bytes;
use domain::time::{EpochSeconds, Seconds};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};
use tempfile::TempDir;
use tonic::Code;

use crate::support::{
    Item, Setup, TestServer, byte_client::ByteClient, edited_catalog, faulty_fields, order_request,
    paid_with, payment_information, price, reason, stating_fees, text::describe_failure,
    tomorrow_at,
};

fn adults(count: i32) -> Item {
    Item::museum_entry()
        .tickets(&[("adult", count)])
        .price("USD", i64::from(count) * 25_000_000)
}

fn tour() -> Item {
    Item::of("museum-tour", 11, 0, 3600)
        .tickets(&[("adult", 1)])
        .price("USD", 15_000_000)
}

fn night() -> Item {
    Item::of("museum-night", 20, 0, 7200)
        .tickets(&[("adult", 1)])
        .price("USD", 30_000_000)
}

fn user(request: &mut CreateOrderRequest) -> &mut UserInformation {
    order(request).user_information.as_mut().unwrap()
}

fn order(request: &mut CreateOrderRequest) -> &mut Order {
    request.order.as_mut().unwrap()
}

fn items(request: &CreateOrderRequest) -> Vec<LineItem> {
    request.order.as_ref().unwrap().item.clone()
}

#[tokio::test]
async fn an_order_takes_its_spots_and_is_listed() {
    let server = TestServer::start().await;
    let created = server
        .create("t", "museum", [adults(2), tour()])
        .await
        .unwrap()
        .order();
    assert_eq!(server.spots_open("museum", adults(1)).await, 48);
    assert_eq!(server.spots_open("museum", tour()).await, 14);
    assert_eq!(server.list_user("user-1").await.unwrap(), [created]);
}

#[tokio::test]
async fn a_failing_item_leaves_the_others_untouched() {
    let server = TestServer::start().await;
    let sold_out = Item::of("museum-entry", 8, 0, 7200)
        .tickets(&[("adult", 1)])
        .price("USD", 25_000_000);
    let unfulfillable = "ORDER_UNFULFILLABLE: UNFULFILLABLE_LINE_ITEM: CAN_FULFILL 50";
    for (rule, items, expected) in [
        ("sold out", vec![adults(2), sold_out], format!("{unfulfillable} | SLOT_UNAVAILABLE 0")),
        (
            "no such service",
            vec![adults(2), Item::of("museum-shop", 1, 0, 1)],
            format!("{unfulfillable} | SLOT_UNAVAILABLE"),
        ),
        (
            "a bound",
            vec![adults(2), adults(11)],
            format!("{unfulfillable} | TICKET_CONSTRAINT_VIOLATED 50 max=10"),
        ),
        (
            "a price",
            vec![adults(2), tour().price("USD", 14_000_000)],
            format!("{unfulfillable} | INCORRECT_PRICE 15 USD15000000 PRICE_INCREASE"),
        ),
        (
            "an answer",
            vec![adults(2), tour().answers(&[("unasked", &["x"])])],
            format!("{unfulfillable} | ITEM_UNFULFILLABLE_OTHER_REASON 15"),
        ),
        (
            "a combination",
            vec![adults(2), night()],
            "ORDER_UNFULFILLABLE: UNFULFILLABLE_SERVICE_COMBINATION: CAN_FULFILL 50 | CAN_FULFILL 40"
                .to_owned(),
        ),
        (
            "too many together",
            vec![adults(10), adults(10), adults(10), adults(10), adults(10), adults(1)],
            format!(
                "ORDER_UNFULFILLABLE: UNFULFILLABLE_LINE_ITEM: {}",
                ["SLOT_UNAVAILABLE 50"; 6].join(" | ")
            ),
        ),
    ] {
        let asked = items.iter().map(|item| item.0.clone()).collect::<Vec<_>>();
        let failure = server.create("t", "museum", items).await.unwrap().failure();
        assert_eq!(describe_failure(&asked, &failure), expected, "{rule}");
        assert_eq!(server.spots_open("museum", adults(1)).await, 50, "{rule}");
        assert_eq!(server.list_user("user-1").await.unwrap(), [], "{rule}");
    }
}

/// A rule of requests, how a request breaks it, and the fields that are at fault.
type Breach = (
    &'static str,
    fn(&mut CreateOrderRequest),
    &'static [&'static str],
);

async fn assert_rejected(breaches: &[Breach]) {
    let server = TestServer::start().await;
    for (rule, breach, fields) in breaches {
        let mut request = order_request("t", "museum", [adults(1), tour()]);
        breach(&mut request);
        let rejection = server.send(request).await.unwrap_err();
        assert_eq!(rejection.code(), Code::InvalidArgument, "{rule}");
        assert_eq!(faulty_fields(&rejection), *fields, "{rule}");
        assert_eq!(reason(&rejection), "INVALID_REQUEST", "{rule}");
    }
    assert_eq!(server.spots_open("museum", adults(1)).await, 50);
    server
        .create("t", "museum", [adults(1), tour()])
        .await
        .unwrap()
        .order();
}

#[tokio::test]
async fn fields_that_only_the_partner_sets_must_be_absent() {
    assert_rejected(&[
        (
            "order_id",
            |it| order(it).order_id = "mine".into(),
            &["order.order_id"],
        ),
        (
            "status",
            |it| order(it).item[1].status = 1,
            &["order.item[1].status"],
        ),
        (
            "an unknown status",
            |it| order(it).item[0].status = 99,
            &["order.item[0].status"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn required_fields_must_be_present() {
    assert_rejected(&[
        (
            "token",
            |it| it.idempotency_token.clear(),
            &["idempotency_token"],
        ),
        ("order", |it| it.order = None, &["order"]),
        (
            "merchant",
            |it| order(it).merchant_id.clear(),
            &["order.merchant_id"],
        ),
        (
            "a known merchant",
            |it| order(it).merchant_id = "nobody".into(),
            &["order.merchant_id"],
        ),
        ("an item", |it| order(it).item.clear(), &["order.item"]),
        (
            "user",
            |it| order(it).user_information = None,
            &["order.user_information"],
        ),
        (
            "user id",
            |it| user(it).user_id.clear(),
            &["order.user_information.user_id"],
        ),
        (
            "payment parameters",
            |it| {
                payment_information(it).payment_processed_by =
                    PaymentProcessedBy::ProcessedByPartner.into();
            },
            &["payment_processing_parameters"],
        ),
        (
            "payment token",
            |it| *it = paid_with(it.clone(), ""),
            &["payment_processing_parameters.unparsed_payment_method_token"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn fields_beyond_their_limits_are_rejected() {
    assert_rejected(&[
        (
            "token",
            |it| it.idempotency_token = "x".repeat(1025),
            &["idempotency_token"],
        ),
        (
            "user id",
            |it| user(it).user_id = "x".repeat(1025),
            &["order.user_information.user_id"],
        ),
        (
            "given name",
            |it| user(it).given_name = "x".repeat(41),
            &["order.user_information.given_name"],
        ),
        (
            "family name",
            |it| user(it).family_name = "字".repeat(41),
            &["order.user_information.family_name"],
        ),
        (
            "items",
            |it| order(it).item = vec![adults(1).0; 101],
            &["order.item"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_unknown_enum_number_is_rejected() {
    assert_rejected(&[
        (
            "prepayment status",
            |it| payment_information(it).prepayment_status = 99,
            &["order.payment_information.prepayment_status"],
        ),
        (
            "processor",
            |it| payment_information(it).payment_processed_by = -1,
            &["order.payment_information.payment_processed_by"],
        ),
        (
            "deposit type",
            |it| {
                payment_information(it).deposit = Some(Deposit {
                    deposit_type: 7,
                    ..Deposit::default()
                });
            },
            &["order.payment_information.deposit.deposit_type"],
        ),
        (
            "no-show fee type",
            |it| {
                payment_information(it).no_show_fee = Some(NoShowFee {
                    fee_type: 7,
                    ..NoShowFee::default()
                });
            },
            &["order.payment_information.no_show_fee.fee_type"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn all_violations_of_a_request_are_reported_at_once() {
    let all_wrong: Breach = (
        "everything",
        |it| {
            it.idempotency_token.clear();
            *order(it) = Order {
                order_id: "mine".into(),
                merchant_id: String::new(),
                item: vec![
                    LineItem {
                        status: 1,
                        ..LineItem::default()
                    };
                    2
                ],
                user_information: Some(UserInformation {
                    given_name: "x".repeat(41),
                    family_name: "x".repeat(41),
                    ..UserInformation::default()
                }),
                payment_information: None,
            };
            payment_information(it).prepayment_status = 99;
            payment_information(it).payment_processed_by =
                PaymentProcessedBy::ProcessedByPartner.into();
        },
        &[
            "idempotency_token",
            "order.order_id",
            "order.merchant_id",
            "order.item[0].status",
            "order.item[1].status",
            "order.user_information.user_id",
            "order.user_information.given_name",
            "order.user_information.family_name",
            "order.payment_information.prepayment_status",
            "payment_processing_parameters",
        ],
    );
    assert_rejected(&[all_wrong]).await;
}

#[tokio::test]
async fn a_name_of_forty_characters_is_taken_however_many_bytes_it_has() {
    let server = TestServer::start().await;
    for (token, name) in [
        ("plain", "x".repeat(40)),
        ("accents", "é".repeat(40)),
        ("wide", "字".repeat(40)),
    ] {
        let mut request = order_request(token, "museum", [adults(1)]);
        user(&mut request).given_name.clone_from(&name);
        user(&mut request).family_name = name;
        server.send(request).await.unwrap().order();
    }
}

#[tokio::test]
async fn an_order_at_another_price_than_the_present_one_is_not_created() {
    let store = TempDir::new().unwrap();
    Setup::embedded(store.path()).start().await.stop().await;
    let dearer = edited_catalog(&[("services.json", r#""25000000""#, r#""27000000""#)]);
    let server = Setup {
        catalog: dearer.path().into(),
        ..Setup::embedded(store.path())
    }
    .start()
    .await;
    let visit = |micros| {
        vec![
            Item::museum_entry()
                .tickets(&[("adult", 2)])
                .price("USD", micros),
        ]
    };
    let failed = "ORDER_UNFULFILLABLE: UNFULFILLABLE_LINE_ITEM: INCORRECT_PRICE 50 USD54000000";
    for (rule, items, expected) in [
        (
            "the price of before",
            visit(50_000_000),
            format!("{failed} PRICE_INCREASE adult=USD27000000"),
        ),
        (
            "a higher one",
            visit(60_000_000),
            format!("{failed} PRICE_DECREASE adult=USD27000000"),
        ),
        (
            "another currency",
            vec![visit(54_000_000).remove(0).price("EUR", 54_000_000)],
            failed.to_owned(),
        ),
        (
            "none",
            vec![Item::museum_entry().tickets(&[("adult", 2)])],
            failed.to_owned(),
        ),
    ] {
        let asked = items.iter().map(|item| item.0.clone()).collect::<Vec<_>>();
        let failure = server.create("t", "museum", items).await.unwrap().failure();
        assert_eq!(describe_failure(&asked, &failure), expected, "{rule}");
    }
    server
        .create("t", "museum", visit(54_000_000))
        .await
        .unwrap()
        .order();
}

#[tokio::test]
async fn an_order_is_created_only_with_the_right_fee_total() {
    let server = TestServer::start().await;
    let concert = || {
        let item = Item::symphony()
            .tickets(&[("stalls", 2), ("balcony", 1)])
            .price("USD", 205_000_000);
        order_request("concert", "concert-hall", [item])
    };
    let museum = || order_request("museum", "museum", [adults(1)]);
    let wrong = "INCORRECT_FEE_TOTAL";
    for (rule, request, expected) in [
        ("absent where there are some", concert(), wrong),
        (
            "nothing where there are some",
            stating_fees(concert(), "USD", 0),
            wrong,
        ),
        (
            "a cent too little",
            stating_fees(concert(), "USD", 19_230_000),
            wrong,
        ),
        (
            "a cent too much",
            stating_fees(concert(), "USD", 19_250_000),
            wrong,
        ),
        (
            "another currency",
            stating_fees(concert(), "EUR", 19_240_000),
            wrong,
        ),
        (
            "some where there are none",
            stating_fees(museum(), "USD", 10_000),
            wrong,
        ),
        ("below zero", stating_fees(museum(), "USD", -10_000), wrong),
        (
            "nothing in another currency",
            stating_fees(museum(), "EUR", 0),
            wrong,
        ),
        (
            "right",
            stating_fees(concert(), "USD", 19_240_000),
            "created",
        ),
        ("absent where there are none", museum(), "created"),
    ] {
        let asked = items(&request);
        let outcome = match server.send(request).await.unwrap() {
            created if created.is_order() => "created".to_owned(),
            failed => describe_failure(&asked, &failed.failure()),
        };
        assert_eq!(outcome, expected, "{rule}");
    }
}

#[tokio::test]
async fn nothing_stated_as_nothing_is_no_fee() {
    let server = TestServer::start().await;
    for (token, currency) in [("named", "USD"), ("unnamed", "")] {
        server
            .send(stating_fees(
                order_request(token, "museum", [adults(1)]),
                currency,
                0,
            ))
            .await
            .unwrap()
            .order();
    }
}

#[tokio::test]
async fn a_wrong_price_speaks_before_wrong_fees() {
    let server = TestServer::start().await;
    let request = stating_fees(
        order_request("t", "museum", [adults(1).price("USD", 1)]),
        "USD",
        1,
    );
    assert_eq!(
        server
            .send(request)
            .await
            .unwrap()
            .failure()
            .cause()
            .as_str_name(),
        "ORDER_UNFULFILLABLE"
    );
}

#[tokio::test]
async fn an_order_of_an_amount_beyond_measure_is_not_created() {
    let dear = edited_catalog(&[("services.json", r#""25000000""#, r#""9000000000000000000""#)]);
    let server = Setup {
        catalog: dear.path().into(),
        ..Setup::default()
    }
    .start()
    .await;
    let one = || {
        Item::museum_entry()
            .tickets(&[("adult", 1)])
            .price("USD", 9_000_000_000_000_000_000)
    };
    let two = Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", i64::MAX);
    let unfulfillable = "ORDER_UNFULFILLABLE: ";
    for (items, expected) in [
        (
            vec![one(), one()],
            "ORDER_UNFULFILLABLE_OTHER_REASON: CAN_FULFILL 50 | CAN_FULFILL 50",
        ),
        (
            vec![two],
            "UNFULFILLABLE_LINE_ITEM: ITEM_UNFULFILLABLE_OTHER_REASON 50",
        ),
    ] {
        let asked = items.iter().map(|item| item.0.clone()).collect::<Vec<_>>();
        let failure = server.create("t", "museum", items).await.unwrap().failure();
        assert_eq!(
            describe_failure(&asked, &failure),
            format!("{unfulfillable}{expected}")
        );
    }
    assert_eq!(server.spots_open("museum", one()).await, 50);
}

/// Answers to questions, by id.
type Answers = &'static [(&'static str, &'static [&'static str])];

/// What is said against an item, if anything is.
async fn objection(
    server: &TestServer,
    token: &str,
    merchant: &str,
    request: CreateOrderRequest,
) -> Option<String> {
    let created = server
        .send(CreateOrderRequest {
            idempotency_token: token.into(),
            ..request
        })
        .await
        .unwrap();
    if created.is_order() {
        return None;
    }
    let failure = created.failure();
    let verdict = failure.fulfillability.unwrap();
    let item = &verdict.item_fulfillability[0];
    assert_eq!(
        item.result().as_str_name(),
        "ITEM_UNFULFILLABLE_OTHER_REASON",
        "{merchant}: {item:?}"
    );
    Some(item.unfulfillable_reason.clone())
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn intake_answers_must_fit_the_questions() {
    let server = TestServer::start().await;
    let rows: &[(&str, Answers, &[&str])] = &[
        ("none", &[], &["hair_length", "first_visit"]),
        (
            "one missing",
            &[("hair_length", &["short"])],
            &["first_visit"],
        ),
        (
            "blank",
            &[("hair_length", &["  "]), ("first_visit", &["true"])],
            &["hair_length"],
        ),
        (
            "no response",
            &[("hair_length", &[]), ("first_visit", &["true"])],
            &["hair_length"],
        ),
        (
            "unknown",
            &[
                ("hair_length", &["short"]),
                ("first_visit", &["true"]),
                ("shoe_size", &["9"]),
            ],
            &["shoe_size"],
        ),
        (
            "not true or false",
            &[("hair_length", &["short"]), ("first_visit", &["yes"])],
            &["first_visit"],
        ),
        (
            "large letters",
            &[("hair_length", &["short"]), ("first_visit", &["True"])],
            &["first_visit"],
        ),
        (
            "true and false",
            &[
                ("hair_length", &["short"]),
                ("first_visit", &["true", "false"]),
            ],
            &["first_visit"],
        ),
        (
            "not offered",
            &[("hair_length", &["bald"]), ("first_visit", &["true"])],
            &["hair_length"],
        ),
        (
            "two of one",
            &[
                ("hair_length", &["short", "long"]),
                ("first_visit", &["true"]),
            ],
            &["hair_length"],
        ),
        (
            "answered twice",
            &[
                ("hair_length", &["short"]),
                ("hair_length", &["long"]),
                ("first_visit", &["true"]),
            ],
            &["hair_length"],
        ),
        (
            "a box not offered",
            &[
                ("hair_length", &["short"]),
                ("first_visit", &["true"]),
                ("extras", &["wash", "dye"]),
            ],
            &["extras"],
        ),
        (
            "several at once",
            &[("hair_length", &["bald"]), ("x", &["y"])],
            &["hair_length", "first_visit", "x"],
        ),
    ];
    for (rule, answers, ids) in rows {
        let request = order_request("", "salon", [Item::haircut().answers(answers)]);
        let objection = objection(&server, "t", "salon", request).await.unwrap();
        for id in [
            "hair_length",
            "first_visit",
            "shoe_size",
            "extras",
            "wishes",
            "x",
        ] {
            assert_eq!(
                objection.contains(&format!("{id:?}")),
                ids.contains(&id),
                "{rule}: {objection}"
            );
        }
    }
    assert_eq!(server.spots_open("salon", Item::haircut()).await, 2);
}

#[tokio::test]
async fn good_intake_answers_are_taken_and_echoed() {
    let server = TestServer::start().await;
    let rows: &[(&str, Answers)] = &[
        (
            "what is required",
            &[("hair_length", &["long"]), ("first_visit", &["false"])],
        ),
        (
            "a translated choice",
            &[("hair_length", &["corto"]), ("first_visit", &["true"])],
        ),
        (
            "everything, several boxes",
            &[
                ("extras", &["wash", "beard"]),
                ("first_visit", &["true"]),
                ("hair_length", &["short"]),
                ("wishes", &["Not too short,\nplease."]),
            ],
        ),
    ];
    for (at, (rule, answers)) in (9..).zip(rows) {
        let item = Item::of("haircut", at, 0, 3600)
            .price("USD", 40_000_000)
            .answers(answers);
        assert_eq!(
            objection(&server, rule, "salon", order_request("", "salon", [item])).await,
            None,
            "{rule}"
        );
    }
}

#[tokio::test]
async fn a_question_for_some_ticket_types_counts_only_when_one_is_bought() {
    let server = TestServer::start().await;
    let places = |id: &str, count: i32, answers: Answers| {
        let item = Item::symphony()
            .tickets(&[(id, count)])
            .price("USD", i64::from(count) * 45_000_000);
        order_request("", "concert-hall", [item.answers(answers)])
    };
    let (balcony, wheelchair) = (7_740_000, 2_990_000);
    for (rule, request, fees, asked) in [
        ("not bought", places("balcony", 1, &[]), balcony, false),
        ("bought", places("wheelchair", 1, &[]), wheelchair, true),
        (
            "bought and answered",
            places("wheelchair", 1, &[("attendee_name", &["Ada"])]),
            wheelchair,
            false,
        ),
        (
            "one answer for two",
            places("wheelchair", 2, &[("attendee_name", &["Ada"])]),
            wheelchair,
            true,
        ),
        (
            "an answer for each",
            places(
                "wheelchair",
                2,
                &[("attendee_name", &["Ada"]), ("attendee_name", &["Bob"])],
            ),
            wheelchair,
            false,
        ),
    ] {
        let objection = objection(
            &server,
            rule,
            "concert-hall",
            stating_fees(request, "USD", fees),
        )
        .await;
        assert_eq!(objection.is_some(), asked, "{rule}");
        assert!(
            objection.is_none_or(|reason| reason.contains("\"attendee_name\"")),
            "{rule}"
        );
    }
}

#[tokio::test]
async fn a_look_at_a_cart_asks_no_questions() {
    let server = TestServer::start().await;
    let unanswered = Item::haircut().answers(&[]);
    assert_eq!(
        server.check("salon", [unanswered]).await.unwrap().verdict(),
        "CAN_FULFILL"
    );
}

/// A request in which every field is set that a request may set.
fn full_request() -> CreateOrderRequest {
    let mut first = adults(2).answers(&[]);
    first.0.price.as_mut().unwrap().pricing_option_tag = "spring".into();
    let mut request = paid_with(order_request("full", "museum", [first, tour()]), "approve");
    user(&mut request).address = Some(PostalAddress {
        country: "GB".into(),
        locality: "London".into(),
        region: "Greater London".into(),
        postal_code: "SW1Y 4JH".into(),
        street_address: "12 St James's Square".into(),
    });
    let payment = payment_information(&mut request);
    payment.price = Some(price("USD", 65_000_000));
    payment.tax_amount = Some(price("USD", 1));
    payment.fees = Some(price("USD", 2));
    payment.fees_and_taxes = Some(price("USD", 0));
    payment.deposit = Some(Deposit {
        deposit: Some(price("USD", 3)),
        min_advance_cancellation_sec: 3600,
        deposit_type: 1,
    });
    payment.no_show_fee = Some(NoShowFee {
        fee: Some(price("USD", 4)),
        fee_type: 1,
    });
    payment.payment_id = Some(PaymentId::UserPaymentOptionId("ten-visits".into()));
    payment.fraud_signals = r#"{"secret": 1}"#.into();
    payment.pa_response = "secret".into();
    payment.md_merchant_data = "secret".into();
    let parameters = [("gateway", "example"), ("gatewayMerchantId", "museum")];
    request
        .payment_processing_parameters
        .as_mut()
        .unwrap()
        .tokenization_config = Some(TokenizationConfig {
        tokenization_parameter: parameters
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..TokenizationConfig::default()
    });
    request
}

async fn create_raw(server: &TestServer, request: &[u8]) -> Bytes {
    ByteClient::connect(server.server.address())
        .await
        .call("CreateOrder", request)
        .await
        .bytes()
}

#[tokio::test]
async fn everything_but_secrets_is_echoed() {
    let server = TestServer::start().await;
    server.send(full_request()).await.unwrap().order();
    let answer = create_raw(&server, &full_request().encode_to_vec()).await;
    let secret = |text: &[u8]| answer.windows(text.len()).any(|window| window == text);
    assert!(!secret(b"secret") && !secret(b"approve"));
}

#[tokio::test]
async fn a_repeated_request_gets_the_bytes_of_the_first_answer_for_ever() {
    let store = TempDir::new().unwrap();
    let server = Setup::embedded(store.path()).start().await;
    let request = full_request().encode_to_vec();
    let first = create_raw(&server, &request).await;
    assert_eq!(create_raw(&server, &request).await, first);
    server.stop().await;
    let other_prices = edited_catalog(&[("services.json", r#""25000000""#, r#""27000000""#)]);
    let server = Setup {
        catalog: other_prices.path().into(),
        ..Setup::embedded(store.path())
    }
    .start()
    .await;
    server.clock.set(EpochSeconds::new(tomorrow_at(23, 0)));
    assert_eq!(
        create_raw(&server, &request).await,
        first,
        "after a restart with other prices, when all is over"
    );
    assert_eq!(server.list_user("user-1").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_replay_is_answered_even_if_its_request_is_invalid_now() {
    let store = TempDir::new().unwrap();
    let server = Setup::embedded(store.path()).start().await;
    let request = full_request();
    let first = server.send(request.clone()).await.unwrap().order();
    server.stop().await;
    let mut stricter = Setup::embedded(store.path());
    stricter.config.sales.max_items_per_order = 1;
    let server = stricter.start().await;
    assert_eq!(server.send(request.clone()).await.unwrap().order(), first);
    let mut other = request;
    user(&mut other).given_name = "Another".into();
    let rejection = server.send(other).await.unwrap_err();
    assert_eq!(
        faulty_fields(&rejection),
        ["order.item"],
        "another request under the token is judged anew"
    );
}

/// A message as a field of another one.
fn field(number: u32, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut bytes);
    encode_varint(message.len() as u64, &mut bytes);
    bytes.extend_from_slice(message);
    bytes
}

/// Another encoding of the same request: fields backwards and in pieces, entries of maps backwards,
/// defaults written out, and fields that nobody knows.
fn encoded_otherwise(request: &CreateOrderRequest) -> Vec<u8> {
    let mut order = request.order.clone().unwrap();
    let unknown = field(1000, b"from the future");
    let last_first = Order {
        item: std::mem::take(&mut order.item),
        ..Order::default()
    };
    let order_id = field(1, b"");
    let payment = order.payment_information.take().unwrap();
    let payment = [field(900, b"?"), payment.encode_to_vec()].concat();
    let order = [
        unknown.clone(),
        last_first.encode_to_vec(),
        field(3, &payment),
        order.encode_to_vec(),
        order_id,
    ];
    let parameter = |parameter: (&String, &String)| PaymentProcessingParameters {
        tokenization_config: Some(TokenizationConfig {
            tokenization_parameter: [(parameter.0.clone(), parameter.1.clone())].into(),
            ..TokenizationConfig::default()
        }),
        ..PaymentProcessingParameters::default()
    };
    let parameters = request.payment_processing_parameters.as_ref().unwrap();
    let map = &parameters
        .tokenization_config
        .as_ref()
        .unwrap()
        .tokenization_parameter;
    let without_map = PaymentProcessingParameters {
        tokenization_config: None,
        ..*parameters.clone()
    };
    let pieces = map.iter().rev().map(parameter).chain([without_map]);
    let mut bytes = [
        unknown,
        field(3, request.idempotency_token.as_bytes()),
        field(1, &order.concat()),
    ]
    .concat();
    bytes.extend(pieces.flat_map(|piece| field(2, &piece.encode_to_vec())));
    bytes
}

#[tokio::test]
async fn a_request_is_the_same_however_it_is_encoded() {
    let server = TestServer::start().await;
    let (one, other) = (
        full_request().encode_to_vec(),
        encoded_otherwise(&full_request()),
    );
    assert_ne!(one, other);
    assert_eq!(
        CreateOrderRequest::decode(&*one).unwrap(),
        CreateOrderRequest::decode(&*other).unwrap()
    );
    assert_eq!(
        create_raw(&server, &other).await,
        create_raw(&server, &one).await
    );
    assert_eq!(server.list_user("user-1").await.unwrap().len(), 1);
}

/// A way in which a request is another one.
type Change = (&'static str, fn(&mut CreateOrderRequest));

#[tokio::test]
async fn a_used_token_with_another_request_is_rejected_and_creates_nothing() {
    let server = TestServer::start().await;
    let first = server.send(full_request()).await.unwrap();
    let changes: &[Change] = &[
        ("an item more", |it| order(it).item.push(tour().0)),
        ("items swapped", |it| order(it).item.swap(0, 1)),
        ("a count", |it| order(it).item[0].tickets[0].count = 3),
        ("another merchant", |it| {
            order(it).merchant_id = "rafting".into();
        }),
        ("another user", |it| user(it).user_id = "user-2".into()),
        ("another telephone", |it| user(it).telephone.clear()),
        ("another payment token", |it| {
            *it = paid_with(it.clone(), "other");
        }),
        ("another fraud signal", |it| {
            payment_information(it).fraud_signals.push(' ');
        }),
        ("a parameter less", |it| {
            let config = it
                .payment_processing_parameters
                .as_mut()
                .unwrap()
                .tokenization_config
                .as_mut();
            config.unwrap().tokenization_parameter.clear();
        }),
    ];
    for (rule, change) in changes {
        let mut request = full_request();
        change(&mut request);
        let rejection = server.send(request).await.unwrap_err();
        assert_eq!(rejection.code(), Code::InvalidArgument, "{rule}");
        assert_eq!(
            (reason(&rejection), faulty_fields(&rejection)),
            ("TOKEN_REUSED".into(), vec!["idempotency_token".into()])
        );
    }
    assert_eq!(server.spots_open("museum", adults(1)).await, 48);
    assert_eq!(server.list_user("user-2").await.unwrap(), []);
    assert_eq!(
        server.send(full_request()).await.unwrap().0,
        first.0,
        "the first stands"
    );
}

#[tokio::test]
async fn a_failure_is_not_remembered() {
    let server = TestServer::start().await;
    let trip = || {
        Item::raft_trip()
            .tickets(&[("seat", 12)])
            .price("USD", 612_000_000)
    };
    server
        .check_cart("somebody", "rafting", [trip()])
        .await
        .unwrap();
    let failure = server
        .create("t", "rafting", [trip()])
        .await
        .unwrap()
        .failure();
    assert_eq!(failure.cause().as_str_name(), "ORDER_UNFULFILLABLE");
    server.clock.advance(Seconds::new(600));
    let order = server
        .create("t", "rafting", [trip()])
        .await
        .unwrap()
        .order();
    assert_eq!(
        server
            .create("t", "rafting", [trip()])
            .await
            .unwrap()
            .order(),
        order
    );
}

#[tokio::test]
async fn a_token_that_failed_may_carry_another_request() {
    let server = TestServer::start().await;
    server
        .create("t", "museum", [adults(11)])
        .await
        .unwrap()
        .failure();
    server
        .create("t", "museum", [adults(10)])
        .await
        .unwrap()
        .order();
}

#[tokio::test]
async fn tokens_are_compared_byte_by_byte() {
    let server = TestServer::start().await;
    let tokens = ["t", "T", " t", "t ", "t\u{301}", "ţ", &"t".repeat(1024)];
    let mut ids = Vec::new();
    for token in tokens {
        ids.push(
            server
                .create(token, "museum", [adults(1)])
                .await
                .unwrap()
                .order()
                .order_id,
        );
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), tokens.len());
    assert_eq!(server.spots_open("museum", adults(1)).await, 43);
}
