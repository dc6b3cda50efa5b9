//! Response streams with a time limit.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::HeaderMap;
use hyper::body::{Body, Bytes, Frame};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use crate::api::error::ApiError;

/// A gRPC response body that ends at its deadline at the latest.
#[derive(Debug)]
pub(super) struct DeadlineBody<B> {
    body: B,
    end: Pin<Box<Sleep>>,
    has_ended: bool,
}

impl<B> DeadlineBody<B> {
    pub(super) fn new(body: B, time: Duration) -> Self {
        Self {
            body,
            // Boxed, because the body has to be `Unpin` and a timer is not.
            end: Box::pin(sleep(time)),
            has_ended: false,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for DeadlineBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        // The body first: a frame that is ready at the deadline is still sent.
        if let ready @ Poll::Ready(_) = Pin::new(&mut self.body).poll_frame(context) {
            return ready;
        }
        self.end.as_mut().poll(context).map(|()| {
            self.has_ended = true;
            Some(Ok(Frame::trailers(time_is_up())))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || self.body.is_end_stream()
    }
}

fn time_is_up() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // Fails only for a text that cannot be a header, and this one can.
    let _ = Status::from(ApiError::DeadlineExceeded).add_header(&mut trailers);
    trailers
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use tokio::time::Instant;

    use super::*;

    const TIME: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn an_endless_body_ends_at_its_deadline() {
        let frames = |count| {
            stream::iter((0..count).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from("x")))))
        };
        let begun = Instant::now();
        let endless = DeadlineBody::new(StreamBody::new(frames(3).chain(stream::pending())), TIME);
        let ended = endless.collect().await.unwrap();
        assert_eq!(begun.elapsed(), TIME);
        let status = Status::from_header_map(ended.trailers().unwrap()).unwrap();
        assert_eq!(
            (status.code(), ended.to_bytes()),
            (tonic::Code::DeadlineExceeded, Bytes::from("xxx"))
        );
        let short = DeadlineBody::new(StreamBody::new(frames(2)), TIME)
            .collect()
            .await
            .unwrap();
        assert!(short.trailers().is_none());
        assert_eq!(begun.elapsed(), TIME);
    }
}
