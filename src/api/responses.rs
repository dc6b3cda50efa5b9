//! Responses as bytes, encoded within a budget of bytes that counts until they have been sent.
//!
//! A response is a sequence of chunks. A response of one chunk is free. Each chunk of a longer response is reserved
//! before it is encoded, and released when the transport drops it: when its bytes have been sent, or its stream was
//! reset. A list is encoded order by order, so it never exists as a whole in another form.

use std::{
    io::{self, Write},
    mem,
    ops::ControlFlow,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use http::HeaderMap;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use serde::Serialize;

use crate::{
    api::{
        booking::{json, schema::Described, to_proto},
        error::ApiError,
    },
    net::{
        budgets::{Budget, ReservedBytes},
        stalled::StalledResponses,
    },
};
use domain::order::Order;
use kernel::blocking::{self, LONG_BYTES};
use orders::{OrderError, TakeOrders};

/// Bytes of a chunk. Responses up to this size do not count.
pub const CHUNK_BYTES: usize = 16 * 1024;

/// The prefix of a gRPC message: the compressed flag, and the length in four bytes.
const GRPC_PREFIX: [u8; 5] = [0; 5];

/// The field of orders in a list.
const ORDER_TAG: u32 = 1;

/// The encoding of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Protocol buffers, framed as gRPC does.
    Grpc,
    /// JSON.
    Json,
}

/// A message that can be a response.
pub trait ResponseMessage: prost::Message + Serialize {
    /// The message as JSON where it cannot be serialized, because an enum has a number without a name.
    ///
    /// # Errors
    /// [`ApiError::Internal`].
    fn plain_json(&self) -> Result<Vec<u8>, ApiError>;
}

impl<M: Described + Serialize> ResponseMessage for M {
    fn plain_json(&self) -> Result<Vec<u8>, ApiError> {
        json::write(self)
    }
}

/// The encoding of a response, and the bytes that have been reserved for it.
#[derive(Debug)]
pub struct ResponseFormat {
    encoding: Encoding,
    room: Option<ReservedBytes>,
}

/// The budget of all responses that have not been sent yet.
#[derive(Debug)]
pub struct Responses {
    budget: Arc<Budget>,
    max_bytes: usize,
    stalled: Arc<StalledResponses>,
}

/// A response as bytes.
#[derive(Debug)]
pub struct EncodedResponse {
    first: Option<Chunk>,
    rest: vec::IntoIter<Chunk>,
    len: usize,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    /// Released together with the bytes.
    reservation: Option<ReservedBytes>,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Chunk> for Bytes {
    fn from(chunk: Chunk) -> Self {
        if chunk.reservation.is_some() {
            // The owner lives as long as the bytes, so the reservation ends when the transport
            // drops them.
            Self::from_owner(chunk)
        } else {
            chunk.bytes.into()
        }
    }
}

impl Responses {
    /// Responses of at most `max_bytes` each within a budget. When the budget is used up, a stalled response is reset.
    #[must_use]
    pub fn new(budget: Arc<Budget>, max_bytes: usize, stalled: Arc<StalledResponses>) -> Self {
        Self {
            budget,
            max_bytes,
            stalled,
        }
    }

    /// Bytes of responses that are being encoded or sent.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.budget.in_use()
    }

    /// The stalled responses.
    #[must_use]
    pub fn stalled(&self) -> &StalledResponses {
        &self.stalled
    }

    /// The format of a response to a request of `request_bytes`. Most responses repeat their
    /// request, so the same number of bytes is reserved before any work is done.
    ///
    /// # Errors
    /// [`ApiError::BytesInFlightLimit`].
    pub fn format(
        &self,
        encoding: Encoding,
        request_bytes: usize,
    ) -> Result<ResponseFormat, ApiError> {
        let room = (request_bytes > CHUNK_BYTES)
            .then(|| self.reserve(request_bytes))
            .transpose()?;
        Ok(ResponseFormat { encoding, room })
    }

    /// Encodes a response, on a blocking thread if it is long.
    ///
    /// # Errors
    /// [`ApiError::ResponseTooLarge`], [`ApiError::BytesInFlightLimit`], [`ApiError::Internal`] if it cannot be encoded.
    pub async fn write<M>(
        self: &Arc<Self>,
        response: M,
        format: ResponseFormat,
    ) -> Result<EncodedResponse, ApiError>
    where
        M: ResponseMessage + 'static,
    {
        self.write_with(response, self.writer(format)).await
    }

    /// Encodes the response to a completed change. It is sent in any case, over the budget if need be.
    ///
    /// # Errors
    /// [`ApiError::Internal`] if it cannot be encoded.
    pub async fn write_receipt<M>(
        self: &Arc<Self>,
        response: M,
        format: ResponseFormat,
    ) -> Result<EncodedResponse, ApiError>
    where
        M: ResponseMessage + 'static,
    {
        self.write_with(
            response,
            ResponseWriter {
                is_receipt: true,
                ..self.writer(format)
            },
        )
        .await
    }

    /// Encodes a list, order by order.
    #[must_use]
    pub fn list(self: &Arc<Self>, format: ResponseFormat) -> ListWriter {
        ListWriter {
            writer: self.writer(format),
            scratch: Vec::new(),
            is_empty: true,
            outcome: Ok(()),
        }
    }

    async fn write_with<M>(
        &self,
        response: M,
        writer: ResponseWriter,
    ) -> Result<EncodedResponse, ApiError>
    where
        M: ResponseMessage + 'static,
    {
        let bytes = response.encoded_len();
        // Short responses are encoded here: the hand-over to a thread would cost more than the
        // encoding.
        if bytes <= LONG_BYTES {
            return writer.write(&response, bytes);
        }
        let written = blocking::run(move || writer.write(&response, bytes)).await;
        written.map_err(OrderError::from)?
    }

    fn writer(
        self: &Arc<Self>,
        ResponseFormat { encoding, room }: ResponseFormat,
    ) -> ResponseWriter {
        ResponseWriter {
            responses: Arc::clone(self),
            encoding,
            room,
            is_receipt: false,
            chunk: Vec::new(),
            full: Vec::new(),
            len: 0,
            error: None,
        }
    }

    fn reserve(&self, bytes: usize) -> Result<ReservedBytes, ApiError> {
        self.budget.reserve(bytes).map_err(|_| {
            // For the next call: this one cannot wait until the reset responses have released their
            // bytes.
            self.stalled.make_room();
            ApiError::BytesInFlightLimit
        })
    }
}

/// Collects the chunks of a response.
struct ResponseWriter {
    responses: Arc<Responses>,
    encoding: Encoding,
    room: Option<ReservedBytes>,
    is_receipt: bool,
    chunk: Vec<u8>,
    full: Vec<Chunk>,
    /// Bytes so far, without the prefix.
    len: usize,
    /// Why encoding has ended: `io::Write` cannot carry it.
    error: Option<ApiError>,
}

impl ResponseWriter {
    fn write<M: ResponseMessage>(
        mut self,
        response: &M,
        bytes: usize,
    ) -> Result<EncodedResponse, ApiError> {
        match self.encoding {
            Encoding::Grpc if bytes + GRPC_PREFIX.len() <= CHUNK_BYTES => {
                // The exact size is known, so the usual response is one allocation and one copy.
                self.chunk.reserve_exact(GRPC_PREFIX.len() + bytes);
                self.chunk.extend_from_slice(&GRPC_PREFIX);
                response.encode_raw(&mut self.chunk);
                self.len = bytes;
            }
            Encoding::Grpc => {
                self.begin();
                // Encoded as a whole, and then split into chunks that are reserved one by one.
                self.put(&response.encode_to_vec())?;
            }
            Encoding::Json => match self.put_json(response) {
                // Only an enum number without a name cannot be serialized. Start again, and write the number.
                Err(ApiError::Internal(_)) => {
                    self.full.clear();
                    self.chunk.clear();
                    self.len = 0;
                    self.put(&response.plain_json()?)?;
                }
                written => written?,
            },
        }
        self.finish()
    }

    fn begin(&mut self) {
        if self.encoding == Encoding::Grpc {
            self.chunk.extend_from_slice(&GRPC_PREFIX);
        }
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), ApiError> {
        self.len += bytes.len();
        let limit_bytes = self.responses.max_bytes;
        // Checked before the bytes are copied, so that a response never exceeds the limit by a
        // chunk.
        if self.len > limit_bytes && !self.is_receipt {
            return Err(ApiError::ResponseTooLarge { limit_bytes });
        }
        loop {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            if later.is_empty() {
                return Ok(());
            }
            bytes = later;
            self.fill(CHUNK_BYTES)?;
            // `fill` has reserved its bytes before they are allocated.
            self.chunk = Vec::with_capacity(CHUNK_BYTES);
        }
    }

    fn put_json(&mut self, value: &impl Serialize) -> Result<(), ApiError> {
        let written = serde_json::to_writer(&mut *self, value);
        written.map_err(|error| {
            self.error
                .take()
                .unwrap_or_else(|| ApiError::Internal(error.to_string()))
        })
    }

    /// Moves the current chunk to the full ones.
    fn fill(&mut self, bytes: usize) -> Result<(), ApiError> {
        let reservation = self.reserve(bytes)?;
        self.full.push(Chunk {
            bytes: mem::take(&mut self.chunk),
            reservation: Some(reservation),
        });
        Ok(())
    }

    fn reserve(&mut self, bytes: usize) -> Result<ReservedBytes, ApiError> {
        match &mut self.room {
            Some(room) if room.bytes() >= bytes => Ok(room.split(bytes)),
            Some(_) | None if self.is_receipt => Ok(self.responses.budget.take(bytes)),
            Some(_) | None => self.responses.reserve(bytes),
        }
    }

    fn finish(mut self) -> Result<EncodedResponse, ApiError> {
        // A response of one chunk is free, so its bytes are reserved only if others came before.
        if !self.full.is_empty() {
            self.fill(self.chunk.len())?;
        }
        let mut chunks = self.full.into_iter();
        let mut first = chunks.next().unwrap_or(Chunk {
            bytes: self.chunk,
            reservation: None,
        });
        if self.encoding == Encoding::Grpc {
            let len = u32::try_from(self.len).map_err(|_| ApiError::ResponseTooLarge {
                limit_bytes: self.responses.max_bytes,
            })?;
            // The length is known only now; room for it was left at the beginning.
            first.bytes[1..GRPC_PREFIX.len()].copy_from_slice(&len.to_be_bytes());
        }
        Ok(EncodedResponse {
            first: Some(first),
            rest: chunks,
            len: self.len,
        })
    }
}

impl Write for ResponseWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes).map_err(|error| {
            // Kept aside, because `io::Write` can only carry an `io::Error`.
            self.error = Some(error);
            io::Error::other("the response was rejected")
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Encodes a list, order by order.
pub struct ListWriter {
    writer: ResponseWriter,
    /// One encoded order; reused, so that a list allocates once.
    scratch: Vec<u8>,
    is_empty: bool,
    outcome: Result<(), ApiError>,
}

impl std::fmt::Debug for ListWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListWriter").finish_non_exhaustive()
    }
}

impl TakeOrders for ListWriter {
    fn take(&mut self, order: Order) -> ControlFlow<()> {
        self.outcome = self.add(order);
        if self.outcome.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

impl ListWriter {
    fn add(&mut self, order: Order) -> Result<(), ApiError> {
        let Self {
            writer, scratch, ..
        } = self;
        // The opening of the list is written with its first order, so that an empty list can be
        // `{}`.
        let is_first = mem::take(&mut self.is_empty);
        let order = to_proto::order(order);
        match writer.encoding {
            Encoding::Grpc => {
                if is_first {
                    writer.begin();
                }
                scratch.clear();
                prost::encoding::message::encode(ORDER_TAG, &order, scratch);
                writer.put(scratch)
            }
            Encoding::Json => {
                writer.put(if is_first { br#"{"order":["# } else { b"," })?;
                writer.put_json(&order)
            }
        }
    }

    /// The complete list.
    ///
    /// # Errors
    /// [`ApiError::ResponseTooLarge`], [`ApiError::BytesInFlightLimit`].
    pub fn finish(mut self) -> Result<EncodedResponse, ApiError> {
        self.outcome?;
        match (self.writer.encoding, self.is_empty) {
            (Encoding::Grpc, true) => self.writer.begin(),
            (Encoding::Grpc, false) => {}
            (Encoding::Json, true) => self.writer.put(b"{}")?,
            (Encoding::Json, false) => self.writer.put(b"]}")?,
        }
        self.writer.finish()
    }
}

impl EncodedResponse {
    /// A response of these bytes.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        Self {
            first: Some(Chunk {
                bytes,
                reservation: None,
            }),
            rest: Vec::new().into_iter(),
            len,
        }
    }

    /// The next part of it; `None` at its end.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.first
            .take()
            .or_else(|| self.rest.next())
            .map(Bytes::from)
    }

    fn is_over(&self) -> bool {
        self.first.is_none() && self.rest.as_slice().is_empty()
    }
}

/// The body of a response. It holds `kept` until it has been sent or reset.
#[derive(Debug)]
pub struct ResponseBody<K> {
    encoded: EncodedResponse,
    trailers: Option<HeaderMap>,
    /// Bytes left to send, if the length is announced.
    left: Option<u64>,
    _kept: K,
}

impl<K> ResponseBody<K> {
    /// A body that announces its length.
    pub fn new(encoded: EncodedResponse, kept: K) -> Self {
        let left = u64::try_from(encoded.len).ok();
        Self {
            encoded,
            trailers: None,
            left,
            _kept: kept,
        }
    }

    /// A body with trailers after it.
    pub fn with_trailers(encoded: EncodedResponse, trailers: HeaderMap, kept: K) -> Self {
        Self {
            encoded,
            trailers: Some(trailers),
            left: None,
            _kept: kept,
        }
    }
}

impl<K: Unpin> Body for ResponseBody<K> {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(bytes) = self.encoded.next() {
            let sent = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            // Saturating: the length hint must never be larger than what is left.
            self.left = self.left.map(|left| left.saturating_sub(sent));
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        Poll::Ready(
            self.trailers
                .take()
                .map(|trailers| Ok(Frame::trailers(trailers))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.encoded.is_over() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests;
