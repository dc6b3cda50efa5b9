//! Two servers behind a real load balancer: one goes and comes back under load, and no call is lost.
//!
//! Each server has a store of its own, which is why an order must not be repeated on the other one.
//! `scripts/test load_balancers` brings the programs and runs this.

use std::{net::SocketAddr, sync::Arc};

use boxoffice::api::booking::proto::v3::{
    CheckAvailabilityRequest, CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse,
    CreateOrderRequest, CreateOrderResponse, ListOrdersRequest, ListOrdersResponse,
    OrderFulfillability, Slot,
    booking_service_client::BookingServiceClient,
    create_order_response::Result as Outcome,
    list_orders_request::{Ids, OrderIds},
    order_fulfillability::OrderFulfillabilityResult,
};
use hyper::client::conn::http1;
use serde::Serialize;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet};
use tonic::{Code, Status, transport::Channel};

use crate::support::{
    Item,
    byte_client::Body,
    edited_catalog,
    load_balancer::{Balancer, Kind},
    order_request, paid_with,
    process::{Program, Running, in_days, until},
    rest_client,
};

/// Spots of the slot that everyone wants: more than all calls of a test can buy.
const SPOTS: i32 = 1_000_000;

/// Maximum number of calls of a client before it stops.
const MAX_ROUNDS: usize = 20_000;

/// Orders that show that a server has its part of the load.
const A_PART: i32 = 20;

/// Who asks, by which transport, and what they pay with. One of them always has a payment under way.
const CLIENTS: [(&str, Transport, Option<&str>); 6] = [
    ("grpc-1", Transport::Grpc, None),
    ("grpc-2", Transport::Grpc, Some("approve")),
    ("grpc-slow", Transport::Grpc, Some("slow")),
    ("rest-1", Transport::Rest, None),
    ("rest-2", Transport::Rest, Some("approve")),
    ("rest-slow", Transport::Rest, Some("slow")),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Grpc,
    Rest,
}

/// One ticket for the slot that everyone wants.
fn ticket() -> Item {
    in_days(
        Item::museum_entry()
            .tickets(&[("adult", 1)])
            .price("USD", 25_000_000),
        1,
    )
}

fn check_request() -> CheckOrderFulfillabilityRequest {
    let item = vec![ticket().0];
    CheckOrderFulfillabilityRequest {
        merchant_id: "museum".into(),
        item,
        cart_id: String::new(),
    }
}

fn create_request(user: &str, token: &str, payment: Option<&str>) -> CreateOrderRequest {
    let mut request = order_request(token, "museum", [ticket()]);
    request
        .order
        .as_mut()
        .unwrap()
        .user_information
        .as_mut()
        .unwrap()
        .user_id = user.into();
    match payment {
        Some(payment) => paid_with(request, payment),
        None => request,
    }
}

/// A place for a server: its store and its address outlive it.
struct Site {
    catalog: Arc<TempDir>,
    store: TempDir,
    /// An address of its own, so that nobody takes its port while it is away.
    listen: String,
    more: Vec<&'static str>,
}

impl Site {
    fn pair(more: &[&'static str]) -> [Self; 2] {
        let spots = |count: i32| format!("\"spots_total\": {count}, \"spots_open\": {count}");
        let catalog = Arc::new(edited_catalog(&[(
            "availability.json",
            spots(50).as_str(),
            spots(SPOTS).as_str(),
        )]));
        ["127.0.0.2:0", "127.0.0.3:0"].map(|listen| Self {
            catalog: Arc::clone(&catalog),
            store: TempDir::new().unwrap(),
            listen: listen.to_owned(),
            more: more.to_vec(),
        })
    }

    /// Starts a server here, where the one before it was, if there was one.
    async fn open(&mut self) -> Running {
        let catalog = self.catalog.path().to_str().unwrap();
        let program = Program::new()
            .with_store(self.store.path())
            .args(self.more.iter());
        let server = program
            .args(["--listen", &self.listen, "--catalog", catalog])
            .start()
            .await;
        self.listen = server.address().to_string();
        server
    }
}

/// A connection to a server or to what is in front of it.
enum Caller {
    Grpc(BookingServiceClient<Channel>),
    Rest(http1::SendRequest<Body>),
}

impl Caller {
    async fn connect(transport: Transport, address: SocketAddr) -> Self {
        match transport {
            Transport::Grpc => {
                let channel = Channel::from_shared(format!("http://{address}"))
                    .unwrap()
                    .connect()
                    .await;
                Self::Grpc(
                    BookingServiceClient::new(channel.unwrap())
                        .max_decoding_message_size(usize::MAX),
                )
            }
            Transport::Rest => {
                let (sender, connection) = http1::handshake(rest_client::connect(address).await)
                    .await
                    .unwrap();
                tokio::spawn(connection);
                Self::Rest(sender)
            }
        }
    }

    async fn check(&mut self) -> Result<CheckOrderFulfillabilityResponse, Status> {
        match self {
            Self::Grpc(client) => {
                unframed(client.check_order_fulfillability(check_request()).await)
            }
            Self::Rest(sender) => post(sender, "CheckOrderFulfillability", &check_request()).await,
        }
    }

    async fn create(&mut self, request: CreateOrderRequest) -> Result<CreateOrderResponse, Status> {
        match self {
            Self::Grpc(client) => unframed(client.create_order(request).await),
            Self::Rest(sender) => post(sender, "CreateOrder", &request).await,
        }
    }

    async fn list(&mut self, ids: Ids) -> Result<ListOrdersResponse, Status> {
        let request = ListOrdersRequest { ids: Some(ids) };
        match self {
            Self::Grpc(client) => unframed(client.list_orders(request).await),
            Self::Rest(sender) => post(sender, "ListOrders", &request).await,
        }
    }
}

fn order_ids(id: &str) -> Ids {
    Ids::OrderIds(OrderIds {
        order_id: vec![id.to_owned()],
    })
}

fn unframed<M>(answer: Result<tonic::Response<M>, Status>) -> Result<M, Status> {
    answer.map(tonic::Response::into_inner)
}

/// Posts a message where even the connection may be lost.
async fn post<M: boxoffice::api::booking::schema::Described>(
    sender: &mut http1::SendRequest<Body>,
    method: &str,
    request: &impl Serialize,
) -> Result<M, Status> {
    let broken = |error: hyper::Error| Status::unavailable(error.to_string());
    sender.ready().await.map_err(broken)?;
    let json = serde_json::to_vec(request).unwrap();
    let answer = sender
        .send_request(rest_client::post(&format!("/v3/{method}"), json))
        .await;
    let answer = rest_client::read(answer.map_err(broken)?)
        .await
        .map_err(broken)?;
    if answer.http.is_server_error() {
        return Err(Status::unavailable(format!(
            "{}: {:?}",
            answer.http, answer.body
        )));
    }
    answer.message()
}

/// The outcomes of the calls of one or more clients.
#[derive(Debug, Default)]
struct LoadResult {
    answered: usize,
    /// The ids of the orders that were acknowledged.
    orders: Vec<String>,
    /// Calls without the expected answer.
    lost: Vec<String>,
}

impl LoadResult {
    /// Records whether a call has the expected answer.
    fn record<A>(&mut self, call: &str, answer: Result<A, Status>, is_good: impl FnOnce(&A) -> bool)
    where
        A: std::fmt::Debug,
    {
        match answer {
            Ok(answer) if is_good(&answer) => self.answered += 1,
            bad => self.lost.push(format!("{call}: {bad:?}")),
        }
    }

    fn check(&mut self, answer: Result<CheckOrderFulfillabilityResponse, Status>) {
        self.record("check", answer, |checked| {
            let result = checked
                .fulfillability
                .as_ref()
                .map(OrderFulfillability::result);
            result == Some(OrderFulfillabilityResult::CanFulfill)
        });
    }

    /// Returns the id of the order, if it was created.
    fn create(&mut self, answer: Result<CreateOrderResponse, Status>) -> Option<String> {
        let id = answer.as_ref().ok().and_then(order_id);
        self.record("create", answer, |_| id.is_some());
        self.orders.extend(id.clone());
        id
    }

    /// The balancer chooses the server, so the list has this order or none.
    fn list(&mut self, id: &str, answer: Result<ListOrdersResponse, Status>) {
        self.record("list", answer, |listed| {
            listed.order.len() <= 1 && listed.order.iter().all(|order| order.order_id == id)
        });
    }

    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.orders.extend(other.orders);
        self.lost.extend(other.lost);
    }
}

fn order_id(created: &CreateOrderResponse) -> Option<String> {
    match &created.result {
        Some(Outcome::Order(order)) => Some(order.order_id.clone()),
        Some(Outcome::OrderFailure(_)) | None => None,
    }
}

/// Clients that check, create and list in a loop, without retries.
struct Load {
    clients: JoinSet<LoadResult>,
    stop: watch::Sender<bool>,
}

impl Load {
    fn begin(address: SocketAddr) -> Self {
        let stop = watch::Sender::new(false);
        let clients = CLIENTS.into_iter().map(|(user, transport, payment)| {
            let stop = stop.subscribe();
            async move {
                buy(
                    Caller::connect(transport, address).await,
                    user,
                    payment,
                    stop,
                )
                .await
            }
        });
        Self {
            clients: clients.collect(),
            stop,
        }
    }

    async fn end(self) -> LoadResult {
        self.stop.send_replace(true);
        total(self.clients).await
    }
}

async fn total(clients: JoinSet<LoadResult>) -> LoadResult {
    let mut all = LoadResult::default();
    for result in clients.join_all().await {
        all.add(result);
    }
    all
}

async fn buy(
    mut caller: Caller,
    user: &str,
    payment: Option<&str>,
    stop: watch::Receiver<bool>,
) -> LoadResult {
    let mut result = LoadResult::default();
    for round in 0..MAX_ROUNDS {
        if *stop.borrow() {
            break;
        }
        result.check(caller.check().await);
        let request = create_request(user, &format!("{user}-{round}"), payment);
        if let Some(id) = result.create(caller.create(request).await) {
            result.list(&id, caller.list(order_ids(&id)).await);
        }
    }
    result
}

/// How many spots a server has sold.
async fn sold(server: &Running) -> i32 {
    let item = ticket().0;
    let slot = Slot {
        merchant_id: "museum".into(),
        service_id: item.service_id,
        start_sec: item.start_sec,
        duration_sec: item.duration_sec,
        ..Slot::default()
    };
    let mut client = BookingServiceClient::new(server.connect().await);
    let request = CheckAvailabilityRequest { slot: Some(slot) };
    SPOTS
        - client
            .check_availability(request)
            .await
            .unwrap()
            .into_inner()
            .count_available
}

/// Waits until a server has sold its part of the load from here on.
async fn sells(server: &Running) {
    let before = sold(server).await;
    until("the server has a part of the load", async || {
        sold(server).await >= before + A_PART
    })
    .await;
}

/// Every order that was acknowledged is on record at one of the servers, and nothing else is. An
/// order that was begun on both would be two, of which the caller knows one.
async fn orders_are_those_acknowledged(servers: [&Running; 2], mut acknowledged: Vec<String>) {
    let mut on_record = Vec::new();
    for server in servers {
        let mut caller = Caller::connect(Transport::Grpc, server.address()).await;
        for (user, ..) in CLIENTS {
            let listed = caller.list(Ids::UserId(user.into())).await.unwrap();
            on_record.extend(listed.order.into_iter().map(|order| order.order_id));
        }
    }
    on_record.sort_unstable();
    acknowledged.sort_unstable();
    assert_eq!(on_record, acknowledged);
}

/// One server goes and comes back while clients call through a balancer.
async fn no_call_is_lost(kind: Kind, drain_delay: &'static str) {
    let [mut site, mut other_site] = Site::pair(&["--drain-delay", drain_delay]);
    let (server, other) = (site.open().await, other_site.open().await);
    let balancer = Balancer::start(kind, [server.address(), other.address()]).await;
    let load = Load::begin(balancer.address());
    sells(&server).await;
    sells(&other).await;

    assert_eq!(server.stop().await.code(), 0);
    sells(&other).await;

    let server = site.open().await;
    sells(&server).await;
    sells(&other).await;

    let LoadResult {
        answered,
        orders,
        lost,
    } = load.end().await;
    assert!(
        lost.is_empty(),
        "{} of {answered} calls lost: {lost:#?}",
        lost.len()
    );
    orders_are_those_acknowledged([&server, &other], orders).await;
    for server in [server, other] {
        assert_eq!(server.stop().await.code(), 0);
    }
}

/// A server is killed while it has calls that only read: the balancer retries them on the other one.
async fn read_only_calls_are_retried(kind: Kind) {
    let [mut site, mut other_site] = Site::pair(&[]);
    let (server, other) = (site.open().await, other_site.open().await);
    let balancer = Balancer::start(kind, [server.address(), other.address()]).await;
    let mut callers = Vec::new();
    for (_, transport, _) in CLIENTS {
        callers.push(Caller::connect(transport, balancer.address()).await);
    }

    // It takes what is sent to it and does nothing with it.
    server.signal("STOP").await;
    let readers = callers.into_iter().map(|mut caller| async move {
        let mut result = LoadResult::default();
        result.check(caller.check().await);
        result.list("none", caller.list(order_ids("none")).await);
        result
    });
    let readers: JoinSet<LoadResult> = readers.collect();
    until("the server has a call", async || {
        balancer.calls_at(0).await > 0
    })
    .await;
    server.kill().await;
    let result = total(readers).await;
    assert!(result.lost.is_empty(), "{:#?}", result.lost);
    assert_eq!(result.answered, 2 * CLIENTS.len());
    assert_eq!(other.stop().await.code(), 0);
}

/// A server is killed while it creates an order: the call is lost, and the balancer begins it
/// nowhere else. So what counts the calls that are lost does count.
async fn an_order_that_was_begun_is_not_begun_elsewhere(kind: Kind, transport: Transport) {
    let [mut site, mut other_site] = Site::pair(&["--max-in-flight=1"]);
    let mut servers = vec![site.open().await, other_site.open().await];
    let balancer = Balancer::start(kind, [servers[0].address(), servers[1].address()]).await;
    let order = tokio::spawn(knock(
        transport,
        balancer.address(),
        create_request("grpc-1", "token", Some("hang")),
    ));
    until("a server has the order", async || {
        busy(&servers).await.is_some()
    })
    .await;
    servers.remove(busy(&servers).await.unwrap()).kill().await;

    let lost = order.await.unwrap();
    assert_eq!(
        lost.as_ref().unwrap_err().code(),
        Code::Unavailable,
        "{lost:?}"
    );
    let mut result = LoadResult::default();
    result.create(lost);
    assert_eq!(result.lost.len(), 1, "{result:#?}");
    assert_eq!((busy(&servers).await, sold(&servers[0]).await), (None, 0));
    let mut caller = Caller::connect(Transport::Grpc, balancer.address()).await;
    let asked_again = caller
        .create(create_request("grpc-1", "token", Some("approve")))
        .await;
    assert!(result.create(asked_again).is_some(), "{result:#?}");

    let server = if servers[0].address().to_string() == site.listen {
        other_site
    } else {
        site
    }
    .open()
    .await;
    orders_are_those_acknowledged([&server, &servers[0]], result.orders).await;
}

/// Asks for an order until a server has room for the call.
async fn knock(
    transport: Transport,
    address: SocketAddr,
    request: CreateOrderRequest,
) -> Result<CreateOrderResponse, Status> {
    let mut caller = Caller::connect(transport, address).await;
    loop {
        match caller.create(request.clone()).await {
            Err(rejection) if rejection.code() == Code::ResourceExhausted => {}
            answer => return answer,
        }
    }
}

/// Which of these servers, each of which takes one call, has one.
async fn busy(servers: &[Running]) -> Option<usize> {
    for (at, server) in servers.iter().enumerate() {
        let answer = Caller::connect(Transport::Grpc, server.address())
            .await
            .check()
            .await;
        if answer.is_err_and(|rejection| rejection.code() == Code::ResourceExhausted) {
            return Some(at);
        }
    }
    None
}

#[tokio::test]
#[ignore = "needs Envoy, which scripts/test brings"]
async fn no_call_is_lost_behind_envoy_when_a_server_goes_and_comes_back() {
    no_call_is_lost(Kind::Envoy, "2s").await;
}

#[tokio::test]
#[ignore = "needs Envoy, which scripts/test brings"]
async fn no_call_is_lost_behind_envoy_when_a_server_goes_without_notice() {
    no_call_is_lost(Kind::Envoy, "0s").await;
}

#[tokio::test]
#[ignore = "needs Envoy, which scripts/test brings"]
async fn read_only_calls_are_retried_by_envoy() {
    read_only_calls_are_retried(Kind::Envoy).await;
}

#[tokio::test]
#[ignore = "needs Envoy, which scripts/test brings"]
async fn an_order_that_was_begun_is_not_begun_elsewhere_by_envoy() {
    for transport in [Transport::Grpc, Transport::Rest] {
        an_order_that_was_begun_is_not_begun_elsewhere(Kind::Envoy, transport).await;
    }
}

#[tokio::test]
#[ignore = "needs HAProxy, which scripts/test brings"]
async fn no_call_is_lost_behind_haproxy_when_a_server_goes_and_comes_back() {
    no_call_is_lost(Kind::HaProxy, "2s").await;
}

#[tokio::test]
#[ignore = "needs HAProxy, which scripts/test brings"]
async fn no_call_is_lost_behind_haproxy_when_a_server_goes_without_notice() {
    no_call_is_lost(Kind::HaProxy, "0s").await;
}

#[tokio::test]
#[ignore = "needs HAProxy, which scripts/test brings"]
async fn read_only_calls_are_retried_by_haproxy() {
    read_only_calls_are_retried(Kind::HaProxy).await;
}

#[tokio::test]
#[ignore = "needs HAProxy, which scripts/test brings"]
async fn an_order_that_was_begun_is_not_begun_elsewhere_by_haproxy() {
    for transport in [Transport::Grpc, Transport::Rest] {
        an_order_that_was_begun_is_not_begun_elsewhere(Kind::HaProxy, transport).await;
    }
}
