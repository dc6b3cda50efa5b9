//! Payment of an order. The intent is recorded before the charge and its outcome after it, so a
//! crash at any point neither loses a charge nor makes one twice.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::time::timeout;

use super::{App, OrderError, execute::CommitFailure, tokens::TokenGuard};
use crate::audit::AuditEvent;
use domain::{
    catalog::Prepayment,
    failure::{FailureCause, PaymentFault},
    ids::Token,
    money::Money,
    order::{OrderId, PaymentMethod},
    payment::Charging,
};
use inventory::Reservation;
use payments::{Charge, ChargeKey, ChargeOutcome, DeclineReason, PaymentGateway, Reversal};
use store::{
    CommitError, ErrorChain, HoldId, NamedClaim, OrderKey, PaymentAttempt, PaymentIntent,
    PaymentOutcome, Write,
};

/// Pauses between attempts to reverse a charge at a gateway that does not answer.
const REVERSAL_PAUSE_MIN: Duration = Duration::from_millis(100);
const REVERSAL_PAUSE_MAX: Duration = Duration::from_secs(30);

/// A charge to be made for an order.
pub(super) struct ChargeRequest {
    pub(super) token: Token,
    pub(super) order: OrderKey,
    pub(super) amount: Money,
    pub(super) method: PaymentMethod,
    /// The spots that are sold to the order.
    pub(super) claims: Vec<NamedClaim>,
    /// The hold that the order consumes.
    pub(super) hold: Option<HoldId>,
}

/// Why an order has no payment.
pub(super) enum PaymentError {
    /// Nothing was taken: the charge was declined or has been reversed.
    Declined(FailureCause),
    /// A step of the payment is not recorded.
    NotRecorded(CommitFailure),
}

/// A payment of the last run that has an intent on record and no outcome. Its token is locked until the
/// payment is reversed.
#[derive(Debug)]
pub(super) struct PendingPayment {
    pub(super) intent: PaymentIntent,
    /// The spots that are sold to its order.
    pub(super) reservation: Reservation,
    pub(super) token: TokenGuard,
}

impl App {
    /// Whether there is a gateway.
    pub(super) fn charging(&self) -> Charging {
        if self.payments.is_some() {
            Charging::Possible
        } else {
            Charging::Off
        }
    }

    /// Warns of services that require prepayment while payments are off: they are sold only in orders that
    /// say that they are paid.
    pub fn warn_of_prepayment(&self) {
        let catalog = self.catalog();
        let prepaid = catalog
            .services()
            .filter(|(_, service)| service.prepayment == Prepayment::Required);
        let services = prepaid.count();
        if services > 0 && self.charging() == Charging::Off {
            tracing::warn!(
                services,
                "services that have to be prepaid are sold only in orders that say they are paid, because payments are off"
            );
        }
    }

    /// Charges for an order. The outcome of a captured charge is recorded with the order.
    pub(super) async fn pay(
        &self,
        gateway: &dyn PaymentGateway,
        request: ChargeRequest,
    ) -> Result<PaymentAttempt, PaymentError> {
        let ChargeRequest {
            token,
            order,
            amount,
            method,
            claims,
            hold,
        } = request;
        let failed = match self.store.failed_attempts(&order).get().await {
            Ok(failed) => failed,
            Err(error) => {
                let error = self.read_failed(&error);
                // Nothing is charged and nothing written.
                return Err(PaymentError::NotRecorded(CommitFailure::Unwritten(error)));
            }
        };
        // A key of its own for each attempt: a gateway answers a known key with its first outcome.
        // Saturates after four billion declined charges of one token, which no client makes.
        let attempt = failed.saturating_add(1);
        let charge = Charge {
            key: ChargeKey::new(&order.order_id(), attempt),
            amount,
            method,
        };
        let intent = PaymentIntent {
            token,
            attempt,
            amount,
            started_sec: self.now(),
            claims,
            hold,
        };
        // Before the request to the gateway: after a crash, the next run finds the intent and reverses the
        // charge, made or not.
        self.commit(&Write::PaymentIntent(intent.clone()).into())
            .await
            .map_err(|error| self.not_recorded(&error))?;
        self.charge(gateway, intent, charge).await
    }

    async fn charge(
        &self,
        gateway: &dyn PaymentGateway,
        intent: PaymentIntent,
        charge: Charge,
    ) -> Result<PaymentAttempt, PaymentError> {
        // The timeout drops the request but cannot recall it, so its outcome counts as unknown.
        let charged = timeout(self.limits.payment_timeout, gateway.charge(&charge)).await;
        let (outcome, failure) = match charged {
            Ok(ChargeOutcome::Captured(transaction_id)) => {
                // Not recorded here: order and payment go into one change, so that neither is there
                // without the other.
                return Ok(self.ended(intent, PaymentOutcome::Captured, transaction_id));
            }
            Ok(ChargeOutcome::Declined(reason)) => (PaymentOutcome::Declined, declined(reason)),
            // Money may have been taken, or may still be: only a reversal makes it certain.
            Ok(ChargeOutcome::Unknown(_)) | Err(_) => {
                let outcome = reverse(gateway, &charge.key).await;
                (outcome, FailureCause::Payment(PaymentFault::Reversed))
            }
        };
        self.record_end(intent, outcome)
            .await
            .map_err(|error| self.not_recorded(&error))?;
        Err(PaymentError::Declined(failure))
    }

    fn not_recorded(&self, error: &CommitError) -> PaymentError {
        PaymentError::NotRecorded(self.commit_failed(error))
    }

    /// Reverses a pending payment, opens its spots again and releases its token.
    pub(super) async fn reverse_pending(
        &self,
        gateway: &dyn PaymentGateway,
        pending: PendingPayment,
    ) {
        let PendingPayment {
            intent,
            reservation,
            token,
        } = pending;
        let order = self.store.order_key(&intent.token).order_id();
        let outcome = reverse(gateway, &ChargeKey::new(&order, intent.attempt)).await;
        match self.record_end(intent, outcome).await {
            Ok(()) => {
                // After the record: a crash in between would sell the spots of an intent that is
                // still open.
                self.inventory.release(reservation, self.now());
                self.audit.record(AuditEvent::PaymentReversed {
                    order_id: &order,
                    outcome,
                });
                tracing::info!(
                    order_id = order.as_str(),
                    ?outcome,
                    "a pending payment of the last run is reversed"
                );
            }
            // The spots stay sold: the next run finds the intent again and repeats the reversal.
            Err(error) => tracing::error!(
                error = %ErrorChain(&error),
                order_id = order.as_str(),
                "the reversal of a pending payment could not be recorded"
            ),
        }
        // Last, so that no request with this token finds the spots still sold to its own payment.
        self.unlock(token).await;
    }

    /// Reverses a charge whose order is not created after all, and records that.
    pub(super) async fn reverse_captured(
        &self,
        gateway: &dyn PaymentGateway,
        order: &OrderId,
        attempt: PaymentAttempt,
    ) -> Result<(), OrderError> {
        let outcome = reverse(gateway, &ChargeKey::new(order, attempt.intent.attempt)).await;
        self.record_end(attempt.intent, outcome)
            .await
            .map_err(|error| self.commit_failed(&error).into_error())
    }

    async fn record_end(
        &self,
        intent: PaymentIntent,
        outcome: PaymentOutcome,
    ) -> Result<(), CommitError> {
        let ended = self.ended(intent, outcome, String::new());
        self.commit(&Write::PaymentEnded(ended).into()).await
    }

    fn ended(
        &self,
        intent: PaymentIntent,
        outcome: PaymentOutcome,
        transaction_id: String,
    ) -> PaymentAttempt {
        self.metrics.count_payment(outcome);
        PaymentAttempt {
            intent,
            outcome,
            transaction_id,
            finished_sec: self.now(),
        }
    }
}

/// Voids or refunds a charge. Retries without end: until the gateway has responded, money may be taken, so
/// the order's spots stay sold and its token stays locked.
async fn reverse(gateway: &dyn PaymentGateway, key: &ChargeKey) -> PaymentOutcome {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(REVERSAL_PAUSE_MIN)
        .with_max_delay(REVERSAL_PAUSE_MAX)
        // A reversal that gives up would leave money taken without an order.
        .without_max_times()
        // Jitter spreads the retries of many payments after an outage of the gateway.
        .with_jitter();
    let reversal = (|| gateway.reverse(key))
        .retry(pauses)
        .notify(|error, pause| {
            tracing::warn!(%error, ?pause, charge = key.0, "retrying the reversal of a charge");
        })
        .await;
    match reversal {
        Ok(Reversal::Refunded) => PaymentOutcome::Refunded,
        // The retry has no last attempt, so there is no error.
        Ok(Reversal::Voided) | Err(_) => PaymentOutcome::Voided,
    }
}

fn declined(reason: DeclineReason) -> FailureCause {
    match reason {
        DeclineReason::CardTypeRejected(card) => FailureCause::CardTypeRejected(card),
        DeclineReason::CardDeclined => FailureCause::CardDeclined,
        DeclineReason::Requires3ds1(parameters) => FailureCause::Requires3ds1(parameters),
        DeclineReason::Other(text) => FailureCause::Payment(PaymentFault::Declined(text)),
    }
}
