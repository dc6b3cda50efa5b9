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

mod blocks;
mod histories;
mod revisions;

const THREADS: u32 = 4;
/// The revision that is active at first.
const FIRST: Revision = Revision(0);

const CART: CartKey = CartKey([1; 16]);
const OTHER_CART: CartKey = CartKey([2; 16]);

/// The raft service of the fixtures, and slots of it an hour apart with these allotments.
struct SlotFixture {
    service: Service,
    inventory: Inventory,
    keys: Vec<SlotKey>,
}

impl SlotFixture {
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

    /// Reserves `count` spots of each slot if all of them have as many.
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
        let change = self.begin_hold(now, slots, count, cart, time)?;
        let granted = change.next().map(|next| next.expires_sec);
        self.inventory.apply_hold(change, now);
        granted
    }

    /// Begins to hold spots, and does not record it yet.
    fn begin_hold(
        &self,
        now: EpochSeconds,
        slots: &[usize],
        count: u32,
        cart: CartKey,
        time: CartHold,
    ) -> Option<HoldChange> {
        let slots = if count > 0 { slots } else { &[] };
        let claims = |_: &[Option<&Slot>]| ((), self.claims(slots, count));
        let held = self
            .inventory
            .hold(FIRST, &self.asked(slots), cart, now, Some(time), claims);
        held.unwrap().1
    }

    fn release_hold(&self, cart: CartKey, now: EpochSeconds) {
        if let Some(change) = self.inventory.release_hold(cart) {
            self.inventory.apply_hold(change, now);
        }
    }

    /// Records the ends of all holds that have expired.
    fn expire_holds(&self, now: EpochSeconds) -> usize {
        let expired = self.inventory.expired(now);
        for cart in &expired {
            let change = self.inventory.expire_hold(*cart, now).unwrap();
            self.inventory.apply_hold(change, now);
        }
        expired.len()
    }
}

/// The reservation of a sale.
fn reservation(decision: Decision<((), Reservation), ()>) -> Option<Reservation> {
    match decision {
        Decision::Sell(((), reservation)) => Some(reservation),
        Decision::Decline(()) => None,
    }
}

/// Holds that expire at this time, with unlimited renewals.
fn until(now: EpochSeconds, expires_sec: EpochSeconds) -> CartHold {
    CartHold {
        each: expires_sec.since(now),
        whole: Seconds::MAX,
    }
}

#[test]
fn several_slots_are_reserved_together_or_not_at_all() {
    let fixture = SlotFixture::with(&[2, 1]);
    assert!(fixture.reserve(&[0, 1], 2, CART, NOW).is_none());
    assert_eq!(
        (fixture.open_at(0, NOW, None), fixture.open_at(1, NOW, None)),
        (2, 1)
    );
    let reserved = fixture.reserve(&[0, 1], 1, CART, NOW).unwrap();
    assert_eq!(reserved.claims(), fixture.claims(&[0, 1], 1));
    assert_eq!(
        (fixture.open_at(0, NOW, None), fixture.open_at(1, NOW, None)),
        (1, 0)
    );
    fixture.inventory.release(reserved, NOW);
    assert_eq!(
        (fixture.open_at(0, NOW, None), fixture.open_at(1, NOW, None)),
        (2, 1)
    );
}

#[test]
fn a_hold_counts_for_other_carts_until_it_expires() {
    let fixture = SlotFixture::with(&[5]);
    fixture.hold(&[0], 3, CART, NOW + 600);
    assert_eq!(fixture.open_at(0, NOW, None), 2);
    assert_eq!(fixture.open_at(0, NOW, Some(OTHER_CART)), 2);
    assert_eq!(fixture.open_at(0, NOW, Some(CART)), 5);
    assert_eq!(fixture.open_at(0, NOW + 599, None), 2);
    assert_eq!(fixture.open_at(0, NOW + 600, None), 5);
}

#[test]
fn a_later_hold_of_a_cart_replaces_the_earlier_one() {
    let fixture = SlotFixture::with(&[5, 5]);
    fixture.hold(&[0], 3, CART, NOW + 600);
    fixture.hold(&[1], 2, CART, NOW + 700);
    assert_eq!(
        (fixture.open_at(0, NOW, None), fixture.open_at(1, NOW, None)),
        (5, 3)
    );
    fixture.hold(&[], 0, CART, NOW + 700);
    assert_eq!(
        (fixture.open_at(0, NOW, None), fixture.open_at(1, NOW, None)),
        (5, 5)
    );
}

#[test]
fn an_order_consumes_the_hold_of_its_cart() {
    let fixture = SlotFixture::with(&[5]);
    fixture.hold(&[0], 3, CART, NOW + 600);
    let reserved = fixture
        .reserve(&[0], 5, CART, NOW)
        .expect("the cart's own hold is free for it");
    assert_eq!(fixture.open_at(0, NOW, None), 0);
    fixture.inventory.confirm(reserved, NOW);
    assert_eq!(fixture.open_at(0, NOW + 600, None), 0);
    assert_eq!(fixture.inventory.carts.len(), 0, "the cart is done with");
}

#[test]
fn a_failed_order_restores_the_hold_of_its_cart() {
    let fixture = SlotFixture::with(&[5]);
    fixture.hold(&[0], 3, CART, NOW + 600);
    let reserved = fixture.reserve(&[0], 3, CART, NOW).unwrap();
    fixture.inventory.release(reserved, NOW + 1);
    assert_eq!(fixture.open_at(0, NOW + 1, None), 2);
    assert_eq!(fixture.open_at(0, NOW + 600, None), 5);
    let reserved = fixture.reserve(&[0], 3, CART, NOW + 2).unwrap();
    fixture.inventory.release(reserved, NOW + 600);
    assert_eq!(
        fixture.open_at(0, NOW + 600, None),
        5,
        "an expired hold is not restored"
    );
    assert_eq!(
        fixture.inventory.carts.len(),
        1,
        "the time of its earlier holds still counts"
    );
    fixture.release_hold(CART, NOW + 1_200);
    assert_eq!(fixture.inventory.carts.len(), 0);
}

#[test]
fn a_cart_holds_until_its_hold_expires_or_is_released() {
    let fixture = SlotFixture::with(&[5, 5]);
    fixture.hold(&[0], 1, CART, NOW + 600);
    fixture.hold(&[0, 1], 1, OTHER_CART, NOW + 700);
    fixture.hold(&[], 0, CartKey([3; 16]), NOW + 800);
    for (now, holding) in [
        (NOW, 2),
        (NOW + 599, 2),
        (NOW + 600, 1),
        (NOW + 699, 1),
        (NOW + 700, 0),
    ] {
        assert_eq!(fixture.inventory.holding(now), holding, "{now}");
    }
    fixture.release_hold(OTHER_CART, NOW);
    assert_eq!(fixture.inventory.holding(NOW), 1);
}

#[test]
fn sold_and_held_spots_count_in_a_slot_of_another_catalogue() {
    let fixture = SlotFixture::with(&[5]);
    fixture
        .inventory
        .confirm(fixture.reserve(&[0], 2, CART, NOW).unwrap(), NOW);
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
        fixture.left(
            &fixture.inventory.with_taken(key, other(allotment)),
            NOW,
            None,
        )
    };
    assert_eq!(left(fixture.keys[0], 9), 7);
    let unknown = SlotKey {
        start_sec: START - HOUR,
        ..fixture.keys[0]
    };
    assert_eq!(
        left(unknown, 9),
        9,
        "nothing is sold or held of an unknown slot"
    );
}

#[test]
fn a_hold_that_expired_before_its_order_is_not_restored_by_a_clock_set_back() {
    let fixture = SlotFixture::with(&[5]);
    fixture.hold(&[0], 3, CART, NOW + 600);
    let reserved = fixture.reserve(&[0], 3, CART, NOW + 600).unwrap();
    fixture.inventory.release(reserved, NOW + 599);
    assert_eq!(fixture.open_at(0, NOW + 599, None), 5);
    // Nor by another order that fails.
    let reserved = fixture.reserve(&[0], 3, CART, NOW + 1).unwrap();
    fixture.inventory.release(reserved, NOW + 2);
    assert_eq!(fixture.open_at(0, NOW + 2, None), 5);
}

#[test]
fn a_hold_whose_spots_another_cart_got_is_not_restored_by_a_clock_set_back() {
    let fixture = SlotFixture::with(&[5]);
    fixture.hold(&[0], 2, CART, NOW + 600);
    let later = NOW + 600;
    let time = until(later, later + 600);
    assert!(fixture.hold_at(later, &[0], 4, OTHER_CART, time).is_some());
    let reserved = fixture.reserve(&[0], 1, CART, NOW + 1).unwrap();
    fixture.inventory.release(reserved, NOW + 1);
    assert_eq!(fixture.open_at(0, NOW + 1, None), 1);
    assert_eq!(fixture.open_at(0, NOW + 1, Some(OTHER_CART)), 5);
}

#[test]
fn an_order_ends_the_hold_of_its_cart_also_after_its_time() {
    for now in [NOW + 599, NOW + 600] {
        let fixture = SlotFixture::with(&[5]);
        fixture.hold(&[0], 3, CART, NOW + 600);
        let reserved = fixture.reserve(&[0], 2, CART, now).unwrap();
        let consumed = reserved.consumed().map(ConsumedHold::revision);
        assert_eq!(consumed, Some(1), "it is still on record");
        fixture.inventory.confirm(reserved, now);
        assert_eq!(fixture.inventory.expired(NOW + 600), []);
        assert_eq!(fixture.open_at(0, NOW, None), 3, "under a clock set back");
        assert_eq!(fixture.inventory.carts.len(), 0);
    }
}

#[test]
fn a_failed_order_of_a_cart_without_a_hold_leaves_none() {
    let fixture = SlotFixture::with(&[5]);
    fixture.hold(&[], 0, CART, NOW + 600);
    let reserved = fixture.reserve(&[0], 3, CART, NOW).unwrap();
    fixture.inventory.release(reserved, NOW);
    assert_eq!(fixture.open_at(0, NOW, None), 5);
}

#[test]
fn what_a_cart_held_beyond_its_order_is_given_back_with_the_record_and_not_before() {
    for (ends_well, left) in [(true, [3, 5]), (false, [1, 3])] {
        let fixture = SlotFixture::with(&[5, 5]);
        let change = fixture.begin_hold(NOW, &[0, 1], 2, CART, until(NOW, NOW + 600));
        fixture.inventory.apply_hold(change.unwrap(), NOW);
        fixture.hold(&[0], 2, OTHER_CART, NOW + 600);
        let reserved = fixture.reserve(&[0], 2, CART, NOW).unwrap();
        let consumed = reserved.consumed().unwrap();
        assert_eq!((consumed.cart(), consumed.revision()), (CART, 1));
        let open = || [0, 1].map(|at| fixture.open_at(at, NOW, None));
        assert_eq!(open(), [1, 3], "what is not ordered stays held");
        if ends_well {
            fixture.inventory.confirm(reserved, NOW);
            fixture.release_hold(OTHER_CART, NOW);
        } else {
            fixture.inventory.release(reserved, NOW);
        }
        assert_eq!(open(), left);
    }
}

#[test]
fn a_hold_that_is_not_on_record_yet_counts_beside_the_earlier_one() {
    let fixture = SlotFixture::with(&[9, 9]);
    let time = until(NOW, NOW + 600);
    let open = || [0, 1].map(|at| fixture.open_at(at, NOW, None));
    // The slots and the number of spots of each change, whether it is recorded, and what is open before and after.
    for (slots, count, is_recorded, meanwhile, afterwards) in [
        (&[0][..], 3, false, [6, 9], [9, 9]),
        (&[0], 3, true, [6, 9], [6, 9]),
        (&[0], 5, false, [4, 9], [6, 9]),
        (&[1], 2, false, [6, 7], [6, 9]),
        (&[1], 2, true, [6, 7], [9, 7]),
        (&[0, 1], 1, true, [8, 7], [8, 8]),
        (&[], 0, false, [8, 8], [8, 8]),
        (&[], 0, true, [8, 8], [9, 9]),
    ] {
        let change = fixture.begin_hold(NOW, slots, count, CART, time).unwrap();
        assert_eq!(open(), meanwhile, "{slots:?} {count}");
        assert_eq!(fixture.open_at(0, NOW, Some(CART)), 9);
        if is_recorded {
            fixture.inventory.apply_hold(change, NOW);
        } else {
            fixture.inventory.revert_hold(change, NOW);
        }
        assert_eq!(open(), afterwards, "{slots:?} {count}");
    }
    assert!(fixture.begin_hold(NOW, &[], 0, CART, time).is_none());
}

#[test]
fn each_hold_of_a_cart_has_the_next_revision_and_one_after_the_end_begins_anew() {
    let fixture = SlotFixture::with(&[9]);
    let time = until(NOW, NOW + 600);
    let mut place = |is_recorded: bool| {
        let change = fixture.begin_hold(NOW, &[0], 1, CART, time).unwrap();
        let revisions = (change.revision(), change.next().unwrap().revision);
        if is_recorded {
            fixture.inventory.apply_hold(change, NOW);
        } else {
            fixture.inventory.revert_hold(change, NOW);
        }
        revisions
    };
    assert_eq!(
        [true, false, true].map(&mut place),
        [(0, 1), (1, 2), (1, 2)]
    );
    let release = fixture.inventory.release_hold(CART).unwrap();
    assert_eq!((release.revision(), release.next().is_none()), (2, true));
    fixture.inventory.revert_hold(release, NOW);
    assert_eq!(place(true), (2, 3));
    fixture.release_hold(CART, NOW);
    assert!(fixture.inventory.release_hold(CART).is_none());
    assert_eq!(place(true), (0, 1));
}

/// A hold on record, placed so many seconds before now.
fn restored(fixture: &SlotFixture, age: i64, used: i64) -> RestoredHold {
    RestoredHold {
        cart: CART,
        revision: 4,
        claims: fixture.claims(&[0], 3),
        placed_sec: NOW - age,
        expires_sec: NOW - age + 600,
        used: Seconds::new(used),
        pause: Seconds::new(600),
    }
}

#[test]
fn a_hold_is_restored_with_its_second_its_revision_and_the_time_it_has_used() {
    let fixture = SlotFixture::with(&[5]);
    fixture
        .inventory
        .restore_hold(restored(&fixture, 100, 2_000));
    assert_eq!(fixture.inventory.holding(NOW), 1);
    assert_eq!(
        [NOW, NOW + 499, NOW + 500].map(|now| fixture.open_at(0, now, None)),
        [2, 2, 5]
    );
    assert_eq!(fixture.open_at(0, NOW, Some(CART)), 5);
    let time = CartHold {
        each: Seconds::new(600),
        whole: Seconds::new(2_500),
    };
    let change = fixture.begin_hold(NOW, &[0], 1, CART, time).unwrap();
    let next = change.next().unwrap().clone();
    assert_eq!(
        (
            change.revision(),
            next.revision,
            next.used(),
            next.expires_sec
        ),
        (4, 5, Seconds::new(2_100), NOW + 400),
        "the time for holds goes on"
    );
    fixture.inventory.apply_hold(change, NOW);
    assert_eq!(fixture.open_at(0, NOW, None), 4);
    assert_eq!(fixture.hold_at(NOW + 400, &[0], 1, CART, time), None);
}

#[test]
fn a_restored_hold_is_kept_for_a_slot_that_opens_later_and_not_for_one_that_is_forgotten() {
    let fixture = SlotFixture::with(&[5, 5]);
    let later = SlotKey {
        start_sec: START + 100 * HOUR,
        ..fixture.keys[0]
    };
    fixture.inventory.retire(fixture.keys[1].end_sec());
    let mut hold = restored(&fixture, 0, 0);
    hold.claims.extend(fixture.claims(&[1], 1));
    hold.claims.push(Claim {
        slot: later,
        ticket: Claimed::Appointment,
        count: 2,
    });
    fixture.inventory.restore_hold(hold);
    assert_eq!(
        fixture.inventory.len(),
        2,
        "the one that is over stays away"
    );
    let opening = revisions::opening(later, 3);
    fixture
        .inventory
        .open(FIRST, &[opening], NOW, EpochSeconds::MAX)
        .unwrap();
    let left = fixture
        .inventory
        .examine_one(FIRST, later, |slot| fixture.left(slot, NOW, None));
    assert_eq!(left, Ok(Some(1)));
}

#[test]
fn an_unfinished_order_is_restored_in_the_place_of_its_carts_hold() {
    for (cart, count, meanwhile, afterwards) in [
        (Some(CART), 3, 2, 2),
        (Some(CART), 1, 2, 2),
        (Some(CART), 5, 0, 2),
        (Some(OTHER_CART), 1, 1, 2),
        (None, 2, 0, 2),
    ] {
        let fixture = SlotFixture::with(&[5]);
        fixture.inventory.restore_hold(restored(&fixture, 0, 0));
        let claims = fixture.claims(&[0], count);
        let reservation = fixture.inventory.restore_reservation(claims, cart, NOW);
        assert_eq!(fixture.open_at(0, NOW, None), meanwhile, "{cart:?} {count}");
        fixture.inventory.release(reservation, NOW);
        assert_eq!(
            fixture.open_at(0, NOW, None),
            afterwards,
            "{cart:?} {count}"
        );
    }
}

#[test]
fn holds_that_have_expired_are_found_until_their_end_is_on_record() {
    let fixture = SlotFixture::with(&[9]);
    fixture.hold(&[0], 1, CART, NOW + 600);
    fixture.hold(&[0], 1, OTHER_CART, NOW + 700);
    assert_eq!(fixture.inventory.expired(NOW + 599), []);
    assert_eq!(fixture.inventory.expired(NOW + 600), [CART]);
    assert_eq!(
        fixture.inventory.expired(NOW + 600),
        [CART],
        "nothing is recorded yet"
    );
    assert!(
        fixture
            .inventory
            .expire_hold(OTHER_CART, NOW + 600)
            .is_none()
    );
    assert_eq!(fixture.expire_holds(NOW + 600), 1);
    assert_eq!(fixture.inventory.expired(NOW + 600), []);
    // The clock is set back: a hold whose end is on record does not come back.
    assert_eq!(fixture.open_at(0, NOW, None), 8);
    let reserved = fixture.reserve(&[0], 1, OTHER_CART, NOW).unwrap();
    assert_eq!(
        fixture.inventory.expired(NOW + 700),
        [],
        "its order decides"
    );
    fixture.inventory.release(reserved, NOW + 700);
    assert_eq!(fixture.inventory.expired(NOW + 700), [OTHER_CART]);
}

#[test]
fn restored_sales_count_in_a_slot_that_opens_later() {
    let fixture = SlotFixture::with(&[5]);
    let later = SlotKey {
        start_sec: START + 100 * HOUR,
        ..fixture.keys[0]
    };
    fixture.inventory.restore(&[Claim {
        slot: later,
        ticket: Claimed::Appointment,
        count: 2,
    }]);
    let is_absent = fixture
        .inventory
        .examine(FIRST, &[Some(later)], |slots| slots[0].is_none())
        .unwrap();
    assert!(is_absent, "a slot that is not open is not examined");
    assert_eq!(
        fixture.inventory.examine_one(FIRST, later, Slot::sold),
        Ok(None),
        "nor looked up alone"
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
    fixture
        .inventory
        .open(FIRST, &[opening], NOW, EpochSeconds::MAX)
        .unwrap();
    let left = fixture
        .inventory
        .examine(FIRST, &[Some(later)], |slots| {
            fixture.left(slots[0].unwrap(), NOW, None)
        })
        .unwrap();
    assert_eq!(left, 1);
    assert_eq!(
        fixture.inventory.examine_one(FIRST, later, Slot::sold),
        Ok(Some(2))
    );
}

#[test]
fn ended_slots_are_removed() {
    let fixture = SlotFixture::with(&[5, 5, 5]);
    assert_eq!(fixture.inventory.retire(fixture.keys[1].end_sec()), 1);
    assert_eq!(fixture.inventory.len(), 2);
    assert!(!fixture.inventory.is_empty());
}

/// A slot is removed with its sales, so that no operation opens it again.
#[test]
fn a_removed_slot_is_never_opened_again() {
    let fixture = SlotFixture::with(&[5, 5, 5]);
    let (gone, next) = (fixture.keys[0], FIRST.next());
    let sold = |key| Claim {
        slot: key,
        ticket: Claimed::Appointment,
        count: 5,
    };
    fixture
        .inventory
        .restore(&[sold(gone), sold(fixture.keys[1])]);
    assert_eq!(fixture.inventory.retire(fixture.keys[1].end_sec()), 1);
    // The clock is set back.
    assert_eq!(fixture.inventory.retire(NOW - HOUR), 0);
    assert_eq!(
        fixture.inventory.forgotten_until(),
        fixture.keys[1].end_sec()
    );

    let all: Vec<Opening> = fixture
        .keys
        .iter()
        .map(|&key| revisions::opening(key, 5))
        .collect();
    assert_eq!(
        fixture
            .inventory
            .open(FIRST, &all[..1], EpochSeconds::new(0), EpochSeconds::MAX),
        Ok(0)
    );
    fixture
        .inventory
        .stage(FIRST, next, &all, EpochSeconds::new(0), EpochSeconds::MAX);
    fixture.inventory.restore(&[sold(gone)]);
    fixture.inventory.advance_all(next, |_, _| {});
    assert_eq!(
        fixture.inventory.examine_one(next, gone, Slot::sold),
        Ok(None)
    );
    assert_eq!(
        fixture
            .inventory
            .examine_one(next, fixture.keys[1], Slot::sold),
        Ok(Some(5))
    );
    assert_eq!(fixture.inventory.len(), 2);
}

/// Holds a spot for each cart of these numbers.
fn hold_for(
    fixture: &SlotFixture,
    carts: std::ops::Range<u32>,
    now: EpochSeconds,
    expires_sec: EpochSeconds,
) {
    for number in carts {
        let mut cart = [0; 16];
        cart[..4].copy_from_slice(&number.to_be_bytes());
        fixture.hold_at(now, &[0], 1, CartKey(cart), until(now, expires_sec));
    }
}

#[test]
fn carts_with_expired_holds_are_swept() {
    let fixture = SlotFixture::with(&[5]);
    for number in 0..5_000_u32 {
        let now = NOW + i64::from(number);
        hold_for(&fixture, number..number + 1, now, now + 10);
        if number.is_multiple_of(60) {
            fixture.expire_holds(now);
        }
    }
    assert!(
        fixture.inventory.carts.len() < 2_000,
        "{} carts",
        fixture.inventory.carts.len()
    );
}

#[test]
fn carts_that_still_hold_are_not_swept_out() {
    let fixture = SlotFixture::with(&[5]);
    hold_for(&fixture, 0..1, NOW, NOW + 21);
    hold_for(&fixture, 1..2, NOW, NOW + 11);
    hold_for(&fixture, 2..1_024, NOW, NOW + 10);
    assert_eq!(fixture.inventory.carts.len(), 1_024);
    assert_eq!(
        fixture.expire_holds(NOW + 20),
        1_023,
        "the others are on record until then"
    );
    // Carts whose holds have expired are remembered for as long as they have held.
    hold_for(&fixture, 1_024..1_025, NOW + 20, NOW + 30);
    assert_eq!(
        (
            fixture.inventory.carts.len(),
            fixture.inventory.holding(NOW + 20)
        ),
        (3, 2)
    );
    hold_for(&fixture, 0..2, NOW + 60, NOW + 70);
    assert_eq!(
        fixture.inventory.carts.len(),
        3,
        "a sweep needs a minimum of carts"
    );
}

/// The expiry granted to each check of one cart; a check has a time and a number of spots.
fn renewals(steps: &[(i64, u32)]) -> Vec<Option<i64>> {
    let fixture = SlotFixture::with(&[9]);
    let time = CartHold {
        each: Seconds::new(10),
        whole: Seconds::new(25),
    };
    let granted = |&(at, count): &(i64, u32)| {
        let expires_sec = fixture.hold_at(NOW + at, &[0], count, CART, time);
        let held = if expires_sec.is_some() { count } else { 0 };
        assert_eq!(fixture.open_at(0, NOW + at, None), 9 - held, "at {at}");
        expires_sec.map(|expires_sec| expires_sec.since(NOW).get())
    };
    steps.iter().map(granted).collect()
}

#[test]
fn renewals_of_a_hold_are_limited_until_the_cart_pauses() {
    for (rule, steps, expected) in [
        (
            "each hold has the same duration",
            &[(0, 1), (5, 2)][..],
            &[Some(10), Some(15)][..],
        ),
        (
            "the last hold is shortened",
            &[(0, 1), (9, 1), (18, 1)],
            &[Some(10), Some(19), Some(25)],
        ),
        (
            "then none is granted",
            &[(0, 1), (9, 1), (18, 1), (25, 1), (34, 1)],
            &[Some(10), Some(19), Some(25), None, None],
        ),
        (
            "until the cart has paused",
            &[(0, 1), (9, 1), (18, 1), (25, 1), (35, 1)],
            &[Some(10), Some(19), Some(25), None, Some(45)],
        ),
        (
            "a pause may begin earlier",
            &[(0, 1), (20, 1), (40, 1)],
            &[Some(10), Some(30), Some(50)],
        ),
        (
            "a shorter pause does not count",
            &[(0, 1), (19, 1), (24, 1)],
            &[Some(10), Some(25), Some(25)],
        ),
        (
            "a release is no pause",
            &[(0, 1), (1, 0), (2, 1), (11, 0), (12, 3), (20, 1), (25, 1)],
            &[Some(10), None, Some(12), None, Some(22), Some(25), None],
        ),
        (
            "a pause may begin with a release",
            &[(0, 1), (1, 0), (10, 0), (11, 1)],
            &[Some(10), None, None, Some(21)],
        ),
    ] {
        assert_eq!(renewals(steps), expected, "{rule}");
    }
}

#[test]
fn a_clock_set_back_extends_no_hold() {
    let back_and_forth = [
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
    assert_eq!(renewals(&back_and_forth), granted);
}

#[test]
fn releases_and_failed_orders_extend_no_hold() {
    let fixture = SlotFixture::with(&[9]);
    let time = CartHold {
        each: Seconds::new(10),
        whole: Seconds::new(25),
    };
    let mut granted = Vec::new();
    for at in [0, 9, 18, 24, 25] {
        let now = NOW + at;
        granted.push(
            fixture
                .hold_at(now, &[0], 1, CART, time)
                .map(|expires_sec| expires_sec.since(NOW).get()),
        );
        let order = fixture.reserve(&[0], 1, CART, now).unwrap();
        fixture.inventory.release(order, now + 1);
        fixture.release_hold(CART, now + 1);
    }
    assert_eq!(granted, [Some(10), Some(19), Some(25), Some(25), None]);
    let order = fixture.reserve(&[0], 1, CART, NOW + 25).unwrap();
    fixture.inventory.confirm(order, NOW);
    assert_eq!(fixture.open_at(0, NOW + 25, None), 8);
}

/// Runs threads that compete for spots of one slot, and returns how many spots they got.
fn compete(attempts: u32, sell_one: impl Fn() -> bool + Sync) -> u32 {
    let got = AtomicU32::new(0);
    let start = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                for _ in 0..attempts / THREADS {
                    if sell_one() {
                        got.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    got.into_inner()
}

#[test]
fn concurrent_sales_never_exceed_the_allotment() {
    let fixture = SlotFixture::with(&[1_000]);
    let got = compete(8_000, || match fixture.reserve(&[0], 1, CART, NOW) {
        Some(reservation) => {
            fixture.inventory.confirm(reservation, NOW);
            true
        }
        None => false,
    });
    assert_eq!((got, fixture.open_at(0, NOW, None)), (1_000, 0));
}

/// The negative control: examine and sell in two steps, without a lock between them. If this never
/// oversells, the test above shows nothing.
#[test]
fn examining_and_selling_in_two_steps_oversells() {
    let oversells = || {
        let fixture = SlotFixture::with(&[1_000]);
        let got = compete(8_000, || {
            let fits = fixture.open_at(0, NOW, None) >= 1;
            thread::yield_now();
            if fits {
                fixture.inventory.restore(&fixture.claims(&[0], 1));
            }
            fits
        });
        got > 1_000
    };
    assert!((0..100).any(|_| oversells()));
}

#[test]
fn an_order_is_never_seen_in_part() {
    let fixture = SlotFixture::with(&[1, 1]);
    let partial = AtomicU64::new(0);
    let done = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20_000 {
                if let Some(reserved) = fixture.reserve(&[1, 0], 1, CART, NOW) {
                    fixture.inventory.release(reserved, NOW);
                }
            }
            done.store(1, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while done.load(Ordering::SeqCst) == 0 {
                let (first, second) = fixture
                    .inventory
                    .examine(FIRST, &fixture.asked(&[0, 1]), |slots| {
                        (
                            fixture.left(slots[0].unwrap(), NOW, None),
                            fixture.left(slots[1].unwrap(), NOW, None),
                        )
                    })
                    .unwrap();
                partial.fetch_add(u64::from(first != second), Ordering::Relaxed);
            }
        });
    });
    assert_eq!(partial.into_inner(), 0);
}
