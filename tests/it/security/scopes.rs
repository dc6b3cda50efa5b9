//! What each user of a server may do and see.

use std::path::Path;

use boxoffice::{
    api::booking::proto::v3::{
        BatchAvailabilityLookupRequest, BatchAvailabilityLookupResponse, CheckAvailabilityRequest,
        CheckAvailabilityResponse, CheckOrderFulfillabilityRequest,
        CheckOrderFulfillabilityResponse, CreateOrderRequest, CreateOrderResponse,
        ListOrdersRequest, ListOrdersResponse, Order, Slot, create_order_response,
        list_orders_request::{Ids, OrderIds},
    },
    server::Server,
};
use http::Method;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::support::{
    Item, Setup,
    byte_client::{ByteClient, framed, whole},
    config,
    keys::{Keys, basic},
    order_request,
    process::Program,
    reason,
    rest_client::{post, send, without_body},
};

/// A way to call. Browsers have one of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Grpc,
    GrpcWeb,
    Rest,
}

/// A message and its answer, as one of them is sent and the other read.
trait Message: prost::Message + Serialize {}
impl<M: prost::Message + Serialize> Message for M {}
trait Reply: boxoffice::api::booking::schema::Described + PartialEq {}
impl<M: boxoffice::api::booking::schema::Described + PartialEq> Reply for M {}

/// Somebody who calls with a password, which is the name.
#[derive(Clone, Copy)]
struct Caller<'s> {
    server: &'s Server,
    name: &'static str,
}

impl Caller<'_> {
    async fn call<R: Reply>(
        self,
        over: Over,
        method: &str,
        request: &impl Message,
    ) -> Result<R, Status> {
        let (address, password) = (self.server.address(), basic(self.name, self.name));
        match over {
            Over::Grpc => {
                let client = ByteClient::connect(address).await;
                let call = client.request(method).header("authorization", password);
                let body = whole(framed(&request.encode_to_vec()));
                let answer = client.send(call.body(body).unwrap()).await.unwrap();
                if answer.code() == Code::Ok {
                    Ok(answer.message())
                } else {
                    Err(answer.status())
                }
            }
            Over::GrpcWeb => {
                let call = http::Request::post(format!(
                    "/ext.maps.booking.partner.v3.BookingService/{method}"
                ))
                .header("host", "boxoffice")
                .header("authorization", password)
                .header("content-type", "application/grpc-web+proto");
                let body = whole(framed(&request.encode_to_vec()));
                let answer = send(address, call.body(body).unwrap()).await;
                if let Some(rejection) = Status::from_header_map(&answer.headers) {
                    return Err(rejection);
                }
                // Behind the message is a frame with the trailers.
                let length = u32::from_be_bytes(answer.body[1..5].try_into().unwrap());
                Ok(R::decode(&answer.body[5..5 + usize::try_from(length).unwrap()]).unwrap())
            }
            Over::Rest => {
                let mut call = post(
                    &format!("/v3/{method}"),
                    serde_json::to_vec(request).unwrap(),
                );
                call.headers_mut()
                    .insert("authorization", password.parse().unwrap());
                send(address, call).await.message()
            }
        }
    }

    /// Asks over gRPC and over REST, which have to agree.
    async fn ask<R: Reply>(self, method: &str, request: &impl Message) -> Result<R, Status> {
        let grpc = self.call::<R>(Over::Grpc, method, request).await;
        let rest = self.call::<R>(Over::Rest, method, request).await;
        match (&grpc, &rest) {
            (Ok(one), Ok(other)) => assert_eq!(one, other),
            (Err(one), Err(other)) => {
                assert_eq!(
                    rejection_of(Err::<R, _>(one.clone())),
                    rejection_of(Err::<R, _>(other.clone()))
                );
            }
            (one, other) => panic!("{one:?} and {other:?}"),
        }
        grpc
    }

    async fn check(
        self,
        cart: &str,
        merchant: &str,
        item: Item,
    ) -> Result<CheckOrderFulfillabilityResponse, Status> {
        let request = CheckOrderFulfillabilityRequest {
            merchant_id: merchant.into(),
            item: vec![item.0],
            cart_id: cart.into(),
        };
        self.ask("CheckOrderFulfillability", &request).await
    }

    /// Creates an order of `user-1`.
    async fn create(self, token: &str, merchant: &str, item: Item) -> Result<Order, Status> {
        self.send(&order_request(token, merchant, [item])).await
    }

    async fn send(self, request: &CreateOrderRequest) -> Result<Order, Status> {
        let answer: CreateOrderResponse = self.ask("CreateOrder", request).await?;
        match answer.result {
            Some(create_order_response::Result::Order(order)) => Ok(*order),
            other => panic!("not an order: {other:?}"),
        }
    }

    /// The ids of the orders of `user-1`.
    async fn list(self) -> Vec<String> {
        self.list_by(Ids::UserId("user-1".into())).await
    }

    async fn list_ids(self, ids: &[&String]) -> Vec<String> {
        let order_id = ids.iter().map(|id| (*id).clone()).collect();
        self.list_by(Ids::OrderIds(OrderIds { order_id })).await
    }

    async fn list_by(self, ids: Ids) -> Vec<String> {
        let answer: ListOrdersResponse = self
            .ask("ListOrders", &ListOrdersRequest { ids: Some(ids) })
            .await
            .unwrap();
        answer
            .order
            .into_iter()
            .map(|order| order.order_id)
            .collect()
    }

    async fn look_up(self, merchant: &str) -> Result<(), Status> {
        let request = BatchAvailabilityLookupRequest {
            merchant_id: merchant.into(),
            slot_time: Vec::new(),
        };
        self.ask::<BatchAvailabilityLookupResponse>("BatchAvailabilityLookup", &request)
            .await
            .map(|_| ())
    }

    async fn check_availability(self, merchant: &str) -> Result<(), Status> {
        let slot = Slot {
            merchant_id: merchant.into(),
            ..Slot::default()
        };
        let request = CheckAvailabilityRequest { slot: Some(slot) };
        self.ask::<CheckAvailabilityResponse>("CheckAvailability", &request)
            .await
            .map(|_| ())
    }
}

fn entry() -> Item {
    Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000)
}

fn seats(count: i32) -> Item {
    Item::raft_trip()
        .tickets(&[("seat", count)])
        .price("USD", i64::from(count) * 60_000_000)
}

/// A server of these users, whose passwords are their names.
async fn serving(keys: &Keys, users: &[(&str, &str)]) -> Server {
    keys.write_scopes(users);
    let setup = Setup::default();
    Setup {
        config: guarded(keys),
        ..setup
    }
    .open()
    .await
    .unwrap()
}

/// The same with orders in a directory.
async fn with_embedded_store(keys: &Keys, dir: &Path, users: &[(&str, &str)]) -> Server {
    keys.write_scopes(users);
    Setup {
        config: guarded(keys),
        ..Setup::embedded(dir)
    }
    .open()
    .await
    .unwrap()
}

fn guarded(keys: &Keys) -> boxoffice::config::Config {
    let mut config = config();
    config.security.credentials = Some(keys.path("users.toml"));
    config
}

fn rejection_of<T: std::fmt::Debug>(outcome: Result<T, Status>) -> (Code, String, String) {
    let rejection = outcome.unwrap_err();
    (
        rejection.code(),
        reason(&rejection),
        rejection.message().to_owned(),
    )
}

#[tokio::test]
async fn methods_outside_of_a_scope_are_denied_whatever_the_transport() {
    let keys = Keys::new();
    let bounded = "methods = ['ListOrders', 'CheckAvailability']";
    let server = serving(&keys, &[("ada", bounded), ("eve", "")]).await;
    let (ada, eve) = (
        Caller {
            server: &server,
            name: "ada",
        },
        Caller {
            server: &server,
            name: "eve",
        },
    );
    for over in [Over::Grpc, Over::GrpcWeb, Over::Rest] {
        for method in [
            "CheckOrderFulfillability",
            "CreateOrder",
            "BatchAvailabilityLookup",
        ] {
            // Violations of the message are not reported either.
            let nothing = ListOrdersRequest::default();
            let denied = ada.call::<ListOrdersResponse>(over, method, &nothing).await;
            let text = "this user may not call this method".to_owned();
            let expected = (
                Code::PermissionDenied,
                "METHOD_OUT_OF_SCOPE".to_owned(),
                text,
            );
            assert_eq!(rejection_of(denied), expected, "{over:?} {method}");
        }
        let request = ListOrdersRequest {
            ids: Some(Ids::UserId("user-1".into())),
        };
        for caller in [ada, eve] {
            assert!(
                caller
                    .call::<ListOrdersResponse>(over, "ListOrders", &request)
                    .await
                    .is_ok(),
                "{over:?}"
            );
        }
    }
    let mut wrong_method = without_body(Method::GET, "/v3/createorder/");
    wrong_method
        .headers_mut()
        .insert("authorization", basic("ada", "ada").parse().unwrap());
    assert_eq!(
        send(server.address(), wrong_method).await.http,
        403,
        "by any way of writing its name"
    );
    eve.create("token", "museum", entry()).await.unwrap();
}

#[tokio::test]
async fn transports_outside_of_a_scope_are_denied_whatever_the_method() {
    let keys = Keys::new();
    let users = [
        ("g", "transports = ['grpc']"),
        ("w", "transports = ['grpc-web']"),
        ("r", "transports = ['rest']"),
    ];
    let server = serving(&keys, &users).await;
    for name in ["g", "w", "r"] {
        for over in [Over::Grpc, Over::GrpcWeb, Over::Rest] {
            let caller = Caller {
                server: &server,
                name,
            };
            let request = order_request(&format!("{name}{over:?}"), "museum", [entry()]);
            let answer = caller
                .call::<CreateOrderResponse>(over, "CreateOrder", &request)
                .await;
            if (name, over) == ("g", Over::Grpc)
                || (name, over) == ("w", Over::GrpcWeb)
                || (name, over) == ("r", Over::Rest)
            {
                assert!(answer.is_ok(), "{name} {over:?} {answer:?}");
            } else {
                let text = "this user may not call over this transport".to_owned();
                let expected = (
                    Code::PermissionDenied,
                    "TRANSPORT_OUT_OF_SCOPE".to_owned(),
                    text,
                );
                assert_eq!(rejection_of(answer), expected, "{name} {over:?}");
            }
        }
    }
}

#[tokio::test]
async fn health_and_reflection_are_in_every_scope() {
    let keys = Keys::new();
    keys.write_scopes(&[(
        "ada",
        "methods = ['HealthCheck']\ntransports = ['rest']\nmerchants = ['museum']",
    )]);
    let mut config = guarded(&keys);
    config.security.health_open = false;
    let server = Setup::with_config(config).open().await.unwrap();
    let password = basic("ada", "ada");
    let client = ByteClient::connect(server.address()).await;
    for path in [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        let call = client.request_to(path).header("authorization", &password);
        let answer = client
            .send(call.body(whole(framed(&[]))).unwrap())
            .await
            .unwrap();
        assert_ne!(answer.code(), Code::PermissionDenied, "{path}");
        assert_ne!(answer.code(), Code::Unauthenticated, "{path}");
    }
    let mut health = without_body(Method::GET, "/v3/HealthCheck");
    health
        .headers_mut()
        .insert("authorization", password.parse().unwrap());
    assert_eq!(send(server.address(), health).await.http, 200);
}

#[tokio::test]
async fn merchants_outside_of_a_scope_are_denied_whether_or_not_they_exist() {
    let keys = Keys::new();
    let server = serving(
        &keys,
        &[("ada", "merchants = ['museum', 'closed']"), ("eve", "")],
    )
    .await;
    let (ada, eve) = (
        Caller {
            server: &server,
            name: "ada",
        },
        Caller {
            server: &server,
            name: "eve",
        },
    );
    let long = "x".repeat(900);
    for merchant in ["rafting", "nowhere", "Museum", &long] {
        let named: String = merchant.chars().take(40).collect();
        let named = if named == *merchant {
            named
        } else {
            format!("{named}…")
        };
        let text = format!("this user may not act for the merchant {named:?}");
        let expected = (
            Code::PermissionDenied,
            "MERCHANT_OUT_OF_SCOPE".to_owned(),
            text,
        );
        assert_eq!(
            rejection_of(ada.check("", merchant, seats(2)).await),
            expected
        );
        // However much else is wrong with it.
        assert_eq!(
            rejection_of(ada.create("", merchant, Item::of("x", 0, 0, 0)).await),
            expected
        );
        assert_eq!(rejection_of(ada.look_up(merchant).await), expected);
        assert_eq!(
            rejection_of(ada.check_availability(merchant).await),
            expected
        );
    }
    for merchant in ["nowhere", ""] {
        assert_eq!(
            rejection_of(eve.check("", merchant, seats(2)).await).0,
            Code::InvalidArgument
        );
    }
    assert_eq!(rejection_of(ada.look_up("").await).1, "INVALID_REQUEST");
    assert_eq!(
        rejection_of(ada.look_up("closed").await).1,
        "INVALID_REQUEST",
        "a scope opens no merchant"
    );
    for caller in [ada, eve] {
        assert!(caller.check("", "museum", entry()).await.is_ok());
        assert!(caller.create(caller.name, "museum", entry()).await.is_ok());
        assert!(
            caller.look_up("museum").await.is_ok()
                && caller.check_availability("museum").await.is_ok()
        );
    }
}

#[tokio::test]
async fn lists_show_the_orders_that_a_user_has_created() {
    let keys = Keys::new();
    let users = [
        ("ada", ""),
        ("eve", "merchants = ['museum']"),
        ("desk", "all_orders = true"),
        ("museum", "all_orders = true\nmerchants = ['museum']"),
    ];
    let dir = TempDir::new().unwrap();
    let server = with_embedded_store(&keys, dir.path(), &users).await;
    let [ada, eve, desk, museum] = users.map(|(name, _)| Caller {
        server: &server,
        name,
    });
    let visit = ada.create("a", "museum", entry()).await.unwrap().order_id;
    let trip = ada.create("b", "rafting", seats(2)).await.unwrap().order_id;
    let other = eve.create("c", "museum", entry()).await.unwrap().order_id;
    let all = [&other, &trip, &visit];
    for (caller, expected) in [
        (ada, &[&trip, &visit][..]),
        (eve, &[&other]),
        (desk, &[&other, &trip, &visit]),
        (museum, &[&other, &visit]),
    ] {
        assert_eq!(
            caller.list().await.iter().collect::<Vec<_>>(),
            expected,
            "{}",
            caller.name
        );
        assert_eq!(
            caller.list_ids(&all).await.iter().collect::<Vec<_>>(),
            expected,
            "{}",
            caller.name
        );
    }
    // What is bounded later is out of sight, too, and at once.
    keys.write_scopes(&[
        ("ada", "merchants = ['rafting']"),
        ("eve", ""),
        ("desk", ""),
        ("museum", ""),
    ]);
    server.reload_security().await.unwrap();
    assert_eq!(ada.list().await, [trip]);
    assert_eq!(desk.list().await, [""; 0]);
}

#[tokio::test]
async fn orders_of_others_do_not_make_a_list_too_long() {
    let keys = Keys::new();
    keys.write_scopes(&[("ada", ""), ("eve", "")]);
    let mut config = guarded(&keys);
    config.calls.max_response_bytes = 1024;
    let server = Setup::with_config(config).open().await.unwrap();
    let (ada, eve) = (
        Caller {
            server: &server,
            name: "ada",
        },
        Caller {
            server: &server,
            name: "eve",
        },
    );
    let own = eve.create("own", "museum", entry()).await.unwrap().order_id;
    for token in 0..10 {
        ada.create(&format!("token-{token}"), "museum", entry())
            .await
            .unwrap();
    }
    assert_eq!(eve.list().await, [own]);
    let request = ListOrdersRequest {
        ids: Some(Ids::UserId("user-1".into())),
    };
    let rejected = ada.ask::<ListOrdersResponse>("ListOrders", &request).await;
    assert_eq!(rejection_of(rejected).1, "RESPONSE_TOO_LARGE");
}

#[tokio::test]
async fn a_token_of_another_user_tells_nothing_of_its_order() {
    let keys = Keys::new();
    let server = serving(
        &keys,
        &[("ada", ""), ("eve", ""), ("desk", "all_orders = true")],
    )
    .await;
    let [ada, eve, desk] = ["ada", "eve", "desk"].map(|name| Caller {
        server: &server,
        name,
    });
    let order = ada.create("token", "museum", entry()).await.unwrap();
    let same = eve.create("token", "museum", entry()).await;
    let mut unsound = order_request("token", "museum", [entry()]);
    unsound.order.as_mut().unwrap().order_id = order.order_id.clone();
    let another = rejection_of(eve.create("token", "rafting", seats(2)).await);
    assert_eq!(
        rejection_of(same),
        another,
        "nor whether the request is the same"
    );
    assert_eq!(
        (another.0, &*another.1),
        (Code::InvalidArgument, "TOKEN_REUSED")
    );
    assert!(!another.2.contains(&order.order_id));
    assert_eq!(rejection_of(eve.send(&unsound).await).1, "INVALID_REQUEST");
    for caller in [ada, desk] {
        assert_eq!(
            caller.create("token", "museum", entry()).await.unwrap(),
            order
        );
    }
    assert_eq!(eve.list().await, [""; 0]);
}

#[tokio::test]
async fn a_cart_of_another_user_is_neither_seen_nor_moved() {
    let keys = Keys::new();
    let server = serving(&keys, &[("ada", ""), ("eve", "")]).await;
    let (ada, eve) = (
        Caller {
            server: &server,
            name: "ada",
        },
        Caller {
            server: &server,
            name: "eve",
        },
    );
    let open = async |caller: Caller<'_>, cart: &str| {
        // More than there are: such a look holds nothing.
        let checked = caller.check(cart, "rafting", seats(13)).await.unwrap();
        checked.fulfillability.unwrap().item_fulfillability[0]
            .availability
            .unwrap()
            .spots_open
    };
    assert!(
        ada.check("cart", "rafting", seats(5))
            .await
            .unwrap()
            .cart_expiration_sec
            > 0
    );
    assert_eq!(open(eve, "cart").await, 7, "it is not eve's");
    assert_eq!(open(eve, "").await, 7, "and she has not ended it");
    assert!(
        eve.check("cart", "rafting", seats(3))
            .await
            .unwrap()
            .cart_expiration_sec
            > 0
    );
    assert_eq!(open(ada, "").await, 4, "both are held");
    // Each orders what it holds.
    ada.create("cart", "rafting", seats(5)).await.unwrap();
    assert_eq!(
        rejection_of(eve.create("cart", "rafting", seats(3)).await).1,
        "TOKEN_REUSED"
    );
    assert_eq!(open(ada, "").await, 4);
    assert_eq!(
        eve.check("cart", "rafting", seats(3))
            .await
            .unwrap()
            .cart_expiration_sec,
        0
    );
    assert_eq!(
        open(ada, "").await,
        7,
        "no order can come of it, so nothing is held"
    );
}

#[tokio::test]
async fn orders_without_a_creator_are_visible_to_users_with_all_orders() {
    let (keys, dir) = (Keys::new(), TempDir::new().unwrap());
    let server = Setup::embedded(dir.path()).start().await;
    let order = server
        .create("token", "museum", [entry()])
        .await
        .unwrap()
        .order();
    server.stop().await;
    let server = with_embedded_store(
        &keys,
        dir.path(),
        &[("ada", ""), ("desk", "all_orders = true")],
    )
    .await;
    let [ada, desk] = ["ada", "desk"].map(|name| Caller {
        server: &server,
        name,
    });
    assert_eq!(ada.list().await, [""; 0]);
    assert_eq!(desk.list().await, std::slice::from_ref(&order.order_id));
    // The order has no known creator, so a user that repeats the whole request gets the replay.
    assert_eq!(ada.create("token", "museum", entry()).await.unwrap(), order);
    assert_eq!(
        rejection_of(ada.create("token", "rafting", seats(2)).await).1,
        "TOKEN_REUSED"
    );
    let own = ada.create("own", "museum", entry()).await.unwrap().order_id;
    server.stop(std::future::pending()).await;
    // Without passwords nobody is known, and everything is shown.
    let server = Setup::embedded(dir.path()).start().await;
    assert_eq!(server.list_user("user-1").await.unwrap().len(), 2);
    assert_eq!(server.list_ids([own]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn unknown_merchants_of_scopes_are_warnings_at_every_reload() {
    let keys = Keys::new();
    keys.write_scopes(&[
        ("ada", "merchants = ['museum', 'closed', 'gone']"),
        ("eve", "merchants = ['salon']"),
    ]);
    let users = keys.path("users.toml");
    let mut program = Program::new()
        .args(["--credentials", users.to_str().unwrap()])
        .start()
        .await;
    let warned = |line: &Value| {
        line["message"] == "a user's scope names merchants that the catalogue does not have"
    };
    let line = program.line("a warning at the start", warned).await;
    assert_eq!(
        (&line["level"], &line["user"], &line["merchants"]),
        (&"WARN".into(), &"ada".into(), &"closed, gone".into())
    );
    program.signal("HUP").await;
    program
        .nth_line(
            "one for the credentials and one for the catalogue",
            3,
            warned,
        )
        .await;
    assert_eq!(program.stop().await.code(), 0);
}
