//! The limit: a server of the same messages without any work. It decodes the request, builds an
//! answer of the form and size of Box Office's, and encodes it, over tonic's own transport with a
//! runtime for each core.

use std::{
    io::{self, Write},
    net::SocketAddr,
    thread,
};

use crate::proto::{
    BatchAvailabilityLookupRequest, BatchAvailabilityLookupResponse, BookingStatus,
    CheckAvailabilityRequest, CheckAvailabilityResponse, CheckOrderFulfillabilityRequest,
    CheckOrderFulfillabilityResponse, CreateOrderRequest, CreateOrderResponse, Fees,
    LineItemFulfillability, ListOrdersRequest, ListOrdersResponse, OrderFulfillability, Price,
    booking_service_server::{BookingService, BookingServiceServer},
    create_order_response,
    line_item_fulfillability::{ItemFulfillabilityResult, UpdatedAvailability},
    order_fulfillability::OrderFulfillabilityResult,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, runtime};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::Error;

/// As long as the ids that Box Office gives.
const ORDER_ID: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Prints the address and serves until it is killed.
pub(crate) fn serve() -> Result<(), Error> {
    let first = listen(([127, 0, 0, 1], 0).into())?;
    let address = first.local_addr()?;
    let cores = thread::available_parallelism()?.get();
    let more = (1..cores)
        .map(|_| listen(address))
        .collect::<io::Result<Vec<_>>>()?;
    println!("{{\"message\":\"listening\",\"address\":\"{address}\"}}");
    io::stdout().flush()?;
    let workers: Vec<_> = std::iter::once(first)
        .chain(more)
        .map(|listener| thread::spawn(|| work(listener)))
        .collect();
    for worker in workers {
        worker.join().map_err(|_| "a worker panicked")??;
    }
    Ok(())
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn work(listener: std::net::TcpListener) -> Result<(), Error> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let incoming = TcpIncoming::from(TcpListener::from_std(listener)?).with_nodelay(Some(true));
        let service = BookingServiceServer::new(Echo);
        Ok(Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming)
            .await?)
    })
}

struct Echo;

#[tonic::async_trait]
impl BookingService for Echo {
    async fn check_order_fulfillability(
        &self,
        request: Request<CheckOrderFulfillabilityRequest>,
    ) -> Result<Response<CheckOrderFulfillabilityResponse>, Status> {
        let seen = |item| LineItemFulfillability {
            item: Some(item),
            result: ItemFulfillabilityResult::CanFulfill.into(),
            availability: Some(UpdatedAvailability { spots_open: 1000 }),
            ..LineItemFulfillability::default()
        };
        let fulfillability = OrderFulfillability {
            result: OrderFulfillabilityResult::CanFulfill.into(),
            item_fulfillability: request.into_inner().item.into_iter().map(seen).collect(),
            unfulfillable_reason: String::new(),
        };
        Ok(Response::new(CheckOrderFulfillabilityResponse {
            fulfillability: Some(fulfillability),
            fees_and_taxes: Some(Price {
                currency_code: "USD".into(),
                ..Price::default()
            }),
            fees: Some(Fees::default()),
            cart_expiration_sec: 0,
        }))
    }

    async fn create_order(
        &self,
        request: Request<CreateOrderRequest>,
    ) -> Result<Response<CreateOrderResponse>, Status> {
        let mut order = request.into_inner().order.unwrap_or_default();
        ORDER_ID.clone_into(&mut order.order_id);
        for item in &mut order.item {
            item.set_status(BookingStatus::Confirmed);
        }
        Ok(Response::new(CreateOrderResponse {
            result: Some(create_order_response::Result::Order(order)),
        }))
    }

    async fn list_orders(
        &self,
        _: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        Err(Status::unimplemented("there is nothing to list"))
    }

    async fn batch_availability_lookup(
        &self,
        _: Request<BatchAvailabilityLookupRequest>,
    ) -> Result<Response<BatchAvailabilityLookupResponse>, Status> {
        Err(Status::unimplemented("there is nothing to sample up"))
    }

    async fn check_availability(
        &self,
        _: Request<CheckAvailabilityRequest>,
    ) -> Result<Response<CheckAvailabilityResponse>, Status> {
        Err(Status::unimplemented("there is nothing to sample at"))
    }
}
