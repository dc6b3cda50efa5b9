//! Orders of the operator's service: one by one, by search, page by page, and their history.

use boxoffice::api::operator::proto::v1::{
    GetOrderRequest, GetOrderResponse, ListHistoryRequest, ListHistoryResponse, Order,
    SearchOrdersRequest, SearchOrdersResponse,
};
use serde_json::json;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use super::stage::{Ordered, Stage, message};
use crate::support::{
    NOW, agree,
    rest_client::{post, send},
    tomorrow_at,
};

/// A search over both transports, which have to agree.
async fn search(
    stage: &Stage,
    query: &str,
    request: SearchOrdersRequest,
) -> Result<SearchOrdersResponse, Status> {
    let by_grpc = stage.orders().search_orders(request).await;
    let by_grpc = by_grpc.map(Response::into_inner);
    let by_rest = stage.read(&format!("/operator/v1/orders?{query}")).await;
    agree(&by_grpc, &by_rest);
    by_grpc
}

fn names(found: &SearchOrdersResponse) -> Vec<&str> {
    found.orders.iter().map(|order| &*order.name).collect()
}

async fn get(stage: &Stage, id: &str, mask: &[&str]) -> Result<Order, Status> {
    let request = GetOrderRequest {
        name: format!("orders/{id}"),
        read_mask: Some(pbjson_types::FieldMask {
            paths: mask.iter().map(|&path| path.to_owned()).collect(),
        }),
    };
    let by_grpc = stage.orders().get_order(request).await;
    let by_grpc = by_grpc.map(Response::into_inner);
    let path = format!("/operator/v1/orders/{id}?read_mask={}", mask.join(","));
    let by_rest: Result<GetOrderResponse, Status> = stage.read(&path).await;
    agree(&by_grpc, &by_rest);
    by_grpc.map(|response| response.order.unwrap())
}

#[tokio::test]
async fn an_order_is_shown_as_it_was_placed() {
    let stage = Stage::start().await;
    let id = stage.order("a", 3, Ordered::Haircut).await;
    let mut order = get(&stage, &id, &[]).await.unwrap();
    // The tests of changes have these.
    order.next_states.clear();
    let found = serde_json::to_value(&order).unwrap();
    assert!(!order.etag.is_empty());
    let at = |second: i64| {
        json!(pbjson_types::Timestamp {
            seconds: second,
            nanos: 0
        })
    };
    let due = json!({"micros": "40000000", "currency_code": "USD"});
    let expected = json!({
        "name": format!("orders/{id}"),
        "state": "processing",
        "merchant_id": "salon",
        "channel": "google",
        "items": [{
            "state": "confirmed",
            "booking_status": "CONFIRMED",
            "service_id": "haircut",
            "service_name": "Haircut",
            "start_time": at(tomorrow_at(9, 0)),
            "duration_sec": "3600",
            "price": due,
            "holds_spots": true,
        }],
        "payment": {"paid_by": "merchant", "due": due},
        "etag": order.etag,
        "create_time": at(NOW + 3),
        "update_time": at(NOW + 3),
        "time_zone": "UTC",
    });
    assert_eq!(found, expected);
    stage.stop().await;
}

#[tokio::test]
async fn a_customer_is_shown_only_if_the_mask_names_it() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Haircut).await;
    let order = get(&stage, &id, &["customer", "items"]).await.unwrap();
    assert_eq!(order.name, "");
    let customer = order.customer.unwrap();
    assert_eq!(
        (&*customer.user_id, &*customer.email),
        ("user-a", "Ada-a@example.com")
    );
    let answer = &order.items[0].answers[0];
    assert_eq!(answer.question_id, "hair_length");
    assert_ne!(answer.question, "");
    assert_eq!(answer.responses, ["short"]);
    let everything = get(&stage, &id, &["*"]).await.unwrap();
    assert_eq!(everything.customer, Some(customer));
    let without = get(&stage, &id, &["items"]).await.unwrap();
    assert_eq!(
        (without.customer, without.items[0].answers.len()),
        (None, 0)
    );
    stage.stop().await;
}

#[tokio::test]
async fn an_order_is_over_when_its_last_slot_has_ended() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    for (second, expected) in [
        (0, false),
        (tomorrow_at(12, 0) - 1, false),
        (tomorrow_at(12, 0), true),
    ] {
        stage
            .server
            .clock
            .set(domain::time::EpochSeconds::new(second.max(NOW)));
        assert_eq!(
            get(&stage, &id, &[]).await.unwrap().over,
            expected,
            "{second}"
        );
    }
    stage.stop().await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn orders_are_found_by_every_condition() {
    let stage = Stage::start().await;
    let a = stage.order("a", 0, Ordered::Museum).await;
    let b = stage.order("b", 10, Ordered::Haircut).await;
    let c = stage.order("c", 20, Ordered::Symphony).await;
    let d = stage.order("d", 30, Ordered::Museum).await;
    let second = |second: i64| {
        Some(pbjson_types::Timestamp {
            seconds: second,
            nanos: 0,
        })
    };
    let base = SearchOrdersRequest::default;
    let ten = tomorrow_at(10, 0);
    let cases: Vec<(String, SearchOrdersRequest, Vec<&String>)> = vec![
        (String::new(), base(), vec![&d, &c, &b, &a]),
        (
            "merchant_id=museum".into(),
            SearchOrdersRequest {
                merchant_id: "museum".into(),
                ..base()
            },
            vec![&d, &a],
        ),
        (
            "service_id=haircut".into(),
            SearchOrdersRequest {
                service_id: "haircut".into(),
                ..base()
            },
            vec![&b],
        ),
        (
            "visit_date=2026-01-16".into(),
            SearchOrdersRequest {
                visit_date: "2026-01-16".into(),
                ..base()
            },
            vec![&d, &b, &a],
        ),
        // In Tokyo it is the next day already.
        (
            "visit_date=2026-01-17".into(),
            SearchOrdersRequest {
                visit_date: "2026-01-17".into(),
                ..base()
            },
            vec![&c],
        ),
        (
            "slot_start_time=2026-01-16T10:00:00Z".into(),
            SearchOrdersRequest {
                slot_start_time: second(ten),
                ..base()
            },
            vec![&d, &a],
        ),
        (
            "merchant_id=museum&service_id=museum-entry&slot_start_time=2026-01-16T10:00:00Z"
                .into(),
            SearchOrdersRequest {
                merchant_id: "museum".into(),
                service_id: "museum-entry".into(),
                slot_start_time: second(ten),
                ..base()
            },
            vec![&d, &a],
        ),
        (
            "merchant_id=museum&service_id=museum-entry&slot_start_time=2026-01-16T11:00:00Z"
                .into(),
            SearchOrdersRequest {
                merchant_id: "museum".into(),
                service_id: "museum-entry".into(),
                slot_start_time: second(ten + 3600),
                ..base()
            },
            vec![],
        ),
        (
            "states=processing&states=cancelled".into(),
            SearchOrdersRequest {
                states: vec!["processing".into(), "cancelled".into()],
                ..base()
            },
            vec![&d, &c, &b, &a],
        ),
        (
            "states=cancelled".into(),
            SearchOrdersRequest {
                states: vec!["cancelled".into()],
                ..base()
            },
            vec![],
        ),
        (
            "user_id=user-c".into(),
            SearchOrdersRequest {
                user_id: "user-c".into(),
                ..base()
            },
            vec![&c],
        ),
        (
            "customer_name=ADA+lovelace-B".into(),
            SearchOrdersRequest {
                customer_name: "ADA lovelace-B".into(),
                ..base()
            },
            vec![&b],
        ),
        (
            "email=ADA-D@EXAMPLE.COM".into(),
            SearchOrdersRequest {
                email: "ADA-D@EXAMPLE.COM".into(),
                ..base()
            },
            vec![&d],
        ),
        (
            format!("order_id_prefix={}", b[..12].to_lowercase()),
            SearchOrdersRequest {
                order_id_prefix: b[..12].into(),
                ..base()
            },
            vec![&b],
        ),
        (
            "created_from=2026-01-15T06:00:10Z&created_until=2026-01-15T06:00:30Z".into(),
            SearchOrdersRequest {
                created_from: second(NOW + 10),
                created_until: second(NOW + 30),
                ..base()
            },
            vec![&c, &b],
        ),
        (
            "needs_attention=true".into(),
            SearchOrdersRequest {
                needs_attention: true,
                ..base()
            },
            vec![],
        ),
        (
            "user_id=user-a&merchant_id=salon".into(),
            SearchOrdersRequest {
                user_id: "user-a".into(),
                merchant_id: "salon".into(),
                ..base()
            },
            vec![],
        ),
    ];
    for (query, request, expected) in cases {
        let found = search(&stage, &query, request).await.unwrap();
        let expected: Vec<_> = expected.iter().map(|id| format!("orders/{id}")).collect();
        assert_eq!(names(&found), expected, "{query}");
        assert_eq!(found.next_page_token, "", "{query}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_search_is_sent_as_json_too() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let body = json!({"merchantId": "museum", "read_mask": "name", "page_size": 3}).to_string();
    let answer = send(stage.address, post("/operator/v1/orders:search", body)).await;
    let found: SearchOrdersResponse = message(&answer).unwrap();
    let only_name = Order {
        name: format!("orders/{id}"),
        ..Order::default()
    };
    assert_eq!(found.orders, [only_name]);
    stage.stop().await;
}

#[tokio::test]
async fn pages_have_every_order_once_also_while_orders_come() {
    let stage = Stage::start().await;
    let mut expected = Vec::new();
    for number in 0..7 {
        let id = stage
            .order(&format!("t{number}"), number, Ordered::Museum)
            .await;
        expected.insert(0, format!("orders/{id}"));
    }
    let mut found = Vec::new();
    let mut page_token = String::new();
    for page in 0.. {
        let query = format!("merchant_id=museum&page_size=3&page_token={page_token}");
        let request = SearchOrdersRequest {
            merchant_id: "museum".into(),
            page_size: 3,
            page_token: page_token.clone(),
            ..SearchOrdersRequest::default()
        };
        let answer = search(&stage, &query, request).await.unwrap();
        found.extend(names(&answer).into_iter().map(str::to_owned));
        // An order that comes in between is newer than every page to come.
        stage
            .order(&format!("late{page}"), 100 + page, Ordered::Symphony)
            .await;
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, expected);
    stage.stop().await;
}

#[tokio::test]
async fn a_history_begins_with_the_creation() {
    let stage = Stage::start().await;
    let id = stage.order("a", 7, Ordered::Museum).await;
    let name = format!("orders/{id}");
    let request = ListHistoryRequest {
        parent: name.clone(),
        ..ListHistoryRequest::default()
    };
    let by_grpc = stage.orders().list_history(request).await;
    let by_grpc = by_grpc.map(Response::into_inner);
    let by_rest: Result<ListHistoryResponse, Status> =
        stage.read(&format!("/operator/v1/{name}/history")).await;
    agree(&by_grpc, &by_rest);
    let ListHistoryResponse {
        entries,
        next_page_token,
    } = by_grpc.unwrap();
    assert_eq!((entries.len(), &*next_page_token), (1, ""));
    let entry = &entries[0];
    assert_eq!((entry.revision, &*entry.cause), (0, "created"));
    assert_eq!(entry.time.unwrap().seconds, NOW + 7);
    let states: Vec<_> = entry
        .transitions
        .iter()
        .map(|it| (&*it.target, &*it.to_state))
        .collect();
    let item = format!("{name}/items/0");
    assert_eq!(states, [(&*name, "processing"), (&*item, "confirmed")]);
    stage.stop().await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn a_request_that_breaks_a_rule_is_answered_with_field_and_rule() {
    let stage = Stage::start().await;
    stage.order("a", 0, Ordered::Museum).await;
    stage.order("b", 0, Ordered::Museum).await;
    let first: SearchOrdersResponse = stage
        .read("/operator/v1/orders?merchant_id=museum&page_size=1")
        .await
        .unwrap();
    let foreign = format!("/operator/v1/orders?page_token={}", first.next_page_token);
    let long = format!("/operator/v1/orders?merchant_id={}", "x".repeat(1025));
    for (path, field, rule) in [
        (
            "/operator/v1/orders?page_size=1001",
            "page_size",
            "must be from 0 to 1000",
        ),
        (
            "/operator/v1/orders?page_size=-1",
            "page_size",
            "must be from 0 to 1000",
        ),
        (
            "/operator/v1/orders?page_size=x",
            "page_size",
            "must be a whole number",
        ),
        (
            "/operator/v1/orders?page_token=x",
            "page_token",
            "is not from an answer to this request; without it, the list begins anew",
        ),
        (
            &foreign,
            "page_token",
            "is not from an answer to this request; without it, the list begins anew",
        ),
        (
            "/operator/v1/orders?visit_date=2026-1-16",
            "visit_date",
            "must be a date from 1970-01-01 to 9999-12-29",
        ),
        (
            "/operator/v1/orders?visit_date=2026-02-30",
            "visit_date",
            "must be a date from 1970-01-01 to 9999-12-29",
        ),
        (
            "/operator/v1/orders?created_from=2026-01-16T10:00:00.5Z",
            "created_from",
            "must be a whole second",
        ),
        (
            &long,
            "merchant_id",
            "has 1025 bytes; at most 1024 are taken",
        ),
        (
            "/operator/v1/orders/a?read_mask=names",
            "read_mask",
            "has \"names\", which is no field of an order; fields are name, state,",
        ),
        (
            "/operator/v1/orders/a?colour=red",
            "colour",
            "is not a parameter; expected one of name,",
        ),
        (
            "/operator/v1/orders/a%2Fb",
            "name",
            "must be `orders/` and the id of an order",
        ),
        ("/operator/v1/slots", "merchant_id", "is required"),
        (
            "/operator/v1/slots?merchant_id=museum",
            "date",
            "must be a date from",
        ),
        (
            "/operator/v1/slots?merchant_id=nobody&date=2026-01-16",
            "merchant_id",
            "has \"nobody\", which is no merchant; merchants are concert-hall, ",
        ),
        (
            "/operator/v1/slots?merchant_id=museum&service_id=nix&date=2026-01-16",
            "service_id",
            "has \"nix\", which is no service; services are ",
        ),
        (
            "/operator/v1/orders?states=nonsense",
            "states",
            "has \"nonsense\", which is no state of an order; states are ",
        ),
        (
            "/operator/v1/orders?merchant_id=nix",
            "merchant_id",
            "has \"nix\", which is no merchant; merchants are concert-hall, ",
        ),
        (
            "/operator/v1/orders?service_id=nix",
            "service_id",
            "has \"nix\", which is no service; services are ",
        ),
        (
            "/operator/v1/orders?merchant_id=museum&service_id=haircut",
            "service_id",
            "has \"haircut\", which is no service; services are ",
        ),
        (
            "/operator/v1/blocks?merchant_id=nix",
            "merchant_id",
            "has \"nix\", which is no merchant; merchants are concert-hall, ",
        ),
        (
            "/operator/v1/door?slot.merchant_id=museum&slot.service_id=museum-entry\
             &slot.start_time=2026-01-16T10:00:01Z",
            "slot.start_time",
            "is the start of no slot; slots start at ",
        ),
        (
            "/operator/v1/door?slot.merchant_id=museum&slot.service_id=museum-entry\
             &slot.start_time=2026-01-16T10:00:00Z&slot.duration_sec=7201",
            "slot.duration_sec",
            "is the length of no slot then; lengths are 7200",
        ),
        (
            "/operator/v1/door?slot.merchant_id=museum&slot.service_id=nix\
             &slot.start_time=2026-01-16T10:00:00Z",
            "slot.service_id",
            "has \"nix\", which is no service; services are ",
        ),
        (
            "/operator/v1/orders?created_from=2026-11-29",
            "created_from",
            "does not fit: expected a time such as ",
        ),
        (
            "/operator/v1/lifecycle?format=9",
            "format",
            "must be LIFECYCLE_FORMAT_TEXT, ",
        ),
        ("/operator/v1/door", "slot.merchant_id", "is required"),
        (
            "/operator/v1/door?slot.merchant_id=m&slot.service_id=s",
            "slot.start_time",
            "is required",
        ),
        (
            "/operator/v1/door?slot.merchant_id=m&slot.service_id=s\
             &slot.start_time=2026-01-16T10:00:00Z&slot.duration_sec=-1",
            "slot.duration_sec",
            "is not the length of a slot",
        ),
    ] {
        let rejection = stage.get(path).await.rejection();
        assert_eq!(rejection.code(), Code::InvalidArgument, "{path}");
        let request = rejection.get_details_bad_request().unwrap();
        let violation = &request.field_violations[0];
        assert_eq!(violation.field, field, "{path}");
        assert!(
            violation.description.starts_with(rule),
            "{path}: {}",
            violation.description
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let stage = Stage::start().await;
    for (path, expected) in [
        (
            "/operator/v1/orders/nobody",
            (404, "NOT_FOUND", "ORDER_NOT_FOUND"),
        ),
        (
            "/operator/v1/orders/nobody/history",
            (404, "NOT_FOUND", "ORDER_NOT_FOUND"),
        ),
        ("/operator/v1/order", (404, "NOT_FOUND", "NOT_FOUND")),
        ("/v3/CreateOrder", (404, "NOT_FOUND", "NOT_FOUND")),
        (
            "/operator/v1/orders:search",
            (405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED"),
        ),
    ] {
        let (http, status, reason) = stage.get(path).await.outcome();
        assert_eq!((http, &*status, &*reason), expected, "{path}");
    }
    let rejection = get(&stage, "nobody", &[]).await.unwrap_err();
    assert_eq!(rejection.message(), "there is no order \"nobody\"");
    stage.stop().await;
}
