//! What a server needs in memory when it starts.

use super::{
    StoreHome,
    driver::{Driver, claim, dollars, hold, hold_id, place, place_hold, release},
    model,
};
use crate::{NamedClaim, PlacedOrder, PriceBook, PriceEntry, ReleaseReason, Write};
use domain::time::EpochSeconds;

pub(super) fn an_empty_store_has_nothing(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let assert_empty = |driver: &Driver<'_>| {
        let recovered = model::sorted(driver.recovered());
        assert_eq!(recovered, model::Model::default().recovered());
    };
    assert_empty(&driver);
    if driver.reopen().is_some() {
        assert_empty(&driver);
    }
}

pub(super) fn claims_are_added_up(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let without_ticket = NamedClaim {
        ticket_id: None,
        ..claim(1)
    };
    let later = NamedClaim {
        start_sec: EpochSeconds::new(1_900_000_000),
        ..claim(5)
    };
    let orders = [
        (700, vec![claim(2), without_ticket.clone()]),
        (900, vec![claim(3), later.clone(), claim(1)]),
        (800, Vec::new()),
        (800, vec![claim(4)]),
    ];
    for (number, (second, claims)) in orders.into_iter().enumerate() {
        let placed = PlacedOrder {
            created_sec: EpochSeconds::new(second),
            claims,
            ..driver.placed(&format!("token-{number}"), "ada")
        };
        driver.commit(place(placed));
        if number == 1 {
            driver.reopen();
        }
    }
    driver.commit_stale(&place(driver.placed("token-1", "ada")));
    if let Some(recovered) = driver.reopen() {
        let mut sold = recovered.sold.clone();
        sold.sort_by_key(|claim| (claim.start_sec, claim.ticket_id.clone()));
        assert_eq!(sold, [without_ticket, claim(10), later]);
        assert_eq!(recovered.orders, 4);
        assert_eq!(recovered.newest_order_sec, Some(EpochSeconds::new(900)));
    }
}

pub(super) fn holds_that_have_not_ended_are_recovered(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    for number in 1..=3 {
        driver.commit(place_hold(hold(number, 1)));
    }
    driver.commit(place_hold(hold(2, 2)));
    if let Some(recovered) = driver.reopen() {
        let mut holds = recovered.holds.clone();
        holds.sort_by_key(|hold| hold.id);
        assert_eq!(holds, [hold(1, 1), hold(2, 2), hold(3, 1)]);
    }
}

pub(super) fn holds_are_recovered_in_the_order_of_their_last_placement(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    for number in [7, 3, 9, 1] {
        driver.commit(place_hold(hold(number, 1)));
    }
    driver.commit(place_hold(hold(3, 2)));
    driver.commit(release(hold_id(9), ReleaseReason::Released));
    driver.commit(place_hold(hold(9, 1)));
    let expected = [hold(7, 1), hold(1, 1), hold(3, 2), hold(9, 1)];
    if let Some(recovered) = driver.reopen() {
        assert_eq!(recovered.holds, expected);
        driver.commit(place_hold(hold(7, 2)));
        let recovered = driver.reopen().unwrap();
        let expected = [hold(1, 1), hold(3, 2), hold(9, 1), hold(7, 2)];
        assert_eq!(recovered.holds, expected);
    }
}

fn price(service_id: &str, ticket_id: Option<&str>, micros: i64) -> PriceEntry {
    PriceEntry {
        merchant_id: "museum".into(),
        service_id: service_id.into(),
        ticket_id: ticket_id.map(Into::into),
        current: dollars(micros),
        previous: (micros > 1).then(|| dollars(micros - 1)),
    }
}

pub(super) fn prices_replace_those_of_the_same_ids(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let books = [
        vec![price("entry", Some("adult"), 1), price("tour", None, 1)],
        vec![price("entry", Some("adult"), 2)],
        vec![price("entry", Some("child"), 7), price("entry", None, 9)],
        Vec::new(),
    ];
    for entries in books {
        driver.commit(Write::Prices(PriceBook { entries }));
    }
    if let Some(recovered) = driver.reopen() {
        let mut entries = recovered.prices.entries.clone();
        entries.sort_by_key(|entry| (entry.service_id.clone(), entry.ticket_id.clone()));
        let expected = [
            price("entry", None, 9),
            price("entry", Some("adult"), 2),
            price("entry", Some("child"), 7),
            price("tour", None, 1),
        ];
        assert_eq!(entries, expected);
    }
}

pub(super) fn slots_are_forgotten_up_to_the_latest_time(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let mut latest = None;
    for second in [-5, 100, 300, 200, 300, 0] {
        let until = EpochSeconds::new(second);
        driver.commit(Write::SlotsForgotten(until));
        latest = latest.max(Some(until));
        if let Some(recovered) = driver.reopen() {
            assert_eq!(recovered.slots_forgotten_until, latest);
        }
    }
}
