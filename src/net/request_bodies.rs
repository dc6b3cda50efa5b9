//! Request bodies, read whole within one budget of bytes over all connections and transports.
//!
//! A short body that arrives at once is free. An incomplete or long body counts against the budget, and an incomplete
//! one against `max_incomplete`. When a limit is reached, the body that has been idle longest is rejected. Clients that
//! send are therefore not displaced by any number of clients that do not.

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

/// Bodies up to this size do not count once they are complete.
pub const SMALL_BYTES: usize = 16 * 1024;

/// Limits of request bodies.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Maximum number of bytes in bodies that are incomplete, or long and not answered yet.
    pub max_bytes_in_flight: usize,
    /// Maximum number of incomplete bodies.
    pub max_incomplete: usize,
    /// Time limit for a body to arrive, from the first wait for it.
    pub timeout: Duration,
}

/// All request bodies that are being received.
#[derive(Debug)]
pub struct RequestBodies {
    limits: BodyLimits,
    state: Mutex<BodiesInFlight>,
}

#[derive(Debug, Default)]
struct BodiesInFlight {
    bytes: usize,
    next: u64,
    /// The incomplete bodies by their number; the longest idle one is first.
    incomplete: BTreeMap<u64, Incomplete>,
}

#[derive(Debug)]
struct Incomplete {
    bytes: usize,
    /// Dropped to reject the body: its reader sees the end of the channel.
    _reject: oneshot::Sender<()>,
}

impl BodiesInFlight {
    /// Rejects the body that has been idle longest, if there is one.
    fn reject_one(&mut self) -> bool {
        let Some((_, longest)) = self.incomplete.pop_first() else {
            return false;
        };
        self.bytes -= longest.bytes;
        true
    }
}

/// A complete message. Its bytes count against the budget until it is dropped.
#[derive(Debug)]
pub struct ReceivedMessage {
    bytes: Bytes,
    _held: Option<HeldBytes>,
}

/// Bytes that count against the budget until this is dropped.
#[derive(Debug)]
struct HeldBytes {
    bodies: Arc<RequestBodies>,
    bytes: usize,
}

/// Counts a body as incomplete until this is dropped.
struct IncompleteGuard {
    bodies: Arc<RequestBodies>,
    number: u64,
    rejected: oneshot::Receiver<()>,
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It exceeds its size limit.
    #[error("the body exceeds its size limit")]
    TooLarge,
    /// Its connection or its framing broke off; the text says how.
    #[error("{0}")]
    BrokenOff(String),
    /// The budget of bytes is used up, or the body was idle while others needed it.
    #[error("too many bytes of bodies in flight")]
    BytesInFlightLimit,
    /// It did not arrive in time.
    #[error("the body did not arrive in time")]
    TimedOut,
}

/// How a body is read, with a check that fails with `E`.
#[derive(Debug)]
pub struct ReadOptions<E> {
    /// The longest body, in bytes.
    pub max_bytes: usize,
    /// Checks the bytes so far, so that a body can be rejected before it is complete.
    pub check: fn(&[u8], usize) -> Result<(), E>,
}

impl ReceivedMessage {
    /// The bytes of the message.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The message without its first bytes, such as a prefix.
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

    /// Bytes that count against the budget now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Bodies that are incomplete now.
    #[must_use]
    pub fn incomplete(&self) -> usize {
        self.state().incomplete.len()
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// [`BodyError`], or the error of the check. No more of the body is read then.
    pub async fn read<B, E>(
        self: &Arc<Self>,
        body: B,
        options: ReadOptions<E>,
    ) -> Result<ReceivedMessage, E>
    where
        E: From<BodyError>,
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let mut body = std::pin::pin!(body);
        // By the announced length: a body that is too long is rejected before a byte of it is
        // buffered.
        if body.size_hint().lower() > u64::try_from(options.max_bytes).unwrap_or(u64::MAX) {
            return Err(BodyError::TooLarge.into());
        }
        let mut read = BodyBuffer::default();
        let mut guard = None;
        loop {
            // Tried first, because most bodies have arrived with their head and then need neither a
            // lock nor a timer.
            let frame = match at_once(body.as_mut()).await {
                Some(frame) => frame,
                None => self.wait(body.as_mut(), &mut guard, &mut read).await?,
            };
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| BodyError::BrokenOff(error.into().to_string()))?;
            // Trailers have no meaning here.
            if let Ok(data) = frame.into_data() {
                read.add(data, &options)?;
            }
        }
        // The partial bytes are released before the whole is reserved, so that a body is not
        // counted twice.
        drop(guard);
        let bytes = read.whole();
        let held = (bytes.len() > SMALL_BYTES)
            .then(|| self.hold(bytes.len()))
            .transpose()?;
        Ok(ReceivedMessage { bytes, _held: held })
    }

    /// Waits for more of a body, which is incomplete meanwhile.
    async fn wait<B: Body + Unpin>(
        self: &Arc<Self>,
        mut body: B,
        guard: &mut Option<IncompleteGuard>,
        read: &mut BodyBuffer,
    ) -> Result<Option<Result<Frame<B::Data>, B::Error>>, BodyError> {
        // Copied before the wait: a small frame would otherwise pin the connection's read buffer
        // meanwhile.
        read.copy();
        // The previous guard is dropped first: bytes have arrived since, so the body goes to the end of the order.
        drop(guard.take());
        let guard = guard.insert(self.enter(read.room())?);
        let deadline = *read
            .deadline
            .get_or_insert_with(|| Instant::now() + self.limits.timeout);
        tokio::select! {
            // In this order: a frame that has arrived counts, even if the body was rejected in the same moment.
            biased;
            frame = body.frame() => Ok(frame),
            _ = &mut guard.rejected => Err(BodyError::BytesInFlightLimit),
            () = sleep_until(deadline) => Err(BodyError::TimedOut),
        }
    }

    fn enter(self: &Arc<Self>, bytes: usize) -> Result<IncompleteGuard, BodyError> {
        let (reject, rejected) = oneshot::channel();
        let mut state = self.state();
        // The empty loop ends when there is room, or no body is left to reject.
        while state.incomplete.len() >= self.limits.max_incomplete && state.reject_one() {}
        self.make_room(&mut state, bytes)?;
        // Numbers grow, so the map is ordered by the start of the wait: its first entry is the
        // longest idle.
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
            rejected,
        })
    }

    fn hold(self: &Arc<Self>, bytes: usize) -> Result<HeldBytes, BodyError> {
        self.make_room(&mut self.state(), bytes)?;
        Ok(HeldBytes {
            bodies: Arc::clone(self),
            bytes,
        })
    }

    /// Counts bytes against the budget, and rejects idle bodies until they fit.
    fn make_room(&self, state: &mut BodiesInFlight, bytes: usize) -> Result<(), BodyError> {
        let limit = self.limits.max_bytes_in_flight;
        // Saturating: a sum that wrapped would pass the limit.
        while state.bytes.saturating_add(bytes) > limit {
            if !state.reject_one() {
                return Err(BodyError::BytesInFlightLimit);
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
        // A rejected body has been removed already.
        if let Some(left) = state.incomplete.remove(&self.number) {
            state.bytes -= left.bytes;
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        // Never below zero: the same number was added when these bytes were held.
        self.bodies.state().bytes -= self.bytes;
    }
}

/// The next frame, if it has arrived.
async fn at_once<B: Body>(
    mut body: Pin<&mut B>,
) -> Option<Option<Result<Frame<B::Data>, B::Error>>> {
    poll_fn(|context| match body.as_mut().poll_frame(context) {
        Poll::Ready(frame) => Poll::Ready(Some(frame)),
        // The waker that was registered here is replaced by the wait that follows.
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The bytes so far: one frame as it arrived, or several copied together, because each frame pins the whole buffer
/// that it was received with.
#[derive(Default)]
struct BodyBuffer {
    one: Bytes,
    more: Vec<u8>,
    /// Set once the body has been waited for.
    deadline: Option<Instant>,
}

impl BodyBuffer {
    fn add<E: From<BodyError>>(&mut self, data: Bytes, options: &ReadOptions<E>) -> Result<(), E> {
        // Cannot overflow: both lengths are of memory that exists.
        if self.len() + data.len() > options.max_bytes {
            return Err(BodyError::TooLarge.into());
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

    /// The memory that it occupies.
    fn room(&self) -> usize {
        // The capacity rather than the length: the allocation is what occupies memory.
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
