//! A client of both transports, whose connections may be lost at any moment.

use boxoffice::api::booking::proto::v3::{
    CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse, CreateOrderRequest,
    CreateOrderResponse, ListOrdersRequest, ListOrdersResponse, Order,
    create_order_response::Result as CreateResult,
    list_orders_request::{Ids, OrderIds},
};
use bytes::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpStream;
use tonic::Status;

use super::{
    history::Response,
    workload::{self, Pool},
};
use crate::support::{
    Transport,
    byte_client::{Body, ByteClient, framed, whole},
    process::Running,
    reason, rest_client,
};

/// Orders per ListOrders call; with long addresses they fit into a response.
const LIST: usize = 250;

/// A connection to each of the transports.
pub(super) struct Client {
    grpc: ByteClient,
    rest: http1::SendRequest<Body>,
}

impl Client {
    pub(super) async fn at(server: &Running) -> Self {
        Self::beside(ByteClient::connect(server.address()).await, server).await
    }

    /// Shares a connection to one of the transports.
    pub(super) async fn beside(grpc: ByteClient, server: &Running) -> Self {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (rest, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        // Its end shows in the calls.
        tokio::spawn(connection);
        Self { grpc, rest }
    }

    pub(super) async fn create(
        &mut self,
        transport: Transport,
        request: &CreateOrderRequest,
    ) -> Response {
        match transport {
            Transport::Grpc => create_by_grpc(&self.grpc, request).await,
            Transport::Rest => create_by_rest(&mut self.rest, request).await,
        }
    }

    /// Sends a request over both transports concurrently.
    pub(super) async fn create_twice(&mut self, request: &CreateOrderRequest) -> [Response; 2] {
        let (one, other) = tokio::join!(
            create_by_grpc(&self.grpc, request),
            create_by_rest(&mut self.rest, request)
        );
        [one, other]
    }

    /// Checks a cart; `None` if the connection is lost.
    pub(super) async fn check(
        &self,
        request: &CheckOrderFulfillabilityRequest,
    ) -> Option<CheckOrderFulfillabilityResponse> {
        let answer = ask(&self.grpc, "CheckOrderFulfillability", request).await?;
        Some(CheckOrderFulfillabilityResponse::decode(answer.unwrap()).unwrap())
    }

    /// The spots that are open in these pools.
    pub(super) async fn spots_open(&self, pools: &[Pool]) -> Vec<i32> {
        let seen = self
            .check(&workload::cart_of_pools(pools))
            .await
            .unwrap()
            .fulfillability
            .unwrap();
        let open = seen
            .item_fulfillability
            .iter()
            .map(|item| item.availability.as_ref().unwrap().spots_open);
        open.collect()
    }

    pub(super) async fn list_by_ids(&self, ids: impl IntoIterator<Item = &String>) -> Vec<Order> {
        let ids: Vec<String> = ids.into_iter().cloned().collect();
        let mut orders = Vec::new();
        for order_id in ids.chunks(LIST) {
            orders.extend(
                self.list(Ids::OrderIds(OrderIds {
                    order_id: order_id.into(),
                }))
                .await,
            );
        }
        orders
    }

    pub(super) async fn list_by_users(
        &self,
        user_ids: impl IntoIterator<Item = String>,
    ) -> Vec<Order> {
        let mut orders = Vec::new();
        for user_id in user_ids {
            orders.extend(self.list(Ids::UserId(user_id)).await);
        }
        orders
    }

    async fn list(&self, ids: Ids) -> Vec<Order> {
        let answer = ask(
            &self.grpc,
            "ListOrders",
            &ListOrdersRequest { ids: Some(ids) },
        )
        .await
        .unwrap();
        ListOrdersResponse::decode(answer.unwrap()).unwrap().order
    }
}

/// The message that answers, or the rejection; nothing if the connection is lost.
async fn ask(
    grpc: &ByteClient,
    method: &str,
    request: &impl Message,
) -> Option<Result<Bytes, Status>> {
    let body = whole(framed(&request.encode_to_vec()));
    let answer = grpc
        .send(grpc.request(method).body(body).unwrap())
        .await
        .ok()?;
    match answer.status() {
        status if status.code() == tonic::Code::Ok => Some(Ok(answer.bytes())),
        status => Some(Err(status)),
    }
}

async fn create_by_grpc(grpc: &ByteClient, request: &CreateOrderRequest) -> Response {
    match ask(grpc, "CreateOrder", request).await {
        None => Response::Lost,
        Some(Err(rejection)) => Response::Rejected(reason(&rejection)),
        Some(Ok(bytes)) => classify(
            CreateOrderResponse::decode(bytes.clone()).unwrap(),
            Transport::Grpc,
            bytes,
        ),
    }
}

async fn create_by_rest(
    rest: &mut http1::SendRequest<Body>,
    request: &CreateOrderRequest,
) -> Response {
    let post = rest_client::post("/v3/CreateOrder", serde_json::to_vec(request).unwrap());
    let answer = async { rest_client::read(rest.send_request(post).await?).await };
    let Ok(answer) = answer.await else {
        return Response::Lost;
    };
    match answer.message() {
        Ok(response) => classify(response, Transport::Rest, answer.body),
        Err(rejection) => Response::Rejected(reason(&rejection)),
    }
}

fn classify(response: CreateOrderResponse, transport: Transport, bytes: Bytes) -> Response {
    match response.result.unwrap() {
        CreateResult::Order(order) => Response::Order(Box::new((*order, transport, bytes))),
        CreateResult::OrderFailure(_) => Response::Failure,
    }
}
