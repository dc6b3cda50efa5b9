//! Many callers at once, and callers who do not wait for their answer.

use std::{collections::HashSet, sync::Arc};

use boxoffice::{
    api::booking::proto::v3::{
        CheckOrderFulfillabilityRequest, CreateOrderRequest, LineItem,
        booking_service_client::BookingServiceClient,
    },
    payments::{ChargeOutcome, Reversal},
    store::{Store, Write},
};
use domain::time::Seconds;
use futures_util::future::join_all;
use prost::Message;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    Created, Item, Setup, TestServer,
    byte_client::{Answer, ByteClient},
    config,
    doubles::{Asked, GatewayDouble, SlowStore},
    invariants, order_request, paid_with,
    process::with_timeout,
    reason, tomorrow_at,
};

fn adults(count: i32) -> Item {
    Item::museum_entry()
        .tickets(&[("adult", count)])
        .price("USD", i64::from(count) * 25_000_000)
}

/// A trip at nine, at one or at four.
fn two_seats_at(hour: i64) -> Item {
    let trip = Item::raft_trip()
        .tickets(&[("seat", 2)])
        .price("USD", 120_000_000);
    Item(LineItem {
        start_sec: tomorrow_at(hour, 0),
        ..trip.0
    })
}

fn whole_trip() -> Item {
    Item::raft_trip()
        .tickets(&[("seat", 12)])
        .price("USD", 612_000_000)
}

fn paid_trip(token: &str) -> CreateOrderRequest {
    paid_with(order_request(token, "rafting", [whole_trip()]), "card")
}

async fn connections<const N: usize>(server: &TestServer) -> [Channel; N] {
    let connections: Vec<_> = join_all((0..N).map(|_| server.another_connection())).await;
    connections.try_into().unwrap()
}

async fn create(channel: Channel, request: CreateOrderRequest) -> Result<Created, Status> {
    let answer = BookingServiceClient::new(channel)
        .create_order(request.clone())
        .await?
        .into_inner();
    invariants::hold_for_create(&request, &answer);
    Ok(Created(answer))
}

/// Sends all requests at once, over several connections, and gives their answers in order.
async fn at_once(
    server: &TestServer,
    requests: impl IntoIterator<Item = CreateOrderRequest>,
) -> Vec<Created> {
    let connections = connections::<6>(server).await;
    let calls = requests
        .into_iter()
        .enumerate()
        .map(|(at, request)| create(connections[at % 6].clone(), request));
    let answers = with_timeout("every call is answered", join_all(calls)).await;
    answers.into_iter().map(Result::unwrap).collect()
}

/// How many tickets of a slot the created orders among these have.
fn sold(answers: &[Created], start_sec: i64) -> i32 {
    let orders = answers
        .iter()
        .filter(|answer| answer.is_order())
        .map(|answer| answer.clone().order());
    let items = orders
        .flat_map(|order| order.item)
        .filter(|item| item.start_sec == start_sec);
    items
        .flat_map(|item| item.tickets)
        .map(|tickets| tickets.count)
        .sum()
}

#[tokio::test]
async fn a_slot_sells_exactly_its_spots_under_concurrency() {
    let store = TempDir::new().unwrap();
    let server = Setup::embedded(store.path()).start().await;
    let counts: Vec<i32> = (0..120).map(|at| at % 4 + 1).collect();
    let open = || server.spots_open("museum", adults(1));
    let requests = counts.iter().enumerate().map(|(at, &count)| {
        let declined = at % 5 == 0;
        let request = order_request(&format!("token-{at}"), "museum", [adults(count)]);
        paid_with(request, if declined { "decline" } else { "approve" })
    });
    let first = at_once(&server, requests).await;
    assert_eq!(sold(&first, tomorrow_at(10, 0)) + open().await, 50);
    // Nothing is released any more, so each rejected order wants more spots than are left in the end.
    let wanted: Vec<i32> = counts
        .into_iter()
        .zip(&first)
        .filter(|(_, it)| !it.is_order())
        .map(|it| it.0)
        .collect();
    let requests = wanted.iter().enumerate();
    let requests = requests
        .map(|(at, &count)| order_request(&format!("again-{at}"), "museum", [adults(count)]));
    let second = at_once(&server, requests).await;
    let left = open().await;
    assert!(
        wanted
            .iter()
            .zip(&second)
            .all(|(&count, answer)| answer.is_order() || count > left),
        "{left}"
    );
    let all = [first, second].concat();
    assert_eq!(sold(&all, tomorrow_at(10, 0)) + left, 50);
    server.stop().await;
    let server = Setup::embedded(store.path()).start().await;
    assert_eq!(server.spots_open("museum", adults(1)).await, left);
    let created = all.iter().filter(|answer| answer.is_order()).count();
    assert_eq!(server.list_user("user-1").await.unwrap().len(), created);
}

#[tokio::test]
async fn the_last_spots_go_to_as_many_callers_as_there_are_spots() {
    let server = TestServer::start().await;
    let requests =
        (0..60).map(|at| order_request(&format!("token-{at}"), "salon", [Item::haircut()]));
    let answers = at_once(&server, requests).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_order()).count(), 2);
    assert_eq!(server.spots_open("salon", Item::haircut()).await, 0);
}

#[tokio::test]
async fn orders_over_several_slots_in_any_order_take_all_or_none_and_never_block_each_other() {
    let server = TestServer::start().await;
    let ways = [
        [9, 13, 16],
        [16, 13, 9],
        [13, 9, 16],
        [16, 9, 13],
        [9, 16, 13],
        [13, 16, 9],
    ];
    let requests = ways
        .iter()
        .cycle()
        .take(120)
        .enumerate()
        .map(|(at, hours)| {
            let fewer = &hours[..3 - at % 2];
            order_request(
                &format!("token-{at}"),
                "rafting",
                fewer.iter().map(|&hour| two_seats_at(hour)),
            )
        });
    let answers = at_once(&server, requests).await;
    for hour in [9, 13, 16] {
        let open = server.spots_open("rafting", two_seats_at(hour)).await;
        assert_eq!(sold(&answers, tomorrow_at(hour, 0)) + open, 12, "at {hour}");
    }
    let full = |answer: &&Created| answer.is_order();
    assert!(
        answers.iter().filter(full).count() >= 6,
        "some slot is sold out"
    );
}

#[tokio::test]
async fn carts_that_compete_hold_no_more_than_there_is_and_get_what_they_hold() {
    let server = TestServer::start().await;
    let carts: Vec<String> = (0..40).map(|at| format!("cart-{at}")).collect();
    let items = || {
        let trip = Item::raft_trip()
            .tickets(&[("seat", 3)])
            .price("USD", 180_000_000);
        vec![trip.0]
    };
    let connections = connections::<6>(&server).await;
    let holds = carts.iter().enumerate().map(|(at, cart)| {
        let mut client = BookingServiceClient::new(connections[at % 6].clone());
        let request = CheckOrderFulfillabilityRequest {
            merchant_id: "rafting".into(),
            item: items(),
            cart_id: cart.clone(),
        };
        async move {
            client
                .check_order_fulfillability(request)
                .await
                .unwrap()
                .into_inner()
                .cart_expiration_sec
        }
    });
    let held: Vec<bool> = join_all(holds)
        .await
        .into_iter()
        .map(|expires_sec| expires_sec != 0)
        .collect();
    assert_eq!(held.iter().filter(|held| **held).count(), 4);
    let requests = carts
        .iter()
        .map(|cart| order_request(cart, "rafting", items().into_iter().map(Item)));
    let created: Vec<bool> = at_once(&server, requests)
        .await
        .iter()
        .map(Created::is_order)
        .collect();
    assert_eq!(created, held);
}

#[tokio::test]
async fn a_cart_that_is_looked_at_while_it_is_ordered_leaves_no_hold_behind() {
    let server = TestServer::start().await;
    let [looks, orders] = connections::<2>(&server).await;
    let looking = (0..40).map(|at| {
        let mut client = BookingServiceClient::new(looks.clone());
        let request = CheckOrderFulfillabilityRequest {
            merchant_id: "rafting".into(),
            item: vec![two_seats_at([9, 13, 16][at % 3]).0],
            cart_id: format!("token-{}", at % 4),
        };
        async move { client.check_order_fulfillability(request).await.unwrap() }
    });
    let ordering = (0..4).map(|at| {
        let items = [two_seats_at(9), two_seats_at(13)];
        create(
            orders.clone(),
            order_request(&format!("token-{at}"), "rafting", items),
        )
    });
    let (_, answers) = tokio::join!(join_all(looking), join_all(ordering));
    let answers: Vec<Created> = answers.into_iter().map(Result::unwrap).collect();
    server.clock.advance(Seconds::new(600));
    for hour in [9, 13, 16] {
        let open = server.spots_open("rafting", two_seats_at(hour)).await;
        assert_eq!(sold(&answers, tomorrow_at(hour, 0)) + open, 12, "at {hour}");
    }
}

#[tokio::test]
async fn a_hundred_copies_of_a_request_get_one_order_and_one_answer() {
    let (store, gateway) = (TempDir::new().unwrap(), GatewayDouble::silent());
    let server = Setup {
        payments: gateway.clone(),
        ..Setup::embedded(store.path())
    }
    .start()
    .await;
    let request =
        paid_with(order_request("t", "rafting", [two_seats_at(9)]), "card").encode_to_vec();
    let connect = (0..5).map(|_| ByteClient::connect(server.server.address()));
    let connections = join_all(connect).await;
    let copies = (0..100).map(|at| connections[at % 5].call("CreateOrder", &request));
    let released = async {
        gateway.asked_times(1).await;
        gateway.capture();
    };
    let (answers, ()) = with_timeout("every copy is answered", async {
        tokio::join!(join_all(copies), released)
    })
    .await;
    let different: HashSet<_> = answers.iter().map(Answer::bytes).collect();
    assert_eq!(different.len(), 1);
    assert_eq!(gateway.asked().len(), 1);
    assert_eq!(server.spots_open("rafting", two_seats_at(9)).await, 10);
    assert_eq!(server.list_user("user-1").await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_different_requests_under_one_token_one_is_created() {
    let server = TestServer::start().await;
    let connections = connections::<4>(&server).await;
    let calls = (1..=8).map(|count| {
        let request = order_request("t", "museum", [adults(count)]);
        create(
            connections[usize::try_from(count).unwrap() % 4].clone(),
            request,
        )
    });
    let (created, rejected): (Vec<_>, Vec<_>) =
        join_all(calls).await.into_iter().partition(Result::is_ok);
    let created: Vec<Created> = created.into_iter().map(Result::unwrap).collect();
    assert_eq!((created.len(), rejected.len()), (1, 7));
    assert!(
        rejected
            .into_iter()
            .all(|rejection| reason(&rejection.unwrap_err()) == "TOKEN_REUSED")
    );
    assert_eq!(
        server.spots_open("museum", adults(1)).await,
        50 - sold(&created, tomorrow_at(10, 0))
    );
}

/// Begins to create an order and leaves it to the test whether to wait.
fn begin(channel: &Channel, request: CreateOrderRequest) -> JoinHandle<Result<Created, Status>> {
    tokio::spawn(create(channel.clone(), request))
}

#[tokio::test]
async fn a_concurrent_repeat_waits_within_its_deadline_and_can_be_retried() {
    let gateway = GatewayDouble::silent();
    let server = Setup::default().with_gateway(&gateway).start().await;
    let first = begin(&server.channel, paid_trip("t"));
    gateway.asked_times(1).await;
    let second = server.create_within("50m", &paid_trip("t")).await;
    assert_eq!(
        (second.code(), &*second.reason()),
        (Code::Aborted, "ORDER_IN_PROGRESS")
    );
    assert!(!first.is_finished());
    gateway.capture();
    let first = first.await.unwrap().unwrap();
    assert_eq!(server.send(paid_trip("t")).await.unwrap().0, first.0);
    assert_eq!(gateway.asked().len(), 1);
}

#[tokio::test]
async fn a_caller_whose_time_is_up_finds_the_order_under_the_same_token() {
    let gateway = GatewayDouble::silent();
    let server = Setup::default().with_gateway(&gateway).start().await;
    let late = server.create_within("50m", &paid_trip("t")).await;
    assert_eq!(
        (late.code(), &*late.reason()),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
    );
    gateway.asked_times(1).await;
    gateway.capture();
    let order = server.send(paid_trip("t")).await.unwrap().order();
    assert_eq!(
        gateway.asked(),
        [Asked::charge(format!("{}-1", order.order_id), 612_000_000)]
    );
    assert_eq!(server.list_user("user-1").await.unwrap(), [order]);
}

#[tokio::test]
async fn an_order_is_neither_answered_nor_listed_before_it_is_durable() {
    let store = SlowStore::delaying(|write| matches!(write, Write::OrderPlaced(_)));
    let server = Setup {
        store: store.clone(),
        ..Setup::default()
    }
    .start()
    .await;
    let call = begin(&server.channel, order_request("t", "museum", [adults(2)]));
    store.wait_for_change().await;
    assert_eq!(server.list_user("user-1").await.unwrap(), []);
    assert_eq!(
        server.spots_open("museum", adults(1)).await,
        48,
        "nobody else gets its spots"
    );
    assert!(!call.is_finished());
    store.resume();
    let order = call.await.unwrap().unwrap().order();
    assert_eq!(server.list_user("user-1").await.unwrap(), [order]);
}

/// A moment in the creation of a paid order at which its caller leaves.
#[derive(Debug, Clone, Copy)]
enum Moment {
    WritingTheIntent,
    Charging,
    Reversing,
    WritingTheEnd,
    WritingTheOrder,
}

/// How the caller leaves.
#[derive(Debug, Clone, Copy)]
enum Exit {
    CancelTheCall,
    BreakTheConnection,
}

impl Moment {
    const ALL: [Self; 5] = [
        Self::WritingTheIntent,
        Self::Charging,
        Self::Reversing,
        Self::WritingTheEnd,
        Self::WritingTheOrder,
    ];

    fn store(self) -> Arc<SlowStore> {
        SlowStore::delaying(match self {
            Self::WritingTheIntent => |write| matches!(write, Write::PaymentIntent(_)),
            Self::WritingTheEnd => |write| matches!(write, Write::PaymentEnded(_)),
            Self::WritingTheOrder => |write| matches!(write, Write::OrderPlaced(_)),
            Self::Charging | Self::Reversing => |_| false,
        })
    }

    /// Answers as the gateway must for the moment to come.
    fn prepare(self, gateway: &GatewayDouble) {
        match self {
            Self::WritingTheOrder => gateway.capture(),
            Self::WritingTheEnd => gateway.decline(),
            Self::Reversing => {
                gateway.answer_charges(ChargeOutcome::Unknown("the line broke".into()));
            }
            Self::WritingTheIntent | Self::Charging => {}
        }
    }

    async fn comes(self, store: &SlowStore, gateway: &GatewayDouble) {
        match self {
            Self::WritingTheIntent | Self::WritingTheEnd | Self::WritingTheOrder => {
                store.wait_for_change().await;
            }
            Self::Charging => gateway.asked_times(1).await,
            Self::Reversing => gateway.asked_times(2).await,
        }
    }

    /// What the gateway has been asked once the request has been repeated.
    fn asked(self, order_id: &str) -> Vec<Asked> {
        let charge = |attempt| Asked::charge(format!("{order_id}-{attempt}"), 612_000_000);
        match self {
            Self::WritingTheIntent | Self::Charging | Self::WritingTheOrder => vec![charge(1)],
            Self::Reversing => vec![
                charge(1),
                Asked::reverse(format!("{order_id}-1")),
                charge(2),
            ],
            Self::WritingTheEnd => vec![charge(1), charge(2)],
        }
    }
}

/// A server that takes two connections at once, of which the test has the first.
async fn with_room_for_one_more(store: Arc<dyn Store>, gateway: Arc<GatewayDouble>) -> TestServer {
    let mut config = config();
    config.serving.workers = Some(1);
    config.connections.max_connections = 2;
    config.connections.max_connections_per_address = Some(2);
    Setup {
        config,
        store,
        payments: gateway,
        ..Setup::default()
    }
    .start()
    .await
}

/// Has a caller leave at a moment, and returns when the server has noticed.
async fn leave(server: &TestServer, exit: Exit, arrived: impl Future<Output = ()>) {
    // While this call is in flight, the first connection is not idle and does not make room for another.
    let mut first = HealthClient::new(server.channel.clone());
    let _health = first.watch(HealthCheckRequest::default()).await.unwrap();
    let connection = match exit {
        Exit::CancelTheCall => server.channel.clone(),
        Exit::BreakTheConnection => server.another_connection().await,
    };
    let call = begin(&connection, paid_trip("t"));
    drop(connection);
    arrived.await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    match exit {
        // What comes after it on the same connection is read after it.
        Exit::CancelTheCall => drop(server.list_user("nobody").await.unwrap()),
        // With calls on both, there is room for another connection only when the call on that one has ended.
        Exit::BreakTheConnection => {
            let mut client = BookingServiceClient::new(server.another_connection().await);
            let request = CheckOrderFulfillabilityRequest {
                merchant_id: "museum".into(),
                ..Default::default()
            };
            client.check_order_fulfillability(request).await.unwrap();
        }
    }
}

async fn a_caller_leaves(moment: Moment, exit: Exit) {
    let (store, gateway) = (moment.store(), GatewayDouble::silent());
    let server = with_room_for_one_more(store.clone(), gateway.clone()).await;
    moment.prepare(&gateway);
    leave(&server, exit, moment.comes(&store, &gateway)).await;
    assert_eq!(
        server.spots_open("rafting", whole_trip()).await,
        0,
        "while its call is in flight"
    );
    store.resume();
    gateway.capture();
    gateway.answer_reversals(Ok(Reversal::Voided));
    let order = server.send(paid_trip("t")).await.unwrap().order();
    assert_eq!(gateway.asked(), moment.asked(&order.order_id));
    assert_eq!(server.spots_open("rafting", whole_trip()).await, 0);
    assert_eq!(server.list_user("user-1").await.unwrap(), [order]);
}

#[tokio::test]
async fn a_disconnected_caller_repeats_its_token_and_is_charged_once() {
    for moment in Moment::ALL {
        for exit in [Exit::CancelTheCall, Exit::BreakTheConnection] {
            let story = Box::pin(a_caller_leaves(moment, exit));
            with_timeout(&format!("{moment:?}, {exit:?}"), story).await;
        }
    }
}

#[tokio::test]
async fn a_disconnected_caller_whose_payment_fails_leaves_no_sale() {
    for exit in [Exit::CancelTheCall, Exit::BreakTheConnection] {
        let gateway = GatewayDouble::silent();
        let server = with_room_for_one_more(Moment::Charging.store(), gateway.clone()).await;
        leave(&server, exit, gateway.asked_times(1)).await;
        gateway.decline();
        let failure = server.send(paid_trip("t")).await.unwrap().failure();
        assert_eq!(failure.cause().as_str_name(), "PAYMENT_ERROR_CARD_DECLINED");
        assert_eq!(gateway.asked().len(), 2, "a failure is not remembered");
        assert_eq!(
            server.spots_open("rafting", whole_trip()).await,
            12,
            "{exit:?}"
        );
        assert_eq!(server.list_user("user-1").await.unwrap(), [], "{exit:?}");
    }
}

#[tokio::test]
async fn a_disconnected_caller_that_waited_for_the_token_changes_nothing() {
    let gateway = GatewayDouble::silent();
    let server = Setup::default().with_gateway(&gateway).start().await;
    let first = begin(&server.channel, paid_trip("t"));
    gateway.asked_times(1).await;
    let second = begin(&server.channel, paid_trip("t"));
    server.list_user("nobody").await.unwrap();
    second.abort();
    server.list_user("nobody").await.unwrap();
    gateway.capture();
    let order = first.await.unwrap().unwrap().order();
    assert_eq!(server.send(paid_trip("t")).await.unwrap().order(), order);
    assert_eq!(gateway.asked().len(), 1);
}

#[tokio::test]
async fn the_second_of_two_callers_gets_the_answer_though_the_first_has_left() {
    let gateway = GatewayDouble::silent();
    let server = Setup::default().with_gateway(&gateway).start().await;
    let first = begin(&server.channel, paid_trip("t"));
    gateway.asked_times(1).await;
    let second = begin(&server.another_connection().await, paid_trip("t"));
    first.abort();
    server.list_user("nobody").await.unwrap();
    gateway.capture();
    let order = second.await.unwrap().unwrap().order();
    assert_eq!(
        gateway.asked(),
        [Asked::charge(format!("{}-1", order.order_id), 612_000_000)]
    );
    assert_eq!(server.list_user("user-1").await.unwrap(), [order]);
}
