//! Streamed responses: one message after the other, each made once its reader has taken those before it.
//!
//! Nothing is made ahead, so a slow reader has one message in memory, and a reader that leaves ends the work. An error
//! before the stream has begun is that of the call. A later one ends the stream: over gRPC as its status, over REST as its
//! last line.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use futures_util::{
    StreamExt, future,
    stream::{self, BoxStream},
};
use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use hyper::body::{Body as HttpBody, Bytes, Frame};
use tokio::time::{Instant, timeout_at};
use tonic::{Status, body::Body};
use tracing::{Instrument, Span};

use super::{
    booking::json,
    calls::CallPermit,
    error::{ApiError, StatusMapping},
    responses::{EncodedResponse, Encoding},
};
use kernel::request::{self, RequestContext};

/// The content type of lines of JSON.
pub const JSON_LINES: &str = "application/x-ndjson";

/// The messages of a response, up to an error.
pub type Messages<M> = BoxStream<'static, Result<M, ApiError>>;

/// Waits for the first message of a stream: its error is that of the call.
///
/// # Errors
/// That of the first message.
pub async fn with_first<M: Send + 'static>(
    mut messages: Messages<M>,
) -> Result<Messages<M>, ApiError> {
    let first = messages.next().await.transpose()?;
    // An empty stream must not be asked again.
    let Some(first) = first else {
        return Ok(stream::empty().boxed());
    };
    Ok(stream::once(future::ready(Ok(first)))
        .chain(messages)
        .boxed())
}

/// A response that has begun, with the permit of its call, which is held until it has ended.
pub struct StreamedReply {
    messages: Messages<EncodedResponse>,
    permit: CallPermit,
}

impl fmt::Debug for StreamedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedReply").finish_non_exhaustive()
    }
}

impl StreamedReply {
    /// The messages until a deadline, made in the context of the current request.
    pub(super) fn new(
        method: &'static str,
        until: Instant,
        messages: Messages<EncodedResponse>,
        permit: CallPermit,
    ) -> Self {
        Self {
            messages: bounded(method, until, messages),
            permit,
        }
    }

    /// The response.
    #[must_use]
    pub fn respond(self, encoding: Encoding) -> Response<Body> {
        let content_type = match encoding {
            Encoding::Grpc => "application/grpc",
            Encoding::Json => JSON_LINES,
        };
        let end = StreamEnd::default();
        let body = StreamedBody {
            message: None,
            messages: self.messages,
            encoding,
            end: end.clone(),
            has_ended: false,
            _permit: self.permit,
        };
        let mut response = Response::new(Body::new(body));
        // For the metrics: the outcome of the call is known when its stream has ended.
        response.extensions_mut().insert(end);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }
}

/// The messages up to the first error. The deadline and a panic are such errors.
fn bounded(
    method: &'static str,
    deadline: Instant,
    messages: Messages<EncodedResponse>,
) -> Messages<EncodedResponse> {
    // Nothing of the stream is used after a panic, so no broken state can be observed.
    let messages = AssertUnwindSafe(messages).catch_unwind();
    // The transport polls the stream outside of the call that began it.
    let (context, span) = (RequestContext::current(), Span::current());
    let bounded = stream::unfold(Some(messages), move |messages| {
        let step = async move {
            let mut messages = messages?;
            let next = if Instant::now() < deadline {
                timeout_at(deadline, messages.next()).await.ok()
            } else {
                // Messages that are always there would never let the deadline come.
                None
            };
            let next = match next {
                Some(next) => next?,
                None => Ok(Err(ApiError::DeadlineExceeded)),
            };
            let next =
                next.unwrap_or_else(|_| Err(ApiError::Internal(format!("a panic in {method}"))));
            if let Err(ApiError::Internal(what)) = &next {
                tracing::error!(method, what, "internal error");
            }
            let is_open = next.is_ok();
            Some((next, is_open.then_some(messages)))
        };
        request::in_context(context.clone(), step).instrument(span.clone())
    });
    bounded.boxed()
}

/// How a stream has ended.
#[derive(Debug, Clone, Default)]
pub struct StreamEnd(Arc<OnceLock<Result<(), StatusMapping>>>);

impl StreamEnd {
    /// The outcome; `None` for a stream that has not ended, or whose reader has left.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), StatusMapping>> {
        self.0.get().copied()
    }

    fn note(&self, error: Option<&ApiError>) {
        // A stream ends once.
        let _ = self
            .0
            .set(error.map_or(Ok(()), |error| Err(error.mapping())));
    }
}

/// The body of a streamed response.
struct StreamedBody {
    /// What is left of the present message.
    message: Option<EncodedResponse>,
    messages: Messages<EncodedResponse>,
    encoding: Encoding,
    end: StreamEnd,
    has_ended: bool,
    _permit: CallPermit,
}

impl StreamedBody {
    /// What is left of the present message.
    fn part(&mut self) -> Option<Bytes> {
        let message = self.message.as_mut()?;
        if let Some(bytes) = message.next() {
            return Some(bytes);
        }
        self.message = None;
        (self.encoding == Encoding::Json).then_some(Bytes::from_static(b"\n"))
    }

    /// The end of the stream, if the encoding has one.
    fn last(&self, error: Option<ApiError>) -> Option<Frame<Bytes>> {
        match (self.encoding, error) {
            (Encoding::Grpc, error) => {
                let status = error.map_or_else(|| Status::new(tonic::Code::Ok, ""), Status::from);
                let mut trailers = HeaderMap::new();
                // Fails only for a text that cannot be a header; statuses are escaped.
                let _ = status.add_header(&mut trailers);
                Some(Frame::trailers(trailers))
            }
            (Encoding::Json, Some(error)) => {
                let line = format!("{}\n", json::error_body(&error));
                Some(Frame::data(line.into()))
            }
            (Encoding::Json, None) => None,
        }
    }
}

impl HttpBody for StreamedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            if let Some(bytes) = self.part() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if self.has_ended {
                return Poll::Ready(None);
            }
            let error = match ready!(self.messages.as_mut().poll_next(context)) {
                Some(Ok(message)) => {
                    self.message = Some(message);
                    continue;
                }
                Some(Err(error)) => Some(error),
                None => None,
            };
            self.has_ended = true;
            // Before the last frame: the transport may drop the body with it.
            self.end.note(error.as_ref());
            return Poll::Ready(self.last(error).map(Ok));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended && self.message.is_none()
    }
}

#[cfg(test)]
mod tests;
