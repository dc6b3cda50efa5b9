use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::fixtures::{
    ADULT, CHILD, Fixture, SENIOR, cents, currency, dollars, price_tag, ticket_type, yen,
};

/// The museum (adult $20, senior $15, child $10) with deals.
fn museum(deals: Vec<Deal>) -> Service {
    Service {
        deals,
        ..Fixture::new().service("museum").clone()
    }
}

fn group(tickets: &[TicketIx], min_count: u32, reduction: Reduction) -> Deal {
    Deal::Group {
        tickets: tickets.to_vec(),
        min_count,
        reduction,
    }
}

fn bundle(contents: &[(TicketIx, u32)], price: Money) -> Deal {
    Deal::Bundle {
        contents: contents.to_vec(),
        price,
    }
}

fn percent(percent: i64) -> Reduction {
    Reduction::Percent(Decimal::from(percent))
}

fn check(deals: &[Deal], tickets: &[(TicketIx, u32)], total_cents: i64) {
    let quote = quote_tickets(&museum(deals.to_vec()), tickets).unwrap();
    assert_eq!(
        quote.total,
        cents(total_cents),
        "{tickets:?} with {deals:?}"
    );
}

#[test]
fn a_line_costs_unit_price_times_count() {
    check(&[], &[], 0);
    check(&[], &[(ADULT, 1)], 2_000);
    check(
        &[],
        &[(ADULT, 2), (SENIOR, 1), (CHILD, 3)],
        4_000 + 1_500 + 3_000,
    );
}

#[test]
fn an_appointment_costs_the_price_of_the_service_and_nothing_else_is_one() {
    let fixture = Fixture::new();
    let quote = quote_appointment(fixture.service("salon")).unwrap();
    assert_eq!(
        quote,
        Quote {
            total: cents(3_500),
            without_deals: cents(3_500)
        }
    );
    assert_eq!(quote_appointment(fixture.service("museum")), None);
}

#[test]
fn the_total_rounds_half_to_even_once_at_the_end() {
    for (unit_micros, count, expected_micros) in [
        (25_000, 1, 20_000),
        (35_000, 1, 40_000),
        (5_000, 1, 0),
        (25_100, 1, 30_000),
        (25_000, 2, 50_000),
        (25_000, 3, 80_000),
        (3_333, 3, 10_000),
    ] {
        let types = vec![ticket_type("t", dollars(unit_micros))];
        let service = Service {
            tickets: types,
            ..museum(Vec::new())
        };
        let quote = quote_tickets(&service, &[(TicketIx(0), count)]).unwrap();
        let label = format!("{count} at {unit_micros} micros");
        assert_eq!(quote.total.to_micros(), Ok(expected_micros), "{label}");
        assert_eq!(quote.without_deals, quote.total, "{label}");

        let spot = Service {
            price: Some(dollars(unit_micros)),
            ..service
        };
        let appointment = quote_appointment(&spot).unwrap().total;
        assert_eq!(
            appointment,
            dollars(unit_micros).rounded(),
            "an appointment at {unit_micros} micros"
        );
    }
}

#[test]
fn a_currency_without_cents_rounds_to_whole_units() {
    let onsen = Fixture::in_tokyo().service("onsen").clone();
    let half_off = Service {
        deals: vec![group(&[TicketIx(1)], 1, percent(50))],
        ..onsen
    };
    for (count, expected) in [(1, 375), (2, 750), (3, 1_125)] {
        let quote = quote_tickets(&half_off, &[(TicketIx(1), count)]).unwrap();
        assert_eq!(quote.total, yen(expected), "{count} evenings");
    }
    let third_off = Service {
        deals: vec![group(&[TicketIx(1)], 1, percent(33))],
        ..half_off
    };
    let quote = quote_tickets(&third_off, &[(TicketIx(1), 1)]).unwrap();
    assert_eq!(quote.total, yen(502), "502.5 yen");
}

#[test]
fn a_group_is_cheaper_from_its_number_of_tickets_on() {
    let tenth_off = [group(&[ADULT, SENIOR], 10, percent(10))];
    check(&tenth_off, &[(ADULT, 9)], 18_000);
    check(&tenth_off, &[(ADULT, 10)], 18_000);
    check(
        &tenth_off,
        &[(ADULT, 5), (SENIOR, 5), (CHILD, 1)],
        9_000 + 6_750 + 1_000,
    );
    check(&tenth_off, &[(ADULT, 9), (CHILD, 9)], 18_000 + 9_000);
    check(
        &[group(&[ADULT], 2, Reduction::UnitPrice(cents(1_250)))],
        &[(ADULT, 2), (CHILD, 1)],
        3_500,
    );
}

#[test]
fn the_first_group_deal_that_applies_counts_for_a_ticket() {
    let by_size = [
        group(&[ADULT], 20, percent(30)),
        group(&[ADULT, CHILD], 10, percent(10)),
    ];
    check(&by_size, &[(ADULT, 20), (CHILD, 1)], 28_000 + 900);
    check(&by_size, &[(ADULT, 19), (CHILD, 1)], 34_200 + 900);
}

#[test]
fn a_bundle_is_taken_as_often_as_it_fits_and_the_rest_pays_full() {
    let family = bundle(&[(ADULT, 2), (CHILD, 2)], cents(5_000));
    let family = std::slice::from_ref(&family);
    check(family, &[(ADULT, 2), (CHILD, 1)], 5_000);
    check(family, &[(ADULT, 2), (CHILD, 2)], 5_000);
    check(family, &[(CHILD, 5), (ADULT, 4)], 10_000 + 1_000);
    check(family, &[(ADULT, 2)], 4_000);
    check(&[bundle(&[], cents(0))], &[(ADULT, 2)], 4_000);
}

#[test]
fn bundles_come_before_groups_and_their_tickets_make_no_group() {
    let deals = [
        group(&[ADULT], 3, percent(50)),
        bundle(&[(ADULT, 2)], cents(3_000)),
        bundle(&[(ADULT, 1), (CHILD, 1)], cents(2_500)),
    ];
    check(&deals, &[(ADULT, 3)], 3_000 + 2_000);
    check(&deals, &[(ADULT, 3), (CHILD, 1)], 3_000 + 2_500);
}

#[test]
fn a_deal_that_is_dearer_than_the_unit_prices_is_none() {
    check(
        &[bundle(&[(ADULT, 1), (CHILD, 1)], cents(3_001))],
        &[(ADULT, 1), (CHILD, 1)],
        3_000,
    );
    check(
        &[group(
            &[ADULT, CHILD],
            1,
            Reduction::UnitPrice(cents(1_200)),
        )],
        &[(ADULT, 1), (CHILD, 1)],
        2_200,
    );
    check(&[group(&[ADULT], 1, percent(-10))], &[(ADULT, 1)], 2_000);
}

#[test]
fn an_amount_beyond_the_wire_is_an_error() {
    let priced = |price| Service {
        tickets: vec![ticket_type("t", price)],
        ..museum(Vec::new())
    };
    let most = Money::from_micros(i64::MAX, currency("USD"));
    let one = |service: &Service, count| quote_tickets(service, &[(TicketIx(0), count)]);
    assert_eq!(one(&priced(most), u32::MAX), Err(MoneyError::Overflow));
    assert_eq!(
        one(&priced(most), 1),
        Err(MoneyError::Overflow),
        "rounding up leaves the wire's range"
    );
    assert!(one(&priced(dollars(i64::MAX - 5_807)), 1).is_ok());
    let foreign = museum(vec![bundle(&[(ADULT, 1)], yen(1))]);
    assert_eq!(
        quote_tickets(&foreign, &[(ADULT, 1)]),
        Err(MoneyError::CurrencyMismatch)
    );
}

#[test]
fn a_price_is_right_moved_or_incorrect() {
    use PriceChange::{Decrease, Increase};
    use PriceVerdict::{Incorrect, Moved, Right};
    let quote = Quote {
        total: cents(1_000),
        without_deals: cents(1_000),
    };
    let foreign = Incorrect(PriceFault::OtherCurrency);
    for (asked, expected) in [
        (Some((10_000_000, "USD")), Right),
        (Some((10_005_000, "USD")), Right),
        (Some((9_995_000, "USD")), Right),
        (Some((10_015_000, "USD")), Moved(Decrease)),
        (Some((9_990_000, "USD")), Moved(Increase)),
        (Some((0, "USD")), Moved(Increase)),
        (Some((i64::MAX, "USD")), Moved(Decrease)),
        (Some((-1, "USD")), Incorrect(PriceFault::Negative)),
        (Some((i64::MIN, "EUR")), Incorrect(PriceFault::Negative)),
        (Some((10_000_000, "EUR")), foreign),
        (Some((10_000_000, "usd")), foreign),
        (Some((10_000_000, "")), foreign),
        (None, Incorrect(PriceFault::Missing)),
    ] {
        let tag = asked.map(|(micros, code)| price_tag(micros, code));
        assert_eq!(judge(tag.as_ref(), &quote), expected, "{asked:?}");
    }
}

#[test]
fn ticket_prices_moved_only_where_a_newer_one_explains_the_difference() {
    let mut moved = museum(vec![group(&[ADULT], 2, percent(10))]);
    moved.tickets[0].previous_price = Some(cents(1_800));
    moved.tickets[2].previous_price = Some(cents(1_000));
    for (tickets, asked_cents, expected) in [
        (&[(ADULT, 1)][..], 1_800, true),
        (&[(ADULT, 2)], 3_600, true),
        (&[(ADULT, 2)], 4_000, false),
        (&[(ADULT, 1), (CHILD, 1)], 2_800, true),
        (&[(CHILD, 1)], 900, false),
        (&[(SENIOR, 1)], 1_400, false),
    ] {
        let quote = quote_tickets(&moved, tickets).unwrap();
        let asked = price_tag(asked_cents * 10_000, "USD");
        let found = ticket_prices_moved(&moved, tickets, &asked, &quote);
        assert_eq!(found, expected, "{tickets:?} at {asked_cents} cents");
    }
}

fn any_ticket() -> impl Strategy<Value = TicketIx> {
    (0..3_u16).prop_map(TicketIx)
}

fn any_price() -> impl Strategy<Value = Money> {
    (0..=5_000_000_i64).prop_map(dollars)
}

fn any_deal() -> impl Strategy<Value = Deal> {
    let reduction = prop_oneof![
        any_price().prop_map(Reduction::UnitPrice),
        (0..=10_000_i64).prop_map(|hundredths| Reduction::Percent(Decimal::new(hundredths, 2))),
    ];
    let some = |least| prop::collection::vec(any_ticket(), least..=3);
    prop_oneof![
        (some(0), 0..8_u32, reduction).prop_map(|(tickets, min_count, reduction)| Deal::Group {
            tickets,
            min_count,
            reduction
        }),
        (
            prop::collection::btree_map(0..3_u16, 1..4_u32, 0..=3),
            any_price()
        )
            .prop_map(|(contents, price)| {
                let contents = contents
                    .into_iter()
                    .map(|(ix, count)| (TicketIx(ix), count))
                    .collect();
                Deal::Bundle { contents, price }
            }),
    ]
}

proptest! {
    #[test]
    fn deals_never_raise_a_price_and_the_order_of_tickets_does_not_matter(
        prices in prop::collection::vec(any_price(), 3),
        deals in prop::collection::vec(any_deal(), 0..5),
        counts in [1..30_u32, 1..30, 1..30],
        order in Just([ADULT, SENIOR, CHILD]).prop_shuffle(),
    ) {
        let mut service = museum(deals);
        service.tickets.iter_mut().zip(prices).for_each(|(ticket, price)| ticket.price = price);
        let tickets = |order: [TicketIx; 3]| order.map(|ix| (ix, counts[usize::from(ix.0)]));
        let quote = quote_tickets(&service, &tickets(order)).unwrap();
        prop_assert!(quote.total.compare(quote.without_deals).unwrap().is_le(), "{:?}", quote);
        prop_assert!(Money::zero(quote.total.currency()).compare(quote.total).unwrap().is_le());
        prop_assert_eq!(quote.total.rounded(), quote.total);
        prop_assert_eq!(Ok(quote), quote_tickets(&service, &tickets([ADULT, SENIOR, CHILD])));
    }

    #[test]
    fn no_price_and_no_count_makes_a_quote_panic(
        price in any::<i64>(),
        previous in any::<i64>(),
        deal in any_deal(),
        count in any::<u32>(),
        asked in any::<i64>(),
    ) {
        let mut service = museum(vec![deal]);
        service.tickets[0] = ticket_type("t", dollars(price));
        service.tickets[0].previous_price = Some(dollars(previous));
        let tickets = [(ADULT, count), (CHILD, count)];
        if let Ok(quote) = quote_tickets(&service, &tickets) {
            prop_assert!(quote.total.to_micros().is_ok());
            let asked = price_tag(asked, "USD");
            let _ = judge(Some(&asked), &quote);
            let _ = ticket_prices_moved(&service, &tickets, &asked, &quote);
        }
    }
}
