//! Orders that are watched over both transports: each change is shown, whatever made it, until the stream ends.

use std::time::Duration;

use boxoffice::api::operator::proto::v1::{
    AddNoteRequest, CancelOrderRequest, Order, RefundTerms, WatchOrderRequest, WatchOrderResponse,
    WithdrawItemsRequest,
    refund_terms::{Full, Share},
    withdraw_items_request::{OrderItems, Target},
};
use domain::time::EpochSeconds;
use http::Method;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;

use super::stage::{Ordered, Stage, request_id};
use crate::support::{
    NOW, Setup,
    keys::{Keys, basic},
    process::{Program, with_timeout},
    rest_client::{send, without_body},
};

fn watch(id: &str, paths: &[&str]) -> WatchOrderRequest {
    let paths = paths.iter().map(|&path| path.to_owned()).collect();
    WatchOrderRequest {
        name: format!("orders/{id}"),
        read_mask: Some(pbjson_types::FieldMask { paths }),
    }
}

async fn watched(stage: &Stage, id: &str) -> Streaming<WatchOrderResponse> {
    let answers = stage.orders().watch_order(watch(id, &[])).await.unwrap();
    answers.into_inner()
}

/// The next state of an order.
async fn next(answers: &mut Streaming<WatchOrderResponse>) -> Result<Order, Status> {
    let next = with_timeout("the next state", answers.message()).await?;
    Ok(next.unwrap().order.unwrap())
}

fn note(id: &str, number: u32) -> AddNoteRequest {
    AddNoteRequest {
        name: format!("orders/{id}"),
        note: format!("note {number}"),
        request_id: request_id(number),
        ..AddNoteRequest::default()
    }
}

fn cancellation(id: &str) -> CancelOrderRequest {
    CancelOrderRequest {
        name: format!("orders/{id}"),
        refund: Some(RefundTerms {
            share: Some(Share::Full(Full {})),
        }),
        request_id: request_id(1),
        ..CancelOrderRequest::default()
    }
}

fn withdrawal(id: &str) -> WithdrawItemsRequest {
    WithdrawItemsRequest {
        target: Some(Target::OrderItems(OrderItems {
            name: format!("orders/{id}"),
            items: vec![0],
            ..OrderItems::default()
        })),
        request_id: request_id(1),
        ..WithdrawItemsRequest::default()
    }
}

#[tokio::test]
async fn an_order_is_shown_as_it_stands_and_after_each_change() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let mut answers = watched(&stage, &id).await;
    let placed = next(&mut answers).await.unwrap();
    assert_eq!((&*placed.state, placed.customer), ("processing", None));
    assert!(!placed.next_states.is_empty());
    let other = stage.order("b", 1, Ordered::Museum).await;
    stage.orders().add_note(note(&other, 2)).await.unwrap();
    let cancelled = stage.orders().cancel_order(cancellation(&id)).await;
    let cancelled = cancelled.unwrap().into_inner().order.unwrap();
    let shown = next(&mut answers).await.unwrap();
    assert_eq!(
        (&shown.state, &shown.etag),
        (&cancelled.state, &cancelled.etag)
    );
    // A repetition changes nothing and is not shown; the note after it is.
    stage
        .orders()
        .cancel_order(cancellation(&id))
        .await
        .unwrap();
    let noted = stage.orders().add_note(note(&id, 3)).await.unwrap();
    let noted = noted.into_inner().order.unwrap();
    assert_eq!(next(&mut answers).await.unwrap().etag, noted.etag);
    stage.stop().await;
}

#[tokio::test]
async fn changes_by_timers_and_steps_are_shown() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let mut answers = watched(&stage, &id).await;
    next(&mut answers).await.unwrap();
    stage
        .orders()
        .withdraw_items(withdrawal(&id))
        .await
        .unwrap();
    let withdrawn = next(&mut answers).await.unwrap();
    let due = withdrawn.timers[0].due_time.as_ref().unwrap().seconds;
    stage.server.clock.set(EpochSeconds::new(due));
    let timed_out = next(&mut answers).await.unwrap();
    assert_ne!(timed_out.state, withdrawn.state);
    assert_eq!(timed_out.timers, []);
    stage.server.clock.set(EpochSeconds::new(NOW));

    let id = stage.paid_order("b", "approve").await;
    let mut answers = watched(&stage, &id).await;
    next(&mut answers).await.unwrap();
    let refunded = CancelOrderRequest {
        request_id: request_id(2),
        ..cancellation(&id)
    };
    stage.orders().cancel_order(refunded).await.unwrap();
    // The newest is shown, with states in between or without.
    while next(&mut answers)
        .await
        .unwrap()
        .refunds
        .first()
        .is_none_or(|it| it.state != "done")
    {}
    stage.stop().await;
}

#[tokio::test]
async fn a_watch_ends_at_its_deadline_and_with_the_server() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let mut short = Request::new(watch(&id, &[]));
    short.set_timeout(Duration::from_secs(1));
    let answers = stage.orders().watch_order(short).await.unwrap();
    let mut answers = answers.into_inner();
    next(&mut answers).await.unwrap();
    let ended = next(&mut answers).await.unwrap_err();
    assert_eq!(ended.code(), Code::DeadlineExceeded);
    let mut answers = watched(&stage, &id).await;
    next(&mut answers).await.unwrap();
    let (ended, ()) = tokio::join!(next(&mut answers), stage.stop());
    let ended = ended.unwrap_err();
    let reason = ended.get_details_error_info().unwrap().reason;
    assert_eq!(
        (ended.code(), &*reason),
        (Code::Unavailable, "SHUTTING_DOWN")
    );
}

#[tokio::test]
async fn over_rest_each_state_is_a_line_and_the_last_one_says_why_it_ends() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let path = format!("/operator/v1/orders/{id}:watch?read_mask=name,etag");
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = sender
        .send_request(without_body(Method::GET, &path))
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let mut body = response.into_body();
    let mut text = String::new();
    let mut lines: Vec<Value> = Vec::new();
    for number in 1..3 {
        while !text.ends_with('\n') {
            let part = with_timeout("a line", body.frame()).await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(part.data_ref().unwrap()).unwrap());
        }
        lines.push(serde_json::from_str(&text).unwrap());
        text.clear();
        if number == 1 {
            stage.orders().add_note(note(&id, number)).await.unwrap();
        }
    }
    assert_eq!(lines[0]["order"]["name"], format!("orders/{id}"));
    assert_ne!(lines[0]["order"]["etag"], lines[1]["order"]["etag"]);
    let (rest, ()) = tokio::join!(body.collect(), stage.stop());
    let last: Value = serde_json::from_slice(&rest.unwrap().to_bytes()).unwrap();
    assert_eq!(last["error"]["status"], "UNAVAILABLE");
    assert_eq!(last["error"]["details"][0]["reason"], "SHUTTING_DOWN");
}

#[tokio::test]
async fn what_cannot_be_watched_is_rejected_as_by_get_order() {
    let keys = Keys::new();
    let config = keys.operator_config(&[("vera", "role = 'viewer'"), ("agnes", "role = 'agent'")]);
    let stage = Stage::start_with(Setup::with_config(config)).await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let unknown = "A".repeat(id.len());
    for (name, request, expected) in [
        ("vera", watch(&id, &["customer"]), "ROLE_OUT_OF_SCOPE"),
        ("agnes", watch(&id, &["custmer"]), "INVALID_REQUEST"),
        ("agnes", watch("", &[]), "INVALID_REQUEST"),
        ("agnes", watch("nobody", &[]), "ORDER_NOT_FOUND"),
        ("agnes", watch(&unknown, &[]), "ORDER_NOT_FOUND"),
        ("agnes", watch(&id, &["customer"]), ""),
    ] {
        let case = format!("{name} {request:?}");
        let mut request = Request::new(request);
        let password = basic(name, name).parse().unwrap();
        request.metadata_mut().insert("authorization", password);
        let reason = match stage.orders().watch_order(request).await {
            Ok(answers) => {
                let order = next(&mut answers.into_inner()).await.unwrap();
                assert!(order.customer.is_some(), "{case}");
                String::new()
            }
            Err(rejection) => rejection.get_details_error_info().unwrap().reason,
        };
        assert_eq!(reason, expected, "{case}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_head_of_a_stream_is_not_to_be_had() {
    let stage = Stage::start().await;
    let answer = send(
        stage.address,
        without_body(Method::HEAD, "/operator/v1/orders/a:watch"),
    )
    .await;
    assert_eq!(
        (answer.http.as_u16(), &answer.headers["allow"]),
        (405, &"GET".parse().unwrap())
    );
    stage.stop().await;
}

#[tokio::test]
async fn the_command_shows_each_state() {
    let stage = Stage::start().await;
    let id = stage.order("a", 0, Ordered::Museum).await;
    let server = format!("--server=http://{}", stage.address);
    let run = |words: &[&str]| {
        let words = [&["orders", "watch", &*id, &*server], words].concat();
        let mut program = Program::new();
        program = program.args(words);
        async move { program.run().await }
    };
    let once = run(&["--limit=1"]).await;
    assert_eq!(once.code(), 0, "{}", once.text());
    assert!(
        once.text().contains("State      processing"),
        "{}",
        once.text()
    );
    let twice = run(&["--limit=2", "--json"]);
    let changes = async {
        // Until the command has seen one of them.
        for number in 1.. {
            stage.orders().add_note(note(&id, number)).await.unwrap();
        }
    };
    let ended = tokio::select! {
        ended = twice => ended,
        () = changes => unreachable!(),
    };
    assert_eq!(ended.code(), 0, "{}", ended.text());
    let etags: Vec<Value> = ended
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["etag"].clone())
        .collect();
    assert_eq!(etags.len(), 2);
    assert_ne!(etags[0], etags[1]);
    stage.stop().await;
}
