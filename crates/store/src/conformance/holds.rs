//! Holds: placed, renewed, consumed by an order, released, and readable after their end.

use super::{
    StoreHome,
    driver::{Driver, NOW, hold, hold_id, place, place_hold, release, revision},
    samples,
};
use crate::{HoldRecord, HoldState, PlacedOrder, ReleaseReason, StoredHold, UnitOfWork};

fn assert_hold(driver: &Driver<'_>, hold: HoldRecord, state: HoldState) {
    assert_eq!(driver.hold(hold.id), Some(StoredHold { hold, state }));
}

fn release_of(number: u8, of_revision: u32, reason: ReleaseReason) -> UnitOfWork {
    let id = hold_id(number);
    UnitOfWork::from(release(id, reason)).requiring(revision(id, of_revision))
}

fn released(reason: ReleaseReason) -> HoldState {
    HoldState::Released {
        released_sec: NOW,
        reason,
    }
}

pub(super) fn a_hold_is_replaced_when_it_is_placed_again(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    assert_eq!(driver.hold(hold_id(1)), None);
    for revision in 1..=3 {
        driver.commit(place_hold(hold(1, revision)));
        assert_hold(&driver, hold(1, revision), HoldState::Active);
        // The same again is stale: it was decided on the revision before.
        driver.commit_stale(&place_hold(hold(1, revision)));
    }
    if let Some(recovered) = driver.reopen() {
        assert_eq!(recovered.holds, [hold(1, 3)]);
        assert_hold(&driver, hold(1, 3), HoldState::Active);
        driver.commit_stale(&place_hold(hold(1, 3)));
        driver.commit(place_hold(hold(1, 4)));
        assert_hold(&driver, hold(1, 4), HoldState::Active);
    }
}

pub(super) fn a_hold_stays_readable_after_its_end(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    for number in 1..=4 {
        driver.commit(place_hold(hold(number, 1)));
    }
    let consuming = PlacedOrder {
        hold: Some(hold_id(1)),
        ..driver.placed("token", "ada")
    };
    driver.commit(place(consuming).requiring(revision(hold_id(1), 1)));
    driver.commit(release_of(2, 1, ReleaseReason::Released));
    driver.commit(release_of(3, 1, ReleaseReason::Expired));
    let assert_ended = |driver: &Driver<'_>| {
        assert_hold(driver, hold(1, 1), HoldState::Consumed);
        assert_hold(driver, hold(2, 1), released(ReleaseReason::Released));
        assert_hold(driver, hold(3, 1), released(ReleaseReason::Expired));
        assert_hold(driver, hold(4, 1), HoldState::Active);
        for number in 1..=3 {
            // It has ended once and cannot end again.
            driver.commit_stale(&release_of(number, 1, ReleaseReason::Expired));
        }
    };
    assert_ended(&driver);
    if let Some(recovered) = driver.reopen() {
        assert_eq!(recovered.holds, [hold(4, 1)]);
        assert_ended(&driver);
    }
}

pub(super) fn an_ended_hold_is_placed_anew(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    driver.commit(place_hold(hold(1, 1)));
    driver.commit(release_of(1, 1, ReleaseReason::Expired));
    driver.commit(place_hold(hold(1, 1)));
    assert_hold(&driver, hold(1, 1), HoldState::Active);
    if let Some(recovered) = driver.reopen() {
        assert_eq!(recovered.holds, [hold(1, 1)]);
    }
    driver.commit(release_of(1, 1, ReleaseReason::Released));
    assert_hold(&driver, hold(1, 1), released(ReleaseReason::Released));
    if let Some(recovered) = driver.reopen() {
        assert_eq!(recovered.holds, []);
        // Placed anew after a restart.
        driver.commit(place_hold(hold(1, 1)));
        assert_hold(&driver, hold(1, 1), HoldState::Active);
    }
}

pub(super) fn each_of_many_holds_is_as_it_ended_last(home: &dyn StoreHome) {
    const HOLDS: u8 = 90;
    let mut driver = Driver::open(home);
    for round in 1..=3 {
        for number in 1..=HOLDS {
            driver.commit(place_hold(hold(number, 1)));
            if round > 1 {
                driver.commit(place_hold(hold(number, 2)));
            }
            // In another way in each round, so that earlier ends do not look like the last one.
            let id = hold_id(number);
            let last = if round > 1 { 2 } else { 1 };
            let unit = match (number + round) % 3 {
                0 => place(PlacedOrder {
                    hold: Some(id),
                    ..driver.placed(&format!("token-{round}-{number}"), "ada")
                }),
                1 => release(id, ReleaseReason::Released).into(),
                _ => release(id, ReleaseReason::Expired).into(),
            };
            driver.commit(unit.requiring(revision(id, last)));
        }
    }
    let assert_ended = |driver: &Driver<'_>| {
        for number in 1..=HOLDS {
            let state = match (number + 3) % 3 {
                0 => HoldState::Consumed,
                1 => released(ReleaseReason::Released),
                _ => released(ReleaseReason::Expired),
            };
            assert_hold(driver, hold(number, 2), state);
        }
        assert_eq!(driver.hold(hold_id(HOLDS + 1)), None);
    };
    assert_ended(&driver);
    if let Some(recovered) = driver.reopen() {
        assert_eq!(recovered.holds, []);
        assert_ended(&driver);
    }
}

pub(super) fn a_hold_has_no_answers(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let mut random = fastrand::Rng::with_seed(1);
    let mut holds = Vec::new();
    for number in 1..=30 {
        let mut hold = HoldRecord {
            id: hold_id(number),
            revision: 1,
            ..samples::hold(&mut random)
        };
        driver.commit(place_hold(hold.clone()));
        // A hold has no personal data, so that nothing of it has to be erased.
        hold.lines.iter_mut().for_each(|line| line.answers = None);
        holds.push(hold);
    }
    let assert_without = |driver: &Driver<'_>| {
        for hold in &holds {
            assert_hold(driver, hold.clone(), HoldState::Active);
        }
    };
    assert_without(&driver);
    if let Some(recovered) = driver.reopen() {
        let mut recovered = recovered.holds.clone();
        recovered.sort_by_key(|hold| hold.id);
        assert_eq!(recovered, holds);
        assert_without(&driver);
    }
}
