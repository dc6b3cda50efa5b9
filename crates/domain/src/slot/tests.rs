use proptest::prelude::*;

use super::*;
use crate::fixtures::{
    ADULT, BALCONY, BALCONY_ONLY, CHILD, Fixture, HOUR, NOW, SENIOR, STALLS, STALLS_ONLY, START,
    cart,
};

const SERVICE: ServiceIx = ServiceIx(0);
const STRANGER: Viewer = Viewer {
    now: NOW,
    cart: None,
};

fn pool(tickets: PoolTickets, allotment: u32) -> Pool {
    Pool { tickets, allotment }
}

fn slot(pools: &[(PoolTickets, u32)]) -> Slot {
    let mut slot = Slot::default();
    for &(tickets, allotment) in pools {
        slot.open(pool(tickets, allotment), &SlotTerms::default());
    }
    slot
}

fn opening(
    start_sec: EpochSeconds,
    duration_sec: u32,
    recurrence: impl Into<Option<Recurrence>>,
) -> Opening {
    Opening {
        first: SlotKey {
            service: SERVICE,
            duration_sec: duration_sec.into(),
            start_sec,
        },
        pool: pool(PoolTickets::All, 1),
        terms: None,
        recurrence: recurrence.into().map(Box::new),
        pass_through: PassThroughIx::default(),
    }
}

fn every(every_sec: i64, until_sec: i64, except: &[(i64, i64)]) -> Recurrence {
    Recurrence {
        every: Seconds::new(every_sec),
        until_sec: EpochSeconds::new(until_sec),
        except: except
            .iter()
            .map(|&(begin, end)| (EpochSeconds::new(begin), EpochSeconds::new(end)))
            .collect(),
    }
}

/// The starts of an opening in `[from, until)`, as numbers.
fn starts(opening: &Opening, from: i64, until: i64) -> impl Iterator<Item = i64> {
    let starts = opening.starts(EpochSeconds::new(from), EpochSeconds::new(until));
    starts.map(EpochSeconds::get)
}

#[test]
fn an_opening_without_recurrence_starts_once() {
    for (from, until, expected) in [
        (0, 1_000, &[100][..]),
        (100, 101, &[100]),
        (101, 1_000, &[]),
        (0, 100, &[]),
    ] {
        let opening = opening(EpochSeconds::new(100), 10, None);
        let starts: Vec<i64> = starts(&opening, from, until).collect();
        assert_eq!(starts, expected, "[{from}, {until})");
    }
}

#[test]
fn a_recurrence_starts_at_every_step_inside_the_range_that_no_exception_touches() {
    let none: &[i64] = &[];
    for (recurrence, (from, until), expected) in [
        (every(50, 250, &[]), (0, 1_000), &[100, 150, 200, 250][..]),
        (every(50, 249, &[]), (0, 1_000), &[100, 150, 200]),
        (every(50, 250, &[]), (101, 200), &[150]),
        (every(50, 250, &[]), (150, 201), &[150, 200]),
        (every(50, 250, &[]), (251, 1_000), none),
        (every(50, 250, &[]), (200, 150), none),
        // A slot lasts ten seconds: [150, 160).
        (
            every(50, 250, &[(160, 200)]),
            (0, 1_000),
            &[100, 150, 200, 250],
        ),
        (every(50, 250, &[(159, 200)]), (0, 1_000), &[100, 200, 250]),
        (
            every(50, 250, &[(120, 150)]),
            (0, 1_000),
            &[100, 150, 200, 250],
        ),
        (every(50, 250, &[(120, 151)]), (0, 1_000), &[100, 200, 250]),
        (every(50, 250, &[(153, 155)]), (0, 1_000), &[100, 200, 250]),
        (
            every(50, 250, &[(0, 110), (240, 300)]),
            (0, 1_000),
            &[150, 200],
        ),
        (every(50, 250, &[(0, 1_000)]), (0, 1_000), none),
    ] {
        let label = format!("{recurrence:?} in [{from}, {until})");
        let opening = opening(EpochSeconds::new(100), 10, recurrence);
        let starts: Vec<i64> = starts(&opening, from, until).collect();
        assert_eq!(starts, expected, "{label}");
    }
}

#[test]
fn the_terms_of_an_opening_move_with_its_occurrences() {
    let party = PartySpots {
        tickets: PoolTickets::All,
        resource: ResourceIx(3),
        party_size: 2,
        spots: 1,
    };
    let terms = SlotTerms {
        first_bookable_sec: Some(EpochSeconds::new(40)),
        last_bookable_sec: Some(EpochSeconds::new(90)),
        tags: vec![TagIx(7)],
        parties: vec![party],
        confirmation: Confirmation::ByMerchant,
    };
    let weekly = Opening {
        terms: terms.clone().boxed(),
        ..opening(EpochSeconds::new(100), 10, every(50, 250, &[]))
    };
    let (key, moved) = weekly.occurrence(EpochSeconds::new(200));
    assert_eq!(
        key,
        SlotKey {
            start_sec: EpochSeconds::new(200),
            ..weekly.first
        }
    );
    assert_eq!(
        moved,
        SlotTerms {
            first_bookable_sec: Some(EpochSeconds::new(140)),
            last_bookable_sec: Some(EpochSeconds::new(190)),
            ..terms.clone()
        }
    );
    assert_eq!(
        weekly.occurrence(EpochSeconds::new(100)),
        (weekly.first, terms)
    );
}

#[test]
fn the_ends_of_time_neither_overflow_nor_take_for_ever() {
    let whole = every(i64::MAX, i64::MAX, &[]);
    for (first, recurrence, from, expected) in [
        (
            i64::MIN,
            Some(whole.clone()),
            i64::MIN,
            vec![i64::MIN, -1, i64::MAX - 1],
        ),
        (i64::MIN, Some(whole), i64::MAX - 1, vec![i64::MAX - 1]),
        (
            i64::MIN,
            Some(every(1, i64::MAX, &[])),
            i64::MAX - 2,
            vec![i64::MAX - 2, i64::MAX - 1],
        ),
        (i64::MAX, None, i64::MIN, vec![]),
        (i64::MIN, None, i64::MIN, vec![i64::MIN]),
        (5, Some(every(0, 6, &[])), 0, vec![5, 6]),
        (5, Some(every(-1, 6, &[])), 0, vec![5, 6]),
    ] {
        let opening = opening(EpochSeconds::new(first), u32::MAX, recurrence);
        let starts: Vec<i64> = starts(&opening, from, i64::MAX).take(4).collect();
        assert_eq!(starts, expected, "{opening:?} from {from}");
        let _ = (
            opening.occurrence(EpochSeconds::MIN),
            opening.occurrence(EpochSeconds::MAX),
        );
    }
}

#[test]
fn a_slot_of_several_openings_keeps_the_stricter_terms() {
    let mut slot = Slot::default();
    let terms = |first, last| SlotTerms {
        first_bookable_sec: first,
        last_bookable_sec: last,
        ..SlotTerms::default()
    };
    for terms in [
        terms(None, Some(EpochSeconds::new(9))),
        terms(Some(EpochSeconds::new(3)), None),
        terms(Some(EpochSeconds::new(2)), Some(EpochSeconds::new(8))),
        terms(None, None),
    ] {
        slot.open(pool(PoolTickets::All, 1), &terms);
    }
    assert_eq!(
        *slot.terms(),
        terms(Some(EpochSeconds::new(3)), Some(EpochSeconds::new(8)))
    );
}

#[test]
fn a_slot_has_the_tags_of_all_its_openings() {
    let mut slot = Slot::default();
    for tags in [vec![TagIx(5)], vec![], vec![TagIx(2)], vec![TagIx(5)]] {
        slot.open(
            pool(PoolTickets::All, 1),
            &SlotTerms {
                tags,
                ..SlotTerms::default()
            },
        );
    }
    assert_eq!(slot.terms().tags, [TagIx(2), TagIx(5)]);
}

#[test]
fn openings_for_different_parties_are_one_stock_and_of_different_resources_are_not() {
    let opened = |parties: &[(u32, u32, PoolTickets, u32)]| {
        let mut slot = Slot::default();
        for &(resource, party_size, tickets, spots) in parties {
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
            slot.open(pool(tickets, spots), &terms);
        }
        slot.left(Fixture::new().service("concert"), STRANGER)
            .map(|(_, left)| left)
            .collect::<Vec<_>>()
    };
    let all = PoolTickets::All;
    for (parties, expected) in [
        (
            &[(0, 1, all, 10), (0, 2, all, 10), (0, 3, all, 10)][..],
            &[10][..],
        ),
        (&[(0, 1, all, 4), (0, 2, all, 10), (0, 3, all, 7)], &[10]),
        (&[(0, 0, all, 4), (0, 2, all, 5)], &[5]),
        (&[(0, 2, all, 4), (1, 2, all, 5), (1, 4, all, 6)], &[10]),
        (
            &[
                (0, 2, all, 4),
                (0, 2, STALLS_ONLY, 5),
                (0, 4, STALLS_ONLY, 6),
            ],
            &[4, 6],
        ),
    ] {
        assert_eq!(opened(parties), expected, "{parties:?}");
        let mut reversed = parties.to_vec();
        reversed.reverse();
        let mut expected = expected.to_vec();
        expected.reverse();
        assert_eq!(opened(&reversed), expected, "{reversed:?}");
    }
}

#[test]
fn only_lengths_that_a_slot_can_have_make_a_key() {
    for (duration_sec, is_key) in [
        (0, true),
        (MAX_DURATION.get(), true),
        (i64::from(u32::MAX), true),
        (i64::from(u32::MAX) + 1, false),
        (-1, false),
        (i64::MIN, false),
        (i64::MAX, false),
    ] {
        assert_eq!(
            SlotKey::new(SERVICE, EpochSeconds::new(0), Seconds::new(duration_sec)).is_some(),
            is_key,
            "{duration_sec}"
        );
    }
    assert_eq!(
        SlotKey::new(SERVICE, EpochSeconds::MAX, Seconds::ONE)
            .unwrap()
            .end_sec(),
        EpochSeconds::MAX
    );
}

#[test]
fn openings_for_the_same_tickets_add_up_and_others_are_pools_of_their_own() {
    let fixture = Fixture::new();
    let slot = slot(&[(STALLS_ONLY, 1), (BALCONY_ONLY, 2), (STALLS_ONLY, 3)]);
    let left: Vec<(Pool, u32)> = slot.left(fixture.service("concert"), STRANGER).collect();
    assert_eq!(
        left,
        [(pool(STALLS_ONLY, 4), 4), (pool(BALCONY_ONLY, 2), 2)]
    );
}

#[test]
fn a_ticket_draws_on_every_pool_that_serves_it() {
    let fixture = Fixture::new();
    let concert = fixture.service("concert");
    let mut slot = slot(&[(STALLS_ONLY, 4), (BALCONY_ONLY, 6), (PoolTickets::All, 8)]);
    slot.sell(Claimed::Ticket(STALLS), 3);
    slot.sell(Claimed::Appointment, 1);
    let left: Vec<u32> = slot.left(concert, STRANGER).map(|(_, left)| left).collect();
    assert_eq!(left, [1, 6, 4]);
    assert_eq!(slot.sold(), 4);
}

#[test]
fn a_slot_sells_what_one_of_its_pools_serves() {
    let fixture = Fixture::new();
    let concert = fixture.service("concert");
    let stalls = slot(&[(STALLS_ONLY, 1)]);
    let all = slot(&[(PoolTickets::All, 0)]);
    let dangling = slot(&[(PoolTickets::Set(9), 1)]);
    for (slot, claimed, sells) in [
        (&stalls, Claimed::Ticket(STALLS), true),
        (&stalls, Claimed::Ticket(BALCONY), false),
        (&stalls, Claimed::Appointment, false),
        (&all, Claimed::Ticket(BALCONY), true),
        (&all, Claimed::Appointment, true),
        (&dangling, Claimed::Ticket(STALLS), false),
    ] {
        assert_eq!(slot.sells(concert, claimed), sells, "{slot:?} {claimed:?}");
    }
}

#[test]
fn spots_open_are_those_that_the_tickets_could_get_together() {
    let mut fixture = Fixture::new();
    fixture.service_mut("museum").ticket_sets = vec![
        vec![ADULT],
        vec![SENIOR],
        vec![ADULT, SENIOR],
        vec![SENIOR, CHILD],
    ];
    let museum = fixture.service("museum");
    let [adults, seniors, grown, rest] = [0, 1, 2, 3].map(PoolTickets::Set);
    let all = PoolTickets::All;
    for (pools, asked, expected) in [
        (&[(all, 5)][..], &[ADULT][..], 5),
        (&[(all, 5)], &[ADULT, CHILD], 5),
        (&[(adults, 4), (seniors, 6)], &[ADULT], 4),
        (&[(adults, 4), (seniors, 6)], &[ADULT, SENIOR], 10),
        (&[(adults, 4), (seniors, 6)], &[CHILD], 0),
        (&[(adults, 4), (seniors, 6), (all, 8)], &[ADULT, SENIOR], 8),
        (&[(adults, 4), (seniors, 6), (all, 8)], &[SENIOR], 6),
        (&[(adults, 4), (all, 8)], &[ADULT, CHILD], 8),
        (&[(adults, 2), (grown, 5)], &[ADULT], 2),
        (&[(adults, 2), (grown, 5)], &[ADULT, SENIOR], 5),
        (&[(grown, 5), (rest, 5)], &[SENIOR], 5),
        (&[(grown, 5), (rest, 5)], &[SENIOR, ADULT, CHILD], 10),
        (&[(grown, 5), (rest, 5)], &[CHILD, SENIOR, ADULT], 10),
        (&[(grown, 5), (rest, 5)], &[SENIOR, CHILD], 5),
        (&[(all, 0)], &[ADULT], 0),
        (&[], &[ADULT], 0),
        (
            &[(all, u32::MAX), (adults, u32::MAX)],
            &[ADULT, CHILD],
            u32::MAX,
        ),
    ] {
        let claimed: Vec<Claimed> = asked.iter().copied().map(Claimed::Ticket).collect();
        let open = slot(pools).spots_open(museum, &claimed, STRANGER);
        assert_eq!(open, expected, "{pools:?} {asked:?}");
    }
}

#[test]
fn a_hold_counts_for_everyone_but_its_owner_until_it_expires() {
    let fixture = Fixture::new();
    let mut slot = slot(&[(PoolTickets::All, 5)]);
    slot.hold(
        cart(1),
        Claimed::Ticket(ADULT),
        2,
        HoldSpan::new(NOW, NOW + 60),
    );
    slot.hold(
        cart(2),
        Claimed::Appointment,
        1,
        HoldSpan::new(NOW, NOW + 90),
    );
    for (now, owner, expected) in [
        (NOW, None, 2),
        (NOW, Some(cart(3)), 2),
        (NOW, Some(cart(1)), 4),
        (NOW, Some(cart(2)), 3),
        (NOW + 59, None, 2),
        (NOW + 60, None, 4),
        (NOW + 60, Some(cart(2)), 5),
        (NOW + 90, None, 5),
    ] {
        let viewer = Viewer { now, cart: owner };
        let (_, left) = slot.left(fixture.service("museum"), viewer).next().unwrap();
        assert_eq!(left, expected, "{viewer:?}");
    }
}

#[test]
fn releasing_ends_the_holds_of_one_cart_and_the_expired_ones() {
    let fixture = Fixture::new();
    let museum = fixture.service("museum");
    let mut slot = slot(&[(PoolTickets::All, 9)]);
    for (owner, count, expires_sec) in [
        (1, 1, NOW + 60),
        (1, 1, NOW + 99),
        (2, 2, NOW),
        (3, 4, NOW + 1),
    ] {
        slot.hold(
            cart(owner),
            Claimed::Ticket(ADULT),
            count,
            HoldSpan::new(NOW - 100, expires_sec),
        );
    }
    slot.release_holds(cart(1), NOW);
    let before_all_expired = Viewer {
        now: NOW - 1,
        cart: None,
    };
    let left: Vec<u32> = slot
        .left(museum, before_all_expired)
        .map(|(_, left)| left)
        .collect();
    assert_eq!(left, [5], "only the third cart's hold is left");
}

/// What strangers find left of each pool of a slot of the concert.
fn left_of_all(slot: &Slot) -> Vec<u32> {
    let fixture = Fixture::new();
    let left = slot.left(fixture.service("concert"), STRANGER);
    left.map(|(_, left)| left).collect()
}

#[test]
fn a_hold_that_is_being_replaced_takes_of_every_pool_the_more_of_both() {
    let span = HoldSpan::new(NOW, NOW + 60);
    let (stalls, balcony) = (Claimed::Ticket(STALLS), Claimed::Ticket(BALCONY));
    for (placed, staged, meanwhile, afterwards) in [
        (&[][..], &[(stalls, 2)][..], [7, 4], [7, 4]),
        (&[(stalls, 2)], &[(stalls, 2)], [7, 4], [7, 4]),
        (&[(stalls, 2)], &[(stalls, 3)], [6, 3], [6, 3]),
        (&[(stalls, 3)], &[(stalls, 2)], [6, 3], [7, 4]),
        (&[(stalls, 3)], &[(balcony, 2)], [6, 3], [7, 6]),
        (
            &[(stalls, 1), (balcony, 1)],
            &[(stalls, 1), (stalls, 2)],
            [6, 3],
            [6, 3],
        ),
        (&[(balcony, 4)], &[], [5, 6], [9, 6]),
    ] {
        let fresh = || {
            let mut slot = slot(&[(PoolTickets::All, 9), (STALLS_ONLY, 6)]);
            for &(ticket, count) in placed {
                slot.hold(cart(1), ticket, count, span);
            }
            for &(ticket, count) in staged {
                slot.stage_hold(cart(1), ticket, count, span);
            }
            slot
        };
        let case = format!("{placed:?} and {staged:?}");
        let mut applied = fresh();
        assert_eq!(left_of_all(&applied), meanwhile, "{case}");
        applied.apply_staged_holds(cart(1), NOW);
        assert_eq!(left_of_all(&applied), afterwards, "{case}");
        let mut discarded = fresh();
        discarded.stage_hold(cart(2), stalls, 1, span);
        discarded.discard_staged_holds(cart(2));
        discarded.discard_staged_holds(cart(1));
        let before: u32 = placed.iter().map(|&(_, count)| count).sum();
        assert_eq!(left_of_all(&discarded)[0], 9 - before, "{case}");
    }
}

#[test]
fn two_holds_that_are_being_replaced_are_counted_each_by_itself() {
    let span = HoldSpan::new(NOW, NOW + 60);
    let stalls = Claimed::Ticket(STALLS);
    let mut slot = slot(&[(PoolTickets::All, 20)]);
    for (owner, placed, staged) in [(1, 3, 1), (2, 1, 4), (3, 0, 2)] {
        slot.hold(cart(owner), stalls, placed, span);
        slot.stage_hold(cart(owner), stalls, staged, span);
    }
    assert_eq!(left_of_all(&slot), [20 - 3 - 4 - 2]);
}

#[test]
fn a_sale_consumes_what_its_cart_holds_and_leaves_the_rest_held() {
    let span = HoldSpan::new(NOW, NOW + 60);
    let (stalls, balcony) = (Claimed::Ticket(STALLS), Claimed::Ticket(BALCONY));
    for (consumed, left, is_held) in [
        (&[(stalls, 2)][..], [5], true),
        (&[(stalls, 3)], [6], true),
        (&[(stalls, 9)], [6], true),
        (&[(stalls, 3), (balcony, 1)], [7], false),
    ] {
        let mut slot = slot(&[(PoolTickets::All, 9)]);
        for (owner, ticket, count) in [
            (1, stalls, 1),
            (1, stalls, 2),
            (1, balcony, 1),
            (2, stalls, 2),
        ] {
            slot.hold(cart(owner), ticket, count, span);
        }
        for &(ticket, count) in consumed {
            slot.consume_hold(cart(1), ticket, count);
        }
        assert_eq!(left_of_all(&slot), left, "{consumed:?}");
        assert_eq!(slot.has_hold_of(cart(1)), is_held, "{consumed:?}");
        assert!(slot.has_hold_of(cart(2)));
    }
}

#[test]
fn what_is_given_back_is_free_again_and_never_more_than_that() {
    let fixture = Fixture::new();
    let museum = fixture.service("museum");
    let mut slot = slot(&[(PoolTickets::All, 5)]);
    slot.sell(Claimed::Ticket(ADULT), 4);
    slot.unsell(Claimed::Ticket(ADULT), 1);
    slot.unsell(Claimed::Ticket(CHILD), 1);
    assert_eq!(slot.sold(), 3);
    slot.unsell(Claimed::Ticket(ADULT), 9);
    assert_eq!(slot.sold(), 0);
    assert_eq!(
        slot.left(museum, STRANGER).next(),
        Some((pool(PoolTickets::All, 5), 5))
    );
}

#[test]
fn an_oversold_pool_has_nothing_left_and_does_not_underflow() {
    let fixture = Fixture::new();
    let mut slot = slot(&[(PoolTickets::All, 1)]);
    slot.sell(Claimed::Ticket(ADULT), u32::MAX);
    slot.sell(Claimed::Ticket(ADULT), u32::MAX);
    slot.sell(Claimed::Ticket(CHILD), u32::MAX);
    slot.hold(
        cart(1),
        Claimed::Appointment,
        u32::MAX,
        HoldSpan::new(NOW, EpochSeconds::MAX),
    );
    assert_eq!(
        slot.spots_open(
            fixture.service("museum"),
            &[Claimed::Ticket(ADULT)],
            STRANGER
        ),
        0
    );
}

/// The most tickets of three types that fit, by trying all numbers of each.
fn most_that_fit(pools: &[(Vec<TicketIx>, u32)], asked: &[TicketIx]) -> u32 {
    let fits = |counts: [u32; 3]| {
        pools.iter().all(|(members, spots)| {
            members
                .iter()
                .map(|ticket| counts[usize::from(ticket.0)])
                .sum::<u32>()
                <= *spots
        })
    };
    let most = |ticket: TicketIx| {
        let served = pools.iter().any(|(members, _)| members.contains(&ticket));
        if served && asked.contains(&ticket) {
            6
        } else {
            0
        }
    };
    let mut best = 0;
    for adults in 0..=most(ADULT) {
        for seniors in 0..=most(SENIOR) {
            for children in 0..=most(CHILD) {
                if fits([adults, seniors, children]) {
                    best = best.max(adults + seniors + children);
                }
            }
        }
    }
    best
}

/// Every set of the museum's three ticket types that is not empty.
fn ticket_sets() -> Vec<Vec<TicketIx>> {
    let all = [ADULT, SENIOR, CHILD];
    let members = |bits: usize| {
        all.into_iter()
            .filter(move |ticket| bits >> ticket.0 & 1 == 1)
            .collect()
    };
    (1..8).map(members).collect()
}

proptest! {
    #[test]
    fn spots_open_is_the_most_that_fits(
        spots in prop::collection::vec(prop::option::of(0_u32..=6), 7),
        asked in prop::sample::subsequence(vec![ADULT, SENIOR, CHILD], 1..=3),
    ) {
        let mut fixture = Fixture::new();
        fixture.service_mut("museum").ticket_sets = ticket_sets();
        let opened = (0..).map(PoolTickets::Set).zip(&spots).filter_map(|(set, spots)| Some((set, (*spots)?)));
        let slot = slot(&opened.collect::<Vec<_>>());
        let pools: Vec<(Vec<TicketIx>, u32)> =
            ticket_sets().into_iter().zip(spots).filter_map(|(set, spots)| Some((set, spots?))).collect();
        let claimed: Vec<Claimed> = asked.iter().copied().map(Claimed::Ticket).collect();

        let open = slot.spots_open(fixture.service("museum"), &claimed, STRANGER);
        let most = most_that_fit(&pools, &asked);
        prop_assert_eq!(open, most);
    }

    #[test]
    fn a_range_has_the_same_starts_whole_or_in_two_parts(
        first in 0..500_i64,
        every_sec in 1..60_i64,
        except in prop::collection::vec((0..500_i64, 0..500_i64), 0..3),
        from in 0..500_i64,
        middle in 0..500_i64,
        until in 0..500_i64,
    ) {
        let mut bounds = [from, middle, until];
        bounds.sort_unstable();
        let [from, middle, until] = bounds;
        let opening = opening(EpochSeconds::new(first), 30, every(every_sec, 400, &except));
        let whole: Vec<i64> = starts(&opening, from, until).collect();
        let parts: Vec<i64> = starts(&opening, from, middle).chain(starts(&opening, middle, until)).collect();
        prop_assert_eq!(&whole, &parts);
        let expected: Vec<i64> = (from..until)
            .filter(|start| *start >= first && *start <= 400 && (start - first) % every_sec == 0)
            .filter(|start| except.iter().all(|&(begin, end)| end <= *start || start + 30 <= begin))
            .collect();
        prop_assert_eq!(whole, expected);
    }
}

#[test]
fn a_slot_is_open_once_an_opening_brought_spots() {
    let mut slot = Slot::default();
    slot.sell(Claimed::Ticket(ADULT), 1);
    assert!(!slot.is_open());
    slot.open(pool(PoolTickets::All, 0), &SlotTerms::default());
    assert!(slot.is_open());
    assert_eq!(
        slot.spots_open(
            Fixture::new().service("museum"),
            &[Claimed::Ticket(ADULT)],
            STRANGER
        ),
        0
    );
    assert_eq!(
        SlotKey::new(SERVICE, START, Seconds::HOUR)
            .unwrap()
            .end_sec(),
        START + HOUR
    );
}

#[test]
fn a_slot_turns_to_what_was_laid_ready_and_never_back() {
    let (first, second, third) = (Revision(0), Revision(1), Revision(2));
    let fixture = Fixture::new();
    let terms = SlotTerms {
        first_bookable_sec: Some(EpochSeconds::new(7)),
        ..SlotTerms::default()
    };
    let mut slot = slot(&[(PoolTickets::All, 5)]);
    slot.sell(Claimed::Ticket(ADULT), 2);
    slot.stage(second, pool(PoolTickets::All, 3), &terms);
    slot.stage(second, pool(PoolTickets::All, 1), &SlotTerms::default());
    let left = |slot: &Slot| {
        slot.left(fixture.service("museum"), STRANGER)
            .next()
            .map(|(_, left)| left)
    };
    assert_eq!(
        (slot.advance_to(first), left(&slot), slot.terms()),
        (Ok(()), Some(3), &SlotTerms::default())
    );
    assert_eq!(
        (slot.advance_to(second), left(&slot), slot.terms()),
        (Ok(()), Some(2), &terms)
    );
    assert_eq!((slot.advance_to(first), left(&slot)), (Err(Stale), Some(2)));
    assert_eq!((slot.advance_to(second), left(&slot)), (Ok(()), Some(2)));
    assert_eq!(
        (slot.advance_to(third), slot.is_open(), slot.sold()),
        (Ok(()), false, 2)
    );
    assert!(!slot.is_vacant());
    slot.unsell(Claimed::Ticket(ADULT), 2);
    assert!(slot.is_vacant());
    slot.stage(Revision(9), pool(PoolTickets::All, 1), &terms);
    assert!(!slot.is_vacant());
    assert_eq!(
        (slot.advance_to(Revision(8)), slot.is_open()),
        (Ok(()), false)
    );
    assert_eq!(
        (slot.advance_to(Revision(9)), slot.is_open()),
        (Ok(()), true)
    );
}

#[test]
fn what_the_catalogue_no_longer_places_counts_in_every_pool() {
    let fixture = Fixture::new();
    let concert = fixture.service("concert");
    let gone = Claimed::Ticket(TicketIx(7));
    let pools = [(STALLS_ONLY, 4), (BALCONY_ONLY, 6), (PoolTickets::All, 9)];
    for (pools, sold, expected) in [
        (&pools[..], Claimed::Ticket(STALLS), &[1, 6, 6][..]),
        (&pools, gone, &[1, 3, 6]),
        (&pools, Claimed::Appointment, &[4, 6, 6]),
        (&pools[..2], Claimed::Appointment, &[1, 3]),
        (&pools[..1], Claimed::Ticket(BALCONY), &[1]),
        (&pools[1..], Claimed::Ticket(STALLS), &[6, 6]),
    ] {
        let mut slot = slot(pools);
        slot.sell(sold, 3);
        let left: Vec<u32> = slot.left(concert, STRANGER).map(|(_, left)| left).collect();
        assert_eq!(left, expected, "{sold:?} of {pools:?}");
    }
}

#[test]
fn a_slot_is_oversold_where_more_is_sold_than_a_pool_has() {
    let fixture = Fixture::new();
    let concert = fixture.service("concert");
    let mut slot = slot(&[(STALLS_ONLY, 4), (PoolTickets::All, 5)]);
    slot.hold(
        cart(1),
        Claimed::Ticket(STALLS),
        9,
        HoldSpan::new(NOW, NOW + 60),
    );
    for (sold, expected) in [
        (STALLS, false),
        (BALCONY, false),
        (STALLS, false),
        (STALLS, true),
    ] {
        slot.sell(Claimed::Ticket(sold), if sold == STALLS { 2 } else { 1 });
        assert_eq!(slot.is_oversold(concert), expected, "{slot:?}");
    }
    assert!(!Slot::default().is_oversold(concert));
}

#[test]
fn a_block_takes_of_every_pool_what_is_not_sold() {
    let pools = [(STALLS_ONLY, 4), (BALCONY_ONLY, 6), (PoolTickets::All, 9)];
    for (spots, expected) in [
        (BlockedSpots::NONE, [2, 6, 7]),
        (BlockedSpots::Count(1), [1, 5, 6]),
        (BlockedSpots::Count(6), [0, 0, 1]),
        (BlockedSpots::Count(u32::MAX), [0, 0, 0]),
        (BlockedSpots::All, [0, 0, 0]),
    ] {
        let mut slot = slot(&pools);
        slot.sell(Claimed::Ticket(STALLS), 2);
        slot.block(spots);
        assert_eq!(left_of_all(&slot), expected, "{spots:?}");
        // What is given back is blocked, too, only where all is.
        slot.unsell(Claimed::Ticket(STALLS), 2);
        let stalls = left_of_all(&slot)[0];
        assert_eq!(stalls, 4_u32.saturating_sub(blocked_of(spots)), "{spots:?}");
        slot.block(BlockedSpots::NONE);
        assert_eq!(left_of_all(&slot), [4, 6, 9]);
    }
}

fn blocked_of(spots: BlockedSpots) -> u32 {
    match spots {
        BlockedSpots::Count(count) => count,
        BlockedSpots::All => u32::MAX,
    }
}

#[test]
fn a_block_does_not_spare_what_a_cart_holds() {
    let fixture = Fixture::new();
    let mut slot = slot(&[(PoolTickets::All, 5)]);
    slot.hold(
        cart(1),
        Claimed::Ticket(ADULT),
        3,
        HoldSpan::new(NOW, NOW + 60),
    );
    let left = |slot: &Slot, owner| {
        let viewer = Viewer {
            now: NOW,
            cart: owner,
        };
        let mut left = slot.left(fixture.service("museum"), viewer);
        left.next().map(|(_, left)| left)
    };
    for (spots, of_owner, of_others) in [
        (BlockedSpots::Count(1), 4, 1),
        (BlockedSpots::Count(3), 2, 0),
        (BlockedSpots::All, 0, 0),
    ] {
        slot.block(spots);
        let found = (left(&slot, Some(cart(1))), left(&slot, None));
        assert_eq!(found, (Some(of_owner), Some(of_others)), "{spots:?}");
    }
}

#[test]
fn a_block_that_is_not_on_record_counts_beside_the_one_before() {
    let (all, none) = (BlockedSpots::All, BlockedSpots::NONE);
    let few = BlockedSpots::Count(2);
    for (before, next, meanwhile) in [
        (none, few, few),
        (few, none, few),
        (few, all, all),
        (all, few, all),
        (all, none, all),
    ] {
        let mut slot = slot(&[(PoolTickets::All, 5)]);
        slot.block(before);
        slot.stage_block(next);
        assert_eq!(slot.blocked(), meanwhile, "{before:?} {next:?}");
        slot.discard_staged_block();
        assert_eq!(slot.blocked(), before, "{before:?} {next:?}");
        slot.stage_block(next);
        slot.apply_staged_block();
        assert_eq!(slot.blocked(), next, "{before:?} {next:?}");
        slot.apply_staged_block();
        assert_eq!(slot.blocked(), next);
    }
}

#[test]
fn a_block_stays_when_the_catalogue_changes_and_keeps_its_slot() {
    let mut slot = slot(&[(PoolTickets::All, 5)]);
    slot.block(BlockedSpots::Count(2));
    let copy = Slot::default().with_taken_of(&slot);
    assert_eq!(copy.blocked(), BlockedSpots::Count(2));
    slot.advance_to(Revision(1)).unwrap();
    assert!(!slot.is_open() && !slot.is_vacant());
    slot.stage(
        Revision(2),
        pool(PoolTickets::All, 9),
        &SlotTerms::default(),
    );
    slot.advance_to(Revision(2)).unwrap();
    assert_eq!(left_of_all(&slot), [7]);
    assert!(!slot.is_oversold(Fixture::new().service("concert")));
    slot.advance_to(Revision(3)).unwrap();
    slot.block(BlockedSpots::NONE);
    assert!(slot.is_vacant());
}

#[test]
fn blocked_spots_are_shown_as_those_that_are_not_sold() {
    for (spots, allotment, sold, expected) in [
        (BlockedSpots::NONE, 5, 2, 0),
        (BlockedSpots::Count(2), 5, 2, 2),
        (BlockedSpots::Count(4), 5, 2, 3),
        (BlockedSpots::All, 5, 2, 3),
        (BlockedSpots::All, 5, 7, 0),
        (BlockedSpots::All, u32::MAX, 0, u32::MAX),
    ] {
        assert_eq!(spots.among(allotment, sold), expected, "{spots:?} {sold}");
    }
    assert_eq!(BlockedSpots::Count(2).plus(3), BlockedSpots::Count(5));
    assert_eq!(
        BlockedSpots::Count(2).plus(u32::MAX),
        BlockedSpots::Count(u32::MAX)
    );
    assert_eq!(BlockedSpots::All.plus(3), BlockedSpots::All);
}

#[test]
fn a_merchant_who_is_asked_about_some_spots_is_asked_about_all() {
    let asking = SlotTerms {
        confirmation: Confirmation::ByMerchant,
        ..SlotTerms::default()
    };
    let pool = pool(PoolTickets::All, 2);
    for terms in [
        vec![&PLAIN, &asking],
        vec![&asking, &PLAIN],
        vec![&asking, &asking],
    ] {
        let mut slot = Slot::default();
        for terms in terms {
            slot.open(pool, terms);
        }
        assert_eq!(slot.terms().confirmation, Confirmation::ByMerchant);
    }
    let mut slot = Slot::default();
    slot.open(pool, &PLAIN);
    assert_eq!(slot.terms().confirmation, Confirmation::AtOnce);
}
