//! What a run may know beside the order.

use crate::{
    ids::{MerchantId, ServiceId},
    order::IntakeAnswer,
    refunds::{Bill, RefundFees},
    shipment::DeliveryType,
    slot::Confirmation,
    time::EpochSeconds,
};

/// What is known of an order beside its tree, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The moment.
    pub now: EpochSeconds,
    /// The sales channel: `google`, `oms`.
    pub channel: &'a str,
    /// The merchant.
    pub merchant: &'a MerchantId,
    /// How tickets reach the customer.
    pub delivery: DeliveryType,
    /// The line items, in the order of the order.
    pub items: &'a [ItemFacts<'a>],
    /// What the order was billed, if this server charges.
    pub bill: Option<&'a Bill>,
    /// What happens to the fees of items that are given back.
    pub refund_fees: RefundFees,
    /// When the gateway lets go of what is authorized.
    pub authorization_ends: Option<EpochSeconds>,
}

/// What is known of a line item.
#[derive(Debug, Clone, Copy)]
pub struct ItemFacts<'a> {
    /// Its service.
    pub service: &'a ServiceId,
    /// Start of its slot.
    pub start: EpochSeconds,
    /// End of its slot.
    pub end: EpochSeconds,
    /// The spots that it takes.
    pub spots: u32,
    /// The spots that are open in its slot.
    pub spots_open: u32,
    /// Who confirms it.
    pub confirmation: Confirmation,
    /// Answers to the questions of the service.
    pub answers: &'a [IntakeAnswer],
}
