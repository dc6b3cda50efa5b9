//! Listing orders: of a user, newest first; by id, in the order asked.

use boxoffice::api::booking::{
    proto::v3::{
        ListOrdersRequest, ListOrdersResponse, Order,
        list_orders_request::{Ids, OrderIds},
    },
    requests::MAX_ADDRESS_CHARS,
};
use domain::time::Seconds;
use prost::Message;
use tempfile::TempDir;
use tonic::Code;

use crate::support::{
    Item, LONG_LETTER, Setup, TestServer, address_of, config, faulty_fields, order_request, reason,
    rest_client,
};

fn visit() -> Item {
    Item::museum_entry()
        .tickets(&[("adult", 1)])
        .price("USD", 25_000_000)
}

/// Creates an order for a user, with an address of that many bytes.
async fn create(server: &TestServer, token: &str, user_id: &str, bytes: usize) -> Order {
    order(server, token, user_id, visit(), &"x".repeat(bytes / 5)).await
}

/// Creates an order for a user, with this text in each field of the address.
async fn order(server: &TestServer, token: &str, user_id: &str, item: Item, text: &str) -> Order {
    let mut request = order_request(token, "museum", [item]);
    let user = request
        .order
        .as_mut()
        .unwrap()
        .user_information
        .as_mut()
        .unwrap();
    user.user_id = user_id.into();
    user.address = Some(address_of(text));
    server.send(request).await.unwrap().order()
}

/// Three orders of Ada, with one of Bob's between.
async fn adas_and_bobs(server: &TestServer) -> ([Order; 3], Order) {
    let first = create(server, "1", "ada", 0).await;
    server.clock.advance(Seconds::new(-3600));
    let second = create(server, "2", "ada", 0).await;
    let bobs = create(server, "3", "bob", 0).await;
    let third = create(server, "4", "ada", 0).await;
    ([first, second, third], bobs)
}

#[tokio::test]
async fn a_users_orders_come_newest_first_even_if_the_clock_was_set_back() {
    let server = TestServer::start().await;
    let ([first, second, third], bobs) = adas_and_bobs(&server).await;
    assert_eq!(
        server.list_user("ada").await.unwrap(),
        [third, second, first]
    );
    assert_eq!(server.list_user("bob").await.unwrap(), [bobs]);
}

#[tokio::test]
async fn after_a_restart_the_lists_are_the_same() {
    let store = TempDir::new().unwrap();
    let server = Setup::embedded(store.path()).start().await;
    let ([first, second, third], bobs) = adas_and_bobs(&server).await;
    server.stop().await;
    let server = Setup::embedded(store.path()).start().await;
    let fourth = create(&server, "5", "ada", 0).await;
    let ids = [&first, &bobs].map(|order| order.order_id.clone());
    assert_eq!(server.list_ids(ids).await.unwrap(), [first.clone(), bobs]);
    assert_eq!(
        server.list_user("ada").await.unwrap(),
        [fourth, third, second, first]
    );
}

#[tokio::test]
async fn a_user_without_orders_has_an_empty_list() {
    let server = TestServer::start().await;
    create(&server, "1", "ada", 0).await;
    for user_id in ["bob", "Ada", "ad", "adaa", " ada"] {
        assert_eq!(server.list_user(user_id).await.unwrap(), [], "{user_id:?}");
    }
}

#[tokio::test]
async fn orders_by_id_come_in_the_order_asked_each_once_and_unknown_ones_are_left_out() {
    let server = TestServer::start().await;
    let ([a, b, c], d) = adas_and_bobs(&server).await;
    let id = |order: &Order| order.order_id.clone();
    let unknown = || "AAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned();
    for (rule, ids, expected) in [
        (
            "as asked",
            vec![id(&b), id(&d), id(&a), id(&c)],
            vec![&b, &d, &a, &c],
        ),
        (
            "the other way round",
            vec![id(&c), id(&a), id(&d), id(&b)],
            vec![&c, &a, &d, &b],
        ),
        (
            "duplicates once",
            vec![id(&a), id(&b), id(&a), id(&b), id(&a)],
            vec![&a, &b],
        ),
        (
            "without unknown ones",
            vec![unknown(), id(&a), "x".into(), String::new(), id(&b)],
            vec![&a, &b],
        ),
        (
            "ids are exact",
            vec![id(&a).to_lowercase(), format!(" {}", id(&a))],
            vec![],
        ),
        ("only unknown ones", vec![unknown()], vec![]),
    ] {
        let listed = server.list_ids(ids).await.unwrap();
        assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{rule}");
    }
}

#[tokio::test]
async fn a_list_of_nothing_in_particular_is_an_invalid_argument() {
    let server = TestServer::start().await;
    for (rule, ids, field) in [
        ("neither", None, "ids"),
        (
            "an empty user id",
            Some(Ids::UserId(String::new())),
            "user_id",
        ),
        (
            "no order id",
            Some(Ids::OrderIds(OrderIds::default())),
            "order_ids.order_id",
        ),
        (
            "a user id too long",
            Some(Ids::UserId("x".repeat(1025))),
            "user_id",
        ),
    ] {
        let rejection = server
            .list_request(&ListOrdersRequest { ids })
            .await
            .unwrap_err();
        assert_eq!(rejection.code(), Code::InvalidArgument, "{rule}");
        assert_eq!(faulty_fields(&rejection), [field], "{rule}");
    }
}

#[tokio::test]
async fn an_order_is_listed_the_moment_it_is_answered() {
    let store = TempDir::new().unwrap();
    let server = Setup::embedded(store.path()).start().await;
    let mut newest_first = Vec::new();
    for token in 0..20 {
        let order = create(&server, &token.to_string(), "ada", 0).await;
        newest_first.insert(0, order);
        let newest = &newest_first[..1];
        assert_eq!(
            server.list_ids([&newest[0].order_id]).await.unwrap(),
            newest
        );
        assert_eq!(server.list_user("ada").await.unwrap(), newest_first);
    }
}

/// A server that answers at most so many bytes.
async fn answering_at_most(max_response_bytes: usize) -> TestServer {
    let mut config = config();
    config.calls.max_response_bytes = max_response_bytes;
    Setup::with_config(config).start().await
}

#[tokio::test]
async fn a_list_beyond_the_limit_is_rejected_and_can_be_requested_in_parts() {
    const LIMIT: usize = 4096;
    let server = answering_at_most(LIMIT).await;
    let mut orders = Vec::new();
    for token in 0..8 {
        orders.push(create(&server, &token.to_string(), "ada", 1000).await);
    }
    let ids: Vec<_> = orders.iter().map(|order| order.order_id.clone()).collect();
    for rejection in [
        server.list_user("ada").await.unwrap_err(),
        server.list_ids(&ids).await.unwrap_err(),
    ] {
        assert_eq!(
            (rejection.code(), &*reason(&rejection)),
            (Code::ResourceExhausted, "RESPONSE_TOO_LARGE")
        );
        assert!(rejection.message().contains("4096"), "{rejection:?}");
    }
    let mut paged = Vec::new();
    for page in ids.chunks(2) {
        let listed = server.list_ids(page).await.unwrap();
        assert!(listed.iter().map(Message::encoded_len).sum::<usize>() <= LIMIT);
        paged.extend(listed);
    }
    assert_eq!(paged, orders, "whole ones");
}

#[tokio::test]
async fn a_list_counts_by_its_encoded_size() {
    let server = answering_at_most(4096).await;
    let request = ListOrdersRequest {
        ids: Some(Ids::UserId("ada".into())),
    };
    for token in 0.. {
        create(&server, &token.to_string(), "ada", 0).await;
        let by_rest = rest_client::call::<ListOrdersResponse>(
            server.server.address(),
            "ListOrders",
            &request,
        );
        if let Err(rejection) = by_rest.await {
            assert_eq!(reason(&rejection), "RESPONSE_TOO_LARGE");
            break;
        }
    }
    let by_grpc = server
        .client()
        .list_orders(request)
        .await
        .unwrap()
        .into_inner();
    assert!(
        by_grpc.encoded_len() < 4096,
        "as protocol buffers it is shorter than as JSON"
    );
}

#[tokio::test]
async fn a_list_of_several_megabytes_is_answered_whole() {
    let server = TestServer::start().await;
    let text = LONG_LETTER.repeat(MAX_ADDRESS_CHARS);
    let mut newest_first = Vec::new();
    for number in 0..500 {
        let Item(mut item) = visit();
        // A slot has fewer spots than there are orders.
        item.start_sec += number % 25 * 86_400;
        newest_first.insert(
            0,
            order(&server, &number.to_string(), "ada", Item(item), &text).await,
        );
    }
    let listed = server.list_user("ada").await.unwrap();
    assert!(listed.iter().map(Message::encoded_len).sum::<usize>() > 2_500_000);
    assert!(
        listed == newest_first,
        "five hundred orders with as long an address as there may be"
    );
}
