//! Creating an order: all items or none, exactly once a token, on record before the answer.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, info_span};

use super::{
    ActiveCatalog, App, Created, OrderError, Undecided, cart_key, named,
    payment::{ChargeRequest, PaymentError},
    run_to_completion::RunToCompletion,
    tokens::{TokenGuard, TokenLock, released},
};
use crate::audit::AuditEvent;
use domain::{
    catalog::{Catalog, MerchantIx},
    failure::{FailureCause, OrderFailure},
    fulfillability::{self, Assessment, Inquiry, ItemFulfillability, OrderResult, Purpose},
    ids::{MerchantId, Token},
    order::{
        BookedItem, BookingStatus, NewOrder, Order, OrderId, PaymentDetails, PrepaymentStatus,
    },
    payment::{self, Charging, Costs},
    slot::Slot,
};
use inventory::Reservation;
use kernel::{request, user::User};
use store::{Change, Fingerprint, NamedClaim, PaymentAttempt, PlacedOrder, Replay};

/// An order to be created.
#[derive(Debug, Clone)]
pub struct CreateOrder {
    /// The caller's name for this request; one token, one order.
    pub token: Token,
    /// Digest of the request, to tell a repetition from another request.
    pub fingerprint: Fingerprint,
    /// What is ordered.
    pub order: NewOrder,
}

/// An order that can be fulfilled and whose spots are taken.
struct Plan {
    assessment: Assessment,
    claims: Vec<NamedClaim>,
    reservation: Reservation,
}

impl App {
    /// Creates an order on behalf of a user, or says why there is none.
    ///
    /// Tokens are known by all users together, so that an order is created once whatever its callers
    /// are called. Whoever uses the token of another user's order learns that it is used, and no more.
    ///
    /// A caller who hangs up, or whose deadline passes, stops nothing and finds the outcome under the
    /// same token. A call that finds its token at work waits for the outcome until `deadline`.
    ///
    /// # Errors
    /// [`OrderError::TokenReused`], [`OrderError::InProgress`], [`OrderError::UnknownMerchant`],
    /// [`OrderError::Busy`], or that the store has failed.
    pub async fn create(
        self: &Arc<Self>,
        command: Box<CreateOrder>,
        user: Option<Arc<User>>,
        deadline: Instant,
    ) -> Result<Created, OrderError> {
        loop {
            match self.tokens.try_lock(&command.token) {
                TokenLock::Acquired(_) if self.commands.len() >= self.limits.max_commands => {
                    return Err(OrderError::Busy);
                }
                TokenLock::Acquired(guard) => {
                    let app = Arc::clone(self);
                    let work = request::propagate_context(async move {
                        app.create_under(guard, command, user).await
                    });
                    return RunToCompletion::new(
                        self.commands.track_future(work.in_current_span()),
                    )
                    .await;
                }
                TokenLock::Held(waiting) => {
                    timeout_at(deadline, released(waiting))
                        .await
                        .map_err(|_| OrderError::InProgress)?;
                }
            }
        }
    }

    /// The order that this very request has led to, if it has and `user` may know.
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
        // Taken before the command is used up, and only where it is wanted.
        let audited = self
            .audit
            .is_on()
            .then(|| command.order.merchant_id.clone());
        let outcome = self.create_once(command, user.as_deref()).await;
        if let Ok(created) = &outcome {
            self.metrics.count_failure(created);
        }
        if let Some(merchant_id) = audited {
            self.record_failure(&merchant_id, &outcome);
        }
        outcome
    }

    /// Leaves a line if there is no order; orders leave theirs when they are on record.
    fn record_failure(&self, merchant_id: &MerchantId, outcome: &Result<Created, OrderError>) {
        let cause = match outcome {
            Ok(Ok(_)) => return,
            Ok(Err(failure)) => failure.cause.name(),
            Err(refusal) => refusal.name(),
        };
        self.audit
            .record(AuditEvent::OrderFailed { merchant_id, cause });
    }

    async fn create_once(
        &self,
        command: Box<CreateOrder>,
        user: Option<&User>,
    ) -> Result<Created, OrderError> {
        if let Some(replay) = self.by_token(&command.token)? {
            let is_same = is_repeated(&replay, command.fingerprint, user);
            return if is_same {
                Ok(Ok(self.answer_again(replay)))
            } else {
                Err(OrderError::TokenReused)
            };
        }
        let decide = || self.decide(|active| self.plan(active, &command, user));
        match info_span!("decide").in_scope(decide)? {
            Ok(plan) => self.carry_out(command, plan, user).await,
            Err(failure) => Ok(Err(failure)),
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

    /// Decides and, if the order can be created, takes its spots in the same step.
    fn plan(
        &self,
        active: &ActiveCatalog,
        command: &CreateOrder,
        user: Option<&User>,
    ) -> Result<Result<Plan, OrderFailure>, Undecided> {
        let CreateOrder {
            token,
            order,
            fingerprint: _,
        } = command;
        let ActiveCatalog {
            revision, catalog, ..
        } = active;
        let merchant = catalog
            .merchant_ix(&order.merchant_id)
            .ok_or(OrderError::UnknownMerchant)?;
        let keys = fulfillability::slot_keys(catalog, merchant, &order.items);
        let cart = cart_key(token, user);
        let viewer = self.viewer(Some(cart));
        let (verdict, reservation) = self.inventory.reserve(
            *revision,
            &keys,
            cart,
            viewer.now,
            |slots: &[Option<&Slot>]| {
                let (items, purpose) = (&order.items, Purpose::Create);
                let mut assessment = self.with_past(active, &keys, slots, |slots| {
                    fulfillability::assess(&Inquiry {
                        catalog,
                        merchant,
                        items,
                        slots,
                        viewer,
                        purpose,
                    })
                });
                if let Some(failure) =
                    failure(order, catalog, merchant, &assessment, self.charging())
                {
                    return (Err(failure), Vec::new());
                }
                let claims = std::mem::take(&mut assessment.claims);
                (Ok(assessment), claims)
            },
        )?;
        Ok(verdict.map(|assessment| {
            let claims = named(catalog, reservation.claims());
            Plan {
                assessment,
                claims,
                reservation,
            }
        }))
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
            Err(PaymentError::Failure(failure)) => {
                self.inventory.release(plan.reservation, self.now());
                return Ok(Err(failure));
            }
            // What is on disk is unknown, so the spots stay taken until a restart has looked.
            Err(PaymentError::Refused(refusal)) => return Err(refusal),
        };
        let CreateOrder {
            token,
            fingerprint,
            order,
        } = *command;
        let Plan {
            assessment,
            claims,
            reservation,
        } = plan;
        let order = Box::new(placed(order, id, assessment, payment.as_ref()));
        let created_sec = self.now();
        let created_by = user.map(|user| Arc::clone(user.name()));
        let placed = PlacedOrder {
            token,
            fingerprint,
            created_sec,
            created_by,
            order,
            claims,
            payment,
        };
        let placed = Arc::new(placed);
        let spots = placed
            .claims
            .iter()
            .map(|claim| u64::from(claim.count))
            .sum();
        let recorded = self.commit(Change::Order(Arc::clone(&placed))).await;
        recorded.map_err(|error| self.commit_failed(&error))?;
        let PlacedOrder { order, .. } = Arc::unwrap_or_clone(placed);
        self.metrics.count_order(&order.merchant_id, spots);
        self.inventory.confirm(reservation);
        self.audit.record(AuditEvent::OrderCreated(&order));
        tracing::debug!(
            order_id = order.id.as_str(),
            merchant_id = order.merchant_id.as_str(),
            "order created"
        );
        Ok(Ok(order))
    }

    /// Charges for the order if that is ours to do and there is anything to be paid.
    async fn pay_if_due(
        &self,
        command: &CreateOrder,
        order: &OrderId,
        plan: &Plan,
    ) -> Result<Option<PaymentAttempt>, PaymentError> {
        let amount = plan.assessment.amount_due;
        let due = command.order.charged_by_us() && !amount.is_zero();
        // An order that asks for a charge is not planned where there is no gateway.
        let (Some(method), Some(gateway)) =
            (command.order.method.clone().filter(|_| due), &self.payments)
        else {
            return Ok(None);
        };
        let bill = ChargeRequest {
            token: command.token.clone(),
            order: order.clone(),
            amount,
            method,
            claims: plan.claims.clone(),
        };
        // Boxed, because most orders have no use for the room that it takes.
        Box::pin(self.pay(&**gateway, bill).instrument(info_span!("pay")))
            .await
            .map(Some)
    }
}

/// Whether a request is the one that led to the order, repeated by somebody who may know of that.
fn is_repeated(replay: &Replay, fingerprint: Fingerprint, user: Option<&User>) -> bool {
    let created_by = replay.created_by.as_deref();
    replay.fingerprint == fingerprint && user.is_none_or(|user| user.may_repeat(created_by))
}

/// Why an assessed order is not created, if it is not.
fn failure(
    order: &NewOrder,
    catalog: &Catalog,
    merchant: MerchantIx,
    assessment: &Assessment,
    charging: Charging,
) -> Option<OrderFailure> {
    let verdict = &assessment.fulfillability;
    if verdict.result != OrderResult::CanFulfill {
        let description = verdict.reason.clone().unwrap_or_default();
        let cause = FailureCause::Unfulfillable(Box::new(verdict.clone()));
        return Some(OrderFailure { cause, description });
    }
    let services = order
        .items
        .iter()
        .filter_map(|item| catalog.service_ix(merchant, &item.service_id));
    let services = services.map(|service| catalog.service(service));
    let costs = Costs {
        fees: &assessment.fees,
        due: assessment.amount_due,
    };
    payment::failure(order, services, costs, charging)
}

/// The order as it goes on record: every item at the price in force, which is the one asked.
fn placed(
    new: NewOrder,
    id: OrderId,
    assessment: Assessment,
    payment: Option<&PaymentAttempt>,
) -> Order {
    let charged_by_us = new.charged_by_us();
    let booked = |item: ItemFulfillability| BookedItem {
        line: item.line,
        status: BookingStatus::Confirmed,
    };
    let items = assessment
        .fulfillability
        .items
        .into_iter()
        .map(booked)
        .collect();
    // Where nothing was due there was no transaction at the gateway; the order's own id names it.
    let transaction_id = payment.map_or_else(
        || id.as_str().to_owned(),
        |attempt| attempt.transaction_id.clone(),
    );
    let paid = |details: PaymentDetails| {
        if charged_by_us {
            PaymentDetails {
                prepayment: Some(PrepaymentStatus::Provided),
                transaction_id,
                ..details
            }
        } else {
            details
        }
    };
    let NewOrder {
        merchant_id,
        customer,
        items: _,
        payment,
        method: _,
    } = new;
    Order {
        id,
        merchant_id,
        customer,
        payment: payment.map(paid),
        items,
    }
}
