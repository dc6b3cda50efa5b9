//! Many calls at once.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::{
    StoreHome,
    driver::{Driver, NOW, all_orders, hold, hold_id, place, place_hold, revision},
};
use crate::{CommitError, HoldState, PlacedOrder, Selection, UnitOfWork, Write};
use domain::ids::{Token, UserId};
use testkit::histories::{History, Sequential};

/// Threads that call at once.
const THREADS: u32 = 4;

/// Commits all units at once, from several threads and several from each. Whether each was committed; otherwise it was
/// stale.
fn commit_at_once(driver: &Driver<'_>, units: &[UnitOfWork]) -> Vec<bool> {
    let share = units.len().div_ceil(THREADS as usize);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for units in units.chunks(share) {
            threads.push(scope.spawn(|| driver.runtime().block_on(commit_all(driver, units))));
        }
        let results = threads.into_iter().map(|thread| thread.join().unwrap());
        results.flatten().collect()
    })
}

async fn commit_all(driver: &Driver<'_>, units: &[UnitOfWork]) -> Vec<bool> {
    let futures: Vec<_> = units
        .iter()
        .map(|unit| driver.store().commit(unit))
        .collect();
    let mut committed = Vec::new();
    for future in futures {
        committed.push(match future.await {
            Ok(()) => true,
            Err(CommitError::Stale(_)) => false,
            Err(error) => panic!("{error:?}"),
        });
    }
    committed
}

/// The one unit that was committed.
fn only_one<'u>(units: &'u [UnitOfWork], committed: &[bool]) -> &'u UnitOfWork {
    assert_eq!(committed.len(), units.len());
    let mut both = units.iter().zip(committed);
    let (first, _) = both
        .find(|(_, committed)| **committed)
        .expect("one of them is committed");
    assert!(
        both.all(|(_, committed)| !committed),
        "more than one is committed"
    );
    first
}

pub(super) fn one_of_many_orders_of_a_token_is_placed(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let mut fingerprints = Vec::new();
    for round in 0..10 {
        let token = format!("token-{round}");
        let units: Vec<_> = (0..24)
            .map(|number| {
                let user = format!("user-{number}");
                let mut placed = driver.placed(&token, &user);
                placed.fingerprint = [number; 32];
                place(placed)
            })
            .collect();
        let committed = commit_at_once(&driver, &units);
        let Write::OrderPlaced(placed) = &only_one(&units, &committed).writes[0] else {
            panic!("it is an order")
        };
        fingerprints.push(placed.fingerprint);
    }
    let assert_those = |driver: &Driver<'_>| {
        for (round, fingerprint) in fingerprints.iter().enumerate() {
            let replay = driver.request(&format!("token-{round}")).unwrap();
            assert_eq!(replay.fingerprint, *fingerprint);
            let user = replay.order.customer.user_id;
            let listed = driver.listed(&Selection::User(user));
            assert!(listed.contains(&replay.order.id));
        }
        assert_eq!(driver.store().stats().orders, 10);
    };
    assert_those(&driver);
    if driver.reopen().is_some() {
        assert_those(&driver);
    }
}

pub(super) fn one_of_many_renewals_of_a_hold_is_placed(home: &dyn StoreHome) {
    let driver = Driver::open(home);
    for round in 1..=10 {
        let units: Vec<_> = (0..24)
            .map(|number| {
                let mut hold = hold(1, round);
                hold.owner = Some(format!("user-{number}").into());
                place_hold(hold)
            })
            .collect();
        let committed = commit_at_once(&driver, &units);
        let Write::HoldPlaced(hold) = &only_one(&units, &committed).writes[0] else {
            panic!("it is a hold")
        };
        let stored = driver.hold(hold_id(1)).unwrap();
        assert_eq!((&stored.hold, stored.state), (&**hold, HoldState::Active));
    }
}

pub(super) fn of_many_units_at_once_each_is_there_once(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let mut units = Vec::new();
    for number in 0..400 {
        let user = format!("user-{}", number % 5);
        units.push(place(driver.placed(&format!("token-{number}"), &user)));
    }
    let committed = commit_at_once(&driver, &units);
    assert!(committed.iter().all(|committed| *committed));
    let expected: BTreeSet<_> = (0..400)
        .map(|at| driver.id(&format!("token-{at}")))
        .collect();
    let newest_first = |driver: &Driver<'_>| {
        let until = NOW.saturating_add(1.into());
        let all = driver.listed(&Selection::Created { from: NOW, until });
        assert_eq!(all.len(), expected.len());
        assert_eq!(all.iter().cloned().collect::<BTreeSet<_>>(), expected);
        for user in 0..5 {
            let listed = driver.listed(&Selection::User(format!("user-{user}").as_str().into()));
            assert_eq!(listed.len(), 80);
            // Both lists tell the same order of events.
            let places = listed
                .iter()
                .map(|id| all.iter().position(|other| other == id));
            assert!(places.is_sorted(), "user-{user}");
        }
        all
    };
    let before = newest_first(&driver);
    if driver.reopen().is_some() {
        assert_eq!(newest_first(&driver), before);
        assert_eq!(driver.recovered().orders, 400);
    }
}

pub(super) fn a_unit_is_never_seen_in_part(home: &dyn StoreHome) {
    let driver = Driver::open(home);
    let numbers = 1..=100;
    for number in numbers.clone() {
        driver.commit(place_hold(hold(number, 1)));
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Asked once more after the end, so that what came last is seen as well.
            let mut is_last = false;
            while !is_last {
                is_last = is_over.load(Ordering::SeqCst);
                for number in numbers.clone() {
                    assert_whole_or_absent(&driver, number);
                }
            }
        });
        for number in numbers.clone() {
            let placed = PlacedOrder {
                hold: Some(hold_id(number)),
                ..driver.placed(&format!("token-{number}"), "ada")
            };
            // The order of the writes in the unit is not that of the questions.
            let unit = UnitOfWork::from(Write::HoldPlaced(Box::new(hold(number + 100, 1))))
                .and(Write::OrderPlaced(Box::new(placed)))
                .requiring(revision(hold_id(number), 1));
            let committed = driver.try_commit(&unit);
            if committed.is_err() || number == 100 {
                is_over.store(true, Ordering::SeqCst);
            }
            committed.unwrap();
        }
    });
}

fn assert_whole_or_absent(driver: &Driver<'_>, number: u8) {
    let token = format!("token-{number}");
    let is_placed = || driver.request(&token).is_some();
    let is_consumed = || driver.hold(hold_id(number)).unwrap().state == HoldState::Consumed;
    let is_held = || driver.hold(hold_id(number + 100)).is_some();
    // A unit may come between two questions. What was seen by the first is then seen by all others.
    if is_held() {
        assert!(is_placed() && is_consumed(), "{number} is seen in part");
    }
    if is_placed() {
        let selection = Selection::Ids(vec![driver.id(&token)]);
        assert!(is_consumed() && is_held(), "{number} is seen in part");
        assert_eq!(driver.listed(&selection).len(), 1, "{number} is not listed");
    }
    if is_consumed() {
        assert!(is_held() && is_placed(), "{number} is seen in part");
    }
}

/// A store as far as one token, one user and one hold say it.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct OneOfEach {
    order_of: Option<u32>,
    /// How many orders the user has.
    listed: usize,
    revision: u32,
}

#[derive(Debug, Clone, Copy)]
enum Call {
    /// Places an order of the one token with this fingerprint.
    Place(u8),
    /// Places an order of the same user under a token of its own.
    PlaceAnother(u32),
    /// Renews the hold if it has this revision.
    Renew(u32),
    Find,
    List,
    Hold,
}

#[derive(Debug, PartialEq)]
enum Answer {
    Committed,
    Stale,
    Found(Option<u32>),
    Listed(usize),
    Revision(u32),
}

impl Sequential for OneOfEach {
    type Call = Call;
    type Answer = Answer;

    fn answer(&mut self, call: &Call) -> Answer {
        match *call {
            Call::Place(_) if self.order_of.is_some() => Answer::Stale,
            Call::Place(fingerprint) => {
                self.order_of = Some(fingerprint.into());
                self.listed += 1;
                Answer::Committed
            }
            Call::PlaceAnother(_) => {
                self.listed += 1;
                Answer::Committed
            }
            Call::Renew(revision) if revision == self.revision => {
                self.revision += 1;
                Answer::Committed
            }
            Call::Renew(_) => Answer::Stale,
            Call::Find => Answer::Found(self.order_of),
            Call::List => Answer::Listed(self.listed),
            Call::Hold => Answer::Revision(self.revision),
        }
    }
}

/// One round of calls at once, with a token, a user and a hold of its own.
struct Round<'d> {
    driver: &'d Driver<'d>,
    number: u8,
}

impl Round<'_> {
    fn token(&self) -> Token {
        format!("round-{}", self.number).as_str().into()
    }

    fn user(&self) -> UserId {
        format!("user-{}", self.number).as_str().into()
    }

    fn call(&self, call: Call) -> Answer {
        let driver = self.driver;
        let (token, user) = (self.token(), self.user());
        match call {
            Call::Place(fingerprint) => {
                let mut placed = driver.placed(token.as_str(), user.as_str());
                placed.fingerprint = [fingerprint; 32];
                committed(driver, &place(placed))
            }
            Call::PlaceAnother(number) => {
                let token = format!("{token}-{number}");
                committed(driver, &place(driver.placed(&token, user.as_str())))
            }
            Call::Renew(revision) => {
                committed(driver, &place_hold(hold(self.number, revision + 1)))
            }
            Call::Find => {
                let replay = driver.request(token.as_str());
                Answer::Found(replay.map(|replay| replay.fingerprint[0].into()))
            }
            Call::List => {
                let selection = Selection::User(user);
                let orders = all_orders(&**driver.store(), &selection, &|_| true).unwrap();
                Answer::Listed(orders.len())
            }
            Call::Hold => {
                let stored = driver.hold(hold_id(self.number));
                Answer::Revision(stored.map_or(0, |stored| stored.hold.revision))
            }
        }
    }
}

fn committed(driver: &Driver<'_>, unit: &UnitOfWork) -> Answer {
    match driver.try_commit(unit) {
        Ok(()) => Answer::Committed,
        Err(CommitError::Stale(_)) => Answer::Stale,
        Err(error) => panic!("{error:?}"),
    }
}

fn any_call(random: &mut fastrand::Rng, number: u32) -> Call {
    match random.u8(..8) {
        0 => Call::Place(random.u8(..)),
        1 => Call::PlaceAnother(number),
        2 | 3 => Call::Renew(random.u32(..3)),
        4 => Call::Find,
        5 => Call::List,
        _ => Call::Hold,
    }
}

pub(super) fn calls_that_overlap_have_an_order(home: &dyn StoreHome) {
    let driver = Driver::open(home);
    for number in 1..=40 {
        let round = Round {
            driver: &driver,
            number,
        };
        let history = History::<OneOfEach>::default();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (round, history) = (&round, &history);
                scope.spawn(move || {
                    let seed = u64::from(number) * u64::from(THREADS) + u64::from(thread);
                    let mut random = fastrand::Rng::with_seed(seed);
                    for at in 0..6 {
                        let call = any_call(&mut random, thread * 10 + at);
                        history.record(call, |call| round.call(*call));
                    }
                });
            }
        });
        history.must_be_linearizable(&OneOfEach::default());
    }
}
