//! Bills to records.

use super::{MessageWriter, micros, proto};
use crate::PlacedBill;
use domain::refunds::{BillItem, RefundFees, RefundTerms};

pub(super) fn put(out: &mut MessageWriter, PlacedBill { bill, refund_fees }: &PlacedBill) {
    let refund_fees = match refund_fees {
        RefundFees::WithPrice => proto::RefundFees::WithPrice,
        RefundFees::Never => proto::RefundFees::Never,
        RefundFees::Always => proto::RefundFees::Always,
    };
    for item in &bill.items {
        out.message(1, |out| put_item(out, item));
    }
    out.signed(2, micros(bill.order_fees));
    out.text(3, bill.order_fees.currency().code());
    out.variant(4, refund_fees);
}

fn put_item(out: &mut MessageWriter, item: &BillItem) {
    let BillItem {
        price,
        taxes,
        fees,
        terms,
    } = item;
    out.signed(1, micros(*price));
    out.signed(2, micros(*taxes));
    out.signed(3, micros(*fees));
    let RefundTerms::Stated(conditions) = terms else {
        return;
    };
    for condition in conditions.iter() {
        out.message(4, |out| {
            out.signed(1, condition.min_before_start.get());
            out.number(2, condition.percent.get());
        });
    }
}
