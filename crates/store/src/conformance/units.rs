//! Units: whole or not at all, visible when durable.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::{
    StoreHome,
    driver::{Driver, NOW, ended, hold, hold_id, intent, place, place_hold, release, revision},
    samples,
};
use crate::{
    CommitError, HoldState, PaymentOutcome, PlacedOrder, Precondition, ReleaseReason, Replay,
    Selection, StoreHealth, UnitOfWork, Write,
};

/// How often a unit is looked for that nobody waits for, with another commit between two looks.
const LOOKS: u32 = 1_000;

/// All selections that have the order of this token, user "ada", created at `NOW`.
fn selections(driver: &Driver<'_>, token: &str) -> [Selection; 3] {
    let until = NOW.saturating_add(1.into());
    [
        Selection::User("ada".into()),
        Selection::Created { from: NOW, until },
        Selection::Ids(vec![driver.id(token)]),
    ]
}

fn assert_there(driver: &Driver<'_>, placed: &PlacedOrder) {
    let token = placed.token.as_str();
    let replay = Replay {
        fingerprint: placed.fingerprint,
        created_by: placed.created_by.clone(),
        order: placed.order.clone(),
    };
    assert_eq!(driver.request(token), Some(replay), "{token}");
    for selection in selections(driver, token) {
        let listed = driver.listed(&selection);
        assert!(
            listed.contains(&placed.order.id),
            "{token} in {selection:?}"
        );
    }
}

fn assert_not_there(driver: &Driver<'_>, token: &str) {
    assert_eq!(driver.request(token), None, "{token}");
    for selection in selections(driver, token) {
        let listed = driver.listed(&selection);
        assert!(
            !listed.contains(&driver.id(token)),
            "{token} in {selection:?}"
        );
    }
}

pub(super) fn a_unit_is_there_when_its_future_is_ready(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    for number in 0..20 {
        let placed = driver.placed(&format!("token-{number}"), "ada");
        driver.commit(place(placed.clone()));
        assert_there(&driver, &placed);
    }
    if driver.reopen().is_some() {
        for number in 0..20 {
            assert_there(&driver, &driver.placed(&format!("token-{number}"), "ada"));
        }
    }
    assert_not_there(&driver, "another");
}

/// A unit of an order that consumes the first hold, releases the second and places the third.
fn unit_of_all(driver: &Driver<'_>) -> UnitOfWork {
    let placed = PlacedOrder {
        hold: Some(hold_id(1)),
        ..driver.placed("token", "ada")
    };
    place(placed)
        .and(release(hold_id(2), ReleaseReason::Released))
        .and(Write::HoldPlaced(Box::new(hold(3, 1))))
        .and(Write::PaymentEnded(ended(
            intent("other", 1),
            PaymentOutcome::Declined,
        )))
}

fn states(driver: &Driver<'_>) -> [Option<HoldState>; 3] {
    [1, 2, 3].map(|number| driver.hold(hold_id(number)).map(|stored| stored.state))
}

pub(super) fn a_unit_is_written_whole(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    driver.commit(place_hold(hold(1, 1)));
    driver.commit(place_hold(hold(2, 1)));
    driver.commit(Write::PaymentIntent(intent("other", 1)));
    driver.commit(unit_of_all(&driver));
    let assert_whole = |driver: &Driver<'_>| {
        let released = HoldState::Released {
            released_sec: NOW,
            reason: ReleaseReason::Released,
        };
        let expected = [HoldState::Consumed, released, HoldState::Active].map(Some);
        assert_eq!(states(driver), expected);
        assert_eq!(driver.failed_attempts("other"), 1);
        assert!(driver.request("token").is_some());
    };
    assert_whole(&driver);
    if driver.reopen().is_some() {
        assert_whole(&driver);
        let recovered = driver.recovered();
        assert_eq!(recovered.pending, []);
        assert_eq!(recovered.holds, [hold(3, 1)]);
    }
}

pub(super) fn a_stale_unit_writes_nothing(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    driver.commit(place_hold(hold(1, 1)));
    driver.commit(place_hold(hold(2, 1)));
    driver.commit(Write::PaymentIntent(intent("other", 1)));
    driver.order("known", "ada");
    let preconditions = [
        Precondition::NewRequest(driver.key("known")),
        revision(hold_id(1), 0),
        revision(hold_id(1), 2),
        revision(hold_id(3), 1),
    ];
    for precondition in &preconditions {
        // What does not hold comes last, after one that does.
        let unit = unit_of_all(&driver).requiring(*precondition);
        assert_eq!(driver.commit_stale(&unit), *precondition);
    }
    let assert_as_before = |driver: &Driver<'_>| {
        assert_not_there(driver, "token");
        let expected = [Some(HoldState::Active), Some(HoldState::Active), None];
        assert_eq!(states(driver), expected);
        assert_eq!(driver.failed_attempts("other"), 0);
    };
    assert_as_before(&driver);
    if driver.reopen().is_some() {
        assert_as_before(&driver);
        let recovered = driver.recovered();
        assert_eq!((recovered.orders, recovered.holds.len()), (1, 2));
        assert_eq!(recovered.pending, [intent("other", 1)]);
    }
    driver.commit(unit_of_all(&driver).requiring(revision(hold_id(1), 1)));
}

pub(super) fn a_stale_unit_leaves_the_others_alone(home: &dyn StoreHome) {
    let driver = Driver::open(home);
    driver.order("known", "ada");
    let units: Vec<_> = (0..60)
        .map(|number| match number % 3 {
            0 => place(driver.placed("known", "bob")),
            _ => place(driver.placed(&format!("token-{number}"), "ada")),
        })
        .collect();
    let results = driver.runtime().block_on(async {
        // All are submitted before one is waited for, so that they meet in the same batches.
        let futures: Vec<_> = units
            .iter()
            .map(|unit| driver.store().commit(unit))
            .collect();
        let mut results = Vec::new();
        for future in futures {
            results.push(future.await);
        }
        results
    });
    for (number, result) in results.into_iter().enumerate() {
        let is_stale = matches!(result, Err(CommitError::Stale(_)));
        assert_eq!(is_stale, number % 3 == 0, "{number}: {result:?}");
        assert!(is_stale || result.is_ok(), "{number}: {result:?}");
    }
    assert_eq!(driver.listed(&Selection::User("ada".into())).len(), 41);
    assert!(driver.listed(&Selection::User("bob".into())).is_empty());
}

pub(super) fn a_dropped_future_does_not_cancel_its_unit(home: &dyn StoreHome) {
    let driver = Driver::open(home);
    for number in 0..10 {
        let placed = driver.placed(&format!("token-{number}"), "ada");
        driver.runtime().block_on(async {
            drop(driver.store().commit(&place(placed.clone())));
        });
        let is_there = (0..LOOKS).any(|_| {
            // Whoever waits for another unit gives the store the time to write this one.
            driver.commit(Write::SlotsForgotten(NOW));
            driver.request(placed.token.as_str()).is_some()
        });
        assert!(is_there, "{number}");
        assert_there(&driver, &placed);
    }
}

pub(super) fn what_is_not_durable_is_not_seen(home: &dyn StoreHome) {
    let driver = Driver::open(home);
    driver.order("before", "ada");
    let Some(held) = home.hold_writes() else {
        return;
    };
    let placed = driver.placed("token", "ada");
    let _in_runtime = driver.runtime().enter();
    let mut commit = driver.store().commit(&place(placed.clone()));
    for _ in 0..LOOKS {
        let polled = Pin::new(&mut commit).poll(&mut Context::from_waker(Waker::noop()));
        assert!(
            matches!(polled, Poll::Pending),
            "it is not durable: {polled:?}"
        );
        assert_not_there(&driver, "token");
        std::thread::yield_now();
    }
    drop(held);
    driver.runtime().block_on(commit).unwrap();
    assert_there(&driver, &placed);
}

pub(super) fn a_request_is_answered_as_it_was(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let mut random = fastrand::Rng::with_seed(1);
    let mut orders = Vec::new();
    for _ in 0..100 {
        let mut placed = samples::placed(&mut random, |token| driver.id(token.as_str()));
        placed.hold = None;
        placed.created_sec = NOW;
        placed.order.customer.user_id = "ada".into();
        driver.commit(place(placed.clone()));
        orders.push(placed);
    }
    let assert_all_there = |driver: &Driver<'_>| {
        for placed in &orders {
            assert_there(driver, placed);
        }
        assert_eq!(driver.request("another"), None);
    };
    assert_all_there(&driver);
    if driver.reopen().is_some() {
        assert_all_there(&driver);
    }
}

pub(super) fn nothing_is_written_during_an_outage(home: &dyn StoreHome) {
    let driver = Driver::open(home);
    let mut health = driver.store().health();
    assert!(health.borrow_and_update().is_ready());
    driver.order("before", "ada");
    let Some(outage) = home.interrupt() else {
        return;
    };
    assert!(health.has_changed().unwrap());
    assert!(matches!(
        *health.borrow_and_update(),
        StoreHealth::Unavailable { .. }
    ));
    let unit = place(driver.placed("token", "ada"));
    let result = driver.try_commit(&unit);
    assert!(
        matches!(result, Err(CommitError::Unavailable)),
        "{result:?}"
    );
    drop(outage);
    assert!(health.has_changed().unwrap());
    assert!(health.borrow_and_update().is_ready());
    assert_not_there(&driver, "token");
    driver.commit(unit);
    assert_there(&driver, &driver.placed("token", "ada"));
}

pub(super) fn orders_are_counted(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    assert_eq!(driver.store().stats().orders, 0);
    for number in 0..5 {
        driver.order(&format!("token-{number}"), "ada");
    }
    driver.commit(place_hold(hold(1, 1)));
    driver.commit_stale(&place(driver.placed("token-1", "bob")));
    let stats = driver.store().stats();
    assert_eq!((stats.orders, stats.waiting), (5, 0));
    if driver.reopen().is_some() {
        let counted = driver.store().stats().orders;
        assert_eq!((driver.recovered().orders, counted), (5, 5));
    }
}
