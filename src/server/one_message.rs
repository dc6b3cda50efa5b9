//! Methods that take one message, in services whose decoder does not count messages itself.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tonic::Status;
use tower::BoxError;

use crate::wire::codes::Problem;

/// Bytes in front of every message: a flag, and the length of the message in four bytes.
const HEAD_BYTES: usize = 5;

/// The body of a call that takes one message: a second one is an error.
#[derive(Debug)]
pub(super) struct OneMessage<B> {
    body: B,
    /// Bytes of the head that have come.
    head: usize,
    /// Bytes of the message that have not.
    left: u64,
}

impl<B> OneMessage<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, head: 0, left: 0 }
    }

    /// Follows the messages in what has come; an error where a second one begins.
    fn follow(&mut self, mut data: &[u8]) -> Result<(), Status> {
        while let Some((&byte, rest)) = data.split_first() {
            if self.head < HEAD_BYTES {
                // The flag, which is the first byte, is no part of the length.
                self.left = if self.head == 0 { 0 } else { self.left << 8 | u64::from(byte) };
                self.head += 1;
                data = rest;
            } else if self.left > 0 {
                let taken = usize::try_from(self.left).map_or(data.len(), |left| left.min(data.len()));
                self.left -= taken as u64;
                data = &data[taken..];
            } else {
                return Err(Problem::SecondMessage.into());
            }
        }
        Ok(())
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for OneMessage<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(Into::into)?;
        if let Some(data) = frame.data_ref() {
            self.follow(data)?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_message_is_an_error_however_the_bytes_come() {
        let empty: &[u8] = &[0, 0, 0, 0, 0];
        let long = [&[0, 0, 0, 1, 2][..], &[7; 258]].concat();
        for (bytes, is_one) in [
            (empty.to_vec(), true),
            (long.clone(), true),
            (Vec::new(), true),
            (long[..100].to_vec(), true),
            ([empty, &[0]].concat(), false),
            ([&long[..], empty].concat(), false),
            ([empty, &long].concat(), false),
        ] {
            for size in [1, 4, 5, 6, 1000] {
                let mut body = OneMessage::new(());
                let followed = bytes.chunks(size).try_for_each(|data| body.follow(data));
                assert_eq!(followed.is_ok(), is_one, "{} bytes by {size}", bytes.len());
            }
        }
    }
}
