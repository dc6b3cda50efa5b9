//! Whatever is sent, the answer is one of the contract or a refusal of the table, and the next call
//! is served.

use std::collections::{BTreeMap, HashSet};

use boxoffice::wire::proto::v3::{
    CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse, CreateOrderRequest, CreateOrderResponse,
    Deposit, ListOrdersRequest, ListOrdersResponse, NoShowFee, Order, OrderFailure, OrderFulfillability,
    PaymentInformation, PaymentProcessingParameters, PostalAddress, TokenizationConfig,
    create_order_response::Result as Outcome,
    list_orders_request::{Ids, OrderIds},
    order_failure::Cause,
    order_fulfillability::OrderFulfillabilityResult as OrderResult,
    payment_information::{PaymentId, PaymentProcessedBy},
    tokenization_config::CardNetworkParameters,
};
use bytes::Bytes;
use http::{Method, StatusCode};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use crate::{
    byte_client::{Answer, ByteClient, broken_off, framed, whole},
    mutations::{Mutation, Node, Schema, delimited},
    process::{Ended, Program, Running, in_days, surely},
    support::{Item, order_request, price},
};

const CHECK: &str = "CheckOrderFulfillability";
const CREATE: &str = "CreateOrder";
const LIST: &str = "ListOrders";

const CHECK_REQUEST: &str = ".ext.maps.booking.partner.v3.CheckOrderFulfillabilityRequest";
const CREATE_REQUEST: &str = ".ext.maps.booking.partner.v3.CreateOrderRequest";
const LIST_REQUEST: &str = ".ext.maps.booking.partner.v3.ListOrdersRequest";

/// Spots of every slot of the museum's that is used here.
const SPOTS: i32 = 50;

/// Days on which good orders are spoilt, so that none is sold out before the end.
const DAYS: i64 = 200;

/// The day of the call that must always work.
const DAY_OF_THE_GOOD_CALL: i64 = 300;

/// A real server, and a connection to it.
struct Door {
    server: Running,
    client: ByteClient,
}

impl Door {
    async fn open() -> Self {
        let server = Program::new().start().await;
        let client = ByteClient::connect(server.address()).await;
        Self { server, client }
    }

    /// Fails unless a good call gets its good answer.
    async fn still_works(&self, after: &str) {
        let item = in_days(visit(), DAY_OF_THE_GOOD_CALL).0;
        let request =
            CheckOrderFulfillabilityRequest { merchant_id: "museum".into(), item: vec![item], cart_id: String::new() };
        let answer = surely(after, self.client.call(CHECK, &request.encode_to_vec())).await;
        let checked: CheckOrderFulfillabilityResponse = answer.message();
        assert_eq!(checked.fulfillability.unwrap().result(), OrderResult::CanFulfill, "after {after}");
    }

    /// Fails if anything went wrong inside.
    async fn close(self) {
        let Ended { status, lines } = self.server.stop().await;
        assert!(status.success());
        for line in lines {
            assert!(!line.contains("panic") && !line.contains("\"level\":\"ERROR\""), "{line}");
        }
    }
}

fn visit() -> Item {
    Item::museum_entry().tickets(&[("adult", 2), ("child", 1)]).price("USD", 60_000_000)
}

/// A good message that is to be spoilt.
struct Good {
    method: &'static str,
    message: &'static str,
    /// Makes it, with a number of its own.
    make: fn(i64) -> Vec<u8>,
}

const GOOD: [Good; 7] = [
    Good { method: CREATE, message: CREATE_REQUEST, make: |number| free_order(number).encode_to_vec() },
    Good { method: CREATE, message: CREATE_REQUEST, make: |number| paid_order(number).encode_to_vec() },
    Good { method: CHECK, message: CHECK_REQUEST, make: |number| cart(number).encode_to_vec() },
    Good { method: CHECK, message: CHECK_REQUEST, make: |number| held(number).encode_to_vec() },
    Good { method: CHECK, message: CHECK_REQUEST, make: |number| appointment(number).encode_to_vec() },
    Good { method: LIST, message: LIST_REQUEST, make: |_| by_user().encode_to_vec() },
    Good { method: LIST, message: LIST_REQUEST, make: |_| by_ids().encode_to_vec() },
];

impl Good {
    fn read(&self, schema: &Schema, number: i64) -> Node {
        Node::read(schema, self.message, &(self.make)(number))
    }
}

fn free_order(number: i64) -> CreateOrderRequest {
    order_request(&format!("free-{number}"), "museum", [in_days(visit(), 1 + number % DAYS)])
}

/// An order with everything in it that an order may have.
fn paid_order(number: i64) -> CreateOrderRequest {
    let item = Item::symphony().tickets(&[("stalls", 1), ("balcony", 1)]).price("USD", 125_000_000);
    let mut request = order_request(&format!("paid-{number}"), "concert-hall", [in_days(item, 1 + number % DAYS)]);
    let text = String::from;
    let order = request.order.as_mut().unwrap();
    order.user_information.as_mut().unwrap().address = Some(PostalAddress {
        country: text("GB"),
        locality: text("London"),
        region: text("Greater London"),
        postal_code: text("SW1"),
        street_address: text("12 St James's Square"),
    });
    order.payment_information = Some(PaymentInformation {
        prepayment_status: 2,
        payment_transaction_id: text("theirs"),
        price: Some(price("USD", 125_000_000)),
        tax_amount: Some(price("USD", 1_000_000)),
        fees: Some(price("USD", 1_000_000)),
        fees_and_taxes: Some(price("USD", 13_490_000)),
        deposit: Some(Deposit {
            deposit: Some(price("USD", 10_000_000)),
            min_advance_cancellation_sec: 3600,
            deposit_type: 1,
        }),
        no_show_fee: Some(NoShowFee { fee: Some(price("USD", 5_000_000)), fee_type: 1 }),
        payment_processed_by: PaymentProcessedBy::ProcessedByPartner.into(),
        fraud_signals: text("none"),
        pa_response: text("response"),
        md_merchant_data: text("data"),
        payment_id: Some(PaymentId::PaymentOptionId(text("option"))),
    });
    request.payment_processing_parameters = Some(processing());
    request
}

fn processing() -> PaymentProcessingParameters {
    let text = String::from;
    let network = CardNetworkParameters {
        card_network: 1,
        acquirer_bin: text("123456"),
        acquirer_merchant_id: text("merchant"),
    };
    PaymentProcessingParameters {
        unparsed_payment_method_token: text("approve"),
        tokenization_config: Some(TokenizationConfig {
            tokenization_parameter: [(text("gateway"), text("simulated"))].into(),
            billing_information_format: 1,
            merchant_of_record_name: text("Concert Hall"),
            payment_country_code: text("US"),
            card_network_parameters: vec![network],
            allowed_auth_methods: vec![1, 2],
        }),
        ..PaymentProcessingParameters::default()
    }
}

fn cart(number: i64) -> CheckOrderFulfillabilityRequest {
    let item = [visit(), visit()].map(|item| in_days(item, 1 + number % DAYS).0).into();
    CheckOrderFulfillabilityRequest { merchant_id: "museum".into(), item, cart_id: String::new() }
}

fn appointment(number: i64) -> CheckOrderFulfillabilityRequest {
    let item = vec![in_days(Item::haircut(), 1 + number % DAYS).0];
    CheckOrderFulfillabilityRequest { merchant_id: "salon".into(), item, cart_id: String::new() }
}

/// A cart whose spots are held.
fn held(number: i64) -> CheckOrderFulfillabilityRequest {
    let item = Item::raft_trip().tickets(&[("seat", 2), ("youth", 2)]).price("USD", 180_000_000);
    let item = vec![in_days(item, 1 + number % DAYS).0];
    CheckOrderFulfillabilityRequest { merchant_id: "rafting".into(), item, cart_id: format!("cart-{number}") }
}

fn by_user() -> ListOrdersRequest {
    ListOrdersRequest { ids: Some(Ids::UserId("user-1".into())) }
}

fn by_ids() -> ListOrdersRequest {
    let order_id = vec!["AAAAAAAAAAAAAAAAAAAAAAAAAA".into(), "stranger".into()];
    ListOrdersRequest { ids: Some(Ids::OrderIds(OrderIds { order_id })) }
}

/// Fails unless this is an answer of the contract or a refusal of the table. Gives the order that
/// was created, if one was.
fn judge(schema: &Schema, good: &Good, sent: &[u8], answer: &Answer, what: &str) -> Option<Order> {
    assert_eq!(answer.http, StatusCode::OK, "{what}");
    if answer.code() != Code::Ok {
        judge_refusal(answer, what);
        for violation in violations(answer) {
            assert!(schema.leads_somewhere(good.message, &violation), "{what}: there is no field {violation}");
        }
        return None;
    }
    match good.method {
        CHECK => {
            let asked = CheckOrderFulfillabilityRequest::decode(sent).unwrap();
            let checked: CheckOrderFulfillabilityResponse = answer.message();
            judge_verdict(&checked.fulfillability.unwrap(), asked.item.len(), what);
            None
        }
        CREATE => judge_created(answer.message(), sent, what),
        _ => {
            let listed: ListOrdersResponse = answer.message();
            listed.order.iter().for_each(|order| judge_order(order, what));
            None
        }
    }
}

/// Fails unless the refusal is one that bad input may get, with what belongs to it.
fn judge_refusal(answer: &Answer, what: &str) {
    let details = answer.details();
    let info = details.error_info().unwrap_or_else(|| panic!("{what}: {:?} has no reason", answer.status()));
    assert_eq!(info.domain, "boxoffice", "{what}");
    let violated = !violations(answer).is_empty();
    match (answer.code(), info.reason.as_str()) {
        (Code::InvalidArgument, "INVALID_REQUEST" | "TOKEN_REUSED") => assert!(violated, "{what}"),
        (Code::InvalidArgument, "MALFORMED_MESSAGE")
        | (Code::ResourceExhausted, "REQUEST_TOO_LARGE")
        | (Code::Unimplemented, "UNKNOWN_METHOD" | "UNKNOWN_ENCODING") => assert!(!violated, "{what}"),
        other => panic!("{what}: {other:?}: {}", answer.status().message()),
    }
    assert!(!answer.status().message().is_empty(), "{what}");
}

/// Paths of the fields that a refusal names.
fn violations(answer: &Answer) -> Vec<String> {
    let details = answer.details();
    let violations = details.bad_request().map(|found| found.field_violations.clone());
    violations.unwrap_or_default().into_iter().map(|violation| violation.field).collect()
}

fn judge_verdict(verdict: &OrderFulfillability, items: usize, what: &str) {
    assert_ne!(verdict.result, 0, "{what}");
    assert_eq!(verdict.item_fulfillability.len(), items, "{what}");
    for item in &verdict.item_fulfillability {
        assert_ne!(item.result, 0, "{what}");
        assert!(item.item.is_some(), "{what}");
    }
}

fn judge_created(created: CreateOrderResponse, sent: &[u8], what: &str) -> Option<Order> {
    match created.result.unwrap_or_else(|| panic!("{what}: neither an order nor a failure")) {
        Outcome::Order(order) => {
            judge_order(&order, what);
            Some(order)
        }
        Outcome::OrderFailure(failure) => {
            let asked = CreateOrderRequest::decode(sent).unwrap();
            judge_failure(&failure, asked.order.unwrap().item.len(), what);
            None
        }
    }
}

fn judge_order(order: &Order, what: &str) {
    assert!(!order.order_id.is_empty() && !order.item.is_empty(), "{what}");
    assert!(order.item.iter().all(|item| item.status != 0), "{what}");
}

fn judge_failure(failure: &OrderFailure, items: usize, what: &str) {
    match failure.cause() {
        Cause::Unspecified => panic!("{what}: {failure:?}"),
        Cause::OrderUnfulfillable => judge_verdict(failure.fulfillability.as_ref().unwrap(), items, what),
        Cause::PaymentErrorCardTypeRejected => assert_ne!(failure.rejected_card_type, 0, "{what}"),
        Cause::PaymentRequires3ds1 => {
            assert!(failure.payment_failure.as_ref().unwrap().threeds1_parameters.is_some(), "{what}");
        }
        Cause::PaymentErrorCardDeclined | Cause::PaymentError | Cause::IncorrectFeeTotal => {}
    }
}

#[tokio::test]
async fn every_field_can_be_spoilt_in_every_way() {
    let schema = Schema::published();
    let door = Door::open().await;
    let mut kinds = HashSet::new();
    let mut sold = BTreeMap::new();
    let mut number = 0;
    for good in &GOOD {
        let sound = (good.make)(number);
        let answer = door.client.call(good.method, &sound).await;
        assert_eq!(answer.code(), Code::Ok, "{} is good: {:?}", good.message, answer.status());
        note_sold(&mut sold, judge(&schema, good, &sound, &answer, "a good message"));
        for mutation in good.read(&schema, number).mutations(&schema) {
            number += 1;
            let spoilt = mutation.apply(good.read(&schema, number));
            let what = format!("{} {}", good.method, mutation.what);
            let answer = surely(&what, door.client.call(good.method, &spoilt)).await;
            note_sold(&mut sold, judge(&schema, good, &spoilt, &answer, &what));
            judge_text(&mutation, &answer);
            door.still_works(&what).await;
            kinds.insert(what);
        }
    }
    assert!(kinds.len() >= 500, "only {} kinds", kinds.len());
    for (start_sec, tickets) in sold {
        assert_eq!(spots_open(&door.client, start_sec).await, SPOTS - tickets, "at {start_sec}");
    }
    door.close().await;
}

/// What should be text and is none is refused with the name of its field.
fn judge_text(mutation: &Mutation, answer: &Answer) {
    if mutation.is_no_text() {
        assert_eq!(answer.reason(), "MALFORMED_MESSAGE", "{}", mutation.what);
        let message = answer.status().message().to_owned();
        assert!(message.contains(&mutation.field), "{}: {message}", mutation.what);
    }
}

/// Tickets of the museum's that were sold, by the start of the slot.
fn note_sold(sold: &mut BTreeMap<i64, i32>, order: Option<Order>) {
    for item in order.into_iter().filter(|order| order.merchant_id == "museum").flat_map(|order| order.item) {
        *sold.entry(item.start_sec).or_default() += item.tickets.iter().map(|ticket| ticket.count).sum::<i32>();
    }
}

async fn spots_open(client: &ByteClient, start_sec: i64) -> i32 {
    let mut item = visit().0;
    item.start_sec = start_sec;
    let request =
        CheckOrderFulfillabilityRequest { merchant_id: "museum".into(), item: vec![item], cart_id: String::new() };
    let checked: CheckOrderFulfillabilityResponse = client.call(CHECK, &request.encode_to_vec()).await.message();
    checked.fulfillability.unwrap().item_fulfillability[0].availability.unwrap().spots_open
}

#[tokio::test]
async fn a_message_may_end_anywhere() {
    let schema = Schema::published();
    let door = Door::open().await;
    for good in &GOOD {
        let whole = (good.make)(0);
        for length in 0..whole.len() {
            let what = format!("the first {length} bytes of {}", good.message);
            let answer = surely(&what, door.client.call(good.method, &whole[..length])).await;
            judge(&schema, good, &whole[..length], &answer, &what);
        }
        door.still_works(good.message).await;
    }
    door.close().await;
}

#[tokio::test]
async fn a_message_may_hold_what_the_schema_does_not_know() {
    let schema = Schema::published();
    let door = Door::open().await;
    let unknown: [(&str, Vec<u8>); 8] = [
        ("a field of a later edition", delimited(1000, b"later")),
        ("the greatest field number", delimited((1 << 29) - 1, b"last")),
        ("the field number 0", vec![0x02, 0x01, b'x']),
        ("a field number beyond the greatest", vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00]),
        ("a group that is closed", vec![0xfb, 0x7f, 0xfc, 0x7f]),
        ("a group that is not closed", vec![0xfb, 0x7f]),
        ("the end of a group that was not begun", vec![0xfc, 0x7f]),
        ("groups in groups", [0xfb, 0x7f].repeat(100_000)),
    ];
    for good in &GOOD {
        for (number, (what, extra)) in (0..).zip(&unknown) {
            for spoilt in [[(good.make)(number), extra.clone()].concat(), [extra.clone(), (good.make)(number)].concat()] {
                let answer = surely(what, door.client.call(good.method, &spoilt)).await;
                judge(&schema, good, &spoilt, &answer, what);
            }
        }
        door.still_works(good.message).await;
    }
    door.close().await;
}

#[tokio::test]
async fn frames_may_be_broken_in_every_way() {
    let door = Door::open().await;
    let good = framed(&by_user().encode_to_vec());
    let with = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        Bytes::from(bytes)
    };
    let refused = [
        ("nothing at all", Bytes::new(), "MALFORMED_MESSAGE"),
        ("a byte", good.slice(..1), "MALFORMED_MESSAGE"),
        ("half a header", good.slice(..3), "MALFORMED_MESSAGE"),
        ("a header alone", good.slice(..5), "MALFORMED_MESSAGE"),
        ("half a message", good.slice(..8), "MALFORMED_MESSAGE"),
        ("more announced than comes", with(4, 200), "MALFORMED_MESSAGE"),
        ("less announced than comes", with(4, 3), "MALFORMED_MESSAGE"),
        ("a compressed message of no encoding", with(0, 1), "MALFORMED_MESSAGE"),
        ("a flag that does not exist", with(0, 2), "MALFORMED_MESSAGE"),
        ("another flag that does not exist", with(0, 255), "MALFORMED_MESSAGE"),
        ("four gigabytes announced", with(1, 255), "REQUEST_TOO_LARGE"),
        ("16 megabytes announced", with(1, 1), "REQUEST_TOO_LARGE"),
        ("half a second message", [&good[..], &good[..7]].concat().into(), "MALFORMED_MESSAGE"),
        ("a byte too many", [&good[..], b"x"].concat().into(), "MALFORMED_MESSAGE"),
        ("text", Bytes::from_static(b"{\"user_id\": \"user-1\"}"), "MALFORMED_MESSAGE"),
    ];
    for (what, bytes, reason) in refused {
        for method in [CHECK, CREATE, LIST] {
            let request = door.client.request(method).body(whole(bytes.clone())).unwrap();
            let answer = surely(what, door.client.send(request)).await.unwrap();
            judge_refusal(&answer, what);
            assert_eq!(answer.reason(), reason, "{what}");
        }
        door.still_works(what).await;
    }
    for length in 0..good.len() {
        let request = door.client.request(LIST).body(broken_off(good.slice(..length))).unwrap();
        assert!(surely("the end of a call that broke off", door.client.send(request)).await.is_err());
    }
    door.still_works("calls that broke off").await;
    door.close().await;
}
