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

#[test]
fn the_policy_is_paid_once() {
    let bill = bill();
    let policy = Case::of(&[0], RefundShare::Policy);
    let first = policy.refund(&bill, &[]).unwrap();
    assert_eq!(first.total, cents(576));
    let second = policy.refund(&bill, &[&first]).unwrap();
    assert_eq!(second.total, cents(0));
    // Whatever was given back of the item counts, and the rest up to the share is left.
    for (given, expected) in [(100, 476), (576, 0), (900, 0)] {
        let amount = RefundShare::Amount(cents(given));
        let goodwill = Case::of(&[0], amount).refund(&bill, &[]).unwrap();
        let rest = policy.refund(&bill, &[&goodwill]).unwrap();
        assert_eq!(rest.total, cents(expected), "{given}");
    }
    let whole = Case::of(&[], RefundShare::Amount(cents(100)));
    let whole = whole.refund(&bill, &[]).unwrap();
    let beside = policy.refund(&bill, &[&whole]).unwrap();
    assert_eq!(beside.total, cents(576), "of no item in particular");
}

#[test]
fn an_amount_is_of_its_items_and_at_most_what_is_left_of_them() {
    let bill = bill();
    for (items, asked, expected) in [
        (vec![0], 100, vec![100]),
        (vec![0], 9_999, vec![1_151]),
        (vec![0, 1], 101, vec![50, 51]),
        (vec![0, 1], 2_302, vec![1_151, 1_151]),
    ] {
        let case = Case::of(&items, RefundShare::Amount(cents(asked)));
        let refund = case.refund(&bill, &[]).unwrap();
        let parts: Vec<Money> = refund.items.iter().map(|part| part.amount).collect();
        let expected: Vec<Money> = expected.into_iter().map(cents).collect();
        assert_eq!(parts, expected, "{asked}");
    }
    let case = Case::of(&[0], RefundShare::Amount(cents(500)));
    let some = case.refund(&bill, &[]).unwrap();
    let full = Case::of(&[0], share(100)).refund(&bill, &[&some]).unwrap();
    assert_eq!(full.total, cents(651), "later refunds are reduced by it");
    let none = case.refund(&bill, &[&some, &full]).unwrap();
    assert_eq!(none.total, cents(0));
    // All items: the fees of the order are among what is left.
    let all = Case::of(&[0, 1], RefundShare::Amount(cents(2_502)));
    let all = all.refund(&bill, &[]).unwrap();
    assert_eq!((all.total, all.order_fees), (cents(2_502), cents(200)));
}

#[test]
fn a_refund_is_requested_anew_only_if_all_of_it_is_left() {
    let bill = bill();
    let refund = Case::of(&[0], share(100)).refund(&bill, &[]).unwrap();
    let check = |earlier: &[&RefundAmount], available| {
        check_left(Some(&bill), &refund, earlier, cents(available))
    };
    assert_eq!(check(&[], 1_151), Ok(()));
    let left = |left| Err(RefundError::AboveLeft { left: cents(left) });
    assert_eq!(check(&[], 1_150), left(1_150));
    let some = Case::of(&[0], RefundShare::Amount(cents(1)));
    let some = some.refund(&bill, &[]).unwrap();
    assert_eq!(check(&[&some], 2_000), left(1_150));
}

fn any_share() -> impl Strategy<Value = RefundShare> {
    prop_oneof![
        (0..=100_u8).prop_map(share),
        Just(RefundShare::Policy),
        (0..15_000_i64).prop_map(|amount| RefundShare::Amount(cents(amount))),
    ]
}

fn sum(amounts: impl Iterator<Item = Money>) -> Money {
    amounts.fold(cents(0), |sum, amount| sum.plus(amount).unwrap())
}

proptest! {
    #[test]
    fn no_item_is_given_back_beyond_its_price_nor_the_policy_beyond_its_share(
        prices in proptest::collection::vec((0..10_000_i64, 0..1_000_i64, 0..500_i64), 1..5),
        asked in proptest::collection::vec((any_share(), 0..16_u16, any::<bool>()), 0..10),
    ) {
        let bill = Bill {
            items: prices.iter().map(|&(price, taxes, fees)| item(price, taxes, fees)).collect(),
            order_fees: cents(123),
        };
        let mut counted: Vec<(bool, RefundAmount)> = Vec::new();
        for (share, set, has_failed) in asked {
            let items: Vec<u16> = (0..u16::try_from(prices.len()).unwrap())
                .filter(|item| set & 1 << item != 0)
                .collect();
            let earlier: Vec<&RefundAmount> = counted.iter().map(|(_, refund)| refund).collect();
            let refund = Case::of(&items, share).refund(&bill, &earlier).unwrap();
            if !items.is_empty() {
                let parts = sum(refund.items.iter().map(|part| part.amount));
                prop_assert_eq!(parts.plus(refund.order_fees).unwrap(), refund.total);
            }
            if !has_failed {
                counted.push((share == RefundShare::Policy, refund));
            }
        }
        for (index, billed) in (0_u16..).zip(&bill.items) {
            let parts = counted.iter().flat_map(|(by_policy, refund)| {
                refund.items.iter().map(move |part| (*by_policy, part))
            });
            let of_item: Vec<_> = parts.filter(|(_, part)| part.item == index).collect();
            let given = sum(of_item.iter().map(|(_, part)| part.amount));
            prop_assert!(!exceeds(given, billed.total().unwrap()));
            let by_policy = sum(of_item.iter().filter(|it| it.0).map(|(_, part)| part.amount));
            let half = billed.total().unwrap().share(percent(50)).unwrap().rounded();
            prop_assert!(!exceeds(by_policy, half));
        }
        let total = sum(counted.iter().map(|(_, refund)| refund.total));
        prop_assert!(!exceeds(total, bill.total().unwrap()));
    }

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
