//! Erasures: what is gone, and what stays.

use std::ops::ControlFlow;

use super::{
    StoreHome,
    driver::{Driver, NOW, all_orders, claim, ended, intent, place, update},
    samples,
};
use crate::{
    NamedClaim, PaymentOutcome, PlacedOrder, Precondition, Replay, Selection, UpdateTexts,
};
use domain::{
    ids::UserId,
    order::{Customer, IntakeAnswer, Order},
    time::{EpochSeconds, Seconds},
};

/// An order with personal data in every place that has any.
fn personal(driver: &Driver<'_>, token: &str, user_id: &str) -> PlacedOrder {
    let mut placed = driver.placed(token, user_id);
    placed.order.customer.given_name = format!("{user_id} the first");
    placed.order.customer.email = format!("{user_id}@example.com");
    placed.order.items[0].line.answers = Some(vec![IntakeAnswer {
        question_id: "allergies".to_owned(),
        responses: vec!["none".to_owned()],
    }]);
    placed.created_by = Some("google".into());
    placed.payment = Some(ended(intent(token, 1), PaymentOutcome::Captured));
    placed
}

/// The order when it is erased.
fn without_person(order: &Order) -> Order {
    let mut order = order.clone();
    order.customer = Customer::of("");
    for item in &mut order.items {
        item.line.answers = None;
    }
    order
}

fn exported(driver: &Driver<'_>, user_id: &str) -> Vec<PlacedOrder> {
    let mut orders = Vec::new();
    let take = &mut |placed| {
        orders.push(placed);
        ControlFlow::Continue(())
    };
    driver
        .store()
        .export_person(&UserId::from(user_id), take)
        .unwrap();
    orders
}

/// The orders that were created at [`NOW`], newest first.
fn orders_of_now(driver: &Driver<'_>) -> Vec<Order> {
    let until = NOW.saturating_add(1.into());
    let selection = Selection::Created { from: NOW, until };
    all_orders(&**driver.store(), &selection, &|_| true).unwrap()
}

pub(super) fn an_erased_person_is_in_no_order(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let placed: Vec<_> = (0..6)
        .map(|number| {
            let user = ["ada", "bob"][number % 2];
            personal(&driver, &format!("token-{number}"), user)
        })
        .collect();
    for placed in &placed {
        driver.commit(place(placed.clone()));
    }
    assert_eq!(driver.erase("nobody"), 0);
    assert_eq!(driver.erase("ada"), 3);
    let assert_erased = |driver: &Driver<'_>| {
        assert!(driver.listed(&Selection::User("ada".into())).is_empty());
        assert_eq!(exported(driver, "ada"), []);
        assert_eq!(exported(driver, "bob").len(), 3);
        let expected: Vec<_> = placed
            .iter()
            .rev()
            .map(|placed| match placed.order.customer.user_id.as_str() {
                "ada" => without_person(&placed.order),
                _ => Order::clone(&placed.order),
            })
            .collect();
        assert_eq!(orders_of_now(driver), expected);
        let ids = expected.iter().map(|order| order.id.clone()).collect();
        let by_id = all_orders(&**driver.store(), &Selection::Ids(ids), &|_| true);
        assert_eq!(by_id.unwrap(), expected);
        assert_eq!(driver.store().stats().orders, 6);
    };
    assert_erased(&driver);
    if driver.reopen().is_some() {
        assert_erased(&driver);
    }
    assert_eq!(driver.erase("ada"), 0, "again");
    assert_erased(&driver);
}

pub(super) fn an_erased_request_is_still_recognized(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let placed = personal(&driver, "token", "ada");
    driver.commit(place(placed.clone()));
    assert_eq!(driver.erase("ada"), 1);
    let assert_recognized = |driver: &Driver<'_>| {
        let replay = Replay {
            fingerprint: placed.fingerprint,
            created_by: placed.created_by.clone(),
            order: Box::new(without_person(&placed.order)),
        };
        assert_eq!(driver.request("token"), Some(replay));
        let stale = driver.commit_stale(&place(placed.clone()));
        assert_eq!(stale, Precondition::NewRequest(driver.key("token")));
    };
    assert_recognized(&driver);
    if let Some(recovered) = driver.reopen() {
        assert_eq!((recovered.orders, &recovered.sold), (1, &placed.claims));
        assert_recognized(&driver);
    }
}

pub(super) fn orders_after_an_erasure_are_kept(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    driver.commit(place(personal(&driver, "before", "ada")));
    assert_eq!(driver.erase("ada"), 1);
    let after = personal(&driver, "after", "ada");
    driver.commit(place(after.clone()));
    assert_eq!(exported(&driver, "ada"), std::slice::from_ref(&after));
    if driver.reopen().is_some() {
        assert_eq!(exported(&driver, "ada"), [after]);
    }
    assert_eq!(driver.erase("ada"), 1);
    assert_eq!(exported(&driver, "ada"), []);
}

pub(super) fn everything_of_a_person_is_exported(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let mut expected = Vec::new();
    for number in 0..20 {
        let user = ["ada", "bob"][number % 2];
        let placed = personal(&driver, &format!("token-{number}"), user);
        driver.commit(place(placed.clone()));
        if user == "ada" {
            expected.insert(0, placed);
        }
    }
    let assert_exported = |driver: &Driver<'_>| {
        assert_eq!(exported(driver, "ada"), expected);
        assert_eq!(exported(driver, "nobody"), []);
        let mut taken = 0;
        let take = &mut |_| {
            taken += 1;
            assert!(taken <= 2, "an order after the last that is wanted");
            match taken {
                2 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        };
        driver.store().export_person(&"ada".into(), take).unwrap();
        assert_eq!(taken, 2);
    };
    assert_exported(&driver);
    if driver.reopen().is_some() {
        assert_exported(&driver);
    }
}

pub(super) fn visits_are_erased_by_their_end(home: &dyn StoreHome) {
    const HOUR: i64 = 3_600;
    let mut driver = Driver::open(home);
    let visit = |start: i64| NamedClaim {
        start_sec: NOW.saturating_add(Seconds::new(start)),
        duration_sec: 3_600.into(),
        ..claim(1)
    };
    // With the ends of their visits relative to now, in hours; the last one is as old as its creation.
    let orders = [
        (-2, "ada"),
        (3, "ada"),
        (-1, "bob"),
        (-5, "bob"),
        (0, "eve"),
    ];
    for (number, (end, user)) in orders.into_iter().enumerate() {
        let mut placed = personal(&driver, &format!("token-{number}"), user);
        placed.claims = match end {
            0 => Vec::new(),
            // Two slots, of which the later one counts.
            end => vec![visit((end - 1) * HOUR), visit((end - 4) * HOUR)],
        };
        driver.commit(place(placed));
    }
    let left = |driver: &Driver<'_>| {
        let mut left = Vec::new();
        for user in ["ada", "bob", "eve"] {
            for placed in exported(driver, user) {
                left.push(placed.token.as_str().to_owned());
            }
        }
        left
    };
    let second = |hours: i64| NOW.saturating_add(Seconds::new(hours * HOUR));
    assert_eq!(driver.erase_visits(second(-5), 10), 0, "not before the end");
    let first = EpochSeconds::new(second(-5).get() + 1);
    assert_eq!(driver.erase_visits(first, 10), 1);
    assert_eq!(left(&driver), ["token-1", "token-0", "token-2", "token-4"]);
    assert_eq!(driver.erase_visits(NOW, 1), 1, "no more than asked for");
    assert_eq!(driver.erase_visits(NOW, 10), 1);
    let expected = ["token-1", "token-4"];
    assert_eq!(left(&driver), expected);
    if driver.reopen().is_some() {
        assert_eq!(left(&driver), expected);
    }
    assert_eq!(driver.erase_visits(second(1), 10), 1);
    assert_eq!(driver.erase_visits(second(1), 10), 0, "again");
    assert_eq!(left(&driver), ["token-1"]);
}

pub(super) fn an_erased_order_leaves_the_others_of_its_person(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let placed = ["one", "other"].map(|token| personal(&driver, token, "ada"));
    for placed in &placed {
        driver.commit(place(placed.clone()));
    }
    let text = |driver: &Driver<'_>, revision: u32| {
        let mut random = fastrand::Rng::with_seed(revision.into());
        samples::update(&mut random, driver.id("one"), revision)
    };
    driver.commit(update(text(&driver, 1)));
    let [one, other] = driver.ids(["one", "other"]);
    assert_eq!(driver.erase_order(&one), 1);
    assert_eq!(driver.erase_order(&one), 0, "again");
    assert_eq!(driver.erase_order(&driver.id("unknown")), 0);
    assert_eq!(driver.erase_order(&"stranger".into()), 0);
    let assert_erased = |driver: &Driver<'_>, revision: u32| {
        let stored = driver.stored(&one).unwrap();
        assert_eq!(*stored.placed.order, without_person(&placed[0].order));
        for update in driver.history(&one) {
            assert_eq!(update.entry.texts, UpdateTexts::default());
        }
        assert_eq!(stored.revision(), revision);
        assert_eq!(
            driver.listed(&Selection::User("ada".into())),
            std::slice::from_ref(&other)
        );
        assert_eq!(exported(driver, "ada"), placed[1..]);
        assert!(driver.request("one").is_some());
    };
    assert_erased(&driver, 1);
    if driver.reopen().is_some() {
        assert_erased(&driver, 1);
    }
    // What is written after the erasure is erased by another one.
    driver.commit(update(text(&driver, 2)));
    assert_eq!(driver.erase_order(&one), 0);
    assert_erased(&driver, 2);
    if driver.reopen().is_some() {
        assert_erased(&driver, 2);
    }
    assert_eq!(driver.erase("ada"), 1, "the rest of the person");
}
