//! A gateway for demonstrations and tests: the text of the payment token chooses the outcome.
//!
//! | token | outcome |
//! |---|---|
//! | `decline` | the card is declined |
//! | `reject-visa`, `reject-mastercard`, `reject-american-express`, `reject-discover`, `reject-jcb` | the card type is rejected |
//! | `3ds1` | a 3-D Secure challenge; the same token with any `pa_response` is approved |
//! | `error` | a general payment error |
//! | `slow` | approved after half a second |
//! | `hang` | never answers; the charge is reversed when the payment's time is up |
//! | anything else, e.g. `approve` | approved |
//!
//! No money is taken, and all charges are forgotten when the process ends.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Charge, ChargeKey, ChargeOutcome, DeclineReason, GatewayError, GatewayFuture, PaymentGateway,
    Reversal,
};
use domain::failure::{CardType, ThreeDs1Parameters};

/// How long `slow` takes.
const SLOW: Duration = Duration::from_millis(500);

/// The simulated gateway.
#[derive(Debug, Default)]
pub struct SimulatedGateway {
    charges: Mutex<HashMap<ChargeKey, ChargeState>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChargeState {
    Captured,
    Reversed,
}

impl SimulatedGateway {
    /// The number of charges that are captured and not reversed.
    #[must_use]
    pub fn captured(&self) -> usize {
        self.charges()
            .values()
            .filter(|state| **state == ChargeState::Captured)
            .count()
    }

    fn charges(&self) -> MutexGuard<'_, HashMap<ChargeKey, ChargeState>> {
        // No code that can panic runs under this lock, so a poisoned one still guards sound data.
        self.charges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn capture(&self, key: &ChargeKey) -> ChargeOutcome {
        match *self
            .charges()
            .entry(key.clone())
            // The first request decides: a repeated key gets the same transaction, a reversed key is never
            // captured again.
            .or_insert(ChargeState::Captured)
        {
            ChargeState::Captured => ChargeOutcome::Captured(format!("simulated-{}", key.0)),
            ChargeState::Reversed => ChargeOutcome::Declined(DeclineReason::Other(
                "this charge has been reversed".into(),
            )),
        }
    }

    async fn decide(&self, charge: &Charge) -> ChargeOutcome {
        match charge.method.token.as_str() {
            "decline" => ChargeOutcome::Declined(DeclineReason::CardDeclined),
            "3ds1" if charge.method.challenge.is_none() => {
                ChargeOutcome::Declined(DeclineReason::Requires3ds1(challenge(charge)))
            }
            "error" => ChargeOutcome::Declined(DeclineReason::Other(
                "the simulated gateway reports an error".into(),
            )),
            // Never ready, so that the timeout of payments and the reversal after it can be demonstrated.
            "hang" => std::future::pending().await,
            "slow" => {
                tokio::time::sleep(SLOW).await;
                self.capture(&charge.key)
            }
            token => match rejected_card(token) {
                Some(card) => ChargeOutcome::Declined(DeclineReason::CardTypeRejected(card)),
                None => self.capture(&charge.key),
            },
        }
    }
}

impl PaymentGateway for SimulatedGateway {
    fn charge<'a>(&'a self, charge: &'a Charge) -> GatewayFuture<'a, ChargeOutcome> {
        Box::pin(self.decide(charge))
    }

    fn reverse<'a>(
        &'a self,
        key: &'a ChargeKey,
    ) -> GatewayFuture<'a, Result<Reversal, GatewayError>> {
        // Recorded before it is known whether money was taken, so that a charge that arrives late is
        // declined.
        let before = self.charges().insert(key.clone(), ChargeState::Reversed);
        let reversal = if before == Some(ChargeState::Captured) {
            Reversal::Refunded
        } else {
            Reversal::Voided
        };
        Box::pin(std::future::ready(Ok(reversal)))
    }
}

fn rejected_card(token: &str) -> Option<CardType> {
    match token.strip_prefix("reject-")? {
        "visa" => Some(CardType::Visa),
        "mastercard" => Some(CardType::Mastercard),
        "american-express" => Some(CardType::AmericanExpress),
        "discover" => Some(CardType::Discover),
        "jcb" => Some(CardType::Jcb),
        // Any other token is approved, so that demonstrations need no list of valid ones.
        _ => None,
    }
}

fn challenge(charge: &Charge) -> ThreeDs1Parameters {
    ThreeDs1Parameters {
        acs_url: "https://acs.example/challenge".into(),
        pa_req: format!("pa-req-{}", charge.key.0),
        transaction_id: format!("3ds-{}", charge.key.0),
        md_merchant_data: charge.key.0.clone(),
    }
}
