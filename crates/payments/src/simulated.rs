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
//! | `refund-fails` | approved; every refund is rejected |
//! | `refund-fails-3` | approved; the first three requests for a refund are not answered, though the first gives it back |
//! | anything else, e.g. `approve` | approved |
//!
//! No money is taken, and all charges are forgotten when the process ends.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    ChangeOutcome, Charge, ChargeChange, ChargeKey, ChargeOutcome, DeclineReason, GatewayError,
    GatewayFuture, PaymentGateway, Reversal,
};
use domain::{
    failure::{CardType, ThreeDs1Parameters},
    money::Money,
};

/// How long `slow` takes.
const SLOW: Duration = Duration::from_millis(500);

/// How many requests for a refund of `refund-fails-3` are not answered.
const UNANSWERED_REFUNDS: u32 = 3;

/// The simulated gateway.
#[derive(Debug, Default)]
pub struct SimulatedGateway {
    charges: Mutex<HashMap<ChargeKey, ChargeState>>,
    refunds: Mutex<Refunds>,
}

/// Refunds by key, and what was asked for them.
#[derive(Debug, Default)]
struct Refunds {
    given: HashMap<String, (ChargeKey, Money)>,
    requests: HashMap<String, u32>,
}

#[derive(Debug, Clone, PartialEq)]
enum ChargeState {
    Captured(CapturedCharge),
    Reversed,
}

/// A captured charge.
#[derive(Debug, Clone, Copy, PartialEq)]
struct CapturedCharge {
    amount: Money,
    refunds: RefundMode,
}

/// What the gateway makes of refunds of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefundMode {
    Given,
    Rejected,
    Unanswered,
}

impl SimulatedGateway {
    /// The number of charges that are captured and not reversed.
    #[must_use]
    pub fn captured(&self) -> usize {
        self.charges()
            .values()
            .filter(|state| matches!(state, ChargeState::Captured(_)))
            .count()
    }

    /// What was given back of a charge, refund by refund in no order: the books of the gateway, for audits.
    #[must_use]
    pub fn refunds_of(&self, charge: &ChargeKey) -> Vec<Money> {
        let refunds = self.refunds();
        let of_charge = refunds.given.values().filter(|(of, _)| of == charge);
        of_charge.map(|(_, amount)| *amount).collect()
    }

    fn refunds(&self) -> MutexGuard<'_, Refunds> {
        // As for charges.
        self.refunds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, refund: &ChargeChange) -> Result<ChangeOutcome, GatewayError> {
        let Some(ChargeState::Captured(charge)) = self.charges().get(&refund.charge).cloned()
        else {
            return Ok(ChangeOutcome::Rejected("nothing was captured".into()));
        };
        if charge.refunds == RefundMode::Rejected {
            return Ok(ChangeOutcome::Rejected("the card is closed".into()));
        }
        let mut refunds = self.refunds();
        let requests = refunds.requests.entry(refund.key.clone()).or_default();
        *requests += 1;
        let is_unanswered =
            charge.refunds == RefundMode::Unanswered && *requests <= UNANSWERED_REFUNDS;
        if !refunds.given.contains_key(&refund.key) {
            if !refunds.fits(refund, charge.amount) {
                let text = "more than was captured would be given back";
                return Ok(ChangeOutcome::Rejected(text.into()));
            }
            let given = (refund.charge.clone(), refund.amount);
            refunds.given.insert(refund.key.clone(), given);
        }
        if is_unanswered {
            return Err(GatewayError("the simulated gateway is silent".into()));
        }
        Ok(ChangeOutcome::Done)
    }

    fn charges(&self) -> MutexGuard<'_, HashMap<ChargeKey, ChargeState>> {
        // No code that can panic runs under this lock, so a poisoned one still guards sound data.
        self.charges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn capture(&self, charge: &Charge) -> ChargeOutcome {
        let key = &charge.key;
        let captured = CapturedCharge {
            amount: charge.amount,
            refunds: match charge.method.token.as_str() {
                "refund-fails" => RefundMode::Rejected,
                "refund-fails-3" => RefundMode::Unanswered,
                _ => RefundMode::Given,
            },
        };
        match self
            .charges()
            .entry(key.clone())
            // The first request decides: a repeated key gets the same transaction, a reversed key is never
            // captured again.
            .or_insert(ChargeState::Captured(captured))
        {
            ChargeState::Captured(_) => ChargeOutcome::Captured(format!("simulated-{}", key.0)),
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
                self.capture(charge)
            }
            token => match rejected_card(token) {
                Some(card) => ChargeOutcome::Declined(DeclineReason::CardTypeRejected(card)),
                None => self.capture(charge),
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
        let reversal = if matches!(before, Some(ChargeState::Captured(_))) {
            Reversal::Refunded
        } else {
            Reversal::Voided
        };
        Box::pin(std::future::ready(Ok(reversal)))
    }

    fn refund<'a>(
        &'a self,
        refund: &'a ChargeChange,
    ) -> GatewayFuture<'a, Result<ChangeOutcome, GatewayError>> {
        Box::pin(std::future::ready(self.give_back(refund)))
    }

    fn void<'a>(
        &'a self,
        void: &'a ChargeChange,
    ) -> GatewayFuture<'a, Result<ChangeOutcome, GatewayError>> {
        // All charges are captured at once, so there is no authorization to end.
        let is_captured = matches!(
            self.charges().get(&void.charge),
            Some(ChargeState::Captured(_))
        );
        let outcome = if is_captured {
            ChangeOutcome::Rejected("the charge is captured".into())
        } else {
            ChangeOutcome::Done
        };
        Box::pin(std::future::ready(Ok(outcome)))
    }
}

impl Refunds {
    /// Whether no more than was captured is given back with one more refund.
    fn fits(&self, refund: &ChargeChange, captured: Money) -> bool {
        let mut sum = refund.amount;
        for (charge, amount) in self.given.values() {
            if *charge == refund.charge {
                let Ok(more) = sum.plus(*amount) else {
                    return false;
                };
                sum = more;
            }
        }
        sum.compare(captured).is_some_and(std::cmp::Ordering::is_le)
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
