use std::{
    sync::{
        Barrier,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread,
};

use super::*;
use domain::{
    catalog::{CartHold, Service},
    fixtures::{Fixture, HOUR, NOW, START},
    slot::{Claimed, PassThroughIx, Pool, PoolTickets, SlotTerms, Viewer},
    time::Seconds,
};

mod histories;
mod revisions;

const THREADS: u32 = 4;
/// The revision that is on sale from the beginning.
const FIRST: Revision = Revision(0);

const CART: CartKey = CartKey([1; 16]);
const OTHER_CART: CartKey = CartKey([2; 16]);

/// The raft service of the fixtures, and slots of it an hour apart with these allotments.
struct River {
    service: Service,
    inventory: Inventory,
    keys: Vec<SlotKey>,
}

impl River {
    fn with(allotments: &[u32]) -> Self {
        let fixture = Fixture::new();
        let inventory = Inventory::default();
        let keys: Vec<SlotKey> = (0..)
            .map(|hours| fixture.key("raft", START + hours * HOUR))
            .take(allotments.len())
            .collect();
        let openings: Vec<Opening> = keys
            .iter()
            .zip(allotments)
            .map(|(&first, &allotment)| Opening {
                first,
                pool: Pool {
                    tickets: PoolTickets::All,
                    allotment,
                },
                terms: None,
                recurrence: None,
                pass_through: PassThroughIx::default(),
            })
            .collect();
        assert_eq!(
            inventory.open(FIRST, &openings, NOW, EpochSeconds::MAX),
            Ok(allotments.len())
        );
        Self {
            service: fixture.service("raft").clone(),
            inventory,
            keys,
        }
    }

    fn asked(&self, slots: &[usize]) -> Vec<Option<SlotKey>> {
        slots.iter().map(|&at| Some(self.keys[at])).collect()
    }

    fn open_at(&self, at: usize, now: EpochSeconds, cart: Option<CartKey>) -> u32 {
        self.inventory
            .examine(FIRST, &self.asked(&[at]), |slots| {
                self.left(slots[0].unwrap(), now, cart)
            })
            .unwrap()
    }

    fn left(&self, slot: &Slot, now: EpochSeconds, cart: Option<CartKey>) -> u32 {
        slot.spots_open(&self.service, &[Claimed::Appointment], Viewer { now, cart })
    }

    fn claims(&self, slots: &[usize], count: u32) -> Vec<Claim> {
        slots
            .iter()
            .map(|&at| Claim {
                slot: self.keys[at],
                ticket: Claimed::Appointment,
                count,
            })
            .collect()
    }

    /// Takes `count` spots of each slot if all of them have as many.
    fn reserve(
        &self,
        slots: &[usize],
        count: u32,
        cart: CartKey,
        now: EpochSeconds,
    ) -> Option<Reservation> {
        let decision = self
            .inventory
            .reserve(FIRST, &self.asked(slots), cart, now, |seen| {
                let mut seen = seen.iter().flatten();
                let fits = seen.all(|slot| self.left(slot, now, Some(cart)) >= count);
                self.sell_if(fits, slots, count)
            })
            .unwrap();
        reservation(decision)
    }

    /// The decision to sell `count` spots of each slot if they fit.
    fn sell_if(&self, fits: bool, slots: &[usize], count: u32) -> Decision<((), Vec<Claim>), ()> {
        if fits {
            Decision::Sell(((), self.claims(slots, count)))
        } else {
            Decision::Decline(())
        }
    }

    fn hold(&self, slots: &[usize], count: u32, cart: CartKey, expires_sec: EpochSeconds) {
        let granted = self.hold_at(NOW, slots, count, cart, until(NOW, expires_sec));
        assert_eq!(granted, (count > 0).then_some(expires_sec));
    }

    fn hold_at(
        &self,
        now: EpochSeconds,
        slots: &[usize],
        count: u32,
        cart: CartKey,
        time: CartHold,
    ) -> Option<EpochSeconds> {
        let slots = if count > 0 { slots } else { &[] };
        let claims = |_: &[Option<&Slot>]| ((), self.claims(slots, count));
        self.inventory
            .hold(FIRST, &self.asked(slots), cart, now, time, claims)
            .unwrap()
            .1
    }
}

/// The reservation of a sale.
fn reservation(decision: Decision<((), Reservation), ()>) -> Option<Reservation> {
    match decision {
        Decision::Sell(((), reservation)) => Some(reservation),
        Decision::Decline(()) => None,
    }
}

/// One hold that lasts so long, renewed as often as one likes.
fn until(now: EpochSeconds, expires_sec: EpochSeconds) -> CartHold {
    CartHold {
        each: expires_sec.since(now),
        whole: Seconds::MAX,
    }
}

#[test]
fn several_slots_are_taken_together_or_not_at_all() {
    let river = River::with(&[2, 1]);
    assert!(river.reserve(&[0, 1], 2, CART, NOW).is_none());
    assert_eq!(
        (river.open_at(0, NOW, None), river.open_at(1, NOW, None)),
        (2, 1)
    );
    let taken = river.reserve(&[0, 1], 1, CART, NOW).unwrap();
    assert_eq!(taken.claims(), river.claims(&[0, 1], 1));
    assert_eq!(
        (river.open_at(0, NOW, None), river.open_at(1, NOW, None)),
        (1, 0)
    );
    river.inventory.release(taken, NOW);
    assert_eq!(
        (river.open_at(0, NOW, None), river.open_at(1, NOW, None)),
        (2, 1)
    );
}

#[test]
fn a_hold_counts_for_others_and_not_for_its_cart_until_it_expires() {
    let river = River::with(&[5]);
    river.hold(&[0], 3, CART, NOW + 600);
    assert_eq!(river.open_at(0, NOW, None), 2);
    assert_eq!(river.open_at(0, NOW, Some(OTHER_CART)), 2);
    assert_eq!(river.open_at(0, NOW, Some(CART)), 5);
    assert_eq!(river.open_at(0, NOW + 599, None), 2);
    assert_eq!(river.open_at(0, NOW + 600, None), 5);
}

#[test]
fn a_later_hold_of_a_cart_replaces_the_earlier_one() {
    let river = River::with(&[5, 5]);
    river.hold(&[0], 3, CART, NOW + 600);
    river.hold(&[1], 2, CART, NOW + 700);
    assert_eq!(
        (river.open_at(0, NOW, None), river.open_at(1, NOW, None)),
        (5, 3)
    );
    river.hold(&[], 0, CART, NOW + 700);
    assert_eq!(
        (river.open_at(0, NOW, None), river.open_at(1, NOW, None)),
        (5, 5)
    );
}

#[test]
fn an_order_uses_up_the_hold_of_its_cart_and_is_not_counted_twice() {
    let river = River::with(&[5]);
    river.hold(&[0], 3, CART, NOW + 600);
    let taken = river
        .reserve(&[0], 5, CART, NOW)
        .expect("the cart's own hold is free for it");
    assert_eq!(river.open_at(0, NOW, None), 0);
    river.inventory.confirm(taken);
    assert_eq!(river.open_at(0, NOW + 600, None), 0);
    assert_eq!(river.inventory.carts.len(), 0, "the cart is done with");
}

#[test]
fn an_order_that_fails_gives_the_cart_its_hold_back() {
    let river = River::with(&[5]);
    river.hold(&[0], 3, CART, NOW + 600);
    let taken = river.reserve(&[0], 3, CART, NOW).unwrap();
    river.inventory.release(taken, NOW + 1);
    assert_eq!(river.open_at(0, NOW + 1, None), 2);
    assert_eq!(river.open_at(0, NOW + 600, None), 5);
    let taken = river.reserve(&[0], 3, CART, NOW + 2).unwrap();
    river.inventory.release(taken, NOW + 600);
    assert_eq!(
        river.open_at(0, NOW + 600, None),
        5,
        "a hold that has expired is not given back"
    );
    assert_eq!(
        river.inventory.carts.len(),
        1,
        "how long its cart has held is not forgotten yet"
    );
    river.inventory.release_hold(CART, NOW + 1_200);
    assert_eq!(river.inventory.carts.len(), 0);
}

#[test]
fn a_cart_holds_until_its_hold_expires_or_is_let_go() {
    let river = River::with(&[5, 5]);
    river.hold(&[0], 1, CART, NOW + 600);
    river.hold(&[0, 1], 1, OTHER_CART, NOW + 700);
    river.hold(&[], 0, CartKey([3; 16]), NOW + 800);
    for (now, holding) in [
        (NOW, 2),
        (NOW + 599, 2),
        (NOW + 600, 1),
        (NOW + 699, 1),
        (NOW + 700, 0),
    ] {
        assert_eq!(river.inventory.holding(now), holding, "{now}");
    }
    river.inventory.release_hold(OTHER_CART, NOW);
    assert_eq!(river.inventory.holding(NOW), 1);
}

#[test]
fn what_is_taken_of_a_slot_can_be_seen_by_another_catalogue() {
    let river = River::with(&[5]);
    river
        .inventory
        .confirm(river.reserve(&[0], 2, CART, NOW).unwrap());
    let other = |allotment| {
        let mut slot = Slot::default();
        slot.open(
            Pool {
                tickets: PoolTickets::All,
                allotment,
            },
            &SlotTerms::default(),
        );
        slot
    };
    let left = |key, allotment| {
        river.left(
            &river.inventory.with_taken(key, other(allotment)),
            NOW,
            None,
        )
    };
    assert_eq!(left(river.keys[0], 9), 7);
    let unknown = SlotKey {
        start_sec: START - HOUR,
        ..river.keys[0]
    };
    assert_eq!(
        left(unknown, 9),
        9,
        "nothing is taken of a slot that is not known"
    );
}

#[test]
fn a_hold_that_had_expired_when_its_order_was_made_does_not_come_back_with_a_clock_set_back() {
    let river = River::with(&[5]);
    river.hold(&[0], 3, CART, NOW + 600);
    let taken = river.reserve(&[0], 3, CART, NOW + 600).unwrap();
    river.inventory.release(taken, NOW + 599);
    assert_eq!(river.open_at(0, NOW + 599, None), 5);
}

#[test]
fn a_cart_that_held_nothing_holds_nothing_after_an_order_that_failed() {
    let river = River::with(&[5]);
    river.hold(&[], 0, CART, NOW + 600);
    let taken = river.reserve(&[0], 3, CART, NOW).unwrap();
    river.inventory.release(taken, NOW);
    assert_eq!(river.open_at(0, NOW, None), 5);
}

#[test]
fn what_a_cart_holds_while_its_order_is_made_can_be_let_go_when_that_is_done() {
    let river = River::with(&[5]);
    river.hold(&[0], 1, CART, NOW + 600);
    let taken = river.reserve(&[0], 1, CART, NOW).unwrap();
    river.hold(&[0], 1, CART, NOW + 600);
    river.inventory.confirm(taken);
    assert_eq!(river.open_at(0, NOW, None), 3);
    river.inventory.release_hold(CART, NOW);
    assert_eq!(river.open_at(0, NOW, None), 4);
}

#[test]
fn what_is_on_record_is_counted_even_where_the_slot_opens_later() {
    let river = River::with(&[5]);
    let later = SlotKey {
        start_sec: START + 100 * HOUR,
        ..river.keys[0]
    };
    river.inventory.restore(&[Claim {
        slot: later,
        ticket: Claimed::Appointment,
        count: 2,
    }]);
    let unseen = river
        .inventory
        .examine(FIRST, &[Some(later)], |slots| slots[0].is_none())
        .unwrap();
    assert!(unseen, "a slot that is not open is not there");
    assert_eq!(
        river.inventory.look_at(FIRST, later, Slot::sold),
        Ok(None),
        "neither when looked at alone"
    );
    let pool = Pool {
        tickets: PoolTickets::All,
        allotment: 3,
    };
    let opening = Opening {
        first: later,
        pool,
        terms: None,
        recurrence: None,
        pass_through: PassThroughIx::default(),
    };
    river
        .inventory
        .open(FIRST, &[opening], NOW, EpochSeconds::MAX)
        .unwrap();
    let left = river
        .inventory
        .examine(FIRST, &[Some(later)], |slots| {
            river.left(slots[0].unwrap(), NOW, None)
        })
        .unwrap();
    assert_eq!(left, 1);
    assert_eq!(
        river.inventory.look_at(FIRST, later, Slot::sold),
        Ok(Some(2))
    );
}

#[test]
fn slots_that_are_over_are_forgotten() {
    let river = River::with(&[5, 5, 5]);
    assert_eq!(river.inventory.retire(river.keys[1].end_sec()), 1);
    assert_eq!(river.inventory.len(), 2);
    assert!(!river.inventory.is_empty());
}

/// The opening of a slot and its sales are forgotten together, so that no operation opens it again.
#[test]
fn a_slot_that_is_forgotten_is_never_opened_again() {
    let river = River::with(&[5, 5, 5]);
    let (gone, next) = (river.keys[0], FIRST.next());
    let sold = |key| Claim {
        slot: key,
        ticket: Claimed::Appointment,
        count: 5,
    };
    river.inventory.restore(&[sold(gone), sold(river.keys[1])]);
    assert_eq!(river.inventory.retire(river.keys[1].end_sec()), 1);
    // The clock that said so has been set back since.
    assert_eq!(river.inventory.retire(NOW - HOUR), 0);
    assert_eq!(river.inventory.forgotten_until(), river.keys[1].end_sec());

    let all: Vec<Opening> = river
        .keys
        .iter()
        .map(|&key| revisions::opening(key, 5))
        .collect();
    assert_eq!(
        river
            .inventory
            .open(FIRST, &all[..1], EpochSeconds::new(0), EpochSeconds::MAX),
        Ok(0)
    );
    river
        .inventory
        .stage(FIRST, next, &all, EpochSeconds::new(0), EpochSeconds::MAX);
    river.inventory.restore(&[sold(gone)]);
    river.inventory.advance_all(next, |_, _| {});
    assert_eq!(river.inventory.look_at(next, gone, Slot::sold), Ok(None));
    assert_eq!(
        river.inventory.look_at(next, river.keys[1], Slot::sold),
        Ok(Some(5))
    );
    assert_eq!(river.inventory.len(), 2);
}

/// Holds a spot for as many carts as are numbered.
fn hold_for(
    river: &River,
    carts: std::ops::Range<u32>,
    now: EpochSeconds,
    expires_sec: EpochSeconds,
) {
    for number in carts {
        let mut cart = [0; 16];
        cart[..4].copy_from_slice(&number.to_be_bytes());
        river.hold_at(now, &[0], 1, CartKey(cart), until(now, expires_sec));
    }
}

#[test]
fn carts_that_have_expired_are_swept_out() {
    let river = River::with(&[5]);
    for number in 0..5_000_u32 {
        let now = NOW + i64::from(number);
        hold_for(&river, number..number + 1, now, now + 10);
    }
    assert!(
        river.inventory.carts.len() < 2_000,
        "{} carts",
        river.inventory.carts.len()
    );
}

#[test]
fn carts_that_still_hold_are_not_swept_out() {
    let river = River::with(&[5]);
    hold_for(&river, 0..1, NOW, NOW + 21);
    hold_for(&river, 1..2, NOW, NOW + 11);
    hold_for(&river, 2..1_024, NOW, NOW + 10);
    // Carts whose holds have expired are remembered for as long as they have held.
    hold_for(&river, 1_024..1_025, NOW + 20, NOW + 30);
    assert_eq!(
        (
            river.inventory.carts.len(),
            river.inventory.holding(NOW + 20)
        ),
        (3, 2)
    );
    hold_for(&river, 0..2, NOW + 60, NOW + 70);
    assert_eq!(
        river.inventory.carts.len(),
        3,
        "a few are let be, expired or not"
    );
}

/// Checks of one cart, each a moment and how many spots it asks for, and what each of them was granted.
fn renewals(steps: &[(i64, u32)]) -> Vec<Option<i64>> {
    let river = River::with(&[9]);
    let time = CartHold {
        each: Seconds::new(10),
        whole: Seconds::new(25),
    };
    let granted = |&(at, count): &(i64, u32)| {
        let expires_sec = river.hold_at(NOW + at, &[0], count, CART, time);
        let held = if expires_sec.is_some() { count } else { 0 };
        assert_eq!(river.open_at(0, NOW + at, None), 9 - held, "at {at}");
        expires_sec.map(|expires_sec| expires_sec.since(NOW).get())
    };
    steps.iter().map(granted).collect()
}

#[test]
fn a_cart_renews_its_hold_for_so_long_and_then_pauses() {
    for (rule, steps, expected) in [
        (
            "each hold lasts as long",
            &[(0, 1), (5, 2)][..],
            &[Some(10), Some(15)][..],
        ),
        (
            "the last one is cut",
            &[(0, 1), (9, 1), (18, 1)],
            &[Some(10), Some(19), Some(25)],
        ),
        (
            "then there is none",
            &[(0, 1), (9, 1), (18, 1), (25, 1), (34, 1)],
            &[Some(10), Some(19), Some(25), None, None],
        ),
        (
            "until it has paused",
            &[(0, 1), (9, 1), (18, 1), (25, 1), (35, 1)],
            &[Some(10), Some(19), Some(25), None, Some(45)],
        ),
        (
            "a pause may come earlier",
            &[(0, 1), (20, 1), (40, 1)],
            &[Some(10), Some(30), Some(50)],
        ),
        (
            "too short a pause is none",
            &[(0, 1), (19, 1), (24, 1)],
            &[Some(10), Some(25), Some(25)],
        ),
        (
            "to release is no pause",
            &[(0, 1), (1, 0), (2, 1), (11, 0), (12, 3), (20, 1), (25, 1)],
            &[Some(10), None, Some(12), None, Some(22), Some(25), None],
        ),
        (
            "but the pause begins with it",
            &[(0, 1), (1, 0), (10, 0), (11, 1)],
            &[Some(10), None, None, Some(21)],
        ),
    ] {
        assert_eq!(renewals(steps), expected, "{rule}");
    }
}

#[test]
fn a_clock_that_is_set_back_gives_a_cart_no_time_back() {
    let to_and_fro = [
        (0, 1),
        (9, 1),
        (0, 1),
        (9, 1),
        (0, 1),
        (7, 1),
        (0, 1),
        (7, 1),
    ];
    // 9 seconds, and 9, and 7: then all 25 are used up.
    let granted = [
        Some(10),
        Some(19),
        Some(10),
        Some(16),
        Some(7),
        None,
        None,
        None,
    ];
    assert_eq!(renewals(&to_and_fro), granted);
}

#[test]
fn a_cart_cannot_win_time_by_releases_and_failed_orders() {
    let river = River::with(&[9]);
    let time = CartHold {
        each: Seconds::new(10),
        whole: Seconds::new(25),
    };
    let mut granted = Vec::new();
    for at in [0, 9, 18, 24, 25] {
        let now = NOW + at;
        granted.push(
            river
                .hold_at(now, &[0], 1, CART, time)
                .map(|expires_sec| expires_sec.since(NOW).get()),
        );
        let order = river.reserve(&[0], 1, CART, now).unwrap();
        river.inventory.release(order, now + 1);
        river.inventory.release_hold(CART, now + 1);
    }
    assert_eq!(granted, [Some(10), Some(19), Some(25), Some(25), None]);
    let order = river.reserve(&[0], 1, CART, NOW + 25).unwrap();
    river.inventory.confirm(order);
    assert_eq!(river.open_at(0, NOW + 25, None), 8);
}

/// Lets threads fight for the spots of one slot, one at a time, and gives how many they got.
fn fight(attempts: u32, take_one: impl Fn() -> bool + Sync) -> u32 {
    let got = AtomicU32::new(0);
    let start = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                for _ in 0..attempts / THREADS {
                    if take_one() {
                        got.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    got.into_inner()
}

#[test]
fn a_slot_is_never_sold_beyond_its_allotment_however_many_want_it() {
    let river = River::with(&[1_000]);
    let got = fight(8_000, || match river.reserve(&[0], 1, CART, NOW) {
        Some(reservation) => {
            river.inventory.confirm(reservation);
            true
        }
        None => false,
    });
    assert_eq!((got, river.open_at(0, NOW, None)), (1_000, 0));
}

/// The negative control: look and take as two steps, letting go of the slot between them. If this
/// never oversells, the test above shows nothing.
#[test]
fn the_same_fight_oversells_where_looking_and_taking_are_two_steps() {
    let oversells = || {
        let river = River::with(&[1_000]);
        let got = fight(8_000, || {
            let fits = river.open_at(0, NOW, None) >= 1;
            thread::yield_now();
            if fits {
                river.inventory.restore(&river.claims(&[0], 1));
            }
            fits
        });
        got > 1_000
    };
    assert!((0..100).any(|_| oversells()));
}

#[test]
fn nobody_sees_an_order_half_taken() {
    let river = River::with(&[1, 1]);
    let halves = AtomicU64::new(0);
    let done = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20_000 {
                if let Some(taken) = river.reserve(&[1, 0], 1, CART, NOW) {
                    river.inventory.release(taken, NOW);
                }
            }
            done.store(1, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while done.load(Ordering::SeqCst) == 0 {
                let (first, second) = river
                    .inventory
                    .examine(FIRST, &river.asked(&[0, 1]), |slots| {
                        (
                            river.left(slots[0].unwrap(), NOW, None),
                            river.left(slots[1].unwrap(), NOW, None),
                        )
                    })
                    .unwrap();
                halves.fetch_add(u64::from(first != second), Ordering::Relaxed);
            }
        });
    });
    assert_eq!(halves.into_inner(), 0);
}
