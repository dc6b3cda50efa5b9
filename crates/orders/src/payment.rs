//! Paying for an order: intent on record, charge, outcome on record; nothing lost, nothing twice.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::time::timeout;

use super::{App, OrderError, tokens::TokenGuard};
use crate::audit::AuditEvent;
use domain::{
    catalog::Prepayment,
    failure::{FailureCause, OrderFailure},
    ids::Token,
    money::Money,
    order::{OrderId, PaymentMethod},
    payment::Charging,
    slot::Claim,
};
use payments::{Charge, ChargeKey, ChargeOutcome, DeclineReason, PaymentGateway, Reversal};
use store::{
    Change, CommitError, ErrorChain, NamedClaim, PaymentAttempt, PaymentIntent, PaymentOutcome,
};

/// Pauses between attempts to reverse a charge at a gateway that does not answer.
const REVERSAL_PAUSE_MIN: Duration = Duration::from_millis(100);
const REVERSAL_PAUSE_MAX: Duration = Duration::from_secs(30);

/// What is to be charged for an order.
pub(super) struct ChargeRequest {
    pub(super) token: Token,
    pub(super) order: OrderId,
    pub(super) amount: Money,
    pub(super) method: PaymentMethod,
    /// The spots that wait for the payment.
    pub(super) claims: Vec<NamedClaim>,
}

/// Why an order was not paid for.
pub(super) enum PaymentError {
    /// The customer's means of payment did not do.
    Failure(OrderFailure),
    /// We could not do our part.
    Refused(OrderError),
}

/// A payment that the last run of the process left open, with the token that nobody may act under
/// before it is settled.
#[derive(Debug)]
pub(super) struct PendingPayment {
    pub(super) intent: PaymentIntent,
    /// The spots that it has.
    pub(super) claims: Vec<Claim>,
    pub(super) token: TokenGuard,
}

impl App {
    /// Whether we can charge at all.
    pub(super) fn charging(&self) -> Charging {
        if self.payments.is_some() {
            Charging::Possible
        } else {
            Charging::Off
        }
    }

    /// Warns of services that have to be paid for when they are booked while we cannot charge: they are
    /// sold only to callers who have taken the money themselves.
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

    /// Charges for an order: the intent goes on record, then the gateway is asked. A charge that
    /// is captured goes on record with its order.
    pub(super) async fn pay(
        &self,
        gateway: &dyn PaymentGateway,
        bill: ChargeRequest,
    ) -> Result<PaymentAttempt, PaymentError> {
        let ChargeRequest {
            token,
            order,
            amount,
            method,
            claims,
        } = bill;
        let failed = self
            .store
            .failed_attempts(&token)
            .map_err(|error| PaymentError::Refused(self.read_failed(&error)))?;
        let attempt = failed.saturating_add(1);
        let charge = Charge {
            key: ChargeKey::new(&order, attempt),
            amount,
            method,
        };
        let intent = PaymentIntent {
            token,
            attempt,
            amount,
            started_sec: self.now(),
            claims,
        };
        self.commit(Change::PaymentIntent(intent.clone()))
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
        match timeout(self.limits.payment_timeout, gateway.charge(&charge)).await {
            Ok(ChargeOutcome::Captured(transaction_id)) => {
                Ok(self.ended(intent, PaymentOutcome::Captured, transaction_id))
            }
            Ok(ChargeOutcome::Declined(refusal)) => {
                self.record_end(intent, PaymentOutcome::Declined)
                    .await
                    .map_err(|error| self.not_recorded(&error))?;
                Err(PaymentError::Failure(failure(refusal)))
            }
            Ok(ChargeOutcome::Unknown(_)) | Err(_) => {
                let outcome = reverse(gateway, &charge.key).await;
                self.record_end(intent, outcome)
                    .await
                    .map_err(|error| self.not_recorded(&error))?;
                Err(PaymentError::Failure(unanswered()))
            }
        }
    }

    fn not_recorded(&self, error: &CommitError) -> PaymentError {
        PaymentError::Refused(self.commit_failed(error))
    }

    /// Undoes a payment that the last run left open, then gives its spots and its token free.
    pub(super) async fn settle(&self, gateway: &dyn PaymentGateway, unsettled: PendingPayment) {
        let PendingPayment {
            intent,
            claims,
            token,
        } = unsettled;
        let order = self.store.order_id(&intent.token);
        let outcome = reverse(gateway, &ChargeKey::new(&order, intent.attempt)).await;
        match self.record_end(intent, outcome).await {
            Ok(()) => {
                self.inventory.unsell(claims, self.now());
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
            Err(error) => {
                tracing::error!(error = %ErrorChain(&error), order_id = order.as_str(), "the reversal of a pending payment could not be recorded")
            }
        }
        drop(token);
    }

    async fn record_end(
        &self,
        intent: PaymentIntent,
        outcome: PaymentOutcome,
    ) -> Result<(), CommitError> {
        self.commit(Change::PaymentEnded(self.ended(
            intent,
            outcome,
            String::new(),
        )))
        .await
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

/// Makes sure that nothing is taken under a key. Asks until the gateway answers: as long as it
/// does not, the order's spots stay taken and its token stays at work.
async fn reverse(gateway: &dyn PaymentGateway, key: &ChargeKey) -> PaymentOutcome {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(REVERSAL_PAUSE_MIN)
        .with_max_delay(REVERSAL_PAUSE_MAX)
        .without_max_times()
        .with_jitter();
    let reversed = (|| gateway.reverse(key))
        .retry(pauses)
        .notify(
            |error, pause| tracing::warn!(%error, ?pause, charge = key.0, "retrying the reversal of a charge"),
        )
        .await;
    match reversed {
        Ok(Reversal::Refunded) => PaymentOutcome::Refunded,
        Ok(Reversal::Voided) | Err(_) => PaymentOutcome::Voided,
    }
}

fn failure(refusal: DeclineReason) -> OrderFailure {
    let (cause, description) = match refusal {
        DeclineReason::CardTypeRejected(card) => (
            FailureCause::CardTypeRejected(card),
            "this kind of card is not taken".to_owned(),
        ),
        DeclineReason::CardDeclined => (
            FailureCause::CardDeclined,
            "the card was declined".to_owned(),
        ),
        DeclineReason::Requires3ds1(parameters) => (
            FailureCause::Requires3ds1(parameters),
            "the customer must pass the bank's challenge".to_owned(),
        ),
        DeclineReason::Other(text) => (FailureCause::Payment, text),
    };
    OrderFailure { cause, description }
}

fn unanswered() -> OrderFailure {
    OrderFailure {
        cause: FailureCause::Payment,
        description: "the payment gateway gave no clear answer; the charge has been reversed"
            .to_owned(),
    }
}
