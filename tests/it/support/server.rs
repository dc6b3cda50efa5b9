//! A real server on a free port, with a clock and a gateway in the test's hands, and a real client.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use boxoffice::{
    api::booking::proto::v3::{
        BatchAvailabilityLookupRequest, BatchAvailabilityLookupResponse, CheckAvailabilityRequest,
        CheckAvailabilityResponse, CheckOrderFulfillabilityRequest, CreateOrderRequest,
        CreateOrderResponse, ListOrdersRequest, ListOrdersResponse, Order, Slot, SlotTime,
        booking_service_client::BookingServiceClient,
        list_orders_request::{Ids, OrderIds},
    },
    catalog,
    config::{Config, PaymentsChoice},
    kernel::clock::ManualClock,
    orders::{Parts, audit::Audit},
    payments::{PaymentGateway, simulated::SimulatedGateway},
    server::{self, ServeError, Server},
    store::{
        Store,
        log::{LogOptions, LogStore, OpenError},
        memory::MemoryStore,
    },
};
use domain::time::EpochSeconds;
use prost::Message;
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{Code, Status, transport::Channel};

use super::{
    Checked, Created, Item, NOW, agree,
    byte_client::{Answer, ByteClient, framed, whole},
    invariants, order_request,
    process::with_timeout,
    rest_client, sample_catalog,
};

/// What a test may choose before the server starts.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) catalog: PathBuf,
    pub(crate) clock: Arc<ManualClock>,
    /// Asked unless the settings have payments off.
    pub(crate) payments: Arc<dyn PaymentGateway>,
    pub(crate) store: Arc<dyn Store>,
}

impl Default for Setup {
    /// The sample catalogue, a store in memory, the simulated gateway.
    fn default() -> Self {
        Self {
            config: config(),
            catalog: sample_catalog(),
            clock: Arc::new(ManualClock::at(EpochSeconds::new(NOW))),
            payments: Arc::new(SimulatedGateway::default()),
            store: Arc::new(MemoryStore::default()),
        }
    }
}

/// Opens the store in a directory, or creates one, with segments that are small enough to be filled and copied in no time.
pub(crate) fn open_store(dir: &Path) -> Result<LogStore, OpenError> {
    let options = LogOptions {
        segment_bytes: 1 << 20,
        ..LogOptions::new(1024)
    };
    LogStore::open_with(dir, &options)
}

impl Setup {
    /// A server with these settings.
    pub(crate) fn with_config(config: Config) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// The server with this gateway.
    pub(crate) fn with_gateway(self, gateway: &Arc<impl PaymentGateway + 'static>) -> Self {
        Self {
            payments: gateway.clone(),
            ..self
        }
    }

    /// A server that keeps its orders in `dir`.
    pub(crate) fn embedded(dir: &Path) -> Self {
        Self {
            store: Arc::new(open_store(dir).unwrap()),
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
        let loaded = catalog::load(&catalog).unwrap();
        let payments = (config.sales.payments != PaymentsChoice::Off).then_some(payments);
        let audit = Audit::open(&config.logging.audit_log, clock.clone()).unwrap();
        let parts = Parts {
            loaded,
            store,
            payments,
            clock,
            limits: server::limits(&config),
            audit,
            lifecycle: server::lifecycle_source(&config)?,
        };
        config.sales.catalog = catalog;
        Server::start(&config, parts).await
    }
}

/// The defaults, on a free port, with a gateway, shutdown without delay.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.serving.listen = "127.0.0.1:0".parse().unwrap();
    config.serving.admin_listen = None;
    config.serving.operator_listen = None;
    config.serving.workers = Some(2);
    config.sales.catalog_watch = None;
    config.sales.payments = PaymentsChoice::Simulated;
    config.shutdown.drain_delay = Duration::ZERO;
    config
}

/// The same with the operator's listener on a free port.
pub(crate) fn operator_config() -> Config {
    let mut config = config();
    config.serving.operator_listen = Some("127.0.0.1:0".parse().unwrap());
    config
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
pub(crate) enum Transport {
    Grpc,
    Rest,
}

impl Transport {
    fn other(self) -> Self {
        match self {
            Self::Grpc => Self::Rest,
            Self::Rest => Self::Grpc,
        }
    }
}

/// A running server and a connection to it. What is asked here is asked over both transports wherever
/// asking twice changes nothing, and the answers have to agree.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) channel: Channel,
    pub(crate) clock: Arc<ManualClock>,
    /// Orders are created over one transport and the other by turns.
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
        invariants::hold_for_check(request, &response);
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
        let transport = if self.next.fetch_xor(true, Ordering::Relaxed) {
            Transport::Rest
        } else {
            Transport::Grpc
        };
        let answer = self.send_over(transport, &request).await;
        let harmless = match &answer {
            Ok(created) => created.is_order() || request.payment_processing_parameters.is_none(),
            Err(rejection) => rejection.code() == Code::InvalidArgument,
        };
        if harmless {
            agree(&answer, &self.send_over(transport.other(), &request).await);
        }
        answer
    }

    /// Sends it over one transport only.
    pub(crate) async fn send_over(
        &self,
        transport: Transport,
        request: &CreateOrderRequest,
    ) -> Result<Created, Status> {
        let answer: Result<CreateOrderResponse, Status> = match transport {
            Transport::Grpc => self
                .client()
                .create_order(request.clone())
                .await
                .map(tonic::Response::into_inner),
            Transport::Rest => {
                rest_client::call(self.server.address(), "CreateOrder", request).await
            }
        };
        if let Ok(response) = &answer {
            invariants::hold_for_create(request, response);
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
        with_timeout("the deadline passes", client.send(call))
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
        invariants::hold_for_lookup(&request, &answer);
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
        invariants::hold_for_availability(&request, &answer);
        Ok(answer.count_available)
    }

    /// Starts an orderly shutdown in the background; a message to the sender forces its end.
    pub(crate) fn begin_shutdown(self) -> (JoinHandle<()>, oneshot::Sender<()>) {
        let (force, forced) = oneshot::channel::<()>();
        let stop = self.server.stop(async move {
            if forced.await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        (tokio::spawn(stop), force)
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
