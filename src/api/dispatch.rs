//! One call of the contract, whatever its transport: a concurrency permit, the deadline, the scope of its user,
//! conversion to the use case and back.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::Instant;

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
        calls::{Calls, Reply, user},
        error::ApiError,
        responses::{Encoding, ResponseFormat, Responses},
    },
    net::request_bodies::ReceivedMessage,
};
use domain::order::Order;
use kernel::{
    request::{Origin, RequestContext},
    rpc::Rpc,
};
use orders::{App, CheckAnswer, audit::AuditEvent};

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
    calls: Calls,
    limits: CallLimits,
}

impl Dispatcher {
    /// A dispatcher to the application, within these limits.
    #[must_use]
    pub fn new(app: Arc<App>, responses: Arc<Responses>, limits: CallLimits) -> Self {
        Self {
            app,
            calls: Calls::new(limits.max_in_flight, limits.call_timeout, responses),
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
        let (limits, deadline) = (&self.limits.request, self.calls.deadline(timeout));
        // Before the message is decoded: where there is no room for the response, no work is begun.
        let format = self
            .calls
            .responses()
            .format(encoding, message.bytes().len())?;
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
            self.calls
                .responses()
                .write(to_proto::check_response(checked), format)
                .await
        });
        self.calls
            .run(Rpc::CheckOrderFulfillability.name(), deadline, work)
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
            self.calls
                .responses()
                .write_receipt(to_proto::create_response(created), format)
                .await
        });
        self.calls
            .run(Rpc::CreateOrder.name(), deadline, work)
            .await
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
                .list(selection, user, self.calls.responses().list(format))
                .await?
                .finish()
        });
        self.calls.run(Rpc::ListOrders.name(), deadline, work).await
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
            self.calls
                .responses()
                .write(to_proto::lookup_response(seen), format)
                .await
        });
        self.calls
            .run(Rpc::BatchAvailabilityLookup.name(), deadline, work)
            .await
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
            self.calls
                .responses()
                .write(to_proto::availability_response(lookup, spots_open), format)
                .await
        });
        self.calls
            .run(Rpc::CheckAvailability.name(), deadline, work)
            .await
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
}
