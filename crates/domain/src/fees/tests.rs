use super::*;
use crate::{
    fixtures::{ADULT, CHILD, Fixture, SENIOR, cents, dollars, fee, tax_rate, yen},
    money::MoneyError,
};

/// The tickets of a line by type.
type Tickets = Vec<(TicketIx, u32)>;

/// The fees of lines at these totals.
fn table_of(fixture: &Fixture, lines: &[(&str, Tickets, Money)]) -> Result<FeeTable, MoneyError> {
    let lines = lines.iter().map(|&(service, ref tickets, total)| {
        let service = fixture.ix(service);
        SoldLine {
            service,
            tickets,
            total,
        }
    });
    let lines: Vec<_> = lines.collect();
    FeeTable::for_lines(
        &fixture.catalog,
        fixture.catalog.merchant(fixture.merchant),
        &lines,
    )
}

/// The fees of lines whose totals do not matter.
fn table(fixture: &Fixture, items: &[(&'static str, Tickets)]) -> Result<FeeTable, MoneyError> {
    let line =
        |(service, tickets): &(&'static str, Tickets)| (*service, tickets.clone(), cents(1_000));
    table_of(fixture, &items.iter().map(line).collect::<Vec<_>>())
}

/// The per-order fees by name, and the part of the total that is tax.
fn taxes(fixture: &Fixture, lines: &[(&str, Money)]) -> (Vec<(String, Money)>, Money) {
    let lines: Vec<_> = lines
        .iter()
        .map(|&(service, total)| (service, vec![], total))
        .collect();
    let table = table_of(fixture, &lines).unwrap();
    assert_eq!(
        table
            .per_order
            .iter()
            .try_fold(cents(0), |sum, fee| sum.plus(fee.amount)),
        Ok(table.total)
    );
    (
        table
            .per_order
            .into_iter()
            .map(|fee| (fee.name, fee.amount))
            .collect(),
        table.tax,
    )
}

fn check(
    fixture: &Fixture,
    items: &[(&'static str, Tickets)],
    total_cents: i64,
    per_order: &[&str],
) {
    let table = table(fixture, items).unwrap();
    assert_eq!(table.total, cents(total_cents), "{items:?}");
    let names: Vec<&str> = table
        .per_order
        .iter()
        .map(|fee| fee.name.as_str())
        .collect();
    assert_eq!(names, per_order, "{items:?}");
}

#[test]
fn the_total_is_every_ticket_fee_times_its_count_and_every_order_fee_once() {
    let fixture = Fixture::new();
    check(&fixture, &[], 0, &[]);
    check(&fixture, &[("salon", vec![])], 100, &["handling"]);
    check(
        &fixture,
        &[("museum", vec![(SENIOR, 3)])],
        300,
        &["delivery", "handling"],
    );
    check(
        &fixture,
        &[("museum", vec![(ADULT, 2), (CHILD, 4)])],
        300 + 100 + 300,
        &["delivery", "handling"],
    );
    let twice = [
        ("museum", vec![(ADULT, 2)]),
        ("raft", vec![]),
        ("museum", vec![(ADULT, 1), (CHILD, 1)]),
    ];
    check(&fixture, &twice, 450 + 25 + 300, &["delivery", "handling"]);
}

#[test]
fn the_breakdown_names_each_kind_of_ticket_and_fee_once() {
    let fixture = Fixture::new();
    let items = [
        ("museum", vec![(ADULT, 2)]),
        ("museum", vec![(CHILD, 1), (ADULT, 1)]),
    ];
    let table = table(&fixture, &items).unwrap();
    let listed: Vec<(&str, &str, &str, Money)> = table
        .per_ticket
        .iter()
        .map(|entry| {
            (
                entry.service_id.as_str(),
                entry.ticket_id.as_str(),
                entry.fee.name.as_str(),
                entry.fee.amount,
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            ("museum", "adult", "booking", cents(100)),
            ("museum", "adult", "tax", cents(50)),
            ("museum", "child", "booking", cents(25)),
        ]
    );
}

#[test]
fn two_fees_that_look_alike_are_charged_and_listed_twice() {
    let mut fixture = Fixture::new();
    fixture.service_mut("raft").tickets[0].fees = vec![fee("tax", cents(5)), fee("tax", cents(5))];
    let table = table(&fixture, &[("raft", vec![(ADULT, 2)])]).unwrap();
    assert_eq!(table.per_ticket.len(), 2);
    assert_eq!(table.total, cents(20 + 100));
}

#[test]
fn a_total_beyond_the_wire_is_an_error() {
    let mut fixture = Fixture::new();
    fixture.service_mut("raft").tickets[0].fees = vec![fee("tax", dollars(i64::MAX))];
    let many = [("raft", vec![(ADULT, u32::MAX)])];
    assert_eq!(table(&fixture, &many), Err(MoneyError::Overflow));
    fixture.service_mut("raft").tickets[0].fees = vec![fee("tax", yen(1))];
    assert_eq!(table(&fixture, &many), Err(MoneyError::CurrencyMismatch));
}

/// A fixture without fees in which the salon has one tax and the raft another.
fn taxed(salon: u32, raft: u32) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.merchant_mut().per_order_fees.clear();
    fixture.service_mut("salon").tax_rate = tax_rate(salon);
    fixture.service_mut("raft").tax_rate = tax_rate(raft);
    fixture
}

fn named(fees: &[(&str, Money)]) -> Vec<(String, Money)> {
    fees.iter()
        .map(|&(name, amount)| (name.to_owned(), amount))
        .collect()
}

#[test]
fn a_tax_is_one_fee_for_each_rate_and_rounded_line_by_line() {
    let fixture = taxed(10_000_000, 8_875_000);
    for (lines, fees, tax) in [
        (vec![], vec![], 0),
        (
            vec![("salon", cents(1_005))],
            vec![("Tax", cents(100))],
            100,
        ),
        (
            vec![("salon", cents(1_015))],
            vec![("Tax", cents(102))],
            102,
        ),
        // Half a cent a line, and not a cent for both.
        (vec![("salon", cents(5)), ("salon", cents(5))], vec![], 0),
        (
            vec![("salon", cents(15)), ("salon", cents(15))],
            vec![("Tax", cents(4))],
            4,
        ),
        (
            vec![
                ("raft", cents(10_000)),
                ("salon", cents(100)),
                ("raft", cents(1_000)),
            ],
            vec![("Tax 8.875%", cents(888 + 89)), ("Tax 10%", cents(10))],
            888 + 89 + 10,
        ),
        // A rate that comes to nothing does not count.
        (
            vec![("raft", cents(1)), ("salon", cents(100))],
            vec![("Tax", cents(10))],
            10,
        ),
        (
            vec![("museum", cents(1_000))],
            vec![("delivery", cents(200))],
            0,
        ),
    ] {
        assert_eq!(
            taxes(&fixture, &lines),
            (named(&fees), cents(tax)),
            "{lines:?}"
        );
    }
    let same = taxed(10_000_000, 10_000_000);
    let lines = [("salon", cents(100)), ("raft", cents(200))];
    assert_eq!(
        taxes(&same, &lines),
        (named(&[("Tax", cents(30))]), cents(30))
    );
}

#[test]
fn fees_are_not_taxed_and_the_tax_has_the_name_that_the_merchant_gives_it() {
    let mut fixture = taxed(50_000_000, 0);
    fixture.merchant_mut().tax_name = "VAT".into();
    fixture.merchant_mut().per_order_fees = vec![fee("handling", cents(100))];
    fixture.service_mut("salon").per_order_fees = vec![fee("towel", cents(300))];
    let expected = named(&[
        ("towel", cents(300)),
        ("handling", cents(100)),
        ("VAT", cents(500)),
    ]);
    assert_eq!(
        taxes(&fixture, &[("salon", cents(1_000))]),
        (expected, cents(500))
    );
}

#[test]
fn taxes_follow_the_smallest_unit_of_the_currency() {
    let mut fixture = Fixture::in_tokyo();
    fixture.service_mut("onsen").tax_rate = tax_rate(10_000_000);
    for (total, tax) in [(5, 0), (15, 2), (25, 2), (105, 10), (6_562, 656)] {
        let table = table_of(&fixture, &[("onsen", vec![], yen(total))]).unwrap();
        assert_eq!((table.tax, table.total), (yen(tax), yen(tax)), "{total}");
    }
}

#[test]
fn taxes_and_fees_of_tickets_are_distinguished() {
    let mut fixture = Fixture::new();
    let museum = fixture.service_mut("museum");
    museum.tickets[0].feed_fees.taxes = Some(cents(50));
    museum.tax_rate = tax_rate(10_000_000);
    let table = table_of(
        &fixture,
        &[("museum", vec![(ADULT, 3), (CHILD, 1)], cents(7_000))],
    )
    .unwrap();
    assert_eq!((table.tax, table.ticket_taxes), (cents(700), cents(150)));
    assert_eq!(table.total, cents(3 * 150 + 25 + 200 + 100 + 700));
}

#[test]
fn a_fee_of_nothing_is_left_out() {
    let mut fixture = Fixture::new();
    fixture.merchant_mut().per_order_fees = vec![fee("handling", cents(0))];
    let museum = fixture.service_mut("museum");
    museum.per_order_fees = vec![fee("delivery", cents(0)), fee("wrapping", cents(1))];
    museum.tickets[0].fees = vec![fee("booking", cents(0)), fee("tax", cents(50))];
    museum.tax_rate = tax_rate(1);
    let table = table(&fixture, &[("museum", vec![(ADULT, 2)])]).unwrap();
    let names: Vec<&str> = table
        .per_ticket
        .iter()
        .map(|fee| fee.fee.name.as_str())
        .collect();
    let of_order: Vec<&str> = table
        .per_order
        .iter()
        .map(|fee| fee.name.as_str())
        .collect();
    assert_eq!(
        (names, of_order, table.total),
        (vec!["tax"], vec!["wrapping"], cents(101))
    );
}

#[test]
fn a_tax_beyond_the_wire_is_an_error() {
    let fixture = taxed(100_000_000, 0);
    let most = dollars(i64::MAX);
    let lines = [("salon", vec![], most), ("salon", vec![], most)];
    assert_eq!(table_of(&fixture, &lines), Err(MoneyError::Overflow));
}
