//! One call of the contract, whatever its transport: a concurrency permit, the deadline, the scope of its user,
//! conversion to the use case and back.

use std::{
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{
    api::{
        auth::User,
        booking::{
            decode::decode,
            from_proto::{self, RejectedOrder},
            proto::v3::{
                BatchAvailabilityLookupRequest, CheckAvailabilityRequest,
                CheckOrderFulfillabilityRequest, CreateOrderRequest, ListOrdersRequest,
            },
            requests::{Decoded, RequestLimits},
            to_proto,
        },
        error::ApiError,
        responses::{EncodedResponse, Encoding, ResponseFormat, Responses},
    },
    net::request_bodies::ReceivedMessage,
};
use domain::order::Order;
use kernel::{
    request::{Origin, RequestContext},
    rpc::Rpc,
};
use orders::{
    audit::AuditEvent,
    {App, CheckAnswer, OrderError},
};

/// Limits of calls.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// Calls served at once, over all transports and connections, each until its response has been sent;
    /// more are rejected.
    pub max_in_flight: usize,
    /// Time within which a call is answered, even if its caller would wait longer.
    pub call_timeout: Duration,
    /// Limits of what a request may say.
    pub request: RequestLimits,
}

/// Runs calls of the application. Clones share one limit of concurrent calls.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    app: Arc<App>,
    in_flight: Arc<Semaphore>,
    responses: Arc<Responses>,
    limits: CallLimits,
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

impl Dispatcher {
    /// A dispatcher to the application, within these limits.
    #[must_use]
    pub fn new(app: Arc<App>, responses: Arc<Responses>, limits: CallLimits) -> Self {
        let in_flight = Arc::new(Semaphore::new(
            // The semaphore panics above its maximum, which no setting means literally.
            limits.max_in_flight.min(Semaphore::MAX_PERMITS),
        ));
        Self {
            app,
            in_flight,
            responses,
            limits,
        }
    }

    /// Handles a call whose message has arrived. Its time begins here: `timeout` is that of its
    /// caller.
    ///
    /// # Errors
    /// [`ApiError`], if there is no response of the contract. After [`ApiError::DeadlineExceeded`] an order may exist.
    pub async fn dispatch(
        &self,
        rpc: Rpc,
        message: ReceivedMessage,
        encoding: Encoding,
        timeout: Option<Duration>,
    ) -> Result<Reply, ApiError> {
        let (limits, deadline) = (&self.limits.request, self.deadline(timeout));
        // Before the message is decoded: where there is no room for the response, no work is begun.
        let format = self.responses.format(encoding, message.bytes().len())?;
        // The bytes of a message count against the budget until its call has been answered: `_held`.
        match rpc {
            Rpc::HealthCheck => Err(ApiError::UnknownMethod),
            Rpc::CheckOrderFulfillability => {
                let (request, _held) = decode(message, encoding, limits).await?;
                self.check_order_fulfillability(request, format, deadline)
                    .await
            }
            Rpc::CreateOrder => {
                let (request, _held) = decode(message, encoding, limits).await?;
                self.create_order(request, format, deadline).await
            }
            Rpc::ListOrders => {
                let (request, _held) = decode(message, encoding, limits).await?;
                self.list_orders(request, format, deadline).await
            }
            Rpc::BatchAvailabilityLookup => {
                let (request, _held) = decode(message, encoding, limits).await?;
                self.batch_availability_lookup(request, format, deadline)
                    .await
            }
            Rpc::CheckAvailability => {
                let (request, _held) = decode(message, encoding, limits).await?;
                self.check_availability(request, format, deadline).await
            }
        }
    }

    /// The deadline of a call: that of its caller, but never later than `call_timeout` from now.
    fn deadline(&self, asked: Option<Duration>) -> Instant {
        let ceiling = self.limits.call_timeout;
        Instant::now() + asked.map_or(ceiling, |asked| asked.min(ceiling))
    }

    /// Whether a cart could be ordered now.
    async fn check_order_fulfillability(
        &self,
        request: Decoded<CheckOrderFulfillabilityRequest>,
        format: ResponseFormat,
        deadline: Instant,
    ) -> Result<Reply, ApiError> {
        // Pinned on the stack of the caller: boxing would cost an allocation per call.
        let work = pin!(async {
            let user = user()?;
            self.check_scope(user.as_deref(), &request.message.merchant_id)?;
            let cart =
                from_proto::check_request(request, &self.limits.request, &self.is_merchant())?;
            let checked = match self.app.check(cart, user) {
                CheckAnswer::Now(checked) => checked,
                CheckAnswer::Later(checked) => checked.await,
            }?;
            self.responses
                .write(to_proto::check_response(checked), format)
                .await
        });
        self.run(Rpc::CheckOrderFulfillability, deadline, work)
            .await
    }

    /// Creates an order, or returns the order that the token has led to before.
    async fn create_order(
        &self,
        request: Decoded<CreateOrderRequest>,
        format: ResponseFormat,
        deadline: Instant,
    ) -> Result<Reply, ApiError> {
        let work = pin!(async {
            let user = user()?;
            let merchant_id = request
                .message
                .order
                .as_ref()
                .map_or("", |order| &order.merchant_id);
            self.check_scope(user.as_deref(), merchant_id)?;
            let created = match from_proto::create_request(
                request,
                &self.limits.request,
                &self.is_merchant(),
            ) {
                Ok(command) => self.app.create(command, user, deadline).await?,
                // An order that was created before stands, even if its request would be rejected
                // today.
                Err(rejected) => Ok(self.replay_rejected(rejected, user.as_deref()).await?),
            };
            // The order is on record: its response is sent even where the budget of bytes is used up.
            self.responses
                .write_receipt(to_proto::create_response(created), format)
                .await
        });
        self.run(Rpc::CreateOrder, deadline, work).await
    }

    /// Orders of a customer or by their ids, as far as the user may see them.
    async fn list_orders(
        &self,
        request: Decoded<ListOrdersRequest>,
        format: ResponseFormat,
        deadline: Instant,
    ) -> Result<Reply, ApiError> {
        let work = pin!(async {
            let user = user()?;
            let selection = from_proto::list_request(request, &self.limits.request)?;
            self.app
                .list(selection, user, self.responses.list(format))
                .await?
                .finish()
        });
        self.run(Rpc::ListOrders, deadline, work).await
    }

    /// Which of the slots are available.
    async fn batch_availability_lookup(
        &self,
        request: Decoded<BatchAvailabilityLookupRequest>,
        format: ResponseFormat,
        deadline: Instant,
    ) -> Result<Reply, ApiError> {
        let work = pin!(async {
            self.check_scope(user()?.as_deref(), &request.message.merchant_id)?;
            let lookup =
                from_proto::lookup_request(request, &self.limits.request, &self.is_merchant())?;
            let seen = self.app.look_up(lookup).await?;
            self.responses
                .write(to_proto::lookup_response(seen), format)
                .await
        });
        self.run(Rpc::BatchAvailabilityLookup, deadline, work).await
    }

    /// How many spots of a slot are open.
    async fn check_availability(
        &self,
        request: Decoded<CheckAvailabilityRequest>,
        format: ResponseFormat,
        deadline: Instant,
    ) -> Result<Reply, ApiError> {
        let work = pin!(async {
            let merchant_id = request
                .message
                .slot
                .as_ref()
                .map_or("", |slot| &slot.merchant_id);
            self.check_scope(user()?.as_deref(), merchant_id)?;
            let lookup = from_proto::availability_request(
                request,
                &self.limits.request,
                &self.is_merchant(),
            )?;
            let spots_open = self.app.check_availability(&lookup)?;
            self.responses
                .write(to_proto::availability_response(lookup, spots_open), format)
                .await
        });
        self.run(Rpc::CheckAvailability, deadline, work).await
    }

    /// Rejects a merchant outside the scope of the user. This runs before validation, which would otherwise
    /// disclose whether such a merchant exists.
    fn check_scope(&self, user: Option<&User>, merchant_id: &str) -> Result<(), ApiError> {
        let Some(user) = user else { return Ok(()) };
        // A missing merchant is a violation of the request, which validation reports.
        if merchant_id.is_empty() || user.acts_for(merchant_id) {
            return Ok(());
        }
        let error = ApiError::MerchantOutOfScope(merchant_id.into());
        if let Some(Origin {
            transport, address, ..
        }) = RequestContext::current()
            .as_ref()
            .and_then(RequestContext::origin)
        {
            let (reason, transport, address) = (error.mapping().reason, Some(*transport), *address);
            self.app.audit().record(AuditEvent::AccessRejected {
                reason,
                user: Some(user),
                address,
                transport,
            });
        }
        Err(error)
    }

    /// The order of a rejected request that was accepted before, under older rules or another catalogue. A replay
    /// must not depend on the active catalogue.
    async fn replay_rejected(
        &self,
        rejected: RejectedOrder,
        user: Option<&User>,
    ) -> Result<Box<Order>, ApiError> {
        let RejectedOrder {
            answered,
            violations,
        } = rejected;
        let order = match answered {
            Some((token, fingerprint)) => {
                self.app.answered_before(&token, fingerprint, user).await?
            }
            None => None,
        };
        order.ok_or(ApiError::Invalid(violations))
    }

    fn is_merchant(&self) -> impl Fn(&str) -> bool + use<> {
        let catalog = self.app.catalog();
        move |merchant_id| catalog.merchant_ix(merchant_id).is_some()
    }

    /// Runs a call with a permit until its deadline. A panic ends this call only. The future is pinned by the
    /// caller, because it is large and would be moved otherwise.
    async fn run(
        &self,
        rpc: Rpc,
        deadline: Instant,
        work: Pin<&mut (impl Future<Output = Result<EncodedResponse, ApiError>> + Send)>,
    ) -> Result<Reply, ApiError> {
        // Before the work and until the response is sent, so that slow readers count as calls, too.
        let permit = self.acquire(deadline).await?;
        let method = rpc.name();
        // Nothing of the future is used after a panic, so no broken state can be observed.
        let outcome = match timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()).await {
            Err(_) => Err(ApiError::DeadlineExceeded),
            Ok(Err(_panic)) => Err(ApiError::Internal(format!("a panic in {method}"))),
            Ok(Ok(outcome)) => outcome,
        };
        if let Err(ApiError::Internal(what)) = &outcome {
            tracing::error!(method, what, "internal error");
        }
        outcome.map(|response| Reply { response, permit })
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
fn user() -> Result<Option<Arc<User>>, ApiError> {
    let served = RequestContext::current();
    let origin = served.as_ref().and_then(RequestContext::origin);
    let origin =
        origin.ok_or_else(|| ApiError::Internal("the call was not authorized".to_owned()))?;
    Ok(origin.user.clone())
}
