//! Orders as the body of a response, each sent as soon as it is there.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use hyper::body::{Body as HttpBody, Bytes, Frame};
use prost::Message;
use tonic::{Status, body::Body};

use super::{
    proto::v1,
    to_proto::{self, AttemptsShown, CustomerShown, View},
};
use crate::api::{booking::json, calls::CallPermit, error::ApiError, responses::Encoding};
use orders::{App, update::ChangedOrder, withdraw::WithdrawnOrders};

/// The prefix of a gRPC message: the compressed flag, and the length in four bytes.
const PREFIX_BYTES: usize = 5;

/// The content types of both encodings. JSON is one object a line.
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const JSON_LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// The orders of which something was withdrawn. After an error nothing follows.
#[derive(Debug)]
pub struct OrderStream {
    app: Arc<App>,
    encoding: Encoding,
    /// `None` once nothing more comes.
    orders: Option<WithdrawnOrders>,
    /// Behind the last message of gRPC.
    trailers: Option<HeaderMap>,
    /// Held until the last order was sent.
    _permit: CallPermit,
}

impl OrderStream {
    /// The stream of these orders.
    #[must_use]
    pub fn new(
        app: Arc<App>,
        orders: WithdrawnOrders,
        encoding: Encoding,
        permit: CallPermit,
    ) -> Self {
        Self {
            app,
            encoding,
            orders: Some(orders),
            trailers: None,
            _permit: permit,
        }
    }

    /// The response with this stream.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let content_type = match self.encoding {
            Encoding::Grpc => GRPC,
            Encoding::Json => JSON_LINES,
        };
        let mut response = Response::new(Body::new(self));
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }

    /// The bytes of an order, or of the error that ends the stream.
    fn encoded(&mut self, changed: ChangedOrder) -> Option<Bytes> {
        let outcome = match changed {
            Ok(stored) => self.message(to_proto::listed(*stored)),
            Err(error) => Err(ApiError::from(error)),
        };
        match outcome {
            Ok(bytes) => Some(bytes),
            Err(error) => self.failed(error),
        }
    }

    fn message(&self, listed: store::ListedOrder) -> Result<Bytes, ApiError> {
        let catalog = self.app.catalog();
        let view = View {
            app: &self.app,
            catalog: &catalog,
            customer: CustomerShown::No,
            // As for a change of one order: the same again is the same answer.
            attempts: AttemptsShown::No,
        };
        let order = Some(view.order(&listed));
        let message = v1::WithdrawItemsResponse { order };
        match self.encoding {
            Encoding::Grpc => {
                let length = u32::try_from(message.encoded_len());
                let length = length.map_err(|_| ApiError::Internal("a long order".to_owned()))?;
                let mut bytes = vec![0; PREFIX_BYTES];
                bytes[1..].copy_from_slice(&length.to_be_bytes());
                message.encode_raw(&mut bytes);
                Ok(bytes.into())
            }
            Encoding::Json => {
                let written = serde_json::to_vec(&message);
                let mut bytes = written.map_err(|error| ApiError::Internal(error.to_string()))?;
                bytes.push(b'\n');
                Ok(bytes.into())
            }
        }
    }

    /// Ends the stream with an error: as the status of gRPC, or as the last line of JSON.
    fn failed(&mut self, error: ApiError) -> Option<Bytes> {
        self.orders = None;
        match self.encoding {
            Encoding::Grpc => {
                self.trailers = Some(trailers_of(&Status::from(error)));
                None
            }
            Encoding::Json => Some(format!("{}\n", json::error_body(&error)).into()),
        }
    }

    /// Ends the stream after the last order.
    fn end(&mut self) {
        self.orders = None;
        if self.encoding == Encoding::Grpc {
            self.trailers = Some(trailers_of(&Status::new(tonic::Code::Ok, "")));
        }
    }
}

fn trailers_of(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // It fails for a message that is no header, and every message of ours is percent-encoded.
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("13"));
    }
    trailers
}

impl HttpBody for OrderStream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(orders) = &mut self.orders {
            match orders.poll_recv(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(changed)) => {
                    if let Some(bytes) = self.encoded(changed) {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                Poll::Ready(None) => self.end(),
            }
        }
        let trailers = self.trailers.take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.orders.is_none() && self.trailers.is_none()
    }
}
