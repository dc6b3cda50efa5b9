//! The real program on a failing disk: it acknowledges nothing that may be lost, and reports the failure
//! to callers, to probes and in its log. After a restart it has all acknowledged orders, or reports why it
//! does not start.
//!
//! Damage of single bytes is tested beside the store, in `crates/store/src/embedded/tests/`.

use std::{net::SocketAddr, path::Path};

use boxoffice::api::booking::proto::v3::{
    CheckOrderFulfillabilityRequest, CreateOrderRequest, ListOrdersRequest, Order,
    booking_service_client::BookingServiceClient, create_order_response::Result as Outcome,
    list_orders_request::Ids, order_fulfillability::OrderFulfillabilityResult,
};
use http::Method;
use serde_json::Value;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;

use crate::support::{
    Item, order_request, paid_with,
    process::{Program, Running, in_days},
    rest_client::{send, without_body},
};

mod directories;
mod full_disk;
mod injected;

/// The user of all orders.
const USER: &str = "user-1";

/// A program with its store in `dir` and an admin listener.
fn program(program: Program, dir: &Path) -> Program {
    program.with_store(dir).args(["--admin-listen=127.0.0.1:0"])
}

/// An order of two tickets. Every third one is charged, which makes two changes of it.
fn request(number: usize) -> CreateOrderRequest {
    let day = 2 + i64::try_from(number).unwrap() / 20;
    let item = Item::museum_entry()
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000);
    let request = order_request(&format!("order-{number}"), "museum", [in_days(item, day)]);
    if number % 3 == 2 {
        paid_with(request, "approve")
    } else {
        request
    }
}

/// A caller of the program.
#[derive(Clone)]
struct Caller(BookingServiceClient<Channel>);

impl Caller {
    async fn of(server: &Running) -> Self {
        let client = BookingServiceClient::new(server.connect().await);
        Self(client.max_decoding_message_size(usize::MAX))
    }

    async fn create(&self, number: usize) -> Result<Order, Status> {
        let response = self
            .0
            .clone()
            .create_order(request(number))
            .await?
            .into_inner();
        match response.result {
            Some(Outcome::Order(order)) => Ok(*order),
            other => panic!("neither an order nor rejected: {other:?}"),
        }
    }

    async fn list(&self) -> Vec<Order> {
        let request = ListOrdersRequest {
            ids: Some(Ids::UserId(USER.into())),
        };
        self.0
            .clone()
            .list_orders(request)
            .await
            .unwrap()
            .into_inner()
            .order
    }

    async fn can_check(&self) -> bool {
        let item = request(0).order.unwrap().item;
        let request = CheckOrderFulfillabilityRequest {
            merchant_id: "museum".into(),
            item,
            cart_id: String::new(),
        };
        let checked = self
            .0
            .clone()
            .check_order_fulfillability(request)
            .await
            .unwrap()
            .into_inner();
        checked.fulfillability.unwrap().result() == OrderFulfillabilityResult::CanFulfill
    }
}

/// The outcomes of sequential CreateOrder calls.
#[derive(Debug, Default)]
struct Outcomes {
    acknowledged: Vec<Order>,
    /// By number of the order.
    rejected: Vec<(usize, Status)>,
}

impl Outcomes {
    /// Creates the orders of these numbers.
    async fn of(caller: &Caller, numbers: impl IntoIterator<Item = usize>) -> Self {
        let mut outcomes = Self::default();
        for number in numbers {
            match caller.create(number).await {
                Ok(order) => outcomes.acknowledged.push(order),
                Err(rejection) => outcomes.rejected.push((number, rejection)),
            }
        }
        outcomes
    }

    /// Fails unless there are rejections, and all of them because the store has failed.
    fn assert_store_unavailable(&self) {
        assert!(!self.rejected.is_empty(), "nothing was rejected");
        for (_, rejection) in &self.rejected {
            let details = rejection.get_error_details();
            let reason = details.error_info().map(|info| info.reason.as_str());
            assert_eq!(
                (rejection.code(), reason),
                (Code::Unavailable, Some("STORE_UNAVAILABLE"))
            );
            assert!(details.retry_info().is_some());
        }
    }

    /// How the orders listed afterwards contradict the outcomes.
    fn contradictions(&self, listed: &[Order]) -> Vec<String> {
        let missing = self
            .acknowledged
            .iter()
            .filter(|order| !listed.contains(order));
        let mut found: Vec<String> = missing
            .map(|order| format!("{} is missing", order.order_id))
            .collect();
        let most = self.acknowledged.len() + self.rejected.len();
        if listed.len() > most {
            found.push(format!(
                "{} orders of {most} that were requested",
                listed.len()
            ));
        }
        found
    }
}

/// Fails unless every probe and the log report the failed store, and checks still work.
async fn assert_store_failure_reported(server: &mut Running, caller: &Caller, reason: &str) {
    let channel = server.connect().await;
    for service in ["", "ext.maps.booking.partner.v3.BookingService"] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let health = HealthClient::new(channel.clone())
            .check(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(health.status(), ServingStatus::NotServing, "{service:?}");
    }
    let get = async |address, path| {
        send(address, without_body(Method::GET, path))
            .await
            .http
            .as_u16()
    };
    assert_eq!(get(server.address(), "/v3/HealthCheck").await, 503);
    let listening = server
        .line("listening", |line| line["message"] == "listening")
        .await;
    let admin: SocketAddr = listening["admin_address"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    for probe in ["/livez", "/readyz"] {
        assert_eq!(get(admin, probe).await, 503, "{probe}");
    }
    assert!(caller.can_check().await);
    let line = server.line("the reason", is_store_failure).await;
    assert!(line["error"].as_str().unwrap().contains(reason), "{line}");
}

/// Whether it is the log line about the failed store.
fn is_store_failure(line: &Value) -> bool {
    let reasons = ["a write failed", "the store was moved or removed"];
    let has = |reason: &str| {
        line["message"] == format!("{reason}; no further order is taken until a restart")
    };
    line["level"] == "ERROR" && reasons.into_iter().any(has)
}

/// Stops a program with a failed store: it exits with 0 and has logged the failure once.
async fn stop(server: Running) {
    let ended = server.stop().await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    assert_eq!(
        ended.log().filter(is_store_failure).count(),
        1,
        "{}",
        ended.text()
    );
    assert!(!ended.text().contains("panic"), "{}", ended.text());
}

/// Restarts on a healthy disk. Fails unless the acknowledged orders are on record, and the rejected ones can
/// be created by their tokens.
async fn assert_recovers(dir: &Path, outcomes: &Outcomes) {
    let server = program(Program::new(), dir).start().await;
    let caller = Caller::of(&server).await;
    assert_eq!(outcomes.contradictions(&caller.list().await), [""; 0]);
    let again = Outcomes::of(&caller, outcomes.rejected.iter().map(|(number, _)| *number)).await;
    assert!(again.rejected.is_empty(), "{again:?}");
    let mut all = [&outcomes.acknowledged[..], &again.acknowledged].concat();
    let mut listed = caller.list().await;
    for orders in [&mut all, &mut listed] {
        orders.sort_by(|one, other| one.order_id.cmp(&other.order_id));
    }
    assert_eq!(listed, all, "each once, as acknowledged");
    assert_eq!(server.stop().await.code(), 0);
}
