//! The bill of an order.

use super::{RecordError, out_of_range, proto};
use crate::PlacedBill;
use domain::{
    money::{Currency, Money, Percent},
    refunds::{Bill, BillItem, RefundCondition, RefundFees, RefundTerms},
    time::Seconds,
};

pub(super) fn bill(bill: proto::Bill) -> Result<PlacedBill, RecordError> {
    let proto::Bill {
        item: items,
        order_fees_micros,
        currency_code,
        refund_fees,
    } = bill;
    let currency = Currency::from_code(&currency_code);
    let currency = currency.ok_or(RecordError::UnknownCurrency(currency_code))?;
    let refund_fees = match proto::RefundFees::try_from(refund_fees) {
        Ok(proto::RefundFees::WithPrice) => RefundFees::WithPrice,
        Ok(proto::RefundFees::Never) => RefundFees::Never,
        Ok(proto::RefundFees::Always) => RefundFees::Always,
        // Every version writes one, so even the default of protocol buffers is damage.
        Ok(proto::RefundFees::Unspecified) | Err(_) => {
            return Err(out_of_range("refund of fees", refund_fees));
        }
    };
    let items: Result<Vec<BillItem>, RecordError> = items
        .into_iter()
        .map(|billed| item(billed, currency))
        .collect();
    Ok(PlacedBill {
        bill: Bill {
            items: items?,
            order_fees: Money::from_micros(order_fees_micros, currency),
        },
        refund_fees,
    })
}

fn item(item: proto::BillItem, currency: Currency) -> Result<BillItem, RecordError> {
    let proto::BillItem {
        price_micros,
        taxes_micros,
        fees_micros,
        refund_condition,
    } = item;
    let mut conditions = Vec::with_capacity(refund_condition.len());
    for condition in refund_condition {
        let percent = u8::try_from(condition.percent).ok().and_then(Percent::new);
        conditions.push(RefundCondition {
            min_before_start: Seconds::new(condition.min_before_start_sec),
            percent: percent.ok_or_else(|| out_of_range("percent", condition.percent))?,
        });
    }
    let terms = if conditions.is_empty() {
        RefundTerms::Unstated
    } else {
        RefundTerms::Stated(conditions.into())
    };
    Ok(BillItem {
        price: Money::from_micros(price_micros, currency),
        taxes: Money::from_micros(taxes_micros, currency),
        fees: Money::from_micros(fees_micros, currency),
        terms,
    })
}
