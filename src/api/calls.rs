//! What every call has in common, whatever its interface: a concurrency permit, a deadline, and a response within the
//! byte budget.

use std::{panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::api::{
    auth::User,
    error::ApiError,
    responses::{EncodedResponse, Responses},
    streamed::{Messages, StreamedReply},
};
use kernel::request::RequestContext;
use orders::OrderError;

/// The limits of an interface's calls. Clones share one limit of concurrent calls.
#[derive(Debug, Clone)]
pub struct Calls {
    in_flight: Arc<Semaphore>,
    call_timeout: Duration,
    responses: Arc<Responses>,
}

/// A response with the permit of its call, which is held until the response has been sent.
#[derive(Debug)]
pub struct Reply {
    /// The response.
    pub response: EncodedResponse,
    /// The permit.
    pub permit: CallPermit,
}

/// A permit among `max_in_flight`, released when it is dropped.
#[derive(Debug)]
pub struct CallPermit {
    _permit: OwnedSemaphorePermit,
}

/// How long a call waits for the permit of a stalled response that has just been reset.
const PERMIT_TIMEOUT: Duration = Duration::from_millis(100);

impl Calls {
    /// At most `max_in_flight` calls at once, each answered within `call_timeout`.
    #[must_use]
    pub fn new(max_in_flight: usize, call_timeout: Duration, responses: Arc<Responses>) -> Self {
        let in_flight = Arc::new(Semaphore::new(
            // The semaphore panics above its maximum, which no setting means literally.
            max_in_flight.min(Semaphore::MAX_PERMITS),
        ));
        Self {
            in_flight,
            call_timeout,
            responses,
        }
    }

    /// The budget of responses.
    #[must_use]
    pub fn responses(&self) -> &Arc<Responses> {
        &self.responses
    }

    /// The deadline of a call: that of its caller, but never later than `call_timeout` from now.
    #[must_use]
    pub fn deadline(&self, asked: Option<Duration>) -> Instant {
        let ceiling = self.call_timeout;
        Instant::now() + asked.map_or(ceiling, |asked| asked.min(ceiling))
    }

    /// Runs a call with a permit until its deadline. A panic ends this call only. The future is pinned by the
    /// caller, because it is large and would be moved otherwise.
    ///
    /// # Errors
    /// That of the work, [`ApiError::DeadlineExceeded`], [`ApiError::Internal`] after a panic, or the limit of calls.
    pub async fn run(
        &self,
        method: &str,
        deadline: Instant,
        work: Pin<&mut (impl Future<Output = Result<EncodedResponse, ApiError>> + Send)>,
    ) -> Result<Reply, ApiError> {
        let (response, permit) = self.run_to(method, deadline, work).await?;
        Ok(Reply { response, permit })
    }

    /// Runs a call whose outcome is not a response yet, as [`Self::run`] does.
    async fn run_to<T>(
        &self,
        method: &str,
        deadline: Instant,
        work: Pin<&mut (impl Future<Output = Result<T, ApiError>> + Send)>,
    ) -> Result<(T, CallPermit), ApiError> {
        // Before the work and until the response is sent, so that slow readers count as calls, too.
        let permit = self.acquire(deadline).await?;
        // Nothing of the future is used after a panic, so no broken state can be observed.
        let outcome = match timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()).await {
            Err(_) => Err(ApiError::DeadlineExceeded),
            Ok(Err(_panic)) => Err(ApiError::Internal(format!("a panic in {method}"))),
            Ok(Ok(outcome)) => outcome,
        };
        if let Err(ApiError::Internal(what)) = &outcome {
            tracing::error!(method, what, "internal error");
        }
        outcome.map(|outcome| (outcome, permit))
    }

    /// Begins a call that is answered by a stream, by a deadline. Its permit is held until the stream has ended, which is
    /// at `until` at the latest.
    ///
    /// # Errors
    /// Those of [`Calls::run`], before the stream has begun.
    pub async fn begin_stream(
        &self,
        method: &'static str,
        (deadline, until): (Instant, Instant),
        begin: Pin<&mut (impl Future<Output = Result<Messages<EncodedResponse>, ApiError>> + Send)>,
    ) -> Result<StreamedReply, ApiError> {
        let (messages, permit) = self.run_to(method, deadline, begin).await?;
        Ok(StreamedReply::new(method, until, messages, permit))
    }

    /// Acquires a permit: a free one, or that of a response whose client does not read.
    async fn acquire(&self, deadline: Instant) -> Result<CallPermit, ApiError> {
        // Without a queue: a call beyond the limit is rejected at once, while its client can still go
        // elsewhere.
        let permit = match Arc::clone(&self.in_flight).try_acquire_owned() {
            Ok(permit) => Some(permit),
            // A stalled response was reset; its connection releases the permit a moment later.
            Err(_) if self.responses.stalled().make_room() => {
                let until = deadline.min(Instant::now() + PERMIT_TIMEOUT);
                let waiting = Arc::clone(&self.in_flight).acquire_owned();
                timeout_at(until, waiting).await.ok().and_then(Result::ok)
            }
            Err(_) => None,
        };
        permit
            .map(|permit| CallPermit { _permit: permit })
            .ok_or(ApiError::Order(OrderError::Busy))
    }
}

/// The user of the current call; none where no credentials are required. A call without an origin was not
/// authorized, which is a bug: it must not pass for one without restrictions.
///
/// # Errors
/// [`ApiError::Internal`].
pub fn user() -> Result<Option<Arc<User>>, ApiError> {
    let served = RequestContext::current();
    let origin = served.as_ref().and_then(RequestContext::origin);
    let origin =
        origin.ok_or_else(|| ApiError::Internal("the call was not authorized".to_owned()))?;
    Ok(origin.user.clone())
}
