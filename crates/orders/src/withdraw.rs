//! Withdrawal of a slot: nothing more is sold of it, and everything that was sold is taken back, order by order.
//!
//! The block comes first. Orders that had their spots before it, and were not on record when the orders were searched, are
//! followed: until every spot that is sold belongs to an order that was found, the newest orders are searched again.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use super::{
    App, MerchantScope, OrderError,
    block::{BlockRequest, key_of},
    update::{
        ChangeError, ChangeMode, ChangeRequest, OrderChange, WithdrawnSpots, held_spots, items_of,
    },
};
use domain::{order::OrderId, slot::BlockedSpots};
use kernel::{blocking, user::User};
use store::{Fingerprint, ListedOrder, NamedSlot, OrderPlace, Selection, SlotName, StoredOrder};

/// The pause before orders in flight are looked for again.
const PAUSE: Duration = Duration::from_millis(50);

/// How long orders in flight are followed: longer than a charge takes.
const FOLLOWED: Duration = Duration::from_secs(30);

/// Orders named in an error at most.
const MAX_NAMED: usize = 10;

/// Everything that was sold of a slot is to be withdrawn.
#[derive(Debug, Clone)]
pub struct SlotWithdrawal {
    /// The slot.
    pub slot: SlotName,
    /// Why, in words. All customers are told; it needs no personal data.
    pub reason: String,
    /// A UUID. The same request again has the same orders, as they stood then, and goes on where it has ended.
    pub request_id: String,
    /// Digest of caller, method and request, which tells a repetition from another request under the same id.
    pub fingerprint: Fingerprint,
    /// The user, where the server knows its users. One who does not act for the merchant finds no slot.
    pub user: Option<Arc<User>>,
    /// Whether it is asked for in earnest.
    pub mode: ChangeMode,
}

/// The orders of which something was withdrawn, each as soon as that is on record, and the error that ends the withdrawal if
/// one does. There is no bound: a withdrawal does not wait for who reads of it, and a slot has few orders.
pub type WithdrawnOrders = mpsc::UnboundedReceiver<Result<Box<StoredOrder>, ChangeError>>;

impl App {
    /// Blocks a slot and withdraws all that was sold of it. When this returns, nothing more is sold of the slot; the orders
    /// follow. A caller who is gone cancels nothing.
    ///
    /// # Errors
    /// [`ChangeError`]: then nothing has changed, except where it is [`OrderError::StoreFailed`].
    pub async fn withdraw_slot(
        self: &Arc<Self>,
        withdrawal: SlotWithdrawal,
        deadline: Instant,
    ) -> Result<WithdrawnOrders, ChangeError> {
        let slot = match withdrawal.mode {
            ChangeMode::Commit => self.close(&withdrawal, deadline).await?,
            ChangeMode::ValidateOnly => {
                let scope = MerchantScope::of(withdrawal.user.as_ref());
                let slot = self.find_slot(&withdrawal.slot, &scope).await?;
                self.check_request(&slot, &withdrawal).await?;
                slot
            }
        };
        let (sender, orders) = mpsc::unbounded_channel();
        let walk = SlotWalk {
            app: Arc::clone(self),
            slot,
            withdrawal,
            found: sender,
            newest: None,
            kept: Vec::new(),
        };
        let work = self.complete(async move {
            walk.run().await;
            Ok(())
        })?;
        // In a task of its own: orders are told while others are still withdrawn.
        tokio::spawn(async move {
            // It tells its error by itself.
            let _: Result<(), OrderError> = work.await;
        });
        Ok(orders)
    }

    /// Rejects a dry run under the id of another request for the slot, as the request in earnest would be.
    async fn check_request(
        &self,
        slot: &NamedSlot,
        withdrawal: &SlotWithdrawal,
    ) -> Result<(), ChangeError> {
        let answered = self.answered_block(slot, &withdrawal.request_id).await?;
        let answer = answered.and_then(|block| block.answer);
        if answer.is_some_and(|answer| answer.fingerprint != withdrawal.fingerprint) {
            return Err(ChangeError::RequestReused);
        }
        Ok(())
    }

    /// Takes everything of the slot off sale that is not sold.
    async fn close(
        self: &Arc<Self>,
        withdrawal: &SlotWithdrawal,
        deadline: Instant,
    ) -> Result<NamedSlot, ChangeError> {
        let request = BlockRequest {
            slot: withdrawal.slot.clone(),
            spots: BlockedSpots::All,
            reason: withdrawal.reason.clone(),
            request_id: withdrawal.request_id.clone(),
            fingerprint: withdrawal.fingerprint,
            user: withdrawal.user.clone(),
        };
        let slot = self.set_block(request, deadline).await?;
        let in_force = self.blocks.find(&slot).map(|block| block.spots);
        if in_force != Some(BlockedSpots::All) {
            // Somebody has put spots on sale since the first time: who has bought them is not meant by a repetition.
            return Err(ChangeError::BlockReplaced);
        }
        Ok(slot)
    }

    /// Spots that are sold of a slot, those of orders in flight among them.
    fn sold_of(&self, slot: &NamedSlot) -> u64 {
        let mut sold = 0;
        let key = key_of(self.catalog().ids(), slot);
        self.inventory.visit(key, |_, slot| sold = slot.sold());
        sold
    }

    /// The orders with a claim on a slot that were committed after the one at a place, oldest first.
    async fn orders_after(
        self: &Arc<Self>,
        slot: &NamedSlot,
        place: Option<OrderPlace>,
    ) -> Result<Vec<ListedOrder>, OrderError> {
        let app = Arc::clone(self);
        let selection = Selection::Slot(SlotName {
            merchant_id: slot.merchant_id.clone(),
            service_id: slot.service_id.clone(),
            start_sec: slot.start_sec,
            duration_sec: Some(slot.duration_sec),
        });
        let read = move || {
            let mut orders = Vec::new();
            let listed = app.store.list(&selection, None, &|_| true, &mut |order| {
                if Some(order.place) <= place {
                    return ControlFlow::Break(());
                }
                orders.push(order);
                ControlFlow::Continue(())
            });
            listed.map(|()| orders)
        };
        let read = blocking::run(read).await?;
        let mut orders = read.map_err(|error| self.read_failed(&error))?;
        orders.reverse();
        Ok(orders)
    }
}

/// A withdrawal under way.
struct SlotWalk {
    app: Arc<App>,
    slot: NamedSlot,
    withdrawal: SlotWithdrawal,
    found: mpsc::UnboundedSender<Result<Box<StoredOrder>, ChangeError>>,
    /// The newest order that was found.
    newest: Option<OrderPlace>,
    /// The orders that keep spots of the slot.
    kept: Vec<OrderId>,
}

impl SlotWalk {
    async fn run(mut self) {
        if let Err(error) = self.walk().await {
            // Nobody listens any more; the log has what has failed.
            let _ = self.found.send(Err(error));
        }
    }

    async fn walk(&mut self) -> Result<(), ChangeError> {
        let until = Instant::now() + FOLLOWED;
        loop {
            self.withdraw_found().await?;
            if self.withdrawal.mode == ChangeMode::ValidateOnly || self.is_settled().await? {
                break;
            }
            if Instant::now() >= until {
                return Err(ChangeError::SpotsInFlight);
            }
            tokio::time::sleep(PAUSE).await;
        }
        let mut kept = self.kept.iter().map(OrderId::as_str);
        let named: Vec<&str> = kept.by_ref().take(MAX_NAMED).collect();
        if named.is_empty() {
            return Ok(());
        }
        Err(ChangeError::OrdersKept {
            count: self.kept.len(),
            named: named.join(", "),
        })
    }

    /// Withdraws what was found since the last time.
    async fn withdraw_found(&mut self) -> Result<(), ChangeError> {
        let orders = self.app.orders_after(&self.slot, self.newest).await?;
        for listed in orders {
            self.newest = self.newest.max(Some(listed.place));
            self.withdraw(&listed).await?;
        }
        Ok(())
    }

    /// Withdraws the items of an order that are in the slot.
    async fn withdraw(&mut self, listed: &ListedOrder) -> Result<(), ChangeError> {
        let order = listed.order.id.clone();
        let items = items_of(listed, &self.slot);
        let request = ChangeRequest {
            request_id: id_for(&self.withdrawal.request_id, &order),
            fingerprint: fingerprint_for(&self.withdrawal.fingerprint, &order),
            order: order.clone(),
            expected_revision: None,
            user: self.withdrawal.user.clone(),
            mode: self.withdrawal.mode,
        };
        let changed = if items.is_empty() {
            // It was withdrawn by this request, which its history knows, or has given its spots back before.
            let answered = self.app.answered_change(&request).await?;
            let Some(answered) = answered else {
                return Ok(());
            };
            answered
        } else {
            let change = OrderChange::Withdraw {
                items,
                spots: WithdrawnSpots::ForSale,
                reason: self.withdrawal.reason.clone(),
            };
            let deadline = Instant::now() + FOLLOWED;
            self.app.change_order(request, change, deadline).await
        };
        match changed {
            Ok(stored) => {
                // The caller may be gone; that ends nothing.
                let _ = self.found.send(Ok(stored));
                Ok(())
            }
            Err(error @ (ChangeError::Order(_) | ChangeError::Contended)) => Err(error),
            Err(error) => {
                // A dry run has withdrawn nothing.
                if self.withdrawal.mode == ChangeMode::Commit {
                    tracing::warn!(order_id = order.as_str(), %error, "an order keeps the spots of a withdrawn slot");
                }
                self.kept.push(order);
                Ok(())
            }
        }
    }

    /// Whether every spot that is sold belongs to an order that keeps it.
    async fn is_settled(&mut self) -> Result<bool, ChangeError> {
        // Before and after the orders are read: an order that gives its spots back meanwhile must not hide one in flight.
        let before = self.app.sold_of(&self.slot);
        let mut held = 0;
        let mut kept = Vec::new();
        for order in &self.kept {
            let stored = self.app.stored_order(order).await?;
            let spots = stored.map_or(0, |stored| held_spots(&stored, &self.slot));
            held += spots;
            if spots > 0 {
                kept.push(order.clone());
            }
        }
        self.kept = kept;
        Ok(before == held && self.app.sold_of(&self.slot) == held)
    }
}

/// The request id of the withdrawal of one order.
fn id_for(request_id: &str, order: &OrderId) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(request_id.as_bytes());
    hasher.update(order.as_str().as_bytes());
    let hex = hasher.finalize().to_hex();
    let (head, middle, tail) = (&hex[..8], &hex[8..12], &hex[20..32]);
    // Version 8, for ids of one's own making, and the variant of RFC 9562.
    format!("{head}-{middle}-8{}-8{}-{tail}", &hex[13..16], &hex[17..20])
}

/// The fingerprint of the withdrawal of one order: a repetition has the same one, whatever is left of the order.
fn fingerprint_for(request: &Fingerprint, order: &OrderId) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(request);
    hasher.update(order.as_str().as_bytes());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
