use super::*;
use crate::{
    fixtures::{Fixture, cents, fee, line, tax_rate},
    fulfillability::Purpose,
    money::{Money, Percent},
    refunds::{RefundCondition, RefundTerms},
    time::Seconds,
};

fn terms(percent: u8) -> RefundTerms {
    let condition = RefundCondition {
        min_before_start: Seconds::DAY,
        percent: Percent::new(percent).unwrap(),
    };
    RefundTerms::Stated([condition].into())
}

/// The town with taxes, fees of every kind, and refund terms at the museum alone.
fn town() -> Fixture {
    let mut fixture = Fixture::new();
    let museum = fixture.service_mut("museum");
    museum.tax_rate = tax_rate(10_000_000);
    museum.tickets[0].fees = vec![fee("booking", cents(100)), fee("Taxes", cents(50))];
    museum.tickets[0].feed_fees.taxes = Some(cents(50));
    museum.cancellation.refund = terms(50);
    fixture.service_mut("salon").tax_rate = tax_rate(7_250_000);
    fixture
}

fn bill(fixture: &Fixture, lines: &[LineItem]) -> Result<Bill, BillError> {
    let judgement = fixture.judge(Purpose::Create, lines);
    let bill = judgement.bill(&fixture.catalog, fixture.merchant, lines)?;
    assert_eq!(bill.total(), Ok(judgement.amount_due));
    Ok(bill)
}

#[test]
fn each_item_has_its_price_taxes_and_fees_and_the_order_the_rest() {
    let fixture = town();
    // Fees of the order: 1.00 of the merchant, and 2.00 of the museum where it is in the order.
    for (lines, items, order_fees) in [
        (
            vec![line("museum", &[("adult", 2)], 4_000)],
            vec![(4_000, 400 + 100, 200)],
            300,
        ),
        (
            vec![line("museum", &[("senior", 1)], 1_500)],
            vec![(1_500, 150, 0)],
            300,
        ),
        (
            vec![line("salon", &[], 3_500)],
            // 2.5375, half to even.
            vec![(3_500, 254, 0)],
            100,
        ),
        (
            vec![line("raft", &[("seat", 1)], 7_500)],
            vec![(7_500, 0, 0)],
            100,
        ),
        (
            vec![
                line("museum", &[("adult", 1), ("child", 1)], 3_000),
                line("salon", &[], 3_500),
                line("museum", &[("adult", 1)], 2_000),
            ],
            vec![
                (3_000, 300 + 50, 100 + 25),
                (3_500, 254, 0),
                (2_000, 200 + 50, 100),
            ],
            300,
        ),
    ] {
        let bill = bill(&fixture, &lines).unwrap();
        let parts = |item: &BillItem| (item.price, item.taxes, item.fees);
        let expected: Vec<(Money, Money, Money)> = items
            .into_iter()
            .map(|(price, taxes, fees)| (cents(price), cents(taxes), cents(fees)))
            .collect();
        let found: Vec<_> = bill.items.iter().map(parts).collect();
        assert_eq!(found, expected, "{lines:?}");
        assert_eq!(bill.order_fees, cents(order_fees), "{lines:?}");
    }
}

#[test]
fn an_order_that_cannot_be_sold_has_no_bill() {
    let fixture = town();
    for lines in [
        vec![],
        vec![line("museum", &[("adult", 2)], 3_900)],
        vec![line("museum", &[("child", 1)], 1_000)],
        vec![line("ghost", &[], 1_000)],
        vec![
            line("museum", &[("adult", 1)], 2_000),
            line("raft", &[("seat", 6)], 45_000),
        ],
    ] {
        assert_eq!(bill(&fixture, &lines), Err(BillError::NotSold), "{lines:?}");
    }
}

#[test]
fn the_terms_of_the_sale_are_on_the_bill_whatever_the_catalogue_says_later() {
    let mut fixture = town();
    let lines = [
        line("museum", &[("adult", 1)], 2_000),
        line("salon", &[], 3_500),
    ];
    let earlier = bill(&fixture, &lines).unwrap();
    fixture.service_mut("museum").cancellation.refund = terms(0);
    fixture.service_mut("salon").cancellation.refund = terms(100);
    let later = bill(&fixture, &lines).unwrap();
    let terms_of = |bill: &Bill| -> Vec<RefundTerms> {
        bill.items.iter().map(|item| item.terms.clone()).collect()
    };
    assert_eq!(terms_of(&earlier), [terms(50), RefundTerms::Unstated]);
    assert_eq!(terms_of(&later), [terms(0), terms(100)]);
}
