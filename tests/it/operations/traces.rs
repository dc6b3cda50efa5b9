//! Traces, as a collector receives them.

use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use tokio::{net::TcpListener, sync::watch};
use tonic::{
    Code, Request, Response, Status,
    transport::server::{Server, TcpIncoming},
};

use crate::support::{
    Item,
    byte_client::{Answer, ByteClient, framed, whole},
    order_request, paid_with,
    process::{Ended, Program, in_days},
    rest_client::{post, send},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const SERVICE: &str = "ext.maps.booking.partner.v3.BookingService";

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(watch::Sender<Vec<ExportTraceServiceRequest>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send_modify(|kept| kept.push(request.into_inner()));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Opens one and gives its address.
    async fn open() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let collector = Self::default();
        let service = TraceServiceServer::new(collector.clone());
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpIncoming::from(listener)),
        );
        (collector, address)
    }

    fn spans(&self) -> Vec<Span> {
        let kept = self.0.borrow().clone();
        let scopes = kept
            .into_iter()
            .flat_map(|sent| sent.resource_spans)
            .flat_map(|from| from.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

/// The program, sending its traces there.
fn tracing(address: SocketAddr) -> Program {
    Program::new().args([
        &format!("--trace-endpoint=http://{address}"),
        "--log=boxoffice=debug",
    ])
}

fn order(token: &str, payment_token: &str) -> Vec<u8> {
    let item = in_days(Item::museum_entry(), 1)
        .tickets(&[("adult", 2)])
        .price("USD", 50_000_000);
    paid_with(order_request(token, "museum", [item]), payment_token).encode_to_vec()
}

/// Creates a paid order, said to belong to a trace.
async fn create(address: SocketAddr, message: &[u8], traceparent: Option<&str>) -> Answer {
    let client = ByteClient::connect(address).await;
    let mut request = client.request("CreateOrder").header("x-request-id", "r-1");
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    client
        .send(request.body(whole(framed(message))).unwrap())
        .await
        .unwrap()
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key);
    match found
        .and_then(|attribute| attribute.value.clone())
        .and_then(|value| value.value)
    {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key} is {other:?} in {span:?}"),
    }
}

/// The names of the spans under a span, in the order in which they began.
fn steps<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a Span> {
    let mut steps: Vec<_> = spans
        .iter()
        .filter(|span| span.parent_span_id == parent.span_id)
        .collect();
    steps.sort_by_key(|span| span.start_time_unix_nano);
    steps
}

fn names<'a>(spans: &[&'a Span]) -> Vec<&'a str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

#[tokio::test]
async fn a_paid_order_is_traced_from_the_call_to_the_disk_within_its_callers_trace() {
    let (collector, address) = Collector::open().await;
    let server = tracing(address).start().await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let answer = create(
        server.address(),
        &order("token", "approve"),
        Some(&traceparent),
    )
    .await;
    assert_eq!(answer.code(), Code::Ok);
    let ended = server.stop().await;
    let spans = collector.spans();
    assert!(
        spans
            .iter()
            .all(|span| HEXLOWER.encode(&span.trace_id) == TRACE),
        "{spans:?}"
    );
    let call = spans
        .iter()
        .find(|span| HEXLOWER.encode(&span.parent_span_id) == PARENT)
        .unwrap();
    assert_eq!(call.name, format!("{SERVICE}/CreateOrder"));
    assert_eq!(call.kind(), SpanKind::Server);
    assert_eq!(attribute(call, "request_id"), "r-1");
    assert_eq!(attribute(call, "grpc_code"), "OK");
    let within = steps(&spans, call);
    assert_eq!(names(&within), ["decide", "pay", "commit"]);
    assert_eq!(
        names(&steps(&spans, within[1])),
        ["commit"],
        "the intent is written before the charge"
    );
    assert_eq!(spans.len(), 5);
    let line = ended
        .log()
        .find(|line| line["message"] == "order created")
        .unwrap();
    assert_eq!(
        (line["trace_id"].as_str(), line["request_id"].as_str()),
        (Some(TRACE), Some("r-1"))
    );
}

#[tokio::test]
async fn a_call_without_a_trace_starts_one_and_a_rejection_is_an_error_span() {
    let (collector, address) = Collector::open().await;
    let server = tracing(address).start().await;
    assert_eq!(
        create(server.address(), b"", None).await.code(),
        Code::InvalidArgument
    );
    send(
        server.address(),
        post("/v3/ListOrders", r#"{"user_id": "u"}"#),
    )
    .await;
    server.stop().await;
    let spans = collector.spans();
    let roots: Vec<&Span> = spans
        .iter()
        .filter(|span| span.parent_span_id.is_empty())
        .collect();
    assert_eq!(names(&roots).len(), 2);
    assert_ne!(roots[0].trace_id, roots[1].trace_id);
    let summary = |method: &str| {
        let root = roots
            .iter()
            .find(|root| root.name == format!("{SERVICE}/{method}"))
            .unwrap();
        (
            attribute(root, "transport"),
            attribute(root, "grpc_code"),
            root.status.clone().unwrap_or_default().code(),
        )
    };
    let line =
        |transport: &str, code: &str, status| (transport.to_owned(), code.to_owned(), status);
    assert_eq!(
        summary("CreateOrder"),
        line("grpc", "InvalidArgument", StatusCode::Error)
    );
    assert_eq!(summary("ListOrders"), line("rest", "OK", StatusCode::Unset));
}

#[tokio::test]
async fn the_caller_decides_what_is_traced_and_the_setting_where_it_does_not() {
    let (collector, address) = Collector::open().await;
    let server = tracing(address).args(["--trace-sampling=0"]).start().await;
    let traceparent = |flags: &str| format!("00-{TRACE}-{PARENT}-{flags}");
    for parent in [
        None,
        Some(traceparent("00")),
        Some("00-0-0-01".to_owned()),
        Some(traceparent("01")),
    ] {
        create(
            server.address(),
            &order("token", "approve"),
            parent.as_deref(),
        )
        .await;
    }
    let ended = server.stop().await;
    let calls = collector
        .spans()
        .into_iter()
        .filter(|span| span.kind() == SpanKind::Server)
        .count();
    assert_eq!(calls, 1, "the last one");
    let answered = |line: &serde_json::Value| line["message"] == "call answered";
    let traced = ended
        .log()
        .filter(answered)
        .map(|line| line["trace_id"].is_string())
        .collect::<Vec<_>>();
    assert_eq!(traced, [false, false, false, true]);
}

/// Asks a server whose collector is of no use, and has it end.
async fn end_without_collector(address: SocketAddr) -> Ended {
    let server = tracing(address)
        .args(["--drain-timeout=500ms"])
        .start()
        .await;
    for number in 0..20 {
        let message = order(&format!("token-{number}"), "approve");
        assert_eq!(
            create(server.address(), &message, None).await.code(),
            Code::Ok
        );
    }
    server.stop().await
}

#[tokio::test]
async fn a_collector_that_is_away_or_silent_holds_up_no_call_and_no_end() {
    let away = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for address in [away, silent.local_addr().unwrap()] {
        let ended = end_without_collector(address).await;
        assert_eq!(ended.code(), 0, "{}", ended.text());
    }
}
