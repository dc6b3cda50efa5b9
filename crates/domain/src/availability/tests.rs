use super::*;
use crate::{
    fixtures::{
        ADULT, BALCONY, Fixture, HOUR, NOW, SEAT, STALLS, START, cart, cents, line, ticket_type,
    },
    slot::{HoldSpan, PartySpots, Pool, PoolTickets, ResourceIx},
};

/// What somebody without a cart can be sold of the slot of a service at [`START`].
fn open(fixture: &Fixture, service_id: &str) -> u32 {
    let key = fixture.key(service_id, START);
    spots_open(
        fixture.service(service_id),
        key,
        &fixture.slots[&key],
        fixture.viewer,
    )
}

fn asked(party_size: impl Into<Option<i32>>) -> AskedSlot {
    let resources = party_size.into().map(|party_size| Resources {
        party_size,
        ..Resources::default()
    });
    AskedSlot {
        service_id: "museum".into(),
        start_sec: START,
        duration_sec: Seconds::HOUR,
        availability_tag: String::new(),
        resources,
        confirmation_mode: 0,
    }
}

#[test]
fn all_that_a_service_sells_counts_together() {
    let fixture = Fixture::new();
    for (service, expected) in [("museum", 50), ("raft", 5), ("concert", 8), ("salon", 1)] {
        assert_eq!(open(&fixture, service), expected, "{service}");
    }
    assert_eq!(open(&Fixture::in_tokyo(), "onsen"), 10);
}

#[test]
fn what_is_sold_and_what_carts_hold_is_gone() {
    let mut fixture = Fixture::new();
    fixture
        .slot("concert", START)
        .sell(Claimed::Ticket(STALLS), 3);
    assert_eq!(open(&fixture, "concert"), 5, "of the hall");
    fixture.slot("concert", START).hold(
        cart(1),
        Claimed::Ticket(BALCONY),
        4,
        HoldSpan::new(NOW, NOW + 60),
    );
    assert_eq!(open(&fixture, "concert"), 1);
    fixture.viewer.now = NOW + 60;
    assert_eq!(open(&fixture, "concert"), 5, "the hold has expired");
    fixture
        .slot("concert", START)
        .sell(Claimed::Ticket(BALCONY), 5);
    assert_eq!(
        open(&fixture, "concert"),
        0,
        "no hall is left, though stall and balcony are"
    );
}

#[test]
fn spots_without_a_sellable_ticket_type_are_not_open() {
    let mut fixture = Fixture::new();
    fixture.service_mut("salon").price = None;
    assert_eq!(
        open(&fixture, "salon"),
        0,
        "neither appointments nor tickets"
    );
    fixture.service_mut("salon").tickets = vec![ticket_type("cut", cents(3_500))];
    assert_eq!(open(&fixture, "salon"), 1);
    fixture.service_mut("concert").ticket_sets.clear();
    *fixture.slot("concert", START) = Slot::default();
    let nobodys = Pool {
        tickets: PoolTickets::Set(0),
        allotment: 4,
    };
    fixture
        .slot("concert", START)
        .open(nobodys, &SlotTerms::default());
    assert_eq!(open(&fixture, "concert"), 0, "a pool for no ticket type");
    *fixture.slot("museum", START) = Slot::default();
    assert_eq!(
        open(&fixture, "museum"),
        0,
        "a slot that no opening has brought spots to"
    );
}

#[test]
fn nothing_is_open_outside_the_booking_window() {
    let mut fixture = Fixture::new();
    let late = SlotTerms {
        first_bookable_sec: Some(NOW + 1),
        ..SlotTerms::default()
    };
    fixture.slot("museum", START).open(
        Pool {
            tickets: PoolTickets::All,
            allotment: 0,
        },
        &late,
    );
    for (service, now, expected) in [
        ("museum", NOW, 0),
        ("museum", NOW + 1, 50),
        ("museum", START, 50),
        ("museum", START + 1, 0),
        ("raft", START - HOUR, 5),
        ("raft", START - HOUR + 1, 0),
        ("salon", START + 3 * HOUR / 4, 1),
        ("salon", START + 3 * HOUR / 4 + 1, 0),
    ] {
        fixture.viewer.now = now;
        assert_eq!(open(&fixture, service), expected, "{service} at {now}");
    }
}

#[test]
fn a_look_at_a_slot_and_a_look_at_a_cart_agree() {
    let mut fixture = Fixture::new();
    for sold in 0..=5 {
        for now in [NOW, START - HOUR, START - HOUR + 1] {
            fixture.viewer.now = now;
            let verdict = fixture.check(&[line("raft", &[("seat", 1)], 7_500)]);
            assert_eq!(
                verdict.fulfillability.items[0].spots_open,
                Some(open(&fixture, "raft")),
                "{sold} {now}"
            );
        }
        fixture.slot("raft", START).sell(Claimed::Ticket(SEAT), 1);
    }
    let key = fixture.key("museum", START);
    let (museum, slot) = (fixture.service("museum"), &fixture.slots[&key]);
    let for_adults = spots_open_for(museum, key, slot, &[Claimed::Ticket(ADULT)], fixture.viewer);
    assert_eq!(for_adults, open(&fixture, "museum"));
}

/// Whether a party fits into this slot of the museum, and the open spots that it is shown.
fn seen(slot: &Slot, party_size: impl Into<Option<i32>>) -> (bool, u32) {
    let fixture = Fixture::new();
    let (museum, key) = (fixture.service("museum"), fixture.key("museum", START));
    let view = view_for(museum, key, slot, &asked(party_size), fixture.viewer);
    (view.is_enough(), view.spots_open)
}

#[test]
fn a_slot_is_available_if_it_has_the_spots_of_the_party_and_at_least_one() {
    for (party_size, spots_open, expected) in [
        (None, 0, false),
        (None, 1, true),
        (Some(0), 0, false),
        (Some(0), 1, true),
        (Some(-3), 0, false),
        (Some(i32::MIN), 1, true),
        (Some(1), 0, false),
        (Some(1), 1, true),
        (Some(4), 3, false),
        (Some(4), 4, true),
        (Some(4), 5, true),
        (Some(i32::MAX), u32::MAX, true),
        (Some(i32::MAX), 50, false),
    ] {
        let mut slot = Slot::default();
        slot.open(
            Pool {
                tickets: PoolTickets::All,
                allotment: spots_open,
            },
            &SlotTerms::default(),
        );
        assert_eq!(
            seen(&slot, party_size),
            (expected, spots_open),
            "{party_size:?} of {spots_open}"
        );
    }
}

#[test]
fn where_parties_are_listed_a_spot_is_for_one_of_them_and_others_find_none() {
    let slot = |parties: &[(u32, u32, u32)], sold| {
        let mut slot = Slot::default();
        for &(resource, party_size, spots) in parties {
            let tickets = PoolTickets::All;
            let party = PartySpots {
                tickets,
                resource: ResourceIx(resource),
                party_size,
                spots,
            };
            let terms = SlotTerms {
                parties: vec![party],
                ..SlotTerms::default()
            };
            slot.open(
                Pool {
                    tickets,
                    allotment: spots,
                },
                &terms,
            );
        }
        slot.sell(Claimed::Ticket(ADULT), sold);
        slot
    };
    let tables = &[(0, 2, 10), (0, 4, 6), (0, 8, 0)][..];
    let two_rooms = &[(0, 2, 3), (1, 2, 4), (1, 6, 1)][..];
    let any_besides = &[(0, 0, 5), (0, 2, 4)][..];
    for (parties, sold, party_size, expected) in [
        (tables, 0, None, (true, 10)),
        (tables, 0, Some(2), (true, 10)),
        (tables, 0, Some(4), (true, 6)),
        (tables, 0, Some(3), (false, 0)),
        (tables, 0, Some(5), (false, 0)),
        (tables, 0, Some(8), (false, 0)),
        (tables, 0, Some(i32::MAX), (false, 0)),
        (tables, 9, Some(4), (true, 1)),
        (tables, 10, Some(4), (false, 0)),
        (tables, 10, None, (false, 0)),
        (two_rooms, 0, Some(2), (true, 7)),
        (two_rooms, 0, Some(6), (true, 1)),
        (two_rooms, 0, Some(1), (false, 0)),
        (any_besides, 0, Some(2), (true, 4)),
        (any_besides, 0, Some(3), (true, 5)),
        (any_besides, 3, Some(3), (false, 2)),
    ] {
        assert_eq!(
            seen(&slot(parties, sold), party_size),
            expected,
            "{party_size:?} of {parties:?} less {sold}"
        );
    }
}

#[test]
fn a_slot_is_named_by_service_start_and_duration() {
    let fixture = Fixture::new();
    let named = |service_id: &str, start_sec, duration_sec| {
        let slot = AskedSlot {
            service_id: service_id.into(),
            start_sec,
            duration_sec: Seconds::new(duration_sec),
            availability_tag: "late".into(),
            confirmation_mode: 7,
            ..asked(9)
        };
        slot.key(&fixture.catalog, fixture.merchant)
    };
    assert_eq!(
        named("museum", START, HOUR),
        Some(fixture.key("museum", START))
    );
    assert_ne!(
        named("museum", START, HOUR - 1),
        Some(fixture.key("museum", START))
    );
    for (service_id, duration_sec) in [("zoo", HOUR), ("", HOUR), ("onsen", HOUR), ("museum", -1)] {
        assert_eq!(
            named(service_id, START, duration_sec),
            None,
            "{service_id} {duration_sec}"
        );
    }
}
