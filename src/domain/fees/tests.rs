use super::*;
use crate::domain::{
    fixtures::{ADULT, CHILD, House, SENIOR, cents, dollars, fee, yen},
    money::MoneyError,
};

fn table(house: &House, items: &[(&str, TicketCounts)]) -> Result<FeeTable, MoneyError> {
    let items: Vec<(ServiceIx, &TicketCounts)> =
        items.iter().map(|(service, tickets)| (house.ix(service), tickets)).collect();
    FeeTable::for_items(&house.catalog, house.catalog.merchant(house.merchant), &items)
}

fn check(house: &House, items: &[(&str, TicketCounts)], total_cents: i64, per_order: &[&str]) {
    let table = table(house, items).unwrap();
    assert_eq!(table.total, cents(total_cents), "{items:?}");
    let names: Vec<&str> = table.per_order.iter().map(|fee| fee.name.as_str()).collect();
    assert_eq!(names, per_order, "{items:?}");
}

#[test]
fn the_total_is_every_ticket_fee_times_its_count_and_every_order_fee_once() {
    let house = House::new();
    check(&house, &[], 0, &[]);
    check(&house, &[("salon", vec![])], 100, &["handling"]);
    check(&house, &[("museum", vec![(SENIOR, 3)])], 300, &["delivery", "handling"]);
    check(&house, &[("museum", vec![(ADULT, 2), (CHILD, 4)])], 300 + 100 + 300, &["delivery", "handling"]);
    let twice = [("museum", vec![(ADULT, 2)]), ("raft", vec![]), ("museum", vec![(ADULT, 1), (CHILD, 1)])];
    check(&house, &twice, 450 + 25 + 300, &["delivery", "handling"]);
}

#[test]
fn the_breakdown_names_each_kind_of_ticket_and_fee_once() {
    let house = House::new();
    let items = [("museum", vec![(ADULT, 2)]), ("museum", vec![(CHILD, 1), (ADULT, 1)])];
    let table = table(&house, &items).unwrap();
    let listed: Vec<(&str, &str, &str, Money)> = table
        .per_ticket
        .iter()
        .map(|entry| {
            (entry.service_id.as_str(), entry.ticket_id.as_str(), entry.fee.name.as_str(), entry.fee.amount)
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
    let mut house = House::new();
    house.service_mut("raft").tickets[0].fees = vec![fee("tax", cents(5)), fee("tax", cents(5))];
    let table = table(&house, &[("raft", vec![(ADULT, 2)])]).unwrap();
    assert_eq!(table.per_ticket.len(), 2);
    assert_eq!(table.total, cents(20 + 100));
}

#[test]
fn a_total_beyond_the_wire_is_an_error() {
    let mut house = House::new();
    house.service_mut("raft").tickets[0].fees = vec![fee("tax", dollars(i64::MAX))];
    let many = [("raft", vec![(ADULT, u32::MAX)])];
    assert_eq!(table(&house, &many), Err(MoneyError::Overflow));
    house.service_mut("raft").tickets[0].fees = vec![fee("tax", yen(1))];
    assert_eq!(table(&house, &many), Err(MoneyError::CurrencyMismatch));
}
