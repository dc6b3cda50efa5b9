//! The calls of the contract, as every door makes them: let in, translated, answered in time.

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
            from_proto::{self, RejectedOrder},
            proto::v3::{
                BatchAvailabilityLookupRequest, CheckAvailabilityRequest,
                CheckOrderFulfillabilityRequest, CreateOrderRequest, ListOrdersRequest,
            },
            requests::{Decoded, RequestLimits},
            to_proto,
        },
        error::ApiError,
        responses::{EncodedResponse, ResponseFormat, Responses},
    },
    app::{App, OrderError},
    audit::AuditEvent,
    domain::order::Order,
    request::{Origin, RequestContext},
    rpc::Rpc,
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

/// The way from a door to the application. Its clones share one limit.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    app: Arc<App>,
    in_flight: Arc<Semaphore>,
    responses: Arc<Responses>,
    limits: CallLimits,
}

/// A response and the call's place among those in flight, which it has until the response is sent.
#[derive(Debug)]
pub struct Reply {
    /// The response.
    pub response: EncodedResponse,
    /// The place.
    pub place: CallPermit,
}

/// A call's place among those in flight, until this is dropped.
#[derive(Debug)]
pub struct CallPermit {
    _permit: OwnedSemaphorePermit,
}

/// How long a call may wait for the place of one whose response was stalled.
const PLACE_TIMEOUT: Duration = Duration::from_millis(100);

impl Dispatcher {
    /// A dispatcher to the application, within these limits.
    #[must_use]
    pub fn new(app: Arc<App>, responses: Arc<Responses>, limits: CallLimits) -> Self {
        let in_flight = Arc::new(Semaphore::new(
            limits.max_in_flight.min(Semaphore::MAX_PERMITS),
        ));
        Self {
            app,
            in_flight,
            responses,
            limits,
        }
    }

    /// Limits of what a request may say.
    #[must_use]
    pub fn request_limits(&self) -> &RequestLimits {
        &self.limits.request
    }

    /// Where responses are written.
    #[must_use]
    pub fn responses(&self) -> &Responses {
        &self.responses
    }

    /// The moment at which a call's time is up: what the caller asks for, or our ceiling.
    #[must_use]
    pub fn deadline(&self, asked: Option<Duration>) -> Instant {
        let ceiling = self.limits.call_timeout;
        Instant::now() + asked.map_or(ceiling, |asked| asked.min(ceiling))
    }

    /// Says whether a cart could be ordered now.
    ///
    /// # Errors
    /// [`ApiError`], where the question itself cannot be answered.
    pub async fn check(
        &self,
        request: Decoded<CheckOrderFulfillabilityRequest>,
        form: ResponseFormat,
        deadline: Instant,
    ) -> Result<Reply, ApiError> {
        let work = pin!(async {
            let user = user()?;
            self.check_scope(user.as_deref(), &request.message.merchant_id)?;
            let cart =
                from_proto::check_request(request, &self.limits.request, &self.is_merchant())?;
            let checked = self.app.check(&cart, user.as_deref())?;
            self.responses
                .write(to_proto::check_response(checked), form)
                .await
        });
        self.answer(Rpc::CheckOrderFulfillability, deadline, work)
            .await
    }

    /// Creates an order.
    ///
    /// # Errors
    /// [`ApiError`], where the question itself cannot be answered.
    pub async fn create(
        &self,
        request: Decoded<CreateOrderRequest>,
        form: ResponseFormat,
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
                Err(refused) => Ok(self.answered_before(refused, user.as_deref())?),
            };
            self.responses
                .write_receipt(to_proto::create_response(created), form)
                .await
        });
        self.answer(Rpc::CreateOrder, deadline, work).await
    }

    /// Lists orders.
    ///
    /// # Errors
    /// [`ApiError`], where the question itself cannot be answered.
    pub async fn list(
        &self,
        request: Decoded<ListOrdersRequest>,
        form: ResponseFormat,
        deadline: Instant,
    ) -> Result<Reply, ApiError> {
        let work = pin!(async {
            let user = user()?;
            let selection = from_proto::list_request(request, &self.limits.request)?;
            self.app
                .list(selection, user, self.responses.list(form))
                .await?
                .finish()
        });
        self.answer(Rpc::ListOrders, deadline, work).await
    }

    /// Says which slots are available.
    ///
    /// # Errors
    /// [`ApiError`], where the question itself cannot be answered.
    pub async fn look_up(
        &self,
        request: Decoded<BatchAvailabilityLookupRequest>,
        form: ResponseFormat,
        deadline: Instant,
    ) -> Result<Reply, ApiError> {
        let work = pin!(async {
            self.check_scope(user()?.as_deref(), &request.message.merchant_id)?;
            let lookup =
                from_proto::lookup_request(request, &self.limits.request, &self.is_merchant())?;
            let seen = self.app.look_up(lookup).await?;
            self.responses
                .write(to_proto::lookup_response(seen), form)
                .await
        });
        self.answer(Rpc::BatchAvailabilityLookup, deadline, work)
            .await
    }

    /// Says how much of a slot is available.
    ///
    /// # Errors
    /// [`ApiError`], where the question itself cannot be answered.
    pub async fn look_at(
        &self,
        request: Decoded<CheckAvailabilityRequest>,
        form: ResponseFormat,
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
            let spots_open = self.app.look_at(&lookup)?;
            self.responses
                .write(to_proto::availability_response(lookup, spots_open), form)
                .await
        });
        self.answer(Rpc::CheckAvailability, deadline, work).await
    }

    /// Whether the user may act for the merchant. This comes before the request is looked at, so that
    /// nothing is told of a merchant outside of the scope, not even whether it exists.
    fn check_scope(&self, user: Option<&User>, merchant_id: &str) -> Result<(), ApiError> {
        let Some(user) = user else { return Ok(()) };
        // That a merchant is named at all is a rule of requests.
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

    /// The order that a refused request has led to when it was not refused yet.
    fn answered_before(
        &self,
        refused: RejectedOrder,
        user: Option<&User>,
    ) -> Result<Box<Order>, ApiError> {
        let RejectedOrder {
            answered,
            violations,
        } = refused;
        let order = match answered {
            Some((token, fingerprint)) => self.app.answered_before(&token, fingerprint, user)?,
            None => None,
        };
        order.ok_or(ApiError::Invalid(violations))
    }

    fn is_merchant(&self) -> impl Fn(&str) -> bool + use<> {
        let catalog = self.app.catalog();
        move |merchant_id| catalog.merchant_ix(merchant_id).is_some()
    }

    /// Lets a call in, keeps it within its time, and makes a bug in it its own error only. The work
    /// is large, so it stays where it is.
    async fn answer(
        &self,
        method: Rpc,
        deadline: Instant,
        work: Pin<&mut (impl Future<Output = Result<EncodedResponse, ApiError>> + Send)>,
    ) -> Result<Reply, ApiError> {
        let place = self.let_in(deadline).await?;
        let method = method.name();
        let outcome = match timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()).await {
            Err(_) => Err(ApiError::DeadlineExceeded),
            Ok(Err(_panic)) => Err(ApiError::Internal(format!("a panic in {method}"))),
            Ok(Ok(outcome)) => outcome,
        };
        if let Err(ApiError::Internal(what)) = &outcome {
            tracing::error!(method, what, "a bug");
        }
        outcome.map(|response| Reply { response, place })
    }

    /// Gives a call a place: a free one, or that of a response that its reader does not take.
    async fn let_in(&self, deadline: Instant) -> Result<CallPermit, ApiError> {
        let permit = match Arc::clone(&self.in_flight).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) if self.responses.stalled().make_room() => {
                let until = deadline.min(Instant::now() + PLACE_TIMEOUT);
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

/// The user on whose behalf the present call is made; nobody where no passwords are demanded. A call
/// that nobody has let in is a bug, and is not taken for one that may do everything.
fn user() -> Result<Option<Arc<User>>, ApiError> {
    let served = RequestContext::current();
    let origin = served.as_ref().and_then(RequestContext::origin);
    let origin =
        origin.ok_or_else(|| ApiError::Internal("a call has not been let in".to_owned()))?;
    Ok(origin.user.clone())
}
