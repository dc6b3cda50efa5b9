//! CheckOrderFulfillability: the assessment of a cart, with its hold.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tracing::info_span;

use super::{
    App, OrderError,
    assess::Asked,
    hold::HoldCart,
    tokens::{LockedFor, RequestKey, TokenLock, released},
};
use domain::{
    fees::FeeTable,
    fulfillability::{Assessment, Fulfillability, Judgement, Purpose},
    ids::{MerchantId, Token},
    order::LineItem,
    slot::CartKey,
    time::EpochSeconds,
};
use kernel::user::User;

/// A cart to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cart {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// The items.
    pub items: Vec<LineItem>,
    /// The cart's id, which is the token of its later order; `None` where no spots are to be held.
    pub cart_id: Option<Token>,
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The verdict.
    pub fulfillability: Fulfillability,
    /// The fees of what can be sold.
    pub fees: FeeTable,
    /// The second at which the hold ends; `None` where no spots are held.
    pub hold_expires_sec: Option<EpochSeconds>,
}

/// The answer to a check. Nearly all checks hold nothing, so theirs takes neither a task nor memory of its own.
#[must_use = "a hold is placed by awaiting the answer"]
pub enum CheckAnswer {
    /// The answer.
    Now(Result<Checked, OrderError>),
    /// The answer once the hold is on record. Dropping the future takes nothing back.
    Later(BoxFuture<'static, Result<Checked, OrderError>>),
}

impl CheckAnswer {
    /// The answer, at once where it is there.
    ///
    /// # Errors
    /// Those of [`App::check`].
    pub async fn get(self) -> Result<Checked, OrderError> {
        match self {
            Self::Now(answer) => answer,
            Self::Later(answer) => answer.await,
        }
    }
}

impl App {
    /// Checks a user's cart and, where its merchant has cart holds, holds its spots. The hold is on record before the
    /// answer. Where it cannot be recorded, the answer promises none.
    ///
    /// The answer may be [`OrderError::UnknownMerchant`] or [`OrderError::Unreadable`]; where the cart may hold spots,
    /// also [`OrderError::Busy`].
    pub fn check(self: &Arc<Self>, cart: Cart, user: Option<Arc<User>>) -> CheckAnswer {
        let request = cart.cart_id.as_ref().map(RequestKey::of);
        let named = request.map(|request| (request, request.cart(user.as_deref())));
        match named {
            Some((request, key)) if self.may_hold(&cart, key) => {
                let command = HoldCart {
                    cart,
                    user,
                    request,
                    key,
                };
                let app = Arc::clone(self);
                CheckAnswer::Later(Box::pin(async move {
                    let checked = app.check_and_hold(command).await;
                    app.counted(checked)
                }))
            }
            _ => CheckAnswer::Now(self.counted(self.look(cart, named.map(|(_, key)| key)))),
        }
    }

    /// Counts a check after all attempts, so that a repeated one is counted once.
    fn counted(&self, checked: Result<Checked, OrderError>) -> Result<Checked, OrderError> {
        checked.inspect(|checked| self.metrics.count_check(checked))
    }

    /// Checks a cart and changes nothing.
    fn look(&self, cart: Cart, key: Option<CartKey>) -> Result<Checked, OrderError> {
        let Cart {
            merchant_id, items, ..
        } = cart;
        let judgement = info_span!("decide").in_scope(|| {
            self.by_active_catalog(|active| {
                let viewer = self.viewer(key);
                let asked = Asked::new(active, &merchant_id, &items, viewer, Purpose::Check)?;
                let look = self
                    .inventory
                    .examine(active.revision, &asked.keys, |open| {
                        self.judge(&asked, open)
                    });
                Ok(look?)
            })
        })?;
        Ok(checked(judgement, items))
    }

    async fn check_and_hold(self: &Arc<Self>, command: HoldCart) -> Result<Checked, OrderError> {
        let (request, key) = (command.request, command.key);
        // A loop: of several checks that wait for one cart, only the first to try again acquires the lock.
        let guard = loop {
            match self.tokens.try_lock(request, LockedFor::Hold) {
                TokenLock::Acquired(guard) => break guard,
                // The order takes the spots or fails. Its outcome may take as long as a payment, and a check waits for
                // none.
                TokenLock::Held(_) if self.tokens.forgo(request, key) => {
                    return self.look(command.cart, Some(key));
                }
                TokenLock::Held(waiting) => released(waiting).await,
            }
        };
        let app = Arc::clone(self);
        self.complete(async move { app.execute(guard, command).await })?
            .await
    }
}

/// The answer of a judgement of these items, without a hold.
pub(super) fn checked(judgement: Judgement, items: Vec<LineItem>) -> Checked {
    let Assessment {
        fulfillability,
        fees,
        claims: _,
        amount_due: _,
    } = judgement.answer(items);
    Checked {
        fulfillability,
        fees,
        hold_expires_sec: None,
    }
}
