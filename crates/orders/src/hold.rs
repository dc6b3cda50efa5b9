//! Holds: placed, renewed and replaced by checks, released, expired.
//!
//! A hold is on record before it is promised, and its spots are given back only once its end is on record.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tracing::info_span;

use super::{
    ActiveCatalog, App, AttemptError, OrderError,
    assess::Asked,
    check::{Cart, Checked, checked},
    execute::{Command, CommitFailure, Decided},
    named,
    tokens::{LockedFor, RequestKey, TokenLock},
};
use domain::{
    fulfillability::{OrderVerdict, Purpose},
    order::LineItem,
    slot::CartKey,
    time::EpochSeconds,
};
use inventory::{HoldChange, NextHold};
use kernel::user::User;
use store::{HoldId, HoldRecord, NamedClaim, Precondition, ReleaseReason, UnitOfWork, Write};

/// Expired holds whose ends are being recorded at once, so that they share batches.
const EXPIRED_AT_ONCE: usize = 64;

/// A check of a cart that may hold its spots.
pub(super) struct HoldCart {
    pub(super) cart: Cart,
    pub(super) user: Option<Arc<User>>,
    pub(super) request: RequestKey,
    pub(super) key: CartKey,
}

/// A check whose change of the hold is not on record yet.
pub(super) struct CheckedCart {
    command: HoldCart,
    checked: Checked,
    change: HoldChange,
}

/// The end of a hold without an order.
pub(super) struct EndHold {
    pub(super) cart: CartKey,
    pub(super) reason: ReleaseReason,
}

/// The outcome of a decision on a hold, by one revision of the catalogue.
struct Held {
    checked: Checked,
    change: Option<HoldChange>,
    /// The spots of the next hold.
    claims: Vec<NamedClaim>,
}

impl Command for HoldCart {
    type Answer = Checked;
    type Taken = CheckedCart;

    async fn replay(&self, _: &App) -> Result<Option<Checked>, OrderError> {
        // A check is a question: repeated, it has the answer of the moment.
        Ok(None)
    }

    async fn decide(self, app: &App) -> Result<Decided<Self>, OrderError> {
        // The spots of an order are sold, and a hold would count them twice. The token may be another user's; then the
        // cart can never become an order.
        let is_ordered = match &self.cart.cart_id {
            Some(token) => {
                let key = app.store.order_key(token);
                app.find_request(&key).await?.is_some()
            }
            None => true,
        };
        let Held {
            checked,
            change,
            claims,
        } = info_span!("decide")
            .in_scope(|| app.by_active_catalog(|active| app.hold_by(active, &self, is_ordered)))?;
        let Some(change) = change else {
            return Ok(Decided::Answer(checked));
        };
        let write = match change.next() {
            Some(next) => placed(&self, &checked, next, change.cart(), claims),
            None => released(change.cart(), app.now(), ReleaseReason::Released),
        };
        let unit = UnitOfWork::write(write).requiring(standing(&change));
        let taken = CheckedCart {
            command: self,
            checked,
            change,
        };
        Ok(Decided::Change(unit, taken))
    }

    fn apply(app: &App, _: UnitOfWork, taken: CheckedCart) -> Result<Checked, OrderError> {
        let hold_expires_sec = taken.change.next().map(|next| next.expires_sec);
        app.inventory.apply_hold(taken.change, app.now());
        Ok(Checked {
            hold_expires_sec,
            ..taken.checked
        })
    }

    async fn revert(app: &App, _: UnitOfWork, taken: CheckedCart) -> Result<Self, OrderError> {
        app.inventory.revert_hold(taken.change, app.now());
        Ok(taken.command)
    }

    async fn fail(
        app: &App,
        _: UnitOfWork,
        taken: CheckedCart,
        _: CommitFailure,
    ) -> Result<Checked, OrderError> {
        app.inventory.revert_hold(taken.change, app.now());
        app.metrics.holds_failed.inc();
        // The verdict is as true as without a store. What cannot be recorded is not promised.
        Ok(taken.checked)
    }
}

impl Command for EndHold {
    type Answer = ();
    type Taken = (Self, HoldChange);

    async fn replay(&self, _: &App) -> Result<Option<()>, OrderError> {
        Ok(None)
    }

    async fn decide(self, app: &App) -> Result<Decided<Self>, OrderError> {
        let now = app.now();
        let change = match self.reason {
            ReleaseReason::Released => app.inventory.release_hold(self.cart),
            // It may have been renewed since it was found expired.
            ReleaseReason::Expired => app.inventory.expire_hold(self.cart, now),
        };
        let Some(change) = change else {
            return Ok(Decided::Answer(()));
        };
        let unit =
            UnitOfWork::write(released(self.cart, now, self.reason)).requiring(standing(&change));
        Ok(Decided::Change(unit, (self, change)))
    }

    fn apply(app: &App, _: UnitOfWork, (_, change): Self::Taken) -> Result<(), OrderError> {
        app.inventory.apply_hold(change, app.now());
        Ok(())
    }

    async fn revert(
        app: &App,
        _: UnitOfWork,
        (command, change): Self::Taken,
    ) -> Result<Self, OrderError> {
        app.inventory.revert_hold(change, app.now());
        Ok(command)
    }

    async fn fail(
        app: &App,
        _: UnitOfWork,
        (_, change): Self::Taken,
        failure: CommitFailure,
    ) -> Result<(), OrderError> {
        app.inventory.revert_hold(change, app.now());
        Err(failure.into_error())
    }
}

/// The record of a hold that is placed.
fn placed(
    command: &HoldCart,
    checked: &Checked,
    next: &NextHold,
    cart: CartKey,
    claims: Vec<NamedClaim>,
) -> Write {
    let items = &checked.fulfillability.items;
    let mut lines = Vec::with_capacity(items.len());
    for item in items {
        let LineItem {
            service_id,
            start_sec,
            duration_sec,
            tickets,
            price,
            answers: _,
        } = &item.line;
        lines.push(LineItem {
            service_id: service_id.clone(),
            start_sec: *start_sec,
            duration_sec: *duration_sec,
            tickets: tickets.clone(),
            price: price.clone(),
            // They are personal data, and a hold needs none.
            answers: None,
        });
    }
    Write::HoldPlaced(Box::new(HoldRecord {
        id: hold_id(cart),
        revision: next.revision,
        owner: command.user.as_ref().map(|user| Arc::clone(user.name())),
        merchant_id: command.cart.merchant_id.clone(),
        lines,
        claims,
        placed_sec: next.placed_sec,
        expires_sec: next.expires_sec,
        used: next.used(),
    }))
}

/// The record of a hold that ends.
pub(super) fn released(cart: CartKey, released_sec: EpochSeconds, reason: ReleaseReason) -> Write {
    Write::HoldReleased {
        id: hold_id(cart),
        released_sec,
        reason,
    }
}

/// The hold that a change was decided on.
fn standing(change: &HoldChange) -> Precondition {
    Precondition::HoldRevision {
        id: hold_id(change.cart()),
        revision: change.revision(),
    }
}

/// The id of a cart's hold.
pub(super) fn hold_id(cart: CartKey) -> HoldId {
    HoldId(cart.0)
}

impl App {
    /// Whether a check of this cart may change what it holds. No other check writes anything.
    pub(super) fn may_hold(&self, cart: &Cart, key: CartKey) -> bool {
        let catalog = &self.active.load().catalog;
        let Some(merchant) = catalog.merchant_ix(&cart.merchant_id) else {
            // Such a check is rejected and changes nothing.
            return false;
        };
        // A check replaces what its cart held, also where this merchant has no cart holds: the hold may be
        // another merchant's, or from before a reload that switched holds off.
        catalog.merchant(merchant).cart_hold.is_some() || self.inventory.knows_cart(key)
    }

    /// Assesses a cart by a revision of the catalogue and begins to hold its spots in the same step.
    fn hold_by(
        &self,
        active: &ActiveCatalog,
        command: &HoldCart,
        is_ordered: bool,
    ) -> Result<Held, AttemptError> {
        let (cart, key) = (&command.cart, command.key);
        let viewer = self.viewer(Some(key));
        let asked = Asked::new(
            active,
            &cart.merchant_id,
            &cart.items,
            viewer,
            Purpose::Check,
        )?;
        let time = active.catalog.merchant(asked.merchant).cart_hold;
        let time = time.filter(|_| !is_ordered);
        let (judgement, change) = self.inventory.hold(
            active.revision,
            &asked.keys,
            key,
            viewer.now,
            time,
            |open| {
                let mut judgement = self.judge(&asked, open);
                let claims = std::mem::take(&mut judgement.claims);
                // A cart holds all of its spots or none.
                match judgement.verdict {
                    OrderVerdict::CanFulfill => (judgement, claims),
                    OrderVerdict::UnfulfillableItems
                    | OrderVerdict::UnfulfillableServices(_)
                    | OrderVerdict::Other(_) => (judgement, Vec::new()),
                }
            },
        )?;
        let next = change.as_ref().and_then(HoldChange::next);
        // By the catalogue of the decision: an index is a name in that one only.
        let claims = next.map_or_else(Vec::new, |next| named(&active.catalog, &next.claims));
        Ok(Held {
            // Copied: a decision that is stale is made again.
            checked: checked(judgement, cart.items.clone()),
            change,
            claims,
        })
    }

    /// Records the ends of the holds that have expired. A hold that only its clock has ended would come back if the
    /// clock were set back.
    pub(super) async fn expire_holds(&self) {
        // Each of these commits would fail.
        if !self.store.health().borrow().is_ready() {
            return;
        }
        stream::iter(self.inventory.expired(self.now()))
            .for_each_concurrent(EXPIRED_AT_ONCE, |cart| self.expire_hold(cart))
            .await;
    }

    async fn expire_hold(&self, cart: CartKey) {
        let stored = match self.store.find_hold(hold_id(cart)).get().await {
            Ok(Some(stored)) => stored,
            Ok(None) => return,
            Err(error) => {
                self.read_failed(&error);
                return;
            }
        };
        let request = RequestKey::of_cart(cart, stored.hold.owner.as_deref());
        // A cart that is being checked or ordered is left to the next sweep.
        if let TokenLock::Acquired(guard) = self.tokens.try_lock(request, LockedFor::Hold) {
            let reason = ReleaseReason::Expired;
            // An error is logged where it occurs, and the next sweep tries again.
            let _ = self.execute(guard, EndHold { cart, reason }).await;
        }
    }
}
