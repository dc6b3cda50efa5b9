//! A client of the REST transport, below any library that would know the contract.

use std::net::SocketAddr;

use boxoffice::api::booking::{json, schema::Described};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Serialize;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::support::byte_client::{Body, whole};

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The HTTP status, the status by its name, and the reason. All three are empty of errors for a
    /// good answer.
    pub(crate) fn outcome(&self) -> (u16, String, String) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let error = &self.json()["error"];
        let details = error["details"].as_array().cloned().unwrap_or_default();
        let reason = details
            .iter()
            .map(|detail| text(&detail["reason"]))
            .find(|reason| !reason.is_empty());
        (
            self.http.as_u16(),
            text(&error["status"]),
            reason.unwrap_or_default(),
        )
    }

    /// The message, or the rejection in the form that it has over gRPC.
    pub(crate) fn message<M: Described>(&self) -> Result<M, Status> {
        let json = self.json();
        if self.http == StatusCode::OK {
            is_as_promised(&json);
            return Ok(json::read(&self.body).unwrap());
        }
        Err(self.rejection())
    }

    pub(crate) fn rejection(&self) -> Status {
        let json = self.json();
        let error = &json["error"];
        assert_eq!(error["code"], self.http.as_u16(), "{json}");
        let mut details = ErrorDetails::new();
        for detail in error["details"].as_array().unwrap() {
            add_detail(&mut details, detail);
        }
        let code = code_named(error["status"].as_str().unwrap());
        Status::with_error_details(code, error["message"].as_str().unwrap(), details)
    }
}

fn add_detail(details: &mut ErrorDetails, detail: &Value) {
    let text = |name: &str| detail[name].as_str().unwrap().to_owned();
    match text("@type")
        .strip_prefix("type.googleapis.com/google.rpc.")
        .unwrap()
    {
        "ErrorInfo" => {
            details.set_error_info(
                text("reason"),
                text("domain"),
                std::collections::HashMap::default(),
            );
        }
        "RetryInfo" => {
            let delay = text("retryDelay");
            let (seconds, millis) = delay.strip_suffix('s').unwrap().split_once('.').unwrap();
            let millis: u64 = format!("{seconds}{millis}").parse().unwrap();
            details.set_retry_info(Some(std::time::Duration::from_millis(millis)));
        }
        "BadRequest" => {
            for found in detail["fieldViolations"].as_array().unwrap() {
                let text = |name: &str| found[name].as_str().unwrap();
                let FieldViolation {
                    field, description, ..
                } = FieldViolation::new(text("field"), text("description"));
                details.add_bad_request_violation(field, description);
            }
        }
        other => panic!("{other}: {detail}"),
    }
}

fn code_named(name: &str) -> Code {
    match name {
        "ABORTED" => Code::Aborted,
        "DEADLINE_EXCEEDED" => Code::DeadlineExceeded,
        "FAILED_PRECONDITION" => Code::FailedPrecondition,
        "INTERNAL" => Code::Internal,
        "INVALID_ARGUMENT" => Code::InvalidArgument,
        "NOT_FOUND" => Code::NotFound,
        "PERMISSION_DENIED" => Code::PermissionDenied,
        "RESOURCE_EXHAUSTED" => Code::ResourceExhausted,
        "UNAUTHENTICATED" => Code::Unauthenticated,
        "UNAVAILABLE" => Code::Unavailable,
        "UNIMPLEMENTED" => Code::Unimplemented,
        other => panic!("{other} is no status of ours"),
    }
}

/// Fields go by their published names, and none is there with its default value.
fn is_as_promised(json: &Value) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                assert_eq!(*name, name.to_lowercase(), "{json}");
                let is_default = match value {
                    Value::Null | Value::Bool(false) => true,
                    Value::String(text) => {
                        text.is_empty() || text == "0" || text.contains("_UNSPECIFIED")
                    }
                    Value::Array(values) => values.is_empty(),
                    Value::Number(number) => number.as_i64() == Some(0) && !is_chosen(name),
                    Value::Bool(true) | Value::Object(_) => false,
                };
                assert!(!is_default, "{name}: {json}");
                is_as_promised(value);
            }
        }
        Value::Array(values) => values.iter().for_each(is_as_promised),
        Value::Number(number) => {
            assert!(
                number.as_i64().is_some_and(|it| i32::try_from(it).is_ok()),
                "{json}"
            );
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Whether a number of this name says something by being there.
fn is_chosen(name: &str) -> bool {
    name == "min_ticket_count" || name == "max_ticket_count"
}

/// A request to post this text.
pub(crate) fn post(path: &str, json: impl Into<Bytes>) -> Request<Body> {
    let request = Request::post(path)
        .header("host", "boxoffice")
        .header("content-type", "application/json");
    request.body(whole(json)).unwrap()
}

/// A request of any kind without a body.
pub(crate) fn without_body(method: Method, path: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "boxoffice")
        .body(whole(Bytes::new()))
        .unwrap()
}

/// Sends a request on a connection of its own, over HTTP/1.1.
pub(crate) async fn send(address: SocketAddr, request: Request<Body>) -> Answer {
    send_over(TcpStream::connect(address).await.unwrap(), request)
        .await
        .unwrap()
}

/// The same on a connection that is there and may be of no use.
pub(crate) async fn send_over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> hyper::Result<Answer> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(answer(sender.send_request(request).await?).await)
}

/// The same over HTTP/2.
pub(crate) async fn send_http2(address: SocketAddr, mut request: Request<Body>) -> Answer {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), connect(address).await)
        .await
        .unwrap();
    tokio::spawn(connection);
    request.headers_mut().remove("host");
    *request.uri_mut() = format!("http://{address}{}", request.uri())
        .parse()
        .unwrap();
    answer(sender.send_request(request).await.unwrap()).await
}

pub(crate) async fn connect(address: SocketAddr) -> TokioIo<TcpStream> {
    TokioIo::new(TcpStream::connect(address).await.unwrap())
}

pub(crate) async fn answer(response: http::Response<hyper::body::Incoming>) -> Answer {
    read(response).await.unwrap()
}

/// Reads an answer where the connection may be lost on the way.
pub(crate) async fn read(
    response: http::Response<hyper::body::Incoming>,
) -> Result<Answer, hyper::Error> {
    let (head, body) = response.into_parts();
    Ok(Answer {
        http: head.status,
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}

/// Calls a method.
pub(crate) async fn call<M: Described>(
    address: SocketAddr,
    method: &str,
    request: &(impl Described + Serialize),
) -> Result<M, Status> {
    let json = json::write(request).unwrap();
    send(address, post(&format!("/v3/{method}"), json))
        .await
        .message()
}
