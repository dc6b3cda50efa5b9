//! Updates of orders: seen by every read or none, in their sequence, and once.

use std::ops::ControlFlow;

use fastrand::Rng;

use super::{
    StoreHome,
    driver::{Driver, claim, listed_orders, order_revision, update},
    samples,
};
use crate::{
    CommitError, ListedOrder, NamedClaim, OrderUpdate, Precondition, Selection, StoredOrder,
    UnitOfWork, UpdateTexts, Write,
};
use domain::{
    lifecycle::{OrderPart, Timer},
    time::EpochSeconds,
};

/// The update of an order to this revision, with something of its customer in it.
fn updated(driver: &Driver<'_>, token: &str, revision: u32) -> OrderUpdate {
    let mut random = Rng::with_seed(revision.into());
    let mut update = samples::update(&mut random, driver.id(token), revision);
    update.entry.texts = UpdateTexts {
        note: format!("{token} {revision}"),
        reason: "she is ill".to_owned(),
    };
    update.tree.timers.clear();
    update.tree.steps.clear();
    update.tree.given_up.clear();
    update
}

/// An update without what people have written.
fn without_texts(mut update: OrderUpdate) -> OrderUpdate {
    update.entry.texts = UpdateTexts::default();
    update
}

/// A timer of the whole order.
fn timer() -> Timer<domain::lifecycle::Name> {
    Timer {
        name: "customer_action".into(),
        part: OrderPart::ORDER,
        due: EpochSeconds::new(1),
        to: "timed_out".into(),
    }
}

/// The selections that have the orders of a user.
fn selections(driver: &Driver<'_>, token: &str) -> [Selection; 3] {
    [
        Selection::User("ada".into()),
        Selection::Created {
            from: EpochSeconds::MIN,
            until: EpochSeconds::MAX,
        },
        Selection::Ids(vec![driver.id(token)]),
    ]
}

/// Fails unless every read has the order with this newest update.
#[track_caller]
fn assert_stands(driver: &Driver<'_>, token: &str, newest: Option<&OrderUpdate>) {
    let id = driver.id(token);
    let stored = driver.stored(&id).unwrap();
    assert_eq!(stored.update.as_ref(), newest, "found");
    let history = driver.history(&id);
    assert_eq!(history.first(), newest, "history");
    for selection in selections(driver, token) {
        let listed = listed_orders(&**driver.store(), &selection, &|_| true).unwrap();
        let listed: Vec<&ListedOrder> = listed.iter().filter(|it| it.order.id == id).collect();
        assert_eq!(listed.len(), 1, "{selection:?}");
        assert_eq!(listed[0].update.as_ref(), newest, "{selection:?}");
    }
}

pub(super) fn an_update_is_seen_by_every_read(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    for token in ["one", "other"] {
        driver.order(token, "ada");
    }
    let placed = driver.placed("one", "ada");
    let first = driver.request("one");
    assert_stands(&driver, "one", None);
    for revision in 1..4 {
        let newest = updated(&driver, "one", revision);
        driver.commit(update(newest.clone()));
        assert_stands(&driver, "one", Some(&newest));
        assert_stands(&driver, "other", None);
        // The answer of a repeated request stays the first one.
        assert_eq!(driver.request("one"), first);
    }
    let newest = updated(&driver, "one", 3);
    let stored = StoredOrder {
        placed,
        update: Some(newest.clone()),
    };
    assert_eq!(driver.stored(&driver.id("one")), Some(stored.clone()));
    assert_eq!(driver.stored(&"stranger".into()), None);
    assert_eq!(driver.stored(&driver.id("unknown")), None);
    if driver.reopen().is_some() {
        assert_eq!(driver.stored(&driver.id("one")), Some(stored));
        assert_stands(&driver, "one", Some(&newest));
        assert_stands(&driver, "other", None);
        assert_eq!(driver.request("one"), first);
    }
}

pub(super) fn a_stale_update_writes_nothing(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    driver.order("one", "ada");
    let first = updated(&driver, "one", 1);
    driver.commit(update(first.clone()));
    let stale = |driver: &Driver<'_>, token: &str, seen: u32| {
        let required = order_revision(&driver.id(token), seen);
        // Something else in the unit is not written either.
        let unit = UnitOfWork::write(Write::SlotsForgotten(EpochSeconds::new(9)))
            .and(Write::OrderUpdated(Box::new(updated(
                driver,
                token,
                seen + 1,
            ))))
            .requiring(required);
        assert_eq!(driver.commit_stale(&unit), required);
    };
    for seen in [0, 2, 7] {
        stale(&driver, "one", seen);
        assert_stands(&driver, "one", Some(&first));
    }
    stale(&driver, "unknown", 0);
    assert_eq!(driver.history(&driver.id("unknown")), []);
    assert_eq!(driver.history(&driver.id("one")).len(), 1);
    if let Some(recovered) = driver.reopen() {
        assert_eq!(recovered.slots_forgotten_until, None);
        assert_stands(&driver, "one", Some(&first));
        stale(&driver, "one", 0);
    }
    // A restart has not changed what an update builds on.
    let second = updated(&driver, "one", 2);
    driver.commit(update(second.clone()));
    assert_stands(&driver, "one", Some(&second));
}

pub(super) fn a_history_is_whole_and_newest_first(home: &dyn StoreHome) {
    const REVISIONS: u32 = 12;
    let mut driver = Driver::open(home);
    for token in ["one", "other"] {
        driver.order(token, "ada");
    }
    for revision in 1..=REVISIONS {
        for token in ["one", "other"] {
            driver.commit(update(updated(&driver, token, revision)));
        }
    }
    let assert_whole = |driver: &Driver<'_>| {
        for token in ["one", "other"] {
            let newest_first = (1..=REVISIONS).rev();
            let expected: Vec<_> = newest_first
                .map(|revision| updated(driver, token, revision))
                .collect();
            assert_eq!(driver.history(&driver.id(token)), expected);
        }
        let mut taken = 0;
        let take = &mut |_| {
            taken += 1;
            assert!(taken <= 2, "an update after the last that is wanted");
            match taken {
                2 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        };
        driver.store().history(&driver.id("one"), take).unwrap();
        assert_eq!(taken, 2);
    };
    assert_whole(&driver);
    if driver.reopen().is_some() {
        assert_whole(&driver);
    }
}

pub(super) fn released_spots_are_free_after_a_restart(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let child = NamedClaim {
        ticket_id: Some("child".into()),
        ..claim(1)
    };
    for token in ["one", "other"] {
        let mut placed = driver.placed(token, "ada");
        placed.claims = vec![claim(2), child.clone()];
        driver.commit(super::driver::place(placed));
    }
    let mut first = updated(&driver, "one", 1);
    first.released = vec![claim(2)];
    driver.commit(update(first));
    let sold = |driver: &mut Driver<'_>| {
        let recovered = driver.reopen()?;
        let mut sold = recovered.sold.clone();
        sold.sort_by_key(|claim| claim.ticket_id.clone());
        Some(sold)
    };
    let two_children = NamedClaim {
        count: 2,
        ..child.clone()
    };
    let Some(found) = sold(&mut driver) else {
        return;
    };
    assert_eq!(found, [claim(2), two_children]);
    // Of two orders the rest; and what is used up is not there at all.
    for (token, revision, released) in [
        ("one", 2, vec![child.clone()]),
        ("other", 1, vec![claim(2)]),
    ] {
        let mut next = updated(&driver, token, revision);
        next.released = released;
        driver.commit(update(next));
    }
    assert_eq!(sold(&mut driver), Some(vec![child]));
}

pub(super) fn orders_with_work_are_recovered(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let mut expected = Vec::new();
    for (token, has_work) in [
        ("plain", vec![]),
        ("waits", vec![true]),
        ("waited", vec![true, false]),
        ("waits-again", vec![false, true]),
        ("still", vec![true, true]),
    ] {
        driver.order(token, "ada");
        let mut newest = None;
        for (revision, has_work) in (1..).zip(has_work) {
            let mut next = updated(&driver, token, revision);
            next.tree.timers.extend(has_work.then(timer));
            driver.commit(update(next.clone()));
            newest = Some(next);
        }
        expected.extend(
            newest
                .filter(|newest| newest.tree.has_work())
                .map(without_texts),
        );
    }
    expected.sort_by(|left, right| left.order.cmp(&right.order));
    if let Some(recovered) = driver.reopen() {
        let mut found = recovered.updated.clone();
        found.sort_by(|left, right| left.order.cmp(&right.order));
        assert_eq!(found, expected);
    }
}

pub(super) fn updates_of_one_order_at_once_are_written_in_turn(home: &dyn StoreHome) {
    let driver = Driver::open(home);
    driver.order("one", "ada");
    // Submitted together: the second is decided on what the first makes of the order, whether that is durable or not.
    let results = |revisions: [u32; 2]| {
        let futures = revisions.map(|revision| {
            let unit = update(updated(&driver, "one", revision));
            let _within = driver.runtime().enter();
            driver.store().commit(&unit)
        });
        futures.map(|future| driver.runtime().block_on(future))
    };
    for revision in [1, 3, 5] {
        let written = results([revision, revision + 1]);
        assert!(written.iter().all(Result::is_ok), "{written:?}");
        assert_stands(&driver, "one", Some(&updated(&driver, "one", revision + 1)));
    }
    let [one, other] = results([7, 7]);
    assert!(one.is_ok(), "{one:?}");
    let id = driver.id("one");
    match other {
        Err(CommitError::Stale(Precondition::OrderRevision { order, revision: 6 })) => {
            assert_eq!(order.order_id(), id);
        }
        other => panic!("an update is written twice: {other:?}"),
    }
    assert_eq!(driver.history(&id).len(), 7);
}

pub(super) fn an_erasure_reaches_updates(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    for (token, user) in [("one", "ada"), ("other", "bob")] {
        driver.order(token, user);
        for revision in 1..4 {
            driver.commit(update(updated(&driver, token, revision)));
        }
    }
    assert_eq!(driver.erase("ada"), 1);
    let assert_erased = |driver: &Driver<'_>| {
        let id = driver.id("one");
        let newest = without_texts(updated(driver, "one", 3));
        assert_eq!(driver.stored(&id).unwrap().update, Some(newest.clone()));
        let by_id = Selection::Ids(vec![id.clone()]);
        let listed = listed_orders(&**driver.store(), &by_id, &|_| true).unwrap();
        assert_eq!(listed[0].update, Some(newest));
        let expected = [3, 2, 1].map(|revision| without_texts(updated(driver, "one", revision)));
        assert_eq!(driver.history(&id), expected);
        let others = [3, 2, 1].map(|revision| updated(driver, "other", revision));
        assert_eq!(driver.history(&driver.id("other")), others);
    };
    assert_erased(&driver);
    if driver.reopen().is_some() {
        assert_erased(&driver);
    }
}

pub(super) fn an_order_that_begins_with_work_is_recovered_until_it_is_updated(
    home: &dyn StoreHome,
) {
    let mut driver = Driver::open(home);
    let tokens = ["plain", "idle", "waits", "updated", "other"];
    for token in tokens {
        let mut placed = driver.placed(token, "ada");
        let mut tree = updated(&driver, token, 1).tree;
        if token != "idle" {
            tree.timers.push(timer());
        }
        placed.begun = (token != "plain").then(|| Box::new(tree));
        driver.commit(super::driver::place(placed));
    }
    driver.commit(update(updated(&driver, "updated", 1)));
    let assert_whole = |driver: &Driver<'_>| {
        for token in tokens {
            let stored = driver.stored(&driver.id(token)).unwrap();
            assert_eq!(stored.placed.begun.is_some(), token != "plain", "{token}");
            let revision = u32::from(token == "updated");
            assert_eq!(stored.revision(), revision, "{token}");
            assert_eq!(driver.history(&driver.id(token)).len(), revision as usize);
            for selection in selections(driver, token) {
                let listed = listed_orders(&**driver.store(), &selection, &|_| true).unwrap();
                let listed = listed.iter().find(|it| it.order.id == driver.id(token));
                assert_eq!(listed.unwrap().begun, stored.placed.begun, "{selection:?}");
                assert_eq!(listed.unwrap().tree(), stored.tree(), "{selection:?}");
            }
        }
    };
    assert_whole(&driver);
    let recovered = |driver: &mut Driver<'_>| {
        let begun = driver.reopen()?.begun.clone();
        let mut found: Vec<_> = begun.into_iter().map(|begun| begun.order).collect();
        found.sort();
        Some(found)
    };
    let Some(found) = recovered(&mut driver) else {
        return;
    };
    let mut expected = driver.ids(["waits", "other"]).to_vec();
    expected.sort();
    assert_eq!(found, expected);
    assert_whole(&driver);
    // It is decided on what was only placed, and its history begins with it.
    driver.commit(update(updated(&driver, "waits", 1)));
    assert_stands(&driver, "waits", Some(&updated(&driver, "waits", 1)));
    assert_eq!(recovered(&mut driver), Some(vec![driver.id("other")]));
    assert_stands(&driver, "waits", Some(&updated(&driver, "waits", 1)));
}
