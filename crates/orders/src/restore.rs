//! Holds and pending payments of the last run, put in force again at startup.

use super::{hold::released, indexed};
use domain::{
    catalog::Catalog,
    ids::MerchantId,
    slot::CartKey,
    time::{EpochSeconds, Seconds},
};
use inventory::{Inventory, Reservation, RestoredHold};
use store::{HoldRecord, PaymentIntent, ReleaseReason, UnitOfWork};

/// Ends of holds in one unit of work.
const ENDS_PER_UNIT: usize = 256;

/// The holds that were put in force.
#[derive(Debug, Default)]
pub(super) struct RestoredHolds {
    pub(super) count: usize,
    expired: Vec<CartKey>,
}

impl RestoredHolds {
    /// Puts the holds in force that last at this moment, and did when the holds after them were placed.
    pub(super) fn restore(
        holds: Vec<HoldRecord>,
        catalog: &mut Catalog,
        inventory: &Inventory,
        now: EpochSeconds,
    ) -> Self {
        let mut restored = Self::default();
        let mut placed_after = EpochSeconds::MIN;
        // The last one first: a hold that was over by the clock when a later one was placed may have left that its spots. Under
        // a clock that was set back since, it would take them again.
        for record in holds.into_iter().rev() {
            let was_over = record.expires_sec <= placed_after;
            placed_after = placed_after.max(record.placed_sec);
            let hold = RestoredHold {
                cart: CartKey(record.id.0),
                revision: record.revision,
                claims: indexed(catalog.ids_mut(), &record.claims),
                placed_sec: record.placed_sec,
                expires_sec: record.expires_sec,
                used: record.used,
                pause: pause(catalog, &record),
            };
            // By the span, as everywhere: it also ends the hold of a clock that was set far back.
            if hold.span().is_on(now) && !was_over {
                restored.count += 1;
                inventory.restore_hold(hold);
            } else {
                restored.expired.push(hold.cart);
            }
        }
        restored
    }

    /// The records of the ends of those that have expired.
    pub(super) fn ends(&self, now: EpochSeconds) -> impl Iterator<Item = UnitOfWork> + '_ {
        self.expired.chunks(ENDS_PER_UNIT).map(move |carts| {
            let mut unit = UnitOfWork::default();
            for cart in carts {
                unit.writes
                    .push(released(*cart, now, ReleaseReason::Expired));
            }
            unit
        })
    }
}

/// The payments that are pending, each with the reservation of its order.
pub(super) fn reserve_pending(
    pending: Vec<PaymentIntent>,
    catalog: &mut Catalog,
    inventory: &Inventory,
    now: EpochSeconds,
) -> Vec<(PaymentIntent, Reservation)> {
    let mut reserved = Vec::with_capacity(pending.len());
    for intent in pending {
        // Interned while the catalogue is still mutable; it is shared and immutable from here on. The store has recovered
        // the spots of orders only.
        let reservation = pending_reservation(&intent, catalog, inventory, now);
        reserved.push((intent, reservation));
    }
    reserved
}

/// The reservation of an order whose payment is pending. It has consumed the hold of its cart, so that its spots are not
/// counted twice.
pub(super) fn pending_reservation(
    intent: &PaymentIntent,
    catalog: &mut Catalog,
    inventory: &Inventory,
    now: EpochSeconds,
) -> Reservation {
    let claims = indexed(catalog.ids_mut(), &intent.claims);
    let cart = intent.hold.map(|hold| CartKey(hold.0));
    inventory.restore_reservation(claims, cart, now)
}

/// How long a cart has to hold nothing before its time for holds starts again: by the catalogue, as for a hold that is
/// placed now, or else the length of its last hold.
fn pause(catalog: &Catalog, record: &HoldRecord) -> Seconds {
    let merchant_id: &MerchantId = &record.merchant_id;
    let time = catalog
        .merchant_ix(merchant_id)
        .and_then(|merchant| catalog.merchant(merchant).cart_hold);
    time.map_or_else(
        || record.expires_sec.since(record.placed_sec),
        |time| time.each,
    )
}
