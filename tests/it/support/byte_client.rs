//! A client that sends any bytes at all and reads whatever comes back, below the gRPC library,
//! which would not send what is wrong and has opinions on deadlines.

use std::{convert::Infallible, net::SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::Frame,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// A body that is sent to the server.
pub(crate) type Body = BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A connection of its own.
#[derive(Clone)]
pub(crate) struct ByteClient {
    address: SocketAddr,
    sender: SendRequest<Body>,
}

impl ByteClient {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(address, stream).await
    }

    /// A client on a connection that is there.
    pub(crate) async fn over(
        address: SocketAddr,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        // Its end shows in the calls.
        tokio::spawn(connection);
        Self { address, sender }
    }

    /// Calls a method of the service with one message of these bytes.
    pub(crate) async fn call(&self, method: &str, message: &[u8]) -> Answer {
        self.send(self.request(method).body(whole(framed(message))).unwrap())
            .await
            .unwrap()
    }

    /// A request to a method of the service, without its body.
    pub(crate) fn request(&self, method: &str) -> http::request::Builder {
        self.request_to(&format!(
            "/ext.maps.booking.partner.v3.BookingService/{method}"
        ))
    }

    /// A request to any path, without its body.
    pub(crate) fn request_to(&self, path: &str) -> http::request::Builder {
        let uri = format!("http://{}{path}", self.address);
        Request::post(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
    }

    /// Sends a request and reads its answer to the end.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Answer, hyper::Error> {
        let mut sender = self.sender.clone();
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        Ok(Answer {
            http: head.status,
            headers: head.headers,
            trailers,
            body: body.to_bytes(),
        })
    }
}

/// A body of these bytes.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed()
}

/// A body that starts with these bytes and never ends.
pub(crate) fn unfinished(bytes: Bytes) -> Body {
    let begun = stream::once(async { Ok(Frame::data(bytes)) });
    BodyExt::boxed(StreamBody::new(begun.chain(stream::pending())))
}

/// A body that fails after these bytes, and its call with it.
pub(crate) fn truncated(bytes: Bytes) -> Body {
    let broken = [Ok(Frame::data(bytes)), Err("broken off".into())];
    BodyExt::boxed(StreamBody::new(stream::iter(broken)))
}

/// A message as gRPC sends it.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(message.len().try_into().unwrap());
    frame.put_slice(message);
    frame.freeze()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http: StatusCode,
    headers: HeaderMap,
    trailers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// The gRPC status, wherever it stands; none is a broken answer.
    pub(crate) fn status(&self) -> Status {
        Status::from_header_map(&self.trailers)
            .or_else(|| Status::from_header_map(&self.headers))
            .unwrap_or_else(|| panic!("an answer without a status: {self:?}"))
    }

    pub(crate) fn code(&self) -> Code {
        self.status().code()
    }

    /// The machine-readable reason; empty where there is none.
    pub(crate) fn reason(&self) -> String {
        self.details()
            .error_info()
            .map(|info| info.reason.clone())
            .unwrap_or_default()
    }

    /// A header of the answer.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    pub(crate) fn details(&self) -> ErrorDetails {
        self.status().get_error_details()
    }

    /// The one message of a good answer, as it was encoded.
    pub(crate) fn bytes(&self) -> Bytes {
        assert_eq!(
            (self.http, self.code()),
            (StatusCode::OK, Code::Ok),
            "{self:?}"
        );
        self.body.slice(5..)
    }

    /// The one message of a good answer.
    pub(crate) fn message<M: prost::Message + Default>(&self) -> M {
        assert_eq!(
            (self.http, self.code()),
            (StatusCode::OK, Code::Ok),
            "{self:?}"
        );
        M::decode(&self.body[5..]).unwrap()
    }
}
