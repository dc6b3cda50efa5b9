//! Lists: what is selected, in which order, and how far it is read.

use std::{collections::HashMap, ops::ControlFlow};

use super::{
    StoreHome,
    driver::{Driver, NOW, all_orders, claim, listed_orders, place},
};
use crate::{
    ListedOrder, NamedClaim, OrderFilter, OrderPlace, PlacedOrder, Provenance, Selection, SlotName,
};
use domain::{order::OrderId, time::EpochSeconds};

/// Does `assert` with the store, and again after it was opened again.
fn now_and_after_a_restart(driver: &mut Driver<'_>, assert: impl Fn(&Driver<'_>)) {
    assert(driver);
    if driver.reopen().is_some() {
        assert(driver);
    }
}

pub(super) fn the_orders_of_a_user_are_listed_newest_first(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let users = ["ada", "bob", "eve"];
    let token = |number: usize| format!("token-{number}");
    for number in 0..60 {
        let placed = PlacedOrder {
            // The clock goes back again and again: newest is what was committed last.
            created_sec: EpochSeconds::new(NOW.get() + [7, 3, 9, 0][number % 4]),
            ..driver.placed(&token(number), users[number % 3])
        };
        driver.commit(place(placed));
    }
    now_and_after_a_restart(&mut driver, |driver| {
        for (at, user) in users.into_iter().enumerate() {
            let numbers = (0..60).rev().filter(|number| number % 3 == at);
            let expected: Vec<_> = numbers.map(|number| driver.id(&token(number))).collect();
            let listed = driver.listed(&Selection::User(user.into()));
            assert_eq!(listed, expected, "{user}");
        }
        assert!(driver.listed(&Selection::User("nobody".into())).is_empty());
    });
}

pub(super) fn orders_are_listed_by_time_newest_first(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let created = [700, 900, 800, 900, 650, 1_000, 799];
    for (number, second) in created.into_iter().enumerate() {
        let placed = PlacedOrder {
            created_sec: EpochSeconds::new(second),
            ..driver.placed(&format!("token-{number}"), "ada")
        };
        driver.commit(place(placed));
    }
    let windows: [(i64, i64, &[usize]); 7] = [
        (i64::MIN, i64::MAX, &[6, 5, 4, 3, 2, 1, 0]),
        (700, 900, &[6, 2, 0]),
        (900, 901, &[3, 1]),
        (800, 1_000, &[3, 2, 1]),
        (1_001, 2_000, &[]),
        (700, 700, &[]),
        (900, 700, &[]),
    ];
    now_and_after_a_restart(&mut driver, |driver| {
        for (from, until, numbers) in windows {
            let expected: Vec<_> = numbers
                .iter()
                .map(|at| driver.id(&format!("token-{at}")))
                .collect();
            let selection = Selection::Created {
                from: EpochSeconds::new(from),
                until: EpochSeconds::new(until),
            };
            assert_eq!(driver.listed(&selection), expected, "{from}..{until}");
        }
    });
}

/// The slot of a claim.
pub(super) fn slot_of(claim: &NamedClaim) -> SlotName {
    SlotName {
        merchant_id: claim.merchant_id.clone(),
        service_id: claim.service_id.clone(),
        start_sec: claim.start_sec,
        duration_sec: Some(claim.duration_sec),
    }
}

/// Orders of `claims`, each of the tokens `token-0` and so on.
fn place_claims(driver: &Driver<'_>, claims: impl IntoIterator<Item = Vec<NamedClaim>>) {
    for (number, claims) in claims.into_iter().enumerate() {
        let placed = PlacedOrder {
            claims,
            ..driver.placed(&format!("token-{number}"), "ada")
        };
        driver.commit(place(placed));
    }
}

pub(super) fn orders_are_listed_by_slot_newest_first(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let usual = claim(1);
    let slot = slot_of(&usual);
    let of = |change: &dyn Fn(&mut NamedClaim)| {
        let mut claim = usual.clone();
        change(&mut claim);
        claim
    };
    let longer = of(&|claim| claim.duration_sec = 7_200.into());
    let claims = [
        vec![usual.clone()],
        vec![of(&|claim| claim.merchant_id = "salon".into())],
        vec![of(&|claim| claim.service_id = "tour".into()), usual.clone()],
        vec![of(&|claim| {
            claim.start_sec = EpochSeconds::new(1_800_000_001);
        })],
        vec![longer.clone()],
        vec![usual.clone(), of(&|claim| claim.ticket_id = None)],
        vec![],
    ];
    place_claims(&driver, claims);
    let any_length = SlotName {
        duration_sec: None,
        ..slot.clone()
    };
    let nothing = SlotName {
        service_id: "nothing".into(),
        ..slot.clone()
    };
    now_and_after_a_restart(&mut driver, |driver| {
        for (slot, numbers) in [
            (&slot, &[5, 2, 0][..]),
            (&slot_of(&longer), &[4]),
            (&any_length, &[5, 4, 2, 0]),
            (&nothing, &[]),
        ] {
            let expected: Vec<_> = numbers
                .iter()
                .map(|at| driver.id(&format!("token-{at}")))
                .collect();
            let selection = Selection::Slot(slot.clone());
            assert_eq!(driver.listed(&selection), expected, "{slot:?}");
        }
    });
}

pub(super) fn orders_are_listed_by_visit_newest_first(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let starts: [&[i64]; 6] = [&[500], &[900], &[100, 700], &[], &[600, 650], &[500]];
    let claims = starts.map(|starts| {
        let claim = |start| NamedClaim {
            start_sec: EpochSeconds::new(start),
            ..claim(1)
        };
        starts.iter().copied().map(claim).collect::<Vec<_>>()
    });
    place_claims(&driver, claims);
    let windows: [(i64, i64, &[usize]); 7] = [
        (i64::MIN, i64::MAX, &[5, 4, 2, 1, 0]),
        (500, 501, &[5, 0]),
        (501, 600, &[]),
        (500, 700, &[5, 4, 0]),
        (100, 101, &[2]),
        (700, 901, &[2, 1]),
        (900, 500, &[]),
    ];
    now_and_after_a_restart(&mut driver, |driver| {
        for (from, until, numbers) in windows {
            let expected: Vec<_> = numbers
                .iter()
                .map(|at| driver.id(&format!("token-{at}")))
                .collect();
            let selection = Selection::Visit {
                from: EpochSeconds::new(from),
                until: EpochSeconds::new(until),
            };
            assert_eq!(driver.listed(&selection), expected, "{from}..{until}");
        }
    });
}

pub(super) fn places_are_in_the_order_of_the_commits(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let tokens: Vec<_> = (0..20).map(|number| format!("token-{number}")).collect();
    for token in &tokens {
        driver.order(token, "ada");
    }
    let places = |driver: &Driver<'_>| {
        let ids = tokens.iter().map(|token| driver.id(token)).collect();
        let selection = Selection::Ids(ids);
        let stored = listed_orders(&**driver.store(), &selection, &|_| true).unwrap();
        stored.iter().map(|stored| stored.place).collect::<Vec<_>>()
    };
    let before = places(&driver);
    assert!(before.is_sorted_by(|one, next| one < next), "{before:?}");
    if driver.reopen().is_some() {
        assert_eq!(places(&driver), before);
    }
}

pub(super) fn orders_are_listed_by_id_as_asked(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    for token in ["a", "b", "c"] {
        driver.order(token, "ada");
    }
    now_and_after_a_restart(&mut driver, |driver| {
        let [a, b, c, never] = driver.ids(["a", "b", "c", "never"]);
        let stranger = OrderId::from("stranger");
        let asked = [&b, &stranger, &never, &c, &a, &b, &c].map(Clone::clone);
        assert_eq!(driver.listed(&Selection::Ids(asked.to_vec())), [b, c, a]);
        assert!(driver.listed(&Selection::Ids(Vec::new())).is_empty());
    });
}

pub(super) fn what_may_not_be_seen_is_not_listed(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    for (token, created_by) in [("a", Some("google")), ("b", None), ("c", Some("other"))] {
        let placed = PlacedOrder {
            created_by: created_by.map(Into::into),
            ..driver.placed(token, "ada")
        };
        driver.commit(place(placed));
    }
    now_and_after_a_restart(&mut driver, |driver| {
        let [a, b, c] = driver.ids(["a", "b", "c"]);
        let until = NOW.saturating_add(1.into());
        let selections = [
            Selection::User("ada".into()),
            Selection::Created { from: NOW, until },
            Selection::Ids(vec![c.clone(), b.clone(), a.clone()]),
        ];
        let cases: [(OrderFilter<'_>, &[&OrderId]); 4] = [
            (
                &|order: Provenance<'_>| order.created_by == Some("google"),
                &[&a],
            ),
            (&|order: Provenance<'_>| order.created_by.is_none(), &[&b]),
            (
                &|order: Provenance<'_>| *order.merchant_id == "another",
                &[],
            ),
            (
                &|order: Provenance<'_>| *order.merchant_id == "museum",
                &[&c, &b, &a],
            ),
        ];
        for selection in selections {
            for (at, (may_see, expected)) in cases.iter().enumerate() {
                let orders = all_orders(&**driver.store(), &selection, may_see).unwrap();
                let listed: Vec<_> = orders.iter().map(|order| &order.id).collect();
                assert_eq!(&listed, expected, "{selection:?}, filter {at}");
            }
        }
    });
}

pub(super) fn a_list_is_read_no_further_than_wanted(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    let tokens: Vec<_> = (0..10).map(|number| format!("token-{number}")).collect();
    for token in &tokens {
        driver.order(token, "ada");
    }
    now_and_after_a_restart(&mut driver, |driver| {
        let ids = tokens.iter().map(|token| driver.id(token)).collect();
        let until = NOW.saturating_add(1.into());
        let selections = [
            Selection::User("ada".into()),
            Selection::Created { from: NOW, until },
            Selection::Ids(ids),
        ];
        for selection in selections {
            let mut wanted = 3;
            let list = driver.store().list(&selection, None, &|_| true, &mut |_| {
                assert!(
                    wanted > 0,
                    "{selection:?}: an order after the last that is wanted"
                );
                wanted -= 1;
                match wanted {
                    0 => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            });
            list.unwrap();
            assert_eq!(wanted, 0, "{selection:?}");
        }
    });
}

pub(super) fn a_list_goes_on_where_it_was_broken_off(home: &dyn StoreHome) {
    let mut driver = Driver::open(home);
    for token in ["a", "b", "c", "d"] {
        driver.order(token, "ada");
    }
    now_and_after_a_restart(&mut driver, |driver| {
        let [a, b, c, d] = driver.ids(["a", "b", "c", "d"]);
        let until = NOW.saturating_add(1.into());
        let slot = claim(2).start_sec;
        let newest_first = [d.clone(), c.clone(), b.clone(), a.clone()];
        let selections = [
            (Selection::User("ada".into()), newest_first.clone()),
            (
                Selection::Created { from: NOW, until },
                newest_first.clone(),
            ),
            (
                Selection::Visit {
                    from: slot,
                    until: slot.saturating_add(1.into()),
                },
                newest_first,
            ),
            (
                Selection::Ids(vec![a.clone(), b.clone(), c.clone(), d.clone()]),
                [a, b, c, d],
            ),
        ];
        for (selection, all) in selections {
            let listed = listed_orders(&**driver.store(), &selection, &|_| true).unwrap();
            for broken_off in listed {
                let before = broken_off.place;
                let is_left = |id: &&OrderId| places(driver, &selection)[*id] < before;
                let expected: Vec<_> = all.iter().filter(is_left).cloned().collect();
                let mut rest = Vec::new();
                let list = driver
                    .store()
                    .list(&selection, Some(before), &|_| true, &mut |order| {
                        rest.push(order.order.id);
                        ControlFlow::Continue(())
                    });
                list.unwrap();
                assert_eq!(rest, expected, "{selection:?} before {before:?}");
            }
        }
    });
}

/// The places of the selected orders.
fn places(driver: &Driver<'_>, selection: &Selection) -> HashMap<OrderId, OrderPlace> {
    let listed = listed_orders(&**driver.store(), selection, &|_| true).unwrap();
    let place = |it: ListedOrder| (it.order.id, it.place);
    listed.into_iter().map(place).collect()
}
