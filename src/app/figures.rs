//! What has come of the work since the process began, counted.

use std::collections::BTreeMap;

use dashmap::{DashMap, mapref::multiple::RefMulti};

use super::{Created, check::Checked};
use crate::{
    domain::{
        failure::{FailureCause, OrderFailure},
        fulfillability::OrderResult,
        ids::MerchantId,
    },
    figures::Count,
    store::PaymentOutcome,
};

/// What the use cases have come to.
#[derive(Debug, Default)]
pub struct Figures {
    /// Carts that were looked at.
    pub checks: Verdicts,
    /// Orders created, each counted when it is on record.
    pub orders_created: Count,
    /// Requests answered with the order that the same request had created before.
    pub orders_replayed: Count,
    /// Orders that were not created.
    pub orders_failed: Causes,
    /// Spots of the orders created.
    pub spots_sold: Count,
    /// Orders and spots of each merchant who has sold anything.
    pub merchants: SalesByMerchant,
    /// Payments that have ended.
    pub payments: Payments,
}

/// What each merchant has sold.
#[derive(Debug, Default)]
pub struct SalesByMerchant(DashMap<MerchantId, MerchantSales>);

#[derive(Debug, Default)]
struct MerchantSales {
    orders: Count,
    spots: Count,
}

/// Carts by verdict.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// All of it can be sold.
    pub can_fulfill: Count,
    /// An item cannot.
    pub line_item: Count,
    /// The set of services cannot.
    pub service_combination: Count,
    /// Anything else.
    pub other: Count,
}

/// Orders that were not created, by cause.
#[derive(Debug, Default)]
pub struct Causes {
    /// The order cannot be fulfilled.
    pub unfulfillable: Count,
    /// The merchant does not take that kind of card.
    pub card_type_rejected: Count,
    /// The card was declined.
    pub card_declined: Count,
    /// Another error of the payment.
    pub payment: Count,
    /// The stated fee total is wrong.
    pub incorrect_fee_total: Count,
    /// The bank wants to see the customer first.
    pub requires_3ds1: Count,
}

/// Payments by how they ended.
#[derive(Debug, Default)]
pub struct Payments {
    /// The money is ours.
    pub captured: Count,
    /// Nothing was taken.
    pub declined: Count,
    /// The outcome was unknown, and nothing is taken.
    pub voided: Count,
    /// Money had been taken and is given back.
    pub refunded: Count,
}

impl SalesByMerchant {
    fn count(&self, merchant_id: &MerchantId, spots: u64) {
        let count = |sales: &MerchantSales| {
            sales.orders.one();
            sales.spots.add(spots);
        };
        // Only the first order of a merchant has to make room for it.
        if let Some(sales) = self.0.get(merchant_id) {
            return count(&sales);
        }
        count(&self.0.entry(merchant_id.clone()).or_default());
    }

    /// The orders and the spots that each merchant has sold, by id.
    #[must_use]
    pub fn read(&self) -> BTreeMap<MerchantId, (u64, u64)> {
        let sales = |entry: RefMulti<'_, MerchantId, MerchantSales>| {
            (entry.key().clone(), (entry.orders.get(), entry.spots.get()))
        };
        self.0.iter().map(sales).collect()
    }
}

impl Figures {
    pub(super) fn count_check(&self, checked: &Checked) {
        let verdicts = &self.checks;
        match checked.fulfillability.result {
            OrderResult::CanFulfill => &verdicts.can_fulfill,
            OrderResult::UnfulfillableLineItem => &verdicts.line_item,
            OrderResult::UnfulfillableServiceCombination => &verdicts.service_combination,
            OrderResult::OtherReason => &verdicts.other,
        }
        .one();
    }

    pub(super) fn count_order(&self, merchant_id: &MerchantId, spots: u64) {
        self.orders_created.one();
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
        .one();
    }

    pub(super) fn count_payment(&self, outcome: PaymentOutcome) {
        let payments = &self.payments;
        match outcome {
            PaymentOutcome::Captured => &payments.captured,
            PaymentOutcome::Declined => &payments.declined,
            PaymentOutcome::Voided => &payments.voided,
            PaymentOutcome::Refunded => &payments.refunded,
        }
        .one();
    }
}
