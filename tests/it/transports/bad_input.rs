//! Whatever is sent, the answer is one of the contract or a rejection of the table, and the next call
//! is served.

use std::collections::{BTreeMap, HashSet};

use boxoffice::api::booking::{
    proto::v3::{
        BatchAvailabilityLookupRequest, BatchAvailabilityLookupResponse, CheckAvailabilityRequest,
        CheckAvailabilityResponse, CheckOrderFulfillabilityRequest,
        CheckOrderFulfillabilityResponse, CreateOrderRequest, CreateOrderResponse, Deposit,
        ListOrdersRequest, ListOrdersResponse, NoShowFee, Order, OrderFailure, OrderFulfillability,
        PaymentInformation, PaymentProcessingParameters, PostalAddress, ResourceIds, Slot,
        SlotTime, TokenizationConfig,
        create_order_response::Result as Outcome,
        list_orders_request::{Ids, OrderIds},
        order_failure::Cause,
        order_fulfillability::OrderFulfillabilityResult as OrderResult,
        payment_information::{PaymentId, PaymentProcessedBy},
        tokenization_config::CardNetworkParameters,
    },
    schema::Described,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use prost::Message;
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;

use crate::support::{
    Item, agree,
    byte_client::{Answer, ByteClient, framed, truncated, whole},
    invariants,
    mutations::{Mutation, Node, Schema, delimited},
    order_request, price,
    process::{Ended, Program, Running, in_days, with_timeout},
    rest_client,
};

const CHECK: &str = "CheckOrderFulfillability";
const CREATE: &str = "CreateOrder";
const LIST: &str = "ListOrders";
const LOOK_UP: &str = "BatchAvailabilityLookup";
const LOOK_AT: &str = "CheckAvailability";

const CHECK_REQUEST: &str = ".ext.maps.booking.partner.v3.CheckOrderFulfillabilityRequest";
const CREATE_REQUEST: &str = ".ext.maps.booking.partner.v3.CreateOrderRequest";
const LIST_REQUEST: &str = ".ext.maps.booking.partner.v3.ListOrdersRequest";
const LOOK_UP_REQUEST: &str = ".ext.maps.booking.partner.v3.BatchAvailabilityLookupRequest";
const LOOK_AT_REQUEST: &str = ".ext.maps.booking.partner.v3.CheckAvailabilityRequest";

/// Spots of every slot of the museum's that is used here.
const SPOTS: i32 = 50;

/// Days on which good orders are corrupted, so that none is sold out before the end.
const DAYS: i64 = 200;

/// The day of the call that must always work.
const DAY_OF_THE_GOOD_CALL: i64 = 300;

/// Longest message that is sent over both transports.
const MAX_COMPARED_BYTES: usize = 200_000;

/// A real server, and a connection to it.
struct Transport {
    server: Running,
    client: ByteClient,
}

impl Transport {
    async fn open() -> Self {
        let server = Program::new().start().await;
        let client = ByteClient::connect(server.address()).await;
        Self { server, client }
    }

    /// Fails unless a good call gets its good answer.
    async fn still_works(&self, after: &str) {
        let item = in_days(visit(), DAY_OF_THE_GOOD_CALL).0;
        let request = CheckOrderFulfillabilityRequest {
            merchant_id: "museum".into(),
            item: vec![item],
            cart_id: String::new(),
        };
        let answer = with_timeout(after, self.client.call(CHECK, &request.encode_to_vec())).await;
        let checked: CheckOrderFulfillabilityResponse = answer.message();
        assert_eq!(
            checked.fulfillability.unwrap().result(),
            OrderResult::CanFulfill,
            "after {after}"
        );
    }

    /// Fails unless REST gives the same answer to the same message, if it is one.
    async fn agrees_over_rest(&self, good: &Good, sent: &[u8], answer: &Answer, what: &str) {
        // A hold ends a while after the call, which may be another second.
        let is_hold =
            |it: CheckOrderFulfillabilityRequest| good.method == CHECK && !it.cart_id.is_empty();
        if answer.code() == Code::Ok && Message::decode(sent).is_ok_and(is_hold) {
            return;
        }
        match good.method {
            CHECK => {
                self.agrees::<CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse>(
                    good, sent, answer, what,
                )
                .await;
            }
            CREATE => {
                self.agrees::<CreateOrderRequest, CreateOrderResponse>(good, sent, answer, what)
                    .await;
            }
            LOOK_UP => {
                self.agrees::<BatchAvailabilityLookupRequest, BatchAvailabilityLookupResponse>(
                    good, sent, answer, what,
                )
                .await;
            }
            LOOK_AT => {
                self.agrees::<CheckAvailabilityRequest, CheckAvailabilityResponse>(
                    good, sent, answer, what,
                )
                .await;
            }
            _ => {
                self.agrees::<ListOrdersRequest, ListOrdersResponse>(good, sent, answer, what)
                    .await;
            }
        }
    }

    async fn agrees<Q, A>(&self, good: &Good, sent: &[u8], answer: &Answer, what: &str)
    where
        Q: Described + Serialize,
        A: Described + PartialEq,
    {
        let Ok(request) = Q::decode(sent) else { return };
        // What is too large as JSON only is rejected before it has all been sent.
        if sent.len() > MAX_COMPARED_BYTES {
            return;
        }
        let by_rest = rest_client::call::<A>(self.server.address(), good.method, &request);
        let by_rest = with_timeout(what, by_rest).await;
        let by_grpc = if answer.code() == Code::Ok {
            Ok(answer.message::<A>())
        } else {
            Err(answer.status())
        };
        agree(&by_grpc, &by_rest);
    }

    /// Fails if anything went wrong inside.
    async fn close(self) {
        let Ended { status, lines } = self.server.stop().await;
        assert!(status.success());
        for line in lines {
            assert!(
                !line.contains("panic") && !line.contains("\"level\":\"ERROR\""),
                "{line}"
            );
        }
    }
}

fn visit() -> Item {
    Item::museum_entry()
        .tickets(&[("adult", 2), ("child", 1)])
        .price("USD", 60_000_000)
}

/// A good message that is to be corrupted.
struct Good {
    method: &'static str,
    message: &'static str,
    /// Makes it, with a number of its own.
    make: fn(i64) -> Vec<u8>,
}

const GOOD: [Good; 9] = [
    Good {
        method: CREATE,
        message: CREATE_REQUEST,
        make: |number| free_order(number).encode_to_vec(),
    },
    Good {
        method: CREATE,
        message: CREATE_REQUEST,
        make: |number| paid_order(number).encode_to_vec(),
    },
    Good {
        method: CHECK,
        message: CHECK_REQUEST,
        make: |number| cart(number).encode_to_vec(),
    },
    Good {
        method: CHECK,
        message: CHECK_REQUEST,
        make: |number| held(number).encode_to_vec(),
    },
    Good {
        method: CHECK,
        message: CHECK_REQUEST,
        make: |number| appointment(number).encode_to_vec(),
    },
    Good {
        method: LIST,
        message: LIST_REQUEST,
        make: |_| by_user().encode_to_vec(),
    },
    Good {
        method: LIST,
        message: LIST_REQUEST,
        make: |_| by_ids().encode_to_vec(),
    },
    Good {
        method: LOOK_UP,
        message: LOOK_UP_REQUEST,
        make: |_| slots().encode_to_vec(),
    },
    Good {
        method: LOOK_AT,
        message: LOOK_AT_REQUEST,
        make: |_| slot().encode_to_vec(),
    },
];

impl Good {
    fn read(&self, schema: &Schema, number: i64) -> Node {
        Node::read(schema, self.message, &(self.make)(number))
    }
}

fn free_order(number: i64) -> CreateOrderRequest {
    order_request(
        &format!("free-{number}"),
        "museum",
        [in_days(visit(), 1 + number % DAYS)],
    )
}

/// Slots with everything in them that slots may have.
fn slots() -> BatchAvailabilityLookupRequest {
    let CheckAvailabilityRequest { slot } = slot();
    let slot = slot.unwrap();
    let slot_time = SlotTime {
        service_id: slot.service_id,
        start_sec: slot.start_sec,
        duration_sec: slot.duration_sec,
        availability_tag: slot.availability_tag,
        resource_ids: slot.resources,
        confirmation_mode: slot.confirmation_mode,
    };
    let plain = SlotTime {
        resource_ids: None,
        ..slot_time.clone()
    };
    BatchAvailabilityLookupRequest {
        merchant_id: slot.merchant_id,
        slot_time: vec![slot_time, plain],
    }
}

fn slot() -> CheckAvailabilityRequest {
    let item = in_days(visit(), DAY_OF_THE_GOOD_CALL).0;
    let text = String::from;
    let resources = ResourceIds {
        staff_id: text("ann"),
        room_id: text("7"),
        party_size: 2,
    };
    let slot = Slot {
        merchant_id: text("museum"),
        service_id: item.service_id,
        start_sec: item.start_sec,
        duration_sec: item.duration_sec,
        availability_tag: text("morning"),
        resources: Some(resources),
        confirmation_mode: 1,
    };
    CheckAvailabilityRequest { slot: Some(slot) }
}

/// An order with everything in it that an order may have.
fn paid_order(number: i64) -> CreateOrderRequest {
    let item = Item::symphony()
        .tickets(&[("stalls", 1), ("balcony", 1)])
        .price("USD", 125_000_000);
    let mut request = order_request(
        &format!("paid-{number}"),
        "concert-hall",
        [in_days(item, 1 + number % DAYS)],
    );
    let text = String::from;
    let order = request.order.as_mut().unwrap();
    order.user_information.as_mut().unwrap().address = Some(PostalAddress {
        country: text("GB"),
        locality: text("London"),
        region: text("Greater London"),
        postal_code: text("SW1"),
        street_address: text("12 St James's Square"),
    });
    order.payment_information = Some(Box::new(PaymentInformation {
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
        no_show_fee: Some(NoShowFee {
            fee: Some(price("USD", 5_000_000)),
            fee_type: 1,
        }),
        payment_processed_by: PaymentProcessedBy::ProcessedByPartner.into(),
        fraud_signals: text("none"),
        pa_response: text("response"),
        md_merchant_data: text("data"),
        payment_id: Some(PaymentId::PaymentOptionId(text("option"))),
    }));
    request.payment_processing_parameters = Some(Box::new(processing()));
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
    let item = [visit(), visit()]
        .map(|item| in_days(item, 1 + number % DAYS).0)
        .into();
    CheckOrderFulfillabilityRequest {
        merchant_id: "museum".into(),
        item,
        cart_id: String::new(),
    }
}

fn appointment(number: i64) -> CheckOrderFulfillabilityRequest {
    let item = vec![in_days(Item::haircut(), 1 + number % DAYS).0];
    CheckOrderFulfillabilityRequest {
        merchant_id: "salon".into(),
        item,
        cart_id: String::new(),
    }
}

/// A cart whose spots are held.
fn held(number: i64) -> CheckOrderFulfillabilityRequest {
    let item = Item::raft_trip()
        .tickets(&[("seat", 2), ("youth", 2)])
        .price("USD", 180_000_000);
    let item = vec![in_days(item, 1 + number % DAYS).0];
    CheckOrderFulfillabilityRequest {
        merchant_id: "rafting".into(),
        item,
        cart_id: format!("cart-{number}"),
    }
}

fn by_user() -> ListOrdersRequest {
    ListOrdersRequest {
        ids: Some(Ids::UserId("user-1".into())),
    }
}

fn by_ids() -> ListOrdersRequest {
    let order_id = vec!["AAAAAAAAAAAAAAAAAAAAAAAAAA".into(), "stranger".into()];
    ListOrdersRequest {
        ids: Some(Ids::OrderIds(OrderIds { order_id })),
    }
}

/// Fails unless this is an answer of the contract or a rejection of the table. Gives the order that
/// was created, if one was.
fn judge(schema: &Schema, good: &Good, sent: &[u8], answer: &Answer, what: &str) -> Option<Order> {
    assert_eq!(answer.http, StatusCode::OK, "{what}");
    if answer.code() != Code::Ok {
        assert_error(answer, what);
        for violation in violations(answer) {
            assert!(
                schema.leads_somewhere(good.message, &violation),
                "{what}: there is no field {violation}"
            );
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
        LOOK_UP => {
            invariants::hold_for_lookup(&Message::decode(sent).unwrap(), &answer.message());
            None
        }
        LOOK_AT => {
            invariants::hold_for_availability(&Message::decode(sent).unwrap(), &answer.message());
            None
        }
        _ => {
            let listed: ListOrdersResponse = answer.message();
            listed
                .order
                .iter()
                .for_each(|order| judge_order(order, what));
            None
        }
    }
}

/// Fails unless the rejection is one that bad input may get, with what belongs to it.
fn assert_error(answer: &Answer, what: &str) {
    let details = answer.details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("{what}: {:?} has no reason", answer.status()));
    assert_eq!(info.domain, "boxoffice", "{what}");
    let violated = !violations(answer).is_empty();
    match (answer.code(), info.reason.as_str()) {
        (Code::InvalidArgument, "INVALID_REQUEST" | "TOKEN_REUSED") => assert!(violated, "{what}"),
        (Code::InvalidArgument, "MALFORMED_MESSAGE" | "UNSUPPORTED_MEDIA_TYPE")
        | (Code::ResourceExhausted, "REQUEST_TOO_LARGE")
        | (Code::Unimplemented, "UNKNOWN_METHOD" | "UNSUPPORTED_ENCODING" | "METHOD_NOT_ALLOWED") =>
        {
            assert!(!violated, "{what}");
        }
        other => panic!("{what}: {other:?}: {}", answer.status().message()),
    }
    assert!(!answer.status().message().is_empty(), "{what}");
}

/// Paths of the fields that a rejection names.
fn violations(answer: &Answer) -> Vec<String> {
    let details = answer.details();
    let violations = details
        .bad_request()
        .map(|found| found.field_violations.clone());
    violations
        .unwrap_or_default()
        .into_iter()
        .map(|violation| violation.field)
        .collect()
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
    match created
        .result
        .unwrap_or_else(|| panic!("{what}: neither an order nor a failure"))
    {
        Outcome::Order(order) => {
            judge_order(&order, what);
            Some(*order)
        }
        Outcome::OrderFailure(failure) => {
            let asked = CreateOrderRequest::decode(sent).unwrap();
            judge_failure(&failure, asked.order.unwrap().item.len(), what);
            None
        }
    }
}

fn judge_order(order: &Order, what: &str) {
    assert!(
        !order.order_id.is_empty() && !order.item.is_empty(),
        "{what}"
    );
    assert!(order.item.iter().all(|item| item.status != 0), "{what}");
}

fn judge_failure(failure: &OrderFailure, items: usize, what: &str) {
    match failure.cause() {
        Cause::Unspecified => panic!("{what}: {failure:?}"),
        Cause::OrderUnfulfillable => {
            judge_verdict(failure.fulfillability.as_ref().unwrap(), items, what);
        }
        Cause::PaymentErrorCardTypeRejected => assert_ne!(failure.rejected_card_type, 0, "{what}"),
        Cause::PaymentRequires3ds1 => {
            assert!(
                failure
                    .payment_failure
                    .as_ref()
                    .unwrap()
                    .threeds1_parameters
                    .is_some(),
                "{what}"
            );
        }
        Cause::PaymentErrorCardDeclined | Cause::PaymentError | Cause::IncorrectFeeTotal => {}
    }
}

#[tokio::test]
async fn every_field_can_be_spoilt_in_every_way() {
    let schema = Schema::published();
    let transport = Transport::open().await;
    let mut kinds = HashSet::new();
    let mut sold = BTreeMap::new();
    let mut number = 0;
    for good in &GOOD {
        let sound = (good.make)(number);
        let answer = transport.client.call(good.method, &sound).await;
        assert_eq!(
            answer.code(),
            Code::Ok,
            "{} is good: {:?}",
            good.message,
            answer.status()
        );
        note_sold(
            &mut sold,
            judge(&schema, good, &sound, &answer, "a good message"),
        );
        for mutation in good.read(&schema, number).mutations(&schema) {
            number += 1;
            let corrupted = mutation.apply(good.read(&schema, number));
            let what = format!("{} {}", good.method, mutation.what);
            let answer = with_timeout(&what, transport.client.call(good.method, &corrupted)).await;
            note_sold(&mut sold, judge(&schema, good, &corrupted, &answer, &what));
            judge_text(&mutation, &answer);
            transport
                .agrees_over_rest(good, &corrupted, &answer, &what)
                .await;
            transport.still_works(&what).await;
            kinds.insert(what);
        }
    }
    assert!(kinds.len() >= 500, "only {} kinds", kinds.len());
    for (start_sec, tickets) in sold {
        assert_eq!(
            spots_open(&transport.client, start_sec).await,
            SPOTS - tickets,
            "at {start_sec}"
        );
    }
    transport.close().await;
}

/// What should be text and is none is rejected with the name of its field.
fn judge_text(mutation: &Mutation, answer: &Answer) {
    if mutation.is_no_text() {
        assert_eq!(answer.reason(), "MALFORMED_MESSAGE", "{}", mutation.what);
        let message = answer.status().message().to_owned();
        assert!(
            message.contains(&mutation.field),
            "{}: {message}",
            mutation.what
        );
    }
}

/// Tickets of the museum's that were sold, by the start of the slot.
fn note_sold(sold: &mut BTreeMap<i64, i32>, order: Option<Order>) {
    for item in order
        .into_iter()
        .filter(|order| order.merchant_id == "museum")
        .flat_map(|order| order.item)
    {
        *sold.entry(item.start_sec).or_default() +=
            item.tickets.iter().map(|ticket| ticket.count).sum::<i32>();
    }
}

async fn spots_open(client: &ByteClient, start_sec: i64) -> i32 {
    let mut item = visit().0;
    item.start_sec = start_sec;
    let request = CheckOrderFulfillabilityRequest {
        merchant_id: "museum".into(),
        item: vec![item],
        cart_id: String::new(),
    };
    let checked: CheckOrderFulfillabilityResponse =
        client.call(CHECK, &request.encode_to_vec()).await.message();
    checked.fulfillability.unwrap().item_fulfillability[0]
        .availability
        .unwrap()
        .spots_open
}

#[tokio::test]
async fn a_message_may_end_anywhere() {
    let schema = Schema::published();
    let transport = Transport::open().await;
    for good in &GOOD {
        let whole = (good.make)(0);
        for length in 0..whole.len() {
            let what = format!("the first {length} bytes of {}", good.message);
            let answer =
                with_timeout(&what, transport.client.call(good.method, &whole[..length])).await;
            judge(&schema, good, &whole[..length], &answer, &what);
        }
        transport.still_works(good.message).await;
    }
    transport.close().await;
}

#[tokio::test]
async fn a_message_may_hold_what_the_schema_does_not_know() {
    let schema = Schema::published();
    let transport = Transport::open().await;
    let unknown: [(&str, Vec<u8>); 8] = [
        ("a field of a later edition", delimited(1000, b"later")),
        (
            "the greatest field number",
            delimited((1 << 29) - 1, b"last"),
        ),
        ("the field number 0", vec![0x02, 0x01, b'x']),
        (
            "a field number beyond the greatest",
            vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00],
        ),
        ("a group that is closed", vec![0xfb, 0x7f, 0xfc, 0x7f]),
        ("a group that is not closed", vec![0xfb, 0x7f]),
        ("the end of a group that was not begun", vec![0xfc, 0x7f]),
        ("groups in groups", [0xfb, 0x7f].repeat(100_000)),
    ];
    for good in &GOOD {
        for (number, (what, extra)) in (0..).zip(&unknown) {
            for corrupted in [
                [(good.make)(number), extra.clone()].concat(),
                [extra.clone(), (good.make)(number)].concat(),
            ] {
                let answer =
                    with_timeout(what, transport.client.call(good.method, &corrupted)).await;
                judge(&schema, good, &corrupted, &answer, what);
            }
        }
        transport.still_works(good.message).await;
    }
    transport.close().await;
}

#[tokio::test]
async fn frames_may_be_broken_in_every_way() {
    let transport = Transport::open().await;
    let good = framed(&by_user().encode_to_vec());
    let with = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        Bytes::from(bytes)
    };
    let rejected = [
        ("nothing at all", Bytes::new(), "MALFORMED_MESSAGE"),
        ("a byte", good.slice(..1), "MALFORMED_MESSAGE"),
        ("half a header", good.slice(..3), "MALFORMED_MESSAGE"),
        ("a header alone", good.slice(..5), "MALFORMED_MESSAGE"),
        ("half a message", good.slice(..8), "MALFORMED_MESSAGE"),
        (
            "more announced than comes",
            with(4, 200),
            "MALFORMED_MESSAGE",
        ),
        ("less announced than comes", with(4, 3), "MALFORMED_MESSAGE"),
        (
            "a compressed message of no encoding",
            with(0, 1),
            "MALFORMED_MESSAGE",
        ),
        (
            "a flag that does not exist",
            with(0, 2),
            "MALFORMED_MESSAGE",
        ),
        (
            "another flag that does not exist",
            with(0, 255),
            "MALFORMED_MESSAGE",
        ),
        (
            "four gigabytes announced",
            with(1, 255),
            "REQUEST_TOO_LARGE",
        ),
        ("16 megabytes announced", with(1, 1), "REQUEST_TOO_LARGE"),
        (
            "half a second message",
            [&good[..], &good[..7]].concat().into(),
            "MALFORMED_MESSAGE",
        ),
        (
            "a second message",
            [&good[..], &good[..]].concat().into(),
            "MALFORMED_MESSAGE",
        ),
        (
            "an empty second message",
            [&good[..], &[0; 5]].concat().into(),
            "MALFORMED_MESSAGE",
        ),
        (
            "a byte too many",
            [&good[..], b"x"].concat().into(),
            "MALFORMED_MESSAGE",
        ),
        (
            "text",
            Bytes::from_static(b"{\"user_id\": \"user-1\"}"),
            "MALFORMED_MESSAGE",
        ),
    ];
    for (what, bytes, reason) in rejected {
        for method in [CHECK, CREATE, LIST, LOOK_UP, LOOK_AT] {
            let request = transport
                .client
                .request(method)
                .body(whole(bytes.clone()))
                .unwrap();
            let answer = with_timeout(what, transport.client.send(request))
                .await
                .unwrap();
            assert_error(&answer, what);
            assert_eq!(answer.reason(), reason, "{what}");
        }
        transport.still_works(what).await;
    }
    for length in 0..good.len() {
        let request = transport
            .client
            .request(LIST)
            .body(truncated(good.slice(..length)))
            .unwrap();
        assert!(
            with_timeout(
                "the end of a call that broke off",
                transport.client.send(request)
            )
            .await
            .is_err()
        );
    }
    transport.still_works("calls that broke off").await;
    transport.close().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn requests_may_be_odd_in_every_other_way() {
    let transport = Transport::open().await;
    let frame = framed(&by_user().encode_to_vec());
    let service = "/ext.maps.booking.partner.v3.BookingService";
    let long = format!("{service}/{}", "x".repeat(8000));
    let unknown = [
        &format!("{service}/CreateBooking"),
        &format!("{service}/listorders"),
        &format!("{service}/ListOrders/"),
        &format!("{service}//ListOrders"),
        &format!("{service}/%4cistOrders"),
        &format!("{service}/"),
        &long,
        "/ext.maps.booking.partner.v2.BookingService/ListOrders",
        "/ListOrders",
        "/v3/HealthCheck",
        "/",
        "//",
    ];
    for path in unknown {
        let request = transport
            .client
            .request_to(path)
            .body(whole(frame.clone()))
            .unwrap();
        let answer = with_timeout(path, transport.client.send(request))
            .await
            .unwrap();
        assert_error(&answer, path);
        assert_eq!(answer.reason(), "UNKNOWN_METHOD", "{path}");
        transport.still_works(path).await;
    }
    for encoding in ["gzip", "deflate", "snappy", "no such thing"] {
        let request = transport
            .client
            .request(LIST)
            .header("grpc-encoding", encoding);
        let request = request.body(whole(frame.clone())).unwrap();
        let answer = with_timeout(encoding, transport.client.send(request))
            .await
            .unwrap();
        assert_error(&answer, encoding);
        assert_eq!(answer.reason(), "UNSUPPORTED_ENCODING", "{encoding}");
        assert_eq!(
            answer.header("grpc-accept-encoding"),
            "identity",
            "{encoding}"
        );
    }
    for method in [
        Method::GET,
        Method::PUT,
        Method::OPTIONS,
        Method::DELETE,
        Method::HEAD,
        Method::TRACE,
    ] {
        let request = transport
            .client
            .request(LIST)
            .method(&method)
            .body(whole(Bytes::new()))
            .unwrap();
        let answer = with_timeout("an answer", transport.client.send(request))
            .await
            .unwrap();
        assert_error(&answer, method.as_str());
        assert_eq!(
            (answer.http.as_u16(), answer.header("allow")),
            (405, "POST"),
            "{method}"
        );
        transport.still_works(method.as_str()).await;
    }
    for content_type in [
        "text/plain",
        "application/json",
        "application/grpc+thrift",
        "",
    ] {
        let mut request = transport
            .client
            .request(LIST)
            .body(whole(frame.clone()))
            .unwrap();
        request
            .headers_mut()
            .insert("content-type", content_type.parse().unwrap());
        let answer = with_timeout(content_type, transport.client.send(request))
            .await
            .unwrap();
        assert_error(&answer, content_type);
        assert_eq!(
            (answer.http.as_u16(), &*answer.reason()),
            (415, "UNSUPPORTED_MEDIA_TYPE"),
            "{content_type}"
        );
        transport.still_works(content_type).await;
    }
    for (header, value) in [
        ("content-type", "application/grpc+proto; charset=utf-8"),
        ("te", "gzip"),
        ("grpc-accept-encoding", "no such thing"),
        ("some-bin", "this is not base64 !!"),
        ("authorization", "\u{fc}"),
        ("x-long", &"x".repeat(10_000)),
    ] {
        let mut request = transport
            .client
            .request(LIST)
            .body(whole(frame.clone()))
            .unwrap();
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request
            .headers_mut()
            .insert(HeaderName::from_static(header), value);
        let answer = with_timeout(header, transport.client.send(request))
            .await
            .unwrap();
        assert_eq!(
            answer.code(),
            Code::Ok,
            "{header}: what needs no header is served without"
        );
    }
    transport.still_works("odd requests").await;
    transport.close().await;
}

#[tokio::test]
async fn connections_may_say_anything() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    let transport = Transport::open().await;
    let begun = |frame: &[u8]| [PREFACE, SETTINGS, frame].concat();
    let talks: [(&str, Vec<u8>); 16] = [
        ("nothing", Vec::new()),
        ("a zero", vec![0]),
        ("zeros", vec![0; 4096]),
        ("ones", vec![0xff; 4096]),
        (
            "an HTTP/1.1 request",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        (
            "an HTTP/1.1 upgrade",
            b"GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n".to_vec(),
        ),
        (
            "the beginning of TLS",
            vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        ),
        ("half a preface", PREFACE[..12].to_vec()),
        (
            "a preface that goes wrong",
            [&PREFACE[..20], b"garbage"].concat(),
        ),
        ("a preface and garbage", [PREFACE, &[b'x'; 100]].concat()),
        (
            "a preface and no settings",
            [PREFACE, &[0, 0, 0, 6, 0, 0, 0, 0, 0]].concat(),
        ),
        (
            "settings of a wrong length",
            [PREFACE, &[0, 0, 1, 4, 0, 0, 0, 0, 0, 7]].concat(),
        ),
        (
            "a frame of 16 megabytes",
            begun(&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]),
        ),
        (
            "headers that are none",
            begun(&[0, 0, 4, 1, 5, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "data of no stream",
            begun(&[0, 0, 1, 0, 0, 0, 0, 0, 9, b'x']),
        ),
        (
            "a window that overflows",
            begun(&[0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]),
        ),
    ];
    for (what, bytes) in talks {
        let mut stream = TcpStream::connect(transport.server.address())
            .await
            .unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        // It may be closed or reset, but not kept.
        let _ = with_timeout(what, stream.read_to_end(&mut Vec::new())).await;
        transport.still_works(what).await;
        let another = ByteClient::connect(transport.server.address()).await;
        assert_eq!(
            with_timeout(what, another.call(LIST, &by_user().encode_to_vec()))
                .await
                .code(),
            Code::Ok
        );
    }
    transport.close().await;
}
