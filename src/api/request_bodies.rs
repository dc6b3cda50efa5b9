//! Bodies of requests, read whole within one budget of bytes over all connections and transports.
//!
//! What has come whole at once costs nothing. A message that has not, or is long, counts against the
//! budget, and as one of so many messages that may be incomplete at once. Where there is no room for
//! more, the message that has gone longest without a byte is rejected, so that those who send what they
//! have begun go on beside any number of those who do not.

use std::{
    collections::BTreeMap,
    error::Error,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use crate::api::error::ApiError;

/// Bytes that a message may have without counting, if it comes whole.
pub const SMALL_BYTES: usize = 16 * 1024;

/// Bounds of request bodies.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Bytes of all messages that are incomplete, or long and not answered yet.
    pub max_bytes_in_flight: usize,
    /// Messages that may be incomplete at once.
    pub max_incomplete: usize,
    /// Time within which a message has to come whole.
    pub timeout: Duration,
}

/// All bodies of requests that are being received.
#[derive(Debug)]
pub struct RequestBodies {
    limits: BodyLimits,
    state: Mutex<BodiesInFlight>,
}

#[derive(Debug, Default)]
struct BodiesInFlight {
    bytes: usize,
    next: u64,
    /// Those that are incomplete, the one that has gone longest without a byte first.
    incomplete: BTreeMap<u64, Incomplete>,
}

#[derive(Debug)]
struct Incomplete {
    bytes: usize,
    /// Dropped to have the message rejected.
    _reject: oneshot::Sender<()>,
}

impl BodiesInFlight {
    /// Rejects the message that has gone longest without a byte, if there is one.
    fn reject_one(&mut self) -> bool {
        let Some((_, longest)) = self.incomplete.pop_first() else {
            return false;
        };
        self.bytes -= longest.bytes;
        true
    }
}

/// A message that has come whole. Its bytes count until it is dropped.
#[derive(Debug)]
pub struct ReceivedMessage {
    bytes: Bytes,
    _held: Option<HeldBytes>,
}

/// Bytes that count.
#[derive(Debug)]
struct HeldBytes {
    bodies: Arc<RequestBodies>,
    bytes: usize,
}

/// A place among the incomplete messages.
struct IncompleteGuard {
    bodies: Arc<RequestBodies>,
    number: u64,
    told: oneshot::Receiver<()>,
}

/// What is read of a body.
#[derive(Debug, Clone, Copy)]
pub struct ReadOptions {
    /// Bytes that a body may have.
    pub max_bytes: usize,
    /// Looks at what has come so far, and says what is wrong with it.
    pub check: fn(&[u8], usize) -> Result<(), ApiError>,
}

impl ReceivedMessage {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// A part of it, without its first bytes.
    #[must_use]
    pub fn without(mut self, first: usize) -> Self {
        self.bytes = self.bytes.split_off(first.min(self.bytes.len()));
        self
    }
}

impl RequestBodies {
    /// Bodies within these limits.
    #[must_use]
    pub fn new(limits: BodyLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
        }
    }

    /// Bytes that count at this moment.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Messages that are incomplete at this moment.
    #[must_use]
    pub fn incomplete(&self) -> usize {
        self.state().incomplete.len()
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// [`ApiError::RequestTooLarge`], [`ApiError::Malformed`] if it breaks off, what the check finds, and
    /// [`ApiError::BytesInFlightLimit`] if there is no room for it, [`ApiError::DeadlineExceeded`]. Nothing more is
    /// read of it then.
    pub async fn read<B>(
        self: &Arc<Self>,
        body: B,
        options: ReadOptions,
    ) -> Result<ReceivedMessage, ApiError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let mut body = std::pin::pin!(body);
        if body.size_hint().lower() > u64::try_from(options.max_bytes).unwrap_or(u64::MAX) {
            return Err(ApiError::RequestTooLarge);
        }
        let mut read = BodyBuffer::default();
        let mut place = None;
        loop {
            let frame = match at_once(body.as_mut()).await {
                Some(frame) => frame,
                None => self.wait(body.as_mut(), &mut place, &mut read).await?,
            };
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| ApiError::Malformed(error.into().to_string()))?;
            // Trailers say nothing that is asked for.
            if let Ok(data) = frame.into_data() {
                read.add(data, options)?;
            }
        }
        drop(place);
        let bytes = read.whole();
        let held = (bytes.len() > SMALL_BYTES)
            .then(|| self.hold(bytes.len()))
            .transpose()?;
        Ok(ReceivedMessage { bytes, _held: held })
    }

    /// Waits for more of a body among the incomplete ones.
    async fn wait<B: Body + Unpin>(
        self: &Arc<Self>,
        mut body: B,
        place: &mut Option<IncompleteGuard>,
        read: &mut BodyBuffer,
    ) -> Result<Option<Result<Frame<B::Data>, B::Error>>, ApiError> {
        read.copy();
        // The place before is left first: what has come since makes it the latest of all.
        drop(place.take());
        let place = place.insert(self.enter(read.room())?);
        let deadline = *read
            .deadline
            .get_or_insert_with(|| Instant::now() + self.limits.timeout);
        tokio::select! {
            biased;
            frame = body.frame() => Ok(frame),
            _ = &mut place.told => Err(ApiError::BytesInFlightLimit),
            () = sleep_until(deadline) => Err(ApiError::DeadlineExceeded),
        }
    }

    fn enter(self: &Arc<Self>, bytes: usize) -> Result<IncompleteGuard, ApiError> {
        let (reject, told) = oneshot::channel();
        let mut state = self.state();
        while state.incomplete.len() >= self.limits.max_incomplete && state.reject_one() {}
        self.make_room(&mut state, bytes)?;
        let number = state.next;
        state.next += 1;
        state.incomplete.insert(
            number,
            Incomplete {
                bytes,
                _reject: reject,
            },
        );
        Ok(IncompleteGuard {
            bodies: Arc::clone(self),
            number,
            told,
        })
    }

    fn hold(self: &Arc<Self>, bytes: usize) -> Result<HeldBytes, ApiError> {
        self.make_room(&mut self.state(), bytes)?;
        Ok(HeldBytes {
            bodies: Arc::clone(self),
            bytes,
        })
    }

    /// Counts bytes, for which others are rejected if need be.
    fn make_room(&self, state: &mut BodiesInFlight, bytes: usize) -> Result<(), ApiError> {
        let limit = self.limits.max_bytes_in_flight;
        while state.bytes.saturating_add(bytes) > limit {
            if !state.reject_one() {
                return Err(ApiError::BytesInFlightLimit);
            }
        }
        state.bytes += bytes;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, BodiesInFlight> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for IncompleteGuard {
    fn drop(&mut self) {
        let mut state = self.bodies.state();
        // Who has been rejected has been taken out already.
        if let Some(left) = state.incomplete.remove(&self.number) {
            state.bytes -= left.bytes;
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.bodies.state().bytes -= self.bytes;
    }
}

/// The next frame, if it has come.
async fn at_once<B: Body>(
    mut body: Pin<&mut B>,
) -> Option<Option<Result<Frame<B::Data>, B::Error>>> {
    poll_fn(|context| match body.as_mut().poll_frame(context) {
        Poll::Ready(frame) => Poll::Ready(Some(frame)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// What has been read so far: as it came if that was one piece, otherwise copied together, because each
/// piece keeps as much memory as it was received with.
#[derive(Default)]
struct BodyBuffer {
    one: Bytes,
    more: Vec<u8>,
    /// When it has to be whole, once it has been waited for.
    deadline: Option<Instant>,
}

impl BodyBuffer {
    fn add(&mut self, data: Bytes, options: ReadOptions) -> Result<(), ApiError> {
        if self.len() + data.len() > options.max_bytes {
            return Err(ApiError::RequestTooLarge);
        }
        if self.len() == 0 {
            self.one = data;
        } else {
            self.copy();
            self.more.extend_from_slice(&data);
        }
        (options.check)(self.bytes(), options.max_bytes)
    }

    fn copy(&mut self) {
        self.more.extend_from_slice(&std::mem::take(&mut self.one));
    }

    fn bytes(&self) -> &[u8] {
        if self.more.is_empty() {
            &self.one
        } else {
            &self.more
        }
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    /// The memory that it takes.
    fn room(&self) -> usize {
        self.more.capacity()
    }

    fn whole(self) -> Bytes {
        if self.more.is_empty() {
            self.one
        } else {
            self.more.into()
        }
    }
}

#[cfg(test)]
mod tests;
