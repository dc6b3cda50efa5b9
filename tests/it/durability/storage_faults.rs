//! The real program on a disk that fails: it acknowledges nothing that may be lost, says so to callers,
//! to probes and in its log, and opened again it has what it acknowledged, or refuses and says why.
//!
//! What single bytes do is tested beside the store, in `crates/store/src/log/tests/damage.rs`.

use std::path::Path;

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

/// A program that keeps its orders here and tells its operator how it is.
fn program(program: Program, dir: &Path) -> Program {
    program.with_store(dir).args(["--admin-listen=127.0.0.1:0"])
}

/// An order for two. Of three in a row, one is paid here, which makes two changes of it.
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
            other => panic!("neither an order nor refused: {other:?}"),
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

/// What callers were told of orders that they asked for one after the other, by number.
#[derive(Debug, Default)]
struct Told {
    acknowledged: Vec<Order>,
    refused: Vec<(usize, Status)>,
}

impl Told {
    /// Asks for orders.
    async fn of(caller: &Caller, numbers: impl IntoIterator<Item = usize>) -> Self {
        let mut told = Self::default();
        for number in numbers {
            match caller.create(number).await {
                Ok(order) => told.acknowledged.push(order),
                Err(rejection) => told.refused.push((number, rejection)),
            }
        }
        told
    }

    /// Fails unless all that was refused was refused because the store has failed.
    fn refused_for_the_store(&self) {
        assert!(!self.refused.is_empty(), "nothing was refused");
        for (_, rejection) in &self.refused {
            let details = rejection.get_error_details();
            let reason = details.error_info().map(|info| info.reason.as_str());
            assert_eq!(
                (rejection.code(), reason),
                (Code::Unavailable, Some("STORE_UNAVAILABLE"))
            );
            assert!(details.retry_info().is_some());
        }
    }

    /// What is wrong with the orders that are listed afterwards.
    fn missed_in(&self, listed: &[Order]) -> Vec<String> {
        let missing = self
            .acknowledged
            .iter()
            .filter(|order| !listed.contains(order));
        let mut wrong: Vec<String> = missing
            .map(|order| format!("{} is not there", order.order_id))
            .collect();
        let most = self.acknowledged.len() + self.refused.len();
        if listed.len() > most {
            wrong.push(format!(
                "{} orders of {most} that were asked for",
                listed.len()
            ));
        }
        wrong
    }
}

/// Fails unless the program says everywhere that it takes no orders, and does what else it can.
async fn has_failed(server: &mut Running, caller: &Caller, reason: &str) {
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
    let admin = server.admin_address().await;
    for probe in ["/livez", "/readyz"] {
        assert_eq!(get(admin, probe).await, 503, "{probe}");
    }
    assert!(caller.can_check().await);
    let told = server.line("the reason", is_the_reason).await;
    assert!(told["error"].as_str().unwrap().contains(reason), "{told}");
}

/// Whether it is the line of the log that says what has happened to the store.
fn is_the_reason(line: &Value) -> bool {
    let reasons = ["a write failed", "the store was moved or removed"];
    let says = |reason: &str| {
        line["message"] == format!("{reason}; no further order is taken until a restart")
    };
    line["level"] == "ERROR" && reasons.into_iter().any(says)
}

/// Stops a program that has failed: it ends well, having said once what was wrong.
async fn stop(server: Running) {
    let ended = server.stop().await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    assert_eq!(
        ended.log().filter(is_the_reason).count(),
        1,
        "{}",
        ended.text()
    );
    assert!(!ended.text().contains("panic"), "{}", ended.text());
}

/// Opens the store on a sound disk: what was acknowledged is there, and what was refused is there once
/// it has been asked for again.
async fn goes_on(dir: &Path, told: &Told) {
    let server = program(Program::new(), dir).start().await;
    let caller = Caller::of(&server).await;
    assert_eq!(told.missed_in(&caller.list().await), [""; 0]);
    let again = Told::of(&caller, told.refused.iter().map(|(number, _)| *number)).await;
    assert!(again.refused.is_empty(), "{again:?}");
    let mut all = [&told.acknowledged[..], &again.acknowledged].concat();
    let mut listed = caller.list().await;
    for orders in [&mut all, &mut listed] {
        orders.sort_by(|one, other| one.order_id.cmp(&other.order_id));
    }
    assert_eq!(listed, all, "each once, as it was answered");
    assert_eq!(server.stop().await.code(), 0);
}
