//! CheckOrderFulfillability: the assessment of a cart, with its hold.

use tracing::info_span;

use super::{ActiveCatalog, App, AttemptError, OrderError, assess::Asked, cart_key};
use domain::{
    fees::FeeTable,
    fulfillability::{Assessment, Fulfillability, OrderVerdict, Purpose},
    ids::{MerchantId, Token},
    order::LineItem,
    slot::{Slot, Stale},
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

impl App {
    /// Checks a user's cart and, where its merchant has cart holds, holds its spots.
    ///
    /// # Errors
    /// [`OrderError::UnknownMerchant`], [`OrderError::Unreadable`].
    pub fn check(&self, cart: &Cart, user: Option<&User>) -> Result<Checked, OrderError> {
        let checked = info_span!("decide")
            .in_scope(|| self.by_active_catalog(|active| self.check_by(active, cart, user)))?;
        // After the loop, so that a repeated attempt is counted once.
        self.metrics.count_check(&checked);
        Ok(checked)
    }

    fn check_by(
        &self,
        active: &ActiveCatalog,
        cart: &Cart,
        user: Option<&User>,
    ) -> Result<Checked, AttemptError> {
        let key = cart.cart_id.as_ref().map(|cart_id| cart_key(cart_id, user));
        let (id, items) = (&cart.merchant_id, &cart.items);
        let asked = Asked::new(active, id, items, self.viewer(key), Purpose::Check)?;
        let merchant = active.catalog.merchant(asked.merchant);
        let (Some(key), Some(time)) = (key, merchant.cart_hold) else {
            return Ok(self.check_without_hold(&asked)?);
        };
        let now = asked.viewer.now;
        let (assessment, mut expires_sec) =
            self.inventory
                .hold(active.revision, &asked.keys, key, now, time, |open| {
                    let mut assessment = self.assess(&asked, open);
                    let claims = std::mem::take(&mut assessment.claims);
                    // A cart holds all of its spots or none.
                    match assessment.fulfillability.verdict {
                        OrderVerdict::CanFulfill => (assessment, claims),
                        OrderVerdict::UnfulfillableItems
                        | OrderVerdict::UnfulfillableServices(_)
                        | OrderVerdict::Other(_) => (assessment, Vec::new()),
                    }
                })?;
        // Asked after the hold is placed: an order that begins later consumes the hold.
        if self.is_ordered(cart)? {
            self.inventory.release_hold(key, now);
            expires_sec = None;
        }
        Ok(checked(assessment, expires_sec))
    }

    fn check_without_hold(&self, asked: &Asked<'_>) -> Result<Checked, Stale> {
        let look = |open: &[Option<&Slot>]| self.assess(asked, open);
        let assessment = self
            .inventory
            .examine(asked.active.revision, &asked.keys, look)?;
        // A check replaces what its cart held, also where this merchant has no cart holds: the hold may be
        // another merchant's, or from before a reload that switched holds off.
        if let Some(key) = asked.viewer.cart {
            self.inventory.release_hold(key, asked.viewer.now);
        }
        Ok(checked(assessment, None))
    }

    /// Whether the order of a cart is in flight or on record: its spots are sold, and a hold would count
    /// them twice. The token may be another user's; then the cart can never become an order.
    fn is_ordered(&self, cart: &Cart) -> Result<bool, OrderError> {
        let Some(token) = &cart.cart_id else {
            return Ok(false);
        };
        // In this order: an order in flight is recorded before its token is released.
        Ok(self.tokens.is_in_flight(token) || self.by_token(token)?.is_some())
    }
}

fn checked(assessment: Assessment, hold_expires_sec: Option<EpochSeconds>) -> Checked {
    let Assessment {
        fulfillability,
        fees,
        claims: _,
        amount_due: _,
    } = assessment;
    Checked {
        fulfillability,
        fees,
        hold_expires_sec,
    }
}
