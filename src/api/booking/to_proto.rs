//! Conversion of outcomes of the application into messages of the contract.
//!
//! A message is written out whole, field by field, so that a new field of the contract cannot be
//! forgotten here.

use super::proto::v3;
use domain::{availability::SeenSlot, order::Order, time::EpochSeconds};
use orders::{Checked, Created, SlotLookup};

mod availability;
mod failure;
mod fulfillability;
mod order;
mod payment;

pub use order::order;

/// The response to a check of a cart.
#[must_use]
pub fn check_response(checked: Checked) -> v3::CheckOrderFulfillabilityResponse {
    let Checked {
        fulfillability: verdict,
        fees: table,
        hold_expires_sec,
    } = checked;
    v3::CheckOrderFulfillabilityResponse {
        fees_and_taxes: Some(fulfillability::price(table.total)),
        fees: Some(fulfillability::fees(table)),
        cart_expiration_sec: hold_expires_sec.map_or(0, EpochSeconds::get),
        fulfillability: Some(fulfillability::fulfillability(verdict)),
    }
}

/// The response to CreateOrder.
#[must_use]
pub fn create_response(created: Created) -> v3::CreateOrderResponse {
    use v3::create_order_response::Result as Wire;
    let result = match created {
        Ok(created) => Wire::Order(Box::new(order::order(*created))),
        Err(cause) => Wire::OrderFailure(failure::order_failure(cause)),
    };
    v3::CreateOrderResponse {
        result: Some(result),
    }
}

/// A list of orders.
#[must_use]
pub fn list_response(orders: Vec<Order>) -> v3::ListOrdersResponse {
    v3::ListOrdersResponse {
        order: orders.into_iter().map(order::order).collect(),
    }
}

/// The response to a look-up of slots.
#[must_use]
pub fn lookup_response(seen: Vec<SeenSlot>) -> v3::BatchAvailabilityLookupResponse {
    let slot_time_availability = seen
        .into_iter()
        .map(availability::slot_time_availability)
        .collect();
    v3::BatchAvailabilityLookupResponse {
        slot_time_availability,
    }
}

/// The response with the spots of one slot. Deprecated fields beside their number stay empty, and
/// no other slot was asked for.
#[must_use]
pub fn availability_response(asked: SlotLookup, spots_open: u32) -> v3::CheckAvailabilityResponse {
    #[expect(
        deprecated,
        reason = "the message is written out whole, old fields included"
    )]
    v3::CheckAvailabilityResponse {
        slot: Some(availability::slot(asked)),
        count_available: clamped(spots_open),
        last_online_cancellable_sec: 0,
        duration_requirement: 0,
        availability_update: None,
    }
}

/// Counts on the wire are signed.
fn clamped(count: u32) -> i32 {
    // Saturates: that many spots are as good as any number to a client.
    i32::try_from(count).unwrap_or(i32::MAX)
}
