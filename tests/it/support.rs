//! A real server on a free port, with a clock and a gateway in the test's hands, and a real client.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use boxoffice::{
    app::Parts,
    audit::Audit,
    catalog_files,
    clock::ManualClock,
    config::{Config, PaymentsChoice},
    payments::{Payments, simulated::SimulatedGateway},
    server::{self, ServeError, Server},
    store::{Store, embedded::EmbeddedStore, memory::MemoryStore},
    wire::proto::v3::{
        BatchAvailabilityLookupRequest, BatchAvailabilityLookupResponse, CheckAvailabilityRequest,
        CheckAvailabilityResponse, CheckOrderFulfillabilityRequest,
        CheckOrderFulfillabilityResponse, CreateOrderRequest, CreateOrderResponse,
        IntakeFormAnswers, IntakeFormFieldAnswer, LineItem, LineItemFulfillability,
        ListOrdersRequest, ListOrdersResponse, Order, OrderFailure, PaymentInformation,
        PaymentProcessingParameters, PostalAddress, Price, Slot, SlotTime, UserInformation,
        booking_service_client::BookingServiceClient,
        create_order_response,
        line_item::OrderedTickets,
        list_orders_request::{Ids, OrderIds},
        payment_information::PaymentProcessedBy,
    },
};
use prost::Message;
use tempfile::TempDir;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use crate::{
    byte_client::{Answer, ByteClient, framed, whole},
    laws,
    process::surely,
    rest_client,
};

/// The moment at which every test begins: Thursday, 15 January 2026, 06:00 UTC.
pub(crate) const NOW: i64 = 1_768_456_800;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// The second at which the day after [`NOW`] has this time.
pub(crate) fn tomorrow_at(hour: i64, minute: i64) -> i64 {
    (NOW / DAY + 1) * DAY + hour * HOUR + minute * 60
}

/// What a test may choose before the server starts.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) catalog: PathBuf,
    pub(crate) clock: Arc<ManualClock>,
    /// Asked unless the settings have payments off.
    pub(crate) payments: Arc<dyn Payments>,
    pub(crate) store: Arc<dyn Store>,
}

impl Default for Setup {
    /// The sample catalogue, a store in memory, the simulated gateway.
    fn default() -> Self {
        Self {
            config: config(),
            catalog: sample_catalog(),
            clock: Arc::new(ManualClock::at(NOW)),
            payments: Arc::new(SimulatedGateway::default()),
            store: Arc::new(MemoryStore::default()),
        }
    }
}

impl Setup {
    /// A server that keeps its orders in `dir`.
    pub(crate) fn embedded(dir: &std::path::Path) -> Self {
        Self {
            store: Arc::new(EmbeddedStore::open(dir, 1024).unwrap()),
            ..Self::default()
        }
    }

    /// Starts it.
    pub(crate) async fn start(self) -> TestServer {
        let clock = self.clock.clone();
        let server = self.open().await.unwrap();
        let channel = connect(&server).await;
        TestServer {
            server,
            channel,
            clock,
            next: AtomicBool::default(),
        }
    }

    /// Starts it and leaves it at that.
    pub(crate) async fn open(self) -> Result<Server, ServeError> {
        let Self {
            mut config,
            catalog,
            clock,
            payments,
            store,
        } = self;
        let loaded = catalog_files::load(&catalog).unwrap();
        let payments = (config.sales.payments != PaymentsChoice::Off).then_some(payments);
        let audit = Audit::open(&config.logging.audit_log, clock.clone()).unwrap();
        let parts = Parts {
            loaded,
            store,
            payments,
            clock,
            limits: server::limits(&config),
            audit,
        };
        config.sales.catalog = catalog;
        Server::start(&config, parts).await
    }
}

/// The defaults, on a free port, with a gateway, going down without delay.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.serving.listen = "127.0.0.1:0".parse().unwrap();
    config.serving.admin_listen = None;
    config.serving.workers = Some(2);
    config.sales.catalog_watch = None;
    config.sales.payments = PaymentsChoice::Simulated;
    config.shutdown.drain_delay = std::time::Duration::ZERO;
    config
}

/// The catalogue that comes with the sources.
pub(crate) fn sample_catalog() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/catalog")
}

async fn connect(server: &Server) -> Channel {
    Channel::from_shared(format!("http://{}", server.address()))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// Which way a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Grpc,
    Rest,
}

impl Door {
    fn other(self) -> Self {
        match self {
            Self::Grpc => Self::Rest,
            Self::Rest => Self::Grpc,
        }
    }
}

/// A running server and a connection to it. What is asked here is asked through both doors wherever
/// asking twice changes nothing, and the answers have to agree.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) channel: Channel,
    pub(crate) clock: Arc<ManualClock>,
    /// Orders are created through one door and the other by turns.
    next: AtomicBool,
}

impl TestServer {
    /// A server with nothing special about it.
    pub(crate) async fn start() -> Self {
        Setup::default().start().await
    }

    /// A client on the server's first connection.
    pub(crate) fn client(&self) -> BookingServiceClient<Channel> {
        BookingServiceClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    /// A connection of its own.
    pub(crate) async fn another_connection(&self) -> Channel {
        connect(&self.server).await
    }

    pub(crate) async fn check(
        &self,
        merchant: &str,
        items: impl IntoIterator<Item = Item>,
    ) -> Result<Checked, Status> {
        self.check_cart("", merchant, items).await
    }

    pub(crate) async fn check_cart(
        &self,
        cart_id: &str,
        merchant: &str,
        items: impl IntoIterator<Item = Item>,
    ) -> Result<Checked, Status> {
        let request = CheckOrderFulfillabilityRequest {
            merchant_id: merchant.into(),
            item: items.into_iter().map(|item| item.0).collect(),
            cart_id: cart_id.into(),
        };
        self.check_request(&request).await
    }

    pub(crate) async fn check_request(
        &self,
        request: &CheckOrderFulfillabilityRequest,
    ) -> Result<Checked, Status> {
        let by_grpc = self
            .client()
            .check_order_fulfillability(request.clone())
            .await;
        let by_grpc = by_grpc.map(tonic::Response::into_inner);
        let by_rest =
            rest_client::call(self.server.address(), "CheckOrderFulfillability", request).await;
        agree(&by_grpc, &by_rest);
        let response = by_grpc?;
        laws::hold_for_check(request, &response);
        Ok(Checked(response))
    }

    /// Spots open for a line, as a look at it says.
    pub(crate) async fn spots_open(&self, merchant: &str, item: Item) -> i32 {
        let checked = self.check(merchant, [item]).await.unwrap();
        checked.item(0).availability.as_ref().unwrap().spots_open
    }

    /// Creates an order for `user-1`, stating no fees and paying nothing.
    pub(crate) async fn create(
        &self,
        token: &str,
        merchant: &str,
        items: impl IntoIterator<Item = Item>,
    ) -> Result<Created, Status> {
        self.send(order_request(token, merchant, items)).await
    }

    pub(crate) async fn send(&self, request: CreateOrderRequest) -> Result<Created, Status> {
        let door = if self.next.fetch_xor(true, Ordering::Relaxed) {
            Door::Rest
        } else {
            Door::Grpc
        };
        let answer = self.send_through(door, &request).await;
        let harmless = match &answer {
            Ok(created) => created.is_order() || request.payment_processing_parameters.is_none(),
            Err(refusal) => refusal.code() == Code::InvalidArgument,
        };
        if harmless {
            agree(&answer, &self.send_through(door.other(), &request).await);
        }
        answer
    }

    /// Sends it through one door only.
    pub(crate) async fn send_through(
        &self,
        door: Door,
        request: &CreateOrderRequest,
    ) -> Result<Created, Status> {
        let answer: Result<CreateOrderResponse, Status> = match door {
            Door::Grpc => self
                .client()
                .create_order(request.clone())
                .await
                .map(tonic::Response::into_inner),
            Door::Rest => rest_client::call(self.server.address(), "CreateOrder", request).await,
        };
        if let Ok(response) = &answer {
            laws::hold_for_create(request, response);
        }
        answer.map(Created)
    }

    /// Creates an order within a deadline that only the server watches, written as on the wire.
    pub(crate) async fn create_within(
        &self,
        timeout: &str,
        request: &CreateOrderRequest,
    ) -> Answer {
        let client = ByteClient::connect(self.server.address()).await;
        let body = whole(framed(&request.encode_to_vec()));
        let call = client
            .request("CreateOrder")
            .header("grpc-timeout", timeout)
            .body(body)
            .unwrap();
        surely("the deadline passes", client.send(call))
            .await
            .unwrap()
    }

    pub(crate) async fn list_user(&self, user_id: &str) -> Result<Vec<Order>, Status> {
        self.list(Ids::UserId(user_id.into())).await
    }

    pub(crate) async fn list_ids<S: Into<String>>(
        &self,
        ids: impl IntoIterator<Item = S>,
    ) -> Result<Vec<Order>, Status> {
        let order_id = ids.into_iter().map(Into::into).collect();
        self.list(Ids::OrderIds(OrderIds { order_id })).await
    }

    async fn list(&self, ids: Ids) -> Result<Vec<Order>, Status> {
        self.list_request(&ListOrdersRequest { ids: Some(ids) })
            .await
    }

    pub(crate) async fn list_request(
        &self,
        request: &ListOrdersRequest,
    ) -> Result<Vec<Order>, Status> {
        let by_grpc = self
            .client()
            .list_orders(request.clone())
            .await
            .map(tonic::Response::into_inner);
        let by_rest = rest_client::call(self.server.address(), "ListOrders", request).await;
        agree(&by_grpc, &by_rest);
        by_grpc.map(|ListOrdersResponse { order }| order)
    }

    /// Whether slots are available, in the order asked.
    pub(crate) async fn look_up(
        &self,
        merchant: &str,
        slots: impl IntoIterator<Item = SlotTime>,
    ) -> Result<Vec<bool>, Status> {
        let slot_time = slots.into_iter().collect();
        let request = BatchAvailabilityLookupRequest {
            merchant_id: merchant.into(),
            slot_time,
        };
        let answer = self
            .client()
            .batch_availability_lookup(request.clone())
            .await;
        let answer = answer.map(tonic::Response::into_inner);
        let by_rest: Result<BatchAvailabilityLookupResponse, Status> =
            rest_client::call(self.server.address(), "BatchAvailabilityLookup", &request).await;
        agree(&answer, &by_rest);
        let answer = answer?;
        laws::hold_for_lookup(&request, &answer);
        Ok(answer
            .slot_time_availability
            .iter()
            .map(|seen| seen.available)
            .collect())
    }

    /// Spots of a slot.
    pub(crate) async fn count_available(&self, slot: Slot) -> Result<i32, Status> {
        let request = CheckAvailabilityRequest { slot: Some(slot) };
        let answer = self.client().check_availability(request.clone()).await;
        let answer = answer.map(tonic::Response::into_inner);
        let by_rest: Result<CheckAvailabilityResponse, Status> =
            rest_client::call(self.server.address(), "CheckAvailability", &request).await;
        agree(&answer, &by_rest);
        let answer = answer?;
        laws::hold_for_availability(&request, &answer);
        Ok(answer.count_available)
    }

    /// Goes down in good order, so that its store may be opened again.
    pub(crate) async fn stop(self) {
        let Self {
            server, channel, ..
        } = self;
        drop(channel);
        server.stop(std::future::pending()).await;
    }
}

/// Fails unless both doors have given the same answer.
pub(crate) fn agree<M: PartialEq + std::fmt::Debug>(
    one: &Result<M, Status>,
    other: &Result<M, Status>,
) {
    let told = |refusal: &Status| {
        (
            refusal.code(),
            refusal.message().to_owned(),
            format!("{:?}", refusal.get_error_details()),
        )
    };
    match (one, other) {
        (Ok(one), Ok(other)) => assert_eq!(one, other),
        (Err(one), Err(other)) => assert_eq!(told(one), told(other)),
        (one, other) => panic!("{one:?} and {other:?}"),
    }
}

/// A request of `user-1` that states no fees and pays nothing.
pub(crate) fn order_request(
    token: &str,
    merchant: &str,
    items: impl IntoIterator<Item = Item>,
) -> CreateOrderRequest {
    CreateOrderRequest {
        idempotency_token: token.into(),
        payment_processing_parameters: None,
        order: Some(Box::new(Order {
            order_id: String::new(),
            merchant_id: merchant.into(),
            user_information: Some(UserInformation {
                user_id: "user-1".into(),
                given_name: "Ada".into(),
                family_name: "Lovelace".into(),
                address: None,
                telephone: "+44 20 7946 0000".into(),
                email: "ada@example.com".into(),
                language_code: "en".into(),
            }),
            payment_information: None,
            item: items.into_iter().map(|item| item.0).collect(),
        })),
    }
}

/// The same request, for us to charge with this payment token.
pub(crate) fn paid_with(
    mut request: CreateOrderRequest,
    payment_token: &str,
) -> CreateOrderRequest {
    payment_information(&mut request).payment_processed_by =
        PaymentProcessedBy::ProcessedByPartner.into();
    request.payment_processing_parameters = Some(Box::new(PaymentProcessingParameters {
        unparsed_payment_method_token: payment_token.into(),
        ..PaymentProcessingParameters::default()
    }));
    request
}

/// The same request, stating this fee total.
pub(crate) fn stating_fees(
    mut request: CreateOrderRequest,
    currency: &str,
    micros: i64,
) -> CreateOrderRequest {
    payment_information(&mut request).fees_and_taxes = Some(price(currency, micros));
    request
}

/// The longest letter there is, in bytes.
pub(crate) const LONG_LETTER: &str = "\u{1f3ab}";

/// An address with this text in each of its five fields.
pub(crate) fn address_of(text: &str) -> PostalAddress {
    let [country, locality, region, postal_code, street_address] = [text; 5].map(str::to_owned);
    PostalAddress {
        country,
        locality,
        region,
        postal_code,
        street_address,
    }
}

/// The payment information of a request, made if there is none.
pub(crate) fn payment_information(request: &mut CreateOrderRequest) -> &mut PaymentInformation {
    request
        .order
        .as_mut()
        .unwrap()
        .payment_information
        .get_or_insert_default()
}

pub(crate) fn price(currency: &str, micros: i64) -> Price {
    Price {
        price_micros: micros,
        currency_code: currency.into(),
        pricing_option_tag: String::new(),
    }
}

/// A line item in the making.
#[derive(Clone)]
pub(crate) struct Item(pub(crate) LineItem);

impl Item {
    /// A line of tomorrow's slot of a service, without tickets and without a price.
    pub(crate) fn of(service: &str, hour: i64, minute: i64, duration_sec: i64) -> Self {
        Self(LineItem {
            service_id: service.into(),
            start_sec: tomorrow_at(hour, minute),
            duration_sec,
            ..LineItem::default()
        })
    }

    /// Tomorrow at ten.
    pub(crate) fn museum_entry() -> Self {
        Self::of("museum-entry", 10, 0, 2 * HOUR)
    }

    /// Tomorrow at nine.
    pub(crate) fn raft_trip() -> Self {
        Self::of("raft-trip", 9, 0, 3 * HOUR)
    }

    /// Tomorrow at half past seven in the evening.
    pub(crate) fn symphony() -> Self {
        Self::of("symphony", 19, 30, 9000)
    }

    /// Tomorrow at nine, with the answers that it must have, for forty dollars.
    pub(crate) fn haircut() -> Self {
        Self::of("haircut", 9, 0, HOUR)
            .price("USD", 40_000_000)
            .answers(&[("hair_length", &["short"]), ("first_visit", &["true"])])
    }

    /// Tomorrow at three, in yen.
    pub(crate) fn bath() -> Self {
        Self::of("bath", 3, 0, 5400)
    }

    pub(crate) fn tickets(mut self, tickets: &[(&str, i32)]) -> Self {
        let ordered = |&(id, count): &(&str, i32)| OrderedTickets {
            ticket_id: id.into(),
            count,
        };
        self.0.tickets = tickets.iter().map(ordered).collect();
        self
    }

    pub(crate) fn price(mut self, currency: &str, micros: i64) -> Self {
        self.0.price = Some(price(currency, micros));
        self
    }

    pub(crate) fn answers(mut self, answers: &[(&str, &[&str])]) -> Self {
        let answer = |&(id, responses): &(&str, &[&str])| IntakeFormFieldAnswer {
            id: id.into(),
            response: responses.iter().map(ToString::to_string).collect(),
        };
        self.0.intake_form_answers = Some(IntakeFormAnswers {
            answer: answers.iter().map(answer).collect(),
        });
        self
    }
}

/// The answer to a cart.
#[derive(Debug, Clone)]
pub(crate) struct Checked(pub(crate) CheckOrderFulfillabilityResponse);

impl Checked {
    /// The order's result, by its published name.
    pub(crate) fn verdict(&self) -> &'static str {
        self.0
            .fulfillability
            .as_ref()
            .unwrap()
            .result()
            .as_str_name()
    }

    pub(crate) fn item(&self, at: usize) -> &LineItemFulfillability {
        &self.0.fulfillability.as_ref().unwrap().item_fulfillability[at]
    }

    /// An item's result, by its published name.
    pub(crate) fn item_verdict(&self, at: usize) -> &'static str {
        self.item(at).result().as_str_name()
    }
}

/// The answer to an order to be created.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Created(pub(crate) CreateOrderResponse);

impl Created {
    /// Whether it is an order.
    pub(crate) fn is_order(&self) -> bool {
        matches!(self.0.result, Some(create_order_response::Result::Order(_)))
    }

    /// The order; a failure fails the test.
    pub(crate) fn order(self) -> Order {
        match self.0.result {
            Some(create_order_response::Result::Order(order)) => *order,
            other => panic!("not an order: {other:?}"),
        }
    }

    /// The failure; an order fails the test.
    pub(crate) fn failure(self) -> OrderFailure {
        match self.0.result {
            Some(create_order_response::Result::OrderFailure(failure)) => failure,
            other => panic!("not a failure: {other:?}"),
        }
    }
}

/// The sample catalogue with some texts replaced: (file, old, new). Every place of the old one is.
pub(crate) fn edited_catalog(edits: &[(&str, &str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for file in std::fs::read_dir(sample_catalog()).unwrap() {
        let file = file.unwrap();
        let mut text = std::fs::read_to_string(file.path()).unwrap();
        for (_, old, new) in edits.iter().filter(|(name, ..)| file.file_name() == **name) {
            assert!(text.contains(old), "{old:?}");
            text = text.replace(old, new);
        }
        std::fs::write(dir.path().join(file.file_name()), text).unwrap();
    }
    dir
}

/// The fields that a refusal finds fault with, in its order.
pub(crate) fn faulty_fields(refusal: &Status) -> Vec<String> {
    let violations = refusal
        .get_details_bad_request()
        .map(|details| details.field_violations);
    violations
        .into_iter()
        .flatten()
        .map(|violation| violation.field)
        .collect()
}

/// The machine-readable reason of a refusal.
pub(crate) fn reason(refusal: &Status) -> String {
    refusal
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}

/// Copies a folder with everything in it.
pub(crate) fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
