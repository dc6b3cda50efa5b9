//! Looking at a cart.

use super::{ActiveCatalog, App, OrderError, Undecided, cart_key};
use domain::{
    fees::FeeTable,
    fulfillability::{self, Assessment, Fulfillability, Inquiry, OrderResult, Purpose},
    ids::{MerchantId, Token},
    order::{EpochSeconds, LineItem},
    slot::Slot,
};
use kernel::user::User;

/// A cart to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cart {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// What is in it.
    pub items: Vec<LineItem>,
    /// The cart's id, which is the token of its later order; `None` where nothing is to be held.
    pub cart_id: Option<Token>,
}

/// What is to be said of a cart.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The verdict.
    pub fulfillability: Fulfillability,
    /// The fees of what can be sold.
    pub fees: FeeTable,
    /// Until when the spots are held; `None` where nothing is held.
    pub hold_expires_sec: Option<EpochSeconds>,
}

impl App {
    /// Looks at a user's cart and, where its merchant holds carts, keeps its spots.
    ///
    /// # Errors
    /// [`OrderError::UnknownMerchant`], [`OrderError::Unreadable`].
    pub fn check(&self, cart: &Cart, user: Option<&User>) -> Result<Checked, OrderError> {
        let decide = || self.decide(|active| self.check_by(active, cart, user));
        let checked = tracing::info_span!("decide").in_scope(decide)?;
        self.metrics.count_check(&checked);
        Ok(checked)
    }

    fn check_by(
        &self,
        active: &ActiveCatalog,
        cart: &Cart,
        user: Option<&User>,
    ) -> Result<Checked, Undecided> {
        let ActiveCatalog {
            revision, catalog, ..
        } = active;
        let merchant = catalog
            .merchant_ix(&cart.merchant_id)
            .ok_or(OrderError::UnknownMerchant)?;
        let keys = fulfillability::slot_keys(catalog, merchant, &cart.items);
        let cart_key = cart.cart_id.as_ref().map(|cart_id| cart_key(cart_id, user));
        let viewer = self.viewer(cart_key);
        let assess = |slots: &[Option<&Slot>]| {
            let (items, purpose) = (&cart.items, Purpose::Check);
            self.with_past(active, &keys, slots, |slots| {
                fulfillability::assess(&Inquiry {
                    catalog,
                    merchant,
                    items,
                    slots,
                    viewer,
                    purpose,
                })
            })
        };
        let (Some(key), Some(time)) = (cart_key, catalog.merchant(merchant).cart_hold) else {
            let assessment = self.inventory.examine(*revision, &keys, assess)?;
            // A check replaces what its cart held, also where the merchant does not hold carts: the
            // hold may be another merchant's, or from before holds were switched off.
            if let Some(key) = cart_key {
                self.inventory.release_hold(key, viewer.now);
            }
            return Ok(checked(assessment, None));
        };
        let (assessment, expires_sec) =
            self.inventory
                .hold(*revision, &keys, key, viewer.now, time, |slots| {
                    let mut assessment = assess(slots);
                    let claims = std::mem::take(&mut assessment.claims);
                    let held = if can_be_held(&assessment) {
                        claims
                    } else {
                        Vec::new()
                    };
                    (assessment, held)
                })?;
        if self.is_ordered(cart)? {
            self.inventory.release_hold(key, viewer.now);
            return Ok(checked(assessment, None));
        }
        Ok(checked(assessment, expires_sec))
    }

    /// Whether the cart's order is being created or has been: its spots are taken, and to hold
    /// them as well would take them twice. Asked after the hold has been placed, because an order
    /// that begins later uses the hold up. The token may be another user's: it is used up then, and
    /// no order can come of the cart.
    fn is_ordered(&self, cart: &Cart) -> Result<bool, OrderError> {
        let Some(token) = &cart.cart_id else {
            return Ok(false);
        };
        if self.tokens.is_in_flight(token) {
            return Ok(true);
        }
        Ok(self.by_token(token)?.is_some())
    }
}

/// Whether a cart takes its spots: all of them or none.
fn can_be_held(assessment: &Assessment) -> bool {
    assessment.fulfillability.result == OrderResult::CanFulfill
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
