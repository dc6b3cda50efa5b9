//! Metrics of the use cases, counted from the start of the process.

use std::collections::BTreeMap;

use dashmap::{DashMap, mapref::multiple::RefMulti};

use super::{App, Created, check::Checked};
use domain::{failure::FailureCause, fulfillability::OrderVerdict, ids::MerchantId};
use kernel::metrics::{Collect, Counter, Metric, Samples};
use store::PaymentOutcome;

mod after_sale;

pub use after_sale::AfterSaleMetrics;
pub(crate) use after_sale::UpdateCounts;

/// The metrics of the use cases.
#[derive(Debug, Default)]
pub struct OrderMetrics {
    /// Checks of carts.
    pub checks: CheckMetrics,
    /// Checks answered without a hold, because it could not be recorded.
    pub holds_failed: Counter,
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
    /// What happens to orders after their sale.
    pub after_sale: AfterSaleMetrics,
}

/// Orders and spots by merchant.
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
        let Err(cause) = created else {
            return;
        };
        let causes = &self.orders_failed;
        match cause {
            FailureCause::Unfulfillable(_) => &causes.unfulfillable,
            FailureCause::CardTypeRejected(_) => &causes.card_type_rejected,
            FailureCause::CardDeclined => &causes.card_declined,
            FailureCause::Payment(_) => &causes.payment,
            FailureCause::IncorrectFeeTotal { .. } => &causes.incorrect_fee_total,
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

impl Collect for OrderMetrics {
    const METRICS: &'static [Metric<Self>] = &[
        Metric::<Self>::counter(
            "boxoffice_checks_total",
            "Carts checked, by verdict.",
            |metrics, samples| {
                let checks = &metrics.checks;
                samples.add_with(["CAN_FULFILL"], &checks.can_fulfill);
                samples.add_with(["UNFULFILLABLE_LINE_ITEM"], &checks.line_item);
                samples.add_with(
                    ["UNFULFILLABLE_SERVICE_COMBINATION"],
                    &checks.service_combination,
                );
                samples.add_with(["ORDER_UNFULFILLABLE_OTHER_REASON"], &checks.other);
            },
        )
        .by(&["result"]),
        Metric::<Self>::counter(
            "boxoffice_holds_failed_total",
            "Checks answered without a hold, because it could not be recorded.",
            |metrics, samples| samples.add(&metrics.holds_failed),
        ),
        Metric::<Self>::counter(
            "boxoffice_orders_created_total",
            "Orders created and on record.",
            |metrics, samples| samples.add(&metrics.orders_created),
        ),
        Metric::<Self>::counter(
            "boxoffice_orders_replayed_total",
            "Requests answered with the recorded order of their token.",
            |metrics, samples| samples.add(&metrics.orders_replayed),
        ),
        Metric::<Self>::counter(
            "boxoffice_orders_failed_total",
            "Orders not created, by the cause in the answer.",
            |metrics, samples| {
                let causes = &metrics.orders_failed;
                samples.add_with(["ORDER_UNFULFILLABLE"], &causes.unfulfillable);
                samples.add_with(
                    ["PAYMENT_ERROR_CARD_TYPE_REJECTED"],
                    &causes.card_type_rejected,
                );
                samples.add_with(["PAYMENT_ERROR_CARD_DECLINED"], &causes.card_declined);
                samples.add_with(["PAYMENT_ERROR"], &causes.payment);
                samples.add_with(["INCORRECT_FEE_TOTAL"], &causes.incorrect_fee_total);
                samples.add_with(["PAYMENT_REQUIRES_3DS1"], &causes.requires_3ds1);
            },
        )
        .by(&["cause"]),
        Metric::<Self>::counter(
            "boxoffice_spots_sold_total",
            "Spots of the orders created.",
            |metrics, samples| samples.add(&metrics.spots_sold),
        ),
        Metric::<Self>::counter(
            "boxoffice_payments_total",
            "Charges at the gateway, by outcome.",
            |metrics, samples| {
                let payments = &metrics.payments;
                samples.add_with(["captured"], &payments.captured);
                samples.add_with(["declined"], &payments.declined);
                samples.add_with(["voided"], &payments.voided);
                samples.add_with(["refunded"], &payments.refunded);
            },
        )
        .by(&["outcome"]),
    ];
}

impl Collect for App {
    const METRICS: &'static [Metric<Self>] = &[
        Metric::<Self>::counter(
            "boxoffice_merchant_orders_created_total",
            "Orders created, by merchant of the catalogue, of those who have sold anything since the start.",
            |app, samples| add_by_merchant(app, samples, |(orders, _)| orders),
        )
        .by(&["merchant_id"]),
        Metric::<Self>::counter(
            "boxoffice_merchant_spots_sold_total",
            "Spots of those orders.",
            |app, samples| add_by_merchant(app, samples, |(_, spots)| spots),
        )
        .by(&["merchant_id"]),
        Metric::<Self>::counter(
            "boxoffice_order_transitions_total",
            "Changes of state of orders and their parts after the sale, by the state entered.",
            |app, samples| {
                let lifecycle = app.lifecycle();
                let definition = lifecycle.definition();
                app.metrics.after_sale.add_transitions(definition, samples);
            },
        )
        .by(&["entity", "state"]),
        Metric::<Self>::counter(
            "boxoffice_order_alerts_total",
            "Alerts of orders that the lifecycle has raised, by name.",
            |app, samples| {
                let lifecycle = app.lifecycle();
                let definition = lifecycle.definition();
                app.metrics.after_sale.add_alerts(definition, samples);
            },
        )
        .by(&["alert"]),
        Metric::<Self>::counter(
            "boxoffice_steps_ended_total",
            "Steps of orders that were done, or failed and were given up.",
            |app, samples| app.metrics.after_sale.add_steps(samples),
        )
        .by(&["kind", "result"]),
        Metric::<Self>::gauge(
            "boxoffice_steps_open",
            "Steps of orders without an outcome.",
            |app, samples| samples.add(app.timers_and_steps().1),
        ),
        Metric::<Self>::gauge(
            "boxoffice_orders_with_given_up_steps",
            "Orders with a step that was given up and neither retried nor abandoned: a person has to look.",
            |app, samples| samples.add(app.orders_with_given_up_steps()),
        ),
        Metric::<Self>::gauge(
            "boxoffice_timers_set",
            "Timers of orders that have not fired.",
            |app, samples| samples.add(app.timers_and_steps().0),
        ),
        Metric::<Self>::gauge(
            "boxoffice_slots",
            "Slots of the active catalogue, and others with sold or held spots.",
            |app, samples| samples.add(app.slots()),
        ),
        Metric::<Self>::gauge(
            "boxoffice_carts_holding",
            "Carts that hold spots.",
            |app, samples| samples.add(app.carts_with_holds()),
        ),
        Metric::<Self>::gauge(
            "boxoffice_orders_in_progress",
            "Orders being created and charges being reversed, also those whose client has disconnected.",
            |app, samples| samples.add(app.commands().len()),
        ),
        Metric::<Self>::gauge(
            "boxoffice_catalog_revision",
            "Revision of the active catalogue, from 0 at the start of the process.",
            |app, samples| samples.add(u64::from(app.active_revision().0.0)),
        ),
        Metric::<Self>::gauge(
            "boxoffice_catalog_activated_timestamp_seconds",
            "When the active catalogue was activated.",
            // A moment before the epoch is not shown as one.
            |app, samples| samples.add(u64::try_from(app.active_revision().1.get()).unwrap_or(0)),
        ),
    ];
}

/// Adds a count of each merchant. Merchants who have left the catalogue are left out, so that its size bounds
/// the label.
fn add_by_merchant(app: &App, samples: &mut Samples, count: fn((u64, u64)) -> u64) {
    let catalog = app.catalog();
    for (merchant_id, counts) in app.metrics().merchants.read() {
        if catalog.merchant_ix(&merchant_id).is_some() {
            samples.add_with([merchant_id.as_str()], count(counts));
        }
    }
}
