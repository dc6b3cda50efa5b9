//! Calls of clients, in flight until they are answered or lost.

use std::{pin::Pin, sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::time::Instant;

use super::SLOTS;
use crate::{
    App, Cart, Checked, CreateOrder, Created, OrderError,
    tokens::RequestKey,
    update::{ChangeMode, ChangeRequest, ChangedOrder, OrderChange, RefundChoice},
};
use domain::{
    fixtures::line,
    ids::Token,
    order::{Customer, LineItem, NewOrder},
};
use kernel::user::{Scope, User};
use store::HoldId;

/// Tokens of all clients together: few, so that they meet each other.
pub(super) const TOKENS: usize = 10;

/// Requests that differ under one token.
const VARIANTS: u8 = 3;

/// The variant of a check that asks for more than there is.
const TOO_MANY: u8 = VARIANTS;

/// Longer than any run.
const PATIENCE: Duration = Duration::from_secs(365 * 86_400);

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind {
    Check,
    Create,
    /// An operator's: the order of a token is cancelled, always by the same request.
    Cancel,
    /// No client's: the server's own work.
    Sweep,
}

/// A request that can be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) kind: CallKind,
    pub(super) token: usize,
    pub(super) variant: u8,
}

/// The answer to a call.
pub(super) enum Answer {
    Checked(Result<Checked, OrderError>),
    Created(Result<Created, OrderError>),
    Cancelled(ChangedOrder),
    Swept,
}

pub(super) type AnswerFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

impl Request {
    pub(super) fn draw(random: &mut Rng) -> Self {
        let token = random.usize(..TOKENS);
        if random.u8(..8) == 0 {
            return Self {
                kind: CallKind::Cancel,
                token,
                variant: 0,
            };
        }
        if random.bool() {
            // Mostly the same request, which is a repetition.
            let variant = random.u8(..12).saturating_sub(12 - VARIANTS);
            return Self {
                kind: CallKind::Create,
                token,
                variant,
            };
        }
        Self {
            kind: CallKind::Check,
            token,
            variant: random.u8(..=TOO_MANY),
        }
    }

    pub(super) fn sweep() -> Self {
        Self {
            kind: CallKind::Sweep,
            token: 0,
            variant: 0,
        }
    }

    /// The slots that it asks for, and how many spots of each.
    pub(super) fn spots(&self) -> Vec<(usize, u32)> {
        let count = match self.variant {
            TOO_MANY => 1_000,
            variant => u32::from(variant) % 3 + 1,
        };
        let slots = match self.token % 3 {
            0 => 0..1,
            1 => 1..SLOTS.len(),
            _ => 0..SLOTS.len(),
        };
        slots.map(|slot| (slot, count)).collect()
    }

    pub(super) fn lines(&self) -> Vec<LineItem> {
        let mut lines = Vec::new();
        for (slot, count) in self.spots() {
            let mut line = line(
                "raft",
                &[("seat", count.cast_signed())],
                7_500 * i64::from(count),
            );
            line.start_sec = SLOTS[slot];
            lines.push(line);
        }
        lines
    }

    /// Starts the call; nothing happens before its future is polled.
    pub(super) fn start(self, app: &Arc<App>) -> AnswerFuture {
        let app = Arc::clone(app);
        let user = owner(self.token);
        match self.kind {
            CallKind::Check => {
                let cart = Cart {
                    merchant_id: "town".into(),
                    items: self.lines(),
                    cart_id: Some(token(self.token)),
                };
                Box::pin(async move { Answer::Checked(app.check(cart, user).get().await) })
            }
            CallKind::Create => {
                let order = Box::new(self.order());
                Box::pin(async move {
                    let deadline = Instant::now() + PATIENCE;
                    Answer::Created(app.create(order, user, deadline).await)
                })
            }
            CallKind::Cancel => {
                let request = self.cancellation(&app);
                let change = OrderChange::Cancel {
                    items: Vec::new(),
                    refund: RefundChoice::Nothing,
                    reason: "rain".to_owned(),
                };
                Box::pin(async move {
                    let deadline = Instant::now() + PATIENCE;
                    Answer::Cancelled(app.change_order(request, change, deadline).await)
                })
            }
            CallKind::Sweep => Box::pin(async move {
                app.sweep().await;
                Answer::Swept
            }),
        }
    }

    fn cancellation(&self, app: &App) -> ChangeRequest {
        let order = app.store.order_key(&token(self.token)).order_id();
        ChangeRequest {
            order,
            request_id: format!("00000000-0000-4000-8000-{:012}", self.token),
            fingerprint: [7; 32],
            expected_revision: None,
            user: None,
            mode: ChangeMode::Commit,
        }
    }

    fn order(&self) -> CreateOrder {
        CreateOrder {
            token: token(self.token),
            fingerprint: [self.variant; 32],
            order: NewOrder {
                merchant_id: "town".into(),
                customer: Customer::of("ada"),
                items: self.lines(),
                payment: Some(Box::default()),
                method: None,
            },
        }
    }
}

pub(super) fn token(number: usize) -> Token {
    format!("token-{number}").as_str().into()
}

/// Half of the tokens are those of a user with a name.
fn owner(number: usize) -> Option<Arc<User>> {
    let is_named = number % 2 == 1;
    is_named.then(|| Arc::new(User::new("ada".into(), Scope::default())))
}

/// The hold of the cart of a token.
pub(super) fn hold_id(number: usize) -> HoldId {
    let cart = RequestKey::of(&token(number)).cart(owner(number).as_deref());
    HoldId(cart.0)
}
