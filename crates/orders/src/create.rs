//! CreateOrder: all items or none, exactly once per token, on record before the response.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, info_span};

use super::{
    ActiveCatalog, App, AttemptError, Created, OrderError,
    assess::Asked,
    cart_key, named,
    payment::{ChargeRequest, PaymentError},
    run_to_completion::RunToCompletion,
    tokens::{TokenGuard, TokenLock, released},
};
use crate::audit::AuditEvent;
use domain::{
    failure::FailureCause,
    fulfillability::{Assessment, ItemFulfillability, OrderVerdict, Purpose},
    ids::{MerchantId, Token},
    order::{BookedItem, BookingStatus, NewOrder, Order, OrderId, PrepaymentStatus},
    payment::{self, Charging, Costs},
    slot::{Claim, Slot},
};
use inventory::{Decision, Reservation};
use kernel::{request, user::User};
use store::{Change, Fingerprint, NamedClaim, PaymentAttempt, PlacedOrder, Replay};

/// An order to be created.
#[derive(Debug, Clone)]
pub struct CreateOrder {
    /// The client's idempotency token; one token, one order.
    pub token: Token,
    /// The digest of the request, which tells a repetition from a different request.
    pub fingerprint: Fingerprint,
    /// The order.
    pub order: NewOrder,
}

/// An order that can be fulfilled and whose spots are sold.
struct Plan {
    assessment: Assessment,
    claims: Vec<NamedClaim>,
    reservation: Reservation,
}

impl App {
    /// Creates an order on behalf of a user, or returns the reason for which there is none.
    ///
    /// A token is one for all users together, so an order is created once, whatever its clients are called.
    /// A client that uses the token of another user's order learns only that it is used.
    ///
    /// A client that disconnects, or whose deadline passes, cancels nothing and gets the outcome by
    /// repeating the request. A request whose token is in flight waits for the outcome until `deadline`.
    ///
    /// # Errors
    /// [`OrderError::TokenReused`], [`OrderError::InProgress`], [`OrderError::UnknownMerchant`],
    /// [`OrderError::Busy`], or an error of the store.
    pub async fn create(
        self: &Arc<Self>,
        command: Box<CreateOrder>,
        user: Option<Arc<User>>,
        deadline: Instant,
    ) -> Result<Created, OrderError> {
        // Lock order: the token before any slot, so a request that waits for a token keeps no slot from
        // other orders.
        let guard = self.lock_token(&command.token, deadline).await?;
        // Checked under the token's lock: a repetition that only waits for an outcome is not
        // counted as an order.
        if self.commands.len() >= self.limits.max_commands {
            return Err(OrderError::Busy);
        }
        let app = Arc::clone(self);
        // A detached task loses the task-local context of its request, so the context travels with the work.
        let work =
            request::propagate_context(async move { app.create_under(guard, command, user).await });
        // Tracked, so that a shutdown waits for orders whose clients have disconnected.
        RunToCompletion::new(self.commands.track_future(work.in_current_span())).await
    }

    async fn lock_token(&self, token: &Token, deadline: Instant) -> Result<TokenGuard, OrderError> {
        loop {
            match self.tokens.try_lock(token) {
                TokenLock::Acquired(guard) => return Ok(guard),
                // A loop: of several requests that wait for one token, only the first to try again
                // acquires the lock.
                TokenLock::Held(waiting) => timeout_at(deadline, released(waiting))
                    .await
                    .map_err(|_| OrderError::InProgress)?,
            }
        }
    }

    /// The order that this same request has created before, if it has and `user` may see it.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`].
    pub fn answered_before(
        &self,
        token: &Token,
        fingerprint: Fingerprint,
        user: Option<&User>,
    ) -> Result<Option<Box<Order>>, OrderError> {
        let replay = self
            .by_token(token)?
            .filter(|replay| is_repeated(replay, fingerprint, user));
        Ok(replay.map(|replay| self.answer_again(replay)))
    }

    pub(super) async fn create_under(
        &self,
        _token: TokenGuard,
        command: Box<CreateOrder>,
        user: Option<Arc<User>>,
    ) -> Result<Created, OrderError> {
        // Cloned before the command is consumed, and only if the audit log is on.
        let audited = self
            .audit
            .is_on()
            .then(|| command.order.merchant_id.clone());
        let outcome = self.create_once(command, user.as_deref()).await;
        if let Ok(created) = &outcome {
            // Inside of the work that runs to completion, so that orders of disconnected clients
            // are counted, too.
            self.metrics.count_failure(created);
        }
        if let Some(merchant_id) = audited {
            self.record_failure(&merchant_id, &outcome);
        }
        outcome
    }

    /// Records in the audit log that no order was created. An order has its event once it is on record.
    fn record_failure(&self, merchant_id: &MerchantId, outcome: &Result<Created, OrderError>) {
        let cause = match outcome {
            Ok(Ok(_)) => return,
            Ok(Err(cause)) => cause.name(),
            Err(error) => error.reason(),
        };
        self.audit
            .record(AuditEvent::OrderFailed { merchant_id, cause });
    }

    async fn create_once(
        &self,
        command: Box<CreateOrder>,
        user: Option<&User>,
    ) -> Result<Created, OrderError> {
        // Looked up under the token's lock: no other request can record the order between this and
        // the sale.
        if let Some(replay) = self.by_token(&command.token)? {
            let is_same = is_repeated(&replay, command.fingerprint, user);
            return if is_same {
                Ok(Ok(self.answer_again(replay)))
            } else {
                Err(OrderError::TokenReused)
            };
        }
        let decision = info_span!("decide")
            .in_scope(|| self.by_active_catalog(|active| self.plan(active, &command, user)))?;
        match decision {
            Decision::Sell(plan) => self.carry_out(command, plan, user).await,
            Decision::Decline(failure) => Ok(Err(failure)),
        }
    }

    pub(super) fn by_token(&self, token: &Token) -> Result<Option<Replay>, OrderError> {
        self.store
            .by_token(token)
            .map_err(|error| self.read_failed(&error))
    }

    fn answer_again(&self, replay: Replay) -> Box<Order> {
        self.metrics.orders_replayed.inc();
        self.audit.record(AuditEvent::OrderReplayed(&replay.order));
        tracing::debug!(order_id = replay.order.id.as_str(), "order answered again");
        replay.order
    }

    /// Decides by a revision of the catalogue and, if the order can be created, sells its spots in the same
    /// step.
    fn plan(
        &self,
        active: &ActiveCatalog,
        command: &CreateOrder,
        user: Option<&User>,
    ) -> Result<Decision<Plan, FailureCause>, AttemptError> {
        let CreateOrder {
            token,
            order,
            fingerprint: _,
        } = command;
        let cart = cart_key(token, user);
        // Made in every attempt, so that a repeated decision sees the present time.
        let viewer = self.viewer(Some(cart));
        let asked = Asked::new(
            active,
            &order.merchant_id,
            &order.items,
            viewer,
            Purpose::Create,
        )?;
        let decision =
            self.inventory
                .reserve(active.revision, &asked.keys, cart, viewer.now, |open| {
                    self.decide(&asked, order, open)
                })?;
        Ok(match decision {
            Decision::Sell((assessment, reservation)) => {
                let claims = named(&active.catalog, reservation.claims());
                Decision::Sell(Plan {
                    assessment,
                    claims,
                    reservation,
                })
            }
            Decision::Decline(failure) => Decision::Decline(failure),
        })
    }

    fn decide(
        &self,
        asked: &Asked<'_>,
        order: &NewOrder,
        open: &[Option<&Slot>],
    ) -> Decision<(Assessment, Vec<Claim>), FailureCause> {
        let mut assessment = self.assess(asked, open);
        if let Some(failure) = failure(order, asked, &assessment, self.charging()) {
            return Decision::Decline(failure);
        }
        // Taken and not cloned: the rest of the assessment does not need them any more.
        let claims = std::mem::take(&mut assessment.claims);
        Decision::Sell((assessment, claims))
    }

    async fn carry_out(
        &self,
        command: Box<CreateOrder>,
        plan: Plan,
        user: Option<&User>,
    ) -> Result<Created, OrderError> {
        let id = self.store.order_id(&command.token);
        let payment = match self.pay_if_due(&command, &id, &plan).await {
            Ok(payment) => payment,
            // The money is certainly not taken, so the spots can be sold to others at once.
            Err(PaymentError::Declined(failure)) => {
                self.inventory.release(plan.reservation, self.now());
                return Ok(Err(failure));
            }
            // The state on disk is unknown, so the spots stay sold until a restart has recovered it.
            Err(PaymentError::Failed(error)) => return Err(error),
        };
        let Plan {
            assessment,
            claims,
            reservation,
        } = plan;
        let CreateOrder {
            token,
            fingerprint,
            order,
        } = *command;
        let placed = PlacedOrder {
            token,
            fingerprint,
            created_sec: self.now(),
            created_by: user.map(|user| Arc::clone(user.name())),
            order: Box::new(placed(order, id, assessment, payment.as_ref())),
            claims,
            payment,
        };
        // Here, too, the spots stay sold after an error.
        let order = self.record(placed).await?;
        // After the record: until then a failure must find the spots reserved.
        self.inventory.confirm(reservation);
        // After the commit: the audit log must not name an order that is not on record.
        self.audit.record(AuditEvent::OrderCreated(&order));
        tracing::debug!(
            order_id = order.id.as_str(),
            merchant_id = order.merchant_id.as_str(),
            "order created"
        );
        Ok(Ok(order))
    }

    /// Commits an order and counts it.
    async fn record(&self, placed: PlacedOrder) -> Result<Box<Order>, OrderError> {
        let placed = Arc::new(placed);
        if let Err(error) = self.commit(Change::Order(Arc::clone(&placed))).await {
            return Err(self.commit_failed(&error));
        }
        // No copy with the embedded store, which has dropped its share; the memory store keeps one.
        let PlacedOrder { order, claims, .. } = Arc::unwrap_or_clone(placed);
        let spots = claims.iter().map(|claim| u64::from(claim.count)).sum();
        self.metrics.count_order(&order.merchant_id, spots);
        Ok(order)
    }

    /// Charges for the order if the partner has to charge and an amount is due.
    async fn pay_if_due(
        &self,
        command: &CreateOrder,
        order: &OrderId,
        plan: &Plan,
    ) -> Result<Option<PaymentAttempt>, PaymentError> {
        let amount = plan.assessment.amount_due;
        let due = command.order.charged_by_us() && !amount.is_zero();
        // Without a gateway, an order that asks for a charge is declined before this.
        let (Some(method), Some(gateway)) =
            (command.order.method.clone().filter(|_| due), &self.payments)
        else {
            return Ok(None);
        };
        let request = ChargeRequest {
            token: command.token.clone(),
            order: order.clone(),
            amount,
            method,
            claims: plan.claims.clone(),
        };
        // Boxed: otherwise every order's future would be as large as that of a payment.
        Box::pin(self.pay(&**gateway, request).instrument(info_span!("pay")))
            .await
            .map(Some)
    }
}

/// Whether a request repeats the one that created the order, on behalf of a user who may see it.
fn is_repeated(replay: &Replay, fingerprint: Fingerprint, user: Option<&User>) -> bool {
    let created_by = replay.created_by.as_deref();
    replay.fingerprint == fingerprint && user.is_none_or(|user| user.may_repeat(created_by))
}

/// The reason for which an assessed order is not created, if there is one.
fn failure(
    order: &NewOrder,
    asked: &Asked<'_>,
    assessment: &Assessment,
    charging: Charging,
) -> Option<FailureCause> {
    let answer = &assessment.fulfillability;
    // Fulfillability before payment: an order that cannot be fulfilled needs no payment.
    if answer.verdict != OrderVerdict::CanFulfill {
        return Some(FailureCause::Unfulfillable(Box::new(answer.clone())));
    }
    let catalog = &asked.active.catalog;
    let services = order.items.iter().filter_map(|item| {
        let service = catalog.service_ix(asked.merchant, &item.service_id)?;
        Some(catalog.service(service))
    });
    let costs = Costs {
        fees: &assessment.fees,
        due: assessment.amount_due,
    };
    payment::failure(order, services, costs, charging)
}

/// The order as it is recorded: every item at the price in force, which is the price of the request.
fn placed(
    new: NewOrder,
    id: OrderId,
    assessment: Assessment,
    payment: Option<&PaymentAttempt>,
) -> Order {
    let charged_by_us = new.charged_by_us();
    let NewOrder {
        merchant_id,
        customer,
        items: _,
        payment: mut details,
        method: _,
    } = new;
    if charged_by_us && let Some(details) = &mut details {
        details.prepayment = Some(PrepaymentStatus::Provided);
        // Where nothing was due there was no transaction at the gateway; the order's own id stands for it.
        details.transaction_id = payment.map_or_else(
            || id.as_str().to_owned(),
            |attempt| attempt.transaction_id.clone(),
        );
    }
    let items = assessment
        .fulfillability
        .items
        .into_iter()
        .map(booked)
        .collect();
    Order {
        id,
        merchant_id,
        customer,
        payment: details,
        items,
    }
}

fn booked(item: ItemFulfillability) -> BookedItem {
    BookedItem {
        line: item.line,
        status: BookingStatus::Confirmed,
    }
}
