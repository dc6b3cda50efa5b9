//! Streams of messages that tests make.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::Stream;
use http_body_util::BodyExt;

use super::*;
use crate::{
    api::{calls::Calls, responses::Responses},
    net::budgets::Budget,
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// One call at once.
fn calls() -> Calls {
    let budget = Arc::new(Budget::new(1 << 20));
    let responses = Responses::new(budget, 1 << 20, Arc::default());
    Calls::new(1, TIMEOUT, Arc::new(responses))
}

#[expect(clippy::unnecessary_wraps, reason = "an element of a stream")]
fn message() -> Result<EncodedResponse, ApiError> {
    Ok(EncodedResponse::of(b"{}".to_vec()))
}

async fn begun(
    calls: &Calls,
    messages: impl Stream<Item = Result<EncodedResponse, ApiError>> + Send + 'static,
) -> Result<StreamedReply, ApiError> {
    let deadline = calls.deadline(None);
    let mut begin = Box::pin(with_first(messages.boxed()));
    calls
        .begin_stream("Watch", (deadline, deadline), begin.as_mut())
        .await
}

/// The bytes and the status of a response.
async fn sent(response: Response<Body>) -> (String, Option<tonic::Code>) {
    let whole = response.into_body().collect().await.unwrap();
    let status = whole.trailers().and_then(Status::from_header_map);
    let bytes = whole.to_bytes();
    (
        String::from_utf8(bytes.to_vec()).unwrap(),
        status.map(|status| status.code()),
    )
}

#[tokio::test]
async fn a_stream_says_at_its_end_how_it_has_ended() {
    for (error, code) in [
        (None, tonic::Code::Ok),
        (Some(ApiError::NotServing), tonic::Code::Unavailable),
    ] {
        let messages = || {
            let messages = [message(), message()].into_iter();
            stream::iter(messages.chain(error.clone().map(Err)).collect::<Vec<_>>())
        };
        let calls = calls();
        let by_grpc = begun(&calls, messages()).await.unwrap();
        let by_grpc = by_grpc.respond(Encoding::Grpc);
        let end = by_grpc.extensions().get::<StreamEnd>().cloned().unwrap();
        assert_eq!(end.outcome(), None);
        assert_eq!(sent(by_grpc).await, ("{}{}".to_owned(), Some(code)));
        let expected = error.as_ref().map_or(Ok(()), |error| Err(error.mapping()));
        assert_eq!(end.outcome(), Some(expected));
        let by_rest = begun(&calls, messages()).await.unwrap();
        let (text, status) = sent(by_rest.respond(Encoding::Json)).await;
        assert_eq!(status, None);
        let last = error.map_or_else(String::new, |error| {
            format!("{}\n", json::error_body(&error))
        });
        assert_eq!(text, format!("{{}}\n{{}}\n{last}"));
    }
}

#[tokio::test]
async fn a_stream_that_cannot_begin_is_a_rejected_call() {
    let calls = calls();
    let failed = stream::iter([Err(ApiError::NotServing), message()]);
    let rejection = begun(&calls, failed).await.unwrap_err();
    assert_eq!(rejection, ApiError::NotServing);
    // Its permit is free again.
    let empty = begun(&calls, stream::empty()).await.unwrap();
    let sent = sent(empty.respond(Encoding::Grpc)).await;
    assert_eq!(sent, (String::new(), Some(tonic::Code::Ok)));
}

#[tokio::test]
async fn nothing_is_made_ahead_and_nothing_for_a_reader_who_has_left() {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let endless = stream::repeat_with(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        message()
    });
    let calls = calls();
    let reply = begun(&calls, endless).await.unwrap();
    let response = reply.respond(Encoding::Json);
    let end = response.extensions().get::<StreamEnd>().cloned().unwrap();
    let mut body = response.into_body();
    for taken in 1..4 {
        for expected in ["{}", "\n"] {
            let part = body.frame().await.unwrap().unwrap();
            assert_eq!(part.into_data().unwrap(), expected);
        }
        assert_eq!(made.load(Ordering::SeqCst), taken);
    }
    let busy = begun(&calls, stream::empty()).await.unwrap_err();
    assert_eq!(busy.mapping().reason, "CONCURRENCY_LIMIT");
    drop(body);
    assert!(begun(&calls, stream::empty()).await.is_ok());
    assert_eq!((made.load(Ordering::SeqCst), end.outcome()), (3, None));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_and_a_panic_end_a_stream() {
    let calls = calls();
    let silent = stream::iter([message()]).chain(stream::pending());
    let reply = begun(&calls, silent).await.unwrap();
    let since = Instant::now();
    let (_, code) = sent(reply.respond(Encoding::Grpc)).await;
    assert_eq!(code, Some(tonic::Code::DeadlineExceeded));
    assert_eq!(since.elapsed(), TIMEOUT);
    // Also one that always has a message.
    let endless = stream::unfold((), |()| async {
        tokio::time::advance(TIMEOUT / 10).await;
        Some((message(), ()))
    });
    let reply = begun(&calls, endless).await.unwrap();
    let (text, code) = sent(reply.respond(Encoding::Grpc)).await;
    assert_eq!(
        (text.len(), code),
        (20, Some(tonic::Code::DeadlineExceeded))
    );
    let panics = stream::iter([false, true]).map(|is_last| {
        assert!(!is_last, "on purpose");
        message()
    });
    let reply = begun(&calls, panics).await.unwrap();
    let (_, code) = sent(reply.respond(Encoding::Grpc)).await;
    assert_eq!(code, Some(tonic::Code::Internal));
}

#[tokio::test]
async fn messages_are_made_in_the_context_of_the_request() {
    let ids = stream::repeat_with(|| {
        let context = RequestContext::current().unwrap();
        Ok(EncodedResponse::of(context.id().as_bytes().to_vec()))
    });
    let calls = calls();
    let begin = begun(&calls, ids.take(2));
    let context = RequestContext::new(Some(b"r-1"), None);
    let reply = context.scope(begin).await.unwrap();
    let (text, _) = sent(reply.respond(Encoding::Json)).await;
    assert_eq!(text, "r-1\nr-1\n");
}
