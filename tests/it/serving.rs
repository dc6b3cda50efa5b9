//! Coming up, serving within limits, and going down.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use boxoffice::{
    config::RuntimeChoice,
    domain::order::{Order, OrderId},
    payments::{Answer as GatewayAnswer, Charge, ChargeAnswer, ChargeKey, GatewayError, Payments, Undone},
    store::{Change, Committed, NamedClaim, Recovered, Replay, Selection, Store, StoreError, StoreState, memory::MemoryStore},
    wire::proto::v3::{
        CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse, CreateOrderRequest, CreateOrderResponse,
        create_order_response::Result as Outcome,
    },
};
use prost::Message;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
};
use tonic::{Code, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt;

use crate::{
    process::{Program, in_days, surely},
    raw::{Answer, RawClient, framed, whole},
    support::{Item, Setup, TestServer, config, order_request, paid_with, sample_catalog},
};

const SERVICE: &str = "ext.maps.booking.partner.v3.BookingService";

const AN_HOUR: Duration = Duration::from_secs(3600);

fn two_adults() -> Item {
    Item::museum_entry().tickets(&[("adult", 2)]).price("USD", 50_000_000)
}

fn check_request() -> CheckOrderFulfillabilityRequest {
    let item = vec![two_adults().0];
    CheckOrderFulfillabilityRequest { merchant_id: "museum".into(), item, cart_id: String::new() }
}

fn free_order(token: &str) -> CreateOrderRequest {
    order_request(token, "museum", [two_adults()])
}

fn paid_order(token: &str) -> CreateOrderRequest {
    paid_with(free_order(token), "approve")
}

async fn raw(server: &TestServer) -> RawClient {
    RawClient::connect(server.server.address()).await
}

async fn check(client: &RawClient) -> Answer {
    client.call("CheckOrderFulfillability", &check_request().encode_to_vec()).await
}

/// The id of the order that was created.
fn order_id(answer: &Answer) -> String {
    match answer.message::<CreateOrderResponse>().result {
        Some(Outcome::Order(order)) => order.order_id,
        other => panic!("not an order: {other:?}"),
    }
}

/// A call that goes on in the background.
fn begin(client: &RawClient, request: &CreateOrderRequest) -> tokio::task::JoinHandle<Result<Answer, hyper::Error>> {
    let body = whole(framed(&request.encode_to_vec()));
    let (client, request) = (client.clone(), client.request("CreateOrder").body(body).unwrap());
    tokio::spawn(async move { client.send(request).await })
}

/// A gateway that says when it is asked for money, and takes it when it is let.
#[derive(Debug)]
struct HeldGateway {
    asked: mpsc::UnboundedSender<()>,
    open: watch::Receiver<bool>,
}

/// The other end of it.
struct Hand {
    asked: mpsc::UnboundedReceiver<()>,
    open: watch::Sender<bool>,
}

fn held_gateway() -> (Arc<HeldGateway>, Hand) {
    let (asked, asking) = mpsc::unbounded_channel();
    let (open, opening) = watch::channel(false);
    (Arc::new(HeldGateway { asked, open: opening }), Hand { asked: asking, open })
}

impl Hand {
    /// Waits until money is asked for.
    async fn asked(&mut self) {
        surely("a charge", self.asked.recv()).await.unwrap();
    }

    fn let_through(&self) {
        self.open.send_replace(true);
    }
}

impl Payments for HeldGateway {
    fn charge<'a>(&'a self, charge: &'a Charge) -> GatewayAnswer<'a, ChargeAnswer> {
        let mut open = self.open.clone();
        Box::pin(async move {
            self.asked.send(()).unwrap();
            open.wait_for(|open| *open).await.unwrap();
            ChargeAnswer::Captured(charge.key.0.clone())
        })
    }

    fn undo<'a>(&'a self, _: &'a ChargeKey) -> GatewayAnswer<'a, Result<Undone, GatewayError>> {
        Box::pin(std::future::ready(Ok(Undone::Voided)))
    }
}

/// A store that fails from a moment of the test's choosing.
#[derive(Debug, Default)]
struct BreakableStore {
    orders: MemoryStore,
    state: watch::Sender<StoreState>,
    broken: std::sync::atomic::AtomicBool,
}
