//! A gateway for demonstrations and tests: the text of the payment token chooses the outcome.
//!
//! | token | outcome |
//! |---|---|
//! | `decline` | the card is declined |
//! | `reject-visa`, `reject-mastercard`, `reject-american-express`, `reject-discover`, `reject-jcb` | the card type is rejected |
//! | `3ds1` | a 3-D Secure challenge; the same token with any `pa_response` is approved |
//! | `error` | a general payment error |
//! | `slow` | approved after half a second |
//! | `hang` | never answers; the charge is undone when the payment's time is up |
//! | anything else, e.g. `approve` | approved |
//!
//! It takes no money and forgets everything when the process ends.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    Answer, Charge, ChargeAnswer, ChargeKey, ChargeRefusal, GatewayError, Payments, Undone,
};
use crate::domain::failure::{CardType, ThreeDs1Parameters};

/// How long `slow` takes.
const SLOW: Duration = Duration::from_millis(500);

/// The simulated gateway.
#[derive(Debug, Default)]
pub struct SimulatedGateway {
    ledger: Mutex<HashMap<ChargeKey, Entry>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Captured,
    Undone,
}

impl SimulatedGateway {
    /// How many charges stand, captured and not undone.
    #[must_use]
    pub fn captured(&self) -> usize {
        self.ledger()
            .values()
            .filter(|entry| **entry == Entry::Captured)
            .count()
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, HashMap<ChargeKey, Entry>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn capture(&self, key: &ChargeKey) -> ChargeAnswer {
        match *self.ledger().entry(key.clone()).or_insert(Entry::Captured) {
            Entry::Captured => ChargeAnswer::Captured(format!("simulated-{}", key.0)),
            Entry::Undone => {
                ChargeAnswer::Refused(ChargeRefusal::Other("this charge has been undone".into()))
            }
        }
    }

    async fn decide(&self, charge: &Charge) -> ChargeAnswer {
        let refused = ChargeAnswer::Refused;
        match charge.method.token.as_str() {
            "decline" => refused(ChargeRefusal::CardDeclined),
            "3ds1" if charge.method.challenge.is_none() => {
                refused(ChargeRefusal::Requires3ds1(challenge(charge)))
            }
            "error" => refused(ChargeRefusal::Other(
                "the simulated gateway reports an error".into(),
            )),
            "hang" => std::future::pending().await,
            "slow" => {
                tokio::time::sleep(SLOW).await;
                self.capture(&charge.key)
            }
            token => match rejected_card(token) {
                Some(card) => refused(ChargeRefusal::CardTypeRejected(card)),
                None => self.capture(&charge.key),
            },
        }
    }
}

impl Payments for SimulatedGateway {
    fn charge<'a>(&'a self, charge: &'a Charge) -> Answer<'a, ChargeAnswer> {
        Box::pin(self.decide(charge))
    }

    fn undo<'a>(&'a self, key: &'a ChargeKey) -> Answer<'a, Result<Undone, GatewayError>> {
        let before = self.ledger().insert(key.clone(), Entry::Undone);
        let undone = if before == Some(Entry::Captured) {
            Undone::Refunded
        } else {
            Undone::Voided
        };
        Box::pin(std::future::ready(Ok(undone)))
    }
}

fn rejected_card(token: &str) -> Option<CardType> {
    match token.strip_prefix("reject-")? {
        "visa" => Some(CardType::Visa),
        "mastercard" => Some(CardType::Mastercard),
        "american-express" => Some(CardType::AmericanExpress),
        "discover" => Some(CardType::Discover),
        "jcb" => Some(CardType::Jcb),
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
