use proptest::prelude::*;

use super::*;
use crate::money::Currency;

fn cents(amount: i64) -> Money {
    Money::from_micros(amount * 10_000, Currency::from_code("USD").unwrap())
}

fn percent(percent: u8) -> Percent {
    Percent::new(percent).unwrap()
}

fn item(price: i64, taxes: i64, fees: i64) -> BillItem {
    BillItem {
        price: cents(price),
        taxes: cents(taxes),
        fees: cents(fees),
        terms: RefundTerms::Stated(Arc::new([
            RefundCondition {
                min_before_start: Seconds::DAY,
                percent: percent(50),
            },
            RefundCondition {
                min_before_start: Seconds::days(7),
                percent: percent(100),
            },
            RefundCondition {
                min_before_start: Seconds::HOUR,
                percent: percent(25),
            },
        ])),
    }
}

/// 10.01 with 1.00 of taxes and 0.50 of fees, twice, and 2.00 for the order.
fn bill() -> Bill {
    Bill {
        items: vec![item(1_001, 100, 50), item(1_001, 100, 50)],
        order_fees: cents(200),
    }
}

struct Case {
    items: Vec<u16>,
    share: RefundShare,
    cause: RefundCause,
    fees: RefundFees,
    before_start: Seconds,
}

impl Case {
    fn of(items: &[u16], share: RefundShare) -> Self {
        Self {
            items: items.to_vec(),
            share,
            cause: RefundCause::Merchant,
            fees: RefundFees::WithPrice,
            before_start: Seconds::DAY,
        }
    }

    fn refund(&self, bill: &Bill, earlier: &[&RefundAmount]) -> Result<RefundAmount, RefundError> {
        let mut available = bill.total()?;
        for refund in earlier {
            available = less(available, refund.total);
        }
        let items = self.items.iter();
        let items = items.map(|&item| RefundAsked {
            item,
            before_start: self.before_start,
        });
        refund(&RefundRequest {
            bill,
            items: &items.collect::<Vec<_>>(),
            share: self.share,
            cause: self.cause,
            fees: self.fees,
            earlier,
            available,
        })
    }

    fn total(&self) -> Money {
        self.refund(&bill(), &[]).unwrap().total
    }
}

fn share(share: u8) -> RefundShare {
    RefundShare::Percent(percent(share))
}

#[test]
fn the_longest_time_that_is_kept_decides() {
    let terms = item(1, 0, 0).terms;
    for (before_start, expected) in [
        (Seconds::days(8), 100),
        (Seconds::days(7), 100),
        (Seconds::new(7 * 86_400 - 1), 50),
        (Seconds::DAY, 50),
        (Seconds::HOUR, 25),
        (Seconds::new(3_599), 0),
        (Seconds::new(-5), 0),
    ] {
        assert_eq!(
            terms.share(before_start),
            Some(percent(expected)),
            "{before_start}"
        );
    }
    assert_eq!(RefundTerms::Unstated.share(Seconds::DAY), None);
    assert_eq!(
        RefundTerms::Stated(Arc::new([])).share(Seconds::DAY),
        Some(Percent::ZERO)
    );
}

#[test]
fn an_item_is_rounded_once_half_to_even() {
    // Half of 11.51 are 5.755, which is even above; half of 11.53 are 5.765, which is even below.
    for (price, expected) in [(1_001, 576), (1_003, 576), (1_000, 575)] {
        let bill = Bill {
            items: vec![item(price, 100, 50)],
            order_fees: cents(0),
        };
        let amount = Case::of(&[0], share(50)).refund(&bill, &[]).unwrap();
        assert_eq!(amount.total, cents(expected), "{price}");
    }
}

#[test]
fn fees_go_with_the_price_never_or_always() {
    for (fees, cause, shared, expected) in [
        (RefundFees::WithPrice, RefundCause::Customer, 100, 1_151),
        (RefundFees::WithPrice, RefundCause::Customer, 0, 0),
        (RefundFees::Never, RefundCause::Customer, 100, 1_101),
        (RefundFees::Never, RefundCause::Merchant, 100, 1_151),
        (RefundFees::Always, RefundCause::Customer, 0, 50),
        (RefundFees::Always, RefundCause::Customer, 100, 1_151),
    ] {
        let mut case = Case::of(&[0], share(shared));
        (case.fees, case.cause) = (fees, cause);
        assert_eq!(case.total(), cents(expected), "{fees:?} {cause:?} {shared}");
    }
}

#[test]
fn fees_of_the_order_go_with_its_last_item() {
    let items = 2 * 1_151;
    for (fees, cause, of, expected) in [
        (
            RefundFees::WithPrice,
            RefundCause::Merchant,
            vec![0, 1],
            items + 200,
        ),
        (
            RefundFees::WithPrice,
            RefundCause::Customer,
            vec![0, 1],
            items,
        ),
        (
            RefundFees::Always,
            RefundCause::Customer,
            vec![0, 1],
            items + 200,
        ),
        (RefundFees::Always, RefundCause::Customer, vec![1], 1_151),
    ] {
        let mut case = Case::of(&of, share(100));
        (case.fees, case.cause) = (fees, cause);
        assert_eq!(case.total(), cents(expected), "{fees:?} {cause:?} {of:?}");
    }
    let first = Case::of(&[0], share(100)).refund(&bill(), &[]).unwrap();
    let second = Case::of(&[1], share(100))
        .refund(&bill(), &[&first])
        .unwrap();
    assert_eq!(
        (first.order_fees, second.order_fees),
        (cents(0), cents(200))
    );
    assert_eq!(first.total.plus(second.total), bill().total());
    let third = Case::of(&[0, 1], share(100))
        .refund(&bill(), &[&first, &second])
        .unwrap();
    assert_eq!(third.total, cents(0));
}

#[test]
fn shares_of_an_item_add_up_to_the_cent() {
    let bill = Bill {
        items: vec![item(1_001, 0, 0)],
        order_fees: cents(0),
    };
    let half = Case::of(&[0], share(50)).refund(&bill, &[]).unwrap();
    let rest = Case::of(&[0], share(50)).refund(&bill, &[&half]).unwrap();
    assert_eq!((half.total, rest.total), (cents(500), cents(501)));
    let more = Case::of(&[0], share(80)).refund(&bill, &[&half]).unwrap();
    assert_eq!(
        (more.total, more.items[0].percent),
        (cents(501), percent(50))
    );
}

#[test]
fn the_policy_is_that_of_the_sale_and_is_not_guessed() {
    let case = Case::of(&[0], RefundShare::Policy);
    assert_eq!(case.total(), cents(576));
    let mut bill = bill();
    bill.items[0].terms = RefundTerms::Unstated;
    let found = case.refund(&bill, &[]);
    assert_eq!(found, Err(RefundError::NoPolicy { item: 0 }));
    assert!(Case::of(&[0], share(50)).refund(&bill, &[]).is_ok());
}

#[test]
fn an_amount_of_an_operator_is_cut_to_what_is_left() {
    for (asked, expected) in [
        (1, Ok(1)),
        (99_999, Ok(2_502)),
        (-1, Err(RefundError::Negative)),
    ] {
        let case = Case::of(&[], RefundShare::Amount(cents(asked)));
        let total = case.refund(&bill(), &[]).map(|amount| amount.total);
        assert_eq!(total, expected.map(cents), "{asked}");
    }
    let euros = Money::from_micros(1, Currency::from_code("EUR").unwrap());
    let foreign = Case::of(&[], RefundShare::Amount(euros)).refund(&bill(), &[]);
    assert!(matches!(foreign, Err(RefundError::Money(_))), "{foreign:?}");
}

#[test]
fn an_item_that_is_not_on_the_bill_has_no_price() {
    let found = Case::of(&[2], share(50)).refund(&bill(), &[]);
    assert_eq!(found, Err(RefundError::NoItem { item: 2 }));
}

proptest! {
    #[test]
    fn refunds_are_never_above_the_bill_and_a_full_one_completes_it(
        prices in proptest::collection::vec((0..10_000_i64, 0..1_000_i64, 0..500_i64), 1..5),
        shares in proptest::collection::vec((0..5_u16, 0..=100_u8), 0..8),
    ) {
        let bill = Bill {
            items: prices.iter().map(|&(price, taxes, fees)| item(price, taxes, fees)).collect(),
            order_fees: cents(123),
        };
        let count = u16::try_from(bill.items.len()).unwrap();
        let mut refunds: Vec<RefundAmount> = Vec::new();
        let all: Vec<u16> = (0..count).collect();
        for (item, of) in shares {
            let earlier: Vec<&RefundAmount> = refunds.iter().collect();
            let refund = Case::of(&[item % count], share(of)).refund(&bill, &earlier).unwrap();
            refunds.push(refund);
        }
        let earlier: Vec<&RefundAmount> = refunds.iter().collect();
        refunds.push(Case::of(&all, share(100)).refund(&bill, &earlier).unwrap());
        let mut sum = cents(0);
        for refund in &refunds {
            sum = sum.plus(refund.total).unwrap();
        }
        prop_assert_eq!(sum, bill.total().unwrap());
    }
}
