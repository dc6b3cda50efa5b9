use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    catalog::ServiceIx,
    fixtures::{BALCONY, BALCONY_ONLY, Fixture, NOW, STALLS, STALLS_ONLY},
    slot::{Claimed, PassThroughIx, PoolTickets, Recurrence, ResourceIx},
};

const STRANGER: Viewer = Viewer {
    now: NOW,
    cart: None,
};

prop_compose! {
    fn any_opening()(
        service in 0..3_u32,
        duration_sec in 1..4_u32,
        start_sec in 0..40_i64,
        recurrence in option::of((1..9_i64, 0..50_i64, vec((0..60_i64, 1..9_i64), 0..2))),
        allotment in 0..5_u32,
    ) -> Opening {
        Opening {
            first: SlotKey { service: ServiceIx(service), duration_sec: duration_sec.into(), start_sec: EpochSeconds::new(start_sec) },
            pool: Pool { tickets: PoolTickets::All, allotment },
            terms: None,
            recurrence: recurrence.map(|(every_sec, until_sec, except)| {
                let except = except.into_iter().map(|(begin, length)| (EpochSeconds::new(begin), EpochSeconds::new(begin + length))).collect();
                Box::new(Recurrence { every: Seconds::new(every_sec), until_sec: EpochSeconds::new(until_sec), except })
            }),
            pass_through: PassThroughIx::default(),
        }
    }
}

prop_compose! {
    fn any_openings()(mut openings in vec(any_opening(), 0..12)) -> Vec<Opening> {
        // Each differs from the others.
        for (at, opening) in (0..).zip(&mut openings) {
            opening.pass_through = PassThroughIx(at);
        }
        openings
    }
}

proptest! {
    /// Every slot comes once, in order, with all its openings, in the order in which they open it.
    #[test]
    fn openings_are_gone_through_slot_by_slot(
        feed in any_openings(), now in 0..50_i64, until in 0..70_i64, repeated_until in 0..70_i64,
    ) {
        let [now, until, repeated_until] = [now, until, repeated_until].map(EpochSeconds::new);
        let span = Span { now, until, repeated_until };
        let mut expected: Vec<(SlotKey, bool, PassThroughIx)> = Vec::new();
        for opening in &feed {
            let repeated = opening.recurrence.is_some();
            for start_sec in opening.starts(EpochSeconds::new(0), until.min(if repeated { repeated_until } else { until })) {
                let key = SlotKey { start_sec, ..opening.first };
                if key.end_sec() > now {
                    expected.push((key, repeated, opening.pass_through));
                }
            }
        }
        expected.sort();
        let openings = Openings::new(feed);
        let slots: Vec<MadeOf<'_>> = openings.slots(span).collect();
        let of_slot = |(key, openings): &MadeOf<'_>| {
            let key = *key;
            openings.iter().map(move |it| (key, it.recurrence.is_some(), it.pass_through)).collect::<Vec<_>>()
        };
        let found: Vec<_> = slots.iter().flat_map(of_slot).collect();
        prop_assert_eq!(openings.count(span), found.len());
        prop_assert_eq!(found, expected);
        prop_assert!(slots.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}

#[test]
fn what_is_left_is_dealt_to_the_openings_of_its_pool() {
    let fixture = Fixture::new();
    let concert = fixture.service("concert");
    let opening = |tickets, allotment| Opening {
        first: fixture.key("concert", NOW),
        pool: Pool { tickets, allotment },
        terms: None,
        recurrence: None,
        pass_through: PassThroughIx::default(),
    };
    let openings = [
        opening(STALLS_ONLY, 2),
        opening(PoolTickets::All, 7),
        opening(STALLS_ONLY, 3),
        opening(BALCONY_ONLY, 4),
    ];
    let openings: Vec<&Opening> = openings.iter().collect();
    for (sold, expected) in [
        (&[][..], [2, 7, 3, 4]),
        (&[(STALLS, 1)], [2, 6, 2, 4]),
        (&[(STALLS, 4)], [1, 3, 0, 4]),
        (&[(STALLS, 5), (BALCONY, 2)], [0, 0, 0, 2]),
        (&[(STALLS, 9)], [0, 0, 0, 4]),
    ] {
        let mut taken = Slot::default();
        for &(ticket, count) in sold {
            taken.sell(Claimed::Ticket(ticket), count);
        }
        let slot = untouched(&openings).with_taken_of(&taken);
        assert_eq!(
            *deal(&slot, concert, &openings, STRANGER),
            expected,
            "{sold:?}"
        );
    }
}

#[test]
fn openings_for_different_parties_share_what_is_left_of_their_stock() {
    let fixture = Fixture::new();
    let opening = |resource, party_size, allotment| {
        let tickets = PoolTickets::All;
        let party = PartySpots {
            tickets,
            resource: ResourceIx(resource),
            party_size,
            spots: allotment,
        };
        Opening {
            first: fixture.key("concert", NOW),
            pool: Pool { tickets, allotment },
            terms: SlotTerms {
                parties: vec![party],
                ..SlotTerms::default()
            }
            .boxed(),
            recurrence: None,
            pass_through: PassThroughIx::default(),
        }
    };
    let openings = [
        opening(0, 2, 6),
        opening(1, 2, 3),
        opening(0, 4, 2),
        opening(1, 8, 5),
    ];
    for (sold, expected) in [
        (0, [6, 3, 2, 5]),
        (3, [6, 2, 2, 2]),
        (6, [5, 0, 2, 0]),
        (10, [1, 0, 1, 0]),
    ] {
        let mut taken = Slot::default();
        taken.sell(Claimed::Appointment, sold);
        let slot = untouched(&openings).with_taken_of(&taken);
        assert_eq!(
            *deal(&slot, fixture.service("concert"), &openings, STRANGER),
            expected,
            "{sold} sold"
        );
    }
}
