//! CreateOrder: all items or none, exactly once per token, on record before the response.

use std::sync::Arc;

use smallvec::smallvec;
use tokio::time::Instant;
use tracing::{Instrument, info_span};

use super::{
    ActiveCatalog, App, AttemptError, Created, OrderError,
    assess::Asked,
    execute::{Command, CommitFailure, Decided},
    hold::hold_id,
    lifecycle::{ActiveLifecycle, LifecycleGuard},
    named,
    payment::{ChargeRequest, PaymentError},
    tokens::{RequestKey, TokenGuard},
};
use crate::audit::AuditEvent;
use domain::{
    failure::FailureCause,
    fulfillability::{Judgement, OrderVerdict, Purpose},
    ids::{MerchantId, Token},
    order::{
        BookedItem, BookingStatus, LineItem, NewOrder, Order, OrderId, PaymentDetails,
        PaymentMethod, PrepaymentStatus,
    },
    payment::{self, Charging, Costs},
    slot::{CartKey, Claim, Slot},
};
use inventory::{Decision, Reservation};
use kernel::user::User;
use store::{
    Fingerprint, HoldId, NamedClaim, OrderKey, PaymentAttempt, PlacedBill, PlacedOrder,
    Precondition, Preconditions, Replay, UnitOfWork, Write,
};

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

/// The creation of an order, on behalf of a user.
pub(super) struct Creation {
    command: Box<CreateOrder>,
    user: Option<Arc<User>>,
    cart: CartKey,
    /// Derived from the token once, because that takes a hash.
    key: OrderKey,
}

/// An order that is decided and not on record yet.
pub(super) struct SoldOrder {
    reservation: Reservation,
    user: Option<Arc<User>>,
    cart: CartKey,
    key: OrderKey,
    /// What another decision needs and the order does not have.
    method: Option<PaymentMethod>,
    /// The payment details of the request, where the order has others.
    details: Option<Box<PaymentDetails>>,
    /// Until the order is on record, and in the agenda: the lifecycle by which it has begun stays in force.
    lifecycle: LifecycleGuard,
}

/// An order that can be fulfilled and whose spots are sold.
struct Plan {
    judgement: Judgement,
    claims: Vec<NamedClaim>,
    reservation: Reservation,
    /// What it is billed, if we charge. Boxed: few orders have one.
    bill: Option<Box<PlacedBill>>,
}

impl Plan {
    /// The hold that the order consumes.
    fn hold(&self) -> Option<HoldId> {
        let consumed = self.reservation.consumed()?;
        Some(hold_id(consumed.cart()))
    }
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
        let request = RequestKey::of(&command.token);
        let cart = request.cart(user.as_deref());
        let key = self.store.order_key(&command.token);
        // Lock order: the token before any slot, so a request that waits for a token keeps no slot from
        // other orders.
        let locked = self.lock_request(request, deadline).await;
        let guard = locked.ok_or(OrderError::InProgress)?;
        let creation = Creation {
            command,
            user,
            cart,
            key,
        };
        let app = Arc::clone(self);
        // Under the token's lock: a repetition that only waits for an outcome is not counted as an order.
        self.complete(async move { app.create_under(guard, creation).await })?
            .await
    }

    /// The order that this same request has created before, if it has and `user` may see it.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`].
    pub async fn answered_before(
        &self,
        token: &Token,
        fingerprint: Fingerprint,
        user: Option<&User>,
    ) -> Result<Option<Box<Order>>, OrderError> {
        let replay = self
            .find_request(&self.store.order_key(token))
            .await?
            .filter(|replay| is_repeated(replay, fingerprint, user));
        Ok(replay.map(|replay| self.answer_again(replay)))
    }

    pub(super) async fn create_under(
        &self,
        guard: TokenGuard,
        creation: Creation,
    ) -> Result<Created, OrderError> {
        // Cloned before the command is consumed, and only if the audit log is on.
        let audited = self
            .audit
            .is_on()
            .then(|| creation.command.order.merchant_id.clone());
        let outcome = self.run(creation).await;
        if let Ok(created) = &outcome {
            // Inside of the work that runs to completion, so that orders of disconnected clients
            // are counted, too.
            self.metrics.count_failure(created);
        }
        if let Some(merchant_id) = audited {
            self.record_failure(&merchant_id, &outcome);
        }
        self.unlock(guard).await;
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

    pub(super) async fn find_request(&self, key: &OrderKey) -> Result<Option<Replay>, OrderError> {
        let found = self.store.find_request(key).get().await;
        found.map_err(|error| self.read_failed(&error))
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
        creation: &Creation,
    ) -> Result<Decision<Plan, FailureCause>, AttemptError> {
        let (order, cart) = (&creation.command.order, creation.cart);
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
            Decision::Sell((judgement, reservation)) => {
                // By the catalogue of the decision: an index is a name in that one only.
                let claims = named(&active.catalog, reservation.claims());
                let bill = self.bill(active, &asked, order, &judgement)?;
                Decision::Sell(Plan {
                    judgement,
                    claims,
                    reservation,
                    bill,
                })
            }
            Decision::Decline(failure) => Decision::Decline(failure),
        })
    }

    /// The bill of an order that we charge, with the terms of this catalogue: later ones do not change it.
    fn bill(
        &self,
        active: &ActiveCatalog,
        asked: &Asked<'_>,
        order: &NewOrder,
        judgement: &Judgement,
    ) -> Result<Option<Box<PlacedBill>>, AttemptError> {
        if !order.charged_by_us() || judgement.amount_due.is_zero() || self.payments.is_none() {
            return Ok(None);
        }
        let catalog = &active.catalog;
        // Cannot fail: the order was judged by this same catalogue, and it can be sold.
        let bill = judgement.bill(catalog, asked.merchant, &order.items);
        Ok(Some(Box::new(PlacedBill {
            bill: bill.map_err(|_| OrderError::Bug)?,
            refund_fees: catalog.merchant(asked.merchant).refund_fees,
        })))
    }

    fn decide(
        &self,
        asked: &Asked<'_>,
        order: &NewOrder,
        open: &[Option<&Slot>],
    ) -> Decision<(Judgement, Vec<Claim>), FailureCause> {
        let mut judgement = self.judge(asked, open);
        // Fulfillability before payment: an order that cannot be fulfilled needs no payment.
        if judgement.verdict != OrderVerdict::CanFulfill {
            return Decision::Decline(unfulfillable(judgement, order));
        }
        if let Some(failure) = payment_failure(order, asked, &judgement, self.charging()) {
            return Decision::Decline(failure);
        }
        // Taken and not cloned: the rest of the judgement does not need them any more.
        let claims = std::mem::take(&mut judgement.claims);
        Decision::Sell((judgement, claims))
    }

    /// Charges for the order if the partner has to charge and an amount is due.
    async fn pay_if_due(
        &self,
        command: &CreateOrder,
        order: OrderKey,
        plan: &Plan,
    ) -> Result<Option<PaymentAttempt>, PaymentError> {
        let amount = plan.judgement.amount_due;
        let due = command.order.charged_by_us() && !amount.is_zero();
        // Without a gateway, an order that asks for a charge is declined before this.
        let (Some(method), Some(gateway)) =
            (command.order.method.clone().filter(|_| due), &self.payments)
        else {
            return Ok(None);
        };
        let request = ChargeRequest {
            token: command.token.clone(),
            order,
            amount,
            method,
            claims: plan.claims.clone(),
            hold: plan.hold(),
        };
        // Boxed: otherwise every order's future would be as large as that of a payment.
        Box::pin(self.pay(&**gateway, request).instrument(info_span!("pay")))
            .await
            .map(Some)
    }
}

impl Command for Creation {
    type Answer = Created;
    type Taken = SoldOrder;

    async fn replay(&self, app: &App) -> Result<Option<Created>, OrderError> {
        let Some(replay) = app.find_request(&self.key).await? else {
            return Ok(None);
        };
        if is_repeated(&replay, self.command.fingerprint, self.user.as_deref()) {
            Ok(Some(Ok(app.answer_again(replay))))
        } else {
            Err(OrderError::TokenReused)
        }
    }

    async fn decide(self, app: &App) -> Result<Decided<Self>, OrderError> {
        let decision = info_span!("decide")
            .in_scope(|| app.by_active_catalog(|active| app.plan(active, &self)))?;
        let plan = match decision {
            Decision::Sell(plan) => plan,
            Decision::Decline(failure) => return Ok(Decided::Answer(Err(failure))),
        };
        match app.pay_if_due(&self.command, self.key, &plan).await {
            Ok(payment) => {
                // After the payment, which may take long: a publication waits for all who keep the lifecycle.
                let (lifecycle, kept) = app.lifecycles.hold().await;
                let (unit, taken, begun) = self.sold(app, (&lifecycle, kept), plan, payment);
                if let Err(error) = begun {
                    Self::revert(app, unit, taken).await?;
                    return Err(error);
                }
                Ok(Decided::Change(unit, taken))
            }
            // The money is certainly not taken, so the spots can be sold to others at once.
            Err(PaymentError::Declined(failure)) => {
                app.inventory.release(plan.reservation, app.now());
                Ok(Decided::Answer(Err(failure)))
            }
            // The state on disk is unknown, so the spots stay sold until a restart has recovered it.
            Err(PaymentError::NotRecorded(CommitFailure::Unknown(error))) => Err(error),
            Err(PaymentError::NotRecorded(failure)) => {
                app.inventory.release(plan.reservation, app.now());
                Err(failure.into_error())
            }
        }
    }

    fn apply(app: &App, unit: UnitOfWork, taken: SoldOrder) -> Result<Created, OrderError> {
        // After the record: until then a failure must find the spots reserved.
        app.inventory.confirm(taken.reservation, app.now());
        let PlacedOrder {
            order,
            claims,
            begun,
            ..
        } = *placed_in(unit)?;
        if let Some(begun) = begun {
            app.agenda.note(&order.id, 0, &begun);
        }
        drop(taken.lifecycle);
        let spots = claims.iter().map(|claim| u64::from(claim.count)).sum();
        app.metrics.count_order(&order.merchant_id, spots);
        // After the commit: the audit log must not name an order that is not on record.
        app.audit.record(AuditEvent::OrderCreated(&order));
        tracing::debug!(
            order_id = order.id.as_str(),
            merchant_id = order.merchant_id.as_str(),
            "order created"
        );
        Ok(Ok(order))
    }

    async fn revert(app: &App, unit: UnitOfWork, taken: SoldOrder) -> Result<Self, OrderError> {
        let PlacedOrder {
            token,
            fingerprint,
            order,
            payment,
            ..
        } = *placed_in(unit)?;
        if let (Some(attempt), Some(gateway)) = (payment, &app.payments) {
            // Before the spots are given back: until then the money may be owed an order.
            Box::pin(app.reverse_captured(&**gateway, &order.id, attempt)).await?;
        }
        app.inventory.release(taken.reservation, app.now());
        let order = NewOrder {
            merchant_id: order.merchant_id,
            customer: order.customer,
            items: order.items.into_iter().map(|item| item.line).collect(),
            payment: taken.details.or(order.payment),
            method: taken.method,
        };
        Ok(Self {
            command: Box::new(CreateOrder {
                token,
                fingerprint,
                order,
            }),
            user: taken.user,
            cart: taken.cart,
            key: taken.key,
        })
    }

    async fn fail(
        app: &App,
        unit: UnitOfWork,
        taken: SoldOrder,
        failure: CommitFailure,
    ) -> Result<Created, OrderError> {
        match failure {
            // The reservation is dropped: the spots stay sold until a restart has read what is on record.
            CommitFailure::Unknown(error) => Err(error),
            failure @ (CommitFailure::Unwritten(_) | CommitFailure::Contended) => {
                Self::revert(app, unit, taken).await?;
                Err(failure.into_error())
            }
        }
    }
}

impl Creation {
    /// The creation of the order of a cart.
    #[cfg(test)]
    pub(super) fn new(app: &App, command: Box<CreateOrder>, user: Option<Arc<User>>) -> Self {
        let cart = RequestKey::of(&command.token).cart(user.as_deref());
        let key = app.store.order_key(&command.token);
        Self {
            command,
            user,
            cart,
            key,
        }
    }

    /// The unit that creates the order, and whether the lifecycle lets it begin; otherwise the unit is to be reverted.
    fn sold(
        self,
        app: &App,
        (lifecycle, kept): (&ActiveLifecycle, LifecycleGuard),
        plan: Plan,
        payment: Option<PaymentAttempt>,
    ) -> (UnitOfWork, SoldOrder, Result<(), OrderError>) {
        let hold = plan.hold();
        let Plan {
            judgement,
            claims,
            reservation,
            bill,
        } = plan;
        let CreateOrder {
            token,
            fingerprint,
            mut order,
        } = *self.command;
        let mut requires = Preconditions::new();
        requires.push(Precondition::NewRequest(self.key));
        // Another server on the same store may have published since.
        requires.push(Precondition::LifecycleRevision(lifecycle.number()));
        let consumed = reservation.consumed();
        // Where money has been taken, the order stands with or without the hold that it was decided on.
        if let (Some(consumed), None) = (consumed, &payment) {
            requires.push(Precondition::HoldRevision {
                id: hold_id(consumed.cart()),
                revision: consumed.revision(),
            });
        }
        let method = order.method.take();
        let details = if order.charged_by_us() {
            order.payment.clone()
        } else {
            None
        };
        let mut placed = PlacedOrder {
            token,
            fingerprint,
            created_sec: app.now(),
            created_by: self.user.as_ref().map(|user| Arc::clone(user.name())),
            order: Box::new(placed(
                order,
                self.key.order_id(),
                &judgement,
                payment.as_ref(),
            )),
            claims,
            payment,
            hold,
            bill,
            lifecycle: lifecycle.number(),
            begun: None,
        };
        let begun = app.begin(lifecycle, &mut placed, judgement.confirmations());
        let unit = UnitOfWork {
            requires,
            writes: smallvec![Write::OrderPlaced(Box::new(placed))],
        };
        let taken = SoldOrder {
            reservation,
            user: self.user,
            cart: self.cart,
            key: self.key,
            method,
            details,
            lifecycle: kept,
        };
        (unit, taken, begun)
    }
}

/// The order of the unit that creates it.
fn placed_in(unit: UnitOfWork) -> Result<Box<PlacedOrder>, OrderError> {
    for write in unit.writes {
        if let Write::OrderPlaced(placed) = write {
            return Ok(placed);
        }
    }
    Err(OrderError::Bug)
}

/// Whether a request repeats the one that created the order, on behalf of a user who may see it.
fn is_repeated(replay: &Replay, fingerprint: Fingerprint, user: Option<&User>) -> bool {
    let created_by = replay.created_by.as_deref();
    replay.fingerprint == fingerprint && user.is_none_or(|user| user.may_repeat(created_by))
}

/// The failure of an order that cannot be fulfilled.
fn unfulfillable(judgement: Judgement, order: &NewOrder) -> FailureCause {
    let answer = judgement.answer(order.items.clone()).fulfillability;
    FailureCause::Unfulfillable(Box::new(answer))
}

/// The reason for which an order that can be fulfilled is not created, if there is one.
fn payment_failure(
    order: &NewOrder,
    asked: &Asked<'_>,
    judgement: &Judgement,
    charging: Charging,
) -> Option<FailureCause> {
    let catalog = &asked.active.catalog;
    let services = order.items.iter().filter_map(|item| {
        let service = catalog.service_ix(asked.merchant, &item.service_id)?;
        Some(catalog.service(service))
    });
    let costs = Costs {
        fees: &judgement.fees,
        due: judgement.amount_due,
    };
    payment::failure(order, services, costs, charging)
}

/// The order as it is recorded: every item at the price in force, which is the price of the request.
fn placed(
    new: NewOrder,
    id: OrderId,
    judgement: &Judgement,
    payment: Option<&PaymentAttempt>,
) -> Order {
    let charged_by_us = new.charged_by_us();
    let NewOrder {
        merchant_id,
        customer,
        items,
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
    let items = judgement.priced(items).into_iter().map(booked).collect();
    Order {
        id,
        merchant_id,
        customer,
        payment: details,
        items,
    }
}

fn booked(line: LineItem) -> BookedItem {
    BookedItem {
        line,
        status: BookingStatus::Confirmed,
    }
}
