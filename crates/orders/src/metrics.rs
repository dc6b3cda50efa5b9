//! Metrics of the use cases, counted from the start of the process.

use std::collections::BTreeMap;

use dashmap::{DashMap, mapref::multiple::RefMulti};

use super::{Created, check::Checked};
use domain::{
    failure::{FailureCause, OrderFailure},
    fulfillability::OrderVerdict,
    ids::MerchantId,
};
use kernel::metrics::Counter;
use store::PaymentOutcome;

/// The metrics of the use cases.
#[derive(Debug, Default)]
pub struct OrderMetrics {
    /// Checks of carts.
    pub checks: CheckMetrics,
    /// Orders created, each counted when it is on record.
    pub orders_created: Counter,
    /// Requests answered with the order that the same request had created before.
    pub orders_replayed: Counter,
    /// Orders that were not created.
    pub orders_failed: FailureMetrics,
    /// Spots of the orders created.
    pub spots_sold: Counter,
    /// Orders and spots of each merchant who has sold anything.
    pub merchants: MetricsByMerchant,
    /// Payments that have ended.
    pub payments: PaymentMetrics,
}

/// What each merchant has sold.
#[derive(Debug, Default)]
pub struct MetricsByMerchant(DashMap<MerchantId, MerchantMetrics>);

#[derive(Debug, Default)]
struct MerchantMetrics {
    orders: Counter,
    spots: Counter,
}

/// Carts by verdict.
#[derive(Debug, Default)]
pub struct CheckMetrics {
    /// All of it can be sold.
    pub can_fulfill: Counter,
    /// An item cannot.
    pub line_item: Counter,
    /// The set of services cannot.
    pub service_combination: Counter,
    /// Anything else.
    pub other: Counter,
}

/// Orders that were not created, by cause.
#[derive(Debug, Default)]
pub struct FailureMetrics {
    /// The order cannot be fulfilled.
    pub unfulfillable: Counter,
    /// The merchant does not take that kind of card.
    pub card_type_rejected: Counter,
    /// The card was declined.
    pub card_declined: Counter,
    /// Another error of the payment.
    pub payment: Counter,
    /// The stated fee total is wrong.
    pub incorrect_fee_total: Counter,
    /// The bank requires a 3-D Secure challenge.
    pub requires_3ds1: Counter,
}

/// Payments by outcome.
#[derive(Debug, Default)]
pub struct PaymentMetrics {
    /// The charge was captured.
    pub captured: Counter,
    /// Nothing was taken.
    pub declined: Counter,
    /// The outcome was unknown, and the charge was voided.
    pub voided: Counter,
    /// The outcome was unknown, and the charge was refunded.
    pub refunded: Counter,
}

impl MetricsByMerchant {
    fn count(&self, merchant_id: &MerchantId, spots: u64) {
        let count = |sales: &MerchantMetrics| {
            sales.orders.inc();
            sales.spots.add(spots);
        };
        // Only the first order of a merchant needs a write lock and a clone of the id.
        if let Some(sales) = self.0.get(merchant_id) {
            return count(&sales);
        }
        count(&self.0.entry(merchant_id.clone()).or_default());
    }

    /// The orders and the spots that each merchant has sold, by id.
    #[must_use]
    pub fn read(&self) -> BTreeMap<MerchantId, (u64, u64)> {
        let sales = |entry: RefMulti<'_, MerchantId, MerchantMetrics>| {
            (entry.key().clone(), (entry.orders.get(), entry.spots.get()))
        };
        self.0.iter().map(sales).collect()
    }
}

impl OrderMetrics {
    pub(super) fn count_check(&self, checked: &Checked) {
        let verdicts = &self.checks;
        match checked.fulfillability.verdict {
            OrderVerdict::CanFulfill => &verdicts.can_fulfill,
            OrderVerdict::UnfulfillableItems => &verdicts.line_item,
            OrderVerdict::UnfulfillableServices(_) => &verdicts.service_combination,
            OrderVerdict::Other(_) => &verdicts.other,
        }
        .inc();
    }

    pub(super) fn count_order(&self, merchant_id: &MerchantId, spots: u64) {
        self.orders_created.inc();
        self.spots_sold.add(spots);
        self.merchants.count(merchant_id, spots);
    }

    pub(super) fn count_failure(&self, created: &Created) {
        let Err(OrderFailure {
            cause,
            description: _,
        }) = created
        else {
            return;
        };
        let causes = &self.orders_failed;
        match cause {
            FailureCause::Unfulfillable(_) => &causes.unfulfillable,
            FailureCause::CardTypeRejected(_) => &causes.card_type_rejected,
            FailureCause::CardDeclined => &causes.card_declined,
            FailureCause::Payment => &causes.payment,
            FailureCause::IncorrectFeeTotal => &causes.incorrect_fee_total,
            FailureCause::Requires3ds1(_) => &causes.requires_3ds1,
        }
        .inc();
    }

    pub(super) fn count_payment(&self, outcome: PaymentOutcome) {
        let payments = &self.payments;
        match outcome {
            PaymentOutcome::Captured => &payments.captured,
            PaymentOutcome::Declined => &payments.declined,
            PaymentOutcome::Voided => &payments.voided,
            PaymentOutcome::Refunded => &payments.refunded,
        }
        .inc();
    }
}
